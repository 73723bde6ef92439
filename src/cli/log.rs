//! Log lines as JSON on standard error, one object a line, each with the run that it is of.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::clock;
use crate::record::Recorder;
use crate::shown;

/// The form of what goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For who looks for a mistake in Segmill.
    Debug,
    /// How the work goes on.
    Info,
    /// Somebody should look at it.
    Warning,
    /// The command failed.
    Error,
}

/// Writes the lines.
#[derive(Debug, Default)]
pub struct Log {
    /// The run that is going on.
    run: Mutex<Option<Arc<Recorder>>>,
}

impl Log {
    /// The lines that follow are of a run.
    pub fn begins(&self, run: &Arc<Recorder>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(run));
    }

    /// The lines that follow are of the command, and of no run.
    pub fn ends(&self) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Writes a line, which may say more than a message.
    pub fn line(&self, level: Level, message: &str, more: Map<String, Value>) {
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), json!(clock::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)));
        line.insert("level".to_owned(), json!(level.name()));
        line.insert("message".to_owned(), json!(shown::without_given(message)));
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(run) = run {
            let (run_id, pipeline, as_of, step) = run.context();
            line.insert("run_id".to_owned(), json!(run_id));
            line.insert("pipeline".to_owned(), json!(pipeline));
            line.insert("as_of".to_owned(), json!(as_of));
            if let Some(step) = step {
                line.insert("step".to_owned(), json!(step));
            }
        }
        line.extend(more);
        let line = Value::Object(line).to_string();
        let line = format!("{}\n", shown::json(&shown::without_given(&line)));
        // If standard error is closed, there is nowhere to report that. A line is written at once, so that two are never mixed.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Writes what the program logs in the same form.
#[derive(Debug)]
pub struct LogLayer(pub Arc<Log>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let message = fields.0.shift_remove("message");
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        self.0.line(level, message.as_ref().and_then(Value::as_str).unwrap_or_default(), fields.0);
    }
}

/// The fields of something that is logged.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }
}
