//! One program, from its start to its end: time, processor time and peak memory, as the kernel counts them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Seconds.
    pub wall: f64,
    /// Seconds of all threads, user and kernel; not a number where `/proc` is missing.
    pub cpu: f64,
    /// Bytes; not a number where `/proc` is missing.
    pub peak: f64,
    /// What it printed.
    pub output: String,
}

/// How often a program is looked at: what it allocates and frees within its last step is missed.
const STEP: Duration = Duration::from_millis(2);

/// Ticks of `/proc/PID/stat` in a second: part of Linux's interface to programs on every common platform.
const TICKS: f64 = 100.0;

/// Runs a program to its end. An exit code other than 0 is an error that shows what it said last.
pub fn run(command: &mut Command, log: &Path) -> Result<Measured, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let fail = |error: std::io::Error| format!("{name}: {error}");
    let errors = log.with_extension("err");
    command.stdin(Stdio::null());
    command.stdout(std::fs::File::create(log).map_err(fail)?);
    command.stderr(std::fs::File::create(&errors).map_err(fail)?);
    let begun = Instant::now();
    let mut child = command.spawn().map_err(fail)?;
    let proc = Path::new("/proc").join(child.id().to_string());
    let (mut peak, mut cpu) = (f64::NAN, f64::NAN);
    // A program that has ended keeps its times until it is waited for, but not its memory.
    let wall = if proc.exists() {
        loop {
            if let Some(bytes) = peak_of(&proc) {
                peak = bytes;
            }
            match times_of(&proc) {
                Some((ended, seconds)) => {
                    cpu = seconds;
                    if ended {
                        break begun.elapsed();
                    }
                }
                None => break begun.elapsed(),
            }
            std::thread::sleep(STEP);
        }
    } else {
        child.wait().map_err(fail)?;
        begun.elapsed()
    };
    let status = child.wait().map_err(fail)?;
    if !status.success() {
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        let last: Vec<&str> = said.trim().lines().rev().take(3).collect();
        return Err(format!("{name}: {status}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / ")));
    }
    let output = String::from_utf8_lossy(&std::fs::read(log).map_err(fail)?).into_owned();
    Ok(Measured { wall: wall.as_secs_f64(), cpu, peak, output })
}

fn peak_of(proc: &Path) -> Option<f64> {
    let status = std::fs::read_to_string(proc.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

/// Whether it has ended, and its processor time so far.
fn times_of(proc: &Path) -> Option<(bool, f64)> {
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    // The name in parentheses may hold anything; what follows it is numbers.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let ended = fields.next()? == "Z";
    let user: f64 = fields.nth(10)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((ended, (user + system) / TICKS))
}
