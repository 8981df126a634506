//! The way over a transit gateway: the attachments, whose network ACLs filter too (spec 1.2, rows e and f), the gateway's own routes,
//! and a VPC between the two that inspects what the gateway sends to it.

use std::net::IpAddr;

use super::filters::ClientPorts;
use super::route::{Best, is_forwarder};
use super::walk::{Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::Fix;
use crate::net::{Prefix, is_internet};
use crate::network::{Destination, TransitGatewayAttachment, TransitRoute};
use crate::rules::{Decision, Direction, Packet};

/// Where a transit gateway's own routes lead.
struct Led {
    outcome: Decision,
    reason: String,
    route: Option<String>,
    /// The attachment of a VPC that is neither end's.
    by: Option<TransitGatewayAttachment>,
    fix: Option<Fix>,
}

impl Walk<'_> {
    /// The stages at a transit gateway. `packet` is what the attachment of the near end takes in, and goes to `destination`.
    pub(super) fn transit(
        &mut self,
        way: Way,
        id: &str,
        (from, to): (&Local, Option<&Local>),
        destination: IpAddr,
        packet: Packet,
        ports: &[ClientPorts],
    ) {
        let near = self.attachment(id, from);
        let far = to.and_then(|to| self.attachment(id, to));
        match &near {
            Some(attachment) => self.at_attachment(way, (attachment, true), from, packet, ports),
            None => self.not_checked.push(format!("the network ACL where the VPC is attached to {id}")),
        }
        let mut waits = false;
        for attachment in [&near, &far].into_iter().flatten() {
            waits |= self.attachment_state(way, attachment);
        }
        if waits {
            let reason =
                "which of its route tables lead to an attachment that is not in use yet, these show later";
            self.stages.push(Stage::new(way, Layer::Gateway, id, Decision::Unknown, reason));
            self.not_checked.push(format!(
                "the route tables of {id} for what is not attached yet: by default they take in what is accepted"
            ));
            return;
        }
        let led = near.as_ref().and_then(|near| self.led(near, far.as_ref(), destination, to));
        let name = |attachment: &Option<TransitGatewayAttachment>| attachment.as_ref().map(|a| a.id.clone());
        let joined = match (name(&near), name(&far)) {
            (Some(near), Some(far)) => format!("both VPCs are attached ({near}, {far}), "),
            (Some(near), None) if self.central || self.is_outward(&destination) => {
                format!("the VPC is attached ({near}), ")
            }
            (Some(near), None) => format!("the VPC is attached ({near}), the far end is not known, "),
            (None, _) => "the VPC's attachment is not in the configuration (describe-transit-gateway-vpc-attachments), ".to_owned(),
        };
        match led {
            Some(Led { outcome, reason, route, by, fix }) => {
                let mut stage = Stage::new(way, Layer::Gateway, id, outcome, format!("{joined}{reason}"));
                (stage.rule, stage.fix) = (route, fix);
                if outcome == Decision::Deny && stage.fix.is_none() {
                    stage.fix = self.around(from, destination, to);
                }
                self.stages.push(stage);
                if let Some(middle) = by {
                    self.through(way, id, &middle, far.as_ref(), from, destination);
                }
            }
            None => {
                let reason = format!("{joined}and the gateway's route tables are not in the configuration");
                self.stages.push(Stage::new(way, Layer::Gateway, id, Decision::Unknown, reason));
                self.not_checked.push(format!(
                    "the route tables of {id} (aws ec2 describe-transit-gateway-attachments, and for the table of each \
                     search-transit-gateway-routes)"
                ));
            }
        }
        match (&far, to) {
            (Some(attachment), Some(to)) => {
                let outbound = Packet { direction: Direction::Egress, remote: to.own, ..packet };
                self.at_attachment(way, (attachment, false), to, outbound, ports);
            }
            _ if self.central => {}
            _ => self.not_checked.push(format!(
                "what is attached to {id} and holds {destination}: its groups, its network ACLs and its route back"
            )),
        }
    }

    /// Whether an address is none of a known VPC's, so that what leads there leads out of them.
    fn is_outward(&mut self, to: &IpAddr) -> bool {
        is_internet(to) && !self.engine.owners(self.view).in_some_vpc(to)
    }

    /// Attachments carry nothing before they are accepted and set up. Says whether this one is not.
    fn attachment_state(&mut self, way: Way, attachment: &TransitGatewayAttachment) -> bool {
        let Some(state) =
            attachment.state.as_deref().filter(|state| !matches!(*state, "available" | "modifying"))
        else {
            return false;
        };
        let reason = format!("it is {state}");
        let mut stage = Stage::new(way, Layer::Gateway, &attachment.id, Decision::Deny, reason);
        if state == "pendingAcceptance" {
            stage.fix = Some(self.accept_attachment(attachment));
        }
        self.stages.push(stage);
        true
    }

    /// Where the routes lead that the gateway has for an attachment; `None` where they are not known. What an answer may leave out
    /// makes nothing impossible, and can take a longer way than the route that it shows.
    fn led(
        &mut self,
        near: &TransitGatewayAttachment,
        far: Option<&TransitGatewayAttachment>,
        to: IpAddr,
        holder: Option<&Local>,
    ) -> Option<Led> {
        use Decision::{Allow, Deny, Unknown};
        let Some(id) = near.route_table_id.as_deref() else {
            let fix = near.association_known.then(|| far.and_then(|far| self.associate(near, far, to)));
            return fix.map(|fix| Led {
                outcome: Deny,
                reason: format!("{} is associated with no route table of the gateway", near.id),
                route: None,
                by: None,
                fix,
            });
        };
        let table = self.network.transit_tables.get(id, self.view)?.value.clone();
        let mut whole = table.whole;
        let mut best: Option<(Prefix, &TransitRoute)> = None;
        for route in &table.routes {
            let list;
            let blocks = match &route.destination {
                Destination::Cidr(block) => std::slice::from_ref(block),
                Destination::PrefixList(name) => {
                    list = self.network.prefix_lists.get(name, self.view);
                    let entries = list.as_ref().and_then(|list| list.value.entries.as_deref());
                    whole &= entries.is_some();
                    entries.unwrap_or_default()
                }
            };
            for block in blocks.iter().filter(|block| block.contains(&to)) {
                // Of two for one block the static one is taken (Transit Gateway guide, "Route evaluation order").
                let rank = |block: &Prefix, route: &TransitRoute| (block.prefix_len(), !route.propagated);
                if best.is_none_or(|(longest, other)| rank(block, route) > rank(&longest, other)) {
                    best = Some((*block, route));
                }
            }
        }
        let no = if whole { Deny } else { Unknown };
        let (mut by, mut fix) = (None, None);
        let (outcome, reason) = match (best, far) {
            (None, _) => {
                fix = self.transit_route(id, far, holder, to, None);
                (no, format!("{id}, the route table of {}, has no route for {to}", near.id))
            }
            (Some((block, route)), _) if route.attachment_ids.is_empty() => match route.state.as_deref() {
                Some("active") => (Unknown, "the gateway's route does not tell its attachment".to_owned()),
                _ => {
                    fix = self.transit_route(id, far, holder, to, Some(block));
                    (no, "the gateway's route is a blackhole".to_owned())
                }
            },
            (Some((_, route)), Some(far)) if route.attachment_ids.contains(&far.id) => {
                (Allow, format!("and the gateway leads from one to the other by {id}"))
            }
            (Some((_, route)), Some(far)) if route.attachment_ids.iter().all(|one| *one == near.id) => {
                (no, format!("the gateway leads back to {}, not to {}", near.id, far.id))
            }
            (Some((_, route)), _) => {
                let ids = route.attachment_ids.join(", ");
                let mut others = route.attachment_ids.iter().filter(|one| **one != near.id);
                by = others.find_map(|one| {
                    let found = self.network.transit_attachments.get(one, self.view)?;
                    Some(found.value.as_ref().clone()).filter(|found| found.vpc_id.is_some())
                });
                match (&by, far) {
                    (Some(_), Some(far)) => {
                        (Allow, format!("the gateway leads to {ids} first, not to {}", far.id))
                    }
                    (None, Some(_)) => {
                        self.not_checked.push(format!("what lies behind {ids}, to which {id} leads"));
                        (
                            Unknown,
                            format!("the gateway leads to {ids}, whose network is not in the configuration"),
                        )
                    }
                    (Some(_), None) if self.central || self.is_outward(&to) => {
                        (Allow, format!("the gateway leads to {ids}"))
                    }
                    (_, None) => {
                        by = None;
                        (Unknown, format!("the gateway leads to {ids}"))
                    }
                }
            }
        };
        if !whole {
            self.not_checked.push(format!(
                "routes of {id} that are not in the configuration (aws ec2 search-transit-gateway-routes --filters \
                 Name=state,Values=active,blackhole, with the command beside its answer)"
            ));
        }
        let route = best.map(|(block, route)| match route.attachment_ids.as_slice() {
            [] => format!("{id} {block} {}", route.state.as_deref().unwrap_or("blackhole")),
            ids => format!("{id} {block} to {}", ids.join(", ")),
        });
        fix = fix.filter(|_| outcome == Deny);
        Some(Led { outcome, reason, route, by, fix })
    }

    /// The stages in a VPC that the gateway sends packets to before they go on (Transit Gateway guide, "Appliance in a shared services
    /// VPC"): the route of the attachment's subnet, that behind the appliance, and the gateway's once more.
    fn through(
        &mut self,
        way: Way,
        id: &str,
        middle: &TransitGatewayAttachment,
        far: Option<&TransitGatewayAttachment>,
        from: &Local,
        to: IpAddr,
    ) {
        let vpc = middle.vpc_id.as_deref().unwrap_or("the VPC between");
        self.not_checked.push(format!("network ACLs in {vpc}, through which {id} leads"));
        let Some(subnet) = self.subnet_for(middle, from) else {
            self.not_checked.push(format!("the routes of {vpc}: the subnets of {} are not known", middle.id));
            return;
        };
        let Some(target) = self.middle_route(way, (&subnet, false), vpc, to) else { return };
        // The way through the NAT gateway is followed as any other's.
        if target.starts_with("nat-") {
            return;
        }
        let is_back = |target: &str| target == id;
        if !is_back(&target) {
            let behind = self.subnet_behind(&target);
            let Some(behind) = behind else {
                self.not_checked
                    .push(format!("the route behind {target}: its subnet is not in the configuration"));
                return;
            };
            let Some(next) = self.middle_route(way, (&behind, true), vpc, to) else { return };
            if next.starts_with("nat-") {
                return;
            }
            if !is_back(&next) {
                self.not_checked.push(format!("the way on from {behind}, which leads to {next}"));
                return;
            }
        }
        if let Some(Led { outcome, reason, route, by, fix }) = self.led(middle, far, to, None) {
            // A second VPC between is not followed.
            let (outcome, reason) = match by {
                Some(_) => (Decision::Unknown, format!("a second time: {reason}")),
                None => (outcome, format!("a second time, from {}: {reason}", middle.id)),
            };
            let mut stage = Stage::new(way, Layer::Gateway, id, outcome, reason);
            (stage.rule, stage.fix) = (route, fix);
            self.stages.push(stage);
        } else {
            let reason =
                format!("a second time: the route table of {} is not in the configuration", middle.id);
            self.stages.push(Stage::new(way, Layer::Gateway, id, Decision::Unknown, reason));
        }
    }

    /// The NAT gateway to which a transit gateway leads, by the routes of a VPC that has one for others.
    pub(super) fn nat_behind(&self, gateway: &str, from: &Local, to: IpAddr) -> Option<String> {
        let near = self.attachment(gateway, from)?;
        let table = self.network.transit_tables.get(near.route_table_id.as_deref()?, self.view)?.value;
        let holding = table.routes.iter().filter_map(|route| {
            let block = route.destination.block().filter(|block| block.contains(&to))?;
            Some(((block.prefix_len(), !route.propagated), route))
        });
        let (_, route) = holding.max_by_key(|(rank, _)| *rank)?;
        let found = self.network.transit_attachments.get(route.attachment_ids.first()?, self.view)?.value;
        let (middle, vpc) = (found.as_ref(), found.vpc_id.as_deref()?);
        let leads = |subnet: &str| {
            let table = self.network.route_table_of(subnet, Some(vpc), self.view)?.value.clone();
            self.best_of(table, to).route.map(|(route, _)| route.target)
        };
        let first = leads(&self.subnet_for(middle, from)?)?;
        let is_nat = |target: &String| target.starts_with("nat-");
        if is_nat(&first) {
            return Some(first);
        }
        // Behind an appliance or its endpoint.
        leads(&self.subnet_behind(&first)?).filter(is_nat)
    }

    /// The attachment's subnet that packets from there come by.
    fn subnet_for(&self, attachment: &TransitGatewayAttachment, from: &Local) -> Option<String> {
        self.subnet_in_zone(attachment, from).or_else(|| attachment.subnet_ids.first().cloned())
    }

    /// The stage of a route in a VPC between, or `behind` an appliance there; gives what it leads to, where it leads on.
    fn middle_route(
        &mut self,
        way: Way,
        (subnet, behind): (&str, bool),
        vpc: &str,
        to: IpAddr,
    ) -> Option<String> {
        let table =
            self.network.route_table_of(subnet, Some(vpc), self.view).map(|table| table.value.clone());
        let Some(table) = table else {
            let reason = "the subnet's route table is not in the configuration (describe-route-tables)";
            self.stages.push(Stage::new(way, Layer::Route, subnet, Decision::Unknown, reason));
            return None;
        };
        let Best { table, route, unknown, .. } = self.best_of(table, to);
        // An appliance may have another way on.
        let is_sure = unknown.is_empty() && !behind;
        self.not_checked.extend(unknown);
        let no = if is_sure { Decision::Deny } else { Decision::Unknown };
        let Some((route, block)) = route else {
            let reason = format!("{} has no route to {to}", table.id);
            let mut stage = Stage::new(way, Layer::Route, subnet, no, reason);
            let nat = self.nat_gateway(vpc, Some(&table)).filter(|_| is_sure && is_internet(&to));
            if let Some(nat) = nat {
                stage.fix =
                    Some(self.route_fix(&table.id, &Destination::Cidr(Prefix::host(to)), &nat, false));
                self.open_behind = true;
            }
            self.stages.push(stage);
            return None;
        };
        let target = route.target.clone();
        let (outcome, reason) = match target.split('-').next().unwrap_or_default() {
            _ if route.is_blackhole() => (no, format!("the route is a blackhole: {target} is gone")),
            "local" => (no, format!("{to} lies in a block of {vpc} itself")),
            "nat" if (is_sure || behind) && self.central => {
                (Decision::Allow, format!("over the NAT gateway {target}"))
            }
            "tgw" if is_sure || behind => (Decision::Allow, format!("to the transit gateway {target}")),
            "vpce" => {
                self.not_checked
                    .push(format!("the appliances behind the Gateway Load Balancer endpoint {target}"));
                (Decision::Unknown, format!("over {target} to appliances, which decide themselves"))
            }
            "eni" | "i" => {
                let (outcome, reason, _) = self.appliance(&target);
                (outcome, reason)
            }
            _ => (Decision::Unknown, format!("over {target}, which is not followed here")),
        };
        let mut stage = Stage::new(way, Layer::Route, subnet, outcome, reason);
        stage.rule = Some(format!("{} {block} to {target}", table.id));
        self.stages.push(stage);
        (outcome != Decision::Deny).then_some(target)
    }

    /// The subnet of an appliance or an endpoint.
    fn subnet_behind(&self, target: &str) -> Option<String> {
        let is_it = |id: &str, instance: Option<&str>, description: Option<&str>| match is_forwarder(target) {
            true => id == target || instance == Some(target),
            // AWS writes `VPC Endpoint Interface vpce-…` into the description.
            false => description.is_some_and(|text| text.split_whitespace().any(|word| word == target)),
        };
        let mut all = self.network.interfaces.all(self.view);
        let found = all.find(|found| {
            let one = found.value;
            is_it(&one.id, one.instance_id.as_deref(), one.description.as_deref())
        });
        found.and_then(|found| found.value.subnet_id.clone())
    }

    fn attachment(&self, gateway: &str, local: &Local) -> Option<TransitGatewayAttachment> {
        let vpc = local.rules.interface.vpc_id.as_deref()?;
        let mut all = self.network.transit_attachments.all(self.view);
        let found = all.find(|found| {
            found.value.gateway_id.as_deref() == Some(gateway) && found.value.vpc_id.as_deref() == Some(vpc)
        })?;
        Some(found.value.as_ref().clone())
    }

    fn zone_of(&self, subnet: &str) -> Option<String> {
        self.network.subnets.get(subnet, self.view)?.value.availability_zone.clone()
    }

    /// The attachment's subnet in the zone of `local`.
    fn subnet_in_zone(&self, attachment: &TransitGatewayAttachment, local: &Local) -> Option<String> {
        let zone = local.rules.subnet.as_ref().and_then(|subnet| subnet.availability_zone.clone())?;
        attachment.subnet_ids.iter().find(|id| self.zone_of(id).as_ref() == Some(&zone)).cloned()
    }

    /// The attachment's interface in the zone of `local`: what `enters` the gateway uses that of its own zone, and where there is none
    /// it is dropped. What becomes of packets that leave the gateway for a zone without one is not documented.
    fn at_attachment(
        &mut self,
        way: Way,
        (attachment, enters): (&TransitGatewayAttachment, bool),
        local: &Local,
        packet: Packet,
        ports: &[ClientPorts],
    ) {
        let subnets = &attachment.subnet_ids;
        let zone = local.rules.subnet.as_ref().and_then(|subnet| subnet.availability_zone.clone());
        let own = local.rules.interface.subnet_id.as_ref();
        let here = (subnets.iter().find(|id| own == Some(*id)).cloned())
            .or_else(|| self.subnet_in_zone(attachment, local));
        let subnet = match (here, &zone, subnets.as_slice()) {
            (Some(subnet), ..) => subnet,
            // Only what is known of every subnet proves that there is none.
            (None, Some(zone), [_, ..]) if subnets.iter().all(|id| self.zone_of(id).is_some()) => {
                let (outcome, reason) = match enters {
                    true => (
                        Decision::Deny,
                        format!("it has no subnet in {zone}, so packets of that zone do not reach it"),
                    ),
                    false => (
                        Decision::Unknown,
                        format!(
                            "it has no subnet in {zone}, and whether one in another zone leads there is not documented"
                        ),
                    ),
                };
                let mut stage = Stage::new(way, Layer::Gateway, &attachment.id, outcome, reason);
                stage.fix = own.map(|own| self.add_subnet(attachment, own));
                self.stages.push(stage);
                return;
            }
            (None, _, [only]) => {
                let own = own.map_or("the interface's subnet", String::as_str);
                self.not_checked.push(format!("whether {} is in the zone of {own}", attachment.id));
                only.clone()
            }
            (None, _, []) => {
                self.not_checked.push(format!("the network ACLs where {} is: its subnets", attachment.id));
                return;
            }
            (None, ..) => {
                self.not_checked.push(format!(
                    "the network ACL where {} is: which of {} is in the zone is not in the configuration",
                    attachment.id,
                    subnets.join(", ")
                ));
                return;
            }
        };
        let found = (self.network.interfaces_in(&subnet, self.view))
            .find(|found| found.value.is_type("transit_gateway"))
            .and_then(|found| Some((found.value.id.clone(), found.value.primary?)));
        let rules = found.and_then(|(id, own)| Some((self.engine.interface(&id, self.view)?, own)));
        match rules {
            Some((rules, own)) => {
                self.acl(way, &Local { rules, own, by_public: false }, &packet, ports);
            }
            None => self.not_checked.push(format!("the network ACL of {subnet}, where {} is", attachment.id)),
        }
    }

    /// The transit gateways that a VPC is attached to.
    pub(super) fn transit_gateways(&self, vpc: &str) -> Vec<String> {
        let all = self.network.transit_attachments.all(self.view);
        let of_vpc = all.filter(|found| found.value.vpc_id.as_deref() == Some(vpc));
        of_vpc.filter_map(|found| found.value.gateway_id.clone()).collect()
    }
}
