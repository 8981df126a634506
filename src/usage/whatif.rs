//! The traffic of the logs against other rules: what they would have blocked that passed, and let pass that was blocked.
//!
//! Each conversation is judged twice, by the newest configuration and by the proposed one, as the like of it would meet them; by
//! that of its own time where its interface is gone. The difference counts, not the verdict: what the configuration of its time
//! does not explain is left alone, unless the change takes away what may have carried it.

mod change;
mod lost;
mod perhaps;
mod strays;

use super::conversation::{Conversation, Part, Totals};
use super::distinct::Distinct;
use super::judge::{acl_denies, groups, rules_for};
use super::plan::Plan;
use super::role::Side;
use super::traffic::Traffic;
use crate::network::{Changed, Network, Timestamp, View};
use crate::rules::{Decision, Direction, Engine};
use change::{Change, accepted, rejected};
use hashbrown::HashMap;
use lost::{hides, loses_entry, loses_rule};
use perhaps::Other;
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
    /// Accepted traffic of interfaces that the configuration lacks was more than is looked at.
    pub overlooked: bool,
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
    changed: &'n Changed,
    before: Engine<'n>,
    after: Engine<'n>,
    other: Option<Other<'n>>,
    effects: HashMap<EffectKey, Tally>,
    conversations: [u64; 6],
    accepted: u64,
    accepted_unknown: u64,
    unexplained: u64,
    named: usize,
}

/// Compares what the plan's network and a proposed one do to this traffic. The plan has to have been made for both. `changed` is
/// what the proposal changes. So many of an effect's remote addresses are `named`.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn what_if(traffic: &Traffic, proposed: &Network, changed: &Changed, named: usize) -> io::Result<WhatIf> {
    let plan = traffic.plan();
    let perhaps = (!changed.perhaps.is_empty()).then(|| proposed.with_perhaps(&changed.perhaps));
    let new = || Comparer {
        plan: plan.as_ref(),
        changed,
        before: Engine::new(plan.network()),
        after: Engine::new(proposed),
        other: perhaps.as_ref().map(|network| Other::new(network, &changed.perhaps)),
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
    let mut effects: Vec<Effect> = effects.collect();
    for effect in strays::effects(traffic, proposed, named) {
        let count = Outcome::ALL.iter().position(|one| *one == effect.outcome);
        if let Some(count) = count.and_then(|at| conversations.get_mut(at)) {
            *count = count.saturating_add(effect.conversations);
        }
        accepted = accepted.saturating_add(effect.conversations);
        if effect.outcome == Outcome::CannotTell {
            accepted_unknown = accepted_unknown.saturating_add(effect.conversations);
        }
        effects.push(effect);
    }
    effects.sort_by(|one, other| {
        (one.outcome.cmp(&other.outcome))
            .then(other.conversations.cmp(&one.conversations))
            .then(other.totals.bytes.cmp(&one.totals.bytes))
    });
    Ok(WhatIf {
        effects,
        overlooked: traffic.strays().is_overflown(),
        conversations,
        accepted,
        accepted_unknown,
        unexplained,
        window: traffic.presence().span(),
    })
}

impl Comparer<'_> {
    fn compare(&mut self, conversation: Conversation<'_>) {
        let Some(then) = rules_for(&mut self.before, self.plan, &conversation) else { return };
        let id = self.plan.interface_id(conversation.key.interface);
        let passed = conversation.parts.iter().any(|part| !part.is_rejected());
        let by_groups = passed && groups(&then, &conversation).decision == Decision::Deny;
        let by_list = passed && acl_denies(&then, &conversation);
        let newest = View { at: Timestamp::MAX, after: false };
        let before = self.before.interface(id, newest).unwrap_or(then);
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
            if let Some(other) = self.other.as_mut().filter(|other| other.concerns(id)) {
                change =
                    other.worse(id, before.view, change, |after| accepted(&conversation, &before, after));
            }
            let packet = conversation.packet();
            let taken = &self.changed.taken;
            let touched = (by_groups && loses_rule(&before, &after, taken, &packet))
                || (by_list && loses_entry(&before, &after, taken, &packet));
            if !touched && change.outcome > Outcome::CannotTell && hides(&before, &after, taken, &packet) {
                change = Change {
                    outcome: Outcome::CannotTell,
                    before: "a rule that the plan takes away and the configuration does not hold".to_owned(),
                    after: "what lets it pass is in the configuration, and not in the plan's group"
                        .to_owned(),
                    ..Change::unchanged()
                };
            }
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
                let mut change = rejected(&conversation, part, &before, &after);
                if let Some(other) = self.other.as_mut().filter(|other| other.concerns(id)) {
                    change = other.worse(id, before.view, change, |after| {
                        rejected(&conversation, part, &before, after)
                    });
                }
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

#[cfg(test)]
#[path = "whatif_tests.rs"]
mod tests;
