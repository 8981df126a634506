//! Routes over network interfaces that drop what is for others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Severity, some};
use crate::network::{Destination, Network, NetworkInterface, RouteTable, View};

/// An interface that a route names has to forward, and with its source/destination check on it drops each packet that is neither
/// from nor for one of its own addresses.
pub(super) fn check(network: &Network, view: View, findings: &mut Vec<Finding>) {
    let mut led: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for table in network.route_tables.all(view).map(|found| found.value).filter(|table| is_used(table)) {
        for route in table.routes.iter().filter(|route| !route.is_blackhole()) {
            let forwards = |interface: &&NetworkInterface| !is_own(interface, &route.destination);
            for interface in dropping(network, view, &route.target).iter().filter(|one| forwards(one)) {
                let text = format!("{} in {}", route.destination, table.id);
                led.entry(&interface.id).or_default().insert(text);
            }
        }
    }
    for (interface, routes) in led {
        let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
        let lead = if routes.len() == 1 { "the route to" } else { "the routes to" };
        findings.push(Finding {
            severity: Severity::Error,
            check: "source_dest_check",
            object: interface.to_owned(),
            finding: format!(
                "its source/destination check is on, so that it drops what {lead} {} {} over it",
                some(&routes),
                if routes.len() == 1 { "leads" } else { "lead" }
            ),
            advice: format!(
                "aws ec2 modify-network-interface-attribute --network-interface-id {interface} --no-source-dest-check, or correct \
                 the routes"
            ),
        });
    }
}

/// Whether anything is routed by a table.
fn is_used(table: &RouteTable) -> bool {
    table.is_main || !table.subnet_ids.is_empty() || !table.gateway_ids.is_empty()
}

/// Whether what a route leads to is the interface's own, which the check lets pass.
fn is_own(interface: &NetworkInterface, destination: &Destination) -> bool {
    let Destination::Cidr(block) = destination else { return false };
    let is_host = |addr| crate::net::Prefix::host(addr) == *block;
    interface.more_addresses
        || interface.addresses.iter().copied().any(is_host)
        || interface.prefixes.iter().any(|own| own.covers(block))
}

/// The interfaces of a route's target whose check is on. Of an instance it is one only if it is so for all of its interfaces: which
/// of them the route means is not told. Those of services (NAT gateways, endpoints) forward whatever they say of the check.
fn dropping<'n>(network: &'n Network, view: View, target: &str) -> Vec<&'n NetworkInterface> {
    let all = || network.interfaces.all(view).map(|found| found.value.as_ref());
    let of_target: Vec<&NetworkInterface> = if target.starts_with("eni-") {
        network.interfaces.get(target, view).map(|found| found.value.as_ref()).into_iter().collect()
    } else if target.starts_with("i-") {
        all().filter(|interface| interface.instance_id.as_deref() == Some(target)).collect()
    } else {
        Vec::new()
    };
    let drops = |interface: &&NetworkInterface| {
        let own_kind =
            interface.interface_type.as_deref().is_none_or(|kind| matches!(kind, "interface" | "efa"));
        own_kind && !interface.requester_managed && interface.source_dest_check == Some(true)
    };
    if of_target.iter().all(drops) { of_target.into_iter().take(1).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::cases::told;

    const NETWORK: &str = "
        vpc vpc-1 10.0.0.0/16
        subnet subnet-1 vpc-1 10.0.1.0/24
        nacl acl-1 vpc-1 default
        acl-1 in 100 allow all 0.0.0.0/0
        acl-1 out 100 allow all 0.0.0.0/0
        sg-1 in tcp 443 203.0.113.0/24";

    fn found(lines: &str) -> Vec<String> {
        let mut found = told(&format!("{NETWORK}\n{lines}"));
        found.retain(|one| one.check == "source_dest_check");
        found.iter().map(|one| format!("{}: {}", one.object, one.finding)).collect()
    }

    #[test]
    fn an_appliance_that_drops_what_is_for_others_is_found() {
        let routes = "route subnet-1 10.9.0.0/16 eni-fw\nroute subnet-1 0.0.0.0/0 eni-fw";
        let one = "its source/destination check is on, so that it drops what the routes to 0.0.0.0/0 in rtb-subnet-1, 10.9.0.0/16 in \
                   rtb-subnet-1 lead over it";
        assert_eq!(
            found(&format!("eni eni-fw subnet-1 10.0.1.10 groups=sg-1\n{routes}")),
            [format!("eni-fw: {one}")]
        );
        let by_instance =
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1 instance=i-1\nroute subnet-1 0.0.0.0/0 i-1";
        assert_eq!(found(by_instance).len(), 1);
    }

    #[test]
    fn routes_that_the_check_does_not_stop_are_no_finding() {
        for lines in [
            // It forwards.
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1 check=off\nroute subnet-1 0.0.0.0/0 eni-fw",
            // Which of its interfaces is meant is not told.
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1 instance=i-1\n\
             eni eni-in subnet-1 10.0.1.11 groups=sg-1 instance=i-1 check=off\nroute subnet-1 0.0.0.0/0 i-1",
            // AWS's own.
            "eni eni-fw subnet-1 10.0.1.10 groups= type=nat_gateway\nroute subnet-1 0.0.0.0/0 eni-fw",
            "eni eni-fw subnet-1 10.0.1.10 groups= type=gateway_load_balancer_endpoint\nroute subnet-1 0.0.0.0/0 eni-fw",
            // Its own address, and one of a prefix of its own.
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1\nroute subnet-1 10.0.1.10/32 eni-fw",
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1 prefix=10.0.1.64/28\nroute subnet-1 10.0.1.64/30 eni-fw",
            // Other targets, and nothing known of the interface.
            "eni eni-fw subnet-1 10.0.1.10 groups=sg-1\nroute subnet-1 0.0.0.0/0 igw-1\nroute subnet-1 10.9.0.0/16 eni-gone",
        ] {
            assert_eq!(found(lines), Vec::<String>::new(), "{lines}");
        }
    }
}
