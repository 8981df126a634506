//! Network Load Balancers that may hand packets on with the addresses of their clients. At the target a rule that refers to the load
//! balancer's group lets such packets pass (spec 5.5), whoever the client is; the record there does not show which way they came.

use super::owners::Asker;
use crate::network::{LoadBalancer, Network, NetworkInterface, View};
use hashbrown::HashSet;

/// The type of their interfaces, as AWS names it.
pub(super) const NETWORK_BALANCER: &str = "network_load_balancer";

/// A load balancer with groups, as its targets see it.
#[derive(Debug, Clone)]
struct Balancer {
    groups: Vec<String>,
    vpc: Option<String>,
    /// Instances and addresses to which it may hand packets on so; `None` where its targets are not known.
    targets: Option<HashSet<String>>,
}

/// Those of one view.
#[derive(Debug, Clone, Default)]
pub(super) struct Balancers(Vec<Balancer>);

impl Balancers {
    pub(super) fn new(network: &Network, view: View) -> Balancers {
        let described = network.load_balancers.all(view).map(|found| found.value);
        let described: Vec<&LoadBalancer> =
            described.map(AsRef::as_ref).filter(|balancer| balancer.kind == "network").collect();
        let by_interface = network.interfaces.all(view).map(|found| found.value.as_ref());
        // Interfaces tell of load balancers that were not described.
        let alone = by_interface.filter(|interface| {
            interface.is_type(NETWORK_BALANCER)
                && !interface.group_ids.is_empty()
                && !described
                    .iter()
                    .any(|balancer| interface.balancer_name().is_some_and(|named| balancer.is_named(named)))
        });
        let alone = alone.map(|interface| Balancer {
            groups: interface.group_ids.clone(),
            vpc: interface.vpc_id.clone(),
            targets: None,
        });
        let with_groups = described.iter().filter(|balancer| !balancer.group_ids.is_empty());
        let known = with_groups.map(|balancer| Balancer {
            groups: balancer.group_ids.clone(),
            vpc: balancer.vpc_id.clone(),
            targets: targets(network, view, balancer),
        });
        Balancers(known.chain(alone).collect())
    }

    /// The groups of those that may hand packets on to the asker.
    pub(super) fn groups_before(&self, asker: &Asker<'_>) -> Vec<&str> {
        let interface = asker.interface;
        if self.0.is_empty() || asker.direction.is_egress() || interface.is_type(NETWORK_BALANCER) {
            return Vec::new();
        }
        let addresses = || interface.addresses.iter().map(ToString::to_string);
        let is_target = |targets: &HashSet<String>| {
            interface.instance_id.as_ref().is_some_and(|id| targets.contains(id))
                || addresses().any(|addr| targets.contains(&addr))
        };
        let here =
            |vpc: &Option<String>| vpc.is_none() || interface.vpc_id.is_none() || *vpc == interface.vpc_id;
        let before = self.0.iter().filter(|one| here(&one.vpc) && one.targets.as_ref().is_none_or(is_target));
        let mut groups: Vec<&str> = before.flat_map(|one| &one.groups).map(String::as_str).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// Whether an interface is one of a Network Load Balancer whose groups are not asked about PrivateLink traffic (spec 5.4).
pub(super) fn lets_private_link_in(network: &Network, view: View, interface: &NetworkInterface) -> bool {
    let named = interface.balancer_name().filter(|_| interface.is_type(NETWORK_BALANCER));
    named.is_some_and(|named| {
        let mut balancers = network.load_balancers.all(view).map(|found| found.value);
        let found = balancers.find(|balancer| balancer.is_named(named));
        found.is_some_and(|balancer| balancer.enforces_on_private_link == Some(false))
    })
}

/// The targets that may see its clients' addresses, where all that it forwards to is known.
fn targets(network: &Network, view: View, balancer: &LoadBalancer) -> Option<HashSet<String>> {
    let groups = network.target_groups.all(view).map(|found| found.value);
    let groups: Vec<_> = groups.filter(|group| group.is_of(&balancer.id)).collect();
    if groups.is_empty() || groups.iter().any(|group| group.targets.is_empty()) {
        return None;
    }
    let keeping = groups.iter().filter(|group| group.preserve_client_ip != Some(false));
    Some(keeping.flat_map(|group| &group.targets).map(|target| target.id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Target, TargetGroup, Timeline};
    use crate::rules::fixture::Fixture;
    use crate::rules::{Decision, Direction, Engine, Packet};

    const NETWORK: &str = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        eni eni-lb subnet-1 10.0.1.5 groups=sg-lb type=network_load_balancer description=ELB net/web/50dc6c495c0c9188
        eni eni-app subnet-1 10.0.1.10 groups=sg-app
        sg-lb in tcp 443 0.0.0.0/0
        sg-app in tcp 8080 sg-lb";

    /// What the target's group makes of packets to a port.
    fn decide(network: &Network, remote: &str, port: u16) -> Decision {
        let mut engine = Engine::new(network);
        let rules = engine.interface("eni-app", View { at: 0, after: false }).unwrap();
        let packet = Packet {
            direction: Direction::Ingress,
            remote: remote.parse().unwrap(),
            protocol: 6,
            port: Some(port),
            icmp: None,
        };
        rules.group_verdict(&packet).decision
    }

    #[test]
    fn a_reference_to_a_network_load_balancers_group_may_hold_for_its_clients() {
        let network = Fixture::new(NETWORK).network();
        assert_eq!(decide(&network, "10.0.1.5", 8080), Decision::Allow, "its own connections");
        assert_eq!(
            decide(&network, "198.51.100.7", 8080),
            Decision::Unknown,
            "its clients', or a stranger's"
        );
        assert_eq!(decide(&network, "198.51.100.7", 22), Decision::Deny);
        let other = Fixture::new(&NETWORK.replace("type=network_load_balancer", "")).network();
        assert_eq!(decide(&other, "198.51.100.7", 8080), Decision::Deny, "others keep no client's address");
    }

    #[test]
    fn only_targets_see_the_clients_addresses_and_only_where_they_are_kept() {
        let decided = |target: &str, preserve_client_ip: Option<bool>| {
            let mut network = Fixture::new(NETWORK).network();
            let id =
                "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/web/50dc6c495c0c9188";
            let balancer = LoadBalancer {
                id: id.into(),
                kind: "network".into(),
                vpc_id: Some("vpc-1".into()),
                group_ids: vec!["sg-lb".into()],
                ..LoadBalancer::default()
            };
            let group = TargetGroup {
                id: "targets".into(),
                load_balancer_ids: vec![id.into()],
                targets: vec![Target { id: target.into(), ..Target::default() }],
                preserve_client_ip,
                ..TargetGroup::default()
            };
            network.load_balancers.put(balancer.id.clone(), Timeline::always(balancer));
            network.target_groups.put(group.id.clone(), Timeline::always(group));
            network.finish();
            decide(&network, "198.51.100.7", 8080)
        };
        assert_eq!(decided("10.0.1.10", Some(true)), Decision::Unknown);
        assert_eq!(decided("10.0.1.10", None), Decision::Unknown);
        assert_eq!(decided("10.0.1.10", Some(false)), Decision::Deny);
        assert_eq!(decided("10.0.1.77", Some(true)), Decision::Deny);
    }
}
