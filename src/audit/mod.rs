//! What is wrong with a configuration, and what changed in it between two times.
//!
//! Findings look at the configuration alone: which traffic a rule met, and which rule rejected a record, is told by
//! `attribute`. A finding names one object, says what follows for traffic, and what to do.

mod acl;
mod captures;
#[cfg(test)]
mod cases;
mod diff;
mod forwarding;
mod groups;
mod references;
mod returns;
mod shadow;
mod world;

use std::fmt;

use crate::network::{Network, View};

pub use diff::{Change, ChangeKind, diff};
pub use shadow::{Shadowed, shadowed};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Traffic is dropped or let through against what the rules were surely meant to do, or verdicts cannot be given.
    Error,
    /// Likely a mistake.
    Warning,
    /// Worth knowing.
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        })
    }
}

/// Something wrong, or worth knowing, about one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of finding it is, as one word for filters: `nacl_return_path`, `world_open`…
    pub check: &'static str,
    /// The object's id.
    pub object: String,
    /// What is wrong.
    pub finding: String,
    /// What to do about it.
    pub advice: String,
}

/// Every finding in a view, the worst first.
pub fn check(network: &Network, view: View) -> Vec<Finding> {
    let mut findings = Vec::new();
    captures::check(network, view, &mut findings);
    references::check(network, view, &mut findings);
    forwarding::check(network, view, &mut findings);
    acl::check(network, view, &mut findings);
    groups::check(network, view, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}

/// `a, b, c and 4 more`.
fn some(ids: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = ids.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// One or many: `1 rule`, `2 rules`.
fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
