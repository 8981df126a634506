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
use super::{Problem, Reading, Readings};
use crate::network::history::{Observation, Origin, Timestamp};
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Where and when readings come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Source {
    /// The file.
    pub(super) file: String,
    /// The account asked, where it is known.
    pub(super) account: Option<String>,
    /// The Region asked, where it is known.
    pub(super) region: Option<String>,
    /// What was asked: a command with its output's key, or a resource type of AWS Config.
    pub(super) subject: String,
    /// When.
    pub(super) at: Option<Timestamp>,
    /// How much of what there is it holds, if it is no page.
    pub(super) extent: Extent,
    /// What was asked for, where that is all of some VPCs or groups.
    pub(super) scope: String,
    /// Pages follow it (`NextToken`).
    pub(super) more: bool,
    /// Pages came before it (`--starting-token`).
    pub(super) late: bool,
    /// It holds what changed, and of the rest nothing.
    pub(super) changes: bool,
}

impl Source {
    pub(super) fn is_page(&self) -> bool {
        self.more || self.late
    }

    /// How much of what there is it holds by itself.
    fn alone(&self) -> Extent {
        if self.is_page() { Extent::Part } else { self.extent }
    }
}

/// How much of what there is a capture holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(super) enum Extent {
    /// What was asked for, or one page.
    Part,
    /// Everything of some VPCs, or of rules those of some groups.
    Scoped,
    /// Nothing tells.
    #[default]
    Unknown,
    /// Everything.
    Whole,
}

/// What a command line of the AWS CLI asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    pub(super) extent: Extent,
    /// The VPCs or groups that it asks for all of.
    pub(super) scope: String,
    /// It goes on where an earlier page ended.
    pub(super) late: bool,
}

impl Asked {
    pub(super) fn of(command: &str) -> Self {
        // Options that choose where and how to ask, not what. Those that only divide the answer leave a token in it.
        const HOW: [&str; 18] = [
            "--region",
            "--profile",
            "--output",
            "--endpoint-url",
            "--no-cli-pager",
            "--color",
            "--page-size",
            "--no-verify-ssl",
            "--no-paginate",
            "--max-results",
            "--starting-token",
            "--next-token",
            "--no-sign-request",
            "--ca-bundle",
            "--cli-read-timeout",
            "--cli-connect-timeout",
            "--debug",
            "--no-cli-auto-prompt",
        ];
        let operation = operation(command).unwrap_or_default();
        if !operation.starts_with("describe-") && operation != "get-managed-prefix-list-entries" {
            return Asked::default();
        }
        let mut asked = Asked { extent: Extent::Whole, ..Asked::default() };
        if operation.starts_with("get-") {
            asked.extent = Extent::Unknown;
        }
        let mut words = command.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix("--").map(|_| word.split('=').next().unwrap_or(word)) else {
                continue;
            };
            let mut values: Vec<&str> = word.split_once('=').map(|(_, value)| value).into_iter().collect();
            while let Some(value) = words.next_if(|word| !word.starts_with("--")) {
                values.push(value);
            }
            asked.late |= matches!(option, "--starting-token" | "--next-token");
            let of_list =
                operation.starts_with("get-") && matches!(option, "--prefix-list-id" | "--target-version");
            if HOW.contains(&option) || of_list {
                continue;
            }
            if matches!(option, "--filters" | "--filter") && selects_whole(operation, &values) {
                asked.extent = asked.extent.min(Extent::Scoped);
                asked.scope = values.concat();
            } else {
                asked.extent = Extent::Part;
            }
        }
        asked
    }
}

/// Whether filters leave all of some VPCs, or all rules of some groups: `Name=vpc-id,Values=…`, or the same as JSON.
fn selects_whole(operation: &str, filters: &[&str]) -> bool {
    let wanted = if operation == "describe-security-group-rules" { "group-id" } else { "vpc-id" };
    let text: String = filters.concat().chars().filter(|c| !matches!(c, '"' | '\'' | ' ')).collect();
    let text = text.replace("Name:", "Name=");
    let mut names = text.split("Name=").skip(1).peekable();
    let rest = |name: &str| name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with([',', '}']));
    names.peek().is_some() && names.all(rest)
}

/// The operation of a command line of the AWS CLI: the word behind the service.
pub(super) fn operation(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let aws = words.next()?.rsplit(['/', '\\']).next()?;
    let known = |service: &&str| matches!(*service, "ec2" | "elb" | "elbv2");
    words.next().filter(known).filter(|_| matches!(aws, "aws" | "aws.exe"))?;
    words.next()
}

/// Captures of one pull are seconds apart: what lies within this many seconds belongs together.
pub(super) const SAME_CAPTURE: i64 = 900;

/// Whether two moments are of one capture.
pub(super) fn same_capture(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.saturating_sub(other).saturating_abs() <= SAME_CAPTURE,
        (None, None) => true,
        _ => false,
    }
}

/// What each source is worth beside the others.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// It is a page without the others, or the command selects.
    cut: Vec<bool>,
    /// It may lack others of its kind in the same VPC: what is cut, and what only tells of changes.
    parts: Vec<bool>,
    /// The time of the capture that a page belongs to: that of its first file.
    capture: Vec<Option<Timestamp>>,
}

impl Sources {
    /// Pages that lie in one folder, and come from one command and capture, are whole together where one of them has no page
    /// before it and one none behind.
    pub(super) fn new(sources: &[Source]) -> Self {
        let key = |source: &Source| {
            source.file.rfind(['/', '\\']).map(|at| source.file.get(..at).unwrap_or_default().to_owned())
        };
        type Key<'a> = (Option<String>, &'a Option<String>, &'a Option<String>, &'a str, &'a str);
        let mut pages: HashMap<Key<'_>, Vec<&Source>> = HashMap::new();
        fn rest(one: &Source) -> (&Option<String>, &Option<String>, &str, &str) {
            (&one.account, &one.region, &one.subject, &one.scope)
        }
        let paged: HashSet<_> = sources.iter().filter(|one| one.is_page()).map(rest).collect();
        for source in sources.iter().filter(|one| paged.contains(&rest(one))) {
            let (account, region, subject, scope) = rest(source);
            pages.entry((key(source), account, region, subject, scope)).or_default().push(source);
        }
        let mut found = Sources::default();
        for source in sources {
            let mut capture = source.at;
            let mut whole = !source.is_page();
            if source.is_page() {
                let (account, region, subject, scope) = rest(source);
                let all = pages.get(&(key(source), account, region, subject, scope));
                let of_capture = || {
                    let near = all.into_iter().flatten().filter(|one| same_capture(one.at, source.at));
                    near.filter(|one| one.extent != Extent::Part)
                };
                whole = of_capture().any(|one| !one.late) && of_capture().any(|one| !one.more);
                capture = of_capture().map(|one| one.at).min().unwrap_or(source.at);
            }
            let cut = !whole || source.extent == Extent::Part;
            found.cut.push(cut);
            found.parts.push(cut || source.changes);
            found.capture.push(capture);
        }
        found
    }

    /// Whether what a source does not hold may be there all the same.
    pub(super) fn is_part(&self, source: Option<usize>) -> bool {
        source.and_then(|at| self.parts.get(at)).copied().unwrap_or(false)
    }

    /// Whether a source holds a part of an object that it spreads over many elements.
    pub(super) fn is_cut(&self, source: Option<usize>) -> bool {
        source.and_then(|at| self.cut.get(at)).copied().unwrap_or(false)
    }

    /// When the capture was made that a piece belongs to.
    pub(super) fn capture(&self, source: Option<usize>, at: Option<Timestamp>) -> Option<Timestamp> {
        // The items of a history have each their own.
        source.and_then(|at| self.capture.get(at)).copied().flatten().or(at)
    }

    /// What to tell of the sources that may lack something, and whether interfaces are known in part only.
    pub(super) fn tell(&self, sources: &[Source]) -> (Vec<Problem>, bool) {
        // What is missing among these is taken for an absence; of others it is told to be missing.
        const TOLD: [&str; 4] = ["NetworkInterfaces", "NetworkAcls", "SecurityGroupRules", "Entries"];
        let key = |source: &Source| source.subject.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let is_interfaces = |source: &Source| {
            source.subject.ends_with(" NetworkInterfaces") || source.subject == "AWS::EC2::NetworkInterface"
        };
        let full = sources.iter().any(is_interfaces);
        let mut problems: Vec<Problem> = Vec::new();
        let mut interfaces = false;
        for (at, source) in sources.iter().enumerate() {
            let part = self.is_part(Some(at));
            let of_instances = source.subject.ends_with(" Reservations") && !full;
            interfaces |=
                (is_interfaces(source) && (part || source.extent == Extent::Scoped)) || of_instances;
            let kind = key(source);
            let message = if part && source.is_page() {
                "one page of several (NextToken), so that what it does not hold may be there; fetch the others too"
            } else if part && !source.changes && TOLD.contains(&kind.as_str()) {
                "not all there is: the command selects, so that what it does not hold may be there; ask without options \
                 that select (flowq config pull)"
            } else if of_instances {
                "holds the interfaces of instances only, not those of load balancers, functions and services; import \
                 describe-network-interfaces too"
            } else {
                continue;
            };
            let object = if kind.is_empty() { "-".to_owned() } else { kind };
            let problem = Problem { file: source.file.clone(), object, message: message.to_owned() };
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        (problems, interfaces)
    }
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
            captures.extents.push(source.alone());
            if let Some(at) = source.at {
                // One page of several tells that there are more.
                let extent = extents.entry((place, at)).or_insert(source.alone());
                *extent = (*extent).min(source.alone());
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
            seen: Observation::new(Some(at), origin, None),
        }));
    }

    fn doubts<T: Agree>(&self, readings: &Readings<T>) -> HashMap<String, Vec<Timestamp>> {
        type Home<'a> = (&'a str, Option<&'a str>);
        let counts = |reading: &&Reading<T>| {
            let extent = reading.source.and_then(|source| self.extents.get(source));
            !reading.reduced
                && reading.origin == Origin::Snapshot
                && extent.is_some_and(|extent| *extent > Extent::Scoped)
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
            ("aws ec2 describe-network-interfaces --filters Name=vpc-id,Values=vpc-1,vpc-2", Extent::Scoped),
            (
                r#"aws ec2 describe-network-acls --filters [{"Name": "vpc-id", "Values": ["vpc-1"]}]"#,
                Extent::Scoped,
            ),
            (
                "aws ec2 describe-network-interfaces --filters Name=vpc-id,Values=vpc-1 Name=status,Values=in-use",
                Extent::Part,
            ),
            ("aws ec2 describe-network-acls --filters Name=vpc-id-x,Values=a", Extent::Part),
            ("aws ec2 describe-network-acls --filters Name=default,Values=true --region x", Extent::Part),
            ("aws ec2 describe-network-acls --network-acl-ids acl-1", Extent::Part),
            ("aws ec2 describe-security-group-rules --filters Name=group-id,Values=sg-1", Extent::Scoped),
            ("aws ec2 describe-security-group-rules --filters Name=vpc-id,Values=vpc-1", Extent::Part),
            ("aws ec2 describe-network-interfaces --query NetworkInterfaces[0]", Extent::Part),
            ("aws ec2 describe-network-interfaces --max-items 100", Extent::Part),
            ("aws ec2 describe-network-interfaces --no-paginate --max-results 100", Extent::Whole),
            ("aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-1", Extent::Unknown),
            ("aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-1 --max-items 5", Extent::Part),
            ("x", Extent::Unknown),
            ("", Extent::Unknown),
        ] {
            assert_eq!(Asked::of(command).extent, extent, "{command}");
        }
    }

    #[test]
    fn runs_keep_their_ends() {
        let present = HashSet::from([1, 2, 7]);
        let found: Vec<i64> = ends_of_runs([0, 1, 2, 3, 4, 5, 6, 7, 8].iter(), &present).collect();
        assert_eq!(found, [0, 3, 6, 8]);
    }
}
