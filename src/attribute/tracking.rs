//! What the configuration says about connection tracking: timeouts, and whether a flow was tracked when it began (spec 2.2).

use super::evidence::{Evidence, OTHER_TIMEOUT, Opener, Timeouts};
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
    /// It began near a change, and of the rules that may have been in force some left it untracked; or which end opened it is not
    /// known, and it is untracked only if one of them did; or no routes tell whether its way is one on which all is tracked.
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
        return tracked_by(record, direction, engine, view, true, opener(record, evidence));
    }
    let mut each = views
        .into_iter()
        .map(|view| tracked_by(record, direction, engine, view, false, opener(record, evidence)));
    match each.any(|found| matches!(found, Tracking::Untracked | Tracking::Either)) {
        true => Tracking::Either,
        false => Tracking::NotKnown,
    }
}

/// Which end opened the flow: by its handshake, else by its ports, of which hardly any client takes one below 1024.
fn opener(record: &Record<'_>, evidence: &Evidence) -> Opener {
    let low = |port: u16| port < 1024;
    match evidence.opener {
        Opener::NotShown if record.ports_known() => match (low(record.src_port), low(record.dst_port)) {
            (false, true) => Opener::Sender,
            (true, false) => Opener::Peer,
            _ => Opener::NotShown,
        },
        shown => shown,
    }
}

/// Whether the rules of a view have the flow tracked, `in_force` for its very moment. Of the interface only the groups' own versions
/// have to be of that time: that it carried the same groups is taken from the capture at hand, as for every verdict.
fn tracked_by(
    record: &Record<'_>,
    direction: Direction,
    engine: &mut Engine<'_>,
    view: View,
    in_force: bool,
    opener: Opener,
) -> Tracking {
    let then = record.interface_id.and_then(|id| engine.interface(id, view));
    let (Some(then), Some(remote)) = (then, record.remotes(direction).0) else { return Tracking::NotKnown };
    let network = engine.network();
    let is_known = |id: &String| {
        network.groups.get(id, view).is_some_and(|group| {
            let intended_only = matches!(group.version.origin, Origin::Undated | Origin::Terraform);
            !intended_only && !group.version.daily && (group.distance == 0 || !in_force)
        })
    };
    if !then.groups_known || !then.interface.group_ids.iter().all(is_known) {
        return Tracking::NotKnown;
    }
    if then.groups.is_none() {
        return Tracking::NotKnown;
    }
    // What comes in from the internet comes through none of the gateways that let nothing in.
    let opens_outward = match opener {
        Opener::Sender => direction.is_egress(),
        Opener::Peer => !direction.is_egress(),
        Opener::NotShown => true,
    };
    match leaves_untracked(record, direction, remote, &then, opener) {
        Some(false) => Tracking::Tracked,
        Some(true) if !(opens_outward && then.may_be_tracked_on_the_way(&remote)) => Tracking::Untracked,
        Some(true) | None => Tracking::Either,
    }
}

/// Whether the rules at hand leave a flow untracked, whichever end opened it where that is not shown: such a flow has no timeout.
pub(super) fn may_be_untracked(
    record: &Record<'_>,
    direction: Direction,
    remote: IpAddr,
    rules: &InterfaceRules,
    evidence: &Evidence,
) -> bool {
    leaves_untracked(record, direction, remote, rules, opener(record, evidence)) != Some(false)
}

/// The same for the packets of the end that opened it (spec 2.2); `None` where that is not shown and it hangs on that.
fn leaves_untracked(
    record: &Record<'_>,
    direction: Direction,
    remote: IpAddr,
    rules: &InterfaceRules,
    opener: Opener,
) -> Option<bool> {
    let packet = record.packet(direction, remote);
    let Some(groups) = rules.groups.as_ref().filter(|_| !rules.is_always_tracked(&packet)) else {
        return Some(false);
    };
    let by_sender = || is_untracked(&groups.groups, &packet);
    let by_peer = || is_untracked(&groups.groups, &record.mirror_packet(direction, remote));
    match opener {
        Opener::Sender => Some(by_sender()),
        Opener::Peer => Some(by_peer()),
        Opener::NotShown => Some(by_sender()).filter(|sender| *sender == by_peer()),
    }
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
