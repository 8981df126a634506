//! Whose address a remote is: what rules that refer to groups need (spec 2.4).

use super::packet::{Direction, Ternary};
use super::scope::RouteKind;
use crate::net::{Family, Prefix, is_private};
use crate::network::{GroupReference, Network, Origin, View};
use hashbrown::{HashMap, HashSet};
use std::net::IpAddr;

/// An interface that holds an address.
#[derive(Debug, Clone)]
struct Owner {
    vpc: Option<String>,
    groups: Vec<String>,
    /// Whether its group list is known at all.
    groups_known: bool,
    /// It is known to have existed at the moment, and is not taken from a capture of another time.
    in_force: bool,
    /// It is not in a capture between that of its own and the moment, which may have been asked for all.
    in_doubt: bool,
}

#[derive(Debug, Clone, Default)]
struct KnownVpc {
    cidrs: Vec<Prefix>,
    /// The same as first and last addresses, in order and apart, once all are known.
    ranges: Vec<(IpAddr, IpAddr)>,
    /// Interfaces of this VPC are known for the moment in question, so an address of none belongs to nobody.
    covered: bool,
}

/// The owners of all addresses in one view.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// Delegated prefixes, and the lengths that occur: hosts of container clusters have thousands.
    delegated: HashMap<Prefix, Vec<usize>>,
    delegated_lengths: Vec<u8>,
    owners: Vec<Owner>,
    vpcs: HashMap<String, KnownVpc>,
    /// Pairs of VPCs joined by an active peering connection in one Region, both ways.
    peered: HashSet<(String, String)>,
    peerings_known: bool,
    /// Pairs of VPCs joined by an active peering connection between Regions, both ways: references do not cross it.
    far_peered: HashSet<(String, String)>,
    /// By VPC: its transit gateways, and whether the attachment surely does not support references to groups.
    transit: HashMap<String, Vec<(String, bool)>>,
    /// Blocks behind peering connections, which may hold addresses that look public.
    peer_blocks: Vec<Prefix>,
}

/// What is known of a remote address as a member of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity<'a> {
    /// A private address of known interfaces that carry exactly these groups, over a path that preserves references.
    Member(Vec<&'a str>),
    /// It may be a member of these groups and of no other: the path or the owner is uncertain.
    MaybeMember(Vec<&'a str>),
    /// It may be a member of any group.
    Unknown,
    /// A member of no group: public, or private and nobody's.
    Nobody,
}

impl Identity<'_> {
    /// Whether a rule with this reference matches. Anything but an active peering makes the reference stale: no match.
    pub fn carries(&self, reference: &GroupReference) -> Ternary {
        if is_stale(reference) {
            return Ternary::No;
        }
        let named = |groups: &[&str]| groups.contains(&reference.group_id.as_str());
        match self {
            Identity::Member(groups) => Ternary::from(named(groups)),
            Identity::MaybeMember(groups) if named(groups) => Ternary::Maybe,
            Identity::MaybeMember(_) | Identity::Nobody => Ternary::No,
            Identity::Unknown => Ternary::Maybe,
        }
    }
}

/// Whether the reference's peering connection is gone (spec 2.4).
pub(crate) fn is_stale(reference: &GroupReference) -> bool {
    reference.peering_status.as_deref().is_some_and(|status| !matches!(status, "active" | "provisioning"))
}

impl Owners {
    /// Gathers every address of a view.
    pub fn new(network: &Network, view: View) -> Self {
        let mut owners = Owners { peerings_known: !network.peerings.is_empty(), ..Owners::default() };
        for vpc in network.vpcs.all(view) {
            owners.vpcs.entry_ref(vpc.value.id.as_str()).or_default().cidrs.clone_from(&vpc.value.cidrs);
        }
        // Without describe-vpcs the subnets tell most of a VPC's blocks.
        for subnet in network.subnets.all(view) {
            if let Some(vpc) = &subnet.value.vpc_id {
                owners
                    .vpcs
                    .entry_ref(vpc.as_str())
                    .or_default()
                    .cidrs
                    .extend(subnet.value.cidrs.iter().copied());
            }
        }
        owners.vpcs.values_mut().for_each(KnownVpc::settle);
        for found in network.interfaces.all(view) {
            let interface = found.value;
            let at = owners.owners.len();
            for addr in &interface.addresses {
                owners.by_address.entry(*addr).or_default().push(at);
            }
            for prefix in &interface.prefixes {
                owners.delegated.entry(*prefix).or_default().push(at);
                if !owners.delegated_lengths.contains(&prefix.prefix_len()) {
                    owners.delegated_lengths.push(prefix.prefix_len());
                }
            }
            if let Some(vpc) = &interface.vpc_id {
                // Terraform knows only the interfaces that it made, so it never covers a VPC.
                let covers = found.distance == 0 && found.version.origin != Origin::Terraform;
                owners.vpcs.entry_ref(vpc.as_str()).or_default().covered |= covers;
            }
            owners.owners.push(Owner {
                vpc: interface.vpc_id.clone(),
                groups: interface.group_ids.clone(),
                groups_known: interface.groups_known,
                in_force: found.distance == 0,
                in_doubt: found.missing_at.is_some(),
            });
        }
        for peering in network.peerings.all(view) {
            let ends = (&peering.value.requester, &peering.value.accepter);
            if let (Some(one), Some(other)) = (&ends.0.vpc_id, &ends.1.vpc_id)
                && peering.value.joins(one, other)
            {
                let near = peering.value.same_region();
                let pairs = if near { &mut owners.peered } else { &mut owners.far_peered };
                pairs.insert((one.clone(), other.clone()));
                pairs.insert((other.clone(), one.clone()));
                if !near {
                    continue;
                }
                owners.peer_blocks.extend(ends.0.cidrs.iter().chain(&ends.1.cidrs).copied());
            }
        }
        for found in network.transit_attachments.all(view) {
            if let (Some(vpc), Some(gateway)) = (&found.value.vpc_id, &found.value.gateway_id) {
                let disabled = found.value.security_group_referencing.as_deref() == Some("disable");
                owners.transit.entry_ref(vpc.as_str()).or_default().push((gateway.clone(), disabled));
            }
        }
        owners
    }

    /// Whether a transit gateway between two VPCs surely lets no inbound rule refer to groups: their attachments are known,
    /// and on each gateway that both have, one of the two does not support it. Gateways that are peered never do (spec 2.4).
    fn transit_forbids(&self, one: &str, other: &str) -> bool {
        let (Some(ours), Some(theirs)) = (self.transit.get(one), self.transit.get(other)) else {
            return false;
        };
        ours.iter().all(|(gateway, disabled)| {
            theirs.iter().all(|(their, their_disabled)| their != gateway || *disabled || *their_disabled)
        })
    }

    /// What is known of `remote` as seen from an interface in `own_vpc`; `route` is where the interface's subnet sends
    /// packets for it, as far as that is known.
    ///
    /// Owners in the own VPC win, since its local route does; then peered VPCs. An owner elsewhere is reached through a
    /// transit gateway, over which only inbound rules may refer to groups, and only when enabled on the gateway and both
    /// attachments (documented): maybe, where none of these is known to lack it. Peering between Regions preserves no
    /// reference either way.
    pub(super) fn identity<'a>(
        &'a self,
        own_vpc: Option<&str>,
        direction: Direction,
        remote: &'a IpAddr,
        route: impl Fn() -> Option<RouteKind>,
    ) -> Identity<'a> {
        let holders = || self.holders(remote);
        let here = holders().filter(|owner| match (&owner.vpc, own_vpc) {
            (Some(vpc), Some(own)) => vpc == own,
            _ => true,
        });
        if let Some(identity) = of_holders(here) {
            return identity;
        }
        let in_own_vpc = own_vpc.and_then(|own| self.vpcs.get(own)).filter(|vpc| vpc.holds(remote));
        if let Some(vpc) = in_own_vpc {
            return if vpc.covered { Identity::Nobody } else { Identity::Unknown };
        }
        let over_transit = direction.is_egress() && route() == Some(RouteKind::Transit);
        if over_transit {
            return Identity::Nobody;
        }
        let joined = |pairs: &HashSet<(String, String)>, vpc: &Option<String>| match (vpc, own_vpc) {
            (Some(vpc), Some(own)) => pairs.contains(&(own.to_string(), vpc.clone())),
            _ => false,
        };
        let is_peer = |vpc: &Option<String>| joined(&self.peered, vpc);
        if let Some(identity) = of_holders(holders().filter(|owner| is_peer(&owner.vpc))) {
            return identity;
        }
        let mut groups: Vec<&str> = Vec::new();
        let mut elsewhere = false;
        for owner in holders() {
            elsewhere = true;
            let forbidden = self.peerings_known
                && owner.vpc.as_deref().zip(own_vpc).is_some_and(|(vpc, own)| self.transit_forbids(own, vpc));
            if forbidden || joined(&self.far_peered, &owner.vpc) {
                continue;
            }
            if !owner.groups_known {
                return Identity::Unknown;
            }
            groups.extend(owner.groups.iter().map(String::as_str));
        }
        if elsewhere {
            let only_transit = self.peerings_known && direction.is_egress();
            return if only_transit || groups.is_empty() {
                Identity::Nobody
            } else {
                Identity::MaybeMember(groups)
            };
        }
        let mut others = self.vpcs.values().filter(|vpc| vpc.holds(remote)).peekable();
        if others.peek().is_some() {
            return if others.all(|vpc| vpc.covered) { Identity::Nobody } else { Identity::Unknown };
        }
        let behind_peering = self.peer_blocks.iter().any(|block| block.contains(remote));
        // A private address of a VPC that no input describes. Global IPv6 addresses outside every known VPC are taken for
        // the internet's, although a VPC that is not described may hold them: else no rule that refers to a group could
        // ever be excluded for IPv6.
        if behind_peering || is_private(remote) { Identity::Unknown } else { Identity::Nobody }
    }

    /// Whether `remote` is a private address of some known interface.
    pub fn is_known(&self, remote: &IpAddr) -> bool {
        self.holders(remote).next().is_some()
    }

    fn holders<'a>(&'a self, remote: &'a IpAddr) -> impl Iterator<Item = &'a Owner> + Clone {
        let direct = self.by_address.get(remote).into_iter().flatten();
        let prefixes = self.delegated_lengths.iter().filter_map(|len| Prefix::new(*remote, *len));
        let delegated = prefixes.filter_map(|prefix| self.delegated.get(&prefix)).flatten();
        direct.chain(delegated).filter_map(|at| self.owners.get(*at))
    }

    /// Whether `remote` lies in a block of some known VPC of its family.
    pub fn in_some_vpc(&self, remote: &IpAddr) -> bool {
        self.vpcs.values().any(|vpc| vpc.holds(remote))
    }

    /// Whether the VPC's blocks are known for the family, and hold `remote`; `None` when they are not known.
    pub fn in_vpc(&self, vpc: &str, remote: &IpAddr) -> Option<bool> {
        let known = self.vpcs.get(vpc)?;
        let family = Family::of(remote);
        if known.cidrs.is_empty() {
            return None;
        }
        Some(known.cidrs.iter().any(|cidr| cidr.family() == family && cidr.contains(remote)))
    }
}

/// The one holder of an address in a VPC. Addresses are used again: of several interfaces that were captured with it at
/// different times the one that is known to have existed at the moment holds it, and where that is none or they are several,
/// it may be any of them (spec 2.4: membership at the record's time).
fn of_holders<'a>(holders: impl Iterator<Item = &'a Owner> + Clone) -> Option<Identity<'a>> {
    let sure = holders.clone().any(|owner| owner.in_force);
    let mut holders = holders.filter(|owner| owner.in_force || !sure);
    let first = holders.next()?;
    let mut others = holders.filter(|owner| owner.groups != first.groups || !owner.groups_known).peekable();
    if others.peek().is_none() || !first.groups_known {
        return Some(first.identity());
    }
    let mut groups: Vec<&str> = first.groups.iter().map(String::as_str).collect();
    for other in others {
        if !other.groups_known {
            return Some(Identity::Unknown);
        }
        groups.extend(other.groups.iter().map(String::as_str));
    }
    Some(Identity::MaybeMember(groups))
}

impl Owner {
    fn identity(&self) -> Identity<'_> {
        if !self.groups_known {
            return Identity::Unknown;
        }
        let groups = self.groups.iter().map(String::as_str).collect();
        if self.in_doubt { Identity::MaybeMember(groups) } else { Identity::Member(groups) }
    }
}

impl KnownVpc {
    /// To be called when its blocks are complete: without describe-vpcs they are those of hundreds of subnets.
    fn settle(&mut self) {
        self.ranges = self.cidrs.iter().map(Prefix::range).collect();
        self.ranges.sort_unstable();
        // All addresses of version 4 come before those of version 6, so no range holds both.
        self.ranges.dedup_by(|next, last| {
            let joined = next.0 <= last.1;
            if joined {
                last.1 = last.1.max(next.1);
            }
            joined
        });
    }

    fn holds(&self, remote: &IpAddr) -> bool {
        let next = self.ranges.partition_point(|(first, _)| first <= remote);
        let range = next.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(_, last)| remote <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = (0u32..1024).prop_map(|low| IpAddr::V4((0x0A00_0000 + low).into()));
        let v6 = (0u128..64).prop_map(|low| IpAddr::V6(((0x2001_0db8 << 96) + low).into()));
        let ends = prop::sample::select(vec!["0.0.0.0", "255.255.255.255", "::", "ffff::"]);
        prop_oneof![4 => v4, 2 => v6, 1 => ends.prop_map(|addr| addr.parse().unwrap())]
    }

    proptest! {
        #[test]
        fn ranges_hold_what_the_blocks_hold(
            blocks in prop::collection::vec((address(), 20u8..=32, 118u8..=128), 0..12),
            all in prop::option::of(any::<bool>()),
            asked in prop::collection::vec(address(), 1..40),
        ) {
            let block = |(addr, short, long): (IpAddr, u8, u8)| {
                Prefix::new(addr, if addr.is_ipv4() { short } else { long })
            };
            let mut cidrs: Vec<Prefix> = blocks.into_iter().filter_map(block).collect();
            cidrs.extend(all.map(|v6| Prefix::any(if v6 { Family::V6 } else { Family::V4 })));
            let mut vpc = KnownVpc { cidrs, ..KnownVpc::default() };
            vpc.settle();
            for addr in asked {
                prop_assert_eq!(vpc.holds(&addr), vpc.cidrs.iter().any(|cidr| cidr.contains(&addr)), "{}", addr);
            }
        }
    }
}
