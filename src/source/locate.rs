//! From what the user typed to the list of objects to read: files, folders, globs and standard input.
//!
//! Nothing is opened here. What is left out is reported with its reason, what cannot be listed is an error value with a
//! hint, and neither stops the rest. The list is in time order as far as keys tell, each object once, however many
//! inputs lead to it.

mod problems;

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use walkdir::WalkDir;

use super::absolute::path_of_name;
use super::keys::{KeyKind, ObjectKey};
use problems::nearest_sibling;
pub use problems::{LocateError, SkipReason, Skipped};

/// The input that stands for standard input.
pub const STDIN: &str = "-";

/// An object to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The path as shown to the user; a relative one stays as typed.
    pub path: String,
    /// Size in bytes as listed; 0 for standard input.
    pub size: u64,
    /// Last modification in Unix nanoseconds; 0 where unknown.
    pub modified: i64,
    /// What the path says about the log.
    pub key: ObjectKey,
    /// The real path where `path` could not hold it (names that are not UTF-8).
    native: Option<Box<Path>>,
}

impl Located {
    /// An object at a path, not looked up.
    pub fn at(path: &str) -> Located {
        Located { path: path.to_owned(), size: 0, modified: 0, key: ObjectKey::parse(path), native: None }
    }

    /// A file that has been located before, if it has not changed since: the same size, in bytes, and the same time of
    /// modification, in Unix nanoseconds.
    pub fn again(path: &str, size: u64, modified: i64) -> Option<Located> {
        let file = path_of_name(path);
        let data = std::fs::metadata(&file).ok().filter(Metadata::is_file)?;
        let same = data.len() == size && data.modified().ok().map(unix_nanos) == Some(modified);
        let native = file.to_str().is_none().then(|| file.into_boxed_path());
        same.then(|| Located { size, modified, native, ..Located::at(path) })
    }

    /// AWS's own name of the object, wherever it has been copied to; `None` where the name is not AWS's. AWS puts account,
    /// region, time and a random part into it, so the name alone says which object it is.
    pub fn object_id(&self) -> Option<String> {
        let key = &self.key;
        if key.account.is_none() || key.region.is_none() || key.stamp.is_none() {
            return None;
        }
        Path::new(&self.path).file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// The path to open.
    pub fn file(&self) -> &Path {
        self.native.as_deref().unwrap_or(Path::new(&self.path))
    }

    /// Whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        self.native.is_none() && self.path == STDIN
    }
}

/// What the inputs led to.
#[derive(Debug, Default)]
pub struct Found {
    /// The objects to read, in time order as far as their keys tell.
    pub objects: Vec<Located>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// The inputs, or folders in them, that could not be listed.
    pub problems: Vec<LocateError>,
}

/// Lists what the inputs hold. `store` is the folder of the store in use, which is never read as input.
pub fn locate<S: AsRef<str>>(inputs: &[S], store: Option<&Path>) -> Found {
    let mut walk = Walk {
        found: Found::default(),
        files: HashSet::new(),
        folders: HashSet::new(),
        store: store.and_then(|store| std::fs::metadata(store).ok().map(|data| Inode::new(store, &data))),
    };
    for input in inputs {
        walk.add_input(input.as_ref());
    }
    let mut found = walk.found;
    found.objects.sort_by(|a, b| order(a).cmp(&order(b)));
    found
}

fn order(object: &Located) -> (bool, i64, &str) {
    (!object.is_stdin(), object.key.order_time().unwrap_or(i64::MAX), &object.path)
}

/// What makes two paths one file. Where the platform has no inodes: the canonical path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inode {
    #[cfg(unix)]
    numbers: (u64, u64),
    /// With several hard links the inode alone would hide all names but one.
    path: Option<PathBuf>,
}

impl Inode {
    #[cfg(unix)]
    fn new(path: &Path, data: &Metadata) -> Inode {
        use std::os::unix::fs::MetadataExt;
        let linked = data.is_file() && data.nlink() > 1;
        let path = if linked { std::fs::canonicalize(path).ok() } else { None };
        Inode { numbers: (data.dev(), data.ino()), path }
    }

    #[cfg(not(unix))]
    fn new(path: &Path, _data: &Metadata) -> Inode {
        Inode { path: Some(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())) }
    }
}

struct Walk {
    found: Found,
    files: HashSet<Inode>,
    folders: HashSet<Inode>,
    store: Option<Inode>,
}

impl Walk {
    fn add_input(&mut self, input: &str) {
        if input == STDIN {
            if !self.found.objects.iter().any(Located::is_stdin) {
                self.found.objects.push(Located::at(STDIN));
            }
            return;
        }
        let path = Path::new(input);
        match std::fs::metadata(path) {
            Ok(data) => self.add_path(path, &data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if input.starts_with("s3://") {
                    self.found.problems.push(LocateError::RemoteUrl { url: input.to_owned() });
                } else if input.contains(['*', '?', '[']) {
                    self.add_glob(input);
                } else if path.is_symlink() {
                    self.found.problems.push(LocateError::BrokenLink { path: input.to_owned() });
                } else {
                    let nearest = nearest_sibling(path);
                    self.found.problems.push(LocateError::NotFound { path: input.to_owned(), nearest });
                }
            }
            Err(error) => self.problem(input.to_owned(), error),
        }
    }

    fn add_path(&mut self, path: &Path, data: &Metadata) {
        if data.is_dir() { self.add_folder(path) } else { self.add_file(path, data, true) }
    }

    fn add_folder(&mut self, root: &Path) {
        let mut walker = WalkDir::new(root).follow_links(true).into_iter();
        while let Some(entry) = walker.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.walk_problem(root, error);
                    continue;
                }
            };
            let path = entry.path();
            let data = match entry.metadata() {
                Ok(data) => data,
                Err(error) => {
                    self.walk_problem(root, error);
                    continue;
                }
            };
            if !entry.file_type().is_dir() {
                self.add_file(path, &data, false);
                continue;
            }
            let inode = Inode::new(path, &data);
            let reason = if entry.depth() > 0 && is_hidden(path) {
                Some(SkipReason::Hidden)
            } else if self.store.as_ref() == Some(&inode) || path.join("_delta_log").is_dir() {
                Some(SkipReason::Store)
            } else {
                None
            };
            if let Some(reason) = reason {
                self.skip(path, reason);
                walker.skip_current_dir();
            } else if !self.folders.insert(inode) {
                // Already listed whole: by an overlapping input, or through another link.
                walker.skip_current_dir();
            }
        }
    }

    fn add_file(&mut self, path: &Path, data: &Metadata, typed: bool) {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if !typed && is_hidden(path) {
            return self.skip(path, SkipReason::Hidden);
        }
        if !typed && is_partial(&name) {
            return self.skip(path, SkipReason::PartialDownload);
        }
        // A pipe is read where it was typed; a device met in a folder is not.
        if !data.is_file() && !typed {
            return self.skip(path, SkipReason::NotAFile);
        }
        let shown = path.to_string_lossy();
        let key = ObjectKey::parse(&shown);
        if matches!(key.kind, Some(KeyKind::ElbTestObject | KeyKind::ExportTestObject)) {
            return self.skip(path, SkipReason::TestObject);
        }
        if !self.files.insert(Inode::new(path, data)) {
            return;
        }
        let native = path.to_str().is_none().then(|| path.to_owned().into_boxed_path());
        let modified = data.modified().ok().map(unix_nanos).unwrap_or(0);
        let size = if data.is_file() { data.len() } else { 0 };
        self.found.objects.push(Located { path: shown.into_owned(), size, modified, key, native });
    }

    fn add_glob(&mut self, pattern: &str) {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let compiled = match glob::Pattern::new(pattern) {
            Ok(compiled) => compiled,
            Err(error) => {
                let (reason, at) = (error.msg.to_owned(), error.pos);
                self.found.problems.push(LocateError::BadGlob { pattern: pattern.to_owned(), reason, at });
                return;
            }
        };
        let before = self.found.skipped.len() + self.found.problems.len();
        let mut matched = 0usize;
        if pattern.contains("**") {
            // The glob crate's own walk has no protection against links that lead back.
            for path in self.walk_glob(pattern, &compiled, options) {
                matched += 1;
                self.add_matched(&path);
            }
        } else if let Ok(paths) = glob::glob_with(pattern, options) {
            for path in paths {
                matched += 1;
                match path {
                    Ok(path) => self.add_matched(&path),
                    Err(error) => {
                        let path = error.path().to_string_lossy().into_owned();
                        self.problem(path, error.into());
                    }
                }
            }
        }
        if matched == 0 && self.found.skipped.len() + self.found.problems.len() == before {
            self.found.problems.push(LocateError::NoMatch { pattern: pattern.to_owned() });
        }
    }

    fn add_matched(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(data) if data.is_dir() => self.add_folder(path),
            Ok(data) => self.add_file(path, &data, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.skip(path, SkipReason::BrokenLink),
            Err(error) => self.problem(path.to_string_lossy().into_owned(), error),
        }
    }

    /// Every path below the pattern's fixed beginning that matches it.
    fn walk_glob(
        &mut self,
        pattern: &str,
        compiled: &glob::Pattern,
        options: glob::MatchOptions,
    ) -> Vec<PathBuf> {
        let magic = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
        let fixed = pattern.get(..magic).and_then(|text| text.rfind('/').and_then(|end| text.get(..=end)));
        let root = PathBuf::from(fixed.unwrap_or("."));
        let mut seen = HashSet::new();
        let mut matched = Vec::new();
        let mut walker = WalkDir::new(&root).min_depth(1).follow_links(true).into_iter();
        while let Some(entry) = walker.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.walk_problem(&root, error);
                    continue;
                }
            };
            let path = match (fixed, entry.path().strip_prefix(".")) {
                (None, Ok(path)) => path,
                _ => entry.path(),
            };
            if compiled.matches_path_with(path, options) {
                matched.push(path.to_owned());
            }
            if !entry.file_type().is_dir() {
                continue;
            }
            let known = entry.metadata().is_ok_and(|data| !seen.insert(Inode::new(entry.path(), &data)));
            if known || is_hidden(path) {
                walker.skip_current_dir();
            }
        }
        matched
    }

    fn walk_problem(&mut self, root: &Path, error: walkdir::Error) {
        let path = error.path().unwrap_or(root).to_owned();
        if error.loop_ancestor().is_some() {
            return self.skip(&path, SkipReason::LinkLoop);
        }
        let error = error.into_io_error().unwrap_or_else(|| io::Error::other("cannot be listed"));
        // A link to itself leads nowhere either, and fails otherwise.
        if error.kind() != io::ErrorKind::PermissionDenied && path.is_symlink() {
            return self.skip(&path, SkipReason::BrokenLink);
        }
        self.problem(path.to_string_lossy().into_owned(), error);
    }

    fn problem(&mut self, path: String, source: io::Error) {
        self.found.problems.push(match source.kind() {
            io::ErrorKind::PermissionDenied => LocateError::PermissionDenied { path },
            _ => LocateError::Io { path, error: source },
        });
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        let path = path.to_string_lossy().into_owned();
        self.found.skipped.push(Skipped { path, reason });
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Names of downloads under way: `aws s3` appends a dot and eight hex digits (observed: s3transfer), others an
/// extension. A rotated log's date (`.20260115`) has that form too and is kept.
fn is_partial(name: &str) -> bool {
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    if ["tmp", "temp", "part", "partial", "crdownload", "download", "filepart"].contains(&extension) {
        return true;
    }
    let hex = extension.len() == 8 && extension.bytes().all(|byte| byte.is_ascii_hexdigit());
    let date = hex
        && (extension.starts_with("19") || extension.starts_with("20"))
        && extension.bytes().all(|byte| byte.is_ascii_digit());
    hex && !date
}

/// Unix nanoseconds, negative before 1970, clamped to what 64 bits hold.
pub(crate) fn unix_nanos(time: std::time::SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
