//! Which range of addresses an address lies in: the starts of the ranges as a tree whose nodes are lines of the cache.
//!
//! A large configuration has thousands of ranges for each set of groups, and more sets than fit into a cache. Halving a sorted
//! list touches a new line at almost each of a dozen steps; here it is one line at each of three or four.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Starts in an inner node: a line of the cache for IPv4.
const FAN: usize = 16;

/// Ranges in a leaf: starts and values together are a line for IPv4.
const LEAF: usize = 8;

/// An address of one family as a number.
pub(super) trait Address: Copy + Ord {
    const ZERO: Self;
    const MAX: Self;

    /// The next address, if there is one.
    fn successor(self) -> Option<Self>;
}

impl Address for u32 {
    const ZERO: Self = Ipv4Addr::UNSPECIFIED.to_bits();
    const MAX: Self = u32::MAX;

    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    const ZERO: Self = Ipv6Addr::UNSPECIFIED.to_bits();
    const MAX: Self = u128::MAX;

    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Starts of the first ranges below each child.
#[derive(Debug)]
#[repr(align(64))]
struct Node<K>([K; FAN]);

/// Starts of ranges, and the value of each.
#[derive(Debug)]
#[repr(align(64))]
struct Leaf<K> {
    starts: [K; LEAF],
    values: [u32; LEAF],
}

/// Ranges that follow one another without a gap, each with a value.
#[derive(Debug)]
pub(super) struct Ranges<K> {
    /// From the root down.
    levels: Vec<Box<[Node<K>]>>,
    leaves: Box<[Leaf<K>]>,
}

impl<K: Address> Ranges<K> {
    /// From the start of each range and its value, in ascending order.
    pub(super) fn new(ranges: &[(K, u32)]) -> Self {
        // What fills a last node is above all addresses but the last, and has the value of the last range, so that this one
        // is right too.
        let last = ranges.last().map_or(0, |(_, value)| *value);
        let leaves: Box<[Leaf<K>]> = ranges
            .chunks(LEAF)
            .map(|chunk| {
                let of = |at: usize| chunk.get(at).copied().unwrap_or((K::MAX, last));
                Leaf {
                    starts: std::array::from_fn(|at| of(at).0),
                    values: std::array::from_fn(|at| of(at).1),
                }
            })
            .collect();
        let mut below: Vec<K> = leaves.iter().map(|leaf| leaf.starts[0]).collect();
        let mut levels: Vec<Box<[Node<K>]>> = Vec::new();
        while below.len() > 1 {
            let nodes = below
                .chunks(FAN)
                .map(|chunk| Node(std::array::from_fn(|at| chunk.get(at).copied().unwrap_or(K::MAX))));
            let nodes: Box<[Node<K>]> = nodes.collect();
            below = nodes.iter().map(|node| node.0[0]).collect();
            levels.push(nodes);
        }
        levels.reverse();
        Ranges { levels, leaves }
    }

    /// The value of the range that an address lies in; `None` below the first.
    #[inline]
    pub(super) fn value(&self, addr: K) -> Option<u32> {
        let mut at = 0;
        for level in &self.levels {
            let node = level.get(at).or(level.last())?;
            at = at * FAN + not_after(&node.0, addr).saturating_sub(1);
        }
        let leaf = self.leaves.get(at).or(self.leaves.last())?;
        leaf.values.get(not_after(&leaf.starts, addr).checked_sub(1)?).copied()
    }
}

/// How many starts are not after an address. All are looked at: they lie in one line, and nothing is guessed wrong.
#[inline]
fn not_after<K: Address>(starts: &[K], addr: K) -> usize {
    starts.iter().map(|start| u32::from(*start <= addr)).sum::<u32>() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Halving a sorted list.
    fn twin(ranges: &[(u32, u32)], addr: u32) -> Option<u32> {
        let at = ranges.partition_point(|(start, _)| *start <= addr);
        Some(ranges.get(at.checked_sub(1)?)?.1)
    }

    fn check(starts: impl IntoIterator<Item = u32>, also: &[u32]) {
        let mut starts: Vec<u32> = starts.into_iter().collect();
        starts.sort_unstable();
        starts.dedup();
        let ranges: Vec<(u32, u32)> = starts.iter().copied().zip(100..).collect();
        let tree = Ranges::new(&ranges);
        let wide: Vec<(u128, u32)> =
            ranges.iter().map(|(start, value)| (u128::from(*start) << 96, *value)).collect();
        let wide = Ranges::new(&wide);
        let around = starts.iter().flat_map(|start| [start.wrapping_sub(1), *start, start.wrapping_add(1)]);
        for addr in around.chain(also.iter().copied()).chain([0, u32::MAX]) {
            let expected = twin(&ranges, addr);
            assert_eq!(tree.value(addr), expected, "{addr} in {} ranges", ranges.len());
            assert_eq!(wide.value(u128::from(addr) << 96), expected, "{addr} << 96");
        }
    }

    #[test]
    fn every_number_of_ranges_up_to_three_levels() {
        for count in (0..300).chain([2_047, 2_048, 2_049, 5_000]) {
            check((0..count).map(|n| n * 800_000), &[]);
        }
    }

    #[test]
    fn the_last_address_of_all_may_start_a_range() {
        check([0, u32::MAX], &[]);
        check((0..8).map(|n| u32::MAX - n), &[]);
        check((0..129).map(|n| u32::MAX - n), &[]);
    }

    proptest! {
        #[test]
        fn finds_what_halving_finds(starts in prop::collection::vec(any::<u32>(), 0..600), also in prop::collection::vec(any::<u32>(), 50)) {
            check(starts, &also);
        }
    }
}
