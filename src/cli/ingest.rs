//! `flowq ingest`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Global, Printer, counted, exit};
use crate::ingest::summary::{Counts, Note, Summary};
use crate::ingest::{IngestError, IngestOptions, Watch, ingest};
use crate::parse::flow::Layout;
use crate::source::decode::DecodeOptions;
use crate::source::{parse_log_format, unknown_fields};
use crate::sql::output::OutputFormat;

/// How logs are read, for every command that reads them.
#[derive(Clone, Debug, Default, Args)]
pub struct InputArgs {
    /// The fields of flow log lines that come without a header, as `aws ec2 describe-flow-logs` prints them
    /// (repeatable: each line is read by the format that fits it)
    #[arg(long, value_name = "FIELDS")]
    pub log_format: Vec<String>,
    /// A file with a line that cannot be read is refused as a whole, and the exit code is 3
    #[arg(long)]
    pub strict: bool,
}

impl InputArgs {
    /// What was typed, as the decoder takes it.
    pub fn decode(&self) -> anyhow::Result<DecodeOptions> {
        let layouts = self.log_format.iter().map(|text| Ok(Layout::bind(&parse_log_format(text)?)));
        let layouts =
            layouts.collect::<Result<Vec<_>, crate::source::LogFormatError>>().context("--log-format")?;
        Ok(DecodeOptions { layouts })
    }

    /// Warns of field names that flowq does not know.
    pub fn warn_of_unknown_fields(&self, printer: &Printer) {
        for fields in self.log_format.iter().filter_map(|text| parse_log_format(text).ok()) {
            for name in unknown_fields(&fields) {
                printer.warn(&format!(
                    "--log-format: flowq knows no field `{name}`; its values are kept in extra['{name}']"
                ));
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Files, folders of any depth, globs, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    input: InputArgs,
    /// Recognise and count, but store nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(args: &IngestArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let decode = match args.input.decode() {
        Ok(decode) => decode,
        Err(error) => {
            printer.failure(&error);
            return Ok(exit::USAGE);
        }
    };
    args.input.warn_of_unknown_fields(printer);
    if !matches!(printer.format(), OutputFormat::Table | OutputFormat::Json | OutputFormat::Ndjson) {
        printer.error(&format!(
            "the summary is a table, json or ndjson, not {} (query `ingested_files` with flowq sql instead)",
            printer.format()
        ));
        return Ok(exit::USAGE);
    }
    let options = IngestOptions {
        inputs: args.paths.clone(),
        store: global.store.clone(),
        decode,
        strict: args.input.strict,
        dry_run: args.dry_run,
        threads: global.threads(),
    };
    let watch = Arc::new(Watch::default());
    let cancel = watch.clone();
    // A second Ctrl-C ends the process at once; nothing of the batch at hand is visible then either.
    ctrlc::set_handler(move || {
        if cancel.cancel.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
    })
    .context("cannot listen for Ctrl-C")?;
    let show = !global.no_progress && !global.quiet && std::io::stderr().is_terminal();
    let outcome = std::thread::scope(|scope| {
        let job = scope.spawn(|| ingest(&options, &watch));
        if follow(&watch, show, global.quiet, printer, &|| job.is_finished()) == Followed::GivenUp {
            // It waits for something that may never come. Whatever it would still have done, nothing is half done.
            printer.error(&IngestError::Interrupted.to_string());
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        job.join()
    });
    let summary = match outcome {
        Ok(Ok(summary)) => summary,
        Ok(Err(IngestError::Interrupted)) => {
            printer.error(&IngestError::Interrupted.to_string());
            return Ok(exit::INTERRUPTED);
        }
        // Not wrapped, so that its hint is found.
        Ok(Err(IngestError::Store(error))) => return Err(error.into()),
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => anyhow::bail!("a worker broke off (this is a bug: please report it with the input)"),
    };
    report(&summary, global, printer)?;
    Ok(code(&summary))
}

/// How long an interrupted job may go on with what it is about: a block that is being read, a commit.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    /// The job has ended.
    Ended,
    /// It was interrupted and does not end: it waits for another ingest, or for input that does not come.
    GivenUp,
}

/// Shows how far the job is until it has ended.
fn follow(watch: &Watch, show: bool, quiet: bool, printer: &Printer, ended: &dyn Fn() -> bool) -> Followed {
    let mut bar: Option<ProgressBar> = None;
    let mut told = false;
    let mut waited = Duration::ZERO;
    let mut interrupted: Option<Instant> = None;
    let step = Duration::from_millis(5);
    while !ended() {
        std::thread::sleep(step);
        waited += step;
        let holds_nothing = watch.waiting.load(Ordering::Relaxed);
        if watch.cancel.load(Ordering::Relaxed)
            && (holds_nothing || interrupted.get_or_insert_with(Instant::now).elapsed() > GRACE)
        {
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
            return Followed::GivenUp;
        }
        if !told && holds_nothing {
            told = true;
            if !quiet {
                printer.note("another ingest holds the store; waiting for it");
            }
        }
        if !show || waited < Duration::from_millis(300) {
            continue;
        }
        let counters = &watch.counters;
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = "{bar:24} {msg}  {bytes}/{total_bytes}  {eta} left";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        bar.set_length(counters.bytes_planned.load(Ordering::Relaxed));
        bar.set_position(counters.bytes.load(Ordering::Relaxed));
        let rows = counters.rows.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{}/{} files  {} rows  {} rows/s",
            HumanCount(counters.files.load(Ordering::Relaxed)),
            HumanCount(counters.files_planned.load(Ordering::Relaxed)),
            HumanCount(rows),
            HumanCount((rows as f64 / waited.as_secs_f64()) as u64),
        ));
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Followed::Ended
}

fn code(summary: &Summary) -> u8 {
    if !summary.failed.is_empty() || !summary.problems.is_empty() || summary.nothing_recognised() {
        exit::FAILED
    } else if summary.refused.is_empty() {
        0
    } else {
        exit::REFUSED
    }
}

/// What went wrong goes to stderr, what was done is the result.
fn report(summary: &Summary, global: &Global, printer: &Printer) -> anyhow::Result<()> {
    for problem in &summary.problems {
        printer.error(problem);
    }
    if summary.nothing_recognised() && (summary.found > 0 || summary.problems.is_empty()) {
        printer.error(&format!(
            "no AWS network log among {}{}",
            counted(summary.found, "file"),
            looks_like(summary.skipped.iter().map(|note| note.what.as_str()))
        ));
    }
    if summary.found == 0 && !summary.problems.is_empty() && printer.format() == OutputFormat::Table {
        return Ok(());
    }
    notes(printer, "could not be read", &summary.failed, true);
    notes(printer, "refused (--strict)", &summary.refused, true);
    match printer.format() {
        OutputFormat::Json | OutputFormat::Ndjson => {
            let mut text = if printer.format() == OutputFormat::Json {
                serde_json::to_string_pretty(summary)?
            } else {
                serde_json::to_string(summary)?
            };
            text.push('\n');
            return printer.data(&text);
        }
        OutputFormat::Table => {}
        other => anyhow::bail!(
            "the summary is a table or json, not {other:?} (query `ingested_files` with flowq sql instead)"
        ),
    }
    if global.quiet {
        return Ok(());
    }
    notes(printer, "skipped", &summary.skipped, false);
    notes(printer, "duplicate", &summary.duplicates, false);
    notes(printer, "replaced", &summary.replaced, false);
    notes(printer, "warning", &summary.warnings, false);
    notes(printer, "quarantined", &summary.refusals, false);
    let hidden = summary.total.quarantined.saturating_sub(summary.refusals.len() as u64);
    if hidden > 0 {
        printer.note(&format!("quarantined  and {} more", HumanCount(hidden)));
    }
    printer.data(&table(summary))
}

/// What the first of the files that are no logs look like, in parentheses.
pub(super) fn looks_like<'a>(skipped: impl Iterator<Item = &'a str>) -> String {
    let mut looks: Vec<&str> = Vec::new();
    for what in skipped {
        if !looks.contains(&what) {
            looks.push(what);
        }
    }
    looks.truncate(3);
    if looks.is_empty() { String::new() } else { format!(" (found: {})", looks.join("; ")) }
}

/// How many notes of a sort are shown without `--format json`.
const NOTES: usize = 20;

fn notes(printer: &Printer, what: &str, notes: &[Note], error: bool) {
    for note in notes.iter().take(NOTES) {
        let text = format!("{what}  {}: {}", note.file, note.what);
        if error { printer.error(&text) } else { printer.note(&text) }
    }
    if notes.len() > NOTES {
        printer.note(&format!("{what}  and {} more (--format json names all)", notes.len() - NOTES));
    }
}

fn table(summary: &Summary) -> String {
    let mut out = String::new();
    let mut line = |cells: [&str; 8]| {
        let [name, files, lines, rows, nodata, skipdata, quarantined, range] = cells;
        let _ = writeln!(
            out,
            "{name:<22} {files:>8} {lines:>13} {rows:>13} {nodata:>9} {skipdata:>9} {quarantined:>12}  {range}"
        );
    };
    line(["table", "files", "lines", "rows", "nodata", "skipdata", "quarantined", "from .. to (UTC)"]);
    let mut counts = |name: &str, counts: &Counts| {
        let n = |value: u64| HumanCount(value).to_string();
        let range = match (&counts.first, &counts.last) {
            (Some(first), Some(last)) => format!("{first} .. {last}"),
            _ => String::new(),
        };
        line([
            name,
            &n(counts.files),
            &n(counts.lines),
            &n(counts.rows),
            &n(counts.nodata),
            &n(counts.skipdata),
            &n(counts.quarantined),
            &range,
        ]);
    };
    for (name, table) in &summary.tables {
        counts(name, table);
    }
    counts("total", &summary.total);
    out.push('\n');
    let total = &summary.total;
    let _ = writeln!(
        out,
        "lines: {} = {} + {} quarantined + {} + {} blank{}",
        HumanCount(total.lines),
        counted(total.rows, "row"),
        HumanCount(total.quarantined),
        counted(total.headers, "header"),
        HumanCount(total.blank),
        if summary.adds_up { "" } else { "  (this does not add up: please report it)" },
    );
    let _ = writeln!(
        out,
        "files: {} found = {} {}{} + {} unchanged + {} + {} skipped + {} without records + {} refused + {} unreadable",
        HumanCount(summary.found),
        HumanCount(total.files),
        if summary.dry_run { "counted" } else { "stored" },
        match summary.partly {
            0 => String::new(),
            partly => format!(" ({} of them not to their end)", HumanCount(partly)),
        },
        HumanCount(summary.unchanged),
        counted(summary.duplicates.len() as u64, "duplicate"),
        HumanCount(summary.skipped.len() as u64),
        HumanCount(summary.passed_over),
        HumanCount(summary.refused.len() as u64),
        HumanCount(summary.unreadable()),
    );
    if !summary.accounts.is_empty() {
        let join =
            |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "accounts: {}   regions: {}", join(&summary.accounts), join(&summary.regions));
    }
    let _ = write!(
        out,
        "bytes: {} on disk, {} of text",
        HumanBytes(total.compressed_bytes),
        HumanBytes(total.raw_bytes)
    );
    if let Some(ratio) = summary.ratio {
        let _ = write!(out, ", {} stored (ratio {ratio:.1})", HumanBytes(summary.stored_bytes));
    }
    let _ = writeln!(
        out,
        "\ntime: {:.2} s, {} rows/s, {:.0} MB/s of text",
        summary.seconds,
        HumanCount(summary.rows_per_second as u64),
        summary.mb_per_second
    );
    if !summary.dry_run && total.files > 0 {
        let _ = writeln!(out, "store: {}", summary.store);
    }
    out
}
