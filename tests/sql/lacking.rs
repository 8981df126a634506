//! Logs without a field beside logs with it: what is said of a query that asks for it.

use crate::command_line::{err, flowq_in};

/// 120 records of two days have an action, and one record of a later day, in a log of another format, has none.
fn mixed_formats(folder: &std::path::Path) -> String {
    let logs = folder.join("logs");
    std::fs::create_dir(&logs).unwrap();
    let mut text = "version srcaddr dstaddr bytes start end action\n".to_owned();
    for record in 0..120u64 {
        let start = 1_768_470_000 + record * 1_000; // 15 and 16 January 2026
        let action = if record % 2 == 0 { "ACCEPT" } else { "REJECT" };
        text += &format!("2 10.0.0.1 10.0.0.2 40 {start} {} {action}\n", start + 59);
    }
    std::fs::write(logs.join("a.log"), text).unwrap();
    std::fs::write(logs.join("b.log"), "srcaddr dstaddr start bytes\n10.0.0.3 10.0.0.4 1768867200 7\n")
        .unwrap();
    logs.to_str().unwrap().to_owned()
}

#[test]
fn a_column_that_some_logs_were_written_without_is_explained_with_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, store) = (mixed_formats(folder.path()), folder.path().join("s"));
    let store = store.to_str().unwrap();
    assert_eq!(flowq_in(folder.path(), &["ingest", &logs, "--store", store]).status.code(), Some(0));
    let said = |words: &[&str]| err(&flowq_in(folder.path(), words));
    let rejects = "select count(*) from flow_logs where action = 'REJECT'";
    let some = said(&["sql", "--store", store, rejects]);
    let said_of_one = "some of these flow logs were written without `action` (1 of 121 records), which is null there; \
                       add it to the log format";
    assert!(some.contains(said_of_one), "{some}");
    let some = said(&["sql", "--from", &logs, rejects]);
    assert!(some.contains("`action` (1 of 2 files)"), "{some}");
    // Where the time leaves only logs without it, all of them lack it.
    let all = "these flow logs were written without `action`; add it to the log format";
    let named = said(&["run", "rejected", "--store", store, "--from", "2026-01-20"]);
    assert!(named.contains(all), "{named}");
    // Where it leaves only logs with it, nothing is to be said.
    let none = said(&["sql", "--store", store, &format!("{rejects} and start < '2026-01-18'")]);
    assert_eq!(none, "");
    assert_eq!(said(&["sql", "--store", store, "select sum(bytes) from flow_logs"]), "");
    // What leaves all logs with the column out says nothing of the others.
    let late = said(&["sql", "--store", store, "select count(*) from flow_logs where start > '2027-01-01'"]);
    assert_eq!(late, "");
    // A named query can do without what it does not name among its needs.
    let talkers = said(&["run", "top_talkers", "--raw", &logs]);
    assert!(talkers.contains("`packets`") && !talkers.contains("`action`"), "{talkers}");
}

#[test]
fn merging_files_does_not_hide_which_logs_lack_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    // NODATA has no action either, and is no log without the field.
    let with = "version srcaddr bytes start action log-status\n2 10.0.0.1 1 1768471200 REJECT OK\n\
                2 - - 1768471260 - NODATA\n2 10.0.0.1 1 1768471260 ACCEPT OK\n";
    std::fs::write(logs.join("a.log"), with).unwrap();
    let without = "version srcaddr bytes start\n2 10.0.0.3 7 1768471300\n2 10.0.0.3 7 1768471360\n";
    std::fs::write(logs.join("b.log"), without).unwrap();
    let run = |words: &[&str]| flowq_in(folder.path(), words);
    assert_eq!(run(&["ingest", "logs"]).status.code(), Some(0));
    let count = ["sql", "select count(*) from flow_logs where action = 'REJECT'"];
    assert!(err(&run(&count)).contains("`action` (2 of 5 records)"), "{}", err(&run(&count)));
    assert_eq!(run(&["optimize"]).status.code(), Some(0));
    assert!(err(&run(&count)).contains("`action` (2 of 5 records)"), "{}", err(&run(&count)));
}
