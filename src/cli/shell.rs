//! The SQL shell: `flowq sql` on a terminal. Statements go to the engine as from the command line; what is typed, how
//! it is completed and coloured, and the commands with a dot are here.

mod commands;
mod complete;
mod describe;
mod helper;
mod highlight;
mod lexer;
mod pager;

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arrow::array::RecordBatch;
use datafusion::catalog::SchemaProvider;
use datafusion::common::ParamValues;
use rustyline::error::ReadlineError;

use super::engine::{Engine, Ran};
use super::printer::{self, Printer, Sink};
use super::sql;
use crate::sql::errors::Names;
use crate::sql::output::OutputFormat;
use crate::sql::queries::{Library, Need};
use crate::sql::session::SessionError;
use commands::Command;
use complete::Vocabulary;
use pager::Screen;

/// Files that `.read` files name are read so deep.
const DEEPEST_READ: usize = 16;

/// Reads statements and dot commands until `.quit` or the end of input.
pub fn run(engine: Engine, library: &Library, printer: &Printer) -> anyhow::Result<u8> {
    let mut shell = Shell::new(engine, library, printer)?;
    let mut editor = helper::editor(printer.color, !io::stdout().is_terminal())?;
    let history = history_file();
    if let Some(path) = &history {
        helper::load_history(&mut editor, path);
    }
    shell.printer.note(&format!(
        "flowq {} over {}; .help for help",
        env!("CARGO_PKG_VERSION"),
        shell.engine.over()
    ));
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.names = shell.vocabulary();
        }
        let line = match editor.readline(helper::PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => continue,
            Err(ReadlineError::Eof) => return Ok(0),
            Err(error) => return Err(error).context("cannot read from the terminal"),
        };
        let text = helper::typed(&line);
        if text.trim().is_empty() {
            continue;
        }
        let kept = editor.add_history_entry(helper::kept(text.trim_end()));
        if let (Ok(true), Some(path)) = (kept, &history)
            && let Err(error) = editor.append_history(path)
        {
            log::debug!("the history was not written: {error}");
        }
        if shell.enter(&text, 0) == Next::Quit {
            return Ok(0);
        }
    }
}

/// Where the history is: `FLOWQ_HISTORY` (empty: nowhere), else the user's data folder, which is created.
fn history_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FLOWQ_HISTORY") {
        return (!path.is_empty()).then(|| PathBuf::from(path));
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME")
        .or_else(|| set("APPDATA"))
        .or_else(|| Some(set("HOME")?.join(".local/share")))?;
    let folder = data.join("flowq");
    fs::create_dir_all(&folder)
        .inspect_err(|error| log::debug!("no folder for the history: {error}"))
        .ok()?;
    Some(folder.join("history"))
}

/// What comes after something that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The next prompt.
    Prompt,
    /// The next prompt; what was entered failed or was cancelled.
    Failed,
    /// The end.
    Quit,
}

struct Shell<'l> {
    engine: Engine,
    library: &'l Library,
    printer: Printer,
    /// The terminal, where results go to one.
    screen: Option<Screen>,
    timer: bool,
    /// The results written to the file of `.output`.
    written: usize,
    functions: Vec<String>,
    /// The files that are being read, each by the one before.
    reading: Vec<PathBuf>,
}

impl Shell<'_> {
    fn new<'l>(engine: Engine, library: &'l Library, printer: &Printer) -> anyhow::Result<Shell<'l>> {
        // From here on Ctrl-C ends what runs, not the shell.
        engine.interruptible(async {});
        let functions = Names::of(engine.session.context()).functions;
        let printer = printer.clone();
        let file = printer.file.clone();
        let mut shell = Shell {
            engine,
            library,
            printer,
            screen: None,
            timer: true,
            written: 0,
            functions,
            reading: Vec::new(),
        };
        shell.output(file.as_deref())?;
        Ok(shell)
    }

    fn vocabulary(&self) -> Vocabulary {
        let columns = |table: &str| {
            let schema = describe::schema(&self.engine, table);
            schema.map_or_else(Vec::new, |s| s.fields().iter().map(|field| field.name().clone()).collect())
        };
        let tables = self.engine.session.tables().table_names();
        let window = || ["from", "to"].map(str::to_owned);
        let queries = self.library.iter().map(|query| {
            let params = query.params.iter().map(|param| param.name.clone()).chain(window());
            (query.name.clone(), params.collect())
        });
        Vocabulary {
            tables: tables.into_iter().map(|table| (table.clone(), columns(&table))).collect(),
            functions: self.functions.clone(),
            queries: queries.collect(),
            formats: OutputFormat::ALL.map(|(name, _)| name).to_vec(),
        }
    }

    /// Does what was entered: a command, or statements.
    fn enter(&mut self, text: &str, depth: usize) -> Next {
        if !lexer::is_command(text) {
            return self.statements(text, None, None);
        }
        let done = commands::parse(text)
            .map_err(anyhow::Error::from)
            .and_then(|command| self.command(command, depth));
        match done {
            Ok(next) => next,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &anyhow::Error) -> Next {
        if let Some(screen) = &self.screen {
            screen.discard();
        }
        if !printer::is_broken_pipe(error) {
            self.printer.failure(error);
        }
        Next::Failed
    }

    fn statements(&mut self, sql: &str, parameters: Option<&ParamValues>, needs: Option<&[Need]>) -> Next {
        // What others have ingested meanwhile is seen by what is entered now.
        self.engine.session.tables().refresh();
        let statements = match self.engine.session.statements(sql) {
            Ok(statements) => statements,
            Err(error) => return self.explain(error, sql),
        };
        for statement in statements {
            let begun = Instant::now();
            let ran = self
                .ready()
                .and_then(|()| self.engine.run_one(statement, parameters.cloned(), &self.printer));
            let (elapsed, scanned) = match ran {
                Ok(Ran::Done(elapsed, scanned)) => {
                    self.written = self.written.saturating_add(1);
                    if let Err(error) = self.show() {
                        return self.failed(&error);
                    }
                    (elapsed, scanned)
                }
                Ok(Ran::Nothing(scanned)) => (begun.elapsed(), scanned),
                Ok(Ran::Cancelled) => return self.cancelled(),
                Err(error) => match error.downcast::<SessionError>() {
                    Ok(error) => return self.explain(error, sql),
                    Err(error) => return self.failed(&error),
                },
            };
            if self.timer {
                self.printer.note(&self.printer.dim(&time(elapsed)));
            }
            self.engine.warn_of_missing_columns(&scanned, needs, &self.printer);
        }
        self.engine.report_refused(&self.printer);
        Next::Prompt
    }

    fn explain(&self, error: SessionError, sql: &str) -> Next {
        if let Some(screen) = &self.screen {
            screen.discard();
        }
        match self.engine.failed(error, sql, &self.printer) {
            Ok(_) => Next::Failed,
            Err(error) => self.failed(&error),
        }
    }

    fn cancelled(&mut self) -> Next {
        if let Some(screen) = &self.screen {
            screen.discard();
        }
        if let Err(error) = self.engine.renew_workers() {
            return self.failed(&error);
        }
        // The terminal has written ^C.
        self.printer.note("\ncancelled");
        Next::Failed
    }

    /// Whether the next result has somewhere to go.
    fn ready(&self) -> anyhow::Result<()> {
        let format = self.printer.format();
        let Some(file) = &self.printer.file else {
            anyhow::ensure!(
                !format.needs_file(),
                "{format} is not shown on a terminal (name a file with .output)"
            );
            return Ok(());
        };
        let holds_one = matches!(format, OutputFormat::Json | OutputFormat::Parquet);
        anyhow::ensure!(
            !holds_one || self.written == 0,
            "{} has a result, and {format} files hold one (name another file with .output)",
            file.display()
        );
        Ok(())
    }

    fn show(&self) -> anyhow::Result<()> {
        match &self.screen {
            Some(screen) => Ok(screen.show()?),
            None => Ok(()),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> anyhow::Result<Next> {
        self.ready()?;
        self.printer.batches(&batch.schema(), std::slice::from_ref(batch))?;
        self.written = self.written.saturating_add(1);
        self.show()?;
        Ok(Next::Prompt)
    }

    /// Shows text on the terminal, whatever results are written to.
    fn text(&self, text: &str) -> anyhow::Result<Next> {
        match &self.screen {
            Some(screen) => {
                screen.clone().write_all(text.as_bytes())?;
                screen.show()?;
            }
            None => io::stdout().write_all(text.as_bytes())?,
        }
        Ok(Next::Prompt)
    }

    fn command(&mut self, command: Command, depth: usize) -> anyhow::Result<Next> {
        match command {
            Command::Quit => Ok(Next::Quit),
            Command::Help => self.text(&commands::help()),
            Command::Tables => self.batch(&describe::tables(&self.engine)?),
            Command::Describe(table) => {
                let table = describe::known(&self.engine, &table)?;
                self.batch(&describe::columns(&self.engine, &table)?)
            }
            Command::Schema(table) => {
                let tables = match table {
                    Some(table) => vec![describe::known(&self.engine, &table)?],
                    None => self.engine.session.tables().table_names(),
                };
                let all: Result<Vec<_>, _> =
                    tables.iter().map(|t| describe::definition(&self.engine, t)).collect();
                self.text(&all?.join("\n"))
            }
            Command::Inspect(table) => {
                let table = describe::known(&self.engine, &table)?;
                let Some((batch, rows)) = describe::inspect(&self.engine, &table)? else {
                    return Ok(self.cancelled());
                };
                self.batch(&batch)?;
                let more = usize::try_from(rows).is_ok_and(|rows| rows >= describe::SAMPLE);
                let which = if more { "the first" } else { "all" };
                self.printer.note(&self.printer.dim(&format!("of {which} {rows} rows")));
                Ok(Next::Prompt)
            }
            Command::Queries(None) => self.batch(&sql::query_list(self.library)?),
            Command::Queries(Some(name)) => {
                self.text(&format!("{}\n", self.library.get(&name)?.text.trim_end()))
            }
            Command::Run(name, parameters) => {
                let query = self.library.get(&name)?;
                let values = query.bind(&sql::parameters(&parameters)?)?;
                Ok(self.statements(&query.sql, Some(&values), Some(&query.needs)))
            }
            Command::Functions(text) => self.batch(&sql::function_list(text.as_deref().unwrap_or(""))?),
            Command::Mode(None) => self.text(&format!("{}\n", self.printer.format())),
            Command::Mode(Some(format)) => {
                self.printer.format = Some(format.parse()?);
                Ok(Next::Prompt)
            }
            Command::Output(file) => {
                self.output(file.as_deref().map(Path::new))?;
                Ok(Next::Prompt)
            }
            Command::Timer(None) => self.text(if self.timer { "on\n" } else { "off\n" }),
            Command::Timer(Some(on)) => {
                self.timer = on;
                Ok(Next::Prompt)
            }
            Command::Read(file) => self.read(Path::new(&file), depth),
        }
    }

    /// Turns results to a file, one after another, or back to the terminal.
    fn output(&mut self, file: Option<&Path>) -> anyhow::Result<()> {
        self.written = 0;
        let Some(file) = file else {
            self.printer.file = None;
            self.screen = io::stdout().is_terminal().then(Screen::new);
            self.printer.sink = self.screen.as_ref().map(Screen::sink);
            return Ok(());
        };
        if let Some(problem) = self.printer.unknown_suffix_of(file) {
            anyhow::bail!(problem);
        }
        fs::File::create(file).with_context(|| format!("cannot create {}", file.display()))?;
        let path = file.to_owned();
        let open = move || {
            let file = OpenOptions::new().append(true).open(&path)?;
            Ok(Box::new(BufWriter::new(file)) as Box<dyn Write + Send>)
        };
        self.printer.file = Some(file.to_owned());
        self.printer.sink = Some(Sink(Arc::new(open)));
        self.screen = None;
        Ok(())
    }

    /// Runs the statements and commands of a file, up to the first that fails.
    fn read(&mut self, path: &Path, depth: usize) -> anyhow::Result<Next> {
        anyhow::ensure!(depth < DEEPEST_READ, "files are read by files more than {DEEPEST_READ} deep");
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        anyhow::ensure!(!self.reading.contains(&file), "{} is read by files that it reads", path.display());
        self.reading.push(file);
        let read = self.read_lines(path, depth);
        self.reading.pop();
        read
    }

    fn read_lines(&mut self, path: &Path, depth: usize) -> anyhow::Result<Next> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut entry = String::new();
        for (number, line) in text.lines().enumerate() {
            entry.push_str(line);
            entry.push('\n');
            if !lexer::is_complete(&entry) {
                continue;
            }
            let entry = std::mem::take(&mut entry);
            if entry.trim().is_empty() {
                continue;
            }
            match self.enter(&entry, depth.saturating_add(1)) {
                Next::Prompt => {}
                Next::Quit => return Ok(Next::Quit),
                Next::Failed => {
                    let line = number.saturating_add(1);
                    self.printer.note(&format!("{}:{line}: the rest was not run", path.display()));
                    return Ok(Next::Failed);
                }
            }
        }
        // The last statement may do without its semicolon.
        if entry.trim().is_empty() {
            Ok(Next::Prompt)
        } else {
            Ok(self.enter(&entry, depth.saturating_add(1)))
        }
    }
}

/// A time for people: `12 ms`, `1.50 s`, `2 min 5 s`.
fn time(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 => format!("{} ms", elapsed.as_millis()),
        seconds @ ..60 => format!("{seconds}.{:02} s", elapsed.subsec_millis() / 10),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(time(Duration::from_micros(300)), "0 ms");
        assert_eq!(time(Duration::from_millis(12)), "12 ms");
        assert_eq!(time(Duration::from_millis(1505)), "1.50 s");
        assert_eq!(time(Duration::from_secs(125)), "2 min 5 s");
    }
}
