//! The line-oriented formats: csv, tsv and Markdown.

use std::fmt::Write as _;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::OutputError;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Csv,
    Tsv,
    Markdown,
}

pub(super) struct TextWriter<W: Write> {
    style: Style,
    out: W,
    line: String,
    cell: String,
}

impl<W: Write> TextWriter<W> {
    pub fn new(style: Style, schema: &SchemaRef, mut out: W) -> Result<TextWriter<W>, OutputError> {
        let mut line = String::new();
        for (at, field) in schema.fields().iter().enumerate() {
            put(style, &mut line, at, Some(field.name()));
        }
        end(style, &mut line);
        if style == Style::Markdown {
            for field in schema.fields() {
                line.push_str(if field.data_type().is_numeric() { "| ---: " } else { "| --- " });
            }
            line.push_str("|\n");
        }
        out.write_all(line.as_bytes())?;
        Ok(TextWriter { style, out, line, cell: String::new() })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let options = FormatOptions::new();
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (at, (column, formatter)) in batch.columns().iter().zip(&columns).enumerate() {
                if column.is_null(row) {
                    put(self.style, &mut self.line, at, None);
                    continue;
                }
                self.cell.clear();
                // Writing into a string fails only where the value has no text.
                write!(self.cell, "{}", formatter.value(row)).map_err(|_| {
                    arrow::error::ArrowError::CastError(format!("row {row} has a value without a text"))
                })?;
                put(self.style, &mut self.line, at, Some(&self.cell));
            }
            end(self.style, &mut self.line);
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), OutputError> {
        Ok(self.out.flush()?)
    }
}

/// Adds a cell to a line.
fn put(style: Style, line: &mut String, at: usize, cell: Option<&str>) {
    match style {
        Style::Csv => {
            if at > 0 {
                line.push(',');
            }
            let Some(cell) = cell else { return };
            let special = |c: char| matches!(c, ',' | '"' | '\n' | '\r');
            if cell.is_empty() || cell.contains(special) || cell.starts_with(' ') || cell.ends_with(' ') {
                line.push('"');
                line.push_str(&cell.replace('"', "\"\""));
                line.push('"');
            } else {
                line.push_str(cell);
            }
        }
        Style::Tsv => {
            if at > 0 {
                line.push('\t');
            }
            for c in cell.unwrap_or_default().chars() {
                match c {
                    '\t' => line.push_str("\\t"),
                    '\n' => line.push_str("\\n"),
                    '\r' => line.push_str("\\r"),
                    '\\' => line.push_str("\\\\"),
                    other => line.push(other),
                }
            }
        }
        Style::Markdown => {
            line.push_str("| ");
            for c in visible(cell.unwrap_or_default()).chars() {
                if matches!(c, '|' | '\\' | '<' | '*' | '_' | '`' | '[') {
                    line.push('\\');
                }
                line.push(c);
            }
            line.push(' ');
        }
    }
}

fn end(style: Style, line: &mut String) {
    line.push_str(if style == Style::Markdown { "|\n" } else { "\n" });
}

/// The text with control characters written out: clients choose what stands in a URL or a user agent, and a terminal
/// must not obey it.
pub(super) fn visible(text: &str) -> std::borrow::Cow<'_, str> {
    // Bidirectional marks reorder what is read, which is as bad as an escape sequence.
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(hidden) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.into()
}
