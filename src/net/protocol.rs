//! Protocol numbers and their names, as registered with IANA.

/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6, which AWS writes `icmpv6`.
pub const ICMPV6: u8 = 58;

/// Whether packets of a protocol have ports that rules ask for: TCP and UDP alone (spec 2.1, 3.1).
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP)
}

/// Whether it is ICMP, of either version: rules ask for types and codes, which logs do not show.
pub const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, ICMP | ICMPV6)
}

/// The IANA keyword in lower case; AWS's own spelling where it has one (`icmpv6`). `None` for unassigned numbers.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.get(usize::from(number)).copied().filter(|name| !name.is_empty())
}

/// The number of a name (any case) or of a decimal number; `None` for what is neither.
pub fn protocol_number(text: &str) -> Option<u8> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let lower = text.to_ascii_lowercase();
    let known = match lower.as_str() {
        "icmp6" | "ipv6-icmp" => Some(ICMPV6),
        "ip" => Some(0),
        "ospf" => Some(89),
        _ => None,
    };
    known.or_else(|| {
        let at = PROTOCOLS.iter().position(|name| !name.is_empty() && *name == lower)?;
        u8::try_from(at).ok()
    })
}

/// Index is the number; empty where IANA has assigned nothing.
#[rustfmt::skip]
const PROTOCOLS: [&str; 256] = {
    let mut names = [""; 256];
    let assigned: [&str; 148] = [
        "hopopt", "icmp", "igmp", "ggp", "ipv4", "st", "tcp", "cbt", "egp", "igp",
        "bbn-rcc-mon", "nvp-ii", "pup", "argus", "emcon", "xnet", "chaos", "udp", "mux", "dcn-meas",
        "hmp", "prm", "xns-idp", "trunk-1", "trunk-2", "leaf-1", "leaf-2", "rdp", "irtp", "iso-tp4",
        "netblt", "mfe-nsp", "merit-inp", "dccp", "3pc", "idpr", "xtp", "ddp", "idpr-cmtp", "tp++",
        "il", "ipv6", "sdrp", "ipv6-route", "ipv6-frag", "idrp", "rsvp", "gre", "dsr", "bna",
        "esp", "ah", "i-nlsp", "swipe", "narp", "min-ipv4", "tlsp", "skip", "icmpv6", "ipv6-nonxt",
        "ipv6-opts", "", "cftp", "", "sat-expak", "kryptolan", "rvd", "ippc", "", "sat-mon",
        "visa", "ipcv", "cpnx", "cphb", "wsn", "pvp", "br-sat-mon", "sun-nd", "wb-mon", "wb-expak",
        "iso-ip", "vmtp", "secure-vmtp", "vines", "iptm", "nsfnet-igp", "dgp", "tcf", "eigrp", "ospfigp",
        "sprite-rpc", "larp", "mtp", "ax.25", "ipip", "micp", "scc-sp", "etherip", "encap", "",
        "gmtp", "ifmp", "pnni", "pim", "aris", "scps", "qnx", "a/n", "ipcomp", "snp",
        "compaq-peer", "ipx-in-ip", "vrrp", "pgm", "", "l2tp", "ddx", "iatp", "stp", "srp",
        "uti", "smp", "sm", "ptp", "isis-over-ipv4", "fire", "crtp", "crudp", "sscopmce", "iplt",
        "sps", "pipe", "sctp", "fc", "rsvp-e2e-ignore", "mobility-header", "udplite", "mpls-in-ip", "manet", "hip",
        "shim6", "wesp", "rohc", "ethernet", "aggfrag", "nsh", "homa", "bit-emu",
    ];
    let mut at = 0;
    while at < assigned.len() {
        names[at] = assigned[at];
        at += 1;
    }
    names[255] = "reserved";
    names
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_registered_names() {
        let cases = [
            (0, "hopopt"),
            (1, "icmp"),
            (2, "igmp"),
            (6, "tcp"),
            (17, "udp"),
            (41, "ipv6"),
            (47, "gre"),
            (50, "esp"),
            (51, "ah"),
            (58, "icmpv6"),
            (88, "eigrp"),
            (89, "ospfigp"),
            (94, "ipip"),
            (103, "pim"),
            (112, "vrrp"),
            (115, "l2tp"),
            (121, "smp"),
            (132, "sctp"),
            (136, "udplite"),
            (137, "mpls-in-ip"),
            (143, "ethernet"),
            (145, "nsh"),
        ];
        for (number, name) in cases {
            assert_eq!(protocol_name(number), Some(name));
            assert_eq!(protocol_number(name), Some(number));
        }
        assert_eq!(protocol_name(200), None);
    }

    #[test]
    fn names_in_any_case_and_numbers_as_text() {
        assert_eq!(protocol_number("TCP"), Some(6));
        assert_eq!(protocol_number("ipv6-icmp"), Some(58));
        assert_eq!(protocol_number("17"), Some(17));
        assert_eq!(protocol_number("256"), None);
        assert_eq!(protocol_number("-1"), None);
        assert_eq!(protocol_number(""), None);
    }
}
