//! Distinct words of 64 bits: each one once, in the order in which they came.

use super::{NULL, hash};

/// The words and the table that finds them.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    values: Vec<i64>,
    /// Indices into `values`, by their hash; [`NULL`] where there is none.
    slots: Vec<u32>,
}

impl Distinct {
    pub(super) fn values(&self) -> &[i64] {
        &self.values
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.slots.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.values.len() * 8 + self.slots.len() * 4
    }

    /// Keeps a value without looking it up; the index that it has.
    #[inline(always)]
    pub(super) fn push(&mut self, value: i64) -> u32 {
        self.values.push(value);
        (self.values.len() - 1) as u32
    }

    /// The index of a value, which is kept if it is new.
    pub(super) fn index_of(&mut self, value: i64) -> u32 {
        if (self.values.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(value as u64, 0) as usize & mask;
        loop {
            match self.slots.get(slot).copied() {
                Some(NULL) | None => break,
                Some(index) if self.values.get(index as usize) == Some(&value) => return index,
                Some(_) => slot = (slot + 1) & mask,
            }
        }
        let index = self.push(value);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = index;
        }
        index
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(1024).max(((self.values.len() + 1) * 2).next_power_of_two());
        self.slots.clear();
        self.slots.resize(size, NULL);
        for (index, &value) in self.values.iter().enumerate() {
            place(&mut self.slots, hash(value as u64, 0), index as u32, |index| *index == NULL);
        }
    }
}

/// Puts something into the first free slot from where its hash points to, of a table whose size is a power of two and which is
/// not full.
pub(super) fn place<S>(slots: &mut [S], hash: u64, new: S, is_free: impl Fn(&S) -> bool) {
    let mask = slots.len().wrapping_sub(1);
    let mut slot = hash as usize & mask;
    while slots.get(slot).is_some_and(|slot| !is_free(slot)) {
        slot = (slot + 1) & mask;
    }
    if let Some(free) = slots.get_mut(slot) {
        *free = new;
    }
}

/// Whether a column has given its dictionary up, also from one row group to the next: what did not repeat in one
/// will not in the next, and only now and then is that tried anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trial {
    plain: bool,
    seen: usize,
    /// Row groups since the dictionary was given up.
    given_up: u32,
}

impl Trial {
    /// After this many values, a column that repeats too little stops being a dictionary.
    const VALUES: usize = 16 * 1024;

    /// A dictionary that has been given up is tried again after so many row groups.
    const AGAIN: u32 = 8;

    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    pub(super) fn give_up(&mut self) {
        self.plain = true;
    }

    /// Before so many more values, given how many distinct ones there are.
    pub(super) fn reconsider(&mut self, more: usize, distinct: usize) {
        self.seen += more;
        if !self.plain && self.seen >= Self::VALUES && distinct * 4 > self.seen * 3 {
            self.plain = true;
        }
    }

    /// For the next row group.
    pub(super) fn begin_anew(&mut self) {
        self.given_up = if self.plain { self.given_up.wrapping_add(1) } else { 0 };
        self.plain = !self.given_up.is_multiple_of(Self::AGAIN);
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn indices_are_those_of_a_search(values in prop::collection::vec(-40i64..40, 0..200), wide: bool) {
            let mut distinct = Distinct::default();
            let mut naive: Vec<i64> = Vec::new();
            for value in values {
                let value = if wide { value.wrapping_mul(0x1234_5678_9ABC_DEF1) } else { value };
                let place = naive.iter().position(|known| *known == value).unwrap_or_else(|| {
                    naive.push(value);
                    naive.len() - 1
                });
                prop_assert_eq!(distinct.index_of(value), place as u32);
            }
            prop_assert_eq!(distinct.values(), &naive[..]);
        }
    }

    #[test]
    fn a_dictionary_given_up_is_tried_again_after_eight_row_groups() {
        let mut trial = Trial::default();
        trial.reconsider(Trial::VALUES, Trial::VALUES);
        assert!(trial.is_plain());
        let groups: Vec<bool> = (0..9)
            .map(|_| {
                trial.begin_anew();
                trial.is_plain()
            })
            .collect();
        assert_eq!(groups, [true, true, true, true, true, true, true, false, false]);
    }
}
