//! Ranges of text that an address must lie in to be inside a prefix, for skipping files and row groups.
//!
//! They are necessary and not sufficient, and comparing texts costs more than the test itself, so they are for
//! statistics alone: a scan puts [`pruning_filter`] of its filters where minima and maxima are looked at, and
//! evaluates the filters themselves on rows.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, and, lit};

use crate::net::Prefix;

use super::matcher::common_text;

/// For `cidr_contains('10.12.0.0/16', col)` and `ip_in(col, '10.12.0.0/16')` with an IPv4 literal: what `col` must
/// fulfil as text, here `col >= '10.12.' AND col < '10.12/'`. `None` where nothing helps.
pub fn pruning_hint(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let (cidr, addr) = match (call.name(), call.args.as_slice()) {
        ("cidr_contains", [cidr, addr]) | ("ip_in", [addr, cidr]) => (cidr, addr),
        _ => return None,
    };
    let (Expr::Literal(cidr, _), Expr::Column(_)) = (cidr, addr) else { return None };
    let prefix: Prefix = ScalarValue::try_as_str(cidr).flatten()?.trim().parse().ok()?;
    let low = common_text(&prefix);
    let high = successor(&low)?;
    Some(match prefix.prefix_len() {
        32 => addr.clone().eq(lit(low)),
        _ => and(addr.clone().gt_eq(lit(low)), addr.clone().lt(lit(high))),
    })
}

/// The filter with its hints added beside the calls they stand for: for pruning only. `NOT` is left alone, under
/// which a necessary condition would exclude too much.
pub fn pruning_filter(expr: &Expr) -> Expr {
    let rewritten = expr.clone().transform_down(|part| {
        Ok(match &part {
            Expr::BinaryExpr(binary)
                if matches!(
                    binary.op,
                    datafusion::logical_expr::Operator::And | datafusion::logical_expr::Operator::Or
                ) =>
            {
                Transformed::no(part)
            }
            _ => match pruning_hint(&part) {
                Some(hint) => Transformed::new(
                    and(hint, part),
                    true,
                    datafusion::common::tree_node::TreeNodeRecursion::Jump,
                ),
                None => Transformed::new(part, false, datafusion::common::tree_node::TreeNodeRecursion::Jump),
            },
        })
    });
    rewritten.map_or_else(|_| expr.clone(), |rewritten| rewritten.data)
}

/// The least text above every text that begins with `text`; `None` for the empty one. `text` is digits and dots.
fn successor(text: &str) -> Option<String> {
    let mut chars: Vec<char> = text.chars().collect();
    let last = chars.pop()?;
    chars.push(char::from_u32(u32::from(last).checked_add(1)?)?);
    Some(chars.into_iter().collect())
}
