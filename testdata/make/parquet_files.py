"""The Parquet flow logs of the dump: AWS's names and types, text `-` for a missing string, gzip pages (needs pyarrow)."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from fields import INT32, INT64, TGW, V2, V5
from story import ACCOUNT, BASTION, NAT, QUIET, REGION, T0, empty


def table(recs, fields, version, ints):
    """Columns under underscored names; `ints` is what stands for a missing integer (AWS does not say: null or 0)."""
    cols, names = [], []
    for f in fields:
        values = [version if f == "version" else r[f] for r in recs]
        if f in INT32 | INT64:
            values = [ints if v == "-" else int(v) for v in values]
            cols.append(pa.array(values, pa.int32() if f in INT32 else pa.int64()))
        else:
            cols.append(pa.array([str(v) for v in values], pa.string()))
        names.append(f.replace("-", "_"))
    return pa.table(cols, names=names)


def parquet(t):
    buf = io.BytesIO()
    pq.write_table(t, buf, compression="gzip", store_schema=False)
    return buf.getvalue()


def write(hour, put, gz, plain_key, hive_key):
    bastion = [r for r in hour if r["interface-id"] == BASTION.eni][:200]
    nat = [r for r in hour if r["interface-id"] == NAT.eni][:60]
    log = "fl-0aa11bb22cc33dd44"
    quiet = [empty(QUIET, "NODATA", T0 + 60 * m, T0 + 60 * m + 58) for m in range(4)]
    put(plain_key(ACCOUNT, REGION, log, "20260115T1000Z", ext=".parquet"), parquet(table(bastion + quiet, V2, 2, None)))
    put(hive_key(ACCOUNT, REGION, log, "20260115T1010Z", ext=".parquet", hour=True),
        parquet(table(nat + [empty(NAT, "SKIPDATA", T0 + 600, T0 + 658), empty(QUIET, "NODATA", T0 + 600, T0 + 658)], V5, 5, 0)))
    put("archive/" + plain_key(ACCOUNT, REGION, log, "20260115T1015Z", ext=".parquet.gz"), gz(parquet(table(nat[:10], V2, 2, None))))
    base = {f: "-" for f in TGW} | {
        "resource-type": "TransitGateway", "account-id": ACCOUNT, "tgw-id": "tgw-0123456789abcdef0", "tgw-attachment-id": "tgw-attach-0aaaaaaaaaaaaaaaa",
        "srcaddr": "10.0.1.20", "dstaddr": "10.20.2.9", "srcport": 40112, "dstport": 443, "protocol": 6, "packets": 10, "bytes": 5230,
        "log-status": "OK", "type": "IPv4", "packets-lost-no-route": 0, "packets-lost-blackhole": 0, "packets-lost-mtu-exceeded": 0,
        "packets-lost-ttl-expired": 0, "tcp-flags": 26, "region": REGION, "flow-direction": "ingress"}
    recs = [base | {"srcport": 41000 + n, "start": T0 + 10 * n, "end": T0 + 10 * n + 9} for n in range(15)]
    put(hive_key(ACCOUNT, REGION, "fl-0773b2c3d4e5f6071", "20260115T1020Z", ext=".parquet", service="service"), parquet(table(recs, TGW, 6, None)))
