//! Damaged Parquet files: the errors for them, and decoders that fail or panic on them.

use std::cell::Cell;

use parquet::errors::ParquetError;

use crate::error::{Error, Message};
use crate::storage::File;

/// The message for a footer or a page with damaged bytes.
pub(super) const DAMAGED: &str = "its metadata or a page of it is damaged";

/// The message for a page whose checksum is wrong.
pub(super) const CHECKSUM: &str = "a checksum of it is wrong";

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a decoder. A panic there is damage of a file, and not a defect.
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Calls a decoder, which may fail or panic on damaged bytes. Its message is dropped, because it may repeat data.
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
