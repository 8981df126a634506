//! Texts as words: packed, compared and hashed without looking at single bytes.

use super::{Span, hash};

/// Asks for the cache line of something that will be read soon.
#[inline(always)]
pub(super) fn prefetch<T>(place: Option<&T>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(place) = place {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has SSE, and prefetching reads nothing; the address is that of a live value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// `-`, packed.
pub(super) const DASH: (u64, u64) = (b'-' as u64, 1 << 56);

/// A text of up to fifteen bytes as two words, its length in the last byte; `None` if it is longer or empty, or so near
/// the end of the block that sixteen bytes cannot be read.
#[inline(always)]
pub(super) fn packed(block: &[u8], span: Span) -> Option<(u64, u64)> {
    let start = span.start as usize;
    if span.len.wrapping_sub(1) >= 15 {
        return None;
    }
    let bytes: [u8; 16] = block.get(start..start + 16)?.try_into().ok()?;
    Some(pack(bytes, span.len as usize))
}

/// A text of fewer than sixteen bytes, filled up with zeros.
#[inline(always)]
pub(super) fn padded(token: &[u8]) -> [u8; 16] {
    // Two reads that overlap: a loop over the bytes costs more than looking the text up.
    let word = match (token.first_chunk::<8>(), token.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let over = 8 * (16 - token.len() as u32);
            u128::from(u64::from_le_bytes(*first))
                | u128::from(u64::from_le_bytes(*last).checked_shr(over).unwrap_or(0)) << 64
        }
        _ => match (token.first_chunk::<4>(), token.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                let at = 8 * (token.len() as u32 - 4);
                u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << at
            }
            _ => token.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte)),
        },
    };
    word.to_le_bytes()
}

#[inline(always)]
pub(super) fn pack(bytes: [u8; 16], len: usize) -> (u64, u64) {
    let kept = u128::from_le_bytes(bytes) & ((1u128 << ((8 * len as u32) & 127)) - 1);
    (kept as u64, (kept >> 64) as u64 | (len as u64) << 56)
}

/// Whether two texts of one length are the same. What is mostly there, from sixteen to thirty-two bytes, takes no call.
#[inline(always)]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    match (
        one.first_chunk::<16>(),
        one.last_chunk::<16>(),
        other.first_chunk::<16>(),
        other.last_chunk::<16>(),
    ) {
        (Some(head), Some(tail), Some(other_head), Some(other_tail)) if one.len() <= 32 => {
            let differs =
                |one: &[u8; 16], other: &[u8; 16]| u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other);
            differs(head, other_head) | differs(tail, other_tail) == 0
        }
        _ => one == other,
    }
}

/// A hash of a longer text's length and of eight bytes each of its start, middle and end: no matter how long it is.
pub(super) fn glance(token: &[u8]) -> u64 {
    let middle = token.get(token.len() / 2..).unwrap_or_default();
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, middle, last) = (token.first_chunk(), middle.first_chunk(), token.last_chunk());
    hash(word(first) ^ word(middle).rotate_left(32) ^ token.len() as u64, word(last) ^ word(middle))
}

pub(super) fn hash_long(token: &[u8]) -> u64 {
    let mut state = token.len() as u64;
    let (chunks, rest) = token.as_chunks::<16>();
    for chunk in chunks {
        let word = u128::from_le_bytes(*chunk);
        state = hash(state ^ word as u64, (word >> 64) as u64);
    }
    if !rest.is_empty() {
        // The last sixteen bytes, overlapping what has been hashed: as good as the rest alone, and one read.
        if let Some(last) = token.last_chunk::<16>() {
            let word = u128::from_le_bytes(*last);
            state = hash(state ^ word as u64, (word >> 64) as u64);
        }
    }
    state
}

/// Writes bytes that are not UTF-8 as `\xHH`, the form that load balancers use, so that nothing is lost.
pub fn escape_invalid(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
        }
    }
}
