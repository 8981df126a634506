//! AWS CLI output: one top-level list per command, recognised by its key (spec 6.1 to 6.6). The same object readers serve
//! AWS Config, whose objects have the same members in camelCase.

use super::groups::group_reference;
use super::node::{Node, push_new};
use super::traffic::{acl_action, acl_traffic};
use super::{Context, Document, NetworkBuilder, Piece, ReadError, record};
use crate::net::Prefix;
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
    ("TransitGatewayVpcAttachments", NetworkBuilder::transit_attachment),
    ("TransitGatewayAttachments", NetworkBuilder::transit_attachment),
    ("SecurityGroupVpcAssociations", NetworkBuilder::group_association),
    ("StaleSecurityGroupSet", NetworkBuilder::stale_group),
    ("SecurityGroupReferenceSet", NetworkBuilder::nothing),
    ("SecurityGroupsReferenceSet", NetworkBuilder::nothing),
    ("VpcBlockPublicAccessExclusions", NetworkBuilder::bpa_exclusion),
    ("LoadBalancers", NetworkBuilder::load_balancer),
    ("LoadBalancerDescriptions", NetworkBuilder::classic_load_balancer),
    ("TargetGroups", NetworkBuilder::target_group),
];

impl NetworkBuilder {
    /// Reads a describe output, or fails when no key is known.
    pub(super) fn aws_cli(&mut self, node: Node<'_>, context: &Context) -> Result<Document, ReadError> {
        if node.get("Entries").is_some() {
            let id =
                context.named("pl-").ok_or_else(|| ReadError::ListUnnamed { file: context.file.clone() })?;
            self.list_entries(node, &id, context);
            return Ok(Document::AwsCli("Entries"));
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
        let mut found = None;
        for (key, read) in READERS {
            // The exact key: `subnets` in some other tool's file is not `Subnets`.
            let Some(list) = node.0.get(*key) else { continue };
            found = Some(Document::AwsCli(key));
            match list.as_array() {
                Some(items) => items.iter().for_each(|item| read(self, Node(item), context)),
                None => self.problem(context, key, "is no list; nothing was read from it"),
            }
        }
        found.ok_or_else(|| {
            let keys = match node.0.as_object() {
                Some(object) if !object.is_empty() => {
                    object.keys().take(6).cloned().collect::<Vec<_>>().join(", ")
                }
                _ => "none".to_string(),
            };
            ReadError::Unknown { file: context.file.clone(), keys }
        })
    }

    /// An element's id, or a problem.
    pub(super) fn id(&mut self, node: Node<'_>, key: &str, context: &Context) -> Option<String> {
        let id = node.text(key);
        if id.is_none() {
            self.problem(context, "-", format!("an element without {key} was left out"));
        }
        id
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
        let Some(id) = self.id(node, "NetworkAclId", context) else { return };
        let mut entries = Vec::new();
        for entry in node.list("Entries") {
            entries.extend(self.acl_entry(entry, &id, context));
        }
        let mut seen: Vec<(u32, bool)> = entries.iter().map(|entry| (entry.number, entry.egress)).collect();
        seen.sort_unstable();
        for pair in seen.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                self.problem(context, &id, format!("rule number {} occurs twice in one direction", one.0));
            }
        }
        let acl = NetworkAcl {
            id: id.clone(),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            is_default: node.flag("IsDefault").unwrap_or(false),
            subnet_ids: node
                .list("Associations")
                .filter_map(|association| association.text("SubnetId"))
                .collect(),
            entries,
        };
        record(&mut self.acls, context, id, false, Some(acl));
    }

    fn acl_entry(&mut self, node: Node<'_>, acl: &str, context: &Context) -> Option<NaclEntry> {
        let number = node.integer("RuleNumber").and_then(|number| u32::try_from(number).ok());
        let (Some(number), Some(egress)) = (number, node.flag("Egress")) else {
            self.problem(context, acl, "an entry without RuleNumber or Egress was left out");
            return None;
        };
        let action = acl_action(node.text("RuleAction").as_deref());
        if action.is_none() {
            self.problem(context, acl, format!("entry {number} neither allows nor denies"));
        }
        let cidr_text = node.text("CidrBlock").or_else(|| node.text("Ipv6CidrBlock")).unwrap_or_default();
        let cidr = self.block(&cidr_text, &format!("{acl} entry {number}"), context);
        let range = node.get("PortRange").map(|range| (range.integer("From"), range.integer("To")));
        let icmp = node.get("IcmpTypeCode").map(|icmp| (icmp.integer("Type"), icmp.integer("Code")));
        let (from, to) = range.unwrap_or((None, None));
        let (kind, code) = icmp.unwrap_or((None, None));
        let protocol = node.text("Protocol").unwrap_or_default();
        let traffic = match acl_traffic(&protocol, from, to, kind, code, cidr.as_ref()) {
            Ok(traffic) => traffic,
            Err(message) => {
                self.problem(context, acl, format!("entry {number}: {message}; it may match anything"));
                Traffic::Unreadable(message)
            }
        };
        Some(NaclEntry { number, egress, action, traffic, cidr })
    }

    pub(super) fn interface(&mut self, node: Node<'_>, context: &Context) {
        self.interface_reading(node, None, context);
    }

    fn interface_reading(&mut self, node: Node<'_>, instance: Option<&str>, context: &Context) {
        let Some(id) = self.id(node, "NetworkInterfaceId", context) else { return };
        let mut addresses = Vec::new();
        let mut public_addresses = Vec::new();
        push_new(&mut addresses, node.addr("PrivateIpAddress"));
        let mut primary = node.addr("PrivateIpAddress");
        for address in node.list("PrivateIpAddresses") {
            let private = address.addr("PrivateIpAddress");
            if primary.is_none() && address.flag("Primary") == Some(true) {
                primary = private;
            }
            push_new(&mut addresses, private);
            let public = address.get("Association").and_then(|association| association.addr("PublicIp"));
            push_new(&mut public_addresses, public);
        }
        for address in node.list("Ipv6Addresses") {
            push_new(&mut addresses, address.addr("Ipv6Address"));
        }
        push_new(&mut public_addresses, node.get("Association").and_then(|found| found.addr("PublicIp")));
        let mut prefixes = Vec::new();
        for (list, member) in [("Ipv4Prefixes", "Ipv4Prefix"), ("Ipv6Prefixes", "Ipv6Prefix")] {
            for text in node.list(list).filter_map(|prefix| prefix.text(member)) {
                push_new(&mut prefixes, self.block(&text, &id, context));
            }
        }
        if addresses.is_empty() {
            self.problem(context, &id, "interface without a readable address");
        }
        let timeouts = node.get("ConnectionTrackingConfiguration");
        let timeout = |key: &str| timeouts.and_then(|timeouts| timeouts.integer(key));
        let groups = node.get("Groups");
        let interface = NetworkInterface {
            subnet_id: node.text("SubnetId"),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            group_ids: node.list("Groups").filter_map(|group| group.text("GroupId")).collect(),
            groups_known: groups.is_some_and(|groups| groups.0.is_array()),
            primary,
            addresses,
            prefixes,
            public_addresses,
            interface_type: node.text("InterfaceType").map(interface_type),
            description: node.text("Description"),
            requester_id: node.text("RequesterId"),
            requester_managed: node.flag("RequesterManaged").unwrap_or(false),
            source_dest_check: node.flag("SourceDestCheck"),
            instance_id: (node.get("Attachment").and_then(|attachment| attachment.text("InstanceId")))
                .or_else(|| instance.map(str::to_string)),
            tcp_established_timeout: timeout("TcpEstablishedTimeout"),
            udp_timeout: timeout("UdpTimeout"),
            udp_stream_timeout: timeout("UdpStreamTimeout"),
            id: id.clone(),
        };
        record(&mut self.interfaces, context, id, instance.is_some(), Some(interface));
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
            entries: None,
        };
        record(&mut self.prefix_lists, context, id.clone(), false, Some(list));
        if node.get("Entries").is_some() || node.get("Cidrs").is_some() {
            self.list_entries(node, &id, context);
        }
    }

    pub(super) fn list_entries(&mut self, node: Node<'_>, id: &str, context: &Context) {
        let mut entries = Vec::new();
        let texts = node.list("Entries").filter_map(|entry| entry.text("Cidr")).chain(node.texts("Cidrs"));
        for text in texts {
            entries.extend(self.block(&text, id, context));
        }
        let piece = Piece { id: id.to_string(), at: context.at, origin: context.origin(), value: entries };
        self.list_pieces.push(piece);
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
        let mut tags = node.list("Tags");
        let instance = Instance {
            name: tags
                .find(|tag| tag.text("Key").as_deref() == Some("Name"))
                .and_then(|tag| tag.text("Value")),
            instance_type: node.text("InstanceType"),
            vpc_id: node.text("VpcId"),
            subnet_id: node.text("SubnetId"),
            id: id.clone(),
        };
        record(&mut self.instances, context, id, false, Some(instance));
    }

    pub(super) fn route_table(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "RouteTableId", context) else { return };
        let mut routes = Vec::new();
        for route in node.list("Routes") {
            let block = route.text("DestinationCidrBlock").or_else(|| route.text("DestinationIpv6CidrBlock"));
            let destination = match (block, route.text("DestinationPrefixListId")) {
                (Some(text), _) => self.block(&text, &id, context).map(Destination::Cidr),
                (None, list) => list.map(Destination::PrefixList),
            };
            const TARGETS: [&str; 10] = [
                "GatewayId",
                "NatGatewayId",
                "TransitGatewayId",
                "NetworkInterfaceId",
                "VpcPeeringConnectionId",
                "EgressOnlyInternetGatewayId",
                "CarrierGatewayId",
                "LocalGatewayId",
                "CoreNetworkArn",
                "InstanceId",
            ];
            let target =
                TARGETS.iter().find_map(|key| route.text(key)).unwrap_or_else(|| "unknown".to_string());
            if let Some(destination) = destination {
                routes.push(Route { destination, target, state: route.text("State") });
            }
        }
        let table = RouteTable {
            vpc_id: node.text("VpcId"),
            is_main: node.list("Associations").any(|association| association.flag("Main") == Some(true)),
            subnet_ids: node
                .list("Associations")
                .filter_map(|association| association.text("SubnetId"))
                .collect(),
            routes,
            id: id.clone(),
        };
        record(&mut self.route_tables, context, id, false, Some(table));
    }

    pub(super) fn peering(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "VpcPeeringConnectionId", context) else { return };
        let end = |key: &str| {
            let Some(info) = node.get(key) else { return PeeringEnd::default() };
            let mut cidrs = Vec::new();
            push_new(&mut cidrs, info.text("CidrBlock").and_then(|text| text.parse().ok()));
            info.blocks("CidrBlockSet", "CidrBlock", "", &mut cidrs);
            info.blocks("Ipv6CidrBlockSet", "Ipv6CidrBlock", "", &mut cidrs);
            PeeringEnd {
                vpc_id: info.text("VpcId"),
                owner_id: info.text("OwnerId"),
                region: info.text("Region"),
                cidrs,
            }
        };
        let peering = Peering {
            status: node.get("Status").and_then(|status| status.text("Code").or_else(|| status.as_text())),
            requester: end("RequesterVpcInfo"),
            accepter: end("AccepterVpcInfo"),
            id: id.clone(),
        };
        record(&mut self.peerings, context, id, false, Some(peering));
    }

    pub(super) fn transit_attachment(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "TransitGatewayAttachmentId", context) else { return };
        let resource = node.text("ResourceId").filter(|id| id.starts_with("vpc-"));
        let attachment = TransitGatewayAttachment {
            gateway_id: node.text("TransitGatewayId"),
            vpc_id: node.text("VpcId").or(resource),
            subnet_ids: node.texts("SubnetIds"),
            security_group_referencing: node
                .get("Options")
                .and_then(|options| options.text("SecurityGroupReferencingSupport")),
            id: id.clone(),
        };
        record(&mut self.transit_attachments, context, id, false, Some(attachment));
    }

    pub(super) fn group_association(&mut self, node: Node<'_>, context: &Context) {
        let (Some(group_id), Some(vpc_id)) =
            (self.id(node, "GroupId", context), self.id(node, "VpcId", context))
        else {
            return;
        };
        let id = format!("{group_id}/{vpc_id}");
        let association = GroupVpcAssociation { id: id.clone(), group_id, vpc_id, state: node.text("State") };
        record(&mut self.group_associations, context, id, false, Some(association));
    }

    fn stale_group(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "GroupId", context) else { return };
        for list in ["StaleIpPermissions", "StaleIpPermissionsEgress"] {
            let pairs = node.list(list).flat_map(|permission| permission.list("UserIdGroupPairs"));
            for reference in pairs.filter_map(group_reference) {
                let piece =
                    Piece { id: id.clone(), at: context.at, origin: context.origin(), value: reference };
                self.stale_pieces.push(piece);
            }
        }
    }

    pub(super) fn bpa(&mut self, node: Node<'_>, context: &Context) {
        let account = node.text("AwsAccountId").or_else(|| context.account.clone());
        let region = node.text("AwsRegion").or_else(|| context.region.clone());
        let id = format!("{}/{}", account.as_deref().unwrap_or("-"), region.as_deref().unwrap_or("-"));
        let options = BpaOptions { id: id.clone(), mode: node.text("InternetGatewayBlockMode") };
        record(&mut self.bpa_options, context, id, false, Some(options));
    }

    pub(super) fn bpa_exclusion(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "ExclusionId", context) else { return };
        let arn = node.text("ResourceArn");
        let exclusion = BpaExclusion {
            resource_id: arn.and_then(|arn| arn.rsplit('/').next().map(str::to_string)),
            mode: node.text("InternetGatewayExclusionMode"),
            state: node.text("State"),
            id: id.clone(),
        };
        record(&mut self.bpa_exclusions, context, id, false, Some(exclusion));
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
