//! What a filter sees of a packet, and the values that matching and deciding yield.

use crate::net::{Family, ICMP, ICMPV6, TCP, UDP};
use std::fmt;
use std::net::IpAddr;

/// Direction relative to the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Towards the interface.
    Ingress,
    /// Away from it.
    Egress,
}

impl Direction {
    /// The other direction.
    pub fn opposite(self) -> Self {
        match self {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        }
    }

    /// Whether outbound rules apply.
    pub fn is_egress(self) -> bool {
        self == Direction::Egress
    }

    /// `inbound` or `outbound`, as AWS names rules.
    pub fn rule_word(self) -> &'static str {
        if self.is_egress() { "outbound" } else { "inbound" }
    }
}

impl Direction {
    /// As `flow-direction` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The attributes that rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Direction at the interface.
    pub direction: Direction,
    /// The other end.
    pub remote: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// Destination port; `None` when unknown or when the protocol has none.
    pub port: Option<u16>,
    /// ICMP type and code; flow logs never have them.
    pub icmp: Option<(u8, Option<u8>)>,
}

impl Packet {
    /// Family of the remote address.
    pub fn family(&self) -> Family {
        Family::of(&self.remote)
    }

    /// Whether the protocol has ports.
    pub fn has_ports(&self) -> bool {
        matches!(self.protocol, TCP | UDP)
    }

    /// Whether the protocol is ICMP or ICMPv6.
    pub fn is_icmp(&self) -> bool {
        matches!(self.protocol, ICMP | ICMPV6)
    }
}

/// What matching yields. `Maybe` arises only from missing information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ternary {
    /// Does not match.
    No,
    /// May match: what would decide it is not known.
    Maybe,
    /// Matches.
    Yes,
}

impl Ternary {
    /// Both have to match.
    pub fn and(self, other: Ternary) -> Ternary {
        self.min(other)
    }
}

impl From<bool> for Ternary {
    fn from(matches: bool) -> Self {
        if matches { Ternary::Yes } else { Ternary::No }
    }
}

/// What a layer decides: A, D, U, X of the semantics spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// Lets the packet pass.
    Allow,
    /// Drops it.
    Deny,
    /// Cannot be told from what is known.
    Unknown,
    /// The layer does not filter this packet.
    NotApplicable,
}

impl Decision {
    /// Whether the layer surely does not drop the packet.
    pub fn passes(self) -> bool {
        matches!(self, Decision::Allow | Decision::NotApplicable)
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
            Decision::Unknown => "unknown",
            Decision::NotApplicable => "not_applicable",
        })
    }
}
