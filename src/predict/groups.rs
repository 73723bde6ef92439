//! Customers with the same purchase history are one group: a purchase model knows of a customer only how often and when last the customer
//! has bought again, and since when the customer is known.

/// The purchase history of a customer, counted from the first purchase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct History {
    /// The purchases after the first one.
    pub repeats: u32,
    /// The time from the first purchase to the last one; 0 without another one.
    pub last: f64,
    /// The time from the first purchase to the end of observation.
    pub observed: f64,
}

impl History {
    /// Numbers in the order of histories: of purchases, the last of them, and the time of observation. Times are not negative, and such
    /// numbers are in the order of their bits.
    fn key(&self) -> (u32, u64, u64) {
        (self.repeats, self.last.to_bits(), self.observed.to_bits())
    }
}

/// Customers with the same history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Their history.
    pub history: History,
    /// How many they are.
    pub customers: u32,
}

/// Customers in groups, which are in order of their histories, whatever the order of the customers.
#[derive(Debug, Default)]
pub struct Groups {
    /// The groups.
    pub groups: Vec<Group>,
    /// By customer, the position of the group.
    pub of: Vec<u32>,
}

impl Groups {
    /// Puts customers into groups.
    pub fn of(customers: &[History]) -> Self {
        let mut order: Vec<(u32, u64, u64, u32)> = Vec::with_capacity(customers.len());
        for (at, history) in (0u32..).zip(customers) {
            let (repeats, last, observed) = history.key();
            order.push((repeats, last, observed, at));
        }
        order.sort_unstable();
        let mut found = Groups { groups: Vec::new(), of: vec![0; customers.len()] };
        let mut key = None;
        for (repeats, last, observed, at) in order {
            if key != Some((repeats, last, observed)) {
                key = Some((repeats, last, observed));
                let history = History { repeats, last: f64::from_bits(last), observed: f64::from_bits(observed) };
                found.groups.push(Group { history, customers: 0 });
            }
            if let Some(group) = found.groups.last_mut() {
                group.customers += 1;
            }
            found.of[at as usize] = u32::try_from(found.groups.len() - 1).unwrap_or(u32::MAX);
        }
        found
    }

    /// How many customers have bought more than once.
    pub fn repeat_buyers(&self) -> u64 {
        self.groups.iter().filter(|group| group.history.repeats > 0).map(|group| u64::from(group.customers)).sum()
    }

    /// How often everybody together has bought again.
    pub fn repeats(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.history.repeats) * u64::from(group.customers)).sum()
    }

    /// For how long everybody together was observed.
    pub fn observed(&self) -> f64 {
        self.groups.iter().map(|group| group.history.observed * f64::from(group.customers)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_histories_are_one_group_whatever_their_order() {
        let history = |repeats, last, observed| History { repeats, last, observed };
        let customers = [history(1, 3.0, 9.0), history(0, 0.0, 9.0), history(1, 3.0, 9.0), history(1, 3.0, 8.0)];
        let found = Groups::of(&customers);
        let groups: Vec<(f64, u32)> = found.groups.iter().map(|group| (group.history.observed, group.customers)).collect();
        assert_eq!(groups, [(9.0, 1), (8.0, 1), (9.0, 2)]);
        assert_eq!(found.of, [2, 0, 2, 1]);
        assert_eq!((found.repeat_buyers(), found.repeats(), found.observed()), (3, 3, 35.0));
        let mut backwards = customers;
        backwards.reverse();
        assert_eq!(Groups::of(&backwards).groups, found.groups);
    }
}
