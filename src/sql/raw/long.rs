//! A long file that the partitions of a scan read together.
//!
//! Whoever comes to it first opens it; the others join. What they learn of it is put together when they are done.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::format::LogKind;
use crate::source::SharedText;

/// What part of a scan's work is done at a time.
#[derive(Clone, Debug)]
pub enum Part {
    /// A file of the input, by its number.
    File(usize),
    /// A long one.
    Long(Arc<LongFile>),
    /// What others have left of these long ones.
    Rest(Arc<[Arc<LongFile>]>),
}

/// A long file in one execution of a scan.
#[derive(Default)]
pub struct LongFile {
    /// Its number in the input.
    pub number: usize,
    /// Its text, once it has been opened; none where it cannot be read, or not by several.
    pub text: OnceLock<Option<Arc<SharedText>>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    readers: usize,
    ended: usize,
    kinds: Vec<LogKind>,
    refused: u64,
}

impl std::fmt::Debug for LongFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LongFile").field("number", &self.number).finish_non_exhaustive()
    }
}

impl LongFile {
    /// A file of the input that has not been opened.
    pub fn new(number: usize) -> LongFile {
        LongFile { number, ..LongFile::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is left to read.
    pub fn is_done(&self) -> bool {
        matches!(self.text.get(), Some(text) if text.as_ref().is_none_or(|text| text.is_done()))
    }

    /// Another one reads the file.
    pub fn join(&self) {
        self.known().readers += 1;
    }

    /// One has no more to read, and has refused so many lines; gives how many all have.
    pub fn refuse(&self, lines: u64) -> u64 {
        let mut known = self.known();
        known.refused += lines;
        known.refused
    }

    /// One has read to the end and has met these kinds; gives what all have met, if it was the last.
    pub fn end(&self, kinds: &[LogKind]) -> Option<Vec<LogKind>> {
        let mut known = self.known();
        known.ended += 1;
        for kind in kinds {
            if !known.kinds.contains(kind) {
                known.kinds.push(*kind);
            }
        }
        // One that failed or was given up never ends, so that nothing is taken for known then.
        (known.ended == known.readers && self.is_done()).then(|| known.kinds.clone())
    }
}
