//! Load balancers of all kinds, their target groups and targets (spec 6.7).

use super::node::{Node, push_new};
use super::{Context, NetworkBuilder, Piece, record};
use crate::network::model::*;

impl NetworkBuilder {
    pub(super) fn load_balancer(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "LoadBalancerArn", context) else { return };
        let balancer = LoadBalancer {
            name: node.text("LoadBalancerName").unwrap_or_default(),
            kind: node.text("Type").unwrap_or_default(),
            scheme: node.text("Scheme"),
            vpc_id: node.text("VpcId"),
            group_ids: node.texts("SecurityGroups"),
            subnet_ids: node.list("AvailabilityZones").filter_map(|zone| zone.text("SubnetId")).collect(),
            zones: node.list("AvailabilityZones").filter_map(|zone| zone.text("ZoneName")).collect(),
            state: node.get("State").and_then(|state| state.text("Code")),
            listeners: None,
            enforces_on_private_link: is_on(node, "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"),
            id: id.clone(),
        };
        record(&mut self.load_balancers, context, id, false, Some(balancer));
    }

    pub(super) fn listener(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "LoadBalancerArn", context) else { return };
        match port(node, "Port") {
            Some(port) => {
                let listener = Listener {
                    port,
                    protocol: node.text("Protocol"),
                    forwards: forwards(node),
                    action: node.list("DefaultActions").last().and_then(|action| action.text("Type")),
                };
                self.listener_pieces.push(Piece::new(id, context, listener));
            }
            None => self.problem(context, &id, "a listener without a readable port was left out"),
        }
    }

    pub(super) fn classic_load_balancer(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "LoadBalancerName", context) else { return };
        let balancer = LoadBalancer {
            name: id.clone(),
            kind: "classic".to_string(),
            scheme: node.text("Scheme"),
            vpc_id: node.text("VPCId").or_else(|| node.text("VpcId")),
            group_ids: node.texts("SecurityGroups"),
            subnet_ids: node.texts("Subnets"),
            zones: node.texts("AvailabilityZones"),
            state: None,
            listeners: None,
            enforces_on_private_link: None,
            id: id.clone(),
        };
        let listed = self.optional(node, "Instances", &id, context);
        let instances: Vec<String> = listed.into_iter().filter_map(|one| one.text("InstanceId")).collect();
        let known = node.get("Instances").is_some();
        let described = self.optional(node, "ListenerDescriptions", &id, context);
        let listeners: Vec<Node<'_>> = described.into_iter().filter_map(|one| one.get("Listener")).collect();
        for group in classic_groups(&id, &listeners, &instances) {
            let group = TargetGroup { targets_known: known, ..group };
            record(&mut self.target_groups, context, group.id.clone(), false, Some(group));
        }
        record(&mut self.load_balancers, context, id, false, Some(balancer));
    }

    pub(super) fn target_group(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "TargetGroupArn", context) else { return };
        let group = TargetGroup {
            name: node.text("TargetGroupName"),
            protocol: node.text("Protocol"),
            port: port(node, "Port"),
            target_type: node.text("TargetType"),
            load_balancer_ids: node.texts("LoadBalancerArns"),
            id: id.clone(),
            ..TargetGroup::default()
        };
        record(&mut self.target_groups, context, id, false, Some(group));
    }

    /// The output does not name its target group: the envelope's command does, or nothing.
    pub(super) fn target_health(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = context.named("arn:aws") else {
            self.problem(
                context,
                "-",
                "target health without its target group's ARN; put it into an object beside the command: \
                 {\"command\": \"aws elbv2 describe-target-health --target-group-arn ARN\", \"output\": …}",
            );
            return;
        };
        let targets = node.list("TargetHealthDescriptions").filter_map(|description| {
            let target = description.get("Target")?;
            Some(Target {
                id: target.text("Id")?,
                port: port(target, "Port"),
                health: description.get("TargetHealth").and_then(|health| health.text("State")),
            })
        });
        let piece = Piece::new(id, context, targets.collect());
        self.health_pieces.push(piece);
    }

    pub(super) fn target_attributes(&mut self, node: Node<'_>, context: &Context) {
        let value = |key: &str| {
            let mut all = node.list("Attributes");
            let flag = all.find(|pair| pair.text("Key").as_deref() == Some(key));
            flag.and_then(|pair| pair.flag("Value"))
        };
        let found = GroupAttributes {
            preserve_client_ip: value("preserve_client_ip.enabled"),
            cross_zone: value("load_balancing.cross_zone.enabled"),
        };
        if found == GroupAttributes::default() {
            return;
        }
        let Some(id) = context.named("arn:aws") else {
            self.problem(
                context,
                "-",
                "attributes without their target group's ARN; put them into an object beside the command: \
                 {\"command\": \"aws elbv2 describe-target-group-attributes --target-group-arn ARN\", \"output\": …}",
            );
            return;
        };
        self.attribute_pieces.push(Piece::new(id, context, found));
    }
}

/// What a target group's attributes say that bears on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GroupAttributes {
    pub(super) preserve_client_ip: Option<bool>,
    pub(super) cross_zone: Option<bool>,
}

/// The target groups of a listener's default action: that of one is named beside the action as well.
fn forwards(listener: Node<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for action in listener.list("DefaultActions") {
        push_new(&mut found, action.text("TargetGroupArn"));
        let shared = action.get("ForwardConfig");
        for group in shared.iter().flat_map(|shared| shared.list("TargetGroups")) {
            // A group of weight 0 gets nothing.
            if group.integer("Weight") != Some(0) {
                push_new(&mut found, group.text("TargetGroupArn"));
            }
        }
    }
    found
}

/// A member that is `on` or `off`.
pub(super) fn is_on(node: Node<'_>, key: &str) -> Option<bool> {
    match node.text(key)?.as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// A port member.
pub(super) fn port(node: Node<'_>, key: &str) -> Option<u16> {
    node.integer(key).and_then(|port| u16::try_from(port).ok())
}

/// The instances of a Classic load balancer, as a target group for each port that its listeners forward to. Listeners are in
/// the members of the AWS CLI (`InstancePort`) or of Terraform (`instance_port`).
pub(super) fn classic_groups(
    balancer: &str,
    listeners: &[Node<'_>],
    instances: &[String],
) -> Vec<TargetGroup> {
    let mut found: Vec<TargetGroup> = Vec::new();
    for listener in listeners {
        let Some(port) = port(*listener, "InstancePort").or_else(|| port(*listener, "instance_port")) else {
            continue;
        };
        let id = format!("elb/{balancer}/{port}");
        let taken = self::port(*listener, "LoadBalancerPort").or_else(|| self::port(*listener, "lb_port"));
        if let Some(group) = found.iter_mut().find(|group| group.id == id) {
            group.listener_ports.extend(taken);
            continue;
        }
        let target = |id: &String| Target { id: id.clone(), port: None, health: None };
        found.push(TargetGroup {
            id,
            protocol: listener.text("InstanceProtocol").or_else(|| listener.text("instance_protocol")),
            port: Some(port),
            target_type: Some("instance".to_string()),
            load_balancer_ids: vec![balancer.to_string()],
            targets: instances.iter().map(target).collect(),
            listener_ports: taken.into_iter().collect(),
            ..TargetGroup::default()
        });
    }
    found
}
