//! Times as users type them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// The least number that is taken for milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// The first second of 2006, the year in which AWS began: no log and no configuration is older, and a smaller number is something
/// else (a date without its hyphens, the year alone).
const FIRST: i64 = 1_136_073_600;

/// Microseconds since 1970 of ISO 8601 with or without offset and with or without its hyphens, a date (its midnight), or Unix
/// seconds or, as CloudWatch prints them, milliseconds. Without an offset it is UTC. `None` for what is no time, and for numbers
/// that are no time of a log in either unit.
pub fn typed_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let formats = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
        "%Y%m%dT%H%M%S",
        "%Y%m%dT%H%M",
    ];
    for format in formats {
        if let Ok(time) = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), format) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    for (format, length) in [("%Y-%m-%d", 10), ("%Y%m%d", 8)] {
        if let Ok(date) = NaiveDate::parse_from_str(text, format)
            && text.len() == length
        {
            return Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
        }
    }
    let number = text.parse::<i64>().ok()?;
    let unit = if number < MILLISECONDS { 1_000_000 } else { 1_000 };
    let times = FIRST.checked_mul(1_000_000)?..MILLISECONDS.checked_mul(1_000_000)?;
    // What is neither, as a count of microseconds, is no time of a log.
    number.checked_mul(unit).filter(|micros| times.contains(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_their_forms() {
        // 2026-01-15T10:30:00Z is 1768473000 Unix seconds.
        for text in [
            "2026-01-15T10:30:00Z",
            "2026-01-15T10:30",
            "2026-01-15T10:30Z",
            " 2026-01-15 10:30:00 ",
            "2026-01-15T12:30:00+02:00",
            "20260115T103000Z",
            "20260115T1030",
            "1768473000",
            "1768473000000",
        ] {
            assert_eq!(typed_time(text), Some(1_768_473_000_000_000), "{text}");
        }
        for text in ["2026-01-15", "20260115"] {
            assert_eq!(typed_time(text), Some(1_768_435_200_000_000), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026",
            "202601",
            "2026-13-01",
            "20261301",
            "2026-01-15T25:00:00Z",
            "1768473000000000",
            "99999999999999999999",
            "-1768473000",
        ] {
            assert_eq!(typed_time(text), None, "{text}");
        }
    }
}
