//! One long text, read by several threads: each takes the next block of whole lines and cuts its own.
//!
//! A plain file is dealt out in ranges, which are read side by side; anything else is read (and inflated) by one thread
//! at a time. A block comes with all that cutting it depends on, the number of its first line and the layout in force
//! there: each thread counts the lines of its block and looks for headers in it, and then says in turn what that makes of
//! the next block.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::content::{BlockInfo, ContentReader, Identity, ReadError};
use super::gzip::Ending;
use super::lines::{After, Lines, count_lines};
use super::ranges::Ranges;

/// A text and how far it has been taken.
pub struct SharedText {
    path: String,
    feed: Mutex<Feed>,
    /// All blocks have been taken, or reading has failed.
    done: AtomicBool,
    /// How many bytes of the object, as it is stored, have been taken.
    consumed: AtomicU64,
    ended: Mutex<Ending>,
    known: Mutex<Known>,
    turn: Condvar,
}

struct Feed {
    source: Source,
    /// How many blocks have been taken.
    blocks: u64,
}

enum Source {
    Stream(Box<ContentReader<'static>>),
    Ranges(Ranges, Arc<File>),
}

/// What is known of the blocks so far.
struct Known {
    /// How many they are.
    blocks: u64,
    next_line: u64,
    lines: Lines,
    /// The first block that could not be read: of those behind it nothing can be known.
    failed: Option<u64>,
}

/// What comes with a block.
pub(super) struct Taken {
    pub info: BlockInfo,
    /// The number of its first line.
    pub first_line: u64,
    /// What its lines are, up to the next header.
    pub lines: Lines,
    /// Where in it the first line stands that may be a header; its length if none does.
    pub header: usize,
    /// How the text ended, if this was its end.
    pub ending: Ending,
    /// How many bytes of the object, as it is stored, were read for it.
    pub read: u64,
}

/// A block whose place among the others is not yet known.
struct Piece {
    number: u64,
    info: BlockInfo,
    ending: Ending,
    read: u64,
}

/// The duty to say what a block makes of those behind it. Who cannot, ends the reading.
struct Turn<'t> {
    shared: &'t SharedText,
    block: u64,
    kept: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.shared.done.store(true, Ordering::Relaxed);
            let mut known = self.shared.known();
            known.failed = Some(known.failed.map_or(self.block, |failed| failed.min(self.block)));
            drop(known);
            self.shared.turn.notify_all();
        }
    }
}

impl SharedText {
    pub(super) fn new(reader: ContentReader<'static>, lines: Lines) -> SharedText {
        let path = reader.path().to_owned();
        let source = match reader.ranges() {
            Some(ranges) => {
                let file = ranges.file();
                Source::Ranges(ranges, file)
            }
            None => Source::Stream(Box::new(reader)),
        };
        SharedText {
            path,
            feed: Mutex::new(Feed { source, blocks: 0 }),
            done: AtomicBool::new(false),
            consumed: AtomicU64::new(0),
            ended: Mutex::new(Ending::Complete),
            known: Mutex::new(Known { blocks: 0, next_line: 1, lines, failed: None }),
            turn: Condvar::new(),
        }
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lines(&self) -> Lines {
        self.known().lines.clone()
    }

    /// Whether all blocks have been taken, or reading has failed.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// How the compressed bytes ended, once everything has been taken. Never waits for whoever reads.
    pub fn ending(&self) -> Ending {
        *self.ended()
    }

    fn ended(&self) -> MutexGuard<'_, Ending> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object's identity, once everything has been taken; not known of a file that is read in ranges.
    pub fn identity(&self) -> Option<Identity> {
        match &self.feed().source {
            Source::Stream(reader) => reader.identity(),
            Source::Ranges(..) => None,
        }
    }

    /// Takes the next block; `None` at the end. An error comes once, to whoever meets it; the blocks before are whole, and
    /// none comes behind.
    pub(super) fn take(&self, block: &mut Vec<u8>) -> Result<Option<Taken>, ReadError> {
        let Some((piece, turn)) = self.next_piece(block)? else { return Ok(None) };
        let (count, is_first) = (count_lines(block), piece.number == 0);
        let guess = self.lines();
        let after = guess.after(block, is_first);
        let mut known = self.known();
        while known.blocks < piece.number && known.failed.is_none_or(|failed| failed > piece.number) {
            known = self.turn.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
        if known.blocks < piece.number {
            drop(known);
            block.clear();
            return Ok(None);
        }
        // Headers are rare: nearly always the lines are still what they were when the block was looked through.
        let lines = known.lines.clone();
        let After { header, lines: changed } =
            if guess == lines { after } else { lines.after(block, is_first) };
        let first_line = known.next_line;
        known.next_line += if piece.info.cut.is_some() { 1 } else { count };
        known.lines = changed.unwrap_or_else(|| lines.clone());
        known.blocks = piece.number + 1;
        drop(known);
        turn.keep();
        let Piece { info, ending, read, .. } = piece;
        Ok(Some(Taken { info, first_line, lines, header, ending, read }))
    }

    fn next_piece(&self, block: &mut Vec<u8>) -> Result<Option<(Piece, Turn<'_>)>, ReadError> {
        let mut feed = self.feed();
        if self.is_done() {
            return Ok(None);
        }
        let number = feed.blocks;
        let before = self.consumed.load(Ordering::Relaxed);
        // Whatever goes wrong from here on is the end, and so is having nothing to take.
        let turn = Turn { shared: self, block: number, kept: false };
        match &mut feed.source {
            Source::Stream(reader) => {
                let info = reader.next_block(block);
                let (ending, consumed) = (reader.ending(), reader.consumed());
                *self.ended() = ending;
                let Some(info) = info? else { return Ok(None) };
                self.begin(&mut feed, consumed, false);
                let read = consumed.saturating_sub(before);
                Ok(Some((Piece { number, info, ending, read }, turn)))
            }
            Source::Ranges(ranges, file) => {
                let failed = |at, source| ReadError::Io { path: self.path.clone(), at, source };
                let Some(range) = ranges.next().map_err(|source| failed(before, source))? else {
                    return Ok(None);
                };
                let file = Arc::clone(file);
                self.begin(&mut feed, range.next, range.last);
                drop(feed);
                range.read(&file, block).map_err(|source| failed(range.info.offset, source))?;
                let read = range.next.saturating_sub(before);
                Ok(Some((Piece { number, info: range.info, ending: Ending::Complete, read }, turn)))
            }
        }
    }

    /// Notes that a block is taken, and how many bytes are with it.
    fn begin(&self, feed: &mut Feed, consumed: u64, last: bool) {
        feed.blocks += 1;
        self.consumed.store(consumed, Ordering::Relaxed);
        self.done.store(last, Ordering::Relaxed);
    }
}

impl Turn<'_> {
    fn keep(mut self) {
        self.kept = true;
        self.shared.turn.notify_all();
    }
}
