//! Places in the text of a statement: where the parser stumbled, where a name stands.

use datafusion::sql::sqlparser::parser::ParserError;

use super::{SqlError, SqlErrorKind, lowered, nearest};
use crate::net::{Prefix, parse_ip_str};

/// An error of the parser, which mostly says where it stumbled.
pub(super) fn syntax(error: &ParserError, sql: &str) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
    };
    let (message, position) = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, place_of(place)),
        None => (text, None),
    };
    // Without a place the statement ended too early.
    let position = position.or_else(|| message.ends_with("found: EOF").then(|| end_of(sql)));
    let message = message.replace("found: EOF", "found: end of statement");
    let from_first = sql.trim_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from"));
    let first =
        |word: &str| sql.split_whitespace().next().is_some_and(|found| found.eq_ignore_ascii_case(word));
    let hint = match from_first {
        true => Some("write `select *` before from".to_owned()),
        // Only a condition by itself begins so.
        false if first("where") => Some("leave out the word where".to_owned()),
        false => position.and_then(|place| bare_address(sql, place).or_else(|| mistyped_keyword(sql, place))),
    };
    let line = position.and_then(|(line, _)| line_of(sql, line));
    SqlError { kind: SqlErrorKind::Syntax, message: lowered(&message), position, line, hint }
}

/// An address or a network that was written without quotes: the parser takes it for numbers and stumbles within it.
fn bare_address(sql: &str, (line, column): (usize, usize)) -> Option<String> {
    let line: Vec<char> = line_of(sql, line)?.chars().collect();
    let part = |c: &&char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/');
    let at = column.saturating_sub(1).min(line.len());
    let (before, after) = line.split_at_checked(at)?;
    let before: Vec<char> = before.iter().rev().take_while(part).copied().collect();
    let word: String = before.into_iter().rev().chain(after.iter().take_while(part).copied()).collect();
    let is_one = word.len() > 2 && (parse_ip_str(&word).is_some() || word.parse::<Prefix>().is_ok());
    is_one.then(|| format!("text wants single quotes: '{word}'"))
}

/// Words that statements begin their parts with.
const KEYWORDS: [&str; 24] = [
    "select", "from", "where", "group", "order", "by", "having", "limit", "offset", "join", "left", "inner",
    "on", "and", "or", "not", "between", "distinct", "with", "union", "describe", "explain", "values",
    "interval",
];

/// A parser stumbles at a mistyped keyword or one word after it, having taken it for an alias.
fn mistyped_keyword(sql: &str, (line, column): (usize, usize)) -> Option<String> {
    let line = line_of(sql, line)?;
    let before: String = line.chars().take(column.saturating_sub(1)).collect();
    let after: String = line.chars().skip(column.saturating_sub(1)).collect();
    let word = |text: Option<&str>| text.map(|word| word.to_ascii_lowercase()).filter(|word| word.len() > 2);
    let part = |c: char| !c.is_alphanumeric() && c != '_';
    let found = [word(before.trim_end().rsplit(part).next()), word(after.split(part).next())];
    found
        .into_iter()
        .flatten()
        .filter(|word| !KEYWORDS.contains(&word.as_str()))
        .find_map(|word| nearest(&word, KEYWORDS))
        .map(|keyword| format!("did you mean {keyword}?"))
}

/// `3, Column: 14`.
fn place_of(text: &str) -> Option<(usize, usize)> {
    let (line, column) = text.split_once(", Column: ")?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

fn line_of(sql: &str, number: usize) -> Option<String> {
    sql.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

fn end_of(sql: &str) -> (usize, usize) {
    let sql = sql.trim_end();
    let line = sql.lines().last().unwrap_or_default();
    (sql.lines().count().max(1), line.chars().count().saturating_add(1))
}

/// The place of a name as a whole word outside of quotes of text and comments.
fn find_word(sql: &str, name: &str) -> Option<(usize, usize)> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    for (number, line) in sql.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        for (at, found) in lower.match_indices(&name.to_ascii_lowercase()) {
            let before = lower.get(..at).unwrap_or_default();
            let after = lower.get(at.saturating_add(found.len())..).unwrap_or_default();
            let whole = !before.ends_with(part_of_word) && !after.starts_with(part_of_word);
            let quoted = before.matches('\'').count() % 2 == 1 || before.contains("--");
            if whole && !quoted {
                return Some((number.saturating_add(1), before.chars().count().saturating_add(1)));
            }
        }
    }
    None
}

/// An error that points to a name in the statement, where it is found there.
pub(super) fn at_word(
    kind: SqlErrorKind,
    message: String,
    hint: Option<String>,
    sql: &str,
    word: &str,
) -> SqlError {
    let position = find_word(sql, word);
    SqlError { kind, message, position, line: position.and_then(|(line, _)| line_of(sql, line)), hint }
}
