//! Putting together what several outputs, or several resources of one, say about an object.

use super::coverage::{Sources, same_capture};
use super::{NetworkBuilder, Problem, Reading, node};
use crate::net::Prefix;
use crate::network::history::{Observation, Origin, Timestamp};
use crate::network::model::*;
use hashbrown::HashMap;

impl NetworkBuilder {
    /// `describe-security-group-rules` has the rule ids, so it stands in for the rules of a group's reading of the same
    /// capture (spec 6.3); a group without a reading of its own comes into being from its rules.
    pub(super) fn join_rules(&mut self, sources: &Sources) -> Vec<RuleDisagreement> {
        let mut found: Vec<(RuleDisagreement, String)> = Vec::new();
        type Rules = (Origin, Vec<SecurityGroupRule>, bool);
        let mut by_capture: HashMap<(String, Option<Timestamp>), Rules> = HashMap::new();
        for piece in std::mem::take(&mut self.rule_pieces) {
            let at = sources.capture(piece.source, piece.at);
            let slot = by_capture.entry((piece.id, at)).or_insert((piece.origin, Vec::new(), false));
            slot.2 |= sources.is_cut(piece.source);
            if !slot.1.contains(&piece.value) {
                slot.1.push(piece.value);
            }
        }
        for ((id, at), (origin, rules, in_part)) in by_capture {
            let readings = self.groups.entry(id.clone()).or_default();
            let mut joined = false;
            for reading in readings.iter_mut().filter(|reading| same_capture(reading.at, at)) {
                let reading_at = reading.at;
                // Terraform spreads a group's rules over resources: there they add up instead of standing in.
                if let Some(group) = &mut reading.value {
                    if origin == Origin::Terraform {
                        add_resources(&mut group.rules, &rules);
                    } else {
                        // Rules are left out where only some fields of groups were asked for (`--query`).
                        if group.rules.iter().any(|rule| !matches!(rule.traffic, Traffic::Unreadable(_))) {
                            let file = self.rule_files.get(&(id.clone(), at));
                            let file = file.cloned().unwrap_or_else(|| "-".to_string());
                            let differ = disagreement(group, &rules, reading_at, in_part);
                            found.extend(differ.map(|one| (one, file)));
                        }
                        // Of some of the rules it gives the ids, and says nothing of the rest.
                        if in_part {
                            add_resources(&mut group.rules, &rules);
                        } else {
                            group.rules.clone_from(&rules);
                        }
                    }
                    joined = true;
                }
            }
            if !joined {
                // A state that manages rules of a group and not the group knows nothing of the group's other rules.
                let partial = origin == Origin::Terraform || in_part;
                let group = SecurityGroup { id, rules, partial, ..SecurityGroup::default() };
                readings.push(joined_alone(at, origin, group));
            }
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
        type Entries = Option<Vec<Prefix>>;
        let mut by_capture: HashMap<(String, Option<Timestamp>), (Origin, Entries)> = HashMap::new();
        for piece in std::mem::take(&mut self.list_pieces) {
            let at = sources.capture(piece.source, piece.at);
            let slot = by_capture.entry((piece.id, at)).or_insert((piece.origin, Some(Vec::new())));
            // Without its other pages a list is one whose entries are not known: any address may be in it.
            let value = piece.value.filter(|_| !sources.is_cut(piece.source));
            slot.1 = slot.1.take().zip(value).map(|(mut known, more)| {
                known.extend(more);
                known
            });
        }
        let mut told: Vec<String> = Vec::new();
        let mut captures: Vec<_> = by_capture.into_iter().collect();
        captures.sort_by(|one, other| one.0.cmp(&other.0));
        for ((id, at), (origin, mut entries)) in captures {
            if let Some(entries) = &mut entries {
                entries.sort_unstable();
                entries.dedup();
                told.push(id.clone());
            }
            let readings = self.prefix_lists.entry(id.clone()).or_default();
            let mut joined = false;
            for reading in readings.iter_mut().filter(|reading| same_capture(reading.at, at)) {
                if let Some(list) = &mut reading.value {
                    list.entries.clone_from(&entries);
                    joined = true;
                }
            }
            if !joined {
                let facts = readings.iter().find_map(|reading| reading.value.clone()).unwrap_or_default();
                let list = PrefixList { id, version: None, entries, ..facts };
                readings.push(joined_alone(at, origin, list));
            }
        }
        for id in told {
            let Some(readings) = self.prefix_lists.get_mut(&id) else { continue };
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

    /// The answer is about one load balancer; a page of it without the others shows not all of its listeners.
    pub(super) fn join_listeners(&mut self, sources: &Sources) {
        for piece in std::mem::take(&mut self.listener_pieces) {
            if sources.is_cut(piece.source) {
                continue;
            }
            let at = sources.capture(piece.source, piece.at);
            let readings = self.load_balancers.get_mut(&piece.id).into_iter().flatten();
            for balancer in
                readings.filter(|reading| same_capture(reading.at, at)).filter_map(|r| r.value.as_mut())
            {
                node::push_new(balancer.listener_ports.get_or_insert_default(), Some(piece.value));
            }
        }
    }

    pub(super) fn join_targets(&mut self) {
        for piece in std::mem::take(&mut self.health_pieces) {
            let readings = self.target_groups.get_mut(&piece.id).into_iter().flatten();
            for group in readings.filter_map(|reading| reading.value.as_mut()) {
                group.targets.clone_from(&piece.value);
            }
        }
        for piece in std::mem::take(&mut self.attribute_pieces) {
            let readings = self.target_groups.get_mut(&piece.id).into_iter().flatten();
            for group in readings.filter_map(|reading| reading.value.as_mut()) {
                group.preserve_client_ip = Some(piece.value);
            }
        }
    }
}

/// An object of which only pieces were given.
fn joined_alone<T>(at: Option<Timestamp>, origin: Origin, value: T) -> Reading<T> {
    Reading { source: None, seen: Observation::new(at, origin, Some(value)) }
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
