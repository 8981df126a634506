//! SQL over the logs: functions, named queries, output formats and the words of errors.
//!
//! What a line means is `format`'s, where rows come from is the tables' own business; nothing here reads a log.

pub mod errors;
pub mod functions;
pub mod queries;
