//! Looking after a store: what it holds, fewer and larger files, forgetting old days.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::batch::Changes;
use super::delta::DataFile;
use super::merge::{self, FILES_AT_ONCE};
use super::pending::Operation;
use super::{LEDGER_TABLE, Store, StoreError, StoreLock, TABLES, files};
use crate::format::LogKind;

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreInfo {
    /// Each table that is there.
    pub tables: Vec<TableInfo>,
    /// Data files of all tables.
    pub files: u64,
    /// Rows of all log tables.
    pub log_rows: u64,
    /// Bytes of all data files.
    pub bytes: u64,
    /// Bytes of files that are no longer in a table and still on disk for readers of older versions.
    pub replaced_bytes: u64,
}

/// What a table holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableInfo {
    /// Its name.
    pub table: String,
    /// Delta's version of it.
    pub version: u64,
    /// Data files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of its data files.
    pub bytes: u64,
    /// Days of which it has rows.
    pub days: u64,
    /// The first and the last of these days.
    pub day_range: Option<(NaiveDate, NaiveDate)>,
    /// The earliest and the latest time of a row, microseconds since 1970, to the millisecond.
    pub time_range: Option<(i64, i64)>,
}

/// What compaction did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizeReport {
    /// Files that were merged.
    pub files_before: u64,
    /// Files that came of them.
    pub files_after: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Replaced files that were deleted, those of earlier runs included.
    pub files_deleted: u64,
    /// Their bytes.
    pub bytes_deleted: u64,
    /// Replaced files that are too young to be deleted.
    pub files_kept: u64,
    /// Their bytes.
    pub bytes_kept: u64,
}

/// What forgetting removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForgetReport {
    /// Per table: rows and bytes.
    pub tables: Vec<(String, u64, u64)>,
    /// Rows of all.
    pub rows: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Files of all.
    pub files: u64,
    /// Days of all.
    pub days: u64,
}

impl Store {
    /// What the store holds, from the tables' statistics: no data file is opened.
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        let mut info = StoreInfo::default();
        for table in TABLES {
            let Some(snapshot) = self.snapshot(table)? else { continue };
            let kind = LogKind::from_table(table);
            let days: BTreeSet<i32> = snapshot.files.iter().filter_map(|file| file.date).collect();
            let mut times: Option<(i64, i64)> = None;
            for file in &snapshot.files {
                if let Some((min, max)) = kind.and_then(|kind| time_range(file, kind.time_column())) {
                    times = Some(times.map_or((min, max), |(low, high)| (low.min(min), high.max(max))));
                }
            }
            let day = |day: Option<&i32>| day.and_then(|&day| files::date_of(day));
            let summary = TableInfo {
                table: table.to_string(),
                version: snapshot.version,
                files: count(snapshot.files.len()),
                rows: snapshot.files.iter().map(|file| file.rows).sum(),
                bytes: snapshot.files.iter().map(|file| file.size).sum(),
                days: count(days.len()),
                day_range: day(days.first()).zip(day(days.last())),
                time_range: times,
            };
            info.files += summary.files;
            info.bytes += summary.bytes;
            info.log_rows += if kind.is_some() { summary.rows } else { 0 };
            for tombstone in self.tables().tombstones(table)? {
                let path = self.tables().folder(table).join(&tombstone.relative);
                info.replaced_bytes += fs::metadata(path).map_or(0, |metadata| metadata.len());
            }
            info.tables.push(summary);
        }
        Ok(info)
    }

    /// Merges small files of the same table and day into files of about `target_bytes`, in order of time, and deletes
    /// replaced files once they are older than `retention`: a reader may still be at them. `progress` is told of the
    /// bytes that were merged and of those that there are to merge.
    pub fn optimize(
        &self,
        lock: &StoreLock,
        target_bytes: u64,
        retention: Duration,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<OptimizeReport, StoreError> {
        self.check(lock)?;
        let mut report = OptimizeReport::default();
        for table in TABLES.into_iter().filter(|&table| table != LEDGER_TABLE) {
            // What comes of many tiny files may be small itself, hence again until nothing is left to merge.
            while self.optimize_once(lock, table, target_bytes, &mut report, progress)? {}
        }
        self.delete_replaced(retention, &mut report)?;
        Ok(report)
    }

    /// One pass over a table; whether there was something to merge.
    fn optimize_once(
        &self,
        lock: &StoreLock,
        table: &str,
        target_bytes: u64,
        report: &mut OptimizeReport,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<bool, StoreError> {
        let Some(snapshot) = self.snapshot(table)? else { return Ok(false) };
        let groups = groups(table, snapshot.files, target_bytes);
        if groups.is_empty() {
            return Ok(false);
        }
        let mut batch = self.begin(lock)?;
        let number = batch.number()?;
        let mut changes = Changes::new(self.tables());
        let total = groups.iter().flatten().map(|file| file.size).sum();
        let mut done = 0;
        let mut pass = OptimizeReport::default();
        for group in &groups {
            let date = group.first().and_then(|file| file.date);
            let to = batch.data_path(table, date)?;
            let stats = merge::merge(table, group, &to)?;
            pass.bytes_after += fs::metadata(&to).map_err(StoreError::io("find", &to))?.len();
            pass.files_after += 1;
            changes.add_as(table, date, to, &stats, false)?;
            for file in group {
                changes.remove(table, file, false);
                pass.files_before += 1;
                done += file.size;
            }
            progress(done, total);
        }
        batch.decide(number, changes, Operation::Optimize, Vec::new())?;
        report.files_before += pass.files_before;
        report.files_after += pass.files_after;
        report.bytes_before += done;
        report.bytes_after += pass.bytes_after;
        Ok(true)
    }

    /// Deletes files that were removed from their tables longer ago than that.
    fn delete_replaced(&self, retention: Duration, report: &mut OptimizeReport) -> Result<(), StoreError> {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let limit = Utc::now().timestamp_millis().saturating_sub(retention);
        for table in TABLES {
            for tombstone in self.tables().tombstones(table)? {
                let path = self.tables().folder(table).join(&tombstone.relative);
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if tombstone.deleted_at.is_some_and(|at| at <= limit) {
                    files::remove_file(&path)?;
                    report.files_deleted += 1;
                    report.bytes_deleted += metadata.len();
                } else {
                    report.files_kept += 1;
                    report.bytes_kept += metadata.len();
                }
            }
        }
        Ok(())
    }

    /// What [`Store::forget`] would remove.
    pub fn forgettable(&self, before: NaiveDate) -> Result<ForgetReport, StoreError> {
        let mut report = ForgetReport::default();
        let mut days = BTreeSet::new();
        for kind in LogKind::ALL {
            let found = self.older(kind, before)?;
            if found.is_empty() {
                continue;
            }
            let rows = found.iter().map(|file| file.rows).sum();
            let bytes = found.iter().map(|file| file.size).sum();
            days.extend(found.iter().filter_map(|file| file.date));
            report.files += count(found.len());
            report.rows += rows;
            report.bytes += bytes;
            report.tables.push((kind.table().to_string(), rows, bytes));
        }
        report.days = count(days.len());
        Ok(report)
    }

    /// Removes the days before a date from every log table and deletes their files at once, so that a query that is
    /// reading them fails. Rows without a date, refused lines and the ledger stay: an input that has been read is not
    /// read again although its rows are forgotten.
    pub fn forget(&self, lock: &StoreLock, before: NaiveDate) -> Result<ForgetReport, StoreError> {
        self.check(lock)?;
        let report = self.forgettable(before)?;
        let mut batch = self.begin(lock)?;
        let number = batch.number()?;
        let mut changes = Changes::new(self.tables());
        let mut delete = Vec::new();
        let mut folders = BTreeSet::new();
        for kind in LogKind::ALL {
            for file in self.older(kind, before)? {
                changes.remove(kind.table(), &file, true);
                folders.extend(file.path.parent().map(|folder| folder.to_path_buf()));
                delete.push(format!("{}/{}", kind.table(), file.relative));
            }
            // Files that were replaced hold the same rows.
            for tombstone in self.tables().tombstones(kind.table())? {
                let path = self.tables().folder(kind.table()).join(&tombstone.relative);
                let date = files::date_of_folder(&tombstone.relative);
                if date.is_some_and(|date| date < files::days_of(before)) && path.exists() {
                    folders.extend(path.parent().map(|folder| folder.to_path_buf()));
                    delete.push(format!("{}/{}", kind.table(), tombstone.relative));
                }
            }
        }
        if delete.is_empty() {
            return Ok(report);
        }
        batch.decide(number, changes, Operation::Delete, delete)?;
        for folder in folders {
            // It stays where another writer keeps something in it.
            let _ = fs::remove_dir(folder);
        }
        Ok(report)
    }

    fn older(&self, kind: LogKind, before: NaiveDate) -> Result<Vec<DataFile>, StoreError> {
        let before = files::days_of(before);
        let files = self.snapshot(kind.table())?.map_or_else(Vec::new, |snapshot| snapshot.files);
        Ok(files.into_iter().filter(|file| file.date.is_some_and(|date| date < before)).collect())
    }
}

/// Files to merge, by day, in order of time.
pub(super) fn groups(table: &str, all: Vec<DataFile>, target_bytes: u64) -> Vec<Vec<DataFile>> {
    let small = target_bytes.saturating_mul(3) / 4;
    let limit = target_bytes.saturating_mul(5) / 4;
    let time_column = LogKind::from_table(table).map_or("ingested_at", LogKind::time_column);
    let mut days: BTreeMap<Option<i32>, Vec<(i64, DataFile)>> = BTreeMap::new();
    for file in all.into_iter().filter(|file| file.size < small) {
        let start = time_range(&file, time_column).map_or(i64::MAX, |(start, _)| start);
        days.entry(file.date).or_default().push((start, file));
    }
    let mut groups = Vec::new();
    for (_, mut day) in days {
        day.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.relative.cmp(&y.relative)));
        let mut group: Vec<DataFile> = Vec::new();
        let mut bytes: u64 = 0;
        for (_, file) in day {
            if group.len() >= FILES_AT_ONCE || bytes.saturating_add(file.size) > limit {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            bytes = bytes.saturating_add(file.size);
            group.push(file);
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// The bounds of a time column in a file's statistics, microseconds since 1970.
fn time_range(file: &DataFile, column: &str) -> Option<(i64, i64)> {
    let stats: Value = serde_json::from_str(file.stats.as_ref()?).ok()?;
    let bound = |which: &str| {
        let text = stats.get(which)?.get(column)?.as_str()?;
        Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
    };
    Some((bound("minValues")?, bound("maxValues")?))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
