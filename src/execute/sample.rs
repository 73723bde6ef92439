//! A sample of whole customers: of the tables that the identity step makes, only the rows of some customers are kept, so that whatever is
//! joined with them later stays whole.

use datafusion::error::DataFusionError;

use crate::engine::Engine;
use crate::graph::Signature;
use crate::segments::CUSTOMER_ID;

/// A share of the customers, chosen by a hash of their ids: the same customers are chosen in every table and every time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    share: f64,
}

impl Sample {
    /// A share above 0 and up to 1.
    pub fn of(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Sample { share })
    }

    /// The first hash that is not chosen, as eight hexadecimal digits; none if all are.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is between 0 and 1")]
    fn bound(self) -> Option<String> {
        let bound = (self.share * 4_294_967_296.0).round() as u64;
        u32::try_from(bound).ok().map(|bound| format!("{bound:08x}"))
    }

    /// Leaves out the customers that are not in the sample from the tables of a native step. Rows without a customer stay.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(super) async fn keep(self, engine: &Engine, signature: &Signature) -> Result<(), DataFusionError> {
        let Some(bound) = self.bound() else { return Ok(()) };
        // What describes memberships follows from a profile that is a sample already.
        for table in signature.makes.iter().filter(|_| signature.layer.is_some()) {
            if (table.schema)().column_with_name(CUSTOMER_ID).is_none() {
                continue;
            }
            let chosen = format!("substr(encode(sha256({CUSTOMER_ID}), 'hex'), 1, 8) < '{bound}'");
            let sql = format!("select * from {} where {CUSTOMER_ID} is null or {chosen}", table.name);
            let frame = engine.query(&sql).await?;
            engine.materialise(table.name, frame).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_becomes_a_bound_of_the_hash() {
        assert_eq!(Sample::of(0.5).and_then(Sample::bound).as_deref(), Some("80000000"));
        assert_eq!(Sample::of(1.0).and_then(Sample::bound), None);
        assert_eq!(Sample::of(0.05).and_then(Sample::bound).as_deref(), Some("0ccccccd"));
        assert_eq!([0.0, -1.0, 1.01, f64::NAN].map(Sample::of), [None; 4]);
    }
}
