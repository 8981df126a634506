//! What the captures themselves leave open: objects that a later capture does not hold, and objects that one moment shows twice.

use super::{Finding, Severity};
use crate::network::{Kind, Network, View};

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    for contradiction in &network.contradictions {
        findings.push(Finding {
            severity: Severity::Error,
            check: "contradiction",
            object: contradiction.object.clone(),
            finding: format!(
                "has two contents {}: what they differ in may or may not be in force",
                contradiction.when()
            ),
            advice:
                "import each capture with its own time (--captured-at), or leave out the one that is wrong"
                    .to_owned(),
        });
    }
    stale(&network.interfaces, view, findings);
    stale(&network.groups, view, findings);
    stale(&network.acls, view, findings);
    stale(&network.subnets, view, findings);
}

fn stale<T>(kind: &Kind<T>, view: View, findings: &mut Vec<Finding>) {
    for (id, timeline) in kind.timelines() {
        let Some(found) = timeline.pick(view) else { continue };
        let Some(at) = found.missing_at.and_then(|at| chrono::DateTime::from_timestamp(at, 0)) else {
            continue;
        };
        findings.push(Finding {
            severity: Severity::Warning,
            check: "stale_object",
            object: id.to_owned(),
            finding: format!(
                "not in the capture of {}, which holds others of its VPC: it may be gone, or a filter left it out",
                at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            advice: "capture with flowq config pull, whose files tell that they were asked for everything".to_owned(),
        });
    }
}
