//! Terraform's load balancers, target groups, and what says which of them forwards to which.

use super::node::{Node, push_new};
use super::terraform::Resource;
use super::{Context, NetworkBuilder, balancers, record};
use crate::network::model::*;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// What is gathered from several resources before target groups are made.
#[derive(Default)]
pub(super) struct Balancing {
    groups: BTreeMap<String, TargetGroup>,
    targets: Vec<(String, Target)>,
    /// Load balancers by listener.
    listeners: HashMap<String, String>,
    /// Listeners with the target groups that they or their rules forward to.
    forwards: Vec<(String, String)>,
    /// Instances of Classic load balancers that are attached one by one.
    classic: Vec<(String, String)>,
}

impl NetworkBuilder {
    /// Takes in a resource if it is one of load balancing.
    pub(super) fn terraform_balancing(
        &mut self,
        resource: &Resource<'_>,
        context: &Context,
        into: &mut Balancing,
    ) -> bool {
        let (id, values) = (resource.id(), resource.values);
        let arn = || values.text("arn").unwrap_or_else(|| id.clone());
        match resource.kind.as_str() {
            "aws_lb" | "aws_alb" | "aws_elb" => {
                let kind = if resource.kind == "aws_elb" { "classic" } else { "application" };
                let balancer = LoadBalancer {
                    id: if kind == "classic" { id.clone() } else { arn() },
                    name: values.text("name").unwrap_or_default(),
                    kind: values.text("load_balancer_type").unwrap_or_else(|| kind.to_string()),
                    scheme: values.flag("internal").map(|internal| {
                        if internal { "internal".to_string() } else { "internet-facing".to_string() }
                    }),
                    vpc_id: values.text("vpc_id"),
                    group_ids: self.members(values, "security_groups", &id, context).0,
                    subnet_ids: self.members(values, "subnets", &id, context).0,
                    zones: Vec::new(),
                    state: None,
                    listeners: None,
                    enforces_on_private_link: balancers::is_on(
                        values,
                        "enforce_security_group_inbound_rules_on_private_link_traffic",
                    ),
                };
                if kind == "classic" {
                    let instances = self.members(values, "instances", &id, context).0;
                    let listeners = self.optional(values, "listener", &id, context);
                    let groups = balancers::classic_groups(&id, &listeners, &instances);
                    into.groups.extend(groups.into_iter().map(|group| (group.id.clone(), group)));
                }
                record(&mut self.load_balancers, context, balancer.id.clone(), false, Some(balancer));
            }
            "aws_elb_attachment" => {
                into.classic.extend(values.text("elb").zip(values.text("instance")));
            }
            "aws_lb_target_group" | "aws_alb_target_group" => {
                let group = TargetGroup {
                    id: arn(),
                    name: values.text("name"),
                    protocol: values.text("protocol"),
                    port: balancers::port(values, "port"),
                    target_type: values.text("target_type"),
                    load_balancer_ids: self.members(values, "load_balancer_arns", &id, context).0,
                    preserve_client_ip: values.flag("preserve_client_ip"),
                    cross_zone: values.flag("load_balancing_cross_zone_enabled"),
                    ..TargetGroup::default()
                };
                into.groups.insert(group.id.clone(), group);
            }
            "aws_lb_target_group_attachment" | "aws_alb_target_group_attachment" => {
                let target = values.text("target_id").map(|id| Target {
                    id,
                    port: balancers::port(values, "port"),
                    health: None,
                });
                match values.text("target_group_arn").zip(target) {
                    Some(pair) => into.targets.push(pair),
                    None => {
                        let message = "a target that is known only after apply was left out";
                        self.problem(context, &resource.address, message);
                    }
                }
            }
            "aws_lb_listener" | "aws_alb_listener" => {
                into.listeners.extend(values.text("load_balancer_arn").map(|balancer| (arn(), balancer)));
                self.forwards(values, "default_action", &arn(), context, into);
            }
            "aws_lb_listener_rule" | "aws_alb_listener_rule" => {
                let Some(listener) = values.text("listener_arn") else { return true };
                self.forwards(values, "action", &listener, context, into);
            }
            _ => return false,
        }
        true
    }

    fn forwards(
        &mut self,
        values: Node<'_>,
        actions: &str,
        listener: &str,
        context: &Context,
        into: &mut Balancing,
    ) {
        for action in self.optional(values, actions, listener, context) {
            let shared = action.list("forward").flat_map(|forward| forward.list("target_group"));
            let groups = shared.filter_map(|group| group.text("arn")).chain(action.text("target_group_arn"));
            into.forwards.extend(groups.map(|group| (listener.to_string(), group)));
        }
    }

    /// Puts together what was gathered.
    pub(super) fn finish_balancing(&mut self, mut balancing: Balancing, context: &Context) {
        for (listener, group) in &balancing.forwards {
            let balancer = balancing.listeners.get(listener);
            if let (Some(group), Some(balancer)) = (balancing.groups.get_mut(group), balancer) {
                push_new(&mut group.load_balancer_ids, Some(balancer.clone()));
            }
        }
        for (id, target) in balancing.targets {
            match balancing.groups.get_mut(&id) {
                Some(group) => push_new(&mut group.targets, Some(target)),
                None => {
                    let message = "targets of a target group that is not in this state were left out";
                    self.problem(context, &id, message);
                }
            }
        }
        for (balancer, instance) in balancing.classic {
            let target = Target { id: instance, port: None, health: None };
            for group in balancing.groups.values_mut().filter(|group| group.is_of(&balancer)) {
                push_new(&mut group.targets, Some(target.clone()));
            }
        }
        for (id, group) in balancing.groups {
            record(&mut self.target_groups, context, id, false, Some(group));
        }
    }
}
