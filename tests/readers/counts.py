"""What the log tables of a flowq store are expected to hold, for the readers beside it.

EXPECTED.json: {"file below the dump": {"kind": table or null, "rows": N, "bytes": N or null, "skipped_reason": null or text, ...}, ...}
"""

import json
import os
import sys

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


def has_bytes(table):
    return table in ("flow_logs", "tgw_flow_logs")


def of_table(table, expected):
    """What is expected of the files whose rows are in a table."""
    return {file: e for file, e in expected.items() if e["kind"] == table and e["skipped_reason"] is None}


def differences(table, dump, expected, found):
    """A line for each file whose rows, or sum of bytes, are not those expected; found: (source_file, rows, bytes), ..."""
    wanted = of_table(table, expected)
    found = {os.path.relpath(file, dump): (rows, total) for file, rows, total in found}
    for file in sorted(found.keys() | {file for file, e in wanted.items() if e["rows"]}):
        e = wanted.get(file, {"rows": 0, "bytes": None})
        rows, total = found.get(file, (0, None))
        if rows != e["rows"] or (has_bytes(table) and (total or 0) != e["bytes"]):
            yield f"{file}: {rows} rows with {total} bytes, not {e['rows']} with {e['bytes']}"


def main(check):
    """Calls check(store, dump, table, time, expected), which yields problems, for each table; gives the exit code."""
    store, dump = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with open(sys.argv[3]) as file:
        expected = json.load(file)
    wrong = 0
    for table, time in TIMES.items():
        problems = list(check(store, dump, table, time, expected))
        wrong += len(problems)
        print(f"{table}: {'ok' if not problems else ''}")
        for problem in problems:
            print(f"  {problem}")
    return 1 if wrong else 0
