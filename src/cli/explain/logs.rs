//! The log records that bear on a flow: read from the store or from raw files, rejected ones with their verdict.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use super::ExplainArgs;
use crate::cli::engine::Engine;
use crate::cli::{Global, Printer, exit};
use crate::network::Network;
use crate::sql::attribution::NetworkSource;
use crate::sql::session::SessionError;
use crate::store::Store;
use crate::trace::{LogRecord, Logged, Trace, Window};

const COLUMNS: &str = "to_char(start, '%Y-%m-%dT%H:%M:%SZ') as start, to_char(\"end\", '%Y-%m-%dT%H:%M:%SZ') as \"end\", \
                       interface_id, flow_direction, srcaddr, srcport, dstaddr, dstport, action, packets, bytes, tcp_flags";

/// Looks for records; an exit code where that is interrupted.
pub(super) fn read(
    trace: &mut Trace,
    args: &ExplainArgs,
    network: Arc<Network>,
    global: &Global,
    printer: &Printer,
) -> anyhow::Result<Result<(), u8>> {
    if args.records == 0 {
        trace.not_checked.push("the logs (--records 0)".to_owned());
        return Ok(Ok(()));
    }
    if args.engine.from.is_empty() && !has_logs(global) {
        trace.not_checked.push("the logs: the store holds none (flowq ingest, or --from PATH)".to_owned());
        return Ok(Ok(()));
    }
    let engine = Engine::with_network(&args.engine, global, NetworkSource::Given(network))?;
    let (window, condition) = match args.window.is_given() {
        true => {
            let window = args.window.window();
            let seconds = |micros: i64| micros.div_euclid(1_000_000);
            let shown = Window { from: window.from.map(seconds), to: window.to.map(seconds) };
            (shown, format!("{}{}", trace.condition(Window::default()), window.condition(" and ")))
        }
        false => {
            let window = Window {
                from: args.at.map(|at| at.saturating_sub(args.within)),
                to: args.at.map(|at| at.saturating_add(args.within)),
            };
            (window, trace.condition(window))
        }
    };
    let work = find(&engine, &condition, window, args);
    match engine.interruptible(work) {
        None => return Ok(Err(exit::INTERRUPTED)),
        Some(Ok(logged)) => trace.logged = Some(logged),
        // The stages stand without the logs.
        Some(Err(error)) => {
            printer.warn(&format!("the logs cannot be read: {error}"));
            trace.not_checked.push("the logs, which cannot be read".to_owned());
        }
    }
    engine.report_refused(printer);
    Ok(Ok(()))
}

fn has_logs(global: &Global) -> bool {
    let store = Store::open(&global.store).ok();
    let snapshot = store.and_then(|store| store.snapshot("flow_logs").ok().flatten());
    snapshot.is_some_and(|snapshot| !snapshot.files.is_empty())
}

async fn find(
    engine: &Engine,
    condition: &str,
    window: Window,
    args: &ExplainArgs,
) -> Result<Logged, SessionError> {
    let counts = format!(
        "select count(*) as found, count(*) filter (where action = 'REJECT') as rejects from flow_logs where {condition}"
    );
    let counts = engine.session.query(&counts).await?;
    let number = |name: &str| {
        let batch = counts.first()?;
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        (!column.is_empty()).then(|| u64::try_from(column.value(0)).unwrap_or(0))
    };
    let (found, rejects) = (number("found").unwrap_or(0), number("rejects").unwrap_or(0));
    let mut logged = Logged { window, found, rejects, records: Vec::new() };
    if found == 0 {
        return Ok(logged);
    }
    // The nearest to the time asked about, else the newest, REJECTs and others in turns: of a busy flow the few that were rejected
    // would not be among them.
    let nearest = match args.at {
        Some(at) => format!("abs(to_unixtime(start) - {at})"),
        None => "start desc".to_owned(),
    };
    let plain = format!(
        "select {COLUMNS}, cast(null as text) as verdict, cast(null as text) as confidence, cast(null as text) as explanation, \
         start as began from flow_logs where (action is distinct from 'REJECT') and {condition}"
    );
    let both = match rejects {
        0 => plain,
        _ => format!(
            "{plain} union all select {COLUMNS}, verdict, confidence, explanation, start as began from reject_attribution \
             where {condition}"
        ),
    };
    let nearest = nearest.replace("start", "began");
    let limit = args.records;
    let sql = format!(
        "select * from (select *, row_number() over (partition by action = 'REJECT' order by {nearest}) as place from ({both}) \
         order by place, action desc limit {limit}) order by began, interface_id"
    );
    for batch in engine.session.query(&sql).await? {
        records(&batch, &mut logged.records)?;
    }
    Ok(logged)
}

fn records(batch: &RecordBatch, into: &mut Vec<LogRecord>) -> Result<(), SessionError> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).and_then(|column| cast(column, &DataType::Utf8).ok());
        move |row: usize| {
            let column = column.as_ref()?.as_string_opt::<i32>()?;
            (row < column.len() && column.is_valid(row)).then(|| column.value(row).to_owned())
        }
    };
    let number = |name: &str| {
        let column = batch.column_by_name(name).and_then(|column| cast(column, &DataType::Int64).ok());
        move |row: usize| {
            let column = column.as_ref()?.as_primitive_opt::<Int64Type>()?;
            (row < column.len() && column.is_valid(row)).then(|| column.value(row))
        }
    };
    let (start, end, interface, direction) =
        (text("start"), text("end"), text("interface_id"), text("flow_direction"));
    let (src, dst, action) = (text("srcaddr"), text("dstaddr"), text("action"));
    let (src_port, dst_port) = (number("srcport"), number("dstport"));
    let (packets, bytes, flags) = (number("packets"), number("bytes"), number("tcp_flags"));
    let (verdict, confidence, explanation) = (text("verdict"), text("confidence"), text("explanation"));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in 0..batch.num_rows() {
        let verdict =
            verdict(row).map(|verdict| (verdict, or_dash(confidence(row)), or_dash(explanation(row))));
        into.push(LogRecord {
            start: or_dash(start(row)),
            end: or_dash(end(row)),
            interface: or_dash(interface(row)),
            direction: direction(row),
            src: or_dash(src(row)),
            src_port: src_port(row),
            dst: or_dash(dst(row)),
            dst_port: dst_port(row),
            action: or_dash(action(row)),
            packets: packets(row),
            bytes: bytes(row),
            tcp_flags: flags(row),
            verdict,
        });
    }
    Ok(())
}
