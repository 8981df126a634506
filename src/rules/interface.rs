//! What decides about the packets of one interface: its network ACL, its groups and where it stands, compiled for one view.

use super::balancers::NETWORK_BALANCER;
use super::compiled::{CompiledAcl, CompiledGroups, Matching};
use super::explain::{AclCheck, check_acl};
use super::identity::Identity;
use super::matching::match_entry;
use super::owners::{Asker, Owners};
use super::packet::{Decision, Direction, Packet, Ternary};
use super::provenance::Provenance;
use super::routes::RouteKind;
use super::scope::{ListUse, Scope, Surroundings, unfiltered};
use crate::net::is_internet;
use crate::network::{
    Instance, NaclEntry, NetworkInterface, Remote, RuleAction, SecurityGroup, SecurityGroupRule, Subnet,
    View, Vpc,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Interfaces whose connections are tracked whatever the rules say (spec 2.2), as AWS names them.
const ALWAYS_TRACKED: [&str; 5] =
    ["lambda", "nat_gateway", "network_load_balancer", "vpc_endpoint", "global_accelerator_managed"];

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
    pub(super) surroundings: Surroundings,
    /// PrivateLink traffic passes without its groups being asked.
    pub(super) private_link: bool,
    /// Groups that the rules refer to and whose members may be where no input looks.
    pub(super) foreign: Vec<String>,
    /// The subnet's Block Public Access mode, by its own state or by the account's options and exclusions; an exclusion that
    /// lets out what begins inside is [`ALLOW_EGRESS`](super::ALLOW_EGRESS).
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
        let mut found = groups.matching(packet, || self.identity(packet));
        if self.may_be_private_link(packet) {
            found.perhaps.append(&mut found.sure);
            found.perhaps.sort_unstable();
        }
        Some(found)
    }

    /// Whether the packet may be PrivateLink traffic about which the groups are not asked: inbound at a Network Load Balancer that is
    /// set so, from an address that is not the internet's and of no interface in its VPC, as a client's behind an endpoint is (spec 5.4).
    pub fn may_be_private_link(&self, packet: &Packet) -> bool {
        self.private_link
            && packet.direction == Direction::Ingress
            && !self.is_on_internet(&packet.remote)
            && !self.owners.is_known_in(self.interface.vpc_id.as_deref(), &packet.remote)
    }

    /// What to say of that.
    pub fn private_link_text(&self, packet: &Packet) -> Option<&'static str> {
        self.may_be_private_link(packet).then_some(
            "if it came through PrivateLink its groups were not asked: the load balancer does not enforce inbound rules on that \
             (EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is off)",
        )
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
        if decision == Decision::Deny && (!self.groups_known || self.may_be_private_link(packet)) {
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

    /// Whether flows with a remote go through a Network Load Balancer: this is an interface of one, or the remote is.
    pub fn is_load_balanced(&self, remote: &IpAddr) -> bool {
        self.interface.is_type(NETWORK_BALANCER) || self.owners.is_network_balancer(remote)
    }

    /// Whether connections with this packet's remote are tracked whatever the rules say (spec 2.2): by the interface, or by the
    /// way that its subnet's routes take.
    pub fn is_always_tracked(&self, packet: &Packet) -> bool {
        let kind = self.interface.interface_type.as_deref();
        let by_route = self.surroundings.routes().map(|routes| routes.kind_to(&packet.remote));
        kind.is_some_and(|kind| ALWAYS_TRACKED.contains(&kind)) || by_route.is_some_and(RouteKind::tracks)
    }

    /// Whether the way to a remote may be one on which connections are always tracked: no routes tell, and it does not show by itself
    /// that it leads through no gateway that translates addresses or lets nothing in.
    pub fn may_be_tracked_on_the_way(&self, remote: &IpAddr) -> bool {
        let is_public = self.interface.public_known && !self.interface.public_addresses.is_empty();
        self.surroundings.routes().is_none()
            && is_internet(remote)
            && !self.owners.is_inside(remote)
            && !(remote.is_ipv4() && is_public)
    }

    /// The service at `remote` that neither layer filters, if it is one.
    pub fn unfiltered(&self, remote: &IpAddr) -> Option<&'static str> {
        let subnet = self.subnet.as_ref().map_or(&[][..], |subnet| &subnet.cidrs);
        let vpc = self.vpc.as_ref().map_or(&[][..], |vpc| &vpc.cidrs);
        unfiltered(subnet, vpc, remote)
    }
}
