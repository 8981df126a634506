#!/usr/bin/env python3
"""Writes testdata/aws-config/: the AWS CLI's JSON for the network of the story, as captured at 2026-01-15T09:55:00Z.

The bastion's security group opens port 22 for the office's prefix list only; the network ACL of the api subnet lets 443 in but
has no outbound rule for ephemeral ports; the one of the public subnet denies a known scanner with rule 80.
"""

import json, os, shutil, sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
from story import ACCOUNT, ALB, API, API1, BASTION, DB, DB1, INTERFACES, NAT, PUBLIC, QUIET, REGION, SWEEPER, VPC, WEB, WEB1, WEB2

OUT = os.path.join(HERE, "..", "aws-config")
OFFICE_LIST = "pl-0123456789abcdef0"
SG = {n: f"sg-0{i}{'0' * 15}" for i, n in enumerate(["alb", "bastion", "web", "db", "api"], 1)}
GROUPS = {ALB: "alb", BASTION: "bastion", WEB1: "web", WEB2: "web", DB1: "db", API1: "api", QUIET: "api"}
SUBNETS = {PUBLIC: ("public", "10.0.0.0/24", "2001:db8:1:a100::/64"), WEB: ("web", "10.0.1.0/24", None), DB: ("db", "10.0.2.0/24", None), API: ("api", "10.0.3.0/24", None)}
PUBLIC_IP = {ALB: "192.0.2.10", NAT: "192.0.2.11", BASTION: "192.0.2.12", API1: "192.0.2.13"}
# group: inbound (protocol, from, to, IPv4, IPv6, prefix list, groups, description)
INBOUND = {
    "alb": [("tcp", 443, 443, ["0.0.0.0/0"], ["::/0"], [], [], "visitors"), ("tcp", 80, 80, ["0.0.0.0/0"], ["::/0"], [], [], "redirect")],
    "bastion": [("tcp", 22, 22, [], [], [OFFICE_LIST], [], "office only")],
    "web": [("tcp", 8080, 8080, [], [], [], ["alb"], "load balancer"), ("tcp", 22, 22, [], [], [], ["bastion"], "administration"),
            ("icmp", -1, -1, [], [], [], ["bastion"], "ping"), ("tcp", 9100, 9100, ["10.0.0.0/16"], [], [], [], "metrics, never used")],
    "db": [("tcp", 5432, 5432, [], [], [], ["web", "api"], "database")],
    "api": [("tcp", 443, 443, ["0.0.0.0/0"], [], [], [], "partners")],
}


def permission(protocol, low, high, v4, v6, lists, groups, text):
    p = {"IpProtocol": protocol}
    if protocol != "-1":
        p |= {"FromPort": low, "ToPort": high}
    return p | {
        "IpRanges": [{"CidrIp": c, "Description": text} for c in v4],
        "Ipv6Ranges": [{"CidrIpv6": c, "Description": text} for c in v6],
        "PrefixListIds": [{"PrefixListId": c, "Description": text} for c in lists],
        "UserIdGroupPairs": [{"GroupId": SG[g], "UserId": ACCOUNT, "Description": text} for g in groups],
    }


EVERYTHING = ("-1", None, None, ["0.0.0.0/0"], [], [], [], "")


def egress():
    p = permission(*EVERYTHING)
    p["IpRanges"] = [{"CidrIp": "0.0.0.0/0"}]
    return [p]


def security_groups():
    return {"SecurityGroups": [
        {"GroupId": SG[n], "GroupName": n, "Description": f"{n} tier", "VpcId": VPC, "OwnerId": ACCOUNT,
         "SecurityGroupArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{SG[n]}",
         "IpPermissions": [permission(*r) for r in rules], "IpPermissionsEgress": egress(), "Tags": [{"Key": "Name", "Value": n}]}
        for n, rules in INBOUND.items()]}


def security_group_rules():
    out = []

    def add(group, is_egress, protocol, low, high, remote, text):
        number = len(out) + 1
        rule = {"SecurityGroupRuleId": f"sgr-{number:017x}", "GroupId": SG[group], "GroupOwnerId": ACCOUNT, "IsEgress": is_egress,
                "IpProtocol": protocol, "FromPort": low, "ToPort": high, **remote}
        out.append(rule | ({"Description": text} if text else {}) | {"Tags": []})

    for group, rules in INBOUND.items():
        for protocol, low, high, v4, v6, lists, groups, text in rules:
            for c in v4:
                add(group, False, protocol, low, high, {"CidrIpv4": c}, text)
            for c in v6:
                add(group, False, protocol, low, high, {"CidrIpv6": c}, text)
            for c in lists:
                add(group, False, protocol, low, high, {"PrefixListId": c}, text)
            for g in groups:
                add(group, False, protocol, low, high, {"ReferencedGroupInfo": {"GroupId": SG[g], "UserId": ACCOUNT, "VpcId": VPC}}, text)
        add(group, True, "-1", -1, -1, {"CidrIpv4": "0.0.0.0/0"}, "")
    return {"SecurityGroupRules": out}


def entry(number, is_egress, action, cidr, protocol="-1", ports=None):
    e = {"RuleNumber": number, "Egress": is_egress, "Protocol": protocol, "RuleAction": action}
    e["Ipv6CidrBlock" if ":" in cidr else "CidrBlock"] = cidr
    return e | ({"PortRange": {"From": ports[0], "To": ports[1]}} if ports else {})


def network_acls():
    last = [entry(n, e, "deny", c) for e in (False, True) for n, c in ((32767, "0.0.0.0/0"), (32768, "::/0"))]
    allow = [entry(n, e, "allow", c) for e in (False, True) for n, c in ((100, "0.0.0.0/0"), (101, "::/0"))]

    def acl(number, subnets, entries, name, default=False):
        aid = f"acl-0{number}{'0' * 15}"
        return {"NetworkAclId": aid, "VpcId": VPC, "OwnerId": ACCOUNT, "IsDefault": default,
                "Associations": [{"NetworkAclAssociationId": f"aclassoc-0{number}{'0' * 14}{i}", "NetworkAclId": aid, "SubnetId": s} for i, s in enumerate(subnets)],
                "Entries": entries + last, "Tags": [{"Key": "Name", "Value": name}]}

    api = [entry(100, False, "allow", "0.0.0.0/0", "6", (443, 443)), entry(110, False, "allow", "0.0.0.0/0", "6", (1024, 65535)),
           entry(100, True, "allow", "0.0.0.0/0", "6", (443, 443)), entry(110, True, "allow", "10.0.2.0/24", "6", (5432, 5432))]
    return {"NetworkAcls": [acl(1, [WEB, DB], allow, "default", True), acl(2, [PUBLIC], [entry(80, False, "deny", f"{SWEEPER}/32")] + allow, "public"),
                            acl(3, [API], api, "api: no ephemeral ports out")]}


def network_interfaces():
    out = []
    for i, ni in enumerate(INTERFACES):
        public = PUBLIC_IP.get(ni)
        association = {"PublicIp": public, "IpOwnerId": "amazon" if ni is ALB else ACCOUNT} if public else None
        managed = ni in (ALB, NAT)
        first = {"Primary": True, "PrivateIpAddress": ni.addr} | ({"Association": association} if association else {})
        more = [{"Primary": False, "PrivateIpAddress": "10.0.3.77"}] if ni is API1 else []
        description = {ALB: "ELB app/shop/50dc6c495c0c9188", NAT: "Interface for NAT Gateway nat-0123456789abcdef0"}.get(ni, "")
        o = {"NetworkInterfaceId": ni.eni, "SubnetId": ni.subnet, "VpcId": VPC, "OwnerId": ACCOUNT, "InterfaceType": "nat_gateway" if ni is NAT else "interface",
             "Description": description, "RequesterManaged": managed, "SourceDestCheck": ni is not NAT, "Status": "in-use", "AvailabilityZone": f"{REGION}a",
             "PrivateIpAddress": ni.addr, "PrivateIpAddresses": [first] + more, "Ipv6Addresses": [{"Ipv6Address": ni.addr6}] if ni.addr6 else [],
             "Groups": [{"GroupId": SG[GROUPS[ni]], "GroupName": GROUPS[ni]}] if ni in GROUPS else []}
        if association:
            o["Association"] = association
        if managed:
            o["RequesterId"] = "amazon-elb" if ni is ALB else ACCOUNT
            o["Attachment"] = {"AttachmentId": f"{'ela' if ni is ALB else 'eni'}-attach-{i:017x}", "InstanceOwnerId": "amazon-elb" if ni is ALB else "amazon-aws", "DeviceIndex": 1, "Status": "attached"}
        else:
            o["Attachment"] = {"AttachmentId": f"eni-attach-{i:017x}", "InstanceId": ni.instance, "InstanceOwnerId": ACCOUNT, "DeviceIndex": 0, "Status": "attached", "AttachTime": "2025-11-03T08:00:00+00:00"}
        out.append(o | {"TagSet": [{"Key": "env", "Value": "prod"}]})
    return {"NetworkInterfaces": out}


def subnets():
    out = []
    for sid, (name, cidr, v6) in SUBNETS.items():
        block6 = [{"AssociationId": "subnet-cidr-assoc-0a1b2c3d4e5f60718", "Ipv6CidrBlock": v6, "Ipv6CidrBlockState": {"State": "associated"}}] if v6 else []
        out.append({"SubnetId": sid, "VpcId": VPC, "OwnerId": ACCOUNT, "CidrBlock": cidr, "Ipv6CidrBlockAssociationSet": block6, "AvailabilityZone": f"{REGION}a",
                    "AvailabilityZoneId": "use1-az4", "MapPublicIpOnLaunch": name == "public", "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
                    "State": "available", "Tags": [{"Key": "Name", "Value": name}]})
    return {"Subnets": out}


def vpcs():
    return {"Vpcs": [{
        "VpcId": VPC, "OwnerId": ACCOUNT, "CidrBlock": "10.0.0.0/16", "IsDefault": False, "State": "available", "InstanceTenancy": "default",
        "CidrBlockAssociationSet": [{"AssociationId": "vpc-cidr-assoc-0a1b2c3d4e5f60718", "CidrBlock": "10.0.0.0/16", "CidrBlockState": {"State": "associated"}}],
        "Ipv6CidrBlockAssociationSet": [{"AssociationId": "vpc-cidr-assoc-0a1b2c3d4e5f60719", "Ipv6CidrBlock": "2001:db8:1:a100::/56", "Ipv6CidrBlockState": {"State": "associated"}}],
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"}, "Tags": [{"Key": "Name", "Value": "shop"}]}]}


def route_tables():
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"}

    def table(number, name, subnet_ids, default, main=False):
        rid = f"rtb-0{number}{'0' * 15}"
        associations = [{"RouteTableAssociationId": f"rtbassoc-0{number}{'0' * 14}{i}", "RouteTableId": rid, "SubnetId": s, "Main": False} for i, s in enumerate(subnet_ids)]
        associations += [{"RouteTableAssociationId": f"rtbassoc-0{number}{'0' * 14}f", "RouteTableId": rid, "Main": True}] if main else []
        return {"RouteTableId": rid, "VpcId": VPC, "OwnerId": ACCOUNT, "Associations": associations, "Routes": [local] + default, "PropagatingVgws": [], "Tags": [{"Key": "Name", "Value": name}]}

    out = lambda **to: {**to, "Origin": "CreateRoute", "State": "active"}
    gate = [out(DestinationCidrBlock="0.0.0.0/0", GatewayId="igw-0123456789abcdef0"), out(DestinationIpv6CidrBlock="::/0", GatewayId="igw-0123456789abcdef0")]
    return {"RouteTables": [table(1, "public", [PUBLIC, API], gate), table(2, "private", [WEB, DB], [out(DestinationCidrBlock="0.0.0.0/0", NatGatewayId="nat-0123456789abcdef0")], True)]}


def prefix_lists():
    return {"PrefixLists": [
        {"PrefixListId": OFFICE_LIST, "AddressFamily": "IPv4", "State": "create-complete", "PrefixListArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:prefix-list/{OFFICE_LIST}",
         "PrefixListName": "office", "MaxEntries": 10, "Version": 1, "Tags": [], "OwnerId": ACCOUNT},
        {"PrefixListId": "pl-63a5400a", "AddressFamily": "IPv4", "State": "create-complete", "PrefixListArn": f"arn:aws:ec2:{REGION}:aws:prefix-list/pl-63a5400a",
         "PrefixListName": "com.amazonaws.us-east-1.s3", "Tags": [], "OwnerId": "AWS"}]}


def load_balancers():
    return {"LoadBalancers": [{
        "LoadBalancerArn": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/50dc6c495c0c9188", "LoadBalancerName": "shop", "Type": "application",
        "DNSName": "shop-1.us-east-1.elb.amazonaws.com", "Scheme": "internet-facing", "VpcId": VPC, "SecurityGroups": [SG["alb"]],
        "AvailabilityZones": [{"ZoneName": f"{REGION}a", "SubnetId": PUBLIC, "LoadBalancerAddresses": []}], "IpAddressType": "dualstack", "State": {"Code": "active"}}]}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    for name, content in {
        "describe-vpcs": vpcs(), "describe-subnets": subnets(), "describe-route-tables": route_tables(), "describe-network-acls": network_acls(),
        "describe-security-groups": security_groups(), "describe-security-group-rules": security_group_rules(), "describe-network-interfaces": network_interfaces(),
        "describe-managed-prefix-lists": prefix_lists(),
        f"get-managed-prefix-list-entries-{OFFICE_LIST}": {"Entries": [{"Cidr": "203.0.113.0/28", "Description": "office"}]},
        "elbv2-describe-load-balancers": load_balancers(),
    }.items():
        with open(os.path.join(OUT, name + ".json"), "w") as f:
            f.write(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
