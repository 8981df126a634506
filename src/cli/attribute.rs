//! `flowq attribute`.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use clap::{Args, ValueEnum};

use super::engine::{Engine, EngineArgs};
use super::{Global, Printer};
use crate::sql::attribution::report::{By, Made, ReportOptions};
use crate::sql::output::OutputFormat;

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
UNDETERMINED             it cannot be told                     would_decide names what is missing

confidence: PROVEN where no other documented explanation fits, under a configuration known to be in force; STRONG where others need a \
rare or undocumented condition; WEAK where several fit: this is the simplest, and candidates names the others; NONE with UNDETERMINED. \
ACCEPTs that contradict the configuration, gaps in the logs, and captures of another time lower it.
blocking_set: all that would have to change for it to pass. first_blocker: which of them dropped it. reason_code: what the verdict \
rests on, in one word; explanation says it in a sentence. README.md has all of this in tables.")]
pub struct AttributeArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Only rejects for which this is true: SQL on the columns of reject_attribution
    #[arg(long = "where", value_name = "SQL")]
    condition: Option<String>,
    /// One table by this, instead of the whole report
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<ByArg>,
    /// So many rows of each section
    #[arg(long, default_value_t = 10, value_name = "N")]
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
    let options = ReportOptions { filter: args.condition.as_deref(), by, limit: args.limit };
    let made = match engine.attribution_report(&options) {
        Ok(made) => made,
        Err(error) => {
            return engine.failed(error.into(), args.condition.as_deref().unwrap_or_default(), printer);
        }
    };
    let is_table = printer.format() == OutputFormat::Table;
    let batches = if is_table { in_words(&made)? } else { made.batches };
    let schema = batches.first().map(|batch| batch.schema()).context("the report has no columns")?;
    printer.batches(&schema, &batches)?;
    for (section, more) in &made.left_out {
        let of = if section.is_empty() { String::new() } else { format!("{section}: ") };
        printer.note(&format!("{of}{more} more rows are left out (--limit)"));
    }
    if rejects(&batches, by.is_some()) == 0 {
        printer.note(match args.condition {
            Some(_) => "no REJECT fulfils the condition",
            None => "the logs hold no REJECT",
        });
    }
    if is_table && by.is_none() {
        printer.note(
            "accepts: records are ACCEPTs that contradict the configuration, percent is the share that it explains; \
             elsewhere records are REJECTs and percent their share (flowq attribute --help tells what verdicts mean)",
        );
    }
    Ok(engine.report_refused(printer))
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

/// The report with rules in words where it is read by people.
fn in_words(made: &Made) -> anyhow::Result<Vec<RecordBatch>> {
    let written = |batch: &RecordBatch| {
        let (Some(sections), Some(subjects)) = (texts(batch, "section"), texts(batch, "subject")) else {
            return Ok(batch.clone());
        };
        let shown = sections.iter().zip(&subjects).map(|(section, subject)| {
            let rule = made.rules.iter().find(|(rule, _)| section == "rule" && rule == subject);
            rule.map_or(subject, |(_, words)| words).as_str()
        });
        let shown: ArrayRef = Arc::new(StringArray::from_iter_values(shown));
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
            let text = field.name() == "subject";
            (field.name().as_str(), if text { Arc::clone(&shown) } else { Arc::clone(column) }, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).context("cannot put the rules into words")
    };
    made.batches.iter().map(written).collect()
}
