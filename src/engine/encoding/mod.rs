//! How the engine holds texts: as codes of one dictionary, or as they are.
//!
//! The rest of the engine asks [`Texts`], which does what the [`TextEncoding`] says, so that one switch turns all of it off.

mod dictionary;
mod expressions;
mod functions;
mod rewrite;
mod table;
mod texts;

pub use dictionary::{CODE, ChunkCodes, Dictionary, TextSnapshot};
pub use table::{answer_schema, decoded_schema, is_text};
pub use texts::{TextEncoding, Texts};
