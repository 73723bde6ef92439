// The shipped extracts, read row by row so that they can be shuffled, thinned and cut up anew.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::util::display::array_value_to_string;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A row of a source: when it happened, as text that sorts by time, and the row itself.
#[derive(Clone)]
pub struct Row {
    pub time: Option<String>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Text(Vec<u8>),
    Columnar(u32),
}

/// The rows of one source.
#[derive(Clone)]
struct Source {
    folder: &'static str,
    ending: &'static str,
    header: Vec<u8>,
    table: Option<RecordBatch>,
    rows: Vec<Row>,
}

#[derive(Clone)]
pub struct Extracts(Vec<Source>);

impl Extracts {
    pub fn read(folder: &Path) -> Extracts {
        Extracts(vec![
            columnar(folder, "orders", "InvoiceDate"),
            csv(folder, "crm", 1),
            columnar(folder, "web", "occurred_at"),
            ndjson(folder, "email"),
            csv(folder, "survey", 1),
            csv(folder, "suppression", 0),
        ])
    }

    pub fn retain(mut self, keep: impl Fn(&Row) -> bool) -> Extracts {
        for source in &mut self.0 {
            source.rows.retain(&keep);
        }
        self
    }

    pub fn shuffle(mut self, seed: u64) -> Extracts {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        for source in &mut self.0 {
            source.rows.shuffle(&mut random);
        }
        self
    }

    /// Writes every source to so many files, cut at uneven places.
    pub fn write(&self, folder: &Path, files: usize) {
        let mut random = Pcg64Mcg::seed_from_u64(files as u64);
        for source in &self.0 {
            let target = folder.join(source.folder);
            std::fs::create_dir_all(&target).unwrap();
            let mut cuts: Vec<usize> = (1..files).map(|_| random.random_range(0..=source.rows.len())).collect();
            cuts.extend([0, source.rows.len()]);
            cuts.sort_unstable();
            for (number, cut) in cuts.windows(2).enumerate() {
                source.write(&target.join(format!("part-{number}.{}", source.ending)), &source.rows[cut[0]..cut[1]]);
            }
        }
    }
}

impl Source {
    fn write(&self, path: &Path, rows: &[Row]) {
        if let Some(table) = &self.table {
            let indices = rows.iter().map(|row| if let Content::Columnar(at) = row.content { at } else { 0 }).collect::<Vec<_>>();
            let taken = take_record_batch(table, &UInt32Array::from(indices)).unwrap();
            let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), taken.schema(), None).unwrap();
            writer.write(&taken).unwrap();
            writer.close().unwrap();
            return;
        }
        let mut bytes = self.header.clone();
        for row in rows {
            if let Content::Text(text) = &row.content {
                bytes.extend_from_slice(text);
                bytes.push(b'\n');
            }
        }
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap();
        } else {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn columnar(folder: &Path, name: &'static str, time: &str) -> Source {
    let mut batches = Vec::new();
    for path in files(&folder.join(name)) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap().build().unwrap();
        batches.extend(reader.map(Result::unwrap));
    }
    let table = concat_batches(&batches[0].schema(), &batches).unwrap();
    let times = table.column_by_name(time).unwrap();
    let time = |at: usize| times.is_valid(at).then(|| array_value_to_string(times, at).unwrap());
    let rows = (0_u32..).zip(0..table.num_rows()).map(|(row, at)| Row { time: time(at), content: Content::Columnar(row) }).collect();
    Source { folder: name, ending: "parquet", header: Vec::new(), table: Some(table), rows }
}

fn csv(folder: &Path, name: &'static str, time: usize) -> Source {
    let mut source = Source { folder: name, ending: "csv", header: Vec::new(), table: None, rows: Vec::new() };
    for path in files(&folder.join(name)) {
        let bytes = std::fs::read(path).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice());
        let mut record = csv::StringRecord::new();
        let mut start = 0;
        while reader.read_record(&mut record).unwrap() {
            let end = usize::try_from(reader.position().byte()).unwrap();
            let text = bytes[start..end].trim_ascii().to_vec();
            if start == 0 {
                source.header = [text.as_slice(), b"\n"].concat();
            } else {
                source.rows.push(Row { time: record.get(time).and_then(instant), content: Content::Text(text) });
            }
            start = end;
        }
    }
    source
}

fn ndjson(folder: &Path, name: &'static str) -> Source {
    let mut source = Source { folder: name, ending: "ndjson.gz", header: Vec::new(), table: None, rows: Vec::new() };
    for path in files(&folder.join(name)) {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
            let time = value.as_ref().and_then(|value| value["occurred_at"].as_str()).and_then(instant);
            source.rows.push(Row { time, content: Content::Text(line.as_bytes().to_vec()) });
        }
    }
    source
}

/// A time as text, if it is one.
fn instant(text: &str) -> Option<String> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|_| text.to_owned())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
