//! Load balancers and what they forward to.

use crate::net::{TCP, UDP};

/// A load balancer of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadBalancer {
    /// ARN, or the name for Classic ones.
    pub id: String,
    /// Name.
    pub name: String,
    /// `application`, `network`, `gateway`, `classic`.
    pub kind: String,
    /// `internet-facing`, `internal`.
    pub scheme: Option<String>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// Groups.
    pub group_ids: Vec<String>,
    /// Subnets.
    pub subnet_ids: Vec<String>,
    /// Availability zones.
    pub zones: Vec<String>,
    /// `active`, `provisioning`, `failed`…
    pub state: Option<String>,
    /// Its listeners, where these were asked for (`describe-listeners`). Those of Classic ones are with their targets.
    pub listeners: Option<Vec<Listener>>,
    /// Whether the inbound rules of its groups hold for PrivateLink traffic
    /// (`EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic`), which they do unless that is `off`.
    pub enforces_on_private_link: Option<bool>,
}

/// A listener of an Application, Network or Gateway load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listener {
    /// Port.
    pub port: u16,
    /// `TCP`, `TLS`, `HTTP`, `HTTPS`, `UDP`, `TCP_UDP`…
    pub protocol: Option<String>,
    /// Target groups that its default action forwards to.
    pub forwards: Vec<String>,
    /// What its default action does: `forward`, `redirect`, `fixed-response`…
    pub action: Option<String>,
}

impl Listener {
    /// Whether it takes packets of a protocol: TCP or UDP, by number.
    pub fn takes(&self, protocol: u8) -> bool {
        match self.protocol.as_deref() {
            None => true,
            Some("UDP" | "QUIC" | "DTLS") => protocol == UDP,
            Some("TCP_UDP" | "TCP_QUIC") => matches!(protocol, TCP | UDP),
            Some(_) => protocol == TCP,
        }
    }
}

impl LoadBalancer {
    /// The ports of its listeners.
    pub fn listener_ports(&self) -> Option<Vec<u16>> {
        let mut ports = Vec::new();
        for listener in self.listeners.as_ref()? {
            if !ports.contains(&listener.port) {
                ports.push(listener.port);
            }
        }
        Some(ports)
    }

    /// Whether its interfaces are described by this [name](super::NetworkInterface::balancer_name).
    pub fn is_named(&self, named: &str) -> bool {
        match named.contains('/') {
            true => self.id.strip_suffix(named).is_some_and(|rest| rest.ends_with('/')),
            false => self.kind == "classic" && self.name == named,
        }
    }
}

/// A target group with what is known of its targets. The instances behind a listener of a Classic load balancer are one too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// ARN; `elb/NAME/PORT` for the instances of a Classic load balancer.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Listener side protocol.
    pub protocol: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// `instance`, `ip`, `lambda`, `alb`.
    pub target_type: Option<String>,
    /// Load balancers that forward to it.
    pub load_balancer_ids: Vec<String>,
    /// What it forwards to.
    pub targets: Vec<Target>,
    /// Whether these were asked for, so that without one it has none.
    pub targets_known: bool,
    /// Ports at which the listeners of a Classic load balancer take what they forward to it.
    pub listener_ports: Vec<u16>,
    /// `preserve_client_ip.enabled`.
    pub preserve_client_ip: Option<bool>,
    /// `load_balancing.cross_zone.enabled`; `None` also where the load balancer's own setting holds.
    pub cross_zone: Option<bool>,
}

impl TargetGroup {
    /// Whether a load balancer forwards to it.
    pub fn is_of(&self, balancer: &str) -> bool {
        self.load_balancer_ids.iter().any(|id| id == balancer)
    }
}

/// One target of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// An instance, an address, a Lambda function or a load balancer.
    pub id: String,
    /// The port that it was registered with, which stands in for the group's; one target may be there with several.
    pub port: Option<u16>,
    /// Its health state.
    pub health: Option<String>,
}
