//! The objects of an AWS network that decide whether a packet passes: what each configuration form is read into.
//!
//! Identifiers are kept as text: joins are by identifier only (a group may be used outside its home VPC and account, so
//! VPC and account never serve as join keys; semantics spec 2.6).

mod balancers;
mod filters;
mod interfaces;
mod paths;
mod route_priority;

pub use balancers::*;
pub use filters::*;
pub use interfaces::*;
pub use paths::*;
pub use route_priority::Preference;
