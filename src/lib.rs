//! Segmill turns a company's customer extracts into customer segments, on a schedule.
//!
//! A table of contents, from the command line down; calls go down only (see ARCHITECTURE.md):
//!
//! - [`cli`]: one file a command
//! - [`run`]: the order of the steps of a run; [`job`]: what a run is asked and what it came to
//! - [`cases`]: the project's own tests; [`explain`]: why an identifier leads to its customer;
//!   [`show`]: the rows of one table, or of a query
//! - [`execute`]: computes the nodes of a plan, for a run, a case or an explanation
//! - [`plan`]: project and values become the nodes of a run; [`graph`]: which node reads which; [`native`]: the nodes that are not SQL
//! - [`predecessor`]: what a run builds on of the publication before
//! - [`project`]: the project as publications keep it, and what has changed in it
//! - [`ingest`]: extracts become kept and rejected rows, by contract
//! - [`identity`]: pairs of identifiers become customers
//! - [`segments`]: rules over the profile become memberships
//! - [`lineage`]: columns are followed back to sources, and the rows of sources to customers
//! - [`publish`]: stage, check, commit; [`manifest`]: the files that Segmill keeps at a destination, as types
//! - [`report`]: what people and programs are told; [`docs`]: the project itself as a page
//! - [`record`]: what a run read, did and came to; [`telemetry`]: metrics, traces and notifications of it
//! - [`generate`]: sample extracts of any size
//! - [`engine`]: the DataFusion session; [`functions`]: its functions of our own; [`sql`]: parsed SQL and what is wrong with it
//! - [`config`]: the project as types; [`storage`]: where files are
//! - [`traits`]: how groups of customers differ from everybody
//! - [`groups`]: groups of customers by numbers that are known of them; [`likeness`]: how like the members of a segment others are
//! - [`local_time`]: the clocks of a time zone; [`number`]: numbers as texts write them;
//!   [`parallel`]: work on several threads outside of queries
//! - [`diagnostic`] and [`error`]: what is wrong, where, and who must act; [`shown`]: how what comes from outside is shown;
//!   [`cast`]: casts that find out which values do not fit

pub mod affinity;
pub mod cases;
pub mod cast;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnostic;
pub mod diff;
pub mod docs;
pub mod engine;
pub mod error;
pub mod execute;
pub mod explain;
pub mod figures;
pub mod functions;
pub mod generate;
pub mod graph;
pub mod groups;
pub mod identity;
pub mod ingest;
pub mod inspect;
pub mod job;
pub mod likeness;
pub mod lineage;
pub mod local_time;
pub mod manifest;
pub mod native;
pub mod number;
pub mod openlineage;
pub mod page;
pub mod parallel;
pub mod plan;
pub mod predecessor;
pub mod predict;
pub mod project;
pub mod publish;
pub mod record;
pub mod report;
pub mod run;
pub mod segments;
pub mod show;
pub mod shown;
pub mod sql;
pub mod storage;
pub mod telemetry;
pub mod traits;
