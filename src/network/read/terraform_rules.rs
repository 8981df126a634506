//! What each Terraform resource type says about the network.

use super::aws::family;
use super::elements::Need;
use super::groups::unreadable_rule;
use super::node::{Node, push_new};
use super::terraform::Resource;
use super::terraform_balancers::Balancing;
use super::terraform_inline::Part;
use super::terraform_network::Plumbing;
use super::terraform_parts::Addition;
use super::terraform_plan::{Gone, is_unknown};
use super::terraform_references::after_apply;
use super::terraform_values::{Parent, reference};
use super::{Context, NetworkBuilder, Piece, entries, record};
use crate::network::model::*;
use hashbrown::HashMap;

/// What is gathered from several resources before objects are made.
#[derive(Default)]
struct Gathered {
    acls: Vec<NetworkAcl>,
    acl_entries: HashMap<String, Vec<NaclEntry>>,
    acl_subnets: HashMap<String, Vec<String>>,
    interfaces: HashMap<String, NetworkInterface>,
    /// First interfaces as their instances show them, which may have a resource of their own.
    of_instances: Vec<(String, NetworkInterface)>,
    interface_groups: Vec<(String, String)>,
    default_acls: Vec<String>,
    /// Ids of adopted lists, by the address that stands for them where the plan does not know that id.
    adopted_acls: Vec<(String, String)>,
    /// `None` where an entry cannot be read.
    lists: HashMap<String, Option<Vec<crate::net::Prefix>>>,
    plumbing: Plumbing,
    balancing: Balancing,
    inline_groups: Vec<(String, Vec<SecurityGroupRule>)>,
}

impl NetworkBuilder {
    /// `compared`: see [`ReadOptions::compared`](super::ReadOptions::compared). `gone` is what other resources still hold of
    /// those that a plan takes away.
    pub(super) fn terraform_resources(
        &mut self,
        resources: &[Resource<'_>],
        context: &Context,
        compared: bool,
        gone: &Gone,
    ) {
        let mut gathered = Gathered::default();
        for resource in resources {
            self.name(resource.values, &resource.id(), context);
            self.terraform_resource(resource, context, &mut gathered, gone);
        }
        for (id, shown) in std::mem::take(&mut gathered.of_instances) {
            match gathered.interfaces.get_mut(&id) {
                Some(own) => {
                    let public = shown.public_addresses.into_iter();
                    public.for_each(|address| push_new(&mut own.public_addresses, Some(address)));
                    own.instance_id = own.instance_id.take().or(shown.instance_id);
                }
                None => {
                    gathered.interfaces.insert(id, shown);
                }
            }
        }
        gathered.interfaces.values_mut().for_each(|interface| gone.keep_groups(interface));
        for (address, id) in std::mem::take(&mut gathered.adopted_acls) {
            if let Some(entries) = gathered.acl_entries.remove(&address) {
                gathered.acl_entries.entry(id.clone()).or_default().extend(entries);
            }
            if let Some(subnets) = gathered.acl_subnets.remove(&address) {
                gathered.acl_subnets.entry(id).or_default().extend(subnets);
            }
        }
        for mut acl in gathered.acls {
            gone.keep_entries(&mut acl);
            acl.entries.extend(gathered.acl_entries.remove(&acl.id).unwrap_or_default());
            self.settle_numbers(&mut acl.entries, &acl.id.clone(), context);
            acl.is_default |= gathered.default_acls.contains(&acl.id);
            for subnet in gathered.acl_subnets.remove(&acl.id).unwrap_or_default() {
                push_new(&mut acl.subnet_ids, Some(subnet));
            }
            record(&mut self.acls, context, acl.id.clone(), false, Some(acl));
        }
        // Entries of a list that is managed elsewhere, which another state may hold.
        let mut elsewhere: Vec<String> =
            gathered.acl_entries.keys().chain(gathered.acl_subnets.keys()).cloned().collect();
        elsewhere.sort_unstable();
        elsewhere.dedup();
        for id in elsewhere {
            let entries = gathered.acl_entries.remove(&id).unwrap_or_default();
            let subnet_ids = gathered.acl_subnets.remove(&id).unwrap_or_default();
            if compared {
                let part = NetworkAcl { id: id.clone(), entries, subnet_ids, ..NetworkAcl::default() };
                record(&mut self.acls, context, id, false, Some(part));
            } else {
                let addition = Addition::Acl(entries, subnet_ids);
                self.state_piece(id, context, addition);
            }
        }
        for (interface, group) in gathered.interface_groups {
            match gathered.interfaces.get_mut(&interface) {
                Some(found) => push_new(&mut found.group_ids, Some(group)),
                None if compared => {
                    let part = NetworkInterface {
                        id: interface.clone(),
                        group_ids: vec![group],
                        groups_known: true,
                        ..NetworkInterface::default()
                    };
                    gathered.interfaces.insert(interface, part);
                }
                None => self.state_piece(interface, context, Addition::Group(group)),
            }
        }
        self.finish_balancing(gathered.balancing, context);
        self.finish_plumbing(gathered.plumbing, &mut gathered.interfaces, context);
        for (id, interface) in gathered.interfaces {
            record(&mut self.interfaces, context, id, false, Some(interface));
        }
        for (id, value) in gathered.lists {
            self.list_pieces.push(Piece::new(id, context, value));
        }
        for (group, inline) in gathered.inline_groups {
            let pieces = self.rule_pieces.iter().filter(|piece| piece.id == group && piece.at == context.at);
            let resources: Vec<&SecurityGroupRule> = pieces.map(|piece| &piece.value).collect();
            // Where one side holds all of the other, the state is an ordinary one: a refresh writes what resources say to
            // the inline rules too, and an apply adds resources that no refresh has seen yet.
            let some_inline_only = inline.iter().any(|rule| !resources.iter().any(|other| other.means(rule)));
            let some_resource_only =
                resources.iter().any(|rule| !inline.iter().any(|other| other.means(rule)));
            if some_inline_only && some_resource_only {
                let message = "has inline rules and rule resources, which undo each other; both were taken";
                self.problem(context, &group, message);
            }
        }
    }

    fn terraform_resource(
        &mut self,
        resource: &Resource<'_>,
        context: &Context,
        gathered: &mut Gathered,
        gone: &Gone,
    ) {
        let (id, values) = (resource.id(), resource.values);
        match resource.kind.as_str() {
            "aws_security_group" | "aws_default_security_group" => {
                let mut rules = Vec::new();
                for (list, egress) in [("ingress", false), ("egress", true)] {
                    match self.elements(values, list, Need::Optional, &id, context) {
                        Some(elements) => elements.into_iter().for_each(|element| {
                            self.terraform_rules(element, egress, &id, context, &mut rules);
                        }),
                        None => rules.push(unreadable_rule(egress, format!("no readable {list}"))),
                    }
                }
                self.inline.holder(resource, context, rules.iter().cloned().map(Part::Rule).collect());
                gone.keep_rules(&id, &mut rules);
                if !rules.is_empty() {
                    gathered.inline_groups.push((id.clone(), rules.clone()));
                }
                // Its name is the same everywhere, and known only after the apply where a plan adopts it.
                let default = (resource.kind == "aws_default_security_group").then(|| "default".to_string());
                let group = SecurityGroup {
                    id: id.clone(),
                    name: values.text("name").or(default),
                    vpc_id: values.text("vpc_id"),
                    owner_id: values.text("owner_id"),
                    rules,
                    partial: false,
                };
                record(&mut self.groups, context, id, false, Some(group));
            }
            "aws_security_group_rule" => {
                let Some(group) = self.parent(values, "security_group_id", resource, context) else { return };
                let mut rules = Vec::new();
                match values.text("type").as_deref() {
                    Some(kind @ ("ingress" | "egress")) => {
                        self.terraform_rules(values, kind == "egress", group.name(), context, &mut rules);
                    }
                    _ => {
                        let message = "a rule whose type is neither ingress nor egress may match anything";
                        self.problem(context, group.name(), message);
                        rules.extend(
                            [false, true].map(|egress| {
                                unreadable_rule(egress, "neither ingress nor egress".to_string())
                            }),
                        );
                    }
                }
                let rule_id = values.text("security_group_rule_id");
                for mut rule in rules {
                    rule.rule_id.clone_from(&rule_id);
                    self.rule_piece(&group, rule, context);
                }
            }
            "aws_vpc_security_group_ingress_rule" | "aws_vpc_security_group_egress_rule" => {
                let Some(group) = self.parent(values, "security_group_id", resource, context) else { return };
                let egress = resource.kind.contains("egress");
                let traffic = self.terraform_traffic(values, "ip_protocol", group.name(), context);
                let remote = if let Some(text) = values.text("cidr_ipv4").or_else(|| values.text("cidr_ipv6"))
                {
                    self.cidr_remote(text, group.name(), context)
                } else if let Some(list) = values.text("prefix_list_id") {
                    Remote::PrefixList(list)
                } else if let Some(text) = values.text("referenced_security_group_id") {
                    Remote::Group(reference(&text))
                } else {
                    const WHOM: [&str; 4] =
                        ["cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id"];
                    Remote::Unreadable(after_apply(WHOM.iter().find_map(|key| values.get(key))))
                };
                let own_id = || values.text("id").filter(|id| id.starts_with("sgr-"));
                let rule_id = values.text("security_group_rule_id").or_else(own_id);
                let rule = SecurityGroupRule {
                    rule_id,
                    egress,
                    traffic,
                    remote,
                    description: values.text("description"),
                };
                self.rule_piece(&group, rule, context);
            }
            "aws_network_acl" | "aws_default_network_acl" => {
                let mut entries = Vec::new();
                for (list, egress) in [("ingress", false), ("egress", true)] {
                    match self.elements(values, list, Need::Optional, &id, context) {
                        Some(elements) => {
                            let read = |element| {
                                self.terraform_entry(element, "rule_no", "action", egress, &id, context)
                            };
                            entries.extend(elements.into_iter().map(read));
                        }
                        None => entries.extend(entries::unplaced("the list has no readable entries")),
                    }
                }
                self.inline.holder(resource, context, entries.iter().map(Part::of_entry).collect());
                let (subnet_ids, all) = self.members(values, "subnet_ids", &id, context);
                if resource.kind == "aws_default_network_acl" {
                    gathered.adopted_acls.push((resource.address.clone(), id.clone()));
                }
                gathered.acls.push(NetworkAcl {
                    id: id.clone(),
                    vpc_id: values.text("vpc_id"),
                    owner_id: values.text("owner_id"),
                    is_default: resource.kind == "aws_default_network_acl",
                    subnet_ids,
                    more_subnets: !all,
                    entries,
                });
            }
            "aws_network_acl_rule" => {
                let Some(acl) = self.parent(values, "network_acl_id", resource, context) else { return };
                let egress = values.flag("egress");
                let directions = match (egress, values.get("egress")) {
                    (Some(egress), _) => vec![egress],
                    (None, None) => vec![false],
                    (None, Some(_)) => {
                        let message = "an entry without a readable egress may match anything in its place";
                        self.problem(context, acl.name(), message);
                        vec![false, true]
                    }
                };
                for egress in &directions {
                    let mut entry = self.terraform_entry(
                        values,
                        "rule_number",
                        "rule_action",
                        *egress,
                        acl.name(),
                        context,
                    );
                    if directions.len() > 1 {
                        entry.traffic = Traffic::Unreadable("no readable egress".to_string());
                    }
                    if matches!(acl, Parent::OneOf(_)) {
                        entry.traffic =
                            Traffic::Unreadable("known after apply whose entry it is".to_string());
                    }
                    for id in acl.ids() {
                        self.inline.apart(id, Part::of_entry(&entry));
                        gathered.acl_entries.entry(id.clone()).or_default().push(entry.clone());
                    }
                }
            }
            "aws_network_acl_association" if values.get("network_acl_id").is_some_and(is_unknown) => {
                // The subnet leaves its list for one that the plan makes, whose entries name it by an id that nobody knows yet.
                gathered.acls.push(NetworkAcl {
                    id,
                    subnet_ids: values.text("subnet_id").into_iter().collect(),
                    entries: entries::unplaced("known after apply").into_iter().collect(),
                    ..NetworkAcl::default()
                });
            }
            "aws_network_acl_association" => {
                // One that is not known was taken above.
                let Some(Parent::Known(acl)) = self.parent(values, "network_acl_id", resource, context)
                else {
                    return;
                };
                gathered.acl_subnets.entry(acl).or_default().extend(values.text("subnet_id"));
            }
            "aws_network_interface" => {
                let interface = self.terraform_interface(values, &id, "security_groups", context);
                gathered.interfaces.insert(id, interface);
            }
            "aws_network_interface_sg_attachment" => {
                let pair = (values.text("network_interface_id"), values.text("security_group_id"));
                match pair {
                    (Some(interface), Some(group)) => gathered.interface_groups.push((interface, group)),
                    // Beside the others stands one that nobody knows yet.
                    (Some(interface), None) => {
                        gathered.interface_groups.push((interface, resource.address.clone()));
                    }
                    (None, _) => self.problem(
                        context,
                        &resource.address,
                        "attachment of a group to an interface known only after apply",
                    ),
                }
            }
            "aws_instance" => {
                let instance = Instance {
                    id: id.clone(),
                    instance_type: values.text("instance_type"),
                    vpc_id: None,
                    subnet_id: values.text("subnet_id"),
                    is_windows: None,
                    state: values.text("instance_state"),
                };
                if let Some(interface_id) = values.text("primary_network_interface_id") {
                    let mut interface =
                        self.terraform_interface(values, &interface_id, "vpc_security_group_ids", context);
                    interface.instance_id = Some(id.clone());
                    gathered.of_instances.push((interface_id, interface));
                }
                record(&mut self.instances, context, id, false, Some(instance));
            }
            "aws_subnet" | "aws_default_subnet" => {
                let subnet = Subnet {
                    id: id.clone(),
                    vpc_id: values.text("vpc_id"),
                    owner_id: values.text("owner_id"),
                    cidrs: self.blocks(values, &id, context),
                    availability_zone: values.text("availability_zone"),
                    bpa_mode: None,
                };
                record(&mut self.subnets, context, id, false, Some(subnet));
            }
            "aws_vpc" | "aws_default_vpc" => {
                gathered.plumbing.main_table(&id, values);
                gathered.default_acls.extend(values.text("default_network_acl_id"));
                let vpc = Vpc {
                    id: id.clone(),
                    owner_id: values.text("owner_id"),
                    cidrs: self.blocks(values, &id, context),
                    bpa_mode: None,
                    encryption_mode: None,
                };
                record(&mut self.vpcs, context, id, false, Some(vpc));
            }
            "aws_ec2_managed_prefix_list" => {
                let list = PrefixList {
                    id: id.clone(),
                    name: values.text("name"),
                    owner_id: values.text("owner_id"),
                    family: family(values.text("address_family")),
                    version: values.integer("version"),
                    entries: None,
                };
                record(&mut self.prefix_lists, context, id.clone(), false, Some(list));
                match self.elements(values, "entry", Need::Optional, &id, context) {
                    Some(entries) => {
                        gathered.lists.entry(id.clone()).or_insert_with(|| Some(Vec::new()));
                        for entry in entries {
                            let cidr = entry.text("cidr").and_then(|text| text.parse().ok());
                            if !cidr.is_some_and(|cidr| gone.takes(&id, &cidr)) {
                                self.terraform_list_entry(entry, id.clone(), context, gathered);
                            }
                        }
                    }
                    None => {
                        gathered.lists.insert(id, None);
                    }
                }
            }
            "aws_ec2_managed_prefix_list_entry" => {
                let Some(list) = self.parent(values, "prefix_list_id", resource, context) else { return };
                match list {
                    Parent::Known(list) => self.terraform_list_entry(values, list, context, gathered),
                    Parent::OneOf(lists) => lists.into_iter().for_each(|list| {
                        gathered.lists.insert(list, None);
                    }),
                }
            }
            _ if self.terraform_balancing(resource, context, &mut gathered.balancing) => {}
            _ => self.terraform_plumbing(resource, context, &mut gathered.plumbing),
        }
    }

    fn terraform_list_entry(
        &mut self,
        entry: Node<'_>,
        list: String,
        context: &Context,
        gathered: &mut Gathered,
    ) {
        let block = self.block(&entry.text("cidr").unwrap_or_default(), &list, context);
        let slot = gathered.lists.entry(list).or_insert_with(|| Some(Vec::new()));
        *slot = slot.take().zip(block).map(|(mut known, block)| {
            known.push(block);
            known
        });
    }
}
