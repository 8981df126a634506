use super::super::sample::traffic;
use super::*;
use crate::network::{
    NaclEntry, NetworkInterface, Observation, Origin, Perhaps, RuleAction, SecurityGroupRule, Taken,
    Timeline, Traffic,
};
use crate::rules::fixture::Fixture;

const BASE: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-1,sg-2
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    sg-2";

/// Effects of replacing `change` in the base as `outcome direction protocol port remotes | after | established`.
fn effects(rules: &str, change: &str, lines: &'static str) -> Vec<String> {
    let before = Fixture::new(&format!("{BASE}\n{rules}")).network();
    let (after, changed) = before.with_objects(&Fixture::new(change).network());
    let found = what_if(&traffic(before, Some(&after), lines), &after, &changed, 3).unwrap();
    found
        .effects
        .iter()
        .map(|effect| {
            let remotes: Vec<String> = effect.some_remotes.iter().map(IpAddr::to_string).collect();
            let port = effect.port.map_or("-".to_owned(), |port| port.to_string());
            let established = effect.established.map_or(String::new(), |one| format!(" | {one}"));
            format!(
                "{} {} {} {port} {} | {}{established}",
                effect.outcome,
                effect.direction,
                effect.protocol,
                remotes.join(","),
                effect.after
            )
        })
        .collect()
}

const WEB: &str = "sg-1 in tcp 443 0.0.0.0/0\nsg-1 in tcp 22 10.0.0.0/8\nsg-1 out all 0.0.0.0/0";

#[test]
fn nothing_changes_nothing() {
    assert_eq!(
        effects(
            WEB,
            WEB,
            "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT\neni-a in 198.51.100.7 tcp 51000>22 REJECT"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn a_rule_that_goes_blocks_what_began_by_it() {
    // SSH is tracked; HTTPS, open to all both ways, is not, so that its connections are cut at once.
    let lines = "eni-a in 10.9.0.1 tcp 51000>22 ACCEPT flags=2
        eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2
        eni-a in 198.51.100.8 tcp 51000>443 ACCEPT flags=2
        eni-a out 198.51.100.9 tcp 51000>443 ACCEPT flags=2";
    assert_eq!(
        effects(WEB, "sg-1 out all 0.0.0.0/0", lines),
        [
            "newly_blocked ingress 6 443 198.51.100.7,198.51.100.8 | no inbound rule of sg-1, sg-2 allows it | cut",
            "newly_blocked ingress 6 22 10.9.0.1 | no inbound rule of sg-1, sg-2 allows it | kept",
        ]
    );
}

#[test]
fn without_the_opposite_rule_untracked_connections_are_cut() {
    // HTTPS is open to all, and so are its answers: nothing tracks it. Without the outbound rule the answers of connections
    // that are up meet no rule (spec 2.2). SSH is tracked.
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2
        eni-a out 198.51.100.7 tcp 443>51000 ACCEPT flags=18
        eni-a in 10.9.0.1 tcp 51000>22 ACCEPT flags=2
        eni-a out 10.9.0.1 tcp 22>51000 ACCEPT flags=18";
    let inbound = "sg-1 in tcp 443 0.0.0.0/0\nsg-1 in tcp 22 10.0.0.0/8";
    assert_eq!(
        effects(WEB, inbound, lines),
        [
            "newly_blocked ingress 6 443 198.51.100.7 | answers of connections that are up, which are not tracked: no \
          outbound rule of sg-1, sg-2 allows it; later ones pass | cut"
        ]
    );
    // A narrower rule that lets the answers pass keeps them up.
    let narrow = format!("{inbound}\nsg-1 out tcp 1024-65535 198.51.100.0/24");
    assert_eq!(effects(WEB, &narrow, lines), Vec::<String>::new());
    // The other way round: connections to others, whose answers an inbound rule for all carries.
    let open = "sg-1 in all 0.0.0.0/0\nsg-1 out tcp 443 0.0.0.0/0";
    let out = "eni-a out 198.51.100.7 tcp 51000>443 ACCEPT flags=2\neni-a in 198.51.100.7 tcp 443>51000 ACCEPT flags=18";
    assert_eq!(
        effects(open, "sg-1 out tcp 443 0.0.0.0/0", out),
        [
            "newly_blocked egress 6 443 198.51.100.7 | answers of connections that are up, which are not tracked: no \
          inbound rule of sg-1, sg-2 allows it; later ones pass | cut"
        ]
    );
}

#[test]
fn answers_need_no_rule() {
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT\neni-a out 198.51.100.7 tcp 443>51000 ACCEPT";
    let rules = "sg-1 in tcp 443 198.51.100.0/24\nsg-1 out all 0.0.0.0/0";
    assert_eq!(effects(rules, "sg-1 in tcp 443 198.51.100.0/24", lines), Vec::<String>::new());
}

#[test]
fn connections_from_before_the_logs_are_kept_by_tracking() {
    let ssh = "sg-1 in tcp 22 10.0.0.0/8";
    assert_eq!(
        effects(
            ssh,
            "sg-1",
            "eni-a in 10.9.0.1 tcp 51000>22 ACCEPT flags=0\neni-a out 10.9.0.1 tcp 22>51000 ACCEPT flags=0"
        ),
        ["kept_by_tracking ingress 6 22 10.9.0.1 | no inbound rule of sg-1, sg-2 allows it | kept"]
    );
    // Without flags nobody knows whether it began before.
    assert_eq!(
        effects(ssh, "sg-1", "eni-a in 10.9.0.1 tcp 51000>22 ACCEPT"),
        ["newly_blocked ingress 6 22 10.9.0.1 | no inbound rule of sg-1, sg-2 allows it | kept"]
    );
}

#[test]
fn a_list_cuts_either_way() {
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=0\neni-a out 198.51.100.7 tcp 443>51000 ACCEPT flags=0";
    let change = "nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 90 deny tcp 1024-65535 198.51.100.0/24
        acl-1 out 100 allow all 0.0.0.0/0";
    assert_eq!(
        effects(WEB, change, lines),
        [
            "newly_blocked ingress 6 443 198.51.100.7 | nacl acl-1 outbound rule 90 deny tcp 1024-65535 to 198.51.100.0/24 | cut"
        ]
    );
}

#[test]
fn rejects_that_would_pass() {
    let lines = "eni-a in 198.51.100.7 tcp 51000>8443 REJECT\neni-a in 198.51.100.7 tcp 51000>23 REJECT";
    assert_eq!(
        effects(WEB, "sg-1 in tcp 8000-9000 198.51.100.0/24", lines),
        [
            "newly_allowed ingress 6 8443 198.51.100.7 | group sg-1 inbound rule allow tcp 8000-9000 from 198.51.100.0/24"
        ]
    );
    let change = "sg-1 in tcp 8443 198.51.100.0/24
        nacl acl-1 vpc-1 subnet-1
        acl-1 in 100 allow all 0.0.0.0/0";
    assert_eq!(
        effects(WEB, change, lines),
        [
            "newly_allowed ingress 6 8443 198.51.100.7 | group sg-1 inbound rule allow tcp 8443 from 198.51.100.0/24; \
          its answers are dropped by nacl acl-1 outbound rule * deny all traffic to 0.0.0.0/0"
        ]
    );
    // What two layers drop needs both.
    let denied = format!("{WEB}\nacl-1 in 90 deny all 198.51.100.0/24");
    assert_eq!(effects(&denied, "sg-1 in tcp 8443 198.51.100.0/24", lines), Vec::<String>::new());
}

#[test]
fn an_answer_that_would_pass() {
    let denied = format!("{WEB}\nacl-1 out 90 deny tcp 1024-65535 198.51.100.0/24");
    let change =
        "nacl acl-1 vpc-1 subnet-1\nacl-1 in 100 allow all 0.0.0.0/0\nacl-1 out 100 allow all 0.0.0.0/0";
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT\neni-a out 198.51.100.7 tcp 443>51000 REJECT";
    assert_eq!(
        effects(&denied, change, lines),
        [
            "newly_allowed ingress 6 443 198.51.100.7 | nacl acl-1 outbound rule 100 allow all traffic to 0.0.0.0/0"
        ]
    );
}

#[test]
fn another_rule_takes_over() {
    let change = "sg-1 in tcp 400-500 0.0.0.0/0\nsg-1 in tcp 22 10.0.0.0/8\nsg-1 out all 0.0.0.0/0";
    assert_eq!(
        effects(
            WEB,
            change,
            "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT\neni-a in 10.9.0.1 tcp 51000>22 ACCEPT"
        ),
        ["other_rule ingress 6 443 198.51.100.7 | group sg-1 inbound rule allow tcp 400-500 from 0.0.0.0/0"]
    );
}

#[test]
fn narrowing_the_rule_of_untracked_connections_cuts_those_that_are_up() {
    // 2.2: HTTPS is open to all both ways, and not tracked; the narrower rule tracks what begins by it. SSH was tracked before.
    let change = "sg-1 in tcp 443 198.51.100.0/24\nsg-1 in tcp 22 10.9.0.0/16\nsg-1 out all 0.0.0.0/0";
    let lines =
        "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2\neni-a in 10.9.0.1 tcp 51000>22 ACCEPT flags=2";
    assert_eq!(
        effects(WEB, change, lines),
        [
            "other_rule ingress 6 22 10.9.0.1 | group sg-1 inbound rule allow tcp 22 from 10.9.0.0/16",
            "other_rule ingress 6 443 198.51.100.7 | group sg-1 inbound rule allow tcp 443 from 198.51.100.0/24 | cut",
        ]
    );
}

#[test]
fn what_is_missing_cannot_be_told() {
    assert_eq!(
        effects(WEB, "sg-1 in tcp 443 pl-9", "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT"),
        ["cannot_tell ingress 6 443 198.51.100.7 | group sg-1 inbound rule allow tcp 443 from pl-9"]
    );
}

#[test]
fn what_the_rules_of_now_do_not_explain_is_left_alone() {
    assert_eq!(
        effects(WEB, "sg-1", "eni-a in 198.51.100.7 tcp 51000>25 ACCEPT flags=2"),
        Vec::<String>::new()
    );
}

#[test]
fn groups_are_what_their_members_make_them() {
    // The client loses its group, and with it the reference that let it in.
    let base = "eni eni-b subnet-1 10.0.1.20 groups=sg-3\nsg-1 in tcp 5432 sg-3\nsg-3\nsg-4";
    let change = "subnet subnet-1 vpc-1 10.0.1.0/24\neni eni-b subnet-1 10.0.1.20 groups=sg-4";
    assert_eq!(
        effects(base, change, "eni-a in 10.0.1.20 tcp 51000>5432 ACCEPT"),
        ["newly_blocked ingress 6 5432 10.0.1.20 | no inbound rule of sg-1, sg-2 allows it | kept"]
    );
}

#[test]
fn accepted_icmp_whose_rule_is_replaced_cannot_be_told() {
    // It was of type 8, since nothing else lets ICMP in; a log does not show types (spec 4.7), and type 3 is another one.
    let lines = "eni-a in 198.51.100.7 icmp ACCEPT";
    let found = effects("sg-1 in icmp 8 0.0.0.0/0", "sg-1 in icmp 3 0.0.0.0/0", lines);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("cannot_tell ingress 1"), "{found:?}");
    // With another rule beside it that stays, or the same one, nothing changes.
    let both = "sg-1 in icmp 8 0.0.0.0/0\nsg-1 in icmp 3 0.0.0.0/0";
    assert_eq!(effects("sg-1 in icmp 8 0.0.0.0/0", both, lines), Vec::<String>::new());
}

#[test]
fn what_contradicts_the_rules_of_now_is_counted() {
    // 443 was accepted, and no rule of now lets it in: these were not in force (spec 8.10).
    let before = Fixture::new(&format!("{BASE}\nsg-1 in tcp 22 10.0.0.0/8")).network();
    let (after, changed) = before.with_objects(&Fixture::new("sg-1 in tcp 25 10.0.0.0/8").network());
    let lines =
        "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2\neni-a in 10.9.0.1 tcp 51000>22 ACCEPT flags=2";
    let found = what_if(&traffic(before, Some(&after), lines), &after, &changed, 3).unwrap();
    assert_eq!((found.accepted, found.unexplained, found.accepted_unknown), (2, 1, 0));
}

#[test]
fn what_passed_unexplained_is_not_waved_through_where_the_change_touches_its_rules() {
    // The one rule that may have carried it, for a client that the configuration does not know, goes.
    let rules = "sg-1 in tcp 5432 10.9.0.0/16\nsg-1 in tcp 22 10.0.0.0/8";
    let lines = "eni-a in 10.20.0.1 tcp 51000>5432 ACCEPT flags=2";
    let told = effects(rules, "sg-1 in tcp 22 10.0.0.0/8", lines);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("cannot_tell ingress 6 5432 10.20.0.1 | "), "{told:?}");
    // A change of the list alone does not bear on what the groups leave unexplained.
    let list = "nacl acl-1 vpc-1 subnet-1\nacl-1 in 90 deny tcp 8080 0.0.0.0/0\nacl-1 in 100 allow all 0.0.0.0/0\nacl-1 out 100 \
                allow all 0.0.0.0/0\nsubnet subnet-1 vpc-1 10.0.1.0/24";
    assert_eq!(effects(rules, list, lines), Vec::<String>::new());
}

#[test]
fn so_many_remotes_are_named_as_were_asked_for() {
    let lines = "eni-a in 198.51.100.9 tcp 51000>443 ACCEPT
        eni-a in 198.51.100.7 tcp 51000>443 ACCEPT
        eni-a in 198.51.100.8 tcp 51000>443 ACCEPT
        eni-a in 198.51.100.7 tcp 51001>443 ACCEPT
        eni-a in 198.51.100.6 tcp 51000>443 ACCEPT";
    let before = Fixture::new(&format!("{BASE}\n{WEB}")).network();
    let (after, changed) = before.with_objects(&Fixture::new("sg-1 out all 0.0.0.0/0").network());
    for (named, last) in [(2, "198.51.100.7"), (100, "198.51.100.9")] {
        let found = what_if(&traffic(before.clone(), Some(&after), lines), &after, &changed, named).unwrap();
        let [effect] = found.effects.as_slice() else { panic!("{:?}", found.effects) };
        assert_eq!((effect.remotes, effect.some_remotes.len()), (4, named.min(4)));
        assert_eq!(effect.some_remotes.first().unwrap().to_string(), "198.51.100.6", "the lowest");
        assert_eq!(effect.some_remotes.last().unwrap().to_string(), last);
    }
}

/// Outcomes where a plan takes a rule or an entry away that the configuration does not hold.
fn outcomes_without(rules: &str, taken: Taken, lines: &'static str) -> Vec<String> {
    let before = Fixture::new(&format!("{BASE}\n{rules}")).network();
    let changed = Changed { taken: vec![taken], ..Changed::default() };
    let after = before.clone();
    let found = what_if(&traffic(before, Some(&after), lines), &after, &changed, 3).unwrap();
    found.effects.iter().map(|effect| effect.outcome.to_string()).collect()
}

fn rule_of(text: &str) -> SecurityGroupRule {
    let network = Fixture::new(&format!("{BASE}\n{text}")).network();
    let newest = View { at: Timestamp::MAX, after: false };
    network.groups.get("sg-1", newest).unwrap().value.rules.first().unwrap().clone()
}

#[test]
fn a_rule_that_the_plan_takes_and_the_configuration_lacks_is_not_waved_through() {
    let ssh = "sg-1 in tcp 22 10.0.0.0/8";
    let https = |cidr: &str, left| {
        let rule = rule_of(&format!("sg-1 in tcp 443 {cidr}"));
        Taken::Rule { group_id: "sg-1".to_owned(), rule, left }
    };
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2";
    assert_eq!(outcomes_without(ssh, https("198.51.100.0/24", None), lines), ["cannot_tell"]);
    assert_eq!(
        outcomes_without(ssh, https("203.0.113.0/24", None), lines),
        Vec::<String>::new(),
        "another's"
    );
    // What passes by a rule that the configuration holds and the plan's group does not.
    let narrow = "sg-1 in tcp 443 198.51.100.0/24";
    let wide = |left| outcomes_without(narrow, https("198.51.100.0/23", left), lines);
    assert_eq!(wide(Some(Vec::new())), ["cannot_tell"]);
    assert_eq!(wide(Some(vec![rule_of(narrow)])), Vec::<String>::new(), "it stays");
    assert_eq!(wide(None), Vec::<String>::new(), "the plan holds not all rules");
}

#[test]
fn an_entry_that_the_plan_takes_and_the_configuration_lacks_is_not_waved_through() {
    let entry = |number, action| NaclEntry {
        number,
        egress: false,
        action: Some(action),
        traffic: Traffic::All,
        cidr: "198.51.100.0/24".parse().ok(),
    };
    let denied = format!("{WEB}\nacl-1 in 90 deny tcp 443 0.0.0.0/0");
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2";
    let without = |entry| Taken::Entry { acl_id: "acl-1".to_owned(), entry };
    assert_eq!(outcomes_without(&denied, without(entry(80, RuleAction::Allow)), lines), ["cannot_tell"]);
    assert_eq!(outcomes_without(&denied, without(entry(80, RuleAction::Deny)), lines), Vec::<String>::new());
}

/// Outcomes of traffic at noon, where an interface carries `sg-1` before and `sg-2` after the traffic.
fn outcomes_after_a_move(rules: &str, change: &str) -> Vec<String> {
    let mut before = Fixture::new(&format!("{BASE}\n{rules}")).network();
    let newest = View { at: Timestamp::MAX, after: false };
    let eni = before.interfaces.get("eni-a", newest).unwrap().value.as_ref().clone();
    let carries = |at, group: &str| {
        let value = NetworkInterface { group_ids: vec![group.to_owned()], ..eni.clone() };
        Observation::new(Some(at), Origin::History, Some(value))
    };
    let moved = Timeline::new(vec![carries(-1000, "sg-1"), carries(5000, "sg-2")]);
    before.interfaces.put("eni-a".to_owned(), moved);
    before.finish();
    let (after, changed) = before.with_objects(&Fixture::new(change).network());
    let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2 0-60";
    let found = what_if(&traffic(before, Some(&after), lines), &after, &changed, 3).unwrap();
    assert_eq!((found.accepted, found.unexplained), (1, 0));
    found.effects.iter().map(|effect| effect.outcome.to_string()).collect()
}

#[test]
fn traffic_is_held_against_the_groups_that_its_interface_carries_now() {
    let both = "sg-1 in tcp 443 198.51.100.0/24\nsg-2 in tcp 443 198.51.100.0/24";
    assert_eq!(outcomes_after_a_move(both, "sg-2"), ["newly_blocked"]);
    assert_eq!(outcomes_after_a_move(both, "sg-1"), Vec::<String>::new(), "it carries that no more");
    // What the rules of now drop already is not the change's doing.
    assert_eq!(outcomes_after_a_move("sg-1 in tcp 443 198.51.100.0/24", "sg-1"), Vec::<String>::new());
}

#[test]
fn traffic_of_an_interface_that_may_get_other_groups_is_judged_both_ways() {
    let rules = "sg-1 in tcp 443 198.51.100.0/24\nsg-3 in tcp 443 0.0.0.0/0\nsg-4";
    let outcomes = |after: &str| {
        let before = Fixture::new(&format!("{BASE}\n{rules}")).network();
        let perhaps = Perhaps {
            interface_id: "eni-a".to_owned(),
            by: "aws_db_instance.d".to_owned(),
            before: vec!["sg-1".to_owned()],
            after: vec![after.to_owned()],
            all_known: true,
        };
        let changed = Changed { perhaps: vec![perhaps], ..Changed::default() };
        let proposed = before.clone();
        let lines = "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT flags=2";
        let found = what_if(&traffic(before, Some(&proposed), lines), &proposed, &changed, 3).unwrap();
        found.effects.iter().map(|one| format!("{} {}", one.outcome, one.after)).collect::<Vec<_>>()
    };
    assert_eq!(
        outcomes("sg-4"),
        ["cannot_tell if it is an interface of aws_db_instance.d: no inbound rule of sg-2, sg-4 allows it"]
    );
    assert_eq!(outcomes("sg-3"), ["other_rule group sg-3 inbound rule allow tcp 443 from 0.0.0.0/0"]);
}
