//! `Name` tags: what people call things by.
//!
//! They are kept apart from the versions of objects. A new name changes nothing about traffic, and would make two versions
//! of what was the same all the time.

use super::node::Node;
use super::{Context, NetworkBuilder};
use crate::network::history::Timestamp;
use hashbrown::HashMap;

/// The last known name of each object, and when it was captured.
pub(super) type Names = HashMap<String, (Option<Timestamp>, String)>;

impl NetworkBuilder {
    /// Notes the `Name` tag of an element: a list of keys and values (`TagSet` of interfaces, `Tags` of all else), or a map, as
    /// AWS Config and Terraform write them.
    pub(super) fn name(&mut self, node: Node<'_>, id: &str, context: &Context) {
        let listed = || {
            let tags = node.list("TagSet").chain(node.list("Tags"));
            tags.filter(|tag| tag.text("Key").as_deref() == Some("Name")).find_map(|tag| tag.text("Value"))
        };
        let mapped = || {
            let maps = ["tags_all", "tags"].into_iter().filter_map(|key| node.0.get(key));
            maps.filter_map(|map| map.get("Name")).find_map(|name| Node(name).as_text())
        };
        let Some(name) = listed().or_else(mapped).map(plain) else { return };
        let known = self.names.get(id);
        if known.is_none_or(|(at, _)| *at <= context.at) {
            self.names.insert(id.to_owned(), (context.at, name));
        }
    }
}

/// A name as it may be shown: EC2 takes any character in a tag, and a terminal does what control characters say.
fn plain(name: String) -> String {
    let is_plain = !name.chars().any(char::is_control);
    if is_plain {
        return name;
    }
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use crate::network::{NetworkBuilder, ReadOptions, View};
    use serde_json::{Value, json};

    fn read(files: &[(i64, Value)]) -> crate::network::Network {
        let mut builder = NetworkBuilder::new();
        for (at, file) in files {
            let options = ReadOptions { captured_at: Some(*at), ..ReadOptions::default() };
            builder.read("x.json", file.to_string().as_bytes(), &options).unwrap();
        }
        builder.finish().0
    }

    fn interface(id: &str, name: Option<&str>) -> Value {
        let tags: Vec<Value> = name.map(|name| json!({"Key": "Name", "Value": name})).into_iter().collect();
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": id, "SubnetId": "subnet-1", "VpcId": "vpc-1", "Groups": [],
            "PrivateIpAddress": "10.0.0.1", "Attachment": {"InstanceId": "i-1"}, "TagSet": tags}]})
    }

    #[test]
    fn names_are_the_interfaces_own_or_those_of_their_instances() {
        let instance = json!({"Reservations": [{"Instances": [{"InstanceId": "i-1", "Tags": [
            {"Key": "name", "Value": "no"}, {"Key": "Name", "Value": "web-1"}], "NetworkInterfaces": []}]}]});
        let of = |own: Option<&str>, files: &[(i64, Value)]| {
            let mut all = vec![(1000, interface("eni-1", own))];
            all.extend_from_slice(files);
            let network = read(&all);
            let found = network.interfaces.get("eni-1", View { at: 1000, after: false }).unwrap();
            network.interface_name(found.value).map(str::to_owned)
        };
        assert_eq!(of(None, &[]), None);
        assert_eq!(of(None, &[(1000, instance.clone())]).as_deref(), Some("web-1"));
        assert_eq!(of(Some("web-1 admin"), &[(1000, instance)]).as_deref(), Some("web-1 admin"));
        // The newest name holds, in whatever order the files come, and makes no version of its own.
        let renamed = [(2000, interface("eni-1", Some("db-1"))), (500, interface("eni-1", Some("old")))];
        assert_eq!(of(Some("web-1"), &renamed).as_deref(), Some("db-1"));
        let network = read(&[(1000, interface("eni-1", Some("a"))), (2000, interface("eni-1", Some("b")))]);
        assert_eq!(network.interfaces.timeline("eni-1").unwrap().versions().len(), 1);
        let instance = |name: &str| json!({"Reservations": [{"Instances": [{"InstanceId": "i-1", "Tags": [{"Key": "Name", "Value": name}]}]}]});
        let network = read(&[(1000, instance("a")), (2000, instance("b"))]);
        assert_eq!(network.instances.timeline("i-1").unwrap().versions().len(), 1);
        assert_eq!(network.name_of("i-1"), Some("b"));
    }

    #[test]
    fn names_hold_nothing_that_a_terminal_obeys() {
        let network = read(&[(1000, interface("eni-1", Some("web\u{1b}[31m\nö")))]);
        assert_eq!(network.name_of("eni-1"), Some("web\\u{1b}[31m\\nö"));
    }

    #[test]
    fn names_come_from_aws_config_and_terraform_too() {
        let item = json!({"configurationItems": [{"resourceType": "AWS::EC2::Subnet", "resourceId": "subnet-1",
            "configurationItemCaptureTime": "2026-01-15T10:00:00Z", "tags": {"Name": "public a"},
            "configuration": {"subnetId": "subnet-1", "vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"}}]});
        assert_eq!(read(&[(0, item)]).name_of("subnet-1"), Some("public a"));
        let state = json!({"format_version": "1.0", "terraform_version": "1.9.0", "values": {"root_module": {"resources": [
            {"address": "aws_network_acl.a", "mode": "managed", "type": "aws_network_acl",
             "values": {"id": "acl-1", "vpc_id": "vpc-1", "tags": {"Name": "edge"}, "ingress": [], "egress": []}}]}}});
        assert_eq!(read(&[(0, state)]).name_of("acl-1"), Some("edge"));
    }
}
