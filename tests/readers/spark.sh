#!/usr/bin/env bash
# Ingests the dump of testdata/ and reads the store's files with Apache Spark: those that the Delta log says are there, by
# Spark's own Parquet reader. (Delta Lake's jar for Spark is not on PyPI.) Counts and sums are held against testdata/expected.json.
# usage: FLOWQ_TEST_SPARK=1 tests/readers/spark.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# PySpark is a download of 450 MB and needs Java 17, so it has to be asked for; where something is missing, it says so and ends with 0.
. "$(dirname "$0")/environment.bash" "$@"
[ "${FLOWQ_TEST_SPARK:-}" = 1 ] || skip "FLOWQ_TEST_SPARK is not 1"
command -v java >/dev/null || skip "Java is missing"
with_python spark-venv pyspark PySpark 'pyspark==4.3.0'

ingest_dump
as_ingested_and_optimized tests/readers/read_spark.py "$work/store" testdata/s3-dump testdata/expected.json
