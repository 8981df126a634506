//! Why bytes could not be had.

use std::io;

/// Why an object could not be read (on).
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is gone since it was listed.
    #[error("{path}: no such file (it may have been moved since it was listed)")]
    NotFound {
        /// The object.
        path: String,
    },
    /// It may not be read.
    #[error("{path}: permission denied (check the file's owner and mode)")]
    PermissionDenied {
        /// The object.
        path: String,
    },
    /// Reading failed.
    #[error("{path}: cannot be read at byte {at}: {source}")]
    Io {
        /// The object.
        path: String,
        /// How many bytes of it had been read.
        at: u64,
        /// The cause.
        source: io::Error,
    },
    /// More than the caller asked for at most.
    #[error("{path}: holds more than {limit} bytes when decompressed (decompress it first)")]
    TooLarge {
        /// The object.
        path: String,
        /// The bound.
        limit: usize,
    },
}

impl ReadError {
    pub(crate) fn open(path: String, source: io::Error) -> ReadError {
        match source.kind() {
            io::ErrorKind::NotFound => ReadError::NotFound { path },
            io::ErrorKind::PermissionDenied => ReadError::PermissionDenied { path },
            _ => ReadError::Io { path, at: 0, source },
        }
    }
}
