//! Workers that have no object left help with the long ones of the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::progress::Meter;
use super::work::Tally;
use crate::source::decode::{Decoder, FileReport};
use crate::source::{Located, SharedText};

/// A long object, and what its helpers have made of their blocks.
pub struct Shared<'m> {
    /// The object.
    pub located: Located,
    /// Its path, as its rows carry it.
    pub path: String,
    /// Its text.
    pub text: Arc<SharedText>,
    /// How far it has been read.
    pub meter: Arc<Meter<'m>>,
    helped: Mutex<Helped>,
    /// A helper has met its end, or could not go on.
    closed: AtomicBool,
}

/// What helpers have done.
#[derive(Default)]
pub struct Helped {
    /// How many are at it.
    busy: usize,
    /// Their rows and refusals.
    pub tally: Tally,
    /// Their lines.
    pub report: FileReport,
    /// Why the object could not be read to its end.
    pub problem: Option<String>,
}

/// The workers of a job.
#[derive(Default)]
pub struct Team<'m> {
    state: Mutex<State<'m>>,
    changed: Condvar,
}

#[derive(Default)]
struct State<'m> {
    /// Workers that may still open a long object.
    working: usize,
    shared: Vec<Arc<Shared<'m>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says, when it goes, that a worker opens no more objects, however the worker ended.
pub struct Working<'t, 'm>(&'t Team<'m>);

impl Drop for Working<'_, '_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.working = state.working.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

impl<'m> Team<'m> {
    /// A worker begins; every one has to before any looks for help to give.
    pub fn begin(&self) -> Working<'_, 'm> {
        lock(&self.state).working += 1;
        Working(self)
    }

    /// Offers an object for help.
    pub fn offer(
        &self,
        located: &Located,
        path: &str,
        text: Arc<SharedText>,
        meter: Arc<Meter<'m>>,
    ) -> Arc<Shared<'m>> {
        let shared = Arc::new(Shared {
            located: located.clone(),
            path: path.to_owned(),
            text,
            meter,
            helped: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        lock(&self.state).shared.push(Arc::clone(&shared));
        self.changed.notify_all();
        shared
    }

    /// Takes the offer back, waits for the helpers and gives what they have done.
    pub fn gather(&self, shared: &Arc<Shared<'m>>) -> Helped {
        let mut state = lock(&self.state);
        state.shared.retain(|other| !Arc::ptr_eq(other, shared));
        while lock(&shared.helped).busy > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut *lock(&shared.helped))
    }

    /// Waits for an object to help with; `None` when no more can come.
    pub fn next(&self) -> Option<Help<'_, 'm>> {
        let mut state = lock(&self.state);
        loop {
            let open =
                |shared: &&Arc<Shared<'m>>| !shared.closed.load(Ordering::Relaxed) && !shared.text.is_done();
            if let Some(shared) = state.shared.iter().find(open) {
                lock(&shared.helped).busy += 1;
                return Some(Help { team: self, shared: Arc::clone(shared) });
            }
            if state.working == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A helper's part in an object; ends when it goes.
pub struct Help<'t, 'm> {
    team: &'t Team<'m>,
    /// The object.
    pub shared: Arc<Shared<'m>>,
}

impl Help<'_, '_> {
    /// Hands in what has been done.
    pub fn done(self, decoder: &Decoder<'_>, tally: Tally, problem: Option<String>) {
        let mut helped = lock(&self.shared.helped);
        helped.tally.merge(tally);
        helped.report.merge(&decoder.report());
        if helped.problem.is_none() {
            helped.problem = problem;
        }
    }
}

impl Drop for Help<'_, '_> {
    fn drop(&mut self) {
        // Whoever was at it has taken its last block.
        self.shared.closed.store(true, Ordering::Relaxed);
        let state = lock(&self.team.state);
        let mut helped = lock(&self.shared.helped);
        helped.busy = helped.busy.saturating_sub(1);
        drop(helped);
        drop(state);
        self.team.changed.notify_all();
    }
}
