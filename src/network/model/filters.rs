//! What filters: security groups, network ACLs, and what their rules refer to.

use crate::net::{Family, ICMP, ICMPV6, PortRange, Prefix, TCP, UDP, protocol_name};
use crate::network::history::Timestamp;
use std::fmt;

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

    /// Whether it is surely everything of a protocol that has ports.
    pub fn is_all_of(&self, protocol: u8) -> bool {
        match self {
            Traffic::All => true,
            Traffic::Ports { protocol: own, ports } => *own == protocol && ports.is_all(),
            _ => false,
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

impl Remote {
    /// Whether it is every address of a family.
    pub fn is_everyone(&self) -> bool {
        matches!(self, Remote::Cidr(prefix) if prefix.is_any())
    }

    /// The group that it refers to, if it does.
    pub fn group(&self) -> Option<&GroupReference> {
        match self {
            Remote::Group(reference) => Some(reference),
            Remote::Cidr(_) | Remote::PrefixList(_) | Remote::Unreadable(_) => None,
        }
    }
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

/// A resource of a plan that gets other groups, and with it interfaces that the plan does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regrouped {
    /// Its address.
    pub address: String,
    /// Its type.
    pub kind: String,
    /// Groups before, by id.
    pub before: Vec<String>,
    /// Groups after, as far as they are known; by address where the plan makes them.
    pub after: Vec<String>,
    /// Whether these are all.
    pub all_known: bool,
    /// Nothing else of it changes that could bear on traffic.
    pub only: bool,
    /// Which interfaces are its.
    pub owned: Owned,
}

/// Which interfaces are a resource's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    /// These.
    Ids(Vec<String>),
    /// Those that AWS describes so.
    Described(String),
    /// That of this instance, its primary one where it has several.
    Instance(String),
    /// Some of those that carry its groups.
    Unknown,
}

/// The only rules of a group in one direction, as `aws_vpc_security_group_rules_exclusive` leaves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusiveRules {
    /// `sg-…`.
    pub group_id: String,
    /// Outbound rules.
    pub egress: bool,
    /// Rules that stay, `sgr-…`; `None` where it is known only after the apply which these are.
    pub rule_ids: Option<Vec<String>>,
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

/// A security group. Two are equal whatever the order of their rules.
#[derive(Debug, Clone, Eq, Default)]
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

impl PartialEq for SecurityGroup {
    fn eq(&self, other: &Self) -> bool {
        let SecurityGroup { id, name, vpc_id, owner_id, rules, partial } = self;
        *id == other.id
            && *name == other.name
            && *vpc_id == other.vpc_id
            && *owner_id == other.owner_id
            && *partial == other.partial
            && same_members(rules, &other.rules)
    }
}

/// Whether two lists hold the same, each as often, in whatever order.
fn same_members<T: Eq + std::hash::Hash>(one: &[T], other: &[T]) -> bool {
    if one == other {
        return true;
    }
    let mut counts: hashbrown::HashMap<&T, i64> = hashbrown::HashMap::new();
    one.iter().for_each(|item| *counts.entry(item).or_default() += 1);
    other.iter().for_each(|item| *counts.entry(item).or_default() -= 1);
    counts.values().all(|count| *count == 0)
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

    /// The number as it is shown, as [`number_text`].
    pub fn number_text(&self) -> String {
        number_text(self.number)
    }
}

/// A rule number as it is shown: `*` for a default deny, `?` where it could not be read.
pub fn number_text(number: u32) -> String {
    match number {
        NACL_DEFAULT_V4 | NACL_DEFAULT_V6 => "*".to_string(),
        NACL_UNPLACED => "?".to_string(),
        number => number.to_string(),
    }
}

/// A network ACL. Two are equal whatever the order of their entries and subnets: AWS's output has none.
#[derive(Debug, Clone, Eq, Default)]
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
    /// It may serve more subnets than these: the input's list of them cannot be read.
    pub more_subnets: bool,
    /// Entries of both directions, in the order of the input.
    pub entries: Vec<NaclEntry>,
}

impl PartialEq for NetworkAcl {
    fn eq(&self, other: &Self) -> bool {
        let NetworkAcl { id, vpc_id, owner_id, is_default, subnet_ids, more_subnets, entries } = self;
        *id == other.id
            && *vpc_id == other.vpc_id
            && *owner_id == other.owner_id
            && *is_default == other.is_default
            && *more_subnets == other.more_subnets
            && same_members(subnet_ids, &other.subnet_ids)
            && same_members(entries, &other.entries)
    }
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
