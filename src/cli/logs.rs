//! Which logs a command reads, and which of their records.

use clap::Args;

use super::config::parse_time;
use super::engine::{Engine, EngineArgs, EngineOptions};
use super::{Global, Printer};
use crate::sql::usage::Window;

/// Which logs, and which of their records.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Only records from this time on: 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds, UTC where not said
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only records before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only records of the last so many minutes, hours, days or weeks: 90m, 6h, 2d, 1w
    #[arg(long, value_name = "SPAN", conflicts_with = "from", value_parser = span)]
    since: Option<chrono::TimeDelta>,
    /// Read raw files instead of the store: files, folders, globs, or - for standard input
    #[arg(long, value_name = "PATH", num_args = 1..)]
    raw: Vec<String>,
    #[command(flatten)]
    options: EngineOptions,
}

impl LogArgs {
    /// The logs, as the engine opens them.
    pub fn engine(&self) -> EngineArgs {
        EngineArgs { from: self.raw.clone(), options: self.options.clone() }
    }

    /// Opens the logs.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn open(&self, global: &Global, printer: &Printer) -> anyhow::Result<Engine> {
        Engine::open(&self.engine(), global, printer)
    }

    /// The time from which on records count, as text.
    fn first(&self) -> Option<String> {
        let since = self.since.and_then(|span| chrono::Utc::now().checked_sub_signed(span));
        self.from.clone().or_else(|| since.map(|time| time.timestamp().to_string()))
    }

    /// Whether only records of the last so many hours or days are asked for.
    pub fn is_recent(&self) -> bool {
        self.since.is_some()
    }

    /// The times as parameters of a query: `from` and `to`, where given.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let from = self.first().map(|time| ("from".to_owned(), time));
        from.into_iter().chain(self.to.iter().map(|time| ("to".to_owned(), time.clone())))
    }

    /// The times as a window.
    ///
    /// # Errors
    /// Where a text is no time.
    pub fn window(&self) -> Result<Window, String> {
        let micros = |time: Option<&str>| match time {
            None => Ok(None),
            Some(text) => parse_time(text).map(|at| at.checked_mul(1_000_000)),
        };
        Ok(Window { from: micros(self.first().as_deref())?, to: micros(self.to.as_deref())? })
    }
}

/// `90m`, `6h`, `2d` or `1w`.
pub fn span(text: &str) -> Result<chrono::TimeDelta, String> {
    let parsed = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(number, unit)| {
        let number = number.parse::<u32>().ok().map(i64::from)?;
        match unit {
            "m" => chrono::TimeDelta::try_minutes(number),
            "h" => chrono::TimeDelta::try_hours(number),
            "d" => chrono::TimeDelta::try_days(number),
            "w" => chrono::TimeDelta::try_weeks(number),
            _ => None,
        }
    });
    parsed.ok_or_else(|| "expected a number and m, h, d or w, as in 90m or 2d".to_owned())
}
