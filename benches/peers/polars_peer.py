"""The tasks of `cargo bench -- table` in Polars."""

import os

from flow_v2 import FIELDS, arguments, log_files, print_rows

task, logs, parquet, threads = arguments()
# Read when the module is imported.
os.environ["POLARS_MAX_THREADS"] = str(threads)
import polars as pl  # noqa: E402

types = {"int32": pl.Int32, "int64": pl.Int64, "text": pl.String}


def from_logs():
    scan = pl.scan_csv(log_files(logs), separator=" ", has_header=True, quote_char=None, null_values="-",
                       infer_schema=False, schema={name: types[kind] for name, kind in FIELDS.items()})
    return scan.rename({name: name.replace("-", "_") for name in FIELDS})


def from_parquet():
    return pl.scan_parquet(os.path.join(parquet, "**", "*.parquet"))


def top(scan):
    counted = scan.filter(pl.col("action") == "REJECT").group_by("srcaddr").agg(pl.len().alias("n"))
    return counted.sort(["n", "srcaddr"], descending=[True, False]).head(10)


def rows(scan):
    return scan.collect(engine="streaming").iter_rows()


if task == "ingest":
    os.makedirs(parquet, exist_ok=True)
    from_logs().sink_parquet(os.path.join(parquet, "part.parquet"), compression="zstd", maintain_order=False,
                             engine="streaming")
elif task == "raw":
    print_rows(rows(top(from_logs())))
elif task == "store":
    print_rows(rows(top(from_parquet())))
elif task == "ports":
    counted = from_parquet().group_by("dstport").agg(pl.col("bytes").sum().alias("n"))
    print_rows(rows(counted.sort(["n", "dstport"], descending=[True, False]).head(10)))
elif task == "network":
    within = from_parquet().filter(pl.col("srcaddr").str.starts_with("10.0."))
    counted = within.group_by("srcaddr").agg(pl.col("bytes").sum().alias("n"))
    print_rows(rows(counted.sort(["n", "srcaddr"], descending=[True, False]).head(10)))
elif task == "count":
    print_rows(rows(from_parquet().select(pl.len(), pl.col("bytes").sum())))
