//! What the encoder writes, read back by the `parquet` crate.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Field, Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use proptest::prelude::*;

use super::{ChunkOptions, Encoder};
use crate::format::ColumnType;
use crate::parse::cells::Span;
use crate::parse::keyed::KeyedColumn;

/// Writes each group of cells as a row group of one column, and reads the file back.
pub(in crate::store) fn round_trip(ty: ColumnType, groups: &[Vec<String>]) -> (Vec<RecordBatch>, Bytes) {
    let schema = Schema::new(vec![Field::new("c", ty.data_type(), true)]);
    let parquet = ArrowSchemaConverter::new().convert(&schema).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), parquet.root_schema_ptr(), properties).unwrap();
    let mut encoder = Encoder::new(1).unwrap();
    let mut column = KeyedColumn::new(ty);
    for cells in groups {
        column.clear();
        let mut block = Vec::new();
        let mut spans = Vec::new();
        for cell in cells {
            let start = block.len();
            block.extend_from_slice(cell.as_bytes());
            spans.push(Span::new(start, block.len()));
            block.push(b' ');
        }
        let mut bad = Vec::new();
        for chunk in spans.chunks(4096) {
            column.push_spans(&block, chunk, &mut bad);
        }
        assert!(bad.is_empty(), "{bad:?}");
        let descr = writer.schema_descr().column(0);
        let chunk = encoder.encode(&descr, &column, ChunkOptions { bloom_filter: true }).unwrap();
        let mut group = writer.next_row_group().unwrap();
        group.append_column(&chunk.bytes, chunk.close).unwrap();
        group.close().unwrap();
    }
    let bytes = Bytes::from(writer.into_inner().unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())
        .unwrap()
        .with_batch_size(100_000)
        .build()
        .unwrap();
    (reader.map(Result::unwrap).collect(), bytes)
}

fn cells_of(ty: ColumnType, batches: &[RecordBatch]) -> Vec<Option<String>> {
    let mut cells = Vec::new();
    for batch in batches {
        let array = batch.column(0);
        for row in 0..array.len() {
            let value = match ty {
                ColumnType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
                ColumnType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
                ColumnType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
                ColumnType::EpochSeconds => {
                    (array.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000_000).to_string()
                }
                _ => array.as_string::<i32>().value(row).to_owned(),
            };
            cells.push((!array.is_null(row)).then_some(value));
        }
    }
    cells
}

fn expected(groups: &[Vec<String>]) -> Vec<Option<String>> {
    groups.iter().flatten().map(|cell| Some(cell.clone()).filter(|cell| cell != "-")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn numbers_come_back(
        values in prop::collection::vec(
            (prop_oneof![2 => 0i64..70_000, 1 => any::<i32>().prop_map(i64::from)], 1usize..40, 0u8..10), 0..300),
        wide in any::<bool>(),
    ) {
        // Runs, literals and nulls in turn.
        let cells: Vec<String> = values.iter().flat_map(|&(value, count, null)| {
            std::iter::repeat_n(if null == 0 { "-".to_owned() } else { value.to_string() }, count)
        }).collect();
        let ty = if wide { ColumnType::Int64 } else { ColumnType::Int32 };
        let groups = [cells.clone(), cells.into_iter().rev().collect()];
        let (batches, _) = round_trip(ty, &groups);
        prop_assert_eq!(cells_of(ty, &batches), expected(&groups));
    }

    #[test]
    fn texts_come_back(
        values in prop::collection::vec(("[a-zé0-9./:]{1,30}", 1usize..20, 0u8..10), 0..200),
    ) {
        let cells: Vec<String> = values.iter().flat_map(|(value, count, null)| {
            std::iter::repeat_n(if *null == 0 { "-".to_owned() } else { value.clone() }, *count)
        }).collect();
        let (batches, bytes) = round_trip(ColumnType::Text, std::slice::from_ref(&cells));
        prop_assert_eq!(cells_of(ColumnType::Text, &batches), expected(std::slice::from_ref(&cells)));
        let footer = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let statistics = footer.metadata().row_group(0).column(0).statistics().cloned();
        if let Some(Statistics::ByteArray(found)) = statistics {
            let texts = || cells.iter().filter(|cell| *cell != "-").map(|cell| cell.as_bytes());
            prop_assert_eq!(found.min_opt().map(|text| text.data()), texts().min());
            prop_assert_eq!(found.max_opt().map(|text| text.data()), texts().max());
            prop_assert_eq!(found.null_count_opt(), Some(cells.iter().filter(|cell| *cell == "-").count() as u64));
        }
    }
}

#[test]
fn every_width_of_keys_comes_back_over_several_pages() {
    for distinct in [1usize, 2, 3, 17, 255, 256, 257, 40_000, 70_000] {
        let cells: Vec<String> =
            (0..150_000usize).map(|row| ((row * 7919) % distinct + 100_000).to_string()).collect();
        let (batches, _) = round_trip(ColumnType::Int64, std::slice::from_ref(&cells));
        assert_eq!(cells_of(ColumnType::Int64, &batches), expected(&[cells]), "{distinct} values");
    }
}

#[test]
fn values_that_do_not_repeat_come_back_as_deltas_and_plain_texts() {
    let numbers: Vec<String> = (0..100_000i64).map(|row| (row * row * 31 - 5_000_000).to_string()).collect();
    let (batches, _) = round_trip(ColumnType::Int64, std::slice::from_ref(&numbers));
    assert_eq!(cells_of(ColumnType::Int64, &batches), expected(&[numbers]));
    let texts: Vec<String> =
        (0..60_000).map(|row| format!("https://www.example.com/{row:x}/{}", "a".repeat(row % 90))).collect();
    let (batches, bytes) = round_trip(ColumnType::Text, std::slice::from_ref(&texts));
    assert_eq!(cells_of(ColumnType::Text, &batches), expected(std::slice::from_ref(&texts)));
    let ids: Vec<String> = (0..60_000u64)
        .map(|row| {
            if row % 97 == 0 {
                "-".into()
            } else {
                format!("Root=1-{:08x}-{:024x}", row / 50, row.wrapping_mul(0x9E37_79B9))
            }
        })
        .collect();
    let (batches, file) = round_trip(ColumnType::Text, std::slice::from_ref(&ids));
    assert_eq!(cells_of(ColumnType::Text, &batches), expected(std::slice::from_ref(&ids)));
    let footer = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let encodings: Vec<Encoding> = footer.metadata().row_group(0).column(0).encodings().collect();
    assert!(encodings.contains(&Encoding::DELTA_BYTE_ARRAY), "{encodings:?}");
    // A cut statistic must still bound what it stands for.
    let footer = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let Some(Statistics::ByteArray(found)) = footer.metadata().row_group(0).column(0).statistics().cloned()
    else {
        panic!("text has statistics");
    };
    for text in &texts {
        assert!(found.min_opt().is_none_or(|least| least.data() <= text.as_bytes()));
        assert!(found.max_opt().is_none_or(|most| most.data() >= text.as_bytes()), "{text}");
    }
}

#[test]
fn times_and_decimals_come_back() {
    let times: Vec<String> = (0..5000)
        .map(|row| if row % 50 == 7 { "-".into() } else { (1_768_471_200 + row % 300).to_string() })
        .collect();
    let (batches, _) = round_trip(ColumnType::EpochSeconds, std::slice::from_ref(&times));
    assert_eq!(cells_of(ColumnType::EpochSeconds, &batches), expected(&[times]));
    let latencies: Vec<String> = (0..150_000)
        .map(|row| if row % 70 == 3 { "-".into() } else { format!("{}", (row * 31 % 2500) as f64 / 1000.0) })
        .collect();
    let (batches, _) = round_trip(ColumnType::Float64, std::slice::from_ref(&latencies));
    assert_eq!(cells_of(ColumnType::Float64, &batches), expected(&[latencies]));
    let distinct: Vec<String> = (0..60_000).map(|row| format!("{}", f64::from(row) / 7.0)).collect();
    let (batches, _) = round_trip(ColumnType::Float64, std::slice::from_ref(&distinct));
    assert_eq!(cells_of(ColumnType::Float64, &batches), expected(&[distinct]));
    let decimals: Vec<String> = ["0.5", "-1", "0.00008", "-", "12.25"].map(str::to_owned).to_vec();
    let (batches, _) = round_trip(ColumnType::Float64, std::slice::from_ref(&decimals));
    assert_eq!(cells_of(ColumnType::Float64, &batches), expected(&[decimals]));
}

#[test]
fn a_dictionary_that_shrinks_is_compressed_though_its_keys_do_not() {
    // Trace ids of connections: each comes twice, sixteen random bytes in hexadecimal digits.
    let id = |n: u64| {
        let mixed = |n: u64| (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("TID_{:016x}{:016x}", mixed(mixed(n)), mixed(mixed(!n)))
    };
    let cells: Vec<String> = (0..38_400u64).map(|row| id(row / 128 * 64 + row % 64)).collect();
    let (batches, file) = round_trip(ColumnType::Text, std::slice::from_ref(&cells));
    assert_eq!(cells_of(ColumnType::Text, &batches), expected(&[cells]));
    let footer = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let chunk = footer.metadata().row_group(0).column(0).clone();
    // Half a byte for a digit in place of one, and two bytes for a key.
    assert!(chunk.compressed_size() < 19_200 * (4 + 20 + 4) + 38_400 * 2, "{}", chunk.compressed_size());
}
