use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use serde_json::Value;

use crate::support::rows_of_parquet;
use crate::tiny::{PIPELINE, Tiny};

const MIB: usize = 1 << 20;
/// What a run of few rows may take beside the limit, whatever the build takes for itself.
const SLACK: u64 = 64 << 20;

/// What became of a run over one Parquet file.
struct Ran {
    status: i32,
    said: String,
    record: Value,
    tiny: Tiny,
}

impl Ran {
    fn peak(&self) -> u64 {
        self.record["peak_memory_bytes"].as_u64().unwrap()
    }

    /// Each customer's orders, with the length of the id.
    fn orders(&self) -> Vec<(usize, i64)> {
        customers(&self.tiny)
    }
}

fn customers(tiny: &Tiny) -> Vec<(usize, i64)> {
    let file = tiny.folder.path().join("out/customers/as_of=2026-11-01/customers.parquet");
    let rows = rows_of_parquet(&[file], "select length(customer_id), orders from t order by 1, 2");
    rows.iter().map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap())).collect()
}

fn run(file: &[u8], limit: &str) -> Ran {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("*.csv", "*.parquet"));
    std::fs::write(tiny.folder.path().join("extracts/orders.parquet"), file).unwrap();
    let arguments = ["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--memory-limit", limit, "--record", "record.json"];
    let output = tiny.segmill(&arguments);
    let record = serde_json::from_str(&tiny.read("record.json")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { status: output.status.code().unwrap(), said, record, tiny }
}

fn written(ids: ArrayRef, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_790_848_800_000_000; ids.len()]).with_timezone("UTC"));
    let batch = RecordBatch::try_from_iter([("customer_id", ids), ("ordered_at", at)]).unwrap();
    let properties = properties.build();
    // A writer that is given the rows of several groups at once calls itself for each.
    let rows = properties.max_row_group_row_count().unwrap_or(usize::MAX).min(batch.num_rows());
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    for first in (0..batch.num_rows()).step_by(rows) {
        writer.write(&batch.slice(first, rows.min(batch.num_rows() - first))).unwrap();
    }
    writer.into_inner().unwrap()
}

/// So many rows of one text.
fn repeated(text: &str, rows: usize) -> ArrayRef {
    Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; rows]), Arc::new(StringArray::from(vec![text]))))
}

fn zstd() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).set_dictionary_page_size_limit(64 * MIB)
}

fn base() -> u64 {
    run(&written(repeated("a", 10), zstd()), "256MiB").peak()
}

/// Five gigabytes of text that a dictionary has once; and with a column before it that is none of the kind.
#[test]
fn texts_that_a_dictionary_repeats_take_what_it_takes() {
    let text = "x".repeat(MIB);
    let base = base();
    for (version, rows) in [(WriterVersion::PARQUET_1_0, 5000), (WriterVersion::PARQUET_2_0, 9000)] {
        let file = written(repeated(&text, rows), zstd().set_writer_version(version));
        assert!(file.len() < 16 * 1024, "{}", file.len());
        let ran = run(&file, "256MiB");
        assert_eq!(ran.status, 0, "{}", ran.said);
        assert_eq!(ran.orders(), [(MIB, i64::try_from(rows).unwrap())]);
        assert!(ran.peak() < base + SLACK, "{} MiB beside {} MiB", ran.peak() >> 20, base >> 20);
    }
}

/// A dictionary that a writer gave up in the middle, so that texts are keys on some pages and written out on others.
#[test]
fn texts_that_are_keys_on_some_pages_alone_are_right() {
    let long = "x".repeat(MIB);
    let short: Vec<String> = (0..20_000).map(|row| format!("{row:07}")).collect();
    let keys: Vec<i32> = (0..3000).map(|_| 0).chain(1..=20_000).chain((0..3000).map(|_| 0)).collect();
    let values: Vec<&str> = std::iter::once(long.as_str()).chain(short.iter().map(String::as_str)).collect();
    let ids = DictionaryArray::<Int32Type>::new(Int32Array::from(keys), Arc::new(StringArray::from(values)));
    // Once the dictionary is too long the long text is written out, so its rows behind that are few.
    let ids = arrow::compute::concat(&[&arrow::array::Array::slice(&ids, 0, 23_010)]).unwrap();
    let file =
        written(ids, zstd().set_dictionary_page_size_limit(MIB + 64 * 1024).set_data_page_row_count_limit(1000).set_write_batch_size(500));
    let ran = run(&file, "256MiB");
    assert_eq!(ran.status, 0, "{}", ran.said);
    let orders = ran.orders();
    assert_eq!(orders.iter().filter(|(length, _)| *length == MIB).copied().collect::<Vec<_>>(), [(MIB, 3010)]);
    assert_eq!(orders.iter().filter(|found| **found == (7, 1)).count(), 20_000);
    assert!(ran.peak() < base() + 3 * SLACK, "{} MiB", ran.peak() >> 20);
}

/// Each text says how much of the one before it shares: a few bytes for a mebibyte.
#[test]
fn texts_that_share_what_they_begin_with_are_read_some_at_a_time() {
    let text = "x".repeat(MIB);
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..1500).map(|_| &text)));
    let file =
        written(ids, zstd().set_dictionary_enabled(false).set_column_encoding(ColumnPath::from("customer_id"), Encoding::DELTA_BYTE_ARRAY));
    let ran = run(&file, "256MiB");
    assert_eq!(ran.status, 0, "{}", ran.said);
    assert_eq!(ran.orders(), [(MIB, 1500)]);
    assert!(ran.peak() < base() + 2 * SLACK, "{} MiB", ran.peak() >> 20);
}

/// A page of 300 MiB in a few kilobytes, of every codec: it does not fit, or it fits and is right.
#[test]
fn a_page_that_does_not_fit_is_refused_by_name_before_it_is_unpacked() {
    let base = base();
    let text = "0".repeat(3 * MIB);
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|_| &text)));
    for codec in [
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::SNAPPY,
        Compression::LZ4_RAW,
    ] {
        let properties = zstd().set_compression(codec).set_dictionary_enabled(false).set_data_page_size_limit(1 << 30);
        let file = written(Arc::clone(&ids), properties);
        let ran = run(&file, "256MiB");
        assert_eq!(ran.status, 2, "{codec}: {}", ran.said);
        for part in ["orders.parquet", "row group 1", "the column `customer_id` takes 300.", "--memory-limit"] {
            assert!(ran.said.contains(part), "{codec}: {part} in {}", ran.said);
        }
        assert!(ran.peak() < base + SLACK, "{codec}: {} MiB", ran.peak() >> 20);
        if codec == Compression::SNAPPY {
            let ran = run(&file, "1GiB");
            assert_eq!((ran.status, ran.orders()), (0, vec![(3 * MIB, 100)]), "{}", ran.said);
        }
    }
}

/// Columns and row groups by the thousand: what the footer takes grows with it, and so does the time.
#[test]
fn files_of_many_columns_and_row_groups_are_read() {
    let wide = |columns: usize| {
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_790_848_800_000_000; 1]).with_timezone("UTC"));
        let mut arrays: Vec<(String, ArrayRef)> =
            vec![("customer_id".to_owned(), Arc::new(StringArray::from(vec!["a"]))), ("ordered_at".to_owned(), at)];
        arrays.extend((0..columns).map(|column| (format!("c{column}"), Arc::new(Int64Array::from(vec![1])) as ArrayRef)));
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let ran = run(&wide(20_000), "256MiB");
    assert_eq!((ran.status, ran.orders()), (0, vec![(1, 1)]), "{}", ran.said);
    let many = |groups: usize| written(repeated("a", groups), zstd().set_max_row_group_row_count(Some(1)));
    let ran = run(&many(3000), "256MiB");
    assert_eq!((ran.status, ran.orders()), (0, vec![(1, 3000)]), "{}", ran.said);
}

/// A footer of a few bytes that declares what is not there: lists, texts and columns by the thousand million, and numbers below zero.
#[test]
fn what_a_footer_declares_must_be_there() {
    let sound = written(repeated("a", 10), zstd());
    let length = u32::from_le_bytes(*sound[sound.len() - 8..].first_chunk::<4>().unwrap()) as usize;
    let pages = &sound[..sound.len() - 8 - length];
    let footers: [&[u8]; 6] = [
        // A list of two thousand million columns.
        b"\x15\x02\x19\xfc\xff\xff\xff\xff\x07",
        // A column in which two thousand million others lie.
        b"\x15\x02\x19\x1c\x48\x01a\x15\xfe\xff\xff\xff\x0f\x00\x16\x02\x19\x0c\x00",
        // A name of two thousand million bytes.
        b"\x15\x02\x19\x1c\x48\xff\xff\xff\xff\x07",
        // Columns that lie in each other without end.
        &[b"\x15\x02\x19\xfc\x90\x4e".as_slice(), &b"\x48\x01a\x15\x02\x00".repeat(10_000)].concat(),
        // A list of truths, each of no byte, by the thousand million.
        b"\x15\x02\x99\xf1\xff\xff\xff\xff\x07",
        b"",
    ];
    for footer in footers {
        let mut file = [pages, footer].concat();
        file.extend_from_slice(&u32::try_from(footer.len()).unwrap().to_le_bytes());
        file.extend_from_slice(b"PAR1");
        let ran = run(&file, "256MiB");
        assert_eq!(ran.status, 3, "{footer:?}: {}", ran.said);
        assert!(ran.said.contains("orders.parquet is not readable as Parquet"), "{}", ran.said);
    }
    for length in [u32::MAX, i32::MAX.cast_unsigned(), 1 << 28, u32::try_from(sound.len()).unwrap()] {
        let mut file = sound.clone();
        let at = file.len() - 8;
        file[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let ran = run(&file, "256MiB");
        assert_eq!(ran.status, 3, "{length}: {}", ran.said);
    }
}

/// CSV and Parquet files of one source, which is read once and has no key: texts as they are beside texts that are keys.
#[test]
fn a_source_of_several_formats_is_read() {
    let tiny = Tiny::new();
    tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("/*.csv", "/*"));
    let short: ArrayRef = Arc::new(StringArray::from(vec!["c001", "d", "d"]));
    for (name, ids) in [("a", short), ("b", repeated("c001", 7))] {
        std::fs::write(tiny.folder.path().join(format!("extracts/{name}.parquet")), written(ids, zstd())).unwrap();
    }
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let orders = customers(&tiny);
    assert_eq!(orders.iter().map(|(_, orders)| orders).sum::<i64>(), 85);
    assert!(orders.contains(&(4, 10)) && orders.contains(&(1, 2)), "{orders:?}");
}

/// Columns are declared in another order than that of their names, and both values of a row are at fault.
#[test]
fn rejected_values_of_one_row_are_in_the_order_of_their_table() {
    let tiny = Tiny::new();
    let budget = "    event_time: ordered_at\n    reject_budget: {share: 1, rows: 100}\n";
    let columns = "      zip: {type: integer, optional: true}\n      age: {type: integer, optional: true}\nsegments:";
    let pipeline = PIPELINE.replace("*.csv", "*.parquet").replace("    event_time: ordered_at\n", budget).replacen("segments:", columns, 1);
    tiny.write("pipelines/tiny.yaml", &pipeline);
    let text = |value: &str| Arc::new(StringArray::from(vec![value; 9_000])) as ArrayRef;
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_790_848_800_000_000; 9_000]).with_timezone("UTC"));
    let batch = [("customer_id", text("a")), ("ordered_at", at), ("zip", text("?")), ("age", text("!"))];
    let batch = RecordBatch::try_from_iter(batch).unwrap().slice(0, 40);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    std::fs::write(tiny.folder.path().join("extracts/orders.parquet"), writer.into_inner().unwrap()).unwrap();
    let output = tiny.segmill(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let file = tiny.folder.path().join("out/rejected/as_of=2026-11-01/rejected.parquet");
    let rows = rows_of_parquet(&[file], "select row_number, \"column\" from t");
    let expected: Vec<Vec<String>> =
        (1..=40).flat_map(|row| ["age", "zip"].map(|column| vec![row.to_string(), column.to_owned()])).collect();
    assert_eq!(rows, expected);
}
