//! Groups of load balancers, databases, functions and endpoints, whose interfaces a plan does not hold.

use super::super::{Changed, Perhaps, difference, present, with_groups};
use crate::network::model::*;
use crate::network::store::Network;

/// How AWS describes interfaces of services, and the beginning of the types that have them: of other types they are not.
const DESCRIBED: &[(&str, &[&str])] = &[
    ("ELB ", &["aws_lb", "aws_alb", "aws_elb"]),
    ("VPC Endpoint Interface ", &["aws_vpc_endpoint"]),
    ("RDSNetworkInterface", &["aws_db_", "aws_rds_", "aws_docdb_", "aws_neptune_"]),
    ("RedshiftNetworkInterface", &["aws_redshift"]),
    ("EFS mount target for ", &["aws_efs_"]),
    ("ElastiCache ", &["aws_elasticache_"]),
    ("AWS Lambda VPC ENI", &["aws_lambda_"]),
    ("arn:aws:ecs:", &["aws_ecs_"]),
    ("Amazon EKS ", &["aws_eks_"]),
    ("aws-K8S-", &["aws_eks_"]),
    ("DMSNetworkInterface", &["aws_dms_"]),
    ("ES ", &["aws_elasticsearch_", "aws_opensearch"]),
];

impl Network {
    /// Gives interfaces that are sure to be a resource's its groups, and notes those that may be.
    pub(super) fn plan_regrouped(&mut self, planned: &Network, changed: &mut Changed) {
        for one in &planned.regrouped {
            let (found, sure) = self.interfaces_of(one);
            // AWS deletes no group that an interface carries: so those that carry one which goes get what the plan gives.
            let sure = sure || one.before.iter().any(|group| changed.removed.contains(group));
            if found.is_empty() {
                continue;
            }
            if one.only {
                changed.not_followed.retain(|named| !is_of(named, &one.address));
            }
            for known in found {
                if sure {
                    let ids = difference(&known.group_ids, &one.before, &one.after, PartialEq::eq);
                    let id = known.id.clone();
                    changed.put(&mut self.interfaces, &id, with_groups(known, ids, one.all_known));
                } else {
                    changed.perhaps.push(Perhaps {
                        interface_id: known.id,
                        by: one.address.clone(),
                        before: one.before.clone(),
                        after: one.after.clone(),
                        all_known: one.all_known,
                    });
                }
            }
        }
    }

    /// The interfaces that are a resource's, or may be, and whether they surely are.
    fn interfaces_of(&self, one: &Regrouped) -> (Vec<NetworkInterface>, bool) {
        let all = || present(&self.interfaces).map(|(_, interface)| interface);
        let chosen = |is: &dyn Fn(&NetworkInterface) -> bool| -> Vec<NetworkInterface> {
            all().filter(|interface| is(interface)).cloned().collect()
        };
        let carries = |interface: &NetworkInterface| {
            !one.before.is_empty() && one.before.iter().all(|group| interface.group_ids.contains(group))
        };
        let may_be = |interface: &NetworkInterface| {
            let text = interface.description.as_deref().unwrap_or_default();
            let described = DESCRIBED.iter().find(|(start, _)| text.starts_with(start));
            let fits =
                described.is_none_or(|(_, kinds)| kinds.iter().any(|start| one.kind.starts_with(start)));
            interface.instance_id.is_none() && fits && carries(interface)
        };
        match &one.owned {
            Owned::Ids(ids) => (chosen(&|interface| ids.contains(&interface.id)), true),
            Owned::Described(text) => {
                (chosen(&|interface| interface.description.as_deref() == Some(text)), true)
            }
            Owned::Instance(id) => {
                let of_it = chosen(&|interface| interface.instance_id.as_deref() == Some(id));
                match of_it.len() {
                    1 => (of_it, true),
                    _ => (of_it.into_iter().filter(carries).collect(), false),
                }
            }
            Owned::Unknown => (chosen(&may_be), false),
        }
    }
}

/// Whether a change that is named `aws_lb.x (update)` is that of a resource.
fn is_of(named: &str, address: &str) -> bool {
    named.strip_prefix(address).is_some_and(|rest| rest.starts_with(" ("))
}
