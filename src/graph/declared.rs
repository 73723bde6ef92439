//! The kinds of native steps that a pipeline file declares.

/// A kind of native steps that a pipeline file declares, each step under a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeclaredKind {
    /// What customers will buy and are worth.
    Prediction,
    /// How like the members of a segment others are.
    LookAlikes,
    /// What to offer next.
    Affinity,
}

impl DeclaredKind {
    /// All of them, in the order of the pipeline file's sections.
    pub const ALL: [DeclaredKind; 3] = [DeclaredKind::Prediction, DeclaredKind::LookAlikes, DeclaredKind::Affinity];

    /// The key of the pipeline file under which steps of the kind are declared.
    pub fn section(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "predictions",
            DeclaredKind::LookAlikes => "look_alikes",
            DeclaredKind::Affinity => "affinities",
        }
    }

    /// The schema of the tables that steps of the kind make.
    pub fn schema(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "predicted",
            DeclaredKind::LookAlikes => "similar",
            DeclaredKind::Affinity => "offered",
        }
    }

    /// What one of the kind is called.
    pub fn word(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "prediction",
            DeclaredKind::LookAlikes => "look-alike search",
            DeclaredKind::Affinity => "affinity",
        }
    }

    /// The name of the table of a step, by which a run reports the step too.
    pub fn table(self, name: &str) -> String {
        format!("{}.{name}", self.schema())
    }
}
