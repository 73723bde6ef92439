//! The kinds of native steps that a pipeline file declares.

/// With what the name of the table of the groups ends that clusters are.
const GROUPS: &str = "_groups";

/// A kind of native steps that a pipeline file declares, each step under a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeclaredKind {
    /// What customers will buy and are worth.
    Prediction,
    /// Groups of customers who are alike.
    Clusters,
    /// How like the members of a segment others are.
    LookAlikes,
    /// What to offer next.
    Affinity,
}

impl DeclaredKind {
    /// All of them, in the order of the pipeline file's sections.
    pub const ALL: [DeclaredKind; 4] = [DeclaredKind::Prediction, DeclaredKind::Clusters, DeclaredKind::LookAlikes, DeclaredKind::Affinity];

    /// The key of the pipeline file under which steps of the kind are declared.
    pub fn section(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "predictions",
            DeclaredKind::Clusters => "clusters",
            DeclaredKind::LookAlikes => "look_alikes",
            DeclaredKind::Affinity => "affinities",
        }
    }

    /// The schema of the tables that steps of the kind make.
    pub fn schema(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "predicted",
            DeclaredKind::Clusters => "clustered",
            DeclaredKind::LookAlikes => "similar",
            DeclaredKind::Affinity => "offered",
        }
    }

    /// What one of the kind is called.
    pub fn word(self) -> &'static str {
        match self {
            DeclaredKind::Prediction => "prediction",
            DeclaredKind::Clusters => "clustering",
            DeclaredKind::LookAlikes => "look-alike search",
            DeclaredKind::Affinity => "affinity",
        }
    }

    /// The name of the step that makes a table, by the table's name in the schema: clusters have a second one.
    pub fn step_of(self, table: &str) -> &str {
        match self {
            DeclaredKind::Clusters => table.strip_suffix(GROUPS).unwrap_or(table),
            DeclaredKind::Prediction | DeclaredKind::LookAlikes | DeclaredKind::Affinity => table,
        }
    }

    /// The names of the tables of a step.
    pub fn tables(self, name: &str) -> Vec<String> {
        let second = (self == DeclaredKind::Clusters).then(|| self.table(name) + GROUPS);
        std::iter::once(self.table(name)).chain(second).collect()
    }

    /// The name of the table of a step, by which a run reports the step too.
    pub fn table(self, name: &str) -> String {
        format!("{}.{name}", self.schema())
    }
}
