//! All the conversations of the logs, put together from what several threads gathered, and worked on by several.

use super::conversation::{Conversation, Part};
use super::gather::{Counts, Gatherer};
use super::plan::Plan;
use super::presence::Presence;
use super::settle::{OpenPart, Services, note_services, settle};
use super::spill::{Merged, Run, Sorted, settle_order};
use super::stray::Strays;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use std::io;
use std::sync::Arc;

/// All conversations, in an order of their own.
#[derive(Debug)]
pub struct Traffic {
    plan: Arc<Plan>,
    /// In order; empty where they are in `runs`.
    parts: Vec<Part>,
    runs: Vec<Run<Part>>,
    presence: Presence,
    counts: Counts,
    strays: Strays,
}

/// So many parts are read back from disk and worked on at a time.
const BATCH: usize = 1 << 18;

impl Traffic {
    /// Puts together what several threads gathered. Which of them saw a record does not matter.
    ///
    /// # Errors
    /// Those of temporary files, where there were too many conversations for memory.
    pub fn new(plan: Arc<Plan>, gathered: Vec<Gatherer>) -> io::Result<Traffic> {
        let spilled = gathered.iter().any(|one| !one.runs.is_empty() || !one.open_runs.is_empty());
        let mut parts: Vec<Part> = Vec::new();
        let mut runs = Vec::new();
        let mut services = Services::default();
        let mut open: Vec<OpenPart> = Vec::new();
        let mut open_runs = Vec::new();
        let mut presence = Presence::default();
        let mut counts = Counts::default();
        let mut strays = Strays::default();
        for mut one in gathered {
            if spilled {
                one.spill()?;
            }
            parts.append(&mut one.take_known());
            open.append(&mut one.take_open());
            runs.append(&mut one.runs);
            open_runs.append(&mut one.open_runs);
            services.iter_mut().zip(one.services).for_each(|(ours, theirs)| ours.extend(theirs));
            presence.merge(one.presence);
            strays.merge(one.strays);
            counts.records = counts.records.saturating_add(one.counts.records);
            counts.outside = counts.outside.saturating_add(one.counts.outside);
            counts.undirected = counts.undirected.saturating_add(one.counts.undirected);
            counts.skipped = counts.skipped.saturating_add(one.counts.skipped);
            counts.undated = counts.undated.saturating_add(one.counts.undated);
        }
        let open = match spilled {
            true => Sorted::Runs(open_runs),
            false => {
                settle_order(&mut open);
                Sorted::Held(open)
            }
        };
        if !open.is_empty() {
            note_services(&mut services, &parts);
            settle(&plan, &open, &services, |part| {
                parts.push(part);
                if spilled && parts.len() >= BATCH {
                    settle_order(&mut parts);
                    runs.push(Run::write(&parts)?);
                    parts.clear();
                }
                Ok(())
            })?;
        }
        settle_order(&mut parts);
        if spilled {
            runs.push(Run::write(&parts)?);
            parts = Vec::new();
        }
        Ok(Traffic { plan, parts, runs, presence, counts, strays })
    }

    /// What it was gathered for.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// When which interface was seen.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Accepted traffic of interfaces that the configuration lacks.
    pub(super) fn strays(&self) -> &Strays {
        &self.strays
    }

    /// What was read.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Works on all conversations with as many threads as there are processors, each with a state of its own.
    pub(super) fn each<S: Send>(
        &self,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, Conversation<'_>) + Sync,
    ) -> io::Result<Vec<S>> {
        let threads = rayon::current_num_threads().max(1);
        let mut states: Vec<S> = (0..threads).map(|_| new()).collect();
        let mut work_on = |parts: &[Part]| {
            let shards = shards(parts, threads);
            states.par_iter_mut().zip(shards).for_each(|(state, shard)| {
                conversations_of(shard).for_each(|conversation| work(state, conversation));
            });
        };
        if self.runs.is_empty() {
            work_on(&self.parts);
            return Ok(states);
        }
        let mut merged = Merged::new(&self.runs)?;
        let mut batch: Vec<Part> = Vec::with_capacity(BATCH);
        while let Some(part) = merged.next()? {
            // No conversation is cut in two.
            if batch.len() >= BATCH && batch.last().is_some_and(|last| last.key != part.key) {
                work_on(&batch);
                batch.clear();
            }
            batch.push(part);
        }
        work_on(&batch);
        Ok(states)
    }

    /// Every conversation.
    #[cfg(test)]
    pub(super) fn conversations(&self) -> impl Iterator<Item = Conversation<'_>> {
        assert!(self.runs.is_empty());
        conversations_of(&self.parts)
    }
}

/// At most so many stretches of whole conversations, alike in length.
fn shards(parts: &[Part], most: usize) -> Vec<&[Part]> {
    let size = parts.len().div_ceil(most.max(1)).max(1);
    let mut rest = parts;
    let mut found = Vec::with_capacity(most);
    while let Some(last) = rest.get(size.saturating_sub(1)).or(rest.last()) {
        let at = rest.partition_point(|part| part.key <= last.key);
        let Some((shard, behind)) = rest.split_at_checked(at) else { break };
        found.push(shard);
        rest = behind;
    }
    found
}

fn conversations_of(parts: &[Part]) -> impl Iterator<Item = Conversation<'_>> {
    parts
        .chunk_by(|one, next| one.key == next.key)
        .filter_map(|parts| Some(Conversation { key: &parts.first()?.key, parts }))
}
