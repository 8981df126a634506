//! Named queries: SQL files with a head that says what they are for, what they need and what they take.
//!
//! The head is made of the comment lines at the top of a file; a line that begins with two spaces after the dashes
//! goes on with the line before:
//!
//! ```text
//! -- title: Top talkers                          what a list shows; required
//! -- purpose: Which addresses send the most.     a sentence or two; required
//! -- needs: flow_logs(srcaddr, bytes)            a table and its columns; once for each table
//! -- param: limit int = 20 "how many rows"       name, type, default, meaning; without a default it must be given
//! -- param: action text = null "which" one of ACCEPT, REJECT          a text that is one of these, in any case
//! -- origin: flowq                               where the question comes from
//! ```
//!
//! Types: `int`, `float`, `text`, `timestamp`, `duration`, `address`, `cidr`, and lists `int[]`, `text[]`, `address[]`.
//! A default of `null` makes a parameter optional. `$from` and `$to` (timestamps, NULL where open) are there always.
//! Values are bound to the plan, never pasted into the text. Running a query is the session's.

mod bind;
mod head;
mod time;

pub use time::typed_time;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use datafusion::common::{ParamValues, ScalarValue};

use super::errors::nearest;

/// The queries that are compiled in, by name.
macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/queries/", $name, ".sql")))),*];
    };
}

builtin![
    "top_talkers",
    "top_talkers_packet_level",
    "top_instances",
    "top_subnets",
    "bytes_over_time",
    "traffic_over_time",
    "traffic_between",
    "traffic_of_address",
    "accepted",
    "rejected",
    "rejected_by_port",
    "rejected_by_source",
    "ip_family_split",
    "top_ports",
    "https_receivers",
    "cross_az_bytes",
    "internet_egress_by_instance",
    "nat_gateway_users",
    "protocol_breakdown",
    "unusual_protocols",
    "admin_port_traffic",
    "inbound_from_internet",
    "port_scan_vertical",
    "port_scan_horizontal",
    "internal_recon",
    "new_destinations",
    "denied_spike",
    "exfil_candidates",
    "unapproved_dns",
    "threat_intel_hits",
    "reject_summary",
    "reject_attribution",
    "nacl_return_path_blocks",
    "stale_connections",
    "undetermined_rejects",
    "config_mismatches",
    "rule_hits",
    "unused_rules",
    "overwide_rules",
    "world_open_and_contacted",
    "elb_requests_over_time",
    "elb_top_clients",
    "elb_errors",
    "elb_5xx_by_target",
    "elb_slow",
    "elb_tls",
    "elb_suspicious_clients",
    "elb_backend_health",
    "nlb_tls_failures",
    "coverage",
    "skipdata_by_hour",
    "duplicate_flow_logs",
    "quarantine_summary",
];

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A 64-bit integer.
    Int,
    /// A number.
    Float,
    /// Any text.
    Text,
    /// A point in time: ISO 8601, a date, or Unix seconds; UTC where no offset is given.
    Timestamp,
    /// A length of time such as `90s`, `5m`, `1h`, `2d`.
    Duration,
    /// An IPv4 or IPv6 address.
    Address,
    /// A prefix; a bare address is that one address.
    Cidr,
    /// Integers, separated by commas.
    Ints,
    /// Texts, separated by commas.
    Texts,
    /// Addresses, separated by commas.
    Addresses,
}

impl ParamType {
    const ALL: [(&'static str, ParamType); 10] = [
        ("int", ParamType::Int),
        ("float", ParamType::Float),
        ("text", ParamType::Text),
        ("timestamp", ParamType::Timestamp),
        ("duration", ParamType::Duration),
        ("address", ParamType::Address),
        ("cidr", ParamType::Cidr),
        ("int[]", ParamType::Ints),
        ("text[]", ParamType::Texts),
        ("address[]", ParamType::Addresses),
    ];

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<ParamType> {
        ParamType::ALL.iter().find(|(known, _)| *known == name).map(|(_, ty)| *ty)
    }

    /// What a value must look like, for messages.
    pub fn expected(self) -> &'static str {
        match self {
            ParamType::Int => "a whole number",
            ParamType::Float => "a number",
            ParamType::Text => "text",
            ParamType::Timestamp => "a time such as 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds",
            ParamType::Duration => "a length of time such as 90s, 5m, 1h or 2d",
            ParamType::Address => "an address such as 10.0.0.1 or 2001:db8::1",
            ParamType::Cidr => "a prefix such as 10.0.0.0/8 or an address",
            ParamType::Ints => "whole numbers separated by commas",
            ParamType::Texts => "texts separated by commas",
            ParamType::Addresses => "addresses separated by commas",
        }
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ParamType::ALL.iter().find(|(_, ty)| ty == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What happens where a parameter is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamDefault {
    /// It must be given.
    Required,
    /// It is NULL.
    Null,
    /// It is this text, read as a given value is.
    Value(String),
}

/// One parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// The name, without `$`.
    pub name: String,
    /// Its type.
    pub ty: ParamType,
    /// What it is where it is not given.
    pub default: ParamDefault,
    /// What it means.
    pub doc: String,
    /// The texts that it may be; empty where any will do.
    pub choices: Vec<String>,
}

/// A table that a query reads, and the columns without which it is meaningless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The table.
    pub table: String,
    /// The columns.
    pub columns: Vec<String>,
}

/// A named query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name: the file's, without `.sql`.
    pub name: String,
    /// A few words.
    pub title: String,
    /// What question it answers, and what to mind when reading the answer.
    pub purpose: String,
    /// What it reads.
    pub needs: Vec<Need>,
    /// What it takes, besides `from` and `to`.
    pub params: Vec<Param>,
    /// Where the question comes from.
    pub origin: String,
    /// The statement, with placeholders `$name`.
    pub sql: String,
    /// The whole file, as `flowq queries show` prints it.
    pub text: String,
    /// The file, where it is a user's own.
    pub file: Option<PathBuf>,
}

/// What is wrong with a query file or with what was given to a query.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no query of this name.
    #[error("no query named {name:?}{}", hint(.near.as_deref(), "`flowq queries list` shows them all"))]
    Unknown {
        /// The name given.
        name: String,
        /// The nearest name.
        near: Option<String>,
    },
    /// A file's head cannot be read.
    #[error("{file}:{line}: {reason}")]
    Head {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The query takes no such parameter.
    #[error("{query} takes no parameter {name:?}{}", hint(.near.as_deref(), .takes))]
    UnknownParam {
        /// The query.
        query: String,
        /// The name given.
        name: String,
        /// The nearest parameter.
        near: Option<String>,
        /// What it takes, as a hint.
        takes: String,
    },
    /// A value is not of its parameter's type.
    #[error("parameter {name} of {query} must be {}, not {value:?}", .expected.expected())]
    BadValue {
        /// The query.
        query: String,
        /// The parameter.
        name: String,
        /// The value given.
        value: String,
        /// The parameter's type.
        expected: ParamType,
    },
    /// So few rows that nothing could be seen: no row would read as if there were none.
    #[error("parameter {name} of {query} must be 1 or more, not {value}: it is how many rows are shown")]
    NoRows {
        /// The query.
        query: String,
        /// The parameter.
        name: String,
        /// The value given.
        value: i64,
    },
    /// A value is none of those that its parameter may be.
    #[error("parameter {name} of {query} has no value {value:?}{}", hint(.near.as_deref(), .known))]
    UnknownChoice {
        /// The query.
        query: String,
        /// The parameter.
        name: String,
        /// The value given.
        value: String,
        /// The nearest value.
        near: Option<String>,
        /// The values that it may be, as a hint.
        known: String,
    },
    /// A parameter without a default was not given.
    #[error("{query} needs the parameter {name} ({doc}): give --{name} with {}", .expected.expected())]
    Missing {
        /// The query.
        query: String,
        /// The parameter.
        name: String,
        /// What it means.
        doc: String,
        /// Its type.
        expected: ParamType,
    },
}

/// The end of a message: the near name, or what else helps.
fn hint(near: Option<&str>, otherwise: &str) -> String {
    match near {
        Some(near) => format!("; did you mean {near}?"),
        None => format!("; {otherwise}"),
    }
}

impl Query {
    /// Reads a query file.
    ///
    /// # Errors
    /// [`QueryError::Head`] where the head breaks the grammar, a required entry is missing, a placeholder is not
    /// declared or a parameter not used.
    pub fn parse(name: &str, text: &str, file: Option<&Path>) -> Result<Query, QueryError> {
        head::parse(name, text, file)
    }

    /// The values of all parameters, for `DataFrame::with_param_values`. `from` and `to` are given like the others.
    ///
    /// # Errors
    /// Unknown names, values that are not of their parameter's type, required parameters that are missing.
    pub fn bind(&self, given: &[(String, String)]) -> Result<ParamValues, QueryError> {
        let window = ["from", "to"];
        for (name, _) in given {
            let known = || self.params.iter().map(|param| param.name.as_str()).chain(window);
            if !known().any(|known| known == name) {
                return Err(QueryError::UnknownParam {
                    query: self.name.clone(),
                    name: name.clone(),
                    near: nearest(name, known()).map(str::to_owned),
                    takes: format!("it takes {}", known().collect::<Vec<_>>().join(", ")),
                });
            }
        }
        // Of a parameter that is given twice the last counts, as with options of commands.
        let text_of =
            |name: &str| given.iter().rev().find(|(given, _)| given == name).map(|(_, text)| text.as_str());
        let mut values: Vec<(String, ScalarValue)> = Vec::with_capacity(self.params.len() + 2);
        for name in window {
            values.push((name.into(), self.value(name, ParamType::Timestamp, text_of(name))?));
        }
        for param in &self.params {
            let text = match (text_of(&param.name), &param.default) {
                (Some(text), _) => Some(self.chosen(param, text)?),
                (None, ParamDefault::Value(text)) => Some(text.as_str()),
                (None, ParamDefault::Null) => None,
                (None, ParamDefault::Required) => {
                    return Err(QueryError::Missing {
                        query: self.name.clone(),
                        name: param.name.clone(),
                        doc: param.doc.clone(),
                        expected: param.ty,
                    });
                }
            };
            let value = self.value(&param.name, param.ty, text)?;
            if let ScalarValue::Int64(Some(value @ ..1)) = value
                && bind::limits_by(&self.sql, &param.name)
            {
                return Err(QueryError::NoRows { query: self.name.clone(), name: param.name.clone(), value });
            }
            values.push((param.name.clone(), value));
        }
        Ok(values.into())
    }

    /// The text as the parameter's list of choices writes it, where it has one.
    fn chosen<'t>(&self, param: &'t Param, text: &'t str) -> Result<&'t str, QueryError> {
        if param.choices.is_empty() {
            return Ok(text);
        }
        let choices = || param.choices.iter().map(String::as_str);
        let found = choices().find(|choice| choice.eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| QueryError::UnknownChoice {
            query: self.name.clone(),
            name: param.name.clone(),
            value: text.to_owned(),
            near: nearest(text, choices()).map(str::to_owned),
            known: format!("it may be {}", param.choices.join(", ")),
        })
    }

    fn value(&self, name: &str, ty: ParamType, text: Option<&str>) -> Result<ScalarValue, QueryError> {
        let Some(text) = text else { return Ok(bind::null(ty)) };
        bind::value(ty, text).ok_or_else(|| QueryError::BadValue {
            query: self.name.clone(),
            name: name.to_owned(),
            value: text.to_owned(),
            expected: ty,
        })
    }
}

/// The queries that can be run: those compiled in, with a user's own over them.
#[derive(Debug, Default)]
pub struct Library {
    queries: BTreeMap<String, Query>,
    order: Vec<String>,
    /// The user's files that are no queries.
    broken: BTreeMap<String, QueryError>,
}

impl Library {
    /// Every query: first in the order in which they are documented, then the user's own by name.
    pub fn iter(&self) -> impl Iterator<Item = &Query> {
        self.order.iter().filter_map(|name| self.queries.get(name))
    }

    /// The query of this name.
    ///
    /// # Errors
    /// [`QueryError::Unknown`] with the nearest name.
    pub fn get(&self, name: &str) -> Result<&Query, QueryError> {
        self.queries.get(name).ok_or_else(|| QueryError::Unknown {
            name: name.to_owned(),
            near: nearest(name, self.order.iter().map(String::as_str)).map(str::to_owned),
        })
    }

    /// The user's files that are no queries, by the names that they would have, and what is wrong with them. They stop no other.
    pub fn broken(&self) -> &BTreeMap<String, QueryError> {
        &self.broken
    }

    /// As [`get`](Library::get), and what is wrong with the user's file of that name where it is none.
    ///
    /// # Errors
    /// That, or [`QueryError::Unknown`].
    pub fn asked_for(mut self, name: &str) -> Result<Query, QueryError> {
        if let Some(error) = self.broken.remove(name) {
            return Err(error);
        }
        self.get(name).cloned()
    }

    fn insert(&mut self, query: Query) {
        if !self.queries.contains_key(&query.name) {
            self.order.push(query.name.clone());
        }
        self.queries.insert(query.name.clone(), query);
    }
}

/// The queries compiled in, and over them every `*.sql` of the user's folder.
///
/// # Errors
/// A folder that cannot be read.
pub fn library(user_dir: Option<&Path>) -> Result<Library, QueryError> {
    let mut library = Library::default();
    for (name, text) in BUILTIN {
        library.insert(Query::parse(name, text, None)?);
    }
    let Some(dir) = user_dir else { return Ok(library) };
    let read = |path: &Path, source| QueryError::Read { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|source| read(dir, source))? {
        let path = entry.map_err(|source| read(dir, source))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let text = std::fs::read_to_string(&path).map_err(|source| read(&path, source));
        match text.and_then(|text| Query::parse(name, &text, Some(&path))) {
            Ok(query) => library.insert(query),
            Err(error) => {
                library.broken.insert(name.to_owned(), error);
            }
        }
    }
    Ok(library)
}

#[cfg(test)]
mod tests;
