"""The tasks of `cargo bench -- table` in Polars."""

import os

from flow_v2 import FIELDS, arguments, log_files, print_rows

task, logs, parquet, threads, address, start = arguments()
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
elif task in ("raw", "store"):
    print_rows(rows(top(from_logs() if task == "raw" else from_parquet())))
elif task in ("raw-table", "table"):
    scan = from_logs() if task == "raw-table" else from_parquet()
    # What the three have in common, the scan, runs once.
    counts, most, ports = pl.collect_all([
        scan.select(pl.len(), pl.col("srcaddr").null_count().alias("without")),
        top(scan),
        scan.filter(pl.col("dstport").is_not_null()).group_by("dstport").agg(pl.col("bytes").sum()),
    ], engine="streaming")
    print_rows(counts.iter_rows(), "rows")
    print_rows(most.iter_rows(), "top")
    print_rows(ports.iter_rows(), "port")
elif task in ("address", "window"):
    matches = pl.col("srcaddr") == address
    if task == "window":
        matches &= (pl.col("start") >= start) & (pl.col("start") < start + 600)
    print_rows(rows(from_parquet().filter(matches)))
elif task in ("network", "subnet"):
    within = from_parquet().filter(pl.col("srcaddr").str.starts_with("10.12."))
    if task == "subnet":
        third = pl.col("srcaddr").str.split(".").list.get(2, null_on_oob=True).cast(pl.Int32, strict=False)
        within = within.filter(third.is_between(32, 63))
    print_rows(rows(within.group_by("srcaddr").agg(pl.col("bytes").sum())))
elif task == "count":
    print_rows(rows(from_parquet().select(pl.len(), pl.col("bytes").sum())))
