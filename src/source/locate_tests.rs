use super::*;
use std::fs;

fn write(root: &Path, path: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

fn names(found: &Found, root: &Path) -> Vec<String> {
    let root = format!("{}/", root.display());
    found.objects.iter().map(|object| object.path.replace(&root, "")).collect()
}

fn flow(stamp: &str) -> String {
    format!("123456789012_vpcflowlogs_us-east-1_fl-1234abcd_{stamp}_fe123456.log.gz")
}

#[test]
fn folders_are_listed_in_time_order_and_odd_names_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (early, late) = (flow("20260115T1000Z"), flow("20260115T1005Z"));
    for path in [&format!("b/{early}"), &format!("a/{late}"), "z.log", "2026/01/15/x.gz"] {
        write(root, path);
    }
    for path in [".hidden", ".git/config", "a/y.log.gz.6eF3ab01", "a/y.part", "store/flow_logs/1.parquet"] {
        write(root, path);
    }
    fs::create_dir_all(root.join("delta/_delta_log")).unwrap();
    write(root, "delta/1.parquet");
    write(root, "AWSLogs/123456789012/ELBAccessLogTestFile");
    write(root, "rotated.log.20260115");
    let found = locate(&[root.to_str().unwrap()], Some(&root.join("store")));
    let expected =
        ["2026/01/15/x.gz", &format!("b/{early}"), &format!("a/{late}"), "rotated.log.20260115", "z.log"];
    assert_eq!(names(&found, root), expected);
    assert!(found.problems.is_empty());
    let mut skipped: Vec<_> = found.skipped.iter().map(|skipped| skipped.reason).collect();
    skipped.sort();
    use SkipReason::{Hidden, PartialDownload, Store, TestObject};
    assert_eq!(skipped, [Hidden, Hidden, PartialDownload, PartialDownload, Store, Store, TestObject]);
}

#[test]
fn overlapping_inputs_are_listed_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "a/b/1.log");
    write(root, "a/2.log");
    let text = |path: &str| root.join(path).to_str().unwrap().to_owned();
    let inputs =
        [text("a/b"), text("a"), text("a/2.log"), text("a/*.log"), text("**/*.log"), "-".into(), "-".into()];
    let found = locate(&inputs, None);
    assert_eq!(names(&found, root), ["-", "a/2.log", "a/b/1.log"]);
    assert!(found.problems.is_empty());
}

#[test]
fn globs_match_files_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for path in ["us-1/x/1.gz", "us-1/x/2.log", "us-2/3.gz", ".h/4.gz"] {
        write(root, path);
    }
    let found = |glob: &str| locate(&[root.join(glob).to_str().unwrap()], None);
    assert_eq!(names(&found("us-*"), root), ["us-1/x/1.gz", "us-1/x/2.log", "us-2/3.gz"]);
    assert_eq!(names(&found("**/*.gz"), root), ["us-1/x/1.gz", "us-2/3.gz"]);
    assert_eq!(names(&found("**/x"), root), ["us-1/x/1.gz", "us-1/x/2.log"]);
    assert_eq!(names(&found("*.gz"), root), Vec::<String>::new());
    assert!(matches!(found("*.gz").problems[..], [LocateError::NoMatch { .. }]));
    assert!(matches!(found("a[").problems[..], [LocateError::BadGlob { .. }]));
}

#[test]
fn missing_paths_name_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "s3-dump/1.log");
    let found = locate(&[dir.path().join("s3-dmup").to_str().unwrap(), "s3://bucket/x"], None);
    let texts: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    assert!(texts[0].contains("no such file or folder (did you mean"), "{texts:?}");
    assert!(texts[0].contains("s3-dump"), "{texts:?}");
    assert!(texts[1].contains("aws s3 sync"), "{texts:?}");
}

#[cfg(unix)]
#[test]
fn links_that_lead_back_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "d/1.log");
    for name in ["a", "b", "d/up", "d/up2"] {
        std::os::unix::fs::symlink(root, root.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(root.join("nowhere"), root.join("broken")).unwrap();
    let found = locate(&[root.to_str().unwrap()], None);
    assert_eq!(names(&found, root), ["d/1.log"]);
    assert!(found.skipped.iter().any(|skipped| skipped.reason == SkipReason::BrokenLink));
    assert!(found.skipped.iter().any(|skipped| skipped.reason == SkipReason::LinkLoop));
    let found = locate(&[root.join("**/*.log").to_str().unwrap()], None);
    assert_eq!(found.objects.len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_can_be_opened() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.log"));
    fs::write(&name, "x").unwrap();
    let found = locate(&[dir.path().to_str().unwrap()], None);
    assert!(found.objects[0].path.ends_with("caf\u{fffd}.log"));
    assert_eq!(found.objects[0].file(), name);
}

#[test]
fn sizes_and_times_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "1.log");
    let found = locate(&[dir.path().to_str().unwrap()], None);
    assert_eq!(found.objects[0].size, 1);
    assert!(found.objects[0].modified > 1_500_000_000_000_000_000);
}
