//! All output goes through here: data on stdout, everything else on stderr, and a closed pipe is silent.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;

use super::sheet::{Column, Entry, Layout, fitted, sheet};
use crate::network::Network;
use crate::sql::output::{OutputError, OutputFormat, ResultWriter, TableLimits, Written};
use crate::store::StoreError;

/// An error and its causes, each said once: most name their cause themselves.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string().replace("External error: ", "").replace("External: ", "");
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What the user can do about an error, where something below it knows.
fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| match cause.downcast_ref::<StoreError>() {
        Some(error) => error.hint(),
        None => match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space, and try again")
            }
            _ => None,
        },
    })
}

/// So many of something: `1 file`, `2 files`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", indicatif::HumanCount(count), if count == 1 { "" } else { "s" })
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Opens what results are written to, each anew.
#[derive(Clone)]
pub struct Sink(pub Arc<dyn Fn() -> io::Result<Box<dyn Write + Send>> + Send + Sync>);

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

/// Where output goes and how it looks.
#[derive(Clone, Debug)]
pub struct Printer {
    /// What was asked for with `--format`.
    pub format: Option<OutputFormat>,
    /// `-o`.
    pub file: Option<PathBuf>,
    /// `-q`: errors only.
    pub quiet: bool,
    /// Whether messages may be coloured.
    pub color: bool,
    /// What results are written to instead of stdout or the file: the shell's screen, or the end of its file.
    pub sink: Option<Sink>,
    /// How a table of results is laid out, where it is not one line a row.
    pub layout: Option<Layout>,
    /// By what names people read of network ACLs.
    pub names: Option<Arc<Network>>,
}

impl Printer {
    /// Settles what the options mean here.
    pub fn new(format: Option<OutputFormat>, file: Option<PathBuf>, quiet: bool, color: Color) -> Printer {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        Printer { format, file, quiet, color, sink: None, layout: None, names: None }
    }

    /// The same printer, whose tables are laid out so.
    pub fn laid_out(&self, layout: Layout) -> Printer {
        Printer { layout: Some(layout), ..self.clone() }
    }

    /// The same printer, which names network ACLs in what people read.
    pub fn naming(&self, network: Option<Arc<Network>>) -> Printer {
        Printer { names: network, ..self.clone() }
    }

    fn in_names(&self, text: &str) -> String {
        self.names.as_ref().map_or_else(|| text.to_owned(), |network| network.with_acl_names(text))
    }

    /// The format of results: as asked, else by the file's suffix, else a table.
    pub fn format(&self) -> OutputFormat {
        let by_file = || self.file.as_deref().and_then(OutputFormat::from_path);
        self.format.or_else(by_file).unwrap_or(OutputFormat::Table)
    }

    /// Begins a result on stdout or in the `-o` file.
    pub fn result(&self, schema: &SchemaRef) -> anyhow::Result<PrintedResult> {
        let format = self.format();
        if self.file.is_none() && format.needs_file() {
            anyhow::bail!("{format} is not written to a terminal or pipe (name a file with -o)");
        }
        let (out, replacement) = self.out()?;
        let writer = match self.layout.filter(|_| format == OutputFormat::Table) {
            Some(layout) => {
                let (heads, width) = (layout.heads(schema), self.limits().width);
                let names = self.names.clone();
                ResultLines::Sheet(Sheet { layout, heads, entries: Vec::new(), out, width, names })
            }
            None => ResultLines::Rows(ResultWriter::new(format, schema, out, self.limits())?),
        };
        Ok(PrintedResult { writer, replacement })
    }

    /// What a result is written to.
    fn out(&self) -> anyhow::Result<(Box<dyn Write + Send>, Option<Replacement>)> {
        Ok(match (&self.sink, &self.file) {
            (Some(sink), _) => ((sink.0)().context("cannot write the result")?, None),
            (None, Some(path)) => {
                let (file, replacement) = Replacement::begin(path)?;
                (Box::new(BufWriter::new(file)), replacement)
            }
            (None, None) => (Box::new(BufWriter::new(io::stdout())), None),
        })
    }

    /// Writes a result that is text, where results go.
    pub fn text(&self, text: &str) -> anyhow::Result<()> {
        let (mut out, replacement) = self.out()?;
        out.write_all(text.as_bytes()).map_err(OutputError::Io)?;
        out.flush().map_err(OutputError::Io)?;
        drop(out);
        replacement.map_or(Ok(()), Replacement::finish)
    }

    /// What is wrong with the file of `-o`, where its suffix would have to choose the format and is that of none.
    pub fn unknown_suffix(&self) -> Option<String> {
        self.unknown_suffix_of(self.file.as_deref()?)
    }

    /// The same of a file that is to become it.
    pub fn unknown_suffix_of(&self, file: &Path) -> Option<String> {
        if self.format.is_some() {
            return None;
        }
        let suffix = file.extension().filter(|_| OutputFormat::from_path(file).is_none())?;
        Some(format!(
            "no output format has the suffix .{} of {} (known are {}; or choose one with --format)",
            suffix.display(),
            file.display(),
            OutputFormat::SUFFIXES.map(|(suffix, _)| format!(".{suffix}")).join(", ")
        ))
    }

    /// Writes lines for people as the result, fitted to the terminal.
    pub fn lines(&self, text: &str) -> anyhow::Result<()> {
        self.data(&fitted(&self.in_names(text), self.limits().width))
    }

    /// What of a table is shown: on a terminal as much as fits.
    pub fn limits(&self) -> TableLimits {
        let terminal = self.file.is_none() && io::stdout().is_terminal();
        let size = terminal.then(terminal_size::terminal_size).flatten();
        TableLimits { width: size.map(|(width, _)| usize::from(width.0)), rows: terminal.then_some(1000) }
    }

    /// Writes a whole result.
    pub fn batches(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> anyhow::Result<Written> {
        let mut writer = self.result(schema)?;
        for batch in batches {
            writer.write(batch)?;
        }
        writer.finish()
    }

    /// Writes text as the result.
    pub fn data(&self, text: &str) -> anyhow::Result<()> {
        match &self.file {
            Some(path) => {
                let (mut file, replacement) = Replacement::begin(path)?;
                file.write_all(text.as_bytes())
                    .with_context(|| format!("cannot write {}", path.display()))?;
                drop(file);
                replacement.map_or(Ok(()), Replacement::finish)
            }
            None => Ok(io::stdout().write_all(text.as_bytes()).map_err(OutputError::Io)?),
        }
    }

    /// Says something beside the result, unless told to be quiet.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says how many more there are than were shown, if there are more.
    pub fn left_out(&self, more: u64, what: &str) {
        if more > 0 {
            self.note(&format!("{more} more {what} are left out (--limit)"));
        }
    }

    /// Warns.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.say(&format!("{} {text}", self.paint("warning:", "33")));
        }
    }

    /// Reports an error.
    pub fn error(&self, text: &str) {
        self.say(&format!("{} {text}", self.paint("error:", "31")));
    }

    /// Reports an error with its causes and what to do about it.
    pub fn failure(&self, error: &anyhow::Error) {
        let hint = hint(error).map_or_else(String::new, |hint| format!(" ({hint})"));
        self.error(&format!("{}{hint}", in_words(error)));
    }

    /// A word in colour, where colour is on.
    pub fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What matters less, where colour is on.
    pub fn dim(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn say(&self, text: &str) {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A result that is being written.
pub struct PrintedResult {
    writer: ResultLines,
    replacement: Option<Replacement>,
}

impl PrintedResult {
    /// Writes some rows.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match &mut self.writer {
            ResultLines::Rows(writer) => Ok(writer.write(batch)?),
            ResultLines::Sheet(sheet) => {
                let mut entries = sheet.layout.entries(batch)?;
                if let Some(network) = &sheet.names {
                    let texts = entries
                        .iter_mut()
                        .flat_map(|one| std::iter::once(&mut one.text).chain(&mut one.below));
                    texts.for_each(|text| *text = network.with_acl_names(text));
                }
                sheet.entries.extend(entries);
                Ok(())
            }
        }
    }

    /// Ends the result; only now a file of its name holds it.
    pub fn finish(self) -> anyhow::Result<Written> {
        let written = match self.writer {
            ResultLines::Rows(writer) => writer.finish()?,
            ResultLines::Sheet(sheet) => sheet.finish()?,
        };
        self.replacement.map_or(Ok(()), Replacement::finish)?;
        Ok(written)
    }
}

enum ResultLines {
    Rows(ResultWriter<Box<dyn Write + Send>>),
    Sheet(Sheet),
}

/// Rows that are laid out by themselves: all are seen before the first is written.
struct Sheet {
    layout: Layout,
    heads: Vec<Column>,
    entries: Vec<Entry>,
    out: Box<dyn Write + Send>,
    width: Option<usize>,
    names: Option<Arc<Network>>,
}

impl Sheet {
    fn finish(mut self) -> anyhow::Result<Written> {
        let rows = self.entries.len();
        let mut text = sheet(&self.heads, self.layout.title, &self.entries, self.width);
        text.push_str(&format!("({rows} {})\n", if rows == 1 { "row" } else { "rows" }));
        self.out.write_all(text.as_bytes()).map_err(OutputError::Io)?;
        self.out.flush().map_err(OutputError::Io)?;
        Ok(Written { rows: rows as u64, shown: rows as u64 })
    }
}

/// A file that is written beside the one whose place it takes once it is whole: what fails half-way leaves the earlier one.
struct Replacement {
    part: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Opens what to write to. Pipes and devices are written to directly.
    fn begin(path: &Path) -> anyhow::Result<(File, Option<Replacement>)> {
        let failed = || format!("cannot create {}", path.display());
        // Of a link it is the file behind it that is written.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let Some(name) = path.file_name().filter(|_| !path.exists() || path.is_file()) else {
            return Ok((File::create(path).with_context(failed)?, None));
        };
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(part);
        let file = File::create(&part).with_context(failed)?;
        Ok((file, Some(Replacement { part, path: path.clone() })))
    }

    fn finish(self) -> anyhow::Result<()> {
        std::fs::rename(&self.part, &self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Gone already where it has taken its place.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// A result that nobody reads to its end is no failure, and what the exit code tells is told all the same.
pub fn read_or_not(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

/// Whether an error is only that nobody reads the output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        let output = cause.downcast_ref::<OutputError>().and_then(|error| match error {
            OutputError::Io(error) => Some(error),
            _ => None,
        });
        io.or(output).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
