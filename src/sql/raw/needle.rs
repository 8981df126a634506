//! A text that every row which passes a filter must hold as it is, so that lines without it need not be cut.
//!
//! Only what is found cheaply and seldom is worth looking for. The filter is still evaluated on what is left.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::split_conjunction;

use crate::format::{ColumnType, LogKind};

/// Shorter texts are found too often to be worth a search.
const SHORTEST: usize = 6;

/// The text to look for in lines of this kind, if the filter gives one.
pub fn needle(kind: LogKind, filter: &Arc<dyn PhysicalExpr>) -> Option<Vec<u8>> {
    let candidates = split_conjunction(filter).into_iter().filter_map(|part| candidate(kind, part));
    // The longest is the rarest, more often than not, and the fastest to look for.
    candidates.max_by_key(|text| text.len()).map(String::into_bytes)
}

fn candidate(kind: LogKind, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let equality = expr.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::Eq)?;
    let (left, right) = (equality.left(), equality.right());
    let (column, literal) = match (left.downcast_ref::<Column>(), right.downcast_ref::<Column>()) {
        (Some(column), None) => (column, right.downcast_ref::<Literal>()?),
        (None, Some(column)) => (column, left.downcast_ref::<Literal>()?),
        _ => return None,
    };
    let text = ScalarValue::try_as_str(literal.value()).flatten()?;
    let found = kind.columns().iter().find(|known| known.name == column.name())?;
    (is_in_the_line(kind, found.name, found.ty) && is_worth_it(text)).then(|| text.to_owned())
}

/// Whether a value of the column stands in its line byte by byte.
fn is_in_the_line(kind: LogKind, name: &str, ty: ColumnType) -> bool {
    match (kind, ty) {
        // Tags are decoded.
        (_, ColumnType::PercentText) => false,
        (LogKind::Flow | LogKind::TransitGateway, ColumnType::Text | ColumnType::Address) => true,
        // The texts of load balancers are unescaped, and some come from the object's key.
        (_, ColumnType::Address) => name != "ip_address",
        _ => false,
    }
}

fn is_worth_it(text: &str) -> bool {
    // Most lines hold these. A backslash may stand for a byte that is no UTF-8.
    let common = matches!(text, "ACCEPT" | "OK" | "NODATA" | "ingress" | "egress");
    !common && text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::physical_expr::expressions::{binary, col, lit};

    fn equals(name: &str, text: &str) -> Arc<dyn PhysicalExpr> {
        let schema = crate::sql::schema::log_table(LogKind::Flow);
        let text = lit(ScalarValue::Utf8View(Some(text.to_owned())));
        binary(col(name, &schema).unwrap(), Operator::Eq, text, &schema).unwrap()
    }

    fn join(
        left: Arc<dyn PhysicalExpr>,
        op: Operator,
        right: Arc<dyn PhysicalExpr>,
    ) -> Arc<dyn PhysicalExpr> {
        let schema = crate::sql::schema::log_table(LogKind::Flow);
        binary(left, op, right, &schema).unwrap()
    }

    fn of(filter: Arc<dyn PhysicalExpr>) -> Option<String> {
        needle(LogKind::Flow, &filter).map(|needle| String::from_utf8(needle).unwrap())
    }

    #[test]
    fn rare_texts_of_a_conjunction_are_looked_for() {
        assert_eq!(of(equals("action", "REJECT")).as_deref(), Some("REJECT"));
        assert_eq!(of(equals("srcaddr", "198.51.100.7")).as_deref(), Some("198.51.100.7"));
        let both = join(equals("action", "REJECT"), Operator::And, equals("srcaddr", "198.51.100.7"));
        assert_eq!(of(both).as_deref(), Some("198.51.100.7"));
    }

    #[test]
    fn what_may_be_missing_from_a_matching_line_is_not() {
        let either = join(equals("action", "REJECT"), Operator::Or, equals("srcaddr", "198.51.100.7"));
        assert_eq!(of(either), None);
        assert_eq!(of(equals("instance_tag", "web-server")), None);
        assert_eq!(of(equals("account_id", "a\\xFFbcdef")), None);
        assert_eq!(of(equals("source_file", "dump/file.log.gz")), None);
    }

    #[test]
    fn what_most_lines_hold_is_not_worth_a_search() {
        for (name, text) in [("action", "ACCEPT"), ("log_status", "OK"), ("srcaddr", "::1")] {
            assert_eq!(of(equals(name, text)), None, "{text}");
        }
    }
}
