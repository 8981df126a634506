//! `reject_attribution`: every rejected record of `flow_logs` with what dropped it.
//!
//! The decision is [`attribute`](crate::attribute)'s; here the logs are read for it. A query that asks for the verdict reads
//! `flow_logs` two or three times, with the columns needed and nothing else:
//!
//! 1. records without `flow-direction`: each interface's own address, from which the direction follows;
//! 2. the REJECTs that the query may return, which are kept, on disk beyond the memory limit: which evidence is wanted;
//! 3. all records: that evidence, and whether the configuration explains the ACCEPTs. Where the evidence for all REJECTs does not fit into
//!    the memory, once for each part of them (`parts`).
//!
//! Over a store the third is done by the keys of Parquet's dictionaries, and where no filter narrows the second the first is done
//! with it.
//!
//! Held in memory: what is wanted about rejected flows and the ACCEPTs found for it, an address for each interface, and the
//! compiled rules. That is bounded by the rejected flows and not by the logs, and counts against the session's memory
//! limit. Filters on the flow's own columns narrow the second reading; the evidence is never narrowed. A query that asks for
//! no column of the attribution is a plain read of the REJECTs.

mod ask;
mod evidence;
mod exec;
mod flow_logs;
mod kept;
mod lanes;
mod learn;
mod observe;
mod output;
mod parts;
mod places;
mod provider;
mod reasons;
pub mod report;
mod sift;
mod sifter;
mod skipped;
mod tally;
mod unread;
mod want;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};

pub use observe::Consistency;
pub use provider::RejectAttribution;
pub use skipped::Skipped;

use super::catalog::TableSource;
use crate::format::LogKind;
use crate::network::{Document, Network, NetworkBuilder, PlanSide, Problem, ReadError, ReadOptions};

/// The name of the table.
pub const TABLE: &str = "reject_attribution";

type LoadNetwork = dyn Fn() -> std::result::Result<Option<Network>, String> + Send + Sync;

/// Where the network configuration comes from.
#[derive(Clone, Default)]
pub enum NetworkSource {
    /// There is none: the logs alone decide.
    #[default]
    Nothing,
    /// This one.
    Given(Arc<Network>),
    /// Read when it is first needed, and kept.
    Later(Arc<Later>),
}

/// A network that is read once, for all that share it.
pub struct Later {
    load: Arc<LoadNetwork>,
    loaded: tokio::sync::Mutex<Option<Arc<Network>>>,
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

impl NetworkSource {
    /// A network that is read when it is first needed. Where there is none yet, it is looked for again.
    pub fn later(
        load: impl Fn() -> std::result::Result<Option<Network>, String> + Send + Sync + 'static,
    ) -> NetworkSource {
        NetworkSource::Later(Arc::new(Later { load: Arc::new(load), loaded: Default::default() }))
    }

    /// The network, read now where it has to be.
    pub async fn load(&self) -> Result<Option<Arc<Network>>> {
        match self {
            NetworkSource::Nothing => Ok(None),
            NetworkSource::Given(network) => Ok(Some(Arc::clone(network))),
            NetworkSource::Later(later) => {
                let mut loaded = later.loaded.lock().await;
                if loaded.is_some() {
                    return Ok(loaded.clone());
                }
                let load = Arc::clone(&later.load);
                let found = tokio::task::spawn_blocking(move || load())
                    .await
                    .map_err(|error| DataFusionError::External(Box::new(error)))?;
                *loaded = found.map_err(|error| DataFusionError::External(error.into()))?.map(Arc::new);
                Ok(loaded.clone())
            }
        }
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
        let network = self.network.load().await?;
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

impl ConfigError {
    /// Whether the file holds nothing that any verdict needs.
    pub fn is_not_needed(&self) -> bool {
        matches!(self, ConfigError::Content(ReadError::NotNeeded { .. }))
    }
}

/// The files that may be configuration: those named, and of folders what looks like JSON by its name or by how it begins.
fn config_files(paths: &[PathBuf], errors: &mut Vec<ConfigError>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name() {
            match entry {
                // Of a folder only what may be configuration; a file that was named is always read.
                Ok(entry) if entry.file_type().is_file() => {
                    let file = entry.into_path();
                    if file == *path || looks_like_json(&file) {
                        files.push(file);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let at = error.path().unwrap_or(path).to_owned();
                    errors.push(ConfigError::Read { path: at, source: error.into() });
                }
            }
        }
    }
    files
}

/// A network out of files and folders, and what was wrong in them; files that cannot be read leave the rest alone.
pub fn read_network(paths: &[PathBuf]) -> (Network, Vec<Problem>, Vec<ConfigError>) {
    let mut builder = NetworkBuilder::new();
    let mut errors = Vec::new();
    for file in config_files(paths, &mut errors) {
        if let Err(error) = read_file(&mut builder, &file, &ReadOptions::default()) {
            errors.push(error);
        }
    }
    let (network, mut problems) = builder.finish();
    problems.extend(network.part_captures.iter().cloned());
    (network, problems, errors)
}

/// Proposed changes to a network.
#[derive(Debug, Default)]
pub struct Proposal {
    /// Objects that stand in for those of the same ids.
    pub objects: Network,
    /// Terraform plans: what each starts from, and what it ends with.
    pub plans: Vec<(Network, Network)>,
    /// What was wrong inside files.
    pub problems: Vec<Problem>,
    /// Files that could not be read.
    pub errors: Vec<ConfigError>,
}

/// Reads proposed changes: any form of configuration, and Terraform plans.
pub fn read_proposal(paths: &[PathBuf]) -> Proposal {
    let mut proposal = Proposal::default();
    let mut builder = NetworkBuilder::new();
    for file in config_files(paths, &mut proposal.errors) {
        match read_proposed(&mut builder, &file) {
            Ok(None) => {}
            Ok(Some((plan, problems))) => {
                proposal.plans.push(plan);
                proposal.problems.extend(problems);
            }
            Err(error) => proposal.errors.push(error),
        }
    }
    let (objects, problems) = builder.finish();
    proposal.problems.extend(objects.part_captures.iter().cloned());
    proposal.objects = objects;
    proposal.problems.extend(problems);
    proposal
}

type ReadPlan = ((Network, Network), Vec<Problem>);

fn read_proposed(
    builder: &mut NetworkBuilder,
    file: &Path,
) -> std::result::Result<Option<ReadPlan>, ConfigError> {
    let name = file.to_string_lossy();
    let text = config_text(file)?;
    let side = |plan_side| ReadOptions { plan_side, compared: true, ..ReadOptions::default() };
    let mut after = NetworkBuilder::new();
    if after.read(&name, &text, &side(PlanSide::Planned))? != Document::TerraformPlan {
        builder.read(&name, &text, &ReadOptions::default())?;
        return Ok(None);
    }
    let mut before = NetworkBuilder::new();
    before.read(&name, &text, &side(PlanSide::Prior))?;
    let (after, problems) = after.finish();
    Ok(Some(((before.finish().0, after), problems)))
}

fn looks_like_json(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    // A state that Terraform has put aside is not what is in force.
    let put_aside = name.ends_with(".backup") || name.ends_with(".bak") || name.ends_with('~');
    name.ends_with(".json") || name.ends_with(".tfstate") || (!put_aside && begins_like_json(file))
}

/// Whether a file of any name begins as a JSON document does. One that cannot be read is no configuration.
fn begins_like_json(file: &Path) -> bool {
    let Ok(mut opened) = std::fs::File::open(file) else { return false };
    let mut start = [0u8; 512];
    let read = std::io::Read::read(&mut opened, &mut start).unwrap_or(0);
    let start = start.get(..read).unwrap_or_default();
    let mut inflated = Vec::new();
    let text = if start.starts_with(&[0x1f, 0x8b]) {
        let decoder = flate2::read::MultiGzDecoder::new(start);
        // The rest of the stream is missing, which is no matter.
        let _ = std::io::Read::read_to_end(&mut std::io::Read::take(decoder, 64), &mut inflated);
        inflated.as_slice()
    } else {
        start
    };
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn config_text(file: &Path) -> std::result::Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read { path: file.to_owned(), source };
    let text = std::fs::read(file).map_err(failed)?;
    if !text.starts_with(&[0x1f, 0x8b]) {
        return Ok(text);
    }
    let mut inflated = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(text.as_slice()), &mut inflated)
        .map_err(failed)?;
    Ok(inflated)
}

fn read_file(
    builder: &mut NetworkBuilder,
    file: &Path,
    options: &ReadOptions,
) -> std::result::Result<(), ConfigError> {
    let text = config_text(file)?;
    builder.read(&file.to_string_lossy(), &text, options)?;
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_coverage;
#[cfg(test)]
mod tests_fields;
#[cfg(test)]
mod tests_records;
#[cfg(test)]
mod twins;
