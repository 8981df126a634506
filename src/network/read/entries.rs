//! Entries of network ACLs, as AWS's forms write them. Their order decides, so an entry that cannot be read or placed may not be
//! left out: it stays as one that may match.

use super::node::Node;
use super::traffic::{acl_action, acl_traffic};
use super::{Context, NetworkBuilder};
use crate::network::model::{NACL_UNPLACED, NaclEntry, Traffic};

/// Entries for both directions of which nothing is known, so that no list they stand in decides anything.
pub(super) fn unplaced(why: &str) -> [NaclEntry; 2] {
    [false, true].map(|egress| NaclEntry {
        number: NACL_UNPLACED,
        egress,
        action: None,
        traffic: Traffic::Unreadable(why.to_string()),
        cidr: None,
    })
}

/// A rule number.
pub(super) fn rule_number(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok()).filter(|number| *number != NACL_UNPLACED)
}

impl NetworkBuilder {
    pub(super) fn acl_entry(
        &mut self,
        node: Node<'_>,
        acl: &str,
        context: &Context,
        into: &mut Vec<NaclEntry>,
    ) {
        let number = rule_number(node.integer("RuleNumber"));
        let named = number.map_or_else(|| "an entry".to_string(), |number| format!("entry {number}"));
        let action = acl_action(node.text("RuleAction").as_deref());
        if action.is_none() {
            self.problem(context, acl, format!("{named} neither allows nor denies"));
        }
        let cidr = match (node.text("CidrBlock"), node.text("Ipv6CidrBlock")) {
            (Some(_), Some(_)) => {
                let message =
                    format!("{named} has both CidrBlock and Ipv6CidrBlock; it may match either family");
                self.problem(context, acl, message);
                None
            }
            (one, other) => {
                let text = one.or(other).unwrap_or_default();
                self.block(&text, &format!("{acl} {named}"), context)
            }
        };
        let protocol = node.text("Protocol").unwrap_or_default();
        let ports = node.pair("PortRange", "From", "To");
        let icmp = node.pair("IcmpTypeCode", "Type", "Code");
        let traffic = ports.and_then(|(from, to)| {
            let (kind, code) = icmp?;
            // AWS always writes the ports of an entry for TCP or UDP: without them something left them out.
            if from.is_none() && to.is_none() && matches!(protocol.as_str(), "6" | "17" | "tcp" | "udp") {
                return Err("PortRange is missing".to_string());
            }
            acl_traffic(&protocol, from, to, kind, code, cidr.as_ref())
        });
        let mut traffic = self.acl_traffic_or_any(traffic, &named, acl, context);
        let egress = node.flag("Egress");
        if number.is_none() || egress.is_none() {
            let missing = if number.is_none() { "RuleNumber" } else { "Egress" };
            let message = format!("{named} without a readable {missing} may match anything in its place");
            self.problem(context, acl, message);
            traffic = Traffic::Unreadable(format!("no readable {missing}"));
        }
        let directions: &[bool] = match egress {
            Some(true) => &[true],
            Some(false) => &[false],
            None => &[false, true],
        };
        into.extend(directions.iter().map(|egress| NaclEntry {
            number: number.unwrap_or(NACL_UNPLACED),
            egress: *egress,
            action,
            traffic: traffic.clone(),
            cidr,
        }));
    }

    /// An entry's traffic, or what may be any and a problem.
    pub(super) fn acl_traffic_or_any(
        &mut self,
        traffic: Result<Traffic, String>,
        entry: &str,
        acl: &str,
        context: &Context,
    ) -> Traffic {
        traffic.unwrap_or_else(|message| {
            self.problem(context, acl, format!("{entry}: {message}; it may match anything"));
            Traffic::Unreadable(message)
        })
    }

    /// One number serves one entry of a direction (spec 6.4). What says the same twice is kept once; where two entries differ,
    /// neither is known to be in force, so each may match.
    pub(super) fn settle_numbers(&mut self, entries: &mut Vec<NaclEntry>, acl: &str, context: &Context) {
        let mut kept: Vec<NaclEntry> = Vec::with_capacity(entries.len());
        for mut entry in entries.drain(..) {
            if kept.contains(&entry) {
                continue;
            }
            let same_place = |other: &NaclEntry| {
                other.number == entry.number && other.egress == entry.egress && entry.number != NACL_UNPLACED
            };
            let why = format!("rule number {} occurs twice in one direction", entry.number);
            let mut twice = false;
            let mut clash = false;
            for other in kept.iter_mut().filter(|other| same_place(other)) {
                twice = true;
                // Lists of the two families do not meet.
                let apart = matches!((other.cidr, entry.cidr), (Some(one), Some(two)) if one.family() != two.family());
                if !apart {
                    other.traffic = Traffic::Unreadable(why.clone());
                    clash = true;
                }
            }
            if clash {
                entry.traffic = Traffic::Unreadable(why.clone());
            }
            if twice {
                let follows = if clash { ": each of the two may be in force" } else { "" };
                self.problem(context, acl, format!("{why}{follows}"));
            }
            kept.push(entry);
        }
        *entries = kept;
    }
}
