#!/usr/bin/env bash
# Ingests the dump of testdata/ and opens the store with DuckDB's delta_scan; the extension comes from PyPI as well, and is
# loaded from its file. Counts and sums are held against testdata/expected.json.
# usage: tests/readers/duckdb.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# Where Python, pip or the network is missing, it says so and ends with 0.
. "$(dirname "$0")/environment.bash" "$@"
# An extension fits the one version of DuckDB that it was built for.
with_python duckdb-venv 'duckdb, duckdb_extension_delta' "DuckDB and its delta extension" 'duckdb==1.5.5' 'duckdb-extension-delta==1.5.5'

ingest_dump
as_ingested_and_optimized tests/readers/read_duckdb.py "$work/store" testdata/s3-dump testdata/expected.json
