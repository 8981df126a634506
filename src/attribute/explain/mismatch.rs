//! What the configuration given says against a record that it does not explain.

use crate::attribute::record::Record;
use crate::attribute::verdict::{Attribution, ReasonCode, Verdict};
use crate::rules::{Decision, InterfaceRules, Packet, entry_text, rule_text};

/// The entry and the rule that let the packets pass, as far as the configuration given does.
pub(super) fn lets_pass(
    attribution: &Attribution,
    record: &Record<'_>,
    rules: &InterfaceRules,
    packet: &Packet,
) -> Vec<String> {
    if (attribution.verdict, attribution.reason())
        != (Verdict::ConfigMismatch, Some(ReasonCode::ConfigNotInForce))
    {
        return Vec::new();
    }
    let own = record.local(packet.direction).filter(|own| rules.interface.owns(own));
    let (acl, groups) = (rules.acl_verdict(packet, own), rules.group_verdict(packet));
    let entry = acl.entry.filter(|_| acl.decision == Decision::Allow).zip(rules.acl.as_ref());
    let entry = entry.map(|(entry, compiled)| entry_text(&compiled.acl, entry));
    let rule = groups.rule.filter(|_| groups.decision == Decision::Allow);
    entry.into_iter().chain(rule.map(|(group, rule)| rule_text(group, rule))).collect()
}

/// What the mismatch of a record is, for a report of many: the rules that let it pass, or what is against them. `None` with
/// other verdicts.
pub fn mismatch(attribution: &Attribution, record: &Record<'_>) -> Option<String> {
    if attribution.verdict != Verdict::ConfigMismatch {
        return None;
    }
    let lets = attribution.rules.as_ref().zip(attribution.direction).and_then(|(rules, direction)| {
        let packet = record.packet(direction, record.remotes(direction).0?);
        Some(lets_pass(attribution, record, rules, &packet)).filter(|lets| !lets.is_empty())
    });
    Some(match (lets, attribution.reason(), &attribution.rules) {
        (Some(lets), ..) => format!("let pass by {}", lets.join(" and ")),
        (_, Some(ReasonCode::ConfigChangedInWindow), None) => {
            "its rules changed around the records: they accepted the same traffic then".to_owned()
        }
        (_, Some(ReasonCode::ConfigChangedInWindow), _) => {
            "versions of the configuration around the records disagree".to_owned()
        }
        _ => "ACCEPTs of the same traffic are against the configuration given".to_owned(),
    })
}
