//! The smallest changes that let packets pass (spec 8.9): entries of network ACLs and rules of security groups, in words, as
//! an `aws` command and as a Terraform resource.

use super::room::{Room, entry_options, make_room};
use super::terraform::{AllowEntry, GroupRule, quoted, resource, within};
use crate::net::{Prefix, TCP, UDP};
use crate::network::{
    BpaExclusion, GroupReference, NACL_UNPLACED, NaclEntry, Network, Remote, Traffic, View,
};
use crate::rules::{
    CompiledAcl, Decision, Direction, InterfaceRules, Packet, check_acl, free_number, taken_numbers,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// One change. A suggestion about reachability, not a recommendation to open access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// As an `aws` command; empty where the words are all there is.
    pub command: String,
    /// As Terraform; empty where the words are all there is.
    pub terraform: String,
    /// Whether the words are all there is, and somebody has to decide: then nothing is mended by what is printed. Words that name
    /// another fix of the same report, which does it, are none.
    pub is_advice: bool,
}

/// Quota of entries per direction (documented default).
const ENTRY_QUOTA: usize = 20;
/// The most that AWS raises it to (spec 3.2).
const ENTRY_MAXIMUM: usize = 40;
/// Quota of rules per direction of a group (documented default, spec 2.1).
const RULE_QUOTA: usize = 60;

/// Whether a list holds as many entries as its quota allows, so that another has to replace one.
pub(super) fn is_full(list: &[NaclEntry]) -> bool {
    list.iter().filter(|entry| !entry.is_default()).count() >= ENTRY_QUOTA
}

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
pub(crate) struct AddedEntries {
    allowed: Vec<(Wanted, u32)>,
    /// Lists whose entries get other numbers, and the number that is taken by that.
    renumbered: Vec<(String, Direction, u32)>,
}

impl AddedEntries {
    fn numbers<'a>(&'a self, acl: &'a str, direction: Direction) -> impl Iterator<Item = u32> + 'a {
        let same = self.allowed.iter().filter(move |(one, _)| one.acl == acl && one.direction == direction);
        let moved = self.renumbered.iter().filter(move |(one, way, _)| one == acl && *way == direction);
        same.map(|(_, number)| *number).chain(moved.map(|(.., number)| *number))
    }

    fn is_renumbered(&self, acl: &str, direction: Direction) -> bool {
        self.renumbered.iter().any(|(one, way, _)| one == acl && *way == direction)
    }
}

impl Fix {
    /// A change that the command makes.
    pub(crate) fn new(text: String, command: String, terraform: String) -> Self {
        Fix { text, command, terraform, is_advice: false }
    }

    /// What somebody has to decide, and no command does.
    pub(crate) fn advice(text: String) -> Self {
        Fix { text, command: String::new(), terraform: String::new(), is_advice: true }
    }

    /// What another fix of the same report does already.
    pub(crate) fn done(text: String) -> Self {
        Fix::new(text, String::new(), String::new())
    }

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
            is_advice: self.is_advice || other.is_advice,
        }
    }
}

fn fix_ports(packet: &Packet, is_response: bool) -> Option<(u16, u16)> {
    match (packet.protocol, packet.port) {
        // Clients of old protocols use ports below 1024.
        (TCP | UDP, port) if is_response => Some((port.map_or(1024, |port| port.min(1024)), 65535)),
        // EC2 wants ports for both protocols.
        (TCP | UDP, port) => Some(port.map_or((0, 65535), |port| (port, port))),
        _ => None,
    }
}

/// What is said of a fix for a packet that shows no port.
fn for_all_ports(packet: &Packet) -> &'static str {
    if packet.has_ports() && packet.port.is_none() { " for all ports, since none is known" } else { "" }
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
    network: &Network,
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
        return Some(Fix::advice(format!(
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
    let is_known = |known: &Wanted, number: u32| *known == wanted && before.is_none_or(|b| number < b);
    if let Some((_, number)) = added.allowed.iter().find(|(known, number)| is_known(known, *number)) {
        return Some(Fix::done(format!(
            "{word} entry {number} of {acl}, which another fix here adds, lets it pass too"
        )));
    }
    if list.iter().filter(|entry| !entry.is_default()).count() >= ENTRY_MAXIMUM {
        return Some(Fix::advice(format!(
            "take {word} entries of {acl} away or merge them: it has {ENTRY_MAXIMUM}, the most that AWS allows"
        )));
    }
    let mut taken = taken_numbers(&compiled.acl, direction.is_egress());
    taken.extend(added.numbers(acl, direction));
    let (number, room) = match (free_number(&taken, before), before) {
        (Some(number), _) => (number, None),
        (None, None) => return Some(Fix::advice(format!("merge entries of {acl}: every number is taken"))),
        (None, Some(before)) => {
            // Entries are given other numbers once: a second time would start from another list.
            let room = (!added.is_renumbered(acl, direction))
                .then(|| make_room(&compiled.acl, direction, before, &taken))
                .flatten();
            let Some(room) = room else {
                let text = format!("narrow rule {before} of {acl}: no smaller number is free");
                return Some(Fix::advice(text));
            };
            (before, Some(room))
        }
    };
    let host = Prefix::host(packet.remote);
    let flag = if direction.is_egress() { "--egress" } else { "--ingress" };
    let verb = if room.is_some() { "replace" } else { "create" };
    let options = entry_options(packet.protocol, ports, packet.is_icmp().then_some(icmp), &host, "allow");
    let mut command = format!(
        "aws ec2 {verb}-network-acl-entry --network-acl-id {acl} {flag} --rule-number {number} {options}"
    );
    let entry = AllowEntry {
        acl,
        egress: direction.is_egress(),
        number,
        protocol: packet.protocol,
        ports,
        icmp,
        block: host,
    };
    let mut terraform = entry.text(network.inline_in(acl));
    let quota = if is_full(list) { "; the list is at its quota of 20 entries" } else { "" };
    // What is itself the response has no other.
    let then = match is_response {
        true => String::new(),
        false => format!(", then check the {} list for the responses", direction.opposite().rule_word()),
    };
    let wide = if is_response { "" } else { for_all_ports(packet) };
    let mut text = format!("add {word} entry {number} to {acl} that allows it{wide}{then}{quota}");
    if let Some(Room { commands, moved, taken }) = room {
        text = format!("{moved} of {acl}, since no smaller number is free, and {text}");
        command = commands.into_iter().chain([command]).collect::<Vec<_>>().join("\n");
        terraform = format!("# first {moved}\n{terraform}");
        added.renumbered.push((acl.to_owned(), direction, taken));
    }
    added.allowed.push((wanted, number));
    Some(Fix::new(text, command, terraform))
}

/// The exclusion in force that covers a subnet, its own before that of its VPC (spec 8.9).
pub(crate) fn exclusion_of(
    network: &Network,
    view: View,
    subnet: Option<&str>,
    vpc: Option<&str>,
) -> Option<Arc<BpaExclusion>> {
    let of = |id: Option<&str>| {
        let mut all = network.bpa_exclusions.all(view).map(|found| found.value);
        all.find(|one| id.is_some() && one.resource_id.as_deref() == id && one.is_in_force()).cloned()
    };
    of(subnet).or_else(|| of(vpc))
}

/// The exclusion that takes a subnet out of Block Public Access; one that it has is changed, since it can have no other. What
/// begins inside needs no more than being let out, which is an exclusion from `block-bidirectional` only.
pub(crate) fn exclusion_fix(
    network: &Network,
    view: View,
    subnet: &str,
    bpa_mode: Option<&str>,
    begins_inside: bool,
) -> Fix {
    let suffices = begins_inside && bpa_mode != Some("block-ingress");
    let mode = if suffices { "allow-egress" } else { "allow-bidirectional" };
    if let Some(own) = exclusion_of(network, view, Some(subnet), None) {
        let id = &own.id;
        return Fix::new(
            format!("change the exclusion {id} of {subnet} from Block Public Access to {mode}"),
            format!(
                "aws ec2 modify-vpc-block-public-access-exclusion --exclusion-id {id} \
                 --internet-gateway-exclusion-mode {mode}"
            ),
            // Its resource is there already.
            format!("internet_gateway_exclusion_mode = {}", quoted(mode)),
        );
    }
    Fix::new(
        format!("exclude {subnet}, or its VPC, from Block Public Access ({mode})"),
        format!(
            "aws ec2 create-vpc-block-public-access-exclusion --subnet-id {subnet} \
             --internet-gateway-exclusion-mode {mode}"
        ),
        resource(
            "aws_vpc_block_public_access_exclusion",
            subnet,
            &[("subnet_id", quoted(subnet)), ("internet_gateway_exclusion_mode", quoted(mode))],
        ),
    )
}

/// What lets an appliance's interface take packets for others. Its Terraform resource is there already, so that only the argument is
/// shown.
pub(crate) fn forwarding_fix(interface: &str) -> Fix {
    Fix::new(
        format!("let {interface} take packets for others, as an appliance has to"),
        format!(
            "aws ec2 modify-network-interface-attribute --network-interface-id {interface} --no-source-dest-check"
        ),
        "source_dest_check = false".to_owned(),
    )
}

/// The rule to add to a group of the interface, for the packet's remote address or, where what connects had better be named by
/// it, for a group (`peer`).
pub(crate) fn group_fix(
    network: &Network,
    rules: &InterfaceRules,
    packet: &Packet,
    peer: Option<&str>,
) -> Option<Fix> {
    let group = rules.interface.group_ids.first()?;
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
    let host = Prefix::host(packet.remote);
    let remote = match peer {
        Some(peer) => {
            Remote::Group(GroupReference { group_id: peer.to_owned(), ..GroupReference::default() })
        }
        None => Remote::Cidr(host),
    };
    let whom = match (peer, packet.remote) {
        (Some(peer), _) => format!("UserIdGroupPairs=[{{GroupId={peer}}}]"),
        (None, IpAddr::V4(_)) => format!("IpRanges=[{{CidrIp={host}}}]"),
        (None, IpAddr::V6(_)) => format!("Ipv6Ranges=[{{CidrIpv6={host}}}]"),
    };
    let side = if packet.direction.is_egress() { "egress" } else { "ingress" };
    // Shells take brackets and braces for patterns.
    let command = format!(
        "aws ec2 authorize-security-group-{side} --group-id {group} --ip-permissions \
         'IpProtocol={protocol},FromPort={from},ToPort={to},{whom}'"
    );
    let word = packet.direction.rule_word();
    let name = format!("{group} {word} {protocol} {from} {}", packet.remote);
    let rule = GroupRule {
        group,
        egress: packet.direction.is_egress(),
        protocol,
        ports: Some((from, to)),
        remote: &remote,
    };
    let terraform = match network.inline_in(group) {
        Some(address) => within(address, None, &[rule.block()]),
        None => rule.resource(&name),
    };
    let whom = peer.map(|peer| format!(" for {peer}, which what connects carries")).unwrap_or_default();
    let full = network.groups.get(group, rules.view).is_some_and(|found| {
        let of_side = found.value.rules.iter().filter(|rule| rule.egress == packet.direction.is_egress());
        of_side.count() >= RULE_QUOTA
    });
    let quota = if full {
        format!("; the group is at its quota of {RULE_QUOTA} {word} rules")
    } else {
        String::new()
    };
    let wide = for_all_ports(packet);
    let text =
        format!("add an {word} rule to {group}{whom}{wide}; responses need no rule of their own{quota}");
    Some(Fix::new(text, command, terraform))
}
