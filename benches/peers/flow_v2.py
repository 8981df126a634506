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
    """The task, the folder with the logs, the folder for Parquet, the number of threads."""
    task, logs, parquet, threads = sys.argv[1:]
    return task, logs, parquet, int(threads)


def log_files(folder):
    """Large files first, so that no thread is left with one at the end."""
    files = glob.glob(os.path.join(folder, "**", "*.log.gz"), recursive=True)
    return sorted(files, key=os.path.getsize, reverse=True)


def print_rows(rows):
    for row in rows:
        print(",".join(str(cell) for cell in row))


def sql_answer(task, rows, logs, parquet):
    """What a task asks, in the SQL that the engines have in common. `rows` runs a statement; `logs` and `parquet` give the
    relation that is the text and the Parquet."""
    if task in ("raw", "store"):
        relation = logs() if task == "raw" else parquet()
        statement = (f"SELECT srcaddr, count(*) AS n FROM {relation} WHERE action = 'REJECT' "
                     "GROUP BY srcaddr ORDER BY n DESC, srcaddr LIMIT 10")
    elif task == "ports":
        statement = (f"SELECT dstport, sum(bytes) AS n FROM {parquet()} "
                     "GROUP BY dstport ORDER BY n DESC NULLS LAST, dstport NULLS LAST LIMIT 10")
    elif task == "network":
        statement = (f"SELECT srcaddr, sum(bytes) AS n FROM {parquet()} WHERE srcaddr LIKE '10.0.%' "
                     "GROUP BY srcaddr ORDER BY n DESC NULLS LAST, srcaddr LIMIT 10")
    elif task == "count":
        statement = f"SELECT count(*), sum(bytes) FROM {parquet()}"
    print_rows(rows(statement))
