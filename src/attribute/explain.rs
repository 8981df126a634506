//! What to print of an attribution, and the smallest fix (spec 8.9). Made on demand.

mod mismatch;
mod remedy;
mod would_decide;

pub use mismatch::mismatch;
pub use would_decide::would_decide;

use mismatch::lets_pass;
use remedy::{Rejected, is_answer};

use super::captured::{capture_sentence, change_sentences};
use super::coverage::Gap;
use super::evidence::{Evidence, Facts, Timeouts};
use super::fix::Fix;
use super::record::{Record, RejectReason, Role};
use super::tracking::{Tracking, may_be_untracked, timeouts, tracked_when_it_began};
use super::verdict::{Attribution, Blocker, Cause, Confidence, ReasonCode, Verdict};
use crate::net::{TCP, UDP, protocol_name, service_name, tcp_flags_text};
use crate::network::{NaclEntry, RuleAction, SecurityGroup, SecurityGroupRule, View, number_text};
use crate::rules::{
    Direction, Engine, InterfaceRules, Mismatch, Packet, ScopeReason, Ternary, allows_other_family,
    entry_text, match_entry, rule_text,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Texts about one attributed record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// One or more sentences: what dropped the packets and how one can tell.
    pub text: String,
    /// The smallest change that lets the packets pass; none where no rule is at fault.
    pub fixes: Vec<Fix>,
    /// What would decide, for verdicts that are open.
    pub would_decide: Option<String>,
}

/// Explains an attribution. Pass the engine that it was made with.
pub fn explain(
    attribution: &Attribution,
    record: &Record<'_>,
    engine: Option<&mut Engine<'_>>,
    evidence: &Evidence,
) -> Explanation {
    let mut explanation = Explanation::default();
    let Some(direction) = attribution.direction else {
        explanation.text = plain(attribution, record).to_string();
        explanation.would_decide = would_decide(attribution, record).map(str::to_owned);
        if let (Verdict::Undetermined, Some(datum)) = (attribution.verdict, &explanation.would_decide) {
            explanation.text.push_str(&format!("; would decide: {datum}"));
        }
        return explanation;
    };
    let by_log = attribution.reason() == Some(ReasonCode::LogReasonField);
    let mut rules = engine.and_then(|engine| {
        let rules = attribution.rules.clone().or_else(|| {
            // What the log names alone needs no rules for the verdict, only for what to do.
            let view = View { at: record.start, after: false };
            engine.interface(record.interface_id.filter(|_| by_log)?, view)
        })?;
        Some((engine, rules))
    });
    let interface = record.interface_id.unwrap_or("an unnamed interface");
    let interface = match &rules {
        Some((engine, rules)) => engine.network().interface_text(interface, rules.view),
        None => interface.to_owned(),
    };
    let subject = subject(record, direction, &interface, is_answer(record, evidence));
    let mut sentences = vec![format!("{subject}: {}", plain(attribution, record))];
    if let (Verdict::OtherReason, RejectReason::Named(reason)) = (attribution.verdict, record.reject_reason) {
        sentences.push(format!("reject-reason {reason}"));
    }
    if let (Some((engine, rules)), Some(remote)) = (&mut rules, record.remotes(direction).0) {
        let packet = record.packet(direction, remote);
        let found = Rejected { attribution, record, evidence, rules, packet }.remedy(engine);
        sentences.extend(found.sentences);
        explanation.fixes.extend(found.fixes);
        sentences.extend(rule_sentences(attribution, record, rules, &packet));
        if attribution.reasons.contains(ReasonCode::ConfigChangedInWindow) {
            sentences.extend(change_sentences(record, engine.network(), rules, &remote));
        }
    }
    if attribution.verdict == Verdict::ConfigMismatch
        && attribution.reason() == Some(ReasonCode::ConfigNotInForce)
    {
        // Which ACCEPT contradicts it (spec 8.9): a neighbour's only where the network ACL may deny.
        if let Some(sibling) = evidence.sibling.as_ref().filter(|_| attribution.nacl_direction.is_some()) {
            sentences.push(format!("{sibling}, under the same network ACL, accepted the same traffic then"));
        } else if evidence.same_key.is_some() {
            sentences.push("the interface accepted the same traffic from another port then".to_owned());
        }
    }
    if attribution.verdict == Verdict::StaleConnection {
        let began = rules.as_mut().map_or(Tracking::NotKnown, |(engine, _)| {
            tracked_when_it_began(record, direction, engine, evidence)
        });
        let rules = rules.as_ref().map(|(_, rules)| rules.as_ref());
        sentences.extend(stale_sentence(attribution, record, direction, rules, evidence, began));
    }
    if attribution.verdict == Verdict::Nacl
        && attribution.reason() == Some(ReasonCode::ResponseOfAcceptedFlow)
        && attribution.rules.is_none()
    {
        let list = direction.rule_word();
        sentences.push(match record.dst_port_known() {
            true => format!(
                "look at the {list} list of its subnet, which has to allow port {}, of the ephemeral ports 1024-65535",
                record.dst_port
            ),
            false => format!("look at the {list} list of its subnet"),
        });
        if record.role() == Role::Responder && evidence.mirror.is_none() {
            sentences.push("or its SYN came in through another interface".to_owned());
        }
    }
    sentences.extend(candidate_sentences(attribution));
    sentences.extend(contradicted(attribution, evidence).map(str::to_owned));
    if let Some(gap) = evidence.gap.filter(|_| attribution.confidence <= Confidence::Weak) {
        let why = match gap {
            Gap::Skipped => "records of its interface were skipped then (SKIPDATA)",
            Gap::Unread => "something of its flow log could not be read then (quarantine)",
            Gap::Unshown => "ACCEPTs of its interface do not show then which flow they are of",
        };
        sentences.push(format!("{why}, so that what the logs do not show may have been"));
    }
    sentences.extend(capture_sentence(attribution, record));
    explanation.would_decide = would_decide(attribution, record).map(str::to_owned);
    if let (Verdict::Undetermined, Some(datum)) = (attribution.verdict, &explanation.would_decide) {
        sentences.push(format!("would decide: {datum}"));
    }
    explanation.text = sentences.join("; ");
    explanation
}

/// What else fits. Beside a layer that denies for certain some of it is no other explanation of the record, but what may drop it
/// as well, and would be left when that layer lets it pass.
fn candidate_sentences(attribution: &Attribution) -> Vec<String> {
    let denies = matches!(
        attribution.reason(),
        Some(
            ReasonCode::NaclExplicitDeny
                | ReasonCode::NaclDefaultDeny
                | ReasonCode::SgNoMatchingRule
                | ReasonCode::SgHasNoRules
        )
    );
    let is_beside = |cause: &Cause| match (attribution.verdict, cause) {
        (Verdict::Nacl, _) => denies,
        (Verdict::SecurityGroup, Cause::Nacl) => denies,
        (Verdict::SecurityGroup | Verdict::NaclAndSecurityGroup, Cause::VpcBpa) => true,
        _ => false,
    };
    let (beside, instead): (Vec<Cause>, Vec<Cause>) = attribution.candidates.iter().partition(is_beside);
    let names = |causes: &[Cause]| causes.iter().map(|cause| cause.as_str()).collect::<Vec<_>>().join(", ");
    let mut sentences = Vec::new();
    if !beside.is_empty() {
        sentences.push(format!("may drop it as well: {}", names(&beside)));
    }
    match (attribution.verdict, instead.as_slice()) {
        (_, []) => {}
        (Verdict::Undetermined, [one, other]) => sentences.push(format!("either {one} or {other}")),
        (Verdict::Undetermined, causes) => sentences.push(format!("possible: {}", names(causes))),
        (_, causes) => sentences.push(format!("also possible: {}", names(causes))),
    }
    sentences
}

/// Why a verdict is weak although its row of the table is not: ACCEPTs contradict the configuration (spec 8.10).
fn contradicted(attribution: &Attribution, evidence: &Evidence) -> Option<&'static str> {
    if attribution.confidence != Confidence::Weak || attribution.rules.is_none() {
        return None;
    }
    if evidence.inconsistent && attribution.verdict != Verdict::ConfigMismatch {
        return Some(
            "weak, since ACCEPTs of its interface, or under its network ACL, are against the configuration given",
        );
    }
    let by_groups = attribution.blocking_set.contains(Blocker::SecurityGroup);
    (evidence.groups_refuted && by_groups).then_some(
        "weak, since an interface with the same groups accepted what no rule given for them allows",
    )
}

/// The service is at the port that was asked: an answer comes from it, and goes to a client's port, whatever is called by that.
fn subject(record: &Record<'_>, direction: Direction, interface: &str, answers: bool) -> String {
    let protocol = match protocol_name(record.protocol) {
        _ if record.unshown.protocol => "traffic".to_owned(),
        Some(name) => name.to_owned(),
        None => format!("protocol {}", record.protocol),
    };
    let side = |addr: Option<IpAddr>, port: Option<u16>| {
        let addr = addr.map_or_else(|| "-".to_string(), |addr| addr.to_string());
        port.map_or_else(|| addr.clone(), |port| format!("{addr} port {port}"))
    };
    let flags = match record.tcp_flags {
        Some(flags) if record.protocol == TCP && flags != 0 => {
            format!(" flags {}", tcp_flags_text(flags.into()))
        }
        _ => String::new(),
    };
    let service = |port: u16, is_asked: bool| {
        let name = service_name(port, record.protocol).filter(|_| is_asked);
        name.map(|name| format!(" ({name})")).unwrap_or_default()
    };
    format!(
        "{direction} {protocol}{flags} {}{} to {}{} at {interface}",
        side(record.packet_src.or(record.src), record.src_port_known().then_some(record.src_port)),
        service(record.src_port, answers),
        side(record.packet_dst.or(record.dst), record.dst_port_known().then_some(record.dst_port)),
        service(record.dst_port, !answers)
    )
}

fn plain(attribution: &Attribution, record: &Record<'_>) -> &'static str {
    let reason = attribution.reason();
    match (attribution.verdict, reason) {
        (Verdict::Nacl, Some(ReasonCode::ResponseOfAcceptedFlow))
            if attribution.candidates.contains(Cause::SecurityGroup) =>
        {
            "a response of an accepted flow was dropped, which groups let pass by their state"
        }
        (Verdict::Nacl, Some(ReasonCode::ResponseOfAcceptedFlow)) => {
            "a response of an accepted flow was dropped, and only a network ACL drops responses"
        }
        (Verdict::Nacl, Some(ReasonCode::ByElimination)) => {
            "the groups let it pass, so the network ACL dropped it"
        }
        (Verdict::Nacl, _) => "the network ACL dropped it",
        (Verdict::SecurityGroup, Some(ReasonCode::ByElimination))
            if attribution.rules.is_some() && !attribution.acl_applies =>
        {
            "no network ACL applies between its ends, so the security groups dropped it"
        }
        (Verdict::SecurityGroup, Some(ReasonCode::ByElimination)) => {
            "the network ACL lets it pass, so the security groups dropped it"
        }
        (Verdict::SecurityGroup, Some(ReasonCode::SiblingAccept)) => {
            "the network ACL let the same traffic pass, so no rule of the groups allows it"
        }
        (Verdict::SecurityGroup, _) => "no rule of the security groups allows it",
        (Verdict::NaclAndSecurityGroup, _) => "both the network ACL and the security groups drop it",
        (Verdict::VpcBpa, _) => "VPC Block Public Access dropped it",
        (Verdict::EncryptionControls, Some(ReasonCode::ByElimination)) => {
            "neither the network ACL nor the groups drop it, and its VPC enforces encryption, so that encryption controls may have dropped it"
        }
        (Verdict::EncryptionControls, _) => "VPC encryption controls dropped it",
        (Verdict::StaleConnection, Some(ReasonCode::AfterClose)) => "the connection had been closed",
        (Verdict::StaleConnection, Some(ReasonCode::IdleTimeout)) => {
            "the connection's tracking state had timed out"
        }
        (Verdict::StaleConnection, _) => "the packets belong to no connection that is still tracked",
        (Verdict::ConfigMismatch, Some(ReasonCode::ConfigChangedInWindow)) if attribution.rules.is_none() => {
            "the interface accepted the same traffic as a new connection then, so that its rules changed around the record"
        }
        (Verdict::ConfigMismatch, Some(ReasonCode::ConfigChangedInWindow)) => {
            "the configuration changed around the record and its versions disagree"
        }
        (Verdict::ConfigMismatch, _) if attribution.confidence == Confidence::Weak => {
            "the configuration given lets it pass, so that it may not have been the one in force"
        }
        (Verdict::ConfigMismatch, _) => "the configuration given was not the one in force",
        (Verdict::OtherReason, _) => "the log names another reason",
        (Verdict::Undetermined, Some(ReasonCode::DirectionUnknown)) => {
            "which way the packets went is not known"
        }
        (Verdict::Undetermined, _) if record.unshown.protocol => "the record does not show its protocol",
        (Verdict::Undetermined, _) if record.is_efa => "EFA traffic is not filtered as IP is",
        (Verdict::Undetermined, _) => "the evidence does not suffice",
        (Verdict::NotApplicable, _) if record.log_status_ok => "not rejected",
        (Verdict::NotApplicable, _) => "no flow was recorded",
    }
}

fn acl_packet(attribution: &Attribution, rules: &InterfaceRules, packet: &Packet) -> Packet {
    let scope = rules.scope(packet, None);
    let list = attribution.nacl_direction.unwrap_or(packet.direction);
    let address =
        scope.lists.into_iter().flatten().find(|used| used.direction == list).map(|used| used.address);
    Packet { direction: list, remote: address.unwrap_or(packet.remote), ..*packet }
}

fn acl_sentences(attribution: &Attribution, rules: &InterfaceRules, packet: &Packet) -> Vec<String> {
    let Some(compiled) = attribution.acl() else { return Vec::new() };
    let packet = acl_packet(attribution, rules, packet);
    let list = compiled.list(packet.direction, packet.family());
    let newest = attribution.nacl_rule_number.or(attribution.nacl_rules.first());
    let at = list.iter().position(|entry| Some(entry.number) == newest);
    let mut sentences = Vec::new();
    if let Some(entry) = at.and_then(|at| list.get(at)) {
        let kind = if compiled.acl.is_default { "the VPC's default list" } else { "a custom list" };
        sentences.push(format!("{} ({kind})", entry_text(&compiled.acl, entry)));
        let before = list.iter().take(at.unwrap_or(0));
        let before = before.filter(|one| one.action != Some(RuleAction::Allow));
        let perhaps = before.filter(|one| match_entry(one, &packet).0 == Ternary::Maybe);
        let perhaps: Vec<String> = perhaps.map(NaclEntry::number_text).collect();
        if !perhaps.is_empty() {
            sentences.push(format!("or rule {} before it, which may match", perhaps.join(", ")));
        }
        let numbers: Vec<String> = attribution.nacl_rules.iter().skip(1).map(number_text).collect();
        if !numbers.is_empty() {
            let text = format!("or rule {} of a version shortly before", numbers.join(", "));
            sentences.push(text);
        }
        let later = list.iter().skip(at.unwrap_or(0) + 1);
        let hidden = later
            .filter(|later| later.action == Some(RuleAction::Allow))
            .find(|later| match_entry(later, &packet).0 == Ternary::Yes);
        if let Some(hidden) = hidden {
            sentences.push(format!("rule {} would allow it but comes later", hidden.number));
        } else if entry.is_default()
            && let Some(other) = allows_other_family(compiled, &packet)
        {
            let (number, only) = (other.number, Mismatch::Family.beside(false, &packet));
            sentences.push(format!("rule {number} would allow it but is {only}"));
        }
    }
    sentences
}

fn group_sentences(engine: &Engine<'_>, rules: &InterfaceRules, packet: &Packet) -> Vec<String> {
    let Some(groups) = &rules.groups else { return Vec::new() };
    let ids = rules.interface.group_ids.join(", ");
    let check = engine.explain_groups(rules, packet);
    let open = !groups.missing.is_empty() || check.as_ref().is_some_and(|check| !check.perhaps.is_empty());
    let word = packet.direction.rule_word();
    let many = rules.interface.group_ids.len() > 1;
    let mut sentences = vec![match rules.groups_known {
        true if !open && !groups.has_rules(packet.direction) => {
            format!("{ids} {} no {word} rule at all", if many { "have" } else { "has" })
        }
        true if open => format!("no {word} rule of {ids} surely matches"),
        true => format!("no {word} rule of {ids} matches"),
        false => "which groups the interface carries is not in the configuration".to_owned(),
    }];
    if let Some(check) = check {
        let nearest = check.checks.iter().filter_map(|(group, check)| {
            let (group, rule) = named(&groups.groups, *group, check.index)?;
            let mismatch = check.mismatch?;
            let everyone = rule.remote.is_everyone();
            let close = mismatch.closeness(check.elsewhere, everyone, &rule.traffic, packet)?;
            Some((close, group, rule, mismatch.beside(check.elsewhere, packet)))
        });
        if let Some((_, group, rule, why)) = nearest.max_by_key(|(closeness, ..)| *closeness) {
            sentences.push(format!("nearest: {} ({why})", rule_text(group, rule)));
        }
        let uncertain: Vec<String> = check
            .perhaps
            .iter()
            .filter_map(|(group, rule)| named(&groups.groups, *group, *rule))
            .map(|(group, rule)| rule_text(group, rule))
            .take(3)
            .collect();
        if !uncertain.is_empty() {
            sentences.push(format!("not decidable: {}", uncertain.join(", ")));
        }
    }
    if !groups.missing.is_empty() {
        sentences.push(format!("not in the configuration: {}", groups.missing.join(", ")));
    }
    sentences
}

/// Why the rules give no better verdict, or what they say against it.
fn rule_sentences(
    attribution: &Attribution,
    record: &Record<'_>,
    rules: &InterfaceRules,
    packet: &Packet,
) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(service) = rules.unfiltered(&packet.remote) {
        sentences.push(format!("neither security groups nor network ACLs filter {service}"));
    }
    sentences.extend(rules.private_link_text(packet).map(str::to_owned));
    let lets = lets_pass(attribution, record, rules, packet);
    if !lets.is_empty() {
        sentences.push(format!("it is let pass by {}", lets.join(" and ")));
    }
    if let Some(acl) = attribution.acl().filter(|_| attribution.acl_supposed) {
        let subnet = rules.interface.subnet_id.as_deref().unwrap_or("the subnet");
        sentences.push(format!(
            "that the VPC's default list {} serves {subnet} is supposed: no capture held all lists, and none names the subnet",
            acl.acl.id
        ));
    }
    if attribution.candidates.contains(Cause::Nacl) {
        match rules.scope(packet, None).reason {
            _ if rules.acl.is_none() && !attribution.acl_supposed => {
                sentences.push("its subnet's network ACL is not in the configuration".to_owned());
            }
            ScopeReason::GatewayUnsure => sentences.push(
                "whether the network ACL applies hangs on the route table, which is not in the configuration"
                    .to_owned(),
            ),
            _ => {}
        }
    }
    sentences
}

fn named(
    groups: &[Arc<SecurityGroup>],
    group: usize,
    rule: usize,
) -> Option<(&SecurityGroup, &SecurityGroupRule)> {
    let group = groups.get(group)?;
    Some((group, group.rules.get(rule)?))
}

fn stale_sentence(
    attribution: &Attribution,
    record: &Record<'_>,
    direction: Direction,
    rules: Option<&InterfaceRules>,
    evidence: &Evidence,
    then: Tracking,
) -> Option<String> {
    let remote = record.remotes(direction).0;
    let timeouts = rules.map_or(Timeouts::UNKNOWN, |rules| timeouts(rules, remote));
    let facts = Facts::new(record, evidence, timeouts);
    let mut parts = Vec::new();
    if let Some(closed) = evidence.closed_at {
        parts.push(format!("FIN or RST seen {} s before", record.start.saturating_sub(closed).max(0)));
    }
    if let Some(gap) = facts.idle_gap().filter(|gap| *gap > 0) {
        parts.push(format!("last accepted packets {gap} s before"));
    }
    let timeout = match record.protocol {
        TCP if timeouts.tcp_least == timeouts.tcp_most => format!("{} s", timeouts.tcp_most),
        TCP => format!("{} to {} s", timeouts.tcp_least, timeouts.tcp_most),
        _ => format!("{} s", facts.window()),
    };
    let by_time = attribution.reason() == Some(ReasonCode::IdleTimeout);
    // A connection that was closed needs no timeout to end, and where nothing was seen before none tells anything.
    let may_be_idle = !facts.closed() && facts.idle_gap().is_some_and(|gap| gap > timeouts.tcp_least);
    if by_time || (record.protocol == TCP && may_be_idle) {
        parts.push(format!("the timeout is {timeout}"));
    }
    if let (Some(rules), Some(remote)) = (rules, record.remotes(direction).0)
        && rules.groups.is_some()
        && matches!(record.protocol, TCP | UDP)
    {
        let untracked = may_be_untracked(record, direction, remote, rules, evidence);
        let text = match (then, untracked) {
            (Tracking::Untracked, _) => "the rules of its first packet left it untracked",
            (Tracking::Either, _) => {
                "it began near a change of the rules, or from an end that is not known, and some of the rules left it untracked: such \
                 packets go by the groups' rules"
            }
            (_, true) => "the rules given leave it untracked",
            (Tracking::Tracked, false) => "it is tracked",
            (Tracking::NotKnown, false) => "by the rules given it is tracked",
        };
        parts.push(text.to_owned());
    }
    let advice = match (attribution.reason(), record.protocol) {
        (Some(ReasonCode::IdleTimeout), TCP) => {
            "no rule change helps; use keepalives below the timeout or raise TcpEstablishedTimeout"
        }
        (Some(ReasonCode::IdleTimeout), _) => "no rule change helps; send within the timeout or raise it",
        (Some(ReasonCode::AfterClose), _) => {
            "no rule change helps: what comes after the end of a connection is dropped, so look at who goes on sending"
        }
        _ => "no rule change helps",
    };
    parts.push(advice.to_owned());
    Some(parts.join(", "))
}
