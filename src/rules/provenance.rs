//! From which captures the rules of an interface are known, and for which time.

use crate::network::{Found, Origin, Timestamp};

/// How the configuration behind an interface's rules is known: the same for all moments that share the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The weakest origin among the objects used.
    pub origin: Origin,
    /// Some object was recorded once a day, which hides states in between (spec 6.8).
    pub daily: bool,
    captured_at: Option<Timestamp>,
    /// The object that is known from the latest moment on, and when it was captured.
    latest: (Timestamp, Option<Timestamp>),
    /// The object that is known to the earliest moment.
    earliest: (Timestamp, Option<Timestamp>),
    /// Of objects known by describe calls alone, the first and the last first capture, and the first and the last last one.
    snapshots: Option<[(Timestamp, Timestamp); 2]>,
}

impl Provenance {
    pub(super) fn of<T>(found: &Found<'_, T>) -> Provenance {
        let (version, captured_at) = (found.version, found.version.captured_at);
        let (latest, earliest) = ((version.from, captured_at), (version.to, captured_at));
        let snapshots = (version.origin == Origin::Snapshot)
            .then_some([(version.from, version.from), (version.to, version.to)]);
        Provenance { origin: version.origin, daily: version.daily, captured_at, latest, earliest, snapshots }
    }

    pub(super) fn add<T>(&mut self, found: &Found<'_, T>) {
        let other = Provenance::of(found);
        self.origin = self.origin.min(other.origin);
        self.daily |= other.daily;
        self.snapshots = match (self.snapshots, other.snapshots) {
            (Some([first, last]), Some([other_first, other_last])) => {
                let join = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
                Some([join(first, other_first), join(last, other_last)])
            }
            (one, other) => one.or(other),
        };
        if other.latest.0 > self.latest.0 {
            self.latest = other.latest;
        }
        if other.earliest.0 < self.earliest.0 {
            self.earliest = other.earliest;
        }
    }

    /// The largest distance in seconds between a moment and the times for which the objects are known, 0 when all are, and
    /// when the object at that distance was captured.
    pub fn distance(&self, moment: Timestamp) -> (i64, Option<Timestamp>) {
        let until = self.latest.0.saturating_sub(moment);
        let since = moment.saturating_sub(self.earliest.0);
        match until.max(since) {
            ..=0 => (0, self.captured_at),
            distance if until >= since => (distance, self.latest.1),
            distance => (distance, self.earliest.1),
        }
    }

    /// Whether each object is known for some moment of `from..=to`. Equal describe calls before and after it are of another time, and
    /// no history of what was between (spec 8.1).
    pub fn known_within(&self, from: Timestamp, to: Timestamp) -> bool {
        let within = |(first, last): (Timestamp, Timestamp)| from <= first && last <= to;
        self.latest.0 <= to
            && self.earliest.0 >= from
            && self.snapshots.is_none_or(|captures| captures.into_iter().any(within))
    }
}
