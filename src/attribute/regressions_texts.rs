//! What explanations told wrongly once, or not at all (spec 8.9); as `regressions`.

use super::Explanation;
use super::regressions::{SYN, among, changing};
use super::tests::{ALL_OPEN, Case, NOON, OPEN, judge, two, with, with_history, without};
use crate::network::{Network, NetworkInterface, Observation, Origin, Timeline};
use crate::rules::fixture::Fixture;

fn commands(found: &Explanation) -> Vec<&str> {
    found.fixes.iter().map(|fix| fix.command.as_str()).collect()
}

#[test]
fn an_untracked_flow_has_not_timed_out() {
    // 2.2: there is no idle timeout, so that row 25 says nothing of it.
    let network = two(&format!("{ALL_OPEN}sg-b out all 0.0.0.0/0"));
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT -440000
        eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 18 ACCEPT -440000
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 0 REJECT 0";
    let found = with(&network, log, "STALE_CONNECTION WEAK OUT_OF_STATE or=CONFIG_MISMATCH");
    assert!(!found.text.contains("keepalives") && found.text.contains("untracked"), "{}", found.text);
}

#[test]
fn keepalives_are_no_advice_after_a_close() {
    let network = two(&format!("{OPEN}sg-b in tcp 443 10.0.0.0/8"));
    let log = "eni-b in tcp 10.9.0.7:51000 10.0.2.20:443 3 ACCEPT -300
        eni-b out tcp 10.0.2.20:443 10.9.0.7:51000 19 ACCEPT -300
        > eni-b out tcp 10.0.2.20:443 10.9.0.7:51000 4 REJECT 0";
    let found = with(&network, log, "STALE_CONNECTION AFTER_CLOSE");
    assert!(!found.text.contains("keepalives") && !found.text.contains("timeout"), "{}", found.text);
}

#[test]
fn what_no_log_shows_is_not_missing_in_the_configuration() {
    // 8.9: the one datum that would decide.
    let network = two("acl-2 in 100 allow icmp 8 0.0.0.0/0\nsg-b in icmp 8 0.0.0.0/0");
    let log = "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0";
    let found = with(&network, log, "UNDETERMINED NONE !CONFIG_MISSING");
    assert!(found.would_decide.unwrap().starts_with("the ICMP type"));
    assert!(found.text.contains("either NACL or SECURITY_GROUP"), "{}", found.text);
    let network = two("acl-2 in 100 allow tcp 443 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0");
    let log = "> eni-b in tcp 198.51.100.7:0 10.0.2.20:0 - REJECT 0";
    let found = with(&network, log, "UNDETERMINED NONE !CONFIG_MISSING");
    assert!(found.would_decide.unwrap().starts_with("the ports, which fragments do not have"));
    let found = with(&network, &format!("{log} ports=-"), "UNDETERMINED NONE !CONFIG_MISSING");
    assert_eq!(found.would_decide.as_deref(), Some("srcport and dstport in the log format"));
}

#[test]
fn an_entry_that_allows_is_not_blamed() {
    // The groups let it pass, so the list dropped it: entry 90 allows, so it was the default.
    let network = two("acl-2 in 90 allow icmp 8 0.0.0.0/0\nsg-b in icmp 0.0.0.0/0");
    let log = "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0";
    let found = with(&network, log, "NACL BY_ELIMINATION rule=32767");
    assert!(!found.text.contains("rule 90"), "{}", found.text);
}

#[test]
fn the_fix_for_a_response_opens_its_port() {
    let network = two("acl-2 in 100 allow all 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0");
    let log = "eni-b in tcp 198.51.100.7:700 10.0.2.20:443 2 ACCEPT -1
        > eni-b out tcp 10.0.2.20:443 198.51.100.7:700 18 REJECT 0";
    let found = with(&network, log, "NACL NACL_DEFAULT_DENY");
    assert!(commands(&found)[0].contains("From=700,To=65535"), "{:?}", found.fixes);
}

#[test]
fn no_rule_is_proposed_for_a_response() {
    // 8.9: no rule for the response is needed; and backscatter is wanted by nobody.
    let network = two(OPEN);
    let inbound = "> eni-b in tcp 198.51.100.7:443 10.0.2.20:51111 18 REJECT 0";
    let found = with(&network, inbound, "SECURITY_GROUP");
    assert_eq!(commands(&found), Vec::<&str>::new());
    let outbound = "> eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 18 REJECT 0";
    assert_eq!(commands(&with(&network, outbound, "SECURITY_GROUP")), Vec::<&str>::new());
    // A request of the internet gets one, and a word on scans.
    let found = with(&network, SYN, "SECURITY_GROUP");
    assert!(found.fixes.len() == 1 && found.text.contains("scans need no rule"), "{}", found.text);
}

#[test]
fn the_capture_is_told_by_its_time() {
    // NOON is 2024-05-02T12:00:00Z.
    let versions = [(-21_600, "acl-2 in 100 allow all 0.0.0.0/0")];
    let text = among(&changing(Origin::Snapshot, &versions), SYN, "SECURITY_GROUP");
    assert!(text.contains("6 h away from the record, before it, at 2024-05-02T06:00:00Z"), "{text}");
}

#[test]
fn the_version_that_denies_is_named() {
    let open = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";
    let allows = format!("{open}sg-b in tcp 443 0.0.0.0/0");
    let network = changing(Origin::History, &[(-90_000, open), (5, &allows)]);
    let text = among(&network, SYN, "CONFIG_MISMATCH CONFIG_CHANGED_IN_WINDOW");
    let wanted = "sg-b has versions captured at 2024-05-01T11:00:00Z and 2024-05-02T12:00:05Z: this is of the version of \
        2024-05-01T11:00:00Z";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn a_rule_that_was_added_meanwhile_is_not_proposed_again() {
    let open = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";
    let allows = format!("{open}sg-b in tcp 443 0.0.0.0/0");
    let network = changing(Origin::History, &[(-90_000, open), (600, &allows)]);
    let found = judge(&Case { network: Some(network), log: SYN, skipdata: None }, "SECURITY_GROUP PROVEN");
    assert_eq!(commands(&found), Vec::<&str>::new());
    let wanted = "lets it pass already: group sg-b inbound rule allow tcp 443 from 0.0.0.0/0, since 2024-05-02T12:10:00Z";
    assert!(found.text.contains(wanted), "{}", found.text);
}

#[test]
fn rules_that_were_removed_are_looked_up_by_the_groups_history_alone() {
    // T18 and S7a: the interface and the rest are of a capture an hour later, the groups of AWS Config.
    let open = format!("{OPEN}sg-b out all 0.0.0.0/0\n");
    let allows = format!("{open}sg-b in tcp 22 0.0.0.0/0");
    let mut network = changing(Origin::History, &[(-90_000, &allows), (0, &open)]);
    let interface = network.interfaces.timeline("eni-b").unwrap().versions()[0].value.clone().unwrap();
    let seen = crate::network::Observation::new(
        Some(super::tests::NOON + 5000),
        Origin::Snapshot,
        Some((*interface).clone()),
    );
    network.interfaces.put("eni-b".into(), crate::network::Timeline::new(vec![seen]));
    network.finish();
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -600
        eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT -600
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200";
    among(&network, log, "SECURITY_GROUP STRONG");
}

#[test]
fn block_public_access_is_told_with_its_mode_and_an_exclusion() {
    let network = two(&format!("{ALL_OPEN}bpa subnet-2 block-bidirectional"));
    for reason in ["", " reason=BPA"] {
        let found = with(&network, &format!("{SYN}{reason}"), "VPC_BPA");
        assert!(found.text.contains("Block Public Access is block-bidirectional"), "{}", found.text);
        assert_eq!(
            commands(&found),
            ["aws ec2 create-vpc-block-public-access-exclusion --subnet-id subnet-2 \
              --internet-gateway-exclusion-mode allow-bidirectional"]
        );
    }
}

#[test]
fn without_a_configuration_no_version_of_it_is_spoken_of() {
    let log = "eni-b in tcp 203.0.113.7:52000 10.0.2.20:443 2 ACCEPT 0
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0";
    let text = without(log, "CONFIG_MISMATCH WEAK CONFIG_CHANGED_IN_WINDOW").text;
    assert!(text.contains("accepted the same traffic") && !text.contains("versions"), "{text}");
    let answer = "> eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 18 REJECT 0";
    let text = without(answer, "NACL RESPONSE_OF_ACCEPTED_FLOW").text;
    assert!(text.contains("look at the outbound list") && text.contains("51000"), "{text}");
}

#[test]
fn a_mismatch_names_what_lets_the_packets_pass() {
    let text = with(&two(ALL_OPEN), SYN, "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE").text;
    assert!(text.contains("it is let pass by nacl acl-2 inbound rule 100"), "{text}");
    assert!(!text.contains("was not the one in force"), "{text}");
    // Services that neither layer filters (2.7).
    let dns = "> eni-b out udp 10.0.2.20:51000 10.0.0.2:53 - REJECT 0";
    let found = with(&two(""), dns, "UNDETERMINED");
    assert!(
        found.text.contains("neither security groups nor network ACLs filter Amazon DNS"),
        "{}",
        found.text
    );
}

#[test]
fn a_list_that_does_not_apply_lets_nothing_pass() {
    // 1.2: both ends are in one subnet; the list denies the subnet's own block, and is not asked.
    let network =
        two("acl-2 in 90 deny all 10.0.2.0/24\nacl-2 in 100 allow all 0.0.0.0/0\nsg-b in icmp 8 0.0.0.0/0
        eni eni-c subnet-2 10.0.2.30 groups=sg-b");
    let log = "> eni-b in icmp 10.0.2.30 10.0.2.20 - REJECT 0";
    let found = with(&network, log, "SECURITY_GROUP WEAK BY_ELIMINATION");
    assert!(found.text.contains("no network ACL applies between its ends"), "{}", found.text);
    assert!(!found.text.contains("lets it pass"), "{}", found.text);
}

#[test]
fn an_entry_for_answers_stands_in_front_of_every_deny_of_its_ports() {
    // 8.9: a number below the denying rule. The answer's own port is dropped by the last entry, others of the range by 180.
    let network = two("acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow tcp 443 0.0.0.0/0
         acl-2 out 180 deny tcp 40000-41000 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0");
    let found = with(
        &network,
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 ACCEPT 0
         > eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 18 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY RESPONSE_OF_ACCEPTED_FLOW",
    );
    assert!(commands(&found)[0].contains("--rule-number 175 "), "{:?}", found.fixes);
}

#[test]
fn a_change_at_the_other_end_is_told_where_its_groups_decide() {
    let network = |rule: &str, before: &str, after: &str| {
        let mut network = Fixture::new(&two(&format!("{OPEN}{rule}"))).network();
        let client = network.interfaces.timeline("eni-a").unwrap().versions()[0].value.clone().unwrap();
        let version = |at: i64, group: &str| {
            let client = NetworkInterface { group_ids: vec![group.to_owned()], ..(*client).clone() };
            Observation::new(Some(NOON + at), Origin::History, Some(client))
        };
        let versions = vec![version(-90_000, before), version(5, after)];
        network.interfaces.put("eni-a".into(), Timeline::new(versions));
        network.finish();
        network
    };
    let log = "> eni-b in tcp 10.0.1.10:51000 10.0.2.20:443 2 REJECT 0";
    let text = among(&network("sg-b in tcp 443 sg-a", "sg-x", "sg-a"), log, "CONFIG_MISMATCH");
    let told = "eni-a, which holds 10.0.1.10, has versions captured at 2024-05-01T11:00:00Z and 2024-05-02T12:00:05Z: this is of \
                the version of 2024-05-01T11:00:00Z";
    assert!(text.contains(told), "{text}");
    // Where the rules name addresses its groups are no matter.
    let network = changing(
        Origin::History,
        &[(-90_000, OPEN), (5, "acl-2 in 100 allow all 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0")],
    );
    let text = among(&network, log, "CONFIG_MISMATCH");
    assert!(text.contains("sg-b has versions") && !text.contains("which holds"), "{text}");
}

#[test]
fn what_a_mismatch_is_can_be_told_of_many_records() {
    let told = |network: Network, log: &str, expected: &str| {
        let case = Case { network: Some(network), log, skipdata: None };
        judge(&case, expected);
        case.mismatch()
    };
    let open = Fixture::new(&two(ALL_OPEN)).network();
    assert_eq!(
        told(open.clone(), SYN, "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE").as_deref(),
        Some(
            "let pass by nacl acl-2 inbound rule 100 allow all traffic from 0.0.0.0/0 and group sg-b inbound rule allow all \
             traffic from 0.0.0.0/0"
        )
    );
    let changed = with_history("sg-b out all 0.0.0.0/0", "sg-b in tcp 443 0.0.0.0/0");
    let at_noon = SYN.trim_end_matches('0').to_owned() + "-1";
    assert_eq!(
        told(changed, &at_noon, "CONFIG_MISMATCH CONFIG_CHANGED_IN_WINDOW").as_deref(),
        Some("versions of the configuration around the records disagree")
    );
    assert_eq!(told(Fixture::new(&two(OPEN)).network(), SYN, "SECURITY_GROUP"), None);
}
