//! What the proposed rules change for one conversation.

use super::super::conversation::{Conversation, Part};
use super::super::judge::{GroupJudgement, answers, groups, groups_on, is_tracked, turned_packet};
use super::super::role::{Certainty, Side};
use super::{Established, Outcome};
use crate::net::{TCP, UDP};
use crate::network::{NaclEntry, Remote, SecurityGroup, SecurityGroupRule};
use crate::rules::{AclVerdict, Decision, InterfaceRules, Matching, Packet, entry_text, rule_text};
use std::sync::Arc;

/// What one kind of packets of a conversation meets.
pub(super) struct Change {
    pub(super) outcome: Outcome,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) established: Option<Established>,
}

impl Change {
    pub(super) fn unchanged() -> Change {
        Change { outcome: Outcome::Unchanged, before: String::new(), after: String::new(), established: None }
    }

    fn worst(self, other: Change) -> Change {
        if other.outcome < self.outcome { other } else { self }
    }
}

/// What becomes of what passed.
pub(super) fn accepted(
    conversation: &Conversation<'_>,
    before: &InterfaceRules,
    after: &InterfaceRules,
) -> Change {
    let mut change = Change::unchanged();
    for part in conversation.parts.iter().filter(|part| !part.is_rejected()) {
        let packet = part.packet();
        let (was, would) = (before.acl_verdict(&packet, None), after.acl_verdict(&packet, None));
        let outcome = match (was.decision, would.decision) {
            (Decision::Deny, _) => continue,
            (_, Decision::Deny) => Outcome::NewlyBlocked,
            (Decision::Allow | Decision::NotApplicable, Decision::Unknown) => Outcome::CannotTell,
            // It passed by one of those that may match; which of them is left is what counts.
            (Decision::Unknown, Decision::Unknown)
                if may_decide(before, &packet, &was) != may_decide(after, &packet, &would) =>
            {
                Outcome::CannotTell
            }
            _ => continue,
        };
        let text = |rules: &InterfaceRules, entry| {
            let acl = rules.acl.as_ref().zip(entry);
            acl.map_or("no network ACL".to_owned(), |(acl, entry)| entry_text(&acl.acl, entry))
        };
        change = change.worst(Change {
            outcome,
            before: text(before, was.entry),
            after: text(after, would.entry),
            established: Some(Established::Cut).filter(|_| outcome == Outcome::NewlyBlocked),
        });
    }
    change.worst(by_groups(conversation, before, after))
}

fn by_groups(conversation: &Conversation<'_>, before: &InterfaceRules, after: &InterfaceRules) -> Change {
    let judged = groups(before, conversation);
    let packet = if judged.turned { turned_packet(conversation) } else { Some(conversation.packet()) };
    let Some(packet) = packet else { return Change::unchanged() };
    let (would, matching) = groups_on(after, &packet);
    let was = first_rule(before, &judged.matching).unwrap_or_else(|| "no security group".to_owned());
    if would == Decision::Allow
        && judged.decision == Decision::Allow
        && let Some(cut) = untracked_answers(conversation, (before, &judged), &packet, after)
    {
        return cut;
    }
    match (judged.decision, would) {
        // It passed against the rules given: what others would have done to it is not known either.
        (Decision::Deny, _) => Change::unchanged(),
        (_, Decision::Deny) => {
            let tracked = is_tracked(before, &packet);
            let established = if tracked { Established::Kept } else { Established::Cut };
            let began_before = packet.protocol == TCP
                && conversation.certainty() != Certainty::Sure
                && conversation.parts.iter().all(|part| part.totals.flagged);
            let outcome =
                if tracked && began_before { Outcome::KeptByTracking } else { Outcome::NewlyBlocked };
            Change { outcome, before: was, after: no_rule(after, &packet), established: Some(established) }
        }
        // It passed by one of the rules that may match, or by a group that is not known: where all of these stay, so does it.
        (Decision::Unknown, Decision::Unknown)
            if keeps_all((before, judged.passed_by()), (after, &matching)) =>
        {
            Change::unchanged()
        }
        (_, Decision::Unknown) => Change {
            outcome: Outcome::CannotTell,
            before: was,
            after: first_rule(after, &matching).unwrap_or_else(|| "a group that is not known".to_owned()),
            established: None,
        },
        (Decision::Allow | Decision::Unknown, Decision::Allow)
            if !shares_rule((before, judged.passed_by()), (after, &matching.sure)) =>
        {
            // Spec 2.2: editing the rule that enables an untracked flow stops it, though its like may begin anew; where it is
            // not tracked by the other rule either, that one passes its packets.
            let of_ports = matches!(packet.protocol, TCP | UDP);
            let is_cut = of_ports && !is_tracked(before, &packet) && is_tracked(after, &packet);
            Change {
                outcome: Outcome::OtherRule,
                before: was,
                after: first_rule(after, &matching).unwrap_or_default(),
                established: is_cut.then_some(Established::Cut),
            }
        }
        _ => Change::unchanged(),
    }
}

/// What becomes of what was dropped.
pub(super) fn rejected(
    conversation: &Conversation<'_>,
    part: &Part,
    before: &InterfaceRules,
    after: &InterfaceRules,
) -> Change {
    let packet = part.packet();
    let verdict = |rules: &InterfaceRules| {
        let acl = rules.acl_verdict(&packet, None);
        let acl_text = rules.acl.as_ref().zip(acl.entry).map(|(acl, entry)| entry_text(&acl.acl, entry));
        // Answers pass the groups by their state.
        let (group, matching) = match part.side() {
            Side::Request => groups_on(rules, &packet),
            Side::Reply => (Decision::NotApplicable, Matching::default()),
        };
        let text = match (acl.decision, group) {
            (Decision::Deny, _) => acl_text,
            (_, Decision::Deny) => Some(no_rule(rules, &packet)),
            _ => first_rule(rules, &matching).or(acl_text),
        };
        let decision = match (acl.decision, group) {
            (Decision::Deny, _) | (_, Decision::Deny) => Decision::Deny,
            (acl, group) if acl.passes() && group.passes() => Decision::Allow,
            _ => Decision::Unknown,
        };
        (decision, text.unwrap_or_default())
    };
    let (was, was_text) = verdict(before);
    let (would, mut would_text) = verdict(after);
    let outcome = match (was, would) {
        (Decision::Deny, Decision::Allow) => Outcome::NewlyAllowed,
        (Decision::Deny, Decision::Unknown) => Outcome::CannotTell,
        _ => return Change::unchanged(),
    };
    if part.side() == Side::Request && outcome == Outcome::NewlyAllowed {
        let port = conversation.key.port.map(|_| part.client_port());
        let answer = Packet { direction: packet.direction.opposite(), port, ..packet };
        let back = after.acl_verdict(&answer, None);
        if let (Decision::Deny, Some((acl, entry))) = (back.decision, after.acl.as_ref().zip(back.entry)) {
            would_text = format!("{would_text}; its answers are dropped by {}", entry_text(&acl.acl, entry));
        }
    }
    Change { outcome, before: was_text, after: would_text, established: None }
}

fn place(
    rules: &InterfaceRules,
    (group, rule): (usize, usize),
) -> Option<(&Arc<SecurityGroup>, &SecurityGroupRule)> {
    let group = rules.groups.as_ref()?.groups.get(group)?;
    Some((group, group.rules.get(rule)?))
}

/// The rule to name of those that match, or may.
fn first_rule(rules: &InterfaceRules, matching: &Matching) -> Option<String> {
    let first = matching.sure.first().or(matching.perhaps.first())?;
    place(rules, *first).map(|(group, rule)| rule_text(group, rule))
}

fn no_rule(rules: &InterfaceRules, packet: &Packet) -> String {
    let ids = rules.interface.group_ids.join(", ");
    format!("no {} rule of {ids} allows it", packet.direction.rule_word())
}

/// Whether some rule lets it pass on both sides.
fn shares_rule(
    (before, was): (&InterfaceRules, &[(usize, usize)]),
    (after, would): (&InterfaceRules, &[(usize, usize)]),
) -> bool {
    would.iter().filter_map(|one| place(after, *one)).any(|(group, rule)| {
        was.iter().filter_map(|one| place(before, *one)).any(|(known_group, known)| {
            let remote = match (&known.remote, &rule.remote) {
                (Remote::Group(one), Remote::Group(other)) => one.group_id == other.group_id,
                (one, other) => one == other,
            };
            known_group.id == group.id && known.traffic == rule.traffic && remote
        })
    })
}

/// Whether every rule that it may have passed by lets the like of it pass on the other side too, as surely as before.
fn keeps_all(
    (before, was): (&InterfaceRules, &[(usize, usize)]),
    (after, would): (&InterfaceRules, &Matching),
) -> bool {
    let unknown = |rules: &InterfaceRules| {
        let missing = rules.groups.as_ref().map(|groups| groups.missing.clone()).unwrap_or_default();
        (rules.groups_known, missing)
    };
    let left: Vec<(usize, usize)> = would.sure.iter().chain(&would.perhaps).copied().collect();
    unknown(before) == unknown(after)
        && was.iter().all(|one| shares_rule((before, std::slice::from_ref(one)), (after, &left)))
}

/// The entries of the lists that may decide about a packet, in their order.
fn may_decide(rules: &InterfaceRules, packet: &Packet, verdict: &AclVerdict<'_>) -> Vec<NaclEntry> {
    let Some(acl) = &rules.acl else { return Vec::new() };
    let lists = verdict.scope.lists.iter().flatten();
    let deciding = lists.flat_map(|list| {
        let entries = acl.list(list.direction, packet.family());
        let check = rules.explain_acl(packet, list);
        let deciding = check.map(|check| check.deciding).unwrap_or_default();
        deciding.into_iter().filter_map(|at| entries.get(at).cloned())
    });
    deciding.collect()
}

/// What becomes of connections that groups do not track, where the first packets pass as before: their answers are judged by
/// the rules of their own direction, so that they are cut where the proposed rules do not allow these (spec 2.2). Connections
/// that begin later are tracked then, and pass.
fn untracked_answers(
    conversation: &Conversation<'_>,
    (before, judged): (&InterfaceRules, &GroupJudgement),
    packet: &Packet,
    after: &InterfaceRules,
) -> Option<Change> {
    if !matches!(packet.protocol, TCP | UDP) || is_tracked(before, packet) {
        return None;
    }
    let answers = answers(conversation, judged, packet);
    let by = |answer: &Packet| (groups_on(before, answer), groups_on(after, answer));
    let (answer, (_, carried), (would, _)) = answers
        .into_iter()
        .map(|answer| {
            let (was, would) = by(&answer);
            (answer, was, would)
        })
        .filter(|(_, was, would)| was.0 == Decision::Allow && would.0 != Decision::Allow)
        .max_by_key(|(.., would)| would.0 == Decision::Deny)?;
    let denied = would == Decision::Deny;
    let word = answer.direction.rule_word();
    let why = if denied { no_rule(after, &answer) } else { format!("no {word} rule surely allows it") };
    Some(Change {
        outcome: if denied { Outcome::NewlyBlocked } else { Outcome::CannotTell },
        before: first_rule(before, &carried).unwrap_or_default(),
        after: format!("answers of connections that are up, which are not tracked: {why}; later ones pass"),
        established: denied.then_some(Established::Cut),
    })
}
