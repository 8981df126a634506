//! The ledger: which inputs have been read, with what result.
//!
//! It is the Delta table `ingested_files`, one row per path, and it commits last of all tables of a batch. A path has
//! one entry. An object (the same key under whatever folder it was copied to) has at most one entry that is *stored*;
//! further copies are entries of their own with [`Status::Duplicate`].

mod rows;

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{HashSet, HashTable};

use crate::format::LogKind;
pub use rows::StoredLog;
pub use rows::ledger_schema;
pub(super) use rows::{each_batch, each_stored_log, from_batch, text_at, text_column, to_batch};

/// The ledger's table.
pub const LEDGER_TABLE: &str = "ingested_files";

/// What became of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Its rows are in the store (it may have had none).
    #[default]
    Stored,
    /// Its content is stored already, under the path in [`LedgerEntry::duplicate_of`].
    Duplicate,
}

impl Status {
    /// The text in the table.
    pub fn name(self) -> &'static str {
        match self {
            Status::Stored => "stored",
            Status::Duplicate => "duplicate",
        }
    }
}

/// One input that has been read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerEntry {
    /// Its absolute path (or the name of a stream); the entry's identity.
    pub path: String,
    /// What names the object wherever it is copied to (its S3 key, where the path has one).
    pub object_id: Option<String>,
    /// The log type, where it was recognised.
    pub kind: Option<LogKind>,
    /// What became of it.
    pub status: Status,
    /// Where the content of a duplicate is stored.
    pub duplicate_of: Option<String>,
    /// Its size on disk, bytes.
    pub size: u64,
    /// Its modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// The hash of its bytes on disk.
    pub hash: Option<u128>,
    /// Lines, header lines included.
    pub lines: u64,
    /// Rows stored, NODATA and SKIPDATA included.
    pub rows: u64,
    /// NODATA records among the rows.
    pub nodata: u64,
    /// SKIPDATA records among the rows.
    pub skipdata: u64,
    /// Lines refused.
    pub quarantined: u64,
    /// Rows with fewer fields than announced.
    pub short: u64,
    /// The earliest time of a row, microseconds since 1970.
    pub min_time: Option<i64>,
    /// The latest time of a row, microseconds since 1970.
    pub max_time: Option<i64>,
    /// The account, from the object's key.
    pub account: Option<String>,
    /// The region, from the object's key.
    pub region: Option<String>,
    /// The load balancer, from the object's key.
    pub load_balancer: Option<String>,
    /// The flow log's identifier, from the object's key.
    pub flow_log_id: Option<String>,
    /// Bytes read.
    pub compressed_bytes: u64,
    /// Bytes of text they held; of a duplicate only where it was told by that from a fuller copy.
    pub raw_bytes: u64,
    /// The batch that stored it; the store fills it in.
    pub batch: i64,
    /// When, microseconds since 1970; the store fills it in.
    pub ingested_at: i64,
    /// The field list by which its lines were read, where they have no header.
    pub log_format: Option<String>,
    /// The fields of its rows in their order, of flow logs, where all of them have the same.
    pub fields: Option<Arc<str>>,
    /// Why it was not read to its end; `None` where it was.
    pub ending: Option<String>,
}

/// All entries, found by path, object or content. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Entries>);

#[derive(Clone, Default)]
struct Entries {
    /// Replaced entries leave a hole, so positions stay.
    all: Vec<Option<LedgerEntry>>,
    live: usize,
    by_path: HashTable<usize>,
    by_object: HashTable<usize>,
    by_content: HashTable<usize>,
    /// The lists of fields, which nearly all entries share.
    field_lists: HashSet<Arc<str>>,
    hasher: foldhash::fast::FixedState,
}

impl Ledger {
    /// The entry of that path.
    pub fn by_path(&self, path: &str) -> Option<&LedgerEntry> {
        let entries = &*self.0;
        let position = entries.by_path.find(entries.hash(path), |&at| entries.is(at, |e| e.path == path))?;
        entries.get(*position)
    }

    /// The entry under which that object is stored.
    pub fn by_object(&self, object_id: &str) -> Option<&LedgerEntry> {
        let entries = &*self.0;
        let same = |e: &LedgerEntry| e.object_id.as_deref() == Some(object_id);
        let position = entries.by_object.find(entries.hash(object_id), |&at| entries.is(at, same))?;
        entries.get(*position)
    }

    /// The entries under which that content is stored: the same bytes, by hash and size. More than one where objects of
    /// different names in AWS's grammar hold the same bytes.
    pub fn by_hash(&self, hash: u128, size: u64) -> impl Iterator<Item = &LedgerEntry> {
        let entries = &*self.0;
        let found = entries.by_content.iter_hash(entries.hash(&(hash, size)));
        found
            .filter_map(|&position| entries.get(position))
            .filter(move |e| e.hash == Some(hash) && e.size == size)
    }

    /// Whether the rows of a duplicate are still in the store: under an object with its content, or as a part of a fuller
    /// copy of the same object. They go with their carrier when that is replaced.
    pub fn carries(&self, duplicate: &LedgerEntry) -> bool {
        let same = |hash| {
            self.by_hash(hash, duplicate.size)
                .any(|e| may_be_copies(e.object_id.as_deref(), duplicate.object_id.as_deref()))
        };
        // Sizes on disk say nothing where one of the two is unpacked; they are all that is known of Parquet.
        let holds_as_much = |e: &LedgerEntry| match (e.raw_bytes, duplicate.raw_bytes) {
            (0, _) | (_, 0) => e.size >= duplicate.size,
            (held, wanted) => held >= wanted,
        };
        // An object that could not be read to its end has size 0 here, and is read again by the next run.
        let fuller = |id: &String| self.by_object(id).is_some_and(|e| e.size == 0 || holds_as_much(e));
        duplicate.hash.is_some_and(same) || duplicate.object_id.as_ref().is_some_and(fuller)
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = &LedgerEntry> + Clone {
        self.0.all.iter().flatten()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.live
    }

    /// Whether nothing has been read yet.
    pub fn is_empty(&self) -> bool {
        self.0.live == 0
    }

    /// Takes an entry in; whether it replaced another: that of the same path, or, for one that is stored, that under
    /// which the same object was stored before.
    pub(super) fn insert(&mut self, mut entry: LedgerEntry) -> bool {
        let same_path = self.0.position_of(self.by_path(&entry.path));
        let same_object = match (&entry.object_id, entry.status) {
            (Some(object), Status::Stored) => self.0.position_of(self.by_object(object)),
            _ => None,
        };
        let entries = Arc::make_mut(&mut self.0);
        let mut replaced = false;
        for position in [same_path, same_object].into_iter().flatten() {
            replaced |= entries.remove(position);
        }
        if let Some(list) = &mut entry.fields {
            match entries.field_lists.get(list) {
                Some(known) => *list = Arc::clone(known),
                None => drop(entries.field_lists.insert(Arc::clone(list))),
            }
        }
        entries.push(entry);
        replaced
    }

    /// Makes room for that many more.
    pub(super) fn reserve(&mut self, more: usize) {
        let entries = Arc::make_mut(&mut self.0);
        entries.all.reserve(more);
        let Entries { all, by_path, hasher, .. } = entries;
        by_path.reserve(more, |&at| {
            all.get(at).and_then(Option::as_ref).map_or(0, |entry| hasher.hash_one(entry.path.as_str()))
        });
    }
}

impl Entries {
    fn hash<T: Hash + ?Sized>(&self, key: &T) -> u64 {
        self.hasher.hash_one(key)
    }

    fn get(&self, position: usize) -> Option<&LedgerEntry> {
        self.all.get(position)?.as_ref()
    }

    fn is(&self, position: usize, same: impl Fn(&LedgerEntry) -> bool) -> bool {
        self.get(position).is_some_and(same)
    }

    /// Where in `all` an entry that was found in it lies.
    fn position_of(&self, entry: Option<&LedgerEntry>) -> Option<usize> {
        let entry = entry?;
        let hash = self.hash(entry.path.as_str());
        self.by_path.find(hash, |&at| self.is(at, |e| e.path == entry.path)).copied()
    }

    fn push(&mut self, entry: LedgerEntry) {
        let position = self.all.len();
        let Entries { all, live, by_path, by_object, by_content, hasher, .. } = self;
        let hasher = &*hasher;
        all.push(Some(entry));
        *live += 1;
        let entry_at = |at: usize| all.get(at).and_then(Option::as_ref);
        let path_hash = |at: &usize| entry_at(*at).map_or(0, |e| hasher.hash_one(e.path.as_str()));
        let object_hash = |at: &usize| {
            entry_at(*at).and_then(|e| e.object_id.as_deref()).map_or(0, |object| hasher.hash_one(object))
        };
        let content_hash =
            |at: &usize| entry_at(*at).and_then(content).map_or(0, |content| hasher.hash_one(content));
        by_path.insert_unique(path_hash(&position), position, path_hash);
        let Some(entry) = entry_at(position) else { return };
        if entry.status == Status::Stored {
            if entry.object_id.is_some() {
                by_object.insert_unique(object_hash(&position), position, object_hash);
            }
            if entry.hash.is_some() {
                by_content.insert_unique(content_hash(&position), position, content_hash);
            }
        }
    }

    fn remove(&mut self, position: usize) -> bool {
        let Some(entry) = self.all.get_mut(position).and_then(Option::take) else { return false };
        self.live -= 1;
        let Entries { by_path, by_object, by_content, hasher, .. } = self;
        let drop_from = |table: &mut HashTable<usize>, hash: u64| {
            if let Ok(found) = table.find_entry(hash, |&at| at == position) {
                found.remove();
            }
        };
        drop_from(by_path, hasher.hash_one(entry.path.as_str()));
        if let Some(object) = entry.object_id.as_deref() {
            drop_from(by_object, hasher.hash_one(object));
        }
        if let Some(content) = content(&entry) {
            drop_from(by_content, hasher.hash_one(content));
        }
        true
    }
}

/// Whether objects of the same content may be copies of one: AWS gives each object a name of its own, so those that have
/// different ones are not.
pub fn may_be_copies(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

fn content(entry: &LedgerEntry) -> Option<(u128, u64)> {
    entry.hash.map(|hash| (hash, entry.size))
}
