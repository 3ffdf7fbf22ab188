"""Pieces that wait for a server, and answers that wait for their turn: what lanes and the caller share."""
from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from ._errors import ConnectError, InvalidError, TimedOutError
from ._pieces import Piece
from ._seen import Seen

#: How long a server that was there is waited for, where no other is there.
PATIENCE_SECONDS = 30.0
# How often the caller looks up from its wait.
TICK_SECONDS = 0.25
# How long a server may be silent before the next one is asked, too.
_SILENCE_SECONDS = 1.0
# By which a model is known to be the same.
_TELLING = ("version", "labels", "dtype", "max_length")


def silence_of(timeout: float | None, servers: int) -> float:
    """How long one of several servers may be silent before the next is asked: all are within `timeout`."""
    return _SILENCE_SECONDS if timeout is None else min(_SILENCE_SECONDS, timeout / (servers + 1))


class Work:
    """One run's pieces. All of it is under one lock; whoever waits is told of every change."""

    def __init__(self, servers: Sequence[str], timeout: float | None, seen: Seen) -> None:
        # Entered by itself, not by the condition, in whose Python code Ctrl-C could leave it held for good.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Piece] = deque()
        self._answers: dict[int, pa.RecordBatch] = {}
        self._error: BaseException | None = None
        self._is_over = False
        self._idle = 0
        #: The servers' names, in the order in which they are asked.
        self.servers = list(servers)
        self._down: dict[str, str] = {}
        self._patience = min(timeout, PATIENCE_SECONDS) if timeout is not None else PATIENCE_SECONDS
        self.timeout = timeout
        self._silence = silence_of(timeout, len(servers))
        self._began = time.monotonic()
        self._seen = seen
        self._model: dict[str, Any] | None = None
        self._last_there = time.monotonic()
        self._last_answer = time.monotonic()
        #: The schema of the answers, once a server has said it.
        self.schema: pa.Schema | None = None

    # The caller's side.

    def add(self, piece: Piece) -> None:
        """One more piece to be scored."""
        with self._lock:
            self._waiting.append(piece)
            self._changed.notify_all()

    def wants_a_lane(self, begun: Sequence[str]) -> bool:
        """Whether more pieces wait than there are lanes without work, or those begun with these servers have none to say the schema."""
        with self._lock:
            if len(self._waiting) > self._idle:
                return True
            if self.schema is not None or len(begun) >= len(self.servers):
                return False
            if time.monotonic() - self._began > self._silence * len(begun):
                self._seen.away(begun)
                return True
            return all(server in self._down for server in begun)

    def is_answered(self, number: int) -> bool:
        """Whether the piece of this number has its answer."""
        with self._lock:
            return number in self._answers

    def answer(self, number: int, meanwhile: Callable[[], None]) -> pa.RecordBatch:
        """The answer to the piece of this number, once it is there. `meanwhile` is called now and then."""
        self._wait(lambda: number in self._answers, meanwhile)
        with self._lock:
            return self._answers.pop(number)

    def answers_schema(self, meanwhile: Callable[[], None]) -> pa.Schema:
        """The schema of the answers, once a server has said it."""
        self._wait(lambda: self.schema is not None, meanwhile)
        return self.schema

    def _wait(self, holds: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        began = time.monotonic()
        while True:
            with self._lock:
                if self._error is not None:
                    raise self._error
                if holds():
                    return
                self._check_time(began)
                self._changed.wait(TICK_SECONDS)
            meanwhile()

    def _check_time(self, began: float) -> None:
        waited = time.monotonic() - max(began, self._last_answer)
        if self.timeout is None or waited < self.timeout:
            return
        if self._down:
            raise ConnectError(self._all_down())
        raise TimedOutError(f"no answer from {', '.join(self.servers)} in {self.timeout:g} s (timeout)")

    def finish(self) -> None:
        """Nothing more is to be scored: lanes end."""
        with self._lock:
            self._is_over = True
            self._changed.notify_all()

    # The lanes' side.

    def is_over(self) -> bool:
        """Whether nothing more is to be scored."""
        with self._lock:
            return self._is_over or self._error is not None

    def take(self, fits: Callable[[Piece], bool], wait: bool) -> Piece | None:
        """The next piece, if it fits; None where there is none, after waiting for one if that is wanted, or when all is over."""
        with self._lock:
            if wait:
                self._idle += 1
                self._changed.wait_for(lambda: self._waiting or self._is_over or self._error is not None)
                self._idle -= 1
            if self._is_over or self._error is not None or not self._waiting or not fits(self._waiting[0]):
                return None
            return self._waiting.popleft()

    def give_back(self, pieces: Sequence[Piece]) -> None:
        """What a server has not answered is next."""
        with self._lock:
            self._waiting.extendleft(reversed(pieces))
            self._changed.notify_all()

    def note_answer(self, piece: Piece, answer: pa.RecordBatch) -> None:
        """A piece has its answer."""
        with self._lock:
            self._answers[piece.number] = answer
            self._last_answer = self._last_there = time.monotonic()
            self._changed.notify_all()

    def note_there(self, server: str, schema: pa.Schema, info: dict[str, Any]) -> None:
        """A server takes work. One run's are all of one model, also of a server that comes back."""
        model = {fact: info.get(fact) for fact in _TELLING}
        with self._lock:
            known = self._model = self._model or model
            for fact in _TELLING:
                if model[fact] != known[fact]:
                    different = f"its {fact} is {model[fact]}, not {known[fact]}"
                    raise InvalidError(f"{server} serves another model than before, or than the others: {different}")
            self._down.pop(server, None)
            self._seen.there(server)
            self._last_there = time.monotonic()
            self.schema = self.schema or schema
            self._changed.notify_all()

    def note_down(self, server: str, cause: str) -> None:
        """A server is not there. If none was for too long, the run fails."""
        with self._lock:
            if not self._down and self._seen.were_there:
                self._last_there = time.monotonic()
            self._down[server] = cause
            self._seen.away([server])
            waited = time.monotonic() - self._last_there
            if len(self._down) == len(self.servers) and (not self._seen.were_there or waited > self._patience):
                self._fail(ConnectError(self._all_down()))

    def _all_down(self) -> str:
        return "; ".join(f"{server}: {cause}" for server, cause in self._down.items())

    def fail(self, error: BaseException) -> None:
        """Nothing can be scored any more."""
        with self._lock:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Waits so long, or until all is over."""
        with self._lock:
            self._changed.wait_for(lambda: self._is_over or self._error is not None, seconds)
