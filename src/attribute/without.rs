//! The decision without configuration: rows of spec 8.8, in their order; row numbers beside the lines.

use super::decide::AROUND;
use super::evidence::{Evidence, Facts, Idle, Seen, Timeouts};
use super::record::{Record, Role};
use super::verdict::{Attribution, Blocker, Cause, Confidence, ReasonCode, Verdict};
use crate::net::{TCP, UDP};
use crate::rules::Direction;

/// One capture window of the slowest logging: flows without packets for longer are taken for new ones.
const LEAST_REACH: i64 = 600;

/// Attributes a rejected record by the logs alone; `reject-reason` has been looked at before (L1).
pub(super) fn decide(record: &Record<'_>, evidence: &Evidence) -> Attribution {
    let Some(direction) = record.direction else {
        return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
            .because(ReasonCode::DirectionUnknown); // L2
    };
    // A regional NAT gateway writes records without an interface: whether a list applies to it is not documented.
    if record.interface_id.is_none() {
        let mut found = Attribution::undetermined(&[Cause::Nacl]).because(ReasonCode::ConfigMissing);
        found.direction = Some(direction);
        return found;
    }
    let facts = Facts::new(record, evidence, Timeouts::UNKNOWN);
    let mut found = rows(record, direction, &facts);
    found.direction = Some(direction);
    found
}

fn nacl(confidence: Confidence) -> Attribution {
    Attribution::new(Verdict::Nacl, confidence).blocked_by(Blocker::Nacl)
}

fn groups(confidence: Confidence) -> Attribution {
    Attribution::new(Verdict::SecurityGroup, confidence).blocked_by(Blocker::SecurityGroup)
}

fn stale(confidence: Confidence, facts: &Facts<'_>) -> Attribution {
    let reason = if facts.closed() {
        ReasonCode::AfterClose
    } else if facts.idle() == Idle::Yes {
        ReasonCode::IdleTimeout
    } else {
        ReasonCode::OutOfState
    };
    Attribution::new(Verdict::StaleConnection, confidence).blocked_by(Blocker::Conntrack).because(reason)
}

fn rows(record: &Record<'_>, direction: Direction, facts: &Facts<'_>) -> Attribution {
    let evidence = facts.evidence;
    let role = record.role();
    let is_udp = record.protocol == UDP;
    let is_tcp = record.protocol == TCP;
    let is_icmp = matches!(record.protocol, 1 | 58);
    let is_midstream = is_tcp && role == Role::Midstream;
    let mirror = facts.mirror();
    let intra = evidence.intra_subnet
        || (record.subnet_id.is_some() && record.next_hop_subnet_id == record.subnet_id);
    // Inside a subnet the rows that name the network ACL contradict themselves.
    let unless_intra = |found: Attribution| {
        if !intra {
            return found;
        }
        Attribution::undetermined(&[Cause::StaleConnection, Cause::SecurityGroup, Cause::ScopeException])
            .because(ReasonCode::IntraSubnet)
    };
    if record.interface_type == Some("nat_gateway") {
        return nacl(Confidence::Strong).because(ReasonCode::SgNotApplicable).or_else(&[Cause::VpcBpa]); // L3
    }
    let whole = record.key_is_whole();
    let sibling = whole && evidence.sibling.is_some();
    if sibling && (role == Role::Initiator || (is_udp && mirror.is_none())) {
        return groups(Confidence::Strong).because(ReasonCode::SiblingAccept); // L4
    }
    if let Some(same) = evidence.same_key.filter(|_| whole) {
        if role == Role::Initiator && same.responses_only {
            return groups(Confidence::Strong).because(ReasonCode::SiblingAccept); // L5
        }
        if role == Role::Initiator && same.initiator {
            return Attribution::new(Verdict::ConfigMismatch, Confidence::Weak)
                .because(ReasonCode::ConfigChangedInWindow); // L6
        }
    }
    if facts.own_accept() && is_midstream {
        // The row takes rules for static. Where the other direction goes on passing and nothing was closed, an entry of the
        // list that was edited meanwhile shows alike: a network ACL has no memory, and so cuts what is under way.
        let around = |seen: &Seen| {
            seen.start <= record.end.saturating_add(AROUND) && seen.end >= record.start.saturating_sub(AROUND)
        };
        let goes_on = [facts.any_mirror(), evidence.mirror_after].iter().flatten().any(around);
        // Nor does a gap tell that the unknown timeout may or may not have ended the state in (8.8, last paragraph): an edit of
        // the list fits as well, which is documented to cut what is under way (5.1), and so two explanations do (8.1).
        let either = goes_on || facts.idle() == Idle::Possible;
        if either && !facts.closed() && !intra {
            return stale(Confidence::Weak, facts).or_else(&[Cause::Nacl]);
        }
        return stale(Confidence::Strong, facts); // L7a
    }
    if facts.own_accept() && role == Role::Unknown && (is_tcp || is_udp) {
        return stale(Confidence::Weak, facts).or_else(&[Cause::SecurityGroup]); // L7b
    }
    if whole && evidence.same_key.is_some() && is_midstream {
        return stale(Confidence::Strong, facts); // L7
    }
    if sibling || (whole && evidence.same_key.is_some()) {
        return Attribution::undetermined(&[Cause::SecurityGroup, Cause::StaleConnection])
            .because(ReasonCode::SiblingAccept); // L8
    }
    if role == Role::Responder && facts.own_accept() && !intra {
        // L9 and L10 name the network ACL, which let this very packet pass before, and it has no memory (as L7b).
        return stale(Confidence::Weak, facts).or_else(&[Cause::SecurityGroup, Cause::Nacl]);
    }
    if role == Role::Responder {
        // The guest may answer a SYN of another interface, or send a SYN-ACK unasked: where the logs would show the SYN and
        // do not, the row's STRONG would be a guess.
        if direction.is_egress() && mirror.is_none() && evidence.complete {
            let found = nacl(Confidence::Weak).because(ReasonCode::ResponseOfAcceptedFlow);
            return unless_intra(found.or_else(&[Cause::SecurityGroup]));
        }
        if direction.is_egress() || mirror.is_some() {
            return unless_intra(nacl(Confidence::Strong).because(ReasonCode::ResponseOfAcceptedFlow)); // L9, L10
        }
        if evidence.complete && !intra {
            return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
                .because(ReasonCode::ConfigMissing); // L11
        }
    }
    if is_midstream && (facts.closed() || facts.idle() == Idle::Yes) {
        let found = stale(Confidence::Weak, facts); // L12
        return if intra { found.or_else(&[Cause::SecurityGroup]) } else { found.or_else(&[Cause::Nacl]) };
    }
    if is_midstream && mirror.is_some() {
        let found = nacl(Confidence::Weak).because(ReasonCode::ResponseOfAcceptedFlow);
        return unless_intra(found.or_else(&[Cause::StaleConnection])); // L13
    }
    let earlier = facts.answer().or_else(|| facts.mirror_first());
    if is_tcp && role == Role::Unknown && mirror.is_some() {
        let found = |confidence| {
            nacl(confidence).because(ReasonCode::ResponseOfAcceptedFlow).or_else(&[Cause::StaleConnection])
        };
        if facts.answer().is_some_and(|mirror| facts.gap(&mirror) <= 60) {
            // That nothing came before it can only be said where the logs reach back.
            let first = evidence.covered_back >= LEAST_REACH;
            return unless_intra(found(if first { Confidence::Strong } else { Confidence::Weak })); // L14
        }
        if earlier.is_some() && !facts.equal_ports() {
            return unless_intra(found(Confidence::Weak)); // L14b
        }
    }
    if is_udp && let Some(mirror) = facts.any_mirror() {
        let first = earlier.is_some() && !facts.equal_ports();
        if first && !facts.beyond(&mirror, Timeouts::UNKNOWN.udp_stream) {
            let found = nacl(Confidence::Weak).because(ReasonCode::ResponseOfAcceptedFlow);
            return unless_intra(found.or_else(&[Cause::SecurityGroup])); // L15
        }
        if !intra {
            return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup])
                .because(ReasonCode::ConfigMissing); // L17
        }
    }
    if is_icmp && mirror.is_some() {
        let found = nacl(Confidence::Weak).because(ReasonCode::ResponseOfAcceptedFlow);
        return unless_intra(found.or_else(&[Cause::SecurityGroup])); // L18
    }
    if intra {
        let found = |confidence| {
            groups(confidence).because(ReasonCode::IntraSubnet).or_else(&[Cause::ScopeException])
        };
        return match (is_midstream, is_tcp && role == Role::Unknown) {
            (true, _) => stale(Confidence::Weak, facts).or_else(&[Cause::SecurityGroup]),
            // The row knows TCP NONE and the rest. Without the field it may be either, and late packets are ordinary (L12, L20).
            (false, true) => found(Confidence::Weak).or_else(&[Cause::StaleConnection]),
            (false, false) => found(Confidence::Strong),
        }; // L19
    }
    if is_midstream {
        return stale(Confidence::Weak, facts).or_else(&[Cause::Nacl, Cause::SecurityGroup]); // L20
    }
    // L21 leans on the network ACL without naming it: equal groups look the same. L22 is the core ambiguity.
    Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]).because(ReasonCode::ConfigMissing)
}
