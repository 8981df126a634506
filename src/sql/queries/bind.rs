//! Texts of parameters as values of their types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use datafusion::common::ScalarValue;

use crate::net::{Prefix, parse_ip_str};

use super::ParamType;
use super::time::typed_time;

const UTC: &str = "UTC";

/// NULL of a type.
pub(super) fn null(ty: ParamType) -> ScalarValue {
    match ty {
        ParamType::Int => ScalarValue::Int64(None),
        ParamType::Float => ScalarValue::Float64(None),
        ParamType::Text | ParamType::Address | ParamType::Cidr => ScalarValue::Utf8(None),
        ParamType::Timestamp => ScalarValue::TimestampMicrosecond(None, Some(UTC.into())),
        ParamType::Duration => ScalarValue::IntervalMonthDayNano(None),
        ParamType::Ints => null_list(DataType::Int64),
        ParamType::Texts | ParamType::Addresses => null_list(DataType::Utf8),
    }
}

/// The value that a text stands for; `None` where it is none of this type.
pub(super) fn value(ty: ParamType, text: &str) -> Option<ScalarValue> {
    let trimmed = text.trim();
    Some(match ty {
        ParamType::Int => ScalarValue::Int64(Some(trimmed.replace('_', "").parse().ok()?)),
        ParamType::Float => {
            ScalarValue::Float64(Some(trimmed.parse().ok().filter(|value: &f64| value.is_finite())?))
        }
        ParamType::Text => ScalarValue::Utf8(Some(text.to_owned())),
        ParamType::Timestamp => {
            ScalarValue::TimestampMicrosecond(Some(typed_time(trimmed)?), Some(UTC.into()))
        }
        ParamType::Duration => {
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, nanoseconds(trimmed)?)))
        }
        ParamType::Address => ScalarValue::Utf8(Some(parse_ip_str(trimmed)?.to_string())),
        ParamType::Cidr => ScalarValue::Utf8(Some(trimmed.parse::<Prefix>().ok()?.to_string())),
        ParamType::Ints => {
            let values: Option<Vec<i64>> = items(trimmed).map(|item| item.parse().ok()).collect();
            list(Arc::new(Int64Array::from(values?)))
        }
        ParamType::Texts => list(Arc::new(StringArray::from(items(trimmed).collect::<Vec<&str>>()))),
        ParamType::Addresses => {
            // Canonical, since logged addresses are compared with them as text.
            let values: Option<Vec<String>> =
                items(trimmed).map(|item| Some(parse_ip_str(item)?.to_string())).collect();
            list(Arc::new(StringArray::from(values?)))
        }
    })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn list(values: ArrayRef) -> ScalarValue {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    ScalarValue::List(Arc::new(ListArray::new(
        field,
        OffsetBuffer::from_lengths([values.len()]),
        values,
        None,
    )))
}

/// Whether a parameter is how many rows a statement gives.
pub(super) fn limits_by(sql: &str, name: &str) -> bool {
    let words: Vec<&str> = sql.split_ascii_whitespace().map(|word| word.trim_end_matches(';')).collect();
    let is_limit = |pair: &[&str]| match pair {
        [limit, param] => limit.eq_ignore_ascii_case("limit") && param.strip_prefix('$') == Some(name),
        _ => false,
    };
    words.windows(2).any(is_limit)
}

fn null_list(items: DataType) -> ScalarValue {
    ScalarValue::List(Arc::new(ListArray::new_null(Arc::new(Field::new_list_field(items, true)), 1)))
}

/// Nanoseconds of a positive number with a unit: `90s`, `5m`, `1h`, `2d`, `1w`.
fn nanoseconds(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let seconds: i64 = match unit.trim() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return None,
    };
    number.parse::<i64>().ok().filter(|number| *number > 0)?.checked_mul(seconds)?.checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h", 3600), ("2 d", 172_800), ("1w", 604_800)] {
            assert_eq!(nanoseconds(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for text in ["", "5", "m", "-5m", "0s", "5 years", "99999999999999d"] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    #[test]
    fn values_that_are_none_of_their_type() {
        for (ty, text) in [
            (ParamType::Int, "ten"),
            (ParamType::Float, "nan"),
            (ParamType::Address, "10.0.0.300"),
            (ParamType::Cidr, "10.0.0.0/40"),
            (ParamType::Ints, "22,ssh"),
            (ParamType::Addresses, "10.0.0.1,example.com"),
        ] {
            assert_eq!(value(ty, text), None, "{ty} {text}");
        }
    }

    #[test]
    fn a_list_of_texts_is_a_list() {
        let two = value(ParamType::Texts, "ACCEPT, REJECT,").unwrap();
        assert_eq!(two.to_string(), "[ACCEPT, REJECT]");
        assert_eq!(value(ParamType::Texts, "").map(|none| none.is_null()), Some(false));
    }

    #[test]
    fn addresses_become_canonical() {
        assert_eq!(
            value(ParamType::Address, " 2001:DB8:0::1 "),
            Some(ScalarValue::Utf8(Some("2001:db8::1".into())))
        );
        assert_eq!(value(ParamType::Cidr, "10.1.2.3/8"), Some(ScalarValue::Utf8(Some("10.0.0.0/8".into()))));
    }
}
