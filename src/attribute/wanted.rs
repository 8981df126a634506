//! Which ACCEPT records may bear on a rejected one: a filter that is asked for every record of the logs, of which few pass.
//!
//! It works on hashes, which a reader of the logs makes of each distinct address and interface once and puts together for
//! each record. What it lets through by accident is kept by the [index](super::EvidenceIndex) under its own key, where
//! nobody looks for it; nothing that is wanted is ever held back.

use crate::net::{TCP, UDP};
use crate::network::Timestamp;
use crate::rules::Direction;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Odd constants without structure (digits of pi), as multipliers and to tell the kinds of keys apart.
const SALT: [u64; 5] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
];

/// Both halves of the product, folded: every bit of the inputs reaches every bit of the result.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one).wrapping_mul(u128::from(other));
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of an interface, network ACL or subnet.
pub fn name_hash(name: &str) -> u64 {
    let mut hash = SALT[0] ^ name.len() as u64;
    for chunk in name.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        hash = fold(hash ^ u64::from_le_bytes(word), SALT[1]);
    }
    hash
}

/// The hash of an address.
pub fn address_hash(addr: &IpAddr) -> u64 {
    match addr {
        IpAddr::V4(addr) => fold(u64::from(u32::from(*addr)) ^ SALT[0], SALT[2]),
        IpAddr::V6(addr) => {
            let bits = u128::from(*addr);
            fold((bits as u64) ^ SALT[3], ((bits >> 64) as u64) ^ SALT[4])
        }
    }
}

/// The hash of a flow at an interface, the same for both directions. Names and addresses by their hashes.
#[inline]
pub fn flow_hash(interface: u64, protocol: u8, one: (u64, u16), other: (u64, u16)) -> u64 {
    let end = |(addr, port): (u64, u16)| fold(addr ^ (u64::from(port) << 48), SALT[3]);
    let ends = end(one).wrapping_add(end(other));
    fold(interface ^ ends, SALT[1] ^ u64::from(protocol))
}

/// The hash of what a network ACL looks at in packets of an interface.
#[inline]
pub fn service_hash(interface: u64, protocol: u8, direction: Direction, remote: u64, port: u16) -> u64 {
    let rest = (u64::from(port) << 16) | (u64::from(protocol) << 8) | u64::from(direction.is_egress());
    fold(interface ^ remote.rotate_left(23), SALT[2] ^ rest)
}

/// The same under a network ACL or in a subnet.
#[inline]
pub fn zone_hash(zone: u64, protocol: u8, direction: Direction, remote: u64, port: u16) -> u64 {
    service_hash(zone ^ SALT[4], protocol, direction, remote, port)
}

/// The hash of an interface and a remote address, without what else a flow or a service is told by.
#[inline]
pub fn pair_hash(interface: u64, remote: u64) -> u64 {
    fold(interface ^ remote.rotate_left(29), SALT[0])
}

/// The same for a network ACL or a subnet.
#[inline]
pub fn zone_pair_hash(zone: u64, remote: u64) -> u64 {
    pair_hash(zone ^ SALT[4], remote)
}

/// What the hashes of a record are made of: its addresses and interface by their own hashes, 0 for what it does not show.
#[derive(Debug, Clone, Copy)]
pub struct Hashed {
    /// Its interface.
    pub interface: u64,
    /// The network ACL or subnet in which other interfaces' ACCEPTs count, where there is one.
    pub zone: Option<u64>,
    /// IANA's protocol number.
    pub protocol: u8,
    /// The way that it went.
    pub direction: Direction,
    /// Source and destination of the leg at the interface.
    pub ends: [u64; 2],
    /// Those that the packets carried.
    pub packet_ends: [u64; 2],
    /// Ports of source and destination, where it shows them.
    pub ports: [Option<u16>; 2],
}

impl Hashed {
    /// The hashes of its flow, of its service, and of the service in its zone, as far as it shows them. `alias` stands for the
    /// interface's own side where that may be any of several addresses.
    #[inline]
    pub fn wanted(&self, alias: impl FnOnce() -> Option<u64>) -> [Option<u64>; 3] {
        let Hashed { interface, zone, protocol, direction, ends, packet_ends, ports } = *self;
        let ([src, dst], [packet_src, packet_dst]) = (ends, packet_ends);
        let (own_packet, own_leg, leg, packet) = match direction {
            Direction::Ingress => (packet_dst, dst, src, packet_src),
            Direction::Egress => (packet_src, src, dst, packet_dst),
        };
        // A format may have the packets' addresses alone, or one of them, which only one direction shows then.
        let first_of = |one: u64, other: u64| if one != 0 { one } else { other };
        let own = match packet_src != 0 && packet_dst != 0 {
            true => own_packet,
            false => alias().unwrap_or_else(|| first_of(own_leg, own_packet)),
        };
        let far = first_of(leg, packet);
        let (from, to) = if direction.is_egress() { (own, far) } else { (far, own) };
        // 0 for both is what fragments show.
        let [src_port, dst_port] = ports.map(Option::unwrap_or_default);
        let (has_ports, uses_ports) = ((src_port, dst_port) != (0, 0), matches!(protocol, TCP | UDP));
        let told = !uses_ports || (has_ports && ports.iter().all(Option::is_some));
        let flow = (own != 0 && far != 0 && told)
            .then(|| flow_hash(interface, protocol, (from, src_port), (to, dst_port)));
        let remote = first_of(packet, leg);
        if !uses_ports || !has_ports || ports[1].is_none() || remote == 0 {
            return [flow, None, None];
        }
        let service = service_hash(interface, protocol, direction, remote, dst_port);
        let in_zone = zone.map(|zone| zone_hash(zone, protocol, direction, remote, dst_port));
        [flow, Some(service), in_zone]
    }
}

/// Seconds of a stretch of time, as a power of two: an aggregation interval (60 or 600 s) touches one or two.
const STRETCH: u32 = 9;

/// Records over more stretches than this are wanted, or want, whatever the time. Aggregation makes none.
const MOST_STRETCHES: i64 = 64;

/// Stands for no stretch of time.
const ANY_TIME: i64 = i64::MIN;

/// The stretches that a record touches; `None` where there are too many.
fn stretches(start: Timestamp, end: Timestamp) -> Option<RangeInclusive<i64>> {
    let (first, last) = (start >> STRETCH, end.max(start) >> STRETCH);
    (last - first <= MOST_STRETCHES).then_some(first..=last)
}

/// The hash of a service, or of one in a zone, within a stretch: its ACCEPTs bear on REJECTs that they overlap and on no others
/// (spec 8.5).
fn within(hash: u64, stretch: i64) -> u64 {
    fold(hash ^ (stretch as u64).rotate_left(17), SALT[4])
}

/// Bits set for each hash.
const BITS: u32 = 4;

/// A set of hashes that may contain more than was put in: four bits in one word for each, at two bytes a hash.
#[derive(Debug, Default)]
pub struct HashFilter {
    words: Vec<AtomicU64>,
    /// Some hash was put in for any time.
    any_time: AtomicBool,
}

impl HashFilter {
    /// With room for so many hashes; with more of them it lets through more than it should.
    pub fn new(hashes: usize) -> HashFilter {
        let words = (0..=hashes / 4).map(|_| AtomicU64::new(0)).collect();
        HashFilter { words, any_time: AtomicBool::new(false) }
    }

    /// A filter of a tenth of the size, which stays in a cache, for hashes of which most are put in again and again.
    pub fn small(hashes: usize) -> HashFilter {
        HashFilter::new(hashes / 10)
    }

    /// Of these hashes.
    pub fn of(hashes: &[u64]) -> HashFilter {
        let filter = HashFilter::new(hashes.len());
        hashes.iter().for_each(|hash| filter.insert(*hash));
        filter
    }

    /// What has to be [put in](HashFilter::insert) for a service that is wanted of records overlapping this time.
    pub fn want_over(
        &self,
        hash: u64,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = u64> + use<> {
        let over = stretches(start, end);
        if over.is_none() {
            self.any_time.store(true, Ordering::Relaxed);
        }
        let over = over.unwrap_or(ANY_TIME..=ANY_TIME);
        over.map(move |stretch| within(hash, stretch))
    }

    /// What to ask for of a record's service: it is wanted where one of these [may be there](HashFilter::may_contain). `None` where
    /// it lasted too long to tell, and may be wanted.
    pub fn ask_over(
        &self,
        hash: u64,
        start: Timestamp,
        end: Timestamp,
    ) -> Option<impl Iterator<Item = u64> + use<>> {
        let any_time = self.any_time.load(Ordering::Relaxed).then_some(ANY_TIME);
        Some(stretches(start, end)?.chain(any_time).map(move |stretch| within(hash, stretch)))
    }

    /// Whether a service is wanted of a record of this time; as [`may_contain`](HashFilter::may_contain).
    pub fn may_contain_over(&self, hash: u64, start: Timestamp, end: Timestamp) -> bool {
        self.ask_over(hash, start, end).is_none_or(|mut asked| asked.any(|hash| self.may_contain(hash)))
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        // The upper bits choose the word, the lower ones the bits in it.
        let at = (u128::from(hash) * self.words.len() as u128) >> 64;
        let bits = (0..BITS).fold(0, |bits, nth| bits | 1 << ((hash >> (6 * nth)) & 63));
        (at as usize, bits)
    }

    /// Puts a hash in. Several threads may do so; it is surely found once they have been waited for.
    pub fn insert(&self, hash: u64) {
        let (at, bits) = self.place(hash);
        if let Some(word) = self.words.get(at)
            && word.load(Ordering::Relaxed) & bits != bits
        {
            word.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// `false` for hashes that were not put in, with few exceptions.
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let (at, bits) = self.place(hash);
        self.words.get(at).is_some_and(|word| word.load(Ordering::Relaxed) & bits == bits)
    }

    /// Whether it was made without room for anything.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.words.capacity().saturating_mul(size_of::<u64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_put_in_is_held_back_and_little_else_passes() {
        let hash = |n: u64| fold(n ^ SALT[0], SALT[1]);
        let hashes: Vec<u64> = (0..100_000).map(hash).collect();
        let filter = HashFilter::of(&hashes);
        assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
        let others = (100_000..1_100_000).filter(|n| filter.may_contain(hash(*n))).count();
        assert!(others < 15_000, "{others} of a million");
        assert!(!HashFilter::default().may_contain(1), "an empty filter lets nothing through");
        assert!(!HashFilter::new(0).may_contain(1));
    }

    #[test]
    fn a_service_is_wanted_of_records_that_overlap_however_long_they_are() {
        let spans = [0, 1, 59, 511, 512, 600, 40_000, 400_000, i64::MAX].map(|length: i64| {
            [-1_000_000_000, -600, -1, 0, 511, 512, 1_700_000_000, i64::MIN, i64::MAX - 5]
                .map(|start: i64| (start, start.saturating_add(length)))
        });
        let spans: Vec<(i64, i64)> = spans.into_iter().flatten().collect();
        for (start, end) in &spans {
            let filter = HashFilter::new(1000);
            filter.want_over(7, *start, *end).for_each(|hash| filter.insert(hash));
            for (other_start, other_end) in spans.iter().filter(|other| other.0 <= *end && *start <= other.1)
            {
                assert!(
                    filter.may_contain_over(7, *other_start, *other_end),
                    "{start}..{end}, {other_start}..{other_end}"
                );
            }
        }
        let filter = HashFilter::new(1000);
        filter.want_over(7, 1_700_000_000, 1_700_000_060).for_each(|hash| filter.insert(hash));
        assert!(!filter.may_contain_over(7, 1_700_002_000, 1_700_002_060), "another time");
        assert!(!filter.may_contain_over(8, 1_700_000_000, 1_700_000_060), "another service");
        assert!(filter.may_contain_over(8, 0, i64::MAX), "which may be any");
    }

    #[test]
    fn both_directions_of_a_flow_are_one_and_all_else_is_told_apart() {
        let addr = |text: &str| address_hash(&text.parse().unwrap());
        let (a, b) = ((addr("10.0.0.1"), 443), (addr("198.51.100.7"), 40_000));
        let eni = name_hash("eni-0a1b00000000000a3");
        assert_eq!(flow_hash(eni, 6, a, b), flow_hash(eni, 6, b, a));
        let swapped = ((a.0, b.1), (b.0, a.1));
        assert_ne!(
            flow_hash(eni, 6, a, b),
            flow_hash(eni, 6, swapped.0, swapped.1),
            "ports stay with their ends"
        );
        assert_ne!(flow_hash(eni, 6, a, b), flow_hash(eni, 17, a, b));
        assert_ne!(flow_hash(eni, 6, a, b), flow_hash(name_hash("eni-0a1b00000000000a4"), 6, a, b));
        assert_ne!(addr("::ffff:10.0.0.1"), addr("10.0.0.1"));
        assert_ne!(name_hash("eni-1"), name_hash("eni-10"));
        let service = service_hash(eni, 6, Direction::Ingress, b.0, 443);
        assert_ne!(service, service_hash(eni, 6, Direction::Egress, b.0, 443));
        assert_ne!(service, service_hash(eni, 6, Direction::Ingress, b.0, 444));
        assert_ne!(service, zone_hash(eni, 6, Direction::Ingress, b.0, 443));
    }
}
