//! The plain way through a stretch of lines: fields from the positions of their separators, column by column.
//!
//! A line is plain if its quotes stand around whole fields and nothing is doubled or escaped, if it has as many fields as
//! its kind has at least, and if the fields that have a shape show it. Any other line is left to the tokenizer, so that
//! both ways give the same rows.

use super::cutter::{ElbCutter, Left, Put};
use super::layout::Check;
use super::marks::Marks;
use super::{Progress, parts};
use crate::parse::cells::{Cells, Extra, ExtraField, Refusal, Span};

/// How many bytes are searched for separators at a time: their positions and the text itself stay in the cache.
pub(super) const STRETCH: usize = 64 * 1024;

/// A plain line that is not yet in the columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainLine {
    /// The index in [`Marks::at`] of the separator before it.
    first: u32,
    /// How many fields it has.
    fields: u32,
    /// Its number.
    number: u64,
}

/// Field `field` of the line whose separators begin at `first`: its offsets in the block.
#[inline(always)]
fn bounds(marks: &Marks, first: u32, field: usize) -> (u32, u32) {
    match marks.at.get(first as usize + field..first as usize + field + 2) {
        Some(&[before, behind]) => (before.wrapping_add(1), behind),
        _ => (0, 0),
    }
}

/// The span of a field without its quotes; none if it is `-` or nothing.
#[inline(always)]
fn cell<const QUOTES: bool>(block: &[u8], (start, end): (u32, u32)) -> Span {
    let byte = |at: u32| block.get(at as usize).copied().unwrap_or(0);
    let quoted = u32::from(QUOTES && byte(start) == b'"');
    let start = start + quoted;
    let len = end.wrapping_sub(quoted).saturating_sub(start);
    let nothing = len == 0 || (len == 1 && byte(start) == b'-');
    if nothing { Span::NONE } else { Span { start, len } }
}

/// The text of a field without its quotes, and whether it had any.
#[inline(always)]
fn token<const QUOTES: bool>(block: &[u8], (start, end): (u32, u32)) -> (Span, bool) {
    let quoted = QUOTES && block.get(start as usize) == Some(&b'"');
    let shift = u32::from(quoted);
    let start = start + shift;
    (Span { start, len: end.wrapping_sub(shift).saturating_sub(start) }, quoted)
}

impl ElbCutter {
    /// Cuts the whole lines of a stretch.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn cut_stretch<const QUOTES: bool>(
        &mut self,
        block: &[u8],
        marks: &Marks,
        first_line: u64,
        left: &mut Left,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
        progress: &mut Progress,
    ) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let mut first = 0;
        let mut odd = marks.odd.iter().peekable();
        for &newline in &marks.newlines {
            if left.is_nothing() {
                break;
            }
            let newline = newline as usize;
            let end = marks.at.get(newline).map_or(block.len(), |end| *end as usize);
            let mut is_odd = false;
            while odd.next_if(|place| **place as usize <= end).is_some() {
                is_odd = true;
            }
            let number = first_line.saturating_add(progress.lines);
            let line =
                if is_odd { None } else { self.plain_line::<QUOTES>(block, marks, first, newline, number) };
            match line {
                Some(line) => {
                    plain.push(line);
                    left.rows -= 1;
                    progress.lines += 1;
                    progress.next = end + 1;
                }
                None => {
                    self.push_plain::<QUOTES>(block, marks, &plain, cells);
                    plain.clear();
                    self.take_line(block, Some(end), first_line, left, cells, refused, progress);
                }
            }
            first = newline;
        }
        self.push_plain::<QUOTES>(block, marks, &plain, cells);
        self.plain = plain;
    }

    /// The line `first..=newline` of the separators as a plain one; `None` where the tokenizer has to look at it.
    #[inline]
    fn plain_line<const QUOTES: bool>(
        &self,
        block: &[u8],
        marks: &Marks,
        first: usize,
        newline: usize,
        number: u64,
    ) -> Option<PlainLine> {
        let fields = newline - first;
        let end = *marks.at.get(newline)? as usize;
        if fields < self.layout.fewest || end.checked_sub(1).and_then(|last| block.get(last)) == Some(&b'\r')
        {
            return None;
        }
        for &(position, check) in self.checks.iter() {
            if position >= fields {
                break;
            }
            let (text, quoted) = token::<QUOTES>(block, bounds(marks, first as u32, position));
            let sound = match check {
                Check::Any => true,
                Check::Leading(test, _) => test(text.of(block)),
                Check::AfterFreeText(test) => !quoted && test(text.of(block)),
            };
            if !sound {
                return None;
            }
        }
        Some(PlainLine { first: first as u32, fields: fields as u32, number })
    }

    /// Pushes plain lines.
    fn push_plain<const QUOTES: bool>(
        &self,
        block: &[u8],
        marks: &Marks,
        lines: &[PlainLine],
        cells: &mut Cells,
    ) {
        let first_row = cells.rows();
        cells.lines.extend(lines.iter().map(|line| line.number));
        cells.whole.extend(lines.iter().map(|line| {
            let (start, _) = bounds(marks, line.first, 0);
            let (_, end) = bounds(marks, line.first, line.fields as usize - 1);
            Span { start, len: end.saturating_sub(start) }
        }));
        for (position, step) in self.steps.iter().enumerate().take(self.reach) {
            let field = |line: &PlainLine| {
                ((position as u32) < line.fields).then(|| bounds(marks, line.first, position))
            };
            match step.put {
                Put::Nowhere => {}
                Put::Whole(slot) => {
                    let Some(column) = cells.spans.get_mut(slot) else { continue };
                    column.extend(lines.iter().map(|line| match field(line) {
                        Some(bounds) => cell::<QUOTES>(block, bounds),
                        None => Span::NONE,
                    }));
                }
                Put::Endpoint(slots) => {
                    let split = |line: &PlainLine| {
                        let (text, _) = token::<QUOTES>(block, field(line).unwrap_or_default());
                        let (address, port) = parts::endpoint(text.of(block));
                        [piece(text, address), piece(text, port)]
                    };
                    push_parts(cells, slots, lines.iter().map(split));
                }
                Put::Request(slots) => {
                    let split = |line: &PlainLine| {
                        let (text, _) = token::<QUOTES>(block, field(line).unwrap_or_default());
                        parts::request(text.of(block)).map(|part| piece(text, part))
                    };
                    push_parts(cells, slots, lines.iter().map(split));
                }
            }
        }
        if !self.beyond {
            return;
        }
        for (line, row) in lines.iter().zip(first_row..) {
            cells.extra.extend((self.steps.len()..line.fields as usize).map(|position| Extra {
                row: row as u32,
                field: ExtraField::Position(u16::try_from(position + 1).unwrap_or(u16::MAX)),
                span: cell::<QUOTES>(block, bounds(marks, line.first, position)),
            }));
        }
    }
}

#[inline(always)]
fn piece(text: Span, (start, end): parts::Piece) -> Span {
    if start >= end { Span::NONE } else { Span::new(text.start as usize + start, text.start as usize + end) }
}

/// Pushes the parts of a field to their columns, as far as these are wanted.
#[inline(always)]
fn push_parts<const PARTS: usize>(
    cells: &mut Cells,
    slots: [Option<usize>; PARTS],
    rows: impl Iterator<Item = [Span; PARTS]>,
) {
    let mut columns = slots.map(|slot| slot.and_then(|slot| cells.spans.get_mut(slot)).map(std::mem::take));
    for parts in rows {
        for (column, part) in columns.iter_mut().zip(parts) {
            if let Some(column) = column {
                column.push(part);
            }
        }
    }
    for (slot, column) in slots.into_iter().zip(columns) {
        if let (Some(place), Some(column)) = (slot.and_then(|slot| cells.spans.get_mut(slot)), column) {
            *place = column;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_properties::{KINDS, damaged_lines};
    use super::*;
    use crate::parse::cells::Wanted;

    /// Every line by the tokenizer.
    fn cut_naive(
        cutter: &mut ElbCutter,
        block: &[u8],
        max_rows: usize,
        cells: &mut Cells,
        refused: &mut Vec<Refusal>,
    ) -> Progress {
        let mut progress = Progress::default();
        let mut left = Left { rows: max_rows, refusals: max_rows };
        while !left.is_nothing() && progress.next < block.len() {
            let newline = (progress.next..block.len()).find(|at| block[*at] == b'\n');
            cutter.take_line(block, newline, 1, &mut left, cells, refused, &mut progress);
        }
        progress
    }

    fn agree(block: &[u8], max_rows: usize) -> Result<(), TestCaseError> {
        for kind in KINDS {
            let count = kind.columns().len();
            let some: Vec<usize> = (0..count).step_by(4).rev().collect();
            for wanted in
                [Wanted::all(count), Wanted::new(count, &some, false), Wanted::new(count, &[2], false)]
            {
                let (mut fast, mut naive) = (Cells::default(), Cells::default());
                fast.reset(&wanted);
                naive.reset(&wanted);
                let (mut refused, mut refused_naive) = (Vec::new(), Vec::new());
                let mut cutter = ElbCutter::new(kind, &wanted);
                let progress = cutter.cut_block(block, 1, 0, max_rows, &mut fast, &mut refused);
                let progress_naive = cut_naive(&mut cutter, block, max_rows, &mut naive, &mut refused_naive);
                prop_assert_eq!(fast.spans, naive.spans, "{}", kind);
                prop_assert_eq!(fast.extra, naive.extra);
                prop_assert_eq!((fast.lines, fast.whole), (naive.lines, naive.whole));
                prop_assert_eq!(refused, refused_naive);
                prop_assert_eq!(
                    (progress.next, progress.lines, progress.blank),
                    (progress_naive.next, progress_naive.lines, progress_naive.blank)
                );
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same_rows(block in damaged_lines(), max_rows in prop_oneof![1..4usize, Just(4096)]) {
            agree(&block, max_rows)?;
        }

        #[test]
        fn both_ways_give_the_same_of_any_bytes(
            block in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'"'), Just(b' '), Just(b'-')], 0..300),
        ) {
            agree(&block, 4096)?;
        }
    }

    #[test]
    fn lines_longer_than_a_stretch_and_those_around_them_are_cut() {
        use super::super::test_lines::ALB;
        let long = ALB.lines().next().unwrap().replace("id=7", &"i".repeat(STRETCH));
        let block = format!("{ALB}{long}\n{ALB}{}", ALB.repeat(200));
        agree(block.as_bytes(), usize::MAX).unwrap();
        agree(block.as_bytes(), 7).unwrap();
    }
}
