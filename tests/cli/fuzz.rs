//! Mutated logs: nothing makes the parsers panic, hang or lose count of a line.
//!
//! Each target starts from `testdata/` and changes it at random for `FLOWQ_FUZZ_SECONDS` (default 3), from a seed that
//! `FLOWQ_FUZZ_SEED` sets (default 1), so that a failure comes again. The input that failed is left in the folder for
//! temporary files and named in the message.

use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flowq::format::LogKind;
use flowq::ingest::progress::Counters;
use flowq::ingest::work::{Sink, Tally, WorkError, Worker};
use flowq::parse::cells::{Cells, Wanted};
use flowq::parse::flow::Layout;
use flowq::source::decode::{DecodeOptions, Decoder, FileReport, Opening};
use flowq::source::{
    ContentKind, Ending, Limits, Located, ObjectKey, Recognition, Scratch, parse_log_format, recognise,
    recognise_line, unknown_fields,
};
use memchr::memmem;

use crate::support::{gzip, project};

/// splitmix64: small, and good enough to choose places in a text.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 where the bound is 0.
    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn range(&mut self, len: usize, longest: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..(start + self.below(longest)).min(len)
    }
}

/// What parsers trip over.
const TOKENS: [&[u8]; 36] = [
    b"-",
    b" ",
    b"  ",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\"",
    b"\\",
    b"\\\"",
    b"\\x22",
    b"\t",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"message\":",
    b"null",
    b"2147483648",
    b"9223372036854775808",
    b"-1",
    b"1e400",
    b"NaN",
    b"::1",
    b"::ffff:192.0.2.1",
    b"256.0.0.1",
    b"2026-02-30T25:61:61Z",
    b"9999999999999999",
    b"version srcaddr dstaddr\n",
    b"NODATA",
    b"%",
    b"%zz",
    b"$",
    b"fl-",
];

/// Changes an input a little or a lot.
fn mutate(random: &mut Random, input: &[u8], corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.below(6) {
        let len = bytes.len();
        match random.below(10) {
            0 if len > 0 => {
                let at = random.below(len);
                bytes[at] ^= 1 << random.below(8);
            }
            1 if len > 0 => {
                let at = random.below(len);
                bytes[at] = random.next() as u8;
            }
            2 => bytes.truncate(random.below(len + 1)),
            3 => drop(bytes.drain(random.range(len, 40))),
            4 => {
                let piece = bytes[random.range(len, 200)].to_vec();
                let at = random.below(len + 1);
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = random.one_of(corpus);
                let piece = other[random.range(other.len(), 300)].to_vec();
                let at = random.range(len, 100);
                bytes.splice(at, piece);
            }
            6 | 7 => {
                let at = random.range(len, 8);
                bytes.splice(at, random.one_of(&TOKENS).iter().copied());
            }
            8 => swap(random, &mut bytes, b' '),
            _ => swap(random, &mut bytes, b'\n'),
        }
    }
    bytes
}

/// Exchanges two pieces between separators.
fn swap(random: &mut Random, bytes: &mut Vec<u8>, separator: u8) {
    let mut pieces: Vec<&[u8]> = bytes.split(|byte| *byte == separator).collect();
    let (a, b) = (random.below(pieces.len()), random.below(pieces.len()));
    pieces.swap(a, b);
    *bytes = pieces.join(&separator);
}

/// Runs `check` on mutated inputs until the time is over.
fn fuzz(target: &str, corpus: &[Vec<u8>], mut check: impl FnMut(&[u8], &mut Random)) {
    assert!(!corpus.is_empty());
    let number = |name: &str, otherwise| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let seconds: f64 = number("FLOWQ_FUZZ_SECONDS", 3.0);
    let seed = number("FLOWQ_FUZZ_SEED", 1.0) as u64;
    // Everywhere the same inputs, however fast the machine; asked for a time, as many as fit.
    let most = if std::env::var_os("FLOWQ_FUZZ_SECONDS").is_some() { u64::MAX } else { 20_000 };
    let begun = Instant::now();
    let mut rounds = 0u64;
    while (begun.elapsed().as_secs_f64() < seconds && rounds < most) || rounds < 50 {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0001) ^ (rounds << 20));
        let start = random.one_of(corpus);
        let input = if rounds < corpus.len() as u64 {
            corpus[rounds as usize].clone()
        } else {
            mutate(&mut random, start, corpus)
        };
        let round = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&input, &mut random)));
        if outcome.is_err() || round.elapsed() > Duration::from_secs(20) {
            let path = std::env::temp_dir().join(format!("flowq-fuzz-{target}-{seed}-{rounds}.bin"));
            fs::write(&path, &input).unwrap();
            panic!(
                "{target}: round {rounds} of seed {seed} after {:?}; the input is in {}",
                round.elapsed(),
                path.display()
            );
        }
        rounds += 1;
    }
    println!("{target}: {rounds} inputs");
}

/// The files below a folder of `testdata/` whose path holds one of these.
fn files(folder: &str, holds: &[&str]) -> Vec<Vec<u8>> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { walk(&path, all) } else { all.push(path) }
        }
    }
    let mut all = Vec::new();
    let root = project().join("testdata").join(folder);
    walk(&root, &mut all);
    all.sort();
    // Where the project lies must not choose the files.
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    all.retain(|path| holds.iter().any(|part| name(path).contains(part)));
    all.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn inflated(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return bytes;
    }
    let mut text = Vec::new();
    // What can be read of a damaged one.
    let _ = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text);
    text
}

/// The first lines of text files, so that a round is short.
fn beginnings(files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let text = files.into_iter().map(inflated).filter(|text| !text.is_empty() && !text.starts_with(b"PAR1"));
    text.map(|text| text.split_inclusive(|byte| *byte == b'\n').take(24).collect::<Vec<_>>().concat())
        .collect()
}

/// A file that is written again and again.
struct Probe {
    _dir: tempfile::TempDir,
    located: Located,
}

impl Probe {
    fn new() -> Probe {
        let dir = tempfile::tempdir().unwrap();
        let name = "conn_log_123456789012_elasticloadbalancing_us-east-2_app.n.1234567890abcdef_20260115T1000Z_10.0.0.9_b38hdhc6.log.gz";
        let folder = dir.path().join("AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/01/15");
        fs::create_dir_all(&folder).unwrap();
        let located = Located::at(folder.join(name).to_str().unwrap());
        Probe { _dir: dir, located }
    }

    fn write(&mut self, bytes: &[u8]) {
        fs::write(self.located.file(), bytes).unwrap();
        self.located.size = bytes.len() as u64;
    }
}

fn options(with_layouts: bool) -> DecodeOptions {
    let layouts = ["version vpc-id srcaddr dstaddr action log-status", "srcaddr dstaddr start"];
    let layouts = layouts.map(|fields| Layout::bind(&parse_log_format(fields).unwrap()));
    DecodeOptions { layouts: if with_layouts { layouts.to_vec() } else { Vec::new() } }
}

/// Takes a whole file as ingest does, and checks that every line is accounted for.
fn account(probe: &Probe, options: &DecodeOptions, limits: Limits) -> Option<(FileReport, Tally, bool)> {
    let mut scratch = Scratch::with_limits(limits);
    let Ok(Opening::Log(mut decoder)) = Decoder::open(&probe.located, options, &mut scratch) else {
        return None;
    };
    let counters = Counters::default();
    let mut worker = Worker::new(Sink::Count, &counters).unwrap();
    let mut tally = Tally::default();
    let taken = worker.take(&mut decoder, "fuzz", &mut tally, &|_| {}, &|| false);
    let whole = match taken {
        Ok(()) => true,
        Err(WorkError::Decode(error)) => {
            assert!(!error.to_string().is_empty());
            false
        }
        Err(WorkError::Output(error)) => panic!("nothing is written here: {error}"),
    };
    let report = decoder.report();
    worker.finish().unwrap();
    let accounted = tally.rows + tally.refused.len() as u64 + report.headers + report.blank;
    assert_eq!(report.lines, accounted, "{report:?} {} rows, {} refused", tally.rows, tally.refused.len());
    assert_eq!(tally.kinds.iter().map(|share| share.rows).sum::<u64>(), tally.rows);
    assert!(tally.nodata + tally.skipdata <= tally.rows);
    for refused in &tally.refused {
        assert!(
            refused.line >= 1 && refused.line <= report.lines && !refused.reason.is_empty(),
            "{refused:?}"
        );
    }
    assert!(tally.refused.is_sorted_by_key(|refused| refused.line), "{:?}", tally.refused);
    Some((report, tally, whole))
}

fn streaming() -> Limits {
    Limits { whole_file: 0, whole_text: 0, block: 300, ..Limits::default() }
}

/// Lines as anyone would count them.
fn lines_of(text: &[u8]) -> u64 {
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

/// Whole or in small blocks, compressed or not, the same is counted; and of plain text every line.
fn check_text(probe: &mut Probe, text: &[u8], random: &mut Random) {
    let options = options(random.below(2) == 0);
    probe.write(text);
    let whole = account(probe, &options, Limits::default());
    if let Some((report, _, true)) = &whole
        && recognise(ContentKind::Text, text).is_a_line_log()
        && report.ending == Ending::Complete
        && !text.starts_with(b"\x1f\x8b")
    {
        assert_eq!(report.lines, lines_of(text), "lines are lost or made up");
    }
    let small = account(probe, &options, streaming());
    if let (Some((a, at, _)), Some((b, bt, _))) = (&whole, &small) {
        assert_eq!((a.lines, at.rows, &at.refused), (b.lines, bt.rows, &bt.refused), "in small blocks");
    }
    let needle = *random.one_of(&[&b"10.0.1.20"[..], b"443", b"-", b"ACCEPT"]);
    check_needle(probe, &options, needle);
    probe.write(&gzip(text));
    let packed = account(probe, &options, Limits::default());
    if let (Some((a, at, true)), Some((b, bt, true))) = (&whole, &packed)
        && !text.starts_with(b"\x1f\x8b")
    {
        assert_eq!((a.lines, at.rows, at.refused.len()), (b.lines, bt.rows, bt.refused.len()), "compressed");
    }
}

trait IsALineLog {
    fn is_a_line_log(&self) -> bool;
}

impl IsALineLog for Recognition {
    fn is_a_line_log(&self) -> bool {
        self.kind().is_some() && !matches!(self, Recognition::Json(_) | Recognition::Parquet)
    }
}

/// A row: its line, and the text of its cells.
type Cut = (u64, Vec<Vec<u8>>);

fn cut(
    probe: &Probe,
    options: &DecodeOptions,
    needle: Option<&memmem::Finder<'_>>,
    holds: &[u8],
) -> Option<(Vec<Cut>, u64)> {
    let mut scratch = Scratch::new();
    let Ok(Opening::Log(mut decoder)) = Decoder::open(&probe.located, options, &mut scratch) else {
        return None;
    };
    let (mut cells, mut refused, mut rows) = (Cells::default(), Vec::new(), Vec::new());
    let mut want = |kind: LogKind, carried: &[usize]| Some(Wanted::new(kind.columns().len(), carried, true));
    while let Some(batch) = decoder.next_batch(&mut want, needle, 7, &mut cells, &mut refused).ok()? {
        for (row, line) in cells.lines.iter().enumerate() {
            if memmem::find(cells.whole[row].of(batch.block), holds).is_some() {
                let texts = cells.spans.iter().map(|column| column[row].of(batch.block).to_vec()).collect();
                rows.push((*line, texts));
            }
        }
    }
    Some((rows, decoder.report().lines))
}

/// Searching for a text first gives the rows that hold it, and no others.
fn check_needle(probe: &Probe, options: &DecodeOptions, needle: &[u8]) {
    let all = cut(probe, options, None, needle);
    let finder = memmem::Finder::new(needle);
    let found = cut(probe, options, Some(&finder), needle);
    assert_eq!(found, all, "searched for {:?}", String::from_utf8_lossy(needle));
}

#[test]
fn flow_log_lines() {
    let mut corpus =
        beginnings(files("s3-dump", &["vpcflowlogs", "transit", "headerless", "exportedlogs/4f"]));
    corpus.extend(files("extra", &["headerless"]));
    let mut probe = Probe::new();
    fuzz("flow", &corpus, |text, random| check_text(&mut probe, text, random));
}

#[test]
fn load_balancer_lines() {
    let corpus = beginnings(files("s3-dump", &["elasticloadbalancing"]));
    let mut probe = Probe::new();
    fuzz("elb", &corpus, |text, random| check_text(&mut probe, text, random));
}

#[test]
fn envelopes() {
    let corpus: Vec<Vec<u8>> = files("s3-dump", &["firehose", "filter-log-events"])
        .into_iter()
        .map(inflated)
        .map(inflated)
        .collect();
    let mut probe = Probe::new();
    fuzz("envelope", &corpus, |text, random| check_text(&mut probe, text, random));
}

#[test]
fn gzip_members() {
    let corpus = files("s3-dump", &[".gz", "firehose"]);
    let small: Vec<Vec<u8>> = corpus.into_iter().filter(|bytes| bytes.len() < 4000).collect();
    let mut probe = Probe::new();
    fuzz("gzip", &small, |bytes, _| {
        probe.write(bytes);
        let whole = account(&probe, &options(false), Limits::default());
        let small = account(&probe, &options(false), streaming());
        if let (Some((a, at, _)), Some((b, bt, _))) = (&whole, &small) {
            assert_eq!((a.lines, at.rows), (b.lines, bt.rows), "in small blocks");
        }
    });
}

#[test]
fn parquet_files() {
    let corpus: Vec<Vec<u8>> = files("s3-dump", &[".parquet"]).into_iter().map(inflated).collect();
    let mut probe = Probe::new();
    fuzz("parquet", &corpus, |bytes, random| {
        let mut bytes = bytes.to_vec();
        if bytes.len() > 8 && random.below(3) > 0 {
            // Past the first check: the footer is where it says.
            bytes[..4].copy_from_slice(b"PAR1");
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(b"PAR1");
        }
        probe.write(&bytes);
        account(&probe, &options(false), Limits::default());
    });
}

#[test]
fn object_keys() {
    let list = crate::dump::expected();
    let corpus: Vec<Vec<u8>> = list.keys().map(|key| key.clone().into_bytes()).collect();
    fuzz("keys", &corpus, |bytes, random| {
        let text = String::from_utf8_lossy(bytes);
        let key = ObjectKey::parse(&text);
        if let Some(account) = &key.account {
            assert!(account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()), "{account}");
        }
        if let Some(date) = key.date {
            assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day), "{date:?}");
            assert!(date.hour.is_none_or(|hour| hour < 24));
        }
        for part in [&key.region, &key.flow_log_id, &key.node_ip] {
            assert!(part.as_ref().is_none_or(|part| !part.is_empty() && !part.contains('/')), "{key:?}");
        }
        let (from, to) = (random.next() as i64, random.next() as i64);
        key.may_hold(from, to);
        key.order_time();
        // What lies in front of a key says nothing about it.
        if key.account.is_some() && key.stamp.is_some() && !text.starts_with('/') {
            assert_eq!(ObjectKey::parse(&format!("some/where/{text}")).stamp, key.stamp);
        }
    });
}

#[test]
fn log_formats() {
    let corpus = [
        crate::dump::V5.to_owned(),
        crate::dump::as_described(crate::dump::V5),
        crate::support::HEADER.replace(' ', ","),
    ];
    let corpus: Vec<Vec<u8>> = corpus.into_iter().map(String::into_bytes).collect();
    fuzz("log-format", &corpus, |bytes, _| {
        let text = String::from_utf8_lossy(bytes);
        match parse_log_format(&text) {
            Ok(fields) => {
                assert!(!fields.is_empty());
                let plain = fields.join(" ");
                assert_eq!(parse_log_format(&plain).as_ref(), Ok(&fields));
                assert_eq!(parse_log_format(&crate::dump::as_described(&plain)).as_ref(), Ok(&fields));
                let layout = Layout::bind(&fields);
                // What later versions may bring is kept apart, and nothing else.
                let unknown = unknown_fields(&fields).count();
                let unbound = layout.columns.iter().filter(|column| column.is_none()).count();
                assert_eq!(unbound, unknown, "{plain}");
                assert!(unknown < fields.len(), "{plain}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

#[test]
fn recognition() {
    let mut corpus = beginnings(files("s3-dump", &[""]));
    corpus.extend(files("s3-dump", &["broken"]));
    fuzz("recognise", &corpus, |bytes, _| {
        for kind in [ContentKind::Text, ContentKind::Empty, ContentKind::Parquet] {
            if let Recognition::FlowHeader { fields, unknown, .. } = recognise(kind, bytes) {
                assert!(fields.len() > unknown.len());
            }
        }
        for line in bytes.split(|byte| *byte == b'\n') {
            recognise_line(line);
        }
    });
}
