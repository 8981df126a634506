//! Functions that put names to the numbers of a flow record: protocols, TCP flags, ports, traffic paths.

use arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::net::{
    TCP_FLAGS, has_tcp_flag, protocol_name, protocol_number, service_name, tcp_flag_bit, tcp_flags_text,
};

use crate::sql::errors::nearest;

use super::enrich::Enrichment;
use super::function::{Literal, Spec, booleans, input, int, integers, no_check, text, texts, user_error};

/// The protocol names that a mistyped one is compared with.
fn protocol_names() -> impl Iterator<Item = &'static str> {
    (0..=u8::MAX).filter_map(protocol_name)
}

fn check_protocol(_: &Enrichment, literals: &[Option<Literal>]) -> Result<()> {
    match literals.first() {
        Some(Some(Literal::Text(name))) if protocol_number(name).is_none() => {
            let hint = match nearest(name, protocol_names()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "write a name such as tcp, udp or icmp, or a number".into(),
            };
            Err(user_error(format!("{name:?} is no IP protocol; {hint}")))
        }
        _ => Ok(()),
    }
}

fn check_flag(_: &Enrichment, literals: &[Option<Literal>]) -> Result<()> {
    match literals.get(1) {
        Some(Some(Literal::Text(name))) if tcp_flag_bit(name).is_none() => {
            let known: Vec<&str> = TCP_FLAGS.iter().map(|(_, name)| *name).collect();
            Err(user_error(format!("{name:?} is no TCP flag; write one of {}", known.join(", "))))
        }
        _ => Ok(()),
    }
}

/// AWS's table of `traffic-path` codes, in short words (documented).
fn traffic_path_name(code: i64) -> Option<&'static str> {
    Some(match code {
        1 => "same VPC",
        2 => "internet gateway or gateway VPC endpoint",
        3 => "virtual private gateway",
        4 => "intra-region VPC peering",
        5 => "inter-region VPC peering",
        6 => "Local Zone or Wavelength Zone",
        7 => "gateway VPC endpoint",
        8 => "internet gateway",
        _ => return None,
    })
}

/// The functions of this module.
pub(super) static SPECS: &[Spec] = &[
    Spec {
        name: "protocol_name",
        params: &[int("n", "an IANA protocol number")],
        returns: DataType::Utf8View,
        description: "the name of an IP protocol number; NULL where IANA has assigned none",
        example: "protocol_name(6)",
        result: "tcp",
        check: no_check,
        eval: |_, inputs, rows| {
            let n = input(inputs, 0)?;
            Ok(texts(rows, |row| protocol_name(u8::try_from(n.int(row)?).ok()?)))
        },
    },
    Spec {
        name: "protocol_number",
        params: &[text("name", "a protocol name in any case")],
        returns: DataType::Int64,
        description: "the number of an IP protocol name; an unknown literal is an error, an unknown value NULL",
        example: "protocol_number('UDP')",
        result: "17",
        check: check_protocol,
        eval: |_, inputs, rows| {
            let name = input(inputs, 0)?;
            Ok(integers(rows, |row| protocol_number(name.text(row)?).map(i64::from)))
        },
    },
    Spec {
        name: "tcp_flags",
        params: &[int("n", "the tcp_flags of a record")],
        returns: DataType::Utf8View,
        description: "the TCP flags of a record in words, empty for 0; flow logs record FIN, SYN, RST and SYN-ACK only",
        example: "tcp_flags(18)",
        result: "SYN|ACK",
        check: no_check,
        eval: |_, inputs, rows| {
            let n = input(inputs, 0)?;
            Ok(texts(rows, |row| u32::try_from(n.int(row)?).ok().map(tcp_flags_text)))
        },
    },
    Spec {
        name: "tcp_flag",
        params: &[
            int("n", "the tcp_flags of a record"),
            text("flag", "FIN, SYN, RST, PSH, ACK, URG, ECE, CWR or SYN-ACK"),
        ],
        returns: DataType::Boolean,
        description: "whether all bits of the flag are set",
        example: "tcp_flag(19, 'SYN')",
        result: "true",
        check: check_flag,
        eval: |_, inputs, rows| {
            let (n, flag) = (input(inputs, 0)?, input(inputs, 1)?);
            Ok(booleans(rows, |row| has_tcp_flag(u32::try_from(n.int(row)?).ok()?, flag.text(row)?)))
        },
    },
    Spec {
        name: "service_name",
        params: &[int("port", "a port number"), int("protocol", "an IANA protocol number")],
        returns: DataType::Utf8View,
        description: "the usual service behind a TCP or UDP port, which says nothing about the traffic itself; \
                      NULL where none is known",
        example: "service_name(443, 6)",
        result: "https",
        check: no_check,
        eval: |_, inputs, rows| {
            let (port, protocol) = (input(inputs, 0)?, input(inputs, 1)?);
            Ok(texts(rows, |row| {
                service_name(u16::try_from(port.int(row)?).ok()?, u8::try_from(protocol.int(row)?).ok()?)
            }))
        },
    },
    Spec {
        name: "traffic_path_name",
        params: &[int("code", "the traffic_path of an egress record")],
        returns: DataType::Utf8View,
        description: "AWS's path codes 1 to 8 in words; NULL for any other",
        example: "traffic_path_name(8)",
        result: "internet gateway",
        check: no_check,
        eval: |_, inputs, rows| {
            let code = input(inputs, 0)?;
            Ok(texts(rows, |row| traffic_path_name(code.int(row)?)))
        },
    },
];
