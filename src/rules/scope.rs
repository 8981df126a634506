//! Which lists of which network ACL apply to a record of an interface (spec 1.2), and what neither layer filters (2.7, 3.4).

use super::owners::Owners;
use super::packet::{Direction, Ternary};
use super::routes::{RouteKind, Routes};
use crate::net::{Family, Prefix, is_internet};
use crate::network::{Network, NetworkInterface, View};
use hashbrown::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Why the lists apply or not; named after the rows of spec 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScopeReason {
    /// Row a: both ends are in one subnet.
    IntraSubnet,
    /// Row a, but whose address the other end is cannot be told.
    IntraSubnetUnsure,
    /// Row b: a Classic Load Balancer's traffic is filtered inside the subnet too.
    ClassicLoadBalancer,
    /// Row c: out to a transit gateway whose attachment interface is in the subnet.
    ToTransitGateway,
    /// Row d: in from it.
    FromTransitGateway,
    /// Row e: at the attachment interface, towards or from an instance of the subnet.
    AtTransitGateway,
    /// Row g: out to a Gateway Load Balancer endpoint in the subnet.
    ToGatewayEndpoint,
    /// Row h: in from it.
    FromGatewayEndpoint,
    /// A gateway's interface is in the subnet and the route tables are not known.
    GatewayUnsure,
    /// Rows f and i: across the subnet's border.
    Border,
    /// The subnet's blocks are not known.
    SubnetUnknown,
}

/// One list to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListUse {
    /// Which list.
    pub direction: Direction,
    /// The address that it looks at.
    pub address: IpAddr,
    /// Whether it surely applies.
    pub sure: bool,
}

/// Which lists apply to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whether any list applies.
    pub applies: Ternary,
    /// Why.
    pub reason: ScopeReason,
    /// The lists, if any.
    pub lists: [Option<ListUse>; 2],
}

/// What the scope depends on and is the same for all interfaces of a subnet.
#[derive(Debug, Clone, Default)]
pub(super) struct SubnetFacts {
    id: String,
    cidrs: Vec<Prefix>,
    /// A transit gateway's attachment interface is in the subnet.
    transit_here: bool,
    /// A Gateway Load Balancer endpoint's interface is in the subnet.
    endpoints_here: bool,
    /// The subnet's routes; `None` when there is no route table.
    routes: Option<Routes>,
    /// Addresses of Classic Load Balancers in the subnet.
    classic_addresses: HashSet<IpAddr>,
    /// Addresses of all interfaces in the subnet.
    addresses: HashSet<IpAddr>,
    vpc_id: Option<String>,
}

/// What the scope depends on and is the same for all records of an interface.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    subnet: Arc<SubnetFacts>,
    own_is_classic: bool,
    own_is_transit: bool,
    own_is_gateway_endpoint: bool,
}

impl SubnetFacts {
    pub(super) fn new(network: &Network, subnet_id: &str, vpc_id: Option<&str>, view: View) -> Self {
        let subnet = network.subnets.get(subnet_id, view);
        let mut found = SubnetFacts {
            id: subnet_id.to_string(),
            cidrs: subnet.as_ref().map(|subnet| subnet.value.cidrs.clone()).unwrap_or_default(),
            vpc_id: (vpc_id.map(str::to_string))
                .or_else(|| subnet.and_then(|subnet| subnet.value.vpc_id.clone())),
            ..SubnetFacts::default()
        };
        for other in network.interfaces_in(subnet_id, view) {
            let other = other.value;
            found.transit_here |= other.is_type("transit_gateway");
            found.endpoints_here |= other.is_type("gateway_load_balancer_endpoint");
            if other.is_classic_lb() {
                found.classic_addresses.extend(&other.addresses);
            }
            found.addresses.extend(&other.addresses);
        }
        found.routes = Routes::of_subnet(network, subnet_id, vpc_id, view);
        found
    }

    fn route_to(&self, remote: &IpAddr) -> Option<RouteKind> {
        Some(self.routes.as_ref()?.kind_to(remote))
    }
}

impl Surroundings {
    pub(super) fn new(interface: &NetworkInterface, subnet: Arc<SubnetFacts>) -> Self {
        Surroundings {
            subnet,
            own_is_classic: interface.is_classic_lb(),
            own_is_transit: interface.is_type("transit_gateway"),
            own_is_gateway_endpoint: interface.is_type("gateway_load_balancer_endpoint"),
        }
    }

    /// The subnet's routes; `None` where they are not known.
    pub(super) fn routes(&self) -> Option<&Routes> {
        self.subnet.routes.as_ref()
    }

    /// Whether [`scope`](Surroundings::scope) never names another list than that of the packet's own direction.
    pub(super) fn has_one_list(&self) -> bool {
        !(self.subnet.transit_here || self.subnet.endpoints_here)
    }

    /// The lists that apply to traffic with `remote`; `own` is the interface's own address where it is known.
    pub(super) fn scope(
        &self,
        direction: Direction,
        remote: IpAddr,
        own: Option<IpAddr>,
        owners: Option<&Owners>,
    ) -> Scope {
        let subnet = &self.subnet;
        let list = ListUse { direction, address: remote, sure: true };
        let one = |applies, reason| Scope { applies, reason, lists: [Some(list), None] };
        let none = |reason| Scope { applies: Ternary::No, reason, lists: [None, None] };
        let found =
            || owners.and_then(|owners| owners.in_subnet(subnet.vpc_id.as_deref(), &subnet.id, &remote));
        let has_family = subnet.cidrs.iter().any(|cidr| cidr.family() == Family::of(&remote));
        let within = match !has_family {
            false => Some(subnet.cidrs.iter().any(|cidr| cidr.contains(&remote))),
            // Without the subnet's blocks of the family its interfaces tell, and the VPC's blocks.
            true => found().or_else(|| {
                let vpc = subnet.vpc_id.as_deref().zip(owners);
                let in_vpc = vpc.and_then(|(vpc, owners)| owners.in_vpc(vpc, &remote));
                let outside =
                    in_vpc == Some(false) || (in_vpc.is_none() && remote.is_ipv4() && is_internet(&remote));
                outside.then_some(false)
            }),
        };
        if within == Some(true) {
            if self.own_is_classic || subnet.classic_addresses.contains(&remote) {
                return one(Ternary::Yes, ScopeReason::ClassicLoadBalancer);
            }
            if self.own_is_transit {
                return match direction {
                    Direction::Egress => none(ScopeReason::AtTransitGateway),
                    Direction::Ingress => one(Ternary::Maybe, ScopeReason::AtTransitGateway),
                };
            }
            if subnet.addresses.contains(&remote) {
                return none(ScopeReason::IntraSubnet);
            }
            // Delegated prefixes are found by the owners' index.
            return match owners.is_some_and(|owners| owners.is_known(&remote)) {
                true => none(ScopeReason::IntraSubnet),
                false => one(Ternary::Maybe, ScopeReason::IntraSubnetUnsure),
            };
        }
        if within.is_none() {
            return one(Ternary::Maybe, ScopeReason::SubnetUnknown);
        }
        if self.own_is_transit
            || self.own_is_gateway_endpoint
            || !(subnet.transit_here || subnet.endpoints_here)
        {
            return one(Ternary::Yes, ScopeReason::Border);
        }
        let source = |sure| own.map(|address| ListUse { direction: Direction::Ingress, address, sure });
        match (subnet.route_to(&remote), direction) {
            (Some(RouteKind::Transit), Direction::Egress) if subnet.transit_here => Scope {
                applies: Ternary::Yes,
                reason: ScopeReason::ToTransitGateway,
                lists: [Some(list), source(true)],
            },
            (Some(RouteKind::Transit), Direction::Ingress) if subnet.transit_here => {
                none(ScopeReason::FromTransitGateway)
            }
            (Some(RouteKind::GatewayEndpoint), Direction::Egress) if subnet.endpoints_here => Scope {
                applies: Ternary::Yes,
                reason: ScopeReason::ToGatewayEndpoint,
                lists: [Some(list), source(false)],
            },
            (Some(RouteKind::GatewayEndpoint), Direction::Ingress) if subnet.endpoints_here => {
                one(Ternary::Maybe, ScopeReason::FromGatewayEndpoint)
            }
            (Some(_), _) => one(Ternary::Yes, ScopeReason::Border),
            (None, _) => {
                let in_vpc = (subnet.vpc_id.as_deref())
                    .and_then(|vpc| owners.and_then(|owners| owners.in_vpc(vpc, &remote)))
                    .unwrap_or(false);
                // To the gateway, if it is that way, the inbound list on the own address applies as well (rows c, g).
                let both = [Some(list), source(false).filter(|_| direction.is_egress())];
                match in_vpc {
                    true => one(Ternary::Yes, ScopeReason::Border),
                    false => {
                        Scope { applies: Ternary::Maybe, reason: ScopeReason::GatewayUnsure, lists: both }
                    }
                }
            }
        }
    }
}

/// The service that neither layer filters, if the remote is one (documented): Amazon DNS, DHCP, instance and task metadata,
/// Windows activation, Amazon Time Sync, and the addresses reserved for the VPC router.
pub fn unfiltered(subnet_cidrs: &[Prefix], vpc_cidrs: &[Prefix], remote: &IpAddr) -> Option<&'static str> {
    match remote {
        IpAddr::V4(addr) => {
            let addr = u32::from(*addr);
            let known = match addr {
                0xA9FE_A9FE => Some("instance metadata"), // 169.254.169.254
                0xA9FE_A9FD => Some("Amazon DNS"),        // 169.254.169.253
                0xA9FE_A97B => Some("Amazon Time Sync"),  // 169.254.169.123
                0xA9FE_A9FA | 0xA9FE_A9FB => Some("Windows activation"), // 169.254.169.250, .251
                0xA9FE_AA02 => Some("task metadata"),     // 169.254.170.2
                _ => None,
            };
            let offset = |cidrs: &[Prefix], by: u128| {
                cidrs.iter().any(|cidr| {
                    matches!(cidr.network(), IpAddr::V4(_)) && cidr.range_bits().0 + by == u128::from(addr)
                })
            };
            known
                .or_else(|| offset(subnet_cidrs, 1).then_some("VPC router"))
                .or_else(|| offset(vpc_cidrs, 2).then_some("Amazon DNS"))
        }
        IpAddr::V6(addr) => match u128::from(*addr) {
            0xFD00_0EC2_0000_0000_0000_0000_0000_0254 => Some("instance metadata"),
            0xFD00_0EC2_0000_0000_0000_0000_0000_0253 => Some("Amazon DNS"),
            0xFD00_0EC2_0000_0000_0000_0000_0000_0123 => Some("Amazon Time Sync"),
            0xFD00_0EC2_0000_0000_0000_0000_0000_0250 => Some("Windows activation"),
            _ => None,
        },
    }
}

/// Whether flow logs never hold traffic to a service that [`unfiltered`] names (spec 4.6).
pub fn is_never_logged(service: &str) -> bool {
    matches!(
        service,
        "Amazon DNS" | "Windows activation" | "instance metadata" | "Amazon Time Sync" | "VPC router"
    )
}
