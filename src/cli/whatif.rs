//! `flowq whatif`: the traffic of the logs against proposed rules.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, Int32Array, StringArray, TimestampMicrosecondArray};
use clap::Args;

use super::config::{print, text_column};
use super::logs::LogArgs;
use super::rules::say_window;
use super::{Global, Printer, exit};
use crate::net::protocol_name;
use crate::network::{Changed, Network, Timestamp};
use crate::sql::attribution::{Proposal, read_proposal};
use crate::usage::{Effect, Outcome, Plan, WhatIf, what_if};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 1 where traffic that was accepted would be blocked, 0 where none would: a gate for changes."
)]
pub struct WhatIfArgs {
    /// The proposed configuration: files or folders in any form that `flowq config import` reads, which replace the
    /// objects that they name and leave the others; or Terraform plans (terraform show -json), which are applied
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    change: Vec<PathBuf>,
    #[command(flatten)]
    logs: LogArgs,
    /// So many rows
    #[arg(long, default_value_t = 1000, value_name = "N")]
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
    if !proposal.errors.is_empty() {
        anyhow::bail!("the proposed configuration could not be read whole, so nothing can be said of it");
    }
    let engine = args.logs.open(global, printer)?;
    let before = engine.wait(engine.usage().network())?;
    let (after, changed) = apply(&before, &proposal);
    let is_empty = changed.objects.is_empty() && changed.removed.is_empty() && changed.lacking.is_empty();
    if is_empty && changed.same == 0 && proposal.plans.is_empty() {
        // As above: a path that was mistyped proposes nothing, and would always pass.
        anyhow::bail!("--change holds no configuration: no object that flowq reads is in it");
    }
    for id in &changed.lacking {
        printer.warn(&format!(
            "{id}: the plan changes a part of it, and the configuration does not hold the rest, so that this is left out \
             (flowq config import)"
        ));
    }
    if changed.objects.is_empty() && changed.removed.is_empty() {
        let names = match (changed.same > 0, changed.lacking.is_empty()) {
            (true, _) => "it is as it was",
            (false, true) => "it names no object",
            (false, false) => "it names no object that the configuration holds",
        };
        printer.warn(&format!("the proposed configuration changes nothing: {names}"));
    } else {
        let gone = match changed.removed.as_slice() {
            [] => String::new(),
            removed => format!("; removes {}", removed.join(", ")),
        };
        printer.note(&format!("changes {}{gone}", changed.objects.join(", ")));
    }
    let plan = Arc::new(Plan::new(before, Some(&after)));
    let context = engine.session.context();
    let work = engine.usage().traffic(context, plan, window);
    let traffic = match engine.interruptible(work).transpose() {
        Ok(Some(traffic)) => traffic,
        Ok(None) => return Ok(exit::INTERRUPTED),
        Err(error) => return engine.failed(error.into(), "", printer),
    };
    let found = what_if(&traffic, &after)?;
    print_effects(&found, args.limit, printer)?;
    let refused = engine.report_refused(printer);
    say_window(found.window, traffic.counts(), printer);
    summary(&found, printer);
    let blocked = found.count(Outcome::NewlyBlocked) > 0;
    Ok(if blocked { exit::FINDINGS } else { refused })
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
    }
    changed.objects.sort();
    changed.objects.dedup();
    (network, changed)
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    super::config::count_column(values.map(|value| usize::try_from(value).unwrap_or(usize::MAX)))
}

fn times(values: impl Iterator<Item = Timestamp>) -> ArrayRef {
    let micros = values.map(|at| at.checked_mul(1_000_000));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// `198.51.100.7, 198.51.100.8 and 12 more`.
fn remotes(effect: &Effect) -> String {
    let some: Vec<String> = effect.some_remotes.iter().map(ToString::to_string).collect();
    let more = effect.remotes.saturating_sub(some.len() as u64);
    if more > 0 { format!("{} and {more} more", some.join(", ")) } else { some.join(", ") }
}

fn print_effects(found: &WhatIf, limit: usize, printer: &Printer) -> anyhow::Result<()> {
    let effects = || found.effects.iter().take(limit);
    let protocol = |effect: &Effect| {
        protocol_name(effect.protocol).map_or_else(|| effect.protocol.to_string(), str::to_owned)
    };
    let established = effects().map(|effect| effect.established.map(|one| one.to_string()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("outcome", text_column(effects().map(|effect| effect.outcome.to_string()))),
        ("interface_id", text_column(effects().map(|effect| &effect.interface_id))),
        ("direction", text_column(effects().map(|effect| effect.direction.to_string()))),
        ("protocol", text_column(effects().map(protocol))),
        ("port", Arc::new(effects().map(|effect| effect.port.map(i32::from)).collect::<Int32Array>())),
        ("remotes", text_column(effects().map(remotes))),
        ("conversations", numbers(effects().map(|effect| effect.conversations))),
        ("records", numbers(effects().map(|effect| effect.totals.records))),
        ("bytes", numbers(effects().map(|effect| effect.totals.bytes))),
        ("now", text_column(effects().map(|effect| &effect.before))),
        ("then", text_column(effects().map(|effect| &effect.after))),
        ("established", Arc::new(established.collect::<StringArray>())),
        ("first_seen", times(effects().map(|effect| effect.totals.first))),
        ("last_seen", times(effects().map(|effect| effect.totals.last))),
    ];
    print(columns, printer).context("cannot write the effects")
}

fn summary(found: &WhatIf, printer: &Printer) {
    let words = [
        "would be newly blocked",
        "would live on connection tracking alone, until they have to begin again",
        "cannot be told",
        "would be newly allowed",
        "would pass by another rule",
        "stay as they are",
    ];
    let told = found.conversations.iter().zip(words).filter(|(count, _)| **count > 0);
    let told: Vec<String> = told.map(|(count, words)| format!("{count} {words}")).collect();
    if !told.is_empty() {
        printer.note(&format!("of the conversations, {}", told.join("; ")));
    }
}
