//! The objects of an AWS network that decide whether a packet passes: what each configuration form is read into.
//!
//! Identifiers are kept as text: joins are by identifier only (a group may be used outside its home VPC and account, so
//! VPC and account never serve as join keys; semantics spec 2.6).

use super::history::Timestamp;
use crate::net::{Family, ICMP, ICMPV6, PortRange, Prefix, TCP, UDP, protocol_name};
use std::fmt;
use std::net::IpAddr;

/// Which packets of a family a rule looks at, its remote side aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// Every protocol and port.
    All,
    /// TCP or UDP (`protocol` is 6 or 17) to a range of destination ports.
    Ports {
        /// 6 or 17.
        protocol: u8,
        /// Destination ports.
        ports: PortRange,
    },
    /// ICMP or ICMPv6 (`protocol` is 1 or 58); `None` is any type or any code.
    Icmp {
        /// 1 or 58.
        protocol: u8,
        /// ICMP type.
        kind: Option<u8>,
        /// ICMP code.
        code: Option<u8>,
    },
    /// Any other protocol, whatever ports are stored with it (documented: they are not used).
    Protocol(u8),
    /// What the configuration says could not be read, or is known only after a Terraform apply: it may match anything.
    Unreadable(String),
}

impl Traffic {
    /// From a protocol number (`None` is all) and what is stored with it. `ports` of other protocols than TCP and UDP, and
    /// `icmp` of other protocols than 1 and 58, are ignored, as AWS does.
    pub fn new(protocol: Option<u8>, ports: PortRange, icmp: (Option<u8>, Option<u8>)) -> Self {
        match protocol {
            None => Traffic::All,
            Some(protocol @ (TCP | UDP)) => Traffic::Ports { protocol, ports },
            Some(protocol @ (ICMP | ICMPV6)) => Traffic::Icmp { protocol, kind: icmp.0, code: icmp.1 },
            Some(protocol) => Traffic::Protocol(protocol),
        }
    }

    /// The protocol number, `None` for all and for the unreadable.
    pub fn protocol(&self) -> Option<u8> {
        match self {
            Traffic::Ports { protocol, .. }
            | Traffic::Icmp { protocol, .. }
            | Traffic::Protocol(protocol) => Some(*protocol),
            Traffic::All | Traffic::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |number: u8| protocol_name(number).map_or_else(|| format!("protocol {number}"), str::to_string);
        match self {
            Traffic::All => f.write_str("all traffic"),
            Traffic::Ports { protocol, ports } if ports.is_all() => write!(f, "{}", name(*protocol)),
            Traffic::Ports { protocol, ports } => write!(f, "{} {ports}", name(*protocol)),
            Traffic::Icmp { protocol, kind: None, .. } => write!(f, "{}", name(*protocol)),
            Traffic::Icmp { protocol, kind: Some(kind), code: None } => {
                write!(f, "{} type {kind}", name(*protocol))
            }
            Traffic::Icmp { protocol, kind: Some(kind), code: Some(code) } => {
                write!(f, "{} type {kind} code {code}", name(*protocol))
            }
            Traffic::Protocol(protocol) => f.write_str(&name(*protocol)),
            Traffic::Unreadable(text) => write!(f, "unreadable traffic ({text})"),
        }
    }
}

/// The reference of a rule to another group (`UserIdGroupPair`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GroupReference {
    /// The group whose members are meant.
    pub group_id: String,
    /// Account that owns the group, where the configuration says so.
    pub account: Option<String>,
    /// Home VPC of the group, where the configuration says so.
    pub vpc_id: Option<String>,
    /// Peering connection over which the group is referenced.
    pub peering_id: Option<String>,
    /// State of that connection; anything but `active` or `None` makes the rule stale, and a stale rule matches nothing.
    pub peering_status: Option<String>,
}

/// The remote side of a security group rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remote {
    /// A CIDR block of one family.
    Cidr(Prefix),
    /// The entries of a prefix list, by its id.
    PrefixList(String),
    /// The private addresses of the interfaces that carry a group.
    Group(GroupReference),
    /// What could not be read or is not known yet: it may match any address.
    Unreadable(String),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Cidr(prefix) => write!(f, "{prefix}"),
            Remote::PrefixList(id) => f.write_str(id),
            Remote::Group(reference) => match &reference.account {
                Some(account) => write!(f, "{account}/{}", reference.group_id),
                None => f.write_str(&reference.group_id),
            },
            Remote::Unreadable(text) => write!(f, "unreadable remote ({text})"),
        }
    }
}

/// One rule of a security group: it allows, there is no deny.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecurityGroupRule {
    /// `sgr-…`, known only from forms that have it.
    pub rule_id: Option<String>,
    /// Outbound rule.
    pub egress: bool,
    /// Protocol and ports.
    pub traffic: Traffic,
    /// Whom it allows.
    pub remote: Remote,
    /// Its description.
    pub description: Option<String>,
}

impl SecurityGroupRule {
    /// Whether another form of a rule means the same: one may know the rule's id, its description or the account that the
    /// other leaves out.
    pub fn means(&self, other: &SecurityGroupRule) -> bool {
        let remote = match (&self.remote, &other.remote) {
            (Remote::Group(one), Remote::Group(other)) => one.group_id == other.group_id,
            (one, other) => one == other,
        };
        self.egress == other.egress && self.traffic == other.traffic && remote
    }
}

/// Rules that only one of `describe-security-groups` and `describe-security-group-rules` shows, in one capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDisagreement {
    /// `sg-…`.
    pub group_id: String,
    /// When the group was captured.
    pub at: Option<Timestamp>,
    /// Rules of the group's own output.
    pub only_in_group: Vec<SecurityGroupRule>,
    /// Rules of the output of rules, which are taken: it has their ids.
    pub only_in_rules: Vec<SecurityGroupRule>,
}

impl fmt::Display for RuleDisagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 3;
        let list = |rules: &[SecurityGroupRule]| {
            let named = rules.iter().take(NAMED).map(|rule| {
                let (way, word) = if rule.egress { ("outbound", "to") } else { ("inbound", "from") };
                format!("{way} {} {word} {}", rule.traffic, rule.remote)
            });
            let more = rules.len().saturating_sub(NAMED);
            let more = (more > 0).then(|| format!("{more} more"));
            named.chain(more).collect::<Vec<_>>().join(", ")
        };
        let mut parts = Vec::new();
        if !self.only_in_group.is_empty() {
            parts.push(format!("only describe-security-groups shows {}", list(&self.only_in_group)));
        }
        if !self.only_in_rules.is_empty() {
            parts.push(format!("only describe-security-group-rules shows {}", list(&self.only_in_rules)));
        }
        write!(f, "two outputs of one capture disagree: {}; the latter was taken", parts.join("; "))
    }
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Home VPC; interfaces elsewhere may carry the group too.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// Rules of both directions; no order has a meaning.
    pub rules: Vec<SecurityGroupRule>,
    /// The group may have rules besides these: the input manages some of them only.
    pub partial: bool,
}

/// What a NACL entry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleAction {
    /// Let pass.
    Allow,
    /// Drop.
    Deny,
}

impl fmt::Display for RuleAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleAction::Allow => "allow",
            RuleAction::Deny => "deny",
        })
    }
}

/// Rule number of the unremovable IPv4 deny that the console shows as `*` (documented).
pub const NACL_DEFAULT_V4: u32 = 32767;
/// Rule number of the unremovable IPv6 deny.
pub const NACL_DEFAULT_V6: u32 = 32768;

/// Stands for a rule number that could not be read. The entry may stand anywhere in its list, so it comes first, with traffic
/// that is [`Traffic::Unreadable`] and so never decides alone.
pub const NACL_UNPLACED: u32 = 0;

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NaclEntry {
    /// 1 to 32766, a default deny, or [`NACL_UNPLACED`].
    pub number: u32,
    /// Outbound list.
    pub egress: bool,
    /// Allow or deny; `None` when unreadable.
    pub action: Option<RuleAction>,
    /// Protocol and ports.
    pub traffic: Traffic,
    /// Source on inbound, destination on outbound; `None` when unreadable (the entry may match either family).
    pub cidr: Option<Prefix>,
}

impl NaclEntry {
    /// Whether this is one of the two denies that close each list.
    pub fn is_default(&self) -> bool {
        self.number == NACL_DEFAULT_V4 || self.number == NACL_DEFAULT_V6
    }

    /// The number as it is shown: `*` for a default deny, `?` where it could not be read.
    pub fn number_text(&self) -> String {
        match self.number {
            NACL_DEFAULT_V4 | NACL_DEFAULT_V6 => "*".to_string(),
            NACL_UNPLACED => "?".to_string(),
            number => number.to_string(),
        }
    }
}

/// A network ACL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkAcl {
    /// `acl-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// The VPC's default list, used by subnets that name no other.
    pub is_default: bool,
    /// Subnets associated with it.
    pub subnet_ids: Vec<String>,
    /// Entries of both directions, in the order of the input.
    pub entries: Vec<NaclEntry>,
}

impl NetworkAcl {
    /// Whether it holds only what a Terraform plan adds to a list that is managed elsewhere: a list of a plan that has its
    /// id has its VPC as well.
    pub fn is_part(&self) -> bool {
        self.vpc_id.is_none() && !self.is_default && self.id.starts_with("acl-")
    }
}

/// The association of a subnet with a network ACL, where it is told apart from the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AclAssociation {
    /// `aclassoc-…`.
    pub id: String,
    /// The subnet.
    pub subnet_id: String,
    /// The list.
    pub acl_id: String,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Its subnet.
    pub subnet_id: Option<String>,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// The groups it carries; empty means that no group filters it.
    pub group_ids: Vec<String>,
    /// Whether the form listed the groups at all: without them nothing can be said about the groups' verdict.
    pub groups_known: bool,
    /// Primary private IPv4, which flow logs show as the interface's own side.
    pub primary: Option<IpAddr>,
    /// All private IPv4 and IPv6 addresses, the primary included.
    pub addresses: Vec<IpAddr>,
    /// Delegated prefixes: local addresses too.
    pub prefixes: Vec<Prefix>,
    /// Public and Elastic addresses mapped to it; never its own side in a record.
    pub public_addresses: Vec<IpAddr>,
    /// Public addresses with the private one that each is mapped to, as far as the form tells (spec 6.5: `Association`
    /// stands in each element of `PrivateIpAddresses`).
    pub public_mappings: Vec<(IpAddr, IpAddr)>,
    /// Whether the form lists public addresses at all: without them nothing can be said about what has none.
    pub public_known: bool,
    /// `interface`, `nat_gateway`, `transit_gateway`… (`natGateway` of the service model is read as `nat_gateway`).
    pub interface_type: Option<String>,
    /// Free text by which services mark their interfaces.
    pub description: Option<String>,
    /// Who requested it, e.g. `amazon-elb`.
    pub requester_id: Option<String>,
    /// Managed by a service.
    pub requester_managed: bool,
    /// Source/destination check.
    pub source_dest_check: Option<bool>,
    /// Instance it is attached to.
    pub instance_id: Option<String>,
    /// Idle timeout of established TCP, seconds, if set on the interface.
    pub tcp_established_timeout: Option<i64>,
    /// Timeout of one-way UDP, seconds, if set.
    pub udp_timeout: Option<i64>,
    /// Timeout of UDP streams, seconds, if set.
    pub udp_stream_timeout: Option<i64>,
}

impl NetworkInterface {
    /// Whether it holds only the groups that a Terraform plan attaches to an interface that is managed elsewhere: one of
    /// the plan itself has its subnet.
    pub fn is_part(&self) -> bool {
        self.subnet_id.is_none() && self.addresses.is_empty() && self.id.starts_with("eni-")
    }

    /// Whether `addr` is one of its private addresses or lies in a prefix delegated to it.
    pub fn owns(&self, addr: &IpAddr) -> bool {
        self.addresses.contains(addr) || self.prefixes.iter().any(|prefix| prefix.contains(addr))
    }

    /// The public address that is mapped to one of its private ones. A public address whose private one the form does not
    /// tell is taken to be the primary's, as that of the interface's own `Association` is.
    pub fn public_of(&self, private: &IpAddr) -> Option<IpAddr> {
        let same = |public: &&IpAddr| public.is_ipv4() == private.is_ipv4();
        self.public_addresses.iter().filter(same).find(|one| self.private_of(one) == Some(*private)).copied()
    }

    /// The private address that a public one is mapped to.
    pub fn private_of(&self, public: &IpAddr) -> Option<IpAddr> {
        let mapped = self.public_mappings.iter().find(|(one, _)| one == public).map(|(_, private)| *private);
        mapped.or(self.primary).filter(|private| private.is_ipv4() == public.is_ipv4())
    }

    /// What stands for `addr` in evidence about flows: the primary address, where `addr` is one of several IPv4 addresses.
    ///
    /// Packets to a secondary address show the primary one (documented), and which of them packets from it show is not
    /// (spec 4.2, 9.2 no. 9), so that a flow's two directions may name different ones. IPv6 addresses are never replaced.
    pub fn alias(&self, addr: &IpAddr) -> Option<IpAddr> {
        if !addr.is_ipv4() || !self.has_several() || !self.owns(addr) {
            return None;
        }
        self.primary.filter(IpAddr::is_ipv4).or_else(|| self.addresses.iter().copied().find(IpAddr::is_ipv4))
    }

    /// Whether it has more than one IPv4 address.
    pub fn has_several(&self) -> bool {
        self.addresses.iter().filter(|addr| addr.is_ipv4()).nth(1).is_some()
            || self.prefixes.iter().any(|prefix| prefix.family() == Family::V4)
    }

    /// Classic Load Balancer: description `ELB <name>` without the `app/`, `net/` or `gwy/` of the newer kinds.
    pub fn is_classic_lb(&self) -> bool {
        self.description
            .as_deref()
            .and_then(|text| text.strip_prefix("ELB "))
            .is_some_and(|name| !name.contains('/'))
    }

    /// Whether it is of the given `InterfaceType`.
    pub fn is_type(&self, kind: &str) -> bool {
        self.interface_type.as_deref() == Some(kind)
    }

    /// A gateway endpoint, interface endpoint or endpoint of a Gateway Load Balancer.
    pub fn is_endpoint(&self) -> bool {
        self.is_type("vpc_endpoint") || self.is_type("gateway_load_balancer_endpoint")
    }
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// IPv4 and IPv6 blocks.
    pub cidrs: Vec<Prefix>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Effective Block Public Access mode: `off`, `block-bidirectional`, `block-ingress`.
    pub bpa_mode: Option<String>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Owning account.
    pub owner_id: Option<String>,
    /// IPv4 and IPv6 blocks.
    pub cidrs: Vec<Prefix>,
    /// Effective Block Public Access mode.
    pub bpa_mode: Option<String>,
    /// Encryption control mode: `monitor`, `enforce`.
    pub encryption_mode: Option<String>,
}

/// A managed prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrefixList {
    /// `pl-…`.
    pub id: String,
    /// Its name, e.g. `com.amazonaws.eu-west-1.s3`.
    pub name: Option<String>,
    /// Owning account; `AWS` for lists of AWS.
    pub owner_id: Option<String>,
    /// The one family of its entries, where the input tells it.
    pub family: Option<Family>,
    /// Version of the entries; AWS's own lists have none that can be seen.
    pub version: Option<i64>,
    /// The entries; `None` when no input gave them.
    pub entries: Option<Vec<Prefix>>,
}

/// What a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A block.
    Cidr(Prefix),
    /// A prefix list.
    PrefixList(String),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it matches.
    pub destination: Destination,
    /// `local`, `igw-…`, `nat-…`, `tgw-…`, `pcx-…`, `eni-…`, `vpce-…`, `eigw-…`, or a Cloud WAN ARN.
    pub target: String,
    /// `active`, `blackhole`, `filtered`.
    pub state: Option<String>,
}

impl Route {
    /// Whether what it leads to is gone.
    pub fn is_blackhole(&self) -> bool {
        self.state.as_deref() == Some("blackhole")
    }
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Main table of the VPC.
    pub is_main: bool,
    /// Subnets with an explicit association.
    pub subnet_ids: Vec<String>,
    /// Internet and virtual private gateways associated with it: it routes what comes in through them.
    pub gateway_ids: Vec<String>,
    /// Its routes.
    pub routes: Vec<Route>,
}

/// One end of a peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeeringEnd {
    /// VPC.
    pub vpc_id: Option<String>,
    /// Account.
    pub owner_id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Blocks.
    pub cidrs: Vec<Prefix>,
}

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peering {
    /// `pcx-…`.
    pub id: String,
    /// `active` is the only usable state.
    pub status: Option<String>,
    /// Requester.
    pub requester: PeeringEnd,
    /// Accepter.
    pub accepter: PeeringEnd,
}

impl Peering {
    /// Whether it works and joins the two VPCs.
    pub fn joins(&self, one: &str, other: &str) -> bool {
        let (requester, accepter) = (self.requester.vpc_id.as_deref(), self.accepter.vpc_id.as_deref());
        self.status.as_deref() == Some("active")
            && ((requester == Some(one) && accepter == Some(other))
                || (requester == Some(other) && accepter == Some(one)))
    }

    /// Whether both ends are in one Region, which references to groups need; unknown Regions count as equal.
    pub fn same_region(&self) -> bool {
        match (&self.requester.region, &self.accepter.region) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// A transit gateway's attachment of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransitGatewayAttachment {
    /// `tgw-attach-…`.
    pub id: String,
    /// `tgw-…`.
    pub gateway_id: Option<String>,
    /// Attached VPC.
    pub vpc_id: Option<String>,
    /// Subnets with an attachment interface.
    pub subnet_ids: Vec<String>,
    /// Security group referencing support: `enable`, `disable`.
    pub security_group_referencing: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// The `Name` tag.
    pub name: Option<String>,
    /// e.g. `m8i.large`; decides the default TCP timeout.
    pub instance_type: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// Subnet.
    pub subnet_id: Option<String>,
}

impl Instance {
    /// Whether the type is of the generation whose established-TCP timeout defaults to 350 s (Nitro v6; inferred from the
    /// family's generation digit: 8 for the x86 and Graviton families that run on it, and p6e excepted as documented).
    pub fn is_nitro_v6(&self) -> Option<bool> {
        let family = self.instance_type.as_deref()?.split('.').next()?;
        if family.starts_with("p6e") {
            return Some(false);
        }
        let generation = family.chars().find(char::is_ascii_digit)?.to_digit(10)?;
        Some(generation >= 8 || family.starts_with("p6") || family.starts_with("g7"))
    }
}

/// A load balancer of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadBalancer {
    /// ARN, or the name for Classic ones.
    pub id: String,
    /// Name.
    pub name: String,
    /// `application`, `network`, `gateway`, `classic`.
    pub kind: String,
    /// `internet-facing`, `internal`.
    pub scheme: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// Groups.
    pub group_ids: Vec<String>,
    /// Subnets.
    pub subnet_ids: Vec<String>,
}

/// A target group with what is known of its targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// ARN.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Listener side protocol.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// `instance`, `ip`, `lambda`, `alb`.
    pub target_type: Option<String>,
    /// Load balancers that forward to it.
    pub load_balancer_ids: Vec<String>,
    /// Target ids (instances or addresses) with their health state.
    pub targets: Vec<(String, Option<String>)>,
    /// `preserve_client_ip.enabled`.
    pub preserve_client_ip: Option<bool>,
}

/// Block Public Access options of an account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BpaOptions {
    /// `account/region`, either part `-` when unknown.
    pub id: String,
    /// `off`, `block-bidirectional`, `block-ingress`.
    pub mode: Option<String>,
}

/// A Block Public Access exclusion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BpaExclusion {
    /// `vpcbpa-exclude-…`.
    pub id: String,
    /// `vpc-…` or `subnet-…`.
    pub resource_id: Option<String>,
    /// `allow-bidirectional`, `allow-egress`.
    pub mode: Option<String>,
    /// Lifecycle state.
    pub state: Option<String>,
}

/// A group used in another VPC than its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupVpcAssociation {
    /// `group/vpc`.
    pub id: String,
    /// Group.
    pub group_id: String,
    /// VPC.
    pub vpc_id: String,
    /// `associated` and others.
    pub state: Option<String>,
}
