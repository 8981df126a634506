//! Counting what is distinct: exactly up to a bound, and beyond it by HyperLogLog (Flajolet and others, 2007), so that no
//! rule costs more than a bounded amount of memory.

use hashbrown::HashSet;
use std::hash::{BuildHasher, Hash};

/// Above this many the count is an estimate. Each rule has three of these sets in each thread, so that a thousand busy rules
/// take a thousand times as much as they may hold.
const MOST_EXACT: usize = 1 << 16;
/// 2^14 registers: a standard error of 0.8 %.
const BITS: u32 = 14;

/// How many different values were added.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    exact: HashSet<u64>,
    registers: Vec<u8>,
}

/// Hashes must be equal wherever they are made, and spread: the default hasher of the standard library with fixed keys.
fn hash(value: impl Hash) -> u64 {
    std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(value)
}

impl Distinct {
    pub(super) fn add(&mut self, value: impl Hash) {
        self.add_hash(hash(value));
    }

    pub(super) fn merge(&mut self, other: Distinct) {
        if self.registers.is_empty() && other.registers.is_empty() {
            for hash in other.exact {
                self.add_hash(hash);
            }
            return;
        }
        if self.registers.is_empty() {
            self.estimate();
        }
        other.exact.iter().for_each(|hash| self.register(*hash));
        for (ours, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *ours = (*ours).max(*theirs);
        }
    }

    fn add_hash(&mut self, hash: u64) {
        if !self.registers.is_empty() {
            self.register(hash);
            return;
        }
        self.exact.insert(hash);
        if self.exact.len() > MOST_EXACT {
            self.estimate();
        }
    }

    fn estimate(&mut self) {
        self.registers = vec![0; 1 << BITS];
        for hash in std::mem::take(&mut self.exact) {
            self.register(hash);
        }
    }

    fn register(&mut self, hash: u64) {
        let at = usize::try_from(hash >> (64 - BITS)).unwrap_or(0);
        let rank = (hash << BITS).leading_zeros().min(64 - BITS).saturating_add(1);
        if let Some(slot) = self.registers.get_mut(at) {
            *slot = (*slot).max(u8::try_from(rank).unwrap_or(u8::MAX));
        }
    }

    pub(super) fn count(&self) -> u64 {
        if self.registers.is_empty() {
            return self.exact.len() as u64;
        }
        let registers = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
        (0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum).round() as u64
    }

    /// Whether the count is exact.
    pub(super) fn is_exact(&self) -> bool {
        self.registers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_exactly() {
        let mut distinct = Distinct::default();
        (0..1000u32).chain(0..1000).for_each(|value| distinct.add(value));
        let mut other = Distinct::default();
        (500..1500u32).for_each(|value| other.add(value));
        distinct.merge(other);
        assert_eq!((distinct.count(), distinct.is_exact()), (1500, true));
    }

    #[test]
    fn many_are_estimated_within_three_standard_errors() {
        let many = 2_000_000u32;
        let (mut one, mut other) = (Distinct::default(), Distinct::default());
        (0..many / 2 + 1000).for_each(|value| one.add(value));
        (many / 2 - 1000..many).for_each(|value| other.add(value));
        one.merge(other);
        assert!(!one.is_exact());
        let error = (one.count() as f64 - f64::from(many)).abs() / f64::from(many);
        assert!(error < 0.025, "{}", one.count());
    }
}
