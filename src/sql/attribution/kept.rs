//! Rejected records between the pass that finds them and the moment when they are judged: in memory as long as the session
//! allows it, on disk after that.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Int32Type, SchemaRef};
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::parts::Part;
use crate::sql::coded::same_texts;

/// Less than this is not worth a file.
const LEAST_FILE: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// The rejected records of one partition.
pub(super) struct Kept {
    spill: SpillManager,
    on_disk: Vec<Arc<dyn SpillFile>>,
    in_memory: Vec<RecordBatch>,
    rows: usize,
    batches: usize,
    /// Bytes of `in_memory`.
    bytes: usize,
    memory: MemoryReservation,
    /// The texts of the batch before, by column: batches share them.
    dictionaries: Vec<Option<ArrayRef>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("rows", &self.rows)
            .field("files", &self.on_disk.len())
            .finish_non_exhaustive()
    }
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new(schema: &SchemaRef, task: &TaskContext, partition: usize) -> Kept {
        let consumer = MemoryConsumer::new("rejected records").with_can_spill(true);
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), partition);
        Kept {
            spill: SpillManager::new(task.runtime_env(), metrics, Arc::clone(schema)),
            on_disk: Vec::new(),
            in_memory: Vec::new(),
            rows: 0,
            batches: 0,
            bytes: 0,
            memory: consumer.register(task.memory_pool()),
            dictionaries: vec![None; schema.fields().len()],
        }
    }

    /// Adds records.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = compact(batch)?;
        self.rows = self.rows.saturating_add(batch.num_rows());
        self.batches = self.batches.saturating_add(1);
        let bytes = self.bytes_of(&batch);
        self.in_memory.push(batch);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.memory.try_grow(bytes).is_err() && self.bytes >= LEAST_FILE {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes what is in memory to disk.
    pub(super) fn spill(&mut self) -> Result<()> {
        if !self.in_memory.is_empty() {
            let file = self.spill.spill_record_batch_and_finish(&self.in_memory, "rejected records")?;
            self.on_disk.extend(file);
        }
        self.in_memory.clear();
        self.dictionaries.iter_mut().for_each(|known| *known = None);
        self.bytes = 0;
        self.memory.free();
        Ok(())
    }

    fn bytes_of(&mut self, batch: &RecordBatch) -> usize {
        let mut bytes = 0usize;
        for (column, known) in batch.columns().iter().zip(&mut self.dictionaries) {
            let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else {
                bytes = bytes.saturating_add(column.get_buffer_memory_size());
                continue;
            };
            bytes = bytes.saturating_add(dictionary.keys().get_buffer_memory_size());
            if !known.as_ref().is_some_and(|known| same_texts(known, dictionary.values())) {
                bytes = bytes.saturating_add(dictionary.values().get_buffer_memory_size());
                *known = Some(Arc::clone(dictionary.values()));
            }
        }
        bytes
    }

    /// How many records a part of them has, were all batches of one size.
    pub(super) fn rows_of(&self, part: Part) -> usize {
        let rows = self.rows.saturating_mul(self.batches_of(part));
        rows.div_ceil(self.batches.max(1))
    }

    /// How many batches a part has.
    pub(super) fn batches_of(&self, part: Part) -> usize {
        part.batches(self.batches).len()
    }

    /// Whether some are in memory.
    pub(super) fn holds_memory(&self) -> bool {
        !self.in_memory.is_empty()
    }

    /// Whether records had to go to disk.
    #[cfg(test)]
    pub(super) fn is_spilled(&self) -> bool {
        !self.on_disk.is_empty()
    }

    /// The records of a part, as often as asked for.
    pub(super) fn stream(&self, part: Part) -> Result<SendableRecordBatchStream> {
        let Range { start, end } = part.batches(self.batches);
        let memory = futures::stream::iter(self.in_memory.clone().into_iter().map(Ok));
        let files = self.on_disk.iter().map(|file| self.spill.read_spill_as_stream(Arc::clone(file), None));
        let disk = futures::stream::iter(files.collect::<Result<Vec<_>>>()?).flatten();
        let batches = disk.chain(memory).skip(start).take(end.saturating_sub(start));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.spill.schema()), batches)))
    }
}

/// Views of text without what else their buffers hold: they were cut out of larger batches.
fn compact(batch: RecordBatch) -> Result<RecordBatch> {
    if !batch.columns().iter().any(|column| column.data_type() == &DataType::Utf8View) {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(|column| match column.as_string_view_opt() {
        Some(views) => Arc::new(views.gc()) as ArrayRef,
        None => Arc::clone(column),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{DictionaryArray, Int64Array, StringArray, StringViewArray};
    use datafusion::arrow::compute::concat_batches;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// Batches that share their texts, as those of one row group do.
    fn batches() -> Vec<RecordBatch> {
        let texts = Arc::new(StringArray::from_iter_values((0..50).map(|n| format!("10.0.0.{n}"))));
        let batch = |at: i64| {
            let keys = (0..100).map(|row| (row % 7 != 0).then_some((row * 3 + at as i32) % 50)).collect();
            let addresses = DictionaryArray::<Int32Type>::new(keys, Arc::clone(&texts) as ArrayRef);
            let long = (0..100).map(|row| format!("an explanation that is no short text: {at} {row}"));
            RecordBatch::try_from_iter_with_nullable([
                ("address", Arc::new(addresses) as ArrayRef, true),
                ("text", Arc::new(StringViewArray::from_iter_values(long)) as ArrayRef, true),
                ("number", Arc::new(Int64Array::from_iter_values(at..at + 100)) as ArrayRef, true),
            ])
            .unwrap()
        };
        (0..200).map(batch).collect()
    }

    #[tokio::test]
    async fn what_memory_does_not_hold_comes_back_from_disk() {
        let batches = batches();
        let schema = batches[0].schema();
        for (limit, spilled) in [(100 << 20, false), (64 << 10, true), (1, true)] {
            let runtime = RuntimeEnvBuilder::new().with_memory_limit(limit, 1.0).build_arc().unwrap();
            let context = SessionContext::new_with_config_rt(SessionConfig::new(), Arc::clone(&runtime));
            let mut kept = Kept::new(&schema, &context.task_ctx(), 0);
            batches.iter().for_each(|batch| kept.push(batch.clone()).unwrap());
            assert_eq!(kept.is_spilled(), spilled, "{limit} bytes");
            assert!(runtime.memory_pool.reserved() <= limit);
            assert_eq!(kept.rows_of(Part::ALL), 20_000);
            for _ in 0..2 {
                let found: Vec<_> = kept.stream(Part::ALL).unwrap().collect().await;
                let found: Vec<RecordBatch> = found.into_iter().map(Result::unwrap).collect();
                assert_eq!(
                    concat_batches(&schema, &found).unwrap(),
                    concat_batches(&schema, &batches).unwrap(),
                    "{limit} bytes"
                );
            }
            kept.spill().unwrap();
            assert_eq!(runtime.memory_pool.reserved(), 0);
            let found: Vec<_> = kept.stream(Part::ALL).unwrap().collect().await;
            assert_eq!(found.into_iter().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 20_000);
        }
    }
}
