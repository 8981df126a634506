//! The changes that let the packets of a rejected record pass, and what is said beside them (spec 8.9): all that has to change,
//! so that the next record is not the same again, and nothing where no rule helps.

use super::{acl_packet, acl_sentences, group_sentences};
use crate::attribute::captured::{earlier_allowed, later_allows, time_text};
use crate::attribute::evidence::{Evidence, Facts, Timeouts};
use crate::attribute::fix::{
    AddedEntries, Fix, exclusion_fix, exclusion_of, forwarding_fix, group_fix, is_full, list_fix,
};
use crate::attribute::peer::{carried, group_of_peer};
use crate::attribute::record::{Record, Role};
use crate::attribute::tracking::{Tracking, tracked_when_it_began};
use crate::attribute::verdict::{Attribution, Blocker, Cause, ReasonCode, Verdict};
use crate::network::Network;
use crate::rules::{Decision, Direction, Engine, InterfaceRules, ListVerdict, Packet, entry_text};
use std::sync::Arc;

/// A rejected record with what was found out about it.
pub(super) struct Rejected<'a> {
    pub(super) attribution: &'a Attribution,
    pub(super) record: &'a Record<'a>,
    pub(super) evidence: &'a Evidence,
    pub(super) rules: &'a Arc<InterfaceRules>,
    /// As the filters of its direction saw it.
    pub(super) packet: Packet,
}

/// What lets it pass.
#[derive(Default)]
pub(super) struct Remedy {
    pub(super) sentences: Vec<String>,
    pub(super) fixes: Vec<Fix>,
}

/// What the packets are to their connection, as far as flags and logs tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// They may begin it: rules decide.
    Beginning,
    /// They answer what the interface let pass, or are SYN-ACKs: groups pass them by state, network ACLs by an entry.
    Answer,
    /// TCP without a handshake, of no connection that the groups let pass by rules alone: without a state they are dropped
    /// whatever rules there are (row 26 of spec 8.7).
    Midstream,
}

impl Rejected<'_> {
    pub(super) fn remedy(&self, engine: &mut Engine<'_>) -> Remedy {
        let Rejected { attribution, record, evidence, rules, packet } = self;
        let mut found = Remedy::default();
        let mut added = AddedEntries::default();
        let part = self.part(engine);
        let by_list = attribution.blocking_set.contains(Blocker::Nacl);
        let by_groups = attribution.blocking_set.contains(Blocker::SecurityGroup);
        found.sentences.extend(self.answered(part));
        // What nobody asked for needs no rule, and the groups would drop it whatever the list does.
        let unasked = by_groups
            && evidence.mirror.is_none()
            && match record.role() {
                Role::Responder => true,
                _ => part == Part::Midstream && evidence.last_accept.is_none(),
            };
        if by_list {
            found.sentences.extend(acl_sentences(attribution, rules, packet));
            found.sentences.extend(earlier_allowed(engine, rules, packet, false));
            match later_allows(engine, rules, packet, false) {
                Some(text) => found.sentences.push(text),
                None if unasked => {}
                None => found.fixes.extend(self.list_fixes(engine.network(), part, &mut added)),
            }
            if let (false, Some(text)) = (found.fixes.is_empty(), self.at_quota()) {
                found.sentences.push(text);
            }
        }
        let is_second = part == Part::Beginning && self.groups_deny_too();
        if by_groups || is_second {
            found.sentences.extend(group_sentences(engine, rules, packet));
            found.sentences.extend(earlier_allowed(engine, rules, packet, true));
            if is_second {
                found
                    .sentences
                    .push("so that the groups drop it as well, if it begins a connection".to_owned());
            }
            match part {
                Part::Answer => found.sentences.extend(self.no_rule_for_an_answer()),
                Part::Midstream => found.sentences.push(
                    "no SYN is among the packets, so that they are of a connection that began before: one that was closed or \
                     lost its state needs no rule, and a new one shows whether its own packets pass"
                        .to_owned(),
                ),
                Part::Beginning => {
                    if record.role() == Role::Midstream {
                        let text = "the rules of its first packet left the connection untracked, so that each packet needs a rule";
                        found.sentences.push(text.to_owned());
                    }
                    match later_allows(engine, rules, packet, true) {
                        Some(text) => found.sentences.push(text),
                        None => self.let_by_groups(engine, &mut found),
                    }
                }
            }
        }
        if part == Part::Beginning && (by_list || by_groups) {
            self.let_answers_pass(engine, &mut found, &mut added);
        }
        let may_be_public_access = part == Part::Beginning && attribution.candidates.contains(Cause::VpcBpa);
        if attribution.verdict == Verdict::VpcBpa || may_be_public_access {
            self.let_by_public_access(engine, &mut found);
        }
        if attribution.candidates.contains(Cause::SourceDestCheck) {
            self.take_for_others(&mut found);
        }
        // Nor is what was accepted before.
        let is_wanted =
            (part == Part::Answer && self.seen_first().is_some()) || evidence.last_accept.is_some();
        if !found.fixes.is_empty()
            && packet.direction == Direction::Ingress
            && !is_wanted
            && rules.is_on_internet(&packet.remote)
        {
            // Scans of the internet are the most common REJECT (spec 8.9).
            found.sentences.push("fix it only if this traffic is wanted: scans need no rule".to_owned());
        }
        found
    }

    fn part(&self, engine: &mut Engine<'_>) -> Part {
        let Rejected { attribution, record, evidence, packet, .. } = self;
        if attribution.reasons.contains(ReasonCode::ResponseOfAcceptedFlow) || is_answer(record, evidence) {
            return Part::Answer;
        }
        // What began untracked goes by the rules packet by packet (S7a of spec 8.6).
        let is_midstream = record.role() == Role::Midstream;
        let direction = packet.direction;
        let by_state =
            is_midstream && tracked_when_it_began(record, direction, engine, evidence) != Tracking::Untracked;
        if by_state { Part::Midstream } else { Part::Beginning }
    }

    /// When what it answers was accepted.
    fn seen_first(&self) -> Option<i64> {
        let seen = self.evidence.mirror.or(self.evidence.mirror_after);
        seen.map(|seen| seen.start)
    }

    fn answered(&self, part: Part) -> Option<String> {
        let at = self.seen_first().filter(|_| part == Part::Answer).and_then(time_text)?;
        Some(match self.packet.direction {
            Direction::Ingress => format!("it answers what the interface sent itself, accepted at {at}"),
            Direction::Egress => format!("it answers what came in, accepted at {at}"),
        })
    }

    /// Whether the groups have no rule either for what the network ACL denies, where they are a candidate only because the
    /// packets may belong to a connection that has a state (rows 11 and 12): of one that is seen nowhere, more likely not.
    fn groups_deny_too(&self) -> bool {
        let Rejected { attribution, record, evidence, rules, packet } = self;
        let one_remote = record.remotes(packet.direction).1.is_none();
        attribution.verdict == Verdict::Nacl
            && attribution.candidates.contains(Cause::SecurityGroup)
            && evidence.last_accept.is_none()
            && one_remote
            && rules.group_verdict(packet).decision == Decision::Deny
    }

    /// Spec 8.9: no rule for the response is needed, and none for what nobody asked for.
    fn no_rule_for_an_answer(&self) -> Vec<String> {
        let Rejected { record, evidence, rules, packet, .. } = self;
        let (text, went) = match packet.direction {
            Direction::Egress => {
                ("a response needs no outbound rule: the one that lets its request in does", "came in")
            }
            Direction::Ingress => {
                ("a response needs no inbound rule, and one that nobody asked for none either", "left")
            }
        };
        let mut sentences = vec![text.to_owned()];
        let unseen = evidence.mirror.is_none() && evidence.mirror_after.is_none();
        if record.role() == Role::Responder && unseen {
            // Groups keep state for each interface (exception of L9 and point 6 of spec 8.8).
            let forwards = rules.interface.source_dest_check == Some(false);
            let how = match forwards {
                true => {
                    "; behind a transit gateway an appliance needs appliance mode on its VPC's attachment"
                }
                false => "",
            };
            sentences.push(format!(
                "its SYN is not in this interface's logs: if it {went} through another, the path is asymmetric, and each interface \
                 keeps state for itself alone, so that both ways have to go through one{how}"
            ));
        }
        sentences
    }

    /// A rule of the groups: for the group of what comes and goes with its addresses, else for the address, and which group it
    /// carries.
    fn let_by_groups(&self, engine: &mut Engine<'_>, found: &mut Remedy) {
        let Rejected { rules, packet, .. } = self;
        let network = engine.network();
        let holder = rules.owners.holder(&packet.remote).map(|interface| interface.id.clone());
        let holder = holder.and_then(|id| engine.interface(&id, rules.view));
        let group = holder.as_ref().and_then(|peer| group_of_peer(peer, rules));
        let carried = holder.as_ref().and_then(|peer| carried(peer, rules)).filter(|_| group.is_none());
        if let Some(carried) = carried {
            let remote = packet.remote;
            found
                .sentences
                .push(format!("a rule for {carried}, which {remote} carries, would outlast its address"));
        }
        found.fixes.extend(group_fix(network, rules, packet, group.as_deref()));
    }

    /// The entries that let it pass: to a transit gateway in the subnet both lists have to (row c of spec 1.2).
    fn list_fixes(&self, network: &Network, part: Part, added: &mut AddedEntries) -> Vec<Fix> {
        let Rejected { attribution, rules, packet, .. } = self;
        let is_response = part == Part::Answer;
        let Some(compiled) = attribution.acl() else { return Vec::new() };
        let lists = rules.acl_lists(packet, None).into_iter().flatten();
        let denying: Vec<_> = lists.filter(|list| list.sure && list.decision == Decision::Deny).collect();
        if denying.len() > 1 {
            let fix = |list: &ListVerdict<'_>| {
                list_fix(network, compiled, &list.packet, list.entry?.number, is_response, added)
            };
            return denying.iter().filter_map(fix).collect();
        }
        let packet = acl_packet(attribution, rules, packet);
        let denied_by = attribution.nacl_rule_number.or(attribution.nacl_rules.first());
        denied_by
            .and_then(|by| list_fix(network, compiled, &packet, by, is_response, added))
            .into_iter()
            .collect()
    }

    /// Block Public Access: its mode, what is excluded of it already, and what would be.
    fn let_by_public_access(&self, engine: &Engine<'_>, found: &mut Remedy) {
        let Rejected { record, rules, packet, .. } = self;
        let (subnet, vpc) = (rules.interface.subnet_id.as_deref(), rules.interface.vpc_id.as_deref());
        let mode = rules.bpa_mode.as_deref();
        found.sentences.extend(mode.map(|mode| format!("the mode of VPC Block Public Access is {mode}")));
        if let Some(known) = exclusion_of(engine.network(), rules.view, subnet, vpc) {
            let of = known.resource_id.as_deref().unwrap_or("-");
            let mode = known.mode.as_deref().unwrap_or("a mode that is not known");
            found.sentences.push(format!("its exclusion {} of {of} has {mode}", known.id));
        }
        let begins_inside = packet.direction == Direction::Egress && record.role() != Role::Responder;
        // What goes out under its own public address takes an internet gateway, for which letting out may not suffice.
        let is_direct =
            !rules.interface.is_type("nat_gateway") && !rules.interface.public_addresses.is_empty();
        let begins_inside = begins_inside && !is_direct;
        let fix =
            subnet.map(|subnet| exclusion_fix(engine.network(), rules.view, subnet, mode, begins_inside));
        found.fixes.extend(fix);
    }

    /// Row 27: neither layer drops it, and it is for somebody else.
    fn take_for_others(&self, found: &mut Remedy) {
        let Rejected { record, rules, packet, .. } = self;
        let id = &rules.interface.id;
        if let Some(own) = record.local(packet.direction) {
            found.sentences.push(format!(
                "{own} is no address of {id}, whose source/destination check is on and drops what is neither from nor for it"
            ));
        }
        found.fixes.push(forwarding_fix(id));
    }

    fn at_quota(&self) -> Option<String> {
        let compiled = self.attribution.acl()?;
        let direction = self.attribution.nacl_direction.unwrap_or(self.packet.direction);
        let full = is_full(compiled.list(direction, self.packet.family()));
        full.then(|| format!("the {} list is at its quota of 20 entries", direction.rule_word()))
    }

    /// A network ACL keeps no state: what is let in has to be let out again, whatever let it in (spec 8.9: then check the opposite
    /// list for the remote and the source port).
    fn let_answers_pass(&self, engine: &mut Engine<'_>, found: &mut Remedy, added: &mut AddedEntries) {
        let Rejected { record, rules, packet, .. } = self;
        let answer = record.mirror_packet(packet.direction, packet.remote);
        let Some(compiled) = &rules.acl else { return };
        let network = engine.network();
        let word = answer.direction.rule_word();
        if answer.port.is_none() {
            if !found.fixes.is_empty() && rules.acl_lists(&answer, None).iter().flatten().next().is_some() {
                found.sentences.push(format!("the {word} list has to let the answers pass as well"));
            }
            return;
        }
        let own = record.local(packet.direction).filter(|own| rules.interface.owns(own));
        for list in rules.acl_lists(&answer, own).into_iter().flatten() {
            let (Decision::Deny, true, Some(entry)) = (list.decision, list.sure, list.entry) else {
                if !list.decision.passes() {
                    found
                        .sentences
                        .push(format!("whether the {word} list lets the answers pass is not known"));
                }
                continue;
            };
            let entry_text = entry_text(&compiled.acl, entry);
            found.sentences.push(format!("its answers would be dropped too, by {entry_text}"));
            match later_allows(engine, rules, &answer, false) {
                Some(text) => found.sentences.push(format!("of the answers: {text}")),
                None => {
                    found.fixes.extend(list_fix(network, compiled, &list.packet, entry.number, true, added))
                }
            }
        }
    }
}

/// Whether the record answers an accepted flow: the port that it goes to is an ephemeral one, and the next answer's another.
pub(super) fn is_answer(record: &Record<'_>, evidence: &Evidence) -> bool {
    record.role() == Role::Responder || Facts::new(record, evidence, Timeouts::UNKNOWN).answer().is_some()
}
