//! Objects whose parts stand in several files: rules of groups, entries of prefix lists, targets of target groups.

use super::super::history::{Observation, Origin, Timestamp};
use super::super::model::*;
use super::{NetworkBuilder, Problem, node};
use hashbrown::HashMap;

/// Captures of one pull are seconds apart: pieces of an object within this many seconds belong together.
const SAME_CAPTURE: i64 = 900;

impl NetworkBuilder {
    /// `describe-security-group-rules` has the rule ids, so it stands in for the rules of a group's reading of the same
    /// capture (spec 6.3); a group without a reading of its own comes into being from its rules.
    pub(super) fn join_rules(&mut self) -> Vec<RuleDisagreement> {
        let mut found: Vec<(RuleDisagreement, String)> = Vec::new();
        let mut by_capture: HashMap<(String, Option<Timestamp>), (Origin, Vec<SecurityGroupRule>)> =
            HashMap::new();
        for piece in std::mem::take(&mut self.rule_pieces) {
            let slot = by_capture.entry((piece.id, piece.at)).or_insert((piece.origin, Vec::new()));
            if !slot.1.contains(&piece.value) {
                slot.1.push(piece.value);
            }
        }
        for ((id, at), (origin, rules)) in by_capture {
            let readings = self.groups.entry(id.clone()).or_default();
            let mut joined = false;
            for reading in readings.iter_mut().filter(|reading| same_capture(reading.at, at)) {
                // Terraform spreads a group's rules over resources: there they add up instead of standing in.
                if let Some(group) = &mut reading.value {
                    if origin == Origin::Terraform {
                        rules.iter().for_each(|rule| node::push_new(&mut group.rules, Some(rule.clone())));
                    } else {
                        // Rules are left out where only some fields of groups were asked for (`--query`).
                        if !group.rules.is_empty() {
                            let file = self.rule_files.get(&(id.clone(), at));
                            let file = file.cloned().unwrap_or_else(|| "-".to_string());
                            found.extend(disagreement(group, &rules, reading.at).map(|one| (one, file)));
                        }
                        group.rules.clone_from(&rules);
                    }
                    joined = true;
                }
            }
            if !joined {
                let group = SecurityGroup { id, rules, ..SecurityGroup::default() };
                readings.push(Observation { at, sequence: 0, origin, reduced: false, value: Some(group) });
            }
        }
        found.sort_by(|(one, _), (other, _)| (&one.group_id, one.at).cmp(&(&other.group_id, other.at)));
        for (one, file) in &found {
            let (file, object) = (file.clone(), one.group_id.clone());
            self.problems.push(Problem { file, object, message: one.to_string() });
        }
        found.into_iter().map(|(one, _)| one).collect()
    }

    pub(super) fn join_lists(&mut self) {
        let mut by_capture: HashMap<(String, Option<Timestamp>), (Origin, Vec<crate::net::Prefix>)> =
            HashMap::new();
        for piece in std::mem::take(&mut self.list_pieces) {
            let slot = by_capture.entry((piece.id, piece.at)).or_insert((piece.origin, Vec::new()));
            slot.1.extend(piece.value);
        }
        for ((id, at), (origin, mut entries)) in by_capture {
            entries.sort_unstable();
            entries.dedup();
            let readings = self.prefix_lists.entry(id.clone()).or_default();
            let mut joined = false;
            for reading in readings.iter_mut().filter(|reading| same_capture(reading.at, at)) {
                if let Some(list) = &mut reading.value {
                    list.entries = Some(entries.clone());
                    joined = true;
                }
            }
            if !joined {
                // A reading of the list without entries, captured at another time, would hide these.
                readings.retain(|reading| reading.value.as_ref().is_none_or(|list| list.entries.is_some()));
                let list = PrefixList { id, entries: Some(entries), ..PrefixList::default() };
                readings.push(Observation { at, sequence: 0, origin, reduced: false, value: Some(list) });
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

pub(super) fn same_capture(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.saturating_sub(other).saturating_abs() <= SAME_CAPTURE,
        (None, None) => true,
        _ => false,
    }
}

/// What two outputs of one capture say differently about one group (spec 6.3: they must agree).
fn disagreement(
    group: &SecurityGroup,
    rules: &[SecurityGroupRule],
    at: Option<Timestamp>,
) -> Option<RuleDisagreement> {
    let missing = |from: &[SecurityGroupRule], of: &[SecurityGroupRule]| -> Vec<SecurityGroupRule> {
        of.iter().filter(|rule| !from.iter().any(|other| other.means(rule))).cloned().collect()
    };
    let (only_in_group, only_in_rules) = (missing(rules, &group.rules), missing(&group.rules, rules));
    let agree = only_in_group.is_empty() && only_in_rules.is_empty();
    (!agree).then(|| RuleDisagreement { group_id: group.id.clone(), at, only_in_group, only_in_rules })
}
