"""By which servers texts are scored: what `server`, `model` and their like say, checked once for all who take them."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

from ._connection import Access, parse_address, read_ca
from ._errors import InvalidError, KindError
from ._servers import LocalServers, RemoteServers, Servers

BUNDLED = "bundled"


@dataclass(frozen=True)
class Target:
    """The servers at these addresses, or a local one of this model. Which are equal are the same servers. It may be pickled."""

    server: tuple[str, ...] | None
    model: str
    dtype: str | None
    access: Access
    timeout: float | None
    #: On which devices a local server runs, if not on those of the environment.
    device: str | None = None

    @classmethod
    def of(
        cls,
        server: str | Sequence[str] | None,
        model: str | PathLike[str],
        dtype: str | None,
        token: str | None,
        ca: str | bytes | PathLike[str] | None,
        timeout: float | None,
    ) -> Target:
        """Files are those of this machine and folder. What would be of no use is an error: nobody expects it to be passed over."""
        if not (dtype is None or isinstance(dtype, str)):
            raise KindError(f"dtype={dtype!r}: expected a string such as 'int8', or None")
        if not (timeout is None or (isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0)):
            raise InvalidError(f"timeout is {timeout!r}; a number of seconds above 0 would be right")
        target = cls(_addresses(server), _model(model), dtype, Access(token, read_ca(ca)), timeout)
        target._check_use()
        return target

    def _check_use(self) -> None:
        if self.server is None:
            useless = {"token": self.access.token, "ca": self.access.ca}
            why = "is for servers that server= names, and none is named; leave it out, as a local server takes this user and nobody else"
        else:
            useless = {"model": self.model if self.model != BUNDLED else None, "dtype": self.dtype}
            why = "is for a local server, and server= names others, which serve what they were started with; leave one of the two out"
        for name, value in useless.items():
            if value is not None:
                raise InvalidError(f"{name} {why}")

    def servers(self) -> Servers:
        """The servers, none of which is asked yet."""
        if self.server is None:
            return LocalServers(self.model, self.dtype, self.device)
        return RemoteServers(self.server, self.access)


def _addresses(server: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One address, or several, as pyarrow wants them."""
    if server is None:
        return None
    if not isinstance(server, Sequence) or isinstance(server, bytes):
        raise KindError(f"server is {type(server).__name__}; an address such as grpc://127.0.0.1:8815, or a list of them, would be right")
    addresses = tuple(dict.fromkeys(parse_address(one) for one in ([server] if isinstance(server, str) else server)))
    if not addresses:
        raise InvalidError("server names no server: an address such as grpc://127.0.0.1:8815 would be right, or None for a local one")
    return addresses


def _model(model: str | PathLike[str]) -> str:
    """A folder by its whole path, as long as it is known where it was named."""
    if not isinstance(model, (str, PathLike)):
        raise KindError(f"model={model!r}: expected 'bundled', a folder, or a hub id such as 'owner/name'")
    named = os.fsdecode(model)
    if isinstance(model, PathLike) or (named != BUNDLED and os.path.isdir(named)):
        return os.path.abspath(named)
    return named
