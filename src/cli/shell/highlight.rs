//! Colours of what is typed.

use super::lexer::{self, TokenKind};

const KEYWORD: &str = "1;34";
const FUNCTION: &str = "36";
const TEXT: &str = "32";
const NUMBER: &str = "35";
const COMMENT: &str = "2";
const COMMAND: &str = "1;33";

/// SQL's words. Those that start a clause or an expression are worth completing; all are coloured.
pub const KEYWORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "offset",
    "distinct",
    "as",
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "is null",
    "is not null",
    "between",
    "like",
    "ilike",
    "similar to",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast",
    "try_cast",
    "extract",
    "interval",
    "date",
    "timestamp",
    "exists",
    "any",
    "all",
    "join",
    "inner join",
    "left join",
    "right join",
    "full join",
    "cross join",
    "semi",
    "anti",
    "lateral",
    "natural",
    "on",
    "using",
    "union",
    "union all",
    "intersect",
    "except",
    "with",
    "recursive",
    "asc",
    "desc",
    "nulls first",
    "nulls last",
    "filter",
    "over",
    "partition by",
    "rows",
    "range",
    "preceding",
    "following",
    "unbounded",
    "current row",
    "window",
    "values",
    "true",
    "false",
    "explain",
    "explain analyze",
    "describe",
    "show tables",
    "show columns",
    "create table",
    "create view",
    "create or replace view",
    "drop table",
    "drop view",
    "if exists",
    "if not exists",
    "copy",
    "to",
    "insert into",
    "set",
    "within group",
    "qualify",
    "tablesample",
    "grouping sets",
    "rollup",
    "cube",
    "at time zone",
    "escape",
    "at",
];

/// Whether a word is one of SQL's.
pub fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().flat_map(|keyword| keyword.split(' ')).any(|known| known.eq_ignore_ascii_case(word))
}

/// The text with colours, the same otherwise.
pub fn highlight(text: &str) -> String {
    if lexer::is_command(text) {
        return command(text);
    }
    let tokens = lexer::tokens(text);
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    for (at, token) in tokens.iter().enumerate() {
        let word = token.text(text);
        let called = || tokens.get(at.saturating_add(1)).is_some_and(|next| next.text(text) == "(");
        let after_dot =
            || at.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|t| t.text(text) == ".");
        let code = match token.kind {
            TokenKind::Word if after_dot() => None,
            TokenKind::Word if is_keyword(word) => Some(KEYWORD),
            TokenKind::Word if called() => Some(FUNCTION),
            TokenKind::Text => Some(TEXT),
            TokenKind::Number => Some(NUMBER),
            TokenKind::Comment => Some(COMMENT),
            _ => None,
        };
        paint(&mut out, word, code);
    }
    out
}

fn command(text: &str) -> String {
    let begin = text.len().saturating_sub(text.trim_start().len());
    let rest = text.get(begin..).unwrap_or("");
    let end = begin.saturating_add(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let mut out = text.get(..begin).unwrap_or("").to_owned();
    paint(&mut out, text.get(begin..end).unwrap_or(""), Some(COMMAND));
    out.push_str(text.get(end..).unwrap_or(""));
    out
}

/// Colour ends with the line and begins again on the next, so that what stands before the next line keeps its own.
fn paint(out: &mut String, text: &str, code: Option<&str>) {
    let Some(code) = code else { return out.push_str(text) };
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        if !line.is_empty() {
            out.push_str(&format!("\u{1b}[{code}m{line}\u{1b}[0m"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_colours() {
        assert_eq!(
            highlight("select sum(x), 'a' from t -- b"),
            "\u{1b}[1;34mselect\u{1b}[0m \u{1b}[36msum\u{1b}[0m(x), \u{1b}[32m'a'\u{1b}[0m \u{1b}[1;34mfrom\u{1b}[0m t \
             \u{1b}[2m-- b\u{1b}[0m"
        );
        assert_eq!(highlight("x = 10;"), "x = \u{1b}[35m10\u{1b}[0m;");
        // A column after a dot is no keyword, nor is a name in quotes.
        assert_eq!(highlight("f.end, \"end\""), "f.end, \"end\"");
        assert_eq!(highlight(" .mode csv"), " \u{1b}[1;33m.mode\u{1b}[0m csv");
        assert_eq!(highlight("'a\nb'"), "\u{1b}[32m'a\u{1b}[0m\n\u{1b}[32mb'\u{1b}[0m");
    }

    proptest::proptest! {
        #[test]
        fn only_colours_are_added(text in "[-a-z'\"/*\\n ;.0é\\\\]{0,40}") {
            let mut plain = highlight(&text).replace("\u{1b}[0m", "");
            for code in [KEYWORD, FUNCTION, TEXT, NUMBER, COMMENT, COMMAND] {
                plain = plain.replace(&format!("\u{1b}[{code}m"), "");
            }
            proptest::prop_assert_eq!(plain, text);
        }
    }
}
