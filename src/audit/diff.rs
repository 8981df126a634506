//! What changed between two times, rule by rule.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::network::{Kind, Network, NetworkAcl, NetworkInterface, SecurityGroup, View};
use crate::rules::{entry_text, rule_text};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Only there later.
    Added,
    /// Only there before.
    Removed,
    /// There at both times, and not the same.
    Changed,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        })
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kind of the object.
    pub kind: &'static str,
    /// Its id.
    pub object: String,
    /// What happened to it, or to the part that `detail` names.
    pub change: ChangeKind,
    /// The rule, entry or property; empty where the object as a whole came or went.
    pub detail: String,
}

/// An object in parts, each one line.
type Parts<T> = fn(&T) -> Vec<String>;

/// All differences between two views, by kind and id. An object of which nothing was known at one of the times is taken
/// as its nearest capture shows it, as for verdicts.
pub fn diff(network: &Network, before: View, after: View) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut walk = Walk { before, after, changes: &mut changes };
    walk.kind("network interface", &network.interfaces, interface_parts);
    walk.kind("security group", &network.groups, group_parts);
    walk.kind("network ACL", &network.acls, acl_parts);
    walk.kind("subnet", &network.subnets, |subnet| {
        let mut parts = listed("block", &subnet.cidrs);
        parts.extend(option("vpc", subnet.vpc_id.as_deref()));
        parts.extend(option("block public access", subnet.bpa_mode.as_deref()));
        parts
    });
    walk.kind("VPC", &network.vpcs, |vpc| {
        let mut parts = listed("block", &vpc.cidrs);
        parts.extend(option("block public access", vpc.bpa_mode.as_deref()));
        parts.extend(option("encryption control", vpc.encryption_mode.as_deref()));
        parts
    });
    walk.kind("prefix list", &network.prefix_lists, |list| {
        let mut parts = listed("entry", list.entries.as_deref().unwrap_or_default());
        parts.extend(option("name", list.name.as_deref()));
        parts
    });
    walk.kind("route table", &network.route_tables, |table| {
        let routes = table.routes.iter().map(|route| {
            let state = route.state.as_deref().filter(|state| *state != "active");
            let state = state.map(|state| format!(" ({state})")).unwrap_or_default();
            format!("route {} to {}{state}", route.destination, route.target)
        });
        routes.chain(listed("subnet", &table.subnet_ids)).collect()
    });
    walk.kind("peering connection", &network.peerings, |peering| {
        let mut parts = Vec::from_iter(option("status", peering.status.as_deref()));
        for (end, of) in [("requester", &peering.requester), ("accepter", &peering.accepter)] {
            parts.extend(option(&format!("{end} VPC"), of.vpc_id.as_deref()));
            parts.extend(option(&format!("{end} Region"), of.region.as_deref()));
            parts.extend(listed(&format!("{end} block"), &of.cidrs));
        }
        parts
    });
    walk.kind("load balancer", &network.load_balancers, |balancer| {
        let mut parts = listed("security group", &balancer.group_ids);
        parts.extend(listed("subnet", &balancer.subnet_ids));
        parts.extend(option("scheme", balancer.scheme.as_deref()));
        parts.extend(option("vpc", balancer.vpc_id.as_deref()));
        let enforces = balancer.enforces_on_private_link;
        let enforces = enforces.map(|enforces| if enforces { "on" } else { "off" });
        parts.extend(option("inbound rules on PrivateLink traffic", enforces));
        parts
    });
    walk.kind("block public access", &network.bpa_options, |options| {
        option("mode", options.mode.as_deref()).into_iter().collect()
    });
    walk.kind("block public access exclusion", &network.bpa_exclusions, |exclusion| {
        let mut parts = Vec::from_iter(option("of", exclusion.resource_id.as_deref()));
        parts.extend(option("mode", exclusion.mode.as_deref()));
        parts.extend(option("state", exclusion.state.as_deref()));
        parts
    });
    changes
}

struct Walk<'c> {
    before: View,
    after: View,
    changes: &'c mut Vec<Change>,
}

impl Walk<'_> {
    fn kind<T: PartialEq>(&mut self, kind: &'static str, of: &Kind<T>, parts: Parts<T>) {
        for (id, timeline) in of.timelines() {
            let before = timeline.pick(self.before).map(|found| found.value);
            let after = timeline.pick(self.after).map(|found| found.value);
            let mut add = |change, detail: String| {
                self.changes.push(Change { kind, object: id.to_owned(), change, detail });
            };
            match (before, after) {
                (None, None) => {}
                (None, Some(_)) => add(ChangeKind::Added, String::new()),
                (Some(_), None) => add(ChangeKind::Removed, String::new()),
                (Some(before), Some(after)) if Arc::ptr_eq(before, after) || before == after => {}
                (Some(before), Some(after)) => {
                    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
                        (parts(before).into_iter().collect(), parts(after).into_iter().collect());
                    before.difference(&after).for_each(|part| add(ChangeKind::Removed, part.clone()));
                    after.difference(&before).for_each(|part| add(ChangeKind::Added, part.clone()));
                    if before == after {
                        let detail = "something that flowq does not show".to_owned();
                        add(ChangeKind::Changed, detail);
                    }
                }
            }
        }
    }
}

fn listed<T: fmt::Display>(name: &str, items: &[T]) -> Vec<String> {
    items.iter().map(|item| format!("{name} {item}")).collect()
}

fn option(name: &str, value: Option<&str>) -> Option<String> {
    value.map(|value| format!("{name} {value}"))
}

fn interface_parts(interface: &NetworkInterface) -> Vec<String> {
    let mut parts = listed("address", &interface.addresses);
    parts.extend(listed("prefix", &interface.prefixes));
    parts.extend(listed("public address", &interface.public_addresses));
    parts.extend(listed("security group", &interface.group_ids));
    parts.extend(option("subnet", interface.subnet_id.as_deref()));
    parts.extend(option("instance", interface.instance_id.as_deref()));
    parts.extend(option("description", interface.description.as_deref()));
    parts.extend(option("VPC", interface.vpc_id.as_deref()));
    parts.extend(option("type", interface.interface_type.as_deref()));
    parts.extend(option("status", interface.status.as_deref()));
    parts.extend(interface.source_dest_check.map(|check| format!("source/destination check {check}")));
    parts.extend(interface.denies_internet.then(|| "DenyAllIgwTraffic".to_owned()));
    for (name, seconds) in [
        ("TCP established", interface.tcp_established_timeout),
        ("UDP", interface.udp_timeout),
        ("UDP stream", interface.udp_stream_timeout),
    ] {
        parts.extend(seconds.map(|seconds| format!("{name} timeout {seconds} s")));
    }
    parts
}

fn group_parts(group: &SecurityGroup) -> Vec<String> {
    // By what a rule does: the same rule with another id or description changes no traffic.
    let rules = group.rules.iter().map(|rule| {
        let rule = crate::network::SecurityGroupRule { rule_id: None, ..rule.clone() };
        rule_text(group, &rule)
    });
    rules.chain(option("name", group.name.as_deref())).collect()
}

fn acl_parts(acl: &NetworkAcl) -> Vec<String> {
    acl.entries.iter().map(|entry| entry_text(acl, entry)).chain(listed("subnet", &acl.subnet_ids)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{NetworkBuilder, ReadOptions};

    const BEFORE: i64 = 1_714_651_200;
    const AFTER: i64 = BEFORE + 86_400;

    fn group(id: &str, rules: &[(u16, &str)]) -> String {
        let rules: Vec<String> = (rules.iter())
            .map(|(port, cidr)| {
                format!(r#"{{"IpProtocol":"tcp","FromPort":{port},"ToPort":{port},"IpRanges":[{{"CidrIp":"{cidr}"}}]}}"#)
            })
            .collect();
        format!(
            r#"{{"GroupId":"{id}","GroupName":"{id}","IpPermissions":[{}],"IpPermissionsEgress":[]}}"#,
            rules.join(",")
        )
    }

    fn changes(captures: &[(i64, String)], from: i64, to: i64) -> Vec<String> {
        let groups = |(at, groups): &(i64, String)| (*at, format!(r#"{{"SecurityGroups":[{groups}]}}"#));
        changes_of(&captures.iter().map(groups).collect::<Vec<_>>(), from, to)
    }

    fn changes_of(captures: &[(i64, String)], from: i64, to: i64) -> Vec<String> {
        let mut builder = NetworkBuilder::new();
        for (at, text) in captures {
            let options = ReadOptions { captured_at: Some(*at), ..ReadOptions::default() };
            builder.read("capture.json", text.as_bytes(), &options).unwrap();
        }
        let network = builder.finish().0;
        let view = |at| View { at, after: false };
        let changes = diff(&network, view(from), view(to));
        changes.iter().map(|c| format!("{} {} {} {}", c.kind, c.object, c.change, c.detail)).collect()
    }

    #[test]
    fn rules_come_and_go() {
        let one = group("sg-1", &[(22, "203.0.113.0/24"), (443, "0.0.0.0/0")]);
        let two = group("sg-1", &[(443, "0.0.0.0/0"), (8443, "0.0.0.0/0")]);
        assert_eq!(
            changes(&[(BEFORE, one), (AFTER, two)], BEFORE, AFTER),
            vec![
                "security group sg-1 removed group sg-1 inbound rule allow tcp 22 from 203.0.113.0/24",
                "security group sg-1 added group sg-1 inbound rule allow tcp 8443 from 0.0.0.0/0",
            ]
        );
    }

    #[test]
    fn load_balancers_and_block_public_access() {
        let balancer = |group: &str| {
            format!(
                r#"{{"LoadBalancers":[{{"LoadBalancerArn":"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/x/1",
                "LoadBalancerName":"x","Type":"application","Scheme":"internal","VpcId":"vpc-1","SecurityGroups":["{group}"],
                "AvailabilityZones":[{{"SubnetId":"subnet-1"}}]}}]}}"#
            )
        };
        let options = |mode: &str| {
            format!(
                r#"{{"VpcBlockPublicAccessOptions":{{"AwsAccountId":"111122223333","AwsRegion":"us-east-1",
                "InternetGatewayBlockMode":"{mode}"}}}}"#
            )
        };
        let captures = [
            (BEFORE, balancer("sg-1")),
            (BEFORE, options("off")),
            (AFTER, balancer("sg-2")),
            (AFTER, options("block-ingress")),
        ];
        let found = changes_of(&captures, BEFORE, AFTER);
        let arn = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/x/1";
        assert_eq!(
            found,
            [
                format!("load balancer {arn} removed security group sg-1"),
                format!("load balancer {arn} added security group sg-2"),
                "block public access 111122223333/us-east-1 removed mode off".to_owned(),
                "block public access 111122223333/us-east-1 added mode block-ingress".to_owned(),
            ]
        );
    }

    #[test]
    fn nothing_changed() {
        let one = group("sg-1", &[(22, "203.0.113.0/24")]);
        assert_eq!(changes(&[(BEFORE, one.clone()), (AFTER, one)], BEFORE, AFTER), Vec::<String>::new());
    }

    #[test]
    fn an_object_of_one_capture_only_did_not_change() {
        let (one, two) = (group("sg-1", &[]), group("sg-2", &[]));
        let both = format!("{one},{two}");
        assert_eq!(
            changes(&[(BEFORE, one), (AFTER, both)], BEFORE, AFTER),
            Vec::<String>::new(),
            "that sg-2 is not in the first capture does not say that it did not exist"
        );
    }

    #[test]
    fn what_config_history_deletes_is_removed() {
        let item = |at: &str, status: &str| {
            format!(
                r#"{{"configurationItemCaptureTime":"{at}","configurationItemStatus":"{status}",
                "resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-1","configuration":{{"groupId":"sg-1"}}}}"#
            )
        };
        let text = format!(
            r#"{{"configurationItems":[{},{}]}}"#,
            item("2024-05-02T12:00:00Z", "OK"),
            item("2024-05-02T15:00:00Z", "ResourceDeleted")
        );
        let mut builder = NetworkBuilder::new();
        builder.read("h.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        let network = builder.finish().0;
        let view = |at| View { at, after: false };
        let changes = diff(&network, view(BEFORE), view(AFTER));
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].change, changes[0].object.as_str()), (ChangeKind::Removed, "sg-1"));
    }

    #[test]
    fn what_decides_verdicts_is_shown_where_it_changes() {
        let interface = |timeout: u32| {
            let tracking =
                format!(r#""ConnectionTrackingConfiguration":{{"TcpEstablishedTimeout":{timeout}}}"#);
            format!(r#"{{"NetworkInterfaces":[{{"NetworkInterfaceId":"eni-1","Groups":[],{tracking}}}]}}"#)
        };
        let found = changes_of(&[(BEFORE, interface(350)), (AFTER, interface(86_400))], BEFORE, AFTER);
        assert!(found.iter().any(|line| line.contains("TCP established timeout 350 s")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("TCP established timeout 86400 s")), "{found:?}");
    }
}
