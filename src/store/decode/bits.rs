//! A bit for each row, and moving bits between all rows and those that have a value.

/// Bits, 64 to a word, the first in the lowest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

fn low(count: usize) -> u64 {
    match count {
        0 => 0,
        64.. => u64::MAX,
        count => u64::MAX >> (64 - count),
    }
}

impl Bits {
    /// So many bits, those at these places set.
    pub fn of(places: impl IntoIterator<Item = usize>, len: usize) -> Bits {
        let mut words = vec![0u64; len.div_ceil(64)];
        for place in places.into_iter().filter(|place| *place < len) {
            words.get_mut(place / 64).into_iter().for_each(|word| *word |= 1 << (place % 64));
        }
        Bits { words, len }
    }

    /// How many bits there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words; bits behind the last are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Forgets all bits.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// Adds the lowest `count` bits of a word.
    pub fn push(&mut self, bits: u64, count: usize) {
        let count = count.min(64);
        let bits = bits & low(count);
        let filled = self.len % 64;
        match self.words.last_mut() {
            Some(last) if filled > 0 => {
                *last |= bits << filled;
                if filled + count > 64 {
                    self.words.push(bits >> (64 - filled));
                }
            }
            _ if count > 0 => self.words.push(bits),
            _ => {}
        }
        self.len += count;
    }

    /// Adds the same bit `count` times.
    pub fn push_run(&mut self, bit: bool, mut count: usize) {
        let bits = if bit { u64::MAX } else { 0 };
        let first = count.min((64 - self.len % 64) % 64);
        self.push(bits, first);
        count -= first;
        self.words.resize(self.words.len() + count / 64, bits);
        self.len += count / 64 * 64;
        self.push(bits, count % 64);
    }

    /// Adds bits that lie in bytes, the first in the lowest of the first.
    pub fn push_bytes(&mut self, bytes: &[u8], mut count: usize) {
        for eight in bytes.chunks(8) {
            let taken = count.min(eight.len() * 8);
            let mut word = [0; 8];
            word.iter_mut().zip(eight).for_each(|(place, byte)| *place = *byte);
            self.push(u64::from_le_bytes(word), taken);
            count -= taken;
        }
    }

    /// The 64 bits from `from` on; zeros behind the last.
    pub fn word_at(&self, from: usize) -> u64 {
        let (word, shift) = (from / 64, from % 64);
        let at = |word: usize| self.words.get(word).copied().unwrap_or(0);
        match shift {
            0 => at(word),
            shift => at(word) >> shift | at(word + 1) << (64 - shift),
        }
    }

    /// How many bits of so many from `from` on are set.
    pub fn ones_in(&self, from: usize, count: usize) -> usize {
        let steps = (0..count).step_by(64);
        steps.map(|at| (self.word_at(from + at) & low(count - at)).count_ones() as usize).sum()
    }

    /// How many are set.
    pub fn ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The places of the set bits among so many from `from` on, counted from `from`.
    pub fn places_in(&self, from: usize, count: usize) -> impl Iterator<Item = usize> + '_ {
        (0..count)
            .step_by(64)
            .flat_map(move |at| Ones(self.word_at(from + at) & low(count - at)).map(move |one| at + one))
    }

    /// Clears the bits that are not set in `other`.
    pub fn and(&mut self, other: &Bits) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter_mut().zip(others).for_each(|(word, other)| *word &= other);
    }

    /// Leaves of the set bits, in their order, those for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut() -> bool) {
        for word in &mut self.words {
            for one in Ones(*word) {
                if !keep() {
                    *word &= !(1 << one);
                }
            }
        }
    }

    /// Adds a bit for each bit of `present`: where that is set the next of `dense`, elsewhere `of_none`.
    pub fn push_spread(&mut self, dense: &Bits, present: &Bits, of_none: bool) {
        let mut at = 0;
        for (place, &word) in present.words.iter().enumerate() {
            let count = (present.len - place * 64).min(64);
            let ones = word.count_ones() as usize;
            let bits = spread(dense.word_at(at) & low(ones), word);
            let missing = if of_none { !word } else { 0 };
            self.push(bits | missing, count);
            at += ones;
        }
    }
}

/// The places of the set bits of a word.
struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// The lowest bits of `dense` at the places that are set in `present`.
fn spread(dense: u64, present: u64) -> u64 {
    if dense == 0 || present == u64::MAX {
        return dense;
    }
    if present.count_zeros() < 16 {
        let mut bits = dense;
        for zero in Ones(!present) {
            let below = bits & low(zero);
            bits = below | (bits & !low(zero)) << 1;
        }
        return bits;
    }
    Ones(present).enumerate().fold(0, |bits, (at, place)| bits | (dense >> at & 1) << place)
}

/// For each word of some bits, how many are set before it.
#[derive(Debug, Default)]
pub struct Ranks(Vec<u32>);

impl Ranks {
    /// Counts anew.
    pub fn count(&mut self, bits: &Bits) {
        self.0.clear();
        let mut before = 0u32;
        self.0.extend(bits.words.iter().map(|word| {
            let count = before;
            before += word.count_ones();
            count
        }));
    }

    /// How many bits before this one are set; `None` if it is not set itself.
    pub fn of(&self, bits: &Bits, place: usize) -> Option<usize> {
        let word = bits.words.get(place / 64)?;
        let bit = place % 64;
        if word >> bit & 1 == 0 {
            return None;
        }
        Some(*self.0.get(place / 64)? as usize + (word & low(bit)).count_ones() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(bits: &[bool]) -> Bits {
        let mut all = Bits::default();
        bits.iter().for_each(|bit| all.push(u64::from(*bit), 1));
        all
    }

    fn plain(bits: &Bits) -> Vec<bool> {
        (0..bits.len()).map(|at| bits.word_at(at) & 1 == 1).collect()
    }

    proptest! {
        #[test]
        fn bits_are_pushed_found_and_counted_as_one_by_one(
            runs in prop::collection::vec((any::<u64>(), 0usize..=64, any::<bool>(), 0usize..200), 0..8),
            from in 0usize..300, count in 0usize..300,
        ) {
            let (mut bits, mut naive) = (Bits::default(), Vec::new());
            for (word, taken, bit, length) in runs {
                bits.push(word, taken);
                naive.extend((0..taken).map(|at| word >> at & 1 == 1));
                bits.push_run(bit, length);
                naive.extend(std::iter::repeat_n(bit, length));
                bits.push_bytes(&word.to_le_bytes(), taken);
                naive.extend((0..taken).map(|at| word >> at & 1 == 1));
            }
            prop_assert_eq!(plain(&bits), naive.clone());
            let part: Vec<bool> = naive.iter().copied().skip(from).take(count).collect();
            let places: Vec<usize> = (0..part.len()).filter(|at| part[*at]).collect();
            prop_assert_eq!(bits.places_in(from, count).collect::<Vec<_>>(), places.clone());
            prop_assert_eq!(bits.ones_in(from, count), places.len());
            let mut ranks = Ranks::default();
            ranks.count(&bits);
            for place in 0..naive.len() {
                let before = naive[..place].iter().filter(|bit| **bit).count();
                prop_assert_eq!(ranks.of(&bits, place), naive[place].then_some(before));
            }
        }

        #[test]
        fn bits_are_spread_and_kept_as_one_by_one(
            present in prop::collection::vec(prop_oneof![9 => Just(true), 1 => any::<bool>()], 0..300),
            few in any::<bool>(), dense in prop::collection::vec(any::<bool>(), 300), of_none in any::<bool>(),
        ) {
            let present: Vec<bool> = present.iter().map(|bit| bit ^ few).collect();
            let mut next = dense.iter();
            let wanted: Vec<bool> =
                present.iter().map(|bit| if *bit { *next.next().unwrap() } else { of_none }).collect();
            let mut found = Bits::default();
            found.push_spread(&of(&dense), &of(&present), of_none);
            prop_assert_eq!(plain(&found), wanted.clone());

            let mut answers = dense.iter();
            let kept: Vec<bool> = wanted.iter().map(|bit| *bit && *answers.next().unwrap()).collect();
            // One by one, too, answers are taken for set bits only.
            let mut answers = dense.iter();
            let naive: Vec<bool> = wanted.iter().map(|bit| if *bit { *answers.next().unwrap() } else { false }).collect();
            let mut answers = dense.iter();
            found.retain(|| *answers.next().unwrap());
            prop_assert_eq!(plain(&found), naive);
            let mut both = of(&wanted);
            both.and(&of(&kept));
            prop_assert_eq!(plain(&both), kept);
        }
    }
}
