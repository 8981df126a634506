//! What is known of a remote address as a member of groups, and what a rule that refers to one makes of it (spec 2.4).

use super::packet::Ternary;
use crate::network::GroupReference;

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
    /// That, and its packets may come through load balancers of these groups, which let them pass as their own do.
    Behind(Box<Identity<'a>>, Vec<&'a str>),
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
            Identity::Behind(own, groups) => match own.carries(reference) {
                Ternary::No if named(groups) => Ternary::Maybe,
                carried => carried,
            },
        }
    }
}

/// Whether the reference's peering connection is gone (spec 2.4).
pub(crate) fn is_stale(reference: &GroupReference) -> bool {
    reference.peering_status.as_deref().is_some_and(is_gone)
}

/// Whether a peering connection in this state carries nothing.
pub(super) fn is_gone(status: &str) -> bool {
    !matches!(status, "active" | "provisioning")
}

#[cfg(test)]
mod tests {
    use crate::network::{Remote, View};
    use crate::rules::fixture::Fixture;
    use crate::rules::{Decision, Direction, Engine, Packet};

    #[test]
    fn a_reference_over_a_peering_connection_that_is_gone_matches_nothing() {
        // Spec 2.4 and 6.6: usable only when active; the members' interfaces are in no capture.
        let decided = |status: &str| {
            let mut fixture = Fixture::new(
                "vpc vpc-1 10.0.0.0/16
                 subnet subnet-1 vpc-1 10.0.1.0/24
                 eni eni-a subnet-1 10.0.1.10 groups=sg-a
                 peering pcx-1 vpc-1 vpc-2
                 sg-a in tcp 22 sg-far",
            );
            fixture.peerings.get_mut("pcx-1").unwrap().status = Some(status.to_owned());
            let rule = &mut fixture.groups.get_mut("sg-a").unwrap().rules[0];
            let Remote::Group(reference) = &mut rule.remote else { panic!("{:?}", rule.remote) };
            reference.peering_id = Some("pcx-1".to_owned());
            let network = fixture.network();
            let mut engine = Engine::new(&network);
            let rules = engine.interface("eni-a", View { at: 0, after: false }).unwrap();
            let packet = Packet {
                direction: Direction::Ingress,
                remote: "10.9.0.1".parse().unwrap(),
                protocol: 6,
                port: Some(22),
                icmp: None,
            };
            rules.group_verdict(&packet).decision
        };
        assert_eq!(decided("active"), Decision::Unknown);
        assert_eq!(decided("deleted"), Decision::Deny);
        assert_eq!(decided("expired"), Decision::Deny);
    }
}
