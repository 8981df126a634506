//! The decision with configuration: rows of spec 8.7, in their order; row numbers beside the lines.

use super::consistency::is_unreadable;
use super::direction::by_configuration;
use super::evidence::{Evidence, Facts, Idle};
use super::record::{Action, Record, RejectReason, Role};
use super::state::{Inputs, State, effective};
use super::tracking::{timeouts, tracked_at_start};
use super::verdict::{Attribution, Blocker, Cause, Confidence, Few, ReasonCode, Verdict};
use super::without;
use crate::net::{TCP, is_internet};
use crate::network::{NaclEntry, Origin};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, ScopeReason};
use std::net::IpAddr;
use std::sync::Arc;

/// Slack around a record within which a change of configuration may show in it.
pub(super) const AROUND: i64 = 60;

/// Attributes one record. Without an engine, or where the engine's network lacks the interface, the evidence alone decides.
pub fn decide(record: &Record<'_>, engine: Option<&mut Engine<'_>>, evidence: &Evidence) -> Attribution {
    if let Some(attribution) = by_the_record_alone(record) {
        return attribution;
    }
    let Some((engine, id)) = engine.zip(record.interface_id) else {
        return without::decide(record, evidence);
    };
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    // Almost every record lies where nothing changes.
    if let Some(view) = engine.network().only_view(from, to) {
        return match engine.interface(id, view) {
            Some(rules) => with_rules(record, engine, std::slice::from_ref(&rules), evidence),
            None => without::decide(record, evidence),
        };
    }
    let views = engine.views(from, to);
    let found: Vec<Arc<InterfaceRules>> =
        views.into_iter().filter_map(|view| engine.interface(id, view)).collect();
    with_rules(record, engine, &found, evidence)
}

/// Rows 1 to 4.
fn by_the_record_alone(record: &Record<'_>) -> Option<Attribution> {
    if record.action != Action::Reject || !record.log_status_ok {
        let mut attribution = Attribution::new(Verdict::NotApplicable, Confidence::None);
        attribution.first_blocker = None;
        return Some(attribution); // 1
    }
    let RejectReason::Named(reason) = record.reject_reason else { return None };
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

fn with_rules(
    record: &Record<'_>,
    engine: &mut Engine<'_>,
    found: &[Arc<InterfaceRules>],
    evidence: &Evidence,
) -> Attribution {
    let Some(first) = found.first() else { return without::decide(record, evidence) };
    let inferred = || by_configuration(&first.interface, record.src?, record.dst?);
    let Some(direction) = record.direction.or_else(inferred) else {
        return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
            .because(ReasonCode::DirectionUnknown); // 5
    };
    let tracked = tracked_at_start(record, direction, engine, first, evidence);
    let mut judged: Option<(Attribution, bool)> = None;
    let mut unequal = false;
    let mut denying = 0;
    for rules in found {
        let Some(layers) = Layers::new(record, direction, engine, rules, evidence, tracked) else {
            return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
                .because(ReasonCode::DirectionUnknown);
        };
        let attribution = layers.attribute(record, direction, rules, evidence);
        let denies = layers.acl == Decision::Deny || layers.state == State::Deny;
        denying += usize::from(denies);
        judged = Some(match judged {
            None => (attribution, denies),
            Some((known, known_denies)) => {
                let same = known.verdict == attribution.verdict && known.nacl_id() == attribution.nacl_id();
                unequal |= !same;
                // Of unequal versions the one that denies is the one to name.
                if !same && denies && !known_denies { (attribution, true) } else { (known, known_denies) }
            }
        });
    }
    let Some((mut attribution, _)) = judged else { return without::decide(record, evidence) };
    if unequal {
        let confidence = if denying == 1 { Confidence::Strong } else { Confidence::Weak };
        attribution.verdict = Verdict::ConfigMismatch; // 7
        attribution.first_blocker = Some(Blocker::Unknown);
        attribution.confidence = confidence;
        attribution.reasons.push_front(ReasonCode::ConfigChangedInWindow);
    }
    cap(&mut attribution, record, first, found, evidence);
    attribution
}

/// Downgrades of spec 8.1. Around a change each version counts: those between which two objects changed one after the other
/// are not among them, so that equal verdicts of the others prove nothing.
fn cap(
    attribution: &mut Attribution,
    record: &Record<'_>,
    first: &InterfaceRules,
    found: &[Arc<InterfaceRules>],
    evidence: &Evidence,
) {
    let window = record.start.saturating_sub(AROUND)..=record.end.saturating_add(AROUND);
    let only_one = found.len() == 1;
    let in_force = found.iter().all(|rules| {
        let captured_then = rules.provenance.captured_at.is_some_and(|at| window.contains(&at));
        rules.provenance.distance == 0 || (captured_then && only_one)
    });
    let intended_only =
        found.iter().any(|rules| matches!(rules.provenance.origin, Origin::Undated | Origin::Terraform));
    if !in_force || intended_only {
        attribution.confidence = attribution.confidence.min(Confidence::Strong);
    }
    // A mismatch is what a failed check shows; it need not be doubted for that.
    if evidence.inconsistent && attribution.verdict != Verdict::ConfigMismatch {
        attribution.confidence = attribution.confidence.min(Confidence::Weak);
    }
    let provenance = first.provenance;
    attribution.captured_at = provenance.captured_at;
    // The rules are those of a stretch of time; how far away their capture is differs from record to record.
    let since = record.start.saturating_sub(first.view.at);
    let away = match provenance.captured_at {
        _ if provenance.distance == 0 => 0,
        Some(captured) if captured > first.view.at => provenance.distance.saturating_sub(since),
        _ => provenance.distance.saturating_add(since),
    };
    attribution.capture_distance = Some(away.max(0));
}

/// The two layers' verdicts under one version of the configuration.
struct Layers<'r> {
    acl: Decision,
    entry: Option<&'r NaclEntry>,
    list: Direction,
    scope: ScopeReason,
    new_flow: Decision,
    state: State,
    facts: Facts<'r>,
    remote: IpAddr,
    /// An open decision is open because something in the configuration could not be read.
    unreadable: bool,
}

impl<'r> Layers<'r> {
    fn new(
        record: &Record<'_>,
        direction: Direction,
        engine: &Engine<'_>,
        rules: &'r InterfaceRules,
        evidence: &'r Evidence,
        tracked: Option<bool>,
    ) -> Option<Self> {
        let (remote, leg) = record.remotes(direction);
        let remote = remote?;
        let own = record.local(direction).filter(|own| rules.interface.owns(own));
        let packet = record.packet(direction, remote);
        let mut acl = rules.acl_verdict(&packet, own);
        let mut new_flow = rules.group_verdict(&packet).decision;
        // Two addresses stand for the remote: equal verdicts stand, unequal ones are open (spec 8.2).
        if let Some(leg) = leg {
            let packet = record.packet(direction, leg);
            let other = rules.acl_verdict(&packet, own);
            if other.decision != acl.decision {
                acl.decision = Decision::Unknown;
                acl.entry = None;
            }
            if rules.group_verdict(&packet).decision != new_flow {
                new_flow = Decision::Unknown;
            }
        }
        // Another interface, or another flow of this one, shows that the list lets this key through (spec 8.5).
        let key_accepted =
            record.key_is_whole() && (evidence.same_key.is_some() || evidence.sibling.is_some());
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
        let open = acl.decision == Decision::Unknown || state == State::Unknown;
        let unreadable = open && is_unreadable(&packet, &acl, new_flow, engine, rules);
        Some(Layers {
            acl: acl.decision,
            entry: acl.entry,
            list: acl.direction,
            scope: acl.scope.reason,
            new_flow,
            state,
            facts,
            remote,
            unreadable,
        })
    }

    fn attribute(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &Arc<InterfaceRules>,
        evidence: &Evidence,
    ) -> Attribution {
        let mut attribution =
            self.contradiction(record, evidence).unwrap_or_else(|| self.rows(record, direction, rules));
        attribution.direction = Some(direction);
        if self.acl != Decision::NotApplicable {
            attribution.acl_applies = true;
            if matches!(self.acl, Decision::Deny | Decision::Unknown) {
                attribution.nacl_rule_number = self.entry.map(|entry| entry.number);
                attribution.nacl_direction = self.entry.map(|_| self.list);
            }
        }
        attribution.rules = Some(rules.clone());
        attribution
    }

    /// The modifier below the table: an ACCEPT shows that the configuration is not the one in force.
    fn contradiction(&self, record: &Record<'_>, evidence: &Evidence) -> Option<Attribution> {
        let same_key = evidence.same_key;
        let acl_passed = record.key_is_whole() && (same_key.is_some() || evidence.sibling.is_some());
        let group_passed = same_key.is_some_and(|same| same.initiator);
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

    fn rows(&self, record: &Record<'_>, direction: Direction, rules: &InterfaceRules) -> Attribution {
        let role = record.role();
        let reason_unnamed = record.reject_reason == RejectReason::Unnamed;
        let is_ingress = direction == Direction::Ingress;
        let acl_passes = self.acl.passes();
        let midstream_tcp = record.protocol == TCP && role == Role::Midstream;
        if self.unreadable && self.acl != Decision::Deny && self.state != State::Deny {
            // Something that may decide could not be read: named as missing, never guessed.
            return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
                .because(ReasonCode::ConfigMissing);
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
            (Decision::Deny, State::Deny | State::Ended) => {
                let mut found = Attribution::new(Verdict::NaclAndSecurityGroup, Confidence::Proven)
                    .because(self.acl_reason())
                    .because(self.group_reason(direction, rules)); // 9, 10
                let order = [Blocker::Nacl, Blocker::SecurityGroup];
                found.blocking_set =
                    if is_ingress { Few::of(&order) } else { Few::of(&[order[1], order[0]]) };
                found.first_blocker = found.blocking_set.first();
                found
            }
            (Decision::Deny, State::Unknown) => {
                let found = Attribution::new(Verdict::Nacl, Confidence::Proven)
                    .blocked_by(Blocker::Nacl)
                    .because(self.acl_reason())
                    .or_else(&[Cause::SecurityGroup]); // 11
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
                if midstream_tcp && self.facts.mirror().is_none() {
                    found = found.or_else(&[Cause::StaleConnection]);
                    // S9 names the groups, the worked mapping of 8.7 a stale connection, when the other direction is open:
                    // the flow may have begun before the logs. Neither is sure then.
                    let mirror = record.mirror_packet(direction, self.remote);
                    if rules.group_verdict(&mirror).decision == Decision::Allow {
                        found.confidence = Confidence::Weak;
                        found = found.because(ReasonCode::SgNoState);
                    }
                }
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
                let sure = role != Role::Midstream && reason_unnamed;
                let mut found =
                    Attribution::new(Verdict::Nacl, if sure { Confidence::Strong } else { Confidence::Weak })
                        .blocked_by(Blocker::Nacl)
                        .because(ReasonCode::ByElimination); // 17
                if role == Role::Midstream {
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
                found
            }
            (Decision::Unknown, State::Ended) => {
                Attribution::undetermined(&[Cause::Nacl, Cause::StaleConnection]).because(self.ended_reason()) // 20
            }
            (Decision::Unknown, State::Unknown) => self.both_open(record), // 21
            _ => self.neither_denies(record, direction, rules, midstream_tcp),
        }
    }

    fn both_open(&self, record: &Record<'_>) -> Attribution {
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
        found.because(ReasonCode::ConfigMissing)
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
        let no_field = record.reject_reason == RejectReason::NotInFormat;
        let blocks = match rules.bpa_mode.as_deref() {
            Some("block-bidirectional") => true,
            Some("block-ingress") => direction == Direction::Ingress,
            _ => false,
        };
        if no_field && blocks && is_internet(&self.remote) && !facts.closed() {
            return Attribution::new(Verdict::VpcBpa, Confidence::Strong)
                .blocked_by(Blocker::Bpa)
                .because(ReasonCode::ByElimination); // 22
        }
        let enforced =
            rules.vpc.as_ref().is_some_and(|vpc| vpc.encryption_mode.as_deref() == Some("enforce"));
        if no_field && enforced && rules.interface.is_endpoint() {
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
            if facts.idle() == Idle::Yes {
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
