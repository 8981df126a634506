//! A raw file read in full, as the ingest reads it, for what a query's own columns do not tell: whether it holds a line
//! that cannot be read, and which.

use super::input::RawFile;
use super::input::RawInput;
use super::quarantine::RefusedLine;
use crate::ingest::work::{Counters, Sink, Tally, WorkError, Worker};
use crate::source::Scratch;
use crate::source::decode::Opening;

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
        let counters = Counters::default();
        let mut worker = match Worker::new(Sink::Count, &counters) {
            Ok(worker) => worker,
            Err(error) => {
                self.quarantine.add_problem(&file.path, error.to_string());
                return Checked::Unsound;
            }
        };
        let mut tally = Tally::default();
        let taken = worker.take(&mut decoder, &file.path, &mut tally, &|| false);
        let refused = tally.refused.len() as u64;
        let lines = tally.refused.into_iter().map(|refused| {
            let byte = i64::try_from(refused.byte).ok();
            let line = i64::try_from(refused.line).unwrap_or(i64::MAX);
            (line, RefusedLine { kind: refused.kind, byte, reason: refused.reason, text: refused.text })
        });
        self.quarantine.add(&file.path, lines.collect(), refused);
        match taken {
            Ok(()) if refused == 0 => Checked::Sound,
            Ok(()) => Checked::Unsound,
            Err(WorkError::Decode(error)) => {
                self.quarantine.add_problem(&file.path, error.to_string());
                Checked::Unsound
            }
            // Rows that are only counted go nowhere.
            Err(WorkError::Output(_)) => Checked::Unsound,
        }
    }

    /// Reads every file in full that has not been, with so many threads.
    pub fn check_all(&self, threads: usize) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, self.files.len().max(1)) {
                scope.spawn(|| {
                    let mut workspace = self.borrow_workspace();
                    while let Some(file) =
                        self.files.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                    {
                        self.check(file, &mut workspace.scratch);
                    }
                    self.return_workspace(workspace);
                });
            }
        });
    }
}
