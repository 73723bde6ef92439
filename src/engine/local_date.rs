//! The local date of a timestamp, without a lookup in the time zone database for every row.
//!
//! `cast(moment as date)` looks up the offset of the zone for each value, which takes longer than everything else that is computed from
//! most events. This module looks it up once a day ([`Zone`]).

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, Date32Array};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::overflow;
use crate::local_time::Zone;

/// An optimiser rule that replaces the cast by a function.
#[derive(Debug, Default)]
pub struct LocalDates {
    zones: Mutex<HashMap<Arc<str>, Arc<Zone>>>,
}

impl LocalDates {
    fn zone(&self, name: &Arc<str>) -> Option<Arc<Zone>> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name) {
            return Some(Arc::clone(zone));
        }
        let zone = Arc::new(Zone::named(name)?);
        zones.insert(Arc::clone(name), Arc::clone(&zone));
        Some(zone)
    }

    fn in_place_of_cast(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
        if cast.field.data_type() != &DataType::Date32 {
            return Ok(Transformed::no(expr));
        }
        let DataType::Timestamp(TimeUnit::Microsecond, Some(name)) = cast.expr.get_type(schema)? else { return Ok(Transformed::no(expr)) };
        let Some(zone) = self.zone(&name) else { return Ok(Transformed::no(expr)) };
        let function = LocalDate { zone, signature: Signature::any(1, Volatility::Immutable) };
        Ok(Transformed::yes(ScalarUDF::from(function).call(vec![cast.expr.as_ref().clone()])))
    }
}

impl OptimizerRule for LocalDates {
    fn name(&self) -> &'static str {
        "local_dates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let schema = match &plan {
            LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
            other => merge_schema(&other.inputs()),
        };
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(|part| self.in_place_of_cast(part, &schema))?.update_data(|expr| name.restore(expr)))
        })
    }
}

/// The function that returns the local date of a timestamp.
#[derive(Debug)]
struct LocalDate {
    zone: Arc<Zone>,
    signature: Signature,
}

impl PartialEq for LocalDate {
    fn eq(&self, other: &Self) -> bool {
        self.zone.name() == other.zone.name()
    }
}

impl Eq for LocalDate {}

impl Hash for LocalDate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.zone.name().hash(state);
    }
}

impl ScalarUDFImpl for LocalDate {
    fn name(&self) -> &'static str {
        "local_date"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), DataType::Date32, args.arg_fields.iter().any(|field| field.is_nullable()))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [argument] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a local date is that of one moment".to_owned()));
        };
        let (moments, is_scalar) = match argument {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let beyond = || overflow("a moment lies beyond the calendar");
        let moments = moments.as_primitive::<TimestampMicrosecondType>();
        let dates: Date32Array = moments.try_unary(|moment| self.zone.day_of(moment).ok_or_else(beyond))?;
        Ok(if is_scalar { ColumnarValue::Scalar(ScalarValue::try_from_array(&dates, 0)?) } else { ColumnarValue::Array(Arc::new(dates)) })
    }
}
