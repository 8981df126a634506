//! `flowq attribute`.

use std::collections::HashMap;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use clap::{Args, ValueEnum};

use super::engine::{Engine, EngineArgs};
use super::logs::{WindowArgs, at_least_one};
use super::printer::counted;
use super::sheet::{Column, Entry, Layout, Row, sheet};
use super::{Global, Printer, exit};
use crate::net::protocol_name;
use crate::network::number_text;
use crate::sql::attribution::report::{By, Made, ReportOptions};
use crate::sql::output::{OutputFormat, shown_cells};

#[derive(Debug, Args)]
#[command(after_help = "\
verdict                  who dropped it                        what to do
NACL                     an entry of the network ACL           the entry is named; fix: an allow before it
SECURITY_GROUP           no rule of the groups allows it       fix: a rule, if it is to pass; scans need none
NACL_AND_SECURITY_GROUP  both would                            both
STALE_CONNECTION         it belongs to a connection that was   no rule helps; keepalives below the timeout, or nothing
                         closed or idled out
VPC_BPA                  VPC Block Public Access               an exclusion, if it is to pass
ENCRYPTION_CONTROLS      VPC encryption controls               encrypt, or exclude
CONFIG_MISMATCH          the configuration given lets it pass  give that of the time (config import, AWS Config)
OTHER_REASON             what reject-reason names              see the documentation of flow logs
UNDETERMINED             it cannot be told                     explanation names what would decide

confidence: PROVEN where no other documented explanation fits, under a configuration known to be in force; STRONG where others need a \
rare or undocumented condition; WEAK where several fit: this is the simplest, and candidates names the others; NONE with UNDETERMINED. \
ACCEPTs that contradict the configuration, gaps in the logs, and captures of another time lower it.
blocking_set: all that would have to change for it to pass. first_blocker: which of them dropped it. reason_code: what the verdict \
rests on, in one word; explanation says it in a sentence. README.md has all of this in tables.")]
pub struct AttributeArgs {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    window: WindowArgs,
    /// Only rejects for which this is true: SQL on the columns of reject_attribution
    #[arg(long = "where", value_name = "SQL")]
    condition: Option<String>,
    /// One table by this, instead of the whole report
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<ByArg>,
    /// So many rows of each section
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = at_least_one)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByArg {
    /// Network ACL and entry
    Nacl,
    /// Security groups
    Group,
    /// Interface
    Interface,
    /// Address at the other end
    Remote,
    /// Destination port
    Port,
}

pub fn run(args: &AttributeArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let engine = Engine::open(&args.engine, global, printer)?;
    let by = args.by.map(|by| match by {
        ByArg::Nacl => By::Nacl,
        ByArg::Group => By::Group,
        ByArg::Interface => By::Interface,
        ByArg::Remote => By::Remote,
        ByArg::Port => By::Port,
    });
    let window = args.window.window();
    let options = ReportOptions { filter: args.condition.clone(), window, by, limit: args.limit };
    let made = match engine.attribution_report(options) {
        Some(Ok(made)) => made,
        None => return Ok(exit::INTERRUPTED),
        Some(Err(error)) => {
            return engine.failed(error, args.condition.as_deref().unwrap_or_default(), printer);
        }
    };
    let is_table = printer.format() == OutputFormat::Table;
    let batches = &made.batches;
    let schema = batches.first().map(|batch| batch.schema()).context("the report has no columns")?;
    match args.by {
        None if is_table => printer.data(&report_text(&made, printer.limits().width)?)?,
        None => drop(printer.batches(&schema, batches)?),
        Some(by) => {
            printer.laid_out(by.layout()).naming(made.network.clone()).batches(&schema, batches)?;
        }
    }
    for (section, more) in &made.left_out {
        let of = if section.is_empty() { String::new() } else { format!("{section}: ") };
        printer.note(&format!("{of}{more} more rows are left out (--limit)"));
    }
    if rejects(batches, by.is_some()) == 0 {
        if let Some(nothing) = nothing_read(&engine, &args.window) {
            // For a check in a pipeline that is no all-clear.
            printer.error(&nothing);
            return Ok(exit::FAILED);
        }
        printer.note(match (&args.condition, args.window.is_given()) {
            (Some(_), _) => "no REJECT fulfils the condition",
            (None, true) => "the logs hold no REJECT of that time",
            (None, false) => "the logs hold no REJECT",
        });
    }
    if is_table && by.is_none() {
        printer.note(
            "against: ACCEPTs that contradict the configuration given; fit: the share that it lets pass (flowq attribute \
             --help tells what verdicts mean)",
        );
    }
    Ok(engine.report_refused(printer))
}

/// What to say where there is no record to look at.
fn nothing_read(engine: &Engine, args: &WindowArgs) -> Option<String> {
    let any = |sql: &str| {
        let found = engine.wait(engine.session.query(sql));
        found.is_ok_and(|batches| batches.iter().any(|batch| batch.num_rows() > 0))
    };
    if any(&format!("select 1 from flow_logs{} limit 1", args.window().condition(" where "))) {
        return None;
    }
    let Some(newest) = engine.newest(std::iter::once("flow_logs")) else {
        return Some("there is no VPC flow log record to look at".to_owned());
    };
    let newest = newest.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let from_now = if args.is_recent() { "--since counts from now, and " } else { "" };
    Some(format!("there is no VPC flow log record of that time ({from_now}the newest is of {newest})"))
}

/// How many rows tell of REJECTs.
fn rejects(batches: &[RecordBatch], is_by: bool) -> usize {
    let rows = batches.iter().map(|batch| match (is_by, texts(batch, "section")) {
        (false, Some(sections)) => sections.iter().filter(|section| *section == "verdict").count(),
        _ => batch.num_rows(),
    });
    rows.sum()
}

fn texts(batch: &RecordBatch, name: &str) -> Option<Vec<String>> {
    let column = cast(batch.column_by_name(name)?, &DataType::Utf8).ok()?;
    let column = column.as_string_opt::<i32>()?;
    Some(column.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// A section of the report as people read it: what stands over its numbers, and over what they are of.
struct Section {
    name: &'static str,
    heads: &'static [&'static str],
    title: &'static str,
    /// The detail is a column of its own, else it stands behind the subject.
    detail: Option<&'static str>,
}

const REJECTS: &[&str] = &["records", "percent"];

const SECTIONS: &[Section] = &[
    Section {
        name: "accepts",
        heads: &["against", "fit %"],
        title: "ACCEPTs, by network ACL and interface",
        detail: None,
    },
    Section {
        name: "skipped",
        heads: &["SKIPDATA"],
        title: "interface with skipped records: what its logs do not show proves nothing then",
        detail: Some("time"),
    },
    Section { name: "verdict", heads: REJECTS, title: "verdict", detail: Some("confidence") },
    Section { name: "rule", heads: REJECTS, title: "rule", detail: Some("verdict") },
    Section { name: "interface", heads: REJECTS, title: "interface", detail: Some("verdict") },
    Section { name: "remote", heads: REJECTS, title: "remote address", detail: Some("verdict") },
    Section { name: "undecided", heads: REJECTS, title: "would decide what is not", detail: None },
    Section { name: "capture", heads: REJECTS, title: "configuration captured at", detail: None },
];

/// The report for people, with rules in words.
fn report_text(made: &Made, width: Option<usize>) -> anyhow::Result<String> {
    let known: HashMap<&str, &str> =
        made.words.iter().map(|(subject, words)| (subject.as_str(), words.as_str())).collect();
    let mut rows: Vec<(String, Entry)> = Vec::new();
    for batch in &made.batches {
        let schema = batch.schema();
        for cells in shown_cells(batch, "").context("cannot show the report")? {
            let of = |name: &str| {
                let at = schema.index_of(name).ok();
                at.and_then(|at| cells.get(at)).cloned().unwrap_or_default()
            };
            let (section, subject, detail) = (of("section"), of("subject"), of("detail"));
            let Some(shape) = SECTIONS.iter().find(|one| one.name == section) else { continue };
            let mut text = known.get(subject.as_str()).map_or(subject.clone(), |words| (*words).to_owned());
            let mut cells = vec![of("records"), of("percent")];
            cells.truncate(shape.heads.len());
            if shape.detail.is_some() {
                cells.push(detail);
            } else if section == "capture" && !detail.is_empty() {
                text = format!("{text}, {detail}");
            } else if section == "accepts" {
                // Where none is against it, what they would be against says nothing.
                let none = cells.first().is_some_and(|against| against == "0");
                let checked = detail.split_once(" ACCEPTs checked: ").filter(|_| none);
                let detail = checked.map_or(detail.clone(), |(count, _)| format!("{count} checked"));
                text = format!("{text}: {detail}");
            }
            rows.push((section, Entry { cells, text, below: Vec::new() }));
        }
    }
    let count = rows.len();
    let mut parts: Vec<String> = Vec::new();
    for shape in SECTIONS {
        let (these, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(name, _)| name == shape.name);
        rows = others;
        let entries: Vec<Entry> = these.into_iter().map(|(_, entry)| entry).collect();
        if entries.is_empty() {
            continue;
        }
        let numbers = shape.heads.iter().map(|head| Column { head: (*head).to_owned(), numeric: true });
        let detail = shape.detail.map(|head| Column { head: head.to_owned(), numeric: false });
        let columns: Vec<Column> = numbers.chain(detail).collect();
        parts.push(sheet(&columns, shape.title, &entries, width));
    }
    Ok(format!("{}({})\n", parts.join("\n"), counted(count as u64, "row")))
}

const COUNTED: &[(&str, &str)] = &[
    ("records", "records"),
    ("packets", "packets"),
    ("remotes", "remotes"),
    ("first_seen", "first seen"),
    ("last_seen", "last seen"),
];

impl ByArg {
    /// What they are put together by is whole, behind the numbers or below them.
    fn layout(self) -> Layout {
        let (title, text): (_, fn(&Row<'_>) -> String) = match self {
            ByArg::Nacl => ("network ACL and entry", |row| {
                let (verdict, id) = (row.get("verdict"), row.get("nacl_id"));
                match row.get("nacl_rule_number").parse() {
                    _ if id.is_empty() => format!("{verdict} by no network ACL"),
                    Ok(number) => format!("{verdict} {id} rule {}", number_text(number)),
                    Err(_) => format!("{verdict} {id}"),
                }
            }),
            ByArg::Group => ("groups", |row| format!("{} {}", row.get("verdict"), row.get("groups"))),
            ByArg::Interface => {
                ("interface", |row| format!("{} {}", row.get("verdict"), row.get("interface_id")))
            }
            ByArg::Remote => {
                ("remote address", |row| format!("{} {}", row.get("verdict"), row.get("remote")))
            }
            ByArg::Port => ("port and protocol", |row| {
                let protocol = row.get("protocol");
                let name = protocol.parse().ok().and_then(protocol_name).unwrap_or(protocol);
                format!("{} {name} {}", row.get("verdict"), row.get("dstport"))
            }),
        };
        Layout { columns: COUNTED, title, text, below: |_| Vec::new() }
    }
}
