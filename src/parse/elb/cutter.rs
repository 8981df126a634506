//! The cutter: lines of a block into the cells of the wanted columns.

use memchr::memchr;

use super::Progress;
use super::layout::{Check, Cut, Layout, layout};
use super::lookalike::{Lookalike, lookalike};
use super::marks::Marks;
use super::mend::{self, Mended, bare_and_quoted, has_time_or_dash, request_quote};
use super::parts::{self, Piece};
use super::stretch::{PlainLine, STRETCH};
use super::tokenizer::{Next, Token, Tokenizer};
use crate::format::LogKind;
use crate::parse::cells::{Cells, Extra, ExtraField, Refusal, Span, Wanted};
use crate::parse::values::is_event_time;

/// Where the columns of one field go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Put {
    Nowhere,
    Whole(usize),
    Endpoint([Option<usize>; 2]),
    Request([Option<usize>; 3]),
}

/// What is done with one field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    check: Check,
    pub(super) put: Put,
}

/// How many more rows and refusals may be added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) rows: usize,
    pub(super) refusals: usize,
}

impl Left {
    pub(super) fn is_nothing(self) -> bool {
        self.rows == 0 || self.refusals == 0
    }
}

/// Why a line is not a row; fields are counted from 0.
#[derive(Clone, Copy, Debug)]
enum Fault {
    TooFew { found: usize },
    Shape { field: usize, expected: &'static str },
    Unclosed { field: usize },
    Moved { field: usize },
}

/// Cuts the lines of one kind of load balancer log.
///
/// Refused are: a line with fewer fields than any line of its kind ever had (ALB access 18, connection 11,
/// health check 8, Classic 12, NLB 18), a line that does not begin as its kind does (which may be of another
/// kind: the reason says which), and a line with a quote that never closes or that shifts the fields behind
/// it, where the fields behind the user agent do not show what was meant. If the wanted columns end earlier
/// in the line, it is not read further, and a fault behind them goes unnoticed; a last line without its end
/// is read at least as far as its kind's fewest fields.
#[derive(Clone, Debug)]
pub struct ElbCutter {
    kind: LogKind,
    pub(super) layout: &'static Layout,
    pub(super) steps: Vec<Step>,
    /// How many fields of a line are looked at.
    pub(super) reach: usize,
    /// The fields among them that have a shape, with it.
    pub(super) checks: Vec<(usize, Check)>,
    /// Whether what lies beyond the known fields is wanted.
    pub(super) beyond: bool,
    /// The row being cut, by slot.
    row: Vec<Span>,
    /// What lay beyond the known fields of that row.
    extra: Vec<(ExtraField, Span)>,
    timestamped: bool,
    marks: Marks,
    pub(super) plain: Vec<PlainLine>,
}

impl ElbCutter {
    /// A cutter of a kind's lines for these columns. For the flow log kinds, which are not cut here, it
    /// refuses each line.
    pub fn new(kind: LogKind, wanted: &Wanted) -> ElbCutter {
        let layout = layout(kind);
        let mut column = 0;
        let mut reach = 0;
        let mut steps = Vec::with_capacity(layout.fields.len());
        for (position, rule) in layout.fields.iter().enumerate() {
            let slot = |part: usize| wanted.slot(column + part);
            let put = match rule.cut {
                Cut::Whole => slot(0).map_or(Put::Nowhere, Put::Whole),
                Cut::Endpoint => Put::Endpoint([slot(0), slot(1)]),
                Cut::Request => Put::Request([slot(0), slot(1), slot(2)]),
            };
            let is_wanted = (0..rule.cut.columns()).any(|part| slot(part).is_some());
            if is_wanted || matches!(rule.check, Check::Leading(..)) {
                reach = position + 1;
            }
            steps.push(Step { check: rule.check, put: if is_wanted { put } else { Put::Nowhere } });
            column += rule.cut.columns();
        }
        if layout.request.is_some_and(|request| reach > request) {
            reach = reach.max(layout.request_proof);
        }
        if wanted.extra {
            reach = layout.fields.len();
        }
        let row = vec![Span::NONE; wanted.columns().len()];
        let has_shape = |(position, step): (usize, &Step)| match step.check {
            Check::Any => None,
            check => Some((position, check)),
        };
        let checks = steps.iter().enumerate().take(reach).filter_map(has_shape).collect();
        ElbCutter {
            kind,
            layout,
            steps,
            reach,
            checks,
            beyond: wanted.extra,
            row,
            extra: Vec::new(),
            timestamped: false,
            marks: Marks::default(),
            plain: Vec::new(),
        }
    }

    /// Drops the event time that a CloudWatch Logs export writes before each line.
    pub fn timestamped(self, timestamped: bool) -> ElbCutter {
        ElbCutter { timestamped, ..self }
    }

    /// How many bytes of a line are the event time of an export and what parts it from the record.
    fn event_time(&self, line: &[u8]) -> usize {
        let space = line.iter().take(40).position(|byte| *byte == b' ');
        let Some((time, rest)) = space.and_then(|space| line.split_at_checked(space)) else { return 0 };
        let record = rest.trim_ascii_start();
        // A line without an event time keeps the time that is its own.
        let begins_with_time = matches!(self.kind, LogKind::Clb | LogKind::AlbConnection);
        let second = record.split(|byte| *byte == b' ').next().unwrap_or_default();
        if !is_event_time(time) || (begins_with_time && !is_event_time(second)) {
            return 0;
        }
        line.len() - record.len()
    }

    /// The kind of log it cuts.
    pub fn kind(&self) -> LogKind {
        self.kind
    }

    /// Cuts lines from offset `from` of a block of whole lines (the last may lack its end), until the block
    /// ends or `max_rows` rows, or as many refusals, have been added. `first_line` is the number of the line
    /// at `from`. `cells` must have been reset with the same columns; rows are appended, so may be taken from
    /// one block only.
    pub fn cut_block(
        &mut self,
        block: &[u8],
        first_line: u64,
        from: usize,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Progress {
        let mut progress = Progress { next: from.min(block.len()), ..Progress::default() };
        let mut left = Left { rows: max_rows, refusals: max_rows };
        while !left.is_nothing() && progress.next < block.len() {
            let start = progress.next;
            if !self.timestamped {
                let to = start.saturating_add(STRETCH);
                let mut marks = std::mem::take(&mut self.marks);
                if self.layout.quotes {
                    marks.find::<true>(block, start, to);
                    self.cut_stretch::<true>(
                        block,
                        &marks,
                        first_line,
                        &mut left,
                        cells,
                        refused,
                        &mut progress,
                    );
                } else {
                    marks.find::<false>(block, start, to);
                    self.cut_stretch::<false>(
                        block,
                        &marks,
                        first_line,
                        &mut left,
                        cells,
                        refused,
                        &mut progress,
                    );
                }
                self.marks = marks;
            }
            if progress.next == start {
                // A line longer than the stretch, or the last one without its end.
                let rest = block.get(start..).unwrap_or_default();
                let newline = memchr(b'\n', rest).map(|length| start + length);
                self.take_line(block, newline, first_line, &mut left, cells, refused, &mut progress);
            }
        }
        progress
    }

    /// Takes the next line, of whatever sort, which ends at this newline or with the block.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn take_line(
        &mut self,
        block: &[u8],
        newline: Option<usize>,
        first_line: u64,
        left: &mut Left,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
        progress: &mut Progress,
    ) {
        let start = progress.next;
        let line = block.get(start..newline.unwrap_or(block.len())).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = first_line.saturating_add(progress.lines);
        progress.next = newline.map_or(block.len(), |newline| newline + 1);
        progress.lines += 1;
        if line.iter().all(|&byte| byte == b' ') {
            progress.blank += 1;
            return;
        }
        let dropped = if self.timestamped { self.event_time(line) } else { 0 };
        let record = line.get(dropped..).unwrap_or_default();
        match self.cut_line(record, start + dropped, newline.is_some()) {
            Ok(()) => {
                self.push_row(number, Span::new(start, start + line.len()), cells);
                left.rows -= 1;
            }
            Err(fault) => {
                refused.push(Refusal {
                    line: number,
                    start: start as u32,
                    len: line.len() as u32,
                    reason: self.reason(line, fault, newline.is_some()),
                });
                left.refusals -= 1;
            }
        }
    }

    #[inline]
    fn push_row(&mut self, number: u64, whole: Span, cells: &mut Cells) {
        if !self.extra.is_empty() {
            let row = cells.rows() as u32;
            cells.extra.extend(self.extra.iter().map(|&(field, span)| Extra { row, field, span }));
        }
        cells.lines.push(number);
        cells.whole.push(whole);
        for (column, &span) in cells.spans.iter_mut().zip(&self.row) {
            column.push(span);
        }
    }

    #[inline]
    fn cut_line(&mut self, line: &[u8], base: usize, ended: bool) -> Result<(), Fault> {
        let reach = if ended { self.reach } else { self.reach.max(self.layout.fewest) };
        let reach = reach.min(self.steps.len());
        self.clear();
        let done = if self.layout.quotes {
            self.read::<true>(line, base, 0, 0, reach, true)
        } else {
            self.read::<false>(line, base, 0, 0, reach, true)
        };
        done.or_else(|fault| self.read_again(line, base, reach, fault))
    }

    #[inline]
    fn clear(&mut self) {
        self.row.fill(Span::NONE);
        self.extra.clear();
    }

    /// Reads the fields `first..reach` from offset `at` of the line, then what lies beyond if that is wanted.
    #[inline(always)]
    fn read<const QUOTES: bool>(
        &mut self,
        line: &[u8],
        base: usize,
        at: usize,
        first: usize,
        reach: usize,
        strict: bool,
    ) -> Result<(), Fault> {
        let mut fields = Tokenizer::<QUOTES>::new(line, at);
        let mut found = reach;
        for (position, step) in self.steps.iter().enumerate().take(reach).skip(first) {
            let token = match fields.next_field() {
                Next::Field(token) => token,
                Next::Unclosed(_) => return Err(Fault::Unclosed { field: position }),
                Next::End => {
                    found = position;
                    break;
                }
            };
            match step.check {
                Check::Any => {}
                Check::Leading(test, expected) => {
                    if !test(token.of(line)) {
                        return Err(Fault::Shape { field: position, expected });
                    }
                }
                Check::AfterFreeText(test) => {
                    if strict && (token.quoted || !test(token.of(line))) {
                        return Err(Fault::Moved { field: position });
                    }
                }
            }
            match step.put {
                Put::Nowhere => {}
                Put::Whole(slot) => set(&mut self.row, Some(slot), span(line, base, token)),
                parts => put(&mut self.row, parts, line, base, token),
            }
        }
        if found < reach && found < self.layout.fewest {
            return Err(Fault::TooFew { found });
        }
        if found < self.steps.len() {
            return Ok(());
        }
        // Whoever has looked at every known field sees the line's end too: a quote open there moves fields before it.
        loop {
            match fields.next_field() {
                Next::Field(token) => {
                    found += 1;
                    if self.beyond {
                        let place = ExtraField::Position(u16::try_from(found).unwrap_or(u16::MAX));
                        self.extra.push((place, span(line, base, token)));
                    }
                }
                Next::Unclosed(_) => return Err(Fault::Unclosed { field: found }),
                Next::End => return Ok(()),
            }
        }
    }

    /// Reads a line again whose quotes do not add up, with other ends of its request and user agent.
    #[cold]
    fn read_again(&mut self, line: &[u8], base: usize, reach: usize, fault: Fault) -> Result<(), Fault> {
        let Some(request) = self.layout.request else { return Err(fault) };
        let field = match fault {
            // A quote that closes late swallows fields: those of an old line are then too few.
            Fault::Moved { field } | Fault::Unclosed { field } | Fault::TooFew { found: field } => field,
            Fault::Shape { .. } => return Err(fault),
        };
        if field < request {
            return Err(fault);
        }
        let with_arn = self.kind == LogKind::Alb;
        if let Some(open) = request_quote(line, request) {
            for mended in mend::readings(line, open, with_arn) {
                if self.is_plausible(line, &mended, request)
                    && self.read_mended(line, base, reach, &mended).is_ok()
                {
                    return Ok(());
                }
            }
        }
        // Values of an unknown form in their right places are values; fields that have moved are not.
        if matches!(fault, Fault::Moved { .. }) && self.is_in_place(line, request) {
            self.clear();
            return self.read::<true>(line, base, 0, 0, reach, false);
        }
        Err(fault)
    }

    fn read_mended(&mut self, line: &[u8], base: usize, reach: usize, mended: &Mended) -> Result<(), Fault> {
        let Some(request) = self.layout.request else { return Ok(()) };
        self.clear();
        // The fields before the request have been read once: nothing in them can fail.
        let mut fields = Tokenizer::<true>::new(line, 0);
        for step in self.steps.iter().take(request) {
            if let Next::Field(token) = fields.next_field() {
                put(&mut self.row, step.put, line, base, token);
            }
        }
        for (position, token) in [(request, mended.request), (request + 1, mended.user_agent)] {
            if let Some(step) = self.steps.get(position) {
                put(&mut self.row, step.put, line, base, token);
            }
        }
        self.read::<true>(line, base, mended.rest, request + 2, reach, true)
    }

    /// Whether the fields behind a mended user agent are where they belong.
    fn is_plausible(&self, line: &[u8], mended: &Mended, request: usize) -> bool {
        let Some(behind) = bare_and_quoted(line, mended.rest) else { return false };
        let count = request + 2 + behind.len();
        match self.kind {
            LogKind::Alb => {
                count >= self.layout.fewest && has_time_or_dash(line, &behind, CREATION_TIME - request - 2)
            }
            _ => count >= self.steps.len(),
        }
    }

    /// Whether a line as its quotes stand has its fields where they belong, whatever they hold: the free text
    /// is followed by fields of a possible form, or else a field far behind it is the one that it must be.
    fn is_in_place(&self, line: &[u8], request: usize) -> bool {
        let Some(all) = bare_and_quoted(line, 0) else { return false };
        let possible = self.layout.fields.iter().zip(&all).all(|(rule, token)| match rule.check {
            Check::AfterFreeText(test) => test(token.of(line)),
            _ => true,
        });
        possible
            || match self.kind {
                LogKind::Alb => all.len() > CREATION_TIME && has_time_or_dash(line, &all, CREATION_TIME),
                _ => all.len() == self.steps.len() && all.get(request).is_some_and(|token| token.quoted),
            }
    }

    #[cold]
    fn reason(&self, line: &[u8], fault: Fault, ended: bool) -> String {
        let kind = self.kind;
        if let Some(other) = lookalike(line).filter(|&other| other != Lookalike::Log(kind)) {
            return format!("{} among {kind} lines", other.title());
        }
        match fault {
            Fault::TooFew { found } if !ended => {
                format!(
                    "truncated: the file ends after {found} fields, expected at least {}",
                    self.layout.fewest
                )
            }
            Fault::TooFew { found } => {
                format!("{found} fields, expected at least {} ({kind})", self.layout.fewest)
            }
            Fault::Shape { field, expected } => format!("field {} is not {expected}", field + 1),
            Fault::Unclosed { field } if !ended => {
                format!("truncated: the file ends within the quotes of field {}", field + 1)
            }
            Fault::Unclosed { field } => format!("the quote of field {} is not closed", field + 1),
            Fault::Moved { field } => format!(
                "field {} cannot stand behind the user agent: expected no bare quote in the request or the user agent",
                field + 1
            ),
        }
    }
}

/// The position from 0 of an ALB access log's `request_creation_time`.
const CREATION_TIME: usize = 21;

/// The span of a field, none if it is `-`.
#[inline]
fn span(line: &[u8], base: usize, token: Token) -> Span {
    let length = token.end.saturating_sub(token.start);
    if length == 0 || (length == 1 && line.get(token.start) == Some(&b'-')) {
        return Span::NONE;
    }
    Span::new(base + token.start, base + token.end)
}

#[inline]
fn put(row: &mut [Span], put: Put, line: &[u8], base: usize, token: Token) {
    match put {
        Put::Nowhere => {}
        Put::Whole(slot) => set(row, Some(slot), span(line, base, token)),
        Put::Endpoint([address_slot, port_slot]) => {
            let (address, port) = parts::endpoint(token.of(line));
            set(row, address_slot, part(base, token, address));
            set(row, port_slot, part(base, token, port));
        }
        Put::Request(slots) => {
            for (slot, piece) in slots.into_iter().zip(parts::request(token.of(line))) {
                set(row, slot, part(base, token, piece));
            }
        }
    }
}

#[inline]
fn part(base: usize, token: Token, (start, end): Piece) -> Span {
    if start >= end {
        return Span::NONE;
    }
    Span::new(base + token.start + start, base + token.start + end)
}

#[inline]
fn set(row: &mut [Span], slot: Option<usize>, span: Span) {
    if let Some(cell) = slot.and_then(|slot| row.get_mut(slot)) {
        *cell = span;
    }
}
