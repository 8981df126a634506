//! The decision with configuration: rows of spec 8.7, in their order; row numbers beside the lines.

mod supposed;

use super::consistency::is_unreadable;
use super::evidence::{Evidence, Facts, Idle};
use super::record::{Action, Record, RejectReason, Role};
use super::state::{Inputs, State, effective};
use super::tracking::{is_untracked, timeouts};
use super::verdict::{Attribution, Blocker, Cause, Confidence, Few, ReasonCode, Verdict};
use super::{versions, without};
use crate::net::TCP;
use crate::network::{NACL_UNPLACED, NaclEntry};
use crate::rules::{
    ALLOW_EGRESS, AclVerdict, Decision, Direction, Engine, InterfaceRules, Packet, ScopeReason,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Slack around a record within which a change of configuration may show in it.
pub const AROUND: i64 = 60;

/// Attributes one record. Without an engine, or where the engine's network lacks the interface, the evidence alone decides.
pub fn decide(record: &Record<'_>, engine: Option<&mut Engine<'_>>, evidence: &Evidence) -> Attribution {
    if let Some(attribution) = by_the_record_alone(record) {
        return attribution;
    }
    if !record.has_time {
        // It belongs to no version of the configuration, and no other record is before or after it.
        return without::decide(record, &Evidence::default());
    }
    let Some((engine, id)) = engine.zip(record.interface_id) else {
        return without::decide(record, evidence);
    };
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    // Almost every record lies where nothing changes.
    if let Some(view) = engine.network().only_view(from, to) {
        let rules = engine.interface(id, view);
        return by_rules(record, engine, rules.as_ref(), evidence);
    }
    let views = engine.views(from, to);
    let found: Vec<Arc<InterfaceRules>> =
        views.into_iter().filter_map(|view| engine.interface(id, view)).collect();
    versions::decide(record, engine, &found, evidence)
}

/// The same, where nothing changes [`AROUND`] the record and the rules of its interface are at hand; `None` where the engine's
/// network lacks it.
pub fn decide_by(
    record: &Record<'_>,
    engine: &mut Engine<'_>,
    rules: Option<&Arc<InterfaceRules>>,
    evidence: &Evidence,
) -> Attribution {
    by_the_record_alone(record).unwrap_or_else(|| by_rules(record, engine, rules, evidence))
}

/// Under the one version of the configuration that is in force around the record.
fn by_rules(
    record: &Record<'_>,
    engine: &mut Engine<'_>,
    rules: Option<&Arc<InterfaceRules>>,
    evidence: &Evidence,
) -> Attribution {
    match rules {
        Some(rules) => versions::decide(record, engine, std::slice::from_ref(rules), evidence),
        None => without::decide(record, evidence),
    }
}

/// Rows 1 to 4.
fn by_the_record_alone(record: &Record<'_>) -> Option<Attribution> {
    if record.action != Action::Reject || !record.log_status_ok {
        let mut attribution = Attribution::new(Verdict::NotApplicable, Confidence::None);
        attribution.first_blocker = None;
        return Some(attribution); // 1
    }
    let RejectReason::Named(reason) = record.reject_reason else {
        // Nothing is documented of what rejects it.
        return record
            .is_efa
            .then(|| Attribution { direction: record.direction, ..Attribution::undetermined(&[]) });
    };
    let (verdict, blocker) = match reason {
        "BPA" => (Verdict::VpcBpa, Blocker::Bpa),           // 2
        "EC" => (Verdict::EncryptionControls, Blocker::Ec), // 3
        _ => (Verdict::OtherReason, Blocker::Unknown),      // 4
    };
    let mut attribution =
        Attribution::new(verdict, Confidence::Proven).blocked_by(blocker).because(ReasonCode::LogReasonField);
    attribution.direction = record.direction;
    Some(attribution)
}

/// Whether ACCEPTs with the record's key show what each layer made of the record: not around a change of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeysHold {
    pub(super) acl: bool,
    pub(super) groups: bool,
}

/// What the two layers make of a record's packet as a new flow, under one version of the configuration.
pub(super) struct Asked<'r> {
    rules: &'r InterfaceRules,
    packet: Packet,
    remote: IpAddr,
    acl: AclVerdict<'r>,
    /// That of the list which is in force if the subnet is associated with none, where that is not known.
    supposed: Option<AclVerdict<'r>>,
    /// The groups' verdict with the remote by which evidence is told.
    pub(super) groups: Decision,
    /// With both addresses that may stand for the remote.
    new_flow: Decision,
}

impl<'r> Asked<'r> {
    /// Asks both layers; `None` where the record shows no remote address.
    pub(super) fn new(record: &Record<'_>, direction: Direction, rules: &'r InterfaceRules) -> Option<Self> {
        let (remote, leg) = record.remotes(direction);
        let remote = remote?;
        let own = record.local(direction).filter(|own| rules.interface.owns(own));
        let packet = record.packet(direction, remote);
        let mut acl = rules.acl_verdict(&packet, own);
        let groups = rules.group_verdict(&packet).decision;
        let mut new_flow = groups;
        // Two addresses stand for the remote: equal verdicts stand, unequal ones are open (spec 8.2).
        if let Some(leg) = leg {
            let packet = record.packet(direction, leg);
            let other = rules.acl_verdict(&packet, own);
            if other.decision != acl.decision {
                acl.decision = Decision::Unknown;
                acl.entry = None;
            }
            if rules.group_verdict(&packet).decision != groups {
                new_flow = Decision::Unknown;
            }
        }
        let supposed = rules.supposed_acl_verdict(&packet, own).filter(|_| leg.is_none());
        Some(Asked { rules, packet, remote, acl, supposed, groups, new_flow })
    }
}

/// The two layers' verdicts under one version of the configuration.
#[derive(Clone)]
pub(super) struct Layers<'r> {
    pub(super) acl: Decision,
    entry: Option<&'r NaclEntry>,
    list: Direction,
    scope: ScopeReason,
    new_flow: Decision,
    pub(super) state: State,
    facts: Facts<'r>,
    remote: IpAddr,
    /// An open decision is open because something in the configuration could not be read.
    unreadable: bool,
    keys: KeysHold,
    /// What the list makes of it that is in force if the subnet is associated with none, where that is not known.
    supposed: Option<AclVerdict<'r>>,
    /// The flow is known to have begun untracked: no state of it can have ended.
    untracked: bool,
    /// The rules given leave the flow untracked, so that it has no idle timeout.
    timeless: bool,
}

impl<'r> Layers<'r> {
    pub(super) fn new(
        record: &Record<'_>,
        direction: Direction,
        engine: &Engine<'_>,
        asked: Asked<'r>,
        evidence: &'r Evidence,
        tracked: Option<bool>,
        keys: KeysHold,
    ) -> Self {
        let Asked { rules, packet, remote, mut acl, supposed, new_flow, .. } = asked;
        // Another interface, or another flow of this one, shows that the list lets this key through (spec 8.5); not so the other
        // list, which looks at the interface's own address (row c of 1.2).
        let keys = KeysHold { acl: keys.acl && acl.direction == direction, ..keys };
        let key_accepted =
            keys.acl && record.key_is_whole() && (evidence.same_key.is_some() || evidence.sibling.is_some());
        if acl.decision == Decision::Unknown && key_accepted {
            acl.decision = Decision::Allow;
            acl.entry = None;
        }
        let facts = Facts::new(record, evidence, timeouts(rules));
        let state = effective(&Inputs {
            new_flow,
            role: record.role(),
            direction,
            protocol: record.protocol,
            facts: &facts,
            acl_passes: acl.decision.passes(),
            tracked,
        });
        let timeless = record.protocol == TCP
            && facts.idle() == Idle::Yes
            && rules.groups.as_ref().is_some_and(|groups| {
                let leaves =
                    |packet| is_untracked(&groups.groups, packet) && !rules.is_always_tracked(packet);
                leaves(&packet) || leaves(&record.mirror_packet(direction, remote))
            });
        let open = acl.decision == Decision::Unknown || state == State::Unknown;
        let unreadable = open && is_unreadable(&packet, &acl, new_flow, engine, rules);
        Layers {
            acl: acl.decision,
            entry: acl.entry,
            list: acl.direction,
            scope: acl.scope.reason,
            new_flow,
            state,
            facts,
            remote,
            unreadable,
            keys,
            supposed: supposed.filter(|_| acl.decision == Decision::Unknown),
            untracked: tracked == Some(false),
            timeless,
        }
    }

    pub(super) fn attribute(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &Arc<InterfaceRules>,
        evidence: &Evidence,
    ) -> Attribution {
        if let Some((supposed, layers)) = self.with_supposed_list(record, direction, rules) {
            return layers.told(supposed, direction, rules);
        }
        let found = self.contradiction(record, evidence);
        self.told(found.unwrap_or_else(|| self.rows(record, direction, rules)), direction, rules)
    }

    /// With what the verdict is about.
    fn told(
        &self,
        mut attribution: Attribution,
        direction: Direction,
        rules: &Arc<InterfaceRules>,
    ) -> Attribution {
        attribution.direction = Some(direction);
        if self.acl != Decision::NotApplicable {
            attribution.acl_applies = true;
            if matches!(self.acl, Decision::Deny | Decision::Unknown) {
                let placed = self.entry.filter(|entry| entry.number != NACL_UNPLACED);
                attribution.nacl_rule_number = placed.map(|entry| entry.number);
                attribution.nacl_direction = self.entry.map(|_| self.list);
            }
        }
        attribution.rules = Some(rules.clone());
        attribution
    }

    /// The modifier below the table: an ACCEPT shows that the configuration is not the one in force.
    fn contradiction(&self, record: &Record<'_>, evidence: &Evidence) -> Option<Attribution> {
        let same_key = evidence.same_key;
        let acl_passed =
            self.keys.acl && record.key_is_whole() && (same_key.is_some() || evidence.sibling.is_some());
        let group_passed = self.keys.groups && same_key.is_some_and(|same| same.initiator);
        let acl_wrong = self.acl == Decision::Deny && acl_passed;
        let groups_wrong = self.state == State::Deny && self.new_flow == Decision::Deny && group_passed;
        if !acl_wrong && !groups_wrong {
            return None;
        }
        let mut causes = Vec::new();
        if acl_wrong {
            match self.state {
                State::Deny => causes.push(Cause::SecurityGroup),
                State::Ended => causes.push(Cause::StaleConnection),
                State::Unknown => causes.extend([Cause::SecurityGroup, Cause::StaleConnection]),
                State::Allow | State::NotApplicable => {}
            }
        } else if self.acl == Decision::Deny {
            causes.push(Cause::Nacl);
        }
        let found = Attribution::new(Verdict::ConfigMismatch, Confidence::Strong);
        Some(found.because(ReasonCode::ConfigNotInForce).or_else(&causes))
    }

    fn acl_reason(&self) -> ReasonCode {
        match self.entry {
            Some(entry) if entry.is_default() => ReasonCode::NaclDefaultDeny,
            _ => ReasonCode::NaclExplicitDeny,
        }
    }

    fn group_reason(&self, direction: Direction, rules: &InterfaceRules) -> ReasonCode {
        match self.state {
            State::Ended => self.ended_reason(),
            _ if has_rules(rules, direction) => ReasonCode::SgNoMatchingRule,
            _ => ReasonCode::SgHasNoRules,
        }
    }

    fn ended_reason(&self) -> ReasonCode {
        if self.facts.closed() {
            ReasonCode::AfterClose
        } else if self.facts.idle() == Idle::Yes || self.facts.any_mirror().is_some() {
            ReasonCode::IdleTimeout
        } else {
            ReasonCode::SgNoState
        }
    }

    /// Whether the groups would drop it as well as the network ACL. S8, S12 and S14 say so of every flow that was seen before, more than
    /// the logs show: after the FIN of one side the other may go on, and what leaves passes the groups before the network ACL
    /// drops it (1.1), so that packets without an ACCEPT keep a state from idling out.
    fn surely_denied(&self, role: Role, is_ingress: bool) -> bool {
        if self.state == State::Deny {
            return is_ingress || role != Role::Unknown || !self.facts.only_older();
        }
        let by_time = !self.facts.closed() || self.facts.idle() == Idle::Yes;
        self.facts.evidence.closed_surely || (is_ingress && by_time)
    }

    fn rows(&self, record: &Record<'_>, direction: Direction, rules: &InterfaceRules) -> Attribution {
        let role = record.role();
        let reason_unnamed = record.reject_reason == RejectReason::Unnamed;
        let is_ingress = direction == Direction::Ingress;
        let acl_passes = self.acl.passes();
        let midstream_tcp = record.protocol == TCP && role == Role::Midstream;
        if self.unreadable && self.acl != Decision::Deny && self.state != State::Deny {
            // Something that may decide could not be read: named as missing, never guessed.
            let mut found = Attribution::undetermined(&[]).because(ReasonCode::ConfigMissing);
            let open = [(!acl_passes, Cause::Nacl), (!self.state.passes(), Cause::SecurityGroup)];
            for (_, cause) in open.into_iter().filter(|(open, _)| *open) {
                found = found.or_else(&[cause]);
            }
            return found;
        }
        match (self.acl, self.state) {
            (Decision::Deny, State::Allow | State::NotApplicable) => {
                let mut found = Attribution::new(Verdict::Nacl, Confidence::Proven)
                    .blocked_by(Blocker::Nacl)
                    .because(self.acl_reason()); // 8
                if self.state == State::NotApplicable {
                    found = found.because(ReasonCode::SgNotApplicable);
                }
                if self.new_flow != Decision::Allow && self.state == State::Allow {
                    found = found.because(ReasonCode::ResponseOfAcceptedFlow);
                }
                found
            }
            (Decision::Deny, State::Deny | State::Ended) if self.surely_denied(role, is_ingress) => {
                let mut found = Attribution::new(Verdict::NaclAndSecurityGroup, Confidence::Proven)
                    .because(self.acl_reason())
                    .because(self.group_reason(direction, rules)); // 9, 10
                let order = [Blocker::Nacl, Blocker::SecurityGroup];
                found.blocking_set =
                    if is_ingress { Few::of(&order) } else { Few::of(&[order[1], order[0]]) };
                found.first_blocker = found.blocking_set.first();
                found
            }
            (Decision::Deny, State::Unknown | State::Ended | State::Deny) => {
                let mut found = Attribution::new(Verdict::Nacl, Confidence::Proven)
                    .blocked_by(Blocker::Nacl)
                    .because(self.acl_reason())
                    .or_else(&[Cause::SecurityGroup]); // 11
                if self.state != State::Unknown {
                    found = found.or_else(&[Cause::StaleConnection]);
                }
                if is_ingress {
                    return found;
                }
                Attribution { first_blocker: Some(Blocker::Unknown), confidence: Confidence::Strong, ..found } // 12
            }
            (_, State::Deny) if acl_passes => {
                let mut found = Attribution::new(Verdict::SecurityGroup, Confidence::Proven)
                    .blocked_by(Blocker::SecurityGroup)
                    .because(self.group_reason(direction, rules)); // 13
                if matches!(self.scope, ScopeReason::IntraSubnet) {
                    found = found.because(ReasonCode::IntraSubnet);
                }
                if role != Role::Initiator {
                    found.confidence = Confidence::Strong; // 14
                }
                self.doubt(&mut found, record, direction, rules);
                found
            }
            (_, State::Ended) if acl_passes => {
                let sure = self.facts.closed() || self.facts.idle() == Idle::Yes;
                let confidence = if sure { Confidence::Strong } else { Confidence::Weak };
                Attribution::new(Verdict::StaleConnection, confidence)
                    .blocked_by(Blocker::Conntrack)
                    .because(self.ended_reason()) // 15
            }
            (_, State::Unknown) if acl_passes => {
                let sure = role == Role::Initiator && reason_unnamed;
                let found = Attribution::new(
                    Verdict::SecurityGroup,
                    if sure { Confidence::Strong } else { Confidence::Weak },
                )
                .blocked_by(Blocker::SecurityGroup)
                .because(ReasonCode::ByElimination); // 16
                if role == Role::Initiator { found } else { found.or_else(&[Cause::StaleConnection]) }
            }
            (Decision::Unknown, State::Allow | State::NotApplicable) => {
                // A SYN-ACK that nobody asked for belongs to no state, whatever the rules allow (as rows 26 and 29).
                let unasked = role == Role::Responder
                    && is_ingress
                    && self.state == State::Allow
                    && self.facts.mirror().is_none();
                let sure = role != Role::Midstream && !unasked && reason_unnamed;
                let mut found =
                    Attribution::new(Verdict::Nacl, if sure { Confidence::Strong } else { Confidence::Weak })
                        .blocked_by(Blocker::Nacl)
                        .because(ReasonCode::ByElimination); // 17
                if role == Role::Midstream || unasked {
                    found = found.or_else(&[Cause::StaleConnection]);
                }
                found
            }
            (Decision::Unknown, State::Deny) => {
                let blocker = if is_ingress { Blocker::Unknown } else { Blocker::SecurityGroup };
                let mut found = Attribution::new(Verdict::SecurityGroup, Confidence::Strong)
                    .blocked_by(Blocker::SecurityGroup)
                    .because(self.group_reason(direction, rules))
                    .or_else(&[Cause::Nacl]); // 18, 19
                found.first_blocker = Some(blocker);
                self.doubt(&mut found, record, direction, rules);
                found
            }
            (Decision::Unknown, State::Ended) => {
                Attribution::undetermined(&[Cause::Nacl, Cause::StaleConnection]).because(self.ended_reason()) // 20
            }
            (Decision::Unknown, State::Unknown) => self.both_open(record, direction, rules), // 21
            _ => self.neither_denies(record, direction, rules, midstream_tcp),
        }
    }

    /// What a verdict on the groups by the absence of a flow leaves possible.
    fn doubt(
        &self,
        found: &mut Attribution,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
    ) {
        let role = record.role();
        if self.untracked && self.facts.evidence.last_accept.is_some() {
            return;
        }
        // S14 has no look at older packets of the flow, for which 8.5 says to look: it may be one that idled out.
        if role == Role::Unknown && self.facts.only_older() {
            found.confidence = Confidence::Weak;
            found.candidates = found.candidates.with(Cause::StaleConnection);
        }
        if record.protocol == TCP && role == Role::Midstream && self.facts.mirror().is_none() {
            found.candidates = found.candidates.with(Cause::StaleConnection);
            // S9 names the groups, the worked mapping of 8.7 a stale connection, when the other direction is open: the flow
            // may have begun before the logs. Neither is sure then.
            let mirror = record.mirror_packet(direction, self.remote);
            if rules.group_verdict(&mirror).decision == Decision::Allow {
                found.confidence = Confidence::Weak;
                found.reasons.push(ReasonCode::SgNoState);
            }
        }
    }

    fn both_open(&self, record: &Record<'_>, direction: Direction, rules: &InterfaceRules) -> Attribution {
        let is_icmp = matches!(record.protocol, 1 | 58);
        let mirror_first = self.facts.mirror().is_some_and(|mirror| mirror.start <= record.start);
        if is_icmp && mirror_first && !self.facts.own_accept() {
            return Attribution::new(Verdict::Nacl, Confidence::Weak)
                .blocked_by(Blocker::Nacl)
                .because(ReasonCode::ResponseOfAcceptedFlow)
                .or_else(&[Cause::SecurityGroup]); // 21a
        }
        let mut found = Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]);
        if self.facts.evidence.intra_subnet {
            found.candidates = found.candidates.without(Cause::Nacl).with(Cause::ScopeException);
        }
        // What no log and no configuration holds is not missing in it.
        let complete = rules.acl.is_some()
            && rules.groups_known
            && rules.groups.as_ref().is_none_or(|groups| groups.missing.is_empty())
            && !matches!(self.scope, ScopeReason::GatewayUnsure | ScopeReason::SubnetUnknown)
            && !rules.hangs_on_others(&record.packet(direction, self.remote));
        let unshown = is_icmp || (matches!(record.protocol, 6 | 17) && !record.ports_known());
        if complete && unshown { found } else { found.because(ReasonCode::ConfigMissing) }
    }

    /// Rows 22 to 29: no layer denies.
    fn neither_denies(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
        midstream_tcp: bool,
    ) -> Attribution {
        let facts = &self.facts;
        // Where the field may be there, what it would have named is a guess.
        let elimination = match record.reject_reason {
            RejectReason::NotInFormat => Some(Confidence::Strong),
            RejectReason::Unclear => Some(Confidence::Weak),
            RejectReason::Unnamed | RejectReason::Named(_) => None,
        };
        let blocks = match rules.bpa_mode.as_deref() {
            Some("block-bidirectional") => true,
            Some(ALLOW_EGRESS) => direction == Direction::Ingress,
            // What begins inside passes through NAT and egress-only gateways alone (spec 5.1).
            Some("block-ingress") => {
                direction == Direction::Ingress
                    || (!rules.interface.is_type("nat_gateway") && rules.is_by_internet_gateway(&self.remote))
            }
            _ => false,
        };
        if let Some(confidence) = elimination
            && blocks
            && !facts.closed()
            && rules.is_on_internet(&self.remote)
        {
            let found = Attribution::new(Verdict::VpcBpa, confidence)
                .blocked_by(Blocker::Bpa)
                .because(ReasonCode::ByElimination); // 22
            let unclear = confidence == Confidence::Weak;
            return if unclear { found.or_else(&[Cause::ConfigMismatch]) } else { found };
        }
        let enforced =
            rules.vpc.as_ref().is_some_and(|vpc| vpc.encryption_mode.as_deref() == Some("enforce"));
        if elimination.is_some() && enforced && rules.interface.is_endpoint() {
            return Attribution::new(Verdict::EncryptionControls, Confidence::Weak)
                .blocked_by(Blocker::Ec)
                .because(ReasonCode::ByElimination); // 23
        }
        let stale = |confidence, reason| {
            Attribution::new(Verdict::StaleConnection, confidence)
                .blocked_by(Blocker::Conntrack)
                .because(reason)
        };
        if midstream_tcp {
            if facts.closed() {
                return stale(Confidence::Strong, ReasonCode::AfterClose); // 24
            }
            // An untracked flow has no timeout that could have passed (spec 2.2).
            if facts.idle() == Idle::Yes && !self.timeless {
                return stale(Confidence::Strong, ReasonCode::IdleTimeout); // 25
            }
            return stale(Confidence::Weak, ReasonCode::OutOfState).or_else(&[Cause::ConfigMismatch]); // 26
        }
        let stateful = matches!(record.protocol, 6 | 17) && record.role() == Role::Unknown;
        if stateful && (facts.own_accept() || facts.mirror().is_some()) {
            return stale(Confidence::Weak, ReasonCode::OutOfState).or_else(&[Cause::ConfigMismatch]); // 26b
        }
        let local_is_own = record.local(direction).is_none_or(|own| rules.interface.owns(&own));
        if !local_is_own && rules.interface.source_dest_check == Some(true) {
            return Attribution::undetermined(&[Cause::SourceDestCheck]); // 27
        }
        let inconsistent = facts.evidence.inconsistent;
        if record.role() == Role::Initiator || inconsistent {
            let confidence = if inconsistent { Confidence::Strong } else { Confidence::Weak };
            return Attribution::new(Verdict::ConfigMismatch, confidence)
                .because(ReasonCode::ConfigNotInForce); // 28
        }
        Attribution::undetermined(&[Cause::ConfigMismatch, Cause::StaleConnection])
            .because(ReasonCode::ConfigNotInForce)
        // 29
    }
}

fn has_rules(rules: &InterfaceRules, direction: Direction) -> bool {
    rules.groups.as_ref().is_some_and(|groups| groups.has_rules(direction))
}
