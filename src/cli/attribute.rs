//! `flowq attribute`.

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::engine::{Engine, EngineArgs};
use super::{Global, Printer};
use crate::sql::attribution::report::{By, ReportOptions};
use crate::sql::output::OutputFormat;

#[derive(Debug, Args)]
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
    let batches = match engine.attribution_report(&options) {
        Ok(batches) => batches,
        Err(error) => {
            return engine.failed(error.into(), args.condition.as_deref().unwrap_or_default(), printer);
        }
    };
    let schema = batches.first().map(|batch| batch.schema()).context("the report has no columns")?;
    printer.batches(&schema, &batches)?;
    if printer.format() == OutputFormat::Table && by.is_none() {
        printer.note(
            "accepts: records are ACCEPTs that contradict the configuration, percent is the share that it explains; \
             elsewhere records are REJECTs and percent their share",
        );
    }
    Ok(engine.report_refused(printer))
}
