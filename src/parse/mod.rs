//! Bytes to columns: lines into cells, cells into values, and what could not be read.
//!
//! The way of a line: a block of whole lines comes in; a cutter for the log type finds, for each line, where each
//! *wanted* column's text lies in the block ([`Cells`]); then each column is converted in one tight loop, either to an
//! Arrow array or to dictionary keys. A line that cannot be read ends as a [`Refusal`], never as a guess.
//! What the columns mean is `format`'s; where blocks come from is `source`'s.

pub mod cells;
pub mod columns;
pub mod elb;
pub mod flow;
pub mod inflate;
pub mod keyed;
mod look;
pub mod progress;
pub mod scan;
pub mod values;

pub use cells::{Cells, Refusal, Span, Wanted};
