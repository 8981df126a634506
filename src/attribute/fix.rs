//! The smallest changes that let packets pass (spec 8.9): entries of network ACLs and rules of security groups, in words, as
//! an `aws` command and as a Terraform resource.

use crate::net::{Prefix, TCP, UDP};
use crate::network::{NACL_UNPLACED, NaclEntry, Traffic};
use crate::rules::{
    CompiledAcl, Decision, Direction, InterfaceRules, Packet, check_acl, free_number, taken_numbers,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One change. A suggestion about reachability, not a recommendation to open access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// As an `aws` command; empty where the words are all there is.
    pub command: String,
    /// As a Terraform resource; empty where the words are all there is.
    pub terraform: String,
}

/// Quota of entries per direction (documented default).
const ENTRY_QUOTA: usize = 20;

/// What an entry lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    acl: String,
    direction: Direction,
    remote: IpAddr,
    protocol: u8,
    ports: Option<(u16, u16)>,
    icmp: (i32, i32),
}

/// The entries that the fixes of one report add: the next has another number, and what one does is not done twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddedEntries(Vec<(Wanted, u32)>);

impl AddedEntries {
    fn numbers<'a>(&'a self, acl: &'a str, direction: Direction) -> impl Iterator<Item = u32> + 'a {
        let same = self.0.iter().filter(move |(one, _)| one.acl == acl && one.direction == direction);
        same.map(|(_, number)| *number)
    }
}

impl Fix {
    /// Both changes, of which one alone is not enough.
    pub(crate) fn and(self, other: Fix) -> Fix {
        let join = |one: String, other: String, with: &str| match (one.is_empty(), other.is_empty()) {
            (false, false) => format!("{one}{with}{other}"),
            _ => one + &other,
        };
        Fix {
            text: join(self.text, other.text, "; and "),
            command: join(self.command, other.command, "\n"),
            terraform: join(self.terraform, other.terraform, "\n\n"),
        }
    }

    fn in_words(text: String) -> Self {
        Fix { text, command: String::new(), terraform: String::new() }
    }
}

/// A Terraform resource, its arguments aligned as `terraform fmt` does; the name is made of whatever is in `name`.
pub(crate) fn resource(kind: &str, name: &str, arguments: &[(&str, String)]) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let width = arguments.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        arguments.iter().map(|(key, value)| format!("  {key:width$} = {value}\n")).collect();
    format!("resource \"{kind}\" \"{name}\" {{\n{}}}", lines.concat())
}

/// A text as Terraform writes it. Identifiers and blocks hold nothing that would have to be escaped.
pub(crate) fn quoted(value: impl std::fmt::Display) -> String {
    format!("\"{value}\"")
}

fn fix_ports(packet: &Packet, is_response: bool) -> Option<(u16, u16)> {
    match (packet.protocol, packet.port) {
        // Clients of old protocols use ports below 1024.
        (TCP | UDP, port) if is_response => Some((port.map_or(1024, |port| port.min(1024)), 65535)),
        (TCP | UDP, Some(port)) => Some((port, port)),
        _ => None,
    }
}

/// ICMP type and code, -1 for all: a log does not show them, and who asks by hand may say them.
fn fix_icmp(packet: &Packet) -> (i32, i32) {
    let Some((kind, code)) = packet.icmp.filter(|_| packet.is_icmp()) else { return (-1, -1) };
    (i32::from(kind), code.map_or(-1, i32::from))
}

/// The number of the first entry that denies the packet, or any of these ports, or may: what is added stands in front of it.
fn first_in_the_way(list: &[NaclEntry], packet: &Packet, ports: Option<(u16, u16)>) -> Option<u32> {
    let mut asked: BTreeSet<Option<u16>> = BTreeSet::new();
    if let Some((from, to)) = ports {
        // Between the borders of entries the decision is the same.
        let of_protocol = list.iter().filter_map(|entry| match &entry.traffic {
            Traffic::Ports { protocol, ports } if *protocol == packet.protocol => Some(ports),
            _ => None,
        });
        let borders = of_protocol.flat_map(|ports| [Some(ports.first()), ports.last().checked_add(1)]);
        let borders = borders.flatten().filter(|port| (from..=to).contains(port));
        asked.extend(borders.chain([from]).map(Some));
    }
    let deciding = |port: Option<u16>| {
        let check = check_acl(list, &Packet { port, ..*packet });
        let open = port == packet.port || check.decision != Decision::Allow;
        let deciding: Vec<&NaclEntry> = check.deciding.iter().filter_map(|at| list.get(*at)).collect();
        if open { deciding } else { Vec::new() }
    };
    asked.insert(packet.port);
    let deciding = asked.into_iter().flat_map(deciding);
    deciding.filter(|entry| !entry.is_default()).map(|entry| entry.number).min()
}

/// The entry to add to the list of the packet's direction, in front of the entry that denies it. `added` are those of the
/// same report.
pub(crate) fn list_fix(
    compiled: &CompiledAcl,
    packet: &Packet,
    denied_by: u32,
    is_response: bool,
    added: &mut AddedEntries,
) -> Option<Fix> {
    let (acl, direction) = (compiled.acl.id.as_str(), packet.direction);
    let list = compiled.list(direction, packet.family());
    list.iter().find(|entry| entry.number == denied_by)?;
    let (ports, icmp) = (fix_ports(packet, is_response), fix_icmp(packet));
    let before = first_in_the_way(list, packet, ports);
    if before == Some(NACL_UNPLACED) {
        return Some(Fix::in_words(format!(
            "read {acl} again: where one of its entries stands could not be read"
        )));
    }
    let wanted = Wanted {
        acl: acl.to_owned(),
        direction,
        remote: packet.remote,
        protocol: packet.protocol,
        ports,
        icmp,
    };
    let word = direction.rule_word();
    let known = added.0.iter().find(|(one, number)| *one == wanted && before.is_none_or(|b| *number < b));
    if let Some((_, number)) = known {
        return Some(Fix::in_words(format!(
            "{word} entry {number} of {acl}, which another fix here adds, lets it pass too"
        )));
    }
    let mut taken = taken_numbers(&compiled.acl, direction.is_egress());
    taken.extend(added.numbers(acl, direction));
    let Some(number) = free_number(&taken, before) else {
        let text = match before {
            Some(before) => format!("narrow rule {before} of {acl}: no smaller number is free"),
            None => format!("merge entries of {acl}: every number is taken"),
        };
        return Some(Fix::in_words(text));
    };
    let host = Prefix::host(packet.remote);
    let (option, block) = match packet.remote {
        IpAddr::V4(_) => ("--cidr-block", "cidr_block"),
        IpAddr::V6(_) => ("--ipv6-cidr-block", "ipv6_cidr_block"),
    };
    let flag = if direction.is_egress() { "--egress" } else { "--ingress" };
    let mut arguments = vec![
        ("network_acl_id", quoted(acl)),
        ("egress", direction.is_egress().to_string()),
        ("rule_number", number.to_string()),
        ("rule_action", quoted("allow")),
        ("protocol", quoted(packet.protocol)),
        (block, quoted(host)),
    ];
    let narrowed = match (ports, packet.is_icmp()) {
        (Some((from, to)), _) => {
            arguments.extend([("from_port", from.to_string()), ("to_port", to.to_string())]);
            format!(" --port-range From={from},To={to}")
        }
        (None, true) => {
            let (kind, code) = icmp;
            arguments.extend([("icmp_type", kind.to_string()), ("icmp_code", code.to_string())]);
            format!(" --icmp-type-code Type={kind},Code={code}")
        }
        (None, false) => String::new(),
    };
    let command = format!(
        "aws ec2 create-network-acl-entry --network-acl-id {acl} {flag} --rule-number {number} --protocol {}{narrowed} \
         {option} {host} --rule-action allow",
        packet.protocol
    );
    let terraform = resource("aws_network_acl_rule", &format!("{acl} {word} {number}"), &arguments);
    let entries = list.iter().filter(|entry| !entry.is_default()).count();
    let quota = if entries >= ENTRY_QUOTA { "; the list is at its quota of 20 entries" } else { "" };
    let other = direction.opposite().rule_word();
    let text = format!(
        "add {word} entry {number} to {acl} that allows it, then check the {other} list for the responses{quota}"
    );
    added.0.push((wanted, number));
    Some(Fix { text, command, terraform })
}

/// The exclusion that takes a subnet out of Block Public Access; what begins inside needs no more than being let out.
pub(super) fn exclusion_fix(subnet: &str, starts_inside: bool) -> Fix {
    let mode = if starts_inside { "allow-egress" } else { "allow-bidirectional" };
    Fix {
        text: format!("exclude {subnet}, or its VPC, from Block Public Access ({mode})"),
        command: format!(
            "aws ec2 create-vpc-block-public-access-exclusion --subnet-id {subnet} \
             --internet-gateway-exclusion-mode {mode}"
        ),
        terraform: resource(
            "aws_vpc_block_public_access_exclusion",
            subnet,
            &[("subnet_id", quoted(subnet)), ("internet_gateway_exclusion_mode", quoted(mode))],
        ),
    }
}

/// The rule to add to a group of the interface.
pub(crate) fn group_fix(rules: &InterfaceRules, packet: &Packet) -> Option<Fix> {
    let group = rules.interface.group_ids.first()?;
    let host = Prefix::host(packet.remote);
    let ports = fix_ports(packet, false);
    let protocol = match packet.protocol {
        1 => "icmp".to_string(),
        6 => "tcp".to_string(),
        17 => "udp".to_string(),
        58 => "icmpv6".to_string(),
        number => number.to_string(),
    };
    // For ICMP the two hold type and code.
    let (from, to) = ports.map_or_else(|| fix_icmp(packet), |(from, to)| (i32::from(from), i32::from(to)));
    let (ranges, member, block) = match packet.remote {
        IpAddr::V4(_) => ("IpRanges", "CidrIp", "cidr_ipv4"),
        IpAddr::V6(_) => ("Ipv6Ranges", "CidrIpv6", "cidr_ipv6"),
    };
    let side = if packet.direction.is_egress() { "egress" } else { "ingress" };
    // Shells take brackets and braces for patterns.
    let command = format!(
        "aws ec2 authorize-security-group-{side} --group-id {group} --ip-permissions \
         'IpProtocol={protocol},FromPort={from},ToPort={to},{ranges}=[{{{member}={host}}}]'"
    );
    let word = packet.direction.rule_word();
    let terraform = resource(
        &format!("aws_vpc_security_group_{side}_rule"),
        &format!("{group} {word} {protocol} {from} {}", packet.remote),
        &[
            ("security_group_id", quoted(group)),
            ("ip_protocol", quoted(&protocol)),
            ("from_port", from.to_string()),
            ("to_port", to.to_string()),
            (block, quoted(host)),
        ],
    );
    let text = format!("add an {word} rule to {group}; responses need no rule of their own");
    Some(Fix { text, command, terraform })
}
