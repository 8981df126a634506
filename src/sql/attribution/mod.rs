//! `reject_attribution`: every rejected record of `flow_logs` with what dropped it.
//!
//! The decision is [`attribute`](crate::attribute)'s; here the logs are read for it. A query that asks for the verdict reads
//! `flow_logs` up to four times, with the columns needed and nothing else:
//!
//! 1. records without `flow-direction`: each interface's own address, from which the direction follows;
//! 2. the REJECTs that the query may return: which evidence is wanted;
//! 3. all records: that evidence, and whether the configuration explains the ACCEPTs;
//! 4. the REJECTs again, now judged and given out.
//!
//! Held in memory: what is wanted about rejected flows and the ACCEPTs found for it, an address for each interface, and the
//! compiled rules. That is bounded by the rejected flows and not by the logs, and counts against the session's memory
//! limit. Filters on the flow's own columns narrow passes 2 and 4; the evidence is never narrowed. A query that asks for
//! no column of the attribution is a plain read of the REJECTs.

mod columns;
mod evidence;
mod exec;
mod kept;
mod output;
mod places;
mod provider;
pub mod report;
mod tally;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};

pub use evidence::Consistency;
pub use provider::RejectAttribution;

use super::catalog::TableSource;
use crate::format::LogKind;
use crate::network::{Network, NetworkBuilder, Problem, ReadError, ReadOptions};

/// The name of the table.
pub const TABLE: &str = "reject_attribution";

/// Reads the configuration when the table is first named.
pub type LoadNetwork = dyn Fn() -> std::result::Result<Option<Network>, String> + Send + Sync;

/// Where the network configuration comes from.
#[derive(Clone, Default)]
pub enum NetworkSource {
    /// There is none: the logs alone decide.
    #[default]
    Nothing,
    /// This one.
    Given(Arc<Network>),
    /// Read when it is needed.
    Later(Arc<LoadNetwork>),
}

impl fmt::Debug for NetworkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkSource::Nothing => "Nothing",
            NetworkSource::Given(_) => "Given",
            NetworkSource::Later(_) => "Later",
        })
    }
}

/// The attribution over the `flow_logs` of another source.
#[derive(Clone, Debug)]
pub struct AttributionTables {
    logs: Arc<dyn TableSource>,
    network: NetworkSource,
}

impl AttributionTables {
    /// Over the flow logs of this source, with this configuration.
    pub fn new(logs: Arc<dyn TableSource>, network: NetworkSource) -> AttributionTables {
        AttributionTables { logs, network }
    }

    /// Opens the table.
    pub async fn table(&self) -> Result<Option<Arc<RejectAttribution>>> {
        let Some(flow_logs) = self.logs.open(LogKind::Flow.table()).await? else { return Ok(None) };
        let network = match &self.network {
            NetworkSource::Nothing => None,
            NetworkSource::Given(network) => Some(Arc::clone(network)),
            NetworkSource::Later(load) => {
                let load = Arc::clone(load);
                let loaded = tokio::task::spawn_blocking(move || load())
                    .await
                    .map_err(|error| DataFusionError::External(Box::new(error)))?;
                loaded.map_err(DataFusionError::Execution)?.map(Arc::new)
            }
        };
        Ok(Some(Arc::new(RejectAttribution::new(flow_logs, network))))
    }
}

#[async_trait]
impl TableSource for AttributionTables {
    fn names(&self) -> Vec<String> {
        vec![TABLE.to_owned()]
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name != TABLE {
            return Ok(None);
        }
        Ok(self.table().await?.map(|table| table as Arc<dyn TableProvider>))
    }
}

/// A configuration file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or folder itself.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it holds.
    #[error(transparent)]
    Content(#[from] ReadError),
}

/// A network out of files and folders, and what was wrong in them; files that cannot be read leave the rest alone.
pub fn read_network(paths: &[PathBuf]) -> (Network, Vec<Problem>, Vec<ConfigError>) {
    let mut builder = NetworkBuilder::new();
    let mut errors = Vec::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
            let file = match entry {
                Ok(entry) if entry.file_type().is_file() => entry.into_path(),
                Ok(_) => continue,
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    errors.push(ConfigError::Read { path: at, source: error.into() });
                    continue;
                }
            };
            // Of a folder only what may be configuration; a file that was named is always read.
            if file != *path && !looks_like_json(&file) {
                continue;
            }
            if let Err(error) = read_file(&mut builder, &file) {
                errors.push(error);
            }
        }
    }
    let (network, problems) = builder.finish();
    (network, problems, errors)
}

fn looks_like_json(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".json") || name.ends_with(".tfstate")
}

fn read_file(builder: &mut NetworkBuilder, file: &Path) -> std::result::Result<(), ConfigError> {
    let failed = |source| ConfigError::Read { path: file.to_owned(), source };
    let mut text = std::fs::read(file).map_err(failed)?;
    if text.starts_with(&[0x1f, 0x8b]) {
        let mut inflated = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(text.as_slice()), &mut inflated)
            .map_err(failed)?;
        text = inflated;
    }
    builder.read(&file.to_string_lossy(), &text, &ReadOptions::default())?;
    Ok(())
}

#[cfg(test)]
mod tests;
