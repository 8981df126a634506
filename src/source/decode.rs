//! One object, from its bytes to cells: what it holds is recognised, its envelope taken off, its lines cut.
//!
//! This is the one way in for the ingest and for SQL over raw files, so that both see the same rows, the same refusals
//! and the same counts.

use memchr::memmem;

use super::aws_parquet::ParquetFeed;
use super::content::{BlockInfo, ContentKind, ContentReader, Identity, ReadError, Scratch};
use super::envelope::{EnvelopeError, EnvelopeReader, EnvelopeStats};
use super::gzip::Ending;
use super::locate::Located;
use super::recognise::{JsonKind, Recognition, recognise};
use crate::format::LogKind;
use crate::parse::cells::{Cells, Refusal, Span, Wanted};
use crate::parse::elb::ElbCutter;
use crate::parse::flow::{FlowCutter, Layout};
use crate::parse::progress::Progress;
use crate::parse::scan::next_wordy_line;

/// How objects are to be read.
#[derive(Clone, Debug, Default)]
pub struct DecodeOptions {
    /// Field lists for lines without a header (`--log-format`); the default formats need none.
    pub layouts: Vec<Layout>,
}

/// What opening an object gave.
pub enum Opening<'s> {
    /// A log.
    Log(Box<Decoder<'s>>),
    /// Not a log, or nothing in it.
    Skip(Skip),
}

/// Why an object is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// In a few words: what it is.
    pub what: String,
    /// Whether that is what one expects to find among logs (test objects, empty objects), or something else.
    pub expected: bool,
}

/// Why an object could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The JSON around the lines.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The Parquet file.
    #[error("{path}: {source} (is the file whole?)")]
    Parquet {
        /// The object.
        path: String,
        /// Why.
        source: parquet::errors::ParquetError,
    },
}

/// What has been counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Lines (or events, or Parquet rows), headers and blank ones included.
    pub lines: u64,
    /// Blank lines.
    pub blank: u64,
    /// Header lines.
    pub headers: u64,
    /// Rows with fewer fields than their header.
    pub short: u64,
    /// Lines that were not cut because they do not hold what was searched for.
    pub passed_over: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// How the compressed bytes ended.
    pub ending: Ending,
    /// What was in the envelope, where there is one.
    pub envelope: EnvelopeStats,
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
    Events(Box<EnvelopeReader<'s>>),
    Parquet(Box<ParquetFeed>),
}

enum Cutter {
    Flow(Box<FlowCutter>),
    Elb(Box<ElbCutter>),
}

/// What the lines that come next are.
#[derive(Clone)]
struct Lines {
    kind: LogKind,
    layout: Option<Layout>,
    timestamped: bool,
    carried: Vec<usize>,
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
    from_key: [Option<String>; 2],
    key_spans: [Span; 2],
    done: bool,
}

impl<'s> Decoder<'s> {
    /// Opens an object and recognises what it holds.
    pub fn open(
        located: &Located,
        options: &DecodeOptions,
        scratch: &'s mut Scratch,
    ) -> Result<Opening<'s>, DecodeError> {
        scratch.take_text_buffer(SPARE.take());
        Decoder::open_reader(ContentReader::open(located, scratch)?, located, options)
    }

    /// Recognises what a reader that nothing has been taken from holds; `located` is what it reads.
    pub fn open_reader(
        reader: ContentReader<'s>,
        located: &Located,
        options: &DecodeOptions,
    ) -> Result<Opening<'s>, DecodeError> {
        match reader.kind() {
            ContentKind::Empty => return Ok(skip("empty", true)),
            ContentKind::Parquet => {
                let path = located.path.clone();
                let feed = ParquetFeed::open(reader, located)
                    .map_err(|source| DecodeError::Parquet { path: path.clone(), source })?;
                let Some(feed) = feed else {
                    return Ok(skip("a Parquet file that holds no flow log columns", false));
                };
                let lines = Lines {
                    kind: feed.kind(),
                    layout: Some(feed.layout().clone()),
                    timestamped: false,
                    carried: feed.layout().carried(),
                };
                return Ok(Opening::Log(Box::new(Decoder::new(
                    Feed::Parquet(Box::new(feed)),
                    lines,
                    located,
                    options,
                ))));
            }
            ContentKind::Text => {}
            other => return Ok(skip(other.refusal().unwrap_or("binary data"), false)),
        }
        let recognition = recognise(ContentKind::Text, reader.sniff());
        if let Recognition::Json(kind) = &recognition {
            return Decoder::open_events(reader, kind, located, options);
        }
        Ok(match Lines::of(recognition, options) {
            Ok(lines) => Opening::Log(Box::new(Decoder::new(Feed::Text(reader), lines, located, options))),
            Err(skip) => Opening::Skip(skip),
        })
    }

    fn open_events(
        reader: ContentReader<'s>,
        kind: &JsonKind,
        located: &Located,
        options: &DecodeOptions,
    ) -> Result<Opening<'s>, DecodeError> {
        let mut events = EnvelopeReader::new(reader);
        let mut block = Vec::new();
        // The first event tells what the events are; control messages and empty pages may come before it.
        let Some(first) = events.next_block(&mut block)? else {
            return Ok(skip("an envelope without log events", true));
        };
        Ok(match Lines::of(recognise(ContentKind::Text, &block), options) {
            Ok(lines) => {
                let mut decoder = Decoder::new(Feed::Events(Box::new(events)), lines, located, options);
                decoder.block = block;
                decoder.next_line = first.first_event;
                decoder.begin_block(BlockInfo::default());
                Opening::Log(Box::new(decoder))
            }
            Err(skip) => {
                Opening::Skip(Skip { what: format!("{} of: {}", describe(*kind), skip.what), ..skip })
            }
        })
    }

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
            from_key: [located.key.load_balancer.clone(), located.key.node_ip.clone()],
            key_spans: [Span::NONE; 2],
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

    /// What has been counted; final once `next_batch` has returned `None`.
    pub fn report(&self) -> FileReport {
        let mut report = self.report;
        match &self.feed {
            Feed::Text(reader) => report.ending = reader.ending(),
            Feed::Events(events) => {
                report.ending = events.content().ending();
                report.envelope = events.stats();
            }
            Feed::Parquet(_) => {}
        }
        report
    }

    /// The object's identity: at once for objects that are read whole, else when everything has been read.
    pub fn identity(&self) -> Option<Identity> {
        match &self.feed {
            Feed::Text(reader) => reader.identity(),
            Feed::Events(events) => events.content().identity(),
            Feed::Parquet(feed) => feed.identity(),
        }
    }

    /// Cuts the next rows, at most `max_rows`, into `cells`; lines that are no rows go to `refused`.
    ///
    /// `want` is asked which columns of a kind are wanted, among those that the input carries; `None` ends the reading.
    /// With a `needle`, only lines that hold this text are cut. A batch never mixes kinds or layouts; it may have
    /// refusals and no rows. `None` at the end.
    pub fn next_batch(
        &mut self,
        want: &mut dyn FnMut(LogKind, &[usize]) -> Option<Wanted>,
        needle: Option<&memmem::Finder<'_>>,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Result<Option<Batch<'_>>, DecodeError> {
        loop {
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
                return Ok(Some(self.batch_of(&self.lines)));
            }
            if self.at >= self.text && !self.torn && !self.next_block()? {
                return Ok(None);
            }
            let progress = self.cut(&wanted, needle, max_rows, cells, refused);
            self.at = progress.next;
            self.next_line += progress.lines;
            self.report.lines += progress.lines;
            self.report.blank += progress.blank;
            self.report.headers += progress.headers;
            self.report.short += cells.short;
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
        let info = match &mut self.feed {
            Feed::Text(reader) => reader.next_block(&mut self.block)?,
            Feed::Events(events) => events.next_block(&mut self.block)?.map(|events| {
                self.next_line = events.first_event;
                BlockInfo::default()
            }),
            Feed::Parquet(_) => None,
        };
        match info {
            Some(info) => self.begin_block(info),
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
        let broken = matches!(self.ending(), Ending::Truncated { .. } | Ending::Corrupt { .. });
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

fn skip<'s>(what: &str, expected: bool) -> Opening<'s> {
    Opening::Skip(Skip { what: what.to_owned(), expected })
}

impl Lines {
    fn flow(layout: Layout, timestamped: bool) -> Lines {
        Lines { kind: layout.kind, carried: layout.carried(), layout: Some(layout), timestamped }
    }

    /// A line may also be of one of these layouts, so their columns can come too.
    fn carrying(mut self, alternatives: &[Layout]) -> Lines {
        for layout in alternatives.iter().filter(|layout| layout.kind == self.kind) {
            self.carried.extend(layout.carried());
        }
        self.carried.sort_unstable();
        self.carried.dedup();
        self
    }

    fn elb(kind: LogKind) -> Lines {
        Lines { kind, layout: None, timestamped: false, carried: (0..kind.columns().len()).collect() }
    }

    /// What lines so recognised are, or why they are not read.
    fn of(recognition: Recognition, options: &DecodeOptions) -> Result<Lines, Skip> {
        let given = options.layouts.first();
        let refuse = |what: String, expected: bool| Err(Skip { what, expected });
        Ok(match recognition {
            Recognition::FlowHeader { fields, .. } => Lines::flow(Layout::bind(&fields), false),
            Recognition::FlowDefault => {
                Lines::flow(given.cloned().unwrap_or_else(Layout::flow_default), false)
            }
            Recognition::TgwDefault => {
                Lines::flow(given.cloned().unwrap_or_else(Layout::transit_gateway_default), false)
            }
            Recognition::FlowHeaderless { tokens } => match given {
                Some(layout) => Lines::flow(layout.clone(), false),
                None => {
                    return refuse(
                        format!(
                            "flow log records of {tokens} fields without a header (say which with --log-format \
                             '<fields>', as `aws ec2 describe-flow-logs` shows)"
                        ),
                        false,
                    );
                }
            },
            Recognition::CloudWatchExport(inner) => {
                Lines { timestamped: true, ..Lines::of(*inner, options)? }
            }
            Recognition::Alb => Lines::elb(LogKind::Alb),
            Recognition::AlbConnection => Lines::elb(LogKind::AlbConnection),
            Recognition::AlbHealthCheck => Lines::elb(LogKind::AlbHealthCheck),
            Recognition::Clb => Lines::elb(LogKind::Clb),
            Recognition::Nlb => Lines::elb(LogKind::Nlb),
            Recognition::TestObject => return refuse("load balancer test object".to_owned(), true),
            Recognition::Empty => return refuse("nothing but blank lines".to_owned(), true),
            Recognition::Json(kind) => return refuse(describe(kind).to_owned(), false),
            Recognition::Parquet => return refuse("Parquet within something else".to_owned(), false),
            Recognition::Other { what } => match given {
                Some(layout) if what == "text" => Lines::flow(layout.clone(), false),
                _ => return refuse(what, false),
            },
        })
    }

    /// Where, from `from` (a line's begin) on, a line begins that may be a header: passing over it would miss a change
    /// of layout. The text's length if nowhere.
    fn next_header(&self, text: &[u8], from: usize) -> usize {
        if self.layout.is_none() { text.len() } else { next_wordy_line(text, from, self.timestamped) }
    }

    fn cutter(&self, wanted: &Wanted, alternatives: &[Layout]) -> Cutter {
        match &self.layout {
            Some(layout) => Cutter::Flow(Box::new(
                FlowCutter::new(layout.clone(), wanted.clone())
                    .timestamped(self.timestamped)
                    .with_alternatives(alternatives),
            )),
            None => Cutter::Elb(Box::new(ElbCutter::new(self.kind, wanted))),
        }
    }
}

impl Cutter {
    fn cut(
        &mut self,
        text: &[u8],
        from: usize,
        first_line: u64,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Progress {
        match self {
            Cutter::Flow(cutter) => cutter.cut_block(text, first_line, from, max_rows, cells, refused),
            Cutter::Elb(cutter) => cutter.cut_block(text, first_line, from, max_rows, cells, refused),
        }
    }
}

/// Cuts only the lines that hold the needle; returns also how many were passed over.
#[allow(clippy::too_many_arguments)]
fn cut_matching(
    cutter: &mut Cutter,
    text: &[u8],
    from: usize,
    first_line: u64,
    needle: &memmem::Finder<'_>,
    max_rows: usize,
    cells: &mut Cells,
    refused: &mut Vec<Refusal>,
) -> (Progress, u64) {
    let mut progress = Progress { next: from, ..Progress::default() };
    let mut passed = 0;
    while progress.next < text.len() && cells.rows() < max_rows && progress.rebound.is_none() {
        let rest = text.get(progress.next..).unwrap_or_default();
        let found = needle.find(rest);
        let skipped = match found {
            Some(at) => memchr::memrchr(b'\n', rest.get(..at).unwrap_or_default()).map_or(0, |end| end + 1),
            None => rest.len(),
        };
        let lines = count_lines(rest.get(..skipped).unwrap_or_default());
        passed += lines;
        progress.lines += lines;
        progress.next += skipped;
        let Some(at) = found else { break };
        let end = rest
            .get(at..)
            .and_then(|tail| memchr::memchr(b'\n', tail))
            .map_or(rest.len(), |end| at + end + 1);
        let line_end = progress.next - skipped + end;
        let line = text.get(..line_end).unwrap_or(text);
        let one = cutter.cut(line, progress.next, first_line + progress.lines, max_rows, cells, refused);
        progress.lines += one.lines;
        progress.blank += one.blank;
        progress.headers += one.headers;
        progress.rebound = one.rebound;
        progress.next = one.next.max(line_end);
    }
    (progress, passed)
}

fn count_lines(text: &[u8]) -> u64 {
    let ended = memchr::memchr_iter(b'\n', text).count() as u64;
    ended + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

fn describe(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::FilterLogEvents => "CloudWatch Logs events",
        JsonKind::Subscription => "CloudWatch Logs subscription envelopes",
        JsonKind::Message => "Firehose records",
        JsonKind::Vended(_) => "load balancer records as JSON",
    }
}
