#!/usr/bin/env python3
"""Reads a flowq store with Apache Spark's Parquet reader and holds it against what the ingested files count to.

usage: read_spark.py STORE DUMP EXPECTED.json      (see counts.py)
The Delta log says which files are there; its checkpoints are not looked at, since a store as small as this has none.
Exit code 0 if every table opens and holds of every file the rows, and the sum of bytes, that it should; else 1 with a line
for each difference.
"""

import json
import os
import sys
from urllib.parse import unquote

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import counts


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
    folder = os.path.join(store, table)
    frame = spark.read.option("basePath", folder).option("mergeSchema", "true").parquet(*files(folder))
    sums = F.sum("bytes") if counts.has_bytes(table) else F.lit(None)
    # Every column is decoded.
    frame.agg(*[F.count(frame[name]) for name in frame.columns]).collect()
    found = frame.groupBy("source_file").agg(F.count(F.lit(1)), sums).collect()
    yield from counts.differences(table, dump, expected, found)
    astray = frame.where(~F.col("event_date").eqNullSafe(F.to_date(F.col(time)))).count()
    if astray:
        yield f"{astray} rows lie in the partition of another day"


def main():
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
    code = counts.main(lambda *of: check(spark, *of))
    spark.stop()
    return code


if __name__ == "__main__":
    sys.exit(main())
