//! Is this text an address inside that prefix: the test behind `cidr_contains`, for millions of rows.
//!
//! Most rows of a selective test are decided by the bytes that a string view carries in itself; the others are
//! read as a dotted quad without a branch per byte. IPv6 text has many forms, so it is parsed in full.

use std::net::IpAddr;

use arrow::array::{Array, BooleanArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer};

use crate::net::{Family, Prefix, parse_v6};

/// A prefix, prepared for testing texts.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    family: Family,
    network: u128,
    mask: u128,
    /// What the first bytes of every dotted quad inside look like, under a mask: up to twelve, which is what a
    /// short string's view holds. A long string's view holds four.
    head: u128,
    head_mask: u128,
}

impl Matcher {
    pub fn new(prefix: &Prefix) -> Matcher {
        let (first, last) = prefix.range_bits();
        let mask = !(first ^ last);
        let (head, head_mask) = match prefix.family() {
            Family::V4 => {
                let text = common_text(prefix);
                let mut bytes = [0u8; 16];
                let mut mask = [0u8; 16];
                for ((slot, mask), byte) in bytes.iter_mut().zip(&mut mask).zip(text.bytes()).take(12) {
                    *slot = byte;
                    *mask = 0xff;
                }
                (u128::from_le_bytes(bytes), u128::from_le_bytes(mask))
            }
            Family::V6 => (0, 0),
        };
        Matcher { family: prefix.family(), network: first, mask, head, head_mask }
    }

    /// Whether `text` is an address inside. A text that is no address is inside no prefix.
    pub fn matches(&self, text: &str) -> bool {
        match self.family {
            Family::V4 => quad(text.as_bytes()).is_some_and(|addr| self.holds(u128::from(addr))),
            Family::V6 => self.matches_v6(text.as_bytes()),
        }
    }

    #[inline]
    fn holds(&self, addr: u128) -> bool {
        addr & self.mask == self.network
    }

    fn matches_v6(&self, text: &[u8]) -> bool {
        // Every IPv6 address has a colon among its first five bytes; no IPv4 address has one.
        text.iter().take(5).any(|&byte| byte == b':') && parse_v6(text).is_some_and(|addr| self.holds(addr))
    }

    /// The test for each row; NULL stays NULL.
    pub fn evaluate(&self, texts: &StringViewArray) -> BooleanArray {
        let buffers = texts.data_buffers();
        let views = texts.views();
        let values = match self.family {
            Family::V4 => {
                let (network, mask) = (self.network as u32, self.mask as u32);
                let at = |row: usize| {
                    let view = views.get(row).copied().unwrap_or_default();
                    let differ = ((view >> 32) ^ self.head) & self.head_mask;
                    let here = if view as u32 <= 12 { differ } else { differ & u128::from(u32::MAX) };
                    here == 0 && quad_of_view(view, buffers).is_some_and(|addr| addr & mask == network)
                };
                BooleanBuffer::collect_bool(views.len(), at)
            }
            Family::V6 => BooleanBuffer::collect_bool(views.len(), |row| {
                texts.is_valid(row) && self.matches_v6(texts.value(row).as_bytes())
            }),
        };
        BooleanArray::new(values, texts.nulls().cloned())
    }
}

/// The text that every address of an IPv4 prefix, written as a dotted quad, begins with.
pub(super) fn common_text(prefix: &Prefix) -> String {
    let (first, last) = prefix.range();
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let mut text = String::new();
            for (at, (low, high)) in first.octets().into_iter().zip(last.octets()).enumerate() {
                if low == high {
                    text.push_str(&low.to_string());
                    if at < 3 {
                        text.push('.');
                    }
                    continue;
                }
                return text;
            }
            text
        }
        _ => String::new(),
    }
}

/// The dotted quad in a row; `None` for anything else, NULL included.
#[inline]
pub(super) fn quad_at(texts: &StringViewArray, row: usize) -> Option<u32> {
    if texts.is_null(row) {
        return None;
    }
    quad_of_view(texts.views().get(row).copied()?, texts.data_buffers())
}

/// The dotted quad that a string view shows: its bytes are in the view itself up to twelve, in a buffer beyond.
#[inline]
fn quad_of_view(view: u128, buffers: &[Buffer]) -> Option<u32> {
    let len = view as u32;
    if len <= 12 {
        return quad_of_word(view >> 32, len);
    }
    let buffer = buffers.get((view >> 64) as u32 as usize)?;
    let start = (view >> 96) as usize;
    match buffer.get(start..start.checked_add(16)?).and_then(|bytes| bytes.first_chunk::<16>()) {
        Some(bytes) if len <= 15 => quad_of_word(u128::from_le_bytes(*bytes) & ((1 << (len * 8)) - 1), len),
        Some(_) => None,
        None => quad(buffer.get(start..start.checked_add(len as usize)?)?),
    }
}

/// A dotted quad as an integer, as [`crate::net::parse_v4`] reads it.
#[inline]
pub(super) fn quad(text: &[u8]) -> Option<u32> {
    let mut word = [0u8; 16];
    word.get_mut(..text.len())?.copy_from_slice(text);
    quad_of_word(u128::from_le_bytes(word), text.len() as u32)
}

/// The same from the text's bytes in one word, lowest first, zero beyond `len`.
///
/// No branch depends on where the dots are: those mispredict on mixed addresses, and cost more than the arithmetic.
#[inline]
fn quad_of_word(word: u128, len: u32) -> Option<u32> {
    const ONES: u128 = u128::MAX / 255;
    if !(7..=15).contains(&len) {
        return None;
    }
    // 0x80 in each byte that is a dot: the sum carries into bit 7 unless the low seven bits are all zero.
    let differ = word ^ (ONES * b'.' as u128);
    let dots = !(((differ & (ONES * 0x7f)) + ONES * 0x7f) | differ) & (ONES * 0x80);
    if dots.count_ones() != 3 {
        return None;
    }
    let first = dots.trailing_zeros() >> 3;
    let rest = dots & (dots - 1);
    let second = rest.trailing_zeros() >> 3;
    let third = (rest & (rest - 1)).trailing_zeros() >> 3;
    let (a, b, c, d) = (
        octet(word, 0, first),
        octet(word, first + 1, second),
        octet(word, second + 1, third),
        octet(word, third + 1, len),
    );
    // An octet that is wrong is 0x100 or more.
    ((a | b | c | d) < 0x100).then_some((a << 24) | (b << 16) | (c << 8) | d)
}

/// The octet whose digits are the bytes `from..to` of `word`; 0x100 or more when they are no octet.
#[inline]
fn octet(word: u128, from: u32, to: u32) -> u32 {
    let digits = to.wrapping_sub(from);
    if !(1..=3).contains(&digits) {
        return 0x100;
    }
    // The last digit comes to byte 2, so that units, tens and hundreds have fixed places; '0' fills what is missing.
    let fill = 24 - digits * 8;
    let text = (((word >> (from * 8)) as u32) << fill) & 0x00ff_ffff;
    let values = (text | (0x0030_3030 & ((1 << fill) - 1))) ^ 0x0030_3030;
    let wrong = (((values & 0x000f_0f0f) + 0x0006_0606) | values) & 0x00f0_f0f0;
    let (hundreds, tens, units) = (values & 0xff, (values >> 8) & 0xff, (values >> 16) & 0xff);
    // A leading zero is a first digit of 0 where more follow.
    let leading_zero = digits > 1 && (values >> fill) & 0xff == 0;
    let value = hundreds * 100 + tens * 10 + units;
    value | (wrong << 4) | (u32::from(leading_zero) << 8) | (u32::from(value > 255) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{parse_ip_str, parse_v4};
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_common_text_is_that_of_the_fixed_octets() {
        for (cidr, text) in [
            ("10.0.0.0/8", "10."),
            ("10.12.0.0/16", "10.12."),
            ("10.12.32.0/19", "10.12."),
            ("172.16.0.0/12", "172."),
            ("203.0.113.7/32", "203.0.113.7"),
            ("0.0.0.0/0", ""),
            ("2001:db8::/32", ""),
        ] {
            assert_eq!(common_text(&prefix(cidr)), text, "{cidr}");
        }
    }

    #[test]
    fn nulls_stay_and_noise_is_outside() {
        let texts = StringViewArray::from(vec![
            Some("10.12.0.1"),
            None,
            Some("-"),
            Some("10.12."),
            Some("10.13.255.255"),
            Some("10.12.255.255"),
        ]);
        let found = Matcher::new(&prefix("10.12.0.0/16")).evaluate(&texts);
        let found: Vec<Option<bool>> = found.iter().collect();
        assert_eq!(found, [Some(true), None, Some(false), Some(false), Some(false), Some(true)]);
    }

    proptest! {
        #[test]
        fn quads_are_read_as_the_plain_parser_reads_them(text in "[0-9.]{0,17}|[0-9]{1,3}(\\.[0-9]{1,3}){3}|.{0,16}") {
            prop_assert_eq!(quad(text.as_bytes()), parse_v4(text.as_bytes()), "{}", text);
        }

        #[test]
        fn every_address_is_read(addr in any::<u32>()) {
            let text = std::net::Ipv4Addr::from(addr).to_string();
            prop_assert_eq!(quad(text.as_bytes()), Some(addr));
        }

        #[test]
        fn rows_match_as_the_prefix_contains(
            net in any::<u32>(),
            len in 0u8..=32,
            others in prop::collection::vec((any::<u32>(), 0u32..32), 1..40),
            noise in "[0-9a-f.:]{0,20}",
        ) {
            let prefix = Prefix::new(IpAddr::V4(net.into()), len).unwrap();
            let mut texts: Vec<String> = others
                .iter()
                .map(|(other, keep)| std::net::Ipv4Addr::from(net ^ (other >> keep)).to_string())
                .collect();
            texts.push(noise);
            texts.push("2001:db8::7".into());
            let found = Matcher::new(&prefix).evaluate(&StringViewArray::from_iter_values(&texts));
            for (text, found) in texts.iter().zip(found.iter()) {
                let naive = parse_ip_str(text).is_some_and(|addr| prefix.contains(&addr));
                prop_assert_eq!(found, Some(naive), "{} in {}", text, prefix);
                prop_assert_eq!(Matcher::new(&prefix).matches(text), naive);
            }
        }

        #[test]
        fn the_same_for_ipv6(net in any::<u128>(), len in 0u8..=128, other in any::<u128>(), keep in 0u32..128) {
            let prefix = Prefix::new(IpAddr::V6(net.into()), len).unwrap();
            let text = std::net::Ipv6Addr::from(net ^ (other >> keep)).to_string();
            let naive = prefix.contains(&text.parse().unwrap());
            prop_assert_eq!(Matcher::new(&prefix).matches(&text), naive);
        }
    }
}
