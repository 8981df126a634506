//! Lines whose request or user agent holds a bare quote: where these two fields really end.
//!
//! AWS writes a client's quotes as `\x22`, so such lines come from re-exporters, or from text that ends in a
//! backslash. Behind the user agent stand fields of a known shape (cipher, protocol, target group); the first
//! place that looks like them is where the user agent ends.

use memchr::{memchr_iter, memmem};

use super::shape;
use super::tokenizer::{Next, Token, Tokenizer};

/// How many places are tried at most, so that a hostile line cannot take quadratic time.
const MOST_PLACES: usize = 16;

/// Another reading of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mended {
    pub(super) request: Token,
    pub(super) user_agent: Token,
    /// Where the field behind the user agent begins.
    pub(super) rest: usize,
}

/// The readings of a line whose request's quote opens at `open`, nearest first. `with_arn`: whether a target
/// group follows the protocol (Application Load Balancer) or not (Classic).
pub(super) fn readings(line: &[u8], open: usize, with_arn: bool) -> impl Iterator<Item = Mended> + '_ {
    let free = open + 1;
    let text = line.get(free..).unwrap_or_default();
    memchr_iter(b'"', text)
        .filter(move |&close| is_anchor(text.get(close + 1..).unwrap_or_default(), with_arn))
        .take(MOST_PLACES)
        .filter_map(move |close| {
            let middle = request_end(text.get(..close)?)?;
            let quoted = |start, end| Token { start, end, quoted: true };
            Some(Mended {
                request: quoted(free, free + middle),
                user_agent: quoted(free + middle + 3, free + close),
                rest: free + close + 1,
            })
        })
}

/// Whether ` CIPHER PROTOCOL [ARN]` and then a space or nothing stands here.
fn is_anchor(text: &[u8], with_arn: bool) -> bool {
    let mut fields = text.split(|&byte| byte == b' ');
    let mut next = |test: fn(&[u8]) -> bool| fields.next().is_some_and(test);
    next(<[u8]>::is_empty)
        && next(shape::is_cipher)
        && next(shape::is_protocol)
        && (!with_arn || next(shape::is_arn))
}

/// Where the request ends in `REQUEST" "USER AGENT`: at the first `" "` behind an HTTP version, else at the
/// first one.
fn request_end(text: &[u8]) -> Option<usize> {
    let after_version = |&place: &usize| {
        let request = text.get(..place).unwrap_or_default();
        request.rsplit(|&byte| byte == b' ').next().is_some_and(shape::is_http_version)
    };
    let mut places = memmem::find_iter(text, b"\" \"").take(MOST_PLACES);
    places.clone().find(after_version).or_else(|| places.next())
}

/// All fields from an offset on; `None` if a quote does not close.
pub(super) fn bare_and_quoted(line: &[u8], at: usize) -> Option<Vec<Token>> {
    let mut fields = Tokenizer::<true>::new(line, at);
    let mut all = Vec::new();
    loop {
        match fields.next_field() {
            Next::Field(token) => all.push(token),
            Next::Unclosed(_) => return None,
            Next::End => return Some(all),
        }
    }
}

/// Whether a field is a time or `-`, or the line ends before it.
pub(super) fn has_time_or_dash(line: &[u8], fields: &[Token], position: usize) -> bool {
    fields.get(position).is_none_or(|token| {
        let text = token.of(line);
        text == b"-" || shape::is_time(text)
    })
}

/// Where the quote of the request opens, the field at this position.
pub(super) fn request_quote(line: &[u8], request: usize) -> Option<usize> {
    let mut fields = Tokenizer::<true>::new(line, 0);
    for _ in 0..request {
        match fields.next_field() {
            Next::Field(_) => {}
            Next::Unclosed(_) | Next::End => return None,
        }
    }
    match fields.next_field() {
        Next::Field(token) if token.quoted => token.start.checked_sub(1),
        Next::Unclosed(open) => Some(open),
        Next::Field(_) | Next::End => None,
    }
}
