use super::*;
use proptest::prelude::*;

fn text(sample: &str) -> Recognition {
    recognise(ContentKind::Text, sample.as_bytes())
}

fn other(sample: &str) -> String {
    match text(sample) {
        Recognition::Other { what } => what,
        found => panic!("{found:?}"),
    }
}

const DEFAULT: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 49152 443 6 12 4210 1768471200 1768471258 ACCEPT OK";
const NODATA: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 - - - - - - - 1768471260 1768471318 - NODATA";

#[test]
fn headers() {
    let header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
    for end in ["", "\n", "\r\n", "\r\n2 123"] {
        let Recognition::FlowHeader { kind, fields, unknown } = text(&format!("\n{header}{end}")) else {
            panic!()
        };
        assert_eq!((kind, fields.join(" ").as_str(), unknown.len()), (LogKind::Flow, header, 0));
    }
    let tgw: Vec<&str> = LogKind::TransitGateway.columns().iter().map(|column| column.log_name).collect();
    assert_eq!(text(&tgw.join(" ")).kind(), Some(LogKind::TransitGateway));
    assert!(matches!(text("pkt-srcaddr pkt-dstaddr action\n- - -\n"), Recognition::FlowHeader { .. }));
    assert!(matches!(text("action\nACCEPT\n"), Recognition::FlowHeader { .. }));
    // Q24: a future version's names
    let Recognition::FlowHeader { fields, unknown, .. } = text("version srcaddr new-field dstaddr\n") else {
        panic!()
    };
    assert_eq!((fields.len(), unknown), (4, vec!["new-field".to_owned()]));
    for line in ["version one two three", "start eni-0a1b2c3d4e5f60718 end action", "the start of the action"]
    {
        assert!(!matches!(text(line), Recognition::FlowHeader { .. }), "{line}");
    }
}

#[test]
fn records_without_header() {
    assert_eq!(text(DEFAULT), Recognition::FlowDefault);
    assert_eq!(text(NODATA), Recognition::FlowDefault);
    let tgw = "6 TransitGateway 123456789012 tgw-0123456789abcdef0 tgw-attach-0aaaaaaaaaaaaaaaa 111122223333 - vpc-0aa11bb22cc33dd44 - subnet-0123456789abcdef0 - eni-0a1b2c3d4e5f60718 - use1-az1 - - 10.10.1.5 10.99.0.7 40113 443 6 3 180 1768471202 1768471250 OK IPv4 3 0 0 0 2 us-east-1 ingress - -";
    assert_eq!(text(tgw), Recognition::TgwDefault);
    assert_eq!(text("198.51.100.17 10.0.1.20 ACCEPT\n"), Recognition::FlowHeaderless { tokens: 3 });
    assert_eq!(text("- - -\n198.51.100.17 10.0.1.20 ACCEPT\n"), Recognition::FlowHeaderless { tokens: 3 });
    let v5 = "5 198.51.100.200 10.0.0.71 80 34210 6 1768471200 1768471257 IPv4 14 15044 123456789012 vpc-0aa11bb22cc33dd44 ACCEPT OK";
    assert_eq!(text(v5), Recognition::FlowHeaderless { tokens: 15 });
}

#[test]
fn load_balancer_lines() {
    let alb = r#"https 2026-01-15T10:00:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 198.51.100.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 34 366 "GET https://www.example.com:443/cart?id=7 HTTP/1.1" "curl/8.5.0" - -"#;
    assert_eq!(text(alb), Recognition::Alb);
    assert_eq!(text(&alb.replacen("https", "h9", 1)), Recognition::Alb);
    let conn = r#"2026-01-15T10:00:02.599544Z 10.0.0.26 58206 80 - - - "-" - - - TID_16132ed0b4112148"#;
    assert_eq!(text(conn), Recognition::AlbConnection);
    let conn = "2026-01-15T10:00:03.100000Z 2001:db8::7 50718 443 TLSv1.3 TLS_AES_128_GCM_SHA256 0.011 \"-\" - - Success";
    assert_eq!(text(conn), Recognition::AlbConnection);
    assert_eq!(
        text("http 2026-01-15T10:00:00.875678Z 0.019584011 10.0.0.97:80 my-targets PASS 200 -"),
        Recognition::AlbHealthCheck
    );
    assert_eq!(
        text(
            "lambda 2026-01-15T10:00:06.000001Z 0.104000000 arn:aws:lambda:us-east-2:123456789012:function:probe my-lambda PASS 200 -"
        ),
        Recognition::AlbHealthCheck
    );
    let clb = r#"2026-01-15T10:00:03.383076Z my-loadbalancer 203.0.113.1:63484 - -1 -1 -1 504 0 0 0 "GET https://www.example.com:443/slow HTTP/1.1""#;
    assert_eq!(text(clb), Recognition::Clb);
    let clb = "2026-01-15T10:00:01.072335Z my-loadbalancer 2001:db8::64ec:53016 10.0.0.1:80 0.00008 0.006129 0.000037 200 200 0 57";
    assert_eq!(text(clb), Recognition::Clb);
    // Q15
    assert_eq!(
        text(
            "tls 2.0 2026-01-15T09:01:00 net/n/c6e77e28c25b2234 g3d4 203.0.113.9:40000 10.100.100.185:443 0 - 0 0"
        ),
        Recognition::Nlb
    );
}

#[test]
fn test_objects_and_nothing() {
    // Q20, Q41
    assert_eq!(
        text("Enable AccessLog for ELB: app/n/1 at 2020-11-20T09:55:52.806Z"),
        Recognition::TestObject
    );
    assert_eq!(text("\n \r\n"), Recognition::Empty);
    assert_eq!(recognise(ContentKind::Empty, b""), Recognition::Empty);
    assert_eq!(recognise(ContentKind::Parquet, b"PAR1"), Recognition::Parquet);
    assert!(
        matches!(recognise(ContentKind::Zip, b"PK"), Recognition::Other { what } if what.contains("unzip"))
    );
}

#[test]
fn exports() {
    // Q26
    let export = |line: &str| text(&format!("2026-01-15T10:00:00.000Z {line}"));
    let boxed = |inner: Recognition| Recognition::CloudWatchExport(Box::new(inner));
    assert_eq!(export(DEFAULT), boxed(Recognition::FlowDefault));
    assert_eq!(export(NODATA), boxed(Recognition::FlowDefault));
    // Custom formats that look like connection and classic load balancer lines.
    assert_eq!(export("10.0.0.1 443 50000 ACCEPT"), boxed(Recognition::FlowHeaderless { tokens: 4 }));
    assert_eq!(
        export("5 2001:db8::7 2001:db8::8 443 50000 ACCEPT"),
        boxed(Recognition::FlowHeaderless { tokens: 6 })
    );
}

#[test]
fn containers() {
    let message = format!("{{\"message\":\"{DEFAULT}\"}}");
    assert_eq!(text(&format!("{message}{message}")), Recognition::Json(JsonKind::Message));
    assert_eq!(text(&format!("[{message},{message}]")), Recognition::Json(JsonKind::Message));
    let page = format!("{{\n  \"events\": [\n {message}], \"searchedLogStreams\": []}}");
    assert_eq!(text(&page), Recognition::Json(JsonKind::FilterLogEvents));
    assert_eq!(text("{\"events\":[]}"), Recognition::Json(JsonKind::FilterLogEvents));
    let envelope =
        format!("{{\"messageType\":\"DATA_MESSAGE\",\"logGroup\":\"g\",\"logEvents\":[{message}]}}");
    assert_eq!(text(&envelope), Recognition::Json(JsonKind::Subscription));
    assert_eq!(text(&envelope[..60]), Recognition::Json(JsonKind::Subscription));
    let alb = "{\"type\":\"https\",\"time\":\"x\",\"elb\":\"app/a/1\",\"target_processing_time\":1,\"elb_status_code\":200}";
    assert_eq!(text(alb), Recognition::Json(JsonKind::Vended(LogKind::Alb)));
    assert_eq!(text("[]"), Recognition::Empty);
}

#[test]
fn what_else_it_may_be() {
    let trail = "{\"Records\":[{\"eventVersion\":\"1.08\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"x\"}]}";
    assert_eq!(other(trail), "CloudTrail log");
    assert_eq!(
        other("{\"timestamp\":1,\"formatVersion\":1,\"webaclId\":\"arn\",\"action\":\"BLOCK\"}"),
        "WAF log"
    );
    assert_eq!(
        other("{\"version\":\"1.1\",\"query_name\":\"a.\",\"srcaddr\":\"10.0.0.1\"}"),
        "Route 53 resolver query log"
    );
    assert_eq!(
        other("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes\n2026-01-15\t10:00:00\tIAD"),
        "CloudFront log"
    );
    assert_eq!(
        other(&format!(
            "{} bucket [15/Jan/2026:10:00:00 +0000] 192.0.2.3 - 3E57 REST.GET.OBJECT k \"GET /k HTTP/1.1\" 200",
            "a1".repeat(32)
        )),
        "S3 server access log"
    );
    assert_eq!(other("a,b,c\n1,2,3\n"), "CSV");
    assert_eq!(
        other(
            r#"{"results":[[{"field":"@message","value":"2 1 eni-1"}]],"statistics":{"recordsMatched":1.0},"status":"Complete"}"#
        ),
        "answer of a CloudWatch Logs Insights query (fetch the events as they are: aws logs filter-log-events)"
    );
    assert_eq!(other("\u{0}\u{1}\u{2}\u{3}"), "binary");
    assert_eq!(
        other("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
        "XML error message of S3"
    );
    assert_eq!(other("{\"SecurityGroups\":[]}"), "network configuration (see `flowq config import`)");
    assert_eq!(other("hello world\n"), "text");
}

#[test]
fn tables_of_log_events_are_no_logs() {
    let record = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 49152 443 6 12 4210 1768471200 1768471258 ACCEPT OK";
    for (header, time) in [
        ("timestamp,message", "1768471258000"),
        ("@timestamp,@message", "2026-01-15 10:00:58.000"),
        ("\"timestamp\",\"message\"", "1768471258000"),
        ("\u{feff}@timestamp,@logStream,@message", "2026-01-15 10:00:58.000,eni-0a1b2c3d4e5f60718-all"),
    ] {
        for message in [record.to_owned(), format!("\"{record}\"")] {
            let found = other(&format!("{header}\n{time},{message}\n{time},{message}\n"));
            assert!(found.starts_with("CSV of CloudWatch Logs Insights or the console (fetch"), "{found}");
        }
    }
    // Not so a flow log whose first line is one of its records, or a user agent with such a word.
    assert_eq!(text(record), Recognition::FlowDefault);
    let agent = "http 2026-01-15T10:00:00.000000Z app/a/1 192.0.2.1:1 10.0.0.1:80 0 0 0 200 200 1 1 \"GET http://a:80/ HTTP/1.1\" \
                 \"x,@message,@timestamp\" - - a \"Root=1\" \"-\" \"-\" 0 2026-01-15T10:00:00.000000Z \"forward\" \"-\" \"-\" \"-\" \"-\" \"-\" \"-\"";
    assert_eq!(text(agent), Recognition::Alb);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        recognise(ContentKind::Text, &bytes);
    }

    #[test]
    fn any_line(line in "[-0-9a-zT:./\"{} ]{0,80}") {
        recognise(ContentKind::Text, line.as_bytes());
    }
}
