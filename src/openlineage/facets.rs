//! Facets: the parts of an event, each with who made it and the schema that it follows.

use serde_json::{Value, json};

/// The schema of events.
pub const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// The schema of facets that are Segmill's own, and have only what all facets have.
const OWN_RUN_FACET: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet";

/// The versions of the schemas of facets.
const SCHEMAS: &[(&str, &str)] = &[
    ("ColumnLineageDatasetFacet", "1-2-0"),
    ("DataQualityAssertionsDatasetFacet", "1-1-0"),
    ("DatasetVersionDatasetFacet", "1-0-1"),
    ("DocumentationDatasetFacet", "1-1-0"),
    ("DocumentationJobFacet", "1-1-0"),
    ("ErrorMessageRunFacet", "1-0-1"),
    ("InputStatisticsInputDatasetFacet", "1-0-0"),
    ("JobTypeJobFacet", "2-0-4"),
    ("NominalTimeRunFacet", "1-0-1"),
    ("OutputStatisticsOutputDatasetFacet", "1-0-2"),
    ("ParentRunFacet", "1-2-0"),
    ("ProcessingEngineRunFacet", "1-1-1"),
    ("SchemaDatasetFacet", "1-2-0"),
    ("TagsDatasetFacet", "1-0-0"),
];

/// Who makes the events: this version of Segmill.
pub fn producer() -> String {
    format!("urn:segmill:{}", env!("CARGO_PKG_VERSION"))
}

/// A facet of a kind of the specification.
pub fn facet(kind: &str, content: Value) -> Value {
    let version = SCHEMAS.iter().find(|(known, _)| *known == kind).map_or("1-0-0", |(_, version)| version);
    with_base(&format!("https://openlineage.io/spec/facets/{version}/{kind}.json#/$defs/{kind}"), content)
}

/// A facet of a run that is Segmill's own.
pub fn own_run_facet(content: Value) -> Value {
    with_base(OWN_RUN_FACET, content)
}

fn with_base(schema: &str, content: Value) -> Value {
    let mut facet = json!({"_producer": producer(), "_schemaURL": schema});
    if let (Some(facet), Value::Object(content)) = (facet.as_object_mut(), content) {
        facet.extend(content);
    }
    facet
}
