//! What the keys of a row group's columns stand for, and which of its records are like any other.

use std::sync::Arc;

use datafusion::common::Result;

use super::flow_logs::UNNAMED;
use super::lanes::Lanes;
use super::observe::Observer;
use crate::attribute::{AROUND, Role, role};
use crate::format::SOURCE_FILE;
use crate::rules::Direction;
use crate::sql::coded::rowgroups::KeyedRows;
use crate::sql::records::{Text, Values};

/// What a record is by its action and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Accepted.
    Accept,
    /// Any other flow.
    Other,
    /// No flow at all (NODATA): it shows that its interface was logged.
    Empty,
    /// Looked at one by one.
    Special,
}

/// What `log-status` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    NoData,
    /// SKIPDATA, or what is not known.
    Other,
}

/// Which columns of a row group are which.
pub(super) struct ColumnsAt {
    pub(super) interface: usize,
    pub(super) src: usize,
    pub(super) dst: usize,
    pub(super) protocol: usize,
    pub(super) start: usize,
    pub(super) src_port: Option<usize>,
    pub(super) dst_port: Option<usize>,
    /// Both, where some row may lack one.
    pub(super) holey_ports: Option<[usize; 2]>,
    pub(super) action: Option<usize>,
    pub(super) status: Option<usize>,
    pub(super) end: Option<usize>,
    pub(super) direction: Option<usize>,
    pub(super) flags: Option<usize>,
    /// The same, where somebody checks ACCEPTs.
    pub(super) opens: Option<usize>,
    pub(super) packets: [Option<usize>; 2],
    pub(super) told: [Option<usize>; 3],
    /// The object, where records of several flow logs lie in the row group.
    pub(super) source: Option<usize>,
}

/// What an ACCEPT is asked for further: row, lane, direction.
pub(super) type Passed = (u32, u32, Direction);

/// An ACCEPT, and which of its hashes the filter lets through, where that is known.
pub(super) type Hit = (Passed, Option<[bool; 3]>);

/// Looks at one row group.
pub(super) struct Sifter {
    pub(super) columns: ColumnsAt,
    pub(super) interfaces: Arc<Values>,
    /// Subnet, VPC and account, where the file has them.
    pub(super) told: [Option<Arc<Values>>; 3],
    pub(super) src: Arc<Values>,
    pub(super) dst: Arc<Values>,
    pub(super) packets: [Option<Arc<Values>>; 2],
    /// By the keys of their columns; of rows without a value at last.
    pub(super) kinds: Kinds,
    pub(super) protocols: Vec<Option<u8>>,
    pub(super) starts: Vec<i64>,
    pub(super) ends: Vec<Option<i64>>,
    pub(super) flags: Vec<Option<u16>>,
    pub(super) directions: Vec<Option<Direction>>,
    /// Whether packets with these flags may begin a connection.
    pub(super) opens: Vec<bool>,
    pub(super) src_ports: Vec<Option<u16>>,
    pub(super) dst_ports: Vec<Option<u16>>,
    /// The numbers of the flow logs, by the keys of the objects.
    pub(super) logs: Vec<u32>,
    /// The only one, or that of records whose object is not known.
    pub(super) log: u32,
    pub(super) lanes: Lanes,
}

/// The kinds of rows by action and status.
pub(super) struct Kinds {
    pub(super) accepts: Vec<Kind>,
    /// That of rows without one tells no more than the action.
    pub(super) statuses: Vec<Status>,
}

/// Keys and rows of a window, kept for the next.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) interfaces: Vec<u32>,
    pub(super) src: Vec<u32>,
    pub(super) dst: Vec<u32>,
    pub(super) protocols: Vec<u32>,
    pub(super) starts: Vec<u32>,
    pub(super) actions: Vec<u32>,
    pub(super) statuses: Vec<u32>,
    pub(super) directions: Vec<u32>,
    pub(super) flags: Vec<u32>,
    pub(super) packets: [Vec<u32>; 2],
    pub(super) told: [Vec<u32>; 3],
    pub(super) sources: Vec<u32>,
    pub(super) kinds: Vec<Kind>,
    /// ACCEPTs whose direction is known.
    pub(super) candidates: Vec<Passed>,
    /// Hashes to ask a filter for, each with what it is of; and what those are of that it lets through.
    pub(super) hashes: Vec<(u64, u32)>,
    pub(super) tags: Vec<u32>,
    pub(super) passed: Vec<Passed>,
    pub(super) special: Vec<usize>,
    pub(super) doubtful: Vec<Passed>,
    pub(super) src_ports: Vec<u32>,
    pub(super) dst_ports: Vec<u32>,
    /// ACCEPTs that some filter lets through, and which of their hashes it does.
    pub(super) hits: Vec<Hit>,
    /// Those of them that have to be looked at one by one.
    pub(super) left: Vec<Hit>,
    pub(super) ends: Vec<u32>,
    pub(super) hit_flags: Vec<u32>,
}

/// What stands at the place of a key; the last one for rows without.
pub(super) fn of<T: Copy>(table: &[T], key: u32) -> Option<T> {
    match table.get(key as usize) {
        Some(found) => Some(*found),
        None => table.last().copied(),
    }
}

impl Sifter {
    /// For a row group; `None` where its records are better looked at one by one.
    pub(super) fn new(rows: &mut KeyedRows, observer: &mut Observer<'_>) -> Result<Option<Sifter>> {
        let at = |name: &str| rows.column(name);
        let needed = (at("interface_id"), at("srcaddr"), at("dstaddr"), at("protocol"), at("start"));
        let (Some(interface), Some(src), Some(dst), Some(protocol), Some(start)) = needed else {
            return Ok(None);
        };
        let end = at("end");
        let mut columns = ColumnsAt {
            interface,
            src,
            dst,
            protocol,
            start,
            src_port: at("srcport"),
            dst_port: at("dstport"),
            holey_ports: None,
            action: at("action"),
            status: at("log_status"),
            direction: at("flow_direction"),
            end,
            flags: at("tcp_flags"),
            opens: at("tcp_flags").filter(|_| observer.places.engine.is_some()),
            packets: [at("pkt_srcaddr"), at("pkt_dstaddr")],
            told: [at("subnet_id"), at("vpc_id"), at("account_id")],
            source: at(SOURCE_FILE),
        };
        let seconds = |micros: Vec<i64>| micros.into_iter().map(|micros| micros.div_euclid(1_000_000));
        let starts: Vec<i64> = seconds(rows.numbers(start)?).collect();
        let ends: Vec<i64> = match end {
            Some(end) => seconds(rows.numbers(end)?).collect(),
            None => Vec::new(),
        };
        if let Some(engine) = &observer.places.engine {
            let first = starts.iter().min().copied().unwrap_or_default().saturating_sub(AROUND);
            let last = starts.iter().chain(&ends).max().copied().unwrap_or_default();
            if engine.network().only_view(first, last.saturating_add(AROUND)).is_none() {
                return Ok(None);
            }
        }
        let mut values = |at: Option<usize>, column: Text| -> Result<Option<Arc<Values>>> {
            let texts = at.map(|at| rows.texts(at)).transpose()?.flatten();
            Ok(texts.map(|texts| observer.coder.values(column, &texts)))
        };
        let interfaces = values(Some(interface), Text::Interface)?;
        let (src, dst) = (values(Some(src), Text::Src)?, values(Some(dst), Text::Dst)?);
        let (Some(interfaces), Some(src), Some(dst)) = (interfaces, src, dst) else { return Ok(None) };
        // Each address is asked for more than once.
        src.keep_addresses();
        dst.keep_addresses();
        let packets =
            [values(columns.packets[0], Text::PacketSrc)?, values(columns.packets[1], Text::PacketDst)?];
        let (actions, statuses) =
            (values(columns.action, Text::Action)?, values(columns.status, Text::LogStatus)?);
        let directions = values(columns.direction, Text::Direction)?;
        let told = [
            values(columns.told[0], Text::Subnet)?,
            values(columns.told[1], Text::Vpc)?,
            values(columns.told[2], Text::Account)?,
        ];
        let each = |values: &Option<Arc<Values>>| {
            let texts: Vec<String> =
                values.iter().flat_map(|values| values.each()).map(str::to_owned).collect();
            texts
        };
        let accepts = each(&actions).into_iter().map(|text| match text.as_str() {
            "ACCEPT" => Kind::Accept,
            "REJECT" => Kind::Other,
            _ => Kind::Special,
        });
        let statuses = each(&statuses).into_iter().map(|text| match text.as_str() {
            "-" | "OK" => Status::Ok,
            "NODATA" => Status::NoData,
            _ => Status::Other,
        });
        let kinds = Kinds {
            accepts: accepts.chain([Kind::Special]).collect(),
            statuses: statuses.chain([Status::Ok]).collect(),
        };
        let directions = each(&directions).into_iter().map(|text| match text.as_str() {
            "ingress" => Some(Direction::Ingress),
            "egress" => Some(Direction::Egress),
            _ => None,
        });
        let directions = directions.chain([None]).collect();
        let protocols = rows.numbers(protocol)?.into_iter().map(|number| u8::try_from(number).ok());
        let protocols = protocols.chain([None]).collect();
        let flags = columns.flags.map(|flags| rows.numbers(flags)).transpose()?.unwrap_or_default();
        let flags: Vec<Option<u16>> =
            flags.into_iter().map(|flags| u16::try_from(flags).ok()).chain([None]).collect();
        let opens = flags.iter().map(|flags| flags.is_some_and(|flags| role(flags) == Role::Initiator));
        let opens = opens.collect();
        let mut ports = |at: Option<usize>| -> Result<Vec<Option<u16>>> {
            let numbers = at.map(|at| rows.numbers(at)).transpose()?.unwrap_or_default();
            Ok(numbers.into_iter().map(|number| u16::try_from(number).ok()).chain([None]).collect())
        };
        let (src_ports, dst_ports) = (ports(columns.src_port)?, ports(columns.dst_port)?);
        // The last is that of rows without one.
        let odd = |ports: &[Option<u16>]| ports.iter().rev().skip(1).any(Option::is_none);
        columns.holey_ports = columns
            .src_port
            .zip(columns.dst_port)
            .map(<[usize; 2]>::from)
            .filter(|at| odd(&src_ports) || odd(&dst_ports) || at.iter().any(|at| rows.has_nulls(*at)));
        let objects = columns.source.map(|source| rows.texts(source)).transpose()?.flatten();
        let objects = objects.map(|texts| observer.coder.values(Text::Source, &texts));
        observer.logs.begin(objects.as_ref());
        let log = observer.logs.only();
        if log.is_some() {
            columns.source = None;
        }
        let lanes = Lanes::new(&interfaces);
        Ok(Some(Sifter {
            columns,
            interfaces,
            told,
            src,
            dst,
            packets,
            kinds,
            protocols,
            starts,
            ends: ends.into_iter().map(Some).chain([None]).collect(),
            flags,
            directions,
            opens,
            src_ports,
            dst_ports,
            logs: observer.logs.by_key().to_vec(),
            log: log.unwrap_or(UNNAMED),
            lanes,
        }))
    }
}
