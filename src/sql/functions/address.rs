//! Functions of addresses and prefixes.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::net::{
    Prefix, PrefixError, ip_prefix, is_internet, is_private, is_public, is_reserved, parse_ip_str, v4_text,
};

use super::enrich::Enrichment;
use super::function::{
    Input, Literal, Param, Spec, booleans, input, int, integers, no_check, text, texts, user_error,
};
use super::matcher::{Matcher, quad, quad_at};

const ADDRESS: &[Param] = &[text("addr", "an IPv4 or IPv6 address")];

/// A text that was read as a prefix a moment ago: columns of prefixes repeat themselves.
struct LastPrefix {
    text: String,
    matcher: Option<Matcher>,
}

impl LastPrefix {
    fn matcher(&mut self, cidr: &str) -> Result<&Matcher> {
        if self.matcher.is_none() || self.text != cidr {
            self.matcher = Some(Matcher::new(&prefix(cidr)?));
            cidr.clone_into(&mut self.text);
        }
        self.matcher.as_ref().ok_or_else(|| user_error(format!("{cidr:?} is no CIDR block")))
    }
}

fn prefix(cidr: &str) -> Result<Prefix> {
    cidr.trim().parse().map_err(|error: PrefixError| user_error(error.to_string()))
}

fn contains(cidr: &Input, addr: &Input, rows: usize) -> Result<ArrayRef> {
    if let (Input::Text(cidr), Input::Texts(addresses)) = (cidr, addr) {
        return Ok(Arc::new(Matcher::new(&prefix(cidr)?).evaluate(addresses)));
    }
    let mut last = LastPrefix { text: String::new(), matcher: None };
    let mut out = arrow::array::BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        match (cidr.text(row), addr.text(row)) {
            (Some(cidr), Some(addr)) => out.append_value(last.matcher(cidr)?.matches(addr)),
            _ => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn check_prefix(literal: Option<&Option<Literal>>) -> Result<()> {
    match literal {
        Some(Some(Literal::Text(cidr))) => prefix(cidr).map(|_| ()),
        _ => Ok(()),
    }
}

fn check_address(literal: Option<&Option<Literal>>) -> Result<()> {
    match literal {
        Some(Some(Literal::Text(addr))) if parse_ip_str(addr).is_none() => {
            Err(user_error(format!("{addr:?} is no IPv4 or IPv6 address; write 10.0.0.1 or 2001:db8::1")))
        }
        _ => Ok(()),
    }
}

fn check_one_address(_: &Enrichment, literals: &[Option<Literal>]) -> Result<()> {
    check_address(literals.first())
}

/// The IPv4 address of a row, straight from the view where there is one.
fn v4(input: &Input, row: usize) -> Option<u32> {
    match input {
        Input::Texts(array) if row < array.len() => quad_at(array, row),
        _ => quad(input.text(row)?.as_bytes()),
    }
}

fn address(input: &Input, row: usize) -> Option<IpAddr> {
    match v4(input, row) {
        Some(v4) => Some(IpAddr::V4(v4.into())),
        None => parse_ip_str(input.text(row)?),
    }
}

fn classes(inputs: &[Input], rows: usize, class: fn(&IpAddr) -> bool) -> Result<ArrayRef> {
    let addr = input(inputs, 0)?;
    Ok(booleans(rows, |row| address(addr, row).map(|addr| class(&addr))))
}

/// Writes a prefix, without the detour over `fmt` where it is IPv4: subnets are formed from every row.
fn write_prefix(text: &mut String, addr: IpAddr, len: u8) -> Option<()> {
    text.clear();
    let prefix = ip_prefix(addr, len)?;
    let IpAddr::V4(v4) = prefix.network() else {
        text.push_str(&prefix.to_string());
        return Some(());
    };
    for (at, number) in v4.octets().into_iter().chain([len]).enumerate() {
        match at {
            0 => {}
            4 => text.push('/'),
            _ => text.push('.'),
        }
        if number >= 100 {
            text.push(char::from(b'0' + number / 100));
        }
        if number >= 10 {
            text.push(char::from(b'0' + number / 10 % 10));
        }
        text.push(char::from(b'0' + number % 10));
    }
    Some(())
}

/// The functions of this module.
pub(super) static SPECS: &[Spec] = &[
    Spec {
        name: "cidr_contains",
        params: &[
            text("cidr", "a prefix such as 10.0.0.0/8 or 2001:db8::/32; a bare address is that one address"),
            text("addr", "an IPv4 or IPv6 address"),
        ],
        returns: DataType::Boolean,
        description: "whether the address is inside the prefix; an address of the other family is not, nor is a text \
                      that is no address; a wrong prefix is an error",
        example: "cidr_contains('10.12.0.0/16', '10.12.200.1')",
        result: "true",
        check: |_, literals| check_prefix(literals.first()),
        eval: |_, inputs, rows| contains(input(inputs, 0)?, input(inputs, 1)?, rows),
    },
    Spec {
        name: "ip_in",
        params: &[
            text("addr", "an IPv4 or IPv6 address"),
            text("cidr", "a prefix such as 10.0.0.0/8 or 2001:db8::/32; a bare address is that one address"),
        ],
        returns: DataType::Boolean,
        description: "cidr_contains with its arguments the other way round",
        example: "ip_in('2001:db8::7', '2001:db8::/32')",
        result: "true",
        check: |_, literals| check_prefix(literals.get(1)),
        eval: |_, inputs, rows| contains(input(inputs, 1)?, input(inputs, 0)?, rows),
    },
    Spec {
        name: "ip_prefix",
        params: &[text("addr", "an IPv4 or IPv6 address"), int("n", "the length in bits, 0 to 128")],
        returns: DataType::Utf8View,
        description: "the network of n bits that the address is in; NULL for an IPv4 address where n is above 32, and for a value \
                      that is no address; a literal that is none is an error",
        example: "ip_prefix('10.12.200.1', 16)",
        result: "10.12.0.0/16",
        check: |_, literals| match literals.get(1) {
            Some(Some(Literal::Int(n))) if !(0..=128).contains(n) => {
                Err(user_error(format!("{n} is no prefix length; give 0 to 32 for IPv4, 0 to 128 for IPv6")))
            }
            _ => check_address(literals.first()),
        },
        eval: |_, inputs, rows| {
            let (addr, len) = (input(inputs, 0)?, input(inputs, 1)?);
            let mut out = StringViewBuilder::with_capacity(rows);
            let mut text = String::new();
            for row in 0..rows {
                let written = address(addr, row)
                    .zip(len.int(row).and_then(|len| u8::try_from(len).ok()))
                    .and_then(|(addr, len)| write_prefix(&mut text, addr, len));
                out.append_option(written.map(|()| text.as_str()));
            }
            Ok(Arc::new(out.finish()))
        },
    },
    Spec {
        name: "ip_family",
        params: ADDRESS,
        returns: DataType::Int64,
        description: "4 or 6 (6 for an IPv4 address mapped into IPv6, ::ffff:10.0.0.1, too: here and for all functions it is \
                      an IPv6 address, which is_reserved); NULL for a text that is no address",
        example: "ip_family('2001:db8::7')",
        result: "6",
        check: no_check,
        eval: |_, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(integers(rows, |row| Some(if address(addr, row)?.is_ipv4() { 4 } else { 6 })))
        },
    },
    Spec {
        name: "is_private",
        params: ADDRESS,
        returns: DataType::Boolean,
        description: "whether the address belongs to private networks: 10/8, 172.16/12, 192.168/16 (RFC 1918), \
                      100.64/10 (RFC 6598), fc00::/7 (unique local); NULL for a value that is no address; a literal that is \
                      none is an error",
        example: "is_private('172.31.0.9')",
        result: "true",
        check: check_one_address,
        eval: |_, inputs, rows| classes(inputs, rows, is_private),
    },
    Spec {
        name: "is_public",
        params: ADDRESS,
        returns: DataType::Boolean,
        description: "whether the address is globally routable unicast: neither is_private nor is_reserved",
        example: "is_public('10.0.0.1')",
        result: "false",
        check: check_one_address,
        eval: |_, inputs, rows| classes(inputs, rows, is_public),
    },
    Spec {
        name: "is_reserved",
        params: ADDRESS,
        returns: DataType::Boolean,
        description: "whether no network routes the address to a host: loopback, link-local, multicast, documentation, \
                      benchmarking, 0/8, 240/4 and their IPv6 counterparts, and what else IANA lists as not globally \
                      reachable",
        example: "is_reserved('169.254.169.254')",
        result: "true",
        check: check_one_address,
        eval: |_, inputs, rows| classes(inputs, rows, is_reserved),
    },
    Spec {
        name: "is_internet",
        params: ADDRESS,
        returns: DataType::Boolean,
        description: "whether traffic with the address goes over the internet: is_public, and the documentation ranges, \
                      which stand for internet hosts in every published sample",
        example: "is_internet('198.51.100.7')",
        result: "true",
        check: check_one_address,
        eval: |_, inputs, rows| classes(inputs, rows, is_internet),
    },
    Spec {
        name: "ip_to_int",
        params: ADDRESS,
        returns: DataType::Int64,
        description: "an IPv4 address as an integer; NULL for IPv6, which needs 128 bits (see ip_to_hex), and for a value that is \
                      no address; a literal that is none is an error",
        example: "ip_to_int('10.0.0.1')",
        result: "167772161",
        check: check_one_address,
        eval: |_, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(integers(rows, |row| v4(addr, row).map(i64::from)))
        },
    },
    Spec {
        name: "int_to_ip",
        params: &[int("n", "an IPv4 address as an integer, 0 to 4294967295")],
        returns: DataType::Utf8View,
        description: "the IPv4 address of an integer; NULL for a value out of range, an error for such a literal",
        example: "int_to_ip(167772161)",
        result: "10.0.0.1",
        check: |_, literals| match literals.first() {
            Some(Some(Literal::Int(n))) if u32::try_from(*n).is_err() => {
                Err(user_error(format!("{n} is no IPv4 address; give 0 to 4294967295")))
            }
            _ => Ok(()),
        },
        eval: |_, inputs, rows| {
            let n = input(inputs, 0)?;
            Ok(texts(rows, |row| u32::try_from(n.int(row)?).ok().map(v4_text)))
        },
    },
    Spec {
        name: "ip_to_hex",
        params: ADDRESS,
        returns: DataType::Utf8View,
        description: "the address as 8 (IPv4) or 32 (IPv6) hexadecimal digits, which sort as addresses do",
        example: "ip_to_hex('2001:db8::7')",
        result: "20010db8000000000000000000000007",
        check: check_one_address,
        eval: |_, inputs, rows| {
            let addr = input(inputs, 0)?;
            Ok(texts(rows, |row| {
                Some(match address(addr, row)? {
                    IpAddr::V4(v4) => format!("{:08x}", u32::from(v4)),
                    IpAddr::V6(v6) => format!("{:032x}", u128::from(v6)),
                })
            }))
        },
    },
];
