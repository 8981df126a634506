//! Where the pages of a column chunk lie, and whether keys can be read of them.

use parquet::basic::{Compression, Encoding, Type as PhysicalType};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

/// A data page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageAt {
    /// Its header's place in the file.
    pub offset: u64,
    /// Bytes, its header included.
    pub length: usize,
    /// The first of its rows in the row group.
    pub first: usize,
    /// How many it has.
    pub rows: usize,
}

/// A column chunk that has a dictionary, and nothing but keys into it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where its dictionary page lies.
    pub dictionary: u64,
    /// Where its data pages begin.
    pub data: u64,
    /// Where they end.
    pub end: u64,
    /// Whether pages are compressed, with zstd.
    pub compressed: bool,
    /// The type of its values.
    pub physical: PhysicalType,
    /// How many rows it has.
    pub rows: usize,
    /// Whether rows may be without a value.
    pub nullable: bool,
    /// Whether some are, as far as the file tells.
    pub has_nulls: bool,
    /// Its pages; none where the file does not tell, or was not asked.
    pub pages: Vec<PageAt>,
}

impl Place {
    /// Where the pages of this column lie; `None` where it is not made of keys alone, or in a way that is not read here.
    pub fn of(column: &ColumnChunkMetaData, index: Option<&OffsetIndexMetaData>) -> Option<Place> {
        let descr = column.column_descr();
        let only = |encoding| column.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(encoding));
        let of_keys = only(Encoding::RLE_DICTIONARY) || only(Encoding::PLAIN_DICTIONARY);
        let compressed = match column.compression() {
            Compression::UNCOMPRESSED => false,
            Compression::ZSTD(_) => true,
            _ => return None,
        };
        if !of_keys || descr.max_rep_level() != 0 || descr.max_def_level() > 1 {
            return None;
        }
        let dictionary = u64::try_from(column.dictionary_page_offset()?).ok()?;
        let data = u64::try_from(column.data_page_offset()).ok()?;
        let end = dictionary.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
        let rows = usize::try_from(column.num_values()).ok()?;
        if data <= dictionary || end < data {
            return None;
        }
        let mut place = Place {
            dictionary,
            data,
            end,
            compressed,
            physical: column.column_type(),
            rows,
            nullable: descr.max_def_level() == 1,
            has_nulls: column.statistics().and_then(|found| found.null_count_opt()) != Some(0),
            pages: Vec::new(),
        };
        place.pages = index.and_then(|index| place.pages_of(index)).unwrap_or_default();
        Some(place)
    }

    fn pages_of(&self, index: &OffsetIndexMetaData) -> Option<Vec<PageAt>> {
        let locations = index.page_locations();
        let firsts = locations.iter().skip(1).map(|page| page.first_row_index);
        let ends = firsts.map(|first| usize::try_from(first).ok()).chain([Some(self.rows)]);
        let mut next = 0;
        let pages = locations.iter().zip(ends).map(|(page, end)| {
            let first = usize::try_from(page.first_row_index).ok()?;
            let length = usize::try_from(page.compressed_page_size).ok()?;
            let offset = u64::try_from(page.offset).ok()?;
            let within = offset >= self.data && offset.checked_add(length as u64)? <= self.end;
            let rows = end?.checked_sub(first)?;
            if first != next || !within {
                return None;
            }
            next = first + rows;
            Some(PageAt { offset, length, first, rows })
        });
        pages.collect()
    }
}
