//! Records into conversations: who talks to which service at which interface, with sums for each direction.
//!
//! A conversation is all the connections between one remote address and one port of a service at one interface, while the
//! configuration stays the same. The client's port is kept only as far as rules can tell ports apart, so that memory grows
//! with who talks to whom and not with the number of connections.

use super::ports::Stretches;
use super::presence::Presence;
use super::role::{Certainty, Side, by_ports, side};
use super::spill::{Merged, Run};
use crate::attribute::{Action, Record, RejectReason, by_configuration};
use crate::network::{Network, NetworkInterface, Timestamp, View};
use crate::rules::{Direction, Packet};
use hashbrown::{HashMap, HashSet};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// What conversations are gathered for: the network whose rules are asked, and how its rules cut the ports.
#[derive(Debug)]
pub struct Plan {
    network: Arc<Network>,
    stretches: Stretches,
    numbers: HashMap<String, u32>,
    ids: Vec<String>,
}

impl Plan {
    /// For the rules of this network, and of another one that they are to be compared with.
    pub fn new(network: Arc<Network>, other: Option<&Network>) -> Plan {
        let mut networks = vec![network.as_ref()];
        networks.extend(other);
        let stretches = Stretches::new(&networks);
        let ids: Vec<String> = network.interfaces.timelines().map(|(id, _)| id.to_owned()).collect();
        let numbers = ids.iter().cloned().zip(0u32..).collect();
        Plan { network, stretches, numbers, ids }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, shared.
    pub fn shared_network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// The ports that no rule tells from this one.
    pub fn stretch(&self, port: u16) -> crate::net::PortRange {
        self.stretches.stretch(port)
    }

    pub(super) fn interface_id(&self, number: u32) -> &str {
        self.ids.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn number(&self, interface_id: &str) -> Option<u32> {
        self.numbers.get(interface_id).copied()
    }
}

/// Who talks to which service, at which interface, under which version of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationKey {
    pub(super) interface: u32,
    pub(super) epoch: u32,
    /// Which way the first packet went, seen from the interface.
    pub direction: Direction,
    /// Protocol number.
    pub protocol: u8,
    /// The service's port; `None` where the protocol has none, or where it is not known.
    pub port: Option<u16>,
    /// The other end.
    pub remote: IpAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartKey {
    pub(super) side: Side,
    pub(super) rejected: bool,
    /// First port of the stretch in which the client's port lies.
    pub(super) client: u16,
}

/// Sums over records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Flow log records.
    pub records: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// First second.
    pub first: Timestamp,
    /// Last second.
    pub last: Timestamp,
    /// How sure it is which end began.
    pub certainty: Certainty,
    /// Every record carried TCP flags.
    pub flagged: bool,
}

impl Totals {
    fn of(record: &Record<'_>, certainty: Certainty) -> Totals {
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        Totals {
            records: 1,
            packets: count(record.packets),
            bytes: count(record.bytes),
            first: record.start,
            last: record.end.max(record.start),
            certainty,
            flagged: record.tcp_flags.is_some(),
        }
    }

    /// Takes others in.
    pub fn add(&mut self, other: &Totals) {
        self.records = self.records.saturating_add(other.records);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.certainty = self.certainty.max(other.certainty);
        self.flagged &= other.flagged;
    }
}

/// The packets of a conversation that went one way, were treated alike, and look alike to every rule.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub(super) key: ConversationKey,
    pub(super) of: PartKey,
    /// Their sums.
    pub totals: Totals,
}

impl Part {
    /// Which way they went.
    pub fn side(&self) -> Side {
        self.of.side
    }

    /// Whether they were rejected.
    pub fn is_rejected(&self) -> bool {
        self.of.rejected
    }

    /// The first of the ports among which the client's is.
    pub fn client_port(&self) -> u16 {
        self.of.client
    }

    /// One of the packets, as the filters of its direction see it.
    pub fn packet(&self) -> Packet {
        let key = &self.key;
        let (direction, port) = match self.of.side {
            Side::Request => (key.direction, key.port),
            Side::Reply => (key.direction.opposite(), key.port.map(|_| self.of.client)),
        };
        Packet { direction, remote: key.remote, protocol: key.protocol, port, icmp: None }
    }
}

/// All parts of one conversation.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'t> {
    /// What it is.
    pub key: &'t ConversationKey,
    /// Its parts.
    pub parts: &'t [Part],
}

impl Conversation<'_> {
    /// The first packet's look: what groups judge.
    pub fn packet(&self) -> Packet {
        let key = self.key;
        Packet {
            direction: key.direction,
            remote: key.remote,
            protocol: key.protocol,
            port: key.port,
            icmp: None,
        }
    }

    /// The sums of the parts for which this is true; `None` where it is true of none.
    pub fn sum(&self, of: impl Fn(&Part) -> bool) -> Option<Totals> {
        let mut parts = self.parts.iter().filter(|part| of(part));
        let mut sum = parts.next()?.totals;
        parts.for_each(|part| sum.add(&part.totals));
        Some(sum)
    }

    /// When it was seen first.
    pub fn first(&self) -> Timestamp {
        self.parts.iter().map(|part| part.totals.first).min().unwrap_or_default()
    }

    /// When it was seen last.
    pub fn last(&self) -> Timestamp {
        self.parts.iter().map(|part| part.totals.last).max().unwrap_or_default()
    }

    /// How sure it is who began.
    pub fn certainty(&self) -> Certainty {
        self.parts.iter().map(|part| part.totals.certainty).max().unwrap_or(Certainty::Guess)
    }
}

/// Two ends of which it is not known yet which began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ends {
    interface: u32,
    epoch: u32,
    protocol: u8,
    has_ports: bool,
    remote: IpAddr,
    own_port: u16,
    remote_port: u16,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Records of interfaces that the configuration lacks at that time.
    pub outside: u64,
    /// Records whose direction is not known.
    pub undirected: u64,
}

/// Gathers records; one for each thread.
#[derive(Debug)]
pub struct Gatherer {
    plan: Arc<Plan>,
    known: HashMap<(ConversationKey, PartKey), Totals>,
    open: HashMap<(Ends, Direction, bool), Totals>,
    /// What was put on disk.
    runs: Vec<Run>,
    /// Services of what was put on disk: sure, likely.
    services: Services,
    presence: Presence,
    counts: Counts,
    /// The interface's version at the epoch asked for last.
    interfaces: Vec<Option<(usize, Option<Arc<NetworkInterface>>)>>,
}

impl Gatherer {
    /// An empty one.
    pub fn new(plan: Arc<Plan>) -> Gatherer {
        let interfaces = vec![None; plan.ids.len()];
        Gatherer {
            plan,
            known: HashMap::new(),
            open: HashMap::new(),
            runs: Vec::new(),
            services: Services::default(),
            presence: Presence::default(),
            counts: Counts::default(),
            interfaces,
        }
    }

    /// The bytes it holds, about.
    pub fn memory(&self) -> usize {
        let known = std::mem::size_of::<(ConversationKey, PartKey, Totals)>();
        let open = std::mem::size_of::<(Ends, Direction, bool, Totals)>();
        let map = |capacity: usize, entry: usize| capacity.saturating_mul(entry.saturating_add(2));
        map(self.known.capacity(), known).saturating_add(map(self.open.capacity(), open))
    }

    /// Puts on disk what can be.
    ///
    /// # Errors
    /// Those of writing to the folder for temporary files.
    pub fn spill(&mut self) -> io::Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        let known = std::mem::take(&mut self.known).into_iter();
        let mut parts: Vec<Part> = known.map(|((key, of), totals)| Part { key, of, totals }).collect();
        parts.sort_unstable_by_key(|part| (part.key, part.of));
        note_services(&mut self.services, &parts);
        self.runs.push(Run::write(&parts)?);
        Ok(())
    }

    /// Takes a record in; `skipped` says that it tells of skipped data (`SKIPDATA`).
    pub fn observe(&mut self, record: &Record<'_>, skipped: bool) {
        self.counts.records = self.counts.records.saturating_add(1);
        self.presence.window(record.start, record.end);
        let Some(interface) = record.interface_id.and_then(|id| self.plan.number(id)) else {
            self.counts.outside = self.counts.outside.saturating_add(1);
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
        let (epoch, _) = self.plan.network.view_key(view);
        let Some(version) = self.version(interface, epoch, view) else {
            self.counts.outside = self.counts.outside.saturating_add(1);
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
                let of = PartKey { side, rejected, client: self.plan.stretches.first(client) };
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
                let ends = Ends { interface, epoch, protocol, has_ports, remote, own_port, remote_port };
                let totals = Totals::of(record, Certainty::Guess);
                let slot = self.open.entry((ends, direction, rejected));
                slot.and_modify(|sum| sum.add(&totals)).or_insert(totals);
            }
        }
    }

    fn version(&mut self, interface: u32, epoch: usize, view: View) -> Option<Arc<NetworkInterface>> {
        let slot = self.interfaces.get_mut(interface as usize)?;
        if let Some((known, version)) = slot
            && *known == epoch
        {
            return version.clone();
        }
        let id = self.plan.ids.get(interface as usize)?;
        let found = self.plan.network.interfaces.get(id, view).map(|found| Arc::clone(found.value));
        *slot = Some((epoch, found.clone()));
        found
    }
}

/// All conversations, in an order of their own.
#[derive(Debug)]
pub struct Traffic {
    plan: Arc<Plan>,
    /// In order; empty where they are in `runs`.
    parts: Vec<Part>,
    runs: Vec<Run>,
    presence: Presence,
    counts: Counts,
}

/// So many parts are read back from disk and worked on at a time.
const BATCH: usize = 1 << 18;

impl Traffic {
    /// Puts together what several threads gathered. Which of them saw a record does not matter.
    ///
    /// # Errors
    /// Those of temporary files, where there were too many conversations for memory.
    pub fn new(plan: Arc<Plan>, gathered: Vec<Gatherer>) -> io::Result<Traffic> {
        let spilled = gathered.iter().any(|one| !one.runs.is_empty());
        let mut parts: Vec<Part> = Vec::new();
        let mut runs = Vec::new();
        let mut services = Services::default();
        let mut open: HashMap<(Ends, Direction, bool), Totals> = HashMap::new();
        let mut presence = Presence::default();
        let mut counts = Counts::default();
        for mut one in gathered {
            if spilled {
                one.spill()?;
            }
            runs.append(&mut one.runs);
            services.iter_mut().zip(one.services).for_each(|(ours, theirs)| ours.extend(theirs));
            parts.extend(one.known.into_iter().map(|((key, of), totals)| Part { key, of, totals }));
            for (key, totals) in one.open {
                open.entry(key).and_modify(|sum| sum.add(&totals)).or_insert(totals);
            }
            presence.merge(one.presence);
            counts.records = counts.records.saturating_add(one.counts.records);
            counts.outside = counts.outside.saturating_add(one.counts.outside);
            counts.undirected = counts.undirected.saturating_add(one.counts.undirected);
        }
        if !open.is_empty() {
            note_services(&mut services, &parts);
            settle(&plan, open, &services, &mut parts);
        }
        parts.par_sort_unstable_by_key(|part| (part.key, part.of));
        if spilled {
            runs.push(Run::write(&parts)?);
            parts = Vec::new();
        }
        parts.dedup_by(|later, earlier| {
            let same = later.key == earlier.key && later.of == earlier.of;
            if same {
                earlier.totals.add(&later.totals);
            }
            same
        });
        Ok(Traffic { plan, parts, runs, presence, counts })
    }

    /// What it was gathered for.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// When which interface was seen.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What was read.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Works on all conversations with as many threads as there are processors, each with a state of its own.
    pub(super) fn each<S: Send>(
        &self,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, Conversation<'_>) + Sync,
    ) -> io::Result<Vec<S>> {
        let threads = rayon::current_num_threads().max(1);
        let mut states: Vec<S> = (0..threads).map(|_| new()).collect();
        let mut work_on = |parts: &[Part]| {
            let shards = shards(parts, threads);
            states.par_iter_mut().zip(shards).for_each(|(state, shard)| {
                conversations_of(shard).for_each(|conversation| work(state, conversation));
            });
        };
        if self.runs.is_empty() {
            work_on(&self.parts);
            return Ok(states);
        }
        let mut merged = Merged::new(&self.runs)?;
        let mut batch: Vec<Part> = Vec::with_capacity(BATCH);
        while let Some(part) = merged.next()? {
            // No conversation is cut in two.
            if batch.len() >= BATCH && batch.last().is_some_and(|last| last.key != part.key) {
                work_on(&batch);
                batch.clear();
            }
            batch.push(part);
        }
        work_on(&batch);
        Ok(states)
    }

    /// Every conversation.
    #[cfg(test)]
    pub(super) fn conversations(&self) -> impl Iterator<Item = Conversation<'_>> {
        assert!(self.runs.is_empty());
        conversations_of(&self.parts)
    }
}

/// At most so many stretches of whole conversations, alike in length.
fn shards(parts: &[Part], most: usize) -> Vec<&[Part]> {
    let size = parts.len().div_ceil(most.max(1)).max(1);
    let mut rest = parts;
    let mut found = Vec::with_capacity(most);
    while let Some(last) = rest.get(size.saturating_sub(1)).or(rest.last()) {
        let at = rest.partition_point(|part| part.key <= last.key);
        let Some((shard, behind)) = rest.split_at_checked(at) else { break };
        found.push(shard);
        rest = behind;
    }
    found
}

fn conversations_of(parts: &[Part]) -> impl Iterator<Item = Conversation<'_>> {
    parts
        .chunk_by(|one, next| one.key == next.key)
        .filter_map(|parts| Some(Conversation { key: &parts.first()?.key, parts }))
}

/// A service that was seen: interface, direction in which connections begin, protocol, port.
type Service = (u32, Direction, u8, u16);

/// Those that a SYN showed, and those that ports made likely.
type Services = [HashSet<Service>; 2];

fn note_services(services: &mut Services, parts: &[Part]) {
    let [sure, likely] = services;
    for part in parts {
        let key = &part.key;
        let Some(port) = key.port else { continue };
        let into = match part.totals.certainty {
            Certainty::Sure => &mut *sure,
            Certainty::Likely => &mut *likely,
            Certainty::Guess => continue,
        };
        into.insert((key.interface, key.direction, key.protocol, port));
    }
}

/// Says who began where the records alone did not tell.
fn settle(
    plan: &Plan,
    open: HashMap<(Ends, Direction, bool), Totals>,
    services: &Services,
    parts: &mut Vec<Part>,
) {
    let mut open: Vec<((Ends, Direction, bool), Totals)> = open.into_iter().collect();
    open.sort_unstable_by_key(|(key, _)| *key);
    // How many other ends each end is seen with: a service has many.
    let mut own: HashMap<(u32, u8, u16), u32> = HashMap::new();
    let mut remote: HashMap<(u32, u8, IpAddr, u16), u32> = HashMap::new();
    for pair in open.chunk_by(|one, next| one.0.0 == next.0.0) {
        let Some(((ends, ..), _)) = pair.first() else { continue };
        *own.entry((ends.interface, ends.protocol, ends.own_port)).or_default() += 1;
        *remote.entry((ends.interface, ends.protocol, ends.remote, ends.remote_port)).or_default() += 1;
    }
    for pair in open.chunk_by(|one, next| one.0.0 == next.0.0) {
        let Some(((ends, ..), _)) = pair.first() else { continue };
        let peers = |found: Option<&u32>| found.copied().unwrap_or(0);
        let of_own = peers(own.get(&(ends.interface, ends.protocol, ends.own_port)));
        let of_remote = peers(remote.get(&(ends.interface, ends.protocol, ends.remote, ends.remote_port)));
        let (began, certainty) = who_began(ends, pair, services, (of_own, of_remote));
        for ((_, direction, rejected), totals) in pair {
            let side = if *direction == began { Side::Request } else { Side::Reply };
            let (port, client) = match began {
                Direction::Ingress => (ends.own_port, ends.remote_port),
                Direction::Egress => (ends.remote_port, ends.own_port),
            };
            let key = ConversationKey {
                interface: ends.interface,
                epoch: ends.epoch,
                direction: began,
                protocol: ends.protocol,
                port: ends.has_ports.then_some(port),
                remote: ends.remote,
            };
            let of = PartKey { side, rejected: *rejected, client: plan.stretches.first(client) };
            parts.push(Part { key, of, totals: Totals { certainty, ..*totals } });
        }
    }
}

fn who_began(
    ends: &Ends,
    pair: &[((Ends, Direction, bool), Totals)],
    services: &Services,
    (of_own, of_remote): (u32, u32),
) -> (Direction, Certainty) {
    use Direction::{Egress, Ingress};
    if ends.has_ports {
        // What a SYN showed, then what the ports of this record say, then what those of others said.
        let [sure, likely] = services;
        let served = |services: &HashSet<Service>| {
            let own = services.contains(&(ends.interface, Ingress, ends.protocol, ends.own_port));
            let remote = services.contains(&(ends.interface, Egress, ends.protocol, ends.remote_port));
            match (own, remote) {
                (true, false) => Some(Ingress),
                (false, true) => Some(Egress),
                _ => None,
            }
        };
        let by_ports = || {
            by_ports(ends.remote_port, ends.own_port, ends.protocol).map(|side| match side {
                Side::Request => Ingress,
                Side::Reply => Egress,
            })
        };
        if let Some(direction) = served(sure).or_else(by_ports).or_else(|| served(likely)) {
            return (direction, Certainty::Likely);
        }
        if ends.own_port != ends.remote_port {
            if of_own >= 2 && of_remote < 2 {
                return (Ingress, Certainty::Likely);
            }
            if of_remote >= 2 && of_own < 2 {
                return (Egress, Certainty::Likely);
            }
        }
    }
    let first = |wanted: Direction| {
        let of = pair.iter().filter(|((_, direction, _), _)| *direction == wanted);
        of.map(|(_, totals)| totals.first).min()
    };
    match (first(Ingress), first(Egress)) {
        (Some(ingress), Some(egress)) if ingress < egress => (Ingress, Certainty::Likely),
        (Some(ingress), Some(egress)) if egress < ingress => (Egress, Certainty::Likely),
        (Some(_), None) => (Ingress, Certainty::Likely),
        (None, Some(_)) => (Egress, Certainty::Likely),
        // Both began in one second: the lower port is the likelier service.
        _ if ends.own_port > ends.remote_port => (Egress, Certainty::Guess),
        _ => (Ingress, Certainty::Guess),
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
