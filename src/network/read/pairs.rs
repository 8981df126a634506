//! Which capture of an object's pieces belongs to which of its readings.
//!
//! A pull asks for an object and for its pieces (the rules of a group, the entries of a list) by two commands, some seconds
//! apart, in either order; and two pulls may be minutes apart. So a capture of pieces goes with one moment of the object.

use super::coverage::{SAME_CAPTURE, same_capture};
use super::reading::Reading;
use crate::network::history::Timestamp;
use std::collections::BTreeMap;

type Moment = Option<Timestamp>;

/// How far apart two moments of one capture are.
pub(super) fn apart(one: Moment, other: Moment) -> i64 {
    one.zip(other).map_or(0, |(one, other)| one.saturating_sub(other).saturating_abs())
}

/// The captures, in ascending order, that may be of one pull with a reading: first the nearest.
pub(super) fn near(captures: &[Moment], at: Moment) -> Vec<usize> {
    let earliest = at.map(|at| at.saturating_sub(SAME_CAPTURE));
    let first = captures.partition_point(|capture| *capture < earliest);
    let later = captures.iter().enumerate().skip(first);
    let mut found: Vec<usize> =
        later.take_while(|(_, capture)| same_capture(**capture, at)).map(|(place, _)| place).collect();
    found.sort_by_key(|place| captures.get(*place).map(|capture| apart(*capture, at)));
    found
}

/// Pairs of a reading and a capture of pieces, by their places: each capture goes with the readings of one moment, and these with
/// no other capture. Those that say the same come first (`differ`), then the nearest; pulls come one after the other, so of two
/// pairs the later reading has the later capture. The captures are in ascending order.
pub(super) fn pairs(
    readings: &[Moment],
    captures: &[Moment],
    differ: impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut edges: Vec<(bool, i64, Moment, usize, usize)> = Vec::new();
    for (reading, at) in readings.iter().enumerate() {
        for capture in near(captures, *at) {
            let apart = captures.get(capture).map_or(0, |moment| apart(*moment, *at));
            edges.push((false, apart, *at, capture, reading));
        }
    }
    // With one candidate there is nothing to choose.
    if edges.len() > 1 {
        edges.iter_mut().for_each(|(differs, .., capture, reading)| *differs = differ(*reading, *capture));
    }
    edges.sort_unstable();
    let mut capture_of: BTreeMap<Moment, usize> = BTreeMap::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (.., at, capture, reading) in edges {
        let before = capture_of.range(..at).next_back().is_none_or(|(_, other)| *other < capture);
        let same = capture_of.get(&at);
        let mut later = capture_of.range(at..).filter(|(other, _)| **other != at);
        let after = later.next().is_none_or(|(_, other)| *other > capture);
        if before && after && same.is_none_or(|other| *other == capture) {
            capture_of.insert(at, capture);
            found.push((reading, capture));
        }
    }
    found
}

/// Where the captures of pieces of one object go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// A reading and the capture whose pieces it takes, by their places.
    pub(super) joined: Vec<(usize, usize)>,
    /// Captures in whose pull the object itself was not asked for: each is a reading of its own.
    pub(super) alone: Vec<usize>,
}

/// Finds for each capture the readings that it goes with ([`pairs`]); a reading that is left takes the pieces of the capture that
/// `spare` names, if any, which is not moved by that. Readings that say that the object was deleted take none.
pub(super) fn place<T>(
    readings: &[Reading<T>],
    captures: &[Moment],
    differ: impl Fn(&Reading<T>, usize) -> bool,
    spare: impl Fn(&Reading<T>) -> Option<usize>,
) -> Placed {
    let with_value: Vec<(usize, &Reading<T>)> =
        readings.iter().enumerate().filter(|(_, reading)| reading.value.is_some()).collect();
    let moments: Vec<Moment> = with_value.iter().map(|(_, reading)| reading.at).collect();
    let differs =
        |at: usize, capture| with_value.get(at).is_some_and(|(_, reading)| differ(reading, capture));
    let mut found = Placed::default();
    let mut taken = vec![false; captures.len()];
    let mut joined = vec![false; with_value.len()];
    for (at, capture) in pairs(&moments, captures, differs) {
        taken.get_mut(capture).into_iter().chain(joined.get_mut(at)).for_each(|one| *one = true);
        found.joined.extend(with_value.get(at).map(|(place, _)| (*place, capture)));
    }
    for ((place, reading), _) in with_value.iter().zip(joined).filter(|(_, joined)| !joined) {
        found.joined.extend(spare(reading).map(|capture| (*place, capture)));
    }
    found.alone = (0..captures.len()).filter(|capture| taken.get(*capture) == Some(&false)).collect();
    found
}

/// The nearest of moments, one without a time last; of two as near the earlier.
pub(super) fn nearest(moments: impl Iterator<Item = Moment>, at: Moment) -> Option<usize> {
    let places =
        moments.enumerate().min_by_key(|(_, moment)| (moment.is_none(), apart(*moment, at), *moment));
    places.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(readings: &[i64], captures: &[i64]) -> Vec<(i64, i64)> {
        let moments = |times: &[i64]| times.iter().copied().map(Some).collect::<Vec<_>>();
        let found = pairs(&moments(readings), &moments(captures), |_, _| false);
        let mut found: Vec<_> = found.iter().map(|(one, other)| (readings[*one], captures[*other])).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_capture_goes_with_the_reading_of_its_pull() {
        assert_eq!(paired(&[0, 600], &[5, 605]), [(0, 5), (600, 605)]);
        assert_eq!(paired(&[5, 605], &[0, 600]), [(5, 0), (605, 600)], "in either order");
        assert_eq!(paired(&[0], &[5, 605]), [(0, 5)]);
        assert_eq!(paired(&[0, 600], &[605]), [(600, 605)]);
        assert_eq!(
            paired(&[0, 0, 600], &[0, 600]),
            [(0, 0), (0, 0), (600, 600)],
            "two accounts show one group"
        );
        assert_eq!(paired(&[0], &[901]), []);
        assert_eq!(pairs(&[None, Some(5)], &[None, Some(7)], |_, _| false), [(0, 0), (1, 1)]);
    }

    #[test]
    fn those_that_say_the_same_go_together_though_others_are_nearer() {
        let moments = |times: &[i64]| times.iter().copied().map(Some).collect::<Vec<_>>();
        let found = pairs(&moments(&[0, 60]), &moments(&[40, 100]), |one, other| one != other);
        assert_eq!(found, [(0, 0), (1, 1)]);
    }

    #[test]
    fn pairs_do_not_cross() {
        assert_eq!(paired(&[0, 8], &[5, 13]), [(8, 5)]);
    }
}
