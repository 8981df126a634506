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
    let back = flowq(&store, &["config", "diff", "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert_eq!(back.status.code(), Some(2), "the end is before the beginning");

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

#[test]
fn a_file_in_which_nothing_could_be_read_is_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (folder.path().join("store"), folder.path().join("sg.json"));
    std::fs::write(&input, "{\"SecurityGroups\": {}}").unwrap();
    let output = flowq(&store, &["config", "import", input.to_str().unwrap(), "--format", "csv"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(4), "{text}{errors}");
    assert!(text.contains(",refused") && errors.contains("nothing in it could be read"), "{text}{errors}");
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    // The runtime panics over them.
    let folder = tempfile::tempdir().unwrap();
    let output = flowq(&folder.path().join("store"), &["sql", "select 1", "--threads", "100000"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_config_check_does_not_show_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, input) = (folder.path().join("store"), folder.path().join("sg.json"));
    let group = r#"{"SecurityGroups":[{"GroupId":"sg-1","VpcId":"vpc-1","IpPermissions":[{"IpProtocol":"tcp","FromPort":22,"ToPort":22,
        "IpRanges":[{"CidrIp":"0.0.0.0/0"}]}],"IpPermissionsEgress":[]}]}"#;
    std::fs::write(&input, group).unwrap();
    out(&store, &["config", "import", input.to_str().unwrap(), "--captured-at", TIME]);
    let output = flowq(&store, &["config", "check", "--severity", "error", "--format", "csv"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("world_open"), "{text}");
    assert!(errors.contains("1 note (1 of these not shown)"), "{errors}");
}

#[test]
fn an_object_is_shown_by_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    out(&store, &["config", "import", SAMPLE, "--captured-at", TIME]);
    let rule = out(&store, &["config", "show", "sgr-00000000000000006"]);
    assert!(rule.contains("security group rule") && rule.contains("sg-02000000000000000"), "{rule}");
    let group = out(
        &store,
        &["config", "show", "arn:aws:ec2:us-east-1:111122223333:security-group/sg-02000000000000000"],
    );
    assert!(group.contains("sgr-00000000000000006"), "{group}");
    let nobody = flowq(&store, &["config", "show", "10.0.0.250"]);
    let errors = String::from_utf8_lossy(&nobody.stderr);
    assert!(errors.contains("no interface holds it; it lies in subnet-0aaaaaaaaaaaaaaaa"), "{errors}");
}

#[test]
fn explanations_show_the_records_of_the_flow() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    // The five minutes of the sample in which the partner calls and no answer leaves.
    let log = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/testdata/s3-dump/AWSLogs/111122223333/vpcflowlogs/us-east-1/2026/01/15/",
        "111122223333_vpcflowlogs_us-east-1_fl-0a1b2c3d4e5f60718_20260115T1030Z_de1e3199.log.gz"
    );
    let ask =
        ["explain", "--src", "203.0.113.44", "--dst", "10.0.3.30", "--dport", "443", "--format", "json"];
    let explain = |more: &[&str]| -> serde_json::Value {
        let arguments: Vec<&str> = ask.iter().chain(more).copied().collect();
        serde_json::from_str(&out(&store, &arguments)).unwrap()
    };
    // Neither a store nor an import is needed. Around 10:30 there are the calls of 10:30:00, :15, :30 and 10:31:00.
    let raw = ["--config", SAMPLE, "--from", log, "--at", "2026-01-15T10:30:00Z", "--within", "60"];
    let found = explain(&raw);
    assert_eq!((&found["logs"]["found"], &found["logs"]["rejects"]), (&8.into(), &4.into()), "{found}");
    let records = found["logs"]["records"].as_array().unwrap();
    assert_eq!(records.len(), 8);
    assert_eq!(records[0]["start"], "2026-01-15T10:30:00Z");
    for record in records {
        let is_reject = record["action"] == "REJECT";
        assert_eq!(is_reject, record["srcaddr"] == "10.0.3.30", "{record}");
        assert_eq!(
            record["verdict"],
            if is_reject { "NACL".into() } else { serde_json::Value::Null },
            "{record}"
        );
    }
    assert_eq!(found["contradiction"], serde_json::Value::Null, "the configuration blocks the answers too");
    let stage = &found["stages"][found["first_blocker"].as_u64().unwrap() as usize];
    assert_eq!((&stage["layer"], &stage["way"]), (&"network_acl".into(), &"back".into()));
    assert_eq!(stage["subnet"], "subnet-0dddddddddddddddd");

    let one: Vec<&str> = raw.iter().copied().chain(["--sport", "51091"]).collect();
    assert_eq!(explain(&one)["logs"]["found"], 2, "the call of 10:30:15 and its answer");
    let none: Vec<&str> = raw.iter().copied().chain(["--records", "0"]).collect();
    assert_eq!(explain(&none)["logs"], serde_json::Value::Null);

    // The same out of a store.
    out(&store, &["ingest", log]);
    out(&store, &["config", "import", SAMPLE, "--captured-at", TIME]);
    let stored = explain(&["--at", "2026-01-15T10:30:00Z", "--within", "60"]);
    assert_eq!((&stored["logs"]["found"], &stored["logs"]["rejects"]), (&8.into(), &4.into()));
    let text = out(&store, &["explain", "--src", "203.0.113.44", "--dst", "10.0.3.30", "--dport", "443"]);
    assert!(text.contains("records of this flow") && text.contains(": NACL, "), "{text}");

    // A statement behind options with several values is no path.
    let count = "select count(*) as n from flow_logs where srcaddr = '203.0.113.44' and \"end\" < '2026-01-15T10:30:20Z'";
    let counted = out(&store, &["sql", "--format", "csv", "--from", log, "--config", SAMPLE, count]);
    assert_eq!(counted, "n\n1\n", "10:30:00 to :14; the next ends at :29");
}
