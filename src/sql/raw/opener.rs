//! One partition's reading of raw files: bytes to cells, cells to the columns that the filter needs, and for the rows
//! that pass it to the columns that the query needs.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::{FutureExt, StreamExt};
use memchr::memmem::Finder;

use super::checked::Checked;
use super::generate::{Giver, generate};
use super::input::{Holds, RawFile, RawInput, Workspace};
use super::needle::needle;
use super::quarantine::RefusedLine;
use super::rows::{Columns, Source};
use crate::format::LogKind;
use crate::parse::Wanted;
use crate::source::decode::{Decoder, Opening};

/// Which file of the input a part of the scan is.
#[derive(Clone, Copy, Debug)]
pub struct FileNumber(pub usize);

/// What `EXPLAIN ANALYZE` shows of a scan.
#[derive(Clone)]
pub struct Counters {
    /// Files left out by the time in their name.
    pub files_pruned: Count,
    /// Files left out, or closed again, because they hold another log.
    pub files_of_other_kinds: Count,
    /// Files left out because another one holds the same bytes.
    pub files_duplicate: Count,
    files_read: Count,
    lines_read: Count,
    lines_skipped: Count,
    lines_refused: Count,
    bytes_read: Count,
    bytes_decoded: Count,
}

impl Counters {
    /// Counters of one partition.
    pub fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Counters {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Counters {
            files_pruned: counter("files_pruned"),
            files_of_other_kinds: counter("files_of_other_kinds"),
            files_duplicate: counter("files_duplicate"),
            files_read: counter("files_read"),
            lines_read: counter("lines_read"),
            lines_skipped: counter("lines_skipped"),
            lines_refused: counter("lines_refused"),
            bytes_read: counter("bytes_read"),
            bytes_decoded: counter("bytes_decoded"),
        }
    }
}

/// What is to be done with each file.
pub struct Work {
    input: Arc<RawInput>,
    kind: LogKind,
    columns: Columns,
    needle: Option<Finder<'static>>,
    batch_size: usize,
    counters: Counters,
}

impl Work {
    /// Reads the kind's rows that pass the filter, and of them what the projection makes.
    pub fn new(
        input: Arc<RawInput>,
        kind: LogKind,
        schema: &SchemaRef,
        projection: &ProjectionExprs,
        filter: Option<&Arc<dyn PhysicalExpr>>,
        batch_size: usize,
        counters: Counters,
    ) -> Result<Work> {
        let needle =
            filter.and_then(|filter| needle(kind, filter)).map(|text| Finder::new(&text).into_owned());
        let columns = Columns::new(kind, schema, projection, filter)?;
        Ok(Work { input, kind, columns, needle, batch_size: batch_size.max(1), counters })
    }
}

/// Opens the files of one partition, one after another.
pub struct RawOpener {
    work: Arc<Work>,
}

impl RawOpener {
    /// An opener that does this with each file.
    pub fn new(work: Work) -> RawOpener {
        RawOpener { work: Arc::new(work) }
    }
}

impl FileOpener for RawOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let number = file.extension::<FileNumber>().map(|number| number.0);
        let Some(number) = number.filter(|number| *number < self.work.input.files.len()) else {
            return Err(DataFusionError::Internal(format!("unknown raw file {}", file.path())));
        };
        let work = Arc::clone(&self.work);
        let stream = generate(move |giver| async move {
            let mut workspace = work.input.borrow_workspace();
            if let Some(file) = work.input.files.get(number) {
                read_file(&work, file, &mut workspace, giver).await;
            }
            work.input.return_workspace(workspace);
        });
        Ok(futures::future::ready(Ok(stream.boxed())).boxed())
    }
}

type Batches = Giver<Result<RecordBatch>>;

/// Reads one file. What is wrong with it is noted and ends this file only.
async fn read_file(work: &Work, file: &RawFile, workspace: &mut Workspace, giver: Batches) {
    if !file.may_hold(work.kind) {
        work.counters.files_of_other_kinds.add(1);
        return;
    }
    let Workspace { scratch, cells, refused } = workspace;
    if work.input.strict && work.input.check(file, scratch) == Checked::Unsound {
        return;
    }
    let decoder = match work.input.open(file, scratch) {
        Ok(Opening::Log(decoder)) => *decoder,
        Ok(Opening::Skip(skip)) => return work.input.note_skip(file, &skip),
        Err(error) => return work.input.note_problem(file, error.to_string()),
    };
    file.learn(Holds::Log(decoder.kind()));
    if !decoder.may_hold(work.kind) {
        file.learn_kinds(vec![decoder.kind()]);
        work.counters.files_of_other_kinds.add(1);
        return;
    }
    work.counters.files_read.add(1);
    work.counters.bytes_read.add(file.located.size as usize);
    if let Some(kinds) = read_lines(work, &file.path, decoder, cells, refused, giver).await {
        file.learn_kinds(kinds);
    }
}

/// Reads the lines of one file; gives the kinds that it holds where it has been read to its end.
async fn read_lines(
    work: &Work,
    path: &str,
    mut decoder: Decoder<'_>,
    cells: &mut crate::parse::Cells,
    refused: &mut Vec<crate::parse::Refusal>,
    mut giver: Batches,
) -> Option<Vec<LogKind>> {
    let (kind, counters) = (work.kind, &work.counters);
    let mut rows = work.columns.reader(path, work.batch_size);
    let mut refusals = Vec::new();
    let mut refused_lines = 0u64;
    let mut reported = decoder.report();
    let mut kinds: Vec<LogKind> = Vec::new();
    let mut ended = false;
    loop {
        refused.clear();
        let mut want = |found: LogKind, carried: &[usize]| {
            if !kinds.contains(&found) {
                kinds.push(found);
            }
            // Lines of the other flow log are passed over: behind them may come a header of this one.
            if found != kind {
                return Some(Wanted::new(found.columns().len(), &[], false));
            }
            work.input.note_carried(kind, carried);
            Some(work.columns.wanted().clone())
        };
        let cut = decoder.next_batch(&mut want, work.needle.as_ref(), work.batch_size, cells, refused);
        let batch = match cut {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                ended = true;
                break;
            }
            Err(error) => {
                work.input.quarantine.add_problem(path, error.to_string());
                break;
            }
        };
        if batch.kind != kind {
            continue;
        }
        let names = batch.layout.map(|layout| layout.names.as_slice()).unwrap_or_default();
        let source = Source { block: batch.block, cells, names };
        let converted = rows.convert(&source, refused);
        for refusal in refused.drain(..) {
            refused_lines += 1;
            let start = refusal.start as usize;
            let line = batch.block.get(start..start + refusal.len as usize).unwrap_or_default();
            let byte = i64::try_from(batch.offset + u64::from(refusal.start)).ok();
            let kept = RefusedLine::new(kind, byte, refusal.reason, line);
            refusals.push((refusal.line as i64, kept));
        }
        let report = decoder.report();
        counters.lines_read.add((report.lines - reported.lines) as usize);
        counters.lines_skipped.add((report.passed_over - reported.passed_over) as usize);
        counters.bytes_decoded.add((report.bytes - reported.bytes) as usize);
        reported = report;
        match converted {
            Ok(Some(batch)) => giver.give(Ok(batch)).await,
            Ok(None) => {}
            Err(error) => {
                giver.give(Err(error)).await;
                break;
            }
        }
    }
    counters.lines_refused.add(refused_lines as usize);
    work.input.quarantine.add(path, refusals, refused_lines);
    match rows.finish() {
        Ok(Some(batch)) => giver.give(Ok(batch)).await,
        Ok(None) => {}
        Err(error) => giver.give(Err(error)).await,
    }
    ended.then_some(kinds)
}
