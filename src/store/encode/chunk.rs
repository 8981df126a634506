//! One column of a row group: dictionary page, data pages, statistics, bloom filter, page index.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, PageType, Type as PhysicalType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::zstd_safe::CParameter;

use super::bits;
use super::bounds::Bounds;
use super::prefixed;
use crate::parse::keyed::{KeyedColumn, NULL, Order, Values};

/// Rows of a data page: what a reader has to decode to get at one of them.
const PAGE_ROWS: usize = 64 * 1024;

/// Pages of texts without a dictionary are cut by their size as well.
const PAGE_BYTES: usize = 1 << 20;

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
    places: Vec<u32>,
    numbers: Vec<i64>,
    lengths: Vec<i64>,
    /// Buffers of chunks that have been written.
    spare: Vec<Vec<u8>>,
}

/// Buffers of more chunks than this are not kept.
const SPARE: usize = 64;

/// How the values of a chunk are laid out.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Dictionary { width: u8 },
    Delta,
    Prefixed,
    Plain,
}

impl Encoder {
    /// An encoder that compresses with zstd at this level.
    pub fn new(level: i32) -> std::io::Result<Encoder> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        // What repeats in pages of keys is long or by chance: looking for short matches costs more than it saves, and a small
        // table of places stays in the cache.
        compressor.set_parameter(CParameter::MinMatch(7))?;
        compressor.set_parameter(CParameter::HashLog(10))?;
        Ok(Encoder {
            compressor,
            page: Vec::new(),
            compressed: Vec::new(),
            present: Vec::new(),
            places: Vec::new(),
            numbers: Vec::new(),
            lengths: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// Takes back the buffers of a row group's chunks, in their order, for those of the next: fresh ones cost page faults.
    pub fn recycle(&mut self, chunks: impl DoubleEndedIterator<Item = Bytes>) {
        self.spare.clear();
        // The last one put there is taken first, so that each column gets its own again.
        for bytes in chunks.rev().take(SPARE) {
            let mut buffer = bytes.try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
            if buffer.capacity() > 2 * buffer.len() {
                buffer = Vec::new();
            }
            buffer.clear();
            self.spare.push(buffer);
        }
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
        if codec == Compression::UNCOMPRESSED {
            return Ok(Bytes::copy_from_slice(&self.page));
        }
        compress(self)?;
        Ok(Bytes::copy_from_slice(&self.compressed))
    }
}

/// A data page as it is written.
struct DataPage {
    nulls: u64,
    /// Bytes before compression.
    size: usize,
    bytes: Bytes,
}

/// A dictionary page as it is written.
struct DictionaryPage {
    /// Values.
    count: usize,
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
    bounds: Bounds<'a>,
    /// The dictionary of integers.
    order: Option<Order<'a>>,
}

impl<'a> Chunk<'a> {
    fn new(descr: &'a ColumnDescPtr, column: &'a KeyedColumn) -> Chunk<'a> {
        let order = match &column.values {
            Values::Int(ints) if !ints.is_plain() => Some(ints.order()),
            _ => None,
        };
        let form = match &column.values {
            Values::Text(text) if !text.is_plain() => {
                Form::Dictionary { width: whole_bytes(bits::width_of(text.len()), 9) }
            }
            Values::Float(floats) if !floats.is_plain() => {
                Form::Dictionary { width: bits::width_of(floats.len()) }
            }
            Values::Text(text) if prefixed::pays((0..text.len()).map(|key| text.get(key))) => Form::Prefixed,
            Values::Text(_) | Values::Float(_) => Form::Plain,
            Values::Int(_) => match &order {
                Some(order) => Form::Dictionary { width: whole_bytes(bits::width_of(order.len()), 13) },
                None => Form::Delta,
            },
        };
        let physical = descr.physical_type();
        Chunk { descr, column, physical, form, bounds: Bounds::new(column, physical), order }
    }

    fn write(&self, encoder: &mut Encoder, options: ChunkOptions) -> Result<EncodedChunk> {
        let mut sink = TrackedWrite::new(encoder.spare.pop().unwrap_or_default());
        let mut pages = SerializedPageWriter::new(&mut sink);
        let mut sizes = (0i64, 0i64);
        let mut codec = Compression::ZSTD(ZstdLevel::try_new(1)?);

        let rows = self.column.keys.len();
        let mut cuts = Vec::new();
        let mut from = 0;
        while from < rows || cuts.is_empty() {
            let to = self.page_end(from);
            cuts.push(from..to);
            from = to;
        }

        // The dictionary and the first data page decide whether compressing pays: packed keys of many values may not shrink.
        let mut dictionary = match self.form {
            Form::Dictionary { .. } => Some(self.dictionary_page(encoder, codec)?),
            _ => None,
        };
        let mut first_page = None;
        if let Some(first) = cuts.first() {
            let nulls = self.body(first.clone(), encoder);
            let mut page = DataPage { nulls, size: encoder.page.len(), bytes: encoder.finish(codec)? };
            let (mut size, mut written) = (page.size * cuts.len(), page.bytes.len() * cuts.len());
            if let Some(dictionary) = &dictionary {
                size += dictionary.size;
                written += dictionary.bytes.len();
            }
            if written * 100 > size * 96 && size > 4096 {
                codec = Compression::UNCOMPRESSED;
                page.bytes = encoder.finish(codec)?;
                if dictionary.is_some() {
                    dictionary = Some(self.dictionary_page(encoder, codec)?);
                }
            }
            first_page = Some(page);
        }

        let mut encoding_stats = Vec::new();
        let mut dictionary_offset = None;
        if let Some(DictionaryPage { count, size, bytes }) = dictionary {
            let page = Page::DictionaryPage {
                buf: bytes,
                num_values: count as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let spec = pages.write_page(CompressedPage::new(page, size))?;
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
            Form::Prefixed => Encoding::DELTA_BYTE_ARRAY,
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
            match self.bounds.page(cut) {
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
        if let Some(statistics) = self.bounds.chunk(nulls) {
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
        let (Form::Plain | Form::Prefixed, Values::Text(text)) = (self.form, &self.column.values) else {
            return most;
        };
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
        encoder.present.clear();
        let mut present = keys;
        if nulls > 0 {
            present_only(keys, nulls, &mut encoder.present);
            present = &encoder.present;
        }
        if let Some(order) = &self.order {
            encoder.places.clear();
            order.places(present, &mut encoder.places);
            present = &encoder.places;
        }
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
            (Form::Prefixed, Values::Text(text)) => {
                let texts = present.iter().map(|key| text.get(*key as usize));
                prefixed::append(texts, &mut encoder.numbers, &mut encoder.lengths, &mut encoder.page);
            }
            (_, Values::Text(text)) => {
                present.iter().for_each(|key| plain_text(text.get(*key as usize), &mut encoder.page))
            }
            (_, Values::Float(floats)) => {
                let present = present.iter().filter_map(|key| floats.get(*key));
                encoder.page.extend(present.flat_map(|value| value.to_le_bytes()));
            }
        }
        nulls as u64
    }

    fn dictionary_page(&self, encoder: &mut Encoder, codec: Compression) -> Result<DictionaryPage> {
        encoder.page.clear();
        let count = self.dictionary_body(&mut encoder.page);
        Ok(DictionaryPage { count, size: encoder.page.len(), bytes: encoder.finish(codec)? })
    }

    /// Writes the dictionary's values in their order; returns how many there are.
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
            Values::Float(floats) => {
                out.extend(floats.values().flat_map(f64::to_le_bytes));
                floats.len()
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

fn plain_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// Keys of nearly sixteen bits are packed into whole bytes: compression finds what repeats only where it begins with
/// a byte. Texts come in runs and patterns and gain by it from `least` bits on, numbers less.
fn whole_bytes(width: u8, least: u8) -> u8 {
    if (least..16).contains(&width) { 16 } else { width }
}

/// Appends the keys that are not null, given how many are.
fn present_only(keys: &[u32], nulls: usize, out: &mut Vec<u32>) {
    let start = out.len();
    if nulls >= keys.len() {
        return;
    }
    // One place more, and each key written before it is known to count: that takes no branch that cannot be foreseen.
    out.resize(start + keys.len() - nulls + 1, 0);
    let places = out.get_mut(start..).unwrap_or_default();
    let mut count = 0;
    for &key in keys {
        if let Some(place) = places.get_mut(count) {
            *place = key;
        }
        count += usize::from(key != NULL);
    }
    out.pop();
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
