//! The compiled form against the rule-by-rule form, on random configurations and packets.

use super::engine::Engine;
use super::fixture::Fixture;
use super::{Decision, Direction, Packet};
use crate::net::{PortRange, Prefix};
use crate::network::*;
use proptest::prelude::*;
use std::net::IpAddr;

/// Few addresses, so that rules and packets meet.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = prop_oneof![
        (0u32..2, 0u32..4, 0u32..16).prop_map(|(b, c, d)| 0x0A00_0000 | b << 16 | c << 8 | d),
        (0u32..64).prop_map(|d| 0xC633_6400 | d),
        any::<u32>(),
    ];
    let v6 = prop_oneof![
        (0u128..4, 0u128..16)
            .prop_map(|(net, host)| 0x2001_0DB8_0001_0000_0000_0000_0000_0000 | net << 64 | host),
        any::<u128>(),
    ];
    prop_oneof![
        3 => v4.prop_map(|addr| IpAddr::V4(addr.into())),
        1 => v6.prop_map(|addr| IpAddr::V6(addr.into())),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), 0u8..=128, any::<bool>()).prop_map(|(addr, len, host)| {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let len = if host { max - len % 9 } else { len % (max + 1) };
        Prefix::new(addr, len).unwrap()
    })
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(22), Just(80), Just(443), Just(1024), Just(65535), any::<u16>()]
}

fn protocol() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(6u8), 2 => Just(17), 1 => Just(1), 1 => Just(58), 1 => Just(50), 1 => any::<u8>()]
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let any_protocol = prop_oneof![1 => Just(None), 6 => protocol().prop_map(Some)];
    let bits =
        (port(), port(), any::<bool>(), proptest::option::of(0u8..4), proptest::option::of(0u8..3), 0u8..20);
    (any_protocol, bits).prop_map(|(protocol, (one, other, all, kind, code, broken))| {
        if broken == 0 {
            return Traffic::Unreadable("broken".into());
        }
        let ports =
            if all { PortRange::ALL } else { PortRange::new(one.min(other), one.max(other)).unwrap() };
        Traffic::new(protocol, ports, (kind, kind.and(code)))
    })
}

fn entry() -> impl Strategy<Value = NaclEntry> {
    let action = prop_oneof![
        8 => Just(Some(RuleAction::Allow)), 8 => Just(Some(RuleAction::Deny)), 1 => Just(None),
    ];
    (1u32..300, any::<bool>(), action, traffic(), proptest::option::weighted(0.95, prefix())).prop_map(
        |(number, egress, action, traffic, cidr)| NaclEntry { number, egress, action, traffic, cidr },
    )
}

fn remote() -> impl Strategy<Value = Remote> {
    prop_oneof![
        6 => prefix().prop_map(Remote::Cidr),
        1 => (0u8..3).prop_map(|n| Remote::PrefixList(format!("pl-{n}"))),
        2 => (0u8..4, 0u8..8).prop_map(|(n, status)| Remote::Group(GroupReference {
            group_id: format!("sg-{n}"),
            peering_status: (status == 0).then(|| "deleted".to_string()),
            ..GroupReference::default()
        })),
        1 => Just(Remote::Unreadable("broken".into())),
    ]
}

fn rule() -> impl Strategy<Value = SecurityGroupRule> {
    (any::<bool>(), traffic(), remote()).prop_map(|(egress, traffic, remote)| SecurityGroupRule {
        rule_id: None,
        egress,
        traffic,
        remote,
        description: None,
    })
}

fn asked() -> impl Strategy<Value = Packet> {
    let icmp = proptest::option::weighted(0.2, (0u8..4, proptest::option::of(0u8..3)));
    (any::<bool>(), address(), protocol(), proptest::option::weighted(0.9, port()), icmp).prop_map(
        |(egress, remote, protocol, port, icmp)| Packet {
            direction: if egress { Direction::Egress } else { Direction::Ingress },
            remote,
            protocol,
            port: port.filter(|_| matches!(protocol, 6 | 17)),
            icmp: icmp.filter(|_| matches!(protocol, 1 | 58)),
        },
    )
}

#[derive(Debug)]
struct World {
    entries: Vec<NaclEntry>,
    groups: Vec<Vec<SecurityGroupRule>>,
    carried: Vec<Vec<usize>>,
    lists: Vec<Option<Vec<Prefix>>>,
    peered: bool,
}

fn world() -> impl Strategy<Value = World> {
    (
        proptest::collection::vec(entry(), 0..12),
        proptest::collection::vec(proptest::collection::vec(rule(), 0..10), 3),
        proptest::collection::vec(proptest::collection::vec(0usize..4, 0..3), 6),
        proptest::collection::vec(
            proptest::option::weighted(0.7, proptest::collection::vec(prefix(), 0..5)),
            2,
        ),
        any::<bool>(),
    )
        .prop_map(|(entries, groups, carried, lists, peered)| World {
            entries,
            groups,
            carried,
            lists,
            peered,
        })
}

fn network(world: &World) -> Network {
    let mut fixture = Fixture::new(
        "vpc vpc-1 10.0.0.0/16 2001:db8:1::/56
         vpc vpc-2 10.1.0.0/16
         subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:1:1::/64
         subnet subnet-2 vpc-2 10.1.2.0/24
         nacl acl-1 vpc-1 subnet-1",
    );
    for (at, carried) in world.carried.iter().enumerate() {
        let (subnet, net) = if at % 3 == 2 { ("subnet-2", "10.1.2") } else { ("subnet-1", "10.0.1") };
        let groups: Vec<String> = carried.iter().map(|group| format!("sg-{group}")).collect();
        fixture.line(&format!(
            "eni eni-{at} {subnet} {net}.{at} 2001:db8:1:1::{at} groups={}",
            groups.join(",")
        ));
    }
    if world.peered {
        fixture.line("peering pcx-1 vpc-1 vpc-2");
    }
    fixture.acls.get_mut("acl-1").unwrap().entries = world.entries.clone();
    for (at, rules) in world.groups.iter().enumerate() {
        let id = format!("sg-{at}");
        let group = SecurityGroup { id: id.clone(), rules: rules.clone(), ..SecurityGroup::default() };
        fixture.groups.insert(id, group);
    }
    for (at, entries) in world.lists.iter().enumerate() {
        let id = format!("pl-{at}");
        let list = PrefixList { id: id.clone(), entries: entries.clone(), ..PrefixList::default() };
        fixture.lists.insert(id, list);
    }
    fixture.network()
}

/// A case is a configuration with many packets, so `PROPTEST_CASES=50000` asks two million packets.
const PACKETS: usize = 40;

proptest! {
    #[test]
    fn compiled_and_rule_by_rule_agree(world in world(), packets in proptest::collection::vec(asked(), PACKETS)) {
        let network = network(&world);
        let mut engine = Engine::new(&network);
        let view = View { at: 0, after: false };
        let rules = engine.interface("eni-0", view).unwrap();
        for packet in &packets {
            // One entry number serves one family and direction; equal numbers are corrupt input, where order is anyone's.
            let (decision, entry) = rules.acl.as_ref().unwrap().decide(packet);
            let list = rules.acl.as_ref().unwrap().list(packet.direction, packet.family());
            let check = super::check_acl(list, packet);
            prop_assert_eq!(decision, check.decision, "{:?} {:?}", packet, list);
            prop_assert_eq!(entry, check.deciding.first().and_then(|at| list.get(*at)));
            let compiled = rules.group_verdict(packet);
            if rules.unfiltered(&packet.remote).is_some() {
                continue;
            }
            match engine.explain_groups(&rules, packet) {
                None => prop_assert_eq!(compiled.decision, Decision::NotApplicable),
                Some(check) => {
                    prop_assert_eq!(compiled.decision, check.decision, "{:?}", packet);
                    let groups = &rules.groups.as_ref().unwrap().groups;
                    let named = check.matching.iter().chain(&check.perhaps).any(|(group, rule)| {
                        compiled.rule.is_some_and(|(_, found)| std::ptr::eq(found, &groups[*group].rules[*rule]))
                    });
                    let names_one = !check.matching.is_empty() || !check.perhaps.is_empty();
                    let matching = rules.matching_rules(packet).unwrap();
                    prop_assert_eq!((&matching.sure, &matching.perhaps), (&check.matching, &check.perhaps));
                    prop_assert_eq!(named, names_one, "the rule named is one that matches or may");
                }
            }
        }
    }
}
