//! Which Terraform resources have the rules, entries or routes of an object inline (spec 6.9): what is added to these has to stand
//! there too, since the next apply takes away what has a resource of its own.
//!
//! A refresh writes what resources of their own have to the object's resource as well. So an object has inline what only its own
//! resource holds.

use super::Context;
use super::terraform::Resource;
use crate::network::history::Timestamp;
use crate::network::model::*;
use hashbrown::HashMap;

/// Types whose rules are all inline: they take away whatever else is there.
const ALWAYS: [&str; 3] =
    ["aws_default_security_group", "aws_default_network_acl", "aws_default_route_table"];

/// One rule, entry or route of an object.
#[derive(Debug)]
pub(super) enum Part {
    /// A rule of a group.
    Rule(SecurityGroupRule),
    /// An entry of a network ACL, by its number, outbound or not.
    Entry(u32, bool),
    /// A route of a table.
    Route(Destination),
}

impl Part {
    pub(super) fn of_entry(entry: &NaclEntry) -> Part {
        Part::Entry(entry.number, entry.egress)
    }

    fn is(&self, other: &Part) -> bool {
        match (self, other) {
            (Part::Rule(one), Part::Rule(other)) => one.means(other),
            (Part::Entry(number, egress), Part::Entry(other, outbound)) => {
                number == other && egress == outbound
            }
            (Part::Route(one), Part::Route(other)) => one == other,
            _ => false,
        }
    }
}

/// A resource with what it holds of its object.
#[derive(Debug)]
struct Holder {
    id: String,
    address: String,
    always: bool,
    at: Option<Timestamp>,
    parts: Vec<Part>,
}

/// What is gathered of all states.
#[derive(Debug, Default)]
pub(super) struct Inline {
    holders: Vec<Holder>,
    /// What has a resource of its own, by the object's id.
    apart: HashMap<String, Vec<Part>>,
}

impl Inline {
    /// Notes what an object's own resource holds.
    pub(super) fn holder(&mut self, resource: &Resource<'_>, context: &Context, parts: Vec<Part>) {
        self.holders.push(Holder {
            id: resource.id(),
            address: resource.address.clone(),
            always: ALWAYS.contains(&resource.kind.as_str()),
            at: context.at,
            parts,
        });
    }

    /// Notes what has a resource of its own.
    pub(super) fn apart(&mut self, object: &str, part: Part) {
        self.apart.entry_ref(object).or_default().push(part);
    }

    /// The resource that has the rules, entries or routes of an object inline, by the object's id; of several states the newest
    /// counts.
    pub(super) fn addresses(mut self) -> HashMap<String, String> {
        self.holders.sort_by_key(|holder| holder.at);
        let mut found = HashMap::new();
        for Holder { id, address, always, parts, .. } in self.holders {
            let apart = self.apart.get(&id).map(Vec::as_slice).unwrap_or_default();
            let own = parts.iter().any(|part| !apart.iter().any(|other| other.is(part)));
            match always || own {
                true => found.insert(id, address),
                false => found.remove(&id),
            };
        }
        found
    }
}
