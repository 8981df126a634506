//! Whether a field that a record does not show is in the format of its log, and so is `-` there.
//!
//! A record without a reason is none of Block Public Access only where its log would have named that (spec 8.7, rows 16, 17, 22 and
//! 23). Where the fields of its file are known, they tell it. Where they are not, the version does for some formats, and of the others
//! a reason that another record of the same flow log names: its fields are chosen when it is created and are the same in all its
//! objects. Those of other flow logs say nothing of it, whatever their version.

use std::cmp::Ordering;

use hashbrown::{Equivalent, HashSet};

use crate::attribute::Action;
use crate::source::keys::flow_log_of;
use crate::sql::formats::Formats;
use crate::sql::records::{Columns, Field, NONE, Text};

/// The version in which `reject-reason` came (log-formats 1.1).
const REASON_SINCE: i32 = 8;

/// A format: the version that its records name, and the flow log, or the file where its name tells no flow log.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    version: Option<i32>,
    log: String,
}

/// The same, as it is looked up.
#[derive(Hash)]
struct Asked<'a> {
    version: Option<i32>,
    log: &'a str,
}

impl Equivalent<Format> for Asked<'_> {
    fn equivalent(&self, known: &Format) -> bool {
        self.version == known.version && self.log == known.log
    }
}

/// What is known of the formats of records.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// Formats of which some record named a reason.
    named: HashSet<Format>,
    /// The fields of files.
    pub(super) formats: Formats,
    /// No file of the store has a column for reasons, so no log had the field.
    pub(super) in_no_log: bool,
}

impl Reasons {
    /// Takes note of the REJECTs that name a reason.
    pub(super) fn note(&mut self, columns: &Columns) {
        for row in 0..if columns.has(Text::RejectReason) { columns.rows() } else { 0 } {
            if columns.action(row) != Action::Reject || columns.key(Text::RejectReason, row) == NONE {
                continue;
            }
            let asked = Asked { version: columns.version(row), log: log(columns, row) };
            if !self.named.contains(&asked) {
                self.named.insert(Format { version: asked.version, log: asked.log.to_owned() });
            }
        }
    }

    pub(super) fn merge(&mut self, other: Reasons) {
        self.named.extend(other.named);
    }

    /// Whether a field that a row does not show is in the format of its log; `None` where that is not known.
    pub(super) fn in_format(&self, columns: &Columns, row: usize, field: Field) -> Option<bool> {
        if field == Field::RejectReason && self.in_no_log {
            return Some(false);
        }
        let known = self.formats.has(columns.hash(Text::Source, row), field.columns());
        match field {
            Field::RejectReason => known.or_else(|| self.reason_in_format(columns, row)),
            _ => known,
        }
    }

    fn reason_in_format(&self, columns: &Columns, row: usize) -> Option<bool> {
        let version = columns.version(row);
        // The version is the highest of the fields, and the field is the only one of its version.
        match version.map(|version| version.cmp(&REASON_SINCE)) {
            Some(Ordering::Less) => return Some(false),
            Some(Ordering::Equal) => return Some(true),
            Some(Ordering::Greater) | None => {}
        }
        let is_named =
            !self.named.is_empty() && self.named.contains(&Asked { version, log: log(columns, row) });
        is_named.then_some(true)
    }
}

/// What tells a row's flow log from others.
fn log(columns: &Columns, row: usize) -> &str {
    let file = columns.text(Text::Source, row).unwrap_or_default();
    flow_log_of(file).unwrap_or(file)
}
