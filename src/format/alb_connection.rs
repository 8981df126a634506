//! Application Load Balancer connection logs (one line per connection attempt).
//!
//! `elb` and `ip_address` come from the object's key where the line is too old to carry them.

use super::ColumnType::{Float64, Int32, Text, Time};
use super::{Column, column};

/// The columns of `alb_connection_logs`.
pub static COLUMNS: &[Column] = &[
    column("time", "time", Time, 0, "Establishment or failure (log name timestamp)."),
    column("client_ip", "client_ip", Text, 0, "Client address."),
    column("client_port", "client_port", Int32, 0, "Client port."),
    column("listener_port", "listener_port", Int32, 0, "Listener port."),
    column("tls_protocol", "tls_protocol", Text, 0, "Protocol."),
    column("tls_cipher", "tls_cipher", Text, 0, "Cipher."),
    column("tls_handshake_latency", "tls_handshake_latency", Float64, 0, "Seconds."),
    column("leaf_client_cert_subject", "leaf_client_cert_subject", Text, 0, "mTLS subject."),
    column("leaf_client_cert_validity", "leaf_client_cert_validity", Text, 0, "As logged."),
    column("leaf_client_cert_serial_number", "leaf_client_cert_serial_number", Text, 0, "Hex text."),
    column("tls_verify_status", "tls_verify_status", Text, 0, "Success / Failed:CODE."),
    column("conn_trace_id", "conn_trace_id", Text, 0, "Join key."),
    column("tls_keyexchange", "tls_keyexchange", Text, 0, "Key exchange."),
    column("elb", "elb", Text, 0, "From field 14 or the key."),
    column("ip_address", "ip_address", Text, 0, "From field 15 or the key."),
];
