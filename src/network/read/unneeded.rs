//! Answers of the AWS CLI that no verdict needs: every dump of an account has some, and they are no errors.

use super::node::Node;

/// Top-level keys of answers about what no verdict depends on, of which every dump of an account has some.
const NOT_NEEDED: [&str; 60] = [
    "AccountAttributes",
    "Addresses",
    "AddressTransfers",
    "AutoScalingGroups",
    "AvailabilityZones",
    "BundleTasks",
    "CapacityReservations",
    "CarrierGateways",
    "ClientVpnEndpoints",
    "Clusters",
    "CustomerGateways",
    "DBInstances",
    "DBSubnetGroups",
    "DhcpOptions",
    "EgressOnlyInternetGateways",
    "Fleets",
    "FlowLogs",
    "Functions",
    "HostReservationSet",
    "Hosts",
    "HostedZones",
    "IamInstanceProfileAssociations",
    "Images",
    "InstanceCreditSpecifications",
    "InstanceStatuses",
    "InstanceTypeOfferings",
    "InstanceTypes",
    "InternetGateways",
    "Ipams",
    "IpamPools",
    "KeyPairs",
    "LaunchTemplateVersions",
    "LaunchTemplates",
    "LocalGateways",
    "MovingAddressStatuses",
    "NatGateways",
    "NetworkInsightsAnalyses",
    "NetworkInsightsPaths",
    "NetworkInterfacePermissions",
    "PlacementGroups",
    "PrincipalIdFormats",
    "Regions",
    "ReservedInstances",
    "ReservedInstancesOfferings",
    "Rules",
    "ServiceDetails",
    "Snapshots",
    "SpotFleetRequestConfigs",
    "SpotInstanceRequests",
    "SpotPriceHistory",
    "SslPolicies",
    "TagDescriptions",
    "Tags",
    "TransitGatewayConnects",
    "TransitGatewayPeeringAttachments",
    "Volumes",
    "VolumesModifications",
    "VpcEndpoints",
    "VpnConnections",
    "VpnGateways",
];

/// The key of an answer that is not needed.
pub(super) fn key(node: Node<'_>) -> Option<&'static str> {
    NOT_NEEDED.iter().copied().find(|key| node.0.get(*key).is_some_and(serde_json::Value::is_array))
}

/// Whether it is the data of a launch template, which has members of the names that descriptions of what there is have.
pub(super) fn is_launch_template(node: Node<'_>) -> bool {
    let of_templates = ["BlockDeviceMappings", "EbsOptimized", "InstanceType", "ImageId", "Monitoring"];
    node.get("NetworkInterfaces").is_some() && of_templates.iter().any(|key| node.0.get(*key).is_some())
}
