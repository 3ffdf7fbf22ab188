"""Tables in files of each format that `textflight score` reads, and jobs that are killed midway."""
import json
import subprocess
import time

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from server import environment

SEPARATORS = {"csv": ",", "tsv": "\t"}
WORDS = "a an the film plot actor is was not very quite good bad dull fun great poor long".split()
# How long a job may take to get where it is killed.
PATIENCE = 60


def write(path, rows, chunk):
    """Writes a table as the end of the name says, in row groups or batches of so many rows."""
    kind = path.suffix[1:]
    if kind == "parquet":
        pq.write_table(rows, path, row_group_size=chunk)
    elif kind in SEPARATORS:
        rows.to_pandas().to_csv(path, sep=SEPARATORS[kind], index=False)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    elif kind == "arrow":
        feather.write_feather(rows, path, compression="lz4", chunksize=chunk)
    else:
        with pa.ipc.new_stream(path, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=chunk)


def killed_with(journal, size, command):
    """Kills a job once its journal has more than so many bytes."""
    ends = time.monotonic() + PATIENCE
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        try:
            while not (journal.exists() and journal.stat().st_size > size):
                assert process.poll() is None, "it ended before it was killed"
                assert time.monotonic() < ends, f"its journal has no {size} bytes after {PATIENCE} s"
                time.sleep(0.005)
        finally:
            process.kill()
