//! SQL text cut into what the shell's editor needs: where words, strings and comments are, and whether a statement is
//! complete. It knows no grammar; parsing is the engine's.

use std::ops::Range;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or name.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A string in single quotes or between `$$`.
    Text,
    /// A number.
    Number,
    /// `-- …` or `/* … */`.
    Comment,
    /// White space.
    Space,
    /// Anything else, a character at a time.
    Punctuation,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// Whether its end is there: the quote or comment is closed.
    pub closed: bool,
}

impl Token {
    /// The text of the token in the text it was cut from.
    pub fn text<'t>(&self, sql: &'t str) -> &'t str {
        sql.get(self.range.clone()).unwrap_or("")
    }

    /// Whether it says something to the parser.
    pub fn is_significant(&self) -> bool {
        !matches!(self.kind, TokenKind::Space | TokenKind::Comment)
    }
}

/// Cuts a text into tokens that together cover all of it.
pub fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let (kind, length, closed) = first(rest);
        // A token is never empty, so that this ends.
        let end = at.saturating_add(length.max(1)).min(sql.len());
        tokens.push(Token { kind, range: at..end, closed });
        at = end;
    }
    tokens
}

fn first(rest: &str) -> (TokenKind, usize, bool) {
    let mut chars = rest.chars();
    let Some(c) = chars.next() else { return (TokenKind::Space, 0, true) };
    let next = chars.next();
    match c {
        '\'' => quoted(rest, '\'', TokenKind::Text),
        '"' => quoted(rest, '"', TokenKind::Quoted),
        '$' if next == Some('$') => match rest.get(2..).and_then(|body| body.find("$$")) {
            Some(length) => (TokenKind::Text, length.saturating_add(4), true),
            None => (TokenKind::Text, rest.len(), false),
        },
        // A line comment ends with its line, or with the text.
        '-' if next == Some('-') => (TokenKind::Comment, rest.find('\n').unwrap_or(rest.len()), true),
        '/' if next == Some('*') => block_comment(rest),
        c if c.is_whitespace() => (TokenKind::Space, run(rest, char::is_whitespace), true),
        c if c.is_ascii_digit() => (TokenKind::Number, number(rest), true),
        '.' if next.is_some_and(|c| c.is_ascii_digit()) => (TokenKind::Number, number(rest), true),
        c if is_word(c) => (TokenKind::Word, run(rest, is_word), true),
        c => (TokenKind::Punctuation, c.len_utf8(), true),
    }
}

/// Whether a character may stand in a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let mut before = ' ';
    let end = text.find(|c: char| {
        let sign_of_exponent = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        before = c;
        !(is_word(c) || c == '.' || sign_of_exponent)
    });
    end.unwrap_or(text.len())
}

/// A doubled quote stands for itself.
fn quoted(text: &str, quote: char, kind: TokenKind) -> (TokenKind, usize, bool) {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return (kind, at.saturating_add(1), true);
        }
    }
    (kind, text.len(), false)
}

/// Comments nest.
fn block_comment(text: &str) -> (TokenKind, usize, bool) {
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        match (c, next) {
            ('/', Some('*')) => {
                depth = depth.saturating_add(1);
                chars.next();
            }
            ('*', Some('/')) => {
                depth = depth.saturating_sub(1);
                chars.next();
                if depth == 0 {
                    return (TokenKind::Comment, at.saturating_add(2), true);
                }
            }
            _ => {}
        }
    }
    (TokenKind::Comment, text.len(), false)
}

/// Words that need neither dot nor semicolon when they are all there is.
pub const BARE: [&str; 3] = ["help", "quit", "exit"];

/// Whether a text is a command of the shell, which ends with its line.
pub fn is_command(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['.', '\\']) || BARE.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether what was typed can be run as it is: a command, nothing at all, or statements with a `;` after the last.
pub fn is_complete(text: &str) -> bool {
    if is_command(text) {
        return true;
    }
    let tokens = tokens(text);
    if tokens.iter().any(|token| !token.closed) {
        return false;
    }
    match tokens.iter().rev().find(|token| token.is_significant()) {
        Some(last) => last.text(text) == ";",
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<(TokenKind, &str)> {
        tokens(sql).iter().filter(|t| t.kind != TokenKind::Space).map(|t| (t.kind, t.text(sql))).collect()
    }

    #[test]
    fn tokens_are_told_apart() {
        use TokenKind::*;
        assert_eq!(
            kinds("select \"end\", 'it''s; -- no', 1.5e-3 /* a /* b */ ; */ from t -- all;\nwhere x>=.5"),
            [
                (Word, "select"),
                (Quoted, "\"end\""),
                (Punctuation, ","),
                (Text, "'it''s; -- no'"),
                (Punctuation, ","),
                (Number, "1.5e-3"),
                (Comment, "/* a /* b */ ; */"),
                (Word, "from"),
                (Word, "t"),
                (Comment, "-- all;"),
                (Word, "where"),
                (Word, "x"),
                (Punctuation, ">"),
                (Punctuation, "="),
                (Number, ".5"),
            ]
        );
        assert_eq!(kinds("$$a;b$$ $x"), [(Text, "$$a;b$$"), (Punctuation, "$"), (Word, "x")]);
    }

    #[test]
    fn a_statement_is_complete_with_its_semicolon() {
        for complete in [
            "select 1;",
            "select 1; -- done",
            "select 1 ; /* x */ \n",
            "select ';' ;",
            "select 1; select 2;",
            "",
            "  \n",
            "-- a remark",
            ".tables",
            "  .mode csv",
            "\\d flow_logs",
            "quit",
            " EXIT ",
            "help",
        ] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for open in [
            "select 1",
            "select 1 -- ;",
            "select ';",
            "select 'it''s;",
            "select \"a;",
            "select 1 /* ;",
            "select 1; select 2",
            "select $$;",
            "select 1 /* /* */ ;",
            "quit now",
        ] {
            assert!(!is_complete(open), "{open:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn tokens_cover_any_text(text in "[-a'\"$/*\\n ;.0é5e+]{0,40}") {
            let whole: String = tokens(&text).iter().map(|token| token.text(&text)).collect();
            proptest::prop_assert_eq!(whole, text);
        }
    }
}
