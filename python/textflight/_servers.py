"""The servers that a run has its texts scored by: those that it was given, or a local one.

They and their connections are there for as long as a client keeps them or a run has them, however that run ends, and wherever its
client has gone.
"""
from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from ._connection import Access, Connection
from ._forks import Keeper, note_keeper
from ._launch import Launch
from ._server import LocalServer, served


class Servers(Keeper, Protocol):
    """Where texts are scored."""

    names: list[str]

    def is_current(self) -> bool:
        """Whether a run that begins now may have these, too."""

    def connect(self, name: str, seconds: float, anew: bool = False) -> Connection:
        """The connection to one, which answers in so many seconds; `anew` where the last one was lost."""


class RemoteServers:
    """Servers at known addresses."""

    def __init__(self, addresses: Sequence[str], access: Access) -> None:
        self.names = list(addresses)
        self._access = access
        self._connections: dict[str, Connection] = {}
        note_keeper(self)

    def is_current(self) -> bool:
        """Addresses stay what they are."""
        return True

    def connect(self, name: str, seconds: float, anew: bool = False) -> Connection:
        """The connection to the server of this address."""
        connections = self._connections
        connection = None if anew else connections.get(name)
        if connection is None:
            connection = self._access.connect(name)
            connection.info(seconds)
            # If all were let go of meanwhile, nobody looks here any more.
            connections[name] = connection
        return connection

    def let_go_of_connections(self) -> None:
        """Each call that is under way keeps its own."""
        self._connections = {}

    def renew_lock(self) -> None:
        """There is none."""


class LocalServers:
    """The server that all processes of this user share, started when it is needed."""

    names = ["the local server"]

    def __init__(self, model: str, dtype: str | None, device: str | None = None) -> None:
        self._wanted = (model, dtype, device)
        self._launch = self._launch_now()
        # For moments, as forks wait for it; who waits for a server to start holds the other.
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._server: LocalServer | None = None
        self._connection: Connection | None = None
        note_keeper(self)

    def _launch_now(self) -> Launch:
        model, dtype, device = self._wanted
        return Launch.of(model, dtype, device=device)

    def is_current(self) -> bool:
        """The model's files, variables and the binary may have become others, and then it is another server that is wanted."""
        return self._launch_now().key == self._launch.key

    def connect(self, name: str, seconds: float, anew: bool = False) -> Connection:
        """The connection to the local server; one that was killed is started again."""
        return self._connected() or self._start()

    def _connected(self) -> Connection | None:
        with self._lock:
            if self._server is None or not self._server.is_alive():
                self._server = self._connection = None
            elif self._connection is None:
                self._connection = Access(self._server.token).connect(self._server.flight)
            return self._connection

    def _start(self) -> Connection:
        with self._starting:
            if (connection := self._connected()) is not None:
                return connection
            # Of the files as they are now, which the server reads. That it still serves the same is looked at by each run.
            self._launch = self._launch_now()
            server = served(self._launch)
            connection = Access(server.token).connect(server.flight)
            with self._lock:
                self._server, self._connection = server, connection
            return connection

    def let_go_of_connections(self) -> None:
        """The server stays."""
        with self._lock:
            self._connection = None

    def renew_lock(self) -> None:
        """After a fork."""
        self._lock, self._starting = threading.Lock(), threading.Lock()
