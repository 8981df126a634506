//! What becomes of a statement between parsing and planning: forms that other engines know, written as ours knows them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, Ident, Insert, LimitClause, OrderBy, OrderByKind, Query, Select, SelectFlavor, SelectItem,
    SetExpr, Statement as Sql, TableObject, Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::synonyms;

/// Makes `from t` mean `select * from t`, `fetch first 5 rows only` `limit 5`, and functions by the names of other engines
/// those of this one.
pub fn complete(statement: &mut Statement) {
    /// The texts of the columns without a name, of each selection around.
    struct Complete(Vec<Vec<Option<String>>>);
    impl VisitorMut for Complete {
        type Break = ();

        fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            // What has been rewritten is called as it was typed.
            for (item, typed) in select.projection.iter_mut().zip(self.0.pop().unwrap_or_default()) {
                match (&*item, typed) {
                    (SelectItem::UnnamedExpr(expr), Some(typed)) if expr.to_string() != typed => {
                        let alias = Ident::with_quote('"', typed);
                        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                    }
                    _ => {}
                }
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            self.0.push(select.projection.iter().map(unnamed).collect());
            if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) {
                select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            fetched(query);
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            synonyms::rewrite(expr);
            ControlFlow::Continue(())
        }
    }
    visit(statement, &mut Complete(Vec::new()));
}

/// `fetch first 5 rows only` as `limit 5`.
fn fetched(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let quantity = quantity.clone().unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
    match &mut query.limit_clause {
        None => {
            let (limit, limit_by) = (Some(quantity), Vec::new());
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset: None, limit_by });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(quantity),
        Some(_) => return,
    }
    query.fetch = None;
}

/// Gives the columns of the outermost selection that have no name the text they are written with: `sum(bytes)`. The engine's
/// own names tell of its tables and types.
pub fn name_as_written(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => match statement.as_mut() {
            Sql::Query(query) => name_query(query),
            Sql::CreateTable(create) => create.query.iter_mut().for_each(|query| name_query(query)),
            Sql::CreateView(create) if create.columns.is_empty() => name_query(&mut create.query),
            _ => {}
        },
        Statement::CopyTo(copy) => {
            if let datafusion::sql::parser::CopyToSource::Query(query) = &mut copy.source {
                name_query(query);
            }
        }
        _ => {}
    }
}

fn name_query(query: &mut Query) {
    let mut body = query.body.as_mut();
    loop {
        match body {
            SetExpr::Select(select) => {
                if select.distinct.is_some() {
                    order_by_place(&mut query.order_by, &select.projection);
                }
                select.projection.iter_mut().for_each(name_item);
                return;
            }
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            SetExpr::Query(query) => body = query.body.as_mut(),
            _ => return,
        }
    }
}

/// `select distinct lower(a) … order by lower(a)` as `order by 1`: the engine does not find the one in the other.
fn order_by_place(order_by: &mut Option<OrderBy>, items: &[SelectItem]) {
    let Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) = order_by else { return };
    let texts: Vec<Option<String>> = items.iter().map(unnamed).collect();
    for order in exprs {
        let text = Some(order.expr.to_string());
        if let Some(place) = texts.iter().position(|typed| *typed == text) {
            let number = place.saturating_add(1).to_string();
            order.expr = Expr::value(Value::Number(number, false));
        }
    }
}

/// What is selected without a name, as it is written; columns have one.
fn unnamed(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => None,
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        _ => None,
    }
}

fn name_item(item: &mut SelectItem) {
    if let (SelectItem::UnnamedExpr(expr), Some(typed)) = (&*item, unnamed(item)) {
        let alias = Ident::with_quote('"', typed);
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
}

/// The table to which a statement adds rows.
pub fn inserted_into(statement: &Statement) -> Option<String> {
    let Statement::Statement(statement) = statement else { return None };
    match statement.as_ref() {
        Sql::Insert(Insert { table: TableObject::TableName(name), .. }) => Some(name.to_string()),
        _ => None,
    }
}

/// Whether planning failed because two columns of a selection have one name.
pub fn has_repeated_names(error: &DataFusionError) -> bool {
    error.find_root().message().starts_with("Projections require unique expression names")
}

/// Gives columns whose name has come before another one, as DuckDB does: `select a, a` has a and a_1.
pub fn rename_repeated(statement: &mut Statement) {
    struct Rename;
    impl VisitorMut for Rename {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            rename(&mut select.projection);
            ControlFlow::Continue(())
        }
    }
    visit(statement, &mut Rename);
}

fn visit(statement: &mut Statement, visitor: &mut impl VisitorMut<Break = ()>) {
    match statement {
        Statement::Statement(statement) => {
            let _ = statement.visit(visitor);
        }
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        Statement::CopyTo(copy) => {
            if let datafusion::sql::parser::CopyToSource::Query(query) = &mut copy.source {
                let _ = query.visit(visitor);
            }
        }
        _ => {}
    }
}

fn rename(items: &mut [SelectItem]) {
    let names: Vec<Option<String>> = items.iter().map(name).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut given: HashSet<String> = names.iter().flatten().cloned().collect();
    let mut all = false;
    for (item, name) in items.iter_mut().zip(names) {
        let Some(name) = name else {
            all |= matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            continue;
        };
        // A column that `*` has given already, as far as can be told here.
        let again =
            all && matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
        if taken.insert(name.clone()) && !again {
            continue;
        }
        let free = (1..).map(|number| format!("{name}_{number}")).find(|name| given.insert(name.clone()));
        let alias = Ident::with_quote('"', free.unwrap_or(name));
        match item {
            SelectItem::UnnamedExpr(expr) => *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias },
            SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
            _ => {}
        }
    }
}

/// The name of a selected column, as far as the statement tells.
fn name(item: &SelectItem) -> Option<String> {
    let folded = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}
