//! Load balancer logs: the lines of a block into cells, for all five kinds.
//!
//! [`ElbCutter`] takes batches of rows out of a block of whole lines. A line becomes a row, a refusal or is
//! blank, and each is counted. Only as much of a line is read as the wanted columns need, and only so much of
//! it is checked. Values are not converted here, and nothing is taken from an object's key: `elb` and
//! `ip_address` of lines that are too old to carry them stay empty.

mod cutter;
mod layout;
mod lookalike;
mod marks;
mod mend;
mod parts;
mod shape;
mod stretch;
mod tokenizer;

pub use cutter::ElbCutter;
pub use lookalike::{Lookalike, lookalike};
pub use tokenizer::{Next, Token, Tokenizer};

pub use super::progress::Progress;

#[cfg(test)]
mod test_lines;
#[cfg(test)]
mod test_properties;
#[cfg(test)]
mod test_quirks;
#[cfg(test)]
mod test_samples;
