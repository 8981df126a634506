//! The decision with configuration: rows of spec 8.7, in their order; row numbers beside the lines.

mod rows;
mod supposed;

use super::consistency::is_unreadable;
use super::evidence::{Evidence, Facts, Idle};
use super::record::{Action, Record, RejectReason};
use super::state::{Inputs, State, effective};
use super::tracking::{Tracking, may_be_untracked, timeouts};
use super::verdict::{Attribution, Blocker, Cause, Confidence, ReasonCode, Verdict};
use super::{versions, without};
use crate::net::TCP;
use crate::network::{NACL_UNPLACED, NaclEntry};
use crate::rules::{AclVerdict, Decision, Direction, Engine, InterfaceRules, Packet, ScopeReason};
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

/// Neither layer can be asked, and no other record is known to be of the same flow.
fn without_protocol(record: &Record<'_>) -> Attribution {
    let found = Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]);
    match record.direction {
        Some(direction) => Attribution { direction: Some(direction), ..found },
        None => found.because(ReasonCode::DirectionUnknown),
    }
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

/// Rows 1 to 4, and what neither the rules nor other records can be asked about.
fn by_the_record_alone(record: &Record<'_>) -> Option<Attribution> {
    if record.action != Action::Reject || !record.log_status_ok {
        let mut attribution = Attribution::new(Verdict::NotApplicable, Confidence::None);
        attribution.first_blocker = None;
        return Some(attribution); // 1
    }
    let RejectReason::Named(reason) = record.reject_reason else {
        if record.is_efa {
            // Nothing is documented of what rejects it.
            return Some(Attribution { direction: record.direction, ..Attribution::undetermined(&[]) });
        }
        return record.unshown.protocol.then(|| without_protocol(record));
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
    /// Whether the flow began untracked, so that no state of it can have ended.
    tracking: Tracking,
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
        tracking: Tracking,
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
        let facts = Facts::new(record, evidence, timeouts(rules, Some(remote)));
        let state = effective(&Inputs {
            new_flow,
            role: record.role(),
            direction,
            protocol: record.protocol,
            facts: &facts,
            acl_passes: acl.decision.passes(),
            tracking,
        });
        let timeless = record.protocol == TCP
            && facts.idle() == Idle::Yes
            && may_be_untracked(record, direction, remote, rules, evidence);
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
            tracking,
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
        let mut found = found.unwrap_or_else(|| self.rows(record, direction, rules));
        self.or_public_access(&mut found, record, direction, rules);
        if self.tracking == Tracking::Either && found.verdict == Verdict::StaleConnection {
            found.confidence = found.confidence.min(Confidence::Weak);
            found.candidates = found.candidates.with(Cause::SecurityGroup);
        }
        self.told(found, direction, rules)
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
                State::Unknown | State::AllowOrEnded => {
                    causes.extend([Cause::SecurityGroup, Cause::StaleConnection]);
                }
                State::Allow | State::NotApplicable => {}
            }
        } else if self.acl == Decision::Deny {
            causes.push(Cause::Nacl);
        }
        let found = Attribution::new(Verdict::ConfigMismatch, Confidence::Strong);
        Some(found.because(ReasonCode::ConfigNotInForce).or_else(&causes))
    }
}
