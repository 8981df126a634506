//! Which fields a flow log's lines have, and in which order.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::format::{LogKind, flow, tgw};

/// The order of fields in a flow log's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// VPC or Transit Gateway.
    pub kind: LogKind,
    /// The header's names, as written.
    pub names: Vec<String>,
    /// For each field of a line: the column, or `None` for an unknown name.
    pub columns: Vec<Option<usize>>,
}

impl Layout {
    /// Binds field names (hyphens or underscores) to columns.
    ///
    /// The kind is Transit Gateway if any name is one of its own. A name that comes twice is bound the first time.
    pub fn bind(names: &[impl AsRef<str>]) -> Layout {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        let kind = if names.iter().any(|name| is_transit_gateway_name(name)) {
            LogKind::TransitGateway
        } else {
            LogKind::Flow
        };
        let mut columns: Vec<Option<usize>> = Vec::with_capacity(names.len());
        for name in &names {
            let column = kind.column_index(&name.replace('-', "_"));
            columns.push(column.filter(|_| !columns.contains(&column)));
        }
        Layout { kind, names, columns }
    }

    /// The default format of VPC flow logs: the first fourteen fields.
    pub fn flow_default() -> Layout {
        Layout::bind(&flow::COLUMNS.iter().take(14).map(|column| column.log_name).collect::<Vec<_>>())
    }

    /// The default format of Transit Gateway flow logs: all thirty-six fields.
    pub fn transit_gateway_default() -> Layout {
        Layout::bind(&tgw::COLUMNS.iter().map(|column| column.log_name).collect::<Vec<_>>())
    }

    /// The columns that this layout carries, in table order.
    pub fn carried(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.columns.iter().flatten().copied().collect();
        columns.sort_unstable();
        columns
    }
}

/// The field list of a file's rows, as long as all of them have the same: a header may come again and differ, lines without one
/// may be of several given lists, and a line may break off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FieldList {
    /// No row yet.
    #[default]
    Unread,
    /// All rows so far have this one.
    Same(Arc<str>),
    /// There are several.
    Differing,
}

impl FieldList {
    /// Some row has this list.
    pub fn add(&mut self, list: &Arc<str>) {
        match self {
            FieldList::Unread => *self = FieldList::Same(Arc::clone(list)),
            FieldList::Same(known) if known == list => {}
            _ => *self = FieldList::Differing,
        }
    }

    /// Adds what another reader has found in the same file.
    pub fn merge(&mut self, other: &FieldList) {
        match other {
            FieldList::Unread => {}
            FieldList::Same(list) => self.add(list),
            FieldList::Differing => *self = FieldList::Differing,
        }
    }

    /// The list of all rows, where there is one.
    pub fn get(&self) -> Option<&Arc<str>> {
        match self {
            FieldList::Same(list) => Some(list),
            FieldList::Unread | FieldList::Differing => None,
        }
    }
}

fn is_transit_gateway_name(name: &str) -> bool {
    name.starts_with("tgw-")
        || name.starts_with("tgw_")
        || name.starts_with("packets-lost-")
        || name == "resource-type"
}

/// Every field name that a header of either kind may hold.
static NAMES: LazyLock<HashMap<&'static [u8], ()>> = LazyLock::new(|| {
    flow::COLUMNS.iter().chain(tgw::COLUMNS).map(|column| (column.log_name.as_bytes(), ())).collect()
});

/// Whether this is the name of a flow log field, as a header writes it.
pub fn is_field_name(token: &[u8]) -> bool {
    NAMES.contains_key(token)
}
