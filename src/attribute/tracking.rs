//! What the configuration says about connection tracking: timeouts, and whether a flow was tracked when it began (spec 2.2).

use super::evidence::{Evidence, OTHER_TIMEOUT, Timeouts};
use super::record::{Record, Role};
use crate::net::{TCP, UDP};
use crate::network::{Origin, Remote, SecurityGroup, View};
use crate::rules::{Direction, Engine, InterfaceRules, Packet, Ternary, match_traffic};
use std::net::IpAddr;
use std::sync::Arc;

/// Idle timeouts of flows with a remote: a Network Load Balancer's own, or by the interface's setting, else by the instance's generation, else both bounds (spec 2.2, 9.1).
pub(super) fn timeouts(rules: &InterfaceRules, remote: Option<IpAddr>) -> Timeouts {
    if remote.is_some_and(|remote| rules.is_load_balanced(&remote)) {
        return Timeouts::LOAD_BALANCED;
    }
    let interface = &rules.interface;
    let (tcp_least, tcp_most) = match interface.tcp_established_timeout {
        Some(timeout) => (timeout, timeout),
        None => match rules.instance.as_ref().and_then(|instance| instance.is_nitro_v6()) {
            Some(true) => (350, 350),
            Some(false) => (432_000, 432_000),
            None => (350, 432_000),
        },
    };
    Timeouts {
        tcp_least,
        tcp_most,
        udp: interface.udp_timeout.unwrap_or(Timeouts::UNKNOWN.udp),
        udp_stream: interface.udp_stream_timeout.unwrap_or(Timeouts::UNKNOWN.udp_stream),
    }
}

/// How far back the logs must go for the absence of a mirror to mean anything: the longest idle timeout that may apply to
/// the record (spec 8.5), seconds.
pub fn reach(record: &Record<'_>, rules: Option<&InterfaceRules>) -> i64 {
    let remote = record.direction.and_then(|direction| record.remotes(direction).0);
    let timeouts = rules.map_or(Timeouts::UNKNOWN, |rules| timeouts(rules, remote));
    match record.protocol {
        TCP => timeouts.tcp_most,
        UDP => timeouts.udp_stream.max(timeouts.udp),
        _ => OTHER_TIMEOUT,
    }
}

/// Whether a flow was tracked when it began, as far as the history shows it (spec 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// The rules of that time are not known.
    NotKnown,
    /// It was.
    Tracked,
    /// The rules of that time are known to have left it untracked, by AWS Config or by captures around it.
    Untracked,
    /// It began near a change, and of the rules that may have been in force some left it untracked.
    Either,
}

/// Whether the flow was tracked when it began. Only asked for TCP and UDP whose packets may be mid-flow, unless the rules of
/// now let them all pass.
pub(super) fn tracked_at_start(
    record: &Record<'_>,
    direction: Direction,
    engine: &mut Engine<'_>,
    passes_now: bool,
    evidence: &Evidence,
) -> Tracking {
    let may_be_under_way = matches!(record.role(), Role::Midstream | Role::Unknown);
    if !may_be_under_way || !matches!(record.protocol, TCP | UDP) || passes_now {
        return Tracking::NotKnown;
    }
    tracked_when_it_began(record, direction, engine, evidence)
}

/// Whether the rules of the time at which the flow was first seen had it tracked. Near a change each version may have been in
/// force.
pub(super) fn tracked_when_it_began(
    record: &Record<'_>,
    direction: Direction,
    engine: &mut Engine<'_>,
    evidence: &Evidence,
) -> Tracking {
    let began = evidence.first_accept.filter(|_| matches!(record.protocol, TCP | UDP));
    let views = began.map_or_else(Vec::new, |began| engine.views(began, began));
    if let [view] = views[..] {
        return match tracked_by(record, direction, engine, view, true) {
            None => Tracking::NotKnown,
            Some(true) => Tracking::Tracked,
            Some(false) => Tracking::Untracked,
        };
    }
    let mut each = views.into_iter().map(|view| tracked_by(record, direction, engine, view, false));
    if each.any(|found| found == Some(false)) { Tracking::Either } else { Tracking::NotKnown }
}

/// Whether the rules of a view have the flow tracked; `None` where they are not known, `in_force` for its very moment. Of the interface
/// only the groups' own versions have to be of that time: that it carried the same groups is taken from the capture at hand, as
/// for every verdict.
fn tracked_by(
    record: &Record<'_>,
    direction: Direction,
    engine: &mut Engine<'_>,
    view: View,
    in_force: bool,
) -> Option<bool> {
    let then = engine.interface(record.interface_id?, view)?;
    let network = engine.network();
    let is_known = |id: &String| {
        network.groups.get(id, view).is_some_and(|group| {
            let intended_only = matches!(group.version.origin, Origin::Undated | Origin::Terraform);
            !intended_only && !group.version.daily && (group.distance == 0 || !in_force)
        })
    };
    if !then.groups_known || !then.interface.group_ids.iter().all(is_known) {
        return None;
    }
    let remote = record.remotes(direction).0?;
    let packet = record.packet(direction, remote);
    let groups = &then.groups.as_ref()?.groups;
    let untracked =
        is_untracked(groups, &packet) || is_untracked(groups, &record.mirror_packet(direction, remote));
    Some(!untracked || then.is_always_tracked(&packet))
}

/// A rule for all addresses lets the packet in its direction pass, and the opposite direction lets everything of the protocol
/// pass to all addresses. Paths that are tracked automatically (load balancers, NAT gateways) are not known to the groups.
pub(crate) fn is_untracked(groups: &[Arc<SecurityGroup>], packet: &Packet) -> bool {
    let to_all = |egress: bool| {
        groups.iter().flat_map(|group| &group.rules).filter(move |rule| {
            let any = matches!(&rule.remote, Remote::Cidr(cidr) if cidr.is_any() && cidr.family() == packet.family());
            rule.egress == egress && any
        })
    };
    let enabling = to_all(packet.direction.is_egress())
        .any(|rule| match_traffic(&rule.traffic, packet).0 == Ternary::Yes);
    let answering = to_all(!packet.direction.is_egress()).any(|rule| rule.traffic.is_all_of(packet.protocol));
    enabling && answering
}
