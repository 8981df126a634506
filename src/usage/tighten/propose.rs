//! The rules that stand for what a wider one was used for.

use super::super::narrow::{prefixes, ranges};
use crate::net::PortRange;
use crate::network::{Remote, SecurityGroupRule, Traffic as RuleTraffic};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Of more remote addresses than this no list is made: the block of the rule stays.
const MOST_SOURCES: usize = 1024;
/// So many prefixes stand for the remote addresses of a rule at most.
const MOST_PREFIXES: usize = 8;
/// A rule is replaced by so many at most: a group's quota is 60 for each direction.
pub(in crate::usage) const MOST_RULES: usize = 10;

/// Protocol and first and last port: what a rule was used for. No ports: the whole protocol.
pub(super) type Service = (u8, Option<(u16, u16)>);

/// Remote addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sources {
    Few(BTreeSet<IpAddr>),
    Many,
}

impl Sources {
    pub(super) fn add(&mut self, addr: IpAddr) {
        if let Sources::Few(known) = self {
            known.insert(addr);
            if known.len() > MOST_SOURCES {
                *self = Sources::Many;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Sources) {
        match other {
            Sources::Many => *self = Sources::Many,
            Sources::Few(others) => others.iter().for_each(|addr| self.add(*addr)),
        }
    }
}

pub(super) type Uses = BTreeMap<Service, Sources>;

/// The ranges of ports that were used, by protocol; `None` is the whole protocol.
type Services = BTreeMap<u8, Option<BTreeSet<(u16, u16)>>>;

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

/// What would do instead of a rule, for what it was used for.
pub(super) fn propose(wide: &SecurityGroupRule, uses: &Uses) -> Vec<(RuleTraffic, Remote)> {
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
pub(super) fn keeps(
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
pub(super) fn area(rules: &[(RuleTraffic, Remote)]) -> f64 {
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
