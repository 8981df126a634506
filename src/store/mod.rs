//! The store: one Delta Lake table per log type, and the ledger of what has been read.
//!
//! Parquet files are written by our own encoder ([`encode`]) and committed with their statistics.

pub mod encode;
