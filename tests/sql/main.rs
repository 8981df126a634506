//! The SQL surface over a store and straight over raw files.
//!
//! `*.slt` are run against both; where the two differ by design a file says so with `onlyif`. Expected values were worked
//! out from the lines of `testdata/s3-dump` and from `testdata/expected.json`, not from what flowq prints.

mod agreement;
mod command_line;
mod explained;
mod lacking;
mod logic;
mod mistakes;
mod named;
mod raw_input;
mod sessions;
