//! What an object may be asked for by: its id, its ARN, its name, one of its addresses, or its block.

use std::net::IpAddr;

use super::object;
use crate::net::Prefix;
use crate::network::{Kind, Network, View};

/// The ids of what is meant.
pub(super) fn ids(network: &Network, text: &str, view: View) -> Vec<String> {
    if !object::lines(network, text, view).is_empty() {
        return vec![text.to_owned()];
    }
    if let Ok(addr) = text.parse::<IpAddr>() {
        let holders = network.holders(&addr, view);
        return holders.iter().map(|(interface, _)| interface.id.clone()).collect();
    }
    if let Ok(block) = text.parse::<Prefix>() {
        return of_block(network, &block, view);
    }
    // An ARN ends with the id, or with the name of a Classic Load Balancer.
    if let Some((_, id)) = text.strip_prefix("arn:").and_then(|arn| arn.rsplit_once('/')) {
        return ids(network, id, view);
    }
    named(network, text, view)
}

/// The subnets and VPCs of a block.
fn of_block(network: &Network, block: &Prefix, view: View) -> Vec<String> {
    let subnets = network.subnets.all(view).filter(|found| found.value.cidrs.contains(block));
    let vpcs = network.vpcs.all(view).filter(|found| found.value.cidrs.contains(block));
    subnets.map(|found| found.value.id.clone()).chain(vpcs.map(|found| found.value.id.clone())).collect()
}

/// The objects of a name: their `Name` tag, or what AWS calls their name.
fn named(network: &Network, name: &str, view: View) -> Vec<String> {
    fn of<T>(kind: &Kind<T>, view: View, is: impl Fn(&T) -> bool, id: impl Fn(&T) -> &String) -> Vec<String> {
        kind.all(view).filter(|found| is(found.value)).map(|found| id(found.value).clone()).collect()
    }
    let is = |known: &Option<String>| known.as_deref() == Some(name);
    let mut ids: Vec<String> = network.named(name).into_iter().map(str::to_owned).collect();
    ids.extend(of(&network.groups, view, |one| is(&one.name), |one| &one.id));
    ids.extend(of(&network.prefix_lists, view, |one| is(&one.name), |one| &one.id));
    ids.extend(of(
        &network.load_balancers,
        view,
        |one| one.name == name || one.is_named(name),
        |one| &one.id,
    ));
    ids.extend(of(&network.target_groups, view, |one| is(&one.name), |one| &one.id));
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

/// Where an address lies that no interface holds.
pub(super) fn place(network: &Network, text: &str, view: View) -> Option<String> {
    let addr: IpAddr = text.parse().ok()?;
    let subnets =
        network.subnets.all(view).filter(|found| found.value.cidrs.iter().any(|one| one.contains(&addr)));
    let subnets: Vec<&str> = subnets.map(|found| found.value.id.as_str()).collect();
    (!subnets.is_empty()).then(|| format!("no interface holds it; it lies in {}", subnets.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{LoadBalancer, Timeline};
    use crate::rules::fixture::Fixture;

    const NOW: View = View { at: 0, after: false };
    const ARN: &str =
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/web/50dc6c495c0c9188";

    fn network() -> Network {
        let mut fixture = Fixture::new(
            "vpc vpc-1 10.0.0.0/16
             subnet subnet-1 vpc-1 10.0.1.0/24
             route subnet-1 10.0.0.0/16 local
             sg-1 in tcp 443 0.0.0.0/0
             list pl-1 10.0.0.0/8
             peering pcx-1 vpc-1 vpc-2
             attachment tgw-attach-1 tgw-1 vpc-1 subnet-1 tgw-rtb-1
             transit tgw-rtb-1 10.8.0.0/16 tgw-attach-2
             eni eni-a subnet-1 10.0.1.10 groups=sg-1 instance=i-1 public=192.0.2.10
             eni eni-nat subnet-1 10.0.1.4 groups= type=nat_gateway description=Interface for NAT Gateway nat-1",
        );
        fixture.groups.get_mut("sg-1").unwrap().rules[0].rule_id = Some("sgr-1".into());
        fixture.groups.get_mut("sg-1").unwrap().name = Some("front".into());
        fixture.lists.get_mut("pl-1").unwrap().name = Some("office".into());
        let mut network = fixture.network();
        let balancer = LoadBalancer { id: ARN.into(), name: "web".into(), ..LoadBalancer::default() };
        network.load_balancers.put(ARN.into(), Timeline::always(balancer));
        network.names.insert("i-1".into(), "web-1".into());
        network.finish();
        network
    }

    #[test]
    fn every_kind_of_object_is_found_by_each_of_its_names() {
        let network = network();
        for (text, kind) in [
            ("i-1", "instance"),
            ("web-1", "instance"),
            ("sgr-1", "security group rule"),
            ("sg-1", "security group"),
            ("front", "security group"),
            ("arn:aws:ec2:us-east-1:111122223333:security-group/sg-1", "security group"),
            ("10.0.1.10", "network interface"),
            ("192.0.2.10", "network interface"),
            ("nat-1", "NAT gateway"),
            ("pl-1", "prefix list"),
            ("office", "prefix list"),
            ("pcx-1", "peering connection"),
            ("rtb-subnet-1", "route table"),
            ("tgw-attach-1", "transit gateway attachment"),
            ("tgw-rtb-1", "transit gateway route table"),
            ("web", "load balancer"),
            ("app/web/50dc6c495c0c9188", "load balancer"),
            (ARN, "load balancer"),
            ("10.0.1.0/24", "subnet"),
            ("10.0.0.0/16", "VPC"),
        ] {
            let found = ids(&network, text, NOW);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(object::lines(&network, &found[0], NOW)[0].0, kind, "{text}");
        }
        for text in
            ["nobody", "sgr-2", "10.0.1.99", "10.7.0.0/16", "arn:aws:ec2:us-east-1:1:instance/i-9", "arn:x"]
        {
            assert_eq!(ids(&network, text, NOW), Vec::<String>::new(), "{text}");
        }
        let place = place(&network, "10.0.1.99", NOW);
        assert_eq!(place.as_deref(), Some("no interface holds it; it lies in subnet-1"));
    }

    #[test]
    fn an_instance_shows_its_interfaces_though_nothing_describes_it() {
        let lines = object::lines(&network(), "i-1", NOW);
        assert!(
            lines.contains(&("interface".to_owned(), "eni-a 10.0.1.10, 192.0.2.10".to_owned())),
            "{lines:?}"
        );
        let rule = object::lines(&network(), "sgr-1", NOW);
        assert!(
            rule.iter().any(|(_, text)| text.contains("inbound rule sgr-1 allow tcp 443 from 0.0.0.0/0")),
            "{rule:?}"
        );
    }
}
