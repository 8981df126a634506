//! How well rules were observed: which actions the logs of which VPC hold, and whether they hold all interfaces.

use super::super::book::{Rule, RuleBook};
use super::super::traffic::Traffic;
use super::Observed;
use crate::network::{Network, Origin};
use hashbrown::HashSet;

/// Which actions the logs of which VPC hold.
pub(super) struct Logged {
    /// Interfaces were captured, and there are no records of others.
    complete: bool,
    vpc_of: Vec<Option<String>>,
    accepts: HashSet<Option<String>>,
    rejects: HashSet<Option<String>>,
}

impl Logged {
    pub(super) fn new(traffic: &Traffic, network: &Network) -> Logged {
        let timelines = || network.interfaces.timelines().flat_map(|(_, timeline)| timeline.versions());
        let captured = timelines().any(|version| version.origin != Origin::Terraform);
        let complete = captured && traffic.counts().outside == 0;
        let mut logged =
            Logged { complete, vpc_of: Vec::new(), accepts: HashSet::new(), rejects: HashSet::new() };
        for (number, (_, timeline)) in (0u32..).zip(network.interfaces.timelines()) {
            let versions = timeline.versions().iter().rev();
            let vpc =
                versions.filter_map(|version| version.value.as_ref()).find_map(|one| one.vpc_id.clone());
            let (accepts, rejects) = traffic.presence().actions(number);
            if accepts {
                logged.accepts.insert(vpc.clone());
            }
            if rejects {
                logged.rejects.insert(vpc.clone());
            }
            logged.vpc_of.push(vpc);
        }
        logged
    }

    pub(super) fn observed(&self, rule: &Rule, book: &RuleBook, traffic: &Traffic) -> Observed {
        let Some(interfaces) = book.interfaces.get(rule.object_id()) else {
            let interfaces_complete = self.complete && is_whole(rule, traffic);
            return Observed { interfaces_complete, ..Observed::default() };
        };
        let presence = traffic.presence();
        let actions = if rule.denies() { &self.rejects } else { &self.accepts };
        let share: f64 = interfaces.iter().map(|number| presence.share(*number)).sum();
        Observed {
            interfaces: interfaces.len(),
            seen: interfaces.iter().filter(|number| presence.is_seen(**number)).count(),
            coverage: Some(share / interfaces.len().max(1) as f64),
            action_logged: interfaces
                .iter()
                .filter_map(|number| self.vpc_of.get(*number as usize))
                .any(|vpc| actions.contains(vpc)),
            interfaces_complete: self.complete && is_whole(rule, traffic),
        }
    }
}

/// Whether all interfaces of the VPC of a rule's group or list were captured.
fn is_whole(rule: &Rule, traffic: &Traffic) -> bool {
    let plan = traffic.plan();
    let (network, id) = (plan.network(), rule.object_id());
    let group = || network.groups.timeline(id)?.known().last()?.1.vpc_id.clone();
    let acl = || network.acls.timeline(id)?.known().last()?.1.vpc_id.clone();
    network.interfaces_whole(group().or_else(acl).as_deref())
}
