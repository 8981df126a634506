//! The network model: interfaces, subnets, VPCs, security groups, network ACLs and what they refer to, as read from any
//! configuration form, with the time for which each version is known.
//!
//! How a packet fares against the rules is in `rules`; this module only knows what the rules are and where they apply.

mod change;
mod history;
mod model;
mod read;
mod store;

pub use change::{Changed, Perhaps, Taken};
pub use history::{Boundaries, Found, HISTORY_LAG, Observation, Origin, Timeline, Timestamp, Version, View};
pub use model::*;
pub use read::{Document, Moments, NetworkBuilder, PlanSide, Problem, ReadError, ReadOptions, plain_text};
pub use store::{Contradiction, Kind, Network};
