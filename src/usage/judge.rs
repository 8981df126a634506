//! One conversation against the rules of its interface: which of the groups' rules let it pass, and which version of the
//! configuration explains that it passed.

use super::conversation::{Conversation, Part};
use super::plan::Plan;
use super::role::{Certainty, Side};
use crate::attribute::is_untracked;
use crate::net::{TCP, UDP};
use crate::network::{Timestamp, View};
use crate::rules::{Decision, Engine, InterfaceRules, Matching, Packet, Ternary, match_traffic};
use std::sync::Arc;

/// Slack around a conversation within which a change of configuration may show in it, seconds.
const AROUND: i64 = 60;
/// A conversation over more versions than this is judged by the first ones.
const MOST_VIEWS: usize = 8;

/// What the groups make of a conversation's first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupJudgement {
    pub(super) decision: Decision,
    /// (group, rule) positions that let it pass, or may.
    pub(super) matching: Matching,
    /// Who began was not sure, the groups drop it the way that seemed likelier, and let it pass the other way: so the other
    /// end began.
    pub(super) turned: bool,
}

impl GroupJudgement {
    /// The parts that went from who began.
    pub(super) fn is_request(&self, part: &Part) -> bool {
        (part.side() == Side::Request) != self.turned
    }

    /// The positions of the rules that the passing of the conversation is owed to: those that match; where none surely
    /// does, those that may.
    pub(super) fn passed_by(&self) -> &[(usize, usize)] {
        if self.matching.sure.is_empty() { &self.matching.perhaps } else { &self.matching.sure }
    }
}

/// The groups' judgement of a first packet.
pub(super) fn groups_on(rules: &InterfaceRules, packet: &Packet) -> (Decision, Matching) {
    let Some(matching) = rules.matching_rules(packet) else {
        return (Decision::NotApplicable, Matching::default());
    };
    let incomplete =
        !rules.groups_known || rules.groups.as_ref().is_some_and(|groups| !groups.missing.is_empty());
    let decision = if !matching.sure.is_empty() {
        Decision::Allow
    } else if !matching.perhaps.is_empty() || incomplete {
        Decision::Unknown
    } else {
        Decision::Deny
    };
    (decision, matching)
}

/// The first packet if the other end began: its port is any of the client's stretch.
pub(super) fn turned_packet(conversation: &Conversation<'_>) -> Option<Packet> {
    let part = conversation.parts.iter().find(|part| !part.is_rejected())?;
    let packet = conversation.packet();
    let port = packet.port.map(|_| part.client_port());
    Some(Packet { direction: packet.direction.opposite(), port, ..packet })
}

/// The groups' judgement of an accepted conversation.
pub(super) fn groups(rules: &InterfaceRules, conversation: &Conversation<'_>) -> GroupJudgement {
    let (decision, matching) = groups_on(rules, &conversation.packet());
    if decision == Decision::Deny
        && conversation.certainty() != Certainty::Sure
        && let Some(packet) = turned_packet(conversation)
    {
        let (other, by) = groups_on(rules, &packet);
        if other != Decision::Deny {
            return GroupJudgement { decision: other, matching: by, turned: true };
        }
    }
    GroupJudgement { decision, matching, turned: false }
}

/// An accepted conversation as it would be if its other end had begun it: the first packets, one for each stretch of ports
/// that the client had, with the rules that let them pass, or may. Empty where it is settled who began: by a SYN, by the
/// ports of a question and its answer, or because the groups would surely drop it that way.
pub(super) fn other_reading(
    rules: &InterfaceRules,
    conversation: &Conversation<'_>,
    judged: &GroupJudgement,
) -> Vec<(Packet, Matching)> {
    let accepted = || conversation.parts.iter().filter(|part| !part.is_rejected());
    let settled = match conversation.certainty() {
        Certainty::Sure => true,
        // An answer without its question may be a question from an odd port.
        Certainty::Ports => accepted().any(|part| part.side() == Side::Request),
        Certainty::Likely | Certainty::Guess => false,
    };
    if settled || judged.turned {
        return Vec::new();
    }
    let first = conversation.packet();
    let mut packets: Vec<Packet> = Vec::new();
    for part in accepted() {
        let port = first.port.map(|_| part.client_port());
        let packet = Packet { direction: first.direction.opposite(), port, ..first };
        if !packets.contains(&packet) {
            packets.push(packet);
        }
    }
    let judged = packets.into_iter().map(|packet| (packet, groups_on(rules, &packet)));
    judged
        .filter(|(_, (decision, _))| matches!(decision, Decision::Allow | Decision::Unknown))
        .map(|(packet, (_, matching))| (packet, matching))
        .collect()
}

/// Whether groups keep state for a flow that begins with this packet (spec 2.2).
pub(super) fn is_tracked(rules: &InterfaceRules, packet: &Packet) -> bool {
    rules.is_always_tracked(packet)
        || rules.groups.as_ref().is_some_and(|groups| !is_untracked(&groups.groups, packet))
}

/// The answers to a first packet, one for each stretch of ports that they go to.
pub(super) fn answers(
    conversation: &Conversation<'_>,
    judged: &GroupJudgement,
    packet: &Packet,
) -> Vec<Packet> {
    let mut found: Vec<Packet> = Vec::new();
    for part in conversation.parts.iter().filter(|part| !part.is_rejected()) {
        let client = if judged.turned { conversation.key.port } else { Some(part.client_port()) };
        let port = packet.port.and(client);
        let answer = Packet { direction: packet.direction.opposite(), port, ..*packet };
        if !found.contains(&answer) {
            found.push(answer);
        }
    }
    found
}

/// The positions of the rules by which the answers of a conversation pass that groups do not track: those that let everything
/// of its protocol pass to and from everybody. Without them its connections would end at once (spec 2.2).
pub(super) fn carriers(
    rules: &InterfaceRules,
    conversation: &Conversation<'_>,
    judged: &GroupJudgement,
) -> Vec<(usize, usize)> {
    let packet = if judged.turned { turned_packet(conversation) } else { Some(conversation.packet()) };
    let groups = rules.groups.as_ref().map(|groups| groups.groups.as_slice()).unwrap_or_default();
    let rule = |(group, rule): &(usize, usize)| groups.get(*group)?.rules.get(*rule);
    let enabled = judged.matching.sure.iter().filter_map(rule).any(|rule| rule.remote.is_everyone());
    // Most conversations end here, before any rule is looked at.
    let Some(packet) = packet.filter(|packet| enabled && matches!(packet.protocol, TCP | UDP)) else {
        return Vec::new();
    };
    if is_tracked(rules, &packet) {
        return Vec::new();
    }
    let carries = |place: &(usize, usize)| {
        rule(place).is_some_and(|rule| rule.traffic.is_all_of(packet.protocol) && rule.remote.is_everyone())
    };
    let answers = answers(conversation, judged, &packet);
    let mut found: Vec<(usize, usize)> =
        answers.iter().flat_map(|answer| groups_on(rules, answer).1.sure).filter(carries).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The positions of the rules that would let a conversation pass, were they for its remote address.
pub(super) fn of_its_traffic(rules: &InterfaceRules, conversation: &Conversation<'_>) -> Vec<(usize, usize)> {
    let turned = (conversation.certainty() != Certainty::Sure).then(|| turned_packet(conversation)).flatten();
    let packets: Vec<Packet> = std::iter::once(conversation.packet()).chain(turned).collect();
    let groups = rules.groups.as_ref().map(|groups| groups.groups.as_slice()).unwrap_or_default();
    let mut found = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        for (number, rule) in group.rules.iter().enumerate() {
            let is_its = |packet: &Packet| {
                packet.direction.is_egress() == rule.egress
                    && match_traffic(&rule.traffic, packet).0 != Ternary::No
            };
            if packets.iter().any(is_its) {
                found.push((at, number));
            }
        }
    }
    found
}

/// The views that may have been in force when the conversation began.
fn views(engine: &Engine<'_>, first: Timestamp) -> Vec<View> {
    let mut views = engine.views(first, first);
    views.truncate(MOST_VIEWS);
    views
}

/// Whether the network ACL's lists surely drop one of the accepted parts.
pub(super) fn acl_denies(rules: &InterfaceRules, conversation: &Conversation<'_>) -> bool {
    let accepted = conversation.parts.iter().filter(|part| !part.is_rejected());
    accepted.map(Part::packet).any(|packet| rules.acl_verdict(&packet, None).decision == Decision::Deny)
}

/// The rules in force for a conversation. Where several versions may have been, the first that lets pass what was accepted.
pub(super) fn rules_for(
    engine: &mut Engine<'_>,
    plan: &Plan,
    conversation: &Conversation<'_>,
) -> Option<Arc<InterfaceRules>> {
    let id = plan.interface_id(conversation.key.interface);
    let first = conversation.first();
    let exact = views(engine, first);
    let accepted = conversation.parts.iter().any(|part| !part.is_rejected());
    if let ([view], false) = (exact.as_slice(), accepted) {
        return engine.interface(id, *view);
    }
    let explains = |rules: &InterfaceRules| {
        groups(rules, conversation).decision != Decision::Deny && !acl_denies(rules, conversation)
    };
    let mut fallback = None;
    for view in exact {
        let Some(rules) = engine.interface(id, view) else { continue };
        if !accepted || explains(&rules) {
            return Some(rules);
        }
        fallback = fallback.or(Some(rules));
    }
    // A record may have begun before a change that shows in it.
    let around = engine.views(first.saturating_sub(AROUND), conversation.last().saturating_add(AROUND));
    for view in around.into_iter().take(MOST_VIEWS) {
        let Some(rules) = engine.interface(id, view) else { continue };
        if explains(&rules) {
            return Some(rules);
        }
    }
    fallback
}
