"""The tasks of `cargo bench -- table` in DataFusion's Python package."""

import os

import pyarrow as pa
from datafusion import CsvReadOptions, SessionConfig, SessionContext
from flow_v2 import FIELDS, arguments, log_files, print_rows

task, logs, parquet, threads = arguments()
types = {"int32": "INT", "int64": "BIGINT"}
config = SessionConfig().with_target_partitions(threads)
config = config.set("datafusion.execution.parquet.compression", "zstd(1)")
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


def top(relation):
    return rows(f"SELECT srcaddr, count(*) AS n FROM {relation} WHERE action = 'REJECT' "
                "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10")


if task == "ingest":
    os.makedirs(parquet, exist_ok=True)
    context.sql(f"COPY (SELECT * FROM {from_logs()}) TO '{os.path.join(parquet, '')}' STORED AS PARQUET").collect()
elif task == "raw":
    print_rows(top(from_logs()))
elif task == "store":
    print_rows(top(from_parquet()))
elif task == "ports":
    print_rows(rows(f"SELECT dstport, sum(bytes) AS n FROM {from_parquet()} "
                    "GROUP BY dstport ORDER BY n DESC NULLS LAST, dstport NULLS LAST LIMIT 10"))
elif task == "network":
    print_rows(rows(f"SELECT srcaddr, sum(bytes) AS n FROM {from_parquet()} WHERE starts_with(srcaddr, '10.0.') "
                    "GROUP BY srcaddr ORDER BY n DESC NULLS LAST, srcaddr LIMIT 10"))
elif task == "count":
    print_rows(rows(f"SELECT count(*), sum(bytes) FROM {from_parquet()}"))
