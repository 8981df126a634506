#!/usr/bin/env python3
"""Counts what testdata/s3-dump/ holds, from the format specification alone, and writes testdata/expected.json.

Shares no code with flowq and none with build.py. Slow and plain on purpose. Needs pyarrow for the Parquet files.
usage: count.py            write expected.json and print the totals
       count.py --check    compare with expected.json, exit 1 on a difference
"""

import datetime, hashlib, io, ipaddress, json, os, re, sys, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
DUMP = os.path.normpath(os.path.join(HERE, "..", "s3-dump"))
OUT = os.path.normpath(os.path.join(HERE, "..", "expected.json"))

DEFAULT = ["version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action", "log-status"]
VPC_NAMES = set(DEFAULT) | set("""vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id
pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id
ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason resource-id encryption-status
instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id
next-hop-vpc-id next-hop-interface-type""".split())
TGW_DEFAULT = """version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id
tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol
packets bytes start end log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags region
flow-direction pkt-src-aws-service pkt-dst-aws-service""".split()
TGW_ONLY = set(TGW_DEFAULT) - VPC_NAMES
INTEGERS = {"version": 31, "srcport": 31, "dstport": 31, "protocol": 31, "tcp-flags": 31, "traffic-path": 31, "encryption-status": 31, "packets": 63,
            "bytes": 63, "start": 63, "end": 63} | {n: 63 for n in TGW_DEFAULT if n.startswith("packets-lost")}
ADDRESSES = {"srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"}
# positions (from 0) of numbers, decimals and times, and the least fields a complete line has
ELB = {
    "alb_logs": ((8, 9, 10, 11, 20), (5, 6, 7), (1, 21), 18),
    "clb_logs": ((7, 8, 9, 10), (4, 5, 6), (0,), 12),
    "nlb_logs": ((7, 8, 9, 10, 11), (), (2, 21), 21),
    "alb_connection_logs": ((2, 3), (6,), (0,), 11),
    "alb_health_check_logs": ((6,), (2,), (1,), 8),
}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z?$")


def inflate(data):
    """All members; what can be read of a damaged one; what follows the last one is left out."""
    out = b""
    while data[:2] == b"\x1f\x8b":
        d = zlib.decompressobj(31)
        try:
            out += d.decompress(data)
        except zlib.error:
            break
        data = d.unused_data
        if not d.eof:
            break
    return out


def bad_flow(names, values):
    for n, v in zip(names, values):
        if v == "-":
            continue
        if n in INTEGERS and not (re.fullmatch(r"\d+", v) and int(v) < 2 ** INTEGERS[n]):
            return True
        if n in ADDRESSES:
            try:
                ipaddress.ip_address(v)
            except ValueError:
                return True
    return False


def bad_elb(kind, fields):
    ints, decimals, times, _ = ELB[kind]
    get = lambda i: fields[i] if i < len(fields) else "-"
    for i in ints:
        if get(i) != "-" and not re.fullmatch(r"-?\d+", get(i)):
            return True
    for i in decimals:
        if get(i) != "-":
            try:
                float(get(i))
            except ValueError:
                return True
    for i in times:
        if get(i) != "-":
            if not TIME.match(get(i)):
                return True
            datetime.datetime.fromisoformat(get(i)[:19])
    return False


def split_elb(kind, line):
    if kind == "nlb_logs":
        return line.split()
    return [m.group(0).strip('"') for m in re.finditer(r'"(?:\\.|[^"\\])*"(?= |$)|[^ ]+', line)]


def elb_kind(line):
    t = line.split()
    if len(t) > 2 and t[0] == "tls" and re.fullmatch(r"\d+\.\d+", t[1]):
        return "nlb_logs"
    if len(t) > 2 and TIME.match(t[1]) and t[2].startswith("app/"):
        return "alb_logs"
    if len(t) > 2 and t[0] in ("http", "https", "h2", "grpc", "lambda") and TIME.match(t[1]) and re.fullmatch(r"\d+\.\d+", t[2]):
        return "alb_health_check_logs"
    if len(t) > 3 and TIME.match(t[0]):
        if t[2].isdigit() and t[3].isdigit() and "/" not in t[1] and re.fullmatch(r"[0-9a-f.:]+", t[1]):
            return "alb_connection_logs"
        if re.search(r":\d+$", t[2]) and (t[3] == "-" or re.search(r":\d+$", t[3])):
            return "clb_logs"
    return None


def flow_header(tokens):
    """A header: known names; in the first line of an object a few unknown ones beside them are a later version's."""
    known = sum(t in VPC_NAMES or t in TGW_ONLY for t in tokens)
    return known and (known == len(tokens) or known >= 3 and known > len(tokens) / 2)


class Count:
    def __init__(self):
        self.kind, self.rows, self.nodata, self.skipdata, self.quarantined, self.reason = None, 0, 0, 0, 0, None
        self.bytes = 0

    def skip(self, reason):
        self.reason = reason
        return self

    def flow(self, names, tokens, terminated=True):
        if (not terminated and len(tokens) < len(names)) or bad_flow(names, tokens):
            self.quarantined += 1
            return
        self.rows += 1
        record = dict(zip(names, tokens))
        status = record.get("log-status")
        self.bytes += int(record.get("bytes", "-").replace("-", "0"))
        self.nodata += status == "NODATA"
        self.skipdata += status == "SKIPDATA"

    def result(self):
        return {"kind": self.kind, "lines": self.rows + self.quarantined, "rows": self.rows, "nodata": self.nodata, "skipdata": self.skipdata,
                "quarantined": self.quarantined, "bytes": self.bytes if self.kind in ("flow_logs", "tgw_flow_logs") else None,
                "skipped_reason": self.reason}


def headerless(tokens):
    if len(tokens) == 14 and tokens[0] == "2":
        return DEFAULT
    if len(tokens) == 36 and tokens[1].startswith("TransitGateway"):
        return TGW_DEFAULT
    return None


def count_json(text, c):
    decoder, at, found = json.JSONDecoder(), 0, False
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            break
        doc, at = decoder.raw_decode(text, at)
        if "Records" in doc and any("eventSource" in r for r in doc["Records"]) or "digestStartTime" in doc:
            return c.skip("cloudtrail")
        if doc.get("messageType") == "CONTROL_MESSAGE":
            found = True
            continue
        for key in ("events", "logEvents"):
            for e in doc.get(key, []):
                c.flow(DEFAULT, e["message"].split())
            found |= key in doc
        if isinstance(doc.get("message"), str):
            c.flow(DEFAULT, doc["message"].split())
            found = True
    c.kind = "flow_logs"
    return c if found else c.skip("not-a-log")


def count_parquet(data, c):
    import pyarrow.parquet as pq

    t = pq.read_table(io.BytesIO(data))
    c.kind = "tgw_flow_logs" if {"tgw_id", "resource_type"} & set(t.column_names) else "flow_logs"
    c.rows = t.num_rows
    status = t.column("log_status").to_pylist()
    c.nodata, c.skipdata = status.count("NODATA"), status.count("SKIPDATA")
    c.bytes = sum(n or 0 for n in t.column("bytes").to_pylist())
    return c


def count_file(path):
    c = Count()
    data = open(path, "rb").read()
    for _ in range(3):
        if data[:2] == b"\x1f\x8b":
            data = inflate(data)
    if not data.strip():
        return c.skip("empty")
    if data[:4] == b"PAR1":
        return count_parquet(data, c)
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06") or data[:10] == b"\xff\x06\x00\x00sNaPpY":
        return c.skip("unsupported-compression")
    if b"\0" in data:
        return c.skip("not-a-log")
    text = data.decode("utf-8", "replace")
    if text.lstrip()[0] in "{[":
        return count_json(text, c)
    lines = text.split("\n")
    if re.match(r"Enable .* for ELB: ", lines[0]):
        return c.skip("elb-test-object")
    if lines[0].startswith("Permission Check"):
        return c.skip("cloudwatch-write-test")
    names, first = None, True
    for i, raw in enumerate(lines):
        terminated = i < len(lines) - 1
        line = raw.rstrip("\r")
        tokens = line.split()
        if not tokens:
            continue
        if first:
            export = TIME.match(tokens[0]) and headerless(tokens[1:])
            if flow_header(tokens):
                c.kind = "tgw_flow_logs" if set(tokens) & TGW_ONLY else "flow_logs"
            elif headerless(tokens) or export:
                names = export or headerless(tokens)
                c.kind = "tgw_flow_logs" if len(names) == 36 else "flow_logs"
            else:
                c.kind = elb_kind(line)
                if c.kind is None:
                    return c.skip("not-a-log")
        if c.kind in ELB:
            fields = split_elb(c.kind, line)
            if (not terminated and len(fields) < ELB[c.kind][3]) or bad_elb(c.kind, fields):
                c.quarantined += 1
            else:
                c.rows += 1
        elif (first and flow_header(tokens)) or (len(tokens) > 1 and all(t in VPC_NAMES or t in TGW_ONLY for t in tokens)):
            names = tokens
        else:
            if TIME.match(tokens[0]) and len(tokens) == len(names) + 1:
                tokens = tokens[1:]
            c.flow(names, tokens, terminated)
        first = False
    return c


def main():
    result, seen = {}, {}
    for base, dirs, files in os.walk(DUMP):
        for n in files:
            p = os.path.join(base, n)
            result[os.path.relpath(p, DUMP)] = p
    for rel in sorted(result):
        p = result[rel]
        digest = hashlib.sha256(open(p, "rb").read()).hexdigest()
        c = count_file(p)
        if digest in seen and c.reason is None:
            c.reason = "duplicate"
        seen.setdefault(digest, rel)
        result[rel] = c.result()
    totals = {}
    for r in result.values():
        k = r["kind"] if r["skipped_reason"] is None else "skipped: " + r["skipped_reason"]
        t = totals.setdefault(k, {"files": 0, "lines": 0, "rows": 0, "nodata": 0, "skipdata": 0, "quarantined": 0, "bytes": 0})
        t["files"] += 1
        for f in t:
            if f != "files":
                t[f] += r[f] or 0
    for k in sorted(totals, key=str):
        print(f"{k:34}", totals[k])
    stored = [t for k, t in totals.items() if not k.startswith("skipped")]
    print(f"{'stored':34}", {f: sum(t[f] for t in stored) for f in stored[0]})
    body = json.dumps(dict(sorted(result.items())), indent=1) + "\n"
    if "--check" in sys.argv[1:]:
        if open(OUT).read() != body:
            sys.exit("expected.json differs")
        print("expected.json agrees")
    else:
        with open(OUT, "w") as f:
            f.write(body)


if __name__ == "__main__":
    main()
