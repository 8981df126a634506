//! Protocol, ports and ICMP types as the configuration forms write them (spec 2.1, 3.1).

use crate::net::{PortRange, Prefix, protocol_number};
use crate::network::model::{RuleAction, Traffic};

/// `-1` and `all` are every protocol; else a number or a name.
fn protocol(text: &str) -> Result<Option<u8>, String> {
    if matches!(text, "-1" | "all" | "-1.0") {
        return Ok(None);
    }
    protocol_number(text).map(Some).ok_or_else(|| format!("{text:?} is no protocol"))
}

fn icmp_part(value: Option<i64>) -> Result<Option<u8>, String> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value) => u8::try_from(value).map(Some).map_err(|_| format!("{value} is no ICMP type or code")),
    }
}

fn ports(from: Option<i64>, to: Option<i64>) -> Result<PortRange, String> {
    match (from, to) {
        (None | Some(-1), None | Some(-1)) => Ok(PortRange::ALL),
        (Some(from), Some(to)) => PortRange::from_bounds(from, to).map_err(|error| error.to_string()),
        _ => Err("one bound of the port range is missing".to_string()),
    }
}

/// A group rule's traffic: `from` and `to` are ports, or ICMP type and code, or meaningless (spec 2.1).
pub(super) fn group_traffic(text: &str, from: Option<i64>, to: Option<i64>) -> Result<Traffic, String> {
    let protocol = protocol(text)?;
    Ok(match protocol {
        Some(6 | 17) => Traffic::new(protocol, ports(from, to)?, (None, None)),
        Some(1 | 58) => {
            let kind = icmp_part(from)?;
            let code = if kind.is_some() { icmp_part(to)? } else { None };
            Traffic::new(protocol, PortRange::ALL, (kind, code))
        }
        _ => Traffic::new(protocol, PortRange::ALL, (None, None)),
    })
}

/// A NACL entry's traffic: ports only for TCP and UDP, types only for ICMP and for ICMPv6 with an IPv6 block (spec 3.1).
pub(super) fn acl_traffic(
    text: &str,
    from: Option<i64>,
    to: Option<i64>,
    kind: Option<i64>,
    code: Option<i64>,
    cidr: Option<&Prefix>,
) -> Result<Traffic, String> {
    let protocol = protocol(text)?;
    let is_v4 = cidr.is_some_and(|cidr| cidr.family() == crate::net::Family::V4);
    Ok(match protocol {
        Some(6 | 17) => Traffic::new(protocol, ports(from, to)?, (None, None)),
        Some(58) if is_v4 => Traffic::Protocol(58),
        Some(1 | 58) => {
            let kind = icmp_part(kind)?;
            let code = if kind.is_some() { icmp_part(code)? } else { None };
            Traffic::new(protocol, PortRange::ALL, (kind, code))
        }
        _ => Traffic::new(protocol, PortRange::ALL, (None, None)),
    })
}

/// `allow` or `deny`.
pub(super) fn acl_action(text: Option<&str>) -> Option<RuleAction> {
    let is = |word: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(word));
    if is("allow") {
        Some(RuleAction::Allow)
    } else if is("deny") {
        Some(RuleAction::Deny)
    } else {
        None
    }
}
