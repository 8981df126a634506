//! Groups that open administration ports to everybody, by one rule or by several together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Finding, Severity, plural, some};
use crate::net::{Family, PortRange, Prefix, TCP, UDP, is_internet};
use crate::network::{Network, NetworkInterface, Remote, SecurityGroup, SecurityGroupRule, Traffic, View};
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

/// TCP ports of data stores and of cluster control, which are seldom meant for everybody.
const DATA: [(u16, &str); 12] = [
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5439, "Redshift"),
    (6379, "Redis"),
    (6443, "Kubernetes API"),
    (9042, "Cassandra"),
    (9200, "Elasticsearch"),
    (11211, "Memcached"),
    (27017, "MongoDB"),
];

/// What no packet of the internet comes from: private and reserved blocks of IPv4 (RFC 6890), and all of IPv6 but 2000::/3, out
/// of which all global unicast addresses are assigned.
const NOT_INTERNET: [([u8; 4], u8); 10] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([224, 0, 0, 0], 3),
];
const NOT_INTERNET_V6: [(u16, u8); 3] = [(0x0000, 3), (0x4000, 2), (0x8000, 1)];

pub(super) fn check(
    network: &Network,
    view: View,
    group: &SecurityGroup,
    carried: &[&NetworkInterface],
    findings: &mut Vec<Finding>,
) {
    let inbound: Vec<&SecurityGroupRule> = group.rules.iter().filter(|rule| !rule.egress).collect();
    for rule in inbound.iter().filter(|rule| blocks(network, rule, view).iter().any(Prefix::is_any)) {
        world_open(group, rule, carried, findings);
    }
    for family in [Family::V4, Family::V6] {
        // By the rules that open them together: the ports.
        let mut opened: BTreeMap<Vec<usize>, Vec<String>> = BTreeMap::new();
        let tcp = ADMINISTRATION.iter().map(|(port, name)| (TCP, *port, format!("{name} ({port})")));
        for (protocol, port, name) in tcp.chain([(UDP, 3389, "RDP over UDP (3389)".to_owned())]) {
            let holds = |rule: &SecurityGroupRule| match &rule.traffic {
                Traffic::All => true,
                Traffic::Ports { protocol: other, ports } => *other == protocol && ports.contains(port),
                _ => false,
            };
            let rules: Vec<(usize, Vec<Prefix>)> = (inbound.iter().enumerate())
                .filter(|(_, rule)| holds(rule))
                .map(|(at, rule)| {
                    let own = blocks(network, rule, view).iter().filter(|block| block.family() == family);
                    (at, own.copied().collect())
                })
                .filter(|(_, blocks): &(_, Vec<Prefix>)| !blocks.is_empty())
                .collect();
            // That was told of the rule itself.
            if rules.iter().any(|(_, blocks)| blocks.iter().any(Prefix::is_any)) {
                continue;
            }
            if let Some(together) = needed(family, rules) {
                opened.entry(together).or_default().push(name);
            }
        }
        for (rules, ports) in opened {
            let rules: Vec<&SecurityGroupRule> =
                rules.iter().filter_map(|at| inbound.get(*at)).copied().collect();
            let alike =
                rules.iter().all(|rule| Some(&rule.traffic) == rules.first().map(|rule| &rule.traffic));
            let open = rules.first().filter(|_| alike).and_then(|rule| administration(&rule.traffic));
            let open = open.unwrap_or_else(|| ports.join(", "));
            let texts: Vec<String> = rules.iter().map(|rule| rule_text(group, rule)).collect();
            let opens = if texts.len() == 1 { "opens" } else { "together open" };
            report(group, &texts.join(" and "), opens, &open, Some(family), carried, findings);
        }
    }
}

/// The blocks that a rule allows.
fn blocks<'n>(network: &'n Network, rule: &'n SecurityGroupRule, view: View) -> &'n [Prefix] {
    match &rule.remote {
        Remote::Cidr(cidr) => std::slice::from_ref(cidr),
        Remote::PrefixList(id) => {
            let list = network.prefix_lists.get(id, view);
            list.and_then(|list| list.value.entries.as_deref()).unwrap_or_default()
        }
        Remote::Group(_) | Remote::Unreadable(_) => &[],
    }
}

/// The rules whose blocks hold every address of the internet together; `None` where they do not. A rule that the others can
/// do without is not among them.
fn needed(family: Family, mut rules: Vec<(usize, Vec<Prefix>)>) -> Option<Vec<usize>> {
    let hold_all =
        |rules: &[(usize, Vec<Prefix>)]| hold_internet(family, rules.iter().flat_map(|(_, blocks)| blocks));
    if !hold_all(&rules) {
        return None;
    }
    for at in (0..rules.len()).rev() {
        let mut fewer = rules.clone();
        fewer.remove(at);
        if hold_all(&fewer) {
            rules = fewer;
        }
    }
    Some(rules.into_iter().map(|(at, _)| at).collect())
}

fn hold_internet<'b>(family: Family, blocks: impl Iterator<Item = &'b Prefix>) -> bool {
    let others: Vec<Prefix> = match family {
        Family::V4 => {
            NOT_INTERNET.iter().filter_map(|(addr, len)| Prefix::new(IpAddr::from(*addr), *len)).collect()
        }
        Family::V6 => (NOT_INTERNET_V6.iter())
            .filter_map(|(head, len)| Prefix::new(IpAddr::from([*head, 0, 0, 0, 0, 0, 0, 0]), *len))
            .collect(),
    };
    let mut ranges: Vec<(u128, u128)> = blocks.map(Prefix::range_bits).collect();
    ranges.extend(others.iter().map(Prefix::range_bits));
    ranges.sort_unstable();
    let end = Prefix::any(family).range_bits().1;
    let mut next = 0;
    for (first, last) in ranges {
        if first > next {
            return false;
        }
        match last.checked_add(1) {
            Some(behind) => next = next.max(behind),
            None => return true,
        }
    }
    next > end
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
    let Some(open) = administration(&rule.traffic) else {
        data_open(group, rule, findings);
        return;
    };
    let family = match &rule.remote {
        Remote::Cidr(cidr) => Some(cidr.family()),
        _ => None,
    };
    report(group, &rule_text(group, rule), "opens", &open, family, carried, findings);
}

/// A note on a rule that opens ports of data stores: some are meant to be open.
fn data_open(group: &SecurityGroup, rule: &SecurityGroupRule, findings: &mut Vec<Finding>) {
    let Traffic::Ports { protocol: TCP, ports } = &rule.traffic else { return };
    let open: Vec<String> = (DATA.iter())
        .filter(|(port, _)| ports.contains(*port))
        .map(|(port, name)| format!("{name} ({port})"))
        .collect();
    if open.is_empty() {
        return;
    }
    findings.push(Finding {
        severity: Severity::Info,
        check: "world_open",
        object: group.id.clone(),
        finding: format!("{} opens {} to everybody", rule_text(group, rule), open.join(", ")),
        advice: "allow only the addresses that use it".to_owned(),
    });
}

/// `what` opens `open` of the group to everybody of a family, or of any.
fn report(
    group: &SecurityGroup,
    what: &str,
    opens: &str,
    open: &str,
    family: Option<Family>,
    carried: &[&NetworkInterface],
    findings: &mut Vec<Finding>,
) {
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
            let carriers = plural(carried.len(), "interface");
            // A form without public addresses says nothing about them.
            let known = carried.iter().all(|interface| interface.public_known || family == Some(Family::V6));
            let whom = match known {
                true => format!("{carriers} without a public address"),
                false => format!("{carriers} whose public addresses are not in the configuration"),
            };
            (Severity::Warning, whom)
        }
        (true, true) => (Severity::Info, "no interface carries it".to_owned()),
    };
    findings.push(Finding {
        severity,
        check: "world_open",
        object: group.id.clone(),
        finding: format!("{what} {opens} {open} to everybody ({whom})"),
        advice: "allow only the addresses that administer, or use Session Manager or EC2 Instance Connect"
            .to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::super::cases::found;

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
    fn parts_that_are_the_internet_together() {
        let error = vec!["error world_open sg-1".to_owned()];
        let rules = |blocks: &[&str]| -> String {
            blocks.iter().map(|block| format!("sg-1 in tcp 22 {block}\n")).collect()
        };
        assert_eq!(with(&rules(&["0.0.0.0/1", "128.0.0.0/1"])), error);
        assert_eq!(
            with(&rules(&["192.0.0.0/2", "0.0.0.0/2", "10.0.0.0/8", "64.0.0.0/2", "128.0.0.0/2"])),
            error
        );
        assert_eq!(
            with(&rules(&["::/1", "8000::/1"])),
            vec!["warning world_open sg-1"],
            "its public address is IPv4"
        );
        assert_eq!(with(&rules(&["2000::/3"])), vec!["warning world_open sg-1"], "all that is assigned");
        assert_eq!(with("list pl-1 0.0.0.0/1 128.0.0.0/1\nsg-1 in tcp 22 pl-1"), error);
        // Everything but 10.0.0.0/8, in halves of what is left.
        let but_private = [
            "0.0.0.0/5",
            "8.0.0.0/7",
            "11.0.0.0/8",
            "12.0.0.0/6",
            "16.0.0.0/4",
            "32.0.0.0/3",
            "64.0.0.0/2",
            "128.0.0.0/1",
        ];
        assert_eq!(with(&rules(&but_private)), error);
        assert_eq!(with(&rules(&but_private[1..])), Vec::<String>::new(), "1.1.1.1 is left out");
        assert_eq!(with(&rules(&["0.0.0.0/1"])), Vec::<String>::new());
        // Halves of different ports have one port in common.
        assert_eq!(with("sg-1 in tcp 22 0.0.0.0/1\nsg-1 in tcp 23 128.0.0.0/1"), Vec::<String>::new());
        assert_eq!(with("sg-1 in tcp 20-22 0.0.0.0/1\nsg-1 in all 128.0.0.0/1"), error);
        // Beside a rule for everybody the halves are not told again.
        assert_eq!(with(&rules(&["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"])), error);
    }

    #[test]
    fn the_rules_that_it_takes_are_named() {
        let text = format!(
            "{NETWORK}\n sg-1\n sg-2\nsg-2 in tcp 22 0.0.0.0/1\nsg-2 in tcp 22 10.0.0.0/8\nsg-2 in tcp 22 128.0.0.0/1"
        );
        let network = crate::rules::fixture::Fixture::new(&text).network();
        let found = super::super::check(&network, crate::network::View { at: 0, after: false });
        let found: Vec<&str> = found.iter().map(|found| found.finding.as_str()).collect();
        assert_eq!(
            found,
            [
                "group sg-2 inbound rule allow tcp 22 from 0.0.0.0/1 and group sg-2 inbound rule allow tcp 22 from 128.0.0.0/1 together \
              open SSH (22) to everybody (1 interface without a public address)"
            ]
        );
    }
}
