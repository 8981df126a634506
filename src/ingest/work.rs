//! What one worker does: take the next object, decode it, put its rows where they belong.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::output::{Output, OutputError};
use super::progress::Counters;
use super::rows::{DAY, Days, Group, Rows};
use crate::format::{ColumnType, LogKind};
use crate::parse::cells::{Cells, Extra, Refusal, Wanted};
use crate::parse::columns::refusal_reason;
use crate::parse::flow::FieldList;
use crate::parse::keyed::BadCell;
use crate::parse::values;
use crate::source::decode::{Batch, DecodeError, Decoder};
use crate::store::encode::Encoder;

/// Rows cut at a time, at most: their cells stay in the cache.
const BATCH_ROWS: usize = 4096;

/// Text cut at a time, about: each column goes through all of it.
const BATCH_TEXT: usize = 256 * 1024;

/// Rows of a row group.
const ROW_GROUP: usize = 512 * 1024;

/// The workers' rows are written out beyond this many bytes for all of them together.
const MEMORY: usize = 128 << 20;

/// A worker has at least this many bytes for its rows: fewer would make row groups that are slow to read.
const LEAST_MEMORY: usize = 40 << 20;

/// With more builders than this, one that has been written out does not keep its buffers.
const KEPT: usize = 4;

/// A refused line, for `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The kind of log among which it stood.
    pub kind: LogKind,
    /// Its line in the file, from 1.
    pub line: u64,
    /// Where it begins in the decoded content.
    pub byte: u64,
    /// What was found and what was expected.
    pub reason: String,
    /// The line itself, at most its first 4 KiB.
    pub text: String,
}

/// What a file's rows came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows kept, those without data included.
    pub rows: u64,
    /// Of these, rows that say that there was no traffic.
    pub nodata: u64,
    /// Of these, rows that say that records were lost.
    pub skipdata: u64,
    /// The time of the first row, in microseconds.
    pub least: Option<i64>,
    /// The time of the last row.
    pub most: Option<i64>,
    /// Rows by kind of log.
    pub kinds: Vec<Share>,
    /// Lines that are no rows.
    pub refused: Vec<Refused>,
    /// Of these, lines with fewer fields than their header.
    pub short_refused: u64,
    /// The fields of the rows.
    pub fields: FieldList,
}

/// A file's rows of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The kind.
    pub kind: LogKind,
    /// Its rows.
    pub rows: u64,
    /// Of these, rows that say that there was no traffic.
    pub nodata: u64,
    /// Of these, rows that say that records were lost.
    pub skipdata: u64,
    /// The times of the first and the last row, in microseconds.
    pub range: Option<(i64, i64)>,
}

impl Share {
    /// No rows.
    pub fn new(kind: LogKind) -> Share {
        Share { kind, rows: 0, nodata: 0, skipdata: 0, range: None }
    }

    fn merge(&mut self, other: &Share) {
        self.rows += other.rows;
        self.nodata += other.nodata;
        self.skipdata += other.skipdata;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

/// Where a worker's rows go.
pub enum Sink<'a> {
    /// Into Parquet files.
    Store(&'a Output<'a>),
    /// Nowhere: they are checked and counted.
    Count,
}

/// One worker's builders and buffers.
pub struct Worker<'a> {
    sink: Sink<'a>,
    encoder: Encoder,
    builders: HashMap<Group, Rows>,
    cells: Cells,
    refusals: Vec<Refusal>,
    memory: usize,
    counters: &'a Counters,
}

/// Why a file could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The file; the others go on.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The store: nothing goes on.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// How many rows to cut next, given those cut last.
pub fn batch_rows(last: &Cells) -> usize {
    let text = match (last.whole.first(), last.whole.last()) {
        (Some(first), Some(end)) => end.start.saturating_add(end.len).saturating_sub(first.start) as usize,
        _ => 0,
    };
    match text / last.rows().max(1) {
        0 => BATCH_ROWS,
        line => (BATCH_TEXT / line).clamp(BATCH_ROWS / 16, BATCH_ROWS),
    }
}

impl<'a> Worker<'a> {
    /// A worker without rows.
    pub fn new(sink: Sink<'a>, counters: &'a Counters) -> std::io::Result<Worker<'a>> {
        Ok(Worker {
            sink,
            encoder: Encoder::new(1)?,
            builders: HashMap::new(),
            cells: Cells::default(),
            refusals: Vec::new(),
            memory: MEMORY,
            counters,
        })
    }

    /// Leaves room for so many workers in all.
    pub fn one_of(self, workers: usize) -> Worker<'a> {
        Worker { memory: (MEMORY / workers.max(1)).max(LEAST_MEMORY), ..self }
    }

    /// Takes all rows of an object. Between batches `read` is told how many bytes of it, as it is stored, have been read
    /// since the one before, as far as that is known, and whether to go on is asked of `cancelled`.
    ///
    /// On an error of the object, what came before it has been kept and is in the tally.
    pub fn take(
        &mut self,
        decoder: &mut Decoder<'_>,
        source: &str,
        tally: &mut Tally,
        read: &dyn Fn(u64),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), WorkError> {
        let mut cells = std::mem::take(&mut self.cells);
        let mut refusals = std::mem::take(&mut self.refusals);
        let mut want =
            |kind: LogKind, carried: &[usize]| Some(Wanted::new(kind.columns().len(), carried, true));
        let mut consumed = 0;
        let outcome = loop {
            if cancelled() {
                break Ok(());
            }
            let now = decoder.consumed();
            read(now.saturating_sub(consumed));
            consumed = now;
            refusals.clear();
            let rows = batch_rows(&cells);
            match decoder.next_batch(&mut want, None, rows, &mut cells, &mut refusals) {
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
                Ok(Some(batch)) => {
                    cells.field_lists.iter().for_each(|list| tally.fields.add(list));
                    tally.refuse(&batch, refusals.drain(..));
                    if let Err(error) = self.push(&batch, &mut cells, source, tally) {
                        break Err(error.into());
                    }
                }
            }
        };
        // Cells of the wrong type are found column by column, after the lines that could not be cut.
        tally.refused.sort_by_key(|refused| refused.line);
        self.cells = cells;
        self.refusals = refusals;
        outcome
    }

    fn push(
        &mut self,
        batch: &Batch<'_>,
        cells: &mut Cells,
        source: &str,
        tally: &mut Tally,
    ) -> Result<(), OutputError> {
        if cells.rows() == 0 {
            return Ok(());
        }
        let group = Group {
            kind: batch.kind,
            date: None,
            columns: batch.carried.into(),
            extra: !cells.extra.is_empty(),
        };
        self.counters.rows.fetch_add(cells.rows() as u64, Ordering::Relaxed);
        self.push_cells(group, batch, cells, source, tally)
    }

    /// Pushes cells to the builder of their day. Most batches lie within the day of the batch before, so that is tried
    /// first; what turns out otherwise is taken back and dealt out by day.
    fn push_cells(
        &mut self,
        group: Group,
        batch: &Batch<'_>,
        cells: &mut Cells,
        source: &str,
        tally: &mut Tally,
    ) -> Result<(), OutputError> {
        let time = group.kind.column_index(group.kind.time_column());
        let slot = time.and_then(|time| group.columns.iter().position(|column| *column == time));
        let Some(slot) = slot else {
            return self.push_day(group, batch, cells, source, tally);
        };
        let ty =
            time.and_then(|time| group.kind.columns().get(time)).map_or(ColumnType::Time, |column| column.ty);
        let spans = cells.spans.get(slot).map(Vec::as_slice).unwrap_or_default();
        let micros = |row: usize| spans.get(row).and_then(|span| time_of(ty, span.of(batch.block)));
        let guess = micros(0).map(|micros| micros.div_euclid(DAY) as i32);
        if !group.extra {
            let group = Group { date: guess, ..group.clone() };
            let rows = self.builder(&group);
            let before = rows.len();
            if rows.push(batch.block, cells, source, batch.layout).is_empty() {
                let days = rows.days_since(before);
                if days.is_some_and(|days| days.single() == Some(guess)) {
                    tally.count(rows, before, cells.rows(), days);
                    return self.flush_if_full(&group);
                }
                rows.take_back(before);
            }
        }
        let mut by_day: HashMap<Option<i32>, Vec<bool>> = HashMap::new();
        for row in 0..cells.rows() {
            let day = micros(row).map(|micros| micros.div_euclid(DAY) as i32);
            if let Some(place) = by_day.entry(day).or_insert_with(|| vec![false; spans.len()]).get_mut(row) {
                *place = true;
            }
        }
        let mut days: Vec<_> = by_day.into_iter().collect();
        days.sort_by_key(|(day, _)| *day);
        for (date, keep) in days {
            let mut part = cells.clone();
            retain(&mut part, &keep);
            self.push_day(Group { date, ..group.clone() }, batch, &mut part, source, tally)?;
        }
        Ok(())
    }

    /// Pushes cells of one day; rows with a cell of the wrong type are refused.
    fn push_day(
        &mut self,
        group: Group,
        batch: &Batch<'_>,
        cells: &mut Cells,
        source: &str,
        tally: &mut Tally,
    ) -> Result<(), OutputError> {
        let columns = group.columns.clone();
        loop {
            let rows = self.builder(&group);
            let before = rows.len();
            let bad = rows.push(batch.block, cells, source, batch.layout);
            if bad.is_empty() {
                let days = rows.days_since(before);
                tally.count(rows, before, cells.rows(), days);
                return self.flush_if_full(&group);
            }
            let refusals = bad_rows(group.kind, &columns, batch.block, cells, &bad);
            let is_short = |refusal: &&Refusal| cells.short.binary_search(&refusal.line).is_ok();
            tally.short_refused += refusals.iter().filter(is_short).count() as u64;
            let gone: HashSet<u32> = bad.iter().map(|(_, cell)| cell.row).collect();
            let keep: Vec<bool> = (0..cells.rows() as u32).map(|row| !gone.contains(&row)).collect();
            retain(cells, &keep);
            tally.refuse(batch, refusals.into_iter());
            if cells.rows() == 0 {
                return Ok(());
            }
        }
    }

    fn builder(&mut self, group: &Group) -> &mut Rows {
        if !self.builders.contains_key(group) {
            self.builders.insert(group.clone(), Rows::new(group.clone()));
        }
        // Present: it has just been put there.
        self.builders.entry(group.clone()).or_insert_with(|| Rows::new(group.clone()))
    }

    fn flush_if_full(&mut self, group: &Group) -> Result<(), OutputError> {
        let Some(rows) = self.builders.get_mut(group) else { return Ok(()) };
        match &self.sink {
            Sink::Count => rows.clear(),
            Sink::Store(output) => {
                if rows.len() >= ROW_GROUP {
                    return output.write(rows, &mut self.encoder);
                }
            }
        }
        if self.builders.values().map(Rows::memory).sum::<usize>() > self.memory
            && let (Sink::Store(output), Some(largest)) =
                (&self.sink, self.builders.values_mut().max_by_key(|rows| rows.memory()))
        {
            output.write(largest, &mut self.encoder)?;
            // Fresh buffers cost more in page faults than the values put into them; but many half empty ones would take
            // more memory than the bound allows.
            let group = largest.group.clone();
            let room: usize = self.builders.values().map(Rows::room).sum();
            if self.builders.len() > KEPT || room > self.memory / 4 * 5 {
                self.builders.remove(&group);
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), OutputError> {
        if let Sink::Store(output) = &self.sink {
            let mut left: Vec<_> = self.builders.drain().collect();
            left.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (_, mut rows) in left {
                output.write(&mut rows, &mut self.encoder)?;
            }
        }
        Ok(())
    }
}

impl Tally {
    /// Adds what another worker has counted of the same file.
    pub fn merge(&mut self, other: Tally) {
        self.rows += other.rows;
        self.nodata += other.nodata;
        self.skipdata += other.skipdata;
        self.least = [self.least, other.least].into_iter().flatten().min();
        self.most = [self.most, other.most].into_iter().flatten().max();
        other.kinds.iter().for_each(|share| self.add(share));
        self.short_refused += other.short_refused;
        self.fields.merge(&other.fields);
        self.refused.extend(other.refused);
        self.refused.sort_by_key(|refused| refused.line);
    }

    fn count(&mut self, rows: &Rows, before: usize, count: usize, days: Option<Days>) {
        self.rows += count as u64;
        let [nodata, skipdata] = rows.count_texts("log_status", before, [b"NODATA", b"SKIPDATA"]);
        self.nodata += nodata;
        self.skipdata += skipdata;
        let range = days.filter(|days| days.least <= days.most).map(|days| (days.least, days.most));
        if let Some((least, most)) = range {
            self.least = Some(self.least.map_or(least, |known| known.min(least)));
            self.most = Some(self.most.map_or(most, |known| known.max(most)));
        }
        self.add(&Share { kind: rows.group.kind, rows: count as u64, nodata, skipdata, range });
    }

    fn add(&mut self, share: &Share) {
        match self.kinds.iter_mut().find(|known| known.kind == share.kind) {
            Some(known) => known.merge(share),
            None => self.kinds.push(share.clone()),
        }
    }

    fn refuse(&mut self, batch: &Batch<'_>, refusals: impl Iterator<Item = Refusal>) {
        self.refused.extend(refusals.map(|refusal| {
            let text = refusal.text(batch.block);
            Refused {
                kind: batch.kind,
                line: refusal.line,
                byte: batch.offset + u64::from(refusal.start),
                reason: refusal.reason,
                text,
            }
        }));
    }
}

fn time_of(ty: ColumnType, token: &[u8]) -> Option<i64> {
    match ty {
        ColumnType::EpochSeconds => values::parse_epoch_seconds(token),
        _ => values::parse_time_micros(token),
    }
}

/// Says of each row what is wrong with the first of its bad cells.
fn bad_rows(
    kind: LogKind,
    columns: &[usize],
    block: &[u8],
    cells: &Cells,
    bad: &[(usize, BadCell)],
) -> Vec<Refusal> {
    let mut seen = HashSet::new();
    let mut refusals = Vec::new();
    for (slot, cell) in bad {
        let row = cell.row as usize;
        if !seen.insert(row) {
            continue;
        }
        let column = columns.get(*slot).and_then(|column| kind.columns().get(*column));
        let whole = cells.whole.get(row).copied().unwrap_or_default();
        refusals.push(Refusal {
            line: cells.lines.get(row).copied().unwrap_or(0),
            start: whole.start,
            len: whole.len,
            reason: column.map_or_else(String::new, |column| refusal_reason(column, cell.span.of(block))),
        });
    }
    refusals.sort_by_key(|refusal| refusal.line);
    refusals
}

/// Keeps the rows that are marked.
fn retain(cells: &mut Cells, keep: &[bool]) {
    fn keep_marked<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
        let mut marks = keep.iter();
        values.retain(|_| marks.next().copied().unwrap_or(false));
    }
    for column in &mut cells.spans {
        keep_marked(column, keep);
    }
    keep_marked(&mut cells.lines, keep);
    keep_marked(&mut cells.whole, keep);
    let mut new_row = Vec::with_capacity(keep.len());
    let mut next = 0u32;
    for marked in keep {
        new_row.push(marked.then_some(next));
        next += u32::from(*marked);
    }
    let moved = cells.extra.drain(..).filter_map(|extra| {
        let row = new_row.get(extra.row as usize).copied().flatten()?;
        Some(Extra { row, ..extra })
    });
    let moved: Vec<Extra> = moved.collect();
    cells.extra = moved;
}
