//! Elastic addresses of Terraform states: the address, what maps it, and the interface may each be in a state of its own.

use super::coverage::same_capture;
use super::node::push_new;
use super::terraform_parts::of_states;
use super::{NetworkBuilder, Problem};
use crate::network::model::NetworkInterface;
use std::net::IpAddr;

/// A public address and what it is mapped to.
#[derive(Debug, Clone)]
pub(super) struct Elastic {
    /// It maps an address, and is not that address itself.
    pub(super) is_association: bool,
    pub(super) public: Option<IpAddr>,
    pub(super) allocation: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) private: Option<IpAddr>,
}

impl Elastic {
    fn is_of(&self, interface: &NetworkInterface) -> bool {
        match (&self.interface, &self.instance) {
            (Some(id), _) => interface.id == *id,
            (None, Some(instance)) => {
                interface.instance_id.as_ref() == Some(instance)
                    && self.private.is_none_or(|private| interface.addresses.contains(&private))
            }
            (None, None) => false,
        }
    }
}

impl NetworkBuilder {
    /// Gives interfaces of states the public addresses that Elastic addresses and their associations of the same capture
    /// name; one of another time may be mapped otherwise by then. Gives the associations whose interface no input holds.
    pub(super) fn join_elastic(&mut self) -> Vec<Problem> {
        let elastic = std::mem::take(&mut self.elastic);
        let mut unjoined = Vec::new();
        for (context, one) in &elastic {
            // An association may name the allocation alone; the address is then that of the allocation's resource.
            let same = |(other, at): (&Elastic, Option<i64>)| {
                other.allocation.is_some()
                    && other.allocation == one.allocation
                    && same_capture(at, context.at)
            };
            let known = || {
                elastic.iter().filter(|(of, other)| same((other, of.at))).find_map(|(_, other)| other.public)
            };
            let mut held = false;
            for readings in self.interfaces.values_mut() {
                held |= readings
                    .iter()
                    .filter_map(|reading| reading.value.as_ref())
                    .any(|found| one.is_of(found));
                let Some(public) = one.public.or_else(known) else { continue };
                for (interface, _) in
                    of_states(readings, context).filter(|(found, same)| *same && one.is_of(found))
                {
                    push_new(&mut interface.public_addresses, Some(public));
                    push_new(&mut interface.public_mappings, one.private.map(|private| (public, private)));
                }
            }
            if let (true, false, Some(object)) =
                (one.is_association, held, one.interface.as_ref().or(one.instance.as_ref()))
            {
                let message = "no input holds its interface, to which a state maps an Elastic address; import the state \
                               that has it, or a capture";
                unjoined.push(Problem {
                    file: context.file.clone(),
                    object: object.clone(),
                    message: message.to_owned(),
                });
            }
        }
        unjoined
    }
}
