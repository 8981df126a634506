//! What traffic of interfaces that the configuration lacks may have to do with rules that nothing else met.

use super::super::book::{RuleBook, Subject};
use super::super::stray::{NEWEST, may_pass, vpc_of};
use super::super::traffic::Traffic;
use crate::network::{NaclEntry, Network, RuleAction, Traffic as Of};
use crate::rules::{Packet, Ternary, acl_list, check_acl, match_entry};
use hashbrown::{HashMap, HashSet};

/// Packets with what they are told apart by: the VPC for groups, the network ACL for entries.
struct Met<K> {
    by: HashMap<(bool, u8), Vec<(Packet, K)>>,
}

impl<K: Ord + std::hash::Hash> Met<K> {
    fn new(packets: impl Iterator<Item = (Packet, K)>) -> Met<K> {
        let distinct: HashSet<(Packet, K)> = packets.collect();
        let mut by: HashMap<(bool, u8), Vec<(Packet, K)>> = HashMap::new();
        for (packet, key) in distinct {
            by.entry((packet.direction.is_egress(), packet.protocol)).or_default().push((packet, key));
        }
        by.values_mut().for_each(|list| list.sort_by_key(|(packet, _)| packet.port));
        Met { by }
    }

    /// Those that a rule for this may match.
    fn of(&self, egress: bool, traffic: &Of) -> impl Iterator<Item = &(Packet, K)> {
        let protocol = traffic.protocol();
        let is_of =
            move |own: &(bool, u8)| own.0 == egress && protocol.is_none_or(|protocol| protocol == own.1);
        let ports = match traffic {
            Of::Ports { ports, .. } => Some((ports.first(), ports.last())),
            _ => None,
        };
        self.by.iter().filter(move |(own, _)| is_of(own)).flat_map(move |(_, list)| {
            let Some((first, last)) = ports else { return list.iter() };
            // Those without a port come first.
            let start = list.partition_point(|(packet, _)| packet.port.is_some_and(|port| port < first));
            let start = if list.first().is_some_and(|(packet, _)| packet.port.is_none()) { 0 } else { start };
            let end = list.partition_point(|(packet, _)| packet.port.is_none_or(|port| port <= last));
            list.get(start..end).unwrap_or_default().iter()
        })
    }
}

/// Which rules such traffic may have met, of those that are asked for, and how many of its conversations.
pub(super) fn strayed(
    traffic: &Traffic,
    book: &RuleBook,
    wanted: impl Fn(usize) -> bool,
) -> Vec<(usize, u64)> {
    let network = traffic.plan().network();
    let strays = traffic.strays().packets(network);
    let mut found = Vec::new();
    if strays.is_empty() {
        return found;
    }
    let groups = Met::new(strays.iter().filter(|stray| stray.may_begin()).map(|stray| {
        let vpc = stray.subnet_id.as_deref().and_then(|subnet| vpc_of(network, subnet));
        (stray.packet, vpc.map(str::to_owned))
    }));
    let lists = Met::new(strays.iter().filter_map(|stray| {
        let subnet = stray.subnet_id.as_deref()?;
        let acl = network.acl_of(subnet, vpc_of(network, subnet), NEWEST)?;
        Some((stray.packet, acl.value.id.clone()))
    }));
    let current = book.rules.iter().enumerate().filter(|(at, rule)| rule.current && wanted(*at));
    for (at, rule) in current {
        let met = match &rule.subject {
            Subject::Group { group_id, rule, .. } => {
                let group = network.groups.get(group_id, NEWEST);
                let vpc = group.as_ref().and_then(|group| group.value.vpc_id.as_deref());
                let is_near = |own: &Option<String>| own.is_none() || vpc.is_none() || own.as_deref() == vpc;
                let packets = groups.of(rule.egress, &rule.traffic);
                packets.filter(|(packet, own)| is_near(own) && may_pass(network, rule, packet)).count()
            }
            Subject::Entry { acl_id, entry } if entry.action != Some(RuleAction::Deny) => {
                let packets = lists.of(entry.egress, &entry.traffic);
                packets
                    .filter(|(packet, acl)| acl == acl_id && may_decide(network, acl, entry, packet))
                    .count()
            }
            // What was accepted met none that denies.
            Subject::Entry { .. } => 0,
        };
        if met > 0 {
            found.push((at, met as u64));
        }
    }
    found
}

/// Whether an entry may be the one that decides about a packet.
fn may_decide(network: &Network, acl_id: &str, entry: &NaclEntry, packet: &Packet) -> bool {
    let matches = match_entry(entry, packet).0 != Ternary::No;
    let Some(acl) = network.acls.get(acl_id, NEWEST).filter(|_| matches) else { return false };
    let list = acl_list(acl.value, entry.egress, packet.family());
    check_acl(&list, packet).deciding.iter().filter_map(|at| list.get(*at)).any(|one| one == entry)
}
