//! Tests that drive the flowq program as users do, and read what it stored with other means than its own.
//!
//! Expected values come from the specification of the formats and from `testdata/expected.json`, which is counted by a
//! script that shares no code with flowq; never from what flowq printed once.

mod attribute;
mod commands;
mod copies;
mod crash;
mod delta;
mod dump;
mod errors;
mod fuzz;
#[allow(dead_code)]
#[path = "../../benches/generate/mod.rs"]
mod generate;
mod large;
mod once;
mod parquet_input;
mod pull;
mod quirks_elb;
mod quirks_flow;
mod rules;
mod samples;
mod samples_elb;
mod shell;
mod support;
