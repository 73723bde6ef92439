//! One integration-test binary, because each links DataFusion. A module a promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

/// What to offer next: in tables, summaries, records and cases.
mod affinities;
/// Promises 3 and 7: any bytes at all are read as Python reads them or refused, in linear time, and the ledger adds up.
mod any_bytes;
/// Promise 4: every storage call goes wrong once, runs race, and a store lies.
mod breaking;
/// Promise 4 on the shipped job: the same of every storage call that it makes.
mod breaking_sample;
/// A store in which one call goes wrong, and runs against it.
mod breaking_store;
/// Promises 3 and 8: every row is accounted for, a bad one costs only itself, and personal data stay out of sight.
mod broken_extracts;
/// The project's cases: one that is wrong keeps no other from being run, and what none covers is told.
mod case_runs;
/// Every change has one cause, and it is the one that a person would say.
mod causes;
/// Promise 3: of changes what each key was counts, whatever the order, the split and the words of the changes; held to a plain account.
mod changes;
/// Groups of customers that nobody wrote a rule for: in tables, summaries and records, and over many days.
mod clusters;
/// The command line: exit codes, help, what is told to whom.
mod command_line;
/// Where parts of a contract meet, a record is read as each of them says.
mod contract_parts;
/// Promise 3: what a contract says of values holds in every kind of file: null markers, words, space, zones.
mod contract_values;
/// Promise 7: what is small and would cost much is refused in little time and memory, at its place.
mod costs;
/// Promise 4: a publication whose files are gone is told and repaired, and a clean at any moment of a run harms nothing.
mod damage;
/// Reads a source of dated files in memory, for the modules about paths, snapshots and changes.
mod dated;
/// A movement that comes of an edit of the project is told from others, and a publication keeps the project that it was made with.
mod definitions;
/// Copies in Delta Lake tables follow the publications, whatever goes wrong, and no table of somebody else is touched.
mod delta;
/// CSV files in every dialect and encoding are read as their settings say, and refused with the settings that would read them.
mod dialects;
/// Promise 8: personal values planted in every kind of failure are in nothing that it says or leaves.
mod discretion;
/// Documents say what is true: their examples are run, their links lead somewhere, their tables are those of the program.
mod documents;
/// Drafts are valid and read the files that they are drafts of, also of kinds that were drafted wrongly.
mod drafts_read;
/// Texts are numbers inside the engine, and nobody can tell.
mod encoded_text;
/// Promise 7: signals, limits of the system and time that is up end a run at once, and leave nothing behind.
mod ending;
/// Promise 6: every mistake is told at its place, with why and what to do: `tests/errors`.
mod errors;
/// Sums and arithmetic that do not wrap, ties that do not show, and what is refused.
mod exact_sql;
/// The contracts of `examples/contracts` give the rows that the programs which wrote their extracts meant.
mod example_contracts;
/// Why a customer is in a segment or is not: as published, and so that the change that is told does what it says.
mod explain_segments;
/// Promise 6: every failure is told where it belongs, at once, to whom it concerns, and a result that nobody gets is one.
mod failures;
/// A look at a few rows of a large table, which does not compute it, shows rows of it.
mod few_rows;
/// Promise 1 for any SQL: generated queries give the same on any number of threads, and sums are exact.
mod generated_sql;
/// Promise 9: the identity step gives the same customers whatever the order of its edges, keeps strangers apart, and ids stable.
mod identity_cases;
mod identity_history;
mod identity_operator;
/// Which file of the source imports which.
mod imports;
/// Contracts drafted from files: right where that can be told, unsure where not, and never with a personal value.
mod inspect;
/// Each source is judged as soon as it can be, and no other failure hides what is wrong with it.
mod judging;
/// A source with a key has one row of each, without holding rows for it.
mod keys;
/// Exit 99 means late extracts and nothing else.
mod late_extracts;
/// Every limit of the source is in `docs/limits.md`.
mod limits;
/// Runs tell catalogues what they read and write, in OpenLineage's words, and whatever becomes of that they go on.
mod lineage_events;
/// Local times that happen twice or never are one moment, in every zone, format and representation.
mod local_times;
/// Who is like the members of a segment: in tables, summaries, records and cases, and a month later.
mod look_alikes;
/// Promise 8 and more: looks at rows print no personal value, publish nothing, and say the same every time.
mod looks;
/// Looks at segments remember what a run remembers, and mask the ids that the profile's are.
mod looks_at_segments;
/// Reads the project's documents.
mod markdown;
/// Marked values, and whether a text holds one in any form.
mod marks;
/// Promise 3: every value of every kind of file is read as `docs/values.md` says, or rejected.
mod meanings;
/// What `tests/values` expects, and how a run is held to it.
mod meanings_table;
/// Promise 9: membership follows the person, so that a merge makes nobody enter or leave a segment.
mod membership_history;
/// Whatever the data, a run keeps to its memory limit or says what limit would be enough.
mod memory_limit;
/// Promise 3: a date, a time of day and a zone in columns of their own are one moment, or none.
mod moments_in_parts;
/// Nested values are read by their paths, lists as columns and as rows, and JSON documents record by record; the same in every format.
mod nested;
mod nested_parquet;
/// Promise 2: nothing that happens at or after the as-of day changes an output.
mod no_look_ahead;
/// Promise 3: what a file is, is told from its bytes; none goes astray, none is read in two versions, none is another pipeline's.
mod odd_files;
/// Folders, files and keys of any name work as project, extract and destination, or are refused by name.
mod odd_places;
/// What is no ordinary file, and links that lead nowhere, are refused by name wherever a file is read.
#[cfg(unix)]
mod odd_things;
/// SQL of a project reads, and does nothing else, wherever it stands.
mod only_reads;
/// Promise 4: what is published has passed its checks, and what has not is shown without personal data.
mod output_checks;
/// What is not Segmill's own is not touched: markers, adoption, what clean leaves, retention, destinations that feed themselves.
mod ownership;
/// Promise 7: a Parquet file takes what it declares, which fits or refuses it by name, and its values are right.
mod parquet_bounds;
/// What the path of a file says: values of columns, and the day that bounds its events.
mod paths;
/// Several pipelines over one folder of models: each has those that it needs.
mod pipelines;
/// What a plan says is what a run publishes, and comparisons of days add up.
mod plan_and_diff;
/// What customers will buy and are worth: in tables, summaries, records and cases.
mod predictions;
/// The page about the project itself: complete, discreet, and text that stays text.
mod project_page;
/// The table of columns: what each published column is and means.
mod published_columns;
/// Promises 4 and 5: a publication and what comes of it, on a local disk and through the command line.
mod publishing;
/// Looks at rows: questions that are wrong, that take any rows, or whose reader leaves.
mod questions;
/// Records that are rare: too long and alone, no lists, behind the end of what is left out.
mod rare_records;
/// The two kinds of readers, as the README tells them to read.
mod readers;
/// Reads bytes as an extract within the process.
mod reading;
/// A refusal is never lost: cases in which one was.
mod refusals;
/// A refusal is never lost: whatever damage the row has that carries it.
mod refusals_damaged;
/// The report of a publication tells what its tables say, and is the same whoever makes it.
mod report;
/// Promise 4, many times over: kills, races, full disks, and cleans against runs, on local disks and S3.
mod rounds;
/// Promise 1: the same extracts give the same bytes, whatever the threads, the order of rows or their split over files.
mod same_in_same_out;
/// The committed sample and the generator that made it.
mod sample_data;
/// What the sample gives stays the same, byte by byte.
mod sample_digests;
/// Promise 9 on the sample: shared devices, late logins, junk, merges and a suppressed customer.
mod sample_identity;
/// The shipped job on the real orders: reference numbers from outside.
mod sample_job;
/// Promise 7: an extract that several models read is decoded once for what takes long, and gives each the same rows.
mod scans;
/// The JSON Schemas for editors, and the files that name them.
mod schema;
/// Promise 8: what the environment gives, a store is sent or answers, and a terminal obeys is in nothing that is said or left.
mod secrets;
/// Promise 1 over twelve months of real orders: the chain of publications, the history view, names and stability.
mod segment_history;
/// Random histories of customers who come, go and become one: what the memory of segments tells is what happened.
mod segment_memory;
/// Servers that tests start: stores, and a proxy that makes requests go wrong.
mod servers;
/// Promise 2: of daily snapshots the newest before the as-of day counts; the CRM of the sample as snapshots and as changes.
mod snapshots;
/// The SQL of the shipped project can be read without a guide.
mod sql_style;
/// Promise 4 on every kind of store: one suite for all, races, kills, faults.
mod stores;
/// Promise 4 with stores that fail: a network that breaks, a server that falls silent, a token that expires.
mod stores_faults;
/// Running the binary, reading what it wrote.
mod support;
/// The code keeps its own rules.
mod tidy;
/// A project of a few rows, for tests of what is around the models.
mod tiny;
/// Rust source as words and signs.
mod tokens;
/// How the members of segments differ from everybody: in tables, records and cases, and never of few.
mod traits;
/// The shipped extracts, cut up anew.
mod transform;
/// What is the same is not published again.
mod unchanged;
/// Extracts that have been read wrongly, with what they must give: `tests/values/cases`.
mod values_cases;
/// Values that were read wrongly where no cell of the table of meanings is: parameters, freshness, checksums, scans that disagree.
mod values_seen;
/// Promise 8: what the environment gives for any value of the pipeline file is told as it is typed there.
mod variables;
/// Promise 8, and what a run tells other programs: logs, metrics, traces and notifications, however it ends and whoever does not answer.
mod watching;
