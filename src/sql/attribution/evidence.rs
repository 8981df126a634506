//! The passes that read the logs before any REJECT is judged, and what they leave behind.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::columns::Columns;
use crate::attribute::{
    Action, Attribution, Evidence, EvidenceIndex, OwnAddresses, Record, accept_contradicts, by_configuration,
    decide, reach,
};
use crate::network::{Network, View};
use crate::rules::{Decision, Engine, InterfaceRules};

/// The reads of `flow_logs` that come first.
#[derive(Debug, Clone)]
pub(super) struct Passes {
    /// Addresses of records without a direction.
    pub(super) addresses: Arc<dyn ExecutionPlan>,
    /// The REJECTs that may be asked for.
    pub(super) wanted: Arc<dyn ExecutionPlan>,
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
}

/// What of the logs is there, for one VPC, or account where the VPC is not known: flow logs are switched on for those.
#[derive(Debug, Clone, Copy)]
struct Coverage {
    first: i64,
    accepts: bool,
}

/// All that judging a REJECT needs beside the record.
#[derive(Debug)]
pub(super) struct Prepared {
    network: Option<Arc<Network>>,
    own: OwnAddresses,
    index: EvidenceIndex,
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

/// A record's surroundings.
struct Place<'a> {
    zone: Option<&'a str>,
    subnet: Option<&'a str>,
    scope: &'a str,
}

impl<'a> Place<'a> {
    fn new(
        columns: &'a Columns,
        row: usize,
        record: &Record<'a>,
        rules: Option<&'a InterfaceRules>,
    ) -> Place<'a> {
        let subnet = rules.and_then(|rules| rules.interface.subnet_id.as_deref()).or(record.subnet_id);
        let acl = rules.and_then(|rules| rules.acl.as_ref()).map(|acl| acl.acl.id.as_str());
        let vpc = rules.and_then(|rules| rules.interface.vpc_id.as_deref()).or(columns.vpc(row));
        let scope = vpc.or(columns.account(row)).or(record.interface_id).unwrap_or_default();
        Place { zone: acl.or(subnet), subnet, scope }
    }
}

/// The rules of a record's interface at its time.
fn rules_of(engine: &mut Option<Engine<'_>>, record: &Record<'_>) -> Option<Arc<InterfaceRules>> {
    let (engine, id) = (engine.as_mut()?, record.interface_id?);
    let view = match engine.network().only_view(record.start, record.end) {
        Some(view) => view,
        None => View { at: record.start, after: false },
    };
    engine.interface(id, view)
}

fn find_direction(record: &mut Record<'_>, rules: Option<&InterfaceRules>, own: &OwnAddresses) {
    if record.direction.is_some() {
        return;
    }
    let (Some(id), Some(src), Some(dst)) = (record.interface_id, record.src, record.dst) else { return };
    record.direction = match rules {
        Some(rules) => by_configuration(&rules.interface, src, dst),
        None => own.direction(id, src, dst),
    };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a task over each partition of a plan, side by side.
async fn over_partitions<T, F>(
    plan: &Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    work: impl Fn(datafusion::execution::SendableRecordBatchStream) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut running = tokio::task::JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        running.spawn(work(plan.execute(partition, Arc::clone(task))?));
    }
    let mut done = Vec::new();
    while let Some(joined) = running.join_next().await {
        done.push(joined.map_err(|error| DataFusionError::External(Box::new(error)))??);
    }
    Ok(done)
}

impl Prepared {
    pub(super) async fn new(
        passes: &Passes,
        network: Option<Arc<Network>>,
        task: &Arc<TaskContext>,
    ) -> Result<Prepared> {
        let memory = MemoryConsumer::new("reject_attribution").register(task.memory_pool());
        let own = Arc::new(own_addresses(&passes.addresses, &network, task).await?);
        let (index, reason_versions) = wanted(&passes.wanted, &network, &own, task).await?;
        memory.try_grow(index.memory())?;
        let index = Arc::new(RwLock::new(index));
        let found = over_partitions(&passes.all, task, |stream| {
            Observer {
                network: network.clone(),
                own: Arc::clone(&own),
                index: Arc::clone(&index),
                found: Found::default(),
            }
            .run(stream)
        })
        .await?;
        let mut all = Found::default();
        found.into_iter().for_each(|found| all.merge(found));
        let mut index = Arc::into_inner(index)
            .ok_or_else(|| DataFusionError::Internal("the evidence is still being read".to_owned()))?
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        index.finish();
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
            own: Arc::into_inner(own).unwrap_or_default(),
            index,
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

    /// The record of a row with its direction.
    pub(super) fn record<'a>(
        &self,
        columns: &'a Columns,
        row: usize,
        engine: &mut Option<Engine<'_>>,
    ) -> (Option<Record<'a>>, Option<Arc<InterfaceRules>>) {
        let Some(mut record) =
            columns.record(row, |version| self.reason_versions.contains(&version) || version == 8)
        else {
            return (None, None);
        };
        let rules = rules_of(engine, &record);
        find_direction(&mut record, rules.as_deref(), &self.own);
        (Some(record), rules)
    }

    /// Judges a record.
    pub(super) fn attribute(
        &self,
        columns: &Columns,
        row: usize,
        record: &Record<'_>,
        rules: Option<&InterfaceRules>,
        engine: &mut Option<Engine<'_>>,
    ) -> (Attribution, Evidence) {
        let place = Place::new(columns, row, record, rules);
        let reach = reach(record, rules);
        let mut evidence = self.index.evidence(record, place.zone, place.subnet, reach);
        // Other VPCs and accounts may be logged for longer, or in full where this one is not.
        match self.coverage.get(place.scope) {
            Some(coverage) => {
                let back = record.start.saturating_sub(coverage.first).max(0);
                evidence.covered_back = evidence.covered_back.min(back);
                evidence.complete &= coverage.accepts && evidence.covered_back >= reach;
            }
            None => evidence.complete = false,
        }
        let interface = record.interface_id.is_some_and(|id| self.broken_interfaces.contains(id));
        evidence.inconsistent = interface || place.zone.is_some_and(|zone| self.broken_acls.contains(zone));
        (decide(record, engine.as_mut(), &evidence), evidence)
    }
}

/// Pass 1.
async fn own_addresses(
    plan: &Arc<dyn ExecutionPlan>,
    network: &Option<Arc<Network>>,
    task: &Arc<TaskContext>,
) -> Result<OwnAddresses> {
    let parts = over_partitions(plan, task, |mut stream| {
        let network = network.clone();
        async move {
            let mut own = OwnAddresses::default();
            // Texts of addresses that are settled: a record that holds one changes nothing.
            let mut settled: HashMap<String, [Option<String>; 2]> = HashMap::new();
            while let Some(batch) = stream.next().await {
                let columns = Columns::new(&batch?)?;
                for row in 0..columns.rows() {
                    let (Some(id), Some((src, dst))) = (columns.interface(row), columns.address_texts(row))
                    else {
                        continue;
                    };
                    let slot = usize::from(src.contains(':'));
                    let known = settled.get(id).and_then(|texts| texts.get(slot)).and_then(Option::as_deref);
                    if known.is_some_and(|known| known == src || known == dst) {
                        continue;
                    }
                    // The direction at interfaces of the configuration follows from their addresses there.
                    if network.as_ref().is_some_and(|network| network.interfaces.timeline(id).is_some()) {
                        continue;
                    }
                    let parse = crate::net::parse_ip_str;
                    let (Some(src_addr), Some(dst_addr)) = (parse(src), parse(dst)) else { continue };
                    own.observe(id, src_addr, dst_addr);
                    let common = own.own(id, crate::net::Family::of(&src_addr));
                    let text = match common {
                        Some(common) if common == src_addr => Some(src.to_owned()),
                        Some(common) if common == dst_addr => Some(dst.to_owned()),
                        _ => None,
                    };
                    if let Some(place) = settled.entry(id.to_owned()).or_default().get_mut(slot) {
                        *place = text;
                    }
                }
            }
            Ok(own)
        }
    })
    .await?;
    let mut own = OwnAddresses::default();
    parts.into_iter().for_each(|part| own.merge(part));
    Ok(own)
}

/// Pass 2: what is wanted, and for which format versions a reason was named.
async fn wanted(
    plan: &Arc<dyn ExecutionPlan>,
    network: &Option<Arc<Network>>,
    own: &Arc<OwnAddresses>,
    task: &Arc<TaskContext>,
) -> Result<(EvidenceIndex, HashSet<i32>)> {
    let shared = Arc::new(Mutex::new((EvidenceIndex::new(), HashSet::new())));
    over_partitions(plan, task, |mut stream| {
        let (network, own, shared) = (network.clone(), Arc::clone(own), Arc::clone(&shared));
        async move {
            let mut engine = network.as_deref().map(Engine::new);
            while let Some(batch) = stream.next().await {
                let columns = Columns::new(&batch?)?;
                let mut versions = HashSet::new();
                let mut rows = Vec::with_capacity(columns.rows());
                for row in 0..columns.rows() {
                    if columns.reject_reason(row).is_some() {
                        versions.extend(columns.version(row));
                    }
                    let Some(mut record) = columns.record(row, |_| false) else { continue };
                    let rules = rules_of(&mut engine, &record);
                    find_direction(&mut record, rules.as_deref(), &own);
                    rows.push((row, record, rules));
                }
                let mut shared = lock(&shared);
                shared.1.extend(versions);
                for (row, record, rules) in &rows {
                    let place = Place::new(&columns, *row, record, rules.as_deref());
                    shared.0.want(record, place.zone);
                }
            }
            Ok(())
        }
    })
    .await?;
    let shared = Arc::into_inner(shared)
        .ok_or_else(|| DataFusionError::Internal("the rejected records are still being read".to_owned()))?;
    Ok(shared.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What one reader of pass 3 found beside the evidence.
#[derive(Default)]
struct Found {
    coverage: HashMap<String, Coverage>,
    consistency: HashMap<(String, Option<String>), Consistency>,
    accepts: u64,
}

impl Found {
    fn merge(&mut self, other: Found) {
        for (scope, theirs) in other.coverage {
            let ours = self.coverage.entry(scope).or_insert(theirs);
            ours.first = ours.first.min(theirs.first);
            ours.accepts |= theirs.accepts;
        }
        for (key, theirs) in other.consistency {
            let ours = self.consistency.entry(key).or_default();
            ours.checked += theirs.checked;
            ours.against_acl += theirs.against_acl;
            ours.against_groups += theirs.against_groups;
        }
        self.accepts += other.accepts;
    }

    fn cover(&mut self, scope: &str, record: &Record<'_>) {
        let accepts = record.action == Action::Accept;
        match self.coverage.get_mut(scope) {
            Some(known) => {
                known.first = known.first.min(record.start);
                known.accepts |= accepts;
            }
            None => {
                self.coverage.insert(scope.to_owned(), Coverage { first: record.start, accepts });
            }
        }
    }

    /// Spec 8.10 for one ACCEPT.
    fn check(&mut self, record: &Record<'_>, rules: &InterfaceRules, engine: &mut Engine<'_>) {
        let Some(contradicts) = accept_contradicts(record, engine) else { return };
        let acl = rules.acl.as_ref().map(|acl| acl.acl.id.clone());
        let key = (rules.interface.id.clone(), acl);
        let counts = self.consistency.entry(key).or_default();
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
}

/// Pass 3 over one partition.
struct Observer {
    network: Option<Arc<Network>>,
    own: Arc<OwnAddresses>,
    index: Arc<RwLock<EvidenceIndex>>,
    found: Found,
}

impl Observer {
    async fn run(mut self, mut stream: datafusion::execution::SendableRecordBatchStream) -> Result<Found> {
        let network = self.network.clone();
        let mut engine = network.as_deref().map(Engine::new);
        let mut least_start = i64::MAX;
        let mut accept_seen = false;
        let mut addresses: HashMap<String, HashSet<IpAddr>> = HashMap::new();
        while let Some(batch) = stream.next().await {
            let columns = Columns::new(&batch?)?;
            let mut kept: Vec<(usize, Record<'_>, Option<Arc<InterfaceRules>>)> = Vec::new();
            let mut missing: Vec<(&str, i64, i64)> = Vec::new();
            {
                let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
                for row in 0..columns.rows() {
                    let Some(mut record) = columns.record(row, |_| false) else { continue };
                    let rules = rules_of(&mut engine, &record);
                    let place = Place::new(&columns, row, &record, rules.as_deref());
                    self.found.cover(place.scope, &record);
                    if !record.log_status_ok {
                        if columns.log_status(row) == Some("SKIPDATA") {
                            missing.extend(record.interface_id.map(|id| (id, record.start, record.end)));
                        }
                        continue;
                    }
                    find_direction(&mut record, rules.as_deref(), &self.own);
                    let is_accept = record.action == Action::Accept;
                    let local = record.direction.and_then(|direction| record.local(direction));
                    let new_address = place.subnet.zip(local).is_some_and(|(subnet, local)| match addresses
                        .get_mut(subnet)
                    {
                        Some(known) => known.insert(local),
                        None => addresses.entry(subnet.to_owned()).or_default().insert(local),
                    });
                    // The index learns when the logs begin and whether they hold ACCEPTs from the first of each.
                    let first = record.start < least_start || (is_accept && !accept_seen);
                    least_start = least_start.min(record.start);
                    accept_seen |= is_accept && record.direction.is_some();
                    if is_accept {
                        self.found.accepts += 1;
                        if let (Some(rules), Some(engine)) = (&rules, &mut engine) {
                            self.found.check(&record, rules, engine);
                        }
                    }
                    if first || new_address || (is_accept && index.asks_for(&record, place.zone)) {
                        kept.push((row, record, rules));
                    }
                }
            }
            if kept.is_empty() && missing.is_empty() {
                continue;
            }
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            for (row, record, rules) in &kept {
                let place = Place::new(&columns, *row, record, rules.as_deref());
                index.observe(record, place.zone, place.subnet);
            }
            missing.into_iter().for_each(|(id, start, end)| index.missing(id, start, end));
        }
        Ok(self.found)
    }
}
