//! What a single line looks like, told from its content alone: the tests are those of the specification, in
//! its order.

use super::shape;
use crate::format::{LogKind, flow, tgw};

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookalike {
    /// A line of this log.
    Log(LogKind),
    /// The header line of a flow log.
    FlowHeader,
    /// A flow log line behind the time that a CloudWatch export puts before it.
    CloudWatchExport,
    /// The test object that is written once when logging is switched on.
    TestObject,
    /// A JSON container.
    Json,
}

impl Lookalike {
    /// Its name in sentences, with an article.
    pub fn title(self) -> &'static str {
        match self {
            Lookalike::Log(LogKind::Flow) => "a VPC flow log line",
            Lookalike::Log(LogKind::TransitGateway) => "a Transit Gateway flow log line",
            Lookalike::Log(LogKind::Alb) => "an ALB access log line",
            Lookalike::Log(LogKind::AlbConnection) => "an ALB connection log line",
            Lookalike::Log(LogKind::AlbHealthCheck) => "an ALB health check log line",
            Lookalike::Log(LogKind::Clb) => "a Classic LB access log line",
            Lookalike::Log(LogKind::Nlb) => "an NLB access log line",
            Lookalike::FlowHeader => "a flow log header",
            Lookalike::CloudWatchExport => "a flow log line of a CloudWatch export",
            Lookalike::TestObject => "the text of a load balancer's test object",
            Lookalike::Json => "JSON",
        }
    }
}

/// What a line, given without its end, looks like; `None` if like nothing known.
pub fn lookalike(line: &[u8]) -> Option<Lookalike> {
    let mut tokens = line.split(|&byte| byte == b' ').filter(|token| !token.is_empty());
    let all = tokens.clone();
    let first = tokens.next()?;
    let [second, third, fourth] = [(); 3].map(|()| tokens.next().unwrap_or_default());
    if matches!(first.first(), Some(b'{' | b'[')) {
        return Some(Lookalike::Json);
    }
    if is_flow_header(all.clone()) {
        return Some(Lookalike::FlowHeader);
    }
    if first == b"Enable" && memchr::memmem::find(line, b" for ELB: ").is_some() {
        return Some(Lookalike::TestObject);
    }
    if first == b"tls" && shape::is_version(second) {
        return Some(Lookalike::Log(LogKind::Nlb));
    }
    if shape::is_time(second) && shape::is_alb_name(third) {
        return Some(Lookalike::Log(LogKind::Alb));
    }
    if is_health_check_type(first) && shape::is_time(second) && shape::is_decimal(third) {
        return Some(Lookalike::Log(LogKind::AlbHealthCheck));
    }
    if !shape::is_time(first) {
        return headerless(all).map(Lookalike::Log);
    }
    if shape::is_address(second) && shape::is_integer(third) && shape::is_integer(fourth) {
        return Some(Lookalike::Log(LogKind::AlbConnection));
    }
    if shape::ends_with_port(third) && shape::ends_with_port_or_dash(fourth) {
        return Some(Lookalike::Log(LogKind::Clb));
    }
    let remainder = all.skip(1);
    let exported = is_flow_header(remainder.clone()) || headerless(remainder).is_some();
    exported.then_some(Lookalike::CloudWatchExport)
}

fn is_health_check_type(text: &[u8]) -> bool {
    matches!(text, b"http" | b"https" | b"h2" | b"grpc" | b"lambda")
}

fn is_flow_header<'a>(mut tokens: impl Iterator<Item = &'a [u8]>) -> bool {
    let known = |token: &[u8]| {
        flow::COLUMNS.iter().chain(tgw::COLUMNS).any(|column| column.log_name.as_bytes() == token)
    };
    tokens.next().is_some_and(known) && tokens.all(known)
}

fn headerless<'a>(mut tokens: impl Iterator<Item = &'a [u8]>) -> Option<LogKind> {
    if !tokens.next().is_some_and(shape::is_integer) {
        return None;
    }
    match tokens.take(36).count() {
        13 => Some(LogKind::Flow),
        35 => Some(LogKind::TransitGateway),
        _ => None,
    }
}
