//! `flowq config pull` with an `aws` command that the test makes: a script that answers as the AWS CLI does, from the sample
//! network of `testdata/`, and writes down how it was called.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Run, command, project};

/// An `aws` command and what is around it.
struct Pull {
    dir: TempDir,
}

impl Pull {
    /// With `cases` of a shell's `case "$1 $2"` before those that every script has.
    fn new(cases: &str) -> Pull {
        let dir = tempfile::tempdir().unwrap();
        let script = format!(
            r#"#!/bin/sh
echo "$*" >>"{dir}/calls"
case "$1 $2" in
{cases}
"sts get-caller-identity") echo '{{"UserId": "AIDASAMPLEUSERID", "Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/DevAdmin"}}' ;;
"configure get") echo us-west-2 ;;
"ec2 describe-regions") echo '{{"Regions": [{{"RegionName": "us-east-1"}}, {{"RegionName": "eu-west-1"}}]}}' ;;
*) [ ! -f "{samples}/$2.json" ] || cat "{samples}/$2.json" ;;
esac
"#,
            dir = dir.path().display(),
            samples = project().join("testdata/aws-config").display(),
        );
        let aws = dir.path().join("aws");
        fs::write(&aws, script).unwrap();
        fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
        Pull { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command();
        command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
        command.args(["config", "pull", "--out"]).arg(self.path("out")).arg("--aws").arg(self.path("aws"));
        command.arg("--store").arg(self.path("store")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    fn flowq(&self, arguments: &[&str]) -> Run {
        let mut command = command();
        command.arg("--store").arg(self.path("store")).args(arguments);
        Run::of(command.output().unwrap())
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The CLI's words where a policy forbids a call, and where it is too old for one; two pages of a prefix list, as a CLI gives
/// them that does not fetch all pages itself.
const CASES: &str = r#"
"ec2 describe-route-tables")
    echo >&2
    echo 'An error occurred (UnauthorizedOperation) when calling the DescribeRouteTables operation: You are not authorized to perform this operation.' >&2
    exit 254 ;;
"ec2 describe-vpc-block-public-access-exclusions")
    echo 'aws: error: argument operation: Invalid choice, valid choices are:' >&2
    exit 252 ;;
"ec2 describe-instances") echo '{"Reservations": []}' ;;
"ec2 describe-transit-gateway-vpc-attachments")
    echo '{"TransitGatewayVpcAttachments": [{"TransitGatewayAttachmentId": "tgw-attach-0a", "TransitGatewayId": "tgw-0a", "VpcId": "vpc-0aa11bb22cc33dd44", "State": "available", "SubnetIds": ["subnet-0aaaaaaaaaaaaaaaa"]}]}' ;;
"ec2 describe-transit-gateway-attachments")
    echo '{"TransitGatewayAttachments": [{"TransitGatewayAttachmentId": "tgw-attach-0a", "TransitGatewayId": "tgw-0a", "ResourceType": "vpc", "ResourceId": "vpc-0aa11bb22cc33dd44", "State": "available", "Association": {"TransitGatewayRouteTableId": "tgw-rtb-0a", "State": "associated"}}]}' ;;
"ec2 describe-transit-gateway-route-tables")
    echo '{"TransitGatewayRouteTables": [{"TransitGatewayRouteTableId": "tgw-rtb-0a", "TransitGatewayId": "tgw-0a", "State": "available"}, {"TransitGatewayRouteTableId": "tgw-rtb-0b", "TransitGatewayId": "tgw-0a", "State": "available"}, {"TransitGatewayRouteTableId": "tgw-rtb-0c", "TransitGatewayId": "tgw-0a", "State": "available"}]}' ;;
"ec2 search-transit-gateway-routes")
    case "$*" in
    *tgw-rtb-0b*"--next-token page2"*) echo '{"Routes": [{"DestinationCidrBlock": "10.8.0.0/16", "Type": "static", "State": "blackhole"}], "AdditionalRoutesAvailable": false}' ;;
    *tgw-rtb-0b*) echo '{"Routes": [{"DestinationCidrBlock": "10.9.0.0/16", "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": "tgw-attach-0a"}], "Type": "propagated", "State": "active"}], "AdditionalRoutesAvailable": true, "NextToken": "page2"}' ;;
    *tgw-rtb-0c*) echo 'An error occurred (UnauthorizedOperation) when calling the SearchTransitGatewayRoutes operation: You are not authorized to perform this operation.' >&2; exit 254 ;;
    *) echo '{"Routes": [{"DestinationCidrBlock": "10.9.0.0/16", "TransitGatewayAttachments": [{"TransitGatewayAttachmentId": "tgw-attach-0a"}], "Type": "propagated", "State": "active"}], "AdditionalRoutesAvailable": true}' ;;
    esac ;;
"ec2 get-managed-prefix-list-entries")
    case "$*" in
    *"--next-token page2"*) echo '{"Entries": [{"Cidr": "203.0.113.128/25", "Description": "two"}]}' ;;
    *) echo '{"Entries": [{"Cidr": "198.51.100.0/25"}, {"Cidr": "198.51.100.128/25"}], "NextToken": "page2"}' ;;
    esac ;;
"elbv2 describe-load-balancers") cat "SAMPLES/elbv2-describe-load-balancers.json" ;;
"elbv2 describe-listeners") echo '{"Listeners": []}' ;;
"elbv2 describe-target-groups")
    echo '{"TargetGroups": [{"TargetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/my-targets/73e2d6bc24d8a067", "TargetGroupName": "my-targets", "Protocol": "HTTP", "Port": 80, "TargetType": "instance", "LoadBalancerArns": []}]}' ;;
"elbv2 describe-target-health")
    echo '{"TargetHealthDescriptions": [{"Target": {"Id": "i-0f76fade", "Port": 80}, "TargetHealth": {"State": "healthy"}}]}' ;;
"elbv2 describe-target-group-attributes") echo '{"Attributes": [{"Key": "preserve_client_ip.enabled", "Value": "true"}]}' ;;
"#;

#[test]
fn everything_is_asked_kept_and_imported() {
    let samples = project().join("testdata/aws-config");
    let pull = Pull::new(&CASES.replace("SAMPLES", samples.to_str().unwrap()));
    let options = ["--profile", "audit", "--region", "us-east-1", "--format", "csv"];
    let run = pull.run(&options).expect(0);

    // What was asked: only what reads, of the profile and the Region, and JSON.
    let calls = pull.calls();
    for call in &calls {
        let operation = call.split(' ').nth(1).unwrap();
        let reads = ["describe-", "get-", "search-"].iter().any(|verb| operation.starts_with(verb));
        assert!(reads, "{call}");
        assert!(
            call.contains(" --output json") && call.ends_with(" --profile audit --region us-east-1"),
            "{call}"
        );
        // Whether there are more routes is not told where the CLI puts pages together.
        assert_eq!(call.contains("--no-paginate"), operation == "search-transit-gateway-routes", "{call}");
        assert!(!call.contains("--max-items"), "{call}");
    }
    let asked = |text: &str| calls.iter().filter(|call| call.starts_with(text)).count();
    for call in [
        "sts get-caller-identity",
        "ec2 describe-vpcs",
        "ec2 describe-subnets",
        "ec2 describe-network-interfaces",
        "ec2 describe-security-groups",
        "ec2 describe-security-group-rules",
        "ec2 describe-network-acls",
        "ec2 describe-route-tables",
        "ec2 describe-managed-prefix-lists",
        "ec2 describe-prefix-lists",
        "ec2 describe-instances",
        "ec2 describe-vpc-peering-connections",
        "ec2 describe-transit-gateways",
        "ec2 describe-transit-gateway-vpc-attachments",
        "ec2 describe-transit-gateway-attachments",
        "ec2 describe-transit-gateway-route-tables",
        "ec2 search-transit-gateway-routes --transit-gateway-route-table-id tgw-rtb-0a --filters Name=state,Values=active,blackhole",
        "ec2 describe-security-group-vpc-associations",
        "ec2 describe-vpc-block-public-access-options",
        "ec2 describe-vpc-block-public-access-exclusions",
        "ec2 describe-stale-security-groups --vpc-id vpc-0aa11bb22cc33dd44",
        "elb describe-load-balancers",
        "elbv2 describe-load-balancers",
        "elbv2 describe-listeners --load-balancer-arn arn:aws:",
        "elbv2 describe-target-groups",
        "elbv2 describe-target-health --target-group-arn arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/my-targets/73e2d6bc24d8a067",
        "elbv2 describe-target-group-attributes --target-group-arn arn:aws:",
    ] {
        assert_eq!(asked(&format!("{call} ")) + asked(call), 2 - usize::from(call.ends_with(':')), "{call}");
    }
    assert_eq!(
        asked("ec2 get-managed-prefix-list-entries --prefix-list-id pl-0123456789abcdef0 "),
        2,
        "two pages"
    );

    // What failed is named, with what would help, and did not stop the rest.
    assert!(
        run.err.contains("ec2 describe-route-tables: An error occurred (UnauthorizedOperation)"),
        "{}",
        run.err
    );
    assert!(run.err.contains("(allow ec2:DescribeRouteTables to this identity)"), "{}", run.err);
    assert!(
        run.err.contains("describe-vpc-block-public-access-exclusions: this aws command does not know"),
        "{}",
        run.err
    );
    let state = |call: &str| {
        let line = run.out.lines().find(|line| line.starts_with(&format!("111122223333,us-east-1,{call},")));
        let fields: Vec<&str> = line.unwrap_or_else(|| panic!("{call}: {}", run.out)).split(',').collect();
        (fields[3].to_owned(), fields[5].to_owned())
    };
    let is = |objects: &str, state: &str| (objects.to_owned(), state.to_owned());
    assert_eq!(state("ec2 describe-vpcs"), is("1", "imported"));
    assert_eq!(state("ec2 describe-network-interfaces"), is("8", "imported"));
    assert_eq!(state("ec2 describe-route-tables"), is("0", "failed"));
    assert_eq!(state("ec2 describe-vpc-peering-connections"), is("0", "nothing"));
    // A table of more routes than an answer holds, one whose routes may not be seen, and one of two pages.
    assert!(run.err.contains("tgw-rtb-0a: has more routes than one answer holds"), "{}", run.err);
    assert!(run.err.contains("(allow ec2:SearchTransitGatewayRoutes to this identity)"), "{}", run.err);
    assert_eq!(asked("ec2 search-transit-gateway-routes --transit-gateway-route-table-id tgw-rtb-0b "), 2);
    assert_eq!(state("ec2 search-transit-gateway-routes tgw-rtb-0b"), is("2", "imported"));
    assert_eq!(state("ec2 describe-transit-gateway-route-tables"), is("0", "imported"));
    assert!(run.err.contains("3 failed"), "{}", run.err);

    // What is kept: each answer as it came, in an envelope that says what, where and when.
    let folder = pull.path("out/111122223333/us-east-1");
    let kept = read(&folder.join("describe-vpcs.json"));
    assert_eq!(kept["output"], read(&samples.join("describe-vpcs.json")));
    assert_eq!((&kept["account"], &kept["region"]), (&json!("111122223333"), &json!("us-east-1")));
    assert_eq!(kept["command"], json!(["aws", "ec2", "describe-vpcs", "--region", "us-east-1"]));
    let at = chrono::DateTime::parse_from_rfc3339(kept["captured_at"].as_str().unwrap()).unwrap();
    assert!((chrono::Utc::now().timestamp() - at.timestamp()).abs() < 300, "{at}");
    let files = names(&folder);
    assert!(
        files.contains(&"get-managed-prefix-list-entries-pl-0123456789abcdef0.page-2.json".to_owned()),
        "{files:?}"
    );
    assert!(
        files.contains(&"elbv2-describe-target-health-my-targets-73e2d6bc24d8a067.json".to_owned()),
        "{files:?}"
    );
    assert!(files.iter().all(|name| name.ends_with(".json")), "{files:?}");

    // What the store knows now: the pages are one list, and of one capture.
    let sql = "select array_to_string(cidrs, ' ') as cidrs from prefix_lists \
               where prefix_list_id = 'pl-0123456789abcdef0' and name = 'office'";
    let cidrs = pull.flowq(&["sql", "--format", "csv", sql]).expect(0).out;
    assert_eq!(cidrs, "cidrs\n198.51.100.0/25 198.51.100.128/25 203.0.113.128/25\n");
    let show = pull.flowq(&["config", "show", "--format", "csv"]).expect(0).out;
    assert!(show.lines().any(|line| line.starts_with("network interfaces,8,8,")), "{show}");
    assert!(show.lines().any(|line| line.starts_with("target groups,1,1,")), "{show}");

    assert_eq!(pull.run(&["--strict", "--region", "us-east-1"]).code, Some(3), "a call failed");
}

#[test]
fn regions_are_those_of_the_configuration_or_all() {
    let pull = Pull::new("");
    pull.run(&["--no-import"]).expect(0);
    assert!(pull.path("out/111122223333/us-west-2/describe-vpcs.json").is_file());
    assert!(!pull.path("store").exists(), "nothing was imported");
    pull.run(&["--no-import", "--all-regions"]).expect(0);
    assert_eq!(names(&pull.path("out/111122223333")), ["eu-west-1", "us-east-1", "us-west-2"]);

    let run = Pull::new("\"configure get\") exit 1 ;;").run(&[]).expect(4);
    assert!(run.err.contains("no Region is configured (give --region"), "{}", run.err);
    let run = pull.run(&["--region", "../x"]).expect(2);
    assert!(run.err.contains("expected a Region such as us-east-1"), "{}", run.err);
}

#[test]
fn without_the_command_or_credentials_nothing_is_asked() {
    let pull = Pull::new("");
    fs::remove_file(pull.path("aws")).unwrap();
    let run = pull.run(&["--region", "us-east-1"]).expect(4);
    assert!(run.err.contains("cannot run") && run.err.contains("--aws PATH"), "{}", run.err);

    let pull = Pull::new(
        r#""sts get-caller-identity") echo 'Unable to locate credentials. You can configure credentials by running "aws configure".' >&2; exit 253 ;;"#,
    );
    let run = pull.run(&["--region", "us-east-1"]).expect(4);
    assert!(run.err.contains("Unable to locate credentials") && run.err.contains("--profile"), "{}", run.err);
    assert_eq!(pull.calls().len(), 1);
}

#[test]
fn an_identity_that_may_not_be_told_is_no_hindrance() {
    let pull = Pull::new(
        r#""sts get-caller-identity") echo 'Could not connect to the endpoint URL: "https://sts.us-east-1.amazonaws.com/"' >&2; exit 255 ;;"#,
    );
    let run = pull.run(&["--region", "us-east-1"]).expect(0);
    assert!(run.err.contains("the account is not known"), "{}", run.err);
    assert!(pull.path("out/unknown-account/us-east-1/describe-vpcs.json").is_file());
    assert!(read(&pull.path("out/unknown-account/us-east-1/describe-vpcs.json")).get("account").is_none());
}

#[test]
fn where_every_call_fails_so_does_the_pull() {
    let pull = Pull::new("\"ec2 \"*|\"elb\"*) echo broken >&2; exit 255 ;;");
    let run = pull.run(&["--region", "us-east-1"]).expect(4);
    assert!(run.err.contains("us-east-1 ec2 describe-vpcs: broken"), "{}", run.err);
    assert!(!pull.path("store").exists());
    assert_eq!(names(&pull.path("out/111122223333/us-east-1")), Vec::<String>::new());

    let pull = Pull::new("\"ec2 describe-subnets\") echo '{\"Subnets\": [' ;;");
    let run = pull.run(&["--region", "us-east-1"]).expect(0);
    assert!(run.err.contains("describe-subnets: the answer is not JSON"), "{}", run.err);
    assert!(!pull.path("out/111122223333/us-east-1/describe-subnets.json").exists());
}

#[test]
fn interrupted_it_leaves_whole_files_and_imports_nothing() {
    let pull = Pull::new("\"ec2 describe-subnets\") sleep 20 ;;");
    let mut command = pull.command(&["--region", "us-east-1"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let vpcs = pull.path("out/111122223333/us-east-1/describe-vpcs.json");
    let begun = Instant::now();
    while !vpcs.exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the first answer does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let run = Run::of(child.wait_with_output().unwrap()).expect(130);
    assert!(begun.elapsed() < Duration::from_secs(30), "it waits for the call");
    assert!(run.err.contains("interrupted: nothing was imported"), "{}", run.err);
    assert!(!pull.path("store").exists());
    for name in names(&pull.path("out/111122223333/us-east-1")) {
        assert!(name.ends_with(".json"), "{name}");
        read(&pull.path("out/111122223333/us-east-1").join(name));
    }
}
