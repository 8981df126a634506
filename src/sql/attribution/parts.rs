//! The REJECTs, and how they are judged where the evidence for all of them outgrows the memory: in parts, one after the other,
//! each with a reading of all records of its own. That takes longer and gives the same rows.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;

use super::evidence::{Passes, Prepared};
use super::kept::Kept;
use super::learn::rejects;
use super::reasons::Reasons;
use crate::attribute::OwnAddresses;
use crate::network::Network;

/// The REJECTs, and what is the same for all of them.
#[derive(Debug)]
pub(super) struct Rejects {
    pub(super) network: Option<Arc<Network>>,
    pub(super) own: Arc<OwnAddresses>,
    /// By partition.
    pub(super) kept: Vec<Kept>,
    /// Which logs name reasons.
    pub(super) reasons: Reasons,
}

/// Some of the REJECTs: of so many equal parts that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    at: usize,
    of: usize,
}

impl Part {
    /// All of them.
    pub(super) const ALL: Part = Part { at: 0, of: 1 };

    /// Which of so many batches.
    pub(super) fn batches(self, count: usize) -> Range<usize> {
        let from = |at: usize| count.saturating_mul(at) / self.of.max(1);
        from(self.at)..from(self.at.saturating_add(1))
    }

    fn first_half(self) -> Part {
        Part { at: self.at.saturating_mul(2), of: self.of.saturating_mul(2) }
    }

    fn next(self) -> Option<Part> {
        let at = self.at.saturating_add(1);
        (at < self.of).then_some(Part { at, of: self.of })
    }
}

/// The REJECTs with their evidence.
#[derive(Debug)]
pub(super) enum Gathered {
    /// That of all of them is at hand.
    Whole(Arc<Prepared>),
    /// It does not fit into the memory.
    InParts(Parts),
}

/// REJECTs whose evidence is gathered part by part.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    rejects: Arc<Rejects>,
    passes: Passes,
    next: Option<Part>,
}

impl Gathered {
    /// Finds the REJECTs, and gathers the evidence for all of them if it fits into the memory.
    pub(super) async fn new(
        passes: &Passes,
        network: Option<Arc<Network>>,
        task: &Arc<TaskContext>,
    ) -> Result<Gathered> {
        let (own, kept, reasons) = rejects(passes, &network, task).await?;
        let mut all = Arc::new(Rejects { network, own: Arc::new(own), kept, reasons });
        loop {
            match Prepared::new(passes, &all, Part::ALL, task).await {
                Err(error) if is_exhausted(&error) => {
                    let in_memory = all.kept.iter().any(Kept::holds_memory);
                    if in_memory && let Some(all) = Arc::get_mut(&mut all) {
                        // They make room.
                        all.kept.iter_mut().try_for_each(Kept::spill)?;
                    } else if all.is_divisible(Part::ALL) {
                        let next = Some(Part::ALL.first_half());
                        return Ok(Gathered::InParts(Parts { rejects: all, passes: passes.clone(), next }));
                    } else {
                        return Err(error);
                    }
                }
                prepared => return Ok(Gathered::Whole(Arc::new(prepared?))),
            }
        }
    }
}

impl Parts {
    /// The next part, with its evidence.
    pub(super) async fn next(&mut self, task: &Arc<TaskContext>) -> Result<Option<Prepared>> {
        while let Some(part) = self.next {
            match Prepared::new(&self.passes, &self.rejects, part, task).await {
                Err(error) if is_exhausted(&error) && self.rejects.is_divisible(part) => {
                    self.next = Some(part.first_half());
                }
                prepared => {
                    self.next = part.next();
                    return prepared.map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl Rejects {
    /// How many a part has, about.
    pub(super) fn rows(&self, part: Part) -> usize {
        self.kept.iter().map(|kept| kept.rows_of(part)).sum()
    }

    fn is_divisible(&self, part: Part) -> bool {
        self.kept.iter().any(|kept| kept.batches_of(part) > 1)
    }
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That they give the same rows is tested where the table is.
    #[test]
    fn refused_memory_is_told_from_other_errors() {
        let refused = DataFusionError::ResourcesExhausted("reject_attribution".to_owned());
        assert!(is_exhausted(&refused.context("evidence")));
        assert!(!is_exhausted(&DataFusionError::Internal("reject_attribution".to_owned())));
    }

    #[test]
    fn parts_are_all_batches_once_however_they_are_halved() {
        for count in [0, 1, 2, 5, 17, 1000] {
            // Each third part is halved when it is met.
            let (mut next, mut met, mut found) = (Some(Part::ALL), 0, Vec::new());
            while let Some(part) = next {
                met += 1;
                if met % 3 == 0 && part.of < 64 {
                    next = Some(part.first_half());
                    continue;
                }
                found.extend(part.batches(count));
                next = part.next();
            }
            assert_eq!(found, (0..count).collect::<Vec<_>>());
        }
    }
}
