//! The decision tables row by row, and what the test vectors (`vectors`) are written with: a network in lines, the log in lines, the record in question marked `>`, and what is
//! to be said of it: words that must be there, and with `!` words that must not.
//!
//! A log line is `interface direction protocol source destination flags action start`, times in seconds with `-end` or a
//! minute long; then `reason=BPA`, `type=nat_gateway`, `subnet=…`, `next=…`, `pkt-src=…`, `pkt-dst=…`, `bytes=-`.

use super::record::{Action, Record, RejectReason, Unshown};
use super::*;
use crate::network::*;
use crate::rules::fixture::Fixture;
use crate::rules::{Direction, Engine, InterfaceRules};
use std::sync::Arc;

/// Noon of the day, so that times of the day can be written as seconds from it.
pub(super) const NOON: i64 = 1_714_651_200;

fn end_point(text: &str) -> (Option<std::net::IpAddr>, u16) {
    match text.parse() {
        Ok(addr) => (Some(addr), 0),
        Err(_) => {
            let (addr, port) = text.rsplit_once(':').unwrap();
            (Some(addr.trim_matches(['[', ']']).parse().unwrap()), port.parse().unwrap())
        }
    }
}

pub(super) fn record(line: &str) -> Record<'_> {
    let words: Vec<&str> = line.trim_start_matches('>').split_whitespace().collect();
    let (src, src_port) = end_point(words[3]);
    let (dst, dst_port) = end_point(words[4]);
    let (start, end) = match words[7].split_once("..") {
        Some((start, end)) => (start.parse::<i64>().unwrap(), end.parse::<i64>().unwrap()),
        None => (words[7].parse().unwrap(), words[7].parse::<i64>().unwrap() + 30),
    };
    let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let direction = match words[1] {
        "in" => Some(Direction::Ingress),
        "out" => Some(Direction::Egress),
        _ => None,
    };
    Record {
        interface_id: Some(words[0]).filter(|id| *id != "-"),
        subnet_id: option("subnet"),
        src,
        dst,
        packet_src: option("pkt-src").map(|addr| addr.parse().unwrap()),
        packet_dst: option("pkt-dst").map(|addr| addr.parse().unwrap()),
        src_port,
        dst_port,
        protocol: if words[2] == "-" { 255 } else { crate::net::protocol_number(words[2]).unwrap() },
        packets: Some(1),
        bytes: if option("bytes") == Some("-") { None } else { Some(60) },
        has_time: option("time") != Some("-"),
        start: NOON + start,
        end: NOON + end,
        action: if words[6] == "ACCEPT" { Action::Accept } else { Action::Reject },
        log_status_ok: true,
        tcp_flags: words[5].parse().ok(),
        direction,
        reject_reason: match option("reason") {
            None => RejectReason::NotInFormat,
            Some("-") => RejectReason::Unnamed,
            Some("?") => RejectReason::Unclear,
            Some(reason) => RejectReason::Named(reason),
        },
        interface_type: option("type"),
        next_hop_subnet_id: option("next"),
        is_efa: option("kind") == Some("EFA"),
        alias: None,
        unshown: Unshown {
            protocol: words[2] == "-",
            src_port: matches!(option("ports"), Some("-" | "dst")),
            dst_port: option("ports") == Some("-"),
            ..Unshown::default()
        },
    }
}

/// Far enough back for every timeout.
const LONG_AGO: &str = "eni-other in tcp 192.0.2.1:1 10.99.0.1:2 2 ACCEPT -900000";

pub(super) struct Case<'a> {
    pub(super) network: Option<Network>,
    pub(super) log: &'a str,
    pub(super) skipdata: Option<&'a str>,
}

impl Case<'_> {
    fn attribute(&self) -> (Attribution, Explanation) {
        let lines: Vec<&str> = self.log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut records: Vec<Record<'_>> = lines.iter().copied().chain([LONG_AGO]).map(record).collect();
        let mut engine = self.network.as_ref().map(Engine::new);
        let mut rules = |record: &Record<'_>| {
            let view = View { at: record.start, after: false };
            engine.as_mut()?.interface(record.interface_id?, view)
        };
        let rules: Vec<Option<Arc<InterfaceRules>>> = records.iter().map(&mut rules).collect();
        for (record, rules) in records.iter_mut().zip(&rules) {
            let own = match record.direction {
                Some(Direction::Egress) => record.src.or(record.packet_src),
                _ => record.dst.or(record.packet_dst),
            };
            record.alias = rules.as_ref().zip(own).and_then(|(rules, own)| rules.interface.alias(&own));
        }
        let asked = lines.iter().position(|line| line.starts_with('>')).expect("one line is marked");
        let places: Vec<(Option<String>, Option<String>)> =
            records.iter().map(|record| self.place(record)).collect();
        let mut index = EvidenceIndex::new();
        let with = |at: usize| (places[at].0.as_deref(), places[at].1.as_deref());
        for (at, record) in records.iter().enumerate().filter(|(_, record)| record.action == Action::Reject) {
            index.want(record, with(at).0);
        }
        for (at, record) in records.iter().enumerate() {
            let shown = match &rules[at] {
                Some(rules) => zone(record, rules),
                None => with(at).0.map(Zone::of),
            };
            let steady = engine.as_mut().is_none_or(|engine| is_steady(record, engine));
            index.observe(record, shown, with(at).1, steady);
        }
        if let Some(interface) = self.skipdata {
            index.missing(interface, NOON - 600, NOON + 600);
        }
        let neighbours = with(asked).0.map(|name| Zone { name, within: with(asked).1 });
        let evidence = index.evidence(&records[asked], neighbours, with(asked).1, 432_000);
        let attribution = decide(&records[asked], engine.as_mut(), &evidence);
        let explanation = explain(&attribution, &records[asked], engine.as_mut(), &evidence);
        (attribution, explanation)
    }

    /// What the mismatch of the marked record is.
    pub(super) fn mismatch(&self) -> Option<String> {
        let marked = self.log.lines().find_map(|line| line.trim().strip_prefix('>')).unwrap();
        mismatch(&self.attribute().0, &record(marked.trim()))
    }

    /// Zone and subnet of a record.
    fn place(&self, record: &Record<'_>) -> (Option<String>, Option<String>) {
        let logged = record.subnet_id.map(str::to_string);
        let view = View { at: record.start, after: false };
        let Some(network) = &self.network else { return (logged.clone(), logged) };
        let interface = record.interface_id.and_then(|id| network.interfaces.get(id, view));
        let subnet = interface.and_then(|interface| interface.value.subnet_id.clone()).or(logged);
        let acl = subnet.as_deref().and_then(|subnet| network.acl_of(subnet, None, view));
        (acl.map(|acl| acl.value.id.clone()), subnet)
    }
}

fn shown(found: &Attribution) -> String {
    let list = |items: Vec<&str>| if items.is_empty() { "-".to_string() } else { items.join("+") };
    let mut text = format!("{} {}", found.verdict, found.confidence);
    found.reasons.iter().for_each(|reason| text.push_str(&format!(" {reason}")));
    text.push_str(&format!(" first={}", found.first_blocker.map_or("-", |blocker| blocker.as_str())));
    text.push_str(&format!(" blocks={}", list(found.blocking_set.iter().map(Blocker::as_str).collect())));
    text.push_str(&format!(" or={}", list(found.candidates.iter().map(|cause| cause.as_str()).collect())));
    let rule = found.nacl_rule_number.map_or("-".to_string(), |number| number.to_string());
    text + &format!(" rule={rule}")
}

#[track_caller]
pub(super) fn judge(case: &Case<'_>, expected: &str) -> Explanation {
    let (attribution, explanation) = case.attribute();
    let shown = shown(&attribution);
    let words: Vec<&str> = shown.split(' ').collect();
    for word in expected.split_whitespace() {
        match word.strip_prefix('!') {
            Some(word) => assert!(!words.contains(&word), "{word} must not be in: {shown}"),
            None => assert!(words.contains(&word), "{word} is not in: {shown}"),
        }
    }
    explanation
}

#[track_caller]
pub(super) fn with(network: &str, log: &str, expected: &str) -> Explanation {
    judge(&Case { network: Some(Fixture::new(network).network()), log, skipdata: None }, expected)
}

#[track_caller]
pub(super) fn without(log: &str, expected: &str) -> Explanation {
    judge(&Case { network: None, log, skipdata: None }, expected)
}

/// Two subnets with their own lists; the server eni-b (10.0.2.20, sg-b), the client eni-a (10.0.1.10, sg-a).
pub(super) const TWO_SUBNETS: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-a
    eni eni-b subnet-2 10.0.2.20 2001:db8:1:2::20 groups=sg-b
    nacl acl-1 vpc-1 subnet-1
    nacl acl-2 vpc-1 subnet-2
    sg-a out all 0.0.0.0/0
    sg-b";

pub(super) fn two(lines: &str) -> String {
    format!("{TWO_SUBNETS}\n{lines}")
}

pub(super) const OPEN: &str = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";

pub(super) const NAT: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-0 vpc-1 10.0.0.0/24
    eni eni-nat subnet-0 10.0.0.220 groups= type=nat_gateway
    nacl acl-0 vpc-1 subnet-0";

pub(super) const ALL_OPEN: &str = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n
    sg-b in all 0.0.0.0/0\nsg-b out all 0.0.0.0/0\n";

/// eni-b with a group whose rules were `before` until noon and are `after` since.
pub(super) fn with_history(before: &str, after: &str) -> Network {
    let mut network = Fixture::new(&two(OPEN)).network();
    let group = |lines: &str, at: i64| {
        let mut group = Fixture::new(&format!("sg-b\n{lines}")).groups.remove("sg-b").unwrap();
        group.id = "sg-b".into();
        Observation::new(Some(NOON + at), Origin::History, Some(group))
    };
    network.groups.put("sg-b".into(), Timeline::new(vec![group(before, -90_000), group(after, 0)]));
    network.finish();
    network
}

/// The worked mapping of 8.7: direction, list, groups, flags and mirror, each a line.
#[test]
fn worked_mapping_with_configuration() {
    let denied = two("acl-2 in 100 deny all 203.0.113.0/24\nsg-b out all 0.0.0.0/0");
    let syn_in = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0";
    let syn_out = "> eni-b out tcp 10.0.2.20:51000 203.0.113.7:443 2 REJECT 0";
    let open_groups = format!("{denied}\nsg-b in all 0.0.0.0/0");
    with(&open_groups, syn_in, "NACL PROVEN NACL_EXPLICIT_DENY rule=100");
    with(&two(""), syn_in, "NACL_AND_SECURITY_GROUP PROVEN first=NACL rule=32767");
    with(&two(OPEN), syn_in, "SECURITY_GROUP PROVEN");
    with(
        &two("acl-2 out 100 allow all 0.0.0.0/0\nsg-b out all 0.0.0.0/0"),
        "eni-b out tcp 10.0.2.20:51000 203.0.113.7:443 2 ACCEPT 0
         > eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 18 REJECT 0",
        "NACL PROVEN RESPONSE_OF_ACCEPTED_FLOW rule=32767",
    );
    for flags in [0, 1, 4] {
        with(
            &two(&format!("{OPEN}sg-b out all 0.0.0.0/0")),
            &format!(
                "eni-b out tcp 10.0.2.20:51000 203.0.113.7:443 3 ACCEPT -300
                 > eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 {flags} REJECT 0"
            ),
            "STALE_CONNECTION STRONG AFTER_CLOSE",
        );
    }
    with(
        &two(ALL_OPEN),
        "> eni-b in tcp 203.0.113.7:443 10.0.2.20:51000 4 REJECT 0",
        "STALE_CONNECTION WEAK OUT_OF_STATE",
    );
    with(&two(""), syn_out, "NACL_AND_SECURITY_GROUP first=SECURITY_GROUP");
    with(&two(OPEN), syn_out, "SECURITY_GROUP PROVEN SG_HAS_NO_RULES");
    with(
        NAT,
        "> eni-nat out tcp 10.0.0.220:51000 203.0.113.7:443 2 REJECT 0",
        "NACL PROVEN SG_NOT_APPLICABLE",
    );
}

#[test]
fn rows_without_configuration() {
    let request = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 ACCEPT 0 subnet=s";
    let answer = "out tcp 10.0.2.20:443 203.0.113.7:51000";
    let syn = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0 subnet=s";
    without(&format!("{syn} reason=BPA"), "VPC_BPA PROVEN"); // L1
    without(&syn.replace(" in ", " ? "), "UNDETERMINED NONE DIRECTION_UNKNOWN"); // L2
    without(&format!("{syn} type=nat_gateway"), "NACL STRONG SG_NOT_APPLICABLE or=VPC_BPA"); // L3
    without(&format!("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 18 ACCEPT 0\n{syn}"), "SECURITY_GROUP STRONG"); // L5
    without(
        &format!("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 ACCEPT 0 subnet=s\n{syn}"),
        "CONFIG_MISMATCH WEAK",
    ); // L6
    let late = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 0 REJECT 90";
    without(&format!("{request}\n{late}"), "STALE_CONNECTION STRONG"); // L7a
    let flagless = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - ACCEPT 0\n> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - REJECT 90";
    without(flagless, "STALE_CONNECTION WEAK or=SECURITY_GROUP"); // L7b
    without(
        &format!("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 0 ACCEPT 90\n{late}"),
        "STALE_CONNECTION STRONG",
    ); // L7
    let query = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 - REJECT 0";
    without(
        &format!("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 - ACCEPT 0\n{query}"),
        "UNDETERMINED !NACL or=SECURITY_GROUP+STALE_CONNECTION",
    ); // L8
    without(&format!("{request}\n> eni-b {answer} 18 REJECT 0"), "NACL STRONG RESPONSE_OF_ACCEPTED_FLOW"); // L9
    without(
        "eni-b out tcp 10.0.2.20:5 203.0.113.7:443 2 ACCEPT 0\n> eni-b in tcp 203.0.113.7:443 10.0.2.20:5 18 REJECT 0",
        "NACL STRONG",
    ); // L10
    without("> eni-b in tcp 203.0.113.7:443 10.0.2.20:5 18 REJECT 0", "UNDETERMINED or=NACL+SECURITY_GROUP"); // L11
    without(
        &format!("{}\n> eni-b {answer} 0 REJECT 90", request.replace(" 2 ", " 3 ")),
        "STALE_CONNECTION WEAK AFTER_CLOSE or=NACL",
    ); // L12
    without(&format!("{request}\n> eni-b {answer} 0 REJECT 90"), "NACL WEAK or=STALE_CONNECTION"); // L13
    let plain = request.replace(" 2 ", " - ");
    without(&format!("{plain}\n> eni-b {answer} - REJECT 10"), "NACL STRONG or=STALE_CONNECTION"); // L14
    without(&format!("{plain}\n> eni-b {answer} - REJECT 500"), "NACL WEAK or=STALE_CONNECTION"); // L14b
    without(
        "eni-b in udp 203.0.113.9:4000 10.0.2.20:53 - ACCEPT 0\n> eni-b out udp 10.0.2.20:53 203.0.113.9:4000 - REJECT 900",
        "UNDETERMINED",
    ); // L17
    without(
        "eni-b in icmp 203.0.113.9 10.0.2.20 - ACCEPT 0\n> eni-b out icmp 10.0.2.20 203.0.113.9 - REJECT 0",
        "NACL WEAK or=SECURITY_GROUP",
    ); // L18
    without(
        "> eni-b in tcp 10.0.2.30:5 10.0.2.20:443 2 REJECT 0 subnet=s next=s",
        "SECURITY_GROUP STRONG INTRA_SUBNET",
    ); // L19
    without(
        "eni-c out udp 10.0.2.30:9 192.0.2.1:9 - ACCEPT 0 subnet=s\n> eni-b in tcp 10.0.2.30:5 10.0.2.20:443 2 REJECT 0 subnet=s",
        "SECURITY_GROUP STRONG INTRA_SUBNET",
    ); // L19
    without(
        "> eni-b in tcp 203.0.113.7:5 10.0.2.20:443 0 REJECT 0",
        "STALE_CONNECTION WEAK or=NACL+SECURITY_GROUP",
    ); // L20
    without(syn, "UNDETERMINED NONE CONFIG_MISSING or=NACL+SECURITY_GROUP"); // L22
    without(
        "eni-b in tcp 10.0.2.30:5 10.0.2.20:443 2 ACCEPT 0 subnet=s next=s
         > eni-b out tcp 10.0.2.20:443 10.0.2.30:5 18 REJECT 0 subnet=s next=s",
        "UNDETERMINED INTRA_SUBNET or=SECURITY_GROUP+STALE_CONNECTION+NACL_SCOPE_EXCEPTION",
    );
}

#[test]
fn an_interface_that_the_configuration_lacks() {
    with(
        &two(ALL_OPEN),
        "> eni-lost in tcp 203.0.113.7:5 10.0.2.99:443 2 REJECT 0",
        "UNDETERMINED CONFIG_MISSING",
    );
}

#[test]
fn what_could_not_be_read_is_never_guessed() {
    let mut fixture = Fixture::new(&two(
        "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 in 50 deny tcp 443 0.0.0.0/0\nsg-b in all 0.0.0.0/0",
    ));
    fixture.acls.get_mut("acl-2").unwrap().entries[1].cidr = None;
    let log = "> eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 REJECT 0";
    judge(&Case { network: Some(fixture.network()), log, skipdata: None }, "UNDETERMINED CONFIG_MISSING");
}

#[test]
fn a_change_around_the_record() {
    let network = || with_history("sg-b out all 0.0.0.0/0", "sg-b in tcp 443 0.0.0.0/0");
    let at = |start: i64| format!("> eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 REJECT {start}");
    judge(
        &Case { network: Some(network()), log: &at(-20), skipdata: None },
        "CONFIG_MISMATCH STRONG CONFIG_CHANGED_IN_WINDOW blocks=SECURITY_GROUP",
    );
    judge(&Case { network: Some(network()), log: &at(-600), skipdata: None }, "SECURITY_GROUP PROVEN");
}

#[test]
fn an_accept_that_the_configuration_denies() {
    let network =
        Fixture::new(&two("acl-2 in 100 allow tcp 443 0.0.0.0/0\nsg-b in tcp 22 0.0.0.0/0")).network();
    let mut engine = Engine::new(&network);
    let mut said = |line: &str| accept_contradicts(&record(line), &mut engine);
    assert_eq!(
        said("eni-b in tcp 203.0.113.7:5 10.0.2.20:22 0 ACCEPT 0"),
        Some(true),
        "the list denies port 22"
    );
    assert_eq!(
        said("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 ACCEPT 0"),
        Some(true),
        "no rule of the group"
    );
    assert_eq!(
        said("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 0 ACCEPT 0"),
        Some(false),
        "state may let it pass"
    );
    assert_eq!(said("eni-lost in tcp 203.0.113.7:5 10.0.2.20:443 2 ACCEPT 0"), None);
    assert_eq!(said("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 REJECT 0"), None);
}

#[test]
fn accepts_of_the_same_key_contradict_the_configuration() {
    with(
        &two(""),
        "eni-b in tcp 203.0.113.7:50000 10.0.2.20:443 2 ACCEPT 0
         > eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0",
        "CONFIG_MISMATCH STRONG CONFIG_NOT_IN_FORCE",
    );
}

#[test]
fn a_failed_check_makes_everything_weak() {
    let network = Fixture::new(&two("")).network();
    let asked = record("> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT 0");
    let evidence = Evidence { inconsistent: true, complete: true, ..Evidence::default() };
    let found = decide(&asked, Some(&mut Engine::new(&network)), &evidence);
    assert_eq!((found.verdict, found.confidence), (Verdict::NaclAndSecurityGroup, Confidence::Weak));
}

#[test]
fn direction_by_the_interfaces_addresses() {
    let log = "> eni-b ? tcp 203.0.113.7:51000 10.0.2.20:443 - REJECT 0";
    with(&two(OPEN), log, "SECURITY_GROUP");
    with(&two(OPEN), &log.replace("10.0.2.20", "10.0.2.21"), "UNDETERMINED DIRECTION_UNKNOWN");
}
