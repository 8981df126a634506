//! Names and durability: where a store keeps what, and how a file gets there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{Days, NaiveDate};
use uuid::Uuid;

use super::StoreError;
use crate::format::EVENT_DATE;

/// The folder of flowq's own files in a store.
pub(super) const OWN: &str = "_flowq";
/// Delta's log within a table.
pub(super) const DELTA_LOG: &str = "_delta_log";
/// Delta's (and Hive's) name for the partition of null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";
const PART_PREFIX: &str = "part-";
const PART_SUFFIX: &str = ".zstd.parquet";

/// A data file name that nobody else uses.
pub(super) fn fresh_part() -> String {
    format!("{PART_PREFIX}{}{PART_SUFFIX}", Uuid::new_v4())
}

/// Whether a name was made by [`fresh_part`]: other writers of the table name theirs otherwise, and those are
/// never ours to delete.
pub(super) fn is_part(name: &str) -> bool {
    name.strip_prefix(PART_PREFIX)
        .and_then(|rest| rest.strip_suffix(PART_SUFFIX))
        .is_some_and(|id| id.len() == 36 && Uuid::try_parse(id).is_ok())
}

/// The date in Delta's text form, days counted from 1970-01-01.
pub(super) fn date_text(days: i32) -> String {
    match date_of(days) {
        Some(date) => date.format("%Y-%m-%d").to_string(),
        None => NULL_PARTITION.to_string(),
    }
}

/// Days since 1970-01-01 as a date.
pub(super) fn date_of(days: i32) -> Option<NaiveDate> {
    let epoch = NaiveDate::default();
    if days >= 0 {
        epoch.checked_add_days(Days::new(days.unsigned_abs().into()))
    } else {
        epoch.checked_sub_days(Days::new(days.unsigned_abs().into()))
    }
}

/// A date as days since 1970-01-01.
pub(super) fn days_of(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// Reads [`date_text`] back.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(days_of)
}

/// The folder of a partition within its table.
pub(super) fn partition_folder(date: Option<i32>) -> String {
    match date {
        Some(days) => format!("{EVENT_DATE}={}", date_text(days)),
        None => format!("{EVENT_DATE}={NULL_PARTITION}"),
    }
}

/// The date of the partition in which a file lies, from its path within the table.
pub(super) fn date_of_folder(relative: &str) -> Option<i32> {
    let (folder, _) = relative.split_once('/')?;
    parse_date(folder.strip_prefix(EVENT_DATE)?.strip_prefix('=')?)
}

/// Makes a folder and its parents.
pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("create", path))
}

/// Forces a file's bytes to the disk.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("write", path))
}

/// Forces many files' bytes to the disk, several at a time: most of the time is waiting.
pub(super) fn sync_files(paths: &[PathBuf]) -> Result<(), StoreError> {
    const AT_A_TIME: usize = 8;
    let each = paths.len().div_ceil(AT_A_TIME).max(1);
    std::thread::scope(|scope| {
        let sync = |part: &[PathBuf]| part.iter().try_for_each(|path| sync_file(path));
        let rest: Vec<_> = paths.chunks(each).skip(1).map(|part| scope.spawn(move || sync(part))).collect();
        let mut result = paths.chunks(each).next().map_or(Ok(()), sync);
        for thread in rest {
            let lost = || std::io::Error::other("a thread ended early");
            result = result.and(
                thread.join().unwrap_or_else(|_| Err(StoreError::io("write", Path::new("files"))(lost()))),
            );
        }
        result
    })
}

/// Forces a folder's names to the disk. Where folders cannot be opened (Windows) the file system does it itself.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) { sync_file(path) } else { Ok(()) }
}

/// Deletes a file; that it is gone already is no error.
pub(super) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("delete", path)(error)),
        _ => Ok(()),
    }
}

/// Writes a file that is there whole or not at all, whatever happens meanwhile.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary(path);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(StoreError::io("write", &temporary));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    super::crash_point("temporary-written");
    fs::rename(&temporary, path).map_err(StoreError::io("write", path))?;
    match path.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// The ending of files that are still being written.
pub(super) const TEMPORARY: &str = "tmp";

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or(OsStr::new("file")).to_string_lossy();
    path.with_file_name(format!("{name}.{}.{TEMPORARY}", Uuid::new_v4()))
}

/// The names in a folder; none where there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("read", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("read", folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_parts() {
        assert!(is_part(&fresh_part()));
        for other in [
            "part-00000-5e68c265-4989-4acb-8620-98a26ab5cd07-c000.snappy.parquet",
            "part-.zstd.parquet",
            "part-5e68c265-4989-4acb-8620-98a26ab5cd07.parquet",
            "5e68c265-4989-4acb-8620-98a26ab5cd07.zstd.parquet",
        ] {
            assert!(!is_part(other), "{other}");
        }
    }

    #[test]
    fn partitions_are_named_by_date() {
        assert_eq!(partition_folder(Some(0)), "event_date=1970-01-01");
        assert_eq!(partition_folder(Some(20_468)), "event_date=2026-01-15");
        assert_eq!(partition_folder(Some(-1)), "event_date=1969-12-31");
        assert_eq!(partition_folder(None), "event_date=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(parse_date("2026-01-15"), Some(20_468));
        assert_eq!(date_of_folder("event_date=2026-01-15/part-x.parquet"), Some(20_468));
        assert_eq!(date_of_folder("part-x.parquet"), None);
        assert_eq!(parse_date("__HIVE_DEFAULT_PARTITION__"), None);
    }
}
