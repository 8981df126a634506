//! The smallest change to a route table that gives an address a way, where the configuration holds what could carry it.

use std::collections::HashSet;
use std::net::IpAddr;

use super::Stage;
use super::route::NAT64;
use super::walk::{Local, Walk};
use crate::attribute::{Fix, quoted, resource, route_text};
use crate::net::{Prefix, behind_nat64, is_internet};
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
        if let Some(found) = self.endpoint(local, remote, table).filter(|_| dead.is_none()) {
            return Ok(found);
        }
        let Some(Carrier { target, block, accept }) = self.carrier(local, remote, far, table, dead) else {
            let vpc = local.rules.interface.vpc_id.as_deref().unwrap_or("the VPC");
            let needed = match (is_internet(&remote), remote.is_ipv4()) {
                _ if behind_nat64(&remote) != remote => "NAT gateway",
                (true, true) if local.public().is_some() => "internet gateway",
                (true, true) => "NAT gateway, nor a public address for an internet gateway,",
                (true, false) => "internet gateway or egress-only internet gateway",
                (false, _) => "active peering connection or shared transit gateway",
            };
            return Err(format!("no {needed} of {vpc} that leads there is in the configuration"));
        };
        let destination = dead.map_or(Destination::Cidr(block), |route| route.destination.clone());
        let fix = self.route_fix(&table.id, &destination, &target, dead.is_some());
        // An internet gateway carries nothing that has no public address.
        let needs_address = target.starts_with("igw-") && remote.is_ipv4() && local.public().is_none();
        let address =
            self.elastic_address(local).filter(|_| needs_address && local.public_unknown().is_none());
        let fix = match address {
            Some(address) => fix.and(address),
            None => fix,
        };
        let mut fix = match accept {
            Some(accept) => accept.and(fix),
            None => fix,
        };
        if target.starts_with("igw-") && remote.is_ipv6() && !leads_to_internet(table) {
            fix.text.push_str(
                ", by which the internet can begin flows to this subnet's addresses too (create-egress-only-internet-gateway \
                 makes one that lets out only)",
            );
        }
        Ok(Mended { fix, target })
    }

    /// The gateway endpoint of the VPC for a service's address, which a table does not lead to yet.
    fn endpoint(&self, local: &Local, remote: IpAddr, table: &RouteTable) -> Option<Mended> {
        let vpc = local.rules.interface.vpc_id.as_deref()?;
        if !is_internet(&remote) || !self.is_for_endpoints() {
            return None;
        }
        let id = self.network.route_tables.all(self.view).find_map(|found| {
            let of_vpc = found.value.vpc_id.as_deref() == Some(vpc);
            let mut routes = found.value.routes.iter().filter(|_| of_vpc);
            let leads = |route: &&Route| {
                let Destination::PrefixList(list) = &route.destination else { return false };
                let list = self.network.prefix_lists.get(list, self.view);
                let entries =
                    list.as_ref().and_then(|list| list.value.entries.as_deref()).unwrap_or_default();
                let holds = entries.iter().any(|block| block.contains(&remote));
                route.target.starts_with("vpce-") && !route.is_blackhole() && holds
            };
            routes.find(leads).map(|route| route.target.clone())
        })?;
        let table = &table.id;
        let fix = Fix::new(
            format!("let {table} lead to the gateway endpoint {id}"),
            format!("aws ec2 modify-vpc-endpoint --vpc-endpoint-id {id} --add-route-table-ids {table}"),
            resource(
                "aws_vpc_endpoint_route_table_association",
                &format!("{id} {table}"),
                &[("vpc_endpoint_id", quoted(&id)), ("route_table_id", quoted(table))],
            ),
        );
        Some(Mended { fix, target: id })
    }

    /// A route that is added to a table, or takes the place of the one to the same destination.
    pub(super) fn route_fix(
        &self,
        table: &str,
        destination: &Destination,
        target: &str,
        replaces: bool,
    ) -> Fix {
        let option = destination_option(destination);
        let (by, attribute) = match target.split('-').next().unwrap_or_default() {
            "pcx" => ("--vpc-peering-connection-id", "vpc_peering_connection_id"),
            "tgw" => ("--transit-gateway-id", "transit_gateway_id"),
            "nat" => ("--nat-gateway-id", "nat_gateway_id"),
            "eigw" => ("--egress-only-internet-gateway-id", "egress_only_gateway_id"),
            _ => ("--gateway-id", "gateway_id"),
        };
        let (verb, word) = if replaces { ("replace-route", "replace") } else { ("create-route", "add") };
        Fix::new(
            format!("{word} the route of {table} to {destination}: over {target}"),
            format!("aws ec2 {verb} --route-table-id {table} {option} {destination} {by} {target}"),
            route_text(table, destination, (attribute, target), self.network.inline_in(table), replaces),
        )
    }

    /// The change to a table whose route (to `block`) leads to what does not carry the packets, where something does.
    pub(super) fn detour(
        &self,
        local: &Local,
        remote: IpAddr,
        far: Option<&Local>,
        table: &RouteTable,
        (route, block): (&Route, Prefix),
    ) -> Option<Mended> {
        let Carrier { target, block: wanted, accept } =
            self.carrier(local, remote, far, table, Some(route))?;
        let destination = Destination::Cidr(wanted);
        let is_there = |one: &&Route| one.destination == destination && !one.is_blackhole();
        let same = table.routes.iter().find(is_there).filter(|one| !one.propagated);
        let fix = match (same, wanted.prefix_len() < block.prefix_len()) {
            // The good one is there, and a narrower one is in front of it.
            (Some(good), true) if good.target == target && !route.propagated => {
                let (id, to) = (&table.id, &route.destination);
                Fix::new(
                    format!(
                        "delete the route of {id} to {to}: that to {wanted} over {target} carries it then"
                    ),
                    format!("aws ec2 delete-route --route-table-id {id} {} {to}", destination_option(to)),
                    format!("# without the route of {id} to {to}"),
                )
            }
            (_, true) => {
                let narrow = Destination::Cidr(block);
                let replaces = narrow == route.destination && !route.propagated;
                self.route_fix(&table.id, &narrow, &target, replaces)
            }
            (same, false) => self.route_fix(&table.id, &destination, &target, same.is_some()),
        };
        let fix = match accept {
            Some(accept) => accept.and(fix),
            None => fix,
        };
        Some(Mended { fix, target })
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
        table: &RouteTable,
        dead: Option<&Route>,
    ) -> Option<Carrier> {
        let own = local.rules.interface.vpc_id.as_deref()?;
        if behind_nat64(&remote) != remote {
            // A route for these addresses alone leaves the NAT gateway's own way as it is, in its own subnet too.
            let target = self.nat_gateway(own, None)?;
            return Some(Carrier { target, block: NAT64.parse().ok()?, accept: None });
        }
        if is_internet(&remote) && far.is_none_or(|far| far.own != remote) {
            let target = self.internet_gateway(own, local, &remote, table)?;
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

    /// What would carry packets to another VPC without the internet.
    pub(super) fn private_way(&self, source: &Local, target: &Local) -> Option<String> {
        let (near, far) =
            (source.rules.interface.vpc_id.as_deref()?, target.rules.interface.vpc_id.as_deref()?);
        let mut peerings = self.network.peerings.all(self.view);
        let peered = peerings.find(|found| found.value.joins(near, far)).map(|found| found.value.id.clone());
        peered.or_else(|| {
            let theirs = self.transit_gateways(far);
            self.transit_gateways(near).into_iter().find(|id| theirs.contains(id))
        })
    }

    /// The gateway to the internet that is known of a VPC, by the routes of its other tables and its NAT gateways.
    fn internet_gateway(
        &self,
        vpc: &str,
        local: &Local,
        remote: &IpAddr,
        table: &RouteTable,
    ) -> Option<String> {
        let routed = |kind: &str| self.routed_to(vpc, kind);
        if remote.is_ipv6() {
            let only_out = routed("eigw-").filter(|_| !leads_to_internet(table));
            return only_out.or_else(|| routed("igw-")).or_else(|| routed("eigw-"));
        }
        if local.public().is_some() || leads_to_internet(table) {
            return routed("igw-").or_else(|| igw_of(table));
        }
        self.nat_gateway(vpc, Some(table)).or_else(|| {
            // Where the table is that of the NAT gateways' own subnets, nothing but an internet gateway is left.
            let only_here = self.nat_gateway(vpc, None).is_some() && self.elastic_address(local).is_some();
            routed("igw-").filter(|_| only_here)
        })
    }

    /// What a live route of some table of a VPC leads to.
    pub(super) fn routed_to(&self, vpc: &str, kind: &str) -> Option<String> {
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
    }

    /// A NAT gateway of a VPC that a table may lead to: none in a subnet of the same table, whose packets would come back to it.
    pub(super) fn nat_gateway(&self, vpc: &str, table: Option<&RouteTable>) -> Option<String> {
        // AWS writes `Interface for NAT Gateway nat-…` into the description of the gateway's interface.
        let mut known = self.network.interfaces.all(self.view).filter_map(|found| {
            let interface = found.value;
            let here = interface.is_type("nat_gateway") && interface.vpc_id.as_deref() == Some(vpc);
            let words = interface.description.as_deref().filter(|_| here)?;
            let id = words.split_whitespace().find(|word| word.starts_with("nat-"))?;
            let own = interface.subnet_id.as_deref().and_then(|subnet| {
                self.network.route_table_of(subnet, Some(vpc), self.view).map(|own| own.value.id.clone())
            });
            let same = table.is_some_and(|table| own.as_ref() == Some(&table.id));
            Some((id.to_owned(), same))
        });
        let described: Vec<(String, bool)> = known.by_ref().collect();
        let fit = described.iter().find(|(_, same)| !same).map(|(id, _)| id.clone());
        let is_same = |id: &String| described.iter().any(|(one, same)| one == id && *same);
        fit.or_else(|| self.routed_to(vpc, "nat-").filter(|id| !is_same(id)))
    }
}

fn destination_option(destination: &Destination) -> &'static str {
    match destination {
        Destination::Cidr(cidr) if cidr.network().is_ipv4() => "--destination-cidr-block",
        Destination::Cidr(_) => "--destination-ipv6-cidr-block",
        Destination::PrefixList(_) => "--destination-prefix-list-id",
    }
}

/// The internet gateway that a route of a table names, though it may be gone.
fn igw_of(table: &RouteTable) -> Option<String> {
    table.routes.iter().find(|route| route.target.starts_with("igw-")).map(|route| route.target.clone())
}

/// Whether a table is that of public subnets.
fn leads_to_internet(table: &RouteTable) -> bool {
    igw_of(table).is_some()
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
