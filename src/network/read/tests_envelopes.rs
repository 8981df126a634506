//! The same configuration in whatever people keep it in.

use super::*;
use crate::network::history::{Origin, View};
use serde_json::{Value, json};

const AT: i64 = 1_714_651_200; // 2024-05-02T12:00:00Z

fn read(text: &str) -> Result<(Network, Vec<Problem>), ReadError> {
    let mut builder = NetworkBuilder::new();
    let options = ReadOptions { captured_at: Some(AT), ..ReadOptions::default() };
    builder.read("x.json", text.as_bytes(), &options)?;
    Ok(builder.finish())
}

fn groups(network: &Network) -> Vec<String> {
    let all = network.groups.all(View { at: AT, after: false });
    all.map(|found| format!("{} {}", found.value.id, found.value.rules.len())).collect()
}

fn group(id: &str) -> Value {
    json!({"GroupId": id, "GroupName": "web", "VpcId": "vpc-1", "OwnerId": "111122223333", "IpPermissionsEgress": [],
        "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]})
}

fn item() -> Value {
    json!({"configurationItemCaptureTime": "2024-05-02T11:00:00.000Z", "configurationItemStatus": "OK",
        "awsAccountId": "111122223333", "awsRegion": "us-east-1", "resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1",
        "configuration": {"groupId": "sg-1", "groupName": "web", "ipPermissionsEgress": [],
            "ipPermissions": [{"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "ipv4Ranges": [{"cidrIp": "0.0.0.0/0"}]}]}})
}

#[test]
fn a_list_of_whole_objects_of_one_kind_is_read_as_what_it_was_taken_from() {
    let list = json!([group("sg-1"), group("sg-2")]);
    let lines = format!("{}\n{}\n", group("sg-1"), group("sg-2"));
    let pages = json!([{"SecurityGroups": [group("sg-1")]}, {"SecurityGroups": [group("sg-2")]}]);
    for text in [list.to_string(), lines, pages.to_string()] {
        let (network, problems) = read(&text).unwrap();
        assert_eq!(groups(&network), ["sg-1 1", "sg-2 1"]);
        assert_eq!(problems, []);
    }
    // What the list was taken from may hold more: a list's default is not the one of its VPC for that.
    let acls = json!([{"NetworkAclId": "acl-1", "VpcId": "vpc-1", "IsDefault": true, "Entries": [], "Associations": []}]);
    let (network, _) = read(&acls.to_string()).unwrap();
    assert!(network.acl_of("subnet-1", Some("vpc-1"), View { at: AT, after: false }).is_none());
    assert_eq!(network.part_captures.len(), 1);
}

#[test]
fn instances_without_their_reservations_are_read() {
    let interface = json!({"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-1", "VpcId": "vpc-1", "Groups": [{"GroupId": "sg-1"}],
        "PrivateIpAddress": "10.0.1.10", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.10", "Primary": true}]});
    let list = json!([{"InstanceId": "i-1", "InstanceType": "m5.large", "NetworkInterfaces": [interface]}]);
    let (network, problems) = read(&list.to_string()).unwrap();
    assert!(network.interfaces.get("eni-1", View { at: AT, after: false }).is_some());
    assert_eq!(problems, []);
}

#[test]
fn a_list_whose_kind_is_not_certain_is_named() {
    let projected = json!([{"GroupId": "sg-1", "GroupName": "web"}]);
    let mixed = json!([group("sg-1"), {"GroupId": "sg-2"}]);
    for text in [projected.to_string(), mixed.to_string(), "[]".to_owned(), "[[]]".to_owned()] {
        let error = read(&text).unwrap_err();
        assert!(matches!(&error, ReadError::Unknown { .. }), "{error}");
        assert!(error.to_string().contains("without --query or jq"), "{error}");
    }
}

#[test]
fn an_item_of_aws_config_is_read_out_of_notifications_and_events() {
    let change = json!({"configurationItemDiff": null, "configurationItem": item(), "recordVersion": "1.3",
        "messageType": "ConfigurationItemChangeNotification", "notificationCreationTime": "2024-05-02T11:00:01.000Z"});
    let topic = json!({"Type": "Notification", "MessageId": "a", "TopicArn": "arn:aws:sns:us-east-1:111122223333:config",
        "Subject": "[AWS Config:us-east-1] AWS::EC2::SecurityGroup sg-1 Updated", "Message": change.to_string(),
        "Timestamp": "2024-05-02T11:00:02.000Z", "SignatureVersion": "1"});
    let event = json!({"version": "0", "id": "b", "detail-type": "Config Configuration Item Change", "source": "aws.config",
        "account": "111122223333", "time": "2024-05-02T11:00:02Z", "region": "us-east-1", "resources": [], "detail": change});
    let queue = json!({"Messages": [{"MessageId": "c", "ReceiptHandle": "d", "Body": topic.to_string()}]});
    let function = json!({"Records": [{"EventSource": "aws:sns", "Sns": topic}]});
    for document in [&change, &topic, &event, &queue, &function, &json!([topic, event])] {
        let (network, problems) = read(&document.to_string()).unwrap();
        assert_eq!(groups(&network), ["sg-1 1"], "{document}");
        assert_eq!(problems, []);
        let version = network.groups.timeline("sg-1").unwrap().versions();
        assert_eq!((version[0].origin, version[0].from), (Origin::History, AT - 3600));
    }
}

#[test]
fn a_notification_without_an_item_says_what_to_import() {
    let delivered = json!({"s3ObjectKey": "AWSLogs/1/Config/us-east-1/2024/5/2/ConfigSnapshot/x.json.gz", "s3Bucket": "b",
        "messageType": "ConfigurationSnapshotDeliveryCompleted"});
    let oversized = json!({"configurationItemSummary": {}, "messageType": "OversizedConfigurationItemChangeNotification",
        "s3DeliverySummary": {"s3BucketLocation": "b/AWSLogs/x.json.gz"}});
    for (document, object) in [(delivered, "ConfigSnapshot/x.json.gz"), (oversized, "b/AWSLogs/x.json.gz")] {
        let error = read(&document.to_string()).unwrap_err();
        assert!(matches!(&error, ReadError::Elsewhere { .. }), "{error}");
        assert!(error.to_string().ends_with(object), "{error}");
    }
    let compliance = json!({"messageType": "ComplianceChangeNotification", "newEvaluationResult": {}});
    assert!(matches!(read(&compliance.to_string()), Err(ReadError::NotNeeded { .. })));
    // A trail's records are none of AWS Config's.
    assert!(matches!(read(r#"{"Records":[{"eventVersion":"1.08"}]}"#), Err(ReadError::Unknown { .. })));
}

#[test]
fn a_recorded_call_is_its_answer() {
    let recording = |status: u16| json!({"status_code": status, "data": {"ResponseMetadata": {"HTTPStatusCode": 200}, "SecurityGroups": [group("sg-1")]}});
    assert_eq!(groups(&read(&recording(200).to_string()).unwrap().0), ["sg-1 1"]);
    let error = read(&recording(403).to_string()).unwrap_err();
    assert!(matches!(&error, ReadError::FailedCall { status: 403, .. }), "{error}");
}

#[test]
fn envelopes_do_not_nest_for_ever() {
    let deep = |count: usize| format!("{}{}{}", "[".repeat(count), group("sg-1"), "]".repeat(count));
    assert!(read(&deep(2)).is_ok());
    assert!(read(&deep(100)).is_err());
}
