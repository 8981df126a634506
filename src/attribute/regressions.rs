//! Verdicts that were wrong once, each named for what broke; what is expected follows from the rows of the spec that stand
//! beside it.

use super::tests::{Case, NOON, OPEN, judge, record, two, with, without};
use super::{Confidence, Evidence, Verdict, decide};
use crate::network::*;
use crate::rules::Engine;
use crate::rules::fixture::Fixture;

/// Two subnets with one list; 10.0.2.20 and 10.0.2.30 in the second.
const ONE_LIST: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-a
    eni eni-b subnet-2 10.0.2.20 groups=sg-a
    eni eni-c subnet-2 10.0.2.30 groups=sg-a
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 50 deny tcp 22 0.0.0.0/0
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 50 deny tcp 22 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    sg-a in all 0.0.0.0/0
    sg-a out all 0.0.0.0/0";

#[test]
fn a_siblings_traffic_inside_its_subnet_says_nothing_of_the_list() {
    // 8.5: not when the sibling's traffic is intra-subnet.
    with(
        ONE_LIST,
        "eni-b in tcp 10.0.2.30:51000 10.0.2.20:22 2 ACCEPT 0
         > eni-a in tcp 10.0.2.30:51000 10.0.1.10:22 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=50",
    );
    with(
        ONE_LIST,
        "eni-c out tcp 10.0.2.30:51000 10.0.2.20:22 2 ACCEPT 0
         > eni-a out tcp 10.0.1.10:51000 10.0.2.20:22 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=50",
    );
    // Across the border of its subnet it does, in another subnet with the list too.
    let explanation = with(
        ONE_LIST,
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:22 2 ACCEPT 0
         > eni-a in tcp 198.51.100.7:51000 10.0.1.10:22 2 REJECT 0",
        "CONFIG_MISMATCH STRONG CONFIG_NOT_IN_FORCE",
    );
    assert!(explanation.text.contains("eni-b, under the same network ACL, accepted"), "{}", explanation.text);
}

#[test]
fn a_sibling_in_the_same_doubt_about_the_subnet_counts() {
    // 10.0.2.99 lies in the subnet and belongs to no known interface: whether the list applies is open, for both alike.
    let lines = ONE_LIST.replace("groups=sg-a\n    nacl", "groups=sg-none\n    nacl");
    let network = format!("{lines}\nsg-none");
    let record = "> eni-c in tcp 10.0.2.99:51000 10.0.2.30:22 2 REJECT 0";
    with(&network, record, "SECURITY_GROUP STRONG or=NACL"); // row 18
    let sibling = "eni-b in tcp 10.0.2.99:52000 10.0.2.20:22 2 ACCEPT 0";
    with(&network, &format!("{sibling}\n{record}"), "SECURITY_GROUP PROVEN or=-"); // row 13
    // An interface elsewhere under the list is not in the same doubt.
    let elsewhere = "> eni-a in tcp 10.0.2.99:51000 10.0.1.10:22 2 REJECT 0";
    with(&network, &format!("{sibling}\n{elsewhere}"), "NACL PROVEN rule=50");
}

/// eni-s with a primary and a secondary address; its list drops answers, its group lets requests out.
pub(super) const SECONDARY: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-s subnet-1 10.0.1.10 10.0.1.26 groups=sg-s
    nacl acl-1 vpc-1 subnet-1
    acl-1 out 100 allow all 0.0.0.0/0
    sg-s out all 0.0.0.0/0";

#[test]
fn an_answer_shows_the_primary_address_where_the_request_showed_the_secondary() {
    let request = "out tcp 10.0.1.26:40000 203.0.113.9:443 2 ACCEPT 0";
    let answer = "in tcp 203.0.113.9:443 10.0.1.10:40000 18 REJECT 0";
    // S4 and row 8: the group passes it by state. By the addresses of the packets, and by the configuration's.
    let with_packet = "pkt-src=10.0.1.26 pkt-dst=203.0.113.9";
    let answered = "pkt-src=203.0.113.9 pkt-dst=10.0.1.26";
    let log = format!("eni-s {request} {with_packet}\n> eni-s {answer} {answered}");
    with(SECONDARY, &log, "NACL PROVEN RESPONSE_OF_ACCEPTED_FLOW blocks=NACL or=-");
    without(&log, "NACL STRONG RESPONSE_OF_ACCEPTED_FLOW"); // L10
    let log = format!("eni-s {request}\n> eni-s {answer}");
    with(SECONDARY, &log, "NACL PROVEN RESPONSE_OF_ACCEPTED_FLOW blocks=NACL or=-");
    // Without flags and direction, as in version 2: row 11, since the 30 s of UDP cannot be told apart.
    with(
        SECONDARY,
        "eni-s ? udp 10.0.1.26:40001 198.51.100.53:53 - ACCEPT 0..0
         > eni-s ? udp 198.51.100.53:53 10.0.1.10:40001 - REJECT 0..0",
        "NACL PROVEN blocks=NACL or=SECURITY_GROUP",
    );
    // Where the packets' addresses differ, they are different flows: S5, row 9.
    with(
        SECONDARY,
        &format!("eni-s {request} {with_packet}\n> eni-s {answer} pkt-src=203.0.113.9 pkt-dst=10.0.1.10"),
        "NACL_AND_SECURITY_GROUP PROVEN",
    );
}

/// The server's group lets clients in, the list drops what leaves.
fn mute_server() -> String {
    two("acl-2 in 100 allow all 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0\nsg-b in udp 53 0.0.0.0/0")
}

#[test]
fn one_sides_fin_does_not_end_the_groups_tracking() {
    let opened = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT -600";
    let late = "> eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 0 REJECT 0";
    let closed =
        |flags: u8, at: i64| format!("eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 {flags} ACCEPT {at}");
    let log = |closing: &str| format!("{opened}\n{closing}\n{late}");
    with(
        &mute_server(),
        &log(&closed(1, -200)),
        "NACL STRONG NACL_DEFAULT_DENY blocks=NACL or=SECURITY_GROUP+STALE_CONNECTION",
    );
    // RST ends it; not yet in the record's own interval, within which the order cannot be told.
    let both = "NACL_AND_SECURITY_GROUP PROVEN AFTER_CLOSE first=SECURITY_GROUP";
    with(&mute_server(), &log(&closed(4, -200)), both);
    with(&mute_server(), &log(&closed(4, 0)), "NACL STRONG blocks=NACL or=SECURITY_GROUP+STALE_CONNECTION");
    let answered = "eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 1 ACCEPT -200";
    with(&mute_server(), &log(&format!("{}\n{answered}", closed(1, -200))), both);
    // Packets after the close show that it was none, or of a connection before.
    let again = format!("{}\n{}", closed(4, -400), closed(2, -200));
    with(&mute_server(), &log(&again), "NACL");
    // What the list lets pass was dropped for want of a state all the same: row 15.
    with(
        &two(&format!("{OPEN}sg-b in tcp 443 0.0.0.0/0")),
        &log(&closed(1, -200)),
        "STALE_CONNECTION STRONG AFTER_CLOSE",
    );
}

#[test]
fn answers_that_the_list_drops_keep_the_groups_state_alive() {
    // 1.1: what leaves passes the groups first, and no ACCEPT shows it. Row 12 instead of 10.
    let weaker = "NACL STRONG blocks=NACL first=UNKNOWN or=SECURITY_GROUP+STALE_CONNECTION";
    with(
        &mute_server(),
        "eni-b in udp 203.0.113.7:4000 10.0.2.20:53 - ACCEPT -400
         > eni-b out udp 10.0.2.20:53 203.0.113.7:4000 - REJECT 0",
        weaker,
    );
    with(
        &two("acl-2 in 100 allow all 0.0.0.0/0\nsg-b in udp 123 0.0.0.0/0"),
        "eni-b in udp 203.0.113.7:123 10.0.2.20:123 - ACCEPT -400
         > eni-b out udp 10.0.2.20:123 203.0.113.7:123 - REJECT 0",
        weaker,
    );
    // What comes in and is dropped by the list never reaches the groups: row 9 stands.
    with(
        &two("acl-2 out 100 allow all 0.0.0.0/0\nsg-b out udp 53 0.0.0.0/0"),
        "eni-b out udp 10.0.2.20:4000 203.0.113.7:53 - ACCEPT -400
         > eni-b in udp 203.0.113.7:53 10.0.2.20:4000 - REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN first=NACL",
    );
}

#[test]
fn older_packets_of_the_flow_make_a_stale_connection_possible() {
    let mut fixture = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 22 0.0.0.0/0")));
    fixture.interfaces.get_mut("eni-b").unwrap().tcp_established_timeout = Some(350);
    let network = fixture.network();
    let record = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - REJECT 0";
    let log = format!("eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - ACCEPT -2000\n{record}");
    let case = |log| Case { network: Some(network.clone()), log, skipdata: None };
    judge(&case(&log), "SECURITY_GROUP WEAK or=STALE_CONNECTION");
    judge(&case(record), "SECURITY_GROUP STRONG or=-"); // S14, row 14
}

fn observed<T>(at: i64, origin: Origin, value: T) -> Observation<T> {
    Observation::new(Some(NOON + at), origin, Some(value))
}

/// The two subnets, of which acl-2 and sg-b are given for each time: their lines and those of the rest.
pub(super) fn changing(origin: Origin, versions: &[(i64, &str)]) -> Network {
    let mut network = Fixture::new(&two("")).network();
    let read = |lines: &str| Fixture::new(&two(lines));
    let acls = versions.iter().map(|(at, lines)| observed(*at, origin, read(lines).acls["acl-2"].clone()));
    let groups = versions.iter().map(|(at, lines)| observed(*at, origin, read(lines).groups["sg-b"].clone()));
    network.acls.put("acl-2".into(), Timeline::new(acls.collect()));
    network.groups.put("sg-b".into(), Timeline::new(groups.collect()));
    network.finish();
    network
}

pub(super) const SYN: &str = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0";

pub(super) fn among(network: &Network, log: &str, expected: &str) -> String {
    judge(&Case { network: Some(network.clone()), log, skipdata: None }, expected).text
}

#[test]
fn a_version_that_denies_is_not_sure_while_another_may_have() {
    // Row 7: STRONG only if exactly one version denies. Of the first version only the group can have dropped it (row 16).
    let versions =
        [(-600, "acl-2 in 100 allow all 0.0.0.0/0\nsg-b in tcp 443 pl-lost"), (600, "sg-b in all 0.0.0.0/0")];
    let network = changing(Origin::Snapshot, &versions);
    among(&network, SYN, "CONFIG_MISMATCH WEAK CONFIG_CHANGED_IN_WINDOW blocks=NACL or=SECURITY_GROUP");
    // Two that deny, each by another layer: both are named.
    let versions = [(-600, "acl-2 in 100 allow all 0.0.0.0/0"), (600, "sg-b in all 0.0.0.0/0")];
    let network = changing(Origin::Snapshot, &versions);
    among(&network, SYN, "CONFIG_MISMATCH WEAK blocks=SECURITY_GROUP or=NACL");
    // One that denies and one that passes all.
    let versions =
        [(-600, "sg-b in all 0.0.0.0/0"), (600, "acl-2 in 100 allow all 0.0.0.0/0\nsg-b in all 0.0.0.0/0")];
    let network = changing(Origin::Snapshot, &versions);
    among(&network, SYN, "CONFIG_MISMATCH STRONG blocks=NACL or=-");
    // A packet of a flow that was seen before may have come late under the version that passes it (row 26).
    let late = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT -100
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 0 REJECT 0";
    among(&network, late, "CONFIG_MISMATCH WEAK blocks=NACL or=STALE_CONNECTION");
}

#[test]
fn a_verdict_does_not_depend_on_which_record_came_first() {
    // 8.1: captured at another time and no history, at most STRONG; 2.4: membership as of the record's time. One capture of
    // everything at noon, a record at noon and one a month later; the remote is nobody's at noon and may be anybody's then.
    let fixture = || Fixture::new(&two(&format!("{OPEN}\nsg-b in tcp 443 sg-other\nsg-other")));
    let mut network = fixture().network();
    for (id, interface) in fixture().interfaces {
        let seen = observed(0, Origin::Snapshot, interface);
        network.interfaces.put(id, Timeline::new(vec![seen]));
    }
    for (id, group) in fixture().groups {
        network.groups.put(id, Timeline::new(vec![observed(0, Origin::Snapshot, group)]));
    }
    network.finish();
    let evidence = Evidence { complete: true, covered_back: 1_000_000, ..Evidence::default() };
    let at = |start: i64| format!("eni-b in tcp 10.0.1.77:51000 10.0.2.20:443 2 REJECT {start}");
    let lines = [at(0), at(2_592_000), at(-2_592_000)];
    let judged = |engine: &mut Engine<'_>, line: &str| {
        let found = decide(&record(line), Some(engine), &evidence);
        (found.verdict, found.confidence, found.capture_distance)
    };
    let alone = lines.each_ref().map(|line| judged(&mut Engine::new(&network), line));
    let (group, strong, weak) = (Verdict::SecurityGroup, Confidence::Proven, Confidence::Weak);
    let month = Some(2_592_000);
    assert_eq!(alone, [(group, strong, Some(0)), (group, weak, month), (group, weak, month)]);
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
        let mut engine = Engine::new(&network);
        for nth in order {
            assert_eq!(judged(&mut engine, &lines[nth]), alone[nth], "{order:?}");
        }
    }
}

#[test]
fn equal_verdicts_keep_each_others_candidates_and_the_weakest_confidence() {
    let versions = [(-600, "sg-b in all 0.0.0.0/0"), (600, "sg-b in tcp 443 pl-lost")];
    let network = changing(Origin::Snapshot, &versions);
    among(&network, SYN, "NACL STRONG or=SECURITY_GROUP"); // rows 8 and 11
    let open = "acl-2 in 100 allow all 0.0.0.0/0";
    let (none, unknown) = (open.to_owned(), format!("{open}\nsg-b in tcp 443 pl-lost"));
    for versions in [[(-600, none.as_str()), (600, &unknown)], [(-600, &unknown), (600, &none)]] {
        among(&changing(Origin::Snapshot, &versions), SYN, "SECURITY_GROUP WEAK"); // rows 13 and 16
    }
}

#[test]
fn the_rule_in_force_at_the_records_time_is_named() {
    let versions = [
        (-90_000, "sg-b in all 0.0.0.0/0"),
        (0, "acl-2 in 50 deny all 203.0.113.0/24\nsg-b in all 0.0.0.0/0"),
    ];
    let network = changing(Origin::History, &versions);
    let at = |start: i64| SYN.replace(" REJECT 0", &format!(" REJECT {start}"));
    let text = among(&network, &at(30), "NACL STRONG NACL_EXPLICIT_DENY rule=50");
    assert!(text.contains("acl-2 inbound rule 50 deny"), "{text}");
    let text = among(&network, &at(-160), "NACL STRONG NACL_DEFAULT_DENY rule=32767");
    assert!(text.contains("acl-2 inbound rule * deny"), "{text}");
    among(&network, &at(-600), "NACL PROVEN rule=32767");
}

#[test]
fn accepts_from_before_a_change_contradict_nothing_after_it() {
    // 8.5: SAME_KEY and SIBLING prove something only for an unchanged list. Row 7 names the version that denies.
    let open = "acl-2 in 100 allow all 0.0.0.0/0\nsg-b in all 0.0.0.0/0";
    let network = changing(Origin::History, &[(-90_000, open), (0, "sg-b in all 0.0.0.0/0")]);
    let before = "eni-b in tcp 203.0.113.7:50000 10.0.2.20:443 2 ACCEPT -200..10";
    among(
        &network,
        &format!("{before}\n{SYN}"),
        "CONFIG_MISMATCH STRONG CONFIG_CHANGED_IN_WINDOW blocks=NACL",
    );
    // Beyond the window of the change the record stands alone; the ACCEPT began long before.
    let long = "eni-b in tcp 203.0.113.7:50000 10.0.2.20:443 2 ACCEPT -500..310";
    let later = SYN.replace(" REJECT 0", " REJECT 300");
    among(&network, &format!("{long}\n{later}"), "NACL PROVEN NACL_DEFAULT_DENY");
}

#[test]
fn the_entry_to_add_has_a_number_that_neither_family_uses() {
    // 6.4: one number serves one family; 8.9: at an unused number.
    let lines = format!("{OPEN}acl-2 in 110 allow tcp 22 0.0.0.0/0\nsg-b in tcp 443 ::/0");
    let syn = "> eni-b in tcp [2001:db8:9::7]:51000 [2001:db8:1:2::20]:443 2 REJECT 0";
    let explanation = with(&two(&lines), syn, "NACL PROVEN rule=32768");
    assert!(explanation.fixes[0].command.contains("--rule-number 120 "), "{}", explanation.fixes[0].command);
    let lines = "acl-2 in 5 allow tcp 22 0.0.0.0/0\nacl-2 in 10 deny all ::/0\nsg-b in tcp 443 ::/0";
    let explanation = with(&two(lines), syn, "NACL PROVEN rule=10");
    assert!(explanation.fixes[0].command.contains("--rule-number 9 "), "{}", explanation.fixes[0].command);
}

#[test]
fn an_exclusion_that_lets_out_leaves_what_comes_in_blocked() {
    let network = |exclusion: Option<&str>| {
        let mut network =
            Fixture::new(&two(&format!("{OPEN}sg-b in all 0.0.0.0/0\nsg-b out all 0.0.0.0/0"))).network();
        let options = BpaOptions { id: "a/r".into(), mode: Some("block-bidirectional".into()) };
        network.bpa_options.put("a/r".into(), Timeline::always(options));
        if let Some(mode) = exclusion {
            let exclusion = BpaExclusion {
                id: "x".into(),
                resource_id: Some("subnet-2".into()),
                mode: Some(mode.into()),
                state: Some("create-complete".into()),
            };
            network.bpa_exclusions.put("x".into(), Timeline::always(exclusion));
        }
        network.finish();
        network
    };
    let out = "> eni-b out tcp 10.0.2.20:51000 203.0.113.7:443 2 REJECT 0";
    let blocked = "VPC_BPA STRONG BY_ELIMINATION first=BPA"; // row 22
    let passed = "CONFIG_MISMATCH WEAK"; // row 28
    for (exclusion, of_in, of_out) in [
        (None, blocked, blocked),
        (Some("allow-egress"), blocked, passed),
        (Some("allow-bidirectional"), passed, passed),
    ] {
        among(&network(exclusion), SYN, of_in);
        among(&network(exclusion), out, of_out);
    }
}

#[test]
fn an_address_that_was_used_again_is_its_holders_of_the_time() {
    // 2.4: membership must be looked up at the record's time.
    let lines = "acl-2 in 100 allow all 0.0.0.0/0\nsg-b in tcp 5432 sg-g\nsg-g\nsg-n\n
        eni eni-new subnet-1 10.0.1.20 groups=sg-n\neni eni-old subnet-1 10.0.1.20 groups=sg-g";
    let record = |at: i64| format!("> eni-b in tcp 10.0.1.20:50000 10.0.2.20:5432 2 REJECT {at}");
    let network = |old: &[(i64, bool)], new: &[i64], origin: Origin| {
        let fixture = Fixture::new(&two(lines));
        let (first, second) = (fixture.interfaces["eni-old"].clone(), fixture.interfaces["eni-new"].clone());
        let mut network = fixture.network();
        let there = |(at, there): &(i64, bool)| Observation {
            value: there.then(|| first.clone()),
            ..observed(*at, origin, first.clone())
        };
        network.interfaces.put("eni-old".into(), Timeline::new(old.iter().map(there).collect()));
        let seen = new.iter().map(|at| observed(*at, origin, second.clone())).collect();
        network.interfaces.put("eni-new".into(), Timeline::new(seen));
        network.finish();
        network
    };
    // By AWS Config: the old one was deleted before the new one came. The reference matches at first (row 28), then not.
    let history = network(&[(-90_000, true), (1800, false)], &[2400], Origin::History);
    among(&history, &record(0), "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE");
    among(&history, &record(3600), "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
    // Captures of moments before and after: either may have held it, and the match is open (row 16).
    let captures = network(&[(-300, true)], &[5400, 9000], Origin::Snapshot);
    among(&captures, &record(0), "SECURITY_GROUP WEAK BY_ELIMINATION");
    among(&captures, &record(7000), "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE");
}

#[test]
fn an_accept_of_the_same_syn_ack_clears_the_list() {
    // A mirror that is no SYN: the interface's own RST. L10 would name the list that let the SYN-ACK pass before.
    without(
        "eni-b in tcp 203.0.113.7:443 10.0.2.20:5 18 ACCEPT -120
         eni-b out tcp 10.0.2.20:5 203.0.113.7:443 4 ACCEPT -120
         > eni-b in tcp 203.0.113.7:443 10.0.2.20:5 18 REJECT 0",
        "STALE_CONNECTION WEAK or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn an_untracked_flow_has_no_state_that_a_close_could_end() {
    // S7a: the rule for all addresses was removed, with the other direction open to all; the FIN of one side changes nothing.
    let all = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0";
    let before = format!("{all}\nsg-b in tcp 22 0.0.0.0/0");
    let network = changing(Origin::History, &[(-90_000, &before), (0, all)]);
    among(
        &network,
        "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -600
         eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 1 ACCEPT 500
         > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200",
        "SECURITY_GROUP STRONG SG_HAS_NO_RULES",
    );
    // Around the change it may have been the close or the rule: two versions, of which the one denies.
    among(
        &network,
        "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -600
         eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 1 ACCEPT -60
         > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 10",
        "CONFIG_MISMATCH WEAK blocks=SECURITY_GROUP or=STALE_CONNECTION",
    );
}

#[test]
fn a_gap_within_which_the_list_may_have_been_edited_is_not_surely_an_idle_one() {
    // L7a takes rules for static; without configuration the timeout is 60 s at the least and 432000 s at the most (8.8).
    let accept = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT 0";
    let late = |at: i64| format!("{accept}\n> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 0 REJECT {at}");
    without(&late(90), "STALE_CONNECTION STRONG or=-");
    without(&late(500), "STALE_CONNECTION WEAK or=NACL");
    without(&late(432_100), "STALE_CONNECTION");
    let closed = format!("eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 1 ACCEPT 40\n{}", late(500));
    without(&closed, "STALE_CONNECTION STRONG AFTER_CLOSE or=-");
}

#[test]
fn a_later_accept_does_not_hide_an_earlier_one() {
    // 8.5: OWN_ACCEPT before or after; the port is used again.
    let before = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT -348
        eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 18 ACCEPT -348
        eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 1 ACCEPT -340
        > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 1 REJECT 0";
    without(before, "STALE_CONNECTION STRONG AFTER_CLOSE");
    let after = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT 300";
    without(&format!("{before}\n{after}"), "STALE_CONNECTION STRONG AFTER_CLOSE");
}

#[test]
fn the_far_end_of_a_routed_packet_is_no_address_of_the_interface() {
    // 1.5: what is bound for the internet host is logged with the NAT gateway's address and the host's as packet address.
    let leg =
        "eni-nat in tcp 10.0.2.20:40000 10.0.1.200:443 2 ACCEPT 0 subnet=subnet-1 pkt-dst=198.51.100.50";
    let syn = "> eni-nat out tcp 10.0.1.200:1055 198.51.100.50:443 2 REJECT 1 subnet=subnet-1";
    without(&format!("{leg}\n{syn}"), "UNDETERMINED or=NACL+SECURITY_GROUP"); // L22
    let neighbour = "eni-b in tcp 10.0.2.20:40000 198.51.100.50:443 2 ACCEPT 0 subnet=subnet-1";
    without(&format!("{neighbour}\n{syn}"), "SECURITY_GROUP STRONG INTRA_SUBNET"); // L19
}

#[test]
fn what_is_not_ip_is_not_judged_as_ip() {
    // 4.1: EFA is not IP filtering.
    with(&two(""), &format!("{SYN} kind=EFA"), "UNDETERMINED NONE or=-");
}
