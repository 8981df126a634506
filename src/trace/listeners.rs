//! What a load balancer makes of a flow before it chooses a target: which listener takes it, which target groups that forwards to, and
//! which of their targets get new connections.

use super::balancer::Target;
use super::walk::{Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::{Fix, quoted};
use crate::net::{ICMP, ICMPV6, TCP, UDP, protocol_name};
use crate::network::{Listener, LoadBalancer, TargetGroup};
use crate::rules::Decision;

/// The target groups that may get a flow, or the stage at which it ends.
pub(super) enum Taken {
    Groups(Vec<TargetGroup>),
    Ends(Box<Stage>),
}

/// `tcp 80, 443`, of a listener or of several.
fn ports_text(protocol: Option<u8>, mut ports: Vec<u16>) -> String {
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let name = protocol.and_then(protocol_name).map(|name| format!("{name} ")).unwrap_or_default();
    format!("{name}{}", ports.join(", "))
}

fn ends(balancer: &LoadBalancer, outcome: Decision, reason: String) -> Box<Stage> {
    Box::new(Stage::new(Way::There, Layer::LoadBalancer, &balancer.name, outcome, reason))
}

fn no_listener(balancer: &LoadBalancer, protocol: u8, port: u16, listeners: &[Listener]) -> Box<Stage> {
    let of = |protocol: u8| {
        let taking = listeners.iter().filter(|one| one.takes(protocol));
        let ports: Vec<u16> = taking.map(|one| one.port).collect();
        (!ports.is_empty()).then_some(ports)
    };
    let is_told = listeners.iter().all(|one| one.protocol.is_some());
    let reason = match listeners {
        [] => format!("it has no listener, on port {port} or any other"),
        _ if !is_told => {
            let ports = ports_text(None, listeners.iter().map(|one| one.port).collect());
            format!("it has no listener on port {port}, only on {ports}")
        }
        _ => {
            let all: Vec<String> = [TCP, UDP]
                .into_iter()
                .filter_map(|protocol| Some(ports_text(Some(protocol), of(protocol)?)))
                .collect();
            format!(
                "it has no listener on {}, only on {}",
                ports_text(Some(protocol), vec![port]),
                all.join(" and ")
            )
        }
    };
    ends(balancer, Decision::Deny, reason)
}

/// What stands of a load balancer in a state in which it takes nothing.
fn bad_state(balancer: &LoadBalancer) -> Option<Box<Stage>> {
    let state = balancer.state.as_deref().filter(|state| matches!(*state, "failed" | "provisioning"))?;
    Some(ends(balancer, Decision::Deny, format!("it is {state}, and takes nothing")))
}

impl Walk<'_> {
    /// Which target groups a load balancer forwards the flow to.
    pub(super) fn taken(&mut self, balancer: &LoadBalancer) -> Taken {
        if let Some(stage) = bad_state(balancer) {
            return Taken::Ends(stage);
        }
        let protocol = self.flow.protocol;
        let of_tcp = matches!(balancer.kind.as_str(), "application" | "classic");
        let is_taken = protocol == TCP || protocol == UDP && !of_tcp || matches!(protocol, ICMP | ICMPV6);
        if !is_taken && !balancer.kind.is_empty() && balancer.kind != "gateway" {
            let what = if of_tcp { "TCP" } else { "TCP and UDP" };
            return Taken::Ends(ends(
                balancer,
                Decision::Deny,
                format!("load balancers of its kind take {what} only"),
            ));
        }
        let all = self.network.target_groups.all(self.view);
        let groups: Vec<TargetGroup> = all
            .filter(|found| found.value.is_of(&balancer.id))
            .map(|found| found.value.as_ref().clone())
            .collect();
        let Some(port) = self.flow.dst_port else { return Taken::Groups(groups) };
        if balancer.kind == "classic" {
            let mut listeners: Vec<Listener> = Vec::new();
            for port in groups.iter().flat_map(|group| group.listener_ports.clone()) {
                listeners.push(Listener { port, ..Listener::default() });
            }
            if !listeners.is_empty() && !listeners.iter().any(|one| one.port == port) {
                return Taken::Ends(no_listener(balancer, protocol, port, &listeners));
            }
            let takes =
                |group: &TargetGroup| group.listener_ports.is_empty() || group.listener_ports.contains(&port);
            return Taken::Groups(groups.into_iter().filter(takes).collect());
        }
        let Some(listeners) = &balancer.listeners else { return Taken::Groups(groups) };
        let listener = listeners.iter().find(|one| one.port == port && one.takes(protocol));
        let Some(listener) = listener else {
            return Taken::Ends(no_listener(balancer, protocol, port, listeners));
        };
        let is_default = |group: &TargetGroup, of: &Listener| of.forwards.contains(&group.id);
        // Rules, which only Application Load Balancers have, may lead to groups that are no listener's default.
        let by_rule = |group: &TargetGroup| {
            balancer.kind == "application" && !listeners.iter().any(|one| is_default(group, one))
        };
        let is_told =
            !listener.forwards.is_empty() || listener.action.as_deref().is_some_and(|kind| kind != "forward");
        let (forwards, rules): (Vec<TargetGroup>, Vec<TargetGroup>) = groups
            .into_iter()
            .filter(|group| !is_told || is_default(group, listener) || by_rule(group))
            .partition(|group| is_default(group, listener));
        if balancer.kind == "application" {
            self.not_checked.push(format!("the rules of the listener of {} on port {port}", balancer.name));
        }
        let by_itself = is_told && listener.forwards.is_empty() && rules.is_empty();
        if let Some(action) = listener.action.as_ref().filter(|_| by_itself) {
            let reason = format!("its listener answers by itself ({action})");
            return Taken::Ends(ends(balancer, Decision::Allow, reason));
        }
        Taken::Groups(forwards.into_iter().chain(rules).collect())
    }

    /// The targets that get new connections; the stage where there is none, for certain or as far as is known.
    pub(super) fn receiving(
        &mut self,
        balancer: &LoadBalancer,
        node: &Local,
        groups: &[TargetGroup],
        listed: Vec<Target>,
    ) -> Result<Vec<Target>, Box<Stage>> {
        if listed.is_empty() {
            let missing = groups.iter().any(|group| !group.targets.is_empty() || !group.targets_known);
            let names: Vec<&str> =
                groups.iter().map(|group| group.name.as_deref().unwrap_or(&group.id)).collect();
            return Err(match groups {
                [_, ..] if !missing => {
                    let reason = format!("nothing is registered with its target group {}", names.join(", "));
                    ends(balancer, Decision::Deny, reason)
                }
                _ => ends(
                    balancer,
                    Decision::Unknown,
                    "no target of it is in the configuration (describe-target-groups, describe-target-health)".to_owned(),
                ),
            });
        }
        let names = |targets: &[Target]| {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            names.join(", ")
        };
        // What is unused is in no zone of the load balancer, stopped, or behind no listener.
        let (resting, left): (Vec<Target>, Vec<Target>) = listed.into_iter().partition(Target::rests);
        if left.is_empty() {
            let reason = format!("none of its targets gets new connections: {}", names(&resting));
            return Err(ends(balancer, Decision::Deny, reason));
        }
        let left = self.in_zones(balancer, left).map_err(|others| {
            let reason = format!(
                "no target is in a zone of it ({}), and others get nothing: {}",
                balancer.zones.join(", "),
                names(&others)
            );
            ends(balancer, Decision::Deny, reason)
        })?;
        self.in_zone_of_node(balancer, node, left)
    }

    /// Classic load balancers send nothing to zones that are not theirs; the others say so of their targets.
    fn in_zones(&self, balancer: &LoadBalancer, targets: Vec<Target>) -> Result<Vec<Target>, Vec<Target>> {
        if balancer.kind != "classic" || balancer.zones.is_empty() {
            return Ok(targets);
        }
        let is_there = |target: &Target| target.zone().is_none_or(|zone| balancer.zones.contains(&zone));
        let (there, others): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(is_there);
        if there.is_empty() { Err(others) } else { Ok(there) }
    }

    /// Without cross-zone load balancing a node sends to targets of its own zone only. It is off by default for Network Load
    /// Balancers, and on for Application Load Balancers unless the target group says otherwise.
    fn in_zone_of_node(
        &mut self,
        balancer: &LoadBalancer,
        node: &Local,
        targets: Vec<Target>,
    ) -> Result<Vec<Target>, Box<Stage>> {
        let zone = node.rules.subnet.as_ref().and_then(|subnet| subnet.availability_zone.clone());
        let Some(zone) = zone.filter(|_| matches!(balancer.kind.as_str(), "application" | "network")) else {
            return Ok(targets);
        };
        let crosses = |target: &Target| match (balancer.kind.as_str(), target.group.cross_zone) {
            (_, Some(crosses)) => Some(crosses),
            ("application", None) => Some(true),
            _ => None,
        };
        let is_near = |target: &Target| target.zone().is_none_or(|other| other == zone);
        let (reached, others): (Vec<Target>, Vec<Target>) =
            targets.into_iter().partition(|target| is_near(target) || crosses(target) == Some(true));
        if others.is_empty() {
            return Ok(reached);
        }
        let (open, cut): (Vec<Target>, Vec<Target>) =
            others.into_iter().partition(|target| crosses(target).is_none());
        let setting = format!(
            "whether {} balances across zones (describe-load-balancer-attributes; off by default)",
            balancer.name
        );
        if !reached.is_empty() {
            if !open.is_empty() {
                self.not_checked.push(setting);
            }
            return Ok(reached);
        }
        if let Some(first) = open.first() {
            self.not_checked.push(setting);
            let reason = format!(
                "none of its targets is in {zone}, as this interface of it is ({} is not): they get something from here only where it \
                 balances across zones",
                first.name
            );
            self.stages.push(*ends(balancer, Decision::Unknown, reason));
            return Ok(open);
        }
        let group = cut.first().map(|target| target.group.id.clone()).unwrap_or_default();
        let reason = format!(
            "none of its targets is in {zone}, as this interface of it is, and it does not balance across zones"
        );
        let mut stage = ends(balancer, Decision::Deny, reason);
        stage.fix = Some(Fix::new(
            format!("let the target group balance across zones, or register a target in {zone}"),
            format!(
                "aws elbv2 modify-target-group-attributes --target-group-arn {group} --attributes \
                 Key=load_balancing.cross_zone.enabled,Value=true"
            ),
            format!("# in the resource of {group}\nload_balancing_cross_zone_enabled = {}", quoted(true)),
        ));
        Err(stage)
    }
}
