"""Field orders of the flow log formats in the dump (AWS, "Flow log records")."""

V2 = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status".split()
V5 = (
    "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id "
    "instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr "
    "pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status"
).split()
V7 = (
    "version interface-id srcaddr dstaddr action log-status ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn "
    "ecs-container-instance-id ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn "
    "ecs-task-arn ecs-task-id"
).split()
V11 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status "
    "tcp-flags flow-direction traffic-path pkt-srcaddr pkt-dstaddr reject-reason resource-id encryption-status "
    "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type next-hop-interface-id "
    "next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type"
).split()
TGW = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id "
    "tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id "
    "tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status type "
    "packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region "
    "flow-direction pkt-src-aws-service pkt-dst-aws-service"
).split()
MIN = ["pkt-srcaddr", "pkt-dstaddr", "action"]
ALPHABETICAL = sorted(V2 + ["vpc-id", "subnet-id", "instance-id", "az-id", "region", "tcp-flags", "flow-direction"])
FUTURE = V2 + ["flow-direction", "tcp-flags", "threat-score", "reject-rule-id"]
INT32 = {"version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"}
INT64 = {"packets", "bytes", "start", "end"} | {f for f in TGW if f.startswith("packets-lost-")}
