//! `flowq config import`.

use clap::Args;

use super::{count_column, parse_time, print, span_text, text_column, time_text};
use crate::cli::printer::counted;
use crate::cli::sheet::Layout;
use crate::cli::{Global, Printer, exit};
use crate::network::{Problem, ReadError, Timestamp};
use crate::source::{ContentReader, Located, Scratch, locate};
use crate::store::Store;
use crate::store::config::{self, Import, Imported, StoredDocument};

/// A larger file of configuration is something else.
const LARGEST: usize = 4 << 30;

/// How many problems of one file are told one by one.
const MOST_PROBLEMS: usize = 10;

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files, folders of any depth, globs, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// When the files were captured that do not tell themselves: a time (UTC), or `mtime` for when each was last written
    #[arg(long, value_name = "TIME", value_parser = parse_captured)]
    captured_at: Option<CapturedAt>,
    /// The exit code is 3 where a file is refused or something in one cannot be read
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Clone, Copy)]
enum CapturedAt {
    Time(Timestamp),
    Modified,
}

/// So far ahead of this machine's clock another one's may be, in seconds: more, and it is a slip of the pen.
const AHEAD: i64 = 86_400;

fn parse_captured(text: &str) -> Result<CapturedAt, String> {
    if text == "mtime" {
        return Ok(CapturedAt::Modified);
    }
    let at = parse_time(text)?;
    if at > chrono::Utc::now().timestamp().saturating_add(AHEAD) {
        return Err(format!("{} is still to come: nothing can have been captured then", time_text(at)));
    }
    Ok(CapturedAt::Time(at))
}

impl CapturedAt {
    fn of(self, object: &Located) -> Option<Timestamp> {
        match self {
            CapturedAt::Time(at) => Some(at),
            CapturedAt::Modified => {
                Some(object.modified.div_euclid(1_000_000_000)).filter(|_| object.modified != 0)
            }
        }
    }
}

/// What became of a file.
struct Line {
    file: String,
    what: String,
    objects: usize,
    captured: String,
    problems: usize,
    state: &'static str,
}

pub fn run(args: &ImportArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let found = locate(&args.paths, Some(&global.store));
    let mut refused = 0usize;
    for problem in &found.problems {
        printer.error(&problem.to_string());
        refused = refused.saturating_add(1);
    }
    if found.objects.is_empty() {
        printer.error("nothing to import");
        return Ok(exit::FAILED);
    }
    let store = Store::open_or_create(&global.store)?;
    let lock = store.lock(&mut || printer.note("an ingest holds the store; waiting for it"))?;
    let mut import = Import::new(&store, &lock)?;
    let now = chrono::Utc::now().timestamp();
    let mut lines = Vec::with_capacity(found.objects.len());
    let mut scratch = Scratch::new();
    for object in &found.objects {
        let at = args.captured_at.and_then(|at| at.of(object));
        let line = match take(&mut import, object, at, now, &mut scratch) {
            Ok(imported) => {
                tell(&imported.problems, printer);
                line(object, &imported)
            }
            Err(error) if matches!(error.downcast_ref(), Some(ReadError::NotNeeded { .. })) => {
                let (file, what) = (object.path.clone(), error.to_string());
                let what = what.strip_prefix(&format!("{file}: ")).map(str::to_owned).unwrap_or(what);
                Line { file, what, objects: 0, captured: String::new(), problems: 0, state: "skipped" }
            }
            Err(error) => {
                printer.failure(&error);
                refused = refused.saturating_add(1);
                let (file, what) = (object.path.clone(), "not configuration".to_owned());
                Line { file, what, objects: 0, captured: String::new(), problems: 1, state: "refused" }
            }
        };
        lines.push(line);
    }
    import.commit()?;
    report(&lines, printer)?;
    let contradictions = contradictions(&store, printer)?;
    let problems = lines.iter().map(|line| line.problems).sum::<usize>().saturating_add(contradictions);
    Ok(if lines.iter().all(|line| matches!(line.state, "refused" | "skipped")) {
        exit::FAILED
    } else if args.strict && (refused > 0 || problems > 0) {
        exit::REFUSED
    } else {
        0
    })
}

/// Tells what the store now holds of one moment twice, or in part: only all files together show that. Gives how many it is.
fn contradictions(store: &Store, printer: &Printer) -> anyhow::Result<usize> {
    let Some(network) = config::load(store.root())? else { return Ok(0) };
    // Pages that were imported one by one may be whole together.
    tell(&network.part_captures, printer);
    let found = network.contradictions;
    for one in found.iter().take(MOST_PROBLEMS) {
        let (object, when) = (&one.object, one.when());
        printer.warn(&format!(
            "{object}: two contents {when}; what they differ in is uncertain (flowq config check lists all)"
        ));
    }
    Ok(found.len().saturating_add(network.part_captures.len()))
}

fn take(
    import: &mut Import,
    object: &Located,
    captured_at: Option<Timestamp>,
    now: Timestamp,
    scratch: &mut Scratch,
) -> anyhow::Result<Imported> {
    let mut reader = ContentReader::open(object, scratch)?;
    let mut text = Vec::new();
    reader.read_all(&mut text, LARGEST)?;
    let ending = reader.ending();
    // What follows whole gzip data does not belong to the document.
    if ending.is_broken() {
        anyhow::bail!("{}: {ending}", object.path);
    }
    Ok(import.add(&object.path, &text, captured_at, now)?)
}

fn line(object: &Located, imported: &Imported) -> Line {
    let document = &imported.document;
    Line {
        file: object.path.clone(),
        what: document.kind.clone(),
        objects: objects(document),
        captured: span_text(document.first, document.last),
        problems: imported.problems.len(),
        state: if imported.known { "held already" } else { "imported" },
    }
}

/// How many objects a document holds.
pub(super) fn objects(document: &StoredDocument) -> usize {
    let counts = document.objects.iter().map(|(_, count)| usize::try_from(*count).unwrap_or(usize::MAX));
    counts.fold(0, usize::saturating_add)
}

/// Names what could not be read.
pub(super) fn tell(problems: &[Problem], printer: &Printer) {
    for problem in problems.iter().take(MOST_PROBLEMS) {
        printer.warn(&problem.to_string());
    }
    if let Some(problem) = problems.get(MOST_PROBLEMS) {
        let more = problems.len().saturating_sub(MOST_PROBLEMS);
        printer.warn(&format!("{}: and {more} more problems", problem.file));
    }
}

const FILES: Layout = Layout {
    columns: &[("objects", "objects"), ("problems", "problems"), ("state", "state")],
    title: "file",
    text: |row| row.get("file").to_owned(),
    below: |row| match row.get("captured") {
        "" => vec![row.get("what").to_owned()],
        "undated" => vec![format!("{}, undated", row.get("what"))],
        at => vec![format!("{}, captured {at}", row.get("what"))],
    },
};

fn report(lines: &[Line], printer: &Printer) -> anyhow::Result<()> {
    let columns = vec![
        ("file", text_column(lines.iter().map(|line| &line.file))),
        ("what", text_column(lines.iter().map(|line| &line.what))),
        ("objects", count_column(lines.iter().map(|line| line.objects))),
        ("captured", text_column(lines.iter().map(|line| &line.captured))),
        ("problems", count_column(lines.iter().map(|line| line.problems))),
        ("state", text_column(lines.iter().map(|line| line.state))),
    ];
    print(columns, &printer.laid_out(FILES))?;
    let of = |state: &str| lines.iter().filter(|line| line.state == state).count();
    printer.note(&format!(
        "{}: {} imported, {} held already, {}{} refused",
        counted(lines.len() as u64, "file"),
        of("imported"),
        of("held already"),
        match of("skipped") {
            0 => String::new(),
            skipped => format!("{skipped} skipped, "),
        },
        of("refused")
    ));
    // A file that gave no object needs no time.
    let undated = lines.iter().filter(|line| line.captured == "undated" && line.objects > 0).count();
    if undated > 0 {
        printer.warn(&format!(
            "{} undated: what is said there is taken to hold always and proves nothing (import again with --captured-at)",
            counted(undated as u64, "file")
        ));
    }
    Ok(())
}
