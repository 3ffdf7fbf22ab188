"""Record batches of texts, cut into pieces that are sent, and the answers joined again."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

#: Rows and bytes of a piece, at most; a row that is larger is a piece of its own.
PIECE_ROWS = 1024
PIECE_BYTES = 128 * 1024
# A dictionary that is larger than this is not sent with each piece, but what the piece has of it.
_SMALL_DICTIONARY = 16 * 1024
_VIEW_BYTES = 1024


@dataclass
class Piece:
    """Rows of a batch, on their way to a server and back."""

    #: Its number among all pieces, from 0.
    number: int
    #: How many rows of all that is scored come before it.
    start: int
    rows: pa.RecordBatch
    #: How often a server was lost, and how often one failed, with this as the first that it had not answered.
    losses: int = 0
    failures: int = 0

    def message(self) -> pa.RecordBatch:
        """What is sent for it."""
        columns = [_compact(column) for column in self.rows.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.rows.schema)


def cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces that share its memory; one without rows is one piece."""
    rows = max(1, min(PIECE_ROWS, int(PIECE_BYTES / max(1.0, _bytes_a_row(batch)))))
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, rows)


def joined(answers: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The answers to all pieces of a batch as the answer to it."""
    if len(answers) == 1:
        return answers[0]
    columns = [pa.concat_arrays([answer.column(i) for answer in answers]) for i in range(answers[0].num_columns)]
    return pa.RecordBatch.from_arrays(columns, schema=answers[0].schema)


def size_of(batch: pa.RecordBatch) -> int:
    """What a batch holds, about. What views may show others may hold as well: so much of it is counted as its rows may have."""
    return sum(_size_of_column(column) for column in batch.columns)


def _size_of_column(column: pa.Array) -> int:
    if str(column.type) in ("string_view", "binary_view"):
        return min(int(column.get_total_buffer_size()), _VIEW_BYTES * len(column))
    return int(column.nbytes)


def _bytes_a_row(batch: pa.RecordBatch) -> float:
    return sum(_array_bytes(column) for column in batch.columns) / float(max(1, batch.num_rows))


def _array_bytes(array: pa.Array) -> float:
    if not pa.types.is_dictionary(array.type):
        return float(array.nbytes)
    each = float(array.dictionary.nbytes) / max(1, len(array.dictionary))
    return len(array) * (each + 8)


def _compact(array: pa.Array) -> pa.Array:
    """A slice of an array with a large dictionary gets a dictionary of its own."""
    if not pa.types.is_dictionary(array.type) or array.dictionary.nbytes <= _SMALL_DICTIONARY:
        return array
    own = array.dictionary_decode().dictionary_encode()
    return pa.DictionaryArray.from_arrays(own.indices.cast(array.type.index_type), own.dictionary, ordered=array.type.ordered)
