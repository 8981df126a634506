//! The text that stands for a file wherever flowq is run: its absolute path.
//!
//! A path need not be text. One that is none is written as a `file:` URL, which tells every byte and begins as no absolute
//! path does, so that two files never share a name.

use std::path::{Path, PathBuf};

use url::Url;

const SCHEME: &str = "file://";

/// The text for a file; `None` where its absolute path is not to be found.
pub fn absolute_name(file: &Path) -> Option<String> {
    // `a/../b` names what `b` does; where a link is followed by `..`, only the file system knows what it names.
    let goes_up = file.components().any(|part| part == std::path::Component::ParentDir);
    let path = if goes_up { std::fs::canonicalize(file) } else { std::path::absolute(file) }.ok()?;
    match path.into_os_string().into_string() {
        Ok(path) => Some(path),
        Err(path) => Url::from_file_path(PathBuf::from(path)).ok().map(String::from),
    }
}

/// The path that a text made by [`absolute_name`] stands for.
pub fn path_of_name(name: &str) -> PathBuf {
    let url = name.starts_with(SCHEME).then(|| Url::parse(name).ok()).flatten();
    url.and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_are_told_apart_and_lead_back() {
        use std::os::unix::ffi::OsStrExt;
        let paths = [
            &b"/logs/f\xff.log"[..],
            b"/logs/f\xfe.log",
            b"/logs/f%FF.log",
            "/logs/f\u{fffd}.log".as_bytes(),
        ];
        let paths = paths.map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes)));
        let names = paths.clone().map(|path| absolute_name(&path).unwrap());
        assert_eq!(
            names,
            ["file:///logs/f%FF.log", "file:///logs/f%FE.log", "/logs/f%FF.log", "/logs/f\u{fffd}.log"]
        );
        assert_eq!(names.map(|name| path_of_name(&name)), paths);
    }
}
