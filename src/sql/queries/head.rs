//! The head of a query file: reading it, and checking it against the statement below it.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Need, Param, ParamDefault, ParamType, Query, QueryError};
use crate::sql::errors::nearest;

const KEYS: [&str; 5] = ["title", "purpose", "needs", "param", "origin"];

/// An entry of the head: its line, key and text.
struct Entry<'a> {
    line: usize,
    key: &'a str,
    text: String,
}

pub(super) fn parse(name: &str, text: &str, file: Option<&Path>) -> Result<Query, QueryError> {
    let shown = file.map_or_else(|| format!("{name}.sql"), |file| file.display().to_string());
    let refuse = |line: usize, reason: String| QueryError::Head { file: shown.clone(), line, reason };
    let (entries, sql, sql_line) = split(text).map_err(|(line, reason)| refuse(line, reason))?;

    let mut query = Query {
        name: name.to_owned(),
        title: String::new(),
        purpose: String::new(),
        needs: Vec::new(),
        params: Vec::new(),
        origin: String::new(),
        sql,
        text: text.to_owned(),
        file: file.map(Path::to_owned),
    };
    for entry in &entries {
        let once = match entry.key {
            "title" => &mut query.title,
            "purpose" => &mut query.purpose,
            "origin" => &mut query.origin,
            "needs" => {
                query.needs.push(need(&entry.text).map_err(|reason| refuse(entry.line, reason))?);
                continue;
            }
            _ => {
                let param = param(&entry.text).map_err(|reason| refuse(entry.line, reason))?;
                if query.params.iter().any(|known| known.name == param.name) {
                    return Err(refuse(entry.line, format!("parameter {} is declared twice", param.name)));
                }
                query.params.push(param);
                continue;
            }
        };
        if !once.is_empty() {
            return Err(refuse(entry.line, format!("{} is there twice", entry.key)));
        }
        once.clone_from(&entry.text);
    }
    for (key, text) in [("title", &query.title), ("purpose", &query.purpose)] {
        if text.is_empty() {
            return Err(refuse(1, format!("no {key}; add a line `-- {key}: ...` at the top")));
        }
    }
    if query.sql.is_empty() {
        return Err(refuse(sql_line, "no statement below the head".into()));
    }

    let used = placeholders(&query.sql);
    for name in &used {
        let declared = query.params.iter().any(|param| param.name == *name) || name == "from" || name == "to";
        if !declared {
            let reason =
                format!("${name} is not declared; add a line `-- param: {name} TYPE = DEFAULT \"meaning\"`");
            return Err(refuse(sql_line, reason));
        }
    }
    if let Some(unused) = query.params.iter().find(|param| !used.contains(&param.name)) {
        return Err(refuse(sql_line, format!("parameter {} is declared and not used", unused.name)));
    }
    Ok(query)
}

/// The entries of the head, the statement, and the line it begins on.
fn split(text: &str) -> Result<(Vec<Entry<'_>>, String, usize), (usize, String)> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut offset = 0usize;
    let mut number = 0usize;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end();
        let Some(comment) = line.strip_prefix("--") else {
            if line.is_empty() {
                number = number.saturating_add(1);
                offset = offset.saturating_add(whole.len());
                continue;
            }
            break;
        };
        number = number.saturating_add(1);
        offset = offset.saturating_add(whole.len());
        if comment.trim().is_empty() {
            continue;
        }
        if comment.starts_with("  ") {
            match entries.last_mut() {
                Some(entry) => {
                    entry.text.push(' ');
                    entry.text.push_str(comment.trim());
                }
                None => return Err((number, "a continued line with nothing before it".into())),
            }
            continue;
        }
        let known = KEYS.join(", ");
        let Some((key, value)) = comment.trim_start().split_once(':') else {
            return Err((number, format!("expected `-- key: text` with one of {known}")));
        };
        let key = key.trim();
        if !KEYS.contains(&key) {
            let hint = match nearest(key, KEYS) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known are {known}"),
            };
            return Err((number, format!("unknown entry {key:?}; {hint}")));
        }
        entries.push(Entry { line: number, key, text: value.trim().to_owned() });
    }
    let sql = text.get(offset..).unwrap_or_default().trim().trim_end_matches(';').to_owned();
    Ok((entries, sql, number.saturating_add(1)))
}

/// `table(column, column)`.
fn need(text: &str) -> Result<Need, String> {
    let wrong = || format!("{text:?} is no need; write `-- needs: flow_logs(srcaddr, bytes)`");
    let (table, rest) = text.split_once('(').ok_or_else(wrong)?;
    let columns = rest.strip_suffix(')').ok_or_else(wrong)?;
    let columns: Vec<String> = columns.split(',').map(|column| column.trim().to_owned()).collect();
    let table = table.trim().to_owned();
    if table.is_empty() || columns.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(Need { table, columns })
}

/// `name type = default "meaning" one of A, B`.
fn param(text: &str) -> Result<Param, String> {
    let (declared, doc, rest) = match text.split_once('"') {
        Some((declared, doc)) => {
            let (doc, rest) = doc
                .rsplit_once('"')
                .ok_or_else(|| format!("the meaning in {text:?} has no closing quote"))?;
            (declared, doc, rest.trim())
        }
        None => (text, "", ""),
    };
    let choices: Vec<String> = match (rest, rest.strip_prefix("one of ")) {
        ("", _) => Vec::new(),
        (_, Some(choices)) => choices.split(',').map(|choice| choice.trim().to_owned()).collect(),
        _ => {
            return Err(format!(
                "{rest:?} is not expected behind the meaning; write `one of A, B` or nothing"
            ));
        }
    };
    let (named, default) = match declared.split_once('=') {
        Some((named, default)) => (named, Some(default.trim())),
        None => (declared, None),
    };
    let mut words = named.split_whitespace();
    let (Some(name), Some(ty), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("{text:?} is no parameter; write `-- param: limit int = 20 \"how many rows\"`"));
    };
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(format!("{name:?} is no parameter name; use lower case letters, digits and _"));
    }
    if name == "from" || name == "to" {
        return Err(format!("{name} is there always; do not declare it"));
    }
    let ty = ParamType::from_name(ty).ok_or_else(|| {
        let known: Vec<&str> = ParamType::ALL.iter().map(|(name, _)| *name).collect();
        format!("unknown type {ty:?} of parameter {name}; known are {}", known.join(", "))
    })?;
    let default = match default {
        None => ParamDefault::Required,
        Some("null") => ParamDefault::Null,
        Some(value) => {
            if super::bind::value(ty, value).is_none() {
                return Err(format!("the default {value:?} of parameter {name} is not {}", ty.expected()));
            }
            ParamDefault::Value(value.to_owned())
        }
    };
    Ok(Param { name: name.to_owned(), ty, default, doc: doc.to_owned(), choices })
}

/// The names after `$` in a statement, outside of quotes and comments.
fn placeholders(sql: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => while chars.next().is_some_and(|inner| inner != c) {},
            '-' if chars.peek() == Some(&'-') => while chars.next().is_some_and(|inner| inner != '\n') {},
            '$' => {
                let mut name = String::new();
                while let Some(&next) = chars.peek() {
                    if !next.is_ascii_alphanumeric() && next != '_' {
                        break;
                    }
                    name.push(next);
                    chars.next();
                }
                if !name.is_empty() {
                    found.insert(name);
                }
            }
            _ => {}
        }
    }
    found
}
