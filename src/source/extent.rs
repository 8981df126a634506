//! How much an object holds, whatever its size on disk: which of two copies of one object is the fuller one.
//!
//! A copy may have been unpacked on its way or compressed anew, so that the smaller file is the fuller one. AWS never changes an
//! object once it is written: of two copies that differ, one lacks the end.

use super::content::{ContentKind, ContentReader, Scratch};
use super::locate::Located;

/// How much an object holds. The greater one is the fuller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Bytes of the decompressed content; of Parquet, which cannot be read at all without its end, of the file.
    pub bytes: u64,
    /// Nothing shows that it breaks off.
    pub is_whole: bool,
}

impl Extent {
    /// Reads an object for it; `None` where it cannot be read.
    pub fn of(located: &Located) -> Option<Extent> {
        let mut scratch = Scratch::new();
        let mut reader = ContentReader::open(located, &mut scratch).ok()?;
        if reader.kind() == ContentKind::Parquet {
            return Some(Extent { bytes: located.size, is_whole: true });
        }
        let (mut bytes, mut last) = (0u64, b'\n');
        let mut chunk = Vec::new();
        while let Ok(true) = reader.next_chunk(&mut chunk) {
            bytes = bytes.saturating_add(chunk.len() as u64);
            last = chunk.last().copied().unwrap_or(last);
        }
        let is_whole = last == b'\n' && !reader.ending().is_broken();
        Some(Extent { bytes, is_whole })
    }
}

/// Whether the first of two copies of one object holds more than the second.
pub fn is_fuller(one: &Located, other: &Located) -> bool {
    one.size != other.size && Extent::of(one) > Extent::of(other)
}
