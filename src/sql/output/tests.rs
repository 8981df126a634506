use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampSecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;

// 2026-01-15T10:30:00Z
const HALF_PAST_TEN: i64 = 1_768_473_000;

fn sample() -> RecordBatch {
    let time = TimestampMicrosecondArray::from(vec![
        Some(HALF_PAST_TEN * 1_000_000),
        Some(HALF_PAST_TEN * 1_000_000 + 250_000),
        None,
    ]);
    let port = Int64Array::from(vec![Some(443), Some(8080), None]);
    let agent = StringViewArray::from(vec![Some("a,\"b\"|c\td"), Some(""), None]);
    let action: DictionaryArray<Int32Type> = vec![Some("ACCEPT"), Some("REJECT"), None].into_iter().collect();
    let ratio = Float64Array::from(vec![Some(0.5), Some(2.0), None]);
    RecordBatch::try_from_iter([
        ("start", Arc::new(time.with_timezone("UTC")) as ArrayRef),
        ("port", Arc::new(port)),
        ("agent", Arc::new(agent)),
        ("action", Arc::new(action)),
        ("ratio", Arc::new(ratio)),
    ])
    .unwrap()
}

fn written(format: OutputFormat, batches: &[RecordBatch], limits: TableLimits) -> String {
    let mut out = Vec::new();
    write_all(format, &batches[0].schema(), batches, &mut out, limits).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(format: OutputFormat) -> String {
    written(format, &[sample()], TableLimits::default())
}

fn texts(column: &str, cells: &[&str]) -> RecordBatch {
    let cells: ArrayRef = Arc::new(StringArray::from(cells.to_vec()));
    RecordBatch::try_from_iter([(column, cells)]).unwrap()
}

#[test]
fn csv() {
    insta::assert_snapshot!(plain(OutputFormat::Csv), @r#"
    start,port,agent,action,ratio
    2026-01-15T10:30:00Z,443,"a,""b""|c	d",ACCEPT,0.5
    2026-01-15T10:30:00.250Z,8080,"",REJECT,2.0
    ,,,,
    "#);
}

#[test]
fn tsv() {
    insta::assert_snapshot!(plain(OutputFormat::Tsv).replace('\t', "→"), @r#"
    start→port→agent→action→ratio
    2026-01-15T10:30:00Z→443→a,"b"|c\td→ACCEPT→0.5
    2026-01-15T10:30:00.250Z→8080→→REJECT→2.0
    →→→→
    "#);
}

#[test]
fn json() {
    let text = plain(OutputFormat::Json);
    assert!(text.ends_with("]\n"));
    insta::assert_snapshot!(text.replace("},", "},\n"), @r#"
    [{"start":"2026-01-15T10:30:00Z","port":443,"agent":"a,\"b\"|c\td","action":"ACCEPT","ratio":0.5},
    {"start":"2026-01-15T10:30:00.250Z","port":8080,"agent":"","action":"REJECT","ratio":2.0},
    {"start":null,"port":null,"agent":null,"action":null,"ratio":null}]
    "#);
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed[0]["agent"], "a,\"b\"|c\td");
}

#[test]
fn ndjson() {
    let text = plain(OutputFormat::Ndjson);
    insta::assert_snapshot!(text, @r#"
    {"start":"2026-01-15T10:30:00Z","port":443,"agent":"a,\"b\"|c\td","action":"ACCEPT","ratio":0.5}
    {"start":"2026-01-15T10:30:00.250Z","port":8080,"agent":"","action":"REJECT","ratio":2.0}
    {"start":null,"port":null,"agent":null,"action":null,"ratio":null}
    "#);
}

#[test]
fn markdown() {
    insta::assert_snapshot!(plain(OutputFormat::Markdown), @r#"
    | start | port | agent | action | ratio |
    | --- | ---: | --- | --- | ---: |
    | 2026-01-15T10:30:00Z | 443 | a,"b"\|c\\td | ACCEPT | 0.5 |
    | 2026-01-15T10:30:00.250Z | 8080 |  | REJECT | 2.0 |
    |  |  |  |  |  |
    "#);
}

#[test]
fn table() {
    insta::assert_snapshot!(plain(OutputFormat::Table), @r#"
    start                     port  agent       action  ratio
    ────────────────────────  ────  ──────────  ──────  ─────
    2026-01-15T10:30:00Z       443  a,"b"|c\td  ACCEPT    0.5
    2026-01-15T10:30:00.250Z  8080              REJECT    2.0
    NULL                      NULL  NULL        NULL     NULL
    (3 rows)
    "#);
}

#[test]
fn tables_fit_the_terminal() {
    let fitted = |width, rows| {
        written(OutputFormat::Table, &[sample()], TableLimits { width: Some(width), rows: Some(rows) })
    };
    insta::assert_snapshot!(fitted(44, 1), @r#"
    start                 port  agent     action
    ────────────────────  ────  ────────  ──────
    2026-01-15T10:30:00Z   443  a,"b"|c…  ACCEPT
    (3 rows, 1 shown, 4 of 5 columns shown; csv and json show everything)
    "#);
    insta::assert_snapshot!(fitted(54, 9), @r#"
    start                     port  agent    action  ratio
    ────────────────────────  ────  ───────  ──────  ─────
    2026-01-15T10:30:00Z       443  a,"b"|…  ACCEPT    0.5
    2026-01-15T10:30:00.250Z  8080           REJECT    2.0
    NULL                      NULL  NULL     NULL     NULL
    (3 rows)
    "#);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_more_rows_are_shown() {
    let batches = [sample(), sample(), sample()];
    for width in 1..80 {
        for rows in [0, 1, 4, 9, 20] {
            let limits = TableLimits { width: Some(width), rows: Some(rows) };
            let mut out = Vec::new();
            let done =
                write_all(OutputFormat::Table, &batches[0].schema(), &batches, &mut out, limits).unwrap();
            assert_eq!(done, Written { rows: 9, shown: rows.min(9) as u64 });
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 2 + rows.min(9) + 1, "{text}");
            let (footer, body) = lines.split_last().unwrap();
            assert!(body.iter().all(|line| line.chars().count() <= width), "{width}\n{text}");
            assert_eq!(
                footer.contains("shown"),
                rows < 9 || body[0].split_whitespace().count() < 5,
                "{text}"
            );
        }
    }
}

#[test]
fn other_formats_are_never_cut() {
    let limits = TableLimits { width: Some(10), rows: Some(1) };
    for format in [
        OutputFormat::Csv,
        OutputFormat::Tsv,
        OutputFormat::Json,
        OutputFormat::Ndjson,
        OutputFormat::Markdown,
    ] {
        assert_eq!(written(format, &[sample()], limits), plain(format));
    }
}

#[test]
fn batches_follow_each_other_without_seams() {
    let whole = sample();
    let parts = [whole.slice(0, 1), whole.slice(1, 0), whole.slice(1, 2)];
    for (_, format) in OutputFormat::ALL {
        if format != OutputFormat::Parquet {
            assert_eq!(written(format, &parts, TableLimits::default()), plain(format), "{format}");
        }
    }
}

#[test]
fn results_without_rows() {
    let empty = [sample().slice(0, 0)];
    let text = |format| written(format, &empty, TableLimits::default());
    assert_eq!(text(OutputFormat::Csv), "start,port,agent,action,ratio\n");
    assert_eq!(text(OutputFormat::Json), "[]\n");
    assert_eq!(text(OutputFormat::Ndjson), "");
    assert!(text(OutputFormat::Table).ends_with("(0 rows)\n"));
    let mut out = Vec::new();
    write_all(OutputFormat::Json, &sample().schema(), &[], &mut out, TableLimits::default()).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "[]\n");
}

#[test]
fn times_are_in_utc_whatever_their_zone_and_without_one_where_they_have_none() {
    let seconds = TimestampSecondArray::from(vec![HALF_PAST_TEN]);
    let east = TimestampMicrosecondArray::from(vec![HALF_PAST_TEN * 1_000_000]).with_timezone("+02:00");
    let batch =
        RecordBatch::try_from_iter([("naive", Arc::new(seconds) as ArrayRef), ("east", Arc::new(east))])
            .unwrap();
    let csv = written(OutputFormat::Csv, &[batch], TableLimits::default());
    assert_eq!(csv, "naive,east\n2026-01-15T10:30:00,2026-01-15T10:30:00Z\n");
}

#[test]
fn terminals_do_not_obey_what_clients_send() {
    let batch = texts("user_agent", &["\u{1b}[2Jgone", "a\nb", "x\u{202e}y"]);
    let table = written(OutputFormat::Table, std::slice::from_ref(&batch), TableLimits::default());
    insta::assert_snapshot!(table, @r"
    user_agent
    ─────────────
    \u{1b}[2Jgone
    a\nb
    x\u{202e}y
    (3 rows)
    ");
    let csv = written(OutputFormat::Csv, &[batch], TableLimits::default());
    assert_eq!(csv, "user_agent\n\u{1b}[2Jgone\n\"a\nb\"\nx\u{202e}y\n");
}

#[test]
fn large_counts_are_grouped() {
    let limits = TableLimits { width: None, rows: Some(1) };
    let rows: Vec<&str> = vec!["x"; 1_234_567];
    let text = written(OutputFormat::Table, &[texts("a", &rows)], limits);
    assert_eq!(text, "a\n─\nx\n(1,234,567 rows, 1 shown; csv and json show everything)\n");
}

#[test]
fn long_tables_without_a_limit_are_complete() {
    let rows: Vec<String> = (0..25_000).map(|row| row.to_string()).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let text = written(OutputFormat::Table, &[texts("a", &rows)], TableLimits::default());
    assert_eq!(text.lines().count(), 25_003);
    assert_eq!(text.lines().nth(25_001), Some("24999"));
}

#[test]
fn lists_and_booleans() {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let flags = BooleanArray::from(vec![Some(true), None]);
    let batch =
        RecordBatch::try_from_iter([("l", Arc::new(lists) as ArrayRef), ("b", Arc::new(flags))]).unwrap();
    let text = |format| written(format, std::slice::from_ref(&batch), TableLimits::default());
    assert_eq!(text(OutputFormat::Csv), "l,b\n\"[1,null]\",true\n,\n");
    assert_eq!(text(OutputFormat::Ndjson), "{\"l\":[1,null],\"b\":true}\n{\"l\":null,\"b\":null}\n");
}

#[test]
fn what_separates_the_items_of_a_list_is_told_from_what_stands_in_them() {
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    lists.append_value([Some("a\"b"), None, Some("c,d")]);
    lists.append_value([Some("null"), Some("x\ny"), Some("")]);
    lists.append_value(Vec::<Option<&str>>::new());
    let batch = RecordBatch::try_from_iter([("l", Arc::new(lists.finish()) as ArrayRef)]).unwrap();
    let text = |format| written(format, std::slice::from_ref(&batch), TableLimits::default());
    insta::assert_snapshot!(text(OutputFormat::Csv), @r#"
    l
    "[""a\""b"",null,""c,d""]"
    "[""null"",""x\ny"",""""]"
    []
    "#);
    insta::assert_snapshot!(text(OutputFormat::Tsv), @r#"
    l
    ["a\\"b",null,"c,d"]
    ["null","x\\ny",""]
    []
    "#);
}

#[test]
fn an_interval_has_no_type_in_parquet() {
    let interval = arrow::array::IntervalMonthDayNanoArray::from(vec![None]);
    let batch = RecordBatch::try_from_iter([("age", Arc::new(interval) as ArrayRef)]).unwrap();
    let written =
        write_all(OutputFormat::Parquet, &batch.schema(), &[batch], Vec::new(), TableLimits::default());
    let said = written.unwrap_err().to_string();
    assert_eq!(said, "age is an interval, for which parquet has no type (write cast(age as text) as age)");
}

#[test]
fn parquet_is_read_back() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let batch = sample();
    let done = write_all(
        OutputFormat::Parquet,
        &batch.schema(),
        &[batch.clone(), batch.clone()],
        file.reopen().unwrap(),
        TableLimits::default(),
    )
    .unwrap();
    assert_eq!(done.rows, 6);
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file.reopen().unwrap())
            .unwrap()
            .build()
            .unwrap();
    let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let back = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
    assert_eq!(back.slice(3, 3).columns(), batch.columns());
}

#[test]
fn formats_by_name_and_suffix() {
    assert_eq!("CSV".parse::<OutputFormat>().unwrap(), OutputFormat::Csv);
    assert_eq!("md".parse::<OutputFormat>().unwrap(), OutputFormat::Markdown);
    let said = "jsn".parse::<OutputFormat>().unwrap_err().to_string();
    assert_eq!(said, "no output format \"jsn\"; did you mean json?");
    let said = "excel".parse::<OutputFormat>().unwrap_err().to_string();
    assert!(said.starts_with("no output format \"excel\"; known are table, csv"), "{said}");
    for (path, format) in [
        ("a.csv", Some(OutputFormat::Csv)),
        ("a.b.JSONL", Some(OutputFormat::Ndjson)),
        ("a.parquet", Some(OutputFormat::Parquet)),
        ("csv", None),
        ("a.xlsx", None),
    ] {
        assert_eq!(OutputFormat::from_path(Path::new(path)), format, "{path}");
    }
}

#[test]
fn a_closed_pipe_is_told_from_other_errors() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (name, format) in OutputFormat::ALL {
        if format == OutputFormat::Parquet {
            continue;
        }
        let done = write_all(format, &sample().schema(), &[sample()], Closed, TableLimits::default());
        let Err(OutputError::Io(error)) = done else { panic!("{name}") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{name}");
    }
}
