//! The route that a subnet has for an address, and what its target does.

use std::net::IpAddr;
use std::sync::Arc;

use super::mend::{Mended, PENDING};
use super::walk::{Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::forwarding_fix;
use crate::net::{ICMP, Prefix, TCP, behind_nat64, is_internet};
use crate::network::{Destination, Origin, Peering, PeeringEnd, Preference, Route, RouteTable};
use crate::rules::Decision;

/// The addresses that NAT gateways make IPv4 addresses of (RFC 6052).
pub(super) const NAT64: &str = "64:ff9b::/96";

/// Whether a route leads to an interface or an instance.
pub(super) fn is_forwarder(target: &str) -> bool {
    target.starts_with("eni-") || target.starts_with("i-")
}

/// Where a route leads, as far as the stages behind it depend on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hop {
    /// Over an internet gateway.
    Internet,
    /// Over an egress-only internet gateway.
    EgressOnly,
    /// Over a NAT gateway.
    Nat(String),
    /// Over a transit gateway.
    Transit(String),
    /// Within the VPC, over a peering connection, or nowhere.
    Other,
}

/// The route that packets to an address take.
pub(super) struct Best {
    pub(super) table: Arc<RouteTable>,
    pub(super) route: Option<(Route, String)>,
    /// The block that holds the address: that of the route, or of its list.
    pub(super) block: Option<Prefix>,
    /// Routes that are not known, or lead to lists whose entries are not: one of them may be longer.
    pub(super) unknown: Vec<String>,
}

impl Walk<'_> {
    /// The best route of an interface's subnet; `None` where its table is not in the configuration.
    pub(super) fn best_route(&self, local: &Local, remote: IpAddr) -> Option<Best> {
        let interface = &local.rules.interface;
        let vpc = interface.vpc_id.as_deref();
        let table = self.network.route_table_of(interface.subnet_id.as_deref()?, vpc, self.view)?;
        Some(self.best_of(table.value.clone(), remote))
    }

    /// The best route of a table.
    pub(super) fn best_of(&self, table: Arc<RouteTable>, remote: IpAddr) -> Best {
        let mut matching: Vec<(Prefix, &Route)> = Vec::new();
        let mut unknown = Vec::new();
        if table.more_routes {
            unknown.push(format!("routes of {} that could not be read", table.id));
        }
        for route in &table.routes {
            let list;
            let blocks = match &route.destination {
                Destination::Cidr(cidr) => std::slice::from_ref(cidr),
                Destination::PrefixList(id) => {
                    list = self.network.prefix_lists.get(id, self.view);
                    match list.as_ref().and_then(|list| list.value.entries.as_deref()) {
                        Some(entries) => entries,
                        // What gateway endpoints lead to are public addresses.
                        None if route.target.starts_with("vpce-") && !is_internet(&remote) => continue,
                        None => {
                            unknown.push(format!(
                                "the route of {} over {} to {id}, whose entries are not in the configuration",
                                table.id, route.target
                            ));
                            continue;
                        }
                    }
                }
            };
            let blocks = blocks.iter().filter(|block| block.contains(&remote));
            matching.extend(
                blocks.filter(|block| !table.is_overruled(route, block)).map(|block| (*block, route)),
            );
        }
        let rank = |(block, route): &(Prefix, &Route)| (block.prefix_len(), route.preference());
        let best =
            matching.iter().copied().reduce(|best, one| if rank(&one) > rank(&best) { one } else { best });
        if let Some(best) = best.filter(|(_, route)| route.preference() == Preference::PrefixList)
            && let Some((_, other)) =
                matching.iter().find(|one| rank(one) == rank(&best) && one.1.target != best.1.target)
        {
            unknown.push(format!(
                "the route of {} to {} over {}, for the same block: of two prefix lists AWS takes one at random",
                table.id, other.destination, other.target
            ));
        }
        let route = best.map(|(block, route)| {
            let shown = match &route.destination {
                Destination::Cidr(_) => block.to_string(),
                // What the route table shows is the list.
                Destination::PrefixList(id) => format!("{id} ({block})"),
            };
            (route.clone(), shown)
        });
        let block = best.map(|(block, _)| block);
        Best { table, route, block, unknown }
    }

    /// The stage of the route from an interface's subnet to a remote address, which `far` holds if it is known.
    pub(super) fn route(&mut self, way: Way, local: &Local, remote: IpAddr, far: Option<&Local>) -> Hop {
        let interface = &local.rules.interface;
        let at = interface.subnet_id.as_deref().unwrap_or(&interface.id).to_owned();
        if local.rules.unfiltered(&remote).is_some() {
            let reason = "a service of the VPC itself needs no route";
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::NotApplicable, reason));
            return Hop::Other;
        }
        let neighbour = far.filter(|far| far.own == remote && interface.subnet_id.is_some());
        if neighbour.is_some_and(|far| far.rules.interface.subnet_id == interface.subnet_id) {
            let reason = "within the subnet no route is asked";
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::NotApplicable, reason));
            return Hop::Other;
        }
        let Some(Best { table, route, block: within, unknown }) = self.best_route(local, remote) else {
            let reason = "the subnet's route table is not in the configuration (describe-route-tables)";
            self.stages.push(Stage::new(way, Layer::Route, at, Decision::Unknown, reason));
            return Hop::Other;
        };
        let elsewhere = unknown.first().cloned();
        let may_be_elsewhere = elsewhere.is_some();
        self.not_checked.extend(unknown);
        let Some((route, block)) = route else {
            let reason = format!("{} has no route to {remote}", table.id);
            let outcome = if may_be_elsewhere { Decision::Unknown } else { Decision::Deny };
            let mut stage = Stage::new(way, Layer::Route, at, outcome, reason);
            let mut hop = Hop::Other;
            if outcome == Decision::Deny {
                hop = self.mended(&mut stage, way, self.mend_route(local, remote, far, &table, None), far);
            }
            self.stages.push(stage);
            return hop;
        };
        let (outcome, reason, mut hop) = self.target(way, local, remote, far, &route);
        let (outcome, reason) = match elsewhere {
            Some(other) => (Decision::Unknown, format!("{reason}, unless it is taken by {other}")),
            None => (outcome, reason),
        };
        let mut stage = Stage::new(way, Layer::Route, at, outcome, reason);
        let is_nat64 = behind_nat64(&remote) != remote;
        if outcome == Decision::Deny && is_nat64 {
            let dead = Some(&route).filter(|route| route.is_blackhole());
            hop = self.mended(&mut stage, way, self.mend_route(local, remote, far, &table, dead), far);
        } else if outcome == Decision::Deny && self.is_dead(&route) {
            match self.waiting(local, remote, far, &route) {
                Some(peering) => {
                    stage.reason = format!("{} is {PENDING}", peering.id);
                    stage.fix = Some(self.acceptance(&peering));
                }
                None => {
                    let found = self.mend_route(local, remote, far, &table, Some(&route));
                    hop = self.mended(&mut stage, way, found, far);
                }
            }
        }
        if outcome == Decision::Deny && hop == Hop::Internet && stage.fix.is_none() && remote.is_ipv4() {
            stage.fix = self.elastic_address(local);
        }
        // An appliance stands in the way on purpose.
        let by_itself = route.target == "local" || is_forwarder(&route.target);
        let is_lost = outcome == Decision::Deny && hop == Hop::Other && !by_itself;
        if let (true, None, Some(within)) = (is_lost, &stage.fix, within)
            && !is_internet(&remote)
            && let Some(found) = self.detour(local, remote, far, &table, (&route, within))
        {
            hop = self.mended(&mut stage, way, Ok(found), far);
        }
        if outcome == Decision::Deny && route.target.starts_with("eni-") && self.checks(&route.target) {
            stage.fix = Some(forwarding_fix(&route.target));
            self.not_checked.push(format!("what the appliance {} does, and its own filters", route.target));
            self.open_behind = true;
        }
        stage.rule = Some(format!("{} {block} to {}", table.id, route.target));
        self.stages.push(stage);
        hop
    }

    /// Notes what mends a route, or what is missing for that, and says where it then leads: what lies there is looked at too,
    /// so that what is proposed suffices.
    fn mended(
        &mut self,
        stage: &mut Stage,
        way: Way,
        found: Result<Mended, String>,
        far: Option<&Local>,
    ) -> Hop {
        let target = match found {
            Ok(Mended { fix, target }) => {
                stage.fix = Some(fix);
                target
            }
            Err(missing) => {
                stage.reason = format!("{}; {missing}", stage.reason);
                return Hop::Other;
            }
        };
        match target.split('-').next().unwrap_or_default() {
            "igw" => Hop::Internet,
            "eigw" if way == Way::There => Hop::EgressOnly,
            "nat" if way == Way::There && far.is_none() => {
                self.nat = Some(self.nat_named(&target));
                Hop::Nat(target)
            }
            "tgw" => Hop::Transit(target),
            "nat" => {
                self.not_checked
                    .push(format!("what lies behind {target}, to which the proposed route leads"));
                Hop::Other
            }
            _ => Hop::Other,
        }
    }

    fn target(
        &mut self,
        way: Way,
        local: &Local,
        remote: IpAddr,
        far: Option<&Local>,
        route: &Route,
    ) -> (Decision, String, Hop) {
        use Decision::{Allow, Deny, Unknown};
        let target = route.target.as_str();
        let interface = &local.rules.interface;
        let is_public = is_internet(&remote);
        if route.is_blackhole() {
            return (Deny, format!("the route is a blackhole: {target} is gone"), Hop::Other);
        }
        if target == "local" {
            let (own, other) = (&interface.vpc_id, far.and_then(|far| far.rules.interface.vpc_id.as_ref()));
            return match (own, other) {
                (Some(own), Some(other)) if own != other => {
                    let reason = format!(
                        "{remote} lies in a block of {own} itself, so nothing for {other} leaves it (overlapping blocks)"
                    );
                    (Deny, reason, Hop::Other)
                }
                _ => (Allow, "within the VPC".to_owned(), Hop::Other),
            };
        }
        match target.split('-').next().unwrap_or_default() {
            "igw" | "eigw" | "pcx" if behind_nat64(&remote) != remote => {
                let reason = format!(
                    "{remote} stands for {}, and only NAT gateways translate {NAT64}",
                    behind_nat64(&remote)
                );
                (Deny, reason, Hop::Other)
            }
            "igw" if !is_public => {
                (Deny, "an internet gateway does not carry private addresses".to_owned(), Hop::Other)
            }
            "igw" if remote.is_ipv4() && local.public().is_none() => match local.public_unknown() {
                Some(unknown) => {
                    let reason = "an internet gateway drops what has no public address";
                    self.not_checked.push(unknown);
                    (Unknown, reason.to_owned(), Hop::Internet)
                }
                None => {
                    let (own, id) = (local.own, &interface.id);
                    let reason =
                        format!("{own} of {id} has no public address, so the internet gateway drops it");
                    (Deny, reason, Hop::Internet)
                }
            },
            "igw" => (Allow, "over the internet gateway".to_owned(), Hop::Internet),
            "eigw" if way == Way::There => {
                (Allow, "over the egress-only internet gateway".to_owned(), Hop::EgressOnly)
            }
            "eigw" => {
                let reason = "an egress-only internet gateway lets in no flow that starts outside";
                (Deny, reason.to_owned(), Hop::EgressOnly)
            }
            "nat" if way == Way::There && interface.is_type("nat_gateway") => {
                if self.nat.as_ref().is_some_and(|nat| nat.id == target && nat.is_at(interface)) {
                    let reason = format!(
                        "the subnet of {target} leads back to {target} itself: it needs a route to an internet gateway"
                    );
                    return (Deny, reason, Hop::Other);
                }
                self.not_checked.push(format!("what {target} does with packets of another NAT gateway"));
                (Unknown, format!("from one NAT gateway into another, {target}"), Hop::Other)
            }
            "nat" if way == Way::There && self.vain_nat.is_some() => {
                let own = self.vain_nat.as_deref().unwrap_or_default();
                let reason = format!(
                    "the subnet of {target} leads private addresses to an internet gateway, which does not carry them ({own})"
                );
                (Deny, reason, Hop::Other)
            }
            "nat" if way == Way::There => {
                (Allow, "over the NAT gateway, under its address".to_owned(), Hop::Nat(target.to_owned()))
            }
            "nat" => {
                let reason = "the answer would leave through a NAT gateway under another address, and the client drops it";
                (Deny, reason.to_owned(), Hop::Other)
            }
            "pcx" => {
                let (outcome, reason) = self.peering(local, remote, far, target);
                (outcome, reason, Hop::Other)
            }
            "tgw" => (Allow, format!("over the transit gateway {target}"), Hop::Transit(target.to_owned())),
            "vpce" if matches!(route.destination, Destination::PrefixList(_)) && !self.is_for_endpoints() => {
                let reason = format!("the gateway endpoint {target} takes TCP and ICMP echo only");
                (Deny, reason, Hop::Other)
            }
            "vpce" if matches!(route.destination, Destination::PrefixList(_)) => {
                self.not_checked.push(format!("the policy of the gateway endpoint {target}"));
                (Allow, format!("over the gateway endpoint {target}, without leaving AWS"), Hop::Other)
            }
            "vpce" => {
                self.not_checked
                    .push(format!("the appliances behind the Gateway Load Balancer endpoint {target}"));
                (Unknown, format!("over {target} to appliances, which decide themselves"), Hop::Other)
            }
            "vgw" => {
                self.not_checked.push(format!(
                    "the VPN connections and Direct Connect gateways of {target}, and the network behind them"
                ));
                let reason = format!(
                    "over the virtual private gateway {target}, whose far end is not in the configuration"
                );
                (Unknown, reason, Hop::Other)
            }
            "eni" | "i" => self.appliance(target),
            _ => {
                self.not_checked.push(format!("what lies behind {target}"));
                let reason = format!("over {target}, whose own routes are not in the configuration");
                (Unknown, reason, Hop::Other)
            }
        }
    }

    /// Whether gateway endpoints take what is asked about (documented of them: TCP and ICMP echo).
    pub(super) fn is_for_endpoints(&self) -> bool {
        let echo = self.flow.icmp.is_none_or(|(kind, _)| matches!(kind, 0 | 8));
        self.flow.protocol == TCP || self.flow.protocol == ICMP && echo
    }

    /// Whether an interface, or one of an instance, drops packets for others.
    fn checks(&self, target: &str) -> bool {
        self.network.interfaces.all(self.view).any(|found| {
            let interface = found.value;
            (interface.id == target || interface.instance_id.as_deref() == Some(target))
                && interface.source_dest_check == Some(true)
        })
    }

    /// An interface that packets for others are sent to.
    pub(super) fn appliance(&mut self, target: &str) -> (Decision, String, Hop) {
        if let Some(reason) = self.idle(target) {
            return (Decision::Deny, reason, Hop::Other);
        }
        if self.checks(target) {
            let reason = format!("{target} checks source and destination, so it drops what is for others");
            return (Decision::Deny, reason, Hop::Other);
        }
        self.not_checked.push(format!("what the appliance {target} does, and its own filters"));
        (Decision::Unknown, format!("over the appliance {target}, which decides itself"), Hop::Other)
    }

    /// The peering connection of a route that would lead to an address, and that nobody has accepted yet.
    fn waiting(
        &self,
        local: &Local,
        remote: IpAddr,
        far: Option<&Local>,
        route: &Route,
    ) -> Option<Arc<Peering>> {
        let found = self.network.peerings.get(&route.target, self.view)?;
        let waits =
            found.value.status.as_deref() == Some(PENDING) && found.version.origin != Origin::Terraform;
        let leads = self.over_peering(local, remote, far, found.value).0 != Decision::Deny;
        (waits && leads).then(|| found.value.clone())
    }

    fn peering(
        &mut self,
        local: &Local,
        remote: IpAddr,
        holder: Option<&Local>,
        id: &str,
    ) -> (Decision, String) {
        let Some(found) = self.network.peerings.get(id, self.view) else {
            return (
                Decision::Unknown,
                format!("{id} is not in the configuration (describe-vpc-peering-connections)"),
            );
        };
        let peering = found.value;
        if let Some(status) = peering.status.as_deref().filter(|status| *status != "active") {
            // A state keeps what it read before the other side accepted.
            let stale = found.version.origin == Origin::Terraform && status == PENDING;
            return match stale {
                true => (
                    Decision::Unknown,
                    format!("{id} is {status} by the Terraform state, which may be older"),
                ),
                false => (Decision::Deny, format!("{id} is {status}")),
            };
        }
        let (id, far) = (peering.id.clone(), self.other_end(local, peering).clone());
        let found = self.over_peering(local, remote, holder, peering);
        if holder.is_none() && found.0 == Decision::Allow {
            let of = far.owner_id.map(|account| format!(" of account {account}")).unwrap_or_default();
            let vpc = far.vpc_id.unwrap_or_else(|| "the VPC".to_owned());
            self.not_checked.push(format!(
                "{vpc}{of} behind {id}: what holds {remote}, its groups, its network ACL and its route back (flowq config pull as that \
                 account)"
            ));
        }
        found
    }

    /// The end of a peering connection that is not the interface's own.
    fn other_end<'p>(&self, local: &Local, peering: &'p Peering) -> &'p PeeringEnd {
        match local.rules.interface.vpc_id.as_deref() == peering.requester.vpc_id.as_deref() {
            true => &peering.accepter,
            false => &peering.requester,
        }
    }

    /// Where an active peering connection leads.
    fn over_peering(
        &self,
        local: &Local,
        remote: IpAddr,
        holder: Option<&Local>,
        peering: &Peering,
    ) -> (Decision, String) {
        let id = &peering.id;
        let own = local.rules.interface.vpc_id.as_deref();
        let ends = peering.requester.vpc_id.as_deref().zip(peering.accepter.vpc_id.as_deref());
        if let (Some(own), Some((one, other))) = (own, ends)
            && own != one
            && own != other
        {
            return (Decision::Deny, format!("{id} joins {one} and {other}, not {own}"));
        }
        let far = self.other_end(local, peering);
        let holder = holder.and_then(|holder| holder.rules.interface.vpc_id.as_deref());
        if let (Some(far), Some(holder)) = (far.vpc_id.as_deref(), holder)
            && far != holder
        {
            return (
                Decision::Deny,
                format!("{id} leads to {far}, not to {holder}, and peering is not transitive"),
            );
        }
        let vpc = far.vpc_id.as_deref().and_then(|vpc| self.network.vpcs.get(vpc, self.view));
        // Not every form of a peering connection shows the blocks of both families.
        let blocks = || far.cidrs.iter().chain(vpc.iter().flat_map(|vpc| &vpc.value.cidrs));
        if blocks().any(|cidr| cidr.contains(&remote)) {
            return (Decision::Allow, format!("over {id}"));
        }
        if blocks().next().is_none() {
            return (Decision::Unknown, format!("the blocks behind {id} are not in the configuration"));
        }
        (Decision::Deny, format!("{remote} is not in the VPC behind {id}, and peering is not transitive"))
    }
}
