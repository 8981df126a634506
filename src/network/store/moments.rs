//! The moments at which what is found in a network changes although no object of it does: they bound its views beside the changes of
//! objects.

use super::Network;
use crate::net::Prefix;
use crate::network::history::{Origin, Timestamp};
use crate::network::model::NetworkAcl;
use hashbrown::HashMap;
use std::sync::Arc;

impl Network {
    /// When interfaces that have an address after or before others begin and end to be known: whose address it is changes there,
    /// although no interface does.
    pub(super) fn handovers(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut first_holder: HashMap<Prefix, usize> = HashMap::new();
        let mut sharing: Vec<usize> = Vec::new();
        for (at, (_, timeline)) in self.interfaces.timelines.iter().enumerate() {
            for (_, interface) in timeline.known() {
                let hosts = interface.addresses.iter().map(|addr| Prefix::host(*addr));
                for block in hosts.chain(interface.prefixes.iter().copied()) {
                    let holder = *first_holder.entry(block).or_insert(at);
                    if holder != at {
                        sharing.extend([holder, at]);
                    }
                }
            }
        }
        sharing.sort_unstable();
        sharing.dedup();
        let mut found = Vec::new();
        for (_, timeline) in sharing.iter().filter_map(|at| self.interfaces.timelines.get(*at)) {
            let versions = timeline.versions();
            let begins = versions.first().map(|version| version.from);
            let ends = versions.last().map(|version| version.to.saturating_add(1));
            let moments = begins.into_iter().chain(ends);
            found
                .extend(moments.filter(|at| *at > Timestamp::MIN && *at < Timestamp::MAX).map(|at| (at, at)));
        }
        found
    }

    /// The changes of load balancers and their targets, where some may hand packets on to which rules for their groups apply.
    pub(super) fn balancer_gaps(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut known = self.load_balancers.timelines.iter().flat_map(|(_, timeline)| timeline.known());
        match known.any(|(_, balancer)| balancer.kind == "network" && !balancer.group_ids.is_empty()) {
            true => self.load_balancers.gaps().chain(self.target_groups.gaps()).collect(),
            false => Vec::new(),
        }
    }

    /// The stretches for which captures of all interfaces of a VPC are known, VPC by VPC: then an address of none belongs to nobody.
    pub(super) fn covered(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut of_vpc: HashMap<&str, Vec<(Timestamp, Timestamp)>> = HashMap::new();
        for (version, interface) in self.interfaces.timelines.iter().flat_map(|(_, line)| line.known()) {
            if let (Some(vpc), Some((from, to))) = (&interface.vpc_id, version.whole) {
                let stretches = of_vpc.entry(vpc.as_str()).or_default();
                // As [`Version::covers`] has it: a describe call shows its own moment.
                match version.origin {
                    Origin::Snapshot => stretches.extend([(from, from), (to, to)]),
                    _ => stretches.push((from, to)),
                }
            }
        }
        let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
        for mut stretches in of_vpc.into_values() {
            stretches.sort_unstable();
            stretches.dedup_by(|next, last| {
                let joined = next.0 <= last.1.saturating_add(1);
                if joined {
                    last.1 = last.1.max(next.1);
                }
                joined
            });
            found.extend(stretches);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where of two lists that both name a subnet, captured at different times, the other becomes the nearer one
    /// ([`Network::acl_of`]).
    pub(super) fn nearer_lists(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut found = Vec::new();
        for (subnet, lists) in self.acl_of_subnet.iter().filter(|(_, lists)| lists.len() > 1) {
            let lists = lists.iter().filter_map(|id| self.acls.timeline(id));
            let names = |list: &Arc<NetworkAcl>| list.subnet_ids.iter().any(|named| named == subnet);
            let stretches = lists.flat_map(|line| line.known()).filter(|(_, list)| names(list));
            let stretches: Vec<_> = stretches.map(|(version, _)| (version.from, version.to)).collect();
            let ends = stretches.iter().map(|(_, to)| *to);
            for (end, begin) in ends.flat_map(|end| stretches.iter().map(move |(from, _)| (end, *from))) {
                // The middle itself may fall to either.
                if end < begin
                    && let Some(half) = begin.checked_sub(end).map(|gap| gap / 2)
                {
                    let middle = end.saturating_add(half);
                    found.extend((0..=2).map(|by| (middle.saturating_add(by), middle.saturating_add(by))));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
