//! The report on all REJECTs: how far the configuration can be trusted, what dropped them, and what stayed open.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::MemTable;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;

use super::{RejectAttribution, Skipped};
use crate::network::{NACL_DEFAULT_V4, NACL_DEFAULT_V6, Network, Timestamp, View};
use crate::rules::entry_text;
use crate::sql::dialect::FlowqDialect;
use crate::sql::usage::Window;

/// The names of the tables that a report makes for itself; they are gone afterwards.
const JUDGED: &str = "attributed_rejects";
const COUNTED: &str = "attributed_groups";
const REMOTES: &str = "attributed_remotes";
const TRUST: &str = "attributed_trust";
const SKIPPED: &str = "attributed_skips";

/// What the REJECTs are put together by, instead of the whole report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The network ACL and its entry.
    Nacl,
    /// The interface's groups.
    Group,
    /// The interface.
    Interface,
    /// The address at the other end.
    Remote,
    /// Destination port and protocol.
    Port,
}

/// The address at the other end.
const REMOTE: &str = "case when direction = 'egress' then coalesce(pkt_dstaddr, dstaddr) \
    else coalesce(pkt_srcaddr, srcaddr) end";

/// Which report.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// A condition in SQL on the columns of `reject_attribution`.
    pub filter: Option<String>,
    /// Only REJECTs that begin in it. What bears on them is looked for in all logs.
    pub window: Window,
    /// One table by this instead of the sections.
    pub by: Option<By>,
    /// So many rows of each section.
    pub limit: usize,
}

/// A report.
#[derive(Debug)]
pub struct Made {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
    /// Sections of which rows were left out, and how many; by its own name where the report is one table.
    pub left_out: Vec<(String, u64)>,
    /// Subjects of sections in words, as far as the configuration of now has them: the rule of one, the name of an interface.
    pub words: Vec<(String, String)>,
    /// The configuration in use.
    pub network: Option<Arc<Network>>,
}

/// The column in which each row carries how many rows its section has.
const OF_ALL: &str = "of_all";

/// Makes the report. Sections: `accepts` (worst explained first), `skipped` (where records were skipped), `verdict`, `rule`,
/// `interface`, `remote`, `undecided`, `capture`.
pub async fn report(
    context: &SessionContext,
    table: &RejectAttribution,
    options: &ReportOptions,
) -> Result<Made> {
    let made = [JUDGED, COUNTED, REMOTES, TRUST, SKIPPED];
    let result = sections(context, table, options).await;
    for name in made {
        context.deregister_table(name)?;
    }
    let made = settled(result?, |section, subject| {
        let network = table.network()?;
        match section {
            "rule" => {
                let words = rule_words(network, subject);
                Some(network.with_acl_names(words.as_deref().unwrap_or(subject)))
            }
            "interface" | "skipped" => Some(network.interface_text(subject, NEWEST)),
            "accepts" => {
                let (acl, interface) = subject.rsplit_once(' ')?;
                let interface = network.interface_text(interface, NEWEST);
                Some(format!("{} {interface}", network.with_acl_names(acl)))
            }
            _ => None,
        }
    })?;
    Ok(Made { network: table.network().cloned(), ..made })
}

const NEWEST: View = View { at: Timestamp::MAX, after: false };

/// An entry in words, or the names of groups.
fn rule_words(network: &Network, subject: &str) -> Option<String> {
    let Some((list, number)) = subject.split_once(" rule ") else {
        let names = subject.split(", ").map(|id| {
            let name = network.groups.get(id, NEWEST).and_then(|group| group.value.name.clone())?;
            Some(format!("{id} ({name})"))
        });
        return Some(names.collect::<Option<Vec<String>>>()?.join(", "));
    };
    let number: u32 = number.parse().ok()?;
    if number == NACL_DEFAULT_V4 || number == NACL_DEFAULT_V6 {
        return Some(format!("{list} rule * (default deny)"));
    }
    let acl = network.acls.get(list, NEWEST)?.value;
    let mut entries = acl.entries.iter().filter(|entry| entry.number == number);
    // A number may stand in both directions.
    entries.next().filter(|_| entries.next().is_none()).map(|entry| entry_text(acl, entry))
}

/// Takes the counts of rows out of the batches; `in_words` is a subject by its section.
fn settled(batches: Vec<RecordBatch>, in_words: impl Fn(&str, &str) -> Option<String>) -> Result<Made> {
    let mut shown: Vec<(String, u64, u64)> = Vec::new();
    let mut found = Vec::with_capacity(batches.len());
    let mut words: Vec<(String, String)> = Vec::new();
    for batch in batches {
        let subject =
            batch.column_by_name("subject").map(|column| cast(column, &DataType::Utf8)).transpose()?;
        let subject = subject.as_ref().and_then(|column| column.as_string_opt::<i32>());
        let of_all = batch.column_by_name(OF_ALL).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let section = batch.column_by_name("section");
        let section = section.map(|column| cast(column, &DataType::Utf8)).transpose()?;
        let section = section.as_ref().and_then(|column| column.as_string_opt::<i32>());
        for row in 0..batch.num_rows() {
            let name = section.map_or("", |section| section.value(row));
            if let Some(subject) = subject {
                let subject = subject.value(row);
                words.extend(in_words(name, subject).map(|words| (subject.to_owned(), words)));
            }
            let all = of_all.map_or(0, |of_all| u64::try_from(of_all.value(row)).unwrap_or(0));
            match shown.iter_mut().find(|(known, ..)| known == name) {
                Some((_, count, _)) => *count = count.saturating_add(1),
                None => shown.push((name.to_owned(), 1, all)),
            }
        }
        let schema = batch.schema();
        let kept = (0..schema.fields().len()).filter(|at| schema.field(*at).name() != OF_ALL);
        found.push(batch.project(&kept.collect::<Vec<usize>>())?);
    }
    let left_out = shown.into_iter().map(|(name, count, all)| (name, all.saturating_sub(count)));
    Ok(Made {
        batches: found,
        left_out: left_out.filter(|(_, more)| *more > 0).collect(),
        words,
        network: None,
    })
}

async fn sections(
    context: &SessionContext,
    table: &RejectAttribution,
    options: &ReportOptions,
) -> Result<Vec<RecordBatch>> {
    let table_of = |batch: RecordBatch| -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    };
    if options.filter.is_none() && options.window == Window::default() && options.by.is_none() {
        let tally = table.tally(context).await?;
        context.register_table(COUNTED, table_of(tally.groups()?)?)?;
        context.register_table(REMOTES, table_of(tally.remotes()?)?)?;
    } else {
        context.register_table(JUDGED, Arc::new(table.detailed()))?;
        if let Some(filter) = &options.filter {
            // By itself: what is wrong with it has its place in what the user wrote, and not in the statement around it.
            DFParser::parse_sql_into_expr_with_dialect(filter, &FlowqDialect)?;
        }
        let filter = conditions(options);
        if let Some(by) = options.by {
            return collected(context.sql(&by_sql(by, &filter, options.limit)).await?).await;
        }
        // Once through the REJECTs; all sections are sums over these groups.
        let grouped = format!(
            "select verdict, confidence, nacl_id, nacl_rule_number, array_to_string(security_group_ids, ', ') as groups, \
               interface_id, {REMOTE} as remote, would_decide, captured_at, capture_distance / 3600 as hours_away, \
               mismatch, count(*) as records \
             from {JUDGED} {filter} group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
        );
        let frame = context.sql(&grouped).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let groups: Arc<dyn TableProvider> =
            Arc::new(MemTable::try_new(schema, vec![frame.collect().await?])?);
        context.register_table(COUNTED, Arc::clone(&groups))?;
        context.register_table(REMOTES, groups)?;
    }
    context.register_table(TRUST, trust(table)?)?;
    context.register_table(SKIPPED, skipped(table)?)?;
    collected(context.sql(&report_sql(options.limit)).await?).await
}

/// The `where` of the REJECTs that are reported on.
fn conditions(options: &ReportOptions) -> String {
    match &options.filter {
        Some(filter) => format!("where ({filter}\n){}", options.window.condition(" and ")),
        None => options.window.condition("where "),
    }
}

/// The rows of a frame; one batch without rows where there are none, so that its columns are known.
async fn collected(frame: DataFrame) -> Result<Vec<RecordBatch>> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    Ok(if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches })
}

fn by_sql(by: By, filter: &str, limit: usize) -> String {
    let (keys, of) = match by {
        By::Nacl => ("nacl_id, nacl_rule_number", "nacl_id, nacl_rule_number"),
        By::Group => ("groups", "array_to_string(security_group_ids, ', ') as groups"),
        By::Interface => ("interface_id", "interface_id"),
        By::Remote => ("remote", ""),
        By::Port => ("dstport, protocol", "dstport, protocol"),
    };
    let of = if of.is_empty() { String::new() } else { format!("{of}, ") };
    // What a network ACL or a group did is a row of its own; the others show every verdict beside the key.
    format!(
        "select {keys}, verdict, count(*) as records, sum(packets) as packets, count(distinct remote) as remotes, \
           min(start) as first_seen, max(\"end\") as last_seen, count(*) over () as {OF_ALL} \
         from (select {of}{REMOTE} as remote, verdict, packets, start, \"end\" from {JUDGED} {filter}) \
         group by {keys}, verdict order by records desc, {keys}, verdict limit {limit}"
    )
}

fn report_sql(limit: usize) -> String {
    let section = |order: u8, name: &str, subject: &str, detail: &str, keep: &str| {
        let counted = if name == "remote" { REMOTES } else { COUNTED };
        format!(
            "(select {order} as place, '{name}' as section, {subject} as subject, {detail} as detail, \
               cast(sum(records) as bigint) as records, \
               round(100.0 * sum(records) / (select sum(records) from {COUNTED}), 1) as percent, \
               count(*) over () as {OF_ALL} \
             from {counted} where {keep} group by 3, 4 order by records desc, subject, detail limit {limit})"
        )
    };
    let rule = "case when verdict in ('NACL', 'NACL_AND_SECURITY_GROUP') and nacl_id is not null \
        then nacl_id || ' rule ' || coalesce(cast(nacl_rule_number as varchar), 'unknown') \
        when verdict = 'SECURITY_GROUP' and groups <> '' then groups \
        when verdict = 'CONFIG_MISMATCH' then coalesce(mismatch, 'no rule') else 'no rule' end";
    let capture = "coalesce(cast(captured_at as varchar), \
        case when hours_away is null then 'no configuration used' else 'configuration without a time' end)";
    let away = "case when hours_away = 0 then 'less than an hour away' \
        else coalesce(cast(hours_away as varchar) || ' h away', '') end";
    let undecided = "coalesce(would_decide, 'unknown')";
    let parts = [
        section(3, "verdict", "verdict", "confidence", "true"),
        section(4, "rule", rule, "verdict", "true"),
        section(5, "interface", "coalesce(interface_id, '-')", "verdict", "true"),
        section(6, "remote", "coalesce(remote, '-')", "verdict", "true"),
        section(7, "undecided", undecided, "'would decide'", "verdict = 'UNDETERMINED'"),
        section(8, "capture", capture, away, "true"),
    ];
    format!(
        "select section, subject, detail, records, percent, {OF_ALL} from ( \
           (select 1 as place, 'accepts' as section, subject, detail, contradicted as records, percent, \
              count(*) over () as {OF_ALL} from {TRUST} \
            order by contradicted desc, subject limit {limit}) \
           union all \
           (select 2 as place, 'skipped' as section, subject, \
              to_char(began, '%Y-%m-%dT%H:%M:%SZ') || ' to ' || to_char(ended, '%Y-%m-%dT%H:%M:%SZ') as detail, records, \
              cast(null as double) as percent, count(*) over () as {OF_ALL} from {SKIPPED} \
            order by records desc, subject limit {limit}) \
           union all {}) order by place, records desc, subject, detail",
        parts.join(" union all ")
    )
}

/// Where records were skipped, a row for each interface.
fn skipped(table: &RejectAttribution) -> Result<Arc<dyn TableProvider>> {
    let found = table.skipped();
    let time = |of: &dyn Fn(&Skipped) -> i64| {
        let micros = found.iter().map(|(_, found)| of(found).checked_mul(1_000_000));
        Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let records = found.iter().map(|(_, found)| i64::try_from(found.records).unwrap_or(i64::MAX));
    let interfaces = found.iter().map(|(interface, _)| interface);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("subject", Arc::new(StringArray::from_iter_values(interfaces)) as ArrayRef, false),
        ("began", time(&|found| found.first), true),
        ("ended", time(&|found| found.last), true),
        ("records", Arc::new(Int64Array::from_iter_values(records)) as ArrayRef, false),
    ])
    .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// How well the configuration explains the ACCEPTs, a row for each network ACL and interface.
fn trust(table: &RejectAttribution) -> Result<Arc<dyn TableProvider>> {
    // Where a condition can hold for no record, no log is read.
    let is_read = table.consistency().is_some();
    let (found, accepts) = table.consistency().unwrap_or_default();
    let mut subjects = Vec::new();
    let mut details = Vec::new();
    let mut contradicted = Vec::new();
    let mut percents = Vec::new();
    for (interface, acl, counts) in &found {
        subjects.push(format!("{} {interface}", acl.as_deref().unwrap_or("no network ACL")));
        details.push(format!(
            "{} ACCEPTs checked: {} against the network ACL given, {} against the groups given",
            counts.checked, counts.against_acl, counts.against_groups
        ));
        let against = i64::try_from(counts.contradicted()).unwrap_or(i64::MAX);
        contradicted.push(against);
        percents.push((counts.checked > 0).then(|| {
            let explained = counts.checked.saturating_sub(counts.contradicted());
            (1000.0 * explained as f64 / counts.checked as f64).round() / 10.0
        }));
    }
    if found.is_empty() {
        subjects.push("no check".to_owned());
        details.push(match (table.network().is_some(), accepts) {
            _ if !is_read => "the condition holds for no record, and so the ACCEPTs were not read".to_owned(),
            (_, 0) => "no ACCEPT is logged: what the logs lack proves nothing".to_owned(),
            (false, _) => format!("no configuration given; {accepts} ACCEPTs are evidence only"),
            (true, _) => format!("none of the {accepts} ACCEPTs is at an interface of the configuration"),
        });
        contradicted.push(0);
        percents.push(None);
    }
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("subject", Arc::new(StringArray::from(subjects)) as ArrayRef, false),
        ("detail", Arc::new(StringArray::from(details)) as ArrayRef, false),
        ("contradicted", Arc::new(Int64Array::from(contradicted)) as ArrayRef, false),
        ("percent", Arc::new(datafusion::arrow::array::Float64Array::from(percents)) as ArrayRef, true),
    ])
    .map_err(|error| DataFusionError::ArrowError(Box::new(error), None))?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
