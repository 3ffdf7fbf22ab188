"""Clients that are kept between calls of functions."""
from __future__ import annotations

import functools
from collections.abc import Sequence
from os import PathLike

from ._client import Client
from ._target import Target

# Each has a connection to each of its servers, or keeps a local one: the one that was not asked for longest goes, once no call has it.
_MOST_CLIENTS = 8


@functools.lru_cache(_MOST_CLIENTS)
def client_of(target: Target) -> Client:
    """This process's client of these servers."""
    return Client.of(target)


def kept_client(
    server: str | Sequence[str] | None,
    model: str | PathLike[str],
    dtype: str | None,
    token: str | None,
    ca: str | bytes | PathLike[str] | None,
    timeout: float | None,
) -> Client:
    """The same, of what a caller said."""
    return client_of(Target.of(server, model, dtype, token, ca, timeout))
