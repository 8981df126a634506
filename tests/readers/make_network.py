#!/usr/bin/env python3
"""Makes a network at the server that AWS_ENDPOINT_URL names, and writes down what was made.

usage: make_network.py MADE.json
"""

import json
import sys

import boto3

REGION = "us-east-1"
ec2 = boto3.client("ec2", region_name=REGION)
elbv2 = boto3.client("elbv2", region_name=REGION)
made = {"account": boto3.client("sts", region_name=REGION).get_caller_identity()["Account"], "region": REGION}

vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.21.0.0/16")
made["vpc"] = {"id": vpc, "cidrs": ["10.20.0.0/16", "10.21.0.0/16"]}
subnets = [
    ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{n}.0/24", AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
    for n, zone in ((1, "a"), (2, "b"))
]
made["subnets"] = {subnets[0]: "10.20.1.0/24", subnets[1]: "10.20.2.0/24"}

# More entries than one page of the API holds (100).
cidrs = [f"198.51.{i}.0/24" for i in range(150)]
prefix_list = ec2.create_managed_prefix_list(
    PrefixListName="partners", MaxEntries=200, AddressFamily="IPv4", Entries=[{"Cidr": cidr} for cidr in cidrs]
)["PrefixList"]["PrefixListId"]
made["prefix_list"] = {"id": prefix_list, "cidrs": cidrs}

web = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
db = ec2.create_security_group(GroupName="db", Description="db", VpcId=vpc)["GroupId"]
ec2.authorize_security_group_ingress(
    GroupId=web,
    IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"PrefixListId": prefix_list}]},
    ],
)
ec2.authorize_security_group_ingress(
    GroupId=db, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}]
)
# Beside them, the outbound rule that every group begins with.
made["rules"] = {
    web: sorted(["ingress 443-443 0.0.0.0/0", "ingress 443-443 ::/0", f"ingress 22-22 {prefix_list}", "egress - 0.0.0.0/0"]),
    # A reference names its account.
    db: sorted([f"ingress 5432-5432 {made['account']}/{web}", "egress - 0.0.0.0/0"]),
}

acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
entries = [(100, False, "6", "allow", "0.0.0.0/0", 443), (90, False, "-1", "deny", "203.0.113.0/24", None), (100, True, "6", "allow", "0.0.0.0/0", 1024)]
for number, egress, protocol, action, cidr, port in entries:
    ports = {"PortRange": {"From": port, "To": 65535 if port == 1024 else port}} if port else {}
    ec2.create_network_acl_entry(
        NetworkAclId=acl, RuleNumber=number, Egress=egress, Protocol=protocol, RuleAction=action, CidrBlock=cidr, **ports
    )
for found in ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]:
    for association in found["Associations"]:
        if association["SubnetId"] == subnets[0]:
            ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=acl)
made["acl"] = {
    "id": acl,
    "entries": sorted(f"{'egress' if e[1] else 'ingress'} {e[0]} {e[3]} {e[4]}" for e in entries),
}

interfaces = {}
for subnet, address, groups in ((subnets[0], "10.20.1.10", [web]), (subnets[0], "10.20.1.11", [web, db]), (subnets[1], "10.20.2.10", [db])):
    found = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=address, Groups=groups)["NetworkInterface"]
    interfaces[found["NetworkInterfaceId"]] = {"subnet": subnet, "address": address, "groups": sorted(groups)}
made["interfaces"] = interfaces

gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
ec2.associate_route_table(RouteTableId=table, SubnetId=subnets[0])
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
other = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=other)["VpcPeeringConnection"]["VpcPeeringConnectionId"]
ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
balancer = elbv2.create_load_balancer(Name="front", Subnets=subnets, SecurityGroups=[web])["LoadBalancers"][0]["LoadBalancerArn"]
group = elbv2.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.20.1.10", "Port": 80}])
transit = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
attachments = [
    ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=transit, VpcId=attached, SubnetIds=within)["TransitGatewayVpcAttachment"]
    for attached, within in ((vpc, subnets), (other, [ec2.create_subnet(VpcId=other, CidrBlock="10.30.1.0/24")["Subnet"]["SubnetId"]]))
]
tables = ec2.describe_transit_gateway_route_tables()["TransitGatewayRouteTables"]
for attachment, block in zip(attachments, ("10.20.0.0/16", "10.30.0.0/16")):
    ec2.create_transit_gateway_route(
        DestinationCidrBlock=block, TransitGatewayRouteTableId=tables[0]["TransitGatewayRouteTableId"], TransitGatewayAttachmentId=attachment["TransitGatewayAttachmentId"]
    )
made["held"] = {
    "peering connections": 1,
    "load balancers": 1,
    "target groups": 1,
    "transit gateway attachments": len(attachments),
    "transit gateway route tables": len(tables),
}

# How much the server holds in all, defaults included, counted by another client than the AWS CLI.
def total(operation, key, region):
    pages = boto3.client("ec2", region_name=region).get_paginator(operation).paginate()
    return sum(len(page[key]) for page in pages)


made["totals"] = {
    kind: sum(total(operation, key, region) for region in (REGION, "eu-west-1"))
    for kind, operation, key in (
        ("network interfaces", "describe_network_interfaces", "NetworkInterfaces"),
        ("security groups", "describe_security_groups", "SecurityGroups"),
        ("network ACLs", "describe_network_acls", "NetworkAcls"),
        ("subnets", "describe_subnets", "Subnets"),
        ("VPCs", "describe_vpcs", "Vpcs"),
        ("prefix lists", "describe_managed_prefix_lists", "PrefixLists"),
        ("route tables", "describe_route_tables", "RouteTables"),
    )
}
with open(sys.argv[1], "w") as file:
    json.dump(made, file, indent=1)
