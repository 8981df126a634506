//! Finding every space and line end of a block: the one pass over the text that cutting flow log lines needs.
//!
//! The positions come out of 64-byte steps as bit masks. The vector forms and [`find_naive`] agree on all input
//! (property test below).

/// Where, from `from` (where a line begins) on, a line begins with a lower-case letter or a space, or goes on so behind a
/// time, where `timestamped`. The text's length if none does.
///
/// Records begin with a digit, so that this finds next to nothing but headers.
pub fn next_wordy_line(text: &[u8], from: usize, timestamped: bool) -> usize {
    let Some(rest) = text.get(from..) else { return text.len() };
    if begins_wordy(rest, timestamped) {
        return from;
    }
    let found = if timestamped {
        memchr::memchr_iter(b'\n', rest)
            .map(|end| end + 1)
            .find(|start| rest.get(*start..).is_some_and(|line| begins_wordy(line, true)))
    } else {
        wordy_start(rest)
    };
    found.map_or(text.len(), |start| from + start)
}

fn is_wordy(byte: u8) -> bool {
    byte.wrapping_sub(b'a') < 26 || byte == b' '
}

fn begins_wordy(line: &[u8], timestamped: bool) -> bool {
    let wordy_at = |at: usize| line.get(at).is_some_and(|byte| is_wordy(*byte));
    let space = || {
        let found = line.iter().take(40).position(|byte| matches!(byte, b' ' | b'\n'));
        found.filter(|at| line.get(*at) == Some(&b' '))
    };
    wordy_at(0) || timestamped && space().is_some_and(|space| wordy_at(space + 1))
}

/// The first place behind a newline where a wordy line begins. Whether a step holds one is asked first: without a way
/// out of the loop that is done in vectors, at the speed of reading memory.
fn wordy_start(text: &[u8]) -> Option<usize> {
    const STEP: usize = 4096;
    let is_start = |(before, at): (&u8, &u8)| (*before == b'\n') & is_wordy(*at);
    let behind = text.get(1..)?;
    text.chunks(STEP).zip(behind.chunks(STEP)).enumerate().find_map(|(step, (before, at))| {
        let any = before.iter().zip(at).fold(false, |any, pair| any | is_start(pair));
        let place = any.then(|| before.iter().zip(at).position(is_start)).flatten()?;
        Some(step * STEP + place + 1)
    })
}

/// The separators of a stretch of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Separators {
    /// The offset of every space and newline, in order.
    pub at: Vec<u32>,
    /// For each newline, its index in `at`.
    pub newlines: Vec<u32>,
    /// Whether a separator stands at the beginning or next to another one: runs of spaces, blank lines, leading and
    /// trailing spaces.
    pub adjacent: bool,
}

impl Separators {
    /// Finds the separators of `block[from..to]`; offsets count from the start of the block.
    ///
    /// `to` beyond the block is cut to its length.
    pub fn find(&mut self, block: &[u8], from: usize, to: usize) {
        self.clear();
        let to = to.min(block.len());
        let from = from.min(to);
        #[cfg(target_arch = "x86_64")]
        {
            if x86::is_widest_supported() {
                // SAFETY: the features that `x86::find_widest` is compiled for have just been detected.
                unsafe { x86::find_widest(self, block, from, to) };
                return;
            }
            if x86::is_supported() {
                // SAFETY: the features that `x86::find` is compiled for have just been detected.
                unsafe { x86::find(self, block, from, to) };
                return;
            }
        }
        self.find_words(block, from, to);
    }

    fn clear(&mut self) {
        self.at.clear();
        self.newlines.clear();
        self.adjacent = false;
    }

    /// The portable form: the masks are built byte by byte, which compilers turn into vector compares.
    fn find_words(&mut self, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let mut carry = 1; // what lies before `from` is the end of a line, or of nothing
        let mut base = from as u32;
        for step in text.chunks(64) {
            let (mut spaces, mut ends) = (0u64, 0u64);
            for (bit, &byte) in step.iter().enumerate() {
                spaces |= u64::from(byte == b' ') << bit;
                ends |= u64::from(byte == b'\n') << bit;
            }
            carry = self.push(base, spaces, ends, carry, append_positions);
            base = base.wrapping_add(64);
        }
    }

    /// Takes the masks of one step; returns whether its last byte was a separator. `append` is [`append_positions`] or its
    /// equal.
    #[inline(always)]
    fn push(
        &mut self,
        base: u32,
        spaces: u64,
        ends: u64,
        carry: u64,
        append: impl Fn(u32, u64, &mut Vec<u32>),
    ) -> u64 {
        let both = spaces | ends;
        self.adjacent |= both & ((both << 1) | carry) != 0;
        append_ends(self.at.len() as u32, both, ends, &mut self.newlines);
        append(base, both, &mut self.at);
        both >> 63
    }
}

/// Appends, for each bit of `ends`, the number that it has among the bits of `all`, counted from `first`.
#[inline(always)]
pub(super) fn append_ends(first: u32, all: u64, ends: u64, out: &mut Vec<u32>) {
    // Mostly there is one or none, and nothing tells which: the first is written without asking.
    out.reserve(64);
    let before = |end: u64| all & (end & end.wrapping_neg()).wrapping_sub(1);
    let count = out.len();
    if let Some(place) = out.spare_capacity_mut().first_mut() {
        place.write(first + before(ends).count_ones());
        // SAFETY: there is spare capacity, and its first place has just been written.
        unsafe { out.set_len(count + usize::from(ends != 0)) };
    }
    let mut left = ends & ends.wrapping_sub(1);
    while left != 0 {
        out.push(first + before(left).count_ones());
        left &= left - 1;
    }
}

/// Appends the place of each bit, counted from `base`.
#[inline(always)]
pub(super) fn append_positions(base: u32, bits: u64, out: &mut Vec<u32>) {
    let before = out.len();
    let count = bits.count_ones() as usize;
    out.reserve(64);
    let mut left = bits;
    let room = out.spare_capacity_mut();
    let mut done = 0;
    // Eight at a time without a branch each: what is written past `count` is spare capacity.
    while done < count {
        if let Some(eight) = room.get_mut(done..done + 8) {
            for place in eight {
                place.write(base.wrapping_add(left.trailing_zeros()));
                left &= left.wrapping_sub(1);
            }
        }
        done += 8;
    }
    // SAFETY: `reserve(64)` gave room for 64 more, `count` is at most 64, and the loop above has
    // written every place below `count` rounded up to eight.
    unsafe { out.set_len(before + count) };
}

/// What [`Separators::find`] has to agree with.
pub fn find_naive(block: &[u8], from: usize, to: usize) -> Separators {
    let mut found = Separators::default();
    let mut last = from.checked_sub(1).or(Some(usize::MAX));
    for (at, &byte) in block.iter().enumerate().take(to).skip(from) {
        if byte == b' ' || byte == b'\n' {
            if byte == b'\n' {
                found.newlines.push(found.at.len() as u32);
            }
            found.adjacent |= last == Some(at.wrapping_sub(1));
            last = Some(at);
            found.at.push(at as u32);
        }
    }
    found
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::{Separators, append_positions};
    use std::arch::x86_64::*;

    /// Whether the processor has what [`find`] is compiled for.
    pub fn is_supported() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
    }

    /// # Safety
    /// [`is_supported`] must have said so. `from <= to <= block.len()` is not needed for safety: a step that
    /// does not lie within the block is taken by the portable form.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub unsafe fn find(found: &mut Separators, block: &[u8], from: usize, to: usize) {
        let space = _mm256_set1_epi8(b' ' as i8);
        let end = _mm256_set1_epi8(b'\n' as i8);
        let Some(text) = block.get(from..to) else { return };
        let mut carry = 1;
        let mut base = from as u32;
        let mut steps = text.chunks_exact(64);
        for step in &mut steps {
            // SAFETY: the step is 64 bytes long, and `loadu` asks for no alignment.
            let (low, high) = unsafe {
                (_mm256_loadu_si256(step.as_ptr().cast()), _mm256_loadu_si256(step.as_ptr().add(32).cast()))
            };
            let spaces = mask(_mm256_cmpeq_epi8(low, space), _mm256_cmpeq_epi8(high, space));
            let ends = mask(_mm256_cmpeq_epi8(low, end), _mm256_cmpeq_epi8(high, end));
            carry = found.push(base, spaces, ends, carry, append_positions);
            base = base.wrapping_add(64);
        }
        finish(found, steps.remainder(), base, carry);
    }

    fn finish(found: &mut Separators, rest: &[u8], base: u32, carry: u64) {
        let (mut spaces, mut ends) = (0u64, 0u64);
        for (bit, &byte) in rest.iter().enumerate() {
            spaces |= u64::from(byte == b' ') << bit;
            ends |= u64::from(byte == b'\n') << bit;
        }
        found.push(base, spaces, ends, carry, append_positions);
    }

    /// Whether the processor has what [`find_widest`] is compiled for.
    pub fn is_widest_supported() -> bool {
        is_supported()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
    }

    /// # Safety
    /// [`is_widest_supported`] must have said so.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub unsafe fn find_widest(found: &mut Separators, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let (space, end) = (_mm512_set1_epi8(b' ' as i8), _mm512_set1_epi8(b'\n' as i8));
        let (mut carry, mut base) = (1, from as u32);
        let mut steps = text.chunks_exact(64);
        for step in &mut steps {
            // SAFETY: the step is 64 bytes long, and `loadu` asks for no alignment.
            let bytes = unsafe { _mm512_loadu_si512(step.as_ptr().cast()) };
            let spaces = _mm512_cmpeq_epi8_mask(bytes, space);
            let ends = _mm512_cmpeq_epi8_mask(bytes, end);
            // SAFETY: this function is compiled for the same features.
            carry = found.push(base, spaces, ends, carry, |base, bits, out| unsafe {
                append_positions_widest(base, bits, out)
            });
            base = base.wrapping_add(64);
        }
        finish(found, steps.remainder(), base, carry);
    }

    /// The places of bytes: what a mask chooses of them are the places of its bits.
    static PLACES: [u8; 64] = {
        let mut places = [0; 64];
        let mut at = 0;
        while at < 64 {
            places[at] = at as u8;
            at += 1;
        }
        places
    };

    /// [`append_positions`], sixteen places at a time.
    ///
    /// # Safety
    /// [`is_widest_supported`] must have said so.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub unsafe fn append_positions_widest(base: u32, bits: u64, out: &mut Vec<u32>) {
        let before = out.len();
        let count = bits.count_ones() as usize;
        out.reserve(64);
        let room = out.spare_capacity_mut();
        let Some(room) = room.first_chunk_mut::<64>() else { return };
        // SAFETY: `PLACES` is 64 bytes long, and `loadu` asks for no alignment.
        let places = unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) };
        let chosen = _mm512_maskz_compress_epi8(bits, places);
        let base = _mm512_set1_epi32(base as i32);
        let mut put = |quarter: usize, places: __m128i| {
            let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(places), base);
            if let Some(place) = room.get_mut(16 * quarter..16 * quarter + 16) {
                // SAFETY: the places are sixteen words long, and `storeu` asks for no alignment.
                unsafe { _mm512_storeu_si512(place.as_mut_ptr().cast(), wide) };
            }
        };
        put(0, _mm512_extracti32x4_epi32::<0>(chosen));
        if count > 16 {
            put(1, _mm512_extracti32x4_epi32::<1>(chosen));
        }
        if count > 32 {
            put(2, _mm512_extracti32x4_epi32::<2>(chosen));
            put(3, _mm512_extracti32x4_epi32::<3>(chosen));
        }
        // SAFETY: there is room for 64 more, `count` is at most 64, and every place below it has been written.
        unsafe { out.set_len(before + count) };
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn mask(low: __m256i, high: __m256i) -> u64 {
        u64::from(_mm256_movemask_epi8(low) as u32) | (u64::from(_mm256_movemask_epi8(high) as u32) << 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wordy_lines_are_found(text in "[aZ \n]{0,100}", pad in 0usize..9000, timestamped: bool) {
            let text = [&b"2".repeat(pad)[..], text.as_bytes()].concat();
            let mut start = 0;
            let naive = text.split_inclusive(|byte| *byte == b'\n').find_map(|line| {
                let here = start;
                start += line.len();
                let word = |at: usize| line.get(at).is_some_and(|byte| matches!(byte, b'a'..=b'z' | b' '));
                let second = line.iter().take(40).position(|byte| *byte == b' ');
                (word(0) || timestamped && second.is_some_and(|at| word(at + 1))).then_some(here)
            });
            prop_assert_eq!(next_wordy_line(&text, 0, timestamped), naive.unwrap_or(text.len()));
        }

        #[test]
        fn all_forms_agree(text in "[ab \n]{0,300}", from in 0usize..310, to in 0usize..310) {
            let block = text.as_bytes();
            let (from, to) = (from.min(to).min(block.len()), to.min(block.len()));
            let naive = find_naive(block, from, to);
            let mut found = Separators::default();
            found.find(block, from, to);
            prop_assert_eq!(&found, &naive);
            found.clear();
            found.find_words(block, from, to);
            prop_assert_eq!(&found, &naive);
            #[cfg(target_arch = "x86_64")]
            if x86::is_supported() {
                found.clear();
                // SAFETY: the features have just been detected.
                unsafe { x86::find(&mut found, block, from, to) };
                prop_assert_eq!(&found, &naive);
            }
        }
    }
}
