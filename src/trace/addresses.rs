//! Whose addresses these are, and whether one can reach the other at all.

use std::net::IpAddr;

use super::route::Best;
use super::walk::{End, Walk};
use super::{Layer, Stage, Way};
use crate::net::is_internet;
use crate::rules::{Decision, is_never_logged};

impl Walk<'_> {
    /// A source that was asked for by its public address keeps its private one on the way to a private address: only an
    /// internet gateway translates, and it carries no private addresses. Gives the public one.
    pub(super) fn untranslated(&self, source: &mut End, target: &End) -> Option<IpAddr> {
        let to_private = match &target.local {
            Some(local) => !local.by_public,
            None => !is_internet(&target.seen),
        };
        let local = source.local.as_mut().filter(|local| local.by_public && to_private)?;
        local.by_public = false;
        Some(std::mem::replace(&mut source.seen, local.own))
    }

    /// Whose addresses these are, and whether one can reach the other at all.
    pub(super) fn addresses(&mut self, source: &mut End, target: &mut End) {
        let service = source.local.as_ref().and_then(|local| local.rules.unfiltered(&target.seen));
        for (end, name) in [(&*source, "source"), (&*target, "destination")] {
            let (outcome, reason) = match &end.local {
                Some(local) => {
                    let interface = &local.rules.interface;
                    let subnet = interface.subnet_id.as_deref().unwrap_or("an unknown subnet");
                    let public =
                        if local.by_public { format!(", mapped to {}", local.own) } else { String::new() };
                    (Decision::Allow, format!("the {name} is {}{public} in {subnet}", interface.id))
                }
                None if name == "destination" && service.is_some() => {
                    let service = service.unwrap_or_default();
                    if is_never_logged(service) {
                        self.not_checked
                            .push(format!("the logs: flow logs hold nothing of traffic to {service}"));
                    }
                    (Decision::NotApplicable, format!("the {name} is {service}, a service of the VPC itself"))
                }
                None if self.is_outside(end, if name == "source" { target } else { source }) => {
                    (Decision::NotApplicable, format!("the {name} is outside, on the internet"))
                }
                None => (Decision::Unknown, format!("no interface of the configuration holds the {name}")),
            };
            self.stages.push(Stage::new(Way::There, Layer::Address, end.seen.to_string(), outcome, reason));
            if outcome == Decision::Unknown {
                let other: &End = if name == "source" { &*target } else { &*source };
                let vpc = other.local.as_ref().and_then(|other| other.rules.interface.vpc_id.clone());
                self.unchecked_list(end.seen, vpc.as_deref());
            }
        }
        let is_outside = self.comes_from_internet(source, target);
        // Flow logs show private addresses, so people ask about these: then the public address is meant.
        if is_outside
            && let Some(local) = &target.local
            && local.own.is_ipv4()
            && !local.by_public
        {
            let (outcome, reason) = match (local.public(), local.public_unknown()) {
                (Some(public), _) => {
                    (Decision::Allow, format!("from the internet it is reached as {public}"))
                }
                (None, Some(unknown)) => {
                    self.not_checked.push(unknown);
                    (Decision::Unknown, "its public address is not in the configuration".to_owned())
                }
                (None, None) => (
                    Decision::Deny,
                    "it has no public address, so nothing on the internet reaches it".to_owned(),
                ),
            };
            let at = local.own.to_string();
            let mut stage = Stage::new(Way::There, Layer::Address, at, outcome, reason);
            stage.fix = self.elastic_address(local).filter(|_| outcome == Decision::Deny);
            self.stages.push(stage);
        }
        if is_outside
            && let Some(local) = target.local.as_ref().filter(|local| local.rules.interface.denies_internet)
        {
            let reason = "its DenyAllIgwTraffic drops what comes from the internet";
            let at = local.rules.interface.id.clone();
            self.stages.push(Stage::new(Way::There, Layer::Address, at, Decision::Deny, reason));
        }
        if is_outside
            && let Some(local) = target.local.clone()
            && local.own.is_ipv6()
            && let Some(Best { table, route: Some((route, block)), .. }) =
                self.best_route(&local, source.seen)
            && route.target.starts_with("eigw-")
        {
            // Before any filter: packets reach the subnet by way of its gateway only.
            let reason = "an egress-only internet gateway is its way to the internet, which lets in nothing that begins outside";
            let mut stage =
                Stage::new(Way::There, Layer::Address, local.own.to_string(), Decision::Deny, reason);
            stage.rule = Some(format!("{} {block} to {}", table.id, route.target));
            self.stages.push(stage);
        }
        if let Some(local) = &target.local
            && local.rules.interface.is_type("nat_gateway")
        {
            let reason = match is_outside {
                true => "a NAT gateway discards what none of its clients has asked for",
                false => "a NAT gateway takes nothing that is sent to itself, only what is routed through it",
            };
            let at = local.rules.interface.id.clone();
            self.stages.push(Stage::new(Way::There, Layer::Address, at, Decision::Deny, reason));
        }
        let over_public = target.local.as_ref().is_some_and(|local| local.by_public);
        let Some(local) = source.local.clone() else { return };
        if let Some(nat) = &self.nat {
            match nat.seen(&target.seen) {
                Some(addr) => {
                    let reason = format!("the destination sees {addr} of {}", nat.id);
                    let at = local.own.to_string();
                    self.stages.push(Stage::new(Way::There, Layer::Address, at, Decision::Allow, reason));
                    source.seen = addr;
                    return;
                }
                None if target.local.is_none() => return,
                None => {}
            }
        } else if !over_public {
            return;
        } else if let Some(public) = local.public() {
            // Two of our own that talk over a public address go out and come in again: the other end sees the public one.
            source.seen = public;
            return;
        }
        let reason = match local.public_unknown() {
            None => {
                "it has no public address, so the destination sees that of a gateway on the way, which is not known"
            }
            Some(_) => {
                "its public address is not in the configuration, so what the destination sees is not known"
            }
        };
        let at = local.own.to_string();
        self.stages.push(Stage::new(Way::There, Layer::Address, at, Decision::Unknown, reason));
        self.not_checked.push(format!("what {} does with traffic from a gateway's address", target.seen));
        target.local = None;
    }

    /// Names the network ACL of the subnet in which an address lies that no interface holds.
    fn unchecked_list(&mut self, addr: IpAddr, vpc: Option<&str>) {
        let network = self.network;
        let mut lists: Vec<String> = Vec::new();
        for found in network.subnets.all(self.view) {
            let subnet = found.value;
            let is_there = subnet.cidrs.iter().any(|block| block.contains(&addr));
            if !is_there || (vpc.is_some() && subnet.vpc_id.as_deref() != vpc) {
                continue;
            }
            let list = network.acl_of(&subnet.id, subnet.vpc_id.as_deref(), self.view);
            let list =
                list.map_or("its network ACL".to_owned(), |acl| format!("network ACL {}", acl.value.id));
            lists.push(format!(
                "{list} of {}, in which {addr} lies, inbound and outbound, and the groups of what holds it",
                subnet.id
            ));
        }
        self.not_checked.append(&mut lists);
    }

    /// Whether an end that is nobody's of ours is on the internet, as the other end's subnet routes to it.
    pub(super) fn is_outside(&mut self, end: &End, other: &End) -> bool {
        match &other.local {
            // A NAT gateway of another VPC is a way to the internet over private ones.
            Some(local) => {
                local.rules.is_on_internet(&end.seen)
                    || self.central && !self.engine.owners(self.view).in_some_vpc(&end.seen)
            }
            None => is_internet(&end.seen) && !self.engine.owners(self.view).in_some_vpc(&end.seen),
        }
    }

    /// From the internet, to something of ours.
    pub(super) fn comes_from_internet(&mut self, source: &End, target: &End) -> bool {
        source.local.is_none() && self.is_outside(source, target)
    }
}
