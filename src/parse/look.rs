//! What the text of a field says of its line, without converting it.

use super::cells::Wanted;
use super::flow::Layout;
use super::values::{is_ip_address, parse_epoch_seconds, parse_f64, parse_i32, parse_i64, parse_time_micros};
use crate::format::ColumnType;

/// The fields of a layout whose values are not just any text, with their columns in table order; none where all of these
/// columns are wanted.
pub(super) fn typed_fields(layout: &Layout, wanted: &Wanted) -> Vec<(usize, usize)> {
    let is_text = |column: usize| {
        let column = layout.kind.columns().get(column);
        column.is_none_or(|column| matches!(column.ty, ColumnType::Text | ColumnType::PercentText))
    };
    let fields = layout.columns.iter().enumerate();
    let mut typed: Vec<(usize, usize)> = fields
        .filter_map(|(field, column)| Some((field, column.filter(|column| !is_text(*column))?)))
        .collect();
    if typed.iter().all(|(_, column)| wanted.slot(*column).is_some()) {
        return Vec::new();
    }
    typed.sort_unstable_by_key(|(_, column)| *column);
    typed
}

/// Whether a field of this type may hold this text: what [`Converter`](super::columns::Converter) would not refuse.
pub(super) fn is_value(ty: ColumnType, text: &[u8]) -> bool {
    text == b"-"
        || match ty {
            ColumnType::Int32 => parse_i32(text).is_some(),
            ColumnType::Int64 => parse_i64(text).is_some(),
            ColumnType::Float64 => parse_f64(text).is_some(),
            ColumnType::EpochSeconds => parse_epoch_seconds(text).is_some(),
            ColumnType::Time => parse_time_micros(text).is_some(),
            ColumnType::Address => is_ip_address(text),
            ColumnType::Text | ColumnType::PercentText => true,
        }
}

/// Whether a field holds what a column of this name and type usually holds: enough to tell layouts apart.
pub(super) fn looks_like(name: &str, ty: ColumnType, text: &[u8]) -> bool {
    let starts = |prefix: &[u8]| text.starts_with(prefix);
    match (name, ty) {
        (_, ColumnType::Int32 | ColumnType::Int64) => text.iter().all(u8::is_ascii_digit),
        (_, ColumnType::EpochSeconds) => text.iter().all(u8::is_ascii_digit) && text.len() >= 9,
        (_, ColumnType::Address) => is_ip_address(text),
        ("action", _) => matches!(text, b"ACCEPT" | b"REJECT"),
        ("log_status", _) => matches!(text, b"OK" | b"NODATA" | b"SKIPDATA"),
        ("interface_id", _) => starts(b"eni-"),
        ("vpc_id", _) => starts(b"vpc-"),
        ("subnet_id", _) => starts(b"subnet-"),
        ("instance_id", _) => starts(b"i-"),
        ("flow_direction", _) => matches!(text, b"ingress" | b"egress"),
        ("type", _) => matches!(text, b"IPv4" | b"IPv6" | b"EFA"),
        ("account_id", _) => text == b"unknown" || (text.len() == 12 && text.iter().all(u8::is_ascii_digit)),
        _ => true,
    }
}
