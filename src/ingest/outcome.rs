//! What became of one object of an ingest, and what the ledger has to keep of it.

use super::plan::{Item, Listed};
use super::work::Tally;
use crate::format::LogKind;
use crate::source::decode::{FileReport, Skip};
use crate::source::{Extent, Identity};
use crate::store::{LedgerEntry, Status};

/// What became of one object.
#[derive(Clone, Debug)]
pub struct FileOutcome {
    /// As the user would type it.
    pub shown: String,
    /// As `source_file` holds it.
    pub path: String,
    /// Its size as stored.
    pub size: u64,
    /// The kind of log, where it is one.
    pub kind: Option<LogKind>,
    /// What became of it.
    pub outcome: Outcome,
    /// Its rows.
    pub tally: Tally,
    /// Its lines.
    pub report: FileReport,
    /// What the ledger has to keep.
    pub entry: Option<LedgerEntry>,
    /// The field list by which its lines were read, where they have no header.
    pub log_format: Option<String>,
    /// It is stored already, but was read by another field list.
    pub read_again: bool,
    /// The store holds rows of its path.
    pub had_rows: bool,
    pub(super) carried_by: Option<String>,
    pub(super) listed: Listed,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
}

/// The ways in which an object can end.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its rows are stored.
    Stored {
        /// In the place of what these paths gave.
        replaces: Vec<String>,
        /// Why reading ended early, if it did.
        problem: Option<String>,
    },
    /// It is stored already, as it is.
    Unchanged,
    /// Its content is stored already.
    Duplicate(String),
    /// A fuller copy of the same object is stored.
    Shorter(String),
    /// It is no log.
    Skipped(Skip),
    /// It has refused lines, and `--strict` was given.
    Refused,
    /// It could not be read.
    Failed(String),
}

impl FileOutcome {
    /// Nothing known yet.
    pub fn new(item: &Item) -> FileOutcome {
        let key = &item.located.key;
        FileOutcome {
            shown: item.located.path.clone(),
            path: item.path.clone(),
            size: item.located.size,
            kind: None,
            outcome: Outcome::Unchanged,
            tally: Tally::default(),
            report: FileReport::default(),
            entry: None,
            log_format: None,
            read_again: false,
            had_rows: false,
            carried_by: item.carried_by.clone(),
            listed: item.listed,
            account: key.account.clone(),
            region: key.region.clone(),
        }
    }

    /// The paths whose rows go with this outcome: what it replaces, and itself where it has become a copy of something else.
    pub fn leaving(&self) -> &[String] {
        match &self.outcome {
            Outcome::Stored { replaces, .. } => replaces,
            Outcome::Duplicate(_) | Outcome::Shorter(_) if self.had_rows => std::slice::from_ref(&self.path),
            _ => &[],
        }
    }

    fn ended(mut self, outcome: Outcome) -> FileOutcome {
        self.outcome = outcome;
        self
    }

    /// It is no log.
    pub fn skipped(self, skip: Skip) -> FileOutcome {
        self.ended(Outcome::Skipped(skip))
    }

    /// It could not be read.
    pub fn failed(self, why: String) -> FileOutcome {
        self.ended(Outcome::Failed(why))
    }

    /// It has refused lines under `--strict`.
    pub fn refused(self) -> FileOutcome {
        self.ended(Outcome::Refused)
    }

    /// It is stored already; only its time of modification is noted anew.
    pub fn unchanged(self, _item: &Item, _identity: Option<Identity>) -> FileOutcome {
        self.ended(Outcome::Unchanged)
    }

    /// Its content is stored already, from `of`.
    pub fn duplicate(mut self, item: &Item, identity: Option<Identity>, of: String) -> FileOutcome {
        self.entry = Some(LedgerEntry {
            status: Status::Duplicate,
            duplicate_of: Some(of.clone()),
            ..entry_of(item, identity)
        });
        self.ended(Outcome::Duplicate(of))
    }

    /// A fuller copy, `of`, is stored.
    pub fn shorter(mut self, item: &Item, identity: Option<Identity>, of: String) -> FileOutcome {
        self = self.duplicate(item, identity, of.clone());
        if let Some(entry) = &mut self.entry {
            entry.raw_bytes = held(item);
        }
        self.ended(Outcome::Shorter(of))
    }

    /// Its rows are stored.
    pub fn stored(
        mut self,
        item: &Item,
        identity: Option<Identity>,
        replaces: Vec<String>,
        problem: Option<String>,
    ) -> FileOutcome {
        let mut entry = LedgerEntry {
            kind: self.kind,
            status: Status::Stored,
            lines: self.report.lines,
            rows: self.tally.rows,
            nodata: self.tally.nodata,
            skipdata: self.tally.skipdata,
            quarantined: self.tally.refused.len() as u64,
            short: self.short(),
            log_format: self.log_format.clone(),
            fields: self.tally.fields.get().cloned(),
            min_time: self.tally.least,
            max_time: self.tally.most,
            raw_bytes: self.report.bytes,
            ending: problem.clone().or_else(|| {
                let ending = self.report.ending;
                ending.is_broken().then(|| ending.to_string())
            }),
            ..entry_of(item, identity)
        };
        if problem.is_some() {
            // Not all of it has been read: it must not be taken for known.
            entry.size = 0;
            entry.modified_ns = 0;
            entry.hash = None;
        }
        self.entry = Some(entry);
        self.ended(Outcome::Stored { replaces, problem })
    }
}

impl FileOutcome {
    /// Rows with fewer fields than their header; lines that are no rows do not count.
    pub(super) fn short(&self) -> u64 {
        self.report.short.saturating_sub(self.tally.short_refused)
    }
}

/// Bytes of text that an object holds, of Parquet its size; 0 where it cannot be read.
pub(super) fn held(item: &Item) -> u64 {
    Extent::of(&item.located).map_or(0, |extent| extent.bytes)
}

/// What the ledger keeps of any object.
pub(super) fn entry_of(item: &Item, identity: Option<Identity>) -> LedgerEntry {
    let key = &item.located.key;
    LedgerEntry {
        path: item.path.clone(),
        object_id: item.object_id.clone(),
        size: identity.map_or(item.located.size, |identity| identity.size),
        modified_ns: item.located.modified,
        hash: identity.map(|identity| identity.hash),
        account: key.account.clone(),
        region: key.region.clone(),
        load_balancer: key.load_balancer.clone(),
        flow_log_id: key.flow_log_id.clone(),
        compressed_bytes: item.located.size,
        ..LedgerEntry::default()
    }
}
