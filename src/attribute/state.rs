//! S of the semantics spec (8.6): what the groups do with the packets, connection tracking included.

use super::evidence::{Facts, Idle};
use super::record::Role;
use super::tracking::Tracking;
use crate::net::{TCP, UDP};
use crate::rules::{Decision, Direction};

/// The groups' verdict with tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// X: no groups.
    NotApplicable,
    /// A: by a rule, or by state.
    Allow,
    /// D: no rule, and no state can have existed.
    Deny,
    /// D_STATE: a state existed and had ended.
    Ended,
    /// A or D_STATE: a state existed, and whether its timeout has passed is open.
    AllowOrEnded,
    /// U.
    Unknown,
}

impl State {
    /// Whether the groups surely pass it.
    pub fn passes(self) -> bool {
        matches!(self, State::Allow | State::NotApplicable)
    }

    fn of(new_flow: Decision) -> Self {
        match new_flow {
            Decision::Allow => State::Allow,
            Decision::Deny => State::Deny,
            Decision::Unknown => State::Unknown,
            Decision::NotApplicable => State::NotApplicable,
        }
    }
}

/// What the groups' verdict on the record follows from.
pub struct Inputs<'a> {
    /// F: the verdict on a new flow.
    pub new_flow: Decision,
    /// Role of the sender.
    pub role: Role,
    /// Direction.
    pub direction: Direction,
    /// Protocol.
    pub protocol: u8,
    /// Log evidence.
    pub facts: &'a Facts<'a>,
    /// Whether the network ACL surely passes the record.
    pub acl_passes: bool,
    /// Whether the flow was tracked when it began.
    pub tracking: Tracking,
}

/// The table of 8.6, in its order; row numbers beside the lines.
pub fn effective(inputs: &Inputs<'_>) -> State {
    let fresh = State::of(inputs.new_flow);
    if fresh.passes() {
        return fresh; // S1, S2
    }
    let facts = inputs.facts;
    let mirror = facts.mirror();
    let complete = facts.evidence.complete;
    match inputs.role {
        Role::Initiator => fresh, // S3
        Role::Responder => match (mirror, inputs.direction) {
            (Some(_), _) => State::Allow,                    // S4
            (None, Direction::Ingress) if complete => fresh, // S5
            (None, _) => State::Unknown,                     // S6, S15
        },
        Role::Midstream => {
            // What was never tracked has no state that a close could end: each packet is judged by the rules.
            if inputs.tracking == Tracking::Untracked && facts.evidence.last_accept.is_some() {
                return fresh; // S7a
            }
            // That what the network ACL passes was dropped shows that the state is gone; what it drops shows nothing of it.
            let idle = if inputs.acl_passes { facts.idle() } else { facts.surely_idle() };
            if facts.closed() || idle == Idle::Yes {
                return State::Ended; // S8
            }
            let own = facts.own_accept();
            // An ACCEPT of the very 5-tuple shows a flow as a mirror does, where the answers were not seen.
            if mirror.is_some() || own {
                let near = mirror.is_some_and(|mirror| facts.gap(&mirror) <= 30);
                let existed = mirror.is_some() && (own || near) && inputs.tracking != Tracking::Either;
                return match (existed, idle) {
                    // Where the timeout is not known and the gap may exceed it, either S7b or S8 holds.
                    (true, Idle::Possible) => State::AllowOrEnded,
                    (true, _) => State::Allow,    // S7b
                    (false, _) => State::Unknown, // S7c
                };
            }
            if complete { fresh } else { State::Unknown } // S9, S10, S16
        }
        Role::Unknown => unknown_role(inputs, fresh),
    }
}

fn unknown_role(inputs: &Inputs<'_>, fresh: State) -> State {
    let facts = inputs.facts;
    // As S7a, and a new flow has no state either.
    if inputs.tracking == Tracking::Untracked && facts.evidence.last_accept.is_some() {
        return fresh;
    }
    // A state of it can only be told of what is known to have had one.
    let stateful = inputs.tracking != Tracking::Either;
    let earlier = facts.answer().or_else(|| facts.mirror_first());
    // A SYN or a query that is itself first cannot be told from an answer when both ends use one port.
    let sure_order = !facts.equal_ports();
    if inputs.protocol == UDP
        && sure_order
        && let Some(mirror) = earlier
    {
        let timeout = facts.udp_timeout();
        if facts.within(&mirror, timeout) && stateful {
            return State::Allow; // S11
        }
        // Outbound packets meet the groups before the network ACL: answers that it dropped refreshed the state all the same
        // and left no ACCEPT, so that the longer timeout may apply.
        let unseen_answers = inputs.direction.is_egress() && !inputs.acl_passes;
        let timeout = if unseen_answers { facts.udp_stream_timeout() } else { timeout };
        if facts.beyond(&mirror, timeout) {
            return State::Ended; // S12
        }
        return State::Unknown;
    }
    if inputs.protocol == TCP
        && let Some(mirror) = facts.answer()
        && facts.mirror().is_some()
        && facts.gap(&mirror) <= 30
        && stateful
    {
        return State::Allow; // S11t
    }
    if facts.mirror().is_some() || facts.own_accept() {
        return State::Unknown; // S13
    }
    if facts.evidence.complete { fresh } else { State::Unknown } // S14, S15, S16
}
