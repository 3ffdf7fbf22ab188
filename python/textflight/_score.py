"""`score` and `predict`, by clients that are kept."""
from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from ._client import Prediction
from ._kept import kept_client
from ._options import Columns, Labels, OnError, Text
from ._progress import ProgressOption

def score(
    data: Any,
    text: Text = None,
    *,
    model: str | PathLike[str] = "bundled",
    server: str | Sequence[str] | None = None,
    dtype: str | None = None,
    token: str | None = None,
    ca: str | bytes | PathLike[str] | None = None,
    timeout: float | None = None,
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
    client = kept_client(server, model, dtype, token, ca, timeout)
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
    timeout: float | None = None,
) -> list[Prediction]:
    """The label and the confidence of each text, or of the one.

    >>> import textflight
    >>> textflight.predict(["I love apple", None])[1]
    Prediction(label=None, confidence=None)
    >>> for label, confidence in textflight.predict("I love apple"):
    ...     print(label, round(confidence, 2))
    POSITIVE 1.0
    """
    return kept_client(server, model, dtype, token, ca, timeout).predict(texts)
