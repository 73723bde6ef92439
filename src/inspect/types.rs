//! Chooses the type of a column, and how it writes its values, from values that were sampled.

use std::collections::BTreeMap;

use super::look::{self, Look};
use super::table::{Column, Held};
use super::words::{self, TRUTHS};
use super::{dates, names, numbers};

/// Values of which fewer than this share are of a type are texts.
const LEAST_SHARE: f64 = 0.9;
/// With fewer values a choice is not sure.
const FEW_VALUES: usize = 5;

/// What columns of the same source say that one column needs to know.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Whether fields are separated by something else than commas, as where the comma is the decimal point.
    pub likes_comma: bool,
    /// Whether other columns write the day before the month.
    pub day_first: Option<bool>,
    /// The words that stand for no value without being named, in lower case.
    pub null_words: Vec<String>,
}

/// A type, without its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A decimal with so many digits before the point and after it.
    Decimal(usize, usize),
    /// A double.
    Double,
    /// A truth.
    Boolean,
    /// A day.
    Date,
    /// A moment.
    Timestamp,
    /// A list of values of a type.
    List(Box<Kind>),
}

impl Kind {
    /// As `type` says it.
    pub fn key(&self) -> String {
        match self {
            Kind::Text => "string".to_owned(),
            Kind::Integer => "integer".to_owned(),
            Kind::Decimal(whole, scale) => {
                // Room for amounts that were not among those sampled.
                let scale = scale.max(&2);
                let precision = (whole.max(&10) + scale + usize::from(*whole > 8) * 2).min(38);
                format!("decimal({precision},{})", scale.min(&precision))
            }
            Kind::Double => "double".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Date => "date".to_owned(),
            Kind::Timestamp => "timestamp".to_owned(),
            Kind::List(item) => format!("list({})", item.key()),
        }
    }

    /// Whether it says when.
    pub fn is_time(&self) -> bool {
        matches!(self, Kind::Date | Kind::Timestamp)
    }

    /// Whether a file whose values are of the other type can be read as this one.
    pub fn reads(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Decimal(..) | Kind::Double, Kind::Integer | Kind::Decimal(..) | Kind::Double) => true,
            (Kind::Timestamp, Kind::Date) | (Kind::Text, _) => true,
            (Kind::List(item), Kind::List(other)) => item.reads(other),
            (own, other) => own == other,
        }
    }
}

/// What was chosen for a column.
#[derive(Debug, Clone)]
pub struct Guess {
    /// The type.
    pub kind: Kind,
    /// How values are written.
    pub format: Option<String>,
    /// Words and what they stand for.
    pub values: Vec<(String, String)>,
    /// Words that stand for no value, beyond those that do so anyway.
    pub null_values: Vec<String>,
    /// Whether all values are times of day, and how they are written.
    pub clock: Option<&'static str>,
    /// Whether a number above 12 told that the day comes first, or that it does not.
    pub day_first: Option<bool>,
    /// Whether moments say their offset.
    pub has_zone: bool,
    /// What a reader should know; what could not be told begins with `UNSURE`.
    pub notes: Vec<String>,
    /// The values that were there, without those that stand for none.
    pub filled: usize,
    /// How many of them cannot be of the type, as far as it looks.
    pub misfits: usize,
}

impl Guess {
    fn of(kind: Kind, filled: usize) -> Self {
        Guess {
            kind,
            format: None,
            values: Vec::new(),
            null_values: Vec::new(),
            clock: None,
            day_first: None,
            has_zone: false,
            notes: Vec::new(),
            filled,
            misfits: 0,
        }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Whether a text of a column stands for no value.
pub fn is_null(text: &str, guess: &Guess, context: &Context) -> bool {
    let text = text.trim();
    let is_marker = guess.null_values.iter().any(|null| null == text);
    // Texts have no words for no value but those that are named.
    is_marker || (guess.kind != Kind::Text && (text.is_empty() || context.null_words.iter().any(|word| word.eq_ignore_ascii_case(text))))
}

/// Chooses a type for a column.
pub fn guess(column: &Column, context: &Context) -> Guess {
    let name = column.name().or(column.label.as_deref()).and_then(names::of_column).unwrap_or_default();
    let is_null = |text: &str| context.null_words.iter().any(|word| word.eq_ignore_ascii_case(text));
    let texts: Vec<&str> = column.cells.iter().flatten().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    let values: Vec<&str> = texts.iter().copied().filter(|text| !is_null(text)).collect();
    let mut guess = match &column.held {
        Held::Truth => Guess::of(Kind::Boolean, values.len()),
        Held::Day => Guess::of(Kind::Date, values.len()),
        Held::Moment => Guess::of(Kind::Timestamp, values.len()),
        Held::Other(_) => Guess::of(Kind::Text, values.len()),
        Held::List(item) => list(item, &values, &name, context),
        Held::Text | Held::Number | Held::Fraction if values.is_empty() => {
            Guess::of(Kind::Text, 0).note("no value was seen: the type is not known")
        }
        Held::Text => of_texts(&values, &name, context),
        Held::Number => number(&values, &name, context, false),
        Held::Fraction => fraction(number(&values, &name, context, false)),
    };
    if guess.kind == Kind::Text {
        guess.null_values = words::null_texts(&texts);
    }
    if (1..FEW_VALUES).contains(&guess.filled) && guess.kind != Kind::Text && texts.len() > 20 {
        let what = format!("UNSURE: there were only {} values among {} rows", guess.filled, column.cells.len());
        guess.notes.push(what);
    }
    guess
}

fn list(item: &Held, values: &[&str], name: &str, context: &Context) -> Guess {
    let cells = values.iter().flat_map(|value| value.split('\t')).map(|text| Some(text.to_owned())).collect();
    let origin = super::table::Origin::Named(name.to_owned());
    let column = Column { origin, label: None, held: item.clone(), cells, notes: Vec::new() };
    let mut inner = guess(&column, context);
    let is_plain = inner.format.is_none() && inner.values.is_empty();
    let kind = if is_plain { inner.kind.clone() } else { Kind::Text };
    inner.kind = Kind::List(Box::new(kind));
    (inner.format, inner.values, inner.filled, inner.clock) = (None, Vec::new(), values.len(), None);
    inner.null_values.clear();
    inner
}

/// Numbers that may have fractions are no integers because those that were seen have none.
fn fraction(guess: Guess) -> Guess {
    if guess.kind != Kind::Integer {
        return guess;
    }
    let what = "UNSURE: the file holds numbers with fractions, and all that were seen are whole: it may be a decimal or `integer`";
    Guess { kind: Kind::Double, ..guess }.note(what)
}

fn share(part: usize, whole: usize) -> f64 {
    super::share::share(part, whole)
}

fn of_texts(values: &[&str], name: &str, context: &Context) -> Guess {
    let (zeros, others): (Vec<&str>, Vec<&str>) = values.iter().partition(|text| numbers::is_zero(text));
    if !zeros.is_empty() && !others.is_empty() {
        let guess = of_texts(&others, name, context);
        if matches!(guess.kind, Kind::Decimal(..)) {
            let words: std::collections::BTreeSet<&str> = zeros.into_iter().collect();
            let zeros = words.into_iter().map(|word| (word.to_owned(), "0".to_owned())).collect();
            return Guess { values: zeros, filled: values.len(), ..guess }.note("UNSURE: a currency with a dash is taken as 0");
        }
    }
    let looks: Vec<Look> = values.iter().map(|text| Look::of(text)).collect();
    if let Some(guess) = truth(values, name) {
        return guess;
    }
    let count = |wanted: &[Look]| looks.iter().filter(|look| wanted.contains(look)).count();
    let (numbers, days, clocks) = (count(&[Look::Whole, Look::Number]), count(&[Look::Day]), count(&[Look::Clock]));
    let best = numbers.max(days).max(clocks);
    if best > 0 && names::has_word(name, &["version", "versions", "ver", "firmware", "release", "build"]) && days == 0 {
        return Guess::of(Kind::Text, values.len()).note("versions, which are no numbers: 2.10 comes after 2.9");
    }
    // Values that are not of the type may be words for none.
    let is_best = |look: Look| match look {
        Look::Whole | Look::Number => best == numbers,
        Look::Day => best == days && best != numbers,
        Look::Clock => best == clocks && best != numbers && best != days,
        _ => false,
    };
    let others: Vec<&str> = values.iter().zip(&looks).filter(|(_, look)| !is_best(**look)).map(|(text, _)| *text).collect();
    let markers = if best > 0 { words::markers(&others, values.len()) } else { words::Markers::default() };
    let words::Markers { words: markers, unsure } = markers;
    let rest: Vec<&str> = values.iter().copied().filter(|text| !markers.iter().any(|marker| marker.eq_ignore_ascii_case(text))).collect();
    if share(best, rest.len()) < LEAST_SHARE {
        let mut guess = Guess::of(Kind::Text, values.len());
        if share(best, values.len()) >= 0.5 && !words::is_id_name(name) {
            let what = if best == numbers {
                "numbers"
            } else if best == days {
                "dates"
            } else {
                "times"
            };
            guess.notes.push(format!("UNSURE: {best} of {} values are {what}, and the others are not", values.len()));
        }
        return guess;
    }
    if best == numbers && best < rest.len() && words::is_id_name(name) {
        return Guess::of(Kind::Text, values.len()).note("most values are digits, and some have letters");
    }
    let mut guess = match best {
        _ if best == numbers => number(&rest, name, context, true),
        _ if best == days => day(&rest, context),
        _ => {
            let mut guess = Guess::of(Kind::Text, rest.len());
            guess.clock = rest.iter().find_map(|text| look::clock(text));
            guess.note("a time of day: with a date it makes a moment")
        }
    };
    if guess.kind != Kind::Text {
        guess.null_values = markers;
        if let Some(word) = unsure {
            let word = crate::shown::name(&word).into_owned();
            guess.notes.push(format!(
                "UNSURE: `{word}` is taken for no value: if it is one, make the column a string and leave it out of `null_values`"
            ));
        }
    }
    guess
}

/// Words for true and false, in any language of the list.
fn truth(values: &[&str], name: &str) -> Option<Guess> {
    let mut counts: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for text in values {
        counts.entry(text.to_lowercase()).or_insert((0, text)).0 += 1;
        if counts.len() > 2 {
            return None;
        }
    }
    let seen: Vec<&String> = counts.keys().collect();
    let known = TRUTHS.iter().find(|(yes, no)| {
        let fits = |word: &&String| word.as_str() == *yes || word.as_str() == *no;
        seen.iter().all(fits) && (seen.len() == 2 || seen.iter().any(|word| word.chars().count() > 1))
    })?;
    if known.0 == "1" && !words::is_truth_name(name) {
        return None;
    }
    let mut guess = Guess::of(Kind::Boolean, values.len());
    let is_plain = |word: &str| ["true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"].contains(&word);
    if !(is_plain(known.0) && is_plain(known.1)) {
        let word = |word: &str, value: &str| (counts.get(word).map_or(word, |(_, text)| *text).to_owned(), value.to_owned());
        guess.values = vec![word(known.0, "true"), word(known.1, "false")];
    }
    if seen.len() == 1 {
        guess = guess.note(format!("UNSURE: no other value was seen than `{}`", counts.values().next().map_or("", |(_, text)| *text)));
    }
    Some(guess)
}

fn day(values: &[&str], context: &Context) -> Guess {
    let shapes: Vec<dates::Shape> = values.iter().filter_map(|text| dates::shape(text)).collect();
    let Some(style) = dates::style(&shapes, context.day_first) else { return Guess::of(Kind::Text, values.len()) };
    let mut guess = Guess::of(if style.has_time { Kind::Timestamp } else { Kind::Date }, values.len());
    guess.misfits = values.len() - shapes.len() + style.others;
    guess.day_first = style.day_first;
    guess.has_zone = style.has_zone;
    if let Some(or) = &style.or {
        let what = format!("UNSURE: every day and month is at most 12, so the format may be `{or}`: look at a date that you know");
        guess.notes.push(what);
    } else if style.day_first.is_none() && context.day_first.is_some() && shapes.iter().any(|shape| shape.open.is_some()) {
        guess.notes.push("day and month are told apart by other columns only".to_owned());
    }
    if style.others > 0 {
        guess.notes.push(format!("{} of {} values are written in another way", style.others, values.len()));
    }
    guess.format = style.format;
    guess
}

/// `is_text` says that the values are text, in which zeros in front mean something.
fn number(values: &[&str], name: &str, context: &Context, is_text: bool) -> Guess {
    let is_whole = |text: &&&str| Look::of(text) == Look::Whole;
    let wholes: Vec<&str> = values.iter().filter(is_whole).copied().collect();
    let all_whole = wholes.len() == values.len();
    let digits = |text: &str| text.trim_start_matches(['-', '+']).len();
    if is_text
        && wholes.iter().any(|text| digits(text) > 1 && text.starts_with('0') && digits(text) == text.len())
        && share(wholes.len(), values.len()) > 0.8
    {
        return Guess::of(Kind::Text, values.len()).note("digits with zeros in front, which a number would lose");
    }
    if wholes.iter().any(|text| digits(text) > 18) {
        return Guess::of(Kind::Text, values.len()).note("digits of more than 64 bits");
    }
    if is_text && wholes.iter().any(|text| text.starts_with('+') && digits(text) > 6) {
        return Guess::of(Kind::Text, values.len()).note("digits with a plus sign in front, as of phone numbers");
    }
    if all_whole {
        return whole(values, name);
    }
    let numeric = values.iter().filter(|text| numbers::look(text).is_some() || Look::of(text) == Look::Whole).count();
    if numeric == wholes.len() {
        let mut guess = whole(&wholes, name);
        guess.filled = values.len();
        guess.misfits = values.len() - wholes.len();
        return guess;
    }
    let has_zero = |text: &&str| text.strip_suffix(".0").is_some_and(|whole| Look::of(whole) == Look::Whole);
    if values.iter().all(|text| has_zero(text) || Look::of(text) == Look::Whole) {
        let guess = Guess::of(Kind::Integer, values.len());
        return if is_text { guess.note("whole numbers, some with `.0` behind them") } else { guess };
    }
    if words::is_id_name(name) {
        return Guess::of(Kind::Text, values.len()).note("numbers with a fraction, under the name of an identifier");
    }
    let looks: Vec<numbers::Look> = values.iter().filter_map(|text| numbers::look(text)).collect();
    let Some(style) = numbers::style(&looks, context.likes_comma && is_text) else { return Guess::of(Kind::Text, values.len()) };
    let (before, after) = style.digits;
    let is_double = style.has_exponents || after > 9 || before + after > 30;
    let mut guess = Guess::of(if is_double { Kind::Double } else { Kind::Decimal(before, after) }, values.len());
    // Digits with zeros after the point are whole in every file.
    guess.misfits = values.len() - looks.len() + style.others;
    guess.format = style.format;
    guess.notes.extend(style.unsure);
    if style.other_currency {
        guess
            .notes
            .push("UNSURE: amounts have several currencies, and those of another one than the format's would be rejected".to_owned());
    }
    if style.has_exponents {
        guess
            .notes
            .push("some numbers have powers of ten, as of floating point: sums of a double depend on the order of the rows".to_owned());
    }
    if is_double && !style.has_exponents {
        guess.notes.push("numbers with many digits after the point".to_owned());
    }
    if words::is_time_name(name) && values.iter().all(|text| text.parse::<f64>().is_ok_and(|days| (25_000.0..=60_000.0).contains(&days))) {
        guess.notes.push("UNSURE: these may be days of a spreadsheet: then it is `{type: timestamp, format: serial_1900}`".to_owned());
    }
    guess
}

/// Whole numbers: days and moments may be written so.
fn whole(values: &[&str], name: &str) -> Guess {
    let is_time = words::is_time_name(name);
    let days: Vec<dates::Shape> = values.iter().filter(|text| text.len() == 8).filter_map(|text| dates::shape(text)).collect();
    if days.len() == values.len() && (is_time || values.len() >= 20) && !words::is_id_name(name) {
        let mut guess = Guess::of(Kind::Date, values.len());
        guess.format = Some("%Y%m%d".to_owned());
        return if is_time { guess } else { guess.note("UNSURE: whole numbers of eight digits, all of which are days") };
    }
    let within = |unit: i64| {
        let fits = |number: i64| (946_684_800 * unit..2_208_988_800 * unit).contains(&number);
        values.iter().all(|text| text.parse::<i64>().is_ok_and(fits))
    };
    let units = [("epoch_s", 1), ("epoch_ms", 1_000), ("epoch_us", 1_000_000), ("epoch_ns", 1_000_000_000)];
    if let Some((unit, _)) = units.into_iter().find(|(_, unit)| within(*unit)) {
        if is_time {
            let mut guess = Guess::of(Kind::Timestamp, values.len());
            guess.format = Some(unit.to_owned());
            return guess;
        }
        if !words::is_id_name(name) {
            let what = format!("UNSURE: these may be moments: then it is `{{type: timestamp, format: {unit}}}`");
            return Guess::of(Kind::Integer, values.len()).note(what);
        }
    }
    let guess = Guess::of(Kind::Integer, values.len());
    if is_time && values.iter().all(|text| text.parse::<i64>().is_ok_and(|day| (25_000..=60_000).contains(&day))) {
        return guess.note("UNSURE: these may be days of a spreadsheet: then it is `{type: date, format: serial_1900}`");
    }
    let is_amount =
        words::is_line_name(name) || names::has_word(name, &["quantity", "qty", "count", "menge", "anzahl", "number", "amount"]);
    if !is_amount && values.iter().all(|text| ["0", "1"].contains(text)) && values.contains(&"0") && values.len() >= FEW_VALUES {
        return guess.note("only 0 and 1 were seen: it may be a `boolean`");
    }
    guess
}
