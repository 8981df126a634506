//! The columns that are no keys: the usual reader gives them, of the rows that it is told.

use std::ops::Range;

use datafusion::arrow::array::{RecordBatch, RecordBatchReader};
use datafusion::arrow::compute::concat_batches;
use datafusion::common::{Result, internal_err};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};

use crate::store::decode::Bits;

/// Makes the usual reader for these columns and rows.
pub type OtherReader<'r> = &'r dyn Fn(&[&str], RowSelection) -> Result<ParquetRecordBatchReader>;

/// What the usual reader gives.
pub(super) struct Others {
    pub reader: ParquetRecordBatchReader,
    /// Rows that were more than had been asked for.
    pub left: Option<RecordBatch>,
}

impl Others {
    /// The next so many rows.
    pub fn take(&mut self, rows: usize) -> Result<RecordBatch> {
        let mut parts = Vec::new();
        let mut missing = rows;
        while missing > 0 {
            let batch = match self.left.take() {
                Some(batch) => batch,
                None => match self.reader.next() {
                    Some(batch) => batch?,
                    None => return internal_err!("two readers of a file differ in its rows"),
                },
            };
            let taken = missing.min(batch.num_rows());
            parts.push(batch.slice(0, taken));
            self.left = (taken < batch.num_rows()).then(|| batch.slice(taken, batch.num_rows() - taken));
            missing -= taken;
        }
        match parts.as_slice() {
            [one] => Ok(one.clone()),
            parts => Ok(concat_batches(&self.reader.schema(), parts)?),
        }
    }
}

/// The rows of a selection, in stretches.
pub(super) fn ranges(selection: &RowSelection) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    for selector in selection.iter() {
        if !selector.skip && selector.row_count > 0 {
            ranges.push(at..at + selector.row_count);
        }
        at += selector.row_count;
    }
    ranges
}

/// A bit for each of these rows: whether one of the stretches has it.
pub(super) fn within(chosen: &[Range<usize>], rows: &Range<usize>) -> Bits {
    let mut bits = Bits::default();
    let first = chosen.partition_point(|range| range.end <= rows.start);
    for range in chosen.iter().skip(first).take_while(|range| range.start < rows.end) {
        let (from, until) = (range.start.max(rows.start) - rows.start, range.end.min(rows.end) - rows.start);
        bits.push_run(false, from.saturating_sub(bits.len()));
        bits.push_run(true, until.saturating_sub(bits.len()));
    }
    bits.push_run(false, rows.len().saturating_sub(bits.len()));
    bits
}
