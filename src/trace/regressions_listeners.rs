//! Faults once found in what lies behind load balancers, each told by hand.

use super::cases::{flow, stages, traced};
use super::*;
use crate::net::UDP;
use crate::network::{Listener, LoadBalancer, Network, Target, TargetGroup, Timeline};
use crate::rules::fixture::Fixture;

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/front/1";

/// A node in zone a, an open target in zone a, a shut one in zone b.
const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    zone subnet-1 us-east-1a
    zone subnet-2 us-east-1b
    nacl acl-1 vpc-1 default subnet-1 subnet-2
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    route subnet-2 0.0.0.0/0 nat-1
    sg-open in all 0.0.0.0/0
    sg-open out all 0.0.0.0/0
    sg-shut
    eni eni-app subnet-1 10.0.1.20 groups=sg-open
    eni eni-db subnet-2 10.0.2.20 groups=sg-shut
    eni eni-lb subnet-1 10.0.1.5 groups= public=192.0.2.5 type=network_load_balancer description=ELB net/front/1
    bpa subnet-1 off
    bpa subnet-2 off";

fn group(id: &str, protocol: &str, targets: &[(&str, &str)]) -> TargetGroup {
    let target = |(id, health): &(&str, &str)| Target {
        id: (*id).into(),
        health: Some((*health).into()),
        ..Target::default()
    };
    TargetGroup {
        id: id.into(),
        protocol: Some(protocol.into()),
        port: Some(8080),
        target_type: Some("ip".into()),
        targets: targets.iter().map(target).collect(),
        targets_known: true,
        preserve_client_ip: Some(true),
        cross_zone: Some(true),
        ..TargetGroup::default()
    }
}

fn listener(port: u16, protocol: &str, group: &str) -> Listener {
    Listener {
        port,
        protocol: Some(protocol.into()),
        forwards: vec![group.into()],
        action: Some("forward".into()),
    }
}

fn network(text: &str, listeners: Vec<Listener>, groups: Vec<TargetGroup>) -> Network {
    let kind = if text.contains("ELB net/") { "network" } else { "application" };
    let balancer = LoadBalancer {
        id: if kind == "network" { ARN.into() } else { ARN.replace("/net/", "/app/") },
        name: "front".into(),
        kind: kind.into(),
        listeners: Some(listeners),
        ..LoadBalancer::default()
    };
    let mut network = Fixture::new(text).network();
    for group in groups {
        let group = TargetGroup { load_balancer_ids: vec![balancer.id.clone()], ..group };
        network.target_groups.put(group.id.clone(), Timeline::always(group));
    }
    network.load_balancers.put(balancer.id.clone(), Timeline::always(balancer));
    network.finish();
    network
}

fn ask(network: &Network, protocol: u8, port: u16) -> Trace {
    traced(network, Flow { protocol, ..flow("198.51.100.7", "192.0.2.5", port) })
}

fn application() -> String {
    NETWORK
        .replace("type=network_load_balancer description=ELB net/", "description=ELB app/")
        .replace("groups= public", "groups=sg-open public")
}

#[test]
fn the_listener_chooses_the_target_group() {
    let groups = || {
        vec![
            group("app", "TCP", &[("10.0.1.20", "healthy")]),
            group("db", "TCP", &[("10.0.2.20", "healthy")]),
        ]
    };
    let listeners = || vec![listener(443, "TCP", "app"), listener(5432, "TCP", "db")];
    for text in [NETWORK.to_owned(), application()] {
        let network = network(&text, listeners(), groups());
        assert_eq!(ask(&network, 6, 443).outcome(), Decision::Allow);
        let shut = ask(&network, 6, 5432);
        assert_eq!(shut.blockers().next().unwrap().at, "eni-db", "{:?}", stages(&shut));
        assert_eq!(shut.conditions(), None, "nothing else can get it");
    }
    // A group that is no listener's default may be that of a rule, which only Application Load Balancers have.
    let some = || vec![listener(443, "HTTPS", "app")];
    let by_rule = ask(&network(&application(), some(), groups()), 6, 443);
    assert!(by_rule.conditions().is_some(), "{}", by_rule.text());
    assert_eq!(ask(&network(NETWORK, some(), groups()), 6, 443).outcome(), Decision::Allow);
}

#[test]
fn a_listener_of_another_protocol_takes_nothing() {
    let of = |protocol: &str, group_protocol: &str| {
        let groups = vec![group("app", group_protocol, &[("10.0.1.20", "healthy")])];
        network(NETWORK, vec![listener(443, protocol, "app")], groups)
    };
    let udp = of("UDP", "UDP");
    let found = ask(&udp, 6, 443);
    assert!(found.text().contains("it has no listener on tcp 443, only on udp 443"), "{}", found.text());
    assert_eq!((found.outcome(), ask(&udp, UDP, 443).outcome()), (Decision::Deny, Decision::Allow));
    let both = of("TCP_UDP", "TCP_UDP");
    assert_eq!(
        (ask(&both, 6, 443).outcome(), ask(&both, UDP, 443).outcome()),
        (Decision::Allow, Decision::Allow)
    );
    let tls = of("TLS", "TLS");
    assert_eq!(
        (ask(&tls, 6, 443).outcome(), ask(&tls, UDP, 443).outcome()),
        (Decision::Allow, Decision::Deny)
    );
    // An Application Load Balancer takes no UDP, whatever is known of its listeners.
    let groups = vec![group("app", "HTTP", &[("10.0.1.20", "healthy")])];
    let found = ask(&network(&application(), vec![listener(443, "HTTPS", "app")], groups), UDP, 443);
    let blocker = found.blockers().next().unwrap();
    assert_eq!((blocker.layer, &blocker.fix), (Layer::LoadBalancer, &None));
    // No rule is proposed for what no listener takes.
    let shut = application().replace("groups=sg-open public", "groups=sg-shut public");
    let groups = vec![group("app", "HTTP", &[("10.0.1.20", "healthy")])];
    let found = ask(&network(&shut, vec![listener(443, "HTTPS", "app")], groups), UDP, 443);
    assert_eq!(found.blockers().count(), 2);
    assert!(found.stages.iter().all(|stage| stage.fix.is_none()));
}

#[test]
fn targets_that_get_no_new_connections_are_none() {
    let of = |targets: &[(&str, &str)]| {
        ask(&network(NETWORK, vec![listener(443, "TCP", "app")], vec![group("app", "TCP", targets)]), 6, 443)
    };
    for health in ["unused", "draining"] {
        let found = of(&[("10.0.1.20", health)]);
        assert!(
            found.text().contains("none of its targets gets new connections"),
            "{health}: {}",
            found.text()
        );
        assert_eq!(found.outcome(), Decision::Deny);
        assert_eq!(
            of(&[("10.0.1.20", health), ("10.0.2.20", "healthy")]).blockers().next().unwrap().at,
            "eni-db"
        );
    }
    assert_eq!(of(&[("10.0.1.20", "unhealthy")]).outcome(), Decision::Allow, "it fails open");
    // Asked for and none: not the same as not asked for.
    assert_eq!(of(&[]).outcome(), Decision::Deny);
    let unasked = TargetGroup { targets_known: false, ..group("app", "TCP", &[]) };
    let found = ask(&network(NETWORK, vec![listener(443, "TCP", "app")], vec![unasked]), 6, 443);
    assert_eq!(found.outcome(), Decision::Unknown);
}

#[test]
fn a_node_sends_to_other_zones_only_where_it_balances_across_them() {
    let text = NETWORK.replace("groups=sg-shut", "groups=sg-open");
    let of = |cross_zone| {
        let group = TargetGroup { cross_zone, ..group("app", "TCP", &[("10.0.2.20", "healthy")]) };
        ask(&network(&text, vec![listener(443, "TCP", "app")], vec![group]), 6, 443)
    };
    assert_eq!(of(Some(true)).outcome(), Decision::Allow);
    let unknown = of(None);
    assert_eq!(unknown.outcome(), Decision::Unknown);
    assert!(unknown.not_checked.iter().any(|text| text.contains("describe-load-balancer-attributes")));
    let off = of(Some(false));
    assert_eq!(off.outcome(), Decision::Deny);
    assert!(off.text().contains("Key=load_balancing.cross_zone.enabled,Value=true"), "{}", off.text());
}

#[test]
fn a_target_does_not_reach_itself_under_its_own_address() {
    let of = |preserve_client_ip, targets: &[(&str, &str)]| {
        let group = TargetGroup { preserve_client_ip, ..group("app", "TCP", targets) };
        let network = network(NETWORK, vec![listener(443, "TCP", "app")], vec![group]);
        traced(&network, flow("10.0.1.20", "10.0.1.5", 443))
    };
    assert_eq!(of(Some(true), &[("10.0.1.20", "healthy")]).outcome(), Decision::Deny);
    assert_eq!(of(Some(false), &[("10.0.1.20", "healthy")]).outcome(), Decision::Allow);
}

#[test]
fn a_target_that_is_shut_whoever_asks_gets_rules_for_both() {
    let unknown =
        TargetGroup { preserve_client_ip: None, ..group("app", "TCP", &[("10.0.2.20", "healthy")]) };
    let found = ask(&network(NETWORK, vec![listener(443, "TCP", "app")], vec![unknown.clone()]), 6, 443);
    let fixes: String =
        found.stages.iter().filter_map(|stage| Some(stage.fix.as_ref()?.command.clone())).collect();
    assert!(fixes.contains("198.51.100.7/32") && fixes.contains("10.0.1.5/32"), "{fixes}");
    // Of UDP the clients' addresses are always kept.
    let udp = TargetGroup { protocol: Some("UDP".into()), ..unknown };
    let found = ask(&network(NETWORK, vec![listener(443, "UDP", "app")], vec![udp]), UDP, 443);
    assert!(!found.text().contains("10.0.1.5/32"), "{}", found.text());
}
