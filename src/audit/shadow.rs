//! Rules that can never matter: whatever packet they match, another rule has decided before, or decides the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::acl::covers;
use super::groups::carriers;
use crate::net::{Family, ICMP, ICMPV6, Prefix, TCP, UDP};
use crate::network::{
    NaclEntry, Network, NetworkInterface, Remote, SecurityGroup, SecurityGroupRule, Traffic, View,
};
use crate::rules::{Direction, Packet, Ternary, acl_list, entry_text, is_stale, match_entry, rule_text};

/// A rule that can never matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// `security_group` or `network_acl`.
    pub layer: &'static str,
    /// The group's or network ACL's id.
    pub object: String,
    /// Outbound rule.
    pub egress: bool,
    /// The rule in one line.
    pub rule: String,
    /// The rules that stand in front of it, each in one line; none where it matches nothing at all.
    pub by: Vec<String>,
    /// Why it never matters.
    pub reason: String,
    /// The traffic that it would decide gets the opposite of what it says.
    pub contradicts: bool,
}

/// All of them in a view: network ACLs first, then groups.
pub fn shadowed(network: &Network, view: View) -> Vec<Shadowed> {
    let mut found = Vec::new();
    for acl in network.acls.all(view) {
        for (egress, family) in
            [(false, Family::V4), (false, Family::V6), (true, Family::V4), (true, Family::V6)]
        {
            let list = acl_list(acl.value, egress, family);
            for (at, entry) in list.iter().enumerate().filter(|(_, entry)| !entry.is_default()) {
                let Some(earlier) = list.get(..at) else { continue };
                let Some(deciding) = always_before(earlier, entry) else { continue };
                let opposite = deciding.iter().filter(|one| one.action != entry.action).count();
                let reason = match (opposite, deciding.len()) {
                    (0, _) => "earlier entries do the same to all that it matches",
                    (opposite, all) if opposite == all => {
                        "earlier entries do the opposite to all that it matches"
                    }
                    _ => "earlier entries decide all that it matches, some of it the other way",
                };
                found.push(Shadowed {
                    layer: "network_acl",
                    object: acl.value.id.clone(),
                    egress,
                    rule: entry_text(acl.value, entry),
                    by: deciding.iter().map(|one| entry_text(acl.value, one)).collect(),
                    reason: reason.to_owned(),
                    contradicts: opposite > 0,
                });
            }
        }
    }
    let carriers = carriers(network, view);
    for group in network.groups.all(view) {
        let carriers = carriers.get(group.value.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        in_group(network, view, group.value, carriers, &mut found);
    }
    found
}

/// The earlier entries that decide everything that this one matches; `None` where something reaches it.
fn always_before<'e>(earlier: &'e [NaclEntry], entry: &NaclEntry) -> Option<Vec<&'e NaclEntry>> {
    let (deciding, all) = deciders(earlier, entry);
    (all && !deciding.is_empty()).then_some(deciding)
}

/// The earlier entries that decide something of what this one matches, and whether nothing is left for it.
pub(super) fn deciders<'e>(earlier: &'e [NaclEntry], entry: &NaclEntry) -> (Vec<&'e NaclEntry>, bool) {
    let mut deciding: Vec<&NaclEntry> = Vec::new();
    if entry.action.is_none() || matches!(entry.traffic, Traffic::Unreadable(_)) {
        return (deciding, false);
    }
    let Some(block) = entry.cidr else { return (deciding, false) };
    let mut all = true;
    for remote in borders(block, earlier) {
        for packet in packets(earlier, entry, remote) {
            match decider(earlier, &packet) {
                Some(first) if !deciding.iter().any(|known| std::ptr::eq(*known, first)) => {
                    deciding.push(first)
                }
                Some(_) => {}
                None => all = false,
            }
        }
    }
    deciding.sort_by_key(|one| one.number);
    (deciding, all)
}

/// Whether something of what the entry matches gets past the earlier ones, with this remote.
pub(super) fn reaches(earlier: &[NaclEntry], entry: &NaclEntry, remote: IpAddr) -> bool {
    packets(earlier, entry, remote).iter().any(|packet| decider(earlier, packet).is_none())
}

/// The entry that surely decides a packet.
fn decider<'e>(list: &'e [NaclEntry], packet: &Packet) -> Option<&'e NaclEntry> {
    let first = list.iter().find(|other| match_entry(other, packet).0 != Ternary::No)?;
    (match_entry(first, packet).0 == Ternary::Yes && first.action.is_some()).then_some(first)
}

/// Addresses of a block, one of each stretch within which no entry's block begins or ends.
pub(super) fn borders<'e>(
    block: Prefix,
    entries: impl IntoIterator<Item = &'e NaclEntry>,
) -> BTreeSet<IpAddr> {
    let mut remotes = BTreeSet::from([block.network()]);
    for other in entries.into_iter().filter_map(|other| other.cidr).filter(|other| block.covers(other)) {
        // Between its first address and the first behind it nothing changes.
        remotes.insert(other.network());
        remotes.extend(next(other.range().1).filter(|addr| block.contains(addr)));
    }
    remotes
}

fn next(addr: IpAddr) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

/// A packet of every kind that the entries can tell apart, among those that `entry` matches.
fn packets(earlier: &[NaclEntry], entry: &NaclEntry, remote: IpAddr) -> Vec<Packet> {
    let packet =
        |protocol, port, icmp| Packet { direction: Direction::Ingress, remote, protocol, port, icmp };
    let mut protocols: BTreeSet<u8> = BTreeSet::new();
    match entry.traffic.protocol() {
        Some(protocol) => {
            protocols.insert(protocol);
        }
        None => {
            protocols.extend([TCP, UDP, ICMP, ICMPV6]);
            protocols.extend(earlier.iter().filter_map(|other| other.traffic.protocol()));
            // One that no entry names.
            protocols.extend((0..=u8::MAX).rev().find(|number| !protocols.contains(number)));
        }
    }
    let mut found = Vec::new();
    for protocol in protocols {
        match protocol {
            TCP | UDP => {
                let mut starts = BTreeSet::from([0u16]);
                for traffic in earlier.iter().map(|other| &other.traffic).chain([&entry.traffic]) {
                    if let Traffic::Ports { protocol: named, ports } = traffic
                        && *named == protocol
                    {
                        starts.insert(ports.first());
                        starts.extend(ports.last().checked_add(1));
                    }
                }
                let all = starts.into_iter().map(|port| packet(protocol, Some(port), None));
                found.extend(all.filter(|packet| match_entry(entry, packet).0 == Ternary::Yes));
            }
            ICMP | ICMPV6 => {
                let mut kinds: BTreeSet<(u8, u8)> = BTreeSet::new();
                for traffic in earlier.iter().map(|other| &other.traffic).chain([&entry.traffic]) {
                    if let Traffic::Icmp { kind: Some(kind), code, .. } = traffic {
                        kinds.extend(code.map(|code| (*kind, code)));
                        // A code that nobody names.
                        kinds.insert((*kind, u8::MAX));
                    }
                }
                // A type that nobody names.
                let unnamed = (0..=u8::MAX).rev().find(|kind| !kinds.iter().any(|(known, _)| known == kind));
                kinds.extend(unnamed.map(|kind| (kind, 0)));
                let all =
                    kinds.into_iter().map(|(kind, code)| packet(protocol, None, Some((kind, Some(code)))));
                found.extend(all.filter(|packet| match_entry(entry, packet).0 == Ternary::Yes));
            }
            other => found.push(packet(other, None, None)),
        }
    }
    found
}

/// Whether one remote holds every address of another, as far as the configuration tells.
fn holds(network: &Network, view: View, one: &Remote, other: &Remote) -> bool {
    let entries = |id: &str| network.prefix_lists.get(id, view).and_then(|list| list.value.entries.clone());
    match (one, other) {
        (Remote::Cidr(one), Remote::Cidr(other)) => one.covers(other),
        (Remote::Cidr(one), Remote::PrefixList(list)) => entries(list)
            .is_some_and(|entries| !entries.is_empty() && entries.iter().all(|entry| one.covers(entry))),
        (Remote::PrefixList(list), Remote::Cidr(other)) => {
            entries(list).is_some_and(|entries| entries.iter().any(|entry| entry.covers(other)))
        }
        (Remote::PrefixList(one), Remote::PrefixList(other)) => one == other,
        (Remote::Group(one), Remote::Group(other)) => one.group_id == other.group_id && !is_stale(one),
        _ => false,
    }
}

type Placed<'n> = (&'n SecurityGroup, usize, &'n SecurityGroupRule);

/// Whether `one` stands in for `other`. Of two that are alike the one that comes first stays.
fn stands_in(network: &Network, view: View, one: Placed<'_>, other: Placed<'_>) -> bool {
    let ((one_group, one_at, one_rule), (other_group, other_at, other_rule)) = (one, other);
    if one_rule.egress != other_rule.egress || (one_group.id == other_group.id && one_at == other_at) {
        return false;
    }
    let over = |one: &SecurityGroupRule, other: &SecurityGroupRule| {
        covers(&one.traffic, &other.traffic) && holds(network, view, &one.remote, &other.remote)
    };
    over(one_rule, other_rule)
        && (!over(other_rule, one_rule) || (&one_group.id, one_at) < (&other_group.id, other_at))
}

fn in_group(
    network: &Network,
    view: View,
    group: &SecurityGroup,
    carriers: &[&NetworkInterface],
    found: &mut Vec<Shadowed>,
) {
    for (at, rule) in group.rules.iter().enumerate() {
        let mut add = |by: Vec<String>, reason: &str| {
            found.push(Shadowed {
                layer: "security_group",
                object: group.id.clone(),
                egress: rule.egress,
                rule: rule_text(group, rule),
                by,
                reason: reason.to_owned(),
                contradicts: false,
            });
        };
        if let Remote::Group(reference) = &rule.remote
            && is_stale(reference)
        {
            add(Vec::new(), "its reference is stale: the peering connection is gone");
            continue;
        }
        let of_group = group.rules.iter().enumerate().map(|(place, other)| (group, place, other));
        let same = of_group.clone().find(|one| stands_in(network, view, *one, (group, at, rule)));
        if let Some((_, _, other)) = same {
            add(vec![rule_text(group, other)], "another rule of the group allows all of it");
            continue;
        }
        // At every interface some other group allows it.
        let mut by: BTreeSet<String> = BTreeSet::new();
        let everywhere = carriers.iter().all(|interface| {
            let others = interface.group_ids.iter().filter(|id| **id != group.id);
            let others: Vec<_> = others.filter_map(|id| network.groups.get(id, view)).collect();
            let rules = others.iter().flat_map(|other| {
                other.value.rules.iter().enumerate().map(|(place, rule)| (other.value.as_ref(), place, rule))
            });
            let mut rules = rules.filter(|one| stands_in(network, view, *one, (group, at, rule)));
            rules.next().map(|(other, _, rule)| by.insert(rule_text(other, rule))).is_some()
        });
        // Another interface may carry the group alone.
        let all_known = network.interfaces_whole(group.vpc_id.as_deref());
        if everywhere && !carriers.is_empty() && all_known {
            add(by.into_iter().collect(), BY_OTHERS);
        }
    }
}

/// Why a rule matters for no interface that there is.
const BY_OTHERS: &str = "other groups of every interface that carries it allow all of it";

impl Shadowed {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match (self.layer, self.contradicts) {
            ("network_acl", true) => "give it a number before those, if it is meant; else delete it",
            _ if self.reason == BY_OTHERS => "delete it, unless an interface is to carry the group alone",
            _ => "delete it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    fn found(text: &str) -> Vec<String> {
        let network = Fixture::new(text).network();
        let found = shadowed(&network, View { at: 0, after: false });
        found
            .iter()
            .map(|one| {
                format!(
                    "{} <= {}",
                    short(&one.rule),
                    one.by.iter().map(|by| short(by)).collect::<Vec<_>>().join(", ")
                )
            })
            .collect()
    }

    fn short(text: &str) -> String {
        text.replace("nacl acl-1 inbound rule ", "").replace("inbound rule allow ", "").replace("group ", "")
    }

    fn entries(text: &str) -> Vec<String> {
        let lines: Vec<String> = text.split(';').map(|entry| format!("acl-1 {}", entry.trim())).collect();
        found(&format!("nacl acl-1 vpc-1\n{}", lines.join("\n")))
    }

    #[test]
    fn an_entry_behind_a_wider_one() {
        assert_eq!(
            entries("in 100 allow all 0.0.0.0/0; in 200 deny tcp 22 10.0.0.0/8"),
            ["200 deny tcp 22 from 10.0.0.0/8 <= 100 allow all traffic from 0.0.0.0/0"]
        );
        assert_eq!(
            entries("in 100 deny tcp 22 10.0.0.0/8; in 200 allow all 0.0.0.0/0"),
            Vec::<String>::new()
        );
        assert_eq!(
            entries("in 100 allow all 0.0.0.0/0; in 200 deny all ::/0"),
            Vec::<String>::new(),
            "the other family"
        );
        assert_eq!(entries("in 100 allow all 0.0.0.0/0; out 200 deny all 0.0.0.0/0"), Vec::<String>::new());
    }

    #[test]
    fn entries_that_cover_it_together() {
        assert_eq!(
            entries(
                "in 100 allow tcp 0-1023 10.0.0.0/8; in 110 allow tcp 1024-65535 10.0.0.0/8; in 200 allow tcp 80-9000 10.1.0.0/16"
            ),
            [
                "200 allow tcp 80-9000 from 10.1.0.0/16 <= 100 allow tcp 0-1023 from 10.0.0.0/8, 110 allow tcp 1024-65535 from 10.0.0.0/8"
            ]
        );
        assert_eq!(
            entries("in 100 allow all 10.0.0.0/9; in 110 deny all 10.128.0.0/9; in 200 allow all 10.0.0.0/8")
                .len(),
            1
        );
        assert_eq!(
            entries(
                "in 100 allow all 10.0.0.0/9; in 110 deny all 10.192.0.0/10; in 200 allow all 10.0.0.0/8"
            ),
            Vec::<String>::new(),
            "10.128.0.0/10 reaches it"
        );
        assert_eq!(
            entries(
                "in 100 allow tcp 0-65535 0.0.0.0/0; in 110 allow udp 0-65535 0.0.0.0/0; in 200 allow all 0.0.0.0/0"
            ),
            Vec::<String>::new(),
            "ICMP reaches it"
        );
        assert_eq!(
            entries("in 100 allow icmp 8 0.0.0.0/0; in 200 deny icmp 0.0.0.0/0"),
            Vec::<String>::new()
        );
        assert_eq!(entries("in 100 allow icmp 0.0.0.0/0; in 200 deny icmp 3/4 0.0.0.0/0").len(), 1);
    }

    const CARRIED: &str =
        "subnet subnet-1 vpc-1 10.0.1.0/24\neni eni-a subnet-1 10.0.1.10 groups=sg-1,sg-2\n";

    #[test]
    fn rules_of_one_group() {
        assert_eq!(
            found("sg-1 in tcp 22 10.1.0.0/16\nsg-1 in tcp 20-30 10.0.0.0/8"),
            ["sg-1 tcp 22 from 10.1.0.0/16 <= sg-1 tcp 20-30 from 10.0.0.0/8"]
        );
        assert_eq!(
            found("list pl-1 10.1.0.0/16 10.2.0.0/16\nsg-1 in tcp 22 pl-1\nsg-1 in tcp 22 10.0.0.0/8"),
            ["sg-1 tcp 22 from pl-1 <= sg-1 tcp 22 from 10.0.0.0/8"]
        );
        assert_eq!(
            found("sg-1 in tcp 22 pl-1\nsg-1 in tcp 22 10.0.0.0/8"),
            Vec::<String>::new(),
            "who knows"
        );
        assert_eq!(found("sg-1 in tcp 22 sg-2\nsg-1 in tcp 22 10.0.0.0/8\nsg-2"), Vec::<String>::new());
        assert_eq!(found("sg-1 in tcp 22 10.0.0.0/8\nsg-1 out all 0.0.0.0/0"), Vec::<String>::new());
    }

    #[test]
    fn rules_of_other_groups_of_all_interfaces() {
        let rules = "sg-1 in tcp 22 10.1.0.0/16\nsg-2 in all 10.0.0.0/8";
        assert_eq!(
            found(&format!("{CARRIED}{rules}")),
            ["sg-1 tcp 22 from 10.1.0.0/16 <= sg-2 all traffic from 10.0.0.0/8"]
        );
        let alone = "eni eni-b subnet-1 10.0.1.11 groups=sg-1\n";
        assert_eq!(found(&format!("{CARRIED}{alone}{rules}")), Vec::<String>::new(), "eni-b needs it");
        assert_eq!(found(rules), Vec::<String>::new(), "nobody carries both");
    }

    #[test]
    fn of_two_alike_one_stays() {
        let rules = "sg-1 in tcp 22 10.0.0.0/8\nsg-2 in tcp 22 10.0.0.0/8";
        assert_eq!(
            found(&format!("{CARRIED}{rules}")),
            ["sg-2 tcp 22 from 10.0.0.0/8 <= sg-1 tcp 22 from 10.0.0.0/8"]
        );
    }
}
