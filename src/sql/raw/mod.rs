//! SQL straight over raw log files: one table per kind of log, nothing ingested and nothing written.
//!
//! A query's projection reaches the parser, which cuts only the fields that are needed; its filters are evaluated on the
//! columns that they need, before the others are made; a filter for a rare text is first a search for that text; the
//! time in the names of flow log objects leaves files out; files are shared among the threads as these become free, and
//! so are the parts of a long one.
//!
//! Only what a query needs is checked: a line with a bad port is refused, as the ingest refuses it, by queries that need
//! the port. Files of load balancers are not left out by name: a connection is logged when it ends, which may be days
//! after the time in its line.

mod checked;
mod generate;
mod input;
mod long;
mod needle;
mod opener;
mod provider;
mod quarantine;
mod rows;
mod source;

pub use input::RawInput;
pub use provider::{RawTables, knows_files};
pub use quarantine::{Quarantine, RefusedFile, RefusedLine, Summary};

#[cfg(test)]
mod long_tests;
#[cfg(test)]
mod tests;
