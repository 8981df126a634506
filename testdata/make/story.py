"""The world of the dump and one hour of its traffic, as flow log records.

One web VPC (10.0.0.0/16, account 111122223333, us-east-1) with a load balancer, two web servers, a database, a NAT
gateway, a bastion and a partner API. 2026-01-15, 10:00 to 11:00 UTC:

10:00-11:00  visitors reach the load balancer, it reaches the web servers, they reach the database and, through the
             NAT gateway, a payment service; the office uses the bastion
10:12-10:20  198.51.100.66 tries SSH on the bastion again and again: REJECT (security group)
10:25-10:28  203.0.113.99 scans the ports of the bastion: REJECT (security group)
10:26-10:30  198.51.100.77 looks for telnet, SMB, RDP on every public interface: REJECT (network ACL 80 of the public subnet)
10:30-10:40  203.0.113.44 is let in to the partner API on 443, but no reply leaves: REJECT on egress of the same
             interface (its network ACL has no outbound rule for ephemeral ports)
10:35-10:45  web-2 fails: 502 and 504 at the load balancer, failed health checks
10:50        packets of closed connections arrive late: REJECT although the rules allow them
"""

import random

T0 = 1768471200  # 2026-01-15T10:00:00Z
ACCOUNT, REGION, VPC = "111122223333", "us-east-1", "vpc-0aa11bb22cc33dd44"
PUBLIC, WEB, DB, API = (f"subnet-0{c * 16}" for c in "abcd")
OFFICE = "203.0.113.5"
PAYMENT = "203.0.113.200"
BRUTE, SCANNER, SWEEPER, PARTNER = "198.51.100.66", "203.0.113.99", "198.51.100.77", "203.0.113.44"


class Interface:
    def __init__(self, eni, addr, subnet, instance="-", kind="-", addr6=None, tag="-"):
        self.eni, self.addr, self.subnet, self.instance = eni, addr, subnet, instance
        self.kind, self.addr6, self.tag = kind, addr6, tag


ALB = Interface("eni-0a1b00000000000a1", "10.0.0.9", PUBLIC, addr6="2001:db8:1:a100::9")
NAT = Interface("eni-0a1b00000000000a2", "10.0.0.220", PUBLIC, kind="nat_gateway")
BASTION = Interface("eni-0a1b00000000000a3", "10.0.0.10", PUBLIC, "i-0b0000000000000a3", tag="bastion")
WEB1 = Interface("eni-0a1b00000000000b1", "10.0.1.20", WEB, "i-0b0000000000000b1", tag="shop%2Fweb%20%231")
WEB2 = Interface("eni-0a1b00000000000b2", "10.0.1.21", WEB, "i-0b0000000000000b2", tag="shop%2Fweb%20%232")
DB1 = Interface("eni-0a1b00000000000c1", "10.0.2.15", DB, "i-0b0000000000000c1", tag="datenbank%20%C3%A4lter")
API1 = Interface("eni-0a1b00000000000d1", "10.0.3.30", API, "i-0b0000000000000d1", tag="partner%2Fapi")
QUIET = Interface("eni-0a1b00000000000d2", "10.0.3.31", API, "i-0b0000000000000d2", tag="partner%2Fspare")
INTERFACES = [ALB, NAT, BASTION, WEB1, WEB2, DB1, API1, QUIET]
BY_ADDR = {i.addr: i for i in INTERFACES}


def record(ni, egress, src, dst, sport, dport, proto, packets, octets, start, end, action="ACCEPT", flags=0, **more):
    """One record with every field of versions 2 to 11; a format picks from it by name."""
    remote = dst if egress else src
    private = remote.startswith("10.")
    through_nat = not private and ni.subnet in (WEB, DB)
    hop = NAT if through_nat else BY_ADDR.get(remote)
    r = {
        "version": "2", "account-id": ACCOUNT, "interface-id": ni.eni, "srcaddr": src, "dstaddr": dst,
        "srcport": sport, "dstport": dport, "protocol": proto, "packets": packets, "bytes": octets,
        "start": start, "end": end, "action": action, "log-status": "OK", "vpc-id": VPC, "subnet-id": ni.subnet,
        "instance-id": ni.instance, "tcp-flags": flags, "type": "IPv6" if ":" in src else "IPv4",
        "pkt-srcaddr": src, "pkt-dstaddr": dst, "region": REGION, "az-id": "use1-az4", "sublocation-type": "-",
        "sublocation-id": "-", "pkt-src-aws-service": "-", "pkt-dst-aws-service": "-",
        "flow-direction": "egress" if egress else "ingress", "traffic-path": (1 if private or through_nat else 8) if egress else "-",
        "reject-reason": "-", "resource-id": "-", "encryption-status": 1 if private else 0, "instance-tag": ni.tag,
        "instance-tag-2": "-", "interface-tag": "prod", "interface-tag-2": "-", "asg-tag": "-", "asg-tag-2": "-",
        "interface-type": ni.kind, "next-hop-interface-id": hop.eni if hop else "-",
        "next-hop-subnet-id": hop.subnet if hop else "-", "next-hop-az-id": "use1-az4" if hop else "-",
        "next-hop-vpc-id": VPC if hop else "-", "next-hop-interface-type": hop.kind if hop else "-",
    }
    r.update({k.replace("_", "-"): v for k, v in more.items()})
    return r


META = {"version", "account-id", "interface-id", "vpc-id", "subnet-id", "instance-id", "region", "az-id"}


def empty(ni, status, start, end):
    """A NODATA or SKIPDATA record: interface metadata, the window, and nothing else."""
    r = record(ni, False, "-", "-", "-", "-", "-", "-", "-", start, end, action="-", flags="-")
    return {k: v if k in META | {"start", "end"} else (status if k == "log-status" else "-") for k, v in r.items()}


def both(ni, client, server, cport, sport, t, dur, up, down, outbound=False, **more):
    """The two records of one TCP conversation on one interface; up and down are (packets, bytes)."""
    start, end = t, t + dur
    return [
        record(ni, outbound, client, server, cport, sport, 6, *up, start, end, flags=3, **more),
        record(ni, not outbound, server, client, sport, cport, 6, *down, start, end, flags=19, **more),
    ]


def traffic(rng: random.Random):
    """All records of the hour in the order in which their windows end."""
    out = []
    visitors = [f"198.51.100.{n}" for n in range(10, 60)] + [f"203.0.113.{n}" for n in range(110, 140)]
    visitors6 = [f"2001:db8:c:{n}::7" for n in range(4)]
    weights = [1.0 / (i + 1) for i in range(len(visitors))]
    for minute in range(60):
        t = T0 + 60 * minute
        for _ in range(rng.randint(9, 13)):  # visitor -> load balancer -> web server -> database
            v6 = rng.random() < 0.08
            client = rng.choice(visitors6) if v6 else rng.choices(visitors, weights)[0]
            start, dur = t + rng.randint(0, 25), rng.randint(1, 30)
            port, up, down = rng.randint(32768, 60999), rng.randint(6, 20), rng.randint(6, 40)
            out += both(ALB, client, ALB.addr6 if v6 else ALB.addr, port, 443, start, dur, (up, up * 180), (down, down * 900))
            web, mid = rng.choice([WEB1, WEB2]), rng.randint(1024, 65535)
            ill = web is WEB2 and 35 <= minute < 45
            up, down = rng.randint(5, 12), (2 if ill else rng.randint(5, 30))
            u, d = (up, up * 210), (down, down * (60 if ill else 850))
            out += both(ALB, ALB.addr, web.addr, mid, 8080, start, dur, u, d, outbound=True)
            out += both(web, ALB.addr, web.addr, mid, 8080, start, dur, u, d)
            if not ill and rng.random() < 0.6:
                dbp, n = rng.randint(32768, 60999), rng.randint(8, 60)
                out += both(web, web.addr, DB1.addr, dbp, 5432, start, dur, (n, n * 120), (n, n * 640), outbound=True)
                out += both(DB1, web.addr, DB1.addr, dbp, 5432, start, dur, (n, n * 120), (n, n * 640))
        if minute % 3 == 0:  # a web server -> NAT gateway -> payment service, four legs
            web, p, q, n = rng.choice([WEB1, WEB2]), rng.randint(32768, 60999), rng.randint(1024, 65535), rng.randint(6, 20)
            s, e = t + 5, t + 20
            a, b = (n, n * 300), (n, n * 500)
            out += both(web, web.addr, PAYMENT, p, 443, s, 15, a, b, outbound=True)
            out += [
                record(NAT, False, web.addr, NAT.addr, p, 443, 6, *a, s, e, flags=3, pkt_dstaddr=PAYMENT),
                record(NAT, True, NAT.addr, PAYMENT, q, 443, 6, *a, s, e, flags=3),
                record(NAT, False, PAYMENT, NAT.addr, 443, q, 6, *b, s, e, flags=19),
                record(NAT, True, NAT.addr, web.addr, 443, p, 6, *b, s, e, flags=19, pkt_srcaddr=PAYMENT),
            ]
        if minute % 10 == 4:  # the office on the bastion, and the bastion on a web server
            out += both(BASTION, OFFICE, BASTION.addr, 50000 + minute, 22, t, 50, (80, 9600), (75, 21000))
            out += both(BASTION, BASTION.addr, WEB1.addr, 40000 + minute, 22, t + 4, 44, (60, 7000), (50, 9000), outbound=True)
            out += both(WEB1, BASTION.addr, WEB1.addr, 40000 + minute, 22, t + 4, 44, (60, 7000), (50, 9000))
            out.append(record(WEB1, False, BASTION.addr, WEB1.addr, 0, 0, 1, 4, 336, t, t + 4))
            out.append(record(WEB1, True, WEB1.addr, BASTION.addr, 0, 0, 1, 4, 336, t, t + 4))
        if minute % 7 == 2:  # time from a public server, UDP
            out.append(record(WEB1, True, WEB1.addr, "192.0.2.123", 123, 123, 17, 1, 76, t, t))
            out.append(record(WEB1, False, "192.0.2.123", WEB1.addr, 123, 123, 17, 1, 76, t, t))
        if 12 <= minute < 20:
            for k in range(rng.randint(18, 24)):
                s = t + rng.randint(0, 55)
                out.append(record(BASTION, False, BRUTE, BASTION.addr, rng.randint(32768, 60999), 22, 6, 3, 180, s, s + 3, "REJECT", 2))
        if 25 <= minute < 28:
            for k in range(100):
                s = t + k // 2
                out.append(record(BASTION, False, SCANNER, BASTION.addr, 54321, 20 + (minute - 25) * 100 + k, 6, 1, 44, s, s, "REJECT", 2))
        if 26 <= minute < 30:
            for ni in (ALB, BASTION, NAT):
                for port in (23, 445, 3389):
                    s = t + rng.randint(0, 50)
                    out.append(record(ni, False, SWEEPER, ni.addr, rng.randint(40000, 60999), port, 6, 1, 40, s, s, "REJECT", 2))
        if 30 <= minute < 40:  # let in, but the reply is dropped on the way out
            for k in range(3):
                s, p = t + 15 * k, 51000 + minute * 3 + k
                out.append(record(API1, False, PARTNER, API1.addr, p, 443, 6, 4, 240, s, s + 14, flags=2))
                out.append(record(API1, True, API1.addr, PARTNER, 443, p, 6, 4, 240, s, s + 14, "REJECT", 18))
        if minute == 50:
            for k in range(4):
                p = 42000 + k
                out += both(ALB, "198.51.100.23", ALB.addr, p, 443, t, 10, (8, 1400), (9, 8200))
                out.append(record(ALB, False, "198.51.100.23", ALB.addr, p, 443, 6, 1, 40, t + 13, t + 13, "REJECT", 4))
        if minute % 5 == 1:
            out.append(empty(QUIET, "NODATA", t, t + 58))
        if minute % 20 == 11:
            out.append(empty(NAT, "SKIPDATA", t, t + 58))
    out.sort(key=lambda r: (int(r["end"]), r["interface-id"]))
    return out


def line(rec, fields, version):
    return " ".join(str(version) if f == "version" else str(rec[f]) for f in fields)
