//! What SKIPDATA records say: where the logs do not show all, so that what is not in them proves nothing (spec 8.5).

/// The records of one interface that say that others were skipped. How many were skipped no log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// How many such records there are.
    pub records: u64,
    /// Their first second.
    pub first: i64,
    /// Their last one.
    pub last: i64,
}

impl Skipped {
    /// One such record.
    pub(super) fn one(start: i64, end: i64) -> Skipped {
        Skipped { records: 1, first: start, last: end.max(start) }
    }

    pub(super) fn merge(&mut self, other: Skipped) {
        self.records = self.records.saturating_add(other.records);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}
