//! Rows 8 to 29 of spec 8.7: what the two layers make of a record, and what explains it where neither denies.

use super::Layers;
use crate::attribute::evidence::Idle;
use crate::attribute::record::{Record, RejectReason, Role};
use crate::attribute::state::State;
use crate::attribute::tracking::Tracking;
use crate::attribute::verdict::{Attribution, Blocker, Cause, Confidence, Few, ReasonCode, Verdict};
use crate::net::{TCP, has_ports, is_icmp};
use crate::rules::{ALLOW_EGRESS, Decision, Direction, InterfaceRules, ScopeReason};

impl Layers<'_> {
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

    /// Whether the groups would surely drop it as well as the network ACL. Rows S8, S12 and S14 deny any flow that was seen before, which is
    /// too much where a state may live on: after one side's FIN the other may go on, and what leaves passes the groups before
    /// the network ACL drops it (1.1), so that packets without an ACCEPT keep a state from idling out.
    fn surely_denied(&self, role: Role, is_ingress: bool) -> bool {
        if self.state == State::Deny {
            return is_ingress || role != Role::Unknown || !self.facts.only_older();
        }
        let by_time = !self.facts.closed() || self.facts.surely_idle() == Idle::Yes;
        self.facts.evidence.closed_surely || (is_ingress && by_time)
    }

    /// Whether packets the other way may have made a state and left no ACCEPT: what leaves passes the groups before the network ACL
    /// drops it (1.1). Whether groups keep a state of such packets is documented nowhere.
    fn may_have_hidden_state(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
    ) -> bool {
        if direction.is_egress() || record.role() == Role::Initiator {
            return false;
        }
        let mirror = record.mirror_packet(direction, self.remote);
        let own = record.local(direction).filter(|own| rules.interface.owns(own));
        matches!(rules.group_verdict(&mirror).decision, Decision::Allow | Decision::Unknown)
            && !rules.acl_verdict(&mirror, own).decision.passes()
    }

    pub(super) fn rows(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
    ) -> Attribution {
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
            (Decision::Deny, State::Deny | State::Ended)
                if self.surely_denied(role, is_ingress)
                    && !self.may_have_hidden_state(record, direction, rules) =>
            {
                let mut found = Attribution::new(Verdict::NaclAndSecurityGroup, Confidence::Proven)
                    .because(self.acl_reason())
                    .because(self.group_reason(direction, rules)); // 9, 10
                let order = [Blocker::Nacl, Blocker::SecurityGroup];
                found.blocking_set =
                    if is_ingress { Few::of(&order) } else { Few::of(&[order[1], order[0]]) };
                found.first_blocker = found.blocking_set.first();
                found
            }
            (Decision::Deny, State::Unknown | State::AllowOrEnded | State::Ended | State::Deny) => {
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
                let sure = self.facts.closed() || self.facts.timed_out();
                let confidence = if sure { Confidence::Strong } else { Confidence::Weak };
                Attribution::new(Verdict::StaleConnection, confidence)
                    .blocked_by(Blocker::Conntrack)
                    .because(self.ended_reason()) // 15
            }
            // Whether 15 or 26 holds is open, and either way the packets belong to a connection that the rules do not let go on.
            (_, State::AllowOrEnded) if acl_passes => {
                Attribution::new(Verdict::StaleConnection, Confidence::Weak)
                    .blocked_by(Blocker::Conntrack)
                    .because(ReasonCode::OutOfState)
                    .or_else(&[Cause::SecurityGroup, Cause::ConfigMismatch])
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
            (Decision::Unknown, State::Ended | State::AllowOrEnded) => {
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
        if self.tracking == Tracking::Untracked && self.facts.evidence.last_accept.is_some() {
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
        let is_icmp = is_icmp(record.protocol);
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
        let unshown = is_icmp || (has_ports(record.protocol) && !record.dst_port_known());
        if complete && unshown { found } else { found.because(ReasonCode::ConfigMissing) }
    }

    /// Whether Block Public Access, as configured, drops packets of this direction on their own.
    fn public_access_blocks(&self, direction: Direction, rules: &InterfaceRules) -> bool {
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
        blocks && rules.is_on_internet(&self.remote)
    }

    /// Beside a filter that denies Block Public Access may drop the packets as well, before it or after it (spec 9.2), unless the
    /// log names reasons and none here.
    pub(super) fn or_public_access(
        &self,
        found: &mut Attribution,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
    ) {
        let by_filter =
            matches!(found.verdict, Verdict::Nacl | Verdict::SecurityGroup | Verdict::NaclAndSecurityGroup);
        let unnamed = record.reject_reason == RejectReason::Unnamed;
        if by_filter && !unnamed && self.public_access_blocks(direction, rules) {
            found.candidates = found.candidates.with(Cause::VpcBpa);
        }
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
        if let Some(confidence) = elimination
            && self.public_access_blocks(direction, rules)
            && !facts.closed()
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
            let found = Attribution::new(Verdict::EncryptionControls, Confidence::Weak)
                .blocked_by(Blocker::Ec)
                .because(ReasonCode::ByElimination); // 23
            // The row names no other; what else fits (8.1) is what would be said if the VPC enforced nothing.
            let otherwise = self.otherwise_passed(record, direction, rules, midstream_tcp);
            let verdict = match otherwise.verdict {
                Verdict::StaleConnection => Some(Cause::StaleConnection),
                Verdict::ConfigMismatch => Some(Cause::ConfigMismatch),
                _ => None,
            };
            let others: Vec<Cause> = verdict.into_iter().chain(otherwise.candidates.iter()).collect();
            return found.or_else(&others);
        }
        self.otherwise_passed(record, direction, rules, midstream_tcp)
    }

    /// Rows 24 to 29: nor does a control of the VPC.
    fn otherwise_passed(
        &self,
        record: &Record<'_>,
        direction: Direction,
        rules: &InterfaceRules,
        midstream_tcp: bool,
    ) -> Attribution {
        let facts = &self.facts;
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
        let stateful = has_ports(record.protocol) && record.role() == Role::Unknown;
        if stateful && (facts.own_accept() || facts.mirror().is_some()) {
            return stale(Confidence::Weak, ReasonCode::OutOfState).or_else(&[Cause::ConfigMismatch]); // 26b
        }
        // The row looks no further back than T, and 8.5 says to do that for what has timed out: the longer the gap the likelier it is.
        if stateful && facts.only_older() {
            return stale(Confidence::Weak, ReasonCode::IdleTimeout).or_else(&[Cause::ConfigMismatch]);
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
