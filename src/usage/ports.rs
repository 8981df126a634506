//! Stretches of ports within which no rule begins or ends: all ports of one are alike to every rule.

use crate::net::PortRange;
use crate::network::{Network, Traffic};
use std::collections::BTreeSet;

/// For each port the first port of its stretch.
#[derive(Debug, Clone)]
pub(super) struct Stretches {
    first_of: Vec<u16>,
}

impl Stretches {
    /// By the rules of all versions of these networks.
    pub(super) fn new(networks: &[&Network]) -> Stretches {
        let mut starts: BTreeSet<u16> = BTreeSet::from([0]);
        let mut cut = |traffic: &Traffic| {
            if let Traffic::Ports { ports, .. } = traffic {
                starts.insert(ports.first());
                starts.extend(ports.last().checked_add(1));
            }
        };
        for network in networks {
            for (_, timeline) in network.groups.timelines() {
                timeline.known().flat_map(|(_, group)| &group.rules).for_each(|rule| cut(&rule.traffic));
            }
            for (_, timeline) in network.acls.timelines() {
                timeline.known().flat_map(|(_, acl)| &acl.entries).for_each(|entry| cut(&entry.traffic));
            }
        }
        let mut first = 0;
        let first_of = (0..=u16::MAX)
            .map(|port| {
                if starts.contains(&port) {
                    first = port;
                }
                first
            })
            .collect();
        Stretches { first_of }
    }

    /// The first port of the stretch that holds this one: it stands for all of them.
    pub(super) fn first(&self, port: u16) -> u16 {
        self.first_of.get(usize::from(port)).copied().unwrap_or(port)
    }

    /// The whole stretch.
    pub(super) fn stretch(&self, port: u16) -> PortRange {
        let first = self.first(port);
        let next = self.first_of.iter().skip(usize::from(port)).position(|other| *other != first);
        let last = next
            .and_then(|steps| u16::try_from(steps).ok())
            .and_then(|steps| port.checked_add(steps)?.checked_sub(1))
            .unwrap_or(u16::MAX);
        PortRange::new(first, last).unwrap_or(PortRange::single(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::Fixture;

    #[test]
    fn stretches_are_cut_where_rules_begin_and_end() {
        let network = Fixture::new("sg-1 in tcp 22 10.0.0.0/8\nsg-1 in tcp 1024-65535 10.0.0.0/8").network();
        let stretches = Stretches::new(&[&network]);
        let of = |port| {
            let range = stretches.stretch(port);
            (range.first(), range.last())
        };
        assert_eq!(of(0), (0, 21));
        assert_eq!(of(22), (22, 22));
        assert_eq!(of(443), (23, 1023));
        assert_eq!(of(65535), (1024, 65535));
        assert_eq!(stretches.first(40_000), 1024);
    }
}
