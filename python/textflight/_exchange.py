"""One DoExchange, of which one thread writes and reads.

pyarrow ends the process where one thread reads the end of an exchange while another is inside a write, so one thread does both,
and cannot block in a write for good: what is sent and not answered is never more than the server has room for without anybody
reading its answers (its window, 1 MiB a call). A larger piece is sent when nothing else is unanswered, so that the server
reads on until it has all of it.
"""
from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

import pyarrow as pa
import pyarrow.flight as fl

from ._connection import Connection
from ._errors import CALL_ERRORS
from ._pieces import Piece

#: Bytes and rows that are sent and not answered, at most.
WINDOW_BYTES = 640 * 1024
WINDOW_ROWS = 16 * 1024
_MOST_PIECES = 256


class Exchange:
    """An exchange with one server. After a loss it begins gently: with one piece, and each answer makes room for one more."""

    def __init__(self, connection: Connection, command: bytes, schema: pa.Schema, gently: bool) -> None:
        descriptor = fl.FlightDescriptor.for_command(command)
        self.unanswered: deque[tuple[Piece, int]] = deque()
        self._answered_rows = 0
        self._bytes = 0
        self._rows = 0
        self._writer, self._reader = connection.flight.do_exchange(descriptor, connection.call())
        self._schema = schema
        self._most_pieces = 1 if gently else _MOST_PIECES

    def open(self) -> pa.Schema:
        """Tells the server the schema of what comes, and gives that of its answers."""
        self._tell(lambda: self._writer.begin(self._schema))
        answers: pa.Schema = self._reader.schema
        return answers

    def _tell(self, write: Callable[[], None]) -> None:
        """Writes. Why that fails is what a reader is told."""
        try:
            write()
        except CALL_ERRORS as failed:
            try:
                while True:
                    self._reader.read_chunk()
            except StopIteration:
                raise failed from None

    def has_room_for(self, piece: Piece) -> bool:
        """Whether it can be sent before another answer is read."""
        if not self.unanswered:
            return True
        if len(self.unanswered) >= self._most_pieces:
            return False
        return bool(self._rows + piece.rows.num_rows <= WINDOW_ROWS and self._bytes + piece.rows.nbytes <= WINDOW_BYTES)

    def send(self, piece: Piece) -> None:
        """Sends a piece; its answer comes after those of all that were sent before."""
        message = piece.message()
        size = message.nbytes
        self.unanswered.append((piece, size))
        self._bytes += size
        self._rows += message.num_rows
        self._tell(lambda: self._writer.write_batch(message))

    def receive(self) -> tuple[Piece, pa.RecordBatch]:
        """The first piece that is not answered yet, and its answer."""
        try:
            answer = self._reader.read_chunk().data
        except StopIteration:
            raise fl.FlightUnavailableError("the server ended the exchange in the middle") from None
        piece, size = self.unanswered.popleft()
        self._bytes -= size
        self._rows -= piece.rows.num_rows
        self._answered_rows += piece.rows.num_rows
        self._most_pieces = min(self._most_pieces + 1, _MOST_PIECES)
        return piece, answer

    def row_of_whole(self, row: int) -> int:
        """Which row of all that is scored one is that the server counted in this exchange."""
        before = self._answered_rows
        for piece, _ in self.unanswered:
            if row < before + piece.rows.num_rows:
                return piece.start + row - before
            before += piece.rows.num_rows
        return row

    def end(self) -> None:
        """Says that nothing more comes, and waits for the server to say so too."""
        self._writer.done_writing()
        try:
            self._reader.read_chunk()
        except StopIteration:
            pass

    def close(self) -> None:
        """Lets go of the call. Of one that failed there is nothing more to be told."""
        with contextlib.suppress(*CALL_ERRORS):
            self._writer.close()

    def cancel(self) -> None:
        """Has the server stop. The one call that any thread may make."""
        self._reader.cancel()
