#!/usr/bin/env python3
"""Writes testdata/s3-dump/ (and testdata/extra/) anew, the same bytes each time.

Python 3.11 or later; pyarrow only for the Parquet files (without it they are left as they are).
usage: build.py        then: count.py, which writes testdata/expected.json
"""

import gzip, hashlib, json, os, random, shutil, struct, sys, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
import elb
from fields import ALPHABETICAL, FUTURE, MIN, TGW, V2, V5, V7, V11
from story import ACCOUNT, API1, BASTION, REGION, T0, VPC, WEB1, Interface, empty, line, record, traffic

DUMP = os.path.join(HERE, "..", "s3-dump")
EXTRA = os.path.join(HERE, "..", "extra")
MAIN, DEV, GOV = ACCOUNT, "123456789012", "444455556666"
FL_V2, FL_V5, FL_V11 = "fl-0a1b2c3d4e5f60718", "fl-0b1b2c3d4e5f60718", "fl-0c1b2c3d4e5f60718"


def gz(data, level=6):
    """One gzip member without time or name."""
    return gzip.compress(data, level, mtime=0)


def put(path, data, base=DUMP):
    full = os.path.join(base, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    if os.path.exists(full):
        raise SystemExit(f"written twice: {path}")
    with open(full, "wb") as f:
        f.write(data)


def text(lines, end="\n"):
    return "".join(l + end for l in lines).encode()


def flow(recs, fields, version):
    return text([" ".join(fields)] + [line(r, fields, version) for r in recs])


def stamp(seconds):
    m = seconds // 60
    return f"20260115T{10 + m // 60:02d}{m % 60:02d}Z"


def flow_file(account, region, log, when, ext):
    name = f"{account}_vpcflowlogs_{region}_{log}_{when}"
    return f"{name}_{hashlib.sha256(name.encode()).hexdigest()[:8]}.log{ext}"


def plain_key(account, region, log, when, ext=".gz", hour=False):
    return f"AWSLogs/{account}/vpcflowlogs/{region}/2026/01/15/{when[9:11] + '/' if hour else ''}" + flow_file(account, region, log, when, ext)


def hive_key(account, region, log, when, ext=".gz", hour=False, service="aws-service"):
    h = f"hour={when[9:11]}/" if hour else ""
    return (f"AWSLogs/aws-account-id={account}/{service}=vpcflowlogs/aws-region={region}/year=2026/month=01/day=15/{h}"
            + flow_file(account, region, log, when, ext))


def elb_key(account, region, lb, when, ip, rand, ext=".log.gz", kind="", day="2026/01/15"):
    middle = f"_{ip}" if ip else ""
    return f"AWSLogs/{account}/elasticloadbalancing/{region}/{day}/{kind}{account}_elasticloadbalancing_{region}_{lb}_{when}{middle}_{rand}{ext}"


def branch(rng, account, region, net, minutes, start=0):
    """Quiet traffic of a small network of another account, default format."""
    eni = f"eni-0{account[:4]}{net.replace('.', '')}0000000001"[:21].ljust(21, "0")
    ni = Interface(eni, f"{net}.10", "subnet-0eeeeeeeeeeeeeeee", f"i-0{account[:8]}00000001")
    out = []
    for m in range(start, start + minutes):
        t = T0 + 60 * m
        for k in range(8):
            s, p, n = t + rng.randint(0, 40), rng.randint(32768, 60999), rng.randint(3, 30)
            peer = f"{net}.{rng.randint(11, 40)}"
            out.append(record(ni, False, peer, ni.addr, p, 443, 6, n, n * 90, s, s + 15, account_id=account, region=region))
            out.append(record(ni, True, ni.addr, peer, 443, p, 6, n, n * 700, s, s + 15, account_id=account, region=region))
        if m % 4 == 0:
            out.append(record(ni, False, "198.51.100.201", ni.addr, rng.randint(32768, 60999), 3389, 6, 1, 40, t, t, "REJECT", 2, account_id=account, region=region))
        if m % 6 == 5:
            out.append({**empty(ni, "NODATA", t, t + 58), "account-id": account, "region": region})
    return out


def vpc_flow_logs(rng):
    hour = traffic(rng)
    for k in range(13):  # the main log: one object for each five minutes of end times
        recs = [r for r in hour if T0 + 300 * k <= int(r["end"]) < T0 + 300 * (k + 1)]
        if recs:
            rng.shuffle(recs)
            put(plain_key(MAIN, REGION, FL_V2, stamp(300 * k)), gz(flow(recs, V2, 2)))
    web = [r for r in hour if r["interface-id"] in (WEB1.eni, "eni-0a1b00000000000a2") and T0 + 1800 <= int(r["end"]) < T0 + 2400]
    for k in (6, 7):  # a second subscription over part of the same traffic, other fields
        recs = [r for r in web if T0 + 300 * k <= int(r["end"]) < T0 + 300 * (k + 1)]
        put(plain_key(MAIN, REGION, FL_V5, stamp(300 * k)), gz(flow(recs, V5, 5).replace(b" 443 ", b" 443  ", 1)))
    api = [r for r in hour if r["interface-id"] in (API1.eni, BASTION.eni) and T0 + 1500 <= int(r["end"]) < T0 + 2400]
    api.append(record(API1, False, "203.0.113.77", API1.addr, 44321, 22, 6, 3, "-", T0 + 1800, T0 + 1842, "REJECT", 2, reject_reason="BPA"))
    api.append(record(API1, True, API1.addr, "10.0.9.9", 41000, 443, 6, 4, 240, T0 + 1803, T0 + 1850, "REJECT", 2, reject_reason="EC",
                      next_hop_interface_id="eni-0dd44ee55ff667788", next_hop_interface_type="vpc_endpoint"))
    api.append({**record(API1, False, "10.0.1.20", "203.0.113.200", 50112, 443, 6, 20, 5120, T0 + 1801, T0 + 1859), "interface-id": "-",
                "resource-id": "nat-0123456789abcdef0", "interface-type": "regional_nat_gateway", "instance-tag": "-"})
    api.append(record(API1, False, "203.0.113.45", API1.addr, 50113, 443, 6, 2, 120, T0 + 1801, T0 + 1859, flags=2, pkt_dstaddr="10.0.3.77"))
    api.append(record(API1, True, API1.addr, "10.0.2.15", 41010, 5432, 6, 40, 52000, T0 + 1803, T0 + 1859, instance_tag="100%25%20off%ZZ"))
    put(plain_key(MAIN, REGION, FL_V11, stamp(2400)), gz(flow(api, V11, 11)))
    some = [r for r in hour if r["interface-id"] == WEB1.eni][:24]
    future = [" ".join(FUTURE)] + [line({**r, "threat-score": i * 4, "reject-rule-id": "-"}, FUTURE, 12) for i, r in enumerate(some)]
    put(plain_key(MAIN, REGION, "fl-0d1b2c3d4e5f60718", stamp(600)), gz(text(future)))
    put(plain_key(MAIN, REGION, "fl-0e1b2c3d4e5f60718", stamp(600)),
        gz(text([" ".join(MIN)] + [line(r, MIN, 3) for r in some[:9]] + ["- - -", "198.51.100.17 10.0.1.20 ACCEPT"])))
    skip = [" ".join(ALPHABETICAL)] + [line(r, ALPHABETICAL, 5) for r in some[:6] + [empty(WEB1, "SKIPDATA", T0 + 600, T0 + 658), empty(WEB1, "NODATA", T0 + 660, T0 + 718)]]
    put(plain_key(MAIN, REGION, "fl-0f1b2c3d4e5f60718", stamp(900)), gz(text(skip)))
    ecs = {f: "-" for f in V7} | {"version": "7", "interface-id": "eni-0a1b00000000000e1", "srcaddr": "10.0.4.8", "dstaddr": "198.51.100.30", "action": "ACCEPT", "log-status": "OK"}
    task = {**ecs, "ecs-cluster-arn": "arn:aws:ecs:us-east-1:111122223333:cluster/shop", "ecs-cluster-name": "shop", "ecs-container-id": "0123456789ab-1111",
            "ecs-service-name": "cart", "ecs-task-definition-arn": "arn:aws:ecs:us-east-1:111122223333:task-definition/cart:12",
            "ecs-task-arn": "arn:aws:ecs:us-east-1:111122223333:task/shop/0123456789abcdef", "ecs-task-id": "0123456789abcdef"}
    put(plain_key(MAIN, REGION, "fl-071b2c3d4e5f60718", stamp(900)), gz(text([" ".join(V7)] + [line(r, V7, 7) for r in (task, task | {"dstaddr": "198.51.100.31"}, ecs)])))
    put("logs/net/" + plain_key(DEV, "us-west-2", "fl-1234abcd", stamp(300), hour=True), gz(flow(branch(rng, DEV, "us-west-2", "10.8.0", 12), V2, 2)))
    put("logs/net/" + plain_key(DEV, "us-west-2", "fl-1234abcd", stamp(1200), hour=True), gz(flow(branch(rng, DEV, "us-west-2", "10.8.0", 12, 12), V2, 2)))
    put(hive_key(GOV, "us-gov-west-1", "fl-04af3543c74402594", stamp(600)), gz(flow(branch(rng, GOV, "us-gov-west-1", "10.9.0", 10), V2, 2)))
    put(hive_key(GOV, "us-gov-west-1", "fl-04af3543c74402594", stamp(1200), hour=True), gz(flow(branch(rng, GOV, "us-gov-west-1", "10.9.0", 10, 10), V2, 2)))
    put(plain_key(GOV, "eusc-de-east-1", "fl-05af3543c74402594", stamp(600)), gz(flow(branch(rng, GOV, "eusc-de-east-1", "10.10.0", 5), V2, 2)))
    unknown = [{**empty(WEB1, "SKIPDATA", T0 + 1500, T0 + 1558), "account-id": "unknown"}, {**some[3], "account-id": "unknown"}]
    put(plain_key(MAIN, REGION, FL_V2, stamp(4200)), gz(flow(unknown, V2, 2)))
    return hour


def transit_gateway(rng):
    def rec(n, direction, lost, status="OK"):
        a, b = "tgw-attach-0aaaaaaaaaaaaaaaa", "tgw-attach-0bbbbbbbbbbbbbbbb"
        out = direction == "egress"
        t = T0 + 20 * n
        dst = "10.99.0.7" if lost else f"10.20.2.{9 + n % 5}"
        known = lambda v: "-" if lost else v
        v = ["6", "TransitGateway", MAIN, "tgw-0123456789abcdef0", b if out else a, MAIN, known(GOV), VPC, known("vpc-0bb22cc33dd44ee55"),
             "subnet-0123456789abcdef0", known("subnet-0fedcba9876543210"), "eni-0a1b00000000000f1", known("eni-0bb22cc33dd44ee55"), "use1-az1",
             known("use1-az2"), known(a if out else b), "10.0.1.20", dst, str(40112 + n), "443", "6", "10", str(5230 + n), str(t), str(t + 50), "OK", "IPv4",
             "3" if lost else "0", "0", "0", "0", "2" if lost else "26", REGION, direction, "-", "-"]
        if status != "OK":
            v[16:23] = ["-"] * 7
            v[25:32] = [status] + ["-"] * 6
        return " ".join(v)

    rows = [rec(n, d, False) for n in range(40) for d in ("ingress", "egress")] + [rec(n, "ingress", True) for n in range(40, 46)]
    rows.append(rec(50, "ingress", False, "NODATA"))
    put(plain_key(MAIN, REGION, "fl-0771b2c3d4e5f6071", stamp(1200)), gz(text([" ".join(TGW)] + rows)))
    put(hive_key(MAIN, REGION, "fl-0771b2c3d4e5f6071", stamp(1500), service="service"), gz(text([" ".join(TGW)] + [rec(n, "egress", False) for n in range(60, 72)])))
    put("transit/" + plain_key(MAIN, REGION, "fl-0772b2c3d4e5f6071", stamp(1800), ext=""), text([rec(n, "ingress", False) for n in range(80, 90)]))


def load_balancers(rng):
    for k in range(12):
        lines = [elb.alb_line(rng, 300 * k + i * 7.5 + rng.random(), 33 if rng.random() < 0.2 else 34) for i in range(40)]
        put(elb_key(MAIN, REGION, "app.shop.50dc6c495c0c9188", stamp(300 * (k + 1)), "10.0.0.9", f"{rng.getrandbits(40):08x}"[:8]), gz(text(lines)))
    eras = {18: "2016/11/23", 20: "2018/02/01", 21: "2018/03/20", 24: "2018/08/10", 25: "2019/08/12", 27: "2019/10/30", 29: "2020/08/20", 30: "2024/05/15"}
    for n, day in eras.items():
        date = day.replace("/", "-")
        lines = [elb.alb_line(rng, 60 * i, n).replace("2026-01-15", date) for i in range(4)]
        put("archive/" + elb_key(MAIN, REGION, "app.shop.50dc6c495c0c9188", day.replace("/", "") + "T1005Z", "10.0.0.9", f"era{n}x000"[:8], day=day), gz(text(lines)))
    mixed = [elb.alb_line(rng, 3400 + i, n) for i, n in enumerate([34, 33, 30, 29, 27, 25, 24, 21, 20, 18])]
    put("archive/" + elb_key(MAIN, REGION, "app.mixed.50dc6c495c0c9188", stamp(3600), "10.0.0.9", "mixed000"), gz(text(mixed)))
    put(elb_key(MAIN, REGION, "app.shop.50dc6c495c0c9188", stamp(3600), "172.016.000.009", "oddlines"), gz(text(elb.alb_odd())))
    put("archive/" + elb_key(MAIN, REGION, "app.shop.50dc6c495c0c9188", "20180302T0905Z", "10.0.0.9", "q02q02q0", day="2018/03/02"), gz(text(elb.alb_placeholder())))
    app = "app.shop.50dc6c495c0c9188"
    put(elb_key(MAIN, REGION, app, stamp(300), "10.0.0.9", "conn0015", kind="conn_log_"), gz(text([elb.conn_line(rng, 4 * i, 15) for i in range(60)])))
    put(elb_key(MAIN, REGION, app, stamp(600), "10.0.0.9", "conn0012", kind="conn_log_"), gz(text([elb.conn_line(rng, 300 + 9 * i, 12) for i in range(20)] + [elb.conn_plain(12)])))
    put(elb_key(MAIN, REGION, app, stamp(900), "10.0.0.9", "conn0011", kind="conn_log."), gz(text([elb.conn_line(rng, 600 + 9 * i, 11) for i in range(8)] + [elb.conn_plain(11)])))
    checks = [elb.health(30 * i, t, not (t.startswith("10.0.1.21") and 2100 <= 30 * i < 2700), 10) for i in range(120) for t in ("10.0.1.20:8080", "10.0.1.21:8080")]
    put(elb_key(MAIN, REGION, app, stamp(3600), "10.0.0.9", "health10", kind="health_check_log_"), gz(text(checks + [elb.health_lambda()])))
    put(elb_key(MAIN, REGION, app, stamp(300), "10.0.0.9", "health08", kind="health_check_log_"), gz(text([elb.health(5 + 30 * i, "10.0.1.22:8080", i != 3, 8) for i in range(10)])))
    put("my-app/" + elb_key(DEV, "us-west-2", "legacy-shop", stamp(3600), "172.016.001.192", "20sg8hgm", ext=".log"), text(elb.clb_lines(rng, 60, 0) + elb.clb_odd()))
    put("my-app/" + elb_key(DEV, "us-west-2", "legacy-shop", "20140215T2345Z", "172.016.001.192", "2014twel", ext=".log", day="2014/02/15"),
        text([f'2014-02-15T23:39:4{i}.945958Z legacy-shop 198.51.100.39:28{i}7 10.8.0.4:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://old.example.com:80/ HTTP/1.1"' for i in range(5)]))
    nlb = [elb.nlb_line(60 * i + 12, f"203.0.113.{140 + i}", 40000 + 7 * i) for i in range(30)]
    nlb += [elb.nlb_line(1900, "2001:db8:4900:1d0c:29b7:c9b2:7b5a:2380", 55932, odd=9), elb.nlb_line(1901, "203.0.113.9", 40000, odd=16), elb.nlb_line(1902, "203.0.113.9", 40001, odd=17)]
    put("prefix/" + elb_key(DEV, "us-west-2", "net.gate.c6e77e28c25b2234", stamp(3600), "", "20sg8hgm"), gz(text(nlb)))
    gov = "arn:aws-us-gov:acm:us-gov-west-1:444455556666:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99"
    put(elb_key(GOV, "us-gov-west-1", "net.gate.c6e77e28c25b2234", stamp(600), "", "extrafld"),
        gz(text([elb.nlb_line(30 * i, f"198.51.100.{60 + i}", 41000 + i, extra=" new-value", arn=gov) for i in range(12)])))
    for n, what in (("Access", "AccessLog"), ("Connection", "ConnectionLog"), ("HealthCheck", "HealthCheckLog")):
        put(f"AWSLogs/{MAIN}/ELB{n}LogTestFile", f"Enable {what} for ELB: app/shop/50dc6c495c0c9188 at 2026-01-14T09:55:52.806Z".encode())


def message(rec):
    return line(rec, V2, 2)


def envelopes(hour):
    def data(stream, recs, first):
        events = [{"id": f"39{first + i:054d}", "timestamp": int(r["start"]) * 1000, "message": message(r)} for i, r in enumerate(recs)]
        return {"messageType": "DATA_MESSAGE", "owner": MAIN, "logGroup": "vpc-flow", "logStream": f"{stream}-all", "subscriptionFilters": ["all"], "logEvents": events}

    control = {"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "", "subscriptionFilters": [],
               "logEvents": [{"id": "", "timestamp": 1768471199000, "message": "CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}
    dump = lambda o: json.dumps(o, separators=(",", ":")).encode()
    eni = Interface("eni-0a1b00000000000e9", "10.0.4.9", "subnet-0aaaaaaaaaaaaaaaa")
    recs = [record(eni, bool(i % 2), *(("10.0.4.9", "198.51.100.17") if i % 2 else ("198.51.100.17", "10.0.4.9")), 443 if i % 2 else 49152 + i, 49152 + i - 1 if i % 2 else 443,
                   6, 12 + i, 4210 + i, T0 + 30 * i, T0 + 30 * i + 25) for i in range(80)]
    recs += [empty(eni, "NODATA", T0 + 3000, T0 + 3058), empty(eni, "SKIPDATA", T0 + 3060, T0 + 3118)]
    clock = lambda r: elb.iso(int(r["start"]) - T0)[:23] + "Z"
    task = "exportedlogs/4f2a6f1e-7c55-4f6e-9d8c-2b1f3a4c5d6e"
    put(f"{task}/{eni.eni}-all/000000.gz", gz(text([f"{clock(r)} {message(r)}" for r in recs[:30] + recs[80:]])))
    put(f"{task}/{eni.eni}-all/000001.gz", gz(text([f"{clock(r)} {message(r)}" for r in recs[30:40]])))
    put("exportedlogs/aws-logs-write-test", b"Permission Check Successful")
    event = lambda i, r: {"logStreamName": f"{eni.eni}-all", "timestamp": int(r["start"]) * 1000, "message": message(r), "ingestionTime": int(r["start"]) * 1000 + 110000, "eventId": f"39{i:054d}"}
    page = {"events": [event(i, r) for i, r in enumerate(recs[40:46])], "searchedLogStreams": [], "nextToken": "Bxkq6kVGFtq2y_Moigeqscq"}
    last = {"events": [{"timestamp": e["timestamp"], "message": e["message"]} for e in (event(i, r) for i, r in enumerate(recs[46:50]))]}
    put("cloudwatch/filter-log-events.json", json.dumps(page, indent=4).encode() + b"\n" + json.dumps({"events": [], "searchedLogStreams": []}, indent=4).encode() + b"\n" + dump(last) + b"\n")
    fh = "firehose/2026/01/15/10/vpc-flow-2-2026-01-15-10-"
    put(fh + "05-11-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a01", dump(control) + dump(data(eni.eni, recs[50:53], 1)) + dump(data(eni.eni, recs[53:55], 4)))
    put(fh + "06-12-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a02", gz(dump(data(eni.eni, recs[55:58], 6))) + gz(dump(control)) + gz(dump(data(eni.eni, recs[58:60], 9))))
    put(fh + "07-13-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a03.gz", gz(gz(dump(data(eni.eni, recs[60:63], 11))) + gz(dump(data(eni.eni, recs[63:64], 14)))))
    put(fh + "08-14-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a04", b"".join(dump({"message": message(r)}) for r in recs[64:68] + recs[80:81]))
    put(fh + "09-15-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a05", b"".join(dump({"message": message(r)}) + b"\n" for r in recs[68:72]))
    put(fh + "10-16-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a06", text(message(r) for r in recs[72:80]))
    put(fh + "11-17-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a07.snappy", b"\xff\x06\x00\x00sNaPpY\x01\x08\x00\x00\x00\x00\x00\x00abcd")
    put(fh + "12-18-1d6ddfb4-6dcd-4bd5-a3a4-2b1b6a5d0a08.zip", b"PK\x05\x06" + bytes(18))


def broken(hour):
    use = [r for r in hour if r["interface-id"] == WEB1.eni and r["action"] == "ACCEPT"]
    take = lambda a, n: [{**r, "interface-id": "eni-0a1b0000000000bad"} for r in use[a : a + n]]
    key = lambda n: f"broken/" + plain_key(MAIN, REGION, "fl-0bad000000000000", f"20260115T10{n:02d}Z")
    whole = flow(take(0, 40), V2, 2)
    cut = whole.index(b"\n", len(whole) // 2) + 50  # half a line beyond a line end
    z = zlib.compressobj(6, zlib.DEFLATED, 31)
    head = z.compress(whole[:cut]) + z.flush(zlib.Z_FULL_FLUSH)  # decoders agree up to a flush point
    put(key(1), head + (z.compress(whole[cut:]) + z.flush())[:9])
    put(key(2), gz(flow(take(40, 12), V2, 2)) + b"\x00\x00garbage after the member \xff\xfe")
    put(key(3), flow(take(52, 10), V2, 2))
    put(key(4), b"")
    put(key(5), gz(b""))
    put(key(6), gz(text([" ".join(V2)])))
    put(key(7), gz(flow(take(62, 8), V2, 2)) + gz(flow(take(70, 5), V5, 5)) + gz(text([line(r, V5, 5) for r in take(75, 3)])))
    put("broken/photo.png", b"\x89PNG\r\n\x1a\n" + bytes((i * 37 + 11) % 256 for i in range(600)))
    put("broken/notes.txt", b"Remember to sync the bucket on Friday.\nAsk Kim about the flow log format.\n")
    put("broken/data.bin.gz", gz(bytes((i * 91 + 7) % 256 for i in range(2000))))
    good = text([line(r, V2, 2) for r in take(78, 9)]).decode().splitlines()

    def swap(l, i, v):
        t = l.split(" ")
        t[i] = v
        return " ".join(t)

    bad = [swap(good[0], 5, "44x"), swap(good[1], 9, "99999999999999999999"), swap(good[2], 3, "10.0.1.999"), swap(good[3], 4, "2001:db8::zz"), swap(good[4], 10, "yesterday")]
    put(key(8), gz(text([" ".join(V2), good[5], bad[0], bad[1], good[6], bad[2], bad[3], bad[4], " ".join(good[7].split()[:9]), good[8] + " surplus fields", "", "not a record at all"])))
    put(key(9), gz(flow(take(87, 6), V2, 2) + b"2 111122223333 eni-0a1b0000000000bad 10.0.1.2"))
    put(key(10), gz(flow(take(93, 6), V2, 2).replace(b"\n", b"\r\n")))
    put(key(11), gz(flow(take(99, 4), V2, 2) + text(["", "   ", ""]) + text([line(r, V2, 2) for r in take(103, 2)]).rstrip(b"\n")))
    put(key(12), gz(flow(take(105, 2), V2, 2) + text([line(r, V2, 2) for r in take(107, 1)]).rstrip(b"\n") + b" \xff\xfe\n"))
    alb = [elb.alb_line(random.Random(5), 3500 + i) for i in range(6)]
    alb[2] = alb[2].replace(" 200 200 ", " 2OO 200 ", 1) if " 200 200 " in alb[2] else swap(alb[2], 8, "2OO")
    alb[4] = swap(alb[4], 1, "2026-01-15 10:58")
    put("broken/" + elb_key(MAIN, REGION, "app.bad.50dc6c495c0c9188", stamp(3600), "10.0.0.9", "badlines"), gz(text(alb) + alb[0][:60].encode()))
    trail = {"Records": [{"eventVersion": "1.11", "eventTime": "2026-01-15T10:11:12Z", "eventSource": "ec2.amazonaws.com", "eventName": "DescribeFlowLogs", "awsRegion": REGION,
                          "sourceIPAddress": "203.0.113.5", "userAgent": "aws-cli/2", "eventID": "0d1e2f3a-0000-4000-8000-000000000001", "recipientAccountId": MAIN}]}
    put(f"AWSLogs/{MAIN}/CloudTrail/{REGION}/2026/01/15/{MAIN}_CloudTrail_{REGION}_20260115T1015Z_Xq1Yz2Ab3Cd4Ef5G.json.gz", gz(json.dumps(trail).encode()))
    put(f"AWSLogs/{MAIN}/CloudTrail-Digest/{REGION}/2026/01/15/{MAIN}_CloudTrail-Digest_{REGION}_trail_{REGION}_20260115T101500Z.json.gz", gz(json.dumps({"awsAccountId": MAIN, "digestStartTime": "2026-01-15T09:15:00Z", "logFiles": []}).encode()))
    put(f"AWSLogs/{MAIN}/vpcflowlogs/.DS_Store", b"\x00\x00\x00\x01Bud1\x00\x00\x10\x00")
    put("headerless/" + flow_file(MAIN, REGION, "fl-0aaa000000000000", "20260115T1020Z", ""), text([message({**r, "interface-id": "eni-0a1b0000000000fff"}) for r in use[110:125]]))
    original = plain_key(MAIN, REGION, FL_V2, stamp(900))
    with open(os.path.join(DUMP, original), "rb") as f:
        put("copies/restored-" + os.path.basename(original), f.read())
    put("headerless-custom.log", text([line(r, V5, 5) for r in use[130:140]]), EXTRA)
    put("headerless-mixed.log", text([line(r, V5 if i % 2 else V2, 5 if i % 2 else 2) for i, r in enumerate(use[140:150])]), EXTRA)


def main():
    kept = {}
    try:
        import parquet_files
    except ImportError:
        parquet_files = None
        print("pyarrow is missing: the Parquet files stay as they are", file=sys.stderr)
        for base, _, names in os.walk(DUMP):
            for n in names:
                if ".parquet" in n:
                    p = os.path.join(base, n)
                    with open(p, "rb") as f:
                        kept[os.path.relpath(p, DUMP)] = f.read()
    for d in (DUMP, EXTRA):
        shutil.rmtree(d, ignore_errors=True)
    rng = random.Random(20260115)
    hour = vpc_flow_logs(rng)
    transit_gateway(rng)
    load_balancers(rng)
    envelopes(hour)
    broken(hour)
    if parquet_files:
        parquet_files.write(hour, put, gz, plain_key, hive_key)
    for p, data in kept.items():
        put(p, data)
    size = sum(os.path.getsize(os.path.join(b, n)) for b, _, ns in os.walk(DUMP) for n in ns)
    files = sum(len(ns) for _, _, ns in os.walk(DUMP))
    print(f"{files} files, {size} bytes")


if __name__ == "__main__":
    main()
