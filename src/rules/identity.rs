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
        }
    }
}

/// Whether the reference's peering connection is gone (spec 2.4).
pub(crate) fn is_stale(reference: &GroupReference) -> bool {
    reference.peering_status.as_deref().is_some_and(|status| !matches!(status, "active" | "provisioning"))
}
