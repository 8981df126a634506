//! The rows of one column chunk as keys into its dictionary.

use std::fs::File;
use std::ops::Range;

use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};

use super::bits::Bits;
use super::header::{self, Kind};
use super::page::{Page, Raw, body_of, damaged, decompress};
use super::place::{PageAt, Place};
use super::runs::Runs;
use crate::parse::keyed::NULL;

/// One in so many rows of a page: if fewer are wanted, each is looked up by itself.
const SPARSE: usize = 16;

/// Reads column chunks, one after the other; keeps its buffers from one to the next.
#[derive(Default)]
pub struct Column {
    place: Option<Place>,
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    /// Bytes of the file, those that were read last.
    raw: Raw,
    /// The dictionary page, once it has been asked for: as it lies in the file, and where it was compressed the other.
    dictionary_raw: Raw,
    dictionary: Vec<u8>,
    entries: Option<Entries>,
    page: Page,
}

/// The values of a dictionary page.
#[derive(Clone)]
struct Entries {
    count: usize,
    /// Where they lie in the raw bytes, if they were not compressed.
    raw: Option<Range<usize>>,
}

impl Column {
    /// Turns to another chunk.
    pub fn begin(&mut self, place: Place) {
        self.place = Some(place);
        self.raw.length = 0;
        self.entries = None;
        self.page.rows = 0..0;
    }

    fn place(&self) -> Result<&Place> {
        self.place.as_ref().ok_or_else(|| ParquetError::General("no column has been chosen".to_owned()))
    }

    /// The first and the last row of each page.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn pages(&mut self, file: &File) -> Result<Vec<Range<usize>>> {
        self.find_pages(file)?;
        Ok(self.place()?.pages.iter().map(|page| page.first..page.first + page.rows).collect())
    }

    /// Finds the pages by their headers where the file's index was not read. Their bytes stay in memory.
    fn find_pages(&mut self, file: &File) -> Result<()> {
        let place = self.place()?;
        if !place.pages.is_empty() || place.rows == 0 {
            return Ok(());
        }
        let (data, rows, end) = (place.data, place.rows, place.end);
        let length = usize::try_from(end - data).map_err(|_| damaged("a column without an end"))?;
        self.raw.fill(file, data, length)?;
        let bytes = self.raw.get(data, length);
        let (mut pages, mut at, mut first) = (Vec::new(), 0, 0);
        while first < rows {
            let header = header::read(bytes.get(at..).unwrap_or_default())?;
            let length =
                header.length.checked_add(header.stored).ok_or_else(|| damaged("a page too long"))?;
            if matches!(header.kind, Kind::Data | Kind::DataV2 { .. }) {
                let rows = header.values;
                pages.push(PageAt { offset: data + at as u64, length, first, rows });
                first = first.checked_add(rows).ok_or_else(|| damaged("a page with too many rows"))?;
            }
            at = at.checked_add(length).ok_or_else(|| damaged("a page too long"))?;
        }
        if first != rows {
            return Err(damaged("a column with more rows than it says"));
        }
        if let Some(place) = &mut self.place {
            place.pages = pages;
        }
        Ok(())
    }

    /// The dictionary in Parquet's plain form, and the number of its values.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn dictionary(&mut self, file: &File) -> Result<(&[u8], usize)> {
        let entries = match &self.entries {
            Some(entries) => entries.clone(),
            None => self.read_dictionary(file)?,
        };
        let bytes = match &entries.raw {
            Some(place) => self.dictionary_raw.bytes.get(place.clone()).unwrap_or_default(),
            None => self.dictionary.as_slice(),
        };
        Ok((bytes, entries.count))
    }

    fn read_dictionary(&mut self, file: &File) -> Result<Entries> {
        let Place { dictionary: offset, data, compressed, .. } = *self.place()?;
        let length = usize::try_from(data - offset).map_err(|_| damaged("a dictionary too long"))?;
        self.dictionary_raw.length = 0;
        self.dictionary_raw.fill(file, offset, length)?;
        let bytes = self.dictionary_raw.get(offset, length);
        let header = header::read(bytes)?;
        let plain = [Encoding::PLAIN as i64, Encoding::PLAIN_DICTIONARY as i64].contains(&header.encoding);
        if header.kind != Kind::Dictionary || !plain {
            return Err(damaged("a column without a dictionary"));
        }
        let stored = body_of(bytes, &header)?;
        let raw = match compressed {
            true => {
                decompress(&mut self.decompressor, stored, header.size, &mut self.dictionary)?;
                None
            }
            false => Some(header.length..header.length + header.stored),
        };
        Ok(self.entries.insert(Entries { count: header.values, raw }).clone())
    }

    /// Makes the page with this row the current one.
    fn turn_to(&mut self, file: &File, row: usize) -> Result<()> {
        if self.page.rows.contains(&row) {
            return Ok(());
        }
        self.find_pages(file)?;
        let place = self.place.as_ref().ok_or_else(|| damaged("no column"))?;
        let next = place.pages.partition_point(|page| page.first + page.rows <= row);
        let page = *place.pages.get(next).ok_or_else(|| damaged("a row behind the last page"))?;
        self.page.rows = 0..0;
        self.raw.fill(file, page.offset, page.length)?;
        let bytes = self.raw.get(page.offset, page.length);
        let header = header::read(bytes)?;
        let stored = body_of(bytes, &header)?;
        let keys = [Encoding::RLE_DICTIONARY as i64, Encoding::PLAIN_DICTIONARY as i64];
        if header.values != page.rows || !keys.contains(&header.encoding) {
            return Err(damaged("a page that is not made of keys"));
        }
        let (nullable, compressed) = (place.nullable, place.compressed);
        let apart = match header.kind {
            Kind::Data => 0,
            Kind::DataV2 { levels, .. } => levels,
            _ => return Err(damaged("a page of another kind")),
        };
        let (levels, values) = stored.split_at_checked(apart).ok_or_else(|| damaged("a page cut short"))?;
        let packed = compressed && !matches!(header.kind, Kind::DataV2 { compressed: false, .. });
        let mut start = self.raw.at(page.offset) + header.length + apart;
        let mut decompressed = std::mem::take(&mut self.page.body);
        let body = match packed {
            true => {
                let size = header.size.checked_sub(apart).ok_or_else(|| damaged("a page cut short"))?;
                decompress(&mut self.decompressor, values, size, &mut decompressed)?;
                start = 0;
                decompressed.as_slice()
            }
            false => values,
        };
        let (levels, rest) = match header.kind {
            Kind::Data if nullable => {
                let (length, rest) =
                    body.split_first_chunk::<4>().ok_or_else(|| damaged("a page cut short"))?;
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
                start += 4 + length;
                rest.split_at_checked(length).ok_or_else(|| damaged("a page cut short"))?
            }
            _ => (levels, body),
        };
        let page_now = &mut self.page;
        page_now.count = page.rows;
        let mut present = page_now.present.take().unwrap_or_default();
        if nullable {
            present.clear();
            let found = Runs::new(levels, 1, page.rows).bits(&mut present);
            found.ok_or_else(|| damaged("a page whose levels break off"))?;
            page_now.count = present.ones();
            if page_now.count < page.rows {
                page_now.ranks.count(&present);
                page_now.present = Some(present);
            }
        }
        page_now.in_body = packed;
        // A page without a value may be without a width.
        page_now.width = rest.first().copied().unwrap_or(0);
        page_now.keys = (start + 1)..(start + rest.len()).max(start + 1);
        page_now.is_unpacked = false;
        page_now.is_tested = false;
        page_now.body = decompressed;
        page_now.rows = page.first..page.first + page.rows;
        Ok(())
    }

    /// Adds the keys of these rows, of those whose bit is set if `chosen` has one for each, or [`NULL`] for a row without
    /// a value.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn keys(
        &mut self,
        file: &File,
        rows: Range<usize>,
        chosen: Option<&Bits>,
        keys: &mut Vec<u32>,
    ) -> Result<()> {
        let mut row = rows.start;
        while row < rows.end {
            let skipped = row - rows.start;
            let Some(first) = next_wanted(chosen, skipped, rows.len()) else { return Ok(()) };
            row += first;
            let skipped = skipped + first;
            self.turn_to(file, row)?;
            let page = self.page.rows.clone();
            let part = page.end.min(rows.end) - row;
            let from = row - page.start;
            let wanted = chosen.map(|chosen| chosen.ones_in(skipped, part));
            match (chosen, wanted) {
                (Some(chosen), Some(wanted)) if wanted * SPARSE < page.len() && !self.page.is_unpacked => {
                    let places = chosen.places_in(skipped, part).map(|place| place + from);
                    self.page.pick(&self.raw, places, keys)?;
                }
                (Some(chosen), Some(wanted)) if wanted < part => {
                    let all = self.page.unpack(&self.raw)?.get(from..from + part).unwrap_or_default();
                    for at in (0..part).step_by(64) {
                        let some = all.get(at..(at + 64).min(part)).unwrap_or_default();
                        // Where most are wanted, stretches of all are copied as they are.
                        match chosen.ones_in(skipped + at, some.len()) == some.len() {
                            true => keys.extend_from_slice(some),
                            false => {
                                let places = chosen.places_in(skipped + at, some.len());
                                keys.extend(places.map(|place| some.get(place).copied().unwrap_or(NULL)));
                            }
                        }
                    }
                }
                _ => {
                    let all = self.page.unpack(&self.raw)?;
                    keys.extend_from_slice(all.get(from..from + part).unwrap_or_default());
                }
            }
            row += part;
        }
        Ok(())
    }

    /// Adds for each of these rows what `answers`, the same for the whole chunk, says of its key.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn test(
        &mut self,
        file: &File,
        rows: Range<usize>,
        answers: &Answers,
        found: &mut Bits,
    ) -> Result<()> {
        let mut row = rows.start;
        while row < rows.end {
            self.turn_to(file, row)?;
            let page = self.page.rows.clone();
            let part = page.end.min(rows.end) - row;
            self.page.test(&self.raw, answers)?;
            for at in (0..part).step_by(64) {
                found.push(self.page.found.word_at(row - page.start + at), (part - at).min(64));
            }
            row += part;
        }
        Ok(())
    }
}

/// What is true of each value of a dictionary.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// 1 for each key for which it is true, else 0.
    pub of_key: Vec<u8>,
    /// The only key for which it is true, if that is so.
    pub only: Option<u32>,
    /// Whether it is true of no value.
    pub of_none: bool,
}

impl Answers {
    /// These answers, and that for rows without a value.
    pub fn new(of_key: Vec<u8>, of_none: bool) -> Answers {
        let mut yes = of_key.iter().enumerate().filter(|(_, holds)| **holds == 1);
        let only = match (yes.next(), yes.next()) {
            (Some((key, _)), None) => u32::try_from(key).ok(),
            _ => None,
        };
        Answers { of_key, only, of_none }
    }

    /// True only where the others are as well.
    pub fn and(&mut self, others: &Answers) {
        let both = self.of_key.iter().zip(&others.of_key).map(|(one, other)| one & other);
        *self = Answers::new(both.collect(), self.of_none && others.of_none);
    }

    /// The share of the values for which it is true.
    pub fn share(&self) -> f64 {
        let yes: usize = self.of_key.iter().map(|holds| usize::from(*holds)).sum();
        yes as f64 / self.of_key.len().max(1) as f64
    }

    /// Whether no row can be one for which it is true.
    pub fn are_all_no(&self) -> bool {
        !self.of_none && self.only.is_none() && !self.of_key.contains(&1)
    }

    /// Whether it is true of this key, or of [`NULL`].
    pub fn of(&self, key: u32) -> bool {
        match self.only {
            _ if key == NULL => self.of_none,
            Some(only) => key == only,
            None => self.of_key.get(key as usize).is_some_and(|holds| *holds == 1),
        }
    }
}

/// How many rows to pass over until the next that is wanted; `None` if there is none.
fn next_wanted(chosen: Option<&Bits>, from: usize, until: usize) -> Option<usize> {
    match chosen {
        None => Some(0),
        Some(chosen) => chosen.places_in(from, until - from).next(),
    }
}
