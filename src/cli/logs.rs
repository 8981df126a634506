//! Which logs a command reads, and which of their records.

use chrono::{TimeDelta, Utc};
use clap::Args;

use super::config::parse_time;
use super::engine::{Engine, EngineArgs, EngineOptions};
use super::{Global, Printer};
use crate::sql::queries::typed_time;
use crate::sql::usage::Window;

/// Which records, where `--from` names files.
#[derive(Clone, Debug, Default, Args)]
pub struct WindowArgs {
    /// Only records that begin at this time (UTC where not said) or later, or in the last so many minutes, hours, days or weeks:
    /// 2026-01-15, 2026-01-15T10:30:00Z, 90m, 6h, 2d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only records that begin before this time
    #[arg(long, value_name = "TIME", value_parser = micros)]
    until: Option<i64>,
}

impl WindowArgs {
    /// The times as a window.
    pub fn window(&self) -> Window {
        Window { from: self.since.map(Since::micros), to: self.until }
    }

    /// Whether only records of the last so many hours or days are asked for.
    pub fn is_recent(&self) -> bool {
        matches!(self.since, Some(Since::Ago(_)))
    }

    /// Whether any of both is given.
    pub fn is_given(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(TimeDelta),
    /// Microseconds since 1970.
    Time(i64),
}

impl Since {
    /// Microseconds since 1970.
    fn micros(self) -> i64 {
        match self {
            // What no calendar holds is before all logs.
            Since::Ago(span) => Utc::now().checked_sub_signed(span).map_or(0, |time| time.timestamp_micros()),
            Since::Time(micros) => micros,
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    match span(text) {
        Ok(span) => Ok(Since::Ago(span)),
        Err(_) => micros(text)
            .map(Since::Time)
            .map_err(|error| format!("{error}; or a length of time, as in 90m or 2d")),
    }
}

/// Microseconds since 1970 of a time as users type it.
fn micros(text: &str) -> Result<i64, String> {
    parse_time(text)?;
    typed_time(text).ok_or_else(String::new)
}

/// Which logs, and which of their records.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// Only records that begin at this time or later: 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds, UTC where not said
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only records that begin before this time
    #[arg(long, value_name = "TIME", visible_alias = "until")]
    to: Option<String>,
    /// Only records of the last so many minutes, hours, days or weeks: 90m, 6h, 2d, 1w; or as --from
    #[arg(long, value_name = "SPAN", conflicts_with = "from", value_parser = since)]
    since: Option<Since>,
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
        let since = self.since.and_then(|since| chrono::DateTime::from_timestamp_micros(since.micros()));
        self.from.clone().or_else(|| since.map(|time| time.to_rfc3339()))
    }

    /// Whether only records of the last so many hours or days are asked for.
    pub fn is_recent(&self) -> bool {
        matches!(self.since, Some(Since::Ago(_)))
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
        let time = |text: Option<&str>| text.map(micros).transpose();
        Ok(Window { from: time(self.first().as_deref())?, to: time(self.to.as_deref())? })
    }
}

/// `90m`, `6h`, `2d` or `1w`.
pub fn span(text: &str) -> Result<TimeDelta, String> {
    let parsed = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(number, unit)| {
        let number = number.parse::<u32>().ok().map(i64::from)?;
        match unit {
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            "w" => TimeDelta::try_weeks(number),
            _ => None,
        }
    });
    parsed.ok_or_else(|| "expected a number and m, h, d or w, as in 90m or 2d".to_owned())
}

/// How many rows are shown: none would read as if there were none.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "expected a number from 1 on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_length_of_time_or_a_time() {
        assert_eq!(since("90m"), Ok(Since::Ago(TimeDelta::minutes(90))));
        // 2026-01-15T10:30:00Z is 1768473000 Unix seconds, and no minutes: the unit is not there.
        for text in ["2026-01-15T10:30:00Z", "2026-01-15 10:30", "1768473000"] {
            assert_eq!(since(text), Ok(Since::Time(1_768_473_000_000_000)), "{text}");
        }
        for text in ["soon", "", "90", "90x"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_rows_are_not_asked_for() {
        assert_eq!(at_least_one("1"), Ok(1));
        assert!(at_least_one("0").is_err() && at_least_one("-1").is_err() && at_least_one("all").is_err());
    }
}
