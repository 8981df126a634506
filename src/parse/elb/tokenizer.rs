//! A line to fields: spaces between them, double quotes around those that hold spaces.
//!
//! What a field means is the layout's. AWS documents no escapes; clients' quotes arrive as `\x22` (observed),
//! so a backslash and the byte after it are taken as a pair, and a quote closes only before a space or the
//! line's end.

use memchr::{memchr, memchr2};

/// A field of a line: where its text lies, without quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Offset of the first byte in the line.
    pub start: usize,
    /// Offset behind the last byte in the line.
    pub end: usize,
    /// Whether it stood in double quotes.
    pub quoted: bool,
}

impl Token {
    /// The field's text.
    #[inline]
    pub fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.start..self.end).unwrap_or_default()
    }
}

/// The next thing in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A field.
    Field(Token),
    /// A quote that opens at this offset and never closes.
    Unclosed(usize),
    /// Nothing but spaces up to the line's end.
    End,
}

/// Cuts one line, given without its end, into fields. Runs of spaces separate.
///
/// With `QUOTES` false, quotes mean nothing: the Network Load Balancer writes `"h2","http/1.1"` as one field
/// and cuts it at 256 bytes, so a closing quote can be missing (documented).
#[derive(Clone, Debug)]
pub struct Tokenizer<'a, const QUOTES: bool> {
    line: &'a [u8],
    at: usize,
}

impl<'a, const QUOTES: bool> Tokenizer<'a, QUOTES> {
    /// Starts at an offset of the line.
    pub fn new(line: &'a [u8], at: usize) -> Self {
        Tokenizer { line, at }
    }

    /// The next field.
    #[inline]
    pub fn next_field(&mut self) -> Next {
        let mut start = self.at;
        let first = loop {
            match self.line.get(start) {
                Some(b' ') => start += 1,
                Some(&byte) => break byte,
                None => return Next::End,
            }
        };
        if QUOTES && first == b'"' {
            return self.quoted(start);
        }
        let rest = self.line.get(start..).unwrap_or_default();
        let end = start + length_to_space(rest);
        self.at = end + 1;
        Next::Field(Token { start, end, quoted: false })
    }

    #[inline]
    fn quoted(&mut self, open: usize) -> Next {
        // Many quoted fields hold nothing but a dash: no search is set up for these.
        if let Some([b'-', b'"', after @ ..]) = self.line.get(open + 1..)
            && matches!(after.first(), None | Some(b' '))
        {
            self.at = open + 4;
            return Next::Field(Token { start: open + 1, end: open + 2, quoted: true });
        }
        let mut from = open + 1;
        loop {
            let rest = self.line.get(from..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', rest) else {
                return Next::Unclosed(open);
            };
            let place = from + found;
            if rest.get(found) == Some(&b'\\') {
                from = place + 2;
            } else if matches!(rest.get(found + 1), None | Some(b' ')) {
                self.at = place + 2;
                return Next::Field(Token { start: open + 1, end: place, quoted: true });
            } else {
                from = place + 1;
            }
        }
    }
}

/// How many bytes stand before the next space. Most bare fields are short: two words of eight bytes are
/// looked at without a branch for each byte, as the lengths of fields cannot be foreseen, before a vector
/// search is set up.
#[inline]
fn length_to_space(rest: &[u8]) -> usize {
    let mut tail = rest;
    for passed in [0, 8] {
        let Some((word, after)) = tail.split_first_chunk::<8>() else { break };
        let marks = spaces_in(u64::from_le_bytes(*word));
        if marks != 0 {
            return passed + (marks.trailing_zeros() / 8) as usize;
        }
        tail = after;
    }
    let passed = rest.len() - tail.len();
    passed + memchr(b' ', tail).unwrap_or(tail.len())
}

/// The high bit of each byte that is a space; bytes above the first one may be marked wrongly.
#[inline]
fn spaces_in(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let differing = word ^ (ONES * b' ' as u64);
    differing.wrapping_sub(ONES) & !differing & (ONES << 7)
}
