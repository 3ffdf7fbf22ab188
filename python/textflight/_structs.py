"""Scores as one column of structs: what functions of databases and expressions of polars give."""
from __future__ import annotations

import pyarrow as pa

from ._client import Client

#: The type of a score.
SCORE = pa.struct([("label", pa.string()), ("confidence", pa.float32())])


def scored_structs(client: Client, texts: pa.Array | pa.ChunkedArray) -> pa.StructArray:
    """The score of each text; null where that is.

    >>> import pyarrow as pa
    >>> import textflight
    >>> scored_structs(textflight.Client(), pa.array(["I love apple", None])).field("label").to_pylist()
    ['POSITIVE', None]
    """
    if len(texts) == 0:
        # Whoever asks for nothing wants to know the type.
        return pa.array([], SCORE)
    scored = client.score(texts, progress=False).select(SCORE.names).combine_chunks()
    columns = [column.combine_chunks() for column in scored.columns]
    columns = [column.chunk(0) if isinstance(column, pa.ChunkedArray) else column for column in columns]
    return pa.StructArray.from_arrays(columns, fields=list(SCORE), mask=columns[0].is_null())
