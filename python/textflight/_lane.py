"""A thread that keeps one server at work: connects, sends and reads, and connects again."""
from __future__ import annotations

import threading
import time

import pyarrow as pa

from ._connection import Connection, info_seconds
from ._errors import CALL_ERRORS, ConnectError, Error, Remedy, from_flight, remedy_of, text_of, with_row
from ._exchange import Exchange
from ._pieces import Piece
from ._servers import Servers
from ._work import Work

# Times between attempts, which double.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# How often a piece may be the first that a lost server had not answered, and how often one may fail at it.
_MOST_LOSSES = 10
_MOST_FAILURES = 3


class Lane:
    """One exchange at a time with one server, for the pieces of one run."""

    def __init__(self, work: Work, server: str, servers: Servers, command: bytes, schema: pa.Schema) -> None:
        self._work = work
        self.server = server
        self._servers = servers
        self._is_lost = False
        self._command = command
        self._schema = schema
        self._exchange: Exchange | None = None
        #: The one that its server was last asked for; here and in no frame, which an error would keep, and its server with it.
        self._connection: Connection | None = None
        self._asked_since: float | None = None
        self._info_seconds = info_seconds(work.timeout)
        self._pause = _FIRST_PAUSE
        self._thread = threading.Thread(target=self._run, name=f"textflight {server}", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Has the server stop what it does for this lane."""
        if exchange := self._exchange:
            exchange.cancel()

    def silent_seconds(self) -> float:
        """How long it has waited for its server to take work; none if that does, or if it does not wait."""
        since = self._asked_since
        return time.monotonic() - since if since is not None else 0.0

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended, in so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._work.is_over():
                self._attend()
        except Exception as error:
            self._work.fail(error)
        finally:
            # The frames of an error would keep them.
            del self._servers

    def _attend(self) -> None:
        """Connects, and goes on until the server is lost or all is over."""
        try:
            self._asked_since = time.monotonic()
            self._connection = self._servers.connect(self.server, self._info_seconds, anew=self._is_lost)
            self._exchange = Exchange(self._connection, self._command, self._schema, gently=self._is_lost)
            self._is_lost = False
            if self._work.is_over():
                return self._exchange.cancel()
            schema = self._exchange.open()
            # Asked now, and each time: gRPC connects again by itself, to whatever server is there then.
            self._work.note_there(self.server, schema, self._connection.info(self._info_seconds))
            self._asked_since = None
            self._converse(self._exchange)
        except Error as error:  # Said already in words of ours, though some are OSErrors as well.
            self._work.fail(error)
        except CALL_ERRORS as error:
            if not self._work.is_over():
                self._recover(error, self._exchange)
        finally:
            self._asked_since = None
            if self._exchange:
                self._exchange.close()
            self._exchange = self._connection = None

    def _converse(self, exchange: Exchange) -> None:
        while True:
            while piece := self._work.take(exchange.has_room_for, wait=not exchange.unanswered):
                exchange.send(piece)
            if self._work.is_over():
                return exchange.cancel() if exchange.unanswered else exchange.end()
            if exchange.unanswered:
                self._work.note_answer(*exchange.receive())
                self._pause = _FIRST_PAUSE

    def _recover(self, error: BaseException, exchange: Exchange | None) -> None:
        remedy = remedy_of(error)
        if remedy is Remedy.NONE:
            raised = from_flight(error, self.server)
            return self._work.fail(with_row(raised, exchange.row_of_whole) if exchange else raised)
        unanswered = [piece for piece, _ in exchange.unanswered] if exchange else []
        if remedy is not Remedy.WAIT:
            if unanswered:
                self._blame(unanswered[0], remedy, error)
            self._is_lost = True
            self._work.note_down(self.server, text_of(error))
        self._work.give_back(unanswered)
        self._work.pause(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _blame(self, piece: Piece, remedy: Remedy, error: BaseException) -> None:
        """Counts what was lost or failed over a piece: one that no server gets through must not be asked for ever."""
        if remedy is Remedy.ASK_OTHERS:
            piece.failures += 1
        else:
            piece.losses += 1
        if piece.failures >= _MOST_FAILURES:
            self._work.fail(from_flight(error, self.server))
        elif piece.losses >= _MOST_LOSSES:
            rows = f"rows {piece.start} to {piece.start + piece.rows.num_rows - 1}"
            self._work.fail(ConnectError(f"{self.server} was lost {piece.losses} times over {rows}: {text_of(error)}"))
