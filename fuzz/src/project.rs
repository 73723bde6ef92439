//! A project with an arbitrary pipeline file or an arbitrary rule: it is planned, or refused with frames that can be drawn.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use segmill::config::{self, Environment};
use segmill::engine::{Engine, Limits};
use segmill::error::{Error, ExitStatus};
use segmill::execute::{Execution, Inputs, Silent};
use segmill::plan::{self, Plan};
use tempfile::TempDir;

const MODELS: [(&str, &str); 2] = [
    ("staging/orders", "select id, at, amount, kind from sources.orders"),
    (
        "customers",
        "select id as customer_id, count(*) as orders, sum(amount) as revenue, max(kind) as kind, max(at) as last_order_at, \
         cast(max(at) as date) as last_order_day, count(*) > 1 as repeat, cast(count(*) as double) as rate \
         from staging.orders group by id",
    ),
];

/// Says with `RULE` where the rule belongs.
const PIPELINE: &str = "\
version: 1
name: fuzz
parameters: {many: {type: integer, default: '3', description: Orders that are many}}
sources:
  orders:
    location: orders.csv
    event_time: at
    columns:
      id: {type: string, required: true}
      at: {type: timestamp, required: true}
      amount: {type: 'decimal(12,2)'}
      kind: {type: string, accepted: [a, b, c]}
profile:
  columns:
    orders: {min: 0, max: 5, required: true}
    kind: {accepted: [a, b, c]}
segments:
  fuzz:
    kind: partition
    segments:
      - {name: first, when: RULE, description: D, action: A, channel: none}
      - {name: second, when: not (RULE), description: D, action: A, channel: none}
outputs: {destination: out, tables: {customers: {model: customers, sort: [customer_id]}}}
";

/// Writes a project to a folder.
pub fn write(root: &Path, pipeline: &str, models: &[(&str, &str)]) {
    let write = |path: &str, text: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder is made");
        std::fs::write(path, text).expect("a file is written");
    };
    write("pipelines/fuzz.yaml", pipeline.as_bytes());
    for (name, sql) in models {
        write(&format!("sql/{name}.sql"), sql.as_bytes());
    }
}

/// Plans a project whose pipeline file holds these bytes.
pub fn pipeline(bytes: &[u8]) {
    drop(planned(bytes));
}

/// Plans a project with this rule and, when it is one, asks it of customers of all kinds.
pub fn rule(text: &str) {
    // A JSON string is one in YAML too.
    let quoted = |text: &str| serde_json::to_string(text).expect("every text is JSON");
    let pipeline = PIPELINE.replace("not (RULE)", &quoted(&format!("not ({text})"))).replace("RULE", &quoted(text));
    let Ok(plan) = planned(pipeline.as_bytes()) else { return };
    if let Err(error) = crate::block_on(assigned(&plan)) {
        assert_ne!(error.exit_status(), ExitStatus::Defect, "{error:?}");
    }
}

/// Puts the customers into segments.
async fn assigned(plan: &Plan) -> Result<(), Error> {
    let engine = Engine::new(Limits { threads: 1, memory_bytes: 64 << 20 }, plan.values.zone.name())?;
    let mut inputs = Inputs::of(plan)?;
    inputs.context.has_partial_rows = true;
    inputs.given.insert("customers".to_owned(), customers(plan));
    let needed = Some(plan.needed("segment_membership", |table| table == "customers"));
    Execution { plan, engine: &engine, needed, scene: String::new() }.run(&mut inputs, &mut Silent).await
}

fn planned(bytes: &[u8]) -> Result<Plan, Error> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder is made");
        write(folder.path(), PIPELINE, &MODELS);
        folder
    });
    let file = folder.path().join("pipelines/fuzz.yaml");
    std::fs::write(&file, bytes).expect("the file is written");
    let planned = config::load(&file, &Environment::new()).and_then(|project| {
        let as_of = chrono::NaiveDate::from_ymd_opt(2030, 1, 1).expect("it is a day");
        let values = config::bind(&project, as_of, &BTreeMap::new())?;
        crate::block_on(plan::plan(Arc::new(project), values))
    });
    match &planned {
        Ok(plan) => plan.warnings().for_each(|warning| assert!(!warning.render(false).is_empty())),
        Err(Error::Project(problems)) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert!(!problem.render(true).is_empty()));
        }
        Err(error) => panic!("a project is refused as a project: {error:?}"),
    }
    planned
}

/// Customers with the least, the most and no value in every column.
fn customers(plan: &Plan) -> RecordBatch {
    let profile = plan.models().find(|model| model.parsed.model.name() == "customers").expect("it is there");
    let texts = |values: [Option<&str>; 4]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns = profile.schema.fields().iter().map(|field| {
        let values = match field.name().as_str() {
            "customer_id" => texts([Some("a"), Some("b"), Some("c"), Some("d")]),
            "orders" => texts([Some("0"), Some("1"), Some("9223372036854775807"), Some("-9223372036854775808")]),
            "revenue" => texts([Some("-12.50"), Some("9999999999.99"), Some("0"), None]),
            "kind" => texts([Some("a"), Some(""), Some("ü%_\\"), None]),
            "last_order_at" => texts([Some("1970-01-01T00:00:00Z"), Some("9999-12-31T23:59:59Z"), Some("0001-01-01T00:00:00Z"), None]),
            "last_order_day" => texts([Some("1970-01-01"), Some("9999-12-31"), Some("0001-01-01"), None]),
            "repeat" => texts([Some("true"), Some("false"), None, None]),
            _ => texts([Some("NaN"), Some("-0.0"), Some("1e308"), None]),
        };
        cast(&values, field.data_type()).expect("every value fits")
    });
    // Whatever may be null here may not be so in the schema.
    let fields: Vec<_> = profile.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns.collect()).expect("the columns fit")
}
