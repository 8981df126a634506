//! Dictionary columns against converting every cell on its own.

use proptest::prelude::*;

use super::*;
use crate::parse::values;

/// A block of cells, and where each of them lies.
fn block_of(cells: &[String]) -> (Vec<u8>, Vec<Span>) {
    let mut block = Vec::new();
    let mut spans = Vec::new();
    for cell in cells {
        let start = block.len();
        block.extend_from_slice(cell.as_bytes());
        spans.push(Span::new(start, block.len()));
        block.push(b' ');
    }
    (block, spans)
}

/// What a cell is worth: nothing, a value as text, or an error.
#[derive(Clone, Debug, PartialEq)]
enum Worth {
    Null,
    Value(String),
    Bad,
}

fn naive(ty: ColumnType, cell: &str) -> Worth {
    let token = cell.as_bytes();
    if cell.is_empty() || cell == "-" {
        return Worth::Null;
    }
    let value = match ty {
        ColumnType::Int32 => cell.parse::<i32>().ok().filter(|_| plain_digits(cell)).map(|v| v.to_string()),
        ColumnType::Int64 => cell.parse::<i64>().ok().filter(|_| plain_digits(cell)).map(|v| v.to_string()),
        ColumnType::EpochSeconds => {
            let seconds = cell.parse::<i64>().ok().filter(|_| cell.bytes().all(|byte| byte.is_ascii_digit()));
            seconds
                .filter(|seconds| *seconds <= values::MAX_EPOCH_SECONDS)
                .map(|v| (v * 1_000_000).to_string())
        }
        ColumnType::Address => cell.parse::<std::net::IpAddr>().ok().map(|_| cell.to_owned()),
        ColumnType::PercentText => {
            let mut out = Vec::new();
            values::percent_decode(token, &mut out);
            Some(if out.is_empty() { cell.to_owned() } else { String::from_utf8_lossy(&out).into_owned() })
        }
        ColumnType::Float64 => {
            let plain =
                cell.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
            let value =
                cell.parse::<f64>().ok().filter(|value| value.is_finite() && plain && plain_digits(cell));
            value.map(|v| v.to_string())
        }
        _ => Some(cell.to_owned()),
    };
    value.map_or(Worth::Bad, Worth::Value)
}

fn plain_digits(cell: &str) -> bool {
    !cell.starts_with('+')
}

fn worth(column: &KeyedColumn, row: usize, bad: &[BadCell]) -> Worth {
    if bad.iter().any(|cell| cell.row as usize == row) {
        return Worth::Bad;
    }
    match column.keys[row] {
        NULL => Worth::Null,
        key => Worth::Value(match &column.values {
            Values::Text(text) => String::from_utf8(text.get(key as usize).to_vec()).unwrap(),
            Values::Int(ints) => ints.get(key).unwrap().to_string(),
            Values::Float(floats) => floats.get(key).unwrap().to_string(),
        }),
    }
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[0-9]{1,12}",
        1 => "-?[0-9]{1,21}",
        2 => (any::<[u8; 4]>()).prop_map(|v4| std::net::Ipv4Addr::from(v4).to_string()),
        1 => (any::<[u16; 8]>()).prop_map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        1 => "[a-z0-9.%-]{0,40}",
        2 => "-?[0-9]{1,2}[.][0-9]{1,3}",
        1 => "[0-9.e-]{1,6}",
        1 => Just("-".to_owned()),
        1 => Just(String::new()),
        2 => (1_768_470_000i64..1_768_480_000).prop_map(|seconds| seconds.to_string()),
    ]
}

/// Columns whose cells are mostly of one sort, as in a log: many rows in succession may be taken at once.
fn alike() -> impl Strategy<Value = (ColumnType, Vec<String>)> {
    let number = prop_oneof![30 => "[0-9]{1,5}", 1 => "[0-9]{5,8}", 3 => Just("-".to_owned()), 1 => "-?[0-9:/]{1,6}", 1 => Just(String::new())];
    let second = prop_oneof![
        60 => (1_768_470_000i64..1_768_470_400).prop_map(|second| second.to_string()),
        1 => Just("-".to_owned()),
        1 => "[0-9]{9,11}",
        1 => "1[0-9:/]{9}",
    ];
    let word = prop_oneof![
        20 => prop::sample::select(vec!["ACCEPT", "REJECT", "-", "eu-central-1b", "12345678", "123456789012345", "OK", ""]),
        1 => prop::sample::select(vec!["OK\0", "1234567890123456", "a", "b", "c", "d", "e", "f", "g"]),
    ];
    prop_oneof![
        prop::collection::vec(number.clone(), 0..160).prop_map(|cells| (ColumnType::Int32, cells)),
        prop::collection::vec(number, 0..160).prop_map(|cells| (ColumnType::Int64, cells)),
        prop::collection::vec(second, 0..160).prop_map(|cells| (ColumnType::EpochSeconds, cells)),
        prop::collection::vec(word.prop_map(str::to_owned), 0..160)
            .prop_map(|cells| (ColumnType::Text, cells)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_taken_eight_at_a_time_are_worth_what_each_is((ty, cells) in alike()) {
        let (block, spans) = block_of(&cells);
        let mut column = KeyedColumn::new(ty);
        for _ in 0..2 {
            let before = column.len();
            let mut bad = Vec::new();
            column.push_spans(&block, &spans, &mut bad);
            for (row, cell) in cells.iter().enumerate() {
                let mut shifted = bad.clone();
                shifted.iter_mut().for_each(|cell| cell.row += before as u32);
                prop_assert_eq!(worth(&column, before + row, &shifted), naive(ty, cell), "{:?} {:?}", ty, cell);
            }
        }
        // Every number among the keys is among the values.
        if let Values::Int(ints) = &column.values {
            let order = ints.order();
            let values: Vec<i64> = order.values().collect();
            for key in column.keys.iter().filter(|key| **key != NULL) {
                prop_assert_eq!(values.get(order.place(*key) as usize).copied(), ints.get(*key));
            }
        }
    }

    #[test]
    fn keys_stand_for_what_each_cell_says(cells in prop::collection::vec(cell(), 0..200), type_at in 0usize..7) {
        use ColumnType::*;
        let ty = [Int32, Int64, EpochSeconds, Address, PercentText, Text, Float64][type_at];
        let (block, spans) = block_of(&cells);
        let mut column = KeyedColumn::new(ty);
        // Twice, so that the second time finds everything in the tables.
        for _ in 0..2 {
            let before = column.len();
            let mut bad = Vec::new();
            column.push_spans(&block, &spans, &mut bad);
            prop_assert_eq!(column.len(), before + cells.len());
            for (row, cell) in cells.iter().enumerate() {
                let mut shifted = bad.clone();
                shifted.iter_mut().for_each(|cell| cell.row += before as u32);
                prop_assert_eq!(worth(&column, before + row, &shifted), naive(ty, cell), "{:?} {:?}", ty, cell);
            }
        }
    }

    #[test]
    fn texts_are_the_same_where_their_bytes_are(len in 0usize..80, at: prop::sample::Index, differs: bool) {
        let one: Vec<u8> = (0..len as u8).collect();
        let mut other = one.clone();
        if differs && len > 0 {
            other[at.index(len)] ^= 0x40;
        }
        prop_assert_eq!(words::same(&one, &other), one == other);
    }

    #[test]
    fn small_numbers_agree_with_parse(text in "[0-9a-z -]{1,9}") {
        let mut block = text.clone().into_bytes();
        block.extend_from_slice(b"        ");
        let found = small_number(&block, Span::new(0, text.len()));
        let naive = text.parse::<i64>().ok().filter(|_| text.len() <= 7 && text.bytes().all(|b| b.is_ascii_digit()));
        prop_assert_eq!(found, naive);
    }
}

#[test]
fn many_addresses_take_the_way_with_prefetching_and_stay_the_same() {
    let cells: Vec<String> = (0..60_000u32)
        .map(|n| std::net::Ipv4Addr::from(0x0A00_0000 + (n.wrapping_mul(7919) % 12_000)).to_string())
        .collect();
    let (block, spans) = block_of(&cells);
    let mut column = KeyedColumn::new(ColumnType::Address);
    let mut bad = Vec::new();
    for chunk in spans.chunks(4096) {
        column.push_spans(&block, chunk, &mut bad);
    }
    assert!(bad.is_empty());
    let Values::Text(text) = &column.values else { panic!("addresses are text") };
    assert_eq!(text.len(), 12_000);
    assert!(!text.is_plain());
    for (key, cell) in column.keys.iter().zip(&cells) {
        assert_eq!(text.get(*key as usize), cell.as_bytes());
    }
}

#[test]
fn many_longer_texts_take_the_way_with_prefetching_and_stay_the_same() {
    // Repeated, of every sort, with nulls between them.
    let cells: Vec<String> = (0..90_000u32)
        .map(|n| match n % 7 {
            0 => "-".to_owned(),
            1 => format!("10.0.{}.{}", n / 7 % 40, n % 250),
            2 => format!("eni-{:017x}", n % 9000),
            _ => format!(
                "https://www.example.com:443/{:x}/{}",
                n.wrapping_mul(7919) % 12_000,
                "a".repeat(n as usize % 90)
            ),
        })
        .collect();
    let (block, spans) = block_of(&cells);
    let mut column = KeyedColumn::new(ColumnType::Text);
    let mut bad = Vec::new();
    for _ in 0..2 {
        for chunk in spans.chunks(4096) {
            column.push_spans(&block, chunk, &mut bad);
        }
    }
    assert!(bad.is_empty());
    let distinct: std::collections::HashSet<&String> = cells.iter().filter(|cell| *cell != "-").collect();
    let Values::Text(text) = &column.values else { panic!("it is text") };
    assert!(!text.is_plain());
    assert_eq!(text.len(), distinct.len());
    for (row, cell) in cells.iter().chain(&cells).enumerate() {
        let naive = if cell == "-" { Worth::Null } else { Worth::Value(cell.clone()) };
        assert_eq!(worth(&column, row, &[]), naive);
    }
}

#[test]
fn a_column_that_does_not_repeat_gives_its_dictionary_up() {
    let cells: Vec<String> = (0..40_000).map(|n| format!("Root=1-{n:032x}")).collect();
    let (block, spans) = block_of(&cells);
    let mut column = KeyedColumn::new(ColumnType::Text);
    let mut bad = Vec::new();
    for chunk in spans.chunks(4096) {
        column.push_spans(&block, chunk, &mut bad);
    }
    let Values::Text(text) = &column.values else { panic!("it is text") };
    assert!(text.is_plain());
    for (key, cell) in column.keys.iter().zip(&cells) {
        assert_eq!(text.get(*key as usize), cell.as_bytes());
    }
}

#[test]
fn bytes_that_are_not_utf8_are_kept_as_escapes() {
    let mut column = KeyedColumn::new(ColumnType::Text);
    let block = b"caf\xe9 x                ";
    column.push_spans(block, &[Span::new(0, 4), Span::new(5, 6)], &mut Vec::new());
    let Values::Text(text) = &column.values else { panic!("it is text") };
    assert_eq!(text.get(0), b"caf\\xE9");
    assert_eq!(text.get(1), b"x");
}

#[test]
fn texts_of_every_length_are_told_apart() {
    let mut values = TextValues::default();
    values.key_of("a");
    values.clear();
    let text = "abcdefghijklmnopqrstuvwxyz";
    let all: Vec<String> = (0..text.len())
        .flat_map(|len| [text[..len].to_owned(), format!("{}!", &text[..len]), "\0".repeat(len + 1)])
        .collect();
    for round in 0..2 {
        for (key, text) in all.iter().enumerate() {
            assert_eq!(values.key_of(text), key as u32, "{text:?} in round {round}");
            assert_eq!(values.get(key), text.as_bytes());
        }
    }
}

#[test]
fn texts_that_look_alike_at_a_glance_are_told_apart() {
    // The same length, start, middle and end: only the bytes in between differ.
    let text = |n: u32| format!("arn:aws:{:08}:balancer{:08}endpoint", n % 3, n % 7);
    assert_eq!(words::glance(text(0).as_bytes()), words::glance(text(1).as_bytes()));
    let cells: Vec<String> = (0..500).map(text).collect();
    let (block, spans) = block_of(&cells);
    let mut column = KeyedColumn::new(ColumnType::Text);
    column.push_spans(&block, &spans, &mut Vec::new());
    let rows: Vec<Worth> = (0..500).map(|row| worth(&column, row, &[])).collect();
    assert_eq!(rows, cells.iter().map(|cell| Worth::Value(cell.clone())).collect::<Vec<_>>());
    let Values::Text(values) = &column.values else { panic!("not text") };
    assert_eq!(values.len(), 21);
}
