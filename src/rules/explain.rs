//! Rule by rule: what each entry and each rule makes of a packet. Slower than the compiled form, and the truth it is held to.

use super::compiled::CompiledAcl;
use super::identity::{Identity, is_stale};
use super::matching::{Mismatch, entry_elsewhere, fits_other_family, match_entry, match_traffic};
use super::packet::{Decision, Packet, Ternary};
use crate::net::{Family, Prefix};
use crate::network::{
    Found, NACL_DEFAULT_V4, NACL_DEFAULT_V6, NaclEntry, NetworkAcl, PrefixList, Remote, RuleAction,
    SecurityGroup, SecurityGroupRule, Traffic,
};
use std::sync::Arc;

/// What one rule made of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleCheck {
    /// Position in the list that was checked.
    pub index: usize,
    /// Whether it matches.
    pub matched: Ternary,
    /// Beside a No: why.
    pub mismatch: Option<Mismatch>,
    /// Beside another protocol, port or type: the remote is not one of the rule's either.
    pub elsewhere: bool,
}

impl RuleCheck {
    /// Why it does not match, in words.
    pub fn because(&self) -> Option<String> {
        self.mismatch.map(|mismatch| mismatch.words(self.elsewhere))
    }
}

/// A network ACL's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclCheck {
    /// The decision.
    pub decision: Decision,
    /// Entries that may decide, in the order of the list: the last is the first sure match, the others may match before it.
    pub deciding: Vec<usize>,
    /// Every entry up to the deciding one.
    pub checks: Vec<RuleCheck>,
}

/// The entries of one direction and family in the order in which they are evaluated, closed by the default deny.
/// Entries whose block is unreadable may be of either family, so they are in both lists.
pub fn acl_list(acl: &NetworkAcl, egress: bool, family: Family) -> Vec<NaclEntry> {
    let mut entries: Vec<NaclEntry> = (acl.entries.iter())
        .filter(|entry| entry.egress == egress && entry.cidr.is_none_or(|cidr| cidr.family() == family))
        .cloned()
        .collect();
    entries.sort_by_key(|entry| entry.number);
    let number = match family {
        Family::V4 => NACL_DEFAULT_V4,
        Family::V6 => NACL_DEFAULT_V6,
    };
    if !entries.iter().any(|entry| entry.number == number) {
        let action = Some(RuleAction::Deny);
        entries.push(NaclEntry {
            number,
            egress,
            action,
            traffic: Traffic::All,
            cidr: Some(Prefix::any(family)),
        });
    }
    entries
}

/// The entries as an input has them, and the denies that close each list where it leaves them out (spec 6.4: Terraform does).
pub fn closed_entries(acl: &NetworkAcl) -> Vec<NaclEntry> {
    let mut entries = acl.entries.clone();
    for (egress, family) in [false, true].into_iter().flat_map(|e| [(e, Family::V4), (e, Family::V6)]) {
        let list = acl_list(acl, egress, family);
        entries.extend(list.into_iter().filter(|entry| entry.is_default() && !acl.entries.contains(entry)));
    }
    entries
}

/// First match decides; an entry that may match leaves the decision open unless what follows decides alike (spec 8.3).
pub fn check_acl(list: &[NaclEntry], packet: &Packet) -> AclCheck {
    let mut checks = Vec::new();
    let mut deciding = Vec::new();
    let (mut may_allow, mut may_deny) = (false, false);
    for (index, entry) in list.iter().enumerate() {
        let (matched, mismatch) = match_entry(entry, packet);
        let elsewhere = of_traffic(mismatch) && entry_elsewhere(entry, packet);
        checks.push(RuleCheck { index, matched, mismatch, elsewhere });
        if matched == Ternary::No {
            continue;
        }
        deciding.push(index);
        may_allow |= entry.action != Some(RuleAction::Deny);
        may_deny |= entry.action != Some(RuleAction::Allow);
        if matched == Ternary::Yes {
            break;
        }
    }
    let decision = match (may_allow, may_deny) {
        (true, false) => Decision::Allow,
        (false, true) => Decision::Deny,
        _ => Decision::Unknown,
    };
    AclCheck { decision, deciding, checks }
}

/// The entry that would let the like of the packet pass if it were of the other address family: what a list forgets that
/// allows one family only.
pub fn allows_other_family<'a>(acl: &'a CompiledAcl, packet: &Packet) -> Option<&'a NaclEntry> {
    let other = match packet.family() {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let fits = |entry: &&NaclEntry| {
        entry.cidr.as_ref().is_some_and(|cidr| fits_other_family(&entry.traffic, cidr, packet))
    };
    let allows = |entry: &NaclEntry| entry.action == Some(RuleAction::Allow);
    // A denied block says nothing of the others.
    let decides = |entry: &&NaclEntry| allows(entry) || entry.cidr.is_some_and(|cidr| cidr.is_any());
    let first = acl.list(packet.direction, other).iter().filter(fits).find(decides)?;
    allows(first).then_some(first)
}

/// The groups' decision for a new flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCheck {
    /// The decision.
    pub decision: Decision,
    /// (group, rule) positions that match.
    pub matching: Vec<(usize, usize)>,
    /// (group, rule) positions that may match.
    pub perhaps: Vec<(usize, usize)>,
    /// Every rule of the direction: (group, check).
    pub checks: Vec<(usize, RuleCheck)>,
}

/// Every rule of every group: one match suffices (spec 8.4). `lists` finds a prefix list; `missing` says that a group of the
/// interface is not in the configuration. An interface without groups is for the caller: not applicable.
pub fn check_groups<'n>(
    groups: &[Arc<SecurityGroup>],
    missing: bool,
    packet: &Packet,
    identity: &Identity<'_>,
    lists: impl Fn(&str) -> Option<Found<'n, PrefixList>>,
) -> GroupCheck {
    let mut check = GroupCheck {
        decision: Decision::Deny,
        matching: Vec::new(),
        perhaps: Vec::new(),
        checks: Vec::new(),
    };
    for (at, group) in groups.iter().enumerate() {
        for (index, rule) in group.rules.iter().enumerate() {
            if rule.egress != packet.direction.is_egress() {
                continue;
            }
            let (matched, mismatch) = match_rule(rule, packet, identity, &lists);
            let elsewhere = of_traffic(mismatch)
                && remote_holds(rule, packet, identity, &lists).is_none_or(|holds| holds == Ternary::No);
            check.checks.push((at, RuleCheck { index, matched, mismatch, elsewhere }));
            match matched {
                Ternary::Yes => check.matching.push((at, index)),
                Ternary::Maybe => check.perhaps.push((at, index)),
                Ternary::No => {}
            }
        }
    }
    check.decision = if !check.matching.is_empty() {
        Decision::Allow
    } else if missing || !check.perhaps.is_empty() {
        Decision::Unknown
    } else {
        Decision::Deny
    };
    check
}

/// Whether it was the traffic that differs, so that addresses were not asked.
fn of_traffic(mismatch: Option<Mismatch>) -> bool {
    matches!(mismatch, Some(Mismatch::Protocol | Mismatch::Port | Mismatch::IcmpType))
}

/// Whether the packet's remote is one of a rule's; `None` where they are of two families.
fn remote_holds<'n>(
    rule: &SecurityGroupRule,
    packet: &Packet,
    identity: &Identity<'_>,
    lists: &impl Fn(&str) -> Option<Found<'n, PrefixList>>,
) -> Option<Ternary> {
    Some(match &rule.remote {
        Remote::Unreadable(_) => Ternary::Maybe,
        Remote::Cidr(cidr) if cidr.family() != packet.family() => return None,
        Remote::Cidr(cidr) => Ternary::from(cidr.contains(&packet.remote)),
        Remote::PrefixList(id) => {
            let list = lists(id);
            let list = list.as_ref().map(|list| list.value.as_ref());
            match list.and_then(|list| list.entries.as_ref()) {
                Some(entries) => Ternary::from(entries.iter().any(|entry| entry.contains(&packet.remote))),
                None if list.and_then(|list| list.family).is_some_and(|family| family != packet.family()) => {
                    return None;
                }
                None => Ternary::Maybe,
            }
        }
        Remote::Group(reference) if is_stale(reference) => Ternary::No,
        Remote::Group(reference) => identity.carries(reference),
    })
}

fn match_rule<'n>(
    rule: &SecurityGroupRule,
    packet: &Packet,
    identity: &Identity<'_>,
    lists: &impl Fn(&str) -> Option<Found<'n, PrefixList>>,
) -> (Ternary, Option<Mismatch>) {
    if let Remote::Cidr(cidr) = &rule.remote
        && fits_other_family(&rule.traffic, cidr, packet)
    {
        return (Ternary::No, Some(Mismatch::Family));
    }
    let (traffic, mismatch) = match_traffic(&rule.traffic, packet);
    if traffic == Ternary::No {
        return (Ternary::No, mismatch);
    }
    if rule.remote.group().is_some_and(is_stale) {
        return (Ternary::No, Some(Mismatch::StaleReference));
    }
    let Some(address) = remote_holds(rule, packet, identity, lists) else {
        return (Ternary::No, Some(Mismatch::Family));
    };
    match address {
        Ternary::No => (Ternary::No, Some(Mismatch::Address)),
        address => (traffic.and(address), None),
    }
}
