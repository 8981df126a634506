//! What would decide where a verdict is open.

use crate::attribute::record::Record;
use crate::attribute::verdict::{Attribution, Cause, CauseSet, ReasonCode, Verdict};
use crate::net::{TCP, UDP};
use crate::rules::{Packet, ScopeReason};

/// The datum that would decide: a field to add to the log format or a file to supply.
pub fn would_decide(attribution: &Attribution, record: &Record<'_>) -> Option<&'static str> {
    let supposed = attribution.acl_supposed;
    let open = attribution.verdict == Verdict::Undetermined || !attribution.candidates.is_empty() || supposed;
    if !open || record.is_efa {
        return None;
    }
    let text = match attribution.reason() {
        _ if !record.has_time => "start and end in the log format",
        Some(ReasonCode::DirectionUnknown) if record.unshown.protocol => {
            "protocol and flow-direction in the log format"
        }
        _ if record.unshown.protocol => "protocol in the log format",
        Some(ReasonCode::DirectionUnknown) if record.unshown.direction_is_in_format => {
            "the interface's configuration: the record does not show its direction"
        }
        Some(ReasonCode::DirectionUnknown) => {
            "flow-direction in the log format, or the interface's configuration"
        }
        _ if is_unfiltered(attribution, record) => {
            "nothing that logs or configuration hold: neither layer filters this service"
        }
        _ if may_be_private_link(attribution, record) => {
            "whether it came through PrivateLink, which flow logs do not show"
        }
        _ if attribution.candidates.contains(Cause::Nacl) && lacks_routes(attribution, record) => {
            "describe-route-tables at that time: whether the way leads to the gateway in the subnet"
        }
        _ if supposed => "describe-network-acls at that time, all of them: which list serves the subnet",
        _ if attribution.candidates.contains(Cause::Nacl)
            && attribution.rules.as_ref().is_some_and(|rules| rules.acl.is_none()) =>
        {
            "describe-network-acls at that time: the subnet's network ACL"
        }
        Some(ReasonCode::ConfigMissing) if attribution.nacl_id().is_none() => {
            "the configuration at that time: describe-network-interfaces, describe-network-acls, describe-security-groups"
        }
        Some(ReasonCode::ConfigMissing) => {
            "what the configuration lacks or could not be read of: flowq config check names it"
        }
        _ if lacks_ports(record) => match (record.unshown.src_port, record.unshown.dst_port) {
            (true, true) => "srcport and dstport in the log format",
            (true, false) => "srcport in the log format",
            (false, _) => "dstport in the log format",
        },
        _ if matches!(record.protocol, TCP | UDP) && !record.ports_known() => {
            "the ports, which fragments do not have: a packet capture or traffic mirroring"
        }
        _ if attribution.candidates == CauseSet::of(&[Cause::SourceDestCheck]) => {
            "whether it ends when the interface's source/destination check is off, as what forwards packets for others needs it"
        }
        _ if matches!(record.protocol, 1 | 58) => {
            "the ICMP type, which flow logs do not show: rules without types decide"
        }
        _ if record.protocol == TCP && record.tcp_flags.is_none() => match record.unshown.flags_are_in_format
        {
            true => "the flags, which the record does not show: a packet capture or traffic mirroring",
            false => "tcp-flags in the log format",
        },
        _ => "complete logs of the interface that reach back further, and the configuration's history",
    };
    Some(text)
}

/// The remote as the rules of the attribution see it.
fn remote_packet(attribution: &Attribution, record: &Record<'_>) -> Option<Packet> {
    let direction = attribution.direction?;
    Some(record.packet(direction, record.remotes(direction).0?))
}

fn is_unfiltered(attribution: &Attribution, record: &Record<'_>) -> bool {
    let packet = remote_packet(attribution, record);
    let rules = attribution.rules.as_ref();
    rules.zip(packet).is_some_and(|(rules, packet)| rules.unfiltered(&packet.remote).is_some())
}

fn may_be_private_link(attribution: &Attribution, record: &Record<'_>) -> bool {
    let packet = remote_packet(attribution, record);
    let rules = attribution.rules.as_ref();
    let open = attribution.candidates.contains(Cause::SecurityGroup);
    open && rules.zip(packet).is_some_and(|(rules, packet)| rules.may_be_private_link(&packet))
}

fn lacks_ports(record: &Record<'_>) -> bool {
    let unshown = &record.unshown;
    matches!(record.protocol, TCP | UDP)
        && (unshown.src_port || unshown.dst_port)
        && !unshown.ports_are_in_format
}

fn lacks_routes(attribution: &Attribution, record: &Record<'_>) -> bool {
    let packet = remote_packet(attribution, record);
    let scope =
        attribution.rules.as_ref().zip(packet).map(|(rules, packet)| rules.scope(&packet, None).reason);
    scope == Some(ScopeReason::GatewayUnsure)
}
