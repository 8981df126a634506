//! One page of a column chunk: its bytes, which of its rows have a value, and their keys.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use parquet::errors::{ParquetError, Result};

use super::bits::{Bits, Ranks};
use super::column::Answers;
use super::header::Header;
use super::runs::Runs;
use crate::parse::keyed::NULL;

pub(super) fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} (the file is damaged)"))
}

/// A stretch of the file.
#[derive(Default)]
pub(super) struct Raw {
    pub(super) bytes: Vec<u8>,
    pub(super) from: u64,
    pub(super) length: usize,
}

/// The page that was read last.
#[derive(Default)]
pub(super) struct Page {
    pub(super) rows: Range<usize>,
    /// Decompressed, where it had to be; else it lies in the raw bytes.
    pub(super) body: Vec<u8>,
    /// Where its keys lie: whether in `body`, and there or in the raw bytes.
    pub(super) in_body: bool,
    pub(super) keys: Range<usize>,
    pub(super) width: u8,
    /// Which rows have a value, if not all.
    pub(super) present: Option<Bits>,
    pub(super) ranks: Ranks,
    /// How many have.
    pub(super) count: usize,
    /// The key of each row, once all have been asked for.
    pub(super) unpacked: Vec<u32>,
    pub(super) is_unpacked: bool,
    pub(super) dense: Vec<u32>,
    /// For each row what was asked, once it has been.
    pub(super) found: Bits,
    pub(super) is_tested: bool,
}

impl Raw {
    /// Makes these bytes of the file be at hand.
    pub(super) fn fill(&mut self, mut file: &File, offset: u64, length: usize) -> Result<()> {
        let held = offset >= self.from && self.at(offset).saturating_add(length) <= self.length;
        if held {
            return Ok(());
        }
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        self.length = 0;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(self.bytes.get_mut(..length).unwrap_or_default())?;
        (self.from, self.length) = (offset, length);
        Ok(())
    }

    /// Where a byte of the file lies among those at hand.
    pub(super) fn at(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.from)).unwrap_or(usize::MAX)
    }

    /// These bytes of the file, if they are at hand.
    pub(super) fn get(&self, offset: u64, length: usize) -> &[u8] {
        let from = self.at(offset);
        self.bytes.get(from..from.saturating_add(length)).unwrap_or_default()
    }
}

impl Page {
    fn runs<'a>(&'a self, raw: &'a Raw) -> Runs<'a> {
        let bytes = if self.in_body { &self.body } else { &raw.bytes };
        Runs::new(bytes.get(self.keys.clone()).unwrap_or_default(), self.width, self.count)
    }

    pub(super) fn pick(
        &self,
        raw: &Raw,
        places: impl Iterator<Item = usize>,
        keys: &mut Vec<u32>,
    ) -> Result<()> {
        let broken = || damaged("a page whose keys break off");
        let Some(present) = &self.present else {
            return self.runs(raw).at(places, |key| keys.push(key)).ok_or_else(broken);
        };
        let first = keys.len();
        let mut missing = Vec::new();
        let mut count = 0;
        let dense = places.filter_map(|place| {
            let dense = self.ranks.of(present, place);
            if dense.is_none() {
                missing.push(first + count);
            }
            count += 1;
            dense
        });
        let found = self.runs(raw).at(dense, |key| keys.push(key));
        found.ok_or_else(broken)?;
        if !missing.is_empty() {
            let dense = keys.split_off(first);
            let mut missing = missing.into_iter().peekable();
            for key in dense {
                while missing.next_if_eq(&keys.len()).is_some() {
                    keys.push(NULL);
                }
                keys.push(key);
            }
            keys.extend(missing.map(|_| NULL));
        }
        Ok(())
    }

    /// The key of each row.
    pub(super) fn unpack(&mut self, raw: &Raw) -> Result<&[u32]> {
        if self.is_unpacked {
            return Ok(&self.unpacked);
        }
        let (mut unpacked, mut dense) = (std::mem::take(&mut self.unpacked), std::mem::take(&mut self.dense));
        unpacked.clear();
        let runs = self.runs(raw);
        let whole = match &self.present {
            None => runs.all(&mut unpacked),
            Some(present) => {
                dense.clear();
                let whole = runs.all(&mut dense);
                spread(&dense, present, &mut unpacked);
                whole
            }
        };
        (self.unpacked, self.dense) = (unpacked, dense);
        whole.ok_or_else(|| damaged("a page whose keys break off"))?;
        self.is_unpacked = true;
        Ok(&self.unpacked)
    }

    /// Asks each row, into `found`.
    pub(super) fn test(&mut self, raw: &Raw, answers: &Answers) -> Result<()> {
        if self.is_tested {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        let ask = |found: &mut Bits| match answers.only {
            Some(only) => self.runs(raw).find(only, found),
            None => self.runs(raw).test(&answers.of_key, found),
        };
        let whole = match &self.present {
            None => ask(&mut found),
            Some(present) => {
                let mut dense = Bits::default();
                let whole = ask(&mut dense);
                found.push_spread(&dense, present, answers.of_none);
                whole
            }
        };
        self.found = found;
        whole.ok_or_else(|| damaged("a page whose keys break off"))?;
        self.is_tested = true;
        Ok(())
    }
}

/// Adds the next key for each row that has one, and [`NULL`] for the others.
fn spread(dense: &[u32], present: &Bits, keys: &mut Vec<u32>) {
    keys.reserve(present.len());
    let mut rest = dense;
    for (place, word) in present.words().iter().enumerate() {
        let count = (present.len() - place * 64).min(64);
        let mut done = 0;
        // Stretches between rows without a value are copied as they are.
        while done < count {
            let length = ((!word >> done).trailing_zeros() as usize).min(count - done);
            let (stretch, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            keys.extend_from_slice(stretch);
            rest = after;
            done += length;
            if done < count {
                keys.push(NULL);
                done += 1;
            }
        }
    }
}

pub(super) fn body_of<'a>(bytes: &'a [u8], header: &Header) -> Result<&'a [u8]> {
    let body = bytes.get(header.length..).and_then(|rest| rest.get(..header.stored));
    body.ok_or_else(|| damaged("a page cut short"))
}

pub(super) fn decompress(
    decompressor: &mut Option<zstd::bulk::Decompressor<'static>>,
    stored: &[u8],
    size: usize,
    into: &mut Vec<u8>,
) -> Result<()> {
    /// No page is believed to be larger.
    const MOST: usize = 1 << 30;
    let decompressor = match decompressor {
        Some(decompressor) => decompressor,
        none => none.insert(zstd::bulk::Decompressor::new()?),
    };
    into.clear();
    if size == 0 {
        return Ok(());
    }
    if size > MOST {
        return Err(damaged("a page of more than a gigabyte"));
    }
    into.reserve(size);
    let got = decompressor.decompress_to_buffer(stored, into)?;
    if got != size { Err(damaged("a page of another size")) } else { Ok(()) }
}
