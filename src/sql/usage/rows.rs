//! The rows of `rule_hits`.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use crate::network::{Timestamp, Traffic};
use crate::rules::Direction;
use crate::usage::{HitsReport, RuleReport, Subject};

fn text(report: &HitsReport, value: impl Fn(&RuleReport) -> Option<String>) -> ArrayRef {
    Arc::new(report.rules.iter().map(value).collect::<StringArray>())
}

fn count(report: &HitsReport, value: impl Fn(&RuleReport) -> u64) -> ArrayRef {
    let counts = report.rules.iter().map(|rule| i64::try_from(value(rule)).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(counts))
}

fn number(report: &HitsReport, value: impl Fn(&RuleReport) -> Option<i32>) -> ArrayRef {
    Arc::new(report.rules.iter().map(value).collect::<Int32Array>())
}

fn time(report: &HitsReport, value: impl Fn(&RuleReport) -> Option<Timestamp>) -> ArrayRef {
    let micros = report.rules.iter().map(|rule| value(rule).and_then(|at| at.checked_mul(1_000_000)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn ports(rule: &RuleReport) -> Option<(i32, i32)> {
    match rule.rule.traffic() {
        Traffic::Ports { ports, .. } => Some((i32::from(ports.first()), i32::from(ports.last()))),
        _ => None,
    }
}

/// The columns, in order.
fn columns(report: &HitsReport) -> Vec<(&'static str, ArrayRef)> {
    let direction = |rule: &RuleReport| {
        let direction = if rule.rule.is_egress() { Direction::Egress } else { Direction::Ingress };
        Some(direction.to_string())
    };
    let window = report.window;
    vec![
        (
            "layer",
            text(report, |rule| {
                Some(
                    match &rule.rule.subject {
                        Subject::Group { .. } => "security_group",
                        Subject::Entry { .. } => "network_acl",
                    }
                    .to_owned(),
                )
            }),
        ),
        ("object_id", text(report, |rule| Some(rule.rule.object_id().to_owned()))),
        (
            "object_name",
            text(report, |rule| match &rule.rule.subject {
                Subject::Group { name, .. } => name.clone(),
                Subject::Entry { .. } => None,
            }),
        ),
        (
            "rule_id",
            text(report, |rule| match &rule.rule.subject {
                Subject::Group { rule, .. } => rule.rule_id.clone(),
                Subject::Entry { .. } => None,
            }),
        ),
        (
            "rule_number",
            number(report, |rule| match &rule.rule.subject {
                Subject::Entry { entry, .. } => i32::try_from(entry.number).ok(),
                Subject::Group { .. } => None,
            }),
        ),
        ("direction", text(report, direction)),
        (
            "action",
            text(report, |rule| match &rule.rule.subject {
                Subject::Entry { entry, .. } => entry.action.map(|action| action.to_string()),
                Subject::Group { .. } => Some("allow".to_owned()),
            }),
        ),
        ("traffic", text(report, |rule| Some(rule.rule.traffic().to_string()))),
        ("protocol", number(report, |rule| rule.rule.traffic().protocol().map(i32::from))),
        ("from_port", number(report, |rule| ports(rule).map(|ports| ports.0))),
        ("to_port", number(report, |rule| ports(rule).map(|ports| ports.1))),
        (
            "remote",
            text(report, |rule| match &rule.rule.subject {
                Subject::Group { rule, .. } => Some(rule.remote.to_string()),
                Subject::Entry { entry, .. } => entry.cidr.map(|cidr| cidr.to_string()),
            }),
        ),
        ("rule", text(report, |rule| Some(rule.rule.text.clone()))),
        ("conversations", count(report, |rule| rule.hits.conversations)),
        ("records", count(report, |rule| rule.hits.records)),
        ("packets", count(report, |rule| rule.hits.packets)),
        ("bytes", count(report, |rule| rule.hits.bytes)),
        ("remotes", count(report, |rule| rule.hits.remotes)),
        ("internet_remotes", count(report, |rule| rule.hits.internet_remotes)),
        ("ports", count(report, |rule| rule.hits.ports)),
        ("sole", count(report, |rule| rule.hits.sole)),
        ("shared", count(report, |rule| rule.hits.shared)),
        ("possible", count(report, |rule| rule.hits.possible)),
        ("guessed", count(report, |rule| rule.hits.guessed)),
        ("untracked_answers", count(report, |rule| rule.hits.answers)),
        ("unexplained", count(report, |rule| rule.hits.unexplained)),
        ("first_seen", time(report, |rule| rule.hits.first)),
        ("last_seen", time(report, |rule| rule.hits.last)),
        ("interfaces", count(report, |rule| rule.observed.interfaces as u64)),
        ("interfaces_seen", count(report, |rule| rule.observed.seen as u64)),
        (
            "coverage",
            Arc::new(report.rules.iter().map(|rule| rule.observed.coverage).collect::<Float64Array>()),
        ),
        (
            "action_logged",
            Arc::new(
                report.rules.iter().map(|rule| Some(rule.observed.action_logged)).collect::<BooleanArray>(),
            ),
        ),
        (
            "current",
            Arc::new(report.rules.iter().map(|rule| Some(rule.rule.current)).collect::<BooleanArray>()),
        ),
        (
            "interfaces_complete",
            Arc::new(
                report
                    .rules
                    .iter()
                    .map(|rule| Some(rule.observed.interfaces_complete))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "observed_from",
            time(report, |rule| {
                let begins = rule.rule.absent_until.map(|until| until.saturating_add(1));
                window.map(|(from, to)| begins.map_or(from, |begins| from.max(begins).min(to)))
            }),
        ),
        ("observed_to", time(report, |_| window.map(|(_, to)| to))),
        ("valid_from", time(report, |rule| rule.rule.valid_from)),
        ("valid_to", time(report, |rule| rule.rule.valid_to)),
    ]
}

/// The table's columns.
pub(super) fn schema() -> SchemaRef {
    let nothing = HitsReport {
        rules: Vec::new(),
        window: None,
        counts: Default::default(),
        accepted: 0,
        unexplained: 0,
    };
    let fields = columns(&nothing).into_iter().map(|(name, column)| {
        datafusion::arrow::datatypes::Field::new(name, column.data_type().clone(), true)
    });
    Arc::new(datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

/// A row for each rule.
pub(super) fn batch(report: &HitsReport) -> Result<RecordBatch> {
    let columns = columns(report).into_iter().map(|(_, column)| column).collect();
    Ok(RecordBatch::try_new(schema(), columns)?)
}
