//! Load balancer logs: ALB access, connection and health check, Classic and Network Load Balancer.

use super::line::Line;
use super::output::FileSink;
use super::random::{Random, mix};
use super::world::{self, Address, World};
use super::{Kind, Part};

const LB: &str = "app/shop/50dc6c495c0c9188";
const PATHS: [&str; 12] = [
    "/",
    "/cart",
    "/checkout",
    "/static/js/app.9f8e7d6c.js",
    "/static/css/main.0a1b2c3d.css",
    "/api/v1/items?page=2&size=50",
    "/api/v1/items/",
    "/api/v1/users/",
    "/login",
    "/healthz",
    "/images/products/",
    "/search?q=",
];
const AGENTS: [&str; 8] = [
    "curl/8.5.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "ELB-HealthChecker/2.0",
];
const CIPHERS: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256 TLSv1.3",
    "TLS_AES_128_GCM_SHA256 TLSv1.3",
    "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2",
];

struct Request {
    second: u64,
    micros: u64,
    client: Address,
    port: u64,
    target: Address,
    seconds: u64,
    status: u64,
    bytes: (u64, u64),
}

/// Writes the lines of one file, in the order of their times.
pub(crate) fn write(
    kind: Kind,
    world: &World,
    part: &Part,
    random: &mut Random,
    sink: &mut FileSink,
) -> Result<(), String> {
    let region = world.vpc(part.index).map_or("us-east-1", |v| v.region);
    let account = world.vpc(part.index).map_or("111122223333", |v| v.account);
    let node = Address::V4(
        (10 << 24) | ((10 + (mix(part.index as u64) % 7) as u32) << 16) | (4 + (part.index % 200) as u32),
    );
    let mut line = Line::default();
    for i in 0..part.rows {
        let micros = (u128::from(part.seconds) * 1_000_000 * u128::from(i) / u128::from(part.rows.max(1)))
            as u64
            + random.below(900);
        let request = Request {
            second: part.start + micros / 1_000_000,
            micros: micros % 1_000_000,
            client: if random.permille(60) {
                Address::V6(world::internet6(random))
            } else {
                Address::V4(world::internet(random))
            },
            port: random.between(1024, 65_535),
            target: Address::V4((10 << 24) | (10 << 16) | (1 << 8) | (20 + random.zipf(24) as u32)),
            seconds: 1 + random.zipf(900),
            status: status(random),
            bytes: (120 + random.zipf(1500), 200 + random.zipf(200_000)),
        };
        line.0.clear();
        match kind {
            Kind::AlbConnection => connection(&mut line, &request, node, random),
            Kind::AlbHealth => health(&mut line, &request, node, random),
            Kind::Clb => classic(&mut line, &request, random),
            Kind::Nlb => network(&mut line, &request, (region, account), random),
            _ => application(&mut line, &request, (region, account), node, random),
        }
        sink.line(&line.0)?;
    }
    Ok(())
}

fn status(random: &mut Random) -> u64 {
    match random.below(1000) {
        0..880 => 200,
        880..920 => 304,
        920..950 => 302,
        950..980 => 404,
        980..985 => 403,
        985..990 => 500,
        990..995 => 502,
        995..998 => 504,
        _ => 460,
    }
}

/// `"GET https://shop.example.com:443/... HTTP/2.0"`
fn request_line(l: &mut Line, scheme: &str, version: &str, random: &mut Random) {
    let verb = random.pick(&["GET", "GET", "GET", "GET", "POST", "PUT"], "GET");
    l.text("\"").glue(verb).glue(" ").glue(scheme);
    let path = random.pick(&PATHS, "/");
    l.glue(path);
    if path.ends_with(['/', '=']) && path.len() > 1 {
        l.digits(random.zipf(100_000));
    }
    l.glue(" ").glue(version).glue("\"");
}

fn milliseconds(l: &mut Line, n: u64) {
    l.text("").digits(n / 1000).glue(".").padded(n % 1000, 3);
}

/// 34 fields; one line in seven from an older era of fewer.
fn application(
    l: &mut Line,
    r: &Request,
    (region, account): (&str, &str),
    node: Address,
    random: &mut Random,
) {
    let fields = match random.below(100) {
        0..3 => 29,
        3..6 => 30,
        6..14 => 33,
        _ => 34,
    };
    let http2 = random.permille(600);
    let answered = !matches!(r.status, 504 | 460 | 403);
    l.text(if http2 { "h2" } else { "https" })
        .time(r.second, Some(r.micros))
        .text(LB)
        .socket(r.client, r.port);
    if r.status == 403 {
        l.text("- -1 -1 -1");
    } else {
        l.socket(r.target, 8080);
        milliseconds(l, random.below(3));
        if answered {
            milliseconds(l, r.seconds);
            l.text("0.000");
        } else {
            l.text("-1 -1");
        }
    }
    l.number(r.status);
    if answered {
        l.number(r.status)
    } else {
        l.text("-")
    };
    l.number(r.bytes.0).number(r.bytes.1);
    request_line(l, "https://shop.example.com:443", if http2 { "HTTP/2.0" } else { "HTTP/1.1" }, random);
    let client = mix(match r.client {
        Address::V4(n) => u64::from(n),
        Address::V6(n) => n as u64,
    });
    let agent = AGENTS.get((client % 8) as usize).copied().unwrap_or("-");
    l.text("\"").glue(agent).glue("\"").text(random.pick(&CIPHERS, "- -"));
    l.text("arn:aws:elasticloadbalancing:")
        .glue(region)
        .glue(":")
        .glue(account)
        .glue(":targetgroup/shop-web/73e2d6bc24d8a067");
    l.text("\"Root=1-")
        .glue(&format!(
            "{:08x}-{:024x}",
            r.second,
            u128::from(random.next()) << 32 | u128::from(random.below(1 << 32))
        ))
        .glue("\" \"shop.example.com\"");
    if client.is_multiple_of(3) {
        l.text("\"session-reused\"");
    } else {
        l.text("\"arn:aws:acm:")
            .glue(region)
            .glue(":")
            .glue(account)
            .glue(":certificate/12345678-1234-1234-1234-123456789012\"");
    }
    let before = (r.second * 1_000_000 + r.micros).saturating_sub(r.seconds * 1000);
    l.number([0, 1, 10, 10].get((client % 4) as usize).copied().unwrap_or(0))
        .time(before / 1_000_000, Some(before % 1_000_000));
    l.text(if r.status == 403 { "\"waf\"" } else { "\"waf,forward\"" }).text("\"-\" \"-\"");
    if r.status == 403 {
        l.text("\"-\" \"-\"");
    } else {
        l.text("\"").bare_socket(r.target, 8080).glue("\"");
        if answered {
            l.text("\"").digits(r.status).glue("\"")
        } else {
            l.text("\"-\"")
        };
    }
    l.text("\"-\" \"-\"");
    if fields >= 30 {
        l.text("TID_").hex(mix(client ^ r.port >> 6)).hex(mix(client));
    }
    if fields >= 33 {
        l.text("\"-\" \"-\" \"-\"");
    }
    if fields >= 34 {
        l.address(node);
    }
}

fn connection(l: &mut Line, r: &Request, node: Address, random: &mut Random) {
    let ok = !random.permille(30);
    l.time(r.second, Some(r.micros))
        .address(r.client)
        .number(r.port)
        .text("443")
        .text("TLSv1.3 TLS_AES_128_GCM_SHA256");
    if ok {
        milliseconds(l, random.between(2, 120));
    } else {
        l.text("-");
    }
    if random.permille(300) {
        l.text("\"CN=client").digits(random.zipf(500)).glue(
            ".example.com,O=End Entity,C=US\" NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z",
        );
        l.text("").hex(mix(r.port)).text(if ok { "Success" } else { "Failed:ClientCertUntrusted" });
    } else {
        l.text("\"-\" - -").text(if ok { "Success" } else { "Failed:UnmappedConnectionError" });
    }
    l.text("TID_").hex(random.next()).hex(random.next());
    if !random.permille(100) {
        l.text("X25519MLKEM768").text(LB).address(node);
    }
}

fn health(l: &mut Line, r: &Request, node: Address, random: &mut Random) {
    let ok = !random.permille(40);
    l.text("http")
        .time(r.second, Some(r.micros))
        .text("0.")
        .padded(if ok { random.below(90_000_000) } else { 999_000_000 }, 9);
    l.socket(r.target, 8080).text(if ok { "shop-web PASS 200 -" } else { "shop-web FAIL - TimedOut" });
    if !random.permille(100) {
        l.text(LB).address(node);
    }
}

fn classic(l: &mut Line, r: &Request, random: &mut Random) {
    l.time(r.second, Some(r.micros)).text("legacy-shop").socket(r.client, r.port);
    if r.status == 504 {
        l.text("- -1 -1 -1 504 0").number(r.bytes.0).text("0");
    } else {
        l.socket(r.target, 80)
            .text("0.0000")
            .digits(random.between(20, 99))
            .text("0.")
            .padded(r.seconds * 1000 + random.below(1000), 6);
        l.text("0.0000")
            .digits(random.between(20, 99))
            .number(r.status)
            .number(r.status)
            .number(r.bytes.0)
            .number(r.bytes.1);
    }
    request_line(l, "https://old.example.com:443", "HTTP/1.1", random);
    if !random.permille(50) {
        l.text("\"").glue(random.pick(&AGENTS, "-")).glue("\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2");
    }
}

fn network(l: &mut Line, r: &Request, (region, account): (&str, &str), random: &mut Random) {
    l.text("tls 2.0")
        .time(r.second, None)
        .text("net/gate/c6e77e28c25b2234 g3d4b5e8bb8464cd")
        .socket(r.client, r.port)
        .text("10.8.1.10:443");
    if random.permille(25) {
        l.text("0 - 0 0").dashes(10).time(r.second, None);
        return;
    }
    l.number(r.seconds * 10).number(random.between(2, 60)).number(r.bytes.0).number(r.bytes.1).text("-");
    l.text("arn:aws:acm:")
        .glue(region)
        .glue(":")
        .glue(account)
        .glue(":certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99");
    l.text("- TLS_AES_128_GCM_SHA256 tlsv13 x25519 gate.example.com");
    l.text(if random.permille(500) { "h2 h2 \"h2\",\"http/1.1\"" } else { "- - -" })
        .time(r.second - r.seconds / 100, None);
}
