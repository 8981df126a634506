//! Which object it is, whatever its path: a hash of the bytes as stored, taken while they are read.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use twox_hash::xxhash3_128;

use super::content::ReadError;
use super::gzip::{ByteSource, Ending, Plain};
use super::locate::unix_nanos;

/// Which object this is, whatever its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Size in bytes as stored.
    pub size: u64,
    /// Last modification in Unix nanoseconds; 0 where unknown. Not part of what makes two objects the same.
    pub modified: i64,
    /// xxh3 (128 bits) of the bytes as stored.
    pub hash: u128,
}

impl Identity {
    /// Reads a file for its identity alone.
    pub fn of_file(path: &Path) -> Result<Identity, ReadError> {
        Identity::of_file_while(path, &|_| {})
    }

    /// The same; `read` is told how many bytes have been read since it was told before.
    pub fn of_file_while(path: &Path, read: &dyn Fn(u64)) -> Result<Identity, ReadError> {
        let shown = || path.to_string_lossy().into_owned();
        let file = File::open(path).map_err(|source| ReadError::open(shown(), source))?;
        let modified =
            file.metadata().ok().and_then(|data| data.modified().ok()).map(unix_nanos).unwrap_or(0);
        let tally = Tally::default();
        let mut source = Hashed { source: Plain(file), tally: tally.clone() };
        let mut buffer = vec![0; 1 << 20];
        let failed = |source| ReadError::Io { path: shown(), at: tally.bytes(), source };
        loop {
            let count = source.fill(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Ok(tally.identity(modified));
            }
            read(count as u64);
        }
    }

    /// The identity of bytes in memory.
    pub fn of_bytes(bytes: &[u8], modified: i64) -> Identity {
        Identity { size: bytes.len() as u64, modified, hash: xxhash3_128::Hasher::oneshot(bytes) }
    }
}

/// Counts and hashes raw bytes as they are read.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<(xxhash3_128::Hasher, u64)>>);

impl Tally {
    pub(crate) fn add(&self, bytes: &[u8]) {
        if let Ok(mut tally) = self.0.lock() {
            tally.0.write(bytes);
            tally.1 += bytes.len() as u64;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().map(|tally| tally.1).unwrap_or(0)
    }

    pub(crate) fn identity(&self, modified: i64) -> Identity {
        let (hash, size) = self.0.lock().map(|tally| (tally.0.finish_128(), tally.1)).unwrap_or((0, 0));
        Identity { size, modified, hash }
    }
}

pub(crate) struct Hashed<S> {
    pub source: S,
    pub tally: Tally,
}

impl<S: ByteSource> ByteSource for Hashed<S> {
    fn fill(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let count = self.source.fill(output)?;
        self.tally.add(output.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn ending(&self) -> Ending {
        self.source.ending()
    }
}
