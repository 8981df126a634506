"""The tasks of `cargo bench -- table` in DuckDB."""

import os

import duckdb
from flow_v2 import FIELDS, arguments, log_files, print_rows

task, logs, parquet, threads = arguments()
types = {"int32": "INTEGER", "int64": "BIGINT", "text": "VARCHAR"}
columns = {name.replace("-", "_"): types[kind] for name, kind in FIELDS.items()}
db = duckdb.connect()
db.execute(f"SET threads = {threads}")
# Order between files is not asked for, and keeping it costs DuckDB time and memory.
db.execute("SET preserve_insertion_order = false")


def from_logs():
    return (f"read_csv({log_files(logs)!r}, delim = ' ', header = true, nullstr = '-', quote = '', escape = '', "
            f"auto_detect = false, compression = 'gzip', columns = {columns!r})")


def from_parquet():
    return f"read_parquet({os.path.join(parquet, '**', '*.parquet')!r})"


def top(relation):
    return (f"SELECT srcaddr, count(*) AS n FROM {relation} WHERE action = 'REJECT' "
            "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10")


if task == "ingest":
    db.execute(f"COPY (SELECT * FROM {from_logs()}) TO {parquet!r} "
               "(FORMAT parquet, COMPRESSION zstd, PER_THREAD_OUTPUT true)")
elif task == "raw":
    print_rows(db.execute(top(from_logs())).fetchall())
elif task == "store":
    print_rows(db.execute(top(from_parquet())).fetchall())
elif task == "ports":
    print_rows(db.execute(f"SELECT dstport, sum(bytes)::BIGINT AS n FROM {from_parquet()} "
                          "GROUP BY dstport ORDER BY n DESC, dstport LIMIT 10").fetchall())
elif task == "network":
    print_rows(db.execute(f"SELECT srcaddr, sum(bytes)::BIGINT AS n FROM {from_parquet()} WHERE srcaddr LIKE '10.0.%' "
                          "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10").fetchall())
elif task == "count":
    print_rows(db.execute(f"SELECT count(*), sum(bytes)::BIGINT FROM {from_parquet()}").fetchall())
