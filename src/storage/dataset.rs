//! The name of a place among the datasets of the world, as OpenLineage names them: a namespace for the store, and a path in it.
//! See <https://openlineage.io/docs/spec/naming>.

use std::path::Path;

use super::address::{Address, Remote};
use super::named_parts;
use super::place::{Part, local_parts};
use super::{Location, Written};
use crate::config::Environment;

/// The wildcards of a location.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The name of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetName {
    /// The store: `file`, or a URL such as `s3://bucket`.
    pub namespace: String,
    /// The path in it.
    pub name: String,
}

/// The dataset that a source's location names; none for what is no location. Where wildcards stand for all files of a folder, however they
/// are called and by whatever day they are parted, the folder is the dataset. Otherwise the wildcards are a part of the name.
pub fn of_source(location: &str, root: &Path, environment: &Environment) -> Option<DatasetName> {
    let (stood_in, named) = named_parts::take_out(location).ok()?;
    let (store, parts) = match Address::parse(&stood_in).ok()? {
        Address::Local(path) => (None, local_parts(&path, root).ok()?),
        Address::Remote(remote) => {
            let parts = remote.parts.iter().map(|part| Part::typed(part)).collect();
            (Some(remote), parts)
        }
    };
    let parts = parts.iter().map(|part| part.with_wildcards(&named)).flat_map(Part::split).collect::<Vec<_>>();
    let first = parts.iter().position(|part| part.is_typed && part.text.contains(WILDCARDS));
    let first = first.unwrap_or(parts.len());
    let is_folder = first < parts.len() && parts[first..].iter().all(|part| says_nothing(&part.text));
    let kept = if is_folder { &parts[..first] } else { &parts[..] };
    let path: Vec<&str> = kept.iter().map(|part| part.text.as_str()).collect();
    Some(named_in(store.as_ref(), &path, environment))
}

/// The dataset that is a folder below a place.
pub fn of_folder(place: &Location, below: &str, environment: &Environment) -> Option<DatasetName> {
    let path = place.join(below);
    let url = match &place.written {
        Written::Absolute | Written::From(_) => {
            let parts: Vec<&str> = path.as_ref().split('/').collect();
            return Some(named_in(None, &parts, environment));
        }
        Written::Url(origin) if origin.ends_with(':') => format!("{origin}//{path}"),
        Written::Url(origin) => format!("{origin}/{path}"),
    };
    let Address::Remote(remote) = Address::parse(&url).ok()? else { return None };
    let parts: Vec<&str> = remote.parts.iter().map(String::as_str).collect();
    Some(named_in(Some(&remote), &parts, environment))
}

/// Whether a part of a path with wildcards names nothing but days, partitions, and the ending of files.
fn says_nothing(part: &str) -> bool {
    let value = part.split_once('=').map_or(part, |(_, value)| value);
    let value = value.split_once('.').map_or(value, |(stem, _)| stem);
    value.contains(WILDCARDS) && value.chars().all(|c| !c.is_alphanumeric())
}

/// A path of a store, or of the local disk.
fn named_in(store: Option<&Remote>, path: &[&str], environment: &Environment) -> DatasetName {
    let Some(remote) = store else {
        return DatasetName { namespace: "file".to_owned(), name: format!("/{}", path.join("/")) };
    };
    let authority = remote.shown_authority();
    let (namespace, path) = match (remote.scheme.as_str(), path) {
        ("memory", path) => ("inmemory://".to_owned(), path),
        ("s3" | "s3a", path) => (format!("s3://{authority}"), path),
        ("abfs" | "abfss", path) if authority.contains('@') => (format!("abfss://{authority}"), path),
        ("az" | "adl" | "azure" | "abfs" | "abfss", path) => (in_azure(authority, account(environment)), path),
        ("http" | "https", [container, path @ ..]) if is_azure(authority) => {
            (in_azure(container, authority.split('.').next().map(str::to_owned)), path)
        }
        (scheme, path) => (format!("{scheme}://{authority}"), path),
    };
    DatasetName { namespace, name: path.join("/") }
}

fn is_azure(host: &str) -> bool {
    host.ends_with(".blob.core.windows.net") || host.ends_with(".dfs.core.windows.net")
}

/// A container of Azure's storage.
fn in_azure(container: &str, account: Option<String>) -> String {
    match account {
        Some(account) => format!("abfss://{container}@{account}.dfs.core.windows.net"),
        None => format!("abfss://{container}"),
    }
}

fn account(environment: &Environment) -> Option<String> {
    ["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME"].iter().find_map(|name| environment.get(*name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(location: &str) -> (String, String) {
        let environment = Environment::from([("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "shop".to_owned())]);
        let found = of_source(location, Path::new("/srv/shop"), &environment).unwrap();
        (found.namespace, found.name)
    }

    #[test]
    fn places_are_named_as_the_specification_names_them() {
        for (location, namespace, name) in [
            ("data/orders.csv", "file", "/srv/shop/data/orders.csv"),
            ("../x/orders.csv", "file", "/srv/x/orders.csv"),
            ("file:///srv/a/*.csv", "file", "/srv/a"),
            ("s3://bucket/crm/contacts.csv", "s3://bucket", "crm/contacts.csv"),
            ("s3a://bucket/crm/*.csv.gz", "s3://bucket", "crm"),
            ("gs://bucket/web/dt=*/*.parquet", "gs://bucket", "web"),
            ("gs://bucket/web/{day:%Y-%m-%d}/{region}/*", "gs://bucket", "web"),
            ("s3://bucket/web/**/*.parquet", "s3://bucket", "web"),
            ("s3://bucket/orders-{day:%Y%m%d}.csv", "s3://bucket", "orders-*.csv"),
            ("s3://bucket/*/contacts.csv", "s3://bucket", "*/contacts.csv"),
            ("abfss://box@shop.dfs.core.windows.net/a/b.csv", "abfss://box@shop.dfs.core.windows.net", "a/b.csv"),
            ("az://box/a/*", "abfss://box@shop.dfs.core.windows.net", "a"),
            ("https://shop.blob.core.windows.net/box/a.csv", "abfss://box@shop.dfs.core.windows.net", "a.csv"),
            ("https://user:secret@example.com/a%20b.csv", "https://example.com", "a b.csv"),
        ] {
            assert_eq!(named(location), (namespace.to_owned(), name.to_owned()), "{location}");
        }
    }
}
