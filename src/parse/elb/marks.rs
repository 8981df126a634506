//! Finding every space and line end that separates fields, quoted ones included, in one pass over the text.
//!
//! Quotes are taken to open and close in turn, which the bit masks of 64 bytes tell without a branch. Where that is not
//! what the [tokenizer](super::Tokenizer) would see (a quote inside a field, an escaped one, one that never closes, a run of
//! spaces), the place is noted, so that the line can be left to it.

use crate::parse::scan::{append_ends, append_positions};

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
        {
            if x86::is_widest_supported() {
                // SAFETY: the features that `x86::find_widest` is compiled for have just been detected.
                unsafe { x86::find_widest::<QUOTES>(self, block, from, to) };
                return;
            }
            if x86::is_supported() {
                // SAFETY: the features that `x86::find` is compiled for have just been detected.
                unsafe { x86::find::<QUOTES>(self, block, from, to) };
                return;
            }
        }
        self.find_words::<QUOTES>(block, from, to);
    }

    /// The portable form: the masks are built byte by byte, which compilers turn into vector compares.
    fn find_words<const QUOTES: bool>(&mut self, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let mut before = LINE_BEGINS;
        let mut base = from as u32;
        for step in text.chunks(64) {
            before = self.push(base, Step::of::<QUOTES>(step), before, parity, append_positions);
            base = base.wrapping_add(64);
        }
    }

    /// Takes one step. `parity` and `append` are those of that name or their equals.
    #[inline(always)]
    fn push(
        &mut self,
        base: u32,
        step: Step,
        before: Before,
        parity: impl Fn(u64) -> u64,
        append: impl Fn(u32, u64, &mut Vec<u32>),
    ) -> Before {
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
        append_ends(self.at.len() as u32, separators, ends, &mut self.newlines);
        append(base, separators, &mut self.at);
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
    use super::{LINE_BEGINS, Marks, Step, append_positions};
    use crate::parse::scan::x86::{self, append_positions_widest};
    use std::arch::x86_64::*;

    /// Whether the processor has what [`find`] is compiled for.
    pub(super) fn is_supported() -> bool {
        x86::is_supported() && is_x86_feature_detected!("pclmulqdq")
    }

    /// Whether the processor has what [`find_widest`] is compiled for.
    pub(super) fn is_widest_supported() -> bool {
        x86::is_widest_supported() && is_x86_feature_detected!("pclmulqdq")
    }

    /// # Safety
    /// [`is_supported`] must have said so.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
    pub(super) unsafe fn find<const QUOTES: bool>(marks: &mut Marks, block: &[u8], from: usize, to: usize) {
        let Some(text) = block.get(from..to) else { return };
        let (mut before, mut base) = (LINE_BEGINS, from as u32);
        let mut steps = text.chunks_exact(64);
        for step in &mut steps {
            // SAFETY: the step is 64 bytes long, and `loadu` asks for no alignment.
            let (low, high) = unsafe {
                (_mm256_loadu_si256(step.as_ptr().cast()), _mm256_loadu_si256(step.as_ptr().add(32).cast()))
            };
            let equal = |byte: u8| {
                let wanted = _mm256_set1_epi8(byte as i8);
                let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) as u32;
                let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) as u32;
                u64::from(low) | u64::from(high) << 32
            };
            let step = Step {
                all: u64::MAX,
                spaces: equal(b' '),
                ends: equal(b'\n'),
                quotes: if QUOTES { equal(b'"') } else { 0 },
                backslashes: if QUOTES { equal(b'\\') } else { 0 },
            };
            // SAFETY: this function is compiled for the same feature.
            before = marks.push(base, step, before, |bits| unsafe { parity(bits) }, append_positions);
            base = base.wrapping_add(64);
        }
        let last = Step::of::<QUOTES>(steps.remainder());
        marks.push(base, last, before, super::parity, append_positions);
    }

    /// # Safety
    /// [`is_widest_supported`] must have said so.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
    pub(super) unsafe fn find_widest<const QUOTES: bool>(
        marks: &mut Marks,
        block: &[u8],
        from: usize,
        to: usize,
    ) {
        let Some(text) = block.get(from..to) else { return };
        let (mut before, mut base) = (LINE_BEGINS, from as u32);
        let mut steps = text.chunks_exact(64);
        for step in &mut steps {
            // SAFETY: the step is 64 bytes long, and `loadu` asks for no alignment.
            let bytes = unsafe { _mm512_loadu_si512(step.as_ptr().cast()) };
            let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8));
            let step = Step {
                all: u64::MAX,
                spaces: equal(b' '),
                ends: equal(b'\n'),
                quotes: if QUOTES { equal(b'"') } else { 0 },
                backslashes: if QUOTES { equal(b'\\') } else { 0 },
            };
            // SAFETY: this function is compiled for the same features.
            before = marks.push(
                base,
                step,
                before,
                |bits| unsafe { parity(bits) },
                |base, bits, out| unsafe { append_positions_widest(base, bits, out) },
            );
            base = base.wrapping_add(64);
        }
        let last = Step::of::<QUOTES>(steps.remainder());
        marks.push(base, last, before, super::parity, append_positions);
    }

    /// [`super::parity`]: a product without carries adds up all bits below each one.
    ///
    /// # Safety
    /// The processor must have `pclmulqdq`.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    pub(super) unsafe fn parity(bits: u64) -> u64 {
        let ones = _mm_set1_epi8(-1);
        _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), ones)) as u64
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
            #[cfg(target_arch = "x86_64")]
            if x86::is_supported() {
                marks = Marks { at: vec![(from as u32).wrapping_sub(1)], ..Marks::default() };
                // SAFETY: the features have just been detected.
                unsafe { x86::find::<true>(&mut marks, block, from, to) };
                prop_assert_eq!(&marks, &find_naive(block, from, to, true));
            }
        }
    }
}
