use super::*;
use crate::network::history::View;

const NOON: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z

fn read(files: &[(&str, &str)]) -> (Network, Vec<Problem>) {
    let mut builder = NetworkBuilder::new();
    for (name, text) in files {
        let options = ReadOptions { captured_at: Some(NOON), ..ReadOptions::default() };
        builder.read(name, text.as_bytes(), &options).unwrap();
    }
    builder.finish()
}

fn now() -> View {
    View { at: NOON, after: false }
}

fn rules_of(network: &Network, id: &str) -> Vec<String> {
    let group = network.groups.get(id, now()).unwrap();
    let mut texts: Vec<String> = (group.value.rules.iter())
        .map(|rule| format!("{} {} {}", if rule.egress { "out" } else { "in" }, rule.traffic, rule.remote))
        .collect();
    texts.sort();
    texts
}

fn entries_of(network: &Network, id: &str) -> Vec<String> {
    let acl = network.acls.get(id, now()).unwrap();
    let shown = |entry: &NaclEntry| {
        let cidr = entry.cidr.map_or("?".to_string(), |cidr| cidr.to_string());
        let action = entry.action.map_or("?".to_string(), |action| action.to_string());
        format!(
            "{} {} {action} {} {cidr}",
            if entry.egress { "out" } else { "in" },
            entry.number,
            entry.traffic
        )
    };
    acl.value.entries.iter().map(shown).collect()
}

const GROUPS: &str = r#"{"SecurityGroups":[{"GroupId":"sg-1","GroupName":"web","VpcId":"vpc-1","OwnerId":"111122223333",
 "IpPermissions":[
  {"IpProtocol":"tcp","FromPort":443,"ToPort":443,"IpRanges":[{"CidrIp":"203.0.113.0/24"}],
   "Ipv6Ranges":[{"CidrIpv6":"2001:db8:100::/48"}],"PrefixListIds":[{"PrefixListId":"pl-1"}],
   "UserIdGroupPairs":[{"GroupId":"sg-2","UserId":"123456789012","PeeringStatus":"active"}]},
  {"IpProtocol":"icmp","FromPort":8,"ToPort":-1,"IpRanges":[{"CidrIp":"10.0.0.0/16"}]},
  {"IpProtocol":"50","FromPort":0,"ToPort":0,"IpRanges":[{"CidrIp":"10.0.0.0/16"}]}],
 "IpPermissionsEgress":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]}]}"#;

#[test]
fn security_groups_of_the_cli() {
    let (network, problems) = read(&[("sg.json", GROUPS)]);
    assert_eq!(problems, vec![]);
    assert_eq!(
        rules_of(&network, "sg-1"),
        vec![
            "in esp 10.0.0.0/16",
            "in icmp type 8 10.0.0.0/16",
            "in tcp 443 123456789012/sg-2",
            "in tcp 443 2001:db8:100::/48",
            "in tcp 443 203.0.113.0/24",
            "in tcp 443 pl-1",
            "out all traffic 0.0.0.0/0",
        ]
    );
}

#[test]
fn rules_with_ids_stand_in_for_the_groups_rules() {
    let rules = r#"{"SecurityGroupRules":[
      {"SecurityGroupRuleId":"sgr-1","GroupId":"sg-1","IsEgress":false,"IpProtocol":"tcp","FromPort":443,"ToPort":443,
       "CidrIpv4":"203.0.113.0/24"},
      {"SecurityGroupRuleId":"sgr-2","GroupId":"sg-1","IsEgress":true,"IpProtocol":"-1","FromPort":-1,"ToPort":-1,
       "CidrIpv4":"0.0.0.0/0"},
      {"SecurityGroupRuleId":"sgr-3","GroupId":"sg-9","IsEgress":false,"IpProtocol":"tcp","FromPort":22,"ToPort":22,
       "ReferencedGroupInfo":{"GroupId":"sg-1","UserId":"111122223333"}}]}"#;
    let (network, problems) = read(&[("sg.json", GROUPS), ("rules.json", rules)]);
    // The group's own output has more rules than that: see below.
    assert_eq!(problems.iter().map(|one| one.object.as_str()).collect::<Vec<_>>(), ["sg-1"]);
    assert_eq!(rules_of(&network, "sg-1"), vec!["in tcp 443 203.0.113.0/24", "out all traffic 0.0.0.0/0"]);
    assert_eq!(rules_of(&network, "sg-9"), vec!["in tcp 22 111122223333/sg-1"]);
    let group = network.groups.get("sg-1", now()).unwrap();
    assert_eq!(group.value.name.as_deref(), Some("web"), "the group's own facts stay");
    assert!(group.value.rules.iter().all(|rule| rule.rule_id.is_some()));
}

#[test]
fn rules_that_two_outputs_tell_differently_are_named() {
    let group = r#"{"SecurityGroups":[{"GroupId":"sg-1","GroupName":"web","VpcId":"vpc-1",
      "IpPermissions":[{"IpProtocol":"tcp","FromPort":443,"ToPort":443,"IpRanges":[{"CidrIp":"0.0.0.0/0"}]},
        {"IpProtocol":"tcp","FromPort":80,"ToPort":80,"UserIdGroupPairs":[{"GroupId":"sg-2","UserId":"111122223333"}]}],
      "IpPermissionsEgress":[{"IpProtocol":"-1","IpRanges":[{"CidrIp":"0.0.0.0/0"}]}]}]}"#;
    let rules = r#"{"SecurityGroupRules":[
      {"SecurityGroupRuleId":"sgr-1","GroupId":"sg-1","IsEgress":false,"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIpv4":"0.0.0.0/0"},
      {"SecurityGroupRuleId":"sgr-2","GroupId":"sg-1","IsEgress":false,"IpProtocol":"tcp","FromPort":80,"ToPort":80,
       "ReferencedGroupInfo":{"GroupId":"sg-2"}},
      {"SecurityGroupRuleId":"sgr-3","GroupId":"sg-1","IsEgress":true,"IpProtocol":"-1","FromPort":-1,"ToPort":-1,"CidrIpv4":"0.0.0.0/0"}]}"#;
    let (network, problems) = read(&[("sg.json", group), ("rules.json", rules)]);
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "rules.json: sg-1: two outputs of one capture disagree: only describe-security-groups shows inbound tcp 443 \
             from 0.0.0.0/0; only describe-security-group-rules shows inbound tcp 22 from 0.0.0.0/0; the latter was taken"
        ]
    );
    assert_eq!(
        rules_of(&network, "sg-1"),
        ["in tcp 22 0.0.0.0/0", "in tcp 80 sg-2", "out all traffic 0.0.0.0/0"]
    );
    let findings = crate::audit::check(&network, now());
    let found: Vec<_> = findings.iter().filter(|one| one.check == "rules_disagree").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].object, "sg-1");
}

#[test]
fn network_acls_of_the_cli() {
    let (network, problems) = read(&[(
        "acl.json",
        r#"{"NetworkAcls":[{"NetworkAclId":"acl-1","VpcId":"vpc-1","IsDefault":true,
         "Associations":[{"SubnetId":"subnet-1","NetworkAclId":"acl-1"}],
         "Entries":[
          {"RuleNumber":100,"Egress":false,"Protocol":"6","RuleAction":"allow","CidrBlock":"0.0.0.0/0","PortRange":{"From":443,"To":443}},
          {"RuleNumber":90,"Egress":false,"Protocol":"-1","RuleAction":"deny","CidrBlock":"198.51.100.7/24"},
          {"RuleNumber":110,"Egress":false,"Protocol":"1","RuleAction":"allow","CidrBlock":"10.0.0.0/8","IcmpTypeCode":{"Type":8,"Code":-1},"PortRange":{"From":0,"To":0}},
          {"RuleNumber":120,"Egress":false,"Protocol":"58","RuleAction":"allow","CidrBlock":"10.0.0.0/8","IcmpTypeCode":{"Type":8,"Code":-1}},
          {"RuleNumber":130,"Egress":true,"Protocol":"6","RuleAction":"allow","CidrBlock":"10.0.0/8","PortRange":{"From":0,"To":65535}},
          {"RuleNumber":32768,"Egress":true,"Protocol":"-1","RuleAction":"deny","Ipv6CidrBlock":"::/0"}]}]}"#,
    )]);
    assert_eq!(
        entries_of(&network, "acl-1"),
        vec![
            "in 100 allow tcp 443 0.0.0.0/0",
            "in 90 deny all traffic 198.51.100.0/24",
            "in 110 allow icmp type 8 10.0.0.0/8",
            "in 120 allow icmpv6 10.0.0.0/8",
            "out 130 allow tcp ?",
            "out 32768 deny all traffic ::/0",
        ]
    );
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().contains("acl-1 entry 130: \"10.0.0/8\" is no CIDR block"),
        "{}",
        problems[0]
    );
    assert_eq!(network.acl_of("subnet-1", None, now()).unwrap().value.id, "acl-1");
    assert_eq!(
        network.acl_of("subnet-2", Some("vpc-1"), now()).unwrap().value.id,
        "acl-1",
        "the VPC's default"
    );
    assert!(network.acl_of("subnet-2", Some("vpc-2"), now()).is_none());
}

#[test]
fn interfaces_also_nested_in_instances() {
    let full = r#"{"NetworkInterfaces":[{"NetworkInterfaceId":"eni-1","SubnetId":"subnet-1","VpcId":"vpc-1",
      "InterfaceType":"natGateway","Description":"Interface for NAT Gateway nat-1","PrivateIpAddress":"10.0.1.25",
      "PrivateIpAddresses":[{"Primary":true,"PrivateIpAddress":"10.0.1.25","Association":{"PublicIp":"203.0.113.25"}},
       {"Primary":false,"PrivateIpAddress":"10.0.1.26"}],
      "Ipv6Addresses":[{"Ipv6Address":"2001:db8:1:1::25"}],"Ipv4Prefixes":[{"Ipv4Prefix":"10.0.1.32/28"}],
      "Groups":[],"ConnectionTrackingConfiguration":{"TcpEstablishedTimeout":60}}]}"#;
    let nested = r#"{"Reservations":[{"Instances":[{"InstanceId":"i-1","InstanceType":"m5.large","Tags":[{"Key":"Name","Value":"db"}],
      "NetworkInterfaces":[
       {"NetworkInterfaceId":"eni-1","PrivateIpAddress":"10.0.1.25","Groups":[]},
       {"NetworkInterfaceId":"eni-2","PrivateIpAddress":"10.0.1.30","Groups":[{"GroupId":"sg-1"}]}]}]}]}"#;
    let (network, problems) = read(&[("instances.json", nested), ("eni.json", full)]);
    assert_eq!(problems, vec![]);
    let one = network.interfaces.get("eni-1", now()).unwrap();
    assert!(one.value.is_type("nat_gateway") && one.value.groups_known && one.value.group_ids.is_empty());
    assert_eq!(one.value.tcp_established_timeout, Some(60));
    for addr in ["10.0.1.25", "10.0.1.26", "2001:db8:1:1::25", "10.0.1.40"] {
        assert!(one.value.owns(&addr.parse().unwrap()), "{addr}");
    }
    assert!(!one.value.owns(&"203.0.113.25".parse().unwrap()), "a public address is never the own side");
    assert_eq!(network.interfaces.get("eni-2", now()).unwrap().value.group_ids, vec!["sg-1"]);
    assert_eq!(network.name_of("i-1"), Some("db"));
}

#[test]
fn prefix_list_entries_find_their_list() {
    let lists =
        r#"{"PrefixLists":[{"PrefixListId":"pl-0a","PrefixListName":"office"},{"PrefixListId":"pl-0b"}]}"#;
    let entries = r#"{"Entries":[{"Cidr":"203.0.113.0/24"}]}"#;
    let bad = r#"{"Entries":[{"Cidr":"203.0.113.0/24"},{"Cidr":"bad"}]}"#;
    let (network, problems) =
        read(&[("lists.json", lists), ("dump/pl-0a.json", entries), ("dump/pl-0c.json", bad)]);
    let list = network.prefix_lists.get("pl-0a", now()).unwrap();
    assert_eq!(list.value.entries, Some(vec!["203.0.113.0/24".parse().unwrap()]));
    assert_eq!(list.value.name.as_deref(), Some("office"));
    assert_eq!(network.prefix_lists.get("pl-0b", now()).unwrap().value.entries, None, "unknown, not empty");
    let unread = network.prefix_lists.get("pl-0c", now()).unwrap();
    assert_eq!(unread.value.entries, None, "the entry that cannot be read may hold any address");
    assert_eq!(problems.len(), 1);
    let refused = NetworkBuilder::new().read("entries.json", entries.as_bytes(), &ReadOptions::default());
    assert_eq!(refused, Err(ReadError::ListUnnamed { file: "entries.json".into() }));
}

#[test]
fn an_envelope_says_when_and_of_what() {
    let mut builder = NetworkBuilder::new();
    let text = r#"{"captured_at":"2024-05-02T12:00:00Z","account":"111122223333","region":"us-east-1",
      "command":"aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-0c","output":{"Entries":[{"Cidr":"10.0.0.0/8"}]}}"#;
    builder.read("x.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    let (network, _) = builder.finish();
    let found = network.prefix_lists.get("pl-0c", View { at: NOON + 60, after: false }).unwrap();
    assert_eq!((found.version.captured_at, found.distance), (Some(NOON), 60));
}

#[test]
fn config_history_in_both_forms() {
    let item = |at: &str, status: &str, port: u16, text: bool| {
        let object = format!(
            r#"{{"groupId":"sg-1","vpcId":"vpc-1","ipPermissions":[{{"ipProtocol":"tcp","fromPort":{port},"toPort":{port},
            "ipv4Ranges":[{{"cidrIp":"203.0.113.0/24"}}],"ipRanges":["203.0.113.0/24"],"ipv6Ranges":[],"prefixListIds":null,
            "userIdGroupPairs":[]}}],"ipPermissionsEgress":[]}}"#
        );
        let configuration = if text { serde_json::Value::String(object).to_string() } else { object };
        let configuration = if status == "OK" { configuration } else { "null".to_string() };
        format!(
            r#"{{"configurationItemCaptureTime":"{at}","configurationItemStatus":"{status}","awsAccountId":"111122223333",
            "resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-1","configuration":{configuration}}}"#
        )
    };
    let file = format!(
        r#"{{"fileVersion":"1.0","configurationItems":[{},{},{}]}}"#,
        item("2024-05-02T12:00:00.123Z", "OK", 443, false),
        item("2024-05-02T10:00:00Z", "OK", 80, true),
        item("2024-05-02T15:00:00Z", "ResourceDeleted", 0, false),
    );
    let (network, problems) = read(&[("history.json", &file)]);
    assert_eq!(problems, vec![]);
    let traffic = |at: i64| {
        let found = network.groups.get("sg-1", View { at, after: false });
        found.map(|found| found.value.rules.iter().map(|rule| rule.traffic.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(traffic(NOON - 3600), Some(vec!["tcp 80".to_string()]));
    assert_eq!(traffic(NOON + 3600), Some(vec!["tcp 443".to_string()]));
    assert_eq!(traffic(NOON + 4 * 3600), None);
    assert_eq!(network.views(NOON - 3600, NOON - 3500).len(), 1);
    assert!(network.views(NOON - 10, NOON + 10).len() > 1, "either may hold around a change");
}

#[test]
fn terraform_state_and_plan() {
    let acl = r#"{"address":"aws_network_acl.app","mode":"managed","type":"aws_network_acl","name":"app","values":{"id":"acl-1",
      "vpc_id":"vpc-1","subnet_ids":["subnet-1"],"ingress":[{"rule_no":100,"action":"allow","protocol":"1","from_port":0,
      "to_port":0,"cidr_block":"10.0.0.0/8","ipv6_cidr_block":"","icmp_type":-1,"icmp_code":-1}],"egress":[]}}"#;
    let group = r#"{"address":"module.a.aws_security_group.web","mode":"managed","type":"aws_security_group","name":"web",
      "values":{"id":"sg-1","vpc_id":"vpc-1","ingress":[{"from_port":0,"to_port":0,"protocol":"-1","cidr_blocks":[],
      "ipv6_cidr_blocks":[],"prefix_list_ids":[],"security_groups":["123456789012/sg-2"],"self":true}],"egress":[]}}"#;
    let rule = r#"{"address":"aws_vpc_security_group_ingress_rule.x","mode":"managed",
      "type":"aws_vpc_security_group_ingress_rule","name":"x","values":{"security_group_id":"sg-1","ip_protocol":"tcp",
      "from_port":22,"to_port":22,"cidr_ipv4":"203.0.113.0/24","security_group_rule_id":"sgr-7"}}"#;
    let state = format!(
        r#"{{"format_version":"1.0","terraform_version":"1.9.0","values":{{"root_module":{{"resources":[{acl},{rule}],
        "child_modules":[{{"address":"module.a","resources":[{group}]}}]}}}}}}"#
    );
    let (network, problems) = read(&[("state.json", &state)]);
    assert_eq!(entries_of(&network, "acl-1"), vec!["in 100 allow icmp 10.0.0.0/8"]);
    assert_eq!(
        rules_of(&network, "sg-1"),
        vec!["in all traffic 123456789012/sg-2", "in all traffic sg-1", "in tcp 22 203.0.113.0/24"]
    );
    assert_eq!(problems.len(), 1, "inline rules beside rule resources are told");
    let plan = state.replace("\"values\":{\"root_module\"", "\"planned_values\":{\"root_module\"");
    let (network, _) = read(&[("plan.json", &plan)]);
    assert_eq!(network.acls.len(), 1);
}

#[test]
fn raw_terraform_state() {
    let text = r#"{"version":4,"terraform_version":"1.9.0","resources":[{"mode":"managed","type":"aws_security_group_rule",
      "name":"r","instances":[{"index_key":0,"attributes":{"type":"egress","security_group_id":"sg-5","protocol":"udp",
      "from_port":53,"to_port":53,"cidr_blocks":["10.0.0.2/32"],"self":false}}]}]}"#;
    let (network, _) = read(&[("terraform.tfstate", text)]);
    assert_eq!(rules_of(&network, "sg-5"), vec!["out udp 53 10.0.0.2/32"]);
}

#[test]
fn what_is_no_configuration_is_refused_by_name() {
    let refused = |text: &str| {
        NetworkBuilder::new()
            .read("f.json", text.as_bytes(), &ReadOptions::default())
            .unwrap_err()
            .to_string()
    };
    assert!(refused("{\"SecurityGroups\": [").contains("the file is cut off"));
    assert!(refused("hello").contains("is it JSON output?"));
    assert!(refused("{\"Buckets\": []}").contains("top-level keys: Buckets"));
    assert!(refused("[]").contains("top-level keys: none"));
    assert!(
        refused(r#"{"format_version":"2.0","values":{"root_module":{}}}"#).contains("format_version 2.0")
    );
}

#[test]
fn broken_elements_do_not_stop_the_rest() {
    let (network, problems) = read(&[(
        "sg.json",
        r#"{"SecurityGroups":[{"GroupName":"no id"},{"GroupId":"sg-1","IpPermissions":[
           {"IpProtocol":"tcp","FromPort":99999,"ToPort":1,"IpRanges":[{"CidrIp":"10.0.0.0/8"}]},
           {"IpProtocol":"tcp","FromPort":22,"ToPort":22,"IpRanges":[{"CidrIp":"10.0.0.0/99"}]}],"IpPermissionsEgress":[]}]}"#,
    )]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    let group = network.groups.get("sg-1", now()).unwrap();
    assert!(matches!(group.value.rules[0].traffic, Traffic::Unreadable(_)));
    assert!(matches!(group.value.rules[1].remote, Remote::Unreadable(_)));
}
