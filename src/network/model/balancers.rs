//! Load balancers and what they forward to.

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
    /// Ports of its listeners, where these were asked for (`describe-listeners`). Those of Classic ones are with their targets.
    pub listener_ports: Option<Vec<u16>>,
    /// Whether the inbound rules of its groups hold for PrivateLink traffic
    /// (`EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic`), which they do unless that is `off`.
    pub enforces_on_private_link: Option<bool>,
}

impl LoadBalancer {
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
    /// Ports at which the listeners of a Classic load balancer take what they forward to it.
    pub listener_ports: Vec<u16>,
    /// `preserve_client_ip.enabled`.
    pub preserve_client_ip: Option<bool>,
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
