#!/usr/bin/env bash
# Ingests the dump of testdata/ and opens the store with another reader: the deltalake package for Python.
# usage: tests/readers/run.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# Where Python, pip or the network is missing, it says so and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
flowq=${1:-$target/release/flowq}
skip() { echo "skipped: $1"; exit 0; }

[ -x "$flowq" ] || { echo "no $flowq (cargo build --release first)" >&2; exit 1; }
command -v python3 >/dev/null || skip "Python is missing"
venv=$target/readers-venv
if ! "$venv/bin/python" -c 'import deltalake, pyarrow' 2>/dev/null; then
    mkdir -p "$target"
    python3 -m venv "$venv" >/dev/null 2>&1 || skip "Python's venv module is missing"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --timeout 20 --retries 1 'deltalake==1.6.6' 'pyarrow==26.0.1' ||
        skip "the deltalake package could not be installed"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset FLOWQ_STORE
"$flowq" ingest testdata/s3-dump --store "$work/store" --quiet 2>/dev/null
counts() {
    local first=1
    echo '{'
    for folder in "$work"/store/*/_delta_log; do
        local table sum=null
        table=$(basename "$(dirname "$folder")")
        case $table in flow_logs | tgw_flow_logs) sum='sum(bytes)' ;; esac
        [ $first = 1 ] || echo ','
        first=0
        local row
        row=$("$flowq" sql --store "$work/store" --format ndjson "select count(*) as rows, $sum as bytes from $table")
        echo "\"$table\": $row"
    done
    echo '}'
}
counts >"$work/counts.json"
echo "as ingested"
"$venv/bin/python" tests/readers/read_delta.py "$work/store" "$work/counts.json"
"$flowq" optimize --store "$work/store" --quiet
echo "after flowq optimize"
"$venv/bin/python" tests/readers/read_delta.py "$work/store" "$work/counts.json"
