//! Fields that logs were written without: in their records the columns are null, and conditions on them hold nowhere.

use std::collections::BTreeMap;

use super::errors::not_carried;
use crate::format::LogKind;

/// How much of what a statement has read comes from logs without some columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// What is counted: `records` or `files`.
    pub unit: &'static str,
    columns: BTreeMap<String, Without>,
}

/// How much comes from logs without a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Without {
    /// So much.
    pub without: u64,
    /// Of so much.
    pub total: u64,
}

impl Lacking {
    /// Nothing yet; what is going to be counted are these.
    pub fn new(unit: &'static str) -> Lacking {
        Lacking { unit, columns: BTreeMap::new() }
    }

    /// Adds a column.
    pub fn add(&mut self, column: &str, without: u64, total: u64) {
        self.columns.insert(column.to_owned(), Without { without, total });
    }

    /// What to say of the columns that all lack, a line each.
    pub fn everywhere(&self, kind: LogKind) -> impl Iterator<Item = String> + '_ {
        let columns =
            self.columns.iter().filter(|(_, count)| count.total > 0 && count.without == count.total);
        columns.filter_map(move |(column, _)| not_carried(kind, column))
    }

    /// The fields that some lack and others have, by their names in the logs; of the columns for which `is_meant`.
    pub fn partly(&self, kind: LogKind, is_meant: impl Fn(&str) -> bool) -> Vec<(&'static str, Without)> {
        let some = self.columns.iter().filter(|(_, count)| (1..count.total).contains(&count.without));
        let fields = some.filter(|(column, _)| is_meant(column)).filter_map(|(column, count)| {
            Some((kind.columns().get(kind.column_index(column)?)?.log_name, *count))
        });
        fields.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_lack_is_told_from_what_some_lack() {
        let mut lacking = Lacking::new("records");
        for (column, without, total) in
            [("action", 900, 1_800), ("flow_direction", 1_800, 1_800), ("bytes", 0, 1_800), ("start", 0, 0)]
        {
            lacking.add(column, without, total);
        }
        let some = Without { without: 900, total: 1_800 };
        assert_eq!(lacking.partly(LogKind::Flow, |_| true), [("action", some)]);
        assert_eq!(lacking.partly(LogKind::Flow, |column| column != "action"), []);
        let everywhere: Vec<String> = lacking.everywhere(LogKind::Flow).collect();
        assert_eq!(everywhere.len(), 1);
        assert!(everywhere.iter().all(|text| text.contains("`flow-direction`")), "{everywhere:?}");
    }
}
