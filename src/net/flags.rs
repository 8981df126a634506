//! TCP flags as flow logs report them: a bit mask, OR-ed over the aggregation interval.

/// The bits of the TCP header's flag byte, lowest first. AWS documents FIN, SYN, RST and SYN-ACK in flow logs; the other
/// bits are named too because other producers of the format write them.
pub const TCP_FLAGS: [(u8, &str); 8] =
    [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG"), (64, "ECE"), (128, "CWR")];

/// The mask in words: `SYN|ACK` for 18, and an empty string for 0 (an interval without FIN, SYN or RST). Bits above the
/// flag byte are shown as a number.
pub fn tcp_flags_text(mask: u32) -> String {
    let mut text = String::new();
    for (bit, name) in TCP_FLAGS {
        if mask & u32::from(bit) != 0 {
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(name);
        }
    }
    let beyond = mask & !0xFF;
    if beyond != 0 {
        if !text.is_empty() {
            text.push('|');
        }
        text.push_str(&beyond.to_string());
    }
    text
}

/// The bits of a flag's name, in any case; `SYN-ACK`, `SYN|ACK` and `SYNACK` are 18.
pub fn tcp_flag_bit(name: &str) -> Option<u8> {
    let upper = name.trim().to_ascii_uppercase();
    if matches!(upper.as_str(), "SYN-ACK" | "SYN|ACK" | "SYNACK") {
        return Some(18);
    }
    TCP_FLAGS.iter().find(|(_, flag)| *flag == upper).map(|(bit, _)| *bit)
}

/// Whether all bits of the named flag are set; `None` when there is no such flag.
pub fn has_tcp_flag(mask: u32, name: &str) -> Option<bool> {
    tcp_flag_bit(name).map(|bit| mask & u32::from(bit) == u32::from(bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_in_words() {
        let cases = [
            (0, ""),
            (1, "FIN"),
            (2, "SYN"),
            (3, "FIN|SYN"),
            (4, "RST"),
            (18, "SYN|ACK"),
            (19, "FIN|SYN|ACK"),
            (256, "256"),
        ];
        for (mask, text) in cases {
            assert_eq!(tcp_flags_text(mask), text);
        }
    }

    #[test]
    fn one_flag() {
        assert_eq!(has_tcp_flag(18, "syn"), Some(true));
        assert_eq!(has_tcp_flag(2, "SYN-ACK"), Some(false));
        assert_eq!(has_tcp_flag(19, "SYN|ACK"), Some(true));
        assert_eq!(has_tcp_flag(19, "synner"), None);
    }
}
