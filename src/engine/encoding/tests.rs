//! Queries over a table that has texts as codes and as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::{CODE, Dictionary, HasTexts, TextEncoding};
use crate::cast::is_text;
use crate::engine::{Engine, Limits};

/// A table whose batches get their codes when they are scanned, unless the texts are asked for.
#[derive(Debug)]
struct Scanned {
    rows: RecordBatch,
    texts: BTreeSet<String>,
    dictionary: Arc<Dictionary>,
}

impl Scanned {
    fn in_memory(&self) -> MemTable {
        let is_coded = |field: &Field| is_text(field.data_type()) && !self.texts.contains(field.name());
        let schema = self.rows.schema();
        let field = |field: &Arc<Field>| if is_coded(field) { field.as_ref().clone().with_data_type(CODE) } else { field.as_ref().clone() };
        let stored: SchemaRef = Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()));
        let column = |(field, column): (&Arc<Field>, &Arc<dyn Array>)| {
            if is_coded(field) { self.dictionary.encode(column).unwrap() } else { Arc::clone(column) }
        };
        let columns = schema.fields().iter().zip(self.rows.columns()).map(column).collect();
        let rows = RecordBatch::try_new(Arc::clone(&stored), columns).unwrap();
        let halves = [rows.slice(0, rows.num_rows() / 2), rows.slice(rows.num_rows() / 2, rows.num_rows().div_ceil(2))];
        MemTable::try_new(stored, halves.map(|half| vec![half]).to_vec()).unwrap()
    }
}

#[async_trait]
impl TableProvider for Scanned {
    fn schema(&self) -> SchemaRef {
        let schema = self.rows.schema();
        let is_coded = |field: &Field| is_text(field.data_type()) && !self.texts.contains(field.name());
        let field = |field: &Arc<Field>| if is_coded(field) { field.as_ref().clone().with_data_type(CODE) } else { field.as_ref().clone() };
        Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        columns: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let some = Scanned {
            rows: match columns {
                Some(columns) => self.rows.project(columns)?,
                None => self.rows.clone(),
            },
            texts: self.texts.clone(),
            dictionary: Arc::clone(&self.dictionary),
        };
        some.in_memory().scan(session, None, &[], None).await
    }
}

impl HasTexts for Scanned {
    fn is_cheap_to_read(&self) -> bool {
        true
    }

    fn for_a_look(&self) -> Arc<dyn HasTexts> {
        Arc::new(Scanned { rows: self.rows.clone(), texts: self.texts.clone(), dictionary: Arc::clone(&self.dictionary) })
    }

    fn expect_fewer(&self, _: usize) {}

    fn with_texts_of(&self, columns: &BTreeSet<&str>) -> Option<Arc<dyn TableProvider>> {
        let texts = columns.iter().map(|column| (*column).to_owned()).collect();
        Some(Arc::new(Scanned { rows: self.rows.clone(), texts, dictionary: Arc::clone(&self.dictionary) }))
    }
}

/// Events of 40 people with 300 messages, as CSV and the engine over them.
fn engine(encoding: TextEncoding) -> Engine {
    let engine = Engine::with_text_encoding(Limits { threads: 2, memory_bytes: 1 << 28 }, "UTC", encoding).unwrap();
    let rows = 0..3_000_i64;
    let people: StringArray = rows.clone().map(|row| (row % 11 > 0).then(|| format!("person {}", row * 7 % 40))).collect();
    let messages: StringArray = rows.clone().map(|row| (row % 13 > 0).then(|| format!("message {}", row * 7_919 % 300))).collect();
    let kinds: StringArray = rows.clone().map(|row| Some(["sent", "open", "click"][usize::try_from(row % 3).unwrap()])).collect();
    let columns: Vec<Arc<dyn Array>> =
        vec![Arc::new(people), Arc::new(messages), Arc::new(kinds), Arc::new(Int64Array::from_iter_values(rows))];
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![
        field("person", DataType::Utf8),
        field("message", DataType::Utf8),
        field("kind", DataType::Utf8),
        field("number", DataType::Int64),
    ]);
    let schema = Arc::new(schema);
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let table = Scanned { rows, texts: BTreeSet::new(), dictionary: Arc::clone(engine.dictionary()) };
    match encoding {
        TextEncoding::Dictionary => engine.register_with_texts("events", schema, Arc::new(table), [7; 16]).unwrap(),
        TextEncoding::Plain => engine.register_batches("events", schema, vec![table.rows]).unwrap(),
    }
    engine
}

async fn answer(engine: &Engine, sql: &str) -> String {
    let frame = engine.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let (_, batches) = engine.collect(frame).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_only_counted_get_no_codes() {
    // What is counted, and whether the messages get codes for that.
    let counted = [
        ("count(distinct message)", false),
        ("count(distinct message) filter (where kind = 'click') as clicked, count(distinct message) as all_of_them", false),
        ("count(distinct case when kind = 'open' then message end), sum(number)", false),
        ("count(distinct case when kind = 'open' then message when number > 9 then null else person end), sum(number)", false),
        ("count(message), count(*) filter (where message is not null), max(number)", false),
        ("count(distinct cast(message as varchar)), count(distinct kind), sum(number)", false),
        ("count(distinct upper(message)), sum(number)", true),
        ("count(distinct message || kind), sum(number)", true),
        ("count(distinct message), max(message)", true),
        ("count(distinct message) filter (where message > 'message 2'), sum(number)", true),
    ];
    for (counted, gets_codes) in counted {
        for sql in [
            format!("select person, {counted} from events group by person order by person"),
            format!("select {counted} from events"),
            format!("select {counted} from events where number < 0"),
            format!(
                "select person, {counted} from (select * from events where number % 2 = 0) as some group by person order by person limit 9"
            ),
            format!(
                "select events.person, {} from events inner join (select distinct person as other from events where number > 2990) as few \
                 on events.person = few.other group by events.person order by events.person",
                counted.replace("else person", "else events.person")
            ),
        ] {
            let (coded, plain) = (engine(TextEncoding::Dictionary), engine(TextEncoding::Plain));
            assert_eq!(answer(&coded, &sql).await, answer(&plain, &sql).await, "{sql}");
            // Those of people and of kinds, and what the query names.
            let few = format!("{:?}", coded.dictionary()).split(' ').nth(3).unwrap().parse::<usize>().unwrap() < 60;
            assert_eq!(few, !gets_codes, "{sql}");
        }
    }
}
