//! The header before each page, in Thrift's compact protocol.
//!
//! Layout: Apache Parquet, `parquet.thrift`, `PageHeader`; Apache Thrift, "Compact protocol".

use parquet::errors::{ParquetError, Result};

/// The longest header that is believed: statistics within it may hold texts.
const MOST_BYTES: usize = 64 * 1024;

/// Structures within structures, no more of which are looked into.
const MOST_DEPTH: usize = 8;

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The distinct values.
    Dictionary,
    /// Rows: levels, with their length before them, and values, all compressed.
    Data,
    /// Rows: levels of so many bytes, which are not compressed, and values, which are if `compressed`.
    DataV2 {
        /// Bytes of levels of both kinds.
        levels: usize,
        /// Whether the values are compressed where the column is.
        compressed: bool,
    },
    /// Something that no reader needs.
    Other,
}

/// A page's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows it.
    pub kind: Kind,
    /// Bytes of the header itself.
    pub length: usize,
    /// Bytes of the page behind it, as it lies there.
    pub stored: usize,
    /// Bytes of the page, decompressed.
    pub size: usize,
    /// Values, nulls among them.
    pub values: usize,
    /// The number of the values' encoding.
    pub encoding: i64,
}

struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

mod types {
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const DOUBLE: u8 = 7;
    pub const BINARY: u8 = 8;
    pub const LIST: u8 = 9;
    pub const SET: u8 = 10;
    pub const STRUCT: u8 = 12;
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn int(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.int()?).ok()
    }

    /// The next field's number and type; the inner `None` at a structure's end.
    fn field(&mut self, last: &mut i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *last = match byte >> 4 {
            0 => self.int()?,
            step => last.checked_add(i64::from(step))?,
        };
        Some(Some((*last, byte & 0x0f)))
    }

    fn pass_bytes(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn pass(&mut self, ty: u8, depth: usize) -> Option<()> {
        match ty {
            types::TRUE | types::FALSE => Some(()),
            types::BYTE => self.pass_bytes(1),
            4..=6 => self.varint().map(|_| ()),
            types::DOUBLE => self.pass_bytes(8),
            types::BINARY => {
                let length = self.varint()?;
                self.pass_bytes(length)
            }
            types::LIST | types::SET => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                // Each element takes a byte at least, truths in lists too.
                if count > self.bytes.len() as u64 || depth >= MOST_DEPTH {
                    return None;
                }
                let element = head & 0x0f;
                for _ in 0..count {
                    match element {
                        types::TRUE | types::FALSE => self.pass_bytes(1)?,
                        element => self.pass(element, depth + 1)?,
                    }
                }
                Some(())
            }
            types::STRUCT if depth < MOST_DEPTH => {
                let mut last = 0;
                while let Some((_, ty)) = self.field(&mut last)? {
                    self.pass(ty, depth + 1)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    /// The integer fields of a structure by number, and its truths as 1 and 0.
    fn numbers<const N: usize>(&mut self) -> Option<[Option<i64>; N]> {
        let mut numbers = [None; N];
        let mut last = 0;
        while let Some((number, ty)) = self.field(&mut last)? {
            let value = match ty {
                types::TRUE => Some(1),
                types::FALSE => Some(0),
                4..=6 => Some(self.int()?),
                ty => {
                    self.pass(ty, 1)?;
                    None
                }
            };
            if let Some(place) = usize::try_from(number).ok().and_then(|number| numbers.get_mut(number)) {
                *place = value;
            }
        }
        Some(numbers)
    }
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut compact = Compact { bytes, at: 0 };
    let mut header = Header { kind: Kind::Other, length: 0, stored: 0, size: 0, values: 0, encoding: -1 };
    let mut last = 0;
    while let Some((number, ty)) = compact.field(&mut last)? {
        let values = |value: Option<i64>| usize::try_from(value?).ok();
        match (number, ty) {
            (2, 5) => header.size = compact.size()?,
            (3, 5) => header.stored = compact.size()?,
            (5, types::STRUCT) => {
                let numbers = compact.numbers::<3>()?;
                (header.kind, header.values, header.encoding) =
                    (Kind::Data, values(numbers[1])?, numbers[2]?);
            }
            (7, types::STRUCT) => {
                let numbers = compact.numbers::<3>()?;
                header.kind = Kind::Dictionary;
                (header.values, header.encoding) = (values(numbers[1])?, numbers[2]?);
            }
            (8, types::STRUCT) => {
                let numbers = compact.numbers::<8>()?;
                let levels = values(numbers[5])?.checked_add(values(numbers[6])?)?;
                header.kind = Kind::DataV2 { levels, compressed: numbers[7] != Some(0) };
                (header.values, header.encoding) = (values(numbers[1])?, numbers[4]?);
            }
            (_, ty) => compact.pass(ty, 0)?,
        }
    }
    header.length = compact.at;
    Some(header)
}

/// The header with which these bytes begin.
///
/// # Errors
/// Where they are not those of a header, or break off within it.
pub fn read(bytes: &[u8]) -> Result<Header> {
    let bytes = bytes.get(..MOST_BYTES).unwrap_or(bytes);
    header(bytes).ok_or_else(|| ParquetError::General("a page without a header".to_owned()))
}
