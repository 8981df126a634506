//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use deltalake::DeltaTableError;
use parquet::errors::ParquetError;
use thiserror::Error;

/// An error of the store. [`StoreError::hint`] says what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nothing is there.
    #[error("no store at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder with something else in it.
    #[error("{} holds files and is not a flowq store", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// The store's format is above [`FORMAT`](super::FORMAT).
    #[error("the store {} was written by a newer flowq ({written_by}, format {format})", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// What `store.json` says of the program.
        written_by: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the store does not hold what it should.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The Delta table could not be read or written.
    #[error("table {table}: {source}")]
    Delta {
        /// The table.
        table: String,
        /// Delta's reason.
        source: Box<DeltaTableError>,
    },
    /// A Parquet file could not be read or written.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Parquet's reason.
        source: ParquetError,
    },
    /// Columns did not fit together.
    #[error("{}: {source}", path.display())]
    Arrow {
        /// The file they belong to.
        path: PathBuf,
        /// Arrow's reason.
        source: ArrowError,
    },
    /// No table of that name belongs to a store.
    #[error("unknown table {table}")]
    UnknownTable {
        /// The name.
        table: String,
    },
    /// The lock that was shown belongs to another store.
    #[error("the lock belongs to another store than {}", path.display())]
    OtherLock {
        /// The store.
        path: PathBuf,
    },
}

impl StoreError {
    /// What the user can do about it; nothing where only the message helps.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            StoreError::Missing { .. } => {
                Some("make one with `flowq ingest <folder>`, or name it with --store or FLOWQ_STORE")
            }
            StoreError::NotAStore { .. } => Some("name an empty or a new folder with --store"),
            StoreError::Newer { .. } => Some("update flowq"),
            StoreError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space and run the same command again: what is stored stays stored once")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("check the permissions, or name another folder with --store")
                }
                _ => None,
            },
            StoreError::Damaged { .. } | StoreError::Parquet { .. } => {
                Some("restore the file from a backup, or ingest into a new store")
            }
            StoreError::Delta { .. } => {
                Some("run the same command again; an interrupted commit is completed first")
            }
            StoreError::Arrow { .. } | StoreError::UnknownTable { .. } | StoreError::OtherLock { .. } => None,
        }
    }

    /// For `map_err` on the result of a system call.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_path_buf();
        move |source| StoreError::Io { action, path, source }
    }

    /// For `map_err` on Parquet's results.
    pub(super) fn parquet(path: &Path) -> impl FnOnce(ParquetError) -> StoreError {
        let path = path.to_path_buf();
        move |source| match source {
            // The writer wraps the system's errors; the hint about a full disk depends on finding them again.
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(source) => StoreError::Io { action: "use", path, source: *source },
                Err(inner) => StoreError::Parquet { path, source: ParquetError::External(inner) },
            },
            source => StoreError::Parquet { path, source },
        }
    }

    /// For `map_err` on Arrow's results.
    pub(super) fn arrow(path: &Path) -> impl FnOnce(ArrowError) -> StoreError {
        let path = path.to_path_buf();
        move |source| match source {
            ArrowError::IoError(_, source) => StoreError::Io { action: "use", path, source },
            source => StoreError::Arrow { path, source },
        }
    }

    /// For `map_err` on Delta's results.
    pub(super) fn delta(table: &str) -> impl FnOnce(DeltaTableError) -> StoreError {
        let table = table.to_string();
        move |source| StoreError::Delta { table, source: Box::new(source) }
    }
}
