//! The smallest changes at a transit gateway that give packets a way over it.

use std::net::IpAddr;

use super::route::Best;
use super::walk::{Local, Walk};
use crate::attribute::{Fix, quoted, resource};
use crate::net::Prefix;
use crate::network::TransitGatewayAttachment;

impl Walk<'_> {
    /// The acceptance that an attachment waits for; the gateway's account gives it.
    pub(super) fn accept_attachment(&self, attachment: &TransitGatewayAttachment) -> Fix {
        let id = &attachment.id;
        Fix::new(
            format!("accept {id}, as the account of its transit gateway"),
            format!("aws ec2 accept-transit-gateway-vpc-attachment --transit-gateway-attachment-id {id}"),
            resource(
                "aws_ec2_transit_gateway_vpc_attachment_accepter",
                id,
                &[("transit_gateway_attachment_id", quoted(id))],
            ),
        )
    }

    /// A route of a gateway's table to the far end; `blackhole` is the block of the one that drops the packets.
    pub(super) fn transit_route(
        &self,
        table: &str,
        far: Option<&TransitGatewayAttachment>,
        holder: Option<&Local>,
        to: IpAddr,
        blackhole: Option<Prefix>,
    ) -> Option<Fix> {
        let (far, holder) = (far?, holder?);
        let vpc = self.network.vpcs.get(holder.rules.interface.vpc_id.as_deref()?, self.view)?;
        let blocks = vpc.value.cidrs.iter().filter(|block| block.contains(&to));
        let whole = *blocks.max_by_key(|block| block.prefix_len())?;
        // A narrower route comes before the blackhole; one as narrow takes its place.
        let (verb, word, block) = match blackhole {
            None => ("create", "add", whole),
            Some(dead) if dead.prefix_len() < whole.prefix_len() => ("create", "add", whole),
            Some(dead) => ("replace", "replace", dead),
        };
        let id = &far.id;
        Some(Fix::new(
            format!("{word} the route of {table} to {block}: to {id}"),
            format!(
                "aws ec2 {verb}-transit-gateway-route --transit-gateway-route-table-id {table} --destination-cidr-block {block} \
                 --transit-gateway-attachment-id {id}"
            ),
            resource(
                "aws_ec2_transit_gateway_route",
                &format!("{table} {block}"),
                &[
                    ("transit_gateway_route_table_id", quoted(table)),
                    ("destination_cidr_block", quoted(block)),
                    ("transit_gateway_attachment_id", quoted(id)),
                ],
            ),
        ))
    }

    /// The association with the route table that the far end has as well, where that leads there.
    pub(super) fn associate(
        &self,
        near: &TransitGatewayAttachment,
        far: &TransitGatewayAttachment,
        to: IpAddr,
    ) -> Option<Fix> {
        let table = far.route_table_id.as_deref()?;
        let known = self.network.transit_tables.get(table, self.view)?;
        let leads = known.value.routes.iter().any(|route| {
            route.destination.block().is_some_and(|block| block.contains(&to))
                && route.attachment_ids.contains(&far.id)
        });
        let id = &near.id;
        leads.then(|| {
            Fix::new(
                format!("associate {id} with {table}"),
                format!(
                    "aws ec2 associate-transit-gateway-route-table --transit-gateway-route-table-id {table} \
                     --transit-gateway-attachment-id {id}"
                ),
                resource(
                    "aws_ec2_transit_gateway_route_table_association",
                    id,
                    &[
                        ("transit_gateway_attachment_id", quoted(id)),
                        ("transit_gateway_route_table_id", quoted(table)),
                    ],
                ),
            )
        })
    }

    /// The subnet that gives an attachment an interface in its zone.
    pub(super) fn add_subnet(&self, attachment: &TransitGatewayAttachment, subnet: &str) -> Fix {
        let id = &attachment.id;
        let all: Vec<String> =
            attachment.subnet_ids.iter().map(String::as_str).chain([subnet]).map(quoted).collect();
        Fix::new(
            format!("give {id} an interface in the zone of {subnet} (there, or in a subnet of its own)"),
            format!(
                "aws ec2 modify-transit-gateway-vpc-attachment --transit-gateway-attachment-id {id} --add-subnet-ids {subnet}"
            ),
            format!("# in the resource of {id}\nsubnet_ids = [{}]", all.join(", ")),
        )
    }

    /// Another way than over a gateway that leads nowhere: the change to the table of the near end's subnet.
    pub(super) fn around(&self, from: &Local, to: IpAddr, holder: Option<&Local>) -> Option<Fix> {
        let Best { table, route: Some((route, _)), block: Some(block), .. } = self.best_route(from, to)?
        else {
            return None;
        };
        self.detour(from, to, holder, &table, (&route, block)).map(|found| found.fix)
    }
}
