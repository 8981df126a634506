//! Columns of text as their distinct texts, with what is made of each once: its address, its hash.

use std::net::IpAddr;
use std::sync::OnceLock;

use datafusion::arrow::array::{Array, StringArray};

use crate::attribute::{address_hash, name_hash};
use crate::format::SOURCE_FILE;
use crate::net::parse_ip_str;

/// A column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Text {
    Account,
    Interface,
    Src,
    Dst,
    PacketSrc,
    PacketDst,
    Action,
    LogStatus,
    Vpc,
    Subnet,
    Direction,
    Type,
    RejectReason,
    InterfaceType,
    NextHopSubnet,
    Source,
}

pub(super) const TEXTS: [(Text, &str); 16] = [
    (Text::Account, "account_id"),
    (Text::Interface, "interface_id"),
    (Text::Src, "srcaddr"),
    (Text::Dst, "dstaddr"),
    (Text::PacketSrc, "pkt_srcaddr"),
    (Text::PacketDst, "pkt_dstaddr"),
    (Text::Action, "action"),
    (Text::LogStatus, "log_status"),
    (Text::Vpc, "vpc_id"),
    (Text::Subnet, "subnet_id"),
    (Text::Direction, "flow_direction"),
    (Text::Type, "type"),
    (Text::RejectReason, "reject_reason"),
    (Text::InterfaceType, "interface_type"),
    (Text::NextHopSubnet, "next_hop_subnet_id"),
    (Text::Source, SOURCE_FILE),
];

/// The distinct texts of a column, and what is made of each when it is first asked for.
#[derive(Debug)]
pub(in crate::sql) struct Values {
    column: Text,
    pub(super) texts: StringArray,
    /// Of columns of addresses, interfaces and files.
    hashes: OnceLock<Vec<u64>>,
    /// Of columns of addresses.
    addresses: OnceLock<Vec<Option<IpAddr>>>,
    /// Some text is `-`, which stands for none.
    pub(super) has_dash: bool,
}

impl Values {
    pub(super) fn new(column: Text, texts: StringArray) -> Values {
        let has_dash = texts.iter().any(|text| text == Some("-"));
        Values { column, texts, hashes: OnceLock::new(), addresses: OnceLock::new(), has_dash }
    }

    /// The texts, at the places of their keys.
    pub(in crate::sql) fn each(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(Option::unwrap_or_default)
    }

    /// The hashes of the addresses, interfaces or files, at the places of their keys; 0 for what is no address.
    pub(in crate::sql) fn hashes(&self) -> &[u64] {
        self.hashes.get_or_init(|| match self.column {
            Text::Interface | Text::Source => self.each().map(name_hash).collect(),
            Text::Src | Text::Dst | Text::PacketSrc | Text::PacketDst => match self.addresses.get() {
                Some(known) => known.iter().map(|addr| addr.as_ref().map_or(0, address_hash)).collect(),
                None => {
                    self.each().map(|text| parse_ip_str(text).map_or(0, |addr| address_hash(&addr))).collect()
                }
            },
            _ => Vec::new(),
        })
    }

    /// The key of the text that stands for none, if there is one.
    pub(in crate::sql) fn none(&self) -> Option<u32> {
        if !self.has_dash {
            return None;
        }
        self.each().position(|text| text == "-").and_then(|key| u32::try_from(key).ok())
    }

    /// Keeps the address of every text: for readers that will ask for most of them, and often.
    pub(in crate::sql) fn keep_addresses(&self) {
        self.addresses.get_or_init(|| match self.column {
            Text::Src | Text::Dst | Text::PacketSrc | Text::PacketDst => {
                self.each().map(parse_ip_str).collect()
            }
            _ => Vec::new(),
        });
    }

    /// The text of a key.
    #[inline]
    pub(in crate::sql) fn text(&self, key: u32) -> Option<&str> {
        let key = key as usize;
        (key < self.texts.len()).then(|| self.texts.value(key))
    }

    /// The address of a key.
    #[inline]
    pub(in crate::sql) fn address(&self, key: usize) -> Option<IpAddr> {
        match self.addresses.get() {
            Some(known) => *known.get(key)?,
            None if key < self.texts.len() => parse_ip_str(self.texts.value(key)),
            None => None,
        }
    }

    /// How many there are.
    pub(in crate::sql) fn len(&self) -> usize {
        self.texts.len()
    }
}
