//! The answer of each query, worked out by hand.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use super::data::{rule_hits, run, session};
use crate::format::{LogKind, table_schema};
use crate::sql::attribution::RejectAttribution;
use crate::sql::catalog::TableSource;
use crate::sql::queries::{BUILTIN, library};

/// The answers, worked out from the rows above by hand.
const ANSWERS: &[(&str, &str, &[&str])] = &[
    ("top_talkers", "limit=3", &["10.0.1.10|209700|145|9", "10.0.2.20|21060|71|4", "10.0.0.220|3000|30|1"]),
    (
        "top_talkers_packet_level",
        "limit=2",
        &["10.0.1.10|203.0.113.5|200000|100|1", "10.0.2.20|10.0.1.10|18000|40|2"],
    ),
    (
        "top_talkers_packet_level",
        "from=2026-01-15T10:07:00Z to=2026-01-15T10:07:01Z",
        &["10.0.0.220|203.0.113.9|3000|30|1", "10.0.2.20|203.0.113.9|3000|30|1"],
    ),
    ("top_instances", "", &["i-a|219580|174|14", "i-b|10340|36|6"]),
    ("top_subnets", "", &["subnet-1|219580|174|14", "subnet-2|10340|36|6", "subnet-0|6000|60|2"]),
    ("bytes_over_time", "bucket=1h to=2026-01-16", &["10:00:00Z|233820|249|18", "11:00:00Z|700|7|2"]),
    ("bytes_over_time", "from=2026-01-16", &["2026-01-16T10:00:00Z|1400|14|2"]),
    ("traffic_over_time", "to=2026-01-16", &["10:00:00Z|12|6|233420|400", "11:00:00Z|1|1|300|400"]),
    (
        "traffic_between",
        "a=10.0.1.10 b=10.0.2.0/24",
        &[
            "10.0.2.20|10.0.1.10|40000|tcp|ACCEPT|2|40|18000|10:00:01Z|10:01:01Z",
            "10.0.1.10|10.0.2.20|5432|tcp|ACCEPT|2|20|2000|10:00:00Z|10:01:00Z",
            "10.0.1.10|10.0.2.20|22|tcp|REJECT|1|2|120|10:12:00Z|10:13:00Z",
            "10.0.1.10|10.0.2.20|3306|tcp|REJECT|1|2|120|10:12:01Z|10:13:01Z",
        ],
    ),
    (
        "traffic_of_address",
        "address=198.51.100.7",
        &[
            "10:04:01Z|10:05:01Z|eni-a|10.0.1.10|443|198.51.100.7|51000|tcp|ACCEPT|6|6000",
            "10:04:00Z|10:05:00Z|eni-a|198.51.100.7|51000|10.0.1.10|443|tcp|ACCEPT|5|500",
        ],
    ),
    (
        "accepted",
        "limit=2",
        &["10.0.1.10|203.0.113.5|443|tcp|1|100|200000", "10.0.2.20|10.0.1.10|40000|tcp|2|40|18000"],
    ),
    (
        "rejected",
        "limit=3",
        &[
            "10.0.1.10|10.0.2.20|22|tcp|1|2|10:12:00Z|10:13:00Z",
            "10.0.1.10|10.0.2.20|3306|tcp|1|2|10:12:01Z|10:13:01Z",
            "198.51.100.50|10.0.1.10|0|gre|1|4|11:05:00Z|11:06:00Z",
        ],
    ),
    ("rejected_by_port", "limit=3", &["22|tcp|ssh|3|4|2", "0|gre||1|4|1", "23|tcp|telnet|1|1|1"]),
    (
        "rejected_by_source",
        "limit=2",
        &["198.51.100.99|4|4|2|3|10:10:00Z|10:11:03Z", "10.0.1.10|2|4|1|2|10:12:00Z|10:13:01Z"],
    ),
    ("ip_family_split", "", &["IPv4|21|267|235620|99.9", "IPv6|1|3|300|0.1"]),
    (
        "top_ports",
        "limit=3",
        &["443|tcp|https|9|196|215000", "5432|tcp|postgresql|4|60|20000", "22|tcp|ssh|3|4|200"],
    ),
    (
        "https_receivers",
        "limit=3",
        &["203.0.113.5|100|200000|1", "10.0.0.220|30|3000|1", "203.0.113.9|30|3000|1"],
    ),
    ("cross_az_bytes", "", &["use1-az2|use1-az1|9000|1", "use1-az1|use1-az2|1000|1"]),
    ("internet_egress_by_instance", "", &["i-a|207460|121|4", "i-b|60|1|1"]),
    ("nat_gateway_users", "", &["10.0.2.20|eni-n|10.0.0.220|3000|30|1"]),
    ("protocol_breakdown", "", &["6|tcp|19|264|235400|99.8", "47|gre|1|4|400|0.2", "17|udp|2|2|120|0.1"]),
    ("unusual_protocols", "", &["47|gre|198.51.100.50|10.0.1.10|REJECT|1|4|400"]),
    (
        "admin_port_traffic",
        "ports=22,3389",
        &[
            "22|ssh|198.51.100.99|10.0.1.10|REJECT|true|1|40|10:10:00Z|10:11:00Z",
            "22|ssh|198.51.100.99|10.0.2.20|REJECT|true|1|40|10:10:03Z|10:11:03Z",
            "3389|rdp|198.51.100.99|10.0.1.10|REJECT|true|1|40|10:10:02Z|10:11:02Z",
            "22|ssh|10.0.1.10|10.0.2.20|REJECT|false|1|120|10:12:00Z|10:13:00Z",
        ],
    ),
    (
        "inbound_from_internet",
        "",
        &["10.0.1.10|443|tcp|https|1|1|500", "2001:db8:1::10|443|tcp|https|1|1|300"],
    ),
    ("port_scan_vertical", "min_ports=3", &["10:10:00Z|198.51.100.99|10.0.1.10|3|3|3"]),
    ("port_scan_vertical", "min_ports=4", &[]),
    ("port_scan_horizontal", "min_hosts=2", &["10:10:00Z|198.51.100.99|22|tcp|2|2|2"]),
    ("internal_recon", "min_targets=2", &["10.0.1.10|2|1|2|2|10:12:00Z|10:13:01Z"]),
    ("new_destinations", "recent=2h", &["203.0.113.77|2026-01-16T10:00:00Z|1|2|1400|10:00:00Z"]),
    // Six rejects, and one in the only other interval that has any: five times its square root more than it.
    ("denied_spike", "threshold=4.9 min_rejects=2", &["10:10:00Z|6|2|1.0|5.0"]),
    ("denied_spike", "threshold=5 min_rejects=2", &[]),
    ("exfil_candidates", "min_bytes=100000", &["10.0.1.10|203.0.113.5|200000|800|250.0|10:06:00Z|10:07:01Z"]),
    ("unapproved_dns", "approved=192.0.2.54", &["10.0.1.10|192.0.2.53|53|udp|ACCEPT|true|1|60"]),
    (
        "unapproved_dns",
        "",
        &["10.0.1.10|192.0.2.53|53|udp|ACCEPT|true|1|60", "10.0.2.20|192.0.2.54|53|udp|ACCEPT|true|1|60"],
    ),
    (
        "threat_intel_hits",
        "indicators=198.51.100.99,203.0.113.5",
        &[
            "203.0.113.5|10.0.1.10|203.0.113.5|443|tcp|ACCEPT|1|200000|10:06:00Z|10:07:00Z",
            "203.0.113.5|203.0.113.5|10.0.1.10|45000|tcp|ACCEPT|1|800|10:06:01Z|10:07:01Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|22|tcp|REJECT|1|40|10:10:00Z|10:11:00Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|23|tcp|REJECT|1|40|10:10:01Z|10:11:01Z",
            "198.51.100.99|198.51.100.99|10.0.1.10|3389|tcp|REJECT|1|40|10:10:02Z|10:11:02Z",
            "198.51.100.99|198.51.100.99|10.0.2.20|22|tcp|REJECT|1|40|10:10:03Z|10:11:03Z",
        ],
    ),
    (
        "reject_summary",
        "",
        &[
            "UNDETERMINED|NONE|CONFIG_MISSING|7|12|3|2|10:10:00Z|11:06:00Z",
            "CONFIG_MISMATCH|WEAK|CONFIG_CHANGED_IN_WINDOW|1|2|1|1|11:20:10Z|11:21:10Z",
            "NACL|STRONG|RESPONSE_OF_ACCEPTED_FLOW|1|2|1|1|10:30:01Z|10:31:01Z",
            "STALE_CONNECTION|WEAK|OUT_OF_STATE|1|1|1|1|10:40:00Z|10:41:00Z",
        ],
    ),
    (
        "reject_attribution",
        "verdict=NACL",
        &["eni-a|egress|10.0.1.10|198.51.100.8|52000|tcp|NACL||||STRONG|1|2"],
    ),
    ("nacl_return_path_blocks", "", &["eni-a|egress|10.0.1.10|443|tcp|||STRONG|1|1|2|10:30:01Z|10:31:01Z"]),
    (
        "stale_connections",
        "",
        &["eni-a|198.51.100.7|10.0.1.10|443|tcp|OUT_OF_STATE|WEAK|1|1|10:40:00Z|10:41:00Z"],
    ),
    (
        "undetermined_rejects",
        "limit=2",
        &[
            "eni-b|ingress|22|tcp|CONFIG_MISSING|NACL, SECURITY_GROUP|2|2|3",
            "eni-a|ingress|0|gre|CONFIG_MISSING|NACL, SECURITY_GROUP|1|1|4",
        ],
    ),
    ("config_mismatches", "", &["eni-b|||CONFIG_CHANGED_IN_WINDOW|WEAK|1|11:20:10Z|11:21:10Z"]),
    (
        "elb_requests_over_time",
        "",
        &["10:00:00Z|app/shop/1|4|0|2|300|3010", "10:05:00Z|app/shop/1|4|3|1|130|10"],
    ),
    ("elb_top_clients", "limit=2", &["203.0.113.9|3|3|150|10|1", "192.0.2.66|2|2|60|10|1"]),
    (
        "elb_errors",
        "limit=3",
        &[
            "app/shop/1|404|404||2|1|10:06:00Z|10:06:01Z",
            "app/shop/1|400|||1|1|10:07:00Z|10:07:00Z",
            "app/shop/1|500|500||1|1|10:02:00Z|10:02:00Z",
        ],
    ),
    ("elb_5xx_by_target", "", &["10.0.2.20|8080|2|1|1|100.0", "||2|0|1|50.0"]),
    (
        "elb_slow",
        "",
        &[
            "10:01:00Z|app/shop/1|198.51.100.7|10.0.1.10|GET|https://shop.example.com:443/cart|200|3.0|0.5|2.5|0.0",
        ],
    ),
    (
        "elb_tls",
        "",
        &[
            "app/shop/1|TLSv1.2|ECDHE-RSA-AES128-GCM-SHA256|2|1|10:01:00Z",
            "app/shop/1|TLSv1.3|TLS-AES-128|3|1|10:07:30Z",
        ],
    ),
    (
        "elb_suspicious_clients",
        "",
        &["192.0.2.66|2|2|2|0|2|scanner|10:06:00Z|10:06:01Z", "192.0.2.67|1|1|0|1|1||10:07:00Z|10:07:00Z"],
    ),
    (
        "elb_backend_health",
        "",
        &[
            "tg-1|10.0.1.10:8080|2|1|50.0|RequestTimedOut|0.02|10:01:00Z",
            "tg-1|10.0.2.20:8080|1|0|0.0||0.02|",
        ],
    ),
    (
        "nlb_tls_failures",
        "",
        &["net/n/1|l1|203.0.113.9|||2|09:01:00Z|09:02:00Z", "net/n/1|l1|192.0.2.1|48||1|09:03:00Z|09:03:00Z"],
    ),
    (
        "coverage",
        "",
        &[
            "2026-01-15|123456789012|eni-a|12|1|0|10:00:00Z|11:11:00Z",
            "2026-01-15|123456789012|eni-b|6|0|2|10:00:00Z|12:11:00Z",
            "2026-01-15|123456789012|eni-n|2|0|0|10:07:00Z|10:08:00Z",
            "2026-01-16|123456789012|eni-a|2|0|0|2026-01-16T10:00:00Z|2026-01-16T10:01:00Z",
        ],
    ),
    (
        "rule_hits",
        "object=sg-web",
        &[
            "security_group|sg-web|ingress|allow|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|2|2|1200|2|2|0|0|10:00:00Z|10:21:00Z",
            "security_group|sg-web|ingress|allow|group sg-web inbound rule allow tcp 22 from 10.0.0.0/8|0|0|0|0|0|0|0||",
        ],
    ),
    (
        // The second visitor alone; what follows in the list allows him too.
        "rule_hits",
        "object=acl-1 from=2026-01-15T10:10:00Z to=2026-01-15T10:30:00Z limit=1",
        &[
            "network_acl|acl-1|ingress|allow|nacl acl-1 inbound rule 100 allow all traffic from 0.0.0.0/0|1|1|700|1|0|1|0|10:20:00Z|10:21:00Z",
        ],
    ),
    (
        "unused_rules",
        "min_window=60m min_coverage=0.1",
        &[
            "unused|security_group|sg-none|ingress|group sg-none inbound rule allow tcp 80 from 0.0.0.0/0|no interface carries the group|0|0||10:00:00Z|10:59:00Z",
            "not enough evidence|security_group|sg-db|egress|group sg-db outbound rule allow tcp 443 to 0.0.0.0/0|it was observed for only 59.0 minutes|1|1|16.7|10:00:00Z|10:59:00Z",
            "not enough evidence|security_group|sg-web|ingress|group sg-web inbound rule allow tcp 22 from 10.0.0.0/8|it was observed for only 59.0 minutes|1|1|100.0|10:00:00Z|10:59:00Z",
            "not enough evidence|network_acl|acl-1|ingress|nacl acl-1 inbound rule 110 allow tcp 443 from 0.0.0.0/0|it was observed for only 59.0 minutes|2|2|58.3|10:00:00Z|10:59:00Z",
        ],
    ),
    (
        "unused_rules",
        "min_window=59m",
        &[
            "unused|security_group|sg-none|ingress|group sg-none inbound rule allow tcp 80 from 0.0.0.0/0|no interface carries the group|0|0||10:00:00Z|10:59:00Z",
            "unused|security_group|sg-web|ingress|group sg-web inbound rule allow tcp 22 from 10.0.0.0/8||1|1|100.0|10:00:00Z|10:59:00Z",
            // In one of six times ten minutes.
            "not enough evidence|security_group|sg-db|egress|group sg-db outbound rule allow tcp 443 to 0.0.0.0/0|its interfaces were logged in 16.7 % of the window|1|1|16.7|10:00:00Z|10:59:00Z",
            // The mean of its two interfaces.
            "not enough evidence|network_acl|acl-1|ingress|nacl acl-1 inbound rule 110 allow tcp 443 from 0.0.0.0/0|its interfaces were logged in 58.3 % of the window|2|2|58.3|10:00:00Z|10:59:00Z",
        ],
    ),
    (
        "unused_rules",
        "min_window=59m min_coverage=0.1 limit=1",
        &[
            "unused|security_group|sg-db|egress|group sg-db outbound rule allow tcp 443 to 0.0.0.0/0||1|1|16.7|10:00:00Z|10:59:00Z",
        ],
    ),
    (
        "overwide_rules",
        "",
        &[
            "sg-db|ingress|group sg-db inbound rule allow tcp 1000-9999 from 10.0.0.0/8|9000|1|10.0.0.0/8|1|1|3000|few of its ports and few of its addresses",
            "sg-web|ingress|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|1|1|0.0.0.0/0|2|2|1200|few of its addresses",
        ],
    ),
    (
        "overwide_rules",
        "few=1 factor=10000",
        &[
            "sg-db|ingress|group sg-db inbound rule allow tcp 1000-9999 from 10.0.0.0/8|9000|1|10.0.0.0/8|1|1|3000|few of its addresses",
        ],
    ),
    (
        "world_open_and_contacted",
        "",
        &["sg-web|group sg-web inbound rule allow tcp 443 from 0.0.0.0/0|1|2|2|1200|2|10:00:00Z|10:21:00Z"],
    ),
    ("skipdata_by_hour", "", &["11:00:00Z|1|1", "12:00:00Z|1|1"]),
    ("duplicate_flow_logs", "", &["eni-a|1|1|700"]),
    ("quarantine_summary", "", &["flow|too few fields|2|2|a.log|2 x", "alb|no number|1|1|a.log|z"]),
];

#[tokio::test]
async fn every_query_answers_as_worked_out_by_hand() {
    let ctx = session();
    let mut wrong = Vec::new();
    for (name, params, rows) in ANSWERS {
        let found = run(&ctx, name, params).await;
        if found != *rows {
            wrong.push(format!("{name} {params}\n  found    {found:#?}\n  expected {rows:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (name, _) in BUILTIN {
        assert!(ANSWERS.iter().any(|(tested, ..)| tested == name), "{name} has no answer");
    }
}

#[tokio::test]
async fn every_query_answers_over_empty_tables() {
    let ctx = session();
    for table in [
        "flow_logs",
        "reject_attribution",
        "rule_hits",
        "alb_logs",
        "alb_health_check_logs",
        "nlb_logs",
        "quarantine",
    ] {
        let provider = ctx.table_provider(table).await.unwrap();
        ctx.deregister_table(table).unwrap();
        let empty = MemTable::try_new(provider.schema(), vec![vec![]]).unwrap();
        ctx.register_table(table, Arc::new(empty)).unwrap();
    }
    for (name, params, _) in ANSWERS {
        assert_eq!(run(&ctx, name, params).await, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_a_query_needs_exists() {
    let none = MemTable::try_new(table_schema(LogKind::Flow), vec![vec![]]).unwrap();
    let attributed = RejectAttribution::new(Arc::new(none), None);
    let hits = futures::executor::block_on(rule_hits().open("rule_hits")).unwrap().unwrap();
    for query in library(None).unwrap().iter() {
        assert!(!query.needs.is_empty(), "{}", query.name);
        for need in &query.needs {
            assert!(query.sql.contains(&need.table), "{}", query.name);
            let schema = match (LogKind::from_table(&need.table), need.table.as_str()) {
                (Some(kind), _) => table_schema(kind),
                (None, "reject_attribution") => attributed.schema(),
                (None, "rule_hits") => hits.schema(),
                (None, table) => {
                    assert_eq!(table, "quarantine");
                    continue;
                }
            };
            for column in &need.columns {
                assert!(schema.column_with_name(column).is_some(), "{}: {column}", query.name);
                assert!(query.sql.contains(column.as_str()), "{}: {column}", query.name);
            }
        }
    }
}
