//! Whether the logs of an interface are whole over a time (spec 8.5, `COMPLETE`): only then does it say anything that an ACCEPT is
//! not among them.
//!
//! Each flow log is asked for itself: its traffic type, its fields and its beginning are its own, whatever others hold beside it. An
//! interface may be logged by several, and one of them that is whole suffices. Where objects name no flow log, those of one VPC count
//! as one, since flow logs are mostly switched on for VPCs; but then an interface without any ACCEPT may have a flow log of its own, of
//! REJECTs alone.
//!
//! What cannot be seen to be missing is left to others: whole objects that nobody copied.

use super::evidence::{Evidence, SLACK};
use crate::network::Timestamp;
use hashbrown::HashMap;

/// What tells one flow log from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogName {
    /// Its id: `fl-…`.
    FlowLog(String),
    /// None is known. The VPC of its records, or what is known instead.
    Unnamed(String),
}

/// Why a stretch of time of a log is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Records were skipped when they were captured (SKIPDATA).
    Skipped,
    /// Lines could not be read, or a file breaks off.
    Unread,
    /// ACCEPTs that do not show their flow: any of them may be the one that is looked for.
    Unshown,
}

impl Gap {
    const ALL: [Gap; 3] = [Gap::Skipped, Gap::Unread, Gap::Unshown];
}

/// Stretches of time, joined and in order: of those that begin no later than a moment the last one also ends last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stretches(Vec<(Timestamp, Timestamp)>);

impl Stretches {
    const NONE: Stretches = Stretches(Vec::new());

    fn add(&mut self, start: Timestamp, end: Timestamp) {
        let first = self.0.partition_point(|stretch| stretch.1.saturating_add(1) < start);
        let (mut start, mut end) = (start, end.max(start));
        let behind =
            self.0.iter().skip(first).take_while(|stretch| stretch.0 <= end.saturating_add(1)).count();
        for stretch in self.0.drain(first..first.saturating_add(behind)) {
            start = start.min(stretch.0);
            end = end.max(stretch.1);
        }
        self.0.insert(first, (start, end));
    }

    /// The end of the last one that begins no later than this.
    fn last_end(&self, at: Timestamp) -> Option<Timestamp> {
        let after = self.0.partition_point(|stretch| stretch.0 <= at);
        Some(self.0.get(after.checked_sub(1)?)?.1)
    }

    fn merge(&mut self, other: &Stretches) {
        other.0.iter().for_each(|(start, end)| self.add(*start, *end));
    }
}

/// The gaps, by why they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Gaps([Stretches; Gap::ALL.len()]);

impl Gaps {
    fn add(&mut self, gap: Gap, start: Timestamp, end: Timestamp) {
        self.0.get_mut(gap as usize).into_iter().for_each(|stretches| stretches.add(start, end));
    }

    fn last_end(&self, at: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|stretches| stretches.last_end(at)).max()
    }

    /// Some gap that begins no later than `last` and does not end before `first`.
    fn between(&self, first: Timestamp, last: Timestamp) -> Option<Gap> {
        let mut each = Gap::ALL.into_iter().zip(&self.0);
        let found = each.find(|(_, stretches)| stretches.last_end(last).is_some_and(|end| end >= first));
        found.map(|(gap, _)| gap)
    }

    fn merge(&mut self, other: &Gaps) {
        self.0.iter_mut().zip(&other.0).for_each(|(own, other)| own.merge(other));
    }
}

/// What one flow log has of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The start of the first record, whatever its status.
    first: Timestamp,
    /// There are ACCEPTs.
    accepts: bool,
    gaps: Gaps,
}

impl Cover {
    /// Nothing yet, with which anything can be merged.
    pub const NOTHING: Cover =
        Cover { first: Timestamp::MAX, accepts: false, gaps: Gaps([Stretches::NONE; Gap::ALL.len()]) };

    /// Records: the first of them starts here, and some of them are ACCEPTs.
    #[inline]
    pub fn see(&mut self, first: Timestamp, accepts: bool) {
        self.first = self.first.min(first);
        self.accepts |= accepts;
    }

    /// A stretch of time for which records are missing.
    pub fn lacks(&mut self, gap: Gap, start: Timestamp, end: Timestamp) {
        self.gaps.add(gap, start, end);
    }

    fn merge(&mut self, other: &Cover) {
        self.see(other.first, other.accepts);
        self.gaps.merge(&other.gaps);
    }
}

/// One flow log, as a whole.
#[derive(Debug, Clone)]
struct Log {
    name: LogName,
    /// What holds for every interface: its first record, and gaps of which it is not known whose records are missing.
    cover: Cover,
}

/// The flow logs that have records of one interface, by their numbers, and what they have.
type Logs = Vec<(usize, Cover)>;

/// What all logs cover.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    numbers: HashMap<LogName, usize>,
    logs: Vec<Log>,
    interfaces: HashMap<String, usize>,
    by_interface: Vec<Logs>,
}

impl Coverage {
    /// The number of a flow log.
    fn log(&mut self, name: &LogName) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.numbers.insert(name.clone(), self.logs.len());
        self.logs.push(Log { name: name.clone(), cover: Cover::NOTHING });
        self.logs.len() - 1
    }

    fn of(&mut self, interface: &str, log: usize) -> Option<&mut Cover> {
        let number = self.number(interface).unwrap_or_else(|| {
            self.interfaces.insert(interface.to_owned(), self.by_interface.len());
            self.by_interface.push(Vec::new());
            self.by_interface.len() - 1
        });
        let logs = self.by_interface.get_mut(number)?;
        let at = logs.iter().position(|(of, _)| *of == log).unwrap_or_else(|| {
            logs.push((log, Cover::NOTHING));
            logs.len() - 1
        });
        logs.get_mut(at).map(|(_, cover)| cover)
    }

    /// What a flow log has of an interface, as far as one has read it.
    pub fn add(&mut self, interface: Option<&str>, log: &LogName, cover: &Cover) {
        let log = self.log(log);
        if let Some(log) = self.logs.get_mut(log) {
            log.cover.see(cover.first, cover.accepts);
        }
        if let Some(own) = interface.and_then(|interface| self.of(interface, log)) {
            own.merge(cover);
        }
    }

    /// A stretch of time in which something of a flow log could not be read: of this interface where that is known. Of a file
    /// whose name tells no flow log it may be any of those without a name.
    pub fn unread(
        &mut self,
        flow_log: Option<&str>,
        interface: Option<&str>,
        (start, end): (Timestamp, Timestamp),
    ) {
        for log in self.named(flow_log) {
            let cover = match interface {
                Some(interface) => self.of(interface, log),
                None => self.logs.get_mut(log).map(|log| &mut log.cover),
            };
            cover.into_iter().for_each(|cover| cover.lacks(Gap::Unread, start, end));
        }
    }

    /// The numbers of the flow logs of this name, or of all without one.
    fn named(&self, flow_log: Option<&str>) -> Vec<usize> {
        let is_it = |log: &Log| match (&log.name, flow_log) {
            (LogName::FlowLog(id), Some(flow_log)) => id == flow_log,
            (LogName::Unnamed(_), None) => true,
            _ => false,
        };
        self.logs.iter().enumerate().filter(|(_, log)| is_it(log)).map(|(number, _)| number).collect()
    }

    /// Takes what another has found.
    pub fn merge(&mut self, other: &Coverage) {
        let mut numbers = Vec::with_capacity(other.logs.len());
        for theirs in &other.logs {
            let number = self.log(&theirs.name);
            numbers.push(number);
            if let Some(log) = self.logs.get_mut(number) {
                log.cover.merge(&theirs.cover);
            }
        }
        for (interface, number) in &other.interfaces {
            for (log, theirs) in other.by_interface.get(*number).into_iter().flatten() {
                let own = numbers.get(*log).and_then(|log| self.of(interface, *log));
                own.into_iter().for_each(|own| own.merge(theirs));
            }
        }
    }

    /// The number by which [`Coverage::tell`] knows an interface.
    pub fn number(&self, interface: &str) -> Option<usize> {
        self.interfaces.get(interface).copied()
    }

    /// Tells of a record of this interface, by its number, what is known of its logs. `reach` is how far back, seconds, they must go for
    /// "no mirror" to mean anything: the idle timeout that applies.
    pub fn tell(
        &self,
        interface: usize,
        (start, end): (Timestamp, Timestamp),
        reach: i64,
        evidence: &mut Evidence,
    ) {
        let (back, until) = (start.saturating_sub(reach), end.saturating_add(SLACK));
        for (log, own) in self.by_interface.get(interface).into_iter().flatten() {
            let Some(log) = self.logs.get(*log) else { continue };
            // Of one that has a name all interfaces have the same traffic type.
            let accepts = own.accepts || (log.cover.accepts && matches!(log.name, LogName::FlowLog(_)));
            if !accepts {
                continue;
            }
            let gaps = [&own.gaps, &log.cover.gaps];
            let last_gap = gaps.iter().filter_map(|gaps| gaps.last_end(end)).max();
            let since = last_gap.map_or(log.cover.first, |gap| gap.max(log.cover.first));
            let covered = start.saturating_sub(since).max(0);
            let gap = gaps.iter().filter_map(|gaps| gaps.between(back, until)).min();
            evidence.covered_back = evidence.covered_back.max(covered);
            evidence.complete |= gap.is_none() && covered >= reach;
            evidence.gap = evidence.gap.into_iter().chain(gap).min();
        }
        if evidence.complete {
            evidence.gap = None;
        }
    }
}
