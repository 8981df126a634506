//! What could not be read of the logs, as gaps in what they cover: an ACCEPT that is looked for may have been there.

use crate::attribute::Coverage;
use crate::source::ObjectKey;
use crate::source::keys::flow_log_of;
use crate::sql::unread::Unread;

const MARGIN: i64 = ObjectKey::MARGIN;

/// From when to when, seconds.
type Times = (i64, i64);

/// Notes what is missing.
pub(super) fn tell(coverage: &mut Coverage, unread: &[Unread]) {
    for missing in unread {
        let flow_log = flow_log_of(&missing.file);
        match &missing.line {
            Some(line) => {
                let shown = Shown::of(line);
                if shown.no_accept {
                    continue;
                }
                let times = shown.times.unwrap_or_else(|| around(missing, false));
                coverage.unread(flow_log, shown.interface, times);
            }
            None => coverage.unread(flow_log, None, around(missing, true)),
        }
    }
}

/// The times of what a file held; of one that breaks off what follows may be of any later time, unless its name tells.
fn around(missing: &Unread, breaks_off: bool) -> Times {
    let read = missing.times.map(|(first, last)| (first.saturating_sub(MARGIN), last.saturating_add(MARGIN)));
    let stamp = ObjectKey::parse(&missing.file).stamp;
    let named = stamp.map(|stamp| (stamp.saturating_sub(MARGIN), stamp.saturating_add(MARGIN)));
    match (read, named) {
        (Some(read), Some(named)) => (read.0.min(named.0), read.1.max(named.1)),
        (None, Some(named)) => named,
        (Some((first, _)), None) if breaks_off => (first, i64::MAX),
        (Some(read), None) => read,
        (None, None) => (i64::MIN, i64::MAX),
    }
}

/// What can still be told of a refused line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown<'l> {
    interface: Option<&'l str>,
    times: Option<Times>,
    /// It is a REJECT, or no flow at all.
    no_accept: bool,
}

impl Shown<'_> {
    fn of(line: &str) -> Shown<'_> {
        let mut shown = Shown::default();
        let mut before: Option<i64> = None;
        let (mut accepts, mut others) = (false, false);
        for word in line.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',')) {
            match word {
                "ACCEPT" => accepts = true,
                "REJECT" | "NODATA" => others = true,
                _ if word.starts_with("eni-") => shown.interface = shown.interface.or(Some(word)),
                _ => {}
            }
            // Two times beside each other, `start` and `end`: seconds of this century and the next.
            let time = Some(word).filter(|word| word.len() == 10).and_then(|word| word.parse::<i64>().ok());
            if let (Some(start), Some(end)) = (before, time)
                && (start..=start.saturating_add(MARGIN)).contains(&end)
            {
                shown.times = shown.times.or(Some((start, end)));
            }
            before = time;
        }
        shown.no_accept = others && !accepts;
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_line_tells_its_interface_its_times_and_whether_it_may_be_an_accept() {
        let of = |line: &'static str| {
            let shown = Shown::of(line);
            (shown.interface, shown.times, shown.no_accept)
        };
        let times = Some((1_768_471_815, 1_768_471_820));
        assert_eq!(
            of("2 1 eni-a 10.0.1.10 198.51.100.7 5000x 53 17 1 60 1768471815 1768471820 ACCEPT OK"),
            (Some("eni-a"), times, false)
        );
        assert_eq!(
            of("2 1 eni-a 10.0.1.10 198.51.100.7 5000x 53 17 1 60 1768471815 1768471820 REJECT OK"),
            (Some("eni-a"), times, true)
        );
        // One that breaks off, bytes that look like a time, times in the wrong order, and nothing of a record.
        assert_eq!(of("2 1 eni-a 10.0.1.10 198.51.1"), (Some("eni-a"), None, false));
        assert_eq!(of("2 1 eni-a 1 2768471820 1768471815 1768471"), (Some("eni-a"), None, false));
        assert_eq!(of("hello"), (None, None, false));
        assert_eq!(of(""), (None, None, false));
    }

    #[test]
    fn what_breaks_off_may_have_held_anything_later_unless_its_name_tells() {
        let missing = |file: &str, times, line: Option<&str>| Unread {
            file: file.to_owned(),
            times,
            line: line.map(str::to_owned),
        };
        let named = "/in/111122223333_vpcflowlogs_us-east-1_fl-0a_20260115T1010Z_0000000a.log.gz";
        let stamp = 1_768_471_800;
        assert_eq!(around(&missing(named, None, None), true), (stamp - MARGIN, stamp + MARGIN));
        let read = Some((stamp - 60, stamp + 60));
        assert_eq!(around(&missing(named, read, None), true), (stamp - 60 - MARGIN, stamp + 60 + MARGIN));
        assert_eq!(around(&missing("/in/a.log.gz", read, None), true), (stamp - 60 - MARGIN, i64::MAX));
        assert_eq!(
            around(&missing("/in/a.log.gz", read, Some("x")), false),
            (stamp - 60 - MARGIN, stamp + 60 + MARGIN)
        );
        assert_eq!(around(&missing("/in/a.log.gz", None, Some("x")), false), (i64::MIN, i64::MAX));
    }
}
