//! What is not in a later capture. An object that a capture of everything does not hold did not exist then; one that a capture of
//! unknown extent does not hold may have been left out by a filter.
//!
//! A capture holds everything (spec 2.4: "the snapshot covers that VPC/account/Region at the record's time") where
//!
//! * its envelope names a `describe-…` command without any option that selects, as `flowq config pull` writes it, and its output
//!   has no further page: then it holds every object of that kind of its account and Region;
//! * it is an AWS Config snapshot, which holds all recorded resources at one time (spec 6.8), for each type of which it holds one:
//!   of a type that is not recorded it holds none.
//!
//! It ends only what the same command, or the snapshots of the same account and Region, showed at another time: so an object of
//! another account or Region is never ended by it. What AWS Config's history tells of needs no such conclusion.
//!
//! Any other output may hold everything, too: most are saved without an envelope, and without a filter. An object that is not in it
//! is in doubt where it holds others of the same VPC and account, and at least half as many as any other capture does: a capture
//! of a few objects was surely asked for these alone.

use super::agree::Agree;
use super::{Reading, Readings};
use crate::network::history::{Observation, Origin, Timestamp};
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Where and when readings come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Source {
    /// The account asked, where it is known.
    pub(super) account: Option<String>,
    /// The Region asked, where it is known.
    pub(super) region: Option<String>,
    /// What was asked: a command with its output's key, or a resource type of AWS Config.
    pub(super) subject: String,
    /// When.
    pub(super) at: Option<Timestamp>,
    /// How much of what there is it holds.
    pub(super) extent: Extent,
}

/// How much of what there is a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(super) enum Extent {
    /// What was asked for, or one page.
    Part,
    /// Nothing tells.
    #[default]
    Unknown,
    /// Everything.
    Whole,
}

/// What a command line of the AWS CLI asks for.
pub(super) fn extent_of(command: &str) -> Extent {
    // Options that choose where and how to ask, not what.
    const HOW: [&str; 8] = [
        "--region",
        "--profile",
        "--output",
        "--endpoint-url",
        "--no-cli-pager",
        "--color",
        "--page-size",
        "--no-verify-ssl",
    ];
    let mut options = command.split_whitespace().filter(|word| word.starts_with("--"));
    if !operation(command).is_some_and(|operation| operation.starts_with("describe-")) {
        return Extent::Unknown;
    }
    if options.all(|option| HOW.contains(&option.split('=').next().unwrap_or(option))) {
        Extent::Whole
    } else {
        Extent::Part
    }
}

/// The operation of a command line of the AWS CLI: the word behind the service.
pub(super) fn operation(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let aws = words.next()?.rsplit(['/', '\\']).next()?;
    let known = |service: &&str| matches!(*service, "ec2" | "elb" | "elbv2");
    words.next().filter(known).filter(|_| matches!(aws, "aws" | "aws.exe"))?;
    words.next()
}

/// The captures of everything, by what was asked and of whom.
#[derive(Debug, Default)]
pub(super) struct Captures<'a> {
    /// Number of the place of each source.
    places: Vec<usize>,
    /// Moments at which everything of a place was captured.
    whole: HashMap<usize, BTreeSet<Timestamp>>,
    extents: Vec<Extent>,
    /// Places, while they are gathered.
    numbers: HashMap<(&'a Option<String>, &'a Option<String>, &'a str), usize>,
}

impl<'a> Captures<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        let mut captures = Captures::default();
        let mut extents: HashMap<(usize, Timestamp), Extent> = HashMap::new();
        for source in sources {
            let next = captures.numbers.len();
            let key = (&source.account, &source.region, source.subject.as_str());
            let place = *captures.numbers.entry(key).or_insert(next);
            captures.places.push(place);
            captures.extents.push(source.extent);
            if let Some(at) = source.at {
                // One page of several tells that there are more.
                let extent = extents.entry((place, at)).or_insert(source.extent);
                *extent = (*extent).min(source.extent);
            }
        }
        for ((place, at), extent) in extents {
            if extent == Extent::Whole {
                captures.whole.entry(place).or_default().insert(at);
            }
        }
        captures
    }

    /// Ends what captures of everything no longer hold, or do not hold yet; gives the moments of the other captures that do not hold
    /// an object, by its id.
    pub(super) fn apply<T: Agree>(&self, readings: &mut Readings<T>) -> HashMap<String, Vec<Timestamp>> {
        readings.values_mut().for_each(|readings| self.end(readings));
        self.doubts(readings)
    }

    fn end<T>(&self, readings: &mut Vec<Reading<T>>) {
        let known = |reading: &&Reading<T>| !reading.reduced;
        if self.whole.is_empty() || readings.iter().any(|reading| reading.origin == Origin::History) {
            return;
        }
        let mut places: Vec<(usize, Option<usize>)> = Vec::new();
        for source in readings.iter().filter(known).filter_map(|reading| reading.source) {
            let place = (source, self.places.get(source).copied());
            if !places.iter().any(|(_, known)| *known == place.1) {
                places.push(place);
            }
        }
        // What shows a part of an object shows that it exists.
        let present: HashSet<Timestamp> = readings.iter().filter_map(|reading| reading.at).collect();
        let origin = match readings.iter().any(|reading| reading.origin == Origin::ConfigSnapshot) {
            true => Origin::ConfigSnapshot,
            false => Origin::Snapshot,
        };
        let mut absent: Vec<(usize, Timestamp)> = Vec::new();
        for (source, place) in places {
            let moments = place.and_then(|place| self.whole.get(&place));
            absent.extend(ends_of_runs(moments.into_iter().flatten(), &present).map(|at| (source, at)));
        }
        readings.extend(absent.into_iter().map(|(source, at)| Reading {
            source: Some(source),
            seen: Observation { at: Some(at), sequence: 0, origin, reduced: false, value: None },
        }));
    }

    fn doubts<T: Agree>(&self, readings: &Readings<T>) -> HashMap<String, Vec<Timestamp>> {
        type Home<'a> = (&'a str, Option<&'a str>);
        let counts = |reading: &&Reading<T>| {
            let extent = reading.source.and_then(|source| self.extents.get(source));
            !reading.reduced
                && reading.origin == Origin::Snapshot
                && extent.is_some_and(|extent| *extent != Extent::Part)
        };
        let mut held: HashMap<Home<'_>, BTreeMap<Timestamp, usize>> = HashMap::new();
        for reading in readings.values().flatten().filter(counts) {
            if let (Some(home), Some(at)) = (reading.value.as_ref().and_then(Agree::home), reading.at) {
                let count = held.entry(home).or_default().entry(at).or_default();
                *count = count.saturating_add(1);
            }
        }
        let mut doubts = HashMap::new();
        for (id, readings) in readings {
            let home = readings.iter().rev().find_map(|reading| reading.value.as_ref().and_then(Agree::home));
            let Some(captures) = home.and_then(|home| held.get(&home)).filter(|captures| captures.len() > 1)
            else {
                continue;
            };
            if !readings.iter().any(|reading| counts(&reading)) {
                continue;
            }
            let most = captures.values().max().copied().unwrap_or(0);
            let large = captures.iter().filter(|(_, count)| count.saturating_mul(2) >= most);
            let present: HashSet<Timestamp> = readings.iter().filter_map(|reading| reading.at).collect();
            let absent: Vec<Timestamp> = ends_of_runs(large.map(|(at, _)| at), &present).collect();
            if !absent.is_empty() {
                doubts.insert(id.clone(), absent);
            }
        }
        doubts
    }
}

/// Of moments in ascending order those at which an object is not there, only the first and the last of each run.
fn ends_of_runs<'a>(
    moments: impl Iterator<Item = &'a Timestamp>,
    present: &HashSet<Timestamp>,
) -> impl Iterator<Item = Timestamp> {
    let mut found: Vec<Timestamp> = Vec::new();
    let mut run = 0usize;
    for at in moments {
        if present.contains(at) {
            run = 0;
            continue;
        }
        if run > 1 {
            found.pop();
        }
        run = run.saturating_add(1);
        found.push(*at);
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_how_much_it_asks_for() {
        for (command, extent) in [
            ("aws ec2 describe-network-interfaces --region us-east-1", Extent::Whole),
            ("aws elbv2 describe-load-balancers --output=json", Extent::Whole),
            ("aws ec2 describe-network-interfaces --filters Name=vpc-id,Values=vpc-1", Extent::Part),
            ("aws ec2 describe-network-interfaces --max-items 100", Extent::Part),
            ("aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-1", Extent::Unknown),
            ("x", Extent::Unknown),
            ("", Extent::Unknown),
        ] {
            assert_eq!(extent_of(command), extent, "{command}");
        }
    }

    #[test]
    fn runs_keep_their_ends() {
        let present = HashSet::from([1, 2, 7]);
        let found: Vec<i64> = ends_of_runs([0, 1, 2, 3, 4, 5, 6, 7, 8].iter(), &present).collect();
        assert_eq!(found, [0, 3, 6, 8]);
    }
}
