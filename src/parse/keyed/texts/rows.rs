//! Columns of texts to keys, where not each row is looked up by itself: columns of few texts, of texts that hardly repeat, and
//! of so many that their tables lie outside of the cache.

use super::super::ints::by_eight;
use super::super::words::{DASH, hash_long, packed, prefetch};
use super::super::{BadCell, NULL, Span, hash, is_null};
use super::{FEW, NO_CELL, TextValues};
use crate::format::ColumnType;

impl TextValues {
    /// Where there are few texts (actions, directions, names of regions), eight rows at a time are compared with all of
    /// them.
    pub(super) fn push_few(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        let mut known = [(DASH.0, DASH.1, NULL); FEW];
        let (mut count, mut last) = (1, NO_CELL);
        let mut state = (self, &mut known, &mut count);
        by_eight(
            spans,
            keys,
            &mut state,
            // SAFETY: the lanes are only asked where they are supported.
            |(_, known, count), eight| unsafe { few_lanes(block, eight, known.get(..**count)?) },
            |(texts, known, count), row, span| {
                let key = texts.key_or_last(ty, block, span, &mut last);
                // Met by a single row, it is known to the next eight.
                if last.high != 0
                    && !known.iter().take(**count).any(|known| known.2 == last.key)
                    && let Some(place) = known.get_mut(**count)
                {
                    *place = (last.low, last.high, last.key);
                    **count += 1;
                }
                key.unwrap_or_else(|| {
                    bad.push(BadCell { row: row as u32, span });
                    NULL
                })
            },
        );
    }

    /// Every text as it comes.
    pub(super) fn push_plain(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        self.ends.reserve(spans.len());
        self.bytes.reserve(spans.iter().map(|span| span.len as usize).sum());
        keys.extend(spans.iter().enumerate().map(|(row, span)| {
            let token = span.of(block);
            if is_null(token) {
                return NULL;
            }
            self.insert(ty, token).unwrap_or_else(|| {
                bad.push(BadCell { row: row as u32, span: *span });
                NULL
            })
        }));
    }

    /// For tables larger than the cache: a stretch of rows asks for its slots, and then for its longer texts, before it
    /// looks at any of them.
    pub(super) fn push_prefetched(
        &mut self,
        ty: ColumnType,
        block: &[u8],
        spans: &[Span],
        keys: &mut Vec<u32>,
        bad: &mut Vec<BadCell>,
    ) {
        // Of a short text both words and their hash, of a longer one its hash and zeros.
        let mut ready = [(0u64, 0u64, 0u64); 64];
        for (stretch, chunk) in spans.chunks(ready.len()).enumerate() {
            let (short, long) = (self.short.len().wrapping_sub(1), self.long.len().wrapping_sub(1));
            let mut any_long = false;
            for (place, span) in ready.iter_mut().zip(chunk) {
                *place = match packed(block, *span) {
                    Some((low, high)) => {
                        let hash = hash(low, high);
                        prefetch(self.short.get(hash as usize & short));
                        (low, high, hash)
                    }
                    None if span.len >= 16 => {
                        let hash = hash_long(span.of(block));
                        prefetch(self.long.get(hash as usize & long));
                        any_long = true;
                        (hash, 0, 0)
                    }
                    None => (0, 0, 0),
                };
            }
            if any_long {
                for ((hash, ..), _) in
                    ready.iter().zip(chunk).filter(|((_, high, _), span)| *high == 0 && span.len >= 16)
                {
                    if let Some(slot) = self.long.get(*hash as usize & long)
                        && slot.tag == (hash >> 32) as u32
                        && slot.key != NULL
                    {
                        let (first, last) = (slot.start as usize, (slot.start + slot.len) as usize);
                        prefetch(self.bytes.get(first));
                        prefetch(self.bytes.get(last.wrapping_sub(1)));
                    }
                }
            }
            keys.extend(ready.iter().zip(chunk).enumerate().map(|(offset, (&(low, high, hash), span))| {
                let key = if (low, high) == DASH {
                    Some(NULL)
                } else if high != 0 {
                    self.key_hashed(ty, (low, high), hash, block, *span)
                } else {
                    let token = span.of(block);
                    match token.len() {
                        16.. => self.key_long(ty, low, token),
                        _ if is_null(token) => Some(NULL),
                        _ => self.key(ty, token),
                    }
                };
                key.unwrap_or_else(|| {
                    bad.push(BadCell { row: (stretch * ready.len() + offset) as u32, span: *span });
                    NULL
                })
            }));
        }
    }
}

/// # Safety
/// [`lanes::are_supported`] must have said so.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn few_lanes(block: &[u8], spans: &[Span; 8], known: &[(u64, u64, u32)]) -> Option<[u32; 8]> {
    // SAFETY: as the caller promises.
    unsafe { super::super::lanes::few_texts(block, spans, known) }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn few_lanes(_: &[u8], _: &[Span; 8], _: &[(u64, u64, u32)]) -> Option<[u32; 8]> {
    None
}
