//! Files so long that all workers read them together.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use flowq::ingest::progress::Counters;
use flowq::ingest::work::{Sink, Tally, Worker};
use flowq::ingest::{IngestOptions, Watch, ingest};
use flowq::source::decode::{DecodeOptions, Decoder, Opening};
use flowq::source::{Scratch, locate};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{Case, HEADER, Run, command, flow_lines, flow_log, flowq};

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
    same_raw(case, threads);
    let refused: Vec<String> = long.refused.iter().map(|(line, byte)| format!("{line},{byte}")).collect();
    let found: Vec<&str> = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(found, refused);
}

/// Asserts that the raw files give what the store has of them.
#[track_caller]
fn same_raw(case: &Case, threads: &str) {
    let (store, input) = (case.store(), case.input());
    for sql in [
        "select count(srcport), sum(srcport), sum(source_line), sum(bytes), min(start), max(source_line), \
         count(distinct srcaddr), count(*) filter (where log_status = 'OK') from flow_logs",
        "select srcaddr, sum(bytes), min(source_line), sum(srcport) from flow_logs where action = 'REJECT' \
         group by 1 order by 2 desc, 1 limit 20",
        "select source_line, srcaddr, srcport from flow_logs where srcaddr = '10.1.77.7' order by 1",
        "select kind, line, byte, reason, text from quarantine order by line",
    ] {
        let stored = flowq(["sql", "--format", "csv", "--store", store.to_str().unwrap(), sql]).expect(0);
        let raw = ["sql", "--threads", threads, "--format", "csv", "--from", input.to_str().unwrap(), sql];
        assert_eq!(flowq(raw).expect(0).out, stored.out, "{sql}");
        assert!(stored.out.lines().count() > 1, "{sql}");
    }
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
    same_raw(&case, "3");
}

#[test]
fn standard_input_is_read_by_all_threads() {
    let long = long();
    let sql = "select count(srcport), sum(source_line), sum(bytes) from flow_logs";
    let mut command = command();
    command.args(["sql", "--threads", "3", "--format", "csv", "--from", "-", sql]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), long.text.as_bytes()).unwrap();
    let run = Run::of(child.wait_with_output().unwrap()).expect(0);
    let expected = format!("{},{},{}", long.rows, long.line_sum, long.byte_sum);
    assert_eq!(run.out.lines().nth(1).unwrap(), expected);
}

/// What is told of the bytes read, by a worker that counts the rows of a file, alone or as the only one of several.
fn told(path: &Path, shared: bool) -> Vec<u64> {
    let found = locate(&[path.to_str().unwrap()], None);
    let (options, mut scratch) = (DecodeOptions::default(), Scratch::new());
    let Ok(Opening::Log(mut decoder)) = Decoder::open(&found.objects[0], &options, &mut scratch) else {
        panic!("{} is a log", path.display());
    };
    assert_eq!(decoder.share().is_some(), shared);
    let (counters, told) = (Counters::default(), RefCell::new(Vec::new()));
    let mut worker = Worker::new(Sink::Count, &counters).unwrap();
    let read = |bytes| told.borrow_mut().push(bytes);
    worker.take(&mut decoder, "long", &mut Tally::default(), &read, &|| false).unwrap();
    told.into_inner().into_iter().filter(|bytes| *bytes > 0).collect()
}

#[test]
fn progress_is_told_within_a_long_file() {
    let long = long();
    let case = Case::new();
    let mut gz = GzEncoder::new(Vec::new(), Compression::none());
    std::io::Write::write_all(&mut gz, long.text.as_bytes()).unwrap();
    let files =
        [case.write("long.log", long.text.as_bytes()), case.write("long.log.gz", gz.finish().unwrap())];
    for file in files {
        let size = std::fs::metadata(&file).unwrap().len();
        let told = told(&file, true);
        assert_eq!(told.iter().sum::<u64>(), size);
        // A block has some four mebibytes.
        assert!(told.iter().all(|bytes| *bytes < 6 << 20), "{told:?}");

        for strict in [false, true] {
            let options = IngestOptions {
                inputs: vec![file.to_str().unwrap().to_owned()],
                store: case.store(),
                decode: DecodeOptions::default(),
                strict,
                dry_run: true,
                threads: 2,
            };
            let watch = Watch::default();
            let bytes = || watch.counters.bytes.load(Ordering::Relaxed);
            let mut seen = BTreeSet::new();
            std::thread::scope(|scope| {
                let job = scope.spawn(|| ingest(&options, &watch).unwrap());
                while !job.is_finished() {
                    seen.insert(bytes());
                    std::thread::sleep(Duration::from_micros(200));
                }
                job.join().unwrap()
            });
            // The file has a bad line, so that under `--strict` its rows are not read: that pass counts at the end.
            assert_eq!((bytes(), watch.counters.bytes_planned.load(Ordering::Relaxed)), (size, size));
            assert!(seen.len() > 5 && seen.iter().all(|bytes| *bytes <= size), "{seen:?}");
        }
    }
}

/// The rows of each row group of a table's files.
fn row_groups(case: &Case, table: &str) -> Vec<i64> {
    let table = case.table(table).unwrap();
    let groups = table.files().flat_map(|(file, _)| {
        let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
        reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>()
    });
    groups.collect()
}

#[test]
fn row_groups_are_large_whatever_the_number_of_workers() {
    // Five hundred and twelve Ki rows, and the batch of 4096 with which they are reached.
    let full = 512 * 1024..512 * 1024 + 4096;
    let case = Case::new();
    case.write("a.log", flow_log(0, 600_000));
    case.ingest(&["--threads", "1"]).expect(0);
    let groups = row_groups(&case, "flow_logs");
    assert!(groups.len() == 2 && full.contains(&groups[0]), "{groups:?}");
    assert_eq!(groups.iter().sum::<i64>(), 600_000);

    // All fields of version 5; what a worker holds of them is far below what it may.
    let fields = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action \
                  log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id \
                  sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path";
    let rest = "vpc-0a1b2c3d4e5f60718 subnet-0a1b2c3d4e5f60718 i-0a1b2c3d4e5f60718 19 IPv4 10.0.0.1 10.0.0.2 us-east-1 \
                use1-az1 - - - - ingress 1";
    let lines: String = flow_lines(0, 120_000).lines().map(|line| format!("{line} {rest}\n")).collect();
    for threads in [1, 2, 4] {
        let case = Case::new();
        case.write("a.log", format!("{fields}\n{lines}"));
        case.ingest(&["--threads", &threads.to_string()]).expect(0);
        let groups = row_groups(&case, "flow_logs");
        assert_eq!(groups.iter().sum::<i64>(), 120_000);
        assert!(groups.len() <= threads, "{threads} threads made row groups of {groups:?} rows");
    }
}
