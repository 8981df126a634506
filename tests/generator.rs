//! What the log generator of `benches/generate/` promises.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use generate::*;

#[allow(dead_code)]
#[path = "../benches/generate/mod.rs"]
mod generate;

const KINDS: [(Kind, usize); 9] = [
    (Kind::FlowV2, 14),
    (Kind::FlowV5, 29),
    (Kind::FlowV11, 34),
    (Kind::Tgw, 36),
    (Kind::Alb, 29),
    (Kind::AlbConnection, 12),
    (Kind::AlbHealth, 8),
    (Kind::Clb, 12),
    (Kind::Nlb, 22),
];

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("flowq-generate-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

fn files(dir: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.insert(
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            );
        }
    }
}

fn written(options: &Options) -> (Written, BTreeMap<String, Vec<u8>>) {
    let w = generate(options).unwrap();
    let mut all = BTreeMap::new();
    files(&options.out, &mut all);
    std::fs::remove_dir_all(&options.out).unwrap();
    (w, all)
}

fn small(kind: Kind, name: &str) -> Options {
    Options { rows: 3001, files: 7, minutes: 20, ..Options::new(kind, &scratch(name)) }
}

#[test]
fn same_bytes_for_the_same_arguments_whatever_the_threads() {
    for (kind, _) in KINDS {
        let one = written(&Options { threads: 1, ..small(kind, &format!("{kind:?}-one")) });
        let four = written(&Options { threads: 4, ..small(kind, &format!("{kind:?}-four")) });
        let other = written(&Options { seed: 2, ..small(kind, &format!("{kind:?}-other")) });
        assert!(one == four, "{kind:?}");
        assert!(one.1 != other.1, "{kind:?}");
    }
}

#[test]
fn rows_files_and_bytes_are_what_the_summary_says() {
    for (kind, fields) in KINDS {
        let (w, all) = written(&small(kind, &format!("{kind:?}-rows")));
        let header = matches!(kind, Kind::FlowV2 | Kind::FlowV5 | Kind::FlowV11 | Kind::Tgw);
        let (mut rows, mut text_bytes) = (0, 0);
        for (name, data) in &all {
            assert!(name.ends_with(".log.gz"), "{name}");
            let mut text = String::new();
            flate2::read::GzDecoder::new(&data[..]).read_to_string(&mut text).unwrap();
            text_bytes += text.len() as u64;
            for line in text.lines().skip(usize::from(header)) {
                rows += 1;
                let count = line.split(' ').count();
                assert!(!line.contains("  ") || kind == Kind::Alb, "{line}");
                assert!(
                    if header || kind == Kind::Nlb { count == fields } else { count >= fields },
                    "{kind:?} {count} {line}"
                );
            }
        }
        assert_eq!((all.len() as u64, rows, text_bytes), (7, 3001, w.text_bytes), "{kind:?}");
        assert_eq!((w.files, w.rows), (7, 3001));
        assert_eq!(w.file_bytes, all.values().map(|d| d.len() as u64).sum::<u64>());
    }
}

#[test]
fn addresses_are_private_or_for_documentation() {
    let allowed = |a: std::net::Ipv4Addr| {
        a.octets()[0] == 10 || matches!(a.octets()[..3], [192, 0, 2] | [198, 51, 100] | [203, 0, 113])
    };
    for kind in [Kind::FlowV2, Kind::FlowV5, Kind::Tgw] {
        let (_, all) = written(&Options { level: None, ..small(kind, &format!("{kind:?}-addresses")) });
        let mut seen = 0;
        for data in all.values() {
            for token in String::from_utf8(data.clone()).unwrap().split_whitespace() {
                if let Ok(a) = token.parse::<std::net::IpAddr>() {
                    seen += 1;
                    match a {
                        std::net::IpAddr::V4(a) => assert!(allowed(a), "{a}"),
                        std::net::IpAddr::V6(a) => assert!(a.segments()[..2] == [0x2001, 0xdb8], "{a}"),
                    }
                }
            }
        }
        assert!(seen > 5000, "{seen}");
    }
}

#[test]
fn the_mix_of_flow_records_is_as_described() {
    let (_, all) = written(&Options { rows: 200_000, level: None, ..small(Kind::FlowV2, "mix") });
    let (mut reject, mut empty, mut v6) = (0, 0, 0);
    for data in all.values() {
        for line in std::str::from_utf8(data).unwrap().lines() {
            reject += usize::from(line.ends_with(" REJECT OK"));
            empty += usize::from(line.ends_with("DATA"));
            v6 += usize::from(line.contains(':'));
        }
    }
    assert!((20_000..28_000).contains(&reject), "{reject}");
    assert!((1400..2600).contains(&empty), "{empty}");
    assert!((4000..8000).contains(&v6), "{v6}");
}

#[test]
fn times_are_dates_of_the_calendar() {
    assert_eq!(world::date(world::EPOCH), (2026, 1, 15));
    assert_eq!(world::date(951_782_400), (2000, 2, 29));
    assert_eq!(world::date(0), (1970, 1, 1));
    let mut line = line::Line::default();
    line.time(world::EPOCH + 3661, Some(42));
    assert_eq!(line.0, b"2026-01-15T11:01:01.000042Z");
}

#[test]
fn arguments_are_read_and_refused() {
    let parse = |s: &str| Options::parse(&s.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let o = parse("flow-v5 --rows 5_000 --files 3 --minutes 7 --seed 9 --plain --out x").unwrap();
    assert_eq!((o.kind, o.rows, o.files, o.minutes, o.seed, o.level), (Kind::FlowV5, 5000, 3, 7, 9, None));
    let o = parse("many-small --files 10 --out x").unwrap();
    assert_eq!((o.kind, o.rows, o.files, o.even), (Kind::FlowV2, 1200, 10, true));
    assert_eq!(parse("one-large --rows 77 --out x").unwrap().files, 1);
    for bad in
        ["", "nothing --out x", "alb", "alb --out", "alb --rows x --out y", "alb --frobnicate 3 --out y"]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
