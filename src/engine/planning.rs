//! Plans queries: binds parameters, checks types and costs, optimises, and breaks the ties of every order that the result depends on.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;
use datafusion::sql::parser::Statement;

use super::mended::mended;
use super::parameters::bind;
use super::sorted_lists::with_sorted_lists;
use super::{Engine, costs, order};

impl Engine {
    /// Plans a statement with its parameters bound.
    ///
    /// # Errors
    /// DataFusion's own, for the caller to put beside the SQL.
    pub async fn plan(&self, statement: &Statement, parameters: &BTreeMap<String, ScalarValue>) -> Result<LogicalPlan, DataFusionError> {
        let bound = bind(statement.clone(), parameters)?;
        let plan = self.state.statement_to_plan(bound).await?;
        costs::parts(&plan)?;
        read_only().verify_plan(&plan)?;
        mended(plan)
    }

    /// A planned query with its types checked, and made to agree: planning alone does neither.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn typed(&self, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        // The passes of the optimiser would take most of the time and check nothing more.
        self.state.analyzer().execute_and_check(plan.clone(), self.state.config_options(), |_, _| {})
    }

    /// A planned query as it will run. Its types are checked.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn optimize(&self, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        self.optimized(&self.state, plan)
    }

    /// Finds out whether the engine can run a planned query, without running it.
    ///
    /// # Errors
    /// DataFusion's own, where it understands a query and has no way to compute it.
    pub async fn check_runs(&self, plan: &LogicalPlan) -> Result<(), DataFusionError> {
        let plan = self.optimized(&self.state, plan)?;
        self.state.query_planner().create_physical_plan(&plan, self.state.as_ref()).await.map(|_| ())
    }

    /// The number of parts of the largest column of a planned query. A query that reads a view of it has as many more.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn parts(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
        costs::parts(plan)
    }

    /// A planned query, ready to run.
    pub fn frame(&self, plan: LogicalPlan) -> DataFrame {
        DataFrame::new(self.context.state(), plan)
    }

    /// A query over registered tables. A statement that would write is an error.
    ///
    /// # Errors
    /// DataFusion's own.
    pub async fn query(&self, sql: &str) -> Result<DataFrame, DataFusionError> {
        self.context.sql_with_options(sql, read_only()).await
    }

    /// Names a query of a native step, for its other queries. It is computed where it is read.
    ///
    /// # Errors
    /// As [`Engine::query`].
    pub async fn name_query(&self, name: &str, sql: &str) -> Result<(), DataFusionError> {
        let plan = self.query(sql).await?.into_unoptimized_plan();
        self.register_view(name, plan).map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The plan that will run: optimised, and with a total order wherever the result depends on one.
    pub(super) fn optimized(&self, state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        let plan = with_sorted_lists(state.optimize(plan)?)?;
        costs::refuse_large_constants(&plan)?;
        order::with_ties_broken(plan, &self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Options that allow queries only. Statements that write are refused earlier, when SQL is parsed; this is the second line of defence.
fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}
