//! Load manifests: lists of a table's files in the formats that warehouses load. They are written before the commit that names them, so
//! a manifest that a commit names is complete.

use serde_json::json;

use super::objects::to_json;
use crate::error::Result;
use crate::manifest::Table;
use crate::storage::Location;

/// Writes the load manifests of a table.
///
/// # Errors
/// As the store fails.
pub async fn write(destination: &Location, table: &Table) -> Result<()> {
    destination.put(&destination.join(&table.urls_path), urls(destination, table).into_bytes()).await?;
    match &table.redshift_manifest_path {
        Some(path) => destination.put(&destination.join(path), to_json(&redshift_manifest(destination, table))?).await,
        None => Ok(()),
    }
}

/// The URLs of a table's files, a line each.
pub fn urls(destination: &Location, table: &Table) -> String {
    table.files.iter().map(|file| destination.url(&destination.join(&file.path)) + "\n").collect()
}

/// A table's files as Redshift's `COPY … FORMAT AS PARQUET MANIFEST` takes them, which wants the length of each.
pub fn redshift_manifest(destination: &Location, table: &Table) -> serde_json::Value {
    let entry = |file: &crate::manifest::DataFile| {
        json!({
            "url": destination.url(&destination.join(&file.path)),
            "mandatory": true,
            "meta": { "content_length": file.bytes },
        })
    };
    json!({ "entries": table.files.iter().map(entry).collect::<Vec<_>>() })
}
