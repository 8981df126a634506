//! Tests of [`super`].

use super::*;
use crate::parse::keyed::{KeyedColumn, NULL, Values};
use crate::parse::{Cells, Wanted, cells::Extra};
use arrow::array::{Array, AsArray, Datum};
use proptest::prelude::*;

/// Joins texts into a block and gives the span of each.
fn block_of(texts: &[&[u8]]) -> (Vec<u8>, Vec<Span>) {
    let mut block = Vec::new();
    let spans = texts
        .iter()
        .map(|text| {
            let start = block.len();
            block.extend_from_slice(text);
            block.push(b' ');
            Span::new(start, start + text.len())
        })
        .collect();
    (block, spans)
}

fn text_of(ty: ColumnType, texts: &[&[u8]]) -> (Vec<Option<String>>, Vec<u32>) {
    let (block, spans) = block_of(texts);
    let mut bad = Vec::new();
    let array = Converter::new(ty).array(&block, &spans, &mut bad);
    views_are_valid(array.as_string_view());
    let values = array.as_string_view().iter().map(|value| value.map(str::to_owned)).collect();
    (values, bad.iter().map(|bad| bad.row).collect())
}

/// What the unsafe construction promises.
fn views_are_valid(array: &StringViewArray) {
    StringViewArray::try_new(array.views().clone(), array.data_buffers().to_vec(), array.nulls().cloned())
        .unwrap();
}

#[test]
fn addresses_are_kept_as_text_and_checked() {
    let (values, bad) = text_of(
        ColumnType::Address,
        &[b"10.0.1.20", b"-", b"198.51.100.127", b"198.51.100.127", b"2001:db8::1", b"10.0.1.256", b""],
    );
    let expected =
        [Some("10.0.1.20"), None, Some("198.51.100.127"), Some("198.51.100.127"), Some("2001:db8::1")];
    assert_eq!(values.iter().map(Option::as_deref).take(5).collect::<Vec<_>>(), expected);
    assert_eq!(values[5..], [None, None]);
    assert_eq!(bad, [5]);
}

#[test]
fn percent_text_is_decoded_and_other_text_is_not() {
    let (values, _) = text_of(ColumnType::PercentText, &[b"web%20tier", b"100%", b"%FF", b"caf%C3%A9"]);
    assert_eq!(values, ["web tier", "100%", "%FF", "café"].map(|value| Some(value.to_owned())));
    let (values, _) =
        text_of(ColumnType::Text, &[b"web%20tier", b"a\xFFb", "eni-0123456789abcdef0é".as_bytes()]);
    assert_eq!(
        values,
        ["web%20tier", "a\\xFFb", "eni-0123456789abcdef0é"].map(|value| Some(value.to_owned()))
    );
}

#[test]
fn numbers_and_times_are_read_or_named_as_bad() {
    let (block, spans) = block_of(&[b"443", b"-", b"abc", b"4294967296", b"2147483647"]);
    let mut bad = Vec::new();
    let ports = Converter::new(ColumnType::Int32).array(&block, &spans, &mut bad);
    assert_eq!(
        ports.as_primitive::<arrow::datatypes::Int32Type>().iter().collect::<Vec<_>>(),
        [Some(443), None, None, None, Some(2_147_483_647)]
    );
    assert_eq!(bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [2, 3]);

    let (block, spans) = block_of(&[b"1616729292", b"1616729292", b"-", b"16167292x2", b"16167292x2"]);
    let mut bad = Vec::new();
    let times = Converter::new(ColumnType::EpochSeconds).array(&block, &spans, &mut bad);
    assert_eq!(times.data_type(), &format::timestamp());
    let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(
        times.iter().collect::<Vec<_>>(),
        [Some(1_616_729_292_000_000), Some(1_616_729_292_000_000), None, None, None]
    );
    assert_eq!(bad.len(), 2);
    // 2021-03-26 is 18712 days after 1970-01-01.
    assert_eq!(event_dates(times).iter().collect::<Vec<_>>(), [Some(18712), Some(18712), None, None, None]);
}

#[test]
fn what_lies_beyond_the_columns_is_a_map() {
    let block = b"7 new-value 9";
    let mut cells = Cells::default();
    cells.reset(&Wanted::new(3, &[0], true));
    cells.push_row(1, Span::new(0, 13));
    cells.push_row(2, Span::new(0, 13));
    cells.extra.push(Extra { row: 1, field: ExtraField::Header(0), span: Span::new(2, 11) });
    cells.extra.push(Extra { row: 1, field: ExtraField::Position(35), span: Span::new(12, 13) });
    let map = extras(block, &cells, &["new-field".to_owned()]);
    assert_eq!(map.data_type(), &format::extra_type());
    assert!(map.is_null(0));
    assert_eq!(map.keys().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["new-field", "field_35"]);
    assert_eq!(map.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["new-value", "9"]);
    assert_eq!(lines(&cells).values(), &[1, 2]);
}

#[test]
fn a_reason_names_the_field_and_shows_the_text() {
    let column = &crate::format::flow::COLUMNS[5];
    assert_eq!(refusal_reason(column, b"abc"), "srcport: expected a 32-bit integer, found \"abc\"");
}

#[test]
fn a_repeated_text_is_the_same_in_each_row() {
    for text in ["short", "s3-dump/AWSLogs/123456789012/vpcflowlogs/x.log.gz"] {
        let array = repeated(text, 3);
        views_are_valid(&array);
        assert!(array.iter().all(|value| value == Some(text)));
        assert_eq!(array.get().0.len(), 3);
    }
}

fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![
        "[0-9]{1,12}".prop_map(String::into_bytes),
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}".prop_map(String::into_bytes),
        "(10\\.0\\.0\\.[12]|192\\.168\\.100\\.1[0-3])".prop_map(String::into_bytes),
        "eni-0123456789abcde[0-3]{1,2}".prop_map(String::into_bytes),
        "[-a-f:%é]{0,24}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..30),
        Just(b"-".to_vec()),
    ];
    proptest::collection::vec(one, 0..200)
}

proptest! {
    /// The store keeps the keyed form, SQL over raw files this one: they must hold the same values.
    #[test]
    fn text_is_what_the_store_keeps(texts in texts(), which in 0usize..3) {
        let ty = [ColumnType::Text, ColumnType::Address, ColumnType::PercentText][which];
        let (block, spans) = block_of(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut converter = Converter::new(ty);
        for spans in [spans.as_slice(), spans.as_slice()] {
            let (mut bad, mut keyed_bad) = (Vec::new(), Vec::new());
            let array = converter.array(&block, spans, &mut bad);
            views_are_valid(array.as_string_view());
            let mut keyed = KeyedColumn::new(ty);
            keyed.push_spans(&block, spans, &mut keyed_bad);
            let Values::Text(values) = &keyed.values else { panic!("text") };
            for (row, value) in array.as_string_view().iter().enumerate() {
                let kept = (keyed.keys[row] != NULL).then(|| values.get(keyed.keys[row] as usize));
                prop_assert_eq!(value.map(str::as_bytes), kept);
            }
            prop_assert_eq!(bad, keyed_bad);
        }
    }

    #[test]
    fn numbers_are_what_the_store_keeps(texts in texts(), which in 0usize..4) {
        let ty = [ColumnType::Int32, ColumnType::Int64, ColumnType::EpochSeconds, ColumnType::Time][which];
        let (block, spans) = block_of(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (mut bad, mut keyed_bad) = (Vec::new(), Vec::new());
        let array = Converter::new(ty).array(&block, &spans, &mut bad);
        let mut keyed = KeyedColumn::new(ty);
        keyed.push_spans(&block, &spans, &mut keyed_bad);
        let Values::Int(values) = &keyed.values else { panic!("integers") };
        let wide = match ty {
            ColumnType::Int32 => array.as_primitive::<arrow::datatypes::Int32Type>().unary(i64::from),
            ColumnType::Int64 => array.as_primitive::<arrow::datatypes::Int64Type>().clone(),
            _ => array
                .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
                .reinterpret_cast::<arrow::datatypes::Int64Type>(),
        };
        for (row, value) in wide.iter().enumerate() {
            let kept = (keyed.keys[row] != NULL).then(|| values.get(keyed.keys[row]).unwrap());
            prop_assert_eq!(value, kept);
        }
        prop_assert_eq!(bad, keyed_bad);
    }
}
