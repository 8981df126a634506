//! Load balancers and their targets, followed by hand.

use super::cases::{flow, stages, traced};
use super::*;
use crate::network::{Listener, LoadBalancer, Target, TargetGroup, Timeline};
use crate::rules::fixture::Fixture;

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/web/50dc6c495c0c9188";

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    nacl acl-2 vpc-1 subnet-2
    acl-2 in 100 allow tcp 8080 10.0.1.0/24
    acl-2 out 100 allow tcp 1024-65535 10.0.1.0/24
    route subnet-1 10.0.0.0/16 local
    route subnet-1 0.0.0.0/0 igw-1
    route subnet-2 10.0.0.0/16 local
    sg-lb in tcp 443 0.0.0.0/0
    sg-lb out tcp 8080 10.0.2.0/24
    sg-app in tcp 8080 sg-lb
    sg-shut
    eni eni-app subnet-2 10.0.2.10 groups=sg-app
    eni eni-shut subnet-2 10.0.2.11 groups=sg-shut
    eni eni-lb subnet-1 10.0.1.5 groups=sg-lb public=192.0.2.5 description=ELB app/web/50dc6c495c0c9188
    bpa subnet-1 off
    bpa subnet-2 off";

/// `10.0.2.10`, or `10.0.2.10 9090`.
fn target(text: &str) -> Target {
    let (id, port) = text.split_once(' ').map_or((text, None), |(id, port)| (id, port.parse().ok()));
    Target { id: id.into(), port, health: Some("healthy".into()) }
}

/// The way of a client to eni-lb, which is an interface of this load balancer.
fn behind(text: &str, balancer: LoadBalancer, group: TargetGroup) -> Trace {
    let mut network = Fixture::new(text).network();
    network.load_balancers.put(balancer.id.clone(), Timeline::always(balancer));
    network.target_groups.put(group.id.clone(), Timeline::always(group));
    network.finish();
    traced(&network, flow("198.51.100.7", "192.0.2.5", 443))
}

fn run(text: &str, targets: &[&str]) -> Trace {
    run_listening(text, targets, None)
}

fn run_listening(text: &str, targets: &[&str], listener_ports: Option<Vec<u16>>) -> Trace {
    let balancer = LoadBalancer {
        id: ARN.into(),
        name: "web".into(),
        kind: "application".into(),
        listeners: listener_ports
            .map(|ports| ports.into_iter().map(|port| Listener { port, ..Listener::default() }).collect()),
        ..LoadBalancer::default()
    };
    let group = TargetGroup {
        id: "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/app/1".into(),
        protocol: Some("HTTP".into()),
        port: Some(8080),
        target_type: Some("ip".into()),
        load_balancer_ids: vec![ARN.into()],
        targets: targets.iter().map(|text| target(text)).collect(),
        ..TargetGroup::default()
    };
    behind(text, balancer, group)
}

#[test]
fn the_way_goes_on_to_the_target() {
    let trace = run(NETWORK, &["10.0.2.10"]);
    assert_eq!(
        stages(&trace),
        [
            "there address 198.51.100.7 not_applicable",
            "there address 192.0.2.5 allow",
            "there vpc_block_public_access subnet-1 allow",
            "there network_acl inbound subnet-1 allow",
            "there security_group inbound eni-lb allow",
            "there load_balancer web allow",
            "there security_group outbound eni-lb allow",
            "there network_acl outbound subnet-1 allow",
            "there route subnet-1 allow",
            "there network_acl inbound subnet-2 allow",
            "there security_group inbound eni-app allow",
            "back security_group outbound eni-app not_applicable",
            "back network_acl outbound subnet-2 allow",
            "back route subnet-2 allow",
            "back network_acl inbound subnet-1 allow",
            "back security_group inbound eni-lb not_applicable",
            "back security_group outbound eni-lb not_applicable",
            "back network_acl outbound subnet-1 allow",
            "back route subnet-1 allow",
        ]
    );
    assert_eq!(trace.outcome(), Decision::Allow);
    assert!(trace.stages[5].reason.contains("10.0.2.10 port 8080 (healthy)"), "{}", trace.stages[5].reason);
}

#[test]
fn a_port_without_a_listener_is_shut() {
    let open = run_listening(NETWORK, &["10.0.2.10"], Some(vec![80, 443]));
    assert_eq!(open.outcome(), Decision::Allow);
    let shut = run_listening(NETWORK, &["10.0.2.10"], Some(vec![80]));
    assert_eq!(shut.outcome(), Decision::Deny);
    assert!(shut.text().contains("it has no listener on port 443, only on 80"), "{}", shut.text());
    let unknown = run(NETWORK, &["10.0.2.10"]);
    assert!(unknown.not_checked.iter().any(|what| what.contains("describe-listeners")));
}

#[test]
fn answers_go_to_any_port_of_the_load_balancer() {
    // Ports of Linux clients are not all that a load balancer uses.
    let narrow = NETWORK.replace("out 100 allow tcp 1024-65535", "out 100 allow tcp 32768-61000");
    let trace = run(&narrow, &["10.0.2.10"]);
    let back = trace.stages.iter().find(|stage| stage.way == Way::Back && stage.at == "subnet-2").unwrap();
    assert_eq!(back.outcome, Decision::Unknown);
    assert_eq!(back.clients[0].dropped, [(1024, 32767), (61001, 65535)]);
}

#[test]
fn a_target_that_is_shut_stops_it_only_alone() {
    let alone = run(NETWORK, &["10.0.2.11"]);
    let blockers: Vec<&str> = alone.blockers().map(|stage| stage.at.as_str()).collect();
    assert_eq!(blockers, ["eni-shut"]);
    let fix = alone.blockers().next().unwrap().fix.as_ref().unwrap();
    assert!(
        fix.command.contains("FromPort=8080,ToPort=8080") && fix.command.contains("{GroupId=sg-lb}"),
        "{}",
        fix.command
    );
    let both = run(NETWORK, &["10.0.2.10", "10.0.2.11"]);
    assert_eq!((both.blockers().count(), both.outcome()), (0, Decision::Unknown));
}

#[test]
fn a_target_registered_with_a_port_of_its_own_is_asked_at_that() {
    // The group's rules and the list open 8080, and the target listens at 9090.
    let trace = run(NETWORK, &["10.0.2.10 9090"]);
    let blockers: Vec<&str> = trace.blockers().map(|stage| stage.at.as_str()).collect();
    assert_eq!(blockers, ["eni-lb", "subnet-2", "eni-app"]);
    assert!(trace.stages[5].reason.contains("10.0.2.10 port 9090 (healthy)"), "{}", trace.stages[5].reason);
    let both = run(NETWORK, &["10.0.2.10 9090", "10.0.2.10"]);
    assert_eq!(both.blockers().count(), 0, "the other one gets it");
}

#[test]
fn what_is_not_known_of_a_load_balancer_is_said() {
    let other = NETWORK.replace("ELB app/web/50dc6c495c0c9188", "ELB app/other/60dc6c495c0c9188");
    let trace = run(&other, &["10.0.2.10"]);
    assert!(trace.not_checked.iter().any(|text| text.contains("app/other/60dc6c495c0c9188")));
    let empty = run(NETWORK, &[]);
    assert!(stages(&empty).contains(&"there load_balancer web unknown".to_owned()));
}

/// A Network Load Balancer in front of eni-app, whose group has this rule for port 8080.
fn run_network(remote: &str, preserve_client_ip: Option<bool>) -> Trace {
    let text = NETWORK
        .replace("description=ELB app/", "type=network_load_balancer description=ELB net/")
        .replace("allow tcp 8080 10.0.1.0/24", "allow tcp 8080 0.0.0.0/0")
        .replace("1024-65535 10.0.1.0/24", "1024-65535 0.0.0.0/0")
        .replace("sg-app in tcp 8080 sg-lb", &format!("sg-app in tcp 8080 {remote}"));
    let balancer = LoadBalancer {
        id: ARN.replace("/app/", "/net/"),
        name: "web".into(),
        kind: "network".into(),
        vpc_id: Some("vpc-1".into()),
        group_ids: vec!["sg-lb".into()],
        ..LoadBalancer::default()
    };
    let group = TargetGroup {
        id: "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/app/1".into(),
        protocol: Some("TCP".into()),
        port: Some(8080),
        target_type: Some("ip".into()),
        load_balancer_ids: vec![balancer.id.clone()],
        targets: vec![target("10.0.2.10")],
        preserve_client_ip,
        ..TargetGroup::default()
    };
    behind(&text, balancer, group)
}

#[test]
fn a_network_load_balancers_group_stands_for_the_clients_whose_addresses_it_keeps() {
    for preserve in [Some(true), Some(false), None] {
        let trace = run_network("sg-lb", preserve);
        assert_eq!(trace.blockers().count(), 0, "{preserve:?}: {:?}", stages(&trace));
        assert!(
            stages(&trace).contains(&"there security_group inbound eni-app allow".to_owned()),
            "{:?}",
            stages(&trace)
        );
    }
}

#[test]
fn whether_clients_addresses_are_kept_is_not_assumed() {
    // The target's group knows the load balancer's subnet alone.
    assert_eq!(run_network("10.0.1.0/24", Some(false)).blockers().count(), 0);
    assert_eq!(run_network("10.0.1.0/24", Some(true)).blockers().count(), 1);
    let trace = run_network("10.0.1.0/24", None);
    assert_eq!(trace.blockers().count(), 0);
    let open = trace.stages.iter().find(|stage| stage.outcome == Decision::Unknown).unwrap();
    assert!(open.reason.contains("(if the load balancer keeps the clients' addresses)"), "{}", open.reason);
    assert!(trace.not_checked.iter().any(|text| text.contains("describe-target-group-attributes")));
    // The clients' block alone: the other way round.
    let trace = run_network("198.51.100.0/24", None);
    let open = trace.stages.iter().find(|stage| stage.outcome == Decision::Unknown).unwrap();
    assert!(open.reason.contains("does not keep"), "{}", open.reason);
}

#[test]
fn the_rule_for_a_network_load_balancers_group_is_said_to_match() {
    let line = |preserve| {
        let trace = run_network("sg-lb", preserve);
        let stage =
            trace.stages.iter().find(|stage| stage.at == "eni-app" && stage.way == Way::There).unwrap();
        (stage.rules[0].matched, stage.rules[0].because.clone())
    };
    assert_eq!(line(Some(true)), (crate::rules::Ternary::Yes, None));
    assert_eq!(line(Some(false)), (crate::rules::Ternary::Yes, None));
}

#[test]
fn a_target_that_is_cut_off_is_no_matter_of_the_clients_port() {
    // One target is in a subnet whose list lets nothing out.
    let text = format!(
        "{NETWORK}\nsubnet subnet-3 vpc-1 10.0.3.0/24\nnacl acl-3 vpc-1 subnet-3\nacl-3 in 100 allow all 0.0.0.0/0\n\
         route subnet-3 10.0.0.0/16 local\neni eni-cut subnet-3 10.0.3.10 groups=sg-app"
    )
    .replace("sg-lb out tcp 8080 10.0.2.0/24", "sg-lb out tcp 8080 10.0.0.0/16");
    let trace = run(&text, &["10.0.2.10", "10.0.3.10"]);
    assert_eq!(trace.outcome(), Decision::Unknown);
    let said = trace.text();
    let headline = said.lines().next().unwrap();
    assert!(
        headline.ends_with("it depends: this stops only what goes to 10.0.3.10 port 8080 (healthy)"),
        "{headline}"
    );
    assert!(!said.contains("for some client ports"), "{said}");
    assert!(said.contains("may block: network_acl at subnet-3"), "{said}");
}

#[test]
fn two_targets_of_one_group_need_one_rule() {
    // EC2 answers InvalidPermission.Duplicate to the second.
    let text = format!("{NETWORK}\neni eni-other subnet-2 10.0.2.12 groups=sg-shut");
    let trace = run(&text, &["10.0.2.11", "10.0.2.12"]);
    let commands: Vec<String> =
        trace.stages.iter().filter_map(|stage| Some(stage.fix.as_ref()?.command.clone())).collect();
    let rules = commands.iter().filter(|command| command.contains("--group-id sg-shut")).count();
    assert_eq!(rules, 1, "{commands:?}");
    assert_eq!(trace.json()["fixes_suffice"], true);
}

#[test]
fn records_at_targets_that_see_the_clients_are_of_the_flow() {
    let condition = |preserve| run_network("sg-lb", preserve).condition(Window::default());
    let at_target = "(srcaddr in ('198.51.100.7') or pkt_srcaddr in ('198.51.100.7')) and (dstaddr in ('10.0.2.10') or \
                     pkt_dstaddr in ('10.0.2.10')) and dstport = 8080";
    for (preserve, told) in [(Some(true), true), (None, true), (Some(false), false)] {
        let condition = condition(preserve);
        assert_eq!(condition.contains(at_target), told, "{preserve:?}: {condition}");
    }
}

#[test]
fn interfaces_of_services_are_called_by_what_aws_says_of_them() {
    let text = run(NETWORK, &["10.0.2.10"]).text();
    assert!(text.contains(" at eni-lb (ELB app/web/50dc6c495c0c9188): "), "{text}");
}
