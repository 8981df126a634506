//! What becomes of a statement between parsing and planning: forms that other engines know, written as ours knows them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectFlavor, SelectItem, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

/// Makes `from t` mean `select * from t`.
pub fn complete(statement: &mut Statement) {
    struct Complete;
    impl VisitorMut for Complete {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) {
                select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
            }
            ControlFlow::Continue(())
        }
    }
    visit(statement, &mut Complete);
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
