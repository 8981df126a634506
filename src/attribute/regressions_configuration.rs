//! Verdicts that were wrong once by what was made of the configuration; as `regressions`.

use super::Explanation;
use super::regressions::{SYN, among, changing};
use super::tests::{ALL_OPEN, Case, OPEN, judge, two, with};
use crate::network::*;
use crate::rules::fixture::Fixture;

#[test]
fn captures_around_it_tell_that_a_flow_was_untracked() {
    // T18 and 2.2: an untracked flow has no idle timeout and no close; what stops it is the rule. Equal captures hold between.
    let all = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0";
    let open = format!("{all}\nsg-b in tcp 22 0.0.0.0/0\nsg-b in udp 53 0.0.0.0/0");
    let versions = [(-90_000, open.as_str()), (-1, &open), (0, all), (90_000, all)];
    let mut network = changing(Origin::Snapshot, &versions);
    let flow = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -600
        eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT -600
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200";
    among(&network, flow, "SECURITY_GROUP STRONG SG_HAS_NO_RULES");
    let query = "eni-b in udp 203.0.113.7:51000 10.0.2.20:53 - ACCEPT -100
        eni-b out udp 10.0.2.20:53 203.0.113.7:51000 - ACCEPT -100
        > eni-b in udp 203.0.113.7:51000 10.0.2.20:53 - REJECT 1200";
    among(&network, query, "SECURITY_GROUP STRONG SG_HAS_NO_RULES");
    // What goes over a NAT gateway is tracked whatever the rules say.
    let routed = Fixture::new(&two("route subnet-2 0.0.0.0/0 nat-1")).network();
    network.route_tables = routed.route_tables;
    network.finish();
    among(&network, flow, "STALE_CONNECTION WEAK or=SECURITY_GROUP+CONFIG_MISMATCH");
}

#[test]
fn by_elimination_nothing_is_sure_where_the_log_may_have_named_the_reason() {
    // Rows 22 and 23 are of formats without `reject-reason`; one of version 9 or later has it or not, and `-` looks the same.
    let network = two(&format!("{ALL_OPEN}bpa subnet-2 block-bidirectional"));
    let syn = |reason: &str| format!("> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0{reason}");
    with(&network, &syn(""), "VPC_BPA STRONG BY_ELIMINATION or=-");
    with(&network, &syn(" reason=?"), "VPC_BPA WEAK BY_ELIMINATION or=CONFIG_MISMATCH");
    with(&network, &syn(" reason=-"), "CONFIG_MISMATCH WEAK");
}

#[test]
fn a_record_without_a_time_is_judged_by_itself_alone() {
    // Which version of the configuration was in force is not known, nor which records are of its time.
    let network = two("acl-2 in 100 deny all 0.0.0.0/0");
    let syn = "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    with(&network, &format!("> {syn}"), "NACL_AND_SECURITY_GROUP PROVEN");
    let accepted = syn.replace("REJECT", "ACCEPT");
    for before in ["", &accepted] {
        let log = format!("{before}\n> {syn} time=-");
        with(&network, &log, "UNDETERMINED NONE or=NACL+SECURITY_GROUP");
    }
    with(&network, &format!("> {syn} time=- reason=BPA"), "VPC_BPA PROVEN LOG_REASON_FIELD");
}

#[test]
fn without_the_subnets_blocks_its_interfaces_tell_who_is_in_it() {
    // 1.2 row a: no list inside a subnet, of either family; 8.3: where it cannot be told, a deny is open.
    let network = "
        vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
        subnet subnet-1 vpc-1
        subnet subnet-2 vpc-1 10.0.2.0/24 2001:db8:1:2::/64
        eni eni-a subnet-1 10.0.1.10 2001:db8:1:1::10 groups=sg-1
        eni eni-b subnet-1 10.0.1.60 2001:db8:1:1::60 groups=sg-1
        eni eni-c subnet-2 10.0.2.20 2001:db8:1:2::20 groups=sg-1
        nacl acl-1 vpc-1 subnet-1
        sg-1";
    let syn = |addr: &str| match addr.contains(':') {
        true => format!("> eni-a in tcp [{addr}]:50200 [2001:db8:1:1::10]:5432 2 REJECT 0"),
        false => format!("> eni-a in tcp {addr}:50200 10.0.1.10:5432 2 REJECT 0"),
    };
    for (inside, elsewhere, nobody, outside) in [
        ("10.0.1.60", "10.0.2.20", "10.0.1.99", "198.51.100.7"),
        ("2001:db8:1:1::60", "2001:db8:1:2::20", "2001:db8:1:1::99", "2001:db8:9::7"),
    ] {
        with(network, &syn(inside), "SECURITY_GROUP PROVEN INTRA_SUBNET or=-");
        with(network, &syn(elsewhere), "NACL_AND_SECURITY_GROUP PROVEN");
        with(network, &syn(nobody), "SECURITY_GROUP STRONG or=NACL");
        with(network, &syn(outside), "NACL_AND_SECURITY_GROUP PROVEN");
    }
}

#[test]
fn a_late_answer_is_no_surer_where_the_list_is_not_known() {
    // 8.5: to see that a timeout has passed, look for mirrors further back.
    let ntp = "eni-b out udp 10.0.2.20:123 203.0.113.7:123 - ACCEPT 0..1
        > eni-b in udp 203.0.113.7:123 10.0.2.20:123 - REJECT 100..110";
    let rules = "sg-b out all 0.0.0.0/0";
    with(&two(&format!("{OPEN}{rules}")), ntp, "SECURITY_GROUP WEAK or=STALE_CONNECTION");
    let unlisted = two(rules).replace("nacl acl-2 vpc-1 subnet-2", "");
    with(&unlisted, ntp, "SECURITY_GROUP WEAK or=NACL+STALE_CONNECTION");
}

/// The number of the entry to add.
fn number(explanation: &Explanation) -> u32 {
    let (_, rest) = explanation.fixes[0].command.split_once("--rule-number ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn versions_that_deny_by_different_entries_name_none_for_a_fact() {
    // 8.9: the entry to add has to come before what denies in the newest version.
    let open = "sg-b in all 0.0.0.0/0";
    let newer = format!("acl-2 in 15 deny all 203.0.113.0/24\nacl-2 in 400 allow all 0.0.0.0/0\n{open}");
    let network = changing(Origin::Snapshot, &[(-90_000, open), (4, open), (5, &newer), (90_000, &newer)]);
    let case = Case { network: Some(network), log: SYN, skipdata: None };
    let explanation = judge(&case, "NACL rule=- blocks=NACL");
    let text = &explanation.text;
    assert!(
        text.contains("rule 15 deny") && text.contains("or rule * of a version shortly before"),
        "{text}"
    );
    assert!(number(&explanation) < 15, "{}", explanation.fixes[0].command);
}

#[test]
fn an_entry_for_one_icmp_type_is_not_named_before_the_one_that_surely_denies() {
    // 8.3: `D(rule = e or pending)`; the type is invisible. The entry to add stands before both.
    let lines = "acl-2 in 40 deny icmp 0 0.0.0.0/0\nsg-b in all 0.0.0.0/0";
    let log = "> eni-b in icmp 203.0.113.7 10.0.2.20 - REJECT 0";
    let explanation = with(&two(lines), log, "NACL PROVEN NACL_DEFAULT_DENY rule=32767");
    assert!(explanation.text.contains("or rule 40 before it, which may match"), "{}", explanation.text);
    assert!(number(&explanation) < 40, "{}", explanation.fixes[0].command);
}

#[test]
fn what_is_open_is_not_said_to_match_nothing() {
    // T14: never "no matching rule".
    let lines = format!("{OPEN}sg-b in tcp 9000 123456789012/sg-far");
    let log = "> eni-b in tcp 10.77.4.9:51000 10.0.2.20:9000 2 REJECT 0";
    let text = with(&two(&lines), log, "SECURITY_GROUP BY_ELIMINATION").text;
    assert!(text.contains("no inbound rule of sg-b surely matches; not decidable: group sg-b"), "{text}");
    assert!(!text.contains("no rule of the groups allows"), "{text}");
    let other = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0 reason=QUOTA";
    assert!(with(&two(&lines), other, "OTHER_REASON PROVEN").text.contains("reject-reason QUOTA"));
}

#[test]
fn without_routes_the_other_list_may_apply_towards_a_gateway() {
    // 1.2, last paragraph and row c: the inbound list on the interface's own address.
    let network = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        eni eni-a subnet-1 10.0.1.10 groups=sg-1
        eni eni-tgw subnet-1 10.0.1.5 groups= type=transit_gateway
        nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 deny all 10.0.1.0/24
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1";
    let syn = "> eni-a out tcp 10.0.1.10:50000 10.9.1.1:443 2 REJECT 0";
    with(network, syn, "SECURITY_GROUP STRONG or=NACL"); // 19
    with(
        &network.replace("sg-1\"", "").replace("        sg-1", "sg-1 out all 10.0.0.0/8"),
        syn,
        "NACL BY_ELIMINATION",
    ); // 17
    // Where the inbound list lets the own address pass, both ways come to the same.
    let open = network.replace("in 100 deny", "in 100 allow");
    with(&open, syn, "SECURITY_GROUP PROVEN or=-");
}

#[test]
fn an_unreadable_rule_leaves_nothing_to_the_list_that_lets_it_pass() {
    let mut fixture = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 443 203.0.113.0/24")));
    for rule in &mut fixture.groups.get_mut("sg-b").unwrap().rules {
        rule.remote = Remote::Unreadable("203.0.113/24".into());
    }
    let case = Case { network: Some(fixture.network()), log: SYN, skipdata: None };
    judge(&case, "UNDETERMINED CONFIG_MISSING or=SECURITY_GROUP");
}

#[test]
fn block_public_access_does_not_reach_what_is_inside() {
    // Row 22 asks for a public remote; 5.1: not private paths. VPC addresses of IPv6 are global, and blocks may be any.
    let network = "
        vpc vpc-1 10.0.0.0/16 11.0.0.0/16 2600:1f18:a00::/56
        vpc vpc-2 10.2.0.0/16 2600:1f18:b00::/56
        subnet subnet-1 vpc-1 10.0.1.0/24 2600:1f18:a00:1::/64
        subnet subnet-2 vpc-1 11.0.2.0/24 2600:1f18:a00:2::/64
        eni eni-a subnet-1 10.0.1.10 2600:1f18:a00:1::10 groups=sg-1
        eni eni-b subnet-2 11.0.2.20 2600:1f18:a00:2::20 groups=sg-1
        nacl acl-1 vpc-1 subnet-1 subnet-2
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 in 101 allow all ::/0
        peering pcx-1 vpc-1 vpc-2
        bpa subnet-1 block-bidirectional
        sg-1 in all 0.0.0.0/0
        sg-1 in all ::/0";
    let v4 = |remote: &str| format!("> eni-a in tcp {remote}:50000 10.0.1.10:443 2 REJECT 0");
    let v6 = |remote: &str| format!("> eni-a in tcp [{remote}]:50000 [2600:1f18:a00:1::10]:443 2 REJECT 0");
    for inside in [v4("11.0.2.20"), v6("2600:1f18:a00:2::20"), v6("2600:1f18:b00:1::20")] {
        with(network, &inside, "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE"); // 28
    }
    let routed = format!("{network}\nroute subnet-1 9.0.0.0/8 vgw-1");
    with(&routed, &v4("9.9.9.9"), "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE");
    for outside in [v4("8.8.8.8"), v6("2600:1f18:c00:1::20")] {
        with(network, &outside, "VPC_BPA STRONG BY_ELIMINATION"); // 22
    }
}

#[test]
fn a_reference_goes_by_the_path_that_the_routes_take() {
    // 2.4: over a transit gateway with unknown settings maybe, not supported no, supported by it and both attachments yes; a
    // peering connection that no route uses says nothing.
    let network = |lines: &str, both: &str| {
        let mut fixture = Fixture::new(&format!(
            "vpc vpc-1 10.0.0.0/16
             vpc vpc-2 10.1.0.0/16
             subnet subnet-1 vpc-1 10.0.1.0/24
             subnet subnet-2 vpc-2 10.1.2.0/24
             eni eni-b subnet-1 10.0.1.20 groups=sg-b
             eni eni-c subnet-2 10.1.2.30 groups=sg-c
             sg-c
             nacl acl-1 vpc-1 subnet-1
             acl-1 in 100 allow all 0.0.0.0/0
             acl-1 out 100 allow all 0.0.0.0/0
             peering pcx-1 vpc-1 vpc-2
             attachment tgw-attach-1 tgw-1 vpc-1 subnet-1
             attachment tgw-attach-2 tgw-1 vpc-2 subnet-2
             sg-b in tcp 443 sg-c
             {lines}"
        ));
        for attachment in fixture.attachments.values_mut() {
            attachment.security_group_referencing = Some("enable".to_owned());
            attachment.gateway_referencing = Some(both.to_owned()).filter(|both| !both.is_empty());
        }
        fixture.network()
    };
    let there = "route subnet-2 10.0.0.0/16 tgw-1";
    let syn = "> eni-b in tcp 10.1.2.30:51000 10.0.1.20:443 2 REJECT 0";
    let back = "route subnet-1 10.1.0.0/16 tgw-1";
    among(&network(&format!("{there}\n{back}"), ""), syn, "SECURITY_GROUP WEAK BY_ELIMINATION");
    among(&network(&format!("{there}\n{back}"), "disable"), syn, "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
    among(&network(&format!("{there}\n{back}"), "enable"), syn, "CONFIG_MISMATCH WEAK");
    // By the peering connection it is a member.
    let peered = "route subnet-2 10.0.0.0/16 pcx-1\nroute subnet-1 10.1.0.0/16 pcx-1";
    among(&network(peered, ""), syn, "CONFIG_MISMATCH WEAK");
    // Where only the way back is known nothing is sure.
    among(&network(back, ""), syn, "SECURITY_GROUP WEAK BY_ELIMINATION");
}

#[test]
fn what_begins_inside_is_blocked_at_an_internet_gateway_too() {
    // 5.1: block-ingress still lets what begins inside pass through NAT and egress-only gateways, and through nothing else.
    let network = |target: &str| {
        two(&format!("{ALL_OPEN}bpa subnet-2 block-ingress\nroute subnet-2 0.0.0.0/0 {target}"))
    };
    let syn = "> eni-b out tcp 10.0.2.20:51000 198.51.100.7:443 2 REJECT 0";
    with(&network("igw-1"), syn, "VPC_BPA STRONG BY_ELIMINATION");
    with(&network("nat-1"), syn, "CONFIG_MISMATCH WEAK");
}

#[test]
fn what_is_recorded_once_a_day_proves_nothing() {
    // 6.8: DAILY hides intermediate states; 8.1: PROVEN needs a configuration known to be in force.
    let mut network = Fixture::new(&two(ALL_OPEN)).network();
    let closed = Fixture::new("sg-b in tcp 22 0.0.0.0/0").groups.remove("sg-b").unwrap();
    let put = |network: &mut Network, daily| {
        let reading = |at| {
            let at = Some(super::tests::NOON + at);
            Observation { daily, ..Observation::new(at, Origin::History, Some(closed.clone())) }
        };
        network.groups.put("sg-b".into(), Timeline::new(vec![reading(-90_000), reading(40_000)]));
        network.finish();
    };
    let syn = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    put(&mut network, false);
    among(&network, syn, "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
    put(&mut network, true);
    among(&network, syn, "SECURITY_GROUP STRONG SG_NO_MATCHING_RULE");
}

#[test]
fn years_after_the_last_item_of_aws_config_nothing_is_proven() {
    // 8.1: PROVEN needs a configuration known to be in force over `[start - 60, end + 60]`. History tells of changes only as
    // long as it was written on.
    let mut network = Fixture::new(&two(ALL_OPEN)).network();
    let closed = Fixture::new("sg-b in tcp 22 0.0.0.0/0").groups.remove("sg-b").unwrap();
    let syn = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    let noon = super::tests::NOON;
    for (written_until, expected) in [
        (400, "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE"),
        (-60, "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE"),
        (-61, "SECURITY_GROUP STRONG SG_NO_MATCHING_RULE"),
        (-90_000_000, "SECURITY_GROUP STRONG SG_NO_MATCHING_RULE"),
    ] {
        let reading = Observation::new(Some(noon - 95_000_000), Origin::History, Some(closed.clone()));
        let reading = Observation { recorded_until: noon + written_until, ..reading };
        network.groups.put("sg-b".into(), Timeline::new(vec![reading]));
        network.finish();
        let text = among(&network, syn, expected);
        if written_until < -100 {
            assert!(text.contains("known to hold until 1041 d 16 h before the record"), "{text}");
        }
    }
}

/// The two subnets, where acl-2 is the VPC's default list, names no subnet, and was captured without word of others.
fn with_a_default_list_alone(lines: &str) -> Network {
    let text = two(lines).replace("nacl acl-2 vpc-1 subnet-2", "nacl acl-2 vpc-1 default");
    let mut fixture = Fixture::new(&text);
    let list = fixture.acls.remove("acl-2").unwrap();
    let mut network = fixture.network();
    let reading = Observation { part: true, ..Observation::new(Some(0), Origin::History, Some(list)) };
    network.acls.put("acl-2".into(), Timeline::new(vec![reading]));
    network.finish();
    network
}

#[test]
fn a_default_list_that_may_not_be_the_subnets_decides_weakly_and_says_why() {
    // 3.2 and 8.3: without an association, and without a capture of all lists, N is U; the default list is a guess.
    let allowed = "sg-b in tcp 443 0.0.0.0/0";
    let network = with_a_default_list_alone(&format!("acl-2 in 90 deny all 203.0.113.7/32\n{OPEN}{allowed}"));
    let text = among(&network, SYN, "NACL WEAK NACL_EXPLICIT_DENY blocks=NACL");
    assert!(text.contains("acl-2 inbound rule 90") && text.contains("serves subnet-2 is supposed"), "{text}");
    // What drops it whatever the list says is as sure as without it (row 18).
    let network = with_a_default_list_alone(OPEN);
    among(&network, SYN, "SECURITY_GROUP STRONG SG_HAS_NO_RULES blocks=SECURITY_GROUP or=NACL");
    // Both pass it, and so a list that is not known does not (row 17); one that may not be the subnet's is no wrong
    // configuration for that (8.10: N is U).
    let network = with_a_default_list_alone(&format!("{OPEN}{allowed}"));
    among(&network, &format!("{SYN} reason=-"), "NACL WEAK BY_ELIMINATION or=-");
    let late = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT -300
        eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 1 ACCEPT -200
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 16 REJECT 0";
    among(&network, late, "STALE_CONNECTION WEAK AFTER_CLOSE");
    // Row 16, were it known that the list lets it pass.
    let network = with_a_default_list_alone(&format!("{OPEN}sg-b in tcp 443 pl-lost"));
    among(&network, SYN, "SECURITY_GROUP WEAK BY_ELIMINATION or=NACL");
}

#[test]
fn an_unasked_syn_ack_may_belong_to_no_state_where_the_list_is_not_known() {
    // Row 17 by a rule that allows it, while rows 26 and 29 hold against such packets that no state is theirs.
    let network = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-2 vpc-1 10.0.2.0/24
        eni eni-b subnet-2 10.0.2.20 groups=sg-b
        sg-b in all 0.0.0.0/0";
    let log = "> eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 18 REJECT 0 reason=-";
    with(network, log, "NACL WEAK BY_ELIMINATION or=STALE_CONNECTION");
    let syn = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0 reason=-";
    with(network, syn, "NACL STRONG BY_ELIMINATION or=-");
}
