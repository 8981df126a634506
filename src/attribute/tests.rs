//! The test vectors of spec section 10. A network in lines, the log in lines, the record in question marked `>`, and what is
//! to be said of it: words that must be there, and with `!` words that must not.
//!
//! A log line is `interface direction protocol source destination flags action start`, times in seconds with `-end` or a
//! minute long; then `reason=BPA`, `type=nat_gateway`, `subnet=…`, `next=…`, `pkt-src=…`, `pkt-dst=…`, `bytes=-`.

use super::record::{Action, Record, RejectReason};
use super::*;
use crate::network::*;
use crate::rules::fixture::Fixture;
use crate::rules::{Direction, Engine};

/// Noon of the day, so that times of the day can be written as seconds from it.
const NOON: i64 = 1_714_651_200;

fn end_point(text: &str) -> (Option<std::net::IpAddr>, u16) {
    match text.parse() {
        Ok(addr) => (Some(addr), 0),
        Err(_) => {
            let (addr, port) = text.rsplit_once(':').unwrap();
            (Some(addr.trim_matches(['[', ']']).parse().unwrap()), port.parse().unwrap())
        }
    }
}

fn record(line: &str) -> Record<'_> {
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
        protocol: crate::net::protocol_number(words[2]).unwrap(),
        packets: Some(1),
        bytes: if option("bytes") == Some("-") { None } else { Some(60) },
        start: NOON + start,
        end: NOON + end,
        action: if words[6] == "ACCEPT" { Action::Accept } else { Action::Reject },
        log_status_ok: true,
        tcp_flags: words[5].parse().ok(),
        direction,
        reject_reason: match option("reason") {
            None => RejectReason::NotInFormat,
            Some("-") => RejectReason::Unnamed,
            Some(reason) => RejectReason::Named(reason),
        },
        interface_type: option("type"),
        next_hop_subnet_id: option("next"),
    }
}

/// Far enough back for every timeout.
const LONG_AGO: &str = "eni-other in tcp 192.0.2.1:1 10.99.0.1:2 2 ACCEPT -900000";

struct Case<'a> {
    network: Option<Network>,
    log: &'a str,
    skipdata: Option<&'a str>,
}

impl Case<'_> {
    fn attribute(&self) -> (Attribution, Explanation) {
        let lines: Vec<&str> = self.log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let records: Vec<Record<'_>> = lines.iter().copied().chain([LONG_AGO]).map(record).collect();
        let asked = lines.iter().position(|line| line.starts_with('>')).expect("one line is marked");
        let places: Vec<(Option<String>, Option<String>)> =
            records.iter().map(|record| self.place(record)).collect();
        let mut index = EvidenceIndex::new();
        let with = |at: usize| (places[at].0.as_deref(), places[at].1.as_deref());
        for (at, record) in records.iter().enumerate().filter(|(_, record)| record.action == Action::Reject) {
            index.want(record, with(at).0);
        }
        for (at, record) in records.iter().enumerate() {
            index.observe(record, with(at).0, with(at).1);
        }
        if let Some(interface) = self.skipdata {
            index.missing(interface, NOON - 600, NOON + 600);
        }
        let evidence = index.evidence(&records[asked], with(asked).0, with(asked).1, 432_000);
        let mut engine = self.network.as_ref().map(Engine::new);
        let attribution = decide(&records[asked], engine.as_mut(), &evidence);
        let explanation = explain(&attribution, &records[asked], engine.as_mut(), &evidence);
        (attribution, explanation)
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
    text.push_str(&format!(" blocks={}", list(found.blocking_set.iter().map(|b| b.as_str()).collect())));
    text.push_str(&format!(" or={}", list(found.candidates.iter().map(|cause| cause.as_str()).collect())));
    let rule = found.nacl_rule_number.map_or("-".to_string(), |number| number.to_string());
    text + &format!(" rule={rule}")
}

#[track_caller]
fn judge(case: &Case<'_>, expected: &str) -> Explanation {
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
fn with(network: &str, log: &str, expected: &str) -> Explanation {
    judge(&Case { network: Some(Fixture::new(network).network()), log, skipdata: None }, expected)
}

#[track_caller]
fn without(log: &str, expected: &str) -> Explanation {
    judge(&Case { network: None, log, skipdata: None }, expected)
}

/// Two subnets with their own lists; the server eni-b (10.0.2.20, sg-b), the client eni-a (10.0.1.10, sg-a).
const TWO_SUBNETS: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    subnet subnet-2 vpc-1 10.0.2.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-a
    eni eni-b subnet-2 10.0.2.20 2001:db8:1:2::20 groups=sg-b
    nacl acl-1 vpc-1 subnet-1
    nacl acl-2 vpc-1 subnet-2
    sg-a out all 0.0.0.0/0
    sg-b";

fn two(lines: &str) -> String {
    format!("{TWO_SUBNETS}\n{lines}")
}

const OPEN: &str = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n";

#[test]
fn t1_the_senders_accept_does_not_make_it_the_nacl() {
    with(
        &two(OPEN),
        "eni-a out tcp 10.0.1.10:40000 10.0.2.20:5432 2 ACCEPT 0
         > eni-b in tcp 10.0.1.10:40000 10.0.2.20:5432 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_HAS_NO_RULES first=SECURITY_GROUP rule=-",
    );
}

#[test]
fn t2_inside_a_subnet_the_nacl_is_not_named() {
    let explanation = with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-a subnet-1 10.0.1.10 groups=sg-a
         eni eni-b subnet-1 10.0.1.20 groups=sg-b
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 90 deny tcp 5432 0.0.0.0/0
         sg-b",
        "> eni-b in tcp 10.0.1.10:40000 10.0.1.20:5432 2 REJECT 0",
        "SECURITY_GROUP PROVEN INTRA_SUBNET rule=- blocks=SECURITY_GROUP",
    );
    assert!(!explanation.text.contains("acl-1"), "{}", explanation.text);
}

#[test]
fn t3_the_answer_that_the_nacl_forgot() {
    let explanation = with(
        &two(
            "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow tcp 443 0.0.0.0/0\nsg-b in tcp 443 0.0.0.0/0",
        ),
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 ACCEPT 0
         > eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 18 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY RESPONSE_OF_ACCEPTED_FLOW rule=32767 blocks=NACL",
    );
    assert_eq!(
        explanation.fixes[0].command,
        "aws ec2 create-network-acl-entry --network-acl-id acl-2 --egress --rule-number 110 --protocol 6 \
         --port-range From=1024,To=65535 --cidr-block 198.51.100.7/32 --rule-action allow"
    );
    assert_eq!(explanation.fixes.len(), 1, "the group's missing outbound rule is irrelevant");
}

#[test]
fn t4_after_the_close() {
    with(
        &two(&format!("{OPEN}sg-b in tcp 443 203.0.113.0/24")),
        "eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 3 ACCEPT -600
         eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 19 ACCEPT -600
         > eni-b out tcp 10.0.2.20:443 203.0.113.7:51000 4 REJECT 0",
        "STALE_CONNECTION STRONG AFTER_CLOSE first=CONNTRACK",
    );
}

#[test]
fn t5_entries_are_sorted() {
    let explanation = with(
        &two(
            "acl-2 in 100 allow tcp 443 0.0.0.0/0\nacl-2 in 90 deny all 198.51.100.0/24\nsg-b in tcp 443 0.0.0.0/0",
        ),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90",
    );
    assert!(explanation.text.contains("nacl acl-2 inbound rule 90 deny all traffic from 198.51.100.0/24"));
    assert!(explanation.text.contains("rule 100 would allow it but comes later"), "{}", explanation.text);
    assert_eq!(
        explanation.fixes[0].command,
        "aws ec2 create-network-acl-entry --network-acl-id acl-2 --ingress --rule-number 85 --protocol 6 \
         --port-range From=443,To=443 --cidr-block 198.51.100.7/32 --rule-action allow"
    );
}

#[test]
fn t6_only_ipv4_is_allowed_by_the_nacl() {
    with(
        &two(&format!("{OPEN}sg-b in tcp 443 ::/0")),
        "> eni-b in tcp [2001:db8:9::7]:51000 [2001:db8:1:2::20]:443 2 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY rule=32768",
    );
}

#[test]
fn t7_only_ipv4_is_allowed_by_the_group() {
    with(
        &two(&format!("{OPEN}acl-2 in 101 allow all ::/0\nsg-b in tcp 443 0.0.0.0/0")),
        "> eni-b in tcp [2001:db8:9::7]:51000 [2001:db8:1:2::20]:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE blocks=SECURITY_GROUP",
    );
}

#[test]
fn t8_an_icmp_type_in_the_nacl_is_not_visible() {
    with(
        &two("acl-2 in 100 allow icmp 8 0.0.0.0/0\nsg-b in icmp 0.0.0.0/0"),
        "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0",
        "NACL WEAK BY_ELIMINATION",
    );
}

#[test]
fn t9_icmp_types_in_both() {
    with(
        &two("acl-2 in 100 allow icmp 8 0.0.0.0/0\nsg-b in icmp 8 0.0.0.0/0"),
        "> eni-b in icmp 198.51.100.7 10.0.2.20 - REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn t10_ports_beside_icmp_in_terraform_are_ignored() {
    let state = r#"{"format_version":"1.0","values":{"root_module":{"resources":[
        {"mode":"managed","type":"aws_subnet","address":"a","values":{"id":"subnet-1","vpc_id":"vpc-1","cidr_block":"10.0.1.0/24"}},
        {"mode":"managed","type":"aws_security_group","address":"b","values":{"id":"sg-1","vpc_id":"vpc-1","ingress":[],"egress":[]}},
        {"mode":"managed","type":"aws_network_interface","address":"c","values":{"id":"eni-b","subnet_id":"subnet-1",
          "private_ip":"10.0.1.20","security_groups":["sg-1"]}},
        {"mode":"managed","type":"aws_network_acl","address":"d","values":{"id":"acl-1","vpc_id":"vpc-1",
          "subnet_ids":["subnet-1"],"egress":[],"ingress":[{"rule_no":100,"action":"allow","protocol":"1","from_port":0,
          "to_port":0,"cidr_block":"0.0.0.0/0","ipv6_cidr_block":"","icmp_type":-1,"icmp_code":-1}]}}]}}}"#;
    let mut builder = NetworkBuilder::new();
    builder.read("state.json", state.as_bytes(), &ReadOptions::default()).unwrap();
    let (network, problems) = builder.finish();
    assert_eq!(problems, vec![]);
    let log = "> eni-b in icmp 198.51.100.7 10.0.1.20 - REJECT 0";
    judge(&Case { network: Some(network), log, skipdata: None }, "SECURITY_GROUP STRONG SG_HAS_NO_RULES");
}

#[test]
fn t11_both_deny_inbound() {
    let explanation = with(
        &two(""),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN NACL_DEFAULT_DENY SG_HAS_NO_RULES first=NACL blocks=NACL+SECURITY_GROUP",
    );
    assert_eq!(explanation.fixes.len(), 2, "the fix names both");
    assert_eq!(
        explanation.fixes[1].command,
        "aws ec2 authorize-security-group-ingress --group-id sg-b --ip-permissions \
         IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=198.51.100.7/32}]"
    );
}

#[test]
fn t12_both_deny_outbound() {
    with(
        &two(""),
        "> eni-b out tcp 10.0.2.20:51000 198.51.100.7:443 2 REJECT 0",
        "NACL_AND_SECURITY_GROUP PROVEN first=SECURITY_GROUP blocks=SECURITY_GROUP+NACL",
    );
}

#[test]
fn t13_a_reference_does_not_match_public_addresses() {
    with(
        &two(&format!(
            "{OPEN}sg-b in tcp 443 sg-a\neni eni-c subnet-1 10.0.1.30 groups=sg-a public=203.0.113.25"
        )),
        "> eni-b in tcp 203.0.113.25:51000 10.0.2.20:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE",
    );
}

#[test]
fn t14_a_reference_to_a_group_whose_members_are_unknown() {
    let network = two(&format!("{OPEN}sg-b in tcp 443 123456789012/sg-far\npeering pcx-1 vpc-1 vpc-2"));
    let log = "> eni-b in tcp 10.1.4.9:51000 10.0.2.20:443 2 REJECT 0";
    with(&network, log, "SECURITY_GROUP WEAK BY_ELIMINATION !SG_NO_MATCHING_RULE");
    with(&network, &format!("{log} reason=-"), "SECURITY_GROUP STRONG BY_ELIMINATION");
}

#[test]
fn t15_a_prefix_list_without_entries_and_no_nacl() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-2 vpc-1 10.0.2.0/24
         eni eni-b subnet-2 10.0.2.20 groups=sg-b
         list pl-1 unknown
         sg-b in tcp 443 pl-1",
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

const NAT: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-0 vpc-1 10.0.0.0/24
    eni eni-nat subnet-0 10.0.0.220 groups= type=nat_gateway
    nacl acl-0 vpc-1 subnet-0";

#[test]
fn t16_a_nat_gateway_has_no_groups() {
    let explanation = with(
        NAT,
        "> eni-nat in tcp 198.51.100.7:51000 10.0.0.220:443 2 REJECT 0",
        "NACL PROVEN NACL_DEFAULT_DENY SG_NOT_APPLICABLE blocks=NACL",
    );
    assert!(!explanation.text.contains("group"), "{}", explanation.text);
}

#[test]
fn t17_an_accept_is_not_judged() {
    with(
        &format!("{NAT}\nacl-0 in 100 allow all 0.0.0.0/0"),
        "> eni-nat in tcp 198.51.100.7:51000 10.0.0.220:443 2 ACCEPT 0",
        "NOT_APPLICABLE first=-",
    );
}

/// eni-b with a group whose rules were `before` until noon and are `after` since.
fn with_history(before: &str, after: &str) -> Network {
    let mut network = Fixture::new(&two(OPEN)).network();
    let group = |lines: &str, at: i64| {
        let mut group = Fixture::new(&format!("sg-b\n{lines}")).groups.remove("sg-b").unwrap();
        group.id = "sg-b".into();
        Observation {
            at: Some(NOON + at),
            sequence: 0,
            origin: Origin::History,
            reduced: false,
            value: Some(group),
        }
    };
    network.groups.put("sg-b".into(), Timeline::new(vec![group(before, -90_000), group(after, 0)]));
    network.finish();
    network
}

#[test]
fn t18_a_removed_rule_cuts_untracked_flows_at_once() {
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 2 ACCEPT -3000
               eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 18 ACCEPT -3000
               eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 ACCEPT -1200..-60
               eni-b out tcp 10.0.2.20:22 203.0.113.7:51000 0 ACCEPT -1200..-60
               > eni-b in tcp 203.0.113.7:51000 10.0.2.20:22 0 REJECT 1200";
    let untracked =
        with_history("sg-b in tcp 22 0.0.0.0/0\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    judge(
        &Case { network: Some(untracked), log, skipdata: None },
        "SECURITY_GROUP STRONG SG_HAS_NO_RULES !NACL",
    );
    let tracked =
        with_history("sg-b in tcp 22 203.0.113.0/24\nsg-b out all 0.0.0.0/0", "sg-b out all 0.0.0.0/0");
    judge(
        &Case { network: Some(tracked), log: &log.replace("-1200..-60", "-1200..1190"), skipdata: None },
        "STALE_CONNECTION WEAK or=CONFIG_MISMATCH",
    );
}

#[test]
fn t19_a_snapshot_taken_later_and_the_history() {
    let log = "> eni-b in tcp 203.0.113.7:51000 10.0.2.20:443 2 REJECT -3600";
    let mut late = Fixture::new(&two(OPEN)).network();
    let group = Fixture::new("sg-b in tcp 443 0.0.0.0/0").groups.remove("sg-b").unwrap();
    let at = Some(NOON);
    let reading =
        Observation { at, sequence: 0, origin: Origin::Snapshot, reduced: false, value: Some(group) };
    late.groups.put("sg-b".into(), Timeline::new(vec![reading]));
    late.finish();
    judge(&Case { network: Some(late), log, skipdata: None }, "CONFIG_MISMATCH WEAK CONFIG_NOT_IN_FORCE");
    let known = with_history("sg-b out all 0.0.0.0/0", "sg-b in tcp 443 0.0.0.0/0");
    judge(&Case { network: Some(known), log, skipdata: None }, "SECURITY_GROUP PROVEN SG_HAS_NO_RULES");
}

const ALL_OPEN: &str = "acl-2 in 100 allow all 0.0.0.0/0\nacl-2 out 100 allow all 0.0.0.0/0\n
    sg-b in all 0.0.0.0/0\nsg-b out all 0.0.0.0/0\n";

#[test]
fn t20_the_log_names_block_public_access() {
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 reason=BPA bytes=-";
    with(&two(ALL_OPEN), log, "VPC_BPA PROVEN LOG_REASON_FIELD first=BPA");
}

#[test]
fn t21_block_public_access_by_elimination() {
    let network = two(&format!("{ALL_OPEN}bpa subnet-2 block-bidirectional"));
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    with(&network, log, "VPC_BPA STRONG BY_ELIMINATION first=BPA");
    with(&network, "> eni-b in tcp 10.0.1.10:51000 10.0.2.20:443 2 REJECT 0", "CONFIG_MISMATCH WEAK");
}

#[test]
fn t22_a_classic_load_balancer_in_the_targets_subnet() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         eni eni-lb subnet-1 10.0.1.40 groups=sg-lb description=ELB classic
         eni eni-b subnet-1 10.0.1.20 groups=sg-b
         nacl acl-1 vpc-1 subnet-1
         acl-1 in 90 deny all 10.0.1.0/24
         acl-1 in 100 allow all 0.0.0.0/0
         sg-b in all 0.0.0.0/0",
        "> eni-b in tcp 10.0.1.40:51000 10.0.1.20:80 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90 !INTRA_SUBNET",
    );
}

const TRANSIT: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-a
    eni eni-tgw subnet-1 10.0.1.5 groups= type=transit_gateway
    route subnet-1 10.0.0.0/16 local
    route subnet-1 10.0.0.0/8 tgw-1
    nacl acl-1 vpc-1 subnet-1";

#[test]
fn t23_from_a_transit_gateway_in_the_subnet() {
    with(
        &format!("{TRANSIT}\nacl-1 in 90 deny all 10.9.0.0/16\nacl-1 in 100 allow all 0.0.0.0/0\nsg-a"),
        "> eni-a in tcp 10.9.1.1:51000 10.0.1.10:443 2 REJECT 0",
        "SECURITY_GROUP PROVEN rule=- blocks=SECURITY_GROUP",
    );
}

#[test]
fn t23b_to_a_transit_gateway_in_the_subnet() {
    let explanation = with(
        &format!(
            "{TRANSIT}
            acl-1 in 90 deny all 10.0.1.0/24
            acl-1 in 100 allow all 0.0.0.0/0
            acl-1 out 100 allow all 0.0.0.0/0
            sg-a out all 0.0.0.0/0"
        ),
        "> eni-a out tcp 10.0.1.10:51000 10.9.1.1:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=90",
    );
    assert!(
        explanation.text.contains("inbound rule 90 deny all traffic from 10.0.1.0/24"),
        "{}",
        explanation.text
    );
    assert!(
        explanation.fixes[0].command.contains("--ingress")
            && explanation.fixes[0].command.contains("10.0.1.10/32")
    );
}

#[test]
fn t24_ntp_may_begin_at_either_end() {
    without(
        "eni-b in udp 203.0.113.9:123 10.0.2.20:123 - ACCEPT 0
         > eni-b out udp 10.0.2.20:123 203.0.113.9:123 - REJECT 0",
        "UNDETERMINED NONE or=NACL+SECURITY_GROUP",
    );
}

#[test]
fn t25_a_late_udp_answer() {
    without(
        "eni-b in udp 203.0.113.9:40000 10.0.2.20:53 - ACCEPT 0..5
         > eni-b out udp 10.0.2.20:53 203.0.113.9:40000 - REJECT 45..50",
        "NACL WEAK RESPONSE_OF_ACCEPTED_FLOW or=SECURITY_GROUP",
    );
}

#[test]
fn t26_the_idle_timeout_is_the_instances() {
    let network = |kind: &str| {
        two(&format!(
            "{OPEN}sg-b in tcp 5432 203.0.113.0/24
             instance i-1 {kind}
             eni eni-b subnet-2 10.0.2.20 groups=sg-b instance=i-1"
        ))
    };
    let log = "eni-b in tcp 203.0.113.7:51000 10.0.2.20:5432 0 ACCEPT -460..-400
               eni-b out tcp 10.0.2.20:5432 203.0.113.7:51000 0 ACCEPT -460..-400
               > eni-b out tcp 10.0.2.20:5432 203.0.113.7:51000 0 REJECT 0";
    with(&network("m8g.large"), log, "STALE_CONNECTION STRONG IDLE_TIMEOUT first=CONNTRACK");
    with(&network("m5.large"), log, "!IDLE_TIMEOUT");
}

#[test]
fn t27_a_sibling_clears_the_nacl() {
    without(
        "eni-c in tcp 198.51.100.7:50000 10.0.2.30:443 2 ACCEPT 0 subnet=subnet-2
         > eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 subnet=subnet-2",
        "SECURITY_GROUP STRONG SIBLING_ACCEPT",
    );
}

#[test]
fn t28_backscatter_answers_nothing() {
    with(
        &two(OPEN),
        "> eni-b in tcp 203.0.113.9:443 10.0.2.20:51111 18 REJECT 0",
        "SECURITY_GROUP STRONG first=SECURITY_GROUP !RESPONSE_OF_ACCEPTED_FLOW",
    );
}

#[test]
fn t29_the_primary_address_stands_for_a_secondary_one() {
    with(
        &two(&format!("{OPEN}eni eni-b subnet-2 10.0.2.20 10.0.2.26 groups=sg-b")),
        "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0 pkt-src=198.51.100.7 pkt-dst=10.0.2.26",
        "SECURITY_GROUP PROVEN SG_HAS_NO_RULES",
    );
}

#[test]
fn t30_ports_of_esp_are_ignored() {
    let mut builder = NetworkBuilder::new();
    let groups = r#"{"SecurityGroups":[{"GroupId":"sg-b","IpPermissions":[{"IpProtocol":"50","FromPort":0,"ToPort":0,
        "IpRanges":[{"CidrIp":"0.0.0.0/0"}]}],"IpPermissionsEgress":[]}]}"#;
    let options = ReadOptions { captured_at: Some(NOON), ..ReadOptions::default() };
    builder.read("groups.json", groups.as_bytes(), &options).unwrap();
    let mut network = Fixture::new(&two("")).network();
    let timeline = builder.finish().0.groups.timeline("sg-b").unwrap().clone();
    network.groups.put("sg-b".into(), timeline);
    network.finish();
    let log = "> eni-b in esp 198.51.100.7 10.0.2.20 - REJECT 0";
    judge(&Case { network: Some(network), log, skipdata: None }, "NACL PROVEN NACL_DEFAULT_DENY blocks=NACL");
}

#[test]
fn t31_a_group_of_another_vpc_applies() {
    let mut fixture = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 80 0.0.0.0/0")));
    fixture.groups.get_mut("sg-b").unwrap().vpc_id = Some("vpc-elsewhere".into());
    let log = "> eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 2 REJECT 0";
    judge(
        &Case { network: Some(fixture.network()), log, skipdata: None },
        "SECURITY_GROUP PROVEN SG_NO_MATCHING_RULE !BY_ELIMINATION",
    );
}

#[test]
fn t32_a_subnet_without_association_has_the_default_list() {
    with(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-9 vpc-1 10.0.9.0/24
         eni eni-b subnet-9 10.0.9.20 groups=sg-b
         nacl acl-0 vpc-1 default
         acl-0 in 10 deny tcp 443 0.0.0.0/0
         sg-b in all 0.0.0.0/0",
        "> eni-b in tcp 198.51.100.7:51000 10.0.9.20:443 2 REJECT 0",
        "NACL PROVEN NACL_EXPLICIT_DENY rule=10",
    );
}

#[test]
fn t33_accepted_and_rejected_in_one_interval() {
    with(
        &two(ALL_OPEN),
        "eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 3 ACCEPT 0
         > eni-b in tcp 198.51.100.7:51000 10.0.2.20:443 4 REJECT 0",
        "STALE_CONNECTION STRONG AFTER_CLOSE",
    );
}

#[test]
fn t34_a_regional_nat_gateway_has_no_interface() {
    let log = "> - in tcp 198.51.100.7:51000 10.0.0.220:443 2 REJECT 0";
    with(&two(ALL_OPEN), log, "UNDETERMINED NONE");
    without(log, "UNDETERMINED NONE");
}

#[test]
fn t35_skipped_data_voids_the_missing_mirror() {
    let network = Fixture::new(&two(&format!("{OPEN}sg-b in tcp 443 0.0.0.0/0"))).network();
    let log = "> eni-b out tcp 10.0.2.20:443 198.51.100.7:51000 0 REJECT 0";
    let case = Case { network: Some(network), log, skipdata: Some("eni-b") };
    judge(&case, "SECURITY_GROUP WEAK BY_ELIMINATION or=STALE_CONNECTION");
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
    without(&format!("eni-b in tcp 203.0.113.7:5 10.0.2.20:443 2 ACCEPT 0\n{syn}"), "CONFIG_MISMATCH WEAK"); // L6
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
