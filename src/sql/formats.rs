//! Which fields the records of a file have: what tells a field that a log lacks from one that a record shows as `-`.
//!
//! A query over raw files learns it as it reads them, and the ledger of a store keeps it for each file. It is known only of files
//! whose rows all have the same fields, and of none that was stored before the ledger kept it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use hashbrown::HashMap;

use super::raw;
use super::stored::StoredTable;
use super::unread::Unread;
use crate::attribute::name_hash;
use crate::format::LogKind;

/// The fields of the files of one kind of log.
#[derive(Clone, Default)]
pub struct Formats {
    kind: Option<LogKind>,
    /// For each field list which of the kind's columns it has.
    lists: Vec<Vec<bool>>,
    numbers: HashMap<String, u32>,
    /// By the hash of the path: a store may have files by the million, and paths are long.
    files: HashMap<u64, u32>,
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Formats")
            .field("lists", &self.lists.len())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Formats {
    /// Nothing is known yet of files of this kind.
    pub fn of(kind: LogKind) -> Formats {
        Formats { kind: Some(kind), ..Formats::default() }
    }

    /// All rows of a file have these fields: names separated by spaces, with hyphens or underscores.
    pub fn add(&mut self, file: &str, fields: &str) {
        let Some(kind) = self.kind else { return };
        let number = match self.numbers.get(fields) {
            Some(number) => *number,
            None => {
                let mut has = vec![false; kind.columns().len()];
                for name in fields.split(' ') {
                    let column = kind.column_index(&name.replace('-', "_"));
                    column.and_then(|at| has.get_mut(at)).into_iter().for_each(|has| *has = true);
                }
                let number = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
                self.lists.push(has);
                self.numbers.insert(fields.to_owned(), number);
                number
            }
        };
        self.files.insert(name_hash(file), number);
    }

    /// Whether the records of a file have all of these columns, by the [hash](name_hash) of its path; `None` where that is not known.
    pub fn has(&self, file: u64, columns: &[&str]) -> Option<bool> {
        let list = self.lists.get(*self.files.get(&file)? as usize)?;
        let kind = self.kind?;
        let has = |column: &&str| list.get(kind.column_index(column)?).copied();
        columns.iter().map(has).try_fold(true, |all, has| Some(all & has?))
    }
}

/// What knows the files of a table.
#[async_trait]
pub trait KnowsFiles: fmt::Debug + Send + Sync {
    /// The fields of their records, as far as they are known by now.
    async fn formats(&self) -> Result<Formats>;

    /// What of them could not be read, as far as it has been tried by now.
    async fn unread(&self) -> Result<Vec<Unread>>;
}

/// What knows the files of a table; `None` for tables that are not made of files of logs.
pub fn knower(table: &dyn TableProvider) -> Option<Arc<dyn KnowsFiles>> {
    let table = table as &dyn Any;
    let stored = table.downcast_ref::<StoredTable>().and_then(|stored| stored.known_by.clone());
    stored.or_else(|| raw::knows_files(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_by_their_names_in_any_order_and_of_no_other_file() {
        let mut formats = Formats::of(LogKind::Flow);
        formats.add("/in/a.log", "srcaddr reject-reason new-field");
        formats.add("/in/b.log", "dstaddr srcaddr");
        formats.add("/in/c.log", "reject_reason srcaddr");
        let has = |file: &str, column| formats.has(name_hash(file), &[column]);
        assert_eq!(has("/in/a.log", "reject_reason"), Some(true));
        assert_eq!(has("/in/b.log", "reject_reason"), Some(false));
        assert_eq!(has("/in/c.log", "reject_reason"), Some(true));
        assert_eq!(has("/in/b.log", "srcaddr"), Some(true));
        assert_eq!(has("/in/d.log", "srcaddr"), None);
        assert_eq!(has("/in/a.log", "no_such_column"), None);
        let both = |file: &str| formats.has(name_hash(file), &["srcaddr", "dstaddr"]);
        assert_eq!((both("/in/a.log"), both("/in/b.log")), (Some(false), Some(true)));
    }
}
