//! The irregularities of load balancer logs, by the numbers of the format specification (section 5).

use serde_json::{Value, json};

use crate::quirks_flow::read;
use crate::samples::assert_columns;
use crate::support::{Case, flow_log, gzip};

/// The first line of the specification's ALB sample, field by field.
const ALB: [&str; 34] = [
    "https",
    "2026-01-15T10:00:00.186641Z",
    "app/my-loadbalancer/50dc6c495c0c9188",
    "198.51.100.39:2817",
    "10.0.0.1:80",
    "0.086",
    "0.048",
    "0.037",
    "200",
    "200",
    "34",
    "366",
    "\"GET https://www.example.com:443/cart?id=7 HTTP/1.1\"",
    "\"curl/8.5.0\"",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "TLSv1.2",
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067",
    "\"Root=1-58337281-1d84f3d73c47ec4e58577259\"",
    "\"www.example.com\"",
    "\"session-reused\"",
    "1",
    "2026-01-15T10:00:00.015000Z",
    "\"authenticate,forward\"",
    "\"-\"",
    "\"-\"",
    "\"10.0.0.1:80\"",
    "\"200\"",
    "\"Acceptable\"",
    "\"SpaceInUri\"",
    "TID_1234abcd5678ef90",
    "\"m.example.com\"",
    "\"-\"",
    "\"TransformSuccess\"",
    "10.0.0.9",
];

/// The columns that each era's last field fills.
const ERAS: [(usize, &str); 10] = [
    (18, "trace_id"),
    (20, "chosen_cert_arn"),
    (21, "matched_rule_priority"),
    (24, "actions_executed"),
    (25, "actions_executed"),
    (27, "target_status_code_list"),
    (29, "classification_reason"),
    (30, "conn_trace_id"),
    (33, "request_transform_status"),
    (34, "ip_address"),
];

fn alb(change: impl FnOnce(&mut Vec<&str>)) -> String {
    let mut fields = ALB.to_vec();
    change(&mut fields);
    fields.join(" ") + "\n"
}

#[test]
fn q01_unannounced_trailing_fields_are_kept_as_extra() {
    let text = alb(|fields| fields.extend(["brand-new", "\"with space\"", "\"-\""])) + &alb(|_| ());
    let rows = read("alb_logs", "a.log", text, &[]);
    assert_columns(&rows[0], json!({"type": "https", "ip_address": "10.0.0.9"}));
    let extra = rows[0]["extra"].as_object().unwrap();
    assert_eq!(extra["field_35"], "brand-new");
    assert!(extra["field_36"].as_str().unwrap().contains("with space"), "{extra:?}");
    assert!(rows[1].get("extra").is_none_or(|extra| extra.as_object().unwrap().is_empty()), "{:?}", rows[1]);
}

#[test]
fn q02_placeholders_at_the_end_are_no_error() {
    let text = alb(|fields| {
        fields.truncate(27);
        fields.extend(["\"-\"", "\"-\""]);
    }) + &alb(|fields| {
        fields.truncate(20);
        fields.push("0");
    });
    let rows = read("alb_logs", "a.log", text, &[]);
    assert_columns(
        &rows[0],
        json!({"target_status_code_list": "200", "classification": null, "classification_reason": null}),
    );
    assert_columns(&rows[1], json!({"chosen_cert_arn": "session-reused", "request_creation_time": null}));
}

#[test]
fn q03_lines_of_every_era_in_one_file() {
    let text: String = ERAS.iter().map(|(count, _)| alb(|fields| fields.truncate(*count))).collect();
    let rows = read("alb_logs", "a.log", text, &[]);
    let all = [
        "trace_id",
        "domain_name",
        "chosen_cert_arn",
        "matched_rule_priority",
        "request_creation_time",
        "actions_executed",
        "target_port_list",
        "target_status_code_list",
        "classification",
        "classification_reason",
        "conn_trace_id",
        "transformed_host",
        "request_transform_status",
        "ip_address",
    ];
    for ((count, last), row) in ERAS.iter().zip(&rows) {
        let until = all.iter().position(|name| name == last).unwrap();
        for (at, name) in all.iter().enumerate() {
            assert_eq!(row.contains_key(*name), at <= until, "{name} of {count} fields");
        }
    }
}

const CLB: &str = "2026-01-15T10:00:00.945958Z my-loadbalancer 198.51.100.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 \"GET http://www.example.com:80/ HTTP/1.1\"";

#[test]
fn q04_classic_lines_of_12_and_15_fields_mixed() {
    let text = format!("{CLB} \"curl/8.5.0\" - -\n{CLB}\n{CLB} \"x\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2\n");
    let rows = read("clb_logs", "a.log", text, &[]);
    let agents: Vec<_> = rows.iter().map(|row| row.get("user_agent").and_then(Value::as_str)).collect();
    assert_eq!(agents, [Some("curl/8.5.0"), None, Some("x")]);
    assert_columns(&rows[2], json!({"ssl_protocol": "TLSv1.2", "sent_bytes": 29}));
}

#[test]
fn q05_a_raw_space_in_the_url_and_again_in_the_redirect() {
    let text = alb(|fields| {
        fields[12] = "\"GET http://192.0.2.10:80/a b?c d HTTP/1.1\"";
        fields[23] = "\"https://192.0.2.10:443/a b?c d\"";
    });
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"request_verb": "GET", "request_url": "http://192.0.2.10:80/a b?c d", "request_proto": "HTTP/1.1",
               "redirect_url": "https://192.0.2.10:443/a b?c d", "ip_address": "10.0.0.9"}),
    );
}

#[test]
fn q06_q07_requests_that_could_not_be_parsed() {
    let requests = [
        "\"- http://h:80- -\"",
        "\"- http://h:80-/ \"",
        "\"- http://h:80- \"",
        "\"-\"",
        "\"\"",
        "\"- - - \"",
        "\"GET https://h:443/a\"",
    ];
    let text: String = requests.iter().map(|request| alb(|fields| fields[12] = request)).collect();
    let rows = read("alb_logs", "a.log", text, &[]);
    let parts: Vec<[Value; 3]> = rows
        .iter()
        .map(|row| {
            ["request_verb", "request_url", "request_proto"]
                .map(|name| row.get(name).cloned().unwrap_or_default())
        })
        .collect();
    let none = || Value::Null;
    assert_eq!(
        parts,
        [
            [none(), json!("http://h:80-"), none()],
            [none(), json!("http://h:80-/"), none()],
            [none(), json!("http://h:80-"), none()],
            [none(), none(), none()],
            [none(), none(), none()],
            [none(), none(), none()],
            [json!("GET"), json!("https://h:443/a"), none()],
        ]
    );
}

#[test]
fn q08_escaped_quotes_do_not_end_a_field() {
    let text = alb(|fields| {
        fields[12] = r#""GET https://h:443/q?bar=\x22x\x22 HTTP/2.0""#;
        fields[13] = r#""agent \"quoted\" \\ 1.0""#;
    });
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"request_url": r"https://h:443/q?bar=\x22x\x22", "user_agent": r#"agent \"quoted\" \\ 1.0"#,
               "ssl_protocol": "TLSv1.2", "ip_address": "10.0.0.9"}),
    );
}

#[test]
fn q09_ipv6_with_a_port_is_split_at_the_last_colon() {
    let text = alb(|fields| {
        fields[3] = "2001:db8::7:50718";
        fields[4] = "[2001:db8::8]:9000";
    });
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"client_ip": "2001:db8::7", "client_port": 50718, "target_ip": "2001:db8::8", "target_port": 9000}),
    );
    let text = CLB.replace("198.51.100.39:2817", "2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec:53016") + "\n";
    assert_columns(
        &read("clb_logs", "a.log", text, &[])[0],
        json!({"client_ip": "2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec", "client_port": 53016}),
    );
    let text = NLB.replace("203.0.113.155:51342", "2001:db8::1:55932") + "\n";
    assert_columns(
        &read("nlb_logs", "a.log", text, &[])[0],
        json!({"client_ip": "2001:db8::1", "client_port": 55932}),
    );
}

#[test]
fn q10_q11_q12_classic_504_tcp_and_408() {
    let text = [
        r#"2026-01-15T10:00:03.383076Z lb 203.0.113.1:63484 - -1 -1 -1 504 0 0 0 "GET https://www.example.com:443/slow" "curl/8.5.0" - -"#,
        r#"2026-01-15T10:00:02.943958Z lb 198.51.100.39:2818 10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -"#,
        r#"2026-01-15T10:00:04.000000Z lb 203.0.113.2:50000 - -1 -1 -1 408 - 52428800 0 "POST http://www.example.com:80/up HTTP/1.1" "-" - -"#,
    ]
    .join("\n");
    let rows = read("clb_logs", "a.log", text + "\n", &[]);
    assert_columns(
        &rows[0],
        json!({"elb_status_code": 504, "backend_ip": null, "backend_port": null, "backend_status_code": 0,
               "backend_processing_time": -1.0, "request_verb": "GET",
               "request_url": "https://www.example.com:443/slow", "request_proto": null}),
    );
    assert_columns(
        &rows[1],
        json!({"elb_status_code": null, "backend_status_code": null, "request_verb": null, "request_url": null,
               "request_proto": null, "user_agent": null, "received_bytes": 82, "sent_bytes": 305}),
    );
    assert_columns(
        &rows[2],
        json!({"elb_status_code": 408, "backend_ip": null, "backend_status_code": null, "received_bytes": 52428800,
               "request_verb": "POST"}),
    );
}

#[test]
fn q13_target_list_with_and_without_quotes() {
    let text = alb(|fields| {
        fields[25] = "10.0.0.1:80";
        fields[26] = "200";
    });
    let rows = read("alb_logs", "a.log", text + &alb(|_| ()), &[]);
    for row in rows {
        assert_columns(
            &row,
            json!({"target_port_list": "10.0.0.1:80", "target_status_code_list": "200", "classification": "Acceptable"}),
        );
    }
}

#[test]
fn q14_fields_separated_by_more_than_one_space() {
    let text = alb(|fields| fields[8] = " 200  ");
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"elb_status_code": 200, "target_status_code": 200, "received_bytes": 34, "ip_address": "10.0.0.9"}),
    );
}

const NLB: &str = "tls 2.0 2026-01-15T08:51:42 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 203.0.113.155:51342 10.100.100.185:443 5 2 98 246 - arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - ECDHE-RSA-AES128-SHA tlsv12 - api.example.com h2 h2 \"h2\",\"http/1.1\" 2026-01-15T08:51:20";

#[test]
fn q15_content_decides_whatever_the_name_says() {
    let name = "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/01/15/123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20260115T1000Z_10.0.0.9_20sg8hgm.log.gz";
    let rows = read("nlb_logs", name, gzip(format!("{NLB}\n")), &[]);
    assert_eq!(rows.len(), 1);
    assert_eq!(read("flow_logs", name, gzip(flow_log(0, 2)), &[]).len(), 2);
}

#[test]
fn q16_an_aborted_connection_is_a_row() {
    let text = "tls 2.0 2026-01-15T09:01:00 net/n/c6e77e28c25b2234 g3d4b5e8bb8464cd 203.0.113.9:40000 10.100.100.185:443 0 - 0 0 - - - - - - - - - - 2026-01-15T09:01:00\n";
    assert_columns(
        &read("nlb_logs", "a.log", text, &[])[0],
        json!({"connection_time": 0, "tls_handshake_time": null, "received_bytes": 0, "chosen_cert_arn": null,
               "tls_cipher": null, "tls_protocol_version": null, "domain_name": null}),
    );
}

#[test]
fn q17_the_alpn_list_is_one_field_even_when_it_is_cut() {
    let cut = NLB.replace("\"h2\",\"http/1.1\"", "\"h2\",\"htt");
    let rows = read("nlb_logs", "a.log", format!("{NLB}\n{cut}\n"), &[]);
    for (row, list) in rows.iter().zip(["\"h2\",\"http/1.1\"", "\"h2\",\"htt"]) {
        assert_columns(
            row,
            json!({"alpn_client_preference_list": list, "tls_connection_creation_time": "2026-01-15T08:51:20Z"}),
        );
    }
}

#[test]
fn q18_network_lines_with_more_fields_or_without_the_last() {
    let without = NLB.rsplit_once(' ').unwrap().0;
    let rows = read("nlb_logs", "a.log", format!("{NLB} surplus\n{without}\n"), &[]);
    assert_eq!(rows[0]["extra"]["field_23"], "surplus");
    assert_columns(&rows[1], json!({"alpn_fe_protocol": "h2", "tls_connection_creation_time": null}));
}

#[test]
fn q19_access_connection_and_health_check_logs_in_one_folder() {
    let case = Case::new();
    let folder = "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/01/15";
    let tail = "123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20260115T1000Z_10.0.0.9";
    let connection =
        "2026-01-15T10:00:02.599544Z 10.0.0.26 58206 80 - - - \"-\" - - - TID_16132ed0b4112148\n";
    let health = "http 2026-01-15T10:00:00.875678Z 0.019584011 10.0.0.97:80 my-targets PASS 200 -\n";
    case.write(&format!("{folder}/{tail}_aaaaaaaa.log.gz"), gzip(alb(|_| ())));
    case.write(&format!("{folder}/conn_log_{tail}_bbbbbbbb.log.gz"), gzip(connection));
    case.write(
        &format!("{folder}/conn_log.{tail}_cccccccc.log.gz"),
        gzip(connection.replace("58206", "58207")),
    );
    case.write(&format!("{folder}/health_check_log_{tail}_dddddddd.log.gz"), gzip(health));
    let summary = case.ingest(&["--strict"]).expect(0).json();
    assert_eq!(summary["total"]["rows"], json!(4));
    assert_eq!(case.count("alb_logs"), 1);
    // Lines too old to name their load balancer take it from the object's key.
    for row in case.rows("alb_connection_logs").iter().chain(&case.rows("alb_health_check_logs")) {
        assert_columns(row, json!({"elb": "app/my-loadbalancer/1234567890abcdef", "ip_address": "10.0.0.9"}));
    }
    assert_eq!(case.count("alb_connection_logs"), 2);
    assert_eq!(case.count("alb_health_check_logs"), 1);
}

#[test]
fn q20_test_objects_are_no_logs() {
    let case = Case::new();
    case.write(
        "AWSLogs/123456789012/ELBAccessLogTestFile",
        "Enable AccessLog for ELB: app/n/50dc6c495c0c9188 at 2020-11-20T09:55:52.806Z",
    );
    case.write(
        "elsewhere.txt",
        "Enable ConnectionLog for ELB: app/n/50dc6c495c0c9188 at 2020-11-20T09:55:52.806Z\n",
    );
    case.write("a.log", alb(|_| ()));
    let summary = case.ingest(&["--strict"]).expect(0).json();
    assert_eq!((&summary["total"]["rows"], &summary["total"]["quarantined"]), (&json!(1), &json!(0)));
    assert_eq!(summary["failed"], json!([]));
}

#[test]
fn q21_a_connection_without_tls_is_a_row_of_nulls() {
    let text = "2026-01-15T10:00:02.599544Z 10.0.0.26 58206 80 - - - \"-\" - - - TID_16132ed0b4112148\n";
    assert_columns(
        &read("alb_connection_logs", "a.log", text, &[])[0],
        json!({"tls_protocol": null, "tls_cipher": null, "tls_handshake_latency": null, "leaf_client_cert_subject": null,
               "leaf_client_cert_validity": null, "leaf_client_cert_serial_number": null, "tls_verify_status": null,
               "client_port": 58206, "listener_port": 80}),
    );
}

#[test]
fn q36_plain_http_on_a_tls_listener() {
    let text = alb(|fields| {
        fields[12] = "\"GET http://www.example.com:443/ HTTP/1.1\"";
        (fields[14], fields[15]) = ("-", "-");
        (fields[8], fields[9]) = ("400", "-");
    });
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"type": "https", "ssl_cipher": null, "ssl_protocol": null, "request_url": "http://www.example.com:443/",
               "elb_status_code": 400, "target_status_code": null}),
    );
}

#[test]
fn q37_a_trace_may_hold_more_than_its_root() {
    let trace =
        "Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678;CalledFrom=app";
    let quoted = format!("\"{trace}\"");
    let fields: Vec<&str> =
        ALB.iter().enumerate().map(|(at, field)| if at == 17 { &quoted } else { *field }).collect();
    assert_columns(&read("alb_logs", "a.log", fields.join(" ") + "\n", &[])[0], json!({"trace_id": trace}));
}

#[test]
fn q42_lambda_targets_have_no_address() {
    let text = alb(|fields| {
        fields[4] = "-";
        (fields[25], fields[26]) = ("\"-\"", "\"-\"");
    });
    assert_columns(
        &read("alb_logs", "a.log", text, &[])[0],
        json!({"target_ip": null, "target_port": null, "target_port_list": null, "target_status_code_list": null,
               "target_status_code": 200}),
    );
}

#[test]
fn q47_a_websocket_entry_lies_on_the_day_of_its_own_time() {
    let case = Case::new();
    let key = "AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/01/16/123456789012_elasticloadbalancing_us-east-2_app.my-loadbalancer.1234567890abcdef_20260116T0005Z_10.0.0.9_20sg8hgm.log.gz";
    let text = alb(|fields| {
        fields[0] = "wss";
        fields[1] = "2026-01-15T23:59:59.999999Z";
        fields[21] = "2026-01-15T12:00:00.000000Z";
    }) + &alb(|fields| fields[1] = "2026-01-16T00:00:00.000000Z");
    case.write(key, gzip(text));
    case.ingest(&[]).expect(0);
    let mut dates: Vec<_> =
        case.table("alb_logs").unwrap().rows().iter().map(|row| row["event_date"].clone()).collect();
    dates.sort_by_key(Value::to_string);
    assert_eq!(dates, [json!("2026-01-15"), json!("2026-01-16")]);
}

#[test]
fn an_unknown_type_is_still_an_access_log() {
    let rows = read("alb_logs", "a.log", alb(|fields| fields[0] = "h3"), &[]);
    assert_columns(&rows[0], json!({"type": "h3", "elb": "app/my-loadbalancer/50dc6c495c0c9188"}));
}

#[test]
fn lines_exported_from_cloudwatch_lose_the_event_time_only() {
    const CONNECTION: &str = "2026-01-15T10:00:00.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 \"-\" - - Success TID_3180a73013c8ca4bac2f731159d4b0fe";
    let line = alb(|_| ());
    let rows =
        read("alb_logs", "a.log", format!("2026-01-15T10:00:05.000Z {line}2026-01-15T10:00:06Z {line}"), &[]);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_columns(
            row,
            json!({"type": "https", "time": "2026-01-15T10:00:00.186641Z", "client_ip": "198.51.100.39",
                   "elb": "app/my-loadbalancer/50dc6c495c0c9188"}),
        );
    }
    let rows = read("alb_connection_logs", "a.log", format!("2026-01-15T10:00:05.000Z {CONNECTION}\n"), &[]);
    assert_columns(
        &rows[0],
        json!({"time": "2026-01-15T10:00:00.514108Z", "client_ip": "203.0.113.1", "client_port": 36280}),
    );
}

#[test]
fn the_server_name_of_an_nlb_line_is_decoded() {
    let text = NLB.replace("api.example.com", "api%2Eexample%2Ecom") + "\n";
    assert_columns(&read("nlb_logs", "a.log", text, &[])[0], json!({"domain_name": "api.example.com"}));
}
