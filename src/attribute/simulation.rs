//! A packet-level simulator: random rules, stateful tracking in time order, and the flow logs that it writes. Nothing that
//! attribution says with PROVEN or STRONG may contradict who dropped the packets.

use super::record::{Action, Record, RejectReason};
use super::*;
use crate::net::{TCP, UDP};
use crate::network::{Network, View};
use crate::rules::fixture::Fixture;
use crate::rules::{Decision, Direction, Engine, Packet, check_acl};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

const NOW: View = View { at: 0, after: false };
/// Set on every interface of the simulation.
const TCP_IDLE: i64 = 350;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len() as u64) as usize]
    }
}

fn world(random: &mut Random) -> Network {
    let mut text = String::from(
        "vpc vpc-1 10.0.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24
         subnet subnet-2 vpc-1 10.0.2.0/24
         nacl acl-1 vpc-1 subnet-1
         nacl acl-2 vpc-1 subnet-2
         list pl-1 198.51.100.0/28 10.0.2.0/29
         sg-0\nsg-1\nsg-2\n",
    );
    for (subnet, net) in [("subnet-1", "10.0.1"), ("subnet-2", "10.0.2")] {
        for host in 4..8 {
            let groups = random.pick(&["sg-0", "sg-1", "sg-0,sg-1", "sg-2", "sg-1,sg-2", ""]);
            text.push_str(&format!("eni eni-{net}.{host} {subnet} {net}.{host} groups={groups}\n"));
        }
    }
    let traffics =
        ["all", "tcp", "tcp 443", "tcp 1024-65535", "udp", "udp 53", "udp 1024-65535", "icmp", "tcp 22-443"];
    let remotes =
        ["0.0.0.0/0", "198.51.100.0/24", "198.51.100.0/29", "10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/24"];
    for acl in ["acl-1", "acl-2"] {
        for side in ["in", "out"] {
            let open = random.below(3) == 0;
            for number in 1..=random.below(4) {
                let action = random.pick(&["allow", "allow", "deny"]);
                let (traffic, remote) = (random.pick(&traffics), random.pick(&remotes));
                text.push_str(&format!("{acl} {side} {} {action} {traffic} {remote}\n", number * 10));
            }
            if open {
                text.push_str(&format!("{acl} {side} 900 allow all 0.0.0.0/0\n"));
            }
        }
    }
    for group in ["sg-0", "sg-1", "sg-2"] {
        for side in ["in", "out"] {
            for _ in 0..random.below(4) {
                let any = [&remotes[..], &["sg-0", "sg-1", "pl-1"]].concat();
                let (traffic, remote) = (random.pick(&traffics), random.pick(&any));
                text.push_str(&format!("{group} {side} {traffic} {remote}\n"));
            }
        }
    }
    let mut fixture = Fixture::new(&text);
    for interface in fixture.interfaces.values_mut() {
        interface.tcp_established_timeout = Some(TCP_IDLE);
    }
    fixture.network()
}

#[derive(Clone, Copy)]
struct Sent {
    at: i64,
    src: (Ipv4Addr, u16),
    dst: (Ipv4Addr, u16),
    protocol: u8,
    flags: u16,
}

/// What tracking knows of a flow on one interface.
struct Tracked {
    alive_until: i64,
    answered: bool,
    fins: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Truth {
    acl_denies: bool,
    groups_deny: bool,
    state_ended: bool,
}

type Tuple = (String, u8, (Ipv4Addr, u16), (Ipv4Addr, u16));

struct Logged {
    interface: String,
    direction: Direction,
    sent: Sent,
    start: i64,
    end: i64,
    flags: u16,
    rejected: bool,
    truths: Vec<Truth>,
}

/// Interface, outbound, rejected, capture window, ends, protocol.
type LogKey = (String, bool, bool, i64, (Ipv4Addr, u16), (Ipv4Addr, u16), u8);

struct Simulator<'n> {
    engine: Engine<'n>,
    tracked: HashMap<Tuple, Tracked>,
    logged: BTreeMap<LogKey, Logged>,
}

impl Simulator<'_> {
    /// One packet at one interface; whether it passes.
    fn filter(&mut self, address: Ipv4Addr, direction: Direction, sent: Sent) -> bool {
        let id = format!("eni-{address}");
        let Some(rules) = self.engine.interface(&id, NOW) else { return true };
        let (local, remote) = if direction.is_egress() { (sent.src, sent.dst) } else { (sent.dst, sent.src) };
        let ports = matches!(sent.protocol, TCP | UDP);
        let icmp = (sent.protocol == 1).then_some((8, Some(0)));
        let packet = Packet {
            direction,
            remote: IpAddr::V4(remote.0),
            protocol: sent.protocol,
            port: ports.then_some(sent.dst.1),
            icmp,
        };
        let same_subnet = local.0.octets()[..3] == remote.0.octets()[..3];
        let acl = rules.acl.as_ref().unwrap();
        let acl_denies = !same_subnet
            && check_acl(acl.list(direction, packet.family()), &packet).decision == Decision::Deny;
        let rule_allows =
            self.engine.explain_groups(&rules, &packet).is_none_or(|c| c.decision == Decision::Allow);
        let tuple = (id.clone(), sent.protocol, local, remote);
        let known = self.tracked.get(&tuple);
        let alive = known.is_some_and(|state| state.alive_until >= sent.at);
        let groups_deny = !rule_allows && !alive;
        let truth = Truth { acl_denies, groups_deny, state_ended: groups_deny && known.is_some() };
        let groups_see_it = direction.is_egress() || !acl_denies;
        if !groups_deny && groups_see_it {
            self.track(tuple, sent, alive);
        }
        let rejected = acl_denies || groups_deny;
        let window = sent.at.div_euclid(60);
        let key = (id.clone(), direction.is_egress(), rejected, window, sent.src, sent.dst, sent.protocol);
        let entry = self.logged.entry(key).or_insert_with(|| Logged {
            interface: id,
            direction,
            sent,
            start: sent.at,
            end: sent.at,
            flags: 0,
            rejected,
            truths: Vec::new(),
        });
        entry.end = sent.at;
        entry.flags |= sent.flags;
        entry.truths.push(truth);
        !rejected
    }

    fn track(&mut self, tuple: Tuple, sent: Sent, alive: bool) {
        let began_here = !alive;
        let state = self.tracked.entry(tuple).or_insert(Tracked { alive_until: 0, answered: false, fins: 0 });
        if began_here {
            state.answered = false;
            state.fins = 0;
        }
        let is_answer = sent.flags & 16 != 0 || (sent.protocol == UDP && sent.src.1 == 53);
        state.answered |= is_answer;
        state.alive_until = sent.at
            + match (sent.protocol, state.answered) {
                (TCP, true) => TCP_IDLE,
                (TCP, false) => 30,
                (UDP, true) => 180,
                (UDP, false) => 30,
                _ => 60,
            };
        if sent.flags & 4 != 0 {
            state.alive_until = sent.at - 1;
        }
        state.fins += u8::from(sent.flags & 1 != 0);
        if state.fins >= 2 {
            state.alive_until = sent.at - 1;
        }
    }

    /// From sender to receiver; whether it arrives.
    fn send(&mut self, sent: Sent) -> bool {
        self.filter(sent.src.0, Direction::Egress, sent) && self.filter(sent.dst.0, Direction::Ingress, sent)
    }

    fn flow(&mut self, random: &mut Random, begin: i64) {
        let address = |random: &mut Random| match random.below(3) {
            0 => Ipv4Addr::new(198, 51, 100, random.below(20) as u8 + 1),
            n => Ipv4Addr::new(10, 0, n as u8, random.below(4) as u8 + 4),
        };
        let (client, server) = (address(random), address(random));
        if client == server || (client.octets()[0] == 198 && server.octets()[0] == 198) {
            return;
        }
        let protocol = [TCP, TCP, TCP, UDP, 1][random.below(5) as usize];
        let port = if protocol == UDP { 53 } else { [443, 22, 8080][random.below(3) as usize] };
        let ports = if protocol == 1 { (0, 0) } else { (20_000 + random.below(40_000) as u16, port) };
        let there = Sent { at: begin, src: (client, ports.0), dst: (server, ports.1), protocol, flags: 0 };
        let back = Sent { src: there.dst, dst: there.src, ..there };
        if protocol != TCP {
            for exchange in 0..=random.below(3) as i64 {
                let at = begin + exchange * 20;
                let delay = [0, 1, 5, 100, 400][random.below(5) as usize];
                if self.send(Sent { at, ..there }) && random.below(5) > 0 {
                    self.send(Sent { at: at + delay, ..back });
                }
            }
            return;
        }
        let stray = match random.below(12) {
            0 => Some(Sent { flags: 0, ..there }),
            // Hosts of the VPC answer only what they got; the internet's hosts answer spoofed packets too.
            1 if server.octets()[0] == 198 => Some(Sent { flags: 18, ..back }),
            _ => None,
        };
        if let Some(stray) = stray {
            self.send(stray);
            return;
        }
        for retry in 0..=random.below(2) as i64 {
            if !self.send(Sent { at: begin + retry, flags: 2, ..there }) {
                continue;
            }
            if !self.send(Sent { at: begin + retry, flags: 18, ..back }) {
                return;
            }
            let mut at = begin + 2;
            for _ in 0..random.below(4) {
                at += [1, 10, 100, 300, 500][random.below(5) as usize];
                if !(self.send(Sent { at, ..there }) && self.send(Sent { at, ..back })) {
                    return;
                }
            }
            if random.below(2) == 0 {
                at += 1;
                self.send(Sent { at, flags: 1, ..there });
                self.send(Sent { at, flags: 1, ..back });
            }
            if random.below(3) == 0 {
                at += [5, 50, 200][random.below(3) as usize];
                self.send(Sent { at, flags: [0, 1, 4][random.below(3) as usize], ..back });
                self.send(Sent { at, flags: [0, 1, 4][random.below(3) as usize], ..there });
            }
            return;
        }
    }
}

fn record(logged: &Logged, flags_logged: bool, jitter: i64) -> Record<'_> {
    Record {
        interface_id: Some(&logged.interface),
        subnet_id: None,
        src: Some(IpAddr::V4(logged.sent.src.0)),
        dst: Some(IpAddr::V4(logged.sent.dst.0)),
        packet_src: None,
        packet_dst: None,
        src_port: logged.sent.src.1,
        dst_port: logged.sent.dst.1,
        protocol: logged.sent.protocol,
        packets: Some(logged.truths.len() as i64),
        bytes: Some(60),
        start: logged.start - jitter,
        end: logged.end + jitter,
        action: if logged.rejected { Action::Reject } else { Action::Accept },
        log_status_ok: true,
        tcp_flags: (flags_logged && logged.sent.protocol == TCP).then_some(logged.flags),
        direction: Some(logged.direction),
        reject_reason: RejectReason::NotInFormat,
        interface_type: None,
        next_hop_subnet_id: None,
    }
}

/// What a verdict claims of every packet of the record, if it claims it with confidence.
fn contradiction(found: &Attribution, truths: &[Truth]) -> Option<&'static str> {
    if found.confidence < Confidence::Strong {
        return None;
    }
    let some = |claim: fn(&Truth) -> bool| truths.iter().any(claim);
    let or = |cause| found.candidates.contains(cause);
    match found.verdict {
        Verdict::Nacl if some(|t| !t.acl_denies) => Some("the network ACL let it pass"),
        Verdict::Nacl if !or(Cause::SecurityGroup) && found.confidence == Confidence::Proven => {
            some(|t| t.groups_deny).then_some("the groups denied it as well")
        }
        Verdict::SecurityGroup if some(|t| !t.groups_deny) => Some("the groups let it pass"),
        Verdict::SecurityGroup if !or(Cause::Nacl) && some(|t| t.acl_denies) => {
            Some("the network ACL denied it as well")
        }
        Verdict::NaclAndSecurityGroup if some(|t| !t.acl_denies || !t.groups_deny) => {
            Some("one of them let it pass")
        }
        Verdict::StaleConnection if some(|t| t.acl_denies) => Some("the network ACL denied it"),
        Verdict::StaleConnection if some(|t| !t.state_ended) => Some("no state had ended"),
        Verdict::ConfigMismatch => Some("the configuration was in force"),
        _ => None,
    }
}

/// How much of the logs there is.
#[derive(Clone, Copy, PartialEq)]
enum Logs {
    Whole,
    /// They begin in the middle, and an interface's ACCEPTs are missing for a while, which SKIPDATA tells.
    Cut,
    /// Only REJECTs were logged.
    Rejects,
}

/// Verdicts over `worlds` random worlds: (all, decided), after checking that none contradicts the truth.
fn run(worlds: u64, with_network: bool, flags_logged: bool, logs: Logs) -> (usize, usize) {
    let (mut all, mut decided) = (0, 0);
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for seed in 1..=worlds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let network = world(&mut random);
        let mut simulator =
            Simulator { engine: Engine::new(&network), tracked: HashMap::new(), logged: BTreeMap::new() };
        let mut begins: Vec<i64> = (0..60).map(|_| 100_000 + random.below(20_000) as i64).collect();
        begins.sort_unstable();
        for begin in begins {
            simulator.flow(&mut random, begin);
        }
        let mut logged: Vec<Logged> = simulator.logged.into_values().collect();
        let skipped = (100_000 + random.below(15_000) as i64, "eni-10.0.2.5");
        let in_skipped = |at: i64| (skipped.0..skipped.0 + 5000).contains(&at);
        match logs {
            Logs::Whole => {}
            Logs::Rejects => logged.retain(|logged| logged.rejected),
            Logs::Cut => logged.retain(|logged| {
                let lost = logged.interface == skipped.1 && !logged.rejected && in_skipped(logged.start);
                logged.start > 105_000 && !lost
            }),
        }
        if logged.is_empty() {
            continue;
        }
        let records: Vec<Record<'_>> =
            logged.iter().map(|logged| record(logged, flags_logged, random.below(20) as i64)).collect();
        let mut index = EvidenceIndex::new();
        let subnet =
            |record: &Record<'_>| if record.interface_id.unwrap().contains("10.0.1.") { "1" } else { "2" };
        records.iter().filter(|r| r.action == Action::Reject).for_each(|r| index.want(r, Some(subnet(r))));
        let first = Record { start: -500_000, ..records[0] };
        match logs {
            Logs::Cut => index.missing(skipped.1, skipped.0 - 60, skipped.0 + 5060),
            _ => index.observe(&Record { action: Action::Reject, ..first }, None, None),
        }
        records.iter().for_each(|r| index.observe(r, Some(subnet(r)), Some(subnet(r))));
        let mut engine = Engine::new(&network);
        for (record, logged) in
            records.iter().zip(&logged).filter(|(record, _)| record.action == Action::Reject)
        {
            let evidence = index.evidence(record, Some(subnet(record)), Some(subnet(record)), 432_000);
            let found = decide(record, with_network.then_some(&mut engine), &evidence);
            all += 1;
            decided += usize::from(found.verdict != Verdict::Undetermined);
            if let Some(why) = contradiction(&found, &logged.truths) {
                let kind = format!(
                    "{} {} {:?} flags {:?}: {why}",
                    found.verdict, found.confidence, found.reasons, record.tcp_flags
                );
                let detail = format!("seed {seed}: {record:?} {evidence:?} {:?}", logged.truths);
                wrong.entry(kind).or_insert((0, detail)).0 += 1;
            }
        }
        for record in records.iter().filter(|record| record.action == Action::Accept) {
            assert_eq!(accept_contradicts(record, &mut engine), Some(false), "seed {seed}: {record:?}");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {all}: {wrong:#?}",
        wrong.values().map(|(count, _)| count).sum::<usize>()
    );
    (all, decided)
}

/// How many random worlds each test makes; set `SIMULATED_WORLDS` for long runs.
fn worlds() -> u64 {
    std::env::var("SIMULATED_WORLDS").ok().and_then(|count| count.parse().ok()).unwrap_or(150)
}

#[test]
fn with_configuration_and_flags_nothing_contradicts_the_truth() {
    let (all, decided) = run(worlds(), true, true, Logs::Whole);
    assert!(decided == all, "TCP, UDP and ICMP without types are decidable: {decided} of {all}");
}

#[test]
fn with_configuration_without_flags_nothing_contradicts_the_truth() {
    let (all, decided) = run(worlds(), true, false, Logs::Whole);
    assert!(decided == all, "decidable: {decided} of {all}");
}

#[test]
fn without_configuration_nothing_contradicts_the_truth() {
    run(worlds(), false, true, Logs::Whole);
}

#[test]
fn without_configuration_and_flags_nothing_contradicts_the_truth() {
    run(worlds(), false, false, Logs::Whole);
}

#[test]
fn cut_logs_do_not_mislead() {
    for (with_network, flags) in [(true, true), (true, false), (false, true), (false, false)] {
        run(worlds() / 2, with_network, flags, Logs::Cut);
    }
}

#[test]
fn rejects_alone_do_not_mislead() {
    for (with_network, flags) in [(true, true), (true, false), (false, true), (false, false)] {
        run(worlds() / 2, with_network, flags, Logs::Rejects);
    }
}
