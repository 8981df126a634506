//! The order of the stages: whose addresses these are (`addresses`), the way there, the way back.

use std::net::IpAddr;
use std::sync::Arc;

use super::ends::{known_as, strangers};
use super::gateway::Nat;
use super::mend::tell_once;
use super::route::Hop;
use super::{Flow, Layer, Stage, Trace, TraceError, Way, icmp_answer};
use crate::attribute::{AddedEntries, carried, group_of_peer};
use crate::net::{ICMP, ICMPV6, span};
use crate::network::{Network, Timestamp, View};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, Packet};

/// One end of the flow.
pub(super) struct End {
    /// The address as the other end sees it.
    pub(super) seen: IpAddr,
    /// Its interface, if it is one of the configuration.
    pub(super) local: Option<Local>,
}

#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) rules: Arc<InterfaceRules>,
    /// Its private address.
    pub(super) own: IpAddr,
    /// Whether it was asked for by a public address.
    pub(super) by_public: bool,
}

impl Local {
    /// The public IPv4 address that the internet knows it by. IPv6 addresses are not translated.
    pub(super) fn public(&self) -> Option<IpAddr> {
        self.rules.interface.public_of(&self.own).filter(IpAddr::is_ipv4)
    }

    /// What is to be looked up before anything is said about its public address, if it shows none: the AWS CLI's output
    /// holds it (spec 6.5), a Terraform interface does not.
    pub(super) fn public_unknown(&self) -> Option<String> {
        let interface = &self.rules.interface;
        (self.public().is_none() && !interface.public_known).then(|| {
            format!(
                "whether {} of {} has a public address (describe-network-interfaces)",
                self.own, interface.id
            )
        })
    }
}

pub(super) struct Walk<'n> {
    pub(super) network: &'n Network,
    pub(super) engine: Engine<'n>,
    pub(super) view: View,
    pub(super) flow: Flow,
    pub(super) stages: Vec<Stage>,
    pub(super) not_checked: Vec<String>,
    /// The NAT gateway on the way, if there is one.
    pub(super) nat: Option<Nat>,
    /// Whether the flow leaves over an internet gateway, so that its answers enter through it.
    pub(super) over_internet: bool,
    /// The entries that the fixes add.
    pub(super) added: AddedEntries,
    /// The group by which a rule for the other end had better name it.
    pub(super) peer_group: Option<String>,
    /// A group that the other end carries, and that a rule may name.
    pub(super) peer_carries: Option<String>,
    /// When what the ends' rules are known by was captured.
    pub(super) captured: Vec<Timestamp>,
    /// Targets that see the client's address, with their ports.
    pub(super) handed_on: Vec<(IpAddr, Option<u16>)>,
    /// Groups of the load balancer that hands the packets on with their clients' addresses, where one does.
    pub(super) handed_on_by: Vec<String>,
    /// What comes in by no way, or is begun by nobody, needs no rule.
    pub(super) no_fixes: bool,
    /// What lies behind a proposed change and was not looked at.
    pub(super) open_behind: bool,
    /// Whether the flow leaves for the internet over a gateway of its own VPC.
    pub(super) left_for_internet: bool,
    /// Whether the NAT gateway is another VPC's, to which a transit gateway leads.
    pub(super) central: bool,
    /// The route of a NAT gateway's subnet that carries nothing to a private destination.
    pub(super) vain_nat: Option<String>,
    /// The groups that the source carries.
    pub(super) source_groups: Vec<String>,
}

/// Traces a flow through the configuration of a moment. Between two captures that differ the earlier one is taken, and what the
/// later one says is told where it says something else.
pub fn trace(network: &Network, flow: Flow, view: View) -> Result<Trace, TraceError> {
    let mut found = trace_in(network, flow.clone(), view)?;
    let later = View { after: true, ..view };
    if !view.after && network.views(view.at, view.at).contains(&later) {
        let other = trace_in(network, flow, later).map(|other| other.outcome());
        let said = match other {
            Ok(outcome) if outcome == found.outcome() => None,
            Ok(Decision::Allow) => Some("it passes"),
            Ok(Decision::Deny) => Some("it is blocked"),
            Ok(_) => Some("it cannot be told"),
            Err(_) => Some("the addresses are others'"),
        };
        found.later = said;
        let text = |said| {
            format!(
                "what changed between the captures before and after that time, and when: by the later one {said}"
            )
        };
        found.not_checked.extend(said.map(text));
    }
    Ok(found)
}

fn trace_in(network: &Network, flow: Flow, view: View) -> Result<Trace, TraceError> {
    let (src, dst) = (flow.src, flow.dst);
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(TraceError::Family { src, dst });
    }
    if src == dst {
        return Err(TraceError::Same(src));
    }
    let mut walk = Walk {
        network,
        engine: Engine::of_now(network),
        view,
        flow,
        stages: Vec::new(),
        not_checked: Vec::new(),
        nat: None,
        over_internet: false,
        added: AddedEntries::default(),
        peer_group: None,
        peer_carries: None,
        captured: Vec::new(),
        handed_on: Vec::new(),
        handed_on_by: Vec::new(),
        no_fixes: false,
        open_behind: false,
        left_for_internet: false,
        central: false,
        vain_nat: None,
        source_groups: Vec::new(),
    };
    let (mut source, mut target) = walk.ends(src, dst);
    if source.local.is_none() && target.local.is_none() {
        return Err(TraceError::Nobody { src, dst });
    }
    if let Some(interface) = walk.flow.interface.clone() {
        let is_asked =
            |end: &End| end.local.as_ref().is_some_and(|local| local.rules.interface.id == interface);
        if !is_asked(&source) && !is_asked(&target) {
            return Err(TraceError::OtherInterface { interface, src, dst });
        }
    }
    let mut addresses = (known_as(&source), known_as(&target));
    let strangers = strangers(network, view, [&source, &target]);
    let interfaces = [&source, &target].map(|end| {
        let interface = &end.local.as_ref()?.rules.interface;
        Some((interface.id.clone(), interface.subnet_id.clone()))
    });
    // What stages at an address or an interface are about.
    let held: Vec<(String, (String, Option<String>))> = [&source, &target]
        .into_iter()
        .filter_map(|end| Some((end.seen, end.local.as_ref()?)))
        .flat_map(|(seen, local)| {
            let interface = &local.rules.interface;
            let held = (interface.id.clone(), interface.subnet_id.clone());
            [seen.to_string(), local.own.to_string(), interface.id.clone()].map(|at| (at, held.clone()))
        })
        .collect();
    let asked_for = walk.untranslated(&mut source, &target);
    if let Some(local) = source.local.clone() {
        walk.nat = walk.nat_of(&local, dst);
    }
    let mut translated: Vec<IpAddr> = Vec::new();
    if let Some(nat) = &walk.nat {
        translated.extend(nat.local.iter().flat_map(|local| &local.rules.interface.addresses));
        translated.extend(nat.seen(&dst));
    }
    for side in [&mut addresses.0, &mut addresses.1, &mut translated] {
        side.sort_unstable();
        side.dedup();
    }
    walk.addresses(&mut source, &mut target);
    if let Some(public) = asked_for {
        let reason = format!("{public} is its address on the internet only: {dst} sees {}", source.seen);
        walk.stages.push(Stage::new(
            Way::There,
            Layer::Address,
            source.seen.to_string(),
            Decision::Allow,
            reason,
        ));
    }
    walk.states(&source, &target);
    walk.there(&source, &target);
    walk.balanced(&source, &target);
    walk.back(&source, &target);
    walk.rest(&source, &target);
    walk.no_fix_before_an_address();
    tell_once(&mut walk.stages);
    for stage in &mut walk.stages {
        if let Some((id, subnet)) = held.iter().find(|(at, ..)| *at == stage.at).map(|(_, held)| held) {
            (stage.interface, stage.subnet) = (Some(id.clone()), subnet.clone());
        }
        let interface = network.interfaces.get(&stage.at, view);
        let by_interface = interface.and_then(|found| network.interface_label(found.value));
        stage.name = by_interface.or_else(|| network.name_of(&stage.at)).map(str::to_owned);
    }
    walk.name_accounts(&source, &target);
    let Walk { flow, stages, mut not_checked, nat, handed_on, captured, open_behind, .. } = walk;
    if nat.is_some() && flow.src_port.is_some() {
        not_checked.push("records of the NAT gateway's own addresses, which show other ports".to_owned());
    }
    let captured = captured.iter().min().copied().zip(captured.iter().max().copied());
    Ok(Trace {
        flow,
        stages,
        not_checked,
        addresses,
        interfaces,
        translated,
        handed_on,
        strangers,
        captured,
        later: None,
        open_behind,
        logged: None,
    })
}

impl Walk<'_> {
    pub(super) fn packet(&self, direction: Direction, remote: IpAddr) -> Packet {
        let Flow { protocol, dst_port: port, icmp, .. } = self.flow;
        Packet { direction, remote, protocol, port, icmp }
    }

    fn there(&mut self, source: &End, target: &End) {
        if let Some(local) = &source.local {
            let packet = self.packet(Direction::Egress, target.seen);
            self.groups(Way::There, &local.rules, &packet);
            self.acl(Way::There, local, &packet, &[]);
            let hop = self.route(Way::There, local, target.seen, target.local.as_ref());
            self.over(&hop, local, target);
        }
        if let Some(local) = &target.local {
            if self.comes_from_internet(source, target) {
                self.public_access(Way::There, local, &Hop::Internet, false);
                self.enter(Way::There, local);
            } else if self.over_internet {
                self.enter(Way::There, local);
            }
            if let Some(source) = source.local.as_ref().filter(|_| self.left_for_internet) {
                self.come_in(source, local);
            }
            let packet = self.packet(Direction::Ingress, source.seen);
            self.acl(Way::There, local, &packet, &[]);
            let peer = source.local.as_ref().filter(|peer| peer.own == source.seen);
            self.peer_group = peer.and_then(|peer| group_of_peer(&peer.rules, &local.rules));
            self.peer_carries = peer.and_then(|peer| carried(&peer.rules, &local.rules));
            if let Some(source) = &source.local {
                self.source_groups.clone_from(&source.rules.interface.group_ids);
            }
            self.groups(Way::There, &local.rules, &packet);
            self.source_groups.clear();
            (self.peer_group, self.peer_carries) = (None, None);
            if local.rules.interface.is_endpoint() {
                let id = &local.rules.interface.id;
                self.not_checked
                    .push(format!("the policy of the endpoint at {id}, and the service behind it"));
            }
        }
    }

    fn back(&mut self, source: &End, target: &End) {
        // The answer's type is known with the request's.
        let asked = self.flow.icmp.filter(|_| matches!(self.flow.protocol, ICMP | ICMPV6));
        let answered = asked.map(|(kind, _)| (kind, icmp_answer(self.flow.protocol, kind)));
        let icmp = match answered {
            Some((_, Some(answer))) => Some(answer),
            Some((kind, None)) => {
                let reason = format!("ICMP type {kind} has no answer");
                let at = target.seen.to_string();
                self.stages.push(Stage::new(Way::Back, Layer::Address, at, Decision::NotApplicable, reason));
                return;
            }
            None => None,
        };
        let Flow { protocol, src_port, .. } = self.flow;
        let answer = |direction, remote| Packet { direction, remote, protocol, port: src_port, icmp };
        let near = self.client_ports(source);
        let is_translated = self.nat.is_some();
        let far = if is_translated { self.nat_ports() } else { near.clone() };
        if let Some(local) = &target.local {
            self.state(&local.rules, Direction::Egress);
            let mut packet = answer(Direction::Egress, source.seen);
            // The port that was asked about is the client's own, which the gateway replaces.
            packet.port = packet.port.filter(|_| !is_translated);
            self.acl(Way::Back, local, &packet, &far);
            let nat = self.nat.clone().and_then(|nat| nat.local);
            let to = nat.as_ref().or(source.local.as_ref());
            let hop = self.route(Way::Back, local, source.seen, to);
            if let (Hop::Transit(id), Some(to)) = (&hop, to) {
                let packet = Packet { direction: Direction::Ingress, remote: local.own, ..packet };
                self.transit(Way::Back, id, (local, Some(to)), source.seen, packet, &far);
            }
        }
        if let Some(local) = &source.local {
            if self.over_internet {
                let nat = self.nat.clone().and_then(|nat| nat.local);
                self.enter(Way::Back, nat.as_ref().unwrap_or(local));
            }
            self.back_over_nat(local, target, answer(Direction::Ingress, target.seen), &far, &near);
            self.acl(Way::Back, local, &answer(Direction::Ingress, target.seen), &near);
            self.state(&local.rules, Direction::Ingress);
        }
    }

    /// What comes in by no way needs no rule: no fix is offered for the filters behind an address that nothing reaches.
    fn no_fix_before_an_address(&mut self) {
        let unreachable = |stage: &Stage| {
            stage.layer == Layer::Address && stage.outcome == Decision::Deny && stage.rule.is_some()
        };
        if self.no_fixes || self.stages.iter().any(unreachable) {
            self.stages.iter_mut().for_each(|stage| stage.fix = None);
        }
    }

    /// What stays open whatever the stages say.
    fn rest(&mut self, source: &End, target: &End) {
        for local in [&source.local, &target.local].into_iter().flatten() {
            let interface = &local.rules.interface.id;
            let (distance, captured_at) = local.rules.provenance.distance(self.view.at);
            self.captured.extend(captured_at);
            if distance > 0 && self.view.at != i64::MAX {
                let far = span(distance);
                self.not_checked.push(format!(
                    "changes in the {far} between the time asked and the capture used for {interface}"
                ));
            }
        }
        self.not_checked.push("firewalls and listeners on the hosts, AWS Network Firewall, DNS".to_owned());
        let mut seen = std::collections::HashSet::new();
        self.not_checked.retain(|text| seen.insert(text.clone()));
    }
}
