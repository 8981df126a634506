#!/usr/bin/env python3
"""Opens a flowq store with DuckDB's delta_scan and holds it against what the ingested files count to.

usage: read_duckdb.py STORE DUMP EXPECTED.json      (see counts.py)
Exit code 0 if every table opens and holds of every file the rows, and the sum of bytes, that it should; else 1 with a line
for each difference.
"""

import os
import sys

import duckdb
import duckdb_extension_delta

import counts


def connect():
    folder = os.path.join(os.path.dirname(duckdb_extension_delta.__file__), "extensions", f"v{duckdb.__version__}")
    # Nothing is fetched: what is not there is an error.
    db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    db.execute("set timezone = 'UTC'")
    db.execute(f"load '{folder}/delta.duckdb_extension'")
    return db


def check(db, store, dump, table, time, expected):
    scan = f"delta_scan('{os.path.join(store, table)}')"
    total = db.execute(f"select count(*) from {scan}").fetchone()[0]
    wanted = sum(e["rows"] for e in counts.of_table(table, expected).values())
    if total != wanted:
        yield f"{total} rows, not {wanted}"
    sums = "sum(bytes)::bigint" if counts.has_bytes(table) else "null"
    found = db.execute(f"select source_file, count(*), {sums} from {scan} group by source_file").fetchall()
    yield from counts.differences(table, dump, expected, found)
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
    db = connect()
    return counts.main(lambda *of: check(db, *of))


if __name__ == "__main__":
    sys.exit(main())
