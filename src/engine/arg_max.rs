//! `arg_max(value, ordering, …)` and `arg_min(value, ordering, …)`: the value in the row in which something else is the greatest or the
//! least.
//!
//! - Rows in which the value or the first ordering is null are left out, as `DuckDB` leaves them out. `arg_max_null` and `arg_min_null` leave
//!   a row out for its ordering alone, and may give null.
//! - Further orderings decide between rows that are equal in the first one. A null in them loses to every value.
//! - Of rows that are equal in all orderings `arg_max` gives the greatest value and `arg_min` the least. So the result is one of the set of
//!   rows, whatever their order.
//!
//! Rows are compared as bytes of Arrow's row format, in which doubles have the total order of IEEE 754.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

/// The aggregates, for an engine to know.
pub fn functions() -> Vec<AggregateUDF> {
    let function = |name, greatest, gives_null| AggregateUDF::from(ArgExtreme::new(name, greatest, gives_null));
    vec![
        function("arg_max", true, false),
        function("arg_min", false, false),
        function("arg_max_null", true, true),
        function("arg_min_null", false, true),
    ]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArgExtreme {
    name: &'static str,
    greatest: bool,
    gives_null: bool,
    signature: Signature,
}

impl ArgExtreme {
    fn new(name: &'static str, greatest: bool, gives_null: bool) -> Self {
        ArgExtreme { name, greatest, gives_null, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn ranking(&self, args: &AccumulatorArgs) -> Result<Ranking> {
        let types: Vec<DataType> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        Ranking::of(&types, self.greatest, self.gives_null)
    }
}

impl AggregateUDFImpl for ArgExtreme {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if arg_types.len() < 2 {
            let name = self.name;
            return Err(DataFusionError::Plan(format!("{name} takes a value and what to order rows by, as in {name}(value, ordering)")));
        }
        let types: Vec<DataType> = arg_types.iter().map(|of| plain(of).clone()).collect();
        if let Some(unfit) = types.iter().find(|of| !can_be_ranked(of)) {
            return Err(DataFusionError::Plan(format!("{} does not take {unfit}", self.name)));
        }
        Ok(types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        arg_types.first().cloned().ok_or_else(|| DataFusionError::Internal(format!("{} has no value", self.name)))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One { ranking: self.ranking(&args)?, best: None }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sliding { ranking: self.ranking(&args)?, rows: BTreeMap::new(), bytes: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = |at: usize| if at == 0 { format!("{}[value]", args.name) } else { format!("{}[ordering {at}]", args.name) };
        let types = args.input_fields.iter().map(|field| field.data_type().clone());
        Ok(types.enumerate().map(|(at, of)| Arc::new(Field::new(name(at), of, true))).collect())
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many { ranking: self.ranking(&args)?, best: Vec::new(), bytes: 0 }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The type of the values of a dictionary; another type itself.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        other => other,
    }
}

/// Whether rows of a type can be compared, and come back as they were.
fn can_be_ranked(data_type: &DataType) -> bool {
    let comes_back = match data_type {
        DataType::Dictionary(..) | DataType::RunEndEncoded(..) | DataType::Union(..) => false,
        DataType::Struct(fields) => fields.iter().all(|field| can_be_ranked(field.data_type())),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::Map(field, _) => {
            can_be_ranked(field.data_type())
        }
        _ => true,
    };
    comes_back && RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

/// How rows are compared: as bytes, of which the greatest win. They hold the orderings and then the value, which decides between rows that
/// are equal in all orderings.
#[derive(Debug)]
struct Ranking {
    converter: RowConverter,
    /// The bytes of a row of nulls, in the place of that of a group without rows.
    nothing: Box<[u8]>,
    gives_null: bool,
}

impl Ranking {
    /// For a value and orderings of these types.
    fn of(types: &[DataType], greatest: bool, gives_null: bool) -> Result<Self> {
        // Where the least wins, bytes are turned round; a null comes before every value either way, and so loses.
        let options = SortOptions { descending: !greatest, nulls_first: true };
        let ranked = || types.iter().skip(1).chain(types.first());
        let converter = RowConverter::new(ranked().map(|of| SortField::new_with_options(of.clone(), options)).collect())?;
        let nulls: Vec<ArrayRef> = ranked().map(|of| new_null_array(of, 1)).collect();
        let nothing = converter.convert_columns(&nulls)?.row(0).data().into();
        Ok(Ranking { converter, nothing, gives_null })
    }

    /// The bytes of rows of the value and the orderings.
    fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        let ranked: Vec<ArrayRef> = columns.iter().skip(1).chain(columns.first()).map(Arc::clone).collect();
        Ok(self.converter.convert_columns(&ranked)?)
    }

    /// Tells which rows are not left out.
    fn counted(&self, columns: &[ArrayRef]) -> impl Fn(usize) -> bool + use<> {
        let nulls = |at: usize| columns.get(at).and_then(Array::logical_nulls);
        let (values, orderings) = (if self.gives_null { None } else { nulls(0) }, nulls(1));
        move |row| [&values, &orderings].into_iter().all(|nulls| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)))
    }

    /// The greatest of rows that are not left out.
    fn best(&self, columns: &[ArrayRef]) -> Result<Option<Box<[u8]>>> {
        let (rows, counted) = (self.rows(columns)?, self.counted(columns));
        let best = (0..rows.num_rows()).filter(|row| counted(*row)).map(|row| rows.row(row)).max();
        Ok(best.map(|row| row.data().into()))
    }

    /// The value and the orderings of rows, from their bytes.
    fn columns<'a>(&'a self, rows: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<Vec<ArrayRef>> {
        let parser = self.converter.parser();
        let rows: Vec<_> = rows.into_iter().map(|row| parser.parse(row.unwrap_or(&self.nothing))).collect();
        let mut columns = self.converter.convert_rows(rows)?;
        columns.rotate_right(1);
        Ok(columns)
    }

    /// As scalars of one row.
    fn scalars(&self, row: Option<&[u8]>) -> Result<Vec<ScalarValue>> {
        self.columns([row])?.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    /// The value of one row.
    fn value(&self, row: Option<&[u8]>) -> Result<ScalarValue> {
        self.scalars(row)?.into_iter().next().ok_or_else(|| DataFusionError::Internal("a row has no value".to_owned()))
    }

    fn size(&self) -> usize {
        self.converter.size() + self.nothing.len()
    }
}

/// Of all rows.
#[derive(Debug)]
struct One {
    ranking: Ranking,
    best: Option<Box<[u8]>>,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let found = self.ranking.best(values)?;
        // Nothing comes before something.
        if found > self.best {
            self.best = found;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.ranking.value(self.best.as_deref())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.ranking.size() + self.best.as_ref().map_or(0, |row| row.len())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.ranking.scalars(self.best.as_deref())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Of the rows of a frame that moves on, which are all kept, with how often each is there.
#[derive(Debug)]
struct Sliding {
    ranking: Ranking,
    rows: BTreeMap<Box<[u8]>, usize>,
    bytes: usize,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (rows, counted) = (self.ranking.rows(values)?, self.ranking.counted(values));
        for row in (0..rows.num_rows()).filter(|row| counted(*row)) {
            let bytes = rows.row(row).data();
            match self.rows.get_mut(bytes) {
                Some(times) => *times += 1,
                None => {
                    self.bytes += bytes.len();
                    self.rows.insert(bytes.into(), 1);
                }
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (rows, counted) = (self.ranking.rows(values)?, self.ranking.counted(values));
        for row in (0..rows.num_rows()).filter(|row| counted(*row)) {
            let bytes = rows.row(row).data();
            let Some(times) = self.rows.get_mut(bytes) else { continue };
            *times -= 1;
            if *times == 0 {
                self.bytes -= bytes.len();
                self.rows.remove(bytes);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.ranking.value(self.rows.last_key_value().map(|(row, _)| row.as_ref()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.ranking.size() + self.bytes + self.rows.len() * size_of::<(Box<[u8]>, usize)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.ranking.scalars(self.rows.last_key_value().map(|(row, _)| row.as_ref()))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Of the rows of each group.
#[derive(Debug)]
struct Many {
    ranking: Ranking,
    best: Vec<Option<Box<[u8]>>>,
    /// The bytes of all of them.
    bytes: usize,
}

impl Many {
    fn emit(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let best = emit_to.take_needed(&mut self.best);
        self.bytes -= best.iter().flatten().map(|row| row.len()).sum::<usize>();
        self.ranking.columns(best.iter().map(Option::as_deref))
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.best.resize(count, None);
        let (rows, counted) = (self.ranking.rows(values)?, self.ranking.counted(values));
        for (row, &group) in groups.iter().enumerate() {
            if !counted(row) || filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row)) {
                continue;
            }
            let (found, best) = (rows.row(row).data(), &mut self.best[group]);
            if best.as_deref().is_none_or(|best| best < found) {
                self.bytes += found.len();
                self.bytes -= best.as_ref().map_or(0, |row| row.len());
                *best = Some(found.into());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let columns = self.emit(emit_to)?;
        columns.into_iter().next().ok_or_else(|| DataFusionError::Internal("a group has no value".to_owned()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.emit(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.update_batch(states, groups, None, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (Some(filter), [value, first, others @ ..]) = (filter, values) else { return Ok(values.to_vec()) };
        let left_out = (0..filter.len()).map(|row| Some(filter.is_null(row) || !filter.value(row))).collect::<BooleanArray>();
        // Without its first ordering a row is left out.
        let first = arrow::compute::nullif(first, &left_out)?;
        Ok([Arc::clone(value), first].into_iter().chain(others.iter().map(Arc::clone)).collect())
    }

    fn size(&self) -> usize {
        self.ranking.size() + self.bytes + self.best.capacity() * size_of::<Option<Box<[u8]>>>()
    }
}

#[cfg(test)]
mod tests;
