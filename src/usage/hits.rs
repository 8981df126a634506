//! What each rule really does: how much of the traffic it decided, and whether anything else would have.
//!
//! Groups keep state, so only the packets of who began a conversation are a rule's hits: answers pass whatever the rules of
//! their direction say (spec 2.2). Network ACLs keep none, so each list counts the packets of its own direction. A record
//! in a time for which two versions of the configuration may hold counts for the one that explains it.

mod logged;
mod strayed;

use super::book::{Rule, RuleBook};
use super::conversation::{Conversation, Part, Totals};
use super::distinct::Distinct;
use super::gather::Counts;
use super::judge::{GroupJudgement, carriers, groups, groups_on, of_its_traffic, other_reading, rules_for};
use super::plan::Plan;
use super::role::Certainty;
use super::traffic::Traffic;
use crate::network::{NaclEntry, RuleAction, Timestamp};
use crate::rules::{Decision, Engine, InterfaceRules, ListVerdict, Ternary, check_acl, match_entry};
use hashbrown::HashMap;
use logged::Logged;
use std::io;
use strayed::strayed;

/// What a rule does, in numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleHits {
    /// Conversations that it decided.
    pub conversations: u64,
    /// Their records: of who began for groups, of the list's direction for network ACLs.
    pub records: u64,
    /// Packets of these.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Different remote addresses.
    pub remotes: u64,
    /// Of these, the ones that are the internet's.
    pub internet_remotes: u64,
    /// Different pairs of protocol and service port.
    pub ports: u64,
    /// The counts of what is distinct are exact and not estimates.
    pub exact: bool,
    /// Conversations that only this rule lets pass; of a deny entry, those that would pass without it.
    pub sole: u64,
    /// Conversations that another rule would let pass as well; of a deny entry, those that would be dropped without it too.
    pub shared: u64,
    /// Conversations of which it cannot be told whether this rule decided them; where it has decided none, also those of interfaces
    /// that the configuration lacks, which may carry its group or are in a subnet of its list.
    pub possible: u64,
    /// Of the conversations, decided and possible, the ones that the other end may have begun, which then another rule let
    /// pass.
    pub guessed: u64,
    /// Conversations that groups do not track (spec 2.2), whose answers pass by this rule: without it their connections end at
    /// once, although it decided none of them.
    pub answers: u64,
    /// Accepted conversations of its traffic, at interfaces that carry its group, that no rule of the groups given lets pass: some
    /// rule did, and it may be this one.
    pub unexplained: u64,
    /// First second of the first record.
    pub first: Option<Timestamp>,
    /// Last second of the last record.
    pub last: Option<Timestamp>,
}

/// How well a rule was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Interfaces that it filters.
    pub interfaces: usize,
    /// Of these, the ones that the logs hold records of.
    pub seen: usize,
    /// The mean share, 0 to 1, of the window in which these interfaces were logged; `None` where it filters none.
    pub coverage: Option<f64>,
    /// Some interface of the same VPCs has records of the action that a hit would have: ACCEPT, or REJECT for entries that
    /// deny. Flow logs can be told to write only one of them.
    pub action_logged: bool,
    /// The configuration is one of what there is, and the logs hold no interface that it lacks: so no others carry the group or
    /// are under the list. Terraform does not know the interfaces that services make (spec 6.9).
    pub interfaces_complete: bool,
}

/// A rule with what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleReport {
    /// The rule.
    pub rule: Rule,
    /// What it does.
    pub hits: RuleHits,
    /// How well that was observed.
    pub observed: Observed,
}

/// What every rule does.
#[derive(Debug, Clone, PartialEq)]
pub struct HitsReport {
    /// Groups first, then network ACLs, each in the order of the configuration.
    pub rules: Vec<RuleReport>,
    /// First and last second of the logs; `None` where they hold no record.
    pub window: Option<(Timestamp, Timestamp)>,
    /// What was read.
    pub counts: Counts,
    /// Conversations accepted.
    pub accepted: u64,
    /// Of these, the ones that no rule of the groups, or the network ACL, would have let pass: the configuration was not in
    /// force, or it is older than the rules.
    pub unexplained: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Possible,
    Shared,
    Sole,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    hits: RuleHits,
    remotes: Distinct,
    internet: Distinct,
    ports: Distinct,
}

impl Tally {
    fn add(
        &mut self,
        share: Share,
        totals: &Totals,
        conversation: &Conversation<'_>,
        on_internet: bool,
        guessed: bool,
    ) {
        let hits = &mut self.hits;
        hits.guessed = hits.guessed.saturating_add(u64::from(guessed));
        match share {
            Share::Possible => {
                hits.possible = hits.possible.saturating_add(1);
                return;
            }
            Share::Shared => hits.shared = hits.shared.saturating_add(1),
            Share::Sole => hits.sole = hits.sole.saturating_add(1),
        }
        let key = conversation.key;
        hits.conversations = hits.conversations.saturating_add(1);
        hits.records = hits.records.saturating_add(totals.records);
        hits.packets = hits.packets.saturating_add(totals.packets);
        hits.bytes = hits.bytes.saturating_add(totals.bytes);
        hits.first = Some(hits.first.map_or(totals.first, |first| first.min(totals.first)));
        hits.last = Some(hits.last.map_or(totals.last, |last| last.max(totals.last)));
        self.remotes.add(key.remote);
        if on_internet {
            self.internet.add(key.remote);
        }
        self.ports.add((key.protocol, key.port));
    }

    fn merge(&mut self, other: Tally) {
        let (ours, theirs) = (&mut self.hits, other.hits);
        for (ours, theirs) in [
            (&mut ours.conversations, theirs.conversations),
            (&mut ours.records, theirs.records),
            (&mut ours.packets, theirs.packets),
            (&mut ours.bytes, theirs.bytes),
            (&mut ours.sole, theirs.sole),
            (&mut ours.shared, theirs.shared),
            (&mut ours.possible, theirs.possible),
            (&mut ours.guessed, theirs.guessed),
            (&mut ours.answers, theirs.answers),
            (&mut ours.unexplained, theirs.unexplained),
        ] {
            *ours = ours.saturating_add(theirs);
        }
        ours.first = ours.first.into_iter().chain(theirs.first).min();
        ours.last = ours.last.max(theirs.last);
        self.remotes.merge(other.remotes);
        self.internet.merge(other.internet);
        self.ports.merge(other.ports);
    }

    fn finish(self) -> RuleHits {
        RuleHits {
            remotes: self.remotes.count(),
            internet_remotes: self.internet.count(),
            ports: self.ports.count(),
            exact: [&self.remotes, &self.internet, &self.ports].into_iter().all(|count| count.is_exact()),
            ..self.hits
        }
    }
}

/// One thread's work.
struct Counter<'n> {
    book: &'n RuleBook,
    plan: &'n Plan,
    engine: Engine<'n>,
    tallies: Vec<Tally>,
    accepted: u64,
    unexplained: u64,
    /// Rules by the addresses of what the engine holds, which lives as long as it does.
    group_rules: HashMap<(usize, usize), Option<usize>>,
    entries: HashMap<usize, Option<usize>>,
    /// Of the conversation in work: rule, share, sums.
    found: Vec<(usize, Share, Totals)>,
}

/// Counts what every rule of the plan's network did for this traffic.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn hits(traffic: &Traffic) -> io::Result<HitsReport> {
    let plan = traffic.plan();
    let network = plan.network();
    let window = traffic.presence().span();
    let book = RuleBook::new(network, window.unwrap_or((Timestamp::MIN, Timestamp::MAX)));
    let new = || Counter {
        book: &book,
        plan: plan.as_ref(),
        engine: Engine::new(network),
        tallies: vec![Tally::default(); book.rules.len()],
        accepted: 0,
        unexplained: 0,
        group_rules: HashMap::new(),
        entries: HashMap::new(),
        found: Vec::new(),
    };
    let counted = traffic.each(new, Counter::count)?;
    let mut tallies = vec![Tally::default(); book.rules.len()];
    let (mut accepted, mut unexplained) = (0u64, 0u64);
    for counter in counted {
        tallies.iter_mut().zip(counter.tallies).for_each(|(ours, theirs)| ours.merge(theirs));
        accepted = accepted.saturating_add(counter.accepted);
        unexplained = unexplained.saturating_add(counter.unexplained);
    }
    for (rule, more) in
        strayed(traffic, &book, |rule| tallies.get(rule).is_some_and(|tally| tally.hits.conversations == 0))
    {
        if let Some(tally) = tallies.get_mut(rule) {
            tally.hits.possible = tally.hits.possible.saturating_add(more);
        }
    }
    let logged = Logged::new(traffic, network);
    let rules = book.rules.iter().zip(tallies);
    let rules = rules
        .map(|(rule, tally)| RuleReport {
            rule: rule.clone(),
            hits: tally.finish(),
            observed: logged.observed(rule, &book, traffic),
        })
        .collect();
    Ok(HitsReport { rules, window, counts: traffic.counts(), accepted, unexplained })
}

impl Counter<'_> {
    fn count(&mut self, conversation: Conversation<'_>) {
        let Some(rules) = rules_for(&mut self.engine, self.plan, &conversation) else { return };
        let mut explained = true;
        let mut guessed = false;
        let judged =
            conversation.parts.iter().any(|part| !part.is_rejected()).then(|| groups(&rules, &conversation));
        if let Some(judged) = &judged {
            explained &= judged.decision != Decision::Deny;
            guessed = self.group_hits(&rules, &conversation, judged);
            for place in carriers(&rules, &conversation, judged) {
                self.tally(&rules, place, |hits| hits.answers = hits.answers.saturating_add(1));
            }
            if judged.decision == Decision::Deny {
                for place in of_its_traffic(&rules, &conversation) {
                    self.tally(&rules, place, |hits| hits.unexplained = hits.unexplained.saturating_add(1));
                }
            }
        }
        let mut passes = None;
        for part in conversation.parts {
            for list in rules.acl_lists(&part.packet(), None).into_iter().flatten() {
                if part.is_rejected() {
                    // Answers pass the groups by their state.
                    let group_passes = part.side() == super::Side::Reply
                        || *passes.get_or_insert_with(|| {
                            groups_on(&rules, &conversation.packet()).0 != Decision::Deny
                        });
                    self.denied(&rules, part, &list, group_passes);
                } else {
                    explained &= self.allowed(&rules, part, &list);
                }
            }
        }
        if judged.is_some() {
            self.accepted = self.accepted.saturating_add(1);
            self.unexplained = self.unexplained.saturating_add(u64::from(!explained));
        }
        let on_internet = !self.found.is_empty() && rules.is_on_internet(&conversation.key.remote);
        for (rule, share, totals) in self.found.drain(..) {
            if let Some(tally) = self.tallies.get_mut(rule) {
                // A list judges each packet by itself, whoever began.
                let by_group = self.book.rules.get(rule).is_some_and(Rule::is_group);
                tally.add(share, &totals, &conversation, on_internet, guessed && by_group);
            }
        }
    }

    /// Several parts of one conversation are one hit of a rule.
    fn note(&mut self, rule: Option<usize>, share: Share, totals: Totals) {
        let Some(rule) = rule else { return };
        match self.found.iter_mut().find(|(known, ..)| *known == rule) {
            None => self.found.push((rule, share, totals)),
            // What is sure needs nothing of what is only possible.
            Some((_, known, sum)) if (*known == Share::Possible) != (share == Share::Possible) => {
                if *known == Share::Possible {
                    (*known, *sum) = (share, totals);
                }
            }
            Some((_, known, sum)) => {
                *known = (*known).max(share);
                sum.add(&totals);
            }
        }
    }

    /// Whether the other end may have begun.
    fn group_hits(
        &mut self,
        rules: &InterfaceRules,
        conversation: &Conversation<'_>,
        judged: &GroupJudgement,
    ) -> bool {
        let requests = conversation.sum(|part| !part.is_rejected() && judged.is_request(part));
        let Some(any) = requests.or_else(|| conversation.sum(|part| !part.is_rejected())) else {
            return false;
        };
        let by = judged.passed_by();
        let others = other_reading(rules, conversation, judged);
        let unknown = !others.is_empty() && conversation.certainty() == Certainty::Guess;
        let share = match (requests, by.len(), judged.matching.sure.is_empty()) {
            // Only answers were logged: somebody let the question pass, perhaps before the logs begin.
            (None, ..) => Share::Possible,
            _ if unknown => Share::Possible,
            // That it passed shows that the only rule which may match does.
            (_, 1, true) => Share::Sole,
            (_, _, true) => Share::Possible,
            (_, 1, false) if judged.matching.perhaps.is_empty() => Share::Sole,
            _ => Share::Shared,
        };
        let also_perhaps: &[(usize, usize)] =
            if judged.matching.sure.is_empty() { &[] } else { &judged.matching.perhaps };
        let all = by.iter().map(|place| (place, share));
        for (place, share) in all.chain(also_perhaps.iter().map(|place| (place, Share::Possible))) {
            let rule = self.group_rule(rules, *place);
            self.note(rule, share, any);
        }
        for place in others.iter().flat_map(|(_, by)| by.sure.iter().chain(&by.perhaps)) {
            let rule = self.group_rule(rules, *place);
            self.note(rule, Share::Possible, any);
        }
        !others.is_empty()
    }

    fn group_rule(&mut self, rules: &InterfaceRules, (group, rule): (usize, usize)) -> Option<usize> {
        let group = rules.groups.as_ref()?.groups.get(group)?;
        let key = (std::sync::Arc::as_ptr(group) as usize, rule);
        let book = self.book;
        *self.group_rules.entry(key).or_insert_with(|| book.of_group(group, group.rules.get(rule)?))
    }

    fn tally(&mut self, rules: &InterfaceRules, place: (usize, usize), add: impl Fn(&mut RuleHits)) {
        let rule = self.group_rule(rules, place);
        if let Some(tally) = rule.and_then(|rule| self.tallies.get_mut(rule)) {
            add(&mut tally.hits);
        }
    }

    fn entry(&mut self, rules: &InterfaceRules, entry: &NaclEntry) -> Option<usize> {
        let acl = rules.acl.as_ref()?;
        let key = std::ptr::from_ref(entry) as usize;
        let book = self.book;
        *self.entries.entry(key).or_insert_with(|| book.of_entry(&acl.acl.id, entry))
    }

    /// An accepted part at one list; whether the list lets it pass.
    fn allowed(&mut self, rules: &InterfaceRules, part: &Part, list: &ListVerdict<'_>) -> bool {
        match list.decision {
            Decision::Allow => {
                let share = match (list.sure, list.entry) {
                    (true, Some(entry)) if next_action(rules, list, entry) == Some(RuleAction::Allow) => {
                        Share::Shared
                    }
                    (true, _) => Share::Sole,
                    (false, _) => Share::Possible,
                };
                let rule = list.entry.and_then(|entry| self.entry(rules, entry));
                self.note(rule, share, part.totals);
                true
            }
            Decision::Deny => !list.sure,
            _ => {
                self.perhaps(rules, part, list, RuleAction::Allow);
                true
            }
        }
    }

    /// A rejected part at one list.
    fn denied(&mut self, rules: &InterfaceRules, part: &Part, list: &ListVerdict<'_>, group_passes: bool) {
        match list.decision {
            Decision::Deny => {
                let next = list.entry.and_then(|entry| next_action(rules, list, entry));
                let share = match (list.sure, group_passes && next != Some(RuleAction::Deny)) {
                    (false, _) => Share::Possible,
                    (true, true) => Share::Sole,
                    (true, false) => Share::Shared,
                };
                let rule = list.entry.and_then(|entry| self.entry(rules, entry));
                self.note(rule, share, part.totals);
            }
            Decision::Unknown => self.perhaps(rules, part, list, RuleAction::Deny),
            _ => {}
        }
    }

    /// What was done is known, and several entries may have done it. The only one that may has.
    fn perhaps(&mut self, rules: &InterfaceRules, part: &Part, list: &ListVerdict<'_>, action: RuleAction) {
        let Some(acl) = &rules.acl else { return };
        let entries = acl.list(list.direction, list.packet.family());
        let check = check_acl(entries, &list.packet);
        let may = check.deciding.iter().filter_map(|at| entries.get(*at));
        let may: Vec<&NaclEntry> = may.filter(|entry| entry.action.is_none_or(|own| own == action)).collect();
        // A REJECT may be the groups' as well.
        let only = may.len() == 1 && list.sure && action == RuleAction::Allow;
        for entry in may {
            let rule = self.entry(rules, entry);
            self.note(rule, if only { Share::Sole } else { Share::Possible }, part.totals);
        }
    }
}

/// What the list would do to the packet without this entry, as far as that is sure. A list that ends without a match
/// denies; the deny that closes a list cannot be removed.
fn next_action(rules: &InterfaceRules, list: &ListVerdict<'_>, entry: &NaclEntry) -> Option<RuleAction> {
    let entries = rules.acl.as_ref()?.list(list.direction, list.packet.family());
    let at = entries.iter().position(|other| std::ptr::eq(other, entry))?;
    let mut later = entries.iter().skip(at.saturating_add(1));
    let next = later.find(|other| match_entry(other, &list.packet).0 != Ternary::No)?;
    next.action
}

#[cfg(test)]
#[path = "hits_tests.rs"]
mod tests;
