//! A publication's tables as dbt sources: a file for the dbt project, which stays the same from day to day.

use serde_json::json;

use crate::manifest::{Column, Table};

/// What a destination must not hold to stand in a quoted text of YAML, Jinja and SQL, and in a pattern of files, at once.
const UNQUOTABLE: [char; 8] = ['\'', '"', '\\', '*', '?', '[', '\n', '\r'];
/// What the column says that folders carry.
const AS_OF: &str = "The as-of day of the publication: nothing that happened on it or later counts";

/// The tables of a pipeline as a source of dbt, in YAML. dbt-duckdb reads all published days by their folders, below the dbt variable
/// `segmill_destination`, which is `destination` by default: a URL, or a path without a scheme. `describe` says what a column means.
pub fn sources(destination: &str, pipeline: &str, tables: &[(&String, &Table)], describe: &dyn Fn(&str, &str) -> Option<String>) -> String {
    let destination = destination.trim_end_matches('/');
    // dbt-duckdb fills in names between braces, so that braces are doubled.
    let default = if destination.is_empty() || destination.contains(UNQUOTABLE) {
        String::new()
    } else {
        format!(", '{}'", destination.replace('{', "{{").replace('}', "}}"))
    };
    let files = format!("{{{{ var('segmill_destination'{default}) }}}}/{{identifier}}/as_of=*/*.parquet");
    let location = format!("read_parquet('{files}', hive_partitioning = true, union_by_name = true)");
    let mut text = format!(
        "# Written by `segmill outputs --format dbt`: the tables that the pipeline {pipeline} publishes, as dbt sources.
# Write it again when the outputs of the pipeline file change; a new day does not change it.
version: 2

sources:
  - name: {}
    config:
      loaded_at_field: \"cast(as_of as timestamp)\"
      meta:
        # For dbt-duckdb. Every published day is a partition; another destination is given with --vars.
        external_location: {}
    tables:
",
        json!(pipeline),
        json!(location),
    );
    for (name, table) in tables {
        text += &format!("      - name: {}\n        columns:\n", json!(name));
        text += &column("as_of", "date", Some(AS_OF.to_owned()), false);
        let personal = table.personal_columns.as_ref();
        for Column { name: column_name, column_type } in &table.columns {
            let is_personal = personal.is_some_and(|personal| personal.contains_key(column_name));
            text += &column(column_name, &of_duckdb(column_type), describe(name, column_name), is_personal);
        }
    }
    text
}

fn column(name: &str, data_type: &str, description: Option<String>, is_personal: bool) -> String {
    let mut text = format!("          - name: {}\n", json!(name));
    if let Some(description) = description {
        // dbt would take these for its own templates.
        let is_template = ["{{", "{%", "{#"].iter().any(|opening| description.contains(opening));
        let description = if is_template { format!("{{% raw %}}{description}{{% endraw %}}") } else { description };
        text += &format!("            description: {}\n", json!(description));
    }
    text += &format!("            data_type: {}\n", json!(data_type));
    if is_personal {
        text += "            config:\n              meta:\n                personal: true\n";
    }
    text
}

/// A type of the pipeline file as DuckDB calls it.
fn of_duckdb(column_type: &str) -> String {
    match column_type {
        "string" => "varchar".to_owned(),
        "integer" => "bigint".to_owned(),
        "timestamp" => "timestamp with time zone".to_owned(),
        // Decimals, doubles, booleans and days have the same names.
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Table {
        let columns = columns.iter().map(|(name, column_type)| Column { name: (*name).to_owned(), column_type: (*column_type).to_owned() });
        Table {
            rows: 0,
            columns: columns.collect(),
            personal_columns: Some([("email".to_owned(), None)].into()),
            files: Vec::new(),
            folder_path: String::new(),
            urls_path: String::new(),
            redshift_manifest_path: None,
        }
    }

    #[test]
    fn what_dbt_would_take_for_a_template_or_a_quote_stays_text() {
        let (name, of) = ("customers".to_owned(), table(&[("email", "string"), ("spent", "decimal(18,2)")]));
        let describe = |_: &str, column: &str| Some(if column == "spent" { "In {{ \"EUR\" }}".to_owned() } else { "E-mail".to_owned() });
        let text = sources("/data/{dev}/out/", "shop", &[(&name, &of)], &describe);
        assert!(text.contains(r#"description: "{% raw %}In {{ \"EUR\" }}{% endraw %}""#), "{text}");
        assert!(text.contains("var('segmill_destination', '/data/{{dev}}/out') }}/{identifier}/as_of=*/*.parquet"), "{text}");
        assert!(
            text.contains("data_type: \"varchar\"\n            config:\n              meta:\n                personal: true"),
            "{text}"
        );
        let text = sources("/data/it's", "shop", &[(&name, &of)], &describe);
        assert!(text.contains("{{ var('segmill_destination') }}/{identifier}"), "{text}");
    }
}
