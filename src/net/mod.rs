//! Addresses, prefixes, ports, protocol numbers and TCP flags: the vocabulary that every other module shares.
//!
//! Nothing here reads files, knows a log format or knows Arrow. What a protocol or port *means* for a filter is in
//! `rules`; here is only what it is called and how it is written.

mod addr;
mod flags;
mod port;
mod prefix;
mod protocol;
mod service;
mod span;

pub use addr::{
    AddressClass, Family, behind_nat64, class, is_documentation, is_internet, is_private, is_public,
    is_reserved, parse_ip, parse_ip_str, parse_v4, parse_v6, v4_text,
};
pub use flags::{TCP_FLAGS, has_tcp_flag, tcp_flag_bit, tcp_flags_text};
pub use port::{PortRange, PortRangeError};
pub use prefix::{Prefix, PrefixError, ip_prefix};
pub use protocol::{ICMP, ICMPV6, TCP, UDP, has_ports, is_icmp, protocol_name, protocol_number};
pub use service::{service_name, service_port};
pub use span::span;
