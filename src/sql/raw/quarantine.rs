//! What a session over raw files could not read: refused lines, skipped files, files that broke off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::common::Result;

use crate::format::LogKind;
use crate::sql::unread::Unread;
use crate::store;

/// So many refused lines are kept with their text; all are counted.
pub(super) const KEPT: usize = 10_000;

/// A line that is not a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// What its file holds.
    pub kind: LogKind,
    /// Where it stands in the decoded content, bytes from 0.
    pub byte: Option<i64>,
    /// Why.
    pub reason: String,
    /// The line.
    pub text: String,
}

#[derive(Debug, Default)]
struct Kept {
    /// By file and line: a file may be read by several queries.
    lines: BTreeMap<(String, i64), RefusedLine>,
    /// By file.
    counts: BTreeMap<String, u64>,
    problems: BTreeMap<String, String>,
    /// Files whose gz breaks off.
    broken: BTreeSet<String>,
    skipped: BTreeMap<String, String>,
    /// The first line of each file that has fewer fields than its header.
    short: BTreeMap<String, u64>,
    copies: BTreeMap<String, String>,
}

impl Kept {
    /// The lines of files that are no copies.
    fn own_lines(&self) -> impl Iterator<Item = (&(String, i64), &RefusedLine)> {
        self.lines.iter().filter(|((file, _), _)| !self.copies.contains_key(file))
    }
}

/// What has been refused so far, once for each file however often it is read.
#[derive(Debug, Default)]
pub struct Quarantine {
    kept: Mutex<Kept>,
}

/// What to tell the user after a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines that are not rows.
    pub lines: u64,
    /// The files that they stand in.
    pub files: usize,
    /// The first of them: file, line and reason.
    pub first: Option<(String, i64, String)>,
    /// Files that could not be read to their end, with the reason.
    pub problems: Vec<(String, String)>,
    /// Files that hold something else, with what.
    pub skipped: Vec<(String, String)>,
    /// Files with refused lines.
    pub refused: Vec<RefusedFile>,
    /// Files with rows that have fewer fields than their header, with the line of the first that was met.
    pub short: Vec<(String, u64)>,
}

/// A file with refused lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFile {
    /// Its path.
    pub file: String,
    /// How many lines.
    pub lines: u64,
    /// The first of them that is kept, and why it was refused.
    pub first: Option<(i64, String)>,
}

impl Quarantine {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the refused lines of one reading of a file or a part of it; `lines` begins at the first of them, and `count`
    /// is how many the readers of all parts have met so far.
    pub fn add(&self, file: &str, lines: Vec<(i64, RefusedLine)>, count: u64) {
        if count == 0 {
            return;
        }
        let mut kept = self.kept();
        for (line, refused) in lines {
            let place = (file.to_owned(), line);
            if kept.lines.len() >= KEPT && !kept.lines.contains_key(&place) {
                // The parts of a file come in any order: of one file the first lines are kept.
                let behind = kept.lines.range(&place..=&(file.to_owned(), i64::MAX)).next_back();
                let Some(behind) = behind.map(|(place, _)| place.clone()) else { break };
                kept.lines.remove(&behind);
            }
            kept.lines.entry(place).or_insert(refused);
        }
        let now = kept.lines.range((file.to_owned(), i64::MIN)..=(file.to_owned(), i64::MAX)).count();
        // A file read again tells the same lines again, or others where other columns were asked for; and the readers of its
        // parts come here in any order. So lines that are kept are counted there, and the others as well as can be.
        let counted = kept.counts.entry(file.to_owned()).or_default();
        *counted = (*counted).max(now as u64).max(count);
    }

    /// Notes that a file could not be read to its end.
    pub fn add_problem(&self, file: &str, problem: String) {
        self.kept().problems.insert(file.to_owned(), problem);
    }

    /// Notes that a file's text breaks off.
    pub fn add_broken(&self, file: &str) {
        self.kept().broken.insert(file.to_owned());
    }

    /// Notes that a file holds something else.
    pub fn add_skipped(&self, file: &str, what: &str) {
        self.kept().skipped.insert(file.to_owned(), what.to_owned());
    }

    /// Notes that a line of a file is a row with fewer fields than its header.
    pub fn add_short(&self, file: &str, line: u64) {
        let mut kept = self.kept();
        let first = kept.short.entry(file.to_owned()).or_insert(line);
        *first = line.min(*first);
    }

    /// Notes that a file is left out as a copy, and of what.
    pub fn add_copy(&self, file: &str, of: &str) {
        self.kept().copies.insert(file.to_owned(), of.to_owned());
    }

    /// Whether a file has been left out as a copy.
    pub fn is_copy(&self, file: &str) -> bool {
        self.kept().copies.contains_key(file)
    }

    /// What has come together so far, without that of copies: a file may have been read before it was known to be one.
    pub fn summary(&self) -> Summary {
        let kept = self.kept();
        let counts = || kept.counts.iter().filter(|(file, _)| !kept.copies.contains_key(*file));
        let first = kept.own_lines().next();
        let refused = counts().map(|(file, count)| {
            let mut lines = kept.lines.range((file.clone(), i64::MIN)..=(file.clone(), i64::MAX));
            let first = lines.next().map(|((_, line), refused)| (*line, refused.reason.clone()));
            RefusedFile { file: file.clone(), lines: *count, first }
        });
        let refused = refused.collect();
        let pairs =
            |map: &BTreeMap<String, String>| map.iter().map(|(a, b)| (a.clone(), b.clone())).collect();
        Summary {
            lines: counts().map(|(_, count)| count).sum(),
            files: counts().count(),
            first: first.map(|((file, line), refused)| (file.clone(), *line, refused.reason.clone())),
            problems: pairs(&kept.problems),
            skipped: pairs(&kept.skipped),
            refused,
            short: (kept.short.iter())
                .filter(|(file, _)| !kept.copies.contains_key(*file))
                .map(|(file, line)| (file.clone(), *line))
                .collect(),
        }
    }

    /// What could not be read of the files of a kind of log; `may_hold` is whether a file that could not be read to its end is one of
    /// these.
    pub fn unread(&self, kind: LogKind, may_hold: impl Fn(&str) -> bool) -> Vec<Unread> {
        let kept = self.kept();
        let unread = |file: &String, line: Option<&RefusedLine>| Unread {
            file: file.clone(),
            times: None,
            line: line.map(|line| line.text.clone()),
        };
        let is_own = |file: &&String| !kept.copies.contains_key(*file);
        let of_kind = kept.own_lines().filter(|(_, refused)| refused.kind == kind);
        let lines = of_kind.map(|((file, _), refused)| unread(file, Some(refused)));
        let held = |file: &String| {
            kept.lines.range((file.clone(), i64::MIN)..=(file.clone(), i64::MAX)).count() as u64
        };
        let more = kept.counts.iter().filter(|(file, count)| **count > held(file));
        let more = more.map(|(file, _)| file).chain(kept.problems.keys()).chain(&kept.broken);
        let whole = more.filter(is_own).filter(|file| may_hold(file)).map(|file| unread(file, None));
        lines.chain(whole).collect()
    }

    /// The refused lines as rows of the `quarantine` table.
    pub fn rows(&self) -> Result<RecordBatch> {
        let kept = self.kept();
        let lines = || kept.own_lines().map(|(_, refused)| refused);
        let places = || kept.own_lines().map(|(place, _)| place);
        let kinds: StringArray = lines().map(|line| Some(line.kind.table())).collect();
        let files: StringArray = places().map(|(file, _)| Some(file.as_str())).collect();
        let numbers: Int64Array = places().map(|(_, line)| Some(*line)).collect();
        let bytes: Int64Array = lines().map(|line| line.byte).collect();
        let reasons: StringArray = lines().map(|line| Some(line.reason.as_str())).collect();
        let texts: StringArray = lines().map(|line| Some(line.text.as_str())).collect();
        let never = TimestampMicrosecondArray::new_null(places().count()).with_timezone("UTC");
        Ok(RecordBatch::try_new(
            store::quarantine_schema(),
            vec![
                std::sync::Arc::new(kinds),
                std::sync::Arc::new(files),
                std::sync::Arc::new(numbers),
                std::sync::Arc::new(bytes),
                std::sync::Arc::new(reasons),
                std::sync::Arc::new(texts),
                std::sync::Arc::new(never),
            ],
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reason: &str) -> RefusedLine {
        let (reason, text) = (reason.to_owned(), "2 \\xFF".to_owned());
        RefusedLine { kind: LogKind::Flow, byte: Some(10), reason, text }
    }

    #[test]
    fn a_line_counts_once_however_often_its_file_is_read() {
        let quarantine = Quarantine::default();
        quarantine.add("a", vec![(7, line("bad port"))], 1);
        quarantine.add("a", vec![(7, line("bad port"))], 1);
        quarantine.add("a", vec![(9, line("bad time"))], 1);
        quarantine.add("b", vec![(1, line("bad"))], 1);
        let summary = quarantine.summary();
        assert_eq!((summary.lines, summary.files), (3, 2));
        assert_eq!(summary.first, Some(("a".to_owned(), 7, "bad port".to_owned())));
        let rows = quarantine.rows().unwrap();
        assert_eq!(rows.num_rows(), 3);
        assert_eq!(rows.schema(), store::quarantine_schema());
    }

    #[test]
    fn the_parts_of_a_file_come_in_any_order() {
        let quarantine = Quarantine::default();
        // The later part has been read when two lines of both were refused, and the first one before.
        quarantine.add("a", vec![(16, line("bad"))], 2);
        quarantine.add("a", vec![(8, line("bad"))], 1);
        let summary = quarantine.summary();
        assert_eq!((summary.lines, summary.first.unwrap().1), (2, 8));
        // Of too many lines the first are kept.
        let many = |from: i64| (from..from + KEPT as i64).map(|number| (number, line("bad"))).collect();
        quarantine.add("b", many(20_000), KEPT as u64);
        quarantine.add("b", many(3), 2 * KEPT as u64);
        let summary = quarantine.summary();
        assert_eq!(summary.lines, 2 + 2 * KEPT as u64);
        assert_eq!(summary.refused[1].first.as_ref().unwrap().0, 3);
        assert_eq!(quarantine.rows().unwrap().num_rows(), KEPT);
    }

    #[test]
    fn what_is_too_much_to_keep_is_still_counted() {
        let quarantine = Quarantine::default();
        let kept = (0..KEPT as i64 + 5).map(|number| (number, line("bad"))).collect();
        quarantine.add("a", kept, KEPT as u64 + 100);
        assert_eq!(quarantine.summary().lines, KEPT as u64 + 100);
        assert_eq!(quarantine.rows().unwrap().num_rows(), KEPT);
    }
}
