use super::super::sample::traffic;
use super::super::{hits, what_if};
use crate::rules::fixture::Fixture;

const BASE: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    sg-1 in tcp 443 0.0.0.0/0
    sg-1 in tcp 22 203.0.113.0/24";

/// A record of an interface that the configuration lacks, of version 5 with its subnet, and of version 2.
const WITH_SUBNET: &str = "eni-z in 203.0.113.9 tcp 51000>22 ACCEPT own=10.0.1.77 subnet=subnet-1 flags=2";
const WITHOUT: &str = "eni-z in 203.0.113.9 tcp 51000>22 ACCEPT own=10.0.1.77 undirected";
const ELSEWHERE: &str = "eni-z in 203.0.113.9 tcp 51000>22 ACCEPT own=10.9.9.9 undirected";

fn effects(change: &str, lines: &'static str) -> Vec<String> {
    let before = Fixture::new(BASE).network();
    let (after, changed) = before.with_objects(&Fixture::new(change).network());
    let found = what_if(&traffic(before, Some(&after), lines), &after, &changed, 3).unwrap();
    let effects = found.effects.iter();
    effects.map(|one| format!("{} {} {}", one.outcome, one.interface_id, one.after)).collect()
}

const DENIES: &str = "
    nacl acl-1 vpc-1 subnet-1
    acl-1 in 50 deny tcp 22 203.0.113.0/24
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0";

#[test]
fn a_list_blocks_interfaces_of_its_subnets_that_the_configuration_lacks() {
    let entry = "nacl acl-1 inbound rule 50 deny tcp 22 from 203.0.113.0/24";
    assert_eq!(effects(DENIES, WITH_SUBNET), [format!("newly_blocked eni-z {entry}")]);
    assert_eq!(effects(DENIES, WITHOUT), [format!("cannot_tell eni-z {entry}")]);
    assert_eq!(effects(DENIES, ELSEWHERE), Vec::<String>::new(), "no subnet of this list");
    let opens = DENIES.replace("deny tcp 22", "allow tcp 22");
    assert_eq!(effects(&opens, WITH_SUBNET), Vec::<String>::new());
}

#[test]
fn a_rule_that_goes_may_be_that_of_an_interface_that_the_configuration_lacks() {
    let shut = "sg-1 in tcp 443 0.0.0.0/0";
    for lines in [WITH_SUBNET, WITHOUT, ELSEWHERE] {
        let found = effects(shut, lines);
        assert_eq!(found.len(), 1, "{lines}");
        assert!(
            found[0].starts_with("cannot_tell eni-z an interface that the configuration lacks"),
            "{found:?}"
        );
    }
    // What stays open, and what is an answer, is no matter.
    assert_eq!(effects("sg-1 in tcp 22 203.0.113.0/24", WITH_SUBNET), Vec::<String>::new());
    let answer = "eni-z in 203.0.113.9 tcp 443>22 ACCEPT own=10.0.1.77 subnet=subnet-1 flags=18";
    assert_eq!(effects(shut, answer), Vec::<String>::new());
}

#[test]
fn rules_that_only_interfaces_that_the_configuration_lacks_may_have_met_are_not_without_a_hit() {
    let told = |lines: &'static str| {
        let report = hits(&traffic(Fixture::new(BASE).network(), None, lines)).unwrap();
        let possible = report.rules.iter().filter(|one| one.hits.possible > 0);
        possible.map(|one| format!("{}: {}", one.rule.text, one.hits.possible)).collect::<Vec<_>>()
    };
    let rule = "group sg-1 inbound rule allow tcp 22 from 203.0.113.0/24: 1";
    let entry = "nacl acl-1 inbound rule 100 allow all traffic from 0.0.0.0/0: 1";
    assert_eq!(told(WITH_SUBNET), [rule, entry]);
    assert_eq!(told(WITHOUT), [rule, entry]);
    assert_eq!(told(ELSEWHERE), [rule], "no subnet of this list");
    assert_eq!(told("eni-z in 203.0.113.9 tcp 51000>22 REJECT subnet=subnet-1"), Vec::<String>::new());
}
