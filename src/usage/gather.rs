//! Records into conversations, in any order and by any number of threads.

use super::conversation::{ConversationKey, Part, PartKey, Totals};
use super::plan::Plan;
use super::presence::Presence;
use super::role::{Certainty, Side, side};
use super::settle::{Ends, OpenPart, Services, note_services};
use super::spill::{Run, settle_order};
use super::stray::Strays;
use crate::attribute::{Action, Record, RejectReason, by_configuration};
use crate::network::{NetworkInterface, View};
use crate::rules::Direction;
use hashbrown::HashMap;
use std::io;
use std::sync::Arc;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Records of interfaces that the configuration lacks at that time.
    pub outside: u64,
    /// Records whose direction is not known.
    pub undirected: u64,
    /// Records that tell of skipped data.
    pub skipped: u64,
    /// Flows without any time, which belong to no version of the configuration.
    pub undated: u64,
}

/// Gathers records; one for each thread.
#[derive(Debug)]
pub struct Gatherer {
    plan: Arc<Plan>,
    pub(super) known: HashMap<(ConversationKey, PartKey), Totals>,
    /// Those of which it is not known yet who began.
    pub(super) open: HashMap<(Ends, Direction, bool), Totals>,
    /// What was put on disk.
    pub(super) runs: Vec<Run<Part>>,
    /// What was put on disk of those of which it is not known yet who began.
    pub(super) open_runs: Vec<Run<OpenPart>>,
    /// Services of what was put on disk: sure, likely.
    pub(super) services: Services,
    pub(super) presence: Presence,
    pub(super) counts: Counts,
    /// Accepted traffic of interfaces that the configuration lacks.
    pub(super) strays: Strays,
    /// The interface's version at the epoch asked for last.
    interfaces: Vec<Option<(usize, Option<Arc<NetworkInterface>>)>>,
}

impl Gatherer {
    /// An empty one.
    pub fn new(plan: Arc<Plan>) -> Gatherer {
        let interfaces = vec![None; plan.interfaces()];
        Gatherer {
            plan,
            known: HashMap::new(),
            open: HashMap::new(),
            runs: Vec::new(),
            open_runs: Vec::new(),
            services: Services::default(),
            presence: Presence::default(),
            counts: Counts::default(),
            strays: Strays::default(),
            interfaces,
        }
    }

    /// The bytes it holds, about.
    pub fn memory(&self) -> usize {
        let known = std::mem::size_of::<(ConversationKey, PartKey, Totals)>();
        let open = std::mem::size_of::<(Ends, Direction, bool, Totals)>();
        let map = |capacity: usize, entry: usize| capacity.saturating_mul(entry.saturating_add(2));
        let maps = map(self.known.capacity(), known).saturating_add(map(self.open.capacity(), open));
        maps.saturating_add(self.strays.memory())
    }

    /// The parts in memory, no longer held.
    pub(super) fn take_known(&mut self) -> Vec<Part> {
        let known = std::mem::take(&mut self.known).into_iter();
        known.map(|((key, of), totals)| Part { key, of, totals }).collect()
    }

    /// The same of those of which it is not known yet who began.
    pub(super) fn take_open(&mut self) -> Vec<OpenPart> {
        let open = std::mem::take(&mut self.open).into_iter();
        open.map(|((ends, direction, rejected), totals)| OpenPart { ends, direction, rejected, totals })
            .collect()
    }

    /// Puts on disk what is in memory.
    ///
    /// # Errors
    /// Those of writing to the folder for temporary files.
    pub fn spill(&mut self) -> io::Result<()> {
        let mut parts = self.take_known();
        if !parts.is_empty() {
            settle_order(&mut parts);
            note_services(&mut self.services, &parts);
            self.runs.push(Run::write(&parts)?);
        }
        drop(parts);
        let mut open = self.take_open();
        if !open.is_empty() {
            settle_order(&mut open);
            self.open_runs.push(Run::write(&open)?);
        }
        Ok(())
    }

    /// Leaves a record out that has no time.
    pub fn leave_undated(&mut self) {
        self.counts.undated = self.counts.undated.saturating_add(1);
    }

    /// Takes a record in; `skipped` says that it tells of skipped data (`SKIPDATA`).
    pub fn observe(&mut self, record: &Record<'_>, skipped: bool) {
        self.counts.records = self.counts.records.saturating_add(1);
        self.counts.skipped = self.counts.skipped.saturating_add(skipped.into());
        self.presence.window(record.start, record.end);
        let Some(interface) = record.interface_id.and_then(|id| self.plan.number(id)) else {
            self.stray(record);
            return;
        };
        self.presence.see(interface, record, skipped);
        let rejected = match record.action {
            Action::Accept => false,
            Action::Reject => true,
            Action::Other => return,
        };
        // What Block Public Access or encryption controls dropped tells nothing of the rules.
        if !record.log_status_ok || matches!(record.reject_reason, RejectReason::Named(_)) {
            return;
        }
        let view = View { at: record.start, after: false };
        // A capture in the midst of the logs that finds everything as before makes no conversation two.
        let (epoch, _) = self.plan.network().version_key(view);
        let Some(version) = self.version(interface, epoch, view) else {
            self.stray(record);
            return;
        };
        let inferred = || by_configuration(&version, record.src?, record.dst?);
        let found = record.direction.or_else(inferred);
        let Some((direction, remote)) =
            found.and_then(|direction| Some((direction, record.remotes(direction).0?)))
        else {
            self.counts.undirected = self.counts.undirected.saturating_add(1);
            return;
        };
        let epoch = u32::try_from(epoch).unwrap_or(u32::MAX);
        match side(record) {
            Some((side, certainty)) => {
                let (began, port, client) = match side {
                    Side::Request => (direction, record.dst_port, record.src_port),
                    Side::Reply => (direction.opposite(), record.src_port, record.dst_port),
                };
                let key = ConversationKey {
                    interface,
                    epoch,
                    direction: began,
                    protocol: record.protocol,
                    port: Some(port),
                    remote,
                };
                let of = PartKey { side, rejected, client: self.plan.first_port(client) };
                let totals = Totals::of(record, certainty);
                self.known.entry((key, of)).and_modify(|sum| sum.add(&totals)).or_insert(totals);
            }
            None => {
                let has_ports = record.ports_known();
                let (own_port, remote_port) = match (has_ports, direction) {
                    (false, _) => (0, 0),
                    (true, Direction::Ingress) => (record.dst_port, record.src_port),
                    (true, Direction::Egress) => (record.src_port, record.dst_port),
                };
                let protocol = record.protocol;
                let ends = Ends { interface, protocol, has_ports, remote, remote_port, own_port, epoch };
                let totals = Totals::of(record, Certainty::Guess);
                let slot = self.open.entry((ends, direction, rejected));
                slot.and_modify(|sum| sum.add(&totals)).or_insert(totals);
            }
        }
    }

    /// A record of an interface that the configuration lacks.
    fn stray(&mut self, record: &Record<'_>) {
        self.counts.outside = self.counts.outside.saturating_add(1);
        if record.action == Action::Accept && record.log_status_ok {
            let plan = Arc::clone(&self.plan);
            self.strays.observe(record, |port| plan.first_port(port));
        }
    }

    fn version(&mut self, interface: u32, epoch: usize, view: View) -> Option<Arc<NetworkInterface>> {
        let slot = self.interfaces.get_mut(interface as usize)?;
        if let Some((known, version)) = slot
            && *known == epoch
        {
            return version.clone();
        }
        let id = self.plan.interface_id(interface);
        let found = self.plan.network().interfaces.get(id, view).map(|found| Arc::clone(found.value));
        *slot = Some((epoch, found.clone()));
        found
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
