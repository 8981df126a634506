//! Everyday mistakes, each with what is said of it: what is wrong and, behind the arrow, what to write instead. All of them are
//! bad SQL (exit code 2), and nothing is printed.

use crate::command_line::{err, flowq_in};
use crate::sessions;

/// A statement and what is said; `…` stands for anything.
const MISTAKES: &[(&str, &str)] = &[
    // Functions.
    (
        "select sum(srcaddr) from flow_logs",
        "sum takes a number, a duration or an interval, and srcaddr is text",
    ),
    ("select avg(action) from flow_logs", "avg takes a number or a duration, and action is text"),
    ("select round(srcaddr) from flow_logs", "round takes a number, and srcaddr is text"),
    (
        "select upper(bytes) from flow_logs",
        "upper takes text, and bytes is an integer -> write upper(bytes::text)",
    ),
    ("select substr(srcaddr) from flow_logs", "substr wants a place to begin at -> write substr(text, 1, 3)"),
    (
        "select count(distinct srcaddr, dstaddr) from flow_logs",
        "count(distinct …) counts one value -> …concat…",
    ),
    (
        "select cidr_contain('10.0.0.0/8', srcaddr) from flow_logs",
        "no function named cidr_contain -> did you mean cidr_contains?",
    ),
    ("select date_trunc('foo', start) from flow_logs", "date_trunc knows no foo -> it knows microsecond, …"),
    ("select extract(foo from start) from flow_logs", "there is no part foo of a time -> there are year, …"),
    (
        "select date_bin(interval '0 s', start) from flow_logs",
        "the intervals of date_bin are empty -> write interval '5 minutes'",
    ),
    // Comparisons.
    (
        "select * from flow_logs where srcaddr = 10",
        "srcaddr is text, and 10 is a number -> write srcaddr = '10'",
    ),
    (
        "select * from flow_logs where account_id in (111122223333)",
        "account_id is text, and 111122223333 is a number -> write account_id = '111122223333'",
    ),
    (
        "select * from flow_logs where srcaddr between 1 and 2",
        "srcaddr is text, and 1 is a number -> write srcaddr >= '1'",
    ),
    (
        "select * from flow_logs where srcaddr = srcport",
        "srcaddr is text, and srcport is a number -> write srcaddr = srcport::text",
    ),
    (
        "select * from flow_logs where start > 1768471200",
        "start is a timestamp, and 1768471200 is a number -> write start > to_timestamp_seconds(1768471200) or start > '2026-01-15T10:00:00Z'",
    ),
    (
        "select * from flow_logs where 1768471200000 <= start",
        "start is a timestamp, and 1768471200000 is a number -> write start >= to_timestamp_millis(1768471200000) or start >= '2026-01-15T10:00:00Z'",
    ),
    (
        "select * from flow_logs where start between 1768471200 and 1768471300",
        "start is a timestamp, and 1768471200 is a number -> write start >= to_timestamp_seconds(1768471200) or …",
    ),
    (
        "select * from flow_logs where \"end\" in (1768471200)",
        "end is a timestamp, and 1768471200 is a number -> write \"end\" = to_timestamp_seconds(1768471200) or …",
    ),
    (
        "select * from flow_logs where start > '2026-99-01'",
        "start is a timestamp, and '2026-99-01' is not -> write a time as '2026-01-15T10:00:00Z' or '2026-01-15'",
    ),
    (
        "select * from flow_logs where event_date = 20260115",
        "event_date is a date, and 20260115 is a number -> write a date as '2026-01-15'",
    ),
    (
        "select * from flow_logs where event_date = 'yesterday'",
        "event_date is a date, and 'yesterday' is not -> write a date as '2026-01-15'",
    ),
    (
        "select * from flow_logs where dstport = 'http'",
        "dstport is a number, and 'http' is not -> write a number without quotes",
    ),
    (
        "select * from flow_logs where protocol = 'TCP'",
        "protocol is a number, and 'TCP' is not -> write protocol = protocol_number('TCP')",
    ),
    (
        "select * from flow_logs where bytes like '1%'",
        "bytes is a number, and like works on text -> write bytes::text like …",
    ),
    (
        "select * from flow_logs where dstport ~ '^44'",
        "dstport is a number, and ~ works on text -> write dstport::text ~ …",
    ),
    (
        "select * from flow_logs where action = ACCEPT",
        "no column named accept -> text wants single quotes: 'ACCEPT'",
    ),
    (
        "select * from flow_logs where action = \"ACCEPT\"",
        "no column named ACCEPT -> text wants single quotes: 'ACCEPT'",
    ),
    (
        "select * from flow_logs where action in (ACCEPT, REJECT)",
        "no column named accept -> text wants single quotes: 'ACCEPT'",
    ),
    (
        "select * from flow_logs where action = accepted",
        "no column named accepted -> text wants single quotes: 'accepted'",
    ),
    (
        "select * from flow_logs where bytes",
        "bytes is an integer, and a condition is wanted -> compare it with something",
    ),
    ("select * from flow_logs where not srcaddr", "not wants a condition, not text"),
    // Calculations.
    ("select srcaddr + 1 from flow_logs", "srcaddr is text, and + with a number needs a number -> …"),
    (
        "select start - 3600 from flow_logs",
        "start is a timestamp, and - with a number needs a number -> write start - interval '1 hour'",
    ),
    (
        "select now() - 3600",
        "a timestamp - an integer cannot be calculated -> write a span of time as interval '1 hour'",
    ),
    ("select bytes / 0 from flow_logs", "division by zero -> divide by nullif(value, 0), which gives null"),
    ("select 1 / 0", "division by zero -> …"),
    // Values.
    (
        "select cast('x' as int)",
        "'x' is not an integer of 32 bits -> try_cast(value as type) gives null for what cannot be cast",
    ),
    ("select cast(action as bigint) from flow_logs", "'…' is not an integer -> try_cast(…"),
    ("select coalesce(bytes, 'none') from flow_logs", "'none' is not an integer -> …"),
    ("select to_timestamp('x')", "'x' is not a time: … -> write it as '2026-01-15T10:00:00Z'"),
    ("select interval 'x'", "'x' is not an interval -> write interval '1 hour'"),
    ("select * from flow_logs where srcaddr ~ '('", "'(' is not a regular expression: unclosed group"),
    ("select $1", "$1 has no value -> only named queries have parameters: `flowq run NAME --param value`"),
    (
        "select (select srcaddr from flow_logs)",
        "a subquery that stands for one value gave several rows -> add `limit 1`, or take max() of them",
    ),
    // Names.
    (
        "select nope from flow_logs",
        "no column named nope -> `.schema TABLE` or `describe TABLE` shows the columns",
    ),
    ("select scraddr from flow_logs", "no column named scraddr -> did you mean srcaddr?"),
    (
        "select srcaddr from flow_logs a join flow_logs b on a.bytes = b.bytes",
        "more than one table has a column named srcaddr -> write whose it is: `t.srcaddr`, …",
    ),
    ("select a.b.c.d.e from flow_logs", "a name has no more than four parts"),
    // Clauses.
    ("select top 5 * from flow_logs", "there is no top -> write `limit N` at the end"),
    ("select from flow_logs", "…"),
    (
        "from flow_logs where bytes > 1",
        "expected: end of statement, found: where -> write `select *` before from",
    ),
    (
        "select row_number() over () from flow_logs where row_number() over () = 1",
        "a window function cannot stand here -> filter by it with `qualify`, behind where and group by",
    ),
    (
        "select srcaddr from flow_logs where sum(bytes) > 1",
        "an aggregate function cannot stand in where -> filter by it with `having`, behind group by",
    ),
    (
        "select srcaddr, sum(bytes) from flow_logs",
        "srcaddr must be in group by or inside an aggregate function",
    ),
    ("select srcaddr from flow_logs order by 5", "there is no column 5 to order by, the last is 1"),
    ("select srcaddr from flow_logs limit -1", "limit is -1, and cannot be less than 0"),
    ("select 1 union select 'a', 2", "the parts of a union have different numbers of columns"),
];

#[test]
fn each_mistake_is_bad_sql_and_says_what_to_write() {
    let (store, folder) = (sessions::store(), sessions::dump());
    let store = store.to_str().unwrap();
    let mut wrong = Vec::new();
    for (sql, wanted) in MISTAKES {
        let output = flowq_in(&folder, &["sql", "--store", store, "--format", "csv", "--threads", "1", sql]);
        let lines: Vec<String> = err(&output).lines().map(str::to_owned).collect();
        let first = lines.first().map(|line| line.trim_start_matches("error: ").to_owned());
        let hint = lines.iter().find_map(|line| line.strip_prefix("hint: "));
        let said = first.unwrap_or_default() + &hint.map_or_else(String::new, |hint| format!(" -> {hint}"));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = output.status.code();
        if !fits(wanted, &said) || code != Some(2) || !printed.is_empty() || lines.len() > 5 {
            wrong.push(format!(
                "{sql}\n  wanted {wanted}\n  said   {said}\n  code {code:?}, {} lines, printed {printed:?}",
                lines.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a text is as a pattern says, where `…` stands for anything; the ellipses of the text itself are no matter.
fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let mut parts = pattern.split('…').peekable();
    if let Some(begin) = parts.next() {
        let Some(behind) = rest.strip_prefix(begin) else { return false };
        rest = behind;
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

#[test]
fn what_other_engines_take_is_taken() {
    let rows = |sql: &str| {
        let store = sessions::store();
        let output =
            flowq_in(&sessions::dump(), &["sql", "--store", store.to_str().unwrap(), "--format", "csv", sql]);
        assert_eq!(output.status.code(), Some(0), "{sql}: {}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    // FROM first, with and without select.
    assert_eq!(rows("from flow_logs limit 1").lines().count(), 2);
    assert_eq!(rows("from flow_logs limit 1").split(',').next(), Some("version"));
    assert_eq!(rows("select count(*) as n from (from tgw_flow_logs)"), "n\n124\n");
    assert_eq!(rows("from tgw_flow_logs select count(*) as n"), "n\n124\n");
    // One name twice.
    assert_eq!(rows("select count(*), count(*) from tgw_flow_logs"), "count(*),count(*)_1\n124,124\n");
    assert_eq!(
        rows("select version, version, version from tgw_flow_logs limit 1").lines().next(),
        Some("version,version_1,version_2")
    );
    assert_eq!(rows("select 1 as a, 2 as a, 3 as a_1"), "a,a_2,a_1\n1,2,3\n");
    assert_eq!(rows("select * from (select 1 as a, 2 as a)"), "a,a_1\n1,2\n");
    assert!(
        rows("select *, version from tgw_flow_logs limit 1").lines().next().unwrap().ends_with(",version_1")
    );
    assert_eq!(rows("create table t as select 1 as a, 2 as a; select a_1 from t"), "a_1\n2\n");
    let join = "select a.version, b.version from (select 1 as version) a, (select 2 as version) b";
    assert_eq!(rows(join), "version,version_1\n1,2\n");
}
