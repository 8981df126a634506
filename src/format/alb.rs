//! Application Load Balancer access logs.
//!
//! `client:port`, `target:port` and the request line are cut into their parts. AWS appends fields
//! without notice and to some load balancers first, so every column past the first is nullable.

use super::ColumnType::{Float64, Int32, Int64, Text, Time};
use super::{Column, column};

/// The columns of `alb_logs`.
pub static COLUMNS: &[Column] = &[
    column("type", "type", Text, 0, "http / https / h2 / grpcs / ws / wss / other."),
    column("time", "time", Time, 0, "Response time."),
    column("elb", "elb", Text, 0, "app/NAME/ID."),
    column("client_ip", "client_ip", Text, 0, "Client address."),
    column("client_port", "client_port", Int32, 0, "Client port."),
    column("target_ip", "target_ip", Text, 0, "Target address."),
    column("target_port", "target_port", Int32, 0, "Target port."),
    column("request_processing_time", "request_processing_time", Float64, 0, "Seconds; -1 kept as logged."),
    column("target_processing_time", "target_processing_time", Float64, 0, "Seconds; -1 kept as logged."),
    column("response_processing_time", "response_processing_time", Float64, 0, "Seconds; -1 kept as logged."),
    column("elb_status_code", "elb_status_code", Int32, 0, "Status to client."),
    column("target_status_code", "target_status_code", Int32, 0, "Status from target."),
    column("received_bytes", "received_bytes", Int64, 0, "Bytes from client."),
    column("sent_bytes", "sent_bytes", Int64, 0, "Bytes to client."),
    column("request_verb", "request_verb", Text, 0, "Method."),
    column("request_url", "request_url", Text, 0, "URL as logged."),
    column("request_proto", "request_proto", Text, 0, "HTTP version."),
    column("user_agent", "user_agent", Text, 0, "User agent as logged."),
    column("ssl_cipher", "ssl_cipher", Text, 0, "Cipher."),
    column("ssl_protocol", "ssl_protocol", Text, 0, "Protocol."),
    column("target_group_arn", "target_group_arn", Text, 0, "Target group."),
    column("trace_id", "trace_id", Text, 0, "Trace header."),
    column("domain_name", "domain_name", Text, 0, "SNI name."),
    column("chosen_cert_arn", "chosen_cert_arn", Text, 0, "Certificate or session-reused."),
    column("matched_rule_priority", "matched_rule_priority", Int32, 0, "-1, 0, 1-50000."),
    column("request_creation_time", "request_creation_time", Time, 0, "Request receipt."),
    column("actions_executed", "actions_executed", Text, 0, "Comma list as logged."),
    column("redirect_url", "redirect_url", Text, 0, "Redirect target."),
    column("error_reason", "error_reason", Text, 0, "Error code."),
    column("target_port_list", "target_port_list", Text, 0, "Space list as logged."),
    column("target_status_code_list", "target_status_code_list", Text, 0, "Space list as logged."),
    column("classification", "classification", Text, 0, "Acceptable / Ambiguous / Severe."),
    column("classification_reason", "classification_reason", Text, 0, "Reason code."),
    column("conn_trace_id", "conn_trace_id", Text, 0, "Join key to alb_connection_logs."),
    column("transformed_host", "transformed_host", Text, 0, "Rewritten host."),
    column("transformed_uri", "transformed_uri", Text, 0, "Rewritten URI."),
    column("request_transform_status", "request_transform_status", Text, 0, "Transform status."),
    column("ip_address", "ip_address", Text, 0, "Node address."),
];
