//! What of the logs could not be read: refused lines, and files that break off. What they held is missing among the records.

/// Something of a file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The file.
    pub file: String,
    /// First and last time, seconds since 1970, of the file's records that could be read; `None` where that is not known.
    pub times: Option<(i64, i64)>,
    /// The line; `None` where the file breaks off, or there were too many lines to keep them all.
    pub line: Option<String>,
}

/// More refused lines than this are not looked at one by one.
pub const MOST_LINES: u64 = 100_000;
