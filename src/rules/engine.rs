//! Finding and compiling the rules that apply to an interface at a moment, and keeping what was compiled.

use super::balancers::lets_private_link_in;
use super::compiled::{CompiledAcl, CompiledGroups};
use super::explain::{GroupCheck, check_groups};
use super::identity::is_gone;
use super::interface::InterfaceRules;
use super::matching::Mismatch;
use super::owners::Owners;
use super::packet::Packet;
use super::provenance::Provenance;
use super::scope::{SubnetFacts, Surroundings};
use crate::network::{Found, GroupReference, Network, NetworkAcl, Remote, SecurityGroup, Timestamp, View};
use hashbrown::HashMap;
use std::sync::Arc;

type ViewKey = (usize, bool);

/// The mode of a subnet that an exclusion of this name takes out of `block-bidirectional`: what begins inside passes.
pub const ALLOW_EGRESS: &str = "allow-egress";

/// A long history has thousands of views; records mostly come in the order of time, so old ones can go.
const MOST_VIEWS: usize = 64;

/// So can they where they hold the rules of more interfaces than this, and than twice those of the network: each view has them anew.
const MOST_INTERFACES: usize = if cfg!(test) { 100 } else { 100_000 };

/// Evaluates packets at any interface and moment of a network; keeps compiled rules. One per thread.
#[derive(Debug)]
pub struct Engine<'n> {
    network: &'n Network,
    /// What is asked of the end of time is what stands now ([`Owners::newest`]).
    is_now: bool,
    interfaces: HashMap<ViewKey, HashMap<String, Option<Arc<InterfaceRules>>>>,
    /// How many there are in all views.
    held: usize,
    /// The interface that was asked for last: logs come in stretches of one interface.
    last: Option<(ViewKey, String, Option<Arc<InterfaceRules>>)>,
    owners: HashMap<ViewKey, Arc<Owners>>,
    /// By the address of the version in the network, which outlives the engine.
    acls: HashMap<usize, Arc<CompiledAcl>>,
    groups: HashMap<GroupKey, Arc<CompiledGroups>>,
    peered: HashMap<PeeredKey, Arc<SecurityGroup>>,
    subnets: HashMap<ViewKey, HashMap<String, Arc<SubnetFacts>>>,
}

/// A group by its address, and the states of its rules' peering connections.
type PeeredKey = (usize, Vec<(usize, String)>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    groups: Vec<usize>,
    missing: Vec<String>,
    lists: Vec<usize>,
}

impl<'n> Engine<'n> {
    /// An engine over a network.
    pub fn new(network: &'n Network) -> Self {
        Engine {
            network,
            is_now: false,
            interfaces: HashMap::new(),
            held: 0,
            last: None,
            owners: HashMap::new(),
            acls: HashMap::new(),
            groups: HashMap::new(),
            peered: HashMap::new(),
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
        let most = MOST_INTERFACES.max(self.network.interfaces.len().saturating_mul(2));
        if self.interfaces.len() > MOST_VIEWS || self.held >= most {
            self.held = 0;
            self.interfaces.clear();
            self.subnets.clear();
            self.owners.clear();
        }
        let compiled = self.compile(id, view).map(Arc::new);
        self.interfaces.entry(key).or_default().insert(id.to_string(), compiled.clone());
        self.held += 1;
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
        // Between two captures of which only one shows the interface, it was there while it wrote records; what else changed between
        // them may have changed by then.
        let other = View { after: !view.after, ..view };
        let interface = network.interfaces.get(id, view).or_else(|| network.interfaces.get(id, other))?;
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
                    groups.push(self.with_peerings(group.value, view));
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
            private_link: lets_private_link_in(network, view, interface.value),
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
                _ if exclusion.value.is_in_force() && resource.is_some() => {}
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

    /// A group whose references tell that their peering connections are gone, where the group's own form does not.
    fn with_peerings(&mut self, group: &Arc<SecurityGroup>, view: View) -> Arc<SecurityGroup> {
        let status = |reference: &GroupReference| {
            let id = reference.peering_id.as_deref().filter(|_| reference.peering_status.is_none())?;
            self.network.peerings.get(id, view)?.value.status.clone().filter(|status| is_gone(status))
        };
        let rules = group.rules.iter().enumerate();
        let known: Vec<(usize, String)> =
            rules.filter_map(|(at, rule)| Some((at, rule.remote.group().and_then(status)?))).collect();
        if known.is_empty() {
            return group.clone();
        }
        let key = (Arc::as_ptr(group) as usize, known);
        if let Some(known) = self.peered.get(&key) {
            return known.clone();
        }
        let mut made = SecurityGroup::clone(group);
        for (at, status) in &key.1 {
            if let Some(Remote::Group(reference)) = made.rules.get_mut(*at).map(|rule| &mut rule.remote) {
                reference.peering_status = Some(status.clone());
            }
        }
        let made = Arc::new(made);
        self.peered.insert(key, made.clone());
        made
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Observation, Origin, Timeline};
    use crate::rules::fixture::Fixture;

    #[test]
    fn rules_kept_for_many_moments_are_bounded() {
        let interfaces = (0..20).map(|n| format!("eni eni-{n} subnet-1 10.0.1.{} groups=sg-1\n", n + 10));
        let lines = format!(
            "vpc vpc-1 10.0.0.0/16\nsubnet subnet-1 vpc-1 10.0.1.0/24\n{}",
            interfaces.collect::<String>()
        );
        let group =
            |port: i64| Fixture::new(&format!("{lines}sg-1 in tcp {port} 0.0.0.0/0")).groups["sg-1"].clone();
        let mut network = Fixture::new(&format!("{lines}sg-1 in tcp 0 0.0.0.0/0")).network();
        let versions = (0..50).map(|at| Observation::new(Some(at * 100), Origin::History, Some(group(at))));
        network.groups.put("sg-1".into(), Timeline::new(versions.collect()));
        network.finish();
        let mut engine = Engine::new(&network);
        for round in 0..2 {
            for at in 0..50 {
                for id in (0..20).map(|n| format!("eni-{n}")) {
                    let view = View { at: at * 100 + round, after: false };
                    let rules = engine.interface(&id, view).unwrap();
                    assert!(rules.groups.as_ref().unwrap().groups.iter().any(|known| **known == group(at)));
                    let kept: usize = engine.interfaces.values().map(HashMap::len).sum();
                    assert!(kept <= MOST_INTERFACES && kept == engine.held);
                }
            }
        }
    }
}
