//! Reading JSON whose keys are PascalCase in one form and camelCase in another, and whose absent values are missing in one
//! and `null` in another.

use crate::net::{Prefix, parse_ip_str};
use crate::network::history::Timestamp;
use serde_json::Value;
use std::net::IpAddr;

/// A JSON value read by AWS's member names.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a Value);

impl<'a> Node<'a> {
    /// The member of this name, in PascalCase or with its first letter (or leading capitals, `ARN`) in lower case; `null`
    /// counts as absent.
    pub(super) fn get(self, key: &str) -> Option<Node<'a>> {
        let object = self.0.as_object()?;
        let found = object.get(key).or_else(|| {
            let mut letters = key.chars();
            let lower: String = letters.next()?.to_lowercase().chain(letters).collect();
            object.get(&lower)
        })?;
        (!found.is_null()).then_some(Node(found))
    }

    /// Elements of a list member; empty when it is absent or no list.
    pub(super) fn list(self, key: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.get(key).and_then(|node| node.0.as_array()).into_iter().flatten().map(Node)
    }

    /// A text member; numbers are taken as text (protocols), the empty string as absent (Terraform).
    pub(super) fn text(self, key: &str) -> Option<String> {
        self.get(key).and_then(Node::as_text)
    }

    /// This value as text, as [`Node::text`].
    pub(super) fn as_text(self) -> Option<String> {
        match self.0 {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            // AWS Config writes some enumerations as `{"value": "…"}`.
            Value::Object(object) => object.get("value").and_then(Value::as_str).map(str::to_string),
            _ => None,
        }
    }

    /// An integer member, also written as text.
    pub(super) fn integer(self, key: &str) -> Option<i64> {
        match self.get(key)?.0 {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// An integer member, also written as text; an error where it is there and is none.
    pub(super) fn number(self, key: &str) -> Result<Option<i64>, String> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.0 {
            Value::String(text) if text.is_empty() => Ok(None),
            // Some tools write 443.0.
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                Ok(number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)))
            }
            _ => self.integer(key).map(Some).ok_or_else(|| format!("{key} is no whole number")),
        }
    }

    /// Two integers in an object member, both absent where it is.
    pub(super) fn pair(
        self,
        key: &str,
        one: &str,
        other: &str,
    ) -> Result<(Option<i64>, Option<i64>), String> {
        match self.get(key) {
            None => Ok((None, None)),
            Some(pair) if pair.0.is_object() => Ok((pair.number(one)?, pair.number(other)?)),
            Some(_) => Err(format!("{key} is no object")),
        }
    }

    /// A boolean member.
    pub(super) fn flag(self, key: &str) -> Option<bool> {
        match self.get(key)?.0 {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// An address member.
    pub(super) fn addr(self, key: &str) -> Option<IpAddr> {
        parse_ip_str(self.get(key)?.0.as_str()?)
    }

    /// A list of texts.
    pub(super) fn texts(self, key: &str) -> Vec<String> {
        self.list(key).filter_map(Node::as_text).collect()
    }

    /// A time member: RFC 3339 text, or seconds since the epoch.
    pub(super) fn time(self, key: &str) -> Option<Timestamp> {
        match self.get(key)?.0 {
            Value::String(text) => parse_time(text),
            // Out-of-range floats saturate; a float time is seconds with a fraction.
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
            }
            _ => None,
        }
    }

    /// The milliseconds of a time member beyond its second, which order what one second holds.
    pub(super) fn millis(self, key: &str) -> u64 {
        let text = self.get(key).and_then(|node| node.0.as_str());
        let fraction = text.and_then(|text| text.split_once('.')).map(|(_, rest)| rest);
        let digits = fraction.map(|rest| rest.chars().take_while(char::is_ascii_digit).chain("000".chars()));
        digits.and_then(|digits| digits.take(3).collect::<String>().parse().ok()).unwrap_or(0)
    }

    /// Blocks in a list of objects under `member`, by the name of the text within; those no longer associated are left out.
    pub(super) fn blocks(self, list: &str, member: &str, state: &str, into: &mut Vec<Prefix>) {
        for node in self.list(list) {
            let status = node.get(state).and_then(|state| state.text("State"));
            if status.as_deref().is_some_and(|status| status != "associated" && status != "associating") {
                continue;
            }
            push_new(into, node.text(member).and_then(|text| text.parse().ok()));
        }
    }
}

/// Adds what is not there yet.
pub(super) fn push_new<T: PartialEq>(into: &mut Vec<T>, item: Option<T>) {
    if let Some(item) = item
        && !into.contains(&item)
    {
        into.push(item);
    }
}

/// RFC 3339 (also with a space, or without an offset, which is then UTC), to the second.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y%m%dT%H%M%S%z"] {
        if let Ok(time) = chrono::DateTime::parse_from_str(text, format) {
            return Some(time.timestamp());
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y%m%dT%H%M%SZ"] {
        if let Ok(time) = chrono::NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc().timestamp());
        }
    }
    None
}
