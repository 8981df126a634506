//! Writes realistic AWS network logs of any size, the same bytes for the same arguments.
//!
//! Every file has a random stream of its own, drawn from the seed and the file's number, so the number of threads never
//! shows in the output. Addresses come from the private and the documentation ranges only; the mix of ports, verdicts,
//! sizes and gaps resembles what busy VPCs log (about 12 % REJECT, 1 % NODATA and SKIPDATA, 3 % IPv6, a few addresses
//! with most of the traffic). What a field means and how its values look is the business of the flowq formats; nothing
//! here is read back by the code under test except the bytes.

pub mod elb;
pub mod flow;
pub mod line;
pub mod output;
pub mod random;
pub mod tgw;
pub mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use output::FileSink;
use random::Random;
use world::World;

/// What `run` expects after the word `generate`.
pub const USAGE: &str = "generate KIND --out DIR [--rows N] [--files N] [--minutes N] [--seed N] [--gzip | --plain] [--level 1-9] [--threads N]
KIND: flow-v2 flow-v5 flow-v11 tgw alb alb-connection alb-health clb nlb
      many-small (flow-v2, 100,000 files of about 2 KB)   one-large (flow-v2, one file)";

/// A log type and its field list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    FlowV2,
    FlowV5,
    FlowV11,
    Tgw,
    Alb,
    AlbConnection,
    AlbHealth,
    Clb,
    Nlb,
}

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct Options {
    pub kind: Kind,
    /// Records over all files.
    pub rows: u64,
    pub files: usize,
    /// Length of the logged time from 2026-01-15T10:00:00Z on, in minutes.
    pub minutes: u64,
    pub seed: u64,
    /// The folder that gets `AWSLogs/...`; files in it are overwritten, others stay.
    pub out: PathBuf,
    /// gzip level, or none for plain text.
    pub level: Option<u32>,
    /// All files alike in size, instead of a few large ones among many small ones.
    pub even: bool,
    pub threads: usize,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub files: u64,
    pub rows: u64,
    /// Bytes of text, with header lines.
    pub text_bytes: u64,
    /// Bytes on disk.
    pub file_bytes: u64,
}

/// Reads the arguments after `generate`, writes the logs and prints one line of JSON about them.
pub fn run(args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    let w = generate(&options)?;
    println!(
        "{{\"kind\": \"{:?}\", \"files\": {}, \"rows\": {}, \"raw_bytes\": {}, \"file_bytes\": {}, \"bytes_per_row\": {:.1}, \"ratio\": {:.2}}}",
        options.kind,
        w.files,
        w.rows,
        w.text_bytes,
        w.file_bytes,
        w.text_bytes as f64 / w.rows.max(1) as f64,
        w.text_bytes as f64 / w.file_bytes.max(1) as f64,
    );
    Ok(())
}

impl Options {
    /// Options of one kind with its defaults.
    pub fn new(kind: Kind, out: &Path) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            kind,
            rows: 1_000_000,
            files: 16,
            minutes: 60,
            seed: 1,
            out: out.to_owned(),
            level: Some(6),
            even: false,
            threads,
        }
    }

    /// The options that `args` (see [`USAGE`]) ask for.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut args = args.iter().map(String::as_str);
        let name = args.next().ok_or(USAGE)?;
        let mut options = Options::new(
            Kind::from_name(name).ok_or_else(|| format!("unknown kind {name}\n{USAGE}"))?,
            Path::new(""),
        );
        let mut rows = None;
        match name {
            "many-small" => (options.files, options.even) = (100_000, true),
            "one-large" => (options.files, rows) = (1, Some(10_000_000)),
            _ => {}
        }
        while let Some(flag) = args.next() {
            match flag {
                "--gzip" => options.level = options.level.or(Some(6)),
                "--plain" => options.level = None,
                "--even" => options.even = true,
                "--out" => options.out = PathBuf::from(args.next().ok_or("--out needs a folder")?),
                _ => {
                    let value = args.next().and_then(|v| v.replace('_', "").parse::<u64>().ok());
                    let value =
                        value.ok_or_else(|| format!("{flag} is unknown or needs a number\n{USAGE}"))?;
                    let count = usize::try_from(value).map_err(|e| e.to_string())?;
                    match flag {
                        "--rows" => rows = Some(value),
                        "--files" => options.files = count.max(1),
                        "--minutes" => options.minutes = value.max(1),
                        "--seed" => options.seed = value,
                        "--threads" => options.threads = count.max(1),
                        "--level" => options.level = Some(value.clamp(1, 9) as u32),
                        _ => return Err(format!("unknown option {flag}\n{USAGE}")),
                    }
                }
            }
        }
        if options.out.as_os_str().is_empty() {
            return Err(format!("--out is missing\n{USAGE}"));
        }
        options.rows =
            rows.unwrap_or(if name == "many-small" { options.files as u64 * 120 } else { options.rows });
        Ok(options)
    }
}

impl Kind {
    /// The kind of that name on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "flow" | "flow-v2" | "many-small" | "one-large" => Kind::FlowV2,
            "flow-v5" => Kind::FlowV5,
            "flow-v11" => Kind::FlowV11,
            "tgw" => Kind::Tgw,
            "alb" => Kind::Alb,
            "alb-connection" => Kind::AlbConnection,
            "alb-health" => Kind::AlbHealth,
            "clb" => Kind::Clb,
            "nlb" => Kind::Nlb,
            _ => return None,
        })
    }
}

/// One file: its number, its share of the records and its five minutes.
pub(crate) struct Part {
    pub index: usize,
    pub rows: u64,
    /// Epoch seconds.
    pub start: u64,
    pub seconds: u64,
}

/// Writes the logs that `options` describe.
pub fn generate(options: &Options) -> Result<Written, String> {
    let world = World::new(options.seed);
    let parts = plan(options);
    let next = AtomicUsize::new(0);
    let work = || -> Result<Written, String> {
        let mut sum = Written::default();
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let w = write_part(options, &world, part)?;
            sum.files += 1;
            sum.rows += w.rows;
            sum.text_bytes += w.text_bytes;
            sum.file_bytes += w.file_bytes;
        }
        Ok(sum)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Written::default();
        for t in threads {
            let w = t.join().map_err(|_| "a generator thread panicked")??;
            sum.files += w.files;
            sum.rows += w.rows;
            sum.text_bytes += w.text_bytes;
            sum.file_bytes += w.file_bytes;
        }
        Ok(sum)
    })
}

/// Shares the records out: a quarter of the files small, a quarter large, unless all are to be alike.
fn plan(options: &Options) -> Vec<Part> {
    let mut random = Random::new(options.seed ^ 0x9_1a4);
    let weights: Vec<u64> = (0..options.files)
        .map(|i| match i % 4 {
            _ if options.even => 1,
            0 => 2 + random.below(8),
            1 => 100,
            _ => 12 + random.below(24),
        })
        .collect();
    let total = u128::from(weights.iter().sum::<u64>().max(1));
    let slots = options.minutes.div_ceil(5).max(1);
    let (mut before, mut given) = (0u128, 0u64);
    let mut parts = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        before += u128::from(*weight);
        let until = (u128::from(options.rows) * before / total) as u64;
        let slot = index as u64 * slots / options.files as u64;
        let seconds = (options.minutes * 60).saturating_sub(slot * 300).clamp(60, 300);
        let seconds = if options.files == 1 { options.minutes * 60 } else { seconds };
        parts.push(Part { index, rows: until - given, start: world::EPOCH + slot * 300, seconds });
        given = until;
    }
    parts
}

fn write_part(options: &Options, world: &World, part: &Part) -> Result<Written, String> {
    let mut random = Random::new(
        options.seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ (part.index as u64) << 8 ^ options.kind as u64,
    );
    let key = output::key(options.kind, world, part, options.level.is_some());
    let mut sink = FileSink::create(&options.out.join(key), options.level)?;
    match options.kind {
        Kind::FlowV2 | Kind::FlowV5 | Kind::FlowV11 => {
            flow::write(options.kind, world, part, &mut random, &mut sink)?
        }
        Kind::Tgw => tgw::write(world, part, &mut random, &mut sink)?,
        _ => elb::write(options.kind, world, part, &mut random, &mut sink)?,
    }
    let (text_bytes, file_bytes) = sink.finish()?;
    Ok(Written { files: 1, rows: part.rows, text_bytes, file_bytes })
}
