//! Transit Gateway flow log records in the default format of 36 fields.

use super::Part;
use super::line::Line;
use super::output::FileSink;
use super::random::{Random, mix};
use super::world::{Address, Interface, Vpc, World};

const HEADER: &str = "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service";

/// Writes the header and the records of one file: the ingress and the egress record of each direction of a conversation.
pub(crate) fn write(
    world: &World,
    part: &Part,
    random: &mut Random,
    sink: &mut FileSink,
) -> Result<(), String> {
    sink.line(HEADER.as_bytes())?;
    let mut line = Line::default();
    let mut left = part.rows;
    while left > 0 {
        let (Some(from), Some(to)) = (world.vpc(part.index), world.vpc(random.below(97) as usize)) else {
            return Ok(());
        };
        let (Some(a), Some(b)) = (member(from, random), member(to, random)) else { return Ok(()) };
        let second = part.start + u64::from(left < part.rows) * random.below(part.seconds);
        let (start, end) = (second, second + random.below(58));
        let lost = random.permille(8);
        let port = random.between(32_768, 60_999);
        let packets = 1 + random.zipf(200);
        for (back, egress) in [(false, false), (false, true), (true, false), (true, true)] {
            if left == 0 || (lost && (back || egress)) {
                break;
            }
            left -= 1;
            let (source, destination) = if back { ((to, b), (from, a)) } else { ((from, a), (to, b)) };
            let ports = if back { (u64::from(b.service), port) } else { (port, u64::from(b.service)) };
            let flags = match (lost, back) {
                (true, _) => 2,
                (_, false) => 27,
                (_, true) => 31 - 4,
            };
            let size = packets * if back { 900 } else { 120 };
            record(&mut line, source, destination, ports, (packets, size), (start, end), flags, egress, lost);
            sink.line(&line.0)?;
        }
    }
    Ok(())
}

fn member<'a>(vpc: &'a Vpc, random: &mut Random) -> Option<&'a Interface> {
    vpc.interfaces.get(random.zipf(vpc.interfaces.len() as u64) as usize)
}

#[allow(clippy::too_many_arguments)]
fn record(
    l: &mut Line,
    (from, a): (&Vpc, &Interface),
    (to, b): (&Vpc, &Interface),
    ports: (u64, u64),
    (packets, bytes): (u64, u64),
    (start, end): (u64, u64),
    flags: u64,
    egress: bool,
    lost: bool,
) {
    let attachment = |v: &Vpc| format!("tgw-attach-{:017x}", mix(v.interfaces.len() as u64) >> 4);
    let gate =
        |v: &Vpc, what: &str, n: u64| format!("{what}-{:017x}", mix(n ^ v.interfaces.len() as u64) >> 4);
    let known = |v: String| if lost { "-".to_owned() } else { v };
    let (own, pair) = if egress { (to, from) } else { (from, to) };
    l.0.clear();
    l.text("6 TransitGateway")
        .text(from.account)
        .text("tgw-0123456789abcdef0")
        .text(&attachment(own))
        .text(from.account);
    l.text(&known(to.account.to_owned())).text(&from.id).text(&known(to.id.clone()));
    l.text(&gate(from, "subnet", 1))
        .text(&known(gate(to, "subnet", 1)))
        .text(&gate(from, "eni", 2))
        .text(&known(gate(to, "eni", 2)));
    l.text(from.zone).text(&known(to.zone.to_owned())).text(&known(attachment(pair)));
    l.address(Address::V4(a.address))
        .address(Address::V4(b.address))
        .number(ports.0)
        .number(ports.1)
        .number(6);
    l.number(packets)
        .number(bytes)
        .number(start)
        .number(end)
        .text("OK IPv4")
        .number(if lost { packets } else { 0 })
        .text("0 0 0");
    l.number(flags).text(from.region).text(if egress { "egress" } else { "ingress" }).dashes(2);
}
