//! What a change does to accepted traffic of interfaces that the configuration lacks. Their subnets' network ACLs are judged as those
//! of others are; any of their VPC's groups may be theirs.

use super::super::distinct::Distinct;
use super::super::role::Side;
use super::super::stray::{NEWEST, Stray, may_pass, vpc_of};
use super::super::traffic::Traffic;
use super::{Effect, Established, Outcome, Tally};
use crate::network::{Network, NetworkAcl, SecurityGroup};
use crate::rules::{Decision, Direction, Packet, acl_list, check_acl, entry_text, rule_text};
use hashbrown::HashMap;
use std::collections::BTreeSet;

type Key = (Outcome, String, Direction, u8, Option<u16>, String, String);

/// The effects on them.
pub(super) fn effects(traffic: &Traffic, proposed: &Network, named: usize) -> Vec<Effect> {
    let now = traffic.plan().network();
    let groups = changed_groups(now, proposed);
    let mut found: HashMap<Key, Tally> = HashMap::new();
    for stray in traffic.strays().packets(now) {
        let by_list = of_list(&stray, now, proposed);
        let Some((outcome, before, after)) = by_list.or_else(|| of_groups(&stray, &groups, now, proposed))
        else {
            continue;
        };
        let packet = stray.packet;
        let (direction, port) = match stray.side {
            Some(Side::Reply) => (packet.direction.opposite(), stray.back),
            _ => (packet.direction, packet.port),
        };
        let key = (outcome, stray.interface_id.to_owned(), direction, packet.protocol, port, before, after);
        let mut remotes = Distinct::default();
        remotes.add(packet.remote);
        let tally =
            Tally { conversations: 1, totals: stray.totals, remotes, some: BTreeSet::from([packet.remote]) };
        match found.get_mut(&key) {
            Some(known) => known.merge(tally, named),
            None => {
                found.insert(key, tally);
            }
        }
    }
    let mut found: Vec<(Key, Tally)> = found.into_iter().collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let effects = found.into_iter().map(|(key, tally)| {
        let (outcome, interface_id, direction, protocol, port, before, after) = key;
        Effect {
            outcome,
            interface_id,
            direction,
            protocol,
            port,
            before,
            after,
            established: (outcome == Outcome::NewlyBlocked).then_some(Established::Cut),
            conversations: tally.conversations,
            totals: tally.totals,
            remotes: tally.remotes.count(),
            some_remotes: tally.some.into_iter().collect(),
        }
    });
    effects.collect()
}

/// Groups of which a rule goes, or the prefix list of a rule changes, with what they become.
fn changed_groups<'n>(
    now: &'n Network,
    proposed: &'n Network,
) -> Vec<(&'n SecurityGroup, &'n SecurityGroup)> {
    let newest = now.groups.timelines().filter_map(|(id, timeline)| Some((id, timeline.pick(NEWEST)?.value)));
    let list_changes = |group: &SecurityGroup| {
        group.rules.iter().any(|rule| match &rule.remote {
            crate::network::Remote::PrefixList(id) => {
                let entries = |network: &Network| {
                    network.prefix_lists.get(id, NEWEST).and_then(|list| list.value.entries.clone())
                };
                entries(now) != entries(proposed)
            }
            _ => false,
        })
    };
    newest
        .filter_map(|(id, group)| Some((group.as_ref(), proposed.groups.get(id, NEWEST)?.value.as_ref())))
        .filter(|(group, after)| group != after || list_changes(group))
        .collect()
}

/// What the list of its subnet makes of it.
fn of_list(stray: &Stray<'_>, now: &Network, proposed: &Network) -> Option<(Outcome, String, String)> {
    let subnet = stray.subnet_id.as_deref()?;
    let blocks =
        |network: &Network| network.subnets.get(subnet, NEWEST).map(|found| found.value.cidrs.clone());
    // What stays within the subnet meets no list.
    if blocks(now)?.iter().any(|block| block.contains(&stray.packet.remote)) {
        return None;
    }
    let vpc = vpc_of(now, subnet);
    let before = now.acl_of(subnet, vpc, NEWEST)?.value.as_ref();
    let (was, was_text) = verdict(before, &stray.packet);
    let Some(after) = proposed.acl_of(subnet, vpc, NEWEST) else {
        return (was == Decision::Allow)
            .then(|| (Outcome::CannotTell, was_text, "no network ACL".to_owned()));
    };
    let (would, would_text) = verdict(after.value, &stray.packet);
    let outcome = match (was, would) {
        (Decision::Allow, Decision::Deny) if stray.sure => Outcome::NewlyBlocked,
        (Decision::Allow, Decision::Deny | Decision::Unknown) => Outcome::CannotTell,
        _ => return None,
    };
    Some((outcome, was_text, would_text))
}

fn verdict(acl: &NetworkAcl, packet: &Packet) -> (Decision, String) {
    let entries = acl_list(acl, packet.direction.is_egress(), packet.family());
    let check = check_acl(&entries, packet);
    let entry = check.deciding.last().and_then(|at| entries.get(*at));
    (check.decision, entry.map(|entry| entry_text(acl, entry)).unwrap_or_default())
}

/// What groups that it may carry make of it.
fn of_groups(
    stray: &Stray<'_>,
    groups: &[(&SecurityGroup, &SecurityGroup)],
    now: &Network,
    proposed: &Network,
) -> Option<(Outcome, String, String)> {
    if !stray.may_begin() {
        return None;
    }
    let vpc = stray.subnet_id.as_deref().and_then(|subnet| vpc_of(now, subnet));
    let is_near =
        |group: &SecurityGroup| vpc.is_none() || group.vpc_id.is_none() || group.vpc_id.as_deref() == vpc;
    groups.iter().filter(|(group, _)| is_near(group)).find_map(|(group, after)| {
        let passes = |network, group: &SecurityGroup| {
            group.rules.iter().position(|rule| may_pass(network, rule, &stray.packet))
        };
        let rule = group.rules.get(passes(now, group)?)?;
        passes(proposed, after).is_none().then(|| {
            let then = "an interface that the configuration lacks, which may carry the group".to_owned();
            (Outcome::CannotTell, rule_text(group, rule), then)
        })
    })
}
