use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use datafusion::parquet::record::RowAccessor;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use segmill::manifest::Commit;

use crate::tiny::TABLES;

/// What a reader that resolves the commit finds for a day of the tiny project: the edition that is published. It follows
/// the rule of the README and nothing else.
pub async fn resolved(store: &Arc<dyn ObjectStore>, root: &str, as_of: &str) -> Option<u64> {
    let commit = whole(store, root, as_of).await?;
    assert_eq!(commit.tables.keys().map(String::as_str).collect::<Vec<_>>(), TABLES);
    Some(commit.parameters["edition"].parse().unwrap())
}

/// The commit that is published for a day, every file of it being there as it says.
pub async fn whole(store: &Arc<dyn ObjectStore>, root: &str, as_of: &str) -> Option<Commit> {
    let commit = commit_of(store, root, as_of).await?;
    for table in commit.tables.values() {
        for file in &table.files {
            let bytes = read(store, &format!("{root}/{}", file.path).into())
                .await
                .unwrap_or_else(|| panic!("the commit names {}, which is not there", file.path));
            assert_eq!((bytes.len() as u64, sha256(&bytes)), (file.bytes, file.sha256.clone()), "{}", file.path);
        }
    }
    Some(commit)
}

/// The commit that is published for a day.
pub async fn commit_of(store: &Arc<dyn ObjectStore>, root: &str, as_of: &str) -> Option<Commit> {
    let commits: Vec<_> = store.list(Some(&format!("{root}/commits").into())).try_collect().await.unwrap_or_default();
    let number = |meta: &object_store::ObjectMeta| meta.location.filename()?.strip_suffix(".json")?.parse::<u64>().ok();
    let newest = commits.iter().filter(|meta| number(meta).is_some()).map(|meta| meta.location.clone()).max()?;
    let parsed = |bytes: Vec<u8>| serde_json::from_slice::<Commit>(&bytes).expect("a commit file is whole");
    let number = *parsed(read(store, &newest).await?).publications.get(&as_of.parse().unwrap())?;
    Some(parsed(read(store, &format!("{root}/commits/{number:08}.json").into()).await.expect("it names a commit that is there")))
}

/// What a reader that only lists folders finds for a day: of each table one whole file at most; the edition in the rows
/// of the customers.
pub async fn listed(store: &Arc<dyn ObjectStore>, root: &str, as_of: &str) -> Option<u64> {
    let mut found = BTreeMap::new();
    for table in ["customers", "segment_membership"] {
        let folder = format!("{root}/{table}/as_of={as_of}");
        let files: Vec<_> = store.list(Some(&folder.into())).try_collect().await.unwrap_or_default();
        assert!(files.len() <= 1, "rows would double: {files:?}");
        let Some(file) = files.first() else { continue };
        let bytes = read(store, &file.location).await.expect("what is listed can be read");
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a file of the folders is whole");
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 50, "{table}");
        found.insert(table, rows);
    }
    let editions: BTreeSet<i64> = found.get("customers")?.iter().map(|row| row.get_long(2).unwrap()).collect();
    assert_eq!(editions.len(), 1, "a file is of one publication");
    editions.first().map(|edition| u64::try_from(*edition).unwrap())
}

pub async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Option<Vec<u8>> {
    match store.get(path).await {
        Ok(found) => Some(found.bytes().await.unwrap_or_else(|error| panic!("{path}: {error}")).to_vec()),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => panic!("{path}: {error:?}"),
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("{:x}", sha2::Sha256::digest(bytes))
}
