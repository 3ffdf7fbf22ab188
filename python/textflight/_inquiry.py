"""What servers say of their model: whichever answers first."""
from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import Any

import pyarrow.flight as fl

from ._connection import info_seconds
from ._errors import CALL_ERRORS, ConnectError, Error, Remedy, TimedOutError, from_flight, remedy_of, text_of
from ._run import check_stop
from ._servers import Servers
from ._work import TICK_SECONDS, silence_of

Said = tuple[str, dict[str, Any] | BaseException]


class Inquiry:
    """Asks one server after another, the next one where the last has failed or is silent. Each by a thread, as no call can be left."""

    def __init__(self, servers: Servers, names: list[str], timeout: float | None) -> None:
        self._names = names
        self._timeout = timeout
        self._seconds = info_seconds(timeout)
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self._to_ask = deque(threading.Thread(target=self._ask, args=[servers, name], name="textflight info", daemon=True) for name in names)

    def answer(self) -> dict[str, Any]:
        """The first answer."""
        try:
            return self._first()
        finally:
            # An error's frames would keep the servers with the threads.
            self._to_ask.clear()

    def _first(self) -> dict[str, Any]:
        silence = silence_of(self._timeout, len(self._names))
        began = asked = time.monotonic()
        asking, failed = 0, dict[str, str]()
        while self._to_ask or asking:
            if self._to_ask and (not asking or time.monotonic() - asked > silence):
                self._to_ask.popleft().start()
                asked, asking = time.monotonic(), asking + 1
            self._check(began)
            try:
                name, said = self._said.get(timeout=TICK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(said, dict):
                return said
            asking -= 1
            failed[name] = _cause(name, said)
        raise ConnectError("; ".join(f"{name}: {failed[name]}" for name in self._names))

    def _ask(self, servers: Servers, name: str) -> None:
        try:
            self._said.put((name, self._info(servers, name)))
        except BaseException as error:
            self._said.put((name, error))

    def _info(self, servers: Servers, name: str) -> dict[str, Any]:
        try:
            return servers.connect(name, self._seconds).info(self._seconds)
        except (fl.FlightUnavailableError, fl.FlightInternalError):
            # Of a kept connection, which the server may have lost long ago.
            return servers.connect(name, self._seconds, anew=True).info(self._seconds)

    def _check(self, began: float) -> None:
        check_stop()
        if self._timeout is not None and time.monotonic() - began > self._timeout:
            raise TimedOutError(f"no answer from {', '.join(self._names)} in {self._timeout:g} s (timeout)")


def _cause(name: str, error: BaseException) -> str:
    """Another server may be there; what is wrong with the call or the token is so for all."""
    if isinstance(error, Error) or not isinstance(error, CALL_ERRORS):
        raise error
    if remedy_of(error) is Remedy.NONE:
        raise from_flight(error, name) from None
    return text_of(error)
