//! Packets through the filters of a world: stateful tracking in time order, and the flow logs that it writes.

use super::Random;
use super::world::{Node, TCP_IDLE, World};
use crate::net::{ICMP, ICMPV6, TCP, UDP};
use crate::network::{Remote, Traffic, View};
use crate::rules::{Decision, Direction, Engine, InterfaceRules, Packet, Ternary, check_acl, match_traffic};
use std::collections::{BTreeMap, HashMap, HashSet};

const NOW: View = View { at: 0, after: false };

#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: i64,
    pub(super) six: bool,
    pub(super) src: (Node, u16),
    pub(super) dst: (Node, u16),
    pub(super) protocol: u8,
    pub(super) flags: u16,
    /// ICMP type and code.
    pub(super) icmp: Option<(u8, u8)>,
}

/// What tracking knows of a flow on one interface.
struct Tracked {
    alive_until: i64,
    answered: bool,
    fins: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Truth {
    pub(super) acl_denies: bool,
    pub(super) groups_deny: bool,
    pub(super) state_ended: bool,
}

/// Interface, family, protocol, kind of ICMP exchange, own end, other end.
type Tuple = (String, bool, u8, u8, (Node, u16), (Node, u16));

pub(super) struct Logged {
    pub(super) interface: String,
    pub(super) direction: Direction,
    pub(super) sent: Sent,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) flags: u16,
    pub(super) rejected: bool,
    pub(super) truths: Vec<Truth>,
}

/// Interface, outbound, rejected, capture window, family, ends, protocol.
type LogKey = (String, bool, bool, i64, bool, (Node, u16), (Node, u16), u8);

pub(super) struct Simulator<'n> {
    world: &'n World,
    engines: Vec<Engine<'n>>,
    tracked: HashMap<Tuple, Tracked>,
    /// Flows that the rules of their first packet left untracked.
    untracked: HashSet<Tuple>,
    pub(super) logged: BTreeMap<LogKey, Logged>,
}

/// Echo and its reply are one exchange; every other type stands alone.
fn exchange(icmp: Option<(u8, u8)>) -> u8 {
    match icmp {
        None | Some((0 | 8 | 128 | 129, _)) => 0,
        Some((kind, _)) => kind.max(1),
    }
}

/// Whether the rules leave a flow untracked (spec 2.2): let in by a rule for all addresses, and everything of the protocol
/// is let through to all addresses the other way.
fn is_untracked(rules: &InterfaceRules, packet: &Packet) -> bool {
    let groups = rules.groups.iter().flat_map(|groups| &groups.groups);
    let all: Vec<_> = groups
        .flat_map(|group| &group.rules)
        .filter(|rule| {
            matches!(&rule.remote, Remote::Cidr(cidr) if cidr.prefix_len() == 0 && cidr.family() == packet.family())
        })
        .collect();
    let out = packet.direction.is_egress();
    let enabled = all.iter().any(|r| r.egress == out && match_traffic(&r.traffic, packet).0 == Ternary::Yes);
    let answered = all.iter().any(|rule| {
        rule.egress != out
            && match &rule.traffic {
                Traffic::All => true,
                Traffic::Ports { protocol, ports } => *protocol == packet.protocol && ports.is_all(),
                _ => false,
            }
    });
    matches!(packet.protocol, TCP | UDP) && enabled && answered
}

impl<'n> Simulator<'n> {
    pub(super) fn new(world: &'n World) -> Self {
        let engines = world.states.iter().map(|(_, network)| Engine::new(network)).collect();
        Simulator {
            world,
            engines,
            tracked: HashMap::new(),
            untracked: HashSet::new(),
            logged: BTreeMap::new(),
        }
    }

    /// One packet at one interface; whether it passes.
    fn filter(&mut self, node: Node, direction: Direction, sent: Sent) -> bool {
        let Some(id) = node.interface() else { return true };
        let state = self.world.state_at(sent.at);
        let Some(rules) = self.engines[state].interface(&id, NOW) else { return true };
        let (local, remote) = if direction.is_egress() { (sent.src, sent.dst) } else { (sent.dst, sent.src) };
        let ports = matches!(sent.protocol, TCP | UDP);
        let packet = |direction: Direction, port: u16| Packet {
            direction,
            remote: remote.0.address(sent.six),
            protocol: sent.protocol,
            port: ports.then_some(port),
            icmp: sent.icmp.map(|(kind, code)| (kind, Some(code))),
        };
        let mirrored = packet(direction.opposite(), sent.src.1);
        let packet = packet(direction, sent.dst.1);
        let acl = rules.acl.as_ref().unwrap();
        let acl_denies = local.0.subnet() != remote.0.subnet()
            && check_acl(acl.list(direction, packet.family()), &packet).decision == Decision::Deny;
        let check = self.engines[state].explain_groups(&rules, &packet);
        let rule_allows = check.is_none_or(|check| check.decision == Decision::Allow);
        let tuple = (id.clone(), sent.six, sent.protocol, exchange(sent.icmp), local, remote);
        let known = self.tracked.get(&tuple);
        let alive = known.is_some_and(|state| state.alive_until >= sent.at);
        let groups_deny = !rule_allows && !alive;
        let truth = Truth { acl_denies, groups_deny, state_ended: groups_deny && known.is_some() };
        let groups_see_it = direction.is_egress() || !acl_denies;
        // Only echo has answers. Whether a flow is tracked goes by the packet that opens it: its answers, let through by the rules of
        // their own direction, open none.
        let goes_on = self.untracked.contains(&tuple) && !(sent.protocol == TCP && sent.flags == 2);
        let leaves = is_untracked(&rules, &packet) || (goes_on && is_untracked(&rules, &mirrored));
        let opens = exchange(sent.icmp) == 0;
        if !groups_deny && groups_see_it && (alive || opens) {
            if alive || !leaves {
                self.untracked.remove(&tuple);
                self.track(tuple, sent, alive);
            } else {
                self.untracked.insert(tuple);
            }
        }
        let rejected = acl_denies || groups_deny;
        let window = sent.at.div_euclid(60);
        let key = (
            id.clone(),
            direction.is_egress(),
            rejected,
            window,
            sent.six,
            sent.src,
            sent.dst,
            sent.protocol,
        );
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

    /// A conversation, or what is left of one; `six` is whether version 6 may be chosen, `typed` whether ICMP is more than echo.
    pub(super) fn flow(&mut self, random: &mut Random, begin: i64, six: bool, typed: bool) {
        let node = |random: &mut Random| match random.below(3) {
            0 => Node::Outside(random.below(20) as u8 + 1),
            n => Node::Inside(n as u8, random.below(4) as u8 + 4),
        };
        let (client, server) = (node(random), node(random));
        if client == server || (client.subnet().is_none() && server.subnet().is_none()) {
            return;
        }
        let six = six && random.below(2) == 0;
        let protocol = match [TCP, TCP, TCP, UDP, ICMP][random.below(5) as usize] {
            ICMP if six => ICMPV6,
            protocol => protocol,
        };
        let port = if protocol == UDP { 53 } else { [443, 22, 8080][random.below(3) as usize] };
        let is_icmp = matches!(protocol, ICMP | ICMPV6);
        let ports = if is_icmp { (0, 0) } else { (20_000 + random.below(40_000) as u16, port) };
        let (request, reply) = if six { ((128, 0), (129, 0)) } else { ((8, 0), (0, 0)) };
        let icmp = is_icmp.then_some(request);
        let there =
            Sent { at: begin, six, src: (client, ports.0), dst: (server, ports.1), protocol, flags: 0, icmp };
        let back = Sent { src: there.dst, dst: there.src, icmp: icmp.map(|_| reply), ..there };
        if is_icmp && typed && random.below(3) == 0 {
            let kinds = if six { [(1, 4), (1, 0), (128, 0)] } else { [(3, 4), (3, 1), (13, 0)] };
            for _ in 0..=random.below(2) {
                let icmp = Some(kinds[random.below(3) as usize]);
                self.send(Sent { icmp, ..there });
            }
        }
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
            1 if server.subnet().is_none() => Some(Sent { flags: 18, ..back }),
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
