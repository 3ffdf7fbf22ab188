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


# How long gRPC may take to its end, on a machine with much else to do. Where others in this process use it, too, it has none.
_END_SECONDS = 5.0
_END_SECONDS_BESIDE_OTHERS = 0.2
_TASKS = Path("/proc/self/task")
_THREADS = ("event_engine", "grpc", "lifeguard")

_keepers: weakref.WeakSet[Any] = weakref.WeakSet()
_open: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[Any] = []
_may_have_threads = False
_others_have_threads: bool | None = None


def note_keeper(keeper: Keeper) -> None:
    """Will be told of forks."""
    _keepers.add(keeper)


def note_open(connection: object) -> None:
    """A connection that was opened."""
    _open.add(connection)


def note_opening() -> None:
    """A connection is to be opened, if that can be done in this process."""
    global _may_have_threads, _others_have_threads
    if _inherited:
        raise ForkedError(
            "this process was forked from one in which textflight was scoring, where gRPC cannot go on: fork before or after that, or"
            ' start processes with "spawn" or "forkserver" (multiprocessing.set_start_method)'
        )
    if _others_have_threads is None:
        _others_have_threads = _has_threads_of_grpc()
    _may_have_threads = True


def _before() -> None:
    for keeper in list(_keepers):
        keeper.let_go_of_connections()
    if _may_have_threads and not _open:
        _wait_for_grpc()


def _wait_for_grpc() -> None:
    """With its last connection gRPC ends its threads, some of which do so a moment later: none must be lost in the fork."""
    global _may_have_threads, _others_have_threads
    deadline = time.monotonic() + (_END_SECONDS_BESIDE_OTHERS if _others_have_threads else _END_SECONDS)
    while _has_threads_of_grpc():
        if time.monotonic() > deadline:
            _others_have_threads = True  # They began after us.
            break
        time.sleep(0.001)
    _may_have_threads = False


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
