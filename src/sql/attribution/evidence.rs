//! The passes that read the logs before any REJECT is judged, and what they leave behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};

use super::kept::Kept;
use super::places::{MOST_PLACES, Place, Places, shown};
use crate::attribute::{
    Attribution, Evidence, EvidenceIndex, HashFilter, InterfaceAddresses, OwnAddresses, Record, Zone,
    accept_contradicts_rules, decide, is_steady, reach, zone,
};
use crate::net::Family;
use crate::network::Network;
use crate::rules::{Decision, Direction, Engine, InterfaceRules};
use crate::sql::records::{Coder, Columns, NONE, REASON_SINCE, Text, Values};

/// The reads of `flow_logs`.
#[derive(Debug, Clone)]
pub(super) struct Passes {
    /// Addresses of all records, where the next read does not have them.
    pub(super) addresses: Option<Arc<dyn ExecutionPlan>>,
    /// The REJECTs that may be asked for; all records, where there is no read for addresses.
    pub(super) rejects: Arc<dyn ExecutionPlan>,
    /// All records.
    pub(super) all: Arc<dyn ExecutionPlan>,
}

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

/// What of the logs is there, for one VPC, or account where the VPC is not known: flow logs are switched on for those.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coverage {
    first: i64,
    accepts: bool,
}

impl Coverage {
    fn merge(&mut self, other: Coverage) {
        self.first = self.first.min(other.first);
        self.accepts |= other.accepts;
    }
}

/// All that judging a REJECT needs beside the record.
#[derive(Debug)]
pub(super) struct Prepared {
    network: Option<Arc<Network>>,
    own: Arc<OwnAddresses>,
    index: EvidenceIndex,
    /// The REJECTs, by partition.
    kept: Vec<Kept>,
    coverage: HashMap<String, Coverage>,
    /// By interface and network ACL.
    consistency: BTreeMap<(String, Option<String>), Consistency>,
    broken_interfaces: HashSet<String>,
    broken_acls: HashSet<String>,
    /// Format versions for which some record named a reason.
    reason_versions: HashSet<i32>,
    /// Records of ACCEPTs, whole logs.
    pub(super) accepts: u64,
    _memory: MemoryReservation,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs tasks side by side.
pub(super) async fn together<T, F>(work: impl Iterator<Item = Result<F>>) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut running = tokio::task::JoinSet::new();
    for work in work {
        running.spawn(work?);
    }
    let mut done = Vec::new();
    while let Some(joined) = running.join_next().await {
        done.push(joined.map_err(|error| DataFusionError::External(Box::new(error)))??);
    }
    Ok(done)
}

/// Runs a task over each partition of a plan.
async fn over_partitions<T, F>(
    plan: &Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    work: impl Fn(SendableRecordBatchStream, usize) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let partitions = 0..plan.output_partitioning().partition_count();
    together(partitions.map(|at| Ok(work(plan.execute(at, Arc::clone(task))?, at)))).await
}

impl Prepared {
    pub(super) async fn new(
        passes: &Passes,
        network: Option<Arc<Network>>,
        task: &Arc<TaskContext>,
    ) -> Result<Prepared> {
        let memory = MemoryConsumer::new("reject_attribution").register(task.memory_pool());
        let (own, mut kept, reason_versions) = rejects(passes, &network, task).await?;
        let own = Arc::new(own);
        // Flow and service of each, and the service in its zone where there may be one.
        let zoned = network.is_some() || passes.rejects.schema().column_with_name("subnet_id").is_some();
        let hashes = kept.iter().map(Kept::rows).sum::<usize>().saturating_mul(if zoned { 3 } else { 2 });
        let filter = HashFilter::new(hashes);
        grow(&memory, filter.memory(), &mut kept)?;
        let wanted = Arc::new(wanted(filter, &kept, &network, &own).await?);
        let index = Arc::new(Mutex::new(EvidenceIndex::over(Arc::clone(&wanted))));
        let found = over_partitions(&passes.all, task, |stream, _| {
            observe(stream, network.clone(), Arc::clone(&own), Arc::clone(&wanted), Arc::clone(&index))
        })
        .await?;
        let mut all = Found::default();
        found.into_iter().for_each(|found| all.merge(found));
        let mut index = Arc::into_inner(index)
            .ok_or_else(|| DataFusionError::Internal("the evidence is still being read".to_owned()))?
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        all.tell(&mut index);
        index.finish();
        grow(&memory, index.memory(), &mut kept)?;
        let broken = |acl: bool| {
            let broken = all
                .consistency
                .iter()
                .filter(move |(_, found)| if acl { found.against_acl > 0 } else { found.against_groups > 0 });
            broken.map(|(key, _)| key.clone())
        };
        Ok(Prepared {
            broken_interfaces: broken(false).map(|(interface, _)| interface).collect(),
            broken_acls: broken(true).filter_map(|(_, acl)| acl).collect(),
            network,
            own,
            index,
            kept,
            coverage: all.coverage,
            consistency: all.consistency.into_iter().collect(),
            reason_versions,
            accepts: all.accepts,
            _memory: memory,
        })
    }

    pub(super) fn network(&self) -> Option<Arc<Network>> {
        self.network.clone()
    }

    pub(super) fn consistency(&self) -> &BTreeMap<(String, Option<String>), Consistency> {
        &self.consistency
    }

    /// The REJECTs of a partition.
    pub(super) fn rejects(&self, partition: usize) -> Result<Option<SendableRecordBatchStream>> {
        self.kept.get(partition).map(Kept::stream).transpose()
    }

    /// The places of a reader that judges.
    pub(super) fn places<'n>(&self, engine: Option<Engine<'n>>) -> Places<'n> {
        Places::new(engine, Arc::clone(&self.own))
    }

    /// What the passes found about a place.
    pub(super) fn describe(&self, place: &mut Place) {
        place.coverage = self.coverage.get(&place.scope).copied();
        let interface = place.interface.as_ref().is_some_and(|id| self.broken_interfaces.contains(id));
        place.inconsistent =
            interface || place.zone.as_ref().is_some_and(|zone| self.broken_acls.contains(zone));
    }

    /// The record of a row with its direction.
    pub(super) fn record<'a>(&self, columns: &'a Columns, row: usize, place: &Place) -> Record<'a> {
        let in_format = |version| self.reason_versions.contains(&version) || version == REASON_SINCE;
        let mut record = columns.record(row, in_format);
        if record.interface_id.is_some() {
            record.direction = place.direction(columns, row);
            record.alias = record.direction.and_then(|direction| place.alias(columns, row, direction));
        }
        record
    }

    /// Judges a record.
    pub(super) fn attribute(
        &self,
        record: &Record<'_>,
        place: &Place,
        engine: &mut Option<Engine<'_>>,
    ) -> (Attribution, Evidence) {
        if !record.has_time {
            let evidence = Evidence::default();
            return (decide(record, None, &evidence), evidence);
        }
        let reach = reach(record, place.rules.as_deref());
        let mut evidence = self.index.evidence(record, place.neighbours(), place.subnet.as_deref(), reach);
        // Other VPCs and accounts may be logged for longer, or in full where this one is not.
        match place.coverage {
            Some(coverage) => {
                let back = record.start.saturating_sub(coverage.first).max(0);
                evidence.covered_back = evidence.covered_back.min(back);
                evidence.complete &= coverage.accepts && evidence.covered_back >= reach;
            }
            None => evidence.complete = false,
        }
        evidence.inconsistent = place.inconsistent;
        (decide(record, engine.as_mut(), &evidence), evidence)
    }
}

/// Learns each interface's own address; those of the configuration have theirs there.
#[derive(Default)]
struct Learner {
    network: Option<Arc<Network>>,
    by_name: HashMap<String, usize>,
    /// `None` for interfaces of the configuration.
    found: Vec<Option<Learned>>,
    /// Which of them the keys of the current texts mean.
    by_key: Vec<usize>,
    texts: Option<Arc<Values>>,
    ends: [Option<Arc<Values>>; 2],
    /// How often the texts of the two ends have changed.
    era: u64,
}

/// What one interface's records have in common.
#[derive(Clone, Copy, Default)]
struct Learned {
    addresses: InterfaceAddresses,
    /// Keys of source and destination that mean its own address in this era: of a record with one of them nothing is learned.
    own: [u32; 2],
    era: u64,
}

impl Learner {
    fn take(&mut self, columns: &Columns) {
        let Some(values) = columns.values(Text::Interface) else { return };
        if !self.texts.as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
            self.texts = Some(Arc::clone(values));
            self.by_key = vec![usize::MAX; values.len()];
        }
        let ends = [Text::Src, Text::Dst].map(|column| columns.values(column).cloned());
        let same = |one: &Option<Arc<Values>>, other: &Option<Arc<Values>>| {
            one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
        };
        if !self.ends.iter().zip(&ends).all(|(one, other)| same(one, other)) {
            self.ends = ends;
            self.era += 1;
        }
        for row in 0..columns.rows() {
            let key = columns.key(Text::Interface, row);
            if key == NONE || columns.key(Text::Direction, row) != NONE {
                continue;
            }
            let Some(known) = self.by_key.get(key as usize).copied() else { continue };
            let at = if known == usize::MAX { self.find(columns, row, key) } else { known };
            let Some(Some(found)) = self.found.get_mut(at) else { continue };
            let keys = [Text::Src, Text::Dst].map(|column| columns.key(column, row));
            if found.era == self.era
                && keys.iter().zip(&found.own).any(|(key, own)| key == own && *key != NONE)
            {
                continue;
            }
            let ends = columns.address(Text::Src, row).zip(columns.address(Text::Dst, row));
            let Some((src, dst)) = ends else { continue };
            found.addresses.observe(src, dst);
            if found.era != self.era {
                (found.era, found.own) = (self.era, [NONE; 2]);
            }
            let own = found.addresses.own(Family::of(&src));
            for ((addr, key), place) in [src, dst].into_iter().zip(keys).zip(&mut found.own) {
                if Some(addr) == own {
                    *place = key;
                }
            }
        }
    }

    fn find(&mut self, columns: &Columns, row: usize, key: u32) -> usize {
        let id = columns.text(Text::Interface, row).unwrap_or_default();
        let at = match self.by_name.get(id) {
            Some(at) => *at,
            None => {
                let configured =
                    self.network.as_ref().is_some_and(|network| network.interfaces.timeline(id).is_some());
                self.found.push((!configured).then(Learned::default));
                self.by_name.insert(id.to_owned(), self.found.len() - 1);
                self.found.len() - 1
            }
        };
        if let Some(place) = self.by_key.get_mut(key as usize) {
            *place = at;
        }
        at
    }

    fn tell(self, own: &mut OwnAddresses) {
        for (id, at) in self.by_name {
            if let Some(Some(found)) = self.found.get(at) {
                own.learn(&id, found.addresses);
            }
        }
    }
}

/// The REJECTs, each interface's own address, and for which format versions a reason was named.
async fn rejects(
    passes: &Passes,
    network: &Option<Arc<Network>>,
    task: &Arc<TaskContext>,
) -> Result<(OwnAddresses, Vec<Kept>, HashSet<i32>)> {
    let mut own = OwnAddresses::default();
    let learner = || Learner { network: network.clone(), ..Learner::default() };
    if let Some(addresses) = &passes.addresses {
        let learned = over_partitions(addresses, task, |mut stream, _| {
            let mut learner = learner();
            async move {
                let mut coder = Coder::default();
                while let Some(batch) = stream.next().await {
                    learner.take(&coder.columns(&batch?)?);
                }
                Ok(learner)
            }
        })
        .await?;
        learned.into_iter().for_each(|learner| learner.tell(&mut own));
    }
    let all = passes.addresses.is_none();
    let schema = passes.rejects.schema();
    let found = over_partitions(&passes.rejects, task, |mut stream, partition| {
        let (mut learner, mut kept) = (learner(), Kept::new(&schema, task, partition));
        async move {
            let mut coder = Coder::default();
            let mut versions = HashSet::new();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let columns = coder.columns(&batch)?;
                for row in 0..if columns.has(Text::RejectReason) { columns.rows() } else { 0 } {
                    if columns.key(Text::RejectReason, row) != NONE {
                        versions.extend(columns.version(row));
                    }
                }
                if all {
                    learner.take(&columns);
                    kept.push(only_rejects(&batch, &columns)?)?;
                } else {
                    kept.push(batch)?;
                }
            }
            Ok((learner, kept, versions))
        }
    })
    .await?;
    let (mut parts, mut versions) = (Vec::new(), HashSet::new());
    for (learner, kept, named) in found {
        learner.tell(&mut own);
        parts.push(kept);
        versions.extend(named);
    }
    Ok((own, parts, versions))
}

/// The rows that the table shows.
fn only_rejects(batch: &RecordBatch, columns: &Columns) -> Result<RecordBatch> {
    let rejected = BooleanBuffer::from(columns.equal_to(Text::Action, "REJECT"));
    Ok(filter_record_batch(batch, &BooleanArray::new(rejected, None))?)
}

/// Takes memory, for which the REJECTs make room if they have to.
fn grow(memory: &MemoryReservation, bytes: usize, kept: &mut [Kept]) -> Result<()> {
    if memory.try_grow(bytes).is_ok() {
        return Ok(());
    }
    kept.iter_mut().try_for_each(Kept::spill)?;
    memory.try_grow(bytes)
}

/// Which ACCEPTs to look for: puts the hashes of all REJECTs into the filter.
async fn wanted(
    filter: HashFilter,
    kept: &[Kept],
    network: &Option<Arc<Network>>,
    own: &Arc<OwnAddresses>,
) -> Result<HashFilter> {
    let filter = Arc::new(Mutex::new(filter));
    together(kept.iter().map(|kept| {
        let (mut stream, filter) = (kept.stream()?, Arc::clone(&filter));
        let (network, own) = (network.clone(), Arc::clone(own));
        Ok(async move {
            let mut coder = Coder::default();
            let mut places = Places::new(network.as_deref().map(Engine::new), own);
            let mut hashes: Vec<u64> = Vec::new();
            while let Some(batch) = stream.next().await {
                let columns = coder.columns(&batch?)?;
                places.begin(&columns);
                for row in 0..columns.rows() {
                    let (Some(start), Some(protocol)) = (columns.start(row), columns.protocol(row)) else {
                        continue;
                    };
                    let at = places.at(&columns, row, start, columns.end(row, start));
                    let Some(place) = places.places.get(at) else { continue };
                    let direction = place.direction(&columns, row);
                    hashes.extend(place.hashes(&columns, row, protocol, direction).into_iter().flatten());
                }
                let mut filter = lock(&filter);
                hashes.drain(..).for_each(|hash| filter.insert(hash));
                drop(filter);
                if places.places.len() > MOST_PLACES {
                    places.take();
                }
            }
            Ok(())
        })
    }))
    .await?;
    let filter = Arc::into_inner(filter)
        .ok_or_else(|| DataFusionError::Internal("the rejected records are still being read".to_owned()))?;
    Ok(filter.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What one reader of all records found beside the evidence.
#[derive(Default)]
struct Found {
    coverage: HashMap<String, Coverage>,
    consistency: HashMap<(String, Option<String>), Consistency>,
    addresses: HashMap<String, HashSet<IpAddr>>,
    first: Option<i64>,
    directed_accepts: bool,
    accepts: u64,
}

impl Found {
    fn merge(&mut self, other: Found) {
        for (scope, theirs) in other.coverage {
            self.coverage.entry(scope).or_insert(theirs).merge(theirs);
        }
        for (key, theirs) in other.consistency {
            self.consistency.entry(key).or_default().merge(&theirs);
        }
        for (subnet, theirs) in other.addresses {
            self.addresses.entry(subnet).or_default().extend(theirs);
        }
        self.first = self.first.into_iter().chain(other.first).min();
        self.directed_accepts |= other.directed_accepts;
        self.accepts += other.accepts;
    }

    fn take(&mut self, places: Vec<Place>) {
        for place in places {
            if let Some(theirs) = place.coverage {
                self.coverage.entry(place.scope).or_insert(theirs).merge(theirs);
            }
            if let (Some(rules), true) = (&place.rules, place.consistency.checked > 0) {
                let acl = rules.acl.as_ref().map(|acl| acl.acl.id.clone());
                let key = (rules.interface.id.clone(), acl);
                self.consistency.entry(key).or_default().merge(&place.consistency);
            }
            if let (Some(subnet), false) = (place.subnet, place.addresses.is_empty()) {
                self.addresses.entry(subnet).or_default().extend(place.addresses);
            }
        }
    }

    fn tell(&self, index: &mut EvidenceIndex) {
        self.first.into_iter().for_each(|first| index.logged_from(first));
        if self.directed_accepts {
            index.accepts_are_logged();
        }
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

/// Looks at all records of a partition: what bears on REJECTs goes to the index.
async fn observe(
    mut stream: SendableRecordBatchStream,
    network: Option<Arc<Network>>,
    own: Arc<OwnAddresses>,
    wanted: Arc<HashFilter>,
    index: Arc<Mutex<EvidenceIndex>>,
) -> Result<Found> {
    let mut coder = Coder::default();
    let mut places = Places::new(network.as_deref().map(Engine::new), own);
    let mut found = Found::default();
    // ACCEPTs of the batch with their place and direction, and the hashes that the filter is asked for. All of them are asked
    // for at once: the filter is far larger than a cache, and so the loads do not wait for each other.
    let mut accepts: Vec<(usize, usize, Direction)> = Vec::new();
    let mut hashes: Vec<(u64, usize)> = Vec::new();
    while let Some(batch) = stream.next().await {
        let columns = coder.columns(&batch?)?;
        columns.keep_addresses();
        places.begin(&columns);
        let is_accept = columns.equal_to(Text::Action, "ACCEPT");
        let is_ok = columns.equal_to(Text::LogStatus, "OK");
        for (row, (is_accept, is_ok)) in is_accept.into_iter().zip(is_ok).enumerate() {
            let Some(start) = columns.start(row) else { continue };
            let at = places.at(&columns, row, start, columns.end(row, start));
            let (Some(place), engine) = (places.places.get_mut(at), &mut places.engine) else { continue };
            let covers = Coverage { first: start, accepts: is_accept };
            place.coverage.get_or_insert(covers).merge(covers);
            if !is_ok && !columns.log_status_ok(row, columns.action(row)) {
                // NODATA tells as well that logs reach back to it.
                found.first = Some(found.first.map_or(start, |first| first.min(start)));
                // Such a record has no protocol, and is its interface's all the same.
                if columns.text(Text::LogStatus, row) == Some("SKIPDATA")
                    && let Some(id) = columns.text(Text::Interface, row)
                {
                    lock(&index).missing(id, start, columns.end(row, start));
                }
                continue;
            }
            found.accepts += u64::from(is_accept);
            let (Some(_), Some(protocol)) = (&place.interface, columns.protocol(row)) else { continue };
            found.first = Some(found.first.map_or(start, |first| first.min(start)));
            let direction = place.direction(&columns, row);
            if let (Some(_), Some(direction)) = (&place.subnet, direction)
                && let Some(local) = shown(&columns, row, direction)
            {
                place.saw(local);
            }
            if !is_accept {
                continue;
            }
            found.directed_accepts |= direction.is_some();
            if let (Some(rules), Some(engine)) = (&place.rules, engine) {
                let mut record = columns.record(row, |_| false);
                record.direction = direction;
                check(&mut place.consistency, &record, rules, engine);
            }
            if let Some(direction) = direction {
                let wanted = place.hashes(&columns, row, protocol, Some(direction));
                hashes.extend(wanted.into_iter().flatten().map(|hash| (hash, accepts.len())));
                accepts.push((row, at, direction));
            }
        }
        let hits = hashes.iter().filter(|(hash, _)| wanted.may_contain(*hash)).map(|(_, nth)| *nth);
        let mut hits: Vec<usize> = hits.collect();
        hits.dedup();
        if !hits.is_empty() {
            let mut index = lock(&index);
            for (row, at, direction) in hits.iter().filter_map(|nth| accepts.get(*nth)) {
                let Some(place) = places.places.get(*at) else { continue };
                let mut record = columns.record(*row, |_| false);
                record.direction = Some(*direction);
                record.alias = place.alias(&columns, *row, *direction);
                let Some(id) = &place.interface else { continue };
                let shown = match &place.rules {
                    Some(rules) => zone(&record, rules),
                    None => place.zone.as_deref().map(Zone::of),
                };
                let steady = places.engine.as_mut().is_none_or(|engine| is_steady(&record, engine));
                index.keep(&record, id, *direction, shown, steady);
            }
        }
        accepts.clear();
        hashes.clear();
        if places.places.len() > MOST_PLACES {
            found.take(places.take());
        }
    }
    found.take(places.take());
    Ok(found)
}
