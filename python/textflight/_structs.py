"""Scores as one column of structs: what functions of databases and expressions of polars give."""
from __future__ import annotations

import pyarrow as pa

from ._client import Client

_FIELDS = [pa.field("label", pa.string()), pa.field("confidence", pa.float32())]

#: The type of a score.
SCORE = pa.struct(_FIELDS)


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
    scored = client.score(texts, progress=False).select([field.name for field in _FIELDS]).combine_chunks()
    columns = [column.combine_chunks() for column in scored.columns]
    columns = [column.chunk(0) if isinstance(column, pa.ChunkedArray) else column for column in columns]
    return pa.StructArray.from_arrays(columns, fields=_FIELDS, mask=columns[0].is_null())
