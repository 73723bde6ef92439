//! How the engine represents texts: as codes of a dictionary, or as plain texts.
//!
//! The rest of the engine only uses [`Texts`], which follows the engine's [`TextEncoding`]. So dictionary encoding can be turned off in one
//! place.

mod dictionary;
mod expressions;
mod functions;
mod prints;
mod rewrite;
mod stand;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod uses;

pub use dictionary::{CODE, ChunkCodes, CodeSet, Dictionary, TextSnapshot};
pub use prints::COUNT_PRINTS;
pub use table::{EncodedTable, HasTexts, answer_schema, decoded_schema, is_text};
pub use texts::{TextEncoding, Texts};
