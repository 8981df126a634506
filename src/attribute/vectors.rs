//! The test vectors of spec section 10, T1 to T35; written as `tests` says.

use super::tests::{ALL_OPEN, Case, NAT, NOON, OPEN, judge, two, with, with_history, without};
use crate::network::*;
use crate::rules::fixture::Fixture;

#[test]
fn t1_the_senders_accept_does_not_make_it_the_nacl() {
    with(
        &two(OPEN),
        "eni-a out tcp 10.0.1.10:40000 10.0.2.20:5432 2 ACCEPT 0
         > eni-b in tcp 10.0.1.10:40000 10.0.2.20:5432 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_HAS_NO_RULES first=SECURITY_GROUP rule=-",
    );
}

#[test]
fn t2_inside_a_subnet_the_nacl_is_not_named() {
    let explanation = with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-a subnet-1 10.0.1.10 groups=sg-a
         eni eni-b subnet-1 10.0.1.20 groups=sg-b
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 90 deny tcp 5432 0.0.0.0/0
         sg-b",
        "> eni-b in tcp 10.0.1.10:40000 10.0.1.20:5432 2 REJECT 0",
        "SECURITY_GROUP PROVEN INTRA_SUBNET rule=- blocks=SECURITY_GROUP",
    );
    assert!(!explanation.text.contains("acl-1"), "{}", explanation.text);
}

#[test]
fn t3_the_answer_that_the_nacl_forgot() {
    let explanation = with(
        &two(
            "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow tcp 443 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0",
        ),
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 ACCEPT 0
         > eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 18 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY RESPONSE_OF_ACCEPTED_FLOW rule=32767 blocks=NACL",
    );
    assert_eq!(
        explanation.fixes[0].command,
        "aws ec2 create-network-acl-entry --network-acl-id acl-2 --egress --rule-number 110 --protocol 6 \
         --port-range From=1024,To=65535 --cidr-block 198.51.100.7/32 --rule-action allow"
    );
    assert_eq!(explanation.fixes.len(), 1, "the group's missing outbound rule is irrelevant");
}

#[test]
fn t4_after_the_close() {
    with(
        &two(&format!("{OPEN}sg-b in tcp 443 203.0.113.0/24")),
        "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 3 ACCEPT -600
         eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 19 ACCEPT -600
         > eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 4 REJECT 0",
        "STALE_CONNECTION STRONG AFTER_CLOSE first=CONNTRACK",
    );
}

#[test]
fn t5_entries_are_sorted() {
    let explanation = with(
        &two(
            "acl-2 in 100 allow tcp 443 0.0.0.0/0\nacl-2 in 90 deny all 198.51.100.0/24\nsg-b in tcp 443 0.0.0.0/0",
        ),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90",
    );
    assert!(explanation.text.contains("nacl acl-2 inbound rule 90 deny all traffic from 198.51.100.0/24"));
    assert!(explanation.text.contains("rule 100 would allow it but comes later"), "{}", explanation.text);
    assert_eq!(
        explanation.fixes[0].command,
        "aws ec2 create-network-acl-entry --network-acl-id acl-2 --ingress --rule-number 85 --protocol 6 \
         --port-range From=443,To=443 --cidr-block 198.51.100.7/32 --rule-action allow"
    );
}

#[test]
fn t6_only_ipv4_is_allowed_by_the_nacl() {
    with(
        &two(&format!("{OPEN}sg-b in tcp 443 ::/0")),
        "> eni-b in tcp [2001:db8:9::7]:51000 [2001:db8:1:2::20]:443 2 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY rule=32768",
    );
}

#[test]
fn t7_only_ipv4_is_allowed_by_the_group() {
    with(
        &two(&format!("{OPEN}acl-2 in 101 allow all ::/0\nsg-b in tcp 443 0.0.0.0/0")),
        "> eni-b in tcp [2001:db8:9::7]:51000 [2001:db8:1:2::20]:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE blocks=SECURITY_GROUP",
    );
}

#[test]
fn t8_an_icmp_type_in_the_nacl_is_not_visible() {
    with(
        &two("acl-2 in 100 allow icmp 8 0.0.0.0/0\nsg-b in icmp 0.0.0.0/0"),
        "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0",
        "NACL WEAK BY_ELIMINATION",
    );
}

#[test]
fn t9_icmp_types_in_both() {
    with(
        &two("acl-2 in 100 allow icmp 8 0.0.0.0/0\nsg-b in icmp 8 0.0.0.0/0"),
        "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn t10_ports_beside_icmp_in_terraform_are_ignored() {
    let state = r#"{"format_version":"1.0","values":{"root_module":{"resources":[
        {"mode":"managed","type":"aws_subnet","address":"a","values":{"id":"subnet-1","vpc_id":"vpc-1","cidr_block":"10.0.1.0/24"}},
        {"mode":"managed","type":"aws_security_group","address":"b","values":{"id":"sg-1","vpc_id":"vpc-1","ingress":[],"egress":[]}},
        {"mode":"managed","type":"aws_network_interface","address":"c","values":{"id":"eni-b","subnet_id":"subnet-1",
          "private_ip":"10.0.1.20","security_groups":["sg-1"]}},
        {"mode":"managed","type":"aws_network_acl","address":"d","values":{"id":"acl-1","vpc_id":"vpc-1",
          "subnet_ids":["subnet-1"],"egress":[],"ingress":[{"rule_no":100,"action":"allow","protocol":"1","from_port":0,
          "to_port":0,"cidr_block":"0.0.0.0/0","ipv6_cidr_block":"","icmp_type":-1,"icmp_code":-1}]}}]}}}"#;
    let mut builder = NetworkBuilder::new();
    builder.read("state.json", state.as_bytes(), &ReadOptions::default()).unwrap();
    let (network, problems) = builder.finish();
    assert_eq!(problems, vec![]);
    let log = "> eni-b in icmp 198.51.100.7 10.0.1.20 - REJECT 0";
    judge(&Case { network: Some(network), log, skipdata: None }, "SECURITY_GROUP STRONG SG_HAS_NO_RULES");
}

#[test]
fn t11_both_deny_inbound() {
    let explanation = with(
        &two(""),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN NACL_DEFAULT_DENY SG_HAS_NO_RULES first=NACL blocks=NACL+SECURITY_GROUP",
    );
    assert_eq!(explanation.fixes.len(), 3, "the fix names both, and lets the answers out (8.9)");
    assert!(explanation.fixes[2].command.contains("--network-acl-id acl-2 --egress"));
    assert_eq!(
        explanation.fixes[1].command,
        "aws ec2 authorize-security-group-ingress --group-id sg-b --ip-permissions \
         'IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=198.51.100.7/32}]'"
    );
}

#[test]
fn t12_both_deny_outbound() {
    with(
        &two(""),
        "> eni-b out tcp 10.0.2.20:51000 198.51.100.7:443 2 REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN first=SECURITY_GROUP blocks=SECURITY_GROUP+NACL",
    );
}

#[test]
fn t13_a_reference_does_not_match_public_addresses() {
    with(
        &two(&format!(
            "{OPEN}sg-b in tcp 443 sg-a\neni eni-c subnet-1 10.0.1.30 groups=sg-a public=203.0.113.25"
        )),
        "> eni-b in tcp 203.0.113.25:51000 10.0.2.20:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE",
    );
}

#[test]
fn t14_a_reference_to_a_group_whose_members_are_unknown() {
    let network = two(&format!("{OPEN}sg-b in tcp 443 123456789012/sg-far\npeering pcx-1 vpc-1 vpc-2"));
    let log = "> eni-b in tcp 10.1.4.9:51000 10.0.2.20:443 2 REJECT 0";
    with(&network, log, "SECURITY_GROUP WEAK BY_ELIMINATION !SG_NO_MATCHING_RULE");
    with(&network, &format!("{log} reason=-"), "SECURITY_GROUP STRONG BY_ELIMINATION");
}

#[test]
fn t15_a_prefix_list_without_entries_and_no_nacl() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-2 vpc-1 10.0.2.0/24
         eni eni-b subnet-2 10.0.2.20 groups=sg-b
         list pl-1 unknown
         sg-b in tcp 443 pl-1",
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn t16_a_nat_gateway_has_no_groups() {
    let explanation = with(
        NAT,
        "> eni-nat in tcp 198.51.100.7:51000 10.0.0.220:443 2 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY SG_NOT_APPLICABLE blocks=NACL",
    );
    assert!(!explanation.text.contains("group"), "{}", explanation.text);
}

#[test]
fn t17_an_accept_is_not_judged() {
    with(
        &format!("{NAT}\nacl-0 in 100 allow all 0.0.0.0/0"),
        "> eni-nat in tcp 198.51.100.7:51000 10.0.0.220:443 2 ACCEPT 0",
        "NOT_APPLICABLE first=-",
    );
}

#[test]
fn t18_a_removed_rule_cuts_untracked_flows_at_once() {
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -3000
               eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT -3000
               eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 ACCEPT -1200..-60
               eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 0 ACCEPT -1200..-60
               > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200";
    let untracked =
        with_history("sg-b in tcp 22 0.0.0.0/0\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    judge(
        &Case { network: Some(untracked), log, skipdata: None },
        "SECURITY_GROUP STRONG SG_HAS_NO_RULES !NACL",
    );
    let tracked =
        with_history("sg-b in tcp 22 203.0.113.0/24\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    judge(
        &Case { network: Some(tracked), log: &log.replace("-1200..-60", "-1200..1190"), skipdata: None },
        "STALE_CONNECTION WEAK or=CONFIG_MISMATCH",
    );
    // Which of the two timeouts the instance has is not known: either it has passed, or the state should exist.
    let tracked =
        with_history("sg-b in tcp 22 203.0.113.0/24\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    judge(
        &Case { network: Some(tracked), log, skipdata: None },
        "STALE_CONNECTION WEAK or=SECURITY_GROUP+CONFIG_MISMATCH",
    );
}

#[test]
fn t19_a_snapshot_taken_later_and_the_history() {
    let log = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT -3600";
    let mut late = Fixture::new(&two(OPEN)).network();
    let group = Fixture::new("sg-b in tcp 443 0.0.0.0/0").groups.remove("sg-b").unwrap();
    let at = Some(NOON);
    let reading = Observation::new(at, Origin::Snapshot, Some(group));
    late.groups.put("sg-b".into(), Timeline::new(vec![reading]));
    late.finish();
    judge(&Case { network: Some(late), log, skipdata: None }, "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE");
    let known = with_history("sg-b out all 0.0.0.0/0", "sg-b in tcp 443 0.0.0.0/0");
    judge(&Case { network: Some(known), log, skipdata: None }, "SECURITY_GROUP PROVEN SG_HAS_NO_RULES");
}

#[test]
fn t20_the_log_names_block_public_access() {
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 reason=BPA bytes=-";
    with(&two(ALL_OPEN), log, "VPC_BPA PROVEN LOG_REASON_FIELD first=BPA");
}

#[test]
fn t21_block_public_access_by_elimination() {
    let network = two(&format!("{ALL_OPEN}bpa subnet-2 block-bidirectional"));
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    with(&network, log, "VPC_BPA STRONG BY_ELIMINATION first=BPA");
    with(&network, "> eni-b in tcp 10.0.1.10:51000 10.0.2.20:443 2 REJECT 0", "CONFIG_MISMATCH WEAK");
}

#[test]
fn t22_a_classic_load_balancer_in_the_targets_subnet() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-lb subnet-1 10.0.1.40 groups=sg-lb description=ELB classic
         eni eni-b subnet-1 10.0.1.20 groups=sg-b
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 90 deny all 10.0.1.0/24
         acl-1 in 100 allow all 0.0.0.0/0
         sg-b in all 0.0.0.0/0",
        "> eni-b in tcp 10.0.1.40:51000 10.0.1.20:80 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90 !INTRA_SUBNET",
    );
}

const TRANSIT: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-a
    eni eni-tgw subnet-1 10.0.1.5 groups= type=transit_gateway
    route subnet-1 10.0.0.0/16 local
    route subnet-1 10.0.0.0/8 tgw-1
    nacl acl-1 vpc-1 subnet-1";

#[test]
fn t23_from_a_transit_gateway_in_the_subnet() {
    with(
        &format!("{TRANSIT}\nacl-1 in 90 deny all 10.9.0.0/16\nacl-1 in 100 allow all 0.0.0.0/0\nsg-a"),
        "> eni-a in tcp 10.9.1.1:51000 10.0.1.10:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN rule=- blocks=SECURITY_GROUP",
    );
}

#[test]
fn t23b_to_a_transit_gateway_in_the_subnet() {
    let explanation = with(
        &format!(
            "{TRANSIT}
            acl-1 in 90 deny all 10.0.1.0/24
            acl-1 in 100 allow all 0.0.0.0/0
            acl-1 out 100 allow all 0.0.0.0/0
            sg-a out all 0.0.0.0/0"
        ),
        "> eni-a out tcp 10.0.1.10:51000 10.9.1.1:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90",
    );
    assert!(
        explanation.text.contains("inbound rule 90 deny all traffic from 10.0.1.0/24"),
        "{}",
        explanation.text
    );
    assert!(
        explanation.fixes[0].command.contains("--ingress")
            && explanation.fixes[0].command.contains("10.0.1.10/32")
    );
}

#[test]
fn t24_ntp_may_begin_at_either_end() {
    without(
        "eni-b in udp 203.0.113.9:123 10.0.2.20:123 - ACCEPT 0
         > eni-b out udp 10.0.2.20:123 203.0.113.9:123 - REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn t25_a_late_udp_answer() {
    without(
        "eni-b in udp 203.0.113.9:40000 10.0.2.20:53 - ACCEPT 0..5
         > eni-b out udp 10.0.2.20:53 203.0.113.9:40000 - REJECT 45..50",
        "NACL WEAK RESPONSE_OF_ACCEPTED_FLOW or=SECURITY_GROUP",
    );
}

#[test]
fn t26_the_idle_timeout_is_the_instances() {
    let network = |kind: &str| {
        two(&format!(
            "{OPEN}sg-b in tcp 5432 203.0.113.0/24
             instance i-1 {kind}
             eni eni-b subnet-2 10.0.2.20 groups=sg-b instance=i-1"
        ))
    };
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:5432 0 ACCEPT -460..-400
               eni-b out tcp 10.0.2.20:5432 203.0.113.7:51000 0 ACCEPT -460..-400
               > eni-b out tcp 10.0.2.20:5432 203.0.113.7:51000 0 REJECT 0";
    with(&network("m8g.large"), log, "STALE_CONNECTION STRONG IDLE_TIMEOUT first=CONNTRACK");
    with(&network("m5.large"), log, "STALE_CONNECTION WEAK OUT_OF_STATE !IDLE_TIMEOUT");
    // One of the two is true where the type is not known (rows 15 and 26).
    let not_told = two(&format!("{OPEN}sg-b in tcp 5432 203.0.113.0/24"));
    with(
        &not_told,
        log,
        "STALE_CONNECTION WEAK OUT_OF_STATE or=SECURITY_GROUP+CONFIG_MISMATCH !IDLE_TIMEOUT",
    );
}

#[test]
fn t27_a_sibling_clears_the_nacl() {
    without(
        "eni-c in tcp 198.51.100.7:50000 10.0.2.30:443 2 ACCEPT 0 subnet=subnet-2
         > eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 subnet=subnet-2",
        "SECURITY_GROUP STRONG SIBLING_ACCEPT",
    );
}

#[test]
fn t28_backscatter_answers_nothing() {
    with(
        &two(OPEN),
        "> eni-b in tcp 203.0.113.9:443 10.0.2.20:51111 18 REJECT 0",
        "SECURITY_GROUP STRONG first=SECURITY_GROUP !RESPONSE_OF_ACCEPTED_FLOW",
    );
}

#[test]
fn t29_the_primary_address_stands_for_a_secondary_one() {
    with(
        &two(&format!("{OPEN}eni eni-b subnet-2 10.0.2.20 10.0.2.26 groups=sg-b")),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 pkt-src=198.51.100.7 pkt-dst=10.0.2.26",
        "SECURITY_GROUP PROVEN SG_HAS_NO_RULES",
    );
}

#[test]
fn t30_ports_of_esp_are_ignored() {
    let mut builder = NetworkBuilder::new();
    let groups = r#"{"SecurityGroups":[{"GroupId":"sg-b","IpPermissions":[{"IpProtocol":"50","FromPort":0,"ToPort":0,
        "IpRanges":[{"CidrIp":"0.0.0.0/0"}]}],"IpPermissionsEgress":[]}]}"#;
    let options = ReadOptions { captured_at: Some(NOON), ..ReadOptions::default() };
    builder.read("groups.json", groups.as_bytes(), &options).unwrap();
    let mut network = Fixture::new(&two("")).network();
    let timeline = builder.finish().0.groups.timeline("sg-b").unwrap().clone();
    network.groups.put("sg-b".into(), timeline);
    network.finish();
    let log = "> eni-b in esp 198.51.100.7 10.0.2.20 - REJECT 0";
    judge(&Case { network: Some(network), log, skipdata: None }, "NACL PROVEN NACL_DEFAULT_DENY blocks=NACL");
}

#[test]
fn t31_a_group_of_another_vpc_applies() {
    let mut fixture = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 80 0.0.0.0/0")));
    fixture.groups.get_mut("sg-b").unwrap().vpc_id = Some("vpc-elsewhere".into());
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    judge(
        &Case { network: Some(fixture.network()), log, skipdata: None },
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE !BY_ELIMINATION",
    );
}

#[test]
fn t32_a_subnet_without_association_has_the_default_list() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-9 vpc-1 10.0.9.0/24
         eni eni-b subnet-9 10.0.9.20 groups=sg-b
         nacl acl-0 vpc-1 default
         acl-0 in 10 deny tcp 443 0.0.0.0/0
         sg-b in all 0.0.0.0/0",
        "> eni-b in tcp 198.51.100.7:51000 10.0.9.20:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=10",
    );
}

#[test]
fn t33_accepted_and_rejected_in_one_interval() {
    with(
        &two(ALL_OPEN),
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 3 ACCEPT 0
         > eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 4 REJECT 0",
        "STALE_CONNECTION STRONG AFTER_CLOSE",
    );
}

#[test]
fn t34_a_regional_nat_gateway_has_no_interface() {
    let log = "> - in tcp 198.51.100.7:51000 10.0.0.220:443 2 REJECT 0";
    with(&two(ALL_OPEN), log, "UNDETERMINED NONE");
    without(log, "UNDETERMINED NONE");
}

#[test]
fn t35_skipped_data_voids_the_missing_mirror() {
    let network = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 443 0.0.0.0/0"))).network();
    let log = "> eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 0 REJECT 0";
    let case = Case { network: Some(network), log, skipdata: Some("eni-b") };
    judge(&case, "SECURITY_GROUP WEAK BY_ELIMINATION or=STALE_CONNECTION");
}
