//! `flowq config` as users run it, over the sample network of `testdata/`.

use std::path::Path;
use std::process::{Command, Output};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/aws-config");
/// The hour of the sample's traffic.
const TIME: &str = "2026-01-15T10:00:00Z";

fn flowq(store: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowq")).arg("--store").arg(store).args(arguments).output().unwrap()
}

/// Standard output of a command that must succeed.
fn out(store: &Path, arguments: &[&str]) -> String {
    let output = flowq(store, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn configuration_is_imported_shown_checked_and_queried() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let import = ["config", "import", SAMPLE, "--captured-at", TIME, "--format", "csv"];

    let first = out(&store, &import);
    assert_eq!(first.lines().filter(|line| line.ends_with(",imported")).count(), 10, "{first}");
    assert!(first.contains("AWS CLI output (NetworkInterfaces)"), "{first}");
    let again = out(&store, &import);
    assert_eq!(again.lines().filter(|line| line.ends_with(",held already")).count(), 10, "{again}");

    let show = out(&store, &["config", "show", "--format", "csv"]);
    assert!(show.lines().any(|line| line == format!("network interfaces,8,8,{TIME}")), "{show}");
    let bastion = out(&store, &["config", "show", "10.0.0.10"]);
    assert!(
        bastion.contains("eni-0a1b00000000000a3") && bastion.contains("sg-02000000000000000"),
        "{bastion}"
    );

    // The partner API's subnet has a network ACL without ephemeral ports: the one planned fault of the sample.
    let check = out(&store, &["config", "check", "--severity", "error", "--format", "csv"]);
    assert!(
        check.lines().any(|line| line.starts_with("error,nacl_return_path,acl-03000000000000000,")),
        "{check}"
    );
    let strict = flowq(&store, &["config", "check", "--strict"]);
    assert_eq!(strict.status.code(), Some(1));

    let same =
        out(&store, &["config", "diff", "--from", "2026-01-01", "--to", "2026-02-01", "--format", "csv"]);
    assert_eq!(same.lines().count(), 1, "one capture never differs from itself: {same}");

    // What the sample's story tells of 10:30: the partner's call comes in, and no answer leaves.
    let ask = ["explain", "--src", "203.0.113.44", "--dst", "10.0.3.30", "--dport", "443", "--format", "csv"];
    let stages = out(&store, &ask);
    let denied: Vec<&str> = stages.lines().filter(|line| line.contains(",deny,")).collect();
    assert_eq!(denied.len(), 1, "{stages}");
    assert!(denied[0].starts_with("back,network_acl,egress,subnet-0dddddddddddddddd,deny,"), "{stages}");

    let sql = "select direction, action, traffic, cidr from network_acl_entries \
               where nacl_id = 'acl-02000000000000000' and rule_number = 80";
    let entry = out(&store, &["sql", "--format", "csv", sql]);
    assert_eq!(entry, "direction,action,traffic,cidr\ningress,deny,all traffic,198.51.100.77/32\n");
}

#[test]
fn what_is_no_configuration_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (folder.path().join("store"), folder.path().join("input"));
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("notes.json"), "hello").unwrap();
    std::fs::write(input.join("sg.json"), "{\"SecurityGroups\":[{\"GroupId\":\"sg-1\"}]}").unwrap();
    let input = input.to_str().unwrap();

    let output = flowq(&store, &["config", "import", input, "--format", "csv"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(text.contains("refused") && text.contains(",imported"), "{text}");
    assert!(
        errors.contains("notes.json: not readable as JSON") && errors.contains("--captured-at"),
        "{errors}"
    );
    assert_eq!(flowq(&store, &["config", "import", input, "--strict"]).status.code(), Some(3));

    let nothing = flowq(&folder.path().join("other"), &["config", "show"]);
    assert_eq!(nothing.status.code(), Some(4));
}
