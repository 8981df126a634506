//! The traffic of the logs against other rules: what they would have blocked that passed, and let pass that was blocked.
//!
//! Each conversation is judged twice, by the configuration in force at its time and by the proposed one. The difference
//! counts, not the verdict: what the configuration of now does not explain is left alone, unless the change takes away what may
//! have carried it.

mod change;

use super::conversation::{Conversation, Part, Totals};
use super::distinct::Distinct;
use super::judge::{acl_denies, groups, rules_for};
use super::plan::Plan;
use super::role::Side;
use super::traffic::Traffic;
use crate::network::{NaclEntry, Network, RuleAction, SecurityGroupRule, Timestamp};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, Packet, Ternary, match_traffic};
use change::{Change, accepted, rejected};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;

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
    /// These, the lowest first, but no more than were asked for.
    pub some_remotes: BTreeSet<IpAddr>,
}

/// What proposed rules would change.
#[derive(Debug, Clone, PartialEq)]
pub struct WhatIf {
    /// The effects, worst first; of one kind the busiest first.
    pub effects: Vec<Effect>,
    /// Conversations by outcome, in the order of [`Outcome::ALL`].
    pub conversations: [u64; 6],
    /// Conversations of which something was accepted.
    pub accepted: u64,
    /// Of these, the ones of which it cannot be told whether they would pass.
    pub accepted_unknown: u64,
    /// Accepted ones that the configuration of now does not explain: it was not in force then (spec 8.10).
    pub unexplained: u64,
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
    some: BTreeSet<IpAddr>,
}

impl Tally {
    /// With no more than `named` of the remote addresses.
    fn merge(&mut self, other: Tally, named: usize) {
        self.conversations = self.conversations.saturating_add(other.conversations);
        self.totals.add(&other.totals);
        self.remotes.merge(other.remotes);
        for remote in other.some {
            if self.some.len() < named || self.some.last().is_some_and(|last| remote < *last) {
                self.some.insert(remote);
            }
            if self.some.len() > named {
                self.some.pop_last();
            }
        }
    }
}

struct Comparer<'n> {
    plan: &'n Plan,
    before: Engine<'n>,
    after: Engine<'n>,
    effects: HashMap<EffectKey, Tally>,
    conversations: [u64; 6],
    accepted: u64,
    accepted_unknown: u64,
    unexplained: u64,
    named: usize,
}

/// Compares what the plan's network and a proposed one do to this traffic. The plan has to have been made for both. So many of an
/// effect's remote addresses are `named`.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn what_if(traffic: &Traffic, proposed: &Network, named: usize) -> io::Result<WhatIf> {
    let plan = traffic.plan();
    let new = || Comparer {
        plan: plan.as_ref(),
        before: Engine::new(plan.network()),
        after: Engine::new(proposed),
        effects: HashMap::new(),
        conversations: [0; 6],
        accepted: 0,
        accepted_unknown: 0,
        unexplained: 0,
        named,
    };
    let compared = traffic.each(new, Comparer::compare)?;
    let mut effects: HashMap<EffectKey, Tally> = HashMap::new();
    let mut conversations = [0u64; 6];
    let (mut accepted, mut accepted_unknown, mut unexplained) = (0u64, 0u64, 0u64);
    for one in compared {
        accepted = accepted.saturating_add(one.accepted);
        accepted_unknown = accepted_unknown.saturating_add(one.accepted_unknown);
        unexplained = unexplained.saturating_add(one.unexplained);
        for (key, tally) in one.effects {
            match effects.get_mut(&key) {
                Some(known) => known.merge(tally, named),
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
    Ok(WhatIf {
        effects: effects.collect(),
        conversations,
        accepted,
        accepted_unknown,
        unexplained,
        window: traffic.presence().span(),
    })
}

impl Comparer<'_> {
    fn compare(&mut self, conversation: Conversation<'_>) {
        let Some(before) = rules_for(&mut self.before, self.plan, &conversation) else { return };
        let id = self.plan.interface_id(conversation.key.interface);
        let passed = conversation.parts.iter().any(|part| !part.is_rejected());
        let by_groups = passed && groups(&before, &conversation).decision == Decision::Deny;
        let by_list = passed && acl_denies(&before, &conversation);
        self.accepted = self.accepted.saturating_add(passed.into());
        self.unexplained = self.unexplained.saturating_add((by_groups || by_list).into());
        let Some(after) = self.after.interface(id, before.view) else {
            let gone = Change {
                outcome: Outcome::CannotTell,
                after: "the interface is gone".to_owned(),
                ..Change::unchanged()
            };
            self.accepted_unknown = self.accepted_unknown.saturating_add(passed.into());
            self.add(&conversation, gone, |_| true);
            return;
        };
        if passed {
            let mut change = accepted(&conversation, &before, &after);
            let packet = conversation.packet();
            let touched = (by_groups && loses_rule(&before, &after, &packet))
                || (by_list && loses_entry(&before, &after, &packet));
            if touched && change.outcome > Outcome::CannotTell {
                change = Change {
                    outcome: Outcome::CannotTell,
                    before: "no rule given lets it pass, and it passed".to_owned(),
                    after: "what lets it pass is not known, and the change may take it away".to_owned(),
                    ..Change::unchanged()
                };
            }
            let unknown = change.outcome == Outcome::CannotTell;
            self.accepted_unknown = self.accepted_unknown.saturating_add(unknown.into());
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
        let tally = Tally { conversations: 1, totals, remotes, some: BTreeSet::from([key.remote]) };
        match self.effects.get_mut(&effect) {
            Some(known) => known.merge(tally, self.named),
            None => {
                self.effects.insert(effect, tally);
            }
        }
    }
}

/// Whether the change takes a rule away that is for the packet's traffic, and may have let it pass from an address that the
/// configuration does not know to be a member's.
fn loses_rule<'r>(before: &'r InterfaceRules, after: &'r InterfaceRules, packet: &Packet) -> bool {
    let rules = |of: &'r InterfaceRules| {
        of.groups.iter().flat_map(|groups| &groups.groups).flat_map(|group| &group.rules)
    };
    let is_for = |rule: &&SecurityGroupRule| {
        rule.egress == packet.direction.is_egress() && match_traffic(&rule.traffic, packet).0 != Ternary::No
    };
    let mut candidates = rules(before).filter(is_for);
    candidates.any(|rule| !rules(after).any(|other| other.means(rule)))
}

/// The same of an entry of the network ACL that allows.
fn loses_entry<'r>(before: &'r InterfaceRules, after: &'r InterfaceRules, packet: &Packet) -> bool {
    let list = |of: &'r InterfaceRules| {
        of.acl.as_ref().map_or(&[][..], |acl| acl.list(packet.direction, packet.family()))
    };
    let would = list(after);
    let is_for = |entry: &NaclEntry| {
        entry.action == Some(RuleAction::Allow) && match_traffic(&entry.traffic, packet).0 != Ternary::No
    };
    list(before).iter().any(|entry| is_for(entry) && !would.contains(entry))
}

#[cfg(test)]
#[path = "whatif_tests.rs"]
mod tests;
