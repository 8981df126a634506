//! The ingest job: find objects, read those that are new, put their rows into the store, account for every line.
//!
//! Work goes in batches. Within a batch the workers take objects from one list, each with its own builders; complete row
//! groups go to Parquet files that the workers share; then everything is committed at once. Nothing of a batch that was
//! interrupted is visible, and running the same command again completes it. What a line means is `parse`'s and
//! `format`'s; how a commit is made safe is `store`'s.

pub mod outcome;
pub mod output;
pub mod plan;
pub mod progress;
mod quarantine;
pub mod rows;
pub mod summary;
pub mod team;
pub mod work;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::source::decode::{DecodeOptions, Decoder, Opening};
use crate::source::{Identity, Limits, Scratch, locate};
use crate::store::{Batch, FileStats, Ledger, LedgerEntry, Status, Store, StoreError, StoreLock};

use outcome::{FileOutcome, Outcome};
use output::{Output, OutputError};
use plan::{Item, Listed, Met, Plan, Verdict, turns};
use progress::{Counters, Meter};
use summary::Summary;
use team::{Help, Team};
use work::{Sink, Tally, WorkError, Worker};

/// What to ingest and how.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Files, folders, globs, or `-`.
    pub inputs: Vec<String>,
    /// The store's folder.
    pub store: PathBuf,
    /// How objects are decoded.
    pub decode: DecodeOptions,
    /// A file with a refused line is not stored.
    pub strict: bool,
    /// Recognise and count, store nothing.
    pub dry_run: bool,
    /// How many workers.
    pub threads: usize,
}

/// Why an ingest stopped. What had been committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Writing rows.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A worker could not be started.
    #[error("cannot start {0} workers: {1} (try fewer --threads)")]
    Threads(usize, rayon::ThreadPoolBuildError),
    /// The compressor.
    #[error("cannot prepare to compress: {0}")]
    Compressor(io::Error),
    /// Bookkeeping rows.
    #[error("cannot build the quarantine rows: {0}")]
    Quarantine(#[from] arrow::error::ArrowError),
    /// The user.
    #[error("interrupted; what had been committed is kept, and the same command goes on from there")]
    Interrupted,
}

/// What watches a job from outside.
#[derive(Debug, Default)]
pub struct Watch {
    /// How far the job has come.
    pub counters: Counters,
    /// Set it to stop the job.
    pub cancel: AtomicBool,
    /// Set while another ingest holds the store.
    pub waiting: AtomicBool,
}

/// So much is committed at a time: an interruption loses at most this much work.
const BATCH_BYTES: u64 = 8 << 30;
const BATCH_FILES: usize = 20_000;

/// Files beyond this size are hashed before they are read, since their hash would come too late otherwise.
fn streamed(item: &Item) -> bool {
    item.located.size > Limits::default().whole_file as u64
}

/// Runs the job.
pub fn ingest(options: &IngestOptions, watch: &Watch) -> Result<Summary, IngestError> {
    let begun = Instant::now();
    let found = locate(&options.inputs, Some(&options.store));
    let mut summary = Summary::new(options, &found);
    let store = if options.dry_run {
        match Store::open(&options.store) {
            Ok(store) => Some(store),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        }
    } else if found.objects.is_empty() {
        None
    } else {
        Some(Store::open_or_create(&options.store)?)
    };
    let lock = match &store {
        Some(store) if !options.dry_run => {
            let lock = store.lock(&mut || watch.waiting.store(true, Ordering::Relaxed))?;
            watch.waiting.store(false, Ordering::Relaxed);
            Some(lock)
        }
        _ => None,
    };
    let mut ledger = store.as_ref().map(Store::ledger).transpose()?;
    let log_format = options.decode.log_format();
    let plan = Plan::new(found.objects, ledger.as_ref(), log_format.as_deref());
    summary.planned(&plan);
    watch.counters.files_planned.store(plan.items.len() as u64, Ordering::Relaxed);
    let bytes = plan.items.iter().map(|item| item.located.size).sum();
    watch.counters.bytes_planned.store(bytes, Ordering::Relaxed);

    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.max(1))
        .build()
        .map_err(|error| IngestError::Threads(options.threads, error))?;
    let met = Met::default();
    for items in batches(&plan.items) {
        met.begin_batch();
        let (ledger_before, carried) = (ledger.as_ref(), &plan.carried);
        let job = Job { options, watch, ledger: ledger_before, met: &met, items, carried, pool: &pool };
        match (&store, &lock) {
            (Some(store), Some(lock)) => {
                let shorter = std::mem::take(&mut summary.shorter_entries);
                job.store_batch(store, lock, shorter, &mut summary)?;
                ledger = Some(store.ledger()?);
            }
            _ => job.count_batch(&mut summary)?,
        }
    }
    summary.finish(begun.elapsed());
    Ok(summary)
}

fn batches(items: &[Item]) -> Vec<&[Item]> {
    let mut batches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        bytes += item.located.size;
        if bytes >= BATCH_BYTES || at + 1 - from >= BATCH_FILES {
            batches.extend(items.get(from..at + 1));
            (from, bytes) = (at + 1, 0);
        }
    }
    batches.extend(items.get(from..).filter(|rest| !rest.is_empty()));
    batches
}

/// One batch of objects.
struct Job<'a> {
    options: &'a IngestOptions,
    watch: &'a Watch,
    ledger: Option<&'a Ledger>,
    met: &'a Met,
    items: &'a [Item],
    /// Paths that have been counted as unchanged and whose rows other objects carry.
    carried: &'a HashSet<String>,
    pool: &'a rayon::ThreadPool,
}

/// What came of the objects of a batch.
struct Taken {
    outcomes: Vec<FileOutcome>,
    /// Paths whose earlier rows go.
    leaving: HashSet<String>,
}

impl Job<'_> {
    fn store_batch(
        &self,
        store: &Store,
        lock: &StoreLock,
        shorter: Vec<LedgerEntry>,
        summary: &mut Summary,
    ) -> Result<(), IngestError> {
        let batch = Mutex::new(store.begin(lock)?);
        let new_path = |group: &rows::Group| {
            let batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.data_path(group.kind.table(), group.date).map_err(io::Error::other)
        };
        let output = Output::new(&new_path);
        let Taken { outcomes, leaving } = self.run_all(|| Sink::Store(&output))?;
        let written = output.finish()?;
        if self.watch.cancel.load(Ordering::Relaxed) {
            for file in &written {
                // What is left behind would be cleared away by the next ingest.
                let _ = std::fs::remove_file(&file.path);
            }
            return Err(IngestError::Interrupted);
        }
        let mut batch = batch.into_inner().unwrap_or_else(PoisonError::into_inner);
        for file in written {
            let stats = FileStats::from_parquet_footer(&file.metadata);
            let size = std::fs::metadata(&file.path)
                .map_err(|source| OutputError::Io { path: file.path.clone(), source })?
                .len();
            summary.stored_bytes += size;
            batch.add_file(file.group.kind.table(), file.group.date, file.path, stats);
        }
        self.account(&mut batch, &outcomes, leaving, shorter)?;
        batch.commit()?;
        outcomes.into_iter().for_each(|outcome| summary.add(outcome));
        Ok(())
    }

    fn account(
        &self,
        batch: &mut Batch,
        outcomes: &[FileOutcome],
        leaving: HashSet<String>,
        shorter: Vec<LedgerEntry>,
    ) -> Result<(), IngestError> {
        let mut entries = shorter;
        for outcome in outcomes {
            // Of a file that is not stored, nothing is: its refused lines are in the summary only.
            if let Outcome::Stored { replaces, .. } = &outcome.outcome {
                entries.extend(replaces.iter().filter_map(|path| self.now_a_copy(path, outcome)));
            }
            entries.extend(outcome.entry.clone());
            let Outcome::Stored { .. } = &outcome.outcome else { continue };
            for refused in outcome.tally.refused.chunks(8192) {
                batch.add_rows("quarantine", quarantine::rows(&outcome.path, refused)?);
            }
        }
        if !leaving.is_empty() {
            batch.replace_sources(leaving);
        }
        batch.record(entries);
        Ok(())
    }

    /// The new entry of a path that has given its rows to another one with the same content.
    fn now_a_copy(&self, path: &str, of: &FileOutcome) -> Option<LedgerEntry> {
        let known = self.ledger?.by_path(path).filter(|known| known.path != of.path)?;
        let carrier = of.entry.as_ref()?;
        let same = known.hash.is_some() && (known.hash, known.size) == (carrier.hash, carrier.size);
        same.then(|| LedgerEntry {
            status: Status::Duplicate,
            duplicate_of: Some(of.path.clone()),
            ..known.clone()
        })
    }

    fn count_batch(&self, summary: &mut Summary) -> Result<(), IngestError> {
        let Taken { outcomes, .. } = self.run_all(|| Sink::Count)?;
        if self.watch.cancel.load(Ordering::Relaxed) {
            return Err(IngestError::Interrupted);
        }
        outcomes.into_iter().for_each(|outcome| summary.add(outcome));
        Ok(())
    }

    /// Takes all objects of the batch, and then the copies whose rows go with an object that turned out to hold something
    /// else now: they are stored in the same commit that removes these rows.
    fn run_all<'s>(&self, sink: impl Fn() -> Sink<'s> + Sync) -> Result<Taken, IngestError> {
        let mut taken = Taken { outcomes: self.run(self.items, &sink)?, leaving: HashSet::new() };
        while !self.watch.cancel.load(Ordering::Relaxed) {
            let lost = self.lost(&mut taken);
            if lost.is_empty() {
                break;
            }
            taken.outcomes.extend(self.run(&lost, &sink)?);
        }
        Ok(taken)
    }

    /// The objects that are known as copies of content that leaves the store with what has been taken so far. Those that
    /// have been taken as such copies are taken out of the outcomes.
    fn lost(&self, taken: &mut Taken) -> Vec<Item> {
        let Taken { outcomes, leaving } = taken;
        let Some(ledger) = self.ledger else { return Vec::new() };
        let mut contents = HashSet::new();
        for path in outcomes.iter().flat_map(FileOutcome::leaving) {
            leaving.insert(path.clone());
            if self.met.lose(path)
                && let Some(known) = ledger.by_path(path).filter(|known| known.status == Status::Stored)
            {
                contents.extend(known.hash.map(|hash| (hash, known.size)));
            }
        }
        if contents.is_empty() {
            return Vec::new();
        }
        let mut objects = HashSet::new();
        for outcome in outcomes.iter().filter(|outcome| matches!(outcome.outcome, Outcome::Stored { .. })) {
            let Some(entry) = &outcome.entry else { continue };
            contents.remove(&(entry.hash.unwrap_or_default(), entry.size));
            objects.extend(entry.object_id.clone());
        }
        // Which of two copies of one object is the fuller one is for the next run to say, when both are in the ledger.
        let of_other_objects =
            |entry: &LedgerEntry| entry.object_id.as_ref().is_none_or(|id| !objects.contains(id));
        let is_lost = |entry: &LedgerEntry| {
            entry.status == Status::Duplicate
                && entry.hash.is_some_and(|hash| contents.contains(&(hash, entry.size)))
                && of_other_objects(entry)
        };
        let mut again: HashMap<String, Option<String>> = HashMap::new();
        outcomes.retain(|outcome| match &outcome.entry {
            Some(entry) if is_lost(entry) => {
                again.insert(outcome.path.clone(), entry.duplicate_of.clone());
                false
            }
            _ => true,
        });
        let carried_by =
            |item: &Item| again.get(&item.path).map(|of| Item { carried_by: of.clone(), ..item.clone() });
        let mut lost: Vec<Item> = self.items.iter().filter_map(carried_by).collect();
        let seen: HashSet<&str> = outcomes.iter().map(|outcome| outcome.path.as_str()).collect();
        let known = ledger.iter().filter(|entry| is_lost(entry));
        let known = known.filter(|e| !seen.contains(e.path.as_str()) && !again.contains_key(&e.path));
        lost.extend(known.filter_map(|entry| {
            let counted = self.carried.contains(&entry.path);
            Item::of_lost(entry, if counted { Listed::Unchanged } else { Listed::Nowhere })
        }));
        lost
    }

    /// Lets the workers take the items, in order. Copies of one object are taken one after the other, so that the rows
    /// always carry the same path of several, whatever the threads do.
    fn run<'s>(
        &self,
        items: &[Item],
        sink: &(impl Fn() -> Sink<'s> + Sync),
    ) -> Result<Vec<FileOutcome>, IngestError> {
        let next = AtomicUsize::new(0);
        let turns = turns(items);
        let outcomes = Mutex::new(Vec::with_capacity(items.len()));
        let failed: Mutex<Option<IngestError>> = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let team = Team::default();
        let threads = self.options.threads.max(1);
        let mut begun: Vec<_> = (0..threads).map(|_| team.begin()).collect();
        let work = |working| -> Result<(), IngestError> {
            let working = working;
            let worker = Worker::new(sink(), &self.watch.counters).map_err(IngestError::Compressor)?;
            let mut worker = worker.one_of(threads);
            let mut scratch = Scratch::new();
            while !stop.load(Ordering::Relaxed) && !self.watch.cancel.load(Ordering::Relaxed) {
                let Some(turn) = turns.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                for (at, item) in turn.iter().filter_map(|at| Some((*at, items.get(*at)?))) {
                    let passes = 1 + u64::from(streamed(item)) + u64::from(self.options.strict);
                    let meter = Arc::new(Meter::new(&self.watch.counters, item.located.size, passes));
                    let outcome = self.take(item, &mut worker, &mut scratch, &team, &meter)?;
                    meter.finish();
                    self.watch.counters.files.fetch_add(1, Ordering::Relaxed);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((at, outcome));
                }
            }
            drop(scratch);
            drop(working);
            while !stop.load(Ordering::Relaxed)
                && let Some(help) = team.next()
            {
                self.help(help, &mut worker)?;
            }
            worker.finish()?;
            Ok(())
        };
        let work = &work;
        let (stop, failed) = (&stop, &failed);
        self.pool.scope(|scope| {
            for working in begun.drain(..) {
                scope.spawn(move |_| {
                    if let Err(error) = work(working) {
                        stop.store(true, Ordering::Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(at, _)| *at);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Takes one object. Only a failure of the store is an error; a bad object is an outcome.
    fn take<'m>(
        &self,
        item: &Item,
        worker: &mut Worker<'_>,
        scratch: &mut Scratch,
        team: &Team<'m>,
        meter: &Arc<Meter<'m>>,
    ) -> Result<FileOutcome, IngestError> {
        let mut outcome = FileOutcome::new(item);
        let read = |bytes| meter.read(bytes);
        let hash = || Identity::of_file_while(item.located.file(), &read).ok();
        let early = if streamed(item) { hash() } else { None };
        let mut opening = match Decoder::open(&item.located, &self.options.decode, scratch) {
            Ok(Opening::Log(decoder)) => decoder,
            Ok(Opening::Skip(skip)) => return Ok(outcome.skipped(skip)),
            Err(error) => return Ok(outcome.failed(error.to_string())),
        };
        let identity = early.or_else(|| opening.identity());
        let given = !self.options.decode.layouts.is_empty();
        let log_format = opening.log_format().map(str::to_owned);
        let verdict = match identity {
            Some(identity) => {
                let given = log_format.as_deref().filter(|_| given);
                self.met.decide(item, identity, given, self.ledger)
            }
            None => Verdict::New,
        };
        outcome.kind = Some(opening.kind());
        outcome.log_format = log_format;
        let known = self.ledger.and_then(|ledger| ledger.by_path(&item.path));
        outcome.had_rows = known.is_some_and(|known| known.status == Status::Stored);
        let replaces = match verdict {
            Verdict::New => Vec::new(),
            Verdict::Replace(paths) => paths,
            Verdict::ReadAgain(paths) => {
                outcome.read_again = true;
                paths
            }
            Verdict::Unchanged => return Ok(outcome.unchanged(item, identity)),
            Verdict::Duplicate(of) => return Ok(outcome.duplicate(item, identity, of)),
            Verdict::Shorter(of) => return Ok(outcome.shorter(item, identity, of)),
        };
        let cancelled = || self.watch.cancel.load(Ordering::Relaxed);
        if self.options.strict {
            // Its rows count when they are stored.
            let counters = Counters::default();
            let mut checker = Worker::new(Sink::Count, &counters).map_err(IngestError::Compressor)?;
            let checked = checker.take(&mut opening, &item.path, &mut outcome.tally, &read, &cancelled);
            if let Err(WorkError::Decode(error)) = checked {
                return Ok(outcome.failed(error.to_string()));
            }
            if !outcome.tally.refused.is_empty() {
                outcome.report = opening.report();
                return Ok(outcome.refused());
            }
            drop(opening);
            outcome.tally = Tally::default();
            opening = match Decoder::open(&item.located, &self.options.decode, scratch) {
                Ok(Opening::Log(decoder)) => decoder,
                Ok(Opening::Skip(skip)) => return Ok(outcome.skipped(skip)),
                Err(error) => return Ok(outcome.failed(error.to_string())),
            };
        }
        let text = if self.options.threads > 1 { opening.share() } else { None };
        let shared = text.map(|text| team.offer(&item.located, &item.path, text, Arc::clone(meter)));
        let taken = worker.take(&mut opening, &item.path, &mut outcome.tally, &read, &cancelled);
        outcome.report = opening.report();
        let mut problem = match taken {
            Ok(()) => None,
            Err(WorkError::Output(error)) => return Err(error.into()),
            Err(WorkError::Decode(error)) => Some(error.to_string()),
        };
        if let Some(shared) = shared {
            let helped = team.gather(&shared);
            outcome.tally.merge(helped.tally);
            outcome.report.merge(&helped.report);
            outcome.report.ending = opening.report().ending;
            problem = problem.or(helped.problem);
        }
        let identity = identity.or_else(|| opening.identity());
        Ok(outcome.stored(item, identity, replaces, problem))
    }

    /// Takes blocks of an object that another worker has opened. Only a failure of the store is an error.
    fn help(&self, help: Help<'_, '_>, worker: &mut Worker<'_>) -> Result<(), IngestError> {
        let shared = &help.shared;
        let mut decoder = Decoder::of_shared(Arc::clone(&shared.text), &shared.located, &self.options.decode);
        let mut tally = Tally::default();
        let read = |bytes| shared.meter.read(bytes);
        let cancelled = || self.watch.cancel.load(Ordering::Relaxed);
        let problem = match worker.take(&mut decoder, &shared.path, &mut tally, &read, &cancelled) {
            Ok(()) => None,
            Err(WorkError::Output(error)) => return Err(error.into()),
            Err(WorkError::Decode(error)) => Some(error.to_string()),
        };
        help.done(&decoder, tally, problem);
        Ok(())
    }
}
