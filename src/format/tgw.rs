//! Transit Gateway flow logs.
//!
//! All thirty-six fields form the default format, in this order (AWS, "Transit Gateway Flow Log
//! records"). There is no `action`: a transit gateway neither accepts nor rejects.

use super::ColumnType::{Address, EpochSeconds, Int32, Int64, Text};
use super::{Column, column};

/// The columns of `tgw_flow_logs`.
pub static COLUMNS: &[Column] = &[
    column("version", "version", Int32, 2, "Format version."),
    column(
        "resource_type",
        "resource-type",
        Text,
        6,
        "Resource of the subscription: TransitGateway; TransitGatewayAttachment listed by a public consumer.",
    ),
    column("account_id", "account-id", Text, 2, "Owner account of the source transit gateway."),
    column("tgw_id", "tgw-id", Text, 6, "Transit gateway."),
    column("tgw_attachment_id", "tgw-attachment-id", Text, 6, "Attachment that recorded the traffic."),
    column("tgw_src_vpc_account_id", "tgw-src-vpc-account-id", Text, 6, "Account of the source VPC."),
    column("tgw_dst_vpc_account_id", "tgw-dst-vpc-account-id", Text, 6, "Account of the destination VPC."),
    column("tgw_src_vpc_id", "tgw-src-vpc-id", Text, 6, "Source VPC."),
    column("tgw_dst_vpc_id", "tgw-dst-vpc-id", Text, 6, "Destination VPC."),
    column("tgw_src_subnet_id", "tgw-src-subnet-id", Text, 6, "Source subnet."),
    column("tgw_dst_subnet_id", "tgw-dst-subnet-id", Text, 6, "Destination subnet."),
    column("tgw_src_eni", "tgw-src-eni", Text, 6, "Source attachment interface."),
    column("tgw_dst_eni", "tgw-dst-eni", Text, 6, "Destination attachment interface."),
    column("tgw_src_az_id", "tgw-src-az-id", Text, 6, "Zone id of the source side; NULL from a sublocation."),
    column("tgw_dst_az_id", "tgw-dst-az-id", Text, 6, "Zone id of the destination side."),
    column(
        "tgw_pair_attachment_id",
        "tgw-pair-attachment-id",
        Text,
        6,
        "The other attachment of the flow (egress or ingress one, depending on direction).",
    ),
    column("srcaddr", "srcaddr", Address, 2, "Source address."),
    column("dstaddr", "dstaddr", Address, 2, "Destination address."),
    column("srcport", "srcport", Int32, 2, "Source port."),
    column("dstport", "dstport", Int32, 2, "Destination port."),
    column("protocol", "protocol", Int32, 2, "IANA protocol number."),
    column("packets", "packets", Int64, 2, "Packets."),
    column("bytes", "bytes", Int64, 2, "Bytes."),
    column("start", "start", EpochSeconds, 2, "First packet in the window (up to 60 s late)."),
    column("end", "end", EpochSeconds, 2, "Last packet in the window (up to 60 s late)."),
    column("log_status", "log-status", Text, 2, "OK, NODATA, SKIPDATA."),
    column("type", "type", Text, 3, "IPv4, IPv6, EFA."),
    column("packets_lost_no_route", "packets-lost-no-route", Int64, 6, "Packets lost: no route."),
    column("packets_lost_blackhole", "packets-lost-blackhole", Int64, 6, "Packets lost: blackhole route."),
    column("packets_lost_mtu_exceeded", "packets-lost-mtu-exceeded", Int64, 6, "Packets lost: over MTU."),
    column("packets_lost_ttl_expired", "packets-lost-ttl-expired", Int64, 6, "Packets lost: TTL expired."),
    column(
        "tcp_flags",
        "tcp-flags",
        Int32,
        3,
        "OR of FIN 1, SYN 2, RST 4, PSH 8, ACK 16, SYN-ACK 18, URG 32. ACK-only windows show 0, not 16. Wider than the VPC mask.",
    ),
    column("region", "region", Text, 4, "Region of the transit gateway."),
    column(
        "flow_direction",
        "flow-direction",
        Text,
        5,
        "ingress or egress, relative to the transit gateway.",
    ),
    column(
        "pkt_src_aws_service",
        "pkt-src-aws-service",
        Text,
        5,
        "Service owning srcaddr (shorter list than 1.4).",
    ),
    column("pkt_dst_aws_service", "pkt-dst-aws-service", Text, 5, "Service owning dstaddr."),
];
