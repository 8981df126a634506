//! Every rule of a network once, whatever captures it stands in, and which interfaces it filters.

use crate::net::Family;
use crate::network::{
    NaclEntry, Network, Remote, SecurityGroup, SecurityGroupRule, Timeline, Timestamp, Traffic, Version, View,
};
use crate::rules::{acl_list, entry_text, rule_text};
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// A rule of a security group or an entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A rule of this group.
    Group {
        /// `sg-…`.
        group_id: String,
        /// The group's name, where it is known.
        name: Option<String>,
        /// The rule.
        rule: SecurityGroupRule,
    },
    /// An entry of this network ACL.
    Entry {
        /// `acl-…`.
        acl_id: String,
        /// The entry.
        entry: NaclEntry,
    },
}

/// A rule and the time for which it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The rule.
    pub subject: Subject,
    /// It in one line.
    pub text: String,
    /// The first second for which it is known; `None` where nothing bounds it.
    pub valid_from: Option<Timestamp>,
    /// The last; `None` where nothing ended it.
    pub valid_to: Option<Timestamp>,
    /// The newest version of its object has it.
    pub current: bool,
    /// The last second at which its object may have been without it, where a version before its first had not it.
    pub absent_until: Option<Timestamp>,
}

impl Rule {
    /// The group's or network ACL's id.
    pub fn object_id(&self) -> &str {
        match &self.subject {
            Subject::Group { group_id, .. } => group_id,
            Subject::Entry { acl_id, .. } => acl_id,
        }
    }

    /// Whether it is a rule of a group.
    pub fn is_group(&self) -> bool {
        matches!(self.subject, Subject::Group { .. })
    }

    /// Whether it is an outbound rule.
    pub fn is_egress(&self) -> bool {
        match &self.subject {
            Subject::Group { rule, .. } => rule.egress,
            Subject::Entry { entry, .. } => entry.egress,
        }
    }

    /// Protocol and ports.
    pub fn traffic(&self) -> &Traffic {
        match &self.subject {
            Subject::Group { rule, .. } => &rule.traffic,
            Subject::Entry { entry, .. } => &entry.traffic,
        }
    }

    /// Whether it is an entry that denies.
    pub fn denies(&self) -> bool {
        matches!(&self.subject, Subject::Entry { entry, .. }
            if entry.action == Some(crate::network::RuleAction::Deny))
    }
}

/// What makes a rule of a group the same rule in two captures: AWS shows its id in one output and not in another.
type GroupRuleKey = (String, bool, Traffic, Remote);

/// First and last second of a version, whether it is the newest, and the last second of the one before it.
type Known = (Timestamp, Timestamp, bool, Option<Timestamp>);

/// All rules, numbered.
#[derive(Debug)]
pub(super) struct RuleBook {
    pub(super) rules: Vec<Rule>,
    group_rules: HashMap<GroupRuleKey, usize>,
    entries: HashMap<(String, NaclEntry), usize>,
    /// By group or network ACL: the interfaces that it filters, by their number among the network's.
    pub(super) interfaces: HashMap<String, BTreeSet<u32>>,
}

/// The versions that may have been in force at some time of a window, and whether each is the newest.
fn within<T>(
    timeline: &Timeline<T>,
    window: (Timestamp, Timestamp),
) -> impl Iterator<Item = (&Version<T>, Known)> {
    let versions = timeline.versions();
    versions.iter().enumerate().filter_map(move |(at, version)| {
        // From the version before it to the one behind it either may hold. Between two captures it may have begun at any time,
        // so it is only known to be there since its own.
        let last = at.checked_sub(1).and_then(|at| versions.get(at)).map(|one| one.to);
        let before = last.unwrap_or(Timestamp::MIN);
        let last = last.map(|_| version.from.saturating_sub(1));
        let after = versions.get(at.saturating_add(1)).map_or(Timestamp::MAX, |one| one.from);
        let newest = at.saturating_add(1) == versions.len();
        (before < window.1 && after > window.0).then_some((version, (version.from, version.to, newest, last)))
    })
}

impl RuleBook {
    /// The rules that may have been in force within a window.
    pub(super) fn new(network: &Network, window: (Timestamp, Timestamp)) -> RuleBook {
        let mut book = RuleBook {
            rules: Vec::new(),
            group_rules: HashMap::new(),
            entries: HashMap::new(),
            interfaces: HashMap::new(),
        };
        for (_, timeline) in network.groups.timelines() {
            for (version, known) in within(timeline, window) {
                let Some(group) = version.value.as_deref() else { continue };
                for rule in &group.rules {
                    book.group_rule(group, rule, known);
                }
            }
        }
        for (_, timeline) in network.acls.timelines() {
            for (version, known) in within(timeline, window) {
                let Some(acl) = version.value.as_deref() else { continue };
                for (egress, family) in
                    [false, true].into_iter().flat_map(|e| [(e, Family::V4), (e, Family::V6)])
                {
                    for entry in acl_list(acl, egress, family) {
                        // The deny that closes a list is always there, whether or not an output shows it; of lists that
                        // name no IPv6 at all it would only be noise.
                        let shown = acl.entries.contains(&entry);
                        if !shown && family == Family::V6 {
                            continue;
                        }
                        let key = (acl.id.clone(), entry);
                        let at = match book.entries.get(&key) {
                            Some(at) => *at,
                            None => {
                                let (text, entry) = (entry_text(acl, &key.1), key.1.clone());
                                let subject = Subject::Entry { acl_id: acl.id.clone(), entry };
                                book.entries.insert(key, book.rules.len());
                                book.push(subject, text, known.3)
                            }
                        };
                        book.extend(at, known);
                    }
                }
            }
        }
        book.find_interfaces(network, window);
        book
    }

    fn push(&mut self, subject: Subject, text: String, absent_until: Option<Timestamp>) -> usize {
        // Until a version says otherwise: from the last second to the first.
        self.rules.push(Rule {
            subject,
            text,
            valid_from: Some(Timestamp::MAX),
            valid_to: Some(Timestamp::MIN),
            current: false,
            absent_until,
        });
        self.rules.len().saturating_sub(1)
    }

    fn extend(&mut self, at: usize, (from, to, newest, _): Known) {
        let Some(rule) = self.rules.get_mut(at) else { return };
        rule.current |= newest;
        rule.valid_from = rule.valid_from.map(|known| known.min(from)).filter(|from| *from != Timestamp::MIN);
        rule.valid_to = rule.valid_to.map(|known| known.max(to)).filter(|to| *to != Timestamp::MAX);
    }

    fn group_rule(&mut self, group: &SecurityGroup, rule: &SecurityGroupRule, known: Known) {
        let key = group_rule_key(group, rule);
        let at = match self.group_rules.get(&key) {
            Some(at) => *at,
            None => {
                self.group_rules.insert(key, self.rules.len());
                let (group_id, name) = (group.id.clone(), group.name.clone());
                let subject = Subject::Group { group_id, name, rule: rule.clone() };
                self.push(subject, rule_text(group, rule), known.3)
            }
        };
        self.extend(at, known);
        if let Some(Rule { subject: Subject::Group { rule: known, .. }, text, .. }) = self.rules.get_mut(at)
            && known.rule_id.is_none()
            && rule.rule_id.is_some()
        {
            *known = rule.clone();
            *text = rule_text(group, rule);
        }
    }

    fn find_interfaces(&mut self, network: &Network, window: (Timestamp, Timestamp)) {
        for (number, (_, timeline)) in (0u32..).zip(network.interfaces.timelines()) {
            for (version, _) in within(timeline, window) {
                let Some(interface) = version.value.as_deref() else { continue };
                for group in &interface.group_ids {
                    self.interfaces.entry_ref(group.as_str()).or_default().insert(number);
                }
                let Some(subnet) = &interface.subnet_id else { continue };
                let times = [version.from.max(window.0), version.to.min(window.1)];
                for (at, after) in times.into_iter().flat_map(|at| [(at, false), (at, true)]) {
                    let view = View { at, after };
                    if let Some(acl) = network.acl_of(subnet, interface.vpc_id.as_deref(), view) {
                        self.interfaces.entry_ref(acl.value.id.as_str()).or_default().insert(number);
                    }
                }
            }
        }
    }

    /// The number of a group's rule.
    pub(super) fn of_group(&self, group: &SecurityGroup, rule: &SecurityGroupRule) -> Option<usize> {
        self.group_rules.get(&group_rule_key(group, rule)).copied()
    }

    /// The number of an entry.
    pub(super) fn of_entry(&self, acl_id: &str, entry: &NaclEntry) -> Option<usize> {
        self.entries.get(&(acl_id.to_owned(), entry.clone())).copied()
    }
}

fn group_rule_key(group: &SecurityGroup, rule: &SecurityGroupRule) -> GroupRuleKey {
    (group.id.clone(), rule.egress, rule.traffic.clone(), rule.remote.clone())
}
