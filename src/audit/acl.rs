//! Network ACLs: entries that never decide, denies that come too late, lists without subnets.

use std::collections::BTreeSet;

use super::shadow::deciders;
use super::{Finding, Severity, plural, returns};
use crate::net::{Family, PortRange};
use crate::network::{NaclEntry, Network, NetworkAcl, RuleAction, Traffic, View};
use crate::rules::{Direction, acl_list, free_number, taken_numbers};

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    for found in network.acls.all(view) {
        let acl = found.value;
        let told_apart = network.acl_associations.all(view).any(|one| one.value.acl_id == acl.id);
        let unused = acl.subnet_ids.is_empty() && !acl.is_default && !acl.more_subnets && !told_apart;
        let mut report = Report { acl, unused, findings, given: Vec::new() };
        for family in [Family::V4, Family::V6] {
            for egress in [false, true] {
                let list = acl_list(acl, egress, family);
                report.order(&list);
                returns::check(&mut report, &list, &acl_list(acl, !egress, family));
            }
        }
        if unused {
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

pub(super) struct Report<'a> {
    pub(super) acl: &'a NetworkAcl,
    /// No subnet has it, so that nothing in it does harm.
    unused: bool,
    findings: &'a mut Vec<Finding>,
    /// Numbers that advice has given away, with the direction: whoever follows all of it needs different ones.
    given: Vec<(bool, u32)>,
}

pub(super) fn word(egress: bool) -> &'static str {
    if egress { Direction::Egress.rule_word() } else { Direction::Ingress.rule_word() }
}

/// `inbound rule 100 (allow tcp 443 from 0.0.0.0/0)`.
pub(super) fn text(entry: &NaclEntry) -> String {
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

/// What two have in common, where they have something in common.
fn meet(one: &Traffic, other: &Traffic) -> Traffic {
    match (one, other) {
        (Traffic::Ports { protocol, ports: near }, Traffic::Ports { ports: far, .. }) => {
            let ports = PortRange::new(near.first().max(far.first()), near.last().min(far.last()));
            Traffic::Ports { protocol: *protocol, ports: ports.unwrap_or(*far) }
        }
        (one, other) if covers(other, one) => one.clone(),
        (_, other) => other.clone(),
    }
}

/// `inbound rule 100 (allow tcp 443 from 0.0.0.0/0)`, or `inbound rules 100 and 110`; and the ending of the verb.
fn names(entries: &[&NaclEntry]) -> (String, &'static str) {
    match entries {
        [only] => (text(only), "s"),
        [first, .., last] => {
            let numbers: Vec<String> = entries.iter().map(|entry| entry.number.to_string()).collect();
            let all_but_last = numbers.get(..numbers.len().saturating_sub(1)).unwrap_or_default().join(", ");
            (format!("{} rules {all_but_last} and {}", word(first.egress), last.number), "")
        }
        [] => (String::new(), ""),
    }
}

impl Report<'_> {
    pub(super) fn add(&mut self, severity: Severity, check: &'static str, finding: String, advice: String) {
        let object = self.acl.id.clone();
        let severity = if self.unused { Severity::Info } else { severity };
        self.findings.push(Finding { severity, check, object, finding, advice });
    }

    /// Entries that earlier ones keep from ever deciding, or from deciding what they were written for.
    fn order(&mut self, list: &[NaclEntry]) {
        for (at, later) in list.iter().enumerate() {
            let (Some(cidr), false) = (later.cidr, later.is_default()) else { continue };
            let Some(earlier) = list.get(..at) else { continue };
            let (deciding, all) = deciders(earlier, later);
            if all && !deciding.is_empty() {
                self.shadowed(&deciding, later);
                continue;
            }
            let cover = earlier.iter().find(|one| {
                one.cidr.is_some_and(|block| block.covers(&cidr)) && covers(&one.traffic, &later.traffic)
            });
            if let Some(cover) = cover {
                // What stands in front of the two cannot be read, and yet nothing is left for this one.
                self.shadowed(&[cover], later);
                continue;
            }
            if later.action != Some(RuleAction::Deny) {
                continue;
            }
            // A deny of a block that allows for a wider one overtake in part. One block for both is the usual "allow
            // these, deny the rest".
            let overtaking: Vec<&NaclEntry> = (deciding.into_iter())
                .filter(|one| {
                    one.action == Some(RuleAction::Allow)
                        && one.cidr.is_some_and(|block| block != cidr && block.covers(&cidr))
                })
                .collect();
            if overtaking.is_empty() {
                continue;
            }
            let passing: Vec<String> =
                overtaking.iter().map(|one| meet(&one.traffic, &later.traffic).to_string()).collect();
            let (by, s) = names(&overtaking);
            let finding =
                format!("{} does not stop {}: {by} let{s} it pass first", text(later), passing.join(", "));
            let advice = self.before(&overtaking, later);
            self.add(Severity::Error, "deny_behind_allow", finding, advice);
        }
    }

    fn shadowed(&mut self, earlier: &[&NaclEntry], later: &NaclEntry) {
        let (alike, opposite): (Vec<&NaclEntry>, Vec<&NaclEntry>) =
            earlier.iter().partition(|one| one.action == later.action);
        if opposite.is_empty() {
            let (by, s) = names(&alike);
            let verb = if s.is_empty() { "do" } else { "does" };
            let finding = format!("{} never decides: {by} {verb} the same first", text(later));
            let advice = format!("delete rule {}", later.number);
            self.add(Severity::Info, "shadowed_entry", finding, advice);
            return;
        }
        if later.action == Some(RuleAction::Allow) && !alike.is_empty() {
            // Before the denies it would open what they close.
            let ((by, s), (denied, denies)) = (names(&alike), names(&opposite));
            let finding = format!(
                "{} never decides: {by} let{s} pass what {denied} {} not deny",
                text(later),
                if denies.is_empty() { "do" } else { "does" }
            );
            self.add(Severity::Info, "shadowed_entry", finding, format!("delete rule {}", later.number));
            return;
        }
        let (by, s) = names(&opposite);
        let part = if alike.is_empty() { "all" } else { "part" };
        let mut finding = match later.action {
            Some(RuleAction::Deny) => {
                format!("{} never denies anything: {by} let{s} {part} of it pass first", text(later))
            }
            _ => {
                let denies = if s.is_empty() { "deny" } else { "denies" };
                format!("{} never allows anything: {by} {denies} {part} of it first", text(later))
            }
        };
        if !alike.is_empty() {
            let (rest, s) = names(&alike);
            let verb = if s.is_empty() { "do" } else { "does" };
            finding = format!("{finding}, and {rest} {verb} the same for the rest");
        }
        let (severity, check) = match later.action {
            Some(RuleAction::Deny) => (Severity::Error, "deny_behind_allow"),
            _ => (Severity::Warning, "allow_behind_deny"),
        };
        let advice = self.before(&opposite, later);
        self.add(severity, check, finding, advice);
    }

    /// What to do about an entry that others overtake.
    fn before(&mut self, earlier: &[&NaclEntry], later: &NaclEntry) -> String {
        let first = earlier.iter().map(|one| one.number).min().unwrap_or(later.number);
        match self.number(later.egress, Some(first)) {
            Some(number) => format!("give rule {} a number below {first}, such as {number}", later.number),
            None => format!("renumber: rule {} has to come before rule {first}", later.number),
        }
    }

    /// A number for another entry of one direction, before an entry or behind all, that overtakes no other entry.
    pub(super) fn number(&mut self, egress: bool, before: Option<u32>) -> Option<u32> {
        let there: BTreeSet<u32> = taken_numbers(self.acl, egress);
        let overtakes = |number: u32| before.is_some_and(|limit| there.range(number..limit).next().is_some());
        let given = self.given.iter().filter(|(of, _)| *of == egress).map(|(_, number)| *number);
        let taken: BTreeSet<u32> = there.iter().copied().chain(given).collect();
        let number = free_number(&taken, before).filter(|number| !overtakes(*number))?;
        self.given.push((egress, number));
        Some(number)
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

#[cfg(test)]
mod tests {
    use super::super::cases::{self, found};
    use super::*;
    use crate::net::TCP;

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
        let blocked = "in 50 deny all 203.0.113.7/32; in 1000 allow tcp 443 0.0.0.0/0";
        assert_eq!(of(&format!("{OPEN}; {blocked}")), vec!["info shadowed_entry acl-1"], "a block list");
        let other = "in 50 deny udp 53 10.0.0.0/8; in 60 allow tcp 53 10.1.0.0/16";
        assert_eq!(of(&format!("{OPEN}; {other}")), Vec::<String>::new(), "another protocol");
    }

    #[test]
    fn a_list_that_no_subnet_has_does_no_harm() {
        let gap = "in 100 allow tcp 443 0.0.0.0/0\n acl-1 out 100 allow tcp 443 0.0.0.0/0";
        let used = format!("subnet subnet-1 vpc-1 10.0.1.0/24\n nacl acl-1 vpc-1 subnet-1\n acl-1 {gap}");
        assert!(found(&used).contains(&"error nacl_return_path acl-1".to_owned()));
        let unused = found(&format!("nacl acl-1 vpc-1\n acl-1 {gap}"));
        assert!(unused.contains(&"info nacl_return_path acl-1".to_owned()), "{unused:?}");
        assert!(unused.iter().all(|finding| finding.starts_with("info ")), "{unused:?}");
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
    fn traffic_covers_and_meets() {
        let ports =
            |first, last| Traffic::Ports { protocol: TCP, ports: PortRange::new(first, last).unwrap() };
        assert!(covers(&Traffic::All, &ports(1, 2)) && !covers(&ports(0, 65535), &Traffic::All));
        assert!(covers(&ports(20, 30), &ports(22, 22)) && !covers(&ports(22, 22), &ports(20, 30)));
        assert_eq!(meet(&ports(20, 30), &ports(25, 40)), ports(25, 30));
        assert_eq!(
            (meet(&Traffic::All, &ports(1, 2)), meet(&ports(1, 2), &Traffic::All)),
            (ports(1, 2), ports(1, 2))
        );
        let icmp = |kind| Traffic::Icmp { protocol: 1, kind, code: None };
        assert!(covers(&icmp(None), &icmp(Some(8))) && !covers(&icmp(Some(8)), &icmp(None)));
        assert_eq!(meet(&icmp(None), &icmp(Some(8))), icmp(Some(8)));
    }

    /// Findings with these entries: what is found and what is advised.
    fn told(entries: &str) -> Vec<(String, String)> {
        let lines: Vec<String> = entries.split(';').map(|entry| format!("acl-1 {}", entry.trim())).collect();
        let text =
            format!("subnet subnet-1 vpc-1 10.0.1.0/24\n nacl acl-1 vpc-1 subnet-1\n{}", lines.join("\n"));
        cases::told(&text).into_iter().map(|f| (f.finding, f.advice)).collect()
    }

    const OUT: &str = "out 100 allow all 0.0.0.0/0; in 900 allow tcp 1024-65535 0.0.0.0/0; in 910 allow udp 1024-65535 0.0.0.0/0";

    #[test]
    fn a_deny_that_several_allows_overtake_together() {
        let halves = "in 100 allow tcp 443 10.0.0.0/9; in 105 allow tcp 443 10.128.0.0/9; in 110 deny tcp 443 10.0.0.0/8";
        assert_eq!(
            told(&format!("{halves}; {OUT}")),
            [(
                "inbound rule 110 (deny tcp 443 from 10.0.0.0/8) never denies anything: inbound rules 100 and 105 let all of it \
                 pass first"
                    .to_owned(),
                "give rule 110 a number below 100, such as 95".to_owned()
            )]
        );
        let ports = "in 100 allow tcp 0-1000 10.0.0.0/8; in 105 allow tcp 1001-65535 10.0.0.0/8; in 110 deny tcp 500-2000 10.1.0.0/16";
        let found = told(&format!("{ports}; {OUT}"));
        assert!(
            found.len() == 1 && found[0].0.contains("inbound rules 100 and 105 let all of it pass"),
            "{found:?}"
        );
        // A quarter of it is left: that deny does something.
        let left = halves.replace("10.128.0.0/9", "10.128.0.0/10");
        assert!(told(&format!("{left}; {OUT}")).is_empty());
        let mixed = "in 90 deny tcp 443 10.0.0.0/9; in 100 allow tcp 443 10.128.0.0/9; in 110 deny tcp 443 10.0.0.0/8";
        let found = told(&format!("{mixed}; {OUT}"));
        assert!(
            found[0].0.ends_with(
                "inbound rule 100 (allow tcp 443 from 10.128.0.0/9) lets part of it pass first, and inbound rule 90 (deny tcp 443 \
                 from 10.0.0.0/9) does the same for the rest"
            ),
            "{found:?}"
        );
    }

    #[test]
    fn the_part_that_passes_a_deny_is_named() {
        let found =
            told(&format!("in 100 allow tcp 0-1000 10.0.0.0/8; in 110 deny tcp 500-2000 10.1.0.0/16; {OUT}"));
        assert!(found[0].0.contains("does not stop tcp 500-1000: inbound rule 100 "), "{found:?}");
        // What an earlier deny has stopped does not pass.
        let stopped = "in 90 deny tcp 500-1000 10.1.0.0/16; in 100 allow tcp 0-1000 10.0.0.0/8; in 110 deny tcp 500-2000 10.1.0.0/16";
        assert!(told(&format!("{stopped}; {OUT}")).is_empty());
    }
}
