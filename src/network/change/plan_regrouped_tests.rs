//! Plans that give load balancers, databases, functions, endpoints and instances other groups, and those of another provider.

use super::tests::{applied, applied_to, captured, change, interface, plan, rules};
use crate::network::change::{Changed, NEWEST};
use crate::network::*;
use serde_json::{Value, json};

/// The network with an interface that AWS describes so, or that is attached to an instance.
fn described(text: Option<&str>, instance: Option<&str>) -> Network {
    let mut network = captured();
    let known = network.interfaces.get("eni-a", NEWEST).unwrap().value.as_ref().clone();
    let (description, instance_id) = (text.map(str::to_owned), instance.map(str::to_owned));
    let value = NetworkInterface { description, instance_id, ..known };
    network.interfaces.put("eni-a".to_owned(), Timeline::always(value));
    network
}

/// An update of a resource whose groups turn from sg-1 to sg-d.
fn regroup(kind: &str, values: Value, key: &str) -> Value {
    let with = |group: &str| {
        let mut values = values.clone();
        match key.split_once('.') {
            Some((block, key)) => values[block] = json!([{ (key): [group] }]),
            None => values[key] = json!([group]),
        }
        values
    };
    change(&format!("{kind}.x"), &["update"], with("sg-1"), with("sg-d"), json!({}))
}

fn perhaps(changed: &Changed) -> Vec<&str> {
    changed.perhaps.iter().map(|one| one.interface_id.as_str()).collect()
}

#[test]
fn groups_of_what_names_its_interfaces_are_followed() {
    let arn = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/front/0123456789abcdef";
    let new = (vec!["sg-d".to_owned()], true);
    for (kind, values, key, text) in [
        ("aws_lb", json!({"arn": arn}), "security_groups", "ELB app/front/0123456789abcdef"),
        ("aws_elb", json!({"name": "old", "source_security_group_id": "sg-1"}), "security_groups", "ELB old"),
        ("aws_vpc_endpoint", json!({"id": "vpce-1"}), "security_group_ids", "VPC Endpoint Interface vpce-1"),
        (
            "aws_vpc_endpoint",
            json!({"id": "vpce-1", "network_interface_ids": ["eni-a"]}),
            "security_group_ids",
            "x",
        ),
        ("aws_efs_mount_target", json!({"network_interface_id": "eni-a"}), "security_groups", "x"),
    ] {
        let listed = plan(&[regroup(kind, values, key)], &[]);
        let (network, changed) = applied_to(&described(Some(text), None), &listed);
        assert_eq!(interface(&network), new, "{kind}");
        assert_eq!((changed.not_followed, changed.perhaps), (Vec::new(), Vec::new()), "{kind}");
        // Of another one of its type nothing is known.
        if text != "x" {
            let (_, changed) = applied_to(&described(Some("ELB app/other/1"), None), &listed);
            assert_eq!((changed.objects, changed.not_followed.len()), (Vec::new(), 1), "{kind}");
        }
    }
    let instance = || regroup("aws_instance", json!({"id": "i-1"}), "vpc_security_group_ids");
    let (network, _) = applied_to(&described(None, Some("i-1")), &plan(&[instance()], &[]));
    assert_eq!(interface(&network), new);
}

#[test]
fn interfaces_that_carry_the_groups_of_what_names_none_may_be_its() {
    for (kind, key, text) in [
        ("aws_db_instance", "vpc_security_group_ids", "RDSNetworkInterface"),
        ("aws_lambda_function", "vpc_config.security_group_ids", "AWS Lambda VPC ENI-fn-1"),
        ("aws_ecs_service", "network_configuration.security_groups", "arn:aws:ecs:us-east-1:1:attachment/1"),
        ("aws_something_new", "security_group_ids", "x"),
    ] {
        let listed = plan(&[regroup(kind, json!({"id": "d"}), key)], &[]);
        let network = described(Some(text), None);
        let (after, changed) = applied_to(&network, &listed);
        assert_eq!(perhaps(&changed), ["eni-a"], "{kind}");
        assert_eq!(changed.not_followed, Vec::<String>::new(), "{kind}");
        assert_eq!(interface(&after), (vec!["sg-1".to_owned()], true), "{kind}");
        let other = after.with_perhaps(&changed.perhaps);
        assert_eq!(interface(&other), (vec!["sg-d".to_owned()], true), "{kind}");
        // Not those of other services, nor of instances.
        for network in [described(Some("ELB app/front/1"), None), described(None, Some("i-1"))] {
            let (_, changed) = applied_to(&network, &listed);
            assert_eq!((perhaps(&changed), changed.not_followed.len()), (vec![], 1), "{kind}");
        }
    }
    // What launches instances later changes none that there are.
    let template = regroup("aws_launch_template", json!({"id": "lt-1"}), "vpc_security_group_ids");
    assert_eq!(perhaps(&applied(&plan(&[template], &[])).1), Vec::<&str>::new());
}

#[test]
fn interfaces_of_a_group_that_goes_get_the_groups_of_the_plan() {
    // AWS deletes no group that an interface carries.
    let gone = json!({"id": "sg-1", "vpc_id": "vpc-1", "name": "web", "ingress": [], "egress": []});
    let gone = change("aws_security_group.w", &["delete"], gone, Value::Null, json!({}));
    let db = regroup("aws_db_instance", json!({"id": "d"}), "vpc_security_group_ids");
    let (network, changed) = applied(&plan(&[gone, db], &[]));
    assert_eq!(interface(&network), (vec!["sg-d".to_owned()], true));
    assert_eq!(changed.perhaps, []);
}

#[test]
fn of_two_resources_that_an_interface_may_belong_to_either_may_be_the_one() {
    let one = regroup("aws_db_instance", json!({"id": "d"}), "vpc_security_group_ids");
    let mut other = regroup("aws_rds_cluster", json!({"id": "e"}), "vpc_security_group_ids");
    other["change"]["after"]["vpc_security_group_ids"] = json!(["sg-other"]);
    let (after, changed) = applied(&plan(&[one, other], &[]));
    assert_eq!(interface(&after.with_perhaps(&changed.perhaps)), (vec![], false));
}

#[test]
fn a_group_that_an_endpoint_loses_is_followed() {
    let association = json!({"vpc_endpoint_id": "vpce-1", "security_group_id": "sg-1"});
    let gone = change(
        "aws_vpc_endpoint_security_group_association.x",
        &["delete"],
        association,
        Value::Null,
        json!({}),
    );
    let network = described(Some("VPC Endpoint Interface vpce-1"), None);
    let (after, changed) = applied_to(&network, &plan(&[gone], &[]));
    assert_eq!(interface(&after), (vec![], false));
    assert_eq!(changed.not_followed, Vec::<String>::new());
}

#[test]
fn groups_and_rules_of_awscc_are_followed() {
    let rule = |kind: &str, cidr: &str| {
        json!({"group_id": "sg-1", "ip_protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_ip": cidr,
            (format!("security_group_{kind}_id")): "sgr-1"})
    };
    let gone = change(
        "awscc_ec2_security_group_ingress.x",
        &["delete"],
        rule("ingress", "0.0.0.0/0"),
        Value::Null,
        json!({}),
    );
    let (network, changed) = applied(&plan(&[gone], &[]));
    assert_eq!(rules(&network, "sg-1"), Vec::<String>::new());
    assert_eq!(changed.not_followed, Vec::<String>::new());
    let made = change(
        "awscc_ec2_security_group_egress.x",
        &["create"],
        Value::Null,
        rule("egress", "192.0.2.0/24"),
        json!({}),
    );
    assert_eq!(rules(&applied(&plan(&[made], &[])).0, "sg-1").len(), 2);
    let group = |port: u16| {
        json!({"group_id": "sg-1", "group_name": "web", "vpc_id": "vpc-1", "security_group_egress": [],
            "security_group_ingress": [{"ip_protocol": "tcp", "from_port": port, "to_port": port, "cidr_ip": "0.0.0.0/0"}]})
    };
    let update = change("awscc_ec2_security_group.x", &["update"], group(443), group(22), json!({}));
    assert_eq!(rules(&applied(&plan(&[update], &[])).0, "sg-1"), ["tcp 22 0.0.0.0/0"]);
}
