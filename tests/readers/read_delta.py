#!/usr/bin/env python3
"""Opens a flowq store with the deltalake package and holds it against flowq's own counts.

usage: read_delta.py STORE COUNTS.json
COUNTS.json: {"table": {"rows": N, "bytes": N or null}, ...}, as flowq sql counted them.
Exit code 0 if all tables open, have the promised types and the same counts; else 1 with a line for each difference.
"""

import json
import os
import sys

from deltalake import DeltaTable

# The promised types, by column, of what is not text.
COMMON = {"source_line": "long", "event_date": "date"}
FLOW = {
    **dict.fromkeys(["version", "srcport", "dstport", "protocol", "tcp_flags"], "integer"),
    **dict.fromkeys(["packets", "bytes"], "long"),
    **dict.fromkeys(["start", "end"], "timestamp"),
}
TYPES = {
    "flow_logs": FLOW | dict.fromkeys(["traffic_path", "encryption_status"], "integer"),
    "tgw_flow_logs": FLOW
    | dict.fromkeys(["packets_lost_" + why for why in ("no_route", "blackhole", "mtu_exceeded", "ttl_expired")], "long"),
    "alb_logs": dict.fromkeys(["time", "request_creation_time"], "timestamp")
    | dict.fromkeys(["client_port", "target_port", "elb_status_code", "target_status_code", "matched_rule_priority"], "integer")
    | dict.fromkeys(["received_bytes", "sent_bytes"], "long")
    | dict.fromkeys(["request_processing_time", "target_processing_time", "response_processing_time"], "double"),
    "clb_logs": {"time": "timestamp"}
    | dict.fromkeys(["client_port", "backend_port", "elb_status_code", "backend_status_code"], "integer")
    | dict.fromkeys(["received_bytes", "sent_bytes"], "long")
    | dict.fromkeys(["request_processing_time", "backend_processing_time", "response_processing_time"], "double"),
    "nlb_logs": dict.fromkeys(["time", "tls_connection_creation_time"], "timestamp")
    | dict.fromkeys(["client_port", "destination_port", "incoming_tls_alert"], "integer")
    | dict.fromkeys(["connection_time", "tls_handshake_time", "received_bytes", "sent_bytes"], "long"),
    "alb_connection_logs": {"time": "timestamp", "client_port": "integer", "listener_port": "integer", "tls_handshake_latency": "double"},
    "alb_health_check_logs": {"time": "timestamp", "latency": "double", "status_code": "integer"},
}


def check(store, name, counts):
    table = DeltaTable(os.path.join(store, name))
    arrow = table.to_pyarrow_table()
    if arrow.num_rows != counts["rows"]:
        yield f"{arrow.num_rows} rows, flowq counts {counts['rows']}"
    if table.count() != counts["rows"]:
        yield f"{table.count()} rows by the statistics, flowq counts {counts['rows']}"
    if counts.get("bytes") is not None:
        import pyarrow.compute

        total = pyarrow.compute.sum(arrow["bytes"]).as_py()
        if total != counts["bytes"]:
            yield f"sum of bytes {total}, flowq says {counts['bytes']}"
    if name in TYPES:
        wanted = TYPES[name] | COMMON
        if table.metadata().partition_columns != ["event_date"]:
            yield f"partitioned by {table.metadata().partition_columns}"
        fields = {field.name: field.type for field in table.schema().fields}
        for column in wanted.keys() - fields.keys():
            yield f"no column {column}"
        for column, type in fields.items():
            found = getattr(type, "type", None)
            if column == "extra":
                if found != "map":
                    yield f"extra is {type}"
            elif found != wanted.get(column, "string"):
                yield f"{column} is {type}, not {wanted.get(column, 'string')}"
        time = {"flow_logs": "start", "tgw_flow_logs": "start"}.get(name, "time")
        for day, moment in zip(arrow["event_date"].to_pylist(), arrow[time].to_pylist()):
            if day != (moment and moment.date()):
                yield f"a row of {moment} lies in the partition {day}"
                break


def main():
    store, counts = sys.argv[1], json.load(open(sys.argv[2]))
    wrong = 0
    for name in sorted(counts):
        problems = list(check(store, name, counts[name]))
        wrong += len(problems)
        print(f"{name}: {counts[name]['rows']} rows, {'ok' if not problems else ''}")
        for problem in problems:
            print(f"  {problem}")
    return 1 if wrong or not counts else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The libraries' threads sometimes abort an interpreter that takes its time to end; what they read has been judged.
    os._exit(code)
