use super::*;
use crate::sql::dialect::FlowqDialect;
use crate::sql::functions::{Enrichment, register};
use datafusion::sql::parser::DFParser;
use std::sync::Arc;

async fn said(sql: &str) -> String {
    let ctx = SessionContext::new();
    register(&ctx, &Arc::new(Enrichment::default())).unwrap();
    ctx.sql("create table flow_logs(srcaddr text, dstaddr text, bytes bigint, start bigint, \"end\" bigint)")
        .await
        .unwrap();
    let failed = match ctx.sql(sql).await {
        Ok(frame) => frame.collect().await.map(|_| ()),
        Err(error) => Err(error),
    };
    explain(&failed.expect_err(sql), sql, &Names::of(&ctx)).to_string()
}

#[tokio::test]
async fn syntax_has_a_caret() {
    insta::assert_snapshot!(said("select srcaddr\nfrom flow_logs wher bytes > 1").await, @r"
    expected: end of statement, found: bytes
     2 | from flow_logs wher bytes > 1
       |                     ^
    hint: did you mean where?
    ");
    insta::assert_snapshot!(said("selct srcaddr from flow_logs").await, @r"
    expected: an SQL statement, found: selct
     1 | selct srcaddr from flow_logs
       | ^
    hint: did you mean select?
    ");
    insta::assert_snapshot!(said("select srcaddr from").await, @r"
    expected: identifier, found: end of statement
     1 | select srcaddr from
       |                    ^
    ");
}

#[tokio::test]
async fn unknown_names_have_a_near_one() {
    insta::assert_snapshot!(said("select srcadr from flow_logs").await, @r"
    no column named srcadr
     1 | select srcadr from flow_logs
       |        ^
    hint: did you mean srcaddr?
    ");
    insta::assert_snapshot!(said("select 'src_ip' as srcip2, src_ip from flow_logs").await, @r"
    no column named src_ip
     1 | select 'src_ip' as srcip2, src_ip from flow_logs
       |                            ^
    hint: it is called srcaddr here
    ");
    insta::assert_snapshot!(said("select endtime from flow_logs").await, @r#"
    no column named endtime
     1 | select endtime from flow_logs
       |        ^
    hint: it is called "end" here
    "#);
    insta::assert_snapshot!(said("select *\nfrom flow_log").await, @r"
    no table named flow_log
     2 | from flow_log
       |      ^
    hint: did you mean flow_logs?
    ");
    insta::assert_snapshot!(said("select is_privat(srcaddr) from flow_logs").await, @r"
    no function named is_privat
     1 | select is_privat(srcaddr) from flow_logs
       |        ^
    hint: did you mean is_private?
    ");
}

#[tokio::test]
async fn the_rest_is_short() {
    assert_eq!(
        said("select cidr_contains('10.0.0.0/33', srcaddr) from flow_logs").await,
        "\"10.0.0.0/33\" is no CIDR block: the length \"33\" is not between 0 and 32"
    );
    insta::assert_snapshot!(said("select srcaddr, sum(bytes) from flow_logs").await, @r"
    srcaddr must be in group by or inside an aggregate function
     1 | select srcaddr, sum(bytes) from flow_logs
       |        ^
    ");
}

#[test]
fn fields_that_logs_may_lack() {
    assert_eq!(
        not_carried(LogKind::Flow, "flow_direction").as_deref(),
        Some("these flow logs were written without `flow-direction`; add it to the log format")
    );
    assert_eq!(
        not_carried(LogKind::Flow, "protocol").as_deref(),
        Some("these flow logs were written without `protocol`; add it to the log format")
    );
    let of_load_balancers = not_carried(LogKind::Nlb, "incoming_tls_alert").unwrap();
    assert!(of_load_balancers.ends_with("has a value of incoming_tls_alert"), "{of_load_balancers}");
    assert_eq!(not_carried(LogKind::Flow, "nonsense"), None);
}

#[test]
fn near_names() {
    assert_eq!(nearest("srcadr", ["dstaddr", "srcaddr"]), Some("srcaddr"));
    assert_eq!(nearest("TCP", ["tcp"]), Some("tcp"));
    assert_eq!(nearest("bananas", ["srcaddr"]), None);
    assert_eq!(nearest("", []), None);
}

#[tokio::test]
async fn addresses_without_quotes_are_told_to_have_them() {
    insta::assert_snapshot!(said("select bytes from flow_logs where srcaddr = 198.51.100.7").await, @r"
    expected: end of statement, found: .100
     1 | select bytes from flow_logs where srcaddr = 198.51.100.7
       |                                                   ^
    hint: text wants single quotes: '198.51.100.7'
    ");
}

#[test]
fn a_condition_by_itself_has_its_mistakes_where_they_stand() {
    let said = |condition: &str| {
        let parsed = DFParser::parse_sql_into_expr_with_dialect(condition, &FlowqDialect);
        explain(&parsed.expect_err(condition), condition, &Names::default()).to_string()
    };
    insta::assert_snapshot!(said("srcaddr = 198.51.100.7"), @r"
    expected: end of expression, found: .100
     1 | srcaddr = 198.51.100.7
       |                 ^
    hint: text wants single quotes: '198.51.100.7'
    ");
    insta::assert_snapshot!(said("dstport in (22,443"), @r"
    expected: ), found: end of statement
     1 | dstport in (22,443
       |                   ^
    ");
    insta::assert_snapshot!(said("where dstport = 22"), @r"
    expected: end of expression, found: dstport
     1 | where dstport = 22
       |       ^
    hint: leave out the word where
    ");
    insta::assert_snapshot!(said("1 = 1) or (1 = 1"), @r"
    expected: end of expression, found: )
     1 | 1 = 1) or (1 = 1
       |      ^
    ");
    insta::assert_snapshot!(said(""), @"expected: an expression, found: end of statement");
}
