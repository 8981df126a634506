//! The order of the stages: whose addresses these are, the way there, the way back.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Flow, Layer, Stage, Trace, TraceError, Way};
use crate::net::{ICMP, ICMPV6, is_internet};
use crate::network::{Network, NetworkInterface, View};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, Packet};

/// One end of the flow.
pub(super) struct End {
    /// The address as the other end sees it.
    pub(super) seen: IpAddr,
    /// Its interface, if it is one of the configuration.
    pub(super) local: Option<Local>,
}

pub(super) struct Local {
    pub(super) rules: Arc<InterfaceRules>,
    /// Its private address.
    pub(super) own: IpAddr,
    /// Whether it was asked for by a public address.
    pub(super) by_public: bool,
}

pub(super) struct Walk<'n> {
    pub(super) network: &'n Network,
    pub(super) engine: Engine<'n>,
    pub(super) view: View,
    pub(super) flow: Flow,
    pub(super) stages: Vec<Stage>,
    pub(super) not_checked: Vec<String>,
}

/// Traces a flow through the configuration of a moment.
pub fn trace(network: &Network, flow: Flow, view: View) -> Result<Trace, TraceError> {
    let (src, dst) = (flow.src, flow.dst);
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(TraceError::Family { src, dst });
    }
    let mut walk = Walk {
        network,
        engine: Engine::new(network),
        view,
        flow,
        stages: Vec::new(),
        not_checked: Vec::new(),
    };
    let (mut source, mut target) = (walk.end(src), walk.end(dst));
    if source.local.is_none() && target.local.is_none() {
        return Err(TraceError::Nobody { src, dst });
    }
    if let Some(interface) = walk.flow.interface.clone() {
        let is_asked =
            |end: &End| end.local.as_ref().is_some_and(|local| local.rules.interface.id == interface);
        if !is_asked(&source) && !is_asked(&target) {
            return Err(TraceError::OtherInterface { interface, src, dst });
        }
    }
    walk.addresses(&mut source, &mut target);
    walk.there(&source, &target);
    walk.back(&source, &target);
    walk.rest(&source, &target);
    Ok(Trace { flow: walk.flow, stages: walk.stages, not_checked: walk.not_checked })
}

impl Walk<'_> {
    fn end(&mut self, addr: IpAddr) -> End {
        let asked = self.flow.interface.clone();
        let mut holders: Vec<(&NetworkInterface, bool)> = Vec::new();
        for found in self.network.interfaces.all(self.view) {
            if found.value.owns(&addr) {
                holders.push((found.value, false));
            } else if found.value.public_addresses.contains(&addr) {
                holders.push((found.value, true));
            }
        }
        let chosen =
            holders.iter().find(|(interface, _)| Some(&interface.id) == asked.as_ref()).or(holders.first());
        let Some((interface, by_public)) = chosen.copied() else { return End { seen: addr, local: None } };
        if holders.len() > 1 && asked.is_none() {
            let others: Vec<&str> = holders.iter().map(|(interface, _)| interface.id.as_str()).collect();
            self.not_checked.push(format!(
                "{addr} is held by {}: the first was taken (--eni chooses)",
                others.join(", ")
            ));
        }
        let own = if by_public { private_of(interface, &addr) } else { Some(addr) };
        let local = own.and_then(|own| {
            let rules = self.engine.interface(&interface.id, self.view)?;
            Some(Local { rules, own, by_public })
        });
        End { seen: addr, local }
    }

    /// Whose addresses these are, and whether one can reach the other at all.
    fn addresses(&mut self, source: &mut End, target: &mut End) {
        for (end, name) in [(&*source, "source"), (&*target, "destination")] {
            let (outcome, reason) = match &end.local {
                Some(local) => {
                    let interface = &local.rules.interface;
                    let subnet = interface.subnet_id.as_deref().unwrap_or("an unknown subnet");
                    let public =
                        if local.by_public { format!(", mapped to {}", local.own) } else { String::new() };
                    (Decision::Allow, format!("the {name} is {}{public} in {subnet}", interface.id))
                }
                None if is_internet(&end.seen) && !self.engine.owners(self.view).in_some_vpc(&end.seen) => {
                    (Decision::NotApplicable, format!("the {name} is outside, on the internet"))
                }
                None => (Decision::Unknown, format!("no interface of the configuration holds the {name}")),
            };
            self.stages.push(Stage::new(Way::There, Layer::Address, end.seen.to_string(), outcome, reason));
        }
        let is_outside = source.local.is_none()
            && is_internet(&source.seen)
            && !self.engine.owners(self.view).in_some_vpc(&source.seen);
        // Flow logs show private addresses, so people ask about these: then the public address is meant.
        if is_outside
            && let Some(local) = &target.local
            && local.own.is_ipv4()
            && !local.by_public
        {
            let public: Vec<&IpAddr> =
                local.rules.interface.public_addresses.iter().filter(|a| a.is_ipv4()).collect();
            let (outcome, reason) = match public.first() {
                Some(public) => (Decision::Allow, format!("from the internet it is reached as {public}")),
                None => (
                    Decision::Deny,
                    "it has no public address, so nothing on the internet reaches it".to_owned(),
                ),
            };
            self.stages.push(Stage::new(Way::There, Layer::Address, local.own.to_string(), outcome, reason));
        }
        // Two of our own that talk over a public address go out and come in again: the other end sees the public one.
        let over_public = target.local.as_ref().is_some_and(|local| local.by_public);
        if let (true, Some(local)) = (over_public, &source.local) {
            match local.rules.interface.public_addresses.iter().find(|addr| addr.is_ipv4()) {
                Some(public) => source.seen = *public,
                None => {
                    let reason = "it has no public address, so the destination sees that of a gateway on the way, which is not known";
                    self.stages.push(Stage::new(
                        Way::There,
                        Layer::Address,
                        local.own.to_string(),
                        Decision::Unknown,
                        reason,
                    ));
                    self.not_checked
                        .push(format!("what {} does with traffic from a gateway's address", target.seen));
                    target.local = None;
                }
            }
        }
    }

    fn packet(&self, direction: Direction, remote: IpAddr) -> Packet {
        let Flow { protocol, dst_port: port, icmp, .. } = self.flow;
        Packet { direction, remote, protocol, port, icmp }
    }

    fn there(&mut self, source: &End, target: &End) {
        if let Some(local) = &source.local {
            let packet = self.packet(Direction::Egress, target.seen);
            self.groups(Way::There, &local.rules, &packet);
            self.acl(Way::There, local, &packet, None);
            self.route(Way::There, local, target.seen);
        }
        if let Some(local) = &target.local {
            let packet = self.packet(Direction::Ingress, source.seen);
            self.acl(Way::There, local, &packet, None);
            self.groups(Way::There, &local.rules, &packet);
        }
    }

    fn back(&mut self, source: &End, target: &End) {
        // Of ICMP only echo has answers; the answer's type is known with the request's.
        let icmp = match (self.flow.protocol, self.flow.icmp) {
            (ICMP, Some((8, _))) => Some((0, Some(0))),
            (ICMPV6, Some((128, _))) => Some((129, Some(0))),
            (ICMP | ICMPV6, Some((kind, _))) => {
                let reason = format!("ICMP type {kind} has no answer");
                let at = target.seen.to_string();
                self.stages.push(Stage::new(Way::Back, Layer::Address, at, Decision::NotApplicable, reason));
                return;
            }
            _ => None,
        };
        let Flow { protocol, src_port, .. } = self.flow;
        let answer = |direction, remote| Packet { direction, remote, protocol, port: src_port, icmp };
        let ports = self.client_ports(source);
        if let Some(local) = &target.local {
            self.state(&local.rules, Direction::Egress);
            self.acl(Way::Back, local, &answer(Direction::Egress, source.seen), ports);
            self.route(Way::Back, local, source.seen);
        }
        if let Some(local) = &source.local {
            self.acl(Way::Back, local, &answer(Direction::Ingress, target.seen), ports);
            self.state(&local.rules, Direction::Ingress);
        }
    }

    /// What stays open whatever the stages say.
    fn rest(&mut self, source: &End, target: &End) {
        for local in [&source.local, &target.local].into_iter().flatten() {
            let interface = &local.rules.interface.id;
            let provenance = local.rules.provenance;
            if provenance.distance > 0 && self.view.at != i64::MAX {
                let distance = provenance.distance;
                self.not_checked.push(format!(
                    "changes in the {distance} s between the time asked and the capture used for {interface}"
                ));
            }
            match local.rules.bpa_mode.as_deref() {
                None => self
                    .not_checked
                    .push(format!("VPC Block Public Access at {interface} (not in the configuration)")),
                Some("off") => {}
                Some(mode) => self
                    .not_checked
                    .push(format!("VPC Block Public Access at {interface}: its mode is {mode}")),
            }
        }
        for always in [
            "firewalls and listeners on the hosts, AWS Network Firewall, DNS",
            "the logs: no record was looked at",
        ] {
            self.not_checked.push(always.to_owned());
        }
        let mut seen = std::collections::HashSet::new();
        self.not_checked.retain(|text| seen.insert(text.clone()));
    }
}

/// The private address that a public one maps to; the model keeps both lists and not the pairs, so with several it is
/// taken to be the primary.
fn private_of(interface: &NetworkInterface, public: &IpAddr) -> Option<IpAddr> {
    let mut same = interface.addresses.iter().filter(|addr| addr.is_ipv4() == public.is_ipv4());
    match (same.next(), same.next()) {
        (Some(only), None) => Some(*only),
        _ => interface.primary,
    }
}
