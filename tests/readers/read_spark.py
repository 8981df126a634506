#!/usr/bin/env python3
"""Reads a flowq store with Apache Spark's Parquet reader and holds it against what the ingested files count to.

usage: read_spark.py STORE DUMP EXPECTED.json
EXPECTED.json: as of read_duckdb.py. The Delta log says which files are there; its checkpoints are not looked at, since a store
as small as this has none.
Exit code 0 if every table opens and holds of every file the rows, and the sum of bytes, that it should; else 1 with a line
for each difference.
"""

import json
import os
import sys
from urllib.parse import unquote

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

TABLES = {
    "alb_connection_logs": "time",
    "alb_health_check_logs": "time",
    "alb_logs": "time",
    "clb_logs": "time",
    "flow_logs": "start",
    "nlb_logs": "time",
    "tgw_flow_logs": "start",
}


def files(table):
    """The files of a table's newest version."""
    log = os.path.join(table, "_delta_log")
    there = {}
    for name in sorted(name for name in os.listdir(log) if name.endswith(".json")):
        with open(os.path.join(log, name)) as commit:
            for action in map(json.loads, commit):
                if "add" in action:
                    there[action["add"]["path"]] = None
                if "remove" in action:
                    there.pop(action["remove"]["path"], None)
    return [os.path.join(table, unquote(path)) for path in there]


def check(spark, store, dump, table, time, expected):
    of_table = {file: e for file, e in expected.items() if e["kind"] == table and e["skipped_reason"] is None}
    folder = os.path.join(store, table)
    frame = spark.read.option("basePath", folder).option("mergeSchema", "true").parquet(*files(folder))
    has_bytes = table in ("flow_logs", "tgw_flow_logs")
    sums = F.sum("bytes") if has_bytes else F.lit(None)
    # Every column is decoded.
    frame.agg(*[F.count(frame[name]) for name in frame.columns]).collect()
    found = {
        os.path.relpath(row[0], dump): (row[1], row[2])
        for row in frame.groupBy("source_file").agg(F.count(F.lit(1)), sums).collect()
    }
    for file in sorted(found.keys() | {file for file, e in of_table.items() if e["rows"]}):
        e = of_table.get(file, {"rows": 0, "bytes": None})
        rows, total = found.get(file, (0, None))
        if rows != e["rows"] or (has_bytes and (total or 0) != e["bytes"]):
            yield f"{file}: {rows} rows with {total} bytes, not {e['rows']} with {e['bytes']}"
    astray = frame.where(~F.col("event_date").eqNullSafe(F.to_date(F.col(time)))).count()
    if astray:
        yield f"{astray} rows lie in the partition of another day"


def main():
    store, dump = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with open(sys.argv[3]) as file:
        expected = json.load(file)
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    wrong = 0
    for table, time in TABLES.items():
        problems = list(check(spark, store, dump, table, time, expected))
        wrong += len(problems)
        print(f"{table}: {'ok' if not problems else ''}")
        for problem in problems:
            print(f"  {problem}")
    spark.stop()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
