//! A small generator of random numbers (xoshiro256**, seeded by splitmix64), whole-number arithmetic only, so that every
//! platform draws the same.

/// One stream of random numbers.
pub(crate) struct Random([u64; 4]);

/// A well mixed number for a number; also used where a value must depend on another one and on nothing else.
pub(crate) fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let a = mix(seed);
        let b = mix(a);
        let c = mix(b);
        Random([a, b, c, mix(c) | 1])
    }

    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to `n` - 1, 0 for `n` 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `n` times in a thousand.
    pub fn permille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// A rank below `n`, each doubling of the rank as likely as the one before: a few ranks come up again and again.
    pub fn zipf(&mut self, n: u64) -> u64 {
        let octaves = 64 - u64::from(n.max(1).leading_zeros());
        let low = 1u64 << self.below(octaves);
        (low + self.below(low) - 1) % n.max(1)
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T], or: &'a T) -> &'a T {
        of.get(self.below(of.len() as u64) as usize).copied().unwrap_or(or)
    }
}
