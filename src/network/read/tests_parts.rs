//! What does not hold all there is: pages, what a filter left, what only tells of changes. Nothing may be concluded from what is
//! missing in it (spec 2.4, 2.5, 3.2, 6.1, 6.6, 6.8).

use super::*;
use crate::network::history::View;
use crate::rules::{Decision, Direction, Engine, Packet};
use serde_json::{Value, json};

const NOON: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z

fn eni(id: &str, addr: &str, group: &str) -> Value {
    json!({"NetworkInterfaceId": id, "SubnetId": "subnet-1", "VpcId": "vpc-1", "PrivateIpAddress": addr,
        "Groups": [{"GroupId": group}]})
}

fn acl(id: &str, default: bool, subnets: &[&str]) -> Value {
    let associations: Vec<Value> = subnets.iter().map(|subnet| json!({"SubnetId": subnet})).collect();
    json!({"NetworkAclId": id, "VpcId": "vpc-1", "IsDefault": default, "Associations": associations, "Entries": [
        {"RuleNumber": 90, "Egress": false, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}]})
}

fn rule(id: &str, port: u16) -> Value {
    json!({"SecurityGroupRuleId": id, "GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": port,
        "ToPort": port, "CidrIpv4": "10.0.0.0/8"})
}

fn groups(pair: Value) -> Value {
    json!({"SecurityGroups": [
        {"GroupId": "sg-1", "VpcId": "vpc-1", "IpPermissionsEgress": [],
         "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [],
            "UserIdGroupPairs": pair["groups"], "PrefixListIds": pair["lists"]}]}]})
}

fn reference() -> Value {
    groups(json!({"groups": [{"GroupId": "sg-2"}], "lists": []}))
}

fn interfaces() -> Value {
    json!({"NetworkInterfaces": [eni("eni-1", "10.0.1.10", "sg-1")]})
}

/// In an envelope with a command.
fn by(command: &str, output: Value) -> Value {
    json!({"captured_at": "2024-05-02T12:00:00Z", "command": command, "output": output})
}

fn with_token(mut output: Value) -> Value {
    output["NextToken"] = json!("abc");
    output
}

fn network(files: &[(&str, Value)]) -> Network {
    let mut builder = NetworkBuilder::new();
    let rest = [
        ("all/vpcs.json", json!({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]})),
        (
            "all/subnets.json",
            json!({"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24"}]}),
        ),
    ];
    for (name, value) in files.iter().chain(&rest) {
        let options = ReadOptions { captured_at: Some(NOON), ..ReadOptions::default() };
        builder.read(name, value.to_string().as_bytes(), &options).unwrap();
    }
    builder.finish().0
}

/// What the groups of eni-1, and its list, make of a SYN from 10.0.2.77.
fn judged(files: &[(&str, Value)]) -> (Decision, Decision) {
    let network = network(files);
    let mut engine = Engine::new(&network);
    let rules = engine.interface("eni-1", View { at: NOON, after: false }).unwrap();
    let packet = Packet {
        direction: Direction::Ingress,
        remote: "10.0.2.77".parse().unwrap(),
        protocol: 6,
        port: Some(5432),
        icmp: None,
    };
    (rules.group_verdict(&packet).decision, rules.acl_verdict(&packet, None).decision)
}

fn told(files: &[(&str, Value)]) -> Vec<String> {
    network(files).part_captures.iter().map(ToString::to_string).collect()
}

#[test]
fn an_address_that_a_part_of_the_interfaces_does_not_hold_may_be_a_members() {
    let of = |interfaces: Value| judged(&[("a/sgs.json", reference()), ("a/enis.json", interfaces)]).0;
    assert_eq!(of(interfaces()), Decision::Deny, "a dump without options is whole");
    assert_eq!(of(with_token(interfaces())), Decision::Unknown, "a page");
    for (command, decision) in [
        ("aws ec2 describe-network-interfaces --region us-east-1", Decision::Deny),
        ("aws ec2 describe-network-interfaces --filters Name=vpc-id,Values=vpc-1", Decision::Deny),
        ("aws ec2 describe-network-interfaces --filters Name=group-id,Values=sg-1", Decision::Unknown),
        ("aws ec2 describe-network-interfaces --network-interface-ids eni-1", Decision::Unknown),
        ("aws ec2 describe-network-interfaces --max-items 1", Decision::Unknown),
        (
            "aws ec2 describe-network-interfaces --query {NetworkInterfaces:NetworkInterfaces[?x]}",
            Decision::Unknown,
        ),
    ] {
        assert_eq!(of(by(command, interfaces())), decision, "{command}");
    }
    // Those of instances only (6.6).
    let instance = json!({"Reservations": [{"Instances": [{"InstanceId": "i-1",
        "NetworkInterfaces": [eni("eni-1", "10.0.1.10", "sg-1")]}]}]});
    assert_eq!(of(instance.clone()), Decision::Unknown);
    assert!(told(&[("a/i.json", instance)])[0].contains("describe-network-interfaces"));
}

#[test]
fn pages_that_are_whole_together_count_as_whole() {
    let last = json!({"NetworkInterfaces": [eni("eni-2", "10.0.1.11", "sg-9")]});
    let of = |files: &[(&str, Value)]| {
        let files: Vec<_> = [("a/sgs.json", reference())].into_iter().chain(files.iter().cloned()).collect();
        (judged(&files).0, told(&files).len())
    };
    let first = with_token(interfaces());
    assert_eq!(of(&[("a/1.json", first.clone()), ("a/2.json", last.clone())]), (Decision::Deny, 0));
    assert_eq!(
        of(&[("a/1.json", first.clone()), ("b/2.json", last.clone())]),
        (Decision::Deny, 1),
        "what tells of no other page is whole"
    );
    let command = "aws ec2 describe-network-interfaces --next-token abc";
    assert_eq!(of(&[("a/2.json", by(command, interfaces()))]), (Decision::Unknown, 1), "the last page alone");
    let both =
        [("a/1.json", by("aws ec2 describe-network-interfaces", first)), ("a/2.json", by(command, last))];
    assert_eq!(of(&both), (Decision::Deny, 0));
    assert_eq!(
        told(&both[..1]),
        [
            "a/1.json: NetworkInterfaces: one page of several (NextToken), so that what it does not hold may be there; fetch the \
         others too"
        ]
    );
}

#[test]
fn the_default_list_is_a_subnets_only_where_all_lists_are_known() {
    let of = |acls: Value| judged(&[("a/enis.json", interfaces()), ("a/acls.json", acls)]).1;
    let default = || json!({"NetworkAcls": [acl("acl-0", true, &[])]});
    assert_eq!(of(default()), Decision::Deny);
    assert_eq!(of(with_token(default())), Decision::Unknown, "a page");
    for command in ["--network-acl-ids acl-0", "--filters Name=default,Values=true"] {
        assert_eq!(of(by(&format!("aws ec2 describe-network-acls {command}"), default())), Decision::Unknown);
    }
    // A list that names the subnet is its own, whatever else is missing.
    assert_eq!(of(with_token(json!({"NetworkAcls": [acl("acl-1", false, &["subnet-1"])]}))), Decision::Deny);
}

fn config(name: &str, items: &[(&str, Value)]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|(kind, value)| {
            json!({"configurationItemCaptureTime": "2024-05-02T09:00:00Z", "configurationItemStatus": "OK",
                "awsAccountId": "111122223333", "resourceType": kind, "resourceId": value[name_of(kind)], "configuration": value})
        })
        .collect();
    let mut file = json!({"fileVersion": "1.0", "configurationItems": items});
    if name == "snapshot" {
        file["configSnapshotId"] = json!("0123");
    }
    file
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "AWS::EC2::NetworkAcl" => "NetworkAclId",
        "AWS::EC2::NetworkInterface" => "NetworkInterfaceId",
        _ => "GroupId",
    }
}

#[test]
fn a_history_file_of_aws_config_holds_what_changed() {
    let items = |name: &str| {
        let group = reference()["SecurityGroups"][0].clone();
        config(
            name,
            &[
                ("AWS::EC2::NetworkInterface", eni("eni-1", "10.0.1.10", "sg-1")),
                ("AWS::EC2::NetworkAcl", acl("acl-0", true, &[])),
                ("AWS::EC2::SecurityGroup", group),
            ],
        )
    };
    assert_eq!(judged(&[("h.json", items("history"))]), (Decision::Unknown, Decision::Unknown));
    let snapshot = "111122223333_Config_us-east-1_ConfigSnapshot_20240502T120000Z_0123.json";
    assert_eq!(judged(&[(snapshot, items("snapshot"))]), (Decision::Deny, Decision::Deny));
}

#[test]
fn rules_of_a_page_are_some_of_the_groups() {
    let rules = || json!({"SecurityGroupRules": [rule("sgr-1", 22)]});
    let of = |file: Value| judged(&[("a/enis.json", interfaces()), ("a/rules.json", file)]).0;
    assert_eq!(of(rules()), Decision::Deny);
    assert_eq!(of(with_token(rules())), Decision::Unknown);
    let command = |options: &str| format!("aws ec2 describe-security-group-rules {options}");
    assert_eq!(of(by(&command("--security-group-rule-ids sgr-1"), rules())), Decision::Unknown);
    assert_eq!(of(by(&command("--filters Name=group-id,Values=sg-1"), rules())), Decision::Deny);
    // Beside the group itself they give ids, and take nothing away.
    let group = groups(json!({"groups": [], "lists": []}));
    let mut group = group["SecurityGroups"][0].clone();
    group["IpPermissions"] = json!([
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]);
    let files = [
        ("a/enis.json", interfaces()),
        ("a/sgs.json", json!({"SecurityGroups": [group]})),
        ("a/rules.json", with_token(rules())),
    ];
    assert_eq!(judged(&files).0, Decision::Allow);
    assert_eq!(network(&files).disagreements, vec![]);
    // Two pages are all rules.
    let pages = [
        ("a/enis.json", interfaces()),
        ("a/1.json", with_token(rules())),
        ("a/2.json", json!({"SecurityGroupRules": [rule("sgr-2", 80)]})),
    ];
    assert_eq!(judged(&pages).0, Decision::Deny);
}

#[test]
fn entries_of_a_page_are_some_of_the_lists() {
    let list = || groups(json!({"groups": [], "lists": [{"PrefixListId": "pl-1"}]}));
    let entries = || json!({"Entries": [{"Cidr": "203.0.113.0/24"}]});
    let of = |files: &[(&str, Value)]| {
        let files: Vec<_> = [("a/enis.json", interfaces()), ("a/sgs.json", list())]
            .into_iter()
            .chain(files.iter().cloned())
            .collect();
        judged(&files).0
    };
    assert_eq!(of(&[("a/pl-1.json", entries())]), Decision::Deny);
    assert_eq!(of(&[("a/pl-1.json", with_token(entries()))]), Decision::Unknown);
    let more = json!({"Entries": [{"Cidr": "10.0.2.0/24"}]});
    assert_eq!(of(&[("a/pl-1.json", with_token(entries())), ("a/pl-1.page-2.json", more)]), Decision::Allow);
}

#[test]
fn without_all_interfaces_no_group_is_unused() {
    let unused = |interfaces: Value| {
        let network = network(&[("a/sgs.json", reference()), ("a/enis.json", interfaces)]);
        let view = View { at: NOON, after: false };
        crate::audit::check(&network, view).iter().any(|one| one.check == "unused_security_group")
    };
    let others = || json!({"NetworkInterfaces": [eni("eni-1", "10.0.1.10", "sg-9")]});
    assert!(unused(others()));
    assert!(!unused(with_token(others())));
}

#[test]
fn documents_of_one_file_are_all_read() {
    // `jq -c` and files put together.
    let text = format!("{}\n{}", interfaces(), reference());
    let mut builder = NetworkBuilder::new();
    builder.read("a.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    let (network, _) = builder.finish();
    assert_eq!((network.interfaces.len(), network.groups.len()), (1, 1));
    let told = |text: &str| {
        NetworkBuilder::new()
            .read("a.json", text.as_bytes(), &ReadOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(told(" \n").contains("the file is empty"));
    assert!(told("[{\"GroupId\":\"sg-1\"}]").contains("without --query"));
    assert!(told("{\"Vpcs\": []} x").contains("trailing") || told("{\"Vpcs\": []} x").contains("expected"));
    let old = told(r#"{"modules":[],"serial":1,"terraform_version":"0.11.1","version":3}"#);
    assert!(old.contains("3 of a state"), "{old}");
}

#[test]
fn one_item_of_aws_config_is_read() {
    let group = reference()["SecurityGroups"][0].clone();
    let file = config("history", &[("AWS::EC2::SecurityGroup", group)]);
    let item = &file["configurationItems"][0];
    for text in [item.to_string(), json!({"configurationItem": item, "messageType": "x"}).to_string()] {
        let mut builder = NetworkBuilder::new();
        builder.read("a.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!(builder.finish().0.groups.len(), 1);
    }
}

#[test]
fn an_entry_without_its_ports_may_be_for_any() {
    let mut list = acl("acl-1", false, &["subnet-1"]);
    list["Entries"][0]["Protocol"] = json!("6");
    let files =
        |list: Value| [("a/enis.json", interfaces()), ("a/acls.json", json!({"NetworkAcls": [list]}))];
    // AWS writes PortRange for TCP and UDP; without it entry 90 may or may not match before the default.
    list["Entries"]
        .as_array_mut()
        .unwrap()
        .push(json!({"RuleNumber": 100, "Egress": false, "Protocol": "-1",
        "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}));
    assert_eq!(judged(&files(list.clone())).1, Decision::Unknown);
    list["Entries"][0]["PortRange"] = json!({"From": 0, "To": 65535});
    assert_eq!(judged(&files(list)).1, Decision::Deny);
}

#[test]
fn an_interface_without_its_list_of_groups_is_told() {
    let mut one = eni("eni-1", "10.0.1.10", "sg-1");
    one.as_object_mut().unwrap().remove("Groups");
    let mut builder = NetworkBuilder::new();
    let text = json!({"NetworkInterfaces": [one]}).to_string();
    builder.read("a.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    assert!(builder.problems()[0].message.starts_with("Groups is missing"));
}

#[test]
fn a_configuration_without_interfaces_or_lists_is_no_clear_one() {
    let mut builder = NetworkBuilder::new();
    builder.read("a.json", reference().to_string().as_bytes(), &ReadOptions::default()).unwrap();
    let network = builder.finish().0;
    let found = crate::audit::check(&network, View { at: NOON, after: false });
    let advice: Vec<&str> = found.iter().map(|one| one.advice.as_str()).collect();
    for command in ["describe-network-interfaces", "describe-network-acls"] {
        assert!(advice.iter().any(|one| one.ends_with(command)), "{advice:?}");
    }
}
