//! What lies between the two ends: the subnets of NAT gateways and of transit gateway attachments, whose network ACLs filter
//! too, and VPC Block Public Access at what leads to the internet.

use std::net::IpAddr;

use super::filters::ClientPorts;
use super::route::{Best, Hop};
use super::walk::{End, Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::{exclusion_fix, exclusion_of};
use crate::net::{ICMP, Prefix, TCP, UDP, behind_nat64, is_internet};
use crate::network::{Destination, NetworkInterface, TransitGatewayAttachment, TransitRoute};
use crate::rules::{ALLOW_EGRESS, Decision, Direction, Packet};

/// Where a transit gateway's own routes lead.
struct Led {
    outcome: Decision,
    reason: String,
    route: Option<String>,
}

/// The NAT gateway that the source's packets go through.
#[derive(Debug, Clone)]
pub(super) struct Nat {
    pub(super) id: String,
    /// Its interface; `None` where the configuration does not hold it.
    pub(super) local: Option<Local>,
}

impl Nat {
    /// The address under which the other end sees what comes through it.
    pub(super) fn seen(&self, remote: &IpAddr) -> Option<IpAddr> {
        let local = self.local.as_ref()?;
        if is_internet(&behind_nat64(remote)) { local.public() } else { Some(local.own) }
    }

    /// Whether the interface is the gateway's own.
    pub(super) fn is_at(&self, interface: &NetworkInterface) -> bool {
        self.local.as_ref().is_some_and(|local| local.rules.interface.id == interface.id)
    }
}

impl Walk<'_> {
    /// The NAT gateway of a subnet's route to an address: one of IPv4, or one that it makes an IPv4 address of.
    pub(super) fn nat_of(&mut self, local: &Local, remote: IpAddr) -> Option<Nat> {
        // Services of the VPC itself are reached without a route.
        if local.rules.unfiltered(&remote).is_some() {
            return None;
        }
        let route = self.best_route(local, remote)?.route?.0;
        let id = Some(route.target)
            .filter(|target| target.starts_with("nat-") && behind_nat64(&remote).is_ipv4())?;
        Some(self.nat_named(&id))
    }

    /// A NAT gateway by its id.
    pub(super) fn nat_named(&mut self, id: &str) -> Nat {
        // AWS writes `Interface for NAT Gateway nat-…` into the description of the gateway's interface.
        let interface = self.network.interfaces.all(self.view).find(|found| {
            let words = found.value.description.as_deref().unwrap_or_default().split_whitespace();
            found.value.is_type("nat_gateway") && words.into_iter().any(|word| word == id)
        });
        let found = interface.and_then(|found| Some((found.value.id.clone(), found.value.primary?)));
        let local = found.and_then(|(interface, own)| {
            let rules = self.engine.interface(&interface, self.view)?;
            Some(Local { rules, own, by_public: false })
        });
        Nat { id: id.to_owned(), local }
    }

    /// The stages between the source's subnet and the target's, towards the target.
    pub(super) fn over(&mut self, hop: &Hop, source: &Local, target: &End) {
        if let Hop::Nat(id) = hop
            && !matches!(self.flow.protocol, TCP | UDP | ICMP)
        {
            // Documented of NAT gateways: they support TCP, UDP and ICMP.
            let reason = "a NAT gateway carries TCP, UDP and ICMP only";
            self.stages.push(Stage::new(Way::There, Layer::Gateway, id, Decision::Deny, reason));
        }
        match hop {
            Hop::Internet => {
                self.over_internet = true;
                self.public_access(Way::There, source, hop, true);
            }
            Hop::EgressOnly => self.public_access(Way::There, source, hop, true),
            Hop::Nat(id) => match self.nat.clone().and_then(|nat| nat.local) {
                Some(nat) => {
                    let beyond = behind_nat64(&target.seen);
                    if beyond != target.seen && !is_internet(&beyond) {
                        self.not_checked
                            .push(format!("what holds {beyond}, which {id} makes of {}", target.seen));
                    }
                    self.acl(Way::There, &nat, &self.packet(Direction::Ingress, source.own), &[]);
                    self.acl(Way::There, &nat, &self.packet(Direction::Egress, beyond), &[]);
                    let next = self.route(Way::There, &nat, beyond, target.local.as_ref());
                    if next == Hop::Internet {
                        self.over_internet = true;
                        self.public_access(Way::There, &nat, hop, true);
                    }
                }
                None => {
                    let reason = "its interface is not in the configuration (describe-network-interfaces): it may be gone";
                    self.stages.push(Stage::new(Way::There, Layer::Gateway, id, Decision::Unknown, reason));
                    self.not_checked.push(format!(
                        "the subnet of {id}: its network ACL, its route and Block Public Access (its interface is not in the \
                         configuration)"
                    ));
                }
            },
            Hop::Transit(id) => {
                let packet = self.packet(Direction::Ingress, source.own);
                self.transit(Way::There, id, (source, target.local.as_ref()), target.seen, packet, &[]);
            }
            Hop::Other => {}
        }
    }

    /// The stages at the NAT gateway on the way back: `far` are the ports that it has towards the target, `near` the client's.
    pub(super) fn back_over_nat(
        &mut self,
        source: &Local,
        target: &End,
        answer: Packet,
        far: &[ClientPorts],
        near: &[ClientPorts],
    ) {
        let Some(nat) = self.nat.clone().and_then(|nat| nat.local) else { return };
        let beyond = behind_nat64(&target.seen);
        let inbound = Packet { direction: Direction::Ingress, remote: beyond, port: None, ..answer };
        self.acl(Way::Back, &nat, &inbound, far);
        let outbound = Packet { direction: Direction::Egress, remote: source.own, ..answer };
        self.acl(Way::Back, &nat, &outbound, near);
        self.route(Way::Back, &nat, source.own, Some(source));
    }

    /// The stages at a transit gateway: the attachments' network ACLs (spec 1.2, rows e and f) and the gateway's own routes.
    /// `packet` is what the attachment of the near end takes in, and goes to `destination`.
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
            Some(attachment) => self.at_attachment(way, attachment, from, packet, ports),
            None => self.not_checked.push(format!("the network ACL where the VPC is attached to {id}")),
        }
        let led = near.as_ref().and_then(|near| self.led(near, far.as_ref(), destination));
        let name = |attachment: &Option<TransitGatewayAttachment>| attachment.as_ref().map(|a| a.id.clone());
        let joined = match (name(&near), name(&far)) {
            (Some(near), Some(far)) => format!("both VPCs are attached ({near}, {far}), "),
            (Some(near), None) => format!("the VPC is attached ({near}), the far end is not known, "),
            (None, _) => "the VPC's attachment is not in the configuration (describe-transit-gateway-vpc-attachments), ".to_owned(),
        };
        match led {
            Some(Led { outcome, reason, route }) => {
                let mut stage = Stage::new(way, Layer::Gateway, id, outcome, format!("{joined}{reason}"));
                stage.rule = route;
                self.stages.push(stage);
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
                self.at_attachment(way, attachment, to, outbound, ports);
            }
            _ => self.not_checked.push(format!("the network ACL where the far end is attached to {id}")),
        }
    }

    /// Where the routes lead that the gateway has for an attachment; `None` where they are not known. What an answer may leave out
    /// makes nothing impossible, and can take a longer way than the route that it shows.
    fn led(
        &mut self,
        near: &TransitGatewayAttachment,
        far: Option<&TransitGatewayAttachment>,
        to: IpAddr,
    ) -> Option<Led> {
        use Decision::{Allow, Deny, Unknown};
        let id = near.route_table_id.as_deref()?;
        let table = self.network.transit_tables.get(id, self.view)?.value;
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
                if best.is_none_or(|(longest, _)| block.prefix_len() > longest.prefix_len()) {
                    best = Some((*block, route));
                }
            }
        }
        let no = if whole { Deny } else { Unknown };
        let (outcome, reason) = match (best, far) {
            (None, _) => (no, format!("{id}, the route table of {}, has no route for {to}", near.id)),
            (Some((_, route)), _) if route.attachment_ids.is_empty() => match route.state.as_deref() {
                Some("active") => (Unknown, "the gateway's route does not tell its attachment".to_owned()),
                _ => (no, "the gateway's route is a blackhole".to_owned()),
            },
            (Some((_, route)), None) => {
                (Unknown, format!("the gateway leads to {}", route.attachment_ids.join(", ")))
            }
            (Some((_, route)), Some(far)) if route.attachment_ids.contains(&far.id) => {
                (Allow, format!("and the gateway leads from one to the other by {id}"))
            }
            (Some((_, route)), Some(far)) => {
                (no, format!("the gateway leads to {}, not to {}", route.attachment_ids.join(", "), far.id))
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
        Some(Led { outcome, reason, route })
    }

    fn attachment(&self, gateway: &str, local: &Local) -> Option<TransitGatewayAttachment> {
        let vpc = local.rules.interface.vpc_id.as_deref()?;
        let mut all = self.network.transit_attachments.all(self.view);
        let found = all.find(|found| {
            found.value.gateway_id.as_deref() == Some(gateway) && found.value.vpc_id.as_deref() == Some(vpc)
        })?;
        Some(found.value.as_ref().clone())
    }

    /// The attachment's interface in the zone of `local`: packets of a zone use that zone's, and where there is none they
    /// are dropped.
    fn at_attachment(
        &mut self,
        way: Way,
        attachment: &TransitGatewayAttachment,
        local: &Local,
        packet: Packet,
        ports: &[ClientPorts],
    ) {
        let subnets = &attachment.subnet_ids;
        let zone_of = |id: &String| {
            self.network.subnets.get(id, self.view).and_then(|subnet| subnet.value.availability_zone.clone())
        };
        let zone = local.rules.subnet.as_ref().and_then(|subnet| subnet.availability_zone.clone());
        let own = local.rules.interface.subnet_id.as_ref();
        let in_zone = |id: &&String| zone.is_some() && zone_of(id) == zone;
        let here = subnets.iter().find(|id| own == Some(*id)).or_else(|| subnets.iter().find(in_zone));
        let subnet = match (here, &zone, subnets.as_slice()) {
            (Some(subnet), ..) => subnet,
            // Only what is known of every subnet proves that there is none.
            (None, Some(zone), [_, ..]) if subnets.iter().all(|id| zone_of(id).is_some()) => {
                let reason = format!("it has no subnet in {zone}, so packets of that zone do not reach it");
                self.stages.push(Stage::new(way, Layer::Gateway, &attachment.id, Decision::Deny, reason));
                return;
            }
            (None, _, [only]) => {
                let own = own.map_or("the interface's subnet", String::as_str);
                self.not_checked.push(format!("whether {} is in the zone of {own}", attachment.id));
                only
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
        let found = (self.network.interfaces_in(subnet, self.view))
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

    /// What comes in over the internet gateway: a route table of the gateway's own may send it to an appliance first
    /// (`Associations[].GatewayId` of spec 6.6).
    pub(super) fn enter(&mut self, way: Way, local: &Local) {
        let vpc = local.rules.interface.vpc_id.as_deref();
        let found = self.network.route_tables.all(self.view).find_map(|found| {
            let gateway = found.value.gateway_ids.iter().find(|id| id.starts_with("igw-"))?;
            (vpc.is_some() && found.value.vpc_id.as_deref() == vpc)
                .then(|| (gateway.clone(), found.value.clone()))
        });
        let Some((gateway, table)) = found else { return };
        let Best { table, route: Some((route, block)), .. } = self.best_of(table, local.own) else { return };
        let target = route.target.as_str();
        // A route to the interface itself is no detour.
        if target == "local" || target == local.rules.interface.id {
            return;
        }
        let (outcome, reason) = if target.starts_with("eni-") {
            let (outcome, reason, _) = self.appliance(target);
            (outcome, reason)
        } else {
            self.not_checked.push(format!("the appliances behind {target}"));
            (Decision::Unknown, format!("over {target} to appliances, which decide themselves"))
        };
        let mut stage = Stage::new(way, Layer::Route, gateway, outcome, reason);
        stage.rule = Some(format!("{} {block} to {target}", table.id));
        self.stages.push(stage);
    }

    /// VPC Block Public Access where packets cross to or from the internet (spec 5.1), of a flow that begins inside or not.
    pub(super) fn public_access(&mut self, way: Way, local: &Local, hop: &Hop, begins_inside: bool) {
        let interface = &local.rules.interface;
        let at = interface.subnet_id.as_deref().unwrap_or(&interface.id).to_owned();
        let Some(mode) = local.rules.bpa_mode.clone() else {
            self.not_checked.push(format!("VPC Block Public Access at {at} (not in the configuration)"));
            return;
        };
        let starts_inside = matches!(hop, Hop::Nat(_) | Hop::EgressOnly);
        let (outcome, reason) = match mode.as_str() {
            "off" => (Decision::Allow, "it is off".to_owned()),
            ALLOW_EGRESS if begins_inside => {
                (Decision::Allow, "an exclusion lets out what begins inside".to_owned())
            }
            ALLOW_EGRESS => (
                Decision::Deny,
                "an exclusion lets out what begins inside, and nothing else comes in".to_owned(),
            ),
            "block-ingress" if starts_inside => (
                Decision::Allow,
                "block-ingress leaves flows that start inside over such a gateway".to_owned(),
            ),
            "block-bidirectional" | "block-ingress" => (Decision::Deny, format!("its mode is {mode}")),
            other => (Decision::Unknown, format!("its mode {other} is not known")),
        };
        let mut stage = Stage::new(way, Layer::PublicAccess, at, outcome, reason);
        let excluded = exclusion_of(
            self.network,
            self.view,
            interface.subnet_id.as_deref(),
            interface.vpc_id.as_deref(),
        );
        stage.rule = excluded.map(|exclusion| {
            let of = exclusion.resource_id.as_deref().unwrap_or("-");
            format!("exclusion {} of {of}: {}", exclusion.id, exclusion.mode.as_deref().unwrap_or("-"))
        });
        if let (Decision::Deny, Some(subnet)) = (outcome, &interface.subnet_id) {
            stage.fix = Some(exclusion_fix(self.network, self.view, subnet, Some(&mode), begins_inside));
        }
        self.stages.push(stage);
    }
}
