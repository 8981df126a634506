//! Whether a packet passes a network ACL and the security groups of an interface, with three values: what is missing from
//! the configuration makes a match *maybe*, and maybe never becomes no.
//!
//! Two evaluators give the same answers: [`Engine`] compiles an interface's rules into sorted ranges, for millions of
//! records; [`check_acl`] and [`check_groups`] go rule by rule and tell what each rule made of the packet, for explanations
//! and as the compiled form's twin in the tests. What a verdict follows from the answers is in `attribute`.

mod balancers;
mod compiled;
mod engine;
mod explain;
mod identity;
mod interface;
mod known_vpc;
mod matching;
mod numbers;
mod owners;
mod packet;
mod provenance;
mod ranges;
mod routes;
mod scope;
mod table;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;

pub use compiled::{CompiledAcl, CompiledGroups, Matching};
pub use engine::{ALLOW_EGRESS, Engine};
pub use explain::{
    AclCheck, GroupCheck, RuleCheck, acl_list, allows_other_family, check_acl, check_groups, closed_entries,
};
pub use identity::Identity;
pub(crate) use identity::is_stale;
pub use interface::{AclVerdict, GroupVerdict, InterfaceRules, ListVerdict};
pub use matching::{
    Closeness, Mismatch, entry_elsewhere, entry_text, fits_other_family, match_entry, match_traffic,
    rule_text,
};
pub use numbers::{free_number, taken_numbers};
pub use owners::Owners;
pub use packet::{Decision, Direction, Packet, Ternary};
pub use provenance::Provenance;
pub use scope::{ListUse, Scope, ScopeReason, is_never_logged, unfiltered};
