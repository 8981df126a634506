//! Running flowq, and building what it is run on.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::delta::{Row, Table};

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How a run of flowq ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("flowq prints UTF-8");
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    /// The summary of `--format json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }
}

/// The command, in an environment that says nothing about flowq.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowq"));
    command.env_remove("FLOWQ_STORE").env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs flowq.
pub fn flowq<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    Run::of(command().args(args).output().unwrap())
}

/// A folder of logs, and a store beside it.
pub struct Case {
    pub dir: TempDir,
}

impl Case {
    pub fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        Case { dir }
    }

    /// The folder of logs.
    pub fn input(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Writes a log.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.input().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Ingests the folder.
    pub fn ingest(&self, options: &[&str]) -> Run {
        self.ingest_paths(&[self.input()], options)
    }

    /// Ingests these.
    pub fn ingest_paths<P: AsRef<OsStr>>(&self, paths: &[P], options: &[&str]) -> Run {
        let mut command = self.ingest_command(paths, options);
        Run::of(command.output().unwrap())
    }

    /// The command that ingests these.
    pub fn ingest_command<P: AsRef<OsStr>>(&self, paths: &[P], options: &[&str]) -> Command {
        let mut command = command();
        command.arg("ingest").args(paths).arg("--store").arg(self.store());
        command.args(["--format", "json"]).args(options);
        command
    }

    /// Ingests standard input.
    pub fn ingest_stdin(&self, bytes: &[u8], options: &[&str]) -> Run {
        let mut command = self.ingest_command(&["-"], options);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// A table of the store.
    pub fn table(&self, name: &str) -> Option<Table> {
        Table::open(&self.store(), name)
    }

    /// The number of rows of a table.
    pub fn count(&self, table: &str) -> u64 {
        self.table(table).map_or(0, |table| table.count())
    }

    /// The rows of a table in the order of files and lines, without `source_file`, `source_line` and `event_date`.
    pub fn rows(&self, table: &str) -> Vec<Row> {
        let mut rows = self.table(table).map(|table| table.rows()).unwrap_or_default();
        rows.sort_by_key(|row| (row["source_file"].as_str().map(str::to_owned), row["source_line"].as_i64()));
        rows.into_iter().map(bare).collect()
    }

    /// The rows of one file of the folder.
    pub fn rows_of(&self, table: &str, file: &str) -> Vec<Row> {
        let path = self.input().join(file);
        let mut rows = self.table(table).map(|table| table.rows()).unwrap_or_default();
        rows.retain(|row| row["source_file"].as_str().is_some_and(|source| Path::new(source) == path));
        rows.sort_by_key(|row| row["source_line"].as_i64());
        rows
    }
}

/// The row without where it came from.
pub fn bare(mut row: Row) -> Row {
    for name in ["source_file", "source_line", "event_date"] {
        row.remove(name);
    }
    row
}

/// One gzip member.
pub fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// The header of the default flow log format.
pub const HEADER: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n";

/// Flow records of the default format, each different from all others.
pub fn flow_lines(from: u64, count: u64) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for at in from..from + count {
        let _ = writeln!(
            text,
            "2 123456789012 eni-0a1b2c3d4e5f60718 198.51.100.{} 10.0.{}.{} {} 443 6 {} {} {} {} {} OK",
            at % 250,
            at / 250 % 250,
            at % 249,
            1024 + at % 60_000,
            1 + at % 90,
            40 + at,
            1_768_471_200 + at % 3600,
            1_768_471_230 + at % 3600,
            if at % 8 == 0 { "REJECT" } else { "ACCEPT" },
        );
    }
    text
}

/// A header and such records.
pub fn flow_log(from: u64, count: u64) -> String {
    format!("{HEADER}{}", flow_lines(from, count))
}

/// The name that AWS would give an object of the main flow log.
pub fn aws_name(hash: &str) -> String {
    format!("123456789012_vpcflowlogs_us-east-1_fl-0a1b2c3d4e5f60718_20260115T1005Z_{hash}.log.gz")
}

/// The folder that AWS would put it into.
pub fn aws_key(hash: &str) -> String {
    format!("AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/15/{}", aws_name(hash))
}
