//! Records out of batches: the columns of `flow_logs` that conversations are made of.

use std::net::IpAddr;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;

use crate::attribute::{Action, Record, RejectReason};
use crate::net::parse_ip_str;
use crate::rules::Direction;

/// The columns of one batch, typed; those that the batch lacks are absent in every record.
pub(super) struct Columns {
    rows: usize,
    interface: Option<StringViewArray>,
    src: Option<StringViewArray>,
    dst: Option<StringViewArray>,
    packet_src: Option<StringViewArray>,
    packet_dst: Option<StringViewArray>,
    action: Option<StringViewArray>,
    log_status: Option<StringViewArray>,
    subnet: Option<StringViewArray>,
    direction: Option<StringViewArray>,
    reject_reason: Option<StringViewArray>,
    interface_type: Option<StringViewArray>,
    next_hop_subnet: Option<StringViewArray>,
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

fn as_type(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<Option<ArrayRef>> {
    // A column without any value is worth no look-up for each row.
    let Some(column) = batch.column_by_name(name).filter(|column| column.null_count() < column.len()) else {
        return Ok(None);
    };
    if column.data_type() == data_type {
        return Ok(Some(Arc::clone(column)));
    }
    Ok(Some(cast(column, data_type)?))
}

impl Columns {
    pub(super) fn new(batch: &RecordBatch) -> Result<Columns> {
        let text = |name| {
            Ok::<_, datafusion::common::DataFusionError>(
                as_type(batch, name, &DataType::Utf8View)?.map(|column| column.as_string_view().clone()),
            )
        };
        let number = |name| {
            Ok::<_, datafusion::common::DataFusionError>(
                as_type(batch, name, &DataType::Int32)?
                    .map(|column| column.as_primitive::<Int32Type>().clone()),
            )
        };
        let time = |name| {
            let zone = batch.column_by_name(name).and_then(|column| match column.data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            });
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone);
            Ok::<_, datafusion::common::DataFusionError>(
                as_type(batch, name, &data_type)?
                    .map(|column| column.as_primitive::<TimestampMicrosecondType>().clone()),
            )
        };
        let count = |name| {
            Ok::<_, datafusion::common::DataFusionError>(
                as_type(batch, name, &DataType::Int64)?
                    .map(|column| column.as_primitive::<Int64Type>().clone()),
            )
        };
        Ok(Columns {
            rows: batch.num_rows(),
            interface: text("interface_id")?,
            src: text("srcaddr")?,
            dst: text("dstaddr")?,
            packet_src: text("pkt_srcaddr")?,
            packet_dst: text("pkt_dstaddr")?,
            action: text("action")?,
            log_status: text("log_status")?,
            subnet: text("subnet_id")?,
            direction: text("flow_direction")?,
            reject_reason: text("reject_reason")?,
            interface_type: text("interface_type")?,
            next_hop_subnet: text("next_hop_subnet_id")?,
            src_port: number("srcport")?,
            dst_port: number("dstport")?,
            protocol: number("protocol")?,
            tcp_flags: number("tcp_flags")?,
            version: number("version")?,
            packets: count("packets")?,
            bytes: count("bytes")?,
            start: time("start")?,
            end: time("end")?,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn log_status(&self, row: usize) -> Option<&str> {
        value(&self.log_status, row)
    }

    fn version(&self, row: usize) -> Option<i32> {
        number(&self.version, row)
    }

    pub(super) fn interface(&self, row: usize) -> Option<&str> {
        value(&self.interface, row)
    }

    /// The record of a row; `None` where it has no time. `reason_in_format` says of a format version whether its
    /// `reject-reason` would be there.
    pub(super) fn record(&self, row: usize, reason_in_format: impl Fn(i32) -> bool) -> Option<Record<'_>> {
        let start = number_of(&self.start, row)?;
        let end = number_of(&self.end, row).unwrap_or(start);
        let action = match value(&self.action, row) {
            Some("ACCEPT") => Action::Accept,
            Some("REJECT") => Action::Reject,
            _ => Action::Other,
        };
        // A format without the field logs flows all the same.
        let log_status_ok = match value(&self.log_status, row) {
            Some(status) => status == "OK",
            None => action != Action::Other,
        };
        let protocol = number(&self.protocol, row).and_then(|number| u8::try_from(number).ok());
        let port = |column| number(column, row).and_then(|number| u16::try_from(number).ok());
        // One port without the other makes no key.
        let (src_port, dst_port) = port(&self.src_port).zip(port(&self.dst_port)).unwrap_or((0, 0));
        let reject_reason = match value(&self.reject_reason, row) {
            Some(reason) => RejectReason::Named(reason),
            None if self.version(row).is_some_and(&reason_in_format) => RejectReason::Unnamed,
            None => RejectReason::NotInFormat,
        };
        let direction = match value(&self.direction, row) {
            Some("ingress") => Some(Direction::Ingress),
            Some("egress") => Some(Direction::Egress),
            _ => None,
        };
        let mut record = Record {
            interface_id: self.interface(row),
            subnet_id: value(&self.subnet, row),
            src: address(&self.src, row),
            dst: address(&self.dst, row),
            packet_src: address(&self.packet_src, row),
            packet_dst: address(&self.packet_dst, row),
            src_port,
            dst_port,
            protocol: protocol.unwrap_or(u8::MAX),
            packets: sum(&self.packets, row),
            bytes: sum(&self.bytes, row),
            start,
            end,
            action,
            log_status_ok,
            tcp_flags: port(&self.tcp_flags),
            direction,
            reject_reason,
            interface_type: value(&self.interface_type, row),
            next_hop_subnet_id: value(&self.next_hop_subnet, row),
        };
        if protocol.is_none() {
            // Without the protocol no rule can be asked; without a direction nobody will.
            record.interface_id = None;
            record.direction = None;
        }
        Some(record)
    }
}

fn value(column: &Option<StringViewArray>, row: usize) -> Option<&str> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row)).filter(|text| *text != "-")
}

fn number(column: &Option<Int32Array>, row: usize) -> Option<i32> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

fn sum(column: &Option<Int64Array>, row: usize) -> Option<i64> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

/// Seconds.
fn number_of(column: &Option<TimestampMicrosecondArray>, row: usize) -> Option<i64> {
    let column = column.as_ref()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row).div_euclid(1_000_000))
}

fn address(column: &Option<StringViewArray>, row: usize) -> Option<IpAddr> {
    parse_ip_str(value(column, row)?)
}
