//! `flowq config pull`: asks AWS for the network's configuration by the user's own `aws` command, keeps each answer as a
//! file with the time of its capture, and imports the files.

mod aws;
mod calls;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::aws::{Aws, CallError};
use self::calls::{Call, Further};
use super::{count_column, import, print, text_column, time_text};
use crate::cli::{Global, Printer, exit};
use crate::network::Timestamp;
use crate::store::Store;
use crate::store::config::Import;

/// AWS throttles describe calls by account and Region: so many at a time stay well below.
const AT_A_TIME: usize = 4;

/// An answer of more pages repeats itself.
const MOST_PAGES: usize = 10_000;

/// The folder of an account that `sts get-caller-identity` did not tell.
const UNKNOWN_ACCOUNT: &str = "unknown-account";

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where the answers are kept: DIR/ACCOUNT/REGION/CALL.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A profile of the AWS configuration
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// A Region (repeatable) [default: that of the environment or of the AWS configuration]
    #[arg(long, value_name = "REGION", value_parser = parse_region)]
    region: Vec<String>,
    /// Every Region that is enabled for the account
    #[arg(long, conflicts_with = "region")]
    all_regions: bool,
    /// The aws command
    #[arg(long, value_name = "PATH", default_value = "aws")]
    aws: PathBuf,
    /// Keep the answers, but import nothing
    #[arg(long)]
    no_import: bool,
    /// The exit code is 3 where a call fails or something in an answer cannot be read
    #[arg(long)]
    strict: bool,
}

/// Regions become folders.
fn parse_region(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected a Region such as us-east-1".to_owned())
    }
}

/// What AWS said, and about what: the form that an import takes account, Region and time from.
#[derive(Serialize)]
struct Envelope<'a> {
    captured_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    region: &'a str,
    command: Vec<&'a str>,
    output: &'a RawValue,
}

/// Where something is asked.
struct Place<'a> {
    aws: &'a Aws,
    account: Option<&'a str>,
    region: &'a str,
    folder: PathBuf,
}

/// What became of a call.
struct Line {
    region: String,
    call: Call,
    files: Vec<PathBuf>,
    error: Option<CallError>,
    objects: usize,
    problems: usize,
    state: &'static str,
}

pub fn run(args: &PullArgs, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let cancel = Arc::new(AtomicBool::new(false));
    let on_signal = cancel.clone();
    // A second Ctrl-C ends the process at once.
    ctrlc::set_handler(move || {
        if on_signal.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
    })
    .context("cannot listen for Ctrl-C")?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let aws = Aws { command: args.aws.clone(), profile: args.profile.clone(), cancel: cancel.clone() };
    match pull(args, &aws, global, printer) {
        Err(error) if matches!(error.downcast_ref(), Some(CallError::Interrupted)) => {
            printer.error(&format!(
                "interrupted: nothing was imported; the answers so far are in {} (flowq config import reads them)",
                args.out.display()
            ));
            Ok(exit::INTERRUPTED)
        }
        other => other,
    }
}

fn pull(args: &PullArgs, aws: &Aws, global: &Global, printer: &Printer) -> anyhow::Result<u8> {
    let regions = regions(args, aws)?;
    let account = match identity(aws, regions.first().map(String::as_str)) {
        Ok(account) => Some(account),
        Err(error @ (CallError::Missing { .. } | CallError::Interrupted)) => return Err(error.into()),
        Err(CallError::Failed(text)) if is_about_credentials(&text) => {
            anyhow::bail!("{text} (log in, or choose a profile with --profile)")
        }
        Err(error) => {
            printer.warn(&format!("sts get-caller-identity: {error}: the account is not known"));
            None
        }
    };
    let mut lines = Vec::new();
    for region in &regions {
        let folder = args.out.join(account.as_deref().unwrap_or(UNKNOWN_ACCOUNT)).join(region);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let place = Place { aws, account: account.as_deref(), region, folder };
        printer.note(&format!("asking {region} of account {}", account.as_deref().unwrap_or("unknown")));
        let (first, further) = place.ask_all(calls::once())?;
        lines.extend(first);
        lines.extend(place.ask_all(further)?.0);
    }
    for line in &lines {
        if let Some(error) = &line.error {
            let error = error.to_string();
            let denied = ["UnauthorizedOperation", "AccessDenied", "not authorized"];
            let hint = match denied.iter().any(|word| error.contains(word)) {
                true => format!(" (allow {} to this identity)", line.call.action()),
                false => String::new(),
            };
            printer.error(&format!("{} {}: {error}{hint}", line.region, line.call));
        }
    }
    if !args.no_import && lines.iter().any(|line| !line.files.is_empty()) {
        take_in(&mut lines, global, printer)?;
    }
    report(&lines, args, account.as_deref(), printer)?;
    let failed = lines.iter().filter(|line| line.error.is_some()).count();
    let problems = lines.iter().any(|line| line.problems > 0);
    Ok(if failed == lines.len() {
        exit::FAILED
    } else if args.strict && (failed > 0 || problems) {
        exit::REFUSED
    } else {
        0
    })
}

/// Where nothing else can succeed either.
fn is_about_credentials(text: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "credentials",
        "could not be found",
        "ExpiredToken",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
        "AuthFailure",
        "InvalidAccessKeyId",
        "aws sso login",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

fn identity(aws: &Aws, region: Option<&str>) -> Result<String, CallError> {
    #[derive(Deserialize)]
    struct Identity {
        #[serde(rename = "Account")]
        account: String,
    }
    let answer = aws.run(&["sts", "get-caller-identity", "--output", "json"], region)?;
    match serde_json::from_slice::<Identity>(&answer) {
        // It becomes a folder.
        Ok(Identity { account }) if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(account)
        }
        _ => Err(CallError::Failed("the answer names no account of twelve digits".to_owned())),
    }
}

/// As asked; else as the AWS CLI itself would choose.
fn regions(args: &PullArgs, aws: &Aws) -> anyhow::Result<Vec<String>> {
    if !args.region.is_empty() {
        let mut regions = args.region.clone();
        let mut seen = std::collections::HashSet::new();
        regions.retain(|region| seen.insert(region.clone()));
        return Ok(regions);
    }
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    let configured = match variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
        Some(region) => Some(region),
        None => match aws.run(&["configure", "get", "region"], None) {
            Ok(text) => {
                Some(String::from_utf8_lossy(&text).trim().to_owned()).filter(|text| !text.is_empty())
            }
            // It fails where none is set.
            Err(CallError::Failed(_)) => None,
            Err(error) => return Err(error.into()),
        },
    };
    if args.all_regions {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "Regions")]
            regions: Vec<Region>,
        }
        #[derive(Deserialize)]
        struct Region {
            #[serde(rename = "RegionName")]
            name: String,
        }
        let asked = configured.as_deref().unwrap_or("us-east-1");
        let answer = aws
            .run(&["ec2", "describe-regions", "--output", "json"], Some(asked))
            .context("the Regions cannot be listed (name them with --region)")?;
        let answer: Answer =
            serde_json::from_slice(&answer).context("ec2 describe-regions answered something else")?;
        let mut names: Vec<String> =
            answer.regions.into_iter().filter_map(|region| parse_region(&region.name).ok()).collect();
        names.sort();
        anyhow::ensure!(!names.is_empty(), "no Region is enabled for the account");
        return Ok(names);
    }
    match configured {
        Some(region) => Ok(vec![parse_region(&region).map_err(|hint| anyhow::anyhow!("{region}: {hint}"))?]),
        None => anyhow::bail!("no Region is configured (give --region REGION, or --all-regions)"),
    }
}

impl Place<'_> {
    /// Makes calls, several at a time; their lines in the calls' order, and the calls that follow from the answers.
    fn ask_all(&self, calls: Vec<Call>) -> anyhow::Result<(Vec<Line>, Vec<Call>)> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(calls.len()));
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME.min(calls.len()) {
                scope.spawn(|| {
                    while let Some((at, call)) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, calls.get(at)?)))
                    {
                        let answer = self.ask(call);
                        let is_over = matches!(answer, Err(Stop::Interrupted | Stop::Disk(_)));
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((at, answer));
                        if is_over {
                            break;
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        let (mut lines, mut further) = (Vec::with_capacity(done.len()), Vec::new());
        for ((_, answer), call) in done.into_iter().zip(calls) {
            let (files, error) = match answer {
                Ok(Answer { files, calls, error }) => {
                    further.extend(calls);
                    (files, error)
                }
                Err(Stop::Interrupted) => return Err(CallError::Interrupted.into()),
                Err(Stop::Disk(error)) => return Err(error),
            };
            let state = match (&error, files.is_empty()) {
                (Some(_), _) => "failed",
                (None, true) => "nothing",
                (None, false) => "written",
            };
            let region = self.region.to_owned();
            lines.push(Line { region, call, files, error, objects: 0, problems: 0, state });
        }
        Ok((lines, further))
    }

    /// Makes a call and writes its answer, which may be of several pages.
    fn ask(&self, call: &Call) -> Result<Answer, Stop> {
        let mut answer = Answer::default();
        // Pages are one capture: their time is that of the first.
        let at = chrono::Utc::now().timestamp();
        let mut token: Option<String> = None;
        for page in 1..=MOST_PAGES {
            let mut words = call.words();
            words.extend(token.iter().flat_map(|token| ["--next-token", token.as_str()]));
            words.extend(["--output", "json"]);
            let text = match self.aws.run(&words, Some(self.region)) {
                Ok(text) => text,
                Err(CallError::Interrupted) => return Err(Stop::Interrupted),
                Err(error) => {
                    answer.error = Some(error);
                    return Ok(answer);
                }
            };
            // The CLI writes nothing where an answer has no members.
            if text.iter().all(u8::is_ascii_whitespace) {
                return Ok(answer);
            }
            let output: &RawValue = match serde_json::from_slice(&text) {
                Ok(output) => output,
                Err(error) => {
                    answer.error = Some(CallError::Failed(format!("the answer is not JSON: {error}")));
                    return Ok(answer);
                }
            };
            let name = match page {
                1 => call.file(),
                page => format!("{}.page-{page}.json", call.file().trim_end_matches(".json")),
            };
            let path = self.folder.join(name);
            self.write(&path, call, at, output).map_err(Stop::Disk)?;
            answer.files.push(path);
            let Further { calls, next } = call.further(&text);
            answer.calls.extend(calls);
            match next {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => break,
            }
        }
        Ok(answer)
    }

    /// Writes an answer, whole or not at all.
    fn write(&self, path: &Path, call: &Call, at: Timestamp, output: &RawValue) -> anyhow::Result<()> {
        let mut command = vec!["aws"];
        command.extend(call.words());
        command.extend(["--region", self.region]);
        let captured_at = time_text(at);
        let envelope = Envelope { captured_at, account: self.account, region: self.region, command, output };
        let mut text = serde_json::to_vec(&envelope).context("cannot write JSON")?;
        text.push(b'\n');
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(beside);
        let written = fs::File::create(&beside)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // That it cannot be written is the error to tell.
            let _ = fs::remove_file(&beside);
        }
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// An answer, and the error that broke it off.
#[derive(Default)]
struct Answer {
    files: Vec<PathBuf>,
    calls: Vec<Call>,
    error: Option<CallError>,
}

/// What ends a pull.
enum Stop {
    Interrupted,
    Disk(anyhow::Error),
}

/// Imports the files, as one import.
fn take_in(lines: &mut [Line], global: &Global, printer: &Printer) -> anyhow::Result<()> {
    let store = Store::open_or_create(&global.store)?;
    let lock = store.lock(&mut || printer.note("an ingest holds the store; waiting for it"))?;
    let mut import = Import::new(&store, &lock)?;
    let now = chrono::Utc::now().timestamp();
    for line in lines {
        for path in &line.files {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            match import.add(&path.display().to_string(), &text, None, now) {
                Ok(imported) => {
                    import::tell(&imported.problems, printer);
                    line.objects = line.objects.saturating_add(import::objects(&imported.document));
                    line.problems = line.problems.saturating_add(imported.problems.len());
                    if line.error.is_none() {
                        line.state = "imported";
                    }
                }
                Err(error) => {
                    printer.error(&error.to_string());
                    line.problems = line.problems.saturating_add(1);
                    line.state = "refused";
                }
            }
        }
    }
    Ok(import.commit()?)
}

fn report(lines: &[Line], args: &PullArgs, account: Option<&str>, printer: &Printer) -> anyhow::Result<()> {
    let file = |line: &Line| line.files.first().map(|path| path.display().to_string()).unwrap_or_default();
    let columns = vec![
        ("account", text_column(lines.iter().map(|_| account.unwrap_or_default()))),
        ("region", text_column(lines.iter().map(|line| &line.region))),
        ("call", text_column(lines.iter().map(|line| line.call.to_string()))),
        ("objects", count_column(lines.iter().map(|line| line.objects))),
        ("problems", count_column(lines.iter().map(|line| line.problems))),
        ("state", text_column(lines.iter().map(|line| line.state))),
        ("file", text_column(lines.iter().map(file))),
    ];
    print(columns, printer)?;
    let failed = lines.iter().filter(|line| line.error.is_some()).count();
    let files: usize = lines.iter().map(|line| line.files.len()).sum();
    let imported = if args.no_import { "not imported" } else { "imported" };
    printer.note(&format!(
        "{} calls: {} answered, {failed} failed; {files} files in {}, {imported} (the aws command fetches all pages \
         of an answer itself)",
        lines.len(),
        lines.len().saturating_sub(failed),
        args.out.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_plain_words() {
        assert!(["us-east-1", "us-gov-west-1", "mx-central-1"].iter().all(|text| parse_region(text).is_ok()));
        assert!(
            ["", "..", "../x", "--profile", "US-EAST-1", "a/b"]
                .iter()
                .all(|text| parse_region(text).is_err())
        );
    }

    #[test]
    fn what_no_call_survives_is_told_apart() {
        assert!(is_about_credentials(
            "Unable to locate credentials. You can configure credentials by running \"aws configure\"."
        ));
        assert!(is_about_credentials("The config profile (x) could not be found"));
        assert!(!is_about_credentials(
            "Could not connect to the endpoint URL: \"https://sts.amazonaws.com/\""
        ));
    }
}
