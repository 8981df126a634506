//! `flowq rules`: what each rule really does.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array};
use clap::{Args, Subcommand};

use super::config::{count_column, held, parse_time, print, text_column, time_column as times, time_text};
use super::logs::{LogArgs, at_least_one, span};
use super::printer::counted;
use super::sheet::Layout;
use super::{Global, Printer, exit};
use crate::audit::shadowed;
use crate::network::{Network, Timestamp, View};
use crate::sql::attribution::read_network;
use crate::sql::output::OutputFormat;
use crate::sql::queries::library;
use crate::sql::usage::Summary;
use crate::usage::{Counts, LeftAlone, Plan, Rule, Tightening, Tightenings, tighten};

#[derive(Debug, Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    /// Every rule with the conversations that it decided, the busiest first
    Hits(HitsArgs),
    /// Rules without a hit, with how well they were observed
    Unused(UnusedArgs),
    /// The narrowest rules that keep all accepted traffic, for rules of groups that are wider than their use
    Tighten(TightenArgs),
    /// Rules that can never matter, since others decide all that they match
    Shadowed(ShadowedArgs),
}

#[derive(Debug, Args)]
struct HitsArgs {
    #[command(flatten)]
    logs: LogArgs,
    /// Only rules of this security group or network ACL
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// So many rows
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    limit: usize,
}

#[derive(Debug, Args)]
struct UnusedArgs {
    #[command(flatten)]
    logs: LogArgs,
    /// The share of the window, 0 to 1, in which a rule's interfaces must have been logged for it to be called unused
    #[arg(long, default_value_t = 0.9, value_name = "SHARE")]
    min_coverage: f64,
    /// The time that the logs must span for a rule to be called unused: 12h, 7d, 4w
    #[arg(long, default_value = LEAST_WINDOW, value_name = "SPAN", value_parser = span)]
    min_window: chrono::TimeDelta,
    /// So many rows
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    limit: usize,
}

#[derive(Debug, Args)]
struct TightenArgs {
    #[command(flatten)]
    logs: LogArgs,
    /// Only rules of this security group
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// So many rules
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ShadowedArgs {
    /// The configuration: files or folders; instead of what the store holds
    #[arg(long, value_name = "PATH", num_args = 1..)]
    config: Vec<PathBuf>,
    /// As the configuration was then (UTC) [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
}

pub fn run(args: &RulesArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    match &args.command {
        RulesCommand::Hits(args) => {
            let mut given = vec![("limit", args.limit.to_string())];
            given.extend(args.object.iter().map(|object| ("object", object.clone())));
            named(&args.logs, "rule_hits", given, global, &printer.laid_out(HITS))
        }
        RulesCommand::Unused(args) => {
            let given = vec![
                ("limit", args.limit.to_string()),
                ("min_coverage", args.min_coverage.to_string()),
                ("min_window", format!("{}s", args.min_window.num_seconds())),
            ];
            named(&args.logs, "unused_rules", given, global, &printer.laid_out(UNUSED))
        }
        RulesCommand::Tighten(args) => tightened(args, global, printer),
        RulesCommand::Shadowed(args) => shadows(args, global, printer),
    }
}

/// What people read of a rule: what it did in numbers, and the rule whole.
const HITS: Layout = Layout {
    columns: &[
        ("conversations", "conversations"),
        ("sole", "sole"),
        ("shared", "shared"),
        ("possible", "possible"),
        ("remotes", "remotes"),
        ("records", "records"),
        ("bytes", "bytes"),
    ],
    title: "rule",
    text: |row| row.get("rule").to_owned(),
    below: |row| vec![between("seen", row.get("first_seen"), row.get("last_seen"))],
};

const UNUSED: Layout = Layout {
    columns: &[
        ("interfaces", "interfaces"),
        ("interfaces_seen", "logged"),
        ("coverage_percent", "% of the time"),
    ],
    title: "rule",
    text: |row| format!("{}: {}", row.get("verdict"), row.get("rule")),
    below: |row| {
        let observed = between("logs", row.get("observed_from"), row.get("observed_to"));
        vec![row.get("reason").to_owned(), observed]
    },
};

const SHADOWED: Layout = Layout {
    columns: &[],
    title: "",
    text: |row| row.get("rule").to_owned(),
    below: |row| {
        let behind = match row.get("behind") {
            "" => String::new(),
            rules => format!("behind {rules}"),
        };
        vec![behind, row.get("reason").to_owned(), row.get("advice").to_owned()]
    },
};

/// `seen 2026-01-15T10:00:00Z to 2026-01-15T10:59:45Z`; empty where neither is known.
fn between(what: &str, first: &str, last: &str) -> String {
    match (first, last) {
        ("", "") => String::new(),
        (first, last) if first == last => format!("{what} {first}"),
        (first, last) => format!("{what} {first} to {last}"),
    }
}

/// Runs the named query behind a command, and says what the numbers lean on.
fn named(
    logs: &LogArgs,
    query: &str,
    given: Vec<(&str, String)>,
    global: &Global,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let no_folder: Option<&std::path::Path> = None;
    let library = library(no_folder)?;
    let query = library.get(query)?;
    let object = given.iter().find(|(name, _)| *name == "object").map(|(_, object)| object.clone());
    let mut values: Vec<(String, String)> =
        given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    values.extend(logs.parameters());
    let limit = values.iter().find(|(name, _)| name == "limit").and_then(|(_, limit)| limit.parse().ok());
    let limit: u64 = limit.unwrap_or(u64::MAX);
    // Counted anew only where rows may be missing; the logs are not read again for it.
    let given_all: Vec<(String, String)> = (values.iter().cloned())
        .map(|(name, value)| if name == "limit" { (name, i64::MAX.to_string()) } else { (name, value) })
        .collect();
    let values = match query.bind(&values) {
        Ok(values) => values,
        Err(error) => {
            printer.error(&error.to_string());
            return Ok(exit::USAGE);
        }
    };
    let engine = logs.open(global, printer)?;
    let network = engine.wait(engine.usage().network())?;
    if let Some(object) = object {
        is_held(&object, &network)?;
    }
    let code = engine.run_query(query, &values, &printer.naming(Some(network)))?;
    if code == 0 && engine.rows_given() >= limit {
        let all = query.bind(&given_all)?;
        let counted =
            format!("select count(*) as found from (\n{}\n)", query.sql.trim().trim_end_matches(';'));
        let more = engine.count(&counted, &all).unwrap_or(0).saturating_sub(engine.rows_given());
        printer.left_out(more, "rows");
    }
    if let Some(summary) = engine.usage().summary() {
        say(&summary, printer);
    }
    Ok(code)
}

/// Whether rules can be those of an object: a name that nothing has would be answered with nothing.
fn is_held(object: &str, network: &Network) -> anyhow::Result<()> {
    let held = network.groups.timeline(object).is_some() || network.acls.timeline(object).is_some();
    anyhow::ensure!(held, "{object}: no security group or network ACL of the configuration has this id");
    Ok(())
}

/// A week: rules for what happens at night or at the end of a week show within.
const SHORT: i64 = 7 * 86_400;
/// For the same reason no rule is called unused on less, unless asked to: who removes a rule on the word of one day's logs
/// finds out at the weekend what it was for.
const LEAST_WINDOW: &str = "7d";

/// What the numbers of a count lean on.
fn say(summary: &Summary, printer: &Printer) {
    say_window(summary.window, summary.counts, printer);
    if summary.unexplained > 0 {
        printer.warn(&format!(
            "{} of {} accepted conversations are against the rules given: the configuration was not in force then \
             (flowq attribute shows where)",
            summary.unexplained, summary.accepted
        ));
    }
}

/// What was read, and what of it counts for nothing.
pub fn say_window(window: Option<(Timestamp, Timestamp)>, counts: Counts, printer: &Printer) {
    if counts.undated > 0 {
        let records = counted(counts.undated, "record");
        printer.warn(&format!(
            "{records} without start and end: for no rule, since rules change (add both fields)"
        ));
    }
    let Some((first, last)) = window else {
        if counts.undated == 0 {
            printer.warn("the logs hold no record in the window");
        }
        return;
    };
    printer.note(&format!(
        "{} {} from {} to {}",
        counts.records,
        if counts.records == 1 { "record" } else { "records" },
        time_text(first),
        time_text(last)
    ));
    if counts.skipped > 0 {
        printer.warn(&format!(
            "{} of these say that records were skipped (SKIPDATA), so that traffic may be missing here",
            counts.skipped
        ));
    }
    if last.saturating_sub(first) < SHORT {
        printer.warn(
            "the logs span less than a week: what happens once a week or a month does not show in them",
        );
    }
    if counts.outside > 0 {
        printer.note(&format!(
            "{} of interfaces that the configuration lacks: for no rule",
            counted(counts.outside, "record")
        ));
    }
    if counts.undirected > 0 {
        printer.note(&format!("{} without a direction: for no rule", counted(counts.undirected, "record")));
    }
}

fn tightened(args: &TightenArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let window = match args.logs.window() {
        Ok(window) => window,
        Err(error) => {
            printer.error(&error);
            return Ok(exit::USAGE);
        }
    };
    let engine = args.logs.open(global, printer)?;
    let network = engine.wait(engine.usage().network())?;
    if let Some(object) = &args.object {
        is_held(object, network.as_ref())?;
    }
    let plan = Arc::new(Plan::new(network, None));
    let (mut found, traffic) = match engine.of_traffic(plan, window, tighten) {
        Some(Ok(found)) => found,
        None => return Ok(exit::INTERRUPTED),
        Some(Err(error)) => return engine.failed(error, "", printer),
    };
    let span = traffic.presence().span();
    let short = span.is_some_and(|(first, last)| last.saturating_sub(first) < SHORT);
    let wanted = |rule: &Rule| args.object.as_ref().is_none_or(|id| rule.object_id() == id);
    found.narrower.retain(|one| wanted(&one.rule));
    found.left_alone.retain(|one| wanted(&one.rule));
    let more = |count: usize| count.saturating_sub(args.limit);
    let cut = more(found.narrower.len()).saturating_add(more(found.left_alone.len()));
    found.narrower.truncate(args.limit);
    found.left_alone.truncate(args.limit);
    match printer.format() {
        OutputFormat::Table => {
            let left = found.left_alone.iter().map(left_text);
            // Beside the commands themselves, wherever they are copied from.
            let caution = span.filter(|_| short && !found.narrower.is_empty()).map(|(first, last)| {
                let (first, last) = (time_text(first), time_text(last));
                format!(
                    "# by the logs from {first} to {last} alone, less than a week: what happens once a week or a month would \
                     be cut\n\n"
                )
            });
            let texts = found.narrower.iter().map(tightening_text).chain(left);
            printer.lines(&caution.into_iter().chain(texts).collect::<String>())?;
        }
        _ => tightening_rows(&found, span, printer)?,
    }
    printer.left_out(cut as u64, "rules");
    let refused = engine.report_refused(printer);
    say_window(traffic.presence().span(), traffic.counts(), printer);
    let (count, are) = (found.narrower.len(), if found.narrower.len() == 1 { "is" } else { "are" });
    let rules = if count == 1 { "rule" } else { "rules" };
    printer.note(&format!(
        "{count} {rules} of groups {are} wider than {} use",
        if count == 1 { "its" } else { "their" }
    ));
    if !found.left_alone.is_empty() {
        printer.note(&format!(
            "{} more may be, and are left alone: of no conversation is it sure that they let it pass (of TCP, logs \
             with tcp_flags show which end began; of UDP no field does)",
            found.left_alone.len()
        ));
    }
    Ok(refused)
}

/// `4,500 times`, in as many digits as mean something.
fn factor(narrower: f64) -> String {
    if narrower < 10.0 { format!("{narrower:.1} times") } else { format!("{narrower:.0} times") }
}

fn proposals(one: &Tightening) -> Vec<String> {
    one.proposed.iter().map(|rule| rule.text(one.rule.is_egress())).collect()
}

fn tightening_text(one: &Tightening) -> String {
    let mut text = format!("{}\n", one.rule.text);
    text.push_str(&format!(
        "  {}; would do, {} narrower, cutting {} of what was seen:\n",
        counted(one.conversations, "conversation"),
        factor(one.narrower),
        if one.cut_seen == 0 { "nothing".to_owned() } else { format!("{} uses", one.cut_seen) }
    ));
    if one.cuts_untracked {
        text.push_str(
            "  connections that are up and not tracked, as an open rule leaves them, break at the change; later ones pass\n",
        );
    }
    if one.uncertain > 0 {
        text.push_str(&format!(
            "  {} of these may have passed by another rule (the other end may have begun, or several rules may match), and \
             are kept here as well\n",
            one.uncertain
        ));
    }
    for rule in &one.proposed {
        let held = rule.held_by.as_ref().map(|by| format!(" (there by {by})")).unwrap_or_default();
        text.push_str(&format!("    allow {}{held}\n", rule.text(one.rule.is_egress())));
    }
    for command in one.commands() {
        text.push_str(&format!("  {command}\n"));
    }
    text.push('\n');
    text
}

fn left_text(one: &LeftAlone) -> String {
    format!(
        "{}\n  left alone: it may have let {} pass, and none surely (the other end may have begun, or several \
         rules may match)\n\n",
        one.rule.text,
        counted(one.conversations, "conversation")
    )
}

/// Rules that are left alone are rows without a proposal.
fn tightening_rows(
    found: &Tightenings,
    span: Option<(Timestamp, Timestamp)>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let direction = |rule: &Rule| if rule.is_egress() { "egress" } else { "ingress" };
    let wide: Vec<(&Rule, u64, u64, Option<&Tightening>)> = (found.narrower.iter())
        .map(|one| (&one.rule, one.conversations, one.uncertain, Some(one)))
        .chain(found.left_alone.iter().map(|one| (&one.rule, one.conversations, one.conversations, None)))
        .collect();
    let text = |of: &dyn Fn(&Tightening) -> String| {
        text_column(wide.iter().map(|(.., one)| one.map(of).unwrap_or_default()))
    };
    let cut = wide.iter().map(|(.., one)| one.map_or(0, |one| count(one.cut_seen)));
    let untracked: Vec<bool> =
        wide.iter().map(|(.., one)| one.is_some_and(|one| one.cuts_untracked)).collect();
    let narrower = wide.iter().map(|(.., one)| one.map_or(1.0, |one| one.narrower));
    let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
        ("object_id", text_column(wide.iter().map(|(rule, ..)| rule.object_id()))),
        ("direction", text_column(wide.iter().map(|(rule, ..)| direction(rule)))),
        ("rule", text_column(wide.iter().map(|(rule, ..)| &rule.text))),
        ("conversations", count_column(wide.iter().map(|(_, all, ..)| count(*all)))),
        ("uncertain", count_column(wide.iter().map(|(_, _, uncertain, _)| count(*uncertain)))),
        ("proposed", text(&|one| proposals(one).join("; "))),
        ("cut_seen", count_column(cut)),
        ("narrower", Arc::new(Float64Array::from_iter_values(narrower))),
        ("cuts_untracked", Arc::new(BooleanArray::from(untracked))),
        ("commands", text(&|one| one.commands().join("\n"))),
        ("terraform", text(&Tightening::terraform)),
        ("observed_from", times(wide.iter().map(|_| span.map(|(first, _)| first)))),
        ("observed_to", times(wide.iter().map(|_| span.map(|(_, last)| last)))),
    ];
    print(columns, printer)
}

fn shadows(args: &ShadowedArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let view = View { at: args.at.unwrap_or(Timestamp::MAX), after: false };
    let network = if args.config.is_empty() {
        held(global)?.network
    } else {
        let (network, problems, errors) = read_network(&args.config);
        errors.iter().for_each(|error| printer.warn(&error.to_string()));
        problems.iter().for_each(|problem| printer.warn(&problem.to_string()));
        network
    };
    let found = shadowed(&network, view);
    let direction = |egress: bool| if egress { "egress" } else { "ingress" };
    let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
        ("layer", text_column(found.iter().map(|one| one.layer))),
        ("object_id", text_column(found.iter().map(|one| &one.object))),
        ("direction", text_column(found.iter().map(|one| direction(one.egress)))),
        ("rule", text_column(found.iter().map(|one| &one.rule))),
        ("behind", text_column(found.iter().map(|one| one.by.join("; ")))),
        ("reason", text_column(found.iter().map(|one| &one.reason))),
        ("advice", text_column(found.iter().map(|one| one.advice()))),
    ];
    print(columns, &printer.laid_out(SHADOWED).naming(Some(Arc::new(network))))?;
    printer.note(&format!("{} rules can never matter", found.len()));
    Ok(0)
}
