//! The narrowest rules that keep what was seen.
//!
//! Each rule of a group is looked at alone: what it let pass, alone or beside others, stays let pass by the rules proposed
//! for it, of which those that the group has already are not added ([`together`]). Where it is not known which end began a conversation, both readings are kept; a rule that let nothing pass surely
//! is left alone. References to groups and prefix lists stay as they are, since who is behind them changes without the rule.

mod commands;
mod propose;
mod together;

use super::book::{Rule, RuleBook, Subject};
use super::conversation::Conversation;
use super::judge::{groups, other_reading, rules_for};
use super::plan::Plan;
use super::traffic::Traffic;
use crate::network::{Network, Remote, Timestamp, Traffic as RuleTraffic};
use crate::rules::{Decision, Engine, InterfaceRules};
use hashbrown::HashMap;
use propose::{Service, Sources, Uses, area, keeps, propose};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use together::{Companions, Current, shared_uses};

/// A rule that would do in place of a part of a wider one.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its traffic.
    pub traffic: RuleTraffic,
    /// Whom it allows.
    pub remote: Remote,
    /// What has it anyway, so that it must not be added (again): another rule of the group, or a proposal for one that comes
    /// before.
    pub held_by: Option<String>,
}

/// A rule that is wider than its use, and what would do instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Tightening {
    /// The rule.
    pub rule: Rule,
    /// What would do.
    pub proposed: Vec<Proposal>,
    /// Conversations that the rule let pass, or may have.
    pub conversations: u64,
    /// Of these, the ones that another rule may have let pass instead: the other end may have begun them, or it cannot be
    /// told which of several rules matches. What is proposed keeps them.
    pub uncertain: u64,
    /// Kinds of use seen (a service, and whom it was used by) that the proposed rules would cut: none, or this proposal
    /// must not be used.
    pub cut_seen: u64,
    /// How many times fewer pairs of address and port are open.
    pub narrower: f64,
    /// Groups do not track some of the connections that it lets through (spec 2.2): these break at the change, and are tracked
    /// once they begin anew.
    pub cuts_untracked: bool,
    /// The Terraform resource that has the group's rules inline, if one has.
    pub inline_in: Option<String>,
}

/// A rule that may be wider than its use, if what may have passed by it did.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftAlone {
    /// The rule.
    pub rule: Rule,
    /// Conversations that it may have let pass.
    pub conversations: u64,
}

/// What could be narrower.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tightenings {
    /// Rules that could, those that would lose most first.
    pub narrower: Vec<Tightening>,
    /// Rules of which nobody knows, in the order of the configuration.
    pub left_alone: Vec<LeftAlone>,
}

/// The use of one rule.
#[derive(Debug, Clone, Default)]
struct Use {
    conversations: u64,
    uncertain: u64,
    uses: Uses,
}

impl Use {
    fn merge(&mut self, other: Use) {
        self.conversations = self.conversations.saturating_add(other.conversations);
        self.uncertain = self.uncertain.saturating_add(other.uncertain);
        for (service, sources) in other.uses {
            self.uses.entry(service).and_modify(|known| known.merge(&sources)).or_insert(sources);
        }
    }
}

struct Collector<'n> {
    book: &'n RuleBook,
    plan: &'n Plan,
    engine: Engine<'n>,
    uses: HashMap<usize, Use>,
}

/// Rules that could be narrower.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn tighten(traffic: &Traffic) -> io::Result<Tightenings> {
    let plan = traffic.plan();
    let window = traffic.presence().span().unwrap_or((Timestamp::MIN, Timestamp::MAX));
    let book = RuleBook::new(plan.network(), window);
    let new = || Collector {
        book: &book,
        plan: plan.as_ref(),
        engine: Engine::new(plan.network()),
        uses: HashMap::new(),
    };
    let mut uses: HashMap<usize, Use> = HashMap::new();
    for collector in traffic.each(new, Collector::collect)? {
        for (rule, more) in collector.uses {
            uses.entry(rule).or_default().merge(more);
        }
    }
    let (current, companions) = (Current::new(&book.rules), Companions::new(plan.network()));
    // What is gone already needs no tightening. What is proposed for a rule may be another rule, which then has to keep its
    // uses too: the widest come first.
    let mut widest_first: Vec<(f64, usize, &Rule)> = (book.rules.iter().enumerate())
        .filter(|(_, rule)| rule.current)
        .filter_map(|(at, rule)| Some((width(rule)?, at, rule)))
        .collect();
    widest_first.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut found = Tightenings::default();
    let mut left_alone: Vec<(usize, LeftAlone)> = Vec::new();
    for (_, at, rule) in widest_first {
        let Some(used) = uses.get(&at) else { continue };
        let Some(tightening) = tightening(plan.network(), rule, used, &companions) else { continue };
        let conversations = used.conversations;
        if used.uncertain >= conversations {
            left_alone.push((at, LeftAlone { rule: rule.clone(), conversations }));
            continue;
        }
        let twins = tightening.proposed.iter().filter_map(|one| current.twin(rule, &one.rule()));
        let shared: Vec<(usize, Uses)> =
            twins.map(|(twin, _, narrow)| (twin, shared_uses(&used.uses, narrow))).collect();
        for (twin, more) in shared {
            if let Some(used) = uses.get_mut(&twin) {
                used.merge(Use { uses: more, ..Use::default() });
            }
        }
        found.narrower.push(tightening);
    }
    left_alone.sort_by_key(|(at, _)| *at);
    found.left_alone = left_alone.into_iter().map(|(_, one)| one).collect();
    found.narrower.sort_by(|one, other| {
        other.narrower.total_cmp(&one.narrower).then_with(|| one.rule.text.cmp(&other.rule.text))
    });
    current.settle(&mut found.narrower);
    Ok(found)
}

/// How much a rule of a group opens.
fn width(rule: &Rule) -> Option<f64> {
    let Subject::Group { rule: wide, .. } = &rule.subject else { return None };
    Some(area(&[(wide.traffic.clone(), wide.remote.clone())]))
}

/// What would do instead of a rule, if it is narrower.
fn tightening<'n>(
    network: &Network,
    rule: &'n Rule,
    used: &Use,
    companions: &Companions<'n>,
) -> Option<Tightening> {
    let Subject::Group { group_id, rule: wide, .. } = &rule.subject else { return None };
    // What could not be read has no command that would put it back or take it away.
    if matches!(wide.traffic, RuleTraffic::Unreadable(_)) || matches!(wide.remote, Remote::Unreadable(_)) {
        return None;
    }
    let proposed = propose(wide, &used.uses);
    let now = (wide.traffic.clone(), wide.remote.clone());
    if proposed.is_empty() || proposed == [now.clone()] {
        return None;
    }
    let narrower = area(std::slice::from_ref(&now)) / area(&proposed);
    let uses = used.uses.iter();
    let cut_seen = uses.filter(|(service, sources)| !keeps(&proposed, wide, service, sources)).count();
    (narrower > 1.0).then(|| Tightening {
        rule: rule.clone(),
        proposed: proposed.into_iter().map(Proposal::from).collect(),
        conversations: used.conversations,
        uncertain: used.uncertain,
        cut_seen: cut_seen as u64,
        narrower,
        cuts_untracked: companions.leave_untracked(wide, group_id),
        inline_in: network.inline_in(group_id).map(str::to_owned),
    })
}

impl Collector<'_> {
    fn collect(&mut self, conversation: Conversation<'_>) {
        if conversation.parts.iter().all(|part| part.is_rejected()) {
            return;
        }
        let Some(rules) = rules_for(&mut self.engine, self.plan, &conversation) else { return };
        let judged = groups(&rules, &conversation);
        if judged.decision == Decision::Deny {
            return;
        }
        let key = conversation.key;
        let mut services: Vec<Service> = Vec::new();
        match key.port {
            None => services.push((key.protocol, None)),
            Some(port) if !judged.turned => services.push((key.protocol, Some((port, port)))),
            // The other end began: its service is at some port of the client's stretch.
            Some(_) => {
                services.extend(conversation.parts.iter().filter(|part| !part.is_rejected()).map(|part| {
                    let stretch = self.plan.stretch(part.client_port());
                    (key.protocol, Some((stretch.first(), stretch.last())))
                }))
            }
        }
        let others = other_reading(&rules, &conversation, &judged);
        let asked = conversation.parts.iter().any(|part| !part.is_rejected() && judged.is_request(part));
        // The only rule that may match does: the conversation passed.
        let surely =
            if judged.passed_by().len() == 1 { judged.passed_by() } else { judged.matching.sure.as_slice() };
        // What may have let it pass is kept as well as what did.
        for place in judged.matching.sure.iter().chain(&judged.matching.perhaps) {
            let certain = others.is_empty() && asked && surely.contains(place);
            self.note(&rules, *place, &services, key.remote, certain);
        }
        let mut of_others: BTreeMap<(usize, usize), Vec<Service>> = BTreeMap::new();
        for (packet, by) in &others {
            let ports = packet.port.map(|port| self.plan.stretch(port));
            let service = (key.protocol, ports.map(|stretch| (stretch.first(), stretch.last())));
            for place in by.sure.iter().chain(&by.perhaps) {
                of_others.entry(*place).or_default().push(service);
            }
        }
        for (place, services) in of_others {
            self.note(&rules, place, &services, key.remote, false);
        }
    }

    fn note(
        &mut self,
        rules: &InterfaceRules,
        place: (usize, usize),
        services: &[Service],
        remote: IpAddr,
        certain: bool,
    ) {
        let Some(rule) = self.rule(rules, place) else { return };
        let used = self.uses.entry(rule).or_default();
        used.conversations = used.conversations.saturating_add(1);
        used.uncertain = used.uncertain.saturating_add(u64::from(!certain));
        for service in services {
            used.uses.entry(*service).or_insert_with(|| Sources::Few(BTreeSet::new())).add(remote);
        }
    }

    fn rule(&self, rules: &InterfaceRules, (group, rule): (usize, usize)) -> Option<usize> {
        let group = rules.groups.as_ref()?.groups.get(group)?;
        self.book.of_group(group, group.rules.get(rule)?)
    }
}

impl From<(RuleTraffic, Remote)> for Proposal {
    fn from((traffic, remote): (RuleTraffic, Remote)) -> Self {
        Proposal { traffic, remote, held_by: None }
    }
}

impl Proposal {
    fn rule(&self) -> (RuleTraffic, Remote) {
        (self.traffic.clone(), self.remote.clone())
    }

    /// It in words: `tcp 5432 from 10.0.1.20/32`.
    pub fn text(&self, egress: bool) -> String {
        format!("{} {} {}", self.traffic, if egress { "to" } else { "from" }, self.remote)
    }
}

#[cfg(test)]
#[path = "tighten_tests.rs"]
mod tests;
