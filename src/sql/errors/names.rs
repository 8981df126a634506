//! Names that are not there: which one may have been meant, and whether it was meant as a text.

use std::ops::ControlFlow;

use datafusion::common::SchemaError;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Select, SelectItem, Statement, Visit, Visitor, visit_expressions,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::places::at_word;
use super::{SqlError, SqlErrorKind, nearest, plain};
use crate::sql::dialect::FlowqDialect;

/// An error over a column that is not there, or more than once.
pub(super) fn schema(error: &SchemaError, sql: &str) -> SqlError {
    const ALIAS: &str = "give one of them another name with `as`";
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            let said = format!("no column named {}", field.name);
            at_word(SqlErrorKind::Plan, said, meant(&field.name, &known, sql), sql, &field.name)
        }
        SchemaError::AmbiguousReference { field } => {
            let name = &field.name;
            let hint = format!("write whose it is: `t.{name}`, with the table's name or alias for t");
            let said = format!("more than one table has a column named {name}");
            at_word(SqlErrorKind::Plan, said, Some(hint), sql, name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            plain(SqlErrorKind::Plan, &format!("two columns are called {name}"), Some(ALIAS))
        }
    }
}

/// What may have been meant by a column that is not there.
fn meant(name: &str, known: &[&str], sql: &str) -> Option<String> {
    if let Some(other) = other_name(name).filter(|other| known.contains(other)) {
        return Some(format!("it is called {} here", as_written(other)));
    }
    if is_alias(sql, name) {
        return Some(
            "names of the selection are not known in where: write there what it stands for".to_owned(),
        );
    }
    let near = nearest(name, known.iter().copied());
    let as_text = value(sql, name).map(|ident| {
        let like_text = ident.quote_style.is_some() || ident.value.chars().any(char::is_uppercase);
        (like_text, format!("text wants single quotes: '{}'", ident.value))
    });
    match (as_text, near) {
        (Some((true, hint)), _) | (Some((false, hint)), None) => Some(hint),
        (_, Some(near)) => Some(format!("did you mean {}?", as_written(near))),
        (None, None) if known.is_empty() => None,
        (None, None) if known.len() > 20 => {
            Some("`.schema TABLE` or `describe TABLE` shows the columns".into())
        }
        (None, None) => Some(format!("there are {}", known.join(", "))),
    }
}

/// The statements of a text, which may be a condition alone.
fn parsed(sql: &str) -> Option<Vec<Statement>> {
    let of = |sql: &str| Parser::parse_sql(&FlowqDialect, sql).ok();
    of(sql).or_else(|| of(&format!("select 1 where {sql}")))
}

/// Whether something that is selected is called so.
fn is_alias(sql: &str, name: &str) -> bool {
    struct Aliases<'a>(&'a str);
    impl Visitor for Aliases<'_> {
        type Break = ();

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            let is_it = |item: &SelectItem| match item {
                SelectItem::ExprWithAlias { alias, .. } => alias.value.eq_ignore_ascii_case(self.0),
                _ => false,
            };
            if select.projection.iter().any(is_it) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }
    parsed(sql).is_some_and(|parsed| parsed.visit(&mut Aliases(name)).is_break())
}

/// The name as it was typed, where it is what something is compared with.
fn value(sql: &str, name: &str) -> Option<Ident> {
    let parsed = parsed(sql)?;
    let is_it = |expr: &Expr| match expr {
        Expr::Identifier(ident) => {
            let typed =
                if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
            (typed == name).then(|| ident.clone())
        }
        _ => None,
    };
    let found = visit_expressions(&parsed, |expr| {
        let found = match expr {
            Expr::BinaryOp { left, op, right } if compares(op) => is_it(right).or_else(|| is_it(left)),
            Expr::InList { list, .. } => list.iter().find_map(is_it),
            Expr::Between { low, high, .. } => is_it(low).or_else(|| is_it(high)),
            Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } => is_it(pattern),
            _ => None,
        };
        found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    });
    match found {
        ControlFlow::Break(ident) => Some(ident),
        ControlFlow::Continue(()) => None,
    }
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// A column as it has to be written in SQL.
pub fn as_written(name: &str) -> String {
    if name == "end" { "\"end\"".to_owned() } else { name.to_owned() }
}

/// What to write in the place of functions that there are not.
pub(super) fn otherwise(function: &str) -> Option<&'static str> {
    Some(match function.to_ascii_lowercase().as_str() {
        "date_diff" | "datediff" | "timestampdiff" => {
            "write date_part('epoch', later - earlier) for the seconds between two times"
        }
        "date_add" | "dateadd" => "write start + interval '1 hour'",
        "date_sub" | "datesub" => "write start - interval '1 hour'",
        "strptime" | "date_parse" => "write to_timestamp(text, '%Y-%m-%d %H:%M:%S')",
        "approx_top_k" | "topk" => "group by the value, order by count(*) desc and limit N",
        "pg_size_pretty" | "format_bytes" | "formatreadablesize" => {
            "write round(sum(bytes) / 1e9, 1) for gigabytes"
        }
        "mode" => "group by the value, order by count(*) desc and limit 1",
        "format" | "printf" => "write concat(…), or a || b",
        "inet" | "inet_aton" | "inet_contains" => "addresses are text: write ip_in(srcaddr, '10.0.0.0/8')",
        "host" | "network" | "netmask" => "write ip_prefix(srcaddr, 24) for an address's network",
        "json_extract" | "json_extract_string" | "json_value" => "write extra['name'] for a field of extra",
        "quantile" | "percentile" => {
            "write approx_percentile_cont(bytes, 0.95) or quantile_cont(bytes, 0.95)"
        }
        _ => return None,
    })
}

/// The table that others call so.
pub(super) fn other_table(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "vpc_flow_logs" | "vpc_flow_log" | "vpcflowlogs" | "vpc_flows" | "vpc_logs" | "flows"
        | "flowlogs" => "flow_logs",
        "elb_logs" | "alb" | "alb_access_logs" | "elb" => "alb_logs",
        "transit_gateway_flow_logs" | "tgw_logs" => "tgw_flow_logs",
        "rejects" | "attribution" => "reject_attribution",
        _ => return None,
    })
}

/// Columns by the names that AWS's own Athena table definitions and older tools give them (documented).
fn other_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "sourceaddress" | "src_addr" | "src_ip" | "source_ip" | "src" => "srcaddr",
        "destinationaddress" | "dst_addr" | "dst_ip" | "dest_ip" | "destination_ip" | "dst" => "dstaddr",
        "sourceport" | "src_port" => "srcport",
        "destinationport" | "dst_port" | "dest_port" => "dstport",
        "numpackets" => "packets",
        "numbytes" => "bytes",
        "starttime" | "start_time" => "start",
        "endtime" | "end_time" => "end",
        "interfaceid" | "eni" | "eni_id" => "interface_id",
        "account" | "accountid" => "account_id",
        "logstatus" => "log_status",
        "day" | "date" => "event_date",
        _ => return None,
    })
}
