//! What a builder has read so far: how many readings of each kind, and of which moments.

use super::{NetworkBuilder, Piece, Readings};
use crate::network::history::Timestamp;

/// The moments of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moments {
    /// The earliest capture.
    pub first: Option<Timestamp>,
    /// The latest capture.
    pub last: Option<Timestamp>,
    /// Readings without a time.
    pub undated: usize,
}

impl Moments {
    fn add(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else {
            self.undated = self.undated.saturating_add(1);
            return;
        };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

/// Something read, whichever its kind.
struct Tally {
    counts: Vec<(&'static str, usize)>,
    moments: Moments,
}

impl Tally {
    fn add(&mut self, kind: &'static str, times: impl Iterator<Item = Option<Timestamp>>) {
        let mut count = 0usize;
        for at in times {
            count = count.saturating_add(1);
            self.moments.add(at);
        }
        if count > 0 {
            self.counts.push((kind, count));
        }
    }
}

fn times<T>(readings: &Readings<T>) -> impl Iterator<Item = Option<Timestamp>> + '_ {
    readings.values().flatten().map(|reading| reading.at)
}

fn piece_times<T>(pieces: &[Piece<T>]) -> impl Iterator<Item = Option<Timestamp>> + '_ {
    pieces.iter().map(|piece| piece.at)
}

impl NetworkBuilder {
    /// Readings of each kind so far, by the names of the configuration tables where there is one; an object that was
    /// captured twice counts twice.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        self.tally().counts
    }

    /// Of which moments they are.
    pub fn moments(&self) -> Moments {
        self.tally().moments
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally { counts: Vec::new(), moments: Moments::default() };
        tally.add("network_interfaces", times(&self.interfaces));
        tally.add("security_groups", times(&self.groups));
        tally.add("security_group_rules", piece_times(&self.rule_pieces));
        tally.add("network_acls", times(&self.acls));
        tally.add("subnets", times(&self.subnets));
        tally.add("vpcs", times(&self.vpcs));
        tally.add("prefix_lists", times(&self.prefix_lists));
        tally.add("prefix list contents", piece_times(&self.list_pieces));
        tally.add("route tables", times(&self.route_tables));
        tally.add("peering connections", times(&self.peerings));
        tally.add("transit gateway attachments", times(&self.transit_attachments));
        tally.add("transit gateway route tables", times(&self.transit_tables));
        tally.add("transit gateways", piece_times(&self.gateway_pieces));
        tally.add("instances", times(&self.instances));
        tally.add("load balancers", times(&self.load_balancers));
        tally.add("target groups", times(&self.target_groups));
        tally.add("listeners", piece_times(&self.listener_pieces));
        tally.add("target health lists", piece_times(&self.health_pieces));
        tally.add("target group attributes", piece_times(&self.attribute_pieces));
        tally.add("stale references", piece_times(&self.stale_pieces));
        tally.add("block public access options", times(&self.bpa_options));
        tally.add("block public access exclusions", times(&self.bpa_exclusions));
        tally.add("security group associations", times(&self.group_associations));
        tally.add("network ACL associations", times(&self.acl_associations));
        tally
    }
}
