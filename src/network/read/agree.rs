//! One object with two contents at one moment: two captures of one second, or one file that holds it twice. Neither is known to
//! have been in force, so what they differ in becomes what may match, and the order of files does not matter.

use super::Reading;
use super::node::push_new;
use crate::network::history::Timestamp;
use crate::network::model::*;
use std::fmt::Debug;

/// An object that an input may hold twice.
pub(super) trait Agree: PartialEq + Clone + Debug {
    /// Takes what another reading of the same moment says; `false` where the two contradict each other.
    fn agree(&mut self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        // Either may be right: the choice must not depend on which was read first.
        if format!("{other:?}") < format!("{self:?}") {
            self.clone_from(other);
        }
        false
    }

    /// The VPC and the account that it belongs to, for what belongs to a VPC.
    fn home(&self) -> Option<(&str, Option<&str>)> {
        None
    }
}

/// Joins the readings of one moment; gives the moments at which they contradict each other.
pub(super) fn settle<T: Agree>(readings: &mut Vec<Reading<T>>) -> Vec<Option<Timestamp>> {
    let moment = |one: &Reading<T>| (one.at, one.sequence, one.origin, one.reduced);
    readings.sort_by_key(moment);
    let mut kept: Vec<Reading<T>> = Vec::with_capacity(readings.len());
    let mut contradicted = Vec::new();
    for reading in readings.drain(..) {
        let Some(one) = kept.last_mut().filter(|last| moment(last) == moment(&reading)) else {
            kept.push(reading);
            continue;
        };
        one.seen.part &= reading.part;
        one.seen.daily |= reading.daily;
        match (&mut one.seen.value, &reading.seen.value) {
            (Some(known), Some(other)) => {
                // Only full readings can contradict each other: reduced ones leave out different things.
                if !known.agree(other) && !reading.reduced && !contradicted.contains(&reading.at) {
                    contradicted.push(reading.at);
                }
            }
            (None, None) => {}
            // Deleted and not: of AWS Config items with one state the last counts.
            _ => one.seen.value = reading.seen.value,
        }
    }
    *readings = kept;
    contradicted
}

/// What both lists hold stays; the rest of each is changed by `unsure` and added.
fn differing<T: Clone>(
    one: &mut Vec<T>,
    other: &[T],
    same: impl Fn(&T, &T) -> bool,
    unsure: impl Fn(&mut T),
) -> bool {
    let holds = |list: &[T], item: &T| list.iter().any(|known| same(known, item));
    let mut agree = true;
    let mut more: Vec<T> = other.iter().filter(|item| !holds(one, item)).cloned().collect();
    for item in one.iter_mut().filter(|item| !holds(other, item)).chain(&mut more) {
        unsure(item);
        agree = false;
    }
    one.append(&mut more);
    agree
}

/// Whether both have the same members; those of the other are added.
fn united<T: PartialEq + Clone>(one: &mut Vec<T>, other: &[T]) -> bool {
    let same = one.len() == other.len() && other.iter().all(|item| one.contains(item));
    other.iter().for_each(|item| push_new(one, Some(item.clone())));
    same
}

/// Takes what only the other knows; `None` where they differ.
fn merged<T: PartialEq + Clone>(one: &mut Option<T>, other: &Option<T>) -> bool {
    if one.is_none() {
        one.clone_from(other);
    }
    let agree = other.is_none() || one == other;
    if !agree {
        *one = None;
    }
    agree
}

fn unsure_traffic(traffic: &mut Traffic) {
    if !matches!(traffic, Traffic::Unreadable(_)) {
        *traffic = Traffic::Unreadable(format!("{traffic}, in one of two captures of the same moment"));
    }
}

impl Agree for SecurityGroup {
    fn agree(&mut self, other: &Self) -> bool {
        self.name = self.name.take().or_else(|| other.name.clone());
        self.vpc_id = self.vpc_id.take().or_else(|| other.vpc_id.clone());
        self.owner_id = self.owner_id.take().or_else(|| other.owner_id.clone());
        self.partial |= other.partial;
        differing(&mut self.rules, &other.rules, SecurityGroupRule::means, |rule| {
            unsure_traffic(&mut rule.traffic);
        })
    }

    fn home(&self) -> Option<(&str, Option<&str>)> {
        Some((self.vpc_id.as_deref()?, self.owner_id.as_deref()))
    }
}

impl Agree for NetworkAcl {
    fn agree(&mut self, other: &Self) -> bool {
        let agree = self.is_default == other.is_default;
        self.is_default |= other.is_default;
        let subnets = united(&mut self.subnet_ids, &other.subnet_ids);
        self.more_subnets |= other.more_subnets;
        self.vpc_id = self.vpc_id.take().or_else(|| other.vpc_id.clone());
        self.owner_id = self.owner_id.take().or_else(|| other.owner_id.clone());
        let entries = differing(&mut self.entries, &other.entries, PartialEq::eq, |entry| {
            unsure_traffic(&mut entry.traffic)
        });
        agree && subnets && entries
    }

    fn home(&self) -> Option<(&str, Option<&str>)> {
        Some((self.vpc_id.as_deref()?, self.owner_id.as_deref()))
    }
}

impl Agree for NetworkInterface {
    fn agree(&mut self, other: &Self) -> bool {
        let mut agree = merged(&mut self.subnet_id, &other.subnet_id);
        agree &= merged(&mut self.vpc_id, &other.vpc_id);
        agree &= self.agree_on_groups(other);
        agree &= united(&mut self.addresses, &other.addresses);
        self.more_addresses |= other.more_addresses;
        agree &= united(&mut self.prefixes, &other.prefixes);
        // Not every form shows them.
        let shown_once = self.public_addresses.is_empty() && !self.public_known
            || other.public_addresses.is_empty() && !other.public_known;
        agree &= united(&mut self.public_addresses, &other.public_addresses) || shown_once;
        // One form that lists them, or tells whose they are, suffices.
        united(&mut self.public_mappings, &other.public_mappings);
        self.public_known |= other.public_known;
        merged(&mut self.status, &other.status);
        agree &= merged(&mut self.primary, &other.primary);
        agree &= merged(&mut self.interface_type, &other.interface_type);
        agree & merged(&mut self.source_dest_check, &other.source_dest_check)
    }

    fn home(&self) -> Option<(&str, Option<&str>)> {
        Some((self.vpc_id.as_deref()?, self.owner_id.as_deref()))
    }
}

impl NetworkInterface {
    /// What only one of the two carries lets nothing pass for certain.
    fn agree_on_groups(&mut self, other: &Self) -> bool {
        let same = |one: &[String], other: &[String]| one.iter().all(|group| other.contains(group));
        let agree = self.groups_known == other.groups_known
            && same(&self.group_ids, &other.group_ids)
            && same(&other.group_ids, &self.group_ids);
        if !agree {
            self.group_ids.retain(|group| other.group_ids.contains(group));
            self.groups_known = false;
        }
        agree
    }
}

impl Agree for PrefixList {
    /// Two commands list them, of which each leaves something out.
    fn agree(&mut self, other: &Self) -> bool {
        self.name = self.name.take().or_else(|| other.name.clone());
        self.owner_id = self.owner_id.take().or_else(|| other.owner_id.clone());
        let family = merged(&mut self.family, &other.family);
        let version = merged(&mut self.version, &other.version);
        match (&mut self.entries, &other.entries) {
            (Some(one), Some(two)) => {
                let agree = united(one, two);
                if !agree {
                    self.entries = None;
                }
                agree && family && version
            }
            (None, two) => {
                self.entries.clone_from(two);
                family && version
            }
            (Some(_), None) => family && version,
        }
    }
}

impl Agree for TransitGatewayAttachment {
    /// Two commands describe them, one of them without subnets and options.
    fn agree(&mut self, other: &Self) -> bool {
        let mut agree = merged(&mut self.gateway_id, &other.gateway_id);
        agree &= merged(&mut self.vpc_id, &other.vpc_id);
        agree &= merged(&mut self.security_group_referencing, &other.security_group_referencing);
        agree &= merged(&mut self.gateway_referencing, &other.gateway_referencing);
        agree &= merged(&mut self.route_table_id, &other.route_table_id);
        self.association_known |= other.association_known;
        // It changes between two commands of one pull.
        merged(&mut self.state, &other.state);
        let either = self.subnet_ids.is_empty() || other.subnet_ids.is_empty();
        agree & (united(&mut self.subnet_ids, &other.subnet_ids) || either)
    }
}

impl Agree for TransitRouteTable {
    /// Each answer holds what its filters leave.
    fn agree(&mut self, other: &Self) -> bool {
        united(&mut self.routes, &other.routes);
        self.whole |= other.whole;
        true
    }
}

impl Agree for Subnet {
    fn agree(&mut self, other: &Self) -> bool {
        let mut agree = merged(&mut self.vpc_id, &other.vpc_id);
        self.owner_id = self.owner_id.take().or_else(|| other.owner_id.clone());
        agree &= united(&mut self.cidrs, &other.cidrs);
        agree &= merged(&mut self.availability_zone, &other.availability_zone);
        agree & merged(&mut self.bpa_mode, &other.bpa_mode)
    }

    fn home(&self) -> Option<(&str, Option<&str>)> {
        Some((self.vpc_id.as_deref()?, self.owner_id.as_deref()))
    }
}

impl Agree for Vpc {
    fn agree(&mut self, other: &Self) -> bool {
        self.owner_id = self.owner_id.take().or_else(|| other.owner_id.clone());
        let agree = united(&mut self.cidrs, &other.cidrs) & merged(&mut self.bpa_mode, &other.bpa_mode);
        agree & merged(&mut self.encryption_mode, &other.encryption_mode)
    }
}

impl Agree for LoadBalancer {
    /// Classic ones have no id but their name, which is another's in another Region.
    fn agree(&mut self, other: &Self) -> bool {
        if format!("{other:?}") < format!("{self:?}") {
            self.clone_from(other);
        }
        self.kind == "classic" || self == other
    }
}

/// Objects that no verdict depends on alone: that they contradict each other is told.
macro_rules! as_they_are {
    ($($kind:ty),*) => { $(impl Agree for $kind {})* };
}

as_they_are!(
    RouteTable,
    Peering,
    Instance,
    TargetGroup,
    BpaOptions,
    BpaExclusion,
    AclAssociation,
    GroupVpcAssociation
);
