//! What goes into the reading of an object and comes out of it beside its rows: options, reasons, counts.

use super::content::ReadError;
use super::envelope::{EnvelopeError, EnvelopeStats};
use super::gzip::Ending;
use crate::parse::flow::Layout;

/// How objects are to be read.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    /// Field lists for lines without a header (`--log-format`); the default formats need none.
    pub layouts: Vec<Layout>,
}

impl DecodeOptions {
    /// The given field lists as one text, which says whether two readings of lines without a header agree; `None`
    /// where none is given.
    pub fn log_format(&self) -> Option<String> {
        let lists: Vec<String> = self.layouts.iter().map(|layout| layout.names.join(" ")).collect();
        (!lists.is_empty()).then(|| lists.join(", "))
    }
}

/// Why an object is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// In a few words: what it is.
    pub what: String,
    /// Whether that is what one expects to find among logs (test objects, empty objects), or something else.
    pub expected: bool,
}

/// Why an object could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The JSON around the lines.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The Parquet file.
    #[error("{path}: {source} (is the file whole?)")]
    Parquet {
        /// The object.
        path: String,
        /// Why.
        source: parquet::errors::ParquetError,
    },
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Lines (or events, or Parquet rows), headers and blank ones included.
    pub lines: u64,
    /// Blank lines.
    pub blank: u64,
    /// Header lines.
    pub headers: u64,
    /// Lines with fewer fields than their header, those included whose values turn out to be none.
    pub short: u64,
    /// Lines that were not cut because they do not hold what was searched for.
    pub passed_over: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// How the compressed bytes ended.
    pub ending: Ending,
    /// What was in the envelope, where there is one.
    pub envelope: EnvelopeStats,
}

impl FileReport {
    /// Adds the lines that another thread has counted of the same text.
    pub fn merge(&mut self, other: &FileReport) {
        self.lines += other.lines;
        self.blank += other.blank;
        self.headers += other.headers;
        self.short += other.short;
        self.passed_over += other.passed_over;
        self.bytes += other.bytes;
    }
}
