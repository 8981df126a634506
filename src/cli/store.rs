//! `flowq info`, `flowq optimize` and `flowq forget`.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use clap::Args;
use indicatif::HumanBytes;

use super::{Global, Printer, counted, exit};
use crate::sql::output::OutputFormat;
use crate::store::Store;

/// How long replaced files are kept, in minutes, where nothing else is asked for.
const RETAIN: u64 = 60;

#[derive(Debug, Args)]
pub struct InfoArgs {}

#[derive(Debug, Args)]
pub struct OptimizeArgs {
    /// How large a file may become, in MB (10^6 bytes)
    #[arg(long, default_value_t = 128, value_name = "MB")]
    target_size: u64,
    /// Replaced files are kept so long for queries that are still reading them, in minutes
    #[arg(long, default_value_t = RETAIN, value_name = "MINUTES")]
    retain: u64,
}

#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Days before this one are deleted (YYYY-MM-DD, UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    before: NaiveDate,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").map_err(|_| {
        "expected a date as YYYY-MM-DD, such as 2026-01-15 (whole days are forgotten)".to_owned()
    })
}

pub fn info(_args: &InfoArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let info = open(global)?.info()?;
    let tables = &info.tables;
    let count = |value: &dyn Fn(&crate::store::TableInfo) -> u64| {
        Arc::new(Int64Array::from_iter_values(tables.iter().map(|table| value(table) as i64))) as ArrayRef
    };
    let time = |value: &dyn Fn(&crate::store::TableInfo) -> Option<i64>| {
        let times = TimestampMicrosecondArray::from_iter(tables.iter().map(value));
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "table",
            Arc::new(StringArray::from_iter_values(tables.iter().map(|table| &table.table))) as ArrayRef,
            false,
        ),
        ("rows", count(&|table| table.rows), false),
        ("files", count(&|table| table.files), false),
        ("bytes", count(&|table| table.bytes), false),
        ("days", count(&|table| table.days), false),
        ("first", time(&|table| table.time_range.map(|range| range.0)), true),
        ("last", time(&|table| table.time_range.map(|range| range.1)), true),
        ("version", count(&|table| table.version), false),
    ])?;
    printer.batches(&batch.schema(), &[batch])?;
    if printer.format() == OutputFormat::Table {
        printer.note(&format!(
            "{} holds {} in {}, {}",
            global.store.display(),
            counted(info.log_rows, "log row"),
            counted(info.files, "file"),
            HumanBytes(info.bytes)
        ));
        if info.replaced_bytes > 0 {
            let bytes = HumanBytes(info.replaced_bytes);
            printer.note(&format!(
                "{bytes} of replaced files are kept for queries that may still be reading them (flowq optimize deletes \
                 those replaced more than {RETAIN} minutes ago, with --retain 0 all)"
            ));
        }
    }
    Ok(0)
}

pub fn optimize(args: &OptimizeArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let store = open(global)?;
    let lock = store.lock(&mut || printer.note("an ingest holds the store; waiting for it"))?;
    let retain = Duration::from_secs(args.retain.saturating_mul(60));
    let target = args.target_size.max(1).saturating_mul(1_000_000);
    let report = store.optimize(&lock, target, retain, &mut |_, _| {})?;
    printer.note(&format!(
        "merged {} ({}) into {} ({}); deleted {} ({})",
        counted(report.files_before, "file"),
        HumanBytes(report.bytes_before),
        report.files_after,
        HumanBytes(report.bytes_after),
        counted(report.files_deleted, "replaced file"),
        HumanBytes(report.bytes_deleted)
    ));
    if report.files_kept > 0 {
        printer.note(&format!(
            "kept {} ({}) for queries that may still be reading them: they were replaced less than {} \
             minutes ago (--retain 0 deletes them too)",
            counted(report.files_kept, "replaced file"),
            HumanBytes(report.bytes_kept),
            args.retain
        ));
    }
    Ok(0)
}

pub fn forget(args: &ForgetArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let store = open(global)?;
    let found = store.forgettable(args.before)?;
    if found.files == 0 {
        printer.note(&format!("no day before {} is stored", args.before));
        return Ok(0);
    }
    for (table, rows, bytes) in &found.tables {
        printer.note(&format!("{table}: {}, {}", counted(*rows, "row"), HumanBytes(*bytes)));
    }
    let what =
        format!("{} of {} before {}", counted(found.rows, "row"), counted(found.days, "day"), args.before);
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            printer.error(&format!("{what} would be deleted (confirm with --yes)"));
            return Ok(exit::USAGE);
        }
        write!(std::io::stderr(), "delete {what}? [y/N] ").context("cannot ask")?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            printer.note("nothing deleted");
            return Ok(0);
        }
    }
    let lock = store.lock(&mut || printer.note("an ingest holds the store; waiting for it"))?;
    let report = store.forget(&lock, args.before)?;
    printer.note(&format!(
        "deleted {}, {}, {} (their log files stay known and are not ingested again)",
        counted(report.rows, "row"),
        counted(report.files, "file"),
        HumanBytes(report.bytes)
    ));
    Ok(0)
}

fn open(global: &Global) -> anyhow::Result<Store> {
    Ok(Store::open(&global.store)?)
}
