//! Load balancer logs delivered as JSON ("V2" vended deliveries): a record becomes the line the plain log would hold.
//!
//! Member spelling is not documented: names are compared in lower case with `:` and `-` as `_`. The order of the fields
//! is the plain logs' documented one. Values with spaces are quoted, and `"` is written `\x22`, as the plain logs do.

use crate::format::LogKind;

const ALB: &[&str] = &[
    "type",
    "time",
    "elb",
    "client_port",
    "target_port",
    "request_processing_time",
    "target_processing_time",
    "response_processing_time",
    "elb_status_code",
    "target_status_code",
    "received_bytes",
    "sent_bytes",
    "request_line",
    "user_agent",
    "ssl_cipher",
    "ssl_protocol",
    "target_group_arn",
    "trace_id",
    "domain_name",
    "chosen_cert_arn",
    "matched_rule_priority",
    "request_creation_time",
    "actions_executed",
    "redirect_url",
    "error_reason",
    "target_port_list",
    "target_status_code_list",
    "classification",
    "classification_reason",
    "conn_trace_id",
    "transformed_host",
    "transformed_uri",
    "request_transform_status",
    "ip_address",
];
const ALB_CONNECTION: &[&str] = &[
    "time",
    "client_ip",
    "client_port",
    "listener_port",
    "tls_protocol",
    "tls_cipher",
    "tls_handshake_latency",
    "leaf_client_cert_subject",
    "leaf_client_cert_validity",
    "leaf_client_cert_serial_number",
    "tls_verify_status",
    "conn_trace_id",
    "tls_keyexchange",
    "elb",
    "ip_address",
];
const ALB_HEALTH_CHECK: &[&str] = &[
    "type",
    "time",
    "latency",
    "target_addr",
    "target_group_id",
    "status",
    "status_code",
    "reason_code",
    "elb",
    "ip_address",
];
const NLB: &[&str] = &[
    "type",
    "version",
    "time",
    "elb",
    "listener",
    "client_port",
    "destination_port",
    "connection_time",
    "tls_handshake_time",
    "received_bytes",
    "sent_bytes",
    "incoming_tls_alert",
    "chosen_cert_arn",
    "chosen_cert_serial",
    "tls_cipher",
    "tls_protocol_version",
    "tls_keyexchange",
    "domain_name",
    "alpn_fe_protocol",
    "alpn_be_protocol",
    "alpn_client_preference_list",
    "tls_connection_creation_time",
];

/// A member's name as compared: lower case, `:` and `-` as `_`, and one name for what has had several.
pub(crate) fn normal_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if matches!(c, ':' | '-') { '_' } else { c.to_ascii_lowercase() }).collect();
    match name.as_str() {
        "timestamp" => "time".to_owned(),
        "request" => "request_line".to_owned(),
        "tls_named_group" => "tls_keyexchange".to_owned(),
        _ => name,
    }
}

/// Which log a record with these (normal) member names belongs to.
pub(crate) fn kind_of<S: AsRef<str>>(names: &[S]) -> Option<LogKind> {
    let has = |name: &str| names.iter().any(|known| known.as_ref() == name);
    if !has("time") {
        return None;
    }
    if has("tls_handshake_time") || (has("listener") && has("destination_port")) {
        return Some(LogKind::Nlb);
    }
    if has("elb_status_code") && has("target_processing_time") {
        return Some(LogKind::Alb);
    }
    if has("tls_verify_status") || has("tls_handshake_latency") {
        return Some(LogKind::AlbConnection);
    }
    (has("target_addr") && has("target_group_id")).then_some(LogKind::AlbHealthCheck)
}

/// The line of a record; members have normal names. Members that the log does not have follow its fields as `name=value`,
/// and so end where unknown fields do.
pub(crate) fn line(members: &[(String, Vec<u8>)], line: &mut Vec<u8>) -> Option<LogKind> {
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let kind = kind_of(&names)?;
    let fields = match kind {
        LogKind::Alb => ALB,
        LogKind::AlbConnection => ALB_CONNECTION,
        LogKind::AlbHealthCheck => ALB_HEALTH_CHECK,
        _ => NLB,
    };
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            line.push(b' ');
        }
        let value = members.iter().find(|(name, _)| name == field).map_or(&b"-"[..], |(_, value)| value);
        let value = if value.is_empty() { b"-" } else { value };
        if kind == LogKind::Nlb { push_bare(value, line) } else { push_quoted(value, line) }
    }
    let unknown = members.iter().filter(|(name, _)| !fields.contains(&name.as_str()));
    for (name, value) in unknown.filter(|(_, value)| !matches!(value.as_slice(), b"" | b"-")) {
        let named = [name.as_bytes(), b"=", value].concat();
        line.push(b' ');
        if kind == LogKind::Nlb { push_bare(&named, line) } else { push_quoted(&named, line) }
    }
    Some(kind)
}

/// In Network Load Balancer logs quotes have no meaning, and free text is URL-encoded.
fn push_bare(value: &[u8], line: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b' ' => line.extend_from_slice(b"%20"),
            b'\n' | b'\r' => line.extend_from_slice(b"%0A"),
            _ => line.push(*byte),
        }
    }
}

fn push_quoted(value: &[u8], line: &mut Vec<u8>) {
    // Some deliveries may keep the plain log's own quotes.
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let quote = inner.is_some() || value.iter().any(|byte| matches!(byte, b' ' | b'"' | b'\n' | b'\r'));
    if quote {
        line.push(b'"');
    }
    for byte in inner.unwrap_or(value) {
        match byte {
            b'"' => line.extend_from_slice(b"\\x22"),
            b'\n' | b'\r' => line.push(b' '),
            _ => line.push(*byte),
        }
    }
    if quote {
        line.push(b'"');
    }
}
