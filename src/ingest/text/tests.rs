//! Blocks of a text are its records, wherever fetches and blocks end.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use proptest::prelude::*;

use super::*;
use crate::ingest::csv::Dialect;

type Lines<T> = Vec<(u64, T)>;

/// The line and the text of every record that blocks have, and of the others the line and the reason.
fn by_blocks(text: &str) -> (Lines<String>, Lines<&'static str>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (store, path) = (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, Path::from("a.csv"));
        store.put(&path, PutPayload::from(text.to_owned())).await.unwrap();
        let meta = store.head(&path).await.unwrap();
        let file = File { store, meta, shown: String::new(), is_local: false, parts: Arc::default() };
        let mut blocks = Blocks::open(&file, Division::Csv(Dialect::default()));
        let (mut whole, mut bad) = (Vec::new(), Vec::new());
        while let Some(piece) = blocks.next().await.unwrap() {
            match piece {
                Piece::Bad { line, reason, .. } => bad.push((line, reason)),
                Piece::Block(block) => {
                    let text = |found: records::Standing| String::from_utf8(block.bytes[found.start..found.end].to_vec()).unwrap();
                    whole.extend(
                        records::records(&block.bytes, &Dialect::default()).map(|found| (block.first_line + found.line, text(found))),
                    );
                }
            }
        }
        (whole, bad)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Records are the same wherever blocks end: between the two characters of a line end, within quotes, between two of these.
    #[test]
    fn blocks_end_where_records_do(
        row in prop::sample::select(vec!["x\n", "\"x\r\ny\",1\r\n", "a,\"\"\"\"\r"]),
        before in 0..24_usize,
        tail in "(\r\n|[a,\"\n\r]){0,24}",
    ) {
        let filler = row.repeat(BLOCK_BYTES / row.len() - 24);
        // The tail begins before the end of the first block, and goes on behind it.
        let text = format!("{filler}{}{tail}{}", "y".repeat(BLOCK_BYTES - filler.len() - before), row.repeat(24));
        let expected: Vec<_> = records::records(text.as_bytes(), &Dialect::default()).collect();
        let (found, bad) = by_blocks(&text);
        let whole = if expected.last().is_some_and(|last| last.in_quotes) { expected.len() - 1 } else { expected.len() };
        let shown = |found: &records::Standing| (found.line + 1, text[found.start..found.end].to_owned());
        prop_assert_eq!(bad.len(), expected.len() - whole);
        prop_assert!(found.starts_with(&expected[..whole].iter().map(shown).collect::<Vec<_>>()));
        prop_assert_eq!(bad.first().map(|(line, _)| *line), expected.get(whole).map(|last| last.line + 1));
    }
}
