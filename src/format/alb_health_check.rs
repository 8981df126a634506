//! Application Load Balancer health check logs (one line per check).
//!
//! `elb` and `ip_address` come from the object's key where the line is too old to carry them.

use super::ColumnType::{Float64, Int32, Text, Time};
use super::{Column, column};

/// The columns of `alb_health_check_logs`.
pub static COLUMNS: &[Column] = &[
    column("type", "type", Text, 0, "http / https / h2 / grpc / lambda."),
    column("time", "time", Time, 0, "Check start."),
    column("latency", "latency", Float64, 0, "Seconds."),
    column("target_addr", "target_addr", Text, 0, "ip:port or ARN."),
    column("target_group_id", "target_group_id", Text, 0, "Target group name."),
    column("status", "status", Text, 0, "PASS / FAIL."),
    column("status_code", "status_code", Int32, 0, "Response code."),
    column("reason_code", "reason_code", Text, 0, "Failure reason."),
    column("elb", "elb", Text, 0, "From field 9 or the key."),
    column("ip_address", "ip_address", Text, 0, "From field 10 or the key."),
];
