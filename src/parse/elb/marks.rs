//! Finding every space and line end that separates fields, quoted ones included, in one pass over the text.
//!
//! Quotes are taken to open and close in turn, which the bit masks of 64 bytes tell without a branch. Where that is not
//! what the [tokenizer](super::Tokenizer) would see (a quote inside a field, an escaped one, one that never closes, a run of
//! spaces), the place is noted, so that the line can be left to it.

/// The separators of a stretch of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The offset before the first line (wrapping below zero), then that of every space outside of quotes and of every line
    /// end, in order: a field lies between two neighbours.
    pub(super) at: Vec<u32>,
    /// For each line end, its index in `at`.
    pub(super) newlines: Vec<u32>,
    /// Places of lines that are not as plain as they were taken for, in order.
    pub(super) odd: Vec<u32>,
}

/// Which bytes of a step are which: a bit for each.
#[derive(Clone, Copy)]
struct Step {
    /// Bytes that there are.
    all: u64,
    spaces: u64,
    ends: u64,
    quotes: u64,
    backslashes: u64,
}

/// What a step has to know of the one before.
#[derive(Clone, Copy)]
struct Before {
    /// All bits, where the step begins inside quotes.
    inside: u64,
    /// Whether the last byte was a separator, a closing quote, a backslash: the lowest bit.
    separator: u64,
    closing: u64,
    backslash: u64,
}

const LINE_BEGINS: Before = Before { inside: 0, separator: 1, closing: 0, backslash: 0 };

impl Marks {
    /// Finds the separators of `block[from..to]`, where `from` is the beginning of a line; offsets count from the start
    /// of the block. Without `QUOTES`, quotes mean nothing.
    pub(super) fn find<const QUOTES: bool>(&mut self, block: &[u8], from: usize, to: usize) {
        self.at.clear();
        self.newlines.clear();
        self.odd.clear();
        let to = to.min(block.len());
        let from = from.min(to);
        self.at.push((from as u32).wrapping_sub(1));
        #[cfg(target_arch = "x86_64")]
        if x86::is_supported() {
            // SAFETY: the features that `x86::find` is compiled for have just been detected.
            unsafe { x86::find::<QUOTES>(self, block, from, to) };
            return;
        }
        self.find_words::<QUOTES>(block, from, to);
    }

    /// The portable form: the masks are built byte by byte, which compilers turn into vector compares.
    fn find_words<const QUOTES: bool>(&mut self, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let mut before = LINE_BEGINS;
        let mut base = from as u32;
        for step in text.chunks(64) {
            before = self.push(base, Step::of::<QUOTES>(step), before);
            base = base.wrapping_add(64);
        }
    }

    /// Takes one step.
    #[inline(always)]
    fn push(&mut self, base: u32, step: Step, before: Before) -> Before {
        let Step { all, spaces, ends, quotes, backslashes } = step;
        // A quote's bit and all up to the next one.
        let mut inside = parity(quotes) ^ before.inside;
        let mut odd = quotes & (backslashes << 1 | before.backslash);
        // A line ends with its quotes: the next one begins outside of them.
        while ends & inside != 0 {
            let end = ends & inside;
            let end = end & end.wrapping_neg();
            odd |= end;
            inside ^= end.wrapping_neg();
        }
        let separators = spaces & !inside | ends;
        let closing = quotes & !inside;
        let behind_separator = separators << 1 | before.separator;
        odd |= quotes & inside & !behind_separator;
        odd |= separators & behind_separator;
        odd |= (closing << 1 | before.closing) & !separators & all;
        while odd != 0 {
            self.odd.push(base.wrapping_add(odd.trailing_zeros()));
            odd &= odd - 1;
        }
        let first = self.at.len() as u32;
        let mut left = ends;
        while left != 0 {
            let below = separators & ((left & left.wrapping_neg()) - 1);
            self.newlines.push(first + below.count_ones());
            left &= left - 1;
        }
        let count = separators.count_ones() as usize;
        self.at.reserve(64);
        let room = self.at.spare_capacity_mut();
        let mut left = separators;
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
        Before {
            inside: ((inside as i64) >> 63) as u64,
            separator: separators >> 63,
            closing: closing >> 63,
            backslash: backslashes >> 63,
        }
    }
}

impl Step {
    fn of<const QUOTES: bool>(bytes: &[u8]) -> Step {
        let all = if bytes.len() < 64 { (1 << bytes.len()) - 1 } else { u64::MAX };
        let mut step = Step { all, spaces: 0, ends: 0, quotes: 0, backslashes: 0 };
        for (bit, &byte) in bytes.iter().enumerate() {
            step.spaces |= u64::from(byte == b' ') << bit;
            step.ends |= u64::from(byte == b'\n') << bit;
            if QUOTES {
                step.quotes |= u64::from(byte == b'"') << bit;
                step.backslashes |= u64::from(byte == b'\\') << bit;
            }
        }
        step
    }
}

/// For each bit, whether an odd number of bits is set up to and including it.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LINE_BEGINS, Marks, Step};
    use std::arch::x86_64::*;

    /// Whether the processor has what [`find`] is compiled for.
    pub(super) fn is_supported() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
    }

    /// # Safety
    /// [`is_supported`] must have said so.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
    pub(super) unsafe fn find<const QUOTES: bool>(marks: &mut Marks, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let mut before = LINE_BEGINS;
        let mut base = from as u32;
        let mut steps = text.chunks_exact(64);
        for step in &mut steps {
            // SAFETY: the step is 64 bytes long, and `loadu` asks for no alignment.
            let (low, high) = unsafe {
                (_mm256_loadu_si256(step.as_ptr().cast()), _mm256_loadu_si256(step.as_ptr().add(32).cast()))
            };
            let step = Step {
                all: u64::MAX,
                spaces: equal(low, high, b' '),
                ends: equal(low, high, b'\n'),
                quotes: if QUOTES { equal(low, high, b'"') } else { 0 },
                backslashes: if QUOTES { equal(low, high, b'\\') } else { 0 },
            };
            before = marks.push(base, step, before);
            base = base.wrapping_add(64);
        }
        marks.push(base, Step::of::<QUOTES>(steps.remainder()), before);
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal(low: __m256i, high: __m256i, byte: u8) -> u64 {
        let wanted = _mm256_set1_epi8(byte as i8);
        let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) as u32;
        let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) as u32;
        u64::from(low) | u64::from(high) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte.
    fn find_naive(block: &[u8], from: usize, to: usize, with_quotes: bool) -> Marks {
        let mut marks = Marks { at: vec![(from as u32).wrapping_sub(1)], ..Marks::default() };
        let mut inside = false;
        for at in from..to {
            let before = |wanted: &[u8]| at > from && wanted.contains(&block[at - 1]);
            let behind_separator = at == from || marks.at.last() == Some(&(at as u32 - 1));
            let mut odd = false;
            let was_inside = inside;
            let closed = with_quotes && !inside && before(b"\"");
            match block[at] {
                b'"' if with_quotes => {
                    odd = before(b"\\") || (!inside && !behind_separator);
                    inside = !inside;
                }
                b'\n' => {
                    odd = inside || behind_separator;
                    inside = false;
                }
                b' ' => odd = !inside && behind_separator,
                _ => {}
            }
            let separates = block[at] == b'\n' || block[at] == b' ' && !was_inside;
            odd |= closed && !separates;
            if odd {
                marks.odd.push(at as u32);
            }
            if separates {
                if block[at] == b'\n' {
                    marks.newlines.push(marks.at.len() as u32);
                }
                marks.at.push(at as u32);
            }
        }
        marks
    }

    proptest! {
        #[test]
        fn all_forms_agree(
            text in prop_oneof!["[ab\"\\\\ \n]{0,300}", "([a-c]{1,9}|\"[a-c ]{0,9}\"|-|\"-\")( ([a-c]{1,30}|\"[a-c ]{0,9}\"|\"-\"|\n)){0,40}"],
            from in 0usize..310,
            to in 0usize..310,
        ) {
            let block = text.as_bytes();
            let (from, to) = (from.min(to).min(block.len()), to.min(block.len()));
            let mut marks = Marks::default();
            marks.find::<true>(block, from, to);
            prop_assert_eq!(&marks, &find_naive(block, from, to, true));
            marks.find::<false>(block, from, to);
            prop_assert_eq!(&marks, &find_naive(block, from, to, false));
            for quotes in [true, false] {
                marks = Marks { at: vec![(from as u32).wrapping_sub(1)], ..Marks::default() };
                if quotes { marks.find_words::<true>(block, from, to) } else { marks.find_words::<false>(block, from, to) }
                prop_assert_eq!(&marks, &find_naive(block, from, to, quotes));
            }
        }
    }
}
