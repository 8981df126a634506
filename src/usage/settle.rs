//! Who began, where a record alone does not tell: by what other records show of its two ends.

use super::conversation::{ConversationKey, Part, PartKey, Totals};
use super::plan::Plan;
use super::role::{Certainty, Side, by_ports};
use super::spill::{ADDRESS_SIZE, Field, Row, Sorted, TOTALS_SIZE};
use crate::network::Timestamp;
use crate::rules::Direction;
use hashbrown::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;

/// By how much the start of a record may be off (spec 4.1), seconds.
const START_SLACK: Timestamp = 60;

/// Two ends of which it is not known yet which began. Those with one remote end stand together, and so do those that differ in
/// the epoch alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) interface: u32,
    pub(super) protocol: u8,
    pub(super) has_ports: bool,
    pub(super) remote: IpAddr,
    pub(super) remote_port: u16,
    pub(super) own_port: u16,
    pub(super) epoch: u32,
}

impl Ends {
    fn remote_end(&self) -> (u32, u8, bool, IpAddr, u16) {
        (self.interface, self.protocol, self.has_ports, self.remote, self.remote_port)
    }
}

/// Sums of records of which it is not known yet who began: the ends, which way the packets went, whether they were rejected.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenPart {
    pub(super) ends: Ends,
    pub(super) direction: Direction,
    pub(super) rejected: bool,
    pub(super) totals: Totals,
}

impl Row for OpenPart {
    type Key = (Ends, Direction, bool);
    const SIZE: usize = 4 + 1 + 1 + ADDRESS_SIZE + 2 + 2 + 4 + 1 + 1 + TOTALS_SIZE;

    fn key(&self) -> Self::Key {
        (self.ends, self.direction, self.rejected)
    }

    fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
    }

    fn encode(&self, into: &mut Vec<u8>) {
        let ends = &self.ends;
        ends.interface.put(into);
        ends.protocol.put(into);
        ends.has_ports.put(into);
        ends.remote.put(into);
        ends.remote_port.put(into);
        ends.own_port.put(into);
        ends.epoch.put(into);
        self.direction.put(into);
        self.rejected.put(into);
        self.totals.put(into);
    }

    fn decode(mut bytes: &[u8]) -> io::Result<Self> {
        let rest = &mut bytes;
        let ends = Ends {
            interface: u32::take(rest)?,
            protocol: u8::take(rest)?,
            has_ports: bool::take(rest)?,
            remote: IpAddr::take(rest)?,
            remote_port: u16::take(rest)?,
            own_port: u16::take(rest)?,
            epoch: u32::take(rest)?,
        };
        let (direction, rejected) = (Direction::take(rest)?, bool::take(rest)?);
        Ok(OpenPart { ends, direction, rejected, totals: Totals::take(rest)? })
    }
}

/// The ports of interfaces that are seen with one other end, and with several: pages of 256 ports, so that it grows with the
/// interfaces and never with what they talk to.
#[derive(Debug, Default)]
struct OwnPorts {
    pages: HashMap<(u32, u8, u8), [[u64; 4]; 2]>,
}

impl OwnPorts {
    fn place(ends: &Ends) -> ((u32, u8, u8), usize, u64) {
        let [page, low] = ends.own_port.to_be_bytes();
        ((ends.interface, ends.protocol, page), usize::from(low / 64), 1 << (low % 64))
    }

    fn note(&mut self, ends: &Ends) {
        let (page, word, bit) = OwnPorts::place(ends);
        let [once, again] = self.pages.entry(page).or_default();
        if let (Some(once), Some(again)) = (once.get_mut(word), again.get_mut(word)) {
            *again |= *once & bit;
            *once |= bit;
        }
    }

    /// Whether the port was seen with more than one other end.
    fn has_several(&self, ends: &Ends) -> bool {
        let (page, word, bit) = OwnPorts::place(ends);
        let again = self.pages.get(&page).and_then(|[_, again]| again.get(word));
        again.is_some_and(|again| again & bit != 0)
    }
}

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
pub(super) fn settle(
    plan: &Plan,
    open: &Sorted<OpenPart>,
    services: &Services,
    mut put: impl FnMut(Part) -> io::Result<()>,
) -> io::Result<()> {
    // How many other ends each end is seen with: a service has many.
    let mut own = OwnPorts::default();
    let mut last: Option<Ends> = None;
    open.each(|part| {
        let ends = Ends { epoch: 0, ..part.ends };
        if last.replace(ends) != Some(ends) {
            own.note(&ends);
        }
        Ok(())
    })?;
    let mut settled = |parts: &[OpenPart], of_remote: bool| -> io::Result<()> {
        for pair in parts.chunk_by(|one, next| one.ends == next.ends) {
            let Some(OpenPart { ends, .. }) = pair.first() else { continue };
            let (began, certainty) = who_began(ends, pair, services, (own.has_several(ends), of_remote));
            pair.iter().try_for_each(|part| put(part.of(plan, began, certainty)))?;
        }
        Ok(())
    };
    // Parts of one remote end and one own port: with a second one it is known that the remote end has several.
    let (mut waiting, mut several): (Vec<OpenPart>, bool) = (Vec::new(), false);
    open.each(|part| {
        if let Some(OpenPart { ends, .. }) = waiting.last() {
            let same = ends.remote_end() == part.ends.remote_end();
            if !same || ends.own_port != part.ends.own_port {
                several |= same;
                settled(&waiting, several)?;
                waiting.clear();
                several &= same;
            }
        }
        waiting.push(part);
        Ok(())
    })?;
    settled(&waiting, several)
}

impl OpenPart {
    /// The part of the conversation that it is, once it is known who began.
    fn of(&self, plan: &Plan, began: Direction, certainty: Certainty) -> Part {
        let ends = &self.ends;
        let side = if self.direction == began { Side::Request } else { Side::Reply };
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
        let of = PartKey { side, rejected: self.rejected, client: plan.first_port(client) };
        Part { key, of, totals: Totals { certainty, ..self.totals } }
    }
}

/// A record's start may be a minute off either way (spec 4.1), so that less between two says little of which was first.
fn by_time(earlier: Timestamp, later: Timestamp) -> Certainty {
    if later.saturating_sub(earlier) > START_SLACK { Certainty::Likely } else { Certainty::Guess }
}

fn who_began(
    ends: &Ends,
    pair: &[OpenPart],
    services: &Services,
    (many_own, many_remote): (bool, bool),
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
            if many_own && !many_remote {
                return (Ingress, Certainty::Likely);
            }
            if many_remote && !many_own {
                return (Egress, Certainty::Likely);
            }
        }
    }
    let first = |wanted: Direction| {
        pair.iter().filter(|part| part.direction == wanted).map(|part| part.totals.first).min()
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
