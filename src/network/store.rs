//! The network as a whole: every object's timeline, and look-ups that follow identifiers at a moment.

mod moments;
mod names;

use super::history::{Boundaries, Found, Origin, Timeline, Timestamp, View};
use super::model::*;
use super::read::Problem;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::net::IpAddr;

/// An object of which one moment has two contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Its id.
    pub object: String,
    /// The moment; `None` where neither content has a time.
    pub at: Option<Timestamp>,
}

impl Contradiction {
    /// The moment in words.
    pub fn when(&self) -> String {
        match self.at.and_then(|at| chrono::DateTime::from_timestamp(at, 0)) {
            Some(at) => format!("captured at {}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            None => "without a time of capture".to_string(),
        }
    }
}

/// All timelines of one kind of object.
#[derive(Debug, Clone)]
pub struct Kind<T> {
    index: HashMap<String, usize>,
    timelines: Vec<(String, Timeline<T>)>,
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Kind { index: HashMap::new(), timelines: Vec::new() }
    }
}

impl<T> Kind<T> {
    /// Puts a timeline, in place of one with the same id.
    pub fn put(&mut self, id: String, timeline: Timeline<T>) {
        match self.index.get(&id).and_then(|at| self.timelines.get_mut(*at)) {
            Some(slot) => slot.1 = timeline,
            None => {
                self.index.insert(id.clone(), self.timelines.len());
                self.timelines.push((id, timeline));
            }
        }
    }

    /// The object as of a view.
    pub fn get(&self, id: &str, view: View) -> Option<Found<'_, T>> {
        self.timeline(id)?.pick(view)
    }

    /// An object's versions.
    pub fn timeline(&self, id: &str) -> Option<&Timeline<T>> {
        self.index.get(id).and_then(|at| self.timelines.get(*at)).map(|(_, timeline)| timeline)
    }

    /// Every object that exists in a view.
    pub fn all(&self, view: View) -> impl Iterator<Item = Found<'_, T>> {
        self.timelines.iter().filter_map(move |(_, timeline)| timeline.pick(view))
    }

    /// Every timeline with its id, in the order of first appearance.
    pub fn timelines(&self) -> impl Iterator<Item = (&str, &Timeline<T>)> {
        self.timelines.iter().map(|(id, timeline)| (id.as_str(), timeline))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.timelines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.timelines.is_empty()
    }

    fn gaps(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.timelines.iter().flat_map(|(_, timeline)| timeline.gaps())
    }
}

/// Everything that is known of the networks, over time, of any number of accounts and Regions.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Interfaces by `eni-…`.
    pub interfaces: Kind<NetworkInterface>,
    /// Groups by `sg-…`.
    pub groups: Kind<SecurityGroup>,
    /// Network ACLs by `acl-…`.
    pub acls: Kind<NetworkAcl>,
    /// Subnets by `subnet-…`.
    pub subnets: Kind<Subnet>,
    /// VPCs by `vpc-…`.
    pub vpcs: Kind<Vpc>,
    /// Prefix lists by `pl-…`.
    pub prefix_lists: Kind<PrefixList>,
    /// Route tables by `rtb-…`.
    pub route_tables: Kind<RouteTable>,
    /// Peering connections by `pcx-…`.
    pub peerings: Kind<Peering>,
    /// Transit gateway attachments.
    pub transit_attachments: Kind<TransitGatewayAttachment>,
    /// Route tables of transit gateways by `tgw-rtb-…`.
    pub transit_tables: Kind<TransitRouteTable>,
    /// Instances by `i-…`.
    pub instances: Kind<Instance>,
    /// Load balancers by ARN, Classic ones by name.
    pub load_balancers: Kind<LoadBalancer>,
    /// Target groups by ARN.
    pub target_groups: Kind<TargetGroup>,
    /// Block Public Access options by `account/region`.
    pub bpa_options: Kind<BpaOptions>,
    /// Block Public Access exclusions.
    pub bpa_exclusions: Kind<BpaExclusion>,
    /// Groups used in other VPCs.
    pub group_associations: Kind<GroupVpcAssociation>,
    /// Groups of whose rules two outputs of one capture say different things.
    pub disagreements: Vec<RuleDisagreement>,
    /// Which subnet is associated with which network ACL, where it is told apart from the lists.
    pub acl_associations: Kind<AclAssociation>,
    /// Changes of the Terraform plan that this is the end of, which bear on traffic and which no filter shows:
    /// `aws_route.r (delete)`.
    pub not_followed: Vec<String>,
    /// What the plan gives other groups, of which no interface is told.
    pub(super) regrouped: Vec<Regrouped>,
    /// Groups that the plan leaves no other rules than these.
    pub(super) exclusive: Vec<ExclusiveRules>,
    /// Objects of which an input says two things at once.
    pub contradictions: Vec<Contradiction>,
    /// The newest `Name` tag of each object that has one.
    pub(crate) names: HashMap<String, String>,
    /// The Terraform resource that has the rules, entries or routes of an object inline, by the object's id.
    pub(super) inline: HashMap<String, String>,
    /// Files that hold a part of what there is, with what to fetch.
    pub part_captures: Vec<Problem>,
    /// Some input holds a part of the interfaces of some VPC, or those of some VPCs.
    pub(super) interfaces_in_part: bool,
    boundaries: Boundaries,
    interface_boundaries: Boundaries,
    acl_of_subnet: HashMap<String, Vec<String>>,
    associations_of_subnet: HashMap<String, Vec<String>>,
    default_acl_of_vpc: HashMap<String, Vec<String>>,
    /// Lists that may serve subnets which they do not name.
    acls_of_unknown: Vec<String>,
    table_of_subnet: HashMap<String, Vec<String>>,
    main_table_of_vpc: HashMap<String, Vec<String>>,
    interfaces_of_subnet: HashMap<String, Vec<String>>,
    /// The VPCs of known interfaces, and whether all of their interfaces were captured at some time.
    whole_vpcs: HashMap<String, bool>,
    some_whole: bool,
}

fn note(map: &mut HashMap<String, Vec<String>>, key: &str, id: &str) {
    let ids = map.entry_ref(key).or_default();
    if !ids.iter().any(|known| known == id) {
        ids.push(id.to_string());
    }
}

impl Network {
    /// Builds the look-ups; call once after the last `put`.
    pub fn finish(&mut self) {
        self.acl_of_subnet.clear();
        self.default_acl_of_vpc.clear();
        self.acls_of_unknown.clear();
        for (id, timeline) in &self.acls.timelines {
            if timeline.known().any(|(_, acl)| acl.more_subnets) {
                self.acls_of_unknown.push(id.clone());
            }
            for (_, acl) in timeline.known() {
                acl.subnet_ids.iter().for_each(|subnet| note(&mut self.acl_of_subnet, subnet, id));
                if let (true, Some(vpc)) = (acl.is_default, &acl.vpc_id) {
                    note(&mut self.default_acl_of_vpc, vpc, id);
                }
            }
        }
        self.associations_of_subnet.clear();
        for (_, timeline) in &self.acl_associations.timelines {
            for (_, one) in timeline.known() {
                note(&mut self.acl_of_subnet, &one.subnet_id, &one.acl_id);
                note(&mut self.associations_of_subnet, &one.subnet_id, &one.id);
            }
        }
        let (handovers, covered, balancers) = (self.handovers(), self.covered(), self.balancer_gaps());
        let gaps = (self.interfaces.gaps())
            .chain(handovers.iter().copied())
            .chain(self.groups.gaps())
            .chain(self.acls.gaps())
            .chain(self.acl_associations.gaps())
            .chain(self.subnets.gaps())
            .chain(self.vpcs.gaps())
            .chain(self.prefix_lists.gaps())
            .chain(self.route_tables.gaps())
            .chain(self.peerings.gaps())
            .chain(self.transit_attachments.gaps())
            .chain(self.instances.gaps())
            .chain(self.bpa_options.gaps())
            .chain(self.bpa_exclusions.gaps())
            .chain(self.group_associations.gaps())
            .chain(balancers.iter().copied())
            .chain(self.nearer_lists());
        self.boundaries = Boundaries::new(gaps, covered.iter().copied());
        let owners = (self.interfaces.gaps())
            .chain(handovers.iter().copied())
            .chain(self.subnets.gaps())
            .chain(self.vpcs.gaps())
            .chain(self.prefix_lists.gaps())
            .chain(self.route_tables.gaps())
            .chain(self.peerings.gaps())
            .chain(self.transit_attachments.gaps())
            .chain(balancers.iter().copied());
        self.interface_boundaries = Boundaries::new(owners, covered.iter().copied());
        self.table_of_subnet.clear();
        self.main_table_of_vpc.clear();
        self.interfaces_of_subnet.clear();
        for (id, timeline) in &self.route_tables.timelines {
            for (_, table) in timeline.known() {
                table.subnet_ids.iter().for_each(|subnet| note(&mut self.table_of_subnet, subnet, id));
                if let (true, Some(vpc)) = (table.is_main, &table.vpc_id) {
                    note(&mut self.main_table_of_vpc, vpc, id);
                }
            }
        }
        self.whole_vpcs.clear();
        self.some_whole = false;
        for (id, timeline) in &self.interfaces.timelines {
            for (version, interface) in timeline.known() {
                // A Terraform state does not hold those that services make (spec 6.9).
                let whole = version.whole.is_some() && version.origin != Origin::Terraform;
                self.some_whole |= whole;
                if let Some(vpc) = &interface.vpc_id {
                    *self.whole_vpcs.entry_ref(vpc.as_str()).or_default() |= whole;
                }
                if let Some(subnet) = &interface.subnet_id {
                    // Interface by interface, so that one that is noted already is the last: a subnet may hold 65,000.
                    let ids = self.interfaces_of_subnet.entry_ref(subnet.as_str()).or_default();
                    if ids.last() != Some(id) {
                        ids.push(id.clone());
                    }
                }
            }
        }
    }

    /// The address of the Terraform resource that has the rules of a group, the entries of a network ACL or the routes of a table
    /// inline, by the object's id: what is added has to stand there.
    pub fn inline_in(&self, id: &str) -> Option<&str> {
        self.inline.get(id).map(String::as_str)
    }

    /// The views that cover the seconds `from..=to`: one where nothing changes, else one per state that may have held.
    pub fn views(&self, from: Timestamp, to: Timestamp) -> Vec<View> {
        self.boundaries.views(from, to)
    }

    /// The view that covers the seconds `from..=to`, if there is one only.
    pub fn only_view(&self, from: Timestamp, to: Timestamp) -> Option<View> {
        self.boundaries.only_view(from, to)
    }

    /// The stretch of time around a moment, first moment and first one behind it, all of whose views have one key; `None`
    /// where views within it differ.
    pub fn stretch(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.boundaries.stretch(at)
    }

    /// A key equal for views in which every object is the same.
    pub fn version_key(&self, view: View) -> (usize, bool) {
        self.boundaries.version_key(view)
    }

    /// A key equal for views in which every object is the same and as surely known: what is found for one of them holds for
    /// all.
    pub fn view_key(&self, view: View) -> (usize, bool) {
        self.boundaries.key(view)
    }

    /// The first moment from `from` on that a view stands for.
    pub fn moment(&self, view: View, from: Timestamp) -> Timestamp {
        self.boundaries.moment(view, from)
    }

    /// A key equal for views in which the owners of addresses are the same.
    pub fn owner_key(&self, view: View) -> (usize, bool) {
        self.interface_boundaries.key(view)
    }

    /// The lists that the inputs name for a subnet; more than one where one capture names several.
    pub fn acls_named(&self, subnet_id: &str, view: View) -> Vec<Found<'_, NetworkAcl>> {
        let apart: Vec<Found<'_, AclAssociation>> = (self.associations_of_subnet.get(subnet_id).into_iter())
            .flatten()
            .filter_map(|id| self.acl_associations.get(id, view))
            .filter(|one| one.value.subnet_id == subnet_id)
            .collect();
        let named = self.acl_of_subnet.get(subnet_id).into_iter().flatten();
        let named = named.filter_map(|id| {
            let acl = self.acls.get(id, view)?;
            let by_list = acl.value.subnet_ids.iter().any(|subnet| subnet == subnet_id);
            let told = apart.iter().filter(|one| one.value.acl_id == *id);
            let told = told.map(|one| (one.distance, Reverse(one.version.captured_at)));
            let by_list = by_list.then_some((acl.distance, Reverse(acl.version.captured_at)));
            Some((told.chain(by_list).min()?, acl))
        });
        let mut named: Vec<_> = named.collect();
        // An association is replaced, not added: of two captures that both name the subnet the nearer one is right, of such the later.
        let nearest = named.iter().map(|(order, _)| *order).min();
        named.retain(|(order, _)| Some(*order) == nearest);
        if named.len() > 1 {
            // Terraform's default list keeps the subnets that it had when it was adopted, though other lists have taken them.
            named.retain(|(_, acl)| !(acl.value.is_default && acl.version.origin == Origin::Terraform));
        }
        named.into_iter().map(|(_, acl)| acl).collect()
    }

    /// The list in force for a subnet: its association, else the VPC's default list (spec 3.2); `None` where another of the
    /// VPC's lists may be the one.
    pub fn acl_of(&self, subnet_id: &str, vpc_id: Option<&str>, view: View) -> Option<Found<'_, NetworkAcl>> {
        let mut named = self.acls_named(subnet_id, view);
        if named.len() > 1 {
            return None;
        }
        let associated = named.pop();
        // Only a capture of all lists shows that none of the others is the subnet's.
        let is_known = |acl: &Found<'_, NetworkAcl>| acl.version.whole.is_some();
        associated.or_else(|| self.default_acl(subnet_id, vpc_id, view).filter(is_known))
    }

    /// The list that serves a subnet if it is associated with none: the VPC's default list, where no list names the subnet and
    /// no capture held all lists, so that [`Network::acl_of`] tells nothing. The subnet's own may be one that no input holds.
    pub fn supposed_acl_of(
        &self,
        subnet_id: &str,
        vpc_id: Option<&str>,
        view: View,
    ) -> Option<Found<'_, NetworkAcl>> {
        if !self.acls_named(subnet_id, view).is_empty() {
            return None;
        }
        self.default_acl(subnet_id, vpc_id, view).filter(|acl| acl.version.whole.is_none())
    }

    /// The default list of a subnet's VPC, out of a capture of all lists if there is one; `None` where another list is known
    /// to serve subnets that could not be read.
    fn default_acl(
        &self,
        subnet_id: &str,
        vpc_id: Option<&str>,
        view: View,
    ) -> Option<Found<'_, NetworkAcl>> {
        let subnet = self.subnets.get(subnet_id, view);
        let vpc = vpc_id.or_else(|| subnet.as_ref().and_then(|subnet| subnet.value.vpc_id.as_deref()))?;
        let mut others = self.acls_of_unknown.iter().filter_map(|id| self.acls.get(id, view));
        if others.any(|acl| acl.value.more_subnets && acl.value.vpc_id.as_deref().is_none_or(|of| of == vpc))
        {
            return None;
        }
        let defaults = self.default_acl_of_vpc.get(vpc).into_iter().flatten();
        let defaults = defaults.filter_map(|id| self.acls.get(id, view)).filter(|acl| acl.value.is_default);
        defaults.min_by_key(|acl| acl.version.whole.is_none())
    }

    /// The route table of a subnet: its association, else the VPC's main table.
    pub fn route_table_of(
        &self,
        subnet_id: &str,
        vpc_id: Option<&str>,
        view: View,
    ) -> Option<Found<'_, RouteTable>> {
        let named = self.table_of_subnet.get(subnet_id).into_iter().flatten();
        let mut associated = named
            .filter_map(|id| self.route_tables.get(id, view))
            .filter(|table| table.value.subnet_ids.iter().any(|subnet| subnet == subnet_id));
        let order = |table: &Found<'_, RouteTable>| (table.distance, Reverse(table.version.captured_at));
        let associated = match (associated.next(), associated.next()) {
            (Some(one), Some(other)) if order(&one) == order(&other) => return None,
            (Some(one), Some(other)) => Some(if order(&one) < order(&other) { one } else { other }),
            (one, _) => one,
        };
        associated.or_else(|| {
            let subnet = self.subnets.get(subnet_id, view);
            let vpc = vpc_id.or_else(|| subnet.as_ref().and_then(|subnet| subnet.value.vpc_id.as_deref()))?;
            let mains = self.main_table_of_vpc.get(vpc).into_iter().flatten();
            mains.filter_map(|id| self.route_tables.get(id, view)).find(|table| table.value.is_main)
        })
    }

    /// Whether an interface that no input holds is not there: all interfaces of the VPC were captured at some time. For a VPC without
    /// a known interface, whether all were captured wherever some were.
    pub fn interfaces_whole(&self, vpc: Option<&str>) -> bool {
        match vpc.and_then(|vpc| self.whole_vpcs.get(vpc)) {
            Some(whole) => *whole,
            None => !self.interfaces_in_part && self.some_whole,
        }
    }

    /// The interfaces in a subnet.
    pub fn interfaces_in<'a>(
        &'a self,
        subnet_id: &'a str,
        view: View,
    ) -> impl Iterator<Item = Found<'a, NetworkInterface>> {
        let ids = self.interfaces_of_subnet.get(subnet_id).into_iter().flatten();
        ids.filter_map(move |id| self.interfaces.get(id, view))
            .filter(move |found| found.value.subnet_id.as_deref() == Some(subnet_id))
    }

    /// The interfaces that hold an address, and whether it is a public one. An address is used again: where some are known to
    /// have existed at the moment, those of other times do not hold it.
    pub fn holders(&self, addr: &IpAddr, view: View) -> Vec<(&NetworkInterface, bool)> {
        let held = self.interfaces.all(view).filter_map(|found| {
            let private = found.value.owns(addr);
            let holds = private || found.value.public_addresses.contains(addr);
            holds.then_some((found, !private))
        });
        let held: Vec<_> = held.collect();
        let sure = held.iter().any(|(found, _)| found.distance == 0);
        let now = held.into_iter().filter(|(found, _)| found.distance == 0 || !sure);
        now.map(|(found, public)| (found.value.as_ref(), public)).collect()
    }

    /// Whether some active peering connection joins the two VPCs; `None` when no peering connection is known at all.
    pub fn peered(&self, one: &str, other: &str, view: View) -> Option<bool> {
        if self.peerings.is_empty() {
            return None;
        }
        Some(
            self.peerings
                .all(view)
                .any(|peering| peering.value.joins(one, other) && peering.value.same_region()),
        )
    }
}
