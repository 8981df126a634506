//! How far the configuration can be believed: whether it explains the ACCEPTs (spec 8.10), and whether what decides could
//! be read at all.

use super::decide::AROUND;
use super::direction::by_configuration;
use super::record::{Action, Record, Role};
use crate::network::{Remote, Traffic};
use crate::rules::{AclVerdict, Decision, Engine, InterfaceRules, Packet};
use std::net::IpAddr;

/// Whether what leaves a layer open is something that could not be read, rather than something that nobody can know.
pub(super) fn is_unreadable(
    packet: &Packet,
    acl: &AclVerdict<'_>,
    new_flow: Decision,
    engine: &Engine<'_>,
    rules: &InterfaceRules,
) -> bool {
    let acl_broken = acl.decision == Decision::Unknown
        && rules.acl.as_ref().is_some_and(|compiled| {
            acl.scope.lists.into_iter().flatten().any(|list| {
                let entries = compiled.list(list.direction, packet.family());
                let check = rules.explain_acl(packet, &list);
                let deciding = check.iter().flat_map(|check| &check.deciding);
                deciding.filter_map(|at| entries.get(*at)).any(|entry| {
                    entry.action.is_none()
                        || entry.cidr.is_none()
                        || matches!(entry.traffic, Traffic::Unreadable(_))
                })
            })
        });
    let groups_broken = new_flow == Decision::Unknown
        && engine.explain_groups(rules, packet).is_some_and(|check| {
            let groups = rules.groups.iter().flat_map(|groups| &groups.groups).collect::<Vec<_>>();
            check.perhaps.iter().any(|(group, rule)| {
                let rule = groups.get(*group).and_then(|group| group.rules.get(*rule));
                rule.is_some_and(|rule| {
                    matches!(rule.traffic, Traffic::Unreadable(_))
                        || matches!(rule.remote, Remote::Unreadable(_))
                })
            })
        });
    acl_broken || groups_broken
}

/// Spec 8.10: an ACCEPT that the configuration would have denied. `true` proves that the configuration was not in force
/// then; `None` when the record says nothing about it.
pub fn accept_contradicts(record: &Record<'_>, engine: &mut Engine<'_>) -> Option<bool> {
    if record.action != Action::Accept || !record.log_status_ok {
        return None;
    }
    let id = record.interface_id?;
    let views = engine.views(record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    let mut checked = false;
    for view in views {
        let Some(rules) = engine.interface(id, view) else { continue };
        checked = true;
        // One version that passes it, or one of two addresses that does, and nothing is proven.
        if !denies(record, &rules)? {
            return Some(false);
        }
    }
    checked.then_some(true)
}

/// [`accept_contradicts`] where the caller has the rules that are in force at the record's time: for logs in which nearly
/// every record lies where nothing changes.
pub fn accept_contradicts_rules(
    record: &Record<'_>,
    rules: &InterfaceRules,
    engine: &mut Engine<'_>,
) -> Option<bool> {
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    if engine.network().only_view(from, to).is_none() {
        return accept_contradicts(record, engine);
    }
    if record.action != Action::Accept || !record.log_status_ok {
        return None;
    }
    denies(record, rules)
}

/// Whether these rules would have denied an accepted record: both of its remote addresses, where it has two.
fn denies(record: &Record<'_>, rules: &InterfaceRules) -> Option<bool> {
    let inferred = || by_configuration(&rules.interface, record.src?, record.dst?);
    let direction = record.direction.or_else(inferred)?;
    let (remote, leg) = record.remotes(direction);
    let own = record.local(direction).filter(|own| rules.interface.owns(own));
    let is_new = record.role() == Role::Initiator;
    let denied = |remote: IpAddr| {
        let packet = record.packet(direction, remote);
        rules.acl_verdict(&packet, own).decision == Decision::Deny
            || (is_new && rules.group_verdict(&packet).decision == Decision::Deny)
    };
    Some(denied(remote?) && leg.is_none_or(denied))
}
