//! Load balancers and their targets, put together out of several captures.

use super::*;
use crate::network::history::View;

const NOON: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z
const DAY: i64 = 86_400;
const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/0123456789abcdef";

fn network(files: &[(String, i64)]) -> Network {
    let mut builder = NetworkBuilder::new();
    for (text, at) in files {
        let options = ReadOptions { captured_at: Some(*at), ..ReadOptions::default() };
        builder.read("x.json", text.as_bytes(), &options).unwrap();
    }
    builder.finish().0
}

fn described(port: u16) -> String {
    format!(
        r#"{{"TargetGroups":[{{"TargetGroupArn":"{GROUP}","Protocol":"TCP","Port":{port},"TargetType":"instance"}}]}}"#
    )
}

fn answer(command: &str, output: &str) -> String {
    format!(r#"{{"command":"aws elbv2 {command} --target-group-arn {GROUP}","output":{output}}}"#)
}

fn health(target: &str) -> String {
    let output = format!(
        r#"{{"TargetHealthDescriptions":[{{"Target":{{"Id":"{target}"}},"TargetHealth":{{"State":"healthy"}}}}]}}"#
    );
    answer("describe-target-health", &output)
}

fn keeps_clients(value: bool) -> String {
    let output = format!(r#"{{"Attributes":[{{"Key":"preserve_client_ip.enabled","Value":"{value}"}}]}}"#);
    answer("describe-target-group-attributes", &output)
}

/// The first target, the port, and whether clients' addresses are kept, at a moment.
fn at(network: &Network, moment: i64) -> (Option<String>, Option<u16>, Option<bool>) {
    let found = network.target_groups.get(GROUP, View { at: moment, after: false }).unwrap().value;
    (found.targets.first().map(|target| target.id.clone()), found.port, found.preserve_client_ip)
}

#[test]
fn targets_and_attributes_are_those_of_their_time() {
    let files = [
        (described(80), NOON),
        (health("i-old"), NOON + 5),
        (keeps_clients(false), NOON + 7),
        (described(80), NOON + DAY),
        (health("i-new"), NOON + DAY + 5),
        (keeps_clients(true), NOON + DAY - 7),
    ];
    let reversed: Vec<(String, i64)> = files.iter().rev().cloned().collect();
    for files in [files.to_vec(), reversed] {
        let network = network(&files);
        assert_eq!(at(&network, NOON), (Some("i-old".to_owned()), Some(80), Some(false)));
        assert_eq!(at(&network, NOON + DAY), (Some("i-new".to_owned()), Some(80), Some(true)));
    }
}

#[test]
fn targets_that_were_asked_for_alone_are_of_the_group_as_it_was_described_last() {
    let network = network(&[
        (described(80), NOON),
        (health("i-old"), NOON),
        (health("i-new"), NOON + DAY),
        (keeps_clients(true), NOON + DAY),
    ]);
    // The attributes were asked for once, and nothing says that they were others.
    assert_eq!(at(&network, NOON), (Some("i-old".to_owned()), Some(80), Some(true)));
    assert_eq!(at(&network, NOON + DAY), (Some("i-new".to_owned()), Some(80), Some(true)));
}

#[test]
fn a_description_without_its_targets_hides_none_that_were_asked_for_before() {
    let network = network(&[(described(80), NOON), (health("i-1"), NOON + 5), (described(8080), NOON + DAY)]);
    assert_eq!(at(&network, NOON), (Some("i-1".to_owned()), Some(80), None));
    assert_eq!(at(&network, NOON + DAY), (Some("i-1".to_owned()), Some(8080), None));
}

#[test]
fn listeners_are_those_of_their_time() {
    let balancer =
        r#"{"LoadBalancers":[{"LoadBalancerArn":"arn:lb","LoadBalancerName":"lb","Type":"network"}]}"#;
    let listener = |port: u16| {
        format!(r#"{{"Listeners":[{{"ListenerArn":"arn:l","LoadBalancerArn":"arn:lb","Port":{port}}}]}}"#)
    };
    let network = network(&[
        (balancer.to_owned(), NOON),
        (listener(80), NOON + 5),
        (balancer.to_owned(), NOON + DAY),
        (listener(443), NOON + DAY + 5),
    ]);
    let ports = |at: i64| {
        let found = network.load_balancers.get("arn:lb", View { at, after: false }).unwrap();
        found.value.listener_ports()
    };
    assert_eq!((ports(NOON), ports(NOON + DAY)), (Some(vec![80]), Some(vec![443])));
}

#[test]
fn whether_inbound_rules_hold_for_private_link_traffic_is_read() {
    let member = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
    let described = |member: &str| {
        format!(
            r#"{{"LoadBalancers":[{{"LoadBalancerArn":"arn:lb","LoadBalancerName":"lb","Type":"network"{member}}}]}}"#
        )
    };
    let resource = |value: &str| {
        let values = format!(
            r#"{{"id":"arn:lb","arn":"arn:lb","name":"lb","load_balancer_type":"network",
            "enforce_security_group_inbound_rules_on_private_link_traffic":"{value}"}}"#
        );
        format!(
            r#"{{"format_version":"1.0","values":{{"root_module":{{"resources":[
            {{"address":"aws_lb.a","mode":"managed","type":"aws_lb","values":{values}}}]}}}}}}"#
        )
    };
    let found = |text: String| {
        let network = network(&[(text, NOON)]);
        let balancer = network.load_balancers.get("arn:lb", View { at: NOON, after: false }).unwrap();
        balancer.value.enforces_on_private_link
    };
    assert_eq!(found(described(&format!(r#","{member}":"off""#))), Some(false));
    assert_eq!(found(described(&format!(r#","{member}":"on""#))), Some(true));
    assert_eq!(found(described("")), None);
    assert_eq!(found(resource("off")), Some(false));
}

#[test]
fn what_a_listener_takes_and_forwards_to_is_read() {
    let balancer = r#"{"LoadBalancers":[{"LoadBalancerArn":"arn:lb","LoadBalancerName":"lb","Type":"network","State":{"Code":"failed"}}]}"#;
    let listeners = r#"{"Listeners":[
        {"ListenerArn":"arn:l","LoadBalancerArn":"arn:lb","Port":443,"Protocol":"TCP_UDP","DefaultActions":[{"Type":"forward",
         "TargetGroupArn":"arn:one","ForwardConfig":{"TargetGroups":[{"TargetGroupArn":"arn:one"}]}}]},
        {"ListenerArn":"arn:m","LoadBalancerArn":"arn:lb","Port":80,"Protocol":"TCP","DefaultActions":[{"Type":"forward",
         "ForwardConfig":{"TargetGroups":[{"TargetGroupArn":"arn:two","Weight":9},{"TargetGroupArn":"arn:three","Weight":0}]}}]}]}"#;
    let network = network(&[(balancer.to_owned(), NOON), (listeners.to_owned(), NOON)]);
    let found = network.load_balancers.get("arn:lb", View { at: NOON, after: false }).unwrap().value;
    assert_eq!(found.state.as_deref(), Some("failed"));
    let listeners = found.listeners.as_ref().unwrap();
    let forwards: Vec<&[String]> = listeners.iter().map(|one| one.forwards.as_slice()).collect();
    assert_eq!(forwards, [&["arn:one".to_owned()][..], &["arn:two".to_owned()][..]]);
    let takes: Vec<(bool, bool)> = listeners.iter().map(|one| (one.takes(6), one.takes(17))).collect();
    assert_eq!(takes, [(true, true), (true, false)]);
}

#[test]
fn targets_that_were_asked_for_and_are_none_are_known_to_be_none() {
    let empty = answer("describe-target-health", r#"{"TargetHealthDescriptions":[]}"#);
    let known = |files: &[(String, i64)]| {
        let network = network(files);
        network.target_groups.get(GROUP, View { at: NOON, after: false }).unwrap().value.targets_known
    };
    assert!(known(&[(described(80), NOON), (empty, NOON)]));
    assert!(!known(&[(described(80), NOON)]));
}

#[test]
fn whether_a_target_group_balances_across_zones_is_read_beside_the_clients_addresses() {
    let attributes = |value: &str| {
        let output = format!(
            r#"{{"Attributes":[{{"Key":"load_balancing.cross_zone.enabled","Value":"{value}"}},
                {{"Key":"preserve_client_ip.enabled","Value":"true"}}]}}"#
        );
        let network =
            network(&[(described(80), NOON), (answer("describe-target-group-attributes", &output), NOON)]);
        let group = network.target_groups.get(GROUP, View { at: NOON, after: false }).unwrap().value.clone();
        (group.cross_zone, group.preserve_client_ip)
    };
    assert_eq!(attributes("false"), (Some(false), Some(true)));
    assert_eq!(
        attributes("use_load_balancer_configuration"),
        (None, Some(true)),
        "its load balancer's setting holds"
    );
}
