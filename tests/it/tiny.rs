use std::process::{Command, Output};

use tempfile::TempDir;

/// The pipeline file of the tiny project.
pub const PIPELINE: &str = "\
version: 1
name: tiny
parameters:
  edition: {type: integer, default: '1', description: Stands in every row and so tells publications apart}
sources:
  orders:
    location: ${EXTRACTS:-extracts}/*.csv
    event_time: ordered_at
    columns:
      customer_id: {type: string, required: true}
      ordered_at: {type: timestamp, required: true}
segments:
  value:
    kind: exclusive
    segments:
      - {name: buyers, when: orders > 1, description: Came back, action: Thank them, channel: email}
      - {name: others, when: 'true', description: The rest, action: None, channel: none}
outputs:
  destination: ${DESTINATION:-out}
  tables:
    customers: {model: customers, sort: [customer_id]}
    segment_membership: {model: segment_membership, sort: [segment_set, segment, customer_id]}
";

/// A pipeline file of the tiny project without its segments: then nothing is kept of whose rows have changed, and a source is read as its
/// models read it.
pub fn without_segments(pipeline: &str) -> String {
    let (before, after) = (pipeline.find("segments:\n").unwrap(), pipeline.find("outputs:\n").unwrap());
    let rest: String =
        pipeline[after..].lines().filter(|line| !line.contains("segment_membership")).map(|line| format!("{line}\n")).collect();
    pipeline[..before].to_owned() + &rest
}

/// The tables that the tiny project publishes.
pub const TABLES: [&str; 3] = ["customers", "rejected", "segment_membership"];

/// A project of two models over a few rows, so that a run takes a moment and few storage calls.
pub struct Tiny {
    pub folder: TempDir,
}

impl Tiny {
    pub fn new() -> Tiny {
        let tiny = Tiny { folder: tempfile::tempdir().unwrap() };
        tiny.write("pipelines/tiny.yaml", PIPELINE);
        tiny.write("sql/staging/orders.sql", "-- An order.\nselect customer_id, ordered_at from sources.orders\n");
        tiny.write(
            "sql/customers.sql",
            "-- A customer.\nselect customer_id, count(*) as orders, $edition as edition from staging.orders group by customer_id\n",
        );
        tiny.write("extracts/orders.csv", &orders());
        tiny
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// The binary, to be run in the project's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_segmill"));
        command.args(arguments).current_dir(self.folder.path());
        for name in ["EXTRACTS", "DESTINATION", "SEGMILL_LOG"] {
            command.env_remove(name);
        }
        command
    }

    pub fn segmill(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }
}

/// The extract: 50 customers, of whom every other ordered twice.
pub fn orders() -> String {
    let mut text = "customer_id,ordered_at\n".to_owned();
    for customer in 0..50 {
        for day in 0..=customer % 2 {
            text += &format!("c{customer:03},2026-10-0{}T10:00:00Z\n", day + 1);
        }
    }
    text
}
