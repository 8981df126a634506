//! What the configuration refers to and does not hold, and references that lead nowhere.

use std::collections::BTreeMap;

use super::{Finding, Severity, plural, some};
use crate::net::Prefix;
use crate::network::{Destination, Network, NetworkInterface, Remote, SecurityGroup, View};
use crate::rules::rule_text;

/// Who refers to something, by what is referred to.
type Users<'a> = BTreeMap<&'a str, Vec<&'a str>>;

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    interfaces(network, view, findings);
    rules(network, view, findings);
    for acl in network.acls.all(view) {
        let unreadable = acl.value.entries.iter().filter(|entry| {
            entry.action.is_none()
                || entry.cidr.is_none()
                || matches!(entry.traffic, crate::network::Traffic::Unreadable(_))
        });
        for entry in unreadable {
            findings.push(Finding {
                severity: Severity::Error,
                check: "unreadable_rule",
                object: acl.value.id.clone(),
                finding: format!("{} may match anything", crate::rules::entry_text(acl.value, entry)),
                advice: "fetch the configuration again, or correct the entry".to_owned(),
            });
        }
    }
    routes(network, view, findings);
    peerings(network, view, findings);
}

fn interfaces(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let (mut subnets, mut acls, mut groups) = (Users::new(), Users::new(), Users::new());
    let mut without_groups: Vec<&str> = Vec::new();
    let mut without_subnet: Vec<&str> = Vec::new();
    for found in network.interfaces.all(view) {
        let interface: &NetworkInterface = found.value;
        let id = interface.id.as_str();
        match interface.subnet_id.as_deref() {
            None => without_subnet.push(id),
            Some(subnet) => {
                if network.subnets.get(subnet, view).is_none() {
                    subnets.entry(subnet).or_default().push(id);
                }
                if network.acl_of(subnet, interface.vpc_id.as_deref(), view).is_none() {
                    acls.entry(subnet).or_default().push(id);
                }
            }
        }
        if !interface.groups_known {
            without_groups.push(id);
        }
        for group in &interface.group_ids {
            if network.groups.get(group, view).is_none() {
                groups.entry(group).or_default().push(id);
            }
        }
    }
    let mut missing = |severity, check, object: &str, finding: String, command: &str| {
        let (object, advice) = (object.to_owned(), format!("import the output of aws ec2 {command}"));
        findings.push(Finding { severity, check, object, finding, advice });
    };
    for (subnet, users) in subnets {
        let finding = format!("not in the configuration, but the subnet of {}", some(&users));
        missing(Severity::Warning, "missing_subnet", subnet, finding, "describe-subnets");
    }
    for (subnet, users) in acls {
        let finding = format!("its network ACL is not known, so no verdict on {} can name one", some(&users));
        missing(Severity::Error, "missing_nacl", subnet, finding, "describe-network-acls");
    }
    for (group, users) in groups {
        let finding = format!("not in the configuration, but carried by {}", some(&users));
        missing(Severity::Error, "missing_security_group", group, finding, "describe-security-groups");
    }
    for id in without_groups {
        let finding = "its security groups are not known".to_owned();
        missing(Severity::Error, "unknown_groups", id, finding, "describe-network-interfaces");
    }
    for id in without_subnet {
        let finding = "its subnet is not known, so neither is its network ACL".to_owned();
        missing(Severity::Error, "unknown_subnet", id, finding, "describe-network-interfaces");
    }
}

fn rules(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for found in network.groups.all(view) {
        let group: &SecurityGroup = found.value;
        for rule in &group.rules {
            let mut add = |severity, check, finding: String, advice: &str| {
                let (object, advice) = (group.id.clone(), advice.to_owned());
                findings.push(Finding { severity, check, object, finding, advice });
            };
            let text = || rule_text(group, rule);
            let unreadable = matches!(rule.remote, Remote::Unreadable(_))
                || matches!(rule.traffic, crate::network::Traffic::Unreadable(_));
            if unreadable {
                let finding = format!("{} may match anything", text());
                add(
                    Severity::Error,
                    "unreadable_rule",
                    finding,
                    "fetch the configuration again, or correct the rule",
                );
            }
            match &rule.remote {
                Remote::Group(reference) => {
                    let status = reference.peering_status.as_deref();
                    if let Some(status) =
                        status.filter(|status| !matches!(*status, "active" | "provisioning"))
                    {
                        let finding = format!("{} is stale (peering {status}): it matches nothing", text());
                        add(
                            Severity::Warning,
                            "dead_reference",
                            finding,
                            "remove the rule, or restore the peering",
                        );
                    } else if network.groups.get(&reference.group_id, view).is_none() {
                        let finding =
                            format!("{} refers to a group that the configuration does not hold", text());
                        let advice =
                            "import the group's account and Region too; if it was deleted, remove the rule";
                        add(Severity::Warning, "dead_reference", finding, advice);
                    }
                }
                Remote::PrefixList(id) => {
                    let list = network.prefix_lists.get(id, view);
                    if list.is_none_or(|list| list.value.entries.is_none()) {
                        let users = lists.entry(id).or_default();
                        if users.last() != Some(&group.id.as_str()) {
                            users.push(&group.id);
                        }
                    }
                }
                Remote::Cidr(_) | Remote::Unreadable(_) => {}
            }
        }
    }
    for (list, users) in lists {
        findings.push(Finding {
            severity: Severity::Error,
            check: "missing_prefix_list",
            object: list.to_owned(),
            finding: format!("its entries are not known, so rules of {} may match any address", some(&users)),
            advice: format!(
                "import the output of aws ec2 get-managed-prefix-list-entries --prefix-list-id {list} as {list}.json"
            ),
        });
    }
}

fn routes(network: &Network, view: View, findings: &mut Vec<Finding>) {
    for table in network.route_tables.all(view) {
        for route in table.value.routes.iter().filter(|route| route.is_blackhole()) {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "dead_route",
                object: table.value.id.clone(),
                finding: format!(
                    "the route to {} over {} is a blackhole: its target is gone",
                    route.destination, route.target
                ),
                advice: "replace the target, or delete the route".to_owned(),
            });
        }
    }
}

/// Whether the VPC's route tables are known and none has routes to both connections that overlap.
fn routed_apart(network: &Network, view: View, vpc: &str, [one, other]: [&String; 2]) -> bool {
    let mut tables = network
        .route_tables
        .all(view)
        .map(|found| found.value)
        .filter(|table| table.vpc_id.as_deref() == Some(vpc))
        .peekable();
    tables.peek().is_some()
        && tables.all(|table| {
            let routes = |target: &String| -> Option<Vec<Prefix>> {
                let over = table.routes.iter().filter(|route| route.target == *target);
                over.map(|route| match &route.destination {
                    Destination::Cidr(cidr) => Some(*cidr),
                    _ => None,
                })
                .collect()
            };
            let apart = |(near, far): (Vec<Prefix>, Vec<Prefix>)| overlap(&near, &far).is_none();
            !table.more_routes && routes(one).zip(routes(other)).is_some_and(apart)
        })
}

fn peerings(network: &Network, view: View, findings: &mut Vec<Finding>) {
    // Per VPC, what lies behind each of its peering connections.
    let mut behind: BTreeMap<String, Vec<(String, Vec<Prefix>)>> = BTreeMap::new();
    for found in network.peerings.all(view) {
        let peering = found.value;
        if peering.status.as_deref() != Some("active") {
            continue;
        }
        let cidrs = |end: &crate::network::PeeringEnd| {
            let vpc = end.vpc_id.as_deref().and_then(|id| network.vpcs.get(id, view));
            if end.cidrs.is_empty() {
                vpc.map(|vpc| vpc.value.cidrs.clone()).unwrap_or_default()
            } else {
                end.cidrs.clone()
            }
        };
        let (requester, accepter) = (cidrs(&peering.requester), cidrs(&peering.accepter));
        if let Some((one, other)) = overlap(&requester, &accepter) {
            findings.push(Finding {
                severity: Severity::Error,
                check: "overlapping_peering",
                object: peering.id.clone(),
                finding: format!(
                    "joins VPCs whose blocks {one} and {other} overlap: the local route takes that traffic"
                ),
                advice: "renumber one VPC, or reach it through a private link".to_owned(),
            });
        }
        for (near, far) in [(&peering.requester, accepter), (&peering.accepter, requester)] {
            if let Some(vpc) = &near.vpc_id {
                behind.entry(vpc.clone()).or_default().push((peering.id.clone(), far));
            }
        }
    }
    for (vpc, peers) in behind {
        for (at, (one, near)) in peers.iter().enumerate() {
            for (other, far) in peers.iter().skip(at.saturating_add(1)) {
                if let Some((first, second)) = overlap(near, far)
                    && !routed_apart(network, view, &vpc, [one, other])
                {
                    findings.push(Finding {
                        severity: Severity::Warning,
                        check: "overlapping_peering",
                        object: vpc.clone(),
                        finding: format!("{first} behind {one} and {second} behind {other} overlap: one route hides the other"),
                        advice: "route the narrower blocks one by one, or renumber one of the VPCs".to_owned(),
                    });
                }
            }
        }
    }
    let inactive = network.peerings.all(view).filter(|peering| {
        peering
            .value
            .status
            .as_deref()
            .is_some_and(|status| matches!(status, "failed" | "expired" | "rejected"))
    });
    let inactive: Vec<&str> = inactive.map(|peering| peering.value.id.as_str()).collect();
    if let Some(first) = inactive.first() {
        findings.push(Finding {
            severity: Severity::Info,
            check: "dead_peering",
            object: (*first).to_owned(),
            finding: format!(
                "{} never became active: {}",
                plural(inactive.len(), "peering connection"),
                some(&inactive)
            ),
            advice: "delete what is not needed".to_owned(),
        });
    }
}

fn overlap(
    one: &[crate::net::Prefix],
    other: &[crate::net::Prefix],
) -> Option<(crate::net::Prefix, crate::net::Prefix)> {
    one.iter().find_map(|one| other.iter().find(|other| one.overlaps(other)).map(|other| (*one, *other)))
}

#[cfg(test)]
mod tests {
    use super::super::cases::found;

    const SOUND: &str = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        nacl acl-1 vpc-1 default
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1 in tcp 443 203.0.113.0/24
        eni eni-a subnet-1 10.0.1.10 groups=sg-1";

    #[test]
    fn nothing_is_wrong_with_a_sound_network() {
        assert_eq!(found(SOUND), Vec::<String>::new());
    }

    #[test]
    fn what_an_interface_needs_and_nobody_gave() {
        let text = "eni eni-a subnet-1 10.0.1.10 groups=sg-1,sg-2";
        assert_eq!(
            found(text),
            vec![
                "error missing_nacl subnet-1",
                "error missing_security_group sg-1",
                "error missing_security_group sg-2",
                "warning missing_subnet subnet-1",
            ]
        );
    }

    #[test]
    fn references_that_lead_nowhere() {
        let text = format!(
            "{SOUND}\n sg-1 in tcp 22 sg-9\n sg-1 in tcp 23 pl-1\n sg-1 in tcp 24 pl-2\n list pl-2 unknown"
        );
        assert_eq!(
            found(&text),
            vec![
                "error missing_prefix_list pl-1",
                "error missing_prefix_list pl-2",
                "warning dead_reference sg-1",
            ]
        );
    }

    #[test]
    fn peerings_of_overlapping_vpcs() {
        let text =
            "vpc vpc-1 10.0.0.0/16\n vpc vpc-2 10.0.128.0/20\n vpc vpc-3 10.1.0.0/16\n vpc vpc-4 10.1.4.0/24
            peering pcx-1 vpc-1 vpc-2\n peering pcx-2 vpc-1 vpc-3\n peering pcx-3 vpc-4 vpc-1";
        assert_eq!(
            found(text),
            vec!["error overlapping_peering pcx-1", "warning overlapping_peering vpc-1"],
            "and pcx-2 and pcx-3 lead to overlapping blocks"
        );
    }
}
