//! Which way a record without `flow-direction` went (spec 4.4).

use crate::net::Family;
use crate::network::NetworkInterface;
use crate::rules::Direction;
use hashbrown::HashMap;
use std::net::IpAddr;

/// Learns each interface's own address from its records: the primary address appears on every record of the interface, so
/// what all of its records have in common is its own (inferred; needs two distinct peers).
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
    Either(IpAddr, IpAddr),
    One(IpAddr),
    /// Records have no address in common.
    None,
}

impl Common {
    /// What is left when only these addresses can be common.
    fn keep(self, addresses: &[IpAddr]) -> Common {
        let kept = |addr: &IpAddr| addresses.contains(addr);
        match self {
            Common::Either(one, other) => match (kept(&one), kept(&other)) {
                (true, true) => self,
                (true, false) => Common::One(one),
                (false, true) => Common::One(other),
                (false, false) => Common::None,
            },
            Common::One(one) if kept(&one) => self,
            Common::One(_) | Common::None => Common::None,
            Common::Nothing => Common::Nothing,
        }
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
        match *common {
            // Nearly every record ends here.
            Common::One(one) if one == src || one == dst => {}
            Common::None => {}
            // Such a record tells nothing, and what came before it must not matter.
            _ if src == dst => {}
            Common::Nothing => *common = Common::Either(src, dst),
            known => *common = known.keep(&[src, dst]),
        }
    }

    fn merge(&mut self, other: InterfaceAddresses) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours = match (*ours, theirs) {
                (Common::Nothing, common) | (common, Common::Nothing) => common,
                (Common::None, _) | (_, Common::None) => Common::None,
                (one, Common::Either(a, b)) | (Common::Either(a, b), one) => one.keep(&[a, b]),
                (one, Common::One(a)) => one.keep(&[a]),
            };
        }
    }

    /// The own address of a family, once it is certain.
    pub fn own(&self, family: Family) -> Option<IpAddr> {
        match self.0.get(usize::from(family == Family::V6))? {
            Common::One(addr) => Some(*addr),
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
}
