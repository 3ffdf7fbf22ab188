"""A client of textflight servers."""
from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Generator, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from . import _kinds
from ._connection import Access, read_ca
from ._errors import CALL_ERRORS, Error, InvalidError, KindError, from_flight
from ._options import Options, ScoreOptions, Text
from ._progress import Progress, ProgressOption
from ._run import Run
from ._servers import LocalServers, RemoteServers
from ._stream import scored_batches, scored_reader
from ._work import Work

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Prediction(NamedTuple):
    """What a text is, and how probable that is. Both are None where the text was."""

    label: str | None
    confidence: float | None


class Client:
    """Scores by the servers at `server`: an address, or several among which the work is shared.

    Without `server` a local one is used that all clients of this user share. `ca` is a PEM file, or its bytes, of authorities
    beside which none is trusted. `timeout` is how long to wait for any answer, in seconds. A client may be used by several
    threads, and may be pickled.

    >>> import textflight
    >>> with textflight.Client() as client:
    ...     client.info()["labels"], client.predict("I love apple")[0].label
    (['NEGATIVE', 'POSITIVE'], 'POSITIVE')
    """

    def __init__(
        self,
        server: str | Sequence[str] | None = None,
        *,
        model: str | PathLike[str] = "bundled",
        dtype: str | None = None,
        token: str | None = None,
        ca: str | bytes | PathLike[str] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._arguments = {"server": server, "model": model, "dtype": dtype, "token": token, "ca": ca, "timeout": timeout}
        if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
            raise InvalidError(f"timeout is {timeout!r}; a number of seconds above 0 would be right")
        self._timeout = timeout
        self._servers = LocalServers(model, dtype) if server is None else RemoteServers(server, Access(token, read_ca(ca)))
        self._first = itertools.count(random.randrange(len(self._servers.names)))
        self._were_there = threading.Event()
        if server is None:
            # It is started by us: one that goes before it is connected to is followed by another.
            self._were_there.set()

    def __reduce__(self) -> tuple[Any, ...]:
        return _client, (self._arguments,)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def score_reader(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        text: Text = None,
        *,
        progress: ProgressOption = None,
        **options: Unpack[ScoreOptions],
    ) -> pa.RecordBatchReader:
        """A reader of scored batches, one for each of `batches`, in order, which are taken as the reader is read."""
        return scored_reader(self, schema, batches, Options.of(text, options), Progress(progress))

    def scored_batches(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        text: Text = None,
        *,
        progress: ProgressOption = None,
        **options: Unpack[ScoreOptions],
    ) -> Generator[pa.RecordBatch, None, None]:
        """As `score_reader`, as a generator: closing it stops the work on the servers."""
        return scored_batches(self, schema, batches, Options.of(text, options), Progress(progress))[1]

    def score(
        self,
        data: Any,
        text: Text = None,
        *,
        progress: ProgressOption = None,
        **options: Unpack[ScoreOptions],
    ) -> Any:
        """As `textflight.score`, by these servers."""
        return _kinds.score(self, data, Options.of(text, options), progress)

    def predict(self, texts: str | Sequence[str | None]) -> list[Prediction]:
        """The label and the confidence of each text, or of the one."""
        several = [texts] if isinstance(texts, str) else texts
        if not isinstance(several, Sequence):
            raise KindError(f"texts are {type(texts).__name__}; a list of strings would be right, and score takes frames and tables")
        scored = self.score(list(several), progress=False)
        return [Prediction(one["label"], one["confidence"]) for one in scored]

    def info(self) -> dict[str, Any]:
        """What the server says of its model."""
        name = self._servers.names[0]
        try:
            return self._servers.connect(name).info()
        except Error:
            raise
        except CALL_ERRORS as error:
            raise from_flight(error, name) from error

    def close(self) -> None:
        """Lets go of the servers. The client connects again when it is used."""
        self._servers.close()

    def run(self, command: bytes, schema: pa.Schema, progress: Progress) -> Run:
        """Begins to score texts of this schema."""
        names = self._servers.names
        first = next(self._first) % len(names)
        work = Work([*names[first:], *names[:first]], self._timeout, self._were_there)
        return Run(work, self._servers, command, schema, progress)


def _client(arguments: dict[str, Any]) -> Client:
    return Client(**arguments)
