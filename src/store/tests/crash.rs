//! A writer that dies between any two steps: the test starts itself as a child that aborts at the n-th point.

use std::process::Command;
use std::time::Duration;

use super::*;

const ROOT: &str = "FLOWQ_CRASH_ROOT";
const WORK: &str = "FLOWQ_CRASH_WORK";

/// What the child does before it dies; does nothing where the suite is run as a whole.
#[test]
fn crashing_child() {
    let (Ok(root), Ok(work)) = (std::env::var(ROOT), std::env::var(WORK)) else { return };
    let store = Store::open_or_create(Path::new(&root)).unwrap();
    let held = lock(&store);
    match work.as_str() {
        "recover" => {}
        "first" => first(&store, &held),
        "second" => second(&store, &held),
        "optimize" => optimize(&store, &held),
        "forget" => forget(&store, &held),
        other => panic!("unknown work {other}"),
    }
}

/// Runs the child, to die at that point; whether it reached its end.
fn child(root: &Path, work: &str, crash_at: usize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::crashing_child", "--nocapture", "--test-threads=1"])
        .env(ROOT, root)
        .env(WORK, work)
        .env("FLOWQ_CRASH_AT", crash_at.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || said.contains("crash at point"), "{said}");
    output.status.success()
}

fn first(store: &Store, held: &StoreLock) {
    let mut batch = store.begin(held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..4);
    write_flow(&mut batch, Some(DAY + 1), "a.log", 4..6);
    batch.add_rows(QUARANTINE_TABLE, quarantined("a.log", 6..7));
    batch.record(vec![entry("/in/a.log", 5)]);
    batch.commit().unwrap();
}

/// Another source, and more of the first one.
fn second(store: &Store, held: &StoreLock) {
    let mut batch = store.begin(held).unwrap();
    write_flow(&mut batch, Some(DAY), "a.log", 1..9);
    write_flow(&mut batch, Some(DAY), "b.log", 1..3);
    batch.replace_sources(HashSet::from(["a.log".to_string()]));
    batch.add_rows(QUARANTINE_TABLE, quarantined("b.log", 3..4));
    batch.record(vec![entry("/in/a.log", 8), entry("/in/b.log", 2)]);
    batch.commit().unwrap();
}

fn optimize(store: &Store, held: &StoreLock) {
    store.optimize(held, TARGET_BYTES, Duration::ZERO, &mut |_, _| {}).unwrap();
}

fn forget(store: &Store, held: &StoreLock) {
    store.forget(held, files::date_of(DAY + 1).unwrap()).unwrap();
}

#[derive(Debug, PartialEq)]
enum State {
    Empty,
    First,
    Second,
}

/// Which of the states the store is in; panics where it is in none.
fn state(store: &Store) -> State {
    let ledger = store.ledger().unwrap();
    let flows = lines_of(store, "flow_logs");
    let refused = lines_of(store, QUARANTINE_TABLE);
    match ledger.len() {
        0 => {
            assert!(flows.is_empty() && refused.is_empty(), "{flows:?} {refused:?}");
            State::Empty
        }
        1 => {
            assert_eq!(flows, once(&[("a.log", 1..6)]));
            assert_eq!(refused, once(&[("a.log", 6..7)]));
            State::First
        }
        _ => {
            assert_eq!(flows, once(&[("a.log", 1..9), ("b.log", 1..3)]));
            assert_eq!(refused, once(&[("b.log", 3..4)]));
            assert_eq!(ledger.len(), 2);
            assert_eq!(ledger.by_path("/in/a.log").unwrap().rows, 8);
            State::Second
        }
    }
}

/// Nothing is on the disk but what the tables hold or keep on record.
fn nothing_lies_about(store: &Store) {
    let known: usize = TABLES
        .iter()
        .map(|table| {
            let live = store.snapshot(table).unwrap().map_or(0, |snapshot| snapshot.files.len());
            live + store.tables().tombstones(table).unwrap().len()
        })
        .sum();
    assert_eq!(files_on_disk(store.root()), known);
    assert!(files::names(&pending::folder(store.root())).unwrap().is_empty());
}

/// Dies at each point of the work, then recovers (dying once in that as well, where `recovery_crash` says so).
fn die_everywhere(prepare: bool, work: &str, before: State, after: State, recovery_crash: Option<usize>) {
    let mut seen = (0, 0);
    for point in 1.. {
        let folder = tempfile::tempdir().unwrap();
        if prepare {
            let store = Store::open_or_create(folder.path()).unwrap();
            first(&store, &lock(&store));
        }
        let finished = child(folder.path(), work, point);
        if let Some(crash) = recovery_crash {
            child(folder.path(), "recover", crash);
        }
        let store = Store::open_or_create(folder.path()).unwrap();
        let held = lock(&store);
        let reached = state(&store);
        nothing_lies_about(&store);
        if reached == before {
            assert!(!finished);
            seen.0 += 1;
            match work {
                "first" => first(&store, &held),
                _ => second(&store, &held),
            }
        } else {
            seen.1 += 1;
        }
        assert_eq!(state(&store), after, "point {point}");
        nothing_lies_about(&store);
        if finished {
            println!("{work}: {} points before the decision, {} after", seen.0, seen.1);
            assert!(seen.0 > 1 && seen.1 > 3);
            return;
        }
    }
}

#[test]
fn a_first_batch_happens_once_or_not_at_all() {
    die_everywhere(false, "first", State::Empty, State::First, None);
}

#[test]
fn a_replacing_batch_happens_once_or_not_at_all() {
    die_everywhere(true, "second", State::First, State::Second, None);
}

#[test]
fn recovery_may_die_as_well() {
    for crash in [1, 2, 4] {
        die_everywhere(true, "second", State::First, State::Second, Some(crash));
    }
}

/// Dies at each point of a maintenance that runs over both batches, and runs it again.
fn maintenance_dies(work: &str, again: fn(&Store, &StoreLock), after: &BTreeMap<(String, i64), usize>) {
    for point in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path()).unwrap();
        let held = lock(&store);
        first(&store, &held);
        second(&store, &held);
        // One more day, so that something is there to forget and to keep.
        let mut batch = store.begin(&held).unwrap();
        write_flow(&mut batch, Some(DAY + 1), "c.log", 1..5);
        write_flow(&mut batch, Some(DAY + 1), "d.log", 1..5);
        batch.commit().unwrap();
        let before = lines_of(&store, "flow_logs");
        drop((held, store));
        let finished = child(folder.path(), work, point);
        let store = Store::open_or_create(folder.path()).unwrap();
        let held = lock(&store);
        let reached = lines_of(&store, "flow_logs");
        assert!(reached == before || reached == *after, "point {point}: {reached:?}");
        again(&store, &held);
        assert_eq!(lines_of(&store, "flow_logs"), *after, "point {point}");
        assert!(files::names(&pending::folder(store.root())).unwrap().is_empty());
        if finished {
            assert!(point > 5);
            return;
        }
    }
}

#[test]
fn compaction_may_die_anywhere() {
    let all = once(&[("a.log", 1..9), ("b.log", 1..3), ("c.log", 1..5), ("d.log", 1..5)]);
    maintenance_dies("optimize", optimize, &all);
}

#[test]
fn forgetting_may_die_anywhere() {
    maintenance_dies("forget", forget, &once(&[("c.log", 1..5), ("d.log", 1..5)]));
}

/// A power cut after a table's commit has its name and before it has its bytes.
#[test]
fn a_torn_commit_is_made_again() {
    for cut in [0, 100] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path()).unwrap();
        first(&store, &lock(&store));
        drop(store);
        // Points: data, temporary, pending, then three of each table; the second one is quarantine.
        let point = (1..).find(|&point| {
            child(folder.path(), "second", point);
            folder.path().join("quarantine/_delta_log/00000000000000000002.json").exists()
        });
        assert!(point.is_some_and(|point| point > 3));
        let torn = folder.path().join("quarantine/_delta_log/00000000000000000002.json");
        let bytes = fs::read(&torn).unwrap();
        fs::write(&torn, &bytes[..cut]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let _held = lock(&store);
        assert_eq!(state(&store), State::Second);
        nothing_lies_about(&store);
    }
}

/// Writes that fail half-way, as on a full disk: the child's files may not grow beyond a limit.
#[cfg(unix)]
#[test]
fn failing_writes_leave_nothing_or_everything() {
    let mut failures = 0;
    for blocks in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_or_create(folder.path()).unwrap();
        first(&store, &lock(&store));
        drop(store);
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks} || exit 3; exec \"$0\" \"$@\""))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash::crashing_child", "--nocapture", "--test-threads=1"])
            .env(ROOT, folder.path())
            .env(WORK, "second")
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(3), "no limit could be set");
        let finished = output.status.success();
        failures += usize::from(!finished);
        let store = Store::open(folder.path()).unwrap();
        let held = lock(&store);
        let reached = state(&store);
        nothing_lies_about(&store);
        match reached {
            State::Empty => panic!("the first batch is gone"),
            State::First => {
                assert!(!finished);
                second(&store, &held);
            }
            State::Second => {}
        }
        assert_eq!(state(&store), State::Second);
        nothing_lies_about(&store);
        if finished {
            assert!(failures > 3, "{failures}");
            return;
        }
    }
    panic!("the child never finished");
}
