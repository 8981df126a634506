//! The SQL shell on a terminal of its own, which `script` of util-linux makes; without `script` nothing is tried here.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const UP: &str = "\u{1b}[A";

/// A terminal with a shell in it.
struct Terminal {
    keys: ChildStdin,
    script: Child,
    written: Arc<Mutex<Vec<u8>>>,
    /// So much of the text has been looked at.
    seen: usize,
}

/// Files that a shell is tried on.
struct Case {
    dir: TempDir,
}

impl Case {
    /// Thirty flow log lines, 443 and 22 in turn, and one that is none.
    fn new() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let mut log = String::from(
            "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action \
             log-status\n",
        );
        for n in 1..=30 {
            let port = if n % 2 == 0 { 443 } else { 22 };
            let action = if n % 2 == 0 { "ACCEPT" } else { "REJECT" };
            log.push_str(&format!(
                "2 123456789012 eni-0a 192.0.2.{n} 198.51.100.7 {} {port} 6 1 {} 1704067200 1704067260 {action} OK\n",
                40_000 + n,
                100 * n
            ));
        }
        log.push_str(
            "2 123456789012 eni-0a 192.0.2.300 198.51.100.7 1 x 6 1 x 1704067200 1704067260 ACCEPT OK\n",
        );
        fs::write(dir.path().join("flow.log"), log).unwrap();
        Case { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self) -> Terminal {
        self.open_with(&[], &[])
    }

    fn open_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let mut command = Command::new("script");
        let shell = format!(
            "stty rows 24 cols 100; exec '{}' sql --from flow.log {}",
            env!("CARGO_BIN_EXE_flowq"),
            args.join(" ")
        );
        command.args(["-q", "-e", "-f", "-c", &shell, "/dev/null"]);
        command.current_dir(self.dir.path());
        for name in ["FLOWQ_STORE", "FLOWQ_QUERIES", "RUST_LOG", "LESS"] {
            command.env_remove(name);
        }
        command.env("SHELL", "/bin/sh");
        command.env("TERM", "xterm-256color");
        command.env("PAGER", "cat");
        command.env("FLOWQ_HISTORY", self.path("history"));
        command.env("NO_COLOR", "1");
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut script = command.spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut reader = script.stdout.take().unwrap();
        let sink = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        let keys = script.stdin.take().unwrap();
        let mut terminal = Terminal { keys, script, written, seen: 0 };
        terminal.expect("flowq> ");
        terminal
    }
}

/// Whether there is a `script` that takes a command the way that of util-linux does.
fn no_terminal() -> bool {
    let tried = Command::new("script")
        .args(["-q", "-e", "-f", "-c", "true", "/dev/null"])
        .stdin(Stdio::null())
        .output();
    let missing = !tried.is_ok_and(|output| output.status.success());
    if missing {
        eprintln!("skipped: no `script` of util-linux to make a terminal with");
    }
    missing
}

impl Terminal {
    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn enter(&mut self, line: &str) {
        self.press(line);
        self.press("\r");
    }

    /// All that was written so far, as bytes.
    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits for a text, and gives what came before it since the last that was waited for.
    #[track_caller]
    fn expect(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let all = plain(&self.raw());
            let new = all.get(self.seen..).unwrap_or("");
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return new[..at].to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "no {text:?} came, but:\n{new}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn ends(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "the shell goes on:\n{}", plain(&self.raw()));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The text without escape sequences.
fn plain(raw: &str) -> String {
    let mut out = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    for c in chars.by_ref() {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

#[test]
fn a_statement_may_go_over_several_lines() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select 20 +");
    terminal.expect("   ..> ");
    terminal.enter("-- a remark;");
    terminal.expect("..> ");
    // A line of a string is kept as it is typed.
    terminal.enter("22 as answer, 'a");
    terminal.expect("..> ");
    terminal.enter("   b' as text;");
    terminal.expect("42  a\\n   b\n");
    terminal.expect("(1 row)\n");
    terminal.expect(" ms\n");
    terminal.expect("flowq> ");
    terminal.press(CTRL_D);
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn backspace_joins_lines() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select 4");
    terminal.expect("   ..> ");
    terminal.press("\u{7f}2");
    terminal.enter(" as n;");
    terminal.expect("42\n");
    terminal.expect("(1 row)\n");
}

#[test]
fn errors_point_and_the_shell_goes_on() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select bytess from flow_logs;");
    terminal.expect("error: ");
    let said = terminal.expect("hint: ");
    assert!(
        said.lines().any(|line| line.trim() == "|        ^"
            || line.trim_end().ends_with("| ^")
            || line.contains('^'))
    );
    terminal.enter("select sum(bytes) + 0 as s from flow_logs;");
    // 100 + 200 + … + 3000
    terminal.expect("46500\n");
    terminal.expect("(1 row)\n");
    terminal.enter(".tabels");
    terminal.expect("error: no command .tabels; did you mean .tables?\n");
    terminal.enter(".inspect flow_log");
    terminal.expect("error: no table flow_log; did you mean flow_logs?\n");
    terminal.enter(".quit");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn refused_lines_are_reported_after_the_result() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select count(distinct srcaddr) + 0 as n from flow_logs;");
    terminal.expect("(1 row)\n");
    terminal.expect("warning: 1 line in 1 file could not be read");
    terminal.expect("flow.log:32");
}

#[test]
fn ctrl_c_clears_the_line_and_ends_the_query() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.press("select 'never entered'");
    terminal.expect("never entered'");
    terminal.press(CTRL_C);
    terminal.expect("flowq> ");
    terminal.enter("select sum(a.value * b.value) as endless from generate_series(1, 10000000) a, generate_series(1, 10000000) b;");
    terminal.expect("b;\n");
    std::thread::sleep(Duration::from_millis(500));
    terminal.press(CTRL_C);
    terminal.expect("cancelled\n");
    terminal.expect("flowq> ");
    terminal.enter("select 40 + 2 as n;");
    terminal.expect("42\n");
    let all = plain(&terminal.raw());
    assert!(!all.contains("error"), "{all}");
}

#[test]
fn a_join_that_was_cancelled_keeps_no_later_statement_waiting() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open_with(&["--threads", "1"], &[]);
    // It finds nothing for a minute, and looks at nothing else meanwhile.
    terminal.enter("select count(*) from generate_series(1, 3000000) a, generate_series(1, 3000000) b where a.value + b.value = -7;");
    terminal.expect("-7;\n");
    std::thread::sleep(Duration::from_millis(1500));
    terminal.press(CTRL_C);
    terminal.expect("cancelled\n");
    terminal.expect("flowq> ");
    terminal.enter("select 40 + 2 as n;");
    terminal.expect("42\n");
}

#[test]
fn tab_completes() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.press("sel\t");
    terminal.expect("select");
    terminal.press(" min(dstp\t");
    terminal.expect("dstport");
    terminal.press(") from fl\t");
    terminal.expect("flow_logs");
    terminal.enter(" where srcp\t > 40010;");
    terminal.expect("srcport");
    terminal.expect("22\n");
    terminal.expect("(1 row)");
    terminal.enter(".insp\tflow_logs");
    terminal.expect("greatest");
}

#[test]
fn the_history_outlives_the_shell() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select 6 * 7");
    terminal.enter("as n;");
    terminal.expect("42\n");
    terminal.expect("flowq> ");
    terminal.press(CTRL_D);
    assert_eq!(terminal.ends(), 0);
    let mut terminal = case.open();
    terminal.press(UP);
    terminal.expect("as n;");
    terminal.press("\r");
    terminal.expect("42\n");
}

#[test]
fn long_results_go_through_the_pager() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open_with(&[], &[("PAGER", "sed 's/^/paged:/'")]);
    terminal.enter("select srcaddr from flow_logs order by srcaddr limit 3;");
    let short = terminal.expect("(3 rows)\n");
    assert!(!short.contains("paged:"), "{short}");
    terminal.enter("select srcaddr from flow_logs order by bytes;");
    terminal.expect("paged:192.0.2.1\n");
    terminal.expect("paged:192.0.2.30\n");
    terminal.expect("paged:(30 rows)\n");
    // Leaving the pager early is no error.
    let mut terminal = case.open_with(&[], &[("PAGER", "head -2")]);
    terminal.enter("select srcaddr from flow_logs;");
    terminal.expect(" ms\n");
    terminal.enter("select 40 + 2 as n;");
    terminal.expect("42\n");
    assert!(!plain(&terminal.raw()).contains("error"));
}

#[test]
fn modes_files_and_named_queries() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    fs::write(
        case.path("script.sql"),
        "-- what is refused\n.mode json\nselect count(*) as refused\nfrom flow_logs\nwhere action = 'REJECT';\n.mode table\n",
    )
    .unwrap();
    let mut terminal = case.open();
    terminal.enter(".mode csv");
    terminal.enter("select dstport, count(*) as n from flow_logs group by dstport order by dstport;");
    terminal.expect("dstport,n\n22,15\n443,15\n");
    terminal.enter(".output out.csv");
    terminal.enter("select 1 as a;");
    terminal.enter("select 2 as b;");
    terminal.enter(".output stdout");
    terminal.enter(".mode nonsense");
    terminal.expect("error: no output format \"nonsense\"");
    assert_eq!(fs::read_to_string(case.path("out.csv")).unwrap(), "a\n1\nb\n2\n");
    terminal.enter(".read script.sql");
    terminal.expect("[{\"refused\":15}]");
    terminal.enter(".read missing.sql");
    terminal.expect("error: cannot read missing.sql");
    terminal.enter(".timer off");
    terminal.enter(".run top_talkers --limit 2");
    terminal.expect("192.0.2.30");
    terminal.expect("192.0.2.29");
    terminal.expect("(2 rows)\n");
    terminal.enter(".run top_talkers --limt 2");
    terminal.expect("did you mean limit?");
    terminal.enter("\\q");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn tables_and_columns_are_told() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("\\dt");
    terminal.expect("alb_health_check_logs");
    terminal.enter("\\d flow_logs");
    terminal.expect("interface_id");
    terminal.expect("rows)\n");
    terminal.enter(".schema quarantine");
    terminal.expect("create table quarantine (\n");
    terminal.expect("source_file");
    terminal.enter(".inspect flow_logs");
    let told = terminal.expect("of all 30 rows\n");
    let line = |column: &str| {
        let line = told.lines().find(|line| line.split_whitespace().next() == Some(column));
        line.unwrap_or_else(|| panic!("no {column} in\n{told}")).split_whitespace().collect::<Vec<_>>()
    };
    // Nulls, distinct values, least, greatest.
    assert_eq!(line("srcport")[2..6], ["0", "30", "40001", "40030"]);
    assert_eq!(line("action")[2..6], ["0", "2", "ACCEPT", "REJECT"]);
    terminal.enter(".help");
    terminal.expect(".run NAME [--param value]");
    terminal.expect(".quit, \\q");
}

#[test]
fn colour_is_the_users_choice() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select 'a' as b;");
    terminal.expect("(1 row)");
    let raw = terminal.raw();
    assert!(!raw.contains("\u{1b}[1;34m") && !raw.contains("\u{1b}[32m"), "{raw}");
    let mut terminal = case.open_with(&["--color", "always"], &[]);
    terminal.enter("select 'a' as b;");
    terminal.expect("(1 row)");
    let raw = terminal.raw();
    assert!(raw.contains("\u{1b}[1;34mselect\u{1b}[0m") && raw.contains("\u{1b}[32m'a'\u{1b}[0m"), "{raw}");
}

#[test]
fn the_cursor_keeps_out_of_the_margin() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open();
    terminal.enter("select 4");
    terminal.expect("   ..> ");
    // The beginning of the second line, then left: the end of the first one.
    terminal.press("s n;\u{1}a\u{1}\u{1b}[D2\r");
    terminal.expect("42\n");
    terminal.expect("(1 row)");
}

#[test]
fn a_result_is_shown_though_its_pager_or_its_file_cannot_be_had() {
    if no_terminal() {
        return;
    }
    let case = Case::new();
    let mut terminal = case.open_with(&[], &[("PAGER", "nosuchpager -x")]);
    terminal.enter("select source_line + 0 as n from flow_logs order by 1;");
    terminal.expect("no pager \"nosuchpager -x\" is to be found");
    terminal.expect("(31 rows)\n");
    terminal.enter(".output x.xyz");
    terminal.expect("no output format has the suffix .xyz");
    terminal.enter("select 40 + 2 as n;");
    terminal.expect("42\n");
    assert!(!case.dir.path().join("x.xyz").exists());
}
