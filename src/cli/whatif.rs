//! `flowq whatif`: the traffic of the logs against proposed rules.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, Int32Array, StringArray};
use clap::Args;

use super::config::{print, text_column, time_column as times, time_text};
use super::logs::{LogArgs, at_least_one};
use super::printer::{counted, read_or_not};
use super::rules::say_window;
use super::{Global, Printer, exit};
use crate::net::protocol_name;
use crate::network::{Changed, Network, Timestamp, View};
use crate::rules::Direction;
use crate::sql::attribution::{ConfigError, Proposal, read_proposal};
use crate::sql::output::OutputFormat;
use crate::usage::{Effect, Outcome, Plan, WhatIf, what_if};

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 1, a gate for changes: where traffic that was accepted would be blocked, at once or (kept_by_tracking, of which the \
logs hold no beginning) when its connections begin again; where it cannot be told whether some would \
(what the change says is known only after the apply, or a group or list is missing), or the logs hold no accepted conversation \
to test, unless --allow-unknown; else 0.

Only filters are followed: security groups, network ACLs, prefix lists, and which interface carries which groups. Other changes of a \
plan that bear on traffic (routes, addresses, gateways, what is deleted with its interfaces) are named, as not_looked_at, and \
make no difference to the exit code.

A conversation is all the connections between one remote address and one port of a service at one interface, while the configuration \
of now stays the same. established: connections that are up when the rules change are kept (the groups track them) or cut (a \
network ACL sees every packet, and what a group lets pass untracked is not remembered).

remotes: in csv, JSON and Parquet all remote addresses, up to 65,536 of a row.")]
pub struct WhatIfArgs {
    /// The proposed configuration: files or folders in any form that `flowq config import` reads, which replace the
    /// objects that they name and leave the others; or Terraform plans (terraform show -json), which are applied
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    change: Vec<PathBuf>,
    #[command(flatten)]
    logs: LogArgs,
    /// Let the change pass where it cannot be told what becomes of accepted traffic, or where there is none to test
    #[arg(long)]
    allow_unknown: bool,
    /// So many rows
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    limit: usize,
}

pub fn run(args: &WhatIfArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let window = match args.logs.window() {
        Ok(window) => window,
        Err(error) => {
            printer.error(&error);
            return Ok(exit::USAGE);
        }
    };
    let proposal = read_proposal(&args.change);
    for error in &proposal.errors {
        printer.warn(&error.to_string());
    }
    for problem in &proposal.problems {
        printer.warn(&problem.to_string());
    }
    // A gate that waves through what it could not read would be worse than none.
    if !proposal.errors.iter().all(ConfigError::is_not_needed) {
        anyhow::bail!("the proposed configuration could not be read whole, so nothing can be said of it");
    }
    let engine = args.logs.open(global, printer)?;
    let before = engine.wait(engine.usage().network())?;
    let (after, changed) = apply(&before, &proposal);
    let is_empty = changed.objects.is_empty()
        && changed.removed.is_empty()
        && changed.lacking.is_empty()
        && changed.not_followed.is_empty();
    if is_empty && changed.same == 0 && proposal.plans.is_empty() {
        // As above: a path that was mistyped proposes nothing, and would always pass.
        anyhow::bail!("--change holds no configuration: no object that flowq reads is in it");
    }
    say_changes(&changed, printer);
    let plan = Arc::new(Plan::new(before, Some(&after)));
    let after = Arc::new(after);
    let changed = Arc::new(changed);
    let (then, of) = (Arc::clone(&after), Arc::clone(&changed));
    // What people read is no place for thousands of addresses; what programs read has them all.
    let named = if printer.format() == OutputFormat::Table { 3 } else { MOST_NAMED };
    let compared = engine.of_traffic(plan, window, move |traffic| what_if(traffic, &then, &of, named));
    let (found, traffic) = match compared {
        Some(Ok(found)) => found,
        None => return Ok(exit::INTERRUPTED),
        Some(Err(error)) => return engine.failed(error, "", printer),
    };
    read_or_not(print_effects(&found, &after, &changed.not_followed, args.limit, printer))?;
    printer.left_out(found.effects.len().saturating_sub(args.limit) as u64, "rows");
    let refused = engine.report_refused(printer);
    say_window(found.window, traffic.counts(), printer);
    let changes = !changed.objects.is_empty() || !changed.removed.is_empty();
    let fails = summary(&found, args, changes, printer);
    Ok(if fails { exit::FINDINGS } else { refused })
}

/// What the proposal changes, and what of it is left out.
fn say_changes(changed: &Changed, printer: &Printer) {
    for id in &changed.lacking {
        printer.warn(&format!(
            "{id}: the plan changes a part of it, and the configuration does not hold the rest, so that this is left out \
             (flowq config import)"
        ));
    }
    for rule in &changed.missing {
        printer.warn(&format!(
            "{rule}: the plan takes it away, and the configuration does not hold it: they are of different times (flowq \
             config import)"
        ));
    }
    for (by, ids) in perhaps_by(changed) {
        printer.warn(&format!(
            "{by}: which interfaces are its own is not known, and it may be any that carries its groups: {}",
            ids.join(", ")
        ));
    }
    if !changed.not_followed.is_empty() {
        printer.warn(&format!(
            "not looked at, since only filters are followed here: {}",
            changed.not_followed.join(", ")
        ));
    }
    if changed.objects.is_empty() && changed.removed.is_empty() && !changed.perhaps.is_empty() {
        return;
    }
    if changed.objects.is_empty() && changed.removed.is_empty() {
        let names = match (changed.same > 0, changed.lacking.is_empty()) {
            _ if !changed.not_followed.is_empty() => " that filters",
            (true, _) => ": it is as it was",
            (false, true) => ": it names no object",
            (false, false) => ": it names no object that the configuration holds",
        };
        printer.warn(&format!("the proposed configuration changes nothing{names}"));
        return;
    }
    // What has a Terraform address and no id yet is carried by no interface that was logged.
    let is_new = |id: &str| id.starts_with("aws_") || id.starts_with("module.");
    let named = |id: &String| if is_new(id) { format!("{id} (new)") } else { id.clone() };
    let list = |verb: &str, ids: &[String]| {
        let ids: Vec<String> = ids.iter().map(named).collect();
        (!ids.is_empty()).then(|| format!("{verb} {}", ids.join(", ")))
    };
    let parts = [list("changes", &changed.objects), list("removes", &changed.removed)];
    printer.note(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "));
}

/// The interfaces that may be those of each resource.
fn perhaps_by(changed: &Changed) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in &changed.perhaps {
        found.entry(&one.by).or_default().push(&one.interface_id);
    }
    found
}

fn apply(before: &Network, proposal: &Proposal) -> (Network, Changed) {
    let (mut network, mut changed) = before.with_objects(&proposal.objects);
    for (prior, planned) in &proposal.plans {
        let (next, more) = network.with_plan(prior, planned);
        network = next;
        changed.objects.extend(more.objects);
        changed.removed.extend(more.removed);
        changed.same = changed.same.saturating_add(more.same);
        changed.lacking.extend(more.lacking);
        changed.missing.extend(more.missing);
        changed.taken.extend(more.taken);
        changed.perhaps.extend(more.perhaps);
        changed.not_followed.extend(more.not_followed);
    }
    for list in [&mut changed.objects, &mut changed.not_followed] {
        list.sort();
        list.dedup();
    }
    (network, changed)
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    super::config::count_column(values.map(|value| usize::try_from(value).unwrap_or(usize::MAX)))
}

/// So many remote addresses of one effect are named where programs read them: memory has bounds. The column `remote_count` tells
/// how many there are.
const MOST_NAMED: usize = 1 << 16;

/// `198.51.100.7, 198.51.100.8 and 12 more`.
fn remotes(effect: &Effect) -> String {
    let some: Vec<String> = effect.some_remotes.iter().map(ToString::to_string).collect();
    let more = effect.remotes.saturating_sub(some.len() as u64);
    if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") }
}

fn print_effects(
    found: &WhatIf,
    network: &Arc<Network>,
    not_followed: &[String],
    limit: usize,
    printer: &Printer,
) -> anyhow::Result<()> {
    if printer.format() == OutputFormat::Table {
        let shown = found.effects.iter().take(limit).map(|effect| effect_text(effect, network));
        let rest = not_followed.iter().map(|change| format!("{NOT_LOOKED_AT}  {change}\n"));
        printer.naming(Some(Arc::clone(network))).lines(&shown.chain(rest).collect::<String>())?;
        return Ok(());
    }
    let effects = || found.effects.iter().take(limit);
    // What was not looked at stands last, in a row of its own each, so that no reader of the rows takes them for all there is.
    let rest = || not_followed.iter();
    let text = |of: &dyn Fn(&Effect) -> Option<String>| -> ArrayRef {
        Arc::new(effects().map(of).chain(rest().map(|_| None)).collect::<StringArray>())
    };
    let count = |of: &dyn Fn(&Effect) -> u64| numbers(effects().map(of).chain(rest().map(|_| 0)));
    let time = |of: &dyn Fn(&Effect) -> Timestamp| {
        times(effects().map(|one| Some(of(one))).chain(rest().map(|_| None)))
    };
    let outcomes = effects().map(|effect| effect.outcome.to_string());
    let port = effects().map(|effect| effect.port.map(i32::from)).chain(rest().map(|_| None));
    let then = effects().map(|effect| effect.after.clone()).chain(rest().cloned());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("outcome", text_column(outcomes.chain(rest().map(|_| NOT_LOOKED_AT.to_owned())))),
        ("interface_id", text(&|effect| Some(effect.interface_id.clone()))),
        ("direction", text(&|effect| Some(effect.direction.to_string()))),
        ("protocol", text(&|effect| Some(protocol(effect)))),
        ("port", Arc::new(port.collect::<Int32Array>())),
        ("remotes", text(&|effect| Some(remotes(effect)))),
        ("remote_count", count(&|effect| effect.remotes)),
        ("conversations", count(&|effect| effect.conversations)),
        ("records", count(&|effect| effect.totals.records)),
        ("bytes", count(&|effect| effect.totals.bytes)),
        ("now", text(&|effect| Some(effect.before.clone()))),
        ("then", text_column(then)),
        ("established", text(&|effect| effect.established.map(|one| one.to_string()))),
        ("first_seen", time(&|effect| effect.totals.first)),
        ("last_seen", time(&|effect| effect.totals.last)),
    ];
    print(columns, printer).context("cannot write the effects")
}

fn protocol(effect: &Effect) -> String {
    protocol_name(effect.protocol).map_or_else(|| effect.protocol.to_string(), str::to_owned)
}

/// One effect for people: what is long has a line of its own.
fn effect_text(effect: &Effect, network: &Network) -> String {
    let newest = View { at: Timestamp::MAX, after: false };
    let port = effect.port.map(|port| format!(" {port}")).unwrap_or_default();
    let of = if effect.direction == Direction::Ingress { "from" } else { "to" };
    let mut text = format!(
        "{}  {} {} {}{port} {of} {}\n  {}, {}, {}, {} to {}\n  now   {}\n  then  {}\n",
        effect.outcome,
        network.interface_text(&effect.interface_id, newest),
        effect.direction,
        protocol(effect),
        remotes(effect),
        counted(effect.conversations, "conversation"),
        counted(effect.totals.records, "record"),
        counted(effect.totals.bytes, "byte"),
        time_text(effect.totals.first),
        time_text(effect.totals.last),
        effect.before,
        effect.after
    );
    if let Some(established) = effect.established {
        text.push_str(&format!("  connections that are up: {established}\n"));
    }
    text.push('\n');
    text
}

const NOT_LOOKED_AT: &str = "not_looked_at";

/// Says what comes of it all, and whether that fails the gate.
fn summary(found: &WhatIf, args: &WhatIfArgs, changes: bool, printer: &Printer) -> bool {
    let words = [
        "would be newly blocked",
        "would live on connection tracking alone, until they have to begin again",
        "cannot be told",
        "would be newly allowed",
        "would pass by another rule",
    ];
    let counts = found.conversations.iter();
    let mut told: Vec<String> = (counts.clone().zip(words))
        .filter(|(count, _)| **count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if let Some(count) = counts.last().filter(|count| **count > 0) {
        told.push(format!("{count} {}", if *count == 1 { "stays as it is" } else { "stay as they are" }));
    }
    if found.unexplained > 0 {
        printer.warn(&format!(
            "{} of {} accepted conversations are against the rules of now: the configuration given was not in force then, \
             and what the change does to them is not known (flowq attribute shows where)",
            found.unexplained, found.accepted
        ));
    }
    if told.is_empty() {
        let text = "no conversation of the logs was tested, so that nothing can be said of the change";
        if args.allow_unknown {
            printer.warn(text)
        } else {
            printer.error(&format!("{text} (--allow-unknown)"))
        }
        return !args.allow_unknown;
    }
    printer.note(&format!("of the conversations, {}", told.join("; ")));
    if found.accepted == 0 {
        let text = "none of these was accepted: what the change would block does not show in such logs";
        if args.allow_unknown {
            printer.warn(text)
        } else {
            printer.error(&format!("{text} (--allow-unknown lets the change through)"))
        }
        return !args.allow_unknown;
    }
    // What tracking keeps up is dropped when it begins again, and what began before the logs will.
    let kept = found.count(Outcome::KeptByTracking);
    let blocked = found.count(Outcome::NewlyBlocked) > 0;
    if kept > 0 && !blocked {
        printer.error(&format!("{} would be dropped when begun again", counted(kept, "conversation")));
        return true;
    }
    if found.overlooked && changes && !blocked && !args.allow_unknown {
        printer.error(
            "there is more traffic of interfaces that the configuration lacks than can be held against the change \
             (flowq config import; --allow-unknown lets the change through)",
        );
        return true;
    }
    if found.accepted_unknown > 0 && !blocked && !args.allow_unknown {
        printer.error(&format!(
            "it cannot be told whether {} that {} accepted would pass (--allow-unknown lets the change through)",
            counted(found.accepted_unknown, "conversation"),
            if found.accepted_unknown == 1 { "was" } else { "were" }
        ));
        return true;
    }
    blocked
}
