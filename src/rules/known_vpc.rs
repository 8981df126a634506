//! What is known of a VPC's addresses.

use super::identity::Identity;
use crate::net::Prefix;
use crate::network::Timestamp;
use std::net::IpAddr;

#[derive(Debug, Clone)]
pub(super) struct KnownVpc {
    pub(super) cidrs: Vec<Prefix>,
    /// The account that owns it.
    pub(super) owner_id: Option<String>,
    /// The blocks are told of the VPC itself, and so are all.
    pub(super) described: bool,
    /// The same as first and last addresses, in order and apart, once all are known.
    ranges: Vec<(IpAddr, IpAddr)>,
    /// Interfaces of this VPC are known for the moment in question, so an address of none belongs to nobody.
    pub(super) covered: bool,
    /// The last capture of all of them, and the last time for which one of them is known.
    pub(super) newest: (Option<Timestamp>, Timestamp),
    /// Groups of its interfaces that may have addresses which could not be read; `None` where such a group list is not known.
    pub(super) adrift: Option<Vec<String>>,
}

impl Default for KnownVpc {
    fn default() -> Self {
        KnownVpc {
            cidrs: Vec::new(),
            owner_id: None,
            described: false,
            ranges: Vec::new(),
            covered: false,
            newest: (None, Timestamp::MIN),
            adrift: Some(Vec::new()),
        }
    }
}

impl KnownVpc {
    /// To be called when its blocks are complete: without describe-vpcs they are those of hundreds of subnets.
    pub(super) fn settle(&mut self) {
        self.ranges = self.cidrs.iter().map(Prefix::range).collect();
        self.ranges.sort_unstable();
        // All addresses of version 4 come before those of version 6, so no range holds both.
        self.ranges.dedup_by(|next, last| {
            let joined = next.0 <= last.1;
            if joined {
                last.1 = last.1.max(next.1);
            }
            joined
        });
    }

    /// Whether it is known to be another account's: an interface of this account takes part in a shared VPC.
    pub(super) fn is_of_another(&self, account: Option<&str>) -> bool {
        self.owner_id.as_deref().zip(account).is_some_and(|(owner, account)| owner != account)
    }

    /// What an address in its blocks may be that no known interface has.
    pub(super) fn of_no_known(&self) -> Identity<'_> {
        match (&self.adrift, self.covered) {
            (Some(groups), true) if groups.is_empty() => Identity::Nobody,
            (Some(groups), true) => Identity::MaybeMember(groups.iter().map(String::as_str).collect()),
            _ => Identity::Unknown,
        }
    }

    pub(super) fn holds(&self, remote: &IpAddr) -> bool {
        let next = self.ranges.partition_point(|(first, _)| first <= remote);
        let range = next.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(_, last)| remote <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = (0u32..1024).prop_map(|low| IpAddr::V4((0x0A00_0000 + low).into()));
        let v6 = (0u128..64).prop_map(|low| IpAddr::V6(((0x2001_0db8 << 96) + low).into()));
        let ends = prop::sample::select(vec!["0.0.0.0", "255.255.255.255", "::", "ffff::"]);
        prop_oneof![4 => v4, 2 => v6, 1 => ends.prop_map(|addr| addr.parse().unwrap())]
    }

    proptest! {
        #[test]
        fn ranges_hold_what_the_blocks_hold(
            blocks in prop::collection::vec((address(), 20u8..=32, 118u8..=128), 0..12),
            all in prop::option::of(any::<bool>()),
            asked in prop::collection::vec(address(), 1..40),
        ) {
            let block = |(addr, short, long): (IpAddr, u8, u8)| {
                Prefix::new(addr, if addr.is_ipv4() { short } else { long })
            };
            let mut cidrs: Vec<Prefix> = blocks.into_iter().filter_map(block).collect();
            cidrs.extend(all.map(|v6| Prefix::any(if v6 { Family::V6 } else { Family::V4 })));
            let mut vpc = KnownVpc { cidrs, ..KnownVpc::default() };
            vpc.settle();
            for addr in asked {
                prop_assert_eq!(vpc.holds(&addr), vpc.cidrs.iter().any(|cidr| cidr.contains(&addr)), "{}", addr);
            }
        }
    }
}
