//! One column of a row group: dictionary page, data pages, statistics, bloom filter, page index.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type as PhysicalType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bits;
use crate::parse::keyed::{KeyedColumn, NULL, Order, TextValues, Values};

/// Rows of a data page: what a reader has to decode to get at one of them.
const PAGE_ROWS: usize = 64 * 1024;

/// Plain text pages are cut by their size as well.
const PAGE_BYTES: usize = 1 << 20;

/// Statistics keep this many bytes of a text.
const STATISTICS_BYTES: usize = 64;

/// Below this many distinct texts, each page's smallest and largest are worth finding.
const RANKED: usize = 4096;

/// How a column is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkOptions {
    /// Whether to write a bloom filter.
    pub bloom_filter: bool,
}

/// A column chunk ready to be appended to a row group.
pub struct EncodedChunk {
    /// The pages.
    pub bytes: Bytes,
    /// What the footer has to say of them.
    pub close: ColumnCloseResult,
}

/// Writes column chunks; keeps its buffers from one to the next.
pub struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    page: Vec<u8>,
    compressed: Vec<u8>,
    present: Vec<u32>,
    numbers: Vec<i64>,
}

/// How the values of a chunk are laid out.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Dictionary { width: u8 },
    Delta,
    Plain,
}

impl Encoder {
    /// An encoder that compresses with zstd at this level.
    pub fn new(level: i32) -> std::io::Result<Encoder> {
        Ok(Encoder {
            compressor: zstd::bulk::Compressor::new(level)?,
            page: Vec::new(),
            compressed: Vec::new(),
            present: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Writes one column of a row group. The column must be optional (definition level 0 or 1).
    pub fn encode(
        &mut self,
        descr: &ColumnDescPtr,
        column: &KeyedColumn,
        options: ChunkOptions,
    ) -> Result<EncodedChunk> {
        if descr.max_def_level() != 1 || descr.max_rep_level() != 0 {
            return Err(ParquetError::General(format!("{} is not an optional column", descr.path())));
        }
        let chunk = Chunk::new(descr, column);
        chunk.write(self, options)
    }

    /// The page as it is to be written.
    fn finish(&mut self, codec: Compression) -> Result<Bytes> {
        if codec != Compression::UNCOMPRESSED {
            compress(self)?;
        }
        Ok(self.written(codec))
    }

    /// The same, where it has been compressed already if the codec says so.
    fn written(&self, codec: Compression) -> Bytes {
        Bytes::copy_from_slice(match codec {
            Compression::UNCOMPRESSED => &self.page,
            _ => &self.compressed,
        })
    }
}

/// A data page as it is written.
struct DataPage {
    nulls: u64,
    /// Bytes before compression.
    size: usize,
    bytes: Bytes,
}

/// The work on one chunk.
struct Chunk<'a> {
    descr: &'a ColumnDescPtr,
    column: &'a KeyedColumn,
    physical: PhysicalType,
    form: Form,
    /// The rank of each text among the sorted ones, where they are few.
    ranks: Option<Ranks>,
    /// The dictionary of integers.
    order: Option<Order<'a>>,
}

struct Ranks {
    of: Vec<u32>,
    sorted: Vec<u32>,
}

impl<'a> Chunk<'a> {
    fn new(descr: &'a ColumnDescPtr, column: &'a KeyedColumn) -> Chunk<'a> {
        let order = match &column.values {
            Values::Int(ints) if !ints.is_plain() => Some(ints.order()),
            _ => None,
        };
        let form = match &column.values {
            Values::Text(text) if !text.plain => Form::Dictionary { width: bits::width_of(text.len()) },
            Values::Text(_) | Values::Float(_) => Form::Plain,
            Values::Int(_) => match &order {
                Some(order) => Form::Dictionary { width: bits::width_of(order.len()) },
                None => Form::Delta,
            },
        };
        let ranks = match &column.values {
            Values::Text(text) if !text.plain && text.len() <= RANKED => Some(rank(text)),
            _ => None,
        };
        Chunk { descr, column, physical: descr.physical_type(), form, ranks, order }
    }

    fn write(&self, encoder: &mut Encoder, options: ChunkOptions) -> Result<EncodedChunk> {
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut sink);
        let mut sizes = (0i64, 0i64);
        let mut codec = Compression::ZSTD(ZstdLevel::try_new(1)?);

        // The first data page decides whether compressing pays: packed keys of many values do not shrink.
        let rows = self.column.keys.len();
        let mut cuts = Vec::new();
        let mut from = 0;
        while from < rows || cuts.is_empty() {
            let to = self.page_end(from);
            cuts.push(from..to);
            from = to;
        }
        let mut first_page = None;
        if let Some(first) = cuts.first() {
            let nulls = self.body(first.clone(), encoder);
            if compress(encoder)? * 100 > encoder.page.len() * 96 && encoder.page.len() > 4096 {
                codec = Compression::UNCOMPRESSED;
            }
            first_page = Some(DataPage { nulls, size: encoder.page.len(), bytes: encoder.written(codec) });
        }

        let mut encoding_stats = Vec::new();
        let mut dictionary_offset = None;
        if matches!(self.form, Form::Dictionary { .. }) {
            encoder.page.clear();
            let count = self.dictionary_body(&mut encoder.page);
            let page = Page::DictionaryPage {
                buf: encoder.finish(codec)?,
                num_values: count as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let spec = pages.write_page(CompressedPage::new(page, encoder.page.len()))?;
            sizes = (sizes.0 + spec.uncompressed_size as i64, sizes.1 + spec.compressed_size as i64);
            dictionary_offset = Some(spec.offset as i64);
            encoding_stats.push(PageEncodingStats {
                page_type: PageType::DICTIONARY_PAGE,
                encoding: Encoding::PLAIN,
                count: 1,
            });
        }
        let encoding = match self.form {
            Form::Dictionary { .. } => Encoding::RLE_DICTIONARY,
            Form::Delta => Encoding::DELTA_BINARY_PACKED,
            Form::Plain => Encoding::PLAIN,
        };
        let mut offsets = OffsetIndexBuilder::new();
        let mut index = ColumnIndexBuilder::new(self.physical);
        let mut data_offset = None;
        let mut nulls = 0;
        let page_count = cuts.len() as i32;
        for cut in cuts {
            let page_rows = cut.len();
            let DataPage { nulls: page_nulls, size, bytes } = match first_page.take() {
                Some(first) => first,
                None => {
                    let nulls = self.body(cut.clone(), encoder);
                    DataPage { nulls, size: encoder.page.len(), bytes: encoder.finish(codec)? }
                }
            };
            nulls += page_nulls;
            let page = Page::DataPage {
                buf: bytes,
                num_values: page_rows as u32,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let spec = pages.write_page(CompressedPage::new(page, size))?;
            sizes = (sizes.0 + spec.uncompressed_size as i64, sizes.1 + spec.compressed_size as i64);
            data_offset.get_or_insert(spec.offset as i64);
            offsets.append_row_count(page_rows as i64);
            offsets.append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
            match self.page_bounds(cut) {
                _ if page_nulls == page_rows as u64 => {
                    index.append(true, Vec::new(), Vec::new(), page_nulls as i64)
                }
                Some((least, most)) => index.append(false, least, most, page_nulls as i64),
                None => index.to_invalid(),
            }
        }
        encoding_stats.push(PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding,
            count: page_count,
        });
        pages.close()?;

        let mut levels = LevelHistogram::try_new(1);
        if let Some(levels) = &mut levels {
            levels.increment_by(0, nulls as i64);
            levels.increment_by(1, rows as i64 - nulls as i64);
        }
        let mut encodings = vec![Encoding::RLE, encoding];
        if dictionary_offset.is_some() {
            encodings.push(Encoding::PLAIN);
        }
        let mut metadata = ColumnChunkMetaData::builder(self.descr.clone())
            .set_compression(codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(encoding_stats)
            .set_total_compressed_size(sizes.1)
            .set_total_uncompressed_size(sizes.0)
            .set_num_values(rows as i64)
            .set_data_page_offset(data_offset.unwrap_or(0))
            .set_dictionary_page_offset(dictionary_offset)
            .set_definition_level_histogram(levels);
        if let Some(statistics) = self.statistics(nulls) {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: sizes.1 as u64,
            rows_written: rows as u64,
            metadata: metadata.build()?,
            bloom_filter: if options.bloom_filter { self.bloom_filter()? } else { None },
            column_index: if index.valid() { Some(index.build()?) } else { None },
            offset_index: Some(offsets.build()),
        };
        Ok(EncodedChunk { bytes: Bytes::from(sink.into_inner()?), close })
    }

    /// The row at which the page that begins at `from` ends.
    fn page_end(&self, from: usize) -> usize {
        let rows = self.column.keys.len();
        let most = (from + PAGE_ROWS).min(rows);
        let (Form::Plain, Values::Text(text)) = (self.form, &self.column.values) else { return most };
        let mut bytes = 0;
        for (offset, &key) in self.column.keys.get(from..most).unwrap_or_default().iter().enumerate() {
            bytes += if key == NULL { 0 } else { text.get(key as usize).len() + 4 };
            if bytes > PAGE_BYTES {
                return from + offset + 1;
            }
        }
        most
    }

    /// Writes a page's body into the encoder's page buffer; returns how many of its rows are null.
    fn body(&self, rows: std::ops::Range<usize>, encoder: &mut Encoder) -> u64 {
        let keys = self.column.keys.get(rows).unwrap_or_default();
        encoder.page.clear();
        let nulls = keys.iter().filter(|key| **key == NULL).count();
        definition_levels(keys, nulls, &mut encoder.page);
        let keys_present = keys.iter().filter(|key| **key != NULL);
        encoder.present.clear();
        match &self.order {
            Some(order) if nulls == 0 => encoder.present.extend(keys.iter().map(|key| order.place(*key))),
            Some(order) => encoder.present.extend(keys_present.map(|key| order.place(*key))),
            None if nulls == 0 => {}
            None => encoder.present.extend(keys_present),
        }
        let present = if self.order.is_none() && nulls == 0 { keys } else { &encoder.present };
        match (self.form, &self.column.values) {
            (Form::Dictionary { width }, _) => {
                encoder.page.push(width);
                bits::hybrid(present, width, &mut encoder.page);
            }
            (_, Values::Int(ints)) => {
                encoder.numbers.clear();
                encoder.numbers.extend(present.iter().filter_map(|key| ints.get(*key)));
                bits::delta(&encoder.numbers, &mut encoder.page);
            }
            (_, Values::Text(text)) => {
                present.iter().for_each(|key| plain_text(text.get(*key as usize), &mut encoder.page))
            }
            (_, Values::Float(floats)) => {
                let present = present.iter().filter_map(|key| floats.get(*key as usize));
                encoder.page.extend(present.flat_map(|value| value.to_le_bytes()));
            }
        }
        nulls as u64
    }

    fn dictionary_body(&self, out: &mut Vec<u8>) -> usize {
        match &self.column.values {
            Values::Text(text) => {
                (0..text.len()).for_each(|key| plain_text(text.get(key), out));
                text.len()
            }
            Values::Int(_) => {
                let Some(order) = &self.order else { return 0 };
                for value in order.values() {
                    match self.physical {
                        PhysicalType::INT32 => out.extend_from_slice(&(value as i32).to_le_bytes()),
                        _ => out.extend_from_slice(&value.to_le_bytes()),
                    }
                }
                order.len()
            }
            Values::Float(_) => 0,
        }
    }

    /// The least and the greatest value of a page, in Parquet's plain form; `None` where they were not worth finding.
    fn page_bounds(&self, rows: std::ops::Range<usize>) -> Option<(Vec<u8>, Vec<u8>)> {
        let keys = self.column.keys.get(rows)?.iter().filter(|key| **key != NULL);
        match &self.column.values {
            Values::Int(ints) => {
                let mut values = keys.filter_map(|key| ints.get(*key));
                let first = values.next()?;
                let (least, most) = values.fold((first, first), |(a, b), value| (a.min(value), b.max(value)));
                let bytes = |value: i64| match self.physical {
                    PhysicalType::INT32 => (value as i32).to_le_bytes().to_vec(),
                    _ => value.to_le_bytes().to_vec(),
                };
                Some((bytes(least), bytes(most)))
            }
            Values::Text(text) => {
                let ranks = self.ranks.as_ref()?;
                let mut values = keys.filter_map(|key| ranks.of.get(*key as usize).copied());
                let first = values.next()?;
                let (least, most) = values.fold((first, first), |(a, b), value| (a.min(value), b.max(value)));
                let bytes =
                    |rank: u32| ranks.sorted.get(rank as usize).map(|key| text.get(*key as usize).to_vec());
                Some((bytes(least)?, bytes(most)?))
            }
            Values::Float(_) => None,
        }
    }

    /// The chunk's bounds. Unused values of the dictionary may widen them; they never narrow them.
    fn statistics(&self, nulls: u64) -> Option<Statistics> {
        let nulls = Some(nulls);
        match &self.column.values {
            Values::Int(ints) => {
                let (least, most) = ints.bounds().unzip();
                Some(match self.physical {
                    PhysicalType::INT32 => {
                        Statistics::int32(least.map(|v| v as i32), most.map(|v| v as i32), None, nulls, false)
                    }
                    _ => Statistics::int64(least, most, None, nulls, false),
                })
            }
            Values::Text(text) => {
                let (least, most) = match &self.ranks {
                    Some(ranks) => (ranks.sorted.first().copied(), ranks.sorted.last().copied()),
                    None => {
                        let by_text = |a: &u32, b: &u32| text.get(*a as usize).cmp(text.get(*b as usize));
                        ((0..text.len() as u32).min_by(by_text), (0..text.len() as u32).max_by(by_text))
                    }
                };
                let least = least.map(|key| text.get(key as usize));
                let most = most.map(|key| text.get(key as usize));
                let (least, least_exact) = least.map_or((None, true), lower_bound);
                let (most, most_exact) = most.map_or((None, true), upper_bound);
                Some(Statistics::ByteArray(
                    ValueStatistics::new(least, most, None, nulls, false)
                        .with_min_is_exact(least_exact)
                        .with_max_is_exact(most_exact),
                ))
            }
            Values::Float(floats) => {
                let least = floats.iter().copied().min_by(f64::total_cmp);
                let most = floats.iter().copied().max_by(f64::total_cmp);
                Some(Statistics::double(least, most, None, nulls, false))
            }
        }
    }

    fn bloom_filter(&self) -> Result<Option<Sbbf>> {
        let Values::Text(text) = &self.column.values else { return Ok(None) };
        if text.is_empty() {
            return Ok(None);
        }
        let mut filter = Sbbf::new_with_ndv_fpp(text.len() as u64, 0.02)?;
        (0..text.len()).for_each(|key| filter.insert(text.get(key)));
        Ok(Some(filter))
    }
}

fn rank(text: &TextValues) -> Ranks {
    let mut sorted: Vec<u32> = (0..text.len() as u32).collect();
    sorted.sort_unstable_by(|a, b| text.get(*a as usize).cmp(text.get(*b as usize)));
    let mut of = vec![0; sorted.len()];
    for (rank, key) in sorted.iter().enumerate() {
        if let Some(place) = of.get_mut(*key as usize) {
            *place = rank as u32;
        }
    }
    Ranks { of, sorted }
}

/// A text that is not greater, and whether it is the text itself.
fn lower_bound(text: &[u8]) -> (Option<ByteArray>, bool) {
    match std::str::from_utf8(text) {
        Ok(whole) if whole.len() > STATISTICS_BYTES => {
            let cut = whole.floor_char_boundary(STATISTICS_BYTES);
            (Some(ByteArray::from(&whole[..cut])), false)
        }
        _ => (Some(ByteArray::from(text.to_vec())), true),
    }
}

/// A text that is not less, and whether it is the text itself; none where a cut one cannot be raised.
fn upper_bound(text: &[u8]) -> (Option<ByteArray>, bool) {
    let Ok(whole) = std::str::from_utf8(text) else { return (None, true) };
    if whole.len() <= STATISTICS_BYTES {
        return (Some(ByteArray::from(text.to_vec())), true);
    }
    let cut = &whole[..whole.floor_char_boundary(STATISTICS_BYTES)];
    // Raise the last ASCII character that can be raised, and drop what follows it.
    let raised = cut.bytes().rposition(|byte| byte < 0x7E && byte.is_ascii()).and_then(|at| {
        let mut kept = cut.get(..at + 1)?.as_bytes().to_vec();
        *kept.last_mut()? += 1;
        Some(ByteArray::from(kept))
    });
    (raised, false)
}

fn plain_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// The levels that say which rows have a value, with their length before them.
fn definition_levels(keys: &[u32], nulls: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if nulls == 0 || nulls == keys.len() {
        bits::varint((keys.len() as u64) << 1, out);
        out.push(u8::from(nulls == 0));
    } else {
        bits::varint(((keys.len().div_ceil(8) as u64) << 1) | 1, out);
        out.extend(keys.chunks(8).map(|eight| {
            eight.iter().enumerate().fold(0u8, |byte, (bit, key)| byte | (u8::from(*key != NULL) << bit))
        }));
    }
    let length = (out.len() - start - 4) as u32;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn compress(encoder: &mut Encoder) -> Result<usize> {
    encoder.compressed.clear();
    encoder.compressed.reserve(zstd::zstd_safe::compress_bound(encoder.page.len()));
    encoder
        .compressor
        .compress_to_buffer(&encoder.page, &mut encoder.compressed)
        .map_err(|error| ParquetError::External(Box::new(error)))
}
