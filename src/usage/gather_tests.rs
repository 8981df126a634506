use super::super::conversation::Conversation;
use super::super::sample::traffic;
use super::*;
use crate::rules::fixture::Fixture;

const NETWORK: &str = "
    vpc vpc-1 10.0.0.0/16
    subnet subnet-1 vpc-1 10.0.1.0/24
    eni eni-a subnet-1 10.0.1.10 groups=sg-1
    sg-1 in tcp 443 0.0.0.0/0
    sg-1 out all 0.0.0.0/0";

/// Conversations as `direction protocol port remote certainty: side client records bytes…`.
fn conversations(lines: &'static str) -> Vec<String> {
    let traffic = traffic(Fixture::new(NETWORK).network(), None, lines);
    let text = |conversation: Conversation<'_>| {
        let key = conversation.key;
        let port = key.port.map_or("-".to_owned(), |port| port.to_string());
        let parts: Vec<String> = conversation
            .parts
            .iter()
            .map(|part| {
                let side = if part.side() == Side::Request { "request" } else { "reply" };
                let rejected = if part.is_rejected() { " rejected" } else { "" };
                format!("{side}{rejected} {} {}", part.totals.records, part.totals.bytes)
            })
            .collect();
        format!(
            "{} {} {port} {} {:?}: {}",
            key.direction,
            key.protocol,
            key.remote,
            conversation.certainty(),
            parts.join(", ")
        )
    };
    traffic.conversations().map(text).collect()
}

#[test]
fn connections_to_one_service_are_one_conversation() {
    assert_eq!(
        conversations(
            "eni-a in 198.51.100.7 tcp 51000>443 ACCEPT bytes=100
             eni-a out 198.51.100.7 tcp 443>51000 ACCEPT bytes=900
             eni-a in 198.51.100.7 tcp 51001>443 ACCEPT bytes=50
             eni-a out 198.51.100.7 tcp 443>51001 ACCEPT bytes=70
             eni-a in 198.51.100.8 tcp 51001>443 REJECT bytes=40"
        ),
        [
            "ingress 6 443 198.51.100.7 Ports: request 2 150, reply 2 970",
            "ingress 6 443 198.51.100.8 Ports: request rejected 1 40",
        ]
    );
}

#[test]
fn flags_show_who_began_whatever_the_ports() {
    assert_eq!(
        conversations(
            "eni-a out 203.0.113.9 tcp 443>50000 ACCEPT flags=2
             eni-a in 203.0.113.9 tcp 50000>443 ACCEPT flags=18"
        ),
        ["egress 6 50000 203.0.113.9 Sure: request 1 100, reply 1 100"]
    );
}

#[test]
fn a_syn_elsewhere_settles_what_its_ports_leave_open() {
    // Both ports are of the kind that clients use; the SYN of another connection shows that 50000 listens.
    assert_eq!(
        conversations(
            "eni-a in 203.0.113.9 tcp 45000>50000 ACCEPT flags=2
             eni-a in 203.0.113.8 tcp 55000>50000 ACCEPT flags=0
             eni-a out 203.0.113.8 tcp 50000>55000 ACCEPT flags=0"
        ),
        [
            "ingress 6 50000 203.0.113.8 Likely: request 1 100, reply 1 100",
            "ingress 6 50000 203.0.113.9 Sure: request 1 100",
        ]
    );
}

#[test]
fn many_peers_make_a_service() {
    assert_eq!(
        conversations(
            "eni-a out 203.0.113.9 tcp 45000>50000 ACCEPT
             eni-a in 203.0.113.9 tcp 50000>45000 ACCEPT
             eni-a out 203.0.113.9 tcp 45001>50000 ACCEPT"
        ),
        ["egress 6 50000 203.0.113.9 Likely: request 2 200, reply 1 100"]
    );
}

#[test]
fn the_first_packet_settles_equal_ports() {
    assert_eq!(
        conversations(
            "eni-a in 203.0.113.9 udp 123>123 ACCEPT 100-160
             eni-a out 203.0.113.9 udp 123>123 ACCEPT 5-60"
        ),
        ["egress 17 123 203.0.113.9 Likely: request 1 100, reply 1 100"]
    );
    assert_eq!(
        conversations(
            "eni-a in 203.0.113.9 udp 123>123 ACCEPT 5-60
             eni-a out 203.0.113.9 udp 123>123 ACCEPT 65-125"
        ),
        // Starts are up to a minute off (spec 4.1).
        ["ingress 17 123 203.0.113.9 Guess: request 1 100, reply 1 100"]
    );
}

#[test]
fn protocols_without_ports_go_by_time() {
    assert_eq!(
        conversations(
            "eni-a in 203.0.113.9 icmp - ACCEPT 90-150
             eni-a out 203.0.113.9 icmp - ACCEPT 5-60
             eni-a in 203.0.113.8 50 - ACCEPT"
        ),
        [
            "ingress 50 - 203.0.113.8 Likely: request 1 100",
            "egress 1 - 203.0.113.9 Likely: request 1 100, reply 1 100",
        ]
    );
}

#[test]
fn what_no_rule_can_judge_is_counted_and_left() {
    let lines = "eni-a nodata 0-60
        eni-x in 203.0.113.9 tcp 50000>443 ACCEPT
        eni-a in 203.0.113.9 tcp 50000>443 ACCEPT";
    let traffic = traffic(Fixture::new(NETWORK).network(), None, lines);
    assert_eq!(traffic.conversations().count(), 1);
    assert_eq!(traffic.counts(), Counts { records: 3, outside: 1, ..Counts::default() });
}

#[test]
fn who_began_is_told_alike_of_what_lay_on_disk() {
    // Ports of which none tells: which end has several others, and the times, do.
    let mut lines = String::new();
    let mut state = 7u32;
    let mut next = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    for _ in 0..400 {
        let (own, far, remote) = (40_000 + next(9), 50_000 + next(9), next(40));
        let (direction, ports) = match next(2) {
            0 => ("in", format!("{far}>{own}")),
            _ => ("out", format!("{own}>{far}")),
        };
        let (from, action) = (next(600), ["ACCEPT", "REJECT"][next(2) as usize]);
        lines += &format!("eni-a {direction} 203.0.113.{remote} tcp {ports} {action} {from}-{}\n", from + 60);
    }
    let lines: &'static str = lines.leak();
    let told = |every: usize| {
        let network = Fixture::new(NETWORK).network();
        let traffic = super::super::sample::gathered(network, None, lines, every);
        let found = traffic.each(Vec::new, |found, one| found.push(format!("{:?}", one.parts))).unwrap();
        let mut found: Vec<String> = found.into_iter().flatten().collect();
        found.sort();
        found
    };
    let whole = told(usize::MAX);
    assert!(whole.iter().any(|one| one.contains("Likely")) && whole.iter().any(|one| one.contains("Guess")));
    for every in [1, 7, 50] {
        assert_eq!(told(every), whole, "put on disk after each {every}");
    }
}
