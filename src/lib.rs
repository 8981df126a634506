//! flowq: a VPC flow log analytics engine.
//!
//! The way of the data, and which module may use which, is in `ARCHITECTURE.md`.

pub mod attribute;
pub mod audit;
pub mod cli;
pub mod format;
pub mod ingest;
pub mod net;
pub mod network;
pub mod parse;
pub mod rules;
pub mod source;
pub mod sql;
pub mod store;
pub mod trace;
pub mod usage;
