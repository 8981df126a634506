//! How far a job has come, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that a progress bar may read at any time.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files to read in all.
    pub files_planned: AtomicU64,
    /// Their bytes.
    pub bytes_planned: AtomicU64,
    /// Files read.
    pub files: AtomicU64,
    /// Bytes read, as they are stored.
    pub bytes: AtomicU64,
    /// Rows.
    pub rows: AtomicU64,
}

/// How far one object has been read, by all who read it.
///
/// A long object is read more than once: for its identity, under `--strict` for its refused lines, and for its rows. Its
/// bytes count in equal parts for each of these passes, and once in all.
#[derive(Debug)]
pub struct Meter<'a> {
    counters: &'a Counters,
    size: u64,
    passes: u64,
    counted: AtomicU64,
}

impl<'a> Meter<'a> {
    /// Nothing read yet of an object of so many bytes, which is read so many times.
    pub fn new(counters: &'a Counters, size: u64, passes: u64) -> Meter<'a> {
        Meter { counters, size, passes: passes.max(1), counted: AtomicU64::new(0) }
    }

    /// So many bytes have been read in one of the passes. What an object has grown by since it was listed is not counted.
    pub fn read(&self, bytes: u64) {
        self.count(bytes / self.passes);
    }

    /// The object is done with, however much of it was read.
    pub fn finish(&self) {
        self.count(self.size);
    }

    fn count(&self, bytes: u64) {
        let counted = |before: u64| Some(before.saturating_add(bytes).min(self.size));
        // It is always counted: `counted` gives no `None`.
        let before =
            self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).unwrap_or_default();
        let new = bytes.min(self.size.saturating_sub(before));
        self.counters.bytes.fetch_add(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_counts_once_however_often_it_is_read() {
        let counters = Counters::default();
        let bytes = || counters.bytes.load(Ordering::Relaxed);
        let meter = Meter::new(&counters, 100, 2);
        meter.read(60);
        assert_eq!(bytes(), 30);
        meter.read(40);
        meter.read(70);
        assert_eq!(bytes(), 85);
        // It has grown meanwhile.
        meter.read(50);
        assert_eq!(bytes(), 100);
        meter.finish();
        assert_eq!(bytes(), 100);
        Meter::new(&counters, 7, 1).finish();
        assert_eq!(bytes(), 107);
    }
}
