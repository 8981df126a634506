//! Regressions where what counts is the time for which the configuration is known, and who opened a flow.

use super::regressions::{among, changing};
use super::tests::{NOON, OPEN, two, with};
use crate::network::{Network, NetworkBuilder, Observation, Origin, ReadOptions, Timeline};
use crate::rules::fixture::Fixture;
use serde_json::{Value, json};

#[test]
fn a_flow_is_untracked_by_the_rules_for_the_end_that_opened_it() {
    // 2.2: `untracked(dir, pkt)` is of the direction in which it began. Outbound everything is open; inbound not all ports
    // are, so what began outbound is tracked, and outlives the rule that is removed (S7b).
    let outbound = "sg-b out all 0.0.0.0/0";
    let both = format!("{outbound}\nsg-b in tcp 1024-65535 0.0.0.0/0");
    let opened = "eni-b out tcp 10.0.2.20:51000 203.0.113.7:8443 2 ACCEPT -600
        eni-b in tcp 203.0.113.7:8443 10.0.2.20:51000 18 ACCEPT -600
        eni-b out tcp 10.0.2.20:51000 203.0.113.7:8443 0 ACCEPT 1140";
    let late = "> eni-b in tcp 203.0.113.7:8443 10.0.2.20:51000 0 REJECT 1200";
    let network = |list: &str| {
        let versions = [(-90_000, format!("{list}{both}")), (0, format!("{list}{outbound}"))];
        changing(Origin::History, &versions.each_ref().map(|(at, lines)| (*at, lines.as_str())))
    };
    let log = format!("{opened}\n{late}");
    among(&network(""), &log, "NACL PROVEN NACL_DEFAULT_DENY blocks=NACL or=-");
    among(&network(OPEN), &log, "STALE_CONNECTION WEAK OUT_OF_STATE or=CONFIG_MISMATCH");
    // What began inbound was untracked: the inbound rule lets all in, and outbound everything is open (S7a).
    let log =
        log.replace("8443", "51001").replace(" 2 ACCEPT", " x ACCEPT").replace(" 18 ACCEPT", " 2 ACCEPT");
    let log = log.replace(" x ACCEPT", " 18 ACCEPT");
    among(&network(OPEN), &log, "SECURITY_GROUP STRONG SG_HAS_NO_RULES");
    // Without flags high ports do not tell who began, and so nothing is sure.
    let flagless = log.replace(" 18 ACCEPT", " - ACCEPT").replace(" 2 ACCEPT", " - ACCEPT");
    let flagless = flagless.replace(" 0 ACCEPT", " - ACCEPT").replace(" 0 REJECT", " - REJECT");
    among(&network(OPEN), &flagless, "SECURITY_GROUP WEAK or=STALE_CONNECTION");
}

#[test]
fn recorded_daily_either_version_may_have_been_in_force_the_day_before() {
    // 6.8: with the older version the group alone denies, with the newer one the list as well.
    let daily = |at: i64, lines: &str| {
        let list = Fixture::new(&two(lines)).acls["acl-2"].clone();
        Observation { daily: true, ..Observation::new(Some(NOON + at), Origin::History, Some(list)) }
    };
    let mut network = Fixture::new(&two(OPEN)).network();
    network.acls.put("acl-2".into(), Timeline::new(vec![daily(-172_800, OPEN), daily(50_000, "")]));
    network.finish();
    let syn = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0";
    among(&network, syn, "CONFIG_MISMATCH WEAK CONFIG_CHANGED_IN_WINDOW");
}

const HOUR: i64 = 3_600;

/// A server whose group lets in the members of `sg-2`, and a client with it that only some captures show; the capture's account and the
/// owner of the VPC.
fn capture(client: bool, account: &str, owner: &str) -> Value {
    let interface = |id: &str, addr: &str, group: &str| {
        json!({"NetworkInterfaceId": id, "SubnetId": "subnet-1", "VpcId": "vpc-1", "OwnerId": account,
            "PrivateIpAddress": addr, "PrivateIpAddresses": [{"PrivateIpAddress": addr, "Primary": true}],
            "Groups": [{"GroupId": group}]})
    };
    let mut interfaces =
        vec![interface("eni-b", "10.0.2.20", "sg-1"), interface("eni-c", "10.0.2.30", "sg-2")];
    if client {
        interfaces.push(interface("eni-d", "10.0.3.77", "sg-2"));
    }
    let group = |id: &str, rules: Value| json!({"GroupId": id, "VpcId": "vpc-1", "OwnerId": account, "IpPermissions": rules, "IpPermissionsEgress": []});
    let reference = json!([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "UserIdGroupPairs": [{"GroupId": "sg-2", "UserId": account}]}]);
    json!({
        "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16", "OwnerId": owner}],
        "Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.2.0/24", "OwnerId": owner}],
        "NetworkInterfaces": interfaces,
        "SecurityGroups": [group("sg-1", reference), group("sg-2", json!([]))],
        "NetworkAcls": [{"NetworkAclId": "acl-1", "VpcId": "vpc-1", "IsDefault": true, "Associations": [{"SubnetId": "subnet-1"}],
            "Entries": []}],
    })
}

fn network(captures: &[(Option<i64>, Value)]) -> Network {
    let mut builder = NetworkBuilder::new();
    for (nth, (captured_at, capture)) in captures.iter().enumerate() {
        let options = ReadOptions { captured_at: captured_at.map(|at| NOON + at), ..ReadOptions::default() };
        builder.read(&format!("{nth}.json"), capture.to_string().as_bytes(), &options).unwrap();
    }
    builder.finish().0
}

const OURS: &str = "111122223333";
const CLIENT: &str = "> eni-b in tcp 10.0.3.77:51000 10.0.2.20:443 2 REJECT 0";

#[test]
fn a_client_that_no_capture_of_its_time_shows_may_be_a_member() {
    // 2.4: "no" where the snapshot covers the VPC at the record's time, "maybe" where its time differs. Row 11: the list alone
    // is sure.
    let at = |moments: &[Option<i64>]| {
        network(&moments.iter().map(|at| (*at, capture(false, OURS, OURS))).collect::<Vec<_>>())
    };
    let (both, list) = ("NACL_AND_SECURITY_GROUP", "NACL");
    among(&at(&[Some(0)]), CLIENT, &format!("{both} PROVEN or=-"));
    among(&at(&[Some(HOUR)]), CLIENT, &format!("{list} STRONG NACL_DEFAULT_DENY or=SECURITY_GROUP"));
    // Between two captures it may have come and gone, and a capture without a time is of none.
    among(&at(&[Some(-HOUR), Some(HOUR)]), CLIENT, &format!("{list} STRONG or=SECURITY_GROUP"));
    among(&at(&[None]), CLIENT, &format!("{list} STRONG or=SECURITY_GROUP"));
}

#[test]
fn who_takes_part_in_a_shared_vpc_does_not_see_all_its_interfaces() {
    // 2.6: participants see their own, the owner sees all.
    let of = |account: &str| network(&[(Some(0), capture(false, account, OURS))]);
    among(&of(OURS), CLIENT, "NACL_AND_SECURITY_GROUP PROVEN or=-");
    among(&of("222233334444"), CLIENT, "NACL PROVEN or=SECURITY_GROUP");
}

#[test]
fn equal_captures_before_and_after_are_no_history() {
    // 8.1: captured at another time and no history, at most STRONG.
    let syn = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0";
    let lines = format!("{OPEN}sg-b in tcp 22 0.0.0.0/0");
    let at = |origin, moments: [i64; 2]| changing(origin, &moments.map(|at| (at, lines.as_str())));
    among(&at(Origin::Snapshot, [-HOUR, HOUR]), syn, "SECURITY_GROUP STRONG SG_NO_MATCHING_RULE or=-");
    among(&at(Origin::Snapshot, [0, HOUR]), syn, "SECURITY_GROUP PROVEN or=-");
    among(&at(Origin::History, [-HOUR, HOUR]), syn, "SECURITY_GROUP PROVEN or=-");
    with(&two(&lines), syn, "SECURITY_GROUP PROVEN or=-");
}

#[test]
fn rules_may_have_changed_while_an_interface_was_there_that_the_next_capture_lacks() {
    // Row 7: which of the two versions of the list was in force is not known, whether the interface lives on or not.
    let before = capture(true, OURS, OURS);
    let open = json!([{"RuleNumber": 100, "Egress": false, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}]);
    let mut opened = before.clone();
    opened["NetworkAcls"][0]["Entries"] = open;
    let syn = "> eni-d in tcp 203.0.113.7:51000 10.0.3.77:443 2 REJECT 0";
    for after in [before, capture(false, OURS, OURS)] {
        let network = network(&[(Some(-HOUR), opened.clone()), (Some(HOUR), after)]);
        among(&network, syn, "CONFIG_MISMATCH WEAK CONFIG_CHANGED_IN_WINDOW blocks=SECURITY_GROUP or=NACL");
    }
}
