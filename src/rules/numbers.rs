//! Rule numbers for network ACL entries that are yet to be added: the one place where advice and fixes choose them.

use crate::network::NetworkAcl;
use std::collections::BTreeSet;

/// The last number that an entry may have (documented: 1 to 32766).
const LAST: u32 = 32_766;

/// The numbers in use in one direction of a network ACL, of both families: one number serves one family (spec 6.4).
pub fn taken_numbers(acl: &NetworkAcl, egress: bool) -> BTreeSet<u32> {
    let entries = acl.entries.iter().filter(|entry| entry.egress == egress && !entry.is_default());
    entries.map(|entry| entry.number).collect()
}

/// An unused number: close in front of `before`, or else behind all others in steps of ten as the console does, and where
/// there is no room behind them the greatest that is free.
pub fn free_number(taken: &BTreeSet<u32>, before: Option<u32>) -> Option<u32> {
    let is_free = |number: &u32| (1..=LAST).contains(number) && !taken.contains(number);
    let tens = |number: u32| number.checked_div(10)?.checked_mul(10);
    match before {
        Some(before) => {
            // One of five looks tidy, and in front of another entry it could decide what that one should.
            let tidy = before.saturating_sub(1).checked_div(5).and_then(|fives| fives.checked_mul(5));
            let tidy = tidy.filter(|number| taken.range(number..&before).next().is_none());
            tidy.into_iter().chain((1..before.min(LAST.saturating_add(1))).rev()).find(is_free)
        }
        None => {
            let last = taken.iter().next_back().copied().unwrap_or(90);
            let next = tens(last).and_then(|number| number.checked_add(10));
            next.into_iter().chain((1..=LAST).rev().filter_map(tens)).chain((1..=LAST).rev()).find(is_free)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_free_tidy_and_in_their_place() {
        let taken = BTreeSet::from([100, 110, 200]);
        for (before, number) in [
            (Some(200), Some(195)),
            (Some(110), Some(105)),
            (Some(100), Some(95)),
            (None, Some(210)),
            (Some(1), None),
            (Some(40_000), Some(32_766)),
        ] {
            assert_eq!(free_number(&taken, before), number, "{before:?}");
        }
        assert_eq!(free_number(&BTreeSet::new(), None), Some(100));
        // 95 would stand in front of 97.
        assert_eq!(free_number(&BTreeSet::from([97, 100]), Some(100)), Some(99));
        assert_eq!(free_number(&BTreeSet::from([98, 99, 100]), Some(100)), Some(97));
        assert_eq!(free_number(&BTreeSet::from([1, 2]), Some(2)), None);
    }

    #[test]
    fn behind_the_last_number_there_is_room_below() {
        assert_eq!(free_number(&BTreeSet::from([100, LAST]), None), Some(32_760));
        assert_eq!(free_number(&(1..=LAST).collect(), None), None);
        assert_eq!(free_number(&(2..=LAST).collect(), None), Some(1));
    }
}
