//! Results on their way out: table, csv, tsv, json, ndjson, markdown and parquet.
//!
//! Pure formatting of batches to a writer, a batch at a time. Which format and where to is the caller's, as is whether
//! there is a terminal: without a width and a number of rows nothing is ever cut.

mod table;
mod text;

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, LineDelimited, Writer as JsonWriter, WriterBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::errors::nearest;
pub use table::shown_cells;

/// The form of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Aligned columns for people; may be cut to the terminal.
    Table,
    /// Comma-separated, RFC 4180, with a header line; lists and maps as JSON. NULL is empty, an empty text is `""`; in a result of one column NULL is
    /// `""` as well, since readers leave blank lines out.
    Csv,
    /// Tab-separated with a header line; tabs, line ends and backslashes are escaped. NULL is empty.
    Tsv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A Markdown table.
    Markdown,
    /// A Parquet file.
    Parquet,
}

impl OutputFormat {
    /// Every format, by name.
    pub const ALL: [(&'static str, OutputFormat); 7] = [
        ("table", OutputFormat::Table),
        ("csv", OutputFormat::Csv),
        ("tsv", OutputFormat::Tsv),
        ("json", OutputFormat::Json),
        ("ndjson", OutputFormat::Ndjson),
        ("markdown", OutputFormat::Markdown),
        ("parquet", OutputFormat::Parquet),
    ];

    /// The suffixes of file names that stand for a format.
    pub const SUFFIXES: [(&'static str, OutputFormat); 10] = [
        ("csv", OutputFormat::Csv),
        ("tsv", OutputFormat::Tsv),
        ("tab", OutputFormat::Tsv),
        ("json", OutputFormat::Json),
        ("ndjson", OutputFormat::Ndjson),
        ("jsonl", OutputFormat::Ndjson),
        ("md", OutputFormat::Markdown),
        ("markdown", OutputFormat::Markdown),
        ("parquet", OutputFormat::Parquet),
        ("txt", OutputFormat::Table),
    ];

    /// The format that a file name's suffix stands for.
    pub fn from_path(path: &Path) -> Option<OutputFormat> {
        let suffix = path.extension()?.to_str()?.to_ascii_lowercase();
        OutputFormat::SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, format)| *format)
    }

    /// Whether the result is bytes that belong into a file, not onto a terminal or into a pipe of text.
    pub fn needs_file(self) -> bool {
        self == OutputFormat::Parquet
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OutputFormat::ALL.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for OutputFormat {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<OutputFormat, OutputError> {
        let lower = text.trim().to_ascii_lowercase();
        let name = match lower.as_str() {
            "jsonl" => "ndjson",
            "md" => "markdown",
            other => other,
        };
        OutputFormat::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).ok_or_else(
            || {
                let names = OutputFormat::ALL.map(|(name, _)| name);
                let hint = match nearest(name, names) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known are {}", names.join(", ")),
                };
                OutputError::UnknownFormat { given: text.to_owned(), hint }
            },
        )
    }
}

/// A result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The writer failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A value could not be brought to text.
    #[error(transparent)]
    Arrow(ArrowError),
    /// The Parquet file could not be written.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The Parquet file would need a type that there is not.
    #[error(
        "{column} is an interval, for which parquet has no type (write cast({column} as text) as {column})"
    )]
    Interval {
        /// The column.
        column: String,
    },
    /// There is no such format.
    #[error("no output format {given:?}; {hint}")]
    UnknownFormat {
        /// What was given.
        given: String,
        /// What may have been meant.
        hint: String,
    },
}

impl From<ArrowError> for OutputError {
    fn from(error: ArrowError) -> OutputError {
        match error {
            // A closed pipe has to be told from a wrong value, whoever met it.
            ArrowError::IoError(_, error) => OutputError::Io(error),
            other => OutputError::Arrow(other),
        }
    }
}

/// How much of a table is shown. Other formats are never cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableLimits {
    /// The width of the terminal in characters; `None` never cuts.
    pub width: Option<usize>,
    /// The most rows to show; `None` shows all.
    pub rows: Option<usize>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The rows of the result.
    pub rows: u64,
    /// How many of them were shown.
    pub shown: u64,
}

/// Writes a result, a batch at a time.
pub struct ResultWriter<W: Write + Send> {
    schema: SchemaRef,
    rows: u64,
    inner: Inner<W>,
}

enum Inner<W: Write + Send> {
    Table(table::TableWriter<W>),
    Text(text::TextWriter<W>),
    // The array writer closes its bracket only if told to, and opens it only with the first batch.
    Json(JsonWriter<W, JsonArray>),
    Ndjson(JsonWriter<W, LineDelimited>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> ResultWriter<W> {
    /// Begins a result of this schema.
    ///
    /// # Errors
    /// The writer's, where a format begins with a header.
    pub fn new(
        format: OutputFormat,
        schema: &SchemaRef,
        out: W,
        limits: TableLimits,
    ) -> Result<ResultWriter<W>, OutputError> {
        let schema = in_utc(schema);
        // Where readers find a column by its name there must be one.
        let schema = match format {
            OutputFormat::Table | OutputFormat::Markdown => schema,
            _ => with_unique_names(&schema),
        };
        let json = WriterBuilder::new().with_explicit_nulls(true);
        let inner = match format {
            OutputFormat::Table => Inner::Table(table::TableWriter::new(&schema, out, limits)),
            OutputFormat::Csv => Inner::Text(text::TextWriter::new(text::Style::Csv, &schema, out)),
            OutputFormat::Tsv => Inner::Text(text::TextWriter::new(text::Style::Tsv, &schema, out)),
            OutputFormat::Markdown => Inner::Text(text::TextWriter::new(text::Style::Markdown, &schema, out)),
            OutputFormat::Json => Inner::Json(json.build(out)),
            OutputFormat::Ndjson => Inner::Ndjson(json.build(out)),
            OutputFormat::Parquet => {
                let is_interval = |field: &&Arc<Field>| matches!(field.data_type(), DataType::Interval(_));
                if let Some(field) = schema.fields().iter().find(is_interval) {
                    return Err(OutputError::Interval { column: field.name().clone() });
                }
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                    .build();
                Inner::Parquet(Box::new(ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties))?))
            }
        };
        Ok(ResultWriter { schema, rows: 0, inner })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// The writer's, or a value that has no text.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let columns: Result<Vec<ArrayRef>, ArrowError> = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| match field.data_type() {
                ty if ty == column.data_type() => Ok(Arc::clone(column)),
                ty => cast(column, ty),
            })
            .collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &options)?;
        self.rows = self.rows.saturating_add(batch.num_rows() as u64);
        match &mut self.inner {
            Inner::Table(writer) => writer.write(&batch),
            Inner::Text(writer) => writer.write(&batch),
            Inner::Json(writer) => Ok(writer.write(&batch)?),
            Inner::Ndjson(writer) => Ok(writer.write(&batch)?),
            Inner::Parquet(writer) => Ok(writer.write(&batch)?),
        }
    }

    /// Ends the result: closes what is open, flushes, and says what was written.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(self) -> Result<Written, OutputError> {
        let mut written = Written { rows: self.rows, shown: self.rows };
        match self.inner {
            Inner::Table(writer) => written.shown = writer.finish(self.rows)?,
            Inner::Text(writer) => writer.finish()?,
            Inner::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                out.write_all(b"\n")?;
                out.flush()?;
            }
            Inner::Ndjson(mut writer) => {
                writer.finish()?;
                writer.into_inner().flush()?;
            }
            Inner::Parquet(writer) => {
                writer.into_inner()?.flush()?;
            }
        }
        Ok(written)
    }
}

/// Writes a whole result.
///
/// # Errors
/// As of [`ResultWriter`].
pub fn write_all<W: Write + Send>(
    format: OutputFormat,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    out: W,
    limits: TableLimits,
) -> Result<Written, OutputError> {
    let mut writer = ResultWriter::new(format, schema, out, limits)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()
}

/// The schema with every timestamp that has a zone in UTC, so that all of them are written with `Z`. A time without a zone
/// (a local one, say) is written without.
fn in_utc(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Timestamp(unit, Some(_)) => {
                field.as_ref().clone().with_data_type(DataType::Timestamp(*unit, Some("UTC".into())))
            }
            _ => field.as_ref().clone(),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema with a number behind each name that has come before, as DuckDB numbers them: srcaddr, srcaddr_1.
pub fn with_unique_names(schema: &SchemaRef) -> SchemaRef {
    let mut taken: HashSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if taken.len() == schema.fields().len() {
        return Arc::clone(schema);
    }
    let mut seen = HashSet::new();
    let unique = |field: &Arc<Field>| {
        let name = field.name();
        if seen.insert(name.clone()) {
            return Arc::clone(field);
        }
        let free = (1..).map(|number| format!("{name}_{number}")).find(|name| taken.insert(name.clone()));
        Arc::new(field.as_ref().clone().with_name(free.unwrap_or_default()))
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().map(unique).collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests;
