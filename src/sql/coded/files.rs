//! The files of a table and their footers.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use datafusion::common::{DataFusionError, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;

use super::coded_schema;

/// A file of a table.
#[derive(Debug, Clone)]
pub struct CodedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The `event_date` of its rows, in days since 1970; `None` is null.
    pub date: Option<i32>,
}

/// A file, and what its footer says.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: CodedFile,
    pub(super) metadata: ArrowReaderMetadata,
}

/// Files whose footers are read when a scan comes to them, once for those who read a file at the same time.
#[derive(Debug)]
pub(super) struct CodedFiles {
    pub(super) files: Vec<CodedFile>,
    opened: Vec<Mutex<Weak<Opened>>>,
    /// The columns that some file has.
    names: OnceLock<std::result::Result<HashSet<String>, Arc<DataFusionError>>>,
}

fn open(file: &CodedFile, pages: PageIndexPolicy) -> Result<Opened> {
    let path = &file.path;
    let reader = File::open(path).map_err(|error| unreadable(path, &error))?;
    let options = ArrowReaderOptions::new().with_page_index_policy(pages);
    let inferred = ArrowReaderMetadata::load(&reader, options).map_err(|error| unreadable(path, &error))?;
    let options = ArrowReaderOptions::new().with_schema(coded_schema(inferred.schema()));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(inferred.metadata()), options)
        .map_err(|error| unreadable(path, &error))?;
    Ok(Opened { file: file.clone(), metadata })
}

pub(super) fn unreadable(path: &Path, error: &dyn fmt::Display) -> DataFusionError {
    DataFusionError::External(format!("cannot read {}: {error}", path.display()).into())
}

impl CodedFiles {
    pub(super) fn new(files: Vec<CodedFile>) -> CodedFiles {
        let opened = files.iter().map(|_| Mutex::default()).collect();
        CodedFiles { files, opened, names: OnceLock::new() }
    }

    /// Whether some file has a column of this name.
    pub(super) fn hold(&self, name: &str) -> Result<bool> {
        let names = self.names.get_or_init(|| {
            let mut names = HashSet::new();
            for file in &self.files {
                let opened = open(file, PageIndexPolicy::Skip)?;
                names.extend(opened.metadata.schema().fields().iter().map(|field| field.name().clone()));
            }
            Ok(names)
        });
        match names {
            Ok(names) => Ok(names.contains(name)),
            Err(error) => Err(DataFusionError::Shared(Arc::clone(error))),
        }
    }

    /// The file of this number with its footer; `None` behind the last.
    pub(super) fn open(&self, number: usize, pages: PageIndexPolicy) -> Result<Option<Arc<Opened>>> {
        let (Some(file), Some(known)) = (self.files.get(number), self.opened.get(number)) else {
            return Ok(None);
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.upgrade() {
            return Ok(Some(opened));
        }
        let opened = Arc::new(open(file, pages)?);
        *known = Arc::downgrade(&opened);
        Ok(Some(opened))
    }
}
