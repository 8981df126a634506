//! The store: one Delta Lake table per log type, and the ledger of what has been read.
//!
//! Parquet files are written by our own encoder ([`encode`]) and committed with their statistics. A [`Batch`] touches
//! several tables and commits as a whole: see `pending`. Whoever writes holds the [`StoreLock`]; readers need none,
//! since each table's [`snapshot`](Store::snapshot) is consistent in itself.
//!
//! ```text
//! flowq-store/
//!   _flowq/store.json               format and writer
//!   _flowq/lock                     held by the one writer
//!   _flowq/pending/<batch>.json     a batch that is being committed
//!   _flowq/config/…                 network configuration as it was imported: see `config`
//!   flow_logs/_delta_log/…          one Delta table per log type, made when its first rows come
//!   flow_logs/event_date=2026-01-15/part-<uuid>.zstd.parquet
//!   quarantine/…                    refused lines
//!   ingested_files/…                the ledger
//! ```

mod batch;
pub mod config;
pub mod decode;
mod delta;
pub mod encode;
mod error;
mod files;
mod ledger;
mod maintain;
mod merge;
mod pending;
mod rewrite;
mod stats;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

pub use batch::{Batch, CommitReport};
pub use delta::{DataFile, TableSnapshot};
pub use error::StoreError;
pub use ledger::{LEDGER_TABLE, Ledger, LedgerEntry, Status, StoredLog, ledger_schema, may_be_copies};
pub use maintain::{ForgetReport, OptimizeReport, StoreInfo, TableInfo};
pub use stats::FileStats;

use crate::format::{self, LogKind, timestamp};
use delta::Tables;

/// The format of stores that this flowq writes, and the highest it reads.
pub const FORMAT: u64 = 1;

/// The table of refused lines.
pub const QUARANTINE_TABLE: &str = "quarantine";

/// The size that data files should have, bytes.
pub const TARGET_BYTES: u64 = 128 << 20;

/// Every table, in the order in which a batch commits them: the ledger, which says that it is done, last.
pub const TABLES: [&str; 9] = [
    "flow_logs",
    "tgw_flow_logs",
    "alb_logs",
    "alb_connection_logs",
    "alb_health_check_logs",
    "clb_logs",
    "nlb_logs",
    QUARANTINE_TABLE,
    LEDGER_TABLE,
];

/// The schema of a table, the partition column last; `None` for names that are not a store's.
pub fn table_schema(table: &str) -> Option<SchemaRef> {
    match table {
        QUARANTINE_TABLE => Some(quarantine_schema()),
        LEDGER_TABLE => Some(ledger_schema()),
        _ => LogKind::from_table(table).map(format::table_schema),
    }
}

/// The schema of [`QUARANTINE_TABLE`]: where the line stood (from 1; byte offset from 0), why it was refused, the line.
pub fn quarantine_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("kind", DataType::Utf8, true),
        Field::new(format::SOURCE_FILE, DataType::Utf8, true),
        Field::new("line", DataType::Int64, true),
        Field::new("byte", DataType::Int64, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("ingested_at", timestamp(), true),
    ]))
}

/// Takes the operating system's lock on the store's lock file; calls `waiting` once if another process has it.
fn lock_file(root: &Path, waiting: &mut dyn FnMut()) -> Result<File, StoreError> {
    let path = root.join(files::OWN).join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            waiting();
            file.lock().map_err(StoreError::io("lock", &path))?;
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
    }
    Ok(file)
}

fn is_partitioned(table: &str) -> bool {
    LogKind::from_table(table).is_some()
}

/// A store. Clones are handles on the same one.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    root: PathBuf,
    tables: Tables,
    /// The ledger in a version of its table.
    ledger: Mutex<Option<(u64, Ledger)>>,
}

/// The right to write; given back when the last clone is dropped. A [`Batch`] keeps one.
#[derive(Clone)]
pub struct StoreLock(Arc<LockFile>);

struct LockFile {
    root: PathBuf,
    /// The lock is the operating system's, so it ends with the process, however that ends.
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u64,
    #[serde(default)]
    written_by: String,
}

impl Store {
    /// Opens the store, or makes one in a new or empty folder.
    pub fn open_or_create(root: &Path) -> Result<Store, StoreError> {
        let path = root.join(files::OWN).join("store.json");
        if !path.exists() {
            Store::create(root, &path)?;
        }
        Store::open(root)
    }

    fn create(root: &Path, path: &Path) -> Result<(), StoreError> {
        let mut others = files::names(root)?;
        // What an interrupted creation leaves.
        others.retain(|name| name != files::OWN);
        let started = files::names(&root.join(files::OWN))?;
        let foreign = !others.is_empty() || started.iter().any(|name| name.ends_with(".json"));
        // Another process may have made the store since it was looked for.
        if foreign && !path.exists() {
            return Err(StoreError::NotAStore { path: root.to_path_buf() });
        }
        files::create_folder(&pending::folder(root))?;
        // One at a time: whoever has the lock afterwards clears away the temporary files of all others.
        let _making = lock_file(root, &mut || {})?;
        if path.exists() {
            return Ok(());
        }
        let identity =
            Identity { format: FORMAT, written_by: format!("flowq {}", env!("CARGO_PKG_VERSION")) };
        let bytes = serde_json::to_vec(&identity)
            .map_err(|error| StoreError::Damaged { path: path.to_path_buf(), what: error.to_string() })?;
        files::write_whole(path, &bytes)?;
        files::sync_folder(root)
    }

    /// Opens a store that is there.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        let path = root.join(files::OWN).join("store.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let others = files::names(root)?.iter().any(|name| name != files::OWN);
                return Err(match others {
                    true => StoreError::NotAStore { path: root.to_path_buf() },
                    false => StoreError::Missing { path: root.to_path_buf() },
                });
            }
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let identity: Identity = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged { path: path.clone(), what: error.to_string() })?;
        if identity.format > FORMAT {
            return Err(StoreError::Newer {
                path: root.to_path_buf(),
                format: identity.format,
                written_by: identity.written_by,
            });
        }
        let root = fs::canonicalize(root).map_err(StoreError::io("open", root))?;
        let tables = Tables::new(&root)?;
        Ok(Store(Arc::new(Inner { root, tables, ledger: Mutex::new(None) })))
    }

    /// Where the store is: an absolute path.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Takes the right to write, and first completes or clears away what an interrupted writer left. Calls `waiting`
    /// once if another has it, and then waits; a thread that has it already waits for ever.
    pub fn lock(&self, waiting: &mut dyn FnMut()) -> Result<StoreLock, StoreError> {
        files::create_folder(&pending::folder(self.root()))?;
        let file = lock_file(self.root(), waiting)?;
        let lock = StoreLock(Arc::new(LockFile { root: self.root().to_path_buf(), _file: file }));
        pending::recover(self.root(), self.tables())?;
        Ok(lock)
    }

    /// What has been read so far.
    pub fn ledger(&self) -> Result<Ledger, StoreError> {
        let mut known = self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(version) = self.tables().version(LEDGER_TABLE)? else { return Ok(Ledger::default()) };
        if let Some((of, ledger)) = &*known
            && *of == version
        {
            return Ok(ledger.clone());
        }
        let Some(snapshot) = self.snapshot(LEDGER_TABLE)? else { return Ok(Ledger::default()) };
        let mut ledger = Ledger::default();
        for file in &snapshot.files {
            let open = File::open(&file.path).map_err(StoreError::io("read", &file.path))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(open)
                .and_then(|builder| builder.with_batch_size(16 * 1024).build())
                .map_err(StoreError::parquet(&file.path))?;
            ledger.reserve(usize::try_from(file.rows).unwrap_or(0));
            for batch in reader {
                let batch = batch.map_err(StoreError::arrow(&file.path))?;
                for entry in ledger::from_batch(&batch, &file.path)? {
                    ledger.insert(entry);
                }
            }
        }
        *known = Some((snapshot.version, ledger.clone()));
        Ok(ledger)
    }

    /// Tells of every file whose rows are stored. Less is read for it than for the whole ledger.
    pub fn each_stored_log(&self, each: &mut dyn FnMut(StoredLog<'_>)) -> Result<(), StoreError> {
        let files = self.snapshot(LEDGER_TABLE)?.map_or_else(Vec::new, |snapshot| snapshot.files);
        files.iter().try_for_each(|file| ledger::each_stored_log(&file.path, each))
    }

    /// Tells of every refused line of a kind of log: its file, and its text.
    pub fn each_refused_line(
        &self,
        kind: LogKind,
        each: &mut dyn FnMut(&str, &str),
    ) -> Result<(), StoreError> {
        let files = self.snapshot(QUARANTINE_TABLE)?.map_or_else(Vec::new, |snapshot| snapshot.files);
        files.iter().try_for_each(|file| {
            ledger::each_batch(&file.path, &["kind", format::SOURCE_FILE, "text"], &mut |batch| {
                let column = |name| ledger::text_column(batch, name, &file.path);
                let (kinds, sources, texts) =
                    (column("kind")?, column(format::SOURCE_FILE)?, column("text")?);
                let rows = 0..batch.num_rows();
                for row in rows.filter(|row| ledger::text_at(&kinds, *row) == Some(kind.table())) {
                    let line = ledger::text_at(&sources, row).zip(ledger::text_at(&texts, row));
                    line.into_iter().for_each(|(source, text)| each(source, text));
                }
                Ok(())
            })
        })
    }

    /// Starts a batch. Nothing of it is there before its [`commit`](Batch::commit), and all of it after.
    pub fn begin(&self, lock: &StoreLock) -> Result<Batch, StoreError> {
        self.check(lock)?;
        Ok(Batch::new(self.clone(), lock.clone()))
    }

    /// The table as it is now; `None` where no rows of it have come yet.
    pub fn snapshot(&self, table: &str) -> Result<Option<TableSnapshot>, StoreError> {
        self.tables().snapshot(table)
    }

    fn check(&self, lock: &StoreLock) -> Result<(), StoreError> {
        match lock.0.root == self.root() {
            true => Ok(()),
            false => Err(StoreError::OtherLock { path: self.root().to_path_buf() }),
        }
    }

    fn tables(&self) -> &Tables {
        &self.0.tables
    }

    /// A number above that of every batch so far. Nothing may be pending.
    fn next_batch(&self) -> Result<i64, StoreError> {
        let mut newest = 0;
        for table in TABLES {
            newest = newest.max(self.tables().batch_of(table)?.unwrap_or(0));
        }
        Ok(newest.saturating_add(1))
    }

    fn remember_ledger(&self, version: u64, ledger: Ledger) {
        *self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, ledger));
    }
}

/// Ends the process, as a power cut would, at the n-th of these points where `FLOWQ_CRASH_AT` is n.
#[cfg(test)]
fn crash_point(name: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    if let Some(at) = std::env::var("FLOWQ_CRASH_AT").ok().and_then(|at| at.parse::<usize>().ok())
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == at
    {
        eprintln!("crash at point {at}: {name}");
        std::process::abort();
    }
}

#[cfg(not(test))]
#[inline(always)]
fn crash_point(_name: &str) {}

#[cfg(test)]
mod tests;
