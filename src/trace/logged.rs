//! The log records that bear on a flow: of its addresses and ports in either direction, around the time asked about.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Layer, Stage, Trace, Way};
use crate::net::{ICMP, ICMPV6, TCP, UDP};
use crate::network::Timestamp;
use crate::rules::{Decision, Direction};

/// The time of which records are looked for, in seconds since 1970; `None` is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Records that end at this second or later.
    pub from: Option<Timestamp>,
    /// Records that begin at this second or earlier.
    pub to: Option<Timestamp>,
}

/// A record, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRecord {
    /// Its interval, in RFC 3339.
    pub start: String,
    /// The interval's end.
    pub end: String,
    /// The interface that it belongs to.
    pub interface: String,
    /// Direction, where the log says so.
    pub direction: Option<String>,
    /// Sender.
    pub src: String,
    /// Sender's port.
    pub src_port: Option<i64>,
    /// Receiver.
    pub dst: String,
    /// Receiver's port.
    pub dst_port: Option<i64>,
    /// ACCEPT or REJECT.
    pub action: String,
    /// Packets.
    pub packets: Option<i64>,
    /// Bytes.
    pub bytes: Option<i64>,
    /// TCP flags, where the log has them.
    pub tcp_flags: Option<i64>,
    /// Of a REJECT: what dropped it, how sure that is, and why.
    pub verdict: Option<(String, String, String)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logged {
    /// The time looked at.
    pub window: Window,
    /// How many records there are in that time.
    pub found: u64,
    /// How many of them are REJECTs.
    pub rejects: u64,
    /// The records shown, in order of time.
    pub records: Vec<LogRecord>,
}

impl Logged {
    /// The time looked at, in words.
    pub fn period(&self) -> String {
        let text = |at: Option<Timestamp>| at.and_then(time_text);
        match (text(self.window.from), text(self.window.to)) {
            (Some(from), Some(to)) => format!("from {from} to {to}"),
            (Some(from), None) => format!("from {from} on"),
            (None, Some(to)) => format!("until {to}"),
            (None, None) => "of any time".to_owned(),
        }
    }
}

impl Trace {
    /// The condition in SQL on the columns of `flow_logs` for the records that bear on the flow.
    pub fn condition(&self, window: Window) -> String {
        let flow = &self.flow;
        let ports = matches!(flow.protocol, TCP | UDP);
        let port = |column: &str, port: Option<u16>| match port.filter(|_| ports) {
            Some(port) => format!(" and {column} = {port}"),
            None => String::new(),
        };
        // The client's port is another behind a NAT gateway, whose addresses carry other clients' flows too: where a port was
        // asked about, only records of the client's own address show that they are of this one.
        let client = flow.src_port;
        let (src, dst) = &self.addresses;
        let translated = self.translated.iter().filter(|_| client.is_none());
        let src: Vec<IpAddr> = src.iter().chain(translated).copied().collect();
        let legs = std::iter::once((dst.clone(), flow.dst_port));
        let legs = legs.chain(self.handed_on.iter().map(|(addr, port)| (vec![*addr], *port)));
        let one_way = |(from, from_port): (&[IpAddr], Option<u16>),
                       (to, to_port): (&[IpAddr], Option<u16>)| {
            format!(
                "({} and {}{}{})",
                one_of("srcaddr", "pkt_srcaddr", from),
                one_of("dstaddr", "pkt_dstaddr", to),
                port("srcport", from_port),
                port("dstport", to_port)
            )
        };
        let legs: Vec<String> = legs
            .flat_map(|(dst, service)| {
                let ends = ((src.as_slice(), client), (dst.as_slice(), service));
                [one_way(ends.0, ends.1), one_way(ends.1, ends.0)]
            })
            .collect();
        let protocol = match flow.protocol {
            ICMP | ICMPV6 => format!("protocol in ({ICMP}, {ICMPV6})"),
            protocol => format!("protocol = {protocol}"),
        };
        let mut condition = format!("{protocol} and ({})", legs.join(" or "));
        if !self.strangers.is_empty() {
            let ids: Vec<String> =
                self.strangers.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
            condition.push_str(&format!(
                " and (interface_id is null or interface_id not in ({}))",
                ids.join(", ")
            ));
        }
        if let Some(from) = window.from.and_then(time_text) {
            condition.push_str(&format!(" and \"end\" >= '{from}'"));
        }
        if let Some(to) = window.to.and_then(time_text) {
            condition.push_str(&format!(" and start <= '{to}'"));
        }
        condition
    }
}

impl Trace {
    /// What to say where logs and configuration contradict each other: rejects of what it lets pass, or records that were
    /// accepted behind what blocks.
    pub fn contradiction(&self) -> Option<String> {
        let logged = self.logged.as_ref()?;
        if self.outcome() == Decision::Allow && logged.rejects > 0 {
            let text = "the configuration lets the flow pass, and yet records were rejected: it was another then, or these \
                        packets belonged to no connection any more (the verdicts beside the records say which)";
            return Some(text.to_owned());
        }
        let accepted = logged.records.iter().filter(|record| record.action == "ACCEPT");
        let (stage, record) =
            accepted.filter_map(|record| Some((self.passed_though_blocked(record)?, record))).next()?;
        // Without flags an answer looks like a beginning.
        let hedge = match stage.layer == Layer::SecurityGroup && record.tcp_flags.is_none() {
            true => ", or these packets belonged to a connection that began the other way",
            false => "",
        };
        // A capture cannot know who came after it (spec 2.4), nor what was changed.
        let captured = self.captured.and_then(|(_, last)| time_text(last)).filter(|at| *at < record.start);
        let why = match captured {
            Some(at) => format!(
                "it was captured before that, at {at}, and does not know what changed or which members of groups came later (--at \
                 asks about a time){hedge}"
            ),
            None => format!("it was another then{hedge}"),
        };
        Some(format!(
            "the configuration blocks the flow ({} at {}), and yet {} accepted a record of it at {}: {why}",
            stage.layer, stage.at, record.interface, record.start
        ))
    }

    /// The first stage that blocks, although an accepted record shows that its packets came past it. What its interface
    /// accepted has passed the interface's own filters and whatever lies before them; what lies behind is not shown (spec
    /// 1.3: an ACCEPT says nothing of the far end).
    fn passed_though_blocked(&self, record: &LogRecord) -> Option<&Stage> {
        let [source, target] = &self.interfaces;
        let is_at = |end: &Option<(String, Option<String>)>| {
            end.as_ref().is_some_and(|(interface, _)| *interface == record.interface)
        };
        let way = self.way_of(record)?;
        let (end, direction) = match (is_at(source), is_at(target), way) {
            (true, false, Way::There) => (source, Direction::Egress),
            (true, false, Way::Back) => (source, Direction::Ingress),
            (false, true, Way::There) => (target, Direction::Ingress),
            (false, true, Way::Back) => (target, Direction::Egress),
            _ => return None,
        };
        let (interface, subnet) = end.as_ref()?;
        let is_its = |stage: &Stage| {
            matches!(stage.layer, Layer::NetworkAcl | Layer::SecurityGroup)
                && (stage.way, stage.direction) == (way, Some(direction))
                && (stage.at == *interface || Some(&stage.at) == subnet.as_ref())
        };
        let last = self.stages.iter().rposition(is_its)?;
        // Groups let pass what belongs to a connection that they have let begin: only its first packets contradict them.
        let begins = record.tcp_flags.is_none_or(|flags| match way {
            Way::There => flags & SYN != 0 && flags & ACK == 0,
            Way::Back => flags & SYN != 0,
        });
        // What goes back has come past the filters of its own direction (spec 8.10). Only a SYN-ACK shows that the flow itself
        // got through: whatever else goes back may have begun the other way.
        let answers = record.tcp_flags.is_some_and(|flags| flags & (SYN | ACK) == SYN | ACK);
        let shown = |stage: &&Stage| way == Way::There || answers || stage.way == Way::Back;
        let passed = self.stages.iter().take(last.saturating_add(1)).filter(shown);
        passed
            .into_iter()
            .find(|stage| stage.outcome == Decision::Deny && (begins || stage.layer != Layer::SecurityGroup))
    }

    /// What to say where the flow is the answer to one that was accepted the other way: somebody asks about the record that
    /// was rejected, as it stands in the log.
    pub fn answer_to(&self) -> Option<String> {
        let begins = |record: &&LogRecord| {
            record.action == "ACCEPT"
                && record.tcp_flags.is_some_and(|flags| flags & (SYN | ACK) == SYN)
                && self.way_of(record) == Some(Way::Back)
        };
        self.flow.src_port?;
        let record = self.logged.as_ref()?.records.iter().find(begins)?;
        let (src, dst) = (&record.src, &record.dst);
        let (from, to) = (record.src_port?, record.dst_port?);
        Some(format!(
            "this is the answer to {src} port {from} to {dst} port {to}, which {} accepted at {}: groups let answers pass, and \
             network ACLs judge each packet (ask about that flow for the whole way)",
            record.interface, record.start
        ))
    }

    /// Whether a record goes there or back. One of its addresses may be rewritten, then the other tells.
    fn way_of(&self, record: &LogRecord) -> Option<Way> {
        let (src, dst) = (record.src.parse::<IpAddr>().ok(), record.dst.parse::<IpAddr>().ok());
        let is_of = |addr: Option<IpAddr>, of: &[IpAddr]| addr.is_some_and(|addr| of.contains(&addr));
        let ours: Vec<IpAddr> = self.addresses.0.iter().chain(&self.translated).copied().collect();
        let targets = self.handed_on.iter().map(|(addr, _)| addr);
        let theirs: Vec<IpAddr> = self.addresses.1.iter().chain(targets).copied().collect();
        let there = is_of(src, &ours) || is_of(dst, &theirs);
        let back = is_of(src, &theirs) || is_of(dst, &ours);
        match (there, back) {
            (true, false) => Some(Way::There),
            (false, true) => Some(Way::Back),
            _ => None,
        }
    }
}

/// TCP flags as flow logs give them.
const SYN: i64 = 2;
const ACK: i64 = 16;

pub(super) fn time_text(at: Timestamp) -> Option<String> {
    let time = chrono::DateTime::from_timestamp(at, 0)?;
    Some(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Addresses of version 4 have one text; those of version 6 have several, so they are compared as addresses. Both may stand beside
/// each other: behind NAT64 one flow has either.
fn one_of(column: &str, packet: &str, addresses: &[IpAddr]) -> String {
    let (six, four): (Vec<&IpAddr>, Vec<&IpAddr>) = addresses.iter().partition(|addr| addr.is_ipv6());
    let each = |column: &str| {
        let texts: Vec<String> = four.iter().map(|addr| format!("'{addr}'")).collect();
        let listed = (!texts.is_empty()).then(|| format!("{column} in ({})", texts.join(", ")));
        let held = six.iter().map(|addr| format!("cidr_contains('{addr}/128', {column})"));
        let tests: Vec<String> = listed.into_iter().chain(held).collect();
        if six.is_empty() { tests.concat() } else { format!("({})", tests.join(" or ")) }
    };
    format!("({} or {})", each(column), each(packet))
}

impl LogRecord {
    /// The record in one line.
    pub fn text(&self) -> String {
        let port = |port: Option<i64>| port.map(|port| format!(" port {port}")).unwrap_or_default();
        let count = |count: Option<i64>, what: &str| {
            count.map(|count| format!(" {count} {what}")).unwrap_or_default()
        };
        let direction = self.direction.as_deref().map(|word| format!(" {word}")).unwrap_or_default();
        let flags = self.tcp_flags.map(|flags| format!(" flags {flags}")).unwrap_or_default();
        let verdict = self.verdict.as_ref();
        let verdict =
            verdict.map(|(verdict, confidence, _)| format!(": {verdict}, {confidence}")).unwrap_or_default();
        format!(
            "{} to {} {}{direction} {} {}{} to {}{}{flags}{}{}{verdict}",
            self.start,
            self.end,
            self.interface,
            self.action,
            self.src,
            port(self.src_port),
            self.dst,
            port(self.dst_port),
            count(self.packets, "packets"),
            count(self.bytes, "bytes"),
        )
    }

    /// The record as JSON, with the names of the log's columns.
    pub fn json(&self) -> Value {
        let part = |at: fn(&(String, String, String)) -> &String| self.verdict.as_ref().map(at);
        json!({
            "start": self.start,
            "end": self.end,
            "interface_id": self.interface,
            "flow_direction": self.direction,
            "srcaddr": self.src,
            "srcport": self.src_port,
            "dstaddr": self.dst,
            "dstport": self.dst_port,
            "action": self.action,
            "packets": self.packets,
            "bytes": self.bytes,
            "tcp_flags": self.tcp_flags,
            "verdict": part(|verdict| &verdict.0),
            "confidence": part(|verdict| &verdict.1),
            "explanation": part(|verdict| &verdict.2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_asked_for_side_by_side() {
        let addresses = ["10.0.2.5", "2001:db8::5"].map(|addr| addr.parse().unwrap());
        assert_eq!(
            one_of("srcaddr", "pkt_srcaddr", &addresses),
            "((srcaddr in ('10.0.2.5') or cidr_contains('2001:db8::5/128', srcaddr)) \
             or (pkt_srcaddr in ('10.0.2.5') or cidr_contains('2001:db8::5/128', pkt_srcaddr)))"
        );
    }
}
