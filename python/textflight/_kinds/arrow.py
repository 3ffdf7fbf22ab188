"""Tables, batches, readers and arrays of pyarrow, and whatever speaks Arrow's PyCapsule interface."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .._errors import InvalidError
from .._options import Options
from .._plan import Plan
from .._progress import Progress, ProgressOption
from .._stream import new_columns, scored_reader

if TYPE_CHECKING:
    from .._client import Client

KINDS = (pa.Table, pa.RecordBatch, pa.RecordBatchReader, pa.ChunkedArray, pa.Array)
# Rows of a table that are sent as one batch, at most: they share its memory.
_BATCH_ROWS = 64 * 1024


def score(client: Client, data: Any, options: Options, progress: ProgressOption) -> Any:
    """A table, a batch and a reader as such; an array as a table of what is new; any other stream as a reader."""
    data = _imported(data)
    if isinstance(data, pa.RecordBatchReader):
        return scored_reader(client, data.schema, data, options, Progress(progress))
    if isinstance(data, (pa.ChunkedArray, pa.Array)):
        return score_array(client, data, options, progress)
    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    scored = _score_table(client, table, options, Progress(progress, table.num_rows))
    if not isinstance(data, pa.RecordBatch):
        return scored
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in scored.columns], schema=scored.schema)


def score_array(client: Client, array: pa.Array | pa.ChunkedArray, options: Options, progress: ProgressOption) -> pa.Table:
    """The new columns of an array of texts."""
    if options.text is not None:
        raise InvalidError(f"text is {options.text!r}, but the data are one column: leave it out")
    table = pa.table({"text": array})
    named = replace(options, text="text", columns="new")
    return _score_table(client, table, named, Progress(progress, table.num_rows))


def _imported(data: Any) -> Any:
    if isinstance(data, KINDS):
        return data
    if not hasattr(data, "__arrow_c_stream__"):
        array = pa.array(data)
        return pa.RecordBatch.from_struct_array(array) if pa.types.is_struct(array.type) else array
    try:
        return pa.RecordBatchReader.from_stream(data)
    except pa.ArrowInvalid:
        # A stream of arrays that are no structs: a column.
        return pa.chunked_array(data)


def _score_table(client: Client, table: pa.Table, options: Options, progress: Progress) -> pa.Table:
    plan = Plan.of(table.schema, options)
    sent = table.select(plan.sent)
    batches = (plan.beside(batch) for batch in sent.to_batches(max_chunksize=_BATCH_ROWS))
    new = new_columns(client, plan, batches, progress)
    scored = table.select(plan.kept)
    for field, column in zip(new.schema, new.columns):
        scored = scored.append_column(field, column)
    return scored
