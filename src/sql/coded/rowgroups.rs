//! Row groups as the keys that they are made of, for readers that choose themselves which rows of which columns they look at.
//!
//! Several readers share the row groups of a table: each takes the next that nobody has. One that is not made of keys alone
//! comes as the batches of [`scan`](super::scan).

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use parquet::file::metadata::PageIndexPolicy;

use super::files::{Opened, unreadable};
use super::group::{Origin, origins};
use super::scan::{CodedScan, CodedTable, Reader};
use super::values::{Plain, nulls, plain_numbers, plain_texts};
use super::{coded_field, coded_text};
use crate::parse::keyed::NULL;
use crate::store::decode::{Bits, Column};

/// The row groups of a table's files, each for one of several readers.
#[derive(Debug)]
pub struct RowGroups {
    scan: CodedScan,
    schema: SchemaRef,
    next: Mutex<Next>,
}

/// Which row group comes next.
#[derive(Debug, Default)]
struct Next {
    file: usize,
    opened: Option<Arc<Opened>>,
    group: usize,
}

/// A row group.
pub enum RowGroup {
    /// Made of keys.
    Keyed(KeyedRows),
    /// Any other.
    Plain(Box<dyn Iterator<Item = Result<RecordBatch>> + Send>),
}

/// A row group that is made of keys.
pub struct KeyedRows {
    file: File,
    path: PathBuf,
    rows: usize,
    schema: SchemaRef,
    parts: Vec<Part>,
}

/// A column of it.
struct Part {
    field: Arc<Field>,
    /// `None` where the file lacks it.
    column: Option<Column>,
    /// Whether some rows lack a value, as far as the file tells.
    has_nulls: bool,
    /// Its distinct texts, once they have been asked for.
    texts: Option<ArrayRef>,
}

impl RowGroups {
    /// Those of these columns that some file has.
    ///
    /// # Errors
    /// Where the footer of a file cannot be read.
    pub fn new(table: &CodedTable, names: &[&str]) -> Result<RowGroups> {
        let fields = table.held(names)?;
        let schema = Arc::new(Schema::new(fields.iter().map(coded_field).collect::<Vec<_>>()));
        Ok(RowGroups { scan: table.select(&fields, None, 1), schema, next: Mutex::default() })
    }

    /// The same, none of them taken.
    pub fn again(&self) -> Arc<RowGroups> {
        let (scan, schema) = (self.scan.clone(), Arc::clone(&self.schema));
        Arc::new(RowGroups { scan, schema, next: Mutex::default() })
    }

    /// The columns, text as dictionaries.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next row group that no reader has taken; `None` after the last. `spare` are readers of columns that are done with.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn next(&self, spare: &mut Vec<Column>) -> Result<Option<RowGroup>> {
        let Some((opened, group)) = self.turn()? else { return Ok(None) };
        let Some(origins) = origins(&opened.metadata, group, &self.schema, None) else {
            let reader = Reader::of_group(self.scan.clone(), opened, group);
            return Ok(Some(RowGroup::Plain(Box::new(reader))));
        };
        let path = opened.file.path.clone();
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let parts = self.schema.fields().iter().zip(origins).map(|(field, origin)| {
            let has_nulls = !matches!(&origin, Origin::Keys(place) if !place.has_nulls);
            let column = match origin {
                Origin::Keys(place) => {
                    let mut column = spare.pop().unwrap_or_default();
                    column.begin(place);
                    Some(column)
                }
                _ => None,
            };
            Part { field: Arc::clone(field), column, has_nulls, texts: None }
        });
        let parts = parts.collect();
        let rows = opened.metadata.metadata().row_groups().get(group).map_or(0, |group| group.num_rows());
        let rows = usize::try_from(rows).unwrap_or(0);
        Ok(Some(RowGroup::Keyed(KeyedRows { file, path, rows, schema: Arc::clone(&self.schema), parts })))
    }

    fn turn(&self) -> Result<Option<(Arc<Opened>, usize)>> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(opened) = &next.opened
                && next.group < opened.metadata.metadata().num_row_groups()
            {
                let taken = (Arc::clone(opened), next.group);
                next.group += 1;
                return Ok(Some(taken));
            }
            let Some(opened) = self.scan.table.files.open(next.file, PageIndexPolicy::Skip)? else {
                next.opened = None;
                return Ok(None);
            };
            *next = Next { file: next.file + 1, opened: Some(opened), group: 0 };
        }
    }
}

impl KeyedRows {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of a column, if the file has it.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.parts.iter().position(|part| part.field.name() == name && part.column.is_some())
    }

    /// Whether some rows may lack a value in this column.
    pub fn has_nulls(&self, of: usize) -> bool {
        self.parts.get(of).is_none_or(|part| part.has_nulls)
    }

    /// The rows in pieces of at most so many, none of which crosses the border of a page of this column.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn windows(&mut self, of: usize, most: usize) -> Result<Vec<Range<usize>>> {
        let pages = match self.parts.get_mut(of).and_then(|part| part.column.as_mut()) {
            Some(column) => column.pages(&self.file).map_err(|error| unreadable(&self.path, &error))?,
            None => std::iter::once(0..self.rows).collect(),
        };
        let most = most.max(1);
        let pieces = pages.into_iter().flat_map(|page| {
            let end = page.end;
            page.step_by(most).map(move |from| from..end.min(from + most))
        });
        Ok(pieces.collect())
    }

    /// Adds the keys of these rows, of those whose bit is set if `chosen` has one for each; [`NULL`] for rows without a value.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn keys(
        &mut self,
        of: usize,
        rows: Range<usize>,
        chosen: Option<&Bits>,
        keys: &mut Vec<u32>,
    ) -> Result<()> {
        match self.parts.get_mut(of).and_then(|part| part.column.as_mut()) {
            Some(column) => {
                column.keys(&self.file, rows, chosen, keys).map_err(|error| unreadable(&self.path, &error))
            }
            None => {
                let count = chosen.map_or(rows.len(), Bits::ones);
                keys.resize(keys.len().saturating_add(count), NULL);
                Ok(())
            }
        }
    }

    /// As [`keys`](KeyedRows::keys), in the place of what was there; nothing where there is no such column.
    ///
    /// # Errors
    /// As there.
    pub fn keys_into(
        &mut self,
        of: Option<usize>,
        rows: &Range<usize>,
        chosen: Option<&Bits>,
        keys: &mut Vec<u32>,
    ) -> Result<()> {
        keys.clear();
        of.map_or(Ok(()), |of| self.keys(of, rows.clone(), chosen, keys))
    }

    /// The distinct texts of a column.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn texts(&mut self, of: usize) -> Result<Option<ArrayRef>> {
        let Some(part) = self.parts.get_mut(of) else { return Ok(None) };
        if part.texts.is_none()
            && let Some(column) = &mut part.column
        {
            let unreadable = |error| unreadable(&self.path, &error);
            let (bytes, count) = column.dictionary(&self.file).map_err(unreadable)?;
            part.texts = Some(plain_texts(Plain(bytes), count)?);
        }
        Ok(part.texts.clone())
    }

    /// The distinct numbers of a column, each at the place of its key; times in their own unit.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn numbers(&mut self, of: usize) -> Result<Vec<i64>> {
        let Some(part) = self.parts.get_mut(of) else { return Ok(Vec::new()) };
        let Some(column) = &mut part.column else { return Ok(Vec::new()) };
        let (bytes, count) = column.dictionary(&self.file).map_err(|error| unreadable(&self.path, &error))?;
        Ok(match part.field.data_type() {
            DataType::Int32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .take(count)
                .map(|bytes| i64::from(i32::from_le_bytes(*bytes)))
                .collect(),
            _ => {
                bytes.as_chunks::<8>().0.iter().take(count).map(|bytes| i64::from_le_bytes(*bytes)).collect()
            }
        })
    }

    fn array(&mut self, of: usize, keys: &[u32]) -> Result<ArrayRef> {
        let texts = match self.parts.get(of) {
            Some(part) if part.field.data_type() == &coded_text() => self.texts(of)?,
            _ => None,
        };
        let Some(part) = self.parts.get_mut(of) else {
            return Ok(new_null_array(&DataType::Null, keys.len()));
        };
        let ty = part.field.data_type();
        let Some(column) = &mut part.column else { return Ok(new_null_array(ty, keys.len())) };
        if let Some(texts) = texts {
            let codes: Vec<i32> = keys.iter().map(|key| if *key == NULL { 0 } else { *key as i32 }).collect();
            return Ok(Arc::new(DictionaryArray::try_new(
                Int32Array::new(codes.into(), nulls(keys)),
                texts,
            )?));
        }
        let (bytes, _) = column.dictionary(&self.file).map_err(|error| unreadable(&self.path, &error))?;
        plain_numbers(bytes, ty, keys)
    }

    /// These rows, those whose bit is set if `chosen` has one for each, with all columns.
    ///
    /// # Errors
    /// Where the file cannot be read, or is damaged.
    pub fn batch(&mut self, rows: &Range<usize>, chosen: Option<&Bits>) -> Result<RecordBatch> {
        let count = chosen.map_or(rows.len(), Bits::ones);
        let mut arrays = Vec::with_capacity(self.parts.len());
        let mut keys = Vec::with_capacity(count);
        for of in 0..self.parts.len() {
            keys.clear();
            self.keys(of, rows.clone(), chosen, &mut keys)?;
            arrays.push(self.array(of, &keys)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }

    /// The readers of its columns, for the next row group.
    pub fn into_columns(self) -> impl DoubleEndedIterator<Item = Column> {
        self.parts.into_iter().filter_map(|part| part.column)
    }
}
