//! Which capture of the configuration a verdict rests on, and what its other versions say: sentences for explanations.

use super::decide::AROUND;
use super::record::Record;
use super::verdict::Attribution;
use crate::net::span;
use crate::network::{Network, NetworkInterface, Remote, Timeline, Timestamp, View};
use crate::rules::{Decision, Engine, InterfaceRules, Packet, entry_text, rule_text};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// A moment as AWS writes it.
pub(super) fn time_text(at: Timestamp) -> Option<String> {
    Some(chrono::DateTime::from_timestamp(at, 0)?.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The capture used, and how far from the record it was made.
pub(super) fn capture_sentence(attribution: &Attribution, record: &Record<'_>) -> Option<String> {
    let at = attribution.captured_at?;
    let time = time_text(at)?;
    Some(match attribution.capture_distance {
        // What AWS Config recorded holds beyond its capture.
        Some(distance @ 1..) if at < record.start.saturating_sub(distance) => format!(
            "the configuration used was captured at {time}, and is known to hold until {} before the record",
            span(distance)
        ),
        Some(distance @ 1..) => {
            let side = if at > record.start { "after" } else { "before" };
            format!(
                "the configuration used was captured {} away from the record, {side} it, at {time}",
                span(distance)
            )
        }
        _ => format!("by the configuration captured at {time}"),
    })
}

/// When the versions of an object were captured that may have been in force, and the one of a view.
fn versions<T>(
    timeline: Option<&Timeline<T>>,
    views: &[View],
    used: View,
) -> Option<(Vec<Timestamp>, Timestamp)> {
    let timeline = timeline?;
    let captured = |view: &View| timeline.pick(*view)?.version.captured_at;
    let mut all: Vec<Timestamp> = views.iter().filter_map(captured).collect();
    all.sort_unstable();
    all.dedup();
    Some((all, captured(&used)?)).filter(|(all, _)| all.len() > 1)
}

/// Which objects changed around a record, and which of their versions the verdict is of (row 7 of spec 8.7).
pub(super) fn change_sentences(
    record: &Record<'_>,
    network: &Network,
    rules: &InterfaceRules,
    remote: &IpAddr,
) -> Vec<String> {
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    let views = network.views(from, to);
    let interface = &rules.interface;
    let mut changed = Vec::new();
    changed.extend(
        versions(network.interfaces.timeline(&interface.id), &views, rules.view)
            .map(|found| (interface.id.clone(), found)),
    );
    for group in &interface.group_ids {
        let found = versions(network.groups.timeline(group), &views, rules.view);
        changed.extend(found.map(|found| (group.clone(), found)));
    }
    if let Some(acl) = &rules.acl {
        let found = versions(network.acls.timeline(&acl.acl.id), &views, rules.view);
        changed.extend(found.map(|found| (acl.acl.id.clone(), found)));
    }
    let (lists, by_groups) = referred(network, interface, &views);
    for list in lists {
        let found = versions(network.prefix_lists.timeline(&list), &views, rules.view);
        changed.extend(found.map(|found| (list, found)));
    }
    let mut sentences = Vec::new();
    if by_groups {
        // Whose groups the other end has decides what a rule for a group lets pass.
        let holders = |view: &View| -> BTreeSet<&str> {
            let held = network.holders(remote, *view).into_iter();
            held.map(|(holder, _)| holder.id.as_str()).filter(|id| *id != interface.id).collect()
        };
        let held: Vec<BTreeSet<&str>> = views.iter().map(holders).collect();
        for id in held.iter().flatten().copied().collect::<BTreeSet<&str>>() {
            let text = format!("{}, which holds {remote},", network.interface_text(id, rules.view));
            match versions(network.interfaces.timeline(id), &views, rules.view) {
                Some(found) => changed.push((text, found)),
                None if held.iter().all(|held| held.contains(id)) => {}
                None => sentences.push(format!("{text} does not do so in every version around the record")),
            }
        }
    }
    let text = |(id, (all, used)): (String, (Vec<Timestamp>, Timestamp))| {
        let times: Vec<String> = all.into_iter().filter_map(time_text).collect();
        Some(format!(
            "{id} has versions captured at {}: this is of the version of {}",
            times.join(" and "),
            time_text(used)?
        ))
    };
    changed.into_iter().filter_map(text).chain(sentences).collect()
}

/// The prefix lists that rules of the interface's groups name in any of these views, and whether any names a group.
fn referred(network: &Network, interface: &NetworkInterface, views: &[View]) -> (BTreeSet<String>, bool) {
    let (mut lists, mut by_groups) = (BTreeSet::new(), false);
    for group in &interface.group_ids {
        for found in views.iter().filter_map(|view| network.groups.get(group, *view)) {
            for rule in &found.value.rules {
                match &rule.remote {
                    Remote::PrefixList(id) => drop(lists.insert(id.clone())),
                    Remote::Group(_) => by_groups = true,
                    _ => {}
                }
            }
        }
    }
    (lists, by_groups)
}

/// Since when the last versions of an object have something; `None` where they always had.
fn since<T>(timeline: Option<&Timeline<T>>, has: impl Fn(&T) -> bool) -> Option<String> {
    let versions = timeline?.versions().iter().rev();
    let having = versions.take_while(|version| version.value.as_deref().is_some_and(&has));
    having.last().map(|version| version.from).and_then(time_text)
}

/// That the newest version of the groups, or of the list, lets the packet pass: what would be added is there already.
pub(super) fn later_allows(
    engine: &mut Engine<'_>,
    rules: &Arc<InterfaceRules>,
    packet: &Packet,
    by_groups: bool,
) -> Option<String> {
    let newest = engine.interface(&rules.interface.id, View { at: Timestamp::MAX, after: false })?;
    let network = engine.network();
    let (text, since) = if by_groups {
        let found = newest.group_verdict(packet);
        let (group, rule) = found.rule.filter(|_| found.decision == Decision::Allow)?;
        let timeline = network.groups.timeline(&group.id);
        let has = |group: &crate::network::SecurityGroup| group.rules.iter().any(|one| one.means(rule));
        (rule_text(group, rule), since(timeline, has))
    } else {
        let found = newest.acl_verdict(packet, None);
        let acl = &newest.acl.as_ref()?.acl;
        let entry = found.entry.filter(|_| found.decision == Decision::Allow)?;
        let has = |acl: &crate::network::NetworkAcl| acl.entries.contains(entry);
        (entry_text(acl, entry), since(network.acls.timeline(&acl.id), has))
    };
    let since = since.map_or_else(String::new, |at| format!(", since {at}"));
    Some(format!("a later version of the configuration lets it pass already: {text}{since}"))
}

/// When the version of a view began to be known, and until when the one before it was.
fn change<T>(timeline: Option<&Timeline<T>>, view: View) -> Option<(Timestamp, Timestamp)> {
    let timeline = timeline?;
    let from = timeline.pick(view)?.version.from;
    let before = timeline.versions().iter().rev().find(|version| version.from < from)?;
    before.value.is_some().then_some((from, before.to))
}

/// That the version before the last change of the interface, its groups and their lists, or of its network ACL, let the packet
/// pass: what was taken away is what an incident is about.
pub(crate) fn earlier_allowed(
    engine: &mut Engine<'_>,
    rules: &InterfaceRules,
    packet: &Packet,
    by_groups: bool,
) -> Option<String> {
    let (network, view) = (engine.network(), rules.view);
    let mut changes: Vec<(Timestamp, Timestamp)> = Vec::new();
    changes.extend(change(network.interfaces.timeline(&rules.interface.id), view));
    if by_groups {
        let groups = rules.interface.group_ids.iter();
        changes.extend(groups.filter_map(|id| change(network.groups.timeline(id), view)));
        let rules = rules.groups.iter().flat_map(|groups| &groups.groups).flat_map(|group| &group.rules);
        for rule in rules {
            if let Remote::PrefixList(id) = &rule.remote {
                changes.extend(change(network.prefix_lists.timeline(id), view));
            }
        }
    } else if let Some(acl) = &rules.acl {
        changes.extend(change(network.acls.timeline(&acl.acl.id), view));
    }
    let (_, until) = changes.into_iter().max()?;
    let earlier = engine.interface(&rules.interface.id, View { at: until, after: false })?;
    let text = if by_groups {
        let found = earlier.group_verdict(packet);
        let (group, rule) = found.rule.filter(|_| found.decision == Decision::Allow)?;
        rule_text(group, rule)
    } else {
        let found = earlier.acl_verdict(packet, None);
        let entry = found.entry.filter(|_| found.decision == Decision::Allow)?;
        entry_text(&earlier.acl.as_ref()?.acl, entry)
    };
    let until = time_text(until).map_or_else(String::new, |at| format!(", known until {at}"));
    Some(format!("an earlier version of the configuration let it pass: {text}{until}"))
}
