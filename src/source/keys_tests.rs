use super::*;

/// 2026-01-15T10:00:00Z, as in the samples of the formats' description.
const TEN: i64 = 1_768_471_200;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn flow_log_keys_in_plain_layouts() {
    let key = ObjectKey::parse(
        "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/15/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20260115T1000Z_fe123456.log.gz",
    );
    let expected = ObjectKey {
        account: some("123456789012"),
        region: some("us-east-1"),
        service: some("vpcflowlogs"),
        kind: Some(KeyKind::FlowLog),
        flow_log_id: some("fl-1234abcd"),
        stamp: Some(TEN),
        date: Some(KeyDate { year: 2026, month: 1, day: 15, hour: None }),
        ..ObjectKey::default()
    };
    assert_eq!(key, expected);

    let key = ObjectKey::parse(
        "logs/net/AWSLogs/123456789012/vpcflowlogs/us-gov-west-1/2026/01/15/10/123456789012_vpcflowlogs_us-gov-west-1_fl-04af3543c74402594_20260115T1005Z_73d3922a.log.gz",
    );
    assert_eq!(key.region, some("us-gov-west-1"));
    assert_eq!(key.stamp, Some(TEN + 300));
    assert_eq!(key.date, Some(KeyDate { year: 2026, month: 1, day: 15, hour: Some(10) }));
}

#[test]
fn flow_log_keys_in_hive_layouts_with_both_spellings_of_the_service() {
    // Q32, Q33, Q46
    let key = ObjectKey::parse(
        "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=eusc-de-east-1/year=2026/month=01/day=15/hour=10/123456789012_vpcflowlogs_eusc-de-east-1_fl-04af3543c74402594_20260115T1010Z_8246457e.log.parquet",
    );
    assert_eq!(key.region, some("eusc-de-east-1"));
    assert_eq!(key.stamp, Some(TEN + 600));
    assert_eq!(key.date, Some(KeyDate { year: 2026, month: 1, day: 15, hour: Some(10) }));
    let folder = "AWSLogs/aws-account-id=123456789012/service=vpcflowlogs/aws-region=us-east-1/year=2026/month=01/day=15/";
    for name in
        ["123456789012_vpcflowlogs_us-east-1_fl-0aa11bb22cc33dd44_20260115T1000Z_0badcafe.log.gz", "renamed"]
    {
        let key = ObjectKey::parse(&format!("{folder}{name}"));
        assert_eq!(key.service, some("vpcflowlogs"), "{name}");
        assert_eq!(key.account, some("123456789012"));
        assert_eq!(key.region, some("us-east-1"));
        assert_eq!(key.date, Some(KeyDate { year: 2026, month: 1, day: 15, hour: None }));
    }
}

#[test]
fn a_bare_name_gives_what_it_holds() {
    let key =
        ObjectKey::parse("123456789012_vpcflowlogs_us-isob-east-1_fl-1234abcd_20260115T1000Z_fe123456.log");
    assert_eq!(
        (key.account, key.region, key.stamp),
        (some("123456789012"), some("us-isob-east-1"), Some(TEN))
    );
    assert_eq!(key.date, None);
    assert_eq!(ObjectKey::parse("my-app-1/readme.txt"), ObjectKey::default());
    assert_eq!(ObjectKey::parse(""), ObjectKey::default());
    assert_eq!(ObjectKey::parse("/"), ObjectKey::default());
}

#[test]
fn pruning_keeps_a_wide_margin() {
    // Q50
    let key =
        ObjectKey::parse("123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20260115T1000Z_fe123456.log.gz");
    assert!(key.may_hold(TEN + 900, TEN + 1000) && !key.may_hold(TEN + 901, TEN + 1000));
    assert!(key.may_hold(TEN - 1000, TEN - 900) && !key.may_hold(TEN - 1000, TEN - 901));
    assert!(key.may_hold(TEN - 9999, TEN + 9999) && key.may_hold(i64::MIN, i64::MAX));
    assert!(ObjectKey::default().may_hold(0, 0));
}

#[test]
fn load_balancer_keys() {
    let base = "my-app/AWSLogs/123456789012/elasticloadbalancing/us-east-2/2026/01/15/";
    let rest = "123456789012_elasticloadbalancing_us-east-2_";
    let cases = [
        (
            "",
            "my-loadbalancer_20260115T1000Z_172.160.001.192_20sg8hgm.log",
            KeyKind::Clb,
            "my-loadbalancer",
            some("172.160.1.192"),
        ),
        (
            "",
            "app.my-loadbalancer.1234567890abcdef_20260115T1000Z_10.0.0.9_20sg8hgm.log.gz",
            KeyKind::Alb,
            "app/my-loadbalancer/1234567890abcdef",
            some("10.0.0.9"),
        ),
        (
            "conn_log_",
            "app.my-loadbalancer.1234567890abcdef_20260115T1000Z_10.0.0.9_b38hdhc6.log.gz",
            KeyKind::AlbConnection,
            "app/my-loadbalancer/1234567890abcdef",
            some("10.0.0.9"),
        ),
        (
            "conn_log.",
            "app.my-loadbalancer.1234567890abcdef_20260115T1000Z_2001:db8::7_b38hdhc6.log.gz",
            KeyKind::AlbConnection,
            "app/my-loadbalancer/1234567890abcdef",
            some("2001:db8::7"),
        ),
        (
            "health_check_log_",
            "app.my-loadbalancer.1234567890abcdef_20260115T1000Z_10.0.0.9_20sg8hgm.log.gz",
            KeyKind::AlbHealthCheck,
            "app/my-loadbalancer/1234567890abcdef",
            some("10.0.0.9"),
        ),
        (
            "",
            "net.my-loadbalancer.1234567890abcdef_20260115T1000Z_20sg8hgm.log.gz",
            KeyKind::Nlb,
            "net/my-loadbalancer/1234567890abcdef",
            None,
        ),
    ];
    for (prefix, tail, kind, load_balancer, ip) in cases {
        for folder in [base, ""] {
            let key = ObjectKey::parse(&format!("{folder}{prefix}{rest}{tail}"));
            assert_eq!(key.kind, Some(kind), "{tail}");
            assert_eq!(key.load_balancer.as_deref(), Some(load_balancer));
            assert_eq!(key.node_ip, ip);
            assert_eq!(key.stamp, Some(TEN));
            assert_eq!(key.region, some("us-east-2"));
        }
    }
}

#[test]
fn objects_that_are_not_logs() {
    // Q20
    for name in ["ELBAccessLogTestFile", "ELBConnectionLogTestFile", "ELBHealthCheckLogTestFile"] {
        let key = ObjectKey::parse(&format!("p/AWSLogs/123456789012/{name}"));
        assert_eq!((key.kind, key.account), (Some(KeyKind::ElbTestObject), some("123456789012")));
    }
    assert_eq!(ObjectKey::parse("exportedlogs/aws-logs-write-test").kind, Some(KeyKind::ExportTestObject));
}

#[test]
fn exports_and_firehose() {
    let key = ObjectKey::parse(
        "exportedlogs/0d4ff6ae-1234-4c5f-9d52-6e6f4b2d9c11/eni-0a1b2c3d4e5f60718-all/000000.gz",
    );
    assert_eq!(key.kind, Some(KeyKind::CloudWatchExport));
    assert_eq!(key.stream, some("eni-0a1b2c3d4e5f60718-all"));
    assert_eq!(ObjectKey::parse("000000.gz").kind, None);
    for extension in ["", ".gz", ".hsnappy", ".my.ext"] {
        let key = ObjectKey::parse(&format!(
            "2026/01/15/10/my-stream.v1-1-2026-01-15-10-02-03-0d4ff6ae-1234-4c5f-9d52-6e6f4b2d9c11{extension}"
        ));
        assert_eq!(key.kind, Some(KeyKind::Firehose), "{extension}");
        assert_eq!(key.stream, some("my-stream.v1"));
        assert_eq!(key.stamp, Some(TEN + 123));
        assert_eq!(key.date, Some(KeyDate { year: 2026, month: 1, day: 15, hour: Some(10) }));
    }
}

#[test]
fn vended_deliveries_keep_region_and_date() {
    let key = ObjectKey::parse("MyLogPrefix/us-east-1/2026/09/10/whatever.json.gz");
    assert_eq!(key.region, some("us-east-1"));
    assert_eq!(key.date, Some(KeyDate { year: 2026, month: 9, day: 10, hour: None }));
    let key = ObjectKey::parse(
        "AWSLogs/aws-account-id=111122223333/elasticloadbalancing/region=us-east-1/year=2026/month=09/day=10/x",
    );
    assert_eq!((key.account, key.region), (some("111122223333"), some("us-east-1")));
    assert_eq!(key.service, some("elasticloadbalancing"));
}

#[test]
fn impossible_times_are_left_out() {
    for stamp in ["20261315T1000Z", "20260100T1000Z", "20260115T2400Z", "20260115T1060Z", "2026é115T100Z"] {
        let key =
            ObjectKey::parse(&format!("123456789012_vpcflowlogs_us-east-1_fl-1234abcd_{stamp}_fe123456.log"));
        assert_eq!(key.stamp, None, "{stamp}");
    }
}

#[test]
fn many_paths_take_no_time() {
    let path = "dump/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/01/15/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20260115T1000Z_fe123456.log.gz";
    let start = std::time::Instant::now();
    let stamped =
        (0..100_000).filter(|_| ObjectKey::parse(std::hint::black_box(path)).stamp.is_some()).count();
    assert_eq!(stamped, 100_000);
    assert!(start.elapsed().as_secs_f64() < 2.0, "{:?}", start.elapsed());
}

proptest::proptest! {
    #[test]
    fn any_path_is_read_without_panic(path in ".{0,120}") {
        ObjectKey::parse(&path);
    }

    #[test]
    fn damaged_names_are_read_without_panic(cut in 0usize..120, with in ".{0,4}") {
        let name = "a/12/123456789012_elasticloadbalancing_us-east-2_app.lb.12_20260115T1000Z_10.0.0.9_20sg8hgm.log.gz";
        let cut = cut.min(name.len());
        ObjectKey::parse(&format!("{}{with}{}", &name[..cut], &name[cut..]));
    }
}
