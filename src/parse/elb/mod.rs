//! Load balancer logs: the lines of a block into cells, for all five kinds.
//!
//! [`ElbCutter`] takes batches of rows out of a block of whole lines. A line becomes a row, a refusal or is
//! blank, and each is counted. Only as much of a line is read as the wanted columns need, and only so much of
//! it is checked. Values are not converted here, and nothing is taken from an object's key: `elb` and
//! `ip_address` of lines that are too old to carry them stay empty.

mod cutter;
mod layout;
mod lookalike;
mod mend;
mod parts;
mod shape;
mod tokenizer;

pub use cutter::ElbCutter;
pub use lookalike::{Lookalike, lookalike};
pub use tokenizer::{Next, Token, Tokenizer};

/// How far a cutter came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where in the block the next line begins; the block's length when it is used up.
    pub next: usize,
    /// The lines passed, blank ones included: rows, refusals and blanks.
    pub lines: u64,
    /// How many of them were blank.
    pub blank: u64,
}

#[cfg(test)]
mod test_lines;
#[cfg(test)]
mod test_properties;
#[cfg(test)]
mod test_quirks;
#[cfg(test)]
mod test_samples;
