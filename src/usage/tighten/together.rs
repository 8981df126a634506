//! Proposals of one group beside each other and beside the rules that the group has.
//!
//! EC2 refuses a permission that a group has already, and with it the whole call (`InvalidPermission.Duplicate`). So what is
//! there, or is proposed for another rule of the group as well, is added once or not at all.

use super::propose::{Service, Sources, Uses};
use super::{Proposal, Tightening};
use crate::network::{Network, Remote, SecurityGroupRule, Traffic as RuleTraffic, View};
use crate::usage::book::{Rule, Subject};
use hashbrown::{HashMap, HashSet};

/// Whether a rule is what another one proposes.
fn is_same(rule: &SecurityGroupRule, (traffic, remote): &(RuleTraffic, Remote)) -> bool {
    let remote = match (&rule.remote, remote) {
        (Remote::Group(one), Remote::Group(other)) => one.group_id == other.group_id,
        (one, other) => one == other,
    };
    rule.traffic == *traffic && remote
}

/// A rule of a group with its number in the book.
type Numbered<'b> = (usize, &'b Rule, &'b SecurityGroupRule);

/// The rules that groups have now, by group and direction.
pub(super) struct Current<'b> {
    of_group: HashMap<(&'b str, bool), Vec<Numbered<'b>>>,
}

impl<'b> Current<'b> {
    pub(super) fn new(rules: &'b [Rule]) -> Self {
        let mut of_group: HashMap<(&str, bool), Vec<_>> = HashMap::new();
        for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.current) {
            if let Subject::Group { group_id, rule: one, .. } = &rule.subject {
                of_group.entry((group_id.as_str(), one.egress)).or_default().push((at, rule, one));
            }
        }
        Current { of_group }
    }

    /// The other rule of the group that is what is proposed for one.
    pub(super) fn twin(&self, of: &Rule, proposed: &(RuleTraffic, Remote)) -> Option<Numbered<'b>> {
        let all = self.of_group.get(&(of.object_id(), of.is_egress()))?;
        all.iter().find(|(_, rule, one)| rule.text != of.text && is_same(one, proposed)).copied()
    }

    /// Says of each proposal what else has it: a rule of the group, or a proposal for one that comes before.
    pub(super) fn settle(&self, narrower: &mut [Tightening]) {
        let mut seen: HashMap<(String, bool), Vec<(SecurityGroupRule, String)>> = HashMap::new();
        for one in narrower {
            let key = (one.rule.object_id().to_owned(), one.rule.is_egress());
            let before = seen.entry(key).or_default();
            let mut own = Vec::new();
            for proposal in &mut one.proposed {
                let Proposal { traffic, remote, held_by } = proposal;
                let rule = (traffic.clone(), remote.clone());
                let there = self.twin(&one.rule, &rule).map(|(_, twin, _)| twin.text.clone());
                let earlier = || before.iter().find(|(known, _)| is_same(known, &rule));
                *held_by =
                    there.or_else(|| earlier().map(|(_, text)| format!("what is proposed for {text}")));
                if held_by.is_none() {
                    let (traffic, remote) = rule;
                    let egress = one.rule.is_egress();
                    let added =
                        SecurityGroupRule { rule_id: None, egress, traffic, remote, description: None };
                    own.push((added, one.rule.text.clone()));
                }
            }
            // A proposal that cuts something is not to be used.
            if one.cut_seen == 0 {
                before.append(&mut own);
            }
        }
    }
}

/// What of the uses of a rule a narrower one of the group lets pass too. That one may be newer than the use, so that its own uses
/// do not tell.
pub(super) fn shared_uses(uses: &Uses, narrow: &SecurityGroupRule) -> Uses {
    let mut found = Uses::new();
    for ((protocol, ports), sources) in uses {
        let Some(service) = within(&narrow.traffic, (*protocol, *ports)) else { continue };
        let sources = match (&narrow.remote, sources) {
            (Remote::Cidr(block), Sources::Few(addresses)) => {
                Sources::Few(addresses.iter().filter(|addr| block.contains(addr)).copied().collect())
            }
            _ => sources.clone(),
        };
        if !matches!(&sources, Sources::Few(addresses) if addresses.is_empty()) {
            found.entry(service).and_modify(|known| known.merge(&sources)).or_insert(sources);
        }
    }
    found
}

fn within(traffic: &RuleTraffic, (protocol, used): Service) -> Option<Service> {
    if traffic.protocol().is_some_and(|own| own != protocol) {
        return None;
    }
    match (traffic, used) {
        (RuleTraffic::Ports { ports, .. }, Some((first, last))) => {
            let (first, last) = (first.max(ports.first()), last.min(ports.last()));
            (first <= last).then_some((protocol, Some((first, last))))
        }
        _ => Some((protocol, used)),
    }
}

/// Which groups stand beside which on some interface, as captured last: what one of them allows counts for the traffic of all.
pub(super) struct Companions<'n> {
    network: &'n Network,
    of_group: HashMap<&'n str, HashSet<&'n str>>,
}

const NEWEST: View = View { at: i64::MAX, after: false };

impl<'n> Companions<'n> {
    pub(super) fn new(network: &'n Network) -> Self {
        let mut of_group: HashMap<&str, HashSet<&str>> = HashMap::new();
        for (_, timeline) in network.interfaces.timelines() {
            let Some(found) = timeline.pick(NEWEST) else { continue };
            let ids = &found.value.group_ids;
            for id in ids.iter().filter(|_| ids.len() > 1) {
                of_group.entry(id).or_default().extend(ids.iter().map(String::as_str));
            }
        }
        Companions { network, of_group }
    }

    /// The rules of a group and of those beside it.
    fn rules(&self, group_id: &'n str) -> impl Iterator<Item = &'n SecurityGroupRule> {
        let beside = self.of_group.get(group_id).into_iter().flatten().copied();
        let ids = std::iter::once(group_id).chain(beside.filter(move |id| *id != group_id));
        let groups = ids.filter_map(|id| self.network.groups.get(id, NEWEST));
        groups.flat_map(|group| &group.value.rules)
    }

    /// Whether a rule is one of the two by which groups leave connections untracked (spec 2.2): the other one may be of any
    /// group of an interface.
    pub(super) fn leave_untracked(&self, wide: &SecurityGroupRule, group_id: &'n str) -> bool {
        let Remote::Cidr(block) = &wide.remote else { return false };
        if !block.is_any() {
            return false;
        }
        let family = block.family();
        let mut opposite = self.rules(group_id).filter(|rule| {
            let same = matches!(&rule.remote, Remote::Cidr(cidr) if cidr.is_any() && cidr.family() == family);
            rule.egress != wide.egress && same
        });
        // One lets first packets pass, the other all answers of the protocol.
        let answers = |traffic: &RuleTraffic, of: &RuleTraffic| match traffic {
            RuleTraffic::All => matches!(of, RuleTraffic::All | RuleTraffic::Ports { .. }),
            RuleTraffic::Ports { protocol, ports } => {
                ports.is_all() && of.protocol().is_none_or(|other| other == *protocol)
            }
            _ => false,
        };
        opposite.any(|rule| answers(&wide.traffic, &rule.traffic) || answers(&rule.traffic, &wide.traffic))
    }
}
