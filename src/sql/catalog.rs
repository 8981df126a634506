//! The names a session knows: the log tables, which are opened when a query names them, and what the run itself creates.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{Result, TableReference, exec_err};
use datafusion::logical_expr::TableType;

use super::guard::Owner;
use super::kept;

/// Where tables come from that are opened only when they are named.
#[async_trait]
pub trait TableSource: fmt::Debug + Send + Sync + 'static {
    /// The tables there are, whether or not they hold rows.
    fn names(&self) -> Vec<String>;

    /// Opens a table; `None` where there is none of that name.
    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>>;
}

/// The only schema: tables of sources, opened once, and tables and views that the run creates.
#[derive(Debug, Default)]
pub struct Tables {
    sources: Vec<Arc<dyn TableSource>>,
    opened: RwLock<BTreeMap<String, Arc<dyn TableProvider>>>,
    created: RwLock<BTreeMap<String, Arc<dyn TableProvider>>>,
}

type Opened = BTreeMap<String, Arc<dyn TableProvider>>;

fn read<T>(lock: &RwLock<Opened>, take: impl FnOnce(&Opened) -> T) -> T {
    take(&lock.read().unwrap_or_else(PoisonError::into_inner))
}

fn write<T>(lock: &RwLock<Opened>, take: impl FnOnce(&mut Opened) -> T) -> T {
    take(&mut lock.write().unwrap_or_else(PoisonError::into_inner))
}

impl Tables {
    /// The tables of these sources; where two have one of the same name, the first counts.
    pub fn new(sources: Vec<Arc<dyn TableSource>>) -> Tables {
        Tables { sources, ..Tables::default() }
    }

    /// Forgets what has been opened, so that the next query sees the newest state of its tables.
    pub fn refresh(&self) {
        write(&self.opened, BTreeMap::clear);
    }

    /// A table of a source that has been opened.
    pub fn opened(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        read(&self.opened, |opened| opened.get(name).cloned())
    }

    /// Whose a table is.
    pub fn owner(&self, name: &TableReference) -> Owner {
        let ours = name.schema().is_none_or(|schema| schema == Catalog::SCHEMA)
            && name.catalog().is_none_or(|catalog| catalog == Catalog::NAME);
        let created = read(&self.created, |created| created.get(name.table()).cloned());
        match created {
            _ if !ours => Owner::Other,
            Some(table) if kept::is_in_memory(table.as_ref()) => Owner::Run,
            Some(_) => Owner::Other,
            None if self.is_of_a_source(name.table()) => Owner::Logs,
            None => Owner::Other,
        }
    }

    fn is_of_a_source(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.names().iter().any(|known| known == name))
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.sources.iter().flat_map(|source| source.names()).collect();
        names.extend(read(&self.created, |created| created.keys().cloned().collect::<Vec<_>>()));
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let known = read(&self.created, |created| created.get(name).cloned())
            .or_else(|| read(&self.opened, |opened| opened.get(name).cloned()));
        if known.is_some() {
            return Ok(known);
        }
        for source in &self.sources {
            if let Some(table) = source.open(name).await? {
                write(&self.opened, |opened| opened.insert(name.to_owned(), Arc::clone(&table)));
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        if read(&self.created, |created| created.contains_key(name)) {
            return Ok(self.table(name).await?.map(|table| table.table_type()));
        }
        Ok(self.is_of_a_source(name).then_some(TableType::Base))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.is_of_a_source(&name) {
            return exec_err!("{name} is a table of the logs and cannot be replaced (choose another name)");
        }
        Ok(write(&self.created, |created| created.insert(name, table)))
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if self.is_of_a_source(name) {
            return exec_err!("{name} is a table of the logs and cannot be dropped");
        }
        Ok(write(&self.created, |created| created.remove(name)))
    }

    fn table_exist(&self, name: &str) -> bool {
        read(&self.created, |created| created.contains_key(name)) || self.is_of_a_source(name)
    }
}

/// The catalogue with its one schema.
#[derive(Debug)]
pub struct Catalog {
    tables: Arc<Tables>,
}

impl Catalog {
    /// The name of the catalogue in full table names.
    pub const NAME: &str = "flowq";
    /// The name of its schema.
    pub const SCHEMA: &str = "public";

    /// A catalogue of these tables.
    pub fn new(tables: Arc<Tables>) -> Catalog {
        Catalog { tables }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        vec![Catalog::SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == Catalog::SCHEMA).then(|| Arc::clone(&self.tables) as Arc<dyn SchemaProvider>)
    }
}
