//! Which version of an object was in force when.
//!
//! A describe call knows one moment, AWS Config knows from-to, Terraform knows neither. Each timeline keeps the stretches of
//! time for which a version is *known*; between two known stretches with different contents either may have been in force,
//! and a [`View`] says which of the two neighbours to take. Two captures with equal contents are taken to hold in between,
//! unless one between them may have been asked for the object and does not hold it.

use std::sync::Arc;

/// Seconds since 1970-01-01T00:00:00Z.
pub type Timestamp = i64;

/// How a version came to be known; decides how far a verdict based on it can be trusted (semantics spec 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Given without a time: taken to hold always, never proves anything.
    Undated,
    /// Terraform state or plan: what was intended at the last apply.
    Terraform,
    /// A describe call at one moment.
    Snapshot,
    /// An AWS Config snapshot: in force from an item's capture to the snapshot's delivery, after which nothing is known.
    ConfigSnapshot,
    /// AWS Config history: valid from its capture to the next, and after the last as long as history is known to have been
    /// written on ([`Observation::recorded_until`]).
    History,
}

/// AWS Config captures a change some time after it happened (inferred; the delay is not documented). Within this many
/// seconds before a captured change either version may have been in force.
pub const HISTORY_LAG: i64 = 120;

/// The same where AWS Config records once a day: the change lies anywhere in the day before (spec 6.8).
pub const DAILY_LAG: i64 = 86_400 + HISTORY_LAG;

/// One version of an object and when it is known to have been in force.
#[derive(Debug, Clone)]
pub struct Version<T> {
    /// First second known.
    pub from: Timestamp,
    /// Last second known; `Timestamp::MAX` where nothing ends it.
    pub to: Timestamp,
    /// The capture that it was read from.
    pub captured_at: Option<Timestamp>,
    /// How it is known.
    pub origin: Origin,
    /// The first and the last capture of all there is of its kind in its VPC that showed it: what such a capture does not hold
    /// was not there. `None` where only captures of a part did.
    pub whole: Option<(Timestamp, Timestamp)>,
    /// Recorded once a day, so that states in between may be hidden (spec 6.8).
    pub daily: bool,
    /// `None`: the object did not exist (deleted).
    pub value: Option<Arc<T>>,
}

impl<T> Version<T> {
    /// Whether captures of all there is of its kind in its VPC cover the moment: what they do not hold was not there then. Between
    /// two describe calls something may have come and gone, and a capture without a time is of no moment.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.whole.is_some_and(|(from, to)| match self.origin {
            Origin::Undated | Origin::Terraform => false,
            Origin::Snapshot => at == from || at == to,
            Origin::ConfigSnapshot | Origin::History => from <= at && at <= to,
        })
    }

    /// Another reading of the same contents.
    fn add<U>(&mut self, reading: &Observation<U>, at: Timestamp) {
        self.daily |= reading.daily;
        if !reading.part {
            self.whole = Some(self.whole.map_or((at, at), |(from, to)| (from.min(at), to.max(at))));
        }
    }
}

/// One reading of an object in an input.
#[derive(Debug, Clone)]
pub struct Observation<T> {
    /// When it was captured.
    pub at: Option<Timestamp>,
    /// Orders readings of one second (AWS Config's state id).
    pub sequence: u64,
    /// How it is known.
    pub origin: Origin,
    /// A reduced form (an interface nested in an instance): used only where no full reading exists.
    pub reduced: bool,
    /// The capture may lack others of its kind in the same VPC: a page, what a filter left, what changed.
    pub part: bool,
    /// Recorded once a day.
    pub daily: bool,
    /// Until when AWS Config's history is known to have been written on: what it tells last holds no longer than that.
    pub recorded_until: Timestamp,
    /// `None`: deleted.
    pub value: Option<T>,
}

impl<T> Observation<T> {
    /// A full reading out of a capture of all there is; `None` where the object was deleted.
    pub fn new(at: Option<Timestamp>, origin: Origin, value: Option<T>) -> Self {
        let recorded_until = Timestamp::MAX;
        Observation {
            at,
            sequence: 0,
            origin,
            reduced: false,
            part: false,
            daily: false,
            recorded_until,
            value,
        }
    }

    /// The last second for which it tells what there was, where it was made at this moment and nothing follows it.
    fn holds_until(&self, at: Timestamp) -> Timestamp {
        if self.origin == Origin::History { self.recorded_until.max(at) } else { at }
    }
}

/// Which neighbour to take where nothing is known for the moment itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    /// The moment.
    pub at: Timestamp,
    /// The version after the moment instead of the one before it.
    pub after: bool,
}

/// All versions of one object, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Timeline<T> {
    versions: Vec<Version<T>>,
    /// Captures that may have been asked for all objects and do not hold this one.
    absences: Vec<Timestamp>,
}

/// A version as found for a moment.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a, T> {
    /// The object.
    pub value: &'a Arc<T>,
    /// The version's time, origin and capture.
    pub version: &'a Version<T>,
    /// Seconds between the moment and the nearest time for which the version is known; 0 when in force.
    pub distance: i64,
    /// A capture between that time and the moment does not hold the object, which may have been gone by then.
    pub missing_at: Option<Timestamp>,
}

impl<T: PartialEq> Timeline<T> {
    /// Orders the readings and joins what is equal.
    pub fn new(readings: Vec<Observation<T>>) -> Self {
        Timeline::with_absences(readings, Vec::new())
    }

    /// As [`Timeline::new`], with the moments of captures that do not hold the object although they may have been asked for
    /// all: equal readings on both sides of one say nothing of what was in between.
    pub fn with_absences(mut readings: Vec<Observation<T>>, mut absences: Vec<Timestamp>) -> Self {
        absences.sort_unstable();
        if readings.iter().any(|reading| !reading.reduced) {
            readings.retain(|reading| !reading.reduced);
        }
        if readings.iter().any(|reading| reading.at.is_some()) {
            readings.retain(|reading| reading.at.is_some());
        }
        // At one second the reading with the higher origin and sequence comes last and so wins.
        readings.sort_by_key(|reading| (reading.at, reading.sequence, reading.origin));
        let mut versions: Vec<Version<T>> = Vec::with_capacity(readings.len());
        for reading in readings {
            let Some(at) = reading.at else {
                let value = reading.value.map(Arc::new);
                let version = Version {
                    from: Timestamp::MIN,
                    to: Timestamp::MAX,
                    captured_at: None,
                    origin: reading.origin,
                    whole: (!reading.part).then_some((Timestamp::MIN, Timestamp::MAX)),
                    daily: reading.daily,
                    value,
                };
                versions = vec![version];
                continue;
            };
            let lasts = reading.origin == Origin::History;
            let history_lag = if reading.daily { DAILY_LAG } else { HISTORY_LAG };
            let holds_until = reading.holds_until(at);
            if let Some(last) = versions.last_mut() {
                let same = last.value.as_deref() == reading.value.as_ref();
                let captures = last.origin == Origin::Snapshot && reading.origin == Origin::Snapshot;
                let next = absences.partition_point(|absence| *absence <= last.to);
                if same && captures && absences.get(next).is_some_and(|absence| *absence < at) {
                    let value = last.value.clone();
                    let (captured_at, origin) = (Some(at), reading.origin);
                    let whole = (!reading.part).then_some((at, at));
                    let daily = reading.daily;
                    versions.push(Version { from: at, to: at, captured_at, origin, whole, daily, value });
                    continue;
                }
                if same {
                    last.to = last.to.max(holds_until);
                    last.add(&reading, at);
                    if reading.origin > last.origin {
                        last.origin = reading.origin;
                    }
                    if last.origin != Origin::History {
                        last.captured_at = Some(at);
                    }
                    continue;
                }
                // History tells every change, so what AWS Config recorded before held until the next that it tells.
                if lasts && matches!(last.origin, Origin::ConfigSnapshot | Origin::History) {
                    last.to = last.to.max(at.saturating_sub(1).saturating_sub(history_lag));
                }
                if last.to >= at {
                    let lag = if last.origin == Origin::History { history_lag } else { 0 };
                    last.to = at.saturating_sub(1).saturating_sub(lag).max(last.from);
                    let end = last.to;
                    last.whole = last.whole.map(|(from, to)| (from.min(end), to.min(end)));
                }
                if last.from == at {
                    versions.pop();
                }
            }
            versions.push(Version {
                from: at,
                to: holds_until,
                captured_at: Some(at),
                origin: reading.origin,
                whole: (!reading.part).then_some((at, holds_until)),
                daily: reading.daily,
                value: reading.value.map(Arc::new),
            });
        }
        Timeline { versions, absences }
    }
}

impl<T> Timeline<T> {
    /// A single version that holds always; for configuration that is made up rather than read.
    pub fn always(value: T) -> Self {
        let version = Version {
            from: Timestamp::MIN,
            to: Timestamp::MAX,
            captured_at: None,
            origin: Origin::History,
            whole: Some((Timestamp::MIN, Timestamp::MAX)),
            daily: false,
            value: Some(Arc::new(value)),
        };
        Timeline { versions: vec![version], absences: Vec::new() }
    }

    /// The versions, oldest first.
    pub fn versions(&self) -> &[Version<T>] {
        &self.versions
    }

    /// The version for a view; `None` when there is none or the object was deleted.
    pub fn pick(&self, view: View) -> Option<Found<'_, T>> {
        let next = self.versions.partition_point(|version| version.from <= view.at);
        let before = next.checked_sub(1).and_then(|at| self.versions.get(at));
        let after = self.versions.get(next);
        let version = match (before, after) {
            (Some(before), _) if before.to >= view.at => before,
            (Some(before), Some(after)) => {
                if view.after {
                    after
                } else {
                    before
                }
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let distance = if view.at < version.from {
            version.from.saturating_sub(view.at)
        } else {
            view.at.saturating_sub(version.to).max(0)
        };
        let missing_at = self.missing(version, view.at);
        version.value.as_ref().map(|value| Found { value, version, distance, missing_at })
    }

    /// Stretches in which the object is known to have existed, first and last second, with how.
    pub fn known(&self) -> impl Iterator<Item = (&Version<T>, &Arc<T>)> + '_ {
        self.versions.iter().filter_map(|version| Some((version, version.value.as_ref()?)))
    }

    /// The first capture between the time of a version and a moment that does not hold the object.
    fn missing(&self, version: &Version<T>, at: Timestamp) -> Option<Timestamp> {
        let next = self.absences.partition_point(|absence| *absence <= version.to);
        let after = self.absences.get(next).filter(|absence| **absence <= at);
        let before = self.absences.iter().find(|absence| **absence >= at && **absence < version.from);
        after.or(before).copied()
    }

    /// Stretches between two known versions, as half-open `[from, to)`; empty where one version follows the other at once, or
    /// where a capture does not hold the object.
    pub fn gaps(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.versions
            .iter()
            .zip(self.versions.iter().skip(1))
            .map(|(one, next)| (one.to.saturating_add(1), next.from))
            // Before a capture without the object ends at its second, what comes after begins there.
            .chain(self.absences.iter().flat_map(|at| [*at, at.saturating_add(1)]).map(|at| (at, at)))
    }
}

/// Where any of many timelines changes: between two neighbouring boundaries every object keeps its version.
#[derive(Debug, Clone, Default)]
pub struct Boundaries {
    starts: Vec<Timestamp>,
    unsure: Vec<bool>,
    /// When something begins to be known, though no version changes: a capture knows its own moment only.
    known_from: Vec<Timestamp>,
    /// The first moments at which such things are not known any more.
    known_until: Vec<Timestamp>,
}

impl Boundaries {
    /// From the gaps of all timelines, and from the stretches, first and last second, in which what matters beyond
    /// versions is known.
    pub fn new(
        gaps: impl Iterator<Item = (Timestamp, Timestamp)>,
        known: impl Iterator<Item = (Timestamp, Timestamp)>,
    ) -> Self {
        let (mut known_from, mut known_until): (Vec<_>, Vec<_>) =
            known.map(|(from, to)| (from, to.saturating_add(1))).unzip();
        for edges in [&mut known_from, &mut known_until] {
            edges.sort_unstable();
            edges.dedup();
        }
        let mut changes: Vec<(Timestamp, i64)> = Vec::new();
        for (from, to) in gaps {
            changes.push((from, i64::from(from < to)));
            changes.push((to, -i64::from(from < to)));
        }
        changes.sort_unstable();
        let mut starts = vec![Timestamp::MIN];
        let mut unsure = vec![false];
        let mut open = 0i64;
        for (at, change) in changes {
            open += change;
            if starts.last() == Some(&at) {
                if let Some(last) = unsure.last_mut() {
                    *last = open > 0;
                }
            } else {
                starts.push(at);
                unsure.push(open > 0);
            }
        }
        Boundaries { starts, unsure, known_from, known_until }
    }

    /// The stretch that holds `at`.
    pub fn segment(&self, at: Timestamp) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// The views that together cover `[from, to]`: one where nothing changes.
    pub fn views(&self, from: Timestamp, to: Timestamp) -> Vec<View> {
        let mut views = Vec::with_capacity(1);
        for segment in self.segment(from)..=self.segment(to.max(from)) {
            let at = self.starts.get(segment).copied().unwrap_or(from).max(from);
            views.push(View { at, after: false });
            if self.unsure.get(segment).copied().unwrap_or(false) {
                views.push(View { at, after: true });
            }
        }
        views
    }

    /// The view that covers `[from, to]`, if there is one only: as of the moment in it when something begins to be known.
    pub fn only_view(&self, from: Timestamp, to: Timestamp) -> Option<View> {
        let segment = self.segment(from);
        let sure =
            segment == self.segment(to.max(from)) && !self.unsure.get(segment).copied().unwrap_or(false);
        let next = self.known_from.partition_point(|at| *at <= from);
        let known = self.known_from.get(next).copied().filter(|at| *at <= to);
        sure.then_some(View { at: known.unwrap_or(from), after: false })
    }

    /// The stretch around a moment, first moment and first one behind it, within which no edge lies; `None` where two views
    /// cover it.
    pub fn stretch(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        if self.unsure.get(self.segment(at)).copied().unwrap_or(false) {
            return None;
        }
        let (mut from, mut to) = (Timestamp::MIN, Timestamp::MAX);
        for edges in [&self.starts, &self.known_from, &self.known_until] {
            let next = edges.partition_point(|edge| *edge <= at);
            from = next.checked_sub(1).and_then(|last| edges.get(last)).map_or(from, |edge| from.max(*edge));
            to = edges.get(next).map_or(to, |edge| to.min(*edge));
        }
        Some((from, to))
    }

    /// A key equal for views that resolve every object alike.
    pub fn version_key(&self, view: View) -> (usize, bool) {
        let segment = self.segment(view.at);
        (segment, view.after && self.unsure.get(segment).copied().unwrap_or(false))
    }

    /// A key equal for views that resolve every object alike and in which the same is known.
    pub fn key(&self, view: View) -> (usize, bool) {
        let (segment, after) = self.version_key(view);
        let passed = |edges: &[Timestamp]| edges.partition_point(|at| *at <= view.at);
        // Each term grows with the time, so their sum is another one behind each edge.
        (segment + passed(&self.known_from) + passed(&self.known_until), after)
    }

    /// The first moment from `from` on in a view's stretch: where [`Boundaries::views`] sets it.
    pub fn moment(&self, view: View, from: Timestamp) -> Timestamp {
        self.starts.get(self.segment(view.at)).copied().unwrap_or(from).max(from)
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
