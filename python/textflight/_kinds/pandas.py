"""Frames and series of pandas: their text columns alone are turned into Arrow, so that all else stays as it is."""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .._errors import InvalidError
from .._options import Options, check_new_names, is_same, listed
from .._plan import Plan, is_string
from .._progress import Progress, ProgressOption
from .._stream import new_columns
from .objects import Objects, Texts, batches_of

if TYPE_CHECKING:
    from .._client import Client

# From here on a copy shares what nobody changes.
_COPIES_LAZILY = int(pd.__version__.partition(".")[0]) >= 3
# In so many values that are there of an object column one that is a str makes it one of texts.
_LOOKED_AT = 1000
_TAKEN_AT_ONCE = 64 * 1024


def score(client: Client, data: Any, options: Options, progress: ProgressOption) -> pd.DataFrame:
    """A frame as a frame, a series as a frame of what is new, with its index."""
    if isinstance(data, pd.Index):
        data = data.to_series()
    if isinstance(data, pd.Series):
        if options.text is not None:
            raise InvalidError(f"text is {options.text!r}, but the data are one column: leave it out")
        data = data.to_frame("text")
        options = replace(options, text="text", columns="new")
    return _score_frame(client, data, options, Progress(progress, len(data)))


def _score_frame(client: Client, frame: pd.DataFrame, options: Options, progress: Progress) -> pd.DataFrame:
    kept = options.kept(list(frame.columns))
    wire, columns = _texts_of(frame, options)
    plan = Plan.of_texts({name: column.type for name, column in columns.items()}, wire, options)
    names = [frame.columns[number] for number in kept]

    def check(new: Sequence[str]) -> None:
        check_new_names(names, _named(frame, new), plan.texts_named())

    new = new_columns(client, plan, batches_of(plan, columns, len(frame)), progress, check)
    for name, column in columns.items():
        if isinstance(column, Objects):
            new = column.with_causes(new, plan.error_column(name))
    return _attached(frame, kept, new)


def _attached(frame: pd.DataFrame, kept: list[int], new: pa.Table) -> pd.DataFrame:
    all_kept = kept == list(range(frame.shape[1]))
    scored = (frame if all_kept else frame.iloc[:, kept]).copy(deep=not _COPIES_LAZILY)
    if isinstance(scored.columns, pd.CategoricalIndex):
        scored.columns = scored.columns.astype(object)
    for name, column in zip(_named(frame, new.column_names), new.columns):
        scored[name] = column.to_pandas(types_mapper=_dtype).array if column.type in _NULLABLE else column.to_pandas().array
    return scored


# Numbers that may be null have a type that does not depend on whether one is.
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}


def _dtype(kind: pa.DataType) -> Any:
    return _NULLABLE.get(kind)


def _named(frame: pd.DataFrame, new: Sequence[str]) -> list[Any]:
    """The new columns' names, where columns have several levels on the first of them."""
    rest = ("",) * (frame.columns.nlevels - 1)
    return [(name, *rest) if rest else name for name in new]


def _texts_of(frame: pd.DataFrame, options: Options) -> tuple[str | list[str], dict[str, Texts]]:
    """What the server is told to score, and the columns that it is sent, by the names that it is told."""
    if options.text is None:
        number = _only_text(frame)
        name = _wire_name(frame.columns[number])
        return name, {name: _texts(frame, number, options)}
    wanted = options.text
    if _are_several(frame, wanted):
        wanted = list(wanted)
        if not wanted:
            raise InvalidError("text names no column")
        for name in wanted:
            if sum(is_same(name, one) for one in wanted) > 1:
                raise InvalidError(f"text names {name!r} twice")
        found = dict(_find(frame, name) for name in wanted)
        return [_wire_name(name) for name in wanted], {name: _texts(frame, number, options) for name, number in found.items()}
    name, number = _find(frame, wanted)
    return _wire_name(wanted), {name: _texts(frame, number, options)}


def _are_several(frame: pd.DataFrame, text: Any) -> bool:
    """Whether these are names, and not one: a tuple may be that of a column."""
    if isinstance(text, tuple):
        return frame.columns.nlevels == 1 and not any(is_same(text, name) for name in frame.columns)
    return isinstance(text, (list, pd.Index, pd.Series, np.ndarray))


def _wire_name(name: Any) -> str:
    return ".".join(str(level) for level in name if level != "") if isinstance(name, tuple) else str(name)


def _find(frame: pd.DataFrame, name: Any) -> tuple[str, int]:
    """The column of this name, as it is sent: the one that is called so, or in which its path leads to a field."""
    called = list(frame.columns)
    found = [i for i, column in enumerate(called) if is_same(column, name) or (isinstance(column, tuple) and is_same(column[0], name))]
    if len(found) > 1:
        several = listed([called[i] for i in found])
        raise InvalidError(f"more than one column is called {name!r}: {several}; rename one, or name all of its levels")
    if found:
        return _wire_name(name), found[0]
    inside = [i for i, column in enumerate(called) if isinstance(column, str) and str(name).startswith(f"{column}.")]
    if len(inside) != 1:
        raise InvalidError(f'column "{name}" not found; text columns: {_text_names(frame)}')
    return called[inside[0]], inside[0]


def _only_text(frame: pd.DataFrame) -> int:
    columns = [frame.iloc[:, number] for number in range(frame.shape[1])]
    found = [number for number, column in enumerate(columns) if _is_text(column)]
    found = found or [number for number, column in enumerate(columns) if _has_no_type(column)]
    if len(found) > 1:
        raise InvalidError(f"more than one text column: {listed([frame.columns[number] for number in found])}; name one with text")
    if not found:
        raise InvalidError(f"no text column; columns: {_with_types(frame)}")
    return found[0]


def _is_text(series: pd.Series) -> bool:
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _is_text(series.cat.categories.to_series()) if len(series.cat.categories) else False
    if isinstance(series.dtype, pd.ArrowDtype):
        return is_string(series.dtype.pyarrow_dtype)
    if series.dtype == object:
        return any(isinstance(value, str) for value in itertools.islice(_values(series), _LOOKED_AT))
    return isinstance(series.dtype, pd.StringDtype)


def _values(series: pd.Series) -> Iterator[Any]:
    """Those that are there, however many are not before them."""
    for start in range(0, len(series), _TAKEN_AT_ONCE):
        yield from series.iloc[start : start + _TAKEN_AT_ONCE].dropna()


def _has_no_type(series: pd.Series) -> bool:
    """Whether nothing says what it is: no value, or no row."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return not len(series.cat.categories)
    return bool(series.isna().all()) if series.dtype == object else not len(series) and series.dtype == float


def _text_names(frame: pd.DataFrame) -> str:
    names = [frame.columns[number] for number in range(frame.shape[1]) if _is_text(frame.iloc[:, number])]
    return listed(names) if names else f"there is none; columns: {_with_types(frame)}"


def _with_types(frame: pd.DataFrame) -> str:
    return listed([f"{name} ({dtype})" for name, dtype in zip(frame.columns, frame.dtypes)])


def _texts(frame: pd.DataFrame, number: int, options: Options) -> Texts:
    series = frame.iloc[:, number]
    name, keeps_causes = _wire_name(frame.columns[number]), options.on_error == "null"
    index = None if isinstance(series.index, pd.RangeIndex) else series.index
    if series.dtype == object or _has_no_type(series):
        return Objects.of(series.astype(object).to_numpy(), name, keeps_causes, index)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _Categories(series, name)
    if isinstance(series.dtype, (pd.StringDtype, pd.ArrowDtype)):
        return _Column(series)
    raise InvalidError(f'column "{name}" is {series.dtype}, not text; text columns: {_text_names(frame)}')


class _Column:
    """A column of strings, of which slices are sent: it is not there twice."""

    def __init__(self, series: pd.Series) -> None:
        self._series = series
        self.type = series.dtype.pyarrow_dtype if isinstance(series.dtype, pd.ArrowDtype) else pa.large_string()

    def slice(self, start: int, rows: int) -> pa.Array:
        """So many rows from `start` on."""
        array = pa.array(self._series.iloc[start : start + rows], from_pandas=True)
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) and array.num_chunks else array
        return array if array.type == self.type else array.cast(self.type)


class _Categories:
    """Codes and their texts, which are sent with each slice that has them."""

    def __init__(self, series: pd.Series, name: str) -> None:
        self._codes = series.cat.codes
        texts = Objects(series.cat.categories.to_list(), name, pa.large_string())
        self._texts = texts.slice(0, len(series.cat.categories))
        self.type = pa.dictionary(pa.int32(), pa.large_string())

    def slice(self, start: int, rows: int) -> pa.Array:
        """So many rows from `start` on."""
        codes = self._codes.iloc[start : start + rows].to_numpy()
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32(), mask=codes < 0), self._texts)
