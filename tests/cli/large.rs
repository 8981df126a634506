//! Files so long that all workers read them together.

use std::fmt::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Case, HEADER, flowq};

/// A long log with what can go wrong when its parts are read apart, and what has to come of it.
struct Long {
    text: String,
    rows: u64,
    line_sum: u64,
    byte_sum: u64,
    refused: Vec<(u64, usize)>,
}

/// Flow log lines of two layouts with a header before each stretch, a bad port now and then, and a blank line.
fn long() -> Long {
    let mut long = Long { text: String::new(), rows: 0, line_sum: 0, byte_sum: 0, refused: Vec::new() };
    let swapped = "action srcaddr dstaddr srcport dstport bytes start end log-status version";
    let mut line = 0;
    for stretch in 0..6u64 {
        line += 1;
        long.text.push_str(if stretch % 2 == 0 { HEADER.trim_end() } else { swapped });
        long.text.push('\n');
        for n in 0..60_000u64 {
            line += 1;
            if n == 30_000 {
                long.text.push('\n');
                continue;
            }
            let (bytes, source) = (stretch * 60_000 + n, format!("10.{}.{}.{}", stretch, n / 250, n % 250));
            let port = if n % 9_999 == 1 { "70000000000".to_owned() } else { (n % 60_000).to_string() };
            if n % 9_999 == 1 {
                long.refused.push((line, long.text.len()));
            } else {
                long.rows += 1;
                long.line_sum += line;
                long.byte_sum += bytes;
            }
            let done = if stretch % 2 == 0 {
                writeln!(
                    long.text,
                    "2 123456789012 eni-0a1b2c3d4e5f60718 {source} 10.99.0.1 {port} 443 6 10 {bytes} 1768471200 1768471260 ACCEPT OK"
                )
            } else {
                writeln!(long.text, "REJECT {source} 10.99.0.1 {port} 443 {bytes} 1768471200 1768471260 OK 2")
            };
            done.unwrap();
        }
    }
    long
}

#[track_caller]
fn check(case: &Case, long: &Long, threads: &str) {
    let summary = case.ingest(&["--threads", threads]).expect(0).json();
    assert_eq!(summary["total"]["rows"], long.rows);
    assert_eq!(summary["total"]["lines"], long.text.lines().count() as u64);
    assert_eq!(summary["total"]["quarantined"], long.refused.len() as u64);
    let sql = "select count(*), count(distinct source_line), sum(source_line), sum(bytes), \
               count(*) filter (where action = 'REJECT') from flow_logs; \
               select line, byte from quarantine order by line";
    let store = case.store();
    let run = flowq(["sql", "--format", "csv", "--store", store.to_str().unwrap(), sql]).expect(0);
    let mut lines = run.out.lines().skip(1);
    let (rows, rejects) = (long.rows, long.text.lines().filter(|line| line.starts_with("REJECT")).count());
    let refused_rejects =
        long.refused.iter().filter(|(_, byte)| long.text[*byte..].starts_with("REJECT")).count();
    assert_eq!(
        lines.next().unwrap(),
        format!("{rows},{rows},{},{},{}", long.line_sum, long.byte_sum, rejects - refused_rejects)
    );
    let refused: Vec<String> = long.refused.iter().map(|(line, byte)| format!("{line},{byte}")).collect();
    let found: Vec<&str> = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(found, refused);
}

#[test]
fn a_long_plain_file_is_read_by_all_workers() {
    let long = long();
    assert!(long.text.len() > 25 << 20, "{} bytes are not long", long.text.len());
    for threads in ["1", "4"] {
        let case = Case::new();
        case.write("long.log", long.text.as_bytes());
        check(&case, &long, threads);
        assert_eq!(case.ingest(&[]).expect(0).json()["total"]["rows"], 0, "it is known now");
    }
}

#[test]
fn a_long_compressed_file_is_read_by_all_workers() {
    let long = long();
    let mut gz = GzEncoder::new(Vec::new(), Compression::none());
    std::io::Write::write_all(&mut gz, long.text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let case = Case::new();
    case.write("long.log.gz", &gz);
    check(&case, &long, "4");

    // Cut off, it says so, and what came before is there.
    let case = Case::new();
    case.write("long.log.gz", &gz[..gz.len() - 200]);
    let summary = case.ingest(&["--threads", "4"]).expect(0).json();
    let rows = summary["total"]["rows"].as_u64().unwrap();
    assert!(rows < long.rows && rows > long.rows - 5, "{rows} of {}", long.rows);
    assert_eq!(summary["warnings"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(case.count("quarantine"), long.refused.len() as u64 + 1, "the torn line is there too");
}
