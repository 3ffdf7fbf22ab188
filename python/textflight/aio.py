"""The same for asyncio: no call holds up the loop, and a task that is cancelled stops the work on the server.

>>> import asyncio, textflight.aio
>>> asyncio.run(textflight.aio.predict(["I love apple"]))[0].label
'POSITIVE'
"""
from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from os import PathLike
from typing import Any, TypeVar

import pyarrow as pa

from . import _client, _score
from ._client import Prediction
from ._run import STOP, StoppedError

__all__ = ["Client", "predict", "score"]

T = TypeVar("T")
# How often a thread that waits for the loop looks whether it is to stop.
_TICK_SECONDS = 0.25


class Client:
    """`textflight.Client`, whose methods are awaited."""

    def __init__(self, server: str | Sequence[str] | None = None, **options: Any) -> None:
        self._client = _client.Client(server, **options)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def score(self, data: Any, text: Any = None, **options: Any) -> Any:
        """As `textflight.Client.score`. A reader that comes back blocks who reads it, as any other: `score_batches` does not."""
        return await _in_thread(lambda: self._client.score(data, text, **options))

    async def predict(self, texts: str | Sequence[str | None]) -> list[Prediction]:
        """As `textflight.Client.predict`."""
        return await _in_thread(lambda: self._client.predict(texts))

    async def info(self) -> dict[str, Any]:
        """As `textflight.Client.info`."""
        return await _in_thread(self._client.info)

    async def close(self) -> None:
        """As `textflight.Client.close`."""
        await _in_thread(self._client.close)

    async def score_batches(
        self, schema: pa.Schema, batches: AsyncIterable[pa.RecordBatch] | Iterable[pa.RecordBatch], text: Any = None, **options: Any
    ) -> AsyncIterator[pa.RecordBatch]:
        """Scored batches, one for each of `batches`, in order, which may be made asynchronously, too."""
        stop = threading.Event()
        taken = _taken(batches, asyncio.get_running_loop(), stop) if isinstance(batches, AsyncIterable) else batches
        scored = await _in_thread(lambda: self._client.scored_batches(schema, taken, text, **options), stop)
        try:
            while (batch := await _in_thread(lambda: next(scored, None), stop)) is not None:
                yield batch
        finally:
            stop.set()
            await _in_thread(scored.close)


async def score(data: Any, text: Any = None, **options: Any) -> Any:
    """As `textflight.score`."""
    return await _in_thread(lambda: _score.score(data, text, **options))


async def predict(texts: str | Sequence[str | None], *, model: str | PathLike[str] = "bundled", **options: Any) -> list[Prediction]:
    """As `textflight.predict`."""
    return await _in_thread(lambda: _score.predict(texts, model=model, **options))


async def _in_thread(work: Callable[[], T], stop: threading.Event | None = None) -> T:
    """Has a thread of its own do the work. If the task is cancelled, what runs is stopped before that is passed on."""
    stop = stop or threading.Event()
    context = contextvars.copy_context()
    context.run(STOP.set, stop)
    done: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="textflight aio", daemon=True).start()
    answer = asyncio.wrap_future(done)
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        stop.set()
        with suppress(Exception):
            await answer
        raise


def _taken(batches: AsyncIterable[pa.RecordBatch], loop: asyncio.AbstractEventLoop, stop: threading.Event) -> Iterator[pa.RecordBatch]:
    """What is made on the loop, for a thread beside it."""
    iterator = aiter(batches)

    async def take() -> pa.RecordBatch | None:
        return await anext(iterator, None)

    while True:
        made = asyncio.run_coroutine_threadsafe(take(), loop)
        while not made.done():
            concurrent.futures.wait([made], _TICK_SECONDS)
            if stop.is_set():
                made.cancel()
                raise StoppedError("the task was cancelled")
        batch = made.result()
        if batch is None:
            return
        yield batch
