"""The tasks of `cargo bench -- table` in DuckDB."""

import os

import duckdb
from flow_v2 import FIELDS, arguments, log_files, sql_answer

task, logs, parquet, threads, *wanted = arguments()
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


def keep(sql):
    db.execute(f"CREATE TEMP TABLE kept AS {sql}")
    return "kept"


if task == "ingest":
    db.execute(f"COPY (SELECT * FROM {from_logs()}) TO {parquet!r} "
               "(FORMAT parquet, COMPRESSION zstd, PER_THREAD_OUTPUT true)")
else:
    sql_answer(task, lambda sql: db.execute(sql).fetchall(), from_logs, from_parquet, wanted, keep)
