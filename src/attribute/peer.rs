//! How a rule had better name what is at the other end.

use crate::rules::InterfaceRules;

/// The group by which a rule had better name what is at the other end: the nodes of a load balancer and the interfaces of
/// endpoints and functions come and go with their addresses (spec 5.5), and references hold within a VPC (spec 2.4).
pub(crate) fn group_of_peer(peer: &InterfaceRules, own: &InterfaceRules) -> Option<String> {
    let interface = &peer.interface;
    let balancer = interface.balancer_name().is_some();
    let managed = balancer || interface.is_endpoint() || interface.is_type("lambda");
    carried(peer, own).filter(|_| managed)
}

/// A group of the other end that a rule may name in place of its address: references hold within a VPC.
pub(crate) fn carried(peer: &InterfaceRules, own: &InterfaceRules) -> Option<String> {
    let interface = &peer.interface;
    let same = interface.vpc_id.is_some() && interface.vpc_id == own.interface.vpc_id;
    interface.group_ids.first().filter(|_| same).cloned()
}
