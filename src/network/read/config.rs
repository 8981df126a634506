//! AWS Config: history and snapshot files, and the API's form of the same items (spec 6.8).

use super::node::Node;
use super::{Context, NetworkBuilder, Readings, record};
use crate::network::history::Origin;
use serde_json::Value;

impl NetworkBuilder {
    pub(super) fn config_items(&mut self, node: Node<'_>, context: &Context) {
        for item in node.list("configurationItems").chain(node.list("baseConfigurationItems")) {
            self.config_item(item, context);
        }
    }

    fn config_item(&mut self, item: Node<'_>, file: &Context) {
        let Some(kind) = item.text("resourceType") else {
            self.problem(file, "-", "a configuration item without resourceType was left out");
            return;
        };
        let id = item.text("resourceId").unwrap_or_default();
        let Some(at) = item.time("configurationItemCaptureTime") else {
            self.problem(file, &id, "a configuration item without a readable capture time was left out");
            return;
        };
        let context = Context {
            file: file.file.clone(),
            at: Some(at),
            sequence: item.integer("configurationStateId").and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            origin: Some(Origin::History),
            account: item
                .text("awsAccountId")
                .or_else(|| item.text("accountId"))
                .or_else(|| file.account.clone()),
            region: item.text("awsRegion").or_else(|| file.region.clone()),
            command: String::new(),
        };
        let status = item.text("configurationItemStatus").unwrap_or_default();
        if status.starts_with("ResourceDeleted") {
            self.config_deleted(&kind, id, &context);
            return;
        }
        if status == "ResourceNotRecorded" {
            return;
        }
        let parsed: Value;
        let configuration = match item.get("configuration").map(|node| node.0) {
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(value) => {
                    parsed = value;
                    Node(&parsed)
                }
                Err(error) => {
                    self.problem(&context, &id, format!("configuration text is not JSON: {error}"));
                    return;
                }
            },
            Some(value @ Value::Object(_)) => Node(value),
            _ => {
                self.problem(&context, &id, format!("{kind} without a configuration was left out"));
                return;
            }
        };
        match kind.as_str() {
            "AWS::EC2::SecurityGroup" => self.security_group(configuration, &context),
            "AWS::EC2::NetworkAcl" => self.network_acl(configuration, &context),
            "AWS::EC2::NetworkInterface" => self.interface(configuration, &context),
            "AWS::EC2::Subnet" => self.subnet(configuration, &context),
            "AWS::EC2::VPC" => self.vpc(configuration, &context),
            "AWS::EC2::PrefixList" => self.prefix_list(configuration, &context),
            "AWS::EC2::RouteTable" => self.route_table(configuration, &context),
            "AWS::EC2::Instance" => self.instance(configuration, &context),
            "AWS::EC2::VPCPeeringConnection" => self.peering(configuration, &context),
            "AWS::EC2::SecurityGroupVpcAssociation" => self.group_association(configuration, &context),
            "AWS::EC2::VPCBlockPublicAccessOptions" => self.bpa(configuration, &context),
            "AWS::EC2::VPCBlockPublicAccessExclusion" => self.bpa_exclusion(configuration, &context),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => self.load_balancer(configuration, &context),
            "AWS::ElasticLoadBalancing::LoadBalancer" => self.classic_load_balancer(configuration, &context),
            // A snapshot holds every recorded resource of the account: what does not filter traffic is passed over.
            _ => {}
        }
    }

    fn config_deleted(&mut self, kind: &str, id: String, context: &Context) {
        fn end<T>(readings: &mut Readings<T>, context: &Context, id: String) {
            record(readings, context, id, false, None);
        }
        match kind {
            "AWS::EC2::SecurityGroup" => end(&mut self.groups, context, id),
            "AWS::EC2::NetworkAcl" => end(&mut self.acls, context, id),
            "AWS::EC2::NetworkInterface" => end(&mut self.interfaces, context, id),
            "AWS::EC2::Subnet" => end(&mut self.subnets, context, id),
            "AWS::EC2::VPC" => end(&mut self.vpcs, context, id),
            "AWS::EC2::PrefixList" => end(&mut self.prefix_lists, context, id),
            "AWS::EC2::RouteTable" => end(&mut self.route_tables, context, id),
            "AWS::EC2::Instance" => end(&mut self.instances, context, id),
            "AWS::EC2::VPCPeeringConnection" => end(&mut self.peerings, context, id),
            _ => {}
        }
    }
}
