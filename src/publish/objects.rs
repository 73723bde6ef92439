//! Objects at a destination: documents as JSON, and what is created only if it is not there.

use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutPayload};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::storage::Location;

/// A small document, for people too.
pub fn to_json(document: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(document).map_err(|error| Error::defect(format!("a document was not written: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// Creates an object only if it is not there.
///
/// # Errors
/// The store's own.
pub async fn put_new(destination: &Location, path: &Path, bytes: Vec<u8>) -> object_store::Result<()> {
    destination.store.put_opts(path, PutPayload::from(bytes), PutOptions::from(PutMode::Create)).await.map(|_| ())
}
