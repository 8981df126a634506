//! Column chunks read back as dictionary keys, of the rows that are asked for and no others.
//!
//! A reader that gives values has to make every value of a page to get at one. Keys are of a fixed width, so one in
//! thousands is found where it lies, and a condition that has been answered for each distinct value is looked up for
//! each row. Chunks that are not made of keys alone, or not read here for another reason, are
//! [`None`](place::Place::of): the `parquet` crate reads those.

mod bits;
mod column;
mod header;
mod page;
mod place;
mod runs;
#[cfg(test)]
mod tests;

pub use bits::Bits;
pub use column::{Answers, Column};
pub use place::Place;
