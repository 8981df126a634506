//! AWS CLI output: one top-level list per command, recognised by its key (spec 6.1 to 6.6). The same object readers serve
//! AWS Config, whose objects have the same members in camelCase.

use super::coverage::{self, Asked, Extent, Source};
use super::elements::Need;
use super::groups::group_reference;
use super::node::{Node, push_new};
use super::{Context, Document, NetworkBuilder, Piece, ReadError, entries, paths, record, unknown, unneeded};
use crate::net::{Family, Prefix, parse_ip_str};
use crate::network::model::*;

/// Top-level keys and what reads each element.
type Reader = fn(&mut NetworkBuilder, Node<'_>, &Context);
const READERS: &[(&str, Reader)] = &[
    ("SecurityGroups", NetworkBuilder::security_group),
    ("SecurityGroupRules", NetworkBuilder::security_group_rule),
    ("NetworkAcls", NetworkBuilder::network_acl),
    ("NetworkInterfaces", NetworkBuilder::interface),
    ("Subnets", NetworkBuilder::subnet),
    ("Vpcs", NetworkBuilder::vpc),
    ("PrefixLists", NetworkBuilder::prefix_list),
    ("Reservations", NetworkBuilder::reservation),
    ("RouteTables", NetworkBuilder::route_table),
    ("VpcPeeringConnections", NetworkBuilder::peering),
    ("TransitGateways", NetworkBuilder::transit_gateway),
    ("TransitGatewayVpcAttachments", NetworkBuilder::transit_vpc_attachment),
    ("TransitGatewayAttachments", NetworkBuilder::transit_any_attachment),
    ("TransitGatewayRouteTables", NetworkBuilder::transit_route_table),
    ("SecurityGroupVpcAssociations", NetworkBuilder::group_association),
    ("StaleSecurityGroupSet", NetworkBuilder::stale_group),
    ("SecurityGroupReferenceSet", NetworkBuilder::nothing),
    ("SecurityGroupsReferenceSet", NetworkBuilder::nothing),
    ("VpcBlockPublicAccessExclusions", NetworkBuilder::bpa_exclusion),
    ("LoadBalancers", NetworkBuilder::load_balancer),
    ("LoadBalancerDescriptions", NetworkBuilder::classic_load_balancer),
    ("TargetGroups", NetworkBuilder::target_group),
    ("Listeners", NetworkBuilder::listener),
];

impl NetworkBuilder {
    /// Reads a describe output, or fails when no key is known.
    pub(super) fn aws_cli(&mut self, node: Node<'_>, context: &Context) -> Result<Document, ReadError> {
        if node.get("Entries").is_some() {
            let id =
                context.named("pl-").ok_or_else(|| ReadError::ListUnnamed { file: context.file.clone() })?;
            let source = self.of_command(node, &format!("Entries {id}"), context);
            self.list_entries(node, &id, &Context { source: Some(source), ..context.clone() });
            return Ok(Document::AwsCli("Entries"));
        }
        if paths::is_transit_routes(node, &context.command) {
            let file = || context.file.clone();
            let id = context.named("tgw-rtb-").ok_or_else(|| ReadError::TableUnnamed { file: file() })?;
            self.transit_routes(node, &id, context);
            return Ok(Document::AwsCli("Routes"));
        }
        if let Some(options) = node.get("VpcBlockPublicAccessOptions") {
            self.bpa(options, context);
            return Ok(Document::AwsCli("VpcBlockPublicAccessOptions"));
        }
        if node.get("TargetHealthDescriptions").is_some() {
            self.target_health(node, context);
            return Ok(Document::AwsCli("TargetHealthDescriptions"));
        }
        if node.get("Attributes").is_some() {
            self.target_attributes(node, context);
            return Ok(Document::AwsCli("Attributes"));
        }
        if unneeded::is_launch_template(node) {
            let key = "launch template data".to_owned();
            return Err(ReadError::NotNeeded { file: context.file.clone(), key });
        }
        let mut found = None;
        for (key, read) in READERS {
            // The exact key: `subnets` in some other tool's file is not `Subnets`.
            let Some(list) = node.0.get(*key) else { continue };
            found = Some(Document::AwsCli(key));
            let context = &Context { source: Some(self.of_command(node, key, context)), ..context.clone() };
            match list.as_array() {
                Some(items) => items.iter().for_each(|item| read(self, Node(item), context)),
                None => self.problem(context, key, "is no list; nothing was read from it"),
            }
        }
        // The CLI writes `{}` where some answers hold nothing.
        let is_empty = node.0.as_object().is_some_and(serde_json::Map::is_empty);
        if is_empty && coverage::operation(&context.command).is_some() {
            return Ok(Document::AwsCli("an empty answer"));
        }
        found.ok_or_else(|| match unneeded::key(node) {
            Some(key) => ReadError::NotNeeded { file: context.file.clone(), key: key.to_owned() },
            None => unknown(node.0, context),
        })
    }

    /// The source that an output of a command is.
    fn of_command(&mut self, node: Node<'_>, key: &str, context: &Context) -> usize {
        let Asked { mut extent, scope, late } = Asked::of(&context.command);
        if context.picked {
            extent = Extent::Part;
        }
        self.source(Source {
            file: context.file.clone(),
            account: context.account.clone(),
            region: context.region.clone(),
            subject: format!("{} {key}", coverage::operation(&context.command).unwrap_or("-")),
            at: context.at,
            extent,
            scope,
            more: ["NextToken", "NextMarker"].iter().any(|key| node.text(key).is_some()),
            late,
            changes: false,
        })
    }

    /// An element's id, or a problem.
    pub(super) fn id(&mut self, node: Node<'_>, key: &str, context: &Context) -> Option<String> {
        let id = node.text(key);
        match &id {
            Some(id) => self.name(node, id, context),
            None => self.problem(context, "-", format!("an element without {key} was left out")),
        }
        id
    }

    /// An element's id, or one that stands for it, and a problem: what has none may still be what applies.
    fn id_or_stand_in(&mut self, node: Node<'_>, key: &str, context: &Context) -> String {
        if let Some(id) = node.text(key) {
            self.name(node, &id, context);
            return id;
        }
        let message = format!("an element without {key} is kept under a name of its own");
        self.problem(context, "-", message);
        // The next capture's first is taken for the same.
        self.unnamed = self.unnamed.saturating_add(1);
        format!("unnamed-{}", self.unnamed)
    }

    /// A block, or `None` and a problem.
    pub(super) fn block(&mut self, text: &str, object: &str, context: &Context) -> Option<Prefix> {
        match text.parse() {
            Ok(prefix) => Some(prefix),
            Err(error) => {
                self.problem(context, object, error.to_string());
                None
            }
        }
    }

    pub(super) fn nothing(&mut self, _: Node<'_>, _: &Context) {}

    pub(super) fn network_acl(&mut self, node: Node<'_>, context: &Context) {
        let id = self.id_or_stand_in(node, "NetworkAclId", context);
        let mut entries = Vec::new();
        // Which list that is cannot be told, so nothing is taken from it but whom it serves.
        let named = node.text("NetworkAclId").is_some();
        match self.elements(node, "Entries", Need::Required, &id, context) {
            Some(_) if !named => entries.extend(entries::unplaced("the list has no id")),
            Some(listed) => {
                listed.into_iter().for_each(|entry| self.acl_entry(entry, &id, context, &mut entries));
            }
            None => entries.extend(entries::unplaced("the list has no readable entries")),
        }
        self.settle_numbers(&mut entries, &id, context);
        let associations = self.elements(node, "Associations", Need::Optional, &id, context);
        let acl = NetworkAcl {
            id: id.clone(),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            is_default: named && node.flag("IsDefault").unwrap_or(false),
            more_subnets: associations.is_none() || (!named && node.get("Associations").is_none()),
            subnet_ids: (associations.into_iter().flatten())
                .filter_map(|association| association.text("SubnetId"))
                .collect(),
            entries,
        };
        record(&mut self.acls, context, id, false, Some(acl));
    }

    pub(super) fn interface(&mut self, node: Node<'_>, context: &Context) {
        self.interface_reading(node, None, context);
    }

    fn interface_reading(&mut self, node: Node<'_>, instance: Option<&str>, context: &Context) {
        let id = self.id_or_stand_in(node, "NetworkInterfaceId", context);
        let mut addresses = Vec::new();
        let mut more_addresses =
            node.get("PrivateIpAddress").is_some() && node.addr("PrivateIpAddress").is_none();
        for key in ["PrivateIpAddresses", "Ipv6Addresses", "Ipv4Prefixes", "Ipv6Prefixes"] {
            more_addresses |= node.get(key).is_some_and(|list| !list.0.is_array());
        }
        let mut public_addresses = Vec::new();
        let mut public_mappings = Vec::new();
        push_new(&mut addresses, node.addr("PrivateIpAddress"));
        let mut primary = node.addr("PrivateIpAddress");
        for address in self.optional(node, "PrivateIpAddresses", &id, context) {
            let private = address.addr("PrivateIpAddress");
            more_addresses |= private.is_none();
            if primary.is_none() && address.flag("Primary") == Some(true) {
                primary = private;
            }
            push_new(&mut addresses, private);
            let public = address.get("Association").and_then(|association| association.addr("PublicIp"));
            push_new(&mut public_addresses, public);
            push_new(&mut public_mappings, public.zip(private));
        }
        for address in self.optional(node, "Ipv6Addresses", &id, context) {
            // Some tools write the addresses themselves.
            let text = address.text("Ipv6Address").or_else(|| address.as_text()).unwrap_or_default();
            match parse_ip_str(&text) {
                Some(addr) => push_new(&mut addresses, Some(addr)),
                None => {
                    more_addresses = true;
                    self.problem(context, &id, "an element of Ipv6Addresses is no address; it was left out");
                }
            }
        }
        push_new(&mut public_addresses, node.get("Association").and_then(|found| found.addr("PublicIp")));
        let mut prefixes = Vec::new();
        for (list, member) in [("Ipv4Prefixes", "Ipv4Prefix"), ("Ipv6Prefixes", "Ipv6Prefix")] {
            let listed = self.optional(node, list, &id, context);
            for prefix in listed {
                let block = self.block(&prefix.text(member).unwrap_or_default(), &id, context);
                more_addresses |= block.is_none();
                push_new(&mut prefixes, block);
            }
        }
        if addresses.is_empty() {
            more_addresses = true;
            self.problem(context, &id, "interface without a readable address");
        }
        let timeouts = node.get("ConnectionTrackingConfiguration");
        let timeout = |key: &str| timeouts.and_then(|timeouts| timeouts.integer(key));
        let groups = self.group_ids(node, &id, context);
        let interface = NetworkInterface {
            subnet_id: node.text("SubnetId"),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            groups_known: groups.is_some(),
            group_ids: groups.unwrap_or_default(),
            primary,
            addresses,
            more_addresses,
            prefixes,
            public_addresses,
            public_mappings,
            public_known: true,
            interface_type: node.text("InterfaceType").map(interface_type),
            description: node.text("Description"),
            requester_id: node.text("RequesterId"),
            requester_managed: node.flag("RequesterManaged").unwrap_or(false),
            source_dest_check: node.flag("SourceDestCheck"),
            instance_id: (node.get("Attachment").and_then(|attachment| attachment.text("InstanceId")))
                .or_else(|| instance.map(str::to_string)),
            status: node.text("Status"),
            denies_internet: node.flag("DenyAllIgwTraffic").unwrap_or(false),
            tcp_established_timeout: timeout("TcpEstablishedTimeout"),
            udp_timeout: timeout("UdpTimeout"),
            udp_stream_timeout: timeout("UdpStreamTimeout"),
            id: id.clone(),
        };
        record(&mut self.interfaces, context, id, instance.is_some(), Some(interface));
    }

    /// The groups that an interface carries; `None` where they are not given, or not all of them can be read.
    fn group_ids(&mut self, node: Node<'_>, interface: &str, context: &Context) -> Option<Vec<String>> {
        if node.get("Groups").is_none() {
            self.problem(context, interface, "Groups is missing; which groups it carries is not known");
            return None;
        }
        let listed = self.elements(node, "Groups", Need::Optional, interface, context)?;
        let found: Option<Vec<String>> = listed.into_iter().map(|group| group.text("GroupId")).collect();
        if found.is_none() {
            self.problem(context, interface, "an element of Groups has no GroupId; its groups are not known");
        }
        // A set, whose order differs from output to output.
        found.map(|mut ids| {
            ids.sort_unstable();
            ids
        })
    }

    pub(super) fn subnet(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "SubnetId", context) else { return };
        let mut cidrs = Vec::new();
        if let Some(text) = node.text("CidrBlock") {
            push_new(&mut cidrs, self.block(&text, &id, context));
        }
        node.blocks("Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock", "Ipv6CidrBlockState", &mut cidrs);
        let subnet = Subnet {
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            cidrs,
            availability_zone: node.text("AvailabilityZone"),
            bpa_mode: bpa_mode(node),
            id: id.clone(),
        };
        record(&mut self.subnets, context, id, false, Some(subnet));
    }

    pub(super) fn vpc(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "VpcId", context) else { return };
        let mut cidrs = Vec::new();
        if let Some(text) = node.text("CidrBlock") {
            push_new(&mut cidrs, self.block(&text, &id, context));
        }
        node.blocks("CidrBlockAssociationSet", "CidrBlock", "CidrBlockState", &mut cidrs);
        node.blocks("Ipv6CidrBlockAssociationSet", "Ipv6CidrBlock", "Ipv6CidrBlockState", &mut cidrs);
        let vpc = Vpc {
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            cidrs,
            bpa_mode: bpa_mode(node),
            encryption_mode: node.get("EncryptionControl").and_then(|control| control.text("Mode")),
            id: id.clone(),
        };
        record(&mut self.vpcs, context, id, false, Some(vpc));
    }

    /// `describe-managed-prefix-lists`, or `describe-prefix-lists`, whose elements have `Cidrs`.
    pub(super) fn prefix_list(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "PrefixListId", context) else { return };
        let list = PrefixList {
            id: id.clone(),
            name: node.text("PrefixListName"),
            owner_id: node.text("OwnerId"),
            family: family(node.text("AddressFamily")),
            version: node.integer("Version"),
            entries: None,
        };
        record(&mut self.prefix_lists, context, id.clone(), false, Some(list));
        if node.get("Entries").is_some() || node.get("Cidrs").is_some() {
            self.list_entries(node, &id, context);
        }
    }

    /// A list of which one entry cannot be read is one whose entries are not known: any address may be in it.
    pub(super) fn list_entries(&mut self, node: Node<'_>, id: &str, context: &Context) {
        let listed = self.elements(node, "Entries", Need::Optional, id, context);
        let texts =
            listed.zip(self.elements(node, "Cidrs", Need::Optional, id, context)).map(|(one, other)| {
                let entries = one.into_iter().map(|entry| entry.text("Cidr"));
                entries.chain(other.into_iter().map(Node::as_text)).collect::<Vec<_>>()
            });
        let value = texts.and_then(|texts| {
            let blocks = texts.into_iter().map(|text| self.block(&text.unwrap_or_default(), id, context));
            // All of them, so that each that is wrong is told.
            let blocks: Vec<Option<Prefix>> = blocks.collect();
            blocks.into_iter().collect()
        });
        let (id, origin) = (id.to_string(), context.origin());
        let moments = [context.at, context.held_until];
        let moments = moments.into_iter().enumerate().filter(|(at, moment)| *at == 0 || moment.is_some());
        for (_, at) in moments {
            let source = context.source;
            self.list_pieces.push(Piece { id: id.clone(), at, origin, source, value: value.clone() });
        }
    }

    fn reservation(&mut self, node: Node<'_>, context: &Context) {
        for instance in node.list("Instances") {
            self.instance(instance, context);
        }
    }

    pub(super) fn instance(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "InstanceId", context) else { return };
        for interface in node.list("NetworkInterfaces") {
            self.interface_reading(interface, Some(&id), context);
        }
        let instance = Instance {
            instance_type: node.text("InstanceType"),
            vpc_id: node.text("VpcId"),
            subnet_id: node.text("SubnetId"),
            is_windows: is_windows(node),
            state: node.get("State").and_then(|state| state.text("Name")),
            id: id.clone(),
        };
        record(&mut self.instances, context, id, false, Some(instance));
    }

    /// AWS Config records these as CloudFormation describes them.
    pub(super) fn acl_association(&mut self, node: Node<'_>, id: String, context: &Context) {
        let (Some(acl_id), Some(subnet_id)) =
            (self.id(node, "NetworkAclId", context), self.id(node, "SubnetId", context))
        else {
            return;
        };
        let association = AclAssociation { id: id.clone(), subnet_id, acl_id };
        record(&mut self.acl_associations, context, id, false, Some(association));
    }

    fn stale_group(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "GroupId", context) else { return };
        for list in ["StaleIpPermissions", "StaleIpPermissionsEgress"] {
            let pairs = node.list(list).flat_map(|permission| permission.list("UserIdGroupPairs"));
            for reference in pairs.filter_map(group_reference) {
                let piece = Piece::new(id.clone(), context, reference);
                self.stale_pieces.push(piece);
            }
        }
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family(text: Option<String>) -> Option<Family> {
    match text.as_deref() {
        Some("IPv4") => Some(Family::V4),
        Some("IPv6") => Some(Family::V6),
        _ => None,
    }
}

fn bpa_mode(node: Node<'_>) -> Option<String> {
    node.get("BlockPublicAccessStates").and_then(|states| states.text("InternetGatewayBlockMode"))
}

/// The service model writes `natGateway`, real output `nat_gateway`; AWS Config follows the model.
fn interface_type(text: String) -> String {
    let mut snake = String::with_capacity(text.len() + 4);
    for letter in text.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Whether an instance runs Windows: `Platform` says so of these alone, and `PlatformDetails` of all.
fn is_windows(instance: Node<'_>) -> Option<bool> {
    let is = |key: &str| {
        instance
            .text(key)
            .map(|text| text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("windows")))
    };
    is("Platform").filter(|windows| *windows).or_else(|| is("PlatformDetails"))
}
