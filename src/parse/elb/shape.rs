//! What the text of single fields looks like: enough to know a log type and to notice fields that have moved.
//!
//! Whether a value converts is `values`' business; these tests are cheap and let some impossible values
//! through.

use crate::parse::values;

/// `YYYY-MM-DDTHH:MM:SS…`.
pub(super) fn is_time(text: &[u8]) -> bool {
    let Some(head) = text.first_chunk::<19>() else { return false };
    head[0].is_ascii_digit()
        && (head[4], head[7], head[10], head[13], head[16]) == (b'-', b'-', b'T', b':', b':')
}

pub(super) fn is_alb_name(text: &[u8]) -> bool {
    text.starts_with(b"app/")
}

pub(super) fn is_nlb_name(text: &[u8]) -> bool {
    text.starts_with(b"net/")
}

pub(super) fn is_address(text: &[u8]) -> bool {
    values::is_ip_address(text)
}

pub(super) fn is_integer(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

pub(super) fn is_decimal_or_dash(text: &[u8]) -> bool {
    text == b"-" || is_decimal(text)
}

pub(super) fn is_decimal(text: &[u8]) -> bool {
    values::parse_f64(text).is_some()
}

/// `digits.digits`.
pub(super) fn is_version(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b'.');
    let pair = (parts.next(), parts.next(), parts.next());
    matches!(pair, (Some(major), Some(minor), None) if is_integer(major) && is_integer(minor))
}

pub(super) fn ends_with_port(text: &[u8]) -> bool {
    port_colon(text).is_some()
}

pub(super) fn ends_with_port_or_dash(text: &[u8]) -> bool {
    text == b"-" || ends_with_port(text)
}

/// The place of the last colon, where one to five digits follow it.
#[inline]
pub(super) fn port_colon(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let Some(last) = text.last_chunk::<8>() else { return port_colon_naive(text) };
    // The last byte is the highest: what stands above the highest colon has to be digits.
    let word = u64::from_le_bytes(*last);
    let differing = word ^ (ONES * b':' as u64);
    let colons = !((differing & (ONES * 0x7F)).wrapping_add(ONES * 0x7F) | differing) & (ONES << 7);
    let digits = colons.leading_zeros() / 8;
    if digits.wrapping_sub(1) >= 5 {
        return None;
    }
    let above = u64::MAX << (64 - 8 * digits);
    let behind = word & above | (ONES * b'0' as u64) & !above;
    let high = behind & (ONES * 0xF0);
    let carried = behind.wrapping_add(ONES * 6) & (ONES * 0xF0);
    let sound = high == ONES * 0x30 && carried == ONES * 0x30;
    sound.then(|| text.len() - 1 - digits as usize)
}

/// What [`port_colon`] has to agree with.
fn port_colon_naive(text: &[u8]) -> Option<usize> {
    let mut digits = 0;
    for (place, &byte) in text.iter().enumerate().rev() {
        match byte {
            b'0'..=b'9' if digits < 5 => digits += 1,
            b':' if digits > 0 => return Some(place),
            _ => return None,
        }
    }
    None
}

/// `-` or `[A-Z0-9_-]+`.
#[inline]
pub(super) fn is_cipher(text: &[u8]) -> bool {
    let mut known = true;
    for &byte in text {
        known &= CIPHER_BYTES[byte as usize];
    }
    known && !text.is_empty()
}

static CIPHER_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = matches!(byte as u8, b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-');
        byte += 1;
    }
    bytes
};

/// `-` or `(TLS|SSL)v[0-9.]+`.
#[inline]
pub(super) fn is_protocol(text: &[u8]) -> bool {
    match text {
        b"-" => true,
        [b'T', b'L', b'S', b'v', rest @ ..] | [b'S', b'S', b'L', b'v', rest @ ..] => is_dotted_digits(rest),
        _ => false,
    }
}

/// `[0-9.]+`.
#[inline]
pub(super) fn is_dotted_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
}

/// `-` or `arn:…`.
#[inline]
pub(super) fn is_arn(text: &[u8]) -> bool {
    text == b"-" || text.starts_with(b"arn:")
}

/// `HTTP/[0-9.]+`.
#[inline]
pub(super) fn is_http_version(text: &[u8]) -> bool {
    text.strip_prefix(b"HTTP/").is_some_and(is_dotted_digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ports_are_found_as_byte_by_byte(text in "[0-9:a.]{0,14}", bytes in prop::collection::vec(any::<u8>(), 8..12)) {
            prop_assert_eq!(port_colon(text.as_bytes()), port_colon_naive(text.as_bytes()));
            prop_assert_eq!(port_colon(&bytes), port_colon_naive(&bytes));
        }
    }
}
