//! What is left out of a list of objects, and what cannot be listed, with what helps.

use std::io;
use std::path::Path;

/// Why an object was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum SkipReason {
    /// The name begins with a dot.
    #[error("hidden")]
    Hidden,
    /// A temporary name such as `aws s3 sync` gives a file until it is complete.
    #[error("partial download")]
    PartialDownload,
    /// A store of flowq's, or another Delta table.
    #[error("a flowq store or other Delta table")]
    Store,
    /// What a load balancer or an export task writes to test its permission.
    #[error("permission test object, not a log")]
    TestObject,
    /// A symbolic link that leads back to a folder above it.
    #[error("symbolic link to a folder above it")]
    LinkLoop,
    /// A symbolic link to nothing.
    #[error("broken symbolic link")]
    BrokenLink,
    /// A socket, device or the like.
    #[error("not a regular file")]
    NotAFile,
}

/// An object or folder that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The path as shown to the user.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// An input that could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// Nothing lies at the path.
    #[error("{path}: no such file or folder{}", hint(.nearest))]
    NotFound {
        /// The path as typed.
        path: String,
        /// A name in the same folder that is much like it.
        nearest: Option<String>,
    },
    /// The file or folder may not be read.
    #[error("{path}: permission denied (check its owner and mode, and those of the folders above it)")]
    PermissionDenied {
        /// The path.
        path: String,
    },
    /// A glob that no path matches.
    #[error(
        "{pattern}: nothing matches (`**` crosses folders, `*` does not; quote the pattern for the shell)"
    )]
    NoMatch {
        /// The glob as typed.
        pattern: String,
    },
    /// A glob that cannot be read.
    #[error("{pattern}: not a valid glob: {reason} at position {at}")]
    BadGlob {
        /// The glob as typed.
        pattern: String,
        /// What is wrong.
        reason: String,
        /// Where, in characters.
        at: usize,
    },
    /// Addresses of buckets are not read.
    #[error("{url}: buckets are not read directly (copy first: aws s3 sync {url} DIR)")]
    RemoteUrl {
        /// The address as typed.
        url: String,
    },
    /// A symbolic link to nothing.
    #[error("{path}: a symbolic link to nothing")]
    BrokenLink {
        /// The path as typed.
        path: String,
    },
    /// Any other failure of the file system.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: String,
        /// The cause.
        error: io::Error,
    },
}

impl LocateError {
    /// Whether nothing can have been meant by what was typed. All else stands in the way of some files, and the others can
    /// be read.
    pub fn is_mistake(&self) -> bool {
        !matches!(self, LocateError::PermissionDenied { .. } | LocateError::Io { .. })
    }

    /// The path, glob or address.
    pub fn path(&self) -> &str {
        match self {
            LocateError::NotFound { path, .. }
            | LocateError::PermissionDenied { path }
            | LocateError::BrokenLink { path }
            | LocateError::Io { path, .. } => path,
            LocateError::NoMatch { pattern } | LocateError::BadGlob { pattern, .. } => pattern,
            LocateError::RemoteUrl { url } => url,
        }
    }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// The name in a path's folder that is most like the path's own.
pub(super) fn nearest_sibling(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = std::fs::read_dir(parent)
        .ok()?
        .take(1000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let (distance, name) = names.map(|name| (strsim::damerau_levenshtein(wanted, &name), name)).min()?;
    (distance <= 1 + wanted.chars().count() / 4).then(|| match path.parent() {
        Some(parent) => parent.join(&name).to_string_lossy().into_owned(),
        None => name,
    })
}
