//! Who began a conversation, as far as one record tells: which of its two ports is the service's.

use crate::attribute::{Record, Role};
use crate::net::service_name;

/// Which way a record's packets went between the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// From who began the conversation; groups have to let these pass.
    Request,
    /// Back to it; groups let these pass because they let the first packets pass.
    Reply,
}

/// How sure it is who began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Certainty {
    /// Neither flags, ports nor times tell; something had to be taken.
    Guess,
    /// By what else a port is seen to serve, or by which way began well before the other.
    Likely,
    /// By the ports: one is a service's, and the other is none.
    Ports,
    /// A SYN or a SYN-ACK shows it.
    Sure,
}

/// Ports from here on are where the clients of Linux and Windows connect from (spec 3.3).
const EPHEMERAL: u16 = 32_768;
/// Ports below are for services.
const WELL_KNOWN: u16 = 1024;

/// The record's side by what stands in it alone; `None` where other records have to help. Without flags nothing better
/// will come than the ports; with flags a record of mid-connection waits for the SYN, unless its ports are plain.
pub(super) fn side(record: &Record<'_>) -> Option<(Side, Certainty)> {
    if !record.ports_known() {
        return None;
    }
    let role = record.role();
    match role {
        Role::Initiator => return Some((Side::Request, Certainty::Sure)),
        Role::Responder => return Some((Side::Reply, Certainty::Sure)),
        Role::Midstream | Role::Unknown => {}
    }
    if let Some(side) = by_plain_ports(record.src_port, record.dst_port, record.protocol) {
        return Some((side, Certainty::Ports));
    }
    let found = by_ports(record.src_port, record.dst_port, record.protocol)?;
    (role == Role::Unknown).then_some(found)
}

/// One end has a port of a usual service and the other end one that no service has.
fn by_plain_ports(src: u16, dst: u16, protocol: u8) -> Option<Side> {
    let service = |port: u16| port < WELL_KNOWN && service_name(port, protocol).is_some();
    match (service(src), service(dst)) {
        (false, true) if src >= WELL_KNOWN => Some(Side::Request),
        (true, false) if dst >= WELL_KNOWN => Some(Side::Reply),
        _ => None,
    }
}

/// The side by the two ports: a named service, else a port below 1024, else one below those that clients use. Load balancers,
/// NAT gateways and Lambda connect from any port above 1024 (spec 3.3), so that the last is no more than likely.
pub(super) fn by_ports(src: u16, dst: u16, protocol: u8) -> Option<(Side, Certainty)> {
    let tests: [(&dyn Fn(u16) -> bool, Certainty); 3] = [
        (&|port| service_name(port, protocol).is_some() && port < EPHEMERAL, Certainty::Ports),
        (&|port| port < WELL_KNOWN, Certainty::Ports),
        (&|port| port < EPHEMERAL, Certainty::Likely),
    ];
    for (is_service, certainty) in tests {
        match (is_service(src), is_service(dst)) {
            (false, true) => return Some((Side::Request, certainty)),
            (true, false) => return Some((Side::Reply, certainty)),
            // Two of a kind: the next test may part them.
            (true, true) | (false, false) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_tell_the_service() {
        for (src, dst, protocol, expected) in [
            (51_000, 443, 6, Some(Side::Request)),
            (443, 51_000, 6, Some(Side::Reply)),
            (800, 2049, 6, Some(Side::Request)), // clients of NFS come from below 1024
            (2049, 800, 6, Some(Side::Reply)),
            (1500, 999, 6, Some(Side::Request)), // below 1024, if without a name
            (40_000, 7777, 6, Some(Side::Request)),
            (123, 123, 17, None),
            (40_000, 50_000, 6, None),
            (3306, 5432, 6, None), // both are services, neither is below 1024, both are below the clients'
        ] {
            assert_eq!(by_ports(src, dst, protocol).map(|(side, _)| side), expected, "{src} {dst}");
        }
    }

    #[test]
    fn two_ports_that_clients_use_make_no_more_than_likely() {
        let certainty = |src, dst| by_ports(src, dst, 6).map(|(_, certainty)| certainty);
        assert_eq!(certainty(51_000, 443), Some(Certainty::Ports));
        assert_eq!(certainty(40_000, 7777), Some(Certainty::Likely));
    }
}
