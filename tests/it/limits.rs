use std::collections::BTreeSet;

use crate::support::package;
use crate::tidy::{read, rust_files};

/// Constants that bound what somebody sends or writes, each with words of its row in `docs/limits.md`.
const BOUNDS: &[(&str, &str)] = &[
    ("affinity/purchases.rs MOST_ITEMS_OF_A_CUSTOMER", "say what to [offer](guides/groups.md#offers) | 75 |"),
    ("cli/resources.rs MAX_THREADS", "up to 256"),
    ("cli/resources.rs MAX_MEMORY_BYTES", "1,024 TiB"),
    ("cli/days.rs MAX_DAYS", "40,000"),
    ("cli/durations.rs MAX_DURATION", "36,525 days"),
    ("cli/query.rs MAX_QUERY_BYTES", "| a query of `segmill query` | 4 MiB |"),
    ("config/clusters.rs MOST_CLUSTERS", "| clusters of a clustering | 100 |"),
    ("config/load.rs MAX_MODELS", "| SQL models | 2,000 |"),
    ("config/load.rs MAX_PROJECT_BYTES", "| text of a project, in all its files | 64 MiB |"),
    ("config/load.rs MAX_TEXT_BYTES", "| 4 MiB each |"),
    ("config/member_path.rs MAX_STEPS", "| steps of a path | 32 |"),
    ("config/notify.rs MAX_NOTIFICATIONS", "| notifications | 20 |"),
    ("config/tree.rs MAX_KEYS", "| keys of one mapping | 2,000 |"),
    ("config/tree.rs MAX_PARTS", "| 250,000 |"),
    ("engine/costs.rs MAX_CONSTANT_BYTES", "a constant that is repeated in every row | 16 KiB |"),
    ("engine/costs.rs MAX_PARTS", "| 20,000 |"),
    ("engine/spill_files.rs MAX_SPILLED_BYTES", "on disk | 100 GiB |"),
    ("engine/growth.rs MAX_CONSTANT_BYTES", "a text made of constants 1 MiB"),
    ("engine/recursion.rs MAX_ROUNDS", "| rounds of a recursive query | 10,000 |"),
    ("functions/addresses.rs MAX_ADDRESS_BYTES", "254 bytes"),
    ("functions/addresses.rs MAX_LABEL_BYTES", "63"),
    ("functions/addresses.rs MAX_WRITTEN_DOMAIN_BYTES", "1,024"),
    ("functions/phones.rs MAX_WRITTEN_BYTES", "128"),
    ("generate/outcome.rs MAX_CUSTOMERS", "50,000,000"),
    ("identity/edges.rs MAX_SOURCES", "64; 255"),
    ("identity/rules.rs MAX_TYPES", "64; 255"),
    ("native/clusters/mod.rs MOST_ROUNDS", "| rounds of k-means | 300 |"),
    ("ingest/column.rs MAX_PATTERN_BYTES", "| a compiled `pattern` | 1 MiB |"),
    ("ingest/deduplicate/fingerprints.rs MAX_BYTES", "32 MiB at most"),
    ("ingest/deduplicate/places.rs MAX_PIECES", "16,777,216"),
    ("ingest/parquet/footer.rs MAX_FOOTER_BYTES", "footer of a Parquet file | 256 MiB"),
    ("ingest/parquet/footer.rs MAX_NESTING", "| 64 levels |"),
    ("ingest/parquet/footer.rs MAX_ROW_GROUPS", "| 32,767 |"),
    ("ingest/parquet/nested.rs MAX_COPIED_VALUES", "have copies of | 268,435,456 |"),
    ("ingest/parquet/peek.rs MAX_PEEK_BYTES", "64 MiB of each of three row groups"),
    ("inspect/json.rs MAX_COLUMNS", "1,000 paths"),
    ("inspect/mod.rs MAX_FILES", "12 files of each source"),
    ("inspect/sample.rs MAX_HEAD_BYTES", "the first 1 MiB of a text"),
    ("ingest/path_match.rs MAX_DAY_BYTES", "a day or moment in a path | 64 bytes"),
    ("ingest/refused_files.rs MAX_FILES", "2,000 files"),
    ("ingest/text.rs MAX_RECORD_BYTES", "a line of NDJSON | 1 MiB |"),
    ("ingest/unpack.rs MAX_WINDOW_LOG", "| 2 GiB (`--long=31`)"),
    ("number.rs MOST_DIGITS", "| 100, exponents up to 10,000 |"),
    ("number.rs MOST_EXPONENT", "| 100, exponents up to 10,000 |"),
    ("openlineage/event.rs MAX_MESSAGE_CHARS", "| a message in a lineage event | 4,000 characters |"),
    ("openlineage/parent.rs MAX_BYTES", "| `OPENLINEAGE_CONTEXT`, and the names in it | 64 KiB |"),
    ("plan/look_alikes.rs MAX_COMPARED_COLUMNS", "| columns that look-alikes compare | 64 |"),
    ("publish/clean/ours.rs MAX_RECORD_BYTES", "64 MiB for `clean`"),
    ("publish/commit.rs MAX_ATTEMPTS", "| numbers tried for a commit | 100 |"),
    ("publish/delta/log.rs MAX_LOG_FILE_BYTES", "| a file in the log of a [Delta Lake table](guides/delta.md) | 256 MiB |"),
    ("publish/marker.rs MAX_BYTES", "| 64 KiB |"),
    ("publish/pending.rs MAX_BYTES", "| a pending note | 1 MiB |"),
    ("publish/project.rs MAX_KEPT_PROJECT_BYTES", "| a project that a publication keeps | 512 MiB |"),
    ("publish/publications.rs MAX_COMMIT_BYTES", "| a commit | 64 MiB |"),
    ("record/run_record.rs MAX_BYTES", "16 MiB for its times"),
    ("segments/domain.rs MAX_ACCEPTED", "under `accepted` | 2,000 |"),
    ("segments/memory/names.rs MAX_FORMER_SEGMENTS", "| 10,000 |"),
    ("page/mod.rs MAX_PAGE_BYTES", "the page of a report | 2 MB"),
    ("segments/mod.rs MAX_SEGMENTS", "| 300 |"),
    ("segments/prove/cells.rs MOST_CELLS", "262,144"),
    ("segments/prove/prover.rs MOST_ANSWERS", "4,194,304"),
    ("segments/prove/prover.rs MOST_RULES_IN_PAIRS", "| 64 |"),
    ("segments/rule.rs MAX_RULE_BYTES", "| a segment's rule | 16 KiB |"),
    ("sql/bounds.rs MAX_COLUMNS", "lists | 2,000 |"),
    ("sql/bounds.rs MAX_DEPTH", "| 200 steps |"),
    ("sql/bounds.rs MAX_GROUPING_SETS", "| 256 |"),
    ("sql/bounds.rs MAX_JOINS", "| joins among them | 100 |"),
    ("sql/bounds.rs MAX_READS", "| 500 |"),
    ("show/condition.rs MAX_CONDITION_BYTES", "| a condition of `show --where` | 16 KiB |"),
    ("sql/query.rs MAX_BEHIND", "200 behind one value"),
    ("sql/query.rs MAX_CHAIN", "| 1,000, "),
    ("sql/query.rs MAX_NESTED", "| at least 45 |"),
    ("sql/query.rs MAX_TEXT_BYTES", "a text in SQL"),
    ("storage/glob.rs MAX_FILES", "| files of a source | 100,000 |"),
    ("storage/named_parts.rs MAX_PARTS", "| named parts of a location | 32 |"),
    ("traits/tally.rs MOST_VALUES", "| different texts of a column with traits | 200 |"),
    ("telemetry/prometheus.rs MAX_METRICS_BYTES", "an earlier run left | 4 MiB |"),
];

/// Those that bound what Segmill itself shows, tries or computes with.
const OTHERS: [&str; 43] = [
    "engine/exact/double.rs MOST_SHIFT",
    "groups/seeding.rs MOST_CANDIDATES",
    "identity/rules.rs MOST_SHOWN",
    "identity/tables.rs MOST_INTERVALS",
    "ingest/parquet/delta.rs MAX_BITS",
    "ingest/parquet/pages.rs MAX_KEY_BITS",
    "ingest/parquet/thrift.rs MAX_DEPTH",
    "ingest/remarks.rs MAX_SHOWN_BYTES",
    "ingest/refused_files.rs MAX_TOLD",
    "likeness/reasons.rs MOST_REASONS",
    "publish/check/checker.rs MOST_DIGITS",
    "publish/delta/table.rs MAX_CONFLICTS",
    "publish/layout.rs MAX_NAME_BYTES",
    "publish/folders.rs MAX_ROUNDS",
    "publish/publications.rs MAX_ROUNDS",
    "report/identity.rs MOST_ALIASES",
    "report/identity.rs MOST_INDENTED",
    "storage/client.rs MAX_PAUSE",
    "storage/client.rs MAX_RETRIES",
    "storage/client.rs MAX_TRY",
    "storage/profile.rs MAX_BYTES",
    "figures/customers.rs MOST_VALUES",
    "figures/segments.rs MOST_TRAITS",
    "page/actions.rs MOST_ACTIONS",
    "page/actions.rs MOST_ALSO",
    "page/actions.rs MOST_OF_A_SET",
    "page/changes.rs MOST_LISTED",
    "page/changes.rs MOST_MOVEMENTS",
    "page/charts/flow.rs MOST_ROWS",
    "page/charts/flow.rs MOST_SEGMENTS",
    "page/charts/flow_layout.rs MOST_BANDS",
    "page/charts/flow_layout.rs MOST_SEGMENTS",
    "page/charts/heat_map.rs MOST_SCORES",
    "page/overlaps.rs MOST_IN_MATRIX",
    "page/overlaps.rs MOST_PAIRS",
    "page/personas.rs MOST_OPEN",
    "page/project.rs MOST_LISTED",
    "page/quality.rs MOST_REJECTS",
    "segments/why/candidates.rs MOST_CLASSES",
    "segments/why/search.rs MOST_ROWS",
    "segments/why/search.rs MOST_STEPS",
    "segments/why/search.rs MOST_WAYS",
    "segments/why/set.rs MOST_TURNS",
];

/// The constants of the source that are called limits, each with its file.
fn limits_of_source() -> BTreeSet<String> {
    let source = package().join("src");
    let mut found = BTreeSet::new();
    for file in rust_files(&source) {
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines() {
            let Some((_, named)) = line.split_once("const ") else { continue };
            let name: String = named.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect();
            if name.starts_with("MAX_") || name.starts_with("MOST_") {
                found.insert(format!("{} {name}", file.strip_prefix(&source).unwrap().display()));
            }
        }
    }
    found
}

#[test]
fn every_limit_is_in_the_table() {
    let table = read(&package().join("docs/limits.md"));
    let known: BTreeSet<String> = BOUNDS.iter().map(|(name, _)| *name).chain(OTHERS).map(str::to_owned).collect();
    let found = limits_of_source();
    let missing: Vec<_> = found.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "write a row into docs/limits.md and its words here, or say that it bounds nothing from outside: {missing:#?}"
    );
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these are no more: {gone:#?}");
    let untold: Vec<_> = BOUNDS.iter().filter(|(_, words)| !table.contains(words)).collect();
    assert!(untold.is_empty(), "docs/limits.md does not say {untold:#?}");
}
