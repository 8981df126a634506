//! `aws_vpc_security_group_rules_exclusive`: the apply removes all rules of a group that it does not list (documented of the
//! resource), whoever made them.

use super::node::Node;
use super::terraform_plan::{actions, changes, is_unknown};
use crate::network::model::ExclusiveRules;

/// The resource's type.
pub(super) const EXCLUSIVE: &str = "aws_vpc_security_group_rules_exclusive";

/// What a plan leaves of groups whose rules it takes over, or takes over anew.
pub(super) fn exclusive(plan: Node<'_>) -> Vec<ExclusiveRules> {
    let mut found = Vec::new();
    let is_one = |one: &Node<'_>| one.text("type").as_deref() == Some(EXCLUSIVE);
    for one in changes(plan).filter(is_one) {
        let applied = actions(one).iter().any(|action| action == "create" || action == "update");
        let after = one.get("change").and_then(|change| change.get("after")).filter(|_| applied);
        let Some((after, group_id)) = after.and_then(|after| Some((after, after.text("security_group_id")?)))
        else {
            continue;
        };
        for (key, egress) in [("ingress_rule_ids", false), ("egress_rule_ids", true)] {
            // An id that is known only after the apply is that of a rule which is not there yet.
            let rule_ids = (!after.get(key).is_some_and(is_unknown)).then(|| after.texts(key));
            found.push(ExclusiveRules { group_id: group_id.clone(), egress, rule_ids });
        }
    }
    found
}
