"""The tasks of `cargo bench -- table` in DataFusion's Python package."""

import os

import pyarrow as pa
from datafusion import CsvReadOptions, SessionConfig, SessionContext
from flow_v2 import FIELDS, arguments, log_files, sql_answer

task, logs, parquet, threads, *wanted = arguments()
types = {"int32": "INT", "int64": "BIGINT"}
config = SessionConfig().with_target_partitions(threads)
config = config.set("datafusion.execution.parquet.compression", "zstd(1)")
if task in ("address", "window"):
    # Filters within the scan pay where few rows pass.
    config = config.set("datafusion.execution.parquet.pushdown_filters", "true")
    config = config.set("datafusion.execution.parquet.reorder_filters", "true")
context = SessionContext(config)


def from_logs():
    # Its CSV reader has no text for null, so every field is read as text and cast where it is not `-`.
    schema = pa.schema([(name, pa.string_view()) for name in FIELDS])
    context.register_csv("raw", log_files(logs), options=CsvReadOptions(
        schema=schema, delimiter=" ", has_header=True, quote="\x01", file_extension=".log.gz",
        file_compression_type="gzip"))

    def column(name, kind):
        source = f"nullif(\"{name}\", '-')" if kind == "text" else f'TRY_CAST("{name}" AS {types[kind]})'
        return f'{source} AS "{name.replace("-", "_")}"'

    columns = ", ".join(column(name, kind) for name, kind in FIELDS.items())
    context.sql(f"CREATE VIEW logs AS SELECT {columns} FROM raw")
    return "logs"


def from_parquet():
    context.sql(f"CREATE EXTERNAL TABLE stored STORED AS PARQUET LOCATION '{os.path.join(parquet, '')}'")
    return "stored"


def rows(sql):
    table = context.sql(sql).to_arrow_table()
    return zip(*(column.to_pylist() for column in table.columns))


def keep(sql):
    context.sql(f"CREATE TABLE kept AS {sql}").collect()
    return "kept"


if task == "ingest":
    os.makedirs(parquet, exist_ok=True)
    context.sql(f"COPY (SELECT * FROM {from_logs()}) TO '{os.path.join(parquet, '')}' STORED AS PARQUET").collect()
else:
    sql_answer(task, rows, from_logs, from_parquet, wanted, keep, "TRY_CAST(split_part(srcaddr, '.', 3) AS INT)")
