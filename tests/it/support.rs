use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use arrow::array::{Array, RecordBatch};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use serde_json::Value;
use tempfile::TempDir;

/// The day after the last order of the sample.
pub const SAMPLE_AS_OF: &str = "2011-12-10";
/// The outputs whose bytes must not depend on how the extracts are cut up.
pub const OUTPUTS: [&str; 8] = [
    "columns",
    "customers",
    "segment_membership",
    "segment_changes",
    "segment_summary",
    "identity_conflicts",
    "identity_aliases",
    "unmatched_opt_outs",
];

/// Where nobody listens: a port that no test is given, unlike one that another test has just given back.
pub const CLOSED: &str = "127.0.0.1:1";

/// The folder of the package.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the binary in a folder.
pub fn segmill(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_segmill"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("EXTRACTS")
        .env_remove("DESTINATION")
        .env_remove("SEGMILL_LOG")
        .output()
        .expect("the binary starts")
}

/// Says how much a test tried; shown with `--nocapture`.
#[allow(clippy::disallowed_macros, reason = "a test's own count")]
pub fn tell(tried: &str) {
    eprintln!("{tried}");
}

/// A number from the environment, for more of a test than there is time for every day.
pub fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var_os(variable).map_or(otherwise, |text| text.to_str().unwrap().parse().unwrap())
}

/// A publication and the result that the run told as JSON.
pub struct Publication {
    pub folder: TempDir,
    pub result: Value,
}

impl Publication {
    /// Runs the shipped pipeline on some extracts.
    pub fn of(extracts: &Path, as_of: &str, more: &[&str]) -> Publication {
        Publication::of_project(package(), extracts, as_of, more)
    }

    /// Runs the pipeline of a project that is like the shipped one on some extracts.
    pub fn of_project(project: &Path, extracts: &Path, as_of: &str, more: &[&str]) -> Publication {
        Publication::after(&[], project, extracts, as_of, more)
    }

    /// The same, after publications of earlier days at the same destination.
    pub fn after(days: &[&str], project: &Path, extracts: &Path, as_of: &str, more: &[&str]) -> Publication {
        let folder = tempfile::tempdir().unwrap();
        let publish = |as_of| Publication::publish(folder.path(), project, extracts, as_of, more);
        for day in days {
            publish(day);
        }
        let result = publish(as_of);
        Publication { folder, result }
    }

    fn publish(folder: &Path, project: &Path, extracts: &Path, as_of: &str, more: &[&str]) -> Value {
        let destination = folder.to_str().unwrap();
        let mut arguments =
            vec!["run", "pipelines/customer_segments.yaml", "--as-of", as_of, "--destination", destination, "--format", "json"];
        arguments.extend(more);
        let output = Command::new(env!("CARGO_BIN_EXE_segmill"))
            .args(&arguments)
            .current_dir(project)
            .env("EXTRACTS", extracts)
            .output()
            .expect("the binary starts");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&told).expect("the result is JSON")
    }

    /// The files of a table, as the result names them.
    pub fn files(&self, table: &str) -> Vec<PathBuf> {
        let outputs = self.result["outputs"].as_array().unwrap();
        let output = outputs.iter().find(|output| output["table"] == table).unwrap_or_else(|| panic!("there is an output {table}"));
        output["files"].as_array().unwrap().iter().map(|file| self.folder.path().join(file["path"].as_str().unwrap())).collect()
    }

    /// The bytes of every output, by table.
    pub fn bytes(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let read = |table: &str| self.files(table).iter().map(|file| std::fs::read(file).unwrap()).collect();
        OUTPUTS.iter().map(|table| ((*table).to_owned(), read(table))).collect()
    }

    /// Asks the outputs a question in SQL; values as text, row by row.
    pub fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let context = SessionContext::new();
            for table in OUTPUTS.iter().chain(&["rejected"]) {
                let files: Vec<String> = self.files(table).iter().map(|file| file.to_str().unwrap().to_owned()).collect();
                let frame = context.read_parquet(files, ParquetReadOptions::default()).await.unwrap();
                context.register_table(*table, frame.into_view()).unwrap();
            }
            rows(&context.sql(sql).await.unwrap().collect().await.unwrap())
        })
    }

    /// The ledger of a source: read, kept, rejected, deduplicated, out of window.
    pub fn ledger(&self, source: &str) -> [u64; 5] {
        let ledger = self.result["sources"].as_array().unwrap().iter().find(|ledger| ledger["source"] == source).unwrap();
        ["rows_read", "rows_kept", "rows_rejected", "rows_deduplicated", "rows_out_of_window"].map(|key| ledger[key].as_u64().unwrap())
    }
}

/// The shipped sample as of the day after its last order, with a window over all of it. Run once for all tests that only read it.
pub fn sample() -> &'static Publication {
    static SAMPLE: OnceLock<Publication> = OnceLock::new();
    SAMPLE.get_or_init(|| Publication::of(&package().join("examples/data"), SAMPLE_AS_OF, &["--param", "rfm_window_days=400"]))
}

/// The shipped sample with every parameter at its default.
pub fn default_sample() -> &'static Publication {
    static SAMPLE: OnceLock<Publication> = OnceLock::new();
    SAMPLE.get_or_init(|| Publication::of(&package().join("examples/data"), SAMPLE_AS_OF, &[]))
}

/// Asks Parquet files a question; they are the table `t`.
pub fn rows_of_parquet(files: &[PathBuf], sql: &str) -> Vec<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new();
        let files: Vec<String> = files.iter().map(|file| file.to_str().unwrap().to_owned()).collect();
        let frame = context.read_parquet(files, ParquetReadOptions::default()).await.unwrap();
        context.register_table("t", frame.into_view()).unwrap();
        rows(&context.sql(sql).await.unwrap().collect().await.unwrap())
    })
}

/// Cells as text, row by row.
pub fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let cell = |array: &dyn Array, row| arrow::util::display::array_value_to_string(array, row).unwrap();
    batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(move |row| batch.columns().iter().map(|array| cell(array, row)).collect()))
        .collect()
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
