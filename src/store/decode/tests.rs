//! Keys and the dictionaries that they lead into against what the `parquet` crate's reader gives, row by row.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, Type as PhysicalType, ZstdLevel};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::{Answers, Bits, Column, Place};
use crate::format::ColumnType;
use crate::parse::keyed::NULL;
use crate::store::encode::tests::round_trip;

type Cell = Option<String>;

/// The cells of the only column of each row group.
fn wanted(bytes: &Bytes, group: usize) -> Vec<Cell> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let reader = reader.with_row_groups(vec![group]).build().unwrap();
    let mut cells = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let number = match batch.column(0).data_type() {
            DataType::Timestamp(..) => cast(batch.column(0), &DataType::Int64).unwrap(),
            _ => Arc::clone(batch.column(0)),
        };
        let texts = cast(&number, &DataType::Utf8).unwrap();
        cells.extend(texts.as_string::<i32>().iter().map(|cell| cell.map(str::to_owned)));
    }
    cells
}

/// The values of a dictionary, as text.
fn values(mut bytes: &[u8], count: usize, physical: PhysicalType) -> Vec<String> {
    let mut take = |length: usize| {
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        value.to_vec()
    };
    let value = |_| match physical {
        PhysicalType::INT32 => i32::from_le_bytes(take(4).try_into().unwrap()).to_string(),
        PhysicalType::INT64 => i64::from_le_bytes(take(8).try_into().unwrap()).to_string(),
        _ => {
            let length = u32::from_le_bytes(take(4).try_into().unwrap());
            String::from_utf8(take(length as usize)).unwrap()
        }
    };
    (0..count).map(value).collect()
}

/// Reads the column of each row group whole, in pieces and in parts, and asks it, in whichever order.
fn compare(bytes: &Bytes, piece: usize, every: usize, index: PageIndexPolicy) -> usize {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(index);
    let metadata = ArrowReaderMetadata::load(bytes, options).unwrap();
    let mut column = Column::default();
    let mut read = 0;
    for (at, group) in metadata.metadata().row_groups().iter().enumerate() {
        let index = metadata.metadata().offset_index().map(|index| &index[at][0]);
        let Some(place) = Place::of(group.column(0), index) else { continue };
        let (rows, physical) = (place.rows, place.physical);
        let wanted = wanted(bytes, at);
        column.begin(place);
        let (bytes, count) = column.dictionary(&file).unwrap();
        let values = values(bytes, count, physical);
        let cell = |key: &u32| (*key != NULL).then(|| values[*key as usize].clone());
        let pages = column.pages(&file).unwrap();
        assert_eq!(pages.iter().map(ExactSizeIterator::len).sum::<usize>(), rows);

        let mut keys = Vec::new();
        for from in (0..rows).step_by(piece) {
            column.keys(&file, from..rows.min(from + piece), None, &mut keys).unwrap();
        }
        assert_eq!(keys.iter().map(cell).collect::<Vec<_>>(), wanted);

        for every in [every, 1, 40] {
            column.begin(Place::of(group.column(0), None).unwrap());
            let mut chosen = Bits::default();
            (0..rows).for_each(|row| chosen.push(u64::from(row % every == 0), 1));
            keys.clear();
            column.keys(&file, 0..rows, Some(&chosen), &mut keys).unwrap();
            let found: Vec<Cell> = keys.iter().map(cell).collect();
            assert_eq!(found, wanted.iter().step_by(every).cloned().collect::<Vec<_>>());
        }
        for divisor in [3, count.max(1)] {
            let answers = Answers::new(
                (0..count).map(|key| u8::from(key % divisor == 0)).collect(),
                piece.is_multiple_of(2),
            );
            // Answers may be kept for a page, so each question begins anew.
            column.begin(Place::of(group.column(0), index).unwrap());
            let mut found = Bits::default();
            for from in (0..rows).step_by(piece) {
                column.test(&file, from..rows.min(from + piece), &answers, &mut found).unwrap();
            }
            keys.clear();
            column.keys(&file, 0..rows, None, &mut keys).unwrap();
            let found: Vec<bool> = (0..rows).map(|row| found.word_at(row) & 1 == 1).collect();
            let naive = |key: &u32| {
                if *key == NULL { answers.of_none } else { (*key as usize).is_multiple_of(divisor) }
            };
            assert_eq!(found, keys.iter().map(naive).collect::<Vec<_>>());
        }
        read += 1;
    }
    read
}

/// Values with runs, literals and rows without a value in turn.
fn cells() -> impl Strategy<Value = Vec<Option<i32>>> {
    let run = (prop_oneof![4 => 0..9i32, 1 => any::<i32>()], 1usize..60, any::<bool>(), 0u8..8);
    prop::collection::vec(run, 1..30).prop_map(|runs| {
        let cells = runs.into_iter().flat_map(|(value, count, repeats, null)| {
            (0..count as i32).map(move |at| match null {
                0 => None,
                _ => Some(if repeats { value } else { value.wrapping_add(at % 50) }),
            })
        });
        cells.collect()
    })
}

fn stock(array: ArrayRef, version: WriterVersion, zstd: bool, page: usize) -> Bytes {
    let schema =
        Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), array.null_count() > 0)]));
    let codec = if zstd { Compression::ZSTD(ZstdLevel::default()) } else { Compression::UNCOMPRESSED };
    let properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(codec)
        .set_max_row_group_row_count(Some(700))
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page.min(16))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties)).unwrap();
    writer.write(&RecordBatch::try_new(schema, vec![array]).unwrap()).unwrap();
    writer.close().unwrap();
    bytes.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn keys_of_the_stock_writer_are_its_values(
        cells in cells(), kind in 0..3, second in any::<bool>(), zstd in any::<bool>(), page in 1usize..200,
        piece in 1usize..300, every in 1usize..30, indexed in any::<bool>(),
    ) {
        let array: ArrayRef = match kind {
            0 => Arc::new(cells.iter().copied().collect::<Int32Array>()),
            1 => Arc::new(cells.iter().map(|cell| cell.map(i64::from)).collect::<Int64Array>()),
            _ => Arc::new(cells.iter().map(|cell| cell.map(|cell| cell.to_string())).collect::<StringArray>()),
        };
        let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        let bytes = stock(array, version, zstd, page);
        let index = if indexed { PageIndexPolicy::Required } else { PageIndexPolicy::Skip };
        prop_assert!(compare(&bytes, piece, every, index) > 0);
    }

    #[test]
    fn keys_of_our_own_encoder_are_its_values(
        cells in cells(), text in any::<bool>(), piece in 1usize..300, every in 1usize..30, indexed in any::<bool>(),
    ) {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.map_or("-".to_owned(), |cell| cell.to_string())).collect();
        let ty = if text { ColumnType::Text } else { ColumnType::Int64 };
        let (_, bytes) = round_trip(ty, &[cells.clone(), cells.into_iter().rev().collect()]);
        let index = if indexed { PageIndexPolicy::Required } else { PageIndexPolicy::Skip };
        prop_assert_eq!(compare(&bytes, piece, every, index), 2);
    }

    #[test]
    fn damaged_files_are_errors_or_other_values(
        cells in cells(), zstd in any::<bool>(), second in any::<bool>(),
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let texts = cells.iter().map(|cell| cell.map(|cell| cell.to_string())).collect::<StringArray>();
        let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        let bytes = stock(Arc::new(texts), version, zstd, 50);
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).unwrap();
        let group = metadata.metadata().row_group(0).column(0);
        let place = Place::of(group, None).unwrap();
        let mut damaged = bytes.to_vec();
        let at = place.dictionary as usize + at.index((place.end - place.dictionary) as usize);
        damaged[at] = byte;
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&damaged).unwrap();
        let (rows, mut column, mut keys) = (place.rows, Column::default(), Vec::new());
        column.begin(place.clone());
        let _ = column.dictionary(&file);
        if column.keys(&file, 0..rows, None, &mut keys).is_ok() {
            prop_assert_eq!(keys.len(), rows);
        }
        column.begin(place);
        let mut found = Bits::default();
        let _ = column.test(&file, 0..rows, &Answers::new(vec![1, 0, 1], false), &mut found);
        let mut chosen = Bits::default();
        (0..rows).for_each(|row| chosen.push(u64::from(row % 45 == 3), 1));
        let _ = column.keys(&file, 0..rows, Some(&chosen), &mut keys);
    }
}

#[test]
fn pages_of_many_rows_come_whole() {
    // Three pages, more than 65,536 distinct values, half of the rows one of a few, every 97th without one.
    let value = |row: u32| {
        if row.is_multiple_of(2) { row % 10 } else { row.wrapping_mul(2_654_435_761) % 1_000_000_000 }
    };
    let cells: Vec<String> =
        (0..150_000).map(|row| if row % 97 == 0 { "-".to_owned() } else { value(row).to_string() }).collect();
    for ty in [ColumnType::Text, ColumnType::Int32] {
        let (_, bytes) = round_trip(ty, std::slice::from_ref(&cells));
        assert_eq!(compare(&bytes, 32 * 1024, 999, PageIndexPolicy::Required), 1);
        assert_eq!(compare(&bytes, 10_007, 20, PageIndexPolicy::Skip), 1);
    }
}
