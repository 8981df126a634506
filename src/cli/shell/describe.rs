//! What the shell tells about tables: which there are, their columns, and what stands in them.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};
use datafusion::catalog::SchemaProvider;

use crate::cli::engine::Engine;
use crate::format::{self, LogKind};
use crate::sql::attribution;
use crate::sql::config_tables::CONFIG_TABLES;
use crate::sql::errors::nearest;
use crate::sql::usage;
use crate::store;

/// So many rows are looked at to tell what stands in a table.
pub const SAMPLE: usize = 100_000;

/// The columns of a table; `None` where there is no such table or it cannot be opened.
pub fn schema(engine: &Engine, table: &str) -> Option<SchemaRef> {
    // Those of the logs are known without opening anything.
    store::table_schema(table).filter(|_| engine.session.tables().table_exist(table)).or_else(|| {
        let opened = engine.interruptible(engine.session.tables().table(table))?;
        Some(opened.ok()??.schema())
    })
}

/// The name of a table as it is known, or an error with the nearest one.
pub fn known(engine: &Engine, given: &str) -> anyhow::Result<String> {
    let names = engine.session.tables().table_names();
    let plain = given.trim_matches('"');
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(plain)) {
        return Ok(name.clone());
    }
    match nearest(plain, names.iter().map(String::as_str)) {
        Some(near) => anyhow::bail!("no table {given}; did you mean {near}?"),
        None => anyhow::bail!("no table {given} (.tables lists them)"),
    }
}

/// The tables: name, what they hold, how many rows where that is known without reading them.
pub fn tables(engine: &Engine) -> anyhow::Result<RecordBatch> {
    let names = engine.session.tables().table_names();
    let holds = names.iter().map(|name| match (name.as_str(), LogKind::from_table(name)) {
        (_, Some(kind)) => format!("{}s", kind.title()),
        (store::QUARANTINE_TABLE, _) => "lines that could not be read".to_owned(),
        (name, _) if store::TABLES.contains(&name) => "the files that were ingested".to_owned(),
        (usage::TABLE, _) => "what each rule did for the traffic".to_owned(),
        (attribution::TABLE, _) => "why flows were rejected, by the network configuration".to_owned(),
        (name, _) if CONFIG_TABLES.contains(&name) => "network configuration".to_owned(),
        _ => "made in this session".to_owned(),
    });
    let holds: ArrayRef = Arc::new(StringArray::from_iter_values(holds));
    let rows: Vec<Option<u64>> = names.iter().map(|name| engine.rows(name)).collect();
    let mut columns = vec![("table", Arc::new(StringArray::from(names)) as ArrayRef), ("holds", holds)];
    if rows.iter().any(Option::is_some) {
        columns.push(("rows", Arc::new(UInt64Array::from(rows))));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )?)
}

/// The columns of a table: name, type, meaning.
pub fn columns(engine: &Engine, table: &str) -> anyhow::Result<RecordBatch> {
    let schema = schema(engine, table).with_context(|| format!("cannot open {table}"))?;
    let text = |of: &dyn Fn(&Field) -> String| {
        Arc::new(StringArray::from_iter_values(schema.fields().iter().map(|field| of(field)))) as ArrayRef
    };
    Ok(RecordBatch::try_from_iter([
        ("column", text(&|field| field.name().clone())),
        ("type", text(&|field| sql_type(field.data_type()))),
        ("meaning", text(&|field| meaning(table, field.name()).to_owned())),
    ])?)
}

/// The columns of a table as SQL.
pub fn definition(engine: &Engine, table: &str) -> anyhow::Result<String> {
    let schema = schema(engine, table).with_context(|| format!("cannot open {table}"))?;
    let quoted = |name: &str| if name == "end" { format!("\"{name}\"") } else { name.to_owned() };
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    let types: Vec<String> = schema.fields().iter().map(|field| sql_type(field.data_type())).collect();
    let width = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (name_width, type_width) = (width(&names), width(&types).saturating_add(1));
    let mut sql = format!("create table {table} (\n");
    let last = names.len().saturating_sub(1);
    for (at, ((name, ty), field)) in names.iter().zip(&types).zip(schema.fields()).enumerate() {
        let ty = if at < last { format!("{ty},") } else { ty.clone() };
        let line = match meaning(table, field.name()) {
            "" => format!("    {name:name_width$} {ty}"),
            meaning => format!("    {name:name_width$} {ty:type_width$} -- {meaning}"),
        };
        sql.push_str(&line);
        sql.push('\n');
    }
    sql.push_str(");\n");
    Ok(sql)
}

/// The columns of a table with what stands in the first [`SAMPLE`] rows: nulls, distinct values, least and greatest.
/// `None` where Ctrl-C ended it; the number is that of the rows.
pub fn inspect(engine: &Engine, table: &str) -> anyhow::Result<Option<(RecordBatch, i64)>> {
    let schema = schema(engine, table).with_context(|| format!("cannot open {table}"))?;
    let mut wanted = vec!["count(*)".to_owned()];
    for field in schema.fields() {
        let name = format!("\"{}\"", field.name().replace('"', "\"\""));
        wanted.push(format!("count({name})"));
        wanted.extend(match field.data_type().is_nested() {
            true => [
                "cast(null as bigint)".to_owned(),
                "cast(null as text)".to_owned(),
                "cast(null as text)".to_owned(),
            ],
            false => [
                format!("count(distinct {name})"),
                format!("cast(min({name}) as text)"),
                format!("cast(max({name}) as text)"),
            ],
        });
    }
    let wanted: Vec<String> = wanted.iter().enumerate().map(|(at, one)| format!("{one} as c{at}")).collect();
    let table_name = format!("\"{}\"", table.replace('"', "\"\""));
    let sql = format!("select {} from (select * from {table_name} limit {SAMPLE})", wanted.join(", "));
    let Some(answer) = engine.interruptible(engine.session.query(&sql)) else { return Ok(None) };
    let answer = answer?;
    let batch = answer.iter().find(|batch| batch.num_rows() > 0).context("the sample gave nothing")?;
    let number = |at: usize| -> Option<i64> {
        let column = cast(batch.columns().get(at)?, &DataType::Int64).ok()?;
        column.is_valid(0).then(|| column.as_primitive::<Int64Type>().value(0))
    };
    let text = |at: usize| -> Option<String> {
        let column = cast(batch.columns().get(at)?, &DataType::Utf8).ok()?;
        column.is_valid(0).then(|| column.as_string::<i32>().value(0).to_owned())
    };
    let rows = number(0).unwrap_or(0);
    let first = |field: usize| field.saturating_mul(4).saturating_add(1);
    let each = 0..schema.fields().len();
    let nulls = each.clone().map(|at| Some(rows.saturating_sub(number(first(at)).unwrap_or(0))));
    let distinct = each.clone().map(|at| number(first(at).saturating_add(1)));
    let least = each.clone().map(|at| text(first(at).saturating_add(2)));
    let greatest = each.map(|at| text(first(at).saturating_add(3)));
    let named = columns(engine, table)?;
    let column = |at: usize| named.columns().get(at).cloned().context("a column is missing");
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("column", column(0)?, false),
        ("type", column(1)?, false),
        ("nulls", Arc::new(nulls.collect::<Int64Array>()) as ArrayRef, true),
        ("distinct", Arc::new(distinct.collect::<Int64Array>()), true),
        ("least", Arc::new(least.collect::<StringArray>()), true),
        ("greatest", Arc::new(greatest.collect::<StringArray>()), true),
        ("meaning", column(2)?, false),
    ])?;
    Ok(Some((batch, rows)))
}

/// The type's name in SQL.
fn sql_type(ty: &DataType) -> String {
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Dictionary(_, value) => sql_type(value),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::UInt64 => "bigint unsigned".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Map(..) => "map(text, text)".to_owned(),
        other => other.to_string(),
    }
}

/// What a column means; empty where the name says it all.
fn meaning(table: &str, column: &str) -> &'static str {
    let kind = LogKind::from_table(table);
    let own = kind.and_then(|kind| kind.columns().get(kind.column_index(column)?));
    match (own, table, column) {
        (Some(own), ..) => own.doc,
        (_, _, format::SOURCE_FILE) => "The file that the row came from.",
        (_, _, format::SOURCE_LINE) => "The line in that file, from 1.",
        (_, _, format::EXTRA) => "What the line held beyond the known columns.",
        (_, _, format::EVENT_DATE) => "The day (UTC) of the row; filters on it leave whole files out.",
        (_, store::QUARANTINE_TABLE, "kind") => "The table that the line would have gone to.",
        (_, store::QUARANTINE_TABLE, "line") => "The line in that file, from 1.",
        (_, store::QUARANTINE_TABLE, "byte") => "Where the line begins in the decoded content, from 0.",
        (_, store::QUARANTINE_TABLE, "reason") => "Why it was refused.",
        (_, store::QUARANTINE_TABLE, "text") => "The line, or its beginning.",
        _ => "",
    }
}
