//! Dictionary keys to Parquet column chunks.
//!
//! The stock Arrow writer looks every value up again to build its own dictionary. Here the dictionary is there already
//! ([`KeyedColumn`](crate::parse::keyed::KeyedColumn)), so a chunk is written from the keys: a dictionary page once, then
//! bit-packed keys, without touching a value again. The page headers, the footer and the indexes are the `parquet`
//! crate's; only page bodies are made here, and the tests read them back with that crate's reader.

pub(super) mod bits;
mod bounds;
mod chunk;
mod prefixed;

#[cfg(test)]
pub(super) mod tests;

pub use chunk::{ChunkOptions, EncodedChunk, Encoder};
