//! Whose address a remote is: what rules that refer to groups need (spec 2.4).

mod ways;

use super::balancers::{Balancers, NETWORK_BALANCER};
use super::identity::{Identity, is_stale};
use super::known_vpc::KnownVpc;
use super::packet::Ternary;
use super::routes::{RouteKind, Routes};
use crate::net::{Prefix, is_internet};
use crate::network::{Network, NetworkInterface, Origin, SecurityGroup, Timestamp, View};
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
pub(super) use ways::Asker;
use ways::Path;

/// An interface that holds an address.
#[derive(Debug, Clone)]
struct Owner {
    interface: Arc<NetworkInterface>,
    /// It is known to have existed at the moment, and is not taken from a capture of another time.
    in_force: bool,
    /// It is not in a capture between that of its own and the moment, which may have been asked for all.
    in_doubt: bool,
}

/// The owners of all addresses in one view.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// Delegated prefixes, and the lengths that occur: hosts of container clusters have thousands.
    delegated: HashMap<Prefix, Vec<usize>>,
    delegated_lengths: Vec<u8>,
    owners: Vec<Owner>,
    vpcs: HashMap<String, KnownVpc>,
    /// Pairs of VPCs joined by an active peering connection in one Region, both ways.
    peered: HashSet<(String, String)>,
    peerings_known: bool,
    /// Pairs of VPCs joined by an active peering connection between Regions, both ways: references do not cross it.
    far_peered: HashSet<(String, String)>,
    /// By VPC: its transit gateways, and whether the attachment and the gateway support references to groups, as far as known.
    transit: HashMap<String, Vec<(String, Option<bool>)>>,
    balancers: Balancers,
    has_network_balancers: bool,
    /// Blocks behind peering connections, which may hold addresses that look public.
    peer_blocks: Vec<Prefix>,
    /// By subnet: its routes, where one of them leads through a middlebox.
    diverting: HashMap<String, Routes>,
    /// By subnet whose routes are known: these, where one of them leads over a transit gateway.
    transiting: HashMap<String, Option<Routes>>,
}

impl Owners {
    /// Gathers every address of a view.
    pub fn new(network: &Network, view: View) -> Self {
        let mut owners = Owners {
            peerings_known: !network.peerings.is_empty(),
            balancers: Balancers::new(network, view),
            ..Owners::default()
        };
        for vpc in network.vpcs.all(view) {
            let known = owners.vpcs.entry_ref(vpc.value.id.as_str()).or_default();
            known.cidrs.clone_from(&vpc.value.cidrs);
            known.described = !vpc.value.cidrs.is_empty();
            known.owner_id.clone_from(&vpc.value.owner_id);
        }
        // Without describe-vpcs the subnets tell most of a VPC's blocks.
        for subnet in network.subnets.all(view) {
            if let Some(vpc) = &subnet.value.vpc_id {
                let known = owners.vpcs.entry_ref(vpc.as_str()).or_default();
                known.cidrs.extend(subnet.value.cidrs.iter().copied());
                // The owner of a shared VPC's subnets is that of the VPC.
                if known.owner_id.is_none() {
                    known.owner_id.clone_from(&subnet.value.owner_id);
                }
            }
        }
        owners.vpcs.values_mut().for_each(KnownVpc::settle);
        let mut subnets: HashSet<&str> = HashSet::new();
        for found in network.interfaces.all(view) {
            let interface = found.value;
            let at = owners.owners.len();
            owners.has_network_balancers |= interface.is_type(NETWORK_BALANCER);
            if let Some(subnet) = &interface.subnet_id
                && !subnets.contains(subnet.as_str())
            {
                let routes = Routes::of_subnet(network, subnet, interface.vpc_id.as_deref(), view);
                if let Some(routes) = routes {
                    let transiting = routes.has_transit().then(|| routes.clone());
                    owners.transiting.insert(subnet.clone(), transiting);
                    if routes.has_middlebox() {
                        owners.diverting.insert(subnet.clone(), routes);
                    }
                }
                subnets.insert(subnet.as_str());
            }
            for addr in &interface.addresses {
                owners.by_address.entry(*addr).or_default().push(at);
            }
            for prefix in &interface.prefixes {
                owners.delegated.entry(*prefix).or_default().push(at);
                if !owners.delegated_lengths.contains(&prefix.prefix_len()) {
                    owners.delegated_lengths.push(prefix.prefix_len());
                }
            }
            if let Some(vpc) = &interface.vpc_id {
                let known = owners.vpcs.entry_ref(vpc.as_str()).or_default();
                // Who takes part in a shared VPC is shown no interfaces but the own ones (spec 2.6).
                let shows_all = !known.is_of_another(interface.owner_id.as_deref());
                known.covered |= found.version.covers(view.at) && shows_all;
                let version = found.version;
                // Terraform knows only the interfaces that it made, so it never covers a VPC.
                let whole = version.whole.filter(|_| version.origin != Origin::Terraform && shows_all);
                // What history tells was seen when it was captured, however long it holds.
                let lasts = version.to == Timestamp::MAX || version.origin == Origin::History;
                let last = if lasts { version.from } else { version.to };
                known.newest.0 = known.newest.0.max(whole.map(|(_, to)| to));
                known.newest.1 = known.newest.1.max(last);
                if interface.more_addresses || lacks_v4(network, interface, view) {
                    known.adrift =
                        known.adrift.take().filter(|_| interface.groups_known).map(|mut groups| {
                            groups.extend(interface.group_ids.iter().cloned());
                            groups
                        });
                }
            }
            owners.owners.push(Owner {
                interface: interface.clone(),
                in_force: found.distance == 0,
                in_doubt: found.missing_at.is_some(),
            });
        }
        for peering in network.peerings.all(view) {
            let ends = (&peering.value.requester, &peering.value.accepter);
            if let (Some(one), Some(other)) = (&ends.0.vpc_id, &ends.1.vpc_id)
                && peering.value.joins(one, other)
            {
                let near = peering.value.same_region();
                let pairs = if near { &mut owners.peered } else { &mut owners.far_peered };
                pairs.insert((one.clone(), other.clone()));
                pairs.insert((other.clone(), one.clone()));
                if !near {
                    continue;
                }
                owners.peer_blocks.extend(ends.0.cidrs.iter().chain(&ends.1.cidrs).copied());
            }
        }
        for found in network.transit_attachments.all(view) {
            if let (Some(vpc), Some(gateway)) = (&found.value.vpc_id, &found.value.gateway_id) {
                owners
                    .transit
                    .entry_ref(vpc.as_str())
                    .or_default()
                    .push((gateway.clone(), found.value.supports_references()));
            }
        }
        owners
    }

    /// The same for the newest configuration as it stands: an address that the last capture shows at no interface is nobody's,
    /// where that was one of all interfaces of the VPC.
    pub fn newest(network: &Network) -> Self {
        let mut owners = Owners::new(network, View { at: Timestamp::MAX, after: false });
        for known in owners.vpcs.values_mut() {
            let (whole, last) = known.newest;
            known.covered |= whole.is_some_and(|whole| whole >= last);
        }
        owners
    }

    /// The interface that holds a private address; `None` where none does, or several may. Those known to have been there at the
    /// moment go before those of other times.
    pub fn holder<'a>(&'a self, remote: &'a IpAddr) -> Option<&'a NetworkInterface> {
        let known = self.holders(remote).any(|owner| owner.in_force);
        let mut held = self.holders(remote).filter(|owner| owner.in_force || !known);
        let first = held.next()?;
        // One that lists an address twice is one.
        held.all(|owner| Arc::ptr_eq(&owner.interface, &first.interface)).then_some(first.interface.as_ref())
    }

    /// The groups that rules of `groups` refer to and whose members may have addresses that no input describes: those that the
    /// configuration lacks or holds in part, and those whose home, or another VPC that they are used in, it does not describe.
    pub(super) fn foreign(
        &self,
        groups: &[Arc<SecurityGroup>],
        network: &Network,
        view: View,
    ) -> Vec<String> {
        let described = |vpc: &str| self.vpcs.get(vpc).is_some_and(|vpc| !vpc.cidrs.is_empty());
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for reference in groups.iter().flat_map(|group| &group.rules).filter_map(|rule| rule.remote.group()) {
            let id = reference.group_id.as_str();
            if is_stale(reference) || !seen.insert(id) {
                continue;
            }
            let at_home = match (network.groups.get(id, view), &reference.vpc_id) {
                (Some(group), _) => {
                    let home = group.value.vpc_id.as_deref();
                    !group.value.partial && home.is_none_or(described)
                }
                (None, Some(vpc)) => described(vpc),
                (None, None) => false,
            };
            let used_elsewhere = network.group_associations.all(view).any(|found| {
                let one = found.value;
                let gone = matches!(one.state.as_deref(), Some("disassociated" | "association-failed"));
                one.group_id == id && !gone && !described(&one.vpc_id)
            });
            if !at_home || used_elsewhere {
                found.push(reference.group_id.clone());
            }
        }
        found
    }

    /// The one holder of an address among some, where the way to it preserves references.
    fn reached<'a>(
        &'a self,
        asker: &Asker<'_>,
        remote: &IpAddr,
        holders: impl Iterator<Item = &'a Owner> + Clone,
    ) -> Option<Identity<'a>> {
        let identity = of_holders(holders.clone())?;
        if self.diverting.is_empty() && !asker.routes.is_some_and(Routes::has_middlebox) {
            return Some(identity);
        }
        let mut paths = holders.map(|owner| self.path(asker, remote, &owner.interface));
        let first = paths.next().unwrap_or(Path::Direct);
        Some(match if paths.all(|path| path == first) { first } else { Path::Unsure } {
            Path::Direct => identity,
            Path::Diverted => Identity::Nobody,
            Path::Unsure => match identity {
                Identity::Member(groups) => Identity::MaybeMember(groups),
                other => other,
            },
        })
    }

    /// What is known of `remote` as seen from an interface, and whose load balancers its packets may come through.
    pub(super) fn identity<'a>(&'a self, asker: &Asker<'a>, remote: &'a IpAddr) -> Identity<'a> {
        let own = self.own_identity(asker, remote);
        let groups = self.balancers.groups_before(asker);
        if groups.is_empty() { own } else { Identity::Behind(Box::new(own), groups) }
    }

    /// What is known of `remote` as seen from an interface.
    ///
    /// Owners in the own VPC win, since its local route does; then peered VPCs. An owner elsewhere is reached through a
    /// transit gateway, over which only inbound rules may refer to groups, and only when enabled on the gateway and both
    /// attachments (documented): maybe, where none of these is known to lack it. Peering between Regions preserves no
    /// reference either way, nor does an appliance between the subnets.
    fn own_identity<'a>(&'a self, asker: &Asker<'a>, remote: &'a IpAddr) -> Identity<'a> {
        let (own_vpc, direction) = (asker.vpc(), asker.direction);
        let holders = || self.holders(remote);
        let here = holders().filter(|owner| match (owner.vpc(), own_vpc) {
            (Some(vpc), Some(own)) => vpc == own,
            _ => true,
        });
        if let Some(identity) = self.reached(asker, remote, here) {
            return identity;
        }
        let in_own_vpc = own_vpc.and_then(|own| self.vpcs.get(own)).filter(|vpc| vpc.holds(remote));
        if let Some(vpc) = in_own_vpc {
            return vpc.of_no_known();
        }
        let leads = asker.routes.map(|routes| routes.kind_to(remote));
        if direction.is_egress() && leads.is_some_and(RouteKind::loses_references) {
            return Identity::Nobody;
        }
        let joined = |pairs: &HashSet<(String, String)>, vpc: Option<&str>| match (vpc, own_vpc) {
            (Some(vpc), Some(own)) => pairs.contains(&(own.to_string(), vpc.to_string())),
            _ => false,
        };
        // Both ways may be there at once, and the routes choose (spec 2.4 goes by the path).
        let over = |owner: &Owner| self.over_transit(asker, remote, &owner.interface);
        let peers =
            holders().filter(|owner| joined(&self.peered, owner.vpc()) && over(owner) != Ternary::Yes);
        let unsure = peers.clone().any(|owner| over(owner) == Ternary::Maybe);
        if let Some(identity) = self.reached(asker, remote, peers) {
            return match identity {
                Identity::Member(groups) if unsure => Identity::MaybeMember(groups),
                identity => identity,
            };
        }
        let mut groups: Vec<&str> = Vec::new();
        let (mut elsewhere, mut sure) = (false, true);
        for owner in holders() {
            elsewhere = true;
            // Without a look at the peering connections the way may be one of these, unless routes tell.
            let by_transit = over(owner) == Ternary::Yes;
            let forbidden = (self.peerings_known || by_transit)
                && owner.vpc().zip(own_vpc).is_some_and(|(vpc, own)| self.transit_forbids(own, vpc));
            if forbidden
                || joined(&self.far_peered, owner.vpc())
                || self.path(asker, remote, &owner.interface) == Path::Diverted
            {
                continue;
            }
            if !owner.interface.groups_known {
                return Identity::Unknown;
            }
            sure &= by_transit
                && !owner.in_doubt
                && owner.vpc().zip(own_vpc).is_some_and(|(vpc, own)| self.transit_allows(own, vpc));
            groups.extend(owner.groups());
        }
        if elsewhere {
            let only_transit = self.peerings_known && direction.is_egress();
            return if only_transit || groups.is_empty() {
                Identity::Nobody
            } else if sure && holders().nth(1).is_none() {
                Identity::Member(groups)
            } else {
                Identity::MaybeMember(groups)
            };
        }
        let mut others =
            self.vpcs.values().filter(|vpc| vpc.holds(remote)).map(KnownVpc::of_no_known).peekable();
        if others.peek().is_some() {
            return if others.all(|found| found == Identity::Nobody) {
                Identity::Nobody
            } else {
                Identity::Unknown
            };
        }
        // A private address of a VPC that no input describes.
        if !is_internet(remote) || self.peer_blocks.iter().any(|block| block.contains(remote)) {
            return Identity::Unknown;
        }
        // IPv6 addresses of VPCs look like those of the internet, so a member of a group that is not described may have one;
        // those of the others lie in the blocks that are known.
        let outside = matches!(leads, Some(RouteKind::Internet | RouteKind::EgressOnly));
        let over_internet = direction.is_egress() && outside;
        if remote.is_ipv6() && !over_internet && !asker.foreign.is_empty() {
            return Identity::MaybeMember(asker.foreign.iter().map(String::as_str).collect());
        }
        Identity::Nobody
    }

    /// Whether an interface with this private address carries a group, however it is reached.
    pub(super) fn is_member(&self, remote: &IpAddr, group: &str) -> bool {
        self.holders(remote).any(|owner| owner.groups().any(|id| id == group))
    }

    /// Whether `remote` is an address of some known interface of a VPC, or of one whose VPC is not known.
    pub(super) fn is_known_in(&self, vpc: Option<&str>, remote: &IpAddr) -> bool {
        self.holders(remote).any(|owner| owner.vpc().zip(vpc).is_none_or(|(one, other)| one == other))
    }

    /// Whether `remote` is a private address of some known interface.
    pub fn is_known(&self, remote: &IpAddr) -> bool {
        self.holders(remote).next().is_some()
    }

    /// Whether an address is of a Network Load Balancer's interface.
    pub(super) fn is_network_balancer(&self, remote: &IpAddr) -> bool {
        self.has_network_balancers
            && self.holders(remote).any(|owner| owner.interface.is_type(NETWORK_BALANCER))
    }

    fn holders<'a>(&'a self, remote: &'a IpAddr) -> impl Iterator<Item = &'a Owner> + Clone {
        let direct = self.by_address.get(remote).into_iter().flatten();
        let prefixes = self.delegated_lengths.iter().filter_map(|len| Prefix::new(*remote, *len));
        let delegated = prefixes.filter_map(|prefix| self.delegated.get(&prefix)).flatten();
        direct.chain(delegated).filter_map(|at| self.owners.get(*at))
    }

    /// Whether `remote` is known to be reached without the internet: in a block of a known VPC or of one behind a peering
    /// connection. IPv6 addresses of VPCs, and blocks that are nobody else's, look like those of the internet.
    pub fn is_inside(&self, remote: &IpAddr) -> bool {
        self.in_some_vpc(remote)
            || self.is_known(remote)
            || self.peer_blocks.iter().any(|block| block.contains(remote))
    }

    /// Whether `remote` lies in a block of some known VPC of its family.
    pub fn in_some_vpc(&self, remote: &IpAddr) -> bool {
        self.vpcs.values().any(|vpc| vpc.holds(remote))
    }

    /// Whether the VPC holds `remote`; `None` when its blocks do not tell.
    pub fn in_vpc(&self, vpc: &str, remote: &IpAddr) -> Option<bool> {
        let known = self.vpcs.get(vpc)?;
        let holds = known.holds(remote);
        (holds || known.described).then_some(holds)
    }

    /// Whether the interface with this address in a VPC is in a subnet; `None` when no such interface is known.
    pub(super) fn in_subnet(&self, vpc: Option<&str>, subnet: &str, remote: &IpAddr) -> Option<bool> {
        let here =
            self.holders(remote).filter(|owner| vpc.is_none() || owner.vpc().is_none() || owner.vpc() == vpc);
        let mut subnets = here.filter_map(|owner| owner.interface.subnet_id.as_deref()).peekable();
        subnets.peek()?;
        Some(subnets.any(|id| id == subnet))
    }
}

/// Whether an interface shows no IPv4 address in a subnet of IPv4, where each has one.
fn lacks_v4(network: &Network, interface: &NetworkInterface, view: View) -> bool {
    let subnet = || network.subnets.get(interface.subnet_id.as_deref()?, view);
    let of_v4 = |prefix: &Prefix| prefix.network().is_ipv4();
    !interface.addresses.iter().any(IpAddr::is_ipv4)
        && subnet().is_some_and(|subnet| subnet.value.cidrs.iter().any(of_v4))
}

/// The one holder of an address in a VPC. Addresses are used again: of several interfaces that were captured with it at
/// different times the one that is known to have existed at the moment holds it, and where that is none or they are several,
/// it may be any of them (spec 2.4: membership at the record's time).
fn of_holders<'a>(holders: impl Iterator<Item = &'a Owner> + Clone) -> Option<Identity<'a>> {
    let sure = holders.clone().any(|owner| owner.in_force);
    let mut holders = holders.filter(|owner| owner.in_force || !sure);
    let first = holders.next()?;
    let differs = |owner: &&Owner| {
        owner.interface.group_ids != first.interface.group_ids || !owner.interface.groups_known
    };
    let mut others = holders.filter(differs).peekable();
    if others.peek().is_none() || !first.interface.groups_known {
        return Some(first.identity());
    }
    let mut groups: Vec<&str> = first.groups().collect();
    for other in others {
        if !other.interface.groups_known {
            return Some(Identity::Unknown);
        }
        groups.extend(other.groups());
    }
    Some(Identity::MaybeMember(groups))
}

impl Owner {
    fn vpc(&self) -> Option<&str> {
        self.interface.vpc_id.as_deref()
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.interface.group_ids.iter().map(String::as_str)
    }

    fn identity(&self) -> Identity<'_> {
        if !self.interface.groups_known {
            return Identity::Unknown;
        }
        let groups = self.groups().collect();
        if self.in_doubt { Identity::MaybeMember(groups) } else { Identity::Member(groups) }
    }
}
