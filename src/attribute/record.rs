//! The fields of a flow log record that attribution looks at, and the packet that they describe (spec 8.2).

use crate::net::{Family, TCP, has_ports};
use crate::network::Timestamp;
use crate::rules::{Direction, Packet};
use std::net::IpAddr;

/// The `action` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Let through by this interface's filters.
    Accept,
    /// Not let through.
    Reject,
    /// `-`, as in NODATA and SKIPDATA records.
    Other,
}

/// The `reject-reason` field (version 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason<'a> {
    /// The format of this log has no such field.
    NotInFormat,
    /// `-`: any reason but those that AWS names.
    Unnamed,
    /// None is named, and whether the field is in the format cannot be told: formats of version 9 and later may have been
    /// written without it, those of version 8 not (log-formats 1.1: the version is the highest of the fields).
    Unclear,
    /// `BPA`, `EC`, or what AWS may add.
    Named(&'a str),
}

/// Who sent the packets, by the flags (spec 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sent a SYN and no SYN-ACK: a new connection.
    Initiator,
    /// Sent a SYN-ACK.
    Responder,
    /// TCP without a handshake packet in the interval.
    Midstream,
    /// Flags absent, or not TCP.
    Unknown,
}

/// One record. Texts are borrowed from the batch that it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// `interface-id`; `None` for `-`.
    pub interface_id: Option<&'a str>,
    /// `subnet-id`, where the format has it.
    pub subnet_id: Option<&'a str>,
    /// `srcaddr`.
    pub src: Option<IpAddr>,
    /// `dstaddr`.
    pub dst: Option<IpAddr>,
    /// `pkt-srcaddr`.
    pub packet_src: Option<IpAddr>,
    /// `pkt-dstaddr`.
    pub packet_dst: Option<IpAddr>,
    /// `srcport`.
    pub src_port: u16,
    /// `dstport`.
    pub dst_port: u16,
    /// `protocol`.
    pub protocol: u8,
    /// `packets`.
    pub packets: Option<i64>,
    /// `bytes`; absent in records of Block Public Access.
    pub bytes: Option<i64>,
    /// The format has `start` or `end`. Where it has neither, both are 0 here and mean nothing.
    pub has_time: bool,
    /// `start`, seconds.
    pub start: Timestamp,
    /// `end`, seconds.
    pub end: Timestamp,
    /// `action`.
    pub action: Action,
    /// `log-status` is `OK`.
    pub log_status_ok: bool,
    /// `tcp-flags`; `None` when the format lacks it or it is `-`.
    pub tcp_flags: Option<u16>,
    /// `flow-direction`, or what was inferred for it (spec 4.4).
    pub direction: Option<Direction>,
    /// `reject-reason`.
    pub reject_reason: RejectReason<'a>,
    /// `interface-type` (version 11).
    pub interface_type: Option<&'a str>,
    /// `next-hop-subnet-id` (version 11).
    pub next_hop_subnet_id: Option<&'a str>,
    /// `type` is `EFA`: not filtered as IP (spec 4.1). Known of rejected records only.
    pub is_efa: bool,
    /// The address that stands for the interface in evidence, where its own side may be shown by another of its addresses:
    /// see [`NetworkInterface::alias`](crate::network::NetworkInterface::alias).
    pub alias: Option<IpAddr>,
    /// What it does not show of what verdicts hang on.
    pub unshown: Unshown,
}

/// Fields that a record does not show. Those that are in the format of its log are `-` there; where that is not known, they are
/// taken for fields that the format lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unshown {
    /// `protocol`: no rule can be asked.
    pub protocol: bool,
    /// `srcport`, whose field is 0 then. Fragments show 0 for both.
    pub src_port: bool,
    /// `dstport`, as well.
    pub dst_port: bool,
    /// One of the ports is not shown, and the format has both.
    pub ports_are_in_format: bool,
    /// `flow-direction` is not shown, and the format has it.
    pub direction_is_in_format: bool,
    /// `tcp-flags` are not shown, and the format has them.
    pub flags_are_in_format: bool,
}

impl Record<'_> {
    /// A flow that shows nothing but that it was logged, at second 0: what others are made of.
    pub const BLANK: Record<'static> = Record {
        interface_id: None,
        subnet_id: None,
        src: None,
        dst: None,
        packet_src: None,
        packet_dst: None,
        src_port: 0,
        dst_port: 0,
        protocol: 0,
        packets: None,
        bytes: None,
        has_time: true,
        start: 0,
        end: 0,
        action: Action::Other,
        log_status_ok: true,
        tcp_flags: None,
        direction: None,
        reject_reason: RejectReason::NotInFormat,
        interface_type: None,
        next_hop_subnet_id: None,
        is_efa: false,
        alias: None,
        unshown: Unshown {
            protocol: false,
            src_port: false,
            dst_port: false,
            ports_are_in_format: false,
            direction_is_in_format: false,
            flags_are_in_format: false,
        },
    };

    /// Role of the sender (spec 4.3).
    pub fn role(&self) -> Role {
        match self.tcp_flags {
            Some(flags) if self.protocol == TCP => role(flags),
            _ => Role::Unknown,
        }
    }

    /// The remote address as the packets carried it, and the remote address of the leg at this interface where it differs
    /// (client address preservation, rewriting middle layers).
    pub fn remotes(&self, direction: Direction) -> (Option<IpAddr>, Option<IpAddr>) {
        let (packet, leg) = match direction {
            Direction::Ingress => (self.packet_src, self.src),
            Direction::Egress => (self.packet_dst, self.dst),
        };
        let remote = packet.or(leg);
        (remote, leg.filter(|leg| Some(*leg) != remote))
    }

    /// The interface's own side as the packets carried it.
    pub fn local(&self, direction: Direction) -> Option<IpAddr> {
        match direction {
            Direction::Ingress => self.packet_dst.or(self.dst),
            Direction::Egress => self.packet_src.or(self.src),
        }
    }

    /// The interface's own side as the record shows it: one of its own addresses, where the packets may carry that of a host
    /// beyond it, as those through a NAT gateway or an appliance do (spec 1.5, 4.2).
    pub fn shown(&self, direction: Direction) -> Option<IpAddr> {
        match direction {
            Direction::Ingress => self.dst,
            Direction::Egress => self.src,
        }
    }

    /// The interface's end of the flow, the same in both directions: by `pkt-*`, else by the address that stands for all
    /// that the interface has, since a request may show the secondary address and its answer the primary (spec 4.2, 9.2).
    pub fn endpoint(&self, direction: Direction) -> Option<IpAddr> {
        let (packet, leg) = match direction {
            Direction::Ingress => (self.packet_dst, self.dst),
            Direction::Egress => (self.packet_src, self.src),
        };
        // Of a format with one of the two fields only one direction shows it.
        let both = self.packet_src.is_some() && self.packet_dst.is_some();
        packet.filter(|_| both).or(self.alias).or(leg).or(packet)
    }

    /// Whether both ports are known, by which a flow is told: TCP or UDP, and not 0/0 as fragments may show (spec 4.7).
    pub fn ports_known(&self) -> bool {
        self.src_port_known() && self.dst_port_known()
    }

    /// Whether the destination port is known, the only one that filters look at (spec 8.2).
    pub fn dst_port_known(&self) -> bool {
        self.has_ports() && !self.unshown.dst_port
    }

    /// Whether the source port is known: the destination port of what goes the other way.
    pub fn src_port_known(&self) -> bool {
        self.has_ports() && !self.unshown.src_port
    }

    fn has_ports(&self) -> bool {
        has_ports(self.protocol) && (self.src_port, self.dst_port) != (0, 0)
    }

    /// The packet as the filters of `direction` saw it.
    pub fn packet(&self, direction: Direction, remote: IpAddr) -> Packet {
        let port = self.dst_port_known().then_some(self.dst_port);
        Packet { direction, remote, protocol: self.protocol, port, icmp: None }
    }

    /// The packet of the opposite direction: its destination port is this record's source port (spec 8.4).
    pub fn mirror_packet(&self, direction: Direction, remote: IpAddr) -> Packet {
        let port = self.src_port_known().then_some(self.src_port);
        Packet { direction: direction.opposite(), remote, protocol: self.protocol, port, icmp: None }
    }

    /// Family of the record's addresses.
    pub fn family(&self) -> Option<Family> {
        self.src.or(self.dst).map(|addr| Family::of(&addr))
    }

    /// TCP and UDP keys say all that a network ACL looks at; ICMP types are not shown.
    pub fn key_is_whole(&self) -> bool {
        self.dst_port_known()
    }
}

/// Role by a flag mask.
pub fn role(flags: u16) -> Role {
    if flags & 18 == 18 {
        Role::Responder
    } else if flags & 2 != 0 && flags & 16 == 0 {
        Role::Initiator
    } else {
        Role::Midstream
    }
}

/// Whether a mask shows the end of a connection.
pub fn closes(flags: u16) -> bool {
    flags & 5 != 0
}
