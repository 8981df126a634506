use super::*;
use proptest::prelude::*;
use std::io::Write;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Everything streamed, in tiny blocks.
const TINY: Limits = Limits { whole_file: 0, whole_text: 0, block: 16, line: 1 << 20 };
const MODES: [Limits; 3] = [
    Limits { whole_file: 24 << 20, whole_text: 64 << 20, block: 4 << 20, line: 16 << 20 },
    TINY,
    Limits { whole_file: 24 << 20, whole_text: 32, block: 16, line: 1 << 20 },
];

struct Reading {
    text: Vec<u8>,
    blocks: Vec<(BlockInfo, Vec<u8>)>,
    ending: Ending,
    identity: Identity,
    kind: ContentKind,
    layers: u8,
}

fn read(bytes: &[u8], limits: Limits) -> Reading {
    let mut scratch = Scratch::with_limits(limits);
    let mut reader = ContentReader::from_bytes(bytes, "test", &mut scratch).unwrap();
    let sniff = reader.sniff().to_vec();
    let (mut block, mut text, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(info) = reader.next_block(&mut block).unwrap() {
        text.extend_from_slice(&block);
        blocks.push((info, block.clone()));
    }
    assert!(text.starts_with(&sniff) || blocks.iter().any(|(info, _)| info.cut.is_some()));
    assert!(reader.next_block(&mut block).unwrap().is_none());
    let identity = reader.identity().unwrap();
    Reading { text, blocks, ending: reader.ending(), identity, kind: reader.kind(), layers: reader.layers() }
}

fn lines(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|line| format!("2 123456789012 eni-{line:017x} {}\n", line * 7919 % 65536).into_bytes())
        .collect()
}

#[test]
fn plain_gzip_and_several_members_give_the_same_text() {
    let text = lines(20_000);
    let half = text.len() / 2;
    let members = [gzip(&text[..half]), gzip(b""), gzip(&text[half..])].concat();
    for limits in MODES {
        for (bytes, layers) in
            [(text.clone(), 0), (gzip(&text), 1), (members.clone(), 1), (gzip(&members), 2)]
        {
            let read = read(&bytes, limits);
            assert!(read.text == text);
            assert_eq!((read.ending, read.layers, read.kind), (Ending::Complete, layers, ContentKind::Text));
            assert_eq!(read.identity, Identity::of_bytes(&bytes, 0));
        }
    }
}

#[test]
fn gzip_in_gzip_is_taken_off_three_times() {
    // Q30
    let text = lines(10);
    for limits in MODES {
        let three = gzip(&gzip(&gzip(&text)));
        assert_eq!(read(&three, limits).text, text);
        let four = read(&gzip(&three), limits);
        assert_eq!((four.kind, four.layers), (ContentKind::NestedGzip, 3));
        assert!(four.kind.refusal().is_some());
    }
}

#[test]
fn a_truncated_download_gives_what_could_be_inflated() {
    // Q41
    let text = lines(20_000);
    let whole = gzip(&text);
    let first = gzip(b"first\n");
    for limits in MODES {
        let cut = &whole[..whole.len() / 2];
        let half = read(cut, limits);
        assert_eq!(half.ending, Ending::Truncated { at: cut.len() as u64 });
        assert!(half.text.len() > text.len() / 3 && text.starts_with(&half.text));
        let without_trailer = read(&whole[..whole.len() - 3], limits);
        assert!(without_trailer.text == text);
        assert_eq!(without_trailer.ending, Ending::Truncated { at: whole.len() as u64 - 3 });
        let second = [&first[..], cut].concat();
        let read_second = read(&second, limits);
        assert_eq!(read_second.ending, Ending::Truncated { at: second.len() as u64 });
        assert_eq!(read_second.text, [b"first\n", &half.text[..]].concat());
        assert_eq!(read(b"\x1f\x8b", limits).ending, Ending::Truncated { at: 2 });
        assert_eq!(read(&whole[..7], limits).ending, Ending::Truncated { at: 7 });
    }
}

#[test]
fn damage_in_the_middle_keeps_what_came_before() {
    let text = lines(20_000);
    let mut bytes = gzip(&text);
    let at = bytes.len() / 2;
    for byte in &mut bytes[at..at + 64] {
        *byte ^= 0xff;
    }
    let mut bad_sum = gzip(&text);
    let sum = bad_sum.len() - 8;
    bad_sum[sum] ^= 1;
    for limits in MODES {
        let damaged = read(&bytes, limits);
        assert!(matches!(damaged.ending, Ending::Corrupt { .. }), "{:?}", damaged.ending);
        assert!(damaged.text.starts_with(&text[..text.len() / 3]));
        assert_eq!(damaged.identity, Identity::of_bytes(&bytes, 0));
        let summed = read(&bad_sum, limits);
        assert!(summed.text == text);
        assert_eq!(summed.ending, Ending::Corrupt { at: bad_sum.len() as u64 });
    }
}

#[test]
fn what_follows_the_last_member() {
    let member = gzip(b"a\nb\n");
    for limits in MODES {
        let padded = [&member[..], &[0; 512]].concat();
        assert_eq!(read(&padded, limits).ending, Ending::Complete);
        let at = member.len() as u64;
        for garbage in [&b"garbage"[..], b"\x1f", b"\x1f\x8b\x07zz"] {
            let read = read(&[&member[..], garbage].concat(), limits);
            assert_eq!(read.ending, Ending::TrailingGarbage { at, bytes: garbage.len() as u64 });
            assert_eq!(read.text, b"a\nb\n");
        }
    }
}

#[test]
fn empty_and_marked_contents() {
    for limits in MODES {
        for bytes in [Vec::new(), gzip(b"")] {
            let empty = read(&bytes, limits);
            assert_eq!((empty.text.len(), empty.kind, empty.blocks.len()), (0, ContentKind::Empty, 0));
        }
        for bytes in [b"\xef\xbb\xbfx\n".to_vec(), gzip(b"\xef\xbb\xbfx\n")] {
            let marked = read(&bytes, limits);
            assert_eq!(marked.text, b"x\n");
            assert_eq!(marked.blocks[0].0.offset, 3);
        }
        assert_eq!(read(b"no end", limits).text, b"no end");
        assert_eq!(read(b"\n\n", limits).text, b"\n\n");
    }
}

#[test]
fn headers_with_every_optional_part_are_read() {
    let header = flate2::GzBuilder::new().filename("a.log").comment("c").extra(vec![1, 2, 3]);
    let mut encoder = header.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"x\n").unwrap();
    let bytes = encoder.finish().unwrap();
    for limits in MODES {
        let all = read(&bytes, limits);
        assert_eq!((&all.text[..], all.ending), (&b"x\n"[..], Ending::Complete));
        for cut in 1..bytes.len() {
            let ending = read(&bytes[..cut], limits).ending;
            assert!(cut < 2 || ending == Ending::Truncated { at: cut as u64 }, "{cut}: {ending:?}");
        }
    }
}

#[test]
fn containers_are_named() {
    let cases: [(&[u8], ContentKind); 6] = [
        (b"PAR1....PAR1", ContentKind::Parquet),
        (b"PK\x03\x04....", ContentKind::Zip),
        (b"\xff\x06\x00\x00sNaPpY..", ContentKind::Snappy),
        (b"\x28\xb5\x2f\xfd....", ContentKind::Zstd),
        (b"BZh9....", ContentKind::Bzip2),
        (b"\xff\xfe{\x00", ContentKind::Utf16),
    ];
    for limits in MODES {
        for (bytes, kind) in cases {
            assert_eq!(read(bytes, limits).kind, kind);
            assert_eq!(read(&gzip(bytes), limits).kind, kind);
        }
        let mut scratch = Scratch::with_limits(limits);
        let bytes = gzip(b"PAR1....PAR1");
        let mut all = Vec::new();
        ContentReader::from_bytes(&bytes, "t", &mut scratch).unwrap().read_all(&mut all, 100).unwrap();
        assert_eq!(all, b"PAR1....PAR1");
        let result = ContentReader::from_bytes(&bytes, "t", &mut scratch).unwrap().read_all(&mut all, 3);
        assert!(matches!(result, Err(ReadError::TooLarge { .. })));
    }
}

#[test]
fn a_line_without_end_is_cut() {
    let long = [&b"first\n"[..], &[b'x'; 3_000_000], b"\nlast\n"].concat();
    let limits = Limits { line: 1_000_000, block: 64, ..Limits::default() };
    for limits in [limits, Limits { whole_file: 0, ..limits }] {
        for bytes in [long.clone(), gzip(&long)] {
            let read = read(&bytes, limits);
            let cut: Vec<_> = read.blocks.iter().filter(|(info, _)| info.cut.is_some()).collect();
            let [(info, block)] = cut[..] else { panic!("{} cut blocks", cut.len()) };
            assert_eq!(block.len(), 1_000_000);
            assert_eq!(*info, BlockInfo { offset: 6, cut: Some(2_000_000) });
            assert_eq!(read.blocks.first().unwrap().1, b"first\n");
            let last = read.blocks.last().unwrap();
            assert_eq!((last.0.offset, &last.1[..]), (3_000_007, &b"last\n"[..]));
        }
    }
}

#[test]
fn a_bomb_is_streamed_in_bounded_blocks() {
    let text = b"0123456789\n".repeat(1_000_000);
    let limits = Limits { whole_text: 1 << 20, block: 1 << 20, ..Limits::default() };
    let read = read(&gzip(&text), limits);
    assert!(read.text == text);
    assert!(read.blocks.iter().all(|(_, block)| block.len() <= (1 << 20) + STEP));
}

#[test]
fn files_are_opened_and_errors_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    std::fs::write(&path, gzip(b"x\n")).unwrap();
    let mut scratch = Scratch::new();
    let found = crate::source::locate(&[path.to_str().unwrap()], None);
    let mut block = Vec::new();
    let mut reader = ContentReader::open(&found.objects[0], &mut scratch).unwrap();
    reader.next_block(&mut block).unwrap();
    assert_eq!(block, b"x\n");
    assert_eq!(reader.identity().unwrap(), Identity::of_file(&path).unwrap());
    let error = ContentReader::open(&Located::at("/no/such"), &mut scratch).err().unwrap();
    assert!(error.to_string().starts_with("/no/such: no such file"), "{error}");
    assert!(ContentReader::open(&Located::at(dir.path().to_str().unwrap()), &mut scratch).is_err());
}

fn limits() -> impl Strategy<Value = Limits> {
    (prop_oneof![Just(0usize), Just(24 << 20)], 0usize..5000, 1usize..300)
        .prop_map(|(whole_file, whole_text, block)| Limits { whole_file, whole_text, block, line: 1 << 20 })
}

proptest! {
    #[test]
    fn blocks_and_members_never_change_the_lines(
        text in "[a-z \n\r]{0,2000}",
        cuts in proptest::collection::vec(0usize..2000, 0..5),
        limits in limits(),
    ) {
        let text = text.into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
        cuts.sort();
        let bytes: Vec<u8> = cuts.windows(2).flat_map(|pair| gzip(&text[pair[0]..pair[1]])).collect();
        for bytes in [bytes, text.clone()] {
            let read = read(&bytes, limits);
            prop_assert_eq!(&read.text, &text);
            prop_assert_eq!(read.ending, Ending::Complete);
            let mut offset = 0;
            for (at, (info, block)) in read.blocks.iter().enumerate() {
                prop_assert_eq!(info.offset, offset);
                offset += block.len() as u64;
                prop_assert!(block.ends_with(b"\n") || at + 1 == read.blocks.len());
            }
        }
    }

    #[test]
    fn damaged_bytes_give_the_same_in_every_mode(
        text in "[a-z0-9 \n]{0,3000}",
        at in 0usize..2000,
        with in proptest::collection::vec(any::<u8>(), 0..6),
        cut in 0usize..3000,
    ) {
        let mut bytes = gzip(text.as_bytes());
        let at = at.min(bytes.len());
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        bytes.truncate(cut.max(1));
        let streamed = read(&bytes, TINY);
        let whole = read(&bytes, Limits::default());
        prop_assert_eq!(whole.ending, streamed.ending);
        prop_assert_eq!(whole.text, streamed.text);
        prop_assert_eq!(whole.identity, streamed.identity);
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), gz in any::<bool>(), limits in limits()) {
        let bytes = if gz { [b"\x1f\x8b\x08".to_vec(), bytes].concat() } else { bytes };
        read(&bytes, limits);
    }
}
