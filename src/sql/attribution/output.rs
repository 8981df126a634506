//! The columns of the attribution: their schema, and filling them.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StringViewArray, StringViewBuilder,
    TimestampMicrosecondBuilder, UInt32Array,
};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::Result;

use crate::attribute::{Attribution, Explanation, Record, mismatch, would_decide};
use crate::format;

/// A column of the attribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Derived {
    Direction,
    Verdict,
    FirstBlocker,
    BlockingSet,
    Candidates,
    Confidence,
    ReasonCode,
    NaclId,
    NaclRuleNumber,
    SecurityGroupIds,
    Explanation,
    Fix,
    WouldDecide,
    CapturedAt,
    CaptureDistance,
    Mismatch,
}

use Derived::*;

/// Those of the table, in its order.
pub(super) const COLUMNS: [Derived; 12] = [
    Direction,
    Verdict,
    FirstBlocker,
    BlockingSet,
    Candidates,
    Confidence,
    ReasonCode,
    NaclId,
    NaclRuleNumber,
    SecurityGroupIds,
    Explanation,
    Fix,
];

/// What reports show beyond them.
pub(super) const DETAILS: [Derived; 4] = [WouldDecide, CapturedAt, CaptureDistance, Mismatch];

static LIST: LazyLock<DataType> =
    LazyLock::new(|| DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))));

impl Derived {
    pub(super) fn name(self) -> &'static str {
        match self {
            Direction => "direction",
            Verdict => "verdict",
            FirstBlocker => "first_blocker",
            BlockingSet => "blocking_set",
            Candidates => "candidates",
            Confidence => "confidence",
            ReasonCode => "reason_code",
            NaclId => "nacl_id",
            NaclRuleNumber => "nacl_rule_number",
            SecurityGroupIds => "security_group_ids",
            Explanation => "explanation",
            Fix => "fix",
            WouldDecide => "would_decide",
            CapturedAt => "captured_at",
            CaptureDistance => "capture_distance",
            Mismatch => "mismatch",
        }
    }

    pub(super) fn field(self) -> FieldRef {
        let data_type = match self {
            BlockingSet | Candidates | SecurityGroupIds => LIST.clone(),
            NaclRuleNumber => DataType::Int32,
            CaptureDistance => DataType::Int64,
            CapturedAt => format::timestamp(),
            _ => DataType::Utf8View,
        };
        Arc::new(Field::new(self.name(), data_type, true))
    }

    /// Whether it costs making texts.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Explanation | Fix)
    }
}

/// The flow log's columns and those of the attribution.
pub(super) fn schema(flow_logs: &SchemaRef, details: bool) -> (SchemaRef, Vec<Derived>) {
    let mut derived = COLUMNS.to_vec();
    if details {
        derived.extend(DETAILS);
    }
    let fields = flow_logs.fields().iter().cloned().chain(derived.iter().map(|column| column.field()));
    (Arc::new(datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>())), derived)
}

enum Builder {
    Name(Names),
    Text(StringViewBuilder),
    List(ListBuilder<StringBuilder>),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Time(TimestampMicrosecondBuilder),
}

/// Texts of which there are few, each by its place among those met.
#[derive(Default)]
struct Names {
    texts: Vec<&'static str>,
    keys: Vec<Option<u32>>,
}

impl Names {
    fn append(&mut self, text: Option<&'static str>) {
        let key = text.map(|text| {
            let known = self.texts.iter().position(|known| std::ptr::eq(*known, text));
            known.unwrap_or_else(|| {
                self.texts.push(text);
                self.texts.len() - 1
            })
        });
        self.keys.push(key.and_then(|key| u32::try_from(key).ok()));
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let texts = StringViewArray::from_iter_values(std::mem::take(&mut self.texts));
        let keys = UInt32Array::from(std::mem::take(&mut self.keys));
        Ok(take(&texts, &keys, None)?)
    }
}

/// Fills one column.
pub(super) struct Filler {
    column: Derived,
    builder: Builder,
}

impl Filler {
    pub(super) fn new(column: Derived) -> Filler {
        if matches!(column, Direction | Verdict | FirstBlocker | Confidence | ReasonCode | WouldDecide) {
            return Filler { column, builder: Builder::Name(Names::default()) };
        }
        let builder = match column.field().data_type() {
            DataType::List(_) => Builder::List(ListBuilder::new(StringBuilder::new())),
            DataType::Int32 => Builder::Int32(Int32Builder::new()),
            DataType::Int64 => Builder::Int64(Int64Builder::new()),
            DataType::Timestamp(..) => Builder::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            // Verdicts and rules repeat; texts of few bytes stand in the view itself.
            _ => Builder::Text(StringViewBuilder::new().with_deduplicate_strings()),
        };
        Filler { column, builder }
    }

    /// Adds a record's value; `texts` are there if some column needs them.
    pub(super) fn add(&mut self, found: &Attribution, record: &Record<'_>, texts: Option<&Explanation>) {
        let column = self.column;
        match &mut self.builder {
            Builder::Name(names) => names.append(match column {
                Direction => found.direction.map(|direction| direction.as_str()),
                Verdict => Some(found.verdict.as_str()),
                FirstBlocker => found.first_blocker.map(|blocker| blocker.as_str()),
                Confidence => Some(found.confidence.as_str()),
                ReasonCode => found.reason().map(|reason| reason.as_str()),
                WouldDecide => would_decide(found, record),
                _ => None,
            }),
            Builder::Text(builder) => match column {
                Mismatch => builder.append_option(mismatch(found, record)),
                NaclId => builder.append_option(found.nacl_id()),
                Explanation => builder.append_option(texts.map(|texts| texts.text.as_str())),
                Fix => builder.append_option(texts.and_then(fix)),
                _ => builder.append_null(),
            },
            Builder::List(builder) => {
                let values = builder.values();
                match column {
                    BlockingSet => {
                        found.blocking_set.iter().for_each(|blocker| values.append_value(blocker.as_str()))
                    }
                    Candidates => {
                        found.candidates.iter().for_each(|cause| values.append_value(cause.as_str()))
                    }
                    SecurityGroupIds => {
                        found.security_group_ids().iter().for_each(|id| values.append_value(id))
                    }
                    _ => {}
                }
                builder.append(true);
            }
            Builder::Int32(builder) => {
                builder.append_option(found.nacl_rule_number.and_then(|number| i32::try_from(number).ok()));
            }
            Builder::Int64(builder) => builder.append_option(found.capture_distance),
            Builder::Time(builder) => {
                builder.append_option(found.captured_at.and_then(|at| at.checked_mul(1_000_000)));
            }
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.builder {
            Builder::Name(names) => names.finish()?,
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::List(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
        })
    }
}

/// One change a line, as commands where there is one.
fn fix(texts: &Explanation) -> Option<String> {
    let lines = texts.fixes.iter().map(|fix| if fix.command.is_empty() { &fix.text } else { &fix.command });
    let lines: Vec<&str> = lines.map(String::as_str).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
