//! Running the user's own `aws` command. Credentials, endpoints, retries and pages are its business: what it is told is the
//! profile, the Region and that JSON is wanted.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How much of what a command says about its failure is told, characters.
const LONGEST_MESSAGE: usize = 300;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such command.
    #[error("cannot run {command}: {cause} (install the AWS CLI, or name it with --aws PATH)")]
    Missing {
        /// As it was named.
        command: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The command ended with an error.
    #[error("{0}")]
    Failed(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// The command, and how each call of it is made.
#[derive(Debug)]
pub struct Aws {
    pub command: PathBuf,
    pub profile: Option<String>,
    /// Set by Ctrl-C.
    pub cancel: Arc<AtomicBool>,
}

impl Aws {
    /// Runs `aws WORDS…` and returns what it writes.
    pub fn run(&self, words: &[&str], region: Option<&str>) -> Result<Vec<u8>, CallError> {
        let mut command = Command::new(&self.command);
        command.args(words);
        for (option, value) in [("--profile", self.profile.as_deref()), ("--region", region)] {
            if let Some(value) = value {
                command.arg(option).arg(value);
            }
        }
        // A pager or a prompt would wait for somebody.
        command.env("AWS_PAGER", "").env("AWS_CLI_AUTO_PROMPT", "off");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let missing = |cause| CallError::Missing { command: self.command.display().to_string(), cause };
        let mut child = command.spawn().map_err(missing)?;
        // Both are read at once, or a command that fills one would wait while the other is waited for. The threads are not
        // joined: what an interrupted command has started may hold its output open for long.
        let (send, receive) = mpsc::channel();
        read_into(child.stdout.take(), true, send.clone());
        read_into(child.stderr.take(), false, send);
        let (mut out, mut err, mut open) = (Vec::new(), Vec::new(), 2);
        while open > 0 {
            if self.cancel.load(Ordering::Relaxed) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(CallError::Interrupted);
            }
            match receive.recv_timeout(Duration::from_millis(50)) {
                Ok((true, text)) => (out, open) = (text, open - 1),
                Ok((false, text)) => (err, open) = (text, open - 1),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.wait().map_err(|error| CallError::Failed(error.to_string()))?;
        if self.cancel.load(Ordering::Relaxed) {
            return Err(CallError::Interrupted);
        }
        if !status.success() {
            return Err(CallError::Failed(message(&String::from_utf8_lossy(&err), &status.to_string())));
        }
        Ok(out)
    }
}

fn read_into<R: Read + Send + 'static>(from: Option<R>, is_out: bool, to: mpsc::Sender<(bool, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A pipe that breaks leaves what came through it; the exit code says whether that is all.
        let _ = from.map(|mut from| from.read_to_end(&mut text));
        // Nobody waits for an interrupted command's output.
        let _ = to.send((is_out, text));
    });
}

/// The one line of an error output that says what is wrong.
fn message(text: &str, status: &str) -> String {
    if text.contains("Invalid choice") {
        return "this aws command does not know the operation (a newer AWS CLI does)".to_owned();
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.clone().find(|line| line.contains("error occurred")).or(lines.next_back());
    match told {
        Some(line) if line.chars().count() > LONGEST_MESSAGE => {
            format!("{}…", line.chars().take(LONGEST_MESSAGE).collect::<String>())
        }
        Some(line) => line.to_owned(),
        None => format!("it ended with {status} and said nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_is_found() {
        let denied = "\nAn error occurred (UnauthorizedOperation) when calling the DescribeVpcs operation: You are not \
                      authorized to perform this operation.\n";
        assert!(message(denied, "").starts_with("An error occurred (UnauthorizedOperation)"));
        let old = "usage: aws [options] <command>\naws: error: argument operation: Invalid choice, valid choices are:\n\
                   accept-x | accept-y\n";
        assert!(message(old, "").contains("newer AWS CLI"));
        assert_eq!(message("Traceback\n  x\nOSError: no space\n", ""), "OSError: no space");
        assert_eq!(message("\n", "exit status: 3"), "it ended with exit status: 3 and said nothing");
        assert_eq!(message(&"é".repeat(1000), "").chars().count(), LONGEST_MESSAGE + 1);
    }
}
