//! The stages that filter: network ACLs and security groups, rule by rule.

use super::walk::{End, Local, Walk};
use super::{ClientLine, Layer, RuleLine, Stage, Way, icmp_answer};
use crate::attribute::{earlier_allowed, group_fix, list_fix};
use crate::net::{ICMP, ICMPV6, TCP, UDP};
use crate::network::{
    GroupReference, NaclEntry, Remote, RuleAction, SecurityGroup, SecurityGroupRule, Traffic,
};
use crate::rules::{
    Closeness, Decision, Direction, GroupVerdict, InterfaceRules, Mismatch, Packet, ScopeReason, Ternary,
    allows_other_family, check_acl, entry_elsewhere, entry_text, match_entry, match_traffic, rule_text,
};

/// The ports that a kind of client may have (spec 3.3): whose they are, and the first and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientPorts {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) whose: &'static str,
}

const LINUX: ClientPorts = ClientPorts { first: 32768, last: 61000, whose: "Linux clients" };
const WINDOWS: ClientPorts = ClientPorts { first: 49152, last: 65535, whose: "Windows clients" };
/// Load balancers, NAT gateways and Lambda functions.
pub(super) const SERVICES: ClientPorts =
    ClientPorts { first: 1024, last: 65535, whose: "load balancers, NAT gateways and Lambda" };
/// Whoever is outside may be behind an address translation of its own.
const TRANSLATED: ClientPorts = ClientPorts { first: 1024, last: 65535, whose: "clients behind a NAT" };

impl Walk<'_> {
    /// Which ports the client's answers go to, by kind of client; none where one was given or the protocol has none.
    pub(super) fn client_ports(&mut self, source: &End) -> Vec<ClientPorts> {
        if self.flow.src_port.is_some() || !matches!(self.flow.protocol, TCP | UDP) {
            return Vec::new();
        }
        let Some(local) = &source.local else {
            // What is in one of our VPCs is no client behind an address translation.
            return match self.engine.owners(self.view).in_some_vpc(&source.seen) {
                true => vec![LINUX, WINDOWS],
                false => vec![LINUX, WINDOWS, TRANSLATED],
            };
        };
        let interface = &local.rules.interface;
        let balancer = interface.balancer_name().is_some();
        let is_service = balancer
            || ["nat_gateway", "lambda", "network_load_balancer"].iter().any(|kind| interface.is_type(kind));
        match local.rules.instance.as_ref().and_then(|instance| instance.is_windows) {
            _ if is_service => vec![SERVICES],
            Some(true) => vec![WINDOWS],
            Some(false) => vec![LINUX],
            None => vec![LINUX, WINDOWS],
        }
    }

    /// Which ports a NAT gateway's answers go to.
    pub(super) fn nat_ports(&self) -> Vec<ClientPorts> {
        if matches!(self.flow.protocol, TCP | UDP) { vec![SERVICES] } else { Vec::new() }
    }

    /// A network ACL's stage. With `ports`, the answers' destination port is any of these, by kind of client.
    pub(super) fn acl(&mut self, way: Way, local: &Local, packet: &Packet, ports: &[ClientPorts]) {
        let rules = &local.rules;
        let at = rules.interface.subnet_id.clone().unwrap_or_else(|| rules.interface.id.clone());
        let mut stage = Stage::new(way, Layer::NetworkAcl, at, Decision::NotApplicable, String::new());
        stage.direction = Some(packet.direction);
        if let Some(service) = rules.unfiltered(&packet.remote) {
            stage.reason = format!("network ACLs do not filter {service}");
            self.stages.push(stage);
            return;
        }
        let scope = rules.scope(packet, Some(local.own));
        if scope.applies == Ternary::No {
            stage.reason = scope_text(scope.reason).to_owned();
            self.stages.push(stage);
            return;
        }
        let Some(compiled) = &rules.acl else {
            stage.outcome = Decision::Unknown;
            let supposed = rules.supposed_acl_verdict(packet, Some(local.own));
            let supposed = supposed.and_then(|found| found.entry).zip(rules.supposed_acl.as_ref());
            stage.reason = match supposed {
                Some((entry, list)) => format!(
                    "which network ACL is the subnet's is not known, since no capture held all (describe-network-acls); if it is \
                     the VPC's default list, {} decides",
                    entry_text(&list.acl, entry)
                ),
                None => {
                    "the subnet's network ACL is not in the configuration (describe-network-acls)".to_owned()
                }
            };
            self.stages.push(stage);
            return;
        };
        let sample = |port: Option<u16>| Packet { port, ..*packet };
        // The stretches of ports within which the decision is the same, for each kind of client.
        let mut decided: Vec<(u16, Decision)> = Vec::new();
        for range in ports {
            let lists = scope.lists.iter().flatten();
            let entries = lists.flat_map(|list| compiled.list(list.direction, packet.family()));
            let stretches: Vec<(u16, u16, Decision)> = segments(entries, packet.protocol, *range)
                .into_iter()
                .map(|(first, last)| {
                    let decision = rules.acl_verdict(&sample(Some(first)), Some(local.own)).decision;
                    (first, last, decision)
                })
                .collect();
            decided.extend(stretches.iter().map(|(first, _, decision)| (*first, *decision)));
            stage.clients.push(client_line(*range, &stretches));
        }
        // Where ports differ, the first that is dropped shows which rule is in the way.
        let worst = decided.iter().find(|(_, decision)| *decision == Decision::Deny).or(decided.first());
        let asked = sample(worst.map(|(first, _)| *first).or(packet.port));
        let verdict = rules.acl_verdict(&asked, Some(local.own));
        let agreed = decided.iter().all(|(_, decision)| *decision == verdict.decision);
        stage.outcome = if agreed { verdict.decision } else { Decision::Unknown };
        stage.direction = Some(verdict.direction);
        stage.rule = verdict.entry.map(|entry| entry_text(&compiled.acl, entry));
        let mut reason = match verdict.decision {
            Decision::Allow => "an entry lets it pass".to_owned(),
            Decision::Deny => "the first entry that matches denies it".to_owned(),
            Decision::Unknown if scope.applies == Ternary::Maybe => {
                format!("whether the list applies is not known: {}", scope_text(scope.reason))
            }
            _ => "an entry may match, and that decides".to_owned(),
        };
        if !agreed {
            let told: Vec<String> = stage.clients.iter().map(client_text).collect();
            reason = format!("it depends on the client's port: {}", told.join("; "));
        } else if !ports.is_empty() {
            let whose: Vec<String> = ports
                .iter()
                .map(|range| format!("{}-{} of {}", range.first, range.last, range.whose))
                .collect();
            reason = format!("{reason}, for ports {}", whose.join(", "));
        }
        if verdict.direction != packet.direction {
            // Row c of spec 1.2.
            reason = format!(
                "{reason}; the {} list is asked as well, on the interface's own address, {}",
                verdict.direction.rule_word(),
                scope_text(scope.reason)
            );
        }
        let mut nearest: Option<(Closeness, String)> = None;
        for list in scope.lists.iter().flatten() {
            let seen = Packet { direction: list.direction, remote: list.address, ..asked };
            let entries = compiled.list(list.direction, asked.family());
            let deciding = check_acl(entries, &seen).deciding.last().copied();
            for (index, entry) in entries.iter().enumerate() {
                let reached = deciding.is_none_or(|deciding| index <= deciding);
                let (matched, mismatch) = match_entry(entry, &seen);
                if !reached
                    && matched == Ternary::Yes
                    && entry.action == Some(RuleAction::Allow)
                    && verdict.decision == Decision::Deny
                {
                    reason = format!("{reason}; rule {} would allow it but comes later", entry.number);
                    // Nothing is nearer than what matches.
                    let later = || format!("{} (comes later)", entry_text(&compiled.acl, entry));
                    if nearest.as_ref().is_none_or(|(close, _)| *close < Closeness::COMES_LATER) {
                        nearest = Some((Closeness::COMES_LATER, later()));
                    }
                }
                let elsewhere = entry_elsewhere(entry, &seen);
                if let Some(mismatch) = mismatch
                    && entry.action == Some(RuleAction::Allow)
                    && list.direction == verdict.direction
                {
                    let close =
                        mismatch.closeness(elsewhere_of(mismatch, elsewhere), false, &entry.traffic, &seen);
                    let why = mismatch.beside(elsewhere, &seen);
                    nearer(&mut nearest, close, why, || entry_text(&compiled.acl, entry));
                }
                let because = match mismatch {
                    Some(mismatch) => Some(mismatch.words(elsewhere)),
                    None => (!reached).then(|| "not reached".to_owned()),
                };
                stage.rules.push(RuleLine { text: entry_text(&compiled.acl, entry), matched, because });
            }
            if list.direction == verdict.direction
                && let Some(entry) = allows_other_family(compiled, &seen)
            {
                let everyone = entry.cidr.is_some_and(|cidr| cidr.is_any());
                let text = || entry_text(&compiled.acl, entry);
                let close = Mismatch::Family.closeness(false, everyone, &entry.traffic, &seen);
                nearer(&mut nearest, close, Mismatch::Family.beside(false, &seen), text);
            }
            // To a transit gateway both lists have to let it pass (row c of spec 1.2).
            let check = check_acl(entries, &seen);
            let denies = verdict.decision == Decision::Deny && check.decision == Decision::Deny;
            let entry = check.deciding.last().and_then(|at| entries.get(*at));
            if let (true, true, Some(entry)) = (denies, list.sure, entry) {
                let answers = way == Way::Back && !ports.is_empty();
                let found = list_fix(self.network, compiled, &seen, entry.number, answers, &mut self.added);
                stage.fix = match (stage.fix.take(), found) {
                    (Some(one), Some(other)) => Some(one.and(other)),
                    (one, other) => one.or(other),
                };
            }
        }
        if verdict.decision == Decision::Deny {
            stage.nearest = nearest.map(|(_, text)| text);
            if let Some(text) = earlier_allowed(&mut self.engine, rules, &asked, false) {
                reason = format!("{reason}; {text}");
            }
        }
        stage.reason = reason;
        self.stages.push(stage);
    }

    /// The stage of an interface's security groups, as for a new flow.
    pub(super) fn groups(&mut self, way: Way, rules: &InterfaceRules, packet: &Packet) {
        let mut stage = Stage::new(
            way,
            Layer::SecurityGroup,
            rules.interface.id.clone(),
            Decision::NotApplicable,
            String::new(),
        );
        stage.direction = Some(packet.direction);
        let Some(groups) = &rules.groups else {
            stage.reason = "the interface carries no security group, so none filters".to_owned();
            self.stages.push(stage);
            return;
        };
        if let Some(service) = rules.unfiltered(&packet.remote) {
            stage.reason = format!("security groups do not filter {service}");
            self.stages.push(stage);
            return;
        }
        let mut verdict = rules.group_verdict(packet);
        if let Some(rule) =
            self.rule_for_balancer(rules, packet).filter(|_| verdict.decision != Decision::Allow)
        {
            verdict = GroupVerdict { decision: Decision::Allow, rule: Some(rule) };
        }
        stage.outcome = verdict.decision;
        stage.rule = verdict.rule.map(|(group, rule)| rule_text(group, rule));
        let word = packet.direction.rule_word();
        let ids = rules.interface.group_ids.join(", ");
        stage.reason = match verdict.decision {
            Decision::Allow => format!("an {word} rule allows it"),
            Decision::Deny => format!("no {word} rule of {ids} allows it"),
            _ if !groups.missing.is_empty() => {
                format!("not in the configuration: {}", groups.missing.join(", "))
            }
            _ if !rules.groups_known => "the interface's groups are not known".to_owned(),
            _ if rules.may_be_private_link(packet) => {
                let text = rules.private_link_text(packet).unwrap_or_default();
                format!("no {word} rule of {ids} surely allows it; {text}")
            }
            _ => "a rule may match".to_owned(),
        };
        let mut nearest: Option<(Closeness, String)> = None;
        let mut is_hint_vain = false;
        if let Some(check) = self.engine.explain_groups(rules, packet) {
            for (group, check) in &check.checks {
                let Some(group) = groups.groups.get(*group) else { continue };
                let Some(rule) = group.rules.get(check.index) else { continue };
                let text = rule_text(group, rule);
                // References hold for private addresses only (spec 2.4).
                let carries = |to: &str| {
                    let holders = self.network.holders(&packet.remote, self.view);
                    holders.iter().any(|(one, public)| *public && one.group_ids.iter().any(|id| id == to))
                };
                let named =
                    (check.mismatch == Some(Mismatch::Address)).then(|| rule.remote.group()).flatten();
                let lost = named.and_then(|to| {
                    let behind = self.nat.as_ref().filter(|_| self.source_groups.contains(&to.group_id));
                    match behind {
                        Some(nat) => Some(format!(
                            "its member comes under the address of {}, for which references do not hold",
                            nat.id
                        )),
                        None if carries(&to.group_id) => Some(
                            "a member, seen by its public address, for which references do not hold"
                                .to_owned(),
                        ),
                        None => None,
                    }
                });
                // A rule for the group is there, and does not hold on this way.
                let for_peer = |to: &GroupReference| self.peer_carries.as_ref() == Some(&to.group_id);
                is_hint_vain |= check.matched == Ternary::No
                    && rule.remote.group().is_some_and(for_peer)
                    && match_traffic(&rule.traffic, packet).0 == Ternary::Yes;
                if let Some(mismatch) = check.mismatch {
                    let everyone = rule.remote.is_everyone();
                    let close = mismatch.closeness(check.elsewhere, everyone, &rule.traffic, packet);
                    let why = lost.clone().unwrap_or_else(|| mismatch.beside(check.elsewhere, packet));
                    nearer(&mut nearest, close, why, || text.clone());
                }
                // What the load balancer hands on passes by a rule for its group, whatever address it shows.
                let (matched, because) = match self.is_for_balancer(rule, packet) {
                    true => (Ternary::Yes, None),
                    false => {
                        let unsure =
                            || (check.matched == Ternary::Maybe).then(|| self.unsure(rule)).flatten();
                        (check.matched, lost.or_else(|| check.because()).or_else(unsure))
                    }
                };
                stage.rules.push(RuleLine { text, matched, because });
            }
        }
        if verdict.decision == Decision::Deny {
            stage.nearest = nearest.map(|(_, text)| text);
            if let Some(text) = earlier_allowed(&mut self.engine, rules, packet, true) {
                stage.reason = format!("{}; {text}", stage.reason);
            }
            stage.fix = group_fix(self.network, rules, packet, self.peer_group.as_deref()).map(|mut fix| {
                // An ICMP error is answered by nothing.
                if !self.has_answer() {
                    fix.text = fix.text.split(';').next().unwrap_or_default().to_owned();
                }
                if let (None, Some(group), false) = (&self.peer_group, &self.peer_carries, is_hint_vain) {
                    let text = format!(
                        "; a rule for {group}, which {} carries, would outlast its address",
                        packet.remote
                    );
                    fix.text.push_str(&text);
                }
                fix
            });
        }
        self.stages.push(stage);
    }

    /// A rule that lets a packet pass because a load balancer of its group hands it on.
    fn rule_for_balancer<'r>(
        &self,
        rules: &'r InterfaceRules,
        packet: &Packet,
    ) -> Option<(&'r SecurityGroup, &'r SecurityGroupRule)> {
        let groups = rules.groups.as_ref().filter(|_| !self.handed_on_by.is_empty())?;
        let found = rules.matching_rules(packet)?;
        let all = found.sure.iter().chain(&found.perhaps).filter_map(|(group, rule)| {
            let group = groups.groups.get(*group)?.as_ref();
            Some((group, group.rules.get(*rule)?))
        });
        let mut all = all.filter(|(_, rule)| self.is_for_balancer(rule, packet));
        all.next()
    }

    /// Why it is not known whether a rule for a list or a group matches.
    fn unsure(&self, rule: &SecurityGroupRule) -> Option<String> {
        match &rule.remote {
            Remote::PrefixList(id) => {
                let list = self.network.prefix_lists.get(id, self.view);
                let is_known = list.is_some_and(|list| list.value.entries.is_some());
                (!is_known).then(|| format!("the entries of {id} are not in the configuration"))
            }
            Remote::Group(reference) => {
                let id = &reference.group_id;
                let held = self.network.groups.get(id, self.view).is_some();
                let of = reference.account.as_ref().map(|id| format!(" of account {id}")).unwrap_or_default();
                let whose = if held { String::new() } else { of };
                Some(format!("whether a member of {id}{whose} has the address is not in the configuration"))
            }
            Remote::Cidr(_) | Remote::Unreadable(_) => None,
        }
    }

    /// Whether a rule is for the group of the load balancer that hands a packet on, and for what the packet is.
    fn is_for_balancer(&self, rule: &SecurityGroupRule, packet: &Packet) -> bool {
        rule.remote.group().is_some_and(|to| self.handed_on_by.contains(&to.group_id))
            && match_traffic(&rule.traffic, packet).0 == Ternary::Yes
    }

    /// Whether what is asked about has an answer: of ICMP only requests do.
    fn has_answer(&self) -> bool {
        match (self.flow.protocol, self.flow.icmp) {
            (protocol @ (ICMP | ICMPV6), Some((kind, _))) => icmp_answer(protocol, kind).is_some(),
            _ => true,
        }
    }

    /// Answers: the groups let them pass because they let the flow pass.
    pub(super) fn state(&mut self, rules: &InterfaceRules, direction: Direction) {
        let reason = "groups keep state: answers to a flow that they let pass need no rule";
        let mut stage = Stage::new(
            Way::Back,
            Layer::SecurityGroup,
            rules.interface.id.clone(),
            Decision::NotApplicable,
            reason,
        );
        stage.direction = Some(direction);
        self.stages.push(stage);
    }
}

/// Takes a rule that comes nearer than what was found before.
fn nearer(
    nearest: &mut Option<(Closeness, String)>,
    close: Option<Closeness>,
    why: String,
    text: impl FnOnce() -> String,
) {
    let Some(close) = close else { return };
    if nearest.as_ref().is_none_or(|(best, _)| close > *best) {
        *nearest = Some((close, format!("{} ({why})", text())));
    }
}

/// Whether other addresses are a second thing in which an entry differs, and not the only one.
fn elsewhere_of(mismatch: Mismatch, elsewhere: bool) -> bool {
    elsewhere && mismatch != Mismatch::Address
}

fn client_line(range: ClientPorts, stretches: &[(u16, u16, Decision)]) -> ClientLine {
    let mut dropped: Vec<(u16, u16)> = Vec::new();
    for (first, last, _) in stretches.iter().filter(|(.., decision)| *decision == Decision::Deny) {
        match dropped.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(*first) => *end = *last,
            _ => dropped.push((*first, *last)),
        }
    }
    let mut decisions = stretches.iter().map(|(.., decision)| *decision);
    let first = decisions.next().unwrap_or(Decision::Unknown);
    let outcome = if decisions.all(|decision| decision == first) { first } else { Decision::Unknown };
    let is_settled = stretches.iter().all(|(.., decision)| *decision != Decision::Unknown);
    ClientLine { clients: range.whose, first: range.first, last: range.last, outcome, dropped, is_settled }
}

fn client_text(line: &ClientLine) -> String {
    let ClientLine { clients, first, last, outcome, dropped, .. } = line;
    let at: Vec<String> = dropped.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    let what = match outcome {
        Decision::Allow | Decision::NotApplicable => "pass".to_owned(),
        Decision::Deny => "are dropped".to_owned(),
        Decision::Unknown if dropped.is_empty() => "may pass".to_owned(),
        Decision::Unknown => format!("are dropped at ports {}", at.join(", ")),
    };
    format!("answers to {clients} ({first}-{last}) {what}")
}

/// Stretches of ports within which no entry begins or ends.
fn segments<'e>(
    entries: impl Iterator<Item = &'e NaclEntry>,
    protocol: u8,
    range: ClientPorts,
) -> Vec<(u16, u16)> {
    let mut starts = std::collections::BTreeSet::from([range.first]);
    for entry in entries {
        if let Traffic::Ports { protocol: other, ports } = &entry.traffic
            && *other == protocol
        {
            starts.extend([Some(ports.first()), ports.last().checked_add(1)].into_iter().flatten());
        }
    }
    let starts: Vec<u16> =
        starts.into_iter().filter(|start| (range.first..=range.last).contains(start)).collect();
    let ends = starts.iter().skip(1).map(|next| next.saturating_sub(1)).chain([range.last]);
    starts.iter().copied().zip(ends).collect()
}

fn scope_text(reason: ScopeReason) -> &'static str {
    match reason {
        ScopeReason::IntraSubnet => "both ends are in one subnet, whose border it does not cross",
        ScopeReason::IntraSubnetUnsure => "the other end may be in the same subnet",
        ScopeReason::ClassicLoadBalancer => {
            "a Classic Load Balancer's traffic is filtered inside the subnet too"
        }
        ScopeReason::ToTransitGateway => "to the transit gateway's attachment in the same subnet",
        ScopeReason::FromTransitGateway => "from the transit gateway's attachment in the same subnet",
        ScopeReason::AtTransitGateway => "at the transit gateway's attachment",
        ScopeReason::ToGatewayEndpoint => "to a Gateway Load Balancer endpoint in the same subnet",
        ScopeReason::FromGatewayEndpoint => "from a Gateway Load Balancer endpoint in the same subnet",
        ScopeReason::GatewayUnsure => "a gateway's interface is in the subnet and its route is not known",
        ScopeReason::Border => "it crosses the subnet's border",
        ScopeReason::SubnetUnknown => "the subnet's blocks are not known",
    }
}
