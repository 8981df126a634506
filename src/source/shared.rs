//! One long text, read by several threads: one at a time takes the next block of whole lines, each cuts its own.
//!
//! Reading (and inflating) stays in order under a lock; the rest, which costs more, is done side by side. A block comes
//! with all that cutting it depends on: the number of its first line and the layout in force there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::content::{BlockInfo, ContentReader, Identity, ReadError};
use super::gzip::Ending;
use super::lines::{Lines, count_lines};

/// A text and how far it has been taken.
pub struct SharedText {
    state: Mutex<State>,
}

struct State {
    reader: ContentReader<'static>,
    lines: Lines,
    next_line: u64,
    done: bool,
}

/// What comes with a block.
pub(super) struct Taken {
    pub info: BlockInfo,
    /// The number of its first line.
    pub first_line: u64,
    /// What its lines are, up to the next header.
    pub lines: Lines,
    /// How the text ended, if this was its end.
    pub ending: Ending,
}

impl SharedText {
    pub(super) fn new(reader: ContentReader<'static>, lines: Lines) -> SharedText {
        SharedText { state: Mutex::new(State { reader, lines, next_line: 1, done: false }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lines(&self) -> Lines {
        self.state().lines.clone()
    }

    /// Whether all blocks have been taken, or reading has failed.
    pub fn is_done(&self) -> bool {
        self.state().done
    }

    /// How the compressed bytes ended, once everything has been taken.
    pub fn ending(&self) -> Ending {
        self.state().reader.ending()
    }

    /// The object's identity, once everything has been taken.
    pub fn identity(&self) -> Option<Identity> {
        self.state().reader.identity()
    }

    /// Takes the next block; `None` at the end. An error comes once, to whoever meets it.
    pub(super) fn take(&self, block: &mut Vec<u8>) -> Result<Option<Taken>, ReadError> {
        let mut state = self.state();
        let state = &mut *state;
        if state.done {
            return Ok(None);
        }
        // Whatever goes wrong below is the end.
        state.done = true;
        let Some(info) = state.reader.next_block(block)? else { return Ok(None) };
        let taken = Taken {
            info,
            first_line: state.next_line,
            lines: state.lines.clone(),
            ending: state.reader.ending(),
        };
        if let Some(lines) = state.lines.after(block, state.next_line) {
            state.lines = lines;
        }
        state.next_line += if info.cut.is_some() { 1 } else { count_lines(block) };
        state.done = false;
        Ok(Some(taken))
    }
}
