//! Few prefixes for many addresses, and few ranges for many ports: as narrow as the number allows.

use crate::net::{Family, PortRange, Prefix};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A prefix shorter than this says nothing of who uses a rule any more.
fn shortest(family: Family) -> u8 {
    match family {
        Family::V4 => 16,
        Family::V6 => 48,
    }
}

/// The longest prefix that covers both; `None` for two families.
fn common(one: &Prefix, other: &Prefix) -> Option<Prefix> {
    let ((first, _), (last, _)) = (one.range_bits(), other.range_bits());
    if one.family() != other.family() {
        return None;
    }
    let width = match one.family() {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    // IPv4 stands in the low bits.
    let differ = 128u32.saturating_sub((first ^ last).leading_zeros());
    let len = u8::try_from(u32::saturating_sub(width, differ)).unwrap_or(0);
    Prefix::new(one.network(), len.min(one.prefix_len()).min(other.prefix_len()))
}

/// At most `most` prefixes that cover all addresses: the addresses themselves where they are few enough, else the nearest
/// are put together first. `None` where that would take prefixes too short to mean anything.
pub(super) fn prefixes(addresses: &BTreeSet<IpAddr>, most: usize) -> Option<Vec<Prefix>> {
    let mut found: Vec<Prefix> = addresses.iter().copied().map(Prefix::host).collect();
    while found.len() > most.max(1) {
        let pairs = found.iter().zip(found.iter().skip(1));
        let joined = pairs.enumerate().filter_map(|(at, (one, next))| Some((at, common(one, next)?)));
        let (at, joined) = joined.max_by_key(|(at, prefix)| (prefix.prefix_len(), std::cmp::Reverse(*at)))?;
        if joined.prefix_len() < shortest(joined.family()) {
            return None;
        }
        if let Some(slot) = found.get_mut(at) {
            *slot = joined;
        }
        let mut place = 0usize;
        found.retain(|prefix| {
            let keep = place == at || !joined.covers(prefix);
            place = place.saturating_add(1);
            keep
        });
    }
    Some(found)
}

/// At most `most` ranges that cover all of these: those with the smallest gaps are put together first.
pub(super) fn ranges(ports: &BTreeSet<(u16, u16)>, most: usize) -> Vec<PortRange> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ports {
        match found.last_mut() {
            Some(known) if *first <= known.1.saturating_add(1) => known.1 = known.1.max(*last),
            _ => found.push((*first, *last)),
        }
    }
    while found.len() > most.max(1) {
        let gaps = found.iter().zip(found.iter().skip(1)).enumerate();
        let gap = gaps.min_by_key(|(_, (one, next))| next.0.saturating_sub(one.1)).map(|(at, _)| at);
        let Some(at) = gap else { break };
        let next = found.remove(at.saturating_add(1));
        if let Some(slot) = found.get_mut(at) {
            slot.1 = slot.1.max(next.1);
        }
    }
    found.into_iter().filter_map(|(first, last)| PortRange::new(first, last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(addresses: &str, most: usize) -> String {
        let addresses = addresses.split_whitespace().map(|addr| addr.parse().unwrap()).collect();
        let found = prefixes(&addresses, most);
        found.map_or("none".to_owned(), |found| {
            found.iter().map(Prefix::to_string).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn few_addresses_are_themselves() {
        assert_eq!(of("10.0.0.1 10.0.0.9", 2), "10.0.0.1/32 10.0.0.9/32");
    }

    #[test]
    fn the_nearest_are_put_together_first() {
        assert_eq!(of("10.0.0.4 10.0.0.5 10.9.0.1", 2), "10.0.0.4/31 10.9.0.1/32");
        assert_eq!(of("10.0.0.1 10.0.0.200 10.0.1.7 10.0.9.9", 2), "10.0.0.0/23 10.0.9.9/32");
        assert_eq!(of("2001:db8::1 2001:db8::2 10.0.0.1", 2), "10.0.0.1/32 2001:db8::/126");
    }

    #[test]
    fn the_internet_is_no_prefix() {
        assert_eq!(of("198.51.100.7 203.0.113.9 192.0.2.1", 2), "none");
        assert_eq!(of("10.0.0.1 2001:db8::1", 1), "none");
    }

    #[test]
    fn ranges_close_the_smallest_gaps() {
        let text = |ports: &[(u16, u16)], most| {
            let found = ranges(&ports.iter().copied().collect(), most);
            found.iter().map(PortRange::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&[(80, 80), (81, 81), (443, 443)], 10), "80-81 443");
        assert_eq!(text(&[(80, 80), (443, 443), (450, 450)], 2), "80 443-450");
        assert_eq!(text(&[(0, 65535), (22, 22)], 2), "0-65535");
    }

    proptest! {
        #[test]
        fn nothing_is_left_out(addresses in proptest::collection::btree_set(0u32..4096, 1..60), most in 1usize..9) {
            let addresses: BTreeSet<IpAddr> = addresses.into_iter().map(|bits| IpAddr::V4((0x0A00_0000 | bits).into())).collect();
            let found = prefixes(&addresses, most).unwrap();
            prop_assert!(found.len() <= most);
            for addr in &addresses {
                prop_assert!(found.iter().any(|prefix| prefix.contains(addr)));
            }
        }

        #[test]
        fn every_port_is_in_a_range(ports in proptest::collection::btree_set(any::<u16>(), 1..60), most in 1usize..9) {
            let ports: BTreeSet<(u16, u16)> = ports.into_iter().map(|port| (port, port)).collect();
            let found = ranges(&ports, most);
            prop_assert!(found.len() <= most);
            for (port, _) in &ports {
                prop_assert!(found.iter().any(|range| range.contains(*port)));
            }
        }
    }
}
