//! Gathers the evidence for rejected records from all records, in whatever order they come.
//!
//! Two passes: [`EvidenceIndex::want`] with every rejected record, then [`EvidenceIndex::observe`] with every record; what
//! no rejected record asks for is not kept, but for the few records that the [filter](super::HashFilter) lets through by
//! accident, so memory is bounded by the rejected flows and not by the logs. Runs of ACCEPT records of one flow that follow
//! one another are joined as they are kept.
//!
//! Readers that share the work take the hashes of the rejected records first ([`EvidenceIndex::wanted_hashes`]), ask one
//! filter of them for each record, and give what passes to an index over that filter ([`EvidenceIndex::over`]).

use super::evidence::{Evidence, SLACK, SameKey, Seen};
use super::record::{Action, Record, Role, closes};
use super::wanted::{HashFilter, address_hash, flow_hash, name_hash, service_hash, zone_hash};
use crate::net::TCP;
use crate::network::Timestamp;
use crate::rules::Direction;
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A flow on one interface, the same for both directions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FlowKey {
    interface: u32,
    protocol: u8,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// All that a network ACL looks at in a TCP or UDP packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ServiceKey {
    direction: Direction,
    protocol: u8,
    remote: IpAddr,
    port: u16,
}

/// Whether a run's packets end a connection, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closing {
    No,
    Fin,
    Reset,
}

/// Records of one kind, joined while they touch.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: Timestamp,
    end: Timestamp,
    role: Role,
    closing: Closing,
}

impl Run {
    fn closes(&self) -> bool {
        self.closing != Closing::No
    }
}

#[derive(Debug, Default)]
struct Flow {
    ingress: Vec<Run>,
    egress: Vec<Run>,
}

impl Flow {
    fn runs(&self, direction: Direction) -> &[Run] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// An interface and the subnet to which what its records show is confined, [`EVERYWHERE`] for none.
type Of = (u32, u32);

const EVERYWHERE: u32 = u32::MAX;

/// Accepted records with one key, by interface.
#[derive(Debug, Default)]
struct Service {
    accepted: Vec<(Of, Run)>,
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

/// The bit of RST in `tcp-flags`.
const RST: u16 = 4;

/// At most this many accepted runs are kept for one key: enough to find an overlap, and a bound for a busy service.
const MOST_RUNS: usize = 4096;

/// The index.
#[derive(Debug, Default)]
pub struct EvidenceIndex {
    /// Hashes of what is wanted, until the filter is made of them.
    hashes: Vec<u64>,
    wanted: Arc<HashFilter>,
    names: HashMap<String, u32>,
    name_list: Vec<String>,
    flows: HashMap<FlowKey, Flow>,
    services: HashMap<(u32, ServiceKey), Service>,
    zones: HashMap<(u32, ServiceKey), Service>,
    own_addresses: HashMap<u32, HashSet<IpAddr>>,
    gaps: HashMap<u32, Vec<(Timestamp, Timestamp)>>,
    first_seen: Option<Timestamp>,
    accepts_seen: bool,
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

    fn flow_key(interface: u32, record: &Record<'_>, direction: Direction) -> Option<FlowKey> {
        let own = record.endpoint(direction)?;
        let (local, remote) = match direction {
            Direction::Ingress => ((own, record.dst_port), (record.src?, record.src_port)),
            Direction::Egress => ((own, record.src_port), (record.dst?, record.dst_port)),
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

    /// The hashes of what is wanted for a rejected record: its flow, its service, and that in its zone.
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
        self.hashes.extend(EvidenceIndex::wanted_hashes(record, zone).into_iter().flatten());
        self.wanted = Arc::default();
    }

    /// An interval for which records of an interface are missing: SKIPDATA, or a file that could not be read.
    pub fn missing(&mut self, interface_id: &str, start: Timestamp, end: Timestamp) {
        let interface = self.name(interface_id);
        let gaps = self.gaps.entry(interface).or_default();
        // Joined and in order, so that a record's gaps are found without looking at all of them.
        let first = gaps.partition_point(|gap| gap.1.saturating_add(1) < start);
        let (mut start, mut end) = (start, end.max(start));
        let touched = gaps.iter().skip(first).take_while(|gap| gap.0 <= end.saturating_add(1)).count();
        for gap in gaps.drain(first..first.saturating_add(touched)) {
            start = start.min(gap.0);
            end = end.max(gap.1);
        }
        gaps.insert(first, (start, end));
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
        self.logged_from(record.start);
        if !record.log_status_ok {
            return;
        }
        let Some(direction) = record.direction else { return };
        if let (Some(subnet), Some(local)) = (subnet, record.shown(direction)) {
            self.own_address(subnet, local);
        }
        if record.action != Action::Accept {
            return;
        }
        self.accepts_are_logged();
        if self.wanted.is_empty() && !self.hashes.is_empty() {
            self.wanted = Arc::new(HashFilter::of(&self.hashes));
        }
        self.keep(record, id, direction, zone, steady);
    }

    /// Some record of an interface began at this time.
    pub fn logged_from(&mut self, start: Timestamp) {
        self.first_seen = Some(self.first_seen.map_or(start, |first| first.min(start)));
    }

    /// The logs hold ACCEPTs whose direction is known.
    pub fn accepts_are_logged(&mut self) {
        self.accepts_seen = true;
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
        let [flow, service, in_zone] = EvidenceIndex::wanted_hashes(record, zone.map(|zone| zone.name))
            .map(|hash| hash.is_some_and(|hash| self.wanted.may_contain(hash)));
        let (service, in_zone) = (service && steady, in_zone && steady);
        if !(flow || service || in_zone) {
            return;
        }
        let interface = self.name(id);
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
            match direction {
                Direction::Ingress => keep(&mut flow.ingress, run),
                Direction::Egress => keep(&mut flow.egress, run),
            }
        }
        let Some(key) = EvidenceIndex::service_key(record, direction).filter(|_| service || in_zone) else {
            return;
        };
        if in_zone && let Some(zone) = zone {
            let run = Run { end: record.end, closing: Closing::No, ..run };
            let of = (interface, zone.within.map_or(EVERYWHERE, |subnet| self.name(subnet)));
            let zone = self.name(zone.name);
            keep_of(&mut self.zones.entry((zone, key.clone())).or_default().accepted, of, run);
        }
        if service {
            let of = (interface, EVERYWHERE);
            keep_of(&mut self.services.entry((interface, key)).or_default().accepted, of, run);
        }
    }

    /// Settles what was observed, so that the order of the records leaves no trace. Call once after the last record.
    pub fn finish(&mut self) {
        for flow in self.flows.values_mut() {
            settle(&mut flow.ingress);
            settle(&mut flow.egress);
        }
        for service in self.services.values_mut().chain(self.zones.values_mut()) {
            settle_of(&mut service.accepted);
        }
    }

    /// Bytes held, about: keys and runs, without the tables' slack.
    pub fn memory(&self) -> usize {
        let flows = self.flows.capacity() * size_of::<(FlowKey, Flow)>();
        let services =
            (self.services.capacity() + self.zones.capacity()) * size_of::<((u32, ServiceKey), Service)>();
        let runs = |runs: &Vec<Run>| runs.capacity() * size_of::<Run>();
        let of_flows: usize = self.flows.values().map(|flow| runs(&flow.ingress) + runs(&flow.egress)).sum();
        let both = self.services.values().chain(self.zones.values());
        let of_services: usize =
            both.map(|service| service.accepted.capacity() * size_of::<(Of, Run)>()).sum();
        flows.saturating_add(services).saturating_add(of_flows).saturating_add(of_services)
    }

    /// The evidence about a record that was wanted. `reach` is how far back the logs must go for "no mirror" to mean
    /// anything: the idle timeout that applies. What only the caller knows (8.10) is left unset.
    pub fn evidence(
        &self,
        record: &Record<'_>,
        zone: Option<Zone<'_>>,
        subnet: Option<&str>,
        reach: i64,
    ) -> Evidence {
        let mut found = Evidence::default();
        let (Some(id), Some(direction)) = (record.interface_id, record.direction) else { return found };
        // Interfaces of which nothing was kept have no name here.
        let interface = self.names.get(id).copied();
        if let Some(interface) = interface {
            self.flow_evidence(record, direction, interface, &mut found);
        }
        if let (Some(subnet), Some(remote)) =
            (subnet.and_then(|s| self.names.get(s)), record.remotes(direction).0)
        {
            found.intra_subnet = self.own_addresses.get(subnet).is_some_and(|own| own.contains(&remote));
        }
        if let Some(key) = EvidenceIndex::service_key(record, direction) {
            found.same_key = interface
                .and_then(|interface| self.services.get(&(interface, key.clone())))
                .and_then(|service| same_key(&service.accepted, record.start, record.end));
            if let Some(zone) = zone
                && let Some(name) = self.names.get(zone.name)
                && let Some(service) = self.zones.get(&(*name, key))
            {
                let within = zone.within.and_then(|subnet| self.names.get(subnet).copied());
                let overlapping = |((other, only), run): &&(Of, Run)| {
                    let counts = *only == EVERYWHERE || Some(*only) == within;
                    counts && Some(*other) != interface && overlaps(run, record)
                };
                // Inside a subnet no list applies, so a neighbour's ACCEPT says nothing of it.
                if !found.intra_subnet {
                    found.sibling = (service.accepted.iter().filter(overlapping))
                        .filter_map(|((other, _), _)| self.name_list.get(*other as usize))
                        .min()
                        .cloned();
                }
            }
        }
        let back = record.start.saturating_sub(reach);
        let gaps = interface.and_then(|interface| self.gaps.get(&interface)).map_or(&[][..], Vec::as_slice);
        // Of the gaps that begin no later than a time the last one also ends last.
        let last_end = |time: Timestamp| {
            let after = gaps.partition_point(|gap| gap.0 <= time);
            after.checked_sub(1).and_then(|at| gaps.get(at)).map(|gap| gap.1)
        };
        let in_gap = last_end(record.end.saturating_add(SLACK)).is_some_and(|end| end >= back);
        let last_gap = last_end(record.end);
        let whole_since = self.first_seen.map(|first| last_gap.map_or(first, |gap| gap.max(first)));
        found.covered_back = whole_since.map_or(0, |since| record.start.saturating_sub(since).max(0));
        found.complete = self.accepts_seen && found.covered_back >= reach && !in_gap;
        found
    }

    fn flow_evidence(&self, record: &Record<'_>, direction: Direction, interface: u32, found: &mut Evidence) {
        let Some(flow) =
            EvidenceIndex::flow_key(interface, record, direction).and_then(|key| self.flows.get(&key))
        else {
            return;
        };
        let mirrors = flow.runs(direction.opposite());
        let earlier = mirrors.iter().filter(|run| run.start <= record.start).max_by_key(|run| run.end);
        let later = mirrors.iter().filter(|run| run.start > record.start).min_by_key(|run| run.start);
        found.mirror = earlier.map(seen);
        found.mirror_after = later.map(seen);
        found.mirror_initiator = mirrors
            .iter()
            .any(|run| run.role == Role::Initiator && run.start <= record.end.saturating_add(SLACK));
        let own = flow.runs(direction);
        found.own_accept = own.iter().min_by_key(|run| distance(run, record)).map(seen);
        found.own_accept_before = own.iter().any(|run| run.start < record.start);
        let both = || own.iter().chain(mirrors);
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
}

/// Whether the connection was closed for both sides before the record: by RST, or by FIN of both. What one side closes the
/// other may go on using, so that groups still know it. A SYN in the same run may have come after the close.
fn surely_closed(record: &Record<'_>, own: &[Run], mirrors: &[Run]) -> bool {
    let settled = |run: &&Run| {
        run.closes() && run.role != Role::Initiator && run.end.saturating_add(SLACK) <= record.start
    };
    let last = |runs: &[Run]| runs.iter().filter(settled).map(|run| run.end).max();
    let reset = own.iter().chain(mirrors).filter(settled).filter(|run| run.closing == Closing::Reset);
    let both = last(own).zip(last(mirrors)).map(|(one, other)| one.max(other));
    let Some(closed) = reset.map(|run| run.end).max().max(both) else { return false };
    let goes_on = |run: &Run| {
        run.end > closed && (run.role == Role::Initiator || run.start > closed.saturating_add(SLACK))
    };
    !own.iter().chain(mirrors).any(|run| run.start <= record.end && goes_on(run))
}

fn seen(run: &Run) -> Seen {
    Seen { start: run.start, end: run.end, role: run.role }
}

fn overlaps(run: &Run, record: &Record<'_>) -> bool {
    run.start <= record.end && record.start <= run.end
}

fn distance(run: &Run, record: &Record<'_>) -> i64 {
    if overlaps(run, record) {
        return 0;
    }
    (run.start.saturating_sub(record.end)).max(record.start.saturating_sub(run.end))
}

fn same_key(accepted: &[(Of, Run)], start: Timestamp, end: Timestamp) -> Option<SameKey> {
    let overlapping =
        || accepted.iter().map(|(_, run)| run).filter(|run| run.start <= end && start <= run.end);
    overlapping().next()?;
    Some(SameKey {
        initiator: overlapping().any(|run| run.role == Role::Initiator),
        responses_only: overlapping().all(|run| run.role == Role::Responder),
    })
}

/// Adds a run, joining it with one of the same kind that it touches.
fn keep(runs: &mut Vec<Run>, run: Run) {
    // Roles that open a connection, and closing records, keep their own times: their order decides.
    if !run.closes() && matches!(run.role, Role::Midstream | Role::Unknown) {
        let joined = runs.iter_mut().rev().take(8).find(|known| {
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

fn settle(runs: &mut Vec<Run>) {
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

fn settle_of(runs: &mut Vec<(Of, Run)>) {
    runs.sort_unstable_by_key(|(of, run)| (*of, run.closing, run.role, run.start, run.end));
    runs.dedup_by(|next, known| {
        let joined = known.0 == next.0 && joins(&known.1, &next.1);
        if joined {
            known.1.end = known.1.end.max(next.1.end);
        }
        joined
    });
}

fn keep_of(runs: &mut Vec<(Of, Run)>, of: Of, run: Run) {
    let is_full = runs.len() >= MOST_RUNS;
    let joined = runs.iter_mut().rev().take(8).find(|(other, known)| {
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
