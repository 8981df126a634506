//! One object, from its bytes to cells: what it holds is recognised, its envelope taken off, its lines cut.
//!
//! This is the one way in for the ingest and for SQL over raw files, so that both see the same rows, the same refusals
//! and the same counts.

use std::sync::Arc;

use memchr::memmem;

use super::aws_parquet::ParquetFeed;
use super::content::{BlockInfo, ContentReader, Identity};
use super::envelope::EnvelopeReader;
use super::gzip::Ending;
use super::lines::{Cutter, Lines, cut_matching};
use super::locate::Located;
pub use super::reading::{DecodeError, DecodeOptions, FileReport, Skip};
use super::shared::SharedText;
use crate::format::LogKind;
use crate::parse::cells::{Cells, Refusal, Span, Wanted};
use crate::parse::flow::Layout;
use crate::parse::progress::Progress;

mod opening;

/// What opening an object gave.
pub enum Opening<'s> {
    /// A log.
    Log(Box<Decoder<'s>>),
    /// Not a log, or nothing in it.
    Skip(Skip),
}

/// Cut rows, and the text that their cells point into.
pub struct Batch<'a> {
    /// The text.
    pub block: &'a [u8],
    /// Where the text begins in the decoded content.
    pub offset: u64,
    /// The kind of log.
    pub kind: LogKind,
    /// The order of fields, for flow logs.
    pub layout: Option<&'a Layout>,
    /// The columns that the input carries.
    pub carried: &'a [usize],
}

enum Feed<'s> {
    Text(ContentReader<'s>),
    /// Every block that this thread gets of a text that several read.
    Shared(Arc<SharedText>),
    Events(Box<EnvelopeReader<'s>>),
    Parquet(Box<ParquetFeed>),
}

/// Reads one object.
pub struct Decoder<'s> {
    feed: Feed<'s>,
    lines: Lines,
    /// What the batch handed over last was, where another layout has begun since.
    previous: Lines,
    alternatives: Vec<Layout>,
    wanted: Option<Wanted>,
    cutter: Option<Cutter>,
    block: Vec<u8>,
    /// Where the lines of the block end; behind stands what the key tells.
    text: usize,
    /// The last line, where it broke off with the compressed data.
    torn: bool,
    at: usize,
    /// Where the next header may stand in the block, searched up to there; only kept where there is a needle.
    header: Option<usize>,
    info: BlockInfo,
    next_line: u64,
    report: FileReport,
    /// How a shared text ended, as far as this thread has seen.
    last_ending: Ending,
    /// How many bytes of a shared object this thread has had read, as they are stored.
    consumed: u64,
    from_key: [Option<String>; 2],
    key_spans: [Span; 2],
    log_format: Option<String>,
    done: bool,
}

impl<'s> Decoder<'s> {
    fn new(feed: Feed<'s>, lines: Lines, located: &Located, options: &DecodeOptions) -> Decoder<'s> {
        // Lines without a header may be of the default format beside the given ones.
        let mut alternatives = options.layouts.clone();
        alternatives.push(Layout::flow_default());
        let headed = matches!(feed, Feed::Parquet(_)) || lines.layout.is_none();
        let alternatives = if headed || options.layouts.is_empty() { Vec::new() } else { alternatives };
        let lines = lines.carrying(&alternatives);
        Decoder {
            feed,
            previous: lines.clone(),
            alternatives,
            lines,
            wanted: None,
            cutter: None,
            block: Vec::new(),
            text: 0,
            torn: false,
            at: 0,
            header: None,
            info: BlockInfo::default(),
            next_line: 1,
            report: FileReport::default(),
            last_ending: Ending::Complete,
            consumed: 0,
            from_key: [located.key.load_balancer.clone(), located.key.node_ip.clone()],
            key_spans: [Span::NONE; 2],
            log_format: None,
            done: false,
        }
    }

    /// The kind of log that comes next.
    pub fn kind(&self) -> LogKind {
        self.lines.kind
    }

    /// The columns that what comes next can carry, by position in its kind's columns.
    pub fn carried(&self) -> &[usize] {
        &self.lines.carried
    }

    /// Whether lines of that kind can come: those of what comes first, and where that is text of one of the two flow logs,
    /// a header of the other may follow.
    pub fn may_hold(&self, kind: LogKind) -> bool {
        let changes = self.lines.layout.is_some() && !matches!(self.feed, Feed::Parquet(_));
        self.kind() == kind || (changes && self.kind().may_become(kind))
    }

    /// The field list by which lines without a header are read, that of a default format included; `None` for logs to
    /// which none applies.
    pub fn log_format(&self) -> Option<&str> {
        self.log_format.as_deref()
    }

    /// What has been counted; final once `next_batch` has returned `None`.
    pub fn report(&self) -> FileReport {
        let mut report = self.report;
        match &self.feed {
            Feed::Text(reader) => report.ending = reader.ending(),
            Feed::Shared(shared) => report.ending = shared.ending(),
            Feed::Events(events) => {
                report.ending = events.content().ending();
                report.envelope = events.stats();
            }
            Feed::Parquet(_) => {}
        }
        report
    }

    /// How many bytes of the object, as it is stored, have been read by this decoder, as far as that is known before its
    /// end: of what is not streamed it is not.
    pub fn consumed(&self) -> u64 {
        match &self.feed {
            Feed::Text(reader) => reader.consumed(),
            Feed::Shared(_) => self.consumed,
            Feed::Events(events) => events.content().consumed(),
            Feed::Parquet(_) => 0,
        }
    }

    /// The object's identity: at once for objects that are read whole, else when everything has been read.
    pub fn identity(&self) -> Option<Identity> {
        match &self.feed {
            Feed::Text(reader) => reader.identity(),
            Feed::Shared(shared) => shared.identity(),
            Feed::Events(events) => events.content().identity(),
            Feed::Parquet(feed) => feed.identity(),
        }
    }

    /// Cuts the next rows, at most `max_rows`, into `cells`; lines that are no rows go to `refused`.
    ///
    /// `want` is asked which columns of a kind are wanted, among those that the input carries; `None` ends the reading.
    /// With a `needle`, only lines that hold this text are cut. A batch never mixes kinds or layouts; it may have
    /// no rows, with refusals or without: at the end of a block, so that whoever waits for rows can do something else
    /// meanwhile. `None` at the end.
    pub fn next_batch(
        &mut self,
        want: &mut dyn FnMut(LogKind, &[usize]) -> Option<Wanted>,
        needle: Option<&memmem::Finder<'_>>,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Result<Option<Batch<'_>>, DecodeError> {
        let mut begun = false;
        loop {
            let blockless = self.at >= self.text && !self.torn && !matches!(self.feed, Feed::Parquet(_));
            if blockless && begun {
                return Ok(Some(self.batch_of(&self.lines)));
            }
            if blockless && !self.next_block()? {
                return Ok(None);
            }
            begun = true;
            let wanted = match &self.wanted {
                Some(wanted) => wanted.clone(),
                None => match want(self.lines.kind, &self.lines.carried) {
                    Some(wanted) => self.wanted.insert(wanted).clone(),
                    None => return Ok(None),
                },
            };
            cells.reset(&wanted);
            if let Feed::Parquet(feed) = &mut self.feed {
                let from = self.next_line;
                let more = feed
                    .next_batch(&wanted, from, max_rows, &mut self.block, cells)
                    .map_err(|source| DecodeError::Parquet { path: feed.path().to_owned(), source })?;
                if !more {
                    return Ok(None);
                }
                self.next_line += cells.rows() as u64;
                self.report.lines += cells.rows() as u64;
                if let (Some(layout), true) = (&self.lines.layout, cells.rows() > 0) {
                    cells.note_field_list(&layout.names.join(" "));
                }
                return Ok(Some(self.batch_of(&self.lines)));
            }
            let progress = self.cut(&wanted, needle, max_rows, cells, refused);
            self.at = progress.next;
            self.next_line += progress.lines;
            self.report.lines += progress.lines;
            self.report.blank += progress.blank;
            self.report.headers += progress.headers;
            self.report.short += cells.short.len() as u64;
            let any = cells.rows() > 0 || !refused.is_empty();
            if let Some(layout) = progress.rebound {
                // What has been cut belongs to the old layout; if that is nothing, the new one begins at once.
                let new = Lines::flow(layout, self.lines.timestamped).carrying(&self.alternatives);
                self.previous = std::mem::replace(&mut self.lines, new);
                self.wanted = None;
                self.cutter = None;
                if any {
                    return Ok(Some(self.batch_of(&self.previous)));
                }
                continue;
            }
            if any {
                self.fill_from_key(&wanted, cells);
                return Ok(Some(self.batch_of(&self.lines)));
            }
        }
    }

    fn batch_of<'a>(&'a self, lines: &'a Lines) -> Batch<'a> {
        Batch {
            block: &self.block,
            offset: self.info.offset,
            kind: lines.kind,
            layout: lines.layout.as_ref(),
            carried: &lines.carried,
        }
    }

    fn next_block(&mut self) -> Result<bool, DecodeError> {
        if self.done {
            return Ok(false);
        }
        let mut header = None;
        let info = match &mut self.feed {
            Feed::Text(reader) => reader.next_block(&mut self.block)?,
            Feed::Events(events) => events.next_block(&mut self.block)?.map(|events| {
                self.next_line = events.first_event;
                BlockInfo::default()
            }),
            Feed::Shared(shared) => shared.take(&mut self.block)?.map(|taken| {
                self.next_line = taken.first_line;
                self.last_ending = taken.ending;
                self.consumed += taken.read;
                header = Some(taken.header);
                let lines = taken.lines.carrying(&self.alternatives);
                if lines != self.lines {
                    self.lines = lines;
                    self.wanted = None;
                    self.cutter = None;
                }
                taken.info
            }),
            Feed::Parquet(_) => None,
        };
        match info {
            Some(info) => {
                self.begin_block(info);
                self.header = header;
            }
            None => self.done = true,
        }
        Ok(!self.done)
    }

    fn begin_block(&mut self, info: BlockInfo) {
        self.at = 0;
        self.header = None;
        self.info = info;
        self.text = self.block.len();
        self.report.bytes += self.text as u64;
        self.torn = info.cut.is_some();
        let broken = self.ending().is_broken();
        if self.torn {
            self.text = 0;
        } else if broken && self.block.last() != Some(&b'\n') {
            // The last line broke off with the data: even if it looks whole, its last field may not be.
            self.text = memchr::memrchr(b'\n', &self.block).map_or(0, |end| end + 1);
            self.torn = self.text < self.block.len();
        }
        for (span, text) in self.key_spans.iter_mut().zip(&self.from_key) {
            let Some(text) = text else { continue };
            if matches!(self.lines.kind, LogKind::AlbConnection | LogKind::AlbHealthCheck) && !self.torn {
                *span = Span::new(self.block.len(), self.block.len() + text.len());
                self.block.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn ending(&self) -> Ending {
        match &self.feed {
            Feed::Text(reader) => reader.ending(),
            Feed::Shared(_) => self.last_ending,
            Feed::Events(events) => events.content().ending(),
            Feed::Parquet(_) => Ending::Complete,
        }
    }

    fn cut(
        &mut self,
        wanted: &Wanted,
        needle: Option<&memmem::Finder<'_>>,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Progress {
        if self.at >= self.text {
            self.torn = false;
            refused.push(self.torn_line());
            return Progress { next: self.text, lines: 1, ..Progress::default() };
        }
        let cutter = self.cutter.get_or_insert_with(|| self.lines.cutter(wanted, &self.alternatives));
        let text = self.block.get(..self.text).unwrap_or_default();
        let Some(needle) = needle else {
            return cutter.cut(text, self.at, self.next_line, max_rows, cells, refused);
        };
        let header = match self.header {
            Some(header) if header >= self.at => header,
            _ if self.next_line == 1 => self.at,
            _ => self.lines.next_header(text, self.at),
        };
        self.header = Some(header);
        let line = memchr::memrchr(b'\n', text.get(self.at..header).unwrap_or_default());
        match line {
            // Up to the line with the header, and then that line alone, are cut differently.
            Some(end) => {
                let before = text.get(..self.at + end + 1).unwrap_or(text);
                let (progress, passed) =
                    cut_matching(cutter, before, self.at, self.next_line, needle, max_rows, cells, refused);
                self.report.passed_over += passed;
                progress
            }
            None if header >= text.len() => {
                let (progress, passed) =
                    cut_matching(cutter, text, self.at, self.next_line, needle, max_rows, cells, refused);
                self.report.passed_over += passed;
                progress
            }
            None => {
                let rest = text.get(header..).unwrap_or_default();
                let end = memchr::memchr(b'\n', rest).map_or(text.len(), |end| header + end + 1);
                let line = text.get(..end).unwrap_or(text);
                cutter.cut(line, self.at, self.next_line, max_rows, cells, refused)
            }
        }
    }

    fn torn_line(&self) -> Refusal {
        let reason = match self.info.cut {
            Some(dropped) => format!("the line is longer than {} bytes", self.block.len() as u64 + dropped),
            None => format!("the line breaks off: {}", self.ending()),
        };
        let len = (self.block.len() - self.text) as u32;
        Refusal { line: self.next_line, start: self.text as u32, len, reason }
    }

    /// Connection and health check lines that are too old to name their load balancer get it from the object's key.
    fn fill_from_key(&self, wanted: &Wanted, cells: &mut Cells) {
        if !matches!(self.lines.kind, LogKind::AlbConnection | LogKind::AlbHealthCheck) {
            return;
        }
        for (name, filling) in ["elb", "ip_address"].into_iter().zip(self.key_spans) {
            let slot = self.lines.kind.column_index(name).and_then(|column| wanted.slot(column));
            if let Some(column) = slot.and_then(|slot| cells.spans.get_mut(slot)) {
                column.iter_mut().filter(|span| span.is_none()).for_each(|span| *span = filling);
            }
        }
    }
}

thread_local! {
    /// The block of the object before, into which the next one is inflated: a fresh buffer would cost more in page
    /// faults than cutting its lines does, and a second one would double the memory.
    static SPARE: std::cell::Cell<Vec<u8>> = const { std::cell::Cell::new(Vec::new()) };
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.block));
    }
}
