//! What the tests of findings share.

use super::{Finding, check};
use crate::network::View;
use crate::rules::fixture::Fixture;

/// An interface with a public address and one without, each with a group of its own.
const INTERFACES: &str = "
    subnet subnet-1 vpc-1 10.0.1.0/24
    nacl acl-1 vpc-1 default
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.25
    eni eni-b subnet-1 10.0.1.11 groups=sg-2";

/// The network of two interfaces with these rules of their groups sg-1 and sg-2.
pub(super) fn two_groups(rules: &str) -> String {
    format!("{INTERFACES}\n sg-1\n sg-2\n{rules}")
}

/// A network ACL with these entries, separated by semicolons, in a subnet of its own.
pub(super) fn list(entries: &str) -> String {
    let lines: Vec<String> = entries.split(';').map(|entry| format!("acl-1 {}", entry.trim())).collect();
    format!("subnet subnet-1 vpc-1 10.0.1.0/24\n nacl acl-1 vpc-1 subnet-1\n{}", lines.join("\n"))
}

/// The findings about the network of a fixture.
pub(super) fn told(text: &str) -> Vec<Finding> {
    check(&Fixture::new(text).network(), View { at: 0, after: false })
}

/// The same in brief.
pub(super) fn found(text: &str) -> Vec<String> {
    brief(&told(text))
}

pub(super) fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{} {} {}", f.severity, f.check, f.object)).collect()
}
