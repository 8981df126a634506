//! `flowq attribute` and what its options share with other commands, on small worlds whose answers are worked out by hand.

use crate::rules::{rows, run, world};
use crate::support::{Case, flow_log};

/// The rejected record of the world begins at 10:30.
#[test]
fn attribute_takes_the_times_that_other_commands_take() {
    let case = world();
    let records = |options: &[&str]| {
        let args = [&["attribute", "--by", "port", "--format", "json"], options].concat();
        let found = rows(run(&case, &args).expect(0));
        found.iter().map(|row| row["records"].as_u64().unwrap()).sum::<u64>()
    };
    for (options, count) in [
        (vec!["--since", "2026-01-15T10:30:00Z"], 1),
        (vec!["--since", "2026-01-15 10:30", "--until", "2026-01-15T10:31"], 1),
        (vec!["--since", "2026-01-15T10:30:01Z"], 0),
        (vec!["--until", "2026-01-15T10:30:00Z"], 0),
        (vec!["--until", "1768473001"], 1),
        (vec!["--since", "2026-01-15", "--where", "dstport = 8080 -- that one"], 1),
        (vec!["--since", "2026-01-15", "--where", "dstport = 80 or false"], 0),
    ] {
        assert_eq!(records(&options), count, "{options:?}");
    }
    let none = run(&case, &["attribute", "--until", "2026-01-15T10:30:00Z"]).expect(0);
    assert!(none.err.contains("the logs hold no REJECT of that time"), "{}", none.err);
    // A report of a time without any record is no all-clear.
    for (since, said) in [
        ("1h", "of that time (--since counts from now, and the newest is of 2026-01-15T10:59:00Z)"),
        (
            "2026-01-16",
            "there is no VPC flow log record of that time (the newest is of 2026-01-15T10:59:00Z)",
        ),
    ] {
        let none = run(&case, &["attribute", "--since", since]).expect(4);
        assert!(none.err.contains(said), "{}", none.err);
    }
    let wrong = run(&case, &["attribute", "--since", "yesterday"]).expect(2);
    assert!(wrong.err.contains("expected a time such as 2026-01-15T10:00:00Z"), "{}", wrong.err);
}

#[test]
fn since_and_until_mean_the_same_everywhere() {
    let case = world();
    let (since, until) = ("2026-01-15T10:05:00Z", "2026-01-15T10:20:00Z");
    let hits =
        run(&case, &["rules", "hits", "--since", since, "--until", until, "--format", "json"]).expect(0);
    assert!(hits.err.contains("1 record from 2026-01-15T10:10:00Z to 2026-01-15T10:11:00Z"), "{}", hits.err);
    let talkers = run(&case, &["run", "top_talkers", "--since", since, "--until", until, "--format", "json"]);
    assert_eq!(talkers.expect(0).json().as_array().unwrap().len(), 1);
    let flow =
        ["explain", "--src", "203.0.113.9", "--dst", "10.0.1.10", "--dport", "8080", "--format", "json"];
    let records = |options: &[&str]| {
        let found = run(&case, &[&flow, options].concat()).expect(0).json();
        found["records"]["found"].clone()
    };
    assert_eq!(records(&["--since", "2026-01-15T10:30:00Z"]), 1);
    assert_eq!(records(&["--since", "2026-01-15T10:30:01Z"]), 0);
    assert_eq!(records(&["--until", "2026-01-15T10:30:00Z", "--at", "2026-01-15T10:30:00Z"]), 0);
    run(&case, &[&flow[..], &["--since", "1h", "--within", "60"]].concat()).expect(2);
}

#[test]
fn reports_and_gates_end_at_their_timeout() {
    let case = Case::new();
    // Many more than are read within a thousandth of a second.
    let log = case.write("flow.log", flow_log(0, 200_000));
    let (log, world) = (log.to_str().unwrap(), world());
    let config = world.dir.path().join("now");
    let config = config.to_str().unwrap();
    for command in [
        vec!["attribute", "--from", log, "--config", config],
        vec!["attribute", "--by", "port", "--from", log, "--config", config],
        vec!["rules", "tighten", "--raw", log, "--config", config],
        vec!["rules", "hits", "--raw", log, "--config", config],
        vec!["whatif", "--change", config, "--raw", log, "--config", config],
    ] {
        let ended = run(&case, &[&command[..], &["--timeout", "0.001"]].concat());
        assert!(matches!(ended.code, Some(2 | 4)), "{command:?}: {ended:?}");
        assert!(ended.err.contains("ran longer than 1ms"), "{command:?}: {}", ended.err);
    }
}

#[test]
fn no_command_shows_no_rows_and_says_nothing() {
    let case = world();
    let change = case.dir.path().join("now");
    for command in [
        vec!["attribute"],
        vec!["attribute", "--by", "nacl"],
        vec!["rules", "hits"],
        vec!["rules", "unused"],
        vec!["rules", "tighten"],
        vec!["whatif", "--change", change.to_str().unwrap()],
        vec!["run", "top_talkers"],
        vec!["run", "rule_hits"],
    ] {
        for limit in ["0", "-1"] {
            let limit = format!("--limit={limit}");
            let refused = run(&case, &[&command[..], &[&limit]].concat()).expect(2);
            assert!(refused.err.contains("limit"), "{command:?}: {}", refused.err);
        }
    }
}
