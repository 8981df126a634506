//! Security groups and their rules in the shapes of the AWS CLI and of AWS Config (spec 6.2, 6.3).

use super::node::Node;
use super::traffic::group_traffic;
use super::{Context, NetworkBuilder, Piece, record};
use crate::network::model::*;

impl NetworkBuilder {
    pub(super) fn security_group(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "GroupId", context) else { return };
        let mut rules = Vec::new();
        for (list, egress) in [("IpPermissions", false), ("IpPermissionsEgress", true)] {
            for permission in node.list(list) {
                self.permission(permission, egress, &id, context, &mut rules);
            }
        }
        let group = SecurityGroup {
            id: id.clone(),
            name: node.text("GroupName"),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            rules,
        };
        record(&mut self.groups, context, id, false, Some(group));
    }

    /// One `IpPermission` is as many rules as its four lists have elements.
    fn permission(
        &mut self,
        node: Node<'_>,
        egress: bool,
        group: &str,
        context: &Context,
        rules: &mut Vec<SecurityGroupRule>,
    ) {
        let traffic = self.group_traffic(node, group, context);
        let mut add = |remote: Remote, description: Option<String>| {
            rules.push(SecurityGroupRule {
                rule_id: None,
                egress,
                traffic: traffic.clone(),
                remote,
                description,
            });
        };
        let mut blocks: Vec<(String, Option<String>)> = Vec::new();
        // AWS Config repeats `ipv4Ranges` as plain texts in `ipRanges`; the CLI has objects in `IpRanges`.
        let has_v4_ranges = node.list("Ipv4Ranges").next().is_some();
        let v4_list = if has_v4_ranges { "Ipv4Ranges" } else { "IpRanges" };
        for range in node.list(v4_list) {
            match range.text("CidrIp").or_else(|| range.as_text()) {
                Some(cidr) => blocks.push((cidr, range.text("Description"))),
                None => blocks.push(("(missing CidrIp)".to_string(), None)),
            }
        }
        for range in node.list("Ipv6Ranges") {
            match range.text("CidrIpv6").or_else(|| range.as_text()) {
                Some(cidr) => blocks.push((cidr, range.text("Description"))),
                None => blocks.push(("(missing CidrIpv6)".to_string(), None)),
            }
        }
        for list in node.list("PrefixListIds") {
            if let Some(id) = list.text("PrefixListId").or_else(|| list.as_text()) {
                add(Remote::PrefixList(id), list.text("Description"));
            }
        }
        for pair in node.list("UserIdGroupPairs") {
            if let Some(reference) = group_reference(pair) {
                add(Remote::Group(reference), pair.text("Description"));
            }
        }
        for (text, description) in blocks {
            let remote = match self.block(&text, group, context) {
                Some(prefix) => Remote::Cidr(prefix),
                None => Remote::Unreadable(text),
            };
            rules.push(SecurityGroupRule {
                rule_id: None,
                egress,
                traffic: traffic.clone(),
                remote,
                description,
            });
        }
    }

    /// Protocol and ports of a security group's permission or rule (spec 2.1).
    pub(super) fn group_traffic(&mut self, node: Node<'_>, group: &str, context: &Context) -> Traffic {
        let protocol = node.text("IpProtocol").unwrap_or_default();
        let (from, to) = (node.integer("FromPort"), node.integer("ToPort"));
        match group_traffic(&protocol, from, to) {
            Ok(traffic) => traffic,
            Err(message) => {
                self.problem(context, group, format!("{message}; the rule may match anything"));
                Traffic::Unreadable(message)
            }
        }
    }

    pub(super) fn security_group_rule(&mut self, node: Node<'_>, context: &Context) {
        let Some(group) = self.id(node, "GroupId", context) else { return };
        let Some(egress) = node.flag("IsEgress") else {
            self.problem(context, &group, "a rule without IsEgress was left out");
            return;
        };
        let traffic = self.group_traffic(node, &group, context);
        let remote = if let Some(text) = node.text("CidrIpv4").or_else(|| node.text("CidrIpv6")) {
            match self.block(&text, &group, context) {
                Some(prefix) => Remote::Cidr(prefix),
                None => Remote::Unreadable(text),
            }
        } else if let Some(list) = node.text("PrefixListId") {
            Remote::PrefixList(list)
        } else if let Some(reference) = node.get("ReferencedGroupInfo").and_then(group_reference) {
            Remote::Group(reference)
        } else {
            self.problem(context, &group, "a rule without a remote may match any address");
            Remote::Unreadable("no remote".to_string())
        };
        let rule = SecurityGroupRule {
            rule_id: node.text("SecurityGroupRuleId"),
            egress,
            traffic,
            remote,
            description: node.text("Description"),
        };
        self.rule_files.entry((group.clone(), context.at)).or_insert_with(|| context.file.clone());
        self.rule_pieces.push(Piece { id: group, at: context.at, origin: context.origin(), value: rule });
    }
}

/// A `UserIdGroupPair` or `ReferencedGroupInfo`.
pub(super) fn group_reference(node: Node<'_>) -> Option<GroupReference> {
    Some(GroupReference {
        group_id: node.text("GroupId")?,
        account: node.text("UserId"),
        vpc_id: node.text("VpcId"),
        peering_id: node.text("VpcPeeringConnectionId"),
        peering_status: node.text("PeeringStatus"),
    })
}
