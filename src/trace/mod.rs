//! The way of one flow through the network, stage by stage, as one troubleshoots by hand: whose addresses these are, each
//! subnet's route, each network ACL entry and group rule, there and back.
//!
//! The flow may be hypothetical: no log is looked at here, and records that bear on it are given by whoever has read them.
//! What the configuration does not hold is named as not checked.

mod accounts;
mod addresses;
mod balancer;
mod ends;
mod filters;
mod gateway;
mod listeners;
mod logged;
mod mend;
mod render;
mod route;
mod states;
mod transit;
mod transit_mend;
mod walk;

#[cfg(test)]
mod balancer_tests;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod mend_tests;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod regressions_answers;
#[cfg(test)]
mod regressions_fixes;
#[cfg(test)]
mod regressions_listeners;
#[cfg(test)]
mod regressions_logs;
#[cfg(test)]
mod regressions_paths;
#[cfg(test)]
mod regressions_routes;
#[cfg(test)]
mod regressions_states;
#[cfg(test)]
mod regressions_terraform;
#[cfg(test)]
mod regressions_transit;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::attribute::Fix;
use crate::net::{ICMP, ICMPV6};
use crate::network::Timestamp;
use crate::rules::{Decision, Direction, Ternary};

pub use logged::{LogRecord, Logged, Window};
pub use walk::trace;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Who starts it.
    pub src: IpAddr,
    /// With whom.
    pub dst: IpAddr,
    /// Protocol number.
    pub protocol: u8,
    /// The client's port; `None`: what clients usually have.
    pub src_port: Option<u16>,
    /// The service's port.
    pub dst_port: Option<u16>,
    /// ICMP type and code.
    pub icmp: Option<(u8, Option<u8>)>,
    /// The interface that is meant, where several hold one of the addresses.
    pub interface: Option<String>,
}

/// Why nothing can be traced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// Two families.
    #[error("{src} and {dst} are not of one address family")]
    Family {
        /// One.
        src: IpAddr,
        /// The other.
        dst: IpAddr,
    },
    /// One address twice.
    #[error(
        "both ends are {0}: what a host sends to itself does not leave it, and nothing of the network filters it"
    )]
    Same(IpAddr),
    /// Nobody's addresses.
    #[error(
        "neither {src} nor {dst} is an address of an interface in the configuration then (flowq sql \"select interface_id, addresses from network_interfaces\" lists them)"
    )]
    Nobody {
        /// One.
        src: IpAddr,
        /// The other.
        dst: IpAddr,
    },
    /// The interface asked for has nothing to do with it.
    #[error("{interface} holds neither {src} nor {dst} then")]
    OtherInterface {
        /// The interface.
        interface: String,
        /// One.
        src: IpAddr,
        /// The other.
        dst: IpAddr,
    },
}

/// The answer to an ICMP message of this type; `None` where it has none (RFC 792, RFC 4443).
fn icmp_answer(protocol: u8, kind: u8) -> Option<(u8, Option<u8>)> {
    match (protocol, kind) {
        (ICMP, 8) => Some((0, Some(0))),
        // Timestamp, information and address mask requests.
        (ICMP, 13 | 15 | 17) => Some((kind.saturating_add(1), Some(0))),
        (ICMPV6, 128) => Some((129, Some(0))),
        _ => None,
    }
}

/// Towards the destination, or back with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the source to the destination.
    There,
    /// The answers.
    Back,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::There => "there",
            Way::Back => "back",
        })
    }
}

/// What kind of thing a stage asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Whose address it is, and whether it can be reached from the other.
    Address,
    /// A subnet's route.
    Route,
    /// A network ACL.
    NetworkAcl,
    /// The security groups of an interface.
    SecurityGroup,
    /// A gateway between VPCs.
    Gateway,
    /// A load balancer, which opens connections of its own.
    LoadBalancer,
    /// VPC Block Public Access, at what leads to the internet.
    PublicAccess,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Address => "address",
            Layer::Route => "route",
            Layer::NetworkAcl => "network_acl",
            Layer::SecurityGroup => "security_group",
            Layer::Gateway => "gateway",
            Layer::LoadBalancer => "load_balancer",
            Layer::PublicAccess => "vpc_block_public_access",
        })
    }
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLine {
    /// The rule in one line.
    pub text: String,
    /// Whether it matches.
    pub matched: Ternary,
    /// Why it does not match, or that it is not reached.
    pub because: Option<String>,
}

/// One stage of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// There or back.
    pub way: Way,
    /// What is asked.
    pub layer: Layer,
    /// Where: an interface, a subnet, or an address.
    pub at: String,
    /// What people call that.
    pub name: Option<String>,
    /// The interface that holds the address, where that is what is asked.
    pub interface: Option<String>,
    /// The subnet of the interface.
    pub subnet: Option<String>,
    /// The direction of the rules.
    pub direction: Option<Direction>,
    /// The answer.
    pub outcome: Decision,
    /// The rule or route that decides.
    pub rule: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// Under which condition it stops the packets, where it stops them under one only.
    pub condition: Option<String>,
    /// Every rule of the stage in order.
    pub rules: Vec<RuleLine>,
    /// On the way back: what becomes of the answers to each kind of client.
    pub clients: Vec<ClientLine>,
    /// Where no rule allows: the rule that comes closest.
    pub nearest: Option<String>,
    /// The smallest change that lets it pass.
    pub fix: Option<Fix>,
}

impl Stage {
    fn new(
        way: Way,
        layer: Layer,
        at: impl Into<String>,
        outcome: Decision,
        reason: impl Into<String>,
    ) -> Stage {
        Stage {
            way,
            layer,
            at: at.into(),
            name: None,
            interface: None,
            subnet: None,
            direction: None,
            outcome,
            rule: None,
            reason: reason.into(),
            condition: None,
            rules: Vec::new(),
            clients: Vec::new(),
            nearest: None,
            fix: None,
        }
    }
}

impl Stage {
    /// Whether it is not known what it does, and no fix makes that known.
    fn is_open(&self) -> bool {
        self.outcome == Decision::Unknown
            && self.fix.is_none()
            && self.condition.is_none()
            && !self.is_partial()
    }

    /// Whether it is known of every client's port what becomes of its answers, and some are dropped.
    fn is_partial(&self) -> bool {
        let told = |line: &ClientLine| line.outcome != Decision::Unknown || line.is_settled;
        self.condition.is_none()
            && self.clients.iter().any(|line| !line.dropped.is_empty())
            && self.clients.iter().all(told)
    }

    /// The ports at which answers are dropped, as `32768-49151 (Linux clients)`.
    fn dropped(&self) -> String {
        let lines = self.clients.iter().filter(|line| !line.dropped.is_empty());
        let text = lines.map(|line| {
            let at: Vec<String> =
                line.dropped.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            format!("{} ({})", at.join(", "), line.clients)
        });
        text.collect::<Vec<_>>().join(", ")
    }
}

/// Answers to one kind of client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLine {
    /// Whose ports these are.
    pub clients: &'static str,
    /// The first port that such a client may have (spec 3.3).
    pub first: u16,
    /// The last.
    pub last: u16,
    /// What becomes of answers to these ports; unknown where it depends on the port.
    pub outcome: Decision,
    /// The ports at which they are dropped.
    pub dropped: Vec<(u16, u16)>,
    /// Whether it is known of every port.
    pub is_settled: bool,
}

/// The whole way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The flow.
    pub flow: Flow,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// What was not checked.
    pub not_checked: Vec<String>,
    /// Every address of the source and of the destination by which records may show them.
    pub addresses: (Vec<IpAddr>, Vec<IpAddr>),
    /// The interfaces of the source and of the destination with their subnets, where they are in the configuration.
    pub interfaces: [Option<(String, Option<String>)>; 2],
    /// The addresses of a NAT gateway under which the destination sees the source, with ports of the gateway's.
    pub translated: Vec<IpAddr>,
    /// Targets that a load balancer hands the flow on to with its client's address and port, and the ports that they listen on.
    pub handed_on: Vec<(IpAddr, Option<u16>)>,
    /// Interfaces in other networks that hold an address of the flow as well: their records are of other flows.
    pub strangers: Vec<String>,
    /// When the configuration of the two ends was captured, the first and the last; `None` where nothing tells.
    pub captured: Option<(Timestamp, Timestamp)>,
    /// What becomes of it by the capture after the time asked about, where that says something else than the one before.
    pub later: Option<&'static str>,
    /// Whether something lies behind a proposed change that was not looked at.
    pub open_behind: bool,
    /// What the logs hold about it; `None` where they were not read.
    pub logged: Option<Logged>,
}

impl Trace {
    /// The stages that drop it, in order: the first is the first blocker.
    pub fn blockers(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| stage.outcome == Decision::Deny)
    }

    /// The stages that drop it and that no command printed mends: whatever else is changed, it does not pass.
    pub fn unmended(&self) -> impl Iterator<Item = &Stage> {
        self.blockers().filter(|stage| stage.fix.as_ref().is_none_or(|fix| fix.is_advice))
    }

    /// Whether the flow passes after the fixes; `None` where that cannot be told.
    pub fn fixes_suffice(&self) -> Option<bool> {
        if self.unmended().next().is_some() {
            return Some(false);
        }
        (!self.open_behind && !self.stages.iter().any(Stage::is_open)).then_some(true)
    }

    /// The stages that drop the answers to some ports of clients for certain, and let those to the others pass.
    pub fn partial(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| stage.outcome == Decision::Unknown && stage.is_partial())
    }

    /// The conditions under which it is stopped, where nothing else is open.
    pub fn conditions(&self) -> Option<Vec<&str>> {
        let open = self.stages.iter().filter(|stage| stage.outcome == Decision::Unknown);
        let mut found: Vec<&str> = Vec::new();
        for stage in open {
            let condition = stage.condition.as_deref()?;
            if !found.contains(&condition) {
                found.push(condition);
            }
        }
        Some(found).filter(|found| !found.is_empty())
    }

    /// Whether nothing else is open but the client's port, at which the flow then passes or not.
    pub fn depends_on_port(&self) -> bool {
        let mut open = self.stages.iter().filter(|stage| stage.outcome == Decision::Unknown);
        self.outcome() == Decision::Unknown && open.all(Stage::is_partial)
    }

    /// Whether flow and answers pass: deny where a stage drops them, unknown where one cannot be told.
    pub fn outcome(&self) -> Decision {
        let any = |outcome| self.stages.iter().any(|stage| stage.outcome == outcome);
        match (any(Decision::Deny), any(Decision::Unknown)) {
            (true, _) => Decision::Deny,
            (false, true) => Decision::Unknown,
            (false, false) => Decision::Allow,
        }
    }
}
