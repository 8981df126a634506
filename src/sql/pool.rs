//! How operators share the memory limit.
//!
//! The engine's fair pool lets operators that can spill have all memory but what others hold. Then a sort that has filled it
//! finds none for merging what it spilled, and neither does the merge of the sorts of all threads: more memory is needed than
//! spilling saves. Here buffers of a plan with such merges leave room for them, and one merge leaves room for the others.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// What the engine calls the consumer that merges a sort's spilled runs; as many runs at a time as it gets memory for.
const MERGE: &str = "ExternalSorterMerge";

/// What the engine calls the consumer that deals rows out among threads: a few batches at a time, unless one thread gets nearly all
/// rows. Where it spills, it can wait for ever for what it has written (observed with 55.2), so it gets memory though there is none.
const DEAL: &str = "RepartitionExec";

/// Memory of a limited size.
#[derive(Debug)]
pub struct SharedPool {
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Consumers that can spill.
    spillers: usize,
    /// Those that merge what has been spilled.
    mergers: usize,
    /// Bytes that spilling would free.
    spillable: usize,
    /// The other bytes.
    held: usize,
}

impl SharedPool {
    /// A pool of so many bytes.
    pub fn new(size: usize) -> SharedPool {
        SharedPool { size, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most bytes that a reservation may have in all, and that are free.
    fn bounds(&self, state: &State, consumer: &MemoryConsumer) -> (usize, usize) {
        let free = self.size.saturating_sub(state.held.saturating_add(state.spillable));
        if spills(consumer) {
            // Merging sorted rows takes their keys beside them, which may be as large as they are.
            let room = if state.mergers > 0 { self.size / 5 * 3 } else { self.size };
            let room = room.min(self.size.saturating_sub(state.held));
            return (room / state.spillers.max(1), usize::MAX);
        }
        if consumer.name().starts_with(DEAL) {
            return (self.size / 4, usize::MAX);
        }
        if is_merge(consumer) {
            return (self.size / 4 * 3 / state.mergers.max(1), free);
        }
        (usize::MAX, free)
    }
}

fn spills(consumer: &MemoryConsumer) -> bool {
    consumer.can_spill() && !consumer.name().starts_with(DEAL)
}

fn is_merge(consumer: &MemoryConsumer) -> bool {
    !consumer.can_spill() && consumer.name().starts_with(MERGE)
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.spillers += usize::from(spills(consumer));
        state.mergers += usize::from(is_merge(consumer));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state();
        state.spillers = state.spillers.saturating_sub(usize::from(spills(consumer)));
        state.mergers = state.mergers.saturating_sub(usize::from(is_merge(consumer)));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.state().add(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.state();
        match spills(reservation.consumer()) {
            true => state.spillable = state.spillable.saturating_sub(shrink),
            false => state.held = state.held.saturating_sub(shrink),
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.state();
        let (most, free) = self.bounds(&state, reservation.consumer());
        if reservation.size().saturating_add(additional) > most || additional > free {
            let left = free.min(most.saturating_sub(reservation.size()));
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} wants {additional} bytes beside its {}, and {left} are left",
                reservation.consumer().name(),
                reservation.size(),
            )));
        }
        state.add(reservation, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.state();
        state.held.saturating_add(state.spillable)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.size)
    }
}

impl State {
    fn add(&mut self, reservation: &MemoryReservation, additional: usize) {
        match spills(reservation.consumer()) {
            true => self.spillable = self.spillable.saturating_add(additional),
            false => self.held = self.held.saturating_add(additional),
        }
    }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared(size: {})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn sorts_leave_room_for_their_merges() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1000));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let group = spiller("GroupedHashAggregateStream[0]");
        // Without a merge all of it can be had.
        group.try_grow(1000).unwrap();
        drop(group);
        let (one, other) = (spiller("ExternalSorter[0]"), spiller("ExternalSorter[1]"));
        let merges = [0, 1].map(|number| MemoryConsumer::new(format!("{MERGE}[{number}]")).register(&pool));
        one.try_grow(300).unwrap();
        assert!(one.try_grow(1).is_err());
        other.try_grow(300).unwrap();
        let [merge, last] = merges;
        merge.try_grow(375).unwrap();
        // A greedy one leaves something to the other.
        assert!(merge.try_grow(1).is_err());
        drop((one, other));
        assert!(merge.try_grow(1).is_err());
        last.try_grow(375).unwrap();
        let top = MemoryConsumer::new("SortPreservingMergeExec[0]").register(&pool);
        top.try_grow(250).unwrap();
        let dealer = spiller("RepartitionExec[Merge 0]");
        dealer.try_grow(250).unwrap();
        assert!(dealer.try_grow(1).is_err());
        let refused = top.try_grow(1).unwrap_err().to_string();
        assert!(
            refused.contains("SortPreservingMergeExec[0] wants 1 bytes beside its 250, and 0 are left"),
            "{refused}"
        );
    }
}
