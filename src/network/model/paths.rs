//! Where traffic goes: VPCs and subnets, routes, and what joins networks or keeps them from the internet.

use crate::net::Prefix;
use std::fmt;

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// IPv4 and IPv6 blocks.
    pub cidrs: Vec<Prefix>,
    /// Availability zone.
    pub availability_zone: Option<String>,
    /// Effective Block Public Access mode: `off`, `block-bidirectional`, `block-ingress`.
    pub bpa_mode: Option<String>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Owning account.
    pub owner_id: Option<String>,
    /// IPv4 and IPv6 blocks.
    pub cidrs: Vec<Prefix>,
    /// Effective Block Public Access mode.
    pub bpa_mode: Option<String>,
    /// Encryption control mode: `monitor`, `enforce`.
    pub encryption_mode: Option<String>,
}

/// What a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A block.
    Cidr(Prefix),
    /// A prefix list.
    PrefixList(String),
}

impl Destination {
    /// The block, where it is none of a list's.
    pub fn block(&self) -> Option<&Prefix> {
        match self {
            Destination::Cidr(block) => Some(block),
            Destination::PrefixList(_) => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Cidr(block) => block.fmt(f),
            Destination::PrefixList(list) => f.write_str(list),
        }
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it matches.
    pub destination: Destination,
    /// `local`, `igw-…`, `nat-…`, `tgw-…`, `pcx-…`, `eni-…`, `vpce-…`, `eigw-…`, or a Cloud WAN ARN.
    pub target: String,
    /// `active`, `blackhole`, `filtered`.
    pub state: Option<String>,
    /// A virtual private gateway made it (`Origin` is `EnableVgwRoutePropagation`).
    pub propagated: bool,
}

impl Route {
    /// Whether what it leads to is gone.
    pub fn is_blackhole(&self) -> bool {
        self.state.as_deref() == Some("blackhole")
    }
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Main table of the VPC.
    pub is_main: bool,
    /// Subnets with an explicit association.
    pub subnet_ids: Vec<String>,
    /// Internet and virtual private gateways associated with it: it routes what comes in through them.
    pub gateway_ids: Vec<String>,
    /// Its routes.
    pub routes: Vec<Route>,
    /// It may have more: some could not be read.
    pub more_routes: bool,
}

/// One end of a peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeeringEnd {
    /// VPC.
    pub vpc_id: Option<String>,
    /// Account.
    pub owner_id: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Blocks.
    pub cidrs: Vec<Prefix>,
}

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peering {
    /// `pcx-…`.
    pub id: String,
    /// `active` is the only usable state.
    pub status: Option<String>,
    /// Requester.
    pub requester: PeeringEnd,
    /// Accepter.
    pub accepter: PeeringEnd,
}

impl Peering {
    /// Whether it works and joins the two VPCs.
    pub fn joins(&self, one: &str, other: &str) -> bool {
        let (requester, accepter) = (self.requester.vpc_id.as_deref(), self.accepter.vpc_id.as_deref());
        self.status.as_deref() == Some("active")
            && ((requester == Some(one) && accepter == Some(other))
                || (requester == Some(other) && accepter == Some(one)))
    }

    /// Whether both ends are in one Region, which references to groups need; unknown Regions count as equal.
    pub fn same_region(&self) -> bool {
        match (&self.requester.region, &self.accepter.region) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// A transit gateway's attachment of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransitGatewayAttachment {
    /// `tgw-attach-…`.
    pub id: String,
    /// `tgw-…`.
    pub gateway_id: Option<String>,
    /// Attached VPC.
    pub vpc_id: Option<String>,
    /// Subnets with an attachment interface.
    pub subnet_ids: Vec<String>,
    /// Security group referencing support: `enable`, `disable`.
    pub security_group_referencing: Option<String>,
    /// That of the gateway itself.
    pub gateway_referencing: Option<String>,
    /// The gateway's route table that leads on what comes in by it (`tgw-rtb-…`).
    pub route_table_id: Option<String>,
    /// Whether a form was read that tells that table, so that without one it has none.
    pub association_known: bool,
    /// `available`, `pendingAcceptance`…
    pub state: Option<String>,
}

impl TransitGatewayAttachment {
    /// Whether rules may refer to groups over it (spec 2.4: both the gateway and the attachment have to support it); `None`
    /// where that is not known.
    pub fn supports_references(&self) -> Option<bool> {
        match (self.security_group_referencing.as_deref(), self.gateway_referencing.as_deref()) {
            (Some("disable"), _) | (_, Some("disable")) => Some(false),
            (Some("enable"), Some("enable")) => Some(true),
            _ => None,
        }
    }
}

/// A route of a transit gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitRoute {
    /// What it matches.
    pub destination: Destination,
    /// Where it leads, none where it drops: attachments of equal cost.
    pub attachment_ids: Vec<String>,
    /// `active`, `blackhole`.
    pub state: Option<String>,
    /// An attachment made it; a static one to the same block is taken before it.
    pub propagated: bool,
}

/// A route table of a transit gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransitRouteTable {
    /// `tgw-rtb-…`.
    pub id: String,
    /// Its routes.
    pub routes: Vec<TransitRoute>,
    /// These are all that it has.
    pub whole: bool,
}

/// Block Public Access options of an account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BpaOptions {
    /// `account/region`, either part `-` when unknown.
    pub id: String,
    /// `off`, `block-bidirectional`, `block-ingress`.
    pub mode: Option<String>,
}

/// A Block Public Access exclusion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BpaExclusion {
    /// `vpcbpa-exclude-…`.
    pub id: String,
    /// `vpc-…` or `subnet-…`.
    pub resource_id: Option<String>,
    /// `allow-bidirectional`, `allow-egress`.
    pub mode: Option<String>,
    /// Lifecycle state.
    pub state: Option<String>,
}

impl BpaExclusion {
    /// Whether it is in force: not where it is still being made or undone, or never was.
    pub fn is_in_force(&self) -> bool {
        matches!(self.state.as_deref(), None | Some("create-complete" | "update-complete"))
    }
}
