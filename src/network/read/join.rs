//! Putting together what several outputs, or several resources of one, say about an object.

use super::coverage::{Sources, same_capture};
use super::pairs::{Placed, near, nearest, place};
use super::{NetworkBuilder, Problem, Reading, node};
use crate::net::Prefix;
use crate::network::history::{Observation, Origin, Timestamp};
use crate::network::model::*;
use std::collections::BTreeMap;

impl NetworkBuilder {
    /// `describe-security-group-rules` has the rule ids, so it stands in for the rules of a group's reading of the same
    /// pull (spec 6.3). Without such a reading it is one of its own.
    pub(super) fn join_rules(&mut self, sources: &Sources) -> Vec<RuleDisagreement> {
        let mut by_group: BTreeMap<String, BTreeMap<(Option<Timestamp>, Origin), RuleCapture>> =
            BTreeMap::new();
        for piece in std::mem::take(&mut self.rule_pieces) {
            let at = sources.capture(piece.source, piece.at);
            let slot = by_group.entry(piece.id).or_default().entry((at, piece.origin));
            let capture = slot.or_insert_with(|| RuleCapture::new(at, piece.origin));
            capture.in_part |= sources.is_cut(piece.source);
            if !capture.rules.contains(&piece.value) {
                capture.rules.push(piece.value);
            }
        }
        let mut found: Vec<(RuleDisagreement, String)> = Vec::new();
        for (id, captures) in by_group {
            let readings = self.groups.entry(id.clone()).or_default();
            // Some of the rules, and resources of Terraform, add to what is known of the group.
            let (whole, more): (Vec<_>, Vec<_>) =
                captures.into_values().partition(|one| !one.in_part && one.origin != Origin::Terraform);
            let mut differing = join_captures(&id, readings, whole);
            for capture in more {
                differing.extend(capture.add_to(&id, readings));
            }
            found.extend(differing.into_iter().map(|(one, at)| {
                let file = self.rule_files.get(&(id.clone(), at));
                (one, file.cloned().unwrap_or_else(|| "-".to_string()))
            }));
        }
        found.sort_by(|(one, _), (other, _)| (&one.group_id, one.at).cmp(&(&other.group_id, other.at)));
        for (one, file) in &found {
            let (file, object) = (file.clone(), one.group_id.clone());
            self.problems.push(Problem { file, object, message: one.to_string() });
        }
        found.into_iter().map(|(one, _)| one).collect()
    }

    /// Entries come from other outputs than their lists. A reading of a list without entries takes those of another capture
    /// where the list's version says that they are the same, and does not know them where it says that they are not. Where no
    /// version tells, it says nothing of entries and would only hide those of the other captures.
    pub(super) fn join_lists(&mut self, sources: &Sources) {
        let mut by_list: BTreeMap<String, BTreeMap<Option<Timestamp>, (Origin, Entries)>> = BTreeMap::new();
        for piece in std::mem::take(&mut self.list_pieces) {
            let at = sources.capture(piece.source, piece.at);
            let slot = by_list.entry(piece.id).or_default().entry(at);
            let slot = slot.or_insert((piece.origin, Some(Vec::new())));
            // Without its other pages a list is one whose entries are not known: any address may be in it.
            let value = piece.value.filter(|_| !sources.is_cut(piece.source));
            slot.1 = slot.1.take().zip(value).map(|(mut known, more)| {
                known.extend(more);
                known
            });
        }
        for (id, mut captures) in by_list {
            let readings = self.prefix_lists.entry(id.clone()).or_default();
            for entries in captures.values_mut().filter_map(|(_, entries)| entries.as_mut()) {
                entries.sort_unstable();
                entries.dedup();
            }
            let told = captures.values().any(|(_, entries)| entries.is_some());
            join_entries(&id, readings, captures);
            if !told {
                continue;
            }
            let known: Vec<(Option<i64>, Vec<Prefix>)> = (readings.iter())
                .filter_map(|reading| reading.value.as_ref())
                .filter_map(|list| Some((list.version, list.entries.clone()?)))
                .collect();
            for list in readings.iter_mut().filter_map(|reading| reading.value.as_mut()) {
                if list.entries.is_none() && list.version.is_some() {
                    let same = known.iter().find(|(version, _)| *version == list.version);
                    list.entries = same.map(|(_, entries)| entries.clone());
                }
            }
            let versions_tell = known.iter().all(|(version, _)| version.is_some());
            for reading in readings.iter_mut() {
                let says_nothing = reading
                    .value
                    .as_ref()
                    .is_some_and(|list| list.entries.is_none() && !(list.version.is_some() && versions_tell));
                reading.reduced |= says_nothing;
            }
        }
    }

    pub(super) fn join_stale(&mut self) {
        for piece in std::mem::take(&mut self.stale_pieces) {
            let readings = self.groups.get_mut(&piece.id).into_iter().flatten();
            for group in readings.filter(|r| same_capture(r.at, piece.at)).filter_map(|r| r.value.as_mut()) {
                for rule in &mut group.rules {
                    if let Remote::Group(reference) = &mut rule.remote
                        && reference.group_id == piece.value.group_id
                        && reference.peering_status.is_none()
                    {
                        reference.peering_status =
                            Some(piece.value.peering_status.clone().unwrap_or_else(|| "deleted".to_string()));
                    }
                }
            }
        }
    }

    /// An attachment of a VPC takes its route table from the command of the same pull that tells of all attachments; what only
    /// that command tells of is what it says.
    pub(super) fn join_attachments(&mut self) {
        for readings in self.transit_attachments.values_mut() {
            if readings.iter().all(|reading| reading.reduced) {
                readings.iter_mut().for_each(|reading| (reading.reduced, reading.part) = (false, false));
                continue;
            }
            let (mut brief, mut full): (Vec<_>, Vec<_>) =
                readings.drain(..).partition(|reading| reading.reduced);
            brief.sort_by_key(|reading| reading.at);
            let times: Vec<_> = brief.iter().map(|reading| reading.at).collect();
            for (reading, capture) in place(&full, &times, |_, _| false, |_| None).joined {
                let told = brief.get(capture).and_then(|told| told.value.as_ref());
                let known = full.get_mut(reading).and_then(|reading| reading.value.as_mut());
                if let Some((known, told)) = known.zip(told) {
                    known.association_known |= told.association_known;
                    if known.route_table_id.is_none() {
                        known.route_table_id.clone_from(&told.route_table_id);
                    }
                }
            }
            *readings = full;
        }
    }

    /// An attachment takes its gateway's setting of the same capture.
    pub(super) fn join_gateways(&mut self) {
        for piece in std::mem::take(&mut self.gateway_pieces) {
            let readings = self.transit_attachments.values_mut().flatten();
            for attachment in
                readings.filter(|r| same_capture(r.at, piece.at)).filter_map(|r| r.value.as_mut())
            {
                if attachment.gateway_id.as_ref() == Some(&piece.id) {
                    attachment.gateway_referencing = Some(piece.value.clone());
                }
            }
        }
    }
}

/// An object of which only pieces were given.
pub(super) fn joined_alone<T>(at: Option<Timestamp>, origin: Origin, value: T) -> Reading<T> {
    Reading { source: None, seen: Observation::new(at, origin, Some(value)) }
}

/// The rules of one group in one capture of rules.
struct RuleCapture {
    at: Option<Timestamp>,
    origin: Origin,
    rules: Vec<SecurityGroupRule>,
    /// The group may have others.
    in_part: bool,
}

/// What two outputs say differently, and when the rules were captured.
type Differing = Vec<(RuleDisagreement, Option<Timestamp>)>;

impl RuleCapture {
    fn new(at: Option<Timestamp>, origin: Origin) -> Self {
        RuleCapture { at, origin, rules: Vec::new(), in_part: false }
    }

    /// What it says differently than a reading of the group; nothing where only some fields of groups were asked for
    /// (`--query`), which leaves their rules out.
    fn disagreement(&self, reading: &Reading<SecurityGroup>) -> Option<RuleDisagreement> {
        let group = reading.value.as_ref()?;
        let has_rules = group.rules.iter().any(|rule| !matches!(rule.traffic, Traffic::Unreadable(_)));
        has_rules.then(|| disagreement(group, &self.rules, reading.at, self.in_part)).flatten()
    }

    /// Terraform spreads a group's rules over resources: there they add up. Some of the rules give their ids, and say nothing of
    /// the rest.
    fn add_to(&self, id: &str, readings: &mut Vec<Reading<SecurityGroup>>) -> Differing {
        let mut found = Vec::new();
        let mut joined = false;
        let nearest = nearest(readings.iter().map(|reading| reading.at), self.at);
        let nearest = nearest.and_then(|place| readings.get(place)?.at);
        for reading in readings.iter_mut().filter(|reading| same_capture(reading.at, self.at)) {
            if self.origin != Origin::Terraform {
                if reading.at != nearest {
                    continue;
                }
                found.extend(self.disagreement(reading).map(|one| (one, self.at)));
            }
            if let Some(group) = &mut reading.value {
                add_resources(&mut group.rules, &self.rules);
                joined = true;
            }
        }
        if !joined {
            // Who manages rules of a group and not the group knows nothing of the group's other rules.
            readings.push(self.alone(id, readings, true));
        }
        found
    }

    /// A reading of its own, with what the nearest one says of the group beside its rules.
    fn alone(&self, id: &str, readings: &[Reading<SecurityGroup>], partial: bool) -> Reading<SecurityGroup> {
        let known = readings.iter().filter(|reading| reading.value.is_some());
        let known: Vec<&Reading<SecurityGroup>> = known.collect();
        let nearest = nearest(known.iter().map(|reading| reading.at), self.at);
        let nearest = nearest.and_then(|at| known.get(at)?.value.clone());
        let facts =
            nearest.unwrap_or_else(|| SecurityGroup { id: id.to_owned(), ..SecurityGroup::default() });
        let group = SecurityGroup { rules: self.rules.clone(), partial, ..facts };
        joined_alone(self.at, self.origin, group)
    }
}

/// Joins captures of all rules of a group, in the order of their time.
fn join_captures(
    id: &str,
    readings: &mut Vec<Reading<SecurityGroup>>,
    captures: Vec<RuleCapture>,
) -> Differing {
    let differs = |reading: &Reading<SecurityGroup>, capture: usize| {
        captures.get(capture).is_some_and(|capture| capture.disagreement(reading).is_some())
    };
    let times: Vec<_> = captures.iter().map(|capture| capture.at).collect();
    // A group that was captured once more alone: its rules have the ids that they have had, where they are the same.
    let same = |reading: &Reading<SecurityGroup>| {
        near(&times, reading.at).into_iter().find(|capture| !differs(reading, *capture))
    };
    let Placed { joined, alone } = place(readings, &times, differs, same);
    let own = alone.iter().filter_map(|capture| captures.get(*capture));
    let own: Vec<_> = own.map(|capture| capture.alone(id, readings, false)).collect();
    let mut found = Vec::new();
    for (reading, capture) in joined {
        let both = readings.get_mut(reading).zip(captures.get(capture));
        let Some((reading, capture)) = both else { continue };
        found.extend(capture.disagreement(reading).map(|one| (one, capture.at)));
        if let Some(group) = &mut reading.value {
            group.rules.clone_from(&capture.rules);
        }
    }
    readings.extend(own);
    found
}

/// The entries of a list; `None` where not all are known.
type Entries = Option<Vec<Prefix>>;

/// Joins captures of the entries of a list, in the order of their time.
fn join_entries(
    id: &str,
    readings: &mut Vec<Reading<PrefixList>>,
    captures: BTreeMap<Option<Timestamp>, (Origin, Entries)>,
) {
    let (times, captures): (Vec<_>, Vec<_>) = captures.into_iter().unzip();
    // A second command lists them in one pull. Where versions are told they say whether its entries are these.
    let other = |reading: &Reading<PrefixList>| {
        let untold = reading.value.as_ref().is_some_and(|list| list.version.is_none());
        near(&times, reading.at).first().copied().filter(|_| untold)
    };
    let Placed { joined, alone } = place(readings, &times, |_, _| false, other);
    for (reading, capture) in joined {
        let list = readings.get_mut(reading).and_then(|reading| reading.value.as_mut());
        if let Some((list, (_, entries))) = list.zip(captures.get(capture)) {
            list.entries.clone_from(entries);
        }
    }
    let facts = readings.iter().find_map(|reading| reading.value.clone()).unwrap_or_default();
    readings.extend(alone.into_iter().filter_map(|place| {
        let (at, (origin, entries)) = times.get(place).zip(captures.get(place))?;
        let list = PrefixList { id: id.to_owned(), version: None, entries: entries.clone(), ..facts.clone() };
        Some(joined_alone(*at, *origin, list))
    }));
}

/// Adds what rule resources say to a group's inline rules. A refreshed state repeats the former among the latter, without
/// their ids.
fn add_resources(inline: &mut Vec<SecurityGroupRule>, resources: &[SecurityGroupRule]) {
    inline.retain(|rule| !resources.iter().any(|other| rule.means(other)));
    resources.iter().for_each(|rule| node::push_new(inline, Some(rule.clone())));
}

/// What two outputs of one capture say differently about one group (spec 6.3: they must agree).
fn disagreement(
    group: &SecurityGroup,
    rules: &[SecurityGroupRule],
    at: Option<Timestamp>,
    in_part: bool,
) -> Option<RuleDisagreement> {
    let missing = |from: &[SecurityGroupRule], of: &[SecurityGroupRule]| -> Vec<SecurityGroupRule> {
        of.iter().filter(|rule| !from.iter().any(|other| other.means(rule))).cloned().collect()
    };
    let (mut only_in_group, only_in_rules) = (missing(rules, &group.rules), missing(&group.rules, rules));
    if in_part {
        only_in_group.clear();
    }
    let agree = only_in_group.is_empty() && only_in_rules.is_empty();
    (!agree).then(|| RuleDisagreement { group_id: group.id.clone(), at, only_in_group, only_in_rules })
}
