//! Row groups into Parquet files: few large ones, whatever the inputs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::ArrayRef;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescPtr;

use super::rows::{Group, Rows};
use crate::format;
use crate::store::encode::{ChunkOptions, EncodedChunk, Encoder};

/// A file is closed once it has grown to this size.
const TARGET: u64 = 128 << 20;

/// Bytes handed to the system at a time: the library by itself would do it for every 8 KiB.
const BUFFER: usize = 256 * 1024;

/// So many files are kept open; beyond, all are closed.
const OPEN: usize = 128;

/// A failure to write.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file system refused.
    #[error("cannot write {path}: {source} (check the free space and the rights of the store)")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The Parquet library refused.
    #[error("cannot write {path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParquetError,
    },
}

/// A finished file.
#[derive(Debug)]
pub struct Written {
    /// What its rows have in common.
    pub group: Group,
    /// Where it is.
    pub path: PathBuf,
    /// Its footer.
    pub metadata: ParquetMetaData,
}

struct Open {
    writer: SerializedFileWriter<BufWriter<File>>,
    path: PathBuf,
    descr: SchemaDescPtr,
}

type Slot = Arc<Mutex<Option<Open>>>;

/// The files of one commit.
pub struct Output<'a> {
    new_path: &'a (dyn Fn(&Group) -> io::Result<PathBuf> + Sync),
    open: Mutex<HashMap<Group, Slot>>,
    written: Mutex<Vec<Written>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Output<'a> {
    /// Files are created where `new_path` says.
    pub fn new(new_path: &'a (dyn Fn(&Group) -> io::Result<PathBuf> + Sync)) -> Output<'a> {
        Output { new_path, open: Mutex::default(), written: Mutex::default() }
    }

    /// Encodes a row group and appends it to its group's file; then the rows are empty.
    pub fn write(&self, rows: &mut Rows, encoder: &mut Encoder) -> Result<(), OutputError> {
        if rows.is_empty() {
            return Ok(());
        }
        let slot = self.slot(&rows.group)?;
        let descr = {
            let mut place = lock(&slot);
            self.opened(&mut place, &rows.group)?.descr.clone()
        };
        let fail = |source| OutputError::Parquet { path: PathBuf::from(rows.group.kind.table()), source };
        let mut chunks = Vec::with_capacity(rows.columns.len());
        for (place, column) in rows.columns.iter().enumerate() {
            let leaf = descr.column(place);
            let options = ChunkOptions { bloom_filter: Group::wants_bloom_filter(leaf.name()) };
            chunks.push(encoder.encode(&leaf, column, options).map_err(fail)?);
        }
        let extra = rows.finish_extra();
        let mut place = lock(&slot);
        let open = self.opened(&mut place, &rows.group)?;
        match append(open, chunks, extra) {
            Ok(buffers) => encoder.recycle(buffers.into_iter()),
            Err(error) => {
                // The file is in pieces now: the next worker must not go on with it and say something else is wrong.
                *place = None;
                return Err(error);
            }
        }
        let full = open.writer.bytes_written() as u64 >= TARGET;
        if full && let Some(open) = place.take() {
            self.close(rows.group.clone(), open)?;
        }
        rows.clear();
        Ok(())
    }

    fn slot(&self, group: &Group) -> Result<Slot, OutputError> {
        let mut open = lock(&self.open);
        if open.len() >= OPEN && !open.contains_key(group) {
            for (group, slot) in open.drain() {
                if let Some(file) = lock(&slot).take() {
                    self.close(group, file)?;
                }
            }
        }
        Ok(open.entry(group.clone()).or_default().clone())
    }

    fn opened<'o>(&self, place: &'o mut Option<Open>, group: &Group) -> Result<&'o mut Open, OutputError> {
        match place {
            Some(open) => Ok(open),
            None => {
                let path = (self.new_path)(group)
                    .map_err(|source| OutputError::Io { path: PathBuf::from(group.kind.table()), source })?;
                Ok(place.insert(create(path, group)?))
            }
        }
    }

    fn close(&self, group: Group, open: Open) -> Result<(), OutputError> {
        let Open { mut writer, path, .. } = open;
        let metadata =
            writer.finish().map_err(|source| OutputError::Parquet { path: path.clone(), source })?;
        writer
            .inner()
            .get_ref()
            .sync_all()
            .map_err(|source| OutputError::Io { path: path.clone(), source })?;
        lock(&self.written).push(Written { group, path, metadata });
        Ok(())
    }

    /// Closes every file and hands all of them over.
    pub fn finish(self) -> Result<Vec<Written>, OutputError> {
        let open = std::mem::take(&mut *lock(&self.open));
        for (group, slot) in open {
            if let Some(file) = lock(&slot).take() {
                self.close(group, file)?;
            }
        }
        Ok(self.written.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

fn create(path: PathBuf, group: &Group) -> Result<Open, OutputError> {
    let fail = |source| OutputError::Parquet { path: path.clone(), source };
    let schema = ArrowSchemaConverter::new().convert(&group.schema()).map_err(fail)?;
    let file = File::create_new(&path).map_err(|source| OutputError::Io { path: path.clone(), source })?;
    let level = ZstdLevel::try_new(1).map_err(fail)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("flowq ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let writer = SerializedFileWriter::new(
        BufWriter::with_capacity(BUFFER, file),
        schema.root_schema_ptr(),
        Arc::new(properties),
    )
    .map_err(fail)?;
    let descr = writer.schema_descr().clone();
    Ok(Open { writer, path, descr: Arc::new(descr) })
}

/// Appends a row group; the chunks' buffers come back.
fn append(
    open: &mut Open,
    chunks: Vec<EncodedChunk>,
    extra: Option<ArrayRef>,
) -> Result<Vec<Bytes>, OutputError> {
    let path = open.path.clone();
    let write = |open: &mut Open| -> Result<Vec<Bytes>, ParquetError> {
        let mut buffers = Vec::with_capacity(chunks.len());
        let leaves = match &extra {
            Some(extra) => encode_extra(&open.writer, extra, chunks.len())?,
            None => Vec::new(),
        };
        let mut group = open.writer.next_row_group()?;
        for chunk in chunks {
            group.append_column(&chunk.bytes, chunk.close)?;
            buffers.push(chunk.bytes);
        }
        for leaf in leaves {
            leaf.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(buffers)
    };
    write(open).map_err(|source| OutputError::Parquet { path, source })
}

/// The stock writer's chunks for the map column, whose two leaves follow `before` others.
fn encode_extra(
    writer: &SerializedFileWriter<BufWriter<File>>,
    extra: &ArrayRef,
    before: usize,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    use arrow::datatypes::{DataType, Field, Schema};
    // Only the map's leaves are written by the stock writer; the fields before it stand in by number alone.
    let mut fields: Vec<Field> =
        (0..before).map(|n| Field::new(format!("c{n}"), DataType::Null, true)).collect();
    let field = Field::new(format::EXTRA, format::extra_type(), true);
    fields.push(field.clone());
    let factory = ArrowRowGroupWriterFactory::new(writer, Arc::new(Schema::new(fields)));
    let writers = factory.create_column_writers(0)?;
    let leaves = compute_leaves(&field, extra)?;
    let mut chunks = Vec::new();
    for (mut writer, leaf) in writers.into_iter().skip(before).zip(&leaves) {
        writer.write(leaf)?;
        chunks.push(writer.close()?);
    }
    Ok(chunks)
}
