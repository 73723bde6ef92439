//! The columns of a published table as Delta Lake writes them, and how they may change.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Map, Value, json};

use super::actions::Protocol;
use super::state::AS_OF;

/// What the column of the day means.
const AS_OF_MEANING: &str = "The as-of day of the publication: nothing that happened on it or later counts";

/// The characters that a name of a column must not have without the feature of column mapping, which not every reader knows.
const UNFIT: &str = " ,;{}()\n\t=";

/// The features of writers of version 2, which those of version 7 name.
const WRITER_FEATURES: [&str; 2] = ["appendOnly", "invariants"];
/// The feature of moments without a zone.
const NTZ: &str = "timestampNtz";

/// Why rows of a schema cannot be copied: the column, and what is wrong with it.
pub fn unfit(schema: &Schema) -> Option<(String, String)> {
    let mut seen = BTreeMap::from([(AS_OF.to_owned(), None)]);
    unfit_fields(schema.fields(), &mut seen)
}

fn unfit_fields(fields: &Fields, seen: &mut BTreeMap<String, Option<String>>) -> Option<(String, String)> {
    for field in fields {
        let name = field.name();
        let why = match seen.insert(name.to_lowercase(), Some(name.clone())) {
            Some(None) => Some("the copies have a column of that name, with the day of the publication".to_owned()),
            Some(Some(other)) => Some(format!("it differs from `{other}` in case only, and names of columns differ by more there")),
            None if name.contains(|c| UNFIT.contains(c)) => {
                Some("names of columns have neither spaces and line ends nor any of `,;{}()=` there".to_owned())
            }
            None if delta_type(field.data_type()).is_none() => Some(format!("there is no type there for {}", field.data_type())),
            None => None,
        };
        if let Some(why) = why {
            return Some((name.clone(), why));
        }
        let inner = match field.data_type() {
            DataType::Struct(fields) => unfit_fields(fields, &mut BTreeMap::new()),
            DataType::List(element) | DataType::LargeList(element) => match element.data_type() {
                DataType::Struct(fields) => unfit_fields(fields, &mut BTreeMap::new()),
                _ => None,
            },
            _ => None,
        };
        if let Some((part, why)) = inner {
            return Some((format!("{name}.{part}"), why));
        }
    }
    None
}

/// The columns of a table as Delta Lake writes them, with what each means. The day comes last.
pub fn columns(schema: &Schema, meaning: impl Fn(&str) -> Option<String>) -> Value {
    let column = |field: &Field| column(field.name(), delta_type(field.data_type()).unwrap_or_default(), meaning(field.name()));
    let mut fields: Vec<Value> = schema.fields().iter().map(|field| column(field)).collect();
    fields.push(self::column(AS_OF, json!("date"), Some(AS_OF_MEANING.to_owned())));
    json!({ "type": "struct", "fields": fields })
}

/// Every column may be null: what is required is said by contracts and checks, and may change from day to day.
fn column(name: &str, data_type: Value, meaning: Option<String>) -> Value {
    let metadata = meaning.map_or_else(|| json!({}), |meaning| json!({ "comment": meaning }));
    json!({ "name": name, "type": data_type, "nullable": true, "metadata": metadata })
}

/// A type as Delta Lake writes it; none where it has no such type.
fn delta_type(data_type: &DataType) -> Option<Value> {
    let name = match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Int64 => "long",
        DataType::Int32 => "integer",
        DataType::Float64 => "double",
        DataType::Float32 => "float",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => "binary",
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz",
        DataType::Decimal128(precision, scale) if *scale >= 0 => return Some(json!(format!("decimal({precision},{scale})"))),
        DataType::List(element) | DataType::LargeList(element) => {
            return Some(json!({ "type": "array", "elementType": delta_type(element.data_type())?, "containsNull": true }));
        }
        DataType::Struct(fields) => {
            let field = |field: &std::sync::Arc<Field>| Some(column(field.name(), delta_type(field.data_type())?, None));
            return Some(json!({ "type": "struct", "fields": fields.iter().map(field).collect::<Option<Vec<_>>>()? }));
        }
        _ => return None,
    };
    Some(json!(name))
}

/// What programs must be able to do that read these columns.
pub fn protocol(columns: &Value) -> Protocol {
    if !columns.to_string().contains("\"timestamp_ntz\"") {
        return Protocol { min_reader_version: 1, min_writer_version: 2, reader_features: None, writer_features: None };
    }
    let writers = WRITER_FEATURES.iter().chain([&NTZ]).map(|name| (*name).to_owned()).collect();
    Protocol { min_reader_version: 3, min_writer_version: 7, reader_features: Some(vec![NTZ.to_owned()]), writer_features: Some(writers) }
}

/// The protocol of a table whose columns change: it never demands less than before.
pub fn protocol_after(before: &Protocol, columns: &Value) -> Protocol {
    let wanted = protocol(columns);
    let named = |features: &Option<Vec<String>>| features.iter().flatten().cloned().collect::<BTreeSet<String>>();
    if named(&before.writer_features).is_superset(&named(&wanted.writer_features)) {
        return before.clone();
    }
    let both = |one, other| Some(named(one).union(&named(other)).cloned().collect());
    Protocol {
        min_reader_version: wanted.min_reader_version.max(before.min_reader_version),
        min_writer_version: wanted.min_writer_version.max(before.min_writer_version),
        reader_features: both(&wanted.reader_features, &before.reader_features),
        writer_features: both(&wanted.writer_features, &before.writer_features),
    }
}

/// What a protocol demands that Segmill does not do.
pub fn unknown_demands(protocol: &Protocol) -> Option<String> {
    let named = |features: &Option<Vec<String>>| features.iter().flatten().cloned().collect::<Vec<_>>();
    let known = |name: &String| name == NTZ || WRITER_FEATURES.contains(&name.as_str());
    let mut unknown: Vec<String> = named(&protocol.reader_features).into_iter().chain(named(&protocol.writer_features)).collect();
    unknown.retain(|name| !known(name));
    unknown.sort();
    unknown.dedup();
    let (reader, writer) = (protocol.min_reader_version, protocol.min_writer_version);
    if !unknown.is_empty() {
        return Some(format!("the feature `{}`", unknown.join("`, `")));
    }
    (!matches!(reader, 0 | 1 | 3) || !matches!(writer, 0..=2 | 7)).then(|| format!("version {reader} of readers and {writer} of writers"))
}

/// A column whose type would change.
#[derive(Debug, PartialEq, Eq)]
pub struct Retyped {
    /// The column.
    pub column: String,
    /// Its type in the files that are there.
    pub before: String,
    /// Its type in the new file.
    pub after: String,
}

/// The columns that a table had and has no more, or of which a part is no more, by name with the types of all that older files may have.
pub type Former = BTreeMap<String, Value>;

/// What becomes of the columns that are gone when a table gets other columns, whose older files stay.
///
/// # Errors
/// The first column whose type would change: readers could not read it across old and new files.
pub fn changed(before: &Value, former: &Former, after: &Value) -> Result<Former, Retyped> {
    let (before, after) = (types(before), types(after));
    let mut known = former.clone();
    for (name, data_type) in &before {
        let all = known.get(name).map_or_else(|| data_type.clone(), |old| with_parts_of(data_type, old));
        known.insert(name.clone(), all);
    }
    for (name, data_type) in &after {
        if let Some(old) = known.get(name).filter(|old| !agree(old, data_type)) {
            return Err(Retyped { column: name.clone(), before: told(old), after: told(data_type) });
        }
    }
    let all_of = |name: &String, old: Value| after.get(name).map_or(old.clone(), |new| with_parts_of(new, &old));
    let all = known.into_iter().map(|(name, old)| (name.clone(), all_of(&name, old)));
    Ok(all.filter(|(name, data_type)| after.get(name) != Some(data_type)).collect())
}

/// A type with the parts of structures that only an older one has.
fn with_parts_of(data_type: &Value, old: &Value) -> Value {
    let mut all = data_type.clone();
    match (old["type"].as_str(), data_type["type"].as_str()) {
        (Some("array"), Some("array")) => all["elementType"] = with_parts_of(&data_type["elementType"], &old["elementType"]),
        (Some("struct"), Some("struct")) => {
            let (parts, older) = (types(data_type), types(old));
            let fields = data_type["fields"].as_array().into_iter().flatten().cloned().map(|mut field| {
                if let Some(old) = field["name"].as_str().and_then(|name| older.get(name)) {
                    field["type"] = with_parts_of(&field["type"], old);
                }
                field
            });
            let gone = old["fields"].as_array().into_iter().flatten();
            let gone = gone.filter(|field| field["name"].as_str().is_some_and(|name| !parts.contains_key(name))).cloned();
            all["fields"] = fields.chain(gone).collect();
        }
        _ => {}
    }
    all
}

/// The columns of a table with their types.
fn types(columns: &Value) -> Map<String, Value> {
    let fields = columns["fields"].as_array().into_iter().flatten();
    fields.filter_map(|field| Some((field["name"].as_str()?.to_owned(), field["type"].clone()))).collect()
}

/// Whether one column can have values of both types in different files. Structures may have other fields.
fn agree(old: &Value, new: &Value) -> bool {
    match (old["type"].as_str(), new["type"].as_str()) {
        (Some("array"), Some("array")) => agree(&old["elementType"], &new["elementType"]),
        (Some("struct"), Some("struct")) => {
            let (old, new) = (types(old), types(new));
            new.iter().all(|(name, data_type)| old.get(name).is_none_or(|old| agree(old, data_type)))
        }
        _ => old == new,
    }
}

fn told(data_type: &Value) -> String {
    data_type.as_str().map_or_else(|| data_type["type"].as_str().unwrap_or("another type").to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect::<Vec<_>>())
    }

    fn of(fields: &[(&str, DataType)]) -> Value {
        columns(&schema(fields), |_| None)
    }

    fn list(element: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", element, true)))
    }

    #[test]
    fn types_are_those_of_the_files() {
        let moment = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let place = DataType::Struct(vec![Field::new("city", DataType::Utf8, false)].into());
        let fields =
            [("spent", DataType::Decimal128(18, 2)), ("seen", moment(Some("UTC"))), ("all", list(DataType::Int64)), ("place", place)];
        let written = columns(&schema(&fields), |name| (name == "spent").then(|| "In \"EUR\"".to_owned()));
        assert_eq!(
            written["fields"][0],
            json!({ "name": "spent", "type": "decimal(18,2)", "nullable": true, "metadata": { "comment": "In \"EUR\"" } })
        );
        assert_eq!(written["fields"][1]["type"], "timestamp");
        assert_eq!(written["fields"][2]["type"], json!({ "type": "array", "elementType": "long", "containsNull": true }));
        assert_eq!(written["fields"][3]["type"]["fields"][0]["type"], "string");
        assert_eq!((&written["fields"][4]["name"], &written["fields"][4]["type"]), (&json!("as_of"), &json!("date")));
        assert_eq!(protocol(&written).min_writer_version, 2);
        let local = of(&[("at", list(moment(None)))]);
        assert_eq!(protocol(&local).reader_features, Some(vec![NTZ.to_owned()]));
        assert_eq!(protocol_after(&protocol(&local), &written), protocol(&local), "older files have it still");
        let raised = Protocol { min_writer_version: 7, writer_features: Some(vec!["appendOnly".to_owned()]), ..protocol(&written) };
        assert_eq!(protocol_after(&raised, &local).writer_features.unwrap(), ["appendOnly", "invariants", NTZ]);
        assert_eq!(protocol_after(&raised, &local).min_reader_version, 3);
    }

    #[test]
    fn what_has_no_place_in_a_table_is_named() {
        let unfit = |fields: &[(&str, DataType)]| unfit(&schema(fields)).map(|(column, _)| column);
        assert_eq!(unfit(&[("spent", DataType::Int64), ("ok_2-a.b", DataType::Utf8)]), None);
        assert_eq!(unfit(&[("As_Of", DataType::Date32)]).as_deref(), Some("As_Of"));
        assert_eq!(unfit(&[("spent", DataType::Int64), ("Spent", DataType::Int64)]).as_deref(), Some("Spent"));
        assert_eq!(unfit(&[("a b", DataType::Int64)]).as_deref(), Some("a b"));
        assert_eq!(unfit(&[("took", DataType::Duration(TimeUnit::Second))]).as_deref(), Some("took"));
        let part = DataType::Struct(vec![Field::new("x=y", DataType::Utf8, true)].into());
        assert_eq!(unfit(&[("p", list(part))]).as_deref(), Some("p.x=y"));
    }

    #[test]
    fn columns_come_and_go_and_keep_their_types() {
        let (number, text) = (DataType::Int64, DataType::Utf8);
        let before = of(&[("a", number.clone()), ("b", text.clone())]);
        let after = of(&[("b", text.clone()), ("c", number.clone())]);
        let former = changed(&before, &Former::new(), &after).unwrap();
        assert_eq!(former, Former::from([("a".to_owned(), json!("long"))]));
        let retyped = |column: &str| Retyped { column: column.to_owned(), before: "long".to_owned(), after: "string".to_owned() };
        assert_eq!(changed(&before, &Former::new(), &of(&[("a", text.clone())])), Err(retyped("a")));
        assert_eq!(changed(&after, &former, &of(&[("a", text.clone())])), Err(retyped("a")), "also one that was away meanwhile");
        assert!(!changed(&after, &former, &of(&[("a", number.clone())])).unwrap().contains_key("a"));
        let part = |fields: &[(&str, &DataType)]| {
            let fields: Vec<Field> = fields.iter().map(|(name, data_type)| Field::new(*name, (*data_type).clone(), true)).collect();
            of(&[("p", list(DataType::Struct(fields.into())))])
        };
        let one = part(&[("x", &number)]);
        assert!(changed(&one, &Former::new(), &part(&[("x", &number), ("y", &text)])).is_ok());
        assert!(changed(&one, &Former::new(), &part(&[("x", &text)])).is_err());
        // A part that is gone keeps its type, for files that have it.
        let (two, without) = (part(&[("x", &number), ("y", &number)]), part(&[("x", &number)]));
        let gone = changed(&two, &Former::new(), &without).unwrap();
        assert!(gone.contains_key("p"));
        assert!(changed(&without, &gone, &part(&[("x", &number), ("y", &text)])).is_err());
        assert!(changed(&without, &gone, &two).unwrap().is_empty());
    }

    #[test]
    fn a_table_with_features_of_others_is_not_written_to() {
        let features = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let protocol = |min_reader_version, min_writer_version, names: &[&str]| Protocol {
            min_reader_version,
            min_writer_version,
            reader_features: features(names),
            writer_features: features(names),
        };
        assert_eq!(unknown_demands(&protocol(1, 2, &[])), None);
        assert_eq!(unknown_demands(&protocol(3, 7, &[NTZ])), None);
        assert_eq!(unknown_demands(&protocol(3, 7, &["deletionVectors"])).as_deref(), Some("the feature `deletionVectors`"));
        assert_eq!(unknown_demands(&protocol(2, 5, &[])).as_deref(), Some("version 2 of readers and 5 of writers"));
    }
}
