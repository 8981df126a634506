//! The decision without configuration: rows of spec 8.8, in their order; row numbers beside the lines.

use super::decide::AROUND;
use super::evidence::{Evidence, Facts, Idle, Seen, Timeouts};
use super::record::{Record, Role};
use super::verdict::{Attribution, Blocker, Cause, Confidence, ReasonCode, Verdict};
use crate::net::{TCP, UDP, is_icmp};
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
    let mut found = Rows::new(record, direction, facts).first();
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

/// What the rows ask of a record.
struct Rows<'r> {
    record: &'r Record<'r>,
    direction: Direction,
    facts: Facts<'r>,
    role: Role,
    mirror: Option<Seen>,
    /// It shows all that a network ACL looks at.
    whole: bool,
    /// Both ends are in the interface's subnet, where no list applies.
    intra: bool,
}

impl<'r> Rows<'r> {
    fn new(record: &'r Record<'r>, direction: Direction, facts: Facts<'r>) -> Rows<'r> {
        let intra = facts.evidence.intra_subnet
            || (record.subnet_id.is_some() && record.next_hop_subnet_id == record.subnet_id);
        let (role, mirror, whole) = (record.role(), facts.mirror(), record.key_is_whole());
        Rows { record, direction, facts, role, mirror, whole, intra }
    }

    /// The first row that fits.
    fn first(&self) -> Attribution {
        self.at_nat_gateway()
            .or_else(|| self.new_flow())
            .or_else(|| self.accepted_before())
            .or_else(|| self.accepted_alike())
            .or_else(|| self.response())
            .or_else(|| self.midstream_of_known())
            .or_else(|| self.tcp_without_flags())
            .or_else(|| self.udp())
            .or_else(|| self.icmp())
            .unwrap_or_else(|| self.by_itself())
    }

    fn is(&self, protocol: u8) -> bool {
        self.record.protocol == protocol
    }

    fn is_midstream(&self) -> bool {
        self.is(TCP) && self.role == Role::Midstream
    }

    fn is_sibling(&self) -> bool {
        self.whole && self.facts.evidence.sibling.is_some()
    }

    /// Inside a subnet the rows that name the network ACL contradict themselves.
    fn unless_intra(&self, found: Attribution) -> Attribution {
        if !self.intra {
            return found;
        }
        Attribution::undetermined(&[Cause::StaleConnection, Cause::SecurityGroup, Cause::ScopeException])
            .because(ReasonCode::IntraSubnet)
    }

    /// A response to what was accepted, which the groups let pass.
    fn answer(&self, confidence: Confidence, or_else: &[Cause]) -> Attribution {
        let found = nacl(confidence).because(ReasonCode::ResponseOfAcceptedFlow);
        self.unless_intra(found.or_else(or_else))
    }

    fn at_nat_gateway(&self) -> Option<Attribution> {
        let is_gateway = self.record.interface_type == Some("nat_gateway");
        let found = nacl(Confidence::Strong).because(ReasonCode::SgNotApplicable).or_else(&[Cause::VpcBpa]);
        is_gateway.then_some(found) // L3
    }

    /// What begins a flow, where the same key was accepted elsewhere.
    fn new_flow(&self) -> Option<Attribution> {
        let begins = self.role == Role::Initiator;
        if self.is_sibling() && (begins || (self.is(UDP) && self.mirror.is_none())) {
            return Some(groups(Confidence::Strong).because(ReasonCode::SiblingAccept)); // L4
        }
        let same = self.facts.evidence.same_key.filter(|_| self.whole && begins)?;
        if same.responses_only {
            return Some(groups(Confidence::Strong).because(ReasonCode::SiblingAccept)); // L5
        }
        let found = Attribution::new(Verdict::ConfigMismatch, Confidence::Weak);
        same.initiator.then_some(found.because(ReasonCode::ConfigChangedInWindow)) // L6
    }

    /// The record's own flow was accepted before.
    fn accepted_before(&self) -> Option<Attribution> {
        let facts = &self.facts;
        if !facts.own_accept() {
            return None;
        }
        if self.role == Role::Unknown && (self.is(TCP) || self.is(UDP)) {
            return Some(stale(Confidence::Weak, facts).or_else(&[Cause::SecurityGroup])); // L7b
        }
        if !self.is_midstream() {
            return None;
        }
        // The row takes rules for static. Where the other direction goes on passing and nothing was closed, an entry of the
        // list that was edited meanwhile shows alike: a network ACL has no memory, and so cuts what is under way.
        let (from, to) = (self.record.start.saturating_sub(AROUND), self.record.end.saturating_add(AROUND));
        let around = |seen: &Seen| seen.start <= to && seen.end >= from;
        let goes_on = [facts.any_mirror(), facts.evidence.mirror_after].iter().flatten().any(around);
        // Nor does a gap tell that the unknown timeout may or may not have ended the state in (8.8, last paragraph): an edit of
        // the list fits as well, which is documented to cut what is under way (5.1), and so two explanations do (8.1).
        let either = goes_on || facts.idle() == Idle::Possible;
        if either && !facts.closed() && !self.intra {
            return Some(stale(Confidence::Weak, facts).or_else(&[Cause::Nacl]));
        }
        Some(stale(Confidence::Strong, facts)) // L7a
    }

    /// Others with the record's key were accepted.
    fn accepted_alike(&self) -> Option<Attribution> {
        let same_key = self.whole && self.facts.evidence.same_key.is_some();
        if same_key && self.is_midstream() {
            return Some(stale(Confidence::Strong, &self.facts)); // L7
        }
        let found = Attribution::undetermined(&[Cause::SecurityGroup, Cause::StaleConnection]);
        (same_key || self.is_sibling()).then_some(found.because(ReasonCode::SiblingAccept)) // L8
    }

    /// SYN-ACKs.
    fn response(&self) -> Option<Attribution> {
        if self.role != Role::Responder {
            return None;
        }
        if self.facts.own_accept() && !self.intra {
            // L9 and L10 name the network ACL, which let this very packet pass before, and it has no memory (as L7b).
            let found = stale(Confidence::Weak, &self.facts);
            return Some(found.or_else(&[Cause::SecurityGroup, Cause::Nacl]));
        }
        let complete = self.facts.evidence.complete;
        if self.direction.is_egress() && self.mirror.is_none() && complete {
            // The guest may answer a SYN of another interface, or send a SYN-ACK unasked: where the logs would show the SYN and
            // do not, the row's STRONG would be a guess.
            return Some(self.answer(Confidence::Weak, &[Cause::SecurityGroup]));
        }
        if self.direction.is_egress() || self.mirror.is_some() {
            return Some(self.answer(Confidence::Strong, &[])); // L9, L10
        }
        let found = Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]);
        (complete && !self.intra).then_some(found.because(ReasonCode::ConfigMissing)) // L11
    }

    /// Packets of a connection of which the logs show the end, or the other direction.
    fn midstream_of_known(&self) -> Option<Attribution> {
        if !self.is_midstream() {
            return None;
        }
        if self.facts.closed() || self.facts.idle() == Idle::Yes {
            let or_else = if self.intra { Cause::SecurityGroup } else { Cause::Nacl };
            return Some(stale(Confidence::Weak, &self.facts).or_else(&[or_else])); // L12
        }
        self.mirror.map(|_| self.answer(Confidence::Weak, &[Cause::StaleConnection])) // L13
    }

    /// What came before the record, and begins the flow as far as that can be told.
    fn earlier(&self) -> Option<Seen> {
        let seen = self.facts.answer().or_else(|| self.facts.mirror_first());
        seen.filter(|_| !self.facts.equal_ports())
    }

    fn tcp_without_flags(&self) -> Option<Attribution> {
        self.mirror.filter(|_| self.is(TCP) && self.role == Role::Unknown)?;
        if self.facts.answer().is_some_and(|mirror| self.facts.gap(&mirror) <= 60) {
            // That nothing came before it can only be said where the logs reach back.
            let first = self.facts.evidence.covered_back >= LEAST_REACH;
            let confidence = if first { Confidence::Strong } else { Confidence::Weak };
            return Some(self.answer(confidence, &[Cause::StaleConnection])); // L14
        }
        self.earlier().map(|_| self.answer(Confidence::Weak, &[Cause::StaleConnection])) // L14b
    }

    fn udp(&self) -> Option<Attribution> {
        let mirror = self.facts.any_mirror().filter(|_| self.is(UDP))?;
        if self.earlier().is_some() && !self.facts.beyond(&mirror, Timeouts::UNKNOWN.udp_stream) {
            return Some(self.answer(Confidence::Weak, &[Cause::SecurityGroup])); // L15
        }
        let found = Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]);
        (!self.intra).then_some(found.because(ReasonCode::ConfigMissing)) // L17
    }

    fn icmp(&self) -> Option<Attribution> {
        let found = self.mirror.filter(|_| is_icmp(self.record.protocol));
        found.map(|_| self.answer(Confidence::Weak, &[Cause::SecurityGroup])) // L18
    }

    /// No other record says anything of it.
    fn by_itself(&self) -> Attribution {
        if self.intra && !self.is_midstream() {
            // The row knows TCP NONE and the rest. Without the field it may be either, and late packets are ordinary (L12, L20).
            let unclear = self.is(TCP) && self.role == Role::Unknown;
            let confidence = if unclear { Confidence::Weak } else { Confidence::Strong };
            let found = groups(confidence).because(ReasonCode::IntraSubnet).or_else(&[Cause::ScopeException]);
            return if unclear { found.or_else(&[Cause::StaleConnection]) } else { found }; // L19
        }
        if self.is_midstream() {
            let found = stale(Confidence::Weak, &self.facts);
            let list = [Cause::Nacl, Cause::SecurityGroup];
            return found.or_else(if self.intra { &[Cause::SecurityGroup] } else { &list }); // L19, L20
        }
        // L21 is not applied: that two interfaces reject alike speaks for their list, and as much for equal groups. L22 is the core
        // ambiguity.
        Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]).because(ReasonCode::ConfigMissing)
    }
}
