//! What the tests of findings share.

use super::{Finding, check};
use crate::network::View;
use crate::rules::fixture::Fixture;

/// The findings about the network of a fixture.
pub(super) fn told(text: &str) -> Vec<Finding> {
    check(&Fixture::new(text).network(), View { at: 0, after: false })
}

/// The same in brief, but for what the networks of most tests lack.
pub(super) fn found(text: &str) -> Vec<String> {
    let mut found = told(text);
    found.retain(|one| one.check != "nothing_captured");
    brief(&found)
}

pub(super) fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {} {}", f.severity, f.check, f.object)).collect()
}
