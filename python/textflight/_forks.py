"""What becomes of connections when the process is forked.

gRPC cannot go on in a child: its threads are not there, and calls hang. But once nothing of it is left it begins anew. So before
a fork idle connections are closed; each process opens its own when it needs one. In a child that is forked while a connection is
at work, none can be opened, which is an error instead of a call that never ends.
"""
from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ._errors import ForkedError


class Keeper(Protocol):
    """Who keeps connections between calls."""

    def let_go_of_connections(self) -> None:
        """Forgets those that are not in use."""

    def renew_lock(self) -> None:
        """Another thread, which is not in the child, may have held it."""


# How long gRPC may take to its end; others in this process may use it, too, and then it has none.
_END_SECONDS = 0.2
_TASKS = Path("/proc/self/task")
_THREADS = ("event_engine", "grpc", "lifeguard")

_keepers: weakref.WeakSet[Any] = weakref.WeakSet()
_open: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[Any] = []


def note_keeper(keeper: Keeper) -> None:
    """Will be told of forks."""
    _keepers.add(keeper)


def note_open(connection: object) -> None:
    """A connection that was opened."""
    _open.add(connection)


def check_process() -> None:
    """A connection can be opened in this process."""
    if _inherited:
        raise ForkedError(
            "this process was forked from one in which textflight was scoring, where gRPC cannot go on: fork before or after that, or"
            ' start processes with "spawn" or "forkserver" (multiprocessing.set_start_method)'
        )


def _before() -> None:
    had_connections = len(_open) > 0
    for keeper in list(_keepers):
        keeper.let_go_of_connections()
    if had_connections and not _open:
        _wait_for_grpc()


def _wait_for_grpc() -> None:
    """With its last connection gRPC ends its threads, one of which does so a moment later: it must not be lost in the fork."""
    deadline = time.monotonic() + _END_SECONDS
    while _has_threads_of_grpc() and time.monotonic() < deadline:
        time.sleep(0.001)


def _has_threads_of_grpc() -> bool:
    if not _TASKS.is_dir():
        return True  # Nothing says so here: all of the time is waited.
    names = set()
    for task in _TASKS.iterdir():
        with suppress(OSError):  # It has ended meanwhile.
            names.add((task / "comm").read_text().strip())
    return any(name.startswith(_THREADS) for name in names)


def _in_child() -> None:
    _inherited.extend(_open)
    for keeper in list(_keepers):
        keeper.renew_lock()


os.register_at_fork(before=_before, after_in_child=_in_child)
