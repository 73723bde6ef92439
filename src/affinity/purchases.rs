//! Who has bought what, and when.

/// How many items of a customer count, those that were bought last. Beyond these, what a customer has bought is only never offered.
pub const MOST_ITEMS_OF_A_CUSTOMER: usize = 75;

/// An item that a customer bought or returned on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The item's number.
    pub item: u32,
    /// The day, counted from any day.
    pub day: i32,
    /// Whether the item was returned.
    pub is_returned: bool,
}

/// The purchases of all customers, by customer.
#[derive(Debug, Default)]
pub struct Purchases {
    rows: Vec<Row>,
    /// Where the rows of each customer end.
    ends: Vec<usize>,
    items: usize,
}

/// What a customer did with an item.
#[derive(Debug, Clone, Copy)]
struct Handled {
    item: u32,
    last_day: i32,
    is_returned: bool,
}

/// Which purchases are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All.
    All,
    /// Those before the last day on which a customer bought, of customers who bought on two days at least, and all of the others.
    BeforeLastDay,
}

/// What is known of a customer.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct History {
    /// The items that say what the customer buys, in order of item, each with the last day on which it was bought.
    pub evidence: Vec<(u32, i32)>,
    /// The items that were bought or returned, in order.
    pub known: Vec<u32>,
}

impl Purchases {
    /// Adds a row of the customer whose rows are being added.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Ends the rows of a customer.
    pub fn end_customer(&mut self) {
        self.ends.push(self.rows.len());
    }

    /// Gives every item its number among `items`, and leaves out those that have none.
    pub fn renumber(&mut self, items: usize, number: &[Option<u32>]) {
        let (mut from, mut to) = (0, 0);
        for end in &mut self.ends {
            let start = to;
            for at in from..*end {
                let row = self.rows[at];
                if let Some(item) = number[row.item as usize] {
                    self.rows[to] = Row { item, ..row };
                    to += 1;
                }
            }
            from = *end;
            self.rows[start..to].sort_unstable();
            // Of rows that are repeated one is left.
            let mut kept = start;
            for at in start..to {
                if at == start || self.rows[at] != self.rows[kept - 1] {
                    self.rows[kept] = self.rows[at];
                    kept += 1;
                }
            }
            to = kept;
            *end = to;
        }
        self.rows.truncate(to);
        self.items = items;
    }

    /// How many customers there are.
    pub fn customers(&self) -> usize {
        self.ends.len()
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.items
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.ends.capacity() * size_of::<usize>()
    }

    fn of(&self, customer: usize) -> &[Row] {
        let start = if customer == 0 { 0 } else { self.ends[customer - 1] };
        &self.rows[start..self.ends[customer]]
    }

    /// The last day on which a customer bought, if the customer bought on another one too.
    pub(super) fn last_of_several_days(&self, customer: usize) -> Option<i32> {
        let days = || self.of(customer).iter().filter(|row| !row.is_returned).map(|row| row.day);
        let last = days().max()?;
        days().any(|day| day < last).then_some(last)
    }

    /// The items that a customer bought or returned, in order.
    fn items_of(&self, customer: usize, extent: Extent) -> impl Iterator<Item = Handled> {
        let before = if extent == Extent::All { None } else { self.last_of_several_days(customer) };
        let by_item = self.of(customer).chunk_by(|one, other| one.item == other.item);
        by_item.filter_map(move |rows| {
            // They are in order of day.
            let seen = rows.iter().take_while(|row| before.is_none_or(|before| row.day < before));
            seen.fold(None, |found: Option<Handled>, row| {
                let is_returned = row.is_returned || found.is_some_and(|found| found.is_returned);
                Some(Handled { item: row.item, last_day: row.day, is_returned })
            })
        })
    }

    /// How many customers have bought each item and not returned it.
    pub fn buyers(&self, extent: Extent) -> Vec<u32> {
        let mut buyers = vec![0; self.items];
        for customer in 0..self.customers() {
            for handled in self.items_of(customer, extent).filter(|handled| !handled.is_returned) {
                buyers[handled.item as usize] += 1;
            }
        }
        buyers
    }

    /// What is known of a customer, in `history`. Items count as evidence that were bought by enough customers, `buyers`, and were not
    /// returned; of more than [`MOST_ITEMS_OF_A_CUSTOMER`] those that were bought last, and of those of one day the rarer ones.
    pub fn history(&self, customer: usize, extent: Extent, buyers: &[u32], minimum_support: u32, history: &mut History) {
        history.known.clear();
        history.evidence.clear();
        for handled in self.items_of(customer, extent) {
            history.known.push(handled.item);
            if !handled.is_returned && buyers[handled.item as usize] >= minimum_support {
                history.evidence.push((handled.item, handled.last_day));
            }
        }
        if history.evidence.len() > MOST_ITEMS_OF_A_CUSTOMER {
            history.evidence.select_nth_unstable_by(MOST_ITEMS_OF_A_CUSTOMER, |(one, one_day), (other, other_day)| {
                let rarer = buyers[*one as usize].cmp(&buyers[*other as usize]);
                other_day.cmp(one_day).then(rarer).then(one.cmp(other))
            });
            history.evidence.truncate(MOST_ITEMS_OF_A_CUSTOMER);
            history.evidence.sort_unstable();
        }
    }

    /// The items that a customer bought on a day, but for those that are known, in order.
    pub(super) fn new_on(&self, customer: usize, day: i32, known: &[u32]) -> Vec<u32> {
        let bought = self.of(customer).iter().filter(|row| row.day == day && !row.is_returned).map(|row| row.item);
        bought.filter(|item| known.binary_search(item).is_err()).collect()
    }
}
