//! What the captures themselves leave open: objects that a later capture does not hold, and objects that one moment shows twice.

use super::{Finding, Severity, some};
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
    for part in &network.part_captures {
        findings.push(Finding {
            severity: Severity::Warning,
            check: "part_capture",
            object: part.file.clone(),
            finding: format!("{}: {}", part.object, part.message),
            advice: "capture with flowq config pull, or import the rest of this capture".to_owned(),
        });
    }
    for subnet in network.subnets.all(view) {
        let named = network.acls_named(&subnet.value.id, view);
        if named.len() > 1 {
            let lists: Vec<&str> = named.iter().map(|acl| acl.value.id.as_str()).collect();
            findings.push(Finding {
                severity: Severity::Error,
                check: "contradiction",
                object: subnet.value.id.clone(),
                finding: format!(
                    "{} each name it as theirs: which network ACL serves it is not known",
                    some(&lists)
                ),
                advice: "capture all network ACLs at one moment (flowq config pull)".to_owned(),
            });
        }
    }
    nothing(network, view, findings);
    stale(&network.interfaces, view, findings);
    stale(&network.groups, view, findings);
    stale(&network.acls, view, findings);
    stale(&network.subnets, view, findings);
}

/// Kinds without which no record can be attributed.
fn nothing(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let mut missing = |object: &str, finding: String, command: &str| {
        findings.push(Finding {
            severity: Severity::Error,
            check: "nothing_captured",
            object: object.to_owned(),
            finding,
            advice: format!("import the output of aws ec2 {command}"),
        });
    };
    if network.interfaces.all(view).next().is_none() {
        let finding = "no interface is in the configuration, so no record can be attributed by it";
        missing("network interfaces", finding.to_owned(), "describe-network-interfaces");
    }
    // Where an interface is known its subnet is told to lack its list.
    let subnets: Vec<&str> = (network.subnets.all(view))
        .filter(|found| network.interfaces_in(&found.value.id, view).next().is_none())
        .filter(|found| network.acl_of(&found.value.id, found.value.vpc_id.as_deref(), view).is_none())
        .map(|found| found.value.id.as_str())
        .collect();
    if network.acls.all(view).next().is_none() {
        let finding = "no network ACL is in the configuration, so no verdict can name or exclude one";
        missing("network ACLs", finding.to_owned(), "describe-network-acls");
    } else if !subnets.is_empty() {
        let finding = format!("the network ACL is not known of {}", some(&subnets));
        missing("network ACLs", finding, "describe-network-acls");
    }
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
