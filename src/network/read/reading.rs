//! What one place of one file says about an object, and where that place is.

use crate::network::history::{Observation, Origin, Timestamp};
use hashbrown::HashMap;

/// What an envelope or the options say about a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    pub(super) file: String,
    pub(super) at: Option<Timestamp>,
    pub(super) sequence: u64,
    pub(super) origin: Option<Origin>,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    /// The command of an envelope, which names what an output leaves out.
    pub(super) command: String,
    /// Something took it out of an answer, and may have left the rest.
    pub(super) picked: bool,
    /// Where the readings come from, by number in the builder.
    pub(super) source: Option<usize>,
    /// Until when at least what was captured was in force: the delivery of an AWS Config snapshot.
    pub(super) held_until: Option<Timestamp>,
    /// AWS Config recorded it once a day.
    pub(super) daily: bool,
}

impl Context {
    pub(super) fn origin(&self) -> Origin {
        self.origin.unwrap_or(if self.at.is_some() { Origin::Snapshot } else { Origin::Undated })
    }

    /// An identifier that starts with `start`, from the envelope's command or the file's name.
    pub(super) fn named(&self, start: &str) -> Option<String> {
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or_default();
        [self.command.as_str(), name].into_iter().find_map(|text| {
            let from = text.find(start)?;
            let id: String = text
                .get(from..)?
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-:/_".contains(*c))
                .collect();
            (id.len() > start.len()).then_some(id)
        })
    }
}

/// An observation and its source, by number in the builder.
#[derive(Debug, Clone)]
pub(super) struct Reading<T> {
    pub(super) source: Option<usize>,
    pub(super) seen: Observation<T>,
}

impl<T> std::ops::Deref for Reading<T> {
    type Target = Observation<T>;

    fn deref(&self) -> &Observation<T> {
        &self.seen
    }
}

impl<T> std::ops::DerefMut for Reading<T> {
    fn deref_mut(&mut self) -> &mut Observation<T> {
        &mut self.seen
    }
}

pub(super) type Readings<T> = HashMap<String, Vec<Reading<T>>>;

/// A piece of an object that another file holds the rest of.
#[derive(Debug, Clone)]
pub(super) struct Piece<T> {
    pub(super) id: String,
    pub(super) at: Option<Timestamp>,
    pub(super) origin: Origin,
    pub(super) source: Option<usize>,
    pub(super) value: T,
}

impl<T> Piece<T> {
    pub(super) fn new(id: String, context: &Context, value: T) -> Self {
        Piece { id, at: context.at, origin: context.origin(), source: context.source, value }
    }
}

pub(super) fn record<T: Clone>(
    readings: &mut Readings<T>,
    context: &Context,
    id: String,
    reduced: bool,
    value: Option<T>,
) {
    let (sequence, origin) = (context.sequence, context.origin());
    let observed = |at, value| Reading {
        source: context.source,
        // Whether it is a part of what there is, and until when it was recorded, can be told when all files have been read.
        seen: Observation {
            sequence,
            reduced,
            part: reduced,
            daily: context.daily,
            ..Observation::new(at, origin, value)
        },
    };
    let readings = readings.entry(id).or_default();
    if let Some(until) = context.held_until.filter(|until| context.at.is_some_and(|at| at < *until)) {
        readings.push(observed(Some(until), value.clone()));
    }
    readings.push(observed(context.at, value));
}
