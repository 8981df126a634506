//! Records of tests, each in one line:
//! `INTERFACE in|out REMOTE PROTOCOL SPORT>DPORT ACCEPT|REJECT [FROM-TO] [flags=N] [bytes=N] [own=ADDRESS] [subnet=ID] [undirected]`, or
//! `INTERFACE nodata|skipdata FROM-TO`.

use super::{Gatherer, Plan, Traffic};
use crate::attribute::{Action, Record};
use crate::net::protocol_number;
use crate::network::Network;
use crate::rules::Direction;
use std::net::IpAddr;
use std::sync::Arc;

/// The record, and whether it is one of skipped data.
pub(crate) fn sample(text: &'static str) -> (Record<'static>, bool) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let span = words.iter().find_map(|word| {
        let (from, to) = word.split_once('-')?;
        Some((from.parse::<i64>().ok()?, to.parse::<i64>().ok()?))
    });
    let (start, end) = span.unwrap_or((0, 60));
    let mut record = Record {
        interface_id: Some(words[0]),
        subnet_id: option("subnet"),
        packets: Some(1),
        bytes: Some(option("bytes").map_or(100, |bytes| bytes.parse().unwrap())),
        start,
        end,
        log_status_ok: false,
        tcp_flags: option("flags").map(|flags| flags.parse().unwrap()),
        ..Record::BLANK
    };
    if matches!(words[1], "nodata" | "skipdata") {
        return (record, words[1] == "skipdata");
    }
    let own: IpAddr = option("own").unwrap_or("10.0.1.10").parse().unwrap();
    let remote: IpAddr = words[2].parse().unwrap();
    let direction = if words[1] == "in" { Direction::Ingress } else { Direction::Egress };
    let (src, dst) = if direction == Direction::Ingress { (remote, own) } else { (own, remote) };
    record.direction = (!words.contains(&"undirected")).then_some(direction);
    (record.src, record.dst) = (Some(src), Some(dst));
    record.protocol = protocol_number(words[3]).unwrap();
    if let Some((from, to)) = words[4].split_once('>') {
        (record.src_port, record.dst_port) = (from.parse().unwrap(), to.parse().unwrap());
    }
    record.action = if words.contains(&"REJECT") { Action::Reject } else { Action::Accept };
    record.log_status_ok = true;
    (record, false)
}

/// The traffic of these records, a line each, as a network's rules see it.
pub(crate) fn traffic(network: Network, other: Option<&Network>, lines: &'static str) -> Traffic {
    gathered(network, other, lines, usize::MAX)
}

/// The same, put on disk after each so many records of a gatherer.
pub(crate) fn gathered(
    network: Network,
    other: Option<&Network>,
    lines: &'static str,
    every: usize,
) -> Traffic {
    let plan = Arc::new(Plan::new(Arc::new(network), other));
    // Several gatherers, as several threads have.
    let mut gatherers: Vec<Gatherer> = (0..3).map(|_| Gatherer::new(Arc::clone(&plan))).collect();
    for (at, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (record, skipped) = sample(line);
        gatherers[at % 3].observe(&record, skipped);
        if at / 3 % every == every - 1 {
            gatherers[at % 3].spill().unwrap();
        }
    }
    Traffic::new(plan, gatherers).unwrap()
}
