"""A server on this machine that all processes of a user share, for as long as one of them needs it.

Which one is found in the user's runtime folder, where each kind of server (its model, precision, arguments and binary) has

- ``KEY.lock``, held by who looks for the server or starts it, so that two who come at once get one,
- ``KEY.json``, where it listens and its token; the server itself holds it from its start to its end, as its stdin,
- ``KEY.NUMBER.users``, which every user holds; the server ends when it gets it alone (``serve --while-locked``),
- ``KEY.log``, what it has said.

Who starts a server takes away the files of kinds that nobody has, and that nobody starts or looks for.

All of these locks are the system's: they go with the process that holds them, however it ends. Each start has files of its own, so
that a server that ends and one that starts never take one another's.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import sys
import threading
import urllib.parse
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from . import _locks
from ._binary import binary, bundled_model
from ._errors import Error
from ._launch import Launch, Running

__all__ = ["LocalServer", "binary", "bundled_model", "local"]

# What takes longer is told, where somebody sits at a terminal.
_PATIENCE_SECONDS = 2.0
# A server of this machine takes a connection at once, unless the machine has much else to do.
_CONNECT_SECONDS = 10.0


class LocalServer:
    """A server that is there until this is closed, or the process has ended, and those of all other users.

    A forked child is a user of its own: it has the server for as long as it lives, or until it closes this, too.
    """

    flight: str
    """Where Arrow Flight is, ``grpc://127.0.0.1:PORT``."""
    http: str
    """Where HTTP is, ``http://127.0.0.1:PORT``."""
    token: str
    """What it asks of its clients, as ``authorization: Bearer TOKEN``: other users of the machine do not have it."""
    pid: int
    """Its process."""

    def __init__(self, running: Running, users: int, alive: int) -> None:
        self.flight, self.http, self.token, self.pid = running.flight, running.http, running.token, running.pid
        self._alive = alive
        self._close = weakref.finalize(self, _close_all, users, alive)

    def is_alive(self) -> bool:
        """Whether the server's process is there. Once it has gone :func:`local` starts another."""
        return self._close.alive and _locks.is_held(self._alive)

    def close(self) -> None:
        """Lets the server go, which ends if nobody else needs it."""
        self._close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LocalServer(flight={self.flight!r}, http={self.http!r}, pid={self.pid})"


def local(model: str | os.PathLike[str] = "bundled", *, dtype: str | None = None, args: Sequence[str] = ()) -> LocalServer:
    """The local server of this model, which is started if none is there.

    ``model`` is ``"bundled"``, a folder in Hugging Face's layout or a hub id, ``dtype`` one of the command line's, and ``args``
    are further arguments of ``textflight serve``. Variables such as ``TEXTFLIGHT_DEVICE`` hold for it as they do on the command line.

    >>> with local("bundled") as server:
    ...     server.flight.startswith("grpc://127.0.0.1:")
    True
    """
    return served(Launch.of(model, dtype, args))


def served(launch: Launch) -> LocalServer:
    """The local server that is started so."""
    folder = _locks.runtime_folder()
    files = _Files.of(folder, launch.key)
    with _told_after(_PATIENCE_SECONDS, f"textflight: starting a local server for model {launch.model} …"):
        try:
            with _locks.exclusive(files.lock):
                return _join(files) or _start(files, launch)
        except OSError as cause:
            raise Error(f"no local server can be had with the files of {folder}: {cause.strerror}; {_locks.REMEDY}") from cause


@dataclasses.dataclass(frozen=True)
class _Files:
    """Of one kind of server."""

    lock: Path
    state: Path
    log: Path

    @classmethod
    def of(cls, folder: Path, key: str) -> _Files:
        return cls(*(folder / f"{key}.{ending}" for ending in ("lock", "json", "log")))

    def users(self, number: str) -> Path:
        return self.state.with_suffix(f".{number}.users")

    def others(self) -> Iterator[_Files]:
        """Of all other kinds."""
        for lock in self.lock.parent.glob(f"*{self.lock.suffix}"):
            if lock != self.lock:
                yield self.of(lock.parent, lock.stem)

    def clear(self) -> None:
        """Takes away what is left of earlier servers. Who holds something of it keeps it."""
        for path in (self.state, self.log, *self.state.parent.glob(self.users("*").name)):
            path.unlink(missing_ok=True)


def _join(files: _Files) -> LocalServer | None:
    """Becomes a user of the server that is there; None where there is none, or it is about to end."""
    with contextlib.ExitStack() as given_up:
        try:
            alive = os.open(files.state, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        given_up.callback(os.close, alive)
        try:
            state = json.loads(files.state.read_bytes())
            number, running = str(state["number"]), Running(**state["running"])
        except (ValueError, KeyError, TypeError):
            # Who started it did not live to write it, and then it ends by itself; or another version wrote it.
            return None
        users = _locks.share(files.users(number)) if _locks.is_held(alive) else None
        if users is None:
            return None
        given_up.callback(os.close, users)
        if not _is_listening(running):
            return None
        given_up.pop_all()
        return LocalServer(running, users, alive)


def _start(files: _Files, launch: Launch) -> LocalServer:
    """Starts a server of which this is the first user."""
    files.clear()
    _sweep(files)
    number = secrets.token_hex(4)
    with contextlib.ExitStack() as given_up:
        users = _locks.share(files.users(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        assert users is not None, "nobody else has known of this file"
        given_up.callback(os.close, users)
        with _locks.made(files.state) as state:
            running = launch.start(files.users(number), state, files.log)
            os.write(state, json.dumps({"number": number, "running": dataclasses.asdict(running)}).encode())
        alive = os.open(files.state, os.O_RDONLY | os.O_CLOEXEC)
        given_up.pop_all()
        return LocalServer(running, users, alive)


def _sweep(files: _Files) -> None:
    """Takes away what servers of other kinds have left: their tokens are of no use, and their logs are of days long gone."""
    for kind in files.others():
        with contextlib.suppress(OSError), _locks.exclusive_now(kind.lock) as is_ours:
            if is_ours and not _lives(kind):
                kind.clear()
                # Who waits for it finds that it is gone, and makes another.
                kind.lock.unlink()


def _lives(files: _Files) -> bool:
    try:
        with _locks.exclusive_now(files.state) as is_ours:
            return not is_ours
    except FileNotFoundError:
        return False


def _is_listening(running: Running) -> bool:
    """One that was told to stop lives until its last answer is out, and takes nobody any more."""
    address = urllib.parse.urlsplit(running.flight)
    try:
        socket.create_connection((address.hostname, address.port or 0), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _told_after(seconds: float, text: str) -> Iterator[None]:
    """Says what takes so long, on a terminal."""
    timer = threading.Timer(seconds, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _close_all(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
