//! A sample of whole customers: of the tables that the identity step makes, only the rows of some customers are kept, so that whatever is
//! joined with them later stays whole.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::graph::Step;
use crate::native::Context;
use crate::publish::{SEGMENT_STAYS, cluster_members};
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

    /// The first of the hashes' first four bytes that is not chosen; none if all are.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is between 0 and 1")]
    fn bound(self) -> Option<u32> {
        u32::try_from((self.share * 4_294_967_296.0).round() as u64).ok()
    }

    /// Leaves out the customers that are not in the sample from the tables of a native step. Rows without a customer stay.
    ///
    /// # Errors
    /// DataFusion's own.
    pub(super) async fn keep(self, engine: &Engine, step: &Step) -> Result<(), DataFusionError> {
        let Some(bound) = self.bound() else { return Ok(()) };
        // Memberships and changes follow from a profile and a memory that are samples already.
        for table in step.makes.iter().filter(|_| step.layer.is_some() && step.declared.is_none()) {
            if table.schema.column_with_name(CUSTOMER_ID).is_none() {
                continue;
            }
            let chosen = format!("substr(encode(sha256({CUSTOMER_ID}), 'hex'), 1, 8) < '{bound:08x}'");
            let sql = format!("select * from {} where {CUSTOMER_ID} is null or {chosen}", table.name);
            let frame = engine.query(&sql).await?;
            engine.materialise(&table.name, frame).await?;
        }
        Ok(())
    }

    /// Leaves out what is remembered of customers that are not in the sample, and of ids that have become aliases of such: they have not
    /// left, although the profile does not have them.
    pub(super) fn keep_memory<'a>(self, context: &mut Context, clusters: impl Iterator<Item = &'a str>) {
        let Some(bound) = self.bound() else { return };
        let heirs: HashMap<String, String> = context.merged.iter().cloned().collect();
        context.merged.retain(|(_, heir)| is_below(bound, heir));
        let is_chosen = move |id: &str| is_below(bound, heirs.get(id).map_or(id, String::as_str));
        if let Some(predecessor) = &mut context.predecessor {
            let is_chosen = Arc::new(is_chosen) as Arc<dyn Fn(&str) -> bool + Send + Sync>;
            predecessor.keep(SEGMENT_STAYS, &is_chosen);
            for clusters in clusters {
                predecessor.keep(&cluster_members(clusters), &is_chosen);
            }
        }
    }
}

/// Whether the hash of a customer's id is below a bound.
fn is_below(bound: u32, id: &str) -> bool {
    let [one, two, three, four, ..] = <[u8; 32]>::from(Sha256::digest(id));
    u32::from_be_bytes([one, two, three, four]) < bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_becomes_a_bound_of_the_hash() {
        assert_eq!(Sample::of(0.5).and_then(Sample::bound), Some(0x8000_0000));
        assert_eq!(Sample::of(1.0).and_then(Sample::bound), None);
        assert_eq!(Sample::of(0.05).and_then(Sample::bound), Some(0x0ccc_cccd));
        assert_eq!([0.0, -1.0, 1.01, f64::NAN].map(Sample::of), [None; 4]);
    }
}
