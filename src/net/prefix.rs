//! CIDR prefixes of both families.

use super::addr::{Family, parse_ip_str};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network prefix, canonical: no bit beyond the length is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text is not a prefix; each variant shows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash is no address.
    #[error(
        "{text:?} is no CIDR block: {addr:?} is no IPv4 or IPv6 address; write 10.0.0.0/8 or 2001:db8::/32"
    )]
    Address {
        /// The whole text.
        text: String,
        /// The part before the slash.
        addr: String,
    },
    /// The part after the slash is no length, or too long for the family.
    #[error("{text:?} is no CIDR block: the length {len:?} is not between 0 and {max}")]
    Length {
        /// The whole text.
        text: String,
        /// The part after the slash.
        len: String,
        /// The family's longest length.
        max: u8,
    },
}

impl Prefix {
    /// Every IPv4 address.
    pub const ANY_V4: Prefix = Prefix { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), len: 0 };
    /// Every IPv6 address.
    pub const ANY_V6: Prefix = Prefix { addr: IpAddr::V6(Ipv6Addr::UNSPECIFIED), len: 0 };

    /// The prefix of `len` bits that holds `addr`; host bits are cleared. `None` when `len` is too long.
    pub fn new(addr: IpAddr, len: u8) -> Option<Self> {
        let addr = match addr {
            IpAddr::V4(v4) => {
                let host_bits = 32u32.checked_sub(u32::from(len))?;
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
            }
            IpAddr::V6(v6) => {
                let host_bits = 128u32.checked_sub(u32::from(len))?;
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
            }
        };
        Some(Prefix { addr, len })
    }

    /// The prefix of one address: /32 or /128.
    pub fn host(addr: IpAddr) -> Self {
        Prefix { addr, len: Prefix::max_len(&addr) }
    }

    /// Every address of a family.
    pub fn any(family: Family) -> Self {
        match family {
            Family::V4 => Prefix::ANY_V4,
            Family::V6 => Prefix::ANY_V6,
        }
    }

    fn max_len(addr: &IpAddr) -> u8 {
        match addr {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    /// The network address.
    pub fn network(&self) -> IpAddr {
        self.addr
    }

    /// The length in bits.
    pub fn prefix_len(&self) -> u8 {
        self.len
    }

    /// The family.
    pub fn family(&self) -> Family {
        Family::of(&self.addr)
    }

    /// Whether this is 0.0.0.0/0 or ::/0.
    pub fn is_any(&self) -> bool {
        self.len == 0
    }

    /// The first and the last address.
    pub fn range(&self) -> (IpAddr, IpAddr) {
        let last = match self.addr {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(v4) | host))
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(v6) | host))
            }
        };
        (self.addr, last)
    }

    /// The range as host-order integers; IPv4 in the low 32 bits.
    pub fn range_bits(&self) -> (u128, u128) {
        let (first, last) = self.range();
        (bits(&first), bits(&last))
    }

    /// Whether `addr` is inside. An address of the other family never is: 0.0.0.0/0 does not hold IPv6.
    pub fn contains(&self, addr: &IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                let differ = u32::from(net) ^ u32::from(*addr);
                differ.checked_shr(32u32.saturating_sub(u32::from(self.len))).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let differ = u128::from(net) ^ u128::from(*addr);
                differ.checked_shr(128u32.saturating_sub(u32::from(self.len))).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether the whole of `other` is inside.
    pub fn covers(&self, other: &Prefix) -> bool {
        self.len <= other.len && self.contains(&other.addr)
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.covers(other) || other.covers(self)
    }
}

fn bits(addr: &IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(u32::from(*v4)),
        IpAddr::V6(v6) => u128::from(*v6),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `address/length`; a bare address is the prefix of that one address. Host bits are cleared, as AWS does.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (addr_text, len_text) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr = parse_ip_str(addr_text)
            .ok_or_else(|| PrefixError::Address { text: text.to_string(), addr: addr_text.to_string() })?;
        let Some(len_text) = len_text else { return Ok(Prefix::host(addr)) };
        let max = Prefix::max_len(&addr);
        let refused = || PrefixError::Length { text: text.to_string(), len: len_text.to_string(), max };
        if len_text.is_empty() || !len_text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refused());
        }
        let len = len_text.parse::<u8>().map_err(|_| refused())?;
        Prefix::new(addr, len).ok_or_else(refused)
    }
}

/// The network of `len` bits that holds `addr`: what `ip_prefix(addr, n)` shows. `None` when `len` is too long.
pub fn ip_prefix(addr: IpAddr, len: u8) -> Option<Prefix> {
    Prefix::new(addr, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_are_read_canonically() {
        for (text, shown) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.7/32", "203.0.113.7/32"),
            ("2001:DB8:1::7/48", "2001:db8:1::/48"),
            ("::/0", "::/0"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(prefix(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_prefix_is_shown() {
        let said = |text: &str| text.parse::<Prefix>().unwrap_err().to_string();
        assert_eq!(
            said("10.0.0.0/33"),
            "\"10.0.0.0/33\" is no CIDR block: the length \"33\" is not between 0 and 32"
        );
        assert_eq!(
            said("::/129"),
            "\"::/129\" is no CIDR block: the length \"129\" is not between 0 and 128"
        );
        assert!(said("10.0.0/8").contains("\"10.0.0\" is no IPv4 or IPv6 address"));
        for text in
            ["", "/", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/-1", "any", "10.0.0.0/256"]
        {
            assert!(text.parse::<Prefix>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges_hold_both_ends() {
        let (first, last) = prefix("10.0.1.0/24").range();
        assert_eq!((first.to_string(), last.to_string()), ("10.0.1.0".into(), "10.0.1.255".into()));
        let (first, last) = prefix("0.0.0.0/0").range();
        assert_eq!((first.to_string(), last.to_string()), ("0.0.0.0".into(), "255.255.255.255".into()));
        let (first, last) = prefix("2001:db8::/127").range();
        assert_eq!((first.to_string(), last.to_string()), ("2001:db8::".into(), "2001:db8::1".into()));
        assert_eq!(prefix("::/0").range_bits(), (0, u128::MAX));
    }

    #[test]
    fn the_families_are_apart() {
        assert!(!prefix("0.0.0.0/0").contains(&"2001:db8::1".parse().unwrap()));
        assert!(!prefix("::/0").contains(&"10.0.0.1".parse().unwrap()));
        assert!(!prefix("0.0.0.0/0").covers(&prefix("::/0")));
    }

    proptest! {
        #[test]
        fn containing_is_being_in_the_range(net in any::<u32>(), len in 0u8..=32, other in any::<u32>(), near in any::<bool>()) {
            let prefix = Prefix::new(IpAddr::V4(net.into()), len).unwrap();
            let other = if near { net ^ (other >> len.min(31)) } else { other };
            let (first, last) = prefix.range_bits();
            let inside = first <= u128::from(other) && u128::from(other) <= last;
            prop_assert_eq!(prefix.contains(&IpAddr::V4(other.into())), inside);
        }

        #[test]
        fn the_same_for_ipv6(net in any::<u128>(), len in 0u8..=128, flip in 0u32..128) {
            let prefix = Prefix::new(IpAddr::V6(net.into()), len).unwrap();
            let other = net ^ (1u128 << flip);
            prop_assert_eq!(prefix.contains(&IpAddr::V6(other.into())), flip < 128 - u32::from(len));
            prop_assert_eq!(prefix.to_string().parse::<Prefix>().unwrap(), prefix);
        }
    }
}
