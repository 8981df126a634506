//! The Delta tables of a store: opening, creating, committing, listing.
//!
//! Delta's client is asynchronous; the runtime it needs lives and stays in here.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference};
use deltalake::kernel::{Action, StructType, Transaction};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use futures::{StreamExt, TryStreamExt};
use url::Url;

use super::files::{self, DELTA_LOG};
use super::{StoreError, is_partitioned, table_schema};
use crate::format::EVENT_DATE;

/// The application name of our transactions in Delta's log; their version is the batch.
const APPLICATION: &str = "flowq";

/// Commits between two checkpoints: a reader replays at most that many small files.
const CHECKPOINT_INTERVAL: &str = "20";

/// A data file of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its path within the table.
    pub relative: String,
    /// Bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Its partition, days since 1970-01-01; none for rows without a time and in tables without partitions.
    pub date: Option<i32>,
    /// Delta's statistics, JSON: `numRecords`, `minValues`, `maxValues`, `nullCount`.
    pub stats: Option<String>,
}

/// A table as it was at one moment.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Delta's version of the table.
    pub version: u64,
    /// Its data files.
    pub files: Vec<DataFile>,
    /// All columns, the partition column last.
    pub schema: SchemaRef,
}

/// A removed file that is still on record.
pub(super) struct Tombstone {
    pub(super) relative: String,
    /// Milliseconds since 1970.
    pub(super) deleted_at: Option<i64>,
}

/// The Delta tables below one root.
pub(super) struct Tables {
    root: PathBuf,
    runtime: Option<tokio::runtime::Runtime>,
    /// Loaded tables: bringing one up to date costs less than opening it.
    loaded: Mutex<HashMap<String, DeltaTable>>,
}

impl Drop for Tables {
    fn drop(&mut self) {
        // Waiting for it would panic where the store is dropped within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Tables {
    pub(super) fn new(root: &Path) -> Result<Tables, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StoreError::io("start a runtime for", root))?;
        Ok(Tables { root: root.to_path_buf(), runtime: Some(runtime), loaded: Mutex::new(HashMap::new()) })
    }

    /// Runs Delta's work to its end, also where the caller is itself within a runtime.
    fn run<F>(&self, work: F) -> Result<F::Output, StoreError>
    where
        F: Future + Send,
        F::Output: Send,
    {
        let gone = || {
            let reason = std::io::Error::other("its runtime has ended");
            StoreError::Io { action: "use", path: self.root.clone(), source: reason }
        };
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Ok(runtime.block_on(work));
        }
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join().map_err(|_| gone()))
    }

    /// The folder of a table.
    pub(super) fn folder(&self, table: &str) -> PathBuf {
        self.root.join(table)
    }

    fn exists(&self, table: &str) -> Result<bool, StoreError> {
        let names = files::names(&self.folder(table).join(DELTA_LOG))?;
        Ok(names.iter().any(|name| is_commit(name)))
    }

    /// The table in its newest version; `None` where it has not been created.
    fn load(&self, table: &str) -> Result<Option<DeltaTable>, StoreError> {
        let known = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        let mut delta = match known {
            Some(delta) => delta,
            None if !self.exists(table)? => return Ok(None),
            None => DeltaTableBuilder::from_url(self.url(table)?)
                .and_then(DeltaTableBuilder::build)
                .map_err(StoreError::delta(table))?,
        };
        self.run(delta.update_state())?.map_err(StoreError::delta(table))?;
        self.remember(table, &delta);
        Ok(Some(delta))
    }

    fn remember(&self, table: &str, delta: &DeltaTable) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(table.to_string(), delta.clone());
    }

    fn url(&self, table: &str) -> Result<Url, StoreError> {
        Url::from_directory_path(self.folder(table)).map_err(|()| StoreError::Damaged {
            path: self.folder(table),
            what: "its path is not absolute".to_string(),
        })
    }

    fn create(&self, table: &str) -> Result<DeltaTable, StoreError> {
        let unknown = || StoreError::UnknownTable { table: table.to_string() };
        let schema = table_schema(table).ok_or_else(unknown)?;
        let schema: StructType = schema
            .as_ref()
            .try_into_kernel()
            .map_err(|error| StoreError::Arrow { path: self.folder(table), source: error })?;
        let folder = self.folder(table);
        files::create_folder(&folder.join(DELTA_LOG))?;
        let mut builder = CreateBuilder::new()
            .with_location(self.url(table)?)
            .with_table_name(table)
            .with_columns(schema.fields().cloned())
            .with_save_mode(SaveMode::Ignore)
            .with_configuration([
                ("delta.checkpointInterval", Some(CHECKPOINT_INTERVAL)),
                // The default leaves all columns beyond the 32nd without statistics.
                ("delta.dataSkippingNumIndexedCols", Some("-1")),
            ]);
        if is_partitioned(table) {
            builder = builder.with_partition_columns([EVENT_DATE]);
        }
        let delta = self.run(builder.into_future())?.map_err(StoreError::delta(table))?;
        self.sync_log(table, 0)?;
        files::sync_folder(&folder)?;
        files::sync_folder(&self.root)?;
        self.remember(table, &delta);
        Ok(delta)
    }

    /// Commits actions as a batch's part in a table, once: a table that has that batch is left alone. Gives the
    /// version in which the table holds the batch, if it was this call that put it there.
    pub(super) fn commit(
        &self,
        table: &str,
        batch: i64,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<Option<u64>, StoreError> {
        let mut delta = match self.load(table)? {
            Some(delta) => delta,
            None => self.create(table)?,
        };
        super::crash_point(&format!("{table}-opened"));
        if self.newest_batch(table, &delta)?.is_some_and(|newest| newest >= batch) {
            return Ok(None);
        }
        let properties =
            CommitProperties::default().with_application_transaction(Transaction::new(APPLICATION, batch));
        let state = delta.snapshot().map_err(StoreError::delta(table))?;
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            Some(state as &dyn TableReference),
            delta.log_store(),
            operation,
        );
        match self.run(commit.into_future())? {
            Ok(done) => {
                self.sync_log(table, done.version())?;
                let version = done.version();
                delta.state = Some(done.snapshot());
                self.remember(table, &delta);
                Ok(Some(version))
            }
            Err(error) => {
                // The commit may stand although what follows it (a checkpoint) failed.
                let landed = self.load(table).ok().flatten().filter(|delta| {
                    self.newest_batch(table, delta).ok().flatten().is_some_and(|newest| newest >= batch)
                });
                match landed.and_then(|delta| delta.version()) {
                    Some(version) => {
                        self.sync_log(table, version)?;
                        Ok(Some(version))
                    }
                    None => Err(self.classify(table, error)),
                }
            }
        }
    }

    /// Finds the system's reason within Delta's error, so that a full disk is called by its name.
    fn classify(&self, table: &str, error: DeltaTableError) -> StoreError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                let source = match io.raw_os_error() {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::new(io.kind(), io.to_string()),
                };
                return StoreError::Io { action: "commit to", path: self.folder(table), source };
            }
            cause = inner.source();
        }
        StoreError::delta(table)(error)
    }

    fn sync_log(&self, table: &str, version: u64) -> Result<(), StoreError> {
        let log = self.folder(table).join(DELTA_LOG);
        files::sync_file(&log.join(format!("{version:020}.json")))?;
        let checkpoint = log.join(format!("{version:020}.checkpoint.parquet"));
        if checkpoint.exists() {
            files::sync_file(&checkpoint)?;
            files::sync_file(&log.join("_last_checkpoint"))?;
        }
        files::sync_folder(&log)
    }

    fn newest_batch(&self, table: &str, delta: &DeltaTable) -> Result<Option<i64>, StoreError> {
        let state = delta.snapshot().map_err(StoreError::delta(table))?;
        let log_store = delta.log_store();
        self.run(state.transaction_version(&log_store, APPLICATION))?.map_err(StoreError::delta(table))
    }

    /// The newest batch of a table.
    pub(super) fn batch_of(&self, table: &str) -> Result<Option<i64>, StoreError> {
        match self.load(table)? {
            Some(delta) => self.newest_batch(table, &delta),
            None => Ok(None),
        }
    }

    /// The version of a table; `None` where it has not been created.
    pub(super) fn version(&self, table: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.load(table)?.and_then(|delta| delta.version()))
    }

    /// The table as it is now; `None` where it has not been created.
    pub(super) fn snapshot(&self, table: &str) -> Result<Option<TableSnapshot>, StoreError> {
        let unknown = || StoreError::UnknownTable { table: table.to_string() };
        let schema = table_schema(table).ok_or_else(unknown)?;
        let Some(delta) = self.load(table)? else { return Ok(None) };
        let state = delta.snapshot().map_err(StoreError::delta(table))?;
        let folder = self.folder(table);
        let files = state
            .log_data()
            .into_iter()
            .map(|file| {
                let relative = file.path().into_owned();
                let date = file.partition_values_map().remove(EVENT_DATE).flatten();
                DataFile {
                    path: folder.join(&relative),
                    relative,
                    size: u64::try_from(file.size()).unwrap_or(0),
                    rows: file.num_records().and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0),
                    date: date.as_deref().and_then(files::parse_date),
                    stats: file.stats(),
                }
            })
            .collect();
        Ok(Some(TableSnapshot { version: state.version(), files, schema }))
    }

    /// Files that were removed and are still on record, so that older versions can be read.
    pub(super) fn tombstones(&self, table: &str) -> Result<Vec<Tombstone>, StoreError> {
        let Some(delta) = self.load(table)? else { return Ok(Vec::new()) };
        let state = delta.snapshot().map_err(StoreError::delta(table))?;
        let log_store = delta.log_store();
        let all = async {
            state
                .all_tombstones(&log_store)
                .map_ok(|view| Tombstone {
                    relative: view.path().into_owned(),
                    deleted_at: view.deletion_timestamp(),
                })
                .boxed()
                .try_collect::<Vec<_>>()
                .await
        };
        self.run(all)?.map_err(StoreError::delta(table))
    }

    /// Deletes what interrupted commits left in Delta's log folder. Only under the lock. `unfinished` says that a batch
    /// is pending: only then a commit may be torn, and it will be made again.
    pub(super) fn clean_log(&self, table: &str, unfinished: bool) -> Result<(), StoreError> {
        let log = self.folder(table).join(DELTA_LOG);
        let mut newest = None;
        for name in files::names(&log)? {
            // The local object store stages `x.json` as `x.json#1`.
            let staged = name.rsplit_once('#').is_some_and(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
            if staged {
                files::remove_file(&log.join(name))?;
            } else if is_commit(&name) && name.ends_with(".json") {
                newest = Some(log.join(name));
            }
        }
        // Delta's client does not wait for the disk, so a power cut can leave a commit's name without its bytes.
        if let Some(newest) = newest.filter(|_| unfinished) {
            let bytes = std::fs::read(&newest).map_err(StoreError::io("read", &newest))?;
            let is_json = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            if !bytes.split(|&byte| byte == b'\n').all(is_json) {
                log::warn!("{} is torn; it will be written again", newest.display());
                files::remove_file(&newest)?;
            }
        }
        Ok(())
    }

    /// Deletes data files that no commit knows. Only under the lock, with nothing pending.
    pub(super) fn clean_data(&self, table: &str) -> Result<(), StoreError> {
        let folder = self.folder(table);
        let mut found = Vec::new();
        for name in files::names(&folder)? {
            if files::is_part(&name) {
                found.push(name);
            } else if name.starts_with(&format!("{EVENT_DATE}=")) {
                let parts = files::names(&folder.join(&name))?;
                found.extend(
                    parts.iter().filter(|part| files::is_part(part)).map(|part| format!("{name}/{part}")),
                );
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        if let Some(snapshot) = self.snapshot(table)? {
            let live: HashSet<String> = snapshot.files.into_iter().map(|file| file.relative).collect();
            found.retain(|file| !live.contains(file));
        }
        if !found.is_empty() {
            let kept: HashSet<String> = self.tombstones(table)?.into_iter().map(|t| t.relative).collect();
            found.retain(|file| !kept.contains(file));
        }
        for orphan in found {
            log::debug!("deleting {table}/{orphan}, which no commit knows");
            files::remove_file(&folder.join(orphan))?;
        }
        Ok(())
    }
}

/// Whether a name in Delta's log folder is that of a commit or a checkpoint.
fn is_commit(name: &str) -> bool {
    name.strip_suffix(".json")
        .or_else(|| name.strip_suffix(".checkpoint.parquet"))
        .is_some_and(|version| version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit()))
}
