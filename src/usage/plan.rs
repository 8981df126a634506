//! What conversations are gathered for.

use super::ports::Stretches;
use crate::net::PortRange;
use crate::network::Network;
use hashbrown::HashMap;
use std::sync::Arc;

/// What conversations are gathered for: the network whose rules are asked, and how its rules cut the ports.
#[derive(Debug)]
pub struct Plan {
    network: Arc<Network>,
    stretches: Stretches,
    numbers: HashMap<String, u32>,
    ids: Vec<String>,
}

impl Plan {
    /// For the rules of this network, and of another one that they are to be compared with.
    pub fn new(network: Arc<Network>, other: Option<&Network>) -> Plan {
        let mut networks = vec![network.as_ref()];
        networks.extend(other);
        let stretches = Stretches::new(&networks);
        let ids: Vec<String> = network.interfaces.timelines().map(|(id, _)| id.to_owned()).collect();
        let numbers = ids.iter().cloned().zip(0u32..).collect();
        Plan { network, stretches, numbers, ids }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, shared.
    pub fn shared_network(&self) -> Arc<Network> {
        Arc::clone(&self.network)
    }

    /// The first port of the stretch that holds this one.
    pub(super) fn first_port(&self, port: u16) -> u16 {
        self.stretches.first(port)
    }

    /// How many interfaces have a number.
    pub(super) fn interfaces(&self) -> usize {
        self.ids.len()
    }

    /// The ports that no rule tells from this one.
    pub fn stretch(&self, port: u16) -> PortRange {
        self.stretches.stretch(port)
    }

    pub(super) fn interface_id(&self, number: u32) -> &str {
        self.ids.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn number(&self, interface_id: &str) -> Option<u32> {
        self.numbers.get(interface_id).copied()
    }
}
