//! The shell's screen: results are held until they are whole, and go through a pager where they are longer than the
//! terminal is high.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cli::printer::Sink;

/// So much is held back; of longer results the pager shows the beginning while the rest is made.
const HELD: usize = 8 << 20;
/// Lines of the screen that the prompt and the time take.
const OTHER_LINES: usize = 3;
/// The pager where the user names none: leave if all fits, colours, no screen of its own, long lines are cut.
const DEFAULT: &str = "less -SFRX";

/// A terminal that results are shown on.
#[derive(Clone, Debug)]
pub struct Screen {
    held: Arc<Mutex<Held>>,
    pager: Option<String>,
}

#[derive(Debug, Default)]
struct Held {
    text: Vec<u8>,
    /// The pager that reads what comes, once there is one.
    child: Option<Child>,
    /// Whether there is no pager to be had, and all goes straight out.
    straight: bool,
}

impl Screen {
    /// The screen with the user's pager.
    pub fn new() -> Screen {
        Screen { held: Arc::default(), pager: pager(std::env::var("PAGER").ok()) }
    }

    /// Where the printer writes results.
    pub fn sink(&self) -> Sink {
        let screen = self.clone();
        Sink(Arc::new(move || Ok(Box::new(screen.clone()) as Box<dyn Write + Send>)))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what has been written since, and waits until it has been read.
    ///
    /// # Errors
    /// The terminal's. That the pager was left early is none.
    pub fn show(&self) -> io::Result<()> {
        let mut held = self.held();
        let whole = std::mem::take(&mut *held);
        drop(held);
        if let Some(mut child) = whole.child {
            drop(child.stdin.take());
            child.wait()?;
            return Ok(());
        }
        if is_long(&whole.text)
            && let Some(mut child) = self.spawn()
        {
            if let Some(mut stdin) = child.stdin.take() {
                ignore_closed(stdin.write_all(&whole.text))?;
            }
            child.wait()?;
            return Ok(());
        }
        io::stdout().write_all(&whole.text)?;
        io::stdout().flush()
    }

    /// Forgets what has been written since.
    pub fn discard(&self) {
        if let Some(mut child) = std::mem::take(&mut *self.held()).child {
            drop(child.stdin.take());
            // It shows what it has; how it ends is the user's.
            let _ = child.wait();
        }
    }

    fn spawn(&self) -> Option<Child> {
        let pager = self.pager.as_deref()?;
        if !is_there(pager) {
            if std::env::var_os("PAGER").is_some() {
                eprintln!("no pager {pager:?} is to be found (PAGER names it)");
            }
            return None;
        }
        let mut command = Command::new("sh");
        command.arg("-c").arg(pager).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", "SFRX");
        }
        command.spawn().inspect_err(|error| log::debug!("no pager: {error}")).ok()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.held();
        if let Some(stdin) = held.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            return stdin.write(bytes);
        }
        if held.straight {
            return io::stdout().write(bytes);
        }
        held.text.extend_from_slice(bytes);
        if held.text.len() > HELD {
            let text = std::mem::take(&mut held.text);
            held.child = self.spawn();
            match held.child.as_mut().and_then(|child| child.stdin.as_mut()) {
                Some(stdin) => stdin.write_all(&text)?,
                None => {
                    held.straight = true;
                    io::stdout().write_all(&text)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the shell knows the program that a command begins with.
fn is_there(pager: &str) -> bool {
    let Some(program) = pager.split_whitespace().next() else { return false };
    // Variables and quotes are the shell's to understand.
    if program.contains(|c: char| !(c.is_alphanumeric() || "_-./+".contains(c))) {
        return true;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "command -v \"$0\"", program]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map_or(true, |status| status.success())
}

/// The pager that `PAGER` names; none where it is empty or `cat`.
fn pager(variable: Option<String>) -> Option<String> {
    let pager = variable.unwrap_or_else(|| DEFAULT.to_owned());
    (!matches!(pager.trim(), "" | "cat")).then_some(pager)
}

fn is_long(text: &[u8]) -> bool {
    let rows = terminal_size::terminal_size().map(|(_, height)| usize::from(height.0));
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    rows.is_some_and(|rows| lines.saturating_add(OTHER_LINES) > rows)
}

fn ignore_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_the_users() {
        assert_eq!(pager(None).as_deref(), Some("less -SFRX"));
        assert_eq!(pager(Some("more -s".into())).as_deref(), Some("more -s"));
        assert_eq!(pager(Some(String::new())), None);
        assert_eq!(pager(Some("cat".into())), None);
    }
}
