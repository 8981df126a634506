//! Records out of batches: the columns of `flow_logs` that attribution and the count of rules' hits look at.
//!
//! Texts repeat, so each column is seen as its distinct texts and a number for each row: what is made of a text (an address,
//! a hash) is made once for a dictionary of the store, and once for each batch of other sources.

mod texts;

use std::net::IpAddr;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use hashbrown::HashMap;

use crate::attribute::{Action, Record, RejectReason, Unshown};
use crate::format::SOURCE_FILE;
use crate::rules::Direction;
use crate::sql::coded::{coded_text, same_texts};
use texts::TEXTS;
pub(in crate::sql) use texts::{Text, Values};

/// What tells an interface's own address.
pub(in crate::sql) const ADDRESSES: &[&str] = &["interface_id", "srcaddr", "dstaddr", "flow_direction"];

/// What evidence is made of.
pub(in crate::sql) const EVIDENCE: &[&str] = &[
    SOURCE_FILE,
    "account_id",
    "interface_id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "start",
    "end",
    "action",
    "log_status",
    "vpc_id",
    "subnet_id",
    "tcp_flags",
    "pkt_srcaddr",
    "pkt_dstaddr",
    "flow_direction",
];

/// What a REJECT is judged by beyond that.
pub(in crate::sql) const REJECT_ONLY: &[&str] =
    &["version", "type", "reject_reason", "interface_type", "next_hop_subnet_id"];

/// A field of which it counts whether the log has it where a record does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Field {
    RejectReason,
    Direction,
    Flags,
    Ports,
}

impl Field {
    /// The columns that it takes.
    pub(in crate::sql) fn columns(self) -> &'static [&'static str] {
        match self {
            Field::RejectReason => &["reject_reason"],
            Field::Direction => &["flow_direction"],
            Field::Flags => &["tcp_flags"],
            Field::Ports => &["srcport", "dstport"],
        }
    }
}

/// What is in the place of a key where there is no text: [`NONE`] as a signed number.
const NO_KEY: i32 = -1;

/// The number of rows without a text.
pub(in crate::sql) const NONE: u32 = u32::MAX;

/// A column of one batch: for each row which of the texts it has, -1 for none. The keys of a dictionary are shared.
#[derive(Debug)]
struct Coded {
    keys: ScalarBuffer<i32>,
    values: Arc<Values>,
}

/// Makes [`Columns`] out of batches; keeps what it made of dictionaries, which many batches share.
#[derive(Debug, Default)]
pub(in crate::sql) struct Coder {
    known: [Option<(ArrayRef, Arc<Values>)>; TEXTS.len()],
}

impl Coder {
    /// What is made of a dictionary's texts: the same that columns over it will have.
    pub(in crate::sql) fn values(&mut self, column: Text, texts: &ArrayRef) -> Arc<Values> {
        match self.known.get_mut(column as usize) {
            Some(known) => values(column, texts, known),
            None => Arc::new(Values::new(column, texts.as_string::<i32>().clone())),
        }
    }

    /// The columns of a batch.
    pub(in crate::sql) fn columns(&mut self, batch: &RecordBatch) -> Result<Columns> {
        let mut texts: [Option<Coded>; TEXTS.len()] = Default::default();
        for ((place, known), (column, name)) in texts.iter_mut().zip(&mut self.known).zip(TEXTS) {
            // A column without any value is worth no look-up for each row.
            let array = batch.column_by_name(name).filter(|column| column.null_count() < column.len());
            if let Some(array) = array {
                *place = Some(coded(column, array, known)?);
            }
        }
        let number = |name| {
            let column = as_type(batch, name, &DataType::Int32)?;
            Ok::<_, datafusion::common::DataFusionError>(
                column.map(|column| column.as_primitive::<Int32Type>().clone()),
            )
        };
        let time = |name| {
            let zone = batch.column_by_name(name).and_then(|column| match column.data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            });
            let column = as_type(batch, name, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
            Ok::<_, datafusion::common::DataFusionError>(
                column.map(|column| column.as_primitive::<TimestampMicrosecondType>().clone()),
            )
        };
        let sum = |name| {
            let column = as_type(batch, name, &DataType::Int64)?;
            Ok::<_, datafusion::common::DataFusionError>(
                column.map(|column| column.as_primitive::<Int64Type>().clone()),
            )
        };
        Ok(Columns {
            rows: batch.num_rows(),
            texts,
            src_port: number("srcport")?,
            dst_port: number("dstport")?,
            protocol: number("protocol")?,
            tcp_flags: number("tcp_flags")?,
            version: number("version")?,
            packets: sum("packets")?,
            bytes: sum("bytes")?,
            start: time("start")?,
            end: time("end")?,
        })
    }
}

fn as_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<Option<ArrayRef>> {
    let Some(column) = batch.column_by_name(name).filter(|column| column.null_count() < column.len()) else {
        return Ok(None);
    };
    if column.data_type() == data_type {
        return Ok(Some(Arc::clone(column)));
    }
    Ok(Some(cast(column, data_type)?))
}

fn values(column: Text, texts: &ArrayRef, known: &mut Option<(ArrayRef, Arc<Values>)>) -> Arc<Values> {
    match known {
        Some((held, values)) if same_texts(held, texts) => Arc::clone(values),
        _ => {
            let values = Arc::new(Values::new(column, texts.as_string::<i32>().clone()));
            *known = Some((Arc::clone(texts), Arc::clone(&values)));
            values
        }
    }
}

fn coded(column: Text, array: &ArrayRef, known: &mut Option<(ArrayRef, Arc<Values>)>) -> Result<Coded> {
    if array.data_type() == &coded_text() {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = values(column, dictionary.values(), known);
        let codes = dictionary.keys();
        let mut keys = codes.values().clone();
        // Few rows lack a text, so only those are looked at.
        if let Some(nulls) = codes.nulls().filter(|nulls| nulls.null_count() > 0) {
            let missing = !nulls.inner();
            let mut own = keys.to_vec();
            for row in missing.set_indices() {
                own.get_mut(row).into_iter().for_each(|key| *key = NO_KEY);
            }
            keys = own.into();
        }
        return Ok(without_dashes(Coded { keys, values }));
    }
    let views = cast(array, &DataType::Utf8View)?;
    let (keys, texts) = distinct(views.as_string_view());
    Ok(without_dashes(Coded { keys: keys.into(), values: Arc::new(Values::new(column, texts)) }))
}

fn without_dashes(mut coded: Coded) -> Coded {
    if coded.values.has_dash {
        let texts = &coded.values.texts;
        let is_dash = |key: i32| texts.len() > key as usize && texts.value(key as usize) == "-";
        coded.keys = coded.keys.iter().map(|key| if is_dash(*key) { NO_KEY } else { *key }).collect();
    }
    coded
}

/// The distinct texts of an array, in the order of their first rows, and which of them each row has.
fn distinct(array: &StringViewArray) -> (Vec<i32>, StringArray) {
    let mut known: HashMap<&str, i32> = HashMap::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut last: Option<(&str, i32)> = None;
    let keys = array.iter().map(|text| {
        let Some(text) = text else { return NO_KEY };
        if let Some((_, key)) = last.filter(|(known, _)| *known == text) {
            return key;
        }
        let key = *known.entry(text).or_insert_with(|| {
            texts.push(text);
            (texts.len() - 1) as i32
        });
        last = Some((text, key));
        key
    });
    let keys = keys.collect();
    (keys, StringArray::from_iter_values(texts))
}

/// The columns of one batch; those that the batch lacks are absent in every record.
pub(in crate::sql) struct Columns {
    rows: usize,
    texts: [Option<Coded>; TEXTS.len()],
    src_port: Option<Int32Array>,
    dst_port: Option<Int32Array>,
    protocol: Option<Int32Array>,
    tcp_flags: Option<Int32Array>,
    version: Option<Int32Array>,
    packets: Option<Int64Array>,
    bytes: Option<Int64Array>,
    start: Option<TimestampMicrosecondArray>,
    end: Option<TimestampMicrosecondArray>,
}

impl Columns {
    pub(in crate::sql) fn rows(&self) -> usize {
        self.rows
    }

    fn coded(&self, column: Text) -> Option<&Coded> {
        self.texts.get(column as usize)?.as_ref()
    }

    /// Which of the column's texts a row has; [`NONE`] where it has none.
    #[inline]
    pub(in crate::sql) fn key(&self, column: Text, row: usize) -> u32 {
        self.coded(column).and_then(|coded| coded.keys.get(row)).map_or(NONE, |key| *key as u32)
    }

    /// The texts that the keys of a column stand for.
    pub(in crate::sql) fn values(&self, column: Text) -> Option<&Arc<Values>> {
        Some(&self.coded(column)?.values)
    }

    #[inline]
    pub(in crate::sql) fn text(&self, column: Text, row: usize) -> Option<&str> {
        let coded = self.coded(column)?;
        let key = *coded.keys.get(row)? as usize;
        (key < coded.values.texts.len()).then(|| coded.values.texts.value(key))
    }

    #[inline]
    pub(in crate::sql) fn address(&self, column: Text, row: usize) -> Option<IpAddr> {
        let coded = self.coded(column)?;
        coded.values.address(*coded.keys.get(row)? as usize)
    }

    /// Keeps the addresses of all texts of the batch's dictionaries, for a reader that looks at every record.
    pub(in crate::sql) fn keep_addresses(&self) {
        for column in [Text::Src, Text::Dst, Text::PacketSrc, Text::PacketDst] {
            self.coded(column).into_iter().for_each(|coded| coded.values.keep_addresses());
        }
    }

    /// The hash of a row's address or interface; 0 where it has none.
    #[inline]
    pub(in crate::sql) fn hash(&self, column: Text, row: usize) -> u64 {
        let hash = self.coded(column).and_then(|coded| {
            let key = *coded.keys.get(row)?;
            coded.values.hashes().get(key as usize).copied()
        });
        hash.unwrap_or(0)
    }

    /// For each row whether its text in this column is the given one.
    pub(in crate::sql) fn equal_to(&self, column: Text, wanted: &str) -> Vec<bool> {
        let Some(coded) = self.coded(column) else { return vec![false; self.rows] };
        let equal: Vec<bool> = coded.values.texts.iter().map(|text| text == Some(wanted)).collect();
        let of = |key: &i32| equal.get(*key as usize).copied().unwrap_or(false);
        coded.keys.iter().map(of).collect()
    }

    pub(in crate::sql) fn has(&self, column: Text) -> bool {
        self.coded(column).is_some()
    }

    pub(in crate::sql) fn version(&self, row: usize) -> Option<i32> {
        number(&self.version, row)
    }

    /// Seconds; the end where the format has no start.
    #[inline]
    pub(in crate::sql) fn start(&self, row: usize) -> Option<i64> {
        seconds(&self.start, row).or_else(|| seconds(&self.end, row))
    }

    /// Seconds; the start where the end is not known.
    #[inline]
    pub(in crate::sql) fn end(&self, row: usize, start: i64) -> i64 {
        seconds(&self.end, row).unwrap_or(start)
    }

    #[inline]
    pub(in crate::sql) fn protocol(&self, row: usize) -> Option<u8> {
        number(&self.protocol, row).and_then(|number| u8::try_from(number).ok())
    }

    /// Ports of source and destination, where it shows them.
    #[inline]
    pub(in crate::sql) fn ports(&self, row: usize) -> [Option<u16>; 2] {
        let port = |column| number(column, row).and_then(|number| u16::try_from(number).ok());
        [port(&self.src_port), port(&self.dst_port)]
    }

    #[inline]
    pub(in crate::sql) fn direction(&self, row: usize) -> Option<Direction> {
        match self.text(Text::Direction, row) {
            Some("ingress") => Some(Direction::Ingress),
            Some("egress") => Some(Direction::Egress),
            _ => None,
        }
    }

    #[inline]
    pub(in crate::sql) fn action(&self, row: usize) -> Action {
        match self.text(Text::Action, row) {
            Some("ACCEPT") => Action::Accept,
            Some("REJECT") => Action::Reject,
            _ => Action::Other,
        }
    }

    /// A format without the field logs flows all the same.
    #[inline]
    pub(in crate::sql) fn log_status_ok(&self, row: usize, action: Action) -> bool {
        match self.text(Text::LogStatus, row) {
            Some(status) => status == "OK",
            None => action != Action::Other,
        }
    }

    /// The record of a row. `in_format` says of fields that it does not show whether they are in the format of its log, where
    /// that is known.
    pub(in crate::sql) fn record(&self, row: usize, in_format: impl Fn(Field) -> Option<bool>) -> Record<'_> {
        let time = self.start(row);
        let start = time.unwrap_or_default();
        let action = self.action(row);
        let ports = self.ports(row);
        let [src_port, dst_port] = ports.map(Option::unwrap_or_default);
        let reject_reason = match self.text(Text::RejectReason, row) {
            Some(reason) => RejectReason::Named(reason),
            None => match in_format(Field::RejectReason) {
                Some(true) => RejectReason::Unnamed,
                Some(false) => RejectReason::NotInFormat,
                None => RejectReason::Unclear,
            },
        };
        let protocol = self.protocol(row);
        let direction = self.direction(row);
        let tcp_flags = number(&self.tcp_flags, row).and_then(|number| u16::try_from(number).ok());
        let is_dash = |shown: bool, field| !shown && in_format(field) == Some(true);
        let unshown = Unshown {
            protocol: protocol.is_none(),
            src_port: ports[0].is_none(),
            dst_port: ports[1].is_none(),
            ports_are_in_format: is_dash(ports.iter().all(Option::is_some), Field::Ports),
            direction_is_in_format: is_dash(direction.is_some(), Field::Direction),
            flags_are_in_format: is_dash(tcp_flags.is_some(), Field::Flags),
        };
        Record {
            interface_id: self.text(Text::Interface, row),
            subnet_id: self.text(Text::Subnet, row),
            src: self.address(Text::Src, row),
            dst: self.address(Text::Dst, row),
            packet_src: self.address(Text::PacketSrc, row),
            packet_dst: self.address(Text::PacketDst, row),
            src_port,
            dst_port,
            protocol: protocol.unwrap_or(u8::MAX),
            packets: sum(&self.packets, row),
            bytes: sum(&self.bytes, row),
            has_time: time.is_some(),
            start,
            end: self.end(row, start),
            action,
            log_status_ok: self.log_status_ok(row, action),
            tcp_flags,
            direction,
            reject_reason,
            interface_type: self.text(Text::InterfaceType, row),
            next_hop_subnet_id: self.text(Text::NextHopSubnet, row),
            is_efa: self.text(Text::Type, row) == Some("EFA"),
            alias: None,
            unshown,
        }
    }
}

#[inline]
fn number(column: &Option<Int32Array>, row: usize) -> Option<i32> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

#[inline]
fn sum(column: &Option<Int64Array>, row: usize) -> Option<i64> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

#[inline]
fn seconds(column: &Option<TimestampMicrosecondArray>, row: usize) -> Option<i64> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row).div_euclid(1_000_000))
}
