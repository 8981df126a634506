//! What a line of each log type means: its table, its columns, their types and where each fact comes from.
//!
//! No bytes are read here: cutting lines is `parse`'s, finding out which log type a file holds is
//! [`recognise`](crate::source::recognise())'s. The facts are AWS's documentation as cited in each module.

pub mod alb;
pub mod alb_connection;
pub mod alb_health_check;
pub mod clb;
pub mod flow;
pub mod nlb;
pub mod tgw;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// A kind of log that has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogKind {
    /// VPC flow logs.
    Flow,
    /// Transit Gateway flow logs.
    TransitGateway,
    /// Application Load Balancer access logs.
    Alb,
    /// Application Load Balancer connection logs.
    AlbConnection,
    /// Application Load Balancer health check logs.
    AlbHealthCheck,
    /// Classic Load Balancer access logs.
    Clb,
    /// Network Load Balancer access logs.
    Nlb,
}

impl LogKind {
    /// Whether lines of the other kind may follow in the same text: both flow logs have headers, and a header may stand
    /// anywhere in concatenated objects.
    pub fn may_become(self, other: LogKind) -> bool {
        let has_headers = |kind| matches!(kind, LogKind::Flow | LogKind::TransitGateway);
        self == other || (has_headers(self) && has_headers(other))
    }

    /// Every kind, in the order in which reports list them.
    pub const ALL: [LogKind; 7] = [
        LogKind::Flow,
        LogKind::TransitGateway,
        LogKind::Alb,
        LogKind::AlbConnection,
        LogKind::AlbHealthCheck,
        LogKind::Clb,
        LogKind::Nlb,
    ];

    /// The name of the table that holds this kind's rows.
    pub fn table(self) -> &'static str {
        match self {
            LogKind::Flow => "flow_logs",
            LogKind::TransitGateway => "tgw_flow_logs",
            LogKind::Alb => "alb_logs",
            LogKind::AlbConnection => "alb_connection_logs",
            LogKind::AlbHealthCheck => "alb_health_check_logs",
            LogKind::Clb => "clb_logs",
            LogKind::Nlb => "nlb_logs",
        }
    }

    /// The kind whose table has this name.
    pub fn from_table(table: &str) -> Option<LogKind> {
        LogKind::ALL.into_iter().find(|kind| kind.table() == table)
    }

    /// The kind's name in sentences.
    pub fn title(self) -> &'static str {
        match self {
            LogKind::Flow => "VPC flow log",
            LogKind::TransitGateway => "Transit Gateway flow log",
            LogKind::Alb => "ALB access log",
            LogKind::AlbConnection => "ALB connection log",
            LogKind::AlbHealthCheck => "ALB health check log",
            LogKind::Clb => "Classic LB access log",
            LogKind::Nlb => "NLB access log",
        }
    }

    /// The kind's own columns, in table order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            LogKind::Flow => flow::COLUMNS,
            LogKind::TransitGateway => tgw::COLUMNS,
            LogKind::Alb => alb::COLUMNS,
            LogKind::AlbConnection => alb_connection::COLUMNS,
            LogKind::AlbHealthCheck => alb_health_check::COLUMNS,
            LogKind::Clb => clb::COLUMNS,
            LogKind::Nlb => nlb::COLUMNS,
        }
    }

    /// The column whose date is the row's `event_date`.
    pub fn time_column(self) -> &'static str {
        match self {
            LogKind::Flow | LogKind::TransitGateway => "start",
            _ => "time",
        }
    }

    /// The position in [`LogKind::columns`] of the column of that name.
    pub fn column_index(self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column.name == name)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// How the text of a cell becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// UTF-8 text as logged.
    Text,
    /// An IPv4 or IPv6 address, kept as text once it has been checked.
    Address,
    /// Text that AWS percent-encodes (tag values); kept decoded, or as logged where decoding fails.
    PercentText,
    /// A decimal integer of 32 bits.
    Int32,
    /// A decimal integer of 64 bits.
    Int64,
    /// A decimal number, exponents accepted.
    Float64,
    /// Unix seconds, kept as a timestamp.
    EpochSeconds,
    /// ISO 8601, up to nine fractional digits (kept: six), `Z` optional, UTC.
    Time,
}

impl ColumnType {
    /// The type of the stored column: signed integers, UTF-8, microsecond timestamps, which is what
    /// Delta, Athena and AWS's own Parquet use.
    pub fn data_type(self) -> DataType {
        match self {
            ColumnType::Text | ColumnType::Address | ColumnType::PercentText => DataType::Utf8,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::EpochSeconds | ColumnType::Time => timestamp(),
        }
    }

    /// Whether values are kept as text.
    pub fn is_text(self) -> bool {
        matches!(self, ColumnType::Text | ColumnType::Address | ColumnType::PercentText)
    }
}

/// The type of every time column.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// One column of a log table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in SQL: AWS's with `-` and `:` turned into `_`.
    pub name: &'static str,
    /// The name in the log's own header or documentation.
    pub log_name: &'static str,
    /// How its text becomes a value.
    pub ty: ColumnType,
    /// The flow log version that introduced it; 0 for load balancer logs.
    pub since: u8,
    /// What it means.
    pub doc: &'static str,
}

const fn column(
    name: &'static str,
    log_name: &'static str,
    ty: ColumnType,
    since: u8,
    doc: &'static str,
) -> Column {
    Column { name, log_name, ty, since, doc }
}

/// Where a row came from: the path or key of its file.
pub const SOURCE_FILE: &str = "source_file";
/// Where in that file: the line, or the ordinal of the event in an envelope, from 1.
pub const SOURCE_LINE: &str = "source_line";
/// What the line held beyond the known columns.
pub const EXTRA: &str = "extra";
/// The partition column: the UTC date of [`LogKind::time_column`].
pub const EVENT_DATE: &str = "event_date";

/// The type of [`EXTRA`]: field name to text. Unnamed trailing fields are `field_35` and so on, by position from 1.
pub fn extra_type() -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false)
}

/// The schema of a kind's table: its own columns, then where the row came from, then the partition.
pub fn table_schema(kind: LogKind) -> SchemaRef {
    let mut fields: Vec<Field> =
        kind.columns().iter().map(|column| Field::new(column.name, column.ty.data_type(), true)).collect();
    fields.push(Field::new(SOURCE_FILE, DataType::Utf8, true));
    fields.push(Field::new(SOURCE_LINE, DataType::Int64, true));
    fields.push(Field::new(EXTRA, extra_type(), true));
    fields.push(Field::new(EVENT_DATE, DataType::Date32, true));
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_field_counts_are_the_documented_ones() {
        let counts: Vec<usize> = LogKind::ALL.iter().map(|kind| kind.columns().len()).collect();
        assert_eq!(counts, [54, 36, 38, 15, 10, 19, 24]);
    }

    #[test]
    fn names_are_unique_and_time_columns_exist() {
        for kind in LogKind::ALL {
            let names: HashSet<_> = kind.columns().iter().map(|column| column.name).collect();
            assert_eq!(names.len(), kind.columns().len(), "{kind}");
            assert!(kind.column_index(kind.time_column()).is_some(), "{kind}");
            assert_eq!(LogKind::from_table(kind.table()), Some(kind));
        }
    }
}
