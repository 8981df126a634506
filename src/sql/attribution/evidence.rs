//! The pass that reads all records for what bears on REJECTs, and what judging these needs beside the record.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use hashbrown::HashSet;

use super::observe::{Consistency, Filling, Found, Observer, Wanted};
use super::parts::{Part, Rejects};
use super::places::{Place, Places};
use super::sift;
use super::skipped::Skipped;
use super::unread;
use super::want::want;
use crate::attribute::{
    Attribution, Coverage, Evidence, EvidenceIndex, HashFilter, OwnAddresses, Record, decide, decide_by,
    reach,
};
use crate::network::Network;
use crate::rules::Engine;
use crate::sql::coded::rowgroups::RowGroups;
use crate::sql::formats::KnowsFiles;
use crate::sql::records::Columns;

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
    /// Some log may have the field `reject-reason`: else it does not count for the REJECTs which log they are of.
    pub(super) may_name_reasons: bool,
    /// What knows the files of the logs, where something does.
    pub(super) files: Option<Arc<dyn KnowsFiles>>,
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

/// All that judging a REJECT needs beside the record; for some of them, where the evidence of all outgrows the memory.
#[derive(Debug)]
pub(super) struct Prepared {
    rejects: Arc<Rejects>,
    part: Part,
    index: EvidenceIndex,
    coverage: Coverage,
    /// By interface and network ACL.
    consistency: BTreeMap<(String, Option<String>), Consistency>,
    broken_interfaces: HashSet<String>,
    broken_acls: HashSet<String>,
    /// Groups that together let something pass which no rule given for them allows.
    refuted_groups: BTreeSet<Vec<String>>,
    /// Records of ACCEPTs, whole logs.
    pub(super) accepts: u64,
    /// Interfaces of which records were skipped.
    pub(super) skipped: BTreeMap<String, Skipped>,
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
    /// Gathers the evidence for a part of the REJECTs from all records. An error where it does not fit into the memory.
    pub(super) async fn new(
        passes: &Passes,
        rejects: &Arc<Rejects>,
        part: Part,
        task: &Arc<TaskContext>,
    ) -> Result<Prepared> {
        let memory = MemoryConsumer::new("reject_attribution").register(task.memory_pool());
        // Flow and service of each, and the service in its zone where there may be one.
        let zoned =
            rejects.network.is_some() || passes.rejects.schema().column_with_name("subnet_id").is_some();
        // Records that cross from one stretch of time to the next want a service in both.
        let hashes = rejects.rows(part).saturating_mul(if zoned { 7 } else { 5 }) / 2;
        let (exact, pairs) = (HashFilter::new(hashes), HashFilter::small(hashes));
        memory.try_grow(exact.memory().saturating_add(pairs.memory()))?;
        let mut wanted = Wanted { exact: Arc::new(exact), pairs: Arc::new(pairs), zones: Arc::default() };
        wanted.zones = Arc::new(want(&wanted, rejects, part, passes.have_flags()).await?);
        let filling = Filling::new(Arc::clone(&wanted.exact), memory);
        let filling = Arc::new(Mutex::new(filling));
        let reader = || {
            let (network, own) = (rejects.network.clone(), Arc::clone(&rejects.own));
            (network, own, wanted.clone(), Arc::clone(&filling))
        };
        let found = match &passes.all {
            Source::Plan(all) => {
                // It may have been read before.
                let all = reset_plan_states(Arc::clone(all))?;
                over_partitions(&all, task, |stream, _| observe(stream, reader())).await?
            }
            Source::Groups(groups, readers) => {
                let groups = groups.again();
                together((0..*readers).map(|_| Ok(sift::groups(Arc::clone(&groups), reader())))).await?
            }
        };
        let mut all = Found::default();
        found.into_iter().for_each(|found| all.merge(found));
        if let Some(files) = &passes.files {
            // All that is looked at has been read by now.
            unread::tell(&mut all.coverage, &files.unread().await?);
        }
        let filling = Arc::into_inner(filling)
            .ok_or_else(|| DataFusionError::Internal("the evidence is still being read".to_owned()))?;
        let (mut index, memory) =
            filling.into_inner().unwrap_or_else(PoisonError::into_inner).into_parts()?;
        all.tell(&mut index);
        let before = index.memory();
        index.finish();
        if memory.try_grow(index.memory().saturating_sub(before)).is_err() {
            index.forget_sums();
        }
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
            refuted_groups: all.refuted_groups,
            rejects: Arc::clone(rejects),
            part,
            index,
            coverage: all.coverage,
            consistency: all.consistency.into_iter().collect(),
            accepts: all.accepts,
            skipped: all.skipped.into_iter().collect(),
            _memory: memory,
        })
    }

    pub(super) fn network(&self) -> Option<Arc<Network>> {
        self.rejects.network.clone()
    }

    pub(super) fn consistency(&self) -> &BTreeMap<(String, Option<String>), Consistency> {
        &self.consistency
    }

    /// The REJECTs of a partition.
    pub(super) fn rejects(&self, partition: usize) -> Result<Option<SendableRecordBatchStream>> {
        self.rejects.kept.get(partition).map(|kept| kept.stream(self.part)).transpose()
    }

    /// The places of a reader that judges.
    pub(super) fn places<'n>(&self, engine: Option<Engine<'n>>) -> Places<'n> {
        Places::new(engine, Arc::clone(&self.rejects.own))
    }

    /// What the passes found about a place.
    pub(super) fn describe(&self, place: &mut Place) {
        place.covered = place.interface.as_ref().and_then(|id| self.coverage.number(id));
        let number = |name: &Option<String>| name.as_ref().and_then(|name| self.index.known(name));
        place.numbers = [&place.interface, &place.zone, &place.subnet].map(number);
        let interface = place.interface.as_ref().is_some_and(|id| self.broken_interfaces.contains(id));
        place.inconsistent =
            interface || place.zone.as_ref().is_some_and(|zone| self.broken_acls.contains(zone));
        // The rule that is not known may be of any of them: it is this interface's only if all are.
        place.groups_refuted = place.rules.as_ref().is_some_and(|rules| {
            let carried = &rules.interface.group_ids;
            let has_all = |groups: &Vec<String>| groups.iter().all(|id| carried.contains(id));
            self.refuted_groups.iter().any(has_all)
        });
    }

    /// The record of a row with its direction.
    pub(super) fn record<'a>(&self, columns: &'a Columns, row: usize, place: &Place) -> Record<'a> {
        let mut record = columns.record(row, |field| self.rejects.reasons.in_format(columns, row, field));
        if record.interface_id.is_some() {
            record.direction = place.direction(columns, row);
            record.alias = record.direction.and_then(|direction| place.alias(columns, row, direction));
        }
        record
    }

    /// Judges a record; `steady` is whether nothing changes around it.
    pub(super) fn attribute(
        &self,
        record: &Record<'_>,
        place: &Place,
        engine: &mut Option<Engine<'_>>,
        steady: bool,
    ) -> (Attribution, Evidence) {
        if !record.has_time {
            let evidence = Evidence::default();
            return (decide(record, None, &evidence), evidence);
        }
        let reach = reach(record, place.rules.as_deref());
        let mut evidence = self.index.evidence_at(record, place.numbers, place.neighbours());
        if let Some(interface) = place.covered {
            EvidenceIndex::tell_coverage(&self.coverage, interface, record, reach, &mut evidence);
        }
        evidence.inconsistent = place.inconsistent;
        evidence.groups_refuted = place.groups_refuted;
        let found = match engine.as_mut() {
            Some(engine) if steady => decide_by(record, engine, place.rules.as_ref(), &evidence),
            engine => decide(record, engine, &evidence),
        };
        (found, evidence)
    }
}

/// What a reader of all records needs: the configuration, own addresses, what is wanted, and where to leave it.
pub(super) type Reader = (Option<Arc<Network>>, Arc<OwnAddresses>, Wanted, Arc<Mutex<Filling>>);

/// Looks at all records of a partition: what bears on REJECTs goes to the index.
async fn observe(
    mut stream: SendableRecordBatchStream,
    (network, own, wanted, filling): Reader,
) -> Result<Found> {
    let mut observer = Observer::new(network.as_deref().map(Engine::new), own, wanted, filling);
    while let Some(batch) = stream.next().await {
        observer.all(&batch?)?;
        observer.settle();
        if observer.is_refused() {
            break;
        }
    }
    Ok(observer.finish())
}
