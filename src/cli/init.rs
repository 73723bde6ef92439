//! `segmill init`: the shipped project, which is part of the binary, copied to a folder with its sample.

use include_dir::{Dir, include_dir};
use serde_json::json;

use super::arguments::InitArguments;
use super::terminal::Terminal;
use crate::error::{Error, Result};
use crate::storage;

/// The folders that make up the shipped project.
static SHIPPED: [(&str, Dir<'static>); 4] = [
    ("pipelines", include_dir!("$CARGO_MANIFEST_DIR/pipelines")),
    ("sql", include_dir!("$CARGO_MANIFEST_DIR/sql")),
    ("tests/models", include_dir!("$CARGO_MANIFEST_DIR/tests/models")),
    ("examples", include_dir!("$CARGO_MANIFEST_DIR/examples")),
];

/// Runs the command.
pub fn command(arguments: &InitArguments, terminal: &Terminal) -> Result<()> {
    let folder = &arguments.folder;
    let shown = folder.display();
    let in_the_way = SHIPPED.iter().map(|(name, _)| folder.join(name)).find(|path| path.exists());
    if let Some(path) = in_the_way {
        return Err(Error::argument("folder-in-use", format!("{} is there already; name a new folder", path.display())));
    }
    for (name, content) in &SHIPPED {
        let target = folder.join(name);
        let written = std::fs::create_dir_all(&target).and_then(|()| content.extract(&target));
        written.map_err(|error| {
            Error::argument("unwritable-folder", format!("cannot write {}: {}", target.display(), storage::of_system(&error)))
        })?;
    }
    let next = "segmill run pipelines/customer_segments.yaml --as-of 2011-12-10";
    terminal.tell(
        || format!("A project with a sample is in {shown}. Next:\n\n    cd {shown}\n    {next}"),
        || json!({ "status": "created", "exit_code": 0, "folder": shown.to_string(), "next": next }),
    )
}
