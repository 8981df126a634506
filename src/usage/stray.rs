//! Accepted traffic of interfaces that the configuration lacks: it came and went (Auto Scaling), or was never captured. Its network ACL
//! is that of the subnet, which the record names or the address lies in; which groups let it pass is not known.

use super::conversation::Totals;
use super::role::{Certainty, Side, side};
use crate::attribute::Record;
use crate::network::{Network, Remote, SecurityGroupRule, Timestamp, View};
use crate::rules::{Direction, Packet, Ternary, match_traffic};
use hashbrown::HashMap;
use std::net::IpAddr;

/// The newest version of what is asked for.
pub(super) const NEWEST: View = View { at: Timestamp::MAX, after: false };

/// A thread keeps no more than so many apart.
const MOST: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    /// The interface with its subnet, by number.
    place: u32,
    direction: Option<Direction>,
    side: Option<Side>,
    protocol: u8,
    src: IpAddr,
    dst: IpAddr,
    /// First ports of the stretches that no rule cuts; `None` where the record shows none.
    ports: Option<(u16, u16)>,
}

/// What was gathered of them.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// Interface and subnet, as the records name them.
    places: HashMap<(String, Option<String>), u32>,
    flows: HashMap<Flow, Totals>,
    /// There were more.
    overflown: bool,
}

/// Packets of such an interface.
#[derive(Debug, Clone)]
pub(super) struct Stray<'s> {
    pub(super) interface_id: &'s str,
    /// Its subnet, if it is known.
    pub(super) subnet_id: Option<String>,
    /// The record tells the subnet and the direction.
    pub(super) sure: bool,
    pub(super) packet: Packet,
    pub(super) side: Option<Side>,
    /// The port of the other direction's packets.
    pub(super) back: Option<u16>,
    pub(super) totals: Totals,
}

impl Strays {
    /// Takes an accepted record in; `first_port` is the first of the ports that no rule tells from one.
    pub(super) fn observe(&mut self, record: &Record<'_>, first_port: impl Fn(u16) -> u16) {
        let ends = record.packet_src.or(record.src).zip(record.packet_dst.or(record.dst));
        let Some((id, (src, dst))) = record.interface_id.zip(ends) else { return };
        let (side, certainty) = match side(record) {
            Some((side, certainty)) => (Some(side), certainty),
            None => (None, Certainty::Guess),
        };
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let key = (id.to_owned(), record.subnet_id.map(str::to_owned));
        let flow = Flow {
            place: *self.places.entry(key).or_insert(next),
            direction: record.direction,
            side,
            protocol: record.protocol,
            src,
            dst,
            ports: record.ports_known().then(|| (first_port(record.src_port), first_port(record.dst_port))),
        };
        self.add(flow, Totals::of(record, certainty));
    }

    fn add(&mut self, flow: Flow, totals: Totals) {
        if let Some(known) = self.flows.get_mut(&flow) {
            known.add(&totals);
        } else if self.flows.len() < MOST {
            self.flows.insert(flow, totals);
        } else {
            self.overflown = true;
        }
    }

    pub(super) fn merge(&mut self, other: Strays) {
        self.overflown |= other.overflown;
        let mut places: HashMap<u32, u32> = HashMap::new();
        for (place, number) in other.places {
            let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            places.insert(number, *self.places.entry(place).or_insert(next));
        }
        for (flow, totals) in other.flows {
            let place = places.get(&flow.place).copied().unwrap_or(u32::MAX);
            self.add(Flow { place, ..flow }, totals);
        }
    }

    /// The bytes it holds, about.
    pub(super) fn memory(&self) -> usize {
        const PLACE: usize = 128;
        let flows = self.flows.capacity().saturating_mul(std::mem::size_of::<(Flow, Totals)>());
        flows.saturating_add(self.places.capacity().saturating_mul(PLACE))
    }

    /// Whether there were more than are kept.
    pub(super) fn is_overflown(&self) -> bool {
        self.overflown
    }

    /// The packets, each way that they may have gone, in an order of their own.
    pub(super) fn packets<'s>(&'s self, network: &Network) -> Vec<Stray<'s>> {
        let mut names: Vec<Option<&(String, Option<String>)>> = vec![None; self.places.len()];
        for (place, number) in &self.places {
            if let Some(slot) = names.get_mut(*number as usize) {
                *slot = Some(place);
            }
        }
        let subnets = Subnets::of(network);
        let mut found = Vec::new();
        for (flow, totals) in &self.flows {
            let Some((interface_id, named)) = names.get(flow.place as usize).copied().flatten() else {
                continue;
            };
            let ways = [Direction::Ingress, Direction::Egress].map(|direction| {
                let (local, remote) = match direction {
                    Direction::Ingress => (flow.dst, flow.src),
                    Direction::Egress => (flow.src, flow.dst),
                };
                (direction, remote, subnets.unique(&local))
            });
            // Without a direction, an end within a subnet is the interface's, where the other is not.
            let within = ways.iter().filter(|(.., subnet)| subnet.is_some()).count();
            for (direction, remote, subnet) in ways {
                let is_way = flow.direction.map_or(within != 1 || subnet.is_some(), |own| own == direction);
                if !is_way {
                    continue;
                }
                let port = flow.ports.map(|(_, dst)| dst);
                found.push(Stray {
                    interface_id,
                    subnet_id: named.clone().or_else(|| subnet.map(str::to_owned)),
                    sure: named.is_some() && flow.direction.is_some(),
                    packet: Packet { direction, remote, protocol: flow.protocol, port, icmp: None },
                    side: flow.side,
                    back: flow.ports.map(|(src, _)| src),
                    totals: *totals,
                });
            }
        }
        let order = |one: &Stray<'_>| {
            let packet = one.packet;
            (packet.direction, packet.protocol, packet.port, packet.remote, one.back)
        };
        found.sort_by(|one, other| {
            order(one).cmp(&order(other)).then_with(|| one.interface_id.cmp(other.interface_id))
        });
        found
    }
}

impl Stray<'_> {
    /// Whether it may be what a group let pass, and not an answer.
    pub(super) fn may_begin(&self) -> bool {
        self.side != Some(Side::Reply)
    }
}

/// Blocks of subnets.
struct Subnets<'n> {
    blocks: Vec<(crate::net::Prefix, &'n str)>,
}

impl<'n> Subnets<'n> {
    fn of(network: &'n Network) -> Self {
        let subnets = network.subnets.timelines();
        let newest = subnets.filter_map(|(id, timeline)| Some((id, timeline.pick(NEWEST)?.value)));
        let blocks = newest.flat_map(|(id, subnet)| subnet.cidrs.iter().map(move |block| (*block, id)));
        Subnets { blocks: blocks.collect() }
    }

    /// The only subnet that an address lies in.
    fn unique(&self, address: &IpAddr) -> Option<&'n str> {
        let mut within = self.blocks.iter().filter(|(block, _)| block.contains(address));
        let found = within.next()?;
        within.all(|(_, id)| *id == found.1).then_some(found.1)
    }
}

/// Whether a rule may let a packet pass, for all that is known of the addresses that it means.
pub(super) fn may_pass(network: &Network, rule: &SecurityGroupRule, packet: &Packet) -> bool {
    if rule.egress != packet.direction.is_egress() || match_traffic(&rule.traffic, packet).0 == Ternary::No {
        return false;
    }
    match &rule.remote {
        Remote::Cidr(block) => block.contains(&packet.remote),
        Remote::PrefixList(id) => {
            let list = network.prefix_lists.get(id, NEWEST);
            let entries = list.and_then(|list| list.value.entries.as_ref());
            entries.is_none_or(|entries| entries.iter().any(|entry| entry.contains(&packet.remote)))
        }
        Remote::Group(_) | Remote::Unreadable(_) => true,
    }
}

/// The VPC of a subnet.
pub(super) fn vpc_of<'n>(network: &'n Network, subnet: &str) -> Option<&'n str> {
    network.subnets.get(subnet, NEWEST)?.value.vpc_id.as_deref()
}

#[cfg(test)]
#[path = "stray_tests.rs"]
mod tests;
