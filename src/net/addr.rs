//! Addresses: fast parsing from bytes, and the classes private, reserved and public, defined once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `addr`.
    pub fn of(addr: &IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A dotted quad as a host-order integer; `None` for anything else, leading zeros (`010.0.0.1`) included, which some
/// readers take for octal.
pub fn parse_v4(text: &[u8]) -> Option<u32> {
    if text.len() < 7 || text.len() > 15 {
        return None;
    }
    let mut addr: u32 = 0;
    let mut octet: u32 = 0;
    let mut digits = 0u8;
    let mut dots = 0u8;
    for &byte in text {
        if byte == b'.' {
            if digits == 0 || dots == 3 {
                return None;
            }
            addr = (addr << 8) | octet;
            octet = 0;
            digits = 0;
            dots += 1;
            continue;
        }
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit > 9 || digits == 3 || (digits > 0 && octet == 0) {
            return None;
        }
        octet = octet * 10 + digit;
        if octet > 255 {
            return None;
        }
        digits += 1;
    }
    if dots != 3 || digits == 0 {
        return None;
    }
    Some((addr << 8) | octet)
}

/// An IPv6 address in any of its textual forms, as a host-order integer.
pub fn parse_v6(text: &[u8]) -> Option<u128> {
    if text.len() < 2 || text.len() > 45 || !text.contains(&b':') {
        return None;
    }
    if text.contains(&b'.') {
        return std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok().map(u128::from);
    }
    parse_groups(text)
}

/// An IPv6 address that is made of groups alone.
fn parse_groups(text: &[u8]) -> Option<u128> {
    let mut bits: u128 = 0;
    let mut groups = 0u32;
    // So many groups stand before `::`.
    let mut gap: Option<u32> = None;
    let (mut group, mut digits, mut colons) = (0u128, 0u8, 0u8);
    let mut add = |group: u128| {
        bits = bits << 16 | group;
        groups += 1;
        (groups <= 8).then_some(groups)
    };
    let mut before = 0;
    for &byte in text {
        if byte == b':' {
            if digits > 0 {
                before = add(group)?;
                (group, digits, colons) = (0, 0, 0);
            }
            colons += 1;
            if colons == 2 && gap.replace(before).is_some() || colons > 2 {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        let after_a_lone_first_colon = colons == 1 && before == 0;
        if digits == 4 || after_a_lone_first_colon {
            return None;
        }
        group = group << 4 | u128::from(digit);
        (digits, colons) = (digits + 1, 0);
    }
    match digits {
        0 if colons == 2 => {}
        0 => return None,
        _ => before = add(group)?,
    }
    let Some(gap) = gap else { return (before == 8).then_some(bits) };
    let behind = before.checked_sub(gap)?;
    // `::` stands for one group at least.
    if before > 7 {
        return None;
    }
    let head = bits.checked_shr(16 * behind).unwrap_or(0).checked_shl(16 * (8 - gap)).unwrap_or(0);
    let tail = if behind == 0 { 0 } else { bits & (u128::MAX >> (128 - 16 * behind)) };
    Some(head | tail)
}

/// An address of either family.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    match parse_v4(text) {
        Some(v4) => Some(IpAddr::V4(Ipv4Addr::from(v4))),
        None => parse_v6(text).map(|v6| IpAddr::V6(Ipv6Addr::from(v6))),
    }
}

/// As [`parse_ip`], from a string.
pub fn parse_ip_str(text: &str) -> Option<IpAddr> {
    parse_ip(text.as_bytes())
}

/// The dotted quad of a host-order integer.
pub fn v4_text(addr: u32) -> String {
    Ipv4Addr::from(addr).to_string()
}

/// What an address is for. Every address belongs to exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Addresses of private networks: RFC 1918, RFC 6598 (100.64.0.0/10) and unique local IPv6 (fc00::/7).
    Private,
    /// Addresses that no network routes to a host: this-network, loopback, link-local, protocol assignments,
    /// documentation, benchmarking, multicast, class E, broadcast, unspecified, discard, deprecated site-local.
    Reserved,
    /// Everything else: globally routable unicast.
    Public,
}

/// (first, last) of the private IPv4 ranges.
const PRIVATE_V4: [(u32, u32); 4] = [
    (0x0A00_0000, 0x0AFF_FFFF), // 10.0.0.0/8
    (0xAC10_0000, 0xAC1F_FFFF), // 172.16.0.0/12
    (0xC0A8_0000, 0xC0A8_FFFF), // 192.168.0.0/16
    (0x6440_0000, 0x647F_FFFF), // 100.64.0.0/10
];

/// (first, last) of the IPv4 documentation ranges of RFC 5737.
const DOCUMENTATION_V4: [(u32, u32); 3] = [
    (0xC000_0200, 0xC000_02FF), // 192.0.2.0/24
    (0xC633_6400, 0xC633_64FF), // 198.51.100.0/24
    (0xCB00_7100, 0xCB00_71FF), // 203.0.113.0/24
];

/// (first, last) of the other reserved IPv4 ranges. In 192.0.0.0/24, IANA's registry of special-purpose addresses lets 192.0.0.9
/// and 192.0.0.10 be reached globally.
const RESERVED_V4: [(u32, u32); 7] = [
    (0x0000_0000, 0x00FF_FFFF), // 0.0.0.0/8
    (0x7F00_0000, 0x7FFF_FFFF), // 127.0.0.0/8
    (0xA9FE_0000, 0xA9FE_FFFF), // 169.254.0.0/16
    (0xC000_0000, 0xC000_0008), // 192.0.0.0/24 up to 192.0.0.8
    (0xC000_000B, 0xC000_00FF), // and from 192.0.0.11 on
    (0xC612_0000, 0xC613_FFFF), // 198.18.0.0/15
    (0xE000_0000, 0xFFFF_FFFF), // 224.0.0.0/4 and 240.0.0.0/4
];

fn within(ranges: &[(u32, u32)], addr: u32) -> bool {
    ranges.iter().any(|&(first, last)| addr >= first && addr <= last)
}

/// The class of an address. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) is an IPv6 address here as everywhere: one
/// that stands on no wire, and is reserved.
pub fn class(addr: &IpAddr) -> AddressClass {
    match addr {
        IpAddr::V4(v4) => class_v4(u32::from(*v4)),
        IpAddr::V6(v6) => class_v6(u128::from(*v6)),
    }
}

fn class_v4(addr: u32) -> AddressClass {
    if within(&PRIVATE_V4, addr) {
        AddressClass::Private
    } else if within(&RESERVED_V4, addr) || within(&DOCUMENTATION_V4, addr) {
        AddressClass::Reserved
    } else {
        AddressClass::Public
    }
}

fn class_v6(addr: u128) -> AddressClass {
    let top = |bits: u32| addr >> (128 - bits);
    if top(7) == 0xFC >> 1 {
        return AddressClass::Private;
    }
    let reserved = addr <= 1                      // :: and ::1
        || top(10) == 0xFE80 >> 6                 // fe80::/10 link-local
        || top(10) == 0xFEC0 >> 6                 // fec0::/10 site-local, deprecated by RFC 3879
        || top(8) == 0xFF                         // ff00::/8 multicast
        || documentation_v6(addr)
        || top(63) == 0x0100_0000_0000_0000 >> 1  // 100::/64 discard-only, 100:0:0:1::/64 dummy, RFC 9780
        || top(48) == 0x0064_FF9B_0001            // 64:ff9b:1::/48 local translation, RFC 8215
        || protocol_assignment_v6(addr)
        || top(16) == 0x5F00                      // 5f00::/16 segment routing, RFC 9602
        || top(32) == 0; // the rest of ::/32: IPv4-compatible, IPv4-mapped, and what was never assigned
    if reserved { AddressClass::Reserved } else { AddressClass::Public }
}

/// 2001::/23 without what IANA's registry lets be reached globally, and without 2001::/32: Teredo hosts are reached over the
/// internet by relays.
fn protocol_assignment_v6(addr: u128) -> bool {
    let top = |bits: u32| addr >> (128 - bits);
    let anycast = top(32) == 0x2001_0001 && matches!(addr as u64, 1..=3) && (addr >> 64) as u32 == 0;
    let reached = top(32) == 0x2001_0000 // Teredo
        || anycast                       // 2001:1::1, 2001:1::2, 2001:1::3: port control, TURN, service registration
        || top(32) == 0x2001_0003        // 2001:3::/32 automatic multicast tunnelling
        || top(48) == 0x2001_0004_0112   // 2001:4:112::/48 AS112
        || top(28) == 0x0200_1002        // 2001:20::/28 ORCHIDv2
        || top(28) == 0x0200_1003; // 2001:30::/28 drones, RFC 9374
    top(23) == 0x2001_0000 >> 9 && !reached
}

fn documentation_v6(addr: u128) -> bool {
    addr >> 96 == 0x2001_0DB8 || addr >> 108 == 0x0003_FFF0 // 2001:db8::/32 and 3fff::/20
}

/// RFC 1918, 100.64.0.0/10 and fc00::/7.
pub fn is_private(addr: &IpAddr) -> bool {
    class(addr) == AddressClass::Private
}

/// Neither routable on the internet nor inside a private network: see [`AddressClass::Reserved`].
pub fn is_reserved(addr: &IpAddr) -> bool {
    class(addr) == AddressClass::Reserved
}

/// Globally routable unicast.
pub fn is_public(addr: &IpAddr) -> bool {
    class(addr) == AddressClass::Public
}

/// The ranges set aside for examples: RFC 5737, RFC 3849, RFC 9637.
pub fn is_documentation(addr: &IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => within(&DOCUMENTATION_V4, u32::from(*v4)),
        IpAddr::V6(v6) => documentation_v6(u128::from(*v6)),
    }
}

/// Whether traffic with `addr` goes over the internet as far as a filter can tell. Documentation ranges count: they stand
/// for internet hosts in every published sample, and no private network uses them.
pub fn is_internet(addr: &IpAddr) -> bool {
    is_public(addr) || is_documentation(addr)
}

/// What a gateway that translates from IPv6 makes of a destination: of the well-known prefix `64:ff9b::/96`, which is the one that
/// NAT gateways and DNS64 use (RFC 6052; AWS, "DNS64 and NAT64"), the IPv4 address in its last bits; any other stays.
pub fn behind_nat64(addr: &IpAddr) -> IpAddr {
    match addr {
        IpAddr::V6(six) if u128::from(*six) >> 32 == 0x0064_FF9B_u128 << 64 => {
            let [.., a, b, c, d] = six.octets();
            IpAddr::from([a, b, c, d])
        }
        other => *other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nat64_takes_the_address_out_of_the_well_known_prefix() {
        let behind = |text: &str| behind_nat64(&ip(text)).to_string();
        assert_eq!(behind("64:ff9b::c633:6414"), "198.51.100.20");
        // The prefix has 96 bits.
        assert_eq!(behind("64:ff9b::1:c633:6414"), "64:ff9b::1:c633:6414");
        assert_eq!(behind("64:ff9b:1::c633:6414"), "64:ff9b:1::c633:6414");
        assert_eq!(behind("198.51.100.20"), "198.51.100.20");
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_is_what_private_networks_use() {
        for text in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.0",
            "100.127.255.255",
            "fc00::1",
            "fdff:ffff::1",
        ] {
            assert_eq!(class(&ip(text)), AddressClass::Private, "{text}");
        }
    }

    #[test]
    fn reserved_is_what_nobody_routes() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.7",
            "203.0.113.255",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "3fff:0fff::1",
            "100::1",
            "100:0:0:1::1",
            "192.0.0.11",
            "2001:1::",
            "2001:1::4",
            "2001:1:0:1::1",
            "2001:2::1",
            "2001:4:111::1",
            "2001:1f::1",
            "2001:40::1",
            "2001:1ff:ffff::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b:1::1",
            "5f00::1",
            "::10.0.0.1",
        ] {
            assert_eq!(class(&ip(text)), AddressClass::Reserved, "{text}");
        }
    }

    #[test]
    fn public_is_the_rest() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2600:1f18::1",
            "2001:4860::8888",
            "64:ff9b::1",
            "100:0:0:2::1",
            "192.0.0.9",
            "192.0.0.10",
            "2001::1",
            "2001:1::1",
            "2001:1::2",
            "2001:1::3",
            "2001:3::1",
            "2001:4:112::1",
            "2001:2f::1",
            "2001:3f::1",
            "2001:200::1",
            "2001:db9::1",
            "3fff:1000::1",
        ] {
            assert_eq!(class(&ip(text)), AddressClass::Public, "{text}");
        }
    }

    #[test]
    fn documentation_stands_for_the_internet() {
        assert!(
            is_internet(&ip("198.51.100.7"))
                && is_internet(&ip("2001:db8::7"))
                && is_internet(&ip("1.1.1.1"))
        );
        assert!(!is_internet(&ip("::ffff:198.51.100.7")));
        assert!(!is_internet(&ip("10.0.0.1")) && !is_internet(&ip("169.254.169.254")));
    }

    #[test]
    fn what_is_no_dotted_quad() {
        for text in
            ["", "-", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "1.2.3.4 "]
        {
            assert_eq!(parse_v4(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_v4(b"10.0.0.255"), Some(0x0A00_00FF));
        assert_eq!(parse_v4(b"0.0.0.0"), Some(0));
        assert_eq!(parse_v4(b"255.255.255.255"), Some(u32::MAX));
    }

    proptest! {
        #[test]
        fn parsing_agrees_with_std_on_what_looks_like_ipv6(
            text in "([0-9a-fA-F]{0,5}:{0,3}){0,10}(1\\.2\\.3\\.4)?[g%]?", v6 in any::<u128>(), zeros in any::<u128>(),
            cut in 0usize..40, with in "[:0-9a-f.]{0,2}",
        ) {
            // Groups of zeros, and an address with something put in.
            let groups = (0..8).fold(v6, |v6, at| if zeros >> at & 1 == 1 { v6 & !(0xffff << (16 * at)) } else { v6 });
            let written = Ipv6Addr::from(groups).to_string();
            let cut = cut.min(written.len());
            let mutated = format!("{}{with}{}", &written[..cut], &written[cut..]);
            for text in [text, written, mutated] {
                let std = text.parse::<Ipv6Addr>().ok().map(u128::from);
                prop_assert_eq!(parse_v6(text.as_bytes()), std, "{}", text);
            }
        }

        #[test]
        fn parsing_agrees_with_std_on_addresses(v4 in any::<u32>(), v6 in any::<u128>()) {
            let (v4, v6) = (Ipv4Addr::from(v4), Ipv6Addr::from(v6));
            prop_assert_eq!(parse_ip_str(&v4.to_string()), Some(IpAddr::V4(v4)));
            prop_assert_eq!(parse_ip_str(&v6.to_string()), Some(IpAddr::V6(v6)));
        }

        #[test]
        fn parsing_agrees_with_std_on_noise(text in "[0-9.:af]{0,20}") {
            prop_assert_eq!(parse_ip_str(&text), text.parse::<IpAddr>().ok());
        }
    }
}
