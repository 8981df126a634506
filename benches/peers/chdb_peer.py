"""The tasks of `cargo bench -- table` in chDB, ClickHouse as a library."""

import csv
import io
import os

from chdb import session
from flow_v2 import FIELDS, arguments, sql_answer

task, logs, parquet, threads, *wanted = arguments()
types = {"int32": "Nullable(Int32)", "int64": "Nullable(Int64)", "text": "Nullable(String)"}
columns = ", ".join(f"{name.replace('-', '_')} {types[kind]}" for name, kind in FIELDS.items())
settings = (f"max_threads={threads}, max_insert_threads={threads}, max_parsing_threads={threads}, "
            "format_custom_field_delimiter=' ', format_custom_escaping_rule='CSV', format_csv_null_representation='-', "
            "input_format_with_names_use_header=0, output_format_parquet_compression_method='zstd', "
            "output_format_parquet_string_as_string=1")
chdb = session.Session()


def from_logs():
    return f"file('{logs}/**/*.log.gz', 'CustomSeparatedWithNames', '{columns}', 'gzip')"


def from_parquet():
    return f"file('{parquet}/**/*.parquet', 'Parquet')"


def rows(sql):
    text = chdb.query(f"{sql} SETTINGS {settings}", "CSV").data()
    return ([None if cell == "\\N" else cell for cell in row] for row in csv.reader(io.StringIO(text)))


def keep(sql):
    chdb.query("CREATE DATABASE d ENGINE = Atomic")
    chdb.query("CREATE TABLE d.kept (srcaddr Nullable(String), dstport Nullable(Int32), bytes Nullable(Int64), "
               "action LowCardinality(Nullable(String))) ENGINE = Memory")
    chdb.query(f"INSERT INTO d.kept {sql} SETTINGS {settings}")
    return "d.kept"


if task == "ingest":
    os.makedirs(parquet, exist_ok=True)
    rows(f"INSERT INTO FUNCTION file('{os.path.join(parquet, 'part.parquet')}', 'Parquet') SELECT * FROM {from_logs()}")
else:
    sql_answer(task, rows, from_logs, from_parquet, wanted, keep,
               "toUInt8OrZero(splitByChar('.', assumeNotNull(srcaddr))[3])")
chdb.close()
