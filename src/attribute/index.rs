//! Gathers the evidence for rejected records from all records, in whatever order they come.
//!
//! Two passes: [`EvidenceIndex::want`] with every rejected record, then [`EvidenceIndex::observe`] with every record; what
//! no rejected record asks for is not kept, but for the few records that the [filter](super::HashFilter) lets through by
//! accident, so memory is bounded by the rejected flows and not by the logs. Runs of ACCEPT records of one flow that follow
//! one another are joined as they are kept.
//!
//! Readers that share the work take the hashes of the rejected records first ([`EvidenceIndex::wanted_hashes`]), ask one
//! filter of them for each record, and give what passes to an index over that filter ([`EvidenceIndex::over`]).

use super::coverage::{Cover, Coverage, Gap, LogName};
use super::evidence::Evidence;
use super::long_runs::{Long, Sum, is_long, seen_of_long_flow, sums};
use super::record::{Action, Record, Role, closes};
use super::runs::{
    Closing, List, Of, Run, keep, keep_of, same_key, seen_of_flow, settle, settle_of, touching,
};
use super::wanted::{HashFilter, address_hash, flow_hash, name_hash, service_hash, zone_hash};
use crate::net::{TCP, has_ports};
use crate::network::Timestamp;
use crate::rules::Direction;
use hashbrown::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// A flow on one interface, the same for both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FlowKey {
    interface: u32,
    protocol: u8,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// All that a network ACL looks at in a TCP or UDP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServiceKey {
    direction: Direction,
    protocol: u8,
    remote: IpAddr,
    port: u16,
}

/// An address in one word: those of version 4 each another.
fn word(addr: &IpAddr) -> u64 {
    match addr {
        IpAddr::V4(addr) => u64::from(u32::from(*addr)),
        IpAddr::V6(addr) => {
            let bits = u128::from(*addr);
            (bits as u64) ^ ((bits >> 64) as u64).rotate_left(21)
        }
    }
}

// Few words to hash: keys are looked up for every rejected record.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let end = |(addr, port): &(IpAddr, u16)| word(addr) ^ (u64::from(*port) << 48);
        state.write_u64(end(&self.local).rotate_left(32) ^ end(&self.remote));
        state.write_u64((u64::from(self.interface) << 8) | u64::from(self.protocol));
    }
}

impl Hash for ServiceKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let rest = (u64::from(self.port) << 9) | (u64::from(self.protocol) << 1);
        state.write_u64(word(&self.remote) ^ (rest | u64::from(self.direction.is_egress())).rotate_left(32));
    }
}

#[derive(Debug, Default)]
struct Flow {
    ingress: List<Run>,
    egress: List<Run>,
    /// Where one of both has many runs, the sums of both, as they stand there.
    sums: Option<Box<[Vec<Sum>; 2]>>,
}

impl Flow {
    /// Settles the runs; what the sums take, bytes.
    fn settle(&mut self) -> usize {
        settle(&mut self.ingress);
        settle(&mut self.egress);
        let runs = [&self.ingress, &self.egress];
        self.sums = runs.iter().any(|runs| is_long(runs)).then(|| Box::new(runs.map(sums)));
        let sums = self.sums.iter().flat_map(|sums| sums.iter());
        sums.map(|sums| sums.capacity().saturating_mul(size_of::<Sum>())).sum()
    }

    /// What it shows of a record that went this way.
    fn show(&self, record: &Record<'_>, direction: Direction, found: &mut Evidence) {
        let [ingress, egress] = [&self.ingress, &self.egress];
        let Some([ingress_sums, egress_sums]) = self.sums.as_deref() else {
            return match direction {
                Direction::Ingress => seen_of_flow(record, ingress, egress, found),
                Direction::Egress => seen_of_flow(record, egress, ingress, found),
            };
        };
        let ingress = Long { runs: ingress, sums: ingress_sums };
        let egress = Long { runs: egress, sums: egress_sums };
        match direction {
            Direction::Ingress => seen_of_long_flow(record, ingress, egress, found),
            Direction::Egress => seen_of_long_flow(record, egress, ingress, found),
        }
    }
}

const EVERYWHERE: u32 = u32::MAX;

/// Accepted records with one key, by interface.
#[derive(Debug, Default)]
struct Service {
    accepted: List<(Of, Run)>,
}

/// Interfaces that share a network ACL: where to look for `SIBLING` (spec 8.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone<'a> {
    /// The id of the network ACL in force for the record's subnet, or of the subnet where that is not known.
    pub name: &'a str,
    /// The record's subnet, where it cannot be told whether the list applies to its packets: whether it does is the same for
    /// the subnet's other interfaces, and for no others.
    pub within: Option<&'a str>,
}

impl<'a> Zone<'a> {
    /// All interfaces of one name.
    pub fn of(name: &'a str) -> Self {
        Zone { name, within: None }
    }
}

/// The ways that an ACCEPT of no known direction may have gone. It is kept as if it had gone either: one 5-tuple goes one way at an
/// interface (spec 4.2), so that only the rejected records of its own flow find it. What it shows of others hangs on the direction.
pub const EITHER_WAY: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Of what an ACCEPT is wanted for, its flow and nothing else.
pub const FLOW_ALONE: [bool; 3] = [true, false, false];

/// The log of an index that is all that there is.
const ONE_LOG: LogName = LogName::FlowLog(String::new());

/// The bit of RST in `tcp-flags`.
const RST: u16 = 4;

/// The index.
#[derive(Debug, Default)]
pub struct EvidenceIndex {
    /// Hashes of what is wanted, until the filter is made of them: flows, and services with their time.
    flow_hashes: Vec<u64>,
    service_hashes: Vec<(u64, Timestamp, Timestamp)>,
    wanted: Arc<HashFilter>,
    names: HashMap<String, u32>,
    name_list: Vec<String>,
    flows: HashMap<FlowKey, Flow>,
    services: HashMap<(u32, ServiceKey), Service>,
    zones: HashMap<(u32, ServiceKey), Service>,
    own_addresses: HashMap<u32, HashSet<IpAddr>>,
    /// Bytes held by the lists beyond the first of each key.
    lists: usize,
    /// Of these, what the sums of flows take.
    sums: usize,
    /// Where the index is all that there is; readers that share the work keep their own.
    coverage: Coverage,
}

impl EvidenceIndex {
    /// An empty index.
    pub fn new() -> Self {
        EvidenceIndex::default()
    }

    fn name(&mut self, text: &str) -> u32 {
        if let Some(id) = self.names.get(text) {
            return *id;
        }
        let id = u32::try_from(self.name_list.len()).unwrap_or(u32::MAX);
        self.names.insert(text.to_string(), id);
        self.name_list.push(text.to_string());
        id
    }

    /// `None` where the record does not show its flow: without an address, or a port of TCP and UDP.
    fn flow_key(interface: u32, record: &Record<'_>, direction: Direction) -> Option<FlowKey> {
        if has_ports(record.protocol) && !record.ports_known() {
            return None;
        }
        let own = record.endpoint(direction)?;
        let (local, remote) = match direction {
            Direction::Ingress => {
                ((own, record.dst_port), (record.src.or(record.packet_src)?, record.src_port))
            }
            Direction::Egress => {
                ((own, record.src_port), (record.dst.or(record.packet_dst)?, record.dst_port))
            }
        };
        Some(FlowKey { interface, protocol: record.protocol, local, remote })
    }

    fn service_key(record: &Record<'_>, direction: Direction) -> Option<ServiceKey> {
        let remote = record.remotes(direction).0?;
        record.key_is_whole().then_some(ServiceKey {
            direction,
            protocol: record.protocol,
            remote,
            port: record.dst_port,
        })
    }

    /// An index for what this filter lets through.
    pub fn over(wanted: Arc<HashFilter>) -> Self {
        EvidenceIndex { wanted, ..EvidenceIndex::default() }
    }

    /// The hashes of what is wanted for a rejected record: its flow, and over its time its service and that in its zone.
    pub fn wanted_hashes(record: &Record<'_>, zone: Option<&str>) -> [Option<u64>; 3] {
        let (Some(id), Some(direction)) = (record.interface_id, record.direction) else { return [None; 3] };
        let interface = name_hash(id);
        let flow = EvidenceIndex::flow_key(0, record, direction).map(|key| {
            let end = |(addr, port): (IpAddr, u16)| (address_hash(&addr), port);
            flow_hash(interface, record.protocol, end(key.local), end(key.remote))
        });
        let remote = record.remotes(direction).0.filter(|_| record.key_is_whole());
        let Some(remote) = remote.map(|remote| address_hash(&remote)) else { return [flow, None, None] };
        let (protocol, port) = (record.protocol, record.dst_port);
        let service = service_hash(interface, protocol, direction, remote, port);
        let zone = zone.map(|zone| zone_hash(name_hash(zone), protocol, direction, remote, port));
        [flow, Some(service), zone]
    }

    /// First pass: a rejected record whose evidence will be asked for.
    pub fn want(&mut self, record: &Record<'_>, zone: Option<&str>) {
        let [flow, service, zone] = EvidenceIndex::wanted_hashes(record, zone);
        self.flow_hashes.extend(flow);
        let services = service.into_iter().chain(zone);
        self.service_hashes.extend(services.map(|hash| (hash, record.start, record.end)));
        self.wanted = Arc::default();
    }

    /// An interval for which records of an interface are missing (SKIPDATA).
    pub fn missing(&mut self, interface_id: &str, start: Timestamp, end: Timestamp) {
        let mut cover = Cover::NOTHING;
        cover.lacks(Gap::Skipped, start, end);
        self.coverage.add(Some(interface_id), &ONE_LOG, &cover);
    }

    /// Second pass: every record. `subnet` is the record's subnet where the log or the configuration tells. `zone` is where
    /// an ACCEPT shows that a network ACL lets its key through: none where no list applies to it. `steady` is whether the
    /// interface's rules were the same all the time: else an ACCEPT shows nothing of other records with its key.
    pub fn observe(
        &mut self,
        record: &Record<'_>,
        zone: Option<Zone<'_>>,
        subnet: Option<&str>,
        steady: bool,
    ) {
        let Some(id) = record.interface_id else { return };
        // NODATA shows as well that the interface was logged then.
        let mut cover = Cover::NOTHING;
        let is_accept = record.log_status_ok && record.action == Action::Accept;
        cover.see(record.start, is_accept && record.direction.is_some());
        self.coverage.add(Some(id), &ONE_LOG, &cover);
        if !record.log_status_ok {
            return;
        }
        let local = record.direction.and_then(|direction| record.shown(direction));
        if let (Some(subnet), Some(local)) = (subnet, local) {
            self.own_address(subnet, local);
        }
        if record.action != Action::Accept {
            return;
        }
        if self.wanted.is_empty() && !(self.flow_hashes.is_empty() && self.service_hashes.is_empty()) {
            let wanted = HashFilter::new(self.flow_hashes.len() + 2 * self.service_hashes.len());
            self.flow_hashes.iter().for_each(|hash| wanted.insert(*hash));
            for (hash, start, end) in &self.service_hashes {
                wanted.want_over(*hash, *start, *end).for_each(|hash| wanted.insert(hash));
            }
            self.wanted = Arc::new(wanted);
        }
        if let Some(direction) = record.direction {
            self.keep(record, id, direction, zone, steady);
            return;
        }
        for direction in EITHER_WAY {
            let [flow, ..] =
                EvidenceIndex::wanted_hashes(&Record { direction: Some(direction), ..*record }, None);
            if flow.is_some_and(|hash| self.wanted.may_contain(hash)) {
                let interface = self.name(id);
                self.keep_wanted(record, interface, direction, None, steady, FLOW_ALONE);
            }
        }
    }

    /// An address of an interface in the subnet.
    pub fn own_address(&mut self, subnet: &str, addr: IpAddr) {
        let subnet = self.name(subnet);
        self.own_addresses.entry(subnet).or_default().insert(addr);
    }

    /// Keeps an ACCEPT at this interface as far as it may be wanted; `zone` and `steady` as for [`EvidenceIndex::observe`].
    pub fn keep(
        &mut self,
        record: &Record<'_>,
        id: &str,
        direction: Direction,
        zone: Option<Zone<'_>>,
        steady: bool,
    ) {
        let [flow, service, in_zone] = EvidenceIndex::wanted_hashes(record, zone.map(|zone| zone.name));
        let over = |hash: u64| self.wanted.may_contain_over(hash, record.start, record.end);
        let wanted = [
            flow.is_some_and(|hash| self.wanted.may_contain(hash)),
            service.is_some_and(over),
            in_zone.is_some_and(over),
        ];
        if wanted.contains(&true) {
            let interface = self.name(id);
            self.keep_wanted(record, interface, direction, zone, steady, wanted);
        }
    }

    /// The number by which the index knows an interface.
    pub fn number(&mut self, id: &str) -> u32 {
        self.name(id)
    }

    /// Keeps an ACCEPT at the interface of this number whose flow, service, or service in its zone the filter lets through.
    pub fn keep_wanted(
        &mut self,
        record: &Record<'_>,
        interface: u32,
        direction: Direction,
        zone: Option<Zone<'_>>,
        steady: bool,
        [flow, service, in_zone]: [bool; 3],
    ) {
        let (service, in_zone) = (service && steady, in_zone && steady);
        if !(flow || service || in_zone) {
            return;
        }
        let run = Run {
            start: record.start,
            end: record.end.max(record.start),
            role: record.role(),
            closing: match record.tcp_flags.filter(|flags| closes(*flags) && record.protocol == TCP) {
                None => Closing::No,
                Some(flags) if flags & RST != 0 => Closing::Reset,
                Some(_) => Closing::Fin,
            },
        };
        if flow && let Some(key) = EvidenceIndex::flow_key(interface, record, direction) {
            let flow = self.flows.entry(key).or_default();
            let runs = match direction {
                Direction::Ingress => &mut flow.ingress,
                Direction::Egress => &mut flow.egress,
            };
            let before = runs.memory();
            keep(runs, run);
            self.lists = self.lists.saturating_add(runs.memory().saturating_sub(before));
        }
        let Some(key) = EvidenceIndex::service_key(record, direction).filter(|_| service || in_zone) else {
            return;
        };
        let run = Run { closing: Closing::No, ..run };
        if in_zone && let Some(zone) = zone {
            let run = Run { role: Role::Unknown, ..run };
            let of = (interface, zone.within.map_or(EVERYWHERE, |subnet| self.name(subnet)));
            let zone = self.name(zone.name);
            let accepted = &mut self.zones.entry((zone, key.clone())).or_default().accepted;
            let before = accepted.memory();
            keep_of(accepted, of, run);
            self.lists = self.lists.saturating_add(accepted.memory().saturating_sub(before));
        }
        if service {
            let of = (interface, EVERYWHERE);
            let accepted = &mut self.services.entry((interface, key)).or_default().accepted;
            let before = accepted.memory();
            keep_of(accepted, of, run);
            self.lists = self.lists.saturating_add(accepted.memory().saturating_sub(before));
        }
    }

    /// Settles what was observed, so that the order of the records leaves no trace. Call once after the last record.
    pub fn finish(&mut self) {
        self.sums = self.flows.values_mut().map(Flow::settle).sum();
        self.lists = self.lists.saturating_add(self.sums);
        for service in self.services.values_mut().chain(self.zones.values_mut()) {
            settle_of(&mut service.accepted);
        }
    }

    /// Gives back what [`finish`](EvidenceIndex::finish) made for speed alone.
    pub fn forget_sums(&mut self) {
        self.flows.values_mut().for_each(|flow| flow.sums = None);
        self.lists = self.lists.saturating_sub(std::mem::take(&mut self.sums));
    }

    /// Bytes held, about: keys and runs, as they were kept.
    pub fn memory(&self) -> usize {
        let flows = self.flows.capacity().saturating_mul(size_of::<(FlowKey, Flow)>());
        let services = self.services.capacity().saturating_add(self.zones.capacity());
        let services = services.saturating_mul(size_of::<((u32, ServiceKey), Service)>());
        flows.saturating_add(services).saturating_add(self.lists)
    }

    /// The evidence about a record that was wanted; `reach` as in [`Coverage::tell`]. What only the caller knows (8.10) is left
    /// unset.
    pub fn evidence(
        &self,
        record: &Record<'_>,
        zone: Option<Zone<'_>>,
        subnet: Option<&str>,
        reach: i64,
    ) -> Evidence {
        let known = |name: Option<&str>| name.and_then(|name| self.known(name));
        let numbers = [known(record.interface_id), known(zone.map(|zone| zone.name)), known(subnet)];
        let mut found = self.evidence_at(record, numbers, zone);
        if let Some(interface) = record.interface_id.and_then(|id| self.coverage.number(id)) {
            EvidenceIndex::tell_coverage(&self.coverage, interface, record, reach, &mut found);
        }
        found
    }

    /// What the logs of a record's interface, by its number in `coverage`, cover. Nothing could have been found for a record that does
    /// not show its flow: that says nothing (as S15).
    pub fn tell_coverage(
        coverage: &Coverage,
        interface: usize,
        record: &Record<'_>,
        reach: i64,
        found: &mut Evidence,
    ) {
        let Some(direction) = record.direction else { return };
        coverage.tell(interface, (record.start, record.end), reach, found);
        found.complete &= EvidenceIndex::flow_key(0, record, direction).is_some();
    }

    /// The number of an interface or zone of which something was kept.
    pub fn known(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// [`EvidenceIndex::evidence`] but for what logs cover, where the numbers of the interface, of the zone and of the subnet are known
    /// already.
    pub fn evidence_at(
        &self,
        record: &Record<'_>,
        [interface, zone_number, subnet]: [Option<u32>; 3],
        zone: Option<Zone<'_>>,
    ) -> Evidence {
        let mut found = Evidence::default();
        let (Some(_), Some(direction)) = (record.interface_id, record.direction) else { return found };
        if let Some(interface) = interface {
            self.flow_evidence(record, direction, interface, &mut found);
        }
        if let (Some(subnet), Some(remote)) = (subnet, record.remotes(direction).0) {
            found.intra_subnet = self.own_addresses.get(&subnet).is_some_and(|own| own.contains(&remote));
        }
        if let Some(key) = EvidenceIndex::service_key(record, direction) {
            found.same_key = interface
                .and_then(|interface| self.services.get(&(interface, key.clone())))
                .and_then(|service| same_key(&service.accepted, record.start, record.end));
            if let Some(zone) = zone
                && let Some(name) = zone_number
                && let Some(service) = self.zones.get(&(name, key))
            {
                let within = zone.within.and_then(|subnet| self.names.get(subnet).copied());
                let counts = |((other, only), _): &&(Of, Run)| {
                    (*only == EVERYWHERE || Some(*only) == within) && Some(*other) != interface
                };
                // Inside a subnet no list applies, so a neighbour's ACCEPT says nothing of it.
                if !found.intra_subnet {
                    let overlapping = touching(&service.accepted, record.start, record.end);
                    found.sibling = (overlapping.filter(counts))
                        .filter_map(|((other, _), _)| self.name_list.get(*other as usize))
                        .min()
                        .cloned();
                }
            }
        }
        found
    }

    fn flow_evidence(&self, record: &Record<'_>, direction: Direction, interface: u32, found: &mut Evidence) {
        let Some(flow) =
            EvidenceIndex::flow_key(interface, record, direction).and_then(|key| self.flows.get(&key))
        else {
            return;
        };
        flow.show(record, direction, found);
    }
}
