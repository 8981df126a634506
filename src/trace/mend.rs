//! The smallest change to a route table that gives an address a way, where the configuration holds what could carry it.

use std::net::IpAddr;

use super::walk::{Local, Walk};
use crate::attribute::{Fix, quoted, resource};
use crate::net::{Prefix, is_internet};
use crate::network::{Destination, Route, RouteTable};
use crate::rules::InterfaceRules;

/// A change to a route table, and what the route then leads to.
pub(super) struct Mended {
    pub(super) fix: Fix,
    pub(super) target: String,
}

/// What a route could lead to, and to which block.
struct Carrier {
    target: String,
    block: Prefix,
}

impl Walk<'_> {
    /// The fix for a table without a route to `remote`, or with one (`dead`) that leads nowhere; where nothing that could
    /// carry it is known, what is missing.
    pub(super) fn mend_route(
        &self,
        local: &Local,
        remote: IpAddr,
        far: Option<&Local>,
        table: &RouteTable,
        dead: Option<&Route>,
    ) -> Result<Mended, String> {
        let Some(Carrier { target, block }) = self.carrier(local, remote, far, dead) else {
            let vpc = local.rules.interface.vpc_id.as_deref().unwrap_or("the VPC");
            let needed = match (is_internet(&remote), remote.is_ipv4()) {
                (true, true) if local.public().is_some() => "internet gateway",
                (true, true) => "NAT gateway, nor a public address for an internet gateway,",
                (true, false) => "internet gateway or egress-only internet gateway",
                (false, _) => "active peering connection or shared transit gateway",
            };
            return Err(format!("no {needed} of {vpc} that leads there is in the configuration"));
        };
        let destination = dead.map_or(Destination::Cidr(block), |route| route.destination.clone());
        let (option, attribute, to) = match &destination {
            Destination::Cidr(cidr) if cidr.network().is_ipv4() => {
                ("--destination-cidr-block", "destination_cidr_block", cidr.to_string())
            }
            Destination::Cidr(cidr) => {
                ("--destination-ipv6-cidr-block", "destination_ipv6_cidr_block", cidr.to_string())
            }
            Destination::PrefixList(list) => {
                ("--destination-prefix-list-id", "destination_prefix_list_id", list.clone())
            }
        };
        let (by, by_attribute) = match target.split('-').next().unwrap_or_default() {
            "pcx" => ("--vpc-peering-connection-id", "vpc_peering_connection_id"),
            "tgw" => ("--transit-gateway-id", "transit_gateway_id"),
            "nat" => ("--nat-gateway-id", "nat_gateway_id"),
            "eigw" => ("--egress-only-internet-gateway-id", "egress_only_gateway_id"),
            _ => ("--gateway-id", "gateway_id"),
        };
        let (verb, word) =
            if dead.is_some() { ("replace-route", "replace") } else { ("create-route", "add") };
        let id = &table.id;
        let fix = Fix {
            text: format!("{word} the route of {id} to {to}: over {target}"),
            command: format!("aws ec2 {verb} --route-table-id {id} {option} {to} {by} {target}"),
            terraform: resource(
                "aws_route",
                &format!("{id} {to}"),
                &[("route_table_id", quoted(id)), (attribute, quoted(&to)), (by_attribute, quoted(&target))],
            ),
        };
        Ok(Mended { fix, target })
    }

    /// Whether what a route leads to is gone.
    pub(super) fn is_dead(&self, route: &Route) -> bool {
        let peering = self.network.peerings.get(&route.target, self.view);
        let inactive = peering
            .is_some_and(|found| found.value.status.as_deref().is_some_and(|status| status != "active"));
        route.is_blackhole() || inactive
    }

    /// What carries packets for `remote`: between VPCs a peering connection before a transit gateway, since it needs no
    /// routes of its own; to the internet the gateway that the interface's addresses allow.
    fn carrier(
        &self,
        local: &Local,
        remote: IpAddr,
        far: Option<&Local>,
        dead: Option<&Route>,
    ) -> Option<Carrier> {
        let own = local.rules.interface.vpc_id.as_deref()?;
        if is_internet(&remote) && far.is_none_or(|far| far.own != remote) {
            let target = self.internet_gateway(own, local, &remote)?;
            return Some(Carrier { target, block: Prefix::host(remote) });
        }
        let far_vpc = far.and_then(|far| far.rules.interface.vpc_id.as_deref());
        let gone = |id: &str| dead.is_some_and(|route| route.target == id);
        let block_of = |vpc: &str, known: &[Prefix]| {
            let vpc = self.network.vpcs.get(vpc, self.view);
            let blocks = vpc.iter().flat_map(|vpc| &vpc.value.cidrs).chain(known);
            blocks.filter(|block| block.contains(&remote)).max_by_key(|block| block.prefix_len()).copied()
        };
        for found in self.network.peerings.all(self.view) {
            let peering = found.value;
            let ends = [(&peering.requester, &peering.accepter), (&peering.accepter, &peering.requester)];
            let Some((_, other)) = ends.into_iter().find(|(end, _)| end.vpc_id.as_deref() == Some(own))
            else {
                continue;
            };
            let Some(vpc) = other.vpc_id.as_deref() else { continue };
            if !peering.joins(own, vpc) || gone(&peering.id) || far_vpc.is_some_and(|far| far != vpc) {
                continue;
            }
            if let Some(block) = block_of(vpc, &other.cidrs) {
                return Some(Carrier { target: peering.id.clone(), block });
            }
        }
        let theirs = self.transit_gateways(far_vpc?);
        let gateway = self.transit_gateways(own).into_iter().find(|id| theirs.contains(id) && !gone(id))?;
        Some(Carrier { target: gateway, block: block_of(far_vpc?, &[])? })
    }

    /// The gateway to the internet that is known of a VPC, by the routes of its other tables and its NAT gateways.
    fn internet_gateway(&self, vpc: &str, local: &Local, remote: &IpAddr) -> Option<String> {
        let routed = |kind: &str| {
            self.network.route_tables.all(self.view).find_map(|found| {
                let of_subnet = found.value.subnet_ids.iter().any(|id| {
                    let subnet = self.network.subnets.get(id, self.view);
                    subnet.is_some_and(|subnet| subnet.value.vpc_id.as_deref() == Some(vpc))
                });
                let here = found.value.vpc_id.as_deref() == Some(vpc) || of_subnet;
                let mut routes = found.value.routes.iter().filter(|_| here);
                let live = |route: &&Route| route.target.starts_with(kind) && !route.is_blackhole();
                routes.find(live).map(|route| route.target.clone())
            })
        };
        if remote.is_ipv6() {
            return routed("igw-").or_else(|| routed("eigw-"));
        }
        if local.public().is_some() {
            return routed("igw-");
        }
        // AWS writes `Interface for NAT Gateway nat-…` into the description of the gateway's interface.
        let described = self.network.interfaces.all(self.view).find_map(|found| {
            let interface = found.value;
            let here = interface.is_type("nat_gateway") && interface.vpc_id.as_deref() == Some(vpc);
            let words = interface.description.as_deref().filter(|_| here)?;
            words.split_whitespace().find(|word| word.starts_with("nat-")).map(str::to_owned)
        });
        described.or_else(|| routed("nat-"))
    }
}

/// The group by which a rule had better name what is at the other end: the nodes of a load balancer and the interfaces of
/// endpoints and functions come and go with their addresses (spec 5.5), and references hold within a VPC (spec 2.4).
pub(super) fn group_of_peer(peer: &InterfaceRules, own: &InterfaceRules) -> Option<String> {
    let interface = &peer.interface;
    let balancer = interface.balancer_name().is_some();
    let managed = balancer || interface.is_endpoint() || interface.is_type("lambda");
    let same = interface.vpc_id.is_some() && interface.vpc_id == own.interface.vpc_id;
    interface.group_ids.first().filter(|_| managed && same).cloned()
}

/// A group's fix that refers to the peer's group instead of its address.
pub(super) fn by_reference(fix: Fix, remote: &IpAddr, peer: &str) -> Fix {
    let host = Prefix::host(*remote);
    let by_address = match remote {
        IpAddr::V4(_) => format!("IpRanges=[{{CidrIp={host}}}]"),
        IpAddr::V6(_) => format!("Ipv6Ranges=[{{CidrIpv6={host}}}]"),
    };
    let by_group = format!("UserIdGroupPairs=[{{GroupId={peer}}}]");
    let mut lines = fix.terraform.lines();
    let header = lines.next().unwrap_or_default();
    let arguments: Vec<(&str, String)> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| match key.trim() {
            "cidr_ipv4" | "cidr_ipv6" => ("referenced_security_group_id", quoted(peer)),
            key => (key, value.trim().to_owned()),
        })
        .collect();
    let width = arguments.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let arguments: String =
        arguments.iter().map(|(key, value)| format!("  {key:width$} = {value}\n")).collect();
    Fix {
        text: format!("{}, for {peer}, which what connects carries", fix.text),
        command: fix.command.replace(&by_address, &by_group),
        terraform: format!("{header}\n{arguments}}}"),
    }
}
