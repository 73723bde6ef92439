//! Decides how the nodes of a plan are computed: which stream, which are materialised, and when a table is released.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::models::{Checked, CheckedModels};
use super::nodes::{Node, Work, last_readers};
use super::planned_model::Cost;
use super::privacy::PersonalColumns;
use crate::graph::{LAYERS, SEGMENTS, Step};
use crate::native::{IDENTITY_SIGNATURE, Native, ROWS_BY_CUSTOMER, ROWS_SIGNATURE, RowsStep, SEGMENTS_SIGNATURE};

/// Decides how every node is computed, and after which each table is released. Which columns are personal is handed on.
///
/// For a look at one table, a query whose rows may depend on which of its columns are read is materialised, so that all looks at it agree.
pub(super) fn decide(
    checked: CheckedModels,
    natives: Vec<Arc<dyn Native>>,
    published: &BTreeSet<String>,
    rows: Option<RowsStep>,
    is_look: bool,
) -> (PersonalColumns, Vec<Node>) {
    let CheckedModels { checked, mut reads, personal, .. } = checked;
    let steps: Vec<Arc<Step>> = natives.iter().map(|native| native.step()).collect();
    for input in steps.iter().flat_map(|step| &step.reads) {
        *reads.entry(input.table.clone()).or_default() += 1;
    }
    let mut natives: BTreeMap<String, Arc<dyn Native>> = natives.into_iter().map(|native| (native.step().name.clone(), native)).collect();
    let mut nodes = Vec::new();
    for checked in checked {
        nodes.push(match checked {
            Checked::Model(model) => {
                let name = model.parsed.model.name();
                let inputs = || steps.iter().flat_map(|step| &step.reads).filter(|input| input.table == name);
                let may_stream =
                    model.parsed.model.schema.as_deref() == Some(LAYERS[0]) || inputs().next().is_some_and(|input| input.streamed);
                let sorted_by = inputs().find_map(|input| input.sorted_by.clone()).into_iter().collect();
                let is_split = is_look && model.of_query.breaks_ties;
                let may_stream = may_stream && !published.contains(&name) && !is_split;
                let times = reads.get(&name).copied().unwrap_or(0);
                let (reads, makes) = (model.parsed.reads.clone(), vec![name.clone()]);
                let work = if may_stream && times == 1 {
                    Work::Streamed(*model)
                } else if may_stream && !is_look && model.may_be_read_again(times) {
                    Work::RowByRow { model: *model, readers: times }
                } else {
                    Work::Materialised { model: *model, sorted_by }
                };
                Node { name, work, reads, makes, releases: Vec::new() }
            }
            Checked::Native(step) => {
                let Some(native) = natives.remove(&step.name) else { continue };
                let reads = step.reads.iter().map(|input| input.table.clone()).collect();
                let makes = step.makes.iter().map(|table| table.name.clone()).collect();
                Node { name: step.name.clone(), work: Work::Native(native), reads, makes, releases: Vec::new() }
            }
        });
    }
    if let Some(rows) = rows {
        put_between(&mut nodes, rows);
    }
    materialise_what_would_cost_too_much(&mut nodes);
    release_after_last_reader(&mut nodes, published);
    (personal, nodes)
}

/// Puts the rows step as early as it can be computed, so that sources are released early: right after the identity step, or else before the
/// segments step, which reads what it makes.
fn put_between(nodes: &mut Vec<Node>, step: RowsStep) {
    let position = |nodes: &[Node], name: &str| nodes.iter().position(|node| node.name == name);
    let Some(segments) = position(nodes, SEGMENTS_SIGNATURE.name) else { return };
    nodes[segments].reads.insert(ROWS_BY_CUSTOMER.to_owned());
    let at = position(nodes, IDENTITY_SIGNATURE.name).map_or(segments, |identity| identity + 1);
    let (name, reads, makes) = (ROWS_SIGNATURE.name.to_owned(), step.reads(), vec![ROWS_BY_CUSTOMER.to_owned()]);
    nodes.insert(at, Node { name, work: Work::Native(Arc::new(step)), reads, makes, releases: Vec::new() });
}

/// Nodes that read one another as they stream are planned as one query. Where that would be too large, what is read is materialised.
fn materialise_what_would_cost_too_much(nodes: &mut [Node]) {
    let mut costs: BTreeMap<String, (usize, Cost)> = BTreeMap::new();
    for at in 0..nodes.len() {
        let Some(mut cost) = nodes[at].model().map(|model| model.cost) else { continue };
        for read in nodes[at].reads.clone() {
            let Some((streamed, of_read)) = costs.get(&read).copied() else { continue };
            let together = cost.over(of_read);
            if together.fits() {
                cost = together;
            } else if let Work::Streamed(model) | Work::RowByRow { model, .. } = nodes[streamed].work.clone() {
                nodes[streamed].work = Work::Materialised { model, sorted_by: Vec::new() };
            }
        }
        if nodes[at].is_streamed() {
            costs.insert(nodes[at].name.clone(), (at, cost));
        }
    }
}

/// Releases every table after the last node that reads it, if nothing publishes it.
fn release_after_last_reader(nodes: &mut [Node], published: &BTreeSet<String>) {
    for (table, position) in last_readers(nodes, Node::is_streamed) {
        if table != SEGMENTS && !published.contains(&table) {
            nodes[position].releases.push(table);
        }
    }
}
