//! What carries nothing, whatever the rules say: instances that do not run, interfaces that are attached to nothing, and interfaces of
//! services that begin no connections.

use super::walk::{End, Local, Walk};
use super::{Layer, Stage, Way};
use crate::attribute::{Fix, quoted, resource};
use crate::net::is_internet;
use crate::rules::Decision;

/// Whether an instance in a state sends and receives, or soon does.
fn runs(state: &str) -> bool {
    matches!(state, "running" | "pending")
}

impl Walk<'_> {
    /// Whether what holds the addresses can send and receive at all.
    pub(super) fn states(&mut self, source: &End, target: &End) {
        for local in [&source.local, &target.local].into_iter().flatten() {
            self.state_of(local);
        }
        if let Some(local) = &source.local {
            self.begins(local, target);
        }
    }

    fn state_of(&mut self, local: &Local) {
        let interface = &local.rules.interface;
        let at = interface.id.clone();
        if interface.status.as_deref() == Some("available") {
            let reason = format!("{at} is attached to nothing, so nobody sends or receives by it");
            let mut stage = Stage::new(Way::There, Layer::Address, at.clone(), Decision::Deny, reason);
            stage.fix =
                Some(Fix::advice(format!("attach {at} to an instance (aws ec2 attach-network-interface)")));
            self.stages.push(stage);
            return;
        }
        let Some(instance) = &local.rules.instance else { return };
        let id = &instance.id;
        let Some(state) = instance.state.as_deref().filter(|state| !runs(state)) else {
            return;
        };
        let reason = format!("{id} is {state}");
        let mut stage = Stage::new(Way::There, Layer::Address, at, Decision::Deny, reason);
        if matches!(state, "stopped" | "stopping") {
            stage.fix = Some(Fix::new(
                format!("start {id}"),
                format!("aws ec2 start-instances --instance-ids {id}"),
                resource(
                    "aws_ec2_instance_state",
                    id,
                    &[("instance_id", quoted(id)), ("state", quoted("running"))],
                ),
            ));
        }
        self.stages.push(stage);
    }

    /// Why an appliance forwards nothing: its instance does not run, or nothing has its interface.
    pub(super) fn idle(&self, target: &str) -> Option<String> {
        let mut all = self.network.interfaces.all(self.view);
        let found =
            all.find(|found| found.value.id == target || found.value.instance_id.as_deref() == Some(target))?;
        let interface = found.value;
        if interface.status.as_deref() == Some("available") {
            return Some(format!("{} is attached to nothing", interface.id));
        }
        let instance = self.network.instances.get(interface.instance_id.as_deref()?, self.view)?.value;
        let state = instance.state.as_deref().filter(|state| !runs(state))?;
        Some(format!("{} behind {target} is {state}", instance.id))
    }

    /// Interfaces of some services send only what others have asked for (AWS PrivateLink guide: endpoints "can't initiate
    /// connections"; a NAT gateway and a transit gateway pass on what others send).
    fn begins(&mut self, local: &Local, target: &End) {
        let interface = &local.rules.interface;
        let at = interface.id.clone();
        let other_way = format!(
            "ask about the flow whose answers these are (--src {} --dst {}, with the port of its service)",
            target.seen, local.own
        );
        let (outcome, reason) = match interface.interface_type.as_deref() {
            Some("vpc_endpoint" | "gateway_load_balancer_endpoint") => (
                Decision::Deny,
                format!("an endpoint begins no connections, what it sends are answers: {other_way}"),
            ),
            Some("transit_gateway") => (
                Decision::Deny,
                "a transit gateway's interface begins nothing: it passes on what others send under their addresses"
                    .to_owned(),
            ),
            Some("nat_gateway") if !is_internet(&target.seen) => (
                Decision::Unknown,
                "a NAT gateway begins nothing itself: ask about the client behind it that does".to_owned(),
            ),
            _ => return,
        };
        self.no_fixes |= outcome == Decision::Deny;
        self.stages.push(Stage::new(Way::There, Layer::Address, at, outcome, reason));
    }
}
