//! The dialect of SQL: DataFusion's default, with `is distinct from` binding as tightly as it does in standard SQL.
//!
//! The parser takes everything behind `x is distinct from` for its right side, so that `x is distinct from y and z` would
//! mean `x is distinct from (y and z)` and give a wrong answer without a word.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// The generic dialect but for the right side of `is [not] distinct from`.
#[derive(Debug)]
pub struct FlowqDialect;

/// Answers as the generic dialect does.
macro_rules! as_generic {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            GenericDialect.$name()
        })*
    };
}

impl Dialect for FlowqDialect {
    fn dialect(&self) -> std::any::TypeId {
        // Where the parser asks for the dialect by its type, this is the generic one.
        GenericDialect.dialect()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let make = if parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            Expr::IsDistinctFrom
        } else if parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]) {
            Expr::IsNotDistinctFrom
        } else {
            return None;
        };
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| make(Box::new(expr.clone()), Box::new(right))))
    }

    /// `select from t` is no query of no columns but one without what it was to select.
    fn supports_empty_projections(&self) -> bool {
        false
    }

    as_generic! {
        supports_unicode_string_literal
        supports_partition_by_after_order_by
        supports_array_join_syntax
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_connect_by
        supports_match_recognize
        supports_pipe_operator
        supports_start_transaction_modifier
        supports_window_function_null_treatment_arg
        supports_dictionary_syntax
        supports_window_clause_named_window_reference
        supports_parenthesized_set_variables
        supports_select_wildcard_except
        support_map_literal_syntax
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_create_view_comment_syntax
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_limit_comma
        supports_update_order_by
        supports_from_first_select
        supports_projection_trailing_commas
        supports_asc_desc_in_column_definition
        supports_try_convert
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_assignment_operator
        supports_struct_literal
        supports_nested_comments
        supports_multiline_comment_hints
        supports_user_host_grantee
        supports_string_escape_constant
        supports_array_typedef_with_brackets
        supports_match_against
        supports_set_names
        supports_comma_separated_set_assignments
        supports_filter_during_aggregation
        supports_select_wildcard_exclude
        supports_data_type_signed_suffix
        supports_interval_options
        supports_quote_delimited_string
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_optimize_table
        supports_install
        supports_detach
        supports_prewhere
        supports_with_fill
        supports_limit_by
        supports_interpolate
        supports_settings
        supports_select_format
        supports_comment_optimizer_hint
        supports_constraint_keyword_without_name
        supports_key_column_option
        supports_comma_separated_trim
        supports_cte_without_as
        supports_select_item_multi_column_alias
        supports_xml_expressions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(dialect: &dyn Dialect, sql: &str) -> Expr {
        Parser::new(dialect).try_with_sql(sql).unwrap().parse_expr().unwrap()
    }

    #[test]
    fn is_distinct_from_binds_before_and_or_and_not() {
        for (written, meant) in [
            ("a is distinct from b and c", "(a is distinct from b) and c"),
            ("a is not distinct from b or c", "(a is not distinct from b) or c"),
            ("p and a is distinct from b or c", "(p and (a is distinct from b)) or c"),
            ("not a is not distinct from b and c", "(not (a is not distinct from b)) and c"),
            ("a is distinct from b + 1 and c", "(a is distinct from (b + 1)) and c"),
        ] {
            let without = |sql: &str| format!("{:?}", bare(parsed(&FlowqDialect, sql)));
            assert_eq!(without(written), without(meant), "{written}");
        }
    }

    /// The expression with its parentheses taken off, so that only the tree counts.
    fn bare(expr: Expr) -> Expr {
        let boxed = |expr: Box<Expr>| Box::new(bare(*expr));
        match expr {
            Expr::Nested(inner) => bare(*inner),
            Expr::BinaryOp { left, op, right } => {
                Expr::BinaryOp { left: boxed(left), op, right: boxed(right) }
            }
            Expr::UnaryOp { op, expr } => Expr::UnaryOp { op, expr: boxed(expr) },
            Expr::IsDistinctFrom(left, right) => Expr::IsDistinctFrom(boxed(left), boxed(right)),
            Expr::IsNotDistinctFrom(left, right) => Expr::IsNotDistinctFrom(boxed(left), boxed(right)),
            other => plain(other),
        }
    }

    /// A name without its place in the text.
    fn plain(expr: Expr) -> Expr {
        match expr {
            Expr::Identifier(name) => {
                Expr::Identifier(datafusion::sql::sqlparser::ast::Ident::new(name.value))
            }
            Expr::Value(value) => Expr::Value(value.value.with_empty_span()),
            other => other,
        }
    }

    #[test]
    fn all_else_is_the_generic_dialect() {
        for sql in [
            "extra['a']",
            "a is null and b is not true",
            "[1, 2, 3]",
            "map {'a': 1}",
            "{'a': 1}",
            "count(*) filter (where a > 1)",
            "sum(a) over (partition by b order by c rows between unbounded preceding and current row)",
            "interval '1' day + time",
            "extract(hour from start)",
            "a << 2",
            "try_cast(a as int)",
            "trim(both ' ' from a)",
            "x between 1 and 2 and y",
        ] {
            assert_eq!(parsed(&FlowqDialect, sql), parsed(&GenericDialect, sql), "{sql}");
        }
    }
}
