//! `count(distinct x)` beside other aggregations, as two groupings: first by the group and x, then by the group alone.
//!
//! The engine's own rule does so where all else is `sum`, `min` or `max` without a filter. Elsewhere it keeps a set for each
//! group, each of which takes some 16 KiB as soon as it holds one text: a million groups take all the memory there is, and a
//! set cannot be spilled, where a grouping can.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, LogicalPlan, LogicalPlanBuilder, col, lit, when,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The value whose distinct ones are counted, in the first grouping.
const VALUE: &str = "__distinct_value";

/// The rule.
#[derive(Debug)]
pub struct DistinctByGroups;

impl OptimizerRule for DistinctByGroups {
    fn name(&self) -> &str {
        "distinct_by_groups"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match two_groupings(aggregate)? {
            Some(rewritten) => Ok(Transformed::yes(rewritten)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// What becomes of an aggregation in the two groupings.
enum Part {
    /// Counts the values of the first grouping.
    Distinct,
    /// Is calculated in the first grouping under this name; this puts the parts together.
    Parts { inner: Expr, outer: Arc<AggregateUDF>, counts: bool },
}

fn two_groupings(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Aggregate { input, group_expr, aggr_expr, schema, .. } = aggregate;
    if group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Ok(None);
    }
    let groups = group_expr.len();
    let mut value: Option<Expr> = None;
    let mut parts = Vec::with_capacity(aggr_expr.len());
    for (place, expr) in aggr_expr.iter().enumerate() {
        // The name is the schema's.
        let expr = if let Expr::Alias(alias) = expr { alias.expr.as_ref() } else { expr };
        let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return Ok(None) };
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } = params;
        if !order_by.is_empty() || null_treatment.is_some() {
            return Ok(None);
        }
        if *distinct {
            let ([arg], "count") = (args.as_slice(), func.name()) else { return Ok(None) };
            let counted = match filter {
                Some(filter) => when(filter.as_ref().clone(), arg.clone()).end()?,
                None => arg.clone(),
            };
            if value.as_ref().is_some_and(|value| *value != counted) {
                return Ok(None);
            }
            value = Some(counted);
            parts.push(Part::Distinct);
            continue;
        }
        let field = schema.field(groups.saturating_add(place));
        let (outer, counts) = match func.name() {
            "count" => (sum_udaf(), true),
            // Of other types the sum of sums is of another type than the sum.
            "sum" if matches!(field.data_type(), DataType::Int64 | DataType::Float64) => {
                (Arc::clone(func), false)
            }
            "min" | "max" => (Arc::clone(func), false),
            _ => return Ok(None),
        };
        parts.push(Part::Parts { inner: expr.clone().alias(part(place)), outer, counts });
    }
    let Some(value) = value else { return Ok(None) };

    let mut inner_groups = Vec::with_capacity(groups.saturating_add(1));
    let mut outer_groups = Vec::with_capacity(groups);
    for (place, expr) in group_expr.iter().enumerate() {
        if let Expr::Column(_) = expr {
            inner_groups.push(expr.clone());
            outer_groups.push(expr.clone());
        } else {
            let name = format!("__distinct_group_{place}");
            inner_groups.push(expr.clone().alias(&name));
            outer_groups.push(col(name));
        }
    }
    inner_groups.push(value.alias(VALUE));
    let inner_parts = parts.iter().filter_map(|part| match part {
        Part::Distinct => None,
        Part::Parts { inner, .. } => Some(inner.clone()),
    });
    let inner = Aggregate::try_new(Arc::clone(input), inner_groups, inner_parts.collect())?;

    let call = |func: &Arc<AggregateUDF>, name: String| {
        let args = vec![col(name)];
        Expr::AggregateFunction(AggregateFunction::new_udf(Arc::clone(func), args, false, None, vec![], None))
    };
    // Several that count the same are one.
    let mut outer_parts: Vec<Expr> = Vec::new();
    let mut places = Vec::with_capacity(parts.len());
    for (place, of) in parts.iter().enumerate() {
        let expr = match of {
            Part::Distinct => call(&count_udaf(), VALUE.to_owned()),
            Part::Parts { outer, .. } => call(outer, part(place)),
        };
        let known = outer_parts.iter().position(|known| *known == expr);
        places.push(known.unwrap_or(outer_parts.len()));
        if known.is_none() {
            outer_parts.push(expr);
        }
    }
    let outer = Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(inner)), outer_groups, outer_parts)?;

    let given = |place: usize| {
        let (qualifier, field) = outer.schema.qualified_field(place);
        Expr::Column(Column::new(qualifier.cloned(), field.name()))
    };
    let mut selected: Vec<Expr> = (0..groups).map(given).collect();
    for (of, place) in parts.iter().zip(places) {
        let value = given(groups.saturating_add(place));
        selected.push(match of {
            // Of no row at all the count is 0.
            Part::Parts { counts: true, .. } => coalesce(vec![value, lit(0i64)]),
            _ => value,
        });
    }
    let named = selected.into_iter().enumerate().map(|(place, expr)| {
        let (qualifier, field) = schema.qualified_field(place);
        expr.alias_qualified(qualifier.cloned(), field.name())
    });
    let named: Vec<Expr> = named.collect();
    Ok(Some(LogicalPlanBuilder::from(LogicalPlan::Aggregate(outer)).project(named)?.build()?))
}

fn part(place: usize) -> String {
    format!("__distinct_part_{place}")
}

#[cfg(test)]
mod tests {
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn answers(context: &SessionContext, sql: &str) -> String {
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
    }

    /// The same table in a session with the rule and in one without.
    async fn sessions() -> (SessionContext, SessionContext) {
        let with = SessionStateBuilder::new()
            .with_default_features()
            .with_optimizer_rule(Arc::new(DistinctByGroups))
            .build();
        let sessions = (SessionContext::new_with_state(with), SessionContext::new());
        for context in [&sessions.0, &sessions.1] {
            let rows = "create table t(g text, x text, n bigint, a text) as values \
                        ('a', 'x', 1, 'R'), ('a', 'x', 2, 'A'), ('a', 'y', null, 'R'), ('a', null, 4, 'R'), \
                        (null, 'x', 5, 'A'), (null, 'z', 6, null), ('b', null, 7, 'A')";
            context.sql(rows).await.unwrap().collect().await.unwrap();
        }
        sessions
    }

    #[tokio::test]
    async fn it_counts_what_the_engine_counts() {
        let (with, without) = sessions().await;
        for selected in [
            "g, count(distinct x), count(*) from t group by g order by 1",
            "g, count(distinct x), count(*) filter (where a = 'R') r, sum(n), min(n), max(a) from t group by g order by 1",
            "upper(g) u, count(distinct x), count(n) from t group by 1 having count(distinct x) > 1 order by 1",
            "count(distinct x), count(*) from t",
            "count(distinct x), count(*), sum(n) from t where n > 100",
            "count(distinct x) filter (where a = 'R') d, count(*) from t",
            "g, x, count(distinct x), count(*) from t group by g, x order by 1, 2",
            "g, count(distinct x) * 10 + count(*) as m, count(distinct x) d from t group by g order by d, g",
        ] {
            let sql = format!("select {selected}");
            let plan = answers(&with, &format!("explain format indent {sql}")).await;
            assert!(plan.contains(VALUE), "{sql}\n{plan}");
            assert_eq!(answers(&with, &sql).await, answers(&without, &sql).await, "{sql}");
        }
        // By hand: of a there are x, y and four rows, of which three are rejected.
        let of_a =
            "select count(distinct x) d, count(*) n, count(*) filter (where a = 'R') r from t where g = 'a'";
        assert!(answers(&with, of_a).await.contains("| 2 | 4 | 3 |"));
    }

    #[tokio::test]
    async fn what_it_cannot_put_together_stays() {
        let (with, without) = sessions().await;
        for selected in [
            "count(distinct x), count(distinct a), count(*) from t",
            "count(distinct x), avg(n) from t",
            "sum(distinct n), count(*) from t",
            "g, count(distinct x), count(*) from t group by rollup(g) order by 1, 2",
            "array_agg(distinct x order by x), count(*) from t",
        ] {
            let sql = format!("select {selected}");
            let plan = answers(&with, &format!("explain format indent {sql}")).await;
            assert!(!plan.contains(VALUE), "{sql}\n{plan}");
            assert_eq!(answers(&with, &sql).await, answers(&without, &sql).await, "{sql}");
        }
    }
}
