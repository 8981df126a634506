//! What [`seen_of_flow`](super::runs::seen_of_flow) tells of a flow, for flows with so many runs that walking all of them for each
//! rejected record would take long: pings, NTP and IKE keep their ports, and so are one flow for as long as the logs reach.
//!
//! The runs are in the order of their starts, and beside each stands what holds of it and all before it.

use super::evidence::{Evidence, Opener, SLACK};
use super::record::{Record, Role};
use super::runs::{Closing, List, Run, distance, seen};
use crate::network::Timestamp;

/// More runs than this are many.
const MANY: usize = 32;

/// What holds of a run and those before it; the smallest or largest time where there is none of the kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// The place of the one that ends last.
    last: usize,
    last_end: Timestamp,
    /// Whether some opened the connection, or answered its opening.
    opens: bool,
    answers: bool,
    /// The end of the last of those that open.
    opening_end: Timestamp,
    /// The start of the last of those that open and do not close.
    opened: Timestamp,
    /// The end of the last one that closes.
    closed: Timestamp,
    /// The same of those that do not open as well, and of those of them that reset.
    settled: Timestamp,
    reset: Timestamp,
}

const NONE: Sum = Sum {
    last: 0,
    last_end: Timestamp::MIN,
    opens: false,
    answers: false,
    opening_end: Timestamp::MIN,
    opened: Timestamp::MIN,
    closed: Timestamp::MIN,
    settled: Timestamp::MIN,
    reset: Timestamp::MIN,
};

impl Sum {
    fn add(&mut self, at: usize, run: &Run) {
        if run.end >= self.last_end {
            (self.last, self.last_end) = (at, run.end);
        }
        if run.role == Role::Initiator {
            self.opens = true;
            self.opening_end = self.opening_end.max(run.end);
            if !run.closes() {
                self.opened = self.opened.max(run.start);
            }
        }
        self.answers |= run.role == Role::Responder;
        if run.closes() {
            self.closed = self.closed.max(run.end);
            if run.role != Role::Initiator {
                self.settled = self.settled.max(run.end);
                if run.closing == Closing::Reset {
                    self.reset = self.reset.max(run.end);
                }
            }
        }
    }
}

/// Whether there are so many that they are worth sums.
pub(super) fn is_long(runs: &List<Run>) -> bool {
    runs.len() > MANY
}

/// The sums of settled runs.
pub(super) fn sums(runs: &List<Run>) -> Vec<Sum> {
    let mut sum = NONE;
    let sums = runs.iter().enumerate().map(|(at, run)| {
        sum.add(at, run);
        sum
    });
    sums.collect()
}

/// Settled runs with their sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Long<'r> {
    pub(super) runs: &'r List<Run>,
    pub(super) sums: &'r [Sum],
}

impl<'r> Long<'r> {
    /// How many begin no later.
    fn begun(&self, at: Timestamp) -> usize {
        self.runs.partition_point(|run| run.start <= at)
    }

    /// What holds of those that begin no later.
    fn until(&self, at: Timestamp) -> Sum {
        let before = self.begun(at).checked_sub(1);
        before.and_then(|last| self.sums.get(last)).copied().unwrap_or(NONE)
    }

    /// Of those that begin no later the one that ends last, and of the others the first.
    fn around(&self, at: Timestamp) -> [Option<&'r Run>; 2] {
        let begun = self.begun(at);
        let before = begun.checked_sub(1).and_then(|last| self.sums.get(last));
        [before.and_then(|sum| self.runs.get(sum.last)), self.runs.get(begun)]
    }

    fn first(&self) -> Option<Timestamp> {
        Some(self.runs.get(0)?.start)
    }

    /// The end of the last of some closing runs that end by a time; `of` is that of the last of them in a sum.
    fn last_close(
        &self,
        by: Timestamp,
        of: impl Fn(&Sum) -> Timestamp,
        counts: impl Fn(&Run) -> bool,
    ) -> Option<Timestamp> {
        let mut best = None;
        for at in (0..self.begun(by)).rev() {
            let most = self.sums.get(at).map_or(Timestamp::MIN, &of);
            if most == Timestamp::MIN || best.is_some_and(|best| best >= most) {
                break;
            }
            if most <= by {
                return Some(most);
            }
            let run = self.runs.get(at).filter(|run| run.end <= by && counts(run));
            best = best.max(run.map(|run| run.end));
        }
        best
    }
}

/// As [`surely_closed`](super::runs::surely_closed).
fn surely_closed(record: &Record<'_>, own: Long<'_>, mirrors: Long<'_>) -> bool {
    let by = record.start.saturating_sub(SLACK);
    let settled = |run: &Run| run.closes() && run.role != Role::Initiator;
    let last = |runs: Long<'_>| runs.last_close(by, |sum| sum.settled, settled);
    let reset = |runs: Long<'_>| {
        runs.last_close(by, |sum| sum.reset, |run| settled(run) && run.closing == Closing::Reset)
    };
    let both = last(own).zip(last(mirrors)).map(|(one, other)| one.max(other));
    let Some(closed) = reset(own).max(reset(mirrors)).max(both) else { return false };
    let goes_on = |runs: Long<'_>| {
        let opens_later = runs.until(record.end).opening_end > closed;
        let begun = runs.begun(record.end).checked_sub(1).and_then(|last| runs.runs.get(last));
        opens_later || begun.is_some_and(|run| run.start > closed.saturating_add(SLACK))
    };
    !goes_on(own) && !goes_on(mirrors)
}

/// As [`seen_of_flow`](super::runs::seen_of_flow).
pub(super) fn seen_of_long_flow(record: &Record<'_>, own: Long<'_>, mirrors: Long<'_>, found: &mut Evidence) {
    let [earlier, later] = mirrors.around(record.start);
    (found.mirror, found.mirror_after) = (earlier.map(seen), later.map(seen));
    let by_slack = record.end.saturating_add(SLACK);
    let (of_own, of_mirrors) = (own.until(by_slack), mirrors.until(by_slack));
    found.mirror_initiator = of_mirrors.opens;
    let by_sender = of_own.opens || of_mirrors.answers;
    let by_peer = of_mirrors.opens || of_own.answers;
    found.opener = match (by_sender, by_peer) {
        (true, false) => Opener::Sender,
        (false, true) => Opener::Peer,
        _ => Opener::NotShown,
    };
    let nearest = own.around(record.end).into_iter().flatten().min_by_key(|run| distance(run, record));
    found.own_accept = nearest.map(seen);
    found.own_accept_before = own.first().is_some_and(|first| first < record.start);
    found.first_accept = own.first().into_iter().chain(mirrors.first()).min();
    let (of_own, of_mirrors) = (own.until(record.end), mirrors.until(record.end));
    let known = |time: Timestamp| (time != Timestamp::MIN).then_some(time);
    found.last_accept = known(of_own.last_end.max(of_mirrors.last_end));
    let opened = of_own.opened.max(of_mirrors.opened);
    // What begins by the record's end shares its interval or ends before it.
    let closed = known(of_own.closed.max(of_mirrors.closed));
    found.closed_at = closed.filter(|closed| opened <= *closed);
    found.closed_surely = found.closed_at.is_some() && surely_closed(record, own, mirrors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::runs::{keep, seen_of_flow, settle};
    use proptest::prelude::*;

    fn run() -> impl Strategy<Value = Run> {
        let role = prop::sample::select(vec![
            Role::Initiator,
            Role::Responder,
            Role::Midstream,
            Role::Midstream,
            Role::Unknown,
        ]);
        let closing =
            prop::sample::select(vec![Closing::No, Closing::No, Closing::No, Closing::Fin, Closing::Reset]);
        (0..20_000i64, 0..400i64, role, closing).prop_map(|(start, length, role, closing)| Run {
            start,
            end: start + length,
            role,
            closing,
        })
    }

    fn kept(runs: &[Run]) -> List<Run> {
        let mut kept = List::default();
        runs.iter().for_each(|run| keep(&mut kept, *run));
        settle(&mut kept);
        kept
    }

    proptest! {
        #[test]
        fn many_runs_show_what_walking_all_of_them_shows(
            own in prop::collection::vec(run(), 0..90), mirrors in prop::collection::vec(run(), 0..90),
            records in prop::collection::vec((-500..21_000i64, 0..300i64), 1..30),
        ) {
            let (own, mirrors) = (kept(&own), kept(&mirrors));
            let (own_sums, mirror_sums) = (sums(&own), sums(&mirrors));
            for (start, length) in records {
                let record = Record { start, end: start + length, ..Record::BLANK };
                let (mut naive, mut quick) = (Evidence::default(), Evidence::default());
                seen_of_flow(&record, &own, &mirrors, &mut naive);
                let long = |runs, sums| Long { runs, sums };
                seen_of_long_flow(&record, long(&own, &own_sums), long(&mirrors, &mirror_sums), &mut quick);
                // Which of those that are equally near is of no account.
                let near = |found: &mut Evidence| {
                    let seen = found.own_accept.take();
                    seen.map(|seen| (seen.start - record.end).max(record.start - seen.end).max(0))
                };
                prop_assert_eq!(near(&mut naive), near(&mut quick));
                prop_assert_eq!(format!("{naive:?}"), format!("{quick:?}"));
            }
        }
    }
}
