//! What the engine says beside results: why a statement failed, what its tables lack, and what could not be read.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;

use super::super::{Printer, counted, exit};
use super::Engine;
use crate::format::{self, LogKind};
use crate::sql::errors::{self, Names};
use crate::sql::raw::RefusedFile;
use crate::sql::session::{Scanned, SessionError};
use crate::sql::stored;
use crate::store::StoreError;

impl Engine {
    /// What it is opened over, in words.
    pub fn over(&self) -> String {
        match (&self.raw, &self.store) {
            (Some(raw), _) => match raw.files() {
                1 => "1 raw file".to_owned(),
                files => format!("{files} raw files"),
            },
            (None, Some(store)) => format!("the store {}", store.root().display()),
            (None, None) => "no store yet (flowq ingest makes one)".to_owned(),
        }
    }

    /// The time of the newest record of these tables.
    pub fn newest<'a>(&self, tables: impl Iterator<Item = &'a str>) -> Option<chrono::DateTime<chrono::Utc>> {
        let of_kind = |kind: LogKind| {
            let time = kind.time_column();
            let sql = format!("select cast(max(\"{time}\") as bigint) from {}", kind.table());
            let batches = self.handle.block_on(self.session.query(&sql)).ok()?;
            let micros =
                batches.first()?.columns().first()?.as_primitive_opt::<Int64Type>()?.iter().next()??;
            chrono::DateTime::from_timestamp_micros(micros)
        };
        tables.filter_map(LogKind::from_table).filter_map(of_kind).max()
    }

    /// Says why a statement failed; gives the exit code.
    pub fn failed(&self, error: SessionError, sql: &str, printer: &Printer) -> anyhow::Result<u8> {
        let SessionError::Engine(error) = error else {
            printer.error(&error.to_string());
            return Ok(exit::USAGE);
        };
        if let Some(error) = store_error(&error) {
            let hint = error.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            printer.error(&format!("{error}{hint}"));
            return Ok(exit::FAILED);
        }
        let error = errors::explain(&error, sql, &Names::of(self.session.context()));
        printer.error(&error.to_string());
        Ok(if error.is_users() { exit::USAGE } else { exit::FAILED })
    }

    /// Says of a column that a statement has read and that no log carries, that this is why it is null.
    pub fn warn_of_missing_columns(&self, scanned: &Scanned, printer: &Printer) {
        for (table, columns) in scanned {
            let Some(kind) = LogKind::from_table(table) else { continue };
            // One row is what counting nothing gives.
            if self.rows_given() < 2 && self.lacks(kind) {
                let among = if self.raw.is_some() { "among these files" } else { "in the store" };
                printer.note(&format!("there are no {}s {among}", kind.title()));
                continue;
            }
            // Everything was asked for: then nobody means one column in particular.
            if columns.len() >= kind.columns().len() {
                continue;
            }
            let Some(carried) = self.carried(kind) else { continue };
            for column in columns.difference(&carried) {
                if let Some(text) = errors::not_carried(kind, column) {
                    printer.warn(&text);
                }
            }
        }
    }

    /// Whether there is no log of a kind, as far as has been looked.
    fn lacks(&self, kind: LogKind) -> bool {
        match (&self.raw, &self.store) {
            (Some(raw), _) => raw.lacks(kind),
            (None, Some(_)) => self.rows(kind.table()) == Some(0),
            (None, None) => false,
        }
    }

    /// The columns that some log of a kind carries; `None` where that is not known.
    fn carried(&self, kind: LogKind) -> Option<BTreeSet<String>> {
        if let Some(raw) = &self.raw {
            let carried = raw.carried(kind);
            let names = carried.iter().filter_map(|column| kind.columns().get(*column));
            return (!carried.is_empty())
                .then(|| with_provenance(names.map(|column| column.name.to_owned())));
        }
        // The table that the statement has opened: its files are those that were read.
        let table = self.session.tables().opened(kind.table())?;
        let carried =
            stored::carried(table.as_ref(), matches!(kind, LogKind::Flow | LogKind::TransitGateway))?;
        Some(with_provenance(carried.into_iter()))
    }

    /// Says which raw files, and which lines of them, could not be read; gives the exit code that follows from it.
    pub fn report_refused(&self, printer: &Printer) -> u8 {
        let Some(raw) = &self.raw else { return 0 };
        let summary = raw.quarantine().summary();
        if raw.nothing_recognised() {
            for (file, problem) in &summary.problems {
                printer.error(&named(file, problem));
            }
            let found =
                super::super::ingest::looks_like(summary.skipped.iter().map(|(_, what)| what.as_str()));
            let files = counted(raw.files() as u64, "file");
            printer.error(&format!("no AWS network log among {files}{found}"));
            return exit::FAILED;
        }
        for (file, problem) in &summary.problems {
            printer.warn(&named(file, problem));
        }
        if let Some((file, what)) = summary.skipped.first() {
            let files = summary.skipped.len();
            let others = match files.saturating_sub(1) as u64 {
                0 => String::new(),
                more => format!(" (and {})", counted(more, "more file")),
            };
            printer.note(&format!("skipped  {file}: {what}{others}"));
        }
        if self.strict {
            for RefusedFile { file, lines, first } in &summary.refused {
                let first = first.as_ref().map(|(line, reason)| format!("; line {line}: {reason}"));
                let first = first.unwrap_or_default();
                let lines = counted(*lines, "refused line");
                printer.error(&format!("refused (--strict)  {file}: {lines}{first}"));
            }
            return if summary.refused.is_empty() { 0 } else { exit::REFUSED };
        }
        if raw.take_unlooked() {
            printer.note(
                "lines were counted without looking at their fields, and any that an ingest would refuse for one with them \
                 (`select count(*) from quarantine` tells how many)",
            );
        }
        let Some((file, line, reason)) = &summary.first else { return 0 };
        printer.warn(&format!(
            "{} in {} could not be read, the first is {file}:{line}: {reason} (`select * from quarantine` shows them)",
            counted(summary.lines, "line"),
            counted(summary.files as u64, "file")
        ));
        0
    }
}

/// A message about a file, which it names already or not.
fn named(file: &str, problem: &str) -> String {
    if problem.contains(file) { problem.to_owned() } else { format!("{file}: {problem}") }
}

fn with_provenance(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let own = [format::SOURCE_FILE, format::SOURCE_LINE, format::EXTRA, format::EVENT_DATE];
    names.chain(own.into_iter().map(str::to_owned)).collect()
}

fn store_error(error: &DataFusionError) -> Option<&StoreError> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<StoreError>(),
        _ => None,
    }
}
