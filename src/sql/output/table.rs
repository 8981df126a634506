//! The table for people: aligned, fitted to the terminal, with a footer that says how much there is.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::text::visible;
use super::{OutputError, TableLimits};

/// Rows whose cells decide the widths of columns; later ones are written as they come, so that memory stays bounded.
const MEASURED_ROWS: usize = 10_000;
/// No column of text is made narrower than this to fit the terminal; numbers and times are shown whole, since half of one is
/// another.
const NARROWEST: usize = 6;
const GAP: usize = 2;

pub(super) struct TableWriter<W: Write> {
    schema: SchemaRef,
    out: W,
    limits: TableLimits,
    /// Rows that wait until the widths are known.
    waiting: Vec<Vec<String>>,
    layout: Option<Layout>,
    taken: usize,
}

/// The columns shown.
struct Layout {
    columns: Vec<Shown>,
    hidden: usize,
}

/// A column that is shown.
#[derive(Clone, Copy)]
struct Shown {
    /// Its place in the result.
    at: usize,
    width: usize,
    /// Whether numbers stand in it.
    numeric: bool,
    /// Whether its values are of no use where they are cut.
    whole: bool,
}

impl Shown {
    /// How wide it is where text may be so wide.
    fn within(&self, cap: usize) -> usize {
        if self.whole { self.width } else { self.width.min(cap) }
    }
}

/// The values of a batch in words, row by row, fit for a terminal.
pub fn shown_cells(batch: &RecordBatch, null: &str) -> Result<Vec<Vec<String>>, OutputError> {
    let options = FormatOptions::new();
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut cells = Vec::with_capacity(columns.len());
        for (column, formatter) in batch.columns().iter().zip(&columns) {
            cells.push(if column.is_null(row) {
                null.to_owned()
            } else {
                visible(&formatter.value(row).try_to_string()?).into_owned()
            });
        }
        rows.push(cells);
    }
    Ok(rows)
}

impl<W: Write> TableWriter<W> {
    pub fn new(schema: &SchemaRef, out: W, limits: TableLimits) -> TableWriter<W> {
        TableWriter { schema: Arc::clone(schema), out, limits, waiting: Vec::new(), layout: None, taken: 0 }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let room = self.limits.rows.map_or(usize::MAX, |rows| rows.saturating_sub(self.taken));
        let rows = batch.num_rows().min(room);
        for cells in shown_cells(&batch.slice(0, rows), "NULL")? {
            self.taken = self.taken.saturating_add(1);
            if self.layout.is_none() {
                self.waiting.push(cells);
                if self.waiting.len() >= MEASURED_ROWS {
                    self.begin()?;
                }
            } else {
                self.put(&cells)?;
            }
        }
        Ok(())
    }

    /// Fixes the widths, writes the head and the rows that waited.
    fn begin(&mut self) -> Result<(), OutputError> {
        let layout = self.measure();
        let names: Vec<String> =
            self.schema.fields().iter().map(|field| visible(field.name()).into_owned()).collect();
        self.layout = Some(layout);
        if !names.is_empty() {
            self.put(&names)?;
            self.rule()?;
        }
        for cells in std::mem::take(&mut self.waiting) {
            self.put(&cells)?;
        }
        Ok(())
    }

    fn measure(&self) -> Layout {
        let mut columns: Vec<Shown> = self
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| {
                let cells = self.waiting.iter().filter_map(|row| row.get(at));
                let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let width = width.max(visible(field.name()).chars().count());
                let numeric = field.data_type().is_numeric();
                Shown { at, width, numeric, whole: numeric || field.data_type().is_temporal() }
            })
            .collect();
        let all = columns.len();
        if let Some(width) = self.limits.width {
            fit(&mut columns, width);
        }
        let hidden = all.saturating_sub(columns.len());
        Layout { columns, hidden }
    }

    fn put(&mut self, cells: &[String]) -> Result<(), OutputError> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let mut line = String::new();
        let last = layout.columns.len().saturating_sub(1);
        for (position, Shown { at, width, numeric, .. }) in layout.columns.iter().enumerate() {
            let cell = cells.get(*at).map_or("", String::as_str);
            let cut = cut(cell, *width, self.limits.width.is_some());
            let pad = width.saturating_sub(cut.chars().count());
            let space = " ".repeat(pad);
            if *numeric {
                line.push_str(&space);
            }
            line.push_str(&cut);
            if position < last {
                if !*numeric {
                    line.push_str(&space);
                }
                line.push_str(&" ".repeat(GAP));
            }
        }
        line.push('\n');
        Ok(self.out.write_all(line.as_bytes())?)
    }

    fn rule(&mut self) -> Result<(), OutputError> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let rules: Vec<String> = layout.columns.iter().map(|column| "─".repeat(column.width)).collect();
        let line = format!("{}\n", rules.join(&" ".repeat(GAP)));
        Ok(self.out.write_all(line.as_bytes())?)
    }

    /// Writes what waits and the footer; gives the number of rows shown.
    pub fn finish(mut self, rows: u64) -> Result<u64, OutputError> {
        if self.layout.is_none() {
            self.begin()?;
        }
        let shown = self.taken as u64;
        let mut footer = match rows {
            1 => "1 row".to_owned(),
            _ => format!("{} rows", grouped(rows)),
        };
        if shown < rows {
            footer.push_str(&format!(", {} shown", grouped(shown)));
        }
        let hidden = self.layout.as_ref().map_or(0, |layout| layout.hidden);
        if hidden > 0 {
            let columns = self.schema.fields().len();
            footer.push_str(&format!(", {} of {columns} columns shown", columns.saturating_sub(hidden)));
        }
        if shown < rows || hidden > 0 {
            footer.push_str("; csv and json show everything");
        }
        self.out.write_all(format!("({footer})\n").as_bytes())?;
        self.out.flush()?;
        Ok(shown)
    }
}

/// Makes the widest columns of text narrower until all fit, and leaves out the last columns where even that does not help.
fn fit(columns: &mut Vec<Shown>, width: usize) {
    let total = |columns: &[Shown], cap: usize| {
        let cells: usize = columns.iter().map(|column| column.within(cap)).sum();
        cells.saturating_add(columns.len().saturating_sub(1).saturating_mul(GAP))
    };
    while columns.len() > 1 && total(columns, NARROWEST) > width {
        columns.pop();
    }
    // One that does not fit alone is cut whatever it holds.
    if let [only] = columns.as_mut_slice() {
        only.width = only.width.min(width);
        return;
    }
    let widest = columns.iter().map(|column| column.width).max().unwrap_or(0);
    let floor = NARROWEST.min(width).max(1);
    // The largest cap under which all fit: the total grows with the cap.
    let (mut low, mut high) = (floor, widest.max(floor));
    while low < high {
        let middle = low.saturating_add(high.saturating_sub(low).div_ceil(2));
        if total(columns, middle) <= width { low = middle } else { high = middle.saturating_sub(1) }
    }
    for column in columns.iter_mut() {
        column.width = column.within(low);
    }
}

/// The cell, shortened with `…` where it is too wide.
fn cut(cell: &str, width: usize, may_cut: bool) -> String {
    if !may_cut || cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut out: String = cell.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len().saturating_add(digits.len() / 3));
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
