use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use arrow::util::pretty::pretty_format_columns;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::*;

fn session_with(enrichment: Enrichment) -> SessionContext {
    let ctx = SessionContext::new();
    register(&ctx, &Arc::new(enrichment)).unwrap();
    ctx
}

fn session() -> SessionContext {
    session_with(Enrichment::default())
}

async fn rows(ctx: &SessionContext, sql: &str) -> Result<Vec<Option<String>>> {
    let batches = ctx.sql(sql).await?.collect().await?;
    let mut out = Vec::new();
    for batch in batches {
        let text = cast(batch.column(0), &DataType::Utf8)?;
        out.extend(text.as_string::<i32>().iter().map(|value| value.map(str::to_owned)));
    }
    Ok(out)
}

async fn one(ctx: &SessionContext, expression: &str) -> Option<String> {
    let found = rows(ctx, &format!("select {expression}")).await;
    found.unwrap_or_else(|error| panic!("{expression}: {error}")).pop().unwrap()
}

async fn refusal(ctx: &SessionContext, sql: &str) -> String {
    rows(ctx, sql).await.expect_err(sql).strip_backtrace()
}

fn ip_ranges() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        r#"{{"syncToken": "1", "createDate": "2026-01-01-00-00-00",
        "prefixes": [
            {{"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"}},
            {{"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"}},
            {{"ip_prefix": "198.51.100.64/26", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"}},
            {{"ip_prefix": "198.51.100.80/28", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"}},
            {{"ip_prefix": "203.0.113.0/25", "region": "GLOBAL", "service": "AMAZON", "network_border_group": "GLOBAL"}}],
        "ipv6_prefixes": [
            {{"ipv6_prefix": "2001:db8:7::/48", "region": "us-east-1", "service": "CLOUDFRONT", "network_border_group": "x"}}]}}"#
    )
    .unwrap();
    file
}

fn mmdb() -> tempfile::NamedTempFile {
    mmdb_of_type("Test")
}

/// A MaxMind database of one node: addresses whose first bit is 0 have the record, others have none.
fn mmdb_of_type(database_type: &str) -> tempfile::NamedTempFile {
    fn text(out: &mut Vec<u8>, text: &str) {
        // Texts of 29 bytes and more carry the rest of their length in a byte of its own.
        match u8::try_from(text.len()).unwrap() {
            short @ 0..29 => out.push(0x40 | short),
            long => out.extend([0x40 | 29, long - 29]),
        }
        out.extend(text.as_bytes());
    }
    fn map(out: &mut Vec<u8>, entries: u8) {
        out.push(0xE0 | entries);
    }
    let mut data = Vec::new();
    map(&mut data, 3);
    text(&mut data, "country");
    map(&mut data, 1);
    text(&mut data, "iso_code");
    text(&mut data, "SE");
    text(&mut data, "autonomous_system_number");
    data.extend([0xC4, 0x00, 0x00, 0xFC, 0x01]); // uint32 64513
    text(&mut data, "autonomous_system_organization");
    text(&mut data, "Example Networks");

    let mut file = vec![0, 0, 17, 0, 0, 1]; // left: data offset 0 (nodes + 16), right: nothing (nodes)
    file.extend([0; 16]);
    file.extend(&data);
    file.extend(b"\xAB\xCD\xEFMaxMind.com");
    map(&mut file, 9);
    text(&mut file, "description");
    map(&mut file, 0);
    text(&mut file, "languages");
    file.extend([0x00, 0x04]); // an empty array, an extended type: type 7 + 4
    text(&mut file, "node_count");
    file.extend([0xC1, 1]);
    text(&mut file, "record_size");
    file.extend([0xA1, 24]);
    text(&mut file, "ip_version");
    file.extend([0xA1, 4]);
    text(&mut file, "database_type");
    text(&mut file, database_type);
    text(&mut file, "binary_format_major_version");
    file.extend([0xA1, 2]);
    text(&mut file, "binary_format_minor_version");
    file.extend([0xA1, 0]);
    text(&mut file, "build_epoch");
    file.extend([0x01, 0x02, 1]); // uint64, an extended type: type 7 + 2
    let mut out = tempfile::NamedTempFile::new().unwrap();
    out.write_all(&file).unwrap();
    out
}

#[tokio::test]
async fn every_example_gives_its_result() {
    let ranges = ip_ranges();
    let geo = mmdb();
    let ctx = session_with(Enrichment::load(Some(ranges.path()), &[geo.path().to_owned()]).unwrap());
    let catalogue = catalogue();
    assert!(catalogue.len() >= 20);
    for doc in catalogue {
        // The examples of functions that need the user's data show addresses that no such data has.
        if ["aws_service", "aws_region", "country", "asn", "as_org"].contains(&doc.name) {
            assert_eq!(doc.result, "NULL", "{}", doc.name);
            continue;
        }
        let given = one(&ctx, doc.example).await.unwrap_or("NULL".into());
        assert_eq!(given, doc.result, "{}", doc.example);
        assert!(doc.example.starts_with(doc.name) && doc.signature.starts_with(doc.name));
    }
}

#[tokio::test]
async fn null_in_is_null_out() {
    let ctx = session_with(Enrichment::load(Some(ip_ranges().path()), &[mmdb().path().to_owned()]).unwrap());
    for doc in catalogue() {
        let nulls = vec!["NULL"; doc.parameters.len()].join(", ");
        assert_eq!(one(&ctx, &format!("{}({nulls})", doc.name)).await, None, "{}", doc.name);
    }
    assert_eq!(one(&ctx, "cidr_contains('10.0.0.0/8', NULL)").await, None);
    assert_eq!(one(&ctx, "cidr_contains(NULL, '10.0.0.1')").await, None);
    assert_eq!(one(&ctx, "tcp_flag(NULL, 'SYN')").await, None);
}

#[tokio::test]
async fn literals_that_are_wrong_are_shown_with_a_hint() {
    let ctx = session();
    ctx.sql("create table t(a text, n int) as values ('10.0.0.1', 6)")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    for (sql, parts) in [
        ("select cidr_contains('10.0.0.0/33', a) from t", ["\"10.0.0.0/33\"", "between 0 and 32"]),
        ("select * from t where ip_in(a, '10.0.0/8')", ["\"10.0.0\"", "write 10.0.0.0/8"]),
        ("select cidr_contains('ten', '10.0.0.1')", ["\"ten\"", "write 10.0.0.0/8"]),
        ("select cidr_contains(a || '/99', a) from t", ["\"10.0.0.1/99\"", "between 0 and 32"]),
        ("select ip_prefix(a, 129) from t", ["129 is no prefix length", "0 to 32"]),
        ("select is_private('10.0.0.300')", ["\"10.0.0.300\"", "write 10.0.0.1"]),
        ("select protocol_number('tpc')", ["\"tpc\"", "did you mean \"tcp\"?"]),
        ("select tcp_flag(n, 'SYM') from t", ["\"SYM\"", "FIN, SYN"]),
        ("select int_to_ip(-1)", ["-1 is no IPv4 address", "4294967295"]),
        ("select aws_service(a) from t", ["--aws-ip-ranges", "ip-ranges.json"]),
        ("select asn(a) from t", ["--geoip", ".mmdb"]),
        ("select is_private(n) from t", ["addr of is_private(addr) must be text", "not an integer"]),
        ("select ip_in(a) from t", ["ip_in takes 2 arguments, not 1", "ip_in(addr, cidr)"]),
    ] {
        let said = refusal(&ctx, sql).await;
        for part in parts {
            assert!(said.contains(part), "{sql}: {said}");
        }
    }
}

#[tokio::test]
async fn every_text_type_gives_the_same() {
    let plain = StringArray::from(vec![
        Some("10.12.0.1"),
        None,
        Some("2001:db8::7"),
        Some("192.168.100.200"),
        Some("-"),
        Some("10.12.0.1"),
        Some("203.0.113.100"),
        Some("10.12.0.1"),
    ]);
    let plain: ArrayRef = Arc::new(plain);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let views = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8View));
    for ty in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary, views] {
        let ctx = session();
        let array = cast(&plain, &ty).unwrap();
        let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        ctx.register_table("t", Arc::new(table)).unwrap();
        let expect = |values: [Option<&str>; 8]| values.map(|value| value.map(str::to_owned)).to_vec();
        let t = Some("true");
        let f = Some("false");
        for (sql, values) in [
            ("cidr_contains('10.12.0.0/16', a)", [t, None, f, f, f, t, f, t]),
            ("ip_in(a, '2001:db8::/32')", [f, None, t, f, f, f, f, f]),
            ("ip_in(a, '192.168.0.0/16')", [f, None, f, t, f, f, f, f]),
            ("is_private(a)", [t, None, f, t, None, t, f, t]),
            (
                "ip_prefix(a, 24)",
                [
                    Some("10.12.0.0/24"),
                    None,
                    Some("2001:d00::/24"),
                    Some("192.168.100.0/24"),
                    None,
                    Some("10.12.0.0/24"),
                    Some("203.0.113.0/24"),
                    Some("10.12.0.0/24"),
                ],
            ),
            ("ip_family(a)", [Some("4"), None, Some("6"), Some("4"), None, Some("4"), Some("4"), Some("4")]),
        ] {
            let found = rows(&ctx, &format!("select {sql} from t")).await.unwrap();
            assert_eq!(found, expect(values), "{sql} over {ty}");
        }
    }
}

#[tokio::test]
async fn dictionaries_whose_values_or_keys_are_null() {
    let keys = Int32Array::from(vec![Some(0), None, Some(1), Some(2), Some(0), Some(1)]);
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("10.0.0.1"), None, Some("192.0.2.1")]));
    let array = DictionaryArray::<Int32Type>::try_new(keys, values).unwrap();
    let batch = RecordBatch::try_from_iter([("a", Arc::new(array) as ArrayRef)]).unwrap();
    let ctx = session();
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    ctx.register_table("t", Arc::new(table)).unwrap();
    let batches =
        ctx.sql("select cidr_contains('10.0.0.0/8', a) from t").await.unwrap().collect().await.unwrap();
    let expected = BooleanArray::from(vec![Some(true), None, None, Some(false), Some(true), None]);
    let found: &dyn Array = batches[0].column(0);
    assert_eq!(
        found.as_boolean(),
        &expected,
        "{}",
        pretty_format_columns("a", &[batches[0].column(0).clone()]).unwrap()
    );
}

#[tokio::test]
async fn prefixes_may_come_from_a_column() {
    let ctx = session();
    let sql = "select cidr_contains(c, a) from (values ('10.0.0.0/8', '10.1.1.1', 1), ('10.0.0.0/8', '11.1.1.1', 2), \
               (NULL, '10.1.1.1', 3), ('2001:db8::/32', '2001:db8::1', 4), ('192.0.2.1', '192.0.2.1', 5)) as t(c, a, n) \
               order by n";
    let found = rows(&ctx, sql).await.unwrap();
    let expected = [Some("true"), Some("false"), None, Some("true"), Some("true")];
    assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn numbers_have_names() {
    let ctx = session();
    for (call, value) in [
        ("protocol_name(1)", Some("icmp")),
        ("protocol_name(300)", None),
        ("protocol_number('58')", Some("58")),
        ("tcp_flags(0)", Some("")),
        ("tcp_flags(7)", Some("FIN|SYN|RST")),
        ("tcp_flag(2, 'SYN-ACK')", Some("false")),
        ("tcp_flag(18, 'syn-ack')", Some("true")),
        ("service_name(53, 17)", Some("dns")),
        ("service_name(22, 17)", None),
        ("service_name(70000, 6)", None),
        ("traffic_path_name(9)", None),
        ("int_to_ip(4294967295)", Some("255.255.255.255")),
        ("ip_to_int('255.255.255.255')", Some("4294967295")),
        ("ip_to_int('2001:db8::7')", None),
        ("ip_to_hex('10.0.0.1')", Some("0a000001")),
        ("ip_prefix('10.0.0.1', 64)", None),
        ("ip_prefix('2001:db8:1:2:3::', 64)", Some("2001:db8:1:2::/64")),
        ("is_public('198.51.100.7')", Some("false")),
        ("is_internet('198.51.100.7')", Some("true")),
    ] {
        assert_eq!(one(&ctx, call).await.as_deref(), value, "{call}");
    }
}

#[tokio::test]
async fn aws_ranges_answer_with_the_narrowest_service() {
    let ctx = session_with(Enrichment::load(Some(ip_ranges().path()), &[]).unwrap());
    for (addr, service, region) in [
        ("198.51.100.0", Some("EC2"), Some("eu-west-1")),
        ("198.51.100.63", Some("EC2"), Some("eu-west-1")),
        ("198.51.100.64", Some("S3"), Some("eu-west-1")),
        // AMAZON says less than the wider S3 around it.
        ("198.51.100.80", Some("S3"), Some("eu-west-1")),
        ("198.51.100.96", Some("S3"), Some("eu-west-1")),
        ("198.51.100.127", Some("S3"), Some("eu-west-1")),
        ("198.51.100.128", Some("EC2"), Some("eu-west-1")),
        ("198.51.100.255", Some("EC2"), Some("eu-west-1")),
        ("198.51.101.0", None, None),
        ("198.51.99.255", None, None),
        ("203.0.113.127", Some("AMAZON"), Some("GLOBAL")),
        ("203.0.113.128", None, None),
        ("2001:db8:7::1", Some("CLOUDFRONT"), Some("us-east-1")),
        ("2001:db8:8::1", None, None),
        ("-", None, None),
    ] {
        assert_eq!(one(&ctx, &format!("aws_service('{addr}')")).await.as_deref(), service, "{addr}");
        assert_eq!(one(&ctx, &format!("aws_region('{addr}')")).await.as_deref(), region, "{addr}");
    }
}

#[tokio::test]
async fn maxmind_databases_answer() {
    let ctx = session_with(Enrichment::load(None, &[mmdb().path().to_owned()]).unwrap());
    assert_eq!(one(&ctx, "country('10.0.0.1')").await.as_deref(), Some("SE"));
    assert_eq!(one(&ctx, "asn('10.0.0.1')").await.as_deref(), Some("64513"));
    assert_eq!(one(&ctx, "as_org('10.0.0.1')").await.as_deref(), Some("Example Networks"));
    assert_eq!(one(&ctx, "country('203.0.113.1')").await, None);
    assert_eq!(one(&ctx, "country('2001:db8::1')").await, None);
}

#[tokio::test]
async fn what_no_database_holds_is_an_error_and_not_null() {
    let of_types = |types: &[&str]| {
        let files: Vec<_> = types.iter().map(|name| mmdb_of_type(name)).collect();
        let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
        session_with(Enrichment::load(None, &paths).unwrap())
    };
    let countries = of_types(&["GeoLite2-Country"]);
    assert_eq!(one(&countries, "country('10.0.0.1')").await.as_deref(), Some("SE"));
    for function in ["asn", "as_org"] {
        let said = refusal(&countries, &format!("select {function}('10.0.0.1')")).await;
        assert!(said.contains("holds networks") && said.contains("GeoLite2-ASN.mmdb"), "{said}");
    }
    let networks = of_types(&["DBIP-ASN-Lite (compat=GeoLite2-ASN)"]);
    assert_eq!(one(&networks, "asn('10.0.0.1')").await.as_deref(), Some("64513"));
    let said = refusal(&networks, "select country('10.0.0.1')").await;
    assert!(said.contains("holds countries") && said.contains("GeoLite2-Country.mmdb"), "{said}");
    let both = of_types(&["GeoLite2-City", "GeoLite2-ASN"]);
    assert_eq!(one(&both, "asn('10.0.0.1')").await.as_deref(), Some("64513"));
    assert_eq!(one(&both, "country('10.0.0.1')").await.as_deref(), Some("SE"));
}

#[test]
fn files_that_are_something_else_say_so() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{\"a\": 1}").unwrap();
    let said = Enrichment::load(Some(file.path()), &[]).err().unwrap().to_string();
    assert!(said.contains("is not AWS's ip-ranges.json") && said.contains("prefixes"), "{said}");
    let said = Enrichment::load(None, &[file.path().to_owned()]).err().unwrap().to_string();
    assert!(said.contains("is not a MaxMind database"), "{said}");
    let said = Enrichment::load(None, &["/nowhere/x.mmdb".into()]).err().unwrap().to_string();
    assert!(said.starts_with("cannot read /nowhere/x.mmdb"), "{said}");
}

#[tokio::test]
async fn hints_for_pruning_are_necessary_and_only_hints() {
    let ctx = session();
    ctx.sql("create table t(a text, n int) as values ('10.12.0.1', 1), ('10.120.0.1', 2), ('10.13.0.1', 3)")
        .await
        .unwrap();
    let filter = |sql: &str| {
        let (ctx, sql) = (ctx.clone(), format!("select * from t where {sql}"));
        async move {
            let plan = ctx.sql(&sql).await.unwrap().into_unoptimized_plan();
            let mut found = None;
            datafusion::common::tree_node::TreeNode::apply(&plan, |node| {
                if let datafusion::logical_expr::LogicalPlan::Filter(filter) = node {
                    found = Some(filter.predicate.clone());
                }
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
            })
            .unwrap();
            pruning_filter(&found.unwrap()).to_string()
        }
    };
    let hinted = filter("cidr_contains('10.12.0.0/16', a)").await;
    assert!(hinted.contains("t.a >= Utf8(\"10.12.\") AND t.a < Utf8(\"10.12/\")"), "{hinted}");
    let hinted = filter("n = 1 and ip_in(a, '10.12.64.0/19')").await;
    assert!(hinted.contains("t.a >= Utf8(\"10.12.\")"), "{hinted}");
    let hinted = filter("n = 1 or ip_in(a, '192.0.2.7/32')").await;
    assert!(hinted.contains("t.a = Utf8(\"192.0.2.7\")"), "{hinted}");
    for untouched in
        ["not ip_in(a, '10.12.0.0/16')", "ip_in(a, '2001:db8::/32')", "ip_in(a, '0.0.0.0/0')", "n = 1"]
    {
        let hinted = filter(untouched).await;
        assert!(!hinted.contains(">="), "{untouched}: {hinted}");
    }
}
