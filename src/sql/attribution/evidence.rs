//! The passes that read the logs before any REJECT is judged, and what they leave behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};

use super::kept::Kept;
use super::learn::rejects;
use super::observe::{Consistency, Coverage, Found, Observer, Wanted};
use super::places::{MOST_PLACES, Place, Places};
use super::sift;
use crate::attribute::{
    Attribution, Evidence, EvidenceIndex, HashFilter, OwnAddresses, Record, decide, reach,
};
use crate::network::Network;
use crate::rules::Engine;
use crate::sql::coded::rowgroups::RowGroups;
use crate::sql::records::{Coder, Columns, REASON_SINCE};

/// Where records come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Batches.
    Plan(Arc<dyn ExecutionPlan>),
    /// The row groups of a store's files, and how many readers share them.
    Groups(Arc<RowGroups>, usize),
}

/// The reads of `flow_logs`.
#[derive(Debug, Clone)]
pub(super) struct Passes {
    /// Addresses of all records, where the next read does not have them.
    pub(super) addresses: Option<Source>,
    /// The row groups of both, where one reading does for them.
    pub(super) both: Option<Arc<RowGroups>>,
    /// The REJECTs that may be asked for; all records, where there is no read for addresses.
    pub(super) rejects: Arc<dyn ExecutionPlan>,
    /// All records.
    pub(super) all: Source,
}

impl Passes {
    /// Whether some record may have flags.
    fn have_flags(&self) -> bool {
        match &self.all {
            Source::Plan(_) => true,
            Source::Groups(groups, _) => groups.schema().column_with_name("tcp_flags").is_some(),
        }
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
pub(super) async fn over_partitions<T, F>(
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
        // Records that cross from one stretch of time to the next want a service in both.
        let hashes = kept.iter().map(Kept::rows).sum::<usize>().saturating_mul(if zoned { 7 } else { 5 }) / 2;
        let (exact, pairs) = (HashFilter::new(hashes), HashFilter::small(hashes));
        grow(&memory, exact.memory().saturating_add(pairs.memory()), &mut kept)?;
        let mut wanted = Wanted { exact: Arc::new(exact), pairs: Arc::new(pairs), zones: Arc::default() };
        wanted.zones = Arc::new(want(&wanted, &kept, &network, &own, passes.have_flags()).await?);
        let index = Arc::new(Mutex::new(EvidenceIndex::over(Arc::clone(&wanted.exact))));
        let reader = || (network.clone(), Arc::clone(&own), wanted.clone(), Arc::clone(&index));
        let found = match &passes.all {
            Source::Plan(all) => over_partitions(all, task, |stream, _| observe(stream, reader())).await?,
            Source::Groups(groups, readers) => {
                let groups = groups.again();
                together((0..*readers).map(|_| Ok(sift::groups(Arc::clone(&groups), reader())))).await?
            }
        };
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
        let number = |name: &Option<String>| name.as_ref().and_then(|name| self.index.known(name));
        place.numbers = [number(&place.interface), number(&place.zone)];
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
        let mut evidence =
            self.index.evidence_at(record, place.numbers, place.neighbours(), place.subnet.as_deref(), reach);
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

/// Takes memory, for which the REJECTs make room if they have to.
fn grow(memory: &MemoryReservation, bytes: usize, kept: &mut [Kept]) -> Result<()> {
    if memory.try_grow(bytes).is_ok() {
        return Ok(());
    }
    kept.iter_mut().try_for_each(Kept::spill)?;
    memory.try_grow(bytes)
}

/// What a reader of all records needs: the configuration, own addresses, what is wanted, and where to leave it.
pub(super) type Reader = (Option<Arc<Network>>, Arc<OwnAddresses>, Wanted, Arc<Mutex<EvidenceIndex>>);

/// Looks at all records of a partition: what bears on REJECTs goes to the index.
async fn observe(
    mut stream: SendableRecordBatchStream,
    (network, own, wanted, index): Reader,
) -> Result<Found> {
    let mut observer = Observer::new(network.as_deref().map(Engine::new), own, wanted, index);
    while let Some(batch) = stream.next().await {
        observer.all(&batch?)?;
        observer.settle();
    }
    Ok(observer.finish())
}

/// Which ACCEPTs to look for: puts the hashes of all REJECTs into the filters. Returns the hashes of the network ACLs and
/// subnets in which other interfaces' ACCEPTs are wanted.
async fn want(
    filters: &Wanted,
    kept: &[Kept],
    network: &Option<Arc<Network>>,
    own: &Arc<OwnAddresses>,
    flags: bool,
) -> Result<HashSet<u64>> {
    let zones = together(kept.iter().map(|kept| {
        let (mut stream, filters) = (kept.stream()?, filters.clone());
        let (network, own) = (network.clone(), Arc::clone(own));
        Ok(async move {
            let mut coder = Coder::default();
            let mut places = Places::new(network.as_deref().map(Engine::new), own);
            let (mut hashes, mut pairs): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            let mut zones: HashSet<u64> = HashSet::new();
            while let Some(batch) = stream.next().await {
                let columns = coder.columns(&batch?)?;
                if places.engine.is_some() {
                    columns.keep_addresses();
                }
                places.begin(&columns);
                for row in 0..columns.rows() {
                    let (Some(start), Some(protocol)) = (columns.start(row), columns.protocol(row)) else {
                        continue;
                    };
                    let end = columns.end(row, start);
                    let at = places.at(&columns, row, start, end);
                    let Some(place) = places.places.get(at) else { continue };
                    let direction = place.direction(&columns, row);
                    let asks = match place.rules {
                        Some(_) => places.asks(&columns, row, (at, start, end), direction, flags),
                        None => None,
                    };
                    let [service, zone] = asks.unwrap_or([true; 2]);
                    let Some(place) = places.places.get(at) else { continue };
                    let [flow, of_service, in_zone] = place.hashes(&columns, row, protocol, direction);
                    hashes.extend(flow);
                    for hash in [of_service.filter(|_| service), in_zone.filter(|_| zone)] {
                        hashes.extend(hash.into_iter().flat_map(|h| filters.exact.want_over(h, start, end)));
                    }
                    if zone && let Some(zone) = place.zone_hash {
                        zones.insert(zone);
                    }
                    for remote in place.remotes(&columns, row, direction) {
                        let [interface, in_zone] = place.pairs(&columns, row, remote);
                        pairs.extend(interface.into_iter().chain(in_zone.filter(|_| zone)));
                    }
                }
                hashes.drain(..).for_each(|hash| filters.exact.insert(hash));
                pairs.drain(..).for_each(|pair| filters.pairs.insert(pair));
                if places.places.len() > MOST_PLACES {
                    places.take();
                }
            }
            Ok(zones)
        })
    }))
    .await?;
    Ok(zones.into_iter().flatten().collect())
}
