//! Whose interface each end of a flow is. Address blocks are used again, so several interfaces may hold one address: then
//! the one that the other end can reach is meant.

use std::net::IpAddr;

use super::walk::{End, Local, Walk};
use crate::network::{Network, NetworkInterface, View};

/// How the VPCs of two interfaces are joined, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Joined {
    Same,
    Peered,
    Attached,
    Not,
}

/// An interface that holds an address, and whether it is a public one.
type Holder<'n> = (&'n NetworkInterface, bool);

impl<'n> Walk<'n> {
    pub(super) fn ends(&mut self, src: IpAddr, dst: IpAddr) -> (End, End) {
        let (sources, targets) = (self.candidates(&src), self.candidates(&dst));
        let pairs = (sources.iter().enumerate()).flat_map(|(at, source)| {
            targets.iter().enumerate().map(move |(to, target)| (at, to, source, target))
        });
        let closest = pairs.map(|(at, to, source, target)| (self.joined(*source, *target), at, to)).min();
        let (joined, at, to) = closest.unwrap_or((Joined::Not, 0, 0));
        (self.end(src, &sources, at, joined), self.end(dst, &targets, to, joined))
    }

    /// The interfaces that hold an address, or the one that was asked for.
    fn candidates(&self, addr: &IpAddr) -> Vec<Holder<'n>> {
        let holders = self.network.holders(addr, self.view);
        let asked = holders.iter().find(|(one, _)| Some(&one.id) == self.flow.interface.as_ref()).copied();
        asked.map_or(holders, |asked| vec![asked])
    }

    fn joined(&self, one: Holder<'_>, other: Holder<'_>) -> Joined {
        // To a public address it does not matter which VPC it is in; to a private one no source is translated.
        let (Some(near), Some(far), false) = (&one.0.vpc_id, &other.0.vpc_id, other.1) else {
            return Joined::Not;
        };
        let attached = || {
            let near = self.transit_gateways(near);
            self.transit_gateways(far).iter().any(|gateway| near.contains(gateway))
        };
        let is_peered = || self.network.peerings.all(self.view).any(|found| found.value.joins(near, far));
        match near == far {
            true => Joined::Same,
            false if is_peered() => Joined::Peered,
            false if attached() => Joined::Attached,
            false => Joined::Not,
        }
    }

    fn end(&mut self, addr: IpAddr, holders: &[Holder<'n>], at: usize, joined: Joined) -> End {
        let Some((interface, by_public)) = holders.get(at).copied() else {
            return End { seen: addr, local: None };
        };
        if holders.len() > 1 {
            let all: Vec<&str> = holders.iter().map(|(interface, _)| interface.id.as_str()).collect();
            let why = match joined {
                Joined::Same => "in the other end's VPC",
                Joined::Peered => "whose VPC is peered with the other end's",
                Joined::Attached => "whose VPC has a transit gateway in common with the other end's",
                Joined::Not => "the first",
            };
            self.not_checked.push(format!(
                "{addr} is held by {}: {}, {why}, was taken (--eni chooses)",
                all.join(", "),
                interface.id
            ));
        }
        let own = if by_public { interface.private_of(&addr) } else { Some(addr) };
        let local = own.and_then(|own| {
            let rules = self.engine.interface(&interface.id, self.view)?;
            Some(Local { rules, own, by_public })
        });
        End { seen: addr, local }
    }
}

/// Interfaces that hold an address of an end and are neither: networks of other accounts often have the same blocks.
pub(super) fn strangers(network: &Network, view: View, ends: [&End; 2]) -> Vec<String> {
    let own: Vec<&str> =
        ends.iter().filter_map(|end| Some(end.local.as_ref()?.rules.interface.id.as_str())).collect();
    let held = ends.iter().filter(|end| end.local.is_some()).flat_map(|end| known_as(end));
    let mut ids: Vec<String> = held
        .flat_map(|addr| network.holders(&addr, view))
        .map(|(interface, _)| interface.id.clone())
        .filter(|id| !own.contains(&id.as_str()))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Every address by which records may show an end.
pub(super) fn known_as(end: &End) -> Vec<IpAddr> {
    let mut addresses = vec![end.seen];
    if let Some(local) = &end.local {
        addresses.push(local.own);
        // A record shows the primary address instead of a secondary one (spec 4.2).
        addresses.extend(local.rules.interface.primary);
        addresses.extend(&local.rules.interface.public_addresses);
    }
    addresses.retain(|addr| addr.is_ipv4() == end.seen.is_ipv4());
    addresses
}
