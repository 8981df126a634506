//! The route that a subnet has for an address: the longest prefix, and what its target does.

use std::net::IpAddr;

use super::walk::{Local, Walk};
use super::{Layer, Stage, Way};
use crate::net::is_internet;
use crate::network::{Destination, Route};
use crate::rules::Decision;

impl Walk<'_> {
    /// The stage of the route from an interface's subnet to a remote address.
    pub(super) fn route(&mut self, way: Way, local: &Local, remote: IpAddr) {
        let interface = &local.rules.interface;
        let subnet = interface.subnet_id.as_deref();
        let at = subnet.unwrap_or(&interface.id).to_owned();
        if local.rules.unfiltered(&remote).is_some() {
            let reason = "a service of the VPC itself needs no route";
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::NotApplicable, reason));
            return;
        }
        let table =
            subnet.and_then(|id| self.network.route_table_of(id, interface.vpc_id.as_deref(), self.view));
        let Some(table) = table else {
            let reason = "the subnet's route table is not in the configuration (describe-route-tables)";
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::Unknown, reason));
            return;
        };
        let table = table.value.clone();
        let mut best: Option<(u8, &Route, String)> = None;
        let mut unknown_list = None;
        for route in &table.routes {
            let blocks = match &route.destination {
                Destination::Cidr(cidr) => vec![*cidr],
                Destination::PrefixList(id) => {
                    let list = self.network.prefix_lists.get(id, self.view);
                    match list.and_then(|list| list.value.entries.clone()) {
                        Some(entries) => entries,
                        None => {
                            unknown_list = Some((id.clone(), route.target.clone()));
                            continue;
                        }
                    }
                }
            };
            for block in blocks.into_iter().filter(|block| block.contains(&remote)) {
                if best.as_ref().is_none_or(|(length, ..)| block.prefix_len() > *length) {
                    best = Some((block.prefix_len(), route, block.to_string()));
                }
            }
        }
        if let Some((list, target)) = unknown_list {
            self.not_checked.push(format!(
                "the route of {} over {target} to {list}, whose entries are not in the configuration",
                table.id
            ));
        }
        let Some((_, route, block)) = best else {
            let reason = format!("{} has no route to {remote}", table.id);
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::Deny, reason));
            return;
        };
        let (outcome, reason) = self.target(way, local, remote, route);
        let mut stage = Stage::new(way, Layer::Route, at, outcome, reason);
        stage.rule = Some(format!("{} {block} to {}", table.id, route.target));
        self.stages.push(stage);
    }

    fn target(&mut self, way: Way, local: &Local, remote: IpAddr, route: &Route) -> (Decision, String) {
        let target = route.target.as_str();
        let interface = &local.rules.interface;
        if route.state.as_deref() == Some("blackhole") {
            return (Decision::Deny, format!("the route is a blackhole: {target} is gone"));
        }
        if target == "local" {
            return (Decision::Allow, "within the VPC".to_owned());
        }
        let kind = target.split('-').next().unwrap_or_default();
        match kind {
            "igw" if !is_internet(&remote) => {
                (Decision::Deny, "an internet gateway does not carry private addresses".to_owned())
            }
            "igw" if remote.is_ipv4() && !interface.public_addresses.iter().any(IpAddr::is_ipv4) => (
                Decision::Deny,
                format!("{} has no public address, so the internet gateway drops it", interface.id),
            ),
            "igw" => (Decision::Allow, "over the internet gateway".to_owned()),
            "eigw" if way == Way::There => {
                (Decision::Allow, "over the egress-only internet gateway".to_owned())
            }
            "eigw" => {
                let reason = "an egress-only internet gateway lets in no flow that starts outside";
                (Decision::Deny, reason.to_owned())
            }
            "nat" if way == Way::There => {
                self.not_checked.push(format!("the network ACL and routes of the subnet of {target}"));
                (Decision::Allow, "over the NAT gateway, under its address".to_owned())
            }
            "nat" => {
                let reason = "the answer would leave through a NAT gateway under another address, and the client drops it";
                (Decision::Deny, reason.to_owned())
            }
            "pcx" => self.peering(local, remote, target),
            _ => {
                self.not_checked.push(format!("what lies behind {target}"));
                (Decision::Unknown, format!("over {target}, whose own routes are not in the configuration"))
            }
        }
    }

    fn peering(&mut self, local: &Local, remote: IpAddr, id: &str) -> (Decision, String) {
        let Some(found) = self.network.peerings.get(id, self.view) else {
            return (
                Decision::Unknown,
                format!("{id} is not in the configuration (describe-vpc-peering-connections)"),
            );
        };
        let peering = found.value;
        if let Some(status) = peering.status.as_deref().filter(|status| *status != "active") {
            return (Decision::Deny, format!("{id} is {status}"));
        }
        let own = local.rules.interface.vpc_id.as_deref();
        let far = match own == peering.requester.vpc_id.as_deref() {
            true => &peering.accepter,
            false => &peering.requester,
        };
        let vpc = far.vpc_id.as_deref().and_then(|vpc| self.network.vpcs.get(vpc, self.view));
        let cidrs = match (far.cidrs.is_empty(), vpc) {
            (true, Some(vpc)) => vpc.value.cidrs.clone(),
            _ => far.cidrs.clone(),
        };
        if cidrs.iter().any(|cidr| cidr.contains(&remote)) {
            return (Decision::Allow, format!("over {id}"));
        }
        if cidrs.is_empty() {
            return (Decision::Unknown, format!("the blocks behind {id} are not in the configuration"));
        }
        (Decision::Deny, format!("{remote} is not in the VPC behind {id}, and peering is not transitive"))
    }
}
