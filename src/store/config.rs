//! Network configuration in a store: the documents as they were imported, and a manifest of them.
//!
//! Documents are kept as they came, so that a later flowq reads more out of them, and compressed under the hash of their
//! content, so that a document is there once however often it is imported. What they mean is `network`'s; nothing is
//! kept of what was made of them.
//!
//! ```text
//! _flowq/config/manifest.json        the documents, in the order of import
//! _flowq/config/<hash>.json.zst      a document
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, StoreLock, files};
use crate::network::{
    Moments, Network, NetworkBuilder, Problem, ReadError, ReadOptions, Timestamp, plain_text,
};

const FOLDER: &str = "config";
const MANIFEST: &str = "manifest.json";
/// Of the manifest.
const FORMAT: u64 = 1;
/// Configuration is text that repeats itself: a low level makes it a twentieth.
const ZSTD_LEVEL: i32 = 3;

/// A document that the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDocument {
    /// Where it was imported from, as the user named it.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// xxh3 (128 bits) of its content, hexadecimal.
    pub hash: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// The time given with the import, for what does not tell its own.
    pub captured_at: Option<Timestamp>,
    /// The earliest capture that it holds.
    pub first: Option<Timestamp>,
    /// The latest capture that it holds.
    pub last: Option<Timestamp>,
    /// How many readings of objects of each kind it holds.
    pub objects: Vec<(String, u64)>,
    /// The account that its envelope names.
    #[serde(default)]
    pub account: Option<String>,
    /// The Region that its envelope names.
    #[serde(default)]
    pub region: Option<String>,
    /// How many things in it could not be read.
    #[serde(default)]
    pub problems: u64,
    /// When it was imported.
    pub imported_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u64,
    documents: Vec<StoredDocument>,
}

/// What a document turned out to be, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The document as the store holds it.
    pub document: StoredDocument,
    /// Whether the store held it already.
    pub known: bool,
    /// What could not be read in it.
    pub problems: Vec<Problem>,
}

/// What a store's configuration was read into.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub network: Network,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// The documents.
    pub documents: Vec<StoredDocument>,
}

/// An import: nothing of it is in the store before [`commit`](Import::commit), and all of it after.
pub struct Import {
    folder: PathBuf,
    documents: Vec<StoredDocument>,
    /// Documents of this import, by hash, still to be written.
    contents: HashMap<String, Vec<u8>>,
    _lock: StoreLock,
}

/// What flowq's own envelope around a command's output says.
#[derive(Default, Deserialize)]
struct Envelope {
    account: Option<String>,
    region: Option<String>,
    output: Option<serde::de::IgnoredAny>,
}

impl Import {
    /// Starts an import into a store.
    pub fn new(store: &Store, lock: &StoreLock) -> Result<Import, StoreError> {
        store.check(lock)?;
        let folder = folder(store.root());
        let documents = manifest(&folder)?;
        Ok(Import { folder, documents, contents: HashMap::new(), _lock: lock.clone() })
    }

    /// Adds a document; `captured_at` is the time of what does not tell its own, `now` that of the import.
    pub fn add(
        &mut self,
        path: &str,
        text: &[u8],
        captured_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Imported, ReadError> {
        let mut builder = NetworkBuilder::new();
        let kind = builder.read(path, text, &ReadOptions::default())?;
        let Moments { mut first, mut last, undated } = builder.moments();
        let captured_at = captured_at.filter(|_| undated > 0);
        if let Some(at) = captured_at {
            first = Some(first.map_or(at, |first| first.min(at)));
            last = Some(last.map_or(at, |last| last.max(at)));
        }
        // Bytes that are no envelope do not have its members.
        let envelope: Envelope = serde_json::from_slice(&plain_text(text)).unwrap_or_default();
        let envelope = if envelope.output.is_some() { envelope } else { Envelope::default() };
        let region = builder.region();
        let objects: Vec<(String, u64)> =
            builder.counts().into_iter().map(|(kind, count)| (kind.to_owned(), count as u64)).collect();
        let is_empty = objects.is_empty();
        let mut problems = builder.problems().to_vec();
        // What is only found when the pieces of one document are joined; what pieces of others join is the loader's.
        problems.extend(builder.finish().1.into_iter().skip(problems.len()));
        if let (true, Some(first)) = (is_empty, problems.first()) {
            let problem = format!("{}: {}", first.object, first.message);
            return Err(ReadError::Nothing { file: path.to_owned(), problem });
        }
        let document = StoredDocument {
            path: path.to_owned(),
            kind: kind.to_string(),
            hash: hash(text),
            bytes: text.len() as u64,
            captured_at,
            first,
            last,
            objects,
            account: envelope.account,
            region: envelope.region.or(region),
            problems: problems.len() as u64,
            imported_at: now,
        };
        let same = |known: &StoredDocument| known.hash == document.hash && same_name(known, &document);
        let known = self.documents.iter().find(|known| {
            // The same bytes with a time are worth more than without, and an undated copy adds nothing to a dated one.
            same(known) && (known.captured_at == captured_at || captured_at.is_none())
        });
        if let Some(known) = known {
            return Ok(Imported { document: known.clone(), known: true, problems });
        }
        self.documents.retain(|known| !(same(known) && known.captured_at.is_none()));
        self.contents.entry(document.hash.clone()).or_insert_with(|| text.to_vec());
        self.documents.push(document.clone());
        Ok(Imported { document, known: false, problems })
    }

    /// Writes what was added. An import that is interrupted leaves documents that no manifest names, and the next
    /// import of the same files takes them.
    pub fn commit(self) -> Result<(), StoreError> {
        if self.contents.is_empty() {
            return Ok(());
        }
        files::create_folder(&self.folder)?;
        for (hash, text) in &self.contents {
            let path = document_path(&self.folder, hash);
            if path.exists() {
                continue;
            }
            let bytes =
                zstd::encode_all(text.as_slice(), ZSTD_LEVEL).map_err(StoreError::io("compress", &path))?;
            files::write_whole(&path, &bytes)?;
        }
        let path = self.folder.join(MANIFEST);
        let manifest = Manifest { format: FORMAT, documents: self.documents };
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(damaged(&path))?;
        files::write_whole(&path, &bytes)
    }
}

/// The documents that a store holds, in the order of import.
pub fn documents(root: &Path) -> Result<Vec<StoredDocument>, StoreError> {
    manifest(&folder(root))
}

/// The network of the configuration that a store holds; `None` where it holds none.
pub fn load(root: &Path) -> Result<Option<Network>, StoreError> {
    Ok(load_all(root)?.map(|loaded| loaded.network))
}

/// As [`load`], with the documents and what could not be read in them.
pub fn load_all(root: &Path) -> Result<Option<Loaded>, StoreError> {
    let folder = folder(root);
    let documents = manifest(&folder)?;
    if documents.is_empty() {
        return Ok(None);
    }
    let mut builder = NetworkBuilder::new();
    for document in &documents {
        let path = document_path(&folder, &document.hash);
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let text = zstd::decode_all(bytes.as_slice()).map_err(damaged(&path))?;
        if hash(&text) != document.hash {
            let what = "its content does not have its hash".to_owned();
            return Err(StoreError::Damaged { path, what });
        }
        let options = ReadOptions { captured_at: document.captured_at, ..ReadOptions::default() };
        builder.read(&document.path, &text, &options).map_err(damaged(&path))?;
    }
    let (network, problems) = builder.finish();
    Ok(Some(Loaded { network, problems, documents }))
}

/// Outputs that leave out whose entries they are take the id from the file's name, so there the name is content.
fn same_name(one: &StoredDocument, other: &StoredDocument) -> bool {
    let nameless = ["(Entries)", "(TargetHealthDescriptions)", "(Attributes)"];
    if !nameless.iter().any(|kind| one.kind.ends_with(kind)) {
        return true;
    }
    let name = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    name(&one.path) == name(&other.path)
}

fn folder(root: &Path) -> PathBuf {
    root.join(files::OWN).join(FOLDER)
}

fn document_path(folder: &Path, hash: &str) -> PathBuf {
    folder.join(format!("{hash}.json.zst"))
}

fn hash(text: &[u8]) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(text))
}

fn damaged<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> StoreError {
    let path = path.to_path_buf();
    move |error| StoreError::Damaged { path, what: error.to_string() }
}

fn manifest(folder: &Path) -> Result<Vec<StoredDocument>, StoreError> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(damaged(&path))?;
    if manifest.format > FORMAT {
        return Err(StoreError::Newer {
            path,
            format: manifest.format,
            written_by: "its configuration".to_owned(),
        });
    }
    Ok(manifest.documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::View;

    const NOW: i64 = 1_768_471_200; // 2026-01-15T10:00:00Z
    const GROUP: &str = r#"{"SecurityGroups":[{"GroupId":"sg-1","VpcId":"vpc-1","OwnerId":"111122223333",
        "IpPermissions":[{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"IpRanges":[{"CidrIp":"10.0.0.0/8"}]}],
        "IpPermissionsEgress":[]}]}"#;
    const ENTRIES: &str = r#"{"Entries":[{"Cidr":"203.0.113.0/24"}]}"#;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    fn import(store: &Store, files: &[(&str, &str, Option<i64>)]) -> Vec<Imported> {
        let lock = store.lock(&mut || {}).unwrap();
        let mut import = Import::new(store, &lock).unwrap();
        let done = files
            .iter()
            .map(|(path, text, at)| import.add(path, text.as_bytes(), *at, NOW + 5).unwrap())
            .collect();
        import.commit().unwrap();
        done
    }

    fn files_of(store: &Store) -> Vec<String> {
        files::names(&folder(store.root())).unwrap()
    }

    #[test]
    fn a_store_without_configuration_has_no_network() {
        let (_folder, store) = store();
        assert!(load(store.root()).unwrap().is_none());
        assert_eq!(documents(store.root()).unwrap(), vec![]);
    }

    #[test]
    fn what_was_imported_is_read_back() {
        let (_folder, store) = store();
        let done = import(&store, &[("a/sg.json", GROUP, Some(NOW))]);
        assert!(!done[0].known);
        assert_eq!(done[0].document.kind, "AWS CLI output (SecurityGroups)");
        assert_eq!(done[0].document.objects, vec![("security_groups".to_owned(), 1)]);
        let network = load(store.root()).unwrap().unwrap();
        let group = network.groups.get("sg-1", View { at: NOW + 60, after: false }).unwrap();
        assert_eq!((group.value.rules.len(), group.distance), (1, 60));
    }

    #[test]
    fn importing_twice_keeps_one_copy() {
        let (_folder, store) = store();
        import(&store, &[("sg.json", GROUP, Some(NOW))]);
        let again = import(&store, &[("copy.json", GROUP, Some(NOW)), ("sg.json", GROUP, None)]);
        assert!(again.iter().all(|done| done.known), "an undated copy adds nothing either");
        assert_eq!(documents(store.root()).unwrap().len(), 1);
        assert_eq!(files_of(&store).len(), 2, "the document and the manifest");
    }

    #[test]
    fn the_same_content_at_another_time_is_another_capture_of_one_copy() {
        let (_folder, store) = store();
        import(&store, &[("sg.json", GROUP, Some(NOW)), ("sg.json", GROUP, Some(NOW + 86_400))]);
        assert_eq!(documents(store.root()).unwrap().len(), 2);
        assert_eq!(files_of(&store).len(), 2);
        let network = load(store.root()).unwrap().unwrap();
        let between = network.groups.get("sg-1", View { at: NOW + 40_000, after: false }).unwrap();
        assert_eq!(between.distance, 0, "equal captures hold in between");
    }

    #[test]
    fn a_time_replaces_having_none() {
        let (_folder, store) = store();
        import(&store, &[("sg.json", GROUP, None)]);
        assert_eq!(documents(store.root()).unwrap()[0].first, None);
        import(&store, &[("sg.json", GROUP, Some(NOW))]);
        let documents = documents(store.root()).unwrap();
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].first, Some(NOW));
    }

    #[test]
    fn entries_of_two_lists_may_be_equal() {
        let (_folder, store) = store();
        let done = import(&store, &[("pl-0a.json", ENTRIES, Some(NOW)), ("pl-0b.json", ENTRIES, Some(NOW))]);
        assert!(!done[1].known);
        let network = load(store.root()).unwrap().unwrap();
        assert_eq!(network.prefix_lists.len(), 2);
    }

    #[test]
    fn an_envelope_tells_its_time_account_and_region() {
        let (_folder, store) = store();
        let text = format!(
            r#"{{"captured_at":"2026-01-15T09:00:00Z","account":"123456789012","region":"us-west-2","command":"aws ec2
            describe-security-groups","output":{GROUP}}}"#
        );
        // A line break within a JSON text is an escape; here it is only layout of the test.
        let text = text.replace("aws ec2\n            ", "aws ec2 ");
        let done = import(&store, &[("x.json", &text, Some(NOW))]);
        let document = &done[0].document;
        assert_eq!((document.captured_at, document.first), (None, Some(NOW - 3600)));
        assert_eq!(document.region.as_deref(), Some("us-west-2"));
        assert_eq!(document.account.as_deref(), Some("123456789012"));
    }

    #[test]
    fn an_interrupted_import_leaves_what_was_there() {
        let (_folder, store) = store();
        import(&store, &[("sg.json", GROUP, Some(NOW))]);
        let lock = store.lock(&mut || {}).unwrap();
        let mut second = Import::new(&store, &lock).unwrap();
        second.add("pl-0a.json", ENTRIES.as_bytes(), Some(NOW), NOW).unwrap();
        drop(second);
        assert_eq!(documents(store.root()).unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_document_is_named() {
        let (_folder, store) = store();
        let done = import(&store, &[("sg.json", GROUP, Some(NOW))]);
        let path = document_path(&folder(store.root()), &done[0].document.hash);
        fs::write(&path, zstd::encode_all(&b"{}"[..], 1).unwrap()).unwrap();
        let error = load(store.root()).unwrap_err().to_string();
        assert!(error.contains("its content does not have its hash"), "{error}");
        fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(load(store.root()), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        let (_folder, store) = store();
        let lock = store.lock(&mut || {}).unwrap();
        let mut import = Import::new(&store, &lock).unwrap();
        assert!(import.add("x.json", b"{\"Buckets\":[]}", None, NOW).is_err());
        import.commit().unwrap();
        assert_eq!(documents(store.root()).unwrap(), vec![]);
    }
}
