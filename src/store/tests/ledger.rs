//! The ledger against a naive list, and at size.

use proptest::prelude::*;

use super::*;
use crate::store::ledger::{each_stored_log, from_batch, to_batch};

/// The naive twin: a list searched from the front.
#[derive(Default)]
struct Naive(Vec<LedgerEntry>);

impl Naive {
    fn insert(&mut self, entry: LedgerEntry) -> bool {
        let before = self.0.len();
        self.0.retain(|old| {
            let same_object = entry.status == Status::Stored
                && old.status == Status::Stored
                && entry.object_id.is_some()
                && old.object_id == entry.object_id;
            old.path != entry.path && !same_object
        });
        let replaced = self.0.len() < before;
        self.0.push(entry);
        replaced
    }
}

fn some_entry() -> impl Strategy<Value = LedgerEntry> {
    (0..6u8, proptest::option::of(0..4u8), any::<bool>(), proptest::option::of(0..3u128), 0..3u64).prop_map(
        |(path, object, stored, hash, size)| LedgerEntry {
            path: format!("/in/{path}"),
            object_id: object.map(|object| format!("object {object}")),
            status: if stored { Status::Stored } else { Status::Duplicate },
            duplicate_of: (!stored).then(|| "/in/0".to_string()),
            hash,
            size,
            min_time: hash.map(|_| -5),
            kind: stored.then_some(LogKind::Alb),
            log_format: stored.then(|| "srcaddr dstaddr".to_string()),
            fields: stored.then(|| "dstaddr srcaddr".into()),
            ..LedgerEntry::default()
        },
    )
}

proptest! {
    #[test]
    fn the_ledger_is_a_list_with_indexes(entries in proptest::collection::vec(some_entry(), 0..60)) {
        let (mut ledger, mut naive) = (Ledger::default(), Naive::default());
        for entry in entries {
            let kept = ledger.clone();
            let (kept_len, kept_entries) = (kept.len(), kept.iter().cloned().collect::<Vec<_>>());
            prop_assert_eq!(ledger.insert(entry.clone()), naive.insert(entry));
            prop_assert_eq!(ledger.iter().cloned().collect::<Vec<_>>(), naive.0.clone());
            prop_assert_eq!(ledger.len(), naive.0.len());
            prop_assert_eq!((kept.len(), kept.iter().cloned().collect::<Vec<_>>()), (kept_len, kept_entries));
        }
        for path in 0..7 {
            let path = format!("/in/{path}");
            prop_assert_eq!(ledger.by_path(&path), naive.0.iter().find(|e| e.path == path));
        }
        let stored = || naive.0.iter().filter(|e| e.status == Status::Stored);
        for object in 0..5 {
            let object = format!("object {object}");
            prop_assert_eq!(ledger.by_object(&object), stored().find(|e| e.object_id.as_ref() == Some(&object)));
        }
        for hash in 0..4 {
            for size in 0..4 {
                let fits = |e: &&LedgerEntry| e.hash == Some(hash) && e.size == size;
                let mut found: Vec<_> = ledger.by_hash(hash, size).collect();
                found.sort_by_key(|e| naive.0.iter().position(|other| other == *e));
                prop_assert_eq!(found, stored().filter(fits).collect::<Vec<_>>());
            }
        }
        let batch = to_batch(ledger.iter(), Path::new("x")).unwrap();
        prop_assert_eq!(from_batch(&batch, Path::new("x")).unwrap(), naive.0);
    }
}

#[test]
fn stored_files_are_told_with_their_fields_where_ledgers_have_them() {
    let ending = Some("gzip data breaks off at byte 7".to_owned());
    let unread = LedgerEntry { ending, quarantined: 3, ..entry("/in/c.log", 3) };
    let entries = [
        LedgerEntry { fields: Some("srcaddr dstaddr".into()), ..entry("/in/a.log", 1) },
        LedgerEntry { fields: None, ..entry("/in/b.log", 2) },
        unread.clone(),
        LedgerEntry { path: "/in/d.log".to_owned(), status: Status::Duplicate, ..unread },
    ];
    let batch = to_batch(entries.iter(), Path::new("x")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = |batch: &RecordBatch| {
        let path = folder.path().join("ledger.parquet");
        let file = fs::File::create(&path).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let mut found = Vec::new();
        each_stored_log(&path, &mut |log| {
            let what = if log.breaks_off { " breaks off" } else { "" };
            found.push(format!("{} {:?} {}{what}", log.path, log.fields, log.refused));
        })
        .unwrap();
        found
    };
    assert_eq!(
        told(&batch),
        ["/in/a.log Some(\"srcaddr dstaddr\") 0", "/in/b.log None 0", "/in/c.log None 3 breaks off"]
    );
    // As it was written before.
    let kept: Vec<usize> = (0..batch.num_columns() - 2).collect();
    let before = batch.project(&kept).unwrap();
    assert!(before.column_by_name("fields").is_none());
    assert_eq!(told(&before), ["/in/a.log None 0", "/in/b.log None 0", "/in/c.log None 3"]);
    assert_eq!(from_batch(&before, Path::new("x")).unwrap()[0].fields, None);
}

#[test]
fn a_hundred_thousand_entries() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_or_create(folder.path()).unwrap();
    let held = lock(&store);
    let many = |from: u64, to: u64| {
        (from..to)
            .map(|n| LedgerEntry {
                hash: Some(u128::from(n) << 64 | 1),
                ..entry(
                    &format!("/data/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/15/{n:08}.log.gz"),
                    n,
                )
            })
            .collect::<Vec<_>>()
    };
    let mut batch = store.begin(&held).unwrap();
    batch.record(many(0, 100_000));
    let started = std::time::Instant::now();
    batch.commit().unwrap();
    println!("committing 100,000 entries: {:?}", started.elapsed());
    let mut batch = store.begin(&held).unwrap();
    batch.record(many(99_999, 100_010));
    let started = std::time::Instant::now();
    batch.commit().unwrap();
    println!("replacing one of them: {:?}", started.elapsed());

    let reader = Store::open(folder.path()).unwrap();
    let started = std::time::Instant::now();
    let ledger = reader.ledger().unwrap();
    println!("reading them: {:?}", started.elapsed());
    assert_eq!(ledger.len(), 100_010);
    let started = std::time::Instant::now();
    assert!(many(0, 100_010).iter().all(|entry| ledger.by_path(&entry.path).is_some()));
    println!("finding each: {:?}", started.elapsed());
    assert_eq!(reader.snapshot(LEDGER_TABLE).unwrap().unwrap().files.len(), 1);
}
