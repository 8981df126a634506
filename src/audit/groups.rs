//! Security groups that nobody carries.

use std::collections::{HashMap, HashSet};

use super::{Finding, Severity, plural, world};
use crate::network::{Network, NetworkInterface, Remote, RuleDisagreement, SecurityGroup, View};

/// The interfaces that carry each group.
pub(super) fn carriers(network: &Network, view: View) -> HashMap<&str, Vec<&NetworkInterface>> {
    let mut carriers: HashMap<&str, Vec<&NetworkInterface>> = HashMap::new();
    for found in network.interfaces.all(view) {
        for group in &found.value.group_ids {
            carriers.entry(group).or_default().push(found.value);
        }
    }
    carriers
}

pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let carriers = carriers(network, view);
    let mut referenced: HashSet<&str> = HashSet::new();
    for found in network.groups.all(view) {
        for rule in &found.value.rules {
            if let Remote::Group(reference) = &rule.remote
                && reference.group_id != found.value.id
            {
                referenced.insert(&reference.group_id);
            }
        }
    }
    for found in network.groups.all(view) {
        let group = found.value;
        let carried = carriers.get(group.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        // A load balancer carries its groups, though its interfaces may be of another capture.
        let mut balancers = network.load_balancers.all(view);
        let balanced = balancers.any(|balancer| balancer.value.group_ids.contains(&group.id));
        // A default group cannot be deleted.
        let is_default = group.name.as_deref() == Some("default");
        // Without all interfaces in the configuration every group would look unused.
        let captured = || network.interfaces_whole(group.vpc_id.as_deref());
        if carried.is_empty() && !balanced && !is_default && captured() {
            unused(group, referenced.contains(group.id.as_str()), findings);
        }
        // Of another capture it says nothing about this one.
        let of_this = |one: &&RuleDisagreement| {
            one.group_id == group.id && (one.at.is_none() || one.at == found.version.captured_at)
        };
        if let Some(disagreement) = network.disagreements.iter().find(of_this) {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "rules_disagree",
                object: group.id.clone(),
                finding: disagreement.to_string(),
                advice: "fetch both again (flowq config pull), and import them".to_owned(),
            });
        }
        world::check(network, view, group, carried, findings);
    }
}

fn unused(group: &SecurityGroup, referenced: bool, findings: &mut Vec<Finding>) {
    let rules = plural(group.rules.len(), "rule");
    let (finding, advice) = if referenced {
        (
            format!(
                "no interface carries it, so its {rules} filter nothing and rules that refer to it match nobody"
            ),
            "attach it to the interfaces that are meant, or remove it and the rules that refer to it",
        )
    } else {
        (
            format!("no interface carries it, so its {rules} filter nothing"),
            "delete it, unless a launch template or a service attaches it later",
        )
    };
    let (object, advice) = (group.id.clone(), advice.to_owned());
    findings.push(Finding {
        severity: Severity::Info,
        check: "unused_security_group",
        object,
        finding,
        advice,
    });
}

#[cfg(test)]
mod tests {
    use super::super::cases::{brief, found};
    use super::super::check;
    use crate::network::{LoadBalancer, Timeline, View};
    use crate::rules::fixture::Fixture;

    const NETWORK: &str = "
        subnet subnet-1 vpc-1 10.0.1.0/24
        nacl acl-1 vpc-1 default
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        eni eni-a subnet-1 10.0.1.10 groups=sg-1 public=203.0.113.25
        eni eni-b subnet-1 10.0.1.11 groups=sg-2";

    fn with(rules: &str) -> Vec<String> {
        found(&format!("{NETWORK}\n sg-1\n sg-2\n{rules}"))
    }

    #[test]
    fn a_group_of_a_load_balancer_is_in_use() {
        let balancer = LoadBalancer { group_ids: vec!["sg-3".into()], ..LoadBalancer::default() };
        let mut network = Fixture::new(&format!("{NETWORK}\n sg-1\n sg-2\n sg-3\n sg-4")).network();
        network.load_balancers.put("lb-1".into(), Timeline::always(balancer));
        let found = check(&network, View { at: 0, after: false });
        assert_eq!(brief(&found), vec!["info unused_security_group sg-4"]);
    }

    #[test]
    fn groups_that_nobody_carries() {
        assert_eq!(with("sg-3 in tcp 443 10.0.0.0/8"), vec!["info unused_security_group sg-3"]);
        assert_eq!(
            with("sg-3 in tcp 22 0.0.0.0/0"),
            vec!["info unused_security_group sg-3", "info world_open sg-3"]
        );
        assert_eq!(
            found("sg-3 in tcp 443 10.0.0.0/8"),
            Vec::<String>::new(),
            "no interfaces are known at all"
        );
    }
}
