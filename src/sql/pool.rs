//! How operators share the memory limit.
//!
//! The engine's fair pool lets operators that can spill have all memory but what others hold. Then a sort that has filled it
//! finds none for merging what it spilled, and neither does the merge of the sorts of all threads: more memory is needed than
//! spilling saves. Here each merge has a share of its own, and each sort holds no more than its merge can work on.

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
    /// Bytes by who has them, at [`Part::index`].
    bytes: [usize; 4],
}

/// What a consumer is, as far as sharing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It can spill what it holds.
    Spill,
    /// It merges the sorted runs of one sort: those in memory with their keys beside them, which may be as large as they are.
    Merge,
    /// It deals rows out among threads.
    Deal,
    /// It holds what it holds: the tables of joins, windows, the last merge of the sorts of all threads.
    Hold,
}

impl Part {
    fn of(consumer: &MemoryConsumer) -> Part {
        match consumer.can_spill() {
            _ if consumer.name().starts_with(DEAL) => Part::Deal,
            true => Part::Spill,
            false if consumer.name().starts_with(MERGE) => Part::Merge,
            false => Part::Hold,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl SharedPool {
    /// A pool of so many bytes.
    pub fn new(size: usize) -> SharedPool {
        SharedPool { size, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most bytes that a reservation of this part may have in all, and that are free.
    ///
    /// Beside merges the sorts have as much as the merges have in all, each the same share, so that each merge can hold the
    /// keys of its sort's rows; an eighth is left to what comes after them. A merge has its share whatever the others do,
    /// for without it the query ends.
    fn bounds(&self, state: &State, part: Part) -> (usize, usize) {
        let merging = if state.mergers > 0 { self.size / 16 * 7 } else { 0 };
        let kept = self.size.saturating_sub(merging).saturating_sub(state.bytes(Part::Hold));
        match part {
            Part::Spill => {
                let room = kept.saturating_sub(state.bytes(Part::Deal));
                let room = if state.mergers > 0 { room.min(merging) } else { room };
                (room / state.spillers.max(state.mergers).max(1), usize::MAX)
            }
            Part::Merge => (merging / state.mergers.max(1), usize::MAX),
            Part::Deal => (self.size / 4, usize::MAX),
            Part::Hold => (usize::MAX, kept.saturating_sub(state.bytes(Part::Spill))),
        }
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let (mut state, part) = (self.state(), Part::of(consumer));
        state.spillers += usize::from(part == Part::Spill);
        state.mergers += usize::from(part == Part::Merge);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let (mut state, part) = (self.state(), Part::of(consumer));
        state.spillers = state.spillers.saturating_sub(usize::from(part == Part::Spill));
        state.mergers = state.mergers.saturating_sub(usize::from(part == Part::Merge));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.state().add(Part::of(reservation.consumer()), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let bytes = &mut self.state().bytes[Part::of(reservation.consumer()).index()];
        *bytes = bytes.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let (mut state, part) = (self.state(), Part::of(reservation.consumer()));
        let (most, free) = self.bounds(&state, part);
        if reservation.size().saturating_add(additional) > most || additional > free {
            let left = free.min(most.saturating_sub(reservation.size()));
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} wants {additional} bytes beside its {}, and {left} are left",
                reservation.consumer().name(),
                reservation.size(),
            )));
        }
        state.add(part, additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.state().bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.size)
    }
}

impl State {
    fn bytes(&self, part: Part) -> usize {
        self.bytes[part.index()]
    }

    fn add(&mut self, part: Part, additional: usize) {
        let bytes = &mut self.bytes[part.index()];
        *bytes = bytes.saturating_add(additional);
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
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1600));
        let spiller = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let group = spiller("GroupedHashAggregateStream[0]");
        // Without a merge all of it can be had.
        group.try_grow(1600).unwrap();
        drop(group);
        let (one, other) = (spiller("ExternalSorter[0]"), spiller("ExternalSorter[1]"));
        let merges = [0, 1].map(|number| MemoryConsumer::new(format!("{MERGE}[{number}]")).register(&pool));
        one.try_grow(350).unwrap();
        assert!(one.try_grow(1).is_err());
        other.try_grow(350).unwrap();
        let [merge, last] = merges;
        merge.try_grow(350).unwrap();
        // A greedy one leaves something to the other.
        assert!(merge.try_grow(1).is_err());
        drop(one);
        // A sort that is done leaves nothing to the other, whose merge would be smaller than it.
        assert!(other.try_grow(1).is_err());
        last.try_grow(350).unwrap();
        let top = MemoryConsumer::new("SortPreservingMergeExec[0]").register(&pool);
        top.try_grow(550).unwrap();
        let refused = top.try_grow(1).unwrap_err().to_string();
        assert!(
            refused.contains("SortPreservingMergeExec[0] wants 1 bytes beside its 550, and 0 are left"),
            "{refused}"
        );
    }

    /// Rows being dealt out and full sorts held all memory, and a merge ended the query.
    #[test]
    fn merges_have_their_share_whatever_others_hold() {
        let pool: Arc<dyn MemoryPool> = Arc::new(SharedPool::new(1600));
        let dealer = MemoryConsumer::new("RepartitionExec[Merge 0]").with_can_spill(true).register(&pool);
        let sorter = MemoryConsumer::new("ExternalSorter[0]").with_can_spill(true).register(&pool);
        let merge = MemoryConsumer::new(format!("{MERGE}[0]")).register(&pool);
        let top = MemoryConsumer::new("SortPreservingMergeExec[0]").register(&pool);
        dealer.try_grow(400).unwrap();
        assert!(dealer.try_grow(1).is_err());
        sorter.try_grow(500).unwrap();
        assert!(sorter.try_grow(1).is_err());
        top.try_grow(400).unwrap();
        assert!(top.try_grow(1).is_err());
        merge.try_grow(700).unwrap();
        assert!(merge.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 2000);
    }
}
