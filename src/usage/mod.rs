//! What rules really do, and what others would: the traffic of the logs, put together into conversations, against security
//! groups and network ACLs.
//!
//! [`Gatherer`] takes records in any order and by any number of threads; [`Traffic`] is what they gathered. [`hits`] counts
//! for each rule what it decided, [`what_if`] compares with proposed rules, [`tighten`] finds the narrowest
//! rules that keep what was seen. Why a single record was rejected is `attribute`'s; what is wrong with a configuration
//! whatever its traffic is `audit`'s. Nothing here knows SQL.

mod book;
mod conversation;
mod distinct;
mod gather;
mod hits;
mod judge;
mod narrow;
mod plan;
mod ports;
mod presence;
mod role;
#[cfg(test)]
pub(crate) mod sample;
mod settle;
mod spill;
mod stray;
mod tighten;
mod traffic;
mod whatif;

pub use book::{Rule, Subject};
pub use conversation::{Conversation, ConversationKey, Part, Totals};
pub use gather::{Counts, Gatherer};
pub use hits::{HitsReport, Observed, RuleHits, RuleReport, hits};
pub use plan::Plan;
pub use presence::Presence;
pub use role::{Certainty, Side};
pub use tighten::{LeftAlone, Proposal, Tightening, Tightenings, tighten};
pub use traffic::Traffic;
pub use whatif::{Effect, Established, Outcome, WhatIf, what_if};
