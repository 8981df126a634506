//! The compiled form: addresses cut into ranges within which the same rules apply, and for each such set of rules the
//! destination ports cut into ranges within which the decision is the same.

use super::packet::{Decision, Packet};
use super::ranges::{Address, Ranges};
use crate::net::{TCP, UDP};
use crate::network::Traffic;
use hashbrown::HashMap;
use std::sync::OnceLock;

/// A decision and the rule that a message names for it: the first that decides, or the first that may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) decision: Decision,
    /// Position in the compiled list of rules; `NO_RULE` when none decides.
    pub(super) rule: u32,
}

pub(super) const NO_RULE: u32 = u32::MAX;

/// A rule as the compiler sees it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) traffic: Traffic,
    /// Whether the address surely matches where it does.
    pub(super) address_sure: bool,
    pub(super) may_allow: bool,
    pub(super) may_deny: bool,
}

/// How the items that match are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combine {
    /// Network ACL: in order, up to the first sure match.
    FirstMatch,
    /// Security groups: any.
    AnyAllows,
}

impl Combine {
    /// The decision over matching items `(position, sure)` in ascending position.
    fn decide(self, items: &[Item], matching: impl Iterator<Item = (u32, bool)>) -> Outcome {
        let mut first = NO_RULE;
        match self {
            Combine::AnyAllows => {
                for (at, sure) in matching {
                    if sure {
                        return Outcome { decision: Decision::Allow, rule: at };
                    }
                    if first == NO_RULE {
                        first = at;
                    }
                }
                let decision = if first == NO_RULE { Decision::Deny } else { Decision::Unknown };
                Outcome { decision, rule: first }
            }
            Combine::FirstMatch => {
                let (mut may_allow, mut may_deny) = (false, false);
                for (at, sure) in matching {
                    let Some(item) = items.get(at as usize) else { continue };
                    if first == NO_RULE {
                        first = at;
                    }
                    may_allow |= item.may_allow;
                    may_deny |= item.may_deny;
                    if sure || (may_allow && may_deny) {
                        break;
                    }
                }
                let decision = match (may_allow, may_deny) {
                    (true, false) => Decision::Allow,
                    (false, true) => Decision::Deny,
                    _ => Decision::Unknown,
                };
                Outcome { decision, rule: first }
            }
        }
    }
}

/// Ports from this one up to the next cell's.
#[derive(Debug, Clone, Copy)]
struct PortCell {
    start: u16,
    outcome: Outcome,
}

/// Decisions by destination port: the first cell is for ports that are not known, the others are in order.
#[derive(Debug, Clone)]
struct PortTable(Box<[PortCell]>);

/// Decisions of one set of rules. The sets of a large configuration do not fit into a cache, so what one record looks at lies
/// together: this is one line of it, and each table another.
#[derive(Debug, Clone)]
struct Class {
    tcp: PortTable,
    udp: PortTable,
    /// Decisions of the other protocols that some rule names, ICMP types being unknown; sorted.
    others: Box<[(u8, Outcome)]>,
    /// Of protocols that none names.
    rest: Outcome,
}

impl Class {
    fn decide(&self, packet: &Packet) -> Outcome {
        let table = match packet.protocol {
            TCP => &self.tcp,
            UDP => &self.udp,
            protocol => {
                let found = self.others.iter().find(|(named, _)| *named == protocol);
                return found.map_or(self.rest, |(_, outcome)| *outcome);
            }
        };
        table.decide(packet.port).unwrap_or(self.rest)
    }

    /// Whether it denies nothing, whatever the protocol and the port.
    fn never_denies(&self) -> bool {
        let tables = [&self.tcp, &self.udp];
        let of_ports = tables.into_iter().flat_map(|table| &table.0).map(|cell| &cell.outcome);
        let others = self.others.iter().map(|(_, outcome)| outcome).chain([&self.rest]);
        of_ports.chain(others).all(|outcome| outcome.decision != Decision::Deny)
    }

    fn new(items: &[Item], members: &[u32], combine: Combine) -> Self {
        let mut protocols: Vec<u8> = members
            .iter()
            .filter_map(|at| items.get(*at as usize)?.traffic.protocol())
            .filter(|protocol| !matches!(*protocol, TCP | UDP))
            .collect();
        protocols.sort_unstable();
        protocols.dedup();
        let other = |protocol: Option<u8>| {
            let matching = members.iter().filter_map(|at| {
                let item = items.get(*at as usize)?;
                match &item.traffic {
                    Traffic::All => Some((*at, item.address_sure)),
                    Traffic::Unreadable(_) => Some((*at, false)),
                    _ if item.traffic.protocol() != protocol || protocol.is_none() => None,
                    // Flow logs do not show ICMP types, so a rule on one may match.
                    Traffic::Icmp { kind: Some(_), .. } => Some((*at, false)),
                    _ => Some((*at, item.address_sure)),
                }
            });
            combine.decide(items, matching)
        };
        Class {
            tcp: PortTable::new(items, members, combine, TCP),
            udp: PortTable::new(items, members, combine, UDP),
            others: protocols.iter().map(|protocol| (*protocol, other(Some(*protocol)))).collect(),
            rest: other(None),
        }
    }
}

impl PortTable {
    #[inline]
    fn decide(&self, port: Option<u16>) -> Option<Outcome> {
        let (unknown, known) = self.0.split_first()?;
        let cell =
            port.and_then(|port| known.get(known.partition_point(|cell| cell.start <= port).checked_sub(1)?));
        Some(cell.unwrap_or(unknown).outcome)
    }

    fn new(items: &[Item], members: &[u32], combine: Combine, protocol: u8) -> Self {
        // Rules without ports hold everywhere; the others open and close along the ports.
        let mut always: Vec<(u32, bool)> = Vec::new();
        let mut unknown: Vec<(u32, bool)> = Vec::new();
        let mut ranged: Vec<(u16, u16, u32, bool)> = Vec::new();
        for at in members {
            let Some(item) = items.get(*at as usize) else { continue };
            match &item.traffic {
                Traffic::All => always.push((*at, item.address_sure)),
                Traffic::Unreadable(_) => always.push((*at, false)),
                Traffic::Ports { protocol: named, ports } if *named == protocol => {
                    ranged.push((ports.first(), ports.last(), *at, item.address_sure));
                    unknown.push((*at, item.address_sure && ports.is_all()));
                }
                _ => {}
            }
        }
        unknown.extend(always.iter().copied());
        unknown.sort_unstable();
        let mut starts: Vec<u16> = vec![0];
        for (first, last, _, _) in &ranged {
            starts.push(*first);
            starts.extend(last.checked_add(1));
        }
        starts.sort_unstable();
        starts.dedup();
        // The rules that hold in a stretch, kept in order while walking along the ports.
        let mut active: std::collections::BTreeMap<u32, bool> = always.iter().copied().collect();
        ranged.sort_unstable();
        let mut opening = ranged.iter().peekable();
        let mut closing: Vec<(u16, u32)> = ranged.iter().map(|(_, last, at, _)| (*last, *at)).collect();
        closing.sort_unstable();
        let mut closing = closing.iter().peekable();
        let unknown = combine.decide(items, unknown.iter().copied());
        let mut cells = vec![PortCell { start: 0, outcome: unknown }];
        for start in starts {
            while let Some((_, at)) = closing.next_if(|(last, _)| *last < start) {
                active.remove(at);
            }
            while let Some((_, _, at, sure)) = opening.next_if(|(first, ..)| *first <= start) {
                active.insert(*at, *sure);
            }
            let outcome = match combine {
                // One sure match suffices: look for it first, in order.
                Combine::AnyAllows => {
                    let sure = active.iter().find(|(_, sure)| **sure);
                    let pick = sure.or_else(|| active.iter().next());
                    combine.decide(items, pick.map(|(at, sure)| (*at, *sure)).into_iter())
                }
                Combine::FirstMatch => combine.decide(items, active.iter().map(|(at, sure)| (*at, *sure))),
            };
            if cells.len() == 1 || cells.last().is_none_or(|cell| cell.outcome != outcome) {
                cells.push(PortCell { start, outcome });
            }
        }
        PortTable(cells.into())
    }
}

/// A set of items and its class, compiled when it is first met: most sets of a large configuration never are.
#[derive(Debug)]
pub(super) struct Members {
    members: Box<[u32]>,
    class: OnceLock<Box<Class>>,
}

impl Members {
    pub(super) fn new(members: Vec<u32>) -> Self {
        Members { members: members.into(), class: OnceLock::new() }
    }

    pub(super) fn positions(&self) -> &[u32] {
        &self.members
    }

    pub(super) fn decide(&self, items: &[Item], combine: Combine, packet: &Packet) -> Outcome {
        if packet.is_icmp() && packet.icmp.is_some() {
            return self.decide_icmp(items, combine, packet);
        }
        self.class.get_or_init(|| Box::new(Class::new(items, &self.members, combine))).decide(packet)
    }

    /// Whether packets of any protocol and port pass, or may pass; their ICMP types are not known.
    pub(super) fn never_denies(&self, items: &[Item], combine: Combine) -> bool {
        self.class.get_or_init(|| Box::new(Class::new(items, &self.members, combine))).never_denies()
    }

    /// A known ICMP type is only ever asked for by hand, one packet at a time.
    fn decide_icmp(&self, items: &[Item], combine: Combine, packet: &Packet) -> Outcome {
        let matching = self.members.iter().filter_map(|at| {
            let item = items.get(*at as usize)?;
            match super::matching::match_traffic(&item.traffic, packet).0 {
                super::packet::Ternary::Yes => Some((*at, item.address_sure)),
                super::packet::Ternary::Maybe => Some((*at, false)),
                super::packet::Ternary::No => None,
            }
        });
        combine.decide(items, matching)
    }
}

/// Addresses of one family cut into ranges, each with the set of items that hold in it.
#[derive(Debug)]
pub(super) struct AddressIndex<K> {
    /// Which set holds in each range.
    sets: Ranges<K>,
    members: Box<[Members]>,
}

impl<K: Address> AddressIndex<K> {
    /// From `(first, last, item)` ranges; those of one item may overlap.
    pub(super) fn new(mut ranges: Vec<(K, K, u32)>, item_count: usize) -> Self {
        ranges.sort_unstable();
        let words = item_count.div_ceil(64);
        let mut ends: Vec<(K, u32)> =
            ranges.iter().filter_map(|(_, last, at)| Some((last.successor()?, *at))).collect();
        ends.sort_unstable();
        let mut starts: Vec<K> = vec![K::ZERO];
        starts.extend(ranges.iter().map(|(first, ..)| *first));
        starts.extend(ends.iter().map(|(end, _)| *end));
        starts.sort_unstable();
        starts.dedup();
        let mut open: Vec<u32> = vec![0; item_count];
        let mut active: Vec<u64> = vec![0; words];
        let (mut sets, mut members): (Vec<(K, u32)>, Vec<Members>) = (Vec::new(), Vec::new());
        let mut known: HashMap<Vec<u64>, u32> = HashMap::new();
        let mut opening = ranges.iter().peekable();
        let mut closing = ends.iter().peekable();
        for start in starts {
            while let Some((_, at)) = closing.next_if(|(end, _)| *end <= start) {
                if let Some(count) = open.get_mut(*at as usize) {
                    *count = count.saturating_sub(1);
                    if *count == 0
                        && let Some(word) = active.get_mut(*at as usize / 64)
                    {
                        *word &= !(1 << (*at % 64));
                    }
                }
            }
            while let Some((_, _, at)) = opening.next_if(|(first, ..)| *first <= start) {
                if let Some(count) = open.get_mut(*at as usize) {
                    *count += 1;
                }
                if let Some(word) = active.get_mut(*at as usize / 64) {
                    *word |= 1 << (*at % 64);
                }
            }
            let set = match known.get(&active) {
                Some(set) => *set,
                None => {
                    let set = u32::try_from(members.len()).unwrap_or(u32::MAX);
                    members.push(Members::new(bits(&active)));
                    known.insert(active.clone(), set);
                    set
                }
            };
            if sets.last().is_none_or(|(_, last)| *last != set) {
                sets.push((start, set));
            }
        }
        AddressIndex { sets: Ranges::new(&sets), members: members.into() }
    }

    pub(super) fn members(&self, addr: K) -> Option<&Members> {
        self.members.get(self.sets.value(addr)? as usize)
    }
}

fn bits(words: &[u64]) -> Vec<u32> {
    let mut members = Vec::new();
    for (word_at, word) in (0u32..).zip(words) {
        let mut rest = *word;
        while rest != 0 {
            members.push(word_at * 64 + rest.trailing_zeros());
            rest &= rest - 1;
        }
    }
    members
}
