//! Which field of a line fills which columns, for each load balancer log, and what a line must look like to
//! be one.

use super::shape;
use crate::format::LogKind;

/// How many columns a field fills, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// One column, the field as it stands.
    Whole,
    /// Address and port.
    Endpoint,
    /// Method, URL and HTTP version.
    Request,
}

impl Cut {
    /// The number of columns it fills.
    pub(super) fn columns(self) -> usize {
        match self {
            Cut::Whole => 1,
            Cut::Endpoint => 2,
            Cut::Request => 3,
        }
    }
}

/// What the text of a field must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// Anything.
    Any,
    /// Fails the line with what was expected.
    Leading(fn(&[u8]) -> bool, &'static str),
    /// Fails only if the free text before it cannot be cut in another way.
    AfterFreeText(fn(&[u8]) -> bool),
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRule {
    pub(super) cut: Cut,
    pub(super) check: Check,
}

const ANY: FieldRule = FieldRule { cut: Cut::Whole, check: Check::Any };
const ENDPOINT: FieldRule = FieldRule { cut: Cut::Endpoint, check: Check::Any };
const REQUEST: FieldRule = FieldRule { cut: Cut::Request, check: Check::Any };
const CIPHER: FieldRule = after_free_text(shape::is_cipher);
const PROTOCOL: FieldRule = after_free_text(shape::is_protocol);
const ARN: FieldRule = after_free_text(shape::is_arn);
const TIME: FieldRule = leading(Cut::Whole, shape::is_time, "an ISO 8601 time");

const fn leading(cut: Cut, test: fn(&[u8]) -> bool, expected: &'static str) -> FieldRule {
    FieldRule { cut, check: Check::Leading(test, expected) }
}

const fn after_free_text(test: fn(&[u8]) -> bool) -> FieldRule {
    FieldRule { cut: Cut::Whole, check: Check::AfterFreeText(test) }
}

/// The fields of a log line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Every known field, in order.
    pub(super) fields: &'static [FieldRule],
    /// The fewest fields that a line of this kind has ever had.
    pub(super) fewest: usize,
    /// Whether double quotes keep spaces inside a field.
    pub(super) quotes: bool,
    /// The position from 0 of the request line, where there is one. The user agent follows it.
    pub(super) request: Option<usize>,
    /// How many fields must be looked at if the request line or the user agent is wanted, so that a quote
    /// inside them is noticed: up to the last field behind them that has a shape.
    pub(super) request_proof: usize,
}

/// 34 fields (documented); 18 in 2016 (observed), and each count between since.
static ALB: Layout = Layout {
    fields: &[
        ANY,
        TIME,
        leading(Cut::Whole, shape::is_alb_name, "app/NAME/ID"),
        ENDPOINT,
        ENDPOINT,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        REQUEST,
        ANY,
        CIPHER,
        PROTOCOL,
        ARN,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
    ],
    fewest: 18,
    quotes: true,
    request: Some(12),
    request_proof: 17,
};

/// 15 fields (documented); 12 before mid-2015 (observed).
static CLB: Layout = Layout {
    fields: &[
        TIME,
        ANY,
        leading(Cut::Endpoint, shape::ends_with_port, "CLIENT:PORT"),
        leading(Cut::Endpoint, shape::ends_with_port_or_dash, "BACKEND:PORT or -"),
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        REQUEST,
        ANY,
        CIPHER,
        PROTOCOL,
    ],
    fewest: 12,
    quotes: true,
    request: Some(11),
    request_proof: 15,
};

/// 15 fields (documented); 12 in AWS's samples, 11 in public test data (observed).
static ALB_CONNECTION: Layout = Layout {
    fields: &[
        TIME,
        leading(Cut::Whole, shape::is_address, "an IP address"),
        leading(Cut::Whole, shape::is_integer, "the client port"),
        leading(Cut::Whole, shape::is_integer, "the listener port"),
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
    ],
    fewest: 11,
    quotes: true,
    request: None,
    request_proof: 0,
};

/// 10 fields (documented); 8 in AWS's samples.
static ALB_HEALTH_CHECK: Layout = Layout {
    fields: &[
        ANY,
        TIME,
        leading(Cut::Whole, shape::is_decimal_or_dash, "the latency in seconds"),
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
    ],
    fewest: 8,
    quotes: true,
    request: None,
    request_proof: 0,
};

/// 22 fields (documented). The fields from the protocol negotiation (19) on were appended later (inferred).
static NLB: Layout = Layout {
    fields: &[
        ANY,
        leading(Cut::Whole, shape::is_version, "the version"),
        TIME,
        leading(Cut::Whole, shape::is_nlb_name, "net/NAME/ID"),
        ANY,
        ENDPOINT,
        ENDPOINT,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
        ANY,
    ],
    fewest: 18,
    quotes: false,
    request: None,
    request_proof: 0,
};

/// A kind that has no load balancer layout.
static NONE: Layout =
    Layout { fields: &[], fewest: usize::MAX, quotes: false, request: None, request_proof: 0 };

/// The layout of a load balancer log; no line passes that of any other kind.
pub(super) fn layout(kind: LogKind) -> &'static Layout {
    match kind {
        LogKind::Alb => &ALB,
        LogKind::AlbConnection => &ALB_CONNECTION,
        LogKind::AlbHealthCheck => &ALB_HEALTH_CHECK,
        LogKind::Clb => &CLB,
        LogKind::Nlb => &NLB,
        LogKind::Flow | LogKind::TransitGateway => &NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_columns_have_the_documented_counts() {
        let kinds = [
            (LogKind::Alb, 34),
            (LogKind::Clb, 15),
            (LogKind::AlbConnection, 15),
            (LogKind::AlbHealthCheck, 10),
            (LogKind::Nlb, 22),
        ];
        for (kind, count) in kinds {
            let fields = layout(kind).fields;
            assert_eq!(fields.len(), count, "{kind}");
            let columns: usize = fields.iter().map(|rule| rule.cut.columns()).sum();
            assert_eq!(columns, kind.columns().len(), "{kind}");
        }
    }
}
