//! What an ingest did: every file and every line, and that the numbers add up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::IngestOptions;
use super::outcome::{FileOutcome, Outcome, entry_of, held};
use super::plan::{Listed, Plan};
use super::work::Share;
use crate::format::LogKind;
use crate::source::{Ending, Found};
use crate::store::{LedgerEntry, Status};

/// Counts of one kind of log, or of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Files whose rows were stored (or counted, in a dry run).
    pub files: u64,
    /// Lines of every sort; `rows + quarantined + headers + blank`.
    pub lines: u64,
    /// Rows, those without data included.
    pub rows: u64,
    /// Of these, NODATA.
    pub nodata: u64,
    /// Of these, SKIPDATA.
    pub skipdata: u64,
    /// Lines refused.
    pub quarantined: u64,
    /// Header lines.
    pub headers: u64,
    /// Blank lines.
    pub blank: u64,
    /// Rows with fewer fields than their header.
    pub short: u64,
    /// The first row's time, ISO 8601 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The last row's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Bytes as they lie on disk.
    pub compressed_bytes: u64,
    /// Bytes of text.
    pub raw_bytes: u64,
    #[serde(skip)]
    range: Option<(i64, i64)>,
}

/// A file and what is to be said of it.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// The file.
    pub file: String,
    /// What.
    pub what: String,
}

/// What an ingest did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Whether nothing was stored on purpose.
    pub dry_run: bool,
    /// The store.
    pub store: String,
    /// Files found.
    pub found: u64,
    /// By table.
    pub tables: BTreeMap<String, Counts>,
    /// All tables together.
    pub total: Counts,
    /// Whether rows, refused, header and blank lines make up the lines, and each file that was found is counted once.
    pub adds_up: bool,
    /// Files that are stored already.
    pub unchanged: u64,
    /// Files whose content is stored from another path.
    pub duplicates: Vec<Note>,
    /// Files that took the place of an earlier version.
    pub replaced: Vec<Note>,
    /// Files that were read and are not whole, or have something else about them.
    pub warnings: Vec<Note>,
    /// Files that are no logs.
    pub skipped: Vec<Note>,
    /// Files that are expected among logs and hold none.
    pub passed_over: u64,
    /// Files not stored because of refused lines (`--strict`).
    pub refused: Vec<Note>,
    /// Files that could not be read, or not to their end.
    pub failed: Vec<Note>,
    /// Of these, files of which what came before is stored.
    pub partly: u64,
    /// Inputs that could not be looked at.
    pub problems: Vec<String>,
    /// The first refused lines.
    pub refusals: Vec<Note>,
    /// Accounts, from the objects' names.
    pub accounts: BTreeSet<String>,
    /// Regions.
    pub regions: BTreeSet<String>,
    /// Bytes of Parquet written.
    pub stored_bytes: u64,
    /// Text bytes per stored byte.
    pub ratio: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// Rows per second.
    pub rows_per_second: f64,
    /// Text in MB (10^6 bytes) per second.
    pub mb_per_second: f64,
    /// Entries of shorter copies that the plan left out.
    #[serde(skip)]
    pub shorter_entries: Vec<LedgerEntry>,
}

/// How many refused lines are shown.
const SHOWN: usize = 10;

impl Summary {
    /// Before anything has been read.
    pub fn new(options: &IngestOptions, found: &Found) -> Summary {
        let mut summary = Summary {
            dry_run: options.dry_run,
            store: options.store.display().to_string(),
            found: (found.objects.len() + found.skipped.len()) as u64,
            problems: found.problems.iter().map(ToString::to_string).collect(),
            ..Summary::default()
        };
        for skipped in &found.skipped {
            summary.skipped.push(Note { file: skipped.path.clone(), what: skipped.reason.to_string() });
        }
        summary
    }

    /// Takes what the plan has settled.
    pub fn planned(&mut self, plan: &Plan) {
        self.unchanged = plan.unchanged;
        for (item, of) in &plan.shorter {
            self.duplicates.push(Note {
                file: item.located.path.clone(),
                what: format!("less of the same object as {of}"),
            });
            self.shorter_entries.push(LedgerEntry {
                status: Status::Duplicate,
                duplicate_of: Some(of.clone()),
                raw_bytes: held(item),
                ..entry_of(item, None)
            });
        }
    }

    /// Takes an object's outcome.
    pub fn add(&mut self, file: FileOutcome) {
        let note = |what: String| Note { file: file.shown.clone(), what };
        match file.listed {
            Listed::Found => {}
            Listed::Unchanged => self.unchanged = self.unchanged.saturating_sub(1),
            Listed::Nowhere => self.found += 1,
        }
        match &file.outcome {
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Duplicate(of) => self.duplicates.push(note(format!("the same content as {of}"))),
            Outcome::Shorter(of) => self.duplicates.push(note(format!("less of the same object as {of}"))),
            Outcome::Skipped(skip) if skip.expected => self.passed_over += 1,
            Outcome::Skipped(skip) => self.skipped.push(note(skip.what.clone())),
            Outcome::Refused => {
                let first = file.tally.refused.first();
                let first =
                    first.map_or_else(String::new, |line| format!("line {}: {}", line.line, line.reason));
                let refused = file.tally.refused.len();
                let lines = if refused == 1 { "line" } else { "lines" };
                self.refused.push(note(format!("{refused} refused {lines}; {first}")));
            }
            Outcome::Failed(why) => self.failed.push(note(why.clone())),
            Outcome::Stored { replaces, problem } => {
                if let Some(of) = &file.carried_by {
                    self.replaced.push(note(format!("stored, since {of} no longer holds the same content")));
                }
                if !replaces.is_empty() {
                    let why = if file.read_again { "read again by this --log-format; " } else { "" };
                    self.replaced.push(note(format!("{why}replaces what {} gave", replaces.join(", "))));
                }
                if let Some(problem) = problem {
                    self.partly += 1;
                    self.failed.push(note(format!(
                        "{problem}; what came before is stored, and the next run tries again"
                    )));
                }
                if file.report.ending != Ending::Complete {
                    self.warnings.push(note(file.report.ending.to_string()));
                }
                if file.short() > 0 {
                    let have = match file.short() {
                        1 => "1 row has fewer fields than its header".to_owned(),
                        rows => format!("{rows} rows have fewer fields than their header"),
                    };
                    self.warnings.push(note(have));
                }
                for line in file.tally.refused.iter().take(SHOWN.saturating_sub(self.refusals.len())) {
                    self.refusals.push(Note {
                        file: format!("{}:{}", file.shown, line.line),
                        what: line.reason.clone(),
                    });
                }
                self.accounts.extend(file.account.clone());
                self.regions.extend(file.region.clone());
                for (kind, counts) in counts_by_kind(&file) {
                    let table = kind.map_or("other", LogKind::table).to_owned();
                    self.tables.entry(table).or_default().add(&counts);
                }
                self.total.add(&counts_of(&file));
            }
        }
    }

    /// Takes the time and works out what follows from it.
    pub fn finish(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        let seconds = self.seconds.max(1e-9);
        self.rows_per_second = self.total.rows as f64 / seconds;
        self.mb_per_second = self.total.raw_bytes as f64 / 1e6 / seconds;
        self.ratio = (self.stored_bytes > 0).then(|| self.total.raw_bytes as f64 / self.stored_bytes as f64);
        let total = &self.total;
        let lines = total.rows + total.quarantined + total.headers + total.blank;
        let notes = [&self.duplicates, &self.skipped, &self.refused];
        let noted: usize = notes.into_iter().map(Vec::len).sum();
        let files = total.files + self.unchanged + noted as u64 + self.passed_over + self.unreadable();
        self.adds_up = total.lines == lines && self.found == files;
        self.tables.values_mut().for_each(Counts::name_range);
        self.total.name_range();
    }

    /// Files of which nothing could be read.
    pub fn unreadable(&self) -> u64 {
        (self.failed.len() as u64).saturating_sub(self.partly)
    }

    /// Whether nothing at all was recognised among what was found. Objects without records are what an hour without traffic
    /// leaves behind, and nothing to complain of.
    pub fn nothing_recognised(&self) -> bool {
        let only_empty = self.passed_over > 0 && self.skipped.is_empty();
        self.total.files == 0
            && !only_empty
            && self.unchanged == 0
            && self.duplicates.is_empty()
            && self.refused.is_empty()
            && self.failed.is_empty()
    }
}

fn counts_of(file: &FileOutcome) -> Counts {
    Counts {
        files: 1,
        lines: file.report.lines,
        rows: file.tally.rows,
        nodata: file.tally.nodata,
        skipdata: file.tally.skipdata,
        quarantined: file.tally.refused.len() as u64,
        headers: file.report.headers,
        blank: file.report.blank,
        short: file.short(),
        compressed_bytes: file.size,
        raw_bytes: file.report.bytes,
        range: file.tally.least.zip(file.tally.most),
        ..Counts::default()
    }
}

/// The same by table. What belongs to no table, such as headers, counts with the kind that the file begins with.
fn counts_by_kind(file: &FileOutcome) -> Vec<(Option<LogKind>, Counts)> {
    let mut counts = vec![(file.kind, counts_of(file))];
    let mut kinds: Vec<LogKind> = file.tally.kinds.iter().map(|share| share.kind).collect();
    kinds.extend(file.tally.refused.iter().map(|refused| refused.kind));
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.iter().all(|kind| Some(*kind) == file.kind) {
        return counts;
    }
    for kind in kinds.into_iter().filter(|kind| Some(*kind) != file.kind) {
        let own = counts_in(file, kind);
        if let Some((_, first)) = counts.first_mut() {
            first.lines = first.lines.saturating_sub(own.lines);
        }
        counts.push((Some(kind), own));
    }
    if let (Some((_, first)), Some(kind)) = (counts.first_mut(), file.kind) {
        let own = counts_in(file, kind);
        first.rows = own.rows;
        first.nodata = own.nodata;
        first.skipdata = own.skipdata;
        first.quarantined = own.quarantined;
        first.range = own.range;
    }
    counts
}

/// A file's rows and refused lines of one kind.
fn counts_in(file: &FileOutcome, kind: LogKind) -> Counts {
    let share = file.tally.kinds.iter().find(|share| share.kind == kind).cloned();
    let share = share.unwrap_or_else(|| Share::new(kind));
    let quarantined = file.tally.refused.iter().filter(|refused| refused.kind == kind).count() as u64;
    Counts {
        files: 1,
        lines: share.rows + quarantined,
        rows: share.rows,
        nodata: share.nodata,
        skipdata: share.skipdata,
        quarantined,
        range: share.range,
        ..Counts::default()
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.files += other.files;
        self.lines += other.lines;
        self.rows += other.rows;
        self.nodata += other.nodata;
        self.skipdata += other.skipdata;
        self.quarantined += other.quarantined;
        self.headers += other.headers;
        self.blank += other.blank;
        self.short += other.short;
        self.compressed_bytes += other.compressed_bytes;
        self.raw_bytes += other.raw_bytes;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }

    fn name_range(&mut self) {
        let name = |micros: i64| {
            chrono::DateTime::from_timestamp_micros(micros)
                .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        };
        self.first = self.range.and_then(|(first, _)| name(first));
        self.last = self.range.and_then(|(_, last)| name(last));
    }
}
