//! Conditions on the columns of a table outside of any query: parsing them, binding their parameters, and making them ready to evaluate.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{self, VisitMut};

use super::parameters::Binder;
use super::{Engine, checked};

/// Functions that cannot be evaluated themselves, because DataFusion's optimiser replaces them by other expressions.
const TURNED: [&str; 3] = ["coalesce", "nvl", "nvl2"];

impl Engine {
    /// Parses a condition.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn parse_rule(&self, text: &str) -> Result<ast::Expr, DataFusionError> {
        let dialect = self.state.config_options().sql_parser.dialect;
        self.state.sql_to_expr(text, &dialect)
    }

    /// A parsed condition over a table's columns, with its parameters bound.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn rule(
        &self,
        mut parsed: ast::Expr,
        parameters: &BTreeMap<String, ScalarValue>,
        schema: &DFSchema,
    ) -> Result<Expr, DataFusionError> {
        if let ControlFlow::Break(error) = parsed.visit(&mut Binder { parameters }) {
            return Err(error);
        }
        let parsed = ast::ExprWithAlias { expr: parsed, alias: None };
        self.state.create_logical_expr_from_sql_expr(parsed, schema)
    }

    /// An expression over a table's columns, ready to evaluate.
    ///
    /// # Errors
    /// DataFusion's own.
    pub fn physical(&self, expr: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build());
        let checked = checked::checked(simplifier.coerce(expr, schema)?, schema, self.max_bytes)?.data;
        // The simplifier replaces the functions that cannot be evaluated themselves.
        let is_turned = |part: &Expr| matches!(part, Expr::ScalarFunction(call) if TURNED.contains(&call.name()));
        let checked = if checked.exists(|part| Ok(is_turned(part)))? { simplifier.simplify(checked)? } else { checked };
        self.context.create_physical_expr(checked, schema)
    }
}
