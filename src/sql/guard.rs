//! Which statements may run: reading always, changing what lies in this run's memory always, writing files only when
//! the user allowed it. The tables of the logs are changed by other commands.

use datafusion::common::TableReference;
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
    /// It would add rows to a table of files.
    #[error(
        "{statement} is not permitted: this session is read-only (start it with --allow-write to permit it)"
    )]
    Changes {
        /// Its first words.
        statement: &'static str,
    },
    /// It would change a table of the logs.
    #[error(
        "{table} is a table of the logs: no {statement} (flowq ingest adds rows, flowq forget deletes old ones; \
         `create table` makes a table of this run, which can be changed)"
    )]
    Logs {
        /// Its first words.
        statement: &'static str,
        /// The table.
        table: String,
    },
    /// Its name is a log's.
    #[error("{table} is a table of the logs (choose another name)")]
    Taken {
        /// The table.
        table: String,
    },
    /// The engine would change other rows than those that are meant.
    #[error(
        "{statement} is not supported (`create or replace table {table} as select …` with the rows as they are to be)"
    )]
    Rows {
        /// Its first words.
        statement: &'static str,
        /// The table.
        table: String,
    },
    /// It has no meaning here.
    #[error(
        "{statement} is not supported (views and tables of this run can be created, filled and dropped, nothing else)"
    )]
    Unsupported {
        /// Its first words.
        statement: &'static str,
    },
}

/// Whose a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It holds the logs, or what is derived from them.
    Logs,
    /// It lies in the memory of the run.
    Run,
    /// It lies in files, or is nowhere.
    Other,
}

/// Says no to a plan that holds a statement which may not run.
pub fn check(
    plan: &LogicalPlan,
    allow_write: bool,
    owner: &dyn Fn(&TableReference) -> Owner,
) -> Result<(), Forbidden> {
    let mut refused = None;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        refused = refusal(node, allow_write, owner);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    refused.map_or(Ok(()), Err)
}

fn refusal(
    plan: &LogicalPlan,
    allow_write: bool,
    owner: &dyn Fn(&TableReference) -> Owner,
) -> Option<Forbidden> {
    let writes = |statement| (!allow_write).then_some(Forbidden::Writes { statement });
    let unsupported = |statement| Some(Forbidden::Unsupported { statement });
    let of_logs = |table: &TableReference| (owner(table) == Owner::Logs).then(|| table.table().to_owned());
    let dropped =
        |statement, name: &TableReference| of_logs(name).map(|table| Forbidden::Logs { statement, table });
    let taken = |name: &TableReference| of_logs(name).map(|table| Forbidden::Taken { table });
    match plan {
        LogicalPlan::Copy(_) => writes("COPY TO"),
        LogicalPlan::Dml(change) => {
            let table = change.table_name.table().to_owned();
            // The engine deletes and updates by what its optimizer has left of the condition: all rows where that is nothing.
            let (statement, inserts) = match change.op {
                WriteOp::Insert(_) | WriteOp::Ctas => ("INSERT", true),
                WriteOp::Delete => ("DELETE", false),
                WriteOp::Update => ("UPDATE", false),
                WriteOp::Truncate => ("TRUNCATE", false),
                // MERGE, and what may come.
                _ => ("MERGE", false),
            };
            match owner(&change.table_name) {
                Owner::Logs => Some(Forbidden::Logs { statement, table }),
                _ if !inserts => Some(Forbidden::Rows { statement, table }),
                Owner::Run => None,
                Owner::Other => (!allow_write).then_some(Forbidden::Changes { statement }),
            }
        }
        LogicalPlan::Ddl(ddl) => match ddl {
            DdlStatement::CreateMemoryTable(create) => taken(&create.name),
            DdlStatement::CreateView(create) => taken(&create.name),
            DdlStatement::DropTable(drop) => dropped("DROP TABLE", &drop.name),
            DdlStatement::DropView(drop) => dropped("DROP VIEW", &drop.name),
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
