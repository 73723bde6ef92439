//! What is said of a Parquet file whose bytes are not what they should be, and decoders that fail or panic over them.

use std::cell::Cell;

use parquet::errors::ParquetError;

use crate::error::{Error, Message};
use crate::storage::File;

/// What is said of a footer or a page whose bytes are not what they should be.
pub(super) const DAMAGED: &str = "its metadata or a page of it is damaged";

/// What is said of bytes that are not those that were written.
pub(super) const CHECKSUM: &str = "a checksum of it is wrong";

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a decoder, whose panics are damage of a file and no defect.
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Calls a decoder, which may fail, and may panic over what nobody has written. What it says may repeat what it has read.
pub(super) fn unharmed<T, E: std::fmt::Display>(
    decode: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, &'static str> {
    IS_DECODING.set(true);
    let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode));
    IS_DECODING.set(false);
    match decoded {
        Ok(decoded) => decoded.map_err(|error| why(&error)),
        Err(_) => Err(DAMAGED),
    }
}

fn why(error: &impl std::fmt::Display) -> &'static str {
    if error.to_string().contains(CHECKSUM) { CHECKSUM } else { DAMAGED }
}

pub(super) fn damaged_by(file: &File, error: &ParquetError) -> Error {
    damaged(file, why(error))
}

pub(super) fn damaged(file: &File, why: &str) -> Error {
    let message = Message::new(format!("{} is not readable as Parquet: {why}", file.shown));
    Error::Refused(message.hint("the file is damaged or cut short: fetch it again"))
}
