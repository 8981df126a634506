//! When which interface was logged at all: what the absence of a hit is worth.
//!
//! Interfaces write records without data while nothing flows (spec 4.6), so an interface without any record in ten minutes,
//! the longest aggregation interval, was not logged then, or its log is not here.

use crate::attribute::{Action, Record};
use crate::network::Timestamp;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Seconds of a slot: the longest aggregation interval.
const SLOT: i64 = 600;
/// A record that claims to span more slots than this is damaged: a day.
const MOST_SLOTS: i64 = 144;

/// Slots in which interfaces were logged, and the window of all logs.
#[derive(Debug, Default)]
pub struct Presence {
    window: Option<(Timestamp, Timestamp)>,
    interfaces: HashMap<u32, Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// By 64 slots: those with a record, and those of which some were skipped.
    words: BTreeMap<i64, (u64, u64)>,
    accepts: bool,
    rejects: bool,
}

impl Presence {
    pub(super) fn window(&mut self, start: Timestamp, end: Timestamp) {
        // A longer record is damaged, and no log reaches as far as it says.
        let longest = start.saturating_add(MOST_SLOTS.saturating_mul(SLOT));
        let end = end.max(start).min(longest);
        self.window = Some(match self.window {
            None => (start, end),
            Some((first, last)) => (first.min(start), last.max(end)),
        });
    }

    /// Takes a record of the interface in; `skipped` says that it tells of skipped data.
    pub(super) fn see(&mut self, interface: u32, record: &Record<'_>, skipped: bool) {
        let slots = self.interfaces.entry(interface).or_default();
        slots.accepts |= record.action == Action::Accept;
        slots.rejects |= record.action == Action::Reject;
        let first = record.start.div_euclid(SLOT);
        // An interval that ends where a slot begins has nothing in it.
        let last = record.end.saturating_sub(1).max(record.start).div_euclid(SLOT);
        let last = last.min(first.saturating_add(MOST_SLOTS));
        for slot in first..=last {
            let bit = 1u64 << u32::try_from(slot.rem_euclid(64)).unwrap_or(0);
            let word = slots.words.entry(slot.div_euclid(64)).or_default();
            if skipped {
                word.1 |= bit;
            } else {
                word.0 |= bit;
            }
        }
    }

    pub(super) fn merge(&mut self, other: Presence) {
        if let Some((first, last)) = other.window {
            self.window(first, last);
        }
        for (interface, theirs) in other.interfaces {
            let ours = self.interfaces.entry(interface).or_default();
            ours.accepts |= theirs.accepts;
            ours.rejects |= theirs.rejects;
            for (at, (seen, skipped)) in theirs.words {
                let word = ours.words.entry(at).or_default();
                word.0 |= seen;
                word.1 |= skipped;
            }
        }
    }

    /// The first and the last second of the logs.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.window
    }

    /// Whether any record of the interface is there.
    pub(super) fn is_seen(&self, interface: u32) -> bool {
        self.interfaces.contains_key(&interface)
    }

    /// Whether the interface has an ACCEPT, and whether it has a REJECT.
    pub(super) fn actions(&self, interface: u32) -> (bool, bool) {
        self.interfaces.get(&interface).map_or((false, false), |slots| (slots.accepts, slots.rejects))
    }

    /// The share of the slots of the logs' window, 0 to 1, in which the interface was logged and nothing was skipped.
    pub(super) fn share(&self, interface: u32) -> f64 {
        let Some(((first, last), slots)) = self.window.zip(self.interfaces.get(&interface)) else {
            return 0.0;
        };
        let all = last
            .saturating_sub(1)
            .max(first)
            .div_euclid(SLOT)
            .saturating_sub(first.div_euclid(SLOT))
            .saturating_add(1);
        let logged: u32 = slots.words.values().map(|(seen, skipped)| (seen & !skipped).count_ones()).sum();
        (f64::from(logged) / all as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn the_share_is_of_ten_minute_slots() {
        let mut presence = Presence::default();
        // One hour: six slots.
        presence.window(0, 3600);
        let mut see = |text: &'static str| {
            let (record, skipped) = sample(text);
            presence.see(7, &record, skipped);
            presence.share(7)
        };
        assert_eq!(see("eni-a in 192.0.2.1 tcp 51000>443 ACCEPT 0-600"), 1.0 / 6.0);
        assert_eq!(see("eni-a in 192.0.2.1 tcp 51000>443 ACCEPT 700-760"), 2.0 / 6.0);
        assert_eq!(see("eni-a nodata 1800-1860"), 3.0 / 6.0);
        assert_eq!(see("eni-a skipdata 3000-3060"), 3.0 / 6.0);
        assert_eq!(see("eni-a skipdata 1860-1920"), 2.0 / 6.0, "what was skipped may have been a hit");
        assert_eq!(presence.share(8), 0.0);
    }
}
