//! What the engine says beside results: why a statement failed, what its tables lack, and what could not be read.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use indicatif::HumanCount;

use super::super::{Printer, counted, exit};
use super::Engine;
use crate::format::{self, LogKind};
use crate::sql::errors::{self, Names};
use crate::sql::lacking::{Lacking, Without};
use crate::sql::queries::Need;
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

    /// Forgets what statements have read: what is said after the next is of that one alone.
    pub fn forget_read(&self) {
        if let Some(raw) = &self.raw {
            raw.forget_read();
        }
        for table in LogKind::ALL.into_iter().filter_map(|kind| self.session.tables().opened(kind.table())) {
            stored::forget_read(table.as_ref());
        }
    }

    /// Says of columns that a statement has read and that some or all of the logs were written without that this is why
    /// they are null. A named query can do without what is not among its `needs`.
    pub fn warn_of_missing_columns(&self, scanned: &Scanned, needs: Option<&[Need]>, printer: &Printer) {
        for (table, columns) in scanned {
            let Some(kind) = LogKind::from_table(table) else { continue };
            // One row is what counting nothing gives.
            if self.rows_given() < 2 && self.lacks(kind) {
                let among = if self.raw.is_some() { "among these files" } else { "in the store" };
                let others: Vec<&str> = self.held().map(LogKind::table).collect();
                let others = match others.as_slice() {
                    [] => String::new(),
                    others => format!(" (there are {})", others.join(", ")),
                };
                printer.note(&format!("there are no {}s {among}{others}", kind.title()));
                continue;
            }
            // Everything was asked for: then nobody means one column in particular.
            if columns.len() >= kind.columns().len() {
                continue;
            }
            if !matches!(kind, LogKind::Flow | LogKind::TransitGateway) {
                let Some(carried) = self.carried(kind) else { continue };
                let lacking = columns.difference(&carried);
                lacking
                    .filter_map(|column| errors::not_carried(kind, column))
                    .for_each(|text| printer.warn(&text));
                continue;
            }
            let Some(lacking) = self.lacking(kind, columns) else { continue };
            lacking.everywhere(kind).for_each(|text| printer.warn(&text));
            let is_needed = |column: &str| {
                let of_table = |need: &&Need| need.table == *table;
                let has = |need: &Need| need.columns.iter().any(|needed| needed == column);
                needs.is_none_or(|needs| needs.iter().filter(of_table).any(has))
            };
            let some = lacking.partly(kind, is_needed);
            let said = partly(lacking.unit, &some);
            if !some.is_empty() && self.is_new(&said) {
                printer.warn(&said);
            }
        }
    }

    /// How much of what statements have read comes from flow logs without these columns.
    fn lacking(&self, kind: LogKind, columns: &BTreeSet<String>) -> Option<Lacking> {
        let own: BTreeSet<String> =
            columns.iter().filter(|name| kind.column_index(name).is_some()).cloned().collect();
        match &self.raw {
            Some(raw) => Some(raw.lacking(kind, &own)),
            // The table that the statement has opened: its files are those that were read.
            None => stored::lacking(self.session.tables().opened(kind.table())?.as_ref(), &own),
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

    /// The kinds of which there are logs, as far as is known.
    fn held(&self) -> impl Iterator<Item = LogKind> + '_ {
        LogKind::ALL.into_iter().filter(|kind| match &self.raw {
            Some(raw) => raw.holds(*kind),
            None => self.rows(kind.table()).is_some_and(|rows| rows > 0),
        })
    }

    /// The columns that some log of a load balancer has values for; `None` where that is not known.
    fn carried(&self, kind: LogKind) -> Option<BTreeSet<String>> {
        if let Some(raw) = &self.raw {
            let carried = raw.carried(kind);
            let names = carried.iter().filter_map(|column| kind.columns().get(*column));
            return (!carried.is_empty())
                .then(|| with_provenance(names.map(|column| column.name.to_owned())));
        }
        // The table that the statement has opened: its files are those that were read.
        let table = self.session.tables().opened(kind.table())?;
        let carried = stored::carried(table.as_ref())?;
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
        if let Some((file, line)) = summary.short.first() {
            let others = match summary.short.len().saturating_sub(1) as u64 {
                0 => String::new(),
                more => format!(", and rows of {}", counted(more, "more file")),
            };
            printer.warn(&format!(
                "{file}:{line} has fewer fields than its header{others}: the fields that are missing are null"
            ));
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
                "counted lines, without reading their fields: lines that cannot be read count as well \
                 (`select count(*) from quarantine` tells how many there are)",
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

/// What to say where some logs lack these fields.
fn partly(unit: &str, fields: &[(&str, Without)]) -> String {
    let one = |(field, count): &(&str, Without)| {
        format!("`{field}` ({} of {} {unit})", HumanCount(count.without), HumanCount(count.total))
    };
    let named = fields.iter().map(one).collect::<Vec<_>>().join(", ");
    let (are, them) = if fields.len() == 1 { ("is", "it") } else { ("are", "them") };
    format!(
        "some of these flow logs were written without {named}, which {are} null there; add {them} to the log format"
    )
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
