//! The smallest change to a route table that gives an address a way, where the configuration holds what could carry it.

use std::collections::HashSet;
use std::net::IpAddr;

use super::Stage;
use super::walk::{Local, Walk};
use crate::attribute::{Fix, quoted, resource, route_text};
use crate::net::{Prefix, is_internet};
use crate::network::{Destination, Origin, Peering, Route, RouteTable};

/// A change to a route table, and what the route then leads to.
pub(super) struct Mended {
    pub(super) fix: Fix,
    pub(super) target: String,
}

/// What a route could lead to, and to which block.
struct Carrier {
    target: String,
    block: Prefix,
    /// What has to be done before it carries anything.
    accept: Option<Fix>,
}

/// The status of a peering connection that waits for the accepter.
pub(super) const PENDING: &str = "pending-acceptance";

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
        let Some(Carrier { target, block, accept }) = self.carrier(local, remote, far, dead) else {
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
        let option = match &destination {
            Destination::Cidr(cidr) if cidr.network().is_ipv4() => "--destination-cidr-block",
            Destination::Cidr(_) => "--destination-ipv6-cidr-block",
            Destination::PrefixList(_) => "--destination-prefix-list-id",
        };
        let (by, attribute) = match target.split('-').next().unwrap_or_default() {
            "pcx" => ("--vpc-peering-connection-id", "vpc_peering_connection_id"),
            "tgw" => ("--transit-gateway-id", "transit_gateway_id"),
            "nat" => ("--nat-gateway-id", "nat_gateway_id"),
            "eigw" => ("--egress-only-internet-gateway-id", "egress_only_gateway_id"),
            _ => ("--gateway-id", "gateway_id"),
        };
        let (verb, word) =
            if dead.is_some() { ("replace-route", "replace") } else { ("create-route", "add") };
        let id = &table.id;
        let inline = self.network.inline_in(id);
        let fix = Fix::new(
            format!("{word} the route of {id} to {destination}: over {target}"),
            format!("aws ec2 {verb} --route-table-id {id} {option} {destination} {by} {target}"),
            route_text(id, &destination, (attribute, &target), inline, dead.is_some()),
        );
        let fix = match accept {
            Some(accept) => accept.and(fix),
            None => fix,
        };
        Ok(Mended { fix, target })
    }

    /// The acceptance that a peering connection waits for. The accepter's account gives it, in the accepter's Region.
    pub(super) fn acceptance(&self, peering: &Peering) -> Fix {
        let id = &peering.id;
        let end = &peering.accepter;
        let region = end.region.as_ref().map(|region| format!(" --region {region}")).unwrap_or_default();
        let by = match (&end.owner_id, peering.requester.owner_id == end.owner_id) {
            (Some(account), false) => format!(", as account {account}"),
            _ => String::new(),
        };
        Fix::new(
            format!("accept {id}{by} (a request is open for seven days)"),
            format!("aws ec2 accept-vpc-peering-connection --vpc-peering-connection-id {id}{region}"),
            resource(
                "aws_vpc_peering_connection_accepter",
                id,
                &[("vpc_peering_connection_id", quoted(id)), ("auto_accept", "true".to_owned())],
            ),
        )
    }

    /// The Elastic address that an interface needs to reach the internet, or to be reached from there, over an internet gateway.
    /// None is for interfaces of services, which decide about their addresses themselves.
    pub(super) fn elastic_address(&self, local: &Local) -> Option<Fix> {
        let (own, interface) = (local.own, &local.rules.interface);
        let of_service = interface.requester_managed || interface.balancer_name().is_some();
        if of_service || interface.interface_type.as_deref().is_some_and(|kind| kind != "interface") {
            return None;
        }
        let id = &interface.id;
        Some(Fix::new(
            format!("give {own} of {id} an Elastic address"),
            format!(
                "aws ec2 associate-address --network-interface-id {id} --private-ip-address {own} --allocation-id \"$(aws \
                 ec2 allocate-address --domain vpc --query AllocationId --output text)\""
            ),
            resource(
                "aws_eip",
                &format!("{id} {own}"),
                &[
                    ("domain", quoted("vpc")),
                    ("network_interface", quoted(id)),
                    ("associate_with_private_ip", quoted(own)),
                ],
            ),
        ))
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
            return Some(Carrier { target, block: Prefix::host(remote), accept: None });
        }
        let far_vpc = far.and_then(|far| far.rules.interface.vpc_id.as_deref());
        let gone = |id: &str| dead.is_some_and(|route| route.target == id);
        let block_of = |vpc: &str, known: &[Prefix]| {
            let vpc = self.network.vpcs.get(vpc, self.view);
            let blocks = vpc.iter().flat_map(|vpc| &vpc.value.cidrs).chain(known);
            blocks.filter(|block| block.contains(&remote)).max_by_key(|block| block.prefix_len()).copied()
        };
        let over = |status: &str| {
            self.network.peerings.all(self.view).find_map(|found| {
                let peering = found.value;
                let ends = [(&peering.requester, &peering.accepter), (&peering.accepter, &peering.requester)];
                let (_, other) = ends.into_iter().find(|(end, _)| end.vpc_id.as_deref() == Some(own))?;
                let vpc = other.vpc_id.as_deref()?;
                let is_other = far_vpc.is_some_and(|far| far != vpc) || vpc == own;
                if is_other || peering.status.as_deref() != Some(status) || gone(&peering.id) {
                    return None;
                }
                Some((peering.as_ref(), found.version.origin, block_of(vpc, &other.cidrs)?))
            })
        };
        if let Some((peering, _, block)) = over("active") {
            return Some(Carrier { target: peering.id.clone(), block, accept: None });
        }
        if let Some(carrier) = self.shared_gateway(own, far_vpc, dead, |vpc| block_of(vpc, &[])) {
            return Some(carrier);
        }
        // A state keeps what it read before the other side accepted.
        let (peering, _, block) = over(PENDING).filter(|(_, origin, _)| *origin != Origin::Terraform)?;
        Some(Carrier { target: peering.id.clone(), block, accept: Some(self.acceptance(peering)) })
    }

    /// The transit gateway to which both VPCs are attached.
    fn shared_gateway(
        &self,
        own: &str,
        far_vpc: Option<&str>,
        dead: Option<&Route>,
        block_of: impl Fn(&str) -> Option<Prefix>,
    ) -> Option<Carrier> {
        let gone = |id: &str| dead.is_some_and(|route| route.target == id);
        let theirs = self.transit_gateways(far_vpc?);
        let gateway = self.transit_gateways(own).into_iter().find(|id| theirs.contains(id) && !gone(id))?;
        Some(Carrier { target: gateway, block: block_of(far_vpc?)?, accept: None })
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

/// Tells each command once: what a fix has of an earlier one is done by that. EC2 refuses most commands that are given twice.
pub(super) fn tell_once(stages: &mut [Stage]) {
    let mut told: HashSet<String> = HashSet::new();
    for fix in stages.iter_mut().filter_map(|stage| stage.fix.as_mut()) {
        let lines: Vec<&str> = fix.command.lines().collect();
        let new: Vec<&str> = lines.iter().copied().filter(|line| !told.contains(*line)).collect();
        if !lines.is_empty() && new.is_empty() {
            *fix = Fix::done(format!("{}, as another fix here does", fix.text));
            continue;
        }
        let command = new.join("\n");
        told.extend(new.into_iter().map(str::to_owned));
        fix.command = command;
    }
}
