"""Lists and other sequences of strings."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import InvalidError
from .._options import Options
from .._plan import Plan
from .._progress import Progress, ProgressOption
from .._stream import new_columns
from .objects import Objects, batches_of

if TYPE_CHECKING:
    from .._client import Client


def score(client: Client, data: Any, options: Options, progress: ProgressOption) -> list[dict[str, Any]]:
    """A dictionary for each text, with its label and confidence."""
    if options.text is not None:
        raise InvalidError(f"text is {options.text!r}, but the data are a list of texts: leave it out")
    if getattr(data, "ndim", 1) != 1:
        raise InvalidError(f"data have {data.ndim} dimensions; a list of texts has one")
    if not isinstance(data, (list, tuple)) and not hasattr(data, "ndim"):
        # Not every sequence has slices: a deque has none.
        data = list(data)
    objects = Objects.of(data, None, keeps_causes=options.on_error == "null")
    plan = Plan.of_texts({"text": objects.type}, "text", options)
    new = new_columns(client, plan, batches_of(plan, {"text": objects}, len(data)), Progress(progress, len(data)))
    scored: list[dict[str, Any]] = objects.with_causes(new, "error").to_pylist()
    return scored
