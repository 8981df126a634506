//! Where records come from: what is the same for all records of an interface under one version of the configuration is
//! found once and not for each of them.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap, HashSet};

use super::observe::Consistency;
use crate::attribute::{
    AROUND, Cover, Hashed, OwnAddresses, Zone, address_hash, by_configuration, by_ownership, name_hash,
    pair_hash, zone_pair_hash,
};
use crate::net::Family;
use crate::network::{NetworkInterface, View};
use crate::rules::{Decision, Direction, Engine, InterfaceRules};
use crate::sql::records::{Columns, Text, Values};

/// More places than this are not kept: a long history has many versions.
pub(super) const MOST_PLACES: usize = 100_000;

/// The logged texts that tell a place, in the order of their keys.
const TOLD_BY: [Text; 4] = [Text::Interface, Text::Subnet, Text::Vpc, Text::Account];

type Keys = [u32; 4];
type ViewKey = (usize, bool);

/// Texts that tell a place, and its view, as they are looked up.
#[derive(Hash)]
struct Told<'a>(([Option<&'a str>; 4], ViewKey));

impl Equivalent<([Option<String>; 4], ViewKey)> for Told<'_> {
    fn equivalent(&self, (texts, view): &([Option<String>; 4], ViewKey)) -> bool {
        self.0.1 == *view && self.0.0.iter().zip(texts).all(|(one, other)| *one == other.as_deref())
    }
}

/// The surroundings of records.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) interface: Option<String>,
    /// The rules of its interface, where the configuration has it.
    pub(super) rules: Option<Arc<InterfaceRules>>,
    /// The network ACL, or the subnet where that is not known.
    pub(super) zone: Option<String>,
    pub(super) subnet: Option<String>,
    /// What flow logs are switched on for: the VPC, or what is known instead.
    pub(super) scope: String,
    /// What flow logs, by their numbers, have of it.
    pub(super) covers: Vec<(u32, Cover)>,
    /// The number of its interface in what all logs cover, once they have been read.
    pub(super) covered: Option<usize>,
    /// Whether the configuration contradicts ACCEPTs here.
    pub(super) inconsistent: bool,
    /// Whether it contradicts ACCEPTs of an interface whose groups this one carries as well.
    pub(super) groups_refuted: bool,
    /// ACCEPTs checked.
    pub(super) consistency: Consistency,
    /// Own addresses seen, for the subnet's sake.
    pub(super) addresses: HashSet<IpAddr>,
    last_address: Option<IpAddr>,
    /// The number by which the index knows the interface, once it has been asked for.
    pub(super) number: Option<u32>,
    /// The same, that of the zone, and that of the subnet, where something of them was kept; once all records have been read.
    pub(super) numbers: [Option<u32>; 3],
    /// The interface's own addresses, where it has no more than one of each family.
    pub(super) known: Option<Own>,
    pub(super) zone_hash: Option<u64>,
    /// Its interface has more than one address that a record may show as its own side.
    pub(super) several: bool,
    /// It has the position of any interface of its subnet: none of a gateway or load balancer, to which other lists apply.
    ordinary: bool,
}

/// One address of each family, and their hashes; 0 for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) addresses: [Option<IpAddr>; 2],
    pub(super) hashes: [u64; 2],
}

impl Own {
    fn new(addresses: [Option<IpAddr>; 2]) -> Own {
        Own { addresses, hashes: addresses.map(|addr| addr.as_ref().map_or(0, address_hash)) }
    }

    /// Those of a configured interface; `None` where it has several of one family.
    fn of(interface: &NetworkInterface) -> Option<Own> {
        let mut found = [None; 2];
        for addr in &interface.addresses {
            let place = found.get_mut(usize::from(addr.is_ipv6()))?;
            if place.is_some_and(|known| known != *addr) {
                return None;
            }
            *place = Some(*addr);
        }
        interface.prefixes.is_empty().then(|| Own::new(found))
    }
}

/// The hashes of a record's flow, its service, and the service in its zone.
pub(super) type Hashes = [Option<u64>; 3];

impl Place {
    /// Which way a record of this place went.
    #[inline]
    pub(super) fn direction(&self, columns: &Columns, row: usize) -> Option<Direction> {
        if let Some(direction) = columns.direction(row) {
            return Some(direction);
        }
        if let Some(known) = &self.known {
            let (src, dst) = (columns.hash(Text::Src, row), columns.hash(Text::Dst, row));
            if src == 0 || dst == 0 {
                return None;
            }
            // Equal addresses have equal hashes, and nearly always the other way round.
            let is_own = |hash: u64, column| {
                known.hashes.contains(&hash)
                    && columns.address(column, row).is_some_and(|addr| known.addresses.contains(&Some(addr)))
            };
            return by_ownership(is_own(src, Text::Src), is_own(dst, Text::Dst));
        }
        let (src, dst) = (columns.address(Text::Src, row)?, columns.address(Text::Dst, row)?);
        by_configuration(&self.rules.as_ref()?.interface, src, dst)
    }

    /// What [`EvidenceIndex`](crate::attribute::EvidenceIndex) asks its filter for, out of the hashes of texts.
    #[inline]
    pub(super) fn hashes(
        &self,
        columns: &Columns,
        row: usize,
        protocol: u8,
        direction: Option<Direction>,
    ) -> Hashes {
        let (true, Some(direction)) = (self.interface.is_some(), direction) else { return [None; 3] };
        let hash = |column| columns.hash(column, row);
        let hashed = Hashed {
            interface: hash(Text::Interface),
            zone: self.zone_hash,
            protocol,
            direction,
            ends: [hash(Text::Src), hash(Text::Dst)],
            packet_ends: [hash(Text::PacketSrc), hash(Text::PacketDst)],
            ports: columns.ports(row),
        };
        hashed.wanted(|| self.alias(columns, row, direction).map(|alias| address_hash(&alias)))
    }

    /// The hashes of a record's remote addresses by which evidence is told, up to two.
    pub(super) fn remotes(
        &self,
        columns: &Columns,
        row: usize,
        direction: Option<Direction>,
    ) -> impl Iterator<Item = u64> + use<> {
        let of = |packet, leg| [columns.hash(leg, row), columns.hash(packet, row)];
        let [leg, packet] = match direction {
            Some(Direction::Ingress) => of(Text::PacketSrc, Text::Src),
            Some(Direction::Egress) => of(Text::PacketDst, Text::Dst),
            None => [0; 2],
        };
        [leg, if packet == leg { 0 } else { packet }].into_iter().filter(|remote| *remote != 0)
    }

    /// What stands for all evidence about an address at its interface, and under its network ACL.
    pub(super) fn pairs(&self, columns: &Columns, row: usize, remote: u64) -> [Option<u64>; 2] {
        if self.interface.is_none() {
            return [None; 2];
        }
        let interface = pair_hash(columns.hash(Text::Interface, row), remote);
        [Some(interface), self.zone_hash.map(|zone| zone_pair_hash(zone, remote))]
    }

    /// What stands for the interface's own side of a record in evidence, where that may be any of several addresses.
    #[inline]
    pub(super) fn alias(&self, columns: &Columns, row: usize, direction: Direction) -> Option<IpAddr> {
        if !self.several {
            return None;
        }
        let (leg, packet) = match direction {
            Direction::Ingress => (Text::Dst, Text::PacketDst),
            Direction::Egress => (Text::Src, Text::PacketSrc),
        };
        // A format may have one of the two for one direction, and the other for the other.
        let own = columns.address(leg, row).or_else(|| columns.address(packet, row))?;
        self.rules.as_ref()?.interface.alias(&own)
    }

    /// Where to look for what other interfaces show of a rejected record's key.
    pub(super) fn neighbours(&self) -> Option<Zone<'_>> {
        let within = self.subnet.as_deref().filter(|_| self.ordinary);
        Some(Zone { name: self.zone.as_deref()?, within })
    }

    /// Takes note of what a flow log has of it.
    #[inline]
    pub(super) fn cover(&mut self, log: u32, note: impl FnOnce(&mut Cover)) {
        // There is one flow log, nearly always.
        if let Some((_, cover)) = self.covers.iter_mut().find(|(of, _)| *of == log) {
            return note(cover);
        }
        let mut cover = Cover::NOTHING;
        note(&mut cover);
        self.covers.push((log, cover));
    }

    /// Takes note of an address of the interface.
    #[inline]
    pub(super) fn saw(&mut self, local: IpAddr) {
        if self.last_address != Some(local) {
            self.last_address = Some(local);
            self.addresses.insert(local);
        }
    }
}

/// The places that one reader has met.
pub(super) struct Places<'n> {
    pub(super) engine: Option<Engine<'n>>,
    pub(super) places: Vec<Place>,
    own: Arc<OwnAddresses>,
    by_texts: HashMap<([Option<String>; 4], ViewKey), usize>,
    by_keys: HashMap<(Keys, ViewKey), usize>,
    /// The place that each interface, by its key, had last: nearly always the one that it has again.
    by_interface: Vec<Option<((Keys, ViewKey), usize)>>,
    /// What the keys stand for.
    dictionaries: [Option<Arc<Values>>; 4],
    /// A stretch of time that lies within one view, first moment and first one behind it, and the key of that view.
    stretch: Option<(i64, i64, ViewKey)>,
}

impl<'n> Places<'n> {
    pub(super) fn new(engine: Option<Engine<'n>>, own: Arc<OwnAddresses>) -> Places<'n> {
        Places {
            engine,
            places: Vec::new(),
            own,
            by_texts: HashMap::new(),
            by_keys: HashMap::new(),
            by_interface: Vec::new(),
            dictionaries: Default::default(),
            stretch: None,
        }
    }

    /// Whether ACCEPTs with a rejected record's service, at its interface and elsewhere under its network ACL, bear on it: not
    /// where the list surely passes it and, in logs without flags, the groups deny it. `None` around a change.
    pub(super) fn asks(
        &mut self,
        columns: &Columns,
        row: usize,
        (at, start, end): (usize, i64, i64),
        direction: Option<Direction>,
        flags: bool,
    ) -> Option<[bool; 2]> {
        let rules = self.places.get(at)?.rules.as_ref()?;
        let (from, to) = (start.saturating_sub(AROUND), end.saturating_add(AROUND));
        self.engine.as_ref()?.network().only_view(from, to)?;
        let direction = direction?;
        let mut record = columns.record(row, |_| None);
        record.direction = Some(direction);
        let (Some(remote), None) = record.remotes(direction) else { return None };
        let packet = record.packet(direction, remote);
        let passes = rules.has_one_list()
            && rules.acl.as_ref().is_some_and(|acl| acl.decide(&packet).0 == Decision::Allow);
        let denies = || rules.group_verdict(&packet).decision == Decision::Deny;
        Some([!passes || flags || !denies(), !passes])
    }

    /// Forgets all places and returns them.
    pub(super) fn take(&mut self) -> Vec<Place> {
        self.by_texts.clear();
        self.by_keys.clear();
        self.by_interface.clear();
        std::mem::take(&mut self.places)
    }

    /// What follows are rows of this batch.
    pub(super) fn begin(&mut self, columns: &Columns) {
        let same = |known: &Option<Arc<Values>>, column: Text| match (known, columns.values(column)) {
            (None, None) => true,
            (Some(known), Some(values)) => Arc::ptr_eq(known, values),
            _ => false,
        };
        if self.dictionaries.iter().zip(TOLD_BY).all(|(known, column)| same(known, column)) {
            return;
        }
        self.dictionaries = TOLD_BY.map(|column| columns.values(column).cloned());
        self.by_keys.clear();
        self.by_interface.clear();
    }

    /// The view of a record's time, and its key.
    #[inline]
    fn view(&mut self, start: i64, end: i64) -> (Option<View>, ViewKey) {
        let Some(engine) = &self.engine else { return (None, (0, false)) };
        let at_start = View { at: start, after: false };
        if let Some((from, to, key)) = self.stretch
            && from <= start
            && start <= end
            && end < to
        {
            return (Some(at_start), key);
        }
        let network = engine.network();
        let view = network.only_view(start, end);
        let key = network.view_key(view.unwrap_or(at_start));
        self.stretch = view.and_then(|_| network.stretch(start)).map(|(from, to)| (from, to, key));
        (Some(view.unwrap_or(at_start)), key)
    }

    /// Whether nothing changes [`AROUND`] a record whose place was just asked for.
    pub(super) fn is_steady(&self, start: i64, end: i64) -> bool {
        let (from, to) = (start.saturating_sub(AROUND), end.saturating_add(AROUND));
        self.stretch.is_some_and(|(first, behind, _)| first <= from && from <= to && to < behind)
    }

    /// The place of a row.
    #[inline]
    pub(super) fn at(&mut self, columns: &Columns, row: usize, start: i64, end: i64) -> usize {
        let keys = TOLD_BY.map(|column| columns.key(column, row));
        let (view, view_key) = self.view(start, end);
        // The slot of rows without an interface is the first one.
        let slot = keys[0].wrapping_add(1) as usize;
        if let Some(Some((known, at))) = self.by_interface.get(slot)
            && *known == (keys, view_key)
        {
            return *at;
        }
        let at = match self.by_keys.get(&(keys, view_key)) {
            Some(at) => *at,
            None => self.find(columns, row, keys, view, view_key),
        };
        if self.by_interface.len() <= slot {
            self.by_interface.resize(slot.saturating_add(1), None);
        }
        if let Some(place) = self.by_interface.get_mut(slot) {
            *place = Some(((keys, view_key), at));
        }
        at
    }

    fn find(
        &mut self,
        columns: &Columns,
        row: usize,
        keys: Keys,
        view: Option<View>,
        view_key: ViewKey,
    ) -> usize {
        let texts = TOLD_BY.map(|column| columns.text(column, row));
        let at = self.of_texts_at(texts, view, view_key);
        self.by_keys.insert((keys, view_key), at);
        at
    }

    /// The place of records with these texts of the columns that tell it.
    pub(super) fn of_texts(&mut self, texts: [Option<&str>; 4], start: i64, end: i64) -> usize {
        let (view, view_key) = self.view(start, end);
        self.of_texts_at(texts, view, view_key)
    }

    fn of_texts_at(&mut self, texts: [Option<&str>; 4], view: Option<View>, view_key: ViewKey) -> usize {
        if let Some(at) = self.by_texts.get(&Told((texts, view_key))) {
            return *at;
        }
        let at = self.places.len();
        let texts = texts.map(|text| text.map(str::to_owned));
        let place = self.place(&texts, view);
        self.places.push(place);
        self.by_texts.insert((texts, view_key), at);
        at
    }

    fn place(
        &mut self,
        [interface, subnet, vpc, account]: &[Option<String>; 4],
        view: Option<View>,
    ) -> Place {
        let rules = match (&mut self.engine, interface, view) {
            (Some(engine), Some(id), Some(view)) => engine.interface(id, view),
            _ => None,
        };
        let known = rules.as_deref();
        let subnet = known.and_then(|rules| rules.interface.subnet_id.clone()).or_else(|| subnet.clone());
        let acl = known.and_then(|rules| rules.acl.as_ref()).map(|acl| acl.acl.id.clone());
        let vpc = known.and_then(|rules| rules.interface.vpc_id.as_ref()).or(vpc.as_ref());
        let scope = vpc.or(account.as_ref()).or(interface.as_ref()).cloned().unwrap_or_default();
        let zone = acl.or_else(|| subnet.clone());
        let own = |family| interface.as_ref().and_then(|id| self.own.own(id, family));
        let ordinary = known.is_none_or(|rules| {
            let interface = &rules.interface;
            let gateways = ["transit_gateway", "gateway_load_balancer_endpoint"];
            !interface.is_classic_lb() && !gateways.iter().any(|kind| interface.is_type(kind))
        });
        Place {
            several: known.is_some_and(|rules| rules.interface.has_several()),
            ordinary,
            known: match known {
                Some(rules) => Own::of(&rules.interface),
                None => Some(Own::new([own(Family::V4), own(Family::V6)])),
            },
            interface: interface.clone(),
            zone_hash: zone.as_deref().map(name_hash),
            zone,
            subnet,
            scope,
            rules,
            ..Place::default()
        }
    }
}

/// The own side of a record as it is shown: one of the interface's own addresses, which what packets carry through a NAT gateway
/// or an appliance is not (spec 1.5, 4.2).
#[inline]
pub(super) fn shown(columns: &Columns, row: usize, direction: Direction) -> Option<IpAddr> {
    columns.address(if direction.is_egress() { Text::Src } else { Text::Dst }, row)
}
