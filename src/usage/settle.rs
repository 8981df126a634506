//! Who began, where a record alone does not tell: by what other records show of its two ends.

use super::conversation::{ConversationKey, Part, PartKey, Totals};
use super::plan::Plan;
use super::role::{Certainty, Side, by_ports};
use crate::network::Timestamp;
use crate::rules::Direction;
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;

/// By how much the start of a record may be off (spec 4.1), seconds.
const START_SLACK: Timestamp = 60;

/// Two ends of which it is not known yet which began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) interface: u32,
    pub(super) epoch: u32,
    pub(super) protocol: u8,
    pub(super) has_ports: bool,
    pub(super) remote: IpAddr,
    pub(super) own_port: u16,
    pub(super) remote_port: u16,
}

/// Sums of records of which it is not known yet who began: the ends, which way the packets went, whether they were rejected.
pub(super) type Open = HashMap<(Ends, Direction, bool), Totals>;

/// A service that was seen: interface, direction in which connections begin, protocol, port.
type Service = (u32, Direction, u8, u16);

/// Those that a SYN showed, and those that ports made likely.
pub(super) type Services = [HashSet<Service>; 2];

pub(super) fn note_services(services: &mut Services, parts: &[Part]) {
    let [sure, likely] = services;
    for part in parts {
        let key = &part.key;
        let Some(port) = key.port else { continue };
        let into = match part.totals.certainty {
            Certainty::Sure => &mut *sure,
            Certainty::Likely | Certainty::Ports => &mut *likely,
            Certainty::Guess => continue,
        };
        into.insert((key.interface, key.direction, key.protocol, port));
    }
}

/// Says who began where the records alone did not tell.
pub(super) fn settle(plan: &Plan, open: Open, services: &Services, parts: &mut Vec<Part>) {
    let mut open: Vec<((Ends, Direction, bool), Totals)> = open.into_iter().collect();
    open.sort_unstable_by_key(|(key, _)| *key);
    // How many other ends each end is seen with: a service has many.
    let mut own: HashMap<(u32, u8, u16), u32> = HashMap::new();
    let mut remote: HashMap<(u32, u8, IpAddr, u16), u32> = HashMap::new();
    for pair in open.chunk_by(|one, next| one.0.0 == next.0.0) {
        let Some(((ends, ..), _)) = pair.first() else { continue };
        *own.entry((ends.interface, ends.protocol, ends.own_port)).or_default() += 1;
        *remote.entry((ends.interface, ends.protocol, ends.remote, ends.remote_port)).or_default() += 1;
    }
    for pair in open.chunk_by(|one, next| one.0.0 == next.0.0) {
        let Some(((ends, ..), _)) = pair.first() else { continue };
        let peers = |found: Option<&u32>| found.copied().unwrap_or(0);
        let of_own = peers(own.get(&(ends.interface, ends.protocol, ends.own_port)));
        let of_remote = peers(remote.get(&(ends.interface, ends.protocol, ends.remote, ends.remote_port)));
        let (began, certainty) = who_began(ends, pair, services, (of_own, of_remote));
        for ((_, direction, rejected), totals) in pair {
            let side = if *direction == began { Side::Request } else { Side::Reply };
            let (port, client) = match began {
                Direction::Ingress => (ends.own_port, ends.remote_port),
                Direction::Egress => (ends.remote_port, ends.own_port),
            };
            let key = ConversationKey {
                interface: ends.interface,
                epoch: ends.epoch,
                direction: began,
                protocol: ends.protocol,
                port: ends.has_ports.then_some(port),
                remote: ends.remote,
            };
            let of = PartKey { side, rejected: *rejected, client: plan.first_port(client) };
            parts.push(Part { key, of, totals: Totals { certainty, ..*totals } });
        }
    }
}

/// A record's start may be a minute off either way (spec 4.1), so that less between two says little of which was first.
fn by_time(earlier: Timestamp, later: Timestamp) -> Certainty {
    if later.saturating_sub(earlier) > START_SLACK { Certainty::Likely } else { Certainty::Guess }
}

fn who_began(
    ends: &Ends,
    pair: &[((Ends, Direction, bool), Totals)],
    services: &Services,
    (of_own, of_remote): (u32, u32),
) -> (Direction, Certainty) {
    use Direction::{Egress, Ingress};
    if ends.has_ports {
        // What a SYN showed, then what the ports of this record say, then what those of others said.
        let [sure, likely] = services;
        let served = |services: &HashSet<Service>| {
            let own = services.contains(&(ends.interface, Ingress, ends.protocol, ends.own_port));
            let remote = services.contains(&(ends.interface, Egress, ends.protocol, ends.remote_port));
            match (own, remote) {
                (true, false) => Some((Ingress, Certainty::Likely)),
                (false, true) => Some((Egress, Certainty::Likely)),
                _ => None,
            }
        };
        let by_ports = || {
            by_ports(ends.remote_port, ends.own_port, ends.protocol).map(|(side, certainty)| match side {
                Side::Request => (Ingress, certainty),
                Side::Reply => (Egress, certainty),
            })
        };
        if let Some(found) = served(sure).or_else(by_ports).or_else(|| served(likely)) {
            return found;
        }
        if ends.own_port != ends.remote_port {
            if of_own >= 2 && of_remote < 2 {
                return (Ingress, Certainty::Likely);
            }
            if of_remote >= 2 && of_own < 2 {
                return (Egress, Certainty::Likely);
            }
        }
    }
    let first = |wanted: Direction| {
        let of = pair.iter().filter(|((_, direction, _), _)| *direction == wanted);
        of.map(|(_, totals)| totals.first).min()
    };
    match (first(Ingress), first(Egress)) {
        (Some(ingress), Some(egress)) if ingress < egress => (Ingress, by_time(ingress, egress)),
        (Some(ingress), Some(egress)) if egress < ingress => (Egress, by_time(egress, ingress)),
        (Some(_), None) => (Ingress, Certainty::Likely),
        (None, Some(_)) => (Egress, Certainty::Likely),
        // Both began in one second: the lower port is the likelier service.
        _ if ends.own_port > ends.remote_port => (Egress, Certainty::Guess),
        _ => (Ingress, Certainty::Guess),
    }
}
