use super::*;
use proptest::prelude::*;
use std::net::IpAddr;

const TEN: i64 = 1_768_471_200; // 2026-01-15T10:00:00Z, by `date -u -d 2026-01-15T10:00:00Z +%s`

#[test]
fn integers() {
    assert_eq!(parse_i32(b"2817"), Some(2817));
    assert_eq!(parse_i32(b"-1"), Some(-1));
    assert_eq!(parse_i32(b"2147483647"), Some(i32::MAX));
    assert_eq!(parse_i32(b"-2147483648"), Some(i32::MIN));
    assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
    assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
    for bad in ["", "-", "+1", "1 ", "abc", "0x1", "1.0", "--1", "2147483648", "-2147483649"] {
        assert_eq!(parse_i32(bad.as_bytes()), None, "{bad}");
    }
    for bad in ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "123456789012345678a"]
    {
        assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn decimals() {
    assert_eq!(parse_f64(b"0.086"), Some(0.086));
    assert_eq!(parse_f64(b"0.00008"), Some(0.00008));
    assert_eq!(parse_f64(b"8e-05"), Some(8e-5));
    assert_eq!(parse_f64(b"-1"), Some(-1.0));
    assert_eq!(parse_f64(b"1.121980746"), Some(1.121980746));
    assert_eq!(parse_f64(b"0.000"), Some(0.0));
    for bad in [
        "", "-", ".", "-.", "+1", "inf", "-inf", "nan", "NaN", "infinity", "0x1p3", "1e", "1e999", "1.2.3",
        "1 ",
    ] {
        assert_eq!(parse_f64(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn times_of_the_samples() {
    assert_eq!(parse_time_micros(b"2026-01-15T10:00:00.186641Z"), Some(TEN * 1_000_000 + 186_641));
    assert_eq!(parse_time_micros(b"2026-01-15T10:00:00"), Some(TEN * 1_000_000));
    assert_eq!(parse_time_micros(b"2026-01-15T10:00:00Z"), Some(TEN * 1_000_000));
    assert_eq!(parse_time_micros(b"2026-01-15T10:00:00.5"), Some(TEN * 1_000_000 + 500_000));
    assert_eq!(parse_time_micros(b"2026-01-15T10:00:00.123456789Z"), Some(TEN * 1_000_000 + 123_456));
    assert_eq!(parse_time_micros(b"1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(parse_time_micros(b"1969-12-31T23:59:59Z"), Some(-1_000_000));
    assert_eq!(parse_time_micros(b"2000-02-29T00:00:00Z"), Some(951_782_400_000_000));
    assert_eq!(parse_time_micros(b"9999-12-31T23:59:59Z"), Some(MAX_EPOCH_SECONDS * 1_000_000));
    assert_eq!(parse_time_micros(b"0000-01-01T00:00:00Z"), Some(-62_167_219_200_000_000));
    assert_eq!(parse_time_micros(b"2016-12-31T23:59:60Z"), Some(1_483_228_800_000_000));
}

#[test]
fn times_that_are_none() {
    for bad in [
        "",
        "2026-01-15",
        "2026-01-15T10:00",
        "2026-01-15 10:00:00",
        "2026-01-15t10:00:00z",
        "2026-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        "2026-00-15T10:00:00Z",
        "2026-13-15T10:00:00Z",
        "2026-01-00T10:00:00Z",
        "2026-01-32T10:00:00Z",
        "2026-04-31T10:00:00Z",
        "2026-01-15T24:00:00Z",
        "2026-01-15T10:60:00Z",
        "2026-01-15T10:00:60Z",
        "2026-01-15T10:00:00.Z",
        "2026-01-15T10:00:00.1234567890Z",
        "2026-01-15T10:00:00.12a456Z",
        "2026-01-15T10:00:00.1234567xZ",
        "2026-01-15T10:00:00+00:00",
        "2026-01-15T10:00:00ZZ",
        "2026-1-15T10:00:00.00Z",
    ] {
        assert_eq!(parse_time_micros(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn every_day_of_ten_thousand_years_follows_the_last() {
    let mut expected = -719_528; // 0000-01-01
    for year in 0..10_000u32 {
        for month in 1..=12 {
            for day in 1..=31 {
                let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
                let length =
                    [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
                let exists = day <= length;
                assert_eq!(
                    days_of_date(year, month, day),
                    exists.then_some(expected),
                    "{year}-{month}-{day}"
                );
                expected += i32::from(exists);
            }
        }
    }
}

#[test]
fn epoch_seconds() {
    assert_eq!(parse_epoch_seconds(b"1768471200"), Some(TEN * 1_000_000));
    assert_eq!(parse_epoch_seconds(b"0"), Some(0));
    assert_eq!(parse_epoch_seconds(b"253402300799"), Some(253_402_300_799_000_000));
    for bad in ["253402300800", "1768471200000", "-1", "-0", "", "-", "1768471200.5", "abc"] {
        assert_eq!(parse_epoch_seconds(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn dates() {
    assert_eq!(date_of_micros(0), 0);
    assert_eq!(date_of_micros(-1), -1);
    assert_eq!(date_of_micros(DAY_MICROS - 1), 0);
    assert_eq!(date_of_micros(TEN * 1_000_000), 20_468);
    assert!(date_of_micros(i64::MAX) > 0 && date_of_micros(i64::MIN) < 0);
}

#[test]
fn percent_text() {
    let decode = |text: &str| {
        let mut out = b"kept".to_vec();
        let sound = percent_decode(text.as_bytes(), &mut out);
        assert!(out.starts_with(b"kept"));
        (sound, String::from_utf8(out[4..].to_vec()).unwrap())
    };
    assert_eq!(decode("web%20server"), (true, "web server".into()));
    assert_eq!(decode("plain"), (true, "plain".into()));
    assert_eq!(decode("a+b%2Fc%c3%a9"), (true, "a+b/cé".into()));
    for bad in ["100%", "%2", "%zz", "a%20b%", "%ff", "%+1"] {
        assert_eq!(decode(bad), (false, String::new()), "{bad}");
    }
}

#[test]
fn addresses() {
    for good in ["203.0.113.1", "0.0.0.0", "255.255.255.255", "2001:db8::7", "::", "::ffff:192.0.2.1"] {
        assert!(is_ip_address(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        "-",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.01",
        "1.2.3.4.5",
        "1..2.3",
        ".1.2.3",
        "1.2.3.",
        "::1%eth0",
        "[::1]",
        "host",
        "203.0.113.1:80",
    ] {
        assert!(!is_ip_address(bad.as_bytes()), "{bad}");
    }
}

fn naive_integer<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    text.parse().ok()
}

fn naive_f64(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    if text.chars().any(|c| c.is_alphabetic() && !"eE".contains(c)) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Counts the days of all earlier years and months.
fn naive_time(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T')?;
    let fixed = |text: &str, width: usize| {
        (text.len() == width && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<i64>().unwrap())
    };
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date[..] else { return None };
    let (year, month, day) = (fixed(year, 4)?, fixed(month, 2)?, fixed(day, 2)?);
    let leap = |year: i64| year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    let lengths = |year| [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || day < 1 || day > lengths(year)[month as usize - 1] {
        return None;
    }
    let before: i64 = (0..year).map(|year| 365 + i64::from(leap(year))).sum();
    let days = before + lengths(year)[..month as usize - 1].iter().sum::<i64>() + day - 1 - 719_528;
    let (clock, fraction) = time.split_once('.').map_or((time, None), |(clock, f)| (clock, Some(f)));
    let clock: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = clock[..] else { return None };
    let (hour, minute, second) = (fixed(hour, 2)?, fixed(minute, 2)?, fixed(second, 2)?);
    if hour > 23 || minute > 59 || second > 60 || (second == 60 && (hour, minute) != (23, 59)) {
        return None;
    }
    let nanos = match fraction {
        None => 0,
        Some(f) if (1..=9).contains(&f.len()) => fixed(&format!("{f:0<9}"), 9)?,
        Some(_) => return None,
    };
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + nanos / 1000)
}

proptest! {
    #[test]
    fn integers_agree_with_the_standard_library(text in "-?[0-9]{0,21}|[-+0-9a. ]{0,6}", bytes: Vec<u8>) {
        for text in [text.as_bytes(), &bytes] {
            prop_assert_eq!(parse_i32(text), naive_integer::<i32>(text));
            prop_assert_eq!(parse_i64(text), naive_integer::<i64>(text));
        }
    }

    #[test]
    fn decimals_agree_bit_for_bit(
        text in "-?[0-9]{0,18}(\\.[0-9]{0,18})?([eE][-+]?[0-9]{0,3})?|[-+0-9einfax. ]{0,8}",
        bytes: Vec<u8>,
    ) {
        for text in [text.as_bytes(), &bytes] {
            prop_assert_eq!(parse_f64(text).map(f64::to_bits), naive_f64(text).map(f64::to_bits));
        }
    }

    #[test]
    fn times_agree_with_counting(
        text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?Z?",
        leap in "20[0-9]{2}-0[12]-(28|29|30)T23:59:(59|60)(\\.[0-9]{1,9})?Z?",
        noise in "[0-9TZ:. -]{0,30}",
    ) {
        for text in [text, leap, noise] {
            prop_assert_eq!(parse_time_micros(text.as_bytes()), naive_time(&text), "{}", text);
        }
    }

    #[test]
    fn addresses_agree_with_the_standard_library(
        text in "[0-9]{1,3}(\\.[0-9]{0,3}){2,4}|[0-9a-f:]{1,40}|[0-9a-f:.%]{0,20}",
        bytes: Vec<u8>,
    ) {
        prop_assert_eq!(is_ip_address(text.as_bytes()), text.parse::<IpAddr>().is_ok(), "{}", text);
        let naive = std::str::from_utf8(&bytes).is_ok_and(|text| text.parse::<IpAddr>().is_ok());
        prop_assert_eq!(is_ip_address(&bytes), naive);
    }

    #[test]
    fn encoded_text_comes_back(text: String, plain in "[a-z%0-9A-F]{0,12}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut out = Vec::new();
        prop_assert!(percent_decode(encoded.as_bytes(), &mut out));
        prop_assert_eq!(&out, text.as_bytes());
        out.clear();
        // Naive: each `%` must be followed by two hexadecimal digits.
        let mut naive = Some(Vec::new());
        let mut rest = plain.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            let byte = if *first == b'%' {
                let code = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                rest = rest.get(2..).unwrap_or_default();
                code.and_then(|hex| u8::from_str_radix(hex, 16).ok())
            } else {
                Some(*first)
            };
            naive = naive.zip(byte).map(|(mut all, byte)| { all.push(byte); all });
        }
        let naive = naive.filter(|all| std::str::from_utf8(all).is_ok());
        prop_assert_eq!(percent_decode(plain.as_bytes(), &mut out).then_some(out), naive);
    }

    #[test]
    fn epoch_seconds_agree(text in "-?[0-9]{0,14}|[0-9a.+-]{0,6}") {
        let naive = naive_integer::<i64>(text.as_bytes())
            .filter(|s| (0..=253_402_300_799).contains(s) && !text.starts_with('-'))
            .map(|s| s * 1_000_000);
        prop_assert_eq!(parse_epoch_seconds(text.as_bytes()), naive);
    }
}
