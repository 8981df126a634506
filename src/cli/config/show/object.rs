//! One object of the configuration, field by field.

use super::known;
use crate::network::{Found, Network, NetworkInterface, View};
use crate::rules::{closed_entries, entry_text, rule_text};

type Lines = Vec<(String, String)>;

fn start<T>(kind: &str, id: &str, found: &Found<'_, T>) -> Lines {
    vec![(kind.to_owned(), id.to_owned()), ("known by".to_owned(), known(found))]
}

fn add(lines: &mut Lines, field: &str, value: impl ToString) {
    lines.push((field.to_owned(), value.to_string()));
}

fn opt(lines: &mut Lines, field: &str, value: Option<&str>) {
    add(lines, field, value.unwrap_or_default());
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// The object's fields; none where there is no such object then.
pub(super) fn lines(network: &Network, id: &str, view: View) -> Lines {
    interface(network, id, view)
        .or_else(|| group(network, id, view))
        .or_else(|| acl(network, id, view))
        .or_else(|| subnet(network, id, view))
        .or_else(|| vpc(network, id, view))
        .or_else(|| prefix_list(network, id, view))
        .or_else(|| route_table(network, id, view))
        .or_else(|| peering(network, id, view))
        .or_else(|| instance(network, id, view))
        .or_else(|| rule(network, id, view))
        .or_else(|| nat_gateway(network, id, view))
        .or_else(|| transit_attachment(network, id, view))
        .or_else(|| transit_table(network, id, view))
        .or_else(|| exclusion(network, id, view))
        .or_else(|| load_balancer(network, id, view))
        .or_else(|| target_group(network, id, view))
        .unwrap_or_default()
}

fn interface(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.interfaces.get(id, view)?;
    let interface = found.value;
    let mut lines = start("network interface", id, &found);
    opt(&mut lines, "name", network.interface_name(interface));
    opt(&mut lines, "account", interface.owner_id.as_deref());
    opt(&mut lines, "vpc", interface.vpc_id.as_deref());
    opt(&mut lines, "subnet", interface.subnet_id.as_deref());
    opt(&mut lines, "type", interface.interface_type.as_deref());
    opt(&mut lines, "description", interface.description.as_deref());
    opt(&mut lines, "instance", interface.instance_id.as_deref());
    add(&mut lines, "addresses", joined(&interface.addresses));
    add(&mut lines, "delegated prefixes", joined(&interface.prefixes));
    add(&mut lines, "public addresses", joined(&interface.public_addresses));
    let groups = match (interface.groups_known, interface.group_ids.is_empty()) {
        (false, _) => "not known".to_owned(),
        (true, true) => "none: no group filters it".to_owned(),
        (true, false) => joined(&interface.group_ids),
    };
    add(&mut lines, "security groups", groups);
    let acl = interface.subnet_id.as_deref().map(|id| acl_of(network, id, interface.vpc_id.as_deref(), view));
    add(&mut lines, "network ACL", acl.unwrap_or("not known".to_owned()));
    Some(lines)
}

/// The subnet's list, or the one that is its if it is associated with none.
fn acl_of(network: &Network, subnet: &str, vpc: Option<&str>, view: View) -> String {
    match (network.acl_of(subnet, vpc, view), network.supposed_acl_of(subnet, vpc, view)) {
        (Some(acl), _) => acl.value.id.clone(),
        (None, Some(acl)) => format!("{}, if no other is: no capture held all lists", acl.value.id),
        (None, None) => "not known".to_owned(),
    }
}

fn group(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.groups.get(id, view)?;
    let group = found.value;
    let mut lines = start("security group", id, &found);
    opt(&mut lines, "name", group.name.as_deref());
    opt(&mut lines, "account", group.owner_id.as_deref());
    opt(&mut lines, "vpc", group.vpc_id.as_deref());
    let carried =
        network.interfaces.all(view).filter(|found| found.value.group_ids.iter().any(|known| known == id));
    let carriers: Vec<&str> = carried.map(|found| found.value.id.as_str()).collect();
    add(&mut lines, "interfaces", joined(&carriers));
    for rule in &group.rules {
        let description = rule.description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default();
        add(&mut lines, "rule", format!("{}{description}", rule_text(group, rule)));
    }
    Some(lines)
}

fn acl(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.acls.get(id, view)?;
    let acl = found.value;
    let mut lines = start("network ACL", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "account", acl.owner_id.as_deref());
    opt(&mut lines, "vpc", acl.vpc_id.as_deref());
    add(&mut lines, "default of its VPC", if acl.is_default { "yes" } else { "no" });
    add(&mut lines, "subnets", joined(&acl.subnet_ids));
    let mut entries = closed_entries(acl);
    entries.sort_by_key(|entry| (entry.egress, entry.number));
    for entry in &entries {
        add(&mut lines, "entry", entry_text(acl, entry));
    }
    Some(lines)
}

fn subnet(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.subnets.get(id, view)?;
    let subnet = found.value;
    let mut lines = start("subnet", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "account", subnet.owner_id.as_deref());
    opt(&mut lines, "vpc", subnet.vpc_id.as_deref());
    opt(&mut lines, "availability zone", subnet.availability_zone.as_deref());
    add(&mut lines, "blocks", joined(&subnet.cidrs));
    opt(&mut lines, "block public access", subnet.bpa_mode.as_deref());
    let vpc = subnet.vpc_id.as_deref();
    add(&mut lines, "network ACL", acl_of(network, id, vpc, view));
    let table = network.route_table_of(id, vpc, view);
    add(&mut lines, "route table", table.map_or("not known", |table| table.value.id.as_str()));
    let interfaces: Vec<&str> =
        network.interfaces_in(id, view).map(|found| found.value.id.as_str()).collect();
    add(&mut lines, "interfaces", joined(&interfaces));
    Some(lines)
}

fn vpc(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.vpcs.get(id, view)?;
    let vpc = found.value;
    let mut lines = start("VPC", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "account", vpc.owner_id.as_deref());
    add(&mut lines, "blocks", joined(&vpc.cidrs));
    opt(&mut lines, "block public access", vpc.bpa_mode.as_deref());
    opt(&mut lines, "encryption control", vpc.encryption_mode.as_deref());
    Some(lines)
}

fn prefix_list(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.prefix_lists.get(id, view)?;
    let list = found.value;
    let mut lines = start("prefix list", id, &found);
    opt(&mut lines, "name", list.name.as_deref());
    opt(&mut lines, "account", list.owner_id.as_deref());
    add(
        &mut lines,
        "entries",
        list.entries.as_ref().map_or("not known".to_owned(), |entries| joined(entries)),
    );
    Some(lines)
}

fn route_table(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.route_tables.get(id, view)?;
    let table = found.value;
    let mut lines = start("route table", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "vpc", table.vpc_id.as_deref());
    add(&mut lines, "main table of its VPC", if table.is_main { "yes" } else { "no" });
    add(&mut lines, "subnets", joined(&table.subnet_ids));
    for route in &table.routes {
        let state = route.state.as_deref().filter(|state| *state != "active");
        let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
        add(&mut lines, "route", format!("{} to {}{state}", route.destination, route.target));
    }
    Some(lines)
}

fn peering(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.peerings.get(id, view)?;
    let peering = found.value;
    let mut lines = start("peering connection", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "status", peering.status.as_deref());
    for (name, end) in [("requester", &peering.requester), ("accepter", &peering.accepter)] {
        let known = [&end.vpc_id, &end.owner_id, &end.region].into_iter().flatten().cloned();
        let parts: Vec<String> = known.chain(end.cidrs.iter().map(ToString::to_string)).collect();
        add(&mut lines, name, joined(&parts));
    }
    Some(lines)
}

/// An instance; of one that no input describes, what its interfaces tell.
fn instance(network: &Network, id: &str, view: View) -> Option<Lines> {
    let all = network.interfaces.all(view);
    let own: Vec<_> = all.filter(|found| found.value.instance_id.as_deref() == Some(id)).collect();
    let mut lines = match network.instances.get(id, view) {
        Some(found) => {
            let instance = found.value;
            let mut lines = start("instance", id, &found);
            opt(&mut lines, "name", network.name_of(id));
            opt(&mut lines, "type", instance.instance_type.as_deref());
            let platform = instance.is_windows.map(|windows| if windows { "Windows" } else { "not Windows" });
            opt(&mut lines, "platform", platform);
            opt(&mut lines, "vpc", instance.vpc_id.as_deref());
            opt(&mut lines, "subnet", instance.subnet_id.as_deref());
            lines
        }
        None => {
            let first = own.first()?;
            let mut lines = start("instance", id, first);
            opt(&mut lines, "name", network.name_of(id));
            add(
                &mut lines,
                "description",
                "not in the configuration (describe-instances); its interfaces are",
            );
            lines
        }
    };
    for found in own {
        let addresses = found.value.addresses.iter().chain(&found.value.public_addresses);
        let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
        add(&mut lines, "interface", format!("{} {}", found.value.id, addresses.join(", ")));
    }
    Some(lines)
}

/// A rule of a group, with the group.
fn rule(network: &Network, id: &str, view: View) -> Option<Lines> {
    let (found, at) = network.groups.all(view).find_map(|found| {
        let at = found.value.rules.iter().position(|rule| rule.rule_id.as_deref() == Some(id))?;
        Some((found, at))
    })?;
    let group = found.value;
    let rule = group.rules.get(at)?;
    let mut lines = start("security group rule", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    add(&mut lines, "group", &group.id);
    opt(&mut lines, "group name", group.name.as_deref());
    add(&mut lines, "rule", rule_text(group, rule));
    opt(&mut lines, "description", rule.description.as_deref());
    Some(lines)
}

/// A NAT gateway is known by its interface, whose description names it.
fn nat_gateway(network: &Network, id: &str, view: View) -> Option<Lines> {
    let named = |text: Option<&str>| text.unwrap_or_default().split_whitespace().any(|word| word == id);
    let of_gateway = |found: &Found<'_, NetworkInterface>| {
        found.value.is_type("nat_gateway") && named(found.value.description.as_deref())
    };
    let found = network.interfaces.all(view).find(of_gateway)?;
    let mut lines = start("NAT gateway", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    lines.extend(interface(network, &found.value.id, view)?);
    Some(lines)
}

fn transit_attachment(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.transit_attachments.get(id, view)?;
    let attachment = found.value;
    let mut lines = start("transit gateway attachment", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    opt(&mut lines, "transit gateway", attachment.gateway_id.as_deref());
    opt(&mut lines, "vpc", attachment.vpc_id.as_deref());
    add(&mut lines, "subnets", joined(&attachment.subnet_ids));
    let table = attachment.route_table_id.as_deref();
    opt(&mut lines, "route table", table.or(Some("not known (describe-transit-gateway-attachments)")));
    opt(&mut lines, "group references", attachment.security_group_referencing.as_deref());
    opt(&mut lines, "group references of the gateway", attachment.gateway_referencing.as_deref());
    Some(lines)
}

fn transit_table(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.transit_tables.get(id, view)?;
    let table = found.value;
    let mut lines = start("transit gateway route table", id, &found);
    opt(&mut lines, "name", network.name_of(id));
    let all = network.transit_attachments.all(view);
    let own = all.filter(|found| found.value.route_table_id.as_deref() == Some(id));
    let attachments: Vec<&str> = own.map(|found| found.value.id.as_str()).collect();
    add(&mut lines, "attachments", joined(&attachments));
    for route in &table.routes {
        let to = match (route.attachment_ids.as_slice(), route.state.as_deref()) {
            ([], state) => state.unwrap_or("blackhole").to_owned(),
            (ids, _) => format!("to {}", joined(ids)),
        };
        add(&mut lines, "route", format!("{} {to}", route.destination));
    }
    add(&mut lines, "more routes", if table.whole { "none" } else { "it may have more than these" });
    Some(lines)
}

fn exclusion(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.bpa_exclusions.get(id, view)?;
    let mut lines = start("block public access exclusion", id, &found);
    opt(&mut lines, "of", found.value.resource_id.as_deref());
    opt(&mut lines, "mode", found.value.mode.as_deref());
    opt(&mut lines, "state", found.value.state.as_deref());
    Some(lines)
}

fn load_balancer(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.load_balancers.get(id, view)?;
    let balancer = found.value;
    let mut lines = start("load balancer", id, &found);
    add(&mut lines, "name", &balancer.name);
    add(&mut lines, "kind", &balancer.kind);
    opt(&mut lines, "scheme", balancer.scheme.as_deref());
    opt(&mut lines, "vpc", balancer.vpc_id.as_deref());
    add(&mut lines, "listeners", balancer.listener_ports().as_deref().map(joined).unwrap_or_default());
    add(&mut lines, "security groups", joined(&balancer.group_ids));
    add(&mut lines, "subnets", joined(&balancer.subnet_ids));
    if balancer.enforces_on_private_link == Some(false) {
        add(&mut lines, "inbound rules", "not enforced on PrivateLink traffic");
    }
    Some(lines)
}

fn target_group(network: &Network, id: &str, view: View) -> Option<Lines> {
    let found = network.target_groups.get(id, view)?;
    let group = found.value;
    let mut lines = start("target group", id, &found);
    opt(&mut lines, "name", group.name.as_deref());
    opt(&mut lines, "protocol", group.protocol.as_deref());
    add(&mut lines, "port", group.port.map(|port| port.to_string()).unwrap_or_default());
    opt(&mut lines, "target type", group.target_type.as_deref());
    add(&mut lines, "load balancers", joined(&group.load_balancer_ids));
    for target in &group.targets {
        let port = target.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let health = target.health.as_deref().unwrap_or("health not known");
        add(&mut lines, "target", format!("{}{port} {health}", target.id));
    }
    Some(lines)
}
