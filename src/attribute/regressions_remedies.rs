//! Fixes that were half of one, or of no use (spec 8.9); as `regressions`.

use super::Explanation;
use super::tests::{Case, NAT, OPEN, judge, two, with, with_history};
use crate::network::{BpaExclusion, Timeline};
use crate::rules::fixture::Fixture;

fn commands(found: &Explanation) -> Vec<&str> {
    found.fixes.iter().map(|fix| fix.command.as_str()).collect()
}

const GROUPS_OPEN: &str = "sg-b in all 0.0.0.0/0\nsg-b out all 0.0.0.0/0\n";

#[test]
fn the_fix_for_a_request_lets_its_answers_pass_too() {
    // 8.9: then check the opposite list for the remote and the source port.
    let lists = "acl-2 in 100 allow tcp 443 10.0.0.0/8\nacl-2 out 100 allow tcp 443 0.0.0.0/0\n";
    let request = "> eni-b in tcp 10.9.0.7:51000 10.0.2.20:8080 2 REJECT 0";
    let found = with(&two(&format!("{lists}{GROUPS_OPEN}")), request, "NACL NACL_DEFAULT_DENY");
    assert_eq!(
        commands(&found),
        [
            "aws ec2 create-network-acl-entry --network-acl-id acl-2 --ingress --rule-number 110 --protocol 6 \
             --port-range From=8080,To=8080 --cidr-block 10.9.0.7/32 --rule-action allow",
            "aws ec2 create-network-acl-entry --network-acl-id acl-2 --egress --rule-number 110 --protocol 6 \
             --port-range From=1024,To=65535 --cidr-block 10.9.0.7/32 --rule-action allow",
        ]
    );
    let wanted =
        "its answers would be dropped too, by nacl acl-2 outbound rule * deny all traffic to 0.0.0.0/0";
    assert!(found.text.contains(wanted), "{}", found.text);
    // Where the other list lets them pass there is nothing more to do.
    let lists = "acl-2 in 100 allow tcp 443 10.0.0.0/8\nacl-2 out 100 allow tcp 1024-65535 0.0.0.0/0\n";
    let found = with(&two(&format!("{lists}{GROUPS_OPEN}")), request, "NACL NACL_DEFAULT_DENY");
    assert_eq!(commands(&found).len(), 1, "{:?}", found.fixes);
    assert!(!found.text.contains("answers"), "{}", found.text);
}

#[test]
fn the_fix_of_a_group_does_not_leave_the_answers_to_a_list_that_drops_them() {
    let network = two("acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow tcp 443 0.0.0.0/0");
    let found = with(&network, "> eni-b in tcp 10.9.0.7:51000 10.0.2.20:8080 2 REJECT 0", "SECURITY_GROUP");
    let commands = commands(&found);
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert!(commands[0].starts_with("aws ec2 authorize-security-group-ingress --group-id sg-b"));
    assert!(commands[1].contains("--egress --rule-number 110 --protocol 6 --port-range From=1024,To=65535"));
}

#[test]
fn groups_that_have_no_rule_either_are_in_the_fix() {
    // Row 11: without flags, and with records missing, the packets may be of a connection that is tracked; a new one has no rule.
    let network =
        two(&format!("acl-2 in 90 deny all 172.16.42.0/24\n{OPEN}sg-b in tcp 1433 172.16.40.0/24\n"));
    let log = "> eni-b in tcp 172.16.42.5:51200 10.0.2.20:1433 - REJECT 0";
    let judged = |text: &str| {
        let network = Some(Fixture::new(text).network());
        let expected = "NACL NACL_EXPLICIT_DENY blocks=NACL or=SECURITY_GROUP rule=90";
        judge(&Case { network, log, skipdata: Some("eni-b") }, expected)
    };
    let found = judged(&network);
    let said = commands(&found);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("--ingress --rule-number 85 ") && said[0].contains("172.16.42.5/32"),
        "{said:?}"
    );
    assert!(said[1].starts_with("aws ec2 authorize-security-group-ingress --group-id sg-b"), "{said:?}");
    assert!(found.text.contains("no inbound rule of sg-b matches"), "{}", found.text);
    assert!(found.text.contains("may drop it as well: SECURITY_GROUP"), "{}", found.text);
    assert!(!found.text.contains("also possible"), "{}", found.text);
    // What may match by a group that is not known is not proposed.
    let open = judged(&network.replace("tcp 1433 172.16.40.0/24", "tcp 1433 pl-1"));
    assert_eq!(commands(&open).len(), 1, "{:?}", open.fixes);
}

#[test]
fn no_rule_is_proposed_for_what_belongs_to_no_connection() {
    // 8.9, STALE_CONNECTION: no rule change. A lone RST, an ACK and data, of which S9 says D.
    let network = two(OPEN);
    for flags in [4, 16, 0] {
        let log = format!("> eni-b out tcp 10.0.2.20:9000 10.0.1.10:45000 {flags} REJECT 0");
        let found = with(&network, &log, "SECURITY_GROUP or=STALE_CONNECTION");
        assert_eq!(commands(&found), Vec::<&str>::new(), "{flags}");
        assert!(found.text.contains("no SYN is among the packets"), "{}", found.text);
    }
    // Nor an entry where both layers drop it.
    let both = two("acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow tcp 443 0.0.0.0/0");
    let log = "> eni-b out tcp 10.0.2.20:9000 10.0.1.10:45000 4 REJECT 0";
    assert_eq!(commands(&with(&both, log, "NACL_AND_SECURITY_GROUP")), Vec::<&str>::new());
}

/// A connection that was never tracked (S7a): it lives by the rules, and the one that let it in is gone.
fn cut_by_the_end_of_its_rule() -> Explanation {
    let network = with_history("sg-b in tcp 22 0.0.0.0/0\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -600
        eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT -600
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200";
    judge(&Case { network: Some(network), log, skipdata: None }, "SECURITY_GROUP STRONG")
}

#[test]
fn a_rule_is_proposed_for_a_connection_that_was_never_tracked() {
    let found = cut_by_the_end_of_its_rule();
    assert_eq!(commands(&found).len(), 1, "{:?}", found.fixes);
    assert!(commands(&found)[0].contains("FromPort=22,ToPort=22"), "{:?}", found.fixes);
}

#[test]
fn an_answer_to_an_own_connection_is_no_scan() {
    // Row 8 at a NAT gateway: the list of its subnet drops the answers.
    let network = format!("{NAT}\nacl-0 out 100 allow all 0.0.0.0/0\nroute subnet-0 0.0.0.0/0 igw-1");
    let log = "eni-nat out tcp 10.0.0.220:2123 198.51.100.20:443 2 ACCEPT -1
        > eni-nat in tcp 198.51.100.20:443 10.0.0.220:2123 18 REJECT 0";
    let found = with(&network, log, "NACL NACL_DEFAULT_DENY SG_NOT_APPLICABLE");
    assert!(!found.text.contains("scan"), "{}", found.text);
    let wanted = "it answers what the interface sent itself, accepted at 2024-05-02T11:59:59Z";
    assert!(found.text.contains(wanted), "{}", found.text);
    assert!(commands(&found)[0].contains("--ingress") && commands(&found).len() == 1, "{:?}", found.fixes);
}

#[test]
fn a_syn_ack_without_its_syn_may_be_of_an_asymmetric_path() {
    // 8.8, point 6: the SYN left through another interface.
    let log = "> eni-b in tcp 198.51.100.7:443 10.0.2.20:50000 18 REJECT 0";
    let found = with(&two(OPEN), log, "SECURITY_GROUP");
    assert!(found.text.contains("the path is asymmetric"), "{}", found.text);
    assert!(!found.text.contains("appliance"), "{}", found.text);
    // The service is at the end that answers.
    let subject = "198.51.100.7 port 443 (https) to 10.0.2.20 port 50000 at eni-b";
    assert!(found.text.contains(subject), "{}", found.text);
    // One of which the SYN is known has no such doubt.
    let log = format!("eni-b out tcp 10.0.2.20:50000 198.51.100.7:443 2 ACCEPT -1\n{log}");
    let found = with(&two("acl-2 out 100 allow all 0.0.0.0/0"), &log, "NACL");
    assert!(!found.text.contains("asymmetric"), "{}", found.text);
}

#[test]
fn groups_without_a_rule_are_told_to_have_none() {
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    let found = with(&two(OPEN), log, "SECURITY_GROUP SG_HAS_NO_RULES");
    assert!(found.text.contains("sg-b has no inbound rule at all"), "{}", found.text);
}

#[test]
fn skipped_records_are_told_where_they_make_a_verdict_weak() {
    // 4.5: what is not in the logs may have been; S10 and row 16.
    let log = "> eni-b out tcp 10.0.2.20:9000 10.0.1.10:45000 0 REJECT 0";
    let network = || Some(Fixture::new(&two(OPEN)).network());
    let skipped = Case { network: network(), log, skipdata: Some("eni-b") };
    let found = judge(&skipped, "SECURITY_GROUP WEAK BY_ELIMINATION");
    assert!(found.text.contains("SKIPDATA"), "{}", found.text);
    let whole = judge(&Case { network: network(), log, skipdata: None }, "SECURITY_GROUP");
    assert!(!whole.text.contains("SKIPDATA"), "{}", whole.text);
}

#[test]
fn the_check_that_drops_what_is_for_others_is_told_and_turned_off() {
    // Row 27: eni-b forwards for others, and its check is on.
    let network = two(&format!("{OPEN}{GROUPS_OPEN}"));
    let log =
        "> eni-b in tcp 10.0.1.10:45004 10.0.2.20:443 2 REJECT 0 pkt-src=10.0.1.10 pkt-dst=198.51.100.20";
    let found = with(&network, log, "UNDETERMINED or=SOURCE_DEST_CHECK");
    assert_eq!(
        commands(&found),
        ["aws ec2 modify-network-interface-attribute --network-interface-id eni-b --no-source-dest-check"]
    );
    assert!(found.text.contains("198.51.100.20 is no address of eni-b"), "{}", found.text);
    assert!(!found.would_decide.unwrap_or_default().contains("describe"));
}

#[test]
fn public_access_that_blocks_as_well_is_told_beside_the_groups() {
    // 8.1: all that would have dropped it on its own; 9.2: which comes first is not documented.
    let text = two(&format!("{OPEN}bpa subnet-2 block-bidirectional"));
    let log = "> eni-b in tcp 198.51.100.77:51000 10.0.2.20:22 2 REJECT 0";
    let found = with(&text, log, "SECURITY_GROUP blocks=SECURITY_GROUP or=VPC_BPA");
    let said = commands(&found);
    assert!(said.len() == 2 && said[0].contains("authorize-security-group-ingress"), "{said:?}");
    assert!(said[1].contains("create-vpc-block-public-access-exclusion --subnet-id subnet-2"), "{said:?}");
    assert!(found.text.contains("may drop it as well: VPC_BPA"), "{}", found.text);
    // Where the log names reasons, and none here, it was not that; nor is it from within the VPC.
    with(&text, &format!("{log} reason=-"), "SECURITY_GROUP PROVEN or=-");
    with(&text, "> eni-b in tcp 10.0.1.10:51000 10.0.2.20:22 2 REJECT 0", "SECURITY_GROUP PROVEN or=-");
}

#[test]
fn an_exclusion_that_is_there_is_told_and_changed() {
    // 8.9: mode, exclusions covering the VPC or subnet. A subnet has one.
    let text = two(&format!("{OPEN}{GROUPS_OPEN}bpa subnet-2 allow-egress"));
    let mut network = Fixture::new(&text).network();
    let exclusion = BpaExclusion {
        id: "vpcbpa-exclude-1".into(),
        resource_id: Some("subnet-2".into()),
        mode: Some("allow-egress".into()),
        state: Some("create-complete".into()),
    };
    network.bpa_exclusions.put(exclusion.id.clone(), Timeline::always(exclusion));
    network.finish();
    let log = "> eni-b in tcp 198.51.100.77:51000 10.0.2.20:22 2 REJECT 0";
    let found = judge(&Case { network: Some(network), log, skipdata: None }, "VPC_BPA");
    assert_eq!(
        commands(&found),
        ["aws ec2 modify-vpc-block-public-access-exclusion --exclusion-id vpcbpa-exclude-1 \
          --internet-gateway-exclusion-mode allow-bidirectional"]
    );
    let told = "its exclusion vpcbpa-exclude-1 of subnet-2 has allow-egress";
    assert!(found.text.contains(told), "{}", found.text);
}

#[test]
fn what_begins_inside_is_let_out_by_the_exclusion_that_does_no_more() {
    // 8.9: allow-egress suffices for what is outbound only. From block-ingress it excludes nothing.
    let log = "> eni-b out tcp 10.0.2.20:51000 198.51.100.77:443 2 REJECT 0";
    for (mode, exclusion) in
        [("block-bidirectional", "allow-egress"), ("block-ingress", "allow-bidirectional")]
    {
        let text = format!("{OPEN}{GROUPS_OPEN}bpa subnet-2 {mode}\nroute subnet-2 0.0.0.0/0 igw-1");
        let found = with(&two(&text), log, "VPC_BPA");
        assert!(commands(&found)[0].ends_with(exclusion), "{mode}: {:?}", found.fixes);
    }
}

#[test]
fn a_rule_that_was_taken_away_is_told() {
    let network = with_history("sg-b in tcp 22 0.0.0.0/0", "sg-b in tcp 443 10.0.0.0/8");
    let log = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 REJECT 1200";
    let found = judge(&Case { network: Some(network), log, skipdata: None }, "SECURITY_GROUP");
    let told = "an earlier version of the configuration let it pass: group sg-b inbound rule allow tcp 22 from 0.0.0.0/0, known until";
    assert!(found.text.contains(told), "{}", found.text);
    let network = with_history("sg-b in tcp 80 0.0.0.0/0", "sg-b in tcp 443 10.0.0.0/8");
    let found = judge(&Case { network: Some(network), log, skipdata: None }, "SECURITY_GROUP");
    assert!(!found.text.contains("earlier version"), "{}", found.text);
}

#[test]
fn no_entry_is_proposed_to_a_list_that_can_have_no_more() {
    use crate::attribute::{AddedEntries, list_fix};
    use crate::rules::fixture::{Fixture, packet};
    // 3.2: 40 entries are the most, whatever the quota.
    let of = |count: u32| {
        let entries: String =
            (1..=count).map(|number| format!("acl-1 in {} deny tcp 22 10.0.0.0/8\n", number * 10)).collect();
        let text = format!(
            "vpc vpc-1 10.0.0.0/16\nsubnet subnet-1 vpc-1 10.0.1.0/24\nnacl acl-1 vpc-1 subnet-1\n{entries}\
             eni eni-a subnet-1 10.0.1.10 groups="
        );
        let network = Fixture::new(&text).network();
        let mut engine = crate::rules::Engine::of_now(&network);
        let rules = engine.interface("eni-a", crate::network::View { at: 0, after: false }).unwrap();
        let compiled = rules.acl.as_ref().unwrap();
        let packet = packet("in tcp 22 from 10.0.9.9");
        list_fix(&network, compiled, &packet, 10, false, &mut AddedEntries::default()).unwrap()
    };
    assert!(!of(39).is_advice);
    let full = of(40);
    assert!(full.is_advice && full.command.is_empty(), "{}", full.text);
}

#[test]
fn a_list_at_its_quota_is_told_to_be() {
    // 8.9: check the quota of 20 entries.
    let entries = |count: u32| -> String {
        (1..=count).map(|at| format!("acl-2 in {at} allow tcp 443 198.51.{at}.0/24\n")).collect()
    };
    let log = "> eni-b in tcp 10.9.0.7:51000 10.0.2.20:443 2 REJECT 0";
    for (count, full) in [(19, false), (20, true)] {
        let text = two(&format!("{}acl-2 out 100 allow all 0.0.0.0/0\n{GROUPS_OPEN}", entries(count)));
        let found = with(&text, log, "NACL NACL_DEFAULT_DENY");
        assert_eq!(found.text.contains("at its quota of 20 entries"), full, "{}", found.text);
    }
}

#[test]
fn what_was_accepted_before_is_no_scan_and_untracked_is_told() {
    let found = cut_by_the_end_of_its_rule();
    assert!(found.text.contains("left the connection untracked"), "{}", found.text);
    assert!(found.text.contains("an earlier version of the configuration let it pass"), "{}", found.text);
    assert!(!found.text.contains("scans"), "{}", found.text);
}

#[test]
fn what_comes_and_goes_with_its_address_is_named_by_its_group() {
    // 8.9: the peer's group, if the path preserves references: within the VPC it does.
    let log = "> eni-b in tcp 10.0.1.50:51000 10.0.2.20:8080 2 REJECT 0";
    let with_peer = |more: &str| {
        with(
            &two(&format!("{OPEN}sg-lb\neni eni-lb subnet-1 10.0.1.50 groups=sg-lb {more}")),
            log,
            "SECURITY_GROUP",
        )
    };
    let found = with_peer("description=ELB app/web/50dc6c495c0c9188");
    let wanted = "'IpProtocol=tcp,FromPort=8080,ToPort=8080,UserIdGroupPairs=[{GroupId=sg-lb}]'";
    assert!(commands(&found)[0].ends_with(wanted), "{:?}", found.fixes);
    let found = with_peer("");
    assert!(commands(&found)[0].contains("CidrIp=10.0.1.50/32"), "{:?}", found.fixes);
    let told = "a rule for sg-lb, which 10.0.1.50 carries, would outlast its address";
    assert!(found.text.contains(told), "{}", found.text);
}

#[test]
fn the_nearest_of_several_ports_is_the_nearest() {
    let network = two(&format!(
        "{OPEN}sg-b in udp 5060 0.0.0.0/0\nsg-b in udp 10000-19999 0.0.0.0/0\nsg-b in udp 53 0.0.0.0/0"
    ));
    let log = "> eni-b in udp 198.51.100.7:51000 10.0.2.20:20000 - REJECT 0";
    let found = with(&network, log, "SECURITY_GROUP");
    assert!(found.text.contains("nearest: group sg-b inbound rule allow udp 10000-19999"), "{}", found.text);
}

#[test]
fn fixes_of_two_records_may_share_a_number() {
    // Each record is judged alone, and its row is the same whatever else is asked for: numbers that differ among the rows of one answer
    // would hang on which rows these are, and on their order.
    let network = two(
        "acl-2 in 100 allow tcp 443 10.0.0.0/8\nacl-2 out 100 allow all 0.0.0.0/0\nsg-b in all 0.0.0.0/0",
    );
    let fix = |remote: &str| {
        let found =
            with(&network, &format!("> eni-b in tcp {remote}:51000 10.0.2.20:8080 2 REJECT 0"), "NACL");
        assert!(commands(&found)[0].contains("--rule-number 110 "), "{:?}", found.fixes);
    };
    fix("10.9.0.7");
    fix("10.9.0.8");
}

#[test]
fn a_fix_without_a_known_port_names_all_ports() {
    // Fragments show 0 for both ports; EC2 takes neither an entry nor a rule for TCP without ports.
    let lists = "acl-2 in 90 deny tcp 0-65535 10.9.0.0/16\nacl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";
    let found =
        with(&two(lists), "> eni-b in tcp 10.9.0.7:0 10.0.2.20:0 - REJECT 0", "NACL NACL_EXPLICIT_DENY");
    let list = "--protocol 6 --port-range From=0,To=65535 --cidr-block 10.9.0.7/32 --rule-action allow";
    assert!(commands(&found)[0].ends_with(list), "{:?}", found.fixes);
    assert!(found.fixes[0].text.contains("for all ports, since none is known"), "{:?}", found.fixes);
    let open = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";
    let found = with(&two(open), "> eni-b in udp 10.9.0.7:0 10.0.2.20:0 - REJECT 0", "SECURITY_GROUP");
    assert!(commands(&found)[0].contains("IpProtocol=udp,FromPort=0,ToPort=65535,"), "{:?}", found.fixes);
}
