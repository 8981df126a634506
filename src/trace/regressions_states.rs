//! Faults once found in what is said of things that carry nothing, each told by hand.

use super::cases::{blockers, flow, traced};
use super::*;
use crate::network::Instance;
use crate::rules::fixture::Fixture;

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    nacl acl-1 vpc-1 subnet-1 subnet-2
    acl-1 in 100 allow all 0.0.0.0/0
    acl-1 out 100 allow all 0.0.0.0/0
    route subnet-1 10.0.0.0/16 local
    route subnet-2 10.0.0.0/16 local
    sg-1 in all 0.0.0.0/0
    sg-1 out all 0.0.0.0/0
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    eni eni-b subnet-2 10.0.2.10 groups=sg-1 instance=i-b";

fn with(change: impl Fn(&mut Fixture)) -> Trace {
    let mut fixture = Fixture::new(NETWORK);
    change(&mut fixture);
    traced(&fixture.network(), flow("10.0.1.10", "10.0.2.10", 443))
}

#[test]
fn an_instance_that_does_not_run_answers_nothing() {
    let of = |state: &str| {
        with(|fixture| {
            let instance = Instance { id: "i-b".into(), state: Some(state.into()), ..Instance::default() };
            fixture.instances.insert("i-b".into(), instance);
        })
    };
    assert_eq!(of("running").outcome(), Decision::Allow);
    let stopped = of("stopped");
    assert_eq!(blockers(&stopped), ["there address eni-b"]);
    assert!(stopped.text().contains("aws ec2 start-instances --instance-ids i-b"), "{}", stopped.text());
    assert_eq!(stopped.fixes_suffice(), Some(true));
    let gone = of("terminated");
    assert_eq!((gone.outcome(), gone.fixes_suffice()), (Decision::Deny, Some(false)));
}

#[test]
fn an_interface_that_is_attached_to_nothing_is_a_blocker() {
    let of = |status: &str| {
        with(|fixture| fixture.interfaces.get_mut("eni-b").unwrap().status = Some(status.into())).outcome()
    };
    assert_eq!((of("in-use"), of("available")), (Decision::Allow, Decision::Deny));
}

#[test]
fn interfaces_of_services_begin_no_flows() {
    let of = |kind: &str| {
        with(|fixture| {
            fixture.interfaces.get_mut("eni-a").unwrap().interface_type = Some(kind.into());
            fixture.groups.get_mut("sg-1").unwrap().rules.clear();
        })
    };
    for kind in ["vpc_endpoint", "transit_gateway"] {
        let found = of(kind);
        assert_eq!(blockers(&found)[0], "there address eni-a", "{kind}");
        assert!(found.stages.iter().all(|stage| stage.fix.is_none()), "no rule is wanted for {kind}");
    }
    let text = of("vpc_endpoint").text();
    assert!(text.contains("--src 10.0.2.10 --dst 10.0.1.10"), "{text}");
    let nat = with(|fixture| {
        fixture.interfaces.get_mut("eni-a").unwrap().interface_type = Some("nat_gateway".into())
    });
    assert_eq!(nat.outcome(), Decision::Unknown);
}

#[test]
fn a_fix_behind_which_something_is_open_promises_nothing() {
    // The appliance drops packets by its check; without that it decides itself.
    let found = with(|fixture| fixture.line("route subnet-1 10.0.2.0/24 eni-fw\n"));
    assert_eq!(found.outcome(), Decision::Unknown);
    let found = with(|fixture| {
        fixture.line("eni eni-fw subnet-2 10.0.2.99 groups=sg-1");
        fixture.line("route subnet-1 10.0.2.0/24 eni-fw");
    });
    assert_eq!((found.outcome(), found.fixes_suffice()), (Decision::Deny, None));
    assert_eq!(found.json()["fixes_suffice"], serde_json::Value::Null);
    assert!(found.text().contains("whether this suffices cannot be told"), "{}", found.text());
}

#[test]
fn a_group_rule_that_is_there_and_does_not_hold_on_the_way_is_not_proposed() {
    let hint = "would outlast its address";
    let of = |more: &[&str]| {
        let of_groups = NETWORK
            .replace("sg-1 in all 0.0.0.0/0", "sg-2 in tcp 443 sg-1")
            .replace("10.0.2.10 groups=sg-1", "10.0.2.10 groups=sg-2");
        let mut fixture = Fixture::new(&of_groups);
        more.iter().for_each(|line| fixture.line(line));
        traced(&fixture.network(), flow("10.0.1.10", "10.0.2.10", 443)).text()
    };
    assert!(
        !of(&["eni eni-fw subnet-1 10.0.1.99 groups=sg-1", "route subnet-1 10.0.2.0/24 eni-fw"])
            .contains(hint)
    );
}

#[test]
fn an_appliance_whose_instance_does_not_run_forwards_nothing() {
    let of = |state: &str| {
        with(|fixture| {
            fixture.line("eni eni-fw subnet-2 10.0.2.99 groups=sg-1 instance=i-fw");
            fixture.line("route subnet-1 10.0.2.0/24 eni-fw");
            fixture.interfaces.get_mut("eni-fw").unwrap().source_dest_check = Some(false);
            let instance = Instance { id: "i-fw".into(), state: Some(state.into()), ..Instance::default() };
            fixture.instances.insert("i-fw".into(), instance);
        })
        .outcome()
    };
    assert_eq!((of("running"), of("stopped")), (Decision::Unknown, Decision::Deny));
}
