//! Exact aggregates that replace those of DataFusion which would wrap around, or whose results would depend on the order of rows: sums,
//! means, variances and other quotients of sums, and the extremes of doubles.

mod double;
mod extremes;
mod moments;
mod tally;
mod whole;

pub use whole::{beyond, fits_precision};

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Field, FieldRef, Int64Type, TimeUnit, UInt64Type,
};
use datafusion::common::types::{NativeType, logical_float64, logical_int64, logical_uint64};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::{average, correlation, covariance, min_max, regr, stddev, sum, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, GroupsAccumulator, ReversedUDAF, Signature, TypeSignature, TypeSignatureClass,
    Volatility,
};

use extremes::Extreme;
use whole::Settings;

/// The exact aggregates. They have the names of the aggregates that they replace.
pub fn functions() -> Vec<AggregateUDF> {
    let mut all = vec![
        AggregateUDF::from(Exact::new(sum::sum_udaf(), Kind::Sum)),
        AggregateUDF::from(Exact::new(average::avg_udaf(), Kind::Mean)),
        AggregateUDF::from(Extreme(min_max::min_udaf())),
        AggregateUDF::from(Extreme(min_max::max_udaf())),
    ];
    let squares = [
        (variance::var_samp_udaf(), moments::var_samp as tally::Finish<_>),
        (variance::var_pop_udaf(), moments::var_pop),
        (stddev::stddev_udaf(), moments::stddev_samp),
        (stddev::stddev_pop_udaf(), moments::stddev_pop),
    ];
    let pairs = [
        (covariance::covar_samp_udaf(), moments::covar_samp as tally::Finish<_>),
        (covariance::covar_pop_udaf(), moments::covar_pop),
        (correlation::corr_udaf(), moments::corr),
        (regr::regr_slope_udaf(), moments::regr_slope),
        (regr::regr_intercept_udaf(), moments::regr_intercept),
        (regr::regr_count_udaf(), moments::regr_count),
        (regr::regr_r2_udaf(), moments::regr_r2),
        (regr::regr_avgx_udaf(), moments::regr_avgx),
        (regr::regr_avgy_udaf(), moments::regr_avgy),
        (regr::regr_sxx_udaf(), moments::regr_sxx),
        (regr::regr_syy_udaf(), moments::regr_syy),
        (regr::regr_sxy_udaf(), moments::regr_sxy),
    ];
    all.extend(squares.into_iter().map(|(instead_of, finish)| Exact::new(instead_of, Kind::Squares(finish)).into()));
    all.extend(pairs.into_iter().map(|(instead_of, finish)| Exact::new(instead_of, Kind::Pairs(finish)).into()));
    all
}

/// What an aggregate computes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sum,
    Mean,
    Squares(tally::Finish<moments::Squares>),
    Pairs(tally::Finish<moments::Pairs>),
}

/// An exact aggregate with the name and the types of the DataFusion aggregate that it replaces.
#[derive(Debug)]
struct Exact {
    instead_of: Arc<AggregateUDF>,
    kind: Kind,
    signature: Signature,
}

impl Exact {
    fn new(instead_of: Arc<AggregateUDF>, kind: Kind) -> Self {
        let signature = match kind {
            Kind::Sum | Kind::Mean => numbers(),
            Kind::Squares(_) => Signature::exact(vec![DataType::Float64], Volatility::Immutable),
            Kind::Pairs(_) => Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable),
        };
        Exact { instead_of, kind, signature }
    }

    fn settings(&self, input: &DataType, result: &DataType) -> Settings {
        Settings { input: input.clone(), result: result.clone(), counts: matches!(self.kind, Kind::Mean) }
    }

    fn is_of_doubles(&self, input: &DataType) -> bool {
        !matches!(self.kind, Kind::Sum | Kind::Mean) || *input == DataType::Float64
    }

    fn unfit(&self, input: &DataType) -> DataFusionError {
        DataFusionError::Plan(format!("{} does not take {input}", self.instead_of.name()))
    }
}

/// The argument types of a sum or a mean: integers, which are cast to 64 bits, doubles, decimals and durations.
fn numbers() -> Signature {
    let integers = |native, logical| {
        TypeSignature::Coercible(vec![Coercion::new_implicit(
            TypeSignatureClass::Native(logical),
            vec![TypeSignatureClass::Integer],
            native,
        )])
    };
    let unsigned = Coercion::new_exact(TypeSignatureClass::Native(logical_uint64()));
    let double =
        Coercion::new_implicit(TypeSignatureClass::Native(logical_float64()), vec![TypeSignatureClass::Float], NativeType::Float64);
    Signature::one_of(
        vec![
            TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Decimal)]),
            TypeSignature::Coercible(vec![unsigned]),
            integers(NativeType::Int64, logical_int64()),
            TypeSignature::Coercible(vec![double]),
            TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Duration)]),
        ],
        Volatility::Immutable,
    )
}

/// Calls a generic constructor with the integer type of a column and the function that turns its sums into results.
macro_rules! by_type {
    ($kind:expr, $input:expr, $build:ident, $otherwise:expr) => {
        match ($kind, $input) {
            (Kind::Sum, DataType::Int64) => $build!(Int64Type, whole::sums::<Int64Type>),
            (Kind::Mean, DataType::Int64) => $build!(Int64Type, whole::means_as_doubles::<Int64Type>),
            (Kind::Sum, DataType::UInt64) => $build!(UInt64Type, whole::sums::<UInt64Type>),
            (Kind::Mean, DataType::UInt64) => $build!(UInt64Type, whole::means_as_doubles::<UInt64Type>),
            (Kind::Sum, DataType::Decimal32(..)) => $build!(Decimal32Type, whole::sums::<Decimal32Type>),
            (Kind::Mean, DataType::Decimal32(..)) => $build!(Decimal32Type, whole::means::<Decimal32Type>),
            (Kind::Sum, DataType::Decimal64(..)) => $build!(Decimal64Type, whole::sums::<Decimal64Type>),
            (Kind::Mean, DataType::Decimal64(..)) => $build!(Decimal64Type, whole::means::<Decimal64Type>),
            (Kind::Sum, DataType::Decimal128(..)) => $build!(Decimal128Type, whole::sums::<Decimal128Type>),
            (Kind::Mean, DataType::Decimal128(..)) => $build!(Decimal128Type, whole::means::<Decimal128Type>),
            (Kind::Sum, DataType::Decimal256(..)) => $build!(Decimal256Type, whole::sums::<Decimal256Type>),
            (Kind::Mean, DataType::Decimal256(..)) => $build!(Decimal256Type, whole::means::<Decimal256Type>),
            (Kind::Sum, DataType::Duration(TimeUnit::Second)) => $build!(DurationSecondType, whole::sums::<DurationSecondType>),
            (Kind::Mean, DataType::Duration(TimeUnit::Second)) => $build!(DurationSecondType, whole::means::<DurationSecondType>),
            (Kind::Sum, DataType::Duration(TimeUnit::Millisecond)) => {
                $build!(DurationMillisecondType, whole::sums::<DurationMillisecondType>)
            }
            (Kind::Mean, DataType::Duration(TimeUnit::Millisecond)) => {
                $build!(DurationMillisecondType, whole::means::<DurationMillisecondType>)
            }
            (Kind::Sum, DataType::Duration(TimeUnit::Microsecond)) => {
                $build!(DurationMicrosecondType, whole::sums::<DurationMicrosecondType>)
            }
            (Kind::Mean, DataType::Duration(TimeUnit::Microsecond)) => {
                $build!(DurationMicrosecondType, whole::means::<DurationMicrosecondType>)
            }
            (Kind::Sum, DataType::Duration(TimeUnit::Nanosecond)) => $build!(DurationNanosecondType, whole::sums::<DurationNanosecondType>),
            (Kind::Mean, DataType::Duration(TimeUnit::Nanosecond)) => {
                $build!(DurationNanosecondType, whole::means::<DurationNanosecondType>)
            }
            _ => $otherwise,
        }
    };
}

impl Exact {
    fn one(&self, input: &DataType, result: &DataType) -> Result<Box<dyn Accumulator>> {
        macro_rules! one {
            ($type:ty, $finish:expr) => {
                Ok(Box::new(whole::One::<$type>::new(self.settings(input, result), $finish)))
            };
        }
        match self.kind {
            Kind::Squares(finish) => Ok(Box::new(tally::One::new(finish))),
            Kind::Pairs(finish) => Ok(Box::new(tally::One::new(finish))),
            Kind::Sum if *input == DataType::Float64 => Ok(Box::new(tally::One::new(moments::sum))),
            Kind::Mean if *input == DataType::Float64 => Ok(Box::new(tally::One::new(moments::mean))),
            kind => by_type!(kind, input, one, Err(self.unfit(input))),
        }
    }

    fn distinct(&self, input: &DataType, result: &DataType) -> Result<Box<dyn Accumulator>> {
        macro_rules! distinct {
            ($type:ty, $finish:expr) => {
                Ok(Box::new(whole::Distinct::<$type>::new(self.settings(input, result), $finish)))
            };
        }
        match self.kind {
            Kind::Squares(finish) => Ok(Box::new(tally::Distinct::new(finish))),
            Kind::Pairs(_) => Err(DataFusionError::Plan(format!("{} does not take distinct pairs", self.instead_of.name()))),
            Kind::Sum if *input == DataType::Float64 => Ok(Box::new(tally::Distinct::new(moments::sum))),
            Kind::Mean if *input == DataType::Float64 => Ok(Box::new(tally::Distinct::new(moments::mean))),
            kind => by_type!(kind, input, distinct, Err(self.unfit(input))),
        }
    }

    fn many(&self, input: &DataType, result: &DataType) -> Result<Box<dyn GroupsAccumulator>> {
        macro_rules! many {
            ($type:ty, $finish:expr) => {
                Ok(Box::new(whole::Many::<$type>::new(self.settings(input, result), $finish)))
            };
        }
        match self.kind {
            Kind::Squares(finish) => Ok(Box::new(tally::Many::new(finish))),
            Kind::Pairs(finish) => Ok(Box::new(tally::Many::new(finish))),
            Kind::Sum if *input == DataType::Float64 => Ok(Box::new(tally::Many::new(moments::sum))),
            Kind::Mean if *input == DataType::Float64 => Ok(Box::new(tally::Many::new(moments::mean))),
            kind => by_type!(kind, input, many, Err(self.unfit(input))),
        }
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.instead_of == other.instead_of
    }
}

impl Eq for Exact {}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.instead_of.name().hash(state);
    }
}

fn input<'a>(args: &'a AccumulatorArgs<'_>) -> &'a DataType {
    args.expr_fields.first().map_or(&DataType::Null, |field| field.data_type())
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.instead_of.name()
    }

    fn aliases(&self) -> &[String] {
        self.instead_of.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match (self.kind, arg_types.first()) {
            (Kind::Mean, Some(DataType::Int64 | DataType::UInt64)) => Ok(DataType::Float64),
            _ => self.instead_of.return_type(arg_types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct { self.distinct(input(&args), args.return_type()) } else { self.one(input(&args), args.return_type()) }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map_or(&DataType::Null, |field| field.data_type());
        let field = |what: &str, data_type, nullable| Arc::new(Field::new(format!("{}[{what}]", args.name), data_type, nullable));
        if self.is_of_doubles(input) {
            return Ok(vec![field("exact", DataType::LargeBinary, true)]);
        }
        if args.is_distinct {
            return Ok(vec![field("distinct", DataType::new_list(input.clone(), true), true)]);
        }
        let settings = self.settings(input, args.return_type());
        let low = if settings.counts { settings.input } else { settings.result };
        let mut fields = vec![field("sum", low, true), field("carry", DataType::Int64, true)];
        if settings.counts {
            fields.push(field("rows", DataType::UInt64, true));
        }
        Ok(fields)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.many(input(&args), args.return_type())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn is_nullable(&self) -> bool {
        self.instead_of.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<datafusion::common::ScalarValue> {
        self.instead_of.default_value(data_type)
    }
}
