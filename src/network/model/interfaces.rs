//! What filters stand in front of: network interfaces, and the instances that they are attached to.

use crate::net::{Family, Prefix};
use std::net::IpAddr;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// Its subnet.
    pub subnet_id: Option<String>,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Owning account.
    pub owner_id: Option<String>,
    /// The groups it carries; empty means that no group filters it.
    pub group_ids: Vec<String>,
    /// Whether the form listed the groups at all: without them nothing can be said about the groups' verdict.
    pub groups_known: bool,
    /// Primary private IPv4, which flow logs show as the interface's own side.
    pub primary: Option<IpAddr>,
    /// All private IPv4 and IPv6 addresses, the primary included.
    pub addresses: Vec<IpAddr>,
    /// It may have addresses besides these: some could not be read.
    pub more_addresses: bool,
    /// Delegated prefixes: local addresses too.
    pub prefixes: Vec<Prefix>,
    /// Public and Elastic addresses mapped to it; never its own side in a record.
    pub public_addresses: Vec<IpAddr>,
    /// Public addresses with the private one that each is mapped to, as far as the form tells (spec 6.5: `Association`
    /// stands in each element of `PrivateIpAddresses`).
    pub public_mappings: Vec<(IpAddr, IpAddr)>,
    /// Whether the form lists public addresses at all: without them nothing can be said about what has none.
    pub public_known: bool,
    /// `interface`, `nat_gateway`, `transit_gateway`… (`natGateway` of the service model is read as `nat_gateway`).
    pub interface_type: Option<String>,
    /// Free text by which services mark their interfaces.
    pub description: Option<String>,
    /// Who requested it, e.g. `amazon-elb`.
    pub requester_id: Option<String>,
    /// Managed by a service.
    pub requester_managed: bool,
    /// Source/destination check.
    pub source_dest_check: Option<bool>,
    /// Instance it is attached to.
    pub instance_id: Option<String>,
    /// `in-use`, `available` where it is attached to nothing…
    pub status: Option<String>,
    /// What comes from the internet is dropped (`DenyAllIgwTraffic`).
    pub denies_internet: bool,
    /// Idle timeout of established TCP, seconds, if set on the interface.
    pub tcp_established_timeout: Option<i64>,
    /// Timeout of one-way UDP, seconds, if set.
    pub udp_timeout: Option<i64>,
    /// Timeout of UDP streams, seconds, if set.
    pub udp_stream_timeout: Option<i64>,
}

impl NetworkInterface {
    /// Whether it holds only the groups that a Terraform plan attaches to an interface that is managed elsewhere: one of
    /// the plan itself has its subnet.
    pub fn is_part(&self) -> bool {
        self.subnet_id.is_none() && self.addresses.is_empty() && self.id.starts_with("eni-")
    }

    /// Whether `addr` is one of its private addresses or lies in a prefix delegated to it.
    pub fn owns(&self, addr: &IpAddr) -> bool {
        self.addresses.contains(addr) || self.prefixes.iter().any(|prefix| prefix.contains(addr))
    }

    /// The public address that is mapped to one of its private ones. A public address whose private one the form does not
    /// tell is taken to be the primary's, as that of the interface's own `Association` is.
    pub fn public_of(&self, private: &IpAddr) -> Option<IpAddr> {
        let same = |public: &&IpAddr| public.is_ipv4() == private.is_ipv4();
        self.public_addresses.iter().filter(same).find(|one| self.private_of(one) == Some(*private)).copied()
    }

    /// The private address that a public one is mapped to.
    pub fn private_of(&self, public: &IpAddr) -> Option<IpAddr> {
        let mapped = self.public_mappings.iter().find(|(one, _)| one == public).map(|(_, private)| *private);
        mapped.or(self.primary).filter(|private| private.is_ipv4() == public.is_ipv4())
    }

    /// What stands for `addr` in evidence about flows: the primary address, where `addr` is one of several IPv4 addresses.
    ///
    /// Packets to a secondary address show the primary one (documented), and which of them packets from it show is not
    /// (spec 4.2, 9.2 no. 9), so that a flow's two directions may name different ones. IPv6 addresses are never replaced.
    pub fn alias(&self, addr: &IpAddr) -> Option<IpAddr> {
        if !addr.is_ipv4() || !self.has_several() || !self.owns(addr) {
            return None;
        }
        self.primary.filter(IpAddr::is_ipv4).or_else(|| self.addresses.iter().copied().find(IpAddr::is_ipv4))
    }

    /// Whether it has more than one IPv4 address.
    pub fn has_several(&self) -> bool {
        self.addresses.iter().filter(|addr| addr.is_ipv4()).nth(1).is_some()
            || self.prefixes.iter().any(|prefix| prefix.family() == Family::V4)
    }

    /// The name by which AWS describes interfaces of a load balancer (`ELB <name>`): `app/NAME/ID`, `net/…` or `gwy/…`, and of a
    /// Classic one its name alone.
    pub fn balancer_name(&self) -> Option<&str> {
        self.description.as_deref()?.strip_prefix("ELB ")
    }

    /// What AWS's description tells of an interface that a service made: `Interface for NAT Gateway nat-…`, `ELB app/web/…`,
    /// `RDSNetworkInterface`. Such interfaces seldom have a name.
    pub fn service_description(&self) -> Option<&str> {
        let has_kind = self.interface_type.as_deref().is_some_and(|kind| kind != "interface");
        let by_service = self.requester_managed || has_kind || self.balancer_name().is_some();
        self.description.as_deref().filter(|text| by_service && !text.trim().is_empty())
    }

    /// Whether it is an interface of a Classic Load Balancer.
    pub fn is_classic_lb(&self) -> bool {
        self.balancer_name().is_some_and(|name| !name.contains('/'))
    }

    /// Whether it is of the given `InterfaceType`.
    pub fn is_type(&self, kind: &str) -> bool {
        self.interface_type.as_deref() == Some(kind)
    }

    /// A gateway endpoint, interface endpoint or endpoint of a Gateway Load Balancer.
    pub fn is_endpoint(&self) -> bool {
        self.is_type("vpc_endpoint") || self.is_type("gateway_load_balancer_endpoint")
    }
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// e.g. `m8i.large`; decides the default TCP timeout.
    pub instance_type: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// Subnet.
    pub subnet_id: Option<String>,
    /// Whether Windows runs on it, by `Platform` and `PlatformDetails`.
    pub is_windows: Option<bool>,
    /// `running`, `stopped`, `terminated`…
    pub state: Option<String>,
}

impl Instance {
    /// Whether the type is of the generation whose established-TCP timeout defaults to 350 s (Nitro v6; inferred from the
    /// family's generation digit: 8 for the x86 and Graviton families that run on it, and p6e excepted as documented).
    pub fn is_nitro_v6(&self) -> Option<bool> {
        let family = self.instance_type.as_deref()?.split('.').next()?;
        if family.starts_with("p6e") {
            return Some(false);
        }
        let generation = family.chars().find(char::is_ascii_digit)?.to_digit(10)?;
        Some(generation >= 8 || family.starts_with("p6") || family.starts_with("g7"))
    }
}
