//! Cells to record batches: first the columns that the filter needs, then, for the rows that pass, the others.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::{BatchCoalescer, filter, prep_null_mask_filter};
use datafusion::arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs, Projector};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};

use crate::format::{self, LogKind};
use crate::parse::columns::{self, Converter};
use crate::parse::keyed::BadCell;
use crate::parse::{Cells, Refusal, Span, Wanted};

/// Where the values of a column of the table come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A slot of the cells.
    Cell { slot: usize, column: usize },
    /// The file's path.
    File,
    /// The line's number.
    Line,
    /// What lies beyond the columns.
    Extra,
    /// The date of the time in this slot.
    Date { slot: usize },
}

/// What a scan takes from lines: fixed for all files and partitions.
pub struct Columns {
    kind: LogKind,
    wanted: Wanted,
    /// The columns that the filter needs, then those that only the projection needs.
    schema: SchemaRef,
    origins: Vec<Origin>,
    filter_columns: usize,
    filter_schema: SchemaRef,
    filter: Option<Arc<dyn PhysicalExpr>>,
    projector: Projector,
}

impl Columns {
    /// What is needed of the table's columns for this filter and projection, both in terms of `schema`.
    pub fn new(
        kind: LogKind,
        schema: &SchemaRef,
        projection: &ProjectionExprs,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Columns> {
        let mut needed: Vec<usize> = Vec::new();
        let mut need = |indices: Vec<usize>| {
            let new: Vec<usize> = indices.into_iter().filter(|index| !needed.contains(index)).collect();
            needed.extend(new);
            needed.len()
        };
        let mut filter_indices: Vec<usize> =
            filter.iter().flat_map(|filter| collect_columns(filter)).map(|column| column.index()).collect();
        filter_indices.sort_unstable();
        filter_indices.dedup();
        let filter_columns = need(filter_indices);
        need(projection.column_indices());

        let mut cells: Vec<usize> = Vec::new();
        let mut slot_of = |column: usize| match cells.iter().position(|known| *known == column) {
            Some(slot) => slot,
            None => {
                cells.push(column);
                cells.len() - 1
            }
        };
        let mut origins = Vec::new();
        for index in &needed {
            let field = schema.field(*index);
            origins.push(match field.name().as_str() {
                format::SOURCE_FILE => Origin::File,
                format::SOURCE_LINE => Origin::Line,
                format::EXTRA => Origin::Extra,
                name => match kind.column_index(if name == format::EVENT_DATE {
                    kind.time_column()
                } else {
                    name
                }) {
                    Some(column) if name == format::EVENT_DATE => Origin::Date { slot: slot_of(column) },
                    Some(column) => Origin::Cell { slot: slot_of(column), column },
                    None => {
                        return Err(DataFusionError::Internal(format!(
                            "no column {name} in {}",
                            kind.table()
                        )));
                    }
                },
            });
        }
        let extra = origins.contains(&Origin::Extra);
        let needed_schema = Arc::new(schema.project(&needed)?);
        let filter_schema = Arc::new(Schema::new(
            needed_schema.fields().iter().take(filter_columns).cloned().collect::<Vec<_>>(),
        ));
        let filter =
            filter.map(|filter| reassign_expr_columns(Arc::clone(filter), &filter_schema)).transpose()?;
        let projected = projection.iter().map(|projected| {
            let expr = reassign_expr_columns(Arc::clone(&projected.expr), &needed_schema)?;
            Ok(ProjectionExpr::new(expr, projected.alias.clone()))
        });
        let projector =
            ProjectionExprs::new(projected.collect::<Result<Vec<_>>>()?).make_projector(&needed_schema)?;
        Ok(Columns {
            kind,
            wanted: Wanted::new(kind.columns().len(), &cells, extra),
            schema: needed_schema,
            origins,
            filter_columns,
            filter_schema,
            filter,
            projector,
        })
    }

    /// The cells to cut.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// A reader of the rows of one file.
    pub fn reader<'a>(&'a self, path: &'a str, batch_size: usize) -> Rows<'a> {
        let of_slot =
            |column: &usize| self.kind.columns().get(*column).map(|column| Converter::new(column.ty));
        let coalescer = self
            .filter
            .is_some()
            .then(|| BatchCoalescer::new(Arc::clone(self.projector.output_schema()), batch_size));
        Rows {
            columns: self,
            path,
            converters: self.wanted.columns().iter().filter_map(of_slot).collect(),
            coalescer: coalescer.filter(|_| !self.projector.output_schema().fields().is_empty()),
        }
    }
}

/// Cut lines, the text that they lie in and the names of the header's fields.
pub struct Source<'a> {
    /// The text.
    pub block: &'a [u8],
    /// Where the cells lie in it.
    pub cells: &'a Cells,
    /// The header's names.
    pub names: &'a [String],
}

/// Converts the rows of one file, batch after batch.
pub struct Rows<'a> {
    columns: &'a Columns,
    path: &'a str,
    /// By slot.
    converters: Vec<Converter>,
    coalescer: Option<BatchCoalescer>,
}

impl Rows<'_> {
    /// The rows of these cells that pass the filter. Rows that cannot be converted are added to `refused`.
    pub fn convert(
        &mut self,
        source: &Source<'_>,
        refused: &mut Vec<Refusal>,
    ) -> Result<Option<RecordBatch>> {
        if source.cells.rows() == 0 {
            return Ok(None);
        }
        let mut kept = Kept { rows: None, count: source.cells.rows() };
        let (for_filter, rest) = self.columns.origins.split_at(self.columns.filter_columns);
        let mut arrays = self.arrays(for_filter, source, &mut kept, refused)?;
        if let Some(filter) = &self.columns.filter {
            let options = RecordBatchOptions::new().with_row_count(Some(kept.count));
            let batch = RecordBatch::try_new_with_options(
                Arc::clone(&self.columns.filter_schema),
                arrays.clone(),
                &options,
            )?;
            let mask = filter.evaluate(&batch)?.into_array(kept.count)?;
            let mask = mask.as_boolean();
            let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
            kept.keep(&mask, &mut arrays)?;
        }
        if kept.count == 0 {
            return Ok(None);
        }
        let before = kept.count;
        let mut others = self.arrays(rest, source, &mut kept, refused)?;
        if kept.count != before {
            // `arrays` has dropped rows from what it made; the columns made before have to follow.
            arrays = self.again(for_filter, source, &kept)?;
        }
        arrays.append(&mut others);
        let options = RecordBatchOptions::new().with_row_count(Some(kept.count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.columns.schema), arrays, &options)?;
        let batch = self.columns.projector.project_batch(&batch)?;
        match &mut self.coalescer {
            None => Ok(Some(batch)),
            Some(coalescer) => {
                coalescer.push_batch(batch)?;
                Ok(coalescer.next_completed_batch())
            }
        }
    }

    /// The rows that were too few for a batch.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let Some(coalescer) = &mut self.coalescer else { return Ok(None) };
        coalescer.finish_buffered_batch()?;
        Ok(coalescer.next_completed_batch())
    }

    /// Columns of the rows that are kept; rows with a cell that is no value are dropped from `kept` and refused.
    fn arrays(
        &mut self,
        origins: &[Origin],
        source: &Source<'_>,
        kept: &mut Kept,
        refused: &mut Vec<Refusal>,
    ) -> Result<Vec<ArrayRef>> {
        let mut bad_rows: Vec<(BadCell, usize)> = Vec::new();
        let mut arrays = self.make(origins, source, kept, &mut bad_rows)?;
        if bad_rows.is_empty() {
            return Ok(arrays);
        }
        bad_rows.sort_by_key(|(bad, _)| bad.row);
        bad_rows.dedup_by_key(|(bad, _)| bad.row);
        let mut good = vec![true; kept.count];
        for (bad, column) in &bad_rows {
            if let Some(good) = good.get_mut(bad.row as usize) {
                *good = false;
            }
            let row = kept.row(bad.row as usize);
            let (Some(whole), Some(line), Some(column)) = (
                source.cells.whole.get(row),
                source.cells.lines.get(row),
                self.columns.kind.columns().get(*column),
            ) else {
                continue;
            };
            let reason = columns::refusal_reason(column, bad.span.of(source.block));
            refused.push(Refusal { line: *line, start: whole.start, len: whole.len, reason });
        }
        kept.keep(&BooleanArray::from(good), &mut arrays)?;
        Ok(arrays)
    }

    /// Columns that have been made before, for the rows that are still kept.
    fn again(&mut self, origins: &[Origin], source: &Source<'_>, kept: &Kept) -> Result<Vec<ArrayRef>> {
        self.make(origins, source, kept, &mut Vec::new())
    }

    fn make(
        &mut self,
        origins: &[Origin],
        source: &Source<'_>,
        kept: &Kept,
        bad_rows: &mut Vec<(BadCell, usize)>,
    ) -> Result<Vec<ArrayRef>> {
        let mut bad = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(origins.len());
        for origin in origins {
            let array: ArrayRef = match *origin {
                Origin::Cell { slot, column } => {
                    let array = self.cell(slot, source, kept, &mut bad);
                    bad_rows.extend(bad.drain(..).map(|bad| (bad, column)));
                    array
                }
                Origin::Date { slot } => {
                    let array = self.cell(slot, source, kept, &mut bad);
                    let column = self.columns.wanted.columns().get(slot).copied().unwrap_or(0);
                    bad_rows.extend(bad.drain(..).map(|bad| (bad, column)));
                    let times: &TimestampMicrosecondArray = array.as_primitive::<TimestampMicrosecondType>();
                    Arc::new(columns::event_dates(times))
                }
                Origin::File => Arc::new(columns::repeated(self.path, kept.count)),
                Origin::Line => kept.take(Arc::new(columns::lines(source.cells)))?,
                Origin::Extra => {
                    kept.take(Arc::new(columns::extras(source.block, source.cells, source.names)))?
                }
            };
            arrays.push(array);
        }
        Ok(arrays)
    }

    fn cell(&mut self, slot: usize, source: &Source<'_>, kept: &Kept, bad: &mut Vec<BadCell>) -> ArrayRef {
        let spans = source.cells.spans.get(slot).map(Vec::as_slice).unwrap_or_default();
        let chosen: Vec<Span>;
        let spans = match &kept.rows {
            None => spans,
            Some(rows) => {
                chosen =
                    rows.iter().map(|row| spans.get(*row as usize).copied().unwrap_or_default()).collect();
                &chosen
            }
        };
        match self.converters.get_mut(slot) {
            Some(converter) => converter.array(source.block, spans, bad),
            None => Arc::new(datafusion::arrow::array::NullArray::new(kept.count)),
        }
    }
}

/// Which rows of the cells are still in the running.
struct Kept {
    /// Their numbers; `None` is all of them.
    rows: Option<Vec<u32>>,
    count: usize,
}

impl Kept {
    fn row(&self, position: usize) -> usize {
        match &self.rows {
            None => position,
            Some(rows) => rows.get(position).map_or(usize::MAX, |row| *row as usize),
        }
    }

    /// Drops the rows that the mask does not hold, from here and from arrays of them.
    fn keep(&mut self, mask: &BooleanArray, arrays: &mut [ArrayRef]) -> Result<()> {
        let count = mask.true_count();
        if count == self.count {
            return Ok(());
        }
        for array in arrays.iter_mut() {
            *array = filter(array, mask)?;
        }
        let positions = mask.values().set_indices();
        self.rows = Some(positions.map(|position| self.row(position) as u32).collect());
        self.count = count;
        Ok(())
    }

    /// Of an array of all rows, those that are kept.
    fn take(&self, array: ArrayRef) -> Result<ArrayRef> {
        match &self.rows {
            None => Ok(array),
            Some(rows) => {
                let rows = datafusion::arrow::array::UInt32Array::from(rows.clone());
                Ok(datafusion::arrow::compute::take(&array, &rows, None)?)
            }
        }
    }
}
