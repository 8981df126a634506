//! `flowq attribute` and what its options share with other commands, on small worlds whose answers are worked out by hand.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::rules::{acl, config, rows, run, world};
use crate::support::{Case, HEADER, flow_log};

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
        found["logs"]["found"].clone()
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
fn the_tables_of_the_configuration_are_those_of_config_where_it_is_given() {
    let case = Case::new();
    let log = case.write("flow.log", flow_log(0, 3));
    let world = world();
    let config = world.dir.path().join("now");
    let count = |config: &[&str]| {
        let sql = "select count(*) > 0 as some from security_group_rules";
        let from = ["sql", "--from", log.to_str().unwrap(), "--format", "csv", sql];
        run(&case, &[&from[..], config].concat()).expect(0).out
    };
    assert_eq!(count(&["--config", config.to_str().unwrap()]), "some\ntrue\n");
    assert_eq!(count(&[]), "some\nfalse\n");
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

/// A network ACL with a name and an entry against 203.0.113.9, whose record is rejected by the groups as well.
fn named_list(case: &Case) -> PathBuf {
    let folder = config(case, "named", &[(443, "0.0.0.0/0"), (22, "10.0.0.0/8")]);
    let mut lists = acl(&[(90, "deny", "203.0.113.9/32"), (100, "allow", "0.0.0.0/0")]);
    lists["NetworkAcls"][0]["Tags"] = json!([{"Key": "Name", "Value": "public"}]);
    std::fs::write(folder.join("acls.json"), lists.to_string()).unwrap();
    folder
}

#[test]
fn network_acls_are_named_where_people_read_of_them_and_nowhere_else() {
    let case = world();
    let folder = named_list(&case);
    let folder = folder.to_str().unwrap();
    let (entry, plain) = (
        "nacl acl-0a (public) inbound rule 90 deny all traffic from 203.0.113.9/32",
        "acl-0a inbound rule 90",
    );
    let flow = ["--src", "203.0.113.9", "--dst", "10.0.1.10", "--dport", "8080"];
    for (command, texts) in [
        (vec!["attribute"], vec![entry, "acl-0a (public) eni-0a: "]),
        (vec!["attribute", "--by", "nacl"], vec!["NACL acl-0a (public) rule 90"]),
        ([&["explain"], &flow[..]].concat(), vec![entry, "--network-acl-id acl-0a --ingress"]),
        (vec!["rules", "hits"], vec![entry]),
        (vec!["rules", "shadowed"], vec![]),
    ] {
        let shown = |format: &str| {
            run(&case, &[&command[..], &["--config", folder, "--format", format]].concat()).expect(0).out
        };
        let text = shown("table");
        for part in texts {
            assert!(text.contains(part), "{command:?}: {part} is not in\n{text}");
        }
        let has_plain = text.contains(plain) || text.contains("acl-0a eni-");
        assert!(!has_plain, "{command:?}: without its name in\n{text}");
        for format in ["json", "csv"] {
            let rows = shown(format);
            assert!(!rows.contains("(public)"), "{command:?}: {rows}");
        }
    }
}

#[test]
fn network_acls_are_named_in_what_a_change_does() {
    let case = world();
    let mut lists = acl(&[(90, "deny", "198.51.100.8/32"), (100, "allow", "0.0.0.0/0")]);
    lists["NetworkAcls"][0]["Tags"] = json!([{"Key": "Name", "Value": "public"}]);
    let change = case.dir.path().join("list.json");
    std::fs::write(&change, lists.to_string()).unwrap();
    let whatif = ["whatif", "--change", change.to_str().unwrap()];
    let text = run(&case, &whatif).expect(1).out;
    let entry = "then  nacl acl-0a (public) inbound rule 90 deny all traffic from 198.51.100.8/32";
    assert!(text.contains(entry), "{text}");
    let csv = run(&case, &[&whatif[..], &["--format", "csv"]].concat()).expect(1).out;
    assert!(csv.contains("acl-0a inbound rule 90") && !csv.contains("(public)"), "{csv}");
}

#[test]
fn the_report_tells_where_records_were_skipped() {
    let case = world();
    let whole = run(&case, &["attribute"]).expect(0).out;
    assert!(!whole.contains("SKIPDATA"), "{whole}");
    let skips = "2 111122223333 eni-0a - - - - - - - 1768471200 1768471260 - SKIPDATA\n\
                 2 111122223333 eni-0b - - - - - - - 1768471260 1768471320 - SKIPDATA\n\
                 2 111122223333 eni-0b - - - - - - - 1768474800 1768474860 - SKIPDATA\n";
    case.write("AWSLogs/skips.log", format!("{HEADER}{skips}"));
    case.ingest(&[]).expect(0);
    let text = run(&case, &["attribute"]).expect(0).out;
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("SKIPDATA")).collect();
    assert!(
        lines[0].ends_with("interface with skipped records: what its logs do not show proves nothing then")
    );
    assert!(
        lines[2].starts_with("       2  2026-01-15T10:01:00Z to 2026-01-15T11:01:00Z  eni-0b"),
        "the worst first: {text}"
    );
    assert!(lines[3].starts_with("       1  2026-01-15T10:00:00Z to 2026-01-15T10:01:00Z  eni-0a"), "{text}");
    for options in [&["--where", "dstport = 8080"][..], &["--since", "2026-01-15"], &["--memory-limit", "2M"]]
    {
        let found = rows(run(&case, &[&["attribute", "--format", "json"], options].concat()).expect(0));
        let skipped: Vec<&Value> = found.iter().filter(|row| row["section"] == "skipped").collect();
        assert_eq!(skipped.len(), 2, "{options:?}: {found:?}");
        assert_eq!((&skipped[0]["subject"], &skipped[0]["records"]), (&json!("eni-0b"), &json!(2)));
    }
}

#[test]
fn the_report_tells_which_rules_would_have_let_pass_what_was_rejected() {
    let case = world();
    let header = HEADER.trim_end();
    // A connection that is opened anew, and none before it: the configuration given lets it pass.
    case.write(
        "AWSLogs/flags.log",
        format!(
            "{header} tcp-flags flow-direction\n\
             2 111122223333 eni-0a 198.51.100.9 10.0.1.10 50000 443 6 1 40 1768473600 1768473660 REJECT OK 2 ingress\n"
        ),
    );
    case.ingest(&[]).expect(0);
    let rule = "let pass by nacl acl-0a inbound rule 100 allow all traffic from 0.0.0.0/0 and group sg-0a inbound rule \
                allow tcp 443 from 0.0.0.0/0";
    for options in [&[][..], &["--where", "dstport = 443"]] {
        let found = rows(run(&case, &[&["attribute", "--format", "json"], options].concat()).expect(0));
        let of = |section: &str| {
            let mut rows = found.iter().filter(|row| row["section"] == section);
            rows.find(|row| row["detail"] == "CONFIG_MISMATCH").map(|row| row["subject"].clone())
        };
        assert_eq!(of("interface"), Some(json!("eni-0a")), "{found:?}");
        assert_eq!(of("rule"), Some(json!(rule)), "{options:?}");
    }
    let text = run(&case, &["attribute"]).expect(0).out;
    assert!(text.contains(rule), "{text}");
}

#[test]
fn whatif_cuts_remotes_for_people_only() {
    let case = world();
    let lines: String = (1..=20)
        .map(|host| {
            format!("2 111122223333 eni-0a 198.51.100.{} 10.0.1.10 51000 443 6 5 500 1768471200 1768471260 ACCEPT OK\n", 100 + host)
        })
        .collect();
    case.write("AWSLogs/many.log", format!("{HEADER}{lines}"));
    case.ingest(&[]).expect(0);
    let change = config(&case, "closed", &[(22, "10.0.0.0/8")]);
    let whatif = ["whatif", "--change", change.to_str().unwrap()];
    let found = rows(run(&case, &[&whatif[..], &["--format", "json"]].concat()).expect(1));
    let blocked = found.iter().find(|row| row["outcome"] == "newly_blocked").unwrap();
    // The world has two of its own.
    assert_eq!(blocked["remote_count"], 22);
    let remotes: Vec<&str> = blocked["remotes"].as_str().unwrap().split(", ").collect();
    assert_eq!((remotes.len(), remotes[0], remotes[21]), (22, "198.51.100.7", "198.51.100.120"));
    let text = run(&case, &whatif).expect(1).out;
    assert!(text.contains("from 198.51.100.7, 198.51.100.8, 198.51.100.101 and 19 more"), "{text}");
}

#[test]
fn a_named_query_is_shown_to_programs_as_a_row() {
    let case = Case::new();
    let show = ["queries", "show", "top_talkers"];
    let text = run(&case, &show).expect(0).out;
    assert!(text.starts_with("-- title: "), "{text}");
    let row = &rows(run(&case, &[&show[..], &["--format", "json"]].concat()).expect(0))[0];
    assert_eq!(row["name"], "top_talkers");
    assert!(row["parameters"].as_str().unwrap().contains("limit int"), "{row}");
    assert!(row["sql"].as_str().unwrap().trim_start().starts_with("select"), "{row}");
    let file = case.dir.path().join("query.parquet");
    run(&case, &[&show[..], &["-o", file.to_str().unwrap()]].concat()).expect(0);
    assert!(std::fs::read(&file).unwrap().starts_with(b"PAR1"));
}
