"""The servers of a client: those that it was given, or a local one."""
from __future__ import annotations

import threading
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from ._connection import Access, Connection, parse_address
from ._errors import InvalidError, KindError
from ._forks import Keeper, note_keeper

if TYPE_CHECKING:
    from ._server import LocalServer

# By which a model is known to be the same.
_TELLING = ("version", "labels", "dtype", "max_length")


class Servers(Keeper, Protocol):
    """Where texts are scored."""

    names: list[str]

    def connect(self, name: str, anew: bool = False) -> Connection:
        """The connection to one; `anew` where the last one was lost."""

    def close(self) -> None:
        """Lets go of all."""


def given_servers(server: str | Sequence[str]) -> tuple[str, ...]:
    """One address, or several, as several."""
    if isinstance(server, str):
        return (server,)
    if not isinstance(server, Sequence) or isinstance(server, bytes):
        raise KindError(f"server is {type(server).__name__}; an address such as grpc://127.0.0.1:8815, or a list of them, would be right")
    return tuple(server)


class RemoteServers:
    """Servers at known addresses. All must serve the same model, also one that comes back."""

    def __init__(self, server: str | Sequence[str], access: Access) -> None:
        self.names = list(dict.fromkeys(parse_address(one) for one in given_servers(server)))
        if not self.names:
            raise InvalidError("server names no server: an address such as grpc://127.0.0.1:8815 would be right, or None for a local one")
        self._access = access
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}
        self._model: dict[str, Any] | None = None
        note_keeper(self)

    def connect(self, name: str, anew: bool = False) -> Connection:
        """The connection to the server of this address, which serves what the others do."""
        with self._lock:
            connection = None if anew else self._connections.get(name)
        if connection is None:
            connection = self._access.connect(name)
            self._check(name, connection.info())
            with self._lock:
                self._connections[name] = connection
        return connection

    def _check(self, name: str, info: dict[str, Any]) -> None:
        model = {fact: info.get(fact) for fact in _TELLING}
        with self._lock:
            known = self._model = self._model or model
        for fact in _TELLING:
            if model[fact] != known[fact]:
                different = f"its {fact} is {model[fact]}, not {known[fact]}"
                raise InvalidError(f"{name} serves another model than before, or than the others: {different}")

    def let_go_of_connections(self) -> None:
        """Each call that is under way keeps its own."""
        with self._lock:
            self._connections.clear()

    def renew_lock(self) -> None:
        """After a fork."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Lets go of the connections."""
        with self._lock:
            self._connections.clear()
            self._model = None


class LocalServers:
    """The server that all processes of this user share, started when it is needed."""

    names = ["the local server"]

    def __init__(self, model: str | PathLike[str], dtype: str | None) -> None:
        self._model = model
        self._dtype = dtype
        self._lock = threading.Lock()
        self._server: LocalServer | None = None
        self._connection: Connection | None = None
        note_keeper(self)

    def connect(self, name: str, anew: bool = False) -> Connection:
        """The connection to the local server; one that was killed is started again."""
        from ._server import local

        with self._lock:
            if self._server is None or not self._server.is_alive():
                self._let_go()
                self._server = local(self._model, dtype=self._dtype)
            if self._connection is None:
                self._connection = Access(self._server.token).connect(self._server.flight)
            return self._connection

    def let_go_of_connections(self) -> None:
        """The server stays."""
        with self._lock:
            self._connection = None

    def renew_lock(self) -> None:
        """After a fork."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Lets go of the server, which ends if nobody else uses it."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        server, self._server, self._connection = self._server, None, None
        if server is not None:
            server.close()
