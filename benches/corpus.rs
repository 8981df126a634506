//! The logs that are measured over: a folder of the caller's, or generated ones that are kept for the next run.

use std::path::{Path, PathBuf};

use flowq::source::{Located, locate};

use crate::generate::{self, Kind};

/// What `stages` and `table` are told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The caller's logs.
    pub data: Option<PathBuf>,
    /// How many rows to generate where there are none.
    pub rows: u64,
    /// How often everything is measured.
    pub runs: usize,
    pub threads: usize,
    pub tasks: Vec<String>,
    /// How many times as many rows the larger of two corpora has.
    pub times: u64,
}

impl Options {
    /// Reads `--name value` pairs over these defaults.
    pub fn parse(mut self, args: &[String]) -> Result<Options, String> {
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || {
                value
                    .replace('_', "")
                    .parse::<u64>()
                    .map_err(|_| format!("{name} needs a number, not {value}"))
            };
            match name.as_str() {
                "--data" => self.data = Some(PathBuf::from(value)),
                "--rows" => self.rows = number()?.max(1),
                "--runs" => self.runs = number()?.max(1) as usize,
                "--threads" => self.threads = number()?.max(1) as usize,
                "--times" => self.times = number()?.max(2),
                "--tasks" => self.tasks = value.split(',').map(str::to_owned).collect(),
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(self)
    }
}

/// Where output goes that nobody keeps: within the target folder.
pub fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The logs to measure over.
pub struct Corpus {
    pub folder: PathBuf,
    pub files: Vec<Located>,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Corpus {
    /// The caller's logs; where the folder holds none (or none was named), version 2 flow logs of so many rows are
    /// generated.
    pub fn get(options: &Options, rows: u64) -> Result<Corpus, String> {
        let folder = options.data.clone().unwrap_or_else(|| scratch().join(format!("flow-v2-{rows}")));
        if !folder.exists() || std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none()) {
            eprintln!("generating {rows} rows in {}", folder.display());
            // Beside the folder first, so that an interrupted run leaves nothing that looks whole.
            let part = folder.with_extension("part");
            let _ = std::fs::remove_dir_all(&part);
            let mut wanted = generate::Options::new(Kind::FlowV2, &part);
            wanted.rows = rows;
            wanted.files = (rows / 200_000).max(4) as usize;
            // More rows are more hours of the same network.
            wanted.minutes = (rows / 10_000_000 * 60).max(120);
            generate::generate(&wanted)?;
            let _ = std::fs::remove_dir(&folder);
            std::fs::rename(&part, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let files = locate(&[folder.to_string_lossy()], None).objects;
        if files.is_empty() {
            return Err(format!("{} holds no logs", folder.display()));
        }
        let bytes = files.iter().map(|file| file.size).sum();
        let corpus = Corpus { folder, files, bytes };
        corpus.warm()?;
        Ok(corpus)
    }

    /// Reads every file once, so that the first measurement does not pay for the disk.
    fn warm(&self) -> Result<(), String> {
        for file in &self.files {
            std::fs::read(file.file()).map_err(|error| format!("{}: {error}", file.path))?;
        }
        Ok(())
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
