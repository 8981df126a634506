//! Conversations: who talks to which service at which interface, with sums for each direction.
//!
//! A conversation is all the connections between one remote address and one port of a service at one interface, while the
//! configuration stays the same. The client's port is kept only as far as rules can tell ports apart, so that memory grows
//! with who talks to whom and not with the number of connections.

use super::role::{Certainty, Side};
use crate::attribute::Record;
use crate::network::Timestamp;
use crate::rules::{Direction, Packet};
use std::net::IpAddr;

/// Who talks to which service, at which interface, under which version of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationKey {
    pub(super) interface: u32,
    pub(super) epoch: u32,
    /// Which way the first packet went, seen from the interface.
    pub direction: Direction,
    /// Protocol number.
    pub protocol: u8,
    /// The service's port; `None` where the protocol has none, or where it is not known.
    pub port: Option<u16>,
    /// The other end.
    pub remote: IpAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartKey {
    pub(super) side: Side,
    pub(super) rejected: bool,
    /// First port of the stretch in which the client's port lies.
    pub(super) client: u16,
}

/// Sums over records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Flow log records.
    pub records: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// First second.
    pub first: Timestamp,
    /// Last second.
    pub last: Timestamp,
    /// How sure it is which end began.
    pub certainty: Certainty,
    /// Every record carried TCP flags.
    pub flagged: bool,
}

impl Totals {
    pub(super) fn of(record: &Record<'_>, certainty: Certainty) -> Totals {
        let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
        Totals {
            records: 1,
            packets: count(record.packets),
            bytes: count(record.bytes),
            first: record.start,
            last: record.end.max(record.start),
            certainty,
            flagged: record.tcp_flags.is_some(),
        }
    }

    /// Takes others in.
    pub fn add(&mut self, other: &Totals) {
        self.records = self.records.saturating_add(other.records);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.certainty = self.certainty.max(other.certainty);
        self.flagged &= other.flagged;
    }
}

/// The packets of a conversation that went one way, were treated alike, and look alike to every rule.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub(super) key: ConversationKey,
    pub(super) of: PartKey,
    /// Their sums.
    pub totals: Totals,
}

impl Part {
    /// Which way they went.
    pub fn side(&self) -> Side {
        self.of.side
    }

    /// Whether they were rejected.
    pub fn is_rejected(&self) -> bool {
        self.of.rejected
    }

    /// The first of the ports among which the client's is.
    pub fn client_port(&self) -> u16 {
        self.of.client
    }

    /// One of the packets, as the filters of its direction see it.
    pub fn packet(&self) -> Packet {
        let key = &self.key;
        let (direction, port) = match self.of.side {
            Side::Request => (key.direction, key.port),
            Side::Reply => (key.direction.opposite(), key.port.map(|_| self.of.client)),
        };
        Packet { direction, remote: key.remote, protocol: key.protocol, port, icmp: None }
    }
}

/// All parts of one conversation.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'t> {
    /// What it is.
    pub key: &'t ConversationKey,
    /// Its parts.
    pub parts: &'t [Part],
}

impl Conversation<'_> {
    /// The first packet's look: what groups judge.
    pub fn packet(&self) -> Packet {
        let key = self.key;
        Packet {
            direction: key.direction,
            remote: key.remote,
            protocol: key.protocol,
            port: key.port,
            icmp: None,
        }
    }

    /// The sums of the parts for which this is true; `None` where it is true of none.
    pub fn sum(&self, of: impl Fn(&Part) -> bool) -> Option<Totals> {
        let mut parts = self.parts.iter().filter(|part| of(part));
        let mut sum = parts.next()?.totals;
        parts.for_each(|part| sum.add(&part.totals));
        Some(sum)
    }

    /// When it was seen first.
    pub fn first(&self) -> Timestamp {
        self.parts.iter().map(|part| part.totals.first).min().unwrap_or_default()
    }

    /// When it was seen last.
    pub fn last(&self) -> Timestamp {
        self.parts.iter().map(|part| part.totals.last).max().unwrap_or_default()
    }

    /// How sure it is who began.
    pub fn certainty(&self) -> Certainty {
        self.parts.iter().map(|part| part.totals.certainty).max().unwrap_or(Certainty::Guess)
    }
}
