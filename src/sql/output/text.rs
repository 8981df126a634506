//! The line-oriented formats: csv, tsv and Markdown.

use std::fmt::Write as _;
use std::io::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use arrow::json::writer::WriterBuilder;
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
    /// The lines before the first row, until they are written: what fails before it has a row leaves nothing behind.
    header: Option<String>,
    columns: usize,
}

impl<W: Write> TextWriter<W> {
    pub fn new(style: Style, schema: &SchemaRef, out: W) -> TextWriter<W> {
        let mut header = String::new();
        for (at, field) in schema.fields().iter().enumerate() {
            put(style, &mut header, at, Some(field.name()));
        }
        end(style, &mut header);
        if style == Style::Markdown {
            for field in schema.fields() {
                header.push_str(if field.data_type().is_numeric() { "| ---: " } else { "| --- " });
            }
            header.push_str("|\n");
        }
        let columns = schema.fields().len();
        TextWriter { style, out, line: String::new(), cell: String::new(), header: Some(header), columns }
    }

    fn begin(&mut self) -> Result<(), OutputError> {
        match self.header.take() {
            Some(header) => Ok(self.out.write_all(header.as_bytes())?),
            None => Ok(()),
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.begin()?;
        // An untyped NULL has no mask of nulls: every value of it is one.
        let nulls: Vec<_> = batch.columns().iter().map(|column| column.logical_nulls()).collect();
        // A line with nothing in it would be no row.
        let only_null = if self.style == Style::Csv && self.columns == 1 { Some("") } else { None };
        let options = FormatOptions::new();
        let cells = batch.columns().iter().map(|column| Cells::of(column, &options));
        let columns = cells.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (at, (nulls, cells)) in nulls.iter().zip(&columns).enumerate() {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    put(self.style, &mut self.line, at, only_null);
                    continue;
                }
                match cells {
                    Cells::View(texts) => put(self.style, &mut self.line, at, Some(texts.value(row))),
                    Cells::Text(texts) => put(self.style, &mut self.line, at, Some(texts.value(row))),
                    Cells::Int(numbers) => self.number(at, numbers.value(row).into()),
                    Cells::Long(numbers) => self.number(at, numbers.value(row)),
                    Cells::Nested(texts) => {
                        put(self.style, &mut self.line, at, texts.get(row).map(String::as_str));
                    }
                    Cells::Other(cells) => {
                        self.cell.clear();
                        // Writing into a string fails only where the value has no text.
                        write!(self.cell, "{}", cells.value(row)).map_err(|_| {
                            ArrowError::CastError(format!("row {row} has a value without a text"))
                        })?;
                        put(self.style, &mut self.line, at, Some(&self.cell));
                    }
                }
            }
            end(self.style, &mut self.line);
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(())
    }

    fn number(&mut self, at: usize, number: i64) {
        let mut digits = [0; 20];
        put(self.style, &mut self.line, at, Some(decimal(number, &mut digits)));
    }

    pub fn finish(mut self) -> Result<(), OutputError> {
        self.begin()?;
        Ok(self.out.flush()?)
    }
}

/// The cells of a column, those of the commonest types as they are.
enum Cells<'a> {
    View(&'a StringViewArray),
    Text(&'a StringArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array),
    /// Lists, maps and structs as JSON: what separates their items stands in items as well.
    Nested(Vec<String>),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef, options: &FormatOptions<'a>) -> Result<Cells<'a>, ArrowError> {
        Ok(match column.data_type() {
            DataType::Utf8View => Cells::View(column.as_string_view()),
            DataType::Utf8 => Cells::Text(column.as_string()),
            DataType::Int32 => Cells::Int(column.as_primitive()),
            DataType::Int64 => Cells::Long(column.as_primitive()),
            nested if nested.is_nested() => match json(column) {
                Some(texts) => Cells::Nested(texts),
                None => Cells::Other(ArrayFormatter::try_new(column.as_ref(), options)?),
            },
            _ => Cells::Other(ArrayFormatter::try_new(column.as_ref(), options)?),
        })
    }
}

/// Each value as JSON; `None` where some type in it has none.
fn json(column: &ArrayRef) -> Option<Vec<String>> {
    let batch = RecordBatch::try_from_iter_with_nullable([("v", ArrayRef::clone(column), true)]).ok()?;
    let mut writer: LineDelimitedWriter<Vec<u8>> =
        WriterBuilder::new().with_explicit_nulls(true).build(Vec::new());
    writer.write(&batch).ok()?;
    writer.finish().ok()?;
    let lines = String::from_utf8(writer.into_inner()).ok()?;
    let value = |line: &str| Some(line.strip_prefix("{\"v\":")?.strip_suffix('}')?.to_owned());
    lines.lines().map(value).collect()
}

/// A number as text, written from its last digit on.
fn decimal(number: i64, digits: &mut [u8; 20]) -> &str {
    let mut rest = number.unsigned_abs();
    let mut from = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        from -= 1;
        if rest == 0 {
            break;
        }
    }
    if number < 0
        && let Some(sign) = from.checked_sub(1).and_then(|at| digits.get_mut(at))
    {
        *sign = b'-';
        from -= 1;
    }
    digits.get(from..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// Adds a cell to a line.
fn put(style: Style, line: &mut String, at: usize, cell: Option<&str>) {
    match style {
        Style::Csv => {
            if at > 0 {
                line.push(',');
            }
            let Some(cell) = cell else { return };
            let special = |byte: u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
            if cell.is_empty() || cell.bytes().any(special) || cell.starts_with(' ') || cell.ends_with(' ') {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_language_writes_them(
            number in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -20..20i64],
        ) {
            let mut digits = [0; 20];
            prop_assert_eq!(decimal(number, &mut digits), number.to_string());
        }
    }
}
