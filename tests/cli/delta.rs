//! Reads a store without flowq: replays each table's `_delta_log` and opens the Parquet files that it names.
//!
//! It knows no more than the Delta protocol does: `add` and `remove` actions in the order of the versions, after the
//! latest checkpoint where there is one. Files that no action names do not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

/// A row: the columns that are not null. Times are RFC 3339.
pub type Row = Map<String, Value>;

/// A version of a table.
pub struct Table {
    root: PathBuf,
    /// Paths of the files and their partition's date.
    files: BTreeMap<String, Option<String>>,
    /// The columns of the schema.
    pub columns: Vec<(String, Value)>,
    /// The version that was read.
    pub version: u64,
}

/// The names of the tables of a store.
pub fn tables(store: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(store) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("_delta_log").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

impl Table {
    /// The table as it is now; `None` where there is none.
    pub fn open(store: &Path, name: &str) -> Option<Table> {
        let root = store.join(name);
        let mut versions = BTreeSet::new();
        let mut checkpoint = None;
        for entry in fs::read_dir(root.join("_delta_log")).ok()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(version) = name.get(..20).and_then(|digits| digits.parse::<u64>().ok()) else {
                continue;
            };
            match &name[20..] {
                ".json" => drop(versions.insert(version)),
                ".checkpoint.parquet" => checkpoint = checkpoint.max(Some(version)),
                _ => {}
            }
        }
        let mut table = Table { root, files: BTreeMap::new(), columns: Vec::new(), version: 0 };
        let mut next = 0;
        if let Some(version) = checkpoint {
            let path = table.root.join(format!("_delta_log/{version:020}.checkpoint.parquet"));
            for action in json_rows(&path, &mut |_| true) {
                table.apply(&action);
            }
            next = version + 1;
        }
        // A version is there when its file is; a gap ends what can be read.
        while versions.contains(&next) {
            let path = table.root.join(format!("_delta_log/{next:020}.json"));
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                table.apply(&serde_json::from_str(line).unwrap());
            }
            next += 1;
        }
        assert!(versions.range(next..).next().is_none(), "{name}: a gap before version {next}");
        table.version = next.checked_sub(1)?;
        Some(table)
    }

    fn apply(&mut self, action: &Row) {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(add) = action.get("add").filter(|add| !add.is_null()) {
            let date = add.get("partitionValues").and_then(|values| text(values, "event_date"));
            self.files.insert(text(add, "path").unwrap(), date);
        }
        if let Some(path) = action.get("remove").and_then(|remove| text(remove, "path")) {
            self.files.remove(&path);
        }
        if let Some(schema) = action.get("metaData").and_then(|data| text(data, "schemaString")) {
            let schema: Value = serde_json::from_str(&schema).unwrap();
            let fields = schema["fields"].as_array().unwrap();
            self.columns = fields.iter().map(|f| (text(f, "name").unwrap(), f["type"].clone())).collect();
        }
    }

    /// The data files, with their partition's date.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, Option<&str>)> {
        self.files.iter().map(|(path, date)| (self.root.join(decoded(path)), date.as_deref()))
    }

    /// How many data files there are.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The number of rows, by the files' own footers.
    pub fn count(&self) -> u64 {
        self.files().map(|(path, _)| reader(&path).metadata().file_metadata().num_rows() as u64).sum()
    }

    /// All rows, with their `event_date`.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (path, date) in self.files() {
            for mut row in json_rows(&path, &mut |_| true) {
                if let Some(date) = date {
                    row.insert("event_date".into(), date.into());
                }
                rows.push(row);
            }
        }
        rows
    }

    /// How often each line of each source has been stored.
    pub fn lines(&self) -> BTreeMap<(String, i64), u32> {
        let mut lines = BTreeMap::new();
        for (path, _) in self.files() {
            for batch in batches(&path, &mut |name| matches!(name, "source_file" | "source_line")) {
                let file = arrow::compute::cast(
                    batch.column_by_name("source_file").unwrap(),
                    &arrow::datatypes::DataType::Utf8,
                )
                .unwrap();
                let file = file.as_string::<i32>();
                let line = batch.column_by_name("source_line").unwrap();
                let line = line.as_primitive::<arrow::datatypes::Int64Type>();
                for row in 0..batch.num_rows() {
                    assert!(file.is_valid(row) && line.is_valid(row), "a row without its source");
                    *lines.entry((file.value(row).to_owned(), line.value(row))).or_insert(0) += 1;
                }
            }
        }
        lines
    }

    /// The number of rows of each source.
    pub fn rows_by_source(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for ((file, _), times) in self.lines() {
            *counts.entry(file).or_insert(0) += u64::from(times);
        }
        counts
    }
}

fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned()
}

fn reader(path: &Path) -> ParquetRecordBatchReaderBuilder<File> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn batches(path: &Path, wanted: &mut dyn FnMut(&str) -> bool) -> Vec<RecordBatch> {
    let reader = reader(path);
    let roots: Vec<usize> =
        (0..reader.schema().fields().len()).filter(|at| wanted(reader.schema().field(*at).name())).collect();
    let mask = ProjectionMask::roots(reader.parquet_schema(), roots);
    reader.with_projection(mask).build().unwrap().map(Result::unwrap).collect()
}

fn json_rows(path: &Path, wanted: &mut dyn FnMut(&str) -> bool) -> Vec<Row> {
    let mut text = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut text);
    for batch in batches(path, wanted) {
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}
