//! Whether a change takes away what may have let a conversation pass that the configuration of now does not explain, or explains by
//! what is not there any more.

use super::super::judge::groups_on;
use crate::network::{NaclEntry, Remote, RuleAction, SecurityGroupRule, Taken};
use crate::rules::{InterfaceRules, Packet, Ternary, match_traffic};

/// Whether the change takes a rule away that is for the packet's traffic, and may have let it pass from an address that the
/// configuration does not know to be a member's.
pub(super) fn loses_rule<'r>(
    before: &'r InterfaceRules,
    after: &'r InterfaceRules,
    taken: &[Taken],
    packet: &Packet,
) -> bool {
    let rules = |of: &'r InterfaceRules| {
        of.groups.iter().flat_map(|groups| &groups.groups).flat_map(|group| &group.rules)
    };
    let mut candidates = rules(before).filter(|rule| is_for(rule, packet));
    candidates.any(|rule| !rules(after).any(|other| other.means(rule)))
        || taken_rules(before, taken).any(|(_, rule, _)| is_for(rule, packet) && may_hold(rule, packet))
}

/// The same of an entry of the network ACL that allows.
pub(super) fn loses_entry<'r>(
    before: &'r InterfaceRules,
    after: &'r InterfaceRules,
    taken: &[Taken],
    packet: &Packet,
) -> bool {
    let list = |of: &'r InterfaceRules| {
        of.acl.as_ref().map_or(&[][..], |acl| acl.list(packet.direction, packet.family()))
    };
    let would = list(after);
    let is_for = |entry: &NaclEntry| {
        entry.action == Some(RuleAction::Allow) && match_traffic(&entry.traffic, packet).0 != Ternary::No
    };
    let is_its = |one: &Taken| match one {
        Taken::Entry { acl_id, entry } => {
            before.acl.as_ref().is_some_and(|acl| acl.acl.id == *acl_id)
                && is_for(entry)
                && entry.cidr.is_none_or(|cidr| cidr.family() == packet.family())
        }
        Taken::Rule { .. } => false,
    };
    list(before).iter().any(|entry| is_for(entry) && !would.contains(entry)) || taken.iter().any(is_its)
}

/// Whether the change takes a rule away that the configuration does not hold and that let the packet pass, while what lets it pass
/// by the configuration is no rule of the group as the plan knows it: then the configuration is of another time.
pub(super) fn hides(
    before: &InterfaceRules,
    after: &InterfaceRules,
    taken: &[Taken],
    packet: &Packet,
) -> bool {
    let Some(groups) = &after.groups else { return false };
    let sure = groups_on(after, packet).1.sure;
    let passing = || {
        sure.iter().filter_map(|(group, rule)| {
            let group = groups.groups.get(*group)?;
            Some((group.id.as_str(), group.rules.get(*rule)?))
        })
    };
    taken_rules(before, taken).any(|(group, rule, left)| {
        let Some(left) = left else { return false };
        let is_left = |rule: &SecurityGroupRule| left.iter().any(|other| other.means(rule));
        is_for(rule, packet)
            && may_hold(rule, packet)
            && !passing().any(|(id, rule)| id != group || is_left(rule))
    })
}

type TakenRule<'t> = (&'t str, &'t SecurityGroupRule, Option<&'t [SecurityGroupRule]>);

/// The rules of an interface's groups that the change takes away and the configuration does not hold.
fn taken_rules<'t>(
    before: &'t InterfaceRules,
    taken: &'t [Taken],
) -> impl Iterator<Item = TakenRule<'t>> + use<'t> {
    taken.iter().filter_map(|one| match one {
        Taken::Rule { group_id, rule, left } => {
            let is_carried = before.interface.group_ids.contains(group_id);
            is_carried.then_some((group_id.as_str(), rule, left.as_deref()))
        }
        Taken::Entry { .. } => None,
    })
}

fn is_for(rule: &SecurityGroupRule, packet: &Packet) -> bool {
    rule.egress == packet.direction.is_egress() && match_traffic(&rule.traffic, packet).0 != Ternary::No
}

/// Whether a rule may be for the packet's other end.
fn may_hold(rule: &SecurityGroupRule, packet: &Packet) -> bool {
    match &rule.remote {
        Remote::Cidr(prefix) => prefix.contains(&packet.remote),
        Remote::PrefixList(_) | Remote::Group(_) | Remote::Unreadable(_) => true,
    }
}
