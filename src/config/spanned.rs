//! Values of a YAML file that know where they stand.

use serde::{Deserialize, Deserializer};

/// A value and where it stands in its file.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<T>::deserialize(deserializer)?;
        let offset = spanned.referenced.span().byte_offset().unwrap_or_default();
        Ok(Spanned { value: spanned.value, offset: usize::try_from(offset).unwrap_or_default() })
    }
}
