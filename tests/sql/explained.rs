//! `EXPLAIN ANALYZE` says what was left out and what was read.

use flowq::sql::session::Session;

use crate::sessions;

async fn explained(session: &Session, sql: &str) -> String {
    let rows = sessions::rows(&session.query(&format!("explain analyze {sql}")).await.unwrap());
    rows.into_iter().flatten().collect()
}

/// The number behind `name=` in a plan.
fn metric(plan: &str, name: &str) -> usize {
    let (_, rest) = plan.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {plan}"));
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

#[test]
fn of_raw_files() {
    sessions::runtime().block_on(async {
        let session = sessions::raw();
        let plan = explained(&session, "select srcaddr, bytes from flow_logs where action = 'REJECT'").await;
        for name in ["files_read", "files_of_other_kinds", "bytes_read", "bytes_decoded", "lines_read"] {
            assert!(metric(&plan, name) > 0, "{name}: {plan}");
        }
        assert!(plan.contains("only_lines_with=REJECT"), "{plan}");
        assert_eq!(metric(&plan, "files_pruned"), 0);
        // The copy in `copies/`.
        assert_eq!(metric(&plan, "files_duplicate"), 1);
        assert!(metric(&plan, "lines_skipped") > 0, "{plan}");

        // The names of flow logs under `AWSLogs` say that they hold another day; envelopes and exports do not.
        let plan =
            explained(&session, "select count(*) from flow_logs where event_date = '2026-01-17'").await;
        assert!(metric(&plan, "files_pruned") >= 30, "{plan}");
        assert!(metric(&plan, "files_read") < 20, "{plan}");

        // Two lines of other files break off, and one of this one has too few fields and nothing of a record in them; a
        // bad port is met only by who asks for ports.
        let lines = "from flow_logs where source_file like '%T1008Z_4ab5473c%'";
        let plan = explained(&session, &format!("select sum(srcport) {lines}")).await;
        assert_eq!(metric(&plan, "lines_refused"), 4, "{plan}");
        let plan = explained(&session, &format!("select count(action) {lines}")).await;
        assert_eq!(metric(&plan, "lines_refused"), 3, "{plan}");
    });
}

#[test]
fn of_a_store() {
    sessions::runtime().block_on(async {
        let session = sessions::stored();
        let plan =
            explained(&session, "select srcaddr, bytes from flow_logs where srcaddr = '198.51.100.66'").await;
        for name in [
            "row_groups_pruned_statistics",
            "row_groups_pruned_bloom_filter",
            "pushdown_rows_pruned",
            "bytes_scanned",
        ] {
            assert!(plan.contains(&format!("{name}=")), "{name}: {plan}");
        }
        // No file is left: the date of each says so before one is opened.
        let plan = explained(&session, "select srcaddr from flow_logs where event_date = '2026-01-17'").await;
        assert!(!plan.contains(".parquet"), "{plan}");
    });
}
