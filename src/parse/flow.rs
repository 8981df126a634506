//! Cutting the lines of VPC and Transit Gateway flow logs, which have no quoting: fields are runs of non-spaces.
//!
//! Fields are bound by the header's names, never by position or by the value of `version` (a flow log's version says
//! only which names it may use). A header may come again, and differ, later in the same stream.

mod layout;

use std::sync::Arc;

use super::cells::{Cells, Extra, ExtraField, Refusal, Span, Wanted};
use super::columns::refusal_reason;
use super::look::{is_value, looks_like, typed_fields};
use super::progress::Progress;
use super::scan::Separators;
use super::values::is_event_time;
pub use layout::{FieldList, Layout, is_field_name};

/// How many bytes are searched for separators at a time: small enough that the positions stay in the cache.
const STRETCH: usize = 64 * 1024;

/// Cuts blocks of flow log lines into cells.
#[derive(Debug)]
pub struct FlowCutter {
    wanted: Wanted,
    layout: Layout,
    /// The layout's names, as [`Cells`] tell them.
    field_list: Arc<str>,
    /// For each slot of the cells: the field of the line, if the layout carries it.
    fields: Vec<Option<usize>>,
    /// Fields with unknown names, where these are wanted.
    unknown: Vec<usize>,
    /// The fields whose values are not just any text, with their columns in table order; none where all of these columns
    /// are wanted, since whoever converts them finds what is wrong.
    typed: Vec<(usize, usize)>,
    separators: Separators,
    timestamped: bool,
    alternatives: Vec<FlowCutter>,
    tokens: Vec<Span>,
}

/// What became of one line.
enum Line {
    Row,
    Blank,
    Header,
    Refused(String),
    Rebound(Layout),
}

impl FlowCutter {
    /// A cutter for lines of this layout.
    pub fn new(layout: Layout, wanted: Wanted) -> FlowCutter {
        let place = |wanted: &usize| layout.columns.iter().position(|column| *column == Some(*wanted));
        let fields = wanted.columns().iter().map(place).collect();
        let unknown = if wanted.extra {
            layout
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.is_none())
                .map(|(field, _)| field)
                .collect()
        } else {
            Vec::new()
        };
        FlowCutter {
            typed: typed_fields(&layout, &wanted),
            field_list: layout.names.join(" ").into(),
            wanted,
            layout,
            fields,
            unknown,
            separators: Separators::default(),
            timestamped: false,
            alternatives: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Drops the event time that a CloudWatch Logs export writes before each record.
    pub fn timestamped(mut self, timestamped: bool) -> FlowCutter {
        self.timestamped = timestamped;
        self
    }

    /// Chooses for each line among these layouts as well, by the number of its fields and then by their look.
    /// Layouts of another kind of log are left out.
    pub fn with_alternatives(mut self, layouts: &[Layout]) -> FlowCutter {
        self.alternatives = layouts
            .iter()
            .filter(|layout| layout.kind == self.layout.kind && **layout != self.layout)
            .map(|layout| FlowCutter::new(layout.clone(), self.wanted.clone()))
            .collect();
        self
    }

    /// The layout in force.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Cuts lines from `from` on until the block ends, `max_rows` rows are there, or another layout begins.
    ///
    /// `first_line` is the number of the line at `from`. Only the last line of the whole content may lack its end.
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
        while progress.next < block.len() && cells.rows() < max_rows && progress.rebound.is_none() {
            let start = progress.next;
            self.separators.find(block, start, start.saturating_add(STRETCH));
            if self.separators.newlines.is_empty() {
                // A line longer than the stretch, or the last one without its end.
                let found = block.get(start..).and_then(|rest| memchr::memchr(b'\n', rest));
                let end = found.map_or(block.len(), |length| start + length);
                self.take_line(block, start..end, found.is_none(), first_line, cells, refused, &mut progress);
            } else {
                let separators = std::mem::take(&mut self.separators);
                self.cut_stretch(block, &separators, first_line, max_rows, cells, refused, &mut progress);
                self.separators = separators;
            }
        }
        progress.next = progress.next.min(block.len());
        progress
    }

    /// Cuts the whole lines of a stretch.
    #[allow(clippy::too_many_arguments)]
    fn cut_stretch(
        &mut self,
        block: &[u8],
        separators: &Separators,
        first_line: u64,
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
        progress: &mut Progress,
    ) {
        let count = self.layout.columns.len();
        let careful = separators.adjacent || self.timestamped || !self.alternatives.is_empty();
        let mut first = 0; // the line's first separator
        let mut line = 0;
        while line < separators.newlines.len() && cells.rows() < max_rows && progress.rebound.is_none() {
            // The first line alone may be a header that begins with a name that is not known.
            if !careful && first_line + progress.lines != 1 {
                let room = max_rows - cells.rows();
                let rows = self.plain_rows(block, separators, first, line, progress.next, room);
                if rows > 0 {
                    let at = separators.at.get(first..first + rows * count).unwrap_or_default();
                    self.push_rows(at, progress.next, first_line + progress.lines, cells);
                    first += rows * count;
                    line += rows;
                    progress.lines += rows as u64;
                    progress.next = at.last().map_or(block.len(), |end| *end as usize + 1);
                    continue;
                }
            }
            let Some(&newline) = separators.newlines.get(line) else { break };
            let end = separators.at.get(newline as usize).map_or(block.len(), |end| *end as usize);
            self.take_line(block, progress.next..end, false, first_line, cells, refused, progress);
            first = newline as usize + 1;
            line += 1;
        }
    }

    /// How many of the lines from `line` on are plainly rows: as many fields as the layout has, none of them empty
    /// (the caller has made sure of that), no carriage return, not a header.
    fn plain_rows(
        &self,
        block: &[u8],
        separators: &Separators,
        first: usize,
        line: usize,
        start: usize,
        most: usize,
    ) -> usize {
        let count = self.layout.columns.len();
        let newlines = separators.newlines.iter().skip(line).take(most);
        let at = separators.at.get(first..).unwrap_or_default();
        let mut start = start;
        let mut rows = 0;
        let mut due = first + count;
        for (newline, row) in newlines.zip(at.chunks_exact(count)) {
            let (Some(&token_end), Some(&end)) = (row.first(), row.last()) else { break };
            let end = end as usize;
            if *newline as usize + 1 != due
                || end.checked_sub(1).and_then(|last| block.get(last)) == Some(&b'\r')
                || self.may_be_header(block, start, token_end as usize)
            {
                break;
            }
            rows += 1;
            due += count;
            start = end + 1;
        }
        rows
    }

    /// Pushes rows that follow each other, each with exactly the layout's fields; `at` holds their separators.
    fn push_rows(&self, at: &[u32], start: usize, first_line: u64, cells: &mut Cells) {
        let count = self.layout.columns.len();
        let first_row = cells.rows();
        let rows = at.len() / count;
        cells.note_fields(&self.field_list);
        cells.lines.extend((0..rows as u64).map(|row| first_line + row));
        let mut start = start as u32;
        cells.whole.extend(at.chunks_exact(count).map(|row| {
            let end = row.last().copied().unwrap_or(start);
            let span = Span { start, len: end.saturating_sub(start) };
            start = end + 1;
            span
        }));
        let whole = cells.whole.get(first_row..).unwrap_or_default();
        for (column, field) in cells.spans.iter_mut().zip(&self.fields) {
            match *field {
                None => column.resize(column.len() + rows, Span::NONE),
                Some(0) => column.extend(
                    at.chunks_exact(count).zip(whole).map(|(row, whole)| between(whole.start, row[0])),
                ),
                Some(field) => {
                    column.extend(at.chunks_exact(count).map(|row| between(row[field - 1] + 1, row[field])))
                }
            }
        }
        if self.unknown.is_empty() {
            return;
        }
        // Row by row: whoever reads them expects them in the order of the rows.
        for (offset, (row, whole)) in at.chunks_exact(count).zip(whole).enumerate() {
            cells.extra.extend(self.unknown.iter().map(|&field| Extra {
                row: (first_row + offset) as u32,
                field: ExtraField::Header(field as u16),
                span: between(if field == 0 { whole.start } else { row[field - 1] + 1 }, row[field]),
            }));
        }
    }

    /// Takes one line, of whatever sort, and says so in `progress`.
    #[allow(clippy::too_many_arguments)]
    fn take_line(
        &mut self,
        block: &[u8],
        line: std::ops::Range<usize>,
        open: bool,
        first_line: u64,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
        progress: &mut Progress,
    ) {
        let number = first_line + progress.lines;
        match self.cut_line(block, line.clone(), open, number, cells) {
            Line::Row => {}
            Line::Blank => progress.blank += 1,
            Line::Header => progress.headers += 1,
            Line::Rebound(layout) => {
                progress.headers += 1;
                progress.rebound = Some(layout);
            }
            Line::Refused(reason) => refused.push(Refusal {
                line: number,
                start: line.start as u32,
                len: line.len() as u32,
                reason,
            }),
        }
        progress.lines += 1;
        progress.next = line.end + 1;
    }

    fn cut_line(
        &mut self,
        block: &[u8],
        line: std::ops::Range<usize>,
        open: bool,
        number: u64,
        cells: &mut Cells,
    ) -> Line {
        let mut tokens = std::mem::take(&mut self.tokens);
        split(block, line.clone(), &mut tokens);
        if self.timestamped && tokens.first().is_some_and(|first| is_event_time(first.of(block))) {
            tokens.remove(0);
        }
        let outcome = self.take_tokens(block, line, &tokens, open, number, cells);
        self.tokens = tokens;
        outcome
    }

    fn take_tokens(
        &mut self,
        block: &[u8],
        line: std::ops::Range<usize>,
        tokens: &[Span],
        open: bool,
        number: u64,
        cells: &mut Cells,
    ) -> Line {
        if tokens.is_empty() {
            return Line::Blank;
        }
        if let Some(header) = self.header(block, tokens, number) {
            return header;
        }
        let chosen = self.choose(block, tokens);
        let count = chosen.layout.columns.len();
        if open && tokens.len() < count {
            return Line::Refused(format!(
                "the line breaks off: found {} of {count} fields and no line end",
                tokens.len()
            ));
        }
        // A line with too few or too many fields may be anything, and is looked at whatever is wanted of it.
        if tokens.len() != count
            && let Some(reason) = chosen.misfit(block, tokens)
        {
            return Line::Refused(reason);
        }
        cells.push_row(number, Span::new(line.start, line.end));
        if tokens.len() < count {
            cells.short.push(number);
            cells.note_field_list(first_fields(&chosen.field_list, tokens.len()));
        } else {
            cells.note_fields(&chosen.field_list);
        }
        for (column, field) in cells.spans.iter_mut().zip(&chosen.fields) {
            if let (Some(cell), Some(token)) = (column.last_mut(), field.and_then(|field| tokens.get(field)))
            {
                *cell = *token;
            }
        }
        if self.wanted.extra {
            let row = (cells.rows() - 1) as u32;
            let unknown = chosen.unknown.iter().map(|field| (ExtraField::Header(*field as u16), *field));
            let beyond = (count..tokens.len()).map(|field| (ExtraField::Position(field as u16 + 1), field));
            for (name, field) in unknown.chain(beyond) {
                if let Some(&span) = tokens.get(field) {
                    cells.extra.push(Extra { row, field: name, span });
                }
            }
        }
        Line::Row
    }

    /// What is wrong with the first field, in table order, that holds no value of its column's type.
    fn misfit(&self, block: &[u8], tokens: &[Span]) -> Option<String> {
        self.typed.iter().find_map(|(field, column)| {
            let (text, column) = (tokens.get(*field)?.of(block), self.layout.kind.columns().get(*column)?);
            (!is_value(column.ty, text)).then(|| refusal_reason(column, text))
        })
    }

    /// What every header but that of the first line begins with: a name that is known, or that the header in force
    /// begins with, in lower case. [`next_wordy_line`](super::scan::next_wordy_line) finds all of these.
    #[inline(always)]
    fn may_be_header(&self, block: &[u8], start: usize, end: usize) -> bool {
        block.get(start..end).is_some_and(|first| self.begins_header(first))
    }

    #[inline(always)]
    fn begins_header(&self, first: &[u8]) -> bool {
        first.first().is_some_and(u8::is_ascii_lowercase) && self.is_first_name(first)
    }

    fn is_first_name(&self, first: &[u8]) -> bool {
        is_field_name(first) || self.layout.names.first().is_some_and(|name| name.as_bytes() == first)
    }

    /// A line is a header if every field of it is a name. One name alone is a header only on the first line: a tag's
    /// value may look like a name.
    fn header(&self, block: &[u8], tokens: &[Span], number: u64) -> Option<Line> {
        // Both ways of cutting have to agree on this, or the rows would depend on how a file is read.
        if number != 1 && !tokens.first().is_some_and(|first| self.begins_header(first.of(block))) {
            return None;
        }
        let known = tokens.iter().filter(|token| is_field_name(token.of(block))).count();
        let unknown = tokens.len() - known;
        // A later version's header holds names that are not known yet; a record never holds three known ones.
        let is_header = if unknown == 0 { known > 1 || number == 1 } else { known >= 3 && known > unknown };
        if !is_header {
            return None;
        }
        let names: Vec<String> =
            tokens.iter().map(|token| String::from_utf8_lossy(token.of(block)).into_owned()).collect();
        if names == self.layout.names {
            return Some(Line::Header);
        }
        Some(Line::Rebound(Layout::bind(&names)))
    }

    /// The layout for a line without a header: the one with as many fields, else the first that fits by look.
    fn choose(&self, block: &[u8], tokens: &[Span]) -> &FlowCutter {
        if self.alternatives.is_empty() {
            return self;
        }
        let all = || std::iter::once(self).chain(&self.alternatives);
        let same_count = || all().filter(|cutter| cutter.layout.columns.len() == tokens.len());
        same_count()
            .find(|cutter| cutter.looks_right(block, tokens))
            .or_else(|| same_count().next())
            .or_else(|| all().find(|cutter| cutter.looks_right(block, tokens)))
            .unwrap_or(self)
    }

    /// Whether each field holds something of its column's type.
    fn looks_right(&self, block: &[u8], tokens: &[Span]) -> bool {
        self.layout.columns.iter().zip(tokens).all(|(column, token)| {
            let text = token.of(block);
            let Some(column) = column.and_then(|column| self.layout.kind.columns().get(column)) else {
                return true;
            };
            text == b"-" || looks_like(column.name, column.ty, text)
        })
    }
}

/// The span of `start..end`.
#[inline(always)]
fn between(start: u32, end: u32) -> Span {
    Span { start, len: end.wrapping_sub(start) }
}

/// The runs of bytes that are neither spaces nor a carriage return at the end.
fn split(block: &[u8], line: std::ops::Range<usize>, tokens: &mut Vec<Span>) {
    tokens.clear();
    let Some(text) = block.get(line.clone()) else { return };
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let mut start = line.start;
    for token in text.split(|byte| *byte == b' ') {
        if !token.is_empty() {
            tokens.push(Span::new(start, start + token.len()));
        }
        start += token.len() + 1;
    }
}

/// The first names of a field list.
fn first_fields(list: &str, count: usize) -> &str {
    let end = list.match_indices(' ').nth(count.saturating_sub(1)).map(|(at, _)| at);
    end.and_then(|end| list.get(..end)).unwrap_or(list)
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
