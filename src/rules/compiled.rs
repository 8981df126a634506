//! Compiled network ACLs and groups.

use super::explain::acl_list;
use super::identity::{Identity, is_stale};
use super::matching::match_traffic;
use super::packet::{Decision, Direction, Packet, Ternary};
use super::table::{AddressIndex, Combine, Item, Members, NO_RULE, Outcome};
use crate::net::{Family, Prefix};
use crate::network::{Found, NaclEntry, NetworkAcl, PrefixList, Remote, RuleAction, SecurityGroup};
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
struct ByFamily {
    v4: AddressIndex<u32>,
    v6: AddressIndex<u128>,
}

/// Collects the address ranges of items, family by family.
#[derive(Default)]
struct Ranges {
    v4: Vec<(u32, u32, u32)>,
    v6: Vec<(u128, u128, u32)>,
}

impl Ranges {
    fn prefix(&mut self, prefix: &Prefix, item: u32) {
        match prefix.range() {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push((first.into(), last.into(), item)),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push((first.into(), last.into(), item)),
            _ => {}
        }
    }

    fn everywhere(&mut self, item: u32) {
        self.prefix(&Prefix::ANY_V4, item);
        self.prefix(&Prefix::ANY_V6, item);
    }

    fn index(self, item_count: usize) -> ByFamily {
        ByFamily { v4: AddressIndex::new(self.v4, item_count), v6: AddressIndex::new(self.v6, item_count) }
    }
}

impl ByFamily {
    fn members(&self, addr: &IpAddr) -> Option<&Members> {
        match addr {
            IpAddr::V4(v4) => self.v4.members(u32::from(*v4)),
            IpAddr::V6(v6) => self.v6.members(u128::from(*v6)),
        }
    }
}

/// One direction and family of a network ACL.
#[derive(Debug)]
struct CompiledList {
    entries: Vec<NaclEntry>,
    items: Vec<Item>,
    index: ByFamily,
}

/// A network ACL, compiled in both directions and families.
#[derive(Debug)]
pub struct CompiledAcl {
    /// The list as configured.
    pub acl: Arc<NetworkAcl>,
    /// Inbound IPv4, inbound IPv6, outbound IPv4, outbound IPv6.
    lists: [CompiledList; 4],
}

fn slot(egress: bool, family: Family) -> usize {
    usize::from(egress) * 2 + usize::from(family == Family::V6)
}

impl CompiledAcl {
    /// Compiles all four lists.
    pub fn new(acl: Arc<NetworkAcl>) -> Self {
        let lists = [(false, Family::V4), (false, Family::V6), (true, Family::V4), (true, Family::V6)]
            .map(|(egress, family)| CompiledList::new(acl_list(&acl, egress, family)));
        CompiledAcl { acl, lists }
    }

    /// The decision and the entry that a message names: the first that decides or may.
    pub fn decide(&self, packet: &Packet) -> (Decision, Option<&NaclEntry>) {
        let at = slot(packet.direction.is_egress(), packet.family());
        let Some(list) = self.lists.get(at) else { return (Decision::Unknown, None) };
        let Some(members) = list.index.members(&packet.remote) else { return (Decision::Unknown, None) };
        let outcome = members.decide(&list.items, Combine::FirstMatch, packet);
        (outcome.decision, list.entries.get(outcome.rule as usize))
    }

    /// Whether the list of a direction denies nothing from or to this address, as far as flow logs show it.
    pub fn never_denies(&self, direction: Direction, remote: &IpAddr) -> bool {
        let list = self.lists.get(slot(direction.is_egress(), Family::of(remote)));
        let members = list.and_then(|list| Some((list, list.index.members(remote)?)));
        members.is_none_or(|(list, members)| members.never_denies(&list.items, Combine::FirstMatch))
    }

    /// The list of a direction and family, in order.
    pub fn list(&self, direction: Direction, family: Family) -> &[NaclEntry] {
        self.lists.get(slot(direction.is_egress(), family)).map_or(&[], |list| &list.entries)
    }
}

impl CompiledList {
    fn new(entries: Vec<NaclEntry>) -> Self {
        let mut ranges = Ranges::default();
        let mut items = Vec::with_capacity(entries.len());
        for (at, entry) in (0u32..).zip(&entries) {
            match &entry.cidr {
                Some(cidr) => ranges.prefix(cidr, at),
                None => ranges.everywhere(at),
            }
            items.push(Item {
                traffic: entry.traffic.clone(),
                address_sure: entry.cidr.is_some(),
                may_allow: entry.action != Some(RuleAction::Deny),
                may_deny: entry.action != Some(RuleAction::Allow),
            });
        }
        let index = ranges.index(items.len());
        CompiledList { entries, items, index }
    }
}

/// The rules of all groups of an interface in one direction.
#[derive(Debug)]
struct CompiledSide {
    /// (group, rule) of each item.
    rules: Vec<(u32, u32)>,
    items: Vec<Item>,
    /// Rules on blocks and prefix lists, and the unreadable.
    index: ByFamily,
    /// Rules that refer to a group, by group.
    references: HashMap<String, Members>,
    /// All rules that refer to some group, their remotes uncertain.
    uncertain: Option<(Vec<Item>, Members)>,
}

/// The groups of an interface, compiled together.
#[derive(Debug)]
pub struct CompiledGroups {
    /// The groups found, in the interface's order.
    pub groups: Vec<Arc<SecurityGroup>>,
    /// Groups of the interface that the configuration lacks.
    pub missing: Vec<String>,
    sides: [CompiledSide; 2],
}

impl CompiledGroups {
    /// Compiles the rules of `groups`; `lists` finds a prefix list.
    pub fn new<'n>(
        groups: Vec<Arc<SecurityGroup>>,
        missing: Vec<String>,
        lists: impl Fn(&str) -> Option<Found<'n, PrefixList>>,
    ) -> Self {
        let sides = [false, true].map(|egress| CompiledSide::new(&groups, egress, &lists));
        CompiledGroups { groups, missing, sides }
    }

    /// Whether any rule of this direction refers to a group, so that the remote's identity matters.
    pub fn needs_identity(&self, direction: Direction) -> bool {
        self.side(direction).is_some_and(|side| side.uncertain.is_some())
    }

    /// Whether the groups have any rule in this direction.
    pub fn has_rules(&self, direction: Direction) -> bool {
        self.side(direction).is_some_and(|side| !side.rules.is_empty())
    }

    fn side(&self, direction: Direction) -> Option<&CompiledSide> {
        self.sides.get(usize::from(direction.is_egress()))
    }

    /// The decision for a new flow, and (group, rule) of the rule that a message names. `identity` is asked for only when
    /// a rule that refers to a group may match and no block allows the packet.
    pub fn decide<'a>(
        &self,
        packet: &Packet,
        identity: impl FnOnce() -> Identity<'a>,
    ) -> (Decision, Option<(usize, usize)>) {
        let Some(side) = self.side(packet.direction) else { return (Decision::Unknown, None) };
        let mut outcome = match side.index.members(&packet.remote) {
            Some(members) => members.decide(&side.items, Combine::AnyAllows, packet),
            None => Outcome { decision: Decision::Unknown, rule: NO_RULE },
        };
        // Who the remote is matters only where a rule that refers to a group may match but for that.
        if outcome.decision != Decision::Allow
            && let Some((unsure, all)) = &side.uncertain
            && all.decide(unsure, Combine::AnyAllows, packet).decision != Decision::Deny
        {
            outcome = side.with_references(outcome, packet, &identity());
        }
        if outcome.decision == Decision::Deny && !self.missing.is_empty() {
            outcome.decision = Decision::Unknown;
        }
        let rule =
            side.rules.get(outcome.rule as usize).map(|(group, rule)| (*group as usize, *rule as usize));
        (outcome.decision, rule)
    }
}

/// The rules that match a packet, as (group, rule) positions in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// Those that surely match.
    pub sure: Vec<(usize, usize)>,
    /// Those that may.
    pub perhaps: Vec<(usize, usize)>,
}

impl CompiledGroups {
    /// Every rule that matches a new flow, where [`decide`](CompiledGroups::decide) stops at the first: what a rule is
    /// there for shows only beside the others.
    pub fn matching<'a>(&self, packet: &Packet, identity: impl FnOnce() -> Identity<'a>) -> Matching {
        let mut found = Matching::default();
        let Some(side) = self.side(packet.direction) else { return found };
        if let Some(members) = side.index.members(&packet.remote) {
            side.take(members, packet, true, &mut found);
        }
        if let Some((_, all)) = &side.uncertain {
            side.take_identity(all, packet, &identity(), &mut found);
            for list in [&mut found.sure, &mut found.perhaps] {
                list.sort_unstable();
                list.dedup();
            }
            let sure = &found.sure;
            found.perhaps.retain(|rule| !sure.contains(rule));
        }
        found
    }
}

impl CompiledSide {
    fn take_identity(&self, all: &Members, packet: &Packet, identity: &Identity<'_>, into: &mut Matching) {
        match identity {
            Identity::Nobody => {}
            Identity::Unknown => self.take(all, packet, false, into),
            Identity::Member(groups) => self.take_references(groups, packet, true, into),
            Identity::MaybeMember(groups) => self.take_references(groups, packet, false, into),
            Identity::Behind(own, groups) => {
                self.take_identity(all, packet, own, into);
                self.take_references(groups, packet, false, into);
            }
        }
    }

    fn take_references(&self, groups: &[&str], packet: &Packet, sure: bool, into: &mut Matching) {
        for group in groups {
            if let Some(members) = self.references.get(*group) {
                self.take(members, packet, sure, into);
            }
        }
    }

    fn take(&self, members: &Members, packet: &Packet, sure: bool, into: &mut Matching) {
        for at in members.positions() {
            let Some((item, (group, rule))) = self.items.get(*at as usize).zip(self.rules.get(*at as usize))
            else {
                continue;
            };
            let place = (*group as usize, *rule as usize);
            match match_traffic(&item.traffic, packet).0 {
                Ternary::Yes if sure && item.address_sure => into.sure.push(place),
                Ternary::Yes | Ternary::Maybe => into.perhaps.push(place),
                Ternary::No => {}
            }
        }
    }

    fn new<'n>(
        groups: &[Arc<SecurityGroup>],
        egress: bool,
        lists: &impl Fn(&str) -> Option<Found<'n, PrefixList>>,
    ) -> Self {
        let mut ranges = Ranges::default();
        let (mut rules, mut items) = (Vec::new(), Vec::new());
        let mut references: HashMap<String, Vec<u32>> = HashMap::new();
        for (group_at, group) in (0u32..).zip(groups) {
            for (rule_at, rule) in (0u32..).zip(&group.rules) {
                if rule.egress != egress {
                    continue;
                }
                let item = u32::try_from(items.len()).unwrap_or(NO_RULE);
                let mut address_sure = true;
                match &rule.remote {
                    Remote::Cidr(cidr) => ranges.prefix(cidr, item),
                    Remote::PrefixList(id) => {
                        let list = lists(id);
                        let list = list.as_ref().map(|list| list.value.as_ref());
                        match (list.and_then(|list| list.entries.as_ref()), list.and_then(|list| list.family))
                        {
                            (Some(entries), _) => entries.iter().for_each(|entry| ranges.prefix(entry, item)),
                            (None, family) => {
                                address_sure = false;
                                // A list is of one family (spec 2.5), whatever its entries are.
                                match family {
                                    Some(family) => ranges.prefix(&Prefix::any(family), item),
                                    None => ranges.everywhere(item),
                                }
                            }
                        }
                    }
                    Remote::Unreadable(_) => {
                        address_sure = false;
                        ranges.everywhere(item);
                    }
                    Remote::Group(reference) if is_stale(reference) => {}
                    Remote::Group(reference) => {
                        references.entry_ref(reference.group_id.as_str()).or_default().push(item);
                    }
                }
                rules.push((group_at, rule_at));
                let traffic = rule.traffic.clone();
                items.push(Item { traffic, address_sure, may_allow: true, may_deny: false });
            }
        }
        let index = ranges.index(items.len());
        let mut all: Vec<u32> = references.values().flatten().copied().collect();
        all.sort_unstable();
        let uncertain = (!all.is_empty()).then(|| {
            let unsure = items.iter().map(|item| Item { address_sure: false, ..item.clone() }).collect();
            (unsure, Members::new(all))
        });
        let references =
            references.into_iter().map(|(group, members)| (group, Members::new(members))).collect();
        CompiledSide { rules, items, index, references, uncertain }
    }

    /// Adds what rules that refer to groups make of the packet.
    fn with_references(&self, mut outcome: Outcome, packet: &Packet, identity: &Identity<'_>) -> Outcome {
        let (groups, sure): (&[&str], bool) = match identity {
            Identity::Nobody => return outcome,
            Identity::Behind(own, groups) => {
                outcome = self.with_references(outcome, packet, own);
                (groups, false)
            }
            Identity::Unknown => {
                let Some((unsure, members)) = &self.uncertain else { return outcome };
                return merge(outcome, members.decide(unsure, Combine::AnyAllows, packet));
            }
            Identity::Member(groups) => (groups, true),
            Identity::MaybeMember(groups) => (groups, false),
        };
        for group in groups {
            let Some(members) = self.references.get(*group) else { continue };
            let mut found = members.decide(&self.items, Combine::AnyAllows, packet);
            if !sure && found.decision == Decision::Allow {
                found.decision = Decision::Unknown;
            }
            outcome = merge(outcome, found);
        }
        outcome
    }
}

/// Any allow allows; any unknown leaves open; of equals the first rule is named.
fn merge(one: Outcome, other: Outcome) -> Outcome {
    match (one.decision, other.decision) {
        (one_decision, other_decision) if one_decision == other_decision => {
            if other.rule < one.rule {
                other
            } else {
                one
            }
        }
        (Decision::Allow, _) => one,
        (_, Decision::Allow) => other,
        (Decision::Unknown, _) => one,
        (_, Decision::Unknown) => other,
        _ => one,
    }
}
