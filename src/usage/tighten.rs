//! The narrowest rules that keep what was seen.
//!
//! Each rule of a group is looked at alone: what it let pass, alone or beside others, stays let pass by the rules proposed
//! for it. Where it is not known which end began a conversation, both readings are kept; a rule that let nothing pass surely
//! is left alone. References to groups and prefix lists stay as they are, since who is behind them changes without the rule.

use super::book::{Rule, RuleBook, Subject};
use super::conversation::Conversation;
use super::judge::{groups, other_reading, rules_for};
use super::narrow::{prefixes, ranges};
use super::plan::Plan;
use super::traffic::Traffic;
use crate::net::{ICMP, ICMPV6, PortRange, TCP, UDP};
use crate::network::{Remote, SecurityGroupRule, Timestamp, Traffic as RuleTraffic};
use crate::rules::{Decision, Engine, InterfaceRules};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

/// Of more remote addresses than this no list is made: the block of the rule stays.
const MOST_SOURCES: usize = 1024;
/// So many prefixes stand for the remote addresses of a rule at most.
const MOST_PREFIXES: usize = 8;
/// A rule is replaced by so many at most: a group's quota is 60 for each direction.
const MOST_RULES: usize = 10;

/// Protocol and first and last port: what a rule was used for. No ports: the whole protocol.
type Service = (u8, Option<(u16, u16)>);

/// Remote addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sources {
    Few(BTreeSet<IpAddr>),
    Many,
}

impl Sources {
    fn add(&mut self, addr: IpAddr) {
        if let Sources::Few(known) = self {
            known.insert(addr);
            if known.len() > MOST_SOURCES {
                *self = Sources::Many;
            }
        }
    }

    fn merge(&mut self, other: &Sources) {
        match other {
            Sources::Many => *self = Sources::Many,
            Sources::Few(others) => others.iter().for_each(|addr| self.add(*addr)),
        }
    }
}

type Uses = BTreeMap<Service, Sources>;

/// The ranges of ports that were used, by protocol; `None` is the whole protocol.
type Services = BTreeMap<u8, Option<BTreeSet<(u16, u16)>>>;

/// A rule that is wider than its use, and what would do instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Tightening {
    /// The rule.
    pub rule: Rule,
    /// What would do: traffic and remote of each rule.
    pub proposed: Vec<(RuleTraffic, Remote)>,
    /// Conversations that the rule let pass, or may have.
    pub conversations: u64,
    /// Of these, the ones that another rule may have let pass instead: the other end may have begun them, or it cannot be
    /// told which of several rules matches. What is proposed keeps them.
    pub uncertain: u64,
    /// Kinds of use seen (a service, and whom it was used by) that the proposed rules would cut: none, or this proposal
    /// must not be used.
    pub cut_seen: u64,
    /// How many times fewer pairs of address and port are open.
    pub narrower: f64,
}

/// A rule that may be wider than its use, if what may have passed by it did.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftAlone {
    /// The rule.
    pub rule: Rule,
    /// Conversations that it may have let pass.
    pub conversations: u64,
}

/// What could be narrower.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tightenings {
    /// Rules that could, those that would lose most first.
    pub narrower: Vec<Tightening>,
    /// Rules of which nobody knows, in the order of the configuration.
    pub left_alone: Vec<LeftAlone>,
}

/// The use of one rule.
#[derive(Debug, Clone, Default)]
struct Use {
    conversations: u64,
    uncertain: u64,
    uses: Uses,
}

impl Use {
    fn merge(&mut self, other: Use) {
        self.conversations = self.conversations.saturating_add(other.conversations);
        self.uncertain = self.uncertain.saturating_add(other.uncertain);
        for (service, sources) in other.uses {
            self.uses.entry(service).and_modify(|known| known.merge(&sources)).or_insert(sources);
        }
    }
}

struct Collector<'n> {
    book: &'n RuleBook,
    plan: &'n Plan,
    engine: Engine<'n>,
    uses: HashMap<usize, Use>,
}

/// Rules that could be narrower.
///
/// # Errors
/// Those of temporary files, where the traffic was too much for memory.
pub fn tighten(traffic: &Traffic) -> io::Result<Tightenings> {
    let plan = traffic.plan();
    let window = traffic.presence().span().unwrap_or((Timestamp::MIN, Timestamp::MAX));
    let book = RuleBook::new(plan.network(), window);
    let new = || Collector {
        book: &book,
        plan: plan.as_ref(),
        engine: Engine::new(plan.network()),
        uses: HashMap::new(),
    };
    let mut uses: HashMap<usize, Use> = HashMap::new();
    for collector in traffic.each(new, Collector::collect)? {
        for (rule, more) in collector.uses {
            uses.entry(rule).or_default().merge(more);
        }
    }
    let mut found = Tightenings::default();
    for (at, rule) in book.rules.iter().enumerate() {
        // What is gone already needs no tightening.
        let Some(used) = uses.get(&at).filter(|_| rule.current) else { continue };
        let Some(tightening) = tightening(rule, used) else { continue };
        let conversations = used.conversations;
        if used.uncertain < conversations {
            found.narrower.push(tightening);
        } else {
            found.left_alone.push(LeftAlone { rule: rule.clone(), conversations });
        }
    }
    found.narrower.sort_by(|one, other| {
        other.narrower.total_cmp(&one.narrower).then_with(|| one.rule.text.cmp(&other.rule.text))
    });
    Ok(found)
}

/// What would do instead of a rule, if it is narrower.
fn tightening(rule: &Rule, used: &Use) -> Option<Tightening> {
    let Subject::Group { rule: wide, .. } = &rule.subject else { return None };
    let proposed = propose(wide, &used.uses);
    let now = (wide.traffic.clone(), wide.remote.clone());
    if proposed.is_empty() || proposed == [now.clone()] {
        return None;
    }
    let narrower = area(std::slice::from_ref(&now)) / area(&proposed);
    let uses = used.uses.iter();
    let cut_seen = uses.filter(|(service, sources)| !keeps(&proposed, wide, service, sources)).count();
    (narrower > 1.0).then(|| Tightening {
        rule: rule.clone(),
        proposed,
        conversations: used.conversations,
        uncertain: used.uncertain,
        cut_seen: cut_seen as u64,
        narrower,
    })
}

impl Collector<'_> {
    fn collect(&mut self, conversation: Conversation<'_>) {
        if conversation.parts.iter().all(|part| part.is_rejected()) {
            return;
        }
        let Some(rules) = rules_for(&mut self.engine, self.plan, &conversation) else { return };
        let judged = groups(&rules, &conversation);
        if judged.decision == Decision::Deny {
            return;
        }
        let key = conversation.key;
        let mut services: Vec<Service> = Vec::new();
        match key.port {
            None => services.push((key.protocol, None)),
            Some(port) if !judged.turned => services.push((key.protocol, Some((port, port)))),
            // The other end began: its service is at some port of the client's stretch.
            Some(_) => {
                services.extend(conversation.parts.iter().filter(|part| !part.is_rejected()).map(|part| {
                    let stretch = self.plan.stretch(part.client_port());
                    (key.protocol, Some((stretch.first(), stretch.last())))
                }))
            }
        }
        let others = other_reading(&rules, &conversation, &judged);
        let asked = conversation.parts.iter().any(|part| !part.is_rejected() && judged.is_request(part));
        // The only rule that may match does: the conversation passed.
        let surely =
            if judged.passed_by().len() == 1 { judged.passed_by() } else { judged.matching.sure.as_slice() };
        // What may have let it pass is kept as well as what did.
        for place in judged.matching.sure.iter().chain(&judged.matching.perhaps) {
            let certain = others.is_empty() && asked && surely.contains(place);
            self.note(&rules, *place, &services, key.remote, certain);
        }
        let mut of_others: BTreeMap<(usize, usize), Vec<Service>> = BTreeMap::new();
        for (packet, by) in &others {
            let ports = packet.port.map(|port| self.plan.stretch(port));
            let service = (key.protocol, ports.map(|stretch| (stretch.first(), stretch.last())));
            for place in by.sure.iter().chain(&by.perhaps) {
                of_others.entry(*place).or_default().push(service);
            }
        }
        for (place, services) in of_others {
            self.note(&rules, place, &services, key.remote, false);
        }
    }

    fn note(
        &mut self,
        rules: &InterfaceRules,
        place: (usize, usize),
        services: &[Service],
        remote: IpAddr,
        certain: bool,
    ) {
        let Some(rule) = self.rule(rules, place) else { return };
        let used = self.uses.entry(rule).or_default();
        used.conversations = used.conversations.saturating_add(1);
        used.uncertain = used.uncertain.saturating_add(u64::from(!certain));
        for service in services {
            used.uses.entry(*service).or_insert_with(|| Sources::Few(BTreeSet::new())).add(remote);
        }
    }

    fn rule(&self, rules: &InterfaceRules, (group, rule): (usize, usize)) -> Option<usize> {
        let group = rules.groups.as_ref()?.groups.get(group)?;
        self.book.of_group(group, group.rules.get(rule)?)
    }
}

/// The remotes that stand for these addresses under a rule.
fn remotes(wide: &SecurityGroupRule, sources: &Sources) -> Vec<Remote> {
    let whole = || vec![wide.remote.clone()];
    let (Remote::Cidr(block), Sources::Few(addresses)) = (&wide.remote, sources) else { return whole() };
    match prefixes(addresses, MOST_PREFIXES) {
        Some(found) if found.iter().all(|prefix| block.covers(prefix) && prefix != block) => {
            found.into_iter().map(Remote::Cidr).collect()
        }
        _ => whole(),
    }
}

fn traffic_of(wide: &RuleTraffic, protocol: u8, ports: Option<PortRange>) -> RuleTraffic {
    match (wide, ports) {
        (RuleTraffic::Icmp { .. } | RuleTraffic::Protocol(_) | RuleTraffic::Unreadable(_), _) => wide.clone(),
        (RuleTraffic::Ports { .. }, None) => wide.clone(),
        (_, Some(ports)) => RuleTraffic::Ports { protocol, ports },
        (RuleTraffic::All, None) => RuleTraffic::new(Some(protocol), PortRange::ALL, (None, None)),
    }
}

fn propose(wide: &SecurityGroupRule, uses: &Uses) -> Vec<(RuleTraffic, Remote)> {
    // Services that the same remotes used are one rule.
    let mut by_remotes: BTreeMap<Vec<String>, (Vec<Remote>, Services)> = BTreeMap::new();
    for ((protocol, ports), sources) in uses {
        let remotes = remotes(wide, sources);
        let names = remotes.iter().map(ToString::to_string).collect();
        let (_, services) = by_remotes.entry(names).or_insert_with(|| (remotes, Services::new()));
        let known = services.entry(*protocol).or_insert_with(|| Some(BTreeSet::new()));
        match (known.as_mut(), ports) {
            (Some(known), Some(ports)) => {
                known.insert(clip(&wide.traffic, *ports));
            }
            _ => *known = None,
        }
    }
    let mut found = Vec::new();
    for (remotes, services) in by_remotes.values() {
        for (protocol, ports) in services {
            let ranges = match ports {
                None => vec![None],
                Some(ports) => ranges(ports, MOST_RULES).into_iter().map(Some).collect(),
            };
            for (range, remote) in
                ranges.into_iter().flat_map(|range| remotes.iter().map(move |one| (range, one)))
            {
                found.push((traffic_of(&wide.traffic, *protocol, range), remote.clone()));
            }
        }
    }
    if found.len() > MOST_RULES { coarser(wide, uses) } else { dedup(found) }
}

/// A turned conversation's stretch may be wider than the rule that let it pass.
fn clip(traffic: &RuleTraffic, (first, last): (u16, u16)) -> (u16, u16) {
    match traffic {
        RuleTraffic::Ports { ports, .. } => {
            (first.max(ports.first()).min(ports.last()), last.min(ports.last()).max(ports.first()))
        }
        _ => (first, last),
    }
}

/// All services for all remotes, in as many rules as there may be.
fn coarser(wide: &SecurityGroupRule, uses: &Uses) -> Vec<(RuleTraffic, Remote)> {
    let mut all = Sources::Few(BTreeSet::new());
    uses.values().for_each(|sources| all.merge(sources));
    let mut services = Services::new();
    for (protocol, ports) in uses.keys() {
        let known = services.entry(*protocol).or_insert_with(|| Some(BTreeSet::new()));
        match (known.as_mut(), ports) {
            (Some(known), Some(ports)) => {
                known.insert(clip(&wide.traffic, *ports));
            }
            _ => *known = None,
        }
    }
    let mut whom = remotes(wide, &all);
    if whom.len().saturating_mul(services.len()) > MOST_RULES {
        whom = vec![wide.remote.clone()];
    }
    let each = MOST_RULES.checked_div(whom.len().saturating_mul(services.len())).unwrap_or(1).max(1);
    let mut found = Vec::new();
    for (protocol, ports) in services {
        let ranges: Vec<Option<PortRange>> = match ports {
            None => vec![None],
            Some(ports) => ranges(&ports, each).into_iter().map(Some).collect(),
        };
        for range in ranges {
            found.extend(whom.iter().map(|one| (traffic_of(&wide.traffic, protocol, range), one.clone())));
        }
    }
    dedup(found)
}

fn dedup(rules: Vec<(RuleTraffic, Remote)>) -> Vec<(RuleTraffic, Remote)> {
    let mut found: Vec<(RuleTraffic, Remote)> = Vec::with_capacity(rules.len());
    for rule in rules {
        if !found.contains(&rule) {
            found.push(rule);
        }
    }
    found
}

/// Whether the proposed rules let everything of a use pass.
fn keeps(
    proposed: &[(RuleTraffic, Remote)],
    wide: &SecurityGroupRule,
    (protocol, ports): &Service,
    sources: &Sources,
) -> bool {
    let passes = |traffic: &RuleTraffic| match (traffic, ports) {
        (RuleTraffic::Ports { protocol: named, ports: open }, Some(used)) => {
            let (first, last) = clip(&wide.traffic, *used);
            named == protocol && open.first() <= first && last <= open.last()
        }
        (traffic, _) => *traffic == wide.traffic || traffic.protocol() == Some(*protocol),
    };
    let covers = |addr: &IpAddr| {
        proposed.iter().any(|(traffic, remote)| {
            let whom =
                *remote == wide.remote || matches!(remote, Remote::Cidr(block) if block.contains(addr));
            passes(traffic) && whom
        })
    };
    match sources {
        Sources::Few(addresses) => addresses.iter().all(covers),
        Sources::Many => proposed.iter().any(|(traffic, remote)| passes(traffic) && *remote == wide.remote),
    }
}

/// Pairs of address and port that rules open, each rule counted by itself.
fn area(rules: &[(RuleTraffic, Remote)]) -> f64 {
    let ports = |traffic: &RuleTraffic| match traffic {
        // TCP and UDP with all ports, and the other protocols as one each.
        RuleTraffic::All | RuleTraffic::Unreadable(_) => 2.0 * 65_536.0 + 254.0,
        RuleTraffic::Ports { ports, .. } => f64::from(ports.last()) - f64::from(ports.first()) + 1.0,
        RuleTraffic::Icmp { .. } | RuleTraffic::Protocol(_) => 1.0,
    };
    let addresses = |remote: &Remote| match remote {
        Remote::Cidr(block) => {
            let (first, last) = block.range_bits();
            last.saturating_sub(first) as f64 + 1.0
        }
        _ => 1.0,
    };
    rules.iter().map(|(traffic, remote)| ports(traffic) * addresses(remote)).sum()
}

/// A rule's traffic and remote in words: `tcp 5432 from 10.0.1.20/32`.
pub fn proposed_text(egress: bool, (traffic, remote): &(RuleTraffic, Remote)) -> String {
    format!("{traffic} {} {remote}", if egress { "to" } else { "from" })
}

/// The options of a permission for the AWS CLI.
fn permission((traffic, remote): &(RuleTraffic, Remote)) -> String {
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

    /// The `aws` commands that do it: first the new rules, then the old one goes, so that nothing is cut in between.
    pub fn commands(&self) -> Vec<String> {
        let Some((group, wide)) = self.wide() else { return Vec::new() };
        let side = self.side();
        let new: Vec<String> = self.proposed.iter().map(permission).collect();
        let old = match &wide.rule_id {
            Some(id) => format!("--security-group-rule-ids {id}"),
            None => {
                format!("--ip-permissions '{}'", permission(&(wide.traffic.clone(), wide.remote.clone())))
            }
        };
        vec![
            format!(
                "aws ec2 authorize-security-group-{side} --group-id {group} --ip-permissions '{}'",
                new.join("' '")
            ),
            format!("aws ec2 revoke-security-group-{side} --group-id {group} {old}"),
        ]
    }

    /// The new rules as Terraform resources.
    pub fn terraform(&self) -> String {
        let Some((group, wide)) = self.wide() else { return String::new() };
        let side = self.side();
        let name: String = wide
            .rule_id
            .as_deref()
            .unwrap_or(group)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let resources = self.proposed.iter().enumerate().map(|(at, (traffic, remote))| {
            let (protocol, from, to) = numbers(traffic);
            let ports = match traffic {
                RuleTraffic::Ports { .. } | RuleTraffic::Icmp { .. } => {
                    format!("\n  from_port         = {from}\n  to_port           = {to}")
                }
                _ => String::new(),
            };
            let whom = match remote {
                Remote::Cidr(block) if block.network().is_ipv4() => format!("cidr_ipv4         = \"{block}\""),
                Remote::Cidr(block) => format!("cidr_ipv6         = \"{block}\""),
                Remote::PrefixList(id) => format!("prefix_list_id    = \"{id}\""),
                Remote::Group(reference) => match &reference.account {
                    Some(account) => format!("referenced_security_group_id = \"{account}/{}\"", reference.group_id),
                    None => format!("referenced_security_group_id = \"{}\"", reference.group_id),
                },
                Remote::Unreadable(text) => format!("# {text}"),
            };
            let number = at.saturating_add(1);
            format!(
                "resource \"aws_vpc_security_group_{side}_rule\" \"tight_{name}_{number}\" {{\n  security_group_id = \
                 \"{group}\"\n  ip_protocol       = \"{protocol}\"{ports}\n  {whom}\n}}"
            )
        });
        resources.collect::<Vec<_>>().join("\n\n")
    }
}

#[cfg(test)]
#[path = "tighten_tests.rs"]
mod tests;
