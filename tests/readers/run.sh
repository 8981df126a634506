#!/usr/bin/env bash
# Ingests the dump of testdata/ and opens the store with another reader: the deltalake package for Python.
# usage: tests/readers/run.sh [FLOWQ]      (default: target/release/flowq; CARGO_TARGET_DIR is respected)
# Where Python, pip or the network is missing, it says so and ends with 0.
. "$(dirname "$0")/environment.bash" "$@"
with_python readers-venv 'deltalake, pyarrow' "the deltalake package" 'deltalake==1.6.6' 'pyarrow==26.0.1'

ingest_dump
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
as_ingested_and_optimized tests/readers/read_delta.py "$work/store" "$work/counts.json"
