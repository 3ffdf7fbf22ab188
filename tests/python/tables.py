"""Tables in files of each format that `textflight score` reads."""
import json

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

SEPARATORS = {"csv": ",", "tsv": "\t"}


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
