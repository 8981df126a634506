//! The traffic of the logs against other rules: what they would have blocked that passed, and let pass that was blocked.
//!
//! Each conversation is judged twice, by the configuration in force at its time and by the proposed one. The difference
//! counts, not the verdict: what the configuration of now does not explain is left alone.

use super::conversation::{Conversation, Part, Totals};
use super::distinct::Distinct;
use super::judge::{GroupJudgement, groups, groups_on, rules_for, turned_packet};
use super::plan::Plan;
use super::role::{Certainty, Side};
use super::traffic::Traffic;
use crate::attribute::is_untracked;
use crate::net::{TCP, UDP};
use crate::network::{Network, Remote, SecurityGroup, SecurityGroupRule, Timestamp};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, Matching, Packet, entry_text, rule_text};
use hashbrown::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// What the proposed rules change for a conversation, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It passed and would be dropped.
    NewlyBlocked,
    /// It would be dropped if it began again; the connections seen had begun before the logs, and tracking keeps them up
    /// (spec 2.2).
    KeptByTracking,
    /// It passed, or was dropped, and what the proposed rules do to it cannot be told from what is known.
    CannotTell,
    /// It was dropped and would pass.
    NewlyAllowed,
    /// It passes as before, by another rule.
    OtherRule,
    /// Nothing changes for it.
    Unchanged,
}

impl Outcome {
    /// All, worst first.
    pub const ALL: [Outcome; 6] = [
        Outcome::NewlyBlocked,
        Outcome::KeptByTracking,
        Outcome::CannotTell,
        Outcome::NewlyAllowed,
        Outcome::OtherRule,
        Outcome::Unchanged,
    ];
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::NewlyBlocked => "newly_blocked",
            Outcome::KeptByTracking => "kept_by_tracking",
            Outcome::CannotTell => "cannot_tell",
            Outcome::NewlyAllowed => "newly_allowed",
            Outcome::OtherRule => "other_rule",
            Outcome::Unchanged => "unchanged",
        })
    }
}

/// What becomes of connections that are up when the rules change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Established {
    /// They are cut at once: a network ACL sees every packet, and groups do not track these (spec 2.2).
    Cut,
    /// Groups track them, so that they stay up until they close or idle out.
    Kept,
}

impl fmt::Display for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Established::Cut => "cut",
            Established::Kept => "kept",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct EffectKey {
    outcome: Outcome,
    interface: u32,
    direction: Direction,
    protocol: u8,
    port: Option<u16>,
    /// What decides by the proposed rules.
    after: String,
    /// What decided.
    before: String,
    established: Option<Established>,
}

/// Conversations with one service for which the proposed rules change the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What changes.
    pub outcome: Outcome,
    /// The interface whose rules do it.
    pub interface_id: String,
    /// Which way the conversations began there.
    pub direction: Direction,
    /// Protocol number.
    pub protocol: u8,
    /// The service's port.
    pub port: Option<u16>,
    /// The rule or entry that decides now, in words.
    pub before: String,
    /// The rule or entry that would decide, in words.
    pub after: String,
    /// What becomes of connections that are up.
    pub established: Option<Established>,
    /// How many conversations.
    pub conversations: u64,
    /// Sums over their records.
    pub totals: Totals,
    /// How many remote addresses.
    pub remotes: u64,
    /// Some of these, the lowest first.
    pub some_remotes: Vec<IpAddr>,
}

/// What proposed rules would change.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatIf {
    /// The effects, worst first; of one kind the busiest first.
    pub effects: Vec<Effect>,
    /// Conversations by outcome, in the order of [`Outcome::ALL`].
    pub conversations: [u64; 6],
    /// First and last second of the logs.
    pub window: Option<(Timestamp, Timestamp)>,
}

impl WhatIf {
    /// How many conversations have this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        Outcome::ALL
            .iter()
            .zip(self.conversations)
            .find(|(one, _)| **one == outcome)
            .map_or(0, |(_, count)| count)
    }
}

#[derive(Debug, Clone)]
struct Tally {
    conversations: u64,
    totals: Totals,
    remotes: Distinct,
    some: Vec<IpAddr>,
}

/// How many remote addresses are named.
const NAMED: usize = 3;

impl Tally {
    fn merge(&mut self, other: Tally) {
        self.conversations = self.conversations.saturating_add(other.conversations);
        self.totals.add(&other.totals);
        self.remotes.merge(other.remotes);
        self.some.extend(other.some);
        self.some.sort_unstable();
        self.some.dedup();
        self.some.truncate(NAMED);
    }
}

struct Comparer<'n> {
    plan: &'n Plan,
    before: Engine<'n>,
    after: Engine<'n>,
    effects: HashMap<EffectKey, Tally>,
    conversations: [u64; 6],
}

/// Compares what the plan's network and a proposed one do to this traffic. The plan has to have been made for both.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn what_if(traffic: &Traffic, proposed: &Network) -> io::Result<WhatIf> {
    let plan = traffic.plan();
    let new = || Comparer {
        plan: plan.as_ref(),
        before: Engine::new(plan.network()),
        after: Engine::new(proposed),
        effects: HashMap::new(),
        conversations: [0; 6],
    };
    let compared = traffic.each(new, Comparer::compare)?;
    let mut effects: HashMap<EffectKey, Tally> = HashMap::new();
    let mut conversations = [0u64; 6];
    for one in compared {
        for (key, tally) in one.effects {
            match effects.get_mut(&key) {
                Some(known) => known.merge(tally),
                None => {
                    effects.insert(key, tally);
                }
            }
        }
        conversations
            .iter_mut()
            .zip(one.conversations)
            .for_each(|(ours, theirs)| *ours = ours.saturating_add(theirs));
    }
    let mut effects: Vec<(EffectKey, Tally)> = effects.into_iter().collect();
    effects.sort_unstable_by(|(one, sums), (other, others)| {
        (one.outcome.cmp(&other.outcome))
            .then(others.conversations.cmp(&sums.conversations))
            .then(others.totals.bytes.cmp(&sums.totals.bytes))
            .then_with(|| one.cmp(other))
    });
    let effects = effects.into_iter().map(|(key, tally)| Effect {
        outcome: key.outcome,
        interface_id: plan.interface_id(key.interface).to_owned(),
        direction: key.direction,
        protocol: key.protocol,
        port: key.port,
        before: key.before,
        after: key.after,
        established: key.established,
        conversations: tally.conversations,
        totals: tally.totals,
        remotes: tally.remotes.count(),
        some_remotes: tally.some,
    });
    Ok(WhatIf { effects: effects.collect(), conversations, window: traffic.presence().span() })
}

/// What one kind of packets of a conversation meets.
struct Change {
    outcome: Outcome,
    before: String,
    after: String,
    established: Option<Established>,
}

impl Change {
    fn unchanged() -> Change {
        Change { outcome: Outcome::Unchanged, before: String::new(), after: String::new(), established: None }
    }

    fn worst(self, other: Change) -> Change {
        if other.outcome < self.outcome { other } else { self }
    }
}

impl Comparer<'_> {
    fn compare(&mut self, conversation: Conversation<'_>) {
        let Some(before) = rules_for(&mut self.before, self.plan, &conversation) else { return };
        let id = self.plan.interface_id(conversation.key.interface);
        let Some(after) = self.after.interface(id, before.view) else {
            let gone = Change {
                outcome: Outcome::CannotTell,
                after: "the interface is gone".to_owned(),
                ..Change::unchanged()
            };
            self.add(&conversation, gone, |_| true);
            return;
        };
        if conversation.parts.iter().any(|part| !part.is_rejected()) {
            let change = accepted(&conversation, &before, &after);
            self.add(&conversation, change, |part| !part.is_rejected());
        }
        for side in [Side::Request, Side::Reply] {
            let of = |part: &Part| part.is_rejected() && part.side() == side;
            if let Some(part) = conversation.parts.iter().find(|part| of(part)) {
                let change = rejected(&conversation, part, &before, &after);
                self.add(&conversation, change, of);
            }
        }
    }

    fn add(&mut self, conversation: &Conversation<'_>, change: Change, of: impl Fn(&Part) -> bool) {
        let outcome = change.outcome;
        let count = Outcome::ALL.iter().position(|one| *one == outcome);
        if let Some(count) = count.and_then(|at| self.conversations.get_mut(at)) {
            *count = count.saturating_add(1);
        }
        let Some(totals) = conversation.sum(of).filter(|_| outcome != Outcome::Unchanged) else { return };
        let key = conversation.key;
        let effect = EffectKey {
            outcome,
            interface: key.interface,
            direction: key.direction,
            protocol: key.protocol,
            port: key.port,
            after: change.after,
            before: change.before,
            established: change.established,
        };
        let mut remotes = Distinct::default();
        remotes.add(key.remote);
        let tally = Tally { conversations: 1, totals, remotes, some: vec![key.remote] };
        match self.effects.get_mut(&effect) {
            Some(known) => known.merge(tally),
            None => {
                self.effects.insert(effect, tally);
            }
        }
    }
}

fn accepted(conversation: &Conversation<'_>, before: &InterfaceRules, after: &InterfaceRules) -> Change {
    let mut change = Change::unchanged();
    for part in conversation.parts.iter().filter(|part| !part.is_rejected()) {
        let packet = part.packet();
        let (was, would) = (before.acl_verdict(&packet, None), after.acl_verdict(&packet, None));
        let outcome = match (was.decision, would.decision) {
            (Decision::Deny, _) => continue,
            (_, Decision::Deny) => Outcome::NewlyBlocked,
            (Decision::Allow | Decision::NotApplicable, Decision::Unknown) => Outcome::CannotTell,
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
        (Decision::Allow | Decision::NotApplicable, Decision::Unknown) => Change {
            outcome: Outcome::CannotTell,
            before: was,
            after: first_rule(after, &matching).unwrap_or_else(|| "a group that is not known".to_owned()),
            established: None,
        },
        (Decision::Allow | Decision::Unknown, Decision::Allow)
            if !shares_rule((before, judged.passed_by()), (after, &matching.sure)) =>
        {
            Change {
                outcome: Outcome::OtherRule,
                before: was,
                after: first_rule(after, &matching).unwrap_or_default(),
                established: None,
            }
        }
        _ => Change::unchanged(),
    }
}

fn rejected(
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

/// Interfaces whose connections are tracked whatever the rules say (spec 2.2), as AWS names them.
const ALWAYS_TRACKED: [&str; 5] =
    ["lambda", "nat_gateway", "network_load_balancer", "vpc_endpoint", "global_accelerator_managed"];

/// Whether groups keep state for a flow that begins with this packet (spec 2.2).
fn is_tracked(rules: &InterfaceRules, packet: &Packet) -> bool {
    let always =
        (rules.interface.interface_type.as_deref()).is_some_and(|kind| ALWAYS_TRACKED.contains(&kind));
    always || rules.groups.as_ref().is_some_and(|groups| !is_untracked(&groups.groups, packet))
}

/// The answers to a first packet, one for each stretch of ports that they go to.
fn answers(conversation: &Conversation<'_>, judged: &GroupJudgement, packet: &Packet) -> Vec<Packet> {
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

#[cfg(test)]
#[path = "whatif_tests.rs"]
mod tests;
