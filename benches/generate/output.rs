//! Where a file goes (AWS's key layouts) and how it is written (gzip or plain), with its bytes counted.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder, write::GzEncoder};

use super::random::mix;
use super::world::{World, date};
use super::{Kind, Part};

enum Stream {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// One log file being written.
pub(crate) struct FileSink {
    stream: Stream,
    path: String,
    buffer: Vec<u8>,
    text_bytes: u64,
}

impl FileSink {
    pub fn create(path: &Path, level: Option<u32>) -> Result<Self, String> {
        let name = path.display().to_string();
        let error = |e: std::io::Error| format!("cannot write {name}: {e}");
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(error)?;
        }
        let file = BufWriter::new(File::create(path).map_err(error)?);
        let stream = match level {
            None => Stream::Plain(file),
            Some(l) => Stream::Gzip(Box::new(GzBuilder::new().mtime(0).write(file, Compression::new(l)))),
        };
        Ok(FileSink { stream, path: name, buffer: Vec::with_capacity(80 << 10), text_bytes: 0 })
    }

    /// Adds one line and its line end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= 64 << 10 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), String> {
        self.text_bytes += self.buffer.len() as u64;
        let result = match &mut self.stream {
            Stream::Plain(w) => w.write_all(&self.buffer),
            Stream::Gzip(w) => w.write_all(&self.buffer),
        };
        self.buffer.clear();
        result.map_err(|e| format!("cannot write {}: {e}", self.path))
    }

    /// Closes the file; bytes of text and bytes on disk.
    pub fn finish(mut self) -> Result<(u64, u64), String> {
        self.flush()?;
        let close = |s: Stream| -> std::io::Result<u64> {
            let mut file = match s {
                Stream::Plain(w) => w,
                Stream::Gzip(w) => w.finish()?,
            };
            file.flush()?;
            Ok(file.get_ref().metadata()?.len())
        };
        let file_bytes = close(self.stream).map_err(|e| format!("cannot write {}: {e}", self.path))?;
        Ok((self.text_bytes, file_bytes))
    }
}

/// The object key of one file.
pub(crate) fn key(kind: Kind, world: &World, part: &Part, gzip: bool) -> String {
    let Some(vpc) = world.vpc(part.index) else { return format!("{}.log", part.index) };
    let (y, m, d) = date(part.start);
    let (account, region) = (vpc.account, vpc.region);
    let end = part.start
        + if matches!(kind, Kind::FlowV2 | Kind::FlowV5 | Kind::FlowV11 | Kind::Tgw) { 0 } else { 300 };
    let (ey, em, ed) = date(end);
    let stamp = format!("{ey}{em:02}{ed:02}T{:02}{:02}Z", end % 86_400 / 3600, end / 60 % 60);
    // an odd factor maps file numbers to distinct hashes
    let hash = (part.index as u32).wrapping_mul(0x9e37_79b1);
    let node = format!("10.{}.0.{}", 10 + mix(part.index as u64) % 7, 4 + part.index % 200);
    let gz = if gzip { ".gz" } else { "" };
    let elb = |prefix: &str, name: &str, ip: &str, gz: &str| {
        format!(
            "AWSLogs/{account}/elasticloadbalancing/{region}/{y}/{m:02}/{d:02}/{prefix}{account}_elasticloadbalancing_{region}_{name}_{stamp}{ip}_{hash:08x}.log{gz}"
        )
    };
    let ip = format!("_{node}");
    match kind {
        Kind::Alb => elb("", "app.shop.50dc6c495c0c9188", &ip, gz),
        Kind::AlbConnection => elb("conn_log_", "app.shop.50dc6c495c0c9188", &ip, gz),
        Kind::AlbHealth => elb("health_check_log_", "app.shop.50dc6c495c0c9188", &ip, gz),
        // AWS never compresses these; --gzip does so all the same, for tests of that case
        Kind::Clb => elb("", "legacy-shop", &ip, gz),
        Kind::Nlb => elb("", "net.gate.c6e77e28c25b2234", "", gz),
        Kind::FlowV2 | Kind::FlowV5 | Kind::FlowV11 | Kind::Tgw => {
            let log = &vpc.flow_log;
            format!(
                "AWSLogs/{account}/vpcflowlogs/{region}/{y}/{m:02}/{d:02}/{account}_vpcflowlogs_{region}_{log}_{stamp}_{hash:08x}.log{gz}"
            )
        }
    }
}
