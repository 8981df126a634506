//! What the logs hold about the flow of a rejected record, and the predicates of spec 8.5 over it.
//!
//! Times in flow logs are good to about a minute, so a comparison with a timeout may stay open.

use super::coverage::Gap;
use super::record::{Record, Role};
use crate::net::UDP;
use crate::network::Timestamp;

/// Slack of all comparisons, seconds: `start` and `end` may be off by this much (documented).
pub const SLACK: i64 = 60;

/// An ACCEPT record of the same flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Its sender's role.
    pub role: Role,
}

/// ACCEPT records on the same interface with the same key, whatever their source port, in an overlapping interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SameKey {
    /// Some of them opened connections.
    pub initiator: bool,
    /// All of them were responses: accepted by state.
    pub responses_only: bool,
}

/// Which end opened the flow, by the flags of its ACCEPTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Opener {
    /// They do not tell: no flags, no handshake among them, or the ports were used again by the other end.
    #[default]
    NotShown,
    /// The sender of the record.
    Sender,
    /// The other end.
    Peer,
}

/// Whether the idle timeout had passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Idle {
    /// It had not, or there was no earlier ACCEPT.
    #[default]
    No,
    /// The applicable timeout is not known and the gap lies between the smallest and the largest.
    Possible,
    /// It had.
    Yes,
}

/// Facts from the logs about one record.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Of the mirrors that start no later than the record the one that ends last, however far back.
    pub mirror: Option<Seen>,
    /// Of the mirrors that start later the first.
    pub mirror_after: Option<Seen>,
    /// Some mirror in the window opened the connection.
    pub mirror_initiator: bool,
    /// Who opened the flow.
    pub opener: Opener,
    /// ACCEPT of the record's own 5-tuple, nearest in time.
    pub own_accept: Option<Seen>,
    /// Some such ACCEPT began before the record.
    pub own_accept_before: bool,
    /// When FIN or RST was seen in an ACCEPT of the flow that ended before the record or shares its interval.
    pub closed_at: Option<Timestamp>,
    /// The close was RST, or FIN of both sides, and no later packets are known.
    pub closed_surely: bool,
    /// End of the last ACCEPT of the flow, either way, that began before the record's end.
    pub last_accept: Option<Timestamp>,
    /// Start of the first ACCEPT of the flow, either way.
    pub first_accept: Option<Timestamp>,
    /// ACCEPTs with the same key.
    pub same_key: Option<SameKey>,
    /// Another interface under the same network ACL that the same key was accepted on, not inside the subnet.
    pub sibling: Option<String>,
    /// Nothing is missing: no SKIPDATA, no missing files, ACCEPTs are logged, and the logs reach back a whole timeout.
    pub complete: bool,
    /// Why some records of the interface may be missing in the time that counts, where it has no log without a gap there.
    pub gap: Option<Gap>,
    /// Seconds before the record for which the interface's logs are whole.
    pub covered_back: i64,
    /// The logs prove that the remote is in the interface's own subnet.
    pub intra_subnet: bool,
    /// The configuration fails to explain ACCEPTs of this interface or subnet (spec 8.10).
    pub inconsistent: bool,
    /// It fails to for an interface whose groups this one carries as well: a rule of theirs is not in it.
    pub groups_refuted: bool,
}

/// Idle timeouts of one interface, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Smallest that established TCP may have.
    pub tcp_least: i64,
    /// Largest that it may have.
    pub tcp_most: i64,
    /// UDP, one direction or a single exchange.
    pub udp: i64,
    /// UDP, more than one exchange.
    pub udp_stream: i64,
}

impl Timeouts {
    /// Without configuration: 60 s can be set on an interface, 432000 s is the largest.
    pub const UNKNOWN: Timeouts = Timeouts { tcp_least: 60, tcp_most: 432_000, udp: 30, udp_stream: 180 };

    /// Through a Network Load Balancer, whatever the interface is set to (spec 2.2).
    pub const LOAD_BALANCED: Timeouts = Timeouts { tcp_least: 350, tcp_most: 350, udp: 120, udp_stream: 120 };
}

/// ICMP and protocols other than TCP and UDP: 600 s (documented for the latter, taken for the former).
pub const OTHER_TIMEOUT: i64 = 600;

/// The predicates of spec 8.5 for one record.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'e> {
    /// Underlying facts.
    pub evidence: &'e Evidence,
    record: (Timestamp, Timestamp, u16, u16),
    timeouts: Timeouts,
    protocol: u8,
}

impl<'e> Facts<'e> {
    /// Over one record and its evidence.
    pub fn new(record: &Record<'_>, evidence: &'e Evidence, timeouts: Timeouts) -> Self {
        let times = (record.start, record.end, record.src_port, record.dst_port);
        Facts { evidence, record: times, timeouts, protocol: record.protocol }
    }

    /// T: how far back a mirror counts.
    pub fn window(&self) -> i64 {
        match self.protocol {
            6 => self.timeouts.tcp_most,
            17 => self.udp_timeout(),
            _ => OTHER_TIMEOUT,
        }
    }

    /// 30 s while there is no earlier `OWN_ACCEPT`, 180 s with one.
    pub fn udp_timeout(&self) -> i64 {
        if self.evidence.own_accept_before { self.timeouts.udp_stream } else { self.timeouts.udp }
    }

    /// The timeout of a UDP stream.
    pub fn udp_stream_timeout(&self) -> i64 {
        self.timeouts.udp_stream
    }

    /// The earliest time that is not surely further back than T.
    fn earliest(&self) -> Timestamp {
        self.record.0.saturating_sub(self.window()).saturating_sub(SLACK)
    }

    fn in_window(&self, seen: &Seen) -> bool {
        seen.end >= self.earliest() && seen.start <= self.record.1.saturating_add(SLACK)
    }

    /// `MIRROR`.
    pub fn mirror(&self) -> Option<Seen> {
        let mirrors = [self.evidence.mirror, self.evidence.mirror_after];
        mirrors.into_iter().flatten().find(|seen| self.in_window(seen))
    }

    /// The mirror however far back: what shows that a timeout has passed.
    pub fn any_mirror(&self) -> Option<Seen> {
        self.mirror().or(self.evidence.mirror).or(self.evidence.mirror_after)
    }

    /// `OWN_ACCEPT`. The nearest may be one that comes too late to count, and hide an earlier one.
    pub fn own_accept(&self) -> bool {
        let earliest = self.earliest();
        let before =
            self.evidence.own_accept_before && self.evidence.last_accept.is_some_and(|last| last >= earliest);
        self.evidence.own_accept.is_some_and(|seen| before || self.in_window(&seen))
    }

    /// `ANSWER`; mirrors further back than T count too, to see that a timeout has passed.
    pub fn answer(&self) -> Option<Seen> {
        let (start, _, src_port, dst_port) = self.record;
        let seen = self.any_mirror()?;
        (seen.start <= start && !self.evidence.own_accept_before && src_port != dst_port).then_some(seen)
    }

    /// `MIRROR_FIRST`, as [`Facts::answer`].
    pub fn mirror_first(&self) -> Option<Seen> {
        let (start, ..) = self.record;
        let seen = self.any_mirror()?;
        (seen.start.saturating_add(SLACK) < start || self.evidence.mirror_initiator).then_some(seen)
    }

    /// Whether the ports of both ends are equal (NTP, IKE): either may have begun.
    pub fn equal_ports(&self) -> bool {
        self.record.2 == self.record.3
    }

    /// `CLOSED`.
    pub fn closed(&self) -> bool {
        self.evidence.closed_at.is_some()
    }

    /// The flow was seen before, and only longer ago than the timeout.
    pub fn only_older(&self) -> bool {
        self.evidence.last_accept.is_some() && self.mirror().is_none() && !self.own_accept()
    }

    /// `IDLE`, by the TCP timeouts (others have their own rows).
    pub fn idle(&self) -> Idle {
        self.idle_within(0)
    }

    /// The same where nothing but the times tells, which may be off by [`SLACK`].
    pub fn surely_idle(&self) -> Idle {
        self.idle_within(SLACK)
    }

    fn idle_within(&self, slack: i64) -> Idle {
        if self.protocol != 6 {
            return Idle::No;
        }
        let Some(gap) = self.idle_gap() else { return Idle::No };
        if gap.saturating_sub(slack) > self.timeouts.tcp_most {
            Idle::Yes
        } else if gap > self.timeouts.tcp_least {
            Idle::Possible
        } else {
            Idle::No
        }
    }

    /// Whether the longest timeout that may apply has surely passed without an ACCEPT.
    pub fn timed_out(&self) -> bool {
        match self.protocol {
            UDP => {
                let longest = self.timeouts.udp.max(self.timeouts.udp_stream);
                self.idle_gap().is_some_and(|gap| gap.saturating_sub(SLACK) > longest)
            }
            _ => self.idle() == Idle::Yes,
        }
    }

    /// Seconds since the last ACCEPT of the flow.
    pub fn idle_gap(&self) -> Option<i64> {
        self.evidence.last_accept.map(|last| self.record.0.saturating_sub(last))
    }

    /// Seconds from the mirror's end to the record's start; 0 when they overlap.
    pub fn gap(&self, mirror: &Seen) -> i64 {
        self.record.0.saturating_sub(mirror.end).max(0)
    }

    /// Surely within a timeout.
    pub fn within(&self, mirror: &Seen, timeout: i64) -> bool {
        self.record.1.saturating_sub(mirror.start).saturating_add(SLACK) <= timeout
    }

    /// Surely beyond it.
    pub fn beyond(&self, mirror: &Seen, timeout: i64) -> bool {
        self.record.0.saturating_sub(mirror.end).saturating_sub(SLACK) > timeout
    }
}
