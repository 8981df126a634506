//! Matching one rule against one packet, and writing a rule as one line.

use super::packet::{Direction, Packet, Ternary};
use crate::net::{Family, Prefix, TCP, UDP};
use crate::network::{NaclEntry, NetworkAcl, SecurityGroup, SecurityGroupRule, Traffic};
use std::fmt;

/// Why a rule does not match: the first thing that differs, in the order in which one checks by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mismatch {
    /// The rule is of the other address family.
    Family,
    /// Another protocol.
    Protocol,
    /// Another destination port.
    Port,
    /// Another ICMP type or code.
    IcmpType,
    /// The remote address is outside the block, list or group.
    Address,
    /// The reference is stale: its peering connection is gone.
    StaleReference,
    /// The remote is a member of the group, and the way to it preserves no references (spec 2.4).
    ReferenceLost,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::Family => "other address family",
            Mismatch::Protocol => "other protocol",
            Mismatch::Port => "other port",
            Mismatch::IcmpType => "other ICMP type",
            Mismatch::Address => "other address",
            Mismatch::StaleReference => "stale reference",
            Mismatch::ReferenceLost => "a member, over a path that preserves no references to groups",
        })
    }
}

/// How near a rule comes to a packet that it does not match: the greater the nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Closeness {
    /// By what it differs.
    kind: u8,
    /// Of two that differ by the port the one with the nearer ports.
    by_port: u16,
}

impl Closeness {
    /// It matches, and something else comes first: nothing is nearer.
    pub const COMES_LATER: Closeness = Closeness { kind: u8::MAX, by_port: u16::MAX };
}

/// How far the ports of a rule are from the packet's.
fn port_distance(traffic: &Traffic, packet: &Packet) -> Option<u16> {
    let (Traffic::Ports { ports, .. }, Some(port)) = (traffic, packet.port) else { return None };
    Some(ports.first().saturating_sub(port).max(port.saturating_sub(ports.last())))
}

impl Mismatch {
    /// How near a rule for this traffic comes that fails by this, `None` where it has nothing to do with the packet: a rule that
    /// differs in one thing is nearer than one that differs in two (spec 8.9), and then what one checks last by hand is nearest.
    /// `elsewhere` says that its addresses are others too; `everyone` that it is for every address of its family: forgotten
    /// for the other one.
    pub fn closeness(
        self,
        elsewhere: bool,
        everyone: bool,
        traffic: &Traffic,
        packet: &Packet,
    ) -> Option<Closeness> {
        const ONE_THING: u8 = 10;
        let close = match self {
            Mismatch::Protocol if elsewhere || !is_twin(traffic, packet) => return None,
            Mismatch::Protocol => 0,
            Mismatch::IcmpType => 1,
            Mismatch::Port => 2,
            Mismatch::StaleReference => 3,
            Mismatch::Family if !everyone => 4,
            Mismatch::Address => 5,
            Mismatch::Family => 6,
            Mismatch::ReferenceLost => 7,
        };
        let distance = port_distance(traffic, packet).filter(|_| self == Mismatch::Port);
        Some(Closeness {
            kind: if elsewhere { close } else { close + ONE_THING },
            by_port: distance.map_or(0, |distance| u16::MAX.saturating_sub(distance)),
        })
    }

    /// In words; `elsewhere` says that the addresses are others too.
    pub fn words(self, elsewhere: bool) -> String {
        match self {
            Mismatch::Port | Mismatch::IcmpType if elsewhere => format!("{self} and address"),
            _ => self.to_string(),
        }
    }

    /// In words, beside the rule that comes nearest to a packet.
    pub fn beside(self, elsewhere: bool, packet: &Packet) -> String {
        match (self, packet.family()) {
            (Mismatch::Family, Family::V4) => "for IPv6 only; the packet is IPv4".to_string(),
            (Mismatch::Family, Family::V6) => "for IPv4 only; the packet is IPv6".to_string(),
            _ => self.words(elsewhere),
        }
    }
}

/// Whether a rule would match if the packet were of the other of TCP and UDP: the usual slip.
fn is_twin(traffic: &Traffic, packet: &Packet) -> bool {
    let Traffic::Ports { protocol, ports } = traffic else { return false };
    *protocol != packet.protocol
        && matches!(packet.protocol, TCP | UDP)
        && packet.port.is_some_and(|port| ports.contains(port))
}

/// Whether an entry whose traffic is another is for other addresses too.
pub fn entry_elsewhere(entry: &NaclEntry, packet: &Packet) -> bool {
    entry.cidr.is_some_and(|cidr| !cidr.contains(&packet.remote))
}

/// Whether a rule of the other family would let the like of the packet pass: ICMP and ICMPv6 number their types differently,
/// so there rules without a type do.
pub fn fits_other_family(traffic: &Traffic, cidr: &Prefix, packet: &Packet) -> bool {
    let fits = match traffic {
        Traffic::Icmp { kind: None, .. } => packet.is_icmp(),
        _ => match_traffic(traffic, packet).0 == Ternary::Yes,
    };
    cidr.family() != packet.family() && fits
}

/// A rule's traffic against a packet (spec 2.1, 3.1, 8.3): the mismatch beside a No.
pub fn match_traffic(traffic: &Traffic, packet: &Packet) -> (Ternary, Option<Mismatch>) {
    match traffic {
        Traffic::All => (Ternary::Yes, None),
        Traffic::Unreadable(_) => (Ternary::Maybe, None),
        _ if traffic.protocol() != Some(packet.protocol) => (Ternary::No, Some(Mismatch::Protocol)),
        Traffic::Ports { ports, .. } => match packet.port {
            Some(port) if ports.contains(port) => (Ternary::Yes, None),
            Some(_) => (Ternary::No, Some(Mismatch::Port)),
            None if ports.is_all() => (Ternary::Yes, None),
            None => (Ternary::Maybe, None),
        },
        Traffic::Icmp { kind: None, .. } => (Ternary::Yes, None),
        Traffic::Icmp { kind: Some(kind), code, .. } => match packet.icmp {
            None => (Ternary::Maybe, None),
            Some((seen, _)) if seen != *kind => (Ternary::No, Some(Mismatch::IcmpType)),
            Some((_, seen_code)) => match (code, seen_code) {
                (None, _) => (Ternary::Yes, None),
                (Some(_), None) => (Ternary::Maybe, None),
                (Some(code), Some(seen)) if *code == seen => (Ternary::Yes, None),
                _ => (Ternary::No, Some(Mismatch::IcmpType)),
            },
        },
        Traffic::Protocol(_) => (Ternary::Yes, None),
    }
}

/// A NACL entry against a packet, its direction aside.
pub fn match_entry(entry: &NaclEntry, packet: &Packet) -> (Ternary, Option<Mismatch>) {
    let address = match &entry.cidr {
        None => Ternary::Maybe,
        Some(cidr) if cidr.family() != packet.family() => return (Ternary::No, Some(Mismatch::Family)),
        Some(cidr) => Ternary::from(cidr.contains(&packet.remote)),
    };
    let (traffic, mismatch) = match_traffic(&entry.traffic, packet);
    match (traffic, address) {
        (Ternary::No, _) => (Ternary::No, mismatch),
        (_, Ternary::No) => (Ternary::No, Some(Mismatch::Address)),
        (traffic, address) => (traffic.and(address), None),
    }
}

fn direction(egress: bool) -> &'static str {
    if egress { Direction::Egress.rule_word() } else { Direction::Ingress.rule_word() }
}

fn preposition(egress: bool) -> &'static str {
    if egress { "to" } else { "from" }
}

/// An entry in one line: `nacl acl-1 inbound rule 100 deny tcp 22 from 0.0.0.0/0`; the default deny is rule `*`.
pub fn entry_text(acl: &NetworkAcl, entry: &NaclEntry) -> String {
    let number = entry.number_text();
    let action = entry.action.map_or_else(|| "unreadable action".to_string(), |action| action.to_string());
    let cidr = entry.cidr.map_or_else(|| "an unreadable block".to_string(), |cidr| cidr.to_string());
    format!(
        "nacl {} {} rule {number} {action} {} {} {cidr}",
        acl.id,
        direction(entry.egress),
        entry.traffic,
        preposition(entry.egress)
    )
}

/// A group's rule in one line: `group sg-1 inbound rule sgr-7 allow tcp 443 from 203.0.113.0/24`.
pub fn rule_text(group: &SecurityGroup, rule: &SecurityGroupRule) -> String {
    let id = rule.rule_id.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
    format!(
        "group {} {} rule{id} allow {} {} {}",
        group.id,
        direction(rule.egress),
        rule.traffic,
        preposition(rule.egress),
        rule.remote
    )
}
