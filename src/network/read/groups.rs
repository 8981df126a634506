//! Security groups and their rules in the shapes of the AWS CLI and of AWS Config (spec 6.2, 6.3).

use super::elements::Need;
use super::node::Node;
use super::traffic::group_traffic;
use super::{Context, NetworkBuilder, Piece, record};
use crate::network::model::*;

impl NetworkBuilder {
    pub(super) fn security_group(&mut self, node: Node<'_>, context: &Context) {
        let Some(id) = self.id(node, "GroupId", context) else { return };
        let mut rules = Vec::new();
        for (list, egress) in [("IpPermissions", false), ("IpPermissionsEgress", true)] {
            match self.elements(node, list, Need::Required, &id, context) {
                Some(permissions) => permissions
                    .into_iter()
                    .for_each(|permission| self.permission(permission, egress, &id, context, &mut rules)),
                None => rules.push(unreadable_rule(egress, format!("no readable {list}"))),
            }
        }
        let group = SecurityGroup {
            id: id.clone(),
            name: node.text("GroupName"),
            vpc_id: node.text("VpcId"),
            owner_id: node.text("OwnerId").or_else(|| context.account.clone()),
            rules,
            partial: false,
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
        if !node.0.is_object() {
            self.problem(context, group, "a permission is no object; it may match anything");
            rules.push(unreadable_rule(egress, "no object".to_string()));
            return;
        }
        let traffic = self.group_traffic(node, group, context);
        let mut remotes: Vec<(Remote, Option<String>)> = Vec::new();
        // AWS Config repeats `ipv4Ranges` as plain texts in `ipRanges`; the CLI has objects in `IpRanges`.
        let has_v4_ranges = node.list("Ipv4Ranges").next().is_some();
        let v4_list = if has_v4_ranges { "Ipv4Ranges" } else { "IpRanges" };
        let lists = ["PrefixListIds", "UserIdGroupPairs", v4_list, "Ipv6Ranges"];
        for list in lists {
            let Some(elements) = self.elements(node, list, Need::Optional, group, context) else {
                remotes.push((Remote::Unreadable(format!("no readable {list}")), None));
                continue;
            };
            for element in elements {
                let remote = self.permission_remote(element, list, group, context);
                remotes.push((remote, element.text("Description")));
            }
        }
        if remotes.is_empty() && node.get(v4_list).is_none() {
            // AWS writes no permission without a remote, and this list always: what made the file left it out.
            self.problem(context, group, "a permission without any remote may match any address");
            remotes.push((Remote::Unreadable("no remote".to_string()), None));
        }
        rules.extend(remotes.into_iter().map(|(remote, description)| SecurityGroupRule {
            rule_id: None,
            egress,
            traffic: traffic.clone(),
            remote,
            description,
        }));
    }

    /// One element of a permission's lists of remotes; in some forms it is the text alone.
    fn permission_remote(&mut self, node: Node<'_>, list: &str, group: &str, context: &Context) -> Remote {
        let member = match list {
            "PrefixListIds" => "PrefixListId",
            "UserIdGroupPairs" => "GroupId",
            "Ipv6Ranges" => "CidrIpv6",
            _ => "CidrIp",
        };
        let Some(text) = node.text(member).or_else(|| node.as_text()) else {
            self.problem(
                context,
                group,
                format!("an element of {list} without {member} may match any address"),
            );
            return Remote::Unreadable(format!("no {member}"));
        };
        match list {
            "PrefixListIds" => Remote::PrefixList(text),
            "UserIdGroupPairs" => Remote::Group(
                group_reference(node)
                    .unwrap_or(GroupReference { group_id: text, ..GroupReference::default() }),
            ),
            _ => match self.block(&text, group, context) {
                Some(prefix) => Remote::Cidr(prefix),
                None => Remote::Unreadable(text),
            },
        }
    }

    /// Protocol and ports of a security group's permission or rule (spec 2.1).
    pub(super) fn group_traffic(&mut self, node: Node<'_>, group: &str, context: &Context) -> Traffic {
        let protocol = node.text("IpProtocol").unwrap_or_default();
        let ports = node.number("FromPort").and_then(|from| Ok((from, node.number("ToPort")?)));
        match ports.and_then(|(from, to)| group_traffic(&protocol, from, to)) {
            Ok(traffic) => traffic,
            Err(message) => {
                self.problem(context, group, format!("{message}; the rule may match anything"));
                Traffic::Unreadable(message)
            }
        }
    }

    pub(super) fn security_group_rule(&mut self, node: Node<'_>, context: &Context) {
        let Some(group) = self.id(node, "GroupId", context) else { return };
        let egress = node.flag("IsEgress");
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
        let mut rule = SecurityGroupRule {
            rule_id: node.text("SecurityGroupRuleId"),
            egress: egress.unwrap_or(false),
            traffic,
            remote,
            description: node.text("Description"),
        };
        self.rule_files.entry((group.clone(), context.at)).or_insert_with(|| context.file.clone());
        if egress.is_none() {
            // A rule that may be of either direction is one that may match in both.
            self.problem(context, &group, "a rule without IsEgress may match in either direction");
            rule.traffic = Traffic::Unreadable("no IsEgress".to_string());
            let other = SecurityGroupRule { egress: true, ..rule.clone() };
            self.rule_pieces.push(Piece::new(group.clone(), context, other));
        }
        self.rule_pieces.push(Piece::new(group, context, rule));
    }
}

/// A rule of which nothing is known but its direction: it may allow anything.
pub(super) fn unreadable_rule(egress: bool, why: String) -> SecurityGroupRule {
    SecurityGroupRule {
        rule_id: None,
        egress,
        traffic: Traffic::Unreadable(why.clone()),
        remote: Remote::Unreadable(why),
        description: None,
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
