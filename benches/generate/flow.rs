//! VPC flow log records: conversations in both directions, scans, and windows without data.

use super::line::Line;
use super::output::FileSink;
use super::random::{Random, mix};
use super::world::{self, Address, Interface, Vpc, World};
use super::{Kind, Part};

const V2: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
const V5: &str = "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status";
const V11: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags flow-direction traffic-path pkt-srcaddr pkt-dstaddr reject-reason resource-id encryption-status instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type";

/// Ports that scans try, the admin ports first.
const SCANNED: [u64; 14] = [23, 22, 3389, 445, 9200, 5900, 8080, 6379, 1433, 2375, 3306, 5432, 21, 8443];

/// One record, seen from the interface that logs it.
struct Record<'a> {
    interface: &'a Interface,
    egress: bool,
    source: Address,
    destination: Address,
    ports: (u64, u64),
    protocol: u64,
    packets: u64,
    bytes: u64,
    start: u64,
    end: u64,
    reject: bool,
    flags: u64,
    next_hop: Option<&'a Interface>,
}

struct Writer<'a> {
    kind: Kind,
    vpc: &'a Vpc,
    sink: &'a mut FileSink,
    line: Line,
    left: u64,
}

/// Writes the header and the records of one file.
pub(crate) fn write(
    kind: Kind,
    world: &World,
    part: &Part,
    random: &mut Random,
    sink: &mut FileSink,
) -> Result<(), String> {
    let Some(vpc) = world.vpc(part.index) else { return Ok(()) };
    sink.line(match kind {
        Kind::FlowV5 => V5.as_bytes(),
        Kind::FlowV11 => V11.as_bytes(),
        _ => V2.as_bytes(),
    })?;
    let mut writer = Writer { kind, vpc, sink, line: Line::default(), left: part.rows };
    // AWS writes a stretch of each interface's records together: few interfaces at a time, each with its regular peers
    while writer.left > 0 {
        let done = part.rows - writer.left;
        let minute = part.start
            + (u128::from(part.seconds) * u128::from(done) / u128::from(part.rows.max(1))) as u64 / 60 * 60;
        let Some(interface) = pick(vpc, random) else { return Ok(()) };
        for _ in 0..random.between(1, 40) {
            match random.below(2000) {
                0..=44 => writer.scan(interface, minute, random)?,
                45..=104 => writer.no_data(interface, minute, random)?,
                _ => writer.conversation(interface, minute, random)?,
            }
        }
    }
    Ok(())
}

/// An interface, a few of them far more often than the rest.
fn pick<'a>(vpc: &'a Vpc, random: &mut Random) -> Option<&'a Interface> {
    let n = vpc.interfaces.len() as u64;
    let rank = if random.permille(500) { random.zipf(n) } else { random.below(n) };
    vpc.interfaces.get((mix(rank) % n.max(1)) as usize)
}

impl<'a> Writer<'a> {
    fn conversation(
        &mut self,
        interface: &'a Interface,
        minute: u64,
        random: &mut Random,
    ) -> Result<(), String> {
        let v6 = random.permille(32);
        let own = if v6 { Address::V6(interface.address6) } else { Address::V4(interface.address) };
        let neighbour =
            if random.permille(450) { pick(self.vpc, random).filter(|n| n.id != interface.id) } else { None };
        let peer = match neighbour {
            Some(n) if v6 => Address::V6(n.address6),
            Some(n) => Address::V4(n.address),
            None if v6 => Address::V6(world::internet6(random)),
            None if random.permille(600) => Address::V4(world::connected(random)),
            None => Address::V4(world::internet(random)),
        };
        // whether the interface serves or asks, and what a usual exchange weighs, belongs to the pair
        let pair = mix(key_of(own) ^ key_of(peer).rotate_left(32));
        let serves = pair % 10 < 7;
        let service = match neighbour {
            Some(n) if !serves => u64::from(n.service),
            _ => u64::from(interface.service),
        };
        let protocol = match pair % 1000 {
            0..=2 => 1,
            3..=62 => 17,
            _ => 6,
        };
        let ephemeral = 32_768
            + (mix(pair) % 20_000 + 2 * (minute / 60 % 60) * (pair % 5) + 2 * random.below(24)) % 28_232;
        let (server, client) = match protocol {
            1 => (0, 0),
            17 => (if pair.is_multiple_of(3) { 123 } else { 53 }, ephemeral),
            _ => (service, ephemeral),
        };
        let (ask, answer) = exchange(pair, protocol, random);
        let start = minute + random.below(56);
        let end = start + random.below(60u64.saturating_sub(start - minute).max(1));
        let flags = match (protocol, pair % 4) {
            (6, 0..=2) => (3, 19),
            (6, _) => (0, 0),
            _ => (0, 0),
        };
        let (a, b) = if serves { (peer, own) } else { (own, peer) };
        let mut legs = vec![(interface, !serves, neighbour)];
        if let Some(n) = neighbour {
            legs.push((n, serves, Some(interface)));
        }
        for (at, request_leaves, next_hop) in legs {
            let record = |egress, source, destination, ports, (packets, bytes), flags| Record {
                interface: at,
                egress,
                source,
                destination,
                ports,
                protocol: if v6 && protocol == 1 { 58 } else { protocol },
                packets,
                bytes,
                start,
                end,
                reject: false,
                flags,
                next_hop,
            };
            self.put(&record(request_leaves, a, b, (client, server), ask, flags.0))?;
            self.put(&record(!request_leaves, b, a, (server, client), answer, flags.1))?;
        }
        // now and then the answer is dropped at the subnet's edge: accepted in, rejected out, on the same interface
        if serves && pair.is_multiple_of(211) {
            let reply =
                Record { reject: true, ..Record::reply(interface, b, a, (server, client), start, end) };
            self.put(&reply)?;
        }
        Ok(())
    }

    /// Somebody tries ports of one interface, or one port of many; nearly all of it is rejected.
    fn scan(&mut self, interface: &'a Interface, minute: u64, random: &mut Random) -> Result<(), String> {
        let source = Address::V4(if random.permille(850) {
            world::internet(random)
        } else {
            world::connected(random)
        });
        let vertical = random.permille(350);
        let first = if vertical { random.below(2000) } else { random.zipf(SCANNED.len() as u64) };
        let from = random.between(32_768, 60_999);
        let packets = random.between(1, 3);
        for step in 0..random.between(6, 28) {
            let target = if vertical { interface } else { pick(self.vpc, random).unwrap_or(interface) };
            let port =
                if vertical { 1 + first + step } else { SCANNED.get(first as usize).copied().unwrap_or(22) };
            let start = minute + step % 58;
            let record = Record {
                packets,
                bytes: packets * 40,
                egress: false,
                flags: 2,
                reject: !random.permille(12),
                ..Record::reply(
                    target,
                    source,
                    Address::V4(target.address),
                    (from, port),
                    start,
                    start + step % 2,
                )
            };
            self.put(&record)?;
        }
        Ok(())
    }

    /// A window of an interface in which nothing happened, or something was not captured.
    fn no_data(&mut self, interface: &Interface, minute: u64, random: &mut Random) -> Result<(), String> {
        if self.left == 0 {
            return Ok(());
        }
        let status = if random.permille(900) { "NODATA" } else { "SKIPDATA" };
        let (vpc, l) = (self.vpc, &mut self.line);
        l.0.clear();
        match self.kind {
            Kind::FlowV5 => {
                l.text("5")
                    .dashes(5)
                    .number(minute)
                    .number(minute + 58)
                    .dashes(3)
                    .text(vpc.account)
                    .text(&vpc.id)
                    .text(&interface.subnet);
                l.text(&interface.instance)
                    .text(&interface.id)
                    .text(vpc.region)
                    .text(vpc.zone)
                    .dashes(10)
                    .text(status);
            }
            kind => {
                let more = kind == Kind::FlowV11;
                l.text(if more { "11" } else { "2" }).text(vpc.account).text(&interface.id).dashes(7);
                l.number(minute).number(minute + 58).text("-").text(status).dashes(if more { 20 } else { 0 });
            }
        }
        self.left -= 1;
        self.sink.line(&l.0)
    }

    fn put(&mut self, r: &Record) -> Result<(), String> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        self.line.0.clear();
        let (vpc, i, l) = (self.vpc, r.interface, &mut self.line);
        let action = if r.reject { "REJECT" } else { "ACCEPT" };
        let direction = if r.egress { "egress" } else { "ingress" };
        let remote = if r.egress { r.destination } else { r.source };
        let inside = matches!(remote, Address::V4(n) if n >> 24 == 10);
        let path = if !r.egress {
            "-"
        } else if inside {
            "1"
        } else {
            "8"
        };
        match self.kind {
            Kind::FlowV5 => {
                l.text("5")
                    .address(r.source)
                    .address(r.destination)
                    .number(r.ports.0)
                    .number(r.ports.1)
                    .number(r.protocol);
                l.number(r.start).number(r.end).text(if matches!(r.source, Address::V6(_)) {
                    "IPv6"
                } else {
                    "IPv4"
                });
                l.number(r.packets)
                    .number(r.bytes)
                    .text(vpc.account)
                    .text(&vpc.id)
                    .text(&i.subnet)
                    .text(&i.instance)
                    .text(&i.id);
                l.text(vpc.region)
                    .text(vpc.zone)
                    .dashes(2)
                    .text(action)
                    .number(r.flags)
                    .address(r.source)
                    .address(r.destination);
                l.text(service_of(r.source))
                    .text(service_of(r.destination))
                    .text(path)
                    .text(direction)
                    .text("OK");
            }
            kind => {
                l.text(if kind == Kind::FlowV11 { "11" } else { "2" })
                    .text(vpc.account)
                    .text(&i.id)
                    .address(r.source)
                    .address(r.destination);
                l.number(r.ports.0)
                    .number(r.ports.1)
                    .number(r.protocol)
                    .number(r.packets)
                    .number(r.bytes)
                    .number(r.start)
                    .number(r.end);
                l.text(action).text("OK");
                if kind == Kind::FlowV11 {
                    l.number(r.flags)
                        .text(direction)
                        .text(path)
                        .address(r.source)
                        .address(r.destination)
                        .dashes(2)
                        .text(if inside { "1" } else { "0" });
                    l.text(&i.tag).text("-").text("prod").dashes(3).text(i.kind);
                    match r.next_hop {
                        Some(n) => l.text(&n.id).text(&n.subnet).text(vpc.zone).text(&vpc.id).text(n.kind),
                        None => l.dashes(5),
                    };
                }
            }
        }
        self.sink.line(&l.0)
    }
}

impl<'a> Record<'a> {
    /// An outgoing TCP SYN-ACK of 44 bytes; callers change what differs.
    fn reply(
        interface: &'a Interface,
        source: Address,
        destination: Address,
        ports: (u64, u64),
        start: u64,
        end: u64,
    ) -> Self {
        Record {
            interface,
            egress: true,
            source,
            destination,
            ports,
            protocol: 6,
            packets: 1,
            bytes: 44,
            start,
            end,
            reject: false,
            flags: 18,
            next_hop: None,
        }
    }
}

/// Packets and bytes of the request and of the answer: mostly the pair's usual exchange, at times a transfer.
fn exchange(pair: u64, protocol: u64, random: &mut Random) -> ((u64, u64), (u64, u64)) {
    if protocol != 6 {
        let n = 1 + pair % 4;
        return ((n, n * 76), (n, n * (76 + pair % 90)));
    }
    let usual = mix(pair ^ random.below(3));
    let packets = 2 + usual % 7;
    if random.permille(150) {
        let largest = if random.permille(20) { 20 } else { 7 };
        let many = 1u64 << random.between(3, largest);
        let many = many + random.below(many);
        return ((many / 2 + 2, (many / 2 + 2) * 52), (many, many * random.between(300, 1440)));
    }
    ((packets, packets * 52 + (usual >> 8) % 600), (packets, packets * 52 + (usual >> 20) % 4000))
}

fn key_of(a: Address) -> u64 {
    match a {
        Address::V4(n) => u64::from(n),
        Address::V6(n) => (n >> 64) as u64 ^ n as u64,
    }
}

/// The AWS service that owns an address; here parts of 192.0.2.0/24 stand for services.
fn service_of(a: Address) -> &'static str {
    match a {
        Address::V4(n) if n >> 8 == 0xc0_0002 => match n & 0xff {
            0..64 => "S3",
            64..96 => "DYNAMODB",
            96..128 => "EC2",
            _ => "AMAZON",
        },
        _ => "-",
    }
}
