//! Which of several routes a packet takes: the longest prefix, then static routes, those to prefix lists and at last propagated ones;
//! and the local route before every propagated one, however narrow that is (VPC guide, "How route priority works", and the
//! Site-to-Site VPN guide, "Route tables and AWS Site-to-Site VPN route priority").

use super::{Destination, Route, RouteTable};
use crate::net::Prefix;

/// Of routes to blocks of one length the greatest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// Made by a virtual private gateway.
    Propagated,
    /// To a prefix list.
    PrefixList,
    /// To a block.
    Static,
}

impl Route {
    /// Where it stands among routes to blocks of one length.
    pub fn preference(&self) -> Preference {
        match (&self.destination, self.propagated) {
            (_, true) => Preference::Propagated,
            (Destination::PrefixList(_), false) => Preference::PrefixList,
            (Destination::Cidr(_), false) => Preference::Static,
        }
    }
}

impl RouteTable {
    /// Whether no packet takes this route to a block, since a local route holds all of it.
    pub fn is_overruled(&self, route: &Route, block: &Prefix) -> bool {
        route.propagated && self.routes.iter().any(|other| other.is_local_for(block))
    }
}

impl Route {
    fn is_local_for(&self, block: &Prefix) -> bool {
        let Destination::Cidr(own) = &self.destination else { return false };
        self.target == "local" && own.prefix_len() <= block.prefix_len() && own.contains(&block.network())
    }
}
