//! The time that a CloudWatch Logs export task puts before every record.

use crate::parse::cells::Span;
use crate::parse::values::is_event_time;

/// A line of an export in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// The event's time, dropped: for flow logs it equals `start` (observed).
    pub time: &'a [u8],
    /// The record.
    pub line: &'a [u8],
}

impl Stripped<'_> {
    /// The record's place in a block in which the whole line begins at `start`.
    pub fn span(&self, start: usize, whole: usize) -> Span {
        let end = start + whole;
        Span::new(end - self.line.len().min(whole), end)
    }

    /// What was dropped, in words.
    pub fn describe(&self) -> String {
        format!("event time {} of a CloudWatch Logs export", String::from_utf8_lossy(self.time))
    }
}

/// Splits the time off an exported line; `None` where the line does not begin with one. Whether the rest is a record is
/// for the caller to know: load balancer lines begin with a time of their own.
pub fn strip_export_time(line: &[u8]) -> Option<Stripped<'_>> {
    let end = line.iter().take(40).position(|byte| *byte == b' ')?;
    let (time, rest) = line.split_at_checked(end)?;
    is_event_time(time).then(|| Stripped { time, line: rest.trim_ascii_start() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_times_are_split_off() {
        // Q26
        let line = b"2026-01-15T10:00:00.000Z 2 123456789012 eni-0a1b2c3d4e5f60718";
        let stripped = strip_export_time(line).unwrap();
        assert_eq!(stripped.line, b"2 123456789012 eni-0a1b2c3d4e5f60718");
        assert_eq!(stripped.span(100, line.len()), Span::new(125, 100 + line.len()));
        assert!(stripped.describe().contains("2026-01-15T10:00:00.000Z"));
        for line in [
            &b"2 123456789012"[..],
            b"2026-01-15T10:00:00.000 2",
            b"2026-01-15T10:00:00.Z 2",
            b"",
            b"2026-01-15",
        ] {
            assert_eq!(strip_export_time(line), None);
        }
        assert!(strip_export_time(b"2026-01-15T10:00:00Z x").is_some());
    }
}
