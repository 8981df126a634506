//! What holds for any line and any bytes.

use proptest::prelude::*;

use super::test_lines::*;
use super::{ElbCutter, Next, Tokenizer};
use crate::format::LogKind;
use crate::parse::cells::{Cells, Wanted};

pub(super) const KINDS: [LogKind; 5] =
    [LogKind::Alb, LogKind::Clb, LogKind::AlbConnection, LogKind::AlbHealthCheck, LogKind::Nlb];

/// Byte by byte: fields with whether they were quoted, and whether a quote was left open.
fn naive_fields(line: &[u8], quotes: bool) -> (Vec<(Vec<u8>, bool)>, bool) {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if line[at] == b' ' {
            at += 1;
            continue;
        }
        let mut text = Vec::new();
        if quotes && line[at] == b'"' {
            at += 1;
            loop {
                if at >= line.len() {
                    return (fields, true);
                }
                if line[at] == b'\\' {
                    text.push(line[at]);
                    at += 1;
                    if at < line.len() {
                        text.push(line[at]);
                    }
                } else if line[at] == b'"' && (at + 1 == line.len() || line[at + 1] == b' ') {
                    at += 1;
                    break;
                } else {
                    text.push(line[at]);
                }
                at += 1;
            }
            fields.push((text, true));
        } else {
            while at < line.len() && line[at] != b' ' {
                text.push(line[at]);
                at += 1;
            }
            fields.push((text, false));
        }
    }
    (fields, false)
}

fn fields<const QUOTES: bool>(line: &[u8]) -> (Vec<(Vec<u8>, bool)>, bool) {
    let mut tokenizer = Tokenizer::<QUOTES>::new(line, 0);
    let mut all = Vec::new();
    loop {
        match tokenizer.next_field() {
            Next::Field(token) => all.push((token.of(line).to_vec(), token.quoted)),
            Next::Unclosed(_) => return (all, true),
            Next::End => return (all, false),
        }
    }
}

/// Lines that are nearly right: samples with pieces cut out, doubled or replaced.
pub(super) fn damaged_lines() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<&'static str> = [
        ALB,
        ALB_30,
        ALB_18,
        CLB,
        CLB_OLD,
        CONNECTION_12,
        CONNECTION_15,
        HEALTH_CHECK_8,
        HEALTH_CHECK_10,
        NLB,
    ]
    .into_iter()
    .flat_map(str::lines)
    .collect();
    let damage = prop_oneof![
        Just(b"\"".to_vec()),
        Just(b"\\".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\" - - - \"".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let line = (
        prop::sample::select(samples),
        prop::collection::vec((any::<prop::sample::Index>(), 0..9usize, damage), 0..4),
    );
    prop::collection::vec(line, 0..5).prop_map(|lines| {
        let mut block = Vec::new();
        for (line, damages) in lines {
            let mut line = line.as_bytes().to_vec();
            for (place, length, text) in damages {
                let start = place.index(line.len() + 1);
                let end = (start + length).min(line.len());
                line.splice(start..end, text);
            }
            block.extend(line);
            block.push(b'\n');
        }
        block
    })
}

/// The line of a row and the text of its cells.
type Row = (u64, Vec<Vec<u8>>);

/// Cuts a block in batches; gives each row's line and cells.
fn in_batches(kind: LogKind, block: &[u8], wanted: &Wanted, batch: usize) -> (Vec<Row>, u64, u64, u64) {
    let mut cutter = ElbCutter::new(kind, wanted);
    let (mut rows, mut refused, mut lines, mut blank, mut from) = (Vec::new(), 0, 0, 0, 0);
    while from < block.len() {
        let (mut cells, mut refusals) = (Cells::default(), Vec::new());
        cells.reset(wanted);
        let progress = cutter.cut_block(block, lines + 1, from, batch, &mut cells, &mut refusals);
        assert!(progress.next > from && cells.rows() <= batch && refusals.len() <= batch);
        for row in 0..cells.rows() {
            let texts = cells.spans.iter().map(|column| column[row].of(block).to_vec()).collect();
            rows.push((cells.lines[row], texts));
        }
        assert!(cells.spans.iter().all(|column| column.len() == cells.rows()));
        refused += refusals.len() as u64;
        lines += progress.lines;
        blank += progress.blank;
        from = progress.next;
    }
    (rows, refused, lines, blank)
}

fn count_lines(block: &[u8]) -> u64 {
    let ends = block.iter().filter(|&&byte| byte == b'\n').count();
    ends as u64 + u64::from(block.last().is_some_and(|&byte| byte != b'\n'))
}

fn every_line_is_accounted_for(block: &[u8], batch: usize) -> Result<(), TestCaseError> {
    for kind in KINDS {
        let wanted = Wanted::all(kind.columns().len());
        let (rows, refused, lines, blank) = in_batches(kind, block, &wanted, batch);
        prop_assert_eq!(lines, count_lines(block));
        prop_assert_eq!(rows.len() as u64 + refused + blank, lines);
        let (whole, ..) = in_batches(kind, block, &wanted, usize::MAX);
        prop_assert_eq!(&rows, &whole);
        // Fewer columns: the same text in each row that all columns gave, and never fewer rows.
        let columns: Vec<usize> = (0..kind.columns().len()).step_by(3).collect();
        let few = Wanted::new(kind.columns().len(), &columns, false);
        let (partial, ..) = in_batches(kind, block, &few, batch);
        for (line, texts) in &rows {
            let found = partial.iter().find(|(other, _)| other == line);
            let expected: Vec<_> = columns.iter().map(|&column| texts[column].clone()).collect();
            prop_assert_eq!(found.map(|(_, texts)| texts), Some(&expected));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn tokenizer_agrees_with_reading_byte_by_byte(
        mixed in "[a\"\\\\ ]{0,40}",
        neat in prop::collection::vec("[a-z.:/-]{1,30}|\"[a-z/ .\\\\\"]{0,40}\"|-|\"-\"", 0..20),
        bytes: Vec<u8>,
    ) {
        for line in [mixed.as_bytes(), neat.join(" ").as_bytes(), &bytes] {
            prop_assert_eq!(fields::<true>(line), naive_fields(line, true));
            prop_assert_eq!(fields::<false>(line), naive_fields(line, false));
        }
    }

    #[test]
    fn plain_lines_come_back(
        fields in prop::collection::vec("[a-z0-9./:]{1,20}", 26),
        agent in "[a-zA-Z0-9/;.() -]{2,40}",
        url in "[a-z0-9/?=&.:]{1,40}( [a-z]{1,5})?",
    ) {
        let mut line = format!("http 2026-01-15T10:00:00Z app/a/b {}", fields[..9].join(" "));
        line += &format!(" \"GET {url} HTTP/1.1\" \"{agent}\" - - - {}", fields[9..26].join(" "));
        let out = cut(LogKind::Alb, &line);
        prop_assert_eq!(&out.refused, &[]);
        prop_assert_eq!(out.text(0, "request_url"), Some(url.as_str()));
        prop_assert_eq!(out.text(0, "user_agent"), Some(agent.as_str()));
        prop_assert_eq!(out.text(0, "received_bytes"), Some(fields[7].as_str()));
        prop_assert_eq!(out.text(0, "trace_id"), Some(fields[9].as_str()));
        prop_assert_eq!(out.text(0, "ip_address"), Some(fields[25].as_str()));
        prop_assert_eq!(out.extra(0), []);
    }

    #[test]
    fn damaged_lines_are_accounted_for(block in damaged_lines(), batch in 1..4usize) {
        every_line_is_accounted_for(&block, batch)?;
    }

    #[test]
    fn any_bytes_are_accounted_for(block in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'"'), Just(b' ')], 0..200)) {
        every_line_is_accounted_for(&block, 2)?;
    }
}

#[test]
fn a_quote_open_at_the_end_moves_the_user_agent_whatever_columns_are_read() {
    let line = b"2026-01-15T10:00:01.072335Z my-loadbalancer 192.0.2.1:53016 10.0.0.1:80 0.00008 0.006129 0.000037 200 200 0 57 \
        \"GET https://www.example.com:443/a?b=c HTTP/1.1\" \"Mozilla/5.0 (X11; Linux x86\" - - - \" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2\n";
    every_line_is_accounted_for(line, 1).unwrap();
    let out = cut(LogKind::Clb, std::str::from_utf8(line).unwrap());
    assert_eq!(out.text(0, "user_agent"), Some("Mozilla/5.0 (X11; Linux x86\" - - - "));
    assert_eq!(out.text(0, "ssl_protocol"), Some("TLSv1.2"));
}

#[test]
fn hostile_lines_take_no_quadratic_time() {
    let line = ALB.lines().next().unwrap().replace("curl/8.5.0", &"x\" - - - ".repeat(50_000));
    let start = std::time::Instant::now();
    assert_eq!(cut(LogKind::Alb, &line).progress.lines, 1);
    assert!(start.elapsed().as_secs() < 5);
}
