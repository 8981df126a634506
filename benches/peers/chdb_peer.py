"""The tasks of `cargo bench -- table` in chDB, ClickHouse as a library."""

import csv
import io
import os

from chdb import session
from flow_v2 import FIELDS, arguments, print_rows

task, logs, parquet, threads = arguments()
types = {"int32": "Nullable(Int32)", "int64": "Nullable(Int64)", "text": "Nullable(String)"}
columns = ", ".join(f"{name.replace('-', '_')} {types[kind]}" for name, kind in FIELDS.items())
from_logs = f"file('{logs}/**/*.log.gz', 'CustomSeparatedWithNames', '{columns}', 'gzip')"
from_parquet = f"file('{parquet}/**/*.parquet', 'Parquet')"
settings = (f"max_threads={threads}, max_insert_threads={threads}, max_parsing_threads={threads}, "
            "format_custom_field_delimiter=' ', format_custom_escaping_rule='CSV', format_csv_null_representation='-', "
            "input_format_with_names_use_header=0, output_format_parquet_compression_method='zstd', "
            "output_format_parquet_string_as_string=1")
chdb = session.Session()


def rows(sql):
    text = chdb.query(f"{sql} SETTINGS {settings}", "CSV").data()
    return csv.reader(io.StringIO(text))


def top(relation):
    return rows(f"SELECT srcaddr, count() AS n FROM {relation} WHERE action = 'REJECT' "
                "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10")


if task == "ingest":
    os.makedirs(parquet, exist_ok=True)
    rows(f"INSERT INTO FUNCTION file('{os.path.join(parquet, 'part.parquet')}', 'Parquet') SELECT * FROM {from_logs}")
elif task == "raw":
    print_rows(top(from_logs))
elif task == "store":
    print_rows(top(from_parquet))
elif task == "ports":
    print_rows(rows(f"SELECT dstport, sum(bytes) AS n FROM {from_parquet} GROUP BY dstport "
                    "ORDER BY n DESC NULLS LAST, dstport LIMIT 10"))
elif task == "network":
    print_rows(rows(f"SELECT srcaddr, sum(bytes) AS n FROM {from_parquet} WHERE startsWith(srcaddr, '10.0.') "
                    "GROUP BY srcaddr ORDER BY n DESC NULLS LAST, srcaddr LIMIT 10"))
elif task == "count":
    print_rows(rows(f"SELECT count(), sum(bytes) FROM {from_parquet}"))
chdb.close()
