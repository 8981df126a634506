//! `flowq rules` and `flowq whatif`, on the dump and on small worlds whose answers are worked out by hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Case, Run, command, project};

pub fn run(case: &Case, args: &[&str]) -> Run {
    let mut command = command();
    command.args(args).arg("--store").arg(case.store());
    Run::of(command.output().unwrap())
}

/// A web server with a public and an administration port, seen for an hour; the configuration of its interface, group and
/// network ACL.
pub fn world() -> Case {
    let case = Case::new();
    let header = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n";
    let mut log = header.to_owned();
    for (minute, line) in [
        (0, "198.51.100.7 10.0.1.10 51000 443 6 5 500 S E ACCEPT OK"),
        (0, "10.0.1.10 198.51.100.7 443 51000 6 6 6000 S E ACCEPT OK"),
        (10, "198.51.100.8 10.0.1.10 52000 443 6 5 700 S E ACCEPT OK"),
        (20, "10.9.0.1 10.0.1.10 53000 22 6 9 900 S E ACCEPT OK"),
        (30, "203.0.113.9 10.0.1.10 54000 8080 6 1 40 S E REJECT OK"),
        (40, "- - - - - - - S E - NODATA"),
        (50, "- - - - - - - S E - NODATA"),
        (59, "- - - - - - - S E - NODATA"),
    ] {
        let start = 1_768_471_200 + minute * 60; // 2026-01-15T10:00:00Z
        let line = line.replace('S', &start.to_string());
        // The letter of REJECT and ACCEPT is not alone between spaces.
        let line = line.replace(" E ", &format!(" {} ", start + 60));
        log.push_str(&format!("2 111122223333 eni-0a {line}\n"));
    }
    case.write("AWSLogs/flow.log", log);
    case.ingest(&[]).expect(0);
    config(&case, "now", &[(443, "0.0.0.0/0"), (22, "10.0.0.0/8"), (9100, "10.0.0.0/8")]);
    let folder = case.dir.path().join("now");
    run(&case, &["config", "import", folder.to_str().unwrap(), "--captured-at", "2026-01-15T09:00:00Z"])
        .expect(0);
    case
}

/// AWS CLI JSON of the world, with these inbound rules for TCP ports.
pub fn config(case: &Case, name: &str, rules: &[(u16, &str)]) -> PathBuf {
    let folder = case.dir.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let write = |file: &str, value: Value| fs::write(folder.join(file), value.to_string()).unwrap();
    write("groups.json", groups(rules));
    write(
        "interfaces.json",
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-0a", "SubnetId": "subnet-0a", "VpcId": "vpc-0a",
            "PrivateIpAddress": "10.0.1.10", "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.1.10"}],
            "Groups": [{"GroupId": "sg-0a", "GroupName": "web"}]}]}),
    );
    write(
        "subnets.json",
        json!({"Subnets": [{"SubnetId": "subnet-0a", "VpcId": "vpc-0a", "CidrBlock": "10.0.1.0/24"}]}),
    );
    write("acls.json", acl(&[(100, "allow", "0.0.0.0/0")]));
    folder
}

pub fn groups(rules: &[(u16, &str)]) -> Value {
    let permission = |(port, cidr): &(u16, &str)| json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]});
    json!({"SecurityGroups": [{"GroupId": "sg-0a", "GroupName": "web", "VpcId": "vpc-0a",
        "IpPermissions": rules.iter().map(permission).collect::<Vec<_>>(), "IpPermissionsEgress": []}]})
}

/// A network ACL with these inbound entries for everything, and an open outbound side.
pub fn acl(entries: &[(u32, &str, &str)]) -> Value {
    let entry = |number: u32, egress: bool, action: &str, cidr: &str| json!({"RuleNumber": number, "Egress": egress, "Protocol": "-1", "RuleAction": action, "CidrBlock": cidr});
    let mut all: Vec<Value> =
        entries.iter().map(|(number, action, cidr)| entry(*number, false, action, cidr)).collect();
    all.push(entry(100, true, "allow", "0.0.0.0/0"));
    json!({"NetworkAcls": [{"NetworkAclId": "acl-0a", "VpcId": "vpc-0a", "IsDefault": false, "Entries": all,
        "Associations": [{"SubnetId": "subnet-0a", "NetworkAclId": "acl-0a"}]}]})
}

pub fn rows(run: Run) -> Vec<Value> {
    run.json().as_array().unwrap().clone()
}

#[test]
fn hits_of_a_small_world() {
    let case = world();
    let found = rows(run(&case, &["rules", "hits", "--format", "json"]).expect(0));
    let of = |text: &str| found.iter().find(|row| row["rule"].as_str().unwrap().contains(text)).unwrap();
    let web = of("allow tcp 443");
    assert_eq!((&web["conversations"], &web["bytes"], &web["remotes"]), (&json!(2), &json!(1200), &json!(2)));
    assert_eq!(
        (&web["sole"], &web["shared"], &web["layer"]),
        (&json!(2), &json!(0), &json!("security_group"))
    );
    assert_eq!(web["first_seen"], "2026-01-15T10:00:00Z");
    assert_eq!(web["last_seen"], "2026-01-15T10:11:00Z");
    assert_eq!(of("allow tcp 9100")["conversations"], 0);
    // Both lists let everything pass; the answer is the outbound list's.
    assert_eq!(
        (&of("inbound rule 100")["conversations"], &of("inbound rule 100")["bytes"]),
        (&json!(3), &json!(2100))
    );
    assert_eq!(
        (&of("outbound rule 100")["conversations"], &of("outbound rule 100")["bytes"]),
        (&json!(1), &json!(6000))
    );

    let later = run(
        &case,
        &["rules", "hits", "--from", "2026-01-15T10:05:00Z", "--object", "sg-0a", "--format", "csv"],
    )
    .expect(0);
    assert!(
        later.out.lines().any(|line| line.contains("allow tcp 443") && line.contains(",1,1,700,1,")),
        "{}",
        later.out
    );
}

#[test]
fn tables_for_people_keep_rules_whole() {
    let case = world();
    let hits = run(&case, &["rules", "hits"]).expect(0).out;
    let rule = "  group sg-0a inbound rule allow tcp 443 from 0.0.0.0/0";
    let at = hits.lines().position(|line| line.ends_with(rule)).unwrap();
    assert!(hits.lines().nth(at).unwrap().trim_start().starts_with("2 "), "{hits}");
    assert_eq!(hits.lines().nth(at + 1).unwrap().trim(), "seen 2026-01-15T10:00:00Z to 2026-01-15T10:11:00Z");
    // Sections of the report have heads of their own, and their rules are in words.
    let report = run(&case, &["attribute"]).expect(0).out;
    assert!(report.contains("\nrecords  percent  verdict         rule\n"), "{report}");
    assert!(report.contains("\n      1    100.0  SECURITY_GROUP  sg-0a (web)\n"), "{report}");
    let shown = run(&case, &["config", "show", "acl-0a"]).expect(0).out;
    assert!(shown.contains("  nacl acl-0a inbound rule 100 allow all traffic from 0.0.0.0/0\n"), "{shown}");
}

#[test]
fn a_report_without_rejects_has_its_columns() {
    let case = world();
    for by in ["nacl", "group", "interface", "remote", "port"] {
        let args = ["attribute", "--by", by, "--where", "verdict = 'VPC_BPA'", "--format", "csv"];
        let found = run(&case, &args).expect(0);
        assert_eq!(found.out.lines().count(), 1, "{by}: {}", found.out);
        assert!(found.out.contains(",verdict,records,packets,remotes,first_seen,last_seen"), "{}", found.out);
        assert!(found.err.contains("no REJECT fulfils the condition"), "{}", found.err);
    }
}

#[test]
fn a_report_finds_room_for_its_sorts_under_any_limit() {
    let case = world();
    for limit in ["2M", "8M", "64M", "100M", "128M"] {
        for threads in ["1", "2", "8"] {
            run(&case, &["attribute", "--memory-limit", limit, "--threads", threads]).expect(0);
        }
    }
}

#[test]
fn captures_are_of_a_time_that_has_been() {
    let case = world();
    let folder = case.dir.path().join("now");
    let import = |at: &str| run(&case, &["config", "import", folder.to_str().unwrap(), "--captured-at", at]);
    // Seconds, milliseconds and the compact form are one time.
    for at in ["1768467600", "1768467600000", "20260115T090000Z"] {
        assert!(import(at).expect(0).out.contains("2026-01-15T09:00:00Z"), "{at}");
    }
    for (at, said) in
        [("2926-01-15", "2926-01-15T00:00:00Z is still to come"), ("1769940", "expected a time such as")]
    {
        let refused = import(at).expect(2);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
}

#[test]
fn every_format_and_source() {
    let case = world();
    let raw = case.input();
    for format in ["table", "csv", "tsv", "json", "ndjson", "markdown"] {
        let stored = run(&case, &["rules", "hits", "--format", format]).expect(0);
        let config = case.dir.path().join("now");
        let args = [
            "rules",
            "hits",
            "--format",
            format,
            "--raw",
            raw.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
        ];
        assert_eq!(run(&case, &args).expect(0).out, stored.out, "{format}");
    }
    let file = case.dir.path().join("hits.parquet");
    run(&case, &["rules", "hits", "-o", file.to_str().unwrap()]).expect(0);
    assert!(fs::metadata(&file).unwrap().len() > 0);
}

#[test]
fn unused_says_what_it_leans_on() {
    let case = world();
    // An hour is too short to say anything, however well it is covered.
    let short = rows(run(&case, &["rules", "unused", "--format", "json"]).expect(0));
    assert_eq!(short[0]["verdict"], "not enough evidence");
    assert_eq!(short[0]["reason"], "it was observed for only 60.0 minutes");
    let found = rows(run(&case, &["rules", "unused", "--min-window", "1h", "--format", "json"]).expect(0));
    // Records in each ten minutes: every slot of the hour is covered.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["verdict"], "unused");
    assert!(found[0]["rule"].as_str().unwrap().contains("tcp 9100"));
    assert_eq!(found[0]["coverage_percent"], 100.0);
    let all =
        run(&case, &["rules", "unused", "--min-window", "1h", "--min-coverage", "1.1", "--format", "json"])
            .expect(0);
    let all = rows(all);
    assert_eq!(all[0]["verdict"], "not enough evidence");
    assert_eq!(all[0]["reason"], "its interfaces were logged in 100.0 % of the window");
    let said = run(&case, &["rules", "unused"]).expect(0).err;
    assert!(said.contains("less than a week"), "{said}");
}

#[test]
fn without_configuration_or_logs_it_is_said() {
    let case = Case::new();
    case.write("AWSLogs/flow.log", "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n\
        2 111122223333 eni-0a 198.51.100.7 10.0.1.10 51000 443 6 5 500 1768471200 1768471260 ACCEPT OK\n");
    case.ingest(&[]).expect(0);
    for command in ["hits", "tighten"] {
        let said = run(&case, &["rules", command]).expect(4).err;
        assert!(said.contains("flowq config import") && !said.contains("External"), "{said}");
    }
    let bad = run(&case, &["rules", "hits", "--from", "soon"]);
    assert_eq!(bad.code, Some(2), "{}", bad.err);
}

#[test]
fn the_dump_s_rule_that_nothing_uses() {
    let case = Case::new();
    let config = project().join("testdata/aws-config");
    let dump = project().join("testdata/s3-dump");
    let args = [
        "rules",
        "unused",
        "--raw",
        dump.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--format",
        "json",
    ];
    let found = rows(run(&case, &args).expect(0));
    let metrics = found.iter().find(|row| row["rule"].as_str().unwrap().contains("tcp 9100")).unwrap();
    assert_eq!((&metrics["interfaces"], &metrics["interfaces_seen"]), (&json!(2), &json!(2)));
}

fn whatif(case: &Case, change: &Path, code: i32) -> (Vec<Value>, String) {
    let run = run(case, &["whatif", "--change", change.to_str().unwrap(), "--format", "json"]).expect(code);
    let err = run.err.clone();
    (rows(run), err)
}

#[test]
fn a_gate_for_changes() {
    let case = world();
    // The same again: nothing changes.
    let same = config(&case, "same", &[(443, "0.0.0.0/0"), (22, "10.0.0.0/8"), (9100, "10.0.0.0/8")]);
    assert_eq!(whatif(&case, &same, 0).0, Vec::<Value>::new());

    // Without the unused rule: nothing is lost.
    let partial = case.dir.path().join("tidy.json");
    fs::write(&partial, groups(&[(443, "0.0.0.0/0"), (22, "10.0.0.0/8")]).to_string()).unwrap();
    let (effects, said) = whatif(&case, &partial, 0);
    assert_eq!(effects, Vec::<Value>::new());
    assert!(said.contains("changes sg-0a"), "{said}");

    // SSH from elsewhere only, and 8080 open.
    let groups_file = case.dir.path().join("groups.json");
    let rules = groups(&[(443, "0.0.0.0/0"), (22, "192.0.2.0/24"), (8080, "0.0.0.0/0")]);
    fs::write(&groups_file, rules.to_string()).unwrap();
    let (effects, _) = whatif(&case, &groups_file, 1);
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert_eq!((&effects[0]["outcome"], &effects[0]["port"]), (&json!("newly_blocked"), &json!(22)));
    assert_eq!((&effects[0]["remotes"], &effects[0]["bytes"]), (&json!("10.9.0.1"), &json!(900)));
    assert_eq!(effects[0]["then"], "no inbound rule of sg-0a allows it");
    assert_eq!(effects[0]["established"], "kept");
    assert_eq!((&effects[1]["outcome"], &effects[1]["port"]), (&json!("newly_allowed"), &json!(8080)));

    // A network ACL in front.
    let list = case.dir.path().join("list.json");
    fs::write(&list, acl(&[(90, "deny", "198.51.100.8/32"), (100, "allow", "0.0.0.0/0")]).to_string())
        .unwrap();
    let (effects, _) = whatif(&case, &list, 1);
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!((&effects[0]["remotes"], &effects[0]["established"]), (&json!("198.51.100.8"), &json!("cut")));
    assert_eq!(effects[0]["then"], "nacl acl-0a inbound rule 90 deny all traffic from 198.51.100.8/32");
}

/// The exit code of a command whose output nobody reads.
fn code_unread(case: &Case, args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command();
    command.args(args).arg("--store").arg(case.store()).stdout(writer).stderr(std::process::Stdio::null());
    command.status().unwrap().code()
}

#[test]
fn a_gate_stays_shut_though_nobody_reads_what_it_says() {
    let case = world();
    let file = case.dir.path().join("groups.json");
    fs::write(&file, groups(&[(443, "0.0.0.0/0")]).to_string()).unwrap();
    for format in ["table", "csv", "json", "ndjson"] {
        let args = ["whatif", "--change", file.to_str().unwrap(), "--format", format];
        assert_eq!(code_unread(&case, &args), Some(1), "{format}");
    }
}

#[test]
fn records_without_a_time_are_counted_and_for_no_rule() {
    let case = world();
    let log = case.write(
        "timeless.log",
        "interface-id srcaddr dstaddr srcport dstport protocol action log-status\n\
         eni-0a 198.51.100.7 10.0.1.10 51000 443 6 ACCEPT OK\n",
    );
    let said = run(&case, &["rules", "hits", "--raw", log.to_str().unwrap()]).expect(0).err;
    assert!(said.contains("1 record without start and end: for no rule"), "{said}");
    assert!(!said.contains("hold no record"), "{said}");
}

#[test]
fn a_terraform_plan_is_applied() {
    let case = world();
    let rule = |id: &str, port: u16, cidr: &str| {
        json!({"address": format!("aws_vpc_security_group_ingress_rule.{id}"), "mode": "managed",
            "type": "aws_vpc_security_group_ingress_rule", "name": id,
            "values": {"id": id, "security_group_id": "sg-0a", "ip_protocol": "tcp", "from_port": port, "to_port": port, "cidr_ipv4": cidr}})
    };
    let plan = |prior: &[Value], planned: &[Value]| {
        json!({"format_version": "1.2", "resource_changes": [],
            "prior_state": {"format_version": "1.0", "values": {"root_module": {"resources": prior}}},
            "planned_values": {"root_module": {"resources": planned}}})
    };
    let file = case.dir.path().join("plan.json");
    // The plan manages two of the group's three rules, and takes one of them away.
    let (ssh, metrics) = (rule("sgr-2", 22, "10.0.0.0/8"), rule("sgr-3", 9100, "10.0.0.0/8"));
    fs::write(&file, plan(&[ssh.clone(), metrics.clone()], std::slice::from_ref(&metrics)).to_string())
        .unwrap();
    let (effects, _) = whatif(&case, &file, 1);
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!((&effects[0]["port"], &effects[0]["conversations"]), (&json!(22), &json!(1)));
    fs::write(&file, plan(&[ssh.clone(), metrics], &[ssh]).to_string()).unwrap();
    assert_eq!(whatif(&case, &file, 0).0, Vec::<Value>::new());
}

#[test]
fn a_plan_of_changes_alone_is_applied_to_what_it_does_not_hold() {
    let case = world();
    let file = case.dir.path().join("plan.json");
    let plan = |list: &str| {
        let entry = json!({"address": "aws_network_acl_rule.deny", "mode": "managed", "type": "aws_network_acl_rule",
            "name": "deny", "change": {"actions": ["create"], "before": null, "after": {"network_acl_id": list,
            "rule_number": 90, "egress": false, "protocol": "6", "rule_action": "deny", "cidr_block": "198.51.100.8/32",
            "from_port": 443, "to_port": 443}}});
        fs::write(&file, json!({"format_version": "1.2", "resource_changes": [entry]}).to_string()).unwrap();
    };
    plan("acl-0a");
    let (effects, _) = whatif(&case, &file, 1);
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!((&effects[0]["remotes"], &effects[0]["established"]), (&json!("198.51.100.8"), &json!("cut")));
    // Of a list that the configuration lacks nothing can be said.
    plan("acl-0b");
    let (effects, said) = whatif(&case, &file, 0);
    assert_eq!(effects, Vec::<Value>::new());
    assert!(said.contains("acl-0b: the plan changes a part of it"), "{said}");
}

#[test]
fn a_proposal_that_cannot_be_read_is_no_proposal() {
    let case = world();
    let file = case.dir.path().join("broken.json");
    fs::write(&file, "{\"SecurityGroups\": [").unwrap();
    let broken = run(&case, &["whatif", "--change", file.to_str().unwrap()]);
    assert_eq!(broken.code, Some(4), "{}", broken.err);
    assert!(broken.err.contains("cut off"), "{}", broken.err);
    let empty = case.dir.path().join("nothing");
    fs::create_dir(&empty).unwrap();
    let nothing = run(&case, &["whatif", "--change", empty.to_str().unwrap()]);
    assert_eq!(nothing.code, Some(4), "{}", nothing.err);
    assert!(nothing.err.contains("holds no configuration"), "{}", nothing.err);
    let missing = run(&case, &["whatif", "--change", "/nowhere/at/all"]);
    assert_eq!(missing.code, Some(4), "{}", missing.err);
}

#[test]
fn an_answer_that_no_verdict_needs_stops_no_gate() {
    let case = world();
    let same = config(&case, "same", &[(443, "0.0.0.0/0"), (22, "10.0.0.0/8"), (9100, "10.0.0.0/8")]);
    fs::write(same.join("nat-gateways.json"), "{\"NatGateways\": []}").unwrap();
    let (effects, said) = whatif(&case, &same, 0);
    assert_eq!(effects, Vec::<Value>::new());
    assert!(said.contains("not needed (NatGateways)"), "{said}");
}

#[test]
fn tighten_proposes_what_was_used() {
    let case = world();
    let found = rows(run(&case, &["rules", "tighten", "--format", "json"]).expect(0));
    // Two visitors of a rule for the world, and one administrator in a block of 16 million.
    let of = |port: &str| found.iter().find(|row| row["rule"].as_str().unwrap().contains(port)).unwrap();
    assert_eq!(of("tcp 22")["proposed"], "tcp 22 from 10.9.0.1/32");
    assert_eq!((&of("tcp 22")["narrower"], &of("tcp 22")["cut_seen"]), (&json!(16_777_216.0), &json!(0)));
    assert_eq!(of("tcp 443")["proposed"], "tcp 443 from 198.51.100.7/32; tcp 443 from 198.51.100.8/32");
    assert_eq!(found.len(), 2, "nothing is proposed for a rule that nothing used");
    let commands = of("tcp 22")["commands"].as_str().unwrap();
    assert!(commands.starts_with(
        "aws ec2 authorize-security-group-ingress --group-id sg-0a --ip-permissions \
         'IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=10.9.0.1/32}]'\naws ec2 revoke-security-group-ingress"
    ));
    let text = run(&case, &["rules", "tighten", "--object", "sg-0a", "--limit", "1"]).expect(0).out;
    assert!(text.contains("cutting nothing of what was seen"), "{text}");

    // What was proposed lets all of it pass.
    let proposed = case.dir.path().join("proposed.json");
    let rules = [(443, "198.51.100.7/32"), (443, "198.51.100.8/32"), (22, "10.9.0.1/32")];
    fs::write(&proposed, groups(&rules).to_string()).unwrap();
    let (effects, _) = whatif(&case, &proposed, 0);
    assert!(effects.iter().all(|effect| effect["outcome"] == "other_rule"), "{effects:?}");
}

#[test]
fn shadowed_rules_are_named_with_what_stands_before_them() {
    let case = Case::new();
    let folder = config(&case, "shadows", &[(22, "10.1.0.0/16"), (22, "10.0.0.0/8")]);
    fs::write(
        folder.join("acls.json"),
        acl(&[(100, "allow", "0.0.0.0/0"), (200, "deny", "203.0.113.0/24")]).to_string(),
    )
    .unwrap();
    let found = rows(
        run(&case, &["rules", "shadowed", "--config", folder.to_str().unwrap(), "--format", "json"])
            .expect(0),
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["rule"], "nacl acl-0a inbound rule 200 deny all traffic from 203.0.113.0/24");
    assert_eq!(found[0]["behind"], "nacl acl-0a inbound rule 100 allow all traffic from 0.0.0.0/0");
    assert_eq!(found[1]["rule"], "group sg-0a inbound rule allow tcp 22 from 10.1.0.0/16");
    let none = run(&case, &["rules", "shadowed"]);
    assert_eq!(none.code, Some(4), "{}", none.err);
}
