//! Network ACLs keep no state: whether the other list lets the answers pass to what a list allows (spec 3.1, 3.5).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Severity;
use super::acl::{Report, text, word};
use super::shadow::{borders, reaches};
use crate::net::{ICMP, ICMPV6, PortRange, Prefix, TCP, UDP};
use crate::network::{NaclEntry, RuleAction, Traffic};
use crate::rules::{Decision, Direction, Packet, check_acl};

/// The ports from which clients of any kind connect (spec 3.3).
const EPHEMERAL: (u16, u16) = (1024, 65535);
/// The part from which most clients connect: Linux from 32768, Windows from 49152.
const USUAL: u16 = 32768;
/// A range of so many ports above 1023 is there for answers, not for services.
const ANSWERS: u16 = 10_000;

/// Answers that are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gap {
    /// The client's ports.
    ports: Vec<(u16, u16)>,
    /// One of the addresses whose answers are dropped, where others get theirs.
    such_as: Option<IpAddr>,
    /// The first of the entries that drop them; `None` where that is the default deny alone.
    dropped_by: Option<u32>,
}

/// What is asked of one entry: whom it lets in, and where the answers are looked up.
struct Asked<'e> {
    cidr: Prefix,
    /// Addresses, one of each stretch within which nothing changes, from which the entry lets something in.
    remotes: Vec<IpAddr>,
    opposite: &'e [NaclEntry],
}

pub(super) fn check(report: &mut Report<'_>, list: &[NaclEntry], opposite: &[NaclEntry]) {
    for (at, entry) in list.iter().enumerate() {
        let (Some(RuleAction::Allow), Some(cidr)) = (entry.action, entry.cidr) else { continue };
        let earlier = list.get(..at).unwrap_or_default();
        // An entry that decides nothing starts nothing.
        let asked = |traffic: Traffic| {
            let probe = NaclEntry { traffic, ..entry.clone() };
            let remotes = borders(cidr, earlier.iter().chain(opposite)).into_iter();
            let remotes: Vec<IpAddr> = remotes.filter(|remote| reaches(earlier, &probe, *remote)).collect();
            (!remotes.is_empty()).then_some(Asked { cidr, remotes, opposite })
        };
        let ports = |protocol, ports| asked(Traffic::Ports { protocol, ports });
        match &entry.traffic {
            Traffic::All => {
                let of = |protocol| ports(protocol, PortRange::ALL).and_then(|asked| asked.gap(protocol));
                match (of(TCP), of(UDP)) {
                    (Some(tcp), Some(udp)) if tcp == udp => report.gap(entry, cidr, &[TCP, UDP], &tcp, true),
                    (tcp, udp) => {
                        tcp.iter().for_each(|gap| report.gap(entry, cidr, &[TCP], gap, true));
                        udp.iter().for_each(|gap| report.gap(entry, cidr, &[UDP], gap, true));
                    }
                }
            }
            Traffic::Ports { protocol: protocol @ (TCP | UDP), ports: range } => {
                let width = range.last().saturating_sub(range.first());
                if range.first() >= EPHEMERAL.0 && width >= ANSWERS {
                    // This is the answers' entry itself.
                    continue;
                }
                if let Some(gap) = ports(*protocol, *range).and_then(|asked| asked.gap(*protocol)) {
                    report.gap(entry, cidr, &[*protocol], &gap, width >= ANSWERS);
                }
            }
            Traffic::Icmp { protocol, kind, code } => {
                let (request, reply) = if *protocol == ICMPV6 { (128, 129) } else { (8, 0) };
                if kind.is_some_and(|kind| kind != request) || code.is_some_and(|code| code != 0) {
                    continue;
                }
                let probe = Traffic::Icmp { protocol: *protocol, kind: Some(request), code: Some(0) };
                if let Some(gap) = asked(probe).and_then(|asked| asked.echo(*protocol, reply)) {
                    report.echo(entry, cidr, &gap, (*protocol, reply), kind.is_none());
                }
            }
            Traffic::Ports { .. } | Traffic::Protocol(_) | Traffic::Unreadable(_) => {}
        }
    }
}

impl Asked<'_> {
    /// Where answers to none of the addresses pass, else where some of the addresses get none.
    fn gap(&self, protocol: u8) -> Option<Gap> {
        let mut starts = BTreeSet::from([EPHEMERAL.0, USUAL]);
        for entry in self.opposite {
            if let Traffic::Ports { protocol: other, ports } = &entry.traffic
                && *other == protocol
            {
                starts.extend([Some(ports.first()), ports.last().checked_add(1)].into_iter().flatten());
            }
        }
        starts.retain(|start| *start >= EPHEMERAL.0);
        let ends: Vec<u16> = starts.iter().skip(1).map(|next| next.saturating_sub(1)).collect();
        let (mut to_none, mut to_some): (Option<Gap>, Option<Gap>) = (None, None);
        // What is added is for all of these ports, and so stands before whatever denies one of them.
        let mut first: Option<u32> = None;
        for (low, high) in starts.iter().copied().zip(ends.into_iter().chain([EPHEMERAL.1])) {
            let Some(dropped) = self.dropped(|remote| answer(remote, protocol, Some(low), None)) else {
                continue;
            };
            first = first.into_iter().chain(dropped.dropped_by).min();
            let into = if dropped.such_as.is_none() { &mut to_none } else { &mut to_some };
            let gap = into.get_or_insert(dropped);
            match gap.ports.last_mut() {
                Some(last) if last.1.checked_add(1) == Some(low) => last.1 = high,
                _ => gap.ports.push((low, high)),
            }
        }
        let is_usual = |gap: &Gap| gap.ports.iter().any(|(_, high)| *high >= USUAL);
        let gap = match (to_none, to_some) {
            // Ports that hardly anybody uses are the lesser fault.
            (Some(none), Some(some)) if !is_usual(&none) && is_usual(&some) => Some(some),
            (none, some) => none.or(some),
        };
        gap.map(|gap| Gap { dropped_by: first, ..gap })
    }

    fn echo(&self, protocol: u8, reply: u8) -> Option<Gap> {
        self.dropped(|remote| answer(remote, protocol, None, Some((reply, Some(0)))))
    }

    /// Whether the other list drops the answers to all addresses, or to some that nobody has spoken about: an entry for
    /// some of the addresses denies them on purpose.
    fn dropped(&self, packet: impl Fn(IpAddr) -> Packet) -> Option<Gap> {
        let denied: Vec<(IpAddr, Option<&NaclEntry>)> = (self.remotes.iter())
            .filter_map(|remote| {
                let check = check_acl(self.opposite, &packet(*remote));
                let by = check.deciding.last().and_then(|at| self.opposite.get(*at));
                (check.decision == Decision::Deny).then_some((*remote, by))
            })
            .collect();
        let number = |by: &NaclEntry| (!by.is_default()).then_some(by.number);
        let forgotten = |by: &NaclEntry| by.cidr.is_some_and(|block| block.covers(&self.cidr));
        if denied.len() == self.remotes.len() && !denied.is_empty() {
            // Where others are denied by name, what is added stays behind that.
            let all = denied.iter().filter_map(|(_, by)| *by);
            let by_name = all.clone().all(|by| !by.is_default() && !forgotten(by));
            let dropped_by = all.filter(|by| by_name || forgotten(by)).filter_map(number).min();
            return Some(Gap { ports: Vec::new(), such_as: None, dropped_by });
        }
        let (remote, by) = denied.iter().find(|(_, by)| by.is_some_and(forgotten))?;
        Some(Gap { ports: Vec::new(), such_as: Some(*remote), dropped_by: by.and_then(number) })
    }
}

/// The direction has no part in matching: the list is of one direction.
fn answer(remote: IpAddr, protocol: u8, port: Option<u16>, icmp: Option<(u8, Option<u8>)>) -> Packet {
    Packet { direction: Direction::Egress, remote, protocol, port, icmp }
}

impl Report<'_> {
    /// Reports answers of TCP or UDP that are dropped. `wide`: an allow that is as likely there for answers to the other
    /// direction, where nobody connects this way.
    fn gap(&mut self, entry: &NaclEntry, cidr: Prefix, protocols: &[u8], gap: &Gap, wide: bool) {
        let blocked = &gap.ports;
        let everything = gap.such_as.is_none() && blocked.as_slice() == [EPHEMERAL];
        // A few open ports below do not help those that connect from the usual ones.
        let all_usual = blocked.iter().any(|(low, high)| *low <= USUAL && *high == EPHEMERAL.1);
        let usual = blocked.iter().any(|(_, high)| *high >= USUAL);
        let severity = match (wide, usual) {
            (false, true) if all_usual && gap.such_as.is_none() => Severity::Error,
            (false, true) => Severity::Warning,
            // Whoever lets everybody in means to be spoken to, and then nobody ever gets an answer.
            (true, true) if everything && !entry.egress && entry.traffic == Traffic::All => Severity::Warning,
            (true, _) | (_, false) => Severity::Info,
        };
        let other = word(!entry.egress);
        let names: Vec<&str> =
            protocols.iter().map(|protocol| if *protocol == UDP { "udp" } else { "tcp" }).collect();
        let kind =
            if entry.traffic == Traffic::All { format!("{} ", names.join(" and ")) } else { String::new() };
        let ports = if everything {
            format!("the {other} list lets no {kind}answer pass (ports {}-{})", EPHEMERAL.0, EPHEMERAL.1)
        } else {
            let ranges: Vec<String> = blocked.iter().map(|(low, high)| format!("{low}-{high}")).collect();
            let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
            let ports = format!("the {other} list drops {kind}answers to ports {}", super::some(&ranges));
            format!("{ports}{}", part(gap))
        };
        let clients = if usual { "" } else { " (those of load balancers, NAT gateways and Lambda)" };
        let finding = format!("{} starts connections, but {ports}{clients}", text(entry));
        let (first, last) = EPHEMERAL;
        let mut advice =
            self.advice(entry, cidr, gap, &format!("{} {first}-{last}", names.first().unwrap_or(&"tcp")));
        if let [_, also, ..] = names.as_slice() {
            advice = format!("{advice}, and the same for {also}");
        }
        self.add(severity, "nacl_return_path", finding, advice);
    }

    fn echo(&mut self, entry: &NaclEntry, cidr: Prefix, gap: &Gap, answer: (u8, u8), wide: bool) {
        let other = word(!entry.egress);
        let finding = format!(
            "{} lets echo requests pass, but the {other} list drops the echo replies{}",
            text(entry),
            part(gap)
        );
        let (protocol, kind) = answer;
        let name = if protocol == ICMP { "icmp" } else { "icmpv6" };
        let advice = self.advice(entry, cidr, gap, &format!("{name} type {kind}"));
        // All of ICMP is often allowed for errors alone.
        let severity = if wide { Severity::Info } else { Severity::Warning };
        self.add(severity, "nacl_return_path", finding, advice);
    }

    fn advice(&mut self, entry: &NaclEntry, cidr: Prefix, gap: &Gap, what: &str) -> String {
        let other = word(!entry.egress);
        let preposition = if entry.egress { "from" } else { "to" };
        match self.number(!entry.egress, gap.dropped_by) {
            Some(number) => format!(
                "add {other} rule {number}: allow {what} {preposition} {cidr} (a network ACL keeps no state)"
            ),
            None => format!("make room before the {other} deny, and allow {what} {preposition} {cidr}"),
        }
    }
}

fn part(gap: &Gap) -> String {
    gap.such_as.map(|addr| format!(" of some of these addresses, such as {addr}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::super::cases::{self, found};

    fn network(entries: &str) -> String {
        let lines: Vec<String> = entries.split(';').map(|entry| format!("acl-1 {}", entry.trim())).collect();
        format!("subnet subnet-1 vpc-1 10.0.1.0/24\n nacl acl-1 vpc-1 subnet-1\n{}", lines.join("\n"))
    }

    /// Findings on a list with these entries, in a subnet of its own.
    fn of(entries: &str) -> Vec<String> {
        found(&network(entries))
    }

    fn told(entries: &str) -> Vec<Finding> {
        cases::told(&network(entries))
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
    fn two_pieces_of_advice_for_a_list_have_two_numbers() {
        let findings = told("in 100 allow tcp 443 0.0.0.0/0; in 110 allow udp 53 0.0.0.0/0");
        let advice: Vec<&str> = findings.iter().map(|finding| finding.advice.as_str()).collect();
        let numbers: Vec<Option<&str>> = advice.iter().map(|text| text.split(':').next()).collect();
        assert_eq!(numbers.len(), 2, "{advice:?}");
        assert_ne!(numbers[0], numbers[1], "{advice:?}");
    }

    #[test]
    fn answers_denied_to_some_by_name_are_meant() {
        let text = "in 100 allow tcp 443 0.0.0.0/0; out 50 deny all 198.51.100.0/24; out 100 allow tcp 1024-65535 0.0.0.0/0";
        assert_eq!(of(text), Vec::<String>::new());
        let only = "in 100 allow tcp 443 0.0.0.0/0; out 100 allow tcp 1024-65535 203.0.113.0/24";
        assert_eq!(of(only), vec!["warning nacl_return_path acl-1"], "nobody has spoken about the others");
    }

    #[test]
    fn a_wide_allow_is_no_proof_of_connections() {
        let text = "in 100 allow tcp 443 0.0.0.0/0; out 100 allow all 0.0.0.0/0";
        assert_eq!(of(text), vec!["info nacl_return_path acl-1"]);
        // A subnet that anybody may speak to, and that answers nobody.
        let text = "in 100 allow all 0.0.0.0/0; out 100 allow tcp 443 0.0.0.0/0";
        assert_eq!(of(text), vec!["warning nacl_return_path acl-1"]);
    }

    #[test]
    fn an_entry_that_decides_nothing_starts_nothing() {
        // Behind a deny of the same, and behind an allow of the same: told once.
        let denied =
            "in 90 deny tcp 443 0.0.0.0/0; in 100 allow tcp 443 0.0.0.0/0; out 100 deny all 0.0.0.0/0";
        assert_eq!(of(denied), vec!["warning allow_behind_deny acl-1"]);
        let twice = "in 90 allow tcp 443 0.0.0.0/0; in 100 allow tcp 443 10.0.0.0/8";
        assert_eq!(of(twice), vec!["error nacl_return_path acl-1", "info shadowed_entry acl-1"]);
        // Where an earlier entry denies the very addresses that get no answers, nothing is missing.
        let spared = "in 90 deny all 10.128.0.0/9; in 100 allow tcp 443 10.0.0.0/8; out 100 allow tcp 1024-65535 10.0.0.0/9";
        assert_eq!(of(spared), Vec::<String>::new());
    }

    #[test]
    fn answers_to_some_of_the_addresses_are_forgotten() {
        let part = told("in 100 allow tcp 443 10.0.0.0/8; out 100 allow tcp 1024-65535 10.0.0.0/16");
        assert_eq!(part.len(), 1);
        assert_eq!(
            (part[0].severity.to_string().as_str(), part[0].finding.as_str(), part[0].advice.as_str()),
            (
                "warning",
                "inbound rule 100 (allow tcp 443 from 10.0.0.0/8) starts connections, but the outbound list drops answers to \
                 ports 1024-65535 of some of these addresses, such as 10.1.0.0",
                "add outbound rule 110: allow tcp 1024-65535 to 10.0.0.0/8 (a network ACL keeps no state)"
            )
        );
        let halves = "in 100 allow tcp 443 10.0.0.0/8; out 100 allow tcp 1024-65535 10.0.0.0/9; out 110 allow tcp 1024-65535 10.128.0.0/9";
        assert_eq!(of(halves), Vec::<String>::new(), "together they cover it");
    }

    #[test]
    fn what_is_advised_stands_before_every_deny_of_its_ports() {
        // 1024-32767 meet the default deny, 32768-61000 rule 180: at 190 the answers to Linux clients would still be dropped.
        let found = told("in 100 allow tcp 443 0.0.0.0/0; out 180 deny tcp 32768-61000 0.0.0.0/0");
        assert_eq!(found.len(), 1, "{found:?}");
        let number = found[0].advice.trim_start_matches("add outbound rule ").split(':').next().unwrap();
        assert!(number.parse::<u32>().unwrap() < 180, "{}", found[0].advice);
        let mended = format!(
            "in 100 allow tcp 443 0.0.0.0/0; out 180 deny tcp 32768-61000 0.0.0.0/0; out {number} allow tcp 1024-65535 0.0.0.0/0"
        );
        assert!(!of(&mended).iter().any(|one| one.contains("nacl_return_path")), "{:?}", of(&mended));
        // What is denied by name stays so.
        let by_name = told("in 100 allow tcp 443 0.0.0.0/0; out 50 deny all 198.51.100.0/24");
        assert!(by_name.iter().any(|one| one.advice.starts_with("add outbound rule 60")), "{by_name:?}");
    }

    #[test]
    fn the_advice_has_a_number_that_neither_family_uses() {
        // 6.4: one number serves one family.
        let found = told("in 100 allow tcp 443 ::/0; out 100 allow tcp 1024-65535 0.0.0.0/0");
        assert!(
            found[0].advice.starts_with("add outbound rule 110: allow tcp 1024-65535 to ::/0"),
            "{found:?}"
        );
        let before =
            told("in 100 allow tcp 443 0.0.0.0/0; out 100 deny all 0.0.0.0/0; out 95 allow tcp 443 ::/0");
        let before: Vec<_> = before.iter().filter(|found| found.finding.contains("from 0.0.0.0/0")).collect();
        assert!(before[0].advice.starts_with("add outbound rule 99: "), "{before:?}");
    }

    #[test]
    fn echo_replies_and_udp_have_answers_too() {
        // The ping of 1.4: the list lets ICMP in and not out, and the reply is rejected.
        let ping = told("in 100 allow icmp 8 0.0.0.0/0; out 100 allow tcp 1024-65535 0.0.0.0/0");
        assert_eq!(
            (ping[0].finding.as_str(), ping[0].advice.as_str()),
            (
                "inbound rule 100 (allow icmp type 8 from 0.0.0.0/0) lets echo requests pass, but the outbound list drops the \
                 echo replies",
                "add outbound rule 110: allow icmp type 0 to 0.0.0.0/0 (a network ACL keeps no state)"
            )
        );
        assert_eq!(of("in 100 allow icmp 8 0.0.0.0/0; out 100 allow icmp 0 0.0.0.0/0"), Vec::<String>::new());
        assert_eq!(of("in 100 allow icmp 3 0.0.0.0/0"), Vec::<String>::new(), "errors have no answer");
        assert_eq!(of("in 100 allow icmp 0.0.0.0/0"), vec!["info nacl_return_path acl-1"]);
        assert_eq!(of("in 100 allow icmpv6 128 ::/0"), vec!["warning nacl_return_path acl-1"]);
        // Outbound all of it, and back TCP alone: answers of DNS are dropped.
        let dns = told("out 100 allow all 0.0.0.0/0; in 100 allow tcp 0-65535 0.0.0.0/0");
        assert_eq!(dns.len(), 1);
        assert!(
            dns[0].finding.contains("the inbound list lets no udp answer pass (ports 1024-65535)"),
            "{dns:?}"
        );
    }
}
