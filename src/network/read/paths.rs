//! Objects of the AWS CLI and AWS Config that lead traffic, join networks or keep them from the internet: as [`model`](crate::network)
//! has them in `paths`.

use super::coverage::operation;
use super::elements::Need;
use super::node::{Node, push_new};
use super::{Context, NetworkBuilder, Piece, record};
use crate::network::model::*;

impl NetworkBuilder {
    pub(super) fn route_table(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "RouteTableId", context) else { return };
        let mut routes = Vec::new();
        let listed = self.elements(node, "Routes", Need::Optional, &id, context);
        let mut more_routes = listed.is_none();
        for route in listed.into_iter().flatten() {
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
            match destination {
                Some(destination) => {
                    let propagated = route.text("Origin").as_deref() == Some("EnableVgwRoutePropagation");
                    routes.push(Route { destination, target, state: route.text("State"), propagated });
                }
                None => {
                    self.problem(context, &id, "a route without a readable destination may lead anywhere");
                    more_routes = true;
                }
            }
        }
        let associations = self.optional(node, "Associations", &id, context);
        let associated =
            |key: &str| associations.iter().filter_map(|association| association.text(key)).collect();
        let table = RouteTable {
            vpc_id: node.text("VpcId"),
            is_main: associations.iter().any(|association| association.flag("Main") == Some(true)),
            subnet_ids: associated("SubnetId"),
            gateway_ids: associated("GatewayId"),
            routes,
            more_routes,
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

    /// `describe-transit-gateway-vpc-attachments`, which tells the subnets.
    pub(super) fn transit_vpc_attachment(&mut self, node: Node<'_>, context: &Context) {
        self.transit_attachment(node, context, false);
    }

    /// `describe-transit-gateway-attachments`, which tells the route table, and of a VPC's no subnets
    /// ([`NetworkBuilder::join_attachments`]).
    pub(super) fn transit_any_attachment(&mut self, node: Node<'_>, context: &Context) {
        self.transit_attachment(node, context, true);
    }

    /// Attachments of what is no VPC decide nothing; each account of a peering describes it from its own gateway, so that its two
    /// descriptions differ.
    fn transit_attachment(&mut self, node: Node<'_>, context: &Context, reduced: bool) {
        // Attachments that are gone are listed for a while.
        const GONE: [&str; 6] = ["deleted", "deleting", "failed", "failing", "rejected", "rejecting"];
        let is_gone = node.text("State").is_some_and(|state| GONE.contains(&state.as_str()));
        if is_gone || node.text("ResourceType").is_some_and(|kind| kind != "vpc") {
            return;
        }
        let Some(id) = self.id(node, "TransitGatewayAttachmentId", context) else { return };
        let resource = node.text("ResourceId").filter(|id| id.starts_with("vpc-"));
        let attachment = TransitGatewayAttachment {
            gateway_id: node.text("TransitGatewayId"),
            vpc_id: node.text("VpcId").or(resource),
            subnet_ids: node.texts("SubnetIds"),
            security_group_referencing: node
                .get("Options")
                .and_then(|options| options.text("SecurityGroupReferencingSupport")),
            gateway_referencing: None,
            route_table_id: node
                .get("Association")
                .filter(|told| told.text("State").is_none_or(|state| state == "associated"))
                .and_then(|told| told.text("TransitGatewayRouteTableId")),
            // Only that form has them.
            association_known: reduced && tells_association(node, context),
            state: node.text("State"),
            id: id.clone(),
        };
        record(&mut self.transit_attachments, context, id, reduced, Some(attachment));
    }

    /// What is told of a gateway's route table beside its routes: its name.
    pub(super) fn transit_route_table(&mut self, node: Node<'_>, context: &Context) {
        self.id(node, "TransitGatewayRouteTableId", context);
    }

    /// `search-transit-gateway-routes`: the answer does not name the table, and holds what a filter leaves, which the command
    /// demands. It says whether there are more routes unless the AWS CLI has put pages together, and then it has put together all.
    pub(super) fn transit_routes(&mut self, node: Node<'_>, id: &str, context: &Context) {
        let is_page = node.text("NextToken").is_some();
        let more = node.flag("AdditionalRoutesAvailable").unwrap_or(is_page);
        if more && !is_page {
            let message = "has more routes than one answer holds; those that are not in it are not known (ask for parts of \
                           the table: --filters Name=route-search.subnet-of-match,Values=BLOCK)";
            self.problem(context, id, message);
        }
        let mut whole = !more && asks_all(&context.command);
        let mut routes = Vec::new();
        for route in self.optional(node, "Routes", id, context) {
            let destination = match (route.text("DestinationCidrBlock"), route.text("PrefixListId")) {
                (Some(text), _) => self.block(&text, id, context).map(Destination::Cidr),
                (None, list) => list.map(Destination::PrefixList),
            };
            let attachments = route.list("TransitGatewayAttachments");
            let attachment_ids =
                attachments.filter_map(|one| one.text("TransitGatewayAttachmentId")).collect();
            match destination {
                Some(destination) => {
                    let (state, kind) = (route.text("State"), route.text("Type"));
                    let propagated = kind.as_deref() == Some("propagated");
                    routes.push(TransitRoute { destination, attachment_ids, state, propagated });
                }
                None => {
                    self.problem(context, id, "a route without a readable destination may lead anywhere");
                    whole = false;
                }
            }
        }
        let table = TransitRouteTable { id: id.to_owned(), routes, whole };
        record(&mut self.transit_tables, context, id.to_owned(), false, Some(table));
    }

    pub(super) fn transit_gateway(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "TransitGatewayId", context) else { return };
        let support = node.get("Options").and_then(|options| options.text("SecurityGroupReferencingSupport"));
        if let Some(support) = support {
            self.gateway_pieces.push(Piece::new(id, context, support));
        }
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

/// Whether an attachment is shown to the gateway's owner, who sees its association.
fn tells_association(node: Node<'_>, context: &Context) -> bool {
    let owner = node.text("TransitGatewayOwnerId");
    owner.is_some() && (owner == node.text("ResourceOwnerId") || owner == context.account)
}

/// Whether a command's filters leave every route: both states of routes, or both ways to have them.
fn asks_all(command: &str) -> bool {
    let mut words =
        command.split_whitespace().skip_while(|word| *word != "--filters" && *word != "--filter").skip(1);
    let filters: Vec<&str> = words.by_ref().take_while(|word| !word.starts_with("--")).collect();
    let all = |filter: &str| match filter.replace(['"', '\''], "").split_once(",Values=") {
        Some(("Name=state", values)) => {
            ["active", "blackhole"].iter().all(|one| values.split(',').any(|value| value == *one))
        }
        Some(("Name=type", values)) => {
            ["static", "propagated"].iter().all(|one| values.split(',').any(|value| value == *one))
        }
        _ => false,
    };
    let cut = ["--max-results", "--max-items", "--starting-token", "--next-token"];
    !filters.is_empty() && filters.into_iter().all(all) && !cut.iter().any(|option| command.contains(option))
}

/// Whether an answer is of `search-transit-gateway-routes`: by its command, by the member that only it has, or by what all of its
/// routes have and a Client VPN endpoint's have not.
pub(super) fn is_transit_routes(node: Node<'_>, command: &str) -> bool {
    let Some(routes) = node.0.get("Routes").and_then(serde_json::Value::as_array) else { return false };
    let is_one = |route: Node<'_>| {
        let leads = ["TransitGatewayAttachments", "PrefixListId"].iter().any(|key| route.get(key).is_some());
        leads && route.text("Type").is_some_and(|kind| matches!(kind.as_str(), "static" | "propagated"))
    };
    operation(command) == Some("search-transit-gateway-routes")
        || node.0.get("AdditionalRoutesAvailable").is_some()
        || routes.iter().any(|route| is_one(Node(route)))
}
