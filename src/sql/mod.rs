//! SQL over the logs: functions, named queries, output formats and the words of errors.
//!
//! What a line means is `format`'s, where rows come from is the tables' own business; nothing here reads a log.

pub mod attribution;
pub mod catalog;
pub mod coded;
pub mod config_tables;
pub mod cooperative;
mod copy;
pub mod dialect;
mod distinct;
pub mod errors;
pub mod formats;
pub mod functions;
pub mod guard;
mod kept;
pub mod lacking;
pub mod memory;
pub mod mistakes;
pub mod output;
mod pool;
pub mod queries;
pub mod raw;
mod records;
pub mod schema;
pub mod session;
mod statements;
pub mod store_tables;
pub mod stored;
mod synonyms;
pub mod unread;
pub mod usage;
