//! The queries' heads and parameters; their answers are in `answers`.

use super::*;

mod answers;
mod data;
mod networks;

const SMALL: &str = "-- title: T\n-- purpose: One\n--   two.\n-- needs: flow_logs(srcaddr)\n\
                     -- param: limit int = 20 \"how many\"\n-- param: who address \"whom\"\n\nselect $limit, $who;\n";

#[test]
fn heads_are_read() {
    let query = Query::parse("small", SMALL, None).unwrap();
    assert_eq!((query.title.as_str(), query.purpose.as_str()), ("T", "One two."));
    assert_eq!(query.needs, [Need { table: "flow_logs".into(), columns: vec!["srcaddr".into()] }]);
    assert_eq!(query.params[0].default, ParamDefault::Value("20".into()));
    assert_eq!(query.params[1].default, ParamDefault::Required);
    assert_eq!(query.sql, "select $limit, $who");
}

#[test]
fn heads_that_are_wrong_say_where_and_why() {
    for (text, said) in [
        ("select 1", "x.sql:1: no title; add a line `-- title: ...` at the top"),
        ("-- title: T\nselect 1", "x.sql:1: no purpose; add a line `-- purpose: ...` at the top"),
        ("-- titel: T\nselect 1", "x.sql:1: unknown entry \"titel\"; did you mean \"title\"?"),
        (
            "-- title: T\n-- hello\nselect 1",
            "x.sql:2: expected `-- key: text` with one of title, purpose, needs, param, origin",
        ),
        ("-- title: T\n-- title: U\n-- purpose: P\nselect 1", "x.sql:2: title is there twice"),
        ("-- title: T\n-- purpose: P\n", "x.sql:3: no statement below the head"),
        (
            "-- title: T\n-- purpose: P\nselect $n",
            "x.sql:3: $n is not declared; add a line `-- param: n TYPE = DEFAULT \"meaning\"`",
        ),
        (
            "-- title: T\n-- purpose: P\n-- param: n int = 1\nselect '$n' -- $n",
            "x.sql:4: parameter n is declared and not used",
        ),
        (
            "-- title: T\n-- purpose: P\n-- param: n int = many\nselect $n",
            "x.sql:3: the default \"many\" of parameter n is not a whole number",
        ),
        (
            "-- title: T\n-- purpose: P\n-- needs: flow_logs\nselect 1",
            "x.sql:3: \"flow_logs\" is no need; write `-- needs: flow_logs(srcaddr, bytes)`",
        ),
    ] {
        assert_eq!(Query::parse("x", text, None).unwrap_err().to_string(), said);
    }
}

#[test]
fn parameters_that_are_wrong_say_so() {
    let query = Query::parse("small", SMALL, None).unwrap();
    let bind = |given: &[(&str, &str)]| {
        let given: Vec<_> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        query.bind(&given).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(bind(&[("who", "10.0.0.1")]), Ok(()));
    assert_eq!(bind(&[("who", "10.0.0.1"), ("from", "2026-01-15"), ("limit", "5")]), Ok(()));
    let said = |given: &[(&str, &str)]| bind(given).unwrap_err();
    assert_eq!(said(&[("limt", "5")]), "small takes no parameter \"limt\"; did you mean limit?");
    assert_eq!(said(&[("xyz", "5")]), "small takes no parameter \"xyz\"; it takes limit, who, from, to");
    assert_eq!(said(&[("limit", "ten")]), "parameter limit of small must be a whole number, not \"ten\"");
    assert_eq!(
        said(&[("who", "10.0.0.300")]),
        "parameter who of small must be an address such as 10.0.0.1 or 2001:db8::1, not \"10.0.0.300\""
    );
    assert_eq!(
        said(&[("who", "10.0.0.1"), ("to", "noon")]),
        "parameter to of small must be a time such as 2026-01-15, 2026-01-15T10:30:00Z or Unix seconds, not \"noon\""
    );
    assert_eq!(
        said(&[]),
        "small needs the parameter who (whom): give --who with an address such as 10.0.0.1 or 2001:db8::1"
    );
}

#[test]
fn a_limit_of_no_rows_is_none() {
    let limited = |sql: &str, limit: &str| {
        let text = format!("-- title: T\n-- purpose: P\n-- param: most int = 5 \"how many\"\n{sql}");
        let query = Query::parse("q", &text, None).unwrap();
        query.bind(&[("most".to_owned(), limit.to_owned())]).map(|_| ()).map_err(|error| error.to_string())
    };
    let sql = "select 1 from flow_logs LIMIT\n  $most;";
    assert_eq!(limited(sql, "1"), Ok(()));
    let said = "parameter most of q must be 1 or more, not 0: it is how many rows are shown";
    assert_eq!(limited(sql, "0"), Err(said.to_owned()));
    assert!(limited(sql, "-3").is_err());
    // Of any other number none may be meant.
    assert_eq!(limited("select 1 from flow_logs where srcport > $most limit 5", "0"), Ok(()));
}

#[test]
fn a_folder_of_queries_lies_over_the_built_in_ones() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("top_talkers.sql"), "-- title: Mine\n-- purpose: P\nselect 1").unwrap();
    std::fs::write(dir.path().join("own.sql"), "-- title: Own\n-- purpose: P\nselect 2;\n").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "not a query").unwrap();
    let library = library(Some(dir.path())).unwrap();
    assert_eq!(library.get("top_talkers").unwrap().title, "Mine");
    assert_eq!(library.get("own").unwrap().sql, "select 2");
    assert_eq!(library.iter().count(), BUILTIN.len() + 1);
    let said = library.get("top_talker").unwrap_err().to_string();
    assert_eq!(said, "no query named \"top_talker\"; did you mean top_talkers?");
    let said = library.get("zzz").unwrap_err().to_string();
    assert_eq!(said, "no query named \"zzz\"; `flowq queries list` shows them all");
    assert!(matches!(super::library(Some(&dir.path().join("none"))), Err(QueryError::Read { .. })));
}
