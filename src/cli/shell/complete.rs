//! What Tab offers: commands and their arguments, tables, columns, functions, keywords.

use super::commands;
use super::highlight::KEYWORDS;
use super::lexer::{self, Token, TokenKind};

/// The names that can be completed.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Tables and views, with their columns.
    pub tables: Vec<(String, Vec<String>)>,
    /// Functions.
    pub functions: Vec<String>,
    /// Named queries, with their parameters.
    pub queries: Vec<(String, Vec<String>)>,
    /// Output formats.
    pub formats: Vec<&'static str>,
}

/// What can stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// One of these words, from this byte to the cursor.
    Words(usize, Vec<String>),
    /// The name of a file.
    File,
}

/// What can stand at a byte of what was typed.
pub fn offer(line: &str, at: usize, names: &Vocabulary) -> Offer {
    // Within a character or behind the end, where a caller may only be by mistake, is the place before it.
    let at = line.floor_char_boundary(at);
    let before = line.get(..at).unwrap_or(line);
    if before.trim_start().starts_with(['.', '\\']) {
        return command(before, names);
    }
    let tokens = lexer::tokens(line);
    let (begin, mut prefix) = match tokens
        .iter()
        .find(|token| token.range.start < at && at <= token.range.end)
    {
        Some(token) if token.kind == TokenKind::Word => (token.range.start, line.get(token.range.start..at)),
        Some(token) if token.kind == TokenKind::Quoted && (!token.closed || at < token.range.end) => {
            (token.range.start, line.get(token.range.start..at))
        }
        // Strings, comments and numbers are the user's own.
        Some(token) if matches!(token.kind, TokenKind::Text | TokenKind::Number) => return nothing(at),
        Some(token) if token.kind == TokenKind::Comment && at > token.range.start => return nothing(at),
        _ => (at, Some("")),
    };
    let word = prefix.take().unwrap_or("");
    let statement = statement(&tokens, line, at);
    let before: Vec<&Token> = statement
        .iter()
        .copied()
        .filter(|token| token.is_significant() && token.range.end <= begin)
        .collect();
    let previous = before.last().map_or("", |token| token.text(line));
    if previous == "." {
        let owner = before.iter().rev().nth(1).map_or("", |token| token.text(line));
        return Offer::Words(begin, matching(word, columns_of(owner, &statement, line, names)));
    }
    if is_before_table(previous, &before, line) {
        return Offer::Words(begin, matching(word, tables(names)));
    }
    Offer::Words(begin, expression(word, &statement, line, names))
}

fn nothing(at: usize) -> Offer {
    Offer::Words(at, Vec::new())
}

/// The tokens of the statement around the cursor.
fn statement<'t>(tokens: &'t [Token], line: &str, at: usize) -> Vec<&'t Token> {
    let ends = |token: &&Token| token.text(line) == ";";
    let first = tokens.iter().rposition(|token| ends(&token) && token.range.end <= at);
    let rest = tokens.get(first.map_or(0, |first| first.saturating_add(1))..).unwrap_or(&[]);
    rest.iter().take_while(|token| !ends(token)).collect()
}

fn is_before_table(previous: &str, before: &[&Token], line: &str) -> bool {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(previous));
    if is(&["from", "join", "into", "describe", "desc", "table", "view"]) {
        return true;
    }
    // The second table of `from a, b`: between it and its `from` are only names and commas.
    let between = before.iter().rev().take_while(|token| !token.text(line).eq_ignore_ascii_case("from"));
    let mut plain = true;
    let mut seen = 0_usize;
    for token in between {
        seen = seen.saturating_add(1);
        let text = token.text(line);
        plain &= text == ","
            || token.kind == TokenKind::Quoted
            || (token.kind == TokenKind::Word && !is_clause(text));
    }
    previous == "," && plain && seen < before.len()
}

fn is_clause(word: &str) -> bool {
    let clauses = ["where", "group", "order", "having", "limit", "on", "using", "select", "union", "window"];
    clauses.iter().any(|clause| clause.eq_ignore_ascii_case(word))
}

fn tables(names: &Vocabulary) -> Vec<String> {
    names.tables.iter().map(|(table, _)| table.clone()).collect()
}

/// The tables that a statement names after `from` and `join`, each with its alias.
fn named<'n>(
    statement: &[&Token],
    line: &str,
    names: &'n Vocabulary,
) -> Vec<(&'n (String, Vec<String>), String)> {
    let tokens: Vec<&&Token> = statement.iter().filter(|token| token.is_significant()).collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let text = |offset: usize| tokens.get(at.saturating_add(offset)).map_or("", |token| token.text(line));
        let is_table = |(name, _): &&(String, Vec<String>)| name.eq_ignore_ascii_case(token.text(line));
        let Some(table) = names.tables.iter().find(is_table) else { continue };
        if tokens.get(at.wrapping_sub(1)).is_some_and(|before| before.text(line) == ".") || text(1) == "." {
            continue;
        }
        let alias = if text(1).eq_ignore_ascii_case("as") { text(2) } else { text(1) };
        found.push((table, alias.to_owned()));
    }
    found
}

fn columns_of(owner: &str, statement: &[&Token], line: &str, names: &Vocabulary) -> Vec<String> {
    let owner = owner.trim_matches('"');
    let named = named(statement, line, names);
    let by_alias = named.iter().find(|(_, alias)| alias.eq_ignore_ascii_case(owner)).map(|(table, _)| *table);
    let table = by_alias.or_else(|| names.tables.iter().find(|(name, _)| name.eq_ignore_ascii_case(owner)));
    table.map_or_else(Vec::new, |(_, columns)| columns.iter().map(|column| quoted(column)).collect())
}

/// Names that SQL takes for something else have to stand in quotes.
fn quoted(column: &str) -> String {
    if column == "end" { format!("\"{column}\"") } else { column.to_owned() }
}

fn expression(word: &str, statement: &[&Token], line: &str, names: &Vocabulary) -> Vec<String> {
    let named = named(statement, line, names);
    let tables_meant: Vec<&(String, Vec<String>)> = if named.is_empty() {
        names.tables.iter().collect()
    } else {
        named.iter().map(|(table, _)| *table).collect()
    };
    let mut columns: Vec<String> = Vec::new();
    for column in tables_meant.iter().flat_map(|(_, columns)| columns) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    if word.starts_with('"') {
        return matching(word, columns);
    }
    let begins_statement = statement.iter().all(|token| !token.is_significant() || token.text(line) == word);
    if begins_statement {
        let firsts = [
            "select",
            "with",
            "explain",
            "explain analyze",
            "describe",
            "show tables",
            "create view",
            "drop view",
        ];
        return matching(word, firsts.map(str::to_owned).to_vec());
    }
    if word.is_empty() {
        // Everything would be too much to read.
        return if named.is_empty() { Vec::new() } else { columns };
    }
    let mut found = matching(word, columns);
    found.extend(matching(word, KEYWORDS.iter().map(|keyword| (*keyword).to_owned()).collect()));
    found.extend(matching(word, names.functions.iter().map(|function| format!("{function}(")).collect()));
    found.extend(matching(word, tables(names)));
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|name| seen.insert(name.clone()));
    found
}

/// The names that begin with a word, in its case: `SEL` gives `SELECT`.
fn matching(word: &str, names: Vec<String>) -> Vec<String> {
    let upper = word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    let bare = word.strip_prefix('"');
    let begins = |name: &str| {
        let name = if bare.is_some() { name.trim_matches('"') } else { name };
        let start = name.trim_start_matches('"').get(..bare.unwrap_or(word).len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(bare.unwrap_or(word)))
    };
    let mut found: Vec<String> = names.into_iter().filter(|name| begins(name)).collect();
    if bare.is_some() {
        found = found.iter().map(|name| format!("\"{}\"", name.trim_matches('"'))).collect();
    } else if upper {
        found = found.iter().map(|name| name.to_uppercase()).collect();
    }
    found
}

fn command(before: &str, names: &Vocabulary) -> Offer {
    let begin = before.rfind(char::is_whitespace).map_or(0, |space| space.saturating_add(1));
    let word = before.get(begin..).unwrap_or("");
    let earlier: Vec<&str> = before.get(..begin).unwrap_or("").split_whitespace().collect();
    let Some((name, arguments)) = earlier.split_first() else {
        return Offer::Words(begin, matching(word, commands::names().map(str::to_owned).collect()));
    };
    let queries = || names.queries.iter().map(|(name, _)| name.clone()).collect();
    let words = match (name.to_ascii_lowercase().as_str(), arguments) {
        (".schema" | ".inspect" | "\\d" | "\\d+", []) => tables(names),
        (".mode", []) => names.formats.iter().map(|format| (*format).to_owned()).collect(),
        (".timer" | "\\timing", []) => vec!["on".to_owned(), "off".to_owned()],
        (".queries" | ".run", []) => queries(),
        (".run", [query, ..]) => {
            let known = names.queries.iter().find(|(name, _)| name == query);
            known.map_or_else(Vec::new, |(_, params)| {
                params.iter().map(|param| format!("--{param}")).collect()
            })
        }
        (".read" | "\\i" | ".output" | ".o" | "\\o", []) => return Offer::File,
        _ => Vec::new(),
    };
    Offer::Words(begin, matching(word, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vocabulary {
        let table = |name: &str, columns: &[&str]| {
            (name.to_owned(), columns.iter().map(|c| (*c).to_owned()).collect())
        };
        Vocabulary {
            tables: vec![
                table("flow_logs", &["srcaddr", "srcport", "bytes", "start", "end"]),
                table("alb_logs", &["time", "elb", "elb_status_code"]),
            ],
            functions: vec!["sum".into(), "ip_prefix".into(), "ip_family".into(), "substr".into()],
            queries: vec![table("rejected", &["limit", "from", "to"]), table("rejected_by_port", &[])],
            formats: vec!["table", "csv"],
        }
    }

    /// Offers at `|`, joined.
    fn at(marked: &str) -> String {
        let at = marked.find('|').unwrap();
        match offer(&marked.replace('|', ""), at, &names()) {
            Offer::Words(begin, words) => {
                assert!(begin <= at);
                words.join(" ")
            }
            Offer::File => "FILE".into(),
        }
    }

    #[test]
    fn sql_is_completed() {
        assert_eq!(at("sel|"), "select");
        assert_eq!(at("SEL|"), "SELECT");
        assert_eq!(at("select 1; sel|"), "select");
        assert_eq!(at("select * from |"), "flow_logs alb_logs");
        assert_eq!(at("select * from fl|"), "flow_logs");
        assert_eq!(at("select * from flow_logs, a|"), "alb_logs");
        assert_eq!(at("select * from flow_logs join a|"), "alb_logs");
        assert_eq!(at("select src| from flow_logs"), "srcaddr srcport");
        assert_eq!(at("select src|"), "srcaddr srcport");
        assert_eq!(at("select elb| from flow_logs"), "");
        assert_eq!(at("select ip_| from flow_logs"), "ip_prefix( ip_family(");
        assert_eq!(at("select | from alb_logs"), "time elb elb_status_code");
        assert_eq!(at("select |"), "");
        assert_eq!(at("select f.s| from flow_logs f"), "srcaddr srcport start");
        assert_eq!(at("select f.| from flow_logs as f"), "srcaddr srcport bytes start \"end\"");
        assert_eq!(at("select alb_logs.t|"), "time");
        assert_eq!(at("select * from flow_logs order by by|"), "bytes");
        assert_eq!(at("select * from flow_logs gro|"), "group by grouping sets");
        assert_eq!(at("select \"e|\" from flow_logs"), "\"end\"");
        assert_eq!(at("select * from flow_logs where x = 'sr|'"), "");
        assert_eq!(at("select -- sr|"), "");
        assert_eq!(at("select * from flow_logs; select elb_|"), "elb_status_code");
    }

    #[test]
    fn commands_are_completed() {
        assert_eq!(at(".ta|"), ".tables");
        assert_eq!(at("\\d|"), "\\d \\dt \\df");
        assert_eq!(at(".schema f|"), "flow_logs");
        assert_eq!(at("\\d |"), "flow_logs alb_logs");
        assert_eq!(at(".mode c|"), "csv");
        assert_eq!(at(".timer o|"), "on off");
        assert_eq!(at(".run rej|"), "rejected rejected_by_port");
        assert_eq!(at(".run rejected --|"), "--limit --from --to");
        assert_eq!(at(".run rejected --limit 5 --f|"), "--from");
        assert_eq!(at(".read |"), "FILE");
        assert_eq!(at(".output x|"), "FILE");
        assert_eq!(at(".quit x|"), "");
    }

    proptest::proptest! {
        #[test]
        fn any_text_at_any_place(text in "[-a-f'\"/*\\n ;.,é\\\\]{0,30}", at in 0_usize..40) {
            if let Offer::Words(begin, _) = offer(&text, at, &names()) {
                proptest::prop_assert!(begin <= at);
            }
        }
    }
}
