//! Eight rows at a time, for the cells that nearly all rows of a flow log have: small numbers, Unix seconds, and texts of
//! which there are few.
//!
//! Each routine answers for eight rows or not at all; what it does not answer goes the way of single cells, and the
//! property tests hold both against each other. Needs a processor with AVX-512.

use super::super::cells::Span;

/// Whether the processor has what the routines of this module are compiled for.
pub(super) fn are_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::*;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Span;
    use crate::parse::keyed::NULL;
    use crate::parse::keyed::ints::SMALL;

    /// The offsets and lengths of eight spans.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn parts(spans: &[Span; 8]) -> (__m512i, __m512i) {
        // SAFETY: eight spans are 64 bytes, and `loadu` asks for no alignment.
        let both = unsafe { _mm512_loadu_si512(spans.as_ptr().cast()) };
        // A span is an offset and a length of 32 bits each, in this order (`repr(C)`).
        (_mm512_and_si512(both, _mm512_set1_epi64(0xFFFF_FFFF)), _mm512_srli_epi64::<32>(both))
    }

    /// The eight bytes at each of these offsets; `None` where one of them reaches beyond the block.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn words(block: &[u8], starts: __m512i) -> Option<__m512i> {
        let last = i64::try_from(block.len().checked_sub(8)?).ok()?;
        if _mm512_cmple_epu64_mask(starts, _mm512_set1_epi64(last)) != 0xFF {
            return None;
        }
        // SAFETY: every offset has just been compared: eight bytes from there on lie within the block.
        Some(unsafe { _mm512_i64gather_epi64::<1>(starts, block.as_ptr().cast()) })
    }

    /// Eight digits as text in each lane, the first one in the lowest byte, as numbers, and which of them are such.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn eight_digits(text: __m512i) -> (__m512i, __mmask8) {
        let (high, zeros) = (_mm512_set1_epi8(0xF0u8 as i8), _mm512_set1_epi8(0x30));
        let no_digit = _mm512_xor_si512(_mm512_and_si512(text, high), zeros);
        let above_nine = _mm512_and_si512(_mm512_add_epi8(text, _mm512_set1_epi8(6)), high);
        let above_nine = _mm512_xor_si512(above_nine, zeros);
        let wrong = _mm512_or_si512(no_digit, above_nine);
        let digits = _mm512_and_si512(text, _mm512_set1_epi8(0x0F));
        let pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010A));
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x0001_0064));
        let thousands = _mm512_mul_epu32(fours, _mm512_set1_epi64(10_000));
        (_mm512_add_epi64(thousands, _mm512_srli_epi64::<32>(fours)), _mm512_testn_epi64_mask(wrong, wrong))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn stored(keys: __m256i) -> [u32; 8] {
        let mut out = [0; 8];
        // SAFETY: the array is 32 bytes long, and `storeu` asks for no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), keys) };
        out
    }

    /// The keys of eight cells that are each a number below [`SMALL`] or without a value.
    ///
    /// # Safety
    /// [`are_supported`](super::are_supported) must have said so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn small_numbers(block: &[u8], spans: &[Span; 8]) -> Option<[u32; 8]> {
        let (starts, lens) = parts(spans);
        let words = words(block, starts)?;
        // The digits move to the top and zeros (as text) fill up below: "443" becomes "00000443".
        let bits = _mm512_slli_epi64::<3>(lens);
        let up = _mm512_sub_epi64(_mm512_set1_epi64(64), bits);
        let zeros = _mm512_srlv_epi64(_mm512_set1_epi8(0x30), bits);
        let (numbers, sound) = eight_digits(_mm512_or_si512(_mm512_sllv_epi64(words, up), zeros));
        let one = _mm512_set1_epi64(1);
        let fits = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(lens, one), _mm512_set1_epi64(7));
        let small = _mm512_cmplt_epu64_mask(numbers, _mm512_set1_epi64(i64::from(SMALL)));
        let first = _mm512_and_si512(words, _mm512_set1_epi64(0xFF));
        let dash = _mm512_cmpeq_epi64_mask(first, _mm512_set1_epi64(i64::from(b'-')));
        let none = _mm512_cmpeq_epi64_mask(lens, _mm512_setzero_si512())
            | (_mm512_cmpeq_epi64_mask(lens, one) & dash);
        if (fits & sound & small) | none != 0xFF {
            return None;
        }
        let keys = _mm512_mask_mov_epi64(numbers, none, _mm512_set1_epi64(i64::from(NULL)));
        Some(stored(_mm512_cvtepi64_epi32(keys)))
    }

    /// Whether the bits of all these numbers below [`SMALL`] are set; [`NULL`] has none.
    ///
    /// # Safety
    /// [`are_supported`](super::are_supported) must have said so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn are_marked(marks: &[u64; SMALL as usize / 64], keys: &[u32; 8]) -> bool {
        // SAFETY: eight keys are 32 bytes, and `loadu` asks for no alignment.
        let keys = unsafe { _mm256_loadu_si256(keys.as_ptr().cast()) };
        let some = _mm256_cmplt_epu32_mask(keys, _mm256_set1_epi32(SMALL as i32));
        let keys = _mm512_cvtepu32_epi64(keys);
        let zero = _mm512_setzero_si512();
        // SAFETY: only lanes of numbers below `SMALL` are read, whose words there are.
        let words = unsafe {
            _mm512_mask_i64gather_epi64::<8>(zero, some, _mm512_srli_epi64::<6>(keys), marks.as_ptr().cast())
        };
        // The processor takes a shift modulo nothing, so the bit's number within its word is cut out.
        let places = _mm512_and_si512(keys, _mm512_set1_epi64(63));
        let bits = _mm512_srlv_epi64(words, places);
        _mm512_test_epi64_mask(bits, _mm512_set1_epi64(1)) & some == some
    }

    /// The keys of eight times in Unix seconds of ten digits, by their distance from `first` in `table`; `None` where one
    /// is something else or not in the table.
    ///
    /// # Safety
    /// [`are_supported`](super::are_supported) must have said so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn seconds(block: &[u8], spans: &[Span; 8], first: i64, table: &[u32]) -> Option<[u32; 8]> {
        let (starts, lens) = parts(spans);
        if _mm512_cmpeq_epi64_mask(lens, _mm512_set1_epi64(10)) != 0xFF {
            return None;
        }
        let (low, low_sound) = eight_digits(words(block, _mm512_add_epi64(starts, _mm512_set1_epi64(2)))?);
        // The first two digits, as the last two of eight.
        let head = _mm512_slli_epi64::<48>(words(block, starts)?);
        let head = _mm512_or_si512(head, _mm512_set1_epi64(0x0000_3030_3030_3030));
        let (head, head_sound) = eight_digits(head);
        let seconds = _mm512_add_epi64(_mm512_mul_epu32(head, _mm512_set1_epi64(100_000_000)), low);
        let distances = _mm512_sub_epi64(seconds, _mm512_set1_epi64(first));
        let length = i64::try_from(table.len()).ok()?;
        let known = _mm512_cmplt_epu64_mask(distances, _mm512_set1_epi64(length));
        if low_sound & head_sound & known != 0xFF {
            return None;
        }
        // SAFETY: every distance has just been compared with the table's length.
        let keys = unsafe { _mm512_i64gather_epi32::<4>(distances, table.as_ptr().cast()) };
        if _mm256_cmpeq_epi32_mask(keys, _mm256_set1_epi32(NULL as i32)) != 0 {
            return None;
        }
        Some(stored(keys))
    }

    /// The keys of eight texts of up to fifteen bytes that are each among the known ones or without a value. A known text
    /// is two words with its length in the highest byte, and its key.
    ///
    /// # Safety
    /// [`are_supported`](super::are_supported) must have said so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn few_texts(block: &[u8], spans: &[Span; 8], known: &[(u64, u64, u32)]) -> Option<[u32; 8]> {
        let (starts, lens) = parts(spans);
        let eight = _mm512_set1_epi64(8);
        let (low, high) = (words(block, starts)?, words(block, _mm512_add_epi64(starts, eight))?);
        // Shifts of 64 and more leave nothing: of texts of up to eight bytes there is no second word.
        let unused =
            |all: i64, lens: __m512i| _mm512_sub_epi64(_mm512_set1_epi64(all), _mm512_slli_epi64::<3>(lens));
        let ones = _mm512_set1_epi64(-1);
        let low_mask = _mm512_srlv_epi64(ones, unused(64, _mm512_min_epu64(lens, eight)));
        let high_mask = _mm512_srlv_epi64(ones, unused(128, lens));
        let low = _mm512_and_si512(low, low_mask);
        let high = _mm512_or_si512(_mm512_and_si512(high, high_mask), _mm512_slli_epi64::<56>(lens));
        let mut left = !_mm512_cmpeq_epi64_mask(lens, _mm512_setzero_si512());
        let mut keys = _mm256_set1_epi32(NULL as i32);
        if _mm512_cmpgt_epu64_mask(lens, _mm512_set1_epi64(15)) != 0 {
            return None;
        }
        for &(known_low, known_high, key) in known {
            if left == 0 {
                break;
            }
            let same = _mm512_cmpeq_epi64_mask(low, _mm512_set1_epi64(known_low as i64))
                & _mm512_cmpeq_epi64_mask(high, _mm512_set1_epi64(known_high as i64));
            keys = _mm256_mask_mov_epi32(keys, same, _mm256_set1_epi32(key as i32));
            left &= !same;
        }
        (left == 0).then(|| stored(keys))
    }
}
