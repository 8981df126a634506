//! Why a flow log record says REJECT: the decision tables of the semantics spec (section 8) as pure functions.
//!
//! [`decide`] takes one [`Record`], the compiled rules of a network if there is one, and the [`Evidence`] that the logs hold
//! about the same flow; it reads nothing and keeps nothing. [`EvidenceIndex`] gathers the evidence from records in any order.
//! Texts and fixes are made on demand by [`explain`], since most callers show only a few of them.

mod captured;
mod consistency;
mod coverage;
mod decide;
mod direction;
mod evidence;
mod explain;
mod fix;
mod index;
mod long_runs;
mod peer;
mod record;
mod room;
mod runs;
mod state;
mod terraform;
mod tracking;
mod verdict;
mod versions;
mod wanted;
mod without;

#[cfg(test)]
mod regressions;
#[cfg(test)]
mod regressions_configuration;
#[cfg(test)]
mod regressions_evidence;
#[cfg(test)]
mod regressions_remedies;
#[cfg(test)]
mod regressions_state;
#[cfg(test)]
mod regressions_texts;
#[cfg(test)]
mod regressions_times;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub(crate) use captured::earlier_allowed;
pub use consistency::{accept_contradicts, accept_contradicts_rules};
pub use coverage::{Cover, Coverage, Gap, LogName};
pub use decide::{AROUND, decide, decide_by};
pub use direction::{InterfaceAddresses, OwnAddresses, by_configuration, by_ownership};
pub use evidence::{Evidence, Idle, SameKey, Seen};
pub use explain::{Explanation, explain, mismatch, would_decide};
pub use fix::Fix;
pub(crate) use fix::{AddedEntries, exclusion_fix, exclusion_of, forwarding_fix, group_fix, list_fix};
pub use index::{EITHER_WAY, EvidenceIndex, FLOW_ALONE, Zone};
pub(crate) use peer::{carried, group_of_peer};
pub use record::{Action, Record, RejectReason, Role, Unshown, role};
pub(crate) use terraform::{GroupRule, quoted, resource, route_text, within};
pub(crate) use tracking::is_untracked;
pub use tracking::reach;
pub use verdict::{Attribution, Blocker, Cause, CauseSet, Confidence, Few, ReasonCode, Verdict};
pub use versions::{is_steady, zone};
pub use wanted::{
    HashFilter, Hashed, address_hash, flow_hash, name_hash, pair_hash, service_hash, zone_hash,
    zone_pair_hash,
};
