"""The kinds of data that are scored, each in a file of its own: what of it is sent, and how the answer is attached."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any


from .._errors import KindError
from .._options import Options
from .._progress import ProgressOption
from . import arrow, sequence

if TYPE_CHECKING:
    from .._client import Client


def score(client: Client, data: Any, options: Options, progress: ProgressOption) -> Any:
    """The data with their scores, as the kind that they are. A library is imported only if the data are its own."""
    library = _library_of(data)
    if library == "pandas":
        from . import pandas

        return pandas.score(client, data, options, progress)
    if library == "polars":
        from . import polars

        return polars.score(client, data, options, progress)
    if isinstance(data, (str, bytes)):
        raise KindError(f"data are {type(data).__name__}, one text; a list of texts would be right: score([text])")
    if isinstance(data, arrow.KINDS) or hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return arrow.score(client, data, options, progress)
    if isinstance(data, Sequence) or library == "numpy":
        return sequence.score(client, data, options, progress)
    raise KindError(
        f"data are {type(data).__name__}; a data frame or series of pandas or polars, a table, reader or array of pyarrow, "
        "a list of strings, or what has __arrow_c_stream__ would be right"
    )


def _library_of(data: Any) -> str | None:
    """Whose kind it is, also where a class of another library is derived from it."""
    for kind in type(data).__mro__:
        library = kind.__module__.partition(".")[0]
        if (library, kind.__name__) in _KINDS:
            return library
    return None


_KINDS = {
    *(("pandas", name) for name in ("DataFrame", "Series", "Index")),
    *(("polars", name) for name in ("DataFrame", "LazyFrame", "Series")),
    ("numpy", "ndarray"),
}
