"""`score` and `predict`, by clients that are kept."""
from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

from ._client import Client, Prediction
from ._options import Columns, Labels, OnError, Text
from ._progress import ProgressOption
from ._servers import given_servers

_lock = threading.Lock()
_clients: dict[tuple[Any, ...], Client] = {}


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def kept_client(
    server: str | Sequence[str] | None,
    model: str | PathLike[str],
    dtype: str | None,
    token: str | None,
    ca: str | bytes | PathLike[str] | None,
) -> Client:
    """The client of this process for these servers."""
    key = (None if server is None else given_servers(server), fspath(model), dtype, token, ca)
    with _lock:
        if key not in _clients:
            _clients[key] = Client(server, model=model, dtype=dtype, token=token, ca=ca)
        return _clients[key]


def score(
    data: Any,
    text: Text = None,
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    labels: Labels | None = None,
    details: bool | None = None,
    probabilities: bool | None = None,
    columns: Columns = None,
    on_error: OnError | None = None,
    label_column: str | None = None,
    confidence_column: str | None = None,
    progress: ProgressOption = None,
) -> Any:
    """The data with a label and a confidence for each row, as the kind that they are.

    A data frame, a table or a reader has new columns behind its own; a series or an array becomes a frame or a table of the new ones,
    and a list of strings a list of dictionaries. `text` is the column that is scored, a path of fields (`"post.title"`) or a list of
    them; without it the only one with strings. `server` is an address, or several; without it a local one is used, and started if
    none is there. docs/python.md has the rest.

    >>> import pyarrow as pa, textflight
    >>> table = pa.table({"id": [1, 2, 3], "review": ["a lovely film", None, "dull , dull , dull"]})
    >>> textflight.score(table)["label"].to_pylist()
    ['POSITIVE', None, 'NEGATIVE']
    >>> textflight.score(table, "reviews")
    Traceback (most recent call last):
    textflight.InvalidError: column "reviews" not found; string columns: review
    """
    client = kept_client(server, model, dtype, token, ca)
    return client.score(
        data,
        text,
        labels=labels,
        details=details,
        probabilities=probabilities,
        columns=columns,
        on_error=on_error,
        label_column=label_column,
        confidence_column=confidence_column,
        progress=progress,
    )


def predict(
    texts: str | Sequence[str | None],
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
) -> list[Prediction]:
    """The label and the confidence of each text, or of the one.

    >>> import textflight
    >>> textflight.predict(["I love apple", None])[1]
    Prediction(label=None, confidence=None)
    >>> for label, confidence in textflight.predict("I love apple"):
    ...     print(label, round(confidence, 2))
    POSITIVE 1.0
    """
    return kept_client(server, model, dtype, token, ca).predict(texts)
