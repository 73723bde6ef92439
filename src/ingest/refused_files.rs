//! When one file of an extract is refused, looks for other files that would be refused too, so that one run reports all of them.

use std::sync::Arc;

use futures::StreamExt;

use super::collector::Collector;
use super::extract::{Extract, FILES_AT_ONCE};
use super::held::HeldCodes;
use super::parquet;
use super::reader::Reading;
use super::scan::Scan;
use crate::config::SourceFormat;
use crate::engine::Engine;
use crate::error::{Error, Message};
use crate::storage::File;

/// The most files that are looked at.
const MAX_FILES: usize = 2_000;
/// The most that are told.
const MAX_TOLD: usize = 20;

/// The refusal of a file together with those of all other files that are wrong at their beginning or in their footer.
pub async fn with_others(refused: Message, engine: &Engine, extracts: &[Extract]) -> Message {
    let files = extracts.iter().flat_map(|extract| extract.files.iter().map(move |(file, format)| (extract, file, *format)));
    let looked = futures::stream::iter(files.take(MAX_FILES)).map(|(extract, file, format)| look(engine, extract, file, format));
    let broken: Vec<Message> = looked.buffered(FILES_AT_ONCE).filter_map(std::future::ready).collect().await;
    together(refused, broken)
}

/// Several refusals as one. The first refusal is among them, or is put before them.
pub fn together(refused: Message, mut broken: Vec<Message>) -> Message {
    if !broken.contains(&refused) {
        broken.insert(0, refused);
    }
    if broken.len() == 1 {
        return broken.remove(0);
    }
    let what = format!("{} files cannot be read", broken.len());
    let mut together = Message::new(what);
    let more = broken.len().saturating_sub(MAX_TOLD);
    let mut hints: Vec<String> = Vec::new();
    for message in broken.into_iter().take(MAX_TOLD) {
        together.details.push(message.what);
        together.details.extend(message.details.into_iter().map(|detail| format!("  {detail}")));
        hints.extend(message.hint.map(|hint| hint.to_string()).filter(|hint| !hints.contains(hint)));
    }
    if more > 0 {
        together.details.push(format!("and {more} more"));
    }
    if hints.is_empty() { together } else { together.hint(hints.join("; ")) }
}

/// Why a file is refused, as far as its first rows or its footer show.
async fn look(engine: &Engine, extract: &Extract, file: &File, format: SourceFormat) -> Option<Message> {
    let contract = &extract.contract;
    let looked = if format == SourceFormat::Parquet {
        parquet::row_groups(std::slice::from_ref(file), contract, Some(&engine.reservation())).await.map(drop)
    } else {
        let projection: Vec<usize> = (0..contract.width()).collect();
        let scan = Arc::new(Scan {
            contract: Arc::clone(contract),
            collector: Collector::new(contract, engine),
            dictionary: Arc::clone(engine.dictionary()),
            work: Arc::default(),
            held: Arc::new(HeldCodes::within(engine.reservation())),
            is_last: true,
            projection,
            // The schema has texts, so that no codes are looked up.
            schema: Arc::clone(&contract.schema),
            placed: None,
            superseded: None,
            needles: None,
            counts: true,
            batch_rows: 1,
            blocks_at_once: 1,
        });
        // The receiver is dropped at once, so reading stops with the first rows.
        let (sink, _) = tokio::sync::mpsc::channel(1);
        Reading::new(&scan, 0).text(file, format, &sink).await.map(drop)
    };
    match looked {
        Err(Error::Refused(message)) => Some(message),
        _ => None,
    }
}
