#!/usr/bin/env python3
"""Opens a flowq store with DuckDB's delta_scan and holds it against what the ingested files count to.

usage: read_duckdb.py STORE DUMP EXPECTED.json
EXPECTED.json: {"file below DUMP": {"kind": table or null, "rows": N, "bytes": N or null, "skipped_reason": null or text, ...}, ...}
Exit code 0 if every table opens and holds of every file the rows, and the sum of bytes, that it should; else 1 with a line
for each difference.
"""

import json
import os
import sys

import duckdb
import duckdb_extension_delta

# The log tables, each with the column of its time.
TIMES = {
    "alb_connection_logs": "time",
    "alb_health_check_logs": "time",
    "alb_logs": "time",
    "clb_logs": "time",
    "flow_logs": "start",
    "nlb_logs": "time",
    "tgw_flow_logs": "start",
}


def connect():
    folder = os.path.join(os.path.dirname(duckdb_extension_delta.__file__), "extensions", f"v{duckdb.__version__}")
    # Nothing is fetched: what is not there is an error.
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    db.execute("set timezone = 'UTC'")
    db.execute(f"load '{folder}/delta.duckdb_extension'")
    return db


def check(db, store, dump, table, expected):
    scan = f"delta_scan('{os.path.join(store, table)}')"
    of_table = {file: e for file, e in expected.items() if e["kind"] == table and e["skipped_reason"] is None}
    total = db.execute(f"select count(*) from {scan}").fetchone()[0]
    wanted = sum(e["rows"] for e in of_table.values())
    if total != wanted:
        yield f"{total} rows, not {wanted}"
    has_bytes = table in ("flow_logs", "tgw_flow_logs")
    sums = "sum(bytes)::bigint" if has_bytes else "null"
    found = {
        os.path.relpath(file, dump): (rows, total)
        for file, rows, total in db.execute(f"select source_file, count(*), {sums} from {scan} group by source_file").fetchall()
    }
    for file in sorted(found.keys() | {file for file, e in of_table.items() if e["rows"]}):
        e = of_table.get(file, {"rows": 0, "bytes": None})
        rows, total = found.get(file, (0, None))
        if rows != e["rows"] or (has_bytes and (total or 0) != e["bytes"]):
            yield f"{file}: {rows} rows with {total} bytes, not {e['rows']} with {e['bytes']}"
    time = TIMES[table]
    astray = db.execute(f'select count(*) from {scan} where event_date is distinct from "{time}"::timestamp::date').fetchone()[0]
    if astray:
        yield f"{astray} rows lie in the partition of another day"
    # A day's rows, found by the partition and by the statistics.
    day, rows = db.execute(f"select event_date, count(*) from {scan} group by all order by 2 desc limit 1").fetchone()
    for condition in (f"event_date = '{day}'", f"\"{time}\" >= '{day} 00:00:00+00' and \"{time}\" < '{day} 00:00:00+00'::timestamptz + interval 1 day"):
        some = db.execute(f"select count(*) from {scan} where {condition}").fetchone()[0]
        if some != rows:
            yield f"{some} rows where {condition}, not {rows}"


def main():
    store, dump, expected = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), json.load(open(sys.argv[3]))
    db = connect()
    wrong = 0
    for table in TIMES:
        problems = list(check(db, store, dump, table, expected))
        wrong += len(problems)
        print(f"{table}: {'ok' if not problems else ''}")
        for problem in problems:
            print(f"  {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
