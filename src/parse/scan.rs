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
            carry = self.push(base, spaces, ends, carry);
            base = base.wrapping_add(64);
        }
    }

    /// Takes the masks of one step; returns whether its last byte was a separator.
    #[inline(always)]
    fn push(&mut self, base: u32, spaces: u64, ends: u64, carry: u64) -> u64 {
        let both = spaces | ends;
        self.adjacent |= both & ((both << 1) | carry) != 0;
        let first = self.at.len() as u32;
        let mut left = ends;
        while left != 0 {
            let below = both & ((left & left.wrapping_neg()) - 1);
            self.newlines.push(first + below.count_ones());
            left &= left - 1;
        }
        let count = both.count_ones() as usize;
        self.at.reserve(64);
        let mut left = both;
        let room = self.at.spare_capacity_mut();
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
        unsafe { self.at.set_len(first as usize + count) };
        both >> 63
    }
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
mod x86 {
    use super::Separators;
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
            carry = found.push(base, spaces, ends, carry);
            base = base.wrapping_add(64);
        }
        let (mut spaces, mut ends) = (0u64, 0u64);
        for (bit, &byte) in steps.remainder().iter().enumerate() {
            spaces |= u64::from(byte == b' ') << bit;
            ends |= u64::from(byte == b'\n') << bit;
        }
        found.push(base, spaces, ends, carry);
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
        }
    }
}
