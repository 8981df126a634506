use super::*;
use crate::source::content::{Limits, Scratch};
use proptest::prelude::*;
use serde_json::json;

const ONE: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.17 10.0.1.20 49152 443 6 12 4210 1768471200 1768471258 ACCEPT OK";
const TWO: &str = "2 123456789012 eni-0a1b2c3d4e5f60718 203.0.113.9 10.0.1.20 55412 3389 6 1 40 1768471203 1768471260 REJECT OK";

fn read(text: &str) -> (String, EnvelopeStats, Option<String>) {
    let tiny = Limits { whole_file: 0, whole_text: 0, block: 16, line: 64 };
    let results = [Limits::default(), tiny].map(|limits| {
        let mut scratch = Scratch::with_limits(limits);
        let content = ContentReader::from_bytes(text.as_bytes(), "test", &mut scratch).unwrap();
        let mut reader = EnvelopeReader::new(content);
        let (mut block, mut lines, mut failure) = (Vec::new(), String::new(), None);
        loop {
            match reader.next_block(&mut block) {
                Ok(Some(info)) => {
                    assert_eq!(info.first_event, lines.lines().count() as u64 + 1);
                    lines += std::str::from_utf8(&block).unwrap();
                }
                Ok(None) => break,
                Err(error) => failure = Some(error.to_string()),
            }
        }
        (lines, reader.stats(), failure)
    });
    let [whole, streamed] = results;
    assert_eq!(whole, streamed);
    whole
}

#[test]
fn firehose_objects_back_to_back_or_by_line() {
    // Q27
    let a = json!({ "message": ONE }).to_string();
    let b = json!({ "message": TWO }).to_string();
    for text in [format!("{a}{b}"), format!("{a}\n{b}\n"), format!("[{a},\n{b}]")] {
        let (lines, stats, failure) = read(&text);
        assert_eq!(lines, format!("{ONE}\n{TWO}\n"));
        assert_eq!((stats.documents, stats.events, failure), (2, 2, None));
    }
}

#[test]
fn subscription_envelopes_without_separators_and_control_messages() {
    // Q28, Q29
    let control = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1768471199000,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;
    let late = r#"{"logEvents":[{"id":"","message":"CWL CONTROL MESSAGE"}],"messageType":"CONTROL_MESSAGE"}"#;
    let event = |message: &str| json!({ "id": "1", "timestamp": 1, "message": message, "extractedFields": { "message": "no" } });
    let data = json!({ "messageType": "DATA_MESSAGE", "owner": "123456789012", "logEvents": [event(ONE), event(TWO)] });
    let late_data = json!({ "logEvents": [event(TWO)], "messageType": "DATA_MESSAGE" });
    let (lines, stats, failure) = read(&format!("{control}{data}{late}{late_data}"));
    assert_eq!(lines, format!("{ONE}\n{TWO}\n{TWO}\n"));
    let expected = EnvelopeStats { documents: 4, events: 3, control_messages: 2, ..EnvelopeStats::default() };
    assert_eq!((stats, failure), (expected, None));
}

#[test]
fn pages_of_filter_log_events() {
    let page = json!({
        "events": [{ "logStreamName": "eni-0a1b2c3d4e5f60718-all", "timestamp": 1, "message": ONE }, { "message": TWO, "eventId": "2" }],
        "searchedLogStreams": [],
        "nextToken": "x",
    });
    let empty = json!({ "events": [], "searchedLogStreams": [] });
    let text = format!("{}\n{}\n{}", serde_json::to_string_pretty(&page).unwrap(), empty, page);
    let (lines, stats, failure) = read(&text);
    assert_eq!(lines, format!("{ONE}\n{TWO}\n{ONE}\n{TWO}\n"));
    assert_eq!((stats.documents, stats.events, stats.unknown_documents, failure), (3, 4, 0, None));
}

#[test]
fn an_event_is_one_line_whatever_it_holds() {
    let page = json!({ "events": [{ "message": "a\nb" }, { "message": "" }, { "timestamp": 1 }, { "message": "c\n" }] });
    let (lines, stats, _) = read(&page.to_string());
    assert_eq!(lines, "a b\n\n\nc\n");
    assert_eq!((stats.events, stats.joined_lines, stats.without_message), (4, 1, 1));
}

#[test]
fn other_json_is_counted_and_its_messages_left_alone() {
    let trail = json!({ "Records": [{ "eventSource": "ec2.amazonaws.com", "message": "no", "logEvents": [{ "message": "no" }] }] });
    let (lines, stats, failure) = read(&trail.to_string());
    assert_eq!((lines.as_str(), stats.unknown_documents, failure), ("", 1, None));
}

#[test]
fn damage_keeps_what_came_before() {
    let envelope =
        json!({ "logEvents": [{ "message": ONE }, { "message": TWO }], "messageType": "DATA_MESSAGE" })
            .to_string();
    let cut = &envelope[..envelope.len() - 30];
    let (lines, stats, failure) = read(&format!("{{\"message\":\"first\"}}{cut}"));
    assert_eq!(lines, format!("first\n{ONE}\n{TWO}\n"));
    assert_eq!(stats.events, 3);
    assert!(failure.unwrap().contains("not json at byte"));
    let (lines, _, failure) = read(&format!("{{\"message\":\"first\"}}\n{ONE}"));
    assert_eq!(lines, "first\n");
    let failure = failure.unwrap();
    assert!(failure.contains("expected"), "{failure}");
}

#[test]
fn a_large_envelope_is_given_in_blocks() {
    let events: Vec<_> = (0..150_000).map(|at| json!({ "message": format!("{at} {ONE}") })).collect();
    let (lines, stats, failure) =
        read(&json!({ "logEvents": events, "messageType": "DATA_MESSAGE" }).to_string());
    assert_eq!((stats.events, lines.lines().count(), failure), (150_000, 150_000, None));
    assert!(lines.lines().enumerate().all(|(at, line)| line.starts_with(&format!("{at} 2 1234"))));
}

#[test]
fn load_balancer_records_become_lines() {
    let alb = json!({
        "type": "https", "time": "2026-01-15T10:00:00.186641Z", "elb": "app/my-loadbalancer/50dc6c495c0c9188",
        "client:port": "198.51.100.39:2817", "target-port": "10.0.0.1:80", "request_processing_time": 0.086,
        "Target_Processing_Time": 0.048, "response_processing_time": "0.037", "elb_status_code": 200,
        "target_status_code": null, "received_bytes": 34, "sent_bytes": 366,
        "request": "GET https://www.example.com:443/?q=\"x\" HTTP/1.1", "user_agent": "curl 8",
    });
    let (lines, stats, _) = read(&alb.to_string());
    let expected = "https 2026-01-15T10:00:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 198.51.100.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 - 34 366 \"GET https://www.example.com:443/?q=\\x22x\\x22 HTTP/1.1\" \"curl 8\" - - - - - - - - - - - - - - - - - - - -\n";
    assert_eq!(lines, expected);
    assert_eq!(stats.vended, Some(LogKind::Alb));

    let nlb = json!({
        "type": "tls", "version": "2.0", "time": "2026-01-15T02:59:40", "elb": "net/n/c6e77e28c25b2234",
        "listener": "g3d4", "client_port": "203.0.113.154:51341", "destination_port": "10.100.100.185:443",
        "connection_time": 5, "tls_handshake_time": 2, "alpn_client_preference_list": "\"h2\",\"http/1.1\"",
    });
    let (lines, stats, _) = read(&nlb.to_string());
    assert_eq!(stats.vended, Some(LogKind::Nlb));
    assert_eq!(lines.trim_end().split(' ').count(), 22);
    assert!(lines.contains(" \"h2\",\"http/1.1\" -\n"));
}

proptest! {
    #[test]
    fn messages_are_those_of_the_tree(
        docs in proptest::collection::vec(proptest::collection::vec("[a-z \"\\\\é😀\t]{0,12}", 0..4), 0..4),
        form in 0u8..3,
        pretty in any::<bool>(),
    ) {
        let mut expected = String::new();
        let mut text = String::new();
        for messages in &docs {
            let events: Vec<_> = messages.iter().map(|message| json!({ "a": [{ "message": 1 }], "message": message, "z": {} })).collect();
            let doc = match form {
                0 => json!({ "events": events }),
                1 => json!({ "logEvents": events, "messageType": "DATA_MESSAGE" }),
                _ => serde_json::Value::from(events),
            };
            text += &if pretty { serde_json::to_string_pretty(&doc).unwrap() } else { doc.to_string() };
            for message in messages {
                expected += message.trim_end();
                expected.push('\n');
            }
        }
        let (lines, _, failure) = read(&text);
        prop_assert_eq!(failure, None);
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn any_text_ends(text in "[\\[\\]{}\",:a-z]{0,60}|\\PC{0,40}") {
        read(&text);
    }
}
