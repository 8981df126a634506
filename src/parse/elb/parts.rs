//! Fields that hold several columns: address and port, and the request line.

use memchr::{memchr, memrchr};

use super::shape;

/// A piece of a field, by offsets into it; empty means no value.
pub(super) type Piece = (usize, usize);

const NOTHING: Piece = (0, 0);

/// Address and port: split at the last colon, as IPv6 addresses stand without brackets (observed); brackets
/// are accepted and dropped. Without one to five digits behind the last colon the whole text is the address.
#[inline]
pub(super) fn endpoint(text: &[u8]) -> (Piece, Piece) {
    if text == b"-" {
        return (NOTHING, NOTHING);
    }
    let Some(colon) = shape::port_colon(text) else {
        return ((0, text.len()), NOTHING);
    };
    let bracketed = text.first() == Some(&b'[') && colon >= 2 && text.get(colon - 1) == Some(&b']');
    let address = if bracketed { (1, colon - 1) } else { (0, colon) };
    (address, (colon + 1, text.len()))
}

/// Method, URL and HTTP version of a request line.
///
/// A URL keeps the spaces that clients put into it, and the odd `:80-` of requests that could not be read
/// (observed). A version is only taken for one if it looks like one, since Classic Load Balancers leave it
/// out at times (observed).
#[inline]
pub(super) fn request(text: &[u8]) -> [Piece; 3] {
    usual_request(text).unwrap_or_else(|| any_request(text))
}

/// A request line with a method of up to seven letters, a URL and a version of three characters, single spaces between
/// them; `None` says only that the slow way has to look.
#[inline]
fn usual_request(text: &[u8]) -> Option<[Piece; 3]> {
    let (before, version) = text.split_last_chunk::<9>()?;
    let is_version = version.starts_with(b" HTTP/")
        && (version[6].is_ascii_digit() && version[7] == b'.' && version[8].is_ascii_digit());
    let head = before.first_chunk::<8>()?;
    let method = head.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let url = (method + 1, before.len());
    let usual = is_version
        && method > 0
        && head.get(method) == Some(&b' ')
        && !matches!(piece(text, url), [] | [b'-'] | [b' ', ..] | [.., b' ']);
    usual.then(|| [(0, method), url, (before.len() + 1, text.len())])
}

fn any_request(text: &[u8]) -> [Piece; 3] {
    if matches!(text.first(), None | Some(b'-' | b' ')) && only_dashes(text) {
        return [NOTHING; 3];
    }
    let Some(space) = memchr(b' ', text) else {
        return [(0, text.len()), NOTHING, NOTHING];
    };
    let method = (0, space);
    let mut url = (space + 1, text.len());
    let mut version = NOTHING;
    let rest = piece(text, url);
    let last = memrchr(b' ', rest).map_or(space + 1, |place| space + 1 + place + 1);
    let token = (last, text.len());
    if matches!(piece(text, token), b"" | b"-") || shape::is_http_version(piece(text, token)) {
        version = token;
        url.1 = last;
    }
    [unless_dash(text, method), unless_dash(text, trimmed(text, url)), unless_dash(text, version)]
}

fn only_dashes(text: &[u8]) -> bool {
    text.split(|&byte| byte == b' ').all(|token| matches!(token, b"" | b"-"))
}

fn piece(text: &[u8], (start, end): Piece) -> &[u8] {
    text.get(start..end).unwrap_or_default()
}

#[inline]
fn unless_dash(text: &[u8], part: Piece) -> Piece {
    if piece(text, part) == b"-" { NOTHING } else { part }
}

#[inline]
fn trimmed(text: &[u8], (mut start, mut end): Piece) -> Piece {
    while start < end && text.get(start) == Some(&b' ') {
        start += 1;
    }
    while start < end && text.get(end - 1) == Some(&b' ') {
        end -= 1;
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn usual_requests_are_cut_as_any(
            text in "[A-Z-]{0,8} {0,2}(h:80/|-|[a-z ]{0,9}|[a-z]{20}) {0,2}(HTTP/[0-9.]{0,4}|-)?",
        ) {
            prop_assert_eq!(request(text.as_bytes()), any_request(text.as_bytes()));
        }
    }

    fn texts<const N: usize>(text: &str, pieces: [Piece; N]) -> [&str; N] {
        pieces.map(|(start, end)| &text[start..end])
    }

    #[test]
    fn request_lines_of_the_table() {
        for (text, expected) in [
            ("GET http://h:80/a?b HTTP/1.1", ["GET", "http://h:80/a?b", "HTTP/1.1"]),
            ("GET http://h:80/a b HTTP/1.1", ["GET", "http://h:80/a b", "HTTP/1.1"]),
            ("GET https://h:443/a", ["GET", "https://h:443/a", ""]),
            ("- http://h:80- -", ["", "http://h:80-", ""]),
            ("- http://h:80- ", ["", "http://h:80-", ""]),
            ("- http://h:80-/ ", ["", "http://h:80-/", ""]),
            ("- - - ", ["", "", ""]),
            ("- - -", ["", "", ""]),
            ("-", ["", "", ""]),
            ("", ["", "", ""]),
            (" ", ["", "", ""]),
            ("GET", ["GET", "", ""]),
            ("GET  http://h:80/a  HTTP/2.0", ["GET", "http://h:80/a", "HTTP/2.0"]),
            ("GET http://h:80/a HTTP/", ["GET", "http://h:80/a HTTP/", ""]),
            ("GET - HTTP/1.1", ["GET", "", "HTTP/1.1"]),
            ("-- x y", ["--", "x y", ""]),
        ] {
            assert_eq!(texts(text, request(text.as_bytes())), expected, "{text:?}");
        }
    }

    #[test]
    fn addresses_and_ports() {
        for (text, expected) in [
            ("198.51.100.39:2817", ["198.51.100.39", "2817"]),
            ("2001:db8::7:50718", ["2001:db8::7", "50718"]),
            ("[2001:db8::7]:50718", ["2001:db8::7", "50718"]),
            ("-", ["", ""]),
            ("198.51.100.39", ["198.51.100.39", ""]),
            ("198.51.100.39:", ["198.51.100.39:", ""]),
            ("198.51.100.39:-", ["198.51.100.39:-", ""]),
            ("198.51.100.39:123456", ["198.51.100.39:123456", ""]),
            ("2001:db8::beef", ["2001:db8::beef", ""]),
            ("[2001:db8::7]", ["[2001:db8::7]", ""]),
            (":80", ["", "80"]),
            ("", ["", ""]),
        ] {
            let (address, port) = endpoint(text.as_bytes());
            assert_eq!(texts(text, [address, port]), expected, "{text:?}");
        }
    }
}
