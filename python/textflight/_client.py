"""A client of textflight servers."""
from __future__ import annotations

import itertools
import random
from collections.abc import Generator, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from . import _kinds
from ._errors import KindError
from ._inquiry import Inquiry
from ._options import Options, ScoreOptions, Text
from ._progress import Progress, ProgressOption
from ._run import Run
from ._seen import Seen
from ._servers import Servers
from ._stream import scored_batches, scored_reader
from ._target import Target
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
        self._set_up(Target.of(server, model, dtype, token, ca, timeout))

    @classmethod
    def of(cls, target: Target) -> Client:
        """One of these servers."""
        client = cls.__new__(cls)
        client._set_up(target)
        return client

    def _set_up(self, target: Target) -> None:
        self._target = target
        self._servers: Servers | None = None
        self._first = itertools.count(random.randrange(1 << 16))
        # A local one is started by us: one that goes before it is connected to is followed by another.
        self._seen = Seen(were_there=target.server is None)

    def __reduce__(self) -> tuple[Any, ...]:
        return Client.of, (self._target,)

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
        servers = self._begin()
        inquiry = Inquiry(servers, self._in_turn(servers.names), self._target.timeout)
        del servers  # An error's frames would keep it.
        return inquiry.answer()

    def close(self) -> None:
        """Lets go of the servers. The client connects again when it is used."""
        self._servers = None

    def run(self, command: bytes, schema: pa.Schema, progress: Progress) -> Run:
        """Begins to score texts of this schema."""
        servers = self._begin()
        work = Work(self._in_turn(servers.names), self._target.timeout, self._seen)
        return Run(work, servers, command, schema, progress)

    def _begin(self) -> Servers:
        """The servers for a call, which are kept for the next one."""
        servers = self._servers
        if servers is None or not servers.is_current():
            self._servers = servers = self._target.servers()
        return servers

    def _in_turn(self, names: list[str]) -> list[str]:
        """Each time with another first, and those last that were away the last time."""
        first = next(self._first) % len(names)
        return self._seen.sorted([*names[first:], *names[:first]])
