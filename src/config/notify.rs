//! Who is told how a run ended, as the pipeline file says it.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spanned::{Spanned, blank_if_null};
use super::yaml::{key_at, span_of};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::shown::MASK;
use crate::storage;

/// The most notifications of a pipeline file.
pub const MAX_NOTIFICATIONS: usize = 20;

/// How a run can end, of which somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It published.
    Published,
    /// It published, and a check with the severity `warn` failed.
    Warned,
    /// A check of the kind `change` failed, whatever its severity: more has changed since the nearest earlier day than the check allows.
    Moved,
    /// The data was refused (exit 3).
    Refused,
    /// Extracts are late (exit 99): they are missing or stale.
    Late,
    /// Extracts are late, and at least one of them is there but stale.
    Stale,
    /// It failed in any other way (exit 1, 2, 4, 75, 129 or 143). Nobody is told of a run that Ctrl-C stopped.
    Failed,
}

impl Event {
    /// Its name in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Event::Published => "published",
            Event::Warned => "warned",
            Event::Moved => "moved",
            Event::Refused => "refused",
            Event::Late => "late",
            Event::Stale => "stale",
            Event::Failed => "failed",
        }
    }
}

/// A notification: it has either a `webhook` or a `command`. One that is not delivered is a warning, and changes nothing about the run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The ends of a run after which it is sent.
    #[schemars(length(min = 1))]
    pub on: Vec<Event>,
    /// The URL that gets a JSON document by HTTP POST. It is a secret: let a variable give it (`${WEBHOOK}`). If the variable is empty, nothing
    /// is sent.
    #[serde(default, deserialize_with = "blank_if_null")]
    pub webhook: Option<String>,
    /// A program and its arguments. It is started without a shell, gets the JSON document on standard input, and may take ten seconds.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub command: Option<Vec<Spanned<String>>>,
}

/// The webhook and the arguments may be secret.
impl fmt::Debug for Notify {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has_webhook, has_command) = (self.webhook.is_some(), self.command.is_some());
        let mut told = formatter.debug_struct("Notify");
        told.field("on", &self.on).field("has_webhook", &has_webhook).field("has_command", &has_command).finish()
    }
}

/// What is wrong with the notifications of a pipeline file.
pub fn review(file: &Arc<SourceFile>, all: &IndexMap<String, Notify>) -> Vec<Diagnostic> {
    let mut problems: Vec<Diagnostic> = all.iter().flat_map(|(name, notify)| one(file, name, notify)).collect();
    if all.len() > MAX_NOTIFICATIONS {
        let what = format!("there are {} notifications, and may be {MAX_NOTIFICATIONS}", all.len());
        problems.push(Diagnostic::error("invalid-notification", what).at(key_at(file, &["notify"])));
    }
    problems
}

fn one(file: &Arc<SourceFile>, name: &str, notify: &Notify) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let problem = |what: String| Diagnostic::error("invalid-notification", what).at(key_at(file, &["notify", name]));
    for (at, event) in notify.on.iter().enumerate() {
        if notify.on[..at].contains(event) {
            let place = key_at(file, &["notify", name, "on"]);
            let what = format!("the notification `{name}` names `{}` twice", event.name());
            problems.push(Diagnostic::error("invalid-notification", what).at(place).hint("name it once"));
        }
    }
    match (&notify.webhook, &notify.command) {
        (Some(_), Some(_)) => {
            let told = problem(format!("the notification `{name}` has both a `webhook` and a `command`"));
            problems.push(told.hint("make two notifications of it"));
        }
        (None, None) => {
            let told = problem(format!("the notification `{name}` says neither `webhook` nor `command`"));
            problems.push(told.hint("write `webhook: ${WEBHOOK}`, or `command: [PROGRAM, ARGUMENT]`"));
        }
        (Some(webhook), None) if !is_off(webhook) && webhook != MASK && storage::server(webhook).is_err() => {
            // What the key holds is not shown: it may be the secret part of a URL.
            let place = key_at(file, &["notify", name, "webhook"]);
            let told = Diagnostic::error("invalid-notification", format!("the webhook of the notification `{name}` is no URL of a server"));
            problems.push(told.at(place).hint("write it as `https://host/path`, or correct the variable that gives it"));
        }
        (None, Some(command)) => match command.first() {
            None => {
                let told = problem(format!("the command of the notification `{name}` is empty"));
                problems.push(told.hint("name a program, and then its arguments"));
            }
            Some(program) if program.value.trim().is_empty() => {
                let told = Diagnostic::error("invalid-notification", format!("the command of the notification `{name}` names no program"));
                problems.push(told.at(span_of(file, program)).hint("name a program, and then its arguments"));
            }
            Some(_) => {}
        },
        (Some(_), None) => {}
    }
    problems
}

/// Whether a webhook is turned off: a variable that is empty gives it.
pub fn is_off(webhook: &str) -> bool {
    webhook.trim().is_empty()
}
