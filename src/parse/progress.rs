//! How far a cutter came.

use super::flow::Layout;

/// What one call of a cutter consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where in the block the next call has to begin; the block's length when it is used up.
    pub next: usize,
    /// Lines consumed, of every sort.
    pub lines: u64,
    /// Of these, lines with nothing in them.
    pub blank: u64,
    /// Of these, header lines.
    pub headers: u64,
    /// A header was met that differs from the layout in force: what follows needs a cutter for this one.
    pub rebound: Option<Layout>,
}
