//! The specification's samples, with the values that it gives for them.

use super::test_lines::*;
use crate::format::LogKind;

#[test]
fn classic() {
    let out = cut(LogKind::Clb, CLB);
    assert_eq!(out.cells.rows(), 4);
    out.assert_row(
        1,
        &[
            ("time", "2026-01-15T10:00:01.072335Z"),
            ("elb", "my-loadbalancer"),
            ("client_ip", "2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec"),
            ("client_port", "53016"),
            ("backend_ip", "10.0.0.1"),
            ("backend_port", "80"),
            ("request_processing_time", "0.00008"),
            ("backend_processing_time", "0.006129"),
            ("response_processing_time", "0.000037"),
            ("elb_status_code", "200"),
            ("backend_status_code", "200"),
            ("received_bytes", "0"),
            ("sent_bytes", "57"),
            ("request_verb", "GET"),
            ("request_url", "https://www.example.com:443/a?b=c"),
            ("request_proto", "HTTP/1.1"),
            ("user_agent", "Mozilla/5.0 (X11; Linux x86_64)"),
            ("ssl_cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("ssl_protocol", "TLSv1.2"),
        ],
    );
    assert_eq!(out.text(0, "request_url"), Some("http://www.example.com:80/"));
    assert_eq!(out.text(0, "ssl_cipher"), None);
}

#[test]
fn classic_with_twelve_fields() {
    let out = cut(LogKind::Clb, CLB_OLD);
    out.assert_row(
        0,
        &[
            ("time", "2014-02-15T23:39:43.945958Z"),
            ("elb", "my-loadbalancer"),
            ("client_ip", "198.51.100.39"),
            ("client_port", "2817"),
            ("backend_ip", "10.0.0.1"),
            ("backend_port", "80"),
            ("request_processing_time", "0.000073"),
            ("backend_processing_time", "0.001048"),
            ("response_processing_time", "0.000057"),
            ("elb_status_code", "200"),
            ("backend_status_code", "200"),
            ("received_bytes", "0"),
            ("sent_bytes", "29"),
            ("request_verb", "GET"),
            ("request_url", "http://www.example.com:80/"),
            ("request_proto", "HTTP/1.1"),
        ],
    );
}

#[test]
fn alb() {
    let out = cut(LogKind::Alb, ALB);
    assert_eq!(out.cells.rows(), 3);
    out.assert_row(
        0,
        &[
            ("type", "https"),
            ("time", "2026-01-15T10:00:00.186641Z"),
            ("elb", "app/my-loadbalancer/50dc6c495c0c9188"),
            ("client_ip", "198.51.100.39"),
            ("client_port", "2817"),
            ("target_ip", "10.0.0.1"),
            ("target_port", "80"),
            ("request_processing_time", "0.086"),
            ("target_processing_time", "0.048"),
            ("response_processing_time", "0.037"),
            ("elb_status_code", "200"),
            ("target_status_code", "200"),
            ("received_bytes", "34"),
            ("sent_bytes", "366"),
            ("request_verb", "GET"),
            ("request_url", "https://www.example.com:443/cart?id=7"),
            ("request_proto", "HTTP/1.1"),
            ("user_agent", "curl/8.5.0"),
            ("ssl_cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("ssl_protocol", "TLSv1.2"),
            (
                "target_group_arn",
                "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067",
            ),
            ("trace_id", "Root=1-58337281-1d84f3d73c47ec4e58577259"),
            ("domain_name", "www.example.com"),
            (
                "chosen_cert_arn",
                "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
            ),
            ("matched_rule_priority", "1"),
            ("request_creation_time", "2026-01-15T10:00:00.015000Z"),
            ("actions_executed", "authenticate,forward"),
            ("target_port_list", "10.0.0.1:80"),
            ("target_status_code_list", "200"),
            ("conn_trace_id", "TID_1234abcd5678ef90"),
            ("transformed_host", "m.example.com"),
            ("request_transform_status", "TransformSuccess"),
            ("ip_address", "10.0.0.9"),
        ],
    );
    assert_eq!(out.text(2, "client_ip"), Some("2001:db8::7"));
    assert_eq!(out.text(2, "client_port"), Some("50718"));
    assert_eq!(out.text(2, "request_url"), Some(r"https://www.example.com:443/q?bar=\x22"));
    assert_eq!(out.text(2, "user_agent"), Some(r"agent \x22x\x22 1.0"));
    assert_eq!(out.text(2, "chosen_cert_arn"), Some("session-reused"));
}

#[test]
fn alb_with_thirty_fields() {
    let out = cut(LogKind::Alb, ALB_30);
    assert_eq!(out.cells.rows(), 3);
    out.assert_row(
        0,
        &[
            ("type", "http"),
            ("time", "2026-01-15T10:00:03.216357Z"),
            ("elb", "app/my-loadbalancer/50dc6c495c0c9188"),
            ("client_ip", "203.0.113.90"),
            ("client_port", "15070"),
            ("request_processing_time", "-1"),
            ("target_processing_time", "-1"),
            ("response_processing_time", "-1"),
            ("elb_status_code", "400"),
            ("received_bytes", "0"),
            ("sent_bytes", "272"),
            ("request_url", "http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-"),
            ("request_creation_time", "2026-01-15T10:00:02.967000Z"),
            ("conn_trace_id", "TID_dc57cebed65b444ebc8177bb698fe166"),
        ],
    );
    assert_eq!(out.text(1, "request_url"), Some("http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-/"));
    assert_eq!((out.text(1, "request_verb"), out.text(1, "request_proto")), (None, None));
    assert_eq!(out.text(2, "error_reason"), Some("LambdaInvalidResponse"));
    assert_eq!(out.text(2, "matched_rule_priority"), Some("0"));
}

#[test]
fn alb_with_eighteen_fields() {
    let out = cut(LogKind::Alb, ALB_18);
    assert_eq!(out.text(0, "trace_id"), Some("Root=1-5834e638-4ce6fbe536f2a4fa14041b73"));
    assert_eq!(out.text(0, "request_url"), Some("https://192.0.2.99:443//recordings/"));
    let columns = LogKind::Alb.columns();
    let trace = LogKind::Alb.column_index("trace_id").unwrap();
    for column in &columns[trace + 1..] {
        assert_eq!(out.text(0, column.name), None, "{}", column.name);
    }
}

#[test]
fn connections_with_twelve_fields() {
    let out = cut(LogKind::AlbConnection, CONNECTION_12);
    assert_eq!(out.cells.rows(), 3);
    out.assert_row(
        0,
        &[
            ("time", "2026-01-15T10:00:00.514108Z"),
            ("client_ip", "203.0.113.1"),
            ("client_port", "36280"),
            ("listener_port", "443"),
            ("tls_protocol", "TLSv1.2"),
            ("tls_cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("tls_handshake_latency", "4.036"),
            ("leaf_client_cert_subject", "CN=client.example.com,O=End Entity,L=Seattle,ST=Washington,C=US"),
            ("leaf_client_cert_validity", "NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z"),
            ("leaf_client_cert_serial_number", "FEF257372D5C14D4"),
            ("tls_verify_status", "Success"),
            ("conn_trace_id", "TID_3180a73013c8ca4bac2f731159d4b0fe"),
        ],
    );
    assert_eq!(out.text(1, "tls_handshake_latency"), None);
    assert_eq!(out.text(1, "tls_verify_status"), Some("Failed:ClientCertUntrusted"));
}

#[test]
fn connections_with_fifteen_fields() {
    let out = cut(LogKind::AlbConnection, CONNECTION_15);
    out.assert_row(
        0,
        &[
            ("time", "2026-01-15T10:00:03.100000Z"),
            ("client_ip", "2001:db8::7"),
            ("client_port", "50718"),
            ("listener_port", "443"),
            ("tls_protocol", "TLSv1.3"),
            ("tls_cipher", "TLS_AES_128_GCM_SHA256"),
            ("tls_handshake_latency", "0.011"),
            ("tls_verify_status", "Success"),
            ("conn_trace_id", "TID_dc57cebed65b444ebc8177bb698fe166"),
            ("tls_keyexchange", "X25519MLKEM768"),
            ("elb", "app/my-loadbalancer/50dc6c495c0c9188"),
            ("ip_address", "10.0.0.9"),
        ],
    );
}

#[test]
fn health_checks() {
    let out = cut(LogKind::AlbHealthCheck, HEALTH_CHECK_8);
    assert_eq!(out.cells.rows(), 2);
    out.assert_row(
        1,
        &[
            ("type", "http"),
            ("time", "2026-01-15T10:00:05.901409Z"),
            ("latency", "1.121980746"),
            ("target_addr", "10.0.0.9:80"),
            ("target_group_id", "my-targets"),
            ("status", "FAIL"),
            ("status_code", "502"),
            ("reason_code", "TargetError"),
        ],
    );
    assert_eq!(out.text(0, "reason_code"), None);
    let out = cut(LogKind::AlbHealthCheck, HEALTH_CHECK_10);
    out.assert_row(
        0,
        &[
            ("type", "lambda"),
            ("time", "2026-01-15T10:00:06.000001Z"),
            ("latency", "0.104000000"),
            ("target_addr", "arn:aws:lambda:us-east-2:123456789012:function:probe"),
            ("target_group_id", "my-lambda"),
            ("status", "PASS"),
            ("status_code", "200"),
            ("elb", "app/my-loadbalancer/50dc6c495c0c9188"),
            ("ip_address", "10.0.0.9"),
        ],
    );
}

#[test]
fn network() {
    let out = cut(LogKind::Nlb, NLB);
    assert_eq!(out.cells.rows(), 4);
    out.assert_row(
        2,
        &[
            ("type", "tls"),
            ("version", "2.0"),
            ("time", "2026-01-15T09:00:00"),
            ("elb", "net/my-network-loadbalancer/c6e77e28c25b2234"),
            ("listener", "g3d4b5e8bb8464cd"),
            ("client_ip", "2001:db8:4900:1d0c:29b7:c9b2:7b5a:2380"),
            ("client_port", "55932"),
            ("destination_ip", "2001:db8:1a:138:7c01:63c:b510:129f"),
            ("destination_port", "443"),
            ("connection_time", "35040"),
            ("tls_handshake_time", "48"),
            ("received_bytes", "2150"),
            ("sent_bytes", "1726"),
            (
                "chosen_cert_arn",
                "arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99",
            ),
            ("tls_cipher", "TLS_AES_128_GCM_SHA256"),
            ("tls_protocol_version", "tlsv13"),
            ("tls_keyexchange", "x25519"),
            ("domain_name", "example.com"),
            ("tls_connection_creation_time", "2026-01-15T08:59:25"),
        ],
    );
    assert_eq!(out.text(1, "alpn_client_preference_list"), Some("\"h2\",\"http/1.1\""));
}
