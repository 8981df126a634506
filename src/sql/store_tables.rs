//! The tables of a store: a snapshot of a table is taken when a query first names it.

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::object_store::ObjectStoreUrl;
use hashbrown::HashMap;
use object_store::path::Path;
use serde_json::{Map, Value};

use super::catalog::TableSource;
use super::formats::{Formats, KnowsFiles};
use super::stored::{Range, StoredFile, StoredTable};
use super::unread::{MOST_LINES, Unread};
use crate::format::LogKind;
use crate::store::{self, DataFile, Store, StoreError, StoredLog};

/// A store as a source of tables. All of its tables exist, those without rows too.
#[derive(Clone)]
pub struct StoreTables {
    store: Store,
}

impl StoreTables {
    /// The tables of this store.
    pub fn new(store: Store) -> StoreTables {
        StoreTables { store }
    }
}

impl std::fmt::Debug for StoreTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreTables").field("root", &self.store.root()).finish()
    }
}

#[async_trait]
impl TableSource for StoreTables {
    fn names(&self) -> Vec<String> {
        store::TABLES.map(str::to_owned).to_vec()
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(schema) = store::table_schema(name) else { return Ok(None) };
        // The store drives its own runtime, which may not be entered from within this one.
        let (store, table) = (self.store.clone(), name.to_owned());
        let snapshot = tokio::task::spawn_blocking(move || store.snapshot(&table))
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))?
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let (schema, files) = match snapshot {
            Some(snapshot) => (snapshot.schema, snapshot.files),
            None => (schema, Vec::new()),
        };
        let files = files.iter().map(|file| stored_file(file, &schema)).collect::<Result<Vec<_>>>()?;
        let time_column = LogKind::from_table(name).map(LogKind::time_column);
        let table = StoredTable::new(&schema, ObjectStoreUrl::local_filesystem(), files, time_column);
        Ok(Some(Arc::new(match LogKind::from_table(name) {
            Some(kind) => table.known_by(Arc::new(LedgerFiles { store: self.store.clone(), kind })),
            None => table,
        })))
    }
}

/// Files as the ledger knows them.
struct LedgerFiles {
    store: Store,
    kind: LogKind,
}

impl std::fmt::Debug for LedgerFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerFiles").field("root", &self.store.root()).finish_non_exhaustive()
    }
}

#[async_trait]
impl KnowsFiles for LedgerFiles {
    async fn formats(&self) -> Result<Formats> {
        let (store, mut formats) = (self.store.clone(), Formats::of(self.kind));
        blocking(move || {
            let mut add = |log: StoredLog<'_>| {
                log.fields.into_iter().for_each(|fields| formats.add(log.path, fields));
            };
            store.each_stored_log(&mut add)?;
            Ok(formats)
        })
        .await
    }

    async fn unread(&self) -> Result<Vec<Unread>> {
        let (store, kind) = (self.store.clone(), self.kind);
        blocking(move || unread(&store, kind)).await
    }
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, StoreError> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| DataFusionError::External(Box::new(error)))?
        .map_err(|error| DataFusionError::External(Box::new(error)))
}

/// What the ledger and the quarantine know that could not be read of the files of a kind.
fn unread(store: &Store, kind: LogKind) -> std::result::Result<Vec<Unread>, StoreError> {
    type Times = Option<(i64, i64)>;
    let mut found = Vec::new();
    let mut refused: HashMap<String, Times> = HashMap::new();
    let mut lines = 0u64;
    store.each_stored_log(&mut |log| {
        if log.kind != Some(kind) {
            return;
        }
        let seconds = |micros: i64| micros.div_euclid(1_000_000);
        let times = log.times.map(|(first, last)| (seconds(first), seconds(last)));
        if log.breaks_off {
            found.push(Unread { file: log.path.to_owned(), times, line: None });
        }
        if log.refused > 0 {
            refused.insert(log.path.to_owned(), times);
            lines = lines.saturating_add(log.refused);
        }
    })?;
    if lines > MOST_LINES {
        found.extend(refused.into_iter().map(|(file, times)| Unread { file, times, line: None }));
    } else if lines > 0 {
        store.each_refused_line(kind, &mut |file, text| {
            if let Some(times) = refused.get(file) {
                found.push(Unread { file: file.to_owned(), times: *times, line: Some(text.to_owned()) });
            }
        })?;
    }
    Ok(found)
}

fn stored_file(file: &DataFile, schema: &SchemaRef) -> Result<StoredFile> {
    Ok(StoredFile {
        location: location(&file.path)?,
        size: file.size,
        // Files are never changed once they are committed, so when they were written tells nothing.
        modified: DateTime::<Utc>::UNIX_EPOCH,
        rows: Some(file.rows),
        date: file.date,
        ranges: file.stats.as_deref().map(|stats| ranges(stats, schema)).unwrap_or_default(),
    })
}

fn location(path: &FilePath) -> Result<Path> {
    Path::from_absolute_path(path).map_err(|error| DataFusionError::External(Box::new(error)))
}

/// What Delta's statistics say of each column; nothing where they cannot be read.
fn ranges(stats: &str, schema: &SchemaRef) -> Vec<(String, Range)> {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Stats {
        min_values: Map<String, Value>,
        max_values: Map<String, Value>,
        null_count: Map<String, Value>,
    }
    let stats: Stats = serde_json::from_str(stats).unwrap_or_default();
    let fields = schema.fields().iter();
    fields
        .filter_map(|field| {
            let nulls = stats.null_count.get(field.name()).and_then(Value::as_u64);
            let bound = |values: &Map<String, Value>| scalar(values.get(field.name())?, field.data_type());
            let (min, max) = (bound(&stats.min_values), bound(&stats.max_values));
            let known = nulls.is_some() || min.is_some() || max.is_some();
            // Times are rounded to milliseconds and texts cut; only integers are the values themselves.
            let exact = matches!(field.data_type(), DataType::Int32 | DataType::Int64);
            known.then(|| (field.name().clone(), Range { min, max, nulls, exact }))
        })
        .collect()
}

fn scalar(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value.as_i64()?).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        DataType::Float64 => ScalarValue::Float64(Some(value.as_f64()?)),
        DataType::Utf8 => ScalarValue::Utf8View(Some(value.as_str()?.to_owned())),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), zone.clone())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;

    #[test]
    fn statistics_are_read_by_the_type_of_their_column() {
        let stats = r#"{"numRecords":3,"minValues":{"srcport":1,"srcaddr":"10.0.0.1","start":"2026-01-15T10:00:00.000Z"},
            "maxValues":{"srcport":443,"srcaddr":"10.0.0.9","start":"2026-01-15T11:00:00.000Z"},
            "nullCount":{"srcport":1,"vpc_id":3}}"#;
        let ranges = ranges(stats, &format::table_schema(LogKind::Flow));
        let of =
            |name: &str| ranges.iter().find(|(column, _)| column == name).map(|(_, range)| range.clone());
        assert_eq!(
            of("srcport"),
            Some(Range {
                min: Some(ScalarValue::Int32(Some(1))),
                max: Some(ScalarValue::Int32(Some(443))),
                nulls: Some(1),
                exact: true
            })
        );
        let start = of("start").unwrap();
        // 2026-01-15T10:00:00Z is 1768471200 in Unix seconds.
        let zone = Some("UTC".into());
        assert_eq!(start.min, Some(ScalarValue::TimestampMicrosecond(Some(1_768_471_200_000_000), zone)));
        assert!(!start.exact);
        assert_eq!(of("vpc_id").unwrap().nulls, Some(3));
        assert_eq!(of("dstaddr"), None);
    }
}
