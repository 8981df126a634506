//! Classic Load Balancer access logs, with 12 or 15 fields.
//!
//! `time` is when the request was received, unlike the Application Load Balancer's.

use super::ColumnType::{Float64, Int32, Int64, Text, Time};
use super::{Column, column};

/// The columns of `clb_logs`.
pub static COLUMNS: &[Column] = &[
    column("time", "time", Time, 0, "Request receipt (log name timestamp)."),
    column("elb", "elb", Text, 0, "Load balancer name."),
    column("client_ip", "client_ip", Text, 0, "Client address."),
    column("client_port", "client_port", Int32, 0, "Client port."),
    column("backend_ip", "backend_ip", Text, 0, "Instance address."),
    column("backend_port", "backend_port", Int32, 0, "Instance port."),
    column("request_processing_time", "request_processing_time", Float64, 0, "Seconds; -1 kept."),
    column("backend_processing_time", "backend_processing_time", Float64, 0, "Seconds; -1 kept."),
    column("response_processing_time", "response_processing_time", Float64, 0, "Seconds; -1 kept."),
    column("elb_status_code", "elb_status_code", Int32, 0, "Status to client."),
    column("backend_status_code", "backend_status_code", Int32, 0, "Status from instance; 0 kept."),
    column("received_bytes", "received_bytes", Int64, 0, "Bytes from client."),
    column("sent_bytes", "sent_bytes", Int64, 0, "Bytes to client."),
    column("request_verb", "request_verb", Text, 0, "Method."),
    column("request_url", "request_url", Text, 0, "URL as logged."),
    column("request_proto", "request_proto", Text, 0, "HTTP version."),
    column("user_agent", "user_agent", Text, 0, "User agent."),
    column("ssl_cipher", "ssl_cipher", Text, 0, "Cipher."),
    column("ssl_protocol", "ssl_protocol", Text, 0, "Protocol."),
];
