"""What an engine tells its workers: by which servers to score, and how. It is pickled on the way to them."""
from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike

import pyarrow as pa

from ._client import Client
from ._connection import read_ca
from ._options import Options

# Clients that a worker keeps, for tasks that come after one another: with the last of them its local server would go.
_MOST_CLIENTS = 4


@dataclass(frozen=True)
class Target:
    """Which servers score: those at `server`, or one that the workers of a machine share, on these GPUs if there are any."""

    server: tuple[str, ...] | None
    model: str | PathLike[str]
    dtype: str | None
    token: str | None
    ca: bytes | None
    timeout: float | None
    devices: tuple[str, ...] = ()

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
        """Files are those of this machine. What is wrong with an argument is said here, and not by the first worker."""
        servers = None if server is None else (server,) if isinstance(server, str) else tuple(server)
        target = cls(servers, os.path.abspath(model) if os.path.isdir(model) else model, dtype, token, read_ca(ca), timeout)
        target.new_client().close()
        return target

    def new_client(self) -> Client:
        """A client of these servers, which connects when it is used."""
        if self.devices:
            # Local servers that this process starts, or shares, run on these and on nothing else.
            os.environ["TEXTFLIGHT_DEVICE"] = ",".join(self.devices)
        return Client(self.server, model=self.model, dtype=self.dtype, token=self.token, ca=self.ca, timeout=self.timeout)


@functools.lru_cache(_MOST_CLIENTS)
def client_of(target: Target) -> Client:
    """This process's client of these servers."""
    return target.new_client()


@dataclass(frozen=True)
class Job:
    """Where to score, and what comes back."""

    target: Target
    options: Options

    def score(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader:
        """A reader of scored batches, one for one, which are taken as they are read."""
        return client_of(self.target).score_reader(schema, batches, progress=False, **vars(self.options))
