//! What lies between the two ends: the subnets of NAT gateways, whose network ACLs filter too, and VPC Block Public Access at what
//! leads to the internet.

use std::net::IpAddr;

use super::filters::ClientPorts;
use super::route::{Best, Hop};
use super::walk::{End, Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::{exclusion_fix, exclusion_of};
use crate::net::{ICMP, TCP, UDP, behind_nat64, is_internet};
use crate::network::NetworkInterface;
use crate::rules::{ALLOW_EGRESS, Decision, Direction, Packet};

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
        let target = self.best_route(local, remote)?.route?.0.target;
        if target.starts_with("tgw-") && is_internet(&remote) {
            let id = self.nat_behind(&target, local, remote)?;
            self.central = true;
            return Some(self.nat_named(&id));
        }
        let beyond = behind_nat64(&remote);
        let id = Some(target).filter(|target| target.starts_with("nat-") && beyond.is_ipv4())?;
        let nat = self.nat_named(&id);
        // Where the gateway's own subnet leads to the internet only, private addresses take no way through it.
        let own = nat.local.as_ref().filter(|_| !is_internet(&beyond));
        if let Some(Best { table, route: Some((route, block)), unknown, .. }) =
            own.and_then(|own| self.best_route(own, beyond))
            && route.target.starts_with("igw-")
            && unknown.is_empty()
        {
            self.vain_nat = Some(format!("{} {block} to {}", table.id, route.target));
            return None;
        }
        Some(nat)
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
                (self.over_internet, self.left_for_internet) = (true, true);
                self.public_access(Way::There, source, hop, true);
            }
            Hop::EgressOnly => {
                self.left_for_internet = true;
                self.public_access(Way::There, source, hop, true);
            }
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
                if let Some(nat) = self.nat.as_ref().filter(|_| self.central) {
                    let hop = Hop::Nat(nat.id.clone());
                    self.over(&hop, source, target);
                }
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
        let hop = self.route(Way::Back, &nat, source.own, Some(source));
        if let (Hop::Transit(id), true) = (hop, self.central) {
            let packet = Packet { direction: Direction::Ingress, remote: beyond, ..answer };
            self.transit(Way::Back, &id, (&nat, Some(source)), source.own, packet, near);
        }
    }

    /// What left one VPC for the internet comes into another over that one's internet gateway, if it has one: of IPv6 addresses, which
    /// are not translated, the routes of the subnet show it.
    pub(super) fn come_in(&mut self, source: &Local, target: &Local) {
        let (near, far) = (&source.rules.interface, &target.rules.interface);
        if !target.own.is_ipv6() || near.vpc_id == far.vpc_id {
            return;
        }
        let Some(Best { table, route, .. }) = self.best_route(target, source.own) else { return };
        let leads = route.as_ref().map(|(route, _)| route.target.as_str()).unwrap_or_default();
        // A gateway of the VPC hands packets to every subnet, whatever that one's own routes are.
        let has_gateway = far.vpc_id.as_deref().is_some_and(|vpc| self.routed_to(vpc, "igw-").is_some());
        if leads.starts_with("igw-") || has_gateway {
            return;
        }
        let vpc = far.vpc_id.as_deref().unwrap_or("the other VPC");
        let reason = format!(
            "the packets leave for the internet, and whether they come into {vpc} from there is not known: {} leads to no internet \
             gateway for {}",
            table.id, source.own
        );
        let mut stage =
            Stage::new(Way::There, Layer::Address, target.own.to_string(), Decision::Unknown, reason);
        stage.rule = route.map(|(route, block)| format!("{} {block} to {}", table.id, route.target));
        self.stages.push(stage);
        let carrier =
            self.private_way(source, target).map(|to| format!(": a route to it over {to} is missing"));
        self.not_checked.push(format!(
            "how {} of {vpc} is reached from the internet{}",
            target.own,
            carrier.unwrap_or_default()
        ));
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
        let (outcome, reason) = if route.is_blackhole() {
            (Decision::Deny, format!("the route is a blackhole: {target} is gone"))
        } else if target.starts_with("eni-") {
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
            ALLOW_EGRESS if begins_inside && starts_inside => {
                (Decision::Allow, "an exclusion lets out what begins inside".to_owned())
            }
            // The advanced example of AWS's guide shows it blocked in one scenario, and a note in another says that it passes.
            ALLOW_EGRESS if begins_inside => (
                Decision::Unknown,
                "an exclusion lets out what begins inside, and whether also over an internet gateway AWS's documents disagree"
                    .to_owned(),
            ),
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
        if let (Decision::Deny | Decision::Unknown, Some(subnet)) = (outcome, &interface.subnet_id)
            && !matches!(mode.as_str(), "off")
        {
            stage.fix = Some(exclusion_fix(
                self.network,
                self.view,
                subnet,
                Some(&mode),
                begins_inside && starts_inside,
            ));
        }
        self.stages.push(stage);
    }
}
