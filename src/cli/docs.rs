//! `segmill docs`: a page about the project itself, written without reading data.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::json;

use super::arguments::DocsArguments;
use super::look::{beside, unwritten};
use super::runtimes;
use super::terminal::Terminal;
use super::validate::{Validated, validated};
use crate::config::{self, Environment};
use crate::docs;
use crate::error::Result;

/// Runs the command.
pub fn command(arguments: &DocsArguments, environment: &Environment, terminal: &Terminal) -> Result<()> {
    let overrides = BTreeMap::new();
    let reviewed = validated(&arguments.pipeline, &overrides, environment);
    let Validated { plan, warnings } = runtimes::working(1)?.block_on(reviewed)?;
    let given = config::given_values(&plan.project.file, environment).into_iter().collect();
    let warnings = warnings.iter().map(|warning| warning.message.clone()).collect();
    let page = docs::page(&plan, &given, warnings)?;
    let path = &arguments.output;
    let mut file = beside(path).map_err(|error| unwritten(path, &error))?;
    file.write_all(page.as_bytes()).map_err(|error| unwritten(path, &error))?;
    file.persist(path).map_err(|error| unwritten(path, &error.error))?;
    let (shown, bytes) = (path.display(), page.len());
    terminal.tell(
        || format!("The project is described in {shown}"),
        || json!({ "status": "written", "exit_code": 0, "file": shown.to_string(), "bytes": bytes }),
    )
}
