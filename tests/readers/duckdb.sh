#!/usr/bin/env bash
# Ingests the dump of testdata/ and opens the store with DuckDB's delta_scan; the extension comes from PyPI as well, and is
# loaded from its file. Counts and sums are held against testdata/expected.json.
# usage: tests/readers/duckdb.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# Where Python, pip or the network is missing, it says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
flowq=${1:-$target/release/flowq}
skip() { echo "skipped: $1"; exit 0; }

[ -x "$flowq" ] || { echo "no $flowq (cargo build --release first)" >&2; exit 1; }
command -v python3 >/dev/null || skip "Python is missing"
venv=$target/duckdb-venv
if ! "$venv/bin/python" -c 'import duckdb, duckdb_extension_delta' 2>/dev/null; then
    mkdir -p "$target"
    python3 -m venv "$venv" >/dev/null 2>&1 || skip "Python's venv module is missing"
    # An extension fits the one version of DuckDB that it was built for.
    "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 1 'duckdb==1.5.5' 'duckdb-extension-delta==1.5.5' ||
        skip "DuckDB and its delta extension could not be installed"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FLOWQ_STORE
"$flowq" ingest testdata/s3-dump --store "$work/store" --quiet 2>/dev/null
echo "as ingested"
"$venv/bin/python" tests/readers/read_duckdb.py "$work/store" testdata/s3-dump testdata/expected.json
"$flowq" optimize --store "$work/store" --quiet
echo "after flowq optimize"
"$venv/bin/python" tests/readers/read_duckdb.py "$work/store" testdata/s3-dump testdata/expected.json
