//! Where a subnet's route table leads packets, as far as filters care (spec 1.2, 2.4).

use crate::net::Prefix;
use crate::network::{Destination, Network, NetworkInterface, Preference, View};
use std::net::IpAddr;

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteKind {
    Local,
    Transit,
    /// `vpce-…` that is no gateway endpoint: a Gateway Load Balancer or Network Firewall endpoint.
    GatewayEndpoint,
    /// An interface or instance that forwards.
    Appliance,
    Internet,
    /// An egress-only internet gateway.
    EgressOnly,
    Nat,
    /// A peering connection, or a virtual private gateway.
    Private,
    Other,
}

impl RouteKind {
    fn of(target: &str) -> Self {
        if target == "local" {
            RouteKind::Local
        } else if target.starts_with("tgw-") || target.contains(":core-network/") {
            RouteKind::Transit
        } else if target.starts_with("vpce-") {
            RouteKind::GatewayEndpoint
        } else if target.starts_with("eni-") || target.starts_with("i-") {
            RouteKind::Appliance
        } else if target.starts_with("igw-") {
            RouteKind::Internet
        } else if target.starts_with("eigw-") {
            RouteKind::EgressOnly
        } else if target.starts_with("nat-") {
            RouteKind::Nat
        } else if target.starts_with("pcx-") || target.starts_with("vgw-") {
            RouteKind::Private
        } else {
            RouteKind::Other
        }
    }

    /// Whether no outbound rule can name a group of what is reached over it (spec 2.4).
    pub(super) fn loses_references(self) -> bool {
        self == RouteKind::Transit || self.is_middlebox()
    }

    /// Whether what is reached over it is not the internet's, whatever its address: public ranges stand behind private paths, too.
    pub(super) fn is_private(self) -> bool {
        matches!(self, RouteKind::Local | RouteKind::Transit | RouteKind::Private)
    }

    /// Whether groups track what takes this way whatever their rules say (spec 2.2; of endpoints in routes, those of Network
    /// Firewall are meant, which look like others).
    pub(super) fn tracks(self) -> bool {
        matches!(self, RouteKind::EgressOnly | RouteKind::Nat | RouteKind::GatewayEndpoint)
    }

    /// Whether what passes there goes through an appliance.
    fn is_middlebox(self) -> bool {
        matches!(self, RouteKind::GatewayEndpoint | RouteKind::Appliance)
    }
}

/// One route, its prefix list resolved.
#[derive(Debug, Clone)]
struct Leads {
    to: Prefix,
    kind: RouteKind,
    preference: Preference,
    target: String,
}

/// The routes of a subnet, in the order in which packets take them.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes(Vec<Leads>);

impl Routes {
    /// Those of a subnet's table; `None` where the configuration has none for it, or not all of it.
    pub(super) fn of_subnet(
        network: &Network,
        subnet_id: &str,
        vpc_id: Option<&str>,
        view: View,
    ) -> Option<Self> {
        let table =
            network.route_table_of(subnet_id, vpc_id, view).filter(|table| !table.value.more_routes)?;
        let mut routes = Vec::new();
        for route in &table.value.routes {
            // A route that leads nowhere takes its packets all the same: a shorter one does not.
            let kind = match route.is_blackhole() {
                true => RouteKind::Other,
                false => RouteKind::of(&route.target),
            };
            let preference = route.preference();
            let lead = |to: &Prefix| Leads { to: *to, kind, preference, target: route.target.clone() };
            match &route.destination {
                Destination::Cidr(prefix) if table.value.is_overruled(route, prefix) => {}
                Destination::Cidr(prefix) => routes.push(lead(prefix)),
                // Routes to AWS's own lists are gateway endpoints, which have no interface.
                Destination::PrefixList(_) if kind == RouteKind::GatewayEndpoint => {}
                Destination::PrefixList(list) => {
                    let list = network.prefix_lists.get(list, view);
                    let entries = list.iter().filter_map(|list| list.value.entries.as_ref()).flatten();
                    routes.extend(entries.map(lead));
                }
            }
        }
        routes.sort_by_key(|route| std::cmp::Reverse((route.to.prefix_len(), route.preference)));
        Some(Routes(routes))
    }

    fn best(&self, remote: &IpAddr) -> Option<&Leads> {
        self.0.iter().find(|route| route.to.contains(remote))
    }

    /// Where packets for `remote` go.
    pub(super) fn kind_to(&self, remote: &IpAddr) -> RouteKind {
        self.best(remote).map_or(RouteKind::Other, |route| route.kind)
    }

    /// Whether packets for `remote` go through a middlebox that is none of `ends`.
    pub(super) fn diverts(&self, remote: &IpAddr, ends: [Option<&NetworkInterface>; 2]) -> bool {
        let is_end = |target: &str| {
            ends.iter().flatten().any(|end| end.id == target || end.instance_id.as_deref() == Some(target))
        };
        self.best(remote).is_some_and(|route| route.kind.is_middlebox() && !is_end(&route.target))
    }

    /// Whether any route leads over a transit gateway.
    pub(super) fn has_transit(&self) -> bool {
        self.0.iter().any(|route| route.kind == RouteKind::Transit)
    }

    /// Whether any route leads through a middlebox.
    pub(super) fn has_middlebox(&self) -> bool {
        self.0.iter().any(|route| route.kind.is_middlebox())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn the_order_of_routes_in_a_file_says_nothing_about_the_way() {
        let kind = |routes: &[&str], to: &str| {
            let text: String = routes.iter().map(|route| format!("route subnet-1 {route}\n")).collect();
            let network =
                Fixture::new(&format!("vpc vpc-1 10.0.0.0/16\nsubnet subnet-1 vpc-1 10.0.1.0/24\n{text}"))
                    .network();
            let view = View { at: 0, after: false };
            Routes::of_subnet(&network, "subnet-1", Some("vpc-1"), view)
                .unwrap()
                .kind_to(&to.parse().unwrap())
        };
        let (fixed, made) = ("10.8.0.0/16 tgw-1", "10.8.0.0/16 vgw-1 propagated");
        for routes in [[fixed, made], [made, fixed]] {
            assert_eq!(kind(&routes, "10.8.1.1"), RouteKind::Transit);
        }
        // The local route comes before a narrower propagated one, and not before a narrower static one.
        assert_eq!(
            kind(&["10.0.0.0/16 local", "10.0.2.0/24 vgw-1 propagated"], "10.0.2.1"),
            RouteKind::Local
        );
        assert_eq!(kind(&["10.0.0.0/16 local", "10.0.2.0/24 eni-1"], "10.0.2.1"), RouteKind::Appliance);
    }
}
