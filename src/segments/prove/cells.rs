//! The cells into which a set's terms divide customers, and which rules match in each, as DataFusion evaluates them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use super::finite::{from_whole, listed, whole};
use super::terms::{Origin, Term};
use crate::cast::is_text;
use crate::engine::Engine;

/// The most cells over which a set is proved. They take a fraction of a second.
pub const MOST_CELLS: usize = 1 << 18;
/// Cells that are evaluated in one batch.
const BATCH_CELLS: usize = 8192;

/// Values of a term that no condition distinguishes.
#[derive(Debug, Clone)]
pub struct Class {
    /// One of them.
    pub value: ScalarValue,
    /// The class in an example, such as `r_score = 3`.
    pub label: String,
    /// Whether the declarations say that such customers can exist; otherwise it is unknown.
    pub certain: bool,
    /// How many values the class has; `None` if they cannot be counted.
    pub values: Option<u64>,
}

/// A term with its classes.
#[derive(Debug)]
struct Axis {
    name: String,
    field: Field,
    classes: Vec<Class>,
    /// How many cells lie between two neighbouring classes.
    stride: usize,
    known: bool,
    /// The class of the greatest value that was tried, or of the text that stands for all others.
    last: usize,
    /// Whether it is a column of the profile, and not something that conditions make of columns.
    is_column: bool,
}

/// All combinations of the classes of some terms. Terms whose values are not known vary fastest.
#[derive(Debug)]
pub struct Grid {
    axes: Vec<Axis>,
    schema: DFSchema,
    /// How many cells there are.
    pub cells: usize,
    /// How many neighbouring cells differ in unknown terms alone.
    pub inner: usize,
}

/// Cells that agree in all terms that matter.
#[derive(Debug)]
pub struct Example {
    /// The cells in words.
    pub shown: String,
    /// For each axis, the class that matters.
    fixed: Vec<Option<usize>>,
}

/// The reason why there is no grid.
#[derive(Debug)]
pub enum NoGrid {
    /// There would be this many cells.
    TooLarge(u128),
    /// A condition fails for a possible value.
    Fails(DataFusionError),
}

impl From<DataFusionError> for NoGrid {
    fn from(error: DataFusionError) -> Self {
        NoGrid::Fails(error)
    }
}

impl Grid {
    /// The grid of some terms.
    pub fn new(engine: &Engine, terms: &[Term]) -> Result<Self, NoGrid> {
        let mut axes = Vec::new();
        for term in terms {
            let field = Field::new(&term.name, term.data_type.clone(), term.nullable);
            let (classes, last) = classes(engine, term)?;
            let is_column = matches!(term.origin, Origin::Declared(_) | Origin::Column);
            axes.push(Axis { name: term.name.clone(), field, classes, stride: 1, known: term.is_known(), last, is_column });
        }
        // A stable sort: terms stay in the order in which the rules name them.
        axes.sort_by_key(|axis| !axis.known);
        let size = axes.iter().fold(1_u128, |size, axis| size.saturating_mul(axis.classes.len() as u128));
        let cells = usize::try_from(size).ok().filter(|cells| *cells <= MOST_CELLS).ok_or(NoGrid::TooLarge(size))?;
        let mut stride = 1;
        let mut inner = 1;
        for axis in axes.iter_mut().rev() {
            axis.stride = stride;
            stride *= axis.classes.len();
            if !axis.known {
                inner = stride;
            }
        }
        let schema = Schema::new(axes.iter().map(|axis| axis.field.clone()).collect::<Vec<_>>());
        Ok(Grid { axes, schema: DFSchema::try_from(schema)?, cells, inner })
    }

    /// The cells in which a condition is true.
    pub fn ask(&self, engine: &Engine, condition: &Expr) -> Result<Vec<bool>, DataFusionError> {
        let physical = engine.physical(condition.clone(), &self.schema)?;
        let mut answers = Vec::with_capacity(self.cells);
        let values: Vec<ArrayRef> =
            self.axes.iter().map(|axis| column_of(axis.classes.iter().map(|class| &class.value))).collect::<Result<_, _>>()?;
        for start in (0..self.cells).step_by(BATCH_CELLS) {
            let end = (start + BATCH_CELLS).min(self.cells);
            let mut arrays = Vec::with_capacity(self.axes.len());
            for (axis, values) in self.axes.iter().zip(&values) {
                let class = |cell: usize| u32::try_from(axis.class_of(cell)).unwrap_or(u32::MAX);
                arrays.push(take(values, &(start..end).map(class).collect::<UInt32Array>(), None)?);
            }
            let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(end - start));
            let batch = RecordBatch::try_new_with_options(Arc::clone(self.schema.inner()), arrays, &options)?;
            let answer = physical.evaluate(&batch)?.into_array(end - start)?;
            let answer = answer.as_boolean();
            answers.extend((0..answer.len()).map(|row| answer.is_valid(row) && answer.value(row)));
        }
        Ok(answers)
    }

    /// The columns whose null makes a condition unknown in some cell, while it would match if the column had any value but a few.
    pub fn dropped(&self, possible: &[bool], matched: &[bool], unknown: &[bool]) -> Vec<String> {
        let drops = |axis: &&Axis| {
            let Some(null) = axis.classes.iter().position(|class| class.value.is_null()) else { return false };
            let is_dropped = |cell: usize| {
                let with = |class: usize| matched[cell - null * axis.stride + class * axis.stride];
                possible[cell] && unknown[cell] && axis.class_of(cell) == null && axis.holds_for_most(with)
            };
            axis.is_column && (0..self.cells).any(is_dropped)
        };
        self.axes.iter().filter(drops).map(|axis| axis.name.clone()).collect()
    }

    /// Whether customers like this exist as far as is declared, whatever the unknown terms.
    pub fn is_certain(&self, cell: usize) -> bool {
        self.axes.iter().filter(|axis| axis.known).all(|axis| axis.classes[axis.class_of(cell)].certain)
    }

    /// How many combinations of values a cell stands for; none when they cannot be counted.
    pub fn values(&self, cell: usize) -> Option<u64> {
        self.axes.iter().try_fold(1_u64, |all, axis| all.checked_mul(axis.classes[axis.class_of(cell)].values?))
    }

    /// A cell without the terms whose values do not matter: all cells with the same remaining values are alike.
    pub fn example(&self, cell: usize, like_it: &[bool]) -> Example {
        let mut fixed: Vec<Option<usize>> = self.axes.iter().map(|axis| Some(axis.class_of(cell))).collect();
        // Unknown terms are left out first.
        for at in (0..self.axes.len()).rev() {
            let class = fixed[at].take();
            if !(0..self.cells).filter(|&other| self.is_like(other, &fixed)).all(|other| like_it[other]) {
                fixed[at] = class;
            }
        }
        let kept = self.axes.iter().zip(&fixed).filter_map(|(axis, class)| class.map(|class| axis.classes[class].label.as_str()));
        let labels: Vec<&str> = kept.collect();
        let shown = if labels.is_empty() { "any values".to_owned() } else { labels.join(", ") };
        Example { shown, fixed }
    }

    /// Whether a cell is one of those that an example stands for.
    pub fn is_in(&self, cell: usize, example: &Example) -> bool {
        self.is_like(cell, &example.fixed)
    }

    fn is_like(&self, cell: usize, fixed: &[Option<usize>]) -> bool {
        self.axes.iter().zip(fixed).all(|(axis, class)| class.is_none_or(|class| axis.class_of(cell) == class))
    }

    /// The terms that an example of this cell may name and of which nothing was declared, by the column's name.
    pub fn undeclared(&self, terms: &[Term]) -> Vec<String> {
        let plain = |axis: &&Axis| terms.iter().any(|term| term.name == axis.name && term.origin == Origin::Column);
        self.axes.iter().filter(plain).map(|axis| axis.name.clone()).collect()
    }
}

impl Axis {
    /// Whether what holds for some classes holds for most values: for false and not for true, for all texts but a few, or for the smallest
    /// and the greatest numbers.
    fn holds_for_most(&self, holds: impl Fn(usize) -> bool) -> bool {
        if self.field.data_type() == &DataType::Boolean {
            let mut known = self.classes.iter().enumerate().filter(|(_, class)| !class.value.is_null());
            return known.all(|(at, class)| holds(at) == (class.value == ScalarValue::from(false)));
        }
        holds(self.last) && (is_text(self.field.data_type()) || holds(0))
    }

    fn class_of(&self, cell: usize) -> usize {
        cell / self.stride % self.classes.len()
    }
}

/// The values of a term, grouped into classes that no condition distinguishes.
/// The class of the last value that is not null comes with them.
fn classes(engine: &Engine, term: &Term) -> Result<(Vec<Class>, usize), DataFusionError> {
    let (mut values, finite) = candidates(term)?;
    let mut last = 0;
    if term.nullable {
        values.push(ScalarValue::try_from(&term.data_type)?);
    }
    let column = column_of(values.iter())?;
    let schema = Arc::new(Schema::new(vec![Field::new(&term.name, term.data_type.clone(), term.nullable)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column])?;
    let schema = DFSchema::try_from(schema.as_ref().clone())?;
    let mut answers: Vec<BooleanArray> = Vec::new();
    for atom in &term.atoms {
        let answer = engine.physical(atom.clone(), &schema)?.evaluate(&batch)?.into_array(values.len())?;
        answers.push(answer.as_boolean().clone());
    }
    let mut classes: Vec<Class> = Vec::new();
    let mut known: HashMap<Vec<Option<bool>>, usize> = HashMap::new();
    for (row, value) in values.into_iter().enumerate() {
        let answer: Vec<Option<bool>> = answers.iter().map(|answer| answer.is_valid(row).then(|| answer.value(row))).collect();
        let (is_null, single) = (value.is_null(), finite.then_some(1));
        if !is_null {
            last = known.get(&answer).copied().unwrap_or(classes.len());
        }
        // Null is a class of its own, because an example should name it.
        if let (Some(&at), false, false) = (known.get(&answer), term.every_value, is_null) {
            let class: &mut Class = &mut classes[at];
            class.values = class.values.zip(single).map(|(values, more)| values + more);
            continue;
        }
        if !is_null {
            known.insert(answer, classes.len());
        }
        let certain = match &term.origin {
            Origin::Declared(_) => true,
            Origin::Column => finite && !is_null,
            Origin::Derived | Origin::Order(..) | Origin::Opaque => false,
        };
        classes.push(Class { label: label(term, &value), value, certain, values: single });
    }
    Ok((classes, last))
}

/// The values of a term, or some of each interval between its constants, and whether these are all values.
fn candidates(term: &Term) -> Result<(Vec<ScalarValue>, bool), DataFusionError> {
    match &term.origin {
        Origin::Order(..) => return Ok(((-1..=1).map(|sign| ScalarValue::Int64(Some(sign))).collect(), false)),
        Origin::Declared(domain) => {
            if let Some(values) = listed(domain) {
                let admitted = domain.admits(&column_of(values.iter())?)?;
                return Ok((kept(values, &admitted), true));
            }
        }
        _ => {}
    }
    if term.data_type == DataType::Boolean {
        return Ok((vec![ScalarValue::from(true), ScalarValue::from(false)], term.is_known()));
    }
    let constants: Vec<ScalarValue> = term.constants.iter().filter_map(|constant| constant.cast_to(&term.data_type).ok()).collect();
    if is_text(&term.data_type) {
        return texts(term, &constants).map(|values| (values, false));
    }
    let mut values: Vec<ScalarValue> = constants.iter().flat_map(neighbours).collect();
    if let Origin::Declared(domain) = &term.origin {
        values.extend(domain.min.iter().chain(&domain.max).flat_map(neighbours));
    }
    if values.is_empty() {
        values.extend(from_whole(0, &term.data_type));
    }
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values.dedup();
    if let Origin::Declared(domain) = &term.origin {
        let admitted = domain.admits(&column_of(values.iter())?)?;
        values = kept(values, &admitted);
    }
    Ok((values, false))
}

/// Texts: the constants, and another one; where the order matters, those before and after each.
fn texts(term: &Term, constants: &[ScalarValue]) -> Result<Vec<ScalarValue>, DataFusionError> {
    let mut texts: Vec<String> = constants.iter().filter_map(|constant| constant.try_as_str().flatten().map(str::to_owned)).collect();
    if term.is_ordered() {
        texts.extend(texts.clone().into_iter().map(|text| text + AFTER));
        texts.push(String::new());
        texts.sort();
    } else {
        texts.push(other_text(&texts));
    }
    texts.into_iter().map(|text| ScalarValue::from(text).cast_to(&term.data_type)).collect()
}

/// What makes a text the next one in order.
const AFTER: &str = "\u{0}";
/// A text that stands for all texts other than the constants.
const OTHER: &str = "another text";

fn other_text(constants: &[String]) -> String {
    let mut text = OTHER.to_owned();
    while constants.contains(&text) {
        text.push('…');
    }
    text
}

/// A value and those beside it: the next ones of its type, and those one unit away.
pub fn neighbours(value: &ScalarValue) -> Vec<ScalarValue> {
    match value {
        ScalarValue::Decimal128(Some(digits), precision, scale) => {
            let unit = 10_i128.saturating_pow(scale.unsigned_abs().into());
            let beside = [-unit, -1, 0, 1, unit].into_iter().filter_map(|step| digits.checked_add(step));
            let most = 10_i128.saturating_pow((*precision).into());
            beside.filter(|digits| digits.abs() < most).map(|digits| ScalarValue::Decimal128(Some(digits), *precision, *scale)).collect()
        }
        ScalarValue::Float64(Some(number)) => {
            let beside = [number - 1.0, number.next_down(), *number, number.next_up(), number + 1.0];
            beside.map(|number| ScalarValue::Float64(Some(number))).to_vec()
        }
        ScalarValue::Float32(Some(number)) => {
            let beside = [number - 1.0, number.next_down(), *number, number.next_up(), number + 1.0];
            beside.map(|number| ScalarValue::Float32(Some(number))).to_vec()
        }
        other => {
            let Some(number) = whole(other) else { return Vec::new() };
            // A moment may be compared as a day or in another zone.
            let steps = match other.data_type() {
                DataType::Timestamp(unit, _) => vec![-day_in(unit), -1, 0, 1, day_in(unit)],
                _ => vec![-1, 0, 1],
            };
            let beside = steps.into_iter().filter_map(|step| number.checked_add(step));
            beside.filter_map(|number| from_whole(number, &other.data_type())).collect()
        }
    }
}

/// A day in units of a moment.
fn day_in(unit: TimeUnit) -> i64 {
    const SECONDS: i64 = 24 * 60 * 60;
    match unit {
        TimeUnit::Second => SECONDS,
        TimeUnit::Millisecond => SECONDS * 1_000,
        TimeUnit::Microsecond => SECONDS * 1_000_000,
        TimeUnit::Nanosecond => SECONDS * 1_000_000_000,
    }
}

fn kept(values: Vec<ScalarValue>, keep: &BooleanArray) -> Vec<ScalarValue> {
    values.into_iter().enumerate().filter(|(at, _)| keep.is_valid(*at) && keep.value(*at)).map(|(_, value)| value).collect()
}

fn column_of<'a>(values: impl Iterator<Item = &'a ScalarValue>) -> Result<ArrayRef, DataFusionError> {
    ScalarValue::iter_to_array(values.cloned())
}

/// A value of a term as an example shows it.
fn label(term: &Term, value: &ScalarValue) -> String {
    let name = &term.shown;
    match (&term.origin, value) {
        (Origin::Order(one, other), value) => match value {
            ScalarValue::Int64(Some(-1)) => format!("{one} < {other}"),
            ScalarValue::Int64(Some(0)) => format!("{one} = {other}"),
            ScalarValue::Int64(Some(1)) => format!("{one} > {other}"),
            _ => format!("{one} or {other} is null"),
        },
        (_, value) if value.is_null() => format!("{name} is null"),
        (Origin::Opaque, value) => format!("({name}) is {value}"),
        (_, value) => match value.try_as_str().flatten() {
            Some(text) if text.ends_with(AFTER) => format!("{name} after '{}'", text.trim_end_matches(AFTER)),
            Some(text) if text.starts_with(OTHER) && !matches!(&term.origin, Origin::Declared(domain) if !domain.accepted.is_empty()) => {
                format!("{name} is another text")
            }
            Some(text) => format!("{name} = '{text}'"),
            None => {
                let shown = value.to_array().and_then(|array| Ok(arrow::util::display::array_value_to_string(&array, 0)?));
                format!("{name} = {}", shown.unwrap_or_else(|_| value.to_string()))
            }
        },
    }
}
