//! `flowq config check` and `flowq config diff`.

use clap::Args;

use super::{held, parse_time, print, text_column, time_text};
use crate::audit::{self, Severity};
use crate::cli::printer::{counted, read_or_not};
use crate::cli::sheet::Layout;
use crate::cli::{Global, Printer, exit};
use crate::network::{Timestamp, View};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration as it was then (UTC) [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// Findings of this severity and worse: error, warning or info
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity, default_value = "info")]
    severity: Severity,
    /// The exit code is 1 where a finding is an error
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The configuration as it was then (UTC)…
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Timestamp,
    /// …against then [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    [Severity::Error, Severity::Warning, Severity::Info]
        .into_iter()
        .find(|severity| severity.to_string() == text)
        .ok_or_else(|| "expected error, warning or info".to_owned())
}

fn view(at: Option<Timestamp>) -> View {
    View { at: at.unwrap_or(Timestamp::MAX), after: false }
}

pub fn check(args: &CheckArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let loaded = held(global)?;
    let mut findings = audit::check(&loaded.network, view(args.at));
    let all: Vec<Severity> = findings.iter().map(|finding| finding.severity).collect();
    findings.retain(|finding| finding.severity <= args.severity);
    let columns = vec![
        ("severity", text_column(findings.iter().map(|finding| finding.severity.to_string()))),
        ("check", text_column(findings.iter().map(|finding| finding.check))),
        ("object", text_column(findings.iter().map(|finding| &finding.object))),
        ("finding", text_column(findings.iter().map(|finding| &finding.finding))),
        ("advice", text_column(findings.iter().map(|finding| &finding.advice))),
    ];
    read_or_not(print(columns, &printer.laid_out(FINDINGS)))?;
    // Also of those that were not asked for.
    let of = |severity| all.iter().filter(|one| **one == severity).count();
    let errors = of(Severity::Error);
    let hidden = all.len().saturating_sub(findings.len());
    let shown = if hidden > 0 { format!(" ({hidden} of these not shown)") } else { String::new() };
    printer.note(&format!(
        "{}, {}, {}{shown}",
        counted(errors as u64, "error"),
        counted(of(Severity::Warning) as u64, "warning"),
        counted(of(Severity::Info) as u64, "note")
    ));
    Ok(if args.strict && errors > 0 { exit::FINDINGS } else { 0 })
}

/// What is wrong and what to do about it have lines of their own.
const FINDINGS: Layout = Layout {
    columns: &[],
    title: "",
    text: |row| format!("{}: {} at {}", row.get("severity"), row.get("check"), row.get("object")),
    below: |row| vec![row.get("finding").to_owned(), row.get("advice").to_owned()],
};

const CHANGES: Layout = Layout {
    columns: &[("change", "change")],
    title: "what",
    text: |row| match row.get("detail") {
        "" => format!("{} {}", row.get("kind"), row.get("object")),
        detail => format!("{} {}: {detail}", row.get("kind"), row.get("object")),
    },
    below: |_| Vec::new(),
};

pub fn diff(args: &DiffArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    if let Some(to) = args.to.filter(|to| *to < args.from) {
        printer.error(&format!("--to {} is before --from {}", time_text(to), time_text(args.from)));
        return Ok(exit::USAGE);
    }
    let loaded = held(global)?;
    let changes = audit::diff(&loaded.network, view(Some(args.from)), view(args.to));
    let columns = vec![
        ("kind", text_column(changes.iter().map(|change| change.kind))),
        ("object", text_column(changes.iter().map(|change| &change.object))),
        ("change", text_column(changes.iter().map(|change| change.change.to_string()))),
        ("detail", text_column(changes.iter().map(|change| &change.detail))),
    ];
    print(columns, &printer.laid_out(CHANGES))?;
    let to = args.to.map_or_else(|| "the newest".to_owned(), time_text);
    printer.note(&format!(
        "{} from {} to {to} (an object counts as added or removed only where AWS Config or a capture of \
         everything tells so)",
        counted(changes.len() as u64, "change"),
        time_text(args.from)
    ));
    Ok(0)
}
