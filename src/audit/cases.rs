//! What the tests of findings share.

use super::{Finding, check};
use crate::network::View;
use crate::rules::fixture::Fixture;

/// The findings about the network of a fixture, but for what the networks of most tests lack.
pub(super) fn told(text: &str) -> Vec<Finding> {
    let mut found = check(&Fixture::new(text).network(), View { at: 0, after: false });
    found.retain(|one| one.check != "nothing_captured");
    found
}

/// The same in brief.
pub(super) fn found(text: &str) -> Vec<String> {
    brief(&told(text))
}

pub(super) fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {} {}", f.severity, f.check, f.object)).collect()
}
