"""What the peers share: the fields of a version 2 flow log with their types, the files, the arguments."""

import glob
import os
import sys

# name in the log, then how it is stored: the types flowq gives these fields
FIELDS = {
    "version": "int32", "account-id": "text", "interface-id": "text", "srcaddr": "text", "dstaddr": "text",
    "srcport": "int32", "dstport": "int32", "protocol": "int32", "packets": "int64", "bytes": "int64",
    "start": "int64", "end": "int64", "action": "text", "log-status": "text",
}


def arguments():
    """The task, the folder with the logs, the folder for Parquet, the number of threads, an address, a Unix second."""
    task, logs, parquet, threads, *wanted = sys.argv[1:]
    address, start = wanted or ("", 0)
    return task, logs, parquet, int(threads), address, int(start)


def log_files(folder):
    """Large files first, so that no thread is left with one at the end."""
    files = glob.glob(os.path.join(folder, "**", "*.log.gz"), recursive=True)
    return sorted(files, key=os.path.getsize, reverse=True)


def print_rows(rows, *first):
    for row in rows:
        print(",".join("" if cell is None else str(cell) for cell in (*first, *row)))


def top_of(relation):
    return (f"SELECT srcaddr, count(*) AS n FROM {relation} WHERE action = 'REJECT' "
            "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10")


# the columns that several questions at once need
FEW = "srcaddr, dstport, bytes, action"


def sql_answer(task, rows, logs, parquet, wanted, keep=None, third="CAST(split_part(srcaddr, '.', 3) AS INT)"):
    """What a task asks, in the SQL that the engines have in common. `rows` runs a statement; `logs` and `parquet` give the
    relation that is the text and the Parquet; `keep` makes a table in memory of a statement; `third` is an address's
    third number."""
    if task in ("raw", "store"):
        print_rows(rows(top_of(logs() if task == "raw" else parquet())))
    elif task in ("raw-table", "table"):
        # Over Parquet, three scans of a few columns cost each engine less than a table of its own.
        relation = keep(f"SELECT {FEW} FROM {logs()}") if task == "raw-table" else parquet()
        print_rows(rows(f"SELECT count(*), count(*) - count(srcaddr) FROM {relation}"), "rows")
        print_rows(rows(top_of(relation)), "top")
        print_rows(rows(f"SELECT dstport, sum(bytes) FROM {relation} WHERE dstport IS NOT NULL GROUP BY dstport"), "port")
    elif task in ("address", "window"):
        address, start = wanted
        within = f" AND start >= {start} AND start < {start + 600}" if task == "window" else ""
        names = ", ".join(f'"{name.replace("-", "_")}"' for name in FIELDS)
        print_rows(rows(f"SELECT {names} FROM {parquet()} WHERE srcaddr = '{address}'{within}"))
    elif task in ("network", "subnet"):
        within = f" AND {third} BETWEEN 32 AND 63" if task == "subnet" else ""
        print_rows(rows(f"SELECT srcaddr, sum(bytes) AS n FROM {parquet()} WHERE srcaddr LIKE '10.12.%'{within} GROUP BY srcaddr"))
    elif task == "count":
        print_rows(rows(f"SELECT count(*), sum(bytes) FROM {parquet()}"))
