//! Which way packets take between whoever asks and a holder of an address, as far as references to groups depend on it.

use super::Owners;
use crate::network::NetworkInterface;
use crate::rules::packet::{Direction, Ternary};
use crate::rules::routes::{RouteKind, Routes};
use std::net::IpAddr;

/// Who asks whose address a remote is.
pub(in crate::rules) struct Asker<'a> {
    pub(in crate::rules) interface: &'a NetworkInterface,
    pub(in crate::rules) direction: Direction,
    /// The routes of its subnet, where they are known.
    pub(in crate::rules) routes: Option<&'a Routes>,
    /// Groups that its rules refer to and whose members may be anywhere ([`Owners::foreign`]).
    pub(in crate::rules) foreign: &'a [String],
}

impl Asker<'_> {
    pub(super) fn vpc(&self) -> Option<&str> {
        self.interface.vpc_id.as_deref()
    }

    /// Its address of the remote's family, which the remote's packets are routed to.
    pub(super) fn own(&self, remote: &IpAddr) -> Option<IpAddr> {
        let addresses = self.interface.primary.iter().chain(&self.interface.addresses);
        addresses.copied().find(|own| own.is_ipv4() == remote.is_ipv4())
    }
}

/// Whether the packets of a flow go through an appliance on their way between two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Direct,
    /// Only those of the other direction surely do.
    Unsure,
    Diverted,
}

impl Owners {
    /// Whether a transit gateway between two VPCs surely lets no inbound rule refer to groups: their attachments are known,
    /// and on each gateway that both have, one of the two does not support it. Gateways that are peered never do (spec 2.4).
    pub(super) fn transit_forbids(&self, one: &str, other: &str) -> bool {
        let (Some(ours), Some(theirs)) = (self.transit.get(one), self.transit.get(other)) else {
            return false;
        };
        let lacks = |supports: &Option<bool>| *supports == Some(false);
        ours.iter().all(|(gateway, supports)| {
            theirs.iter().all(|(their, theirs)| their != gateway || lacks(supports) || lacks(theirs))
        })
    }

    /// Whether every transit gateway between two VPCs surely lets inbound rules refer to groups: it and both attachments do.
    pub(super) fn transit_allows(&self, one: &str, other: &str) -> bool {
        let (Some(ours), Some(theirs)) = (self.transit.get(one), self.transit.get(other)) else {
            return false;
        };
        let pairs = || ours.iter().flat_map(|one| theirs.iter().map(move |other| (one, other)));
        let mut common = pairs().filter(|(one, other)| one.0 == other.0).peekable();
        common.peek().is_some() && common.all(|(one, other)| one.1 == Some(true) && other.1 == Some(true))
    }

    /// Whether packets between the asker and a holder of `remote` take a transit gateway: the sender's routes decide, and where
    /// these are not known those of the answers leave it open.
    pub(super) fn over_transit(
        &self,
        asker: &Asker<'_>,
        remote: &IpAddr,
        holder: &NetworkInterface,
    ) -> Ternary {
        let kind = |routes: &Routes, to: &IpAddr| routes.kind_to(to);
        let outward = asker.routes.map(|routes| kind(routes, remote) == RouteKind::Transit);
        let inward = || match self.transiting.get(holder.subnet_id.as_ref()?)? {
            None => Some(false),
            Some(routes) => Some(kind(routes, &asker.own(remote)?) == RouteKind::Transit),
        };
        match (asker.direction.is_egress(), outward) {
            (true, Some(over)) => Ternary::from(over),
            (true, None) => Ternary::No,
            (false, outward) => match (inward(), outward) {
                (Some(over), _) => Ternary::from(over),
                (None, Some(true)) => Ternary::Maybe,
                (None, _) => Ternary::No,
            },
        }
    }

    /// Which way the packets take between the asker and a holder of `remote` (spec 2.4: "through a middlebox between the
    /// subnets"). Their sender's routes decide; where only those of the answers lead through an appliance, what becomes of
    /// the reference is not documented.
    pub(super) fn path(&self, asker: &Asker<'_>, remote: &IpAddr, holder: &NetworkInterface) -> Path {
        if holder.subnet_id.is_some() && holder.subnet_id == asker.interface.subnet_id {
            return Path::Direct;
        }
        let ends = [Some(asker.interface), Some(holder)];
        let outward = asker.routes.is_some_and(|routes| routes.diverts(remote, ends));
        let inward = holder
            .subnet_id
            .as_ref()
            .and_then(|subnet| self.diverting.get(subnet))
            .is_some_and(|routes| asker.own(remote).is_some_and(|own| routes.diverts(&own, ends)));
        let (there, back) = if asker.direction.is_egress() { (outward, inward) } else { (inward, outward) };
        match (there, back) {
            (true, _) => Path::Diverted,
            (false, true) => Path::Unsure,
            (false, false) => Path::Direct,
        }
    }
}
