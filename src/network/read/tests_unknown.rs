//! What cannot be read, or is not given, is unknown and never empty.

use super::*;
use crate::network::history::View;
use crate::rules::{Decision, Direction, Engine, Packet};

const VIEW: View = View { at: 0, after: false };

fn read(text: &str) -> (Network, Vec<Problem>) {
    read_as(text, None)
}

fn read_as(text: &str, captured_at: Option<i64>) -> (Network, Vec<Problem>) {
    let mut builder = NetworkBuilder::new();
    let options = ReadOptions { captured_at, ..ReadOptions::default() };
    builder.read("f.json", text.as_bytes(), &options).unwrap();
    builder.finish()
}

/// The entries of `acl-1` as they are shown, and the problems told.
fn acl(members: &str) -> (Vec<String>, Vec<String>) {
    let (network, problems) = read(&format!(r#"{{"NetworkAcls":[{{"NetworkAclId":"acl-1"{members}}}]}}"#));
    let acl = network.acls.get("acl-1", VIEW).unwrap();
    let shown = |entry: &NaclEntry| {
        let cidr = entry.cidr.map_or("?".to_string(), |cidr| cidr.to_string());
        format!(
            "{} {} {} {cidr}",
            if entry.egress { "out" } else { "in" },
            entry.number_text(),
            entry.traffic
        )
    };
    (acl.value.entries.iter().map(shown).collect(), problems.into_iter().map(|one| one.message).collect())
}

fn one_entry(members: &str) -> (Vec<String>, Vec<String>) {
    acl(&format!(r#","Entries":[{{"Protocol":"6","RuleAction":"allow"{members}}}]"#))
}

const BLOCK: &str = r#","CidrBlock":"0.0.0.0/0","PortRange":{"From":443,"To":443}"#;

#[test]
fn an_entry_without_a_place_may_match_in_every_place() {
    let (entries, problems) = one_entry(&format!(r#","Egress":false{BLOCK}"#));
    assert_eq!(entries, ["in ? unreadable traffic (no readable RuleNumber) 0.0.0.0/0"]);
    assert_eq!(problems, ["an entry without a readable RuleNumber may match anything in its place"]);
    let (entries, _) = one_entry(&format!(r#","Egress":false,"RuleNumber":99999999999999999999{BLOCK}"#));
    assert_eq!(entries, ["in ? unreadable traffic (no readable RuleNumber) 0.0.0.0/0"]);
    let (entries, problems) = one_entry(&format!(r#","RuleNumber":100{BLOCK}"#));
    let unread = "unreadable traffic (no readable Egress) 0.0.0.0/0";
    assert_eq!(entries, [format!("in 100 {unread}"), format!("out 100 {unread}")]);
    assert_eq!(problems.len(), 1);
    let (entries, problems) = acl(r#","Entries":["100 allow"]"#);
    assert_eq!(entries.len(), 2, "one in each direction: {entries:?}");
    assert!(!problems.is_empty());
}

#[test]
fn entries_that_are_no_list_are_unknown() {
    for members in ["", r#","Entries":{"a":1}"#, r#","Entries":null"#] {
        let (entries, problems) = acl(members);
        let unread = "unreadable traffic (the list has no readable entries) ?";
        assert_eq!(entries, [format!("in ? {unread}"), format!("out ? {unread}")], "{members}");
        assert_eq!(problems.len(), 1, "{members}");
    }
    assert_eq!(acl(r#","Entries":[]"#), (vec![], vec![]), "empty is known");
}

#[test]
fn ports_of_another_type_are_not_all_ports() {
    let first = |ports: &str| {
        let members =
            format!(r#","RuleNumber":100,"Egress":false,"CidrBlock":"0.0.0.0/0","PortRange":{ports}"#);
        one_entry(&members).0.into_iter().next().unwrap_or_default()
    };
    assert_eq!(first("[1,2]"), "in 100 unreadable traffic (PortRange is no object) 0.0.0.0/0");
    assert_eq!(
        first(r#"{"From":"a","To":2}"#),
        "in 100 unreadable traffic (From is no whole number) 0.0.0.0/0"
    );
    assert_eq!(
        first(r#"{"From":"443","To":443.0}"#),
        "in 100 tcp 443 0.0.0.0/0",
        "numbers as some tools write them"
    );
}

#[test]
fn an_entry_of_two_families_may_be_of_either() {
    let (entries, problems) =
        one_entry(&format!(r#","RuleNumber":100,"Egress":false,"Ipv6CidrBlock":"::/0"{BLOCK}"#));
    assert_eq!(entries, ["in 100 tcp 443 ?"]);
    assert_eq!(problems, ["entry 100 has both CidrBlock and Ipv6CidrBlock; it may match either family"]);
}

#[test]
fn a_number_that_occurs_twice_decides_nothing() {
    let entry = |action: &str| {
        format!(
            r#"{{"RuleNumber":100,"Egress":false,"Protocol":"-1","RuleAction":"{action}","CidrBlock":"0.0.0.0/0"}}"#
        )
    };
    let (entries, problems) = acl(&format!(r#","Entries":[{},{}]"#, entry("allow"), entry("deny")));
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry.contains("unreadable")), "{entries:?}");
    assert_eq!(problems.len(), 1);
    let (entries, problems) = acl(&format!(r#","Entries":[{},{}]"#, entry("deny"), entry("deny")));
    assert_eq!((entries.len(), problems.len()), (1, 0), "what says the same twice is one");
}

/// What a group makes of a new inbound flow to TCP 443 at an interface that carries it.
fn inbound(group: &str) -> (Decision, usize) {
    let eni = r#"{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1","PrivateIpAddress":"10.0.1.10","Groups":[{"GroupId":"sg-1"}]}"#;
    let (network, problems) = read(&format!(
        r#"{{"NetworkInterfaces":[{eni}],"SecurityGroups":[{{"GroupId":"sg-1","IpPermissionsEgress":[]{group}}}]}}"#
    ));
    (decided(&network), problems.len())
}

fn decided(network: &Network) -> Decision {
    let mut engine = Engine::new(network);
    let rules = engine.interface("eni-1", VIEW).unwrap();
    let packet = Packet {
        direction: Direction::Ingress,
        remote: "192.0.2.1".parse().unwrap(),
        protocol: 6,
        port: Some(443),
        icmp: None,
    };
    let decision = rules.group_verdict(&packet).decision;
    let check = engine.explain_groups(&rules, &packet).unwrap();
    assert_eq!(check.decision, decision, "both evaluators agree");
    decision
}

#[test]
fn rules_of_another_type_leave_the_group_open() {
    let permission = |remote: &str| {
        format!(r#","IpPermissions":[{{"IpProtocol":"tcp","FromPort":443,"ToPort":443,{remote}}}]"#)
    };
    for (group, problems) in [
        (String::new(), 1),
        (r#","IpPermissions":{"a":1}"#.to_string(), 1),
        (r#","IpPermissions":["all"]"#.to_string(), 1),
        (permission(r#""IpRanges":{"CidrIp":"0.0.0.0/0"}"#), 1),
        (permission(r#""PrefixListIds":[{"a":1}]"#), 1),
        (permission(r#""UserIdGroupPairs":[{"a":1}]"#), 1),
        (permission(r#""Description":"no remote at all""#), 1),
        (permission(r#""IpRanges":null,"Ipv6Ranges":[],"PrefixListIds":[],"UserIdGroupPairs":[]"#), 1),
        (permission(r#""Ipv6Ranges":[],"PrefixListIds":[],"UserIdGroupPairs":[]"#), 1),
    ] {
        assert_eq!(inbound(&group), (Decision::Unknown, problems), "{group}");
    }
    assert_eq!(inbound(&permission(r#""IpRanges":[]"#)), (Decision::Deny, 0), "empty is known");
    let text = r#","IpPermissions":[{"IpProtocol":"tcp","FromPort":{},"ToPort":443,"IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]"#;
    assert_eq!(inbound(text), (Decision::Unknown, 1), "a port that is no number is not every port");
}

#[test]
fn groups_that_are_no_objects_are_not_no_groups() {
    for (groups, known) in [
        (r#"["sg-1"]"#, false),
        (r#"{"GroupId":"sg-1"}"#, false),
        (r#"[{"GroupName":"x"}]"#, false),
        ("[]", true),
    ] {
        let (network, problems) = read(&format!(
            r#"{{"NetworkInterfaces":[{{"NetworkInterfaceId":"eni-1","PrivateIpAddress":"10.0.1.10","Groups":{groups},
            "Ipv6Addresses":["2001:db8::1"]}}]}}"#
        ));
        let found = network.interfaces.get("eni-1", VIEW).unwrap();
        assert_eq!((found.value.groups_known, problems.is_empty()), (known, known), "{groups}");
        assert!(found.value.owns(&"2001:db8::1".parse().unwrap()));
    }
}

fn resource(kind: &str, values: &str) -> String {
    format!(r#"{{"address":"{kind}.x","mode":"managed","type":"{kind}","name":"x","values":{values}}}"#)
}

fn state(resources: &[String]) -> String {
    format!(
        r#"{{"format_version":"1.0","values":{{"root_module":{{"resources":[{}]}}}}}}"#,
        resources.join(",")
    )
}

#[test]
fn rules_of_a_group_that_the_state_does_not_manage_are_some_of_its_rules() {
    let eni = resource(
        "aws_network_interface",
        r#"{"id":"eni-1","subnet_id":"subnet-1","private_ip":"10.0.1.10","security_groups":["sg-1"]}"#,
    );
    let rule = resource(
        "aws_vpc_security_group_ingress_rule",
        r#"{"security_group_id":"sg-1","ip_protocol":"tcp","from_port":22,"to_port":22,"cidr_ipv4":"10.0.0.0/8"}"#,
    );
    let (network, _) = read(&state(&[eni.clone(), rule.clone()]));
    assert_eq!(decided(&network), Decision::Unknown);
    let group = resource("aws_security_group", r#"{"id":"sg-1","ingress":[],"egress":[]}"#);
    let (network, _) = read(&state(&[eni, rule, group]));
    assert_eq!(decided(&network), Decision::Deny, "a group of the state has the state's rules");
}

const INLINE: &str = r#"{"from_port":22,"to_port":22,"protocol":"tcp","cidr_blocks":["0.0.0.0/0"]}"#;

#[test]
fn a_refreshed_state_says_each_rule_once() {
    let group = |ingress: &str| {
        resource("aws_security_group", &format!(r#"{{"id":"sg-1","ingress":[{ingress}],"egress":[]}}"#))
    };
    let rule = |id: &str, port: u16| {
        resource(
            "aws_security_group_rule",
            &format!(
                r#"{{"security_group_id":"sg-1","type":"ingress","from_port":{port},"to_port":{port},"protocol":"tcp",
                "cidr_blocks":["0.0.0.0/0"],"security_group_rule_id":"{id}"}}"#
            ),
        )
    };
    let (network, problems) = read(&state(&[group(INLINE), rule("sgr-1", 22)]));
    let found = network.groups.get("sg-1", VIEW).unwrap();
    let ids: Vec<Option<&str>> = found.value.rules.iter().map(|rule| rule.rule_id.as_deref()).collect();
    assert_eq!((ids, problems.len()), (vec![Some("sgr-1")], 0));
    let (network, problems) = read(&state(&[group(INLINE), rule("sgr-2", 443)]));
    let found = network.groups.get("sg-1", VIEW).unwrap();
    assert_eq!((found.value.rules.len(), problems.len()), (2, 1), "they undo each other");
}

#[test]
fn entries_of_a_list_and_of_rule_resources() {
    let entry = |action: &str| {
        format!(
            r#"{{"rule_no":100,"action":"{action}","protocol":"-1","from_port":0,"to_port":0,"cidr_block":"0.0.0.0/0"}}"#
        )
    };
    let inline = resource(
        "aws_network_acl",
        &format!(r#"{{"id":"acl-1","ingress":[{}],"egress":[]}}"#, entry("allow")),
    );
    let rule = |action: &str| {
        let values = entry(action).replace("rule_no", "rule_number").replace("\"action", "\"rule_action");
        resource(
            "aws_network_acl_rule",
            &values.replacen('{', r#"{"network_acl_id":"acl-1","egress":false,"#, 1),
        )
    };
    let (network, problems) = read(&state(&[inline.clone(), rule("allow")]));
    let found = network.acls.get("acl-1", VIEW).unwrap();
    assert_eq!((found.value.entries.len(), problems.len()), (1, 0));
    let (network, problems) = read(&state(&[inline, rule("deny")]));
    let found = network.acls.get("acl-1", VIEW).unwrap();
    assert!(found.value.entries.iter().all(|entry| matches!(entry.traffic, Traffic::Unreadable(_))));
    assert_eq!((found.value.entries.len(), problems.len()), (2, 1));
}

#[test]
fn a_prefix_list_is_of_one_family_whatever_its_entries() {
    let text = r#"{"PrefixLists":[{"PrefixListId":"pl-4","AddressFamily":"IPv4"}],
      "NetworkInterfaces":[{"NetworkInterfaceId":"eni-1","PrivateIpAddress":"10.0.1.10","Groups":[{"GroupId":"sg-1"}]}],
      "SecurityGroups":[{"GroupId":"sg-1","IpPermissionsEgress":[],"IpPermissions":[
        {"IpProtocol":"tcp","FromPort":443,"ToPort":443,"PrefixListIds":[{"PrefixListId":"pl-4"}]}]}]}"#;
    let (network, _) = read(text);
    let mut engine = Engine::new(&network);
    let rules = engine.interface("eni-1", VIEW).unwrap();
    for (remote, decision) in [("198.51.100.7", Decision::Unknown), ("2001:db8:ffff::1", Decision::Deny)] {
        let remote = remote.parse().unwrap();
        let packet =
            Packet { direction: Direction::Ingress, remote, protocol: 6, port: Some(443), icmp: None };
        assert_eq!(rules.group_verdict(&packet).decision, decision, "{remote}");
        assert_eq!(engine.explain_groups(&rules, &packet).unwrap().decision, decision, "{remote}");
    }
}

#[test]
fn utf_16_is_read() {
    let text = r#"{"Vpcs":[{"VpcId":"vpc-1","CidrBlock":"10.0.0.0/16"}]}"#;
    for (mark, unit) in
        [([0xFF, 0xFE], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xFE, 0xFF], u16::to_be_bytes)]
    {
        let bytes: Vec<u8> = mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect();
        let mut builder = NetworkBuilder::new();
        builder.read("vpcs.json", &bytes, &ReadOptions::default()).unwrap();
        assert_eq!(builder.finish().0.vpcs.len(), 1);
    }
}

#[test]
fn an_envelopes_time_that_is_none_is_told() {
    let (_, problems) = read(r#"{"captured_at":"not a time","output":{"Vpcs":[]}}"#);
    assert_eq!(problems.len(), 1);
}

/// A subnet with a server of sg-1 and a neighbour of sg-2, whose interface is described by `neighbour`; sg-1 lets in sg-2 alone.
fn neighbours(subnet: &str, neighbour: &str, acls: &str) -> Network {
    let text = format!(
        r#"{{"Vpcs":[{{"VpcId":"vpc-1","CidrBlock":"10.0.0.0/16"}}],
        "Subnets":[{{"SubnetId":"subnet-1","VpcId":"vpc-1"{subnet}}}],
        "NetworkInterfaces":[
            {{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1","PrivateIpAddress":"10.0.1.10",
              "Groups":[{{"GroupId":"sg-1"}}]}},
            {{"SubnetId":"subnet-1","VpcId":"vpc-1","Groups":[{{"GroupId":"sg-2"}}]{neighbour}}}],
        "SecurityGroups":[{{"GroupId":"sg-1","VpcId":"vpc-1","IpPermissionsEgress":[],"IpPermissions":[
            {{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"UserIdGroupPairs":[{{"GroupId":"sg-2"}}]}}]}}],
        "NetworkAcls":[{acls}]}}"#
    );
    // Who is nobody is only known of the time of the capture (2.4).
    read_as(&text, Some(VIEW.at)).0
}

/// What the list and the groups make of a SYN to 443 from this address.
fn layers(network: &Network, remote: &str) -> (Decision, Decision) {
    let packet = Packet {
        direction: Direction::Ingress,
        remote: remote.parse().unwrap(),
        protocol: 6,
        port: Some(443),
        icmp: None,
    };
    let rules = Engine::new(network).interface("eni-1", VIEW).unwrap();
    (rules.acl_verdict(&packet, None).decision, rules.group_verdict(&packet).decision)
}

const NEIGHBOUR: &str = r#","NetworkInterfaceId":"eni-2","PrivateIpAddress":"10.0.1.20""#;
const BLOCK_OF_IT: &str = r#","CidrBlock":"10.0.1.0/24""#;
const DEFAULT: &str = r#"{"NetworkAclId":"acl-0","VpcId":"vpc-1","IsDefault":true,"Associations":[],"Entries":[
    {"RuleNumber":5,"Egress":false,"Protocol":"-1","RuleAction":"deny","CidrBlock":"0.0.0.0/0"}]}"#;

#[test]
fn a_subnet_without_a_readable_block_is_known_by_its_interfaces() {
    for block in ["", r#","CidrBlock":"x""#] {
        let network = neighbours(block, NEIGHBOUR, DEFAULT);
        // 1.2 row a: both name one subnet. 2.4: a member.
        assert_eq!(layers(&network, "10.0.1.20"), (Decision::NotApplicable, Decision::Allow), "{block}");
        assert_eq!(layers(&network, "10.0.1.99").0, Decision::Unknown, "it may be in the subnet");
        assert_eq!(layers(&network, "198.51.100.7").0, Decision::Deny, "the internet is not");
    }
}

#[test]
fn members_whose_addresses_cannot_be_read_may_have_any_in_the_vpc() {
    let of = |neighbour: &str, remote: &str| layers(&neighbours(BLOCK_OF_IT, neighbour, DEFAULT), remote).1;
    assert_eq!(of(NEIGHBOUR, "10.0.1.77"), Decision::Deny, "nobody's");
    for broken in [
        r#","NetworkInterfaceId":"eni-2""#,
        r#","NetworkInterfaceId":"eni-2","PrivateIpAddress":7"#,
        r#","NetworkInterfaceId":"eni-2","PrivateIpAddress":null,"Ipv6Addresses":[{"Ipv6Address":"2001:db8::2"}]"#,
        r#","NetworkInterfaceId":"eni-2","PrivateIpAddress":"10.0.1.20","PrivateIpAddresses":"10.0.1.77""#,
    ] {
        assert_eq!(of(broken, "10.0.1.77"), Decision::Unknown, "{broken}");
        assert_eq!(of(broken, "203.0.113.7"), Decision::Deny, "{broken}");
    }
    // Without an id it is there all the same.
    assert_eq!(of(r#","PrivateIpAddress":"10.0.1.20""#, "10.0.1.20"), Decision::Allow);
}

#[test]
fn a_list_without_an_id_still_serves_its_subnets() {
    let unnamed = |associations: &str| format!(r#"{DEFAULT},{{"VpcId":"vpc-1"{associations},"Entries":[]}}"#);
    let of = |acls: &str| layers(&neighbours(BLOCK_OF_IT, NEIGHBOUR, acls), "198.51.100.7").0;
    assert_eq!(of(DEFAULT), Decision::Deny, "the default list's entry 5");
    assert_eq!(of(&unnamed(r#","Associations":[{"SubnetId":"subnet-1"}]"#)), Decision::Unknown);
    assert_eq!(of(&unnamed("")), Decision::Unknown, "nor is it known whom it serves");
    assert_eq!(of(&unnamed(r#","Associations":[{"SubnetId":"subnet-9"}]"#)), Decision::Deny);
    // Captured again it is the same, and nothing has changed in between.
    let mut builder = NetworkBuilder::new();
    for at in [0, 3600] {
        let text =
            format!(r#"{{"NetworkAcls":[{}]}}"#, unnamed(r#","Associations":[{"SubnetId":"subnet-1"}]"#));
        let options = ReadOptions { captured_at: Some(at), ..ReadOptions::default() };
        builder.read("acls.json", text.as_bytes(), &options).unwrap();
    }
    assert_eq!(builder.finish().0.views(1000, 1060).len(), 1);
}
