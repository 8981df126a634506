//! One batch, several tables: all of it or nothing.
//!
//! Delta commits one table at a time. So everything a batch is going to do is first written into
//! `_flowq/pending/<batch>.json`. Until that file is there, nothing has happened; once it is there, the batch will happen,
//! by this process or by the next one that takes the lock. Each table's commit carries the batch as Delta's
//! application transaction, so doing it again does nothing.

use std::path::{Path, PathBuf};

use deltalake::kernel::Action;
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde::{Deserialize, Serialize};

use super::delta::Tables;
use super::files::{self, OWN, TEMPORARY};
use super::{StoreError, TABLES};

/// The format of pending files.
const FORMAT: u32 = 1;

/// What a batch is going to do.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    format: u32,
    pub(super) batch: i64,
    /// In the order in which they are committed.
    pub(super) tables: Vec<TableCommit>,
    /// Files to delete once all is committed, relative to the store.
    pub(super) delete: Vec<String>,
}

/// A batch's part in one table.
#[derive(Serialize, Deserialize)]
pub(super) struct TableCommit {
    pub(super) table: String,
    pub(super) operation: Operation,
    pub(super) actions: Vec<Action>,
}

/// What the table's history says of the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    /// New rows, possibly in place of a source's earlier ones.
    Write,
    /// The same rows in fewer files.
    Optimize,
    /// Rows are gone.
    Delete,
}

impl Operation {
    fn to_delta(self) -> DeltaOperation {
        match self {
            Operation::Write => {
                DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
            }
            Operation::Optimize => DeltaOperation::Optimize {
                predicate: None,
                target_size: i64::try_from(super::TARGET_BYTES).unwrap_or(i64::MAX),
            },
            Operation::Delete => DeltaOperation::Delete { predicate: None },
        }
    }
}

impl Pending {
    pub(super) fn new(batch: i64, tables: Vec<TableCommit>, delete: Vec<String>) -> Pending {
        Pending { format: FORMAT, batch, tables, delete }
    }

    /// Writes it down; from here on the batch will happen.
    pub(super) fn write(&self, root: &Path) -> Result<(), StoreError> {
        let path = path_of(root, self.batch);
        let bytes = serde_json::to_vec(self)
            .map_err(|error| StoreError::Damaged { path: path.clone(), what: error.to_string() })?;
        files::write_whole(&path, &bytes)
    }

    /// Does what is not done yet, and then forgets the batch. Gives each table's new version.
    pub(super) fn apply(self, root: &Path, tables: &Tables) -> Result<Vec<(String, u64)>, StoreError> {
        let path = path_of(root, self.batch);
        let mut versions = Vec::new();
        for TableCommit { table, operation, actions } in self.tables {
            // A commit must not name a file that is not there: every later query would fail on it.
            for action in &actions {
                if let Action::Add(add) = action {
                    let data = tables.folder(&table).join(&add.path);
                    std::fs::metadata(&data).map_err(StoreError::io("find", &data))?;
                }
            }
            super::crash_point(&format!("{table}-before"));
            if let Some(version) = tables.commit(&table, self.batch, actions, operation.to_delta())? {
                versions.push((table.clone(), version));
            }
            super::crash_point(&format!("{table}-committed"));
        }
        for file in &self.delete {
            files::remove_file(&root.join(file))?;
            super::crash_point("file-deleted");
        }
        files::remove_file(&path)?;
        super::crash_point("pending-deleted");
        files::sync_folder(&folder(root))?;
        Ok(versions)
    }
}

/// Where pending batches are kept.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join(OWN).join("pending")
}

fn path_of(root: &Path, batch: i64) -> PathBuf {
    folder(root).join(format!("{batch:020}.json"))
}

/// Completes the batches that were interrupted. Only under the lock.
pub(super) fn complete(root: &Path, tables: &Tables) -> Result<(), StoreError> {
    let folder = folder(root);
    // Names are zero-padded: the order of names is the order of batches.
    for name in files::names(&folder)? {
        if !name.ends_with(".json") {
            continue;
        }
        let path = folder.join(&name);
        let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
        let pending: Pending = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged { path: path.clone(), what: error.to_string() })?;
        if pending.format != FORMAT {
            return Err(StoreError::Damaged { path, what: format!("unknown format {}", pending.format) });
        }
        log::info!("completing batch {}, which was interrupted", pending.batch);
        pending.apply(root, tables)?;
    }
    Ok(())
}

/// Completes what was interrupted and clears away what never came to be. Only under the lock, and only while no batch
/// is being written.
pub(super) fn recover(root: &Path, tables: &Tables) -> Result<(), StoreError> {
    let folder = folder(root);
    for own in [root.join(OWN), folder.clone()] {
        for name in files::names(&own)? {
            if name.ends_with(&format!(".{TEMPORARY}")) {
                files::remove_file(&own.join(name))?;
            }
        }
    }
    let unfinished = files::names(&folder)?.iter().any(|name| name.ends_with(".json"));
    for table in TABLES {
        tables.clean_log(table, unfinished)?;
    }
    complete(root, tables)?;
    for table in TABLES {
        tables.clean_data(table)?;
    }
    Ok(())
}
