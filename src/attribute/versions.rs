//! One record and every version of the configuration that may have been in force around it: what the versions say together
//! (row 7 of spec 8.7, downgrades of 8.1), and whether an ACCEPT was judged by the same rules all the time.

use super::decide::{AROUND, Asked, KeysHold, Layers};
use super::direction::by_configuration;
use super::evidence::Evidence;
use super::index::Zone;
use super::record::Record;
use super::state::State;
use super::tracking::tracked_at_start;
use super::verdict::{Attribution, Blocker, Cause, CauseSet, Confidence, ReasonCode, Verdict};
use super::without;
use crate::network::{Network, Origin};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, ScopeReason, Ternary};
use std::sync::Arc;

/// What one version makes of the record.
struct Judged {
    attribution: Attribution,
    /// A layer denies it for certain.
    denies: bool,
    /// It is open whether a layer denies it, or something else than the rules explains the reject well.
    may_explain: bool,
    /// The version may have been in force in the record's own interval, not only near it.
    in_force: bool,
}

/// Attributes a record by the versions of its interface's rules; each may have been in force.
pub(super) fn decide(
    record: &Record<'_>,
    engine: &mut Engine<'_>,
    found: &[Arc<InterfaceRules>],
    evidence: &Evidence,
) -> Attribution {
    let Some(first) = found.first() else { return without::decide(record, evidence) };
    let inferred = || by_configuration(&first.interface, record.src?, record.dst?);
    let unknown = || {
        Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]).because(ReasonCode::DirectionUnknown)
    };
    let Some(direction) = record.direction.or_else(inferred) else { return unknown() }; // 5
    let network = engine.network();
    if let [rules] = found {
        let Some(asked) = Asked::new(record, direction, rules) else { return unknown() };
        let passes = asked.groups == Decision::Allow;
        let tracking = tracked_at_start(record, direction, engine, passes, evidence);
        let keys = KeysHold { acl: true, groups: true };
        let layers = Layers::new(record, direction, engine, asked, evidence, tracking, keys);
        let mut attribution = layers.attribute(record, direction, rules, evidence);
        cap(&mut attribution, record, network, found, evidence);
        return attribution;
    }
    let asked = found.iter().map(|rules| Asked::new(record, direction, rules));
    let Some(asked) = asked.collect::<Option<Vec<Asked<'_>>>>() else { return unknown() };
    let passes = asked.iter().all(|asked| asked.groups == Decision::Allow);
    let tracking = tracked_at_start(record, direction, engine, passes, evidence);
    let keys = keys_hold(record, direction, found);
    let now = network.views(record.start, record.end).into_iter();
    let now: Vec<_> = now.map(|view| network.version_key(view)).collect();
    let mut judged: Vec<Judged> = Vec::with_capacity(found.len());
    for (rules, asked) in found.iter().zip(asked) {
        let layers = Layers::new(record, direction, engine, asked, evidence, tracking, keys);
        let attribution = layers.attribute(record, direction, rules, evidence);
        let open = layers.acl == Decision::Unknown
            || matches!(layers.state, State::Unknown | State::Ended | State::AllowOrEnded);
        judged.push(Judged {
            denies: layers.acl == Decision::Deny || layers.state == State::Deny,
            may_explain: open || explains_well(&attribution),
            in_force: now.contains(&network.version_key(rules.view)),
            attribution,
        });
    }
    let mut attribution = together(&judged);
    if !keys.acl && !keys.groups && attribution.verdict == Verdict::ConfigMismatch {
        // Both layers changed, and not at one moment: the old one of either may have been in force beside the new one of the other.
        attribution.confidence = attribution.confidence.min(Confidence::Weak);
    }
    if attribution.verdict == Verdict::StaleConnection {
        // Where the rules for it changed just now, that may be the cause: a network ACL cuts what is under way, and a group what
        // it does not track. Row 7 would have it a mismatch of (A, A) and (A, D_STATE), which both come to the same.
        let changed = [(keys.acl, Cause::Nacl), (keys.groups, Cause::SecurityGroup)];
        for (_, cause) in changed.into_iter().filter(|(holds, _)| !holds) {
            attribution.candidates = attribution.candidates.with(cause);
            attribution.confidence = attribution.confidence.min(Confidence::Weak);
        }
    }
    cap(&mut attribution, record, network, found, evidence);
    attribution
}

/// Verdicts by which packets are dropped although the rules let them pass.
fn explains_well(found: &Attribution) -> bool {
    matches!(found.verdict, Verdict::VpcBpa | Verdict::EncryptionControls | Verdict::StaleConnection)
}

/// What the versions say together. Of equal verdicts the weakest holds, with all that any of them leaves possible; the
/// version in force at the record's time gives the rule to name. Unequal ones are row 7: the version that denies is named, and
/// is sure only where no other could have dropped the packets either.
fn together(judged: &[Judged]) -> Attribution {
    let pick = |fits: fn(&Judged) -> bool| {
        let fitting = || judged.iter().filter(move |one| fits(one));
        fitting().find(|one| one.in_force).or_else(|| fitting().next())
    };
    let named = pick(|one| one.denies).or_else(|| pick(|one| one.may_explain)).or_else(|| pick(|_| true));
    let Some(mut named) = named else {
        return Attribution::undetermined(&[Cause::Nacl, Cause::SecurityGroup]);
    };
    let same = |one: &Attribution, other: &Attribution| {
        one.verdict == other.verdict && one.nacl_id() == other.nacl_id()
    };
    let equal = judged.iter().all(|one| same(&one.attribution, &named.attribution));
    if equal && let Some(in_force) = pick(|_| true) {
        named = in_force;
    }
    let mut found = named.attribution.clone();
    for other in judged {
        found.candidates = other.attribution.candidates.iter().fold(found.candidates, CauseSet::with);
        if !same(&other.attribution, &named.attribution) {
            let causes = causes(other.attribution.verdict);
            found.candidates = causes.iter().copied().fold(found.candidates, CauseSet::with);
        }
    }
    for blocker in named.attribution.blocking_set.iter() {
        let named_already = match blocker {
            Blocker::Nacl => Some(Cause::Nacl),
            Blocker::SecurityGroup => Some(Cause::SecurityGroup),
            Blocker::Bpa => Some(Cause::VpcBpa),
            Blocker::Conntrack => Some(Cause::StaleConnection),
            Blocker::Ec | Blocker::Unknown => None,
        };
        if let Some(cause) = named_already {
            found.candidates = found.candidates.without(cause);
        }
    }
    if equal {
        let weakest = judged.iter().map(|one| one.attribution.confidence).min();
        found.confidence = weakest.unwrap_or(found.confidence);
        by_different_rules(&mut found, judged);
        return found;
    }
    let only_one =
        judged.iter().filter(|one| one.denies).all(|one| same(&one.attribution, &named.attribution));
    let rest_passes = judged.iter().all(|one| one.denies || !one.may_explain);
    let sure = named.denies && only_one && rest_passes;
    found.verdict = Verdict::ConfigMismatch; // 7
    found.first_blocker = Some(Blocker::Unknown);
    found.confidence = if sure { Confidence::Strong } else { Confidence::Weak };
    found.candidates = found.candidates.without(Cause::ConfigMismatch);
    found.reasons.push_front(ReasonCode::ConfigChangedInWindow);
    found
}

/// Where each version of the record's own time denies by another entry of one list, none is known to be the one: what mends it
/// has to suit the newest.
fn by_different_rules(found: &mut Attribution, judged: &[Judged]) {
    let then = || judged.iter().rev().filter(|one| one.in_force).map(|one| &one.attribution);
    let numbers = || then().map(|one| one.nacl_rule_number);
    let Some(newest) = then().next() else { return };
    if !found.blocking_set.contains(Blocker::Nacl)
        || numbers().all(|number| number == newest.nacl_rule_number)
    {
        return;
    }
    for number in numbers().flatten() {
        if !found.nacl_rules.contains(number) {
            found.nacl_rules.push(number);
        }
    }
    found.nacl_rule_number = None;
    found.nacl_direction = newest.nacl_direction;
    found.rules.clone_from(&newest.rules);
    found.reasons = newest.reasons;
}

/// A verdict as what else may be the case.
fn causes(verdict: Verdict) -> &'static [Cause] {
    match verdict {
        Verdict::Nacl => &[Cause::Nacl],
        Verdict::SecurityGroup => &[Cause::SecurityGroup],
        Verdict::NaclAndSecurityGroup => &[Cause::Nacl, Cause::SecurityGroup],
        Verdict::StaleConnection => &[Cause::StaleConnection],
        Verdict::VpcBpa => &[Cause::VpcBpa],
        _ => &[],
    }
}

/// Downgrades of spec 8.1. Around a change each version counts: those between which two objects changed one after the other
/// are not among them, so that equal verdicts of the others prove nothing.
fn cap(
    attribution: &mut Attribution,
    record: &Record<'_>,
    network: &Network,
    found: &[Arc<InterfaceRules>],
    evidence: &Evidence,
) {
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    let in_force = match found {
        [rules] => rules.provenance.known_within(from, to),
        _ => found.iter().all(|rules| rules.provenance.distance(network.moment(rules.view, from)).0 == 0),
    };
    let intended_only =
        found.iter().any(|rules| matches!(rules.provenance.origin, Origin::Undated | Origin::Terraform));
    let daily = found.iter().any(|rules| rules.provenance.daily);
    if !in_force || intended_only || daily {
        attribution.confidence = attribution.confidence.min(Confidence::Strong);
    }
    // A mismatch is what a failed check shows; it need not be doubted for that.
    if evidence.inconsistent && attribution.verdict != Verdict::ConfigMismatch {
        attribution.confidence = attribution.confidence.min(Confidence::Weak);
    }
    if evidence.groups_refuted && attribution.blocking_set.contains(Blocker::SecurityGroup) {
        attribution.confidence = attribution.confidence.min(Confidence::Weak);
    }
    let Some(named) = attribution.rules.as_ref().or(found.first()) else { return };
    let (distance, captured_at) = named.provenance.distance(record.start);
    attribution.captured_at = captured_at;
    attribution.capture_distance = Some(distance);
}

/// Whether what the rules make of other records with the same key holds for this one: spec 8.5 has it so for an unchanged
/// network ACL only, and the like goes for groups.
fn keys_hold(record: &Record<'_>, direction: Direction, found: &[Arc<InterfaceRules>]) -> KeysHold {
    let mut hold = KeysHold { acl: true, groups: true };
    let (Some((first, others)), Some(remote)) = (found.split_first(), record.remotes(direction).0) else {
        return hold;
    };
    if others.is_empty() {
        return hold;
    }
    let packet = record.packet(direction, remote);
    let own = record.local(direction).filter(|own| first.interface.owns(own));
    let decisions = |rules: &InterfaceRules| {
        (rules.acl_verdict(&packet, own).decision, rules.group_verdict(&packet).decision)
    };
    let (acl, groups) = decisions(first);
    for other in others {
        let (other_acl, other_groups) = decisions(other);
        let same_list = match (&first.acl, &other.acl) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        let same_groups = match (&first.groups, &other.groups) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        // What is open may be decided otherwise by another version.
        hold.acl &= acl == other_acl && (same_list || acl != Decision::Unknown);
        hold.groups &= groups == other_groups && (same_groups || groups != Decision::Unknown);
    }
    hold
}

/// Whether the rules of an ACCEPT's interface were the same all the time that it covers, as far as its packets go.
pub fn is_steady(record: &Record<'_>, engine: &mut Engine<'_>) -> bool {
    let (from, to) = (record.start.saturating_sub(AROUND), record.end.saturating_add(AROUND));
    if engine.network().only_view(from, to).is_some() {
        return true;
    }
    let (Some(id), Some(direction)) = (record.interface_id, record.direction) else { return false };
    let views = engine.views(from, to);
    let found: Vec<Arc<InterfaceRules>> =
        views.into_iter().filter_map(|view| engine.interface(id, view)).collect();
    let hold = keys_hold(record, direction, &found);
    hold.acl && hold.groups
}

/// Where to look for other interfaces whose ACCEPTs show what the network ACL makes of a record's key, and where an ACCEPT
/// shows it to others (`SIBLING`, spec 8.5). None for an ACCEPT that the list was not asked about: both ends in one subnet.
pub fn zone<'a>(record: &Record<'_>, rules: &'a InterfaceRules) -> Option<Zone<'a>> {
    let direction = record.direction?;
    let remote = record.remotes(direction).0?;
    let subnet = rules.interface.subnet_id.as_deref();
    let list = rules.acl.as_ref().map(|acl| acl.acl.id.as_str());
    let own = record.local(direction).filter(|own| rules.interface.owns(own));
    let scope = rules.scope(&record.packet(direction, remote), own);
    if rules.unfiltered(&remote).is_some() {
        return None;
    }
    match scope.applies {
        Ternary::Yes => Some(Zone::of(list.or(subnet)?)),
        // Gateways' own interfaces are not in the position of the subnet's others.
        Ternary::Maybe if scope.reason != ScopeReason::AtTransitGateway => {
            Some(Zone { name: list.or(subnet)?, within: subnet })
        }
        Ternary::Maybe | Ternary::No => None,
    }
}
