//! What the keys of one row group's interfaces stand for.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::places::{Own, Place};
use crate::attribute::{by_configuration, by_ownership};
use crate::rules::{CompiledAcl, Direction};
use crate::sql::records::{NONE, Values};

/// The number of an interface that has not been met yet.
pub(super) const NO_LANE: u32 = u32::MAX;

/// The number of what is no interface, or whose place is not known.
pub(super) const NOT_PLAIN: u32 = u32::MAX - 1;

/// Whether the configuration explains an ACCEPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It does not know the interface.
    Never,
    /// It does where this network ACL denies nothing, and the packets began no connection.
    List(usize),
    /// Found one by one.
    Always,
}

/// A network ACL, and which remote addresses it denies nothing to, by the keys of sources and destinations.
struct List {
    acl: Option<Arc<CompiledAcl>>,
    quiet: [Vec<Option<bool>>; 2],
}

/// The records of one interface within a row group.
pub(super) struct Lane {
    pub(super) place: usize,
    /// The keys of the other texts that tell the place: records with others are of another.
    pub(super) told: [u32; 3],
    /// The hash of the interface.
    pub(super) interface: u64,
    /// The hash of the network ACL or subnet.
    pub(super) zone: Option<u64>,
    own: Option<Own>,
    /// Keys of source and destination that are known to mean the interface's own address.
    sure: [u32; 2],
    pub(super) several: bool,
    /// How its ACCEPTs are checked by the configuration (spec 8.10).
    pub(super) check: Check,
    /// ACCEPTs that were found to agree with it.
    pub(super) agreed: u64,
    /// Its own addresses are noted for the subnet's sake.
    pub(super) notes: bool,
    /// Keys of the local address of the last record, inbound and outbound.
    pub(super) noted: [u32; 2],
    /// The number of the flow log that its records are of.
    pub(super) log: u32,
    /// The first second of its records; `i64::MAX` while there are none.
    pub(super) first: i64,
    /// ACCEPTs.
    pub(super) accepts: u64,
}

/// An address of a record: its key, its hash, and the texts of its column.
type End<'v> = (u32, u64, &'v Arc<Values>);

impl Lane {
    /// Which way a record of these addresses went; as [`Place::direction`] where the log does not tell.
    #[inline]
    pub(super) fn direction(&mut self, place: &Place, ends: [End<'_>; 2]) -> Option<Direction> {
        let [(src, src_hash, _), (dst, dst_hash, _)] = ends;
        let Some(own) = &self.own else {
            let [src, dst] = ends.map(|(key, _, values)| values.address(key as usize));
            return by_configuration(&place.rules.as_ref()?.interface, src?, dst?);
        };
        if src_hash == 0 || dst_hash == 0 {
            return None;
        }
        let mut is_own = [src == self.sure[0], dst == self.sure[1]];
        let other = if is_own[0] { dst_hash } else { src_hash };
        if is_own[0] != is_own[1] && !own.hashes.contains(&other) {
            return Some(if is_own[0] { Direction::Egress } else { Direction::Ingress });
        }
        for (((key, hash, values), sure), is_own) in ends.into_iter().zip(&mut self.sure).zip(&mut is_own) {
            // Equal addresses have equal hashes, and nearly always the other way round.
            if !*is_own
                && own.hashes.contains(&hash)
                && values.address(key as usize).is_some_and(|addr| own.addresses.contains(&Some(addr)))
            {
                (*sure, *is_own) = (key, true);
            }
        }
        by_ownership(is_own[0], is_own[1])
    }
}

impl Lists {
    /// Whether this one denies nothing from or to an address, by its key.
    #[inline]
    pub(super) fn is_quiet(&mut self, list: usize, direction: Direction, key: u32, remotes: &Values) -> bool {
        let Some(list) = self.0.get_mut(list) else { return false };
        let Some(acl) = &list.acl else { return true };
        let Some(quiet) = list.quiet.get_mut(usize::from(direction.is_egress())) else { return false };
        if quiet.is_empty() {
            quiet.resize(remotes.len(), None);
        }
        let Some(quiet) = quiet.get_mut(key as usize) else { return false };
        *quiet.get_or_insert_with(|| {
            remotes.address(key as usize).is_some_and(|remote| acl.never_denies(direction, &remote))
        })
    }
}

/// The lanes of a row group by the keys of its interfaces, and by their flow logs.
pub(super) struct Lanes {
    by_key: Vec<u32>,
    /// Those of interfaces that have one already, of another flow log.
    others: HashMap<(u32, u32), u32>,
    lanes: Vec<Lane>,
    lists: Lists,
}

/// The network ACLs of a row group.
#[derive(Default)]
pub(super) struct Lists(Vec<List>);

impl Lanes {
    /// None yet.
    pub(super) fn new(interfaces: &Values) -> Lanes {
        let mut by_key = vec![NO_LANE; interfaces.len()];
        let none = interfaces.none().and_then(|key| by_key.get_mut(key as usize));
        none.into_iter().for_each(|lane| *lane = NOT_PLAIN);
        Lanes { by_key, others: HashMap::new(), lanes: Vec::new(), lists: Lists::default() }
    }

    /// The number of an interface's lane, where all records are of one flow log.
    #[inline]
    pub(super) fn of(&self, key: u32) -> u32 {
        self.by_key.get(key as usize).copied().unwrap_or(NOT_PLAIN)
    }

    /// The number of an interface's lane with the records of this flow log.
    #[inline]
    pub(super) fn of_log(&self, key: u32, log: u32) -> u32 {
        let number = self.of(key);
        match self.lanes.get(number as usize) {
            Some(lane) if lane.log != log => self.others.get(&(key, log)).copied().unwrap_or(NO_LANE),
            _ => number,
        }
    }

    fn set(&mut self, key: u32, log: u32, number: u32) {
        match self.by_key.get_mut(key as usize) {
            Some(lane) if *lane == NO_LANE => *lane = number,
            Some(_) => _ = self.others.insert((key, log), number),
            None => {}
        }
    }

    /// What there is of an interface in this flow log is looked at one by one.
    pub(super) fn leave(&mut self, key: u32, log: u32) {
        self.set(key, log, NOT_PLAIN);
    }

    /// The lane of an interface, given by its key and its hash, with the records of a flow log; `zones` are those that are wanted.
    pub(super) fn add(
        &mut self,
        (key, interface): (u32, u64),
        log: u32,
        (at, place): (usize, &Place),
        told: [u32; 3],
        zones: &HashSet<u64>,
    ) {
        let Ok(number) = u32::try_from(self.lanes.len()) else { return };
        let check = match &place.rules {
            None => Check::Never,
            Some(rules) if rules.has_one_list() => Check::List(self.list(rules.acl.as_ref())),
            Some(_) => Check::Always,
        };
        self.lanes.push(Lane {
            place: at,
            told,
            interface,
            zone: place.zone_hash.filter(|zone| zones.contains(zone)),
            own: place.known,
            sure: [NONE; 2],
            several: place.several,
            check,
            agreed: 0,
            notes: place.subnet.is_some(),
            noted: [NONE; 2],
            log,
            first: i64::MAX,
            accepts: 0,
        });
        self.set(key, log, number);
    }

    fn list(&mut self, acl: Option<&Arc<CompiledAcl>>) -> usize {
        let lists = &mut self.lists.0;
        let same = |list: &List| list.acl.as_ref().map(Arc::as_ptr) == acl.map(Arc::as_ptr);
        lists.iter().position(same).unwrap_or_else(|| {
            lists.push(List { acl: acl.cloned(), quiet: Default::default() });
            lists.len() - 1
        })
    }

    /// A lane, and the network ACLs.
    #[inline]
    pub(super) fn with_lists(&mut self, number: u32) -> (Option<&mut Lane>, &mut Lists) {
        (self.lanes.get_mut(number as usize), &mut self.lists)
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Lane> {
        self.lanes.get(number as usize)
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Lane> {
        self.lanes.into_iter()
    }
}
