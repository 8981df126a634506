//! One partition's reading of raw files: bytes to cells, cells to the columns that the filter needs, and for the rows
//! that pass it to the columns that the query needs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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
use super::long::{LongFile, Part};
use super::needle::needle;
use super::quarantine::{KEPT, RefusedLine};
use super::rows::{Columns, Source};
use crate::format::LogKind;
use crate::parse::flow::FieldList;
use crate::parse::{Cells, Refusal, Wanted};
use crate::source::decode::{Decoder, FileReport, Opening};
use crate::source::{Scratch, SharedText};

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

    /// Counts what has been read since `reported`.
    fn count(&self, report: &FileReport, reported: &mut FileReport) {
        self.lines_read.add((report.lines - reported.lines) as usize);
        self.lines_skipped.add((report.passed_over - reported.passed_over) as usize);
        self.bytes_decoded.add((report.bytes - reported.bytes) as usize);
        *reported = *report;
    }
}

/// What is to be done with each file.
pub struct Work {
    input: Arc<RawInput>,
    kind: LogKind,
    columns: Columns,
    needle: Option<Finder<'static>>,
    batch_size: usize,
    readers: usize,
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
        Ok(Work { input, kind, columns, needle, batch_size: batch_size.max(1), readers: 1, counters })
    }

    /// Where so many do this, they share long files.
    pub fn one_of(self, readers: usize) -> Work {
        Work { readers, ..self }
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
        let Some(part) = file.extension::<Part>().cloned() else {
            return Err(DataFusionError::Internal(format!("unknown raw file {}", file.path())));
        };
        let work = Arc::clone(&self.work);
        let stream = generate(move |mut giver| async move {
            let mut workspace = work.input.borrow_workspace();
            match part {
                Part::File(number) => read_file(&work, number, None, &mut workspace, &mut giver).await,
                Part::Long(long) => {
                    read_file(&work, long.number, Some(&long), &mut workspace, &mut giver).await;
                }
                Part::Rest(files) => {
                    for long in files.iter().filter(|long| !long.is_done()) {
                        read_file(&work, long.number, Some(long), &mut workspace, &mut giver).await;
                    }
                }
            }
            work.input.return_workspace(workspace);
        });
        Ok(futures::future::ready(Ok(stream.boxed())).boxed())
    }
}

type Batches = Giver<Result<RecordBatch>>;

/// Reads one file, or one's share of a long one. What is wrong with it is noted and ends this file only.
async fn read_file(
    work: &Work,
    number: usize,
    long: Option<&LongFile>,
    workspace: &mut Workspace,
    giver: &mut Batches,
) {
    let Some(file) = work.input.files.get(number) else { return };
    let Workspace { scratch, cells, refused } = workspace;
    let decoder = match long {
        None => open(work, file, scratch),
        Some(long) => {
            let mut own = None;
            let text = long.text.get_or_init(|| {
                own = open(work, file, scratch);
                // Alone, one need not look ahead for what others have to know.
                own.as_mut().filter(|_| work.readers > 1).and_then(|decoder| decoder.share())
            });
            let join = |text: &Arc<SharedText>| {
                Box::new(Decoder::of_shared(Arc::clone(text), &file.located, &work.input.decode))
            };
            own.or_else(|| text.as_ref().map(join))
        }
    };
    let Some(decoder) = decoder else { return };
    if let Some(long) = long {
        long.join();
    }
    let buffers = Buffers { cells, refused };
    let ended = read_lines(work, (number, file), long, *decoder, buffers, giver).await;
    let kinds = match (ended, long) {
        (Some(kinds), None) => Some(kinds),
        (Some(kinds), Some(long)) => long.end(&kinds),
        (None, _) => None,
    };
    if let Some(kinds) = kinds {
        file.learn_kinds(kinds);
    }
}

/// Opens a file that may hold lines of the kind.
fn open<'s>(work: &Work, file: &RawFile, scratch: &'s mut Scratch) -> Option<Box<Decoder<'s>>> {
    if !file.may_hold(work.kind) {
        work.counters.files_of_other_kinds.add(1);
        return None;
    }
    if work.input.strict && work.input.check(file, scratch) == Checked::Unsound {
        return None;
    }
    let decoder = match work.input.open(file, scratch) {
        Ok(Opening::Log(decoder)) => decoder,
        Ok(Opening::Skip(skip)) => {
            work.input.note_skip(file, &skip);
            return None;
        }
        Err(error) => {
            work.input.note_problem(file, error.to_string());
            return None;
        }
    };
    file.learn(Holds::Log(decoder.kind()));
    if !decoder.may_hold(work.kind) {
        file.learn_kinds(vec![decoder.kind()]);
        work.counters.files_of_other_kinds.add(1);
        return None;
    }
    if work.columns.wanted().columns().is_empty() {
        work.input.unlooked.store(true, Ordering::Relaxed);
    }
    work.counters.files_read.add(1);
    work.counters.bytes_read.add(file.located.size as usize);
    Some(decoder)
}

/// After so many lines without a row others get the thread: a query may have been cancelled. Often, since the runtime
/// looks for signals and timers only once in many turns.
const PAUSE: u64 = 16_000;

/// Where lines are cut to.
struct Buffers<'a> {
    cells: &'a mut Cells,
    refused: &'a mut Vec<Refusal>,
}

/// Reads the lines of one file; gives the kinds that it holds where it has been read to its end.
async fn read_lines(
    work: &Work,
    (number, file): (usize, &RawFile),
    long: Option<&LongFile>,
    mut decoder: Decoder<'_>,
    Buffers { cells, refused }: Buffers<'_>,
    giver: &mut Batches,
) -> Option<Vec<LogKind>> {
    let (kind, counters, path) = (work.kind, &work.counters, file.path.as_str());
    let mut rows = work.columns.reader(path, work.batch_size);
    let mut refusals = Vec::new();
    let mut refused_lines = 0u64;
    let mut reported = decoder.report();
    let mut kinds: Vec<LogKind> = Vec::new();
    let mut noted: Option<Vec<usize>> = None;
    // The first line of a row with fewer fields than its header.
    let mut short: Option<u64> = None;
    let mut fields = FieldList::default();
    let mut ended = false;
    // The line at which others last had the thread.
    let mut turn = 0;
    loop {
        let lines = decoder.report().lines;
        if lines.saturating_sub(turn) >= PAUSE {
            turn = lines;
            giver.pause().await;
        }
        refused.clear();
        let mut want = |found: LogKind, carried: &[usize]| {
            if !kinds.contains(&found) {
                kinds.push(found);
            }
            // Lines of the other flow log are passed over: behind them may come a header of this one.
            if found != kind {
                return Some(Wanted::new(found.columns().len(), &[], false));
            }
            if noted.as_deref() != Some(carried) {
                work.input.note_carried(number, kind, carried);
                noted = Some(carried.to_vec());
            }
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
        short = short.or(cells.short.first().copied());
        cells.field_lists.iter().for_each(|list| fields.add(list));
        let names = batch.layout.map(|layout| layout.names.as_slice()).unwrap_or_default();
        let source = Source { block: batch.block, cells, names };
        let converted = rows.convert(&source, refused);
        for refusal in refused.drain(..) {
            refused_lines += 1;
            // What comes behind these is counted, and would not be kept.
            if refusals.len() >= KEPT {
                continue;
            }
            let byte = i64::try_from(batch.offset + u64::from(refusal.start)).ok();
            let text = refusal.text(batch.block);
            refusals.push((refusal.line as i64, RefusedLine { kind, byte, reason: refusal.reason, text }));
        }
        counters.count(&decoder.report(), &mut reported);
        match converted {
            Ok(Some(batch)) => {
                turn = reported.lines;
                giver.give(Ok(batch)).await;
            }
            Ok(None) => {}
            Err(error) => {
                giver.give(Err(error)).await;
                break;
            }
        }
    }
    work.input.note_fields(number, kind, &fields);
    if decoder.report().ending.is_broken() {
        work.input.quarantine.add_broken(path);
    }
    counters.count(&decoder.report(), &mut reported);
    counters.lines_refused.add(refused_lines as usize);
    let of_all = long.map_or(refused_lines, |long| long.refuse(refused_lines));
    work.input.quarantine.add(path, refusals, of_all);
    if let Some(line) = short {
        work.input.quarantine.add_short(path, line);
    }
    match rows.finish() {
        Ok(Some(batch)) => giver.give(Ok(batch)).await,
        Ok(None) => {}
        Err(error) => giver.give(Err(error)).await,
    }
    ended.then_some(kinds)
}
