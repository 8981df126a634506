//! What the logs as a whole show: the ACCEPTs that bear on some REJECT go to the index, and of all records it is noted what
//! they cover and whether the configuration explains them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::{HashMap, HashSet};

use super::flow_logs::FlowLogs;
use super::places::{MOST_PLACES, Place, Places, shown};
use super::skipped::Skipped;
use crate::attribute::{
    Action, Coverage, EITHER_WAY, EvidenceIndex, FLOW_ALONE, Gap, HashFilter, LogName, OwnAddresses, Record,
    Zone, accept_contradicts_rules, is_steady, zone,
};
use crate::rules::{Decision, Direction, Engine, InterfaceRules};
use crate::sql::records::{Coder, Columns, Text};

/// How well the configuration explains the ACCEPTs of one interface under one network ACL (spec 8.10).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consistency {
    /// ACCEPT records that could be checked.
    pub checked: u64,
    /// Of those, the ones that the network ACL given would have dropped.
    pub against_acl: u64,
    /// Of the others, the ones that the groups given would have dropped.
    pub against_groups: u64,
}

impl Consistency {
    /// ACCEPTs that the configuration contradicts.
    pub fn contradicted(&self) -> u64 {
        self.against_acl + self.against_groups
    }

    fn merge(&mut self, other: &Consistency) {
        self.checked += other.checked;
        self.against_acl += other.against_acl;
        self.against_groups += other.against_groups;
    }
}

/// What one reader of all records found beside the evidence.
#[derive(Default)]
pub(super) struct Found {
    pub(super) coverage: Coverage,
    pub(super) consistency: HashMap<(String, Option<String>), Consistency>,
    /// The groups, in order, of interfaces with ACCEPTs that the groups given would have dropped: which of them has another rule
    /// is not known.
    pub(super) refuted_groups: BTreeSet<Vec<String>>,
    addresses: HashMap<String, HashSet<IpAddr>>,
    pub(super) accepts: u64,
    pub(super) skipped: HashMap<String, Skipped>,
}

impl Found {
    pub(super) fn merge(&mut self, other: Found) {
        self.coverage.merge(&other.coverage);
        for (key, theirs) in other.consistency {
            self.consistency.entry(key).or_default().merge(&theirs);
        }
        self.refuted_groups.extend(other.refuted_groups);
        for (subnet, theirs) in other.addresses {
            self.addresses.entry(subnet).or_default().extend(theirs);
        }
        self.accepts += other.accepts;
        for (interface, theirs) in other.skipped {
            self.skipped.entry(interface).and_modify(|ours| ours.merge(theirs)).or_insert(theirs);
        }
    }

    /// A record says that others of this interface were skipped.
    fn skip(&mut self, interface: &str, found: Skipped) {
        self.skipped.entry_ref(interface).and_modify(|known| known.merge(found)).or_insert(found);
    }

    fn take(&mut self, places: Vec<Place>, logs: &FlowLogs) {
        for place in places {
            for (log, cover) in &place.covers {
                let name = match logs.id(*log) {
                    Some(id) => LogName::FlowLog(id.to_owned()),
                    None => LogName::Unnamed(place.scope.clone()),
                };
                self.coverage.add(place.interface.as_deref(), &name, cover);
            }
            if let (Some(rules), true) = (&place.rules, place.consistency.checked > 0) {
                let acl = rules.acl.as_ref().map(|acl| acl.acl.id.clone());
                let key = (rules.interface.id.clone(), acl);
                self.consistency.entry(key).or_default().merge(&place.consistency);
                if place.consistency.against_groups > 0 {
                    let mut groups = rules.interface.group_ids.clone();
                    groups.sort_unstable();
                    self.refuted_groups.insert(groups);
                }
            }
            if let (Some(subnet), false) = (place.subnet, place.addresses.is_empty()) {
                self.addresses.entry(subnet).or_default().extend(place.addresses);
            }
        }
    }

    pub(super) fn tell(&self, index: &mut EvidenceIndex) {
        for (subnet, addresses) in &self.addresses {
            addresses.iter().for_each(|addr| index.own_address(subnet, *addr));
        }
    }
}

/// Spec 8.10 for one ACCEPT.
fn check(counts: &mut Consistency, record: &Record<'_>, rules: &InterfaceRules, engine: &mut Engine<'_>) {
    let Some(contradicts) = accept_contradicts_rules(record, rules, engine) else { return };
    counts.checked += 1;
    if !contradicts {
        return;
    }
    let denied_by_acl = record
        .direction
        .zip(record.direction.and_then(|direction| record.remotes(direction).0))
        .is_some_and(|(direction, remote)| {
            let own = record.local(direction).filter(|own| rules.interface.owns(own));
            rules.acl_verdict(&record.packet(direction, remote), own).decision == Decision::Deny
        });
    if denied_by_acl {
        counts.against_acl += 1;
    } else {
        counts.against_groups += 1;
    }
}

/// What is looked for among the ACCEPTs.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Flows and services of the REJECTs.
    pub(super) exact: Arc<HashFilter>,
    /// Interfaces, or network ACLs, and remote addresses of the REJECTs: far fewer, so that it stays in a cache.
    pub(super) pairs: Arc<HashFilter>,
    /// Network ACLs or subnets, by their hashes, of which other interfaces' ACCEPTs may bear on a REJECT.
    pub(super) zones: Arc<HashSet<u64>>,
}

/// The index while it is filled, and the memory that it takes.
pub(super) struct Filling {
    index: EvidenceIndex,
    memory: MemoryReservation,
    /// Of the memory, what was taken for other things.
    beside: usize,
    refused: Option<DataFusionError>,
}

/// Memory is asked for in steps of so much, where there is as much.
const STEP: usize = 1 << 20;

impl Filling {
    /// Nothing yet; the memory is what the filter took.
    pub(super) fn new(filter: Arc<HashFilter>, memory: MemoryReservation) -> Filling {
        Filling { index: EvidenceIndex::over(filter), beside: memory.size(), memory, refused: None }
    }

    /// Takes memory for what the index has grown to; whether it was refused, so that reading on is of no use.
    fn account(&mut self) -> bool {
        let held = self.beside.saturating_add(self.index.memory());
        if let Some(more) = held.checked_sub(self.memory.size()).filter(|more| *more > 0)
            && self.refused.is_none()
        {
            let grown = self.memory.try_grow(more.saturating_add(STEP));
            self.refused = grown.or_else(|_| self.memory.try_grow(more)).err();
        }
        self.refused.is_some()
    }

    /// The index and its memory.
    pub(super) fn into_parts(self) -> Result<(EvidenceIndex, MemoryReservation)> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok((self.index, self.memory)),
        }
    }
}

/// One reader of all records.
pub(super) struct Observer<'n> {
    pub(super) coder: Coder,
    pub(super) places: Places<'n>,
    pub(super) logs: FlowLogs,
    pub(super) found: Found,
    pub(super) wanted: Wanted,
    filling: Arc<Mutex<Filling>>,
    /// No memory is left for what is found.
    refused: bool,
    /// ACCEPTs of the batch with their place and direction, and the hashes that the filter is asked for. All of them are asked
    /// for at once: the filter is far larger than a cache, and so the loads do not wait for each other.
    accepts: Vec<Accept>,
    hashes: Vec<(u64, usize)>,
    waiting: Vec<Wait>,
}

/// An ACCEPT.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accept {
    pub(super) row: usize,
    /// The number of its place.
    pub(super) at: usize,
    pub(super) direction: Direction,
    /// Whether the filter lets its flow, its service and that in its zone through; only where the configuration does not
    /// change around it.
    pub(super) wanted: Option<[bool; 3]>,
}

/// A record that is to be kept, its place, its direction, and what of it is wanted.
pub(super) type Wait = (Record<'static>, usize, Direction, [bool; 3]);

/// So many records wait before a reader does.
const MOST_WAITING: usize = 1024;

/// Whether there was memory for all of it.
fn give(waiting: &mut Vec<Wait>, places: &mut [Place], mut filling: MutexGuard<'_, Filling>) -> bool {
    let index = &mut filling.index;
    for (record, at, direction, wanted) in waiting.drain(..) {
        let Some(place) = places.get_mut(at) else { continue };
        let Some(id) = &place.interface else { continue };
        let number = *place.number.get_or_insert_with(|| index.number(id));
        let zone = place.zone.as_deref().map(Zone::of);
        index.keep_wanted(&record, number, direction, zone, true, wanted);
    }
    !filling.account()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'n> Observer<'n> {
    pub(super) fn new(
        engine: Option<Engine<'n>>,
        own: Arc<OwnAddresses>,
        wanted: Wanted,
        filling: Arc<Mutex<Filling>>,
    ) -> Observer<'n> {
        Observer {
            coder: Coder::default(),
            places: Places::new(engine, own),
            logs: FlowLogs::default(),
            found: Found::default(),
            wanted,
            filling,
            refused: false,
            accepts: Vec::new(),
            hashes: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// The columns of a batch whose rows are looked at next.
    pub(super) fn columns(&mut self, batch: &RecordBatch) -> Result<Columns> {
        let columns = self.coder.columns(batch)?;
        self.places.begin(&columns);
        self.logs.begin(columns.values(Text::Source));
        Ok(columns)
    }

    /// Looks at all records of a batch.
    pub(super) fn all(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = self.columns(batch)?;
        columns.keep_addresses();
        let is_accept = columns.equal_to(Text::Action, "ACCEPT");
        let is_ok = columns.equal_to(Text::LogStatus, "OK");
        let (mut accepts, mut hashes) = (std::mem::take(&mut self.accepts), std::mem::take(&mut self.hashes));
        let exact = Arc::clone(&self.wanted.exact);
        // ACCEPTs that lasted too long to ask for their time.
        let mut long: Vec<usize> = Vec::new();
        for (row, (is_accept, is_ok)) in is_accept.into_iter().zip(is_ok).enumerate() {
            let places = &mut self.places;
            let Some(start) = columns.start(row) else { continue };
            let at = places.at(&columns, row, start, columns.end(row, start));
            let (Some(place), engine) = (places.places.get_mut(at), &mut places.engine) else { continue };
            // NODATA tells as well that logs reach back to it.
            let log = self.logs.of(columns.key(Text::Source, row));
            place.cover(log, |cover| cover.see(start, false));
            if !is_ok && !columns.log_status_ok(row, columns.action(row)) {
                // Where the format lacks the field it may be either (log-formats 1.6).
                let status = columns.text(Text::LogStatus, row);
                if status.is_none_or(|status| status == "SKIPDATA") {
                    let end = columns.end(row, start);
                    place.cover(log, |cover| cover.lacks(Gap::Skipped, start, end));
                    if let (Some(_), Some(id)) = (status, &place.interface) {
                        self.found.skip(id, Skipped::one(start, end));
                    }
                }
                continue;
            }
            self.found.accepts += u64::from(is_accept);
            // What was accepted, or may have been, without showing its flow.
            let hides = |place: &mut Place| {
                place.cover(log, |cover| cover.lacks(Gap::Unshown, start, columns.end(row, start)));
            };
            let protocol = columns.protocol(row);
            if !is_accept && columns.action(row) != Action::Reject || is_accept && protocol.is_none() {
                hides(place);
            }
            let (Some(_), Some(protocol)) = (&place.interface, protocol) else { continue };
            let direction = place.direction(&columns, row);
            if let (Some(_), Some(direction)) = (&place.subnet, direction)
                && let Some(local) = shown(&columns, row, direction)
            {
                place.saw(local);
            }
            if !is_accept {
                continue;
            }
            place.cover(log, |cover| cover.see(start, direction.is_some()));
            if let (Some(rules), Some(engine)) = (&place.rules, engine) {
                let mut record = columns.record(row, |_| None);
                record.direction = direction;
                check(&mut place.consistency, &record, rules, engine);
            }
            if direction.is_none() {
                let either = EITHER_WAY
                    .map(|direction| (direction, place.hashes(&columns, row, protocol, Some(direction))));
                if either.iter().all(|(_, [flow, ..])| flow.is_none()) {
                    hides(place);
                }
                for (direction, [flow, ..]) in either {
                    hashes.extend(flow.map(|hash| (hash, accepts.len())));
                    accepts.push(Accept { row, at, direction, wanted: Some(FLOW_ALONE) });
                }
            }
            if let Some(direction) = direction {
                let [flow, service, in_zone] = place.hashes(&columns, row, protocol, Some(direction));
                if flow.is_none() {
                    hides(place);
                }
                hashes.extend(flow.map(|hash| (hash, accepts.len())));
                for hash in service.into_iter().chain(in_zone) {
                    match exact.ask_over(hash, start, columns.end(row, start)) {
                        Some(asked) => hashes.extend(asked.map(|hash| (hash, accepts.len()))),
                        None => long.push(accepts.len()),
                    }
                }
                accepts.push(Accept { row, at, direction, wanted: None });
            }
        }
        let hits = hashes.iter().filter(|(hash, _)| exact.may_contain(*hash)).map(|(_, nth)| *nth);
        let mut hits: Vec<usize> = hits.collect();
        if !long.is_empty() {
            hits.append(&mut long);
            hits.sort_unstable();
        }
        hits.dedup();
        self.keep(&columns, hits.iter().filter_map(|nth| accepts.get(*nth)).copied());
        accepts.clear();
        hashes.clear();
        (self.accepts, self.hashes) = (accepts, hashes);
        Ok(())
    }

    /// Gives ACCEPTs to the index, which keeps those that are wanted.
    pub(super) fn keep(&mut self, columns: &Columns, accepts: impl Iterator<Item = Accept>) {
        let mut accepts = accepts.peekable();
        if accepts.peek().is_none() {
            return;
        }
        let mut filling = lock(&self.filling);
        let index = &mut filling.index;
        for Accept { row, at, direction, wanted } in accepts {
            let Some(place) = self.places.places.get_mut(at) else { continue };
            let mut record = columns.record(row, |_| None);
            record.direction = Some(direction);
            record.alias = place.alias(columns, row, direction);
            let Some(id) = &place.interface else { continue };
            let shown = match &place.rules {
                Some(_) if wanted.is_some_and(|[.., in_zone]| !in_zone) => None,
                Some(rules) => zone(&record, rules),
                None => place.zone.as_deref().map(Zone::of),
            };
            match wanted {
                Some(wanted) => {
                    let number = *place.number.get_or_insert_with(|| index.number(id));
                    index.keep_wanted(&record, number, direction, shown, true, wanted);
                }
                None => {
                    let engine = self.places.engine.as_mut();
                    let steady = engine.is_none_or(|engine| is_steady(&record, engine));
                    index.keep(&record, id, direction, shown, steady);
                }
            }
        }
        self.refused |= filling.account();
    }

    /// Gives records to the index: each with its place, its direction, and what of it is wanted, in a zone only where the
    /// configuration does not know the interface. They wait while another reader has it, unless there are many.
    pub(super) fn keep_records(&mut self, records: impl Iterator<Item = Wait>) {
        self.waiting.extend(records);
        let filling = match self.filling.try_lock() {
            Ok(filling) => Some(filling),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => (self.waiting.len() > MOST_WAITING).then(|| lock(&self.filling)),
        };
        if let Some(filling) = filling {
            self.refused |= !give(&mut self.waiting, &mut self.places.places, filling);
        }
    }

    /// Gives the records that have waited to the index. Their places have to be the same still.
    pub(super) fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.refused |= !give(&mut self.waiting, &mut self.places.places, lock(&self.filling));
        }
    }

    /// Asks the configuration whether it explains these ACCEPTs.
    pub(super) fn check(&mut self, columns: &Columns, accepts: impl Iterator<Item = Accept>) {
        for Accept { row, at, direction, .. } in accepts {
            let (Some(place), Some(engine)) = (self.places.places.get_mut(at), &mut self.places.engine)
            else {
                continue;
            };
            if let Some(rules) = &place.rules {
                let mut record = columns.record(row, |_| None);
                record.direction = Some(direction);
                check(&mut place.consistency, &record, rules, engine);
            }
        }
    }

    /// Whether no memory is left for what is found, so that reading on is of no use.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Settles the places, where there are many.
    pub(super) fn settle(&mut self) {
        if self.places.places.len() > MOST_PLACES {
            self.flush();
        }
        if self.places.places.len() > MOST_PLACES {
            self.found.take(self.places.take(), &self.logs);
        }
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Found {
        self.flush();
        self.found.take(self.places.take(), &self.logs);
        self.found
    }
}
