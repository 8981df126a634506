#!/usr/bin/env bash
# Ingests the dump of testdata/ and reads the store's files with Apache Spark: those that the Delta log says are there, by
# Spark's own Parquet reader. (Delta Lake's jar for Spark is not on PyPI.) Counts and sums are held against testdata/expected.json.
# usage: FLOWQ_TEST_SPARK=1 tests/readers/spark.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# PySpark is a download of 450 MB and needs Java 17, so it has to be asked for; where something is missing, it says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
flowq=${1:-$target/release/flowq}
skip() { echo "skipped: $1"; exit 0; }

[ "${FLOWQ_TEST_SPARK:-}" = 1 ] || skip "FLOWQ_TEST_SPARK is not 1"
[ -x "$flowq" ] || { echo "no $flowq (cargo build --release first)" >&2; exit 1; }
command -v java >/dev/null || skip "Java is missing"
command -v python3 >/dev/null || skip "Python is missing"
venv=$target/spark-venv
if ! "$venv/bin/python" -c 'import pyspark' 2>/dev/null; then
    mkdir -p "$target"
    python3 -m venv "$venv" >/dev/null 2>&1 || skip "Python's venv module is missing"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 1 'pyspark==4.3.0' ||
        skip "PySpark could not be installed"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FLOWQ_STORE
"$flowq" ingest testdata/s3-dump --store "$work/store" --quiet 2>/dev/null
echo "as ingested"
"$venv/bin/python" tests/readers/read_spark.py "$work/store" testdata/s3-dump testdata/expected.json
"$flowq" optimize --store "$work/store" --quiet
echo "after flowq optimize"
"$venv/bin/python" tests/readers/read_spark.py "$work/store" testdata/s3-dump testdata/expected.json
