//! `flowq config`: the network configuration that attribution works from.

mod check;
mod import;
mod pull;
mod show;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::{Global, Printer};
use crate::network::Timestamp;
use crate::sql::queries::typed_time;
use crate::store::Store;
use crate::store::config::{self, Loaded};

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Take in AWS CLI output, AWS Config snapshots and history, Terraform state and plan: recognised per file
    Import(import::ImportArgs),
    /// Ask AWS for all of it by your own aws command, keep the answers as files, and import them
    Pull(pull::PullArgs),
    /// What the store holds, or one object as it was at a time
    Show(show::ShowArgs),
    /// What is missing, dead, shadowed, forgotten or open to everybody
    Check(check::CheckArgs),
    /// What changed between two times, rule by rule
    Diff(check::DiffArgs),
}

pub fn run(args: &ConfigArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    match &args.command {
        ConfigCommand::Import(args) => import::run(args, global, printer),
        ConfigCommand::Pull(args) => pull::run(args, global, printer),
        ConfigCommand::Show(args) => show::run(args, global, printer),
        ConfigCommand::Check(args) => check::check(args, global, printer),
        ConfigCommand::Diff(args) => check::diff(args, global, printer),
    }
}

/// The store's configuration; an error with a hint where there is none.
pub(super) fn held(global: &Global) -> anyhow::Result<Loaded> {
    let store = Store::open(&global.store)?;
    config::load_all(store.root())?.ok_or_else(|| {
        anyhow::anyhow!("{} holds no configuration (flowq config import DIR)", global.store.display())
    })
}

/// A time as users type it, to the second; see [`typed_time`].
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let at = typed_time(text).map(|micros| micros.div_euclid(1_000_000));
    at.ok_or_else(|| {
        "expected a time such as 2026-01-15T10:00:00Z, \"2026-01-15 10:00\" or 2026-01-15 (UTC), or Unix seconds".to_owned()
    })
}

pub(super) fn time_text(at: Timestamp) -> String {
    match DateTime::<Utc>::from_timestamp(at, 0) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        None => at.to_string(),
    }
}

/// From the first to the last, one where they are equal.
fn span_text(first: Option<Timestamp>, last: Option<Timestamp>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first != last => format!("{} to {}", time_text(first), time_text(last)),
        (Some(at), _) | (_, Some(at)) => time_text(at),
        (None, None) => "undated".to_owned(),
    }
}

pub(super) fn text_column<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Seconds since 1970 as timestamps.
pub(super) fn time_column(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let micros = values.map(|at| at?.checked_mul(1_000_000));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(super) fn count_column(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(
        values.into_iter().map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    ))
}

pub(super) fn print(columns: Vec<(&str, ArrayRef)>, printer: &Printer) -> anyhow::Result<()> {
    let batch = RecordBatch::try_from_iter(columns)?;
    printer.batches(&batch.schema(), &[batch])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_say_what_they_know() {
        assert_eq!(span_text(None, None), "undated");
        assert_eq!(span_text(Some(0), Some(0)), "1970-01-01T00:00:00Z");
        assert_eq!(span_text(Some(0), Some(60)), "1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z");
    }
}
