"""A run: texts in, scores out, in order, a bounded number in flight."""
from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import pyarrow as pa

from ._errors import Error
from ._lane import Lane
from ._pieces import Piece, cut, joined
from ._progress import Progress
from ._servers import Servers
from ._work import Work

Rest = TypeVar("Rest")

#: Exchanges with one server: while one waits for answers the other sends.
LANES_A_SERVER = 2
# What is read ahead of the answers, for each lane, and at most in bytes of what stays here meanwhile.
_ROWS_AHEAD = 24 * 1024
_BYTES_AHEAD = 32 * 1024 * 1024
# How long a lane may take to its end. One whose server is silent ends by itself, later.
_END_SECONDS = 3.0
_SILENT_SECONDS = 0.5
_CANCEL_SECONDS = 0.05

#: Set by who wants a run to stop that another thread drives.
STOP: ContextVar[threading.Event | None] = ContextVar("STOP", default=None)

_running: weakref.WeakSet[Run] = weakref.WeakSet()
_left: weakref.WeakSet[Lane] = weakref.WeakSet()


class StoppedError(Error):
    """Nobody wants the result any more."""


def check_stop() -> None:
    """Whether who drives this call wants it to stop, which is an error then."""
    stop = STOP.get()
    if stop is not None and stop.is_set():
        raise StoppedError("the task was cancelled")


class Run:
    """Scores one stream of record batches of texts. A context manager: what is left open is cancelled on the servers."""

    def __init__(self, work: Work, servers: Servers, command: bytes, schema: pa.Schema, progress: Progress) -> None:
        self._work = work
        self._new_lane: Callable[[str], Lane] = lambda server: Lane(work, server, servers, command, schema)
        self._lanes: list[Lane] = []
        self._lanes_to_come = deque(work.servers * LANES_A_SERVER)
        self._rows_ahead = _ROWS_AHEAD * len(self._lanes_to_come)
        self._pieces = self._rows = self._rows_done = 0
        self._progress = progress
        self._stop = STOP.get()
        _running.add(self)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(is_left=kind is not None)

    def schema(self) -> pa.Schema:
        """The schema of the new columns, which a server says before the first row."""
        self._start_lane()
        return self._work.answers_schema(self._look_around)

    def score(
        self, batches: Iterable[tuple[pa.RecordBatch, Rest]], size: Callable[[Rest], int] = lambda rest: 0
    ) -> Iterator[tuple[Rest, pa.RecordBatch]]:
        """The new columns of each batch of texts, beside what came with it. `size` is what that holds in memory."""
        ahead: deque[tuple[Rest, list[Piece], int]] = deque()
        held = 0
        for texts, rest in batches:
            ahead.append((rest, self._add(texts), size(rest) + texts.nbytes))
            held += ahead[-1][2]
            while ahead and (self._is_done(ahead[0][1]) or held > _BYTES_AHEAD or self._rows - self._rows_done > self._rows_ahead):
                rest, pieces, bytes_ = ahead.popleft()
                yield rest, self._take(pieces)
                held -= bytes_
        while ahead:
            rest, pieces, _ = ahead.popleft()
            yield rest, self._take(pieces)

    def close(self, is_left: bool = False) -> None:
        """Ends the run. What is unanswered then is cancelled, and all that is under way if the caller has left it."""
        self._work.finish()
        for lane in self._lanes:
            if is_left or self._rows_done < self._rows or lane.silent_seconds():
                lane.cancel()
        for lane in self._lanes:
            silent = lane.silent_seconds()
            if not lane.join(max(_CANCEL_SECONDS, _SILENT_SECONDS - silent) if silent else _END_SECONDS):
                lane.cancel()
                _left.add(lane)
        self._progress.end()
        # An error's frames would keep the servers.
        self._lanes_to_come.clear()
        self._new_lane = _no_lane
        _running.discard(self)

    def _add(self, texts: pa.RecordBatch) -> list[Piece]:
        pieces = []
        for rows in cut(texts):
            pieces.append(Piece(self._pieces, self._rows, rows))
            self._pieces += 1
            self._rows += rows.num_rows
            self._work.add(pieces[-1])
            self._start_lane()
        return pieces

    def _start_lane(self) -> None:
        if self._lanes_to_come and (not self._lanes or self._work.wants_a_lane([lane.server for lane in self._lanes])):
            self._lanes.append(self._new_lane(self._lanes_to_come.popleft()))

    def _is_done(self, pieces: list[Piece]) -> bool:
        return all(self._work.is_answered(piece.number) for piece in pieces)

    def _take(self, pieces: list[Piece]) -> pa.RecordBatch:
        answers = []
        for piece in pieces:
            answers.append(self._work.answer(piece.number, self._look_around))
            self._rows_done += piece.rows.num_rows
        self._look_around()
        return joined(answers)

    def _look_around(self) -> None:
        """Now and then, while the caller waits: a lane whose server is lost may have left work for one that is not there yet."""
        if self._stop is not None and self._stop.is_set():
            raise StoppedError("the task was cancelled")
        self._start_lane()
        self._progress.at(self._rows_done)


def _no_lane(server: str) -> Lane:
    raise AssertionError("the run is over")


def _close_all() -> None:
    """Threads must not be inside a call when the interpreter goes."""
    for run in list(_running):
        run.close()
    for lane in list(_left):
        lane.join(_END_SECONDS)


def _in_child() -> None:
    _running.clear()
    _left.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_in_child)
