//! Several captures: what they contradict each other in, what a later one no longer holds, and how long a snapshot is known.

use super::*;
use crate::network::history::View;
use crate::rules::{Direction, Engine, Identity, Packet};

const NOON: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z
const DAY: i64 = 86_400;

fn view(at: i64) -> View {
    View { at, after: false }
}

fn network(files: &[(&str, String, i64)]) -> (Network, Vec<Problem>) {
    let mut builder = NetworkBuilder::new();
    for (name, text, at) in files {
        let options = ReadOptions { captured_at: Some(*at), ..ReadOptions::default() };
        builder.read(name, text.as_bytes(), &options).unwrap();
    }
    builder.finish()
}

fn group(ports: &[u16]) -> String {
    let permission = |port: &u16| {
        format!(
            r#"{{"IpProtocol":"tcp","FromPort":{port},"ToPort":{port},"IpRanges":[{{"CidrIp":"0.0.0.0/0"}}]}}"#
        )
    };
    let permissions: Vec<String> = ports.iter().map(permission).collect();
    format!(
        r#"{{"SecurityGroups":[{{"GroupId":"sg-1","IpPermissions":[{}],"IpPermissionsEgress":[]}}]}}"#,
        permissions.join(",")
    )
}

#[test]
fn two_contents_of_one_moment_are_uncertain_in_any_order() {
    let (one, other) = (group(&[22, 443]), group(&[22]));
    let rules = |files: &[(&str, String, i64)]| {
        let (network, problems) = network(files);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].object, "sg-1");
        assert_eq!(network.contradictions.len(), 1);
        let found = network.groups.get("sg-1", view(NOON)).unwrap();
        let mut rules: Vec<String> = found.value.rules.iter().map(|rule| rule.traffic.to_string()).collect();
        rules.sort();
        rules
    };
    let found = rules(&[("a.json", one.clone(), NOON), ("b.json", other.clone(), NOON)]);
    assert_eq!(found, ["tcp 22", "unreadable traffic (tcp 443, in one of two captures of the same moment)"]);
    assert_eq!(rules(&[("a.json", other, NOON), ("b.json", one.clone(), NOON)]), found);
    let (network, problems) =
        network(&[("a.json", one.clone(), NOON), ("b.json", one, NOON), ("c.json", group(&[80]), NOON + 1)]);
    assert!(problems.is_empty() && network.contradictions.is_empty(), "the same twice, and another time");
}

/// The interfaces of a capture; each has a group of its number.
fn interfaces(ids: &[u8]) -> String {
    let one = |id: &u8| {
        format!(
            r#"{{"NetworkInterfaceId":"eni-{id}","SubnetId":"subnet-1","VpcId":"vpc-1","OwnerId":"111122223333",
            "PrivateIpAddress":"10.0.1.{id}","Groups":[{{"GroupId":"sg-{id}"}}]}}"#
        )
    };
    format!(r#"{{"NetworkInterfaces":[{}]}}"#, ids.iter().map(one).collect::<Vec<_>>().join(","))
}

fn asked(command: &str, day: i64, ids: &[u8]) -> (&'static str, String, i64) {
    let at = NOON + day * DAY;
    let output = interfaces(ids);
    let text = format!(
        r#"{{"captured_at":{at},"account":"111122223333","region":"us-east-1","command":"{command}","output":{output}}}"#
    );
    ("eni.json", text, at)
}

const ALL: &str = "aws ec2 describe-network-interfaces --region us-east-1";

#[test]
fn a_capture_of_everything_ends_what_it_does_not_hold() {
    let (network, _) = network(&[asked(ALL, 0, &[1, 2]), asked(ALL, 2, &[1]), asked(ALL, 4, &[1, 2])]);
    let there = |day: i64| network.interfaces.get("eni-2", view(NOON + day * DAY)).is_some();
    assert_eq!([0, 2, 4, 5].map(there), [true, false, true, true]);
    assert_eq!(network.views(NOON + DAY, NOON + DAY + 60).len(), 2, "in between either may be so");
    assert!(network.interfaces.get("eni-1", view(NOON + 3 * DAY)).is_some());
}

#[test]
fn what_others_were_asked_for_ends_nothing() {
    let filtered = "aws ec2 describe-network-interfaces --network-interface-ids eni-1";
    let elsewhere = ALL.replace("us-east-1", "us-west-2");
    let mut other = asked(&elsewhere, 2, &[3]);
    other.1 = other.1.replace("us-east-1", "us-west-2").replace("vpc-1", "vpc-9");
    let mut page = asked(ALL, 3, &[1]);
    page.1 = page.1.replacen(r#""NetworkInterfaces""#, r#""NextToken":"x","NetworkInterfaces""#, 1);
    let (network, _) = network(&[asked(ALL, 0, &[1, 2]), asked(filtered, 1, &[1]), other, page]);
    let found = network.interfaces.get("eni-2", view(NOON + 5 * DAY)).unwrap();
    assert_eq!((found.distance, found.missing_at), (5 * DAY, None));
}

#[test]
fn a_capture_of_unknown_extent_casts_doubt() {
    let (network, _) = network(&[asked("", 0, &[1, 2]), asked("", 2, &[1])]);
    let found = |day: i64| network.interfaces.get("eni-2", view(NOON + day * DAY)).unwrap();
    assert_eq!(found(1).missing_at, None);
    assert_eq!(found(3).missing_at, Some(NOON + 2 * DAY));
    let remote = "10.0.1.2".parse().unwrap();
    let packet = Packet { direction: Direction::Ingress, remote, protocol: 6, port: Some(443), icmp: None };
    let identity = |day: i64| {
        let mut engine = Engine::new(&network);
        let rules = engine.interface("eni-1", view(NOON + day * DAY)).unwrap();
        format!("{:?}", rules.identity(&packet))
    };
    assert_eq!(identity(1), format!("{:?}", Identity::Member(vec!["sg-2"])));
    assert_eq!(identity(3), format!("{:?}", Identity::MaybeMember(vec!["sg-2"])));
    let checks = |at: i64| {
        let findings = crate::audit::check(&network, view(NOON + at * DAY));
        findings
            .iter()
            .filter(|one| one.check == "stale_object")
            .map(|one| one.object.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((checks(1), checks(3)), (vec![], vec!["eni-2".to_string()]));
}

#[test]
fn equal_captures_on_both_sides_do_not_hide_an_absence() {
    let (network, _) = network(&[asked("", 0, &[1, 2]), asked("", 2, &[1]), asked("", 4, &[1, 2])]);
    let known = |day: i64, after: bool| {
        let view = View { at: NOON + day * DAY, after };
        let found = network.interfaces.get("eni-2", view).unwrap();
        (found.distance / DAY, found.missing_at.map(|at| (at - NOON) / DAY))
    };
    assert_eq!([known(0, false), known(4, false)], [(0, None), (0, None)], "it was captured");
    assert_eq!([known(1, false), known(1, true)], [(1, None), (3, Some(2))]);
    assert_eq!([known(3, false), known(3, true)], [(3, Some(2)), (1, None)]);
    assert_eq!(known(2, false), (2, Some(2)));
    assert_eq!(network.views(NOON + DAY, NOON + DAY + 60).len(), 2, "either of both may be right");
    let one = |day: i64| network.interfaces.get("eni-1", view(NOON + day * DAY)).unwrap();
    assert_eq!((one(2).distance, one(3).missing_at), (0, None), "which is in all of them");
}

#[test]
fn a_capture_of_few_says_nothing_of_the_others() {
    let (network, _) = network(&[asked("", 0, &[1, 2, 3, 4, 5]), asked("", 2, &[1])]);
    assert_eq!(network.interfaces.get("eni-2", view(NOON + 3 * DAY)).unwrap().missing_at, None);
}

fn item(id: u8, at: &str, status: &str, port: u16) -> String {
    let configuration = match status {
        "OK" => format!(
            r#"{{"groupId":"sg-{id}","ipPermissions":[{{"ipProtocol":"tcp","fromPort":{port},"toPort":{port},
            "ipv4Ranges":[{{"cidrIp":"0.0.0.0/0"}}]}}],"ipPermissionsEgress":[]}}"#
        ),
        _ => "null".to_string(),
    };
    format!(
        r#"{{"configurationItemCaptureTime":"{at}","configurationItemStatus":"{status}","awsAccountId":"111122223333",
        "awsRegion":"us-east-1","resourceType":"AWS::EC2::SecurityGroup","resourceId":"sg-{id}","configuration":{configuration}}}"#
    )
}

fn items(items: &[String], snapshot: bool) -> String {
    let id = if snapshot { r#""configSnapshotId":"x","# } else { "" };
    format!(r#"{{"fileVersion":"1.0",{id}"configurationItems":[{}]}}"#, items.join(","))
}

const SNAPSHOT: &str = "111122223333_Config_us-east-1_ConfigSnapshot_20240502T120000Z_x.json";
const NEXT: &str = "111122223333_Config_us-east-1_ConfigSnapshot_20240504T120000Z_y.json";

#[test]
fn a_snapshot_of_aws_config_is_known_until_its_delivery() {
    let text = items(&[item(1, "2024-05-01T00:00:00Z", "OK", 22)], true);
    let (network, _) = network(&[(SNAPSHOT, text, 0)]);
    let distance = |at: i64| network.groups.get("sg-1", view(at)).unwrap().distance;
    assert_eq!([NOON - DAY, NOON, NOON + 60, NOON + 18 * DAY].map(distance), [0, 0, 60, 18 * DAY]);
}

#[test]
fn history_tells_when_what_a_snapshot_saw_changed() {
    let snapshot = items(&[item(1, "2024-05-01T00:00:00Z", "OK", 22)], true);
    let history = items(&[item(1, "2024-05-04T12:00:00Z", "OK", 443)], false);
    let (network, _) = network(&[(SNAPSHOT, snapshot, 0), ("history.json", history, 0)]);
    let found = network.groups.get("sg-1", view(NOON + DAY)).unwrap();
    assert_eq!((found.value.rules[0].traffic.to_string(), found.distance), ("tcp 22".to_string(), 0));
    // Beyond the newest item of account and Region nothing is known.
    assert_eq!(network.groups.get("sg-1", view(NOON + 20 * DAY)).unwrap().distance, 18 * DAY);
}

#[test]
fn the_last_item_of_an_object_holds_until_the_newest_of_its_account_and_region() {
    // 6.8: an item holds until the next; 8.1: proof needs a configuration known to be in force. An item of any other resource
    // shows that the recorder still wrote, and of another account or Region it shows nothing.
    let group = item(1, "2024-05-01T12:00:00Z", "OK", 22);
    let of = |region: &str, account: &str| {
        item(2, "2024-05-22T12:00:00Z", "OK", 22)
            .replace("us-east-1", region)
            .replace("111122223333", account)
            .replace("AWS::EC2::SecurityGroup", "AWS::S3::Bucket")
    };
    let distance = |other: Option<String>, at: i64| {
        let text = items(&[vec![group.clone()], other.into_iter().collect()].concat(), false);
        let (network, _) = network(&[("history.json", text, 0)]);
        network.groups.get("sg-1", view(at)).unwrap().distance
    };
    let same = || Some(of("us-east-1", "111122223333"));
    assert_eq!(
        [0, 20 * DAY - 120, 20 * DAY, 21 * DAY].map(|later| distance(same(), NOON + later)),
        [0, 0, 120, DAY + 120]
    );
    for other in [None, Some(of("eu-west-1", "111122223333")), Some(of("us-east-1", "123456789012"))] {
        assert_eq!(distance(other, NOON + 19 * DAY), 20 * DAY);
    }
}

#[test]
fn between_two_items_history_holds_whoever_wrote_them() {
    // The first one does not name its Region.
    let first = item(1, "2024-05-01T12:00:00Z", "OK", 22).replace(r#""awsRegion":"us-east-1","#, "");
    let text = items(&[first, item(1, "2024-05-22T12:00:00Z", "OK", 443)], false);
    let (network, _) = network(&[("history.json", text, 0)]);
    assert_eq!(network.groups.get("sg-1", view(NOON + 19 * DAY)).unwrap().distance, 0);
}

#[test]
fn a_later_snapshot_ends_what_it_does_not_hold() {
    let one = item(1, "2024-05-01T00:00:00Z", "OK", 22);
    let two = item(2, "2024-05-01T00:00:00Z", "OK", 22);
    let (network, _) =
        network(&[(SNAPSHOT, items(&[one.clone(), two], true), 0), (NEXT, items(&[one], true), 0)]);
    assert!(network.groups.get("sg-2", view(NOON)).is_some());
    assert!(network.groups.get("sg-2", view(NOON + 2 * DAY)).is_none());
    assert!(network.groups.get("sg-1", view(NOON + 2 * DAY)).is_some());
}

#[test]
fn what_is_no_longer_recorded_is_known_no_longer() {
    let history = items(
        &[
            item(1, "2024-05-01T12:00:00Z", "OK", 22),
            item(1, "2024-05-02T12:00:00Z", "ResourceNotRecorded", 0),
        ],
        false,
    );
    let (network, _) = network(&[("history.json", history, 0)]);
    let distance = |at: i64| network.groups.get("sg-1", view(at)).unwrap().distance;
    assert_eq!([NOON - 60, NOON, NOON + DAY].map(distance), [0, 0, DAY]);
}

#[test]
fn an_association_that_is_told_apart_counts() {
    let acl = |id: &str, default: bool| {
        format!(
            r#"{{"configurationItemCaptureTime":"2024-05-02T12:00:00Z","configurationItemStatus":"OK",
            "resourceType":"AWS::EC2::NetworkAcl","resourceId":"{id}","configuration":{{"networkAclId":"{id}",
            "vpcId":"vpc-1","isDefault":{default},"associations":[],"entries":[]}}}}"#
        )
    };
    let association = r#"{"configurationItemCaptureTime":"2024-05-02T12:00:00Z","configurationItemStatus":"OK",
        "resourceType":"AWS::EC2::SubnetNetworkAclAssociation","resourceId":"aclassoc-1",
        "configuration":{"SubnetId":"subnet-1","NetworkAclId":"acl-2","AssociationId":"aclassoc-1"}}"#;
    let text = items(&[acl("acl-1", true), acl("acl-2", false), association.to_string()], false);
    let (network, _) = network(&[("history.json", text, 0)]);
    let of = |subnet: &str| network.acl_of(subnet, Some("vpc-1"), view(NOON)).map(|acl| acl.value.id.clone());
    assert_eq!(of("subnet-1").as_deref(), Some("acl-2"));
    assert_eq!(of("subnet-2"), None, "its own list may not have changed, and so be in no file of changes");
}

fn list(version: &str) -> String {
    format!(r#"{{"PrefixLists":[{{"PrefixListId":"pl-1","AddressFamily":"IPv4"{version}}}]}}"#)
}

#[test]
fn a_list_captured_again_without_entries_keeps_them() {
    let entries = |at| ("pl-1.json", r#"{"Entries":[{"Cidr":"203.0.113.0/24"}]}"#.to_string(), at);
    let known = |first: &str, second: &str| {
        let lists =
            [("lists.json", list(first), NOON), entries(NOON), ("lists.json", list(second), NOON + DAY)];
        let (network, _) = network(&lists);
        let of = |at| {
            let found = network.prefix_lists.get("pl-1", view(at)).unwrap();
            found.value.entries.is_some().then_some(found.distance)
        };
        [NOON, NOON + DAY, NOON + 2 * DAY].map(of)
    };
    assert_eq!(known("", ""), [Some(0), Some(DAY), Some(2 * DAY)], "nothing tells of a change");
    let (one, two) = (r#","Version":1"#, r#","Version":2"#);
    assert_eq!(known(one, one), [Some(0), Some(0), Some(DAY)], "the same version holds the same entries");
    assert_eq!(known(one, two), [Some(0), None, None], "another version may hold others");
}

#[test]
fn versions_of_one_second_follow_one_another_by_their_milliseconds() {
    // 6.8: times carry milliseconds, and state ids order those that are equal.
    let one = |millis: &str, port: u16, id: &str| {
        item(1, &format!("2024-05-02T12:00:00.{millis}Z"), "OK", port).replacen('{', &format!("{{{id}"), 1)
    };
    for ids in
        [["", ""], [r#""configurationStateId":1714651200100,"#, r#""configurationStateId":1714651200900,"#]]
    {
        let history = items(&[one("900", 443, ids[1]), one("100", 22, ids[0])], false);
        let (network, problems) = network(&[("history.json", history, 0)]);
        assert!(problems.is_empty(), "{problems:?}");
        let found = network.groups.get("sg-1", view(NOON)).unwrap();
        assert_eq!((found.value.rules[0].traffic.to_string(), found.distance), ("tcp 443".to_string(), 0));
    }
    let capture = |millis: &str, port: u16| {
        let output = group(&[port]);
        ("sg.json", format!(r#"{{"captured_at":"2024-05-02T12:00:00.{millis}Z","output":{output}}}"#), 0)
    };
    let (network, problems) = network(&[capture("002", 443), capture("001", 22)]);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(network.groups.get("sg-1", view(NOON)).unwrap().value.rules[0].traffic.to_string(), "tcp 443");
}

#[test]
fn the_order_of_rules_and_entries_is_no_change() {
    // 6.1 and 3.1.
    let (network, _) =
        network(&[("a.json", group(&[22, 443]), NOON), ("b.json", group(&[443, 22]), NOON + DAY)]);
    assert_eq!(network.groups.timeline("sg-1").unwrap().versions().len(), 1);
    let acl = |one: u8, other: u8| {
        let entry = |number: u8| {
            format!(
                r#"{{"RuleNumber":{number},"Egress":false,"Protocol":"-1","RuleAction":"deny","CidrBlock":"0.0.0.0/0"}}"#
            )
        };
        format!(
            r#"{{"NetworkAcls":[{{"NetworkAclId":"acl-1","Associations":[],"Entries":[{},{}]}}]}}"#,
            entry(one),
            entry(other)
        )
    };
    let read = |files: &[(&str, String, i64)]| super::tests_captures::network(files).0;
    let network = read(&[("a.json", acl(5, 9), NOON), ("b.json", acl(9, 5), NOON + DAY)]);
    assert_eq!(network.acls.timeline("acl-1").unwrap().versions().len(), 1);
}

/// Groups and their rules as two commands of a pull tell them, the second some seconds after the first.
fn pull(at: i64, ports: &[u16]) -> [(&'static str, String, i64); 2] {
    [("sg.json", group(ports), at), ("rules.json", rules_of_group(ports), at + 7)]
}

fn rules_of_group(ports: &[u16]) -> String {
    let rule = |port: &u16| {
        format!(
            r#"{{"SecurityGroupRuleId":"sgr-{port}","GroupId":"sg-1","IsEgress":false,"IpProtocol":"tcp","FromPort":{port},
            "ToPort":{port},"CidrIpv4":"0.0.0.0/0"}}"#
        )
    };
    format!(r#"{{"SecurityGroupRules":[{}]}}"#, ports.iter().map(rule).collect::<Vec<_>>().join(","))
}

/// The ids of a group's rules at a moment.
fn rule_ids(network: &Network, at: i64) -> Vec<String> {
    let group = network.groups.get("sg-1", view(at)).unwrap();
    let mut ids: Vec<String> =
        group.value.rules.iter().map(|rule| rule.rule_id.clone().unwrap_or_else(|| "-".to_owned())).collect();
    ids.sort();
    ids
}

#[test]
fn rules_of_two_pulls_minutes_apart_stay_with_their_own_groups() {
    let before = pull(NOON, &[22, 443]);
    for (minutes, label) in [(1, "one"), (10, "ten"), (15, "fifteen")] {
        let after = NOON + minutes * 60;
        let mut files: Vec<_> = before.iter().chain(&pull(after, &[443])).cloned().collect();
        for _ in 0..files.len() {
            files.rotate_left(1);
            let (network, problems) = network(&files);
            assert_eq!(problems, [], "{label}: one pull does not disagree with another");
            assert_eq!(rule_ids(&network, NOON + 7), ["sgr-22", "sgr-443"], "{label}");
            assert_eq!(rule_ids(&network, after), ["sgr-443"], "{label}");
            assert_eq!(rule_ids(&network, Timestamp::MAX), ["sgr-443"], "{label}: what stands now");
            let changes = crate::audit::diff(&network, view(NOON + 8), view(after + 60));
            let told: Vec<&str> = changes.iter().map(|one| one.detail.as_str()).collect();
            assert_eq!(told, ["group sg-1 inbound rule allow tcp 22 from 0.0.0.0/0"], "{label}");
        }
    }
}

#[test]
fn what_was_pulled_once_more_alone_is_what_stands_now() {
    let mut files = Vec::from(pull(NOON, &[22, 443]));
    files.push(("rules.json", rules_of_group(&[443]), NOON + 300));
    let (rules_alone, problems) = network(&files);
    assert_eq!(problems, []);
    assert_eq!(rule_ids(&rules_alone, NOON + 7), ["sgr-22", "sgr-443"]);
    assert_eq!(rule_ids(&rules_alone, NOON + 300), ["sgr-443"]);
    let mut files = Vec::from(pull(NOON, &[22, 443]));
    files.push(("sg.json", group(&[443]), NOON + 300));
    files.push(("sg.json", group(&[22, 443]), NOON + 600));
    let (groups_alone, problems) = network(&files);
    assert_eq!(problems, []);
    assert_eq!(rule_ids(&groups_alone, NOON + 300), ["-"], "no output tells the id of what is left");
    assert_eq!(
        rule_ids(&groups_alone, NOON + 600),
        ["sgr-22", "sgr-443"],
        "the same rules have the same ids"
    );
}

#[test]
fn entries_of_two_pulls_minutes_apart_stay_with_their_own_lists() {
    let list = |version: i64| {
        format!(r#"{{"PrefixLists":[{{"PrefixListId":"pl-1","PrefixListName":"n","Version":{version}}}]}}"#)
    };
    let entries = |cidr: &str| format!(r#"{{"Entries":[{{"Cidr":"{cidr}"}}]}}"#);
    let (network, _) = network(&[
        ("lists.json", list(1), NOON),
        ("pl-1.json", entries("10.0.0.0/8"), NOON + 9),
        ("lists.json", list(2), NOON + 600),
        ("pl-1.json", entries("192.0.2.0/24"), NOON + 609),
    ]);
    let of = |at: i64| {
        let found = network.prefix_lists.get("pl-1", view(at)).unwrap();
        found.value.entries.iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((of(NOON), of(NOON + 600)), (vec!["10.0.0.0/8".to_owned()], vec!["192.0.2.0/24".to_owned()]));
}

/// One pull asks for an attachment by two commands, seconds apart: one tells its subnets, the other its route table.
#[test]
fn an_attachment_has_its_subnets_and_its_route_table_though_two_commands_tell_them() {
    let vpc = r#"{"TransitGatewayVpcAttachments":[{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1","VpcId":"vpc-1",
        "State":"available","SubnetIds":["subnet-1"]}]}"#;
    let any = |table: &str| {
        format!(
            r#"{{"TransitGatewayAttachments":[{{"TransitGatewayAttachmentId":"tgw-attach-1","TransitGatewayId":"tgw-1","ResourceType":"vpc",
            "ResourceId":"vpc-1","State":"available","Association":{{"TransitGatewayRouteTableId":"{table}","State":"associated"}}}}]}}"#
        )
    };
    let files = [
        ("a.json", vpc.to_owned(), NOON),
        ("b.json", any("tgw-rtb-1"), NOON + 3),
        ("c.json", vpc.to_owned(), NOON + 600),
        ("d.json", any("tgw-rtb-2"), NOON + 603),
    ];
    let (found, problems) = network(&files);
    assert_eq!(problems, []);
    for (at, table) in [(NOON, "tgw-rtb-1"), (NOON + 5, "tgw-rtb-1"), (NOON + 700, "tgw-rtb-2")] {
        let attachment = found.transit_attachments.get("tgw-attach-1", view(at)).unwrap().value;
        assert_eq!(attachment.subnet_ids, ["subnet-1"], "{at}");
        assert_eq!(attachment.route_table_id.as_deref(), Some(table), "{at}");
    }
    // What only one of the two tells is what it says; what is gone is listed for a while and is none.
    let (alone, _) = network(&files[1..2]);
    assert!(alone.transit_attachments.get("tgw-attach-1", view(NOON)).is_some());
    let (gone, _) = network(&[("a.json", vpc.replace("available", "deleted"), NOON)]);
    assert!(gone.transit_attachments.get("tgw-attach-1", view(NOON)).is_none());
}
