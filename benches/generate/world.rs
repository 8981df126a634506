//! The networks whose logs are written: accounts, VPCs, interfaces, and who they talk to.

use super::random::{Random, mix};

/// 2026-01-15T10:00:00Z.
pub(crate) const EPOCH: u64 = 1_768_471_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

/// A VPC; log files are written per VPC.
pub(crate) struct Vpc {
    pub account: &'static str,
    pub region: &'static str,
    pub id: String,
    pub flow_log: String,
    pub zone: &'static str,
    pub interfaces: Vec<Interface>,
}

pub(crate) struct Interface {
    pub id: String,
    pub address: u32,
    pub address6: u128,
    pub subnet: String,
    /// `-` for an interface of a managed service.
    pub instance: String,
    pub tag: String,
    pub kind: &'static str,
    /// The port it serves.
    pub service: u16,
}

pub(crate) struct World {
    pub vpcs: Vec<Vpc>,
}

const PLACES: [(&str, &str, &str, usize); 7] = [
    ("111122223333", "us-east-1", "use1-az4", 1400),
    ("111122223333", "us-east-1", "use1-az1", 900),
    ("111122223333", "eu-central-1", "euc1-az2", 600),
    ("123456789012", "us-east-1", "use1-az2", 800),
    ("123456789012", "eu-central-1", "euc1-az1", 500),
    ("123456789012", "eu-central-1", "euc1-az3", 400),
    ("123456789012", "us-east-1", "use1-az6", 250),
];
const SERVICES: [u16; 12] = [443, 443, 443, 8080, 5432, 443, 6379, 3306, 80, 9092, 8443, 11211];
const TAGS: [&str; 5] = ["shop%2Fweb", "payments%2Fedge%20%231", "data%20platform", "%C3%BCbung", "-"];

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(mix(seed) ^ 0x77);
        let vpcs =
            PLACES.iter().enumerate().map(|(v, place)| Vpc::new(v as u64, place, &mut random)).collect();
        World { vpcs }
    }

    /// The VPC whose log a file holds.
    pub fn vpc(&self, file: usize) -> Option<&Vpc> {
        self.vpcs.get(mix(file as u64) as usize % self.vpcs.len().max(1))
    }
}

impl Vpc {
    fn new(v: u64, place: &(&'static str, &'static str, &'static str, usize), random: &mut Random) -> Self {
        let (account, region, zone, count) = *place;
        let interfaces = (0..count as u64).map(|i| Interface::new(v, i, random)).collect();
        let id = format!("vpc-{:017x}", random.next() >> 4);
        Vpc { account, region, id, flow_log: format!("fl-{:017x}", random.next() >> 4), zone, interfaces }
    }
}

impl Interface {
    fn new(v: u64, i: u64, random: &mut Random) -> Self {
        let subnet = i % 24;
        let host = 10 + i / 24;
        let managed = i % 40 == 7;
        Interface {
            id: format!("eni-{:017x}", random.next() >> 4),
            address: (10 << 24) | ((10 + v as u32) << 16) | ((subnet as u32) << 8) | host as u32,
            address6: (0x2001_0db8 << 96)
                | (u128::from(v + 1) << 80)
                | (u128::from(0xa100 + subnet) << 64)
                | u128::from(host),
            subnet: format!("subnet-{:017x}", mix(v << 32 | subnet) >> 4),
            instance: if managed { "-".to_owned() } else { format!("i-{:017x}", random.next() >> 4) },
            tag: TAGS.get((subnet % 5) as usize).copied().unwrap_or("-").to_owned(),
            kind: if managed { "nat_gateway" } else { "-" },
            service: SERVICES.get((subnet % 12) as usize).copied().unwrap_or(443),
        }
    }
}

/// A host of the internet: the documentation ranges, a few of them far busier than the others.
pub(crate) fn internet(random: &mut Random) -> u32 {
    let n = random.zipf(3 * 254) as u32;
    const NETS: [u32; 3] = [0xc633_6400, 0xcb00_7100, 0xc000_0200];
    NETS.get(n as usize % 3).copied().unwrap_or(0xc633_6400) | (1 + n / 3 % 254)
}

pub(crate) fn internet6(random: &mut Random) -> u128 {
    let n = u128::from(random.zipf(20_000));
    (0x2001_0db8_ffff << 80) | ((n / 16) << 64) | (0x10 + n % 16)
}

/// A host of a connected network (10.128.0.0/9).
pub(crate) fn connected(random: &mut Random) -> u32 {
    let rank = if random.permille(700) { random.zipf(400_000) } else { random.below(400_000) };
    (10 << 24) | (0x80_0000 + (mix(rank) as u32 & 0x7f_ffff))
}

/// Year, month and day of epoch seconds (civil from days, proleptic Gregorian).
pub(crate) fn date(epoch: u64) -> (u64, u64, u64) {
    let z = epoch / 86_400 + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}
