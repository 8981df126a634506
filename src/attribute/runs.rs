//! Records of one key, joined into runs while they touch: what the [index](super::EvidenceIndex) keeps of them.

use super::evidence::{Evidence, Opener, SLACK, SameKey, Seen};
use super::record::{Record, Role};
use crate::network::Timestamp;

/// So many runs of one key are settled before more are kept: those of a busy service are mostly one.
const MANY_RUNS: usize = 4096;

/// An interface and the subnet to which what its records show is confined, `u32::MAX` for none.
pub(super) type Of = (u32, u32);

/// Whether a run's packets end a connection, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closing {
    No,
    Fin,
    Reset,
}

/// Records of one kind, joined while they touch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) role: Role,
    pub(super) closing: Closing,
}

impl Run {
    pub(super) fn closes(&self) -> bool {
        self.closing != Closing::No
    }
}

/// Some of what most keys have one of: that one needs no memory of its own.
#[derive(Debug)]
pub(super) struct List<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { first: None, rest: Vec::new() }
    }
}

impl<T> List<T> {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.first.iter().chain(&self.rest)
    }

    fn push(&mut self, one: T) {
        match self.first {
            None => self.first = Some(one),
            Some(_) => self.rest.push(one),
        }
    }

    /// The one at this place.
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.rest.get(at),
        }
    }

    /// Of a list in order: how many there are before the first for which this does not hold.
    pub(super) fn partition_point(&self, holds: impl Fn(&T) -> bool) -> usize {
        match &self.first {
            Some(first) if holds(first) => 1 + self.rest.partition_point(holds),
            _ => 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len() + usize::from(self.first.is_some())
    }

    /// Whether one more takes more memory.
    fn is_full(&self) -> bool {
        self.rest.len() == self.rest.capacity()
    }

    /// Room for as many as there are, and for [`MANY_RUNS`] at least: what is settled whenever it is full is so seldom.
    fn make_room(&mut self) {
        self.rest.reserve(self.rest.len().max(MANY_RUNS));
    }

    /// The last few that were added, the last first.
    fn newest(&mut self) -> impl Iterator<Item = &mut T> {
        self.rest.iter_mut().rev().chain(&mut self.first).take(8)
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<T>)) {
        if self.rest.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend(self.first.take());
        change(&mut all);
        let mut all = all.into_iter();
        self.first = all.next();
        self.rest = all.collect();
    }

    /// Bytes held beyond the first.
    pub(super) fn memory(&self) -> usize {
        self.rest.capacity().saturating_mul(size_of::<T>())
    }
}

/// Whether the connection was closed for both sides before the record: by RST, or by FIN of both. What one side closes the
/// other may go on using, so that groups still know it. A SYN in the same run may have come after the close.
pub(super) fn surely_closed(record: &Record<'_>, own: &List<Run>, mirrors: &List<Run>) -> bool {
    let settled = |run: &&Run| {
        run.closes() && run.role != Role::Initiator && run.end.saturating_add(SLACK) <= record.start
    };
    let last = |runs: &List<Run>| runs.iter().filter(settled).map(|run| run.end).max();
    let reset = own.iter().chain(mirrors.iter()).filter(settled).filter(|run| run.closing == Closing::Reset);
    let both = last(own).zip(last(mirrors)).map(|(one, other)| one.max(other));
    let Some(closed) = reset.map(|run| run.end).max().max(both) else { return false };
    let goes_on = |run: &Run| {
        run.end > closed && (run.role == Role::Initiator || run.start > closed.saturating_add(SLACK))
    };
    !own.iter().chain(mirrors.iter()).any(|run| run.start <= record.end && goes_on(run))
}

pub(super) fn seen(run: &Run) -> Seen {
    Seen { start: run.start, end: run.end, role: run.role }
}

pub(super) fn overlaps(run: &Run, record: &Record<'_>) -> bool {
    run.start <= record.end && record.start <= run.end
}

pub(super) fn distance(run: &Run, record: &Record<'_>) -> i64 {
    if overlaps(run, record) {
        return 0;
    }
    (run.start.saturating_sub(record.end)).max(record.start.saturating_sub(run.end))
}

pub(super) fn same_key(accepted: &List<(Of, Run)>, start: Timestamp, end: Timestamp) -> Option<SameKey> {
    let overlapping = || touching(accepted, start, end).map(|(_, run)| run);
    overlapping().next()?;
    Some(SameKey {
        initiator: overlapping().any(|run| run.role == Role::Initiator),
        responses_only: overlapping().all(|run| run.role == Role::Responder),
    })
}

/// Of settled runs, of each place and role at least one that overlaps a time, where any does.
pub(super) fn touching(
    runs: &List<(Of, Run)>,
    start: Timestamp,
    end: Timestamp,
) -> impl Iterator<Item = &(Of, Run)> {
    let overlaps = move |(_, run): &&(Of, Run)| run.start <= end && start <= run.end;
    let mut rest = runs.rest.as_slice();
    let groups = std::iter::from_fn(move || {
        let (of, first) = rest.first()?;
        let same = |(other, run): &(Of, Run)| (other, run.role) == (of, first.role);
        let (group, others) = rest.split_at_checked(rest.partition_point(same))?;
        rest = others;
        Some(group)
    });
    // Those of one place and role are in order, and none touches another: of those that begin early enough the last one ends last.
    let last = groups.filter_map(move |group| {
        let begun = group.partition_point(|(_, run)| run.start <= end);
        group.get(begun.checked_sub(1)?)
    });
    runs.first.iter().chain(last).filter(overlaps)
}

/// Adds a run, joining it with one of the same kind that it touches.
pub(super) fn keep(runs: &mut List<Run>, run: Run) {
    // Roles that open a connection, and closing records, keep their own times: their order decides.
    if !run.closes()
        && matches!(run.role, Role::Midstream | Role::Unknown)
        && let Some(known) = runs.newest().find(|known| joins(known, &run))
    {
        known.start = known.start.min(run.start);
        known.end = known.end.max(run.end);
        return;
    }
    runs.push(run);
}

/// What may be joined, whatever the order in which it came.
fn joins(one: &Run, other: &Run) -> bool {
    !one.closes()
        && !other.closes()
        && one.role == other.role
        && one.start <= other.end.saturating_add(1)
        && other.start <= one.end.saturating_add(1)
}

pub(super) fn settle(runs: &mut List<Run>) {
    runs.change(settle_all);
}

fn settle_all(runs: &mut Vec<Run>) {
    runs.sort_unstable_by_key(|run| (run.closing, run.role, run.start, run.end));
    runs.dedup_by(|next, known| {
        let joined = matches!(known.role, Role::Midstream | Role::Unknown) && joins(known, next);
        if joined {
            known.end = known.end.max(next.end);
        }
        joined
    });
    runs.sort_unstable_by_key(|run| (run.start, run.end, run.role, run.closing));
}

pub(super) fn settle_of(runs: &mut List<(Of, Run)>) {
    runs.change(settle_all_of);
}

fn settle_all_of(runs: &mut Vec<(Of, Run)>) {
    runs.sort_unstable_by_key(|(of, run)| (*of, run.role, run.start, run.end));
    runs.dedup_by(|next, known| {
        let joined = known.0 == next.0 && joins(&known.1, &next.1);
        if joined {
            known.1.end = known.1.end.max(next.1.end);
        }
        joined
    });
}

/// Adds a run that closes nothing, joining it with one of the same place and role that it touches.
pub(super) fn keep_of(runs: &mut List<(Of, Run)>, of: Of, run: Run) {
    if runs.len() >= MANY_RUNS && runs.is_full() {
        settle_of(runs);
        runs.make_room();
    }
    let joined = runs.newest().find(|(other, known)| *other == of && joins(known, &run));
    match joined {
        Some((_, known)) => {
            known.start = known.start.min(run.start);
            known.end = known.end.max(run.end);
        }
        None => runs.push((of, run)),
    }
}

/// What the runs of a record's own 5-tuple and of its mirror show of the flow; settled runs, and few of them.
pub(super) fn seen_of_flow(record: &Record<'_>, own: &List<Run>, mirrors: &List<Run>, found: &mut Evidence) {
    let earlier = mirrors.iter().filter(|run| run.start <= record.start).max_by_key(|run| run.end);
    let later = mirrors.iter().filter(|run| run.start > record.start).min_by_key(|run| run.start);
    found.mirror = earlier.map(seen);
    found.mirror_after = later.map(seen);
    let shook = |runs: &List<Run>, role: Role| {
        runs.iter().any(|run| run.role == role && run.start <= record.end.saturating_add(SLACK))
    };
    found.mirror_initiator = shook(mirrors, Role::Initiator);
    let by_sender = shook(own, Role::Initiator) || shook(mirrors, Role::Responder);
    let by_peer = found.mirror_initiator || shook(own, Role::Responder);
    found.opener = match (by_sender, by_peer) {
        (true, false) => Opener::Sender,
        (false, true) => Opener::Peer,
        _ => Opener::NotShown,
    };
    found.own_accept = own.iter().min_by_key(|run| distance(run, record)).map(seen);
    found.own_accept_before = own.iter().any(|run| run.start < record.start);
    let both = || own.iter().chain(mirrors.iter());
    found.first_accept = both().map(|run| run.start).min();
    let before = || both().filter(|run| run.start <= record.end);
    found.last_accept = before().map(|run| run.end).max();
    // A later opening of the same ports makes the earlier close history.
    let opened =
        before().filter(|run| run.role == Role::Initiator && !run.closes()).map(|run| run.start).max();
    let shared = |run: &&Run| run.end <= record.start.saturating_add(SLACK) || overlaps(run, record);
    found.closed_at = before()
        .filter(|run| run.closes())
        .filter(shared)
        .map(|run| run.end)
        .max()
        .filter(|closed| opened.is_none_or(|opened| opened <= *closed));
    found.closed_surely = found.closed_at.is_some() && surely_closed(record, own, mirrors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_touches_a_time_is_found_among_any_runs(
            given in prop::collection::vec((0..3u32, 0..4u8, 0..200i64, 0..30i64), 0..60),
            asked in prop::collection::vec((0..230i64, 0..20i64), 1..20),
        ) {
            let roles = [Role::Initiator, Role::Responder, Role::Midstream, Role::Unknown];
            let given: Vec<(Of, Run)> = given
                .into_iter()
                .map(|(of, role, start, length)| {
                    let role = roles[usize::from(role)];
                    ((of, 0), Run { start, end: start + length, role, closing: Closing::No })
                })
                .collect();
            let mut kept = List::default();
            given.iter().for_each(|(of, run)| keep_of(&mut kept, *of, *run));
            settle_of(&mut kept);
            let kinds = |runs: &mut dyn Iterator<Item = &(Of, Run)>| {
                let mut kinds: Vec<(Of, Role)> = runs.map(|(of, run)| (*of, run.role)).collect();
                kinds.sort_unstable();
                kinds.dedup();
                kinds
            };
            for (start, length) in asked {
                let end = start + length;
                let mut naive = given.iter().filter(|(_, run)| run.start <= end && start <= run.end);
                prop_assert_eq!(kinds(&mut touching(&kept, start, end)), kinds(&mut naive));
            }
        }
    }

    #[test]
    fn no_run_of_a_busy_key_is_lost() {
        let mut kept = List::default();
        let runs = 3 * MANY_RUNS as i64;
        // From the last to the first, so that none touches one that came shortly before.
        for at in (0..runs).rev() {
            let run = Run { start: at * 100, end: at * 100, role: Role::Unknown, closing: Closing::No };
            keep_of(&mut kept, (0, 0), run);
        }
        settle_of(&mut kept);
        assert!((0..runs).all(|at| touching(&kept, at * 100, at * 100).next().is_some()));
        assert_eq!(touching(&kept, 50, 60).count(), 0);
    }
}
