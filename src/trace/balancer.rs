//! What lies behind a load balancer: its targets, and the filters between it and each of them. A load balancer ends the
//! client's connection and opens its own, from ports 1024 to 65535 (spec 3.3), to one target of its choice.

use std::net::IpAddr;

use super::filters::SERVICES;
use super::listeners::Taken;
use super::walk::{End, Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::group_of_peer;
use crate::net::{TCP, UDP};
use crate::network::{LoadBalancer, NetworkInterface, TargetGroup};
use crate::rules::{Decision, Direction, Packet};

/// So many targets are followed; of a large group the others are mostly alike.
const MOST_TARGETS: usize = 5;

/// A target with the group that it is in.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) group: TargetGroup,
    /// The port that it listens on.
    port: Option<u16>,
    health: Option<String>,
    local: Local,
}

impl Target {
    /// Whether it gets no new connections, whatever its health.
    pub(super) fn rests(&self) -> bool {
        matches!(self.health.as_deref(), Some("unused" | "draining" | "unhealthy.draining"))
    }

    pub(super) fn zone(&self) -> Option<String> {
        self.local.rules.subnet.as_ref().and_then(|subnet| subnet.availability_zone.clone())
    }
}

/// Whether the target sees the clients' own addresses and ports; `None` where the attribute was not asked for: AWS's documents
/// disagree on what it is then (spec 5.5), but for UDP, of which the addresses are always kept.
fn keeps_clients(balancer: &LoadBalancer, target: &Target) -> Option<bool> {
    if balancer.kind != "network" {
        return Some(false);
    }
    let always = matches!(target.group.protocol.as_deref(), Some("UDP" | "TCP_UDP" | "QUIC" | "TCP_QUIC"));
    if always { Some(true) } else { target.group.preserve_client_ip }
}

fn is_blocked(leg: &[Stage]) -> bool {
    leg.iter().any(|stage| stage.outcome == Decision::Deny)
}

/// What stops the packets stops them under a condition only.
fn only_if(leg: &mut [Stage], condition: &str) {
    for stage in leg.iter_mut().filter(|stage| stage.outcome == Decision::Deny) {
        stage.outcome = Decision::Unknown;
        stage.reason = format!("{} ({condition})", stage.reason);
        stage.condition = Some(condition.to_owned());
    }
}

impl Walk<'_> {
    /// The stages from a load balancer to its targets and back, where the flow ends at one.
    pub(super) fn balanced(&mut self, source: &End, target: &End) {
        let Some(node) = target.local.clone() else { return };
        let interface = node.rules.interface.clone();
        let Some(named) = interface.balancer_name() else { return };
        let Some(balancer) = self.balancer(named) else {
            self.not_checked.push(format!(
                "the targets of the load balancer {named}, which is not in the configuration (describe-load-balancers, \
                 describe-target-groups, describe-target-health)"
            ));
            return;
        };
        let groups = match self.taken(&balancer) {
            Taken::Groups(groups) => groups,
            Taken::Ends(stage) => {
                // What no listener takes needs no rule.
                self.no_fixes |= stage.outcome == Decision::Deny;
                self.stages.push(*stage);
                return;
            }
        };
        let listed = self.targets(&balancer, &groups);
        let targets = match self.receiving(&balancer, &node, &groups, listed) {
            Ok(targets) => targets,
            Err(stage) => {
                self.stages.push(*stage);
                return;
            }
        };
        let name = balancer.name.clone();
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let keeps = |target: &Target| keeps_clients(&balancer, target);
        let all = |kept: Option<bool>| targets.iter().all(|target| keeps(target) == kept);
        let what = match (all(Some(true)), all(Some(false))) {
            _ if targets.iter().any(|target| keeps(target).is_none()) => {
                "it keeps the clients' addresses and ports or opens connections of its own, which is not known, and sends"
            }
            (true, _) => "it keeps the clients' addresses and ports, and sends",
            (false, true) => "it opens connections of its own, from ports 1024-65535,",
            (false, false) => {
                "it keeps the clients' addresses to some, opens connections of its own to the others, and sends"
            }
        };
        let reason = match names.as_slice() {
            [name] => format!("{what} to its target {name}"),
            names => format!("{what} to one of {} targets: {}", names.len(), names.join(", ")),
        };
        self.stages.push(Stage::new(Way::There, Layer::LoadBalancer, name, Decision::Allow, reason));
        if balancer.kind != "classic" && balancer.listeners.is_none() {
            self.not_checked.push(format!(
                "whether {} has a listener on the port, and which target group that forwards to (describe-listeners)",
                balancer.name
            ));
        }
        self.not_checked.push(format!("the other interfaces of the load balancer {}", balancer.name));
        if let Some(more) = targets.len().checked_sub(MOST_TARGETS).filter(|more| *more > 0) {
            self.not_checked.push(format!("{more} more targets of {}", balancer.name));
        }
        let mut legs: Vec<Vec<Stage>> = Vec::new();
        for target in targets.iter().take(MOST_TARGETS) {
            // Where it is not known, records of the clients' addresses are there only if it keeps them.
            if keeps(target) != Some(false) {
                self.handed_on.push((target.local.own, target.port));
            }
            let leg = match keeps(target) {
                Some(keeps) => self.leg(source, &node, &balancer, target, keeps),
                None => self.either_leg(source, &node, &balancer, target),
            };
            legs.push(leg);
        }
        let some_pass = legs.iter().any(|leg| !is_blocked(leg));
        for (mut leg, target) in legs.into_iter().zip(&targets) {
            // What is dropped on the way to one target does not stop a flow that another may get.
            if some_pass {
                only_if(&mut leg, &format!("this stops only what goes to {}", target.name));
            }
            self.stages.append(&mut leg);
        }
    }

    /// The load balancer whose interfaces are described by this name.
    fn balancer(&self, named: &str) -> Option<LoadBalancer> {
        let mut all = self.network.load_balancers.all(self.view);
        all.find(|found| found.value.is_named(named)).map(|found| found.value.as_ref().clone())
    }

    fn targets(&mut self, balancer: &LoadBalancer, groups: &[TargetGroup]) -> Vec<Target> {
        let mut found = Vec::new();
        for group in groups {
            for target in &group.targets {
                let id = &target.id;
                let state = target.health.as_deref().unwrap_or("health not known");
                let port = target.port.or(group.port);
                let at = port.map(|port| format!(" port {port}")).unwrap_or_default();
                let holder = match id.parse::<IpAddr>() {
                    Ok(addr) => {
                        let holders = self.network.holders(&addr, self.view);
                        holders.first().map(|(interface, _)| (interface.id.clone(), addr))
                    }
                    Err(_) if id.contains(":loadbalancer/") => self.node_of(id),
                    Err(_) => self.of_instance(id).and_then(|one| Some((one.id.clone(), one.primary?))),
                };
                let rules = holder.and_then(|(id, own)| Some((self.engine.interface(&id, self.view)?, own)));
                match rules {
                    Some((rules, own)) => found.push(Target {
                        name: format!("{id}{at} ({state})"),
                        group: group.clone(),
                        port,
                        health: target.health.clone(),
                        local: Local { rules, own, by_public: false },
                    }),
                    None => self.not_checked.push(format!(
                        "the target {id} of {}, whose interface is not in the configuration",
                        balancer.name
                    )),
                }
            }
        }
        found
    }

    /// The interface of an instance that load balancers send to: the first, whose address is the instance's.
    fn of_instance(&self, instance: &str) -> Option<&NetworkInterface> {
        let mut all = self.network.interfaces.all(self.view);
        all.find(|found| found.value.instance_id.as_deref() == Some(instance))
            .map(|found| found.value.as_ref())
    }

    /// An interface of a load balancer that is another's target.
    fn node_of(&self, arn: &str) -> Option<(String, IpAddr)> {
        let mut all = self.network.interfaces.all(self.view);
        all.find_map(|found| {
            let named = found.value.balancer_name()?;
            let is_it = arn.strip_suffix(named).is_some_and(|rest| rest.ends_with('/'));
            Some((found.value.id.clone(), found.value.primary.filter(|_| is_it)?))
        })
    }

    /// The way to a target that may or may not see the clients' addresses: what stops it in one case only is open.
    fn either_leg(
        &mut self,
        source: &End,
        node: &Local,
        balancer: &LoadBalancer,
        target: &Target,
    ) -> Vec<Stage> {
        self.not_checked.push(format!(
            "whether {} keeps the clients' addresses (describe-target-group-attributes)",
            balancer.name
        ));
        // What the way that is not taken would say or add is neither said nor added.
        let (said, added) = (self.not_checked.len(), self.added.clone());
        let mut kept = self.leg(source, node, balancer, target, true);
        self.not_checked.truncate(said);
        let added_by_kept = std::mem::replace(&mut self.added, added);
        let mut own = self.leg(source, node, balancer, target, false);
        match (is_blocked(&kept), is_blocked(&own)) {
            (true, false) => {
                self.added = added_by_kept;
                only_if(&mut kept, "if the load balancer keeps the clients' addresses");
                kept
            }
            (false, true) => {
                only_if(&mut own, "if the load balancer does not keep the clients' addresses");
                own
            }
            (false, false) => own,
            // Either way is blocked: what opens one of them opens nothing if it is the other.
            (true, true) => {
                self.added = added_by_kept;
                self.not_checked.truncate(said);
                let own = self.leg(source, node, balancer, target, false);
                let others: Vec<Stage> = own
                    .into_iter()
                    .filter(|stage| stage.outcome == Decision::Deny && !kept.contains(stage))
                    .map(|mut stage| {
                        stage.reason.push_str(" (if the load balancer does not keep the clients' addresses)");
                        stage
                    })
                    .collect();
                kept.extend(others);
                kept
            }
        }
    }

    fn leg(
        &mut self,
        source: &End,
        node: &Local,
        balancer: &LoadBalancer,
        target: &Target,
        preserves: bool,
    ) -> Vec<Stage> {
        let from = self.stages.len();
        let protocol = match target.group.protocol.as_deref() {
            Some("UDP" | "QUIC") => UDP,
            Some("TCP_UDP" | "TCP_QUIC") => self.flow.protocol,
            _ => TCP,
        };
        let local = &target.local;
        let client = if preserves { source.seen } else { node.own };
        let is_client =
            source.local.as_ref().is_some_and(|one| one.rules.interface.id == local.rules.interface.id);
        if preserves && is_client {
            let reason = "a target does not reach itself over a load balancer that keeps its address: what comes back under it is dropped";
            let at = local.rules.interface.id.clone();
            self.stages.push(Stage::new(Way::There, Layer::LoadBalancer, at, Decision::Deny, reason));
        }
        let packet = |direction, remote, port| Packet { direction, remote, protocol, port, icmp: None };
        let port = target.port;
        let out = packet(Direction::Egress, local.own, port);
        self.groups(Way::There, &node.rules, &out);
        self.acl(Way::There, node, &out, &[]);
        self.route(Way::There, node, local.own, Some(local));
        let into = packet(Direction::Ingress, client, port);
        self.acl(Way::There, local, &into, &[]);
        self.peer_group = if preserves { None } else { group_of_peer(&node.rules, &local.rules) };
        if preserves {
            self.handed_on_by.clone_from(&balancer.group_ids);
        }
        self.groups(Way::There, &local.rules, &into);
        self.handed_on_by.clear();
        self.peer_group = None;
        // A load balancer that is another's target has targets of its own.
        if target.group.target_type.as_deref() == Some("alb") {
            let asked = std::mem::replace(&mut self.flow.dst_port, port);
            let next = End { seen: local.own, local: Some(local.clone()) };
            self.balanced(source, &next);
            self.flow.dst_port = asked;
        }
        let ports = if preserves { self.client_ports(source) } else { vec![SERVICES] };
        self.state(&local.rules, Direction::Egress);
        self.acl(Way::Back, local, &packet(Direction::Egress, client, None), &ports);
        if !preserves {
            self.route(Way::Back, local, node.own, Some(node));
            self.acl(Way::Back, node, &packet(Direction::Ingress, local.own, None), &ports);
            self.state(&node.rules, Direction::Ingress);
        }
        self.stages.split_off(from)
    }
}
