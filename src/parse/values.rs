//! Values: the text of one cell to a number, a time or a checked address.
//!
//! Every converter takes the bytes of a cell that has a value, answers `None` for what it cannot read,
//! allocates nothing and never panics. What an absent value (`-`) means, and what happens to a row with a bad
//! one, is the caller's.

use std::net::Ipv6Addr;

/// Microseconds in a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// The last second of the year 9999: later epoch seconds are milliseconds in disguise or noise.
pub const MAX_EPOCH_SECONDS: i64 = 253_402_300_799;

/// A decimal integer of 32 bits: an optional `-`, then digits. `None` for anything else and for overflow.
#[inline]
pub fn parse_i32(text: &[u8]) -> Option<i32> {
    i32::try_from(parse_i64(text)?).ok()
}

/// A decimal integer of 64 bits: an optional `-`, then digits. `None` for anything else and for overflow.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    if digits.len() > 18 {
        return parse_long_i64(negative, digits);
    }
    // Eighteen digits cannot overflow, so one check of the digits at the end is enough.
    let mut value = 0i64;
    let mut bad = false;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        bad |= digit > 9;
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    match (bad, negative) {
        (true, _) => None,
        (false, true) => Some(value.wrapping_neg()),
        (false, false) => Some(value),
    }
}

#[cold]
fn parse_long_i64(negative: bool, digits: &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for &byte in digits {
        let digit = i64::from(digit_of(byte)?);
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

#[inline]
fn digit_of(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit)
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A decimal number, exponents accepted (`8e-05`). No `+` in front, no `inf`, `nan` or hexadecimal.
/// The result is the double nearest to the text, bit for bit what `str::parse` gives.
#[inline]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // Up to 15 digits and their power of ten are exact doubles, and one division of exact values rounds
    // correctly.
    if digits.len() > 16 {
        return parse_long_f64(text);
    }
    let mut mantissa = 0u64;
    let mut count = 0usize;
    let mut decimals = 0usize;
    let mut point = false;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
            decimals += usize::from(point);
        } else if byte == b'.' && !point {
            point = true;
        } else {
            return parse_long_f64(text);
        }
    }
    if count == 0 {
        return None;
    }
    let (true, Some(power)) = (count <= 15, POWERS.get(decimals)) else {
        return parse_long_f64(text);
    };
    let value = mantissa as f64 / power;
    Some(if negative { -value } else { value })
}

#[cold]
fn parse_long_f64(text: &[u8]) -> Option<f64> {
    let plain = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain || text.first() == Some(&b'+') {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

#[inline]
fn two_digits(text: &[u8], at: usize) -> Option<u32> {
    let tens = digit_of(*text.get(at)?)?;
    let ones = digit_of(*text.get(at + 1)?)?;
    Some(u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; `None` where the calendar has no such
/// day.
#[inline]
fn days_of_date(year: u32, month: u32, day: u32) -> Option<i32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if day == 0 || day > last {
        return None;
    }
    // Years counted from March put the leap day last; 400 is added so that the year 0000 stays positive.
    let (year, month) =
        if month > 2 { (year as i32 + 400, month as i32 - 3) } else { (year as i32 + 399, month as i32 + 9) };
    let day_of_year = (153 * month + 2) / 5 + day as i32 - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468 - 146_097)
}

/// ISO 8601 in UTC to microseconds since 1970: `2026-01-15T10:00:00`, then an optional `.` with 1 to 9 digits
/// (digits behind the sixth are dropped), then an optional `Z`; an absent zone is UTC (documented by AWS's
/// samples). The calendar is checked. The leap second `23:59:60` counts as the first second of the next day.
#[inline]
pub fn parse_time_micros(text: &[u8]) -> Option<i64> {
    let head: &[u8; 19] = text.first_chunk()?;
    let marks = (head[4], head[7], head[10], head[13], head[16]);
    if marks != (b'-', b'-', b'T', b':', b':') {
        return None;
    }
    let year = two_digits(head, 0)? * 100 + two_digits(head, 2)?;
    let days = days_of_date(year, two_digits(head, 5)?, two_digits(head, 8)?)?;
    let (hour, minute, second) = (two_digits(head, 11)?, two_digits(head, 14)?, two_digits(head, 17)?);
    let leap_second = (hour, minute, second) == (23, 59, 60);
    if hour > 23 || minute > 59 || (second > 59 && !leap_second) {
        return None;
    }
    let micros = fraction_micros(text.get(19..)?)?;
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(i64::from(days) * DAY_MICROS + seconds * 1_000_000 + i64::from(micros))
}

/// What follows the seconds: nothing or a fraction, then nothing or `Z`.
#[inline]
fn fraction_micros(text: &[u8]) -> Option<u32> {
    let text = match text {
        [rest @ .., b'Z'] => rest,
        _ => text,
    };
    let digits = match text {
        [] => return Some(0),
        [b'.', digits @ ..] if !digits.is_empty() && digits.len() <= 9 => digits,
        _ => return None,
    };
    let mut micros = 0u32;
    for place in 0..6 {
        micros = micros * 10 + u32::from(digits.get(place).map_or(Some(0), |&byte| digit_of(byte))?);
    }
    digits.iter().skip(6).all(u8::is_ascii_digit).then_some(micros)
}

/// Unix seconds to microseconds since 1970: digits only, at most [`MAX_EPOCH_SECONDS`].
#[inline]
pub fn parse_epoch_seconds(text: &[u8]) -> Option<i64> {
    let seconds = parse_i64(text)?;
    let in_range = (0..=MAX_EPOCH_SECONDS).contains(&seconds) && text.first() != Some(&b'-');
    in_range.then(|| seconds * 1_000_000)
}

/// The UTC date of a time, in days since 1970-01-01.
#[inline]
pub fn date_of_micros(micros: i64) -> i32 {
    micros.div_euclid(DAY_MICROS) as i32
}

/// Appends the text with each `%HH` decoded. `false`, with `out` as it was, where a `%` is not followed by
/// two hexadecimal digits or the result is not UTF-8: the text is then to be kept as logged. `+` stays `+`.
pub fn percent_decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let mut rest = text;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        let (plain, tail) = rest.split_at_checked(percent).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let [_, high, low, after @ ..] = tail else {
            out.truncate(before);
            return false;
        };
        let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16)) else {
            out.truncate(before);
            return false;
        };
        out.push((high * 16 + low) as u8);
        rest = after;
    }
    out.extend_from_slice(rest);
    let sound = out.get(before..).is_some_and(|decoded| std::str::from_utf8(decoded).is_ok());
    if !sound {
        out.truncate(before);
    }
    sound
}

/// Whether the text is an IPv4 address in dotted decimal (no leading zeros) or an IPv6 address (no zone, no
/// brackets).
#[inline]
pub fn is_ip_address(text: &[u8]) -> bool {
    is_ipv4(text) || (text.len() <= 45 && text.contains(&b':') && is_ipv6(text))
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[inline]
fn is_ipv4(text: &[u8]) -> bool {
    if text.len() > 15 {
        return false;
    }
    let mut dots = 0;
    let mut octet = 0u32;
    let mut digits = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            if digits > 0 && octet == 0 {
                return false;
            }
            octet = octet * 10 + u32::from(digit);
            digits += 1;
            if octet > 255 {
                return false;
            }
        } else if byte == b'.' && digits > 0 {
            dots += 1;
            octet = 0;
            digits = 0;
        } else {
            return false;
        }
    }
    dots == 3 && digits > 0
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction][Z]`, where `zone` demands the `Z`.
pub fn is_iso_time(text: &[u8], zone: bool) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let Some((front, rest)) = text.split_at_checked(SHAPE.len()) else { return false };
    let matches = front.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        _ => byte == shape,
    });
    let without = rest.strip_suffix(b"Z");
    if !matches || (zone && without.is_none()) {
        return false;
    }
    let rest = without.unwrap_or(rest);
    let fraction = rest.strip_prefix(b".");
    rest.is_empty()
        || fraction.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// `2026-01-15T10:00:00.000Z`, as a CloudWatch Logs export writes it; the fraction may be missing.
pub fn is_event_time(text: &[u8]) -> bool {
    is_iso_time(text, true)
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
