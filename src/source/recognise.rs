//! What a file holds, by its first decoded bytes and never by its name.
//!
//! The tests and their order are those of AWS's documented layouts (and, where two layouts could be taken for each other,
//! of observed lines). What is no log that flowq reads is named as what it looks like, so that the user knows why
//! it was left out.

use super::content::ContentKind;
use super::log_format::{kind_of_fields, known_name};
use super::recognise_json::recognise_json;
use super::strip::strip_export_time;
use crate::format::LogKind;
use crate::parse::values::is_iso_time;

/// What a content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// Flow log text that begins with its header line.
    FlowHeader {
        /// VPC or Transit Gateway.
        kind: LogKind,
        /// The names in order: known ones in the log's spelling, others as written.
        fields: Vec<String>,
        /// Those that are not known, as a future version may bring.
        unknown: Vec<String>,
    },
    /// VPC flow log in the default format without a header.
    FlowDefault,
    /// Transit Gateway flow log in the default format without a header.
    TgwDefault,
    /// A flow log in a custom format without a header: needs `--log-format`.
    FlowHeaderless {
        /// Fields in the first line.
        tokens: usize,
    },
    /// Application Load Balancer access log.
    Alb,
    /// Application Load Balancer connection log.
    AlbConnection,
    /// Application Load Balancer health check log.
    AlbHealthCheck,
    /// Classic Load Balancer access log.
    Clb,
    /// Network Load Balancer access log.
    Nlb,
    /// Lines with the time of a CloudWatch Logs export before them.
    CloudWatchExport(Box<Recognition>),
    /// A JSON container of log records, for `envelope`.
    Json(JsonKind),
    /// Parquet; which log it holds is in its columns.
    Parquet,
    /// What a load balancer writes to test its permission.
    TestObject,
    /// Nothing, or blank lines only.
    Empty,
    /// Something that is not read.
    Other {
        /// What it looks like, as in "CloudTrail log".
        what: String,
    },
}

/// A JSON container whose records `envelope` takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// Pages of `aws logs filter-log-events` or `get-log-events`.
    FilterLogEvents,
    /// Subscription filter envelopes.
    Subscription,
    /// Objects with a `message`.
    Message,
    /// Load balancer records with one member per field.
    Vended(LogKind),
}

impl Recognition {
    /// The log kind, where the content decides it.
    pub fn kind(&self) -> Option<LogKind> {
        match self {
            Recognition::FlowHeader { kind, .. } | Recognition::Json(JsonKind::Vended(kind)) => Some(*kind),
            Recognition::FlowDefault | Recognition::FlowHeaderless { .. } => Some(LogKind::Flow),
            Recognition::TgwDefault => Some(LogKind::TransitGateway),
            Recognition::Alb => Some(LogKind::Alb),
            Recognition::AlbConnection => Some(LogKind::AlbConnection),
            Recognition::AlbHealthCheck => Some(LogKind::AlbHealthCheck),
            Recognition::Clb => Some(LogKind::Clb),
            Recognition::Nlb => Some(LogKind::Nlb),
            Recognition::CloudWatchExport(inner) => inner.kind(),
            _ => None,
        }
    }

    /// Whether it is lines that name their fields nowhere, so that a given field list says how they are read.
    pub fn is_headerless(&self) -> bool {
        match self {
            Recognition::FlowDefault | Recognition::TgwDefault | Recognition::FlowHeaderless { .. } => true,
            Recognition::Other { what } => what == "text",
            Recognition::CloudWatchExport(inner) => inner.is_headerless(),
            _ => false,
        }
    }

    fn other(what: &str) -> Recognition {
        Recognition::Other { what: what.to_owned() }
    }
}

/// Says what a content is, from its kind and first bytes (`ContentReader::kind` and `ContentReader::sniff`). For the
/// lines inside an envelope: call [`recognise_line`] on the first one.
pub fn recognise(kind: ContentKind, sniff: &[u8]) -> Recognition {
    match kind {
        ContentKind::Empty => return Recognition::Empty,
        ContentKind::Parquet => return Recognition::Parquet,
        ContentKind::Text => {}
        other => return Recognition::other(other.refusal().unwrap_or("unknown container")),
    }
    let Some(first) = lines(sniff).next() else { return Recognition::Empty };
    if is_cloudwatch_csv(first) {
        return Recognition::other(CLOUDWATCH_CSV);
    }
    if matches!(first.first(), Some(b'{' | b'[')) {
        // `[` also begins lines of other logs.
        if let Some(recognition) = recognise_json(sniff) {
            return recognition;
        }
    }
    let recognition = recognise_line(first);
    if !matches!(recognition, Recognition::Other { .. }) {
        return recognition;
    }
    // A first line that was cut off, or holds only dashes, does not decide; a later one must be certain.
    let later = lines(sniff).skip(1).take(4).map(recognise_line);
    let certain = |found: &Recognition| {
        !matches!(found, Recognition::Other { .. } | Recognition::Empty | Recognition::TestObject)
    };
    later.into_iter().find(certain).unwrap_or_else(|| name_other(sniff, first))
}

/// The lines of it look like a log's own where nothing had to be quoted, and hold fields in an order of their own.
const CLOUDWATCH_CSV: &str = "CSV of CloudWatch Logs Insights or the console (fetch the events as they are: aws logs filter-log-events, or \
                              create-export-task)";

/// Whether a line is the header of a table of log events: `timestamp,message` of the console, `@timestamp,@message` and names
/// that a query gave of Insights. Lines of logs have spaces, whatever stands between the commas of a user agent.
fn is_cloudwatch_csv(line: &[u8]) -> bool {
    const OF_INSIGHTS: [&[u8]; 4] = [b"@timestamp", b"@message", b"@logStream", b"@ptr"];
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    let unquoted = |name: &[u8]| -> Vec<u8> { name.iter().copied().filter(|byte| *byte != b'"').collect() };
    let names: Vec<Vec<u8>> = line.split(|byte| *byte == b',').map(unquoted).collect();
    let has = |wanted: &[u8]| names.iter().any(|name| name == wanted);
    names.len() > 1
        && !line.contains(&b' ')
        && (OF_INSIGHTS.iter().any(|name| has(name)) || (has(b"timestamp") && has(b"message")))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn tokens(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == b' ').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty()).collect()
}

/// Says what a line of text is; `Other` where it is none of the known ones.
pub fn recognise_line(line: &[u8]) -> Recognition {
    let line = line.trim_ascii();
    let tokens = tokens(line);
    let token = |at: usize| tokens.get(at).copied().unwrap_or_default();
    let first = token(0);
    if first.is_empty() {
        return Recognition::Empty;
    }
    if let Some(header) = header(&tokens) {
        return header;
    }
    if first == b"Enable" && line.windows(10).any(|window| window == b" for ELB: ") {
        return Recognition::TestObject;
    }
    if first == b"tls" && is_version(token(1)) {
        return Recognition::Nlb;
    }
    // Unknown types are to be expected (AWS: "ignore any other values"), so the time and the name decide.
    if is_iso_time(token(1), false) && token(2).starts_with(b"app/") {
        return Recognition::Alb;
    }
    let checked = [&b"http"[..], b"https", b"h2", b"grpc", b"lambda"].contains(&first);
    if checked && is_iso_time(token(1), false) && is_decimal(token(2)) {
        return Recognition::AlbHealthCheck;
    }
    if is_iso_time(first, false) {
        // A custom flow log format after an export's time could pass the documented tests for the next two, so one
        // more field of each is looked at.
        let tls =
            matches!(token(4), b"" | b"-") || token(4).starts_with(b"TLS") || token(4).starts_with(b"SSL");
        if is_address(token(1)) && is_integer(token(2)) && is_integer(token(3)) && tls {
            return Recognition::AlbConnection;
        }
        let backend = token(3) == b"-" || ends_in_port(token(3));
        if ends_in_port(token(2)) && backend && (4..7).all(|at| is_decimal(token(at))) {
            return Recognition::Clb;
        }
        let stripped = strip_export_time(line);
        return match stripped.map(|stripped| recognise_line(stripped.line)) {
            Some(Recognition::Other { .. } | Recognition::Empty | Recognition::TestObject) | None => {
                Recognition::other("text")
            }
            Some(inner @ Recognition::CloudWatchExport(_)) => inner,
            Some(inner) => Recognition::CloudWatchExport(Box::new(inner)),
        };
    }
    if first == b"2" && tokens.len() == 14 {
        return Recognition::FlowDefault;
    }
    if tokens.len() == 36 && matches!(token(1), b"TransitGateway" | b"TransitGatewayAttachment") {
        return Recognition::TgwDefault;
    }
    if is_flow_record(&tokens) {
        return Recognition::FlowHeaderless { tokens: tokens.len() };
    }
    Recognition::other("text")
}

/// A header has known names only; or, since versions to come bring new ones, three or more known ones that are the
/// majority, and no token that looks like data.
fn header(tokens: &[&[u8]]) -> Option<Recognition> {
    let mut fields = Vec::with_capacity(tokens.len());
    let mut unknown = Vec::new();
    for token in tokens {
        let text = std::str::from_utf8(token).ok().filter(|text| is_name(text))?;
        match known_name(text) {
            Some(name) => fields.push(name.to_owned()),
            None => {
                unknown.push(text.to_owned());
                fields.push(text.to_owned());
            }
        }
    }
    let known = fields.len() - unknown.len();
    let enough = unknown.is_empty() || (known >= 3 && known > unknown.len());
    (enough && known > 0).then(|| Recognition::FlowHeader { kind: kind_of_fields(&fields), fields, unknown })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
        // Identifiers such as eni-0a1b2c3d have the shape of names.
        && !text.rsplit_once('-').is_some_and(|(_, end)| end.len() >= 8 && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_flow_record(tokens: &[&[u8]]) -> bool {
    const WORDS: [&[u8]; 6] = [b"ACCEPT", b"REJECT", b"NODATA", b"SKIPDATA", b"ingress", b"egress"];
    const PREFIXES: [&[u8]; 5] = [b"eni-", b"vpc-", b"subnet-", b"tgw-", b"i-0"];
    let strong =
        |token: &&[u8]| WORDS.contains(token) || PREFIXES.iter().any(|prefix| token.starts_with(prefix));
    let plain = |token: &&[u8]| {
        is_address(token) || matches!(*token, b"-" | b"OK" | b"IPv4" | b"IPv6") || is_integer(token)
    };
    let strong_count = tokens.iter().filter(|token| strong(token)).count();
    let plain_count = tokens.iter().filter(|token| plain(token)).count();
    let addresses = tokens.iter().filter(|token| is_address(token)).count();
    let quoted = tokens.iter().any(|token| token.contains(&b'"') || token.contains(&b'['));
    tokens.len() >= 2
        && !quoted
        && (strong_count > 0 || addresses >= 2)
        && (strong_count + plain_count) * 2 > tokens.len()
        && strong_count + plain_count >= 2
}

fn is_integer(token: &[u8]) -> bool {
    !token.is_empty() && token.iter().all(u8::is_ascii_digit)
}

fn is_decimal(token: &[u8]) -> bool {
    let text = std::str::from_utf8(token).unwrap_or("");
    token.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') && text.parse::<f64>().is_ok()
}

fn is_version(token: &[u8]) -> bool {
    let dot = token.iter().position(|byte| *byte == b'.');
    let parts = dot.and_then(|at| Some((token.get(..at)?, token.get(at + 1..)?)));
    parts.is_some_and(|(front, back)| is_integer(front) && is_integer(back))
}

fn is_address(token: &[u8]) -> bool {
    std::str::from_utf8(token).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

fn ends_in_port(token: &[u8]) -> bool {
    let colon = token.iter().rposition(|byte| *byte == b':');
    colon.and_then(|at| token.get(at + 1..)).is_some_and(|port| port.len() <= 5 && is_integer(port))
}

/// What a content that is not read looks like.
fn name_other(sniff: &[u8], first: &[u8]) -> Recognition {
    let has =
        |text: &str| memchr::memmem::find(sniff.get(..4096).unwrap_or(sniff), text.as_bytes()).is_some();
    let control = sniff.iter().take(4096).filter(|byte| matches!(byte, 0..=8 | 14..=31)).count();
    let tokens = tokens(first);
    let commas = first.iter().filter(|byte| **byte == b',').count();
    let what = if control * 20 > sniff.len().min(4096) || sniff.contains(&0) {
        "binary"
    } else if first.starts_with(b"#Version") || first.starts_with(b"#Fields") || has("\n#Fields:") {
        if has("x-edge-") || has("cs(Host)") { "CloudFront log" } else { "W3C extended log" }
    } else if first.starts_with(b"version https://git-lfs") {
        "Git LFS pointer (run git lfs pull)"
    } else if tokens.first().is_some_and(|owner| owner.len() == 64 && owner.iter().all(u8::is_ascii_hexdigit))
        || has(" REST.GET.")
        || has(" REST.PUT.")
        || has(" REST.HEAD.")
    {
        "S3 server access log"
    } else if first.starts_with(b"<") {
        if has("<Error>") { "XML error message of S3" } else { "XML or HTML" }
    } else if matches!(first.first(), Some(b'{' | b'[')) {
        "JSON of no known kind"
    } else if has(" HTTP/1.") && has(" - - [") {
        "web server access log"
    } else if commas >= 2 {
        "CSV"
    } else if first.iter().filter(|byte| **byte == b'\t').count() >= 2 {
        "tab-separated text"
    } else {
        "text"
    };
    Recognition::other(what)
}

#[cfg(test)]
#[path = "recognise_tests.rs"]
mod tests;
