//! Which way a record without `flow-direction` went (spec 4.4).

use crate::net::{Family, is_internet, is_private};
use crate::network::NetworkInterface;
use crate::rules::Direction;
use hashbrown::HashMap;
use std::net::IpAddr;

/// Learns each interface's own address from its records: the primary address appears on every record of the interface, so
/// what all of its records have in common is its own (inferred; needs two distinct peers).
///
/// An interface with secondary addresses that talks to one host alone has that host in common: egress records may show any of its
/// addresses. So the others count as two peers only where no two addresses of one interface can be meant: see `Shared`.
#[derive(Debug, Clone, Default)]
pub struct OwnAddresses {
    by_interface: HashMap<String, InterfaceAddresses>,
}

/// What the records of one interface have in common, by family.
#[derive(Debug, Clone, Copy, Default)]
pub struct InterfaceAddresses([Common; 2]);

#[derive(Debug, Clone, Copy, Default)]
enum Common {
    #[default]
    Nothing,
    /// All records are between these two; which of them have sent.
    Either([IpAddr; 2], [bool; 2]),
    One(Shared),
    /// Records have no address in common.
    None,
}

/// The one address that all records share.
#[derive(Debug, Clone, Copy)]
struct Shared {
    addr: IpAddr,
    /// One of the others.
    other: IpAddr,
    /// One of those that it sends to.
    sends_to: Option<IpAddr>,
    /// The others are at least two hosts, so that it is the interface's own.
    two_peers: bool,
}

impl Shared {
    fn new(addr: IpAddr, other: IpAddr, sends: bool) -> Shared {
        Shared { addr, other, sends_to: sends.then_some(other), two_peers: false }
    }

    /// More records with it: another end, one that it sends to, and whether two peers are known from them.
    fn and(mut self, other: IpAddr, sends_to: Option<IpAddr>, two_peers: bool) -> Shared {
        // What is sent to an interface is shown with its primary IPv4 address, whichever is meant (spec 4.2): who sends to two
        // addresses is no peer of one interface. IPv6 addresses are shown as they are.
        let sends_to_two =
            self.addr.is_ipv4() && self.sends_to.zip(sends_to).is_some_and(|(one, another)| one != another);
        // Nor has an interface addresses of the internet that talks with a private one alone.
        let beyond = is_private(&self.addr) && [self.other, other].iter().any(is_internet);
        self.two_peers |= two_peers || sends_to_two || beyond || are_apart(self.other, other);
        self.sends_to = self.sends_to.or(sends_to);
        self
    }
}

/// Whether two addresses cannot be of one interface: these are of its subnet, which is a /16 at the most, and of IPv6 a /44.
fn are_apart(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)) >> 16 != 0,
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)) >> 84 != 0,
        _ => false,
    }
}

impl Common {
    /// Together with what other records have in common. The order does not matter.
    fn and(self, other: Common) -> Common {
        match (self, other) {
            (Common::Nothing, common) | (common, Common::Nothing) => common,
            (Common::None, _) | (_, Common::None) => Common::None,
            (Common::One(one), Common::One(other)) if one.addr == other.addr => {
                Common::One(one.and(other.other, other.sends_to, other.two_peers))
            }
            (Common::One(_), Common::One(_)) => Common::None,
            (Common::One(one), Common::Either(ends, sent))
            | (Common::Either(ends, sent), Common::One(one)) => match of_pair(ends, sent, one.addr) {
                Some(more) => Common::One(one.and(more.other, more.sends_to, false)),
                None => Common::None,
            },
            (Common::Either(ends, sent), Common::Either([src, dst], more)) => {
                let one = of_pair([src, dst], more, ends[0]);
                let other = of_pair([src, dst], more, ends[1]);
                match (one, other) {
                    (Some(one), Some(other)) => {
                        let sent = [sent[0] || one.sends_to.is_some(), sent[1] || other.sends_to.is_some()];
                        Common::Either(ends, sent)
                    }
                    (Some(found), None) | (None, Some(found)) => match of_pair(ends, sent, found.addr) {
                        Some(before) => Common::One(before.and(found.other, found.sends_to, false)),
                        None => Common::None,
                    },
                    (None, None) => Common::None,
                }
            }
        }
    }
}

/// What records between these two tell of one of them.
fn of_pair([one, other]: [IpAddr; 2], [one_sent, other_sent]: [bool; 2], addr: IpAddr) -> Option<Shared> {
    if addr == one {
        Some(Shared::new(one, other, one_sent))
    } else {
        (addr == other).then(|| Shared::new(other, one, other_sent))
    }
}

impl InterfaceAddresses {
    /// Takes a record of the interface into account.
    #[inline]
    pub fn observe(&mut self, src: IpAddr, dst: IpAddr) {
        // Packets have ends of one family. A record that says otherwise tells nothing, whatever came before it.
        if src.is_ipv6() != dst.is_ipv6() {
            return;
        }
        let slot = usize::from(src.is_ipv6());
        let Some(common) = self.0.get_mut(slot) else { return };
        match common {
            // Nearly every record ends here.
            Common::One(one) if one.two_peers && (one.addr == src || one.addr == dst) => {}
            Common::None => {}
            // Such a record tells nothing, and what came before it must not matter.
            _ if src == dst => {}
            known => *known = known.and(Common::Either([src, dst], [true, false])),
        }
    }

    fn merge(&mut self, other: InterfaceAddresses) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours = ours.and(theirs);
        }
    }

    /// The own address of a family, once it is certain.
    pub fn own(&self, family: Family) -> Option<IpAddr> {
        match self.0.get(usize::from(family == Family::V6))? {
            Common::One(one) if one.two_peers => Some(one.addr),
            _ => None,
        }
    }
}

impl OwnAddresses {
    /// Takes a record of the interface into account.
    pub fn observe(&mut self, interface_id: &str, src: IpAddr, dst: IpAddr) {
        self.by_interface.entry_ref(interface_id).or_default().observe(src, dst);
    }

    /// Takes in what a reader has learned of one interface. Which reader saw a record does not matter.
    pub fn learn(&mut self, interface_id: &str, found: InterfaceAddresses) {
        self.by_interface.entry_ref(interface_id).or_default().merge(found);
    }

    /// The interface's own address of a family, once it is certain.
    pub fn own(&self, interface_id: &str, family: Family) -> Option<IpAddr> {
        self.by_interface.get(interface_id)?.own(family)
    }

    /// The direction of a record of the interface.
    pub fn direction(&self, interface_id: &str, src: IpAddr, dst: IpAddr) -> Option<Direction> {
        let own = self.own(interface_id, Family::of(&src))?;
        by_ownership(own == src, own == dst)
    }
}

/// By the configuration's addresses: both or none local is unknown.
pub fn by_configuration(interface: &NetworkInterface, src: IpAddr, dst: IpAddr) -> Option<Direction> {
    by_ownership(interface.owns(&src), interface.owns(&dst))
}

/// By whether the source and the destination are the interface's own.
pub fn by_ownership(src_is_own: bool, dst_is_own: bool) -> Option<Direction> {
    match (src_is_own, dst_is_own) {
        (false, true) => Some(Direction::Ingress),
        (true, false) => Some(Direction::Egress),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_all_records_have_in_common_is_the_own_address() {
        let mut own = OwnAddresses::default();
        own.observe("eni-a", ip("198.51.100.7"), ip("10.0.1.10"));
        assert_eq!(
            own.direction("eni-a", ip("198.51.100.7"), ip("10.0.1.10")),
            None,
            "one peer is not enough"
        );
        own.observe("eni-a", ip("10.0.1.10"), ip("198.51.100.7"));
        assert_eq!(own.own("eni-a", Family::V4), None);
        own.observe("eni-a", ip("10.0.1.10"), ip("203.0.113.9"));
        assert_eq!(own.own("eni-a", Family::V4), Some(ip("10.0.1.10")));
        assert_eq!(own.direction("eni-a", ip("203.0.113.9"), ip("10.0.1.10")), Some(Direction::Ingress));
        assert_eq!(own.direction("eni-a", ip("10.0.1.10"), ip("203.0.113.9")), Some(Direction::Egress));
        assert_eq!(own.own("eni-a", Family::V6), None, "family by family");
        own.observe("eni-a", ip("192.0.2.1"), ip("203.0.113.9"));
        assert_eq!(own.own("eni-a", Family::V4), None, "a contradiction ends it");
    }

    #[test]
    fn a_record_with_ends_of_two_families_tells_nothing() {
        let mut own = OwnAddresses::default();
        own.observe("eni-a", ip("2001:db8::7"), ip("10.0.1.10"));
        own.observe("eni-a", ip("2001:db8::7"), ip("10.0.1.11"));
        assert_eq!(own.own("eni-a", Family::V6), None);
        own.observe("eni-a", ip("10.0.1.10"), ip("203.0.113.9"));
        own.observe("eni-a", ip("10.0.1.10"), ip("2001:db8::7"));
        own.observe("eni-a", ip("10.0.1.10"), ip("203.0.113.10"));
        assert_eq!(own.own("eni-a", Family::V4), Some(ip("10.0.1.10")));
    }

    #[test]
    fn a_single_peer_is_not_taken_for_the_interface_that_has_several_addresses() {
        // Answers from a secondary address show it (4.4), so that 10.0.2.50 is common to all.
        let records = [
            ("10.0.1.10", "10.0.2.50"),
            ("10.0.2.50", "10.0.1.10"),
            ("10.0.1.11", "10.0.2.50"),
            ("10.0.1.12", "10.0.2.50"),
        ];
        let mut own = OwnAddresses::default();
        records.iter().for_each(|(src, dst)| own.observe("eni-a", ip(src), ip(dst)));
        assert_eq!(own.own("eni-a", Family::V4), None);
        // What answers two addresses is no peer of theirs: the interface would show its primary address for both.
        own.observe("eni-a", ip("10.0.2.50"), ip("10.0.1.11"));
        assert_eq!(own.own("eni-a", Family::V4), Some(ip("10.0.2.50")));
        // Nor are a subnet's addresses as far apart.
        let mut own = OwnAddresses::default();
        for src in ["10.0.1.10", "10.1.1.10"] {
            own.observe("eni-a", ip(src), ip("10.0.2.50"));
        }
        assert_eq!(own.own("eni-a", Family::V4), Some(ip("10.0.2.50")));
        // Nor are those of the internet with which a private address talks.
        let mut own = OwnAddresses::default();
        for src in ["198.51.100.7", "198.51.100.8"] {
            own.observe("eni-a", ip(src), ip("10.0.1.10"));
        }
        assert_eq!(own.own("eni-a", Family::V4), Some(ip("10.0.1.10")));
        // IPv6 addresses are shown as they are, both ways.
        let mut own = OwnAddresses::default();
        for addr in ["2001:db8:1:2::a", "2001:db8:1:2::b"] {
            own.observe("eni-a", ip(addr), ip("2001:db8:1:9::1"));
            own.observe("eni-a", ip("2001:db8:1:9::1"), ip(addr));
        }
        assert_eq!(own.own("eni-a", Family::V6), None);
        own.observe("eni-a", ip("2001:db8:1:9::1"), ip("2001:db8:ffff::1"));
        assert_eq!(own.own("eni-a", Family::V6), Some(ip("2001:db8:1:9::1")));
    }

    proptest::proptest! {
        #[test]
        fn neither_order_nor_readers_matter(
            records in proptest::collection::vec((0u8..6, 0u8..6, 0usize..3), 0..8),
            turn in 0usize..8,
        ) {
            let addr = |at: u8| {
                let all =
                    ["10.0.1.10", "10.0.1.11", "10.0.2.50", "10.1.0.1", "198.51.100.7", "198.51.100.9"];
                ip(all[usize::from(at)])
            };
            // Read as it is defined: what all records hold, and two others that are two hosts.
            let between: Vec<(IpAddr, IpAddr)> = records
                .iter()
                .map(|(src, dst, _)| (addr(*src), addr(*dst)))
                .filter(|(src, dst)| src != dst)
                .collect();
            let of = |one: IpAddr| {
                between.iter().filter_map(move |(src, dst)| match (*src == one, *dst == one) {
                    (true, _) => Some((*dst, true)),
                    (_, true) => Some((*src, false)),
                    _ => None,
                })
            };
            let is_own = |one: IpAddr| {
                let others: Vec<(IpAddr, bool)> = of(one).collect();
                let two = others.iter().any(|(a, sent)| {
                    others.iter().any(|(b, also)| {
                        let beyond = a != b && is_private(&one) && is_internet(b);
                        are_apart(*a, *b) || beyond || (*sent && *also && a != b)
                    })
                });
                others.len() == between.len() && two
            };
            let naive = (0..6).map(addr).find(|one| !between.is_empty() && is_own(*one));
            let mut readers = [InterfaceAddresses::default(); 3];
            let turned = records.iter().cycle().skip(turn).take(records.len());
            for (src, dst, reader) in turned {
                readers[*reader].observe(addr(*src), addr(*dst));
            }
            let mut own = OwnAddresses::default();
            readers.into_iter().for_each(|reader| own.learn("eni-a", reader));
            proptest::prop_assert_eq!(own.own("eni-a", Family::V4), naive);
        }
    }
}
