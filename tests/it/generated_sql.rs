use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use num_bigint::BigInt;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use segmill::engine::{self, Engine, Limits, TextEncoding};

use crate::support::{number_of, tell};

const THREADS: [usize; 4] = [1, 2, 3, 7];
/// Queries to a table.
const QUERIES: u64 = 12;

type Random = Pcg64Mcg;

fn chance(random: &mut Random, share: f64) -> bool {
    random.random_bool(share)
}

fn one_of<'a>(random: &mut Random, choices: &[&'a str]) -> &'a str {
    choices.choose(random).unwrap()
}

fn some<T>(random: &mut Random, value: T) -> Option<T> {
    (!chance(random, 0.1)).then_some(value)
}

/// A double of any size; often one of few, so that values tie.
fn any_double(random: &mut Random) -> f64 {
    match random.random_range(0..8) {
        0 => *[0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, 0.1, f64::MAX].choose(random).unwrap(),
        1 => f64::from_bits(random.random::<u64>() & !(1 << 62)),
        2 => f64::from(random.random_range(-3_i32..3)),
        3 => 2_f64.powi(random.random_range(-1022..1023)) * random.random_range(-1.0..1.0),
        _ => f64::from(random.random_range(-50_000_i32..50_000)) / 100.0,
    }
}

fn table(random: &mut Random) -> RecordBatch {
    let rows = *[0, 1, 7, 60, 300].choose(random).unwrap();
    let wide = chance(random, 0.3);
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    let mut add = |name, column| columns.push((name, column));
    macro_rules! column {
        ($array:ty, $value:expr) => {{
            let values: Vec<_> = (0..rows)
                .map(|_| {
                    let value = $value;
                    some(random, value)
                })
                .collect();
            <$array>::from(values)
        }};
    }
    add("g", Arc::new(column!(StringArray, one_of(random, &["a", "b", "", "ż", "aa"]))));
    add("k", Arc::new(column!(Int64Array, random.random_range(0..4))));
    let wildly = |random: &mut Random| match random.random_range(0..4) {
        0 => i64::MAX - random.random_range(0..3),
        1 => i64::MIN + random.random_range(0..3),
        _ => random.random_range(-5..5),
    };
    add("i", Arc::new(column!(Int64Array, if wide { wildly(random) } else { random.random_range(-1000..1000) })));
    add("x", Arc::new(column!(Float64Array, any_double(random))));
    add("y", Arc::new(column!(Float64Array, f64::from(random.random_range(-300_i32..300)) / 10.0)));
    let digits = 10_i128.pow(if wide { 37 } else { 12 });
    let amounts = column!(Decimal128Array, i128::from(random.random_range(-9_i64..9)) * digits + random.random_range(-9..9));
    add("d", Arc::new(amounts.with_precision_and_scale(38, 3).unwrap()));
    add("t", Arc::new(column!(StringArray, one_of(random, &["x", "y", "X", "xy", "z", "z "]))));
    add("day", Arc::new(column!(Date32Array, 15_000 + random.random_range(0..6))));
    let moment = column!(TimestampMicrosecondArray, 1_300_000_000_000_000 + random.random_range(0_i64..5) * 3_600_000_000);
    add("at", Arc::new(moment.with_timezone("UTC")));
    add("b", Arc::new(column!(BooleanArray, chance(random, 0.5))));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

const COLUMNS: [&str; 10] = ["g", "k", "i", "x", "y", "d", "t", "day", "at", "b"];
/// Over nothing a double is infinite or no number.
const NUMBERS: [&str; 6] = ["k", "i", "x", "y", "d", "(y / k)"];

const ARG_MAX: [&str; 4] = ["arg_max", "arg_min", "arg_max_null", "arg_min_null"];

/// A call of every aggregate that is allowed.
fn aggregate(random: &mut Random) -> String {
    let number = one_of(random, &NUMBERS);
    let column = one_of(random, &COLUMNS);
    let other = one_of(random, &["x", "y", "i"]);
    let distinct = if chance(random, 0.2) { "distinct " } else { "" };
    let order = order(random);
    let call = match random.random_range(0..16) {
        0 => format!("sum({distinct}{number})"),
        1 => format!("avg({distinct}{number})"),
        2 => format!("count({distinct}{column})"),
        3 => format!("{}({})", one_of(random, &["min", "max"]), one_of(random, &["g", "k", "x", "y", "d", "t", "day", "at", "(y / k)"])),
        4 => format!("{}({number})", one_of(random, &["var_samp", "var_pop", "stddev", "stddev_pop", "median"])),
        5 => format!("{}({number}, {other})", one_of(random, &["corr", "covar_samp", "covar_pop", "regr_slope", "regr_intercept"])),
        6 => format!("{}({number}, {other})", one_of(random, &["regr_r2", "regr_avgx", "regr_avgy", "regr_sxx", "regr_syy", "regr_sxy"])),
        7 => format!("{}({})", one_of(random, &["bit_and", "bit_or", "bit_xor"]), one_of(random, &["k", "i"])),
        8 => format!("{}(b)", one_of(random, &["bool_and", "bool_or"])),
        9 => format!("percentile_cont(0.{}) within group (order by {})", random.random_range(1..9), one_of(random, &["x", "y", "k"])),
        10 => format!("{}({column} order by {order})", one_of(random, &["first_value", "last_value"])),
        11 => format!("nth_value({column}, 2 order by {order})"),
        12 => format!("array_agg({column} order by {order})"),
        13 => format!("{}({column}, {number}, {other})", one_of(random, &ARG_MAX)),
        14 => format!("{}({column}, {})", one_of(random, &ARG_MAX), one_of(random, &COLUMNS)),
        _ => format!("string_agg(t, ',' order by {order})"),
    };
    if chance(random, 0.15) { format!("{call} filter (where k > 0)") } else { call }
}

fn order(random: &mut Random) -> String {
    let keys = (0..random.random_range(1..3)).map(|_| {
        let nulls = one_of(random, &["", " nulls first", " nulls last"]);
        format!("{}{}{nulls}", one_of(random, &COLUMNS), one_of(random, &["", " desc"]))
    });
    keys.collect::<Vec<_>>().join(", ")
}

fn window(random: &mut Random) -> String {
    let column = one_of(random, &COLUMNS);
    let number = one_of(random, &NUMBERS);
    let part = one_of(random, &["", "partition by g ", "partition by k, b ", "partition by y "]);
    let order = order(random);
    let frame = match random.random_range(0..5) {
        0 => "rows between unbounded preceding and current row",
        1 => "rows between 2 preceding and 1 following",
        2 => "rows between current row and unbounded following",
        3 => "rows between unbounded preceding and unbounded following",
        _ => "rows between 3 preceding and 1 preceding",
    };
    let peers = one_of(random, &["", "groups between 1 preceding and current row", "range between unbounded preceding and current row"]);
    match random.random_range(0..10) {
        0 => format!("row_number() over ({part}order by {order})"),
        1 => format!("ntile(3) over ({part}order by {order})"),
        2 => format!("{}({column}, {}) over ({part}order by {order})", one_of(random, &["lag", "lead"]), random.random_range(0..3)),
        3 => format!("{}() over ({part}order by {order})", one_of(random, &["rank", "dense_rank", "percent_rank", "cume_dist"])),
        4 => format!("{}({column}) over ({part}order by {order} {frame})", one_of(random, &["first_value", "last_value"])),
        5 => format!("nth_value({column}, 2) over ({part}order by {order} {frame})"),
        6 => {
            format!("{}({number}) over ({part}order by {order} {frame})", one_of(random, &["sum", "avg", "count", "stddev", "min", "max"]))
        }
        7 => format!("{}({number}) over ({part}order by {order} {peers})", one_of(random, &["sum", "avg", "var_pop", "max"])),
        8 => format!("{}({column}, {number}) over ({part}order by {order} {frame})", one_of(random, &ARG_MAX)),
        _ => format!("first_value({column}) over ({part}order by {order})"),
    }
}

fn list(random: &mut Random, most: usize, make: fn(&mut Random) -> String) -> String {
    let count = random.random_range(1..=most);
    (0..count).map(|at| format!("{} as v{at}", make(random))).collect::<Vec<_>>().join(", ")
}

fn query(random: &mut Random) -> String {
    let limited = format!("select * from t order by {} limit {}", order(random), random.random_range(0..20));
    let offset = format!("select g, x, t from t order by {} limit 9 offset {}", order(random), random.random_range(0..9));
    let from = match random.random_range(0..6) {
        0 => format!("({limited}) as t"),
        1 => "(select *, row_number() over (order by day) as place from t) as t".to_owned(),
        2 => "t where coalesce(k, 0) < 3".to_owned(),
        _ => "t".to_owned(),
    };
    match random.random_range(0..16) {
        14 => format!("select g, k, {} from grouped", list(random, 3, window)),
        15 => {
            "select g, k, lag(x) over (partition by g order by k) as before, sum(y) over (partition by g order by k rows 1 preceding) as s \
               from grouped order by g, k limit 5"
                .to_owned()
        }
        10 => {
            let place = one_of(random, &["k", "i", "x", "t"]);
            format!(
                "select g, (select {place} from t order by {} limit 1) as one, {} from {from} group by g",
                order(random),
                aggregate(random)
            )
        }
        11 => {
            let kind = one_of(random, &["union", "union all", "intersect", "except"]);
            format!(
                "select {}, count(*) from (select g, x, y from t {kind} select g, y, x from {from}) as u group by g",
                "sum(x) as s, min(y) as m"
            )
        }
        12 => format!(
            "select a.g, sum(a.x * b.y) as s, array_to_string(array_agg(b.t order by a.{}), '') as l, max(a.x + b.x) as m \
             from t as a inner join t as b on a.g = b.g and a.k = b.k group by a.g",
            one_of(random, &COLUMNS)
        ),
        13 => format!(
            "select array_distinct(l) as l, array_length(array_union(l, m)) as n, array_sort(m) as m, array_except(l, m) as e, sum(x) as x \
             from (select array_agg(t order by {}) as l, array_agg(distinct t order by t) as m, sum(x) as x from t group by g, k) as t \
             group by 1, 2, 3, 4",
            order(random)
        ),
        0 => limited,
        1 => offset,
        2 => {
            let column = one_of(random, &COLUMNS);
            format!("select distinct on ({column}) {column} as c, x as v, t as w, day as u from t order by {column}, {}", order(random))
        }
        3 | 4 => format!("select {}, {} from {from}", COLUMNS.join(", "), list(random, 3, window)),
        5 => format!(
            "select v0, count(*) as rows, {} from (select *, {} as v0 from t) as t group by v0",
            list(random, 2, aggregate).replace(" as v", " as w"),
            window(random)
        ),
        6 => format!("select {} from {from}", list(random, 4, aggregate)),
        7 => format!("select y, {} from {from} group by y", list(random, 3, aggregate)),
        8 => format!("select i + k as s, i * k as p, -i as n, i - d as m, abs(i) as a, cast(y as decimal(38,3)) as c from {from}"),
        _ => format!("select g, k, {} from {from} group by g, k", list(random, 4, aggregate)),
    }
}

/// What a query gives, row by row in order of its text, or that a number does not fit; else what went wrong.
async fn answer(query: &str, engine: &Engine) -> Result<Vec<String>, String> {
    let rows = async { engine.collect(engine.query(query).await?).await }.await;
    let (schema, batches) = match rows {
        Ok(rows) => rows,
        Err(error) => {
            let told = error.strip_backtrace();
            // DataFusion collects lists of one query in one order only.
            let known = ["Conflicting ordering requirements", "beyond what its type can hold", "too large to store", "Can't cast value"];
            return if known.iter().any(|known| told.contains(known)) { Ok(vec!["it fails".to_owned()]) } else { Err(told) };
        }
    };
    let batch = concat_batches(&schema, &batches).unwrap();
    let options = FormatOptions::new().with_null("null");
    let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
    let row = |at: usize| columns.iter().map(|column| column.value(at).to_string()).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// A table whose rows are known to differ in two columns, made from the other.
const GROUPED: &str = "select g, k, max(i) as i, sum(x) as x, avg(y) as y, min(d) as d, max(t) as t, min(day) as day, max(at) as at, \
                       bool_or(b) as b from t group by g, k";

/// What is wrong with a query, if anything is.
async fn wrong(query: &str, engines: &[Engine], failed: &mut u64) -> Result<(), String> {
    let planned = engines[0].query(query).await.map_err(|error| error.strip_backtrace())?;
    let dependences = engine::dependent_on_order(planned.logical_plan()).unwrap();
    if !dependences.is_empty() {
        return Err(format!("it is refused: {dependences:?}"));
    }
    let first = answer(query, &engines[0]).await?;
    *failed += u64::from(first == ["it fails"]);
    for engine in &engines[1..] {
        let found = answer(query, engine).await?;
        if first != found {
            let different: Vec<_> = first.iter().zip(&found).filter(|(one, other)| one != other).take(2).collect();
            let (threads, rows, others) = (engine.threads(), first.len(), found.len());
            return Err(format!("{threads} threads give something else, {rows} and {others} rows: {different:#?}"));
        }
    }
    Ok(())
}

/// An engine with the rows of a table in another order and in other batches.
fn engine(random: &mut Random, table: &RecordBatch, threads: usize) -> Engine {
    // On every other number of threads texts are held the other way.
    let text_encoding = if threads > 1 && threads % 2 == 1 { TextEncoding::Plain } else { TextEncoding::Dictionary };
    let engine = Engine::with_text_encoding(Limits { threads, memory_bytes: 256 << 20 }, "UTC", text_encoding).unwrap();
    let mut places: Vec<u32> = (0..u32::try_from(table.num_rows()).unwrap()).collect();
    places.shuffle(random);
    let shuffled = take_record_batch(table, &UInt32Array::from(places)).unwrap();
    let mut batches = Vec::new();
    let mut at = 0;
    while at < shuffled.num_rows() {
        let rows = random.random_range(1..=40).min(shuffled.num_rows() - at);
        batches.push(shuffled.slice(at, rows));
        at += rows;
    }
    if chance(random, 0.5) {
        engine.register_batches("t", table.schema(), batches).unwrap();
    } else {
        let mut files = vec![Vec::new(); random.random_range(1..4)];
        for batch in batches {
            files.choose_mut(random).unwrap().push(batch);
        }
        engine.register("t", Arc::new(MemTable::try_new(table.schema(), files).unwrap())).unwrap();
    }
    engine
}

/// Whatever passes `validate` gives the same rows, bit for bit, on 1, 2, 3 and 7 threads, in whatever order and batches rows come, and
/// however texts are held.
#[test]
fn no_order_and_no_number_of_threads_changes_what_a_query_gives() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let tables = number_of("SEGMILL_GENERATED_TABLES", 30);
    let (mut asked, mut failed, mut problems) = (0_u64, 0_u64, Vec::new());
    for seed in 0..tables {
        let mut random = Random::seed_from_u64(seed);
        let table = table(&mut random);
        let engines: Vec<Engine> = THREADS.iter().map(|threads| engine(&mut random, &table, *threads)).collect();
        for engine in &engines {
            runtime.block_on(async { engine.materialise("grouped", engine.query(GROUPED).await?).await }).unwrap();
        }
        for _ in 0..QUERIES {
            let query = query(&mut random);
            if let Err(wrong) = runtime.block_on(wrong(&query, &engines, &mut failed)) {
                problems.push(format!("table {seed}, {} rows: {query}\n  {wrong}", table.num_rows()));
            }
            asked += 1;
        }
    }
    tell(&format!("{asked} queries over {tables} tables, of which {failed} failed"));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(failed * 2 < asked, "most queries fail, so little is shown");
}

/// Sums and means are those of numbers of any width, rounded once.
#[test]
fn sums_are_exact() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    for seed in 0..number_of("SEGMILL_GENERATED_TABLES", 30) {
        let mut random = Random::seed_from_u64(seed);
        let table = table(&mut random);
        let engine = engine(&mut random, &table, 3);
        let groups = groups(&table);
        let query = "select coalesce(g, 'none') as g, sum(x) as sx, avg(x) as mx, sum(cast(i as decimal(38,0))) as si, avg(i) as mi from t group by 1";
        let rows = runtime.block_on(answer(query, &engine)).unwrap();
        let expected = groups.iter().map(|(group, (doubles, integers))| {
            let cell = |number: Option<String>| number.unwrap_or_else(|| "null".to_owned());
            let [sx, mx] = [1, doubles.len()].map(|rows| (!doubles.is_empty()).then(|| exact(doubles, rows)));
            let si: i128 = integers.iter().map(|value| i128::from(*value)).sum();
            let mi = (!integers.is_empty()).then(|| shown(quotient(&BigInt::from(si), &BigInt::from(integers.len()))));
            let si = (!integers.is_empty()).then(|| si.to_string());
            [group.clone(), cell(sx), cell(mx), cell(si), cell(mi)].join("|")
        });
        let mut expected: Vec<String> = expected.collect();
        expected.sort_unstable();
        assert_eq!(rows, expected, "table {seed}");
    }
}

type Group = (Vec<f64>, Vec<i64>);

fn groups(table: &RecordBatch) -> BTreeMap<String, Group> {
    let column = |name: &str| table.column_by_name(name).unwrap().as_any();
    let names = column("g").downcast_ref::<StringArray>().unwrap();
    let doubles = column("x").downcast_ref::<Float64Array>().unwrap();
    let integers = column("i").downcast_ref::<Int64Array>().unwrap();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for row in 0..table.num_rows() {
        let group = groups.entry(if names.is_null(row) { "none".to_owned() } else { names.value(row).to_owned() }).or_default();
        group.0.extend(doubles.is_valid(row).then(|| doubles.value(row)));
        group.1.extend(integers.is_valid(row).then(|| integers.value(row)));
    }
    groups
}

/// The sum of doubles over a count, by way of whole numbers in units of the smallest double.
fn exact(values: &[f64], rows: usize) -> String {
    let units = values.iter().map(|value| {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let units = if exponent == 0 { BigInt::from(fraction) } else { BigInt::from(fraction | 1 << 52) << (exponent - 1) };
        if value.is_sign_negative() { -units } else { units }
    });
    let sum: BigInt = units.sum();
    shown(quotient(&sum, &(BigInt::from(rows) << 1074)))
}

/// A quotient as the nearest double: the decimal reader of the standard library rounds right, whatever the number of digits. Digits
/// beyond those of the longest double there is tell only on which side of it the quotient lies.
fn quotient(number: &BigInt, divisor: &BigInt) -> f64 {
    let digits = 1200_u32;
    let scaled: BigInt = number * BigInt::from(10).pow(digits);
    let (whole, rest) = (&scaled / divisor, &scaled % divisor);
    let sticky = i32::from(rest != BigInt::ZERO);
    let sign = if number.sign() == num_bigint::Sign::Minus { -1 } else { 1 };
    format!("{}e-{}", whole * 10 + sticky * sign, digits + 1).parse().unwrap()
}

fn shown(value: f64) -> String {
    let array = Float64Array::from(vec![value + 0.0]);
    ArrayFormatter::try_new(&array, &FormatOptions::new()).unwrap().value(0).to_string()
}
