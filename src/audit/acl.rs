//! Network ACLs: entries that never decide, denies that come too late, answers that nobody lets back, lists without subnets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Finding, Severity, plural};
use crate::net::{Family, Prefix, TCP, UDP};
use crate::network::{NaclEntry, Network, NetworkAcl, RuleAction, Traffic, View};
use crate::rules::{Decision, Direction, Packet, acl_list, check_acl};

/// The ports from which clients of any kind connect (spec 3.3).
const EPHEMERAL: (u16, u16) = (1024, 65535);
/// The part from which most clients connect: Linux from 32768, Windows from 49152.
const USUAL: u16 = 32768;
/// A range of so many ports above 1023 is there for answers, not for services.
const ANSWERS: u16 = 10_000;

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    for found in network.acls.all(view) {
        let acl = found.value;
        let mut report = Report { acl, findings };
        for family in [Family::V4, Family::V6] {
            for egress in [false, true] {
                let list = acl_list(acl, egress, family);
                report.order(&list);
                report.returns(&list, &acl_list(acl, !egress, family));
            }
        }
        if acl.subnet_ids.is_empty() && !acl.is_default {
            report.add(
                Severity::Info,
                "nacl_without_subnets",
                "no subnet uses it".to_owned(),
                "delete it".to_owned(),
            );
        }
        report.only_v4(network, view);
    }
}

struct Report<'a> {
    acl: &'a NetworkAcl,
    findings: &'a mut Vec<Finding>,
}

fn word(egress: bool) -> &'static str {
    if egress { Direction::Egress.rule_word() } else { Direction::Ingress.rule_word() }
}

/// `inbound rule 100 (allow tcp 443 from 0.0.0.0/0)`.
fn text(entry: &NaclEntry) -> String {
    let action = entry.action.map_or_else(|| "unreadable".to_owned(), |action| action.to_string());
    let cidr = entry.cidr.map_or_else(|| "an unreadable block".to_owned(), |cidr| cidr.to_string());
    let preposition = if entry.egress { "to" } else { "from" };
    format!("{} rule {} ({action} {} {preposition} {cidr})", word(entry.egress), entry.number, entry.traffic)
}

/// Whether every packet of `other` is one of `one`.
pub(super) fn covers(one: &Traffic, other: &Traffic) -> bool {
    match (one, other) {
        (Traffic::Unreadable(_), _) | (_, Traffic::Unreadable(_)) => false,
        (Traffic::All, _) => true,
        (_, Traffic::All) => false,
        (Traffic::Ports { protocol: one, ports: near }, Traffic::Ports { protocol: other, ports: far }) => {
            one == other && near.covers(far)
        }
        (
            Traffic::Icmp { protocol: one, kind, code },
            Traffic::Icmp { protocol: other, kind: far_kind, code: far_code },
        ) => one == other && (kind.is_none() || (kind == far_kind && (code.is_none() || code == far_code))),
        (one, other) => one == other,
    }
}

/// Whether some packet is of both.
fn overlaps(one: &Traffic, other: &Traffic) -> bool {
    match (one, other) {
        (Traffic::Unreadable(_), _) | (_, Traffic::Unreadable(_)) => false,
        (Traffic::Ports { protocol: one, ports: near }, Traffic::Ports { protocol: other, ports: far }) => {
            one == other && near.first() <= far.last() && far.first() <= near.last()
        }
        (one, other) => covers(one, other) || covers(other, one),
    }
}

impl Report<'_> {
    fn add(&mut self, severity: Severity, check: &'static str, finding: String, advice: String) {
        let object = self.acl.id.clone();
        self.findings.push(Finding { severity, check, object, finding, advice });
    }

    /// Entries that an earlier one keeps from ever deciding, or from deciding what they were written for.
    fn order(&mut self, list: &[NaclEntry]) {
        for (at, later) in list.iter().enumerate() {
            let (Some(cidr), false) = (later.cidr, later.is_default()) else { continue };
            let earlier = || list.iter().take(at).filter(|earlier| earlier.number < later.number);
            let shadow = earlier().find(|earlier| {
                earlier.cidr.is_some_and(|block| block.covers(&cidr))
                    && covers(&earlier.traffic, &later.traffic)
            });
            if let Some(earlier) = shadow {
                self.shadowed(earlier, later, list);
                continue;
            }
            if later.action != Some(RuleAction::Deny) {
                continue;
            }
            // A deny of a block that an allow for a wider one overtakes in part. One block for both is the usual
            // "allow these, deny the rest".
            let overtakes = earlier().find(|earlier| {
                earlier.action == Some(RuleAction::Allow)
                    && earlier.cidr.is_some_and(|block| block != cidr && block.covers(&cidr))
                    && overlaps(&earlier.traffic, &later.traffic)
            });
            if let Some(earlier) = overtakes {
                let finding = format!(
                    "{} does not stop {}: {} lets it pass first",
                    text(later),
                    earlier.traffic,
                    text(earlier)
                );
                self.add(Severity::Error, "deny_behind_allow", finding, before(list, earlier, later));
            }
        }
    }

    fn shadowed(&mut self, earlier: &NaclEntry, later: &NaclEntry, list: &[NaclEntry]) {
        match (earlier.action, later.action) {
            (Some(RuleAction::Allow), Some(RuleAction::Deny)) => {
                let finding = format!(
                    "{} never denies anything: {} lets all of it pass first",
                    text(later),
                    text(earlier)
                );
                self.add(Severity::Error, "deny_behind_allow", finding, before(list, earlier, later));
            }
            (Some(RuleAction::Deny), Some(RuleAction::Allow)) => {
                let finding = format!(
                    "{} never allows anything: {} denies all of it first",
                    text(later),
                    text(earlier)
                );
                self.add(Severity::Warning, "allow_behind_deny", finding, before(list, earlier, later));
            }
            (Some(_), Some(_)) => {
                let finding = format!("{} never decides: {} does the same first", text(later), text(earlier));
                self.add(Severity::Info, "shadowed_entry", finding, format!("delete rule {}", later.number));
            }
            _ => {}
        }
    }

    /// Whether the other list lets the answers to what this list allows pass.
    fn returns(&mut self, list: &[NaclEntry], opposite: &[NaclEntry]) {
        for entry in list.iter().filter(|entry| entry.action == Some(RuleAction::Allow)) {
            let Some(cidr) = entry.cidr else { continue };
            let (protocol, wide) = match &entry.traffic {
                Traffic::All => (TCP, true),
                Traffic::Ports { protocol: protocol @ (TCP | UDP), ports } => {
                    let width = ports.last().saturating_sub(ports.first());
                    if ports.first() >= EPHEMERAL.0 && width >= ANSWERS {
                        // This is the answers' entry itself.
                        continue;
                    }
                    (*protocol, width >= ANSWERS)
                }
                _ => continue,
            };
            let blocked = blocked_ports(opposite, cidr, protocol);
            let Some(first) = blocked.first() else { continue };
            let everything = blocked.as_slice() == [EPHEMERAL];
            // A few open ports below do not help those that connect from the usual ones.
            let all_usual = blocked.iter().any(|(low, high)| *low <= USUAL && *high == EPHEMERAL.1);
            let usual = blocked.iter().any(|(_, high)| *high >= USUAL);
            let severity = match (wide, all_usual, usual) {
                // A wide allow is as likely there for answers to the other direction, where nobody connects this way.
                (true, ..) => Severity::Info,
                (false, true, _) => Severity::Error,
                (false, false, true) => Severity::Warning,
                (false, false, false) => Severity::Info,
            };
            let other = word(!entry.egress);
            let ports = if everything {
                format!("the {other} list lets no answer pass (ports {}-{})", EPHEMERAL.0, EPHEMERAL.1)
            } else {
                let ranges: Vec<String> = blocked.iter().map(|(low, high)| format!("{low}-{high}")).collect();
                let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
                format!("the {other} list drops answers to ports {}", super::some(&ranges))
            };
            let clients =
                if everything || usual { "" } else { " (those of load balancers, NAT gateways and Lambda)" };
            let finding = format!("{} starts connections, but {ports}{clients}", text(entry));
            let number = free_number(opposite, first_deny(opposite, cidr, protocol, first.0));
            let name = if protocol == UDP { "udp" } else { "tcp" };
            let preposition = if entry.egress { "from" } else { "to" };
            let advice = match number {
                Some(number) => format!(
                    "add {other} rule {number}: allow {name} {}-{} {preposition} {cidr} (a network ACL keeps no state)",
                    EPHEMERAL.0, EPHEMERAL.1
                ),
                None => format!(
                    "make room before the {other} deny, and allow {name} {}-{} {preposition} {cidr}",
                    EPHEMERAL.0, EPHEMERAL.1
                ),
            };
            self.add(severity, "nacl_return_path", finding, advice);
        }
    }

    /// A list that has thought of IPv4 only, in a subnet with IPv6.
    fn only_v4(&mut self, network: &Network, view: View) {
        let dual = self.acl.subnet_ids.iter().filter(|id| {
            let subnet = network.subnets.get(id, view);
            subnet.is_some_and(|subnet| subnet.value.cidrs.iter().any(|cidr| cidr.family() == Family::V6))
        });
        let dual = dual.count();
        let allows = |family| {
            let mut entries = self.acl.entries.iter().filter(|entry| entry.action == Some(RuleAction::Allow));
            entries.any(|entry| entry.cidr.is_none_or(|cidr| cidr.family() == family))
        };
        if dual > 0 && allows(Family::V4) && !allows(Family::V6) {
            let finding = format!(
                "allows IPv4 only, and {} of it have IPv6: all of that is denied",
                plural(dual, "subnet")
            );
            let advice = "add entries for IPv6 blocks, if IPv6 is meant to pass".to_owned();
            self.add(Severity::Warning, "nacl_without_ipv6", finding, advice);
        }
    }
}

/// What to do about an entry that an earlier one overtakes.
fn before(list: &[NaclEntry], earlier: &NaclEntry, later: &NaclEntry) -> String {
    match free_number(list, Some(earlier.number)) {
        Some(number) => {
            format!("give rule {} a number below {}, such as {number}", later.number, earlier.number)
        }
        None => format!("renumber: rule {} has to come before rule {}", later.number, earlier.number),
    }
}

/// A number that no entry of the list has, below `limit`, as round as it can be.
fn free_number(list: &[NaclEntry], limit: Option<u32>) -> Option<u32> {
    let limit = limit.unwrap_or(32_766);
    let below = list.iter().map(|entry| entry.number).filter(|number| *number < limit).max().unwrap_or(0);
    let room = limit.checked_sub(below)?;
    if room < 2 {
        return None;
    }
    for step in [100, 10, 5, 1] {
        let number = below.checked_div(step)?.checked_add(1)?.checked_mul(step)?;
        if number > below && number < limit {
            return Some(number);
        }
    }
    None
}

/// The entry that drops the answers: the one to get in front of.
fn first_deny(list: &[NaclEntry], cidr: Prefix, protocol: u8, port: u16) -> Option<u32> {
    let packet = answer(cidr.network(), protocol, port);
    let at = *check_acl(list, &packet).deciding.last()?;
    list.get(at).map(|entry| entry.number)
}

fn answer(remote: IpAddr, protocol: u8, port: u16) -> Packet {
    // The direction has no part in matching: the list is of one direction.
    Packet { direction: Direction::Egress, remote, protocol, port: Some(port), icmp: None }
}

/// The ephemeral ports at which the list denies answers to every address of a block. A list that denies only some of
/// the addresses does so on purpose.
fn blocked_ports(list: &[NaclEntry], cidr: Prefix, protocol: u8) -> Vec<(u16, u16)> {
    let mut starts = BTreeSet::from([EPHEMERAL.0, USUAL]);
    let mut remotes = BTreeSet::from([cidr.network(), cidr.range().1]);
    for entry in list {
        if let Traffic::Ports { protocol: other, ports } = &entry.traffic
            && *other == protocol
        {
            starts.extend([Some(ports.first()), ports.last().checked_add(1)].into_iter().flatten());
        }
        if let Some(block) = entry.cidr.filter(|block| cidr.covers(block)) {
            // Its first address, and the first behind it: between these nothing changes.
            remotes.insert(block.network());
            remotes.extend(next(block.range().1).filter(|addr| cidr.contains(addr)));
        }
    }
    starts.retain(|start| *start >= EPHEMERAL.0);
    let starts: Vec<u16> = starts.into_iter().collect();
    let mut blocked: Vec<(u16, u16)> = Vec::new();
    for (at, low) in starts.iter().enumerate() {
        let next = starts.get(at.saturating_add(1));
        let high = next.map_or(EPHEMERAL.1, |next| next.saturating_sub(1));
        let denies =
            |remote: &IpAddr| check_acl(list, &answer(*remote, protocol, *low)).decision == Decision::Deny;
        if !remotes.iter().all(denies) {
            continue;
        }
        match blocked.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(*low) => last.1 = high,
            _ => blocked.push((*low, high)),
        }
    }
    blocked
}

pub(super) fn next(addr: IpAddr) -> Option<IpAddr> {
    match addr {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;
    use crate::net::PortRange;

    /// Findings on a list with these entries, in a subnet of its own.
    fn of(entries: &str) -> Vec<String> {
        let lines: Vec<String> = entries.split(';').map(|entry| format!("acl-1 {}", entry.trim())).collect();
        found(&format!("subnet subnet-1 vpc-1 10.0.1.0/24\n nacl acl-1 vpc-1 subnet-1\n{}", lines.join("\n")))
    }

    const OPEN: &str = "in 900 allow all 0.0.0.0/0; out 900 allow all 0.0.0.0/0";

    #[test]
    fn a_deny_that_comes_too_late() {
        for deny in ["in 1000 deny tcp 22 0.0.0.0/0", "in 1000 deny all 203.0.113.0/24"] {
            assert_eq!(of(&format!("{OPEN}; {deny}")), vec!["error deny_behind_allow acl-1"], "{deny}");
        }
        let partly =
            "in 100 allow tcp 443 0.0.0.0/0; in 200 deny all 203.0.113.0/24; out 100 allow all 0.0.0.0/0";
        assert!(of(partly).contains(&"error deny_behind_allow acl-1".to_owned()), "443 passes");
    }

    #[test]
    fn a_deny_in_its_place_is_no_finding() {
        for deny in
            ["in 100 deny tcp 22 0.0.0.0/0", "in 100 deny all 203.0.113.0/24", "in 2000 deny all ::/0"]
        {
            assert_eq!(of(&format!("{OPEN}; {deny}")), Vec::<String>::new(), "{deny}");
        }
        let rest = "in 100 allow tcp 443 0.0.0.0/0; in 200 deny all 0.0.0.0/0; out 100 allow tcp 1024-65535 0.0.0.0/0";
        assert_eq!(of(rest), Vec::<String>::new(), "allow these, deny the rest");
    }

    #[test]
    fn entries_that_never_decide() {
        assert_eq!(
            of(&format!("{OPEN}; in 1000 allow tcp 443 10.0.0.0/8")),
            vec!["info shadowed_entry acl-1"]
        );
        let denied = "in 50 deny all 10.0.0.0/8; in 60 allow tcp 443 10.1.0.0/16";
        assert!(of(&format!("{OPEN}; {denied}")).contains(&"warning allow_behind_deny acl-1".to_owned()));
        let other = "in 50 deny udp 53 10.0.0.0/8; in 60 allow tcp 53 10.1.0.0/16";
        assert_eq!(of(&format!("{OPEN}; {other}")), Vec::<String>::new(), "another protocol");
    }

    #[test]
    fn answers_that_nobody_lets_back() {
        let inbound = "in 100 allow tcp 443 0.0.0.0/0";
        assert_eq!(of(inbound), vec!["error nacl_return_path acl-1"]);
        assert_eq!(
            of(&format!("{inbound}; out 100 allow tcp 443 0.0.0.0/0")).len(),
            2,
            "each waits for the other"
        );
        assert_eq!(
            of(&format!("{inbound}; out 100 allow tcp 5432 10.0.2.0/24")),
            vec!["error nacl_return_path acl-1", "error nacl_return_path acl-1"],
            "one open port is no way back, and its own answers are dropped too"
        );
        assert_eq!(
            of(&format!("{inbound}; out 100 allow tcp 49152-65535 0.0.0.0/0")),
            vec!["warning nacl_return_path acl-1"],
            "Linux clients use 32768 to 49151 too"
        );
        assert_eq!(
            of(&format!("{inbound}; out 100 allow tcp 32768-65535 0.0.0.0/0")),
            vec!["info nacl_return_path acl-1"],
            "NAT gateways use lower ones"
        );
        assert_eq!(of(&format!("{inbound}; out 100 allow tcp 1024-65535 0.0.0.0/0")), Vec::<String>::new());
        assert_eq!(
            of(&format!("{inbound}; out 100 allow udp 1024-65535 0.0.0.0/0")),
            vec!["error nacl_return_path acl-1"]
        );
        assert_eq!(
            of("out 100 allow udp 53 10.0.0.2/32"),
            vec!["error nacl_return_path acl-1"],
            "the other way round"
        );
    }

    #[test]
    fn answers_denied_to_some_are_meant() {
        let text = "in 100 allow tcp 443 0.0.0.0/0; out 50 deny all 198.51.100.0/24; out 100 allow tcp 1024-65535 0.0.0.0/0";
        assert_eq!(of(text), Vec::<String>::new());
        let only = "in 100 allow tcp 443 0.0.0.0/0; out 100 allow tcp 1024-65535 203.0.113.0/24";
        assert_eq!(of(only), Vec::<String>::new(), "somebody gets answers");
    }

    #[test]
    fn a_wide_allow_is_no_proof_of_connections() {
        let text = "in 100 allow tcp 443 0.0.0.0/0; out 100 allow all 0.0.0.0/0";
        assert_eq!(of(text), vec!["info nacl_return_path acl-1"]);
    }

    #[test]
    fn lists_without_subnets_and_without_ipv6() {
        assert_eq!(found("nacl acl-1 vpc-1"), vec!["info nacl_without_subnets acl-1"]);
        assert_eq!(found("nacl acl-1 vpc-1 default"), Vec::<String>::new());
        let dual = format!(
            "subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64\n nacl acl-1 vpc-1 subnet-1\n acl-1 {}",
            OPEN.replace("; ", "\n acl-1 ")
        );
        assert_eq!(found(&dual), vec!["warning nacl_without_ipv6 acl-1"]);
    }

    #[test]
    fn free_numbers_are_round() {
        let entry = |number| NaclEntry {
            number,
            egress: false,
            action: Some(RuleAction::Allow),
            traffic: Traffic::All,
            cidr: Some(Prefix::any(Family::V4)),
        };
        let list: Vec<NaclEntry> = [100, 110, 200].map(entry).to_vec();
        assert_eq!(free_number(&list, Some(200)), Some(120));
        assert_eq!(free_number(&list, Some(110)), Some(105));
        assert_eq!(free_number(&list, Some(100)), Some(10));
        assert_eq!(free_number(&list, None), Some(300));
        assert_eq!(free_number(&[entry(1)], Some(1)), None);
        assert_eq!(free_number(&[entry(1), entry(2)], Some(2)), None);
    }

    #[test]
    fn traffic_covers_and_overlaps() {
        let ports =
            |first, last| Traffic::Ports { protocol: TCP, ports: PortRange::new(first, last).unwrap() };
        assert!(covers(&Traffic::All, &ports(1, 2)) && !covers(&ports(0, 65535), &Traffic::All));
        assert!(covers(&ports(20, 30), &ports(22, 22)) && !covers(&ports(22, 22), &ports(20, 30)));
        assert!(overlaps(&ports(20, 30), &ports(30, 40)) && !overlaps(&ports(20, 30), &ports(31, 40)));
        let icmp = |kind| Traffic::Icmp { protocol: 1, kind, code: None };
        assert!(covers(&icmp(None), &icmp(Some(8))) && !covers(&icmp(Some(8)), &icmp(None)));
        assert!(!overlaps(&icmp(Some(8)), &icmp(Some(0))));
    }
}
