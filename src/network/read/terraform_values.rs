//! How Terraform writes what a rule or an entry matches, and whose it is.

use super::entries::rule_number;
use super::node::Node;
use super::terraform::Resource;
use super::terraform_inline::Part;
use super::terraform_references::{after_apply, candidates};
use super::traffic::{acl_action, acl_traffic, group_traffic};
use super::{Context, NetworkBuilder, Piece};
use crate::network::model::*;

/// The object that a resource adds something to.
pub(super) enum Parent {
    Known(String),
    /// One of these, which is known only after the apply: each may get what is added, and is not known to.
    OneOf(Vec<String>),
}

impl Parent {
    pub(super) fn ids(&self) -> &[String] {
        match self {
            Parent::Known(id) => std::slice::from_ref(id),
            Parent::OneOf(ids) => ids,
        }
    }

    /// The object, for messages.
    pub(super) fn name(&self) -> &str {
        self.ids().first().map_or("-", String::as_str)
    }
}

impl NetworkBuilder {
    pub(super) fn parent(
        &mut self,
        values: Node<'_>,
        key: &str,
        resource: &Resource<'_>,
        context: &Context,
    ) -> Option<Parent> {
        if let Some(id) = values.text(key) {
            return Some(Parent::Known(id));
        }
        let ids = values.get(key).map(candidates).unwrap_or_default();
        let follows = if ids.is_empty() {
            "it was left out, so verdicts may miss it".to_owned()
        } else {
            format!("each of these may get it: {}", ids.join(", "))
        };
        let unknown = after_apply(values.get(key));
        self.problem(context, &resource.address, format!("{key} is {unknown}; {follows}"));
        (!ids.is_empty()).then_some(Parent::OneOf(ids))
    }

    pub(super) fn rule_piece(&mut self, group: &Parent, mut rule: SecurityGroupRule, context: &Context) {
        if matches!(group, Parent::OneOf(_)) {
            rule.remote = Remote::Unreadable("known after apply whose rule it is".to_string());
        }
        for id in group.ids() {
            self.inline.apart(id, Part::Rule(rule.clone()));
            let piece = Piece::new(id.clone(), context, rule.clone());
            self.rule_pieces.push(piece);
        }
    }

    pub(super) fn blocks(
        &mut self,
        values: Node<'_>,
        id: &str,
        context: &Context,
    ) -> Vec<crate::net::Prefix> {
        let texts = [values.text("cidr_block"), values.text("ipv6_cidr_block")];
        texts.into_iter().flatten().filter_map(|text| self.block(&text, id, context)).collect()
    }

    pub(super) fn cidr_remote(&mut self, text: String, group: &str, context: &Context) -> Remote {
        match self.block(&text, group, context) {
            Some(prefix) => Remote::Cidr(prefix),
            None => Remote::Unreadable(text),
        }
    }

    pub(super) fn terraform_traffic(
        &mut self,
        values: Node<'_>,
        key: &str,
        group: &str,
        context: &Context,
    ) -> Traffic {
        let Some(protocol) = values.text(key) else {
            return Traffic::Unreadable(after_apply(values.get(key)));
        };
        let ports = values.number("from_port").and_then(|from| Ok((from, values.number("to_port")?)));
        match ports.and_then(|(from, to)| group_traffic(&protocol, from, to)) {
            Ok(traffic) => traffic,
            Err(message) => {
                self.problem(context, group, format!("{message}; the rule may match anything"));
                Traffic::Unreadable(message)
            }
        }
    }

    /// The inline form and `aws_security_group_rule`, which share their attributes.
    pub(super) fn terraform_rules(
        &mut self,
        values: Node<'_>,
        egress: bool,
        group: &str,
        context: &Context,
        rules: &mut Vec<SecurityGroupRule>,
    ) {
        let traffic = self.terraform_traffic(values, "protocol", group, context);
        let mut remotes = Vec::new();
        let mut whole = values.get("self").is_none() || values.flag("self").is_some();
        for key in ["cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups"] {
            let (texts, all) = self.members(values, key, group, context);
            whole &= all;
            for text in texts {
                remotes.push(match key {
                    "prefix_list_ids" => Remote::PrefixList(text),
                    "security_groups" => Remote::Group(reference(&text)),
                    _ => self.cidr_remote(text, group, context),
                });
            }
        }
        remotes.extend(values.text("source_security_group_id").map(|text| Remote::Group(reference(&text))));
        if values.flag("self") == Some(true) {
            remotes.push(Remote::Group(reference(group)));
        }
        if remotes.is_empty() || !whole {
            remotes.push(Remote::Unreadable("not readable, or known after apply".to_string()));
        }
        let description = values.text("description");
        for remote in remotes {
            let (traffic, description) = (traffic.clone(), description.clone());
            rules.push(SecurityGroupRule { rule_id: None, egress, traffic, remote, description });
        }
    }

    pub(super) fn terraform_entry(
        &mut self,
        values: Node<'_>,
        number_key: &str,
        action_key: &str,
        egress: bool,
        acl: &str,
        context: &Context,
    ) -> NaclEntry {
        let number = rule_number(values.integer(number_key));
        let named = number.map_or_else(|| "an entry".to_string(), |number| format!("entry {number}"));
        let text = values.text("cidr_block").or_else(|| values.text("ipv6_cidr_block"));
        let cidr = text.and_then(|text| self.block(&text, &format!("{acl} {named}"), context));
        let protocol = values.text("protocol").unwrap_or_default();
        let ports = values.number("from_port").and_then(|from| Ok((from, values.number("to_port")?)));
        let icmp = values.number("icmp_type").and_then(|kind| Ok((kind, values.number("icmp_code")?)));
        let traffic = ports.and_then(|(from, to)| {
            let (kind, code) = icmp?;
            acl_traffic(&protocol, from, to, kind, code, cidr.as_ref())
        });
        let mut traffic = self.acl_traffic_or_any(traffic, &named, acl, context);
        if number.is_none() {
            let message = format!("{named} without a readable {number_key} may match anything in its place");
            self.problem(context, acl, message);
            traffic = Traffic::Unreadable(format!("no readable {number_key}"));
        }
        let action = acl_action(values.text(action_key).as_deref());
        NaclEntry { number: number.unwrap_or(NACL_UNPLACED), egress, action, traffic, cidr }
    }
}

/// `sg-…` or `account/sg-…`.
pub(super) fn reference(text: &str) -> GroupReference {
    let (account, group) = match text.split_once('/') {
        Some((account, group)) => (Some(account.to_string()), group),
        None => (None, text),
    };
    GroupReference { group_id: group.to_string(), account, ..GroupReference::default() }
}
