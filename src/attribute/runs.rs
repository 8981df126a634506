//! Records of one key, joined into runs while they touch: what the [index](super::EvidenceIndex) keeps of them.

use super::evidence::{Evidence, Opener, SLACK, SameKey, Seen};
use super::record::{Record, Role};
use crate::network::Timestamp;

/// At most this many accepted runs are kept for one key: enough to find an overlap, and a bound for a busy service.
const MOST_RUNS: usize = 4096;

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

    fn len(&self) -> usize {
        self.rest.len() + usize::from(self.first.is_some())
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
    let overlapping =
        || accepted.iter().map(|(_, run)| run).filter(|run| run.start <= end && start <= run.end);
    overlapping().next()?;
    Some(SameKey {
        initiator: overlapping().any(|run| run.role == Role::Initiator),
        responses_only: overlapping().all(|run| run.role == Role::Responder),
    })
}

/// Adds a run, joining it with one of the same kind that it touches.
pub(super) fn keep(runs: &mut List<Run>, run: Run) {
    // Roles that open a connection, and closing records, keep their own times: their order decides.
    if !run.closes() && matches!(run.role, Role::Midstream | Role::Unknown) {
        let joined = runs.newest().find(|known| {
            !known.closes()
                && known.role == run.role
                && known.start <= run.end.saturating_add(1)
                && run.start <= known.end.saturating_add(1)
        });
        if let Some(known) = joined {
            known.start = known.start.min(run.start);
            known.end = known.end.max(run.end);
            return;
        }
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
    runs.sort_unstable_by_key(|(of, run)| (*of, run.closing, run.role, run.start, run.end));
    runs.dedup_by(|next, known| {
        let joined = known.0 == next.0 && joins(&known.1, &next.1);
        if joined {
            known.1.end = known.1.end.max(next.1.end);
        }
        joined
    });
}

pub(super) fn keep_of(runs: &mut List<(Of, Run)>, of: Of, run: Run) {
    let is_full = runs.len() >= MOST_RUNS;
    let joined = runs.newest().find(|(other, known)| {
        *other == of
            && known.role == run.role
            && known.start <= run.end.saturating_add(1)
            && run.start <= known.end.saturating_add(1)
    });
    match joined {
        Some((_, known)) => {
            known.start = known.start.min(run.start);
            known.end = known.end.max(run.end);
        }
        None if !is_full => runs.push((of, run)),
        None => {}
    }
}

/// What the runs of a record's own 5-tuple and of its mirror show of the flow.
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
