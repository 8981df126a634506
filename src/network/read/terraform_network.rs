//! Terraform resources that lead traffic rather than filter it: interfaces, Elastic addresses, further blocks of VPCs, route tables, NAT gateways
//! and peering connections. Their pieces lie in several resources each, so they are gathered first and put together at the end.

use super::elements::Need;
use super::node::{Node, push_new};
use super::terraform::Resource;
use super::terraform_elastic::Elastic;
use super::terraform_inline::Part;
use super::terraform_parts::{Addition, local_route};
use super::{Context, NetworkBuilder, record};
use crate::net::Prefix;
use crate::network::model::*;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// What is gathered from several resources before objects are made.
#[derive(Default)]
pub(super) struct Plumbing {
    elastic: Vec<Elastic>,
    vpc_blocks: Vec<(String, Prefix)>,
    tables: BTreeMap<String, RouteTable>,
    routes: Vec<(String, Route)>,
    table_subnets: Vec<(String, String)>,
    table_gateways: Vec<(String, String)>,
    peerings: BTreeMap<String, Peering>,
    /// Tables of which not all routes can be read.
    unreadable_tables: Vec<String>,
    main_tables: HashMap<String, String>,
    nat_interfaces: Vec<NetworkInterface>,
    /// Gateways that there are.
    gateways: Vec<String>,
    /// Resource types that bear on traffic and are not read, with how many there are.
    unread: BTreeMap<String, usize>,
}

impl Plumbing {
    /// A connection, or the other resource of it; of two states of it the active one is the later.
    fn peering(&mut self, peering: Peering) {
        let Some(known) = self.peerings.get_mut(&peering.id) else {
            self.peerings.insert(peering.id.clone(), peering);
            return;
        };
        if known.status.as_deref() != Some("active") {
            known.status = peering.status.or(known.status.take());
        }
        for (known, other) in
            [(&mut known.requester, peering.requester), (&mut known.accepter, peering.accepter)]
        {
            known.vpc_id = known.vpc_id.take().or(other.vpc_id);
            known.owner_id = known.owner_id.take().or(other.owner_id);
            known.region = known.region.take().or(other.region);
        }
    }

    /// A VPC names its main route table, unless an association names another.
    pub(super) fn main_table(&mut self, vpc: &str, values: Node<'_>) {
        if let Some(table) = values.text("main_route_table_id") {
            self.main_tables.entry(vpc.to_string()).or_insert(table);
        }
    }
}

/// The attributes that name a route's target, in `aws_route` and in the routes of a table.
const TARGETS: [&str; 12] = [
    "gateway_id",
    "nat_gateway_id",
    "transit_gateway_id",
    "network_interface_id",
    "vpc_peering_connection_id",
    "egress_only_gateway_id",
    "carrier_gateway_id",
    "local_gateway_id",
    "core_network_arn",
    "vpc_endpoint_id",
    "odb_network_arn",
    "instance_id",
];

/// Beginnings of the names of types that bear on where traffic goes or what passes.
const OF_TRAFFIC: &[&str] = &[
    "aws_vpc_",
    "aws_route_",
    "aws_main_route",
    "aws_default_",
    "aws_eip",
    "aws_nat_",
    "aws_egress_only",
    "aws_network_acl",
    "aws_network_interface",
    "aws_networkfirewall_",
    "aws_security_group",
    "aws_ec2_transit_gateway",
    "aws_ec2_managed_prefix_list",
    "aws_vpn_",
];

/// Types of such names that change nothing about traffic, or only in another account or at the edge of what is read.
const NOT_OF_TRAFFIC: &[&str] = &[
    "aws_vpc_peering_connection_options",
    "aws_vpc_dhcp_options",
    "aws_vpc_dhcp_options_association",
    "aws_vpc_ipam",
    "aws_vpc_ipam_pool",
    "aws_vpc_ipam_pool_cidr",
    "aws_vpc_ipam_scope",
    "aws_default_vpc_dhcp_options",
    "aws_vpc_endpoint_policy",
    "aws_vpc_endpoint_service",
    super::terraform_exclusive::EXCLUSIVE,
];

impl NetworkBuilder {
    /// Takes in a resource that the readers of filters do not know.
    pub(super) fn terraform_plumbing(
        &mut self,
        resource: &Resource<'_>,
        context: &Context,
        into: &mut Plumbing,
    ) {
        let (id, values) = (resource.id(), resource.values);
        match resource.kind.as_str() {
            "aws_eip" => into.elastic.push(Elastic {
                is_association: false,
                public: values.addr("public_ip"),
                allocation: values.text("allocation_id").or(Some(id)),
                interface: values.text("network_interface"),
                instance: values.text("instance"),
                private: values.addr("private_ip").or_else(|| values.addr("associate_with_private_ip")),
            }),
            "aws_eip_association" => into.elastic.push(Elastic {
                is_association: true,
                public: values.addr("public_ip"),
                allocation: values.text("allocation_id"),
                interface: values.text("network_interface_id"),
                instance: values.text("instance_id"),
                private: values.addr("private_ip_address"),
            }),
            "aws_vpc_ipv4_cidr_block_association" | "aws_vpc_ipv6_cidr_block_association" => {
                let text = values.text("cidr_block").or_else(|| values.text("ipv6_cidr_block"));
                let block = text.and_then(|text| self.block(&text, &id, context));
                into.vpc_blocks.extend(values.text("vpc_id").zip(block));
            }
            "aws_route_table" | "aws_default_route_table" => {
                let listed = self.elements(values, "route", Need::Optional, &id, context);
                if listed.is_none() {
                    into.unreadable_tables.push(id.clone());
                }
                let read = into.routes.len();
                for route in listed.into_iter().flatten() {
                    self.terraform_route(route, &id, context, into);
                }
                let own = into.routes.iter().skip(read).map(|(_, route)| route.destination.clone());
                self.inline.holder(resource, context, own.map(Part::Route).collect());
                let table = RouteTable {
                    id: id.clone(),
                    vpc_id: values.text("vpc_id"),
                    is_main: resource.kind == "aws_default_route_table",
                    ..RouteTable::default()
                };
                into.tables.insert(id, table);
            }
            "aws_route" => {
                let Some(table) = values.text("route_table_id") else { return };
                let read = into.routes.len();
                self.terraform_route(values, &table, context, into);
                if let Some((_, route)) = into.routes.get(read) {
                    self.inline.apart(&table, Part::Route(route.destination.clone()));
                }
            }
            "aws_route_table_association" => {
                let table = values.text("route_table_id");
                // An edge association names a gateway in the subnet's place.
                match (table, values.text("subnet_id"), values.text("gateway_id")) {
                    (Some(table), Some(subnet), _) => into.table_subnets.push((table, subnet)),
                    (Some(table), None, Some(gateway)) => into.table_gateways.push((table, gateway)),
                    _ => {
                        let message = "an association that is known only after apply was left out";
                        self.problem(context, &resource.address, message);
                    }
                }
            }
            "aws_main_route_table_association" => {
                into.main_tables.extend(values.text("vpc_id").zip(values.text("route_table_id")));
            }
            "aws_vpc_endpoint" => {
                // A gateway endpoint is a route to its service's prefix list in each of its tables.
                let list = values.text("prefix_list_id");
                let tables = self.members(values, "route_table_ids", &id, context).0;
                for (table, list) in tables.into_iter().zip(list.iter().cycle()) {
                    let destination = Destination::PrefixList(list.clone());
                    let route = Route { destination, target: id.clone(), state: None, propagated: false };
                    into.routes.push((table, route));
                }
            }
            "aws_nat_gateway" => {
                into.gateways.push(id.clone());
                let Some(interface) = values.text("network_interface_id") else { return };
                let (private, public) = (values.addr("private_ip"), values.addr("public_ip"));
                into.nat_interfaces.push(NetworkInterface {
                    id: interface,
                    subnet_id: values.text("subnet_id"),
                    primary: private,
                    addresses: private.into_iter().collect(),
                    public_addresses: public.into_iter().collect(),
                    // A private NAT gateway has none.
                    public_known: true,
                    // A NAT gateway of a subnet carries no groups (spec 5.4).
                    groups_known: true,
                    interface_type: Some("nat_gateway".to_string()),
                    description: Some(format!("Interface for NAT Gateway {id}")),
                    source_dest_check: Some(false),
                    ..NetworkInterface::default()
                });
            }
            "aws_vpc_peering_connection" => {
                let peering = Peering {
                    id: id.clone(),
                    status: values.text("accept_status"),
                    requester: peering_end(values, ""),
                    accepter: peering_end(values, "peer_"),
                };
                into.peering(peering);
            }
            // It has the id of the connection, whose own resource may have been read before it was accepted.
            "aws_vpc_peering_connection_accepter" => {
                into.peering(Peering {
                    id: id.clone(),
                    status: values.text("accept_status"),
                    requester: peering_end(values, "peer_"),
                    accepter: peering_end(values, ""),
                });
            }
            // What they are is told by what refers to them, and one that is attached to no VPC leads nowhere.
            "aws_internet_gateway" | "aws_egress_only_internet_gateway" => {
                into.gateways.extend(values.text("vpc_id").map(|_| id));
            }
            kind if OF_TRAFFIC.iter().any(|start| kind.starts_with(start))
                && !NOT_OF_TRAFFIC.contains(&kind) =>
            {
                let count = into.unread.entry(kind.to_string()).or_default();
                *count = count.saturating_add(1);
            }
            _ => {}
        }
    }

    pub(super) fn terraform_interface(
        &mut self,
        values: Node<'_>,
        id: &str,
        groups: &str,
        context: &Context,
    ) -> NetworkInterface {
        let mut addresses = Vec::new();
        push_new(&mut addresses, values.addr("private_ip"));
        let mut more_addresses = false;
        for key in ["private_ips", "secondary_private_ips", "ipv6_addresses"] {
            let (texts, all) = self.members(values, key, id, context);
            more_addresses |= !all;
            for text in texts {
                match text.parse() {
                    Ok(address) => push_new(&mut addresses, Some(address)),
                    Err(_) => {
                        more_addresses = true;
                        self.problem(context, id, format!("{text} of {key} is no address; it was left out"))
                    }
                }
            }
        }
        let mut prefixes = Vec::new();
        for key in ["ipv4_prefixes", "ipv6_prefixes"] {
            let (texts, all) = self.members(values, key, id, context);
            more_addresses |= !all;
            for text in texts {
                match self.block(&text, id, context) {
                    Some(prefix) => push_new(&mut prefixes, Some(prefix)),
                    None => more_addresses = true,
                }
            }
        }
        let (group_ids, all_groups) = self.members(values, groups, id, context);
        let mut public_addresses = Vec::new();
        push_new(&mut public_addresses, values.addr("public_ip"));
        NetworkInterface {
            id: id.to_string(),
            subnet_id: values.text("subnet_id"),
            group_ids,
            groups_known: all_groups && values.get(groups).is_some(),
            primary: values.addr("private_ip"),
            addresses,
            more_addresses,
            prefixes,
            public_addresses,
            owner_id: values.text("owner_id").or_else(|| values.text("arn").as_deref().and_then(account_of)),
            instance_id: values.list("attachment").find_map(|attachment| attachment.text("instance")),
            interface_type: values.text("interface_type"),
            description: values.text("description"),
            source_dest_check: values.flag("source_dest_check"),
            ..NetworkInterface::default()
        }
    }

    fn terraform_route(&mut self, values: Node<'_>, table: &str, context: &Context, into: &mut Plumbing) {
        let block =
            ["cidr_block", "destination_cidr_block", "ipv6_cidr_block", "destination_ipv6_cidr_block"];
        let destination = match block.into_iter().find_map(|key| values.text(key)) {
            Some(text) => self.block(&text, table, context).map(Destination::Cidr),
            None => values.text("destination_prefix_list_id").map(Destination::PrefixList),
        };
        let Some(destination) = destination else {
            self.problem(context, table, "a route without a readable destination may lead anywhere");
            into.unreadable_tables.push(table.to_string());
            return;
        };
        let target = TARGETS.iter().find_map(|key| values.text(key)).unwrap_or_else(|| "unknown".to_string());
        let propagated = values.text("origin").as_deref() == Some("EnableVgwRoutePropagation");
        let route = Route { destination, target, state: values.text("state"), propagated };
        into.routes.push((table.to_string(), route));
    }

    /// Puts together what was gathered; `interfaces` are those of the state.
    pub(super) fn finish_plumbing(
        &mut self,
        mut plumbing: Plumbing,
        interfaces: &mut HashMap<String, NetworkInterface>,
        context: &Context,
    ) {
        // The VPC, and route tables that have a route for the block, may be in other states.
        for (vpc, block) in std::mem::take(&mut plumbing.vpc_blocks) {
            self.state_piece(vpc, context, Addition::Block(block));
        }
        for nat in std::mem::take(&mut plumbing.nat_interfaces) {
            interfaces.entry(nat.id.clone()).or_insert(nat);
        }
        // The interface, its subnet, the address and what maps it may each be in another state.
        let elastic = std::mem::take(&mut plumbing.elastic).into_iter();
        self.elastic.extend(elastic.map(|one| (context.clone(), one)));
        let live = std::mem::take(&mut plumbing.gateways).into_iter();
        self.live_gateways.extend(live.map(|id| (context.at, id)));
        for (id, peering) in std::mem::take(&mut plumbing.peerings) {
            record(&mut self.peerings, context, id, false, Some(peering));
        }
        for (kind, count) in &plumbing.unread {
            self.problem(context, kind, format!("{count} resources of this type are not read"));
        }
        self.terraform_tables(plumbing, context);
    }

    fn terraform_tables(&mut self, plumbing: Plumbing, context: &Context) {
        let Plumbing { mut tables, routes, table_subnets, table_gateways, main_tables, .. } = plumbing;
        // Of tables that another state may hold.
        let mut elsewhere: BTreeMap<String, RouteTable> = BTreeMap::new();
        for (table, route) in routes {
            let known = match tables.get_mut(&table) {
                Some(known) => known,
                None => elsewhere.entry(table).or_default(),
            };
            // The routes of a table and route resources say the same twice in a refreshed state.
            push_new(&mut known.routes, Some(route));
        }
        let subnets = table_subnets.into_iter().map(|(table, subnet)| (table, subnet, true));
        let gateways = table_gateways.into_iter().map(|(table, gateway)| (table, gateway, false));
        for (table, end, is_subnet) in subnets.chain(gateways) {
            let known = match tables.get_mut(&table) {
                Some(known) => known,
                None => elsewhere.entry(table).or_default(),
            };
            push_new(if is_subnet { &mut known.subnet_ids } else { &mut known.gateway_ids }, Some(end));
        }
        for (id, mut table) in elsewhere {
            table.more_routes = plumbing.unreadable_tables.contains(&id);
            self.state_piece(id, context, Addition::Table(table));
        }
        for (id, mut table) in tables {
            let vpc = table.vpc_id.clone().unwrap_or_default();
            table.is_main = main_tables.get(&vpc).map_or(table.is_main, |main| *main == id);
            // Terraform leaves out the local routes, which every table has for the blocks of its VPC.
            let readings = self.vpcs.get(&vpc).into_iter().flatten().filter(|one| one.at == context.at);
            let blocks: Vec<Prefix> =
                readings.filter_map(|one| one.value.as_ref()).flat_map(|vpc| vpc.cidrs.clone()).collect();
            if blocks.is_empty() {
                let message = "route table of a VPC that is not in this state: its local routes are not known, so it was left out";
                self.problem(context, &id, message);
                continue;
            }
            for block in blocks {
                let destination = Destination::Cidr(block);
                if !table.routes.iter().any(|route| route.destination == destination) {
                    table.routes.push(local_route(block));
                }
            }
            table.more_routes = plumbing.unreadable_tables.contains(&id);
            record(&mut self.route_tables, context, id, false, Some(table));
        }
    }
}

/// The end of a peering connection whose attributes have names that begin so.
fn peering_end(values: Node<'_>, start: &str) -> PeeringEnd {
    let text = |key: &str| values.text(&format!("{start}{key}"));
    PeeringEnd {
        vpc_id: text("vpc_id"),
        owner_id: text("owner_id"),
        region: text("region"),
        cidrs: Vec::new(),
    }
}

/// The account in an ARN: `arn:aws:ec2:us-east-1:111122223333:…`.
fn account_of(arn: &str) -> Option<String> {
    let account = arn.split(':').nth(4)?;
    (!account.is_empty()).then(|| account.to_string())
}
