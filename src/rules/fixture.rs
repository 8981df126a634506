//! A network in a few lines of text, for tests: one object or rule a line.
//!
//! ```text
//! vpc vpc-1 10.0.0.0/16
//! subnet subnet-1 vpc-1 10.0.1.0/24
//! eni eni-a subnet-1 10.0.1.10 groups=sg-1,sg-2 [type=nat_gateway] [public=203.0.113.25[@10.0.1.10]|unknown] [description=ELB x]
//! nacl acl-1 vpc-1 [default] [subnet-1 subnet-2]
//! acl-1 in 100 allow tcp 443 0.0.0.0/0
//! sg-1 in tcp 22 203.0.113.0/24        (or a group, or a prefix list, or account/group)
//! sg-1                                  (a group without rules)
//! list pl-1 10.0.0.0/8 192.168.0.0/16   (or `list pl-1 unknown`)
//! route subnet-1 10.9.0.0/16 tgw-1      (or to a list: route subnet-1 pl-1 vpce-1) [propagated]
//! edge igw-1 vpc-1 10.0.1.0/24 eni-fw [blackhole]  (a route of the table associated with the gateway)
//! zone subnet-1 us-east-1a
//! attachment tgw-attach-1 tgw-1 vpc-1 subnet-1 subnet-2 [tgw-rtb-1]
//! transit tgw-rtb-1 10.8.0.0/16 tgw-attach-2     (or blackhole; `transit tgw-rtb-1 part`: it may have more)
//! peering pcx-1 vpc-1 vpc-2
//! bpa subnet-1 block-bidirectional
//! instance i-1 m8g.large
//! ```

use crate::net::{PortRange, Prefix, protocol_number};
use crate::network::*;
use std::collections::BTreeMap;

/// Objects under construction; what a test wants to change by hand it changes here.
#[derive(Default)]
pub(crate) struct Fixture {
    pub vpcs: BTreeMap<String, Vpc>,
    pub subnets: BTreeMap<String, Subnet>,
    pub interfaces: BTreeMap<String, NetworkInterface>,
    pub acls: BTreeMap<String, NetworkAcl>,
    pub groups: BTreeMap<String, SecurityGroup>,
    pub lists: BTreeMap<String, PrefixList>,
    pub tables: BTreeMap<String, RouteTable>,
    pub peerings: BTreeMap<String, Peering>,
    pub attachments: BTreeMap<String, TransitGatewayAttachment>,
    pub transit_tables: BTreeMap<String, TransitRouteTable>,
    pub instances: BTreeMap<String, Instance>,
}

/// `all`, `tcp`, `tcp 22`, `udp 1024-2048`, `icmp`, `icmp 8`, `icmp 3/4`, `50`.
pub(crate) fn traffic(protocol: &str, detail: Option<&str>) -> Traffic {
    let number = if protocol == "all" { None } else { Some(protocol_number(protocol).unwrap()) };
    match (number, detail) {
        (Some(6 | 17), Some(ports)) => Traffic::new(number, ports.parse().unwrap(), (None, None)),
        (Some(1 | 58), Some(detail)) => {
            let (kind, code) =
                detail.split_once('/').map_or((detail, None), |(kind, code)| (kind, Some(code)));
            let icmp = (Some(kind.parse().unwrap()), code.map(|code| code.parse().unwrap()));
            Traffic::new(number, PortRange::ALL, icmp)
        }
        _ => Traffic::new(number, PortRange::ALL, (None, None)),
    }
}

fn remote(text: &str) -> Remote {
    if text.starts_with("pl-") {
        Remote::PrefixList(text.to_string())
    } else if let Some(at) = text.find("sg-") {
        let account =
            text.get(..at.saturating_sub(1)).filter(|account| !account.is_empty()).map(str::to_string);
        Remote::Group(GroupReference {
            group_id: text[at..].to_string(),
            account,
            ..GroupReference::default()
        })
    } else {
        Remote::Cidr(text.parse().unwrap())
    }
}

impl Fixture {
    pub(crate) fn new(text: &str) -> Self {
        let mut fixture = Fixture::default();
        for line in
            text.lines().map(|line| line.split('#').next().unwrap().trim()).filter(|line| !line.is_empty())
        {
            fixture.line(line);
        }
        fixture
    }

    pub(crate) fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let texts = |from: usize| words[from..].iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let prefixes =
            |from: usize| words[from..].iter().map(|word| word.parse().unwrap()).collect::<Vec<Prefix>>();
        match words[0] {
            "vpc" => {
                let vpc = Vpc { id: words[1].into(), cidrs: prefixes(2), ..Vpc::default() };
                self.vpcs.insert(words[1].into(), vpc);
            }
            "subnet" => {
                let subnet = Subnet {
                    id: words[1].into(),
                    vpc_id: Some(words[2].into()),
                    cidrs: prefixes(3),
                    ..Subnet::default()
                };
                self.subnets.insert(words[1].into(), subnet);
            }
            "eni" => self.interface(&words, line),
            "nacl" => {
                let is_default = words.contains(&"default");
                let acl = NetworkAcl {
                    id: words[1].into(),
                    vpc_id: Some(words[2].into()),
                    is_default,
                    subnet_ids: texts(3).into_iter().filter(|word| word != "default").collect(),
                    ..NetworkAcl::default()
                };
                self.acls.insert(words[1].into(), acl);
            }
            "list" => {
                let entries = (words[2] != "unknown").then(|| prefixes(2));
                let list = PrefixList { id: words[1].into(), entries, ..PrefixList::default() };
                self.lists.insert(words[1].into(), list);
            }
            "route" => {
                let id = format!("rtb-{}", words[1]);
                let table = self.tables.entry(id.clone()).or_insert_with(|| RouteTable {
                    id,
                    subnet_ids: vec![words[1].into()],
                    ..RouteTable::default()
                });
                let destination = match words[2].starts_with("pl-") {
                    true => Destination::PrefixList(words[2].into()),
                    false => Destination::Cidr(words[2].parse().unwrap()),
                };
                table.routes.push(Route {
                    destination,
                    target: words[3].into(),
                    state: Some("active".into()),
                    propagated: words.contains(&"propagated"),
                });
            }
            "edge" => {
                let id = format!("rtb-{}", words[1]);
                let table = self.tables.entry(id.clone()).or_insert_with(|| RouteTable {
                    id,
                    vpc_id: Some(words[2].into()),
                    gateway_ids: vec![words[1].into()],
                    ..RouteTable::default()
                });
                let destination = Destination::Cidr(words[3].parse().unwrap());
                let state = words.get(5).map(|word| word.to_string());
                table.routes.push(Route { destination, target: words[4].into(), state, propagated: false });
            }
            "peering" => {
                let end = |id: &str| PeeringEnd { vpc_id: Some(id.into()), ..PeeringEnd::default() };
                let peering = Peering {
                    id: words[1].into(),
                    status: Some("active".into()),
                    requester: end(words[2]),
                    accepter: end(words[3]),
                };
                self.peerings.insert(words[1].into(), peering);
            }
            "zone" => {
                self.subnets.get_mut(words[1]).unwrap().availability_zone = Some(words[2].into());
            }
            "attachment" => {
                let attachment = TransitGatewayAttachment {
                    id: words[1].into(),
                    gateway_id: Some(words[2].into()),
                    vpc_id: Some(words[3].into()),
                    subnet_ids: texts(4).into_iter().filter(|word| word.starts_with("subnet-")).collect(),
                    route_table_id: texts(4).into_iter().find(|word| word.starts_with("tgw-rtb-")),
                    ..TransitGatewayAttachment::default()
                };
                self.attachments.insert(words[1].into(), attachment);
            }
            "transit" => {
                let table = self.transit_tables.entry(words[1].into()).or_insert_with(|| TransitRouteTable {
                    id: words[1].into(),
                    routes: Vec::new(),
                    whole: true,
                });
                match words[2] {
                    "part" => table.whole = false,
                    block => table.routes.push(TransitRoute {
                        destination: Destination::Cidr(block.parse().unwrap()),
                        attachment_ids: texts(3)
                            .into_iter()
                            .filter(|word| word.starts_with("tgw-"))
                            .collect(),
                        state: None,
                        propagated: words.contains(&"propagated"),
                    }),
                }
            }
            "bpa" => self.subnets.get_mut(words[1]).unwrap().bpa_mode = Some(words[2].into()),
            "instance" => {
                let instance = Instance {
                    id: words[1].into(),
                    instance_type: Some(words[2].into()),
                    ..Instance::default()
                };
                self.instances.insert(words[1].into(), instance);
            }
            id if id.starts_with("acl-") => {
                let detail = (words.len() == 7).then(|| words[5]);
                let cidr: Prefix = words[words.len() - 1].parse().unwrap();
                let entry = NaclEntry {
                    number: words[2].parse().unwrap(),
                    egress: words[1] == "out",
                    action: Some(if words[3] == "allow" { RuleAction::Allow } else { RuleAction::Deny }),
                    traffic: traffic(words[4], detail),
                    cidr: Some(cidr),
                };
                self.acls.get_mut(id).unwrap().entries.push(entry);
            }
            id if id.starts_with("sg-") => {
                let group = self.groups.entry(id.into()).or_default();
                group.id = id.into();
                if words.len() == 1 {
                    return;
                }
                let detail = (words.len() == 5).then(|| words[3]);
                group.rules.push(SecurityGroupRule {
                    rule_id: None,
                    egress: words[1] == "out",
                    traffic: traffic(words[2], detail),
                    remote: remote(words[words.len() - 1]),
                    description: None,
                });
            }
            other => panic!("no such object in a fixture: {other}"),
        }
    }

    fn interface(&mut self, words: &[&str], line: &str) {
        let mut interface = NetworkInterface {
            id: words[1].into(),
            subnet_id: Some(words[2].into()),
            vpc_id: self.subnets.get(words[2]).and_then(|subnet| subnet.vpc_id.clone()),
            groups_known: true,
            public_known: true,
            source_dest_check: Some(true),
            interface_type: Some("interface".into()),
            ..NetworkInterface::default()
        };
        if let Some((_, description)) = line.split_once("description=") {
            interface.description = Some(description.into());
        }
        let options = line.split(" description=").next().unwrap().split_whitespace().skip(3);
        for word in options {
            match word.split_once('=') {
                None => interface.addresses.push(word.parse().unwrap()),
                Some(("groups", ids)) => {
                    interface.group_ids =
                        ids.split(',').filter(|id| !id.is_empty()).map(str::to_string).collect();
                }
                Some(("type", kind)) => interface.interface_type = Some(kind.into()),
                Some(("public", "unknown")) => interface.public_known = false,
                Some(("public", addr)) => {
                    let (addr, private) = addr.split_once('@').map_or((addr, None), |(a, p)| (a, Some(p)));
                    let addr = addr.parse().unwrap();
                    interface.public_addresses.push(addr);
                    interface.public_mappings.extend(private.map(|private| (addr, private.parse().unwrap())));
                }
                Some(("check", "off")) => interface.source_dest_check = Some(false),
                Some(("instance", id)) => interface.instance_id = Some(id.into()),
                Some(("prefix", prefix)) => interface.prefixes.push(prefix.parse().unwrap()),
                Some((key, _)) => panic!("no such option of an eni: {key}"),
            }
        }
        interface.primary = interface.addresses.iter().find(|addr| addr.is_ipv4()).copied();
        self.interfaces.insert(words[1].into(), interface);
    }

    /// The network, every object in force always.
    pub(crate) fn network(self) -> Network {
        fn fill<T>(kind: &mut Kind<T>, objects: BTreeMap<String, T>) {
            for (id, object) in objects {
                kind.put(id, Timeline::always(object));
            }
        }
        let mut network = Network::default();
        fill(&mut network.vpcs, self.vpcs);
        fill(&mut network.subnets, self.subnets);
        fill(&mut network.interfaces, self.interfaces);
        fill(&mut network.acls, self.acls);
        fill(&mut network.groups, self.groups);
        fill(&mut network.prefix_lists, self.lists);
        fill(&mut network.route_tables, self.tables);
        fill(&mut network.peerings, self.peerings);
        fill(&mut network.transit_attachments, self.attachments);
        fill(&mut network.transit_tables, self.transit_tables);
        fill(&mut network.instances, self.instances);
        network.finish();
        network
    }
}

/// `in tcp 443 from 198.51.100.7`, `out udp 53 to 10.0.0.9`, `in icmp from …`, `in icmp 8 from …`, `in tcp ? from …`.
pub(crate) fn packet(text: &str) -> super::Packet {
    let words: Vec<&str> = text.split_whitespace().collect();
    let protocol = protocol_number(words[1]).unwrap();
    let detail = (words.len() == 5).then(|| words[2]);
    let is_icmp = protocol == 1 || protocol == 58;
    super::Packet {
        direction: if words[0] == "in" { super::Direction::Ingress } else { super::Direction::Egress },
        remote: words[words.len() - 1].parse().unwrap(),
        protocol,
        port: if is_icmp { None } else { detail.and_then(|port| port.parse().ok()) },
        icmp: if is_icmp { detail.map(|kind| (kind.parse().unwrap(), None)) } else { None },
    }
}
