//! What cannot be told where something is missing: an answer that the network ACL dropped, whose query no log that could be read
//! shows. Without the query the groups drop it as well (spec 8.6, S14); where the query may be missing that is open (S15, row 11).

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::tests::{over, rows};
use super::tests_fields::{of_store, raw, stored};
use super::*;
use crate::rules::fixture::Fixture;
use crate::source::decode::DecodeOptions;

const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action \
    log-status tcp-flags flow-direction";

/// 2026-01-15T10:10:15Z.
const QUERY: i64 = 1_768_471_815;

/// The name of a file, and what it holds.
type File = (String, Vec<u8>);

/// Both layers drop it, for there was no query.
const BOTH: &str = "NACL_AND_SECURITY_GROUP|PROVEN|";

/// The list drops it, and whether the groups would is open.
const LIST: &str = "NACL|PROVEN|SECURITY_GROUP";

/// A gz that breaks off in the middle.
fn cut(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// Web traffic of an interface, accepted each minute between these minutes before and after the query.
fn traffic(interface: &str, minutes: std::ops::Range<i64>) -> String {
    let lines = minutes.map(|minute| {
        let start = QUERY - 15 + 60 * minute;
        format!(
            "5 111122223333 {interface} 10.0.1.10 198.51.100.7 52000 443 6 1 60 {start} {} ACCEPT OK 2 egress\n",
            start + 5
        )
    });
    lines.collect()
}

fn answer() -> String {
    format!(
        "5 111122223333 eni-a 198.51.100.7 10.0.1.10 53 50001 17 1 60 {} {} REJECT OK 0 ingress\n",
        QUERY + 5,
        QUERY + 10
    )
}

fn query(port: &str) -> String {
    format!(
        "5 111122223333 eni-a 10.0.1.10 198.51.100.7 {port} 53 17 1 60 {QUERY} {} ACCEPT OK 0 egress\n",
        QUERY + 5
    )
}

fn log(lines: &[String]) -> Vec<u8> {
    format!("{HEADER}\n{}", lines.concat()).into_bytes()
}

/// The name of an object of the flow log `fl-00…` with these last digits.
fn object(flow_log: &str, number: u8) -> String {
    format!(
        "111122223333_vpcflowlogs_us-east-1_fl-00000000000000{flow_log}_20260115T1010Z_0000000{number}.log"
    )
}

fn network() -> Network {
    Fixture::new(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-a subnet-1 10.0.1.10 groups=sg-a
         eni eni-b subnet-1 10.0.1.11 groups=sg-a
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 100 allow tcp 0-65535 0.0.0.0/0
         acl-1 out 100 allow all 0.0.0.0/0
         sg-a out all 0.0.0.0/0",
    )
    .network()
}

/// What is said of the answer, over the files and over a store of them.
async fn said(files: &[File]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("in");
    std::fs::create_dir(&logs).unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(logs.join(name), bytes).unwrap());
    let of_files = of(raw(&logs, DecodeOptions::default()).await).await;
    let store = stored(&logs, &folder.path().join("store"), DecodeOptions::default()).await;
    let of_stored = of(of_store(&store).await).await;
    assert_eq!(of_files, of_stored, "over the files and over the store of {files:?}");
    of_files
}

async fn of(logs: Arc<dyn TableProvider>) -> String {
    let sql = "select verdict, confidence, array_to_string(candidates, ' ') from reject_attribution where protocol = 17";
    rows(&over(logs, Some(network())), sql).await.join("\n")
}

#[tokio::test]
async fn a_query_that_no_log_shows_was_not_there_only_where_one_log_is_whole() {
    let a = |number| object("aa", number);
    let b = |number| object("bb", number);
    let whole = traffic("eni-a", -60..30);
    let one = |name: String, bytes: Vec<u8>| (name, bytes);
    let v2 = |text: &str| text.replace("srcport dstport ", "").into_bytes();
    // The same records without their ports.
    let without_ports = |lines: &str| {
        let short = lines.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let kept = words.iter().enumerate().filter(|(at, _)| !(5..7).contains(at)).map(|(_, word)| *word);
            kept.collect::<Vec<_>>().join(" ") + "\n"
        });
        format!("{}\n{}", String::from_utf8(v2(HEADER)).unwrap(), short.collect::<String>()).into_bytes()
    };
    let cases: Vec<(&str, Vec<File>, &str)> = vec![
        ("one whole log", vec![one(a(1), log(&[whole.clone(), answer()]))], BOTH),
        ("the query is there", vec![one(a(1), log(&[whole.clone(), query("50001"), answer()]))], LIST),
        (
            "a file of the flow log breaks off",
            vec![
                one(a(1), log(&[whole.clone(), answer()])),
                one(a(2) + ".gz", cut(&format!("{HEADER}\n{}", traffic("eni-b", -200..200)))),
            ],
            LIST,
        ),
        (
            "a file of another flow log does",
            vec![
                one(a(1), log(&[whole.clone(), answer()])),
                one(b(2) + ".gz", cut(&format!("{HEADER}\n{}", traffic("eni-b", -200..200)))),
            ],
            BOTH,
        ),
        ("its line cannot be read", vec![one(a(1), log(&[whole.clone(), query("5000x"), answer()]))], LIST),
        (
            "a line of another interface cannot",
            vec![one(a(1), log(&[whole.clone(), query("5000x").replace("eni-a", "eni-b"), answer()]))],
            BOTH,
        ),
        (
            "a line of long before cannot",
            vec![one(
                a(1),
                log(&[
                    whole.clone(),
                    query("5000x")
                        .replace(&QUERY.to_string(), &(QUERY - 1800).to_string())
                        .replace(&(QUERY + 5).to_string(), &(QUERY - 1790).to_string()),
                    answer(),
                ]),
            )],
            BOTH,
        ),
        (
            "a rejected one cannot",
            vec![one(a(1), log(&[whole.clone(), answer().replace("50001", "5000x"), answer()]))],
            BOTH,
        ),
        (
            "the accepted are logged without their ports",
            vec![one(a(1), log(&[answer()])), one(b(1), without_ports(&(whole.clone() + &query("50001"))))],
            LIST,
        ),
        (
            "and once more in full",
            vec![one(a(1), log(&[whole.clone(), answer()])), one(b(1), without_ports(&whole))],
            BOTH,
        ),
        (
            "the flow log of the interface began a moment before",
            vec![
                one(a(1), log(&[traffic("eni-b", -60..30)])),
                one(b(1), log(&[traffic("eni-a", 0..30), answer()])),
            ],
            LIST,
        ),
        (
            "that of the VPC is as old as it must be",
            vec![one(a(1), log(&[traffic("eni-b", -60..30), traffic("eni-a", 1..30), answer()]))],
            BOTH,
        ),
        (
            "the interface has a flow log of REJECTs alone",
            vec![
                one(a(1), log(&[traffic("eni-b", -60..30)])),
                one(b(1), log(&[answer().replace("53 50001 17", "53 50009 6"), answer()])),
            ],
            LIST,
        ),
        (
            "no name tells the flow logs apart",
            vec![
                one("a.log".to_owned(), log(&[traffic("eni-b", -60..30)])),
                one("b.log".to_owned(), log(&[answer()])),
            ],
            LIST,
        ),
        (
            "nor here, but the interface has ACCEPTs",
            vec![
                one("a.log".to_owned(), log(&[traffic("eni-b", -60..30)])),
                one("b.log".to_owned(), log(&[traffic("eni-a", 1..3), answer()])),
            ],
            BOTH,
        ),
        (
            "of files without names one breaks off",
            vec![
                one("a.log".to_owned(), log(&[whole.clone(), answer()])),
                one("b.log.gz".to_owned(), cut(&format!("{HEADER}\n{}", traffic("eni-b", -200..200)))),
            ],
            LIST,
        ),
    ];
    for (case, files, expected) in cases {
        assert_eq!(said(&files).await, expected, "{case}");
    }
}
