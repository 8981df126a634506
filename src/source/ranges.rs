//! A long plain file in ranges of whole lines, which threads read side by side.
//!
//! Where a range ends is found by looking for a line end near its bound; the lines themselves are read by whoever takes
//! the range. Ranges and their bounds are what [`ContentReader`](super::ContentReader) would give as blocks, but that a
//! line counts as too long exactly beyond [`Limits::line`].

use std::fs::File;
use std::io;
use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::content::{BlockInfo, Limits};

/// So much before a bound is searched first for a line end; where there is none, four times as much, and so on.
const PROBE: u64 = 4 * 1024;
/// So much is searched at a time for the end of a line that is longer than a block.
const STEP: u64 = 256 * 1024;

/// A file, and how far it has been dealt out.
pub(super) struct Ranges {
    file: Arc<File>,
    limits: Limits,
    at: u64,
    probe: Vec<u8>,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// Where its text begins, and whether that is a line whose end is dropped.
    pub info: BlockInfo,
    /// How many bytes of text it has.
    pub length: u64,
    /// Where what follows begins.
    pub next: u64,
    /// Nothing follows.
    pub last: bool,
}

impl Ranges {
    /// All of the file from `at` on.
    pub fn new(file: Arc<File>, at: u64, limits: Limits) -> Ranges {
        Ranges { file, limits, at, probe: Vec::new() }
    }

    /// The next range; `None` behind the last.
    pub fn next(&mut self) -> io::Result<Option<Range>> {
        // Asked each time: a log may grow while it is read.
        let size = self.file.metadata()?.len();
        let from = self.at;
        if size <= from {
            return Ok(None);
        }
        let (block, line) = (self.limits.block.max(1) as u64, self.limits.line as u64);
        let range = if size - from <= block.min(line.saturating_add(1)) {
            range(from, size, None, size)
        } else {
            match self.last_line_end(from, from.saturating_add(block).min(size))? {
                Some(end) => range(from, end, None, size),
                None => self.long_line(from, line, size)?,
            }
        };
        self.at = range.next;
        Ok(Some(range))
    }

    /// Behind the last line end between two places.
    fn last_line_end(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut length = PROBE;
        loop {
            let start = to.saturating_sub(length).max(from);
            let probe = self.probe(start, to)?;
            if let Some(end) = memrchr(b'\n', probe) {
                return Ok(Some(start + end as u64 + 1));
            }
            if start == from {
                return Ok(None);
            }
            length = length.saturating_mul(4);
        }
    }

    /// A line that is longer than a block.
    fn long_line(&mut self, from: u64, line: u64, size: u64) -> io::Result<Range> {
        let mut at = from;
        let (end, next) = loop {
            if at >= size {
                break (size, size);
            }
            let to = at.saturating_add(STEP).min(size);
            if let Some(end) = memchr(b'\n', self.probe(at, to)?) {
                let end = at + end as u64;
                break (end, end + 1);
            }
            at = to;
        };
        let keep = from.saturating_add(line);
        Ok(match end.checked_sub(keep).filter(|dropped| *dropped > 0) {
            Some(dropped) => Range { next, last: next >= size, ..range(from, keep, Some(dropped), size) },
            None => range(from, next, None, size),
        })
    }

    fn probe(&mut self, from: u64, to: u64) -> io::Result<&[u8]> {
        self.probe.resize(to.saturating_sub(from) as usize, 0);
        read_exact_at(&self.file, &mut self.probe, from)?;
        Ok(&self.probe)
    }

    /// The file, for reading ranges.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

fn range(from: u64, end: u64, cut: Option<u64>, size: u64) -> Range {
    Range { info: BlockInfo { offset: from, cut }, length: end - from, next: end, last: end >= size }
}

impl Range {
    /// Reads the range into the caller's vector, whose old content is dropped.
    pub fn read(&self, file: &File, block: &mut Vec<u8>) -> io::Result<()> {
        // What is there already is overwritten: to clear it first would write all of it once more.
        block.resize(self.length as usize, 0);
        let read = read_exact_at(file, block, self.info.offset);
        if read.is_err() {
            block.clear();
        }
        read
    }
}

/// Whether ranges of a file can be read side by side on this system.
pub(super) const SUPPORTED: bool = cfg!(unix);

#[cfg(unix)]
fn read_exact_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(not(unix))]
fn read_exact_at(_file: &File, _into: &mut [u8], _at: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(text: &[u8]) -> File {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    fn ranges(text: &[u8], limits: Limits) -> Vec<(Range, Vec<u8>)> {
        let mut ranges = Ranges::new(Arc::new(file(text)), 0, limits);
        let handle = ranges.file();
        let (mut all, mut block) = (Vec::new(), Vec::new());
        while let Some(range) = ranges.next().unwrap() {
            range.read(&handle, &mut block).unwrap();
            all.push((range, block.clone()));
        }
        all
    }

    #[test]
    fn a_line_beyond_the_bound_is_cut_and_what_follows_stays() {
        let limits = Limits { block: 8, line: 10, ..Limits::default() };
        let found = ranges(b"ab\ncd\n0123456789\n0123456789abc\nef\n", limits);
        let shown: Vec<_> = found
            .iter()
            .map(|(range, text)| (range.info.offset, range.info.cut, std::str::from_utf8(text).unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                (0, None, "ab\ncd\n"),
                (6, None, "0123456789\n"),
                (17, Some(3), "0123456789"),
                (31, None, "ef\n")
            ]
        );
        assert_eq!(
            found.iter().map(|(range, _)| range.last).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(ranges(b"", limits), []);
        let open = ranges(b"0123456789abc", limits);
        assert_eq!((open[0].0.info.cut, open[0].0.last, open.len()), (Some(3), true, 1));
    }

    proptest! {
        /// The plain way: go through the lines, and begin a block where the next one does not fit.
        #[test]
        fn ranges_are_whole_lines_and_leave_nothing_out(
            lines in proptest::collection::vec("[a-z]{0,30}", 0..60),
            ended in any::<bool>(),
            block in 1usize..60,
        ) {
            let limits = Limits { block, line: 40, ..Limits::default() };
            let mut text = lines.join("\n").into_bytes();
            if ended && !text.is_empty() {
                text.push(b'\n');
            }
            let found = ranges(&text, limits);
            let whole: Vec<u8> = found.iter().flat_map(|(_, text)| text.clone()).collect();
            prop_assert_eq!(&whole, &text);
            let mut at = 0;
            for (number, (range, piece)) in found.iter().enumerate() {
                prop_assert_eq!(range.info, BlockInfo { offset: at, cut: None });
                at += piece.len() as u64;
                let last = number + 1 == found.len();
                prop_assert_eq!(range.last, last);
                prop_assert!(last || piece.ends_with(b"\n"));
                // More than fits only where it is one line.
                prop_assert!(piece.len() <= block || memchr(b'\n', piece).is_none_or(|end| end + 1 == piece.len()));
            }
        }
    }
}
