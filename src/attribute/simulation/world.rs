//! Random networks of both families, and how they change while packets flow.

use super::Random;
use crate::network::{Network, Observation, Origin, Timeline};
use crate::rules::fixture::Fixture;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Set on every interface of the simulation.
pub(super) const TCP_IDLE: i64 = 350;
/// When the first packet may flow, and the last begin.
pub(super) const BEGIN: i64 = 100_000;
pub(super) const LAST: i64 = 120_000;

/// How flowq knows of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// Nothing changes.
    Never,
    /// AWS Config tells each, some time after it has happened.
    History,
    /// Describe calls at single moments, at least one for each state.
    Captures,
    /// Nobody tells flowq, which is given the first state as if it had lasted.
    Concealed,
}

/// What kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Some flows are of version 6.
    pub six: bool,
    /// Rules may ask for ICMP types, which no log shows.
    pub typed: bool,
    /// Both subnets have one list, and interfaces send from a secondary address, which their records may replace by the
    /// [primary](primary_of) one.
    pub intricate: bool,
    pub changes: Changes,
}

/// Who sends or receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Node {
    /// Subnet and host.
    Inside(u8, u8),
    Outside(u8),
}

impl Node {
    pub(super) fn address(self, six: bool) -> IpAddr {
        match (self, six) {
            (Node::Inside(subnet, host), false) => Ipv4Addr::new(10, 0, subnet, host).into(),
            (Node::Outside(host), false) => Ipv4Addr::new(198, 51, 100, host).into(),
            (Node::Inside(subnet, host), true) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0, subnet.into(), 0, 0, 0, host.into()).into()
            }
            (Node::Outside(host), true) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, host.into()).into()
            }
        }
    }

    /// Its interface, if it is inside.
    pub(super) fn interface(self) -> Option<String> {
        match self {
            Node::Inside(subnet, host) => Some(format!("eni-10.0.{subnet}.{host}")),
            Node::Outside(_) => None,
        }
    }

    pub(super) fn subnet(self) -> Option<u8> {
        match self {
            Node::Inside(subnet, _) => Some(subnet),
            Node::Outside(_) => None,
        }
    }
}

/// The primary address of the interface that sends from this one.
pub(super) fn primary_of(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => Ipv4Addr::from(u32::from(addr) + 100).into(),
        IpAddr::V6(_) => addr,
    }
}

const LIST_EACH: &str = "nacl acl-1 vpc-1 subnet-1\nnacl acl-2 vpc-1 subnet-2\n";
const ONE_LIST: &str = "nacl acl-1 vpc-1 subnet-1 subnet-2\nnacl acl-2 vpc-1\n";

const FIXED: &str = "vpc vpc-1 10.0.0.0/16 2001:db8::/56
    subnet subnet-1 vpc-1 10.0.1.0/24 2001:db8:0:1::/64
    subnet subnet-2 vpc-1 10.0.2.0/24 2001:db8:0:2::/64
    sg-0\nsg-1\nsg-2\n";

/// The lines of a network in pieces, each of which may change by itself.
#[derive(Clone)]
struct Pieces(Vec<String>, Shape);

impl Pieces {
    const COUNT: u64 = 8 + 4 + 6 + 2;

    fn new(random: &mut Random, shape: Shape) -> Pieces {
        Pieces((0..Pieces::COUNT).map(|index| Pieces::piece(random, shape, index)).collect(), shape)
    }

    fn piece(random: &mut Random, shape: Shape, index: u64) -> String {
        let mut text = String::new();
        let mut traffics: Vec<&str> = vec![
            "all",
            "tcp",
            "tcp 443",
            "tcp 1024-65535",
            "udp",
            "udp 53",
            "udp 1024-65535",
            "icmp",
            "tcp 22-443",
        ];
        let mut remotes: Vec<&str> = vec![
            "0.0.0.0/0",
            "198.51.100.0/24",
            "198.51.100.0/29",
            "10.0.0.0/16",
            "10.0.1.0/24",
            "10.0.2.0/24",
        ];
        if shape.typed {
            traffics.extend(["icmp 8", "icmp 0", "icmp 3/4", "icmp 3"]);
        }
        if shape.six {
            traffics.push("58");
            remotes.extend([
                "::/0",
                "::/0",
                "2001:db8:ffff::/48",
                "2001:db8::/56",
                "2001:db8:0:1::/64",
                "2001:db8:0:2::/64",
            ]);
        }
        if shape.six && shape.typed {
            traffics.extend(["58 128", "58 129", "58 1/4"]);
        }
        let line = |random: &mut Random, remotes: &[&'static str]| {
            let (traffic, remote) = (random.pick(&traffics), random.pick(remotes));
            format!("{traffic} {remote}")
        };
        match index {
            0..8 => {
                let (subnet, host) = (index / 4 + 1, index % 4 + 4);
                let groups = random.pick(&["sg-0", "sg-1", "sg-0,sg-1", "sg-2", "sg-1,sg-2", ""]);
                let primary =
                    if shape.intricate { format!("10.0.{subnet}.{} ", host + 100) } else { String::new() };
                text.push_str(&format!(
                    "eni eni-10.0.{subnet}.{host} subnet-{subnet} {primary}10.0.{subnet}.{host} 2001:db8:0:{subnet}::{host} groups={groups}\n"
                ));
            }
            8..12 => {
                let acl = ["acl-1", "acl-2"][(index as usize - 8) / 2];
                let side = ["in", "out"][index as usize % 2];
                let open = random.below(3) == 0;
                for number in 1..=random.below(if shape.six { 6 } else { 4 }) {
                    let action = random.pick(&["allow", "allow", "deny"]);
                    text.push_str(&format!(
                        "{acl} {side} {} {action} {}\n",
                        number * 10,
                        line(random, &remotes)
                    ));
                }
                if open {
                    text.push_str(&format!(
                        "{acl} {side} 900 allow all 0.0.0.0/0\n{acl} {side} 901 allow all ::/0\n"
                    ));
                }
            }
            12..18 => {
                let group = ["sg-0", "sg-1", "sg-2"][(index as usize - 12) / 2];
                let side = ["in", "out"][index as usize % 2];
                remotes.extend(["sg-0", "sg-1", "pl-1"]);
                if shape.six {
                    remotes.push("pl-6");
                }
                for _ in 0..random.below(if shape.six { 6 } else { 4 }) {
                    text.push_str(&format!("{group} {side} {}\n", line(random, &remotes)));
                }
            }
            18 => {
                let outside = random.pick(&["198.51.100.0/28", "198.51.100.0/30", "198.51.100.16/30"]);
                text.push_str(&format!("list pl-1 {outside} 10.0.2.0/29\n"));
            }
            _ => {
                let outside = random.pick(&["2001:db8:ffff::/124", "2001:db8:ffff::10/124"]);
                text.push_str(&format!("list pl-6 {outside} 2001:db8:0:2::/125\n"));
            }
        }
        text
    }

    fn change(&mut self, random: &mut Random, shape: Shape) {
        for _ in 0..=random.below(3) {
            let index = random.below(Pieces::COUNT);
            self.0[index as usize] = Pieces::piece(random, shape, index);
        }
    }

    fn fixture(&self) -> Fixture {
        let lists = if self.1.intricate { ONE_LIST } else { LIST_EACH };
        let mut fixture = Fixture::new(&format!("{FIXED}{lists}{}", self.0.concat()));
        for interface in fixture.interfaces.values_mut() {
            interface.tcp_established_timeout = Some(TCP_IDLE);
        }
        fixture
    }
}

/// A world: what is in force when, and what flowq knows of it.
pub(super) struct World {
    /// From when each state is in force, oldest first.
    pub(super) states: Vec<(i64, Network)>,
    pub(super) known: Network,
    /// When each state was captured, for the message of a test that fails.
    pub(super) captured: Vec<i64>,
}

impl World {
    pub(super) fn new(random: &mut Random, shape: Shape) -> World {
        let mut pieces = Pieces::new(random, shape);
        if shape.changes == Changes::Never {
            return World {
                states: vec![(i64::MIN, pieces.fixture().network())],
                known: pieces.fixture().network(),
                captured: Vec::new(),
            };
        }
        let mut times: Vec<i64> =
            (0..=random.below(3)).map(|_| BEGIN + 500 + random.below(19_000) as i64).collect();
        times.sort_unstable();
        times.dedup();
        let mut states = vec![(i64::MIN, pieces.fixture().network())];
        let mut captured = vec![(BEGIN - 50_000, pieces.fixture())];
        for (at, next) in times.iter().zip(times.iter().skip(1).chain([&(LAST + 20_000)])) {
            pieces.change(random, shape);
            states.push((*at, pieces.fixture().network()));
            // AWS Config writes within two minutes of a change, in the model (and so long as no other change is nearer).
            let within = match shape.changes {
                Changes::History => 100.min(next - at - 1),
                _ => next - at - 1,
            };
            captured.push((at + random.below(within.max(1) as u64) as i64, pieces.fixture()));
        }
        let origin = match shape.changes {
            Changes::History => Origin::History,
            Changes::Concealed => {
                captured.truncate(1);
                Origin::History
            }
            _ => {
                captured.push((LAST + 100_000, pieces.fixture()));
                Origin::Snapshot
            }
        };
        let times = captured.iter().map(|(at, _)| *at).collect();
        World { states, known: known(captured, origin), captured: times }
    }

    /// Which state is in force then.
    pub(super) fn state_at(&self, at: i64) -> usize {
        self.states.iter().rposition(|(from, _)| *from <= at).unwrap_or(0)
    }
}

/// What an import makes of these captures.
fn known(captured: Vec<(i64, Fixture)>, origin: Origin) -> Network {
    let mut network = Network::default();
    macro_rules! fill {
        ($($kind:ident from $field:ident),+) => {$(
            let mut readings: std::collections::BTreeMap<String, Vec<_>> = Default::default();
            for (at, fixture) in &captured {
                for (id, object) in &fixture.$field {
                    readings.entry(id.clone()).or_default().push(Observation::new(Some(*at), origin, Some(object.clone())));
                }
            }
            for (id, readings) in readings {
                network.$kind.put(id, Timeline::new(readings));
            }
        )+};
    }
    fill!(vpcs from vpcs, subnets from subnets, interfaces from interfaces, acls from acls, groups from groups,
        prefix_lists from lists);
    network.finish();
    network
}
