//! What users are told when something is not as it should be, and with which exit code.

use std::fs;

use serde_json::json;

use crate::support::{Case, Run, command, flow_log, flowq, gzip};

#[test]
fn no_such_path_names_what_is_there_instead() {
    let case = Case::new();
    case.write("dump.log", flow_log(0, 3));
    let run = case.ingest_paths(&[case.input().join("dmp.log")], &[]).expect(4);
    assert!(run.err.contains("dmp.log") && run.err.contains("dump.log"), "{}", run.err);
    assert!(!case.store().exists(), "nothing is made for nothing");
    // The others are read all the same.
    let run = case.ingest_paths(&[case.input().join("missing"), case.input()], &[]).expect(4);
    assert_eq!(run.json()["total"]["rows"], json!(3));
    assert_eq!(case.count("flow_logs"), 3);
    let run = case.ingest_paths(&["s3://bucket/AWSLogs"], &[]).expect(4);
    assert!(run.err.contains("aws s3 sync"), "{}", run.err);
    let run = case.ingest_paths(&[case.input().join("*.nothing")], &[]).expect(4);
    assert!(run.err.contains("nothing matches"), "{}", run.err);
}

#[test]
fn a_folder_without_logs_is_named_for_what_it_looks_like() {
    let case = Case::new();
    let trail = json!({"Records": [{"eventVersion": "1.08", "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances"}]});
    case.write("AWSLogs/123456789012/CloudTrail/us-east-1/2026/01/15/123456789012_CloudTrail_us-east-1_20260115T1015Z_Xq1Yz2Ab3Cd4Ef5G.json.gz", gzip(trail.to_string()));
    case.write("notes.txt", "these are no logs\nat all\n");
    let run = case.ingest(&[]).expect(4);
    let skipped = run.json()["skipped"].to_string();
    assert!(skipped.contains("CloudTrail") && skipped.contains("notes.txt"), "{skipped}");
    let run =
        flowq([case_arg("ingest"), case.input().into(), case_arg("--store"), case.store().into()]).expect(4);
    assert!(
        run.err.contains("CloudTrail") && run.err.contains("no AWS network log among 2 files"),
        "{}",
        run.err
    );
}

fn case_arg(text: &str) -> std::ffi::OsString {
    text.into()
}

#[test]
fn a_gz_that_breaks_off_before_its_text_is_no_object_without_records() {
    let case = Case::new();
    let whole = gzip(flow_log(0, 3));
    // Within the magic number, within the header, behind it, and with something else behind it.
    for (name, bytes) in [
        ("a.log.gz", whole[..2].to_vec()),
        ("b.log.gz", whole[..5].to_vec()),
        ("c.log.gz", whole[..10].to_vec()),
        ("d.log.gz", [&whole[..10], &[0xff; 40]].concat()),
    ] {
        case.write(name, bytes);
    }
    let run = case.ingest(&[]).expect(4);
    let skipped = run.json()["skipped"].as_array().unwrap().clone();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    for one in &skipped {
        let what = one["what"].as_str().unwrap();
        assert!(what.starts_with("gzip data ") && what.ends_with("(fetch the file again)"), "{one}");
    }
    case.write("whole.log.gz", whole);
    let count = "select count(*) from flow_logs";
    let run = flowq([case_arg("sql"), "--from".into(), case.input().into(), count.into()]).expect(0);
    let said = "a.log.gz: gzip data breaks off at byte 2 (fetch the file again) (and 3 more files)";
    assert!(run.out.contains("\n       3\n") && run.err.contains(said), "{} {}", run.out, run.err);
    // An object without anything in it is what an hour without traffic leaves behind.
    let case = Case::new();
    case.write("none.log.gz", gzip(""));
    let run = case.ingest(&[]).expect(0);
    assert_eq!(run.json()["skipped"], json!([]));
}

#[test]
fn an_empty_folder_is_no_success() {
    let case = Case::new();
    let run = case.ingest(&[]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(!run.err.is_empty());
}

#[test]
fn a_wrong_field_in_a_log_format_is_answered_with_the_nearest() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    let run = case.ingest(&["--log-format", "version srcadr dstaddr"]).expect(2);
    assert!(run.err.contains("`srcadr`") && run.err.contains("`srcaddr`"), "{}", run.err);
    let run = case.ingest(&["--log-format", "${version} ${src-addr}"]).expect(2);
    assert!(run.err.contains("`src-addr`") && run.err.contains("`srcaddr`"), "{}", run.err);
    let run = case.ingest(&["--log-format", ""]).expect(2);
    assert!(run.err.contains("describe-flow-logs"), "{}", run.err);
    let run = case.ingest(&["--log-format", "srcaddr srcaddr"]).expect(2);
    assert!(run.err.contains("twice"), "{}", run.err);
    assert!(!case.store().exists());
}

#[test]
fn usage_errors_end_with_two() {
    assert!(flowq(["ingest"]).expect(2).err.contains("PATH"));
    flowq(["ingest", "--no-such-option", "x"]).expect(2);
    flowq(["no-such-command"]).expect(2);
    assert!(flowq(["--help"]).expect(0).out.contains("ingest"));
    assert!(flowq(["--version"]).expect(0).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_folder_of_something_else_is_not_made_a_store() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    fs::create_dir(case.store()).unwrap();
    fs::write(case.store().join("thesis.txt"), "years of work").unwrap();
    let run = case.ingest(&[]).expect(4);
    assert!(run.err.contains("not a flowq store") && run.err.contains("--store"), "{}", run.err);
    let names: Vec<_> =
        fs::read_dir(case.store()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
}

#[test]
fn a_store_of_a_newer_flowq_is_left_alone() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    case.ingest(&[]).expect(0);
    let path = case.store().join("_flowq/store.json");
    let mut identity: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    identity["format"] = json!(999);
    identity["written_by"] = json!("flowq 99.0");
    fs::write(&path, identity.to_string()).unwrap();
    case.write("b.log", flow_log(3, 3));
    let run = case.ingest(&[]).expect(4);
    assert!(
        run.err.contains("newer flowq") && run.err.contains("99.0") && run.err.contains("update"),
        "{}",
        run.err
    );
    assert_eq!(case.count("flow_logs"), 3);
}

#[test]
fn an_unwritable_store_is_an_error_with_its_path() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    // A file where a folder should be refuses even root.
    fs::write(case.store(), "").unwrap();
    let run = case.ingest(&[]).expect(4);
    assert!(run.err.contains(&case.store().display().to_string()), "{}", run.err);
    let below = case.store().join("deeper");
    let mut command = command();
    command.arg("ingest").arg(case.input()).arg("--store").arg(&below);
    let run = Run::of(command.output().unwrap()).expect(4);
    assert!(run.err.contains(&below.display().to_string()), "{}", run.err);
}

#[test]
fn a_read_only_store_is_an_error_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    let parent = case.dir.path().join("locked");
    fs::create_dir(&parent).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::create_dir(parent.join("probe")).is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    let mut command = command();
    command.arg("ingest").arg(case.input()).arg("--store").arg(parent.join("store"));
    let run = Run::of(command.output().unwrap()).expect(4);
    assert!(run.err.contains("permission") && run.err.contains("--store"), "{}", run.err);
}

#[test]
fn a_file_that_may_not_be_read_does_not_stop_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    let locked = case.write("b.log", flow_log(3, 3));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&locked).is_ok() {
        eprintln!("skipped: this user may read anything");
        return;
    }
    let run = case.ingest(&[]).expect(4);
    assert!(run.err.contains("b.log") && run.err.contains("permission"), "{}", run.err);
    assert_eq!(case.count("flow_logs"), 3);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o644)).unwrap();
    case.ingest(&[]).expect(0);
    assert_eq!(case.count("flow_logs"), 6);
}

#[test]
fn a_damaged_parquet_file_does_not_stop_the_others() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    case.write("b.log.parquet", b"PAR1 this is not what it says PAR1");
    let run = case.ingest(&[]).expect(4);
    assert!(run.err.contains("b.log.parquet"), "{}", run.err);
    assert_eq!(case.count("flow_logs"), 3);
}

#[test]
fn a_parquet_file_that_makes_its_library_panic_does_not_stop_the_others() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    // A footer with a negative offset.
    case.write("b.log.parquet", include_bytes!("damaged/negative-offset.parquet"));
    let run = case.ingest(&["--threads", "1"]).expect(4);
    assert!(run.err.contains("b.log.parquet") && run.err.contains("metadata"), "{}", run.err);
    assert_eq!(case.count("flow_logs"), 3);
}

#[test]
fn progress_and_notes_never_mix_with_the_result() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    case.write("notes.txt", "no log\n");
    let run = case.ingest(&[]).expect(0);
    run.json();
    assert!(!run.err.contains('\u{1b}') && !run.err.contains('\r'), "no bar where there is no terminal");
    let mut quiet = command();
    quiet.args(["ingest", "-q"]).arg(case.input()).arg("--store").arg(case.store());
    let run = Run::of(quiet.output().unwrap()).expect(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
}

#[test]
fn the_table_on_the_terminal_says_what_the_json_says() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 1234));
    let mut table = command();
    table.args(["ingest"]).arg(case.input()).arg("--store").arg(case.store());
    let run = Run::of(table.output().unwrap()).expect(0);
    assert!(
        run.out.contains("flow_logs") && run.out.contains("1,234") && run.out.contains("UTC"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("lines: 1,235 = 1,234 rows + 0 quarantined + 1 header + 0 blank"),
        "{}",
        run.out
    );
}

#[test]
fn objects_without_records_alone_are_no_failure() {
    let case = Case::new();
    case.write("empty.log", "");
    case.write("empty.log.gz", gzip(""));
    let summary = case.ingest(&[]).expect(0).json();
    assert_eq!(summary["passed_over"], json!(2));
    let raw = ["sql", "--format", "csv", "select count(*) as c from flow_logs", "--from"].map(String::from);
    let raw = flowq(raw.into_iter().chain([case.input().to_string_lossy().into_owned()])).expect(0);
    assert_eq!(raw.out, "c\n0\n");
}

#[cfg(unix)]
#[test]
fn a_link_to_itself_stops_no_other_file() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    std::os::unix::fs::symlink("self", case.input().join("self")).unwrap();
    case.ingest(&[]).expect(0);
    assert_eq!(case.count("flow_logs"), 3);
    let raw = ["sql", "--format", "csv", "select count(*) as c from flow_logs", "--from"].map(String::from);
    let raw = flowq(raw.into_iter().chain([case.input().to_string_lossy().into_owned()])).expect(0);
    assert_eq!(raw.out, "c\n3\n");
    let typed = case.ingest_paths(&[case.input().join("gone")], &[]).expect(4);
    assert!(typed.err.contains("no such file or folder"), "{}", typed.err);
    std::os::unix::fs::symlink("gone", case.input().join("dangling")).unwrap();
    let typed = case.ingest_paths(&[case.input().join("dangling")], &[]).expect(4);
    assert!(typed.err.contains("dangling: a symbolic link to nothing"), "{}", typed.err);
}

#[test]
fn what_is_wrong_with_an_option_is_said_in_its_own_words() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    case.ingest(&[]).expect(0);
    let store = case.store();
    let store = store.to_str().unwrap();
    for before in ["yesterday", "2026-01-15T00:00:00Z", ""] {
        let run = flowq(["forget", "--store", store, "--before", before]).expect(2);
        assert!(run.err.contains("expected a date as YYYY-MM-DD"), "{}", run.err);
    }
    let run = flowq(["run", "top_talkers", "--store", store, "--limit", "-1"]).expect(2);
    assert!(run.err.contains("must be 1 or more, not -1"), "{}", run.err);
    // A variable that is set and empty is as good as none.
    let mut info = command();
    info.arg("info").env("FLOWQ_STORE", "").env("FLOWQ_QUERIES", "").current_dir(case.dir.path());
    let run = Run::of(info.output().unwrap()).expect(4);
    assert!(run.err.contains("no store at ./flowq-store"), "{}", run.err);
    let mut list = command();
    list.args(["queries", "list"]).env("FLOWQ_QUERIES", "");
    Run::of(list.output().unwrap()).expect(0);
}

#[test]
fn the_systems_words_are_said_once() {
    let case = Case::new();
    case.write("a.log", flow_log(0, 3));
    // A file where the store's folder would be: whoever asks, the system says no.
    let blocked = case.write("blocked", "x");
    let run = flowq([
        "ingest",
        case.input().join("a.log").to_str().unwrap(),
        "--store",
        blocked.join("s").to_str().unwrap(),
    ]);
    let said = run.expect(4).err;
    assert_eq!(said.matches("os error").count(), 1, "{said}");
}
