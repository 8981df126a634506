//! What the lines of an object are, and how they are cut.

use memchr::memmem;

use super::decode::{DecodeOptions, Skip};
use super::recognise::{JsonKind, Recognition};
use crate::format::LogKind;
use crate::parse::cells::{Cells, Refusal, Wanted};
use crate::parse::elb::ElbCutter;
use crate::parse::flow::{FlowCutter, Layout, is_field_name};
use crate::parse::progress::Progress;
use crate::parse::scan::next_wordy_line;
use crate::parse::values::is_event_time;

/// What the lines that come next are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lines {
    pub kind: LogKind,
    pub layout: Option<Layout>,
    pub timestamped: bool,
    pub carried: Vec<usize>,
}

/// What a text makes of the lines behind it.
pub(super) struct After {
    /// Where in the text the first line stands that may be a header; its length if none does.
    pub header: usize,
    /// What the lines are behind it, where a header has changed that.
    pub lines: Option<Lines>,
}

/// Cuts lines of one kind.
pub(super) enum Cutter {
    Flow(Box<FlowCutter>),
    Elb(Box<ElbCutter>),
}

impl Lines {
    pub fn flow(layout: Layout, timestamped: bool) -> Lines {
        Lines { kind: layout.kind, carried: layout.carried(), layout: Some(layout), timestamped }
    }

    /// A line may also be of one of these layouts, so their columns can come too.
    pub fn carrying(mut self, alternatives: &[Layout]) -> Lines {
        for layout in alternatives.iter().filter(|layout| layout.kind == self.kind) {
            self.carried.extend(layout.carried());
        }
        self.carried.sort_unstable();
        self.carried.dedup();
        self
    }

    pub fn elb(kind: LogKind) -> Lines {
        Lines { kind, layout: None, timestamped: false, carried: (0..kind.columns().len()).collect() }
    }

    /// What lines so recognised are, or why they are not read.
    pub fn of(recognition: Recognition, options: &DecodeOptions) -> Result<Lines, Skip> {
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

    /// Where, from `from` (where a line begins) on, a line begins that may be a header: passing over it would miss a
    /// change of layout. The text's length if nowhere.
    pub fn next_header(&self, text: &[u8], from: usize) -> usize {
        let Some(layout) = &self.layout else { return text.len() };
        let mut at = from;
        loop {
            at = next_wordy_line(text, at, self.timestamped);
            let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) else { return text.len() };
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let mut tokens =
                line.trim_ascii_end().split(|byte| *byte == b' ').filter(|token| !token.is_empty());
            let mut first = tokens.next().unwrap_or_default();
            if self.timestamped && is_event_time(first) {
                first = tokens.next().unwrap_or_default();
            }
            if is_field_name(first) || layout.names.first().is_some_and(|name| name.as_bytes() == first) {
                return at;
            }
            let Some(end) = end else { return text.len() };
            at += end + 1;
        }
    }

    /// What `text` makes of the lines behind it; `is_first` where it is the beginning of the whole.
    pub fn after(&self, text: &[u8], is_first: bool) -> After {
        let mut after = After { header: text.len(), lines: None };
        let mut at = 0;
        while at < text.len() {
            let current = after.lines.as_ref().unwrap_or(self);
            let begins = is_first && at == 0;
            let header = if begins { 0 } else { current.next_header(text, at) };
            after.header = after.header.min(header);
            let Some(rest) = text.get(header..).filter(|rest| !rest.is_empty()) else { break };
            let end = memchr::memchr(b'\n', rest).map_or(text.len(), |end| header + end + 1);
            let wanted = Wanted::new(current.kind.columns().len(), &[], false);
            let mut cells = Cells::default();
            cells.reset(&wanted);
            let mut cutter = current.cutter(&wanted, &[]);
            let line = text.get(..end).unwrap_or(text);
            // Of a header's number only matters whether it is the first line's.
            let number = if begins { 1 } else { 2 };
            let progress = cutter.cut(line, header, number, 1, &mut cells, &mut Vec::new());
            if let Some(layout) = progress.rebound {
                after.lines = Some(Lines::flow(layout, self.timestamped));
            }
            at = end;
        }
        after
    }

    pub fn cutter(&self, wanted: &Wanted, alternatives: &[Layout]) -> Cutter {
        match &self.layout {
            Some(layout) => Cutter::Flow(Box::new(
                FlowCutter::new(layout.clone(), wanted.clone())
                    .timestamped(self.timestamped)
                    .with_alternatives(alternatives),
            )),
            None => Cutter::Elb(Box::new(ElbCutter::new(self.kind, wanted).timestamped(self.timestamped))),
        }
    }
}

impl Cutter {
    pub fn cut(
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
pub(super) fn cut_matching(
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

pub(super) fn count_lines(text: &[u8]) -> u64 {
    let ended = memchr::memchr_iter(b'\n', text).count() as u64;
    ended + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

/// A container, in words.
pub(super) fn describe(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::FilterLogEvents => "CloudWatch Logs events",
        JsonKind::Subscription => "CloudWatch Logs subscription envelopes",
        JsonKind::Message => "Firehose records",
        JsonKind::Vended(_) => "load balancer records as JSON",
    }
}
