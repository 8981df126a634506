//! Security groups that nobody carries, and groups that open administration ports to everybody.

use std::collections::{HashMap, HashSet};

use super::{Finding, Severity, plural, some};
use crate::net::{Family, PortRange, TCP, UDP, is_internet};
use crate::network::{
    Network, NetworkInterface, Remote, RuleDisagreement, SecurityGroup, SecurityGroupRule, Traffic, View,
};
use crate::rules::rule_text;

/// TCP ports through which hosts are administered.
const ADMINISTRATION: [(u16, &str); 9] = [
    (22, "SSH"),
    (23, "Telnet"),
    (445, "SMB"),
    (2375, "Docker"),
    (3389, "RDP"),
    (5900, "VNC"),
    (5985, "WinRM"),
    (5986, "WinRM over TLS"),
    (10250, "kubelet"),
];

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let mut carriers: HashMap<&str, Vec<&NetworkInterface>> = HashMap::new();
    for found in network.interfaces.all(view) {
        for group in &found.value.group_ids {
            carriers.entry(group).or_default().push(found.value);
        }
    }
    let mut referenced: HashSet<&str> = HashSet::new();
    for found in network.groups.all(view) {
        for rule in &found.value.rules {
            if let Remote::Group(reference) = &rule.remote
                && reference.group_id != found.value.id
            {
                referenced.insert(&reference.group_id);
            }
        }
    }
    for found in network.groups.all(view) {
        let group = found.value;
        let carried = carriers.get(group.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        // Without interfaces in the configuration every group would look unused; a default group cannot be deleted.
        if carried.is_empty() && !network.interfaces.is_empty() && group.name.as_deref() != Some("default") {
            unused(group, referenced.contains(group.id.as_str()), findings);
        }
        // Of another capture it says nothing about this one.
        let of_this = |one: &&RuleDisagreement| {
            one.group_id == group.id && (one.at.is_none() || one.at == found.version.captured_at)
        };
        if let Some(disagreement) = network.disagreements.iter().find(of_this) {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "rules_disagree",
                object: group.id.clone(),
                finding: disagreement.to_string(),
                advice: "fetch both again (flowq config pull), and import them".to_owned(),
            });
        }
        for rule in group.rules.iter().filter(|rule| !rule.egress && is_world(network, rule, view)) {
            world_open(group, rule, carried, findings);
        }
    }
}

fn unused(group: &SecurityGroup, referenced: bool, findings: &mut Vec<Finding>) {
    let rules = plural(group.rules.len(), "rule");
    let (finding, advice) = if referenced {
        (
            format!(
                "no interface carries it, so its {rules} filter nothing and rules that refer to it match nobody"
            ),
            "attach it to the interfaces that are meant, or remove it and the rules that refer to it",
        )
    } else {
        (
            format!("no interface carries it, so its {rules} filter nothing"),
            "delete it, unless a launch template or a service attaches it later",
        )
    };
    let (object, advice) = (group.id.clone(), advice.to_owned());
    findings.push(Finding {
        severity: Severity::Info,
        check: "unused_security_group",
        object,
        finding,
        advice,
    });
}

fn is_world(network: &Network, rule: &SecurityGroupRule, view: View) -> bool {
    match &rule.remote {
        Remote::Cidr(cidr) => cidr.is_any(),
        Remote::PrefixList(id) => network
            .prefix_lists
            .get(id, view)
            .and_then(|list| {
                list.value.entries.as_ref().map(|entries| entries.iter().any(|entry| entry.is_any()))
            })
            .unwrap_or(false),
        Remote::Group(_) | Remote::Unreadable(_) => false,
    }
}

/// Which administration ports the traffic holds, as words.
fn administration(traffic: &Traffic) -> Option<String> {
    match traffic {
        Traffic::All => Some("every protocol and port".to_owned()),
        Traffic::Ports { protocol: TCP, ports } if ports.is_all() => Some("every TCP port".to_owned()),
        Traffic::Ports { protocol: TCP, ports } => {
            let open: Vec<String> = (ADMINISTRATION.iter())
                .filter(|(port, _)| ports.contains(*port))
                .map(|(port, name)| format!("{name} ({port})"))
                .collect();
            (!open.is_empty()).then(|| open.join(", "))
        }
        // RDP also runs over UDP.
        Traffic::Ports { protocol: UDP, ports } if *ports != PortRange::ALL && ports.contains(3389) => {
            Some("RDP over UDP (3389)".to_owned())
        }
        _ => None,
    }
}

fn world_open(
    group: &SecurityGroup,
    rule: &SecurityGroupRule,
    carried: &[&NetworkInterface],
    findings: &mut Vec<Finding>,
) {
    let Some(open) = administration(&rule.traffic) else { return };
    let family = match &rule.remote {
        Remote::Cidr(cidr) => Some(cidr.family()),
        _ => None,
    };
    // IPv6 addresses are reachable as they are; IPv4 needs a public address mapped to the interface.
    let is_exposed = |interface: &&&NetworkInterface| {
        let public = interface.public_addresses.iter();
        let mut addresses =
            public.chain(interface.addresses.iter().filter(|addr| addr.is_ipv6() && is_internet(addr)));
        addresses.any(|addr| family.is_none_or(|family| family == Family::of(addr)))
    };
    let exposed: Vec<&str> =
        carried.iter().filter(is_exposed).map(|interface| interface.id.as_str()).collect();
    let (severity, whom) = match (exposed.is_empty(), carried.is_empty()) {
        (false, _) => (Severity::Error, format!("public addresses: {}", some(&exposed))),
        (true, false) => {
            (Severity::Warning, format!("{} without a public address", plural(carried.len(), "interface")))
        }
        (true, true) => (Severity::Info, "no interface carries it".to_owned()),
    };
    findings.push(Finding {
        severity,
        check: "world_open",
        object: group.id.clone(),
        finding: format!("{} opens {open} to everybody ({whom})", rule_text(group, rule)),
        advice: "allow only the addresses that administer, or use Session Manager or EC2 Instance Connect"
            .to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::super::found;

    const NETWORK: &str = "
        subnet subnet-1 vpc-1 10.0.1.0/24
        nacl acl-1 vpc-1 default
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.25
        eni eni-b subnet-1 10.0.1.11 groups=sg-2";

    fn with(rules: &str) -> Vec<String> {
        found(&format!("{NETWORK}\n sg-1\n sg-2\n{rules}"))
    }

    #[test]
    fn administration_open_to_the_world() {
        assert_eq!(with("sg-1 in tcp 22 0.0.0.0/0"), vec!["error world_open sg-1"]);
        assert_eq!(with("sg-1 in all 0.0.0.0/0"), vec!["error world_open sg-1"]);
        assert_eq!(
            with("sg-1 in tcp 3000-4000 ::/0"),
            vec!["warning world_open sg-1"],
            "its public address is IPv4"
        );
        let dual = "eni eni-c subnet-1 2001:db8:1:1::10 groups=sg-1\n sg-1 in tcp 22 ::/0";
        assert_eq!(with(dual), vec!["error world_open sg-1"]);
        assert_eq!(with("sg-2 in tcp 22 0.0.0.0/0"), vec!["warning world_open sg-2"], "no public address");
        assert_eq!(with("list pl-1 0.0.0.0/0\n sg-1 in tcp 22 pl-1"), vec!["error world_open sg-1"]);
    }

    #[test]
    fn what_is_meant_to_be_open_is_no_finding() {
        for rule in [
            "sg-1 in tcp 443 0.0.0.0/0",
            "sg-1 in tcp 22 203.0.113.0/24",
            "sg-1 out tcp 22 0.0.0.0/0",
            "sg-1 in udp 53 0.0.0.0/0",
            "sg-1 in icmp 0.0.0.0/0",
            "sg-1 in tcp 22 sg-2",
        ] {
            assert_eq!(with(rule), Vec::<String>::new(), "{rule}");
        }
    }

    #[test]
    fn groups_that_nobody_carries() {
        assert_eq!(with("sg-3 in tcp 443 10.0.0.0/8"), vec!["info unused_security_group sg-3"]);
        assert_eq!(
            with("sg-3 in tcp 22 0.0.0.0/0"),
            vec!["info unused_security_group sg-3", "info world_open sg-3"]
        );
        assert_eq!(
            found("sg-3 in tcp 443 10.0.0.0/8"),
            Vec::<String>::new(),
            "no interfaces are known at all"
        );
    }
}
