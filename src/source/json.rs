//! A push scanner for JSON: tokens out of chunks cut anywhere, memory bounded by the longest string.
//!
//! Envelopes may be hundreds of megabytes in one document, which no tree should be built of. Several documents may follow
//! each other with or without white space between them. Control characters inside strings are accepted, since some
//! exporters write them.

use memchr::memchr2;

/// Strings longer than this are refused; a log event has at most 1 MiB.
const STRING: usize = 16 << 20;
const SCALAR: usize = 1024;
const DEPTH: usize = 512;

/// A piece of JSON. Strings are decoded; lone surrogates become U+FFFD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    Key(&'a [u8]),
    Text(&'a [u8]),
    /// A number, `true`, `false` or `null`, as written.
    Scalar(&'a [u8]),
}

/// Where the text stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// Offset in all that was pushed.
    pub at: u64,
    pub expected: &'static str,
    /// What is there; `None` at the end.
    pub found: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    FirstItem,
    FirstKey,
    Key,
    Colon,
    AfterValue,
    Text { key: bool },
    Escape { key: bool },
    Unicode { key: bool, digits: u8, code: u16 },
    Scalar,
}

pub(crate) struct JsonScanner {
    state: State,
    /// Whether each open container is an object.
    stack: Vec<bool>,
    buffer: Vec<u8>,
    high: Option<u16>,
    position: u64,
}

impl JsonScanner {
    pub(crate) fn new() -> JsonScanner {
        JsonScanner { state: State::Value, stack: Vec::new(), buffer: Vec::new(), high: None, position: 0 }
    }

    /// Scans a chunk. After an error the scanner must not be used again.
    pub(crate) fn push(&mut self, chunk: &[u8], mut sink: impl FnMut(Token<'_>)) -> Result<(), JsonError> {
        let base = self.position;
        let mut at = 0usize;
        while let Some(&byte) = chunk.get(at) {
            self.position = base + at as u64;
            if let State::Text { key } = self.state {
                let rest = chunk.get(at..).unwrap_or_default();
                let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                if length > 0 {
                    self.end_surrogate();
                    self.buffer.extend_from_slice(rest.get(..length).unwrap_or_default());
                    if self.buffer.len() > STRING {
                        return Err(self.error("a string shorter than 16 MiB", None));
                    }
                    at += length;
                    continue;
                }
                if byte == b'\\' {
                    self.state = State::Escape { key };
                } else {
                    self.end_surrogate();
                    let text = std::mem::take(&mut self.buffer);
                    sink(if key { Token::Key(&text) } else { Token::Text(&text) });
                    self.buffer = text;
                    self.state = if key { State::Colon } else { self.after_value() };
                }
            } else if !self.step(byte, &mut sink)? {
                continue;
            }
            at += 1;
        }
        self.position = base + chunk.len() as u64;
        Ok(())
    }

    /// Ends the text; an open document is an error.
    pub(crate) fn finish(&mut self, mut sink: impl FnMut(Token<'_>)) -> Result<(), JsonError> {
        if self.state == State::Scalar {
            self.end_scalar(&mut sink)?;
        }
        let expected = match self.state {
            State::Value if self.stack.is_empty() => return Ok(()),
            State::Value => "a value",
            State::FirstItem => "a value or `]`",
            State::FirstKey => "a member name or `}`",
            State::Key => "a member name",
            State::Colon => "`:`",
            State::AfterValue if self.stack.last() == Some(&true) => "`,` or `}`",
            State::AfterValue => "`,` or `]`",
            _ => "the end of a string",
        };
        Err(self.error(expected, None))
    }

    fn error(&self, expected: &'static str, found: Option<u8>) -> JsonError {
        JsonError { at: self.position, expected, found }
    }

    fn after_value(&self) -> State {
        if self.stack.is_empty() { State::Value } else { State::AfterValue }
    }

    /// Takes a byte outside the run of a string; false when the byte must be looked at again.
    fn step(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> Result<bool, JsonError> {
        match self.state {
            State::Escape { key } => {
                self.escape(byte, key)?;
                return Ok(true);
            }
            State::Unicode { key, digits, code } => {
                let Some(digit) = (byte as char).to_digit(16) else {
                    return Err(self.error("four hexadecimal digits", Some(byte)));
                };
                let code = code << 4 | digit as u16;
                if digits < 3 {
                    self.state = State::Unicode { key, digits: digits + 1, code };
                } else {
                    self.unicode(code);
                    self.state = State::Text { key };
                }
                return Ok(true);
            }
            State::Scalar => {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') {
                    self.buffer.push(byte);
                    if self.buffer.len() > SCALAR {
                        return Err(self.error("a shorter number", Some(byte)));
                    }
                    return Ok(true);
                }
                self.end_scalar(sink)?;
                return Ok(false);
            }
            _ => {}
        }
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(true);
        }
        match (self.state, byte) {
            (State::FirstItem, b']') => self.close(Token::EndArray, sink),
            (State::Value | State::FirstItem, _) => self.begin_value(byte, sink)?,
            (State::FirstKey, b'}') => self.close(Token::EndObject, sink),
            (State::FirstKey | State::Key, b'"') => self.begin_text(true),
            (State::FirstKey, _) => return Err(self.error("a member name or `}`", Some(byte))),
            (State::Key, _) => return Err(self.error("a member name", Some(byte))),
            (State::Colon, b':') => self.state = State::Value,
            (State::Colon, _) => return Err(self.error("`:`", Some(byte))),
            (_, _) => match (self.stack.last(), byte) {
                (Some(true), b'}') => self.close(Token::EndObject, sink),
                (Some(false), b']') => self.close(Token::EndArray, sink),
                (Some(true), b',') => self.state = State::Key,
                (Some(false), b',') => self.state = State::Value,
                (Some(true), _) => return Err(self.error("`,` or `}`", Some(byte))),
                _ => return Err(self.error("`,` or `]`", Some(byte))),
            },
        }
        Ok(true)
    }

    fn begin_value(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> Result<(), JsonError> {
        match byte {
            b'"' => self.begin_text(false),
            b'{' | b'[' if self.stack.len() >= DEPTH => {
                return Err(self.error("less deep nesting", Some(byte)));
            }
            b'{' => {
                self.stack.push(true);
                self.state = State::FirstKey;
                sink(Token::BeginObject);
            }
            b'[' => {
                self.stack.push(false);
                self.state = State::FirstItem;
                sink(Token::BeginArray);
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.buffer.clear();
                self.buffer.push(byte);
                self.state = State::Scalar;
            }
            _ => return Err(self.error("a value", Some(byte))),
        }
        Ok(())
    }

    fn begin_text(&mut self, key: bool) {
        self.buffer.clear();
        self.high = None;
        self.state = State::Text { key };
    }

    fn close(&mut self, token: Token<'_>, sink: &mut impl FnMut(Token<'_>)) {
        self.stack.pop();
        self.state = self.after_value();
        sink(token);
    }

    fn end_scalar(&mut self, sink: &mut impl FnMut(Token<'_>)) -> Result<(), JsonError> {
        if !is_scalar(&self.buffer) {
            return Err(self.error("a number, true, false or null", None));
        }
        sink(Token::Scalar(&self.buffer));
        self.state = self.after_value();
        Ok(())
    }

    fn escape(&mut self, byte: u8, key: bool) -> Result<(), JsonError> {
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.state = State::Unicode { key, digits: 0, code: 0 };
                return Ok(());
            }
            _ => return Err(self.error("an escape such as \\n or \\u0020", Some(byte))),
        };
        self.end_surrogate();
        self.buffer.push(plain);
        self.state = State::Text { key };
        Ok(())
    }

    fn unicode(&mut self, code: u16) {
        if let Some(high) = self.high.take() {
            if (0xdc00..0xe000).contains(&code) {
                let point = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(code) - 0xdc00);
                return self.push_char(char::from_u32(point));
            }
            self.push_char(None);
        }
        if (0xd800..0xdc00).contains(&code) {
            self.high = Some(code);
        } else {
            self.push_char(char::from_u32(u32::from(code)));
        }
    }

    fn end_surrogate(&mut self) {
        if self.high.take().is_some() {
            self.push_char(None);
        }
    }

    fn push_char(&mut self, point: Option<char>) {
        let mut bytes = [0; 4];
        self.buffer.extend_from_slice(point.unwrap_or('\u{fffd}').encode_utf8(&mut bytes).as_bytes());
    }
}

fn is_scalar(text: &[u8]) -> bool {
    if matches!(text, b"true" | b"false" | b"null") {
        return true;
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn scan(text: &[u8], step: usize) -> (Vec<String>, Result<(), JsonError>) {
        let mut scanner = JsonScanner::new();
        let mut tokens = Vec::new();
        let mut sink = |token: Token<'_>| tokens.push(show(token));
        let mut result = text.chunks(step.max(1)).try_for_each(|chunk| scanner.push(chunk, &mut sink));
        if result.is_ok() {
            result = scanner.finish(&mut sink);
        }
        (tokens, result)
    }

    fn show(token: Token<'_>) -> String {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match token {
            Token::Key(key) => format!("key {}", text(key)),
            Token::Text(value) => format!("text {}", text(value)),
            Token::Scalar(value) => text(value),
            other => format!("{other:?}"),
        }
    }

    fn tokens_of(value: &Value, tokens: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                tokens.push("BeginObject".into());
                for (key, value) in members {
                    tokens.push(format!("key {key}"));
                    tokens_of(value, tokens);
                }
                tokens.push("EndObject".into());
            }
            Value::Array(items) => {
                tokens.push("BeginArray".into());
                items.iter().for_each(|item| tokens_of(item, tokens));
                tokens.push("EndArray".into());
            }
            Value::String(text) => tokens.push(format!("text {text}")),
            other => tokens.push(other.to_string()),
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            "[\"\\\\/\n\t\u{1}é😀]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-z\"\\\\]{0,4}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn escapes_and_surrogates() {
        let (tokens, result) = scan(br#""\ud83d\ude00 \ud83d \ud83dx \u00e9\/\"\\\n\ude00""#, 1);
        assert_eq!(result, Ok(()));
        assert_eq!(tokens, ["text \u{1f600} \u{fffd} \u{fffd}x é/\"\\\n\u{fffd}"]);
    }

    #[test]
    fn errors_say_where_and_what() {
        let cases: [(&str, u64, &str, Option<u8>); 8] = [
            ("{\"a\" 1}", 5, "`:`", Some(b'1')),
            ("{\"a\":1]", 6, "`,` or `}`", Some(b']')),
            ("[1,]", 3, "a value", Some(b']')),
            ("{\"a\":", 5, "a value", None),
            ("{\"a", 3, "the end of a string", None),
            ("{,", 1, "a member name or `}`", Some(b',')),
            ("[tru]", 4, "a number, true, false or null", None),
            ("[\"\\x\"]", 3, "an escape such as \\n or \\u0020", Some(b'x')),
        ];
        for (text, at, expected, found) in cases {
            assert_eq!(scan(text.as_bytes(), 3).1, Err(JsonError { at, expected, found }), "{text}");
        }
        assert!(scan("[".repeat(600).as_bytes(), 100).1.is_err());
    }

    proptest! {
        #[test]
        fn valid_json_gives_the_tokens_of_its_tree(docs in proptest::collection::vec(json(), 1..4), pretty in any::<bool>(), step in 1usize..9) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for doc in &docs {
                text += &if pretty { serde_json::to_string_pretty(doc).unwrap() } else { serde_json::to_string(doc).unwrap() };
                text.push('\n');
                tokens_of(doc, &mut expected);
            }
            let (tokens, result) = scan(text.as_bytes(), step);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(tokens, expected);
        }

        #[test]
        fn what_serde_takes_is_taken_and_nothing_panics(text in "[\\[\\]{}\",:\\\\0-9eE.+tfnulras -]{0,30}", step in 1usize..9) {
            let (_, result) = scan(text.as_bytes(), step);
            let serde = serde_json::Deserializer::from_str(&text).into_iter::<Value>().all(|doc| doc.is_ok());
            if serde {
                prop_assert_eq!(result, Ok(()));
            }
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100), step in 1usize..9) {
            let _ = scan(&bytes, step);
        }
    }
}
