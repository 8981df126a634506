//! A batch: rows for several tables, and what the ledger has to say of them, committed as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use chrono::Utc;
use deltalake::kernel::{Action, Add, Remove};

use super::delta::{DataFile, Tables};
use super::ledger::{self, LEDGER_TABLE};
use super::pending::{self, Operation, Pending, TableCommit};
use super::rewrite::{self, PartWriter};
use super::{
    FileStats, Ledger, LedgerEntry, Store, StoreError, StoreLock, TABLES, files, is_partitioned, table_schema,
};
use crate::format::EVENT_DATE;

/// The ledger is written anew when it has this many files.
const LEDGER_FILES: usize = 16;

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitReport {
    /// The batch's number; 0 where there was nothing to commit.
    pub batch: i64,
    /// Each table's new version.
    pub versions: Vec<(String, u64)>,
    /// Rows added to log tables and quarantine, without those that were only copied.
    pub rows_added: u64,
    /// Rows removed from log tables and quarantine.
    pub rows_removed: u64,
}

/// New rows and entries, nothing of which is in the store before [`Batch::commit`]. Dropped without it, a batch leaves
/// nothing behind.
pub struct Batch {
    store: Store,
    _lock: StoreLock,
    /// Paths given out; the files of a batch that never commits are deleted.
    paths: Mutex<Vec<PathBuf>>,
    files: Vec<NewFile>,
    rows: BTreeMap<String, Vec<RecordBatch>>,
    sources: HashSet<String>,
    entries: Vec<LedgerEntry>,
    /// The batch is written down and will happen.
    decided: bool,
}

struct NewFile {
    table: String,
    date: Option<i32>,
    path: PathBuf,
    stats: FileStats,
}

impl Batch {
    pub(super) fn new(store: Store, lock: StoreLock) -> Batch {
        Batch {
            store,
            _lock: lock,
            paths: Mutex::new(Vec::new()),
            files: Vec::new(),
            rows: BTreeMap::new(),
            sources: HashSet::new(),
            entries: Vec::new(),
            decided: false,
        }
    }

    /// A path for a new data file of that partition, in a folder that is there. The caller writes the Parquet file,
    /// without the partition column, and hands it in with [`Batch::add_file`]. May be called from several threads.
    pub fn data_path(&self, table: &str, date: Option<i32>) -> Result<PathBuf, StoreError> {
        if table_schema(table).is_none() {
            return Err(StoreError::UnknownTable { table: table.to_string() });
        }
        let mut folder = self.store.tables().folder(table);
        if is_partitioned(table) {
            folder.push(files::partition_folder(date));
        }
        files::create_folder(&folder)?;
        let path = folder.join(files::fresh_part());
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Ok(path)
    }

    /// Adds a data file that lies, complete, at a path of [`Batch::data_path`] for the same table and date.
    pub fn add_file(&mut self, table: &str, date: Option<i32>, path: PathBuf, stats: FileStats) {
        self.files.push(NewFile { table: table.to_string(), date, path, stats });
    }

    /// Adds a few rows to a table that has no partitions.
    pub fn add_rows(&mut self, table: &str, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows.entry(table.to_string()).or_default().push(batch);
        }
    }

    /// Rows of these sources (by `source_file`) that are in the store before this batch are removed with it.
    pub fn replace_sources(&mut self, sources: HashSet<String>) {
        self.sources.extend(sources);
    }

    /// Adds entries to the ledger; their batch and time of ingestion are filled in.
    pub fn record(&mut self, entries: Vec<LedgerEntry>) {
        self.entries.extend(entries);
    }

    /// Commits everything. After an error either nothing has happened, or, where the batch was written down already,
    /// the rest of it happens when the lock is taken the next time.
    pub fn commit(mut self) -> Result<CommitReport, StoreError> {
        let nothing = self.files.is_empty()
            && self.rows.is_empty()
            && self.sources.is_empty()
            && self.entries.is_empty();
        if nothing {
            return Ok(CommitReport::default());
        }
        let store = self.store.clone();
        let batch = self.number()?;
        let mut changes = Changes::new(store.tables());
        let mut report = CommitReport { batch, ..CommitReport::default() };
        for NewFile { table, date, path, stats } in std::mem::take(&mut self.files) {
            report.rows_added += stats.rows;
            changes.add(&table, date, path, &stats)?;
        }
        report.rows_removed += self.remove_sources(&mut changes)?;
        for (table, rows) in std::mem::take(&mut self.rows) {
            let path = self.data_path(&table, None)?;
            let stats = write_rows(&table, &path, &rows)?;
            report.rows_added += stats.rows;
            changes.add(&table, None, path, &stats)?;
        }
        let ledger = self.extend_ledger(batch, &mut changes)?;
        report.versions = self.decide(batch, changes, Operation::Write, Vec::new())?;
        if let (Some(ledger), Some((_, version))) =
            (ledger, report.versions.iter().find(|(table, _)| table == LEDGER_TABLE))
        {
            store.remember_ledger(*version, ledger);
        }
        Ok(report)
    }

    /// The number under which this batch commits.
    pub(super) fn number(&self) -> Result<i64, StoreError> {
        // What an earlier commit of this process could not complete has to be there first: its tables would take a
        // higher number as a sign that it is.
        pending::complete(self.store.root(), self.store.tables())?;
        self.store.next_batch()
    }

    /// Makes the changes happen, and after them the deletion of files (relative to the store). Gives the new versions.
    pub(super) fn decide(
        &mut self,
        batch: i64,
        changes: Changes<'_>,
        operation: Operation,
        delete: Vec<String>,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let root = self.store.root();
        changes.sync(root)?;
        super::crash_point("data-written");
        let pending = Pending::new(batch, changes.into_commits(operation), delete);
        pending.write(root)?;
        self.decided = true;
        super::crash_point("pending-written");
        pending.apply(root, self.store.tables())
    }

    /// Writes every file that has rows of a replaced source anew, without them. Gives the number of rows removed.
    fn remove_sources(&self, changes: &mut Changes<'_>) -> Result<u64, StoreError> {
        let mut removed = 0;
        if self.sources.is_empty() {
            return Ok(removed);
        }
        for table in TABLES.into_iter().filter(|&table| table != LEDGER_TABLE) {
            let Some(snapshot) = self.store.snapshot(table)? else { continue };
            for file in &snapshot.files {
                if !rewrite::holds(&file.path, &self.sources)? {
                    continue;
                }
                let to = self.data_path(table, file.date)?;
                let stats = rewrite::copy_without(table, &file.path, &to, &self.sources)?;
                changes.remove(table, file, true);
                removed += file.rows.saturating_sub(stats.as_ref().map_or(0, |stats| stats.rows));
                if let Some(stats) = stats {
                    changes.add(table, file.date, to, &stats)?;
                }
            }
        }
        Ok(removed)
    }

    /// Writes the new entries, or, where they replace others or the files have become many, all of them.
    fn extend_ledger(&mut self, batch: i64, changes: &mut Changes<'_>) -> Result<Option<Ledger>, StoreError> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        let now = Utc::now().timestamp_micros();
        let mut entries = std::mem::take(&mut self.entries);
        let mut ledger = self.store.ledger()?;
        ledger.reserve(entries.len());
        let mut replaced = false;
        for entry in &mut entries {
            entry.batch = batch;
            entry.ingested_at = now;
            replaced |= ledger.insert(entry.clone());
        }
        let path = self.data_path(LEDGER_TABLE, None)?;
        let existing = self.store.snapshot(LEDGER_TABLE)?.map_or_else(Vec::new, |snapshot| snapshot.files);
        let rows = if replaced || existing.len() >= LEDGER_FILES {
            for file in &existing {
                changes.remove(LEDGER_TABLE, file, true);
            }
            ledger::to_batch(ledger.iter(), &path)?
        } else {
            ledger::to_batch(entries.iter(), &path)?
        };
        let stats = write_rows(LEDGER_TABLE, &path, &[rows])?;
        changes.add(LEDGER_TABLE, None, path, &stats)?;
        Ok(Some(ledger))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.decided {
            for path in self.paths.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                // What cannot be deleted now is deleted when the lock is taken the next time.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn write_rows(table: &str, path: &Path, rows: &[RecordBatch]) -> Result<FileStats, StoreError> {
    let schema = table_schema(table).ok_or_else(|| StoreError::UnknownTable { table: table.to_string() })?;
    let mut writer = PartWriter::create(table, path, schema)?;
    for batch in rows {
        writer.write(batch)?;
    }
    writer.finish()
}

/// What a batch does to the tables' files.
pub(super) struct Changes<'a> {
    tables: &'a Tables,
    /// Milliseconds since 1970.
    now: i64,
    actions: HashMap<&'static str, Vec<Action>>,
    added: Vec<PathBuf>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(tables: &'a Tables) -> Changes<'a> {
        Changes { tables, now: Utc::now().timestamp_millis(), actions: HashMap::new(), added: Vec::new() }
    }

    fn of(&mut self, table: &str) -> Result<&mut Vec<Action>, StoreError> {
        let name = TABLES.into_iter().find(|&name| name == table);
        let name = name.ok_or_else(|| StoreError::UnknownTable { table: table.to_string() })?;
        Ok(self.actions.entry(name).or_default())
    }

    fn add(
        &mut self,
        table: &str,
        date: Option<i32>,
        path: PathBuf,
        stats: &FileStats,
    ) -> Result<(), StoreError> {
        self.add_as(table, date, path, stats, true)
    }

    /// Adds a file; `data_change` is false where its rows were in the table before.
    pub(super) fn add_as(
        &mut self,
        table: &str,
        date: Option<i32>,
        path: PathBuf,
        stats: &FileStats,
        data_change: bool,
    ) -> Result<(), StoreError> {
        let size = fs::metadata(&path).map_err(StoreError::io("find", &path))?.len();
        let outside =
            |_| StoreError::Damaged { path: path.clone(), what: "it is not in its table".to_string() };
        let relative = path.strip_prefix(self.tables.folder(table)).map_err(outside)?;
        // Delta separates by slashes on every system.
        let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let add = Add {
            path: parts.join("/"),
            partition_values: partition_values(table, date),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            modification_time: self.now,
            data_change,
            stats: Some(stats.to_json()),
            ..Add::default()
        };
        self.of(table)?.push(Action::Add(add));
        self.added.push(path);
        Ok(())
    }

    /// Removes a file; `data_change` is false where its rows are in files that are added.
    pub(super) fn remove(&mut self, table: &str, file: &DataFile, data_change: bool) {
        let remove = Remove {
            path: file.relative.clone(),
            data_change,
            deletion_timestamp: Some(self.now),
            extended_file_metadata: Some(true),
            partition_values: Some(partition_values(table, file.date)),
            size: Some(i64::try_from(file.size).unwrap_or(i64::MAX)),
            ..Remove::default()
        };
        if let Ok(actions) = self.of(table) {
            actions.push(Action::Remove(remove));
        }
    }

    /// Forces the new files and the names that lead to them to the disk.
    pub(super) fn sync(&self, root: &Path) -> Result<(), StoreError> {
        let mut folders = BTreeSet::new();
        files::sync_files(&self.added)?;
        for path in &self.added {
            folders.extend(path.ancestors().skip(1).take_while(|folder| folder.starts_with(root)));
        }
        folders.into_iter().try_for_each(files::sync_folder)
    }

    pub(super) fn into_commits(mut self, operation: Operation) -> Vec<TableCommit> {
        TABLES
            .into_iter()
            .filter_map(|table| {
                let actions = self.actions.remove(table)?;
                Some(TableCommit { table: table.to_string(), operation, actions })
            })
            .collect()
    }
}

fn partition_values(table: &str, date: Option<i32>) -> HashMap<String, Option<String>> {
    match is_partitioned(table) {
        true => HashMap::from([(EVENT_DATE.to_string(), date.map(files::date_text))]),
        false => HashMap::new(),
    }
}
