//! Finding and compiling the rules that apply to an interface at a moment, and keeping what was compiled.

use super::compiled::{CompiledAcl, CompiledGroups, Matching};
use super::explain::{AclCheck, GroupCheck, check_acl, check_groups};
use super::matching::{Mismatch, match_entry};
use super::owners::{Asker, Identity, Owners};
use super::packet::{Decision, Direction, Packet, Ternary};
use super::provenance::Provenance;
use super::routes::RouteKind;
use super::scope::{ListUse, Scope, SubnetFacts, Surroundings, unfiltered};
use crate::net::is_internet;
use crate::network::{
    Found, Instance, NaclEntry, Network, NetworkAcl, NetworkInterface, Remote, RuleAction, SecurityGroup,
    SecurityGroupRule, Subnet, Timestamp, View, Vpc,
};
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

type ViewKey = (usize, bool);

/// The mode of a subnet that an exclusion of this name takes out of `block-bidirectional`: what begins inside passes.
pub const ALLOW_EGRESS: &str = "allow-egress";

/// Interfaces whose connections are tracked whatever the rules say (spec 2.2), as AWS names them.
const ALWAYS_TRACKED: [&str; 5] =
    ["lambda", "nat_gateway", "network_load_balancer", "vpc_endpoint", "global_accelerator_managed"];

/// A long history has thousands of views; records mostly come in the order of time, so old ones can go.
const MOST_VIEWS: usize = 64;

/// Evaluates packets at any interface and moment of a network; keeps compiled rules. One per thread.
#[derive(Debug)]
pub struct Engine<'n> {
    network: &'n Network,
    /// What is asked of the end of time is what stands now ([`Owners::newest`]).
    is_now: bool,
    interfaces: HashMap<ViewKey, HashMap<String, Option<Arc<InterfaceRules>>>>,
    /// The interface that was asked for last: logs come in stretches of one interface.
    last: Option<(ViewKey, String, Option<Arc<InterfaceRules>>)>,
    owners: HashMap<ViewKey, Arc<Owners>>,
    /// By the address of the version in the network, which outlives the engine.
    acls: HashMap<usize, Arc<CompiledAcl>>,
    groups: HashMap<GroupKey, Arc<CompiledGroups>>,
    subnets: HashMap<ViewKey, HashMap<String, Arc<SubnetFacts>>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    groups: Vec<usize>,
    missing: Vec<String>,
    lists: Vec<usize>,
}

/// All that decides about packets of one interface in one view.
#[derive(Debug)]
pub struct InterfaceRules {
    /// The view that this holds for.
    pub view: View,
    /// The interface.
    pub interface: Arc<NetworkInterface>,
    /// Its subnet, if known.
    pub subnet: Option<Arc<Subnet>>,
    /// Its VPC, if known.
    pub vpc: Option<Arc<Vpc>>,
    /// Its instance, if known.
    pub instance: Option<Arc<Instance>>,
    /// The network ACL in force for its subnet; `None` when it is not known.
    pub acl: Option<Arc<CompiledAcl>>,
    /// Where that is not known, the VPC's default list, which is in force if the subnet is associated with none.
    pub supposed_acl: Option<Arc<CompiledAcl>>,
    /// Its groups; `None` when it has none, so that groups do not apply.
    pub groups: Option<Arc<CompiledGroups>>,
    /// Whether the interface's list of groups is known.
    pub groups_known: bool,
    /// How all this is known.
    pub provenance: Provenance,
    /// Who holds which address.
    pub owners: Arc<Owners>,
    surroundings: Surroundings,
    /// Groups that the rules refer to and whose members may be where no input looks.
    foreign: Vec<String>,
    /// The subnet's Block Public Access mode, by its own state or by the account's options and exclusions; an exclusion that
    /// lets out what begins inside is [`ALLOW_EGRESS`].
    pub bpa_mode: Option<String>,
}

/// The network ACL's verdict on a packet.
#[derive(Debug, Clone)]
pub struct AclVerdict<'r> {
    /// N of the semantics spec.
    pub decision: Decision,
    /// The entry to name: the one that decides, or the first that may.
    pub entry: Option<&'r NaclEntry>,
    /// The direction of the list that decides.
    pub direction: Direction,
    /// Which lists apply and why.
    pub scope: Scope,
}

/// The groups' verdict on a packet as a new flow.
#[derive(Debug, Clone)]
pub struct GroupVerdict<'r> {
    /// F (or R) of the semantics spec.
    pub decision: Decision,
    /// The rule to name: one that allows, or the first that may.
    pub rule: Option<(&'r SecurityGroup, &'r SecurityGroupRule)>,
}

/// What one list of the network ACL makes of a packet.
#[derive(Debug, Clone, Copy)]
pub struct ListVerdict<'r> {
    /// The direction of the list.
    pub direction: Direction,
    /// The packet as the list sees it.
    pub packet: Packet,
    /// Whether the list surely applies.
    pub sure: bool,
    /// Its decision, were it to apply.
    pub decision: Decision,
    /// The entry that decides, or the first that may.
    pub entry: Option<&'r NaclEntry>,
}

impl<'n> Engine<'n> {
    /// An engine over a network.
    pub fn new(network: &'n Network) -> Self {
        Engine {
            network,
            is_now: false,
            interfaces: HashMap::new(),
            last: None,
            owners: HashMap::new(),
            acls: HashMap::new(),
            groups: HashMap::new(),
            subnets: HashMap::new(),
        }
    }

    /// An engine for the configuration as it stands: the newest is asked for by [`Timestamp::MAX`], and no record is judged.
    pub fn of_now(network: &'n Network) -> Self {
        Engine { is_now: true, ..Engine::new(network) }
    }

    /// The network.
    pub fn network(&self) -> &'n Network {
        self.network
    }

    /// The views that cover `from..=to`.
    pub fn views(&self, from: Timestamp, to: Timestamp) -> Vec<View> {
        self.network.views(from, to)
    }

    /// The rules of an interface in a view; `None` when the interface is not in the configuration then.
    pub fn interface(&mut self, id: &str, view: View) -> Option<Arc<InterfaceRules>> {
        let key = self.network.view_key(view);
        if let Some((last_key, last_id, found)) = &self.last
            && *last_key == key
            && last_id == id
        {
            return found.clone();
        }
        if let Some(known) = self.interfaces.get(&key).and_then(|known| known.get(id)) {
            self.last = Some((key, id.to_string(), known.clone()));
            return known.clone();
        }
        if self.interfaces.len() > MOST_VIEWS {
            self.interfaces.clear();
            self.subnets.clear();
            self.owners.clear();
        }
        let compiled = self.compile(id, view).map(Arc::new);
        self.interfaces.entry(key).or_default().insert(id.to_string(), compiled.clone());
        compiled
    }

    /// The owners of all addresses in a view.
    pub fn owners(&mut self, view: View) -> Arc<Owners> {
        let key = self.network.owner_key(view);
        let (network, is_now) = (self.network, self.is_now && view.at == Timestamp::MAX);
        let owners = || if is_now { Owners::newest(network) } else { Owners::new(network, view) };
        self.owners.entry(key).or_insert_with(|| Arc::new(owners())).clone()
    }

    fn compile(&mut self, id: &str, view: View) -> Option<InterfaceRules> {
        let network = self.network;
        let interface = network.interfaces.get(id, view)?;
        let mut provenance = Provenance::of(&interface);
        let subnet_id = interface.value.subnet_id.as_deref();
        let subnet = subnet_id.and_then(|id| network.subnets.get(id, view));
        let vpc_id = interface
            .value
            .vpc_id
            .as_deref()
            .or_else(|| subnet.as_ref().and_then(|s| s.value.vpc_id.as_deref()));
        let vpc = vpc_id.and_then(|id| network.vpcs.get(id, view));
        let acl = subnet_id.and_then(|id| network.acl_of(id, vpc_id, view));
        let supposed = match &acl {
            Some(_) => None,
            None => subnet_id.and_then(|id| network.supposed_acl_of(id, vpc_id, view)),
        };
        for acl in acl.iter().chain(&supposed) {
            provenance.add(acl);
        }
        let mut groups = Vec::new();
        let mut missing = Vec::new();
        for id in &interface.value.group_ids {
            match network.groups.get(id, view) {
                Some(group) => {
                    provenance.add(&group);
                    if group.value.partial {
                        missing.push(id.clone());
                    }
                    groups.push(group.value.clone());
                }
                None => missing.push(id.clone()),
            }
        }
        let owners = self.owners(view);
        let foreign = owners.foreign(&groups, network, view);
        let groups_known = interface.value.groups_known;
        let has_groups = !interface.value.group_ids.is_empty() || !groups_known;
        let compiled_groups = has_groups.then(|| self.compile_groups(groups, missing, view, &mut provenance));
        let mut compiled = |acl: Found<'_, NetworkAcl>| {
            let key = Arc::as_ptr(acl.value) as usize;
            self.acls.entry(key).or_insert_with(|| Arc::new(CompiledAcl::new(acl.value.clone()))).clone()
        };
        let (compiled_acl, supposed_acl) = (acl.map(&mut compiled), supposed.map(&mut compiled));
        let instance = interface.value.instance_id.as_deref().and_then(|id| network.instances.get(id, view));
        let bpa_mode = subnet
            .as_ref()
            .and_then(|subnet| subnet.value.bpa_mode.clone())
            .or_else(|| vpc.as_ref().and_then(|vpc| vpc.value.bpa_mode.clone()))
            .or_else(|| self.account_bpa(subnet_id, vpc_id, view));
        let subnet_value = subnet.map(|subnet| subnet.value.clone());
        let subnet_facts = match subnet_id {
            None => Arc::default(),
            Some(id) => {
                let known = self.subnets.entry(network.view_key(view)).or_default();
                let facts = known.entry_ref(id);
                facts.or_insert_with(|| Arc::new(SubnetFacts::new(network, id, vpc_id, view))).clone()
            }
        };
        let surroundings = Surroundings::new(interface.value, subnet_facts);
        Some(InterfaceRules {
            view,
            interface: interface.value.clone(),
            subnet: subnet_value,
            vpc: vpc.map(|vpc| vpc.value.clone()),
            instance: instance.map(|instance| instance.value.clone()),
            acl: compiled_acl,
            supposed_acl,
            groups: compiled_groups,
            groups_known,
            provenance,
            owners,
            surroundings,
            foreign,
            bpa_mode,
        })
    }

    /// The account's options speak for a subnet when there is one account and Region only, as far as no exclusion of it or of
    /// its VPC takes it out. What an exclusion that is being made or undone does is not known.
    fn account_bpa(&self, subnet: Option<&str>, vpc: Option<&str>, view: View) -> Option<String> {
        let mut options = self.network.bpa_options.all(view);
        let mode = options.next()?.value.mode.as_deref()?;
        if options.next().is_some() {
            return None;
        }
        let mut found = mode;
        for exclusion in self.network.bpa_exclusions.all(view) {
            let resource = exclusion.value.resource_id.as_deref();
            let covers = resource.is_none() || resource == subnet || resource == vpc;
            match exclusion.value.state.as_deref() {
                _ if !covers => continue,
                Some("delete-complete" | "disable-complete" | "create-failed") => continue,
                None | Some("create-complete" | "update-complete") if resource.is_some() => {}
                _ => return None,
            }
            found = match (exclusion.value.mode.as_deref()?, found) {
                ("allow-bidirectional", _) => "off",
                ("allow-egress", "block-bidirectional") => ALLOW_EGRESS,
                ("allow-egress", known) => known,
                _ => return None,
            };
        }
        Some(found.to_owned())
    }

    fn compile_groups(
        &mut self,
        groups: Vec<Arc<SecurityGroup>>,
        missing: Vec<String>,
        view: View,
        provenance: &mut Provenance,
    ) -> Arc<CompiledGroups> {
        let network = self.network;
        let mut lists = Vec::new();
        for rule in groups.iter().flat_map(|group| &group.rules) {
            if let Remote::PrefixList(id) = &rule.remote
                && let Some(list) = network.prefix_lists.get(id, view)
            {
                provenance.add(&list);
                let key = Arc::as_ptr(list.value) as usize;
                if lists.last() != Some(&key) {
                    lists.push(key);
                }
            }
        }
        let key = GroupKey {
            groups: groups.iter().map(|group| Arc::as_ptr(group) as usize).collect(),
            missing: missing.clone(),
            lists,
        };
        self.groups
            .entry(key)
            .or_insert_with(|| {
                Arc::new(CompiledGroups::new(groups, missing, |id| network.prefix_lists.get(id, view)))
            })
            .clone()
    }

    /// Rule by rule for the groups: what each rule makes of the packet.
    pub fn explain_groups(&self, rules: &InterfaceRules, packet: &Packet) -> Option<GroupCheck> {
        let groups = rules.groups.as_ref()?;
        let identity = rules.identity(packet);
        let lists = |id: &str| self.network.prefix_lists.get(id, rules.view);
        let missing = !groups.missing.is_empty() || !rules.groups_known;
        let mut found = check_groups(&groups.groups, missing, packet, &identity, lists);
        for (group, check) in &mut found.checks {
            let rule = groups.groups.get(*group).and_then(|group| group.rules.get(check.index));
            if let Some(to) = rule.and_then(|rule| rule.remote.group())
                && check.mismatch == Some(Mismatch::Address)
                && rules.owners.is_member(&packet.remote, &to.group_id)
            {
                check.mismatch = Some(Mismatch::ReferenceLost);
            }
        }
        Some(found)
    }
}

impl InterfaceRules {
    /// The network ACL's verdict (spec 8.3). `own` is the interface's own address in the record, where it is known.
    pub fn acl_verdict(&self, packet: &Packet, own: Option<IpAddr>) -> AclVerdict<'_> {
        self.verdict_of(self.acl.as_deref(), packet, own)
    }

    /// The verdict of the list that is in force if the subnet is associated with none, where that is not known.
    pub fn supposed_acl_verdict(&self, packet: &Packet, own: Option<IpAddr>) -> Option<AclVerdict<'_>> {
        let acl = self.supposed_acl.as_deref()?;
        Some(self.verdict_of(Some(acl), packet, own))
    }

    fn verdict_of<'r>(
        &'r self,
        acl: Option<&'r CompiledAcl>,
        packet: &Packet,
        own: Option<IpAddr>,
    ) -> AclVerdict<'r> {
        let scope = self.scope(packet, own);
        let mut verdict =
            AclVerdict { decision: Decision::NotApplicable, entry: None, direction: packet.direction, scope };
        if verdict.scope.applies == Ternary::No || self.unfiltered(&packet.remote).is_some() {
            return verdict;
        }
        let Some(acl) = acl else {
            verdict.decision = Decision::Unknown;
            return verdict;
        };
        let lists = verdict.scope.lists;
        for list in lists.into_iter().flatten() {
            let asked = Packet { direction: list.direction, remote: list.address, ..*packet };
            let (mut decision, entry) = acl.decide(&asked);
            if !list.sure && decision == Decision::Deny {
                decision = Decision::Unknown;
            }
            // Of two lists the one that denies decides, then the one that may.
            let worse = matches!(
                (verdict.decision, decision),
                (Decision::NotApplicable, _)
                    | (Decision::Allow, Decision::Deny | Decision::Unknown)
                    | (Decision::Unknown, Decision::Deny)
            );
            if worse {
                verdict.decision = decision;
                verdict.entry = entry;
                verdict.direction = list.direction;
            }
        }
        if verdict.scope.applies == Ternary::Maybe && verdict.decision == Decision::Deny {
            verdict.decision = Decision::Unknown;
        }
        // Where it is open, what lets the packet pass is not what may drop it.
        if verdict.decision == Decision::Unknown
            && verdict.entry.is_some_and(|entry| entry.action == Some(RuleAction::Allow))
            && let Some(list) = lists.into_iter().flatten().find(|list| list.direction == verdict.direction)
        {
            let asked = Packet { direction: list.direction, remote: list.address, ..*packet };
            let entries = acl.list(list.direction, asked.family());
            let check = check_acl(entries, &asked);
            let mut deciding = check.deciding.iter().rev().filter_map(|at| entries.get(*at));
            let denies = deciding.find(|entry| entry.action != Some(RuleAction::Allow));
            verdict.entry = denies.or(verdict.entry);
        }
        // Of several that decide alike, some only perhaps, the one that surely matches is named (spec 8.3).
        if matches!(verdict.decision, Decision::Allow | Decision::Deny)
            && let Some(list) = lists.into_iter().flatten().find(|list| list.direction == verdict.direction)
        {
            let asked = Packet { direction: list.direction, remote: list.address, ..*packet };
            if verdict.entry.is_some_and(|entry| match_entry(entry, &asked).0 == Ternary::Maybe) {
                let entries = acl.list(list.direction, asked.family());
                let sure = check_acl(entries, &asked).deciding.last().and_then(|at| entries.get(*at));
                verdict.entry = sure.or(verdict.entry);
            }
        }
        verdict
    }

    /// Whether packets are shown to the list of their own direction and no other: no gateway's interface is in the subnet.
    pub fn has_one_list(&self) -> bool {
        self.surroundings.has_one_list()
    }

    /// Whether a rule that may match the packet looks at a group or a prefix list, so that what it does depends on what
    /// the configuration holds of these.
    pub fn hangs_on_others(&self, packet: &Packet) -> bool {
        let Some(groups) = &self.groups else { return false };
        let found = groups.matching(packet, || self.identity(packet));
        found.perhaps.iter().any(|(group, rule)| {
            let rule = groups.groups.get(*group).and_then(|group| group.rules.get(*rule));
            rule.is_some_and(|rule| !matches!(rule.remote, Remote::Cidr(_)))
        })
    }

    /// Each list of the network ACL that the packet passes, one by one, where [`acl_verdict`](Self::acl_verdict) puts
    /// them together: an entry is used by what its own list decides.
    pub fn acl_lists(&self, packet: &Packet, own: Option<IpAddr>) -> [Option<ListVerdict<'_>>; 2] {
        let scope = self.scope(packet, own);
        let (Some(acl), None) = (&self.acl, self.unfiltered(&packet.remote)) else { return [None, None] };
        if scope.applies == Ternary::No {
            return [None, None];
        }
        scope.lists.map(|list| {
            let list = list?;
            let asked = Packet { direction: list.direction, remote: list.address, ..*packet };
            let (decision, entry) = acl.decide(&asked);
            let sure = list.sure && scope.applies == Ternary::Yes;
            Some(ListVerdict { direction: list.direction, packet: asked, sure, decision, entry })
        })
    }

    /// Every rule of the groups that lets the packet pass as a new flow; `None` where groups do not filter it.
    pub fn matching_rules(&self, packet: &Packet) -> Option<Matching> {
        let groups = self.groups.as_ref()?;
        if self.unfiltered(&packet.remote).is_some() {
            return None;
        }
        Some(groups.matching(packet, || self.identity(packet)))
    }

    /// Which lists apply (spec 1.2).
    pub fn scope(&self, packet: &Packet, own: Option<IpAddr>) -> Scope {
        let own =
            own.or(self.interface.primary.filter(|primary| primary.is_ipv4() == packet.remote.is_ipv4()));
        self.surroundings.scope(packet.direction, packet.remote, own, Some(&self.owners))
    }

    /// Rule by rule for one list of the network ACL.
    pub fn explain_acl(&self, packet: &Packet, list: &ListUse) -> Option<AclCheck> {
        let acl = self.acl.as_ref()?;
        let asked = Packet { direction: list.direction, remote: list.address, ..*packet };
        Some(check_acl(acl.list(list.direction, asked.family()), &asked))
    }

    /// The groups' verdict on the packet as a new flow (spec 8.4).
    pub fn group_verdict(&self, packet: &Packet) -> GroupVerdict<'_> {
        let Some(groups) = &self.groups else {
            return GroupVerdict { decision: Decision::NotApplicable, rule: None };
        };
        if self.unfiltered(&packet.remote).is_some() {
            return GroupVerdict { decision: Decision::NotApplicable, rule: None };
        }
        let (mut decision, rule) = groups.decide(packet, || self.identity(packet));
        if !self.groups_known && decision == Decision::Deny {
            decision = Decision::Unknown;
        }
        let rule = rule.and_then(|(group, rule)| {
            let group = groups.groups.get(group)?;
            Some((group.as_ref(), group.rules.get(rule)?))
        });
        GroupVerdict { decision, rule }
    }

    /// What is known of the remote as a member of groups.
    pub fn identity<'a>(&'a self, packet: &'a Packet) -> Identity<'a> {
        let asker = Asker {
            interface: &self.interface,
            direction: packet.direction,
            routes: self.surroundings.routes(),
            foreign: &self.foreign,
        };
        self.owners.identity(&asker, &packet.remote)
    }

    /// Whether an address is one of the internet's, as seen from the interface: by its range, the blocks that are known, and
    /// the way that the subnet's routes lead to it.
    pub fn is_on_internet(&self, remote: &IpAddr) -> bool {
        let by_route = || self.surroundings.routes().map(|routes| routes.kind_to(remote));
        is_internet(remote)
            && !self.owners.is_inside(remote)
            && !by_route().is_some_and(RouteKind::is_private)
    }

    /// Whether the subnet's routes lead to an address by an internet gateway; not where they are not known.
    pub fn is_by_internet_gateway(&self, remote: &IpAddr) -> bool {
        self.surroundings.routes().is_some_and(|routes| routes.kind_to(remote) == RouteKind::Internet)
    }

    /// Whether connections with this packet's remote are tracked whatever the rules say (spec 2.2): by the interface, or by the
    /// way that its subnet's routes take.
    pub fn is_always_tracked(&self, packet: &Packet) -> bool {
        let kind = self.interface.interface_type.as_deref();
        let by_route = self.surroundings.routes().map(|routes| routes.kind_to(&packet.remote));
        kind.is_some_and(|kind| ALWAYS_TRACKED.contains(&kind)) || by_route.is_some_and(RouteKind::tracks)
    }

    /// The service at `remote` that neither layer filters, if it is one.
    pub fn unfiltered(&self, remote: &IpAddr) -> Option<&'static str> {
        let subnet = self.subnet.as_ref().map_or(&[][..], |subnet| &subnet.cidrs);
        let vpc = self.vpc.as_ref().map_or(&[][..], |vpc| &vpc.cidrs);
        unfiltered(subnet, vpc, remote)
    }
}
