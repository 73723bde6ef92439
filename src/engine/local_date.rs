//! The local day of a moment, without asking the time zone database for every row.
//!
//! `cast(moment as date)` looks the zone's offset up for each value, which takes longer than all else that is done with most events. Here
//! the offset is looked up once for a day.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::timezone::Tz;
use arrow::array::{AsArray, Date32Array, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Offset, TimeZone};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

const MICROSECONDS: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * MICROSECONDS;
/// How close a day is looked at: between two moments so far apart no zone changes its offset and changes it back.
const STEP: i64 = 15 * 60 * MICROSECONDS;
/// The days whose offsets are kept, counted from 1970-01-01: those from 1930 until 2129.
const FIRST_DAY: i64 = -14_610;
const DAYS: usize = 73_000;
/// Not looked up yet.
const UNKNOWN: i32 = i32::MAX;
/// The offset changes in the course of the day.
const CHANGES: i32 = i32::MIN;

/// What is known of a time zone: for every day, counted in UTC, by how many seconds its clocks are ahead of UTC.
struct Zone {
    zone: Tz,
    offsets: Vec<AtomicI32>,
}

impl Zone {
    fn new(zone: Tz) -> Self {
        Zone { zone, offsets: (0..DAYS).map(|_| AtomicI32::new(UNKNOWN)).collect() }
    }

    fn dates(&self, moments: &PrimitiveArray<TimestampMicrosecondType>) -> Result<Date32Array> {
        moments.try_unary(|moment| {
            let ahead = match self.offset_of(moment.div_euclid(DAY)) {
                CHANGES => self.offset_at(moment),
                offset => Some(offset),
            };
            let local = ahead.and_then(|ahead| moment.checked_add(i64::from(ahead) * MICROSECONDS));
            let date = local.and_then(|local| i32::try_from(local.div_euclid(DAY)).ok());
            date.ok_or_else(|| DataFusionError::Execution("a moment lies beyond the calendar".to_owned()))
        })
    }

    /// The offset during the whole of a day; [`CHANGES`] for one that must be looked at more closely.
    fn offset_of(&self, day: i64) -> i32 {
        let known = usize::try_from(day - FIRST_DAY).ok().and_then(|at| self.offsets.get(at));
        let Some(known) = known else { return CHANGES };
        let offset = known.load(Ordering::Relaxed);
        if offset != UNKNOWN {
            return offset;
        }
        let mut offsets = (0..=DAY / STEP).map(|step| self.offset_at(day * DAY + step * STEP));
        let first = offsets.next().flatten().unwrap_or(CHANGES);
        let offset = if offsets.all(|offset| offset == Some(first)) { first } else { CHANGES };
        known.store(offset, Ordering::Relaxed);
        offset
    }

    fn offset_at(&self, moment: i64) -> Option<i32> {
        let utc = DateTime::from_timestamp_micros(moment)?.naive_utc();
        Some(self.zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }
}

/// The rule that puts the function in the place of the cast.
#[derive(Debug, Default)]
pub struct LocalDates {
    zones: Mutex<HashMap<Arc<str>, Arc<Named>>>,
}

impl LocalDates {
    fn zone(&self, name: &Arc<str>) -> Option<Arc<Named>> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = zones.get(name) {
            return Some(Arc::clone(zone));
        }
        let zone = Arc::new(Named { name: Arc::clone(name), zone: Zone::new(name.parse().ok()?) });
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

struct Named {
    name: Arc<str>,
    zone: Zone,
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// The local day of a moment.
#[derive(Debug)]
struct LocalDate {
    zone: Arc<Named>,
    signature: Signature,
}

impl PartialEq for LocalDate {
    fn eq(&self, other: &Self) -> bool {
        self.zone.name == other.zone.name
    }
}

impl Eq for LocalDate {}

impl Hash for LocalDate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.zone.name.hash(state);
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
        let dates = self.zone.zone.dates(moments.as_primitive())?;
        Ok(if is_scalar { ColumnarValue::Scalar(ScalarValue::try_from_array(&dates, 0)?) } else { ColumnarValue::Array(Arc::new(dates)) })
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Date32Type;

    use super::*;

    /// Zones that change their clocks at midnight, by half an hour, by a whole day, or never.
    const ZONES: [&str; 8] =
        ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata", "America/St_Johns", "+05:45"];

    fn dates_agree(zone: &str, moments: Vec<Option<i64>>) {
        let moments = PrimitiveArray::<TimestampMicrosecondType>::from(moments).with_timezone(zone);
        let dates = Zone::new(zone.parse().unwrap()).dates(&moments).unwrap();
        let cast = arrow::compute::cast(&moments, &DataType::Date32).unwrap();
        assert_eq!(&dates, cast.as_primitive::<Date32Type>(), "{zone}");
    }

    #[test]
    fn local_dates_are_those_of_the_cast() {
        for zone in ZONES {
            // Every two hours or so of 1930 to 2037, every minute in turn; then the ends of what is kept, far off, and null.
            let dense = (-1_262_304_000..2_145_916_800).step_by(7_193).map(|second: i64| Some(second * MICROSECONDS));
            let ends = (FIRST_DAY - 2..FIRST_DAY + 3).chain(70_000..70_003).flat_map(|day| [Some(day * DAY - 1), Some(day * DAY)]);
            dates_agree(zone, dense.chain(ends).chain([None, Some(-DAY * 800_000), Some(DAY * 800_000), Some(-1), Some(0)]).collect());
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_refused() {
        let moments = PrimitiveArray::<TimestampMicrosecondType>::from(vec![i64::MAX]);
        assert!(Zone::new("Europe/Berlin".parse().unwrap()).dates(&moments).is_err());
    }
}
