//! Values of a YAML file that know where they stand.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value and where it stands in its file.
#[derive(Clone)]
pub struct Spanned<T> {
    /// The value. Messages have what [`Spanned::shown`] gives.
    pub value: T,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
    /// As the file has it, where the environment gave it or a part of it.
    typed: Option<Arc<str>>,
}

/// A text that may be given by the environment, in a list that knows no places.
#[derive(Clone)]
pub struct Text {
    /// The text. Messages have what [`Text::shown`] gives.
    pub value: String,
    typed: Option<Arc<str>>,
}

/// What the environment gives a file: by the place of each value, and by the value itself, as the file has it.
#[derive(Default)]
pub(super) struct Given {
    pub by_offset: HashMap<usize, Arc<str>>,
    pub by_value: HashMap<String, Arc<str>>,
    /// Of a file that is written anew, where its values stand in the file itself.
    pub places: Option<HashMap<usize, usize>>,
}

thread_local! {
    /// Of the file that is being read: the reader does not say what it has put in.
    static GIVEN: RefCell<Given> = RefCell::default();
}

/// Reads a file's values, of which the environment gives some.
pub(super) fn with_given<R>(given: Given, read: impl FnOnce() -> R) -> R {
    GIVEN.replace(given);
    let read = read();
    GIVEN.take();
    read
}

impl<T> Spanned<T> {
    /// Whether the environment gave it, or a part of it.
    pub fn is_given(&self) -> bool {
        self.typed.is_some()
    }
}

impl Spanned<String> {
    /// The value for a message: as the file has it, so that what the environment gives stays out.
    pub fn shown(&self) -> &str {
        self.typed.as_deref().unwrap_or(&self.value)
    }
}

impl Text {
    pub(super) fn of(value: String) -> Self {
        let typed = GIVEN.with_borrow(|given| given.by_value.get(&value).cloned());
        Text { value, typed }
    }

    /// A text of the file's that is no value, as the name of a column.
    pub fn named(name: &str) -> Self {
        Text { value: name.to_owned(), typed: None }
    }

    /// The text for a message, as [`Spanned::shown`].
    pub fn shown(&self) -> &str {
        self.typed.as_deref().unwrap_or(&self.value)
    }
}

/// What the environment gave is no part of it.
impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.typed {
            Some(typed) => f.write_str(typed),
            None => self.value.fmt(f),
        }
    }
}

/// For its schema, whose defaults are written down.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

/// A text that is there though a variable gives nothing for it, which is not the same as leaving it out.
pub(super) fn blank_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| Some(text.unwrap_or_default()))
}

/// The schema of a value that is read as text and typed later, by what else the file says: a text, a number, or true or false.
#[derive(Debug)]
pub struct Literal;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        let offset = spanned.referenced.span().byte_offset().unwrap_or_default();
        let offset = usize::try_from(offset).unwrap_or_default();
        let (offset, typed) = GIVEN.with_borrow(|given| {
            let offset = given.places.as_ref().map_or(Some(offset), |places| places.get(&offset).copied()).unwrap_or_default();
            (offset, given.by_offset.get(&offset).cloned())
        });
        Ok(Spanned { value: spanned.value, offset, typed })
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Literal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
