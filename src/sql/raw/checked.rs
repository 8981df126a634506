//! A raw file read in full, as the ingest reads it, for what a query's own columns do not tell: whether it holds a line
//! that cannot be read, and which.

use std::sync::Arc;

use super::input::{RawFile, RawInput};
use super::quarantine::RefusedLine;
use crate::ingest::progress::Counters;
use crate::ingest::work::{Sink, Tally, WorkError, Worker};
use crate::source::decode::{Decoder, Opening};
use crate::source::{Scratch, SharedText};

/// What reading a file in full has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Every line of it can be read.
    Sound,
    /// Some lines cannot be read, or not all of it.
    Unsound,
}

impl RawInput {
    /// Reads a file in full, once, and keeps what is wrong with it.
    pub fn check(&self, file: &RawFile, scratch: &mut Scratch) -> Checked {
        *file.checked.get_or_init(|| self.check_now(file, scratch))
    }

    fn check_now(&self, file: &RawFile, scratch: &mut Scratch) -> Checked {
        let mut decoder = match self.open(file, scratch) {
            Ok(Opening::Log(decoder)) => decoder,
            Ok(Opening::Skip(skip)) => {
                self.note_skip(file, &skip);
                return Checked::Sound;
            }
            Err(error) => {
                self.note_problem(file, error.to_string());
                return Checked::Unsound;
            }
        };
        let shared = if self.checkers > 1 { decoder.share() } else { None };
        let parts = std::thread::scope(|scope| {
            let helper = |text: &Arc<SharedText>| {
                let mut decoder = Decoder::of_shared(Arc::clone(text), &file.located, &self.decode);
                scope.spawn(move || check_part(&mut decoder, &file.path))
            };
            let helpers: Vec<_> =
                shared.iter().flat_map(|text| (1..self.checkers).map(move |_| helper(text))).collect();
            let mut parts = vec![check_part(&mut decoder, &file.path)];
            parts.extend(helpers.into_iter().map(|helper| match helper.join() {
                Ok(part) => part,
                Err(_) => (Tally::default(), Some("a reader broke off".to_owned())),
            }));
            parts
        });
        let mut all = Tally::default();
        let mut sound = true;
        for (tally, problem) in parts {
            all.merge(tally);
            if let Some(problem) = problem {
                self.quarantine.add_problem(&file.path, problem);
                sound = false;
            }
        }
        let refused = all.refused.len() as u64;
        let lines = all.refused.into_iter().map(|refused| {
            let byte = i64::try_from(refused.byte).ok();
            let line = i64::try_from(refused.line).unwrap_or(i64::MAX);
            (line, RefusedLine { kind: refused.kind, byte, reason: refused.reason, text: refused.text })
        });
        self.quarantine.add(&file.path, lines.collect(), refused);
        if sound && refused == 0 { Checked::Sound } else { Checked::Unsound }
    }

    /// Reads every file in full that has not been and is no copy of another, with so many threads.
    pub fn check_all(&self, threads: usize) {
        let files = self.without_copies(self.files.iter().enumerate().collect());
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, files.len().max(1)) {
                scope.spawn(|| {
                    let mut workspace = self.borrow_workspace();
                    while let Some((_, file)) =
                        files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                    {
                        self.check(file, &mut workspace.scratch);
                    }
                    self.return_workspace(workspace);
                });
            }
        });
    }
}

/// Reads what a decoder gives as the ingest does, and why it could not go on.
fn check_part(decoder: &mut Decoder<'_>, path: &str) -> (Tally, Option<String>) {
    let counters = Counters::default();
    let mut tally = Tally::default();
    let problem = match Worker::new(Sink::Count, &counters) {
        // Rows that are only counted go nowhere, so that nothing else can fail.
        Ok(mut worker) => match worker.take(decoder, path, &mut tally, &|_| {}, &|| false) {
            Err(WorkError::Decode(error)) => Some(error.to_string()),
            Ok(()) | Err(WorkError::Output(_)) => None,
        },
        Err(error) => Some(error.to_string()),
    };
    (tally, problem)
}
