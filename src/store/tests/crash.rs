//! A writer that dies between any two steps: the test starts itself as a child that aborts at the n-th point.

use std::process::Command;

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
