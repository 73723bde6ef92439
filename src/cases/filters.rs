//! Which cases are run: those whose file, model or name has one of some texts in it.

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::shown;

/// Texts of which a case must have one; all cases are run without any.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<String>);

impl Filters {
    /// As they were typed.
    pub fn new(texts: Vec<String>) -> Self {
        Filters(texts)
    }

    /// Whether a case is meant.
    pub(super) fn name(&self, file: &str, model: &str, case: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|text| [file, model, case].iter().any(|of_case| of_case.contains(text.as_str())))
    }

    /// Whether a model is meant by its name.
    pub(super) fn name_model(&self, model: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|text| model.contains(text.as_str()))
    }

    /// The problem of filters that name no case.
    pub(super) fn unknown(&self, models: &BTreeSet<String>) -> Diagnostic {
        let texts: Vec<String> = self.0.iter().map(|text| format!("`{}`", shown::name(text))).collect();
        let what = format!("no case has {} in its model, its name or the name of its file", texts.join(" or "));
        let problem = Diagnostic::error("no-cases", what);
        match self.0.first() {
            Some(first) => problem.did_you_mean(first, models.iter().map(String::as_str)),
            None => problem,
        }
    }
}
