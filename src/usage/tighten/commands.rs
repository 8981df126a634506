//! Tightenings as `aws` commands and as Terraform.

use super::super::book::Subject;
use super::{Proposal, Tightening};
use crate::attribute::{GroupRule, within};
use crate::net::{ICMP, ICMPV6, TCP, UDP};
use crate::network::{Remote, SecurityGroupRule, Traffic as RuleTraffic};

/// The options of a permission for the AWS CLI.
fn permission(traffic: &RuleTraffic, remote: &Remote) -> String {
    let (protocol, from, to) = numbers(traffic);
    let ports = match protocol.as_str() {
        "-1" => String::new(),
        _ if matches!(traffic, RuleTraffic::Protocol(_)) => String::new(),
        _ => format!(",FromPort={from},ToPort={to}"),
    };
    let whom = match remote {
        Remote::Cidr(block) if block.network().is_ipv4() => format!("IpRanges=[{{CidrIp={block}}}]"),
        Remote::Cidr(block) => format!("Ipv6Ranges=[{{CidrIpv6={block}}}]"),
        Remote::PrefixList(id) => format!("PrefixListIds=[{{PrefixListId={id}}}]"),
        Remote::Group(reference) => {
            let account = reference.account.as_ref().map(|id| format!(",UserId={id}")).unwrap_or_default();
            format!("UserIdGroupPairs=[{{GroupId={}{account}}}]", reference.group_id)
        }
        Remote::Unreadable(text) => format!("UserIdGroupPairs=[{{Description={text:?}}}]"),
    };
    format!("IpProtocol={protocol}{ports},{whom}")
}

/// Protocol, and what stands for its ports, as AWS writes them.
fn numbers(traffic: &RuleTraffic) -> (String, i32, i32) {
    let name = |protocol: u8| match protocol {
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        ICMP => "icmp".to_owned(),
        ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    };
    let or_all = |value: Option<u8>| value.map_or(-1, i32::from);
    match traffic {
        RuleTraffic::All | RuleTraffic::Unreadable(_) => ("-1".to_owned(), -1, -1),
        RuleTraffic::Ports { protocol, ports } => {
            (name(*protocol), i32::from(ports.first()), i32::from(ports.last()))
        }
        RuleTraffic::Icmp { protocol, kind, code } => (name(*protocol), or_all(*kind), or_all(*code)),
        RuleTraffic::Protocol(protocol) => (name(*protocol), -1, -1),
    }
}

impl Tightening {
    fn wide(&self) -> Option<(&str, &SecurityGroupRule)> {
        match &self.rule.subject {
            Subject::Group { group_id, rule, .. } => Some((group_id, rule)),
            Subject::Entry { .. } => None,
        }
    }

    fn side(&self) -> &'static str {
        if self.rule.is_egress() { "egress" } else { "ingress" }
    }

    /// The proposals that the group gets by this one.
    fn added(&self) -> impl Iterator<Item = &Proposal> {
        self.proposed.iter().filter(|one| one.held_by.is_none())
    }

    /// The `aws` commands that do it: first the new rules, then the old one goes, so that nothing is cut in between. What
    /// the group has already is not added.
    pub fn commands(&self) -> Vec<String> {
        let Some((group, wide)) = self.wide() else { return Vec::new() };
        let side = self.side();
        let new: Vec<String> = self.added().map(|one| permission(&one.traffic, &one.remote)).collect();
        let old = match &wide.rule_id {
            Some(id) => format!("--security-group-rule-ids {id}"),
            None => {
                format!("--ip-permissions '{}'", permission(&wide.traffic, &wide.remote))
            }
        };
        let add = format!(
            "aws ec2 authorize-security-group-{side} --group-id {group} --ip-permissions '{}'",
            new.join("' '")
        );
        let revoke = format!("aws ec2 revoke-security-group-{side} --group-id {group} {old}");
        Some(add).filter(|_| !new.is_empty()).into_iter().chain([revoke]).collect()
    }

    /// The new rules as Terraform: resources, or blocks where the group's resource has its rules inline.
    pub fn terraform(&self) -> String {
        let Some((group, wide)) = self.wide() else { return String::new() };
        let side = self.side();
        let new: Vec<&Proposal> = self.added().collect();
        let rule = |traffic, remote| {
            let (protocol, from, to) = numbers(traffic);
            let has_ports = matches!(traffic, RuleTraffic::Ports { .. } | RuleTraffic::Icmp { .. });
            let ports = has_ports.then_some((from, to));
            GroupRule { group, egress: self.rule.is_egress(), protocol, ports, remote }
        };
        if new.is_empty() {
            return String::new();
        }
        if let Some(address) = &self.inline_in {
            let blocks: Vec<String> = new.iter().map(|one| rule(&one.traffic, &one.remote).block()).collect();
            let word = if self.rule.is_egress() { "to" } else { "from" };
            let old = format!("the {side} block of {} {word} {}", wide.traffic, wide.remote);
            return within(address, Some(&old), &blocks);
        }
        let name = wide.rule_id.as_deref().unwrap_or(group);
        // Rules without an id are told apart by what they allow.
        let of = match &wide.rule_id {
            Some(_) => String::new(),
            None => format!("{side}_{}_{}_", wide.traffic, wide.remote),
        };
        let resources = new.iter().enumerate().map(|(at, one)| {
            let number = at.saturating_add(1);
            rule(&one.traffic, &one.remote).resource(&format!("tight_{name}_{of}{number}"))
        });
        resources.collect::<Vec<_>>().join("\n\n")
    }
}
