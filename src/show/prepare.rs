//! What a look knows before it reads a row: the day, the plan of what it needs, and what is published.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::TableReference;

use super::names::{self, Target};
use super::published::{self, PUBLISHED, PublishedTable};
use super::question::{Question, Setting};
use crate::config::{self, Project};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::engine::ColumnPrivacy;
use crate::error::{Error, Result};
use crate::graph::{REFERENCE, SOURCES, Signature};
use crate::native::{IDENTITY_SIGNATURE, SEGMENTS_SIGNATURE};
use crate::plan::{self, Plan, PlannedModel, QUERY, Query, Work};
use crate::publish::{self, Publications, REJECTED};
use crate::sql;
use crate::storage::{Location, Stores};

/// A look that has read no row.
pub struct Prepared {
    /// What will be executed; the last node is the query itself.
    pub plan: Plan,
    /// The table that was named, if it was one.
    pub target: Option<Target>,
    /// Published tables that the query reads.
    pub published: Vec<PublishedTable>,
    /// Where publications are.
    pub destination: Location,
    /// What somebody should know.
    pub notes: Vec<String>,
}

impl Prepared {
    /// Plans a look. Without a need for a day, any will do.
    ///
    /// # Errors
    /// [`Error::Project`] for what is wrong with the question or with what it needs; otherwise as the destination fails.
    pub async fn new(setting: &Setting, question: &Question, stores: &Stores, needs_day: bool) -> Result<Self> {
        let project = Arc::new(config::load(&setting.pipeline, &setting.environment)?);
        let destination = publish::destination(setting.destination.as_deref(), &project, stores)?;
        let (file, target) = query_of(&project, question)?;
        let (statement, _) = sql::parse(&file)?;
        let reads: BTreeSet<String> = sql::tables(&file, &statement).into_iter().map(|table| table.name).collect();
        let published: Vec<&str> = reads.iter().filter_map(|table| table.strip_prefix(PUBLISHED)?.strip_prefix('.')).collect();
        let is_dated = |table: &String| ![PUBLISHED, REFERENCE].iter().any(|schema| table.split('.').next() == Some(schema));
        let needs_day = needs_day && (reads.iter().any(is_dated) || !sql::parameters(&file, &statement).is_empty());
        let mut notes = Vec::new();
        let known = if !published.is_empty() || (needs_day && setting.as_of.is_none()) {
            let known = Publications::read(&destination).await?;
            known.belong_to(&project.pipeline.name.value)?;
            Some(known)
        } else {
            None
        };
        let as_of = match setting.as_of {
            Some(day) => day,
            None if !needs_day => NaiveDate::default(),
            None => latest(known.as_ref(), &destination, &mut notes)?,
        };
        let published = match known.filter(|_| !published.is_empty()) {
            Some(known) => published::find(&known, &destination, &published).await?,
            None => Vec::new(),
        };
        let values = config::bind(&project, as_of, &setting.parameters)?;
        let others = published.iter().map(|table| (table.name(), Arc::clone(&table.schema))).collect();
        // What the models say of the columns that were published says which of them are personal.
        let models = published.iter().filter_map(|table| project.pipeline.outputs.tables.get(&table.output));
        let beside = models.map(|output| output.model.value.clone()).collect();
        let plan = plan::look(project, values, Query { file, beside, others }).await?;
        Ok(Prepared { plan, target, published, destination, notes })
    }

    /// The query itself.
    ///
    /// # Errors
    /// [`Error::Defect`] alone.
    pub fn query(&self) -> Result<&PlannedModel> {
        let query = self.plan.maker(QUERY).and_then(|node| node.model());
        query.ok_or_else(|| Error::defect("the query was not planned"))
    }

    /// The tables that must be computed before the query.
    pub fn needed(&self) -> BTreeSet<String> {
        let reads = self.plan.maker(QUERY).into_iter().flat_map(|node| &node.reads);
        reads.flat_map(|table| self.plan.needed(table, |_| false)).collect()
    }

    /// Whether each row comes from one row of one source, in the order of the files, so that the first rows are there at once.
    pub fn is_row_by_row(&self) -> bool {
        let mut table = QUERY.to_owned();
        loop {
            let Some(node) = self.plan.maker(&table) else {
                return table.split('.').next() == Some(SOURCES);
            };
            let is_read_as_it_comes = node.name == QUERY || matches!(node.work, Work::Streamed(_));
            let Some(model) = node.model().filter(|model| is_read_as_it_comes && model.of_query.is_row_by_row) else { return false };
            let Some(read) = model.parsed.reads.first() else { return false };
            table.clone_from(read);
        }
    }

    /// Whether the tables come after the identity step.
    pub fn is_after_identity(&self) -> bool {
        self.needs_any_of(&IDENTITY_SIGNATURE)
    }

    /// Whether the tables come after customers are put into segments.
    pub fn is_after_segments(&self) -> bool {
        self.needs_any_of(&SEGMENTS_SIGNATURE)
    }

    /// Whether the tables come after a prediction.
    pub fn is_after_predictions(&self) -> bool {
        let needed = self.needed();
        self.plan.nodes.iter().any(|node| node.declared().is_some() && node.makes.iter().any(|table| needed.contains(table)))
    }

    fn needs_any_of(&self, step: &Signature) -> bool {
        let needed = self.needed();
        step.makes.iter().any(|table| needed.contains(table.name))
    }

    /// What is known of a column of a table that the query reads.
    pub fn privacy_of(&self, table: &TableReference, column: &str) -> ColumnPrivacy {
        if table.schema() != Some(PUBLISHED) {
            return self.plan.personal.column(table, column);
        }
        let Some(published) = self.published.iter().find(|published| published.output == table.table()) else {
            return ColumnPrivacy::Personal;
        };
        if published.output == REJECTED || column == published.day_column {
            return ColumnPrivacy::Open;
        }
        let model = self.plan.project.pipeline.outputs.tables.get(&published.output).map(|output| output.model.value.as_str());
        let of_model = model.filter(|model| self.plan.makes(model)).map(|model| {
            let of_model = self.plan.personal.column(&TableReference::parse_str(model), column);
            if self.plan.personal.is_marked(column) { ColumnPrivacy::Personal } else { of_model }
        });
        // The model may have been another when a day was published.
        let was = published.personal_columns.as_ref().map(|personal| match personal.get(column) {
            None => ColumnPrivacy::Open,
            Some(None) => ColumnPrivacy::Personal,
            Some(Some(of_type)) => ColumnPrivacy::ByTypeIn(of_type.clone()),
        });
        match (of_model.unwrap_or(ColumnPrivacy::Open), was) {
            (ColumnPrivacy::Open, Some(was)) => was,
            (now, Some(ColumnPrivacy::Open)) => now,
            (now, Some(was)) if now == was => now,
            // Otherwise it is not known what it was made of.
            _ => ColumnPrivacy::Personal,
        }
    }
}

/// The query that a question asks, and the table that it names.
fn query_of(project: &Project, question: &Question) -> Result<(Arc<SourceFile>, Option<Target>)> {
    match question {
        Question::Sql { path, text } => Ok((Arc::new(SourceFile { path: path.clone(), text: text.clone() }), None)),
        Question::Table { name, .. } => {
            let published = name.strip_prefix(PUBLISHED).and_then(|rest| rest.strip_prefix('.'));
            let target = match published.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
                Some(_) => Target { table: name.clone(), order: Vec::new() },
                None => names::target(project, name)?,
            };
            let file = SourceFile { path: target.table.clone(), text: format!("select * from {}", target.table) };
            Ok((Arc::new(file), Some(target)))
        }
    }
}

/// The latest day that is published.
fn latest(known: Option<&Publications>, destination: &Location, notes: &mut Vec<String>) -> Result<NaiveDate> {
    let latest = known.and_then(|known| known.by_day().last_key_value().map(|(day, _)| *day));
    let day = latest.ok_or_else(|| {
        let what = format!("nothing is published in {}, so there is no latest day to look as of", destination.shown(&destination.folder()));
        Error::from(Diagnostic::error("no-latest-day", what).hint("say the day, such as `--as-of 2011-12-10`"))
    })?;
    notes.push(format!("as of {day}, the latest day that is published; `--as-of` looks as of another one"));
    Ok(day)
}
