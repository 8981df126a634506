//! Making the timelines of a network of what was read.

use super::agree::{self, Agree};
use super::coverage::{Captures, Sources};
use super::reading::Readings;
use crate::network::history::{Timeline, Timestamp};
use crate::network::store::{Contradiction, Kind};

/// Makes timelines of readings.
pub(super) struct Filling<'a> {
    pub(super) captures: Captures<'a>,
    pub(super) sources: Sources,
    /// Until when the history of each source is known to have been written on.
    pub(super) recorded_until: Vec<Option<Timestamp>>,
    pub(super) contradictions: Vec<Contradiction>,
}

impl Filling<'_> {
    pub(super) fn kind<T: Agree>(&mut self, mut readings: Readings<T>) -> Kind<T> {
        for (id, readings) in &mut readings {
            for one in readings.iter_mut() {
                one.part |= self.sources.is_part(one.source);
                let until = one.source.and_then(|source| self.recorded_until.get(source)).copied().flatten();
                one.recorded_until = until.unwrap_or(one.recorded_until);
            }
            let found = agree::settle(readings);
            self.contradictions.extend(found.into_iter().map(|at| Contradiction { object: id.clone(), at }));
        }
        let mut doubts = self.captures.apply(&mut readings);
        let mut sorted: Vec<_> = readings.into_iter().collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        let mut kind = Kind::default();
        for (id, readings) in sorted {
            let absent = doubts.remove(&id).unwrap_or_default();
            let readings = readings.into_iter().map(|reading| reading.seen).collect();
            kind.put(id, Timeline::with_absences(readings, absent));
        }
        kind
    }
}
