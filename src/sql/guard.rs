//! Which statements may run: reading always, changing what lies in this run's memory always, writing files only when
//! the user allowed it.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement, WriteOp};

/// A statement that may not run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Forbidden {
    /// It would write files.
    #[error(
        "{statement} writes files, and this session is read-only (start it with --allow-write to permit it)"
    )]
    Writes {
        /// Its first words.
        statement: &'static str,
    },
    /// It would add rows to a table.
    #[error(
        "{statement} is not permitted: this session is read-only (start it with --allow-write to permit it)"
    )]
    Changes {
        /// Its first words.
        statement: &'static str,
    },
    /// It has no meaning here.
    #[error(
        "{statement} is not supported (views and tables of this run can be created and dropped, nothing else)"
    )]
    Unsupported {
        /// Its first words.
        statement: &'static str,
    },
}

/// Says no to a plan that holds a statement which may not run.
pub fn check(plan: &LogicalPlan, allow_write: bool) -> Result<(), Forbidden> {
    let mut refused = None;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        refused = refusal(node, allow_write);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    refused.map_or(Ok(()), Err)
}

fn refusal(plan: &LogicalPlan, allow_write: bool) -> Option<Forbidden> {
    let writes = |statement| (!allow_write).then_some(Forbidden::Writes { statement });
    let unsupported = |statement| Some(Forbidden::Unsupported { statement });
    match plan {
        LogicalPlan::Copy(_) => writes("COPY TO"),
        LogicalPlan::Dml(change) => match change.op {
            WriteOp::Delete => unsupported("DELETE"),
            WriteOp::Update => unsupported("UPDATE"),
            WriteOp::Truncate => unsupported("TRUNCATE"),
            WriteOp::Insert(_) | WriteOp::Ctas => {
                (!allow_write).then_some(Forbidden::Changes { statement: "INSERT" })
            }
            // MERGE, and what may come.
            _ => unsupported("MERGE"),
        },
        LogicalPlan::Ddl(ddl) => match ddl {
            DdlStatement::CreateMemoryTable(_)
            | DdlStatement::CreateView(_)
            | DdlStatement::DropTable(_)
            | DdlStatement::DropView(_) => None,
            DdlStatement::CreateExternalTable(_) => writes("CREATE EXTERNAL TABLE"),
            DdlStatement::CreateCatalogSchema(_) => unsupported("CREATE SCHEMA"),
            DdlStatement::CreateCatalog(_) => unsupported("CREATE DATABASE"),
            DdlStatement::CreateIndex(_) => unsupported("CREATE INDEX"),
            DdlStatement::DropCatalogSchema(_) => unsupported("DROP SCHEMA"),
            DdlStatement::CreateFunction(_) => unsupported("CREATE FUNCTION"),
            DdlStatement::DropFunction(_) => unsupported("DROP FUNCTION"),
        },
        LogicalPlan::Statement(statement) => match statement {
            Statement::TransactionStart(_) => unsupported("BEGIN"),
            Statement::TransactionEnd(_) => unsupported("COMMIT"),
            _ => None,
        },
        _ => None,
    }
}
