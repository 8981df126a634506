//! Sessions over the dump: ingested into a store, and read as it lies there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use flowq::ingest::{IngestOptions, Watch, ingest};
use flowq::source::decode::DecodeOptions;
use flowq::source::locate;
use flowq::sql::attribution::{AttributionTables, NetworkSource, read_network};
use flowq::sql::catalog::TableSource;
use flowq::sql::functions::Enrichment;
use flowq::sql::raw::RawTables;
use flowq::sql::session::{Session, SessionOptions};
use flowq::sql::store_tables::StoreTables;
use flowq::sql::usage::UsageTables;
use flowq::store::Store;
use tokio::runtime::Runtime;

/// The dump.
pub fn dump() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/s3-dump")
}

/// Files and folders of the dump by their paths.
pub fn paths(inputs: &[&str]) -> Vec<String> {
    inputs.iter().map(|input| dump().join(input).to_str().unwrap().to_owned()).collect()
}

/// A store of these files and folders of the dump.
fn ingested(inputs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ingest_into(&folder, inputs);
    folder
}

/// Ingests files and folders of the dump into the store of this folder.
pub fn ingest_into(folder: &tempfile::TempDir, inputs: &[&str]) {
    let options = IngestOptions {
        inputs: paths(inputs),
        store: folder.path().join("store"),
        decode: DecodeOptions::default(),
        strict: false,
        dry_run: false,
        threads: 2,
    };
    ingest(&options, &Watch::default()).unwrap();
}

/// A store of the whole dump, made once for all tests. Nobody writes to it.
pub fn store() -> PathBuf {
    static STORE: OnceLock<tempfile::TempDir> = OnceLock::new();
    STORE.get_or_init(|| ingested(&["."])).path().join("store")
}

fn enrichment() -> Arc<Enrichment> {
    let ranges = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/ip-ranges.json");
    Arc::new(Enrichment::load(Some(&ranges), &[]).unwrap())
}

fn session(tables: Arc<dyn TableSource>) -> Session {
    let options = SessionOptions { threads: 2.try_into().unwrap(), ..SessionOptions::default() };
    let attribution = AttributionTables::new(Arc::clone(&tables), NetworkSource::Nothing);
    // The rules are those behind the dump's traffic.
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/aws-config");
    let network = NetworkSource::Given(Arc::new(read_network(&[config]).0));
    let usage = UsageTables::new(Arc::clone(&tables), network);
    Session::new(options, vec![tables, Arc::new(attribution), Arc::new(usage)], &enrichment()).unwrap()
}

/// A session over the store.
pub fn stored() -> Session {
    session(Arc::new(StoreTables::new(Store::open(&store()).unwrap())))
}

/// A session over a store of these files and folders of the dump, which lasts as long as the folder.
pub fn stored_of(inputs: &[&str]) -> (Session, tempfile::TempDir) {
    let folder = ingested(inputs);
    (session(Arc::new(StoreTables::new(Store::open(&folder.path().join("store")).unwrap()))), folder)
}

/// A session over these files and folders of the dump.
pub fn raw_of(inputs: &[&str]) -> Session {
    let found = locate(&paths(inputs), None);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    session(Arc::new(RawTables::new(found.objects, DecodeOptions::default())))
}

/// A session over the whole dump.
pub fn raw() -> Session {
    raw_of(&["."])
}

/// A runtime for one test.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Rows as text, NULL as such; the dump's folder is left out of paths.
pub fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    let dump = format!("{}/", dump().display());
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns.iter().map(|column| column.value(row).to_string().replace(&dump, "")).collect(),
            );
        }
    }
    rows
}
