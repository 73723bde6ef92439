//! The queries of a look, planned over tables without rows, and what they need of the sources.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::prepare::Prepared;
use crate::engine::{self, Answers, Engine, Known, Limits, Needs, TextEncoding};
use crate::error::{Error, Result};
use crate::execute::Inputs;
use crate::graph::SOURCES;
use crate::plan::{QUERY, Work};

/// The queries of a look, planned over tables without rows.
pub struct Units {
    /// The query itself.
    pub query: LogicalPlan,
    /// Those whose rows are materialised, in order, by the name of the table.
    materialised: Vec<(String, LogicalPlan)>,
    /// The sources, and the tables that are made from any.
    large: BTreeSet<String>,
}

impl Units {
    /// Plans them.
    ///
    /// # Errors
    /// [`Error::Defect`] alone: planning has refused what is wrong with them.
    pub async fn of(prepared: &Prepared) -> Result<Self> {
        let plan = &prepared.plan;
        let limits = Limits { threads: 1, memory_bytes: 64 * 1024 * 1024 };
        let engine = Engine::with_text_encoding(limits, plan.values.zone.name(), TextEncoding::Plain)?;
        for contract in &plan.contracts {
            let table = Arc::new(EmptyTable::new(Arc::clone(&contract.schema)));
            engine.register(&format!("{}.{}", SOURCES, contract.source), table)?;
        }
        for (name, rows) in Inputs::of(plan)?.given {
            engine.register(&name, Arc::new(EmptyTable::new(rows.schema())))?;
        }
        let needed = prepared.needed();
        // The functions of the conditions that are taken from the queries are those of this engine.
        engine.hash_with(plan.project.pipeline.identity.salt.as_deref().unwrap_or_default());
        let (mut materialised, mut query) = (Vec::new(), None);
        for node in &plan.nodes {
            let Some(model) = node.model().filter(|_| node.name == QUERY || needed.contains(&node.name)) else { continue };
            let planned = engine.plan(&model.parsed.statement, &plan.values.parameters).await.map_err(unplanned)?;
            if node.name == QUERY {
                query = Some(engine.optimize(&planned).map_err(unplanned)?);
            } else if matches!(node.work, Work::Streamed(_)) {
                engine.register_view(&node.name, planned)?;
            } else {
                materialised.push((node.name.clone(), engine.optimize(&planned).map_err(unplanned)?));
                engine.register(&node.name, Arc::new(EmptyTable::new(Arc::clone(&model.schema))))?;
            }
        }
        let query = query.ok_or_else(|| Error::defect("the query was not planned"))?;
        let mut large: BTreeSet<String> = plan.contracts.iter().map(|contract| format!("{SOURCES}.{}", contract.source)).collect();
        for (name, plan) in &materialised {
            if engine::reads(plan).map_err(unplanned)?.keys().any(|table| large.contains(table)) {
                large.insert(name.clone());
            }
        }
        Ok(Units { query, materialised, large })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &LogicalPlan> {
        self.materialised.iter().map(|(_, plan)| plan).chain([&self.query])
    }

    /// What a query over their tables needs of the sources so that its rows that fulfil a condition come out. Without answers everything that is
    /// asked is taken to be answered.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn demands(&self, query: &LogicalPlan, condition: &Expr, answers: Option<&Answers>) -> Result<Needs, DataFusionError> {
        let known = Known { answers, large: &self.large };
        let mut found = engine::demands(query, Some(condition), known)?;
        for (name, plan) in self.materialised.iter().rev() {
            let Some(demand) = found.tables.remove(name) else { continue };
            let below = engine::demands(plan, demand.condition().as_ref(), known)?;
            for (table, demand) in below.tables {
                engine::add(&mut found.tables, table, demand);
            }
            found.asked.extend(below.asked);
        }
        Ok(found)
    }
}

/// What fails as a look is planned.
pub fn unplanned(error: DataFusionError) -> Error {
    Error::defect(crate::sql::discreet(&error))
}
